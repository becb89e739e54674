//! The seam to the host kernel: the seccomp listener, guest memory and descriptors, ptrace, confinement.
//!
//! Everything that knows how a call entered, and everything unsafe in this crate, lives below here.

pub mod fds;
pub mod memory;
