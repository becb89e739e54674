//! Attributes: chmod(2), chown(2), utimensat(2), truncate(2) and their families. Linux's `notify_change`.

use super::path::{Object, Walker};
use super::stat::lookup_flags;
use super::{Call, OK, SysResult};
use crate::bail;
use crate::errno::{Errno, host};
use crate::platform::host::{prlimit_get, tgkill};
use crate::task::Caps;
use crate::vfs::permission::{
    Access, in_group_or_capable, inode_permission, mode_after_chown, mode_after_write, owner_or_capable,
};
use crate::vfs::{Kind, LookupFlags, SetAttr, SetTime, Timespec, anon};
use carrack_syscalls::arg::{
    AtFlags, DirFd, Fd, Gid, Mode, Off, PathPtr, Ptr, TimespecPairPtr, TimevalPtr, Uid,
};

/// Leaves an owner alone: (uid_t) −1.
const SAME: u32 = u32::MAX;

// --- modes -----------------------------------------------------------------------------------------------------------

/// chmod(2)
pub(crate) fn chmod(cx: &Call, path: PathPtr, mode: Mode) -> SysResult {
    fchmodat2(cx, DirFd::CWD, path, mode, AtFlags(0))
}

/// fchmodat(2), the system call, which has no flags.
pub(crate) fn fchmodat(cx: &Call, dirfd: DirFd, path: PathPtr, mode: Mode) -> SysResult {
    fchmodat2(cx, dirfd, path, mode, AtFlags(0))
}

/// fchmodat2(2)
pub(crate) fn fchmodat2(cx: &Call, dirfd: DirFd, path: PathPtr, mode: Mode, flags: AtFlags) -> SysResult {
    let flags = plain_at_flags(flags)?;
    let walker = Walker::new(cx);
    let object = walker.object_at(dirfd, path, flags)?;
    chmod_object(&walker, &object, mode)
}

/// fchmod(2): EBADF for O_PATH descriptors.
pub(crate) fn fchmod(cx: &Call, fd: Fd, mode: Mode) -> SysResult {
    let walker = Walker::new(cx);
    let object = opened(&walker, fd)?;
    chmod_object(&walker, &object, mode)
}

fn chmod_object(walker: &Walker<'_>, object: &Object, mode: Mode) -> SysResult {
    let path = match object {
        Object::Vfs(path) => path,
        // A pipe's mode is nobody's business but the kernel's that made it.
        Object::Anonymous(fd) => return chmod_memfd(walker.cx, *fd, mode),
    };
    walker.want_write(path)?;
    let attr = path.inode.perm()?;
    if !owner_or_capable(&walker.cred, &attr) {
        bail!(EPERM);
    }
    if attr.kind() == Kind::Symlink {
        bail!(EOPNOTSUPP);
    }
    let mut mode = mode.0 & 0o7777;
    if !in_group_or_capable(&walker.cred, attr.gid) {
        mode &= !libc::S_ISGID;
    }
    path.inode.setattr(&SetAttr { mode: Some(mode), ..SetAttr::default() })?;
    walker.cx.kernel.ids.mirrors.attributes(&path.inode);
    OK
}

/// The permission bits of a memfd say whether it may be executed, and can be sealed.
fn chmod_memfd(cx: &Call, fd: i32, mode: Mode) -> SysResult {
    if anon::is_memfd(&crate::platform::fds::host_name(cx.tid(), fd)?) {
        let mode = rustix::fs::Mode::from_raw_mode(mode.0 & 0o7777);
        rustix::fs::fchmod(cx.duplicate_fd(fd)?, mode).map_err(host)?;
    }
    OK
}

// --- owners ----------------------------------------------------------------------------------------------------------

/// chown(2)
pub(crate) fn chown(cx: &Call, path: PathPtr, owner: Uid, group: Gid) -> SysResult {
    fchownat(cx, DirFd::CWD, path, owner, group, AtFlags(0))
}

/// lchown(2)
pub(crate) fn lchown(cx: &Call, path: PathPtr, owner: Uid, group: Gid) -> SysResult {
    fchownat(cx, DirFd::CWD, path, owner, group, AtFlags(libc::AT_SYMLINK_NOFOLLOW as u32))
}

/// fchownat(2)
pub(crate) fn fchownat(
    cx: &Call,
    dirfd: DirFd,
    path: PathPtr,
    owner: Uid,
    group: Gid,
    flags: AtFlags,
) -> SysResult {
    let flags = plain_at_flags(flags)?;
    let walker = Walker::new(cx);
    let object = walker.object_at(dirfd, path, flags)?;
    chown_object(&walker, &object, owner.0, group.0)
}

/// fchown(2)
pub(crate) fn fchown(cx: &Call, fd: Fd, owner: Uid, group: Gid) -> SysResult {
    let walker = Walker::new(cx);
    let object = opened(&walker, fd)?;
    chown_object(&walker, &object, owner.0, group.0)
}

/// chown_common()
fn chown_object(walker: &Walker<'_>, object: &Object, owner: u32, group: u32) -> SysResult {
    let Object::Vfs(path) = object else { return OK };
    walker.want_write(path)?;
    let cred = &walker.cred;
    let attr = path.inode.perm()?;
    let mut set = SetAttr::default();
    if owner != SAME {
        let keeps = cred.fsuid == attr.uid && owner == attr.uid;
        if !keeps && !cred.capable(Caps::CHOWN) {
            bail!(EPERM);
        }
        set.uid = Some(owner);
    }
    if group != SAME {
        let own = cred.fsuid == attr.uid && (group == attr.gid || cred.in_group(group));
        if !own && !cred.capable(Caps::CHOWN) {
            bail!(EPERM);
        }
        set.gid = Some(group);
    }
    set.mode = mode_after_chown(cred, &attr);
    if set.mode.is_some() && !owner_or_capable(cred, &attr) {
        bail!(EPERM);
    }
    path.inode.setattr(&set)?;
    // File capabilities do not survive a change of owner; most files have none.
    if attr.kind() == Kind::Regular
        && path.inode.getxattr(b"security.capability").is_ok_and(|v| !v.is_empty())
    {
        let _ = path.inode.removexattr(b"security.capability");
    }
    walker.cx.kernel.ids.mirrors.attributes(&path.inode);
    OK
}

// --- times -----------------------------------------------------------------------------------------------------------

/// Access and modification time to set; `None` leaves one alone.
type Times = [Option<SetTime>; 2];
const NOW: Times = [Some(SetTime::Now); 2];
/// Times that are judged only after the file was found.
type Given = Result<Times, Errno>;

/// utime(2)
pub(crate) fn utime(cx: &Call, path: PathPtr, times: Ptr) -> SysResult {
    let times = if times.is_null() {
        NOW
    } else {
        let [access, modification]: [i64; 2] = cx.memory().read_obj(times.0.0)?;
        let at = |sec| Some(SetTime::At(Timespec { sec, nsec: 0 }));
        [at(access), at(modification)]
    };
    utimes_path(cx, DirFd::CWD, path, Ok(times), LookupFlags::FOLLOW)
}

/// utimes(2)
pub(crate) fn utimes(cx: &Call, path: PathPtr, times: TimevalPtr) -> SysResult {
    futimesat(cx, DirFd::CWD, path, times)
}

/// futimesat(2)
pub(crate) fn futimesat(cx: &Call, dirfd: DirFd, path: PathPtr, times: TimevalPtr) -> SysResult {
    let times = if times.is_null() {
        NOW
    } else {
        let [asec, ausec, msec, musec]: [i64; 4] = cx.memory().read_obj(times.0.0)?;
        let at = |sec, usec: i64| match u32::try_from(usec) {
            Ok(usec @ 0..1_000_000) => Ok(Some(SetTime::At(Timespec { sec, nsec: usec * 1000 }))),
            _ => bail!(EINVAL),
        };
        [at(asec, ausec)?, at(msec, musec)?]
    };
    if path.is_null() && !dirfd.is_cwd() {
        return utimes_fd(cx, Fd(dirfd.0), Ok(times));
    }
    utimes_path(cx, dirfd, path, Ok(times), LookupFlags::FOLLOW)
}

/// utimensat(2)
pub(crate) fn utimensat(
    cx: &Call,
    dirfd: DirFd,
    path: PathPtr,
    times: TimespecPairPtr,
    flags: AtFlags,
) -> SysResult {
    const UTIME_NOW: i64 = 0x3fff_ffff;
    const UTIME_OMIT: i64 = 0x3fff_fffe;
    let times = if times.is_null() {
        Ok(NOW)
    } else {
        let [asec, ansec, msec, mnsec]: [i64; 4] = cx.memory().read_obj(times.0.0)?;
        if ansec == UTIME_OMIT && mnsec == UTIME_OMIT {
            return OK;
        }
        let at = |sec, nsec: i64| match nsec {
            UTIME_NOW => Ok(Some(SetTime::Now)),
            UTIME_OMIT => Ok(None),
            0..1_000_000_000 => Ok(Some(SetTime::At(Timespec { sec, nsec: nsec as u32 }))),
            _ => bail!(EINVAL),
        };
        at(asec, ansec).and_then(|atime| Ok([atime, at(msec, mnsec)?]))
    };
    if path.is_null() && !dirfd.is_cwd() {
        if flags.0 != 0 {
            bail!(EINVAL);
        }
        return utimes_fd(cx, Fd(dirfd.0), times);
    }
    let flags = plain_at_flags(flags)?;
    utimes_path(cx, dirfd, path, times, flags)
}

fn utimes_path(cx: &Call, dirfd: DirFd, path: PathPtr, times: Given, flags: LookupFlags) -> SysResult {
    let walker = Walker::new(cx);
    // A null path is the caller's mistake even where AT_EMPTY_PATH allows an empty one.
    if path.is_null() {
        bail!(EFAULT);
    }
    let object = walker.object_at(dirfd, path, flags)?;
    utimes_object(&walker, &object, times)
}

fn utimes_fd(cx: &Call, fd: Fd, times: Given) -> SysResult {
    let walker = Walker::new(cx);
    let object = opened(&walker, fd)?;
    utimes_object(&walker, &object, times)
}

/// vfs_utimes(): both times now asks for write permission, anything else for ownership.
fn utimes_object(walker: &Walker<'_>, object: &Object, times: Given) -> SysResult {
    let Object::Vfs(path) = object else { return OK };
    let times = times?;
    walker.want_write(path)?;
    let attr = path.inode.perm()?;
    if !owner_or_capable(&walker.cred, &attr) {
        if times != NOW {
            bail!(EPERM);
        }
        inode_permission(&walker.cred, &*path.inode, Access::WRITE)?;
    }
    path.inode.setattr(&SetAttr { atime: times[0], mtime: times[1], ..SetAttr::default() })?;
    walker.cx.kernel.ids.mirrors.attributes(&path.inode);
    OK
}

// --- size ------------------------------------------------------------------------------------------------------------

/// truncate(2)
pub(crate) fn truncate(cx: &Call, path: PathPtr, length: Off) -> SysResult {
    let Ok(length) = u64::try_from(length.0) else { bail!(EINVAL) };
    let walker = Walker::new(cx);
    let path = walker.path_at(DirFd::CWD, path, LookupFlags::FOLLOW)?;
    match path.inode.kind() {
        Kind::Regular => {}
        Kind::Directory => bail!(EISDIR),
        _ => bail!(EINVAL),
    }
    walker.want_write(&path)?;
    inode_permission(&walker.cred, &*path.inode, Access::WRITE)?;
    if cx.kernel.tasks.executes(&path.inode) {
        bail!(ETXTBSY);
    }
    let attr = path.inode.attr()?;
    let mode = mode_after_write(&walker.cred, &attr);
    // inode_newsize_ok()
    let limit = prlimit_get(cx.tid(), libc::RLIMIT_FSIZE).map_or(u64::MAX, |(soft, _)| soft);
    if length > limit && length > attr.size {
        tgkill(cx.task.tgid, cx.tid(), libc::SIGXFSZ);
        bail!(EFBIG);
    }
    path.inode.setattr(&SetAttr { size: Some(length), mode, ..SetAttr::default() })?;
    cx.kernel.ids.mirrors.modified(&path.inode);
    OK
}

// --- common ----------------------------------------------------------------------------------------------------------

/// AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH; EINVAL for all else.
fn plain_at_flags(flags: AtFlags) -> Result<LookupFlags, Errno> {
    let flags = flags.0 as i32;
    if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
        bail!(EINVAL);
    }
    Ok(lookup_flags(flags))
}

/// What a descriptor is of, unless it was opened with O_PATH: EBADF.
fn opened(walker: &Walker<'_>, fd: Fd) -> Result<Object, Errno> {
    let object = walker.object(fd)?;
    if let Object::Vfs(_) = &object
        && is_o_path(walker, fd)?
    {
        bail!(EBADF);
    }
    Ok(object)
}

/// Whether a descriptor was opened with O_PATH.
pub(crate) fn is_o_path(walker: &Walker<'_>, fd: Fd) -> Result<bool, Errno> {
    let flags = crate::platform::fds::host_flags(walker.cx.tid(), fd.0)?;
    Ok(flags & libc::O_PATH != 0)
}
