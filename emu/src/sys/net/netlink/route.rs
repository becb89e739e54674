//! rtnetlink(7) messages: what a network namespace with nothing but `lo` says.

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_MULTI: u16 = 2;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_QDISC: u16 = 6;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKMODE: u16 = 17;
const IFLA_GROUP: u16 = 27;
const IFLA_ALT_IFNAME: u16 = 53;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_F_PERMANENT: u8 = 0x80;

const RT_SCOPE_HOST: u8 = 254;
const LO_INDEX: i32 = 1;
/// IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP
const LO_FLAGS: u32 = 0x1_0049;

const HEADER: usize = 16;
const IFINFOMSG: usize = 16;

/// `struct nlmsghdr` of a request.
#[derive(Debug, Clone, Copy)]
struct Request<'b> {
    kind: u16,
    flags: u16,
    seq: [u8; 4],
    /// The header's bytes, which errors repeat.
    header: &'b [u8],
    body: &'b [u8],
}

impl Request<'_> {
    fn parse(bytes: &[u8]) -> Option<(Request<'_>, &[u8])> {
        let len = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let message = bytes.get(..len).filter(|m| m.len() >= HEADER)?;
        let request = Request {
            kind: u16::from_ne_bytes(message[4..6].try_into().ok()?),
            flags: u16::from_ne_bytes(message[6..8].try_into().ok()?),
            seq: message[8..12].try_into().ok()?,
            header: &message[..HEADER],
            body: &message[HEADER..],
        };
        Some((request, bytes.get(len.next_multiple_of(4)..).unwrap_or(&[])))
    }

    fn is_dump(&self) -> bool {
        self.flags & NLM_F_DUMP == NLM_F_DUMP
    }

    /// The family that the request is about, 0 for all.
    fn family(&self) -> i32 {
        self.body.first().map_or(0, |&f| i32::from(f))
    }
}

/// A message under construction.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(request: &Request<'_>, port: u32, kind: u16, flags: u16, fixed: &[u8]) -> Message {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&request.seq);
        bytes.extend_from_slice(&port.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Message { bytes }
    }

    fn attr(mut self, kind: u16, data: &[u8]) -> Message {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend_from_slice(&(4 + data.len() as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(data);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes
    }
}

/// The datagrams that answer a datagram of requests to the socket with this port.
pub(super) fn answers(mut bytes: &[u8], port: u32) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while let Some((request, rest)) = Request::parse(bytes) {
        if request.flags & NLM_F_REQUEST != 0 && request.kind >= RTM_NEWLINK {
            answer(&request, port, &mut out);
        }
        bytes = rest;
    }
    out
}

fn answer(request: &Request<'_>, port: u32, out: &mut Vec<Vec<u8>>) {
    // Types come in fours: new, delete, get, set.
    let is_get = request.kind % 4 == 2;
    if !is_get {
        return out.push(error(request, port, libc::EPERM));
    }
    if request.is_dump() {
        let mut all = Vec::new();
        match request.kind {
            RTM_GETLINK => all.extend(link(request, port, NLM_F_MULTI)),
            RTM_GETADDR => {
                for (family, ip, prefix) in [
                    (libc::AF_INET, &[127, 0, 0, 1][..], 8),
                    (libc::AF_INET6, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 128),
                ] {
                    if [0, family].contains(&request.family()) {
                        all.extend(address(request, port, family as u8, ip, prefix));
                    }
                }
            }
            _ => {}
        }
        if !all.is_empty() {
            out.push(all);
        }
        return out.push(Message::new(request, port, NLMSG_DONE, NLM_F_MULTI, &[0; 4]).finish());
    }
    match request.kind {
        RTM_GETLINK if is_about_lo(request) => out.push(link(request, port, 0)),
        RTM_GETLINK => return out.push(error(request, port, libc::ENODEV)),
        RTM_GETROUTE => return out.push(error(request, port, libc::ENETUNREACH)),
        _ => return out.push(error(request, port, libc::EOPNOTSUPP)),
    }
    if request.flags & NLM_F_ACK != 0 {
        out.push(error(request, port, 0));
    }
}

/// Whether an `ifinfomsg` names `lo`, by index or by name.
fn is_about_lo(request: &Request<'_>) -> bool {
    let index = request.body.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
    if index != 0 {
        return index == LO_INDEX;
    }
    let mut attrs = request.body.get(IFINFOMSG..).unwrap_or(&[]);
    while attrs.len() >= 4 {
        let len = usize::from(u16::from_ne_bytes([attrs[0], attrs[1]]));
        let kind = u16::from_ne_bytes([attrs[2], attrs[3]]);
        let Some(data) = attrs.get(4..len) else { return false };
        if matches!(kind, IFLA_IFNAME | IFLA_ALT_IFNAME) {
            return data.strip_suffix(&[0]).unwrap_or(data) == b"lo";
        }
        attrs = attrs.get(len.next_multiple_of(4)..).unwrap_or(&[]);
    }
    false
}

fn error(request: &Request<'_>, port: u32, errno: i32) -> Vec<u8> {
    let fixed = [&(-errno).to_ne_bytes()[..], request.header].concat();
    Message::new(request, port, NLMSG_ERROR, 0, &fixed).finish()
}

fn link(request: &Request<'_>, port: u32, flags: u16) -> Vec<u8> {
    let mut info = vec![0; 2];
    info.extend_from_slice(&libc::ARPHRD_LOOPBACK.to_ne_bytes());
    info.extend_from_slice(&LO_INDEX.to_ne_bytes());
    info.extend_from_slice(&LO_FLAGS.to_ne_bytes());
    info.extend_from_slice(&[0; 4]);
    Message::new(request, port, RTM_NEWLINK, flags, &info)
        .attr(IFLA_IFNAME, b"lo\0")
        .attr(IFLA_TXQLEN, &1000u32.to_ne_bytes())
        .attr(IFLA_OPERSTATE, &[0])
        .attr(IFLA_LINKMODE, &[0])
        .attr(IFLA_MTU, &65536u32.to_ne_bytes())
        .attr(IFLA_GROUP, &0u32.to_ne_bytes())
        .attr(IFLA_QDISC, b"noqueue\0")
        .attr(IFLA_ADDRESS, &[0; 6])
        .attr(IFLA_BROADCAST, &[0; 6])
        .finish()
}

fn address(request: &Request<'_>, port: u32, family: u8, ip: &[u8], prefix: u8) -> Vec<u8> {
    let mut info = vec![family, prefix, IFA_F_PERMANENT, RT_SCOPE_HOST];
    info.extend_from_slice(&LO_INDEX.to_ne_bytes());
    let for_ever = [[0xff; 8], [0; 8]].concat();
    let mut message = Message::new(request, port, RTM_NEWADDR, NLM_F_MULTI, &info).attr(IFA_ADDRESS, ip);
    if i32::from(family) == libc::AF_INET {
        message = message.attr(IFA_LOCAL, ip).attr(IFA_LABEL, b"lo\0");
    }
    message.attr(IFA_FLAGS, &u32::from(IFA_F_PERMANENT).to_ne_bytes()).attr(IFA_CACHEINFO, &for_ever).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(body);
        bytes
    }

    fn kinds(answers: &[Vec<u8>]) -> Vec<u16> {
        let mut kinds = Vec::new();
        for datagram in answers {
            let mut rest = &datagram[..];
            while let Some((message, more)) = Request::parse(rest) {
                assert_eq!(message.seq, [7, 0, 0, 0]);
                assert_eq!(message.header[12..], 99u32.to_ne_bytes());
                kinds.push(message.kind);
                rest = more;
            }
            assert!(rest.is_empty());
        }
        kinds
    }

    #[test]
    fn dumps_end_with_done() {
        let dump = |kind, family| kinds(&answers(&request(kind, NLM_F_DUMP, &[family; 1]), 99));
        assert_eq!(dump(RTM_GETLINK, 0), [RTM_NEWLINK, NLMSG_DONE]);
        assert_eq!(dump(RTM_GETADDR, 0), [RTM_NEWADDR, RTM_NEWADDR, NLMSG_DONE]);
        assert_eq!(dump(RTM_GETADDR, 10), [RTM_NEWADDR, NLMSG_DONE]);
        assert_eq!(dump(RTM_GETROUTE, 2), [NLMSG_DONE]);
    }

    #[test]
    fn single_requests_and_refusals() {
        let mut lo = vec![0; IFINFOMSG];
        let by_name = [&lo[..], &[7, 0, 3, 0], b"lo\0\0"].concat();
        assert_eq!(
            kinds(&answers(&request(RTM_GETLINK, NLM_F_ACK, &by_name), 99)),
            [RTM_NEWLINK, NLMSG_ERROR]
        );
        lo[4] = 1;
        assert_eq!(kinds(&answers(&request(RTM_GETLINK, 0, &lo), 99)), [RTM_NEWLINK]);
        lo[4] = 2;
        let refused = answers(&request(RTM_GETLINK, 0, &lo), 99);
        assert_eq!(refused[0][HEADER..HEADER + 4], (-libc::ENODEV).to_ne_bytes());
        let refused = answers(&request(RTM_NEWLINK, 0, &lo), 99);
        assert_eq!(refused[0][HEADER..HEADER + 4], (-libc::EPERM).to_ne_bytes());
    }

    #[test]
    fn garbage_is_not_answered() {
        for bad in [&[][..], &[1; 3], &[255; 64], &[0; 64], &request(RTM_GETLINK, 0, &[])[..15]] {
            assert_eq!(answers(bad, 1), Vec::<Vec<u8>>::new());
        }
        let mut state = 7u32;
        for n in 0..20_000usize {
            let mut bytes: Vec<u8> = (0..n % 96)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8 % 32
                })
                .collect();
            if let Some(len) = bytes.get_mut(1..4) {
                len.fill(0);
            }
            answers(&bytes, 1);
        }
        let two = [request(RTM_GETROUTE, NLM_F_DUMP, &[]), request(RTM_GETROUTE, NLM_F_DUMP, &[2])].concat();
        assert_eq!(answers(&two, 1).len(), 2);
    }
}
