//! Inodes that live in memory, and the state that holds them.

use super::lower::{ImageBody, Lower};
use crate::brand::Marks;
use crate::errno::Errno;
use crate::vfs::{Ino, Kind, Timespec};
use crate::{bail, err};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// One component of a path. Shared between a directory's table and its order.
pub(crate) type Name = Arc<[u8]>;

/// The root directory's number.
pub(crate) const ROOT: Ino = 1;

/// More inodes than this in memory are refused with ENOSPC: a guest must not exhaust its supervisor.
const MAX_NODES: usize = 8 << 20;

/// What every inode has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Type and permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) rdev: u64,
    pub(crate) nlink: u32,
    pub(crate) atime: Timespec,
    pub(crate) mtime: Timespec,
    pub(crate) ctime: Timespec,
    pub(crate) btime: Option<Timespec>,
}

/// Where a regular file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Nowhere yet: the file is empty and was never opened.
    Empty,
    /// In the image.
    Image(ImageBody, u64),
    /// In the backing, under the inode's number. Its size and times are the host's.
    Own,
}

/// What only one type has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    Regular(Body),
    Directory(Dir),
    Symlink(Vec<u8>),
    /// Devices, FIFOs, sockets.
    Special,
}

/// Names of a directory that differ from the image's directory of the same number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dir {
    pub(crate) names: HashMap<Name, Entry>,
    /// Names that the image does not have, in the order in which they came; the key is the position of readdir.
    pub(crate) order: BTreeMap<u64, Name>,
    next_position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// 0: the image's name is gone (a whiteout).
    pub(crate) ino: Ino,
    /// Key in [`Dir::order`]; 0 for a name that the image has, which keeps the image's position.
    pub(crate) position: u64,
}

/// An inode that differs from the image's of the same number, or that the image does not have.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) meta: Meta,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A directory that has it, and the name there. Exact for directories; for others `None` may mean "look for it".
    pub(crate) alias: Option<(Ino, Name)>,
    pub(crate) data: Data,
    /// Made by O_TMPFILE: may get a name although it has none.
    pub(crate) linkable: bool,
    /// Whether its body was ever handed out since the tree was opened.
    pub(crate) opened: bool,
    /// Counted references of handles.
    pub(crate) pin: Arc<()>,
}

/// All that changes.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) nodes: HashMap<Ino, Node>,
    /// Members of `nodes` without a name.
    pub(crate) orphans: HashSet<Ino>,
    /// Inodes of the image that have gone and are forgotten.
    pub(crate) dead: HashSet<Ino>,
    pub(crate) next_ino: Ino,
    /// Where guests see what is no longer as in the image; `None` while nobody looks.
    pub(crate) marks: Option<Arc<Marks>>,
}

impl Node {
    pub(crate) fn new(mode: u32, uid: u32, gid: u32, rdev: u64, data: Data, now: Timespec) -> Node {
        let nlink = if matches!(data, Data::Directory(_)) { 2 } else { 1 };
        let meta = Meta { mode, uid, gid, rdev, nlink, atime: now, mtime: now, ctime: now, btime: Some(now) };
        Node {
            meta,
            xattrs: BTreeMap::new(),
            alias: None,
            data,
            linkable: false,
            opened: false,
            pin: Arc::new(()),
        }
    }

    /// A copy of the image's inode, to be changed.
    fn of_image(lower: &dyn Lower, ino: Ino) -> Option<Node> {
        let i = lower.inode(ino)?;
        let data = match Kind::from_mode(i.mode)? {
            Kind::Regular => Data::Regular(i.body.map_or(Body::Empty, |b| Body::Image(b, i.size))),
            Kind::Directory => Data::Directory(Dir::default()),
            Kind::Symlink => Data::Symlink(lower.symlink(ino)?),
            _ => Data::Special,
        };
        let mut node = Node::new(i.mode, i.uid, i.gid, i.rdev, data, i.mtime);
        node.meta.nlink = i.nlink;
        node.meta.btime = None;
        node.xattrs = lower.xattrs(ino).into_iter().collect();
        node.alias = lower.alias(ino).map(|(dir, name)| (dir, Name::from(name)));
        Some(node)
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::from_mode(self.meta.mode).unwrap_or(Kind::Regular)
    }

    pub(crate) fn dir(&self) -> Result<&Dir, Errno> {
        match &self.data {
            Data::Directory(d) => Ok(d),
            _ => bail!(ENOTDIR),
        }
    }
}

impl State {
    /// The node of an inode, made from the image's when there is none.
    ///
    /// Every change of an inode begins here, so this is where it is marked.
    pub(crate) fn node_mut(&mut self, lower: &dyn Lower, ino: Ino) -> Result<&mut Node, Errno> {
        if let Some(marks) = &self.marks {
            marks.touch(ino);
        }
        if !self.nodes.contains_key(&ino) {
            if self.dead.contains(&ino) {
                bail!(ENOENT, "inode has gone");
            }
            let node = Node::of_image(lower, ino).ok_or(err!(ENOENT, "inode has gone"))?;
            self.nodes.insert(ino, node);
        }
        self.nodes.get_mut(&ino).ok_or(err!(EIO))
    }

    /// Owner or mode of an inode are about to change: who may pass it does.
    pub(crate) fn mark_permissions(&self, ino: Ino) {
        if let Some(marks) = &self.marks {
            marks.bar(ino);
        }
    }

    /// Makes marks for everything that is not as in the image, and from now on for every change.
    pub(crate) fn publish(&mut self, lower: &dyn Lower, marks: &Arc<Marks>) {
        for (&ino, node) in &self.nodes {
            marks.touch(ino);
            let owner = (node.meta.mode, node.meta.uid, node.meta.gid);
            if lower.inode(ino).is_some_and(|i| (i.mode, i.uid, i.gid) != owner) {
                marks.bar(ino);
            }
            let Data::Directory(dir) = &node.data else { continue };
            dir.names.keys().filter_map(|name| lower.lookup(ino, name)).for_each(|gone| marks.bar(gone));
        }
        self.dead.iter().for_each(|&ino| marks.bar(ino));
        self.marks = Some(marks.clone());
    }

    /// A number for a new inode.
    pub(crate) fn allocate(&mut self, lower: &dyn Lower) -> Result<Ino, Errno> {
        if self.nodes.len() >= MAX_NODES {
            bail!(ENOSPC, "too many inodes");
        }
        let ino = self.next_ino.max(lower.max_ino().saturating_add(1)).max(ROOT + 1);
        self.next_ino = ino.checked_add(1).ok_or(err!(ENOSPC, "no inode numbers left"))?;
        Ok(ino)
    }

    /// The inode that a directory has by a name; ENOTDIR, ENOENT.
    pub(crate) fn lookup(&self, lower: &dyn Lower, dir: Ino, name: &[u8]) -> Result<Ino, Errno> {
        if let Some(node) = self.nodes.get(&dir) {
            let d = node.dir()?;
            if node.meta.nlink == 0 {
                bail!(ENOENT, "the directory was removed");
            }
            match d.names.get(name) {
                Some(entry) if entry.ino == 0 => bail!(ENOENT),
                Some(entry) => return Ok(entry.ino),
                None => {}
            }
        } else if self.dead.contains(&dir) {
            bail!(ENOENT, "the directory was removed");
        }
        match lower.lookup(dir, name) {
            Some(ino) => Ok(ino),
            None if self.kind(lower, dir)? != Kind::Directory => bail!(ENOTDIR),
            None => bail!(ENOENT),
        }
    }

    pub(crate) fn kind(&self, lower: &dyn Lower, ino: Ino) -> Result<Kind, Errno> {
        match self.nodes.get(&ino) {
            Some(node) => Ok(node.kind()),
            None => {
                lower.inode(ino).and_then(|i| Kind::from_mode(i.mode)).ok_or(err!(ENOENT, "inode has gone"))
            }
        }
    }

    pub(crate) fn nlink(&self, lower: &dyn Lower, ino: Ino) -> u32 {
        match self.nodes.get(&ino) {
            Some(node) => node.meta.nlink,
            None if self.dead.contains(&ino) => 0,
            None => lower.inode(ino).map_or(0, |i| i.nlink),
        }
    }

    /// Sets (`Some`) or removes (`None`) a name. Every change of a name is made here, live and in replay. Link counts are
    /// the caller's.
    pub(crate) fn put(
        &mut self,
        lower: &dyn Lower,
        dir: Ino,
        name: &[u8],
        ino: Option<Ino>,
    ) -> Result<(), Errno> {
        let image_ino = lower.lookup(dir, name);
        let in_image = image_ino.is_some();
        if let (Some(marks), Some(gone)) = (&self.marks, image_ino) {
            marks.bar(gone);
        }
        let Data::Directory(d) = &mut self.node_mut(lower, dir)?.data else { bail!(ENOTDIR) };
        let old = d.names.get(name).copied();
        match ino {
            Some(ino) => {
                let name: Name =
                    d.names.get_key_value(name).map_or_else(|| Name::from(name), |(k, _)| k.clone());
                let position = match old {
                    _ if in_image => 0,
                    Some(old) if old.position != 0 => old.position,
                    _ => {
                        d.next_position += 1;
                        d.order.insert(d.next_position, name.clone());
                        d.next_position
                    }
                };
                d.names.insert(name.clone(), Entry { ino, position });
                if let Some(node) = self.nodes.get_mut(&ino) {
                    node.alias = Some((dir, name));
                }
            }
            None => {
                let had = match old {
                    Some(entry) => (entry.ino != 0).then_some(entry.ino),
                    None => lower.lookup(dir, name),
                };
                if in_image {
                    d.names.insert(Name::from(name), Entry { ino: 0, position: 0 });
                } else if let Some(entry) = d.names.remove(name) {
                    d.order.remove(&entry.position);
                }
                if let Some(node) = had.and_then(|ino| self.nodes.get_mut(&ino))
                    && node.alias.as_ref().is_some_and(|(d, n)| *d == dir && **n == *name)
                {
                    node.alias = None;
                }
            }
        }
        Ok(())
    }

    /// Whether a directory has no names.
    pub(crate) fn is_empty(&self, lower: &dyn Lower, dir: Ino) -> bool {
        let Some(Node { data: Data::Directory(d), .. }) = self.nodes.get(&dir) else {
            return lower.dir_len(dir) == 0;
        };
        if !d.order.is_empty() {
            return false;
        }
        let mut i = 0;
        while let Some((name, _, _)) = lower.dir_entry(dir, i) {
            if d.names.get(name).is_none_or(|e| e.ino != 0) {
                return false;
            }
            i += 1;
        }
        true
    }

    /// The parent of a directory; `None` for the root and for one that was removed.
    pub(crate) fn parent_of(&self, lower: &dyn Lower, dir: Ino) -> Option<Ino> {
        if dir == ROOT || self.nlink(lower, dir) == 0 {
            return None;
        }
        match self.nodes.get(&dir) {
            Some(node) => node.alias.as_ref().map(|(parent, _)| *parent),
            None => lower.alias(dir).map(|(parent, _)| parent),
        }
    }

    /// Whether `dir` is `of` or lies below it.
    pub(crate) fn is_within(&self, lower: &dyn Lower, mut dir: Ino, of: Ino) -> bool {
        // A tree cannot be deeper than it has inodes; a bound costs nothing.
        for _ in 0..=self.nodes.len() as u64 + lower.max_ino() {
            if dir == of {
                return true;
            }
            match self.parent_of(lower, dir) {
                Some(parent) => dir = parent,
                None => return false,
            }
        }
        false
    }

    /// One place where an inode is found now.
    pub(crate) fn alias_of(&self, lower: &dyn Lower, ino: Ino) -> Option<(Ino, Name)> {
        if ino == ROOT || self.nlink(lower, ino) == 0 {
            return None;
        }
        let holds = |dir: Ino, name: &[u8]| self.lookup(lower, dir, name).is_ok_and(|found| found == ino);
        if let Some(node) = self.nodes.get(&ino)
            && let Some((dir, name)) = &node.alias
            && holds(*dir, name)
        {
            return Some((*dir, name.clone()));
        }
        if let Some((dir, name)) = lower.alias(ino)
            && holds(dir, &name)
        {
            return Some((dir, Name::from(name)));
        }
        self.search(lower, ino, &holds)
    }

    /// For a file of several names whose known one has gone. Rare, so a search will do.
    fn search(&self, lower: &dyn Lower, ino: Ino, holds: &dyn Fn(Ino, &[u8]) -> bool) -> Option<(Ino, Name)> {
        for (dir, node) in &self.nodes {
            let Data::Directory(d) = &node.data else { continue };
            if let Some((name, _)) = d.names.iter().find(|(name, e)| e.ino == ino && holds(*dir, name)) {
                return Some((*dir, name.clone()));
            }
        }
        if ino > lower.max_ino() {
            return None;
        }
        for dir in ROOT..=lower.max_ino() {
            let mut i = 0;
            while let Some((name, found, _)) = lower.dir_entry(dir, i) {
                if found == ino && holds(dir, name) {
                    return Some((dir, Name::from(name)));
                }
                i += 1;
            }
        }
        None
    }
}
