//! sync(2), fsync(2) and their like.
//!
//! Bytes of open files are the host's, and so is making them durable. Names and attributes are kept by file systems here;
//! they go to the disk first, and then the host does the rest as the guest asked it.

use super::{Call, OK, Outcome, SysResult};
use crate::vfs::ids::OpenFile;
use carrack_syscalls::arg::Fd;

/// sync(2): the container's file systems. Errors are nobody's, as on Linux.
pub(crate) fn sync(cx: &Call) -> SysResult {
    cx.door.about_to_block();
    for sb in cx.kernel.ids.superblocks() {
        if let Err(e) = sb.sync() {
            tracing::warn!(error = ?e, fs = sb.fstype(), "sync");
        }
    }
    OK
}

/// fsync(2).
pub(crate) fn fsync(cx: &Call, fd: Fd) -> SysResult {
    if let Ok(OpenFile::Vfs(path)) = cx.open_file(fd.0) {
        cx.door.about_to_block();
        path.inode.fsync()?;
    }
    Ok(Outcome::Continue)
}

/// fdatasync(2): what a file is called is needed to get its data back.
pub(crate) fn fdatasync(cx: &Call, fd: Fd) -> SysResult {
    fsync(cx, fd)
}

/// syncfs(2).
pub(crate) fn syncfs(cx: &Call, fd: Fd) -> SysResult {
    if let Ok(OpenFile::Vfs(path)) = cx.open_file(fd.0) {
        cx.door.about_to_block();
        path.inode.sb().sync()?;
    }
    Ok(Outcome::Continue)
}
