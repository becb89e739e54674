//! fcntl(2): owners of descriptors, leases, and commands that no kernel knows. The rest is native.

use super::{Call, OK, SysResult, value};
use crate::bail;
use crate::errno::Errno;
use crate::platform::{fds, host};
use carrack_syscalls::arg::*;
use rustix::fd::AsFd;

const F_SETOWN: u32 = 8;
const F_GETOWN: u32 = 9;
const F_SETOWN_EX: u32 = 15;
const F_GETOWN_EX: u32 = 16;
const F_SETLEASE: u32 = 1024;
const F_NOTIFY: u32 = 1026;

/// Types of `struct f_owner_ex`.
const F_OWNER_TID: i32 = 0;
const F_OWNER_PGRP: i32 = 2;

pub(crate) fn fcntl(cx: &Call, fd: Fd, cmd: FcntlCmd, arg: Ulong) -> SysResult {
    fds::host_name(cx.tid(), fd.0)?;
    match cmd.0 {
        F_SETOWN => set_owner(cx, fd, arg.0 as i32),
        F_GETOWN => value(i64::from(get_owner(cx, fd)?)),
        F_SETOWN_EX => {
            let [kind, pid]: [i32; 2] = cx.memory().read_obj(arg.0)?;
            if !(F_OWNER_TID..=F_OWNER_PGRP).contains(&kind) {
                bail!(EINVAL);
            }
            set(cx, fd, kind, pid)
        }
        F_GETOWN_EX => {
            let [kind, pid] = get(cx, fd)?;
            cx.memory().write_obj(arg.0, &[kind, cx.kernel.tasks.guest_pid(pid)])?;
            OK
        }
        F_SETLEASE | F_NOTIFY => bail!(EINVAL, "leases and directory notification are not supported"),
        _ => bail!(EINVAL),
    }
}

/// F_SETOWN: a process, or a group by its negative number.
pub(super) fn set_owner(cx: &Call, fd: Fd, who: i32) -> SysResult {
    const F_OWNER_PID: i32 = 1;
    match who {
        i32::MIN => bail!(EINVAL),
        0.. => set(cx, fd, F_OWNER_PID, who),
        _ => set(cx, fd, F_OWNER_PGRP, -who),
    }
}

/// F_GETOWN
pub(super) fn get_owner(cx: &Call, fd: Fd) -> Result<i32, Errno> {
    let [kind, pid] = get(cx, fd)?;
    let pid = cx.kernel.tasks.guest_pid(pid);
    Ok(if kind == F_OWNER_PGRP { -pid } else { pid })
}

fn set(cx: &Call, fd: Fd, kind: i32, pid: i32) -> SysResult {
    let tasks = &cx.kernel.tasks;
    let host_pid = tasks.host_pid(pid);
    if pid != 0 && tasks.resolve(host_pid).is_none() {
        bail!(ESRCH);
    }
    // The owner belongs to the open file, so the supervisor's duplicate will do.
    let dup = cx.duplicate_fd(fd.0)?;
    host::set_owner(dup.as_fd(), kind, host_pid).map_err(crate::errno::host)?;
    OK
}

fn get(cx: &Call, fd: Fd) -> Result<[i32; 2], Errno> {
    let dup = cx.duplicate_fd(fd.0)?;
    host::get_owner(dup.as_fd()).map_err(crate::errno::host)
}
