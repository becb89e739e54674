//! What every file system implements: superblocks and inodes.
//!
//! Corresponds to Linux's `struct super_operations` and `struct inode_operations`/`file_operations`. Defaults are the
//! errors that Linux gives for a file system without the operation. Permission checks, mount flags (read-only, noexec,
//! nodev) and symlink following are done by the callers in `vfs::walk`, `vfs::permission` and `sys/`; a file system only
//! carries out.

use crate::bail;
use crate::errno::Errno;
use bitflags::bitflags;
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Inode number inside one superblock, as the guest sees it in `st_ino`.
pub type Ino = u64;

/// Number of a superblock inside one container; makes `st_dev` (anonymous device, major 0) and names placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SbId(pub u32);

pub type InodeRef = Arc<dyn Inode>;

/// Type of a file, `st_mode & S_IFMT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Regular,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

impl Kind {
    /// From `st_mode`; `None` for a type that does not exist.
    pub fn from_mode(mode: u32) -> Option<Kind> {
        Some(match mode & libc::S_IFMT {
            libc::S_IFREG => Kind::Regular,
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFCHR => Kind::CharDevice,
            libc::S_IFBLK => Kind::BlockDevice,
            libc::S_IFIFO => Kind::Fifo,
            libc::S_IFSOCK => Kind::Socket,
            _ => return None,
        })
    }

    /// The `S_IFMT` bits.
    pub fn mode_bits(self) -> u32 {
        match self {
            Kind::Regular => libc::S_IFREG,
            Kind::Directory => libc::S_IFDIR,
            Kind::Symlink => libc::S_IFLNK,
            Kind::CharDevice => libc::S_IFCHR,
            Kind::BlockDevice => libc::S_IFBLK,
            Kind::Fifo => libc::S_IFIFO,
            Kind::Socket => libc::S_IFSOCK,
        }
    }

    /// `d_type` of getdents64(2).
    pub fn dirent_type(self) -> u8 {
        (self.mode_bits() >> 12) as u8
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timespec {
    pub sec: i64,
    pub nsec: u32,
}

/// What stat(2) tells, except `st_dev`, which is the superblock's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attr {
    pub ino: Ino,
    /// Type and permission bits.
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    /// Device number of a device node (`makedev`), else 0.
    pub rdev: u64,
    pub size: u64,
    /// In units of 512 bytes.
    pub blocks: u64,
    pub blksize: u32,
    pub atime: Timespec,
    pub mtime: Timespec,
    pub ctime: Timespec,
    pub btime: Option<Timespec>,
}

impl Attr {
    pub fn kind(&self) -> Kind {
        Kind::from_mode(self.mode).unwrap_or(Kind::Regular)
    }
}

/// A time to set: utimensat(2)'s UTIME_NOW or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    Now,
    At(Timespec),
}

/// Attributes to change (Linux's `struct iattr`); `None` leaves one alone. ctime is set by the file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Permission bits (07777) only.
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: Option<SetTime>,
    pub mtime: Option<SetTime>,
}

/// What to make, with what only that kind needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateKind {
    Regular,
    Directory,
    Symlink(Vec<u8>),
    /// Character or block device with its number.
    Device(Kind, u64),
    Fifo,
    Socket,
}

/// One name of a directory.
#[derive(Debug, Clone)]
pub struct DirEntry {
    pub name: Vec<u8>,
    pub ino: Ino,
    pub kind: Kind,
    /// `d_off`: hand it to [`Inode::readdir`] to go on after this entry.
    pub next: u64,
}

/// How a file is to be opened. Permission was checked already.
#[derive(Debug, Clone, Copy)]
pub struct OpenRequest {
    /// open(2) flags of the guest: access mode, O_APPEND, O_TRUNC, O_NONBLOCK, O_DIRECT, O_PATH …; O_CREAT, O_EXCL and
    /// O_CLOEXEC have been dealt with.
    pub flags: i32,
    /// Host thread on whose behalf (proc's `self`, controlling terminals).
    pub tid: i32,
}

/// What opening gave.
#[derive(Debug)]
pub enum Opened {
    /// A descriptor to hand to the guest.
    Fd(OwnedFd),
    /// Opening may block (a FIFO without its other end): open this host path, in a thread that may wait, with these flags.
    Blocking(std::path::PathBuf, i32),
}

bitflags! {
    /// renameat2(2) flags.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct RenameFlags: u32 {
        const NOREPLACE = 1;
        const EXCHANGE = 2;
        const WHITEOUT = 4;
    }

    /// setxattr(2) flags.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct XattrFlags: u32 {
        const CREATE = 1;
        const REPLACE = 2;
    }
}

/// statfs(2), in blocks of `bsize` bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatFs {
    /// Magic number, e.g. OVERLAYFS_SUPER_MAGIC 0x794c7630.
    pub ftype: i64,
    pub bsize: u64,
    pub blocks: u64,
    pub bfree: u64,
    pub bavail: u64,
    pub files: u64,
    pub ffree: u64,
    pub namelen: u64,
}

/// How the host names what a descriptor is of, taken apart by [`ids`](super::ids).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostName<'a> {
    /// `<store>/layers/<layer>/b/<n>`: inode `n` of an image layer.
    ImageBody { layer: &'a [u8], n: u64 },
    /// `<container dir>/delta/b/<ino>`.
    DeltaBody(Ino),
    /// Any other absolute host path: a device, a terminal, a file below a bind mount, a FIFO.
    Path(&'a [u8]),
    /// An object without a name of ours (a memfd), by the host's `st_dev` and `st_ino`.
    Object { dev: u64, ino: u64 },
}

/// A mounted file system.
pub trait SuperBlock: Send + Sync + Any + std::fmt::Debug {
    fn id(&self) -> SbId;
    /// As /proc/mounts names it: `overlay`, `tmpfs`, `proc`, …
    fn fstype(&self) -> &'static str;
    /// First field of /proc/mounts.
    fn source(&self) -> String {
        self.fstype().to_owned()
    }
    /// Options for /proc/mounts after `rw`/`ro`, without leading comma.
    fn options(&self) -> String {
        String::new()
    }
    fn root(&self) -> InodeRef;
    /// The live inode of a number, for descriptors found by their host names. `None` when there is none such.
    fn inode(&self, ino: Ino) -> Option<InodeRef>;
    /// The inode whose body the host calls so; `None` when it is none of ours. Asked for every descriptor that a call
    /// names, so a file system answers quickly for names that cannot be its own.
    fn inode_of_host(&self, _name: &HostName<'_>) -> Option<InodeRef> {
        None
    }
    fn statfs(&self) -> Result<StatFs, Errno>;
    /// Whether what is there may change without passing through us (host directories, proc): never cache.
    fn is_volatile(&self) -> bool {
        false
    }
    /// Gives back what removed files took and nobody has open. Called after a name was removed and all handles that the
    /// removal needed are dropped.
    fn reclaim(&self) {}
    /// Make everything durable (sync(2)).
    fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }
}

/// A file of any kind. Directory operations get single names: never empty, `.`, `..`, nor with `/` or NUL in them.
///
/// `cred` arguments are the owner that new inodes get (fsuid, fsgid after setgid-directory rules): the caller decides.
pub trait Inode: Send + Sync + Any + std::fmt::Debug {
    fn sb(&self) -> Arc<dyn SuperBlock>;
    fn sb_id(&self) -> SbId;
    fn ino(&self) -> Ino;
    fn kind(&self) -> Kind;
    fn attr(&self) -> Result<Attr, Errno>;
    fn as_any(&self) -> &dyn Any;

    /// Permission-relevant attributes alone; override where [`attr`](Inode::attr) asks the host for more than these.
    fn perm(&self) -> Result<Attr, Errno> {
        self.attr()
    }

    /// S_IMMUTABLE: nobody may write to it or make names in it, whatever the permission bits say (EPERM).
    fn is_immutable(&self) -> bool {
        false
    }

    // --- directories -------------------------------------------------------------------------------------------------

    /// ENOENT when there is no such name; ENOTDIR when this is no directory; ENAMETOOLONG past 255 bytes.
    fn lookup(&self, _name: &[u8]) -> Result<InodeRef, Errno> {
        bail!(ENOTDIR)
    }

    /// The parent of a directory (`..`); the root is its own.
    fn parent(&self) -> Option<InodeRef> {
        None
    }

    /// One (parent directory, name) under which this inode is found now; `None` when it was unlinked, and for the root.
    fn alias(&self) -> Option<(InodeRef, Vec<u8>)> {
        None
    }

    /// Where an unlinked inode was found last, for `/proc/PID/fd` and its like; `None` where that is not remembered.
    fn last_alias(&self) -> Option<(InodeRef, Vec<u8>)> {
        None
    }

    /// Entries after position `pos` (0: from the start), without `.` and `..`, until `emit` returns false.
    /// Positions are stable: an entry that stays is never skipped or repeated when others come and go. Positions 1 and 2
    /// belong to `.` and `..`, which the caller makes; a file system's own `next` values are ≥ 3.
    fn readdir(&self, _pos: u64, _emit: &mut dyn FnMut(DirEntry) -> bool) -> Result<(), Errno> {
        bail!(ENOTDIR)
    }

    /// EEXIST when the name is there. `mode` is permission bits after umask.
    fn create(
        &self,
        _name: &[u8],
        _kind: CreateKind,
        _mode: u32,
        _uid: u32,
        _gid: u32,
    ) -> Result<InodeRef, Errno> {
        bail!(EPERM)
    }

    /// A regular file without a name (O_TMPFILE).
    fn tmpfile(&self, _mode: u32, _uid: u32, _gid: u32) -> Result<InodeRef, Errno> {
        bail!(EOPNOTSUPP)
    }

    /// This inode, just made by [`tmpfile`](Inode::tmpfile), never gets a name (O_EXCL).
    fn forbid_names(&self) {}

    /// A further name for `target`, which is of the same superblock (the caller gives EXDEV).
    fn link(&self, _name: &[u8], _target: &InodeRef) -> Result<(), Errno> {
        bail!(EPERM)
    }

    /// Removes a name that is not a directory's (EISDIR else).
    fn unlink(&self, _name: &[u8]) -> Result<(), Errno> {
        bail!(EPERM)
    }

    /// ENOTDIR, ENOTEMPTY.
    fn rmdir(&self, _name: &[u8]) -> Result<(), Errno> {
        bail!(EPERM)
    }

    /// Moves `name` to `new_name` in `new_dir` (same superblock). The file system checks what needs its lock: existence,
    /// kinds (EISDIR, ENOTDIR), ENOTEMPTY, a directory moved below itself (EINVAL).
    fn rename(
        &self,
        _name: &[u8],
        _new_dir: &InodeRef,
        _new_name: &[u8],
        _flags: RenameFlags,
    ) -> Result<(), Errno> {
        bail!(EPERM)
    }

    // --- everything --------------------------------------------------------------------------------------------------

    fn readlink(&self) -> Result<Vec<u8>, Errno> {
        bail!(EINVAL)
    }

    /// For links that name an object, not a path (`/proc/PID/fd/N`, `exe`, `cwd`, `root`): where they lead.
    fn follow_magic(&self) -> Option<Result<super::Path, Errno>> {
        None
    }

    fn setattr(&self, _set: &SetAttr) -> Result<(), Errno> {
        bail!(EPERM)
    }

    fn open(&self, _how: &OpenRequest) -> Result<Opened, Errno> {
        bail!(ENXIO)
    }

    /// Whole value. ENODATA when absent, EOPNOTSUPP where the file system has none.
    fn getxattr(&self, _name: &[u8]) -> Result<Vec<u8>, Errno> {
        bail!(EOPNOTSUPP)
    }

    fn setxattr(&self, _name: &[u8], _value: &[u8], _flags: XattrFlags) -> Result<(), Errno> {
        bail!(EOPNOTSUPP)
    }

    fn listxattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(Vec::new())
    }

    fn removexattr(&self, _name: &[u8]) -> Result<(), Errno> {
        bail!(EOPNOTSUPP)
    }

    /// A host descriptor open for reading, for the supervisor's own use (exec, archives); never handed to a guest.
    fn open_body(&self) -> Result<OwnedFd, Errno> {
        bail!(EACCES)
    }

    /// Where a bound unix socket lives on the host; `None` for everything else and for sockets nobody is bound to.
    fn socket_path(&self) -> Option<std::path::PathBuf> {
        None
    }

    /// Metadata and body durable (fsync(2) of a directory, where the supervisor does it).
    fn fsync(&self) -> Result<(), Errno> {
        Ok(())
    }
}

/// Whether two handles are the same file.
pub fn same_inode(a: &InodeRef, b: &InodeRef) -> bool {
    a.sb_id() == b.sb_id() && a.ino() == b.ino()
}
