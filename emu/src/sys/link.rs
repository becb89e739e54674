//! Names: link(2), symlink(2), unlink(2), rename(2), readlink(2), mknod(2) and their at-forms.

use super::path::{NewName, Object, Walker, need};
use super::stat::decode_dev;
use super::{Call, OK, SysResult, value};
use crate::bail;
use crate::errno::Errno;
use crate::task::Caps;
use crate::vfs::permission::{Access, inode_permission, may_create, may_delete, may_linkat, new_owner};
use crate::vfs::walk::dir_is_below;
use crate::vfs::{self, CreateKind, InodeRef, Kind, Last, LookupFlags, Parent, same_inode};
use carrack_syscalls::arg::{AtFlags, Dev, DirFd, Fd, Int, Mode, Out, PathPtr, RenameFlags};
use std::sync::Arc;

/// mknod(2)
pub(crate) fn mknod(cx: &Call, path: PathPtr, mode: Mode, dev: Dev) -> SysResult {
    mknodat(cx, DirFd::CWD, path, mode, dev)
}

/// mknodat(2)
pub(crate) fn mknodat(cx: &Call, dirfd: DirFd, path: PathPtr, mode: Mode, dev: Dev) -> SysResult {
    let kind = match mode.0 & libc::S_IFMT {
        0 => Kind::Regular,
        bits => match Kind::from_mode(bits) {
            Some(Kind::Directory) => bail!(EPERM),
            Some(Kind::Symlink) | None => bail!(EINVAL),
            Some(kind) => kind,
        },
    };
    let walker = Walker::new(cx);
    let NewName { dir, name } = walker.create_at(dirfd, path, false)?;
    may_create(&walker.cred, &*dir.inode)?;
    let dev = decode_dev(dev);
    let whiteout = kind == Kind::CharDevice && dev == 0;
    if matches!(kind, Kind::CharDevice | Kind::BlockDevice) && !whiteout {
        need(&walker.cred, Caps::MKNOD)?;
    }
    let what = match kind {
        Kind::CharDevice | Kind::BlockDevice => CreateKind::Device(kind, dev),
        Kind::Fifo => CreateKind::Fifo,
        Kind::Socket => CreateKind::Socket,
        _ => CreateKind::Regular,
    };
    let (mode, uid, gid) = new_owner(&walker.cred, &dir.inode.perm()?, kind, mode.0, walker.fs.umask);
    dir.inode.create(&name, what, mode, uid, gid)?;
    cx.kernel.ids.mirrors.created(&dir.inode, &name, kind);
    OK
}

/// symlink(2)
pub(crate) fn symlink(cx: &Call, target: PathPtr, linkpath: PathPtr) -> SysResult {
    symlinkat(cx, target, DirFd::CWD, linkpath)
}

/// symlinkat(2)
pub(crate) fn symlinkat(cx: &Call, target: PathPtr, newdirfd: DirFd, linkpath: PathPtr) -> SysResult {
    let target = cx.read_path(target.0.0)?;
    if target.is_empty() {
        bail!(ENOENT);
    }
    let walker = Walker::new(cx);
    let NewName { dir, name } = walker.create_at(newdirfd, linkpath, false)?;
    may_create(&walker.cred, &*dir.inode)?;
    let (mode, uid, gid) = new_owner(&walker.cred, &dir.inode.perm()?, Kind::Symlink, 0o777, 0);
    dir.inode.create(&name, CreateKind::Symlink(target), mode, uid, gid)?;
    cx.kernel.ids.mirrors.created(&dir.inode, &name, Kind::Symlink);
    OK
}

/// readlink(2)
pub(crate) fn readlink(cx: &Call, path: PathPtr, buf: Out, bufsiz: Int) -> SysResult {
    readlinkat(cx, DirFd::CWD, path, buf, bufsiz)
}

/// readlinkat(2)
pub(crate) fn readlinkat(cx: &Call, dirfd: DirFd, path: PathPtr, buf: Out, bufsiz: Int) -> SysResult {
    let Ok(room @ 1..) = usize::try_from(bufsiz.0) else { bail!(EINVAL) };
    let text = cx.read_path(path.0.0)?;
    let walker = Walker::new(cx);
    let found = if text.is_empty() && !dirfd.is_cwd() {
        match walker.object(Fd(dirfd.0))? {
            Object::Vfs(found) => found,
            Object::Anonymous(_) => bail!(ENOENT),
        }
    } else {
        let start = walker.start(dirfd, &text)?;
        walker.lookup().path(&start, &text, LookupFlags::EMPTY)?
    };
    if found.inode.kind() != Kind::Symlink {
        if text.is_empty() {
            bail!(ENOENT);
        }
        bail!(EINVAL);
    }
    let body = found.inode.readlink()?;
    let n = body.len().min(room);
    cx.memory().write(buf.0.0, &body[..n])?;
    value(n as i64)
}

/// link(2)
pub(crate) fn link(cx: &Call, oldpath: PathPtr, newpath: PathPtr) -> SysResult {
    linkat(cx, DirFd::CWD, oldpath, DirFd::CWD, newpath, AtFlags(0))
}

/// linkat(2)
pub(crate) fn linkat(
    cx: &Call,
    olddirfd: DirFd,
    oldpath: PathPtr,
    newdirfd: DirFd,
    newpath: PathPtr,
    flags: AtFlags,
) -> SysResult {
    let flags = flags.0 as i32;
    if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
        bail!(EINVAL);
    }
    let walker = Walker::new(cx);
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags & libc::AT_SYMLINK_FOLLOW != 0);
    lookup.set(LookupFlags::EMPTY, flags & libc::AT_EMPTY_PATH != 0);
    let old = match walker.object_at(olddirfd, oldpath, lookup)? {
        Object::Vfs(path) => path,
        Object::Anonymous(_) => bail!(EXDEV),
    };
    let NewName { dir, name } = walker.create_at(newdirfd, newpath, false)?;
    if !Arc::ptr_eq(&old.mnt, &dir.mnt) {
        bail!(EXDEV);
    }
    may_linkat(&walker.cred, &*old.inode)?;
    may_create(&walker.cred, &*dir.inode)?;
    if old.inode.sb_id() != dir.inode.sb_id() {
        bail!(EXDEV);
    }
    if old.inode.kind() == Kind::Directory {
        bail!(EPERM);
    }
    dir.inode.link(&name, &old.inode)?;
    cx.kernel.ids.mirrors.self_attributes(&old.inode);
    cx.kernel.ids.mirrors.created(&dir.inode, &name, old.inode.kind());
    OK
}

/// unlink(2)
pub(crate) fn unlink(cx: &Call, path: PathPtr) -> SysResult {
    unlink_at(cx, DirFd::CWD, path)
}

/// unlinkat(2)
pub(crate) fn unlinkat(cx: &Call, dirfd: DirFd, path: PathPtr, flags: AtFlags) -> SysResult {
    match flags.0 as i32 {
        0 => unlink_at(cx, dirfd, path),
        libc::AT_REMOVEDIR => super::dir::rmdir_at(cx, dirfd, path),
        _ => bail!(EINVAL),
    }
}

fn unlink_at(cx: &Call, dirfd: DirFd, path: PathPtr) -> SysResult {
    let walker = Walker::new(cx);
    let parent = walker.parent_at(dirfd, path)?;
    if parent.last != Last::Norm {
        bail!(EISDIR);
    }
    walker.want_write(&parent.dir)?;
    let victim = parent.target()?;
    if parent.trailing_slash {
        if victim.kind() == Kind::Directory {
            bail!(EISDIR);
        }
        bail!(ENOTDIR);
    }
    may_delete(&walker.cred, &parent.dir.inode, &victim, false)?;
    if cx.kernel.mounts.is_mountpoint(&victim) {
        bail!(EBUSY);
    }
    parent.dir.inode.unlink(&parent.name)?;
    cx.kernel.ids.mirrors.self_attributes(&victim);
    cx.kernel.ids.mirrors.removed(&parent.dir.inode, &parent.name);
    drop(victim);
    parent.dir.inode.sb().reclaim();
    OK
}

/// rename(2)
pub(crate) fn rename(cx: &Call, oldpath: PathPtr, newpath: PathPtr) -> SysResult {
    renameat2(cx, DirFd::CWD, oldpath, DirFd::CWD, newpath, RenameFlags(0))
}

/// renameat(2)
pub(crate) fn renameat(
    cx: &Call,
    olddirfd: DirFd,
    oldpath: PathPtr,
    newdirfd: DirFd,
    newpath: PathPtr,
) -> SysResult {
    renameat2(cx, olddirfd, oldpath, newdirfd, newpath, RenameFlags(0))
}

/// renameat2(2)
pub(crate) fn renameat2(
    cx: &Call,
    olddirfd: DirFd,
    oldpath: PathPtr,
    newdirfd: DirFd,
    newpath: PathPtr,
    flags: RenameFlags,
) -> SysResult {
    let Some(flags) = vfs::RenameFlags::from_bits(flags.0) else { bail!(EINVAL) };
    let exchange = flags.contains(vfs::RenameFlags::EXCHANGE);
    if exchange && flags != vfs::RenameFlags::EXCHANGE {
        bail!(EINVAL);
    }
    let oldpath = cx.read_path(oldpath.0.0)?;
    let newpath = cx.read_path(newpath.0.0)?;
    let walker = Walker::new(cx);
    let old = walker.parent_of(olddirfd, &oldpath)?;
    let new = walker.parent_of(newdirfd, &newpath)?;
    if !Arc::ptr_eq(&old.dir.mnt, &new.dir.mnt) {
        bail!(EXDEV);
    }
    if old.last != Last::Norm {
        bail!(EBUSY);
    }
    if new.last != Last::Norm {
        if flags.contains(vfs::RenameFlags::NOREPLACE) {
            bail!(EEXIST);
        }
        bail!(EBUSY);
    }
    walker.want_write(&old.dir)?;
    let source = old.target()?;
    let target = new.target_if_any()?;
    judge_names(&old, &new, &source, target.as_ref(), flags)?;
    if target.as_ref().is_some_and(|t| same_inode(t, &source)) {
        return OK;
    }
    judge_permissions(&walker, &old, &new, &source, target.as_ref(), exchange)?;
    if flags.contains(vfs::RenameFlags::WHITEOUT) {
        need(&walker.cred, Caps::MKNOD)?;
    }
    let mounts = &cx.kernel.mounts;
    if mounts.is_mountpoint(&source) || target.as_ref().is_some_and(|t| mounts.is_mountpoint(t)) {
        bail!(EBUSY);
    }
    old.dir.inode.rename(&old.name, &new.dir.inode, &new.name, flags)?;
    let kinds = (source.kind(), target.as_ref().filter(|_| exchange).map(|t| t.kind()));
    cx.kernel.ids.mirrors.renamed((&old.dir.inode, &old.name), (&new.dir.inode, &new.name), kinds);
    if let Some(gone) = target.filter(|t| !exchange && t.kind() == Kind::Directory) {
        cx.kernel.ids.mirrors.forget(gone.sb_id(), gone.ino());
        cx.kernel.ids.placeholders.removed(gone.sb_id(), gone.ino());
    }
    old.dir.inode.sb().reclaim();
    OK
}

/// The part of do_renameat2() between the look-ups and vfs_rename().
fn judge_names(
    old: &Parent,
    new: &Parent,
    source: &InodeRef,
    target: Option<&InodeRef>,
    flags: vfs::RenameFlags,
) -> Result<(), Errno> {
    let exchange = flags.contains(vfs::RenameFlags::EXCHANGE);
    let source_is_dir = source.kind() == Kind::Directory;
    if flags.contains(vfs::RenameFlags::NOREPLACE) && target.is_some() {
        bail!(EEXIST);
    }
    if exchange {
        let Some(target) = target else { bail!(ENOENT) };
        if target.kind() != Kind::Directory && new.trailing_slash {
            bail!(ENOTDIR);
        }
    }
    if !source_is_dir && (old.trailing_slash || (!exchange && new.trailing_slash)) {
        bail!(ENOTDIR);
    }
    if source_is_dir && dir_is_below(&new.dir.inode, source) {
        bail!(EINVAL, "into itself");
    }
    if let Some(target) = target
        && target.kind() == Kind::Directory
        && dir_is_below(&old.dir.inode, target)
    {
        if exchange {
            bail!(EINVAL);
        }
        bail!(ENOTEMPTY);
    }
    Ok(())
}

/// The checks of vfs_rename()
fn judge_permissions(
    walker: &Walker<'_>,
    old: &Parent,
    new: &Parent,
    source: &InodeRef,
    target: Option<&InodeRef>,
    exchange: bool,
) -> Result<(), Errno> {
    let cred = &walker.cred;
    let source_is_dir = source.kind() == Kind::Directory;
    may_delete(cred, &old.dir.inode, source, source_is_dir)?;
    match target {
        None => may_create(cred, &*new.dir.inode)?,
        Some(target) => {
            let as_dir = if exchange { target.kind() == Kind::Directory } else { source_is_dir };
            may_delete(cred, &new.dir.inode, target, as_dir)?;
        }
    }
    if same_inode(&old.dir.inode, &new.dir.inode) {
        return Ok(());
    }
    // A directory that moves gets a new `..`, which is writing to it.
    if source_is_dir {
        inode_permission(cred, &**source, Access::WRITE)?;
    }
    if let Some(target) = target.filter(|t| exchange && t.kind() == Kind::Directory) {
        inode_permission(cred, &**target, Access::WRITE)?;
    }
    Ok(())
}
