//! A tree that came as a tar stream: a build context, an archive that ADD unpacks, a file that was fetched.
//!
//! Names and attributes are in memory. All bytes are in one host file without a name, so that a context of many small files
//! costs one file, and nothing stays behind whoever is killed when.

use super::tree::{Meta, Node, Tree, show};
use crate::engine::error::{Error, Result};
use carrack_images::FileKind;
use carrack_images::build::ignore::Ignore;
use carrack_images::tar::path::normalise;
use carrack_images::tar::{Entry, Kind, Reader};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Most entries of one stream.
const ENTRIES_MAX: usize = 4 << 20;
/// Largest file with holes; reading it means writing out zeros.
const SPARSE_MAX: u64 = 64 << 30;
/// Bytes of the host's disk that are left to others.
const RESERVE: u64 = 128 << 20;
/// How often the space is looked at, in bytes.
const CHECK_EVERY: u64 = 64 << 20;

#[derive(Debug)]
struct Inode {
    meta: Meta,
    /// Where in the pack.
    offset: u64,
    digest: [u8; 32],
    children: BTreeMap<Vec<u8>, Node>,
}

/// A tree in memory, its bytes in a nameless file.
#[derive(Debug)]
pub(super) struct Context {
    nodes: Vec<Inode>,
    pack: Arc<File>,
}

/// A context that is being filled.
#[derive(Debug)]
pub(super) struct Builder {
    context: Context,
    len: u64,
    checked: u64,
}

fn bad(path: &[u8], what: &str) -> Error {
    Error::invalid(format!("{}: {what}", show(path)))
}

/// A directory that nobody spoke of.
pub(super) fn directory(mode: u32) -> Meta {
    Meta {
        kind: FileKind::Directory,
        mode,
        uid: 0,
        gid: 0,
        mtime: 0,
        size: 0,
        rdev: 0,
        link: Vec::new(),
        xattrs: Vec::new(),
        is_implied: true,
    }
}

impl Builder {
    /// An empty tree; its bytes will be on the file system of `dir`.
    pub(super) fn new(dir: &Path) -> Result<Builder> {
        let pack = tempfile::tempfile_in(dir)
            .map_err(|e| Error::internal(format!("cannot make a file in {}: {e}", dir.display())))?;
        let root = Inode { meta: directory(0o755), offset: 0, digest: [0; 32], children: BTreeMap::new() };
        let context = Context { nodes: vec![root], pack: Arc::new(pack) };
        Ok(Builder { context, len: 0, checked: 0 })
    }

    /// Adds everything of a tar stream.
    pub(super) fn read<R: Read>(&mut self, tar: &mut Reader<R>) -> Result<()> {
        let broken = |e: carrack_images::Error| Error::invalid(e.to_string());
        while let Some(entry) = tar.next_entry().map_err(broken)? {
            self.entry(&entry, tar)?;
        }
        Ok(())
    }

    /// Adds one regular file, and the directories above it.
    pub(super) fn file(&mut self, path: &[u8], mode: u32, mtime: i64, from: &mut dyn Read) -> Result<Node> {
        let names = normalise(path).map_err(|e| Error::invalid(e.to_string()))?;
        let Some((name, above)) = names.split_last() else { return Err(bad(path, "no name of a file")) };
        let dir = self.parent(above, path)?;
        let (offset, size, digest) = self.store(from)?;
        let meta = Meta { kind: FileKind::Regular, mode, mtime, size, is_implied: false, ..directory(0) };
        self.place(dir, name, Inode { meta, offset, digest, children: BTreeMap::new() }, path)
    }

    /// Takes away what the patterns leave out.
    pub(super) fn leave_out(&mut self, ignore: &Ignore) {
        if ignore.is_empty() {
            return;
        }
        // Directories that are left out stay while something in them does not.
        let mut stack = vec![(Vec::new(), self.context.root())];
        let mut order = Vec::new();
        while let Some((path, dir)) = stack.pop() {
            for (name, node) in self.context.entries(dir) {
                let below: Vec<u8> =
                    if path.is_empty() { name.clone() } else { [&path, &b"/"[..], &name].concat() };
                let is_dir = self.node(node).is_some_and(|n| n.meta.kind == FileKind::Directory);
                let is_out = ignore.leaves_out(&String::from_utf8_lossy(&below));
                if is_dir && (!is_out || ignore.has_exceptions()) {
                    stack.push((below, node));
                }
                if is_out {
                    order.push((dir, name, node));
                }
            }
        }
        for (dir, name, node) in order.into_iter().rev() {
            if self.node(node).is_some_and(|n| n.children.is_empty() || !ignore.has_exceptions())
                && let Some(dir) = self.context.nodes.get_mut(dir as usize)
            {
                dir.children.remove(&name);
            }
        }
    }

    pub(super) fn tree(&self) -> &dyn Tree {
        &self.context
    }

    pub(super) fn finish(self) -> Context {
        self.context
    }

    fn node(&self, node: Node) -> Option<&Inode> {
        self.context.nodes.get(usize::try_from(node).ok()?)
    }

    fn entry<R: Read>(&mut self, entry: &Entry, tar: &mut Reader<R>) -> Result<()> {
        let names = normalise(&entry.path).map_err(|e| Error::invalid(e.to_string()))?;
        if entry.path.split(|&b| b == b'/').any(|c| c == b"..") {
            return Err(bad(&entry.path, "an entry outside of the archive's root"));
        }
        let id = |id: u64, what| u32::try_from(id).map_err(|_| bad(&entry.path, what));
        let mut meta = Meta {
            mode: entry.mode & 0o7777,
            uid: id(entry.uid, "an owner out of range")?,
            gid: id(entry.gid, "a group out of range")?,
            mtime: entry.mtime.0,
            is_implied: false,
            ..directory(0)
        };
        meta.xattrs = entry.xattrs.clone();
        meta.xattrs.sort();
        let Some((name, above)) = names.split_last() else {
            if entry.kind == Kind::Directory
                && let Some(root) = self.context.nodes.first_mut()
            {
                root.meta = meta;
            }
            return Ok(());
        };
        let dir = self.parent(above, &entry.path)?;
        let (mut offset, mut digest) = (0, [0; 32]);
        match entry.kind {
            Kind::Directory => {
                if let Some(known) = self.context.lookup(dir, name)
                    && let Some(node) = self.context.nodes.get_mut(known as usize)
                    && node.meta.kind == FileKind::Directory
                {
                    node.meta = meta;
                    return Ok(());
                }
            }
            Kind::HardLink => {
                let target = normalise(&entry.link).map_err(|e| Error::invalid(e.to_string()))?;
                let walk = |node, name: &&[u8]| self.context.lookup(node, name);
                let found = target.iter().try_fold(self.context.root(), walk);
                let is_file = |n: &Node| self.node(*n).is_some_and(|f| f.meta.kind != FileKind::Directory);
                let outside = entry.link.split(|&b| b == b'/').any(|c| c == b"..");
                let Some(node) = found.filter(is_file).filter(|_| !outside) else {
                    return Err(bad(&entry.path, "a hard link to nothing in the archive"));
                };
                if let Some(dir) = self.context.nodes.get_mut(dir as usize) {
                    dir.children.insert(name.to_vec(), node);
                }
                return Ok(());
            }
            Kind::Regular => {
                meta.kind = FileKind::Regular;
                meta.size = entry.size;
                (offset, digest) = self.body(entry, tar)?;
            }
            Kind::Symlink => {
                if entry.link.is_empty() || entry.link.len() > 4095 || entry.link.contains(&0) {
                    return Err(bad(&entry.path, "a symbolic link without a usable target"));
                }
                meta.kind = FileKind::Symlink;
                meta.link = entry.link.clone();
                meta.size = meta.link.len() as u64;
            }
            Kind::Fifo => meta.kind = FileKind::Fifo,
            Kind::CharDevice | Kind::BlockDevice => {
                meta.kind =
                    if entry.kind == Kind::CharDevice { FileKind::CharDevice } else { FileKind::BlockDevice };
                let (major, minor) = entry.device;
                if major >= 1 << 12 || minor >= 1 << 20 {
                    return Err(bad(&entry.path, "a device number out of range"));
                }
                meta.rdev = rustix::fs::makedev(major as u32, minor as u32);
            }
        }
        self.place(dir, name, Inode { meta, offset, digest, children: BTreeMap::new() }, &entry.path)?;
        Ok(())
    }

    /// The directory at `names`, made as far as it is missing. Nothing is followed: what an archive puts below one of its own
    /// symbolic links has no place.
    fn parent(&mut self, names: &[&[u8]], path: &[u8]) -> Result<Node> {
        let mut dir = self.context.root();
        for name in names {
            dir = match self.context.lookup(dir, name) {
                Some(node) if self.node(node).is_some_and(|n| n.meta.kind == FileKind::Directory) => node,
                Some(_) => return Err(bad(path, "below something that is no directory")),
                None => {
                    let file = Inode {
                        meta: directory(0o755),
                        offset: 0,
                        digest: [0; 32],
                        children: BTreeMap::new(),
                    };
                    self.place(dir, name, file, path)?
                }
            };
        }
        Ok(dir)
    }

    fn place(&mut self, dir: Node, name: &[u8], file: Inode, path: &[u8]) -> Result<Node> {
        if self.context.nodes.len() >= ENTRIES_MAX {
            return Err(bad(path, "the archive has too many entries"));
        }
        let node = self.context.nodes.len() as Node;
        self.context.nodes.push(file);
        if let Some(dir) = self.context.nodes.get_mut(dir as usize) {
            dir.children.insert(name.to_vec(), node);
        }
        Ok(node)
    }

    /// Puts the present entry's bytes into the pack.
    fn body<R: Read>(&mut self, entry: &Entry, tar: &mut Reader<R>) -> Result<(u64, [u8; 32])> {
        let Some(map) = &entry.sparse else {
            let (offset, size, digest) = self.store(&mut Data(tar))?;
            if size != entry.size {
                return Err(bad(&entry.path, "unexpected end of the archive"));
            }
            return Ok((offset, digest));
        };
        if entry.size > SPARSE_MAX {
            return Err(bad(&entry.path, "a file with holes that is too large"));
        }
        let start = self.len;
        self.len += entry.size;
        self.context.pack.set_len(self.len)?;
        let mut hasher = Sha256::new();
        hasher.update(entry.size.to_le_bytes());
        let mut buffer = vec![0; 64 << 10];
        for segment in map {
            hasher.update(segment.offset.to_le_bytes());
            hasher.update(segment.len.to_le_bytes());
            let (mut at, end) = (segment.offset, segment.offset.saturating_add(segment.len));
            while at < end {
                let most = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
                let n = Data(tar).read(&mut buffer[..most])?;
                if n == 0 {
                    return Err(bad(&entry.path, "unexpected end of the archive"));
                }
                hasher.update(&buffer[..n]);
                self.context.pack.write_all_at(&buffer[..n], start + at)?;
                at += n as u64;
                self.check_space(n as u64)?;
            }
        }
        Ok((start, hasher.finalize().into()))
    }

    /// Appends to the pack: where, how much, and its digest.
    fn store(&mut self, from: &mut dyn Read) -> Result<(u64, u64, [u8; 32])> {
        let start = self.len;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = match from.read(&mut buffer) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if n == 0 {
                return Ok((start, self.len - start, hasher.finalize().into()));
            }
            hasher.update(&buffer[..n]);
            self.context.pack.write_all_at(&buffer[..n], self.len)?;
            self.len += n as u64;
            self.check_space(n as u64)?;
        }
    }

    /// A stream that expands without end must not fill the disk for everybody.
    fn check_space(&mut self, written: u64) -> Result<()> {
        self.checked += written;
        if self.checked >= CHECK_EVERY {
            self.checked = 0;
            let stat = rustix::fs::fstatvfs(&*self.context.pack).map_err(std::io::Error::from)?;
            if stat.f_bavail.saturating_mul(stat.f_frsize) < RESERVE {
                return Err(Error::internal("no space left on device: the build context does not fit"));
            }
        }
        Ok(())
    }
}

/// The data of the present entry.
struct Data<'t, R>(&'t mut Reader<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0
            .read_data(buffer)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e.to_string()))
    }
}

impl Context {
    fn file(&self, node: Node) -> Result<&Inode> {
        let file = usize::try_from(node).ok().and_then(|i| self.nodes.get(i));
        file.ok_or_else(|| Error::internal("a file of another context"))
    }
}

impl Tree for Context {
    fn root(&self) -> Node {
        0
    }

    fn lookup(&self, dir: Node, name: &[u8]) -> Option<Node> {
        self.file(dir).ok()?.children.get(name).copied()
    }

    fn entries(&self, dir: Node) -> Vec<(Vec<u8>, Node)> {
        let Ok(dir) = self.file(dir) else { return Vec::new() };
        dir.children.iter().map(|(name, node)| (name.clone(), *node)).collect()
    }

    fn meta(&self, node: Node) -> Result<Meta> {
        Ok(self.file(node)?.meta.clone())
    }

    fn digest(&self, node: Node) -> Result<[u8; 32]> {
        Ok(self.file(node)?.digest)
    }

    fn open(&self, node: Node) -> Result<Box<dyn Read + Send>> {
        let file = self.file(node)?;
        Ok(Box::new(Part { pack: self.pack.clone(), at: file.offset, left: file.meta.size }))
    }
}

/// A file's bytes in the pack.
struct Part {
    pack: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.pack.read_at(&mut buffer[..most], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}
