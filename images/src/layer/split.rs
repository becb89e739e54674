//! What is needed besides the bodies to write a layer's archive again, bit for bit (as tar-split does).
//!
//! A layer's digest covers headers, padding and whatever else was in the archive, so `docker save` and push
//! need exactly these bytes. They are kept in `split`, compressed with zstd; the data of files is in their
//! bodies already. For a Debian base system that is 1/500 of the archive's size.
//!
//! ```text
//! 0 | u32 length | bytes             as they are
//! 1 | u64 n | u64 length             the first bytes of body n
//! 2 | u64 n | u32 count | (u64 offset, u64 length)…   these parts of body n
//! 3                                  the end
//! ```

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Context, Error};
use crate::tar::Segment;

const RAW: u8 = 0;
const BODY: u8 = 1;
const PARTS: u8 = 2;
const END: u8 = 3;
/// Longest run of raw bytes in one record.
const RAW_MAX: usize = 1 << 20;
/// Most parts of a sparse body; the tar reader allows fewer.
const PARTS_MAX: u32 = 1 << 20;

/// Writes a `split` file.
pub(crate) struct Writer<'a> {
    out: zstd::stream::write::Encoder<'a, BufWriter<File>>,
}

impl Writer<'_> {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let file = BufWriter::with_capacity(64 << 10, File::create_new(path)?);
        Ok(Writer { out: zstd::stream::write::Encoder::new(file, 1)? })
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(RAW_MAX) {
            self.out.write_all(&[RAW])?;
            self.out.write_all(&(part.len() as u32).to_le_bytes())?;
            self.out.write_all(part)?;
        }
        Ok(())
    }

    /// The data of body `n`: its first `size` bytes, or these parts.
    pub(crate) fn body(&mut self, n: u64, size: u64, parts: Option<&[Segment]>) -> io::Result<()> {
        match parts {
            None => {
                self.out.write_all(&[BODY])?;
                self.out.write_all(&n.to_le_bytes())?;
                self.out.write_all(&size.to_le_bytes())
            }
            Some(parts) => {
                self.out.write_all(&[PARTS])?;
                self.out.write_all(&n.to_le_bytes())?;
                self.out.write_all(&(parts.len() as u32).to_le_bytes())?;
                for part in parts {
                    self.out.write_all(&part.offset.to_le_bytes())?;
                    self.out.write_all(&part.len.to_le_bytes())?;
                }
                Ok(())
            }
        }
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[END])?;
        self.out.finish()?.flush()
    }
}

/// Writes the archive that the layer in `dir` was unpacked from.
///
/// # Errors
/// [`Error::Corrupt`] where a file of the layer is damaged, else what reading it or writing to `out` gives.
pub(crate) fn assemble(dir: &Path, out: &mut impl Write) -> Result<(), Error> {
    let path = dir.join("split");
    let file = File::open(&path).context("opening", &path)?;
    let stream = zstd::stream::read::Decoder::new(file).context("reading", &path)?;
    let mut split = BufReader::with_capacity(64 << 10, stream);
    let writing = |source| Error::Io { what: "writing a layer".into(), source };
    let mut raw = Vec::new();
    let mut next = |buf: &mut [u8]| match split.read_exact(buf) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Error::Corrupt(format!("{} is truncated", path.display())))
        }
        result => result.context("reading", &path),
    };
    loop {
        let mut tag = [0];
        next(&mut tag)?;
        let (mut word, mut long) = ([0; 4], [0; 8]);
        match tag[0] {
            RAW => {
                next(&mut word)?;
                let len = u32::from_le_bytes(word) as usize;
                if len > RAW_MAX {
                    return Err(Error::Corrupt(format!("{} makes no sense", path.display())));
                }
                raw.resize(len, 0);
                next(&mut raw)?;
                out.write_all(&raw).map_err(writing)?;
            }
            BODY => {
                next(&mut long)?;
                let body = Body::open(dir, u64::from_le_bytes(long))?;
                next(&mut long)?;
                body.copy(0, u64::from_le_bytes(long), out)?;
            }
            PARTS => {
                next(&mut long)?;
                let body = Body::open(dir, u64::from_le_bytes(long))?;
                next(&mut word)?;
                let count = u32::from_le_bytes(word);
                if count > PARTS_MAX {
                    return Err(Error::Corrupt(format!("{} makes no sense", path.display())));
                }
                for _ in 0..count {
                    let mut len = [0; 8];
                    next(&mut long)?;
                    next(&mut len)?;
                    body.copy(u64::from_le_bytes(long), u64::from_le_bytes(len), out)?;
                }
            }
            END => return Ok(()),
            _ => return Err(Error::Corrupt(format!("{} makes no sense", path.display()))),
        }
    }
}

struct Body {
    path: std::path::PathBuf,
    file: File,
}

impl Body {
    fn open(dir: &Path, n: u64) -> Result<Body, Error> {
        let path = dir.join("b").join(n.to_string());
        let file = File::open(&path).context("opening", &path)?;
        Ok(Body { path, file })
    }

    fn copy(&self, mut at: u64, len: u64, out: &mut impl Write) -> Result<(), Error> {
        let short = || Error::Corrupt(format!("{} is truncated", self.path.display()));
        let end = at.checked_add(len).ok_or_else(short)?;
        let mut buf = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(256 << 10)];
        while at < end {
            let most = buf.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            match self.file.read_at(&mut buf[..most], at).context("reading", &self.path)? {
                0 => return Err(short()),
                n => {
                    let writing = |source| Error::Io { what: "writing a layer".into(), source };
                    out.write_all(&buf[..n]).map_err(writing)?;
                    at += n as u64;
                }
            }
        }
        Ok(())
    }
}
