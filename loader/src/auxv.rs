//! The auxiliary vector: pairs of a type and a value that the kernel gives a program at its start.
//!
//! Ours begins as the host kernel made it for the stub, so that what we do not know is kept (AT_SYSINFO_EHDR, AT_HWCAP*,
//! AT_MINSIGSTKSZ, AT_RSEQ_* …); what belongs to the program is replaced in its place.

pub const AT_NULL: u64 = 0;
pub const AT_PHDR: u64 = 3;
pub const AT_PHENT: u64 = 4;
pub const AT_PHNUM: u64 = 5;
pub const AT_PAGESZ: u64 = 6;
pub const AT_BASE: u64 = 7;
pub const AT_FLAGS: u64 = 8;
pub const AT_ENTRY: u64 = 9;
pub const AT_UID: u64 = 11;
pub const AT_EUID: u64 = 12;
pub const AT_GID: u64 = 13;
pub const AT_EGID: u64 = 14;
pub const AT_PLATFORM: u64 = 15;
pub const AT_HWCAP: u64 = 16;
pub const AT_CLKTCK: u64 = 17;
pub const AT_SECURE: u64 = 23;
pub const AT_RANDOM: u64 = 25;
pub const AT_HWCAP2: u64 = 26;
pub const AT_RSEQ_FEATURE_SIZE: u64 = 27;
pub const AT_RSEQ_ALIGN: u64 = 28;
pub const AT_EXECFN: u64 = 31;
pub const AT_SYSINFO_EHDR: u64 = 33;
pub const AT_MINSIGSTKSZ: u64 = 51;

/// More than any kernel gives; the rest is not read.
const MAX_ENTRIES: usize = 64;

/// An auxiliary vector, without the AT_NULL at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auxv {
    entries: Vec<(u64, u64)>,
}

impl Auxv {
    /// Parses up to AT_NULL; `None` if there is none within the first 64 entries.
    pub fn parse(bytes: &[u8]) -> Option<Auxv> {
        let mut entries = Vec::new();
        for pair in bytes.chunks_exact(16).take(MAX_ENTRIES) {
            let (kind, value) = pair.split_at(8);
            let kind = u64::from_le_bytes(kind.try_into().ok()?);
            if kind == AT_NULL {
                return Some(Auxv { entries });
            }
            entries.push((kind, u64::from_le_bytes(value.try_into().ok()?)));
        }
        None
    }

    pub fn get(&self, kind: u64) -> Option<u64> {
        self.entries.iter().find(|entry| entry.0 == kind).map(|entry| entry.1)
    }

    /// Replaces the value of `kind` in its place, or adds it at the end.
    pub fn set(&mut self, kind: u64, value: u64) {
        match self.entries.iter_mut().find(|entry| entry.0 == kind) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((kind, value)),
        }
    }

    pub fn remove(&mut self, kind: u64) {
        self.entries.retain(|entry| entry.0 != kind);
    }

    pub fn entries(&self) -> &[(u64, u64)] {
        &self.entries
    }

    /// Bytes that [`Auxv::encode`] gives.
    pub fn encoded_len(&self) -> usize {
        (self.entries.len() + 1) * 16
    }

    /// As it lies in memory, AT_NULL included.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        for (kind, value) in self.entries.iter().chain(&[(AT_NULL, 0)]) {
            out.extend_from_slice(&kind.to_le_bytes());
            out.extend_from_slice(&value.to_le_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_in_place_and_keeps_the_unknown() {
        let mut auxv = Auxv::default();
        for (kind, value) in [(AT_SYSINFO_EHDR, 1), (AT_PHDR, 2), (12345, 3)] {
            auxv.set(kind, value);
        }
        auxv.set(AT_PHDR, 9);
        auxv.set(AT_SECURE, 1);
        let again = Auxv::parse(&auxv.encode()).unwrap();
        assert_eq!(again.entries(), [(AT_SYSINFO_EHDR, 1), (AT_PHDR, 9), (12345, 3), (AT_SECURE, 1)]);
        auxv.remove(AT_PHDR);
        assert_eq!(auxv.get(AT_PHDR), None);
        assert_eq!(auxv.encode().len(), auxv.encoded_len());
    }

    #[test]
    fn without_an_end_there_is_none() {
        assert_eq!(Auxv::parse(&[1; 15]), None);
        assert_eq!(Auxv::parse(&[1; 16 * 100]), None);
    }
}
