//! Placeholders: what the guest holds on the host when it has opened something without a body there.
//!
//! An open directory is a descriptor of a real, empty host directory `<run dir>/p/<sb>-<ino>`, made on first open: read
//! gives EISDIR, dup, flock and the file position are native, and the descriptor's name says which inode it is of. O_PATH
//! descriptors of everything else are of an empty regular file `<sb>-<ino>.o`. (Bare names of this form may also be FIFOs and
//! regular files, which file systems in memory keep here as bodies.)
//!
//! A placeholder keeps its inode alive, because nobody else knows that a guest still has it open. Nobody tells when it is
//! closed either, so every now and then the descriptors of all tasks are looked through, and what was not found open, nor
//! opened lately, is let go.

use super::{Ino, InodeRef, Kind, SbId};
use crate::err;
use crate::errno::Errno;
use crate::kernel::Kernel;
use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path as HostPath, PathBuf};

/// So many placeholders are kept before the first look through the descriptors of tasks.
const FEW: usize = 4096;

/// The placeholders of one container.
#[derive(Debug)]
pub struct Placeholders {
    dir: PathBuf,
    live: Mutex<Live>,
}

#[derive(Debug, Default)]
struct Live {
    inodes: HashMap<(SbId, Ino), Entry>,
    /// Number of the look-through after this one was opened last.
    round: u64,
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    inode: InodeRef,
    round: u64,
}

impl Placeholders {
    /// Placeholders in `dir`, which is made when the first one is.
    pub fn new(dir: PathBuf) -> Placeholders {
        Placeholders { dir, live: Mutex::new(Live { limit: FEW, ..Live::default() }) }
    }

    /// Where they are.
    pub fn dir(&self) -> &HostPath {
        &self.dir
    }

    /// A descriptor for the guest. `flags` are its open(2) flags; of these, what means something for a placeholder is
    /// kept. Errors of the host's own tables: EMFILE, ENFILE, ENOMEM.
    pub fn open(&self, kernel: &Kernel, inode: &InodeRef, flags: i32) -> Result<OwnedFd, Errno> {
        const KEPT: i32 = libc::O_DIRECTORY
            | libc::O_PATH
            | libc::O_NOFOLLOW
            | libc::O_NONBLOCK
            | libc::O_APPEND
            | libc::O_LARGEFILE
            | libc::O_NOATIME
            | libc::O_SYNC;
        let is_dir = inode.kind() == Kind::Directory;
        let path = self.path_of(inode.sb_id(), inode.ino(), is_dir);
        let how = OFlags::from_bits_retain((flags & KEPT) as u32) | OFlags::CLOEXEC;
        if is_dir && self.inode(inode.sb_id(), inode.ino()).is_none() {
            self.make(&path, true)?;
        }
        let fd = match rustix::fs::open(&path, how, Mode::empty()) {
            Ok(fd) if self.fits(&fd, is_dir) => fd,
            Err(e) if !matches!(e, rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {
                return Err(of_host(e));
            }
            _ => {
                self.make(&path, is_dir)?;
                rustix::fs::open(&path, how, Mode::empty()).map_err(of_host)?
            }
        };
        self.remember(kernel, inode);
        Ok(fd)
    }

    /// The host path of the placeholder of `inode`, made when it was not there.
    pub fn ensure(&self, kernel: &Kernel, inode: &InodeRef) -> Result<PathBuf, Errno> {
        let is_dir = inode.kind() == Kind::Directory;
        let path = self.path_of(inode.sb_id(), inode.ino(), is_dir);
        if rustix::fs::lstat(&path).is_err() {
            self.make(&path, is_dir)?;
        }
        self.remember(kernel, inode);
        Ok(path)
    }

    /// The inode of a placeholder that was opened and not let go since.
    pub fn inode(&self, sb: SbId, ino: Ino) -> Option<InodeRef> {
        self.live.lock().inodes.get(&(sb, ino)).map(|e| e.inode.clone())
    }

    /// The guest removed this directory: its number may be given out again, so its placeholder loses its name. Who has
    /// it open keeps it, and finds the inode here.
    pub fn removed(&self, sb: SbId, ino: Ino) {
        if self.live.lock().inodes.contains_key(&(sb, ino)) {
            let _ = rustix::fs::unlinkat(CWD, self.path_of(sb, ino, true), AtFlags::REMOVEDIR);
        }
    }

    fn path_of(&self, sb: SbId, ino: Ino, is_dir: bool) -> PathBuf {
        let kind = if is_dir { "" } else { ".o" };
        self.dir.join(format!("{}-{ino}{kind}", sb.0))
    }

    /// Numbers may come again with another type.
    fn fits(&self, fd: &OwnedFd, is_dir: bool) -> bool {
        !is_dir || rustix::fs::fstat(fd).is_ok_and(|st| Kind::from_mode(st.st_mode) == Some(Kind::Directory))
    }

    fn make(&self, path: &HostPath, is_dir: bool) -> Result<(), Errno> {
        for _ in 0..3 {
            let made = if is_dir {
                rustix::fs::mkdir(path, Mode::RWXU)
            } else {
                let how = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                rustix::fs::open(path, how, Mode::RUSR | Mode::WUSR).map(drop)
            };
            match made {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::EXIST) => {
                    let st = rustix::fs::lstat(path).map_err(of_host)?;
                    if (Kind::from_mode(st.st_mode) == Some(Kind::Directory)) == is_dir {
                        return Ok(());
                    }
                    let how = if is_dir { AtFlags::empty() } else { AtFlags::REMOVEDIR };
                    let _ = rustix::fs::unlinkat(CWD, path, how);
                }
                Err(rustix::io::Errno::NOENT) => {
                    std::fs::create_dir_all(&self.dir)
                        .map_err(|_| err!(ENFILE, "no place for placeholders"))?;
                }
                Err(e) => return Err(of_host(e)),
            }
        }
        Err(err!(ENFILE, "a placeholder cannot be made"))
    }

    fn remember(&self, kernel: &Kernel, inode: &InodeRef) {
        let mut live = self.live.lock();
        let round = live.round;
        live.inodes.insert((inode.sb_id(), inode.ino()), Entry { inode: inode.clone(), round });
        if live.inodes.len() <= live.limit {
            return;
        }
        // Others may open meanwhile: what they open carries the new round and stays.
        live.round += 1;
        live.limit = usize::MAX;
        drop(live);
        let held = self.held_by_tasks(kernel);
        let mut live = self.live.lock();
        let mut gone = Vec::new();
        live.inodes.retain(|key, entry| {
            let stays = entry.round >= round || held.contains(key) || kernel.ids.mirrors.is_watched(*key);
            if !stays {
                gone.push((*key, entry.inode.clone()));
            }
            stays
        });
        live.limit = FEW.max(live.inodes.len() * 2);
        for ((sb, ino), inode) in &gone {
            let is_dir = inode.kind() == Kind::Directory;
            let how = if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            let _ = rustix::fs::unlinkat(CWD, self.path_of(*sb, *ino, is_dir), how);
        }
        drop(live);
        // Inodes are dropped without the lock: that may run a file system's own clean-up.
        drop(gone);
    }

    fn held_by_tasks(&self, kernel: &Kernel) -> HashSet<(SbId, Ino)> {
        let mut held = HashSet::new();
        let mut seen = HashSet::new();
        let prefix = self.dir.as_os_str().as_bytes();
        for task in kernel.tasks.all() {
            if !seen.insert(task.tgid) {
                continue;
            }
            let Ok(fds) = std::fs::read_dir(format!("/proc/{}/fd", task.tgid)) else { continue };
            for fd in fds.flatten() {
                let Ok(name) = std::fs::read_link(fd.path()) else { continue };
                let name = name.as_os_str().as_bytes();
                if let Some(rest) = name.strip_prefix(prefix).and_then(|r| r.strip_prefix(b"/"))
                    && let Some(key) = parse(rest)
                {
                    held.insert(key);
                }
            }
        }
        held
    }
}

/// `<sb>-<ino>`, and what the host says after the name of a removed file.
pub(super) fn parse(name: &[u8]) -> Option<(SbId, Ino)> {
    let text = std::str::from_utf8(name.strip_suffix(b" (deleted)").unwrap_or(name)).ok()?;
    let (sb, ino) = text.strip_suffix(".o").unwrap_or(text).split_once('-')?;
    Some((SbId(sb.parse().ok()?), ino.parse().ok()?))
}

/// The host ran out of something of its own; nothing about the guest's file is wrong.
fn of_host(e: rustix::io::Errno) -> Errno {
    match e {
        rustix::io::Errno::MFILE | rustix::io::Errno::NFILE => {
            err!(ENFILE, "the supervisor has no descriptors left")
        }
        rustix::io::Errno::NOMEM | rustix::io::Errno::NOSPC => err!(ENOMEM, "no room for placeholders"),
        _ => err!(ENFILE, "a placeholder cannot be opened"),
    }
}
