//! Trees of files that a build copies from: a build context, an image, an unpacked archive.
//!
//! Nothing of them lies on the host as files of these names, so no name in them can lead anywhere else.

use crate::engine::error::{Error, Result};
use carrack_images::FileKind;
use carrack_images::build::glob;
use carrack_images::build::ignore::Ignore;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fmt::Debug;
use std::io::Read;

/// Most symbolic links on one way, as Linux has it.
const LINKS_MAX: usize = 40;

/// A file or directory of a tree.
pub(super) type Node = u64;

/// The attributes of a file.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) kind: FileKind,
    /// Permission bits, 07777.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since the epoch.
    pub(super) mtime: i64,
    pub(super) size: u64,
    /// As in `st_rdev`.
    pub(super) rdev: u64,
    /// Target of a symbolic link.
    pub(super) link: Vec<u8>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// A directory that nobody described: it only is on the way to something.
    pub(super) is_implied: bool,
}

/// Something to copy from. Calls may block on the disk.
pub(super) trait Tree: Send + Sync + Debug {
    fn root(&self) -> Node;
    /// `None`: no such entry, or no directory.
    fn lookup(&self, dir: Node, name: &[u8]) -> Option<Node>;
    /// Names and nodes, sorted by the names' bytes.
    fn entries(&self, dir: Node) -> Vec<(Vec<u8>, Node)>;
    fn meta(&self, node: Node) -> Result<Meta>;
    /// SHA-256 of a regular file's bytes, or of something that stands for them.
    fn digest(&self, node: Node) -> Result<[u8; 32]>;
    fn open(&self, node: Node) -> Result<Box<dyn Read + Send>>;
}

/// Where a path leads.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Names from the root on, without symbolic links.
    pub(super) path: Vec<Vec<u8>>,
    pub(super) node: Node,
}

/// Components of a path: `.` is nothing, `..` is kept.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".")
}

/// Follows a path from the root, symbolic links included, which lead nowhere outside. `None`: there is nothing.
pub(super) fn resolve(tree: &dyn Tree, path: &[u8], follow_last: bool) -> Result<Option<Found>> {
    let mut todo: VecDeque<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
    let mut way: Vec<(Vec<u8>, Node)> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == b".." {
            way.pop();
            continue;
        }
        let here = way.last().map_or(tree.root(), |(_, node)| *node);
        let Some(node) = tree.lookup(here, &name) else { return Ok(None) };
        let meta = tree.meta(node)?;
        if meta.kind == FileKind::Symlink && (follow_last || !todo.is_empty()) {
            links += 1;
            if links > LINKS_MAX {
                return Err(Error::invalid(format!("{}: too many levels of symbolic links", show(path))));
            }
            if meta.link.starts_with(b"/") {
                way.clear();
            }
            for part in components(&meta.link).map(<[u8]>::to_vec).collect::<Vec<_>>().into_iter().rev() {
                todo.push_front(part);
            }
            continue;
        }
        way.push((name, node));
    }
    let node = way.last().map_or(tree.root(), |(_, node)| *node);
    Ok(Some(Found { path: way.into_iter().map(|(name, _)| name).collect(), node }))
}

/// A whole small file; `None`: there is none.
pub(super) fn read_small(tree: &dyn Tree, path: &[u8], most: u64) -> Result<Option<Vec<u8>>> {
    let Some(found) = resolve(tree, path, true)? else { return Ok(None) };
    if tree.meta(found.node)?.kind != FileKind::Regular {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    tree.open(found.node)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Error::invalid(format!("{} has more than {most} bytes", show(path))));
    }
    Ok(Some(bytes))
}

/// All that a pattern matches, sorted: each component for itself, `**` any number of directories.
pub(super) fn matching(tree: &dyn Tree, pattern: &str) -> Result<Vec<Found>> {
    let parts: Vec<&str> = pattern.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let mut all = Vec::new();
    let mut stack = vec![(Vec::<Vec<u8>>::new(), tree.root(), 0)];
    while let Some((path, node, at)) = stack.pop() {
        let Some(part) = parts.get(at) else {
            all.push(Found { path, node });
            continue;
        };
        if *part == ".." {
            return Err(Error::invalid("a pattern cannot have \"..\""));
        }
        let is_deep = *part == "**";
        if is_deep {
            stack.push((path.clone(), node, at + 1));
        }
        for (name, child) in tree.entries(node) {
            let is_dir = tree.meta(child)?.kind == FileKind::Directory;
            let fits = is_deep && is_dir
                || !is_deep
                    && glob::matches(part, &String::from_utf8_lossy(&name))
                        .map_err(|e| Error::invalid(e.to_string()))?;
            if fits {
                let path = [path.clone(), vec![name]].concat();
                stack.push((path, child, if is_deep { at } else { at + 1 }));
            }
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all.dedup_by(|a, b| a.path == b.path);
    Ok(all)
}

/// A digest of everything at and below a node that a copy would show: names, attributes, bytes, not times.
pub(super) fn sum(tree: &dyn Tree, node: Node, exclude: &Ignore) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut stack = vec![(Vec::<u8>::new(), node)];
    while let Some((path, node)) = stack.pop() {
        let meta = tree.meta(node)?;
        if !path.is_empty() && exclude.leaves_out(&String::from_utf8_lossy(&path)) {
            if meta.kind != FileKind::Directory || !exclude.has_exceptions() {
                continue;
            }
        } else {
            let mut field = |bytes: &[u8]| {
                hasher.update((bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            };
            field(&path);
            field(&meta.link);
            for (name, value) in &meta.xattrs {
                field(name);
                field(value);
            }
            for number in [meta.kind.mode_bits() | meta.mode, meta.uid, meta.gid] {
                hasher.update(number.to_le_bytes());
            }
            hasher.update(meta.rdev.to_le_bytes());
            if meta.kind == FileKind::Regular {
                hasher.update(tree.digest(node)?);
            }
        }
        if meta.kind == FileKind::Directory {
            for (name, child) in tree.entries(node).into_iter().rev() {
                let below = if path.is_empty() { name } else { [&path, &b"/"[..], &name].concat() };
                stack.push((below, child));
            }
        }
    }
    Ok(hasher.finalize().into())
}

/// A path as it may be put into a message.
pub(super) fn show(path: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(&path[..path.len().min(MOST)]).into_owned();
    if path.len() > MOST { format!("{text}…") } else { text }
}
