//! Sockets: the calls that carry an address, or options that name something. Bytes on connected sockets are native.
//!
//! At host network level inet addresses mean what they mean on the host. The address is copied once and the call is made
//! by the supervisor on a duplicate of the socket, so that nothing the guest writes afterwards matters. Unix socket paths
//! are inodes of the guest's file systems; each bound one lives at a host path of ours. Abstract names get a prefix of the
//! container's own.

use super::{Call, OK, Outcome, SysResult, block, value};
use crate::errno::{Errno, host};
use crate::platform::sockets::{self, HostAddr};
use super::path::{NewName, Walker};
use crate::vfs::permission::{Access, inode_permission, may_create, new_owner};
use crate::vfs::walk::{Lookup, LookupFlags};
use crate::vfs::{CreateKind, Kind};
use crate::{bail, err};
use carrack_syscalls::arg::*;
use rustix::fd::{AsFd, OwnedFd};

/// `sizeof(struct sockaddr_storage)`.
const MAX_ADDR: usize = 128;
/// Bytes of one message that the supervisor copies at most; a longer stream write is short, as the manual allows.
const MAX_MESSAGE: usize = 1 << 20;
const MAX_IOV: u64 = 1024;
const MAX_CONTROL: usize = 16 << 10;

pub(crate) fn socket(_: &Call, domain: Domain, ty: SockType, _: Int) -> SysResult {
    match domain.0 as i32 {
        libc::AF_UNIX | libc::AF_INET | libc::AF_INET6 if ty.0 as i32 & 0xf == libc::SOCK_RAW => bail!(EPERM),
        libc::AF_UNIX | libc::AF_INET | libc::AF_INET6 => bail!(EPROTONOSUPPORT),
        libc::AF_PACKET => bail!(EPERM),
        libc::AF_NETLINK => bail!(EPROTONOSUPPORT, "only NETLINK_ROUTE is supported"),
        _ => bail!(EAFNOSUPPORT),
    }
}

/// move_addr_to_kernel().
fn read_addr(cx: &Call, addr: GuestAddr, len: i32) -> Result<Vec<u8>, Errno> {
    let len = usize::try_from(len).map_err(|_| err!(EINVAL))?;
    if len > MAX_ADDR {
        bail!(EINVAL);
    }
    cx.memory().read_vec(addr.0, len)
}

/// What follows the family of a unix address.
enum UnixName<'a> {
    Unnamed,
    Abstract(&'a [u8]),
    Path(&'a [u8]),
}

fn unix_name(addr: &[u8]) -> UnixName<'_> {
    match addr.get(2..) {
        None | Some([]) => UnixName::Unnamed,
        Some([0, name @ ..]) => UnixName::Abstract(name),
        Some(path) => UnixName::Path(path.split(|&b| b == 0).next().unwrap_or(path)),
    }
}

fn family(addr: &[u8]) -> Option<i32> {
    Some(i32::from(u16::from_ne_bytes(addr.get(..2)?.try_into().ok()?)))
}

/// The container's own form of an abstract name.
fn abstract_name(cx: &Call, name: &[u8]) -> HostAddr {
    HostAddr::abstract_name(&cx.kernel.spec.id, name)
}

/// The host address that a guest's address means for a call that goes there (connect, sendto).
fn destination(cx: &Call, addr: &[u8]) -> Result<HostAddr, Errno> {
    if family(addr) != Some(libc::AF_UNIX) {
        return Ok(HostAddr::raw(addr));
    }
    match unix_name(addr) {
        UnixName::Unnamed => bail!(EINVAL),
        UnixName::Abstract(name) => Ok(abstract_name(cx, name)),
        UnixName::Path(path) => {
            let (fs, cred) = (cx.fs(), cx.cred());
            let lookup = Lookup { mounts: &cx.kernel.mounts, root: &fs.root, cred: &cred };
            let at = lookup.path(&fs.cwd, path, LookupFlags::FOLLOW)?;
            inode_permission(&cred, &*at.inode, Access::WRITE)?;
            if at.inode.kind() != Kind::Socket {
                bail!(ECONNREFUSED);
            }
            HostAddr::path(&at.inode.socket_path().ok_or(err!(ECONNREFUSED))?).ok_or(err!(ECONNREFUSED))
        }
    }
}

pub(crate) fn connect(cx: &Call, fd: Fd, addr: SockaddrPtr, len: Int) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    let addr = read_addr(cx, addr.0, len.0)?;
    let to = match family(&addr) {
        Some(libc::AF_UNSPEC) => HostAddr::raw(&addr),
        _ => destination(cx, &addr)?,
    };
    if !cx.door.still_there() {
        bail!(EINTR);
    }
    if sockets::is_nonblocking(&socket) || family(&addr) == Some(libc::AF_UNSPEC) {
        sockets::connect(socket.as_fd(), &to).map_err(host)?;
        return OK;
    }
    // Most connections are there at once; one that is not is waited for by a thread that may.
    let mut again = false;
    block::wait(cx, || match sockets::connect(socket.as_fd(), &to) {
        // A connection that an interruption of ours left on its way.
        Err(rustix::io::Errno::ALREADY | rustix::io::Errno::ISCONN) if again => sockets::wait_connected(socket.as_fd()),
        Err(rustix::io::Errno::INTR) => {
            again = true;
            Err(rustix::io::Errno::INTR)
        }
        other => other,
    })?;
    OK
}

pub(crate) fn bind(cx: &Call, fd: Fd, addr: SockaddrPtr, len: Int) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    let addr = read_addr(cx, addr.0, len.0)?;
    if family(&addr) != Some(libc::AF_UNIX) || sockets::domain(socket.as_fd()) != libc::AF_UNIX {
        sockets::bind(socket.as_fd(), &HostAddr::raw(&addr)).map_err(host)?;
        return OK;
    }
    match unix_name(&addr) {
        UnixName::Unnamed => sockets::bind(socket.as_fd(), &HostAddr::raw(&addr[..2])).map_err(host)?,
        UnixName::Abstract(name) => sockets::bind(socket.as_fd(), &abstract_name(cx, name)).map_err(host)?,
        UnixName::Path(path) => bind_path(cx, &socket, path)?,
    }
    OK
}

fn bind_path(cx: &Call, socket: &OwnedFd, path: &[u8]) -> Result<(), Errno> {
    if sockets::name(socket.as_fd()).is_ok_and(|n| n.len() > 2) {
        bail!(EINVAL);
    }
    let walker = Walker::new(cx);
    let NewName { dir, name } = walker.create_of(DirFd::CWD, path, false).map_err(in_use)?;
    may_create(&walker.cred, &*dir.inode)?;
    let (mode, uid, gid) = new_owner(&walker.cred, &dir.inode.perm()?, Kind::Socket, 0o777, walker.fs.umask);
    let inode = dir.inode.create(&name, CreateKind::Socket, mode, uid, gid).map_err(in_use)?;
    let at = inode.socket_path().ok_or(err!(EOPNOTSUPP))?;
    let _ = std::fs::remove_file(&at);
    let bound = HostAddr::path(&at).ok_or(rustix::io::Errno::NAMETOOLONG).and_then(|a| sockets::bind(socket.as_fd(), &a));
    if let Err(e) = bound {
        let _ = dir.inode.unlink(&name);
        return Err(host(e));
    }
    cx.kernel.unix_names.lock().insert(at, path.to_vec());
    Ok(())
}

/// bind says EADDRINUSE where others say EEXIST.
fn in_use(e: Errno) -> Errno {
    if e.code() == libc::EEXIST { err!(EADDRINUSE) } else { e }
}

/// move_addr_to_user(): writes what fits, and the true length.
fn write_addr(cx: &Call, addr: &[u8], to: GuestAddr, len: SocklenPtr) -> Result<(), Errno> {
    let room: i32 = cx.memory().read_obj(len.0.0)?;
    let room = usize::try_from(room).map_err(|_| err!(EINVAL))?;
    cx.memory().write(to.0, &addr[..addr.len().min(room)])?;
    cx.memory().write_obj(len.0.0, &(addr.len() as i32))
}

/// A host address as the guest knows it.
fn guest_addr(cx: &Call, addr: Vec<u8>) -> Vec<u8> {
    if family(&addr) != Some(libc::AF_UNIX) {
        return addr;
    }
    match unix_name(&addr) {
        UnixName::Unnamed => addr[..2].to_vec(),
        UnixName::Abstract(name) => {
            let own = HostAddr::strip_abstract(&cx.kernel.spec.id, name);
            [&addr[..2], &[0], own].concat()
        }
        UnixName::Path(path) => {
            use std::os::unix::ffi::OsStrExt;
            let at = HostAddr::resolve(std::path::Path::new(std::ffi::OsStr::from_bytes(path)));
            let names = cx.kernel.unix_names.lock();
            let own: &[u8] = names.get(&at).map_or(b"", |n| n);
            [&addr[..2], own, &[0]].concat()
        }
    }
}

pub(crate) fn getsockname(cx: &Call, fd: Fd, addr: SockaddrPtr, len: SocklenPtr) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    let name = sockets::name(socket.as_fd()).map_err(host)?;
    write_addr(cx, &guest_addr(cx, name), addr.0, len)?;
    OK
}

pub(crate) fn getpeername(cx: &Call, fd: Fd, addr: SockaddrPtr, len: SocklenPtr) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    let name = sockets::peer(socket.as_fd()).map_err(host)?;
    write_addr(cx, &guest_addr(cx, name), addr.0, len)?;
    OK
}

pub(crate) fn accept(cx: &Call, fd: Fd, addr: SockaddrPtr, len: SocklenPtr) -> SysResult {
    accept4(cx, fd, addr, len, FdFlags(0))
}

pub(crate) fn accept4(cx: &Call, fd: Fd, addr: SockaddrPtr, len: SocklenPtr, flags: FdFlags) -> SysResult {
    let flags = flags.0 as i32;
    if flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) != 0 {
        bail!(EINVAL);
    }
    let socket = cx.duplicate_fd(fd.0)?;
    let room: i32 = cx.memory().read_obj(len.0.0)?;
    if room < 0 {
        bail!(EINVAL);
    }
    let accept = || sockets::accept(socket.as_fd(), flags & libc::SOCK_NONBLOCK);
    let (new, peer) = if sockets::is_nonblocking(&socket) {
        accept().map_err(host)?
    } else {
        // Waiting for a connection takes none: only then is one taken.
        loop {
            block::wait(cx, || sockets::wait_readable(socket.as_fd(), &socket))?;
            match sockets::accept_now(socket.as_fd(), flags & libc::SOCK_NONBLOCK) {
                Err(rustix::io::Errno::AGAIN) => {}
                other => break other.map_err(host)?,
            }
        }
    };
    write_addr(cx, &guest_addr(cx, peer), addr.0, len)?;
    Ok(Outcome::Fd { fd: new, cloexec: flags & libc::SOCK_CLOEXEC != 0 })
}

/// Sends one message of the supervisor's copy; waits where the guest's own call would.
fn send(cx: &Call, socket: &OwnedFd, message: &sockets::Message, flags: i32) -> Result<i64, Errno> {
    let now = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let sent = match sockets::send(socket.as_fd(), message, now) {
        Err(rustix::io::Errno::AGAIN) if flags & libc::MSG_DONTWAIT == 0 && !sockets::is_nonblocking(socket) => {
            block::wait(cx, || sockets::send(socket.as_fd(), message, flags | libc::MSG_NOSIGNAL))
        }
        other => other.map_err(host),
    };
    match sent {
        // The signal belongs to the caller, not to us.
        Err(e) if e.code() == libc::EPIPE && flags & libc::MSG_NOSIGNAL == 0 => {
            crate::platform::host::tgkill(cx.task.tgid, cx.tid(), libc::SIGPIPE);
            Err(e)
        }
        Err(e) => Err(e),
        Ok(n) => Ok(n as i64),
    }
}

pub(crate) fn sendto(cx: &Call, fd: Fd, buf: In, len: Size, flags: MsgFlags, addr: SockaddrPtr, addrlen: Int) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    let to = if addr.0.is_null() { None } else { Some(destination(cx, &read_addr(cx, addr.0, addrlen.0)?)?) };
    let body = cx.memory().read_vec(buf.0.0, (len.0 as usize).min(MAX_MESSAGE))?;
    value(send(cx, &socket, &sockets::Message { to, body, fds: Vec::new() }, flags.0 as i32)?)
}

/// `struct msghdr`.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Msghdr {
    name: u64,
    namelen: i32,
    pad: u32,
    iov: u64,
    iovlen: u64,
    control: u64,
    controllen: u64,
    flags: i32,
    pad2: u32,
}

fn read_message(cx: &Call, at: u64) -> Result<sockets::Message, Errno> {
    let header: Msghdr = cx.memory().read_obj(at)?;
    let to = if header.name == 0 || header.namelen == 0 {
        None
    } else {
        Some(destination(cx, &read_addr(cx, GuestAddr(header.name), header.namelen.min(MAX_ADDR as i32))?)?)
    };
    if header.iovlen > MAX_IOV {
        bail!(EMSGSIZE);
    }
    let mut iov = vec![[0u64; 2]; header.iovlen as usize];
    cx.memory().read(header.iov, bytemuck::cast_slice_mut(&mut iov))?;
    let mut body = Vec::new();
    for [base, len] in iov {
        let room = MAX_MESSAGE - body.len();
        body.extend(cx.memory().read_vec(base, (len as usize).min(room))?);
    }
    let mut fds = Vec::new();
    if header.control != 0 && header.controllen != 0 {
        if header.controllen as usize > MAX_CONTROL {
            bail!(ENOBUFS);
        }
        let control = cx.memory().read_vec(header.control, header.controllen as usize)?;
        for (level, kind, data) in sockets::control_messages(&control).ok_or(err!(EINVAL))? {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for fd in data.chunks_exact(4) {
                        let fd = i32::from_ne_bytes(fd.try_into().map_err(|_| err!(EINVAL))?);
                        fds.push(cx.duplicate_fd(fd)?);
                    }
                }
                // Credentials are the kernel's to attach. Per-packet options (IP_PKTINFO, UDP_SEGMENT …) are hints or names of interfaces: not passed on.
                _ => {}
            }
        }
    }
    Ok(sockets::Message { to, body, fds })
}

pub(crate) fn sendmsg(cx: &Call, fd: Fd, msg: MsghdrPtr, flags: MsgFlags) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    let message = read_message(cx, msg.0.0)?;
    value(send(cx, &socket, &message, flags.0 as i32)?)
}

pub(crate) fn sendmmsg(cx: &Call, fd: Fd, vec: Ptr, n: Uint, flags: MsgFlags) -> SysResult {
    const SIZE: u64 = 64;
    let socket = cx.duplicate_fd(fd.0)?;
    let mut sent = 0i64;
    for i in 0..u64::from(n.0).min(MAX_IOV) {
        let at = vec.0.0.checked_add(i * SIZE).ok_or(err!(EFAULT))?;
        let one = read_message(cx, at).and_then(|m| send(cx, &socket, &m, flags.0 as i32));
        match one {
            Ok(len) => cx.memory().write_obj(at + 56, &(len as u32))?,
            Err(e) if sent == 0 => return Err(e),
            Err(_) => break,
        }
        sent += 1;
    }
    value(sent)
}

const SO_PASSCRED: u32 = 16;
const SO_PEERCRED: u32 = 17;
const SO_PEERGROUPS: u32 = 59;

pub(crate) fn setsockopt(cx: &Call, _fd: Fd, _level: SockLevel, option: SockOpt, _value: Ptr, _len: Int) -> SysResult {
    match option.0 as u32 {
        SO_PASSCRED => Ok(Outcome::Continue),
        _ => {
            let _ = cx;
            bail!(EPERM)
        }
    }
}

pub(crate) fn getsockopt(cx: &Call, fd: Fd, _level: SockLevel, option: SockOpt, to: Ptr, len: SocklenPtr) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    match option.0 as u32 {
        SO_PEERCRED => {
            let (pid, _, _) = sockets::peer_credentials(socket.as_fd()).map_err(host)?;
            let tasks = &cx.kernel.tasks;
            // A connection that we made on a guest's behalf names us; the caller's own ids stand for its peer's then.
            let peer = tasks.any_task_of(pid);
            let cred = peer.as_ref().map_or_else(|| cx.cred(), |t| t.cred());
            let pid = if peer.is_some() { tasks.guest_pid(pid) } else { 0 };
            let out = [pid as u32, cred.euid, cred.egid];
            let room: i32 = cx.memory().read_obj(len.0.0)?;
            let n = usize::try_from(room).map_err(|_| err!(EINVAL))?.min(12);
            cx.memory().write(to.0.0, &bytemuck::cast_slice(&out)[..n])?;
            cx.memory().write_obj(len.0.0, &(n as i32))?;
            OK
        }
        SO_PEERGROUPS => bail!(ENODATA),
        _ => bail!(ENOPROTOOPT),
    }
}

