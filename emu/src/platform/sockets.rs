//! Socket calls of the host with addresses as bytes: what rustix types more closely than a personality can use.

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno as HostErrno;
use sha2::{Digest, Sha256};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A `sockaddr` for the host.
#[derive(Debug, Clone)]
pub(crate) struct HostAddr(Vec<u8>);

/// `sizeof(sun_path)`.
const SUN_PATH: usize = 108;

impl HostAddr {
    /// As the guest gave it.
    pub(crate) fn raw(bytes: &[u8]) -> HostAddr {
        HostAddr(bytes.to_vec())
    }

    fn unix(path: &[u8]) -> Option<HostAddr> {
        (path.len() < SUN_PATH).then(|| HostAddr([&(libc::AF_UNIX as u16).to_ne_bytes()[..], path, &[0]].concat()))
    }

    /// A path of ours. `None` when it is too long.
    pub(crate) fn path(path: &Path) -> Option<HostAddr> {
        HostAddr::unix(path.as_os_str().as_bytes())
    }

    /// The path behind an address that [`HostAddr::path`] made.
    pub(crate) fn resolve(path: &Path) -> PathBuf {
        path.to_owned()
    }

    fn prefix(container: &str) -> Vec<u8> {
        format!("carrack/{}/", container.get(..12).unwrap_or(container)).into_bytes()
    }

    /// A container's own form of an abstract name; long ones are hashed.
    pub(crate) fn abstract_name(container: &str, name: &[u8]) -> HostAddr {
        let mut own = HostAddr::prefix(container);
        if own.len() + name.len() < SUN_PATH {
            own.extend_from_slice(name);
        } else {
            own.extend_from_slice(hex::encode(Sha256::digest(name)).as_bytes());
        }
        HostAddr([&(libc::AF_UNIX as u16).to_ne_bytes()[..], &[0], &own].concat())
    }

    /// The guest's name again (of a hashed one: the hash).
    pub(crate) fn strip_abstract<'a>(container: &str, name: &'a [u8]) -> &'a [u8] {
        name.strip_prefix(HostAddr::prefix(container).as_slice()).unwrap_or(name)
    }

    fn as_raw(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        (self.0.as_ptr().cast(), self.0.len() as libc::socklen_t)
    }
}

fn check(r: libc::c_int) -> Result<libc::c_int, HostErrno> {
    if r < 0 { Err(HostErrno::from_raw_os_error(nix::errno::Errno::last_raw())) } else { Ok(r) }
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

/// Waits for a connection on its way, and gives how it ended.
pub(crate) fn wait_connected(fd: BorrowedFd<'_>) -> Result<(), HostErrno> {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::OUT)];
    rustix::event::poll(&mut fds, None)?;
    rustix::net::sockopt::socket_error(fd)?
}

/// Waits until there is something to read or accept. EINTR when interrupted.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, _owner: &OwnedFd) -> Result<(), HostErrno> {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, None).map(drop)
}

type GetName = unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn get_name(fd: BorrowedFd<'_>, get: GetName) -> Result<Vec<u8>, HostErrno> {
    let mut buf = [0u8; 128];
    let mut len = buf.len() as libc::socklen_t;
    // SAFETY: `buf` has `len` bytes; both live through the call.
    check(unsafe { get(fd.as_raw_fd(), buf.as_mut_ptr().cast(), &raw mut len) })?;
    Ok(buf[..(len as usize).min(buf.len())].to_vec())
}

pub(crate) fn name(fd: BorrowedFd<'_>) -> Result<Vec<u8>, HostErrno> {
    get_name(fd, libc::getsockname)
}

pub(crate) fn peer(fd: BorrowedFd<'_>) -> Result<Vec<u8>, HostErrno> {
    get_name(fd, libc::getpeername)
}

/// SO_DOMAIN, −1 when this is no socket.
pub(crate) fn domain(fd: BorrowedFd<'_>) -> i32 {
    rustix::net::sockopt::socket_domain(fd).map_or(-1, |d| i32::from(d.as_raw()))
}

pub(crate) fn is_nonblocking(fd: &OwnedFd) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|f| f.contains(rustix::fs::OFlags::NONBLOCK))
}

/// accept4: the new socket and its peer's address.
pub(crate) fn accept(fd: BorrowedFd<'_>, flags: i32) -> Result<(OwnedFd, Vec<u8>), HostErrno> {
    let mut buf = [0u8; 128];
    let mut len = buf.len() as libc::socklen_t;
    // SAFETY: `buf` has `len` bytes; both live through the call.
    let new = check(unsafe {
        libc::accept4(fd.as_raw_fd(), buf.as_mut_ptr().cast(), &raw mut len, flags | libc::SOCK_CLOEXEC)
    })?;
    // SAFETY: a descriptor that was just made and that nobody else has.
    let new = unsafe { OwnedFd::from_raw_fd(new) };
    Ok((new, buf[..(len as usize).min(buf.len())].to_vec()))
}

/// accept4 on a blocking listener that must not block: EAGAIN when another took the connection.
pub(crate) fn accept_now(fd: BorrowedFd<'_>, flags: i32) -> Result<(OwnedFd, Vec<u8>), HostErrno> {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN)];
    match rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(0) => Err(HostErrno::AGAIN),
        _ => accept(fd, flags),
    }
}

/// SO_PEERCRED: pid, uid, gid as the host has them.
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> Result<(i32, u32, u32), HostErrno> {
    let c = rustix::net::sockopt::socket_peercred(fd)?;
    Ok((c.pid.as_raw_nonzero().get(), c.uid.as_raw(), c.gid.as_raw()))
}

/// One message to send.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) to: Option<HostAddr>,
    pub(crate) body: Vec<u8>,
    /// SCM_RIGHTS.
    pub(crate) fds: Vec<OwnedFd>,
}

pub(crate) fn send(fd: BorrowedFd<'_>, message: &Message, flags: i32) -> Result<usize, HostErrno> {
    let mut iov = libc::iovec { iov_base: message.body.as_ptr() as *mut _, iov_len: message.body.len() };
    let raw_fds: Vec<i32> = message.fds.iter().map(AsRawFd::as_raw_fd).collect();
    // u64s, so that the headers are aligned.
    let mut control = vec![0u64; 0];
    if !raw_fds.is_empty() {
        let data = raw_fds.len() * 4;
        control.resize((16 + data).div_ceil(8), 0);
        control[0] = 16 + data as u64;
        control[1] = (libc::SOL_SOCKET as u64) | (libc::SCM_RIGHTS as u64) << 32;
        bytemuck::cast_slice_mut::<u64, u8>(&mut control)[16..16 + data].copy_from_slice(bytemuck::cast_slice(&raw_fds));
    }
    let (name, namelen) = message.to.as_ref().map_or((std::ptr::null(), 0), HostAddr::as_raw);
    // SAFETY: every pointer is to memory that lives through the call, with its true length; the kernel only reads.
    let sent = unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_name = name as *mut _;
        header.msg_namelen = namelen;
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        if !control.is_empty() {
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = control[0] as usize;
        }
        libc::sendmsg(fd.as_raw_fd(), &raw const header, flags)
    };
    if sent < 0 { Err(HostErrno::from_raw_os_error(nix::errno::Errno::last_raw())) } else { Ok(sent as usize) }
}

/// The control messages in a buffer: (level, type, data). `None` when a length is wrong.
pub(crate) fn control_messages(mut buf: &[u8]) -> Option<Vec<(i32, i32, Vec<u8>)>> {
    let mut out = Vec::new();
    while buf.len() >= 16 {
        let len = usize::try_from(u64::from_ne_bytes(buf[..8].try_into().ok()?)).ok()?;
        if len < 16 || len > buf.len() {
            return None;
        }
        let level = i32::from_ne_bytes(buf[8..12].try_into().ok()?);
        let kind = i32::from_ne_bytes(buf[12..16].try_into().ok()?);
        out.push((level, kind, buf[16..len].to_vec()));
        buf = buf.get(len.div_ceil(8) * 8..).unwrap_or(&[]);
    }
    Some(out)
}
