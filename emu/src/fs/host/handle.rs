//! An O_PATH descriptor of a host file, and the host calls made through it.

use super::single;
use crate::errno::{Errno, host};
use crate::vfs::{Ino, Kind};
use crate::{bail, err};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno as HostErrno;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub(super) fd: Arc<OwnedFd>,
    pub(super) ino: Ino,
    pub(super) dev: u64,
    /// The host's type; a device that is kept beside an empty file is a regular file here.
    pub(super) kind: Kind,
}

impl Handle {
    pub(super) fn new(fd: OwnedFd) -> Result<Handle, Errno> {
        let stat = rustix::fs::fstat(&fd).map_err(host)?;
        let kind = Kind::from_mode(stat.st_mode).ok_or(err!(EIO))?;
        Ok(Handle { fd: Arc::new(fd), ino: stat.st_ino, dev: stat.st_dev, kind })
    }

    /// One step down, beneath and without following anything.
    pub(super) fn lookup(&self, name: &[u8]) -> Result<Handle, Errno> {
        let name = OsStr::from_bytes(single(name)?);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let opened = match rustix::fs::openat2(&*self.fd, name, flags, Mode::empty(), resolve) {
            // Before 5.6, and under seccomp filters that do not know it. A single name cannot lead up.
            Err(HostErrno::NOSYS | HostErrno::PERM) => {
                rustix::fs::openat(&*self.fd, name, flags, Mode::empty())
            }
            other => other,
        };
        Handle::new(opened.map_err(host)?)
    }

    pub(super) fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(&*self.fd).map_err(host)
    }

    /// A name for the file itself that the supervisor alone can use.
    pub(super) fn proc_path(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }

    /// Opens the file itself.
    pub(super) fn reopen(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        if self.kind == Kind::Symlink {
            bail!(ELOOP);
        }
        rustix::fs::open(self.proc_path(), flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
            .map_err(host)
    }

    /// Where the host says it is; `None` when it was removed.
    pub(super) fn host_path(&self) -> Option<Vec<u8>> {
        let path = rustix::fs::readlinkat(CWD, self.proc_path(), Vec::new()).ok()?.into_bytes();
        let gone = path.ends_with(b" (deleted)") && self.stat().is_ok_and(|s| s.st_nlink == 0);
        (path.first() == Some(&b'/') && !gone).then_some(path)
    }

    pub(super) fn is(&self, other: &Handle) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}
