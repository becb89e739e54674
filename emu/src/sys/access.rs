//! access(2), faccessat(2), faccessat2(2).

use super::path::{Object, Walker};
use super::stat::lookup_flags;
use super::{Call, OK, SysResult};
use crate::bail;
use crate::task::{Caps, Cred};
use crate::vfs::permission::{Access, generic_permission};
use crate::vfs::{Kind, MountFlags};
use carrack_syscalls::arg::{AccessMode, AtFlags, DirFd, PathPtr};
use std::sync::Arc;

/// access(2)
pub(crate) fn access(cx: &Call, path: PathPtr, mode: AccessMode) -> SysResult {
    faccessat2(cx, DirFd::CWD, path, mode, AtFlags(0))
}

/// faccessat(2), the system call, which has no flags.
pub(crate) fn faccessat(cx: &Call, dirfd: DirFd, path: PathPtr, mode: AccessMode) -> SysResult {
    faccessat2(cx, dirfd, path, mode, AtFlags(0))
}

/// faccessat2(2)
pub(crate) fn faccessat2(
    cx: &Call,
    dirfd: DirFd,
    path: PathPtr,
    mode: AccessMode,
    flags: AtFlags,
) -> SysResult {
    let flags = flags.0 as i32;
    let Some(mask) = u32::try_from(mode.0).ok().and_then(Access::from_bits) else { bail!(EINVAL) };
    if flags & !(libc::AT_EACCESS | libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
        bail!(EINVAL);
    }
    let mut walker = Walker::new(cx);
    if flags & libc::AT_EACCESS == 0 {
        walker.cred = with_real_ids(&walker.cred);
    }
    // Pipes and their like belong to whoever holds them.
    let Object::Vfs(path) = walker.object_at(dirfd, path, lookup_flags(flags & !libc::AT_EACCESS))? else {
        return OK;
    };
    let attr = path.inode.perm()?;
    let kind = path.inode.kind();
    if mask.contains(Access::EXEC) && kind == Kind::Regular && path.mnt.flags().contains(MountFlags::NOEXEC) {
        bail!(EACCES, "noexec");
    }
    if !mask.is_empty() {
        generic_permission(&walker.cred, &attr, mask)?;
    }
    let special = !matches!(kind, Kind::Regular | Kind::Directory | Kind::Symlink);
    if mask.contains(Access::WRITE) && !special && path.mnt.is_read_only() {
        bail!(EROFS);
    }
    OK
}

/// access_override_creds(): the real ids decide, and the capabilities that a program run by them would have.
fn with_real_ids(cred: &Arc<Cred>) -> Arc<Cred> {
    const NO_SETUID_FIXUP: u32 = 1 << 2;
    let effective = if cred.securebits & NO_SETUID_FIXUP != 0 {
        cred.effective
    } else if cred.uid == 0 {
        cred.permitted
    } else {
        Caps::empty()
    };
    if cred.fsuid == cred.uid && cred.fsgid == cred.gid && cred.effective == effective {
        return cred.clone();
    }
    Arc::new(Cred { fsuid: cred.uid, fsgid: cred.gid, effective, ..(**cred).clone() })
}
