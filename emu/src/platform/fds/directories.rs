//! `/proc/TID/fd` of the threads that asked last, kept open: a look-up there takes half the time of one by path.
//!
//! An entry needs no care when its thread ends: the directory is that thread's for ever, and empty from then on. So whatever
//! is not found here is looked up by its path.

use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many threads are remembered.
const KEPT: usize = 16;

/// The most recently used last. `None`: a thread that has asked once; the directory is opened when it asks again.
static KNOWN: Mutex<VecDeque<(i32, Option<Arc<OwnedFd>>)>> = Mutex::new(VecDeque::new());

/// The text of `/proc/TID/fd/N`, if the directory is at hand and has it.
pub(super) fn read_link(tid: i32, fd: i32) -> Option<Vec<u8>> {
    let directory = get(tid)?;
    let mut number = [0u8; 12];
    match rustix::fs::readlinkat(&*directory, decimal(fd, &mut number), Vec::with_capacity(256)) {
        Ok(name) => Some(name.into_bytes()),
        Err(_) => {
            // It may be that of a thread that had the number before.
            KNOWN.lock().retain(|(known, _)| *known != tid);
            None
        }
    }
}

fn get(tid: i32) -> Option<Arc<OwnedFd>> {
    let mut known = KNOWN.lock();
    let at = known.iter().rposition(|(t, _)| *t == tid);
    let Some(at) = at else {
        if known.len() == KEPT {
            known.pop_front();
        }
        known.push_back((tid, None));
        return None;
    };
    if let Some((_, Some(directory))) = known.get(at) {
        let directory = directory.clone();
        if at + 1 != known.len()
            && let Some(entry) = known.remove(at)
        {
            known.push_back(entry);
        }
        return Some(directory);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = Arc::new(rustix::fs::openat(CWD, format!("/proc/{tid}/fd"), flags, Mode::empty()).ok()?);
    known.remove(at);
    known.push_back((tid, Some(directory.clone())));
    Some(directory)
}

/// A descriptor's number as text.
fn decimal(fd: i32, buffer: &mut [u8; 12]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = fd.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &buffer[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn names_are_found_again_and_few_threads_are_remembered() {
        for tid in 1_000_000..1_000_100 {
            assert!(get(tid).is_none());
        }
        assert!(KNOWN.lock().len() <= KEPT);
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        let file = std::fs::File::open("/proc/self/status").unwrap();
        // Once for the thread to be known, and again should other tests have pushed it out.
        let found = (0..100).find_map(|_| read_link(tid, file.as_raw_fd()));
        assert!(found.unwrap().ends_with(b"/status"));
        assert_eq!(read_link(tid, i32::MAX), None);
        assert_eq!(decimal(0, &mut [0; 12]), b"0");
        assert_eq!(decimal(i32::MAX, &mut [0; 12]), b"2147483647");
    }
}
