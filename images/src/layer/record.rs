//! The record file of a layer: one record for each entry of the archive, in its order.
//!
//! ```text
//! "carrack-layer 1\n"  then, for each record:  u32 length | fields   then:  u32 0
//! ```
//!
//! Numbers are little-endian. The file is written once and is part of a commit; reading it checks all the
//! same.

use std::io::{self, Read, Write};

use crate::Error;
use crate::index::{FileKind, Timespec};

const MAGIC: &[u8; 16] = b"carrack-layer 1\n";
/// Longest record: a path, a link, and what extended headers of 1 MiB can hold.
const RECORD_MAX: u32 = 4 << 20;

/// One change that a layer makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Something is created, or replaced.
    Node(Box<NodeRecord>),
    /// A further name for what `target` names.
    HardLink { path: Vec<u8>, target: Vec<u8> },
    /// What lower layers have by this name is gone.
    Whiteout { path: Vec<u8> },
    /// What lower layers have in this directory is gone.
    Opaque { dir: Vec<u8> },
}

/// A new inode. Paths are normalised: components joined by `/`, the root is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeRecord {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: FileKind,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timespec,
    /// Ordinal of the inode in the layer; names its body if it is a regular file.
    pub(crate) n: u64,
    pub(crate) size: u64,
    pub(crate) rdev: u64,
    /// Target of a symlink.
    pub(crate) link: Vec<u8>,
    /// Sorted by name.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Name of the object with the same bytes.
    pub(crate) object: Option<ObjectName>,
}

/// What identical bodies have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ObjectName {
    /// SHA-256 of the data, or of map and data of a sparse file.
    pub(crate) sha256: [u8; 32],
    /// Whether it is named by map and data, so that a hole need not be read to name it.
    pub(crate) sparse: bool,
}

impl ObjectName {
    /// Path below `objects/`.
    pub(crate) fn path(&self) -> String {
        let hex = hex::encode(self.sha256);
        format!("{}/{}{}", &hex[..2], hex, if self.sparse { ".sparse" } else { "" })
    }
}

/// Writes a record file.
pub(crate) struct Writer<W> {
    out: W,
    buf: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Writer { out, buf: Vec::new() })
    }

    pub(crate) fn add(&mut self, record: &Record) -> io::Result<()> {
        self.buf.clear();
        encode(record, &mut self.buf);
        let len = u32::try_from(self.buf.len()).ok().filter(|&l| l <= RECORD_MAX);
        let len =
            len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a record of more than 4 MiB"))?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(&self.buf)
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 4])?;
        self.out.flush()
    }
}

/// Reads a record file.
pub(crate) struct Reader<R> {
    inner: R,
    buf: Vec<u8>,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(mut inner: R) -> Result<Self, Error> {
        let mut magic = [0; 16];
        inner.read_exact(&mut magic).map_err(damaged)?;
        if magic != *MAGIC {
            return Err(Error::Corrupt("a layer's records are of an unknown version".into()));
        }
        Ok(Reader { inner, buf: Vec::new() })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Record>, Error> {
        let mut len = [0; 4];
        self.inner.read_exact(&mut len).map_err(damaged)?;
        let len = u32::from_le_bytes(len);
        if len == 0 {
            return Ok(None);
        }
        if len > RECORD_MAX {
            return Err(Error::Corrupt("a layer's record is too long".into()));
        }
        self.buf.resize(len as usize, 0);
        self.inner.read_exact(&mut self.buf).map_err(damaged)?;
        let mut cursor = Cursor(&self.buf);
        let record = decode(&mut cursor).filter(|_| cursor.0.is_empty());
        record.map(Some).ok_or_else(|| Error::Corrupt("a layer's record makes no sense".into()))
    }
}

fn damaged(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => Error::Corrupt("a layer's records are truncated".into()),
        _ => Error::Io { what: "reading a layer's records".into(), source },
    }
}

const NODE: u8 = 1;
const HARD_LINK: u8 = 2;
const WHITEOUT: u8 = 3;
const OPAQUE: u8 = 4;

fn encode(record: &Record, out: &mut Vec<u8>) {
    match record {
        Record::Node(node) => {
            out.push(NODE);
            out.push(node.kind.dt() as u8);
            for v in [node.mode, node.uid, node.gid, node.mtime.nsec] {
                out.extend_from_slice(&v.to_le_bytes());
            }
            for v in [node.mtime.sec as u64, node.n, node.size, node.rdev] {
                out.extend_from_slice(&v.to_le_bytes());
            }
            match &node.object {
                None => out.push(0),
                Some(object) => {
                    out.push(1 + u8::from(object.sparse));
                    out.extend_from_slice(&object.sha256);
                }
            }
            put(out, &node.path);
            put(out, &node.link);
            out.extend_from_slice(&(node.xattrs.len() as u32).to_le_bytes());
            for (name, value) in &node.xattrs {
                put(out, name);
                put(out, value);
            }
        }
        Record::HardLink { path, target } => {
            out.push(HARD_LINK);
            put(out, path);
            put(out, target);
        }
        Record::Whiteout { path } => {
            out.push(WHITEOUT);
            put(out, path);
        }
        Record::Opaque { dir } => {
            out.push(OPAQUE);
            put(out, dir);
        }
    }
}

/// Strings are bounded by the archive's limits, far below 4 GiB.
fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[b]| b)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let len = self.u32()? as usize;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text.to_vec())
    }
}

fn decode(c: &mut Cursor<'_>) -> Option<Record> {
    Some(match c.u8()? {
        NODE => {
            let kind = FileKind::of_mode(u32::from(c.u8()?) << 12)?;
            let (mode, uid, gid, nsec) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
            let (sec, n, size, rdev) = (c.u64()? as i64, c.u64()?, c.u64()?, c.u64()?);
            let object = match c.u8()? {
                0 => None,
                flag @ (1 | 2) => Some(ObjectName { sha256: c.take()?, sparse: flag == 2 }),
                _ => return None,
            };
            let (path, link) = (c.text()?, c.text()?);
            let mut xattrs = Vec::new();
            for _ in 0..c.u32()? {
                xattrs.push((c.text()?, c.text()?));
            }
            let mtime = Timespec { sec, nsec };
            Record::Node(Box::new(NodeRecord {
                path,
                kind,
                mode,
                uid,
                gid,
                mtime,
                n,
                size,
                rdev,
                link,
                xattrs,
                object,
            }))
        }
        HARD_LINK => Record::HardLink { path: c.text()?, target: c.text()? },
        WHITEOUT => Record::Whiteout { path: c.text()? },
        OPAQUE => Record::Opaque { dir: c.text()? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let node = NodeRecord {
            path: b"a/b".to_vec(),
            kind: FileKind::Regular,
            mode: 0o4755,
            uid: 1,
            gid: 2,
            mtime: Timespec { sec: -5, nsec: 7 },
            n: 9,
            size: 1 << 40,
            rdev: 0x103,
            link: Vec::new(),
            xattrs: vec![(b"user.x".to_vec(), b"\0\xff".to_vec())],
            object: Some(ObjectName { sha256: [7; 32], sparse: true }),
        };
        let records = [
            Record::Node(Box::new(node)),
            Record::HardLink { path: b"x".to_vec(), target: b"a/b".to_vec() },
            Record::Whiteout { path: b"y".to_vec() },
            Record::Opaque { dir: Vec::new() },
        ];
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file).unwrap();
        records.iter().for_each(|r| writer.add(r).unwrap());
        writer.finish().unwrap();
        let mut reader = Reader::new(&file[..]).unwrap();
        for r in &records {
            assert_eq!(reader.next().unwrap().as_ref(), Some(r));
        }
        assert_eq!(reader.next().unwrap(), None);
        for cut in 0..file.len() {
            let Ok(mut reader) = Reader::new(&file[..cut]) else { continue };
            while let Ok(r) = reader.next() {
                assert!(r.is_some(), "a cut file has no end");
            }
        }
    }
}
