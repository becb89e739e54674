//! Socket addresses: the guest's to the host's and back.

use super::names::NetState;
use super::{Call, credentials, is_isolated, loopback};
use crate::errno::{Errno, host};
use crate::platform::sockets::{HostAddr, MAX_ADDR, SocketKind};
use crate::vfs::permission::{Access, inode_permission};
use crate::vfs::{Kind, Lookup, LookupFlags, caller};
use crate::{bail, err};
use carrack_syscalls::arg::{GuestAddr, SocklenPtr};
use sha2::{Digest, Sha256};

/// `offsetof(struct sockaddr_un, sun_path)`.
pub(super) const SUN_PATH_AT: usize = 2;
/// `sizeof(struct sockaddr_un)`.
const SUN_SIZE: usize = 110;

/// move_addr_to_kernel().
pub(super) fn read(cx: &Call, addr: GuestAddr, len: i32) -> Result<Vec<u8>, Errno> {
    let len = usize::try_from(len).map_err(|_| err!(EINVAL))?;
    if len > MAX_ADDR {
        bail!(EINVAL);
    }
    cx.memory().read_vec(addr.0, len)
}

/// move_addr_to_user(): writes what fits, and the true length.
pub(super) fn write(cx: &Call, addr: &[u8], to: GuestAddr, len: SocklenPtr) -> Result<(), Errno> {
    let room: i32 = cx.memory().read_obj(len.0.0)?;
    let room = usize::try_from(room).map_err(|_| err!(EINVAL))?;
    cx.memory().write(to.0, &addr[..addr.len().min(room)])?;
    cx.memory().write_obj(len.0.0, &(addr.len() as i32))
}

/// `sa_family`.
pub(super) fn family(addr: &[u8]) -> Option<i32> {
    Some(i32::from(u16::from_ne_bytes(addr.get(..2)?.try_into().ok()?)))
}

/// What a unix address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnixName<'a> {
    /// With the leading NUL.
    Abstract(&'a [u8]),
    /// Without the terminating NUL, never empty.
    Path(&'a [u8]),
}

/// unix_validate_addr(), unix_mkname_bsd(): EINVAL for another family and for lengths that cannot be.
pub(super) fn unix_name(addr: &[u8]) -> Result<UnixName<'_>, Errno> {
    if addr.len() <= SUN_PATH_AT || addr.len() > SUN_SIZE || family(addr) != Some(libc::AF_UNIX) {
        bail!(EINVAL);
    }
    let name = &addr[SUN_PATH_AT..];
    Ok(match name.iter().position(|&b| b == 0) {
        Some(0) => UnixName::Abstract(name),
        Some(end) => UnixName::Path(&name[..end]),
        None => UnixName::Path(name),
    })
}

/// A name in the host's abstract namespace that only this container gives: NUL, `carrack/`, its id, `/`, and what follows.
pub(super) fn own_abstract(cx: &Call, kind: char, rest: &[u8]) -> Vec<u8> {
    [own_prefix(&cx.kernel.spec.id, '\0', kind).as_bytes(), rest].concat()
}

/// `kind`: `n` for a guest's name, `h` for one that was hashed, `c` for a token.
fn own_prefix(id: &str, first: char, kind: char) -> String {
    format!("{first}carrack/{}/{kind}/", id.get(..12).unwrap_or(id))
}

/// An abstract name of the host's `/proc/net/unix` (which shows NULs as `@`) as it is inside: empty for a socket that has
/// no name there, `None` for one that is not the container's.
pub(crate) fn listed_inside(id: &str, shown: &[u8]) -> Option<Vec<u8>> {
    let after = |kind| shown.strip_prefix(own_prefix(id, '@', kind).as_bytes());
    if after('c').is_some() {
        return Some(Vec::new());
    }
    after('n').or_else(|| after('h')).map(|name| [b"@", name].concat())
}

/// The host's form of an abstract name; a long one is hashed.
pub(super) fn abstract_outside(cx: &Call, inside: &[u8]) -> Result<HostAddr, Errno> {
    let name = inside.get(1..).unwrap_or_default();
    let plain = HostAddr::unix(&own_abstract(cx, 'n', name));
    plain
        .or_else(|| HostAddr::unix(&own_abstract(cx, 'h', hex::encode(Sha256::digest(name)).as_bytes())))
        .ok_or(err!(EINVAL))
}

/// Where a guest's address leads.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) addr: HostAddr,
    /// A host path of ours, which may be gone while the guest's inode is there.
    is_path: bool,
}

impl Destination {
    pub(super) fn plain(addr: HostAddr) -> Destination {
        Destination { addr, is_path: false }
    }

    /// Whether somebody of this container may be there. A socket of the host's has no use for what we tell by names.
    pub(super) fn is_inside(&self, net: &NetState) -> bool {
        !self.is_path || outside_name(self.addr.bytes()).is_some_and(|outside| net.get(outside).is_some())
    }

    /// The guest's errno for one of the host's.
    pub(super) fn error(&self, e: rustix::io::Errno) -> Errno {
        if self.is_path && matches!(e, rustix::io::Errno::NOENT | rustix::io::Errno::ACCESS) {
            return err!(ECONNREFUSED, "the socket of this inode was closed");
        }
        host(e)
    }
}

/// The host address that a guest's means for a call on such a socket that goes there (connect, sendto).
pub(super) fn destination(cx: &Call, kind: SocketKind, addr: &[u8]) -> Result<Destination, Errno> {
    if kind.is_inet() && is_isolated(cx) {
        return loopback::destination(cx, kind, addr).map(Destination::plain);
    }
    if !kind.is_unix() {
        return Ok(Destination::plain(HostAddr::raw(addr)));
    }
    match unix_name(addr)? {
        UnixName::Abstract(name) => abstract_outside(cx, name).map(Destination::plain),
        UnixName::Path(path) => {
            caller::set(cx.tid());
            let (fs, cred) = (cx.fs(), cx.cred());
            let lookup = Lookup { mounts: &cx.kernel.mounts, root: &fs.root, cred: &cred };
            let start = if path.first() == Some(&b'/') { &fs.root } else { &fs.cwd };
            let at = lookup.path(start, path, LookupFlags::FOLLOW)?;
            inode_permission(&cred, &*at.inode, Access::WRITE)?;
            if at.inode.kind() != Kind::Socket {
                bail!(ECONNREFUSED);
            }
            let path = at.inode.socket_path().ok_or(err!(ECONNREFUSED))?;
            let addr = HostAddr::path(&path).ok_or(err!(ECONNREFUSED))?;
            Ok(Destination { addr, is_path: true })
        }
    }
}

/// A unix address without a name.
fn unnamed() -> Vec<u8> {
    (libc::AF_UNIX as u16).to_ne_bytes().to_vec()
}

/// The `sun_path` of a unix address of the host's, as [`NetState`] has it. `None` for a socket without a name.
pub(super) fn outside_name(addr: &[u8]) -> Option<&[u8]> {
    let name = addr.get(SUN_PATH_AT..).filter(|n| !n.is_empty())?;
    if name[0] == 0 {
        return Some(name);
    }
    Some(name.strip_suffix(&[0]).unwrap_or(name))
}

/// A host address as the guest knows it.
pub(super) fn inside(cx: &Call, addr: Vec<u8>) -> Vec<u8> {
    match family(&addr) {
        Some(libc::AF_UNIX) => {}
        Some(libc::AF_INET | libc::AF_INET6) if is_isolated(cx) => return loopback::inside(addr),
        _ => return addr,
    }
    let Some(outside) = outside_name(&addr) else { return addr };
    if credentials::is_token(cx, outside) {
        return unnamed();
    }
    inside_unix(&cx.kernel.net, outside).unwrap_or(addr)
}

/// Where a message came from, as the guest knows it: nothing at all where the sender has no name.
pub(super) fn source(cx: &Call, addr: Vec<u8>) -> Vec<u8> {
    let is_token = outside_name(&addr).is_some_and(|outside| credentials::is_token(cx, outside));
    if is_token && family(&addr) == Some(libc::AF_UNIX) { Vec::new() } else { inside(cx, addr) }
}

fn inside_unix(net: &NetState, outside: &[u8]) -> Option<Vec<u8>> {
    let name = net.get(outside)?.inside;
    let nul: &[u8] = if name.first() == Some(&0) { &[] } else { &[0] };
    Some([&unnamed()[..], &name, nul].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn un(path: &[u8]) -> Vec<u8> {
        [&unnamed()[..], path].concat()
    }

    #[test]
    fn names_as_the_kernel_takes_them() {
        assert_eq!(unix_name(&un(b"a\0garbage")).unwrap(), UnixName::Path(b"a"));
        assert_eq!(unix_name(&un(&[b'x'; 108])).unwrap(), UnixName::Path(&[b'x'; 108]));
        assert_eq!(unix_name(&un(b"\0a\0b")).unwrap(), UnixName::Abstract(b"\0a\0b"));
        assert_eq!(unix_name(&un(b"\0")).unwrap(), UnixName::Abstract(b"\0"));
        for bad in [&un(b"")[..], &un(&[b'x'; 109]), b"", b"\x02\0abc", b"\x01"] {
            assert!(unix_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn any_bytes_are_an_address_or_are_refused() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for _ in 0..20_000 {
            let len = usize::from(random()) % (MAX_ADDR + 1);
            let mut addr: Vec<u8> = (0..len).map(|_| random() % 4).collect();
            if let Some(family) = addr.first_chunk_mut::<2>() {
                *family = [random() % 12, 0];
            }
            let _ = (unix_name(&addr), outside_name(&addr), loopback::inside(addr.clone()));
        }
    }

    #[test]
    fn bound_names_come_back_as_they_were_given() {
        let net = NetState::default();
        net.insert(b"/run/s/1-2", b"a");
        net.insert(b"\0carrack/1/n/x", b"\0x");
        assert_eq!(inside_unix(&net, b"/run/s/1-2"), Some(un(b"a\0")));
        assert_eq!(inside_unix(&net, b"\0carrack/1/n/x"), Some(un(b"\0x")));
        assert_eq!(inside_unix(&net, b"/other"), None);
        assert_eq!(outside_name(&un(b"/a\0")), Some(&b"/a"[..]));
        assert_eq!(outside_name(&un(b"")), None);
    }
}
