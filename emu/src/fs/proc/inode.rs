//! Inodes of proc: a row, and where it is about a process, which, and which of its descriptors.

use super::node::{FIRST_PROCESS, Node, TaskNode};
use super::subject::{Subject, all_processes, numbers_in, threads};
use super::table::{Entry, Guard};
use super::view::{View, What};
use super::{ProcFs, fd, number, pid, root};
use crate::errno::Errno;
use crate::vfs::{
    Attr, CreateKind, DirEntry, Ino, Inode, InodeRef, Kind, OpenRequest, Opened, Path, SbId, SetAttr,
    SuperBlock, caller,
};
use crate::{bail, err};
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A file of `/proc`.
#[derive(Debug)]
pub(super) struct ProcInode {
    pub(super) fs: Arc<ProcFs>,
    pub(super) node: Node,
}

impl ProcInode {
    fn entry(&self) -> Result<&'static Entry<What>, Errno> {
        match &self.node {
            Node::Root(row) => root::table().get(*row).ok_or(err!(ENOENT)),
            Node::Task(node) => node.entry(),
        }
    }

    fn what(&self) -> Result<What, Errno> {
        Ok(self.entry()?.row.map_or(What::Dir, |row| row.what))
    }

    fn guard(&self) -> Guard {
        self.entry().ok().and_then(|e| e.row).map_or(Guard::Nobody, |row| row.guard)
    }

    fn task_node(&self) -> Option<&TaskNode> {
        match &self.node {
            Node::Root(_) => None,
            Node::Task(node) => Some(node),
        }
    }

    fn view(&self, reader: i32) -> Result<View<'_>, Errno> {
        let path = self.entry()?.path;
        let subject = self.task_node().map(|n| &n.subject);
        Ok(View { fs: &self.fs, kernel: self.fs.kernel()?, reader, path, subject })
    }

    /// A view for who may have one. ENOENT for reaped processes, EACCES.
    fn guarded_view(&self, reader: i32) -> Result<View<'_>, Errno> {
        let view = self.view(reader)?;
        if let Some(node) = self.task_node() {
            node.subject.check()?;
            node.subject.may_look(&view.kernel, reader, self.guard())?;
        }
        Ok(view)
    }

    fn sibling(&self, node: TaskNode) -> InodeRef {
        Arc::new(ProcInode { fs: self.fs.clone(), node: Node::Task(node) })
    }

    /// What a link in `ns` leads to.
    fn is_namespace(&self) -> bool {
        self.task_node().is_some_and(|n| n.target)
    }

    fn mode(&self) -> Result<u32, Errno> {
        match self.task_node() {
            Some(node) if node.target => Ok(libc::S_IFREG | 0o444),
            Some(node) if node.fd.is_some() => fd::mode(node),
            _ => Ok(self.entry()?.mode),
        }
    }

    fn is_fd_dir(&self) -> bool {
        matches!(self.task_node(), Some(n) if n.fd.is_none())
            && matches!(self.what(), Ok(What::Fds | What::FdInfos))
    }

    fn attr_with_mode(&self, mode: u32) -> Result<Attr, Errno> {
        // As if an inode were made once and stayed: the same at each look.
        let born = self.task_node().map_or(self.fs.born, |node| node.subject.process.born);
        let mut attr = Attr { ino: self.ino(), mode, nlink: 1, blksize: 1024, ..Attr::default() };
        (attr.atime, attr.mtime, attr.ctime) = (born, born, born);
        match &self.node {
            Node::Root(row) => {
                attr.nlink = root::table().nlink(*row);
            }
            Node::Task(node) => {
                let kernel = self.fs.kernel()?;
                (attr.uid, attr.gid) = node.subject.owner(&kernel, mode);
                if mode & libc::S_IFMT == libc::S_IFDIR {
                    attr.nlink = pid::table().nlink(node.row);
                }
            }
        }
        Ok(attr)
    }

    /// Whether a row is there: processes and threads do not have all the same.
    fn shows(&self, in_task: bool, path: &str) -> bool {
        match &self.node {
            Node::Root(_) => true,
            Node::Task(_) if in_task => !pid::only_of_processes(path),
            Node::Task(_) => !pid::only_of_threads(path),
        }
    }

    /// Children that are rows, after position `pos`.
    fn read_rows(&self, pos: u64, emit: &mut dyn FnMut(DirEntry) -> bool) -> Result<bool, Errno> {
        let (table, in_task) = match &self.node {
            Node::Root(_) => (root::table(), false),
            Node::Task(node) => (pid::table(), node.subject.in_task),
        };
        for (at, &child) in self.entry()?.children.iter().enumerate() {
            let next = at as u64 + 3;
            let Some(entry) = table.get(child) else { continue };
            if next <= pos || !self.shows(in_task, entry.path) {
                continue;
            }
            let node = match &self.node {
                Node::Root(_) => Node::Root(child),
                Node::Task(node) => Node::Task(TaskNode::new(node.subject.clone(), child)),
            };
            let name = entry.name.as_bytes().to_vec();
            if !emit(DirEntry { name, ino: node.ino(), kind: entry.kind(), next }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn open_row(&self, how: &OpenRequest) -> Result<OwnedFd, Errno> {
        let view = self.guarded_view(how.tid)?;
        let writes = how.flags & libc::O_ACCMODE != libc::O_RDONLY;
        let ino = self.ino();
        let what = self.what()?;
        if writes {
            return match what {
                What::HostRw => view.open_host(how.flags),
                What::Sysctl(default) if self.entry()?.mode & 0o200 != 0 => {
                    self.fs.bodies.keep(ino, how.flags, &view.sysctl(default))
                }
                What::Kept(text) => self.fs.bodies.keep(ino, how.flags, text.as_bytes()),
                What::Refused(errno) => Err(Errno::new(errno)),
                _ => bail!(EACCES, "not writable"),
            };
        }
        let text = match what {
            What::Make(make) | What::Edit(make) => make(&view)?,
            What::Text(text) => text.as_bytes().to_vec(),
            What::Host | What::HostRw => {
                return view.open_host(libc::O_RDONLY | how.flags & libc::O_NONBLOCK);
            }
            What::HostOr(make) => match make(&view)? {
                Some(text) => text,
                None => return view.open_host(libc::O_RDONLY),
            },
            What::Net(text) if !view.has_network() => text.as_bytes().to_vec(),
            What::Net(_) => return view.open_host(libc::O_RDONLY),
            What::Sysctl(_) | What::Kept(_) if let Some(fd) = self.fs.bodies.kept(ino) => return Ok(fd),
            What::Sysctl(default) => match view.sysctl_of_spec() {
                Some(text) => text,
                None => match view.open_host(libc::O_RDONLY) {
                    Ok(fd) => return Ok(fd),
                    Err(_) => default.as_bytes().to_vec(),
                },
            },
            What::Kept(text) => text.as_bytes().to_vec(),
            What::Ns(_) => Vec::new(),
            What::Refused(errno) => return Err(Errno::new(errno)),
            What::Dir | What::Fds | What::FdInfos | What::Tasks => bail!(EISDIR),
            What::Target(_) | What::Link(_) | What::Magic(_) => bail!(ELOOP),
        };
        self.fs.bodies.snapshot(ino, &text)
    }
}

impl ProcInode {
    /// What a descriptor of a namespace is called.
    pub(super) fn namespace(&self) -> Option<Vec<u8>> {
        match self.what() {
            Ok(What::Ns(number)) if self.is_namespace() => {
                Some(pid::ns_text(self.entry().ok()?.name, number).into_bytes())
            }
            _ => None,
        }
    }
}

impl Inode for ProcInode {
    fn sb(&self) -> Arc<dyn SuperBlock> {
        self.fs.clone()
    }

    fn sb_id(&self) -> SbId {
        self.fs.id
    }

    fn ino(&self) -> Ino {
        self.node.ino()
    }

    fn kind(&self) -> Kind {
        match self.task_node() {
            Some(node) if node.target => Kind::Regular,
            Some(node) if node.fd.is_some() => fd::kind_of_name(node),
            _ => self.entry().map_or(Kind::Regular, Entry::kind),
        }
    }

    fn attr(&self) -> Result<Attr, Errno> {
        if let Some(node) = self.task_node() {
            node.subject.check()?;
        }
        let mut attr = self.attr_with_mode(self.mode()?)?;
        if let (true, What::Ns(number)) = (self.is_namespace(), self.what()?) {
            attr.ino = u64::from(number);
        }
        if fd::is_link(self) {
            attr.size = 64;
        }
        if let (Node::Root(0), Ok(kernel)) = (&self.node, self.fs.kernel()) {
            attr.nlink += u32::try_from(kernel.tasks.processes().len()).unwrap_or(0);
        }
        Ok(attr)
    }

    fn perm(&self) -> Result<Attr, Errno> {
        if let Some(node) = self.task_node() {
            // proc_fd_permission(): a process may always look at its own.
            if self.is_fd_dir()
                && let Some(reader) = self.fs.kernel()?.tasks.get(caller::tid())
                && reader.tgid == node.subject.process.tgid
            {
                return self.attr_with_mode(libc::S_IFDIR | 0o555);
            }
        }
        let mode = match self.task_node() {
            // No need to ask the host which bits a link has: nobody judges links by them.
            Some(_) if fd::is_link(self) => libc::S_IFLNK | 0o777,
            _ => self.mode()?,
        };
        self.attr_with_mode(mode)
    }

    fn is_immutable(&self) -> bool {
        // As Linux makes the directories of processes and threads.
        self.task_node().is_some_and(|n| n.row == 0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        if self.kind() != Kind::Directory {
            bail!(ENOTDIR);
        }
        match &self.node {
            Node::Root(row) => {
                if let Some(child) = root::table().child(*row, name) {
                    return self.fs.at(Node::Root(child));
                }
                if *row != 0 {
                    bail!(ENOENT);
                }
                let pid = number(name)?;
                let kernel = self.fs.kernel()?;
                let subject = Subject::find(&kernel, kernel.tasks.host_pid(pid))?;
                if kernel.tasks.guest_pid(subject.tid) != pid {
                    bail!(ENOENT, "init goes by 1 alone");
                }
                Ok(self.sibling(TaskNode::new(subject, 0)))
            }
            Node::Task(node) => {
                node.subject.check()?;
                match self.what()? {
                    What::Fds | What::FdInfos => {
                        self.guarded_view(caller::tid())?;
                        let fd = number(name)?;
                        let node = TaskNode { fd: Some(fd), ..node.clone() };
                        fd::mode(&node)?;
                        Ok(self.sibling(node))
                    }
                    What::Tasks => {
                        let kernel = self.fs.kernel()?;
                        let tid = number(name)?;
                        let subject = node.subject.thread(kernel.tasks.host_pid(tid))?;
                        if kernel.tasks.guest_pid(subject.tid) != tid {
                            bail!(ENOENT);
                        }
                        Ok(self.sibling(TaskNode::new(subject, 0)))
                    }
                    _ => {
                        let row = pid::table().child(node.row, name).ok_or(err!(ENOENT))?;
                        let path = pid::table().get(row).map_or("", |e| e.path);
                        if !self.shows(node.subject.in_task, path) {
                            bail!(ENOENT);
                        }
                        Ok(self.sibling(TaskNode::new(node.subject.clone(), row)))
                    }
                }
            }
        }
    }

    fn parent(&self) -> Option<InodeRef> {
        if self.kind() == Kind::Directory { self.alias().map(|(dir, _)| dir) } else { None }
    }

    fn alias(&self) -> Option<(InodeRef, Vec<u8>)> {
        let entry = self.entry().ok()?;
        match &self.node {
            Node::Root(0) => None,
            Node::Root(_) => {
                Some((self.fs.at(Node::Root(entry.parent)).ok()?, entry.name.as_bytes().to_vec()))
            }
            Node::Task(node) if node.target => None,
            Node::Task(node) if node.fd.is_some() => {
                let dir = self.sibling(TaskNode::new(node.subject.clone(), node.row));
                Some((dir, node.fd.unwrap_or(0).to_string().into_bytes()))
            }
            Node::Task(node) if node.row == 0 => {
                let kernel = self.fs.kernel().ok()?;
                let name = kernel.tasks.guest_pid(node.subject.tid).to_string().into_bytes();
                if !node.subject.in_task {
                    return Some((self.fs.at(Node::Root(0)).ok()?, name));
                }
                let process = node.subject.process.clone();
                let leader = Subject { tid: process.tgid, process, in_task: false };
                let row = pid::table().find(b"task")?;
                Some((self.sibling(TaskNode::new(leader, row)), name))
            }
            Node::Task(node) => {
                let dir = self.sibling(TaskNode::new(node.subject.clone(), entry.parent));
                Some((dir, entry.name.as_bytes().to_vec()))
            }
        }
    }

    fn create(&self, _: &[u8], _: CreateKind, _: u32, _: u32, _: u32) -> Result<InodeRef, Errno> {
        // Linux's look-up gives an error for names that are not there, before anybody asks whether to make them.
        bail!(ENOENT)
    }

    fn readdir(&self, pos: u64, emit: &mut dyn FnMut(DirEntry) -> bool) -> Result<(), Errno> {
        if self.kind() != Kind::Directory {
            bail!(ENOTDIR);
        }
        if !self.read_rows(pos, emit)? {
            return Ok(());
        }
        let kernel = match self.fs.kernel() {
            Ok(kernel) => kernel,
            Err(_) => return Ok(()),
        };
        match &self.node {
            Node::Root(0) => {
                for tid in all_processes(&kernel) {
                    let name = kernel.tasks.guest_pid(tid);
                    let next = FIRST_PROCESS + u64::from(name.unsigned_abs());
                    if next <= pos {
                        continue;
                    }
                    let Ok(subject) = Subject::find(&kernel, tid) else { continue };
                    let ino = TaskNode::new(subject, 0).ino();
                    let entry =
                        DirEntry { name: name.to_string().into_bytes(), ino, kind: Kind::Directory, next };
                    if !emit(entry) {
                        break;
                    }
                }
            }
            Node::Root(_) => {}
            Node::Task(node) => {
                node.subject.check()?;
                match self.what()? {
                    What::Fds | What::FdInfos => {
                        self.guarded_view(caller::tid())?;
                        let kind = fd::kind_of_name(node);
                        for fd in numbers_in(&format!("{}/fd", node.subject.host_dir())) {
                            let next = u64::from(fd.unsigned_abs()) + 3;
                            let ino = TaskNode { fd: Some(fd), ..node.clone() }.ino();
                            let name = fd.to_string().into_bytes();
                            if next > pos && !emit(DirEntry { name, ino, kind, next }) {
                                break;
                            }
                        }
                    }
                    What::Tasks => {
                        let mut tids: Vec<(i32, i32)> = threads(node.subject.process.tgid)
                            .into_iter()
                            .map(|tid| (kernel.tasks.guest_pid(tid), tid))
                            .collect();
                        tids.sort_unstable();
                        for (name, tid) in tids {
                            let next = u64::from(name.unsigned_abs()) + 3;
                            let subject = Subject { tid, in_task: true, ..node.subject.clone() };
                            let ino = TaskNode::new(subject, 0).ino();
                            let name = name.to_string().into_bytes();
                            if next > pos && !emit(DirEntry { name, ino, kind: Kind::Directory, next }) {
                                break;
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn readlink(&self) -> Result<Vec<u8>, Errno> {
        let reader = caller::tid();
        if let Some(node) = self.task_node()
            && fd::is_link(self)
        {
            let view = self.guarded_view(reader)?;
            return fd::readlink(&view, node);
        }
        match self.what()? {
            What::Target(text) => Ok(text.as_bytes().to_vec()),
            What::Link(make) => make(&self.view(reader)?),
            What::Magic(place) => {
                let view = self.guarded_view(reader)?;
                Ok(view.text_of(&place(&view)?))
            }
            What::Ns(number) if self.kind() == Kind::Symlink => {
                self.guarded_view(reader)?;
                Ok(pid::ns_text(self.entry()?.name, number).into_bytes())
            }
            _ => bail!(EINVAL),
        }
    }

    fn follow_magic(&self) -> Option<Result<Path, Errno>> {
        let node = self.task_node()?;
        let reader = caller::tid();
        if fd::is_link(self) {
            return Some(self.guarded_view(reader).and_then(|view| fd::follow(&view, node)));
        }
        match self.what().ok()? {
            What::Magic(place) => Some(self.guarded_view(reader).and_then(|view| place(&view))),
            What::Ns(_) if !node.target => Some(self.guarded_view(reader).map(|view| {
                let inode = self.sibling(TaskNode { target: true, ..node.clone() });
                Path { mnt: view.kernel.mounts.root().mnt, inode }
            })),
            _ => None,
        }
    }

    fn setattr(&self, set: &SetAttr) -> Result<(), Errno> {
        // What open(2) with O_TRUNC does to it.
        let only_size = SetAttr { size: None, ..*set } == SetAttr::default();
        if only_size { Ok(()) } else { bail!(EPERM) }
    }

    fn open(&self, how: &OpenRequest) -> Result<Opened, Errno> {
        if let Some(node) = self.task_node().filter(|n| n.fd.is_some()) {
            let view = self.guarded_view(how.tid)?;
            let text = fd::info(&view, node)?;
            return self.fs.bodies.snapshot(self.ino(), &text).map(Opened::Fd);
        }
        self.open_row(how).map(Opened::Fd)
    }

    fn open_body(&self) -> Result<OwnedFd, Errno> {
        self.open_row(&OpenRequest { flags: libc::O_RDONLY, tid: 0 })
    }
}
