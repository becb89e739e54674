//! Loading of programs, without any input or output of its own: bytes of files go in, a plan for the stub and the image of
//! the initial stack come out.
//!
//! The way of an execve: [`parse_script`] and [`parse_elf`] judge the head of the file; [`check_arg_limits`] the arguments;
//! then the host kernel executes [`stub::STUB`], which asks for its plan: [`KernelStack::parse`] reads what the kernel left on
//! its stack, [`LoadPlan::new`] lays out the segments, [`StackImage::build`] the stack, and [`LoadPlan::finish`] gives the bytes
//! for the stub. `tests/exec.rs` does all of it under ptrace.

pub mod auxv;
pub mod brand;
mod elf;
mod error;
mod plan;
mod script;
mod stack;
pub mod stub;

pub use auxv::Auxv;
pub use elf::{ElfImage, ElfKind, HEAD_SIZE, Segment, parse_elf, parse_elf_with, parse_interpreter};
pub use error::LoadError;
pub use plan::{LoadInput, LoadPlan, Loadable};
pub use script::{MAX_INTERPRETERS, SCRIPT_HEAD, Script, parse_script};
pub use stack::{KernelStack, StackImage, StackInput, check_arg_limits};

/// Size of a page, and of the unit of every mapping.
pub const PAGE_SIZE: u64 = 4096;
/// End of the address space of a program.
pub const TASK_SIZE: u64 = 0x7fff_ffff_f000;
