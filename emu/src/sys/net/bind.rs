//! bind(2), listen(2).

use super::address::{self, SUN_PATH_AT, UnixName, abstract_outside, outside_name, own_abstract, unix_name};
use super::connect::without_token;
use super::credentials::Ucred;
use super::{Call, Outcome, SysResult, is_isolated, loopback, socket_of};
use crate::errno::{Errno, host};
use crate::platform::sockets::{self, HostAddr};
use crate::sys::OK;
use crate::sys::path::{NewName, Walker};
use crate::vfs::permission::{may_create, new_owner};
use crate::vfs::{CreateKind, Kind};
use crate::{bail, err};
use carrack_syscalls::arg::*;
use rustix::fd::{AsFd, OwnedFd};

pub(crate) fn bind(cx: &Call, fd: Fd, addr: SockaddrPtr, len: Int) -> SysResult {
    let (socket, kind) = socket_of(cx, fd)?;
    let addr = address::read(cx, addr.0, len.0)?;
    if super::netlink_port(cx, &socket).is_some() {
        if let Some(port) =
            addr.get(4..8).and_then(|p| p.try_into().ok()).map(u32::from_ne_bytes).filter(|p| *p != 0)
        {
            cx.kernel.net.netlink.set_port(&socket, port);
        }
        return OK;
    }
    if !kind.is_unix() {
        let to = match kind.domain {
            libc::AF_NETLINK => netlink_address(cx, &addr),
            _ if kind.is_inet() && is_isolated(cx) => loopback::local(cx, socket.as_fd(), kind, &addr)?,
            _ => HostAddr::raw(&addr),
        };
        sockets::bind(socket.as_fd(), &to).map_err(host)?;
        return OK;
    }
    let socket = without_token(cx, fd, socket, kind)?;
    if addr.len() == SUN_PATH_AT && address::family(&addr) == Some(libc::AF_UNIX) {
        autobind(cx, &socket)?;
        return OK;
    }
    match unix_name(&addr)? {
        UnixName::Path(path) => bind_path(cx, &socket, path)?,
        UnixName::Abstract(name) => {
            let to = abstract_outside(cx, name)?;
            named(cx, &to, name, || sockets::bind(socket.as_fd(), &to))?;
        }
    }
    OK
}

/// Binds by `op` to `to`, which the guest calls `inside`.
fn named(
    cx: &Call,
    to: &HostAddr,
    inside: &[u8],
    op: impl FnOnce() -> Result<(), rustix::io::Errno>,
) -> Result<(), Errno> {
    let outside = outside_name(to.bytes()).ok_or(err!(EINVAL))?;
    // A name in use belongs to another socket, whose entry must stay.
    let is_new = cx.kernel.net.get(outside).is_none();
    if is_new {
        cx.kernel.net.insert(outside, inside);
    }
    op().map_err(|e| {
        if is_new {
            cx.kernel.net.remove(outside);
        }
        host(e)
    })
}

/// unix_autobind(): five hexadecimal digits in the abstract namespace, the container's. Nothing for a socket with a name.
pub(super) fn autobind(cx: &Call, socket: &OwnedFd) -> Result<(), Errno> {
    let name = sockets::name(socket.as_fd()).map_err(host)?;
    if name.len() > SUN_PATH_AT {
        return Ok(());
    }
    let mut seed = [0u8; 4];
    let _ = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
    let first = u32::from_ne_bytes(seed);
    for i in 0..=0xfffff {
        let inside = format!("\0{:05x}", first.wrapping_add(i) & 0xfffff).into_bytes();
        let to = HostAddr::unix(&own_abstract(cx, 'n', &inside[1..])).ok_or(err!(ENOSPC))?;
        match named(cx, &to, &inside, || sockets::bind(socket.as_fd(), &to)) {
            Err(e) if e.code() == libc::EADDRINUSE => {}
            other => return other,
        }
    }
    bail!(ENOSPC)
}

/// unix_bind_bsd(). The file is made before it is known whether the socket has a name already.
fn bind_path(cx: &Call, socket: &OwnedFd, path: &[u8]) -> Result<(), Errno> {
    let walker = Walker::new(cx);
    let NewName { dir, name } = walker.create_of(DirFd::CWD, path, false).map_err(in_use)?;
    may_create(&walker.cred, &*dir.inode)?;
    if sockets::name(socket.as_fd()).is_ok_and(|n| n.len() > SUN_PATH_AT) {
        bail!(EINVAL);
    }
    let permissions = rustix::fs::fstat(socket).map_or(0o777, |st| st.st_mode & 0o777);
    let (mode, uid, gid) =
        new_owner(&walker.cred, &dir.inode.perm()?, Kind::Socket, permissions, walker.fs.umask);
    let inode = dir.inode.create(&name, CreateKind::Socket, mode, uid, gid).map_err(in_use)?;
    let undo = |e: Errno| {
        let _ = dir.inode.unlink(&name);
        e
    };
    let at = inode.socket_path().ok_or_else(|| undo(err!(EOPNOTSUPP)))?;
    let _ = std::fs::remove_file(&at);
    let to = HostAddr::path(&at).ok_or_else(|| undo(err!(ENAMETOOLONG)))?;
    // What an inode of the same number was called before it was removed.
    if let Some(outside) = outside_name(to.bytes()) {
        cx.kernel.net.remove(outside);
    }
    named(cx, &to, path, || sockets::bind(socket.as_fd(), &to)).map_err(undo)
}

/// bind says EADDRINUSE where others say EEXIST.
fn in_use(e: Errno) -> Errno {
    if e.code() == libc::EEXIST { err!(EADDRINUSE) } else { e }
}

/// netlink_autobind() would take the supervisor's pid; the caller's is asked for where it is free.
fn netlink_address(cx: &Call, addr: &[u8]) -> HostAddr {
    let mut own = addr.to_vec();
    if let Some(pid @ [0, 0, 0, 0]) = own.get_mut(4..8)
        && !is_netlink_port_taken(cx)
    {
        pid.copy_from_slice(&cx.task.tgid.to_ne_bytes());
    }
    HostAddr::raw(&own)
}

/// Whether a socket of the caller's has its pid as port.
fn is_netlink_port_taken(cx: &Call) -> bool {
    let Ok(text) = std::fs::read_to_string("/proc/self/net/netlink") else { return true };
    let own = cx.task.tgid.to_string();
    // sk Eth Pid Groups …
    text.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        fields.next() == Some("0") && fields.next() == Some(&own)
    })
}

/// listen(2): the kernel takes the caller's credentials for those of whoever is connected to, and so do we.
pub(crate) fn listen(cx: &Call, fd: Fd, _backlog: Int) -> SysResult {
    let (socket, kind) = socket_of(cx, fd)?;
    if kind.is_unix() {
        let name = sockets::name(socket.as_fd()).map_err(host)?;
        if let Some(outside) = outside_name(&name) {
            cx.kernel.net.set_owner(outside, Ucred::effective(cx));
        }
    } else if kind.is_inet() && is_isolated(cx) {
        loopback::bind_if_unbound(cx, socket.as_fd(), kind)?;
    }
    Ok(Outcome::Continue)
}
