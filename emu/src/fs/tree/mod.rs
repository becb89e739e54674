//! A file system whose names and attributes live in memory: over an image, or by itself.
//!
//! A [`Tree`] is three things. Below is a [`Lower`], the image's index, which never changes and is asked without any host
//! call. Above it are the *nodes* of those inodes alone that differ from it ([`node`]). Beside it is a [`Backing`] for what
//! has to be the host's: the bytes of regular files, real FIFOs, and a journal where there is one.
//!
//! An inode's number is its identity: image inodes keep the image's, whatever happens to them, and new ones are larger.
//! That is why there is no "opaque directory": a directory that is removed and made again has a new number, so nothing of
//! the image shines through it. Copy-up moves bytes and changes no number.
//!
//! # Locking
//! One lock for all names and attributes ([`State`]); the sink (journal) is written under it, so records are in order. No
//! call that may take long is made under it: bodies are copied under a lock of their inode alone, which comes before it.
//!
//! # Files without a name
//! A node whose last name is removed stays, as an *orphan*, for descriptors that are open on it; [`Tree::sweep`] forgets
//! those that nobody can have open.

mod attr;
pub mod backing;
mod inode;
mod lease;
pub mod lower;
#[cfg(test)]
mod model;
mod names;
pub(crate) mod node;
mod open;
mod orphan;
pub mod record;
mod rename;
#[cfg(test)]
mod tests;
mod xattr;

pub use backing::{Backing, BodyStat};
pub use inode::TreeInode;
pub(crate) use lease::is_open_elsewhere;
pub use lower::{ImageBody, Lower, LowerInode};

use crate::brand::Marks;
use crate::errno::Errno;
use crate::fs::dev::Devices;
use crate::vfs::{HostName, Ino, InodeRef, Kind, SbId, StatFs, SuperBlock};
use node::{Node, ROOT, State};
use parking_lot::{Mutex, RwLock};
use record::Touched;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// See the module.
#[derive(Debug)]
pub struct Tree<B: Backing> {
    me: Weak<Tree<B>>,
    id: SbId,
    lower: Box<dyn Lower>,
    pub(crate) backing: B,
    devices: Arc<Devices>,
    state: RwLock<State>,
    /// Held while an inode's body is made or copied.
    copying: Mutex<HashMap<Ino, Arc<Mutex<()>>>>,
    /// Bodies made since bodies were last known durable: they go to disk before the records that name them.
    unsynced: Mutex<Vec<Ino>>,
    /// Number of orphans at which they are looked through.
    sweep_at: AtomicUsize,
    /// Whether a body was ever opened for writing: who has it open may write at any time.
    written: AtomicBool,
}

impl<B: Backing> Tree<B> {
    /// A tree over `lower`. Where that has no root, an empty one is made with `root_mode` (permission bits).
    pub(crate) fn with_state(
        id: SbId,
        lower: Box<dyn Lower>,
        backing: B,
        devices: Arc<Devices>,
        mut state: State,
        root_mode: u32,
    ) -> Arc<Tree<B>> {
        if lower.inode(ROOT).is_none() && !state.nodes.contains_key(&ROOT) {
            let data = node::Data::Directory(node::Dir::default());
            state.nodes.insert(ROOT, Node::new(libc::S_IFDIR | root_mode, 0, 0, 0, data, crate::fs::now()));
        }
        Arc::new_cyclic(|me| Tree {
            me: me.clone(),
            id,
            lower,
            backing,
            devices,
            state: RwLock::new(state),
            copying: Mutex::new(HashMap::new()),
            unsynced: Mutex::new(Vec::new()),
            sweep_at: AtomicUsize::new(orphan::SWEEP_MIN),
            written: AtomicBool::new(false),
        })
    }

    /// For walks over everything; the lock is held as long as the first part lives.
    pub(crate) fn view(&self) -> (parking_lot::RwLockReadGuard<'_, State>, &dyn Lower) {
        (self.state.read(), self.lower())
    }

    /// The image's index, where there is an image.
    pub(crate) fn image(&self) -> Option<Arc<carrack_images::Index>> {
        self.lower.image()
    }

    /// From now on `marks` tell what is not as in the image.
    pub(crate) fn publish(&self, marks: &Arc<Marks>) {
        self.state.write().publish(self.lower(), marks);
    }

    /// What device numbers mean here.
    pub(crate) fn devices(&self) -> &Arc<Devices> {
        &self.devices
    }

    fn lower(&self) -> &dyn Lower {
        &*self.lower
    }

    /// This tree, for handles. It is alive as long as somebody calls it through an `Arc`, which everybody does.
    fn arc(&self) -> Option<Arc<Tree<B>>> {
        self.me.upgrade()
    }

    /// A handle; the state is locked by the caller.
    fn handle(&self, state: &State, ino: Ino) -> Result<InodeRef, Errno> {
        let kind = state.kind(self.lower(), ino)?;
        let pin = state.nodes.get(&ino).map(|n| n.pin.clone());
        let tree = self.arc().ok_or(crate::err!(EIO))?;
        Ok(Arc::new(TreeInode { tree, ino, kind, _pin: pin }))
    }

    /// Records what an operation has done.
    fn commit(&self, state: &State, touched: &Touched) -> Result<(), Errno> {
        match self.backing.sink() {
            Some(sink) => sink.append(&touched.encode(state)),
            None => Ok(()),
        }
    }

    /// Makes the journal small where that pays.
    pub(crate) fn compact(&self) -> Result<(), Errno> {
        let Some(sink) = self.backing.sink() else { return Ok(()) };
        let state = self.state.read();
        if sink.wants_snapshot(state.nodes.len()) {
            sink.snapshot(&mut record::snapshot(&state, self.lower()))?;
        }
        Ok(())
    }

    /// The same, whether it pays or not.
    #[cfg(test)]
    pub(crate) fn snapshot_now(&self) {
        let state = self.state.read();
        let sink = self.backing.sink().expect("a journal");
        sink.snapshot(&mut record::snapshot(&state, self.lower())).expect("a snapshot");
    }

    fn read_link(&self, ino: Ino) -> Result<Vec<u8>, Errno> {
        let state = self.state.read();
        match state.nodes.get(&ino).map(|n| &n.data) {
            Some(node::Data::Symlink(target)) => Ok(target.clone()),
            Some(_) => crate::bail!(EINVAL),
            None => self.lower.symlink(ino).ok_or(crate::err!(EINVAL)),
        }
    }

    /// fsync(2) of one inode: its body, then the records.
    fn sync_inode(&self, ino: Ino) -> Result<(), Errno> {
        let own = self.known(ino)?.1;
        if own && self.backing.sink().is_some() {
            let fd = self.backing.open(ino, libc::O_RDONLY)?;
            rustix::fs::fsync(&fd).map_err(crate::errno::host)?;
        }
        self.sync_records()
    }

    /// The journal on disk, and before it every body that it names.
    pub(crate) fn sync_records(&self) -> Result<(), Errno> {
        let Some(sink) = self.backing.sink() else { return Ok(()) };
        let made = std::mem::take(&mut *self.unsynced.lock());
        for ino in made {
            if let Ok(fd) = self.backing.open(ino, libc::O_RDONLY) {
                rustix::fs::fsync(&fd).map_err(crate::errno::host)?;
            }
        }
        sink.sync()
    }
}

impl<B: Backing> SuperBlock for Tree<B> {
    fn id(&self) -> SbId {
        self.id
    }

    fn fstype(&self) -> &'static str {
        self.backing.fstype()
    }

    fn source(&self) -> String {
        self.backing.source()
    }

    fn reclaim(&self) {
        self.sweep_if_due();
    }

    fn options(&self) -> String {
        self.backing.options()
    }

    fn root(&self) -> InodeRef {
        let state = self.state.read();
        let pin = state.nodes.get(&ROOT).map(|n| n.pin.clone());
        #[expect(clippy::expect_used, reason = "&self is only ever reached through an Arc")]
        let tree = self.arc().expect("a tree is made inside of an Arc");
        Arc::new(TreeInode { tree, ino: ROOT, kind: Kind::Directory, _pin: pin })
    }

    fn inode(&self, ino: Ino) -> Option<InodeRef> {
        let state = self.state.read();
        self.handle(&state, ino).ok()
    }

    fn inode_of_host(&self, name: &HostName<'_>) -> Option<InodeRef> {
        let ino = match name {
            HostName::ImageBody { layer, n } => self.lower.by_body(layer, *n)?,
            other => self.backing.inode_of_host(other)?,
        };
        self.inode(ino)
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        let inodes = self.state.read().nodes.len() as u64;
        self.backing.statfs(inodes)
    }

    fn sync(&self) -> Result<(), Errno> {
        if self.written.load(Ordering::Relaxed) {
            self.backing.sync_bodies()?;
        }
        self.sync_records()
    }
}
