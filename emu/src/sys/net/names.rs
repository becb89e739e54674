//! What sockets are called inside and on the host.

use super::credentials::{Senders, Ucred};
use super::netlink::Netlink;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the kernel of a container knows of its sockets.
#[derive(Debug, Default)]
pub(crate) struct NetState {
    /// By the host's `sun_path`: a path without its NUL, or an abstract name with the leading one.
    bound: Mutex<Bound>,
    /// Somebody has bound a unix name, or asked for credentials: what is received may need translation.
    is_watched: AtomicBool,
    /// SO_PASSCRED has been set on some socket: messages that the supervisor sends say who really sent them.
    passes_credentials: AtomicBool,
    pub(super) senders: Mutex<Senders>,
    serial: AtomicU64,
    pub(super) netlink: Netlink,
}

#[derive(Debug, Default)]
struct Bound {
    names: HashMap<Vec<u8>, BoundName>,
    /// Size at which the dead are looked for.
    prune_at: usize,
}

/// A name that a guest has bound.
#[derive(Debug, Clone)]
pub(super) struct BoundName {
    /// The guest's `sun_path`: a path without NUL, or an abstract name with the leading one.
    pub(super) inside: Vec<u8>,
    /// Who listens at it, or who connected from it.
    pub(super) owner: Option<Ucred>,
}

const PRUNE_AT: usize = 4096;

impl NetState {
    pub(super) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    /// From now on received messages are looked at.
    pub(super) fn watch(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    pub(super) fn passes_credentials(&self) -> bool {
        self.passes_credentials.load(Ordering::Relaxed)
    }

    pub(super) fn set_passes_credentials(&self) {
        self.passes_credentials.store(true, Ordering::Relaxed);
        self.watch();
    }

    /// A number that no other socket of the container had.
    pub(super) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that the host's `outside` is what the guest calls `inside`. Call it before the name can be seen.
    pub(super) fn insert(&self, outside: &[u8], inside: &[u8]) {
        self.watch();
        let mut bound = self.bound.lock();
        if bound.names.len() >= bound.prune_at.max(PRUNE_AT) {
            bound.prune();
        }
        bound.names.insert(outside.to_vec(), BoundName { inside: inside.to_vec(), owner: None });
    }

    /// The name was not taken after all.
    pub(super) fn remove(&self, outside: &[u8]) {
        self.bound.lock().names.remove(outside);
    }

    pub(super) fn get(&self, outside: &[u8]) -> Option<BoundName> {
        self.bound.lock().names.get(outside).cloned()
    }

    pub(super) fn set_owner(&self, outside: &[u8], owner: Ucred) {
        if let Some(name) = self.bound.lock().names.get_mut(outside) {
            name.owner = Some(owner);
        }
    }
}

impl Bound {
    /// Forgets names whose sockets are closed: those that the host does not list any more.
    fn prune(&mut self) {
        if let Ok(text) = std::fs::read("/proc/self/net/unix") {
            let alive: std::collections::HashSet<&[u8]> =
                text.split(|&b| b == b'\n').filter_map(name_of_line).collect();
            // The list shows NULs as '@'.
            let shown =
                |name: &[u8]| name.iter().map(|&b| if b == 0 { b'@' } else { b }).collect::<Vec<u8>>();
            self.names.retain(|outside, _| alive.contains(&shown(outside)[..]));
        }
        self.prune_at = self.names.len() * 2;
    }
}

/// `Num RefCount Protocol Flags Type St Inode Path`: the path.
fn name_of_line(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line;
    for _ in 0..7 {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|&b| b == b' ')?;
        rest = &rest[end..];
    }
    rest.get(1..).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::sockets::{self, HostAddr};
    use rustix::fd::AsFd;

    #[test]
    fn the_path_of_a_line() {
        let line = b"0000000000000000: 00000002 00000000 00010000 0001 01 23456 /run/a b";
        assert_eq!(name_of_line(line), Some(&b"/run/a b"[..]));
        assert_eq!(name_of_line(b"0000000000000000: 00000002 00000000 00010000 0001 01 23456"), None);
        assert_eq!(name_of_line(b""), None);
    }

    #[test]
    fn names_of_closed_sockets_are_forgotten() {
        let outside = format!("\0carrack-test-{}\0x", std::process::id()).into_bytes();
        let socket = sockets::socket(libc::AF_UNIX, libc::SOCK_STREAM).unwrap();
        sockets::bind(socket.as_fd(), &HostAddr::unix(&outside).unwrap()).unwrap();
        let net = NetState::default();
        net.insert(&outside, b"\0x");
        net.insert(b"/gone", b"/gone");
        net.bound.lock().prune();
        assert!(net.get(&outside).is_some() && net.get(b"/gone").is_none());
        drop(socket);
        net.bound.lock().prune();
        assert!(net.get(&outside).is_none());
    }
}
