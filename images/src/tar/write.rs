//! The few archive entries that this crate writes itself: plain files and directories with short names.

use std::io::{self, Write};

use super::header::BLOCK;

/// A ustar header for a regular file or (name ending in `/`) a directory, owned by root, of the epoch: the
/// same input gives the same bytes. Names have at most 100 bytes.
pub(crate) fn header(name: &str, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let len = name.len().min(100);
    let dir = name.ends_with('/');
    block[..len].copy_from_slice(&name.as_bytes()[..len]);
    block[100..108].copy_from_slice(if dir { b"0000755\0" } else { b"0000644\0" });
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    if size < 1 << 33 {
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        // GNU's base 256.
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = if dir { b'5' } else { b'0' };
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The zeros that fill a file's last block.
pub(crate) fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let rest = size.wrapping_neg() % BLOCK as u64;
    out.write_all(&[0; BLOCK][..rest as usize])
}

/// The end mark.
pub(crate) fn end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
}
