//! The records of an index file, and bounds-checked access to them in a byte slice.
//!
//! Nothing here allocates or does I/O, so that a freestanding reader can use the same code.

use bytemuck::{Pod, Zeroable};

/// First bytes of every index.
pub(super) const MAGIC: [u8; 8] = *b"carrack\0";
/// Changes with every change of a record; an index of another version is built anew from its layers.
pub(super) const VERSION: u32 = 1;
/// "No layer", "no such entry".
pub(super) const NONE: u32 = u32::MAX;

/// The first 120 bytes of the file. All numbers are little-endian.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) version: u32,
    pub(super) header_len: u32,
    pub(super) file_len: u64,
    pub(super) inodes: Section,
    pub(super) dirents: Section,
    pub(super) xattrs: Section,
    pub(super) bodies: Section,
    pub(super) layers: Section,
    /// Names, symlink targets, xattr names and values, layer digests; `count` is its length in bytes.
    pub(super) strings: Section,
}

/// Where an array of records is: byte offset (a multiple of 8) and number of records.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) count: u64,
}

/// Inode `i + 1` is record `i`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Inode {
    pub size: u64,
    pub mtime_sec: i64,
    /// Ordinal of the inode in its layer; names the body file.
    pub body_n: u64,
    pub rdev: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub mtime_nsec: u32,
    /// Index into the layers, or [`NONE`]: no body.
    pub body_layer: u32,
    /// Directory: its first entry. Symlink: offset of the target in the strings.
    pub first: u32,
    /// Directory: number of entries. Symlink: length of the target.
    pub count: u32,
    pub xattr_first: u32,
    pub xattr_count: u32,
    /// A directory that has an entry for this inode, and which entry (index into all entries).
    pub parent: u32,
    pub alias: u32,
}

/// A directory entry; those of one directory are together, sorted by name.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Dirent {
    pub name: u32,
    pub ino: u32,
    pub name_len: u16,
    /// DT_* of getdents64(2), 1..=12.
    pub kind: u16,
}

/// An extended attribute; those of one inode are together, sorted by name.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Xattr {
    pub(super) name: u32,
    pub(super) value: u32,
    pub(super) value_len: u32,
    pub(super) name_len: u32,
}

/// Which inode a body belongs to; sorted by layer and ordinal.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct BodyRef {
    pub(super) n: u64,
    pub(super) layer: u32,
    pub(super) ino: u32,
}

/// A layer's digest as 64 hex digits.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Layer {
    pub(super) hex: u32,
    pub(super) hex_len: u32,
}

const _: () = {
    assert!(size_of::<Header>() == 120);
    assert!(size_of::<Inode>() == 80);
    assert!(size_of::<Dirent>() == 12);
    assert!(size_of::<Xattr>() == 16);
    assert!(size_of::<BodyRef>() == 16);
    assert!(cfg!(target_endian = "little"), "records are read in place");
};

/// An index in memory. The slice has to be aligned to 8 bytes; one that is not reads as empty.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    bytes: &'a [u8],
    pub(super) inodes: &'a [Inode],
    pub(super) dirents: &'a [Dirent],
    pub(super) xattrs: &'a [Xattr],
    pub(super) bodies: &'a [BodyRef],
    pub(super) layers: &'a [Layer],
    strings: &'a [u8],
}

impl<'a> View<'a> {
    /// Finds the sections. Says what is wrong where the header does not fit the bytes; the records
    /// themselves are not looked at.
    pub(super) fn new(bytes: &'a [u8]) -> Result<View<'a>, &'static str> {
        let head = bytes.get(..size_of::<Header>()).ok_or("shorter than its header")?;
        let header: &Header = bytemuck::try_from_bytes(head).map_err(|_| "not aligned in memory")?;
        if header.magic != MAGIC {
            return Err("not an index");
        }
        if header.version != VERSION || header.header_len as usize != size_of::<Header>() {
            return Err("of another version");
        }
        if header.file_len != bytes.len() as u64 {
            return Err("truncated");
        }
        Ok(View {
            bytes,
            inodes: section(bytes, header.inodes)?,
            dirents: section(bytes, header.dirents)?,
            xattrs: section(bytes, header.xattrs)?,
            bodies: section(bytes, header.bodies)?,
            layers: section(bytes, header.layers)?,
            strings: section(bytes, header.strings)?,
        })
    }

    pub(super) fn inode(&self, ino: u64) -> Option<&'a Inode> {
        let i = usize::try_from(ino.checked_sub(1)?).ok()?;
        self.inodes.get(i)
    }

    /// The entries of a directory; of anything else none.
    pub(super) fn entries(&self, inode: &Inode) -> &'a [Dirent] {
        if inode.mode & 0o170000 != 0o040000 {
            return &[];
        }
        range(self.dirents, inode.first, inode.count)
    }

    pub(super) fn xattrs(&self, inode: &Inode) -> &'a [Xattr] {
        range(self.xattrs, inode.xattr_first, inode.xattr_count)
    }

    pub(super) fn string(&self, offset: u32, len: u32) -> &'a [u8] {
        range(self.strings, offset, len)
    }

    pub(super) fn string_checked(&self, offset: u32, len: u32) -> Option<&'a [u8]> {
        self.strings.get(offset as usize..(offset as usize).checked_add(len as usize)?)
    }

    pub(super) fn name(&self, entry: &Dirent) -> &'a [u8] {
        self.string(entry.name, u32::from(entry.name_len))
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

fn section<T: Pod>(bytes: &[u8], at: Section) -> Result<&[T], &'static str> {
    const WRONG: &str = "a section lies outside of the file";
    let len = at.count.checked_mul(size_of::<T>() as u64).ok_or(WRONG)?;
    let end = at.offset.checked_add(len).ok_or(WRONG)?;
    // Ordinals and offsets within a section are 32 bits wide.
    if at.count > u64::from(u32::MAX) - 1 || !at.offset.is_multiple_of(8) || end > bytes.len() as u64 {
        return Err(WRONG);
    }
    let bytes = bytes.get(at.offset as usize..end as usize).ok_or(WRONG)?;
    bytemuck::try_cast_slice(bytes).map_err(|_| WRONG)
}

/// A part of an array; nothing where it would leave it, which a validated index never does.
fn range<T>(array: &[T], first: u32, count: u32) -> &[T] {
    let first = first as usize;
    first.checked_add(count as usize).and_then(|end| array.get(first..end)).unwrap_or(&[])
}
