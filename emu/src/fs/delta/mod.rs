//! The root file system of a container: its image, and what it has changed.
//!
//! ```text
//! <container>/delta/journal    changes of names and attributes, see `journal`
//! <container>/delta/b/<ino>    bodies of regular files that were written to, and FIFOs; mode 0600
//! <store>/layers/<hex>/b/<n>   bodies of the image, never written
//! ```
//!
//! Everything but these bodies is in the memory of one process at a time, which holds a lock on `delta/`. What is killed at
//! any instant opens again with every operation that reached the journal: each that was made durable by fsync or sync, and
//! nearly all before. Bodies without a record are swept away at opening.

mod bodies;
mod changes;
mod journal;
#[cfg(test)]
mod tests;

pub use bodies::{DeltaBacking, ImageBodies};
pub(crate) use bodies::{socket_path, timestamps};
pub use changes::Difference;

use super::dev::Devices;
use super::tree::lower::{Lower, Nothing};
use super::tree::node::{Body, Data, ROOT, State};
use super::tree::{Tree, record};
use crate::bail;
use crate::errno::{Errno, host};
use crate::vfs::{Ino, SbId};
use carrack_images::Index;
use journal::Journal;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// A container's root file system.
pub type DeltaFs = Tree<DeltaBacking>;

/// How long to wait for another process to close a writable layer. In tests: longer than a child that another test has just
/// forked keeps its copy of the lock before it execs.
const LOCK_WAIT: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5000 });

/// How often what the journal has gathered is written.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

impl DeltaFs {
    /// Opens the writable layer in `dir` (`<container>/delta`, made when it is not there) over `index`, whose layers are in
    /// `store` (root of the image store). Sockets and placeholders are in `run_dir`.
    ///
    /// # Errors
    /// EBUSY when another process has it open, EUCLEAN when the journal is of another version, else the host's.
    pub fn open(
        id: SbId,
        index: Option<Arc<Index>>,
        store: &Path,
        dir: &Path,
        run_dir: &Path,
        devices: Arc<Devices>,
    ) -> Result<Arc<DeltaFs>, Errno> {
        let layers = index.iter().flat_map(|i| i.layers());
        let layer_dirs = layers.map(|hex| store.join("layers").join(hex).join("b")).collect();
        let lower: Box<dyn Lower> = match index {
            Some(index) => Box::new(index),
            None => Box::new(Nothing),
        };
        DeltaFs::open_with(id, lower, &ImageBodies { layer_dirs }, dir, run_dir, devices)
    }

    pub(crate) fn open_with(
        id: SbId,
        lower: Box<dyn Lower>,
        image: &ImageBodies,
        dir: &Path,
        run_dir: &Path,
        devices: Arc<Devices>,
    ) -> Result<Arc<DeltaFs>, Errno> {
        let (path, bodies) = bodies::body_dir(dir)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = Arc::new(rustix::fs::open(dir, flags, Mode::empty()).map_err(host)?);
        lock(&dir)?;
        let mut state = State::default();
        let journal =
            Journal::open(dir, &mut |payload| record::apply(&mut state, &*lower, payload).is_some())?;
        settle(&mut state, &*lower, &bodies)?;
        let backing = DeltaBacking::new(id, path, bodies, run_dir, image, journal)?;
        let tree = Tree::with_state(id, lower, backing, devices, state, 0o755);
        tree.compact()?;
        spawn_flusher(Arc::downgrade(&tree));
        Ok(tree)
    }

    /// Host path of the directory of own bodies, as `/proc/PID/fd` tells it.
    pub fn body_dir(&self) -> &Path {
        self.backing.path()
    }

    /// Writes what the journal has gathered, without waiting for the disk.
    pub fn flush(&self) -> Result<(), Errno> {
        self.backing.journal().flush()
    }
}

/// Makes the writable layer ours. Who served its files while the container did not run may need a moment to leave.
fn lock(dir: &OwnedFd) -> Result<(), Errno> {
    let start = Instant::now();
    loop {
        match rustix::fs::flock(dir, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                bail!(EBUSY, "another process has the container's files open")
            }
            // NFS without a lock daemon cannot lock; better to go on than not to start there.
            _ => return Ok(()),
        }
    }
}

/// Brings what the journal said and what is on disk together after an end without warning.
fn settle(state: &mut State, lower: &dyn Lower, bodies: &OwnedFd) -> Result<(), Errno> {
    // Nobody has anything open any more.
    for ino in std::mem::take(&mut state.orphans) {
        if ino != ROOT && state.nodes.remove(&ino).is_some() && ino <= lower.max_ino() {
            state.dead.insert(ino);
        }
    }
    let mut present: HashMap<Ino, FileType> = HashMap::new();
    for entry in rustix::fs::Dir::read_from(bodies).map_err(host)? {
        let entry = entry.map_err(host)?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let ino = std::str::from_utf8(name).ok().and_then(|s| s.parse::<Ino>().ok());
        let wanted = ino.and_then(|ino| state.nodes.get(&ino)).is_some_and(|n| {
            matches!(n.data, Data::Regular(Body::Own)) || n.meta.mode & libc::S_IFMT == libc::S_IFIFO
        });
        match ino {
            Some(ino) if wanted => {
                present.insert(ino, entry.file_type());
            }
            _ => {
                let _ = rustix::fs::unlinkat(bodies, entry.file_name(), AtFlags::empty());
            }
        }
    }
    for (ino, node) in &mut state.nodes {
        if let Data::Regular(body) = &mut node.data
            && *body == Body::Own
            && !present.contains_key(ino)
        {
            tracing::error!(ino, "a body is missing; its file is as in the image, or empty");
            *body =
                lower.inode(*ino).and_then(|i| i.body.map(|b| Body::Image(b, i.size))).unwrap_or(Body::Empty);
        }
    }
    Ok(())
}

/// The thread that writes the journal and forgets orphans now and then; it ends with the file system.
fn spawn_flusher(tree: Weak<DeltaFs>) {
    let work = move || {
        loop {
            std::thread::sleep(FLUSH_EVERY);
            let Some(tree) = tree.upgrade() else { return };
            if let Err(e) = tree.flush().and_then(|()| tree.compact()) {
                tracing::error!(error = ?e, "journal cannot be written now");
            }
            tree.sweep();
        }
    };
    if let Err(e) = std::thread::Builder::new().name("journal".into()).spawn(work) {
        tracing::warn!(error = %e, "no thread for the journal: it is written when it is asked for");
    }
}
