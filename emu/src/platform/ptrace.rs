//! ptrace(2) as the exec protocol and parking use it: seize, stop, look, set, go.
//!
//! Rules learnt the hard way: the thread that seizes is the thread that waits; every wait uses `__WNOTHREAD`, or it would
//! steal another worker's stops; a tracee that is killed under us must still be waited for, or its real parent never
//! hears of its death.

use nix::errno::Errno as HostErrno;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;

/// A thread that this thread traces. Detached (and reaped when it is dead) on drop.
#[derive(Debug)]
pub(crate) struct Tracee {
    tid: Pid,
    attached: bool,
}

/// What a tracee did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It stopped in response to PTRACE_INTERRUPT, or a group stop.
    Interrupt,
    /// A single step or a system call ended.
    Trap,
    /// At the entry or exit of a system call (PTRACE_SYSCALL).
    Syscall,
    /// A signal is about to be delivered.
    Signal(i32),
    /// execve succeeded; the tracee has its thread group's id from now on.
    Exec,
    /// It is dead.
    Gone,
}

pub(crate) use libc::user_regs_struct as Regs;

impl Tracee {
    /// PTRACE_SEIZE with EXITKILL (and TRACEEXEC). EPERM when somebody else traces it.
    pub(crate) fn seize(tid: i32, trace_exec: bool) -> Result<Tracee, HostErrno> {
        let mut options = Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACESYSGOOD;
        if trace_exec {
            options |= Options::PTRACE_O_TRACEEXEC;
        }
        let tid = Pid::from_raw(tid);
        ptrace::seize(tid, options)?;
        Ok(Tracee { tid, attached: true })
    }

    pub(crate) fn tid(&self) -> i32 {
        self.tid.as_raw()
    }

    pub(crate) fn interrupt(&self) -> Result<(), HostErrno> {
        ptrace::interrupt(self.tid)
    }

    /// Waits for the next stop of this tracee (or of the thread id it takes by exec).
    pub(crate) fn wait(&mut self) -> Stop {
        // Any of this thread's tracees, not one id: a non-leader that execs reports under its group's id.
        let Some((pid, status)) = wait_any(-1) else {
            self.attached = false;
            return Stop::Gone;
        };
        if !libc::WIFSTOPPED(status) {
            self.attached = false;
            return Stop::Gone;
        }
        match (status >> 16, libc::WSTOPSIG(status)) {
            (libc::PTRACE_EVENT_EXEC, _) => {
                self.tid = Pid::from_raw(pid);
                Stop::Exec
            }
            (0, libc::SIGTRAP) => Stop::Trap,
            (0, sig) if sig == libc::SIGTRAP | 0x80 => Stop::Syscall,
            (0, sig) => Stop::Signal(sig),
            _ => Stop::Interrupt,
        }
    }

    pub(crate) fn regs(&self) -> Result<Regs, HostErrno> {
        ptrace::getregs(self.tid)
    }

    pub(crate) fn set_regs(&self, regs: &Regs) -> Result<(), HostErrno> {
        ptrace::setregs(self.tid, *regs)
    }

    /// Runs one instruction; `signal` (0: none) is delivered first.
    pub(crate) fn step(&self, signal: i32) -> Result<(), HostErrno> {
        resume(libc::PTRACE_SINGLESTEP, self.tid, signal)
    }

    /// Runs to the next entry or exit of a system call.
    pub(crate) fn run_to_syscall(&self, signal: i32) -> Result<(), HostErrno> {
        resume(libc::PTRACE_SYSCALL, self.tid, signal)
    }

    pub(crate) fn signal_mask(&self) -> Result<u64, HostErrno> {
        let mut mask = 0u64;
        // SAFETY: PTRACE_GETSIGMASK writes 8 bytes (the size given in addr) to `mask`, which lives through the call.
        let r = unsafe { libc::ptrace(libc::PTRACE_GETSIGMASK, self.tid.as_raw(), 8usize, &raw mut mask) };
        if r < 0 { Err(HostErrno::last()) } else { Ok(mask) }
    }

    pub(crate) fn set_signal_mask(&self, mask: u64) -> Result<(), HostErrno> {
        // SAFETY: PTRACE_SETSIGMASK reads 8 bytes (the size given in addr) from `mask`, which lives through the call.
        let r = unsafe { libc::ptrace(libc::PTRACE_SETSIGMASK, self.tid.as_raw(), 8usize, &raw const mask) };
        if r < 0 { Err(HostErrno::last()) } else { Ok(()) }
    }

    /// Lets it go; `signal` (0: none) is delivered.
    pub(crate) fn detach(mut self, signal: i32) {
        self.let_go(signal);
    }

    fn let_go(&mut self, signal: i32) {
        if !self.attached {
            return;
        }
        self.attached = false;
        if resume(libc::PTRACE_DETACH, self.tid, signal).is_ok() {
            return;
        }
        // It was killed: it is ours to wait for until its death has been told.
        while let Some((_, status)) = wait_any(self.tid.as_raw()) {
            if !libc::WIFSTOPPED(status) {
                return;
            }
            let _ = resume(libc::PTRACE_DETACH, self.tid, 0);
        }
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.let_go(0);
    }
}

/// waitpid of this thread's own tracees; `None` when there is none such.
fn wait_any(pid: i32) -> Option<(i32, i32)> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for the result.
        let r = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        if r > 0 {
            return Some((r, status));
        }
        if HostErrno::last() != HostErrno::EINTR {
            return None;
        }
    }
}

fn resume(request: libc::c_uint, tid: Pid, signal: i32) -> Result<(), HostErrno> {
    // SAFETY: these requests take a signal number in data and ignore addr; no memory is passed.
    let r = unsafe { libc::ptrace(request, tid.as_raw(), 0usize, signal as usize) };
    if r < 0 { Err(HostErrno::last()) } else { Ok(()) }
}
