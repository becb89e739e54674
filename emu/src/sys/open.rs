//! open(2), openat(2), openat2(2), creat(2), name_to_handle_at(2): Linux's `path_openat` and `do_open`.

use super::path::Walker;
use super::{Call, Outcome, SysResult};
use crate::errno::Errno;
use crate::platform::fds;
use crate::vfs::permission::{
    Access, inode_permission, may_create, may_create_in_sticky, mode_after_write, new_owner, owner_or_capable,
};
use crate::vfs::walk::{NAME_MAX, Nd, absence_is_final};
use crate::vfs::{
    CreateKind, InodeRef, Kind, Last, LookupFlags, MountFlags, OpenRequest, Opened, Path, SetAttr,
};
use crate::{bail, err};
use carrack_syscalls::arg::{AtFlags, DirFd, InOut, IntPtr, Mode, OpenFlags, PathPtr, Ptr, Size};

/// The bit that O_TMPFILE adds to O_DIRECTORY.
const TMPFILE_BIT: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;
/// The kernel's O_LARGEFILE, which the C library calls 0.
const O_LARGEFILE: i32 = 0o100000;
const FASYNC: i32 = libc::O_ASYNC;
const VALID_OPEN_FLAGS: i32 = libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_NOCTTY
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_DSYNC
    | FASYNC
    | libc::O_DIRECT
    | O_LARGEFILE
    | libc::O_DIRECTORY
    | libc::O_NOFOLLOW
    | libc::O_NOATIME
    | libc::O_CLOEXEC
    | libc::O_PATH
    | TMPFILE_BIT;
const O_PATH_FLAGS: i32 = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_PATH | libc::O_CLOEXEC;

/// Linux's `struct open_how`.
#[derive(Debug, Clone, Copy)]
struct How {
    flags: i32,
    mode: u32,
    resolve: u64,
}

/// Linux's `struct open_flags`: what was asked for, taken apart and found consistent.
#[derive(Debug, Clone, Copy)]
struct Op {
    flags: i32,
    mode: u32,
    access: Access,
    lookup: LookupFlags,
}

fn will_create(flags: i32) -> bool {
    flags & (libc::O_CREAT | TMPFILE_BIT) != 0
}

/// build_open_how(): open(2) ignores what it does not know.
fn lenient(flags: OpenFlags, mode: Mode) -> How {
    let mut flags = flags.0 as i32 & VALID_OPEN_FLAGS | O_LARGEFILE;
    if flags & libc::O_PATH != 0 {
        flags &= O_PATH_FLAGS;
    }
    let mode = if will_create(flags) { mode.0 & 0o7777 } else { 0 };
    How { flags, mode, resolve: 0 }
}

/// build_open_flags(): EINVAL for combinations that mean nothing.
fn judge(how: How) -> Result<Op, Errno> {
    let mut flags = how.flags;
    const RESOLVE: [(u64, LookupFlags); 5] = [
        (1, LookupFlags::NO_XDEV),
        (2, LookupFlags::NO_MAGICLINKS),
        (4, LookupFlags::NO_SYMLINKS),
        (8, LookupFlags::BENEATH),
        (0x10, LookupFlags::IN_ROOT),
    ];
    const RESOLVE_CACHED: u64 = 0x20;
    if how.resolve & !(RESOLVE_CACHED | 0x1f) != 0 || how.resolve & 0x18 == 0x18 {
        bail!(EINVAL);
    }
    if will_create(flags) {
        if how.mode & !0o7777 != 0 {
            bail!(EINVAL);
        }
    } else if how.mode != 0 {
        bail!(EINVAL);
    }
    if flags & (libc::O_DIRECTORY | libc::O_CREAT) == libc::O_DIRECTORY | libc::O_CREAT {
        bail!(EINVAL);
    }
    let mut access = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => Access::READ,
        libc::O_WRONLY => Access::WRITE,
        _ => Access::READ | Access::WRITE,
    };
    if flags & TMPFILE_BIT != 0 && (flags & libc::O_DIRECTORY == 0 || !access.contains(Access::WRITE)) {
        bail!(EINVAL);
    }
    if flags & libc::O_PATH != 0 {
        if flags & !(O_PATH_FLAGS | O_LARGEFILE) != 0 {
            bail!(EINVAL);
        }
        flags &= O_PATH_FLAGS;
        access = Access::empty();
    } else if flags & libc::O_TRUNC != 0 {
        access |= Access::WRITE;
    }
    if flags & (libc::O_SYNC & !libc::O_DSYNC) != 0 {
        flags |= libc::O_DSYNC;
    }
    if flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL {
        flags |= libc::O_NOFOLLOW;
    }
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::DIRECTORY, flags & libc::O_DIRECTORY != 0);
    lookup.set(LookupFlags::FOLLOW, flags & libc::O_NOFOLLOW == 0);
    for (bit, flag) in RESOLVE {
        lookup.set(flag, how.resolve & bit != 0);
    }
    if how.resolve & RESOLVE_CACHED != 0 && flags & (libc::O_TRUNC | libc::O_CREAT | TMPFILE_BIT) != 0 {
        bail!(EAGAIN);
    }
    Ok(Op { flags, mode: how.mode, access, lookup })
}

/// open(2)
pub(crate) fn open(cx: &Call, path: PathPtr, flags: OpenFlags, mode: Mode) -> SysResult {
    openat(cx, DirFd::CWD, path, flags, mode)
}

/// creat(2)
pub(crate) fn creat(cx: &Call, path: PathPtr, mode: Mode) -> SysResult {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    openat(cx, DirFd::CWD, path, OpenFlags(flags as u32), mode)
}

/// openat(2)
pub(crate) fn openat(cx: &Call, dirfd: DirFd, path: PathPtr, flags: OpenFlags, mode: Mode) -> SysResult {
    do_open(cx, dirfd, path, lenient(flags, mode))
}

/// openat2(2): E2BIG for a structure from the future that uses what it has more; EINVAL for unknown bits.
pub(crate) fn openat2(cx: &Call, dirfd: DirFd, path: PathPtr, how: Ptr, size: Size) -> SysResult {
    const KNOWN: usize = 24;
    if size.0 < KNOWN as u64 {
        bail!(EINVAL);
    }
    if size.0 > 4096 {
        bail!(E2BIG);
    }
    let bytes = cx.memory().read_vec(how.0.0, size.0 as usize)?;
    if bytes[KNOWN..].iter().any(|&b| b != 0) {
        bail!(E2BIG);
    }
    let word = |i: usize| bytes[i * 8..i * 8 + 8].iter().rev().fold(0u64, |w, &b| w << 8 | u64::from(b));
    let (flags, mode, resolve) = (word(0), word(1), word(2));
    if flags & !(VALID_OPEN_FLAGS as u64) != 0 {
        bail!(EINVAL);
    }
    let Ok(mode) = u32::try_from(mode) else { bail!(EINVAL) };
    do_open(cx, dirfd, path, How { flags: flags as i32 | O_LARGEFILE, mode, resolve })
}

/// name_to_handle_at(2): no file system here gives out handles.
pub(crate) fn name_to_handle_at(
    cx: &Call,
    dirfd: DirFd,
    path: PathPtr,
    _handle: InOut,
    _mount_id: IntPtr,
    flags: AtFlags,
) -> SysResult {
    const AT_HANDLE_FID: i32 = libc::AT_REMOVEDIR;
    let flags = flags.0 as i32;
    if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH | AT_HANDLE_FID) != 0 {
        bail!(EINVAL);
    }
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags & libc::AT_SYMLINK_FOLLOW != 0);
    lookup.set(LookupFlags::EMPTY, flags & libc::AT_EMPTY_PATH != 0);
    Walker::new(cx).object_at(dirfd, path, lookup)?;
    bail!(EOPNOTSUPP)
}

fn do_open(cx: &Call, dirfd: DirFd, path: PathPtr, how: How) -> SysResult {
    let op = judge(how)?;
    let text = cx.read_path(path.0.0)?;
    if text.is_empty() {
        bail!(ENOENT);
    }
    let walker = Walker::new(cx);
    let start = walker.start(dirfd, &text)?;
    if op.flags & TMPFILE_BIT != 0 {
        return tmpfile(&walker, &op, &start, &text);
    }
    if op.flags & libc::O_PATH != 0 {
        let path = walker.lookup().path(&start, &text, op.lookup)?;
        let fd = cx.kernel.ids.placeholders.open(&cx.kernel, &path.inode, op.flags)?;
        return Ok(Outcome::Fd { fd, cloexec: op.flags & libc::O_CLOEXEC != 0 });
    }
    let mut nd = Nd::new(walker.lookup(), &start, &text, op.lookup)?;
    nd.link_path_walk()?;
    // The directory that the last component was found in, for the rules of sticky directories.
    let mut dir;
    let created = loop {
        dir = nd.path.clone();
        match open_last(&walker, &op, &mut nd)? {
            Step::Found => break false,
            Step::Created => break true,
            Step::Link(body) => {
                nd.continue_with(body);
                nd.link_path_walk()?;
            }
        }
    };
    nd.complete()?;
    let must_be_dir = nd.flags.contains(LookupFlags::DIRECTORY);
    let mirrors = &cx.kernel.ids.mirrors;
    if !mirrors.any() {
        return finish(&walker, op, &dir, nd.path, created, must_be_dir);
    }
    let name = nd.last_name().to_vec();
    if created {
        mirrors.created(&dir.inode, &name, Kind::Regular);
    }
    let is_file = nd.path.inode.kind() == Kind::Regular;
    let opened = finish(&walker, op, &dir, nd.path, created, must_be_dir)?;
    if let Outcome::Fd { fd, .. } = &opened
        && is_file
    {
        mirrors.opened(&dir.inode, &name, fd, if created { op.flags & !libc::O_TRUNC } else { op.flags });
    }
    Ok(opened)
}

enum Step {
    Found,
    Created,
    Link(Vec<u8>),
}

/// open_last_lookups() and lookup_open()
fn open_last(walker: &Walker<'_>, op: &Op, nd: &mut Nd<'_>) -> Result<Step, Errno> {
    let step = |link: Option<Vec<u8>>| link.map_or(Step::Found, Step::Link);
    if nd.last != Last::Norm {
        nd.handle_dots(nd.last)?;
        return Ok(Step::Found);
    }
    if op.flags & libc::O_CREAT == 0 {
        return nd.lookup_last().map(step);
    }
    if nd.trailing_slash {
        bail!(EISDIR);
    }
    let name = nd.last_name().to_vec();
    if name.len() > NAME_MAX {
        bail!(ENAMETOOLONG);
    }
    for _ in 0..8 {
        match nd.path.inode.lookup(&name) {
            Ok(inode) => return nd.step_into(inode, true).map(step),
            Err(e) if e.code() == libc::ENOENT && !absence_is_final(&nd.path.inode) => {}
            Err(e) => return Err(e),
        }
        match create(walker, op, &nd.path, &name) {
            Ok(inode) => {
                nd.path.inode = inode;
                return Ok(Step::Created);
            }
            // Somebody else was quicker.
            Err(e) if e.code() == libc::EEXIST && op.flags & libc::O_EXCL == 0 => {}
            Err(e) => return Err(e),
        }
    }
    bail!(ENOENT, "the name comes and goes")
}

fn create(walker: &Walker<'_>, op: &Op, dir: &Path, name: &[u8]) -> Result<InodeRef, Errno> {
    walker.want_write(dir)?;
    may_create(&walker.cred, &*dir.inode)?;
    // Linux takes the number first; here nothing may have been made when there is none.
    if fds::is_table_full(walker.cx.tid()) {
        bail!(EMFILE);
    }
    let (mode, uid, gid) =
        new_owner(&walker.cred, &dir.inode.perm()?, Kind::Regular, op.mode, walker.fs.umask);
    dir.inode.create(name, CreateKind::Regular, mode, uid, gid)
}

/// do_tmpfile()
fn tmpfile(walker: &Walker<'_>, op: &Op, start: &Path, text: &[u8]) -> SysResult {
    let dir = walker.lookup().path(start, text, op.lookup | LookupFlags::DIRECTORY)?;
    walker.want_write(&dir)?;
    inode_permission(&walker.cred, &*dir.inode, Access::WRITE | Access::EXEC)?;
    let (mode, uid, gid) =
        new_owner(&walker.cred, &dir.inode.perm()?, Kind::Regular, op.mode, walker.fs.umask);
    let inode = dir.inode.tmpfile(mode, uid, gid)?;
    if op.flags & libc::O_EXCL != 0 {
        inode.forbid_names();
    }
    let path = Path { mnt: dir.mnt.clone(), inode };
    let flags = op.flags & !(TMPFILE_BIT | libc::O_DIRECTORY | libc::O_TRUNC);
    vfs_open(walker, &path, flags, op.flags & libc::O_CLOEXEC != 0)
}

/// do_open(): judges what was found and opens it.
fn finish(
    walker: &Walker<'_>,
    op: Op,
    dir: &Path,
    path: Path,
    created: bool,
    must_be_dir: bool,
) -> SysResult {
    let mut flags = op.flags;
    let mut access = op.access;
    let cred = &walker.cred;
    let kind = path.inode.kind();
    if flags & libc::O_CREAT != 0 && !created {
        if flags & libc::O_EXCL != 0 {
            bail!(EEXIST);
        }
        if kind == Kind::Directory {
            bail!(EISDIR);
        }
        may_create_in_sticky(cred, &*dir.inode, &*path.inode)?;
    }
    if must_be_dir && kind != Kind::Directory {
        bail!(ENOTDIR);
    }
    if created {
        flags &= !libc::O_TRUNC;
        access = Access::empty();
    } else if kind == Kind::Regular && flags & libc::O_TRUNC != 0 {
        walker.want_write(&path)?;
    }
    // may_open()
    match kind {
        Kind::Symlink => bail!(ELOOP),
        Kind::Directory if access.contains(Access::WRITE) => bail!(EISDIR),
        Kind::CharDevice | Kind::BlockDevice => {
            if path.mnt.flags().contains(MountFlags::NODEV) {
                bail!(EACCES, "nodev");
            }
            flags &= !libc::O_TRUNC;
        }
        Kind::Fifo | Kind::Socket => flags &= !libc::O_TRUNC,
        _ => {}
    }
    inode_permission(cred, &*path.inode, access)?;
    if flags & libc::O_NOATIME != 0 && !owner_or_capable(cred, &path.inode.perm()?) {
        bail!(EPERM);
    }
    // do_dentry_open()
    let writes = matches!(flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR);
    if kind == Kind::Regular && !created && (writes || flags & libc::O_TRUNC != 0) {
        walker.want_write(&path)?;
        if walker.cx.kernel.tasks.executes(&path.inode) {
            bail!(ETXTBSY);
        }
        // Linux drops setuid and setgid at the first write; writes are not seen here.
        if let Some(mode) = mode_after_write(cred, &path.inode.perm()?) {
            path.inode.setattr(&SetAttr { mode: Some(mode), ..SetAttr::default() })?;
        }
    }
    if kind == Kind::Directory && flags & libc::O_DIRECT != 0 {
        bail!(EINVAL);
    }
    vfs_open(walker, &path, flags, op.flags & libc::O_CLOEXEC != 0)
}

fn vfs_open(walker: &Walker<'_>, path: &Path, flags: i32, cloexec: bool) -> SysResult {
    let cx = walker.cx;
    if path.inode.kind() == Kind::Directory {
        let fd = cx.kernel.ids.placeholders.open(&cx.kernel, &path.inode, flags)?;
        return Ok(Outcome::Fd { fd, cloexec });
    }
    let dealt_with = libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_DIRECTORY;
    match path.inode.open(&OpenRequest { flags: flags & !dealt_with, tid: cx.tid() }) {
        Ok(Opened::Fd(fd)) if path.inode.kind() == Kind::CharDevice => {
            super::terminal::opened(cx, fd, flags, cloexec)
        }
        Ok(Opened::Fd(fd)) => Ok(Outcome::Fd { fd, cloexec }),
        Ok(Opened::Blocking(host, flags)) => super::block::open_blocking(cx, host, flags, cloexec),
        // The supervisor's own table, not the guest's.
        Err(e) if e.code() == libc::EMFILE => Err(err!(ENFILE, "the supervisor has no descriptors left")),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(flags: i32, mode: u32) -> Result<Op, i32> {
        judge(lenient(OpenFlags(flags as u32), Mode(mode))).map_err(|e| e.code())
    }

    #[test]
    fn open_forgives_what_openat2_does_not() {
        assert!(judged(1 << 30, 0).is_ok());
        assert_eq!(judged(libc::O_RDONLY, 0o777).map(|op| op.mode), Ok(0));
        let strict = How { flags: libc::O_RDONLY, mode: 0o777, resolve: 0 };
        assert_eq!(judge(strict).map_err(|e| e.code()).err(), Some(libc::EINVAL));
        assert!(judge(How { mode: 0, resolve: 0x18, ..strict }).is_err());
    }

    #[test]
    fn combinations() {
        assert_eq!(judged(libc::O_TMPFILE | libc::O_RDONLY, 0).err(), Some(libc::EINVAL));
        assert_eq!(judged(TMPFILE_BIT | libc::O_RDWR, 0).err(), Some(libc::EINVAL));
        assert!(judged(libc::O_TMPFILE | libc::O_RDWR, 0o600).is_ok());
        assert_eq!(judged(libc::O_CREAT | libc::O_DIRECTORY, 0o600).err(), Some(libc::EINVAL));
        let path = judged(libc::O_PATH | libc::O_CREAT | libc::O_RDWR, 0o600).expect("O_PATH drops the rest");
        assert_eq!(path.flags, libc::O_PATH);
        let trunc = judged(libc::O_TRUNC, 0).expect("valid");
        assert_eq!(trunc.access, Access::READ | Access::WRITE);
        let excl = judged(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY, 0o600).expect("valid");
        assert!(!excl.lookup.contains(LookupFlags::FOLLOW));
    }
}
