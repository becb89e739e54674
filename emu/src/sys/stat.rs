//! stat(2) and its family, statx(2), statfs(2), ustat(2).

use super::path::{Object, Walker};
use super::{Call, OK, SysResult};
use crate::bail;
use crate::errno::Errno;
use crate::platform::fds;
use crate::vfs::anon::{self, AnonInode};
use crate::vfs::{Attr, LookupFlags, Path, SbId, StatFs, Timespec};
use bytemuck::{Pod, Zeroable};
use carrack_syscalls::arg::{
    AtFlags, Dev, DirFd, Fd, GuestAddr, Out, PathPtr, StatPtr, StatfsPtr, StatxMask, StatxPtr,
};

/// `struct stat` of x86-64.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
struct Stat {
    dev: u64,
    ino: u64,
    nlink: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    pad: u32,
    rdev: u64,
    size: i64,
    blksize: i64,
    blocks: i64,
    atime: [u64; 2],
    mtime: [u64; 2],
    ctime: [u64; 2],
    unused: [i64; 3],
}

/// `struct statx_timestamp`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
struct StatxTime {
    sec: i64,
    nsec: u32,
    pad: i32,
}

/// `struct statx`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
struct Statx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    pad: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    atime: StatxTime,
    btime: StatxTime,
    ctime: StatxTime,
    mtime: StatxTime,
    rdev_major: u32,
    rdev_minor: u32,
    dev_major: u32,
    dev_minor: u32,
    mnt_id: u64,
    rest: [u64; 13],
}

/// `struct statfs` of x86-64.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
struct Statfs {
    ftype: i64,
    bsize: i64,
    blocks: u64,
    bfree: u64,
    bavail: u64,
    files: u64,
    ffree: u64,
    fsid: [i32; 2],
    namelen: i64,
    frsize: i64,
    flags: i64,
    spare: [i64; 4],
}

/// What stat(2) tells of an object, wherever it lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) dev: u64,
    pub(crate) attr: Attr,
    /// Number of the mount, and whether the object is its top; 0 for what is on none.
    pub(crate) mount: (u32, bool),
}

/// `st_dev` of a superblock: an anonymous device.
pub(crate) fn dev_of(sb: SbId) -> u64 {
    libc::makedev(0, 32u32.wrapping_add(sb.0))
}

/// vfs_getattr()
pub(crate) fn facts(walker: &Walker<'_>, object: &Object) -> Result<Facts, Errno> {
    match object {
        Object::Vfs(path) => facts_of(path),
        Object::Anonymous(fd) => {
            let st = fds::host_stat(walker.cx.tid(), *fd)?;
            Ok(Facts { dev: st.st_dev, attr: attr_of_host(walker, &st), mount: (0, false) })
        }
    }
}

fn facts_of(path: &Path) -> Result<Facts, Errno> {
    let attr = path.inode.attr()?;
    if let Some(anon) = path.inode.as_any().downcast_ref::<AnonInode>() {
        return Ok(Facts { dev: anon.dev, attr, mount: (0, false) });
    }
    Ok(Facts { dev: dev_of(path.inode.sb_id()), attr, mount: (path.mnt.id, path.is_mount_root()) })
}

/// The host's answer about a pipe, a socket and their like; they belong to the caller, as far as it can tell.
fn attr_of_host(walker: &Walker<'_>, st: &rustix::fs::Stat) -> Attr {
    Attr { uid: walker.cred.fsuid, gid: walker.cred.fsgid, ..anon::attr_of_host(st) }
}

fn write_stat(cx: &Call, to: StatPtr, facts: &Facts) -> SysResult {
    let a = &facts.attr;
    let time = |t: Timespec| [t.sec as u64, u64::from(t.nsec)];
    let stat = Stat {
        dev: facts.dev,
        ino: a.ino,
        nlink: u64::from(a.nlink),
        mode: a.mode,
        uid: a.uid,
        gid: a.gid,
        pad: 0,
        rdev: a.rdev,
        size: a.size as i64,
        blksize: i64::from(a.blksize),
        blocks: a.blocks as i64,
        atime: time(a.atime),
        mtime: time(a.mtime),
        ctime: time(a.ctime),
        unused: [0; 3],
    };
    cx.memory().write_obj(to.0.0, &stat)?;
    OK
}

/// stat(2)
pub(crate) fn stat(cx: &Call, path: PathPtr, statbuf: StatPtr) -> SysResult {
    newfstatat(cx, DirFd::CWD, path, statbuf, AtFlags(0))
}

/// lstat(2)
pub(crate) fn lstat(cx: &Call, path: PathPtr, statbuf: StatPtr) -> SysResult {
    newfstatat(cx, DirFd::CWD, path, statbuf, AtFlags(libc::AT_SYMLINK_NOFOLLOW as u32))
}

/// fstat(2)
pub(crate) fn fstat(cx: &Call, fd: Fd, statbuf: StatPtr) -> SysResult {
    let walker = Walker::new(cx);
    let object = walker.object(fd)?;
    write_stat(cx, statbuf, &facts(&walker, &object)?)
}

/// fstatat(2)
pub(crate) fn newfstatat(
    cx: &Call,
    dirfd: DirFd,
    path: PathPtr,
    statbuf: StatPtr,
    flags: AtFlags,
) -> SysResult {
    let flags = flags.0 as i32;
    if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)
        != 0
    {
        bail!(EINVAL);
    }
    let walker = Walker::new(cx);
    let object = walker.object_at(dirfd, path, lookup_flags(flags))?;
    write_stat(cx, statbuf, &facts(&walker, &object)?)
}

const AT_STATX_SYNC_TYPE: i32 = libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC;

/// What AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH mean for a walk.
pub(crate) fn lookup_flags(flags: i32) -> LookupFlags {
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags & libc::AT_SYMLINK_NOFOLLOW == 0);
    lookup.set(LookupFlags::EMPTY, flags & libc::AT_EMPTY_PATH != 0);
    lookup
}

/// statx(2)
pub(crate) fn statx(
    cx: &Call,
    dirfd: DirFd,
    path: PathPtr,
    flags: AtFlags,
    mask: StatxMask,
    buf: StatxPtr,
) -> SysResult {
    const RESERVED: u32 = 0x8000_0000;
    const BASIC_STATS: u32 = 0x7ff;
    const BTIME: u32 = 0x800;
    const MNT_ID: u32 = 0x1000;
    const ATTR_MOUNT_ROOT: u64 = 0x2000;
    let flags = flags.0 as i32;
    if mask.0 & RESERVED != 0 || flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE {
        bail!(EINVAL);
    }
    if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)
        != 0
    {
        bail!(EINVAL);
    }
    let walker = Walker::new(cx);
    let object = walker.object_at(dirfd, path, lookup_flags(flags))?;
    let Facts { dev, attr: a, mount: (mnt_id, is_root) } = facts(&walker, &object)?;
    let time = |t: Timespec| StatxTime { sec: t.sec, nsec: t.nsec, pad: 0 };
    let mut answered = BASIC_STATS;
    if a.btime.is_some() {
        answered |= BTIME;
    }
    if mnt_id != 0 {
        answered |= MNT_ID;
    }
    let statx = Statx {
        mask: answered,
        blksize: a.blksize,
        attributes: if is_root { ATTR_MOUNT_ROOT } else { 0 },
        nlink: a.nlink,
        uid: a.uid,
        gid: a.gid,
        mode: a.mode as u16,
        pad: 0,
        ino: a.ino,
        size: a.size,
        blocks: a.blocks,
        attributes_mask: ATTR_MOUNT_ROOT,
        atime: time(a.atime),
        btime: a.btime.map(time).unwrap_or_default(),
        ctime: time(a.ctime),
        mtime: time(a.mtime),
        rdev_major: libc::major(a.rdev),
        rdev_minor: libc::minor(a.rdev),
        dev_major: libc::major(dev),
        dev_minor: libc::minor(dev),
        mnt_id: u64::from(mnt_id),
        rest: [0; 13],
    };
    cx.memory().write_obj(buf.0.0, &statx)?;
    OK
}

/// statfs(2)
pub(crate) fn statfs(cx: &Call, path: PathPtr, buf: StatfsPtr) -> SysResult {
    let walker = Walker::new(cx);
    let path = walker.path_at(DirFd::CWD, path, LookupFlags::FOLLOW)?;
    statfs_of(cx, &path, buf.0)
}

/// fstatfs(2)
pub(crate) fn fstatfs(cx: &Call, fd: Fd, buf: StatfsPtr) -> SysResult {
    let walker = Walker::new(cx);
    match walker.object(fd)? {
        Object::Vfs(path) => statfs_of(cx, &path, buf.0),
        Object::Anonymous(fd) => {
            let Ok(st) = rustix::fs::statfs(format!("/proc/{}/fd/{fd}", cx.tid())) else { bail!(EBADF) };
            let all = StatFs {
                ftype: st.f_type,
                bsize: st.f_bsize as u64,
                blocks: st.f_blocks,
                bfree: st.f_bfree,
                bavail: st.f_bavail,
                files: st.f_files,
                ffree: st.f_ffree,
                namelen: st.f_namelen as u64,
            };
            write_statfs(cx, buf.0, &all, 0, 0x20)
        }
    }
}

fn statfs_of(cx: &Call, path: &Path, to: GuestAddr) -> SysResult {
    let all = path.inode.sb().statfs()?;
    write_statfs(cx, to, &all, path.inode.sb_id().0, path.mnt.flags().statfs_bits())
}

fn write_statfs(cx: &Call, to: GuestAddr, all: &StatFs, sb: u32, flags: i64) -> SysResult {
    let statfs = Statfs {
        ftype: all.ftype,
        bsize: all.bsize as i64,
        blocks: all.blocks,
        bfree: all.bfree,
        bavail: all.bavail,
        files: all.files,
        ffree: all.ffree,
        fsid: [sb as i32, 0],
        namelen: all.namelen as i64,
        frsize: all.bsize as i64,
        flags,
        spare: [0; 4],
    };
    cx.memory().write_obj(to.0, &statfs)?;
    OK
}

/// ustat(2): EINVAL for a device on which nothing is mounted.
pub(crate) fn ustat(cx: &Call, dev: Dev, ubuf: Out) -> SysResult {
    #[repr(C)]
    #[derive(Clone, Copy, Pod, Zeroable)]
    struct Ustat {
        tfree: i32,
        pad: u32,
        tinode: u64,
        names: [u8; 16],
    }
    let dev = decode_dev(dev);
    let Some(mnt) = cx.kernel.mounts.mounts().into_iter().find(|m| dev_of(m.sb.id()) == dev) else {
        bail!(EINVAL)
    };
    let all = mnt.sb.statfs()?;
    let ustat = Ustat { tfree: all.bfree as i32, pad: 0, tinode: all.ffree, names: [0; 16] };
    cx.memory().write_obj(ubuf.0.0, &ustat)?;
    OK
}

/// new_decode_dev(): the 32-bit device number of mknod(2) as `makedev` has it.
pub(crate) fn decode_dev(dev: Dev) -> u64 {
    let major = (dev.0 & 0xf_ff00) >> 8;
    let minor = (dev.0 & 0xff) | ((dev.0 >> 12) & 0xf_ff00);
    libc::makedev(major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernel_s_sizes() {
        assert_eq!(size_of::<Stat>(), 144);
        assert_eq!(size_of::<Statx>(), 256);
        assert_eq!(size_of::<Statfs>(), 120);
        assert_eq!(std::mem::offset_of!(Statx, mnt_id), 144);
    }

    #[test]
    fn device_numbers() {
        assert_eq!(decode_dev(Dev(0x0103)), libc::makedev(1, 3));
        assert_eq!(decode_dev(Dev(0x1234_5678)), libc::makedev(0x456, 0x12378));
    }
}
