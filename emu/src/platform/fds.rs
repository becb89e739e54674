//! Guest descriptors as the host knows them: what a descriptor is of, and duplicates of it.

use crate::errno::Errno;
use crate::{bail, err};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, OFlags};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::path::PathBuf;

mod directories;

/// The host name of a descriptor: the text of `/proc/TID/fd/N`. EBADF when the guest has no such descriptor.
pub fn host_name(tid: i32, fd: i32) -> Result<Vec<u8>, Errno> {
    if fd < 0 {
        bail!(EBADF);
    }
    if let Some(name) = directories::read_link(tid, fd) {
        return Ok(name);
    }
    match rustix::fs::readlinkat(CWD, format!("/proc/{tid}/fd/{fd}"), Vec::new()) {
        Ok(name) => Ok(name.into_bytes()),
        Err(rustix::io::Errno::NOENT) => Err(err!(EBADF)),
        Err(_) => Err(err!(EBADF, "host refuses to name the descriptor")),
    }
}

/// stat of the open file behind a descriptor (host's view).
pub fn host_stat(tid: i32, fd: i32) -> Result<rustix::fs::Stat, Errno> {
    if fd < 0 {
        bail!(EBADF);
    }
    rustix::fs::stat(format!("/proc/{tid}/fd/{fd}")).map_err(|_| err!(EBADF))
}

/// The `flags:` line of fdinfo: open(2) flags of the descriptor, O_CLOEXEC included.
pub fn host_flags(tid: i32, fd: i32) -> Result<i32, Errno> {
    let text = std::fs::read_to_string(format!("/proc/{tid}/fdinfo/{fd}")).map_err(|_| err!(EBADF))?;
    for line in text.lines() {
        if let Some(v) = line.strip_prefix("flags:") {
            return i32::from_str_radix(v.trim(), 8).map_err(|_| err!(EBADF));
        }
    }
    bail!(EBADF)
}

/// Whether the guest has as many descriptors as its limit allows. Unknown (older hosts) counts as no.
pub fn is_table_full(tid: i32) -> bool {
    let Ok(st) = rustix::fs::stat(format!("/proc/{tid}/fd")) else { return false };
    // Since Linux 6.2 this is the number of open descriptors.
    let open = u64::try_from(st.st_size).unwrap_or(0);
    let Some((soft, _)) = super::host::prlimit_get(tid, libc::RLIMIT_NOFILE) else { return false };
    if open < soft {
        return false;
    }
    // Numbers above the limit are possible where it was lowered, and leave room below.
    let Ok(all) = std::fs::read_dir(format!("/proc/{tid}/fd")) else { return false };
    let below =
        |name: std::ffi::OsString| name.to_str().and_then(|n| n.parse().ok()).is_some_and(|n: u64| n < soft);
    all.flatten().filter(|e| below(e.file_name())).count() as u64 >= soft
}

/// A duplicate in the supervisor, sharing the open file description where the host allows that.
///
/// `tid` may be any thread; without pidfds of threads (before 6.9) its thread group's leader stands in, which shares
/// descriptors in all but contrived programs.
pub fn duplicate(tid: i32, tgid: i32, fd: i32) -> Result<OwnedFd, Errno> {
    match share(tgid, fd)? {
        Some(fd) => Ok(fd),
        None => reopen(tid, fd),
    }
}

/// [`share`] for a process whose pidfd is at hand.
pub fn share_by(pidfd: &OwnedFd, fd: i32) -> Result<Option<OwnedFd>, Errno> {
    if fd < 0 {
        bail!(EBADF);
    }
    match pidfd_getfd(pidfd.as_fd(), fd, PidfdGetfdFlags::empty()) {
        Ok(d) => Ok(Some(d)),
        Err(rustix::io::Errno::BADF) => Err(err!(EBADF)),
        Err(_) => Ok(None),
    }
}

/// A duplicate that shares the open file description; `None` where the host refuses pidfd_getfd.
pub fn share(tgid: i32, fd: i32) -> Result<Option<OwnedFd>, Errno> {
    if fd < 0 {
        bail!(EBADF);
    }
    let pid = Pid::from_raw(tgid).ok_or(err!(EBADF))?;
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(None) };
    share_by(&pidfd, fd)
}

/// The `pos:` line of fdinfo: the file position of the descriptor.
pub fn host_position(tid: i32, fd: i32) -> Result<u64, Errno> {
    let text = std::fs::read_to_string(format!("/proc/{tid}/fdinfo/{fd}")).map_err(|_| err!(EBADF))?;
    text.lines().find_map(|l| l.strip_prefix("pos:")).and_then(|v| v.trim().parse().ok()).ok_or(err!(EBADF))
}

/// The open file itself cannot be had: files, FIFOs and terminals can be opened a second time through their magic link.
fn reopen(tid: i32, fd: i32) -> Result<OwnedFd, Errno> {
    let flags = host_flags(tid, fd)?;
    let mode =
        OFlags::from_bits_retain((flags & (libc::O_ACCMODE | libc::O_NONBLOCK | libc::O_APPEND)) as u32);
    rustix::fs::open(
        PathBuf::from(format!("/proc/{tid}/fd/{fd}")),
        mode | OFlags::CLOEXEC | OFlags::NOCTTY,
        rustix::fs::Mode::empty(),
    )
    .map_err(|_| err!(EBADF, "host refuses pidfd_getfd and the descriptor cannot be reopened"))
}
