//! Extended attributes, xattr(7): all twelve calls.

use super::attr::is_o_path;
use super::path::{Object, Walker, need};
use super::{Call, OK, SysResult, value};
use crate::errno::Errno;
use crate::task::{Caps, Cred};
use crate::vfs::permission::{Access, generic_permission, owner_or_capable};
use crate::vfs::{Kind, LookupFlags, Path, XattrFlags as SetHow};
use crate::{bail, err};
use carrack_syscalls::arg::{DirFd, Fd, GuestAddr, In, Out, PathPtr, Size, StrPtr, XattrFlags};

const NAME_MAX: usize = 255;
const SIZE_MAX: u64 = 65536;
const LIST_MAX: u64 = 65536;

const FOLLOW: LookupFlags = LookupFlags::FOLLOW;
const NOFOLLOW: LookupFlags = LookupFlags::empty();

/// File capabilities (`struct vfs_cap_data`).
const CAPABILITY: &[u8] = b"security.capability";

/// validheader(): revision 2, or 3 with the root it is for.
fn is_file_capability(value: &[u8]) -> bool {
    let Some((magic, rest)) = value.split_first_chunk::<4>() else { return false };
    matches!((u32::from_le_bytes(*magic) >> 24, rest.len()), (2, 16) | (3, 20))
}

/// import_xattr_name(): ERANGE for an empty or too long name.
fn read_name(cx: &Call, name: StrPtr) -> Result<Vec<u8>, Errno> {
    match cx.memory().read_cstr(name.0.0, NAME_MAX)? {
        Some(name) if !name.is_empty() => Ok(name),
        _ => bail!(ERANGE),
    }
}

/// What a descriptor is of; O_PATH ones give EBADF, those without a file system of ours EOPNOTSUPP.
fn of_fd(walker: &Walker<'_>, fd: Fd) -> Result<Path, Errno> {
    match walker.object(fd)? {
        Object::Vfs(path) => {
            if is_o_path(walker, fd)? {
                bail!(EBADF);
            }
            Ok(path)
        }
        Object::Anonymous(_) => bail!(EOPNOTSUPP),
    }
}

/// xattr_permission() and what the capability module adds.
fn permitted(cred: &Cred, path: &Path, name: &[u8], write: bool) -> Result<(), Errno> {
    let refused = || if write { err!(EPERM) } else { err!(ENODATA) };
    if name.starts_with(b"security.") {
        if write {
            let cap = if name == CAPABILITY { Caps::SETFCAP } else { Caps::SYS_ADMIN };
            if !cred.capable(cap) {
                bail!(EPERM);
            }
        }
        return Ok(());
    }
    if name.starts_with(b"system.") {
        return Ok(());
    }
    if name.starts_with(b"trusted.") {
        return if cred.capable(Caps::SYS_ADMIN) { Ok(()) } else { Err(refused()) };
    }
    let attr = path.inode.perm()?;
    if name.starts_with(b"user.") {
        let kind = attr.kind();
        if !matches!(kind, Kind::Regular | Kind::Directory) {
            return Err(refused());
        }
        let sticky = kind == Kind::Directory && attr.mode & libc::S_ISVTX != 0;
        if sticky && write && !owner_or_capable(cred, &attr) {
            bail!(EPERM);
        }
    }
    generic_permission(cred, &attr, if write { Access::WRITE } else { Access::READ })
}

/// The handlers' own rules: EOPNOTSUPP for a namespace that no file system here has, EINVAL for a name that is all prefix.
fn resolved(name: &[u8]) -> Result<(), Errno> {
    for prefix in [&b"user."[..], b"trusted.", b"security."] {
        if let Some(rest) = name.strip_prefix(prefix) {
            return if rest.is_empty() { Err(err!(EINVAL)) } else { Ok(()) };
        }
    }
    bail!(EOPNOTSUPP)
}

// --- set -------------------------------------------------------------------------------------------------------------

struct New {
    name: Vec<u8>,
    value: Vec<u8>,
    how: SetHow,
}

fn read_new(cx: &Call, name: StrPtr, from: In, size: Size, flags: XattrFlags) -> Result<New, Errno> {
    let Some(how) = u32::try_from(flags.0).ok().and_then(SetHow::from_bits) else { bail!(EINVAL) };
    let name = read_name(cx, name)?;
    if size.0 > SIZE_MAX {
        bail!(E2BIG);
    }
    let value = cx.memory().read_vec(from.0.0, size.0 as usize)?;
    Ok(New { name, value, how })
}

fn set(walker: &Walker<'_>, path: &Path, new: &New) -> SysResult {
    walker.want_write(path)?;
    if new.name == CAPABILITY {
        // cap_convert_nscap(), which is all that judges this one.
        if !new.value.is_empty() {
            if !is_file_capability(&new.value) {
                bail!(EINVAL);
            }
            need(&walker.cred, Caps::SETFCAP)?;
        }
    } else {
        permitted(&walker.cred, path, &new.name, true)?;
    }
    resolved(&new.name)?;
    path.inode.setxattr(&new.name, &new.value, new.how)?;
    OK
}

fn set_at(cx: &Call, path: PathPtr, new: &New, flags: LookupFlags) -> SysResult {
    let walker = Walker::new(cx);
    let path = walker.path_at(DirFd::CWD, path, flags)?;
    set(&walker, &path, new)
}

/// setxattr(2)
pub(crate) fn setxattr(
    cx: &Call,
    path: PathPtr,
    name: StrPtr,
    value: In,
    size: Size,
    flags: XattrFlags,
) -> SysResult {
    set_at(cx, path, &read_new(cx, name, value, size, flags)?, FOLLOW)
}

/// lsetxattr(2)
pub(crate) fn lsetxattr(
    cx: &Call,
    path: PathPtr,
    name: StrPtr,
    value: In,
    size: Size,
    flags: XattrFlags,
) -> SysResult {
    set_at(cx, path, &read_new(cx, name, value, size, flags)?, NOFOLLOW)
}

/// fsetxattr(2)
pub(crate) fn fsetxattr(
    cx: &Call,
    fd: Fd,
    name: StrPtr,
    value: In,
    size: Size,
    flags: XattrFlags,
) -> SysResult {
    let new = read_new(cx, name, value, size, flags)?;
    let walker = Walker::new(cx);
    let path = of_fd(&walker, fd)?;
    set(&walker, &path, &new)
}

// --- get -------------------------------------------------------------------------------------------------------------

/// A value for a buffer: its length alone when there is no buffer, ERANGE when that is too small.
fn answer(cx: &Call, bytes: &[u8], to: GuestAddr, size: Size) -> SysResult {
    if size.0 != 0 {
        if bytes.len() as u64 > size.0 {
            bail!(ERANGE);
        }
        cx.memory().write(to.0, bytes)?;
    }
    value(bytes.len() as i64)
}

fn get(walker: &Walker<'_>, path: &Path, name: &[u8], to: Out, size: Size) -> SysResult {
    permitted(&walker.cred, path, name, false)?;
    resolved(name)?;
    let bytes = path.inode.getxattr(name)?;
    if name == CAPABILITY && !is_file_capability(&bytes) {
        bail!(EINVAL);
    }
    answer(walker.cx, &bytes, to.0, Size(size.0.min(SIZE_MAX)))
}

fn get_at(cx: &Call, path: PathPtr, name: StrPtr, to: Out, size: Size, flags: LookupFlags) -> SysResult {
    let name = read_name(cx, name)?;
    let walker = Walker::new(cx);
    let path = walker.path_at(DirFd::CWD, path, flags)?;
    get(&walker, &path, &name, to, size)
}

/// getxattr(2)
pub(crate) fn getxattr(cx: &Call, path: PathPtr, name: StrPtr, value: Out, size: Size) -> SysResult {
    get_at(cx, path, name, value, size, FOLLOW)
}

/// lgetxattr(2)
pub(crate) fn lgetxattr(cx: &Call, path: PathPtr, name: StrPtr, value: Out, size: Size) -> SysResult {
    get_at(cx, path, name, value, size, NOFOLLOW)
}

/// fgetxattr(2)
pub(crate) fn fgetxattr(cx: &Call, fd: Fd, name: StrPtr, value: Out, size: Size) -> SysResult {
    let name = read_name(cx, name)?;
    let walker = Walker::new(cx);
    let path = of_fd(&walker, fd)?;
    get(&walker, &path, &name, value, size)
}

// --- list ------------------------------------------------------------------------------------------------------------

fn list(walker: &Walker<'_>, path: &Path, to: Out, size: Size) -> SysResult {
    let mut text = Vec::new();
    for name in path.inode.listxattr()? {
        if name.starts_with(b"trusted.") && !walker.cred.capable(Caps::SYS_ADMIN) {
            continue;
        }
        text.extend_from_slice(&name);
        text.push(0);
    }
    answer(walker.cx, &text, to.0, Size(size.0.min(LIST_MAX)))
}

fn list_at(cx: &Call, path: PathPtr, to: Out, size: Size, flags: LookupFlags) -> SysResult {
    let walker = Walker::new(cx);
    let path = walker.path_at(DirFd::CWD, path, flags)?;
    list(&walker, &path, to, size)
}

/// listxattr(2)
pub(crate) fn listxattr(cx: &Call, path: PathPtr, to: Out, size: Size) -> SysResult {
    list_at(cx, path, to, size, FOLLOW)
}

/// llistxattr(2)
pub(crate) fn llistxattr(cx: &Call, path: PathPtr, to: Out, size: Size) -> SysResult {
    list_at(cx, path, to, size, NOFOLLOW)
}

/// flistxattr(2)
pub(crate) fn flistxattr(cx: &Call, fd: Fd, to: Out, size: Size) -> SysResult {
    let walker = Walker::new(cx);
    let path = of_fd(&walker, fd)?;
    list(&walker, &path, to, size)
}

// --- remove ----------------------------------------------------------------------------------------------------------

fn remove(walker: &Walker<'_>, path: &Path, name: &[u8]) -> SysResult {
    walker.want_write(path)?;
    permitted(&walker.cred, path, name, true)?;
    resolved(name)?;
    path.inode.removexattr(name)?;
    OK
}

fn remove_at(cx: &Call, path: PathPtr, name: StrPtr, flags: LookupFlags) -> SysResult {
    let name = read_name(cx, name)?;
    let walker = Walker::new(cx);
    let path = walker.path_at(DirFd::CWD, path, flags)?;
    remove(&walker, &path, &name)
}

/// removexattr(2)
pub(crate) fn removexattr(cx: &Call, path: PathPtr, name: StrPtr) -> SysResult {
    remove_at(cx, path, name, FOLLOW)
}

/// lremovexattr(2)
pub(crate) fn lremovexattr(cx: &Call, path: PathPtr, name: StrPtr) -> SysResult {
    remove_at(cx, path, name, NOFOLLOW)
}

/// fremovexattr(2)
pub(crate) fn fremovexattr(cx: &Call, fd: Fd, name: StrPtr) -> SysResult {
    let name = read_name(cx, name)?;
    let walker = Walker::new(cx);
    let path = of_fd(&walker, fd)?;
    remove(&walker, &path, &name)
}
