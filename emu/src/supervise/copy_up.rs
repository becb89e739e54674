//! Filling a new volume with what the image has at its mountpoint, as Docker does for named volumes.

use crate::err;
use crate::errno::{Errno, host_io};
use crate::vfs::{CreateKind, InodeRef, Kind, OpenRequest, Opened, SetAttr, SetTime, XattrFlags};

/// Copies all that is below directory `from` into directory `to`, if that is empty, with owners, modes and times.
pub(super) fn fill(from: &InodeRef, to: &InodeRef) -> Result<(), Errno> {
    let mut is_empty = true;
    to.readdir(0, &mut |entry| {
        is_empty = entry.name == b"." || entry.name == b"..";
        is_empty
    })?;
    if !is_empty {
        return Ok(());
    }
    let mut done: Vec<(InodeRef, InodeRef)> = Vec::new();
    let mut rest = vec![(from.clone(), to.clone())];
    while let Some((from, to)) = rest.pop() {
        let mut names = Vec::new();
        from.readdir(0, &mut |entry| {
            if entry.name != b"." && entry.name != b".." {
                names.push(entry.name);
            }
            true
        })?;
        for name in names {
            let source = from.lookup(&name)?;
            let copy = copy(&source, &to, &name)?;
            if source.kind() == Kind::Directory {
                rest.push((source, copy));
            } else {
                attributes(&source, &copy)?;
            }
        }
        done.push((from, to));
    }
    // Filling a directory changes its times.
    done.iter().rev().try_for_each(|(from, to)| attributes(from, to))
}

fn copy(source: &InodeRef, dir: &InodeRef, name: &[u8]) -> Result<InodeRef, Errno> {
    let attr = source.attr()?;
    let what = match attr.kind() {
        Kind::Regular => CreateKind::Regular,
        Kind::Directory => CreateKind::Directory,
        Kind::Symlink => CreateKind::Symlink(source.readlink()?),
        Kind::Fifo => CreateKind::Fifo,
        Kind::Socket => CreateKind::Socket,
        kind => CreateKind::Device(kind, attr.rdev),
    };
    let copy = dir.create(name, what, attr.mode & 0o7777, attr.uid, attr.gid)?;
    if attr.kind() == Kind::Regular && attr.size > 0 {
        let mut body = std::fs::File::from(source.open_body()?);
        match copy.open(&OpenRequest { flags: libc::O_WRONLY, tid: 0 })? {
            Opened::Fd(fd) => {
                std::io::copy(&mut body, &mut std::fs::File::from(fd)).map_err(|e| host_io(&e))?;
            }
            Opened::Blocking(..) => return Err(err!(EIO)),
        }
    }
    Ok(copy)
}

fn attributes(from: &InodeRef, to: &InodeRef) -> Result<(), Errno> {
    let attr = from.attr()?;
    to.setattr(&SetAttr { uid: Some(attr.uid), gid: Some(attr.gid), ..SetAttr::default() })?;
    if attr.kind() != Kind::Symlink {
        to.setattr(&SetAttr { mode: Some(attr.mode & 0o7777), ..SetAttr::default() })?;
    }
    for name in from.listxattr()? {
        if let Ok(value) = from.getxattr(&name) {
            // A host file system without attributes loses them.
            let _ = to.setxattr(&name, &value, XattrFlags::empty());
        }
    }
    let (atime, mtime) = (SetTime::At(attr.atime), SetTime::At(attr.mtime));
    to.setattr(&SetAttr { atime: Some(atime), mtime: Some(mtime), ..SetAttr::default() })
}
