//! Handles: an inode of a tree as the rest of the kernel holds it.

use super::names::check_name;
use super::node::ROOT;
use super::{Backing, Tree};
use crate::bail;
use crate::errno::Errno;
use crate::vfs::{
    Attr, CreateKind, DirEntry, Ino, Inode, InodeRef, Kind, OpenRequest, Opened, RenameFlags, SbId, SetAttr,
    SuperBlock, XattrFlags,
};
use std::any::Any;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// A number of a tree, with its type, which never changes.
#[derive(Debug)]
pub struct TreeInode<B: Backing> {
    pub(super) tree: Arc<Tree<B>>,
    pub(super) ino: Ino,
    pub(super) kind: Kind,
    /// Keeps an inode without a name from being forgotten.
    pub(super) _pin: Option<Arc<()>>,
}

impl<B: Backing> TreeInode<B> {
    fn directory(&self) -> Result<(), Errno> {
        if self.kind == Kind::Directory { Ok(()) } else { bail!(ENOTDIR) }
    }

    fn of_same_tree(&self, other: &InodeRef) -> Result<Ino, Errno> {
        if other.sb_id() == self.tree.id { Ok(other.ino()) } else { bail!(EXDEV) }
    }
}

impl<B: Backing> Inode for TreeInode<B> {
    fn sb(&self) -> Arc<dyn SuperBlock> {
        self.tree.clone()
    }

    fn sb_id(&self) -> SbId {
        self.tree.id
    }

    fn ino(&self) -> Ino {
        self.ino
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn attr(&self) -> Result<Attr, Errno> {
        self.tree.attr_of(self.ino)
    }

    fn perm(&self) -> Result<Attr, Errno> {
        Ok(self.tree.known(self.ino)?.0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        self.directory()?;
        check_name(name)?;
        let state = self.tree.state.read();
        let ino = state.lookup(self.tree.lower(), self.ino, name)?;
        self.tree.handle(&state, ino)
    }

    fn parent(&self) -> Option<InodeRef> {
        if self.kind != Kind::Directory {
            return None;
        }
        let state = self.tree.state.read();
        let parent = match state.nodes.get(&self.ino) {
            Some(node) => node.alias.as_ref().map(|(parent, _)| *parent),
            None => self.tree.lower().alias(self.ino).map(|(parent, _)| parent),
        };
        self.tree.handle(&state, parent.unwrap_or(ROOT)).ok()
    }

    fn alias(&self) -> Option<(InodeRef, Vec<u8>)> {
        let state = self.tree.state.read();
        let (dir, name) = state.alias_of(self.tree.lower(), self.ino)?;
        Some((self.tree.handle(&state, dir).ok()?, name.to_vec()))
    }

    fn last_alias(&self) -> Option<(InodeRef, Vec<u8>)> {
        let state = self.tree.state.read();
        let (dir, name) = state.nodes.get(&self.ino)?.alias.clone()?;
        Some((self.tree.handle(&state, dir).ok()?, name.to_vec()))
    }

    fn readdir(&self, pos: u64, emit: &mut dyn FnMut(DirEntry) -> bool) -> Result<(), Errno> {
        self.directory()?;
        self.tree.read_dir(self.ino, pos, emit)
    }

    fn create(
        &self,
        name: &[u8],
        kind: CreateKind,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<InodeRef, Errno> {
        self.directory()?;
        self.tree.create_in(self.ino, name, kind, mode, uid, gid)
    }

    fn tmpfile(&self, mode: u32, uid: u32, gid: u32) -> Result<InodeRef, Errno> {
        self.tree.tmpfile_in(self.ino, mode, uid, gid)
    }

    fn forbid_names(&self) {
        if let Some(node) = self.tree.state.write().nodes.get_mut(&self.ino) {
            node.linkable = false;
        }
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        self.directory()?;
        self.tree.link_in(self.ino, name, self.of_same_tree(target)?)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.directory()?;
        self.tree.remove_in(self.ino, name, false)
    }

    fn rmdir(&self, name: &[u8]) -> Result<(), Errno> {
        self.directory()?;
        self.tree.remove_in(self.ino, name, true)
    }

    fn rename(
        &self,
        name: &[u8],
        new_dir: &InodeRef,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        self.directory()?;
        self.tree.rename_in(self.ino, name, self.of_same_tree(new_dir)?, new_name, flags)
    }

    fn readlink(&self) -> Result<Vec<u8>, Errno> {
        self.tree.read_link(self.ino)
    }

    fn setattr(&self, set: &SetAttr) -> Result<(), Errno> {
        self.tree.set_attr(self.ino, set)
    }

    fn open(&self, how: &OpenRequest) -> Result<Opened, Errno> {
        self.tree.open_inode(self.ino, self.kind, how)
    }

    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.tree.get_xattr(self.ino, name)
    }

    fn setxattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<(), Errno> {
        self.tree.set_xattr(self.ino, name, value, flags)
    }

    fn listxattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(self.tree.list_xattr(self.ino))
    }

    fn removexattr(&self, name: &[u8]) -> Result<(), Errno> {
        self.tree.remove_xattr(self.ino, name)
    }

    fn open_body(&self) -> Result<OwnedFd, Errno> {
        self.tree.open_for_reading(self.ino)
    }

    fn socket_path(&self) -> Option<PathBuf> {
        (self.kind == Kind::Socket).then(|| self.tree.backing.socket(self.ino))
    }

    fn fsync(&self) -> Result<(), Errno> {
        self.tree.sync_inode(self.ino)
    }
}
