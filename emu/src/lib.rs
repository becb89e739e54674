//! The Linux kernel personality and its supervisor: one process per container.

mod brand;
pub mod control;
mod dispatch;
pub mod errno;
pub mod fs;
pub mod kernel;
pub mod platform;
pub mod supervise;
pub mod sys;
pub mod task;
pub mod trace;
pub mod vfs;

pub use errno::Errno;
pub use kernel::Kernel;
