//! recvfrom(2) with an address, recvmsg(2), recvmmsg(2).
//!
//! They go on natively unless what they bring may need translation: the address of a unix peer, credentials, or (without
//! the host's network) an inet address. Then the supervisor receives on its duplicate of the socket and hands on.

use super::credentials;
use super::send::{Iov, MMSGHDR_SIZE, MSG_LEN_AT, Msghdr};
use super::{
    Call, MAX_IOV, MAX_MESSAGE, Outcome, SysResult, address, any_translated, blocking, is_translated,
    netlink, netlink_port, socket_of,
};
use crate::errno::{Errno, host};
use crate::platform::sockets::{self, Received, SocketKind};
use crate::sys::value;
use crate::{bail, err};
use carrack_syscalls::arg::*;
use rustix::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Receives one message, waiting where the guest's own call would. Bytes that were received are in the vector.
fn receive(cx: &Call, socket: &OwnedFd, room: u64, flags: i32) -> Result<(Received, Vec<u8>), Errno> {
    let mut buf = vec![0; (room as usize).min(MAX_MESSAGE)];
    let waits = flags & libc::MSG_DONTWAIT == 0 && !sockets::is_nonblocking(socket);
    let mut now = Err(rustix::io::Errno::AGAIN);
    // MSG_WAITALL takes no part of what it waits for.
    if !waits || flags & libc::MSG_WAITALL == 0 {
        now = sockets::receive(socket.as_fd(), &mut buf, flags | libc::MSG_DONTWAIT);
    }
    let got = match now {
        Err(rustix::io::Errno::AGAIN) if waits => {
            blocking(cx, socket, libc::SO_RCVTIMEO, || sockets::receive(socket.as_fd(), &mut buf, flags))?
        }
        other => other.map_err(host)?,
    };
    buf.truncate(got.len);
    Ok((got, buf))
}

pub(crate) fn recvfrom(
    cx: &Call,
    fd: Fd,
    buf: Out,
    len: Size,
    flags: MsgFlags,
    addr: SockaddrPtr,
    addrlen: SocklenPtr,
) -> SysResult {
    if !any_translated(cx) {
        return Ok(Outcome::Continue);
    }
    let (socket, kind) = socket_of(cx, fd)?;
    if !is_translated(cx, kind) {
        return Ok(Outcome::Continue);
    }
    let iov = Iov::one(buf.0.0, len.0);
    let (got, bytes) = receive(cx, &socket, iov.total, flags.0 as i32)?;
    iov.write(cx, &bytes)?;
    address::write(cx, &source(cx, &socket, got.name), addr.0, addrlen)?;
    value(got.len as i64)
}

/// Where a message came from.
fn source(cx: &Call, socket: &OwnedFd, name: Vec<u8>) -> Vec<u8> {
    match netlink_port(cx, socket) {
        Some(_) => netlink::address(0),
        None => address::source(cx, name),
    }
}

/// Whether a message for `header` can be received natively.
fn is_native(cx: &Call, kind: SocketKind, header: &Msghdr) -> bool {
    if !is_translated(cx, kind) {
        return true;
    }
    if header.name != 0 {
        return false;
    }
    // There may be credentials, or the mark of a sender that has to be taken out (without room for it the kernel would say
    // MSG_CTRUNC).
    !kind.is_unix() || !cx.kernel.net.passes_credentials()
}

pub(crate) fn recvmsg(cx: &Call, fd: Fd, msg: MsghdrPtr, flags: MsgFlags) -> SysResult {
    if !any_translated(cx) {
        return Ok(Outcome::Continue);
    }
    let (socket, kind) = socket_of(cx, fd)?;
    let header: Msghdr = cx.memory().read_obj(msg.0.0)?;
    if is_native(cx, kind, &header) {
        return Ok(Outcome::Continue);
    }
    value(receive_into(cx, &socket, msg.0.0, header, flags.0 as i32)?)
}

/// ___sys_recvmsg()
fn receive_into(cx: &Call, socket: &OwnedFd, at: u64, header: Msghdr, flags: i32) -> Result<i64, Errno> {
    if header.namelen < 0 {
        bail!(EINVAL);
    }
    let iov = Iov::read(cx, header.iov, header.iovlen)?;
    let (mut got, bytes) = receive(cx, socket, iov.total, flags)?;
    iov.write(cx, &bytes)?;
    let len = got.len as i64;
    let sender = cx.kernel.net.senders.lock().take(&mut got.fds);
    let cloexec = flags & libc::MSG_CMSG_CLOEXEC != 0;
    let mut out =
        ControlOut { cx, at: header.control, room: header.controllen, is_cut: false, start: header.control };
    if header.control == 0 {
        out.room = 0;
    }
    let name = source(cx, socket, std::mem::take(&mut got.name));
    for cmsg in &got.control {
        match (cmsg.level, cmsg.kind) {
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                out.put(cmsg.level, cmsg.kind, &credentials::received(cx, &cmsg.data, sender))?;
            }
            _ => out.put(cmsg.level, cmsg.kind, &cmsg.data)?,
        }
    }
    out.put_fds(&got.fds, cloexec)?;
    let mut result = got.flags & !libc::MSG_CMSG_CLOEXEC;
    if cloexec {
        result |= libc::MSG_CMSG_CLOEXEC;
    }
    if out.is_cut {
        result |= libc::MSG_CTRUNC;
    }
    let memory = cx.memory();
    if header.name != 0 {
        let n = name.len().min(header.namelen as usize);
        memory.write(header.name, &name[..n])?;
        memory.write_obj(at + std::mem::offset_of!(Msghdr, namelen) as u64, &(name.len() as i32))?;
    }
    memory.write_obj(at + std::mem::offset_of!(Msghdr, flags) as u64, &result)?;
    let used = out.at.wrapping_sub(out.start);
    memory.write_obj(at + std::mem::offset_of!(Msghdr, controllen) as u64, &used)?;
    Ok(len)
}

/// The guest's buffer for control messages.
struct ControlOut<'c> {
    cx: &'c Call,
    start: u64,
    at: u64,
    room: u64,
    /// MSG_CTRUNC
    is_cut: bool,
}

const HEADER: u64 = 16;

impl ControlOut<'_> {
    /// put_cmsg()
    fn put(&mut self, level: i32, kind: i32, data: &[u8]) -> Result<(), Errno> {
        if self.room < HEADER {
            self.is_cut = true;
            return Ok(());
        }
        let mut len = HEADER + data.len() as u64;
        if len > self.room {
            self.is_cut = true;
            len = self.room;
        }
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&level.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&data[..(len - HEADER) as usize]);
        self.cx.memory().write(self.at, &bytes)?;
        let space = len.next_multiple_of(8).min(self.room);
        self.at += space;
        self.room -= space;
        Ok(())
    }

    /// scm_detach_fds(): as many descriptors as there is room for are installed.
    fn put_fds(&mut self, fds: &[OwnedFd], cloexec: bool) -> Result<(), Errno> {
        if fds.is_empty() {
            return Ok(());
        }
        let fit = (self.room.saturating_sub(HEADER) / 4) as usize;
        let mut numbers = Vec::new();
        for fd in fds.iter().take(fit) {
            match self.cx.door.add_fd(fd, cloexec) {
                Ok(n) => numbers.push(n),
                Err(_) => break,
            }
        }
        if numbers.len() < fds.len() {
            self.is_cut = true;
        }
        if numbers.is_empty() {
            return Ok(());
        }
        self.put(libc::SOL_SOCKET, libc::SCM_RIGHTS, bytemuck::cast_slice(&numbers))
    }
}

const MSG_WAITFORONE: i32 = 0x10000;

pub(crate) fn recvmmsg(
    cx: &Call,
    fd: Fd,
    vec: Ptr,
    n: Uint,
    flags: MsgFlags,
    timeout: TimespecPtr,
) -> SysResult {
    if !any_translated(cx) {
        return Ok(Outcome::Continue);
    }
    let (socket, kind) = socket_of(cx, fd)?;
    if !is_translated(cx, kind) {
        return Ok(Outcome::Continue);
    }
    let count = u64::from(n.0).min(MAX_IOV);
    let until = match timeout.0.is_null() {
        true => None,
        false => {
            let [sec, nsec]: [i64; 2] = cx.memory().read_obj(timeout.0.0)?;
            let (Ok(sec), Ok(nsec @ 0..1_000_000_000)) = (u64::try_from(sec), u32::try_from(nsec)) else {
                bail!(EINVAL)
            };
            Instant::now().checked_add(Duration::new(sec, nsec))
        }
    };
    let mut headers = Vec::new();
    for i in 0..count {
        let at = vec.0.0.checked_add(i * MMSGHDR_SIZE).ok_or(err!(EFAULT))?;
        match cx.memory().read_obj::<Msghdr>(at) {
            Ok(header) => headers.push((at, header)),
            Err(e) if i == 0 => return Err(e),
            Err(_) => break,
        }
    }
    if headers.iter().all(|(_, header)| is_native(cx, kind, header)) {
        return Ok(Outcome::Continue);
    }
    let mut flags = flags.0 as i32;
    let mut received = 0i64;
    for (at, header) in headers {
        let one = receive_into(cx, &socket, at, header, flags & !MSG_WAITFORONE);
        match one.and_then(|len| cx.memory().write_obj(at + MSG_LEN_AT, &(len as u32))) {
            Ok(()) => received += 1,
            Err(e) if received == 0 => return Err(e),
            Err(_) => break,
        }
        if flags & MSG_WAITFORONE != 0 {
            flags |= libc::MSG_DONTWAIT;
        }
        if until.is_some_and(|t| Instant::now() >= t) {
            break;
        }
    }
    if let Some(until) = until {
        let left = until.saturating_duration_since(Instant::now());
        let _ = cx.memory().write_obj(timeout.0.0, &[left.as_secs() as i64, i64::from(left.subsec_nanos())]);
    }
    value(received)
}
