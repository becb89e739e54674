//! What the freestanding stub and the supervisor agree on: addresses, numbers and layouts.
//!
//! Compiled three times from this one file: into the stub, into the build script (which writes the linker script), and
//! into the crate. Nothing but constants and plain structures may stand here.

/// The number of the private call by which the stub and the park trampoline speak to the supervisor. No Linux call has
/// it. Its first argument is [`REQUEST_PLAN`], [`PLAN_FAILED`] or [`PARKED`].
pub const PRIVATE_SYSCALL: u64 = 0x1000;

/// `(REQUEST_PLAN, PLAN_BUFFER, PLAN_SIZE, sp, mmap_top)`: the program has been replaced by the stub, whose initial stack
/// pointer is `sp`; everything that a mapping may take top-down lies below `mmap_top`. To be answered with 0 after a plan was
/// written to [`PLAN_BUFFER`]; any other answer ends the process with status 127.
pub const REQUEST_PLAN: u64 = 1;
/// `(PLAN_FAILED, index, result)`: an operation did not do what the plan expects. The process ends with status 127
/// whatever the answer; a supervisor that wants Linux's ending sends the signal itself.
pub const PLAN_FAILED: u64 = 2;
/// `(PARKED, result, frame, cookie)`: a native call made by the park trampoline in mode [`AFTER_NOTIFY`] succeeded. The
/// answer becomes the result of the original call.
pub const PARKED: u64 = 3;

/// The resident page: ELF header, the stub's code, signal restorer, park trampoline. Stays mapped for the life of the
/// program. The lowest address that an unprivileged process may map (vm.mmap_min_addr).
pub const RESIDENT: u64 = 0x1_0000;
/// The restorer (the place to which a signal handler returns) that makes EINTR of a restarted call, where the interrupted
/// context's rcx is the return address that `syscall` left there: only calls which the kernel really interrupted. For
/// processors on which `syscall` does that.
pub const SIGNAL_RESTORER: u64 = 0x1_0810;
/// The same for processors on which `syscall` keeps rcx (FRED). A signal that arrives exactly before the `syscall`
/// instruction of an interruptible call is then taken for an interruption of that call.
pub const SIGNAL_RESTORER_LOOSE: u64 = 0x1_0800;
/// Entry of the park trampoline.
pub const PARK: u64 = 0x1_0a00;
/// Where the set of native interruptible calls lies: 512 bits.
pub const INTERRUPTIBLE_SET: u64 = 0x1_0b00;

/// Where the plan is written: the first of the stub's writable pages, which are gone when the program starts.
pub const PLAN_BUFFER: u64 = 0x1_1000;
/// Bytes that a plan may have.
pub const PLAN_SIZE: u64 = 0x5000;
/// The stub's own stack, above the plan.
pub const STUB_STACK: u64 = PLAN_BUFFER + PLAN_SIZE;
pub const STUB_STACK_SIZE: u64 = 0x2000;
/// End of the writable pages.
pub const STUB_END: u64 = STUB_STACK + STUB_STACK_SIZE;

/// Kept free for a page with the words that parked threads wait for, shared with the supervisor.
pub const PARK_WORDS: u64 = 0x2_1000;
pub const PARK_WORDS_SIZE: u64 = 0x1000;
/// No program's segment may touch `RESIDENT..RESERVED_END`.
pub const RESERVED_END: u64 = 0x2_4000;

/// One step of a plan: a system call, or one of the `OP_…` numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Number of the call.
    pub nr: u64,
    pub args: [u64; 6],
    /// [`EXPECT_SUCCESS`], [`EXPECT_ANYTHING`], or exactly the result that there must be.
    pub expect: u64,
}

/// Zero `args[1]` bytes at `args[0]`.
pub const OP_ZERO: u64 = 0x1_0000;

/// Any result that is no error number.
pub const EXPECT_SUCCESS: u64 = u64::MAX;
/// The result is not looked at.
pub const EXPECT_ANYTHING: u64 = u64::MAX - 1;

/// What stands at the beginning of a plan.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanHeader {
    /// How many operations there are, at most [`MAX_OPS`].
    pub ops: u64,
    /// Where the program starts.
    pub entry: u64,
    /// Its stack pointer.
    pub sp: u64,
    pub reserved: [u64; 5],
}

/// Offset in the plan of the data that operations point to.
pub const DATA_OFFSET: u64 = 64;
/// Room for such data.
pub const DATA_SIZE: u64 = 448;
/// Its address in the guest.
pub const PLAN_DATA: u64 = PLAN_BUFFER + DATA_OFFSET;
/// Offset in the plan of the operations.
pub const OPS_OFFSET: u64 = DATA_OFFSET + DATA_SIZE;
/// How many operations fit.
pub const MAX_OPS: u64 = (PLAN_SIZE - OPS_OFFSET) / 64;

/// The frame that the park trampoline finds at rsp.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawParkFrame {
    /// The original call: its number and arguments, in the order rdi, rsi, rdx, r10, r8, r9.
    pub nr: u64,
    pub args: [u64; 6],
    /// Address of its `syscall` instruction.
    pub rip: u64,
    pub rsp: u64,
    pub eflags: u64,
    /// What is done with the result of the native call: [`AFTER_RETRY`], [`AFTER_RETURN`], [`AFTER_NOTIFY`].
    pub after: u64,
    /// Handed back in [`PARKED`].
    pub cookie: u64,
    /// Room for what the native call writes, e.g. the address of a peer and its length.
    pub scratch: [u64; 20],
}

/// EINTR is returned to the program; after any other result the original call is made again.
pub const AFTER_RETRY: u64 = 0;
/// The result is returned to the program.
pub const AFTER_RETURN: u64 = 1;
/// An error is returned to the program; a success is reported by [`PARKED`], and the answer returned.
pub const AFTER_NOTIFY: u64 = 2;

/// Calls that run natively, may block, and give EINTR when a handler without SA_RESTART interrupts them. Calls that give
/// EINTR even with SA_RESTART (poll, select, nanosleep …) need not be here.
pub const INTERRUPTIBLE: &[u16] = &[
    0,   // read
    1,   // write
    16,  // ioctl
    17,  // pread64
    18,  // pwrite64
    19,  // readv
    20,  // writev
    40,  // sendfile
    43,  // accept
    44,  // sendto
    45,  // recvfrom
    47,  // recvmsg
    61,  // wait4
    72,  // fcntl
    73,  // flock
    128, // rt_sigtimedwait
    202, // futex
    208, // io_getevents
    247, // waitid
    275, // splice
    276, // tee
    278, // vmsplice
    288, // accept4
    295, // preadv
    296, // pwritev
    299, // recvmmsg
    318, // getrandom
    326, // copy_file_range
    327, // preadv2
    328, // pwritev2
    449, // futex_waitv
    455, // futex_wait
];

/// [`INTERRUPTIBLE`] as a set of bits, as the restorer reads it.
pub const fn interruptible_set() -> [u64; 8] {
    let mut set = [0; 8];
    let mut i = 0;
    while i < INTERRUPTIBLE.len() {
        let nr = INTERRUPTIBLE[i] as usize;
        set[nr / 64] |= 1 << (nr % 64);
        i += 1;
    }
    set
}

const _: () = {
    assert!(size_of::<Op>() == 64);
    assert!(size_of::<PlanHeader>() as u64 == DATA_OFFSET);
    assert!(size_of::<RawParkFrame>() == 256);
    assert!(STUB_END <= PARK_WORDS);
    assert!(PARK_WORDS + PARK_WORDS_SIZE <= RESERVED_END);
};
