//! The Linux kernel personality and its supervisor: one process per container.

pub mod control;
