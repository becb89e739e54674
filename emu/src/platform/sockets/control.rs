//! Control messages, cmsg(3).

/// `CMSG_ALIGN(sizeof(struct cmsghdr))`.
const HEADER: usize = 16;

/// One control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cmsg {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: Vec<u8>,
}

/// The control messages in a buffer, for_each_cmsghdr(). `None` when a length is wrong.
pub(crate) fn parse_control(mut buf: &[u8]) -> Option<Vec<Cmsg>> {
    let mut out = Vec::new();
    while buf.len() >= HEADER {
        let len = usize::try_from(u64::from_ne_bytes(buf[..8].try_into().ok()?)).ok()?;
        if len < HEADER || len > buf.len() {
            return None;
        }
        let level = i32::from_ne_bytes(buf[8..12].try_into().ok()?);
        let kind = i32::from_ne_bytes(buf[12..16].try_into().ok()?);
        out.push(Cmsg { level, kind, data: buf[HEADER..len].to_vec() });
        buf = buf.get(len.div_ceil(8) * 8..).unwrap_or(&[]);
    }
    Some(out)
}

/// Control messages for the host, aligned.
#[derive(Debug, Default)]
pub(crate) struct ControlBuffer {
    words: Vec<u64>,
    len: usize,
}

impl ControlBuffer {
    /// As the guest gave it.
    pub(crate) fn raw(bytes: &[u8]) -> ControlBuffer {
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        ControlBuffer { words, len: bytes.len() }
    }

    /// Room for `len` bytes.
    pub(super) fn with_room(len: usize) -> ControlBuffer {
        ControlBuffer { words: vec![0; len.div_ceil(8)], len }
    }

    pub(crate) fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let at = self.words.len() * 8;
        let len = HEADER + data.len();
        self.words.resize(self.words.len() + len.div_ceil(8), 0);
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut self.words);
        bytes[at..at + 8].copy_from_slice(&(len as u64).to_ne_bytes());
        bytes[at + 8..at + 12].copy_from_slice(&level.to_ne_bytes());
        bytes[at + 12..at + 16].copy_from_slice(&kind.to_ne_bytes());
        bytes[at + HEADER..at + len].copy_from_slice(data);
        self.len = at + len;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.words.as_mut_ptr().cast()
    }

    pub(super) fn as_ptr(&self) -> *const libc::c_void {
        self.words.as_ptr().cast()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice::<u64, u8>(&self.words)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_parsed() {
        let mut buf = ControlBuffer::default();
        buf.push(1, 2, b"abc");
        buf.push(3, 4, b"12345678");
        let all = parse_control(buf.bytes()).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], Cmsg { level: 1, kind: 2, data: b"abc".to_vec() });
        assert_eq!(all[1].data, b"12345678");
        assert_eq!(buf.len(), 24 + 24);
    }

    #[test]
    fn wrong_lengths() {
        let mut buf = ControlBuffer::default();
        buf.push(1, 1, &[0; 4]);
        let mut bytes = buf.bytes().to_vec();
        bytes[0] = 15;
        assert_eq!(parse_control(&bytes), None);
        bytes[0] = 200;
        assert_eq!(parse_control(&bytes), None);
        bytes[7] = 0xff;
        assert_eq!(parse_control(&bytes), None);
        assert_eq!(parse_control(&[1; 15]), Some(vec![]));
    }
}
