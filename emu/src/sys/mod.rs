//! Handlers of emulated system calls, one file per family of section 2 of the manual.
//!
//! A handler gets a [`Call`] and the typed arguments of its row in the table, and returns an [`Outcome`]. It never writes
//! registers, never answers the notification itself, and does not know how the call entered.

mod access;
mod attr;
pub(crate) mod block;
mod call;
mod cred;
mod dir;
pub(crate) mod exec;
mod fcntl;
mod image;
mod inotify;
mod ioctl;
mod link;
mod mount;
mod net;
mod open;
mod path;
mod prctl;
mod process;
mod ptrace;
mod reissue;
mod sched;
mod seccomp;
pub(crate) mod signal;
mod stat;
mod sync;
mod terminal;
mod umask;
mod uts;
mod xattr;

pub use call::{Call, Door, PATH_MAX};

pub(crate) use access::{access, faccessat, faccessat2};
pub(crate) use attr::{
    chmod, chown, fchmod, fchmodat, fchmodat2, fchown, fchownat, futimesat, lchown, truncate, utime,
    utimensat, utimes,
};
pub(crate) use cred::*;
pub(crate) use dir::{chdir, chroot, fchdir, getcwd, getdents, getdents64, mkdir, mkdirat, rmdir};
pub(crate) use exec::{execve, execveat};
pub(crate) use fcntl::fcntl;
pub(crate) use inotify::inotify_add_watch;
pub(crate) use ioctl::ioctl;
pub(crate) use link::{
    link, linkat, mknod, mknodat, readlink, readlinkat, rename, renameat, renameat2, symlink, symlinkat,
    unlink, unlinkat,
};
pub(crate) use mount::{mount, pivot_root, umount2};
pub(crate) use net::*;
pub(crate) use open::{creat, name_to_handle_at, open, openat, openat2};
pub(crate) use prctl::{personality, prctl};
pub(crate) use process::*;
pub(crate) use ptrace::{
    get_robust_list, migrate_pages, move_pages, process_vm_readv, process_vm_writev, ptrace,
};
pub(crate) use reissue::{reissue, set_call, stopped_after_call};
pub(crate) use sched::*;
pub(crate) use seccomp::seccomp;
pub(crate) use signal::{
    kill, pidfd_getfd, pidfd_open, pidfd_send_signal, rt_sigaction, rt_sigqueueinfo, rt_tgsigqueueinfo,
    tgkill, tkill,
};
pub(crate) use stat::{dev_of, fstat, fstatfs, lstat, newfstatat, stat, statfs, statx, ustat};
pub(crate) use sync::{fdatasync, fsync, sync, syncfs};
pub(crate) use umask::umask;
pub(crate) use uts::*;
pub(crate) use xattr::{
    fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, lgetxattr, listxattr, llistxattr, lremovexattr,
    lsetxattr, removexattr, setxattr,
};

use crate::errno::Errno;
use std::os::fd::OwnedFd;

/// What a handler wants to happen to the caller.
#[derive(Debug)]
pub enum Outcome {
    /// The call returns this value.
    Value(i64),
    /// The call returns a new descriptor of the guest: the lowest free number, as if the guest had opened it.
    Fd { fd: OwnedFd, cloexec: bool },
    /// The host kernel carries out the call as it is. Only where every argument is passed by value, or where what memory
    /// holds cannot matter to anyone but the caller itself; the row says why.
    Continue,
    /// Somebody else has answered, or will (the exec protocol, a parked call).
    Answered,
}

pub type SysResult = Result<Outcome, Errno>;

/// `Ok(Outcome::Value(0))`.
pub const OK: SysResult = Ok(Outcome::Value(0));

/// A handler's successful number.
pub fn value<T: Into<i64>>(v: T) -> SysResult {
    Ok(Outcome::Value(v.into()))
}

#[cfg(test)]
mod tests;
