//! What a container sees at its root: the image with its writable layer, /proc, /sys, /dev, and the spec's mounts.

use super::{Failure, Options};
use crate::control::{Change, ErrorKind, Spec};
use crate::kernel::Kernel;
use std::collections::HashSet;
use std::sync::Arc;

/// Builds the kernel with all its mounts.
pub(super) fn build(_spec: &Spec, _options: &Options) -> Result<Arc<Kernel>, Failure> {
    Err(Failure::new(ErrorKind::NotSupported, "file systems are not built in yet"))
}

/// Mounts that the user asked for (volumes, bind mounts), which copies look into.
pub(super) fn user_mounts(_kernel: &Kernel) -> HashSet<u32> {
    HashSet::new()
}

/// Paths that differ from the image.
pub(super) fn changes(_kernel: &Kernel) -> Result<Vec<Change>, Failure> {
    Err(Failure::new(ErrorKind::NotSupported, "file systems are not built in yet"))
}

/// Writes out what is still only in memory.
pub(super) fn close(kernel: &Kernel) {
    for mount in kernel.mounts.mounts() {
        if let Err(e) = mount.sb.sync() {
            tracing::warn!("cannot write out {}: {e:?}", mount.source);
        }
    }
}
