//! Sockets: the calls that carry an address, a descriptor or credentials, or options that name something. Bytes on
//! connected sockets are native.
//!
//! At host network level inet addresses mean what they mean on the host. An address that goes in is copied once and the
//! call is made by the supervisor on a duplicate of the socket, so that nothing the guest writes afterwards matters. An
//! address that comes out can do no harm: where it needs no translation (inet sockets of a container with the host's
//! network, and everything as long as nobody in the container has bound a unix name) the call goes on natively, and so
//! blocks and is interrupted as the kernel has it.
//!
//! # Unix sockets
//!
//! Paths are inodes of the guest's file systems; each bound one lives at a host path of ours. Abstract names get a prefix
//! of the container's own. What the guest called a socket, and who listens at it, is kept by the host's name, see
//! [`names`]. Who connected is said by the name that the connecting socket has on the host, see [`credentials`].

mod accept;
mod address;
mod bind;
mod connect;
mod credentials;
mod loopback;
mod names;
mod netlink;
mod options;
mod receive;
mod send;

pub(crate) use accept::{accept, accept4, getpeername, getsockname};
pub(crate) use address::listed_inside;
pub(crate) use bind::{bind, listen};
pub(crate) use connect::connect;
pub(crate) use names::NetState;
pub(crate) use options::{getsockopt, setsockopt};
pub(crate) use receive::{recvfrom, recvmmsg, recvmsg};
pub(crate) use send::{sendmmsg, sendmsg, sendto};

use super::{Call, Outcome, SysResult, block};
use crate::control::NetworkMode;
use crate::errno::{Errno, host};
use crate::platform::sockets::{self, SocketKind};
use crate::{bail, err};
use carrack_syscalls::arg::*;
use rustix::fd::{AsFd, OwnedFd};

/// Bytes of one message that the supervisor copies at most, and of a longer stream at a time.
const MAX_MESSAGE: usize = 1 << 20;
/// UIO_MAXIOV
const MAX_IOV: u64 = 1024;
/// MAX_RW_COUNT
const MAX_TOTAL: u64 = 0x7fff_f000;

pub(crate) fn socket(cx: &Call, domain: Domain, ty: SockType, protocol: Int) -> SysResult {
    const SOCK_MAX: i32 = 11;
    const AF_MAX: i32 = 46;
    const SOCK_PACKET: i32 = 10;
    let (domain, ty) = (domain.0, ty.0);
    if ty & !0xf & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) != 0 {
        bail!(EINVAL);
    }
    if !(0..AF_MAX).contains(&domain) {
        bail!(EAFNOSUPPORT);
    }
    let (ty, flags) = (ty & 0xf, ty);
    if ty >= SOCK_MAX {
        bail!(EINVAL);
    }
    match domain {
        // A datagram socket by another name; the kernel reports errors of the rest.
        libc::AF_UNIX => Ok(Outcome::Continue),
        libc::AF_INET | libc::AF_INET6 if matches!(ty, libc::SOCK_RAW | SOCK_PACKET) => {
            bail!(EPERM, "no raw sockets: they see what is not the container's")
        }
        libc::AF_INET | libc::AF_INET6 => Ok(Outcome::Continue),
        libc::AF_PACKET => bail!(EPERM, "no packet sockets"),
        libc::AF_NETLINK if !matches!(ty, libc::SOCK_RAW | libc::SOCK_DGRAM) => bail!(ESOCKTNOSUPPORT),
        libc::AF_NETLINK if protocol.0 == libc::NETLINK_ROUTE && is_isolated(cx) => {
            let fd = cx.kernel.net.netlink.socket(flags & libc::SOCK_NONBLOCK, cx.task.tgid as u32)?;
            Ok(Outcome::Fd { fd, cloexec: flags & libc::SOCK_CLOEXEC != 0 })
        }
        libc::AF_NETLINK if protocol.0 == libc::NETLINK_ROUTE => Ok(Outcome::Continue),
        libc::AF_NETLINK => bail!(EPROTONOSUPPORT, "only NETLINK_ROUTE is supported"),
        _ => bail!(EAFNOSUPPORT),
    }
}

/// Whether the container has no network but its own loopback.
fn is_isolated(cx: &Call) -> bool {
    cx.kernel.spec.network == NetworkMode::None
}

/// The socket behind a descriptor, and what it is. EBADF, ENOTSOCK.
fn socket_of(cx: &Call, fd: Fd) -> Result<(OwnedFd, SocketKind), Errno> {
    let socket = cx.duplicate_fd(fd.0)?;
    let kind = sockets::kind(socket.as_fd()).map_err(host)?;
    Ok((socket, kind))
}

/// Whether addresses of such a socket are others inside than on the host.
fn is_translated(cx: &Call, kind: SocketKind) -> bool {
    kind.is_unix() || kind.is_inet() && is_isolated(cx)
}

/// Whether any socket of the container may have an address that is another on the host.
fn any_translated(cx: &Call) -> bool {
    is_isolated(cx) || cx.kernel.net.is_watched()
}

/// The port of a netlink socket of a container without a network; `None` for every other socket.
fn netlink_port(cx: &Call, socket: &OwnedFd) -> Option<u32> {
    if is_isolated(cx) { cx.kernel.net.netlink.port_of(socket) } else { None }
}

/// A call that the guest's thread would block in. `timeout`: SO_RCVTIMEO or SO_SNDTIMEO, whichever bounds it.
fn blocking<T>(
    cx: &Call,
    socket: &OwnedFd,
    timeout: i32,
    op: impl FnMut() -> rustix::io::Result<T>,
) -> Result<T, Errno> {
    const ERESTARTSYS: i32 = 512;
    block::wait(cx, op).map_err(|e| {
        // sock_intr_errno()
        let is_bounded = e.code() == ERESTARTSYS && sockets::has_timeout(socket.as_fd(), timeout);
        if is_bounded { err!(EINTR) } else { e }
    })
}
