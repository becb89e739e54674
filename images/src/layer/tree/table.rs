//! The tree's nodes, names and strings in flat arrays, which need little memory however many there are.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use bytemuck::{Pod, Zeroable};

use crate::error::Error;
use crate::index::FileKind;
use crate::layer::scratch::{COLD, HOT, Scratch};

/// No node, no entry, no directory, no layer.
pub(crate) const NONE: u32 = u32::MAX;

/// The node's directory was named by an entry of the layer, and not only passed through.
pub(super) const EXPLICIT: u32 = 1;
/// What lower layers have in it is gone.
pub(super) const OPAQUE: u32 = 2;
/// Flag of an entry: what lower layers have by this name is gone.
pub(super) const WHITEOUT: u16 = 1;

/// An inode; names are in entries.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Node {
    pub(crate) size: u64,
    pub(crate) mtime_sec: i64,
    /// Ordinal of a regular file in its layer.
    pub(crate) body_n: u64,
    pub(crate) rdev: u64,
    /// As in `st_mode`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime_nsec: u32,
    /// Layer of a regular file, or [`NONE`].
    pub(crate) body_layer: u32,
    /// Target of a symlink, in the strings.
    pub(super) link: u32,
    pub(super) link_len: u32,
    /// Extended attributes as they were encoded by [`Table::put_xattrs`].
    pub(super) xattrs: u32,
    pub(super) xattrs_len: u32,
    /// Entries of a directory: index into the directories, or [`NONE`].
    pub(super) dir: u32,
    pub(super) flags: u32,
    /// The node that stands for this one where a layer occurs twice, or [`NONE`].
    pub(crate) same: u32,
}

/// A name in a directory.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Entry {
    dir: u32,
    name: u32,
    hash: u32,
    /// Or [`NONE`]: there is nothing by this name.
    pub(super) node: u32,
    /// The next entry of the same directory.
    pub(super) next: u32,
    /// The next entry of the same hash bucket.
    chain: u32,
    name_len: u16,
    pub(super) flags: u16,
}

/// The entries of a directory as a list.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Dir {
    first: u32,
    last: u32,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) nodes: Scratch<Node>,
    pub(super) entries: Scratch<Entry>,
    dirs: Scratch<Dir>,
    strings: Scratch<u8>,
    /// First entry of each bucket; a power of two of them.
    buckets: Scratch<u32>,
    /// Keyed by chance, so that nobody can choose names that collide.
    hasher: RandomState,
}

impl Table {
    pub(super) fn new(dir: Option<&Path>) -> Table {
        Table {
            nodes: Scratch::new(dir, COLD),
            entries: Scratch::new(dir, HOT),
            dirs: Scratch::new(dir, HOT / 4),
            strings: Scratch::new(dir, COLD),
            buckets: Scratch::new(dir, HOT / 4),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn text(&self, at: u32, len: u32) -> &[u8] {
        let at = at as usize;
        self.strings.touch(at);
        self.strings.get(at..at + len as usize).unwrap_or_default()
    }

    /// The name of an entry, of which many are compared: its memory is not given back meanwhile.
    pub(super) fn name_in_bulk(&self, entry: u32) -> &[u8] {
        let entry = &self.entries[entry as usize];
        let at = entry.name as usize;
        self.strings.get(at..at + usize::from(entry.name_len)).unwrap_or_default()
    }

    pub(super) fn put_text(&mut self, text: &[u8]) -> Result<(u32, u32), Error> {
        Ok((self.strings.extend(text)?, text.len() as u32))
    }

    /// Encodes extended attributes: lengths of name and value, name, value.
    pub(super) fn put_xattrs(&mut self, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<(u32, u32), Error> {
        let at = self.strings.len();
        for (name, value) in xattrs {
            self.strings.extend(&(name.len() as u32).to_le_bytes())?;
            self.strings.extend(&(value.len() as u32).to_le_bytes())?;
            self.strings.extend(name)?;
            self.strings.extend(value)?;
        }
        Ok((at as u32, (self.strings.len() - at) as u32))
    }

    pub(super) fn xattrs(&self, node: &Node) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.text(node.xattrs, node.xattrs_len);
        std::iter::from_fn(move || {
            let (name_len, tail) = rest.split_first_chunk::<4>()?;
            let (value_len, tail) = tail.split_first_chunk::<4>()?;
            let (name, tail) = tail.split_at_checked(u32::from_le_bytes(*name_len) as usize)?;
            let (value, tail) = tail.split_at_checked(u32::from_le_bytes(*value_len) as usize)?;
            rest = tail;
            Some((name, value))
        })
    }

    /// A directory without entries.
    pub(super) fn new_dir(&mut self) -> Result<u32, Error> {
        self.dirs.push(Dir { first: NONE, last: NONE })
    }

    /// The first entry of a directory; the others follow by `next`.
    pub(super) fn first_entry(&self, dir: u32) -> u32 {
        if dir == NONE { NONE } else { self.dirs.at(dir).first }
    }

    pub(super) fn name(&self, entry: &Entry) -> &[u8] {
        self.text(entry.name, entry.name_len.into())
    }

    fn hash(&self, dir: u32, name: &[u8]) -> u32 {
        self.hasher.hash_one((dir, name)) as u32
    }

    /// The entry of a directory by name; it may be one of nothing.
    pub(super) fn find(&self, dir: u32, name: &[u8]) -> Option<u32> {
        self.find_hashed(dir, name, self.hash(dir, name))
    }

    fn find_hashed(&self, dir: u32, name: &[u8], hash: u32) -> Option<u32> {
        let bucket = hash as usize & self.buckets.len().checked_sub(1)?;
        let mut at = *self.buckets.at(bucket as u32);
        while at != NONE {
            let entry = self.entries.at(at);
            if entry.hash == hash && entry.dir == dir && self.name(entry) == name {
                return Some(at);
            }
            at = entry.chain;
        }
        None
    }

    /// The entry of a directory by name, made if it is missing.
    pub(super) fn entry(&mut self, dir: u32, name: &[u8]) -> Result<u32, Error> {
        let hash = self.hash(dir, name);
        if let Some(known) = self.find_hashed(dir, name, hash) {
            return Ok(known);
        }
        let (at, len) = self.put_text(name)?;
        self.add_entry(dir, at, len as u16, hash)
    }

    /// The same with the name of another entry.
    pub(super) fn entry_like(&mut self, dir: u32, other: &Entry) -> Result<u32, Error> {
        let (at, len) = (other.name, other.name_len);
        let hash = self.hash(dir, self.text(at, len.into()));
        match self.find_hashed(dir, self.text(at, len.into()), hash) {
            Some(known) => Ok(known),
            None => self.add_entry(dir, at, len, hash),
        }
    }

    fn add_entry(&mut self, dir: u32, name: u32, name_len: u16, hash: u32) -> Result<u32, Error> {
        if self.entries.len() >= self.buckets.len() {
            self.more_buckets()?;
        }
        let bucket = hash as usize & (self.buckets.len() - 1);
        let chain = *self.buckets.at(bucket as u32);
        let entry = Entry { dir, name, hash, node: NONE, next: NONE, chain, name_len, flags: 0 };
        let id = self.entries.push(entry)?;
        *self.buckets.at_mut(bucket as u32) = id;
        let list = self.dirs.at_mut(dir);
        let last = std::mem::replace(&mut list.last, id);
        if last == NONE {
            list.first = id;
        } else {
            self.entries.at_mut(last).next = id;
        }
        Ok(id)
    }

    fn more_buckets(&mut self) -> Result<(), Error> {
        let more = self.buckets.len().max(64);
        let fresh = [NONE; 1024];
        let mut left = more;
        while left > 0 {
            let n = left.min(fresh.len());
            self.buckets.extend(&fresh[..n])?;
            left -= n;
        }
        self.buckets.fill(NONE);
        let mask = self.buckets.len() as u32 - 1;
        for id in 0..self.entries.len() as u32 {
            let entry = self.entries.at_mut(id);
            entry.chain = std::mem::replace(self.buckets.at_mut(entry.hash & mask), id);
        }
        Ok(())
    }

    pub(super) fn is_dir(&self, node: u32) -> bool {
        FileKind::of_mode(self.nodes.at(node).mode) == Some(FileKind::Directory)
    }

    /// Names will not be looked up any more.
    pub(super) fn forget_buckets(&mut self) {
        self.buckets = Scratch::new(None, HOT);
    }

    /// Gives the memory of what was gone through back.
    pub(super) fn release(&self) {
        self.nodes.release();
        self.strings.release();
    }
}
