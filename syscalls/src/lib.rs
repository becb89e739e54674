//! The ABI of x86-64 Linux as one table, and everything that can be derived from it without input or output: the
//! argument types, the seccomp filter, the text of a traced call, the documentation page.
//!
//! - [`with_syscall_table!`] hands the rows as tokens to a macro of the caller's; [`TABLE`] has them as values.
//! - [`arg`] types the argument words; [`values`] names the sets of values that predicates test.
//! - [`bpf`] compiles the table to the filter that decides which calls the supervisor sees.
//! - [`decode`] prints a call as strace(1) does; [`doc`] writes the page of the book that lists the calls.
//!
//! Not here: what any call does. That is the emulation's.

#![forbid(unsafe_code)]

pub mod arg;
pub mod bpf;
pub mod decode;
pub mod doc;
pub mod errno;
pub mod names;
pub mod values;

mod table;

pub use bpf::{FilterOptions, SockFilter, compile};

use arg::Kind;
use bpf::predicate::{Predicate, Test};

/// The number with which the start-up stub and the resident page talk to the supervisor. No call of Linux; the
/// filter notifies it, and the supervisor answers it only for a task from which it expects it.
pub const PRIVATE_NR: u32 = 0x1000;

/// What happens to a call, and so which action the filter takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// The host kernel runs it; nobody else sees it.
    Native,
    /// The host kernel runs it where the predicate holds; otherwise the supervisor is notified.
    NativeIf(Predicate),
    /// The supervisor is notified and, when it agrees, lets the host kernel run it. Arguments are by value.
    Checked,
    /// The supervisor is notified and computes the answer.
    Emulated,
    /// ENOSYS: as if the kernel did not have it.
    Absent,
    /// EPERM: as if the caller lacked the privilege.
    Refused,
}

impl Disposition {
    /// The word of the table.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Native => "Native",
            Self::NativeIf(_) => "NativeIf",
            Self::Checked => "Checked",
            Self::Emulated => "Emulated",
            Self::Absent => "Absent",
            Self::Refused => "Refused",
        }
    }

    /// Whether the supervisor may be asked.
    pub const fn is_notified(&self) -> bool {
        matches!(self, Self::NativeIf(_) | Self::Checked | Self::Emulated)
    }
}

/// One argument of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arg {
    /// Its name, that of the man page.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
}

/// One system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its number.
    pub nr: u32,
    /// Its name in the kernel.
    pub name: &'static str,
    /// The first mainline release that has it.
    pub since: &'static str,
    /// Its arguments, six at most.
    pub args: &'static [Arg],
    /// What happens to it.
    pub disposition: Disposition,
    /// Why that happens to it.
    pub why: &'static str,
}

impl Row {
    /// Major and minor number of the release that introduced the call.
    pub fn since_version(&self) -> (u16, u16) {
        let mut parts = self.since.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

/// The place of the argument called `name`. A name that no argument has does not compile.
const fn arg_index(args: &[&str], name: &str) -> u8 {
    const fn same(a: &[u8], b: &[u8]) -> bool {
        let mut i = 0;
        while i < a.len() && i < b.len() {
            if a[i] != b[i] {
                return false;
            }
            i += 1;
        }
        a.len() == b.len()
    }
    let mut i = 0;
    while i < args.len() && !same(args[i].as_bytes(), name.as_bytes()) {
        i += 1;
    }
    assert!(i < args.len(), "no argument of that name");
    i as u8
}

macro_rules! disposition {
    ($args:tt NativeIf($( $($test:tt) and + ) or +)) => {
        Disposition::NativeIf(Predicate { any: &[ $( &[ $( test!($args $test) ),+ ] ),+ ] })
    };
    ($args:tt $word:ident) => { Disposition::$word };
}

macro_rules! test {
    ($args:tt ($arg:ident : $width:ident == $value:expr)) => { test!(@ $args $arg $width !0, true, &[$value]) };
    ($args:tt ($arg:ident : $width:ident != $value:expr)) => { test!(@ $args $arg $width !0, false, &[$value]) };
    ($args:tt ($arg:ident : $width:ident in $set:expr)) => { test!(@ $args $arg $width !0, true, $set) };
    ($args:tt ($arg:ident : $width:ident not in $set:expr)) => { test!(@ $args $arg $width !0, false, $set) };
    ($args:tt ($arg:ident : $width:ident & $mask:tt == $value:expr)) => {
        test!(@ $args $arg $width $mask, true, &[$value])
    };
    ($args:tt ($arg:ident : $width:ident & $mask:tt in $set:expr)) => { test!(@ $args $arg $width $mask, true, $set) };
    ($args:tt ($arg:ident : $width:ident & $mask:tt not in $set:expr)) => {
        test!(@ $args $arg $width $mask, false, $set)
    };
    (@ ($($name:ident)*) $arg:ident $width:ident $mask:expr, $member:literal, $set:expr) => {
        Test::$width(arg_index(&[$(stringify!($name)),*], stringify!($arg)), $mask, $member, $set)
    };
}

macro_rules! define_table {
    ($($nr:literal $name:ident $since:literal ($($arg:ident : $ty:ident),*) [$($disp:tt)*] $why:literal;)*) => {
        /// Every system call of x86-64 Linux, sorted by number.
        pub static TABLE: &[Row] = {
            use arg::*;
            use values::*;
            &[$(Row {
                nr: $nr,
                name: stringify!($name),
                since: $since,
                args: &[$(Arg { name: stringify!($arg), kind: <$ty as FromRaw>::KIND }),*],
                disposition: disposition!(($($arg)*) $($disp)*),
                why: $why,
            }),*]
        };

        /// The number of each call, under its name.
        #[allow(non_upper_case_globals, missing_docs)]
        pub mod nr {
            $(pub const $name: u32 = $nr;)*
        }
    };
}

with_syscall_table!(define_table);

/// The row of the call with this number.
pub fn row(nr: u32) -> Option<&'static Row> {
    let index = TABLE.binary_search_by_key(&nr, |row| row.nr).ok()?;
    TABLE.get(index)
}

/// The row of the call with this name.
pub fn by_name(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}
