//! `/proc/PID/net`. With the host's network it is the host's; with none, there is the loopback interface alone.

use super::table::{Row, dir, file};
use super::view::{View, What};
use crate::errno::Errno;
use crate::vfs::d_path;
use What::{Make, Net, Target};

const TCP_HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n";
const TCP6_HEAD: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const UDP_HEAD: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n";
const UDP6_HEAD: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n";
const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n";
const IF_INET6: &str = "00000000000000000000000000000001 01 80 10 80       lo\n";
const ROUTE6: &str = "00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo\n";
const ARP: &str = "IP address       HW type     Flags       HW address            Mask     Device\n";
const SOCKSTAT: &str = "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n";
const SOCKSTAT6: &str =
    "TCP6: inuse 0\nUDP6: inuse 0\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n";
const SNMP: &str = "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates OutTransmits\n\
Ip: 2 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n\
Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps\n\
Icmp: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n\
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n\
Tcp: 1 200 120000 -1 0 0 0 0 0 0 0 0 0 0 0\n\
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n\
Udp: 0 0 0 0 0 0 0 0 0\n";
const RAW_HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const PACKET_HEAD: &str = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n";
const NETLINK_HEAD: &str =
    "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n";
const IGMP: &str = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n";

/// Every file of `/proc/PID/net`.
pub(super) static ROWS: [Row<What>; 33] = [
    dir("net", 0o555, What::Dir),
    file("net/arp", 0o444, Net(ARP)),
    file("net/dev", 0o444, Net(DEV)),
    file("net/dev_mcast", 0o444, Net("")),
    file("net/fib_trie", 0o444, Net("")),
    file("net/fib_triestat", 0o444, Net("")),
    file("net/icmp", 0o444, Net(RAW_HEAD)),
    file("net/icmp6", 0o444, Net(UDP6_HEAD)),
    file("net/if_inet6", 0o444, Net(IF_INET6)),
    file("net/igmp", 0o444, Net(IGMP)),
    file("net/igmp6", 0o444, Net("")),
    file("net/ipv6_route", 0o444, Net(ROUTE6)),
    file("net/netlink", 0o444, Net(NETLINK_HEAD)),
    file("net/netstat", 0o444, Net("")),
    file("net/packet", 0o444, Net(PACKET_HEAD)),
    file("net/protocols", 0o444, Net("")),
    file("net/psched", 0o444, Net("000003e8 00000040 000f4240 3b9aca00\n")),
    file("net/ptype", 0o444, Net("Type Device      Function\n")),
    file("net/raw", 0o444, Net(RAW_HEAD)),
    file("net/raw6", 0o444, Net(UDP6_HEAD)),
    file("net/route", 0o444, Net(ROUTE)),
    file("net/snmp", 0o444, Net(SNMP)),
    file("net/snmp6", 0o444, Net("")),
    file("net/sockstat", 0o444, Net(SOCKSTAT)),
    file("net/sockstat6", 0o444, Net(SOCKSTAT6)),
    file("net/softnet_stat", 0o444, Net("")),
    file("net/tcp", 0o444, Net(TCP_HEAD)),
    file("net/tcp6", 0o444, Net(TCP6_HEAD)),
    file("net/udp", 0o444, Net(UDP_HEAD)),
    file("net/udp6", 0o444, Net(UDP6_HEAD)),
    file("net/udplite", 0o444, Net(UDP_HEAD)),
    file("net/unix", 0o444, Make(unix)),
    file("net/wireless", 0o444, Net("")),
];

/// `/proc/net`
pub(super) const LINK: What = Target("self/net");

/// `net/unix`: sockets of the container and sockets without a name; names as they are inside.
fn unix(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let text = view.host_text()?;
    let sockets = view.kernel.spec.run_dir.join("s");
    let prefix = format!("{}/", sockets.display());
    let root = view.reader_root();
    Ok(translate_unix(&text, |path| {
        if path.starts_with(b"@") {
            return crate::sys::listed_inside(&view.kernel.spec.id, path);
        }
        let (sb, ino) = std::str::from_utf8(path.strip_prefix(prefix.as_bytes())?).ok()?.split_once('-')?;
        let sb = view.kernel.ids.superblock(crate::vfs::SbId(sb.parse().ok()?))?;
        let inode = sb.inode(ino.parse().ok()?)?;
        let mnt = view.kernel.mounts.mount_of(inode.sb_id(), &inode)?;
        Some(d_path(&crate::vfs::Path { mnt, inode }, &root).path)
    }))
}

fn translate_unix(text: &[u8], inside: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&b| b == b'\n') {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        match bare.windows(2).position(|w| w == b" /" || w == b" @") {
            None => out.extend_from_slice(line),
            Some(at) => {
                if let Some(name) = inside(&bare[at + 1..]) {
                    // A name that is none inside takes the blank along.
                    out.extend_from_slice(&bare[..at + usize::from(!name.is_empty())]);
                    out.extend_from_slice(&name);
                    out.push(b'\n');
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_the_host_are_left_out() {
        let text = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000: 00000003 00000000 00000000 0001 03 1\n\
            0000: 00000002 00000000 00010000 0001 01 2 /run/c/s/1-5\n\
            0000: 00000002 00000000 00010000 0001 01 3 /run/dbus/socket\n\
            0000: 00000002 00000000 00010000 0001 01 4 @abstract\n\
            0000: 00000002 00000000 00010000 0001 01 5 @carrack/0123456789ab/n/a b\n\
            0000: 00000002 00000000 00010000 0001 01 6 @carrack/0123456789ab/c/7.0.0.1\n";
        let out = translate_unix(text, |p| match p.first() {
            Some(b'@') => crate::sys::listed_inside("0123456789abcdef", p),
            _ => (p == b"/run/c/s/1-5").then(|| b"/tmp/x".to_vec()),
        });
        let want = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000: 00000003 00000000 00000000 0001 03 1\n\
            0000: 00000002 00000000 00010000 0001 01 2 /tmp/x\n\
            0000: 00000002 00000000 00010000 0001 01 5 @a b\n\
            0000: 00000002 00000000 00010000 0001 01 6\n";
        assert_eq!(out, want);
    }
}
