//! Handlers of emulated system calls, one file per family of section 2 of the manual.
//!
//! A handler gets a [`Call`] and the typed arguments of its row in the table, and returns an [`Outcome`]. It never writes
//! registers, never answers the notification itself, and does not know how the call entered.

mod call;

pub use call::{Call, Door, PATH_MAX};

use crate::errno::Errno;
use std::os::fd::OwnedFd;

/// What a handler wants to happen to the caller.
#[derive(Debug)]
pub enum Outcome {
    /// The call returns this value.
    Value(i64),
    /// The call returns a new descriptor of the guest: the lowest free number, as if the guest had opened it.
    Fd { fd: OwnedFd, cloexec: bool },
    /// The host kernel carries out the call as it is. Only where every argument is passed by value, or where what memory
    /// holds cannot matter to anyone but the caller itself; the row says why.
    Continue,
    /// Somebody else has answered, or will (the exec protocol, a parked call).
    Answered,
}

pub type SysResult = Result<Outcome, Errno>;

/// `Ok(Outcome::Value(0))`.
pub const OK: SysResult = Ok(Outcome::Value(0));

/// A handler's successful number.
pub fn value<T: Into<i64>>(v: T) -> SysResult {
    Ok(Outcome::Value(v.into()))
}
