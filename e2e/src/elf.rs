//! Hostile and broken ELF images.

/// What to build: one program header per row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// PT_LOAD is 1, PT_INTERP 3.
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
    pub(crate) memory_size: u64,
}

/// A load segment that holds the whole file, readable and executable.
pub(crate) const TEXT: Segment =
    Segment { kind: 1, flags: 5, offset: 0, address: 0x40_0000, file_size: 0x200, memory_size: 0x200 };

/// An executable with these segments. Its code, at offset 0x180, is `exit(42)`.
pub(crate) fn image(kind: u16, segments: &[Segment], interpreter: &str) -> Vec<u8> {
    let mut b = vec![0u8; 0x200];
    b[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    let mut at = 16;
    let mut put = |bytes: &[u8]| {
        b[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&kind.to_le_bytes());
    put(&62u16.to_le_bytes());
    put(&1u32.to_le_bytes());
    put(&0x40_0180u64.to_le_bytes());
    put(&64u64.to_le_bytes());
    put(&0u64.to_le_bytes());
    put(&0u32.to_le_bytes());
    put(&64u16.to_le_bytes());
    put(&56u16.to_le_bytes());
    put(&u16::try_from(segments.len()).unwrap_or(u16::MAX).to_le_bytes());
    put(&[0; 6]);
    for s in segments.iter().take(4) {
        put(&s.kind.to_le_bytes());
        put(&s.flags.to_le_bytes());
        for v in [s.offset, s.address, s.address, s.file_size, s.memory_size, 0x1000] {
            put(&v.to_le_bytes());
        }
    }
    // mov edi, 42; mov eax, 60; syscall
    b[0x180..0x18c].copy_from_slice(&[0xbf, 42, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
    b[0x190..0x190 + interpreter.len()].copy_from_slice(interpreter.as_bytes());
    b
}
