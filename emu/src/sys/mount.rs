//! mount(2), umount(2), pivot_root(2), for callers with CAP_SYS_ADMIN.

use super::path::{Walker, need};
use super::{Call, OK, SysResult};
use crate::errno::Errno;
use crate::fs::delta::DeltaFs;
use crate::fs::dev::Devices;
use crate::fs::proc::ProcFs;
use crate::fs::sys::SysFs;
use crate::fs::tmp::{TmpFs, TmpOptions};
use crate::task::Caps;
use crate::vfs::{Kind, LookupFlags, MountFlags as Flags, MountRef, Path, SuperBlock};
use crate::{bail, err};
use carrack_syscalls::arg::{DirFd, MountFlags, PathPtr, Ptr, StrPtr, UmountFlags};
use std::any::Any;
use std::sync::Arc;

const MS_REMOUNT: u64 = 32;
const MS_BIND: u64 = 4096;
const MS_MOVE: u64 = 8192;
const MS_REC: u64 = 16384;
/// Of the kernel's own mounts.
const SB_NOUSER: u64 = 1 << 31;
const MS_PROPAGATION: u64 = 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20;

fn read_string(cx: &Call, at: StrPtr) -> Result<Option<Vec<u8>>, Errno> {
    if at.is_null() {
        return Ok(None);
    }
    cx.read_path(at.0.0).map(Some)
}

/// copy_mount_options(): what can be read of a page's length, even without its end.
fn options(cx: &Call, at: Ptr) -> Result<Vec<u8>, Errno> {
    match cx.memory().read_cstr(at.0.0, 4095) {
        Err(e) if e.code() == libc::EFAULT => {
            let mut bytes = vec![0; 4096 - (at.0.0 % 4096) as usize];
            cx.memory().read(at.0.0, &mut bytes).map(|()| bytes)
        }
        other => other.map(Option::unwrap_or_default),
    }
}

/// The per-mount flags among MS_* bits.
fn per_mount(flags: u64) -> Flags {
    let mut kept = Flags::from_bits_truncate(flags);
    if !kept.contains(Flags::NOATIME) {
        kept |= Flags::RELATIME;
    }
    kept
}

/// mount(2): bind mounts, remounts of per-mount flags, changes of propagation (which do nothing, as nothing
/// propagates), and new file systems in memory or of the supervisor's making. ENODEV for all else.
pub(crate) fn mount(
    cx: &Call,
    source: StrPtr,
    target: PathPtr,
    fstype: StrPtr,
    flags: MountFlags,
    data: Ptr,
) -> SysResult {
    let fstype = read_string(cx, fstype)?;
    let source = read_string(cx, source)?;
    let data = if data.is_null() { Vec::new() } else { options(cx, data)? };
    let walker = Walker::new(cx);
    let at = walker.path_at(DirFd::CWD, target, LookupFlags::FOLLOW)?;
    let mut flags = flags.0;
    if flags & 0xffff_0000 == 0xc0ed_0000 {
        flags &= 0xffff;
    }
    if flags & SB_NOUSER != 0 {
        bail!(EINVAL);
    }
    need(&walker.cred, Caps::SYS_ADMIN)?;
    if flags & MS_REMOUNT != 0 {
        if !at.is_mount_root() {
            bail!(EINVAL);
        }
        if at.mnt.mountpoint.is_none() {
            // The brand answers for the root as it was mounted.
            cx.kernel.brand.switch_off();
        }
        *at.mnt.flags.write() = per_mount(flags);
        return OK;
    }
    if flags & MS_PROPAGATION != 0 {
        return if at.is_mount_root() { OK } else { bail!(EINVAL) };
    }
    if flags & MS_BIND != 0 {
        let Some(source) = source.filter(|s| !s.is_empty()) else { bail!(EINVAL) };
        return bind(&walker, &source, at, flags);
    }
    if flags & MS_MOVE != 0 {
        bail!(EINVAL, "mounts do not move");
    }
    let Some(fstype) = fstype else { bail!(EINVAL) };
    let sb = new_filesystem(cx, &fstype, &data)?;
    let root = sb.root();
    need_same_type(&root, &at)?;
    let name = source.map_or_else(|| sb.source(), |s| String::from_utf8_lossy(&s).into_owned());
    cx.kernel.ids.register(sb.clone());
    cx.kernel.mounts.attach(sb, root, at, per_mount(flags), name);
    OK
}

/// A directory is mounted on a directory, everything else on what is not one.
fn need_same_type(root: &crate::vfs::InodeRef, at: &Path) -> Result<(), Errno> {
    if (root.kind() == Kind::Directory) == (at.inode.kind() == Kind::Directory) {
        Ok(())
    } else {
        bail!(ENOTDIR)
    }
}

fn bind(walker: &Walker<'_>, source: &[u8], at: Path, flags: u64) -> SysResult {
    let start = walker.start(DirFd::CWD, source)?;
    let from = walker.lookup().path(&start, source, LookupFlags::FOLLOW)?;
    need_same_type(&from.inode, &at)?;
    let mounts = &walker.cx.kernel.mounts;
    let top =
        mounts.attach(from.mnt.sb.clone(), from.inode.clone(), at, from.mnt.flags(), from.mnt.source.clone());
    if flags & MS_REC != 0 {
        copy_submounts(walker, &from, &top);
    }
    OK
}

/// MS_REC: what is mounted below the source appears below the copy too.
fn copy_submounts(walker: &Walker<'_>, from: &Path, top: &MountRef) {
    let mounts = &walker.cx.kernel.mounts;
    let mut copies = vec![(from.mnt.clone(), top.clone())];
    for mnt in mounts.mounts() {
        if mnt.id >= top.id {
            break;
        }
        let Some(on) = &mnt.mountpoint else { continue };
        let Some((_, copy)) = copies.iter().find(|(old, _)| Arc::ptr_eq(old, &on.mnt)) else { continue };
        if Arc::ptr_eq(&on.mnt, &from.mnt) && !crate::vfs::mount::is_below(&on.inode, &from.inode) {
            continue;
        }
        let at = Path { mnt: copy.clone(), inode: on.inode.clone() };
        let new = mounts.attach(mnt.sb.clone(), mnt.root.clone(), at, mnt.flags(), mnt.source.clone());
        copies.push((mnt, new));
    }
}

/// A file system that a container can be given more of. ENODEV for types that are not there.
fn new_filesystem(cx: &Call, fstype: &[u8], data: &[u8]) -> Result<Arc<dyn SuperBlock>, Errno> {
    let kernel = &cx.kernel;
    let id = || kernel.ids.new_sb_id();
    Ok(match fstype {
        b"tmpfs" | b"ramfs" | b"mqueue" => {
            let options = tmpfs_options(data)?;
            TmpFs::new(id(), &kernel.spec.run_dir, options, devices(cx))
        }
        b"proc" => {
            let proc = ProcFs::new(id());
            proc.attach(kernel);
            proc
        }
        b"sysfs" | b"cgroup2" => {
            let sys = if fstype == b"sysfs" { SysFs::new(id()) } else { SysFs::cgroup2(id()) };
            sys.attach(kernel);
            sys
        }
        b"devpts" => {
            let terminals = kernel.ids.superblocks().into_iter().find(|sb| sb.fstype() == "devpts");
            terminals.ok_or(err!(ENODEV, "no terminals"))?
        }
        _ => bail!(ENODEV),
    })
}

/// The container's devices, which its root file system knows.
fn devices(cx: &Call) -> Arc<Devices> {
    let root = cx.kernel.mounts.root();
    let sb: &dyn Any = &*root.mnt.sb;
    sb.downcast_ref::<DeltaFs>().map(|delta| delta.devices().clone()).unwrap_or_default()
}

/// `size=`, `mode=` of tmpfs(5); other options that Linux knows are accepted and do nothing. EINVAL for unknown ones.
fn tmpfs_options(data: &[u8]) -> Result<TmpOptions, Errno> {
    const IGNORED: [&str; 9] =
        ["nr_inodes", "nr_blocks", "uid", "gid", "huge", "mpol", "inode64", "inode32", "noswap"];
    let mut options = TmpOptions::default();
    let text = std::str::from_utf8(data).map_err(|_| err!(EINVAL))?;
    for option in text.split(',').filter(|o| !o.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "size" => options.size = size(value).ok_or(err!(EINVAL))?,
            "mode" => options.mode = u32::from_str_radix(value, 8).map_err(|_| err!(EINVAL))? & 0o7777,
            name if IGNORED.contains(&name) => {}
            _ => bail!(EINVAL, "unknown option of tmpfs"),
        }
    }
    Ok(options)
}

/// A number of bytes with a suffix k, m, g or %, the last of half of what a tmpfs may have anyway.
fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        b'g' | b'G' => (&text[..text.len() - 1], 1 << 30),
        b'%' => return text[..text.len() - 1].parse::<u64>().ok().map(|_| 0),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// umount2(2)
pub(crate) fn umount2(cx: &Call, target: PathPtr, flags: UmountFlags) -> SysResult {
    const UMOUNT_NOFOLLOW: i32 = 8;
    if flags.0 & !(libc::MNT_FORCE | libc::MNT_DETACH | libc::MNT_EXPIRE | UMOUNT_NOFOLLOW) != 0 {
        bail!(EINVAL);
    }
    let walker = Walker::new(cx);
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags.0 & UMOUNT_NOFOLLOW == 0);
    let path = walker.path_at(DirFd::CWD, target, lookup)?;
    need(&walker.cred, Caps::SYS_ADMIN)?;
    if !path.is_mount_root() || !path.mnt.is_attached() {
        bail!(EINVAL);
    }
    if flags.0 & libc::MNT_EXPIRE != 0 {
        if flags.0 & (libc::MNT_FORCE | libc::MNT_DETACH) != 0 {
            bail!(EINVAL);
        }
        bail!(EAGAIN);
    }
    if path.mnt.mountpoint.is_none() {
        bail!(EBUSY, "the root");
    }
    if flags.0 & libc::MNT_DETACH == 0 && is_busy(cx, &path.mnt) {
        bail!(EBUSY);
    }
    cx.kernel.mounts.detach(&path.mnt);
    OK
}

/// Whether something is mounted below it, or a task stands in it. Open files do not count: they are the host's.
fn is_busy(cx: &Call, mnt: &MountRef) -> bool {
    cx.kernel.mounts.has_children(mnt)
        || cx.kernel.tasks.all().iter().any(|task| {
            let fs = task.fs();
            let is_inside = Arc::ptr_eq(&fs.cwd.mnt, mnt) || Arc::ptr_eq(&fs.root.mnt, mnt);
            is_inside && !task.process.is_dead()
        })
}

/// pivot_root(2): the container has one mount namespace for good.
pub(crate) fn pivot_root(cx: &Call, _new_root: PathPtr, _put_old: PathPtr) -> SysResult {
    need(&cx.cred(), Caps::SYS_ADMIN)?;
    bail!(EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_tmpfs() {
        let o = tmpfs_options(b"size=64k,mode=755,nr_inodes=10").expect("valid");
        assert_eq!((o.size, o.mode), (65536, 0o755));
        assert!(tmpfs_options(b"size=x").is_err());
        assert!(tmpfs_options(b"colour=red").is_err());
        assert_eq!(tmpfs_options(b"").expect("valid").mode, 0o1777);
        assert_eq!(size("99999999999999999999g"), None);
    }
}
