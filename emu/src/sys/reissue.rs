//! Making the caller repeat its call with other arguments, natively.
//!
//! Some calls must be carried out by the task itself and name something whose host number differs (pid 1). The thread is
//! stopped once by ptrace, its registers are set to the same call with the host's values, and the dispatcher lets exactly
//! that call through. About 40 µs.

use super::{Call, Outcome, SysResult};
use crate::err;
use crate::platform::ptrace::{Regs, Stop, Tracee};
use crate::task::Reissue;

/// The caller executes `nr(args)` natively in place of the call it made. EPERM when another guest traces it.
pub(crate) fn reissue(cx: &Call, nr: u32, args: [u64; 6]) -> SysResult {
    cx.door.about_to_block();
    let mut tracee = Tracee::seize(cx.tid(), false).map_err(|_| err!(EPERM, "the caller is traced"))?;
    tracee.interrupt().map_err(|_| err!(ESRCH))?;
    cx.task.expect_reissue(Some(Reissue { nr, args }));
    cx.door.answer_interrupted()?;
    if let Some(regs) = stopped_after_call(&mut tracee) {
        let again = set_call(regs, nr, args);
        if tracee.set_regs(&again).is_err() {
            cx.task.expect_reissue(None);
        }
    }
    tracee.detach(0);
    Ok(Outcome::Answered)
}

/// Waits for the stop that INTERRUPT asked for, after the call's answer. `None`: the task is gone.
pub(crate) fn stopped_after_call(tracee: &mut Tracee) -> Option<Regs> {
    loop {
        match tracee.wait() {
            Stop::Interrupt | Stop::Trap => return tracee.regs().ok(),
            Stop::Gone => return None,
            // A fatal signal on its way; let it act.
            Stop::Signal(sig) => tracee.run_to_syscall(sig).ok()?,
            Stop::Syscall | Stop::Exec => tracee.run_to_syscall(0).ok()?,
        }
    }
}

/// Registers that make the thread execute the `syscall` instruction it has just left once more, as `nr(args)`.
pub(crate) fn set_call(mut regs: Regs, nr: u32, args: [u64; 6]) -> Regs {
    regs.rip -= 2;
    regs.rax = u64::from(nr);
    regs.orig_rax = u64::MAX;
    [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = args;
    regs
}
