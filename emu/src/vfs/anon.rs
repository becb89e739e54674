//! What a descriptor leads to when no file system of ours knows it: pipes, sockets, terminals of the host, memfds.
//!
//! Such descriptors have no place in the tree, but `/proc/PID/fd/N` links to them, and through that link they can be
//! opened again, looked at and changed directory to (ENOTDIR), like everything else. [`AnonInode`] is that place.

use super::{
    Attr, HostName, Ino, Inode, InodeRef, Kind, Mount, MountFlags, OpenRequest, Opened, Path, SbId, SetAttr,
    StatFs, SuperBlock, Timespec,
};
use crate::bail;
use crate::errno::{Errno, host};
use crate::platform::fds;
use rustix::fs::{Mode, OFlags};
use std::any::Any;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// The number of the file system that is nowhere.
pub const ANON: SbId = SbId(0);

#[derive(Debug)]
struct AnonFs;

/// Something that only a descriptor leads to.
#[derive(Debug)]
pub struct AnonInode {
    /// A thread that held it as descriptor `fd` when this was made.
    tid: i32,
    fd: i32,
    /// Where that thread is ourselves: the descriptor, which is kept open.
    _held: Option<OwnedFd>,
    /// The host's text, e.g. `pipe:[123]`.
    name: Vec<u8>,
    /// The host's device number.
    pub dev: u64,
    attr: Attr,
}

/// The place behind descriptor `fd` of `tid`, whose host name is `name`.
pub fn place(tid: i32, fd: i32, name: Vec<u8>) -> Result<Path, Errno> {
    make(tid, fd, None, name)
}

/// The place behind a descriptor of our own, for as long as it is asked about.
pub fn place_of(held: OwnedFd, name: Vec<u8>) -> Result<Path, Errno> {
    make(rustix::process::getpid().as_raw_nonzero().get(), held.as_raw_fd(), Some(held), name)
}

fn make(tid: i32, fd: i32, held: Option<OwnedFd>, name: Vec<u8>) -> Result<Path, Errno> {
    static NOWHERE: LazyLock<Arc<Mount>> = LazyLock::new(|| Mount::internal(Arc::new(AnonFs)));
    let st = fds::host_stat(tid, fd)?;
    let attr = Attr {
        // Whoever could hold the descriptor may open it again: the host's owners mean nothing here.
        uid: 0,
        gid: 0,
        mode: st.st_mode & (libc::S_IFMT | 0o111) | 0o666,
        ..attr_of_host(&st)
    };
    let inode = Arc::new(AnonInode { tid, fd, _held: held, name, dev: st.st_dev, attr });
    Ok(Path { mnt: NOWHERE.clone(), inode })
}

/// The host's answer in our words; owners are the host's.
pub fn attr_of_host(st: &rustix::fs::Stat) -> Attr {
    let time = |sec: i64, nsec: u64| Timespec { sec, nsec: u32::try_from(nsec).unwrap_or(0) };
    Attr {
        ino: st.st_ino,
        mode: st.st_mode,
        nlink: u32::try_from(st.st_nlink).unwrap_or(u32::MAX),
        uid: st.st_uid,
        gid: st.st_gid,
        rdev: st.st_rdev,
        size: u64::try_from(st.st_size).unwrap_or(0),
        blocks: u64::try_from(st.st_blocks).unwrap_or(0),
        blksize: u32::try_from(st.st_blksize).unwrap_or(4096),
        atime: time(st.st_atime, st.st_atime_nsec),
        mtime: time(st.st_mtime, st.st_mtime_nsec),
        ctime: time(st.st_ctime, st.st_ctime_nsec),
        btime: None,
    }
}

/// Whether the host's text behind a descriptor is that of a memfd.
pub fn is_memfd(name: &[u8]) -> bool {
    name.starts_with(b"/memfd:")
}

impl AnonInode {
    /// As `/proc/PID/fd/N` shows it.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}

impl Inode for AnonInode {
    fn sb(&self) -> Arc<dyn SuperBlock> {
        Arc::new(AnonFs)
    }

    fn sb_id(&self) -> SbId {
        ANON
    }

    fn ino(&self) -> Ino {
        self.attr.ino
    }

    fn kind(&self) -> Kind {
        self.attr.kind()
    }

    fn attr(&self) -> Result<Attr, Errno> {
        Ok(self.attr)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    /// A second description of the same object, as opening the magic link gives on the host. A file of the host's (the
    /// supervisor's own standard input, say) is opened for no more than the descriptor was. ENXIO for sockets and all that
    /// cannot be opened.
    fn open(&self, how: &OpenRequest) -> Result<Opened, Errno> {
        const KEPT: i32 = libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK | libc::O_TRUNC | libc::O_PATH;
        if matches!(self.kind(), Kind::Socket | Kind::Directory | Kind::Symlink) {
            bail!(ENXIO);
        }
        let flags = (how.flags & KEPT) | libc::O_NOCTTY;
        if self.name.starts_with(b"/") && !is_memfd(&self.name) {
            let held = fds::host_flags(self.tid, self.fd)? & libc::O_ACCMODE;
            let wanted = flags & libc::O_ACCMODE;
            if held != libc::O_RDWR
                && (wanted != held || flags & libc::O_TRUNC != 0 && held == libc::O_RDONLY)
            {
                bail!(EACCES, "more than the descriptor was opened for");
            }
        }
        let path = self.host_path();
        let waits = self.kind() == Kind::Fifo
            && flags & (libc::O_NONBLOCK | libc::O_PATH) == 0
            && flags & libc::O_ACCMODE != libc::O_RDWR;
        if waits {
            return Ok(Opened::Blocking(path, flags));
        }
        let flags = OFlags::from_bits_retain(flags as u32) | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map(Opened::Fd).map_err(host)
    }

    fn open_body(&self) -> Result<OwnedFd, Errno> {
        self.body()
    }

    /// Length and permission bits of a memfd, which are the host's; nothing of anything else.
    fn setattr(&self, set: &SetAttr) -> Result<(), Errno> {
        if !self.is_memfd() || set.uid.is_some() || set.gid.is_some() {
            bail!(EPERM);
        }
        let path = self.host_path();
        if let Some(mode) = set.mode {
            rustix::fs::chmod(&path, Mode::from_raw_mode(mode)).map_err(host)?;
        }
        if let Some(size) = set.size {
            let body =
                rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(host)?;
            rustix::fs::ftruncate(body, size).map_err(host)?;
        }
        Ok(())
    }
}

impl AnonInode {
    fn body(&self) -> Result<OwnedFd, Errno> {
        // A program in a memfd. Files of the host's are no programs for a guest.
        if !self.is_memfd() {
            bail!(EACCES);
        }
        rustix::fs::open(self.host_path(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(host)
    }

    fn host_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", self.tid, self.fd))
    }

    fn is_memfd(&self) -> bool {
        self.kind() == Kind::Regular && is_memfd(&self.name)
    }
}

impl SuperBlock for AnonFs {
    fn id(&self) -> SbId {
        ANON
    }

    fn fstype(&self) -> &'static str {
        "anon_inodefs"
    }

    fn root(&self) -> InodeRef {
        let attr = Attr { mode: libc::S_IFDIR, nlink: 1, ..Attr::default() };
        Arc::new(AnonInode { tid: 0, fd: -1, _held: None, name: Vec::new(), dev: 0, attr })
    }

    fn inode(&self, _ino: Ino) -> Option<InodeRef> {
        None
    }

    fn inode_of_host(&self, _name: &HostName<'_>) -> Option<InodeRef> {
        None
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        Ok(StatFs { ftype: 0x0904_1934, bsize: 4096, namelen: 255, ..StatFs::default() })
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

impl Mount {
    /// A mount that is in no tree.
    fn internal(sb: Arc<dyn SuperBlock>) -> Arc<Mount> {
        let root = sb.root();
        let mnt = Mount::new(0, sb, root, None, MountFlags::empty(), String::new());
        mnt.set_detached();
        mnt
    }
}
