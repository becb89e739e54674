//! sysfs and cgroup2: what programs look up there, read-only.
//!
//! sysfs shows the machine's processors and memory nodes and the network's interfaces, handed through from the host, and
//! otherwise the empty directories that a container's has. cgroup2 shows one group with the container's limits and use, so
//! that runtimes size themselves by them. As in [`proc`](super::proc), each file is a row of a table ([`rows`], [`cgroup`]).

mod cgroup;
mod host;
mod inode;
mod rows;

use super::proc::body::Bodies;
use super::proc::table::Table;
use crate::err;
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::vfs::{HostName, Ino, InodeRef, SbId, StatFs, SuperBlock, Timespec};
use inode::{Node, SysInode};
use parking_lot::Mutex;
use rows::What;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavor {
    Sysfs,
    Cgroup,
}

/// The file system mounted at `/sys`, or the one at `/sys/fs/cgroup`.
#[derive(Debug)]
pub struct SysFs {
    id: SbId,
    this: Weak<SysFs>,
    flavor: Flavor,
    kernel: OnceLock<Weak<Kernel>>,
    bodies: Bodies,
    /// Paths below `/sys` of host files that were looked up, by inode number. No more than there are in the directories
    /// that are shown.
    hosts: Mutex<HashMap<Ino, Arc<str>>>,
    born: Timespec,
}

impl SysFs {
    /// For `/sys`.
    pub fn new(id: SbId) -> Arc<SysFs> {
        SysFs::make(id, Flavor::Sysfs)
    }

    /// For `/sys/fs/cgroup`.
    pub fn cgroup2(id: SbId) -> Arc<SysFs> {
        SysFs::make(id, Flavor::Cgroup)
    }

    fn make(id: SbId, flavor: Flavor) -> Arc<SysFs> {
        Arc::new_cyclic(|this| SysFs {
            id,
            this: this.clone(),
            flavor,
            kernel: OnceLock::new(),
            bodies: Bodies::default(),
            hosts: Mutex::default(),
            born: super::now(),
        })
    }

    /// Says whose limits and network to show. Once, before init starts.
    pub fn attach(&self, kernel: &Arc<Kernel>) {
        let _ = self.kernel.set(Arc::downgrade(kernel));
    }

    fn kernel(&self) -> Result<Arc<Kernel>, Errno> {
        self.kernel.get().and_then(Weak::upgrade).ok_or(err!(ENOENT, "sysfs has no kernel yet"))
    }

    fn table(&self) -> &'static Table<What> {
        static TABLES: [OnceLock<Table<What>>; 2] = [OnceLock::new(), OnceLock::new()];
        match self.flavor {
            Flavor::Sysfs => TABLES[0].get_or_init(|| Table::new(&[&rows::ROWS], |_| true)),
            Flavor::Cgroup => TABLES[1].get_or_init(|| Table::new(&[&cgroup::ROWS], |_| true)),
        }
    }

    fn at(&self, node: Node) -> Result<InodeRef, Errno> {
        let fs = self.this.upgrade().ok_or(err!(ENOENT))?;
        Ok(Arc::new(SysInode { fs, node }))
    }
}

impl SuperBlock for SysFs {
    fn id(&self) -> SbId {
        self.id
    }

    fn fstype(&self) -> &'static str {
        match self.flavor {
            Flavor::Sysfs => "sysfs",
            Flavor::Cgroup => "cgroup2",
        }
    }

    fn source(&self) -> String {
        match self.flavor {
            Flavor::Sysfs => "sysfs".to_owned(),
            Flavor::Cgroup => "cgroup".to_owned(),
        }
    }

    fn root(&self) -> InodeRef {
        // The caller holds it, so it is there.
        let fs = self.this.upgrade().unwrap_or_else(|| SysFs::make(self.id, self.flavor));
        Arc::new(SysInode { fs, node: Node::Row(0) })
    }

    fn inode(&self, ino: Ino) -> Option<InodeRef> {
        let node =
            match usize::try_from(ino.checked_sub(1)?).ok().filter(|&row| self.table().get(row).is_some()) {
                Some(row) => Node::Row(row),
                None => Node::Host(ino, self.hosts.lock().get(&ino)?.clone()),
            };
        self.at(node).ok()
    }

    fn inode_of_host(&self, name: &HostName<'_>) -> Option<InodeRef> {
        match name {
            HostName::Object { dev, ino } => self.inode(self.bodies.inode_of(*dev, *ino)?),
            HostName::Path(path) if self.flavor == Flavor::Sysfs => {
                let path = host::path_inside(std::str::from_utf8(path.strip_prefix(b"/sys/")?).ok()?);
                match self.table().find(path.as_bytes()) {
                    Some(row) => self.at(Node::Row(row)).ok(),
                    None => self.at(host::node(self, &path).ok()?).ok(),
                }
            }
            _ => None,
        }
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        let ftype = match self.flavor {
            Flavor::Sysfs => 0x6265_6572,
            Flavor::Cgroup => 0x6367_7270,
        };
        Ok(StatFs { ftype, bsize: 4096, namelen: 255, ..StatFs::default() })
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
