//! Whether an index is one that [`super::build`] could have written. After this, every walk over it ends and
//! every accessor finds what it looks for, whatever the file held.

use super::layout::{NONE, View};
use super::{FileKind, Index};
use crate::tar::path::{NAME_MAX, PATH_MAX};

/// Inodes between two calls of `release`.
const RELEASE_EVERY: usize = 4096;

/// Says what is wrong. `release` is called from time to time, to give back the memory of what was looked at.
pub(super) fn validate(view: &View<'_>, release: &dyn Fn()) -> Result<(), &'static str> {
    layers(view)?;
    let links = dirents(view, release)?;
    let with_body = inodes(view, &links, release)?;
    release();
    bodies(view, with_body, release)?;
    release();
    Ok(())
}

fn layers(view: &View<'_>) -> Result<(), &'static str> {
    for layer in view.layers {
        let hex = view.string_checked(layer.hex, layer.hex_len).ok_or("a layer's digest lies outside")?;
        if hex.len() != 64 || !hex.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err("a layer's digest is no digest");
        }
    }
    Ok(())
}

/// Checks all directories and their entries; the number of entries that each inode has.
///
/// Directories are numbered breadth first and their entries lie in that order. Requiring it proves that no
/// two directories share entries and that the tree has no cycle.
fn dirents(view: &View<'_>, release: &dyn Fn()) -> Result<Vec<u32>, &'static str> {
    let root = view.inode(Index::ROOT).ok_or("no root")?;
    if FileKind::of_mode(root.mode) != Some(FileKind::Directory) || root.parent != NONE {
        return Err("the root is no directory");
    }
    let mut links = vec![0u32; view.inodes.len()];
    let mut next = 0usize;
    let mut looked_at = 0;
    for (i, inode) in view.inodes.iter().enumerate() {
        if i % RELEASE_EVERY == 0 {
            release();
        }
        if FileKind::of_mode(inode.mode) != Some(FileKind::Directory) {
            continue;
        }
        let (first, count) = (inode.first as usize, inode.count as usize);
        if first != next {
            return Err("a directory's entries are out of order");
        }
        next = first.checked_add(count).ok_or("a directory's entries lie outside")?;
        let entries = view.dirents.get(first..next).ok_or("a directory's entries lie outside")?;
        let mut previous: &[u8] = b"";
        for entry in entries {
            looked_at += 1;
            if looked_at % RELEASE_EVERY == 0 {
                release();
            }
            let name = view.string_checked(entry.name, entry.name_len.into()).ok_or("a name lies outside")?;
            if name.is_empty() || name.len() > NAME_MAX || name == b"." || name == b".." {
                return Err("a name is no name");
            }
            if name.iter().any(|&b| b == b'/' || b == 0) {
                return Err("a name is no name");
            }
            if name <= previous {
                return Err("names are not sorted");
            }
            previous = name;
            let target = view.inode(entry.ino.into()).ok_or("an entry of no inode")?;
            let kind = FileKind::of_mode(target.mode).ok_or("an inode of no kind")?;
            if kind.dt() != entry.kind {
                return Err("an entry of another kind than its inode");
            }
            if kind == FileKind::Directory && (entry.ino as usize <= i + 1 || target.parent as usize != i + 1)
            {
                return Err("a directory below itself");
            }
            let count = links.get_mut(entry.ino as usize - 1).ok_or("an entry of no inode")?;
            *count = count.checked_add(1).ok_or("too many links")?;
        }
    }
    if next != view.dirents.len() {
        return Err("entries of no directory");
    }
    Ok(links)
}

/// Checks all inodes; how many have a body.
fn inodes(view: &View<'_>, links: &[u32], release: &dyn Fn()) -> Result<usize, &'static str> {
    let mut with_body = 0;
    let mut xattr = 0usize;
    for (i, (inode, &links)) in view.inodes.iter().zip(links).enumerate() {
        if i % RELEASE_EVERY == 0 {
            release();
        }
        let kind = FileKind::of_mode(inode.mode).ok_or("an inode of no kind")?;
        if inode.mtime_nsec >= 1_000_000_000 {
            return Err("a time with too many nanoseconds");
        }
        let is_root = i == 0;
        match kind {
            FileKind::Directory if is_root && links != 0 => return Err("the root is below something"),
            FileKind::Directory if !is_root && links != 1 => return Err("a directory with several names"),
            FileKind::Directory => {}
            _ if links == 0 || links != inode.nlink => return Err("a wrong number of links"),
            _ => {}
        }
        if kind == FileKind::Symlink {
            let target =
                view.string_checked(inode.first, inode.count).ok_or("a symlink's target lies outside")?;
            if target.is_empty() || target.len() > PATH_MAX || target.contains(&0) {
                return Err("a symlink's target is no path");
            }
        }
        if inode.body_layer != NONE
            && (kind != FileKind::Regular || inode.body_layer as usize >= view.layers.len())
        {
            return Err("a body where none can be");
        }
        with_body += usize::from(inode.body_layer != NONE);
        if !is_root {
            let parent = view.inode(inode.parent.into()).ok_or("an inode of no directory")?;
            let entry = view.dirents.get(inode.alias as usize).ok_or("an inode of no entry")?;
            let within = inode.alias.checked_sub(parent.first).is_some_and(|k| k < parent.count);
            if FileKind::of_mode(parent.mode) != Some(FileKind::Directory)
                || !within
                || entry.ino as usize != i + 1
            {
                return Err("an inode whose entry is another's");
            }
        }
        xattr = xattrs(view, inode, xattr)?;
    }
    if xattr != view.xattrs.len() {
        return Err("extended attributes of nobody");
    }
    Ok(with_body)
}

fn xattrs(view: &View<'_>, inode: &super::layout::Inode, next: usize) -> Result<usize, &'static str> {
    const OUTSIDE: &str = "an extended attribute lies outside";
    if inode.xattr_count == 0 {
        return Ok(next);
    }
    if inode.xattr_first as usize != next {
        return Err("extended attributes are out of order");
    }
    let end = next.checked_add(inode.xattr_count as usize).ok_or(OUTSIDE)?;
    let mut previous: &[u8] = b"";
    for x in view.xattrs.get(next..end).ok_or(OUTSIDE)? {
        let name = view.string_checked(x.name, x.name_len).ok_or(OUTSIDE)?;
        view.string_checked(x.value, x.value_len).ok_or(OUTSIDE)?;
        if name <= previous || name.len() > 255 || name.contains(&0) {
            return Err("extended attributes are not sorted");
        }
        previous = name;
    }
    Ok(end)
}

fn bodies(view: &View<'_>, with_body: usize, release: &dyn Fn()) -> Result<(), &'static str> {
    let mut previous = None;
    for (i, body) in view.bodies.iter().enumerate() {
        if i % RELEASE_EVERY == 0 {
            release();
        }
        let key = (body.layer, body.n);
        if previous.is_some_and(|p| p >= key) {
            return Err("bodies are not sorted");
        }
        previous = Some(key);
        let inode = view.inode(body.ino.into()).ok_or("a body of no inode")?;
        if (inode.body_layer, inode.body_n) != key {
            return Err("a body of another inode");
        }
    }
    if with_body != view.bodies.len() {
        return Err("a wrong number of bodies");
    }
    Ok(())
}
