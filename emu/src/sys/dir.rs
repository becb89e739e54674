//! Directories: getdents(2), mkdir(2), rmdir(2), chdir(2), getcwd(2), chroot(2).

use super::attr::is_o_path;
use super::path::{NewName, Object, Walker, need, need_dir};
use super::{Call, OK, SysResult, value};
use crate::bail;
use crate::errno::{Errno, host};
use crate::platform::fds;
use crate::task::Caps;
use crate::vfs::permission::{Access, inode_permission, may_create, may_delete, new_owner};
use crate::vfs::{CreateKind, DirEntry, InodeRef, Kind, Last, LookupFlags, d_path};
use carrack_syscalls::arg::{DirFd, Fd, Mode, PathPtr, Ptr, Uint, Ulong};
use rustix::fs::SeekFrom;
use std::os::fd::OwnedFd;

/// The most that one getdents(2) answers, whatever the guest's buffer.
const MAX_BUFFER: usize = 1 << 20;

/// getdents64(2)
pub(crate) fn getdents64(cx: &Call, fd: Fd, dirp: Ptr, count: Uint) -> SysResult {
    read_entries(cx, fd, dirp, count, put64)
}

/// getdents(2)
pub(crate) fn getdents(cx: &Call, fd: Fd, dirp: Ptr, count: Uint) -> SysResult {
    read_entries(cx, fd, dirp, count, put32)
}

/// Appends one record; false when it does not fit into `room`.
type Put = fn(&mut Vec<u8>, usize, &DirEntry) -> bool;

/// `struct linux_dirent64`
fn put64(out: &mut Vec<u8>, room: usize, entry: &DirEntry) -> bool {
    let len = (19 + entry.name.len() + 1).next_multiple_of(8);
    let Some(end) = record(out, room, entry, len) else { return false };
    out.push(entry.kind.dirent_type());
    out.extend_from_slice(&entry.name);
    out.resize(end, 0);
    true
}

/// `struct linux_dirent`: the type is the last byte of the record.
fn put32(out: &mut Vec<u8>, room: usize, entry: &DirEntry) -> bool {
    let len = (18 + entry.name.len() + 2).next_multiple_of(8);
    let Some(end) = record(out, room, entry, len) else { return false };
    out.extend_from_slice(&entry.name);
    out.resize(end - 1, 0);
    out.push(entry.kind.dirent_type());
    true
}

fn record(out: &mut Vec<u8>, room: usize, entry: &DirEntry, len: usize) -> Option<usize> {
    let end = out.len() + len;
    if end > room {
        return None;
    }
    out.extend_from_slice(&entry.ino.to_ne_bytes());
    out.extend_from_slice(&entry.next.to_ne_bytes());
    out.extend_from_slice(&u16::try_from(len).ok()?.to_ne_bytes());
    Some(end)
}

fn read_entries(cx: &Call, fd: Fd, dirp: Ptr, count: Uint, put: Put) -> SysResult {
    let walker = Walker::new(cx);
    let Object::Vfs(path) = walker.object(fd)? else { bail!(ENOTDIR) };
    let dir = &path.inode;
    if dir.kind() != Kind::Directory && is_o_path(&walker, fd)? {
        bail!(EBADF);
    }
    need_dir(dir)?;
    let cursor = Cursor::of(cx, fd)?;
    let pos = cursor.pos;
    if dir.perm()?.nlink == 0 {
        bail!(ENOENT);
    }
    let room = (count.0 as usize).min(MAX_BUFFER);
    let mut out = Vec::with_capacity(room.min(32 << 10));
    let (end, full) = fill(dir, pos, room, &mut out, put)?;
    if out.is_empty() && full {
        bail!(EINVAL, "no room for one entry");
    }
    cx.memory().write(dirp.0.0, &out)?;
    if end != pos {
        cursor.advance(cx, fd, dir, end)?;
    }
    value(out.len() as i64)
}

/// The position in an open directory, which is the host's position in its placeholder.
struct Cursor {
    pos: u64,
    /// The guest's own description; without one (the host refuses to share it) each move puts a new description in the
    /// descriptor's place, which duplicates of it do not notice.
    shared: Option<OwnedFd>,
}

impl Cursor {
    /// EBADF, also for O_PATH, as Linux has it.
    fn of(cx: &Call, fd: Fd) -> Result<Cursor, Errno> {
        let shared = fds::share_by(cx.task.process.pidfd(), fd.0)?;
        let pos = match &shared {
            Some(fd) => rustix::fs::seek(fd, SeekFrom::Current(0)).map_err(host)?,
            None if fds::host_flags(cx.tid(), fd.0)? & libc::O_PATH != 0 => bail!(EBADF),
            None => fds::host_position(cx.tid(), fd.0)?,
        };
        Ok(Cursor { pos, shared })
    }

    fn advance(&self, cx: &Call, fd: Fd, dir: &InodeRef, to: u64) -> Result<(), Errno> {
        if let Some(fd) = &self.shared {
            rustix::fs::seek(fd, SeekFrom::Start(to)).map_err(host)?;
            return Ok(());
        }
        let flags = fds::host_flags(cx.tid(), fd.0)?;
        let new = cx.kernel.ids.placeholders.open(&cx.kernel, dir, flags)?;
        rustix::fs::seek(&new, SeekFrom::Start(to)).map_err(host)?;
        cx.door.replace_fd(&new, fd.0, flags & libc::O_CLOEXEC != 0)
    }
}

/// The entries after `pos` as long as there is room: the position reached, and whether the room was what ended it.
fn fill(dir: &InodeRef, pos: u64, room: usize, out: &mut Vec<u8>, put: Put) -> Result<(u64, bool), Errno> {
    let mut end = pos;
    if end == 0 {
        let dot = DirEntry { name: b".".to_vec(), ino: dir.ino(), kind: Kind::Directory, next: 1 };
        if !put(out, room, &dot) {
            return Ok((end, true));
        }
        end = 1;
    }
    if end == 1 {
        let up = dir.parent().map_or(dir.ino(), |p| p.ino());
        let dotdot = DirEntry { name: b"..".to_vec(), ino: up, kind: Kind::Directory, next: 2 };
        if !put(out, room, &dotdot) {
            return Ok((end, true));
        }
        end = 2;
    }
    let mut full = false;
    dir.readdir(if end <= 2 { 0 } else { end }, &mut |entry| {
        if put(out, room, &entry) {
            end = entry.next;
            true
        } else {
            full = true;
            false
        }
    })?;
    Ok((end, full))
}

/// mkdir(2)
pub(crate) fn mkdir(cx: &Call, path: PathPtr, mode: Mode) -> SysResult {
    mkdirat(cx, DirFd::CWD, path, mode)
}

/// mkdirat(2)
pub(crate) fn mkdirat(cx: &Call, dirfd: DirFd, path: PathPtr, mode: Mode) -> SysResult {
    let walker = Walker::new(cx);
    let NewName { dir, name } = walker.create_at(dirfd, path, true)?;
    may_create(&walker.cred, &*dir.inode)?;
    let (mode, uid, gid) =
        new_owner(&walker.cred, &dir.inode.perm()?, Kind::Directory, mode.0, walker.fs.umask);
    dir.inode.create(&name, CreateKind::Directory, mode, uid, gid)?;
    cx.kernel.ids.mirrors.created(&dir.inode, &name, Kind::Directory);
    OK
}

/// rmdir(2)
pub(crate) fn rmdir(cx: &Call, path: PathPtr) -> SysResult {
    rmdir_at(cx, DirFd::CWD, path)
}

/// unlinkat(2) with AT_REMOVEDIR
pub(crate) fn rmdir_at(cx: &Call, dirfd: DirFd, path: PathPtr) -> SysResult {
    let walker = Walker::new(cx);
    let parent = walker.parent_at(dirfd, path)?;
    match parent.last {
        Last::Norm => {}
        Last::DotDot => bail!(ENOTEMPTY),
        Last::Dot => bail!(EINVAL),
        Last::Root => bail!(EBUSY),
    }
    walker.want_write(&parent.dir)?;
    let victim = parent.target()?;
    may_delete(&walker.cred, &parent.dir.inode, &victim, true)?;
    if cx.kernel.mounts.is_mountpoint(&victim) {
        bail!(EBUSY);
    }
    parent.dir.inode.rmdir(&parent.name)?;
    cx.kernel.ids.mirrors.forget(victim.sb_id(), victim.ino());
    cx.kernel.ids.placeholders.removed(victim.sb_id(), victim.ino());
    cx.kernel.ids.mirrors.removed(&parent.dir.inode, &parent.name);
    OK
}

/// chdir(2)
pub(crate) fn chdir(cx: &Call, path: PathPtr) -> SysResult {
    let walker = Walker::new(cx);
    let path = walker.path_at(DirFd::CWD, path, LookupFlags::FOLLOW | LookupFlags::DIRECTORY)?;
    inode_permission(&walker.cred, &*path.inode, Access::EXEC)?;
    cx.task.update_fs(|fs| fs.cwd = path);
    OK
}

/// fchdir(2)
pub(crate) fn fchdir(cx: &Call, fd: Fd) -> SysResult {
    let walker = Walker::new(cx);
    let Object::Vfs(path) = walker.object(fd)? else { bail!(ENOTDIR) };
    need_dir(&path.inode)?;
    inode_permission(&walker.cred, &*path.inode, Access::EXEC)?;
    cx.task.update_fs(|fs| fs.cwd = path);
    OK
}

/// chroot(2)
pub(crate) fn chroot(cx: &Call, path: PathPtr) -> SysResult {
    let walker = Walker::new(cx);
    let path = walker.path_at(DirFd::CWD, path, LookupFlags::FOLLOW | LookupFlags::DIRECTORY)?;
    inode_permission(&walker.cred, &*path.inode, Access::EXEC)?;
    need(&walker.cred, Caps::SYS_CHROOT)?;
    // The brand's walks begin at the container's root.
    cx.kernel.brand.switch_off();
    cx.task.update_fs(|fs| fs.root = path);
    OK
}

/// getcwd(2), the system call: the length with the NUL; ENOENT when the directory was removed.
pub(crate) fn getcwd(cx: &Call, buf: Ptr, size: Ulong) -> SysResult {
    let fs = cx.fs();
    if fs.cwd.inode.kind() == Kind::Directory && fs.cwd.inode.perm()?.nlink == 0 {
        bail!(ENOENT);
    }
    let found = d_path(&fs.cwd, &fs.root);
    if found.deleted {
        bail!(ENOENT);
    }
    let mut text = if found.unreachable { b"(unreachable)".to_vec() } else { Vec::new() };
    text.extend_from_slice(&found.path);
    text.push(0);
    if text.len() > super::PATH_MAX {
        bail!(ENAMETOOLONG);
    }
    if text.len() as u64 > size.0 {
        bail!(ERANGE);
    }
    cx.memory().write(buf.0.0, &text)?;
    value(text.len() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8]) -> DirEntry {
        DirEntry { name: name.to_vec(), ino: 7, kind: Kind::Regular, next: 3 }
    }

    #[test]
    fn records_are_laid_out_as_linux_does() {
        let mut out = Vec::new();
        assert!(put64(&mut out, 64, &entry(b"abcde")));
        assert_eq!(out.len(), 32);
        assert_eq!((out[16], out[18], &out[19..25]), (32, 8, &b"abcde\0"[..]));
        let mut out = Vec::new();
        assert!(put32(&mut out, 64, &entry(b"abcde")));
        assert_eq!(out.len(), 32);
        assert_eq!((out[16], out[31], &out[18..24]), (32, 8, &b"abcde\0"[..]));
        assert!(!put64(&mut out, 63, &entry(b"abcde")), "full");
        assert_eq!(out.len(), 32);
    }
}
