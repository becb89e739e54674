//! Where a tree keeps bytes: bodies of regular files, real FIFOs, and perhaps a journal.

use super::lower::ImageBody;
use super::record::Sink;
use crate::bail;
use crate::errno::Errno;
use crate::vfs::{HostName, Ino, StatFs, Timespec};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What the host says of a body.
#[derive(Debug, Clone, Copy, Default)]
pub struct BodyStat {
    pub size: u64,
    /// In units of 512 bytes.
    pub blocks: u64,
    pub atime: Timespec,
    pub mtime: Timespec,
    pub ctime: Timespec,
}

impl From<rustix::fs::Stat> for BodyStat {
    fn from(s: rustix::fs::Stat) -> BodyStat {
        let time = |sec: i64, nsec: u64| Timespec { sec, nsec: u32::try_from(nsec).unwrap_or(0) };
        BodyStat {
            size: u64::try_from(s.st_size).unwrap_or(0),
            blocks: u64::try_from(s.st_blocks).unwrap_or(0),
            atime: time(s.st_atime, s.st_atime_nsec),
            mtime: time(s.st_mtime, s.st_mtime_nsec),
            ctime: time(s.st_ctime, s.st_ctime_nsec),
        }
    }
}

/// Host files by inode number. Called without the tree's lock, except [`sink`](Backing::sink).
pub trait Backing: Send + Sync + std::fmt::Debug + 'static {
    /// As /proc/mounts names it.
    fn fstype(&self) -> &'static str;
    /// First field of /proc/mounts.
    fn source(&self) -> String {
        self.fstype().to_owned()
    }
    /// Options for /proc/mounts.
    fn options(&self) -> String {
        String::new()
    }
    /// `inodes`: how many the tree has in memory.
    fn statfs(&self, inodes: u64) -> Result<StatFs, Errno>;

    /// Makes an empty body, in the place of whatever was there.
    fn create(&self, ino: Ino) -> Result<(), Errno>;
    /// Opens a body with open(2) flags.
    fn open(&self, ino: Ino, flags: i32) -> Result<OwnedFd, Errno>;
    fn stat(&self, ino: Ino) -> Result<BodyStat, Errno>;
    fn set_times(&self, ino: Ino, atime: Option<Timespec>, mtime: Option<Timespec>) -> Result<(), Errno>;
    fn truncate(&self, ino: Ino, size: u64) -> Result<(), Errno>;
    fn remove(&self, ino: Ino);
    /// Whether anybody but the supervisor has the body open or mapped. True when the host cannot tell.
    fn in_use(&self, ino: Ino) -> bool;
    /// A body of the image, for reading, with open(2) flags.
    fn open_image(&self, _body: ImageBody, _flags: i32) -> Result<OwnedFd, Errno> {
        bail!(EIO, "no image below")
    }

    /// Where the real FIFO of an inode is, made when it is not there.
    fn fifo(&self, ino: Ino) -> Result<PathBuf, Errno>;
    /// Where the host socket of an inode is, or will be.
    fn socket(&self, ino: Ino) -> PathBuf;
    /// Host file behind a name, as far as it is a body of this tree's own.
    fn inode_of_host(&self, _name: &HostName<'_>) -> Option<Ino> {
        None
    }

    /// Where changes of metadata are recorded.
    fn sink(&self) -> Option<&dyn Sink> {
        None
    }
    /// Makes all bodies durable.
    fn sync_bodies(&self) -> Result<(), Errno> {
        Ok(())
    }
}
