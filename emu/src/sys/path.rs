//! Path arguments: what almost every call of this half of the manual begins with.

use super::Call;
use crate::bail;
use crate::errno::Errno;
use crate::task::{Cred, FsStruct};
use crate::vfs::ids::OpenFile;
use crate::vfs::{InodeRef, Kind, Last, Lookup, LookupFlags, Parent, Path, caller};
use carrack_syscalls::arg::{DirFd, Fd, PathPtr};
use std::sync::Arc;

/// The caller as a walker of paths: its credentials, root and working directory as of the start of the call.
#[derive(Debug)]
pub(crate) struct Walker<'c> {
    pub(crate) cx: &'c Call,
    pub(crate) cred: Arc<Cred>,
    pub(crate) fs: FsStruct,
}

/// What a descriptor with an optional path leads to.
#[derive(Debug)]
pub(crate) enum Object {
    Vfs(Path),
    /// A descriptor of the host's kernel that no file system of ours knows.
    Anonymous(i32),
}

/// Where a new name is to be made.
#[derive(Debug)]
pub(crate) struct NewName {
    pub(crate) dir: Path,
    pub(crate) name: Vec<u8>,
}

impl<'c> Walker<'c> {
    pub(crate) fn new(cx: &'c Call) -> Walker<'c> {
        caller::set(cx.tid());
        Walker { cx, cred: cx.cred(), fs: cx.fs() }
    }

    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup { mounts: &self.cx.kernel.mounts, root: &self.fs.root, cred: &self.cred }
    }

    /// Where a walk of `path` begins. EBADF; a descriptor that is no directory's gives ENOTDIR (here or in the walk).
    pub(crate) fn start(&self, dirfd: DirFd, path: &[u8]) -> Result<Path, Errno> {
        if path.first() == Some(&b'/') {
            return Ok(self.fs.root.clone());
        }
        if dirfd.is_cwd() {
            return Ok(self.fs.cwd.clone());
        }
        match self.cx.open_file(dirfd.0)? {
            OpenFile::Vfs(path) => Ok(path),
            OpenFile::Anonymous { .. } => bail!(ENOTDIR),
        }
    }

    /// user_path_at(): what the path names. A path that must not be empty gives ENOENT before the descriptor is judged.
    pub(crate) fn path_at(&self, dirfd: DirFd, path: PathPtr, flags: LookupFlags) -> Result<Path, Errno> {
        let path = self.cx.read_path(path.0.0)?;
        if path.is_empty() && !flags.contains(LookupFlags::EMPTY) {
            bail!(ENOENT);
        }
        let start = self.start(dirfd, &path)?;
        self.lookup().path(&start, &path, flags)
    }

    /// Like [`path_at`](Self::path_at), but an empty path with AT_EMPTY_PATH may lead to any descriptor.
    pub(crate) fn object_at(&self, dirfd: DirFd, path: PathPtr, flags: LookupFlags) -> Result<Object, Errno> {
        let empty_allowed = flags.contains(LookupFlags::EMPTY);
        let path = if path.is_null() && empty_allowed { Vec::new() } else { self.cx.read_path(path.0.0)? };
        if path.is_empty() {
            if !empty_allowed {
                bail!(ENOENT);
            }
            return if dirfd.is_cwd() {
                Ok(Object::Vfs(self.fs.cwd.clone()))
            } else {
                self.object(Fd(dirfd.0))
            };
        }
        let start = self.start(dirfd, &path)?;
        self.lookup().path(&start, &path, flags).map(Object::Vfs)
    }

    /// What a descriptor is of. EBADF.
    pub(crate) fn object(&self, fd: Fd) -> Result<Object, Errno> {
        Ok(match self.cx.open_file(fd.0)? {
            OpenFile::Vfs(path) => Object::Vfs(path),
            OpenFile::Anonymous { .. } => Object::Anonymous(fd.0),
        })
    }

    /// filename_parentat(): the directory of the last component.
    pub(crate) fn parent_at(&self, dirfd: DirFd, path: PathPtr) -> Result<Parent, Errno> {
        let path = self.cx.read_path(path.0.0)?;
        self.parent_of(dirfd, &path)
    }

    /// [`parent_at`](Self::parent_at) of a path that was read already.
    pub(crate) fn parent_of(&self, dirfd: DirFd, path: &[u8]) -> Result<Parent, Errno> {
        if path.is_empty() {
            bail!(ENOENT);
        }
        let start = self.start(dirfd, path)?;
        self.lookup().parent(&start, path, LookupFlags::empty())
    }

    /// mnt_want_write(): EROFS. Also the last look at whether the caller is still there, before something is changed on its
    /// behalf: were it gone, what was read of its memory might be another's.
    pub(crate) fn want_write(&self, path: &Path) -> Result<(), Errno> {
        if path.mnt.is_read_only() {
            bail!(EROFS);
        }
        if !self.cx.door.still_there() {
            bail!(ESRCH, "guest is gone");
        }
        Ok(())
    }

    /// filename_create(): a name that is not there yet. EEXIST; ENOENT for a trailing slash where no directory is wanted;
    /// EROFS last.
    pub(crate) fn create_at(&self, dirfd: DirFd, path: PathPtr, want_dir: bool) -> Result<NewName, Errno> {
        let path = self.cx.read_path(path.0.0)?;
        self.create_of(dirfd, &path, want_dir)
    }

    /// [`create_at`](Self::create_at) of a path that was read already.
    pub(crate) fn create_of(&self, dirfd: DirFd, path: &[u8], want_dir: bool) -> Result<NewName, Errno> {
        let parent = self.parent_of(dirfd, path)?;
        if parent.last != Last::Norm {
            bail!(EEXIST);
        }
        if parent.target_if_any()?.is_some() {
            bail!(EEXIST);
        }
        if parent.trailing_slash && !want_dir {
            bail!(ENOENT);
        }
        self.want_write(&parent.dir)?;
        Ok(NewName { dir: parent.dir, name: parent.name })
    }
}

/// EPERM where a call needs a capability.
pub(crate) fn need(cred: &Cred, cap: crate::task::Caps) -> Result<(), Errno> {
    if cred.capable(cap) { Ok(()) } else { bail!(EPERM) }
}

/// ENOTDIR for everything else.
pub(crate) fn need_dir(inode: &InodeRef) -> Result<(), Errno> {
    if inode.kind() == Kind::Directory { Ok(()) } else { bail!(ENOTDIR) }
}
