//! Making and ending tasks, and their numbers: clone, fork, exit, getpid and its family, setpgid.
//!
//! The host makes children and ends tasks; here it is only noted, so that a child gets its parent's state. Host ids are
//! the guest's ids, except that init is 1 (design: what the kernel itself writes, such as set_tid_address, keeps the host's).

use super::{Call, OK, Outcome, SysResult, reissue, value};
use crate::task::{Process, process::Stat};
use crate::{bail, err};
use carrack_syscalls::arg::*;
use std::sync::Arc;

/// Flags that make namespaces, which this kernel is built without; CLONE_PTRACE would let a tracer skip us.
const REFUSED: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// Counts the child and lets the host make it. Flags are passed by value; the child inherits filter and listener.
fn make_child(cx: &Call, flags: u64) -> SysResult {
    if flags & (libc::CLONE_NEWNS | libc::CLONE_NEWUSER) as u64 != 0 && flags & libc::CLONE_FS as u64 != 0 {
        bail!(EINVAL);
    }
    if flags & REFUSED != 0 {
        // As a kernel whose user namespaces are switched off answers somebody without CAP_SYS_ADMIN.
        bail!(EPERM, "namespaces are not supported");
    }
    let limit = cx.kernel.pids_limit();
    if limit != 0 && cx.kernel.tasks.count() as u64 >= limit {
        cx.kernel.tasks.sweep();
        if cx.kernel.tasks.count() as u64 >= limit {
            bail!(EAGAIN, "pids limit");
        }
    }
    if flags & libc::CLONE_FILES as u64 != 0 && flags & libc::CLONE_THREAD as u64 == 0 {
        cx.task.process.set_shares_files();
    }
    let shares_fs = flags & libc::CLONE_FS as u64 != 0;
    let shares_memory = flags & (libc::CLONE_VM | libc::CLONE_THREAD) as u64 == libc::CLONE_VM as u64;
    if shares_memory {
        cx.task.forget_identity();
    }
    if shares_memory && flags & libc::CLONE_VFORK as u64 == 0 {
        cx.task.process.set_shares_memory();
    }
    if flags & libc::CLONE_THREAD as u64 != 0 {
        cx.task.process.will_make_thread(cx.tid());
    } else if flags & libc::CLONE_PARENT as u64 != 0 {
        let parent = Stat::read(cx.task.tgid).and_then(|s| cx.kernel.tasks.process(s.ppid));
        // The child is its grandparent's, but inherits from the caller.
        parent.unwrap_or_else(|| cx.task.process.clone()).will_fork(cx.tid(), shares_fs, shares_memory);
    } else {
        cx.task.process.will_fork(cx.tid(), shares_fs, shares_memory);
    }
    Ok(Outcome::Continue)
}

pub(crate) fn clone(cx: &Call, flags: CloneFlags, _: Ptr, _: IntPtr, _: IntPtr, _: Ptr) -> SysResult {
    make_child(cx, flags.0)
}

pub(crate) fn fork(cx: &Call) -> SysResult {
    make_child(cx, libc::SIGCHLD as u64)
}

pub(crate) fn vfork(cx: &Call) -> SysResult {
    make_child(cx, (libc::CLONE_VFORK | libc::CLONE_VM | libc::SIGCHLD) as u64)
}

pub(crate) fn exit(cx: &Call, _status: Int) -> SysResult {
    cx.task.process.settle();
    cx.kernel.tasks.exit_thread(&cx.task);
    Ok(Outcome::Continue)
}

pub(crate) fn exit_group(cx: &Call, _status: Int) -> SysResult {
    cx.task.process.settle();
    cx.task.process.set_exiting();
    Ok(Outcome::Continue)
}

pub(crate) fn getpid(cx: &Call) -> SysResult {
    value(cx.kernel.tasks.guest_pid(cx.task.tgid))
}

pub(crate) fn gettid(cx: &Call) -> SysResult {
    value(cx.kernel.tasks.guest_pid(cx.tid()))
}

pub(crate) fn getppid(cx: &Call) -> SysResult {
    let tasks = &cx.kernel.tasks;
    let ppid = Stat::read(cx.task.tgid).map_or(0, |s| s.ppid);
    // A parent outside (the supervisor, for init and for processes that exec added) is no one inside: 0.
    if cx.task.tgid == tasks.init() || tasks.process(ppid).is_none() {
        value(0)
    } else {
        value(tasks.guest_pid(ppid))
    }
}

/// The process that a pid argument of getpgid and its like means; 0 is the caller.
fn target(cx: &Call, pid: i32) -> Result<Arc<Process>, crate::Errno> {
    if pid == 0 {
        return Ok(cx.task.process.clone());
    }
    cx.kernel.tasks.resolve(cx.kernel.tasks.host_pid(pid)).ok_or(err!(ESRCH))
}

pub(crate) fn getpgid(cx: &Call, pid: Pid) -> SysResult {
    let p = target(cx, pid.0)?;
    value(cx.kernel.tasks.guest_pid(Stat::read(p.tgid).ok_or(err!(ESRCH))?.pgrp))
}

pub(crate) fn getpgrp(cx: &Call) -> SysResult {
    getpgid(cx, Pid(0))
}

pub(crate) fn getsid(cx: &Call, pid: Pid) -> SysResult {
    let p = target(cx, pid.0)?;
    value(cx.kernel.tasks.guest_pid(Stat::read(p.tgid).ok_or(err!(ESRCH))?.session))
}

pub(crate) fn setpgid(cx: &Call, pid: Pid, pgid: Pid) -> SysResult {
    if pgid.0 < 0 || (pgid.0 == 0 && pid.0 < 0) {
        bail!(EINVAL);
    }
    if pid.0 != 0 {
        target(cx, pid.0)?;
    }
    let tasks = &cx.kernel.tasks;
    if pid.0 != 1 && pgid.0 != 1 {
        // By value. The host checks that the group is of the caller's session, which is the container's.
        return Ok(Outcome::Continue);
    }
    if tasks.init() == cx.task.tgid && pid.0 <= 1 {
        bail!(EPERM, "init leads its session");
    }
    let args = [tasks.host_pid(pid.0) as u64, tasks.host_pid(pgid.0) as u64, 0, 0, 0, 0];
    reissue(cx, cx.nr, args)
}

pub(crate) fn setns(cx: &Call, fd: Fd, _nstype: Int) -> SysResult {
    let name = crate::platform::fds::host_name(cx.tid(), fd.0)?;
    if !name.ends_with(b"]")
        || name.starts_with(b"pipe:")
        || name.starts_with(b"socket:")
        || name.starts_with(b"anon_inode:")
    {
        bail!(EINVAL);
    }
    bail!(EPERM, "namespaces are not supported")
}

pub(crate) fn unshare(_cx: &Call, flags: CloneFlags) -> SysResult {
    if flags.0 & REFUSED != 0 {
        bail!(EPERM, "namespaces are not supported");
    }
    if flags.0 & !(REFUSED | (libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SYSVSEM) as u64) != 0 {
        bail!(EINVAL);
    }
    _cx.task.unshare_fs();
    if flags.0 & libc::CLONE_FILES as u64 != 0 { Ok(Outcome::Continue) } else { OK }
}
