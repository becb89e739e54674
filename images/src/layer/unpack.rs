//! From an archive to a layer: entries are judged here, once, and become records.

use std::io::{BufWriter, Read};
use std::path::Path;

use super::bodies::LayerBodies;
use super::record::{NodeRecord, Record, Writer};
use super::split;
use crate::error::{Context, Error};
use crate::index::{FileKind, Timespec};
use crate::limits::Limits;
use crate::tar::path::{PATH_MAX, normalise, show};
use crate::tar::{Entry, Kind, Reader, bad};

/// Largest value of an extended attribute (XATTR_SIZE_MAX).
const XATTR_MAX: usize = 65536;
const XATTR_NAME_MAX: usize = 255;
/// Prefix of whiteouts, and of what AUFS kept for itself (OCI image specification, layer.md).
const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What is known of a layer once it is unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unpacked {
    /// Sum of the sizes of the regular files, holes included; what Docker calls a layer's size.
    pub(crate) size: u64,
    /// New inodes.
    pub(crate) inodes: u64,
    /// Its number in [`super::bodies::Bodies`].
    pub(crate) number: usize,
}

/// Unpacks an archive, to the end of its stream, into the (empty) directory of a layer: `meta`, `split`, `b/`.
///
/// # Errors
/// [`Error::InvalidTar`] for what cannot be a layer, else the host's error. What was written stays, for the
/// caller to remove.
pub(crate) fn unpack<R: Read>(
    tar: &mut Reader<R>,
    dir: &Path,
    bodies: &mut LayerBodies<'_>,
    limits: &Limits,
) -> Result<Unpacked, Error> {
    let path = dir.join("meta");
    let file = std::fs::File::create_new(&path).context("creating", &path)?;
    let mut records = Writer::new(BufWriter::with_capacity(64 << 10, file)).context("writing", &path)?;
    let split_path = dir.join("split");
    let mut split = split::Writer::new(&split_path).context("creating", &split_path)?;
    tar.keep_raw();
    let mut unpacked = Unpacked { number: bodies.number(), ..Unpacked::default() };
    let mut buf = [0; 16 << 10];
    let mut entries = 0;
    while let Some(entry) = tar.next_entry()? {
        entries += 1;
        if entries > limits.entries {
            return Err(Error::Limit(format!("a layer of more than {} files", limits.entries)));
        }
        let mut record = record(&entry, unpacked.inodes + 1)?;
        split.raw(&tar.take_raw()).context("writing", &split_path)?;
        if let Some(Record::Node(node)) = &mut record {
            unpacked.inodes += 1;
            if node.kind == FileKind::Regular {
                node.object = Some(bodies.add(node.n, &entry, tar)?);
                unpacked.size = unpacked.size.saturating_add(node.size);
                split.body(node.n, node.size, entry.sparse.as_deref()).context("writing", &split_path)?;
            }
        }
        // Data of what has none, such as a whiteout.
        while tar.data_left() > 0 {
            let n = tar.read_data(&mut buf)?;
            split.raw(&buf[..n]).context("writing", &split_path)?;
        }
        if let Some(record) = &record {
            records.add(record).context("writing", &path)?;
        }
    }
    records.finish().context("writing", &path)?;
    split.raw(&tar.take_raw()).context("writing", &split_path)?;
    loop {
        match tar.read_behind(&mut buf)? {
            0 => break,
            n => split.raw(&buf[..n]).context("writing", &split_path)?,
        }
    }
    split.finish().context("writing", &split_path)?;
    Ok(unpacked)
}

/// What an entry means; `None`: nothing.
fn record(entry: &Entry, n: u64) -> Result<Option<Record>, Error> {
    let components = normalise(&entry.path)?;
    let fail = |what: &str| bad(format!("{}: {what}", show(&entry.path)));
    let Some((&name, dirs)) = components.split_last() else {
        return match entry.kind {
            Kind::Directory => Ok(Some(node(entry, Vec::new(), n)?)),
            _ => Err(fail("only a directory can be the root")),
        };
    };
    if name == OPAQUE {
        return Ok(Some(Record::Opaque { dir: dirs.join(&b'/') }));
    }
    if name.starts_with(WHITEOUT_META) || components[0].starts_with(WHITEOUT_META) {
        return Ok(None);
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(fail("a whiteout of no name"));
        }
        let path = dirs.iter().copied().chain([hidden]).collect::<Vec<_>>().join(&b'/');
        return Ok(Some(Record::Whiteout { path }));
    }
    let path = components.join(&b'/');
    if entry.kind == Kind::HardLink {
        let target = normalise(&entry.link)?.join(&b'/');
        if target.is_empty() {
            return Err(fail("a hard link to a directory"));
        }
        return Ok(Some(Record::HardLink { path, target }));
    }
    node(entry, path, n).map(Some)
}

fn node(entry: &Entry, path: Vec<u8>, n: u64) -> Result<Record, Error> {
    let fail = |what: &str| bad(format!("{}: {what}", show(&entry.path)));
    let kind = match entry.kind {
        Kind::Regular | Kind::HardLink => FileKind::Regular,
        Kind::Symlink => FileKind::Symlink,
        Kind::CharDevice => FileKind::CharDevice,
        Kind::BlockDevice => FileKind::BlockDevice,
        Kind::Directory => FileKind::Directory,
        Kind::Fifo => FileKind::Fifo,
    };
    if kind == FileKind::Symlink
        && (entry.link.is_empty() || entry.link.len() > PATH_MAX || entry.link.contains(&0))
    {
        return Err(fail("a symlink without a usable target"));
    }
    // (uid_t) −1 means "nobody in particular" to chown(2) and can own nothing.
    let id = |id: u64| u32::try_from(id).ok().filter(|&id| id != u32::MAX);
    let rdev = match kind {
        FileKind::CharDevice | FileKind::BlockDevice => {
            let (major, minor) = entry.device;
            // The kernel's 12 and 20 bits.
            if major >= 1 << 12 || minor >= 1 << 20 {
                return Err(fail("a device number out of range"));
            }
            rustix::fs::makedev(major as u32, minor as u32)
        }
        _ => 0,
    };
    let mut xattrs = entry.xattrs.clone();
    xattrs.sort();
    for (name, value) in &xattrs {
        let good = !name.is_empty() && name.len() <= XATTR_NAME_MAX && !name.contains(&0);
        if !good || value.len() > XATTR_MAX {
            return Err(fail("an extended attribute that no file can have"));
        }
    }
    Ok(Record::Node(Box::new(NodeRecord {
        path,
        kind,
        mode: entry.mode,
        uid: id(entry.uid).ok_or_else(|| fail("an owner out of range"))?,
        gid: id(entry.gid).ok_or_else(|| fail("a group out of range"))?,
        mtime: Timespec { sec: entry.mtime.0, nsec: entry.mtime.1 },
        n,
        size: entry.size,
        rdev,
        link: if kind == FileKind::Symlink { entry.link.clone() } else { Vec::new() },
        xattrs,
        object: None,
    })))
}
