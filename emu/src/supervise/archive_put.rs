//! Files into the container: `docker cp` to it, done as the container's root.

use super::paths::{self, Follow, Found};
use super::supervisor::Supervisor;
use super::{Failure, archive, user};
use crate::control::ErrorKind;
use crate::errno::{Errno, host_io};
use crate::vfs::{
    CreateKind, InodeRef, Kind, MountNs, OpenRequest, Opened, SetAttr, SetTime, Timespec, XattrFlags,
    same_inode,
};
use crate::{bail, err};
use std::io::{self, Read};
use tar::{Archive, Entry, EntryType};

/// Longest symlink target, bytes.
const MAX_LINK: usize = 4095;

/// Where an archive goes.
#[derive(Debug)]
pub(super) struct Target<'a> {
    ns: &'a MountNs,
    dir: Found,
    no_overwrite_dir_non_dir: bool,
    /// Owner of everything, instead of what the archive says.
    owner: Option<(u32, u32)>,
}

/// Checks the directory that an archive is to be unpacked in.
pub(super) fn open<'a>(
    s: &'a Supervisor,
    path: &str,
    no_overwrite_dir_non_dir: bool,
    copy_uid_gid: bool,
) -> Result<Target<'a>, Failure> {
    let ns = &s.kernel.mounts;
    let dir = paths::lookup(ns, None, path.as_bytes(), Follow::Yes)
        .map_err(|e| archive::cannot_find(s, path, e))?;
    if dir.path().inode.kind() != Kind::Directory {
        return Err(Failure::new(ErrorKind::Invalid, "extraction point is not a directory"));
    }
    if dir.path().mnt.is_read_only() {
        let is_volume = s.rootfs.user_mounts.contains(&dir.path().mnt.id);
        let what = if is_volume { "mounted volume" } else { "container rootfs" };
        return Err(Failure::new(ErrorKind::Invalid, format!("{what} is marked read-only")));
    }
    let owner = match copy_uid_gid {
        true => user::resolve(ns, &s.spec.user, &[]).map(|u| Some((u.uid, u.gid)))?,
        false => None,
    };
    Ok(Target { ns, dir, no_overwrite_dir_non_dir, owner })
}

/// Attributes that go onto a file after it was filled.
struct Meta {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Timespec,
}

impl Target<'_> {
    /// Unpacks a tar stream.
    pub(super) fn extract(&self, from: &mut impl Read) -> Result<(), Failure> {
        let mut archive = Archive::new(io::BufReader::with_capacity(64 << 10, from));
        let entries = archive.entries().map_err(|e| bad_archive(&e))?;
        // The times of directories come last: filling them changes them.
        let mut directories: Vec<(InodeRef, Timespec)> = Vec::new();
        for entry in entries {
            let mut entry = entry.map_err(|e| bad_archive(&e))?;
            let name = entry.path_bytes().into_owned();
            let parts = sanitize(&name)?;
            self.entry(&mut entry, &parts, &mut directories).map_err(|stop| match stop {
                Stop::Failure(failure) => failure,
                Stop::Errno(e) => {
                    let name = String::from_utf8_lossy(&name);
                    Failure::new(kind_of(e), format!("{name}: {}", super::exec::strerror(e.code())))
                }
            })?;
        }
        for (dir, mtime) in directories.into_iter().rev() {
            let _ = dir.setattr(&SetAttr { mtime: Some(SetTime::At(mtime)), ..SetAttr::default() });
        }
        Ok(())
    }

    fn entry(
        &self,
        entry: &mut Entry<'_, impl Read>,
        parts: &[Vec<u8>],
        directories: &mut Vec<(InodeRef, Timespec)>,
    ) -> Result<(), Stop> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let meta = self.meta(entry)?;
        let Some((name, above)) = parts.split_last() else {
            // The archive's own top: the directory that is there keeps its attributes.
            return Ok(());
        };
        let dir = self.parent(above, &meta)?;
        let parent = dir.path();
        if parent.mnt.is_read_only() {
            return Err(err!(EROFS).into());
        }
        let parent = &parent.inode;
        if let Some(old) = self.replace(&dir, name, kind == EntryType::Directory)? {
            self.finish(&old, entry, &meta)?;
            directories.push((old, meta.mtime));
            return Ok(());
        }
        let make = |what| parent.create(name, what, meta.mode & 0o777, meta.uid, meta.gid);
        let inode = match kind {
            EntryType::Directory => {
                let inode = make(CreateKind::Directory)?;
                directories.push((inode.clone(), meta.mtime));
                inode
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let inode = make(CreateKind::Regular)?;
                fill(&inode, entry)?;
                inode
            }
            EntryType::Symlink => {
                let target = link_name(entry)?;
                if target.is_empty() || target.len() > MAX_LINK {
                    return Err(err!(ENAMETOOLONG).into());
                }
                parent.create(name, CreateKind::Symlink(target), 0o777, meta.uid, meta.gid)?
            }
            EntryType::Link => {
                let target = sanitize(&link_name(entry)?)?.join(&b'/');
                let target = paths::lookup_from(self.ns, None, &self.dir, &target, Follow::No)?;
                if target.path().mnt.id != dir.path().mnt.id {
                    return Err(err!(EXDEV).into());
                }
                parent.link(name, &target.path().inode)?;
                return Ok(());
            }
            EntryType::Fifo => make(CreateKind::Fifo)?,
            EntryType::Char | EntryType::Block => {
                let number = |n: io::Result<Option<u32>>| n.ok().flatten().unwrap_or(0);
                let major = number(entry.header().device_major());
                let minor = number(entry.header().device_minor());
                let kind = if kind == EntryType::Char { Kind::CharDevice } else { Kind::BlockDevice };
                make(CreateKind::Device(kind, libc::makedev(major, minor)))?
            }
            other => {
                let text = format!("unhandled tar header type {}", other.as_byte());
                return Err(Failure::new(ErrorKind::Invalid, text).into());
            }
        };
        self.finish(&inode, entry, &meta)?;
        Ok(())
    }

    /// The directory for an entry, made where it is missing. Symlinks on the way are followed inside the container.
    fn parent(&self, above: &[Vec<u8>], meta: &Meta) -> Result<Found, Stop> {
        let mut dir = self.dir.clone();
        for name in above {
            dir = match paths::lookup_from(self.ns, None, &dir, name, Follow::Yes) {
                Ok(next) => next,
                Err(e) if e.code() == libc::ENOENT => {
                    if dir.path().mnt.is_read_only() {
                        return Err(err!(EROFS).into());
                    }
                    dir.path().inode.create(name, CreateKind::Directory, 0o755, meta.uid, meta.gid)?;
                    paths::lookup_from(self.ns, None, &dir, name, Follow::No)?
                }
                Err(e) => return Err(e.into()),
            };
            if dir.path().inode.kind() != Kind::Directory {
                return Err(err!(ENOTDIR).into());
            }
        }
        Ok(dir)
    }

    /// Makes room for a new file. A directory that becomes a directory stays, and is returned.
    fn replace(&self, dir: &Found, name: &[u8], is_dir: bool) -> Result<Option<InodeRef>, Stop> {
        let old = match paths::lookup_from(self.ns, None, dir, name, Follow::No) {
            Ok(old) => old,
            Err(e) if e.code() == libc::ENOENT => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let was_dir = old.path().inode.kind() == Kind::Directory;
        if was_dir && is_dir {
            return Ok(Some(old.path().inode.clone()));
        }
        if self.no_overwrite_dir_non_dir && was_dir != is_dir {
            let (a, b) =
                if was_dir { ("directory", "non-directory") } else { ("non-directory", "directory") };
            let text = String::from_utf8_lossy(&old.text()).into_owned();
            return Err(Failure::new(
                ErrorKind::Invalid,
                format!("cannot overwrite {a} {text:?} with {b} {text:?}"),
            )
            .into());
        }
        if old.path().mnt.id != dir.path().mnt.id {
            return Err(err!(EBUSY).into());
        }
        let dir = &dir.path().inode;
        if was_dir {
            self.remove_tree(&old)?;
            dir.rmdir(name)?;
        } else {
            dir.unlink(name)?;
        }
        Ok(None)
    }

    /// Empties a directory.
    fn remove_tree(&self, top: &Found) -> Result<(), Errno> {
        // Names first, then removal: deepest directories last in the list, so it is emptied from its end.
        let mut stack = vec![top.path().inode.clone()];
        while let Some(dir) = stack.last().cloned() {
            let mut names = Vec::new();
            dir.readdir(0, &mut |e| {
                if e.name != b"." && e.name != b".." {
                    names.push(e.name);
                }
                true
            })?;
            let mut has_below = false;
            for name in names {
                let child = dir.lookup(&name)?;
                if child.kind() != Kind::Directory {
                    dir.unlink(&name)?;
                } else if self.ns.is_mountpoint(&child) {
                    bail!(EBUSY);
                } else if dir.rmdir(&name).is_err() {
                    stack.push(child);
                    has_below = true;
                    break;
                }
            }
            if !has_below {
                stack.pop();
                if let Some(above) = stack.last()
                    && same_inode(above, &dir)
                {
                    bail!(ELOOP);
                }
            }
        }
        Ok(())
    }

    fn meta(&self, entry: &Entry<'_, impl Read>) -> Result<Meta, Stop> {
        let header = entry.header();
        let number = |n: io::Result<u64>| u32::try_from(n.unwrap_or(0)).unwrap_or(0);
        let (uid, gid) = self.owner.unwrap_or((number(header.uid()), number(header.gid())));
        let mtime = Timespec { sec: i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0), nsec: 0 };
        Ok(Meta { mode: header.mode().unwrap_or(0o644) & 0o7777, uid, gid, mtime })
    }

    /// Owner, then mode (a change of owner drops setuid), extended attributes, times.
    fn finish(&self, inode: &InodeRef, entry: &mut Entry<'_, impl Read>, meta: &Meta) -> Result<(), Stop> {
        inode.setattr(&SetAttr { uid: Some(meta.uid), gid: Some(meta.gid), ..SetAttr::default() })?;
        if inode.kind() != Kind::Symlink {
            inode.setattr(&SetAttr { mode: Some(meta.mode), ..SetAttr::default() })?;
        }
        if let Ok(Some(extensions)) = entry.pax_extensions() {
            for extension in extensions.flatten() {
                if let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") {
                    // File systems without attributes lose them, as with Docker.
                    let _ = inode.setxattr(name, extension.value_bytes(), XattrFlags::empty());
                }
            }
        }
        let time = Some(SetTime::At(meta.mtime));
        inode.setattr(&SetAttr { atime: time, mtime: time, ..SetAttr::default() })?;
        Ok(())
    }
}

/// Why an entry could not be unpacked.
enum Stop {
    Errno(Errno),
    Failure(Failure),
}

impl From<Errno> for Stop {
    fn from(e: Errno) -> Stop {
        Stop::Errno(e)
    }
}

impl From<Failure> for Stop {
    fn from(f: Failure) -> Stop {
        Stop::Failure(f)
    }
}

fn kind_of(e: Errno) -> ErrorKind {
    match e.code() {
        libc::EIO | libc::ENOSPC | libc::EDQUOT | libc::EMFILE | libc::ENFILE => ErrorKind::Host,
        _ => ErrorKind::Invalid,
    }
}

fn fill(inode: &InodeRef, entry: &mut Entry<'_, impl Read>) -> Result<(), Stop> {
    let how = OpenRequest { flags: libc::O_WRONLY | libc::O_TRUNC, tid: 0 };
    let mut file = match inode.open(&how)? {
        Opened::Fd(fd) => std::fs::File::from(fd),
        Opened::Blocking(..) => return Err(err!(EIO).into()),
    };
    let mut buf = vec![0u8; 64 << 10];
    loop {
        let n = match entry.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(bad_archive(&e).into()),
        };
        io::Write::write_all(&mut file, &buf[..n]).map_err(|e| host_io(&e))?;
    }
}

fn link_name(entry: &Entry<'_, impl Read>) -> Result<Vec<u8>, Stop> {
    Ok(entry.link_name_bytes().ok_or(err!(EINVAL))?.into_owned())
}

/// The names of an entry's path, below the target. `..` is refused, as Docker refuses it.
fn sanitize(name: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    let parts: Vec<Vec<u8>> =
        name.split(|&b| b == b'/').filter(|p| !p.is_empty() && *p != b".").map(<[u8]>::to_vec).collect();
    if parts.iter().any(|p| p == b"..") {
        let text =
            format!("{:?} is outside of the directory that is unpacked to", String::from_utf8_lossy(name));
        return Err(Failure::new(ErrorKind::Invalid, text));
    }
    if parts.iter().any(|p| p.contains(&0)) {
        return Err(Failure::new(ErrorKind::Invalid, "a name with a NUL in it"));
    }
    Ok(parts)
}

fn bad_archive(e: &io::Error) -> Failure {
    Failure::new(ErrorKind::Invalid, format!("invalid tar archive: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below() {
        assert_eq!(sanitize(b"/a/./b//c/").unwrap(), [b"a", b"b", b"c"].map(|p| p.to_vec()));
        assert!(sanitize(b"./").unwrap().is_empty());
        assert!(sanitize(b"a/../../etc").is_err());
    }
}
