//! The image index: all metadata of a merged image, immutable and memory-mapped.
//!
//! A container's file system looks everything up here (names, types, modes, owners, times, extended
//! attributes, symlink targets, device numbers) and touches a host file only to open a body. The file is
//! read in place: a header, then arrays of fixed-size little-endian records that refer to each other by
//! ordinal, then the strings.
//!
//! ```text
//! header | inodes[] | dirents[] | xattrs[] | bodies[] | layers[] | strings
//! ```
//!
//! - Inodes are numbered densely from 1, the root, breadth first; inode *i* is record *i* − 1. A guest sees
//!   these numbers.
//! - The entries of a directory are one sorted run of `dirents`, so that a look-up is a binary search and
//!   readdir(3) a walk over an array.
//! - An inode remembers one of its names (`parent`, `alias`), so that a path can be told for any inode.
//! - `bodies` leads back from a body file's name to its inode.
//! - Same layers, same bytes: nothing in the file depends on when or where it was built.
//!
//! `version` in the header changes with every change of a record. An index is only a cache of the layers'
//! records: one that is missing, damaged or of another version is built anew, so there is no migration.
//! A file is never changed in place; a new one is renamed over it, and who has the old one mapped keeps it.
//!
//! [`Index::open`] validates everything, so a damaged or hostile file is an error there and never a panic,
//! an endless walk or a wrong slice later. Accessors are bounds-checked all the same.
//!
//! Why not EROFS with composefs's conventions, which is made for images too: its directory blocks mix
//! entries and names in 4 KiB units that have to be searched in two steps, inodes are addressed by position
//! (not densely, so they cannot be used as array indices by the delta above), extended attributes are split
//! between shared and inline areas with prefix tables, bodies are referred to by path in an xattr, and there
//! is no way back from a body or an inode to a name, which answering readlink of /proc/self/fd/N needs. A
//! freestanding reader mapped into guests should be a few array accesses, and nobody will mount this file in
//! a kernel.

mod build;
mod layout;
pub mod raw;
mod validate;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::{Context, Error};
pub(crate) use build::write;
use layout::{BodyRef, NONE, View};

/// A merged image, opened. Cheap to share (`Arc`); keeps the file mapped.
pub struct Index {
    map: Mapping,
    layers: Vec<String>,
}

/// The bytes of an index.
enum Mapping {
    File(Mmap, File, PathBuf),
    /// Aligned as records need it.
    Memory(Vec<u64>, usize),
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A FIFO.
    Fifo,
    /// A unix socket (no archive can hold one, but a committed container can).
    Socket,
}

/// Seconds and nanoseconds since the epoch; nanoseconds are always below 10⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timespec {
    /// Seconds, negative before 1970.
    pub sec: i64,
    /// Nanoseconds after `sec`.
    pub nsec: u32,
}

/// Which body file holds a regular file's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Body {
    /// Index into [`Index::layers`].
    pub layer: u32,
    /// Ordinal of the inode in that layer.
    pub n: u64,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// The name, 1 to 255 bytes, without `/` and NUL, never `.` or `..`.
    pub name: &'a [u8],
    /// The inode.
    pub ino: u64,
    /// What it is.
    pub kind: FileKind,
}

/// The attributes of an inode.
#[derive(Clone, Copy)]
pub struct InodeInfo<'a> {
    /// The inode's number.
    pub ino: u64,
    /// Type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Owner, as the guest sees it.
    pub uid: u32,
    /// Group, as the guest sees it.
    pub gid: u32,
    /// Number of names; of a directory 2 and one for each directory in it.
    pub nlink: u32,
    /// Size in bytes: of a regular file its data, of a symlink its target, of a directory 4096.
    pub size: u64,
    /// Time of last modification; the image knows no other times.
    pub mtime: Timespec,
    /// Device number as in `st_rdev` (makedev(3)); 0 where it is no device.
    pub rdev: u64,
    /// The target of a symbolic link.
    pub symlink: Option<&'a [u8]>,
    /// The body of a regular file. Empty files have one too.
    pub body: Option<Body>,
    view: View<'a>,
    record: &'a layout::Inode,
}

impl FileKind {
    /// By the type bits of a mode.
    pub fn of_mode(mode: u32) -> Option<FileKind> {
        Some(match mode & 0o170000 {
            0o100000 => FileKind::Regular,
            0o040000 => FileKind::Directory,
            0o120000 => FileKind::Symlink,
            0o020000 => FileKind::CharDevice,
            0o060000 => FileKind::BlockDevice,
            0o010000 => FileKind::Fifo,
            0o140000 => FileKind::Socket,
            _ => return None,
        })
    }

    /// The type bits of `st_mode`.
    pub fn mode_bits(self) -> u32 {
        u32::from(self.dt()) << 12
    }

    /// DT_* of getdents64(2).
    pub fn dt(self) -> u16 {
        match self {
            FileKind::Fifo => 1,
            FileKind::CharDevice => 2,
            FileKind::Directory => 4,
            FileKind::BlockDevice => 6,
            FileKind::Regular => 8,
            FileKind::Symlink => 10,
            FileKind::Socket => 12,
        }
    }

    fn of_dt(dt: u16) -> Option<FileKind> {
        FileKind::of_mode(u32::from(dt) << 12)
    }
}

impl Index {
    /// The root directory's inode number.
    pub const ROOT: u64 = 1;

    /// Maps an index and validates it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a file that is not a sound index of this version, else the host's error.
    pub fn open(path: &Path) -> Result<Index, Error> {
        let file = File::open(path).context("opening", path)?;
        let map = map(&file).context("mapping", path)?;
        Index::of(Mapping::File(map, file, path.to_path_buf()))
            .map_err(|e| Error::Corrupt(format!("{}: {e}", path.display())))
    }

    /// The same for an index in memory, which is copied. For tests and fuzzing.
    ///
    /// # Errors
    /// [`Error::Corrupt`] as for [`Index::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Index, Error> {
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Index::of(Mapping::Memory(words, bytes.len())).map_err(|e| Error::Corrupt(e.into()))
    }

    fn of(map: Mapping) -> Result<Index, &'static str> {
        let view = View::new(map.bytes())?;
        validate::validate(&view, &|| map.release())?;
        let text = |l: &layout::Layer| String::from_utf8_lossy(view.string(l.hex, l.hex_len)).into_owned();
        let layers = view.layers.iter().map(text).collect();
        Ok(Index { map, layers })
    }

    /// Validated in `of`; mapped files are never changed. What cannot be is shown as an empty index.
    fn view(&self) -> Option<View<'_>> {
        View::new(self.map.bytes()).ok()
    }

    /// The highest inode number. Numbers are dense: `1..=max_ino()`.
    pub fn max_ino(&self) -> u64 {
        self.view().map_or(0, |v| v.inodes.len() as u64)
    }

    /// The attributes of an inode; `None` for a number out of range.
    pub fn inode(&self, ino: u64) -> Option<InodeInfo<'_>> {
        let view = self.view()?;
        let record = view.inode(ino)?;
        let kind = FileKind::of_mode(record.mode)?;
        let symlink = (kind == FileKind::Symlink).then(|| view.string(record.first, record.count));
        let body = (record.body_layer != NONE).then_some(Body { layer: record.body_layer, n: record.body_n });
        Some(InodeInfo {
            ino,
            mode: record.mode,
            uid: record.uid,
            gid: record.gid,
            nlink: record.nlink,
            size: record.size,
            mtime: Timespec { sec: record.mtime_sec, nsec: record.mtime_nsec },
            rdev: record.rdev,
            symlink,
            body,
            view,
            record,
        })
    }

    /// The inode that a directory has by that name; `None` where there is none or `dir` is no directory.
    pub fn lookup(&self, dir: u64, name: &[u8]) -> Option<u64> {
        let view = self.view()?;
        let entries = view.entries(view.inode(dir)?);
        let i = entries.binary_search_by(|e| view.name(e).cmp(name)).ok()?;
        entries.get(i).map(|e| e.ino.into())
    }

    /// The number of entries of a directory, `.` and `..` not counted; 0 for anything else.
    pub fn dir_len(&self, dir: u64) -> usize {
        let Some(view) = self.view() else { return 0 };
        view.inode(dir).map_or(0, |inode| view.entries(inode).len())
    }

    /// The `i`th entry of a directory, in the order of the names' bytes.
    pub fn dir_entry(&self, dir: u64, i: usize) -> Option<DirEntry<'_>> {
        let view = self.view()?;
        let entry = view.entries(view.inode(dir)?).get(i)?;
        Some(DirEntry { name: view.name(entry), ino: entry.ino.into(), kind: FileKind::of_dt(entry.kind)? })
    }

    /// A directory that has this inode, and the name there: the only one for a directory, one of several for
    /// a file with hard links, `None` for the root.
    pub fn alias(&self, ino: u64) -> Option<(u64, &[u8])> {
        let view = self.view()?;
        let inode = view.inode(ino)?;
        if inode.parent == NONE {
            return None;
        }
        let entry = view.dirents.get(inode.alias as usize)?;
        Some((inode.parent.into(), view.name(entry)))
    }

    /// The digests (`diff_id`, 64 hex digits) of the layers, the lowest first, each once.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The inode that a body file belongs to: the reverse of [`InodeInfo::body`].
    pub fn by_body(&self, layer_hex: &str, n: u64) -> Option<u64> {
        let view = self.view()?;
        let layer = u32::try_from(self.layers.iter().position(|l| l == layer_hex)?).ok()?;
        let key = |b: &BodyRef| (b.layer, b.n);
        let i = view.bodies.binary_search_by_key(&(layer, n), key).ok()?;
        view.bodies.get(i).map(|b| b.ino.into())
    }

    /// The file that is mapped, for whoever maps it elsewhere; `None` for an index in memory.
    pub fn file(&self) -> Option<&File> {
        match &self.map {
            Mapping::File(_, file, _) => Some(file),
            Mapping::Memory(..) => None,
        }
    }

    /// The name under which it was opened; the file there may be another one by now.
    pub fn path(&self) -> Option<&PathBuf> {
        match &self.map {
            Mapping::File(_, _, path) => Some(path),
            Mapping::Memory(..) => None,
        }
    }

    /// Where a reader of its own finds the records.
    pub fn sections(&self) -> Option<raw::Sections> {
        let view = self.view()?;
        let start = self.map.bytes().as_ptr() as u64;
        Some(raw::Sections {
            inodes: view.inodes.as_ptr() as u64 - start,
            dirents: view.dirents.as_ptr() as u64 - start,
            strings: view.string(0, 0).as_ptr() as u64 - start,
        })
    }

    /// Bytes of the mapping.
    pub fn len(&self) -> usize {
        self.view().map_or(0, |v| v.len())
    }

    /// Never: an index has a root.
    pub fn is_empty(&self) -> bool {
        self.max_ino() == 0
    }
}

impl<'a> InodeInfo<'a> {
    /// What the inode is.
    pub fn kind(&self) -> FileKind {
        FileKind::of_mode(self.mode).unwrap_or(FileKind::Regular)
    }

    /// The extended attributes, sorted by name: (name with its prefix, value).
    pub fn xattrs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let view = self.view;
        let pair =
            move |x: &layout::Xattr| (view.string(x.name, x.name_len), view.string(x.value, x.value_len));
        view.xattrs(self.record).iter().map(pair)
    }

    /// The value of one extended attribute.
    pub fn xattr(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.xattrs().find(|(n, _)| *n == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for InodeInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InodeInfo")
            .field("ino", &self.ino)
            .field("mode", &format_args!("{:o}", self.mode))
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("inodes", &self.max_ino()).field("layers", &self.layers).finish()
    }
}

impl Mapping {
    fn bytes(&self) -> &[u8] {
        match self {
            Mapping::File(map, ..) => map,
            Mapping::Memory(words, len) => bytemuck::cast_slice(words).get(..*len).unwrap_or(&[]),
        }
    }
}

impl Mapping {
    /// Gives the memory of a big index back to the page cache; what is looked at next is there again.
    #[allow(unsafe_code)]
    fn release(&self) {
        const BIG: usize = 1 << 20;
        if let Mapping::File(map, ..) = self
            && map.len() > BIG
        {
            // SAFETY: the mapping is a read-only one of a file: nothing is lost with its pages.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

/// Maps a file of the store read-only.
#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: an index is written to a temporary name, renamed, and never written to or truncated again by
    // anything of this store, so the bytes behind the mapping do not change. Whoever else can write to the
    // store's files can do whatever this process can.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests;
