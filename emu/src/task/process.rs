//! What the threads of a thread group share.

use super::{Cred, FsStruct, TaskTable};
use crate::brand::Branded;
use crate::sys::signal::Actions;
use crate::vfs::Path;
use parking_lot::{Mutex, RwLock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

/// A process of the container. Its id is the host's.
#[derive(Debug)]
pub struct Process {
    pub tgid: i32,
    /// Host pid of the parent when this process was adopted.
    pub(crate) ppid: i32,
    /// Start time in clock ticks since boot: with the pid, an identity.
    start_time: u64,
    /// When it was first seen: what the inodes of its directory in proc are stamped with.
    pub(crate) born: crate::vfs::Timespec,
    pidfd: OwnedFd,
    table: Weak<TaskTable>,
    /// The program, for /proc/PID/exe; changed by exec.
    pub exe: RwLock<Option<Path>>,
    /// Signal actions as the guest set them.
    pub(crate) actions: Mutex<Actions>,
    forks: Mutex<Forks>,
    exiting: AtomicBool,
    /// PR_SET_DUMPABLE, as the guest sees it; the host's stays 1.
    pub(crate) dumpable: AtomicU32,
    pub(crate) personality: AtomicU32,
    exec_in_progress: AtomicBool,
    shares_files: AtomicBool,
    pub(crate) sweeps: AtomicU32,
    kept: Mutex<Option<Inherited>>,
    /// Calls that the brand could have answered.
    pub(crate) lookups: AtomicU32,
    pub(crate) branded: Mutex<Branded>,
    shares_memory: AtomicBool,
}

/// What a child has from its parent: credentials, and cwd, root and umask.
type Inherited = (Arc<Cred>, Arc<RwLock<FsStruct>>);

/// Children that were forked and not yet met.
#[derive(Debug, Default)]
struct Forks {
    owed: Vec<Forker>,
    /// Threads that made threads.
    thread_makers: Vec<i32>,
}

/// A call of clone, fork or vfork that made a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Forker {
    pub(crate) tid: Option<i32>,
    /// CLONE_FS without CLONE_THREAD.
    pub(crate) shares_fs: bool,
    /// CLONE_VM without CLONE_THREAD.
    pub(crate) shares_memory: bool,
}

impl Process {
    /// Looks at a new process. `None`: it is gone, or `pid` is a thread that leads no group.
    pub(crate) fn open(pid: i32, table: &Arc<TaskTable>, ppid: Option<i32>) -> Option<Arc<Process>> {
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let stat = Stat::read(pid)?;
        Some(Arc::new(Process {
            tgid: pid,
            ppid: ppid.unwrap_or(stat.ppid),
            start_time: stat.start_time,
            born: crate::fs::now(),
            pidfd,
            table: Arc::downgrade(table),
            exe: RwLock::new(None),
            actions: Mutex::new(Actions::default()),
            forks: Mutex::new(Forks::default()),
            exiting: AtomicBool::new(false),
            dumpable: AtomicU32::new(1),
            personality: AtomicU32::new(0),
            exec_in_progress: AtomicBool::new(false),
            shares_files: AtomicBool::new(false),
            sweeps: AtomicU32::new(0),
            kept: Mutex::new(None),
            lookups: AtomicU32::new(0),
            branded: Mutex::default(),
            shares_memory: AtomicBool::new(false),
        }))
    }

    pub fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Whether every thread of it has ended (it may still be a zombie).
    pub fn is_dead(&self) -> bool {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(n) if n > 0)
    }

    /// Whether the pid still names this process and not a later one.
    pub(crate) fn is_same_incarnation(&self) -> bool {
        !self.is_dead() && Stat::read(self.tgid).is_some_and(|s| s.start_time == self.start_time)
    }

    /// See [`Stat::start_time`].
    pub(crate) fn start_time(&self) -> u64 {
        self.start_time
    }

    /// The parent as of now (the host's id).
    pub(crate) fn ppid(&self) -> i32 {
        Stat::read(self.tgid).map_or(0, |s| s.ppid)
    }

    /// Between the stub's start and its PR_SET_MM.
    pub(crate) fn set_exec_in_progress(&self, yes: bool) {
        self.exec_in_progress.store(yes, Ordering::Relaxed);
    }

    /// Uses the leave for PR_SET_MM up.
    pub(crate) fn exec_in_progress(&self) -> bool {
        self.exec_in_progress.swap(false, Ordering::Relaxed)
    }

    /// A program that gained privilege is not dumpable (would_dump(), begin_new_exec()).
    pub(crate) fn set_dumpable_after_exec(&self, new: &Cred) {
        let same = new.euid == new.uid && new.egid == new.gid;
        self.dumpable.store(u32::from(same), Ordering::Relaxed);
    }

    /// RLIMIT_STACK of the host process: soft, hard.
    pub(crate) fn stack_limit(&self) -> (u64, u64) {
        crate::platform::host::prlimit_get(self.tgid, libc::RLIMIT_STACK).unwrap_or((8 << 20, u64::MAX))
    }

    /// exit_group was called, or init ended.
    pub(crate) fn set_exiting(&self) {
        self.exiting.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_exiting(&self) -> bool {
        self.exiting.load(Ordering::Relaxed)
    }

    /// Another process has, or may have, the same descriptor table (CLONE_FILES).
    pub(crate) fn set_shares_files(&self) {
        self.shares_files.store(true, Ordering::Relaxed);
    }

    /// The caller, whose exec ends every other thread, has taken a table of its own.
    pub(crate) fn has_own_files(&self) {
        self.shares_files.store(false, Ordering::Relaxed);
    }

    pub(crate) fn shares_files(&self) -> bool {
        self.shares_files.load(Ordering::Relaxed)
    }

    /// Another process runs in the same memory (CLONE_VM), or may.
    pub(crate) fn set_shares_memory(&self) {
        self.shares_memory.store(true, Ordering::Relaxed);
    }

    pub(crate) fn shares_memory(&self) -> bool {
        self.shares_memory.load(Ordering::Relaxed)
    }

    /// exec has given it memory of its own.
    pub(crate) fn has_new_memory(&self) {
        self.shares_memory.store(false, Ordering::Relaxed);
        self.lookups.store(0, Ordering::Relaxed);
        *self.branded.lock() = Branded::default();
    }

    /// Notes that `tid` is about to make a child process.
    pub(crate) fn will_fork(&self, tid: i32, shares_fs: bool, shares_memory: bool) {
        self.forks.lock().owed.push(Forker { tid: Some(tid), shares_fs, shares_memory });
    }

    /// Notes that `tid` is about to make a thread.
    pub(crate) fn will_make_thread(&self, tid: i32) {
        let mut forks = self.forks.lock();
        if !forks.thread_makers.contains(&tid) {
            forks.thread_makers.push(tid);
        }
    }

    pub(crate) fn owes_children(&self) -> bool {
        !self.forks.lock().owed.is_empty()
    }

    /// The oldest fork whose child was not met.
    pub(crate) fn take_forker(&self) -> Forker {
        let mut forks = self.forks.lock();
        if forks.owed.is_empty() { Forker::default() } else { forks.owed.remove(0) }
    }

    /// A thread that made threads, when only one did: who else's credentials would a new thread have?
    pub(crate) fn take_forker_thread(&self) -> Option<i32> {
        match self.forks.lock().thread_makers.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Adopts all children that were forked and not yet met. Before any change of what children inherit.
    pub(crate) fn settle(self: &Arc<Self>) {
        let forkers: Vec<i32> = {
            let forks = self.forks.lock();
            if forks.owed.is_empty() {
                return;
            }
            forks.owed.iter().filter_map(|f| f.tid).collect()
        };
        let Some(table) = self.table.upgrade() else { return };
        let mut seen = Vec::new();
        for tid in forkers {
            if seen.contains(&tid) {
                continue;
            }
            seen.push(tid);
            for child in children_of(self.tgid, tid) {
                if table.get(child).is_none() {
                    table.adopt(child, Some(self));
                }
            }
        }
        self.forks.lock().owed.clear();
    }

    /// What a child has from its parent at fork, beside credentials and fs.
    pub(crate) fn inherit(&self, parent: &Process) {
        *self.exe.write() = parent.exe.read().clone();
        *self.actions.lock() = *parent.actions.lock();
        self.shares_files.store(parent.shares_files(), Ordering::Relaxed);
        self.shares_memory.store(parent.shares_memory(), Ordering::Relaxed);
        *self.branded.lock() = parent.branded.lock().clone();
        self.personality.store(parent.personality.load(Ordering::Relaxed), Ordering::Relaxed);
        self.dumpable.store(parent.dumpable.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// State for children that a dead process still owes.
    pub(crate) fn keep_state(&self, cred: Arc<Cred>, fs: Arc<RwLock<FsStruct>>) {
        *self.kept.lock() = Some((cred, fs));
    }

    pub(crate) fn last_state(&self) -> Option<Inherited> {
        self.kept.lock().clone()
    }
}

/// Children that a thread forked and that live, by `/proc/TGID/task/TID/children`; by PPid of everybody where the host has
/// no such file (CONFIG_PROC_CHILDREN).
pub(crate) fn children_of(tgid: i32, tid: i32) -> Vec<i32> {
    if let Ok(text) = std::fs::read_to_string(format!("/proc/{tgid}/task/{tid}/children")) {
        return text.split_ascii_whitespace().filter_map(|w| w.parse().ok()).collect();
    }
    let Ok(dir) = std::fs::read_dir("/proc") else { return Vec::new() };
    dir.flatten()
        .filter_map(|e| e.file_name().to_str().and_then(|n| n.parse::<i32>().ok()))
        .filter(|&pid| Stat::read(pid).is_some_and(|s| s.ppid == tgid))
        .collect()
}

/// The thread group of a thread.
pub(crate) fn tgid_of(tid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix("Tgid:")).and_then(|v| v.trim().parse().ok())
}

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) ppid: i32,
    pub(crate) pgrp: i32,
    pub(crate) session: i32,
    pub(crate) start_time: u64,
}

impl Stat {
    pub(crate) fn read(pid: i32) -> Option<Stat> {
        // One read gives all of it; the file is made anew for every read.
        let mut text = [0u8; 1024];
        let mut file = std::fs::File::open(format!("/proc/{pid}/stat")).ok()?;
        let n = std::io::Read::read(&mut file, &mut text).ok()?;
        let text = &text[..n];
        // The command's name may hold anything, parentheses too: fields count from the last one.
        let end = text.iter().rposition(|&b| b == b')')?;
        let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let ppid = fields.nth(1)?.parse().ok()?;
        let pgrp = fields.next()?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        let start_time = fields.nth(15)?.parse().ok()?;
        Some(Stat { ppid, pgrp, session, start_time })
    }
}
