//! Directories and single files of the host: bind mounts and named volumes.
//!
//! Everything is opened beneath the mounted directory, one name at a time, and a symlink is never followed here: it is read
//! and returned, and the walk resolves it in the guest's own tree. A handle holds an O_PATH descriptor of its file, so it
//! means the same file whatever is renamed on either side.
//!
//! Files belong to the user who runs the container, on the host; inside, that user is root. Owners, modes and device
//! numbers that the host cannot store are kept beside the file, see [`sidecar`].
//!
//! Directories whose descriptors guests hold are found again by number through the path at which they were last seen
//! (guests hold placeholders), all other files by their host path.

mod handle;
mod inode;
mod sidecar;
#[cfg(test)]
mod tests;

use crate::errno::{Errno, host};
use crate::fs::dev::Devices;
use crate::vfs::{HostName, Ino, InodeRef, Kind, SbId, StatFs, SuperBlock};
use crate::{bail, err};
use handle::Handle;
use inode::HostInode;
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

/// More directories than this are not remembered by number.
const KNOWN_MAX: usize = 1 << 16;

/// More sockets, FIFOs and directories of sockets than this are not kept open.
const KEPT_MAX: usize = 512;

/// A directory or file of the host, mounted.
#[derive(Debug)]
pub struct HostFs {
    me: Weak<HostFs>,
    id: SbId,
    root: Handle,
    owner: Owner,
    /// Where directories were last seen: paths beneath the root.
    known: Mutex<HashMap<Ino, Vec<u8>>>,
    sidecar: sidecar::Sidecar,
    /// What is named by path outside of this module, see [`HostFs::keep`].
    kept: Mutex<HashMap<(u64, u64), Handle>>,
    devices: OnceLock<Arc<Devices>>,
}

/// Who the supervisor is on the host, and so who root is inside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl HostFs {
    /// Mounts `path`, a directory or a file (a socket or device too). Symlinks in `path` are followed now, and never again.
    pub fn open(id: SbId, path: &Path) -> Result<Arc<HostFs>, Errno> {
        let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(host)?;
        let root = Handle::new(fd)?;
        let owner =
            Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        Ok(Arc::new_cyclic(|me| HostFs {
            me: me.clone(),
            id,
            root,
            owner,
            known: Mutex::new(HashMap::new()),
            sidecar: sidecar::Sidecar::default(),
            kept: Mutex::new(HashMap::new()),
            devices: OnceLock::new(),
        }))
    }

    /// What opening device nodes that guests made here means. Before this is set: ENXIO.
    pub fn set_devices(&self, devices: Arc<Devices>) {
        let _ = self.devices.set(devices);
    }

    /// A host path of exactly this file, for calls that know nothing but paths (bind, connect, an open that waits). The
    /// path that the host itself tells will not do: a guest may put a symlink into it in the meantime. So the descriptor
    /// stays, and its magic link is the path. ENFILE when there are too many.
    fn keep(&self, handle: &Handle) -> Result<String, Errno> {
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, h| h.stat().is_ok_and(|s| s.st_nlink > 0));
        }
        if kept.len() >= KEPT_MAX {
            bail!(ENFILE, "too many sockets and FIFOs on the host");
        }
        Ok(kept.entry((handle.dev, handle.ino)).or_insert_with(|| handle.clone()).proc_path())
    }

    fn arc(&self) -> Result<Arc<HostFs>, Errno> {
        self.me.upgrade().ok_or(err!(EIO))
    }

    /// A handle of a file at `rel` beneath the root (empty for the root itself).
    fn handle(&self, handle: Handle, rel: Vec<u8>) -> Result<InodeRef, Errno> {
        if handle.kind == Kind::Directory {
            let mut known = self.known.lock();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(handle.ino, rel.clone());
        }
        Ok(Arc::new(HostInode { fs: self.arc()?, handle, rel, bind_at: None }))
    }

    /// Walks a path of single names beneath the root.
    fn beneath(&self, rel: &[u8]) -> Result<Handle, Errno> {
        let mut at = self.root.clone();
        for name in rel.split(|&b| b == b'/').filter(|n| !n.is_empty()) {
            at = at.lookup(name)?;
        }
        Ok(at)
    }

    /// Where a file is beneath the root now, as the host tells it.
    fn rel_of(&self, handle: &Handle) -> Option<Vec<u8>> {
        let (root, path) = (self.root.host_path()?, handle.host_path()?);
        beneath_of(&root, &path)
    }

    /// The inode with this host path.
    pub fn inode_from_host_path(&self, path: &[u8]) -> Option<InodeRef> {
        let rel = beneath_of(&self.root.host_path()?, path)?;
        let handle = self.beneath(&rel).ok()?;
        self.handle(handle, rel).ok()
    }
}

/// The rest of `path` below `root`, without leading slash; empty when they are the same.
fn beneath_of(root: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    if root == b"/" {
        return path.strip_prefix(b"/").map(<[u8]>::to_vec);
    }
    match path.strip_prefix(root)? {
        [] => Some(Vec::new()),
        [b'/', rest @ ..] => Some(rest.to_vec()),
        _ => None,
    }
}

impl SuperBlock for HostFs {
    fn id(&self) -> SbId {
        self.id
    }

    fn fstype(&self) -> &'static str {
        // What the host's file system is would tell nothing that is true in here.
        "ext4"
    }

    fn source(&self) -> String {
        "/dev/root".into()
    }

    fn root(&self) -> InodeRef {
        match self.handle(self.root.clone(), Vec::new()) {
            Ok(root) => root,
            Err(_) => unreachable!("&self is only ever reached through an Arc"),
        }
    }

    fn inode(&self, ino: Ino) -> Option<InodeRef> {
        if ino == self.root.ino {
            return Some(self.root());
        }
        let rel = self.known.lock().get(&ino).cloned()?;
        let handle = self.beneath(&rel).ok()?;
        if handle.ino != ino {
            return None;
        }
        self.handle(handle, rel).ok()
    }

    fn inode_of_host(&self, name: &HostName<'_>) -> Option<InodeRef> {
        match name {
            HostName::Path(path) => self.inode_from_host_path(path),
            _ => None,
        }
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        let s = rustix::fs::fstatfs(&*self.root.fd).map_err(host)?;
        Ok(StatFs {
            ftype: s.f_type,
            bsize: u64::try_from(s.f_bsize).unwrap_or(4096),
            blocks: s.f_blocks,
            bfree: s.f_bfree,
            bavail: s.f_bavail,
            files: s.f_files,
            ffree: s.f_ffree,
            namelen: 255,
        })
    }

    fn is_volatile(&self) -> bool {
        true
    }

    fn sync(&self) -> Result<(), Errno> {
        let fd: OwnedFd = self.root.reopen(OFlags::RDONLY)?;
        rustix::fs::syncfs(fd).map_err(host)
    }
}

/// For names that came from a guest: a single component, checked once more where it meets the host.
pub(crate) fn single(name: &[u8]) -> Result<&[u8], Errno> {
    match name {
        b"" | b"." | b".." => bail!(EINVAL),
        n if n.contains(&b'/') || n.contains(&0) => bail!(EINVAL),
        n if n.len() > super::NAME_MAX => bail!(ENAMETOOLONG),
        n => Ok(n),
    }
}
