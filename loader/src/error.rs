//! Why a program cannot be loaded, and what Linux answers then.

use thiserror::Error;

/// Why a program cannot be loaded. [`LoadError::errno`] is Linux's answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LoadError {
    #[error("not an ELF file")]
    NotElf,
    #[error("32-bit programs are not supported")]
    ThirtyTwoBit,
    #[error("the program is for another machine (e_machine {0})")]
    OtherMachine(u16),
    #[error("neither an executable nor a shared object (e_type {0})")]
    NotExecutable(u16),
    #[error("malformed program headers")]
    BadProgramHeaders,
    #[error("the file ends before its program headers or the path of its interpreter")]
    Truncated,
    #[error("malformed path of an interpreter")]
    BadInterpreterPath,
    #[error("the interpreter of the program is not one")]
    BadInterpreter(InterpreterFault),
    #[error("no segment to load")]
    NothingToLoad,
    #[error("a segment is larger in the file than in memory, or leaves the address space")]
    BadSegment,
    #[error("a segment's offset in the file does not fit its address")]
    MisalignedSegment,
    #[error("a segment lies below the lowest address that may be mapped")]
    TooLow,
    #[error("a segment lies where the resident page is")]
    TakesReserved,
    #[error("too many segments")]
    PlanTooLong,
    #[error("the entry lies outside of the address space")]
    BadEntry,
    #[error("no room in the address space")]
    NoRoom,
    #[error("the line after #! names no interpreter, or is cut off within its name")]
    BadScript,
    #[error("too many interpreters of interpreters")]
    TooManyInterpreters,
    #[error("an argument or the environment is too long")]
    TooLong,
    #[error("the initial stack is not as the kernel makes it")]
    BadKernelStack,
}

/// What is wrong with an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterpreterFault {
    /// No ELF file for this machine: ELIBBAD.
    Format,
    /// The file is shorter than an ELF header: EIO.
    Short,
    /// Its segments cannot be mapped: EINVAL.
    Segments,
}

impl LoadError {
    /// The error number of execve(2), positive.
    pub const fn errno(self) -> i32 {
        const EPERM: i32 = 1;
        const EIO: i32 = 5;
        const E2BIG: i32 = 7;
        const ENOEXEC: i32 = 8;
        const ENOMEM: i32 = 12;
        const EINVAL: i32 = 22;
        const ELOOP: i32 = 40;
        const ELIBBAD: i32 = 80;
        match self {
            Self::NotElf
            | Self::ThirtyTwoBit
            | Self::OtherMachine(_)
            | Self::NotExecutable(_)
            | Self::BadProgramHeaders
            | Self::BadInterpreterPath
            | Self::BadScript => ENOEXEC,
            Self::Truncated | Self::BadInterpreter(InterpreterFault::Short) => EIO,
            Self::BadInterpreter(InterpreterFault::Format) => ELIBBAD,
            Self::BadInterpreter(InterpreterFault::Segments)
            | Self::NothingToLoad
            | Self::BadSegment
            | Self::MisalignedSegment
            | Self::BadEntry => EINVAL,
            Self::TooLow => EPERM,
            Self::TakesReserved | Self::PlanTooLong | Self::NoRoom | Self::BadKernelStack => ENOMEM,
            Self::TooManyInterpreters => ELOOP,
            Self::TooLong => E2BIG,
        }
    }

    /// Whether Linux finds this out only after the old program is gone, so that the process gets SIGSEGV and the error number is
    /// never seen. An answer with [`LoadError::errno`] is then kinder than Linux.
    pub const fn is_fatal_on_linux(self) -> bool {
        matches!(
            self,
            Self::BadInterpreter(InterpreterFault::Segments)
                | Self::NothingToLoad
                | Self::BadSegment
                | Self::MisalignedSegment
                | Self::BadEntry
                | Self::TooLow
                | Self::TakesReserved
                | Self::PlanTooLong
                | Self::NoRoom
                | Self::BadKernelStack
        )
    }
}
