//! One system call in flight: what a handler may touch of its caller.

use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::platform::{fds, handover, memory::Memory};
use crate::task::{Cred, FsStruct, Task};
use crate::vfs::{Path, ids::OpenFile};
use crate::{bail, err};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// PATH_MAX of Linux, with the NUL.
pub const PATH_MAX: usize = 4096;

/// A call of a guest thread, which waits until the handler's [`Outcome`](super::Outcome) is carried out.
#[derive(Debug)]
pub struct Call {
    pub kernel: Arc<Kernel>,
    pub task: Arc<Task>,
    /// Syscall number.
    pub nr: u32,
    pub args: [u64; 6],
    /// Address after the `syscall` instruction.
    pub instruction_pointer: u64,
    /// How to reach the listener; handlers have no business with it but through methods here.
    pub(crate) door: Arc<dyn Door>,
}

/// What a call may ask of the way it came in.
pub trait Door: Send + Sync + std::fmt::Debug {
    /// Lets somebody else receive calls while this one goes on in its thread: call it before anything that may wait.
    fn about_to_block(&self);
    /// Whether the caller is still there and still waits. Check after reading its memory and before acting on it where the
    /// act cannot be undone.
    fn still_there(&self) -> bool;
    /// Puts a copy of `fd` into the guest's table at its lowest free number and returns that number; the call goes on.
    /// EMFILE when the guest's table is full.
    fn add_fd(&self, fd: &OwnedFd, cloexec: bool) -> Result<i32, Errno>;
    /// Puts a copy of `fd` in the place of the guest's descriptor `at`; the call goes on.
    fn replace_fd(&self, fd: &OwnedFd, at: i32, cloexec: bool) -> Result<(), Errno>;
    /// Ends the call with EINTR so that a ptrace stop that was asked for is reached; the stop decides what happens then.
    fn answer_interrupted(&self) -> Result<(), Errno>;
}

impl Call {
    /// Host thread id of the caller.
    pub fn tid(&self) -> i32 {
        self.task.tid
    }

    pub fn memory(&self) -> Memory {
        Memory::of(self.task.tid)
    }

    /// The caller's credentials as of now.
    pub fn cred(&self) -> Arc<Cred> {
        self.task.cred()
    }

    /// The caller's cwd, root and umask as of now.
    pub fn fs(&self) -> FsStruct {
        self.task.fs()
    }

    /// A path argument: EFAULT, ENAMETOOLONG past 4095 bytes. Empty paths are returned as they are (the walk decides).
    pub fn read_path(&self, addr: u64) -> Result<Vec<u8>, Errno> {
        self.memory().read_cstr(addr, PATH_MAX - 1)?.ok_or(err!(ENAMETOOLONG))
    }

    /// What the guest's descriptor `fd` is of. EBADF when there is none such.
    pub fn open_file(&self, fd: i32) -> Result<OpenFile, Errno> {
        self.kernel.ids.open_file(&self.kernel, self.task.tid, fd)
    }

    /// A duplicate of the guest's descriptor in the supervisor, of the same open file. Ask before doing anything that cannot
    /// be done twice: on some hosts the call is made again once the task has handed the descriptor over.
    pub fn duplicate_fd(&self, fd: i32) -> Result<OwnedFd, Errno> {
        if let Some(duplicate) = fds::share_by(self.task.process.pidfd(), fd)? {
            return Ok(duplicate);
        }
        if let Some(duplicate) = self.task.handed.lock().get(self.nr, self.args, fd) {
            return Ok(duplicate);
        }
        fds::host_name(self.task.tid, fd)?;
        Err(Errno::because(handover::WANTED, "the task must hand it over"))
    }

    /// Where a path argument relative to `dirfd` starts: `None` in `dirfd`'s place means the working directory.
    /// ENOTDIR is left to the walk.
    pub fn start_of(&self, dirfd: i32) -> Result<Path, Errno> {
        if dirfd == libc::AT_FDCWD {
            return Ok(self.fs().cwd);
        }
        match self.open_file(dirfd)? {
            OpenFile::Vfs(path) => Ok(path),
            OpenFile::Anonymous { .. } => bail!(ENOTDIR),
        }
    }
}
