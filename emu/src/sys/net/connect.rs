//! connect(2).

use super::address::{self, SUN_PATH_AT, destination, family, outside_name};
use super::credentials::{self, Ucred};
use super::{Call, SysResult, blocking, netlink_port};
use crate::errno::{Errno, host};
use crate::platform::sockets::{self, HostAddr, SocketKind};
use crate::sys::OK;
use crate::{bail, err};
use carrack_syscalls::arg::*;
use rustix::fd::{AsFd, OwnedFd};

pub(crate) fn connect(cx: &Call, fd: Fd, addr: SockaddrPtr, len: Int) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    // The address comes before the question whether this is a socket at all, here alone.
    let addr = address::read(cx, addr.0, len.0)?;
    let kind = sockets::kind(socket.as_fd()).map_err(host)?;
    if netlink_port(cx, &socket).is_some() {
        return OK;
    }
    // Dissolves an association; unix sockets that have two sides take it for a wrong family.
    if family(&addr) == Some(libc::AF_UNSPEC) && !kind.is_connected_unix() {
        sockets::connect(socket.as_fd(), &HostAddr::raw(&addr)).map_err(host)?;
        return OK;
    }
    let to = destination(cx, kind, &addr)?;
    if !cx.door.still_there() {
        bail!(EINTR);
    }
    if kind.is_connected_unix() && to.is_inside(&cx.kernel.net) {
        introduce(cx, &socket)?;
    }
    let connect = || sockets::connect(socket.as_fd(), &to.addr);
    // Only a stream waits for anything.
    let waits =
        matches!(kind.ty, libc::SOCK_STREAM | libc::SOCK_SEQPACKET) && !sockets::is_nonblocking(&socket);
    if waits {
        // Once more after an interruption is what the kernel's own restart does: it waits for the connection on its way.
        let mut refused = None;
        let connected =
            blocking(cx, &socket, libc::SO_SNDTIMEO, || connect().inspect_err(|e| refused = Some(*e)));
        connected.map_err(|e| match refused {
            Some(host) if host.raw_os_error() == e.code() => to.error(host),
            _ => e,
        })?;
    } else {
        connect().map_err(|e| to.error(e))?;
    }
    OK
}

/// Lets the accepting side know who connects, see [`credentials`].
fn introduce(cx: &Call, socket: &OwnedFd) -> Result<(), Errno> {
    let name = sockets::name(socket.as_fd()).map_err(host)?;
    if let Some(outside) = outside_name(&name) {
        cx.kernel.net.set_owner(outside, Ucred::effective(cx));
        return Ok(());
    }
    // unix_stream_connect() names such a socket itself, for everybody to see.
    if sockets::int_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED) == Ok(1) {
        super::bind::autobind(cx, socket)?;
        return introduce(cx, socket);
    }
    cx.kernel.net.watch();
    let token = credentials::new_token(cx).ok_or(err!(ENOBUFS))?;
    match sockets::bind(socket.as_fd(), &token) {
        // Another thread was quicker.
        Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
        Err(e) => Err(host(e)),
    }
}

/// Whether the socket's only name is one that [`introduce`] gave it.
pub(super) fn has_token(cx: &Call, socket: &OwnedFd) -> bool {
    let name = sockets::name(socket.as_fd()).unwrap_or_default();
    name.len() > SUN_PATH_AT && outside_name(&name).is_some_and(|outside| credentials::is_token(cx, outside))
}

/// A socket like one that has a token but is not connected, without the token; it takes the other's place in the guest.
pub(super) fn without_token(cx: &Call, fd: Fd, socket: OwnedFd, kind: SocketKind) -> Result<OwnedFd, Errno> {
    if sockets::peer(socket.as_fd()).is_ok() || !has_token(cx, &socket) {
        return Ok(socket);
    }
    let nonblock = if sockets::is_nonblocking(&socket) { libc::SOCK_NONBLOCK } else { 0 };
    let fresh = sockets::socket(kind.domain, kind.ty | nonblock).map_err(host)?;
    for option in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        if let Ok(size) = sockets::int_option(socket.as_fd(), libc::SOL_SOCKET, option) {
            let _ = sockets::set_option(fresh.as_fd(), libc::SOL_SOCKET, option, &(size / 2).to_ne_bytes());
        }
    }
    let flags = crate::platform::fds::host_flags(cx.tid(), fd.0)?;
    cx.door.replace_fd(&fresh, fd.0, flags & libc::O_CLOEXEC != 0)?;
    Ok(fresh)
}
