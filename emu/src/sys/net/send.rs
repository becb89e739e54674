//! sendto(2), sendmsg(2), sendmmsg(2): messages are copied and sent by the supervisor.

use super::address::{self, Destination, destination};
use super::credentials::Ucred;
use super::{
    Call, MAX_IOV, MAX_MESSAGE, MAX_TOTAL, SysResult, blocking, is_isolated, loopback, netlink_port,
    socket_of,
};
use crate::errno::{Errno, host};
use crate::platform::sockets::{self, ControlBuffer, HostAddr, MAX_ADDR, Message, SocketKind};
use crate::sys::value;
use crate::{bail, err};
use carrack_syscalls::arg::*;
use rustix::fd::{AsFd, OwnedFd};

/// Most control data that a message may have: `net.core.optmem_max` of kernels since 6.9.
const MAX_CONTROL: u64 = 128 << 10;
/// SCM_MAX_FD
const MAX_FDS: usize = 253;
const MSG_FASTOPEN: i32 = 0x2000_0000;
const MSG_ZEROCOPY: i32 = 0x400_0000;

/// `struct msghdr`.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Msghdr {
    pub(super) name: u64,
    pub(super) namelen: i32,
    pad: u32,
    pub(super) iov: u64,
    pub(super) iovlen: u64,
    pub(super) control: u64,
    pub(super) controllen: u64,
    pub(super) flags: i32,
    pad2: u32,
}

/// Where a message's bytes are in the guest: (address, length).
#[derive(Debug, Default)]
pub(super) struct Iov {
    parts: Vec<[u64; 2]>,
    pub(super) total: u64,
}

impl Iov {
    /// A single buffer.
    pub(super) fn one(base: u64, len: u64) -> Iov {
        let len = len.min(MAX_TOTAL);
        Iov { parts: vec![[base, len]], total: len }
    }

    /// import_iovec(): EMSGSIZE for more than UIO_MAXIOV parts, EINVAL for a negative length.
    pub(super) fn read(cx: &Call, at: u64, count: u64) -> Result<Iov, Errno> {
        if count > MAX_IOV {
            bail!(EMSGSIZE);
        }
        let mut parts = vec![[0u64; 2]; count as usize];
        cx.memory().read(at, bytemuck::cast_slice_mut(&mut parts))?;
        let mut total = 0;
        for part in &mut parts {
            if part[1] > i64::MAX as u64 {
                bail!(EINVAL);
            }
            part[1] = part[1].min(MAX_TOTAL - total);
            total += part[1];
        }
        Ok(Iov { parts, total })
    }

    /// Up to `room` bytes from offset `from`. EFAULT when the first of them cannot be read.
    fn bytes(&self, cx: &Call, mut from: u64, room: usize) -> Result<Vec<u8>, Errno> {
        let mut out = Vec::new();
        for [base, len] in &self.parts {
            if from >= *len {
                from -= *len;
                continue;
            }
            let n = ((*len - from) as usize).min(room - out.len());
            let at = base.checked_add(from).ok_or(err!(EFAULT))?;
            match cx.memory().read_vec(at, n) {
                Ok(bytes) => out.extend_from_slice(&bytes),
                Err(e) if out.is_empty() => return Err(e),
                Err(_) => break,
            }
            from = 0;
            if out.len() == room {
                break;
            }
        }
        Ok(out)
    }

    /// Writes `bytes` to the beginning of the buffers.
    pub(super) fn write(&self, cx: &Call, mut bytes: &[u8]) -> Result<(), Errno> {
        for [base, len] in &self.parts {
            let n = (*len).min(bytes.len() as u64) as usize;
            cx.memory().write(*base, &bytes[..n])?;
            bytes = &bytes[n..];
        }
        Ok(())
    }
}

/// All of a message but its bytes.
#[derive(Debug, Default)]
struct Envelope {
    to: Option<Destination>,
    control: ControlBuffer,
    /// Named in `control`.
    fds: Vec<OwnedFd>,
}

/// Sends; waits where the guest's own call would. SIGPIPE is the caller's.
fn send(
    cx: &Call,
    socket: &OwnedFd,
    kind: SocketKind,
    mut envelope: Envelope,
    iov: &Iov,
    flags: i32,
) -> Result<i64, Errno> {
    if kind.is_inet() && is_isolated(cx) && !kind.is_stream() {
        loopback::bind_if_unbound(cx, socket.as_fd(), kind)?;
    }
    if kind.domain == libc::AF_NETLINK && envelope.to.is_none() && rustix::process::geteuid().is_root() {
        // To the kernel; said explicitly, it asks for privileges of the socket's owner beside those of the sender.
        let kernel = [&(libc::AF_NETLINK as u16).to_ne_bytes()[..], &[0; 10]].concat();
        envelope.to = Some(destination(cx, kind, &kernel)?);
    }
    if iov.total > MAX_MESSAGE as u64 && !kind.is_stream() {
        bail!(EMSGSIZE);
    }
    let waits = flags & libc::MSG_DONTWAIT == 0 && !sockets::is_nonblocking(socket);
    let mut flags = (flags & !MSG_ZEROCOPY) | libc::MSG_NOSIGNAL;
    let mut sent = 0u64;
    loop {
        let body = match iov.bytes(cx, sent, MAX_MESSAGE) {
            Err(_) if sent > 0 => break,
            other => other?,
        };
        let to = envelope.to.as_ref().map(|d| d.addr.clone());
        let message = Message { to, body: &body, control: std::mem::take(&mut envelope.control) };
        let now = sockets::send(socket.as_fd(), &message, flags | libc::MSG_DONTWAIT);
        let result = match now {
            Err(rustix::io::Errno::AGAIN) if waits => {
                blocking(cx, socket, libc::SO_SNDTIMEO, || sockets::send(socket.as_fd(), &message, flags))
            }
            Err(e) => Err(envelope.to.as_ref().map_or_else(|| host(e), |d| d.error(e))),
            Ok(n) => Ok(n),
        };
        match result {
            Ok(n) => sent += n as u64,
            // An error after some bytes is told by the next call.
            Err(_) if sent > 0 => break,
            Err(e) => return Err(e),
        }
        if !kind.is_stream() || sent >= iov.total || !waits && (now.ok() != Some(body.len())) {
            break;
        }
        // Only the first part opens the connection.
        envelope.to = None;
        flags &= !MSG_FASTOPEN;
    }
    Ok(sent as i64)
}

/// [`send`], and the signal for a stream that nobody reads any more.
fn send_or_signal(
    cx: &Call,
    socket: &OwnedFd,
    kind: SocketKind,
    envelope: Envelope,
    iov: &Iov,
    flags: i32,
) -> Result<i64, Errno> {
    let result = send(cx, socket, kind, envelope, iov, flags);
    let is_broken = result.as_ref().is_err_and(|e| e.code() == libc::EPIPE);
    if is_broken && kind.is_stream() && flags & libc::MSG_NOSIGNAL == 0 {
        crate::platform::host::tgkill(cx.task.tgid, cx.tid(), libc::SIGPIPE);
    }
    result
}

pub(crate) fn sendto(
    cx: &Call,
    fd: Fd,
    buf: In,
    len: Size,
    flags: MsgFlags,
    addr: SockaddrPtr,
    addrlen: Int,
) -> SysResult {
    let (socket, kind) = socket_of(cx, fd)?;
    let mut envelope = Envelope::default();
    if !addr.0.is_null() {
        envelope.to = to(cx, &socket, kind, &address::read(cx, addr.0, addrlen.0)?)?;
    }
    sign(cx, kind, &mut envelope, Ucred::real(cx));
    value(send_or_signal(cx, &socket, kind, envelope, &Iov::one(buf.0.0, len.0), flags.0 as i32)?)
}

/// A destination that matters: connected unix sockets judge whether there is one and do not look at it.
fn to(cx: &Call, socket: &OwnedFd, kind: SocketKind, addr: &[u8]) -> Result<Option<Destination>, Errno> {
    if addr.is_empty() || netlink_port(cx, socket).is_some() {
        return Ok(None);
    }
    match (kind.domain, kind.ty) {
        (libc::AF_UNIX, libc::SOCK_SEQPACKET) => Ok(None),
        // EISCONN or EOPNOTSUPP is the kernel's to say.
        (libc::AF_UNIX, libc::SOCK_STREAM) => Ok(Some(Destination::plain(HostAddr::raw(addr)))),
        _ => destination(cx, kind, addr).map(Some),
    }
}

/// Tells the receiver who sends, where receivers may ask.
fn sign(cx: &Call, kind: SocketKind, envelope: &mut Envelope, who: Ucred) {
    if !kind.is_unix() || !cx.kernel.net.passes_credentials() || envelope.fds.len() >= MAX_FDS {
        return;
    }
    let Some(object) = cx.kernel.net.senders.lock().object(who) else { return };
    envelope.fds.push(object);
    envelope.control = Message::rights(&envelope.fds);
}

/// Reads a message; EMSGSIZE, EINVAL, ENOBUFS, EBADF, EPERM for what it may not have.
fn read_message(cx: &Call, socket: &OwnedFd, kind: SocketKind, at: u64) -> Result<(Envelope, Iov), Errno> {
    let header: Msghdr = cx.memory().read_obj(at)?;
    if header.namelen < 0 {
        bail!(EINVAL);
    }
    let mut envelope = Envelope::default();
    let name = match header.name {
        0 => Vec::new(),
        at => address::read(cx, GuestAddr(at), header.namelen.min(MAX_ADDR as i32))?,
    };
    let iov = Iov::read(cx, header.iov, header.iovlen)?;
    let mut who = Ucred::real(cx);
    if header.controllen != 0 {
        if header.controllen > MAX_CONTROL {
            bail!(ENOBUFS);
        }
        let control = cx.memory().read_vec(header.control, header.controllen as usize)?;
        if kind.is_inet() {
            // Options of one packet. The socket level's own messages are not looked at by these families.
            envelope.control = ControlBuffer::raw(&control);
        } else {
            who = read_control(cx, kind, &control, &mut envelope)?.unwrap_or(who);
        }
    }
    envelope.to = to(cx, socket, kind, &name)?;
    sign(cx, kind, &mut envelope, who);
    Ok((envelope, iov))
}

/// __scm_send(): who the sender says to be, if he does.
fn read_control(
    cx: &Call,
    kind: SocketKind,
    control: &[u8],
    envelope: &mut Envelope,
) -> Result<Option<Ucred>, Errno> {
    let mut who = None;
    for cmsg in sockets::parse_control(control).ok_or(err!(EINVAL))? {
        match (cmsg.level, cmsg.kind) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) if kind.is_unix() => {
                if envelope.fds.len() + cmsg.data.len() / 4 > MAX_FDS {
                    bail!(EINVAL);
                }
                for fd in cmsg.data.chunks_exact(4) {
                    let fd = i32::from_ne_bytes([fd[0], fd[1], fd[2], fd[3]]);
                    envelope.fds.push(cx.duplicate_fd(fd)?);
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                if cmsg.data.len() != size_of::<Ucred>() {
                    bail!(EINVAL);
                }
                let said: Ucred = bytemuck::pod_read_unaligned(&cmsg.data);
                said.check(cx)?;
                who = Some(said);
            }
            (libc::SOL_SOCKET, _) => bail!(EINVAL),
            _ => {}
        }
    }
    // Nobody hands on who somebody else is.
    cx.kernel.net.senders.lock().take(&mut envelope.fds);
    if !envelope.fds.is_empty() {
        envelope.control = Message::rights(&envelope.fds);
    }
    Ok(who)
}

pub(crate) fn sendmsg(cx: &Call, fd: Fd, msg: MsghdrPtr, flags: MsgFlags) -> SysResult {
    let (socket, kind) = socket_of(cx, fd)?;
    let (envelope, iov) = read_message(cx, &socket, kind, msg.0.0)?;
    value(send_or_signal(cx, &socket, kind, envelope, &iov, flags.0 as i32)?)
}

/// `sizeof(struct mmsghdr)`, and where its `msg_len` is.
pub(super) const MMSGHDR_SIZE: u64 = 64;
pub(super) const MSG_LEN_AT: u64 = 56;

pub(crate) fn sendmmsg(cx: &Call, fd: Fd, vec: Ptr, n: Uint, flags: MsgFlags) -> SysResult {
    let (socket, kind) = socket_of(cx, fd)?;
    let mut sent = 0i64;
    for i in 0..u64::from(n.0).min(MAX_IOV) {
        let at = vec.0.0.checked_add(i * MMSGHDR_SIZE).ok_or(err!(EFAULT))?;
        let one = read_message(cx, &socket, kind, at)
            .and_then(|(envelope, iov)| send_or_signal(cx, &socket, kind, envelope, &iov, flags.0 as i32))
            .and_then(|len| cx.memory().write_obj(at + MSG_LEN_AT, &(len as u32)));
        match one {
            Ok(()) => sent += 1,
            Err(e) if sent == 0 => return Err(e),
            Err(_) => break,
        }
    }
    value(sent)
}
