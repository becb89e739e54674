//! Signals: rt_sigaction, and everything that names whom to send one to. Delivery, masks and waiting are the host's.
//!
//! # Why rt_sigaction is not native
//!
//! A notified call can be interrupted before we have received it, and a handler without SA_RESTART would then make it
//! return an EINTR that Linux never gives (stat, open, fork …). So the host always gets SA_RESTART; a handler that did not
//! ask for it returns to a *restorer* of ours, which turns the restart of a native, interruptible call back into the EINTR
//! that the guest asked for (see the resident page in `carrack-loader`). The structure in the guest's memory is changed in
//! place and the call then runs natively: what the kernel reads again concerns the caller alone, so a race changes nothing
//! but its own handlers.
//!
//! Queries are native: they show the guest's own handler and mask, and of our doing only two bits among the flags.
//! Signals that report faults (SIGSEGV …) keep libc's restorer, by whose bytes unwinders know a signal's frame: exceptions
//! are thrown out of such handlers.

use super::{Call, OK, Outcome, SysResult};
use crate::errno::{Errno, host};
use crate::platform::fds;
use crate::task::{Caps, Process, process};
use crate::{bail, err};
use bytemuck::{Pod, Zeroable};
use carrack_syscalls::arg::*;
use rustix::fd::AsFd;
use std::sync::Arc;

/// The kernel's `struct sigaction` on x86-64.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct SigAction {
    handler: u64,
    flags: u64,
    restorer: u64,
    mask: u64,
}

/// `SIG_DFL`, `SIG_IGN`.
const DEFAULT: u64 = 0;
const IGNORE: u64 = 1;
const RESTART: u64 = libc::SA_RESTART as u64;
const SA_RESTORER: u64 = 0x0400_0000;
/// SA_EXPOSE_TAGBITS, which means nothing on x86-64: marks a SA_RESTART that is ours, so that an action which was queried and
/// is set again (as everybody does who saves and restores handlers) still interrupts.
const MARK: u64 = 0x800;

/// Signals of a process whose handlers did not ask for SA_RESTART, as bits (signal 1 is bit 0).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Actions {
    interrupting: u64,
}

impl Actions {
    /// Whether a handler without SA_RESTART is installed for `sig`.
    pub(crate) fn interrupts(self, sig: i32) -> bool {
        (1..=64).contains(&sig) && self.interrupting & (1 << (sig - 1)) != 0
    }

    fn set(&mut self, sig: i32, interrupts: bool) {
        let bit = 1u64 << (sig - 1);
        self.interrupting = if interrupts { self.interrupting | bit } else { self.interrupting & !bit };
    }

    /// execve: handlers are gone.
    pub(crate) fn reset(&mut self) {
        *self = Actions::default();
    }
}

pub(crate) fn rt_sigaction(
    cx: &Call,
    sig: Signal,
    act: SigactionPtr,
    _old: SigactionPtr,
    size: Size,
) -> SysResult {
    let (sig, act) = (sig.0, act.0);
    if size.0 != 8 {
        bail!(EINVAL);
    }
    let new: SigAction = cx.memory().read_obj(act.0)?;
    if !(1..=64).contains(&sig) || sig == libc::SIGKILL || sig == libc::SIGSTOP {
        bail!(EINVAL);
    }
    let process = &cx.task.process;
    process.settle();
    let asks_restart = new.flags & RESTART != 0 && new.flags & MARK == 0;
    let interrupts = !matches!(new.handler, DEFAULT | IGNORE) && !asks_restart;
    if interrupts {
        let mut changed = SigAction { flags: new.flags | RESTART | MARK, ..new };
        let is_fault =
            matches!(sig, libc::SIGILL | libc::SIGTRAP | libc::SIGBUS | libc::SIGFPE | libc::SIGSEGV);
        if !is_fault {
            changed.flags |= SA_RESTORER;
            changed.restorer = cx.kernel.signal_restorer;
        }
        if cx.memory().write_obj(act.0, &changed).is_err() {
            cx.memory().write_forced(act.0, bytemuck::bytes_of(&changed))?;
        }
    }
    process.actions.lock().set(sig, interrupts);
    Ok(Outcome::Continue)
}

/// check_kill_permission(): same user, or CAP_KILL; SIGCONT within the session.
fn may_signal(cx: &Call, target: &Arc<Process>, sig: i32) -> Result<(), Errno> {
    let cred = cx.cred();
    if Arc::ptr_eq(target, &cx.task.process) || cred.capable(Caps::KILL) {
        return Ok(());
    }
    let Some(task) = cx.kernel.tasks.any_task_of(target.tgid) else { return Ok(()) };
    let other = task.cred();
    if [cred.euid, cred.uid].iter().any(|id| *id == other.suid || *id == other.uid) {
        return Ok(());
    }
    let session = |pid| process::Stat::read(pid).map(|s| s.session);
    if sig == libc::SIGCONT && session(target.tgid) == session(cx.task.tgid) {
        return Ok(());
    }
    bail!(EPERM)
}

/// Whether pid 1 would not see this signal: it has no handler, and its tasks cannot end it (pid_namespaces(7)).
pub(crate) fn init_ignores(init: i32, sig: i32) -> bool {
    if sig == 0 {
        return false;
    }
    !is_caught(init, sig)
}

/// Whether a process has a handler for `sig`, from the host's /proc.
fn is_caught(tgid: i32, sig: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{tgid}/status")) else { return true };
    let caught = status
        .lines()
        .find_map(|l| l.strip_prefix("SigCgt:"))
        .and_then(|v| u64::from_str_radix(v.trim(), 16).ok())
        .unwrap_or(0);
    caught & (1u64 << (sig - 1)) != 0
}

fn check_signal(sig: i32) -> Result<(), Errno> {
    if (0..=64).contains(&sig) { Ok(()) } else { bail!(EINVAL) }
}

/// Sends from the supervisor; used where the guest's own call would reach too far or name pid 1.
fn send(process: &Process, sig: i32) -> Result<(), Errno> {
    let pid = nix::unistd::Pid::from_raw(process.tgid);
    if process.is_dead() {
        return Ok(());
    }
    nix::errno::Errno::result(raw_kill(pid.as_raw(), sig)).map(drop).map_err(|e| Errno::new(e as i32))
}

/// kill(2) with any signal number (nix knows no real-time signals).
fn raw_kill(pid: i32, sig: i32) -> libc::c_int {
    crate::platform::host::kill(pid, sig)
}

pub(crate) fn kill(cx: &Call, pid: Pid, sig: Signal) -> SysResult {
    let (pid, sig) = (pid.0, sig.0);
    let tasks = &cx.kernel.tasks;
    let init = tasks.init();
    if pid > 0 {
        let target = tasks.resolve(tasks.host_pid(pid)).ok_or(err!(ESRCH))?;
        check_signal(sig)?;
        may_signal(cx, &target, sig)?;
        target.settle();
        if target.tgid == init {
            if init_ignores(init, sig) {
                return OK;
            }
            if pid == 1 {
                send(&target, sig)?;
                return OK;
            }
        }
        return Ok(Outcome::Continue);
    }
    let everybody = tasks.processes();
    let group = match pid {
        -1 => None,
        0 => Some(process::Stat::read(cx.task.tgid).map_or(0, |s| s.pgrp)),
        i32::MIN => bail!(ESRCH),
        _ => Some(tasks.host_pid(-pid)),
    };
    let members: Vec<_> = everybody
        .into_iter()
        .filter(|p| match group {
            None => p.tgid != init && p.tgid != cx.task.tgid,
            Some(g) => process::Stat::read(p.tgid).is_some_and(|s| s.pgrp == g),
        })
        .collect();
    if members.is_empty() {
        bail!(ESRCH);
    }
    check_signal(sig)?;
    let (mut sent, mut refused) = (false, None);
    // The caller last: it may be what ends it.
    for p in members
        .iter()
        .filter(|p| p.tgid != cx.task.tgid)
        .chain(members.iter().filter(|p| p.tgid == cx.task.tgid))
    {
        p.settle();
        match may_signal(cx, p, sig) {
            Ok(()) if p.tgid == init && init_ignores(init, sig) => sent = true,
            Ok(()) => {
                send(p, sig)?;
                sent = true;
            }
            Err(e) => refused = Some(e),
        }
    }
    match refused {
        Some(e) if !sent => Err(e),
        _ => OK,
    }
}

/// The thread that tkill and tgkill mean.
fn thread(cx: &Call, tgid: Option<i32>, tid: i32) -> Result<(i32, Arc<Process>), Errno> {
    let tasks = &cx.kernel.tasks;
    let host_tid = tasks.host_pid(tid);
    let process = tasks.resolve(host_tid).ok_or(err!(ESRCH))?;
    if tgid.is_some_and(|g| tasks.host_pid(g) != process.tgid) {
        bail!(ESRCH);
    }
    Ok((host_tid, process))
}

fn thread_kill(cx: &Call, tgid: Option<i32>, tid: i32, sig: i32) -> SysResult {
    if tid <= 0 || tgid.is_some_and(|g| g <= 0) {
        bail!(EINVAL);
    }
    let (host_tid, process) = thread(cx, tgid, tid)?;
    check_signal(sig)?;
    may_signal(cx, &process, sig)?;
    if process.tgid == cx.kernel.tasks.init() {
        if init_ignores(process.tgid, sig) {
            return OK;
        }
        if tid == 1 || tgid == Some(1) {
            let r = crate::platform::host::tgkill(process.tgid, host_tid, sig);
            return nix::errno::Errno::result(r).map(|_| Outcome::Value(0)).map_err(|e| Errno::new(e as i32));
        }
    }
    Ok(Outcome::Continue)
}

pub(crate) fn tkill(cx: &Call, tid: Tid, sig: Signal) -> SysResult {
    thread_kill(cx, None, tid.0, sig.0)
}

pub(crate) fn tgkill(cx: &Call, tgid: Pid, tid: Tid, sig: Signal) -> SysResult {
    thread_kill(cx, Some(tgid.0), tid.0, sig.0)
}

/// A siginfo that a guest made. Only what sigqueue(3) and pthread_sigqueue(3) make may name another sender than the kernel.
fn queued(cx: &Call, info: GuestAddr, sig: i32, to_self: bool) -> Result<[u8; 128], Errno> {
    let mut bytes = [0u8; 128];
    cx.memory().read(info.0, &mut bytes)?;
    bytes[0..4].copy_from_slice(&sig.to_ne_bytes());
    let code = i32::from_ne_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    if (code >= 0 || code == libc::SI_TKILL) && !to_self {
        bail!(EPERM);
    }
    Ok(bytes)
}

pub(crate) fn rt_sigqueueinfo(cx: &Call, pid: Pid, sig: Signal, info: SiginfoPtr) -> SysResult {
    let tasks = &cx.kernel.tasks;
    let host_pid = tasks.host_pid(pid.0);
    let to_self = host_pid == cx.task.tgid;
    let bytes = queued(cx, info.0, sig.0, to_self)?;
    let target = tasks.resolve(host_pid).ok_or(err!(ESRCH))?;
    check_signal(sig.0)?;
    may_signal(cx, &target, sig.0)?;
    if target.tgid == tasks.init() && init_ignores(target.tgid, sig.0) {
        return OK;
    }
    if to_self && pid.0 != 1 {
        return Ok(Outcome::Continue);
    }
    let r = crate::platform::host::sigqueueinfo(target.tgid, None, sig.0, &bytes);
    nix::errno::Errno::result(r).map(|_| Outcome::Value(0)).map_err(|e| Errno::new(e as i32))
}

pub(crate) fn rt_tgsigqueueinfo(cx: &Call, tgid: Pid, tid: Tid, sig: Signal, info: SiginfoPtr) -> SysResult {
    if tgid.0 <= 0 || tid.0 <= 0 {
        bail!(EINVAL);
    }
    let (host_tid, target) = thread(cx, Some(tgid.0), tid.0)?;
    let to_self = target.tgid == cx.task.tgid;
    let bytes = queued(cx, info.0, sig.0, to_self)?;
    check_signal(sig.0)?;
    may_signal(cx, &target, sig.0)?;
    if to_self && tid.0 != 1 && tgid.0 != 1 {
        return Ok(Outcome::Continue);
    }
    let r = crate::platform::host::sigqueueinfo(target.tgid, Some(host_tid), sig.0, &bytes);
    nix::errno::Errno::result(r).map(|_| Outcome::Value(0)).map_err(|e| Errno::new(e as i32))
}

pub(crate) fn pidfd_open(cx: &Call, pid: Pid, flags: Uint) -> SysResult {
    const THREAD: u32 = libc::O_EXCL as u32;
    if flags.0 & !(libc::O_NONBLOCK as u32 | THREAD) != 0 || pid.0 <= 0 {
        bail!(EINVAL);
    }
    let target = cx.kernel.tasks.resolve(cx.kernel.tasks.host_pid(pid.0)).ok_or(err!(ESRCH))?;
    if target.tgid != cx.kernel.tasks.host_pid(pid.0) && flags.0 & THREAD == 0 {
        bail!(EINVAL);
    }
    let host_pid = rustix::process::Pid::from_raw(cx.kernel.tasks.host_pid(pid.0)).ok_or(err!(ESRCH))?;
    let flags = rustix::process::PidfdFlags::from_bits_retain(flags.0);
    let fd = rustix::process::pidfd_open(host_pid, flags).map_err(host)?;
    Ok(Outcome::Fd { fd, cloexec: true })
}

/// The host pid behind a pidfd of the guest.
fn pid_of_pidfd(cx: &Call, fd: i32) -> Result<i32, Errno> {
    fds::host_name(cx.tid(), fd)?;
    let text = std::fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", cx.tid())).map_err(|_| err!(EBADF))?;
    text.lines()
        .find_map(|l| l.strip_prefix("Pid:"))
        .and_then(|v| v.trim().parse().ok())
        .ok_or(err!(EBADF, "not a pidfd"))
}

pub(crate) fn pidfd_send_signal(
    cx: &Call,
    pidfd: Fd,
    sig: Signal,
    info: SiginfoPtr,
    flags: Uint,
) -> SysResult {
    if flags.0 & !7 != 0 {
        bail!(EINVAL);
    }
    let pid = pid_of_pidfd(cx, pidfd.0)?;
    check_signal(sig.0)?;
    if pid <= 0 {
        bail!(ESRCH);
    }
    let target = cx.kernel.tasks.resolve(pid).ok_or(err!(ESRCH))?;
    may_signal(cx, &target, sig.0)?;
    if target.tgid == cx.kernel.tasks.init() && init_ignores(target.tgid, sig.0) {
        return OK;
    }
    if info.0.is_null() {
        // By value; every pidfd that a guest can hold is of a task of this container.
        return Ok(Outcome::Continue);
    }
    let to_self = target.tgid == cx.task.tgid;
    if cx.memory().read_obj::<i32>(info.0.0)? != sig.0 {
        bail!(EINVAL);
    }
    let bytes = queued(cx, info.0, sig.0, to_self)?;
    if to_self {
        // Any siginfo may be sent to oneself, and what it says concerns the caller alone.
        return Ok(Outcome::Continue);
    }
    let dup = cx.duplicate_fd(pidfd.0)?;
    let r = crate::platform::host::pidfd_send_siginfo(dup.as_fd(), sig.0, &bytes, flags.0);
    nix::errno::Errno::result(r).map(|_| Outcome::Value(0)).map_err(|e| Errno::new(e as i32))
}

pub(crate) fn pidfd_getfd(cx: &Call, pidfd: Fd, targetfd: Fd, flags: Uint) -> SysResult {
    if flags.0 != 0 {
        bail!(EINVAL);
    }
    let pid = pid_of_pidfd(cx, pidfd.0)?;
    let target = cx.kernel.tasks.resolve(pid).ok_or(err!(ESRCH))?;
    super::ptrace::may_access(cx, &target)?;
    let fd = fds::duplicate(target.tgid, target.tgid, targetfd.0)?;
    Ok(Outcome::Fd { fd, cloexec: true })
}
