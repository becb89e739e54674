//! Native calls that a signal interrupts unless its handler asked for SA_RESTART (signal(7)).
//!
//! The host's handlers always ask for it, so that notified calls are never interrupted. Who did not ask is owed the
//! EINTR by the code that runs before his handler, and only for these: for any other call an EINTR would be one that
//! Linux never gives. Calls that fail with EINTR after any handler (poll, epoll_wait, nanosleep, pause …) do so by
//! themselves.

use crate::bpf::predicate::Test;
use crate::names::{fcntl, futex};
use crate::nr;

/// A call that can be interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interruptible {
    /// Its number.
    pub nr: u32,
    /// What must hold of its arguments.
    pub only_if: Option<Test>,
}

const fn always(nr: u32) -> Interruptible {
    Interruptible { nr, only_if: None }
}

/// The calls, sorted by number.
pub static INTERRUPTIBLE: &[Interruptible] = &[
    always(nr::read),
    always(nr::write),
    always(nr::readv),
    always(nr::writev),
    always(nr::sendfile),
    always(nr::accept),
    always(nr::sendto),
    always(nr::recvfrom),
    always(nr::recvmsg),
    always(nr::wait4),
    Interruptible {
        nr: nr::fcntl,
        only_if: Some(Test::u32(1, !0, true, &[fcntl::F_SETLKW, fcntl::F_OFD_SETLKW])),
    },
    always(nr::flock),
    Interruptible {
        nr: nr::futex,
        only_if: Some(Test::u32(1, 0x7f, true, &[futex::FUTEX_WAIT, futex::FUTEX_WAIT_BITSET])),
    },
    always(nr::waitid),
    always(nr::splice),
    always(nr::tee),
    always(nr::vmsplice),
    always(nr::accept4),
    always(nr::recvmmsg),
    always(nr::getrandom),
];

/// Whether this call, made natively, could have been interrupted.
pub fn is_interruptible(nr: u32, args: &[u64; 6]) -> bool {
    let Ok(index) = INTERRUPTIBLE.binary_search_by_key(&nr, |call| call.nr) else { return false };
    INTERRUPTIBLE[index].only_if.is_none_or(|test| test.holds(args))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Disposition, row};

    #[test]
    fn sorted_and_native() {
        assert!(INTERRUPTIBLE.is_sorted_by(|a, b| a.nr < b.nr));
        for call in INTERRUPTIBLE {
            // recvmsg and recvmmsg mostly go on natively after a look.
            let goes_on = matches!(call.nr, nr::recvmsg | nr::recvmmsg);
            let disposition = row(call.nr).unwrap().disposition;
            assert!(goes_on || matches!(disposition, Disposition::Native | Disposition::NativeIf(_)), "{}", call.nr);
        }
    }

    #[test]
    fn a_wake_is_never_interrupted() {
        assert!(is_interruptible(nr::futex, &[0, 0x80, 0, 0, 0, 0]));
        assert!(!is_interruptible(nr::futex, &[0, 0x81, 0, 0, 0, 0]));
        assert!(is_interruptible(nr::fcntl, &[0, 7, 0, 0, 0, 0]));
        assert!(!is_interruptible(nr::fcntl, &[0, 6, 0, 0, 0, 0]));
        assert!(!is_interruptible(nr::openat, &[0; 6]));
    }
}
