//! Making the first task of a tree: init, or a process that `exec` adds.
//!
//! The child is a copy of the supervisor that shares its descriptor table for a moment (CLONE_FILES): it installs the
//! filter, and the listener appears in the supervisor's table with no need to pass it anywhere. Then it takes a table of
//! its own, arranges its standard streams, closes the rest and calls execve, which is the first call that the supervisor
//! serves for it. Between clone and execve the child makes raw system calls only: the supervisor has other threads, whose
//! locks it may have copied.

use super::seccomp::{FILTER_NEW_LISTENER, FILTER_WAIT_KILLABLE, SockFprog};
use crate::task::Cred;
use crate::vfs::Path;
use carrack_syscalls::SockFilter;
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ffi::CString;
use std::io::{self, Read};

/// What to start, as whom, where.
#[derive(Debug)]
pub struct Launch {
    /// The program's path inside, then its arguments as argv has them.
    pub program: Vec<u8>,
    pub args: Vec<Vec<u8>>,
    pub env: Vec<Vec<u8>>,
    pub cwd: Path,
    pub root: Path,
    pub cred: Cred,
    pub umask: u32,
    pub stdio: [OwnedFd; 3],
    /// Descriptor 0 is a terminal that becomes the controlling one.
    pub controlling_tty: bool,
    /// (RLIMIT_*, soft, hard).
    pub rlimits: Vec<(i32, u64, u64)>,
    /// Pid 1 of the container, which gets its orphans.
    pub is_init: bool,
}

/// A started process, a child of the supervisor.
#[derive(Debug)]
pub struct Launched {
    pub pid: i32,
    /// Readable when it has ended; reap with `waitid(P_PIDFD)`, never with a blanket wait.
    pub pidfd: OwnedFd,
}

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No such program (exit code 127).
    #[error("{1}")]
    NotFound(i32, String),
    /// There is one and it cannot be run (exit code 126).
    #[error("{1}")]
    NotExecutable(i32, String),
    /// The host refuses something that Carrack needs.
    #[error("{0}")]
    Host(String),
}

/// A child that has installed its filter and waits for leave to exec.
#[derive(Debug)]
pub(crate) struct Embryo {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) listener: OwnedFd,
    /// Write one byte: the child goes on. Then its execve is notified.
    go: OwnedFd,
    /// Ends without a byte when exec succeeded; else has the child's report.
    report: OwnedFd,
}

/// Which step of the child failed, as it reports it.
const STEPS: [&str; 7] = [
    "exec",
    "seccomp (user notification)",
    "no_new_privs",
    "unshare of the descriptor table",
    "the standard streams",
    "the controlling terminal",
    "a resource limit",
];

/// What the child needs, laid out before the fork.
struct Plan<'a> {
    filter: &'a [SockFilter],
    program: CString,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    stdio: [RawFd; 3],
    ctty: bool,
    is_init: bool,
    rlimits: Vec<(i32, libc::rlimit)>,
    listener_out: RawFd,
    go: RawFd,
    report: RawFd,
}

fn strings(of: &[Vec<u8>]) -> Result<Vec<CString>, LaunchError> {
    of.iter()
        .map(|s| {
            CString::new(s.as_slice())
                .map_err(|_| LaunchError::NotFound(libc::EINVAL, "an argument has a NUL in it".into()))
        })
        .collect()
}

/// Forks a task under `filter`. It waits before its exec until [`Embryo::go`].
pub(crate) fn fork(launch: &Launch, filter: &[SockFilter]) -> Result<Embryo, LaunchError> {
    let host = |what: &str, e: &dyn std::fmt::Display| LaunchError::Host(format!("{what}: {e}"));
    let program = CString::new(launch.program.as_slice())
        .map_err(|_| LaunchError::NotFound(libc::EINVAL, "the program's path has a NUL in it".into()))?;
    let (args, env) = (strings(&launch.args)?, strings(&launch.env)?);
    let pointers = |v: &[CString]| v.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| host("pipe", &e));
    let (listener_in, listener_out) = pipe()?;
    let (go_in, go) = pipe()?;
    let (report, report_out) = pipe()?;
    let plan = Plan {
        filter,
        argv: pointers(&args),
        envp: pointers(&env),
        program,
        stdio: launch.stdio.each_ref().map(|f| f.as_raw_fd()),
        ctty: launch.controlling_tty,
        is_init: launch.is_init,
        rlimits: launch
            .rlimits
            .iter()
            .map(|&(which, soft, hard)| (which, libc::rlimit { rlim_cur: soft, rlim_max: hard }))
            .collect(),
        listener_out: listener_out.as_raw_fd(),
        go: go_in.as_raw_fd(),
        report: report_out.as_raw_fd(),
    };
    // SAFETY: a fork-like clone (no CLONE_VM): the child has its own copy of memory and only makes raw system calls on
    // what `plan` holds until it execs or exits.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_FILES | libc::SIGCHLD, 0, 0, 0, 0) };
    if pid == 0 {
        child(&plan);
    }
    if pid < 0 {
        return Err(host("fork", &io::Error::last_os_error()));
    }
    let pid = pid as i32;
    let rustix_pid =
        rustix::process::Pid::from_raw(pid).ok_or_else(|| LaunchError::Host("fork gave no pid".into()))?;
    let pidfd = rustix::process::pidfd_open(rustix_pid, rustix::process::PidfdFlags::empty())
        .map_err(|e| host("pidfd_open", &e))?;
    let mut number = [0u8; 4];
    // The table is shared: the child's end must be closed in it by the child alone, hence a fixed-size message.
    let got = std::fs::File::from(listener_in).read_exact(&mut number);
    let fd = i32::from_ne_bytes(number);
    if got.is_err() || fd < 0 {
        reap(&pidfd);
        let (step, errno) = (((-fd) >> 16) as usize, (-fd) & 0xffff);
        return Err(LaunchError::Host(format!(
            "this host refuses {}: {}. `carrack doctor` says what is missing.",
            STEPS.get(step).unwrap_or(&"a step"),
            io::Error::from_raw_os_error(errno)
        )));
    }
    // SAFETY: the child has just made this descriptor in the table that it shares with us, and forgets it.
    let listener = unsafe { OwnedFd::from_raw_fd(fd) };
    // Until the child has left the shared table (it says so by a second message on the report pipe) nothing of ours that
    // it still names may be closed.
    let mut left = [0u8; 4];
    let _ = rustix::io::write(&go, b"x");
    let mut report_file = std::fs::File::from(report);
    if report_file.read_exact(&mut left).is_err() || left != [0; 4] {
        reap(&pidfd);
        let code = i32::from_ne_bytes(left);
        return Err(LaunchError::Host(format!(
            "{}: {}",
            STEPS.get((code >> 16) as usize).unwrap_or(&"a step"),
            io::Error::from_raw_os_error(code & 0xffff)
        )));
    }
    drop((go_in, report_out, listener_out));
    Ok(Embryo { pid, pidfd, listener, go, report: OwnedFd::from(report_file) })
}

impl Embryo {
    /// Lets the child exec, and waits until that has succeeded. Somebody must be serving the listener.
    pub(crate) fn go(self) -> Result<Launched, LaunchError> {
        let _ = rustix::io::write(&self.go, b"x");
        let mut report = [0u8; 4];
        match std::fs::File::from(self.report).read_exact(&mut report) {
            // Closed by exec, or by a death that the caller learns of through the pidfd.
            Err(_) => Ok(Launched { pid: self.pid, pidfd: self.pidfd }),
            Ok(()) => {
                reap(&self.pidfd);
                let errno = i32::from_ne_bytes(report) & 0xffff;
                let text = io::Error::from_raw_os_error(errno);
                let text = text.to_string().split(" (os error").next().unwrap_or_default().to_lowercase();
                Err(match errno {
                    libc::ENOENT | libc::ENOTDIR => LaunchError::NotFound(errno, text),
                    _ => LaunchError::NotExecutable(errno, text),
                })
            }
        }
    }
}

/// Ends a child that failed, and takes its status, so that no zombie stays.
fn reap(pidfd: &OwnedFd) {
    use rustix::fd::AsFd;
    use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
    let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
}

/// One raw system call.
fn raw(nr: libc::c_long, args: [usize; 5]) -> isize {
    // SAFETY: used between fork and exec on memory laid out before (see the callers), in a process of one thread.
    let r = unsafe { libc::syscall(nr, args[0], args[1], args[2], args[3], args[4]) };
    if r < 0 {
        // SAFETY: errno of this thread.
        -(unsafe { *libc::__errno_location() } as isize)
    } else {
        r as isize
    }
}

/// The child's side; never returns.
fn child(plan: &Plan<'_>) -> ! {
    let fail = |fd: RawFd, step: i32, e: isize| -> ! {
        let code = (step << 16) | ((-e) as i32 & 0xffff);
        let code = if fd == plan.listener_out { -code } else { code };
        let bytes = code.to_ne_bytes();
        raw(libc::SYS_write, [fd as usize, bytes.as_ptr() as usize, 4, 0, 0]);
        // exit_group is notified and nobody may be listening: the supervisor kills us.
        loop {
            raw(libc::SYS_pause, [0; 5]);
        }
    };
    let check = |fd: RawFd, step: i32, r: isize| {
        if r < 0 {
            fail(fd, step, r);
        }
        r
    };
    raw(libc::SYS_setsid, [0; 5]);
    if plan.is_init {
        raw(libc::SYS_prctl, [libc::PR_SET_CHILD_SUBREAPER as usize, 1, 0, 0, 0]);
    }
    // SIGPIPE is ignored in the supervisor; a guest starts with every signal at its default and none blocked.
    let default = [0usize; 4];
    for sig in 1..=64usize {
        raw(libc::SYS_rt_sigaction, [sig, default.as_ptr() as usize, 0, 8, 0]);
    }
    let none = 0u64;
    raw(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as usize, &raw const none as usize, 0, 8, 0]);
    if plan.ctty {
        let r = raw(libc::SYS_ioctl, [plan.stdio[0] as usize, libc::TIOCSCTTY as usize, 0, 0, 0]);
        check(plan.listener_out, 5, r);
    }
    check(plan.listener_out, 2, raw(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0]));
    let prog = SockFprog { len: plan.filter.len() as u16, filter: plan.filter.as_ptr() };
    let install =
        |flags: libc::c_ulong| raw(libc::SYS_seccomp, [1, flags as usize, &raw const prog as usize, 0, 0]);
    let mut listener = install(FILTER_NEW_LISTENER | FILTER_WAIT_KILLABLE);
    if listener == -(libc::EINVAL as isize) {
        listener = install(FILTER_NEW_LISTENER);
    }
    check(plan.listener_out, 1, listener);
    // From here on nothing but native calls until somebody serves the listener.
    let number = (listener as i32).to_ne_bytes();
    raw(libc::SYS_write, [plan.listener_out as usize, number.as_ptr() as usize, 4, 0, 0]);
    let mut byte = 0u8;
    raw(libc::SYS_read, [plan.go as usize, &raw mut byte as usize, 1, 0, 0]);
    check(plan.report, 3, raw(libc::SYS_unshare, [libc::CLONE_FILES as usize, 0, 0, 0, 0]));
    // Streams first to numbers above everything that is still needed, then down to 0, 1, 2; the two pipes to 3 and 4.
    let mut high = [0usize; 5];
    for (i, fd) in plan.stdio.iter().copied().chain([plan.report, plan.go]).enumerate() {
        let r = raw(libc::SYS_fcntl, [fd as usize, libc::F_DUPFD as usize, 16, 0, 0]);
        high[i] = check(plan.report, 4, r) as usize;
    }
    for (i, fd) in high.iter().enumerate() {
        let flags = if i < 3 { 0 } else { libc::O_CLOEXEC as usize };
        if *fd != i {
            check(plan.report, 4, raw(libc::SYS_dup3, [*fd, i, flags, 0, 0]));
        }
    }
    // Last, because a small limit of descriptors would fail the moves above.
    for (which, limit) in &plan.rlimits {
        let r = raw(libc::SYS_prlimit64, [0, *which as usize, &raw const *limit as usize, 0, 0]);
        check(3, 6, r);
    }
    raw(libc::SYS_close_range, [5, usize::MAX >> 32, 0, 0, 0]);
    let zero = [0u8; 4];
    raw(libc::SYS_write, [3, zero.as_ptr() as usize, 4, 0, 0]);
    raw(libc::SYS_read, [4, &raw mut byte as usize, 1, 0, 0]);
    raw(libc::SYS_close, [4, 0, 0, 0, 0]);
    let e = raw(
        libc::SYS_execve,
        [plan.program.as_ptr() as usize, plan.argv.as_ptr() as usize, plan.envp.as_ptr() as usize, 0, 0],
    );
    fail(3, 0, e)
}
