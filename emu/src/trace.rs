//! `carrack trace`: every notified call, decoded from the table, with its result.

use crate::platform::memory::Memory;
use crate::sys::{Call, Outcome, SysResult};
use parking_lot::Mutex;
use std::io::Write;

/// Where traced calls are printed.
pub struct Trace {
    to: Mutex<Box<dyn Write + Send>>,
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trace")
    }
}

impl carrack_syscalls::decode::Memory for Memory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Option<usize> {
        self.read_some(addr, buf).ok()
    }
}

impl Trace {
    pub fn new(to: Box<dyn Write + Send>) -> Trace {
        Trace { to: Mutex::new(to) }
    }

    /// The call as text, before it is carried out (its memory may change by it).
    pub(crate) fn enter(&self, cx: &Call) -> String {
        carrack_syscalls::decode::line(cx.nr, &cx.args, None, &cx.memory())
    }

    pub(crate) fn exit(&self, cx: &Call, call: String, result: &SysResult) {
        let result = match result {
            Ok(Outcome::Value(v)) => v.to_string(),
            Ok(Outcome::Fd { .. }) => "<new descriptor>".to_owned(),
            Ok(Outcome::Continue) => "<by the host>".to_owned(),
            Ok(Outcome::Answered) => "<later>".to_owned(),
            Err(e) => {
                let name = carrack_syscalls::errno::name(e.code()).unwrap_or("?");
                let place = e.place();
                let why = if e.why().is_empty() { String::new() } else { format!(" ({})", e.why()) };
                format!("-1 {name}{why} [{}:{}]", place.file(), place.line())
            }
        };
        // A trace that nobody reads any more must not end the guest.
        let _ = writeln!(self.to.lock(), "[{}] {call} = {result}", cx.tid());
    }
}
