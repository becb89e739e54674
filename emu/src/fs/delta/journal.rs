//! The journal of a container's metadata: one file, appended to.
//!
//! ```text
//! "CARRACKJ" version:4 reserved:4
//! record*    length:4 crc32:4 payload            (length of the payload; CRC of length and payload; little-endian)
//! ```
//!
//! A payload is the outcome of one operation, see [`record`](crate::fs::tree::record), so an operation is there whole or
//! not at all. A journal ends at its first record that is cut, has a wrong checksum or makes no sense: what follows was
//! never reported durable, because appending is in order. Opening cuts the file there.
//!
//! Records are gathered in memory and written about once a second, when they are many, and when durability is asked for.
//! When the file has grown to several times of what a snapshot takes, a snapshot is written beside it and renamed over it.

use crate::errno::{Errno, host};
use crate::fs::tree::record::Sink;
use crate::{bail, err};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::os::fd::OwnedFd;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"CARRACKJ";
const VERSION: u32 = 1;
const HEADER: usize = 16;
const RECORD_HEADER: usize = 8;
const NAME: &str = "journal";
const NEW_NAME: &str = "journal.new";

/// This much gathered is written at once.
const WRITE_AT: usize = 64 << 10;

/// This much gathered while the disk refuses it: operations fail with ENOSPC from here on.
const REFUSE_AT: usize = 16 << 20;

/// A journal smaller than this is never compacted.
const COMPACT_MIN: u64 = 4 << 20;

/// Roughly what an inode and its name take in a snapshot.
const BYTES_PER_INODE: u64 = 160;

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    /// The directory that holds it.
    dir: Arc<OwnedFd>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: Arc<OwnedFd>,
    /// Bytes in the file that count.
    len: u64,
    /// Of these, how many are known to be on the disk.
    durable: u64,
    pending: Vec<u8>,
}

impl Journal {
    /// Opens or makes the journal in `dir`. `replay` gets each payload in order and says whether it made sense.
    pub(crate) fn open(dir: Arc<OwnedFd>, replay: &mut dyn FnMut(&[u8]) -> bool) -> Result<Journal, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&*dir, NAME, flags, Mode::from_raw_mode(0o600)).map_err(host)?;
        let _ = rustix::fs::unlinkat(&*dir, NEW_NAME, AtFlags::empty());
        let bytes = read_all(&file)?;
        let len = if bytes.len() < HEADER {
            // Cut while it was made: nothing was ever in it.
            rustix::fs::ftruncate(&file, 0).map_err(host)?;
            write_all(&file, &header(), 0)?;
            HEADER
        } else {
            if &bytes[..8] != MAGIC || bytes[8..12] != VERSION.to_le_bytes() {
                bail!(EUCLEAN, "not a journal of this version");
            }
            let len = HEADER + replay_records(&bytes[HEADER..], replay);
            if len < bytes.len() {
                tracing::warn!(cut = bytes.len() - len, "journal has a torn tail");
                rustix::fs::ftruncate(&file, len as u64).map_err(host)?;
            }
            len
        };
        let inner = Inner { file: Arc::new(file), len: len as u64, durable: 0, pending: Vec::new() };
        Ok(Journal { dir, inner: Mutex::new(inner) })
    }

    /// Hands what was gathered to the host's kernel, where it survives our death.
    pub(crate) fn flush(&self) -> Result<(), Errno> {
        self.inner.lock().flush()
    }
}

impl Inner {
    fn flush(&mut self) -> Result<(), Errno> {
        if self.pending.is_empty() {
            return Ok(());
        }
        write_all(&self.file, &self.pending, self.len)?;
        self.len += self.pending.len() as u64;
        self.pending.clear();
        self.pending.shrink_to(WRITE_AT * 2);
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(e) = self.flush() {
            tracing::error!(error = ?e, "journal's tail could not be written");
        }
    }
}

impl Sink for Journal {
    fn append(&self, payload: &[u8]) -> Result<(), Errno> {
        let mut inner = self.inner.lock();
        if inner.pending.len() > REFUSE_AT {
            bail!(ENOSPC, "the journal cannot be written");
        }
        push_record(&mut inner.pending, payload);
        if inner.pending.len() >= WRITE_AT
            && let Err(e) = inner.flush()
        {
            tracing::error!(error = ?e, "journal cannot be written now");
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), Errno> {
        let (file, len) = {
            let mut inner = self.inner.lock();
            inner.flush()?;
            if inner.durable == inner.len {
                return Ok(());
            }
            (inner.file.clone(), inner.len)
        };
        rustix::fs::fdatasync(&*file).map_err(host)?;
        let mut inner = self.inner.lock();
        // A snapshot that came in between is durable by itself.
        if Arc::ptr_eq(&inner.file, &file) {
            inner.durable = inner.durable.max(len);
        }
        Ok(())
    }

    fn wants_snapshot(&self, inodes: usize) -> bool {
        let inner = self.inner.lock();
        let now = inner.len + inner.pending.len() as u64;
        now > COMPACT_MIN.max(4 * BYTES_PER_INODE * inodes as u64)
    }

    fn snapshot(&self, payloads: &mut dyn Iterator<Item = Vec<u8>>) -> Result<(), Errno> {
        let mut inner = self.inner.lock();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file =
            rustix::fs::openat(&*self.dir, NEW_NAME, flags, Mode::from_raw_mode(0o600)).map_err(host)?;
        let mut buf = header().to_vec();
        let mut len = 0;
        for payload in payloads {
            push_record(&mut buf, &payload);
            if buf.len() >= 1 << 20 {
                write_all(&file, &buf, len)?;
                len += buf.len() as u64;
                buf.clear();
            }
        }
        write_all(&file, &buf, len)?;
        len += buf.len() as u64;
        rustix::fs::fsync(&file).map_err(host)?;
        rustix::fs::renameat(&*self.dir, NEW_NAME, &*self.dir, NAME).map_err(host)?;
        rustix::fs::fsync(&*self.dir).map_err(host)?;
        *inner = Inner { file: Arc::new(file), len, durable: len, pending: Vec::new() };
        Ok(())
    }
}

fn header() -> [u8; HEADER] {
    let mut h = [0; HEADER];
    h[..8].copy_from_slice(MAGIC);
    h[8..12].copy_from_slice(&VERSION.to_le_bytes());
    h
}

fn push_record(out: &mut Vec<u8>, payload: &[u8]) {
    let len = (payload.len() as u32).to_le_bytes();
    out.extend(len);
    out.extend(crc32(&len, payload).to_le_bytes());
    out.extend(payload);
}

/// Bytes of the sound records at the front.
fn replay_records(bytes: &[u8], replay: &mut dyn FnMut(&[u8]) -> bool) -> usize {
    let mut at = 0;
    while let Some((len, crc)) = bytes.get(at..at + RECORD_HEADER).map(|h| h.split_at(4)) {
        let Ok(len4) = <[u8; 4]>::try_from(len) else { break };
        let size = u32::from_le_bytes(len4) as usize;
        let start = at + RECORD_HEADER;
        let Some(payload) = start.checked_add(size).and_then(|end| bytes.get(start..end)) else { break };
        if crc != crc32(&len4, payload).to_le_bytes() || !replay(payload) {
            break;
        }
        at = start + size;
    }
    at
}

fn read_all(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let size = rustix::fs::fstat(file).map_err(host)?.st_size;
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| err!(EFBIG))?];
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::pread(file, &mut bytes[done..], done as u64).map_err(host)? {
            0 => break,
            n => done += n,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

fn write_all(file: &OwnedFd, bytes: &[u8], at: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::pwrite(file, &bytes[done..], at + done as u64) {
            Ok(n) => done += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(host(e)),
        }
    }
    Ok(())
}

/// CRC-32 as in zip and ethernet (polynomial 0xEDB88320), over two pieces.
fn crc32(a: &[u8], b: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut c = i as u32;
            let mut bit = 0;
            while bit < 8 {
                c = if c & 1 != 0 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 };
                bit += 1;
            }
            table[i] = c;
            i += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    !b.iter().fold(a.iter().fold(!0, step), step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(path: &std::path::Path) -> Arc<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Arc::new(rustix::fs::open(path, flags, Mode::empty()).unwrap())
    }

    fn replayed(path: &std::path::Path) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        Journal::open(dir(path), &mut |p| {
            seen.push(p.to_vec());
            true
        })
        .unwrap();
        seen
    }

    #[test]
    fn crc_is_the_usual_one() {
        assert_eq!(crc32(b"1234", b"56789"), 0xCBF4_3926);
    }

    #[test]
    fn cut_at_every_byte_gives_the_whole_records_before() {
        let tmp = crate::fs::testing::TempDir::new();
        let records: Vec<Vec<u8>> = (0..7u8).map(|i| vec![i; usize::from(i) * 5]).collect();
        let journal = Journal::open(dir(tmp.path()), &mut |_| true).unwrap();
        for r in &records {
            journal.append(r).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(tmp.path().join(NAME)).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(tmp.path().join(NAME), &whole[..cut]).unwrap();
            let mut end = HEADER;
            let complete = records.iter().take_while(|r| {
                end += RECORD_HEADER + r.len();
                end <= cut
            });
            let expected: Vec<Vec<u8>> = complete.cloned().collect();
            assert_eq!(replayed(tmp.path()), expected, "cut at {cut}");
            // And it can be appended to.
            let journal = Journal::open(dir(tmp.path()), &mut |_| true).unwrap();
            journal.append(b"after").unwrap();
            drop(journal);
            assert_eq!(replayed(tmp.path()).last().unwrap(), b"after");
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_journal_there() {
        let tmp = crate::fs::testing::TempDir::new();
        let journal = Journal::open(dir(tmp.path()), &mut |_| true).unwrap();
        for i in 0..4u8 {
            journal.append(&[i; 9]).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(tmp.path().join(NAME)).unwrap();
        for at in HEADER..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            std::fs::write(tmp.path().join(NAME), &bad).unwrap();
            assert_eq!(replayed(tmp.path()).len(), (at - HEADER) / (RECORD_HEADER + 9), "bit at {at}");
        }
    }
}
