//! A tar reader for archives that nobody vouches for.
//!
//! It reads one entry after the other from a stream, in bounded memory, and understands v7, ustar, pax
//! (extended attributes, fractions of seconds), GNU long names, and all four forms of GNU sparse files
//! without ever reading a hole. Names come out as they are written; [`path::normalise`] makes them harmless.
//! The crate `tar` is not used because it expands holes, holds extended headers of any size in memory and
//! stops at pax sparse files.

mod header;
pub mod path;
mod pax;
mod sparse;
pub(crate) mod write;

use std::io::{self, Read};

use crate::compress::{Format, Peek, SNIFF_LEN, decoder, sniff};
use crate::{Error, Limits};
use header::{BLOCK, Header};
use pax::Pax;

/// Longest extended header, long name or sparse map; the limit of Go's archive/tar, hence of Docker.
const SPECIAL_MAX: u64 = 1 << 20;

/// All of them before one entry.
const SPECIALS_MAX: u64 = 4 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; its data follows.
    Regular,
    /// A hard link to an earlier entry, named by [`Entry::link`].
    HardLink,
    /// A symbolic link with the text [`Entry::link`].
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A FIFO.
    Fifo,
}

/// A part of a sparse file that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where in the file.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// One entry of an archive. Numbers are as the archive says, not yet judged.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name as written, possibly absolute or with `..`.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits (07777).
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// Seconds and nanoseconds since the epoch.
    pub mtime: (i64, u32),
    /// Size of the file in bytes, holes included.
    pub size: u64,
    /// Target of a hard or symbolic link.
    pub link: Vec<u8>,
    /// Major and minor device number.
    pub device: (u64, u64),
    /// Extended attributes in the order of the archive.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The parts with data of a sparse file, in order; `None`: all of it.
    pub sparse: Option<Vec<Segment>>,
}

/// Reads a tar stream.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    /// Bytes of the present entry's data that were not read yet.
    left: u64,
    /// Zero bytes that fill the present entry's last block.
    padding: u64,
    ended: bool,
    /// Bytes that are not file data, kept for whoever wants to write the same stream again.
    raw: Option<Vec<u8>>,
}

/// An [`Error::InvalidTar`] with that text.
pub(crate) fn bad(what: impl Into<String>) -> Error {
    Error::InvalidTar(what.into())
}

/// Whether a stream that begins with these bytes can be a tar archive: a header with a right checksum, or
/// the zeros that end an empty one.
pub fn looks_like_header(head: &[u8]) -> bool {
    match head.first_chunk::<BLOCK>() {
        Some(block) => block.iter().all(|&b| b == 0) || Header::new(block).is_some(),
        None => false,
    }
}

/// Reads an archive that may be compressed with gzip or zstd. `None`: the bytes are no archive.
///
/// # Errors
/// Another compression that is known, and what reading gives.
pub fn open_archive<'a>(stream: impl Read + 'a) -> Result<Option<Reader<Box<dyn Read + 'a>>>, Error> {
    let mut stream = Peek::new(stream, SNIFF_LEN).map_err(Error::reading)?;
    let format = sniff(stream.head());
    if format == Format::Other {
        return Ok(None);
    }
    let plain = decoder(format, stream, Limits::default().zstd_window_log)?;
    // Compressed, but not sound: that is no archive either.
    let Ok(mut plain) = Peek::new(plain, SNIFF_LEN) else { return Ok(None) };
    let is_header = plain.head().first_chunk::<BLOCK>().is_some_and(|b| Header::new(b).is_some());
    Ok(is_header.then(|| {
        let plain: Box<dyn Read + 'a> = Box::new(io::BufReader::with_capacity(128 << 10, plain));
        Reader::new(plain)
    }))
}

impl<R: Read> Reader<R> {
    /// A reader at the beginning of an archive. `inner` should be buffered.
    pub fn new(inner: R) -> Self {
        Reader { inner, left: 0, padding: 0, ended: false, raw: None }
    }

    /// Keeps all bytes that are not file data for [`Reader::take_raw`].
    pub fn keep_raw(&mut self) {
        self.raw = Some(Vec::new());
    }

    /// The headers and padding read since the last call.
    pub fn take_raw(&mut self) -> Vec<u8> {
        self.raw.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The stream, at where the reader stopped: behind the end mark if [`Reader::next_entry`] said `None`.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry, after skipping what was not read of the last one. `None` at the end.
    ///
    /// # Errors
    /// [`Error::InvalidTar`] for everything that is not an archive this reader understands; the host's error
    /// where the stream cannot be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        self.skip_data()?;
        let mut local = Pax::default();
        let (mut long_name, mut long_link) = (None, None);
        let mut specials = 0u64;
        loop {
            let Some(block) = self.header_block()? else {
                return Ok(None);
            };
            let header = Header::new(&block).ok_or_else(|| bad("a header with a wrong checksum"))?;
            let size = header.size().ok_or_else(|| bad("a header with a bad size"))?;
            if specials > SPECIALS_MAX {
                return Err(bad("extended headers of more than 4 MiB for one entry"));
            }
            specials = specials.saturating_add(size).saturating_add(BLOCK as u64);
            match header.typeflag() {
                b'x' | b'X' => local.add(&self.special(size)?)?,
                b'L' => long_name = Some(header::text(&self.special(size)?).to_vec()),
                b'K' => long_link = Some(header::text(&self.special(size)?).to_vec()),
                // A volume's label; a global header, which Docker ignores too (git archive writes one with
                // nothing but a comment).
                b'V' | b'g' => {
                    self.special(size)?;
                }
                _ => return self.entry(&header, local, long_name, long_link).map(Some),
            }
        }
    }

    /// Reads data of the present entry. A sparse file's is that of its segments, one after the other.
    ///
    /// # Errors
    /// As [`Reader::next_entry`]; a stream that ends within the data is an error.
    pub fn read_data(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if most == 0 {
            return Ok(0);
        }
        let n = read_some(&mut self.inner, &mut buf[..most])?;
        self.left -= n as u64;
        Ok(n)
    }

    /// Bytes of the present entry's data that are still to be read.
    pub fn data_left(&self) -> u64 {
        self.left
    }

    /// Reads bytes behind the end of the archive; 0: none are left.
    ///
    /// # Errors
    /// The stream's.
    pub(crate) fn read_behind(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.inner.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(Error::reading),
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header<'_>,
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, Error> {
        let mut path = pax.path.or(long_name).unwrap_or_else(|| header.name());
        let link = pax.linkpath.or(long_link).unwrap_or_else(|| header.link().to_vec());
        let kind = match header.typeflag() {
            // In v7 a directory is told by its trailing slash.
            0 | b'0' if path.last() == Some(&b'/') => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::Regular,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' | b'D' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                return Err(bad(format!(
                    "entry {} has the unknown type {:?}",
                    path::show(&path),
                    char::from(other)
                )));
            }
        };
        let field = |what: &str| bad(format!("entry {} has a bad {what}", path::show(&path)));
        let stored = pax.size.or(header.size()).ok_or_else(|| field("size"))?;
        let mut entry = Entry {
            kind,
            mode: (header.mode().ok_or_else(|| field("mode"))? & 0o7777) as u32,
            uid: pax.uid.or(header.uid()).ok_or_else(|| field("owner"))?,
            gid: pax.gid.or(header.gid()).ok_or_else(|| field("group"))?,
            mtime: match pax.mtime {
                Some(mtime) => mtime,
                None => (header.mtime().ok_or_else(|| field("time"))?, 0),
            },
            size: 0,
            device: match kind {
                Kind::CharDevice | Kind::BlockDevice => {
                    header.device().ok_or_else(|| field("device number"))?
                }
                _ => (0, 0),
            },
            link,
            xattrs: pax.xattrs,
            sparse: None,
            path: Vec::new(),
        };
        // Only files have data; what the size field of other kinds holds is ignored, as all readers do.
        if kind == Kind::Regular {
            self.left = stored;
            self.padding = stored.wrapping_neg() % BLOCK as u64;
            entry.size = stored;
            if header.typeflag() == b'S' {
                let (real, map) = self.old_gnu_map(header)?;
                entry.size = real;
                entry.sparse = Some(map);
            } else if let Some((real, map)) = self.pax_map(&pax.sparse)? {
                entry.size = real;
                entry.sparse = Some(map);
                if let Some(name) = pax.sparse.name {
                    path = name;
                }
            }
            if let Some(map) = &entry.sparse {
                sparse::check(map, entry.size, self.left)
                    .map_err(|e| bad(format!("entry {}: {e}", path::show(&path))))?;
            }
        }
        entry.path = path;
        Ok(entry)
    }

    /// Reads the rest of the present entry's data and its padding.
    fn skip_data(&mut self) -> Result<(), Error> {
        let mut sink = [0; 16 << 10];
        while self.left > 0 {
            self.read_data(&mut sink)?;
        }
        if self.padding > 0 {
            let n = self.padding as usize;
            self.padding = 0;
            let mut block = [0; BLOCK];
            // Go's writer leaves the last padding out when nobody closes it, as the docker client does with a Dockerfile from
            // its standard input; Go's reader takes that for the end.
            let mut filled = 0;
            while filled < n {
                match self.read_behind(&mut block[filled..n])? {
                    0 => {
                        self.ended = true;
                        break;
                    }
                    read => filled += read,
                }
            }
            if let Some(raw) = &mut self.raw {
                raw.extend_from_slice(&block[..filled]);
            }
        }
        Ok(())
    }

    /// The next block that is not the end mark: two blocks of zeros, or the end of the stream.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        for _ in 0..2 {
            if !self.read_raw_or_end(&mut block)? {
                self.ended = true;
                return Ok(None);
            }
            if block.iter().any(|&b| b != 0) {
                return Ok(Some(block));
            }
        }
        self.ended = true;
        Ok(None)
    }

    /// The data of an extended header or long name.
    fn special(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > SPECIAL_MAX {
            return Err(bad("an extended header of more than 1 MiB"));
        }
        let padded = size.next_multiple_of(BLOCK as u64);
        let mut data = vec![0; padded as usize];
        self.read_raw(&mut data)?;
        data.truncate(size as usize);
        Ok(data)
    }

    /// Reads bytes that are not file data.
    fn read_raw(&mut self, buf: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buf.len() {
            filled += read_some(&mut self.inner, &mut buf[filled..])?;
        }
        if let Some(raw) = &mut self.raw {
            raw.extend_from_slice(buf);
        }
        Ok(())
    }

    /// As [`Reader::read_raw`], but the stream may end before the first byte.
    fn read_raw_or_end(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, Error> {
        let first = loop {
            match self.inner.read(block) {
                Ok(0) => return Ok(false),
                Ok(n) => break n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::reading(e)),
            }
        };
        let mut filled = first;
        while filled < BLOCK {
            filled += read_some(&mut self.inner, &mut block[filled..])?;
        }
        if let Some(raw) = &mut self.raw {
            raw.extend_from_slice(block);
        }
        Ok(true)
    }
}

/// Reads at least one byte.
fn read_some(inner: &mut impl Read, buf: &mut [u8]) -> Result<usize, Error> {
    loop {
        match inner.read(buf) {
            Ok(0) => return Err(bad("unexpected end of the archive")),
            Ok(n) => return Ok(n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::reading(e)),
        }
    }
}

#[cfg(test)]
mod tests;
