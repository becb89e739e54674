//! ptrace(2) and reading another process's memory, among the container's own tasks.

use super::{Call, Outcome, SysResult, value};
use crate::errno::Errno;
use crate::platform::memory::Memory;
use crate::task::{Caps, Process};
use crate::{bail, err};
use carrack_syscalls::arg::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// __ptrace_may_access() with PTRACE_MODE_ATTACH_REALCREDS: same ids and no more capabilities, or CAP_SYS_PTRACE.
pub(crate) fn may_access(cx: &Call, target: &Arc<Process>) -> Result<(), Errno> {
    if Arc::ptr_eq(target, &cx.task.process) {
        return Ok(());
    }
    let cred = cx.cred();
    if cred.capable(Caps::SYS_PTRACE) {
        return Ok(());
    }
    let other = cx.kernel.tasks.any_task_of(target.tgid).ok_or(err!(ESRCH))?.cred();
    let same_user = [other.uid, other.euid, other.suid].iter().all(|id| *id == cred.uid)
        && [other.gid, other.egid, other.sgid].iter().all(|id| *id == cred.gid);
    if !same_user || !cred.permitted.contains(other.permitted) || target.dumpable.load(Ordering::Relaxed) == 0
    {
        bail!(EPERM);
    }
    Ok(())
}

pub(crate) fn ptrace(cx: &Call, request: PtraceOp, pid: Pid, _addr: Ptr, _data: Ptr) -> SysResult {
    const TRACEME: u32 = 0;
    const ATTACH: u32 = 16;
    const SEIZE: u32 = 0x4206;
    let request = request.0 as u32;
    match request {
        // Its parent becomes the tracer: of the container, except for init and what exec added, whose parent is us.
        TRACEME if cx.kernel.tasks.process(cx.task.process.ppid()).is_some() => {
            cx.kernel.brand.switch_off();
            Ok(Outcome::Continue)
        }
        TRACEME => bail!(EPERM),
        ATTACH | SEIZE => {
            let target = cx.kernel.tasks.resolve(cx.kernel.tasks.host_pid(pid.0)).ok_or(err!(ESRCH))?;
            if Arc::ptr_eq(&target, &cx.task.process) || target.tgid == cx.kernel.tasks.init() {
                bail!(EPERM);
            }
            may_access(cx, &target)?;
            // Who traces wants to see every call.
            cx.kernel.brand.switch_off();
            Ok(Outcome::Continue)
        }
        // Everything else works on tracees that the caller already has, which are of this container; memory and
        // registers that it passes are its own and its tracee's.
        _ => Ok(Outcome::Continue),
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Iovec {
    base: u64,
    len: u64,
}

/// UIO_MAXIOV, and how much one call moves at most here (a short count is right by the manual).
const MAX_IOV: u64 = 1024;
const MAX_BYTES: usize = 4 << 20;

fn iovecs(cx: &Call, at: u64, count: u64) -> Result<Vec<Iovec>, Errno> {
    if count > MAX_IOV {
        bail!(EINVAL);
    }
    let mut v = vec![Iovec { base: 0, len: 0 }; count as usize];
    cx.memory().read(at, bytemuck::cast_slice_mut(&mut v))?;
    if v.iter().any(|part| part.len.cast_signed() < 0) {
        bail!(EINVAL);
    }
    Ok(v)
}

fn transfer(
    cx: &Call,
    pid: i32,
    local: (u64, u64),
    remote: (u64, u64),
    flags: u64,
    to_remote: bool,
) -> SysResult {
    if flags != 0 {
        bail!(EINVAL);
    }
    let (local, remote) = (iovecs(cx, local.0, local.1)?, iovecs(cx, remote.0, remote.1)?);
    let target = cx.kernel.tasks.resolve(cx.kernel.tasks.host_pid(pid)).ok_or(err!(ESRCH))?;
    may_access(cx, &target)?;
    let (own, other) = (cx.memory(), Memory::of(target.tgid));
    let (mut done, mut l, mut l_off) = (0usize, 0usize, 0u64);
    for r in &remote {
        let mut r_off = 0;
        while r_off < r.len && l < local.len() && done < MAX_BYTES {
            if l_off == local[l].len {
                (l, l_off) = (l + 1, 0);
                continue;
            }
            let n = (r.len - r_off).min(local[l].len - l_off).min(1 << 16);
            let (r_at, l_at) = (r.base.wrapping_add(r_off), local[l].base.wrapping_add(l_off));
            let (from, from_at, to, to_at) =
                if to_remote { (own, l_at, other, r_at) } else { (other, r_at, own, l_at) };
            let step = |n: u64| from.read_vec(from_at, n as usize).and_then(|bytes| to.write(to_at, &bytes));
            // What lies before a hole is moved.
            let page = n.min(4096 - from_at % 4096).min(4096 - to_at % 4096);
            let n = match step(n) {
                Ok(()) => n,
                Err(_) if page < n && step(page).is_ok() => page,
                Err(e) if done == 0 => return Err(e),
                Err(_) => return value(done as i64),
            };
            done += n as usize;
            r_off += n;
            l_off += n;
        }
    }
    value(done as i64)
}

pub(crate) fn process_vm_readv(
    cx: &Call,
    pid: Pid,
    l: IovPtr,
    ln: Ulong,
    r: Ptr,
    rn: Ulong,
    flags: Ulong,
) -> SysResult {
    transfer(cx, pid.0, (l.0.0, ln.0), (r.0.0, rn.0), flags.0, false)
}

pub(crate) fn process_vm_writev(
    cx: &Call,
    pid: Pid,
    l: IovPtr,
    ln: Ulong,
    r: Ptr,
    rn: Ulong,
    flags: Ulong,
) -> SysResult {
    transfer(cx, pid.0, (l.0.0, ln.0), (r.0.0, rn.0), flags.0, true)
}

/// A call that names a task by its host pid and is then the kernel's own affair: it may look at what `cx` may look at.
fn on_task(cx: &Call, pid: Pid) -> SysResult {
    let target = cx.kernel.tasks.resolve(cx.kernel.tasks.host_pid(pid.0)).ok_or(err!(ESRCH))?;
    may_access(cx, &target)?;
    if pid.0 == 1 { bail!(EPERM) } else { Ok(Outcome::Continue) }
}

pub(crate) fn get_robust_list(cx: &Call, pid: Pid, _head: Ptr, _len: Ptr) -> SysResult {
    on_task(cx, pid)
}

pub(crate) fn move_pages(cx: &Call, pid: Pid, _: Ulong, _: Ptr, _: Ptr, _: Ptr, _: Int) -> SysResult {
    on_task(cx, pid)
}

pub(crate) fn migrate_pages(cx: &Call, pid: Pid, _: Ulong, _: Ptr, _: Ptr) -> SysResult {
    on_task(cx, pid)
}
