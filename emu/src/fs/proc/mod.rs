//! proc(5): the container's tasks, mounts and limits, in the files that Linux shows them in.
//!
//! Every file is one row of a table: [`root`] has those of `/proc` itself, [`sysctl`] those of `/proc/sys`, [`pid`] those
//! of a process, [`net`] those of its network. A row says how the file comes about:
//!
//! - *made*: a function writes the text at open, into a memfd ([`body`]); reading again needs opening again.
//! - *handed through*: the descriptor is of the host's file of the same name, where that is about the task itself or about
//!   the machine, and names nothing else. It stays live.
//!
//! Inode numbers say which row, process and descriptor an inode is of, so nothing is kept for an inode: whoever has the
//! number, or the host's name for a file handed through, has the inode.

pub(crate) mod body;
mod fd;
mod inode;
mod maps;
mod meminfo;
mod mounts;
mod net;
mod node;
mod pid;
mod root;
mod status;
mod subject;
mod sysctl;
pub(crate) mod table;
mod view;

use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::vfs::{HostName, Ino, InodeRef, SbId, StatFs, SuperBlock, Timespec};
use crate::{bail, err};
use body::Bodies;
use inode::ProcInode;
use node::Node;
use std::sync::{Arc, OnceLock, Weak};

pub(crate) use meminfo::used as memory_used;
pub(crate) use subject::{all_processes as processes, threads};

const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// The file system mounted at `/proc`.
#[derive(Debug)]
pub struct ProcFs {
    id: SbId,
    this: Weak<ProcFs>,
    kernel: OnceLock<Weak<Kernel>>,
    bodies: Bodies,
    born: Timespec,
    /// What `/proc/sys/kernel/random/boot_id` says.
    boot_id: String,
}

impl ProcFs {
    /// Without a kernel it has only what needs none; see [`attach`](Self::attach).
    pub fn new(id: SbId) -> Arc<ProcFs> {
        let mut uuid: [u8; 16] = rand::random();
        uuid[6] = uuid[6] & 0x0f | 0x40;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        let hex: String = uuid.iter().map(|b| format!("{b:02x}")).collect();
        let boot_id =
            format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        Arc::new_cyclic(|this| ProcFs {
            id,
            this: this.clone(),
            kernel: OnceLock::new(),
            bodies: Bodies::default(),
            born: super::now(),
            boot_id,
        })
    }

    /// Says whose tasks and mounts to show. Once, before init starts.
    pub fn attach(&self, kernel: &Arc<Kernel>) {
        let _ = self.kernel.set(Arc::downgrade(kernel));
    }

    fn kernel(&self) -> Result<Arc<Kernel>, Errno> {
        self.kernel.get().and_then(Weak::upgrade).ok_or(err!(ENOENT, "proc has no kernel yet"))
    }

    fn this(&self) -> Result<Arc<ProcFs>, Errno> {
        self.this.upgrade().ok_or(err!(ENOENT))
    }

    fn at(&self, node: Node) -> Result<InodeRef, Errno> {
        Ok(Arc::new(ProcInode { fs: self.this()?, node }))
    }
}

impl SuperBlock for ProcFs {
    fn id(&self) -> SbId {
        self.id
    }

    fn fstype(&self) -> &'static str {
        "proc"
    }

    fn root(&self) -> InodeRef {
        // The caller holds it, so it is there.
        let fs = self.this.upgrade().unwrap_or_else(|| ProcFs::new(self.id));
        Arc::new(ProcInode { fs, node: Node::Root(0) })
    }

    fn inode(&self, ino: Ino) -> Option<InodeRef> {
        let node = Node::from_ino(self, ino)?;
        self.at(node).ok()
    }

    fn inode_of_host(&self, name: &HostName<'_>) -> Option<InodeRef> {
        match name {
            HostName::Object { dev, ino } => self.inode(self.bodies.inode_of(*dev, *ino)?),
            HostName::Path(path) => {
                let node = Node::from_host(self, path.strip_prefix(b"/proc/")?)?;
                self.at(node).ok()
            }
            _ => None,
        }
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        Ok(StatFs { ftype: PROC_SUPER_MAGIC, bsize: 4096, namelen: 255, ..StatFs::default() })
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

/// Digits of a pid or descriptor, as Linux's name_to_int() takes them: no sign, no leading zero.
fn number(name: &[u8]) -> Result<i32, Errno> {
    let plain = !name.is_empty() && name.len() <= 9 && name.iter().all(u8::is_ascii_digit);
    if !plain || (name.len() > 1 && name[0] == b'0') {
        bail!(ENOENT);
    }
    Ok(name.iter().fold(0, |n, b| n * 10 + i32::from(b - b'0')))
}

#[cfg(test)]
mod tests;
