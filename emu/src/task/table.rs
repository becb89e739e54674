//! The table of tasks, by host thread id, and how new ones come in.
//!
//! The kernel of the host makes threads and processes natively; the supervisor meets a new one at its first notified call
//! and *adopts* it then, giving it a copy of its parent's state. So that this copy is the state as of the fork, whoever is
//! about to change state that children inherit first *settles*: adopts all children that were forked and not yet met.
//! exit and exit_group are notified for the same reason. What remains is a parent that a signal kills before its child's
//! first call: the child is then matched with the dead parents that still owed children; when that is ambiguous, with the
//! least privileged, and when there is none, the child is killed.

use super::process::Process;
use super::{Cred, FsStruct};
use crate::platform::handover::Handed;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

/// A thread. Ids are the host's; see [`TaskTable::guest_pid`] for what the guest sees.
#[derive(Debug)]
pub struct Task {
    pub tid: i32,
    pub tgid: i32,
    pub process: Arc<Process>,
    cred: RwLock<Arc<Cred>>,
    /// Shared between tasks made with CLONE_FS.
    fs: RwLock<Arc<RwLock<FsStruct>>>,
    /// The call that this thread is about to repeat because the supervisor told it to; see [`Reissue`].
    reissue: Mutex<Option<Reissue>>,
    has_reissue: AtomicBool,
    /// Descriptors that this thread was made to hand over for the call that it makes again.
    pub(crate) handed: Mutex<Handed>,
}

/// A call that the supervisor set a thread's registers for: let through once, exactly as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reissue {
    pub(crate) nr: u32,
    pub(crate) args: [u64; 6],
}

/// All tasks of the container.
#[derive(Debug, Default)]
pub struct TaskTable {
    tasks: RwLock<HashMap<i32, Arc<Task>>>,
    processes: RwLock<HashMap<i32, Arc<Process>>>,
    /// Host process id of init, 0 before start.
    init: AtomicI32,
    /// Adoptions since the dead were last swept out.
    adopted: AtomicUsize,
    /// Held while a task is taken in: a parent that settles and the child's own first call must not both do it, or two
    /// workers would hold different objects for one thread.
    adopting: Mutex<()>,
}

/// Dead processes are looked for after this many adoptions: fewer than any host needs to reuse a pid.
const SWEEP_EVERY: usize = 64;

impl Task {
    pub(crate) fn new(tid: i32, process: Arc<Process>, cred: Arc<Cred>, fs: Arc<RwLock<FsStruct>>) -> Task {
        Task {
            tid,
            tgid: process.tgid,
            process,
            cred: RwLock::new(cred),
            fs: RwLock::new(fs),
            reissue: Mutex::new(None),
            has_reissue: AtomicBool::new(false),
            handed: Mutex::default(),
        }
    }

    pub fn cred(&self) -> Arc<Cred> {
        self.cred.read().clone()
    }

    /// Replaces the credentials of this thread.
    pub fn set_cred(&self, cred: Cred) {
        self.process.settle();
        self.forget_identity();
        *self.cred.write() = Arc::new(cred);
    }

    /// Before anything changes that the process may have been told about itself.
    pub(crate) fn forget_identity(&self) {
        if !self.process.branded.lock().forget_identity(self.tid) {
            // It would go on with what it was told. That its memory cannot be written to although it could before means that
            // it is ending, as a rule.
            tracing::warn!(tid = self.tid, "a task cannot be told that it is another one now; it is killed");
            crate::dispatch::kill(self.tid);
        }
    }

    pub fn fs(&self) -> FsStruct {
        self.fs.read().read().clone()
    }

    pub(crate) fn fs_shared(&self) -> Arc<RwLock<FsStruct>> {
        self.fs.read().clone()
    }

    /// unshare(CLONE_FS): from now on cwd, root and umask are this task's own.
    pub(crate) fn unshare_fs(&self) {
        let own = Arc::new(RwLock::new(self.fs()));
        *self.fs.write() = own;
    }

    /// Changes cwd, root or umask.
    pub fn update_fs<R>(&self, f: impl FnOnce(&mut FsStruct) -> R) -> R {
        self.process.settle();
        f(&mut self.fs.read().write())
    }

    pub(crate) fn expect_reissue(&self, what: Option<Reissue>) {
        let mut slot = self.reissue.lock();
        *slot = what;
        self.has_reissue.store(what.is_some(), Ordering::Release);
    }

    /// Whether this call is the one that was set up. Any call of the thread uses the expectation up.
    pub(crate) fn take_reissue(&self, nr: u32, args: &[u64; 6]) -> bool {
        if !self.has_reissue.load(Ordering::Acquire) {
            return false;
        }
        let mut slot = self.reissue.lock();
        self.has_reissue.store(false, Ordering::Release);
        slot.take().is_some_and(|r| r.nr == nr && r.args == *args)
    }
}

impl TaskTable {
    /// Host pid of init.
    pub fn init(&self) -> i32 {
        self.init.load(Ordering::Relaxed)
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

    pub fn process(&self, tgid: i32) -> Option<Arc<Process>> {
        self.processes.read().get(&tgid).cloned()
    }

    /// All tasks as of now, the dead not yet swept out among them.
    pub fn all(&self) -> Vec<Arc<Task>> {
        self.tasks.read().values().cloned().collect()
    }

    /// Processes that live now, by ascending id. Children forked and not yet met are met first.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        let all: Vec<_> = self.processes.read().values().cloned().collect();
        for process in &all {
            process.settle();
        }
        self.sweep();
        let mut all: Vec<_> = self.processes.read().values().filter(|p| !p.is_dead()).cloned().collect();
        all.sort_by_key(|p| p.tgid);
        all
    }

    /// Live processes without looking for new ones: for the pids limit.
    pub(crate) fn count(&self) -> usize {
        self.tasks.read().len()
    }

    /// Whether a live process executes this file (deny_write_access(): opening it for writing is ETXTBSY).
    pub(crate) fn executes(&self, inode: &crate::vfs::InodeRef) -> bool {
        let processes = self.processes.read();
        processes.values().any(|p| {
            p.exe.read().as_ref().is_some_and(|exe| crate::vfs::same_inode(&exe.inode, inode)) && !p.is_dead()
        })
    }

    /// Any thread of a process; its leader when that lives.
    pub fn any_task_of(&self, tgid: i32) -> Option<Arc<Task>> {
        let tasks = self.tasks.read();
        tasks.get(&tgid).cloned().or_else(|| tasks.values().find(|t| t.tgid == tgid).cloned())
    }

    /// Registers the first task of a tree.
    pub(crate) fn insert_first(
        self: &Arc<Self>,
        pid: i32,
        cred: Cred,
        fs: FsStruct,
        is_init: bool,
    ) -> Option<Arc<Task>> {
        let process = Process::open(pid, self, None)?;
        if is_init {
            self.init.store(pid, Ordering::Relaxed);
        }
        let task = Task::new(pid, process, Arc::new(cred), Arc::new(RwLock::new(fs)));
        Some(self.insert(task))
    }

    fn insert(&self, task: Task) -> Arc<Task> {
        let task = Arc::new(task);
        self.processes.write().insert(task.tgid, task.process.clone());
        self.tasks.write().insert(task.tid, task.clone());
        task
    }

    /// The task of a notification: known, or adopted. `None`: it is gone, or nobody's (kill it).
    pub(crate) fn of_caller(self: &Arc<Self>, tid: i32) -> Option<Arc<Task>> {
        if let Some(task) = self.get(tid) {
            if !task.process.was_exiting() || task.process.is_same_incarnation() {
                return Some(task);
            }
            self.forget_process(task.tgid);
        }
        self.adopt(tid, None)
    }

    /// The process of a host pid or thread id, if that is a task of this container: known, or forked and not yet met, or a
    /// zombie that waits for a parent inside.
    pub(crate) fn resolve(self: &Arc<Self>, host: i32) -> Option<Arc<Process>> {
        if host <= 0 {
            return None;
        }
        if let Some(task) = self.get(host) {
            return Some(task.process.clone());
        }
        if let Some(process) = self.process(host) {
            return Some(process);
        }
        // Up its parents until one is ours. The bound is against a tree that changes under us.
        let tgid = super::process::tgid_of(host)?;
        if let Some(process) = self.process(tgid) {
            return Some(process);
        }
        let mut pid = tgid;
        for _ in 0..1024 {
            let ppid = super::process::Stat::read(pid)?.ppid;
            if let Some(parent) = self.process(ppid) {
                parent.settle();
                return self.process(tgid).or_else(|| self.adopt(tgid, None).map(|t| t.process.clone()));
            }
            if ppid <= 1 {
                return None;
            }
            pid = ppid;
        }
        None
    }

    /// Takes in a thread that was not known. `parent`: who forked it, where that is known.
    pub(crate) fn adopt(self: &Arc<Self>, tid: i32, parent: Option<&Arc<Process>>) -> Option<Arc<Task>> {
        let _guard = self.adopting.lock();
        self.adopt_locked(tid, parent)
    }

    fn adopt_locked(self: &Arc<Self>, tid: i32, parent: Option<&Arc<Process>>) -> Option<Arc<Task>> {
        if let Some(task) = self.get(tid) {
            return Some(task);
        }
        if self.adopted.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep();
        }
        // A thread that is no leader has no pidfd (before PIDFD_THREAD): that tells them apart without reading status.
        let Some(process) = Process::open(tid, self, None) else {
            let tgid = super::process::tgid_of(tid)?;
            let sibling = self.any_task_of(tgid).or_else(|| self.adopt_locked(tgid, None))?;
            let creator = sibling.process.take_forker_thread().and_then(|t| self.get(t)).unwrap_or(sibling);
            return Some(self.insert(Task::new(
                tid,
                creator.process.clone(),
                creator.cred(),
                creator.fs_shared(),
            )));
        };
        let parent = match parent {
            Some(p) => p.clone(),
            None => self.parent_of(&process)?,
        };
        let forker = parent.take_forker();
        let from = forker.tid.and_then(|t| self.get(t)).or_else(|| self.any_task_of(parent.tgid));
        let (cred, fs) = match from {
            Some(task) => (task.cred(), task.fs_shared()),
            None => parent.last_state()?,
        };
        let fs = if forker.shares_fs { fs } else { Arc::new(RwLock::new(fs.read().clone())) };
        process.inherit(&parent);
        if forker.shares_memory {
            process.set_shares_memory();
        }
        Some(self.insert(Task::new(tid, process, cred, fs)))
    }

    /// Who forked `child`; see the module's text for orphans.
    fn parent_of(&self, child: &Process) -> Option<Arc<Process>> {
        let dead: Vec<Arc<Process>> =
            self.processes.read().values().filter(|p| p.owes_children() && p.is_dead()).cloned().collect();
        let direct = self.process(child.ppid).filter(|p| p.owes_children());
        if dead.is_empty() {
            // CLONE_PARENT makes children of one's own parent: then nobody owes, and the parent's state is right enough.
            return direct.or_else(|| self.process(child.ppid));
        }
        if child.ppid != self.init()
            && let Some(p) = direct
        {
            return Some(p);
        }
        dead.into_iter().chain(direct).min_by_key(|p| {
            let caps = p.last_state().or_else(|| self.any_task_of(p.tgid).map(|t| (t.cred(), t.fs_shared())));
            caps.map_or(u32::MAX, |(c, _)| c.permitted.bits().count_ones() + u32::from(c.euid == 0))
        })
    }

    /// A thread has said that it ends (exit): no further call comes from it.
    pub(crate) fn exit_thread(&self, task: &Task) {
        if task.tid != task.tgid {
            self.tasks.write().remove(&task.tid);
        }
    }

    /// execve succeeded: the other threads are gone, the caller has the leader's id.
    pub(crate) fn exec(&self, caller: &Arc<Task>, cred: Cred) -> Arc<Task> {
        let mut tasks = self.tasks.write();
        tasks.retain(|_, t| t.tgid != caller.tgid);
        let fs = Arc::new(RwLock::new(caller.fs()));
        let task = Arc::new(Task::new(caller.tgid, caller.process.clone(), Arc::new(cred), fs));
        tasks.insert(task.tid, task.clone());
        task
    }

    /// Drops what died since the last sweep. A dead process that owes children is kept for them, for a while.
    pub(crate) fn sweep(&self) {
        let dead: Vec<_> = self.processes.read().values().filter(|p| p.is_dead()).cloned().collect();
        for process in dead {
            if process.owes_children() && process.sweeps.fetch_add(1, Ordering::Relaxed) < 2 {
                if let Some(t) = self.any_task_of(process.tgid) {
                    process.keep_state(t.cred(), t.fs_shared());
                }
                continue;
            }
            self.forget_process(process.tgid);
        }
    }

    fn forget_process(&self, tgid: i32) {
        self.processes.write().remove(&tgid);
        self.tasks.write().retain(|_, t| t.tgid != tgid);
    }
}
