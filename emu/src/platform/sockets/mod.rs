//! Socket calls of the host with addresses and control data as bytes: what rustix types more closely than a personality
//! can use.

mod address;
mod control;
mod message;

pub(crate) use address::HostAddr;
pub(crate) use control::{Cmsg, ControlBuffer, parse_control};
pub(crate) use message::{Message, Received, receive, send};

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno as HostErrno;

/// `sizeof(struct sockaddr_storage)`.
pub(crate) const MAX_ADDR: usize = 128;

fn check(r: libc::c_int) -> Result<libc::c_int, HostErrno> {
    if r < 0 { Err(HostErrno::from_raw_os_error(nix::errno::Errno::last_raw())) } else { Ok(r) }
}

fn check_size(r: libc::ssize_t) -> Result<usize, HostErrno> {
    usize::try_from(r).map_err(|_| HostErrno::from_raw_os_error(nix::errno::Errno::last_raw()))
}

/// A socket's family and type, by SO_DOMAIN and SO_TYPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketKind {
    /// `AF_…`.
    pub(crate) domain: i32,
    /// `SOCK_…`.
    pub(crate) ty: i32,
}

impl SocketKind {
    pub(crate) fn is_stream(self) -> bool {
        self.ty == libc::SOCK_STREAM
    }

    pub(crate) fn is_unix(self) -> bool {
        self.domain == libc::AF_UNIX
    }

    pub(crate) fn is_inet(self) -> bool {
        matches!(self.domain, libc::AF_INET | libc::AF_INET6)
    }

    /// Whether connect makes a pair of sockets that belong to two sides (as opposed to a default destination).
    pub(crate) fn is_connected_unix(self) -> bool {
        self.is_unix() && matches!(self.ty, libc::SOCK_STREAM | libc::SOCK_SEQPACKET)
    }
}

/// ENOTSOCK when it is none, EBADF for an O_PATH descriptor.
pub(crate) fn kind(fd: BorrowedFd<'_>) -> Result<SocketKind, HostErrno> {
    let domain = int_option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)?;
    Ok(SocketKind { domain, ty: int_option(fd, libc::SOL_SOCKET, libc::SO_TYPE)? })
}

/// An option whose value is an int.
pub(crate) fn int_option(fd: BorrowedFd<'_>, level: i32, option: i32) -> Result<i32, HostErrno> {
    let mut value = 0i32;
    let mut len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: `value` has `len` bytes; both live through the call.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut len) })?;
    Ok(value)
}

/// setsockopt(2) with a copy of the guest's value.
pub(crate) fn set_option(fd: BorrowedFd<'_>, level: i32, option: i32, value: &[u8]) -> Result<(), HostErrno> {
    let len = value.len() as libc::socklen_t;
    // SAFETY: `value` has `len` bytes and lives through the call; the kernel copies it.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value.as_ptr().cast(), len) }).map(drop)
}

/// Whether SO_RCVTIMEO (or SO_SNDTIMEO) is set: such a call gives EINTR whatever the handler asked for (signal(7)).
pub(crate) fn has_timeout(fd: BorrowedFd<'_>, option: i32) -> bool {
    let mut value = [0i64; 2];
    let mut len = size_of_val(&value) as libc::socklen_t;
    let at = value.as_mut_ptr().cast();
    // SAFETY: `value` has `len` bytes; both live through the call.
    let r = unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, at, &raw mut len) };
    r == 0 && value != [0, 0]
}

pub(crate) fn connect(fd: BorrowedFd<'_>, to: &HostAddr) -> Result<(), HostErrno> {
    let (addr, len) = to.as_raw();
    // SAFETY: `addr` points to `len` bytes that live through the call; the kernel copies them and judges their form.
    check(unsafe { libc::connect(fd.as_raw_fd(), addr, len) }).map(drop)
}

pub(crate) fn bind(fd: BorrowedFd<'_>, to: &HostAddr) -> Result<(), HostErrno> {
    let (addr, len) = to.as_raw();
    // SAFETY: as for connect.
    check(unsafe { libc::bind(fd.as_raw_fd(), addr, len) }).map(drop)
}

type GetName = unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn get_name(fd: BorrowedFd<'_>, get: GetName) -> Result<Vec<u8>, HostErrno> {
    let mut buf = [0u8; MAX_ADDR];
    let mut len = buf.len() as libc::socklen_t;
    // SAFETY: `buf` has `len` bytes; both live through the call.
    check(unsafe { get(fd.as_raw_fd(), buf.as_mut_ptr().cast(), &raw mut len) })?;
    Ok(buf[..(len as usize).min(buf.len())].to_vec())
}

/// getsockname(2).
pub(crate) fn name(fd: BorrowedFd<'_>) -> Result<Vec<u8>, HostErrno> {
    get_name(fd, libc::getsockname)
}

/// getpeername(2).
pub(crate) fn peer(fd: BorrowedFd<'_>) -> Result<Vec<u8>, HostErrno> {
    get_name(fd, libc::getpeername)
}

/// O_NONBLOCK.
pub(crate) fn is_nonblocking(fd: &OwnedFd) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|f| f.contains(rustix::fs::OFlags::NONBLOCK))
}

/// A new socket, close-on-exec in this process. `ty` may have SOCK_NONBLOCK.
pub(crate) fn socket(domain: i32, ty: i32) -> Result<OwnedFd, HostErrno> {
    // SAFETY: by value.
    let fd = check(unsafe { libc::socket(domain, ty | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: a descriptor that was just made and that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// accept4(2): the new socket and its peer's address. `flags`: SOCK_NONBLOCK or 0.
pub(crate) fn accept(fd: BorrowedFd<'_>, flags: i32) -> Result<(OwnedFd, Vec<u8>), HostErrno> {
    let mut buf = [0u8; MAX_ADDR];
    let mut len = buf.len() as libc::socklen_t;
    // SAFETY: `buf` has `len` bytes; both live through the call.
    let new = check(unsafe {
        libc::accept4(fd.as_raw_fd(), buf.as_mut_ptr().cast(), &raw mut len, flags | libc::SOCK_CLOEXEC)
    })?;
    // SAFETY: a descriptor that was just made and that nobody else has.
    let new = unsafe { OwnedFd::from_raw_fd(new) };
    Ok((new, buf[..(len as usize).min(buf.len())].to_vec()))
}

/// SO_PEERCRED as the host has it: pid (0: nobody's), uid, gid.
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> Result<[u32; 3], HostErrno> {
    let mut value = [0u32; 3];
    let mut len = size_of_val(&value) as libc::socklen_t;
    let at = value.as_mut_ptr().cast();
    // SAFETY: `value` has `len` bytes; both live through the call.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, at, &raw mut len)
    })?;
    Ok(value)
}
