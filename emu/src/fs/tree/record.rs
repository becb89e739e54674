//! Changes of a tree's metadata as bytes: what a journal keeps.
//!
//! A payload is the outcome of one operation: a sequence of *settings*, each of which says what something is now, not what
//! was done to it. Applying a payload twice is applying it once, and a snapshot of a whole tree is nothing but settings.
//! All numbers are little-endian.
//!
//! ```text
//! 1 inode   ino:8 mode:4 uid:4 gid:4 rdev:8 nlink:4 atime:12 mtime:12 ctime:12 btime:1+12 linkable:1 data
//!             data: 0 directory | 1 symlink len:4 target | 2 body in the image | 3 own body | 4 empty | 5 special
//! 2 name    dir:8 ino:8 len:2 name           ino 0: the name is gone
//! 3 xattr   ino:8 len:2 name len:4 value     length 0xffffffff: the attribute is gone
//! 4 next    ino:8                            numbers below it were given out
//! ```
//!
//! A time is `sec:8 nsec:4`.

use super::lower::Lower;
use super::node::{Body, Data, Dir, Meta, Name, Node, State};
use crate::errno::Errno;
use crate::vfs::{Ino, Kind, Timespec};

/// Where payloads go.
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// Takes a payload; in order, because the tree's lock is held. ENOSPC when the host's disk has been full for long.
    fn append(&self, payload: &[u8]) -> Result<(), Errno>;
    /// Makes everything appended durable.
    fn sync(&self) -> Result<(), Errno>;
    /// Whether a snapshot would be much smaller than what was appended.
    fn wants_snapshot(&self, inodes: usize) -> bool;
    /// Replaces everything appended so far; the tree's lock is held.
    fn snapshot(&self, payloads: &mut dyn Iterator<Item = Vec<u8>>) -> Result<(), Errno>;
}

/// What one operation has touched; encoded when it is complete.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) nodes: Vec<Ino>,
    pub(crate) names: Vec<(Ino, Name)>,
    pub(crate) xattrs: Vec<(Ino, Vec<u8>)>,
}

impl Touched {
    pub(crate) fn node(ino: Ino) -> Touched {
        Touched { nodes: vec![ino], ..Touched::default() }
    }

    pub(crate) fn encode(&self, state: &State) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        for (i, ino) in self.nodes.iter().enumerate() {
            if !self.nodes[..i].contains(ino)
                && let Some(node) = state.nodes.get(ino)
            {
                put_node(&mut out, *ino, node);
            }
        }
        for (dir, name) in &self.names {
            let entry = state.nodes.get(dir).and_then(|n| n.dir().ok()).and_then(|d| d.names.get(name));
            put_name(&mut out, *dir, entry.map_or(0, |e| e.ino), name);
        }
        for (ino, name) in &self.xattrs {
            let value = state.nodes.get(ino).and_then(|n| n.xattrs.get(name));
            put_xattr(&mut out, *ino, name, value.map(Vec::as_slice));
        }
        out
    }
}

/// The settings that make `state` from nothing, one payload for each inode.
pub(crate) fn snapshot<'a>(state: &'a State, lower: &'a dyn Lower) -> impl Iterator<Item = Vec<u8>> + 'a {
    let mut first = vec![4];
    first.extend(state.next_ino.to_le_bytes());
    let live = state.nodes.iter().filter(|(_, n)| n.meta.nlink > 0 || n.linkable);
    // An image's inode that has no name left needs no word: the names that led to it are gone.
    let inodes = live.clone().map(move |(ino, node)| {
        let mut out = Vec::new();
        put_node(&mut out, *ino, node);
        let image = lower.xattrs(*ino);
        for (name, _) in image.iter().filter(|(n, _)| !node.xattrs.contains_key(n)) {
            put_xattr(&mut out, *ino, name, None);
        }
        for (name, value) in &node.xattrs {
            put_xattr(&mut out, *ino, name, Some(value));
        }
        out
    });
    // Names after all inodes, so that an alias finds its inode.
    let names = live.filter_map(|(dir, node)| {
        let d = node.dir().ok()?;
        let mut out = Vec::new();
        for name in d.order.values() {
            put_name(&mut out, *dir, d.names.get(name).map_or(0, |e| e.ino), name);
        }
        for (name, entry) in d.names.iter().filter(|(_, e)| e.position == 0) {
            put_name(&mut out, *dir, entry.ino, name);
        }
        Some(out)
    });
    std::iter::once(first).chain(inodes).chain(names)
}

fn put_time(out: &mut Vec<u8>, t: Timespec) {
    out.extend(t.sec.to_le_bytes());
    out.extend(t.nsec.to_le_bytes());
}

fn put_node(out: &mut Vec<u8>, ino: Ino, node: &Node) {
    let m = &node.meta;
    out.push(1);
    out.extend(ino.to_le_bytes());
    for word in [m.mode, m.uid, m.gid] {
        out.extend(word.to_le_bytes());
    }
    out.extend(m.rdev.to_le_bytes());
    out.extend(m.nlink.to_le_bytes());
    put_time(out, m.atime);
    put_time(out, m.mtime);
    put_time(out, m.ctime);
    out.push(u8::from(m.btime.is_some()));
    put_time(out, m.btime.unwrap_or_default());
    out.push(u8::from(node.linkable));
    match &node.data {
        Data::Directory(_) => out.push(0),
        Data::Symlink(target) => {
            out.push(1);
            out.extend((target.len() as u32).to_le_bytes());
            out.extend(target);
        }
        Data::Regular(Body::Image(..)) => out.push(2),
        Data::Regular(Body::Own) => out.push(3),
        Data::Regular(Body::Empty) => out.push(4),
        Data::Special => out.push(5),
    }
}

fn put_name(out: &mut Vec<u8>, dir: Ino, ino: Ino, name: &[u8]) {
    out.push(2);
    out.extend(dir.to_le_bytes());
    out.extend(ino.to_le_bytes());
    out.extend((name.len() as u16).to_le_bytes());
    out.extend(name);
}

fn put_xattr(out: &mut Vec<u8>, ino: Ino, name: &[u8], value: Option<&[u8]>) {
    out.push(3);
    out.extend(ino.to_le_bytes());
    out.extend((name.len() as u16).to_le_bytes());
    out.extend(name);
    out.extend(value.map_or(u32::MAX, |v| v.len() as u32).to_le_bytes());
    out.extend(value.unwrap_or_default());
}

/// Reads numbers and strings off the front of a payload.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }
    fn u8(&mut self) -> Option<u8> {
        Some(u8::from_le_bytes(self.array()?))
    }
    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.array()?))
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }
    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }
    fn time(&mut self) -> Option<Timespec> {
        let sec = i64::from_le_bytes(self.array()?);
        Some(Timespec { sec, nsec: self.u32()?.min(999_999_999) })
    }
}

/// Makes a payload's settings. `None`: it makes no sense, which only damage can bring about.
pub(crate) fn apply(state: &mut State, lower: &dyn Lower, payload: &[u8]) -> Option<()> {
    let mut r = Reader(payload);
    while let Ok(tag) = r.u8().ok_or(()) {
        match tag {
            1 => apply_node(state, lower, &mut r)?,
            2 => {
                let (dir, ino, len) = (r.u64()?, r.u64()?, r.u16()?);
                let name = r.bytes(len.into())?;
                if name.is_empty() || name.contains(&b'/') {
                    return None;
                }
                state.put(lower, dir, name, (ino != 0).then_some(ino)).ok()?;
            }
            3 => {
                let (ino, len) = (r.u64()?, r.u16()?);
                let name = r.bytes(len.into())?.to_vec();
                let len = r.u32()?;
                let node = state.node_mut(lower, ino).ok()?;
                if len == u32::MAX {
                    node.xattrs.remove(&name);
                } else {
                    node.xattrs.insert(name, r.bytes(len as usize)?.to_vec());
                }
            }
            4 => state.next_ino = state.next_ino.max(r.u64()?),
            _ => return None,
        }
    }
    Some(())
}

fn apply_node(state: &mut State, lower: &dyn Lower, r: &mut Reader<'_>) -> Option<()> {
    let ino = r.u64()?;
    let (mode, uid, gid, rdev, nlink) = (r.u32()?, r.u32()?, r.u32()?, r.u64()?, r.u32()?);
    let (atime, mtime, ctime) = (r.time()?, r.time()?, r.time()?);
    let has_btime = r.u8()? != 0;
    let btime = r.time()?;
    let linkable = r.u8()? != 0;
    let kind = Kind::from_mode(mode)?;
    let data = match (r.u8()?, kind) {
        (0, Kind::Directory) => Data::Directory(Dir::default()),
        (1, Kind::Symlink) => {
            let len = r.u32()?;
            Data::Symlink(r.bytes(len as usize)?.to_vec())
        }
        (2, Kind::Regular) => {
            let i = lower.inode(ino)?;
            Data::Regular(Body::Image(i.body?, i.size))
        }
        (3, Kind::Regular) => Data::Regular(Body::Own),
        (4, Kind::Regular) => Data::Regular(Body::Empty),
        (5, Kind::CharDevice | Kind::BlockDevice | Kind::Fifo | Kind::Socket) => Data::Special,
        _ => return None,
    };
    let meta = Meta { mode, uid, gid, rdev, nlink, atime, mtime, ctime, btime: has_btime.then_some(btime) };
    if ino <= lower.max_ino() {
        state.node_mut(lower, ino).ok()?;
    } else {
        state.next_ino = state.next_ino.max(ino.checked_add(1)?);
        state.nodes.entry(ino).or_insert_with(|| Node::new(mode, uid, gid, rdev, data.clone(), ctime));
    }
    let node = state.nodes.get_mut(&ino)?;
    node.meta = meta;
    node.linkable = linkable;
    // A directory's names were set one by one.
    if !matches!((&node.data, &data), (Data::Directory(_), Data::Directory(_))) {
        node.data = data;
    }
    if nlink == 0 {
        state.orphans.insert(ino);
    } else {
        state.orphans.remove(&ino);
    }
    Some(())
}
