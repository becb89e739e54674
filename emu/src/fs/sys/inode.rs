//! Inodes of sysfs and cgroup2: a row, or a file of the host's below one.

use super::rows::What;
use super::{SysFs, host};
use crate::errno::{Errno, host as host_errno};
use crate::fs::proc::table::Entry;
use crate::vfs::{
    Attr, DirEntry, Ino, Inode, InodeRef, Kind, OpenRequest, Opened, SbId, SetAttr, SuperBlock,
};
use crate::{bail, err};
use rustix::fs::{CWD, Mode, OFlags};
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Which file.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Row(usize),
    /// A path below `/sys`, ours and the host's, and its inode number.
    Host(Ino, Arc<str>),
}

/// A file of sysfs or cgroup2.
#[derive(Debug)]
pub(super) struct SysInode {
    pub(super) fs: Arc<SysFs>,
    pub(super) node: Node,
}

impl SysInode {
    fn entry(&self) -> Option<&'static Entry<What>> {
        match &self.node {
            Node::Row(row) => self.fs.table().get(*row),
            Node::Host(..) => None,
        }
    }

    fn what(&self) -> What {
        match &self.node {
            Node::Row(_) => self.entry().and_then(|e| e.row).map_or(What::Dir, |row| row.what),
            Node::Host(..) => What::Host,
        }
    }

    fn path(&self) -> &str {
        match &self.node {
            Node::Row(_) => self.entry().map_or("", |e| e.path),
            Node::Host(_, path) => path,
        }
    }

    fn host_stat(&self) -> Result<rustix::fs::Stat, Errno> {
        let path = host::path(self.path());
        let is_interface = self.path().rsplit_once('/').is_some_and(|(dir, _)| dir == "class/net");
        let st = if is_interface { rustix::fs::stat(path) } else { rustix::fs::lstat(path) };
        st.map_err(|_| err!(ENOENT))
    }

    fn open_host(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::open(host::path(self.path()), flags, Mode::empty()).map_err(host_errno)
    }

    /// Directory position of a name that the host has, from its number: they come sorted by it.
    fn child_of_host(&self, name: &str) -> Result<Node, Errno> {
        host::node(&self.fs, &format!("{}/{name}", self.path()))
    }

    fn open_file(&self) -> Result<OwnedFd, Errno> {
        let text = match self.what() {
            What::Host => return self.open_host(),
            What::Text(text) => text.as_bytes().to_vec(),
            What::Make(make) => make(&*self.fs.kernel()?)?,
            What::Dir | What::Net => bail!(EISDIR),
        };
        self.fs.bodies.snapshot(self.ino(), &text)
    }
}

impl Inode for SysInode {
    fn sb(&self) -> Arc<dyn SuperBlock> {
        self.fs.clone()
    }

    fn sb_id(&self) -> SbId {
        self.fs.id
    }

    fn ino(&self) -> Ino {
        match &self.node {
            Node::Row(row) => *row as Ino + 1,
            Node::Host(ino, _) => *ino,
        }
    }

    fn kind(&self) -> Kind {
        match &self.node {
            Node::Row(_) => self.entry().map_or(Kind::Regular, Entry::kind),
            Node::Host(..) => {
                self.host_stat().ok().and_then(|st| Kind::from_mode(st.st_mode)).unwrap_or(Kind::Regular)
            }
        }
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let born = self.fs.born;
        let mut attr = Attr { ino: self.ino(), nlink: 1, blksize: 4096, ..Attr::default() };
        (attr.atime, attr.mtime, attr.ctime) = (born, born, born);
        match &self.node {
            Node::Row(row) => {
                attr.mode = self.entry().map_or(libc::S_IFDIR | 0o555, |e| e.mode);
                attr.nlink = self.fs.table().nlink(*row);
            }
            Node::Host(..) => {
                let st = self.host_stat()?;
                // Nothing of the host's is written to.
                attr.mode = if attr_is_link(&st) { st.st_mode } else { st.st_mode & !0o222 };
                attr.nlink = u32::try_from(st.st_nlink).unwrap_or(1);
            }
        }
        if attr.kind() == Kind::Regular && self.fs.flavor == super::Flavor::Sysfs {
            attr.size = 4096;
        }
        Ok(attr)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        if self.kind() != Kind::Directory {
            bail!(ENOTDIR);
        }
        if let Node::Row(row) = &self.node
            && let Some(child) = self.fs.table().child(*row, name)
        {
            return self.fs.at(Node::Row(child));
        }
        let name = std::str::from_utf8(name).map_err(|_| err!(ENOENT))?;
        match self.what() {
            What::Host | What::Net => self.fs.at(self.child_of_host(name)?),
            _ => bail!(ENOENT),
        }
    }

    fn parent(&self) -> Option<InodeRef> {
        if self.kind() == Kind::Directory { self.alias().map(|(dir, _)| dir) } else { None }
    }

    fn alias(&self) -> Option<(InodeRef, Vec<u8>)> {
        let (dir, name) = match &self.node {
            Node::Row(0) => return None,
            Node::Row(_) => {
                let entry = self.entry()?;
                (Node::Row(entry.parent), entry.name)
            }
            Node::Host(_, path) => {
                let (dir, name) = path.rsplit_once('/')?;
                let above = match self.fs.table().find(dir.as_bytes()) {
                    Some(row) => Node::Row(row),
                    None => host::node(&self.fs, dir).ok()?,
                };
                (above, name)
            }
        };
        Some((self.fs.at(dir).ok()?, name.as_bytes().to_vec()))
    }

    fn readdir(&self, pos: u64, emit: &mut dyn FnMut(DirEntry) -> bool) -> Result<(), Errno> {
        if self.kind() != Kind::Directory {
            bail!(ENOTDIR);
        }
        let mut next = 2;
        if let Some(entry) = self.entry() {
            for &child in &entry.children {
                next += 1;
                let Some(entry) = self.fs.table().get(child) else { continue };
                let name = entry.name.as_bytes().to_vec();
                let entry = DirEntry { name, ino: child as Ino + 1, kind: entry.kind(), next };
                if next > pos && !emit(entry) {
                    return Ok(());
                }
            }
        }
        if matches!(self.what(), What::Host | What::Net) {
            // The host's names are few and hardly change: their place in the sorted list will do.
            for name in host::names(&self.fs, self.path()) {
                next += 1;
                if next <= pos {
                    continue;
                }
                let Ok(node) = self.child_of_host(&name) else { continue };
                let inode = SysInode { fs: self.fs.clone(), node };
                let entry = DirEntry { name: name.into_bytes(), ino: inode.ino(), kind: inode.kind(), next };
                if !emit(entry) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn readlink(&self) -> Result<Vec<u8>, Errno> {
        match &self.node {
            Node::Host(..) if self.kind() == Kind::Symlink => {
                let text =
                    rustix::fs::readlinkat(CWD, host::path(self.path()), Vec::new()).map_err(host_errno)?;
                Ok(text.into_bytes())
            }
            _ => bail!(EINVAL),
        }
    }

    fn setattr(&self, set: &SetAttr) -> Result<(), Errno> {
        // What open(2) with O_TRUNC does to it.
        let only_size = SetAttr { size: None, ..*set } == SetAttr::default();
        if only_size { Ok(()) } else { bail!(EPERM) }
    }

    fn open(&self, how: &OpenRequest) -> Result<Opened, Errno> {
        if how.flags & libc::O_ACCMODE != libc::O_RDONLY {
            bail!(EACCES, "read-only");
        }
        self.open_file().map(Opened::Fd)
    }

    fn open_body(&self) -> Result<OwnedFd, Errno> {
        self.open_file()
    }
}

fn attr_is_link(st: &rustix::fs::Stat) -> bool {
    st.st_mode & libc::S_IFMT == libc::S_IFLNK
}
