//! The files of an image as something to copy from, and to look names up in.

use super::tree::{Meta, Node, Tree};
use crate::engine::error::{Error, Result};
use carrack_images::{Body, Index, Store};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

/// Read from the merged index; no container is needed.
#[derive(Debug)]
pub(super) struct ImageTree {
    index: Index,
    store: Arc<Store>,
    /// Digests that were computed already.
    digests: Mutex<HashMap<Node, [u8; 32]>>,
}

impl ImageTree {
    pub(super) fn new(store: Arc<Store>, index: Index) -> ImageTree {
        ImageTree { index, store, digests: Mutex::default() }
    }

    fn body(&self, body: Body) -> Result<std::fs::File> {
        let layer = usize::try_from(body.layer).ok().and_then(|i| self.index.layers().get(i));
        let layer = layer.ok_or_else(|| Error::internal("the image store is damaged: a body of no layer"))?;
        let path = self.store.body_path(layer, body.n);
        std::fs::File::open(&path).map_err(|e| Error::internal(format!("{}: {e}", path.display())))
    }
}

impl Tree for ImageTree {
    fn root(&self) -> Node {
        Index::ROOT
    }

    fn lookup(&self, dir: Node, name: &[u8]) -> Option<Node> {
        self.index.lookup(dir, name)
    }

    fn entries(&self, dir: Node) -> Vec<(Vec<u8>, Node)> {
        let entry = |i| self.index.dir_entry(dir, i).map(|e| (e.name.to_vec(), e.ino));
        (0..self.index.dir_len(dir)).filter_map(entry).collect()
    }

    fn meta(&self, node: Node) -> Result<Meta> {
        let inode = self.index.inode(node).ok_or_else(|| Error::internal("a file of another image"))?;
        Ok(Meta {
            kind: inode.kind(),
            mode: inode.mode & 0o7777,
            uid: inode.uid,
            gid: inode.gid,
            mtime: inode.mtime.sec,
            size: inode.size,
            rdev: inode.rdev,
            link: inode.symlink.map(<[u8]>::to_vec).unwrap_or_default(),
            xattrs: inode.xattrs().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            is_implied: false,
        })
    }

    fn digest(&self, node: Node) -> Result<[u8; 32]> {
        if let Some(known) = self.digests.lock().get(&node) {
            return Ok(*known);
        }
        let mut hasher = Sha256::new();
        let mut file = self.open(node)?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        let digest = hasher.finalize().into();
        self.digests.lock().insert(node, digest);
        Ok(digest)
    }

    fn open(&self, node: Node) -> Result<Box<dyn Read + Send>> {
        match self.index.inode(node).and_then(|i| i.body) {
            Some(body) => Ok(Box::new(self.body(body)?)),
            None => Ok(Box::new(std::io::empty())),
        }
    }
}
