//! The seccomp filter, compiled from the table.
//!
//! # Theory
//!
//! The filter is the wall: it decides, for every call of every guest, whether the host kernel sees it. It must be
//! right for hostile argument words, and cheap for the calls that programs make most.
//!
//! *Three layers.* [`predicate`] says what a test of argument words means, and can be evaluated without any filter.
//! [`program`] turns the rows of the table to a program: architecture first, then a binary search by number, and
//! argument tests only in the leaves. [`assembler`] knows jumps and nothing else. [`interp`] runs a program as the
//! kernel would; tests compare it with the predicates for every number.
//!
//! *Why numbers first.* Since 5.11 the kernel tries a new filter with each number, and where it reaches ALLOW
//! without a load of an argument or of the instruction pointer, it never runs the filter for that number again. So a
//! `Native` row costs nothing. No rule looks at the instruction pointer: any code of a guest may stand anywhere.
//!
//! *What is answered without a row.* Another architecture (int 0x80), the x32 numbers, and every number that is not
//! in the table get ENOSYS. A program can only be stricter than the table, never laxer: what is neither allowed nor
//! answered with an errno is notified, and a notification without a listener is ENOSYS too.

pub mod assembler;
pub mod interp;
pub mod predicate;
pub mod program;

pub use assembler::SockFilter;
pub use program::{FilterOptions, compile};

/// `SECCOMP_RET_ALLOW`: the host kernel runs the call.
pub const RET_ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_USER_NOTIF`: the supervisor is asked.
pub const RET_USER_NOTIF: u32 = 0x7fc0_0000;
/// `SECCOMP_RET_ERRNO`, to be joined with an errno.
pub const RET_ERRNO: u32 = 0x0005_0000;

/// `AUDIT_ARCH_X86_64`.
pub const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// The bit that marks the numbers of the x32 ABI.
pub const X32_SYSCALL_BIT: u32 = 0x4000_0000;

/// What a filter is given to judge: the kernel's `struct seccomp_data`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SeccompData {
    /// The number of the call.
    pub nr: u32,
    /// `AUDIT_ARCH_*` of the way it came in.
    pub arch: u32,
    /// Where the caller stands.
    pub instruction_pointer: u64,
    /// The argument words.
    pub args: [u64; 6],
}

impl SeccompData {
    /// The length of the structure, in bytes.
    pub const LEN: u32 = 64;

    /// A call of a 64-bit program.
    pub const fn new(nr: u32, args: [u64; 6]) -> Self {
        Self { nr, arch: AUDIT_ARCH_X86_64, instruction_pointer: 0, args }
    }

    /// The 32-bit word at a byte offset, or nothing where the offset is unaligned or outside.
    pub fn word(&self, offset: u32) -> Option<u32> {
        let half = |word: u64, upper: bool| if upper { (word >> 32) as u32 } else { word as u32 };
        match offset {
            _ if !offset.is_multiple_of(4) => None,
            0 => Some(self.nr),
            4 => Some(self.arch),
            8 | 12 => Some(half(self.instruction_pointer, offset == 12)),
            _ => {
                let index = (offset - 16) / 8;
                self.args.get(index as usize).map(|&word| half(word, offset % 8 == 4))
            }
        }
    }
}
