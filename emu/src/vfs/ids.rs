//! Host identity ↔ inode: what a guest's descriptor is of.
//!
//! A descriptor's host name (`/proc/TID/fd/N`) was made by us and says which superblock and inode it is of; guests cannot
//! make such names. memfds are told by their device and inode number instead, because a guest chooses a memfd's name.

use super::Path;
use crate::errno::Errno;
use crate::kernel::Kernel;

/// What a descriptor is of.
#[derive(Debug, Clone)]
pub enum OpenFile {
    /// An inode of the guest's file systems, seen through a mount.
    Vfs(Path),
    /// A pipe, socket, eventfd, memfd of the guest's own …: `name` is the host's text (`pipe:[123]`).
    Anonymous { name: Vec<u8> },
}

/// The registry of everything that can be behind a descriptor.
#[derive(Debug, Default)]
pub struct Ids {}

impl Ids {
    /// See [`OpenFile`]; EBADF when the guest has no such descriptor.
    pub fn open_file(&self, _kernel: &Kernel, tid: i32, fd: i32) -> Result<OpenFile, Errno> {
        let name = crate::platform::fds::host_name(tid, fd)?;
        Ok(OpenFile::Anonymous { name })
    }
}
