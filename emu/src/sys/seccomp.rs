//! seccomp(2) of guests. Filters stack on ours and would also judge the stub's calls, so a guest's filter is accepted
//! natively only where that cannot happen.

use super::{Call, SysResult, value};
use crate::task::Caps;
use crate::{bail, err};
use carrack_syscalls::arg::*;

const SET_MODE_STRICT: u32 = 0;
const SET_MODE_FILTER: u32 = 1;
const GET_ACTION_AVAIL: u32 = 2;
const GET_NOTIF_SIZES: u32 = 3;

pub(crate) fn seccomp(cx: &Call, operation: Uint, flags: Uint, args: Ptr) -> SysResult {
    match operation.0 {
        SET_MODE_STRICT if flags.0 != 0 || !args.0.is_null() => bail!(EINVAL),
        SET_MODE_STRICT => bail!(EINVAL, "strict mode is not supported"),
        SET_MODE_FILTER => set_filter(cx, flags.0, args.0.0),
        GET_ACTION_AVAIL => {
            let action: u32 = cx.memory().read_obj(args.0.0)?;
            // KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, TRACE, LOG, ALLOW.
            let known = [0x8000_0000, 0, 0x0003_0000, 0x0005_0000, 0x7ff0_0000, 0x7ffc_0000, 0x7fff_0000];
            if known.contains(&action) { value(0) } else { bail!(EOPNOTSUPP) }
        }
        GET_NOTIF_SIZES => {
            cx.memory().write_obj(args.0.0, &[80u16, 24, 64])?;
            value(0)
        }
        _ => bail!(EINVAL),
    }
}

fn set_filter(cx: &Call, _flags: u32, prog: u64) -> SysResult {
    #[repr(C)]
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    struct Fprog {
        len: u16,
        pad: [u16; 3],
        filter: u64,
    }
    let cred = cx.cred();
    let fprog: Fprog = cx.memory().read_obj(prog)?;
    if fprog.len == 0 || fprog.len > 4096 {
        bail!(EINVAL);
    }
    cx.memory().read_vec(fprog.filter, usize::from(fprog.len) * 8)?;
    if !cred.no_new_privs && !cred.capable(Caps::SYS_ADMIN) {
        bail!(EACCES);
    }
    // As a kernel without CONFIG_SECCOMP_FILTER answers.
    Err(err!(EINVAL, "seccomp filters of guests are not supported yet"))
}

pub(crate) fn prctl_set_seccomp(cx: &Call, mode: u64, prog: u64) -> SysResult {
    match mode {
        2 => set_filter(cx, 0, prog),
        _ => bail!(EINVAL),
    }
}
