//! Signals from outside, and pausing.

use super::{Failure, procfs};
use crate::control::ErrorKind;
use crate::kernel::Kernel;
use rustix::process::Signal;
use std::collections::HashSet;

/// Sends a signal to a host process; a process that is gone is not an error.
pub(super) fn send(pid: i32, signal: i32) {
    // SAFETY: kill(2) takes two numbers.
    unsafe { libc::kill(pid, signal) };
}

/// Whether pid 1 of a pid namespace would get this signal from outside: SIGKILL and SIGSTOP always, others only if it
/// has a handler for them (`sig_task_ignored()`: SIGNAL_UNKILLABLE).
pub(super) fn reaches_init(pid: i32, signal: i32) -> bool {
    match signal {
        libc::SIGKILL | libc::SIGSTOP | libc::SIGCONT => true,
        1..=64 => procfs::signal_mask(pid, "SigCgt").is_some_and(|mask| mask & (1 << (signal - 1)) != 0),
        _ => false,
    }
}

/// A number that names a signal. 0 only probes.
pub(super) fn check(signal: i32) -> Result<(), Failure> {
    if (0..=64).contains(&signal) {
        Ok(())
    } else {
        Err(Failure::new(ErrorKind::Invalid, format!("invalid signal: {signal}")))
    }
}

/// Host processes of the container, parents before children.
pub(super) fn processes(_kernel: &Kernel) -> Vec<i32> {
    super::descendants(std::process::id() as i32)
}

/// Stops everything. SIGSTOP is what an ordinary user has; unlike the freezer, a parent can see it (WUNTRACED), hence
/// parents first: a stopped parent looks at its children only when it goes on, after them.
pub(super) fn pause(kernel: &Kernel) {
    let mut stopped = HashSet::new();
    // A process that forks while this goes on is met in the next round.
    for _ in 0..100 {
        let mut is_stable = true;
        for pid in processes(kernel) {
            if stopped.insert(pid) {
                send(pid, Signal::STOP.as_raw());
                is_stable = false;
            }
        }
        if is_stable {
            return;
        }
    }
}

/// Lets everything go on, children first; see [`pause`].
pub(super) fn resume(kernel: &Kernel) {
    for pid in processes(kernel).into_iter().rev() {
        send(pid, Signal::CONT.as_raw());
    }
}
