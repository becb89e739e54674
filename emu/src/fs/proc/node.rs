//! Inode numbers of proc, and which file each is of.

use super::subject::Subject;
use super::table::Entry;
use super::view::What;
use super::{ProcFs, number, pid, root};
use crate::err;
use crate::errno::Errno;
use crate::vfs::Ino;

/// Which file.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// A row of `/proc` itself; 0 is the root.
    Root(usize),
    Task(TaskNode),
}

/// A row of a process's directory; row 0 is the directory.
#[derive(Debug, Clone)]
pub(super) struct TaskNode {
    pub(super) subject: Subject,
    pub(super) row: usize,
    /// In `fd` and `fdinfo`: the descriptor.
    pub(super) fd: Option<i32>,
    /// Of a link in `ns`: the namespace that it leads to.
    pub(super) target: bool,
}

/// First inode number of rows of the root, Linux's PROC_DYNAMIC_FIRST.
const FIRST_ROW: Ino = 0xf000_0000;
/// d_off of the first process, Linux's FIRST_PROCESS_ENTRY and a bit.
pub(super) const FIRST_PROCESS: u64 = 1 << 16;

// Inode numbers of files about processes: fields, from the least significant bit.
const FD_BITS: u32 = 28;
const ROW_BITS: u32 = 8;
const TID_BITS: u32 = 22;
const IN_TASK: u64 = 1 << (FD_BITS + ROW_BITS + TID_BITS);
const TARGET: u64 = IN_TASK << 1;
const OF_TASK: u64 = IN_TASK << 2;

fn field(ino: Ino, shift: u32, bits: u32) -> u64 {
    ino >> shift & ((1 << bits) - 1)
}

impl TaskNode {
    pub(super) fn new(subject: Subject, row: usize) -> TaskNode {
        TaskNode { subject, row, fd: None, target: false }
    }

    pub(super) fn entry(&self) -> Result<&'static Entry<What>, Errno> {
        pid::table().get(self.row).ok_or(err!(ENOENT))
    }

    pub(super) fn ino(&self) -> Ino {
        let fd = self.fd.map_or(0, |n| u64::from(n.unsigned_abs()) + 1);
        let mut ino = OF_TASK | fd | (self.row as u64) << FD_BITS;
        ino |= u64::from(self.subject.tid.unsigned_abs()) << (FD_BITS + ROW_BITS);
        if self.subject.in_task {
            ino |= IN_TASK;
        }
        if self.target { ino | TARGET } else { ino }
    }
}

impl Node {
    pub(super) fn ino(&self) -> Ino {
        match self {
            Node::Root(0) => 1,
            Node::Root(row) => FIRST_ROW + *row as Ino,
            Node::Task(node) => node.ino(),
        }
    }

    /// The other way round.
    pub(super) fn from_ino(fs: &ProcFs, ino: Ino) -> Option<Node> {
        if ino == 1 {
            return Some(Node::Root(0));
        }
        if ino & OF_TASK == 0 {
            let row = usize::try_from(ino.checked_sub(FIRST_ROW)?).ok()?;
            return root::table().get(row).map(|_| Node::Root(row));
        }
        let kernel = fs.kernel().ok()?;
        let tid = i32::try_from(field(ino, FD_BITS + ROW_BITS, TID_BITS)).ok()?;
        let mut subject = Subject::find(&kernel, tid).ok()?;
        subject.in_task = ino & IN_TASK != 0;
        let row = usize::try_from(field(ino, FD_BITS, ROW_BITS)).ok()?;
        pid::table().get(row)?;
        let fd = field(ino, 0, FD_BITS).checked_sub(1).and_then(|n| i32::try_from(n).ok());
        Some(Node::Task(TaskNode { subject, row, fd, target: ino & TARGET != 0 }))
    }

    /// By the host's name below `/proc/`, of a file that is handed through.
    pub(super) fn from_host(fs: &ProcFs, path: &[u8]) -> Option<Node> {
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        let (first, rest) = split(path);
        let Ok(tid) = number(first) else { return root::table().find(path).map(Node::Root) };
        let kernel = fs.kernel().ok()?;
        let mut subject = Subject::find(&kernel, tid).ok()?;
        let mut rest = rest;
        if let (b"task", below) = split(rest) {
            let (tid, below) = split(below);
            subject = subject.thread(number(tid).ok()?).ok()?;
            rest = below;
        }
        let row = pid::table().find(rest)?;
        Some(Node::Task(TaskNode::new(subject, row)))
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (path, b""),
    }
}
