//! The file systems: what implements [`SuperBlock`](crate::vfs::SuperBlock).
//!
//! [`tree`] is the common part of everything whose names live in the supervisor's memory: [`delta`] (the root file system:
//! an image below, a journal beside), [`tmp`] (nothing but memory) and [`dev`]. [`devpts`] lists terminals, [`host`] shows
//! directories of the host, [`proc`] and [`sys`] show what the kernel knows.

pub mod delta;
pub mod dev;
pub mod devpts;
pub mod host;
pub mod proc;
pub mod sys;
pub mod tmp;
pub mod tree;

use crate::vfs::Timespec;

/// The kernel's own coarse clock, which host files are stamped with too.
pub(crate) fn now() -> Timespec {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    Timespec { sec: t.tv_sec, nsec: u32::try_from(t.tv_nsec).unwrap_or(0) }
}

/// NAME_MAX of Linux.
pub(crate) const NAME_MAX: usize = 255;

/// How many blocks of 512 bytes `size` bytes take in blocks of 4096.
pub(crate) fn blocks_of(size: u64) -> u64 {
    size.div_ceil(4096).saturating_mul(8)
}

#[cfg(test)]
pub(crate) mod testing;
