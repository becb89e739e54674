//! Layers merged into one tree.
//!
//! A layer is first made a tree of its own, as unpacking it into an empty directory would, and is then laid
//! over what is below, as overlayfs does: a directory over a directory is merged, everything else hides what
//! it covers. So the order of entries within a layer and whiteouts never interfere.

use std::io::Read;
use std::path::Path;

use super::record::{NodeRecord, Reader, Record};
use crate::Error;
use crate::index::{FileKind, Timespec};
use crate::tar::path::show;
use table::{EXPLICIT, OPAQUE, Table, WHITEOUT};
pub(crate) use table::{NONE, Node};

mod table;

/// Most symlinks followed on the way to one name (as in path_resolution(7)).
const SYMLINKS_MAX: usize = 40;
/// What stat shows as the size of a directory.
const DIR_SIZE: u64 = 4096;
/// Bytes of the names of one directory that are sorted in memory.
const NAMES_MAX: usize = 4 << 20;

/// A node of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An entry of a directory of a [`Tree`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryId(u32);

/// The merged tree.
#[derive(Debug)]
pub(crate) struct Tree {
    table: Table,
    root: NodeId,
    repeated: bool,
}

impl Tree {
    /// An empty root directory. A tree that becomes big is kept in files without name in `scratch`, or in
    /// memory if there is none.
    pub(crate) fn new(scratch: Option<&Path>) -> Result<Tree, Error> {
        let mut tree = Tree { table: Table::new(scratch), root: NodeId(0), repeated: false };
        tree.root = tree.add_directory(Timespec { sec: 0, nsec: 0 })?;
        Ok(tree)
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    /// Number of nodes, those that are not reachable any more included.
    pub(crate) fn len(&self) -> usize {
        self.table.nodes.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.table.nodes.at(id.0)
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.table.nodes.at_mut(id.0)
    }

    pub(crate) fn symlink(&self, id: NodeId) -> Option<&[u8]> {
        let node = self.node(id);
        let is_link = FileKind::of_mode(node.mode) == Some(FileKind::Symlink);
        is_link.then(|| self.table.text(node.link, node.link_len))
    }

    /// Sorted by name, as they came.
    pub(crate) fn xattrs(&self, id: NodeId) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.table.xattrs(self.node(id))
    }

    /// As stat(2) shows it.
    pub(crate) fn size(&self, id: NodeId) -> u64 {
        let node = self.node(id);
        match FileKind::of_mode(node.mode) {
            Some(FileKind::Regular) => node.size,
            Some(FileKind::Directory) => DIR_SIZE,
            Some(FileKind::Symlink) => node.link_len.into(),
            _ => 0,
        }
    }

    /// The entries of a directory in no order; of anything else none.
    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = EntryId> {
        let mut at = self.table.first_entry(self.node(id).dir);
        std::iter::from_fn(move || {
            loop {
                if at == NONE {
                    return None;
                }
                let (id, entry) = (at, self.table.entries.at(at));
                at = entry.next;
                if entry.node != NONE {
                    return Some(EntryId(id));
                }
            }
        })
    }

    /// Sorts the entries of a directory by name. The first part of each pair and `names` are for this function,
    /// which may be called again with what it left.
    pub(crate) fn sort(&self, entries: &mut [(u64, EntryId)], names: &mut Vec<u8>) {
        names.clear();
        for (place, entry) in entries.iter_mut() {
            let name = self.entry(*entry).0;
            if names.len() + name.len() > NAMES_MAX {
                return self.sort_many(entries);
            }
            *place = ((names.len() as u64) << 16) | name.len() as u64;
            names.extend_from_slice(name);
        }
        let name = |place: u64| &names[(place >> 16) as usize..][..(place & 0xffff) as usize];
        entries.sort_unstable_by(|(a, _), (b, _)| name(*a).cmp(name(*b)));
    }

    /// The same for names that do not fit into memory together.
    fn sort_many(&self, entries: &mut [(u64, EntryId)]) {
        for (first, entry) in entries.iter_mut() {
            let mut bytes = [0; 8];
            let name = self.entry(*entry).0;
            let len = name.len().min(8);
            bytes[..len].copy_from_slice(&name[..len]);
            *first = u64::from_be_bytes(bytes);
        }
        let name = |e: EntryId| self.table.name_in_bulk(e.0);
        entries.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| name(*x).cmp(name(*y))));
        self.table.release();
    }

    /// The name of an entry, and what has it.
    pub(crate) fn entry(&self, id: EntryId) -> (&[u8], NodeId) {
        let entry = self.table.entries.at(id.0);
        (self.table.name(entry), NodeId(entry.node))
    }

    /// Says that a layer is about to be applied again.
    pub(crate) fn set_repeated_layers(&mut self) {
        self.repeated = true;
    }

    /// No more layers will follow.
    ///
    /// Where a layer was applied twice, two nodes may have one body. A body names its inode, so one node has to
    /// stand for both (they say the same): sets [`Node::same`].
    pub(crate) fn finish(&mut self) {
        self.table.forget_buckets();
        if !self.repeated {
            return;
        }
        let nodes = &mut self.table.nodes;
        let with_body = (0..nodes.len() as u32).filter(|&i| nodes[i as usize].body_layer != NONE);
        let mut order: Vec<u32> = with_body.collect();
        let key = |n: &Node| (n.body_layer, n.body_n);
        order.sort_unstable_by_key(|&i| (key(&nodes[i as usize]), i));
        for pair in 1..order.len() {
            let (before, this) = (order[pair - 1] as usize, order[pair] as usize);
            if key(&nodes[before]) == key(&nodes[this]) {
                let first = if nodes[before].same == NONE { before as u32 } else { nodes[before].same };
                nodes[this].same = first;
            }
        }
    }

    /// Gives mapped memory back to the page cache.
    pub(crate) fn release(&self) {
        self.table.release();
    }

    /// Lays a layer over the tree. `layer` is its index in the index to be.
    ///
    /// # Errors
    /// [`Error::InvalidTar`] for a hard link to nothing, something below a file, or a loop of symlinks; the host's.
    pub(crate) fn apply<R: Read>(&mut self, layer: u32, records: &mut Reader<R>) -> Result<(), Error> {
        let upper = self.add_directory(Timespec { sec: 0, nsec: 0 })?;
        while let Some(record) = records.next()? {
            self.place(upper, layer, record)?;
        }
        self.merge(self.root, upper)
    }

    fn add_directory(&mut self, mtime: Timespec) -> Result<NodeId, Error> {
        let dir = self.table.new_dir()?;
        self.add(Node {
            mtime_sec: mtime.sec,
            mtime_nsec: mtime.nsec,
            mode: FileKind::Directory.mode_bits() | 0o755,
            body_layer: NONE,
            dir,
            same: NONE,
            ..bytemuck::Zeroable::zeroed()
        })
    }

    fn add(&mut self, node: Node) -> Result<NodeId, Error> {
        self.table.nodes.push(node).map(NodeId)
    }

    /// The node that a record makes, except for the entries of a directory.
    fn node_of(&mut self, record: &NodeRecord, layer: u32) -> Result<Node, Error> {
        let (link, link_len) = self.table.put_text(&record.link)?;
        let (xattrs, xattrs_len) = self.table.put_xattrs(&record.xattrs)?;
        Ok(Node {
            size: record.size,
            mtime_sec: record.mtime.sec,
            mtime_nsec: record.mtime.nsec,
            body_n: record.n,
            rdev: record.rdev,
            mode: record.kind.mode_bits() | record.mode,
            uid: record.uid,
            gid: record.gid,
            body_layer: if record.kind == FileKind::Regular { layer } else { NONE },
            link,
            link_len,
            xattrs,
            xattrs_len,
            dir: NONE,
            flags: EXPLICIT,
            same: NONE,
        })
    }

    fn child(&self, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        let key = self.node(dir).dir;
        let entry = self.table.find(key, name).filter(|_| key != NONE)?;
        Some(self.table.entries.at(entry).node).filter(|&n| n != NONE).map(NodeId)
    }

    /// Gives a node a name, in place of what had it.
    fn insert(&mut self, dir: NodeId, name: &[u8], node: NodeId) -> Result<(), Error> {
        let key = self.node(dir).dir;
        let entry = self.table.entry(key, name)?;
        self.table.entries.at_mut(entry).node = node.0;
        Ok(())
    }

    /// One record, in the tree of its own layer.
    fn place(&mut self, upper: NodeId, layer: u32, record: Record) -> Result<(), Error> {
        match record {
            Record::Node(record) => self.place_node(upper, layer, *record),
            Record::HardLink { path, target } => {
                let missing = || {
                    let (path, target) = (show(&path), show(&target));
                    Error::InvalidTar(format!("hard link {path} to {target}: no such file"))
                };
                let found = self.find(upper, &target).or_else(|| self.find(self.root, &target));
                let found = found.filter(|f| !self.table.is_dir(f.0)).ok_or_else(missing)?;
                let mtime = self.mtime(found);
                match self.parent(upper, &path, mtime)? {
                    (dir, Some(name)) => self.insert(dir, name, found),
                    (_, None) => Ok(()),
                }
            }
            Record::Whiteout { path } => {
                let (dir, name) = self.parent(upper, &path, Timespec { sec: 0, nsec: 0 })?;
                if let Some(name) = name {
                    let entry = self.table.entry(self.node(dir).dir, name)?;
                    self.table.entries.at_mut(entry).flags |= WHITEOUT;
                }
                Ok(())
            }
            Record::Opaque { dir } => {
                let id = self.make_dirs(upper, &dir, Timespec { sec: 0, nsec: 0 })?;
                self.node_mut(id).flags |= OPAQUE;
                Ok(())
            }
        }
    }

    fn mtime(&self, id: NodeId) -> Timespec {
        let node = self.node(id);
        Timespec { sec: node.mtime_sec, nsec: node.mtime_nsec }
    }

    fn place_node(&mut self, upper: NodeId, layer: u32, record: NodeRecord) -> Result<(), Error> {
        let (dir, name) = self.parent(upper, &record.path, record.mtime)?;
        let Some(name) = name else {
            // The root itself: as in Docker its mode and owner are not the archive's to say (archives made
            // of a `mktemp -d` would lock everybody out), but its time is.
            let root = self.node_mut(upper);
            (root.mtime_sec, root.mtime_nsec) = (record.mtime.sec, record.mtime.nsec);
            return Ok(());
        };
        let mut node = self.node_of(&record, layer)?;
        if record.kind == FileKind::Directory {
            if let Some(old) = self.child(dir, name).filter(|old| self.table.is_dir(old.0)) {
                let slot = self.node_mut(old);
                *slot = Node { dir: slot.dir, flags: slot.flags | EXPLICIT, ..node };
                return Ok(());
            }
            node.dir = self.table.new_dir()?;
        }
        let id = self.add(node)?;
        self.insert(dir, name, id)
    }

    /// The directory that a path's last component is in, made where it is missing, and that component.
    fn parent<'p>(
        &mut self,
        root: NodeId,
        path: &'p [u8],
        mtime: Timespec,
    ) -> Result<(NodeId, Option<&'p [u8]>), Error> {
        let Some(cut) = path.iter().rposition(|&b| b == b'/') else {
            return Ok((root, (!path.is_empty()).then_some(path)));
        };
        Ok((self.make_dirs(root, &path[..cut], mtime)?, Some(&path[cut + 1..])))
    }

    /// `mkdir -p` in a layer's tree; symlinks of the same layer are followed within the root.
    fn make_dirs(&mut self, root: NodeId, path: &[u8], mtime: Timespec) -> Result<NodeId, Error> {
        let mut walk = Walk::new(root, path);
        while let Some(name) = walk.next_name() {
            match self.child(walk.at(), &name) {
                Some(child) if self.table.is_dir(child.0) => walk.enter(child),
                Some(child) => match self.symlink(child) {
                    Some(target) => walk.follow(target).map_err(|e| bad_path(path, e))?,
                    None => return Err(bad_path(path, "a parent is not a directory")),
                },
                None => {
                    let made = self.add_directory(mtime)?;
                    self.insert(walk.at(), &name, made)?;
                    walk.enter(made);
                }
            }
        }
        Ok(walk.at())
    }

    /// What a path names; symlinks before the last component are followed within the root.
    fn find(&self, root: NodeId, path: &[u8]) -> Option<NodeId> {
        let (dirs, last) = match path.iter().rposition(|&b| b == b'/') {
            Some(cut) => (&path[..cut], &path[cut + 1..]),
            None => (&b""[..], path),
        };
        let mut walk = Walk::new(root, dirs);
        while let Some(name) = walk.next_name() {
            let child = self.child(walk.at(), &name)?;
            match self.symlink(child) {
                Some(target) => walk.follow(target).ok()?,
                None => walk.enter(child),
            }
        }
        self.child(walk.at(), last)
    }

    /// Lays the directory `upper` over `lower`.
    fn merge(&mut self, lower: NodeId, upper: NodeId) -> Result<(), Error> {
        let mut todo = vec![(lower, upper)];
        while let Some((lower, upper)) = todo.pop() {
            let over = *self.node(upper);
            // A layer's root says only its time.
            let root_with_time = lower == self.root && (over.mtime_sec, over.mtime_nsec) != (0, 0);
            if over.flags & EXPLICIT != 0 || root_with_time {
                let explicit = over.flags & EXPLICIT != 0;
                let to = self.node_mut(lower);
                (to.mtime_sec, to.mtime_nsec) = (over.mtime_sec, over.mtime_nsec);
                if explicit {
                    (to.mode, to.uid, to.gid) = (over.mode, over.uid, over.gid);
                    (to.xattrs, to.xattrs_len) = (over.xattrs, over.xattrs_len);
                }
            }
            if over.flags & OPAQUE != 0 {
                // What it had is not to be found any more.
                self.node_mut(lower).dir = self.table.new_dir()?;
            }
            let under = self.node(lower).dir;
            let mut at = self.table.first_entry(over.dir);
            while at != NONE {
                let entry = *self.table.entries.at(at);
                if entry.flags & WHITEOUT != 0
                    && let Some(hidden) = self.table.find(under, self.table.name(&entry))
                {
                    self.table.entries.at_mut(hidden).node = NONE;
                }
                at = entry.next;
            }
            let mut at = self.table.first_entry(over.dir);
            while at != NONE {
                let entry = *self.table.entries.at(at);
                at = entry.next;
                if entry.node == NONE {
                    continue;
                }
                let place = self.table.entry_like(under, &entry)?;
                let old = self.table.entries.at(place).node;
                if old != NONE && self.table.is_dir(old) && self.table.is_dir(entry.node) {
                    todo.push((NodeId(old), NodeId(entry.node)));
                } else {
                    self.table.entries.at_mut(place).node = entry.node;
                }
            }
        }
        Ok(())
    }
}

fn bad_path(path: &[u8], why: &str) -> Error {
    Error::InvalidTar(format!("{}: {why}", show(path)))
}

/// The state of a path walk that cannot leave its root.
struct Walk {
    /// The way from the root; never empty.
    way: Vec<NodeId>,
    /// Components still to go, the next one last.
    rest: Vec<Box<[u8]>>,
    links: usize,
}

impl Walk {
    fn new(root: NodeId, path: &[u8]) -> Walk {
        let mut walk = Walk { way: vec![root], rest: Vec::new(), links: 0 };
        walk.push(path);
        walk
    }

    fn push(&mut self, path: &[u8]) {
        let names = path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".");
        self.rest.extend(names.rev().map(Box::from));
    }

    fn at(&self) -> NodeId {
        self.way[self.way.len() - 1]
    }

    /// The next component that is a name; `..` is done here.
    fn next_name(&mut self) -> Option<Box<[u8]>> {
        loop {
            let name = self.rest.pop()?;
            if *name != *b".." {
                return Some(name);
            }
            if self.way.len() > 1 {
                self.way.pop();
            }
        }
    }

    fn enter(&mut self, dir: NodeId) {
        self.way.push(dir);
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), &'static str> {
        self.links += 1;
        if self.links > SYMLINKS_MAX {
            return Err("too many levels of symbolic links");
        }
        if target.first() == Some(&b'/') {
            self.way.truncate(1);
        }
        self.push(target);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
