//! sendmsg(2) and recvmsg(2) on buffers of the supervisor's.

use super::{Cmsg, ControlBuffer, HostAddr, MAX_ADDR, check_size, parse_control};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno as HostErrno;

/// One message to send.
#[derive(Debug, Default)]
pub(crate) struct Message<'b> {
    pub(crate) to: Option<HostAddr>,
    pub(crate) body: &'b [u8],
    pub(crate) control: ControlBuffer,
}

impl Message<'_> {
    /// SCM_RIGHTS of these descriptors, which must stay open until the message has been sent.
    pub(crate) fn rights(fds: &[OwnedFd]) -> ControlBuffer {
        let mut control = ControlBuffer::default();
        let numbers: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        control.push(libc::SOL_SOCKET, libc::SCM_RIGHTS, bytemuck::cast_slice(&numbers));
        control
    }
}

/// Sends one message: the bytes taken.
pub(crate) fn send(fd: BorrowedFd<'_>, message: &Message<'_>, flags: i32) -> Result<usize, HostErrno> {
    let mut iov = libc::iovec { iov_base: message.body.as_ptr() as *mut _, iov_len: message.body.len() };
    let (name, namelen) = message.to.as_ref().map_or((std::ptr::null(), 0), HostAddr::as_raw);
    // SAFETY: every pointer is to memory that lives through the call, with its true length; the kernel only reads.
    check_size(unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_name = name as *mut _;
        header.msg_namelen = namelen;
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        if message.control.len() != 0 {
            header.msg_control = message.control.as_ptr() as *mut _;
            header.msg_controllen = message.control.len();
        }
        libc::sendmsg(fd.as_raw_fd(), &raw const header, flags)
    })
}

/// Room for SCM_MAX_FD descriptors, credentials and what else a unix socket attaches.
const CONTROL_ROOM: usize = 4096;

/// A message that was received.
#[derive(Debug)]
pub(crate) struct Received {
    /// What recvmsg returned; with MSG_TRUNC it may be more than the buffer holds.
    pub(crate) len: usize,
    pub(crate) name: Vec<u8>,
    /// Control messages without SCM_RIGHTS, in order.
    pub(crate) control: Vec<Cmsg>,
    /// What SCM_RIGHTS brought.
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) flags: i32,
}

/// Receives one message into `buf`.
pub(crate) fn receive(fd: BorrowedFd<'_>, buf: &mut [u8], flags: i32) -> Result<Received, HostErrno> {
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let mut name = [0u8; MAX_ADDR];
    let mut control = ControlBuffer::with_room(CONTROL_ROOM);
    // SAFETY: every pointer is to memory that lives through the call and is ours alone, with its true length.
    let (len, header) = unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = MAX_ADDR as libc::socklen_t;
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr();
        header.msg_controllen = control.len();
        let r = libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags | libc::MSG_CMSG_CLOEXEC);
        (check_size(r)?, header)
    };
    let mut fds = Vec::new();
    let mut others = Vec::new();
    let used = header.msg_controllen.min(control.len());
    for cmsg in parse_control(&control.bytes()[..used]).unwrap_or_default() {
        if (cmsg.level, cmsg.kind) != (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            others.push(cmsg);
            continue;
        }
        for number in cmsg.data.chunks_exact(4) {
            let number = i32::from_ne_bytes([number[0], number[1], number[2], number[3]]);
            // SAFETY: a descriptor that the kernel has just made for us and that nobody else has.
            fds.push(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
    let namelen = (header.msg_namelen as usize).min(MAX_ADDR);
    Ok(Received { len, name: name[..namelen].to_vec(), control: others, fds, flags: header.msg_flags })
}
