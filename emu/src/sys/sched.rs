//! Scheduling and limits of a task named by its id: the sched_* family, priorities, prlimit64. The caller's own are native.

use super::{Call, Outcome, SysResult, reissue};
use crate::errno::Errno;
use crate::task::{Caps, Process};
use crate::{bail, err};
use carrack_syscalls::arg::*;
use std::sync::Arc;

/// The process of a pid argument that is not 0.
fn target(cx: &Call, pid: i32) -> Result<Arc<Process>, Errno> {
    if pid < 0 {
        bail!(EINVAL);
    }
    cx.kernel.tasks.resolve(cx.kernel.tasks.host_pid(pid)).ok_or(err!(ESRCH))
}

/// Lets the host do it when the target is the caller's own user's (or CAP_SYS_NICE is there): all arguments that name
/// something are by value, memory holds plain values.
fn on_task(cx: &Call, pid: i32, changes: bool) -> SysResult {
    let p = target(cx, pid)?;
    if changes {
        let (c, other) = (cx.cred(), cx.kernel.tasks.any_task_of(p.tgid).ok_or(err!(ESRCH))?.cred());
        if c.euid != other.uid && c.euid != other.euid && !c.capable(Caps::SYS_NICE) {
            bail!(EPERM);
        }
    }
    if pid == 1 {
        let mut args = cx.args;
        args[0] = cx.kernel.tasks.init() as u64;
        return reissue(cx, cx.nr, args);
    }
    Ok(Outcome::Continue)
}

pub(crate) fn sched_setparam(cx: &Call, pid: Pid, _: Ptr) -> SysResult {
    on_task(cx, pid.0, true)
}

pub(crate) fn sched_getparam(cx: &Call, pid: Pid, _: Out) -> SysResult {
    on_task(cx, pid.0, false)
}

pub(crate) fn sched_setscheduler(cx: &Call, pid: Pid, _: Int, _: Ptr) -> SysResult {
    on_task(cx, pid.0, true)
}

pub(crate) fn sched_getscheduler(cx: &Call, pid: Pid) -> SysResult {
    on_task(cx, pid.0, false)
}

pub(crate) fn sched_rr_get_interval(cx: &Call, pid: Pid, _: TimespecPtr) -> SysResult {
    on_task(cx, pid.0, false)
}

pub(crate) fn sched_setaffinity(cx: &Call, pid: Pid, _: Uint, _: Ptr) -> SysResult {
    on_task(cx, pid.0, true)
}

pub(crate) fn sched_getaffinity(cx: &Call, pid: Pid, _: Uint, _: Out) -> SysResult {
    on_task(cx, pid.0, false)
}

pub(crate) fn sched_setattr(cx: &Call, pid: Pid, _: Ptr, _: Uint) -> SysResult {
    on_task(cx, pid.0, true)
}

pub(crate) fn sched_getattr(cx: &Call, pid: Pid, _: Out, _: Uint, _: Uint) -> SysResult {
    on_task(cx, pid.0, false)
}

const PRIO_PROCESS: i32 = 0;

/// Priorities of a whole group or user would reach beyond what was checked: those of single tasks only.
fn priority(cx: &Call, which: i32, who: i32, changes: bool) -> SysResult {
    match which {
        PRIO_PROCESS => {
            let p = target(cx, who)?;
            if changes {
                let (c, other) = (cx.cred(), cx.kernel.tasks.any_task_of(p.tgid).ok_or(err!(ESRCH))?.cred());
                if c.euid != other.uid && c.euid != other.euid && !c.capable(Caps::SYS_NICE) {
                    bail!(EPERM);
                }
            }
            if who == 1 {
                let mut args = cx.args;
                args[1] = cx.kernel.tasks.init() as u64;
                return reissue(cx, cx.nr, args);
            }
            Ok(Outcome::Continue)
        }
        1 => {
            let group = cx.kernel.tasks.host_pid(who);
            let is_ours = cx
                .kernel
                .tasks
                .processes()
                .iter()
                .any(|p| crate::task::process::Stat::read(p.tgid).is_some_and(|s| s.pgrp == group));
            if who == 1 {
                let mut args = cx.args;
                args[1] = group as u64;
                return reissue(cx, cx.nr, args);
            }
            if is_ours { Ok(Outcome::Continue) } else { bail!(ESRCH) }
        }
        2 => {
            // All processes of a user: of the container, which the host cannot tell; the caller stands for them.
            let mut args = cx.args;
            (args[0], args[1]) = (PRIO_PROCESS as u64, 0);
            reissue(cx, cx.nr, args)
        }
        _ => bail!(EINVAL),
    }
}

pub(crate) fn getpriority(cx: &Call, which: Int, who: Pid) -> SysResult {
    priority(cx, which.0, who.0, false)
}

pub(crate) fn setpriority(cx: &Call, which: Int, who: Pid, _nice: Int) -> SysResult {
    priority(cx, which.0, who.0, true)
}

pub(crate) fn ioprio_get(cx: &Call, which: Int, who: Pid) -> SysResult {
    if which.0 == 1 { on_second(cx, who.0) } else { bail!(EINVAL) }
}

pub(crate) fn ioprio_set(cx: &Call, which: Int, who: Pid, _prio: Int) -> SysResult {
    if which.0 == 1 { on_second(cx, who.0) } else { bail!(EINVAL) }
}

/// As `on_task` for calls whose second argument is the id.
fn on_second(cx: &Call, pid: i32) -> SysResult {
    target(cx, pid)?;
    if pid == 1 {
        let mut args = cx.args;
        args[1] = cx.kernel.tasks.init() as u64;
        return reissue(cx, cx.nr, args);
    }
    Ok(Outcome::Continue)
}

pub(crate) fn prlimit64(cx: &Call, pid: Pid, _: Resource, new: RlimitPtr, _: RlimitPtr) -> SysResult {
    let p = target(cx, pid.0)?;
    let (c, other) = (cx.cred(), cx.kernel.tasks.any_task_of(p.tgid).ok_or(err!(ESRCH))?.cred());
    let same = [other.uid, other.euid, other.suid].iter().all(|id| *id == c.uid)
        && [other.gid, other.egid, other.sgid].iter().all(|id| *id == c.gid);
    if !same && !c.capable(Caps::SYS_RESOURCE) {
        bail!(EPERM);
    }
    let _ = new;
    if pid.0 == 1 {
        let mut args = cx.args;
        args[0] = cx.kernel.tasks.init() as u64;
        return reissue(cx, cx.nr, args);
    }
    Ok(Outcome::Continue)
}
