//! The table of tasks, by host thread id.

use super::{Cred, FsStruct};
use crate::vfs::Path;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;

/// A thread. Ids are the host's; see [`TaskTable::guest_pid`] for what the guest sees.
#[derive(Debug)]
pub struct Task {
    pub tid: i32,
    pub tgid: i32,
    pub process: Arc<Process>,
    cred: RwLock<Arc<Cred>>,
    /// Shared between tasks made with CLONE_FS.
    fs: Arc<RwLock<FsStruct>>,
}

/// What the threads of a thread group share.
#[derive(Debug)]
pub struct Process {
    pub tgid: i32,
    /// The program, for /proc/PID/exe; changed by exec.
    pub exe: RwLock<Option<Path>>,
    pub state: Mutex<ProcessState>,
}

#[derive(Debug, Default)]
pub struct ProcessState {
    /// Threads that called clone since children were last looked for.
    pub forked: Vec<i32>,
}

/// All tasks of the container.
#[derive(Debug, Default)]
pub struct TaskTable {
    tasks: RwLock<HashMap<i32, Arc<Task>>>,
    /// Host process id of init, 0 before start.
    init: std::sync::atomic::AtomicI32,
}

impl Task {
    pub fn new(tid: i32, process: Arc<Process>, cred: Arc<Cred>, fs: Arc<RwLock<FsStruct>>) -> Task {
        Task { tid, tgid: process.tgid, process, cred: RwLock::new(cred), fs }
    }

    pub fn cred(&self) -> Arc<Cred> {
        self.cred.read().clone()
    }

    pub fn set_cred(&self, cred: Cred) {
        *self.cred.write() = Arc::new(cred);
    }

    pub fn fs(&self) -> FsStruct {
        self.fs.read().clone()
    }

    /// Changes cwd, root or umask.
    pub fn update_fs<R>(&self, f: impl FnOnce(&mut FsStruct) -> R) -> R {
        f(&mut self.fs.write())
    }
}

impl TaskTable {
    /// Host pid of init.
    pub fn init(&self) -> i32 {
        self.init.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The pid that the guest sees for a host pid: init is 1, everybody else is as on the host.
    pub fn guest_pid(&self, host: i32) -> i32 {
        if host == self.init() && host != 0 { 1 } else { host }
    }

    /// The host pid that the guest means.
    pub fn host_pid(&self, guest: i32) -> i32 {
        if guest == 1 { self.init() } else { guest }
    }

    pub fn get(&self, tid: i32) -> Option<Arc<Task>> {
        self.tasks.read().get(&tid).cloned()
    }

    /// All tasks as of now.
    pub fn all(&self) -> Vec<Arc<Task>> {
        self.tasks.read().values().cloned().collect()
    }
}
