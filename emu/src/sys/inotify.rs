//! inotify_add_watch(2). The inotify itself is the host's, and so are reading it and inotify_rm_watch(2).
//!
//! A regular file is watched on its body. A directory is watched on its placeholder, which from then on is kept a mirror of
//! its names (`vfs::mirror`). Everything else is watched on a placeholder where nothing happens.

use super::path::{Walker, need_dir};
use super::{Call, SysResult, value};
use crate::bail;
use crate::errno::{Errno, host};
use crate::vfs::permission::{Access, inode_permission};
use crate::vfs::{InodeRef, Kind, LookupFlags, OpenRequest};
use carrack_syscalls::arg::{DirFd, Fd, PathPtr, Uint};
use rustix::fs::{Mode, OFlags, inotify};
use std::os::fd::{AsRawFd, OwnedFd};

/// inotify_add_watch(2)
pub(crate) fn inotify_add_watch(cx: &Call, fd: Fd, path: PathPtr, mask: Uint) -> SysResult {
    const EVENTS: u32 = 0x0fff;
    const OPTIONS: u32 = 0xf700_0000 | 0x6000;
    let m = mask.0;
    let both = libc::IN_MASK_ADD | libc::IN_MASK_CREATE;
    if m & (EVENTS | OPTIONS) == 0 || m & both == both {
        bail!(EINVAL);
    }
    let name = crate::platform::fds::host_name(cx.tid(), fd.0)?;
    if name != b"anon_inode:inotify" {
        bail!(EINVAL);
    }
    let walker = Walker::new(cx);
    let mut flags = LookupFlags::empty();
    flags.set(LookupFlags::FOLLOW, m & libc::IN_DONT_FOLLOW == 0);
    flags.set(LookupFlags::DIRECTORY, m & libc::IN_ONLYDIR != 0);
    let path = walker.path_at(DirFd::CWD, path, flags)?;
    if m & libc::IN_ONLYDIR != 0 {
        need_dir(&path.inode)?;
    }
    inode_permission(&walker.cred, &*path.inode, Access::READ)?;
    let ours = cx.duplicate_fd(fd.0)?;
    let how = inotify::WatchFlags::from_bits_retain(m & !(libc::IN_DONT_FOLLOW | libc::IN_ONLYDIR));
    let wd = match path.inode.kind() {
        Kind::Directory => {
            inotify::add_watch(&ours, cx.kernel.ids.mirrors.watch(&cx.kernel, &path.inode)?, how)
        }
        Kind::Regular => {
            cx.kernel.ids.mirrors.watch_file();
            let body = body_of(cx, &path.inode)?;
            inotify::add_watch(&ours, format!("/proc/self/fd/{}", body.as_raw_fd()), how)
        }
        _ => inotify::add_watch(&ours, cx.kernel.ids.placeholders.ensure(&cx.kernel, &path.inode)?, how),
    };
    value(wd.map_err(host)?)
}

/// The body that writers will write to, which for a file of the image is a copy that has to be made now. An O_PATH
/// descriptor, as closing that is no event.
fn body_of(cx: &Call, inode: &InodeRef) -> Result<OwnedFd, Errno> {
    let _ = inode.open(&OpenRequest { flags: libc::O_RDWR, tid: cx.tid() });
    let body = inode.open_body()?;
    let path = format!("/proc/self/fd/{}", body.as_raw_fd());
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(host)
}
