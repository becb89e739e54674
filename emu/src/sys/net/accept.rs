//! accept(2), getsockname(2), getpeername(2): addresses that come out.

use super::{
    Call, Outcome, SysResult, address, any_translated, blocking, is_translated, netlink, netlink_port,
    socket_of,
};
use crate::bail;
use crate::errno::host;
use crate::platform::sockets;
use crate::sys::OK;
use carrack_syscalls::arg::*;
use rustix::fd::AsFd;

pub(crate) fn accept(cx: &Call, fd: Fd, addr: SockaddrPtr, len: SocklenPtr) -> SysResult {
    accept4(cx, fd, addr, len, FdFlags(0))
}

pub(crate) fn accept4(cx: &Call, fd: Fd, addr: SockaddrPtr, len: SocklenPtr, flags: FdFlags) -> SysResult {
    let flags = flags.0 as i32;
    if flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) != 0 {
        bail!(EINVAL);
    }
    if !any_translated(cx) {
        return Ok(Outcome::Continue);
    }
    let (socket, kind) = socket_of(cx, fd)?;
    if !is_translated(cx, kind) {
        return Ok(Outcome::Continue);
    }
    let accept = || sockets::accept(socket.as_fd(), flags & libc::SOCK_NONBLOCK);
    let (new, peer) = if sockets::is_nonblocking(&socket) {
        accept().map_err(host)?
    } else {
        blocking(cx, &socket, libc::SO_RCVTIMEO, accept)?
    };
    // An address that cannot be written loses the connection, on Linux too.
    address::write(cx, &address::inside(cx, peer), addr.0, len)?;
    Ok(Outcome::Fd { fd: new, cloexec: flags & libc::SOCK_CLOEXEC != 0 })
}

pub(crate) fn getsockname(cx: &Call, fd: Fd, addr: SockaddrPtr, len: SocklenPtr) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    let name = match netlink_port(cx, &socket) {
        Some(port) => netlink::address(port),
        None => address::inside(cx, sockets::name(socket.as_fd()).map_err(host)?),
    };
    address::write(cx, &name, addr.0, len)?;
    OK
}

pub(crate) fn getpeername(cx: &Call, fd: Fd, addr: SockaddrPtr, len: SocklenPtr) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    let name = match netlink_port(cx, &socket) {
        Some(_) => netlink::address(0),
        None => address::inside(cx, sockets::peer(socket.as_fd()).map_err(host)?),
    };
    address::write(cx, &name, addr.0, len)?;
    OK
}
