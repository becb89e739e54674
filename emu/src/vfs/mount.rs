//! Mounts and paths. Corresponds to Linux's `struct mount`, `struct mnt_namespace` and `struct path`.
//!
//! At most one mount sits at one (parent mount, inode); a second one on the same place is mounted on the first one's
//! root, as on Linux. Mounts neither move nor propagate.

use super::{Ino, InodeRef, SbId, SuperBlock, same_inode};
use crate::brand::Marks;
use bitflags::bitflags;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

bitflags! {
    /// Per-mount flags, MS_* values of mount(2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct MountFlags: u64 {
        const RDONLY = 1;
        const NOSUID = 2;
        const NODEV = 4;
        const NOEXEC = 8;
        const NOSYMFOLLOW = 256;
        const NOATIME = 1024;
        const NODIRATIME = 2048;
        const RELATIME = 1 << 21;
    }
}

impl MountFlags {
    /// `f_flags` of statfs(2): ST_* values.
    pub fn statfs_bits(self) -> i64 {
        const ST_VALID: i64 = 0x20;
        const TABLE: [(MountFlags, i64); 8] = [
            (MountFlags::RDONLY, 1),
            (MountFlags::NOSUID, 2),
            (MountFlags::NODEV, 4),
            (MountFlags::NOEXEC, 8),
            (MountFlags::NOATIME, 1024),
            (MountFlags::NODIRATIME, 2048),
            (MountFlags::RELATIME, 4096),
            (MountFlags::NOSYMFOLLOW, 8192),
        ];
        TABLE.iter().filter(|(flag, _)| self.contains(*flag)).fold(ST_VALID, |bits, (_, st)| bits | st)
    }

    /// As /proc/mounts writes them, `ro` or `rw` first.
    pub fn options(self) -> String {
        const TABLE: [(MountFlags, &str); 7] = [
            (MountFlags::NOSUID, ",nosuid"),
            (MountFlags::NODEV, ",nodev"),
            (MountFlags::NOEXEC, ",noexec"),
            (MountFlags::NOATIME, ",noatime"),
            (MountFlags::NODIRATIME, ",nodiratime"),
            (MountFlags::RELATIME, ",relatime"),
            (MountFlags::NOSYMFOLLOW, ",nosymfollow"),
        ];
        let mut text = String::from(if self.contains(MountFlags::RDONLY) { "ro" } else { "rw" });
        for (flag, name) in TABLE {
            if self.contains(flag) {
                text.push_str(name);
            }
        }
        text
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
    /// It shows all of its superblock.
    whole: bool,
    attached: AtomicBool,
}

impl Mount {
    pub(super) fn new(
        id: u32,
        sb: Arc<dyn SuperBlock>,
        root: InodeRef,
        mountpoint: Option<Path>,
        flags: MountFlags,
        source: String,
    ) -> MountRef {
        let whole = same_inode(&root, &sb.root());
        let attached = AtomicBool::new(true);
        Arc::new(Mount { id, sb, root, mountpoint, flags: RwLock::new(flags), source, whole, attached })
    }

    pub fn flags(&self) -> MountFlags {
        *self.flags.read()
    }

    /// Whether writing through this mount gives EROFS.
    pub fn is_read_only(&self) -> bool {
        self.flags().contains(MountFlags::RDONLY)
    }

    pub(super) fn set_detached(&self) {
        self.attached.store(false, Ordering::Relaxed);
    }

    /// Whether it is still part of the tree (it was not unmounted).
    pub fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Relaxed)
    }
}

/// A place in the tree: an inode seen through a mount.
#[derive(Debug, Clone)]
pub struct Path {
    pub mnt: MountRef,
    pub inode: InodeRef,
}

impl Path {
    /// The top of a mount.
    pub fn root_of(mnt: &MountRef) -> Path {
        Path { mnt: mnt.clone(), inode: mnt.root.clone() }
    }

    /// path_equal(): same inode through the same mount.
    pub fn same(&self, other: &Path) -> bool {
        Arc::ptr_eq(&self.mnt, &other.mnt) && same_inode(&self.inode, &other.inode)
    }

    /// Whether this is the top of its mount.
    pub fn is_mount_root(&self) -> bool {
        same_inode(&self.inode, &self.mnt.root)
    }
}

#[derive(Debug, Default)]
struct Table {
    /// Oldest first.
    list: Vec<MountRef>,
    /// What is mounted on (number of the parent mount, inode of its superblock).
    on: HashMap<(u32, Ino), MountRef>,
}

/// The mounts that a container sees.
#[derive(Debug)]
pub struct MountNs {
    table: RwLock<Table>,
    root: MountRef,
    /// A bit for each `hint` of a place in `Table::on`: most look-ups end here without a lock.
    hints: AtomicU64,
    next_id: AtomicU32,
    /// Where guests see what is mounted upon in the root's file system.
    marks: OnceLock<Arc<Marks>>,
}

fn hint(mnt: u32, ino: Ino) -> u64 {
    1 << ((ino ^ ino >> 6 ^ u64::from(mnt).wrapping_mul(7)) & 63)
}

impl MountNs {
    /// A namespace whose root is `sb`'s root.
    pub fn new(sb: Arc<dyn SuperBlock>, flags: MountFlags, source: String) -> MountNs {
        let root = sb.root();
        let root = Mount::new(1, sb, root, None, flags, source);
        MountNs {
            table: RwLock::new(Table { list: vec![root.clone()], on: HashMap::new() }),
            root,
            hints: AtomicU64::new(0),
            next_id: AtomicU32::new(2),
            marks: OnceLock::new(),
        }
    }

    /// From now on `marks` tell of mountpoints. Marks stay when mounts go.
    pub(crate) fn publish(&self, marks: &Arc<Marks>) {
        let _ = self.marks.set(marks.clone());
        let table = self.table.read();
        for (_, ino) in table.on.keys().filter(|(parent, _)| *parent == self.root.id) {
            marks.bar(*ino);
        }
    }

    /// The top of everything.
    pub fn root(&self) -> Path {
        Path::root_of(&self.root)
    }

    /// All mounts, oldest first.
    pub fn mounts(&self) -> Vec<MountRef> {
        self.table.read().list.clone()
    }

    /// lookup_mnt(): what is mounted on this place, if anything.
    pub fn mounted_on(&self, mnt: &MountRef, inode: &InodeRef) -> Option<MountRef> {
        let ino = inode.ino();
        if self.hints.load(Ordering::Acquire) & hint(mnt.id, ino) == 0 {
            return None;
        }
        self.table.read().on.get(&(mnt.id, ino)).cloned()
    }

    /// The topmost mount's root above this place, or the place itself.
    pub fn topmost(&self, mut path: Path) -> Path {
        while let Some(mnt) = self.mounted_on(&path.mnt, &path.inode) {
            path = Path::root_of(&mnt);
        }
        path
    }

    /// Mounts `root` (a file or directory of `sb`) at `at`, on top of what is there.
    pub fn attach(
        &self,
        sb: Arc<dyn SuperBlock>,
        root: InodeRef,
        at: Path,
        flags: MountFlags,
        source: String,
    ) -> MountRef {
        let mut table = self.table.write();
        let mut at = at;
        while let Some(mnt) = table.on.get(&(at.mnt.id, at.inode.ino())) {
            at = Path::root_of(mnt);
        }
        let key = (at.mnt.id, at.inode.ino());
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mnt = Mount::new(id, sb, root, Some(at), flags, source);
        if let Some(marks) = self.marks.get().filter(|_| key.0 == self.root.id) {
            marks.bar(key.1);
        }
        table.list.push(mnt.clone());
        table.on.insert(key, mnt.clone());
        self.hints.fetch_or(hint(key.0, key.1), Ordering::Release);
        mnt
    }

    /// Whether anything is mounted below (or on the top of) `mnt`.
    pub fn has_children(&self, mnt: &MountRef) -> bool {
        self.table.read().on.keys().any(|(parent, _)| *parent == mnt.id)
    }

    /// Takes a mount and all below it out of the tree. Whoever stands in there stays there. The root stays.
    pub fn detach(&self, mnt: &MountRef) {
        let mut table = self.table.write();
        let mut gone = vec![mnt.id];
        let mut at = 0;
        while let Some(&id) = gone.get(at) {
            at += 1;
            gone.extend(table.on.iter().filter(|((parent, _), _)| *parent == id).map(|(_, m)| m.id));
        }
        let is_gone = |m: &MountRef| m.mountpoint.is_some() && gone.contains(&m.id);
        for m in table.list.iter().filter(|m| is_gone(m)) {
            m.set_detached();
        }
        table.list.retain(|m| !is_gone(m));
        table.on.retain(|_, m| !is_gone(m));
        let hints = table.on.keys().fold(0, |bits, (m, i)| bits | hint(*m, *i));
        self.hints.store(hints, Ordering::Release);
    }

    /// Whether something is mounted on this inode, through whatever mount: such a name cannot be removed (EBUSY).
    pub fn is_mountpoint(&self, inode: &InodeRef) -> bool {
        let table = self.table.read();
        table.on.values().filter_map(|m| m.mountpoint.as_ref()).any(|p| same_inode(&p.inode, inode))
    }

    /// The mount through which to see an inode of which only the superblock is known: the one that shows all of it
    /// where there is one, else one whose top is above the inode.
    pub fn mount_of(&self, sb: SbId, inode: &InodeRef) -> Option<MountRef> {
        if self.root.whole && self.root.sb.id() == sb {
            return Some(self.root.clone());
        }
        let candidates: Vec<MountRef> = {
            let table = self.table.read();
            let mut of_sb = table.list.iter().filter(|m| m.sb.id() == sb);
            let first = of_sb.next()?;
            let rest: Vec<_> = of_sb.cloned().collect();
            if rest.is_empty() {
                return Some(first.clone());
            }
            std::iter::once(first.clone()).chain(rest).collect()
        };
        if let Some(whole) = candidates.iter().find(|m| m.whole) {
            return Some(whole.clone());
        }
        candidates.iter().find(|m| is_below(inode, &m.root)).or(candidates.first()).cloned()
    }
}

/// Whether `inode` is `top` or below it, inside one superblock.
pub fn is_below(inode: &InodeRef, top: &InodeRef) -> bool {
    let mut at = inode.clone();
    loop {
        if same_inode(&at, top) {
            return true;
        }
        let up = match at.parent() {
            Some(up) => Some(up),
            None => at.alias().map(|(dir, _)| dir),
        };
        match up {
            Some(up) if !same_inode(&up, &at) => at = up,
            _ => return false,
        }
    }
}
