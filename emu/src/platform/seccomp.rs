//! seccomp(2) user notification: the structures and ioctls of `linux/seccomp.h`, typed.

use crate::errno::Errno;
use carrack_syscalls::SockFilter;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::io;

/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Notif {
    pub(crate) id: u64,
    /// Thread id of the caller, in the listener's pid namespace.
    pub(crate) pid: u32,
    pub(crate) flags: u32,
    pub(crate) nr: i32,
    pub(crate) arch: u32,
    pub(crate) instruction_pointer: u64,
    pub(crate) args: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct NotifResp {
    id: u64,
    val: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct NotifAddfd {
    id: u64,
    flags: u32,
    srcfd: u32,
    newfd: u32,
    newfd_flags: u32,
}

const _: () =
    assert!(size_of::<Notif>() == 80 && size_of::<NotifResp>() == 24 && size_of::<NotifAddfd>() == 24);

const IOCTL_RECV: libc::c_ulong = 0xc050_2100;
const IOCTL_SEND: libc::c_ulong = 0xc018_2101;
const IOCTL_ID_VALID: libc::c_ulong = 0x4008_2102;
const IOCTL_ADDFD: libc::c_ulong = 0x4018_2103;
const IOCTL_SET_FLAGS: libc::c_ulong = 0x4008_2104;

const FLAG_CONTINUE: u32 = 1;
const ADDFD_SETFD: u32 = 1;
const ADDFD_SEND: u32 = 2;
const SYNC_WAKE_UP: u64 = 1;

/// SECCOMP_FILTER_FLAG_NEW_LISTENER and SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV.
pub(crate) const FILTER_NEW_LISTENER: libc::c_ulong = 1 << 3;
pub(crate) const FILTER_WAIT_KILLABLE: libc::c_ulong = 1 << 5;

/// Why an answer did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The caller is gone (killed), or nobody uses the filter any more. Never fatal.
    Gone,
    /// The guest's descriptor table is full.
    TableFull,
    /// Anything else, by number.
    Other(i32),
}

fn ioctl<T>(fd: RawFd, request: libc::c_ulong, arg: *mut T) -> io::Result<i32> {
    // SAFETY: every caller passes the structure that belongs to the request, alive and exclusively borrowed for the call.
    let r = unsafe { libc::ioctl(fd, request, arg) };
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r) }
}

/// Waits for the next notification. `None`: woken without one (the caller died meanwhile).
pub(crate) fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<Notif>> {
    let mut notif = Notif::default();
    match ioctl(listener.as_raw_fd(), IOCTL_RECV, &mut notif) {
        Ok(_) => Ok(Some(notif)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINTR | libc::ENOENT)) => Ok(None),
        Err(e) => Err(e),
    }
}

fn send(listener: BorrowedFd<'_>, mut resp: NotifResp) -> Result<(), SendError> {
    match ioctl(listener.as_raw_fd(), IOCTL_SEND, &mut resp) {
        Ok(_) => Ok(()),
        Err(e) => match e.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => Err(SendError::Gone),
            other => Err(SendError::Other(other.unwrap_or(0))),
        },
    }
}

/// The call returns `val`.
pub(crate) fn answer_value(listener: BorrowedFd<'_>, id: u64, val: i64) -> Result<(), SendError> {
    send(listener, NotifResp { id, val, error: 0, flags: 0 })
}

/// The call fails with this error (or restart) code.
pub(crate) fn answer_error(listener: BorrowedFd<'_>, id: u64, errno: Errno) -> Result<(), SendError> {
    send(listener, NotifResp { id, val: 0, error: -errno.code(), flags: 0 })
}

/// The host kernel carries the call out as it stands.
pub(crate) fn answer_continue(listener: BorrowedFd<'_>, id: u64) -> Result<(), SendError> {
    send(listener, NotifResp { id, val: 0, error: 0, flags: FLAG_CONTINUE })
}

/// Puts `fd` into the caller's table at its lowest free number. `finish`: the call returns that number.
pub(crate) fn add_fd(
    listener: BorrowedFd<'_>,
    id: u64,
    fd: &OwnedFd,
    cloexec: bool,
    finish: bool,
) -> Result<i32, SendError> {
    let mut addfd = NotifAddfd {
        id,
        flags: if finish { ADDFD_SEND } else { 0 },
        srcfd: fd.as_raw_fd() as u32,
        newfd: 0,
        newfd_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
    };
    loop {
        match ioctl(listener.as_raw_fd(), IOCTL_ADDFD, &mut addfd) {
            Ok(n) => return Ok(n),
            Err(e) => match e.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::ENOENT | libc::ESRCH | libc::EINPROGRESS) => return Err(SendError::Gone),
                Some(libc::EMFILE) => return Err(SendError::TableFull),
                other => return Err(SendError::Other(other.unwrap_or(0))),
            },
        }
    }
}

/// Puts `fd` into the caller's table in place of what is at `at`, as dup2 would.
pub(crate) fn replace_fd(
    listener: BorrowedFd<'_>,
    id: u64,
    fd: &OwnedFd,
    at: i32,
    cloexec: bool,
) -> Result<(), SendError> {
    let mut addfd = NotifAddfd {
        id,
        flags: ADDFD_SETFD,
        srcfd: fd.as_raw_fd() as u32,
        newfd: at as u32,
        newfd_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
    };
    loop {
        match ioctl(listener.as_raw_fd(), IOCTL_ADDFD, &mut addfd) {
            Ok(_) => return Ok(()),
            Err(e) => match e.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::ENOENT | libc::ESRCH | libc::EINPROGRESS) => return Err(SendError::Gone),
                other => return Err(SendError::Other(other.unwrap_or(0))),
            },
        }
    }
}

/// Whether the caller of a notification is still waiting for its answer.
pub(crate) fn is_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    let mut id = id;
    ioctl(listener.as_raw_fd(), IOCTL_ID_VALID, &mut id).is_ok()
}

/// Whether waking the receiver stays on the caller's CPU (Linux 6.6; ignored before).
pub(crate) fn set_sync(listener: BorrowedFd<'_>, sync: bool) -> io::Result<()> {
    let flags = if sync { SYNC_WAKE_UP } else { 0 };
    // SAFETY: the argument of this request is a plain number.
    let r = unsafe { libc::ioctl(listener.as_raw_fd(), IOCTL_SET_FLAGS, flags) };
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `struct sock_fprog`, for the child that installs a filter.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SockFprog {
    pub(crate) len: u16,
    pub(crate) filter: *const SockFilter,
}
