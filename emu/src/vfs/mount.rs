//! Mounts and paths. Corresponds to Linux's `struct mount`, `struct mnt_namespace` and `struct path`.

use super::{InodeRef, SuperBlock};
use bitflags::bitflags;
use parking_lot::RwLock;
use std::sync::Arc;

bitflags! {
    /// Per-mount flags, MS_* values of mount(2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct MountFlags: u64 {
        const RDONLY = 1;
        const NOSUID = 2;
        const NODEV = 4;
        const NOEXEC = 8;
        const NOATIME = 1024;
        const NODIRATIME = 2048;
        const RELATIME = 1 << 21;
    }
}

pub type MountRef = Arc<Mount>;

/// A file system (or a subtree of one) attached somewhere.
#[derive(Debug)]
pub struct Mount {
    /// Number in mountinfo; unique for the container's life.
    pub id: u32,
    pub sb: Arc<dyn SuperBlock>,
    /// What appears at the mountpoint: the superblock's root, or below it for a bind mount.
    pub root: InodeRef,
    /// Where it is mounted; `None` for the namespace's root.
    pub mountpoint: Option<Path>,
    pub flags: RwLock<MountFlags>,
    /// First field of /proc/mounts.
    pub source: String,
}

/// A place in the tree: an inode seen through a mount.
#[derive(Debug, Clone)]
pub struct Path {
    pub mnt: MountRef,
    pub inode: InodeRef,
}

/// The mounts that a container sees.
#[derive(Debug)]
pub struct MountNs {
    mounts: RwLock<Vec<MountRef>>,
}

impl MountNs {
    /// A namespace whose root is `sb`'s root.
    pub fn new(sb: Arc<dyn SuperBlock>, flags: MountFlags, source: String) -> MountNs {
        let root = sb.root();
        let mount = Mount { id: 1, sb, root, mountpoint: None, flags: RwLock::new(flags), source };
        MountNs { mounts: RwLock::new(vec![Arc::new(mount)]) }
    }

    /// All mounts, oldest first.
    pub fn mounts(&self) -> Vec<MountRef> {
        self.mounts.read().clone()
    }
}
