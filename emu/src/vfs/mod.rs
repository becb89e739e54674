//! The virtual file system, in Linux's words: superblock, inode, mount, path.
//!
//! Who holds whom: a [`Path`] (a task's cwd or root, a mount's mountpoint) holds its mount and its inode strongly. A
//! mount holds its root inode and its mountpoint. An inode holds its superblock. A superblock knows its live inodes
//! weakly or by number. Nothing here holds a task.
//!
//! What is *not* here: no page cache, no open-file table, no descriptors. An open file is a descriptor of the host's that
//! the guest itself holds; [`ids`] tells from the descriptor's host name which inode it is of. There are no dentries
//! either: a directory knows its parent, every other inode knows one of its names ([`Inode::alias`]), and that is what
//! `getcwd` and `/proc/self/fd` need.

pub mod anon;
pub mod caller;
pub mod ids;
pub mod inode;
pub mod mirror;
pub mod mount;
pub mod permission;
pub mod placeholder;
pub mod walk;

#[cfg(test)]
pub(crate) mod testing;

pub use inode::{
    Attr, CreateKind, DirEntry, HostName, Ino, Inode, InodeRef, Kind, OpenRequest, Opened, RenameFlags, SbId,
    SetAttr, SetTime, StatFs, SuperBlock, Timespec, XattrFlags, same_inode,
};
pub use mount::{Mount, MountFlags, MountNs, MountRef, Path};
pub use walk::{DPath, Last, Lookup, LookupFlags, Parent, d_path};
