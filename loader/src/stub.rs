//! The stub as bytes, and the encoders for what it reads: plans and park frames.
//!
//! Addresses, numbers and layouts are in `stub/abi.rs`, which the freestanding code is compiled from too.
//!
//! # The signal restorer
//!
//! The host kernel restarts interrupted calls always (SA_RESTART), so that calls which wait for the supervisor are never seen
//! to be interrupted. For a handler that did not ask for SA_RESTART the supervisor sets our restorer in place of libc's: the
//! handler returns to it, and it makes EINTR of the restart of a native call and leaves that of a notified call alone, before
//! it calls rt_sigreturn. The handler itself is the program's own, and a query shows it.
//!
//! A first design put a thunk and a wrapper before the handler. Queries then showed the thunk, every process needed a page
//! for thunks, and setting an action with a query of the old one needed ptrace.
//!
//! # The park trampoline
//!
//! [`ParkFrame::encode`] gives 256 bytes for [`ParkFrame::address`]; then the thread's registers are set to that rsp, to
//! rip = [`PARK`], orig_rax = −1 and a native call. See [`After`] for what happens when that call is over.

#[path = "../stub/abi.rs"]
mod abi;

pub use abi::*;

use crate::LoadError;

/// The stub, an ELF executable linked at [`RESIDENT`].
pub static STUB: &[u8] = include_bytes!(env!("CARRACK_STUB"));

pub const SYS_CLOSE: u64 = 3;
pub const SYS_MMAP: u64 = 9;
pub const SYS_MPROTECT: u64 = 10;
pub const SYS_PRCTL: u64 = 157;

impl Op {
    /// A call that must give exactly `expect`.
    pub const fn exact(nr: u64, args: [u64; 6], expect: u64) -> Op {
        Op { nr, args, expect }
    }

    /// A call that must not fail.
    pub const fn must(nr: u64, args: [u64; 6]) -> Op {
        Op { nr, args, expect: EXPECT_SUCCESS }
    }

    /// A call that may fail.
    pub const fn may(nr: u64, args: [u64; 6]) -> Op {
        Op { nr, args, expect: EXPECT_ANYTHING }
    }

    /// Zero `length` bytes at `address`.
    pub const fn zero(address: u64, length: u64) -> Op {
        Op { nr: OP_ZERO, args: [address, length, 0, 0, 0, 0], expect: EXPECT_ANYTHING }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.nr.to_le_bytes());
        for arg in self.args {
            out.extend_from_slice(&arg.to_le_bytes());
        }
        out.extend_from_slice(&self.expect.to_le_bytes());
    }
}

/// What the stub is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub ops: Vec<Op>,
    /// Where the program starts.
    pub entry: u64,
    /// Its stack pointer.
    pub sp: u64,
    /// Bytes that appear at [`PLAN_DATA`] in the guest while the plan runs, for operations to point to.
    pub data: Vec<u8>,
}

impl Plan {
    /// The bytes to write to [`PLAN_BUFFER`].
    ///
    /// # Errors
    /// ENOMEM if there are more than [`MAX_OPS`] operations or more than [`DATA_SIZE`] bytes of data.
    pub fn encode(&self) -> Result<Vec<u8>, LoadError> {
        if self.ops.len() as u64 > MAX_OPS || self.data.len() as u64 > DATA_SIZE {
            return Err(LoadError::PlanTooLong);
        }
        let mut out = Vec::with_capacity(OPS_OFFSET as usize + self.ops.len() * size_of::<Op>());
        for word in [self.ops.len() as u64, self.entry, self.sp] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.resize(DATA_OFFSET as usize, 0);
        out.extend_from_slice(&self.data);
        out.resize(OPS_OFFSET as usize, 0);
        for op in &self.ops {
            op.encode(&mut out);
        }
        Ok(out)
    }
}

/// The restorer for this processor: with FRED, `syscall` no longer leaves its return address in rcx.
pub fn signal_restorer() -> u64 {
    const SYS_GETPPID: u64 = 110;
    let (rcx, next): (u64, u64);
    // SAFETY: getppid has no arguments and touches no memory; the label is only computed, not jumped to.
    unsafe {
        std::arch::asm!(
            "xor ecx, ecx",
            "syscall",
            "2:",
            "lea {next}, [rip + 2b]",
            next = out(reg) next,
            inlateout("rax") SYS_GETPPID => _,
            out("rcx") rcx,
            out("r11") _,
            options(nostack),
        );
    }
    if rcx == next { SIGNAL_RESTORER } else { SIGNAL_RESTORER_LOOSE }
}

/// What the park trampoline does with the result of the native call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// EINTR is returned to the program, after anything else the original call is made again: for a futex that says that
    /// something has changed.
    Retry,
    /// The result is returned to the program: for a call that stands in for the original.
    Return,
    /// An error is returned; after a success the trampoline makes the private call [`PARKED`] with the result, the frame's
    /// address and this cookie, and returns the answer: for an accept whose address has to be translated.
    Notify { cookie: u64 },
}

/// The state of a thread that is to be parked, taken from its registers at the stop after its call was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkFrame {
    /// Number of the original call.
    pub nr: u64,
    /// rdi, rsi, rdx, r10, r8, r9.
    pub args: [u64; 6],
    /// Address of the original `syscall` instruction (two bytes before the rip at the stop).
    pub rip: u64,
    pub rsp: u64,
    pub eflags: u64,
    pub after: After,
}

impl ParkFrame {
    pub const SIZE: usize = size_of::<RawParkFrame>();
    /// Offset of 160 bytes that the native call may write to.
    pub const SCRATCH: u64 = std::mem::offset_of!(RawParkFrame, scratch) as u64;

    /// Where the frame goes: below the red zone. To be the thread's rsp when the trampoline starts.
    pub fn address(&self) -> u64 {
        (self.rsp.wrapping_sub(128 + Self::SIZE as u64)) & !15
    }

    /// The bytes for [`ParkFrame::address`].
    pub fn encode(&self) -> [u8; Self::SIZE] {
        const TRAP_AND_RESUME: u64 = 0x100 | 0x1_0000;
        let (after, cookie) = match self.after {
            After::Retry => (AFTER_RETRY, 0),
            After::Return => (AFTER_RETURN, 0),
            After::Notify { cookie } => (AFTER_NOTIFY, cookie),
        };
        let [a, b, c, d, e, f] = self.args;
        let eflags = self.eflags & !TRAP_AND_RESUME;
        let words = [self.nr, a, b, c, d, e, f, self.rip, self.rsp, eflags, after, cookie];
        let mut out = [0; Self::SIZE];
        for (slot, word) in out.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_elf;

    #[test]
    fn the_stub_is_one_page_of_code_at_the_agreed_address() {
        let image = parse_elf(STUB, STUB.len() as u64).unwrap();
        let [text, rw] = &image.segments[..] else { panic!("two segments: {:?}", image.segments) };
        assert_eq!((text.vaddr, text.offset), (RESIDENT, 0));
        assert!(text.filesz <= 4096 && text.filesz == text.memsz);
        assert_eq!((rw.vaddr, rw.filesz, rw.memsz), (PLAN_BUFFER, 0, STUB_END - PLAN_BUFFER));
        assert_eq!(image.exec_stack, Some(false));
    }

    #[test]
    fn a_plan_that_does_not_fit_is_refused() {
        let op = Op::may(SYS_CLOSE, [0; 6]);
        let mut plan =
            Plan { ops: vec![op; MAX_OPS as usize], entry: 1, sp: 2, data: vec![7; DATA_SIZE as usize] };
        assert_eq!(plan.encode().unwrap().len() as u64, PLAN_SIZE);
        plan.ops.push(op);
        assert_eq!(plan.encode(), Err(LoadError::PlanTooLong));
    }
}
