//! sync(2).

use super::{Call, OK, SysResult};

/// sync(2): the container's file systems. Errors are nobody's, as on Linux.
pub(crate) fn sync(cx: &Call) -> SysResult {
    cx.door.about_to_block();
    for sb in cx.kernel.ids.superblocks() {
        if let Err(e) = sb.sync() {
            tracing::warn!(error = ?e, fs = sb.fstype(), "sync");
        }
    }
    OK
}
