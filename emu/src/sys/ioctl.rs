//! ioctl(2) and fcntl(2) commands that name something: process groups of terminals, owners of descriptors, interfaces.

use super::{Call, OK, Outcome, SysResult};
use crate::errno::{Errno, host};
use crate::{bail, err};
use carrack_syscalls::arg::*;
use rustix::fd::AsFd;

const TIOCGPGRP: u32 = 0x540f;
const TIOCSPGRP: u32 = 0x5410;
const TIOCGSID: u32 = 0x5429;
const TIOCSTI: u32 = 0x5412;
const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFCONF: u32 = 0x8912;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCGIFADDR: u32 = 0x8915;
const SIOCGIFDSTADDR: u32 = 0x8917;
const SIOCGIFBRDADDR: u32 = 0x8919;
const SIOCGIFNETMASK: u32 = 0x891b;
const SIOCGIFMETRIC: u32 = 0x891d;
const SIOCGIFMTU: u32 = 0x8921;
const SIOCGIFHWADDR: u32 = 0x8927;
const SIOCGIFINDEX: u32 = 0x8933;
const SIOCGIFTXQLEN: u32 = 0x8942;
const FS_IOC_GETFLAGS: u32 = 0x8008_6601;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC_FSGETXATTR: u32 = 0x801c_581f;
const FICLONE: u32 = 0x4004_9409;
const FICLONERANGE: u32 = 0x4020_940d;
const FIOQSIZE: u32 = 0x5460;
const FIGETBSZ: u32 = 2;

pub(crate) fn ioctl(cx: &Call, fd: Fd, cmd: IoctlCmd, arg: Ptr) -> SysResult {
    let cmd = cmd.0;
    // EBADF comes before everything.
    crate::platform::fds::host_name(cx.tid(), fd.0)?;
    match cmd {
        TIOCGPGRP | TIOCGSID => terminal_id(cx, fd.0, cmd, arg),
        TIOCSPGRP => {
            let pgrp: i32 = cx.memory().read_obj(arg.0.0)?;
            if pgrp == 1 {
                // The host knows init's group by another number. Whatever is there when the kernel reads: it accepts only
                // groups of the caller's own session.
                cx.memory().write_obj(arg.0.0, &cx.kernel.tasks.init())?;
            }
            Ok(Outcome::Continue)
        }
        TIOCSTI => bail!(EIO, "typing into a terminal is not allowed"),
        // Reading the network's interfaces: at host level these are the host's, and setting needs CAP_NET_ADMIN there.
        SIOCGIFNAME | SIOCGIFCONF | SIOCGIFFLAGS | SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK
        | SIOCGIFMETRIC | SIOCGIFMTU | SIOCGIFHWADDR | SIOCGIFINDEX | SIOCGIFTXQLEN => Ok(Outcome::Continue),
        // Between two descriptors that the guest holds, by value or with plain numbers in memory.
        FICLONE | FICLONERANGE | FIOQSIZE | FIGETBSZ => Ok(Outcome::Continue),
        FS_IOC_GETFLAGS => {
            cx.memory().write_obj(arg.0.0, &0i32)?;
            OK
        }
        FS_IOC_SETFLAGS | FS_IOC_FSGETXATTR => bail!(ENOTTY),
        _ => bail!(ENOTTY),
    }
}

fn terminal_id(cx: &Call, fd: i32, cmd: u32, arg: Ptr) -> SysResult {
    let dup = cx.duplicate_fd(fd)?;
    // tcgetpgrp asks about the caller's controlling terminal, or about the slave of a master: for us neither is ours, so
    // the answer comes from the task itself.
    if !rustix::termios::isatty(dup.as_fd()) {
        bail!(ENOTTY);
    }
    let id = match own_terminal(cx, &dup) {
        Some((pgrp, session)) => {
            if cmd == TIOCGSID {
                session
            } else {
                pgrp
            }
        }
        None => {
            let r = if cmd == TIOCGSID {
                rustix::termios::tcgetsid(dup.as_fd())
            } else {
                rustix::termios::tcgetpgrp(dup.as_fd())
            };
            r.map_err(host)?.as_raw_nonzero().get()
        }
    };
    cx.memory().write_obj(arg.0.0, &cx.kernel.tasks.guest_pid(id))?;
    OK
}

/// (foreground group, session) when the descriptor is the caller's controlling terminal, from /proc/TID/stat.
fn own_terminal(cx: &Call, fd: &rustix::fd::OwnedFd) -> Option<(i32, i32)> {
    let text = std::fs::read(format!("/proc/{}/stat", cx.tid())).ok()?;
    let end = text.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(6).collect();
    let (session, tty, foreground) = (fields.get(3)?.parse().ok()?, fields.get(4)?.parse::<i32>().ok()?, fields.get(5)?);
    let rdev = rustix::fs::fstat(fd).ok()?.st_rdev;
    // new_encode_dev(): minor bits 0-7, major 8-19, minor 20-31.
    let encoded = (libc::minor(rdev) & 0xff) | (libc::major(rdev) << 8) | ((libc::minor(rdev) & !0xff) << 12);
    if tty == 0 || encoded as i32 != tty {
        return None;
    }
    Some((foreground.parse().ok()?, session))
}

const F_SETOWN: u32 = 8;
const F_GETOWN: u32 = 9;
const F_SETOWN_EX: u32 = 15;
const F_GETOWN_EX: u32 = 16;
const F_SETLEASE: u32 = 1024;
const F_NOTIFY: u32 = 1026;

pub(crate) fn fcntl(cx: &Call, fd: Fd, cmd: FcntlCmd, arg: Ulong) -> SysResult {
    crate::platform::fds::host_name(cx.tid(), fd.0)?;
    let check = |pid: i32| -> Result<i32, Errno> {
        if pid == 0 {
            return Ok(0);
        }
        let host = cx.kernel.tasks.host_pid(pid.unsigned_abs().try_into().unwrap_or(0));
        cx.kernel.tasks.resolve(host).ok_or(err!(ESRCH))?;
        Ok(if pid < 0 { -host } else { host })
    };
    match cmd.0 as u32 {
        F_SETOWN => {
            let host = check(arg.0 as i32)?;
            if host == arg.0 as i32 {
                return Ok(Outcome::Continue);
            }
            let args = [cx.args[0], cx.args[1], host as u64, 0, 0, 0];
            super::reissue(cx, cx.nr, args)
        }
        F_GETOWN => Ok(Outcome::Continue),
        F_SETOWN_EX => {
            let [_, pid]: [i32; 2] = cx.memory().read_obj(arg.0)?;
            check(pid)?;
            bail!(EINVAL, "F_SETOWN_EX is not supported")
        }
        F_GETOWN_EX => Ok(Outcome::Continue),
        F_SETLEASE | F_NOTIFY => bail!(EINVAL, "leases and directory notification are not supported"),
        _ => bail!(EINVAL),
    }
}
