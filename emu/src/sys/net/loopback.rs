//! The network of a container that has none: an own loopback.
//!
//! The container's 127.0.0.1 is an address of the host's loopback net that is its own, so that containers and the host do
//! not meet by accident; `::1` is the same by way of a mapped address. Nothing else can be reached or bound. Ports are
//! shared between the two families, and unprivileged ones alone can be bound where the host says so.

use super::Call;
use super::address::family;
use crate::errno::{Errno, host};
use crate::platform::sockets::{self, HostAddr, SocketKind};
use crate::{bail, err};
use rustix::fd::BorrowedFd;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The container's own address on the host's loopback.
fn own_address(cx: &Call) -> Ipv4Addr {
    let digits = cx.kernel.spec.id.get(..6).and_then(|d| u32::from_str_radix(d, 16).ok()).unwrap_or(1);
    let [_, a, b, c] = digits.to_be_bytes();
    // Never the host's 127.0.0.x.
    Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))
}

/// What a socket address says: the port as it stands, and the address.
fn parse(addr: &[u8]) -> Option<([u8; 2], Ipv6Addr)> {
    let port = addr.get(2..4)?.try_into().ok()?;
    match family(addr)? {
        libc::AF_INET => {
            let ip: [u8; 4] = addr.get(4..8)?.try_into().ok()?;
            (addr.len() >= 16).then_some((port, Ipv4Addr::from(ip).to_ipv6_mapped()))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = addr.get(8..24)?.try_into().ok()?;
            Some((port, Ipv6Addr::from(ip)))
        }
        _ => None,
    }
}

fn is_own(ip: Ipv6Addr) -> bool {
    let v4 = ip.to_ipv4_mapped();
    ip.is_loopback() || ip.is_unspecified() || v4.is_some_and(|v4| v4.is_loopback() || v4.is_unspecified())
}

fn outside(cx: &Call, kind: SocketKind, port: [u8; 2]) -> HostAddr {
    let ip = own_address(cx);
    let mut addr = (kind.domain as u16).to_ne_bytes().to_vec();
    addr.extend_from_slice(&port);
    if kind.domain == libc::AF_INET {
        addr.extend_from_slice(&ip.octets());
        addr.resize(16, 0);
    } else {
        addr.extend_from_slice(&[0; 4]);
        addr.extend_from_slice(&ip.to_ipv6_mapped().octets());
        addr.extend_from_slice(&[0; 4]);
    }
    HostAddr::raw(&addr)
}

/// Where connect and sendto lead. ENETUNREACH for everything that is not the container's own.
pub(super) fn destination(cx: &Call, kind: SocketKind, addr: &[u8]) -> Result<HostAddr, Errno> {
    match parse(addr) {
        Some((port, ip)) if is_own(ip) => Ok(outside(cx, kind, port)),
        Some(_) => bail!(ENETUNREACH, "the container has no network"),
        // Malformed: the kernel says how.
        None => Ok(HostAddr::raw(addr)),
    }
}

/// Where bind leads. EADDRNOTAVAIL for everything that is not the container's own.
pub(super) fn local(
    cx: &Call,
    socket: BorrowedFd<'_>,
    kind: SocketKind,
    addr: &[u8],
) -> Result<HostAddr, Errno> {
    match parse(addr) {
        Some((port, ip)) if is_own(ip) => {
            allow_mapped(socket, kind);
            Ok(outside(cx, kind, port))
        }
        Some(_) => bail!(EADDRNOTAVAIL, "the container has no network"),
        None if addr.len() < 16 => bail!(EINVAL),
        None => bail!(EAFNOSUPPORT),
    }
}

/// Lets an IPv6 socket use the mapped address even where IPV6_V6ONLY was asked for.
fn allow_mapped(socket: BorrowedFd<'_>, kind: SocketKind) {
    if kind.domain == libc::AF_INET6 {
        let _ = sockets::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &0i32.to_ne_bytes());
    }
}

/// A socket that the kernel is about to give a port would have it on every interface: it gets one on loopback.
pub(super) fn bind_if_unbound(cx: &Call, socket: BorrowedFd<'_>, kind: SocketKind) -> Result<(), Errno> {
    let name = sockets::name(socket).map_err(host)?;
    let (port, _) = parse(&name).ok_or(err!(EINVAL))?;
    if port != [0, 0] {
        return Ok(());
    }
    allow_mapped(socket, kind);
    sockets::bind(socket, &outside(cx, kind, [0, 0])).map_err(host)
}

/// A host address as the guest knows it.
pub(super) fn inside(mut addr: Vec<u8>) -> Vec<u8> {
    match family(&addr) {
        Some(libc::AF_INET) if addr.get(4) == Some(&127) => addr[4..8].copy_from_slice(&[127, 0, 0, 1]),
        Some(libc::AF_INET6) => {
            if let Some((_, ip)) = parse(&addr)
                && ip.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
            {
                addr[8..24].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
            }
        }
        _ => {}
    }
    addr
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(ip: [u8; 4]) -> Vec<u8> {
        let mut addr = (libc::AF_INET as u16).to_ne_bytes().to_vec();
        addr.extend_from_slice(&[0, 80]);
        addr.extend_from_slice(&ip);
        addr.resize(16, 0);
        addr
    }

    #[test]
    fn own_addresses_are_loopback_and_any() {
        for (ip, own) in
            [([127, 0, 0, 1], true), ([127, 9, 9, 9], true), ([0; 4], true), ([10, 0, 0, 1], false)]
        {
            assert_eq!(parse(&v4(ip)).map(|(port, ip)| (port, is_own(ip))), Some(([0, 80], own)));
        }
        assert!(
            is_own(Ipv6Addr::LOCALHOST)
                && is_own(Ipv6Addr::UNSPECIFIED)
                && !is_own(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1))
        );
        assert_eq!(parse(&v4([127, 0, 0, 1])[..15]), None);
        assert_eq!(parse(b"\x01\0xx"), None);
    }

    #[test]
    fn host_addresses_become_loopback() {
        assert_eq!(inside(v4([127, 77, 1, 2])), v4([127, 0, 0, 1]));
        assert_eq!(inside(v4([10, 0, 0, 2])), v4([10, 0, 0, 2]));
        assert_eq!(inside(vec![]), Vec::<u8>::new());
    }
}
