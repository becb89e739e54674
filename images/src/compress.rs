//! What a stream is compressed with, and its plain bytes. Formats are told by their first bytes, never by a
//! file name or a media type.

use std::io::{self, BufReader, Read};

use sha2::{Digest, Sha256};

use crate::Error;

/// How many first bytes [`sniff`] wants to see: a whole tar header.
pub(crate) const SNIFF_LEN: usize = 512;

/// The format of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    /// A tar header or a block of zeros (an empty archive).
    Tar,
    /// None of these.
    Other,
}

impl Format {
    /// The OCI media type of a layer in this format.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Format::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Format::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            _ => "application/vnd.oci.image.layer.v1.tar",
        }
    }
}

/// Tells the format by the first bytes of a stream.
pub(crate) fn sniff(head: &[u8]) -> Format {
    match head {
        [0x1f, 0x8b, ..] => Format::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::Zstd,
        // A zstd skippable frame may come first (estargz, zstd:chunked).
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Format::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::Xz,
        [b'B', b'Z', b'h', ..] => Format::Bzip2,
        _ if crate::tar::looks_like_header(head) => Format::Tar,
        _ => Format::Other,
    }
}

/// The plain bytes of a stream that may be compressed. `window_log` bounds the memory that a zstd stream may
/// ask for.
///
/// # Errors
/// A format that is known but not supported, and what reading the first bytes gives.
pub(crate) fn plain<'a, R: Read + 'a>(stream: R, window_log: u32) -> Result<Box<dyn Read + 'a>, Error> {
    let mut stream = Peek::new(stream, SNIFF_LEN).map_err(Error::reading)?;
    let format = sniff(stream.head());
    decoder(format, stream, window_log)
}

/// The plain bytes of a stream in a format.
///
/// # Errors
/// [`Error::Unsupported`].
pub(crate) fn decoder<'a, R: Read + 'a>(
    format: Format,
    stream: R,
    window_log: u32,
) -> Result<Box<dyn Read + 'a>, Error> {
    match format {
        Format::Gzip => {
            let stream = BufReader::with_capacity(128 << 10, stream);
            Ok(Box::new(flate2::bufread::MultiGzDecoder::new(stream)))
        }
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(stream).map_err(Error::reading)?;
            decoder.window_log_max(window_log).map_err(Error::reading)?;
            Ok(Box::new(decoder))
        }
        Format::Xz => Err(unsupported("xz")),
        Format::Bzip2 => Err(unsupported("bzip2")),
        Format::Tar | Format::Other => Ok(Box::new(stream)),
    }
}

fn unsupported(name: &str) -> Error {
    Error::Unsupported(format!(
        "{name}-compressed archives are not supported; decompress it first (gzip and zstd are read directly)"
    ))
}

/// A stream whose first bytes can be looked at before they are read.
pub(crate) struct Peek<R> {
    head: Vec<u8>,
    at: usize,
    rest: R,
}

impl<R: Read> Peek<R> {
    /// Reads up to `len` bytes ahead.
    pub(crate) fn new(mut rest: R, len: usize) -> io::Result<Self> {
        let mut head = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match rest.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        head.truncate(filled);
        Ok(Peek { head, at: 0, rest })
    }

    /// The first bytes; fewer than asked for where the stream is shorter.
    pub(crate) fn head(&mut self) -> &[u8] {
        &self.head
    }
}

impl<R: Read> Read for Peek<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = &self.head[self.at..];
        if left.is_empty() {
            return self.rest.read(buf);
        }
        let n = left.len().min(buf.len());
        buf[..n].copy_from_slice(&left[..n]);
        self.at += n;
        Ok(n)
    }
}

/// Passes a stream through, counts it and computes its SHA-256 if that is wanted.
pub(crate) struct Hashing<R> {
    inner: R,
    count: u64,
    hasher: Option<Sha256>,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R, wanted: bool) -> Self {
        Hashing { inner, count: 0, hasher: wanted.then(Sha256::new) }
    }

    /// Bytes that went through so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The digest of what went through, if it was wanted.
    pub(crate) fn digest(self) -> Option<[u8; 32]> {
        self.hasher.map(|h| h.finalize().into())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count += n as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..n]);
        }
        Ok(n)
    }
}

/// Buffers small reads (headers); big ones go past the buffer.
pub(crate) fn buffered<R: Read>(inner: R) -> BufReader<R> {
    BufReader::with_capacity(128 << 10, inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_gives_the_digest_of_everything() {
        let data: Vec<u8> = (0..300_000u32).map(|i| (i * 7) as u8).collect();
        let mut h = Hashing::new(&data[..], true);
        h.read_exact(&mut vec![0; 1000]).unwrap();
        assert_eq!(h.count(), 1000);
        io::copy(&mut h, &mut io::sink()).unwrap();
        assert_eq!(h.count(), data.len() as u64);
        assert_eq!(h.digest(), Some(<[u8; 32]>::from(Sha256::digest(&data))));
    }

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        assert_eq!(sniff(b"\x1f\x8b\x08"), Format::Gzip);
        assert_eq!(sniff(b"\x28\xb5\x2f\xfd"), Format::Zstd);
        assert_eq!(sniff(b"\xfd7zXZ\0"), Format::Xz);
        assert_eq!(sniff(b"BZh9"), Format::Bzip2);
        assert_eq!(sniff(&[0; 512]), Format::Tar);
        assert_eq!(sniff(b"{\"a\":1}"), Format::Other);
        assert_eq!(sniff(b""), Format::Other);
    }
}
