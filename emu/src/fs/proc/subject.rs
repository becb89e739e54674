//! The process that a directory of `/proc` is about: what it is called on the host, who owns its files, who may look.

use super::table::Guard;
use crate::err;
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::task::process::Stat;
use crate::task::{Caps, Cred, Process, Task};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A task of the container.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Host thread id.
    pub(super) tid: i32,
    pub(super) process: Arc<Process>,
    /// Seen as `/proc/TGID/task/TID` rather than `/proc/TID`.
    pub(super) in_task: bool,
}

impl Subject {
    /// By host thread id, `/proc/TID`. ENOENT for what is not the container's.
    pub(super) fn find(kernel: &Kernel, tid: i32) -> Result<Subject, Errno> {
        let process = kernel.tasks.resolve(tid).ok_or(err!(ENOENT))?;
        let subject = Subject { tid, process, in_task: false };
        subject.check()?;
        Ok(subject)
    }

    /// The same process's thread `tid` (the host's number), as `/proc/TGID/task/TID`.
    pub(super) fn thread(&self, tid: i32) -> Result<Subject, Errno> {
        let thread = Subject { tid, process: self.process.clone(), in_task: true };
        if rustix::fs::stat(thread.host_dir()).is_err() {
            return Err(err!(ENOENT));
        }
        Ok(thread)
    }

    /// ENOENT when it was reaped, though something else may have its number now.
    pub(super) fn check(&self) -> Result<(), Errno> {
        if !self.process.is_dead() {
            return Ok(());
        }
        let is_zombie =
            Stat::read(self.process.tgid).is_some_and(|s| s.start_time == self.process.start_time());
        if is_zombie { Ok(()) } else { Err(err!(ENOENT, "the process was reaped")) }
    }

    /// The host's directory about it.
    pub(super) fn host_dir(&self) -> String {
        if self.in_task {
            format!("/proc/{}/task/{}", self.process.tgid, self.tid)
        } else {
            format!("/proc/{}", self.tid)
        }
    }

    /// `None` for a thread that has made no call yet, and for zombies.
    pub(super) fn task(&self, kernel: &Kernel) -> Option<Arc<Task>> {
        kernel.tasks.get(self.tid).or_else(|| kernel.tasks.any_task_of(self.process.tgid))
    }

    pub(super) fn cred(&self, kernel: &Kernel) -> Option<Arc<Cred>> {
        self.task(kernel).map(|t| t.cred()).or_else(|| self.process.last_state().map(|s| s.0))
    }

    /// task_dump_owner(): root's when it may not be dumped, except for directories that everybody may read.
    pub(super) fn owner(&self, kernel: &Kernel, mode: u32) -> (u32, u32) {
        let open_dir = mode == libc::S_IFDIR | 0o555;
        if !open_dir && self.process.dumpable.load(Ordering::Relaxed) == 0 {
            return (0, 0);
        }
        self.cred(kernel).map_or((0, 0), |c| (c.euid, c.egid))
    }

    /// __ptrace_may_access() with the file system's ids of who looks (thread `reader`, 0 for the supervisor). EACCES.
    pub(super) fn may_look(&self, kernel: &Kernel, reader: i32, guard: Guard) -> Result<(), Errno> {
        if guard == Guard::Nobody || reader == 0 {
            return Ok(());
        }
        let refused = || err!(EACCES, "ptrace access");
        let looker = kernel.tasks.get(reader).ok_or_else(refused)?;
        if looker.tgid == self.process.tgid {
            return Ok(());
        }
        let cred = looker.cred();
        if cred.capable(Caps::SYS_PTRACE) {
            return Ok(());
        }
        let other = self.cred(kernel).ok_or_else(refused)?;
        let same = [other.uid, other.euid, other.suid].iter().all(|id| *id == cred.fsuid)
            && [other.gid, other.egid, other.sgid].iter().all(|id| *id == cred.fsgid);
        let dumpable = self.process.dumpable.load(Ordering::Relaxed) != 0;
        if same && dumpable && cred.effective.contains(other.permitted) { Ok(()) } else { Err(refused()) }
    }
}

/// The guest's number for a host pid; 0 for a process outside of the container, as Linux has it for other namespaces.
pub(super) fn guest_pid(kernel: &Kernel, host: i32) -> i32 {
    if host <= 0 {
        return host;
    }
    let known = kernel.tasks.process(host).is_some();
    if known || (host != std::process::id() as i32 && kernel.tasks.resolve(host).is_some()) {
        kernel.tasks.guest_pid(host)
    } else {
        0
    }
}

/// The guest's number for a process group or session, whose leader may be gone.
pub(super) fn guest_group(kernel: &Kernel, host: i32) -> i32 {
    let is_ours = |f: fn() -> rustix::process::Pid| rustix::process::Pid::from_raw(host) == Some(f());
    if host <= 0 || is_ours(rustix::process::getpgrp) || is_ours(own_session) {
        return host.min(0);
    }
    kernel.tasks.guest_pid(host)
}

fn own_session() -> rustix::process::Pid {
    rustix::process::getsid(None).unwrap_or(rustix::process::Pid::INIT)
}

/// Host pids of all processes, zombies among them, init first.
pub(crate) fn all_processes(kernel: &Kernel) -> Vec<i32> {
    let mut pids: Vec<i32> = kernel.tasks.processes().iter().map(|p| p.tgid).collect();
    let mut zombies = Vec::new();
    for &pid in &pids {
        for tid in threads(pid) {
            zombies.extend(
                crate::task::process::children_of(pid, tid)
                    .into_iter()
                    .filter(|c| pids.binary_search(c).is_err()),
            );
        }
    }
    pids.append(&mut zombies);
    pids.sort_unstable_by_key(|&pid| kernel.tasks.guest_pid(pid));
    pids.dedup();
    pids
}

/// Host ids of a process's threads, ascending.
pub(crate) fn threads(tgid: i32) -> Vec<i32> {
    numbers_in(&format!("/proc/{tgid}/task"))
}

/// The names in a host directory that are numbers, ascending.
pub(super) fn numbers_in(dir: &str) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut all: Vec<i32> =
        entries.flatten().filter_map(|e| e.file_name().to_str().and_then(|n| n.parse().ok())).collect();
    all.sort_unstable();
    all
}
