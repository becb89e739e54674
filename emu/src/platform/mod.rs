//! The seam to the host kernel: the seccomp listener, guest memory and descriptors, ptrace, confinement.
//!
//! Everything that knows how a call entered, and everything unsafe in this crate, lives below here.

pub mod fds;
pub(crate) mod handover;
pub(crate) mod host;
pub(crate) mod inject;
pub mod launch;
pub mod memory;
pub(crate) mod notify;
pub(crate) mod ptrace;
pub(crate) mod seccomp;
pub(crate) mod sockets;
pub(crate) mod stubfile;
