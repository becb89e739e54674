//! Working directory, root and umask of a process; Linux's `struct fs_struct`, shared by threads (CLONE_FS).

use crate::vfs::Path;

#[derive(Debug, Clone)]
pub struct FsStruct {
    pub cwd: Path,
    pub root: Path,
    pub umask: u32,
}
