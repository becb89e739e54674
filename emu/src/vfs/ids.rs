//! Host identity ↔ inode: what a guest's descriptor is of.
//!
//! A descriptor's host name (`/proc/TID/fd/N`) was made by us and says which superblock and inode it is of; guests cannot
//! make such names. memfds are told by their device and inode number instead, because a guest chooses a memfd's name.

use super::mirror::Mirrors;
use super::placeholder::{self, Placeholders};
use super::{HostName, Ino, InodeRef, Path, SbId, SuperBlock};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::platform::fds;
use parking_lot::RwLock;
use std::os::unix::ffi::OsStrExt;
use std::path::Path as HostPath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a descriptor is of.
#[derive(Debug, Clone)]
pub enum OpenFile {
    /// An inode of the guest's file systems, seen through a mount.
    Vfs(Path),
    /// A pipe, socket, eventfd, memfd of the guest's own …: `name` is the host's text (`pipe:[123]`).
    Anonymous { name: Vec<u8> },
}

/// The registry of everything that can be behind a descriptor.
#[derive(Debug)]
pub struct Ids {
    names: Names,
    superblocks: RwLock<Vec<Arc<dyn SuperBlock>>>,
    next_sb: AtomicU32,
    pub placeholders: Placeholders,
    pub mirrors: Mirrors,
}

/// Beginnings of the host names that we make.
#[derive(Debug)]
struct Names {
    /// `<run dir>/p/`
    placeholders: Vec<u8>,
    /// `<container dir>/delta/b/`
    delta: Vec<u8>,
    /// `<store>/layers/`
    layers: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed<'a> {
    Placeholder(SbId, Ino),
    Host(HostName<'a>),
    Memfd,
    Nothing,
}

/// `dir/` as the kernel will say it: links in it resolved where it exists by now.
fn prefix(dir: &HostPath, below: &[u8]) -> Vec<u8> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mut text = dir.as_os_str().as_bytes().to_vec();
    text.extend_from_slice(below);
    text
}

impl Names {
    fn parse<'a>(&self, name: &'a [u8]) -> Parsed<'a> {
        if !name.starts_with(b"/") {
            return Parsed::Nothing;
        }
        let nothing = Parsed::Nothing;
        if let Some(rest) = name.strip_prefix(&self.placeholders[..]) {
            return placeholder::parse(rest).map_or(nothing, |(sb, ino)| Parsed::Placeholder(sb, ino));
        }
        if let Some(rest) = name.strip_prefix(&self.delta[..]) {
            return number(rest).map_or(nothing, |ino| Parsed::Host(HostName::DeltaBody(ino)));
        }
        if let Some(rest) = name.strip_prefix(&self.layers[..]) {
            let Some(slash) = rest.iter().position(|&b| b == b'/') else { return nothing };
            let (layer, body) = rest.split_at(slash);
            let n = body.strip_prefix(b"/b/").and_then(number);
            return n.map_or(nothing, |n| Parsed::Host(HostName::ImageBody { layer, n }));
        }
        if name.starts_with(b"/memfd:") {
            return Parsed::Memfd;
        }
        Parsed::Host(HostName::Path(name))
    }
}

/// Whether a slave was opened by the name of the controlling terminal.
fn is_dev_tty(kernel: &Kernel, tid: i32, fd: i32) -> bool {
    let tgid = kernel.tasks.get(tid).map_or(tid, |task| task.tgid);
    matches!(fds::share(tgid, fd), Ok(Some(slave)) if crate::fs::dev::is_dev_tty(&slave))
}

fn number(text: &[u8]) -> Option<u64> {
    let text = text.strip_suffix(b" (deleted)").unwrap_or(text);
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, b| n * 10 + u64::from(b - b'0')))
}

impl Ids {
    /// `store`, `container_dir` and `run_dir` as in the container's description; they should exist.
    pub fn new(store: &HostPath, container_dir: &HostPath, run_dir: &HostPath) -> Ids {
        let names = Names {
            placeholders: prefix(run_dir, b"/p/"),
            delta: prefix(container_dir, b"/delta/b/"),
            layers: prefix(store, b"/layers/"),
        };
        let run_dir = run_dir.canonicalize().unwrap_or_else(|_| run_dir.to_owned());
        Ids {
            names,
            superblocks: RwLock::new(Vec::new()),
            next_sb: AtomicU32::new(1),
            mirrors: Mirrors::new(&run_dir.join("p")),
            placeholders: Placeholders::new(run_dir.join("p")),
        }
    }

    /// A number for a new superblock.
    pub fn new_sb_id(&self) -> SbId {
        SbId(self.next_sb.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes a superblock known, so that descriptors of its files are recognised. Once for each, at its first mount.
    pub fn register(&self, sb: Arc<dyn SuperBlock>) {
        let mut all = self.superblocks.write();
        if !all.iter().any(|known| known.id() == sb.id()) {
            all.push(sb);
        }
    }

    /// All superblocks, oldest first.
    pub fn superblocks(&self) -> Vec<Arc<dyn SuperBlock>> {
        self.superblocks.read().clone()
    }

    /// The superblock of a number.
    pub fn superblock(&self, id: SbId) -> Option<Arc<dyn SuperBlock>> {
        self.superblocks.read().iter().find(|sb| sb.id() == id).cloned()
    }

    /// See [`OpenFile`]; EBADF when the guest has no such descriptor.
    pub fn open_file(&self, kernel: &Kernel, tid: i32, fd: i32) -> Result<OpenFile, Errno> {
        let name = fds::host_name(tid, fd)?;
        let inode = match self.names.parse(&name) {
            Parsed::Nothing => None,
            Parsed::Placeholder(sb, ino) => {
                self.placeholders.inode(sb, ino).or_else(|| self.superblock(sb)?.inode(ino))
            }
            Parsed::Host(HostName::Path(pts))
                if pts.starts_with(b"/dev/pts/") && is_dev_tty(kernel, tid, fd) =>
            {
                self.ask(&HostName::Path(b"/dev/tty"))
            }
            Parsed::Host(host) => self.ask(&host),
            Parsed::Memfd => {
                let st = fds::host_stat(tid, fd)?;
                self.ask(&HostName::Object { dev: st.st_dev, ino: st.st_ino })
            }
        };
        // Placeholders of what was opened by O_PATH through /proc/PID/fd; where these lead is in the inode itself.
        if let Some(anon) = inode.as_ref().and_then(|i| i.as_any().downcast_ref::<super::anon::AnonInode>()) {
            return Ok(OpenFile::Anonymous { name: anon.name().to_vec() });
        }
        let path = inode.and_then(|inode| {
            let mnt = kernel.mounts.mount_of(inode.sb_id(), &inode)?;
            Some(Path { mnt, inode })
        });
        Ok(path.map_or(OpenFile::Anonymous { name }, OpenFile::Vfs))
    }

    /// Where `/proc/TID/fd/N` leads: like [`open_file`](Self::open_file), with a place outside of the tree for what no file
    /// system knows.
    pub fn place_of(&self, kernel: &Kernel, tid: i32, fd: i32) -> Result<Path, Errno> {
        match self.open_file(kernel, tid, fd)? {
            OpenFile::Vfs(path) => Ok(path),
            OpenFile::Anonymous { name } => super::anon::place(tid, fd, name),
        }
    }

    /// The file behind a mapping, by its name in the host's `/proc/PID/maps` and its device and inode number there. `None`
    /// for what is no file of ours.
    pub fn mapped_file(&self, kernel: &Kernel, name: &[u8], object: (u64, u64)) -> Option<Path> {
        let inode = match self.names.parse(name) {
            Parsed::Host(host) => self.ask(&host)?,
            Parsed::Memfd => self.ask(&HostName::Object { dev: object.0, ino: object.1 })?,
            Parsed::Placeholder(..) | Parsed::Nothing => return None,
        };
        let mnt = kernel.mounts.mount_of(inode.sb_id(), &inode)?;
        Some(Path { mnt, inode })
    }

    /// The inode that a host name is the body of, whichever file system it is of.
    pub fn ask(&self, name: &HostName<'_>) -> Option<InodeRef> {
        self.superblocks.read().iter().find_map(|sb| sb.inode_of_host(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ours_are_told_apart() {
        let names = Names {
            placeholders: b"/run/c/1/p/".to_vec(),
            delta: b"/data/1/delta/b/".to_vec(),
            layers: b"/data/images/layers/".to_vec(),
        };
        assert_eq!(names.parse(b"/run/c/1/p/2-77"), Parsed::Placeholder(SbId(2), 77));
        assert_eq!(names.parse(b"/run/c/1/p/2-77 (deleted)"), Parsed::Placeholder(SbId(2), 77));
        assert_eq!(names.parse(b"/data/1/delta/b/9 (deleted)"), Parsed::Host(HostName::DeltaBody(9)));
        let body = HostName::ImageBody { layer: b"ab01", n: 12 };
        assert_eq!(names.parse(b"/data/images/layers/ab01/b/12"), Parsed::Host(body));
        assert_eq!(names.parse(b"/data/images/layers/ab01/x"), Parsed::Nothing);
        assert_eq!(names.parse(b"/memfd:x (deleted)"), Parsed::Memfd);
        assert_eq!(names.parse(b"pipe:[1]"), Parsed::Nothing);
        assert_eq!(names.parse(b"/dev/null"), Parsed::Host(HostName::Path(b"/dev/null")));
        assert_eq!(number(b"99999999999999999999"), None);
    }
}
