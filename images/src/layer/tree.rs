//! Layers merged into one tree, in memory.
//!
//! A layer is first made a tree of its own, as unpacking it into an empty directory would, and is then laid
//! over what is below, as overlayfs does: a directory over a directory is merged, everything else hides what
//! it covers. So the order of entries within a layer and whiteouts never interfere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::record::{NodeRecord, Reader, Record};
use crate::Error;
use crate::index::{FileKind, Timespec};
use crate::tar::path::show;

/// Most symlinks followed on the way to one name (as in path_resolution(7)).
const SYMLINKS_MAX: usize = 40;
/// What stat shows as the size of a directory.
const DIR_SIZE: u64 = 4096;

/// A node of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An inode; names are in directories.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: FileKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timespec,
    pub(crate) rdev: u64,
    /// (layer, ordinal) of a regular file.
    pub(crate) body: Option<(u32, u64)>,
    /// Sorted by name.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    size: u64,
    link: Box<[u8]>,
    dir: Option<Box<Dir>>,
}

#[derive(Debug, Default)]
struct Dir {
    children: BTreeMap<Box<[u8]>, NodeId>,
    /// The layer has an entry for it, and not only for something in it.
    explicit: bool,
    opaque: bool,
    whiteouts: BTreeSet<Box<[u8]>>,
}

impl Node {
    fn directory(mtime: Timespec) -> Node {
        Node {
            kind: FileKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime,
            rdev: 0,
            body: None,
            xattrs: Vec::new(),
            size: 0,
            link: Box::default(),
            dir: Some(Box::default()),
        }
    }

    fn of(record: NodeRecord, layer: u32) -> Node {
        let is_dir = record.kind == FileKind::Directory;
        Node {
            kind: record.kind,
            mode: record.mode,
            uid: record.uid,
            gid: record.gid,
            mtime: record.mtime,
            rdev: record.rdev,
            body: (record.kind == FileKind::Regular).then_some((layer, record.n)),
            xattrs: record.xattrs,
            size: record.size,
            link: record.link.into(),
            dir: is_dir.then(|| Box::new(Dir { explicit: true, ..Dir::default() })),
        }
    }

    /// As stat(2) shows it.
    pub(crate) fn size(&self) -> u64 {
        match self.kind {
            FileKind::Regular => self.size,
            FileKind::Directory => DIR_SIZE,
            FileKind::Symlink => self.link.len() as u64,
            _ => 0,
        }
    }

    pub(crate) fn symlink(&self) -> Option<&[u8]> {
        (self.kind == FileKind::Symlink).then_some(&*self.link)
    }
}

/// The merged tree.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    root: NodeId,
    repeated: bool,
}

impl Tree {
    /// An empty root directory.
    pub(crate) fn new() -> Tree {
        let root = Node::directory(Timespec { sec: 0, nsec: 0 });
        Tree { nodes: vec![root], root: NodeId(0), repeated: false }
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    /// Number of nodes, those that are not reachable any more included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The entries of a directory; `None` for anything else.
    pub(crate) fn children(&self, id: NodeId) -> Option<&BTreeMap<Box<[u8]>, NodeId>> {
        self.node(id).dir.as_ref().map(|d| &d.children)
    }

    /// Whether a layer was applied more than once.
    pub(crate) fn has_repeated_layers(&self) -> bool {
        self.repeated
    }

    /// Says that a layer is about to be applied again.
    pub(crate) fn set_repeated_layers(&mut self) {
        self.repeated = true;
    }

    /// Lays a layer over the tree. `layer` is its index in the index to be.
    ///
    /// # Errors
    /// [`Error::InvalidTar`] for a hard link to nothing, something below a file, or a loop of symlinks.
    pub(crate) fn apply<R: Read>(&mut self, layer: u32, records: &mut Reader<R>) -> Result<(), Error> {
        let upper = self.add(Node::directory(Timespec { sec: 0, nsec: 0 }))?;
        while let Some(record) = records.next()? {
            self.place(upper, layer, record)?;
        }
        self.merge(self.root, upper);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<NodeId, Error> {
        let id =
            u32::try_from(self.nodes.len()).map_err(|_| Error::Unsupported("the image is too big".into()))?;
        self.nodes.push(node);
        Ok(NodeId(id))
    }

    fn dir_mut(&mut self, id: NodeId) -> Option<&mut Dir> {
        self.nodes[id.index()].dir.as_deref_mut()
    }

    fn child(&self, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        self.children(dir)?.get(name).copied()
    }

    /// One record, in the tree of its own layer.
    fn place(&mut self, upper: NodeId, layer: u32, record: Record) -> Result<(), Error> {
        match record {
            Record::Node(record) => self.place_node(upper, layer, *record),
            Record::HardLink { path, target } => {
                let missing = || {
                    let (path, target) = (show(&path), show(&target));
                    Error::InvalidTar(format!("hard link {path} to {target}: no such file"))
                };
                let found = self.find(upper, &target).or_else(|| self.find(self.root, &target));
                let found = found.ok_or_else(missing)?;
                if self.node(found).kind == FileKind::Directory {
                    return Err(missing());
                }
                let mtime = self.node(found).mtime;
                let (dir, name) = self.parent(upper, &path, mtime)?;
                if let (Some(dir), Some(name)) = (self.dir_mut(dir), name) {
                    dir.children.insert(name.into(), found);
                }
                Ok(())
            }
            Record::Whiteout { path } => {
                let (dir, name) = self.parent(upper, &path, Timespec { sec: 0, nsec: 0 })?;
                if let (Some(dir), Some(name)) = (self.dir_mut(dir), name) {
                    dir.whiteouts.insert(name.into());
                }
                Ok(())
            }
            Record::Opaque { dir } => {
                let id = self.make_dirs(upper, &dir, Timespec { sec: 0, nsec: 0 })?;
                if let Some(dir) = self.dir_mut(id) {
                    dir.opaque = true;
                }
                Ok(())
            }
        }
    }

    fn place_node(&mut self, upper: NodeId, layer: u32, record: NodeRecord) -> Result<(), Error> {
        let path = record.path.clone();
        let (dir, name) = self.parent(upper, &path, record.mtime)?;
        let Some(name) = name else {
            // The root itself: as in Docker its mode and owner are not the archive's to say (archives made
            // of a `mktemp -d` would lock everybody out), but its time is.
            self.nodes[upper.index()].mtime = record.mtime;
            return Ok(());
        };
        let node = Node::of(record, layer);
        if node.kind == FileKind::Directory
            && let Some(old) = self.child(dir, name)
            && let Some(dir) = self.nodes[old.index()].dir.take()
        {
            let slot = &mut self.nodes[old.index()];
            *slot = node;
            slot.dir = Some(Box::new(Dir { explicit: true, ..*dir }));
            return Ok(());
        }
        let id = self.add(node)?;
        if let Some(dir) = self.dir_mut(dir) {
            dir.children.insert(name.into(), id);
        }
        Ok(())
    }

    /// The directory that a path's last component is in, made where it is missing, and that component.
    fn parent<'p>(
        &mut self,
        root: NodeId,
        path: &'p [u8],
        mtime: Timespec,
    ) -> Result<(NodeId, Option<&'p [u8]>), Error> {
        let Some(cut) = path.iter().rposition(|&b| b == b'/') else {
            return Ok((root, (!path.is_empty()).then_some(path)));
        };
        Ok((self.make_dirs(root, &path[..cut], mtime)?, Some(&path[cut + 1..])))
    }

    /// `mkdir -p` in a layer's tree; symlinks of the same layer are followed within the root.
    fn make_dirs(&mut self, root: NodeId, path: &[u8], mtime: Timespec) -> Result<NodeId, Error> {
        let mut walk = Walk::new(root, path);
        while let Some(name) = walk.next_name() {
            match self.child(walk.at(), &name) {
                Some(child) if self.node(child).kind == FileKind::Directory => walk.enter(child),
                Some(child) => match self.node(child).symlink() {
                    Some(target) => walk.follow(target).map_err(|e| bad_path(path, e))?,
                    None => return Err(bad_path(path, "a parent is not a directory")),
                },
                None => {
                    let made = self.add(Node::directory(mtime))?;
                    if let Some(dir) = self.dir_mut(walk.at()) {
                        dir.children.insert(name, made);
                    }
                    walk.enter(made);
                }
            }
        }
        Ok(walk.at())
    }

    /// What a path names; symlinks before the last component are followed within the root.
    fn find(&self, root: NodeId, path: &[u8]) -> Option<NodeId> {
        let (dirs, last) = match path.iter().rposition(|&b| b == b'/') {
            Some(cut) => (&path[..cut], &path[cut + 1..]),
            None => (&b""[..], path),
        };
        let mut walk = Walk::new(root, dirs);
        while let Some(name) = walk.next_name() {
            let child = self.child(walk.at(), &name)?;
            match self.node(child).symlink() {
                Some(target) => walk.follow(target).ok()?,
                None => walk.enter(child),
            }
        }
        self.child(walk.at(), last)
    }

    /// Lays the directory `upper` over `lower`.
    fn merge(&mut self, lower: NodeId, upper: NodeId) {
        let mut todo = vec![(lower, upper)];
        while let Some((lower, upper)) = todo.pop() {
            let Some(over) = self.dir_mut(upper).map(std::mem::take) else { continue };
            if over.explicit || upper_is_root_with_time(self, lower, upper) {
                self.take_attributes(lower, upper, over.explicit);
            }
            let Some(mut under) = self.nodes[lower.index()].dir.take() else { continue };
            if over.opaque {
                under.children.clear();
            }
            for name in &over.whiteouts {
                under.children.remove(name);
            }
            for (name, child) in over.children {
                match under.children.get(&name) {
                    Some(&old)
                        if self.node(old).kind == FileKind::Directory
                            && self.node(child).kind == FileKind::Directory =>
                    {
                        todo.push((old, child));
                    }
                    _ => {
                        under.children.insert(name, child);
                    }
                }
            }
            self.nodes[lower.index()].dir = Some(under);
        }
    }

    fn take_attributes(&mut self, lower: NodeId, upper: NodeId, all: bool) {
        let from = &mut self.nodes[upper.index()];
        let (mode, uid, gid, mtime) = (from.mode, from.uid, from.gid, from.mtime);
        let xattrs = std::mem::take(&mut from.xattrs);
        let to = &mut self.nodes[lower.index()];
        to.mtime = mtime;
        if all {
            (to.mode, to.uid, to.gid, to.xattrs) = (mode, uid, gid, xattrs);
        }
    }
}

/// A layer's root says only its time.
fn upper_is_root_with_time(tree: &Tree, lower: NodeId, upper: NodeId) -> bool {
    lower == tree.root && tree.node(upper).mtime != Timespec { sec: 0, nsec: 0 }
}

fn bad_path(path: &[u8], why: &str) -> Error {
    Error::InvalidTar(format!("{}: {why}", show(path)))
}

/// The state of a path walk that cannot leave its root.
struct Walk {
    /// The way from the root; never empty.
    way: Vec<NodeId>,
    /// Components still to go, the next one last.
    rest: Vec<Box<[u8]>>,
    links: usize,
}

impl Walk {
    fn new(root: NodeId, path: &[u8]) -> Walk {
        let mut walk = Walk { way: vec![root], rest: Vec::new(), links: 0 };
        walk.push(path);
        walk
    }

    fn push(&mut self, path: &[u8]) {
        let names = path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".");
        self.rest.extend(names.rev().map(Box::from));
    }

    fn at(&self) -> NodeId {
        self.way[self.way.len() - 1]
    }

    /// The next component that is a name; `..` is done here.
    fn next_name(&mut self) -> Option<Box<[u8]>> {
        loop {
            let name = self.rest.pop()?;
            if *name != *b".." {
                return Some(name);
            }
            if self.way.len() > 1 {
                self.way.pop();
            }
        }
    }

    fn enter(&mut self, dir: NodeId) {
        self.way.push(dir);
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), &'static str> {
        self.links += 1;
        if self.links > SYMLINKS_MAX {
            return Err("too many levels of symbolic links");
        }
        if target.first() == Some(&b'/') {
            self.way.truncate(1);
        }
        self.push(target);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
