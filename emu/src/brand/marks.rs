//! Marks: a byte for each inode of the image, written by the supervisor and read by guests.
//!
//! A mark is made before the change that it is about, under the lock that the change is made under, and is never taken
//! back.

use super::MEMFD_NAME;
use crate::vfs::Ino;
use carrack_loader::brand::{BARRED, BLOB_SIZE, BRAND, MARKS_FIRST, MARKS_OFF, TOUCHED};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// See the module.
#[derive(Debug)]
pub(crate) struct Marks {
    map: MmapRaw,
    inodes: Ino,
}

impl Marks {
    /// Marks for inodes `1..=inodes`, none made yet; and a read-only descriptor of a file that has the brand's code and,
    /// after [`BLOB_SIZE`] bytes, these marks.
    pub(super) fn new(inodes: Ino) -> io::Result<(OwnedFd, Marks)> {
        let len = (MARKS_FIRST + inodes + 1).next_multiple_of(4096);
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // MFD_EXEC is known since 6.3, and needed from then on.
        let file = match rustix::fs::memfd_create(MEMFD_NAME, flags | MemfdFlags::EXEC) {
            Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(MEMFD_NAME, flags)?,
            other => other?,
        };
        rustix::fs::ftruncate(&file, BLOB_SIZE + len)?;
        if rustix::io::pwrite(&file, BRAND, 0)? != BRAND.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let map = MmapOptions::new().offset(BLOB_SIZE).len(len as usize).map_raw(&file)?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let read_only = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok((read_only, Marks { map, inodes }))
    }

    /// Bytes of the mapping.
    pub(super) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Something about the inode is going to change, or a name is going to come into it.
    pub(crate) fn touch(&self, ino: Ino) {
        self.mark(ino, TOUCHED);
    }

    /// The way to or through the inode is going to change.
    pub(crate) fn bar(&self, ino: Ino) {
        self.mark(ino, TOUCHED | BARRED);
    }

    fn mark(&self, ino: Ino, bits: u8) {
        if ino <= self.inodes {
            let at = self.map.as_mut_ptr().wrapping_add((MARKS_FIRST + ino) as usize);
            // SAFETY: the mapping has a byte for each inode up to `inodes`, lives as long as `self`, and is only ever
            // accessed atomically.
            unsafe { AtomicU8::from_ptr(at) }.fetch_or(bits, Ordering::SeqCst);
        }
    }

    /// No call is to be answered any more.
    pub(super) fn switch_off(&self) {
        let at = self.map.as_mut_ptr().wrapping_add(MARKS_OFF as usize).cast::<u32>();
        // SAFETY: as above; the mapping begins at a page, so the word is aligned.
        unsafe { AtomicU32::from_ptr(at) }.store(1, Ordering::SeqCst);
    }
}
