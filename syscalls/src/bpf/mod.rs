//! The seccomp filter, compiled from the table.

pub mod predicate;
