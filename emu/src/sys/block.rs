//! Calls that block in the supervisor: done by a thread that may wait, and given up when a signal reaches the caller.
//!
//! The waiting thread has handed its permit to receive to a follower. One further thread looks every few milliseconds at
//! the signals pending for each waiting caller; when one is unblocked it interrupts the waiting thread, which answers as
//! Linux would: EINTR when the handler did not ask for SA_RESTART, else a restart code that the guest's own kernel acts on.

use super::{Call, Outcome, SysResult};
use crate::errno::{Errno, host};
use crate::{bail, err};
use parking_lot::{Condvar, Mutex};
use rustix::fs::{Mode, OFlags};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

/// How often the signals of waiting callers are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(4);
/// ERESTARTSYS: the guest's kernel restarts the call, or makes it EINTR, as the signal's handler says.
const ERESTARTSYS: i32 = 512;

/// Callers that wait in the supervisor.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    list: Mutex<Vec<Arc<Waiter>>>,
    added: Condvar,
}

#[derive(Debug)]
struct Waiter {
    /// Guest thread.
    tid: i32,
    /// Our thread that waits for it.
    by: i32,
    /// The pending signal that was seen, 0 while there is none; −1: the caller is gone.
    signal: AtomicI32,
    door: Arc<dyn super::Door>,
    done: AtomicBool,
}

impl Waiters {
    /// Starts the thread that looks. Once, when the kernel is made.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        crate::platform::host::make_wake_signal_interrupt();
        let waiters = self.clone();
        std::thread::Builder::new()
            .name("look".into())
            .stack_size(128 << 10)
            .spawn(move || waiters.look())
            .map(drop)
    }

    fn look(&self) {
        loop {
            let all: Vec<_> = {
                let mut list = self.list.lock();
                while list.is_empty() {
                    self.added.wait(&mut list);
                }
                list.clone()
            };
            for w in all {
                if w.done.load(Ordering::Acquire) {
                    continue;
                }
                if w.signal.load(Ordering::Relaxed) == 0 {
                    let seen = if w.door.still_there() { pending_signal(w.tid) } else { -1 };
                    w.signal.store(seen, Ordering::Release);
                }
                // Again and again until it has noticed: the first may come just before the thread blocks.
                if w.signal.load(Ordering::Relaxed) != 0 {
                    crate::platform::host::wake_thread(w.by);
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// The lowest signal that is pending for a thread and not blocked; 0 when there is none.
fn pending_signal(tid: i32) -> i32 {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{tid}/status")) else { return -1 };
    let field = |name: &str| {
        status
            .lines()
            .find_map(|l| l.strip_prefix(name))
            .and_then(|v| u64::from_str_radix(v.trim(), 16).ok())
            .unwrap_or(0)
    };
    let pending = (field("SigPnd:") | field("ShdPnd:")) & !field("SigBlk:");
    if pending == 0 { 0 } else { pending.trailing_zeros() as i32 + 1 }
}

/// Does `op`, which may block and is a host call that EINTR interrupts, on the caller's behalf.
pub(crate) fn wait<T>(cx: &Call, mut op: impl FnMut() -> rustix::io::Result<T>) -> Result<T, Errno> {
    cx.door.about_to_block();
    let waiter = Arc::new(Waiter {
        tid: cx.tid(),
        by: rustix::thread::gettid().as_raw_nonzero().get(),
        signal: AtomicI32::new(0),
        door: cx.door.clone(),
        done: AtomicBool::new(false),
    });
    let waiters = &cx.kernel.waiters;
    waiters.list.lock().push(waiter.clone());
    waiters.added.notify_one();
    let result = loop {
        match op() {
            Err(rustix::io::Errno::INTR) => match waiter.signal.load(Ordering::Acquire) {
                0 => {}
                -1 => break Err(err!(ESRCH, "guest is gone")),
                sig if cx.task.process.actions.lock().interrupts(sig) => break Err(err!(EINTR)),
                _ => break Err(Errno::new(ERESTARTSYS)),
            },
            other => break other.map_err(host),
        }
    };
    waiter.done.store(true, Ordering::Release);
    waiters.list.lock().retain(|w| !Arc::ptr_eq(w, &waiter));
    result
}

/// Opens a host path whose opening may block (a FIFO without its other end).
pub(crate) fn open_blocking(cx: &Call, path: PathBuf, flags: i32, cloexec: bool) -> SysResult {
    let how = OFlags::from_bits_retain(flags as u32) | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = wait(cx, || rustix::fs::open(&path, how, Mode::empty()))?;
    if !cx.door.still_there() {
        bail!(EINTR);
    }
    Ok(Outcome::Fd { fd, cloexec })
}
