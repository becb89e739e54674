//! prctl(2) options that are not the host's business, and personality(2).

use super::{Call, OK, Outcome, SysResult, value};
use crate::bail;
use crate::platform::inject::Puppet;
use crate::task::{Caps, Cred};
use carrack_syscalls::arg::*;
use std::sync::atomic::Ordering;

/// What the stub does for every program: one PR_SET_MM_MAP before the program runs.
const PR_SET_MM: i32 = 35;
const PR_SET_PTRACER: i32 = 0x5961_6d61;
const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
const PR_SET_MDWE: i32 = 65;
const PR_GET_MDWE: i32 = 66;
const KEEP_CAPS: u32 = 1 << 4;
const KEEP_CAPS_LOCKED: u32 = 1 << 5;
const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;
/// Four bits, each with the bit above it as its lock.
const SECURE_ALL: u64 = 0xff;
const SECURE_ALL_LOCKS: u64 = 0xaa;
const PR_SET_IO_FLUSHER: i32 = 57;
const PR_GET_IO_FLUSHER: i32 = 58;

pub(crate) fn prctl(cx: &Call, option: PrctlOp, a2: Ulong, a3: Ulong, a4: Ulong, a5: Ulong) -> SysResult {
    let (op, a2, a3, a4, a5) = (option.0, a2.0, a3.0, a4.0, a5.0);
    let cred = cx.cred();
    let change = |f: &dyn Fn(&mut Cred)| {
        let mut new = (*cred).clone();
        f(&mut new);
        cx.task.set_cred(new);
        OK
    };
    match op {
        libc::PR_GET_DUMPABLE => value(cx.task.process.dumpable.load(Ordering::Relaxed)),
        libc::PR_SET_DUMPABLE => match a2 {
            0 | 1 => {
                cx.task.process.dumpable.store(a2 as u32, Ordering::Relaxed);
                OK
            }
            _ => bail!(EINVAL),
        },
        libc::PR_SET_NO_NEW_PRIVS => {
            if a2 != 1 || a3 != 0 || a4 != 0 || a5 != 0 {
                bail!(EINVAL);
            }
            change(&|c| c.no_new_privs = true)
        }
        libc::PR_GET_NO_NEW_PRIVS => {
            if a2 != 0 || a3 != 0 || a4 != 0 || a5 != 0 {
                bail!(EINVAL);
            }
            value(i32::from(cred.no_new_privs))
        }
        libc::PR_GET_KEEPCAPS => value(i32::from(cred.securebits & KEEP_CAPS != 0)),
        libc::PR_SET_KEEPCAPS => match a2 {
            0 | 1 if cred.securebits & KEEP_CAPS_LOCKED != 0 => bail!(EPERM),
            0 => change(&|c| c.securebits &= !KEEP_CAPS),
            1 => change(&|c| c.securebits |= KEEP_CAPS),
            _ => bail!(EINVAL),
        },
        libc::PR_GET_SECUREBITS => value(cred.securebits),
        libc::PR_SET_SECUREBITS => {
            let (old, new) = (u64::from(cred.securebits), a2);
            let locks = old & SECURE_ALL_LOCKS;
            let touches_locked = (locks >> 1) & (old ^ new) != 0 || locks & !new != 0;
            if touches_locked || new & !SECURE_ALL != 0 || !cred.capable(Caps::SETPCAP) {
                bail!(EPERM);
            }
            change(&|c| c.securebits = a2 as u32)
        }
        libc::PR_CAPBSET_READ => {
            if a2 > 40 {
                bail!(EINVAL);
            }
            value(i32::from(cred.bounding.bits() & (1 << a2) != 0))
        }
        libc::PR_CAPBSET_DROP => {
            if !cred.capable(Caps::SETPCAP) {
                bail!(EPERM);
            }
            if a2 > 40 {
                bail!(EINVAL);
            }
            change(&|c| c.bounding -= Caps::from_bits_retain(1 << a2))
        }
        libc::PR_CAP_AMBIENT if a4 != 0 || a5 != 0 => bail!(EINVAL),
        libc::PR_CAP_AMBIENT => ambient(cx, &cred, a2, a3),
        libc::PR_SET_PDEATHSIG => {
            if a2 > 64 {
                bail!(EINVAL);
            }
            // By value. What init's parent is to it is not the guest's to say.
            if cx.task.tgid == cx.kernel.tasks.init() { OK } else { Ok(Outcome::Continue) }
        }
        libc::PR_SET_CHILD_SUBREAPER if cx.task.tgid == cx.kernel.tasks.init() => OK,
        libc::PR_SET_CHILD_SUBREAPER | libc::PR_GET_CHILD_SUBREAPER => Ok(Outcome::Continue),
        libc::PR_SET_SECCOMP => super::seccomp::prctl_set_seccomp(cx, a2, a3),
        libc::PR_GET_SECCOMP => value(0),
        PR_SET_MM => {
            // The stub's own, by which ps of the host shows the program's arguments. Nothing here names anything: the
            // kernel checks that every address is the caller's.
            if a2 == 14 && cx.task.process.exec_in_progress() { Ok(Outcome::Continue) } else { bail!(EPERM) }
        }
        PR_SET_PTRACER => OK,
        // The host would want CAP_SYS_RESOURCE of us.
        PR_SET_IO_FLUSHER | PR_GET_IO_FLUSHER => bail!(EPERM),
        PR_SET_MDWE | PR_GET_MDWE => bail!(EINVAL),
        PR_SET_SYSCALL_USER_DISPATCH => bail!(EINVAL, "syscall user dispatch is not supported"),
        // Of the caller alone, by value or into its own memory.
        libc::PR_SET_FPEMU | libc::PR_GET_FPEMU | libc::PR_SET_UNALIGN | libc::PR_GET_UNALIGN => {
            bail!(EINVAL)
        }
        _ => bail!(EINVAL),
    }
}

fn ambient(cx: &Call, cred: &Cred, op: u64, cap: u64) -> SysResult {
    const IS_SET: u64 = 1;
    const RAISE: u64 = 2;
    const LOWER: u64 = 3;
    const CLEAR_ALL: u64 = 4;
    let mut new = cred.clone();
    if op == CLEAR_ALL && cap != 0 {
        bail!(EINVAL);
    }
    if op == CLEAR_ALL {
        new.ambient = Caps::empty();
        cx.task.set_cred(new);
        return OK;
    }
    if cap > 40 {
        bail!(EINVAL);
    }
    let bit = Caps::from_bits_retain(1 << cap);
    match op {
        IS_SET => return value(i32::from(cred.ambient.contains(bit))),
        RAISE if cred.securebits & NO_CAP_AMBIENT_RAISE != 0 => bail!(EPERM),
        RAISE if !cred.permitted.contains(bit) || !cred.inheritable.contains(bit) => bail!(EPERM),
        RAISE => new.ambient |= bit,
        LOWER => new.ambient -= bit,
        _ => bail!(EINVAL),
    }
    cx.task.set_cred(new);
    OK
}

pub(crate) fn personality(cx: &Call, persona: Uint) -> SysResult {
    const QUERY: u32 = u32::MAX;
    // What the host's kernel does for the caller: where it puts stacks and mappings, and whether what can be read can be
    // executed. The other bits are names and our loader's affair.
    const HOST: u32 = (libc::ADDR_NO_RANDOMIZE | libc::READ_IMPLIES_EXEC) as u32;
    let kept = &cx.task.process.personality;
    let old = kept.load(Ordering::Relaxed);
    if persona.0 == QUERY {
        return value(old);
    }
    kept.store(persona.0, Ordering::Relaxed);
    if (old ^ persona.0) & HOST != 0 {
        // A caller that somebody traces keeps the host's layout.
        if let Ok(mut puppet) = Puppet::stop(&cx.task, &*cx.door) {
            puppet.call(libc::SYS_personality, [u64::from(persona.0 & HOST), 0, 0, 0, 0, 0])?;
            puppet.finish(i64::from(old))?;
            return Ok(Outcome::Answered);
        }
    }
    value(old)
}
