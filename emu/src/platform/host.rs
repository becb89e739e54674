//! Host calls that rustix and nix have no typed form for.

use rustix::fd::{AsRawFd, BorrowedFd};

/// kill(2) with any signal number. −1 with errno set on failure.
pub(crate) fn kill(pid: i32, sig: i32) -> libc::c_int {
    // SAFETY: by value.
    unsafe { libc::kill(pid, sig) }
}

/// tgkill(2).
pub(crate) fn tgkill(tgid: i32, tid: i32, sig: i32) -> libc::c_int {
    // SAFETY: by value.
    unsafe { libc::syscall(libc::SYS_tgkill, tgid, tid, sig) as libc::c_int }
}

/// rt_sigqueueinfo(2), or rt_tgsigqueueinfo(2) where a thread is named.
pub(crate) fn sigqueueinfo(tgid: i32, tid: Option<i32>, sig: i32, info: &[u8; 128]) -> libc::c_int {
    // SAFETY: `info` is a whole siginfo_t that lives through the call; the kernel copies it.
    unsafe {
        match tid {
            None => libc::syscall(libc::SYS_rt_sigqueueinfo, tgid, sig, info.as_ptr()) as libc::c_int,
            Some(tid) => {
                libc::syscall(libc::SYS_rt_tgsigqueueinfo, tgid, tid, sig, info.as_ptr()) as libc::c_int
            }
        }
    }
}

/// pidfd_send_signal(2) with a siginfo.
pub(crate) fn pidfd_send_siginfo(
    pidfd: BorrowedFd<'_>,
    sig: i32,
    info: &[u8; 128],
    flags: u32,
) -> libc::c_int {
    // SAFETY: as for `sigqueueinfo`.
    unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), sig, info.as_ptr(), flags)
            as libc::c_int
    }
}

/// The signal that wakes a thread of ours out of a blocking call.
const WAKE: libc::c_int = libc::SIGURG;

extern "C" fn nothing(_: libc::c_int) {}

/// Makes [`wake_thread`] interrupt a blocking call with EINTR and do nothing else.
pub(crate) fn make_wake_signal_interrupt() {
    // SAFETY: `action` is a whole sigaction; its handler does nothing, so it is safe at any moment.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(WAKE, &raw const action, std::ptr::null_mut());
    }
}

/// Interrupts the blocking call that a thread of this process is in.
pub(crate) fn wake_thread(tid: i32) {
    // SAFETY: getpid cannot fail; tgkill is by value.
    let own = unsafe { libc::getpid() };
    tgkill(own, tid, WAKE);
}

/// prlimit64(2) of another process, reading: (soft, hard). `None` when it is gone.
pub(crate) fn prlimit_get(pid: i32, resource: u32) -> Option<(u64, u64)> {
    // SAFETY: `old` is a whole rlimit64 that lives through the call; nothing is set.
    unsafe {
        let mut old: libc::rlimit64 = std::mem::zeroed();
        let r = libc::prlimit64(pid, resource, std::ptr::null(), &raw mut old);
        (r == 0).then_some((old.rlim_cur, old.rlim_max))
    }
}

/// Whether somebody has the file of `fd` (open for reading only) open for writing. A read lease is granted only when nobody
/// has; it is given back at once.
pub(crate) fn is_open_for_writing(fd: BorrowedFd<'_>) -> bool {
    const F_SETSIG: libc::c_int = 10;
    let fd = fd.as_raw_fd();
    // SAFETY: fcntl with integer arguments touches no memory of ours.
    unsafe {
        // Whoever opens it in that instant makes the kernel notify us: by a signal that is harmless here.
        libc::fcntl(fd, F_SETSIG, WAKE);
        if libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) != 0 {
            return nix::errno::Errno::last() == nix::errno::Errno::EAGAIN;
        }
        libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK);
    }
    false
}

fn check(r: libc::c_int) -> Result<libc::c_int, rustix::io::Errno> {
    if r < 0 { Err(rustix::io::Errno::from_raw_os_error(nix::errno::Errno::last_raw())) } else { Ok(r) }
}

/// An ioctl(2) command that gives an int.
pub(crate) fn ioctl_get_int(fd: BorrowedFd<'_>, cmd: u32) -> Result<i32, rustix::io::Errno> {
    let mut value: libc::c_int = 0;
    // SAFETY: callers pass commands whose argument is a pointer to an int; `value` lives through the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::c_ulong::from(cmd), &raw mut value) })?;
    Ok(value)
}

const F_SETOWN_EX: libc::c_int = 15;
const F_GETOWN_EX: libc::c_int = 16;
const F_SETSIG: libc::c_int = 10;
const F_GETSIG: libc::c_int = 11;

/// F_SETOWN_EX: `kind` is one of F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP.
pub(crate) fn set_owner(fd: BorrowedFd<'_>, kind: i32, pid: i32) -> Result<(), rustix::io::Errno> {
    let owner = [kind, pid];
    // SAFETY: `owner` has the layout of struct f_owner_ex and lives through the call; the kernel only reads it.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETOWN_EX, owner.as_ptr()) }).map(drop)
}

/// F_GETOWN_EX: type and pid.
pub(crate) fn get_owner(fd: BorrowedFd<'_>) -> Result<[i32; 2], rustix::io::Errno> {
    let mut owner = [0i32; 2];
    // SAFETY: `owner` has the layout of struct f_owner_ex and lives through the call.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETOWN_EX, owner.as_mut_ptr()) })?;
    Ok(owner)
}

/// F_SETSIG.
pub(crate) fn set_signal(fd: BorrowedFd<'_>, sig: i32) -> Result<(), rustix::io::Errno> {
    // SAFETY: by value.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETSIG, sig) }).map(drop)
}

/// F_GETSIG.
pub(crate) fn get_signal(fd: BorrowedFd<'_>) -> Result<i32, rustix::io::Errno> {
    // SAFETY: by value.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETSIG) })
}

/// prlimit64(2) of another process, writing. A failure leaves it as it is.
pub(crate) fn prlimit_set(pid: i32, resource: u32, soft: u64, hard: u64) {
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `new` is a whole rlimit64 that lives through the call.
    unsafe { libc::prlimit64(pid, resource, &raw const new, std::ptr::null_mut()) };
}
