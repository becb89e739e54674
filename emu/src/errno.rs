//! Error numbers as the guest sees them, with the place where each arose.
//!
//! Equality looks at the code alone. There is no blanket conversion into [`Errno`]: where the host's answer *is* the
//! guest's, the call says so with [`host`]; everywhere else the code is named where it is decided.

use std::fmt;
use std::panic::Location;

/// An error number, where it arose, and optionally why.
#[derive(Clone, Copy)]
pub struct Errno {
    code: i32,
    at: &'static Location<'static>,
    why: &'static str,
}

impl Errno {
    #[track_caller]
    pub const fn new(code: i32) -> Errno {
        Errno { code, at: Location::caller(), why: "" }
    }

    /// With a few words for `carrack trace`.
    #[track_caller]
    pub const fn because(code: i32, why: &'static str) -> Errno {
        Errno { code, at: Location::caller(), why }
    }

    /// The positive number, e.g. 2 for ENOENT; restart codes (512 …) are possible and never shown to the guest's code.
    pub const fn code(self) -> i32 {
        self.code
    }

    pub const fn why(self) -> &'static str {
        self.why
    }

    pub const fn place(self) -> &'static Location<'static> {
        self.at
    }
}

impl PartialEq for Errno {
    fn eq(&self, other: &Errno) -> bool {
        self.code == other.code
    }
}

impl Eq for Errno {}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "errno {} at {}:{}", self.code, self.at.file(), self.at.line())?;
        if self.why.is_empty() { Ok(()) } else { write!(f, " ({})", self.why) }
    }
}

/// The host's answer taken as the guest's. Use only where the host call is the guest's call, done on its behalf.
#[track_caller]
pub fn host(e: rustix::io::Errno) -> Errno {
    Errno::new(e.raw_os_error())
}

/// Likewise for errors of the standard library; an error without a number is EIO.
#[track_caller]
pub fn host_io(e: &std::io::Error) -> Errno {
    Errno::new(e.raw_os_error().unwrap_or(libc::EIO))
}

/// `err!(ENOENT)` or `err!(EINVAL, "why")`: an [`Errno`] value.
#[macro_export]
macro_rules! err {
    ($code:ident) => {
        $crate::errno::Errno::new(libc::$code)
    };
    ($code:ident, $why:literal) => {
        $crate::errno::Errno::because(libc::$code, $why)
    };
}

/// `bail!(ENOENT)`: returns `Err(err!(ENOENT))`.
#[macro_export]
macro_rules! bail {
    ($($t:tt)*) => {
        return Err($crate::err!($($t)*))
    };
}
