//! From a notification to the handler of its number, and back.
//!
//! The array of handlers is expanded from the rows of the table: a row that is notified and has no handler of its name in
//! `crate::sys` does not compile.

use crate::brand;
use crate::err;
use crate::kernel::Kernel;
use crate::platform::handover;
use crate::platform::notify::{self, Notification};
use crate::platform::seccomp::Notif;
use crate::sys::{self, Call, Door, Outcome, SysResult};
use carrack_syscalls::arg::*;
use carrack_syscalls::{PRIVATE_NR, with_syscall_table};
use std::sync::Arc;

type Handler = fn(&Call) -> SysResult;

/// The handler of a row, by its disposition.
macro_rules! handler {
    ([Native] $name:ident ($($arg:ident : $ty:ty),*)) => { None };
    ([Absent] $name:ident ($($arg:ident : $ty:ty),*)) => { None };
    ([Refused] $name:ident ($($arg:ident : $ty:ty),*)) => { None };
    ([$($notified:tt)*] $name:ident ($($arg:ident : $ty:ty),*)) => {
        Some((|cx: &Call| -> SysResult {
            let mut words = cx.args.into_iter();
            let _ = &mut words;
            sys::$name(cx $(, <$ty as FromRaw>::from_raw(words.next().unwrap_or(0)))*)
        }) as Handler)
    };
}

macro_rules! handlers {
    ($($nr:literal $name:ident $since:literal ($($arg:ident : $ty:ty),*) [$($disp:tt)*] $why:literal;)*) => {
        [$(($nr as usize, handler!([$($disp)*] $name ($($arg : $ty),*)))),*]
    };
}

/// One more than the largest number in the table.
const NUMBERS: usize = 512;

static HANDLERS: [Option<Handler>; NUMBERS] = {
    let rows: &[(usize, Option<Handler>)] = &with_syscall_table!(handlers);
    let mut all: [Option<Handler>; NUMBERS] = [None; NUMBERS];
    let mut i = 0;
    while i < rows.len() {
        all[rows[i].0] = rows[i].1;
        i += 1;
    }
    all
};

/// Serves one notification.
pub(crate) fn handle(kernel: &Arc<Kernel>, notif: &Notif, door: &Arc<Notification>) {
    let (tid, nr, args, instruction_pointer) = notify::arguments(notif);
    let Some(task) = kernel.tasks.of_caller(tid) else {
        // Dead meanwhile, or a task that nobody forked: it may not go on with credentials of nobody.
        if door.still_there() {
            kill(tid);
        }
        return door.answer(Err(err!(ESRCH)));
    };
    if task.take_reissue(nr, &args) {
        return door.answer(Ok(Outcome::Continue));
    }
    crate::vfs::caller::set(tid);
    let call = Call { kernel: kernel.clone(), task, nr, args, instruction_pointer, door: door.clone() };
    let traced = kernel.trace.as_ref().map(|t| t.enter(&call));
    let result = match HANDLERS.get(nr as usize) {
        Some(Some(handler)) => handler(&call),
        _ if nr == PRIVATE_NR => sys::exec::private(&call),
        _ => Err(err!(ENOSYS, "not in the table")),
    };
    let result = match result {
        Err(e) if e.code() == handover::WANTED => handover::hand_over(&call),
        other => {
            // A duplicate that is kept would keep a socket open that the guest closes.
            call.task.handed.lock().clear();
            other
        }
    };
    if let (Some(trace), Some(line)) = (kernel.trace.as_ref(), traced) {
        trace.exit(&call, line, &result);
    }
    if brand::after_call(&call, &result) {
        return;
    }
    door.answer(result);
}

/// Ends a task that may not go on.
pub(crate) fn kill(tid: i32) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(tid), nix::sys::signal::Signal::SIGKILL);
}

/// The handler of a number, for tests that make calls themselves.
#[cfg(test)]
pub(crate) fn handler_of(nr: u32) -> Option<fn(&Call) -> SysResult> {
    HANDLERS.get(nr as usize).copied().flatten()
}

#[cfg(test)]
mod tests {
    use carrack_loader::stub::INTERRUPTIBLE;
    use carrack_syscalls::{Disposition, row};

    /// The resident page knows the interruptible calls by number alone; the table says which they are.
    #[test]
    fn interruptible_calls_are_calls_that_the_host_carries_out() {
        for &nr in INTERRUPTIBLE {
            let row = row(u32::from(nr)).unwrap_or_else(|| panic!("{nr} is no call"));
            assert!(!matches!(row.disposition, Disposition::Absent | Disposition::Refused), "{}", row.name);
        }
    }
}
