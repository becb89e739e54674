//! Netlink sockets of a container that has no network: rtnetlink(7) about the loopback interface alone.
//!
//! The host's would tell of the host's interfaces. So the guest gets one end of a pair of datagram sockets, whatever way
//! it sends requests (write, send, sendmsg) they arrive at the other end, and one thread of the supervisor answers there.
//! The guest's end is known by its inode number for the calls that tell addresses.

mod route;

use crate::errno::{Errno, host};
use crate::{bail, err};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use std::collections::HashMap;
use std::sync::Arc;

/// The netlink sockets of a container.
#[derive(Debug, Default)]
pub(crate) struct Netlink {
    shared: Arc<Mutex<Sockets>>,
}

#[derive(Debug, Default)]
struct Sockets {
    /// By the inode number of the guest's end.
    all: HashMap<u64, Socket>,
    /// Written to when there is a new one; none before the thread runs.
    wake: Option<OwnedFd>,
}

#[derive(Debug)]
struct Socket {
    port: u32,
    ours: Arc<OwnedFd>,
}

/// More than any program needs, fewer than would exhaust the supervisor's descriptors.
const MAX_SOCKETS: usize = 1024;
const MAX_REQUEST: usize = 32 << 10;

impl Netlink {
    /// A new socket; `flags` may have SOCK_NONBLOCK. `port`: the caller's pid.
    pub(super) fn socket(&self, flags: i32, port: u32) -> Result<OwnedFd, Errno> {
        let pair = || socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
        let (theirs, ours) = pair().map_err(host)?;
        if flags & libc::SOCK_NONBLOCK != 0 {
            rustix::fs::fcntl_setfl(&theirs, rustix::fs::OFlags::NONBLOCK).map_err(host)?;
        }
        let ino = rustix::fs::fstat(&theirs).map_err(host)?.st_ino;
        let mut sockets = self.shared.lock();
        if sockets.all.len() >= MAX_SOCKETS {
            bail!(ENFILE);
        }
        let taken = sockets.all.values().any(|s| s.port == port);
        // netlink_autobind() takes numbers that are no pids.
        let port = if taken { u32::MAX - ino as u32 % 0x1000_0000 } else { port };
        sockets.all.insert(ino, Socket { port, ours: Arc::new(ours) });
        match &sockets.wake {
            Some(wake) => drop(send(wake, &[0], SendFlags::DONTWAIT)),
            None => {
                let (wake, woken) = pair().map_err(host)?;
                let shared = self.shared.clone();
                let thread = std::thread::Builder::new().name("netlink".into()).stack_size(128 << 10);
                thread.spawn(move || serve(&shared, &woken)).map_err(|_| err!(ENOMEM))?;
                sockets.wake = Some(wake);
            }
        }
        Ok(theirs)
    }

    /// The port of a socket that was made here.
    pub(super) fn port_of(&self, socket: &OwnedFd) -> Option<u32> {
        let ino = rustix::fs::fstat(socket).ok()?.st_ino;
        self.shared.lock().all.get(&ino).map(|s| s.port)
    }

    /// bind(2) with a port other than 0.
    pub(super) fn set_port(&self, socket: &OwnedFd, port: u32) {
        let Ok(st) = rustix::fs::fstat(socket) else { return };
        if let Some(s) = self.shared.lock().all.get_mut(&st.st_ino) {
            s.port = port;
        }
    }
}

/// `struct sockaddr_nl`
pub(super) fn address(port: u32) -> Vec<u8> {
    let mut addr = (libc::AF_NETLINK as u32).to_ne_bytes().to_vec();
    addr.extend_from_slice(&port.to_ne_bytes());
    addr.extend_from_slice(&[0; 4]);
    addr
}

/// Answers requests until the supervisor ends.
fn serve(shared: &Mutex<Sockets>, woken: &OwnedFd) {
    let mut buf = vec![0u8; MAX_REQUEST];
    loop {
        let all: Vec<(u64, u32, Arc<OwnedFd>)> =
            shared.lock().all.iter().map(|(ino, s)| (*ino, s.port, s.ours.clone())).collect();
        let mut fds: Vec<PollFd<'_>> =
            all.iter().map(|(_, _, ours)| PollFd::new(&**ours, PollFlags::IN)).collect();
        fds.push(PollFd::new(woken, PollFlags::IN));
        if poll(&mut fds, None).is_err() {
            continue;
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        if ready.last().is_some_and(|r| !r.is_empty()) {
            let _ = recv(woken, &mut buf[..1], RecvFlags::DONTWAIT);
        }
        for ((ino, port, ours), ready) in all.iter().zip(ready) {
            if ready.contains(PollFlags::IN)
                && let Ok((n, _)) = recv(ours.as_fd(), &mut buf[..], RecvFlags::DONTWAIT)
            {
                for answer in route::answers(&buf[..n], *port) {
                    // A full queue loses messages, as netlink does.
                    let _ = send(&**ours, &answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
                }
            } else if ready.contains(PollFlags::HUP) || ready.contains(PollFlags::ERR) {
                shared.lock().all.remove(ino);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered() {
        let netlink = Netlink::default();
        let socket = netlink.socket(0, 77).unwrap();
        assert_eq!(netlink.port_of(&socket), Some(77));
        let other = netlink.socket(libc::SOCK_NONBLOCK, 77).unwrap();
        assert_ne!(netlink.port_of(&other), Some(77));
        netlink.set_port(&other, 5);
        assert_eq!(netlink.port_of(&other), Some(5));
        // RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP
        let mut request = Vec::new();
        request.extend_from_slice(&17u32.to_ne_bytes());
        request.extend_from_slice(&22u16.to_ne_bytes());
        request.extend_from_slice(&0x301u16.to_ne_bytes());
        request.extend_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0, 0]);
        for socket in [&socket, &other] {
            send(socket, &request, SendFlags::empty()).unwrap();
            let mut fds = [PollFd::new(socket, PollFlags::IN)];
            poll(&mut fds, None).unwrap();
            let mut buf = [0; 4096];
            let (n, _) = recv(socket, &mut buf[..], RecvFlags::empty()).unwrap();
            assert!(n > 16 && buf[4] == 20 && buf[8] == 9);
        }
        assert_eq!(address(3), [16, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    }
}
