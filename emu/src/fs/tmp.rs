//! tmpfs: a tree without an image and without a journal, whose bodies are memfds.
//!
//! The supervisor keeps one memfd for each file that was ever opened and opens it again through `/proc/self/fd` for every
//! open of a guest, so that each has its own file description and access mode. A memfd is known by the host's device and
//! inode number, because its name in `/proc` says nothing that a guest's own memfd could not say too. Where the supervisor
//! may have no more descriptors, bodies are files `<run dir>/p/<sb>-<ino>` instead, which say it.
//!
//! # Size
//! Writing is native, so a limit cannot be enforced at each write (a seal against growing would also forbid growing below
//! the limit). It is looked at when a file is opened for writing or truncated: ENOSPC when all bodies together have
//! reached it. A file that is open can grow past it; statfs(2) shows no room then.

use super::delta::{socket_path, timestamps};
use super::dev::{Devices, node_of_host_path};
use super::tree::lower::Nothing;
use super::tree::node::State;
use super::tree::{Backing, BodyStat, Tree, is_open_elsewhere};
use crate::bail;
use crate::errno::{Errno, host};
use crate::vfs::{HostName, Ino, SbId, StatFs, Timespec};
use parking_lot::{Mutex, RwLock};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::io::Errno as HostErrno;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A file system in memory.
pub type TmpFs = Tree<TmpBacking>;

const TMPFS_MAGIC: i64 = 0x0102_1994;
const BLOCK: u64 = 4096;

/// How long a sum over all bodies is good for.
const SUM_FOR: Duration = Duration::from_millis(50);

/// What a tmpfs is mounted with.
#[derive(Debug, Clone, Copy)]
pub struct TmpOptions {
    /// Bytes; 0 means half of the machine's memory, as Linux has it.
    pub size: u64,
    /// Permission bits of the root.
    pub mode: u32,
}

impl Default for TmpOptions {
    fn default() -> TmpOptions {
        TmpOptions { size: 0, mode: 0o1777 }
    }
}

#[derive(Debug)]
pub struct TmpBacking {
    id: SbId,
    run_dir: PathBuf,
    limit: u64,
    mode: u32,
    /// Whether this is `/dev`, whose nodes the host knows by path.
    is_dev: bool,
    bodies: RwLock<Bodies>,
    used: Mutex<(Instant, u64)>,
    /// The host's devices in `/dev`, by name.
    nodes: RwLock<Vec<(&'static str, Ino)>>,
}

#[derive(Debug, Default)]
struct Bodies {
    by_ino: HashMap<Ino, Arc<OwnedFd>>,
    by_host: HashMap<(u64, u64), Ino>,
}

impl TmpFs {
    /// An empty file system.
    pub fn new(id: SbId, run_dir: &Path, options: TmpOptions, devices: Arc<Devices>) -> Arc<TmpFs> {
        TmpFs::make(id, run_dir, options, devices, false)
    }

    /// For `/dev`, before its nodes are made.
    pub(crate) fn dev(id: SbId, run_dir: &Path, devices: Arc<Devices>) -> Arc<TmpFs> {
        // Docker's: size=65536k,mode=755.
        TmpFs::make(id, run_dir, TmpOptions { size: 64 << 20, mode: 0o755 }, devices, true)
    }

    fn make(
        id: SbId,
        run_dir: &Path,
        options: TmpOptions,
        devices: Arc<Devices>,
        is_dev: bool,
    ) -> Arc<TmpFs> {
        let limit = if options.size == 0 { half_of_memory() } else { options.size };
        let backing = TmpBacking {
            id,
            run_dir: run_dir.to_owned(),
            limit,
            mode: options.mode & 0o7777,
            is_dev,
            bodies: RwLock::new(Bodies::default()),
            used: Mutex::new((Instant::now(), 0)),
            nodes: RwLock::new(Vec::new()),
        };
        Tree::with_state(id, Box::new(Nothing), backing, devices, State::default(), options.mode & 0o7777)
    }
}

fn half_of_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram * u64::from(info.mem_unit) / 2
}

impl TmpBacking {
    /// Says which inode stands for the host's `/dev/<name>`.
    pub(crate) fn add_device(&self, name: &'static str, ino: Ino) {
        self.nodes.write().push((name, ino));
    }

    fn body(&self, ino: Ino) -> Option<Arc<OwnedFd>> {
        self.bodies.read().by_ino.get(&ino).cloned()
    }

    /// Bytes of all bodies, as of a moment ago.
    fn used(&self) -> u64 {
        let mut used = self.used.lock();
        if used.0.elapsed() >= SUM_FOR || used.1 >= self.limit {
            let bodies = self.bodies.read();
            let blocks = |fd: &Arc<OwnedFd>| {
                rustix::fs::fstat(&**fd).map_or(0, |s| u64::try_from(s.st_blocks).unwrap_or(0))
            };
            *used = (Instant::now(), bodies.by_ino.values().map(blocks).sum::<u64>() * 512);
        }
        used.1
    }

    /// Where a body is that is no memfd, and every FIFO. The name says which inode it is.
    fn path_of(&self, ino: Ino) -> PathBuf {
        self.run_dir.join("p").join(format!("{}-{ino}", self.id.0))
    }

    fn check_room(&self) -> Result<(), Errno> {
        if self.used() >= self.limit { bail!(ENOSPC) } else { Ok(()) }
    }

    /// A body as a file, where there are no descriptors for memfds.
    fn create_file(&self, ino: Ino) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::open(self.path_of(ino), flags, Mode::from_raw_mode(0o600)).map(drop).map_err(host)
    }
}

fn memfd() -> Result<OwnedFd, HostErrno> {
    // Bodies may be mapped executable; kernels from 6.3 on want to be told, older ones do not know the flag.
    const MFD_EXEC: MemfdFlags = MemfdFlags::from_bits_retain(0x10);
    match rustix::fs::memfd_create("carrack-tmpfs", MemfdFlags::CLOEXEC | MFD_EXEC) {
        Err(HostErrno::INVAL | HostErrno::ACCESS) => {
            rustix::fs::memfd_create("carrack-tmpfs", MemfdFlags::CLOEXEC)
        }
        other => other,
    }
}

impl Backing for TmpBacking {
    fn fstype(&self) -> &'static str {
        "tmpfs"
    }

    fn options(&self) -> String {
        format!("size={}k,mode={:o}", self.limit / 1024, self.mode)
    }

    fn statfs(&self, inodes: u64) -> Result<StatFs, Errno> {
        let free = self.limit.saturating_sub(self.used()) / BLOCK;
        let files = half_of_memory() / BLOCK;
        Ok(StatFs {
            ftype: TMPFS_MAGIC,
            bsize: BLOCK,
            blocks: self.limit / BLOCK,
            bfree: free,
            bavail: free,
            files,
            ffree: files.saturating_sub(inodes),
            namelen: 255,
        })
    }

    fn create(&self, ino: Ino) -> Result<(), Errno> {
        let fd = match memfd() {
            Ok(fd) => fd,
            Err(HostErrno::MFILE | HostErrno::NFILE | HostErrno::NOSYS | HostErrno::PERM) => {
                return self.create_file(ino);
            }
            Err(e) => return Err(host(e)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(host)?;
        let mut bodies = self.bodies.write();
        bodies.by_ino.insert(ino, Arc::new(fd));
        bodies.by_host.insert((stat.st_dev, stat.st_ino), ino);
        Ok(())
    }

    fn open(&self, ino: Ino, flags: i32) -> Result<OwnedFd, Errno> {
        let writes = flags & libc::O_PATH == 0 && flags & libc::O_ACCMODE != libc::O_RDONLY;
        if writes && flags & libc::O_TRUNC == 0 {
            self.check_room()?;
        }
        let flags = OFlags::from_bits_retain(flags as u32) | OFlags::CLOEXEC;
        match self.body(ino) {
            Some(fd) => {
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                rustix::fs::open(path, flags, Mode::empty()).map_err(host)
            }
            None => rustix::fs::open(self.path_of(ino), flags, Mode::empty()).map_err(host),
        }
    }

    fn stat(&self, ino: Ino) -> Result<BodyStat, Errno> {
        let stat = match self.body(ino) {
            Some(fd) => rustix::fs::fstat(&*fd),
            None => rustix::fs::lstat(self.path_of(ino)),
        };
        stat.map(BodyStat::from).map_err(host)
    }

    fn set_times(&self, ino: Ino, atime: Option<Timespec>, mtime: Option<Timespec>) -> Result<(), Errno> {
        let times = timestamps(atime, mtime);
        match self.body(ino) {
            Some(fd) => rustix::fs::futimens(&*fd, &times).map_err(host),
            None => rustix::fs::futimens(self.open(ino, libc::O_RDONLY)?, &times).map_err(host),
        }
    }

    fn truncate(&self, ino: Ino, size: u64) -> Result<(), Errno> {
        match self.body(ino) {
            Some(fd) => rustix::fs::ftruncate(&*fd, size).map_err(host),
            None => rustix::fs::ftruncate(self.open(ino, libc::O_WRONLY)?, size).map_err(host),
        }
    }

    fn remove(&self, ino: Ino) {
        let mut bodies = self.bodies.write();
        if let Some(fd) = bodies.by_ino.remove(&ino) {
            if let Ok(stat) = rustix::fs::fstat(&*fd) {
                bodies.by_host.remove(&(stat.st_dev, stat.st_ino));
            }
        } else {
            drop(bodies);
            // A file in a memfd's place, a FIFO or a socket.
            let _ = std::fs::remove_file(self.path_of(ino));
            let _ = std::fs::remove_file(self.socket(ino));
        }
    }

    fn in_use(&self, ino: Ino) -> bool {
        // Our own descriptor is open for writing and was not opened by path, so the kernel does not count it.
        self.open(ino, libc::O_RDONLY).is_ok_and(|fd| is_open_elsewhere(&fd))
    }

    fn fifo(&self, ino: Ino) -> Result<PathBuf, Errno> {
        let path = self.path_of(ino);
        let kind = rustix::fs::FileType::Fifo;
        match rustix::fs::mknodat(rustix::fs::CWD, &path, kind, Mode::from_raw_mode(0o600), 0) {
            Ok(()) | Err(HostErrno::EXIST) => Ok(path),
            Err(e) => Err(host(e)),
        }
    }

    fn socket(&self, ino: Ino) -> PathBuf {
        socket_path(&self.run_dir, self.id, ino)
    }

    fn inode_of_host(&self, name: &HostName<'_>) -> Option<Ino> {
        match name {
            HostName::Object { dev, ino } => self.bodies.read().by_host.get(&(*dev, *ino)).copied(),
            HostName::Path(path) if self.is_dev => {
                let name = node_of_host_path(path)?;
                self.nodes.read().iter().find(|(n, _)| *n == name).map(|(_, ino)| *ino)
            }
            _ => None,
        }
    }
}

impl TmpFs {
    /// The inode whose body is the memfd with these numbers on the host.
    pub fn inode_of_memfd(&self, dev: u64, ino: u64) -> Option<Ino> {
        self.backing.inode_of_host(&HostName::Object { dev, ino })
    }
}
