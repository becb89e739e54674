//! The brand, from the supervisor's side: how a process that looks many names up, or asks often who it is, comes to answer
//! these calls itself.
//!
//! What runs in the guest, and why its answers are right, is told in `loader/brand/main.rs`. Here is what it stands on:
//!
//! - [`marks`]: the page by which the supervisor takes the image's facts back, one inode at a time and for ever;
//! - [`patch`]: how code gets into a process, and the jump to it into the process's own `mov eax, NR`.
//!
//! Nothing is done to a process before it has made [`THRESHOLD`] such calls, so that short ones pay nothing. A process is only
//! changed while its one thread waits for us; those with several threads, or that share their memory, are left alone.
//!
//! # What the guest gets
//! Four mappings: a private copy of the brand's code; a page with its own ids, which a fork leaves behind and which the
//! supervisor takes back before they change, or before somebody else comes to run in the same memory (vfork); and read-only
//! the marks and the image's index. The index holds
//! names, attributes and link targets of the whole image, also of directories that the process may not search: it is the
//! image's content, which whoever can pull the image can read; contents of files and extended attributes that a process
//! may not read are not served from here. It holds nothing of the host and nothing of other containers. The descriptors
//! are closed before the process goes on, they are read-only, and the memfd is sealed against later writers.
//!
//! # Where it is switched off, for the whole container and for ever
//! chroot (names mean something else), a remount of the root (other flags), a tracer (who expects to see calls), `carrack trace` (the same), a root file system
//! that is not an image's.

mod marks;
mod patch;

pub(crate) use marks::Marks;
pub(crate) use patch::{Branded, after_call};

use crate::fs::delta::DeltaFs;
use crate::kernel::Kernel;
use crate::sys::dev_of;
use crate::vfs::MountFlags;
use carrack_images::Index;
use carrack_loader::brand::{BLOB_SIZE, Dirent, Inode};
use rustix::fd::OwnedFd;
use std::any::Any;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Calls that the brand could have answered before a process gets it: about what it costs to put it there.
pub(crate) const THRESHOLD: u32 = 32;

/// The name of the memfd that holds code and marks, as /proc/PID/maps shows it.
pub(crate) const MEMFD_NAME: &str = "carrack-brand";

/// What the brand of a container stands on; made when the first process needs it.
#[derive(Debug, Default)]
pub(crate) struct Brand {
    published: OnceLock<Option<Published>>,
    is_off: AtomicBool,
}

/// What is mapped into guests.
#[derive(Debug)]
struct Published {
    /// Code, then marks; read-only.
    blob: OwnedFd,
    marks: Arc<Marks>,
    index: Arc<Index>,
    /// Bytes of the index's mapping.
    index_len: u64,
    dev: u64,
    mnt_id: u32,
}

// The freestanding reader has its own declarations of the index's records.
const _: () = {
    use carrack_images::index::raw;
    assert!(size_of::<raw::Inode>() == size_of::<Inode>());
    assert!(size_of::<raw::Dirent>() == size_of::<Dirent>());
    macro_rules! same {
        ($record:ident: $($field:ident)*) => {
            $(assert!(std::mem::offset_of!(raw::$record, $field) == std::mem::offset_of!($record, $field));)*
        };
    }
    same!(Inode: size mtime_sec body_n rdev mode uid gid nlink mtime_nsec body_layer first count xattr_first
        xattr_count parent alias);
    same!(Dirent: name ino name_len kind);
};

impl Brand {
    /// From now on no call is answered in guests; see the module's text for reasons.
    pub(crate) fn switch_off(&self) {
        self.is_off.store(true, Ordering::SeqCst);
        if let Some(Some(published)) = self.published.get() {
            published.marks.switch_off();
        }
    }

    fn is_on(&self) -> bool {
        !self.is_off.load(Ordering::Relaxed)
    }

    fn published(&self, kernel: &Kernel) -> Option<&Published> {
        let published = self.published.get_or_init(|| Published::new(kernel)).as_ref()?;
        // Somebody may have switched it off meanwhile.
        if !self.is_on() {
            published.marks.switch_off();
        }
        Some(published)
    }

    /// Whether a name in /proc/PID/maps is of a mapping that the brand has made.
    pub(crate) fn has_mapped(&self, name: &[u8]) -> bool {
        let Some(Some(published)) = self.published.get() else { return false };
        let memfd = name.strip_prefix(b"/memfd:").is_some_and(|n| n.starts_with(MEMFD_NAME.as_bytes()));
        memfd || published.index.path().is_some_and(|p: &PathBuf| p.as_os_str().as_encoded_bytes() == name)
    }
}

impl Published {
    fn new(kernel: &Kernel) -> Option<Published> {
        let root = kernel.mounts.root();
        // The brand follows links and knows modes alone.
        if root.mnt.flags().intersects(MountFlags::NOSYMFOLLOW | MountFlags::NOEXEC) {
            return None;
        }
        let sb: &dyn Any = &*root.mnt.sb;
        let delta = sb.downcast_ref::<DeltaFs>()?;
        let index = delta.image()?;
        index.file()?;
        let (blob, marks) = match Marks::new(index.max_ino()) {
            Ok(made) => made,
            Err(error) => {
                tracing::info!(%error, "look-ups are not answered in guests");
                return None;
            }
        };
        let marks = Arc::new(marks);
        // First whoever mounts from now on, then what is mounted.
        kernel.mounts.publish(&marks);
        delta.publish(&marks);
        let index_len = (index.len() as u64).next_multiple_of(4096);
        Some(Published { blob, marks, index, index_len, dev: dev_of(root.mnt.sb.id()), mnt_id: root.mnt.id })
    }

    /// Bytes of a process's region: code, marks, index, identity.
    fn region_len(&self) -> u64 {
        BLOB_SIZE + self.marks.len() + self.index_len + patch::IDENTITY_SIZE
    }
}
