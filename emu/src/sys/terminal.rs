//! Terminals where they name tasks: sessions, foreground groups, and who gets a controlling terminal.
//!
//! A controlling terminal belongs to the session of the task that opens it, so the supervisor, which opens terminals on
//! guests' behalf, must not take it (O_NOCTTY) and the task has to: after an open that Linux would have given it one by,
//! the task is made to do TIOCSCTTY.

use super::{Call, OK, Outcome, SysResult, ioctl as other, value};
use crate::bail;
use crate::errno::Errno;
use crate::platform::inject::Puppet;
use carrack_syscalls::arg::*;
use rustix::fd::OwnedFd;

const TIOCSCTTY: u32 = 0x540e;
const TIOCGPGRP: u32 = 0x540f;
const TIOCSPGRP: u32 = 0x5410;
const TIOCSTI: u32 = 0x5412;
const TIOCGSOFTCAR: u32 = 0x5419;
const TIOCSSOFTCAR: u32 = 0x541a;
const TIOCCONS: u32 = 0x541d;
const TIOCSETD: u32 = 0x5423;
const TIOCGSID: u32 = 0x5429;
const TIOCGDEV: u32 = 0x8004_5432;
const TIOCSIG: u32 = 0x4004_5436;
const TIOCVHANGUP: u32 = 0x5437;
const TIOCGLCKTRMIOS: u32 = 0x5456;
const TIOCSLCKTRMIOS: u32 = 0x5457;
const N_TTY: i32 = 0;

/// Whether [`ioctl`] serves this command.
pub(super) fn has_command(cmd: u32) -> bool {
    matches!(
        cmd,
        TIOCGPGRP
            | TIOCSPGRP
            | TIOCSTI
            | TIOCGSOFTCAR
            | TIOCSSOFTCAR
            | TIOCCONS
            | TIOCSETD
            | TIOCGSID
            | TIOCGDEV
            | TIOCSIG
            | TIOCVHANGUP
            | TIOCGLCKTRMIOS
            | TIOCSLCKTRMIOS
    )
}

pub(super) fn ioctl(cx: &Call, fd: Fd, cmd: u32, arg: Ptr) -> SysResult {
    match cmd {
        TIOCGPGRP | TIOCGSID => {
            let id = terminal_id(cx, fd.0, cmd)?;
            cx.memory().write_obj(arg.0.0, &cx.kernel.tasks.guest_pid(id))?;
            OK
        }
        TIOCSPGRP => set_foreground(cx, fd.0, arg),
        // Numbers that mean the same inside and outside; TIOCSIG sends to the foreground group of the guest's own terminal.
        TIOCGSOFTCAR | TIOCSSOFTCAR | TIOCGDEV | TIOCSIG | TIOCGLCKTRMIOS => Ok(Outcome::Continue),
        _ => {
            // ENOTTY, or EIO of a terminal that was hung up.
            other::host_int(cx, fd.0, libc::TIOCGETD as u32)?;
            match cmd {
                TIOCSTI => bail!(EIO, "nobody types for somebody else"),
                TIOCSETD if cx.memory().read_obj::<i32>(arg.0.0)? == N_TTY => OK,
                TIOCSETD => bail!(EINVAL, "no other line disciplines"),
                _ => bail!(EPERM),
            }
        }
    }
}

/// TIOCGPGRP, TIOCGSID: they ask about the caller's controlling terminal, or about the slave of a master. The former is
/// not the supervisor's, so the answer comes from the task itself.
fn terminal_id(cx: &Call, fd: i32, cmd: u32) -> Result<i32, Errno> {
    match own_terminal(cx, fd) {
        Some(own) if cmd == TIOCGSID => Ok(own.session),
        Some(own) => Ok(own.foreground.max(0)),
        None => other::host_int(cx, fd, cmd),
    }
}

/// Done by the caller: it is its session that counts.
fn set_foreground(cx: &Call, fd: i32, arg: Ptr) -> SysResult {
    let own = own_terminal(cx, fd);
    // A background process is sent SIGTTOU and restarts. A handler that wants EINTR instead would never get it: the
    // restart is taken for that of a call which waits for us.
    if let Some(own) = own
        && own.foreground != own.group
        && cx.task.process.actions.lock().interrupts(libc::SIGTTOU)
        && !is_blocked(cx, libc::SIGTTOU)
    {
        crate::platform::host::kill(-own.group, libc::SIGTTOU);
        bail!(EINTR);
    }
    // The host knows init's group by another number. Whatever is there when the kernel reads: it accepts only groups of
    // the caller's own session.
    if let Ok(1i32) = cx.memory().read_obj(arg.0.0) {
        cx.memory().write_obj(arg.0.0, &cx.kernel.tasks.init())?;
    }
    Ok(Outcome::Continue)
}

fn is_blocked(cx: &Call, sig: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", cx.tid())).unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|l| l.strip_prefix("SigBlk:"))
        .and_then(|v| u64::from_str_radix(v.trim(), 16).ok());
    mask.is_some_and(|m| m & (1 << (sig - 1)) != 0)
}

/// What `/proc/TID/stat` says of a task's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TaskTerminal {
    group: i32,
    session: i32,
    /// 0: it has none.
    terminal: i32,
    /// −1: nobody's.
    foreground: i32,
}

impl TaskTerminal {
    fn of(tid: i32) -> Option<TaskTerminal> {
        TaskTerminal::parse(&std::fs::read(format!("/proc/{tid}/stat")).ok()?)
    }

    fn parse(text: &[u8]) -> Option<TaskTerminal> {
        // The command's name may hold anything; fields count from its last parenthesis: state ppid pgrp session tty tpgid.
        let end = text.iter().rposition(|&b| b == b')')?;
        let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace().skip(2).map_while(|f| f.parse().ok());
        let mut next = || fields.next();
        Some(TaskTerminal { group: next()?, session: next()?, terminal: next()?, foreground: next()? })
    }
}

/// The caller's controlling terminal, when that is what the descriptor is of.
fn own_terminal(cx: &Call, fd: i32) -> Option<TaskTerminal> {
    let own = TaskTerminal::of(cx.tid()).filter(|own| own.terminal != 0)?;
    let rdev = crate::platform::fds::host_stat(cx.tid(), fd).ok()?.st_rdev;
    (encode_dev(rdev) == own.terminal).then_some(own)
}

/// new_encode_dev(): minor bits 0–7, major 8–19, minor 20–31.
fn encode_dev(rdev: u64) -> i32 {
    let (major, minor) = (libc::major(rdev), libc::minor(rdev));
    ((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)) as i32
}

/// The end of an open that gave `fd` of a character device: tty_open() makes the terminal that a session leader without
/// one opens its controlling terminal, unless it belongs to another session already.
pub(super) fn opened(cx: &Call, fd: OwnedFd, flags: i32, cloexec: bool) -> SysResult {
    let gives = flags & libc::O_NOCTTY == 0
        && flags & libc::O_ACCMODE != libc::O_WRONLY
        && rustix::fs::fstat(&fd).is_ok_and(|st| libc::major(st.st_rdev) == crate::fs::dev::PTS_MAJOR)
        && TaskTerminal::of(cx.tid()).is_some_and(|own| own.terminal == 0 && own.session == cx.task.tgid);
    if !gives {
        return Ok(Outcome::Fd { fd, cloexec });
    }
    let number = cx.door.add_fd(&fd, cloexec)?;
    let mut puppet = match Puppet::stop(&cx.task, &*cx.door) {
        Ok(puppet) => puppet,
        // Traced by another guest: it goes without.
        Err(e) if e.code() == libc::EPERM => return value(i64::from(number)),
        Err(e) => return Err(e),
    };
    puppet.call(libc::SYS_ioctl, [number as u64, u64::from(TIOCSCTTY), 0, 0, 0, 0])?;
    puppet.finish(i64::from(number))?;
    Ok(Outcome::Answered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_of_a_task() {
        let own = TaskTerminal::parse(b"7 (a) b (c) S 1 7 6 34816 9 4194560 1");
        assert_eq!(own, Some(TaskTerminal { group: 7, session: 6, terminal: 34816, foreground: 9 }));
        assert_eq!(encode_dev(libc::makedev(136, 0)), 34816);
        assert_eq!(TaskTerminal::parse(b"7 (x) S 1 7 6 0 -1 0").map(|t| t.foreground), Some(-1));
        assert_eq!(TaskTerminal::parse(b"7 (x) S 1"), None);
        assert_eq!(TaskTerminal::parse(b""), None);
    }
}
