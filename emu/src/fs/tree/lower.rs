//! What lies below a tree and never changes: an image's merged index, or nothing.

use crate::vfs::{Ino, Kind, Timespec};
use carrack_images::Index;
use std::sync::Arc;

/// Where an image keeps a regular file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageBody {
    pub layer: u32,
    pub n: u64,
}

/// An inode of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowerInode {
    /// Type and permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub size: u64,
    pub mtime: Timespec,
    pub rdev: u64,
    pub body: Option<ImageBody>,
}

/// An immutable tree of inodes numbered `1..=max_ino()`, 1 being the root directory.
pub trait Lower: Send + Sync + std::fmt::Debug {
    fn max_ino(&self) -> Ino;
    fn inode(&self, ino: Ino) -> Option<LowerInode>;
    fn symlink(&self, ino: Ino) -> Option<Vec<u8>>;
    fn xattrs(&self, ino: Ino) -> Vec<(Vec<u8>, Vec<u8>)>;
    fn xattr(&self, ino: Ino, name: &[u8]) -> Option<Vec<u8>>;
    fn lookup(&self, dir: Ino, name: &[u8]) -> Option<Ino>;
    fn dir_len(&self, dir: Ino) -> usize;
    /// The `i`th entry of a directory.
    fn dir_entry(&self, dir: Ino, i: usize) -> Option<(&[u8], Ino, Kind)>;
    /// A directory that has this inode and the name there; the only one for a directory.
    fn alias(&self, ino: Ino) -> Option<(Ino, Vec<u8>)>;
    /// The inode that a body belongs to.
    fn by_body(&self, layer: &[u8], n: u64) -> Option<Ino>;
    /// The image's index, where this is one.
    fn image(&self) -> Option<Arc<Index>> {
        None
    }
}

impl Lower for Arc<Index> {
    fn max_ino(&self) -> Ino {
        Index::max_ino(self)
    }

    fn inode(&self, ino: Ino) -> Option<LowerInode> {
        let i = Index::inode(self, ino)?;
        Some(LowerInode {
            mode: i.mode,
            uid: i.uid,
            gid: i.gid,
            nlink: i.nlink,
            size: i.size,
            mtime: Timespec { sec: i.mtime.sec, nsec: i.mtime.nsec },
            rdev: i.rdev,
            body: i.body.map(|b| ImageBody { layer: b.layer, n: b.n }),
        })
    }

    fn symlink(&self, ino: Ino) -> Option<Vec<u8>> {
        Index::inode(self, ino)?.symlink.map(<[u8]>::to_vec)
    }

    fn xattrs(&self, ino: Ino) -> Vec<(Vec<u8>, Vec<u8>)> {
        match Index::inode(self, ino) {
            Some(i) => i.xattrs().map(|(n, v)| (n.to_vec(), v.to_vec())).collect(),
            None => Vec::new(),
        }
    }

    fn xattr(&self, ino: Ino, name: &[u8]) -> Option<Vec<u8>> {
        Index::inode(self, ino)?.xattr(name).map(<[u8]>::to_vec)
    }

    fn lookup(&self, dir: Ino, name: &[u8]) -> Option<Ino> {
        Index::lookup(self, dir, name)
    }

    fn dir_len(&self, dir: Ino) -> usize {
        Index::dir_len(self, dir)
    }

    fn dir_entry(&self, dir: Ino, i: usize) -> Option<(&[u8], Ino, Kind)> {
        let e = Index::dir_entry(self, dir, i)?;
        Some((e.name, e.ino, Kind::from_mode(e.kind.mode_bits())?))
    }

    fn alias(&self, ino: Ino) -> Option<(Ino, Vec<u8>)> {
        Index::alias(self, ino).map(|(dir, name)| (dir, name.to_vec()))
    }

    fn by_body(&self, layer: &[u8], n: u64) -> Option<Ino> {
        Index::by_body(self, std::str::from_utf8(layer).ok()?, n)
    }

    fn image(&self) -> Option<Arc<Index>> {
        Some(self.clone())
    }
}

/// No image: a root directory that is made by the tree itself.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Lower for Nothing {
    fn max_ino(&self) -> Ino {
        0
    }
    fn inode(&self, _: Ino) -> Option<LowerInode> {
        None
    }
    fn symlink(&self, _: Ino) -> Option<Vec<u8>> {
        None
    }
    fn xattrs(&self, _: Ino) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::new()
    }
    fn xattr(&self, _: Ino, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn lookup(&self, _: Ino, _: &[u8]) -> Option<Ino> {
        None
    }
    fn dir_len(&self, _: Ino) -> usize {
        0
    }
    fn dir_entry(&self, _: Ino, _: usize) -> Option<(&[u8], Ino, Kind)> {
        None
    }
    fn alias(&self, _: Ino) -> Option<(Ino, Vec<u8>)> {
        None
    }
    fn by_body(&self, _: &[u8], _: u64) -> Option<Ino> {
        None
    }
}
