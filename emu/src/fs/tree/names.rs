//! Names come and go: create, tmpfile, link, unlink, rmdir, and readdir.

use super::attr::touch;
use super::node::{Body, Data, Dir, Entry, Name, Node, State};
use super::record::Touched;
use super::{Backing, Tree};
use crate::errno::Errno;
use crate::fs::{NAME_MAX, now};
use crate::vfs::{CreateKind, DirEntry, Ino, InodeRef, Kind};
use crate::{bail, err};

/// Largest number of names of a file, as ext4 has it.
const LINK_MAX: u32 = 65000;

/// PATH_MAX bounds symlink targets.
const SYMLINK_MAX: usize = 4095;

/// Readdir position of the image's first name; 1 and 2 belong to `.` and `..`.
const IMAGE_FIRST: u64 = 3;

/// Readdir position before the first name that the image does not have.
const OWN_FIRST: u64 = 1 << 40;

/// How many names are read under the lock at a time.
const BATCH: usize = 256;

pub(super) fn check_name(name: &[u8]) -> Result<(), Errno> {
    if name.len() > NAME_MAX {
        bail!(ENAMETOOLONG);
    }
    Ok(())
}

impl<B: Backing> Tree<B> {
    pub(super) fn create_in(
        &self,
        dir: Ino,
        name: &[u8],
        kind: CreateKind,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<InodeRef, Errno> {
        check_name(name)?;
        let mut state = self.state.write();
        match state.lookup(self.lower(), dir, name) {
            Ok(_) => bail!(EEXIST),
            Err(e) if e.code() != libc::ENOENT => return Err(e),
            Err(_) if state.nlink(self.lower(), dir) == 0 => bail!(ENOENT, "the directory was removed"),
            Err(_) => {}
        }
        let (file_type, rdev, data) = match kind {
            CreateKind::Regular => (libc::S_IFREG, 0, Data::Regular(Body::Empty)),
            CreateKind::Directory => (libc::S_IFDIR, 0, Data::Directory(Dir::default())),
            CreateKind::Symlink(target) if target.len() > SYMLINK_MAX => bail!(ENAMETOOLONG),
            CreateKind::Symlink(target) => (libc::S_IFLNK, 0, Data::Symlink(target)),
            CreateKind::Device(kind, rdev) => (kind.mode_bits(), rdev, Data::Special),
            CreateKind::Fifo => (libc::S_IFIFO, 0, Data::Special),
            CreateKind::Socket => (libc::S_IFSOCK, 0, Data::Special),
        };
        let now = now();
        let is_dir = matches!(data, Data::Directory(_));
        let ino = state.allocate(self.lower())?;
        let parent = state.node_mut(self.lower(), dir)?;
        touch(parent, now);
        if is_dir {
            parent.meta.nlink += 1;
        }
        state.nodes.insert(ino, Node::new(file_type | (mode & 0o7777), uid, gid, rdev, data, now));
        state.put(self.lower(), dir, name, Some(ino))?;
        let touched = Touched { nodes: vec![ino, dir], names: vec![(dir, Name::from(name))], xattrs: vec![] };
        self.commit(&state, &touched)?;
        self.handle(&state, ino)
    }

    /// A regular file that is an orphan from the start.
    pub(super) fn tmpfile_in(&self, dir: Ino, mode: u32, uid: u32, gid: u32) -> Result<InodeRef, Errno> {
        let mut state = self.state.write();
        if state.kind(self.lower(), dir)? != Kind::Directory {
            bail!(ENOTDIR);
        }
        let ino = state.allocate(self.lower())?;
        let mut node =
            Node::new(libc::S_IFREG | (mode & 0o7777), uid, gid, 0, Data::Regular(Body::Empty), now());
        node.meta.nlink = 0;
        node.linkable = true;
        state.nodes.insert(ino, node);
        state.orphans.insert(ino);
        self.commit(&state, &Touched::node(ino))?;
        self.handle(&state, ino)
    }

    pub(super) fn link_in(&self, dir: Ino, name: &[u8], target: Ino) -> Result<(), Errno> {
        check_name(name)?;
        let mut state = self.state.write();
        match state.lookup(self.lower(), dir, name) {
            Ok(_) => bail!(EEXIST),
            Err(e) if e.code() != libc::ENOENT => return Err(e),
            Err(_) if state.nlink(self.lower(), dir) == 0 => bail!(ENOENT, "the directory was removed"),
            Err(_) => {}
        }
        if state.kind(self.lower(), target)? == Kind::Directory {
            bail!(EPERM);
        }
        let now = now();
        let node = state.node_mut(self.lower(), target)?;
        if node.meta.nlink == 0 && !node.linkable {
            bail!(ENOENT, "the file was removed");
        }
        if node.meta.nlink >= LINK_MAX {
            bail!(EMLINK);
        }
        node.meta.nlink += 1;
        node.meta.ctime = now;
        node.linkable = false;
        state.orphans.remove(&target);
        touch(state.node_mut(self.lower(), dir)?, now);
        state.put(self.lower(), dir, name, Some(target))?;
        let touched =
            Touched { nodes: vec![target, dir], names: vec![(dir, Name::from(name))], xattrs: vec![] };
        self.commit(&state, &touched)
    }

    pub(super) fn remove_in(&self, dir: Ino, name: &[u8], directory: bool) -> Result<(), Errno> {
        check_name(name)?;
        {
            let mut state = self.state.write();
            let ino = state.lookup(self.lower(), dir, name)?;
            match (state.kind(self.lower(), ino)?, directory) {
                (Kind::Directory, false) => bail!(EISDIR),
                (Kind::Directory, true) if !state.is_empty(self.lower(), ino) => bail!(ENOTEMPTY),
                (Kind::Directory, true) | (_, false) => {}
                (_, true) => bail!(ENOTDIR),
            }
            let now = now();
            let parent = state.node_mut(self.lower(), dir)?;
            touch(parent, now);
            if directory {
                parent.meta.nlink = parent.meta.nlink.saturating_sub(1);
            }
            self.drop_name(&mut state, ino)?;
            state.put(self.lower(), dir, name, None)?;
            if let Some(node) = state.nodes.get_mut(&ino)
                && node.meta.nlink == 0
            {
                // `..` of a removed directory still leads up, and whoever has a removed file open may ask for its name.
                node.alias = Some((dir, Name::from(name)));
            }
            let touched =
                Touched { nodes: vec![ino, dir], names: vec![(dir, Name::from(name))], xattrs: vec![] };
            self.commit(&state, &touched)?;
        }
        Ok(())
    }

    /// One name less; none left makes an orphan.
    pub(super) fn drop_name(&self, state: &mut State, ino: Ino) -> Result<(), Errno> {
        let node = state.node_mut(self.lower(), ino)?;
        node.meta.ctime = now();
        node.meta.nlink = match node.data {
            Data::Directory(_) => 0,
            _ => node.meta.nlink.saturating_sub(1),
        };
        if node.meta.nlink == 0 {
            state.orphans.insert(ino);
        }
        Ok(())
    }

    pub(super) fn read_dir(
        &self,
        dir: Ino,
        pos: u64,
        emit: &mut dyn FnMut(DirEntry) -> bool,
    ) -> Result<(), Errno> {
        let mut pos = pos;
        loop {
            let batch = self.batch(dir, pos)?;
            let Some(last) = batch.last() else { return Ok(()) };
            pos = last.next;
            for entry in batch {
                if !emit(entry) {
                    return Ok(());
                }
            }
        }
    }

    /// The next entries from `pos` on: the image's names, with what they lead to now, then our own in order of creation.
    fn batch(&self, dir: Ino, pos: u64) -> Result<Vec<DirEntry>, Errno> {
        let state = self.state.read();
        let own = match state.nodes.get(&dir) {
            Some(node) if node.meta.nlink == 0 => return Ok(Vec::new()),
            Some(node) => Some(node.dir()?),
            None if state.dead.contains(&dir) => return Ok(Vec::new()),
            None if state.kind(self.lower(), dir)? != Kind::Directory => bail!(ENOTDIR),
            None => None,
        };
        let mut out = Vec::new();
        if pos < OWN_FIRST {
            let mut i = pos.saturating_sub(IMAGE_FIRST);
            while out.len() < BATCH
                && let Some((name, ino, kind)) =
                    self.lower.dir_entry(dir, usize::try_from(i).unwrap_or(usize::MAX))
            {
                i += 1;
                let (ino, kind) = match own.and_then(|d| d.names.get(name)) {
                    None => (ino, kind),
                    Some(Entry { ino: 0, .. }) => continue,
                    Some(entry) => (entry.ino, state.kind(self.lower(), entry.ino)?),
                };
                out.push(DirEntry { name: name.to_vec(), ino, kind, next: IMAGE_FIRST + i });
            }
        }
        let Some(own) = own else { return Ok(out) };
        for (position, name) in own.order.range(pos.saturating_sub(OWN_FIRST)..) {
            if out.len() >= BATCH {
                break;
            }
            let ino = own.names.get(name).map(|e| e.ino).ok_or(err!(EIO))?;
            let kind = state.kind(self.lower(), ino)?;
            out.push(DirEntry { name: name.to_vec(), ino, kind, next: OWN_FIRST + position + 1 });
        }
        Ok(out)
    }
}
