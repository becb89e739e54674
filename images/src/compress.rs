//! What a stream is compressed with, and its plain bytes. Formats are told by their first bytes, never by a
//! file name or a media type.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

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

/// The plain bytes of a stream that may be compressed.
///
/// # Errors
/// A format that is known but not supported, and what reading the first bytes gives.
pub(crate) fn plain<'a, R: Read + 'a>(stream: R) -> Result<Box<dyn Read + 'a>, Error> {
    let mut stream = Peek::new(stream, SNIFF_LEN).map_err(Error::reading)?;
    match sniff(stream.head()) {
        Format::Gzip => {
            let stream = BufReader::with_capacity(128 << 10, stream);
            Ok(Box::new(flate2::bufread::MultiGzDecoder::new(stream)))
        }
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(stream).map_err(Error::reading)?;
            // A frame may ask for a window of gigabytes; 128 MiB is what `zstd -d` allows by itself.
            decoder.window_log_max(27).map_err(Error::reading)?;
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

/// Passes a stream through and computes its SHA-256 on another thread, so that hashing, decompression and
/// writing overlap.
pub(crate) struct Hashing<R> {
    inner: R,
    read: u64,
    pending: Vec<u8>,
    full: Option<SyncSender<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<[u8; 32]>>,
}

/// Bytes handed to the hashing thread at a time.
const HASH_CHUNK: usize = 256 << 10;
/// Chunks under way at most.
const HASH_DEPTH: usize = 8;

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R) -> Result<Self, Error> {
        let (full, work) = sync_channel::<Vec<u8>>(HASH_DEPTH);
        let (give_back, empty) = sync_channel::<Vec<u8>>(HASH_DEPTH + 2);
        let thread = std::thread::Builder::new()
            .name("image-digest".into())
            .spawn(move || {
                let mut hasher = Sha256::new();
                for mut chunk in work {
                    hasher.update(&chunk);
                    chunk.clear();
                    // Nobody takes buffers back once the reader is gone.
                    let _ = give_back.try_send(chunk);
                }
                hasher.finalize().into()
            })
            .map_err(|source| Error::Io { what: "starting the hashing thread".into(), source })?;
        Ok(Hashing {
            inner,
            read: 0,
            pending: Vec::with_capacity(HASH_CHUNK),
            full: Some(full),
            empty,
            thread: Some(thread),
        })
    }

    /// Bytes that went through so far.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.read
    }

    fn flush(&mut self) {
        let fresh = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(HASH_CHUNK));
        let chunk = std::mem::replace(&mut self.pending, fresh);
        if let Some(full) = &self.full {
            // The receiver lives until the sender is dropped in `finish`.
            let _ = full.send(chunk);
        }
    }

    /// Reads the stream to its end; its digest and its length in bytes.
    pub(crate) fn finish(mut self) -> Result<([u8; 32], u64), Error> {
        let mut sink = vec![0; 64 << 10];
        loop {
            match self.read(&mut sink) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::reading(e)),
            }
        }
        self.flush();
        self.full = None;
        let digest = match self.thread.take().map(JoinHandle::join) {
            Some(Ok(digest)) => digest,
            _ => return Err(Error::Corrupt("the hashing thread died".into())),
        };
        Ok((digest, self.read))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.read += n as u64;
        let mut rest = &buf[..n];
        while !rest.is_empty() {
            let room = HASH_CHUNK - self.pending.len().min(HASH_CHUNK);
            let (now, later) = rest.split_at(rest.len().min(room));
            self.pending.extend_from_slice(now);
            if self.pending.len() >= HASH_CHUNK {
                self.flush();
            }
            rest = later;
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
        let data: Vec<u8> = (0..3_000_000u32).map(|i| (i * 7) as u8).collect();
        let mut h = Hashing::new(&data[..]).unwrap();
        let mut some = vec![0; 1000];
        h.read_exact(&mut some).unwrap();
        assert_eq!(h.count(), 1000);
        let (digest, len) = h.finish().unwrap();
        assert_eq!(len, data.len() as u64);
        assert_eq!(digest, <[u8; 32]>::from(Sha256::digest(&data)));
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
