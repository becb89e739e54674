//! Whether a file is open anywhere else, asked of the host with a lease (fcntl(2), F_SETLEASE).

use std::os::fd::{AsRawFd, OwnedFd};

/// `fd`: the only descriptor of its open file, open for reading. True when the host cannot tell.
///
/// A write lease is only granted to the sole opener. It is given back at once; whoever opens the file in that instant
/// waits for that, and the notice that the kernel would send us is SIGURG, which is ignored by default.
pub(crate) fn is_open_elsewhere(fd: &OwnedFd) -> bool {
    const F_SETSIG: libc::c_int = 10;
    // SAFETY: fcntl with integer arguments on a descriptor that is borrowed for the call touches no memory of ours.
    unsafe {
        if libc::fcntl(fd.as_raw_fd(), F_SETSIG, libc::SIGURG) != 0 {
            return true;
        }
        if libc::fcntl(fd.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) != 0 {
            return true;
        }
        libc::fcntl(fd.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK);
    }
    false
}
