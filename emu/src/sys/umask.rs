//! umask(2).

use super::{Call, SysResult, value};
use carrack_syscalls::arg::Mode;

/// umask(2): the old mask.
pub(crate) fn umask(cx: &Call, mask: Mode) -> SysResult {
    let old = cx.task.update_fs(|fs| std::mem::replace(&mut fs.umask, mask.0 & 0o777));
    value(i64::from(old))
}
