//! What the brand and the supervisor agree on: where things lie in the brand's region, and the records it reads.
//!
//! Compiled three times from this one file, as `stub/abi.rs` is. Nothing but constants and plain structures may stand here.

/// Bytes of the brand's code, with the page of sites before it. The region of a process is this, mapped private, then the
/// marks, then the image index, both shared and read-only.
pub const BLOB_SIZE: u64 = 0x3000;
/// Where the code starts: the entry that sites call.
pub const ENTRY: u64 = 0x1000;
/// Where the sites start, after the [`Context`].
pub const SITES: u64 = 0x80;
/// Bytes of one site.
pub const SITE_SIZE: u64 = 48;
/// How many there can be.
pub const MAX_SITES: u64 = (ENTRY - SITES) / SITE_SIZE;

/// At the beginning of the region; written by the supervisor into the process's own copy.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// [`MAGIC`], so that the supervisor can tell whether the region is still there.
    pub magic: u64,
    /// Address of the first [`Inode`], that of number 1.
    pub inodes: u64,
    /// Address of all [`Dirent`]s.
    pub dirents: u64,
    /// Address of names and link targets.
    pub strings: u64,
    /// Address of the [`Marks`] page.
    pub marks: u64,
    /// `st_dev` of the image's inodes.
    pub dev: u64,
    /// Number of the mount, for statx(2).
    pub mnt_id: u64,
    /// Address of the [`Identity`]; 0 where there is none.
    pub identity: u64,
}

/// Who the process is. In a page of its own that is empty after fork (MADV_WIPEONFORK): a child is somebody else.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Not 0: the rest is so for every thread of the process. The supervisor clears it *before* it changes anything, and
    /// leaves the rest as it was, so that whoever has just looked here gives the old answer and not a mixed one.
    pub is_valid: u32,
    pub pid: u32,
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    pub egid: u32,
}

/// First word of a [`Context`].
pub const MAGIC: u64 = u64::from_le_bytes(*b"carrackB");

/// Offset in the marks of the word that, when it is not 0, makes the brand answer nothing.
pub const MARKS_OFF: u64 = 0;
/// Offset in the marks of the first inode's byte; inode *i* has the byte at `MARKS_FIRST + i`.
pub const MARKS_FIRST: u64 = 64;
/// Something about the inode is not as in the image: a time, the size, the number of links, or a directory's names.
pub const TOUCHED: u8 = 1;
/// The way to or through the inode is not as in the image: removed, renamed, mounted upon, other owner or mode.
pub const BARRED: u8 = 2;

/// An inode as the image's index has it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Inode {
    pub size: u64,
    pub mtime_sec: i64,
    pub body_n: u64,
    pub rdev: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub mtime_nsec: u32,
    pub body_layer: u32,
    /// Directory: its first entry. Symlink: offset of the target in the strings.
    pub first: u32,
    /// Directory: number of entries. Symlink: length of the target.
    pub count: u32,
    pub xattr_first: u32,
    pub xattr_count: u32,
    pub parent: u32,
    pub alias: u32,
}

/// A directory entry as the image's index has it; those of one directory are sorted by name.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Dirent {
    pub name: u32,
    pub ino: u32,
    pub name_len: u16,
    pub kind: u16,
}

/// Calls that the brand may answer.
pub const ANSWERED: &[u32] = &[
    SYS_STAT,
    SYS_LSTAT,
    SYS_ACCESS,
    SYS_READLINK,
    SYS_NEWFSTATAT,
    SYS_READLINKAT,
    SYS_FACCESSAT,
    SYS_STATX,
    SYS_FACCESSAT2,
    SYS_GETPID,
    SYS_GETUID,
    SYS_GETGID,
    SYS_GETEUID,
    SYS_GETEGID,
];
/// Those of them that ask for the [`Identity`].
pub const IDENTITY: &[u32] = &[SYS_GETPID, SYS_GETUID, SYS_GETGID, SYS_GETEUID, SYS_GETEGID];
pub const SYS_GETPID: u32 = 39;
pub const SYS_GETUID: u32 = 102;
pub const SYS_GETGID: u32 = 104;
pub const SYS_GETEUID: u32 = 107;
pub const SYS_GETEGID: u32 = 108;
pub const SYS_STAT: u32 = 4;
pub const SYS_LSTAT: u32 = 6;
pub const SYS_ACCESS: u32 = 21;
pub const SYS_READLINK: u32 = 89;
pub const SYS_NEWFSTATAT: u32 = 262;
pub const SYS_READLINKAT: u32 = 267;
pub const SYS_FACCESSAT: u32 = 269;
pub const SYS_STATX: u32 = 332;
pub const SYS_FACCESSAT2: u32 = 439;

const _: () = {
    assert!(size_of::<Context>() as u64 <= SITES);
    assert!(size_of::<Identity>() == 24);
    assert!(size_of::<Inode>() == 80);
    assert!(size_of::<Dirent>() == 12);
};
