//! The index's records themselves, for a reader that maps the file and uses no code of ours (the brand in guests).

pub use super::layout::{Dirent, Inode};

/// Byte offsets in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sections {
    /// Of the record of inode 1.
    pub inodes: u64,
    /// Of all directory entries.
    pub dirents: u64,
    /// Of names and link targets.
    pub strings: u64,
}
