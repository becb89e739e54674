//! Extended attributes: a map for each inode that differs from the image. Permission and prefixes are the caller's.

use super::record::Touched;
use super::{Backing, Tree};
use crate::errno::Errno;
use crate::fs::{NAME_MAX, now};
use crate::vfs::{Ino, XattrFlags};
use crate::{bail, err};

/// XATTR_SIZE_MAX of Linux: the largest value, and here also all of an inode's together.
const SIZE_MAX: usize = 65536;

impl<B: Backing> Tree<B> {
    pub(super) fn get_xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let state = self.state.read();
        match state.nodes.get(&ino) {
            Some(node) => node.xattrs.get(name).cloned(),
            None => self.lower.xattr(ino, name),
        }
        .ok_or(err!(ENODATA))
    }

    pub(super) fn list_xattr(&self, ino: Ino) -> Vec<Vec<u8>> {
        let state = self.state.read();
        match state.nodes.get(&ino) {
            Some(node) => node.xattrs.keys().cloned().collect(),
            None => self.lower.xattrs(ino).into_iter().map(|(name, _)| name).collect(),
        }
    }

    pub(super) fn set_xattr(
        &self,
        ino: Ino,
        name: &[u8],
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<(), Errno> {
        if name.is_empty() || name.len() > NAME_MAX {
            bail!(ERANGE);
        }
        if value.len() > SIZE_MAX {
            bail!(E2BIG);
        }
        let mut state = self.state.write();
        let node = state.node_mut(self.lower(), ino)?;
        match node.xattrs.contains_key(name) {
            true if flags.contains(XattrFlags::CREATE) => bail!(EEXIST),
            false if flags.contains(XattrFlags::REPLACE) => bail!(ENODATA),
            _ => {}
        }
        let others: usize =
            node.xattrs.iter().filter(|(n, _)| *n != name).map(|(n, v)| n.len() + v.len()).sum();
        if others + name.len() + value.len() > SIZE_MAX + NAME_MAX {
            bail!(ENOSPC);
        }
        node.xattrs.insert(name.to_vec(), value.to_vec());
        node.meta.ctime = now();
        self.commit(&state, &Touched { nodes: vec![ino], xattrs: vec![(ino, name.to_vec())], names: vec![] })
    }

    pub(super) fn remove_xattr(&self, ino: Ino, name: &[u8]) -> Result<(), Errno> {
        let mut state = self.state.write();
        let node = state.node_mut(self.lower(), ino)?;
        node.xattrs.remove(name).ok_or(err!(ENODATA))?;
        node.meta.ctime = now();
        self.commit(&state, &Touched { nodes: vec![ino], xattrs: vec![(ino, name.to_vec())], names: vec![] })
    }
}
