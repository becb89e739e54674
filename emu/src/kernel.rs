//! The container's kernel: everything that all its tasks share.

use crate::control::Spec;
use crate::task::TaskTable;
use crate::vfs::MountNs;
use crate::vfs::ids::Ids;
use parking_lot::RwLock;

/// One per supervisor.
#[derive(Debug)]
pub struct Kernel {
    pub spec: Spec,
    pub mounts: MountNs,
    pub ids: Ids,
    pub tasks: TaskTable,
    pub uts: RwLock<Uts>,
}

/// Names of uname(2) that can be set.
#[derive(Debug, Clone, Default)]
pub struct Uts {
    pub nodename: Vec<u8>,
    pub domainname: Vec<u8>,
}
