//! stat and its opposite: attributes as they are, and changes of them.

use super::node::{Body, Data, Node};
use super::record::Touched;
use super::{Backing, Tree};
use crate::errno::Errno;
use crate::fs::{blocks_of, now};
use crate::vfs::{Attr, Ino, Kind, SetAttr, SetTime, Timespec};
use crate::{bail, err};
use std::sync::atomic::Ordering;

/// st_size of every directory.
const DIR_SIZE: u64 = 4096;

impl<B: Backing> Tree<B> {
    /// All of stat(2). Only a body of our own is asked of the host.
    pub(super) fn attr_of(&self, ino: Ino) -> Result<Attr, Errno> {
        let (mut attr, own) = self.known(ino)?;
        if own {
            let body = self.backing.stat(ino)?;
            attr.size = body.size;
            attr.blocks = body.blocks;
            attr.atime = body.atime;
            attr.mtime = body.mtime;
            attr.ctime = attr.ctime.max(body.ctime);
        }
        Ok(attr)
    }

    /// What memory and the image know, and whether size and times are the host's to tell.
    pub(super) fn known(&self, ino: Ino) -> Result<(Attr, bool), Errno> {
        let state = self.state.read();
        if let Some(node) = state.nodes.get(&ino) {
            return Ok((attr_of_node(ino, node), matches!(node.data, Data::Regular(Body::Own))));
        }
        let i = self.lower.inode(ino).ok_or(err!(ENOENT, "inode has gone"))?;
        let nlink = if state.dead.contains(&ino) { 0 } else { i.nlink };
        let is_dir = Kind::from_mode(i.mode) == Some(Kind::Directory);
        let size = if is_dir { DIR_SIZE } else { i.size };
        Ok((
            Attr {
                ino,
                mode: i.mode,
                nlink,
                uid: i.uid,
                gid: i.gid,
                rdev: i.rdev,
                size,
                blocks: blocks_for(i.mode, size),
                blksize: 4096,
                atime: i.mtime,
                mtime: i.mtime,
                ctime: i.mtime,
                btime: None,
            },
            false,
        ))
    }

    pub(super) fn set_attr(&self, ino: Ino, set: &SetAttr) -> Result<(), Errno> {
        if let Some(size) = set.size {
            match self.known(ino)?.0.kind() {
                Kind::Regular => {}
                Kind::Directory => bail!(EISDIR),
                _ => bail!(EINVAL),
            }
            if size > i64::MAX as u64 {
                bail!(EINVAL);
            }
            self.own_body(ino, Some(size))?;
            self.backing.truncate(ino, size)?;
        }
        let now = now();
        let time = |t: SetTime| match t {
            SetTime::Now => now,
            SetTime::At(t) => t,
        };
        let (atime, mtime) = (set.atime.map(time), set.mtime.map(time));
        let own = {
            let mut state = self.state.write();
            if set.mode.is_some() || set.uid.is_some() || set.gid.is_some() {
                state.mark_permissions(ino);
            }
            let node = state.node_mut(self.lower(), ino)?;
            let m = &mut node.meta;
            if let Some(mode) = set.mode {
                m.mode = (m.mode & libc::S_IFMT) | (mode & 0o7777);
            }
            m.uid = set.uid.unwrap_or(m.uid);
            m.gid = set.gid.unwrap_or(m.gid);
            m.atime = atime.unwrap_or(m.atime);
            m.mtime = mtime.unwrap_or(m.mtime);
            m.ctime = now;
            let own = matches!(node.data, Data::Regular(Body::Own));
            self.commit(&state, &Touched::node(ino))?;
            own
        };
        if own && (atime.is_some() || mtime.is_some()) {
            self.backing.set_times(ino, atime, mtime)?;
            self.written.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn attr_of_node(ino: Ino, node: &Node) -> Attr {
    let m = &node.meta;
    let size = match &node.data {
        Data::Directory(_) => DIR_SIZE,
        Data::Symlink(target) => target.len() as u64,
        Data::Regular(Body::Image(_, size)) => *size,
        Data::Regular(_) | Data::Special => 0,
    };
    Attr {
        ino,
        mode: m.mode,
        nlink: m.nlink,
        uid: m.uid,
        gid: m.gid,
        rdev: m.rdev,
        size,
        blocks: blocks_for(m.mode, size),
        blksize: 4096,
        atime: m.atime,
        mtime: m.mtime,
        ctime: m.ctime,
        btime: m.btime,
    }
}

/// Symlinks are stored in their inode, as ext4 does with short ones.
fn blocks_for(mode: u32, size: u64) -> u64 {
    match Kind::from_mode(mode) {
        Some(Kind::Regular | Kind::Directory) => blocks_of(size),
        _ => 0,
    }
}

/// Marks a directory as changed now.
pub(super) fn touch(node: &mut Node, now: Timespec) {
    node.meta.mtime = now;
    node.meta.ctime = now;
}
