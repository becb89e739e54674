//! Body files: written once, identical ones stored once.
//!
//! A body that is new is written as `b/<n>` of its layer and linked into `objects/` only after its data is on
//! the disk ([`Bodies::publish`]): what `objects/` has can always be trusted, whatever the power does. Until
//! then a map in memory finds equal bodies of the same import. Where the host has no hard links (or an inode
//! has no more to give) each body is a file of its own.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::record::ObjectName;
use crate::error::{Context, Error};
use crate::tar::{Entry, Reader};

/// Bodies up to this size are read whole, so that an identical one need not be written at all.
const SMALL: u64 = 1 << 20;
/// Unit in which big bodies are copied; runs of zeros as long become holes.
const CHUNK: usize = 128 << 10;
/// New bodies that may wait for [`Bodies::publish`]; bounds the memory of an ingest (about 150 bytes each).
const WAITING_MAX: usize = 20_000;

/// The bodies of one ingest, which may have several layers that are unpacked at once.
///
/// To be dropped after the layers' directories are in their places or deleted: it then forgets objects that
/// were published early and turned out to be nobody's.
#[derive(Debug)]
pub(crate) struct Bodies {
    objects: PathBuf,
    objects_fd: OwnedFd,
    shared: Mutex<Shared>,
    no_links: AtomicBool,
    /// Some bodies had to be published before it was known whether their layer stays.
    early: AtomicBool,
}

#[derive(Debug, Default)]
struct Shared {
    /// The `b` directories of the layers.
    layers: Vec<Arc<Path>>,
    /// Where a body of this ingest is: (layer, ordinal).
    seen: HashMap<ObjectName, (usize, u64)>,
    /// New bodies that are not in `objects/` yet.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    layer: usize,
    n: u64,
    name: ObjectName,
    /// The object that is there is damaged or has no links left.
    replace: bool,
}

/// The bodies of one layer of an ingest.
#[derive(Debug)]
pub(crate) struct LayerBodies<'a> {
    all: &'a Bodies,
    number: usize,
    path: Arc<Path>,
    dir: OwnedFd,
    buf: Vec<u8>,
}

impl Bodies {
    pub(crate) fn new(objects: &Path) -> Result<Bodies, Error> {
        Ok(Bodies {
            objects: objects.to_owned(),
            objects_fd: open_dir(objects)?,
            shared: Mutex::default(),
            no_links: AtomicBool::new(false),
            early: AtomicBool::new(false),
        })
    }

    /// A layer in `dir`, which gets its `b` directory.
    pub(crate) fn layer(&self, dir: &Path) -> Result<LayerBodies<'_>, Error> {
        let path: Arc<Path> = dir.join("b").into();
        std::fs::create_dir(&path).context("creating", &path)?;
        let dir = open_dir(&path)?;
        let mut shared = self.shared.lock();
        shared.layers.push(path.clone());
        Ok(LayerBodies { all: self, number: shared.layers.len() - 1, path, dir, buf: Vec::new() })
    }

    /// Makes all data of this ingest durable, and lets later ones find the bodies of the layers that stay.
    pub(crate) fn publish(&self, stays: impl Fn(usize) -> bool) -> Result<(), Error> {
        let (waiting, layers) = {
            let mut shared = self.shared.lock();
            (std::mem::take(&mut shared.waiting), shared.layers.clone())
        };
        rustix::fs::syncfs(&self.objects_fd).context("syncing", &self.objects)?;
        let mut open: Option<(usize, OwnedFd)> = None;
        for body in &waiting {
            if self.no_links.load(Relaxed) || !stays(body.layer) {
                continue;
            }
            let dir = match open {
                Some((layer, ref dir)) if layer == body.layer => dir,
                _ => match open_dir(&layers[body.layer]) {
                    Ok(dir) => &open.insert((body.layer, dir)).1,
                    // The layer was given up meanwhile.
                    Err(_) => continue,
                },
            };
            let (own, object) = (body.n.to_string(), body.name.path());
            let link = |to: &str| rustix::fs::linkat(dir, &own, &self.objects_fd, to, AtFlags::empty());
            let result = if body.replace {
                // Over the old one in one step; a name that is no object's.
                let aside = format!("{object}.new-{:016x}", rand::random::<u64>());
                link(&aside)
                    .and_then(|()| rustix::fs::renameat(&self.objects_fd, &aside, &self.objects_fd, &object))
            } else {
                link(&object)
            };
            match result {
                // Another ingest may have been first; ENOENT: the layer was given up meanwhile.
                Ok(()) | Err(Errno::EXIST | Errno::MLINK | Errno::NOENT) => {}
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::XDEV | Errno::ACCESS) => {
                    self.no_links.store(true, Relaxed);
                }
                Err(e) => return Err(Error::io("linking", &self.objects.join(object), e)),
            }
        }
        // From here on `objects/` knows them.
        let mut shared = self.shared.lock();
        for body in &waiting {
            if shared.seen.get(&body.name) == Some(&(body.layer, body.n)) {
                shared.seen.remove(&body.name);
            }
        }
        if shared.seen.is_empty() {
            shared.seen.shrink_to_fit();
        }
        Ok(())
    }
}

impl Drop for Bodies {
    fn drop(&mut self) {
        if self.early.load(Relaxed) {
            forget_all_unused(&self.objects, &self.objects_fd);
        }
    }
}

impl LayerBodies<'_> {
    /// The layer's number, by which [`Bodies::publish`] knows it.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Stores the data of a regular file as body `n`.
    pub(crate) fn add<R: Read>(
        &mut self,
        n: u64,
        entry: &Entry,
        tar: &mut Reader<R>,
    ) -> Result<ObjectName, Error> {
        if self.all.shared.lock().waiting.len() >= WAITING_MAX {
            self.all.early.store(true, Relaxed);
            self.all.publish(|_| true)?;
        }
        match &entry.sparse {
            Some(_) => self.add_sparse(n, entry, tar),
            None if entry.size <= SMALL => self.add_small(n, entry.size, tar),
            None => self.add_big(n, entry.size, tar),
        }
    }

    fn add_small<R: Read>(&mut self, n: u64, size: u64, tar: &mut Reader<R>) -> Result<ObjectName, Error> {
        let mut data = std::mem::take(&mut self.buf);
        data.resize(size as usize, 0);
        let mut filled = 0;
        while filled < data.len() {
            filled += tar.read_data(&mut data[filled..])?;
        }
        let name = ObjectName { sha256: Sha256::digest(&data).into(), sparse: false };
        let replace = match self.link_known(n, &name, size)? {
            Known::Linked => {
                self.buf = data;
                return Ok(name);
            }
            Known::No { replace } => replace,
        };
        let mut file = self.create(n)?;
        file.write_all(&data).map_err(|e| self.failed(n, e))?;
        self.buf = data;
        self.is_new(n, name, replace);
        Ok(name)
    }

    fn add_big<R: Read>(&mut self, n: u64, size: u64, tar: &mut Reader<R>) -> Result<ObjectName, Error> {
        let mut data = std::mem::take(&mut self.buf);
        data.resize(CHUNK, 0);
        let file = self.create(n)?;
        let mut hasher = Sha256::new();
        let mut at = 0;
        while at < size {
            let len = CHUNK.min(usize::try_from(size - at).unwrap_or(CHUNK));
            let mut filled = 0;
            while filled < len {
                filled += tar.read_data(&mut data[filled..len])?;
            }
            hasher.update(&data[..len]);
            if !is_zero(&data[..len]) {
                file.write_all_at(&data[..len], at).map_err(|e| self.failed(n, e))?;
            }
            at += len as u64;
        }
        self.buf = data;
        file.set_len(size).map_err(|e| self.failed(n, e))?;
        let name = ObjectName { sha256: hasher.finalize().into(), sparse: false };
        self.settle(n, name, size)
    }

    /// A sparse file is named by its map and data, so that nobody has to hash a hole.
    fn add_sparse<R: Read>(
        &mut self,
        n: u64,
        entry: &Entry,
        tar: &mut Reader<R>,
    ) -> Result<ObjectName, Error> {
        let mut data = std::mem::take(&mut self.buf);
        data.resize(CHUNK, 0);
        let file = self.create(n)?;
        let mut hasher = Sha256::new();
        hasher.update(entry.size.to_le_bytes());
        for segment in entry.sparse.iter().flatten() {
            hasher.update(segment.offset.to_le_bytes());
            hasher.update(segment.len.to_le_bytes());
            let (mut at, end) = (segment.offset, segment.offset + segment.len);
            while at < end {
                let len = CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK));
                let len = tar.read_data(&mut data[..len])?;
                hasher.update(&data[..len]);
                file.write_all_at(&data[..len], at).map_err(|e| self.failed(n, e))?;
                at += len as u64;
            }
        }
        self.buf = data;
        file.set_len(entry.size).map_err(|e| self.failed(n, e))?;
        let name = ObjectName { sha256: hasher.finalize().into(), sparse: true };
        self.settle(n, name, entry.size)
    }

    /// Body `n` was written before its name was known: if its bytes are known, it becomes a link to them.
    fn settle(&mut self, n: u64, name: ObjectName, size: u64) -> Result<ObjectName, Error> {
        let dir = &self.dir;
        const ASIDE: &str = "written";
        let own = n.to_string();
        rustix::fs::renameat(dir, &own, dir, ASIDE).map_err(|e| self.failed(n, e))?;
        match self.link_known(n, &name, size)? {
            Known::Linked => {
                let dir = &self.dir;
                rustix::fs::unlinkat(dir, ASIDE, AtFlags::empty()).map_err(|e| self.failed(n, e))?;
            }
            Known::No { replace } => {
                let dir = &self.dir;
                rustix::fs::renameat(dir, ASIDE, dir, &own).map_err(|e| self.failed(n, e))?;
                self.is_new(n, name, replace);
            }
        }
        Ok(name)
    }

    /// Makes body `n` a link to a file that has these bytes, if there is one.
    fn link_known(&mut self, n: u64, name: &ObjectName, size: u64) -> Result<Known, Error> {
        if self.all.no_links.load(Relaxed) {
            return Ok(Known::No { replace: false });
        }
        let own = n.to_string();
        let dir = &self.dir;
        let seen = {
            let shared = self.all.shared.lock();
            shared.seen.get(name).map(|&(layer, other)| (shared.layers[layer].clone(), other))
        };
        if let Some((from, other)) = seen {
            match rustix::fs::linkat(CWD, from.join(other.to_string()), dir, &own, AtFlags::empty()) {
                Ok(()) => return Ok(Known::Linked),
                // The other layer was given up meanwhile.
                Err(Errno::NOENT) => {}
                Err(e) => return self.no_link(n, e),
            }
        }
        match rustix::fs::linkat(&self.all.objects_fd, name.path(), dir, &own, AtFlags::empty()) {
            Ok(()) => {
                let stat = rustix::fs::statat(dir, &own, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|e| self.failed(n, e))?;
                if u64::try_from(stat.st_size) == Ok(size) {
                    return Ok(Known::Linked);
                }
                tracing::warn!(object = name.path(), "a damaged object is replaced");
                rustix::fs::unlinkat(dir, &own, AtFlags::empty()).map_err(|e| self.failed(n, e))?;
                Ok(Known::No { replace: true })
            }
            Err(Errno::NOENT) => Ok(Known::No { replace: false }),
            Err(e) => self.no_link(n, e),
        }
    }

    fn no_link(&mut self, n: u64, error: Errno) -> Result<Known, Error> {
        match error {
            Errno::MLINK => Ok(Known::No { replace: true }),
            Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::XDEV | Errno::ACCESS => {
                self.all.no_links.store(true, Relaxed);
                Ok(Known::No { replace: false })
            }
            e => Err(self.failed(n, e)),
        }
    }

    fn is_new(&mut self, n: u64, name: ObjectName, replace: bool) {
        let mut shared = self.all.shared.lock();
        shared.seen.insert(name, (self.number, n));
        shared.waiting.push(Waiting { layer: self.number, n, name, replace });
    }

    fn create(&self, n: u64) -> Result<File, Error> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.dir, n.to_string(), flags, Mode::RUSR | Mode::WUSR);
        Ok(File::from(file.map_err(|e| self.failed(n, e))?))
    }

    fn failed(&self, n: u64, error: impl Into<io::Error>) -> Error {
        Error::io("writing", &self.path.join(n.to_string()), error)
    }
}

enum Known {
    Linked,
    No { replace: bool },
}

pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).context("opening", path)
}

/// Forgets an object that no layer has any more. Harmless beside an import that links it at this moment: the
/// import keeps its body, only a later one does not find it.
pub(crate) fn forget_if_unused(objects: impl AsFd, path: &str) {
    if let Ok(stat) = rustix::fs::statat(&objects, path, AtFlags::SYMLINK_NOFOLLOW)
        && stat.st_nlink <= 1
    {
        let _ = rustix::fs::unlinkat(&objects, path, AtFlags::empty());
    }
}

/// Looks at every object.
pub(crate) fn forget_all_unused(objects: &Path, fd: impl AsFd) {
    for dir in std::fs::read_dir(objects).into_iter().flatten().flatten() {
        for object in std::fs::read_dir(dir.path()).into_iter().flatten().flatten() {
            if let (Some(dir), Some(name)) = (dir.file_name().to_str(), object.file_name().to_str()) {
                forget_if_unused(&fd, &format!("{dir}/{name}"));
            }
        }
    }
}

fn is_zero(data: &[u8]) -> bool {
    let (head, words, tail) = bytemuck::pod_align_to::<u8, u64>(data);
    head.iter().all(|&b| b == 0) && words.iter().all(|&w| w == 0) && tail.iter().all(|&b| b == 0)
}
