//! Who asks: the thread on whose behalf this thread of the supervisor works.
//!
//! Most of the file system does not care. `/proc/self`, `/proc/thread-self`, `/dev/tty` and their like do, deep inside
//! look-ups whose signatures would otherwise all carry a thread id.

use std::cell::Cell;

thread_local! {
    static CALLER: Cell<i32> = const { Cell::new(0) };
}

/// Host thread id of the guest thread that is served by this thread now; 0 when the supervisor works for itself.
pub fn tid() -> i32 {
    CALLER.get()
}

/// Works for guest thread `tid` until told otherwise.
pub fn set(tid: i32) {
    CALLER.set(tid);
}
