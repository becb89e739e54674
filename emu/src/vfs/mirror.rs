//! Mirrors: what makes inotify(7) see what happens in the guest's directories.
//!
//! An inotify of a guest is the host's. A guest's directory that is watched is, on the host, its placeholder
//! ([`super::placeholder`]); from the first watch on, that is kept a *mirror* of the guest's names: an empty file or
//! directory for each. Whatever the supervisor does to names of the directory it repeats in the mirror, so that the events,
//! their cookies and their order are the kernel's own.
//!
//! Reading, writing and closing files is native and happens to bodies elsewhere. When a file is opened through a mirrored
//! directory, its stand-in is opened in the same mode and held, and the body is watched by an inotify of our own; writing
//! to the body is repeated as writing to the stand-in, closing as closing. That queue is emptied before anything else is
//! repeated, which keeps the order of what one task does.
//!
//! Not repeated: IN_ACCESS, IN_MOVE_SELF, and opening what is not a regular file.
//!
//! # Locking
//! One lock for all mirrors. Under it only host calls on the run directory are made, never a call of a file system.

use super::{Ino, InodeRef, Kind, SbId};
use crate::bail;
use crate::errno::Errno;
use crate::kernel::Kernel;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path as HostPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most stand-ins held open; further opens are repeated as opening and closing at once.
const MAX_HELD: usize = 1024;
/// The most names in all mirrors together: they are files of the host's. Watching more gives ENOSPC.
const MAX_NAMES: usize = 200_000;

/// The mirrors of one container.
#[derive(Debug)]
pub struct Mirrors {
    /// Whether any directory or file was ever watched.
    any: AtomicBool,
    state: Mutex<State>,
    /// Where things are before they appear in a mirror, and after they have left it.
    aside: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    dirs: HashMap<(SbId, Ino), PathBuf>,
    bodies: Option<Bodies>,
    serial: u64,
    /// Names ever made in mirrors that are still there, or a few more.
    names: usize,
}

#[derive(Debug)]
struct Bodies {
    inotify: Arc<OwnedFd>,
    /// By watch of `inotify`.
    held: HashMap<i32, Vec<StandIn>>,
    count: usize,
}

#[derive(Debug)]
struct StandIn {
    fd: OwnedFd,
    writes: bool,
}

fn child(dir: &HostPath, name: &[u8]) -> PathBuf {
    dir.join(OsStr::from_bytes(name))
}

fn make(path: &HostPath, is_dir: bool) {
    let _ = if is_dir {
        rustix::fs::mkdir(path, Mode::RWXU)
    } else {
        rustix::fs::mknodat(CWD, path, rustix::fs::FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0)
    };
}

fn remove(path: &HostPath) {
    if rustix::fs::unlinkat(CWD, path, AtFlags::empty()).is_err() {
        let _ = rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR);
    }
}

impl Mirrors {
    /// `placeholders`: the directory of placeholders.
    pub(super) fn new(placeholders: &HostPath) -> Mirrors {
        let aside = placeholders.join(".aside");
        Mirrors { any: AtomicBool::new(false), state: Mutex::default(), aside }
    }

    /// Whether anything is watched. While not, nothing needs to be told to this.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Something that is not a directory is watched: its attributes and contents will have to be told.
    pub fn watch_file(&self) {
        self.any.store(true, Ordering::Relaxed);
    }

    /// Makes `dir` mirrored; the host directory to watch.
    pub fn watch(&self, kernel: &Arc<Kernel>, dir: &InodeRef) -> Result<PathBuf, Errno> {
        let path = kernel.ids.placeholders.ensure(kernel, dir)?;
        let key = (dir.sb_id(), dir.ino());
        self.any.store(true, Ordering::Relaxed);
        let room = {
            let state = self.state.lock();
            if state.dirs.contains_key(&key) {
                return Ok(path);
            }
            MAX_NAMES.saturating_sub(state.names)
        };
        let mut names = Vec::new();
        dir.readdir(0, &mut |entry| {
            names.push((entry.name, entry.kind == Kind::Directory));
            names.len() <= room
        })?;
        if names.len() > room {
            bail!(ENOSPC, "too many names to watch");
        }
        let _ = std::fs::create_dir_all(&self.aside);
        let mut state = self.state.lock();
        if state.bodies.is_none() {
            state.bodies = start(kernel);
        }
        state.names += names.len();
        for (name, is_dir) in names {
            make(&child(&path, &name), is_dir);
        }
        state.dirs.insert(key, path.clone());
        Ok(path)
    }

    /// Whether a directory has a mirror.
    pub(super) fn is_watched(&self, key: (SbId, Ino)) -> bool {
        self.any() && self.state.lock().dirs.contains_key(&key)
    }

    /// A name was made in `dir`.
    pub fn created(&self, dir: &InodeRef, name: &[u8], kind: Kind) {
        self.repeat(dir, |state, at| {
            if state.names < MAX_NAMES {
                state.names += 1;
                make(&child(at, name), kind == Kind::Directory);
            }
        });
    }

    /// A name was taken from `dir`.
    pub fn removed(&self, dir: &InodeRef, name: &[u8]) {
        self.repeat(dir, |state, at| {
            state.names = state.names.saturating_sub(1);
            remove(&child(at, name));
        });
    }

    /// A directory is gone for good.
    pub fn forget(&self, sb: SbId, ino: Ino) {
        if !self.any() {
            return;
        }
        let Some(path) = self.state.lock().dirs.remove(&(sb, ino)) else { return };
        // It is empty in the guest; what is left here was missed, and would keep the placeholder from being removed.
        if let Ok(left) = std::fs::read_dir(path) {
            left.flatten().for_each(|entry| remove(&entry.path()));
        }
    }

    /// A name moved.
    pub fn renamed(&self, from: (&InodeRef, &[u8]), to: (&InodeRef, &[u8]), kinds: (Kind, Option<Kind>)) {
        if !self.any() {
            return;
        }
        let mut state = self.state.lock();
        let place = |state: &State, (dir, name): (&InodeRef, &[u8])| {
            state.dirs.get(&(dir.sb_id(), dir.ino())).map(|at| child(at, name))
        };
        let (old, new) = (place(&state, from), place(&state, to));
        if old.is_none() && new.is_none() {
            return;
        }
        state.drain();
        let (kind, exchanged) = kinds;
        let one_way = |state: &mut State, old: Option<&PathBuf>, new: Option<&PathBuf>, kind: Kind| {
            state.serial += 1;
            let aside = self.aside.join(state.serial.to_string());
            match (old, new) {
                (Some(old), Some(new)) => {
                    let _ = rustix::fs::rename(old, new);
                }
                (Some(old), None) => {
                    let _ = rustix::fs::rename(old, &aside);
                    remove(&aside);
                }
                (None, Some(new)) => {
                    make(&aside, kind == Kind::Directory);
                    let _ = rustix::fs::rename(&aside, new);
                }
                (None, None) => {}
            }
        };
        match (exchanged, &old, &new) {
            (Some(_), Some(old), Some(new)) => {
                let _ = rustix::fs::renameat_with(CWD, old, CWD, new, RenameFlags::EXCHANGE);
            }
            (Some(other), ..) => {
                one_way(&mut state, old.as_ref(), None, kind);
                one_way(&mut state, None, old.as_ref(), other);
                one_way(&mut state, new.as_ref(), None, other);
                one_way(&mut state, None, new.as_ref(), kind);
            }
            (None, ..) => one_way(&mut state, old.as_ref(), new.as_ref(), kind),
        }
    }

    /// Attributes of an inode changed: said in its directory, at a mirror of itself, and at a watched body.
    pub fn attributes(&self, inode: &InodeRef) {
        if !self.any() {
            return;
        }
        let touch = |path: &HostPath, is_dir: bool| {
            let mode = if is_dir { Mode::RWXU } else { Mode::RUSR | Mode::WUSR };
            let _ = rustix::fs::chmod(path, mode);
        };
        let is_dir = inode.kind() == Kind::Directory;
        if let Some((dir, name)) = inode.alias() {
            self.repeat(&dir, |_, at| touch(&child(at, &name), is_dir));
        }
        self.self_attributes(inode);
    }

    /// The same, for those alone who watch the inode itself: one of its names was removed.
    pub fn self_attributes(&self, inode: &InodeRef) {
        if !self.any() {
            return;
        }
        match inode.kind() {
            Kind::Directory => self.repeat(inode, |_, at| {
                let _ = rustix::fs::chmod(at, Mode::RWXU);
            }),
            Kind::Regular => {
                if let Ok(body) = inode.open_body()
                    && let Ok(st) = rustix::fs::fstat(&body)
                {
                    let _ = rustix::fs::fchmod(&body, Mode::from_raw_mode(st.st_mode & 0o7777));
                }
            }
            _ => {}
        }
    }

    /// A file was truncated by name.
    pub fn modified(&self, inode: &InodeRef) {
        if !self.any() {
            return;
        }
        if let Some((dir, name)) = inode.alias() {
            self.repeat(&dir, |_, at| modify(&child(at, &name)));
        }
    }

    /// A regular file was opened through `dir`; `body` is the guest's description.
    pub fn opened(&self, dir: &InodeRef, name: &[u8], body: &OwnedFd, flags: i32) {
        self.repeat(dir, |state, at| {
            let path = child(at, name);
            if flags & libc::O_TRUNC != 0 {
                modify(&path);
            }
            let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
            let mode = if writes { OFlags::RDWR } else { OFlags::RDONLY };
            let Ok(fd) = rustix::fs::open(&path, mode | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
            else {
                return;
            };
            let Some(bodies) = state.bodies.as_mut().filter(|b| b.count < MAX_HELD) else { return };
            let seen = WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
            let path = format!("/proc/self/fd/{}", body.as_raw_fd());
            if let Ok(wd) = inotify::add_watch(&*bodies.inotify, path, seen) {
                bodies.held.entry(wd).or_default().push(StandIn { fd, writes });
                bodies.count += 1;
            }
        });
    }

    /// Does something to the mirror of `dir`, if it has one.
    fn repeat(&self, dir: &InodeRef, what: impl FnOnce(&mut State, &HostPath)) {
        if !self.any() {
            return;
        }
        let mut state = self.state.lock();
        let Some(path) = state.dirs.get(&(dir.sb_id(), dir.ino())).cloned() else { return };
        state.drain();
        what(&mut state, &path);
    }
}

/// One IN_MODIFY and nothing else.
fn modify(path: &HostPath) {
    if let Ok(st) = rustix::fs::lstat(path) {
        let path = path.to_owned();
        let _ = nix::unistd::truncate(&path, i64::from(st.st_size == 0));
    }
}

/// Our own inotify, and the thread that looks at it while no handler does.
fn start(kernel: &Arc<Kernel>) -> Option<Bodies> {
    let inotify = Arc::new(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?);
    let (mine, weak) = (inotify.clone(), Arc::downgrade(kernel));
    let watch = move || {
        loop {
            let mut fds = [PollFd::from_borrowed_fd(mine.as_fd(), PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            let Some(kernel) = weak.upgrade() else { return };
            kernel.ids.mirrors.state.lock().drain();
        }
    };
    std::thread::Builder::new().name("mirror".into()).stack_size(128 << 10).spawn(watch).ok()?;
    Some(Bodies { inotify, held: HashMap::new(), count: 0 })
}

impl State {
    /// Repeats what was done to bodies since the last time.
    fn drain(&mut self) {
        let Some(bodies) = &mut self.bodies else { return };
        let inotify = bodies.inotify.clone();
        let mut buf = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&*inotify, &mut buf);
        while let Ok(event) = reader.next() {
            let seen = event.events();
            if seen.contains(ReadFlags::QUEUE_OVERFLOW) {
                bodies.held.clear();
                bodies.count = 0;
                continue;
            }
            bodies.repeat(event.wd(), seen);
        }
    }
}

impl Bodies {
    fn repeat(&mut self, wd: i32, seen: ReadFlags) {
        let Some(held) = self.held.get_mut(&wd) else { return };
        if seen.contains(ReadFlags::MODIFY)
            && let Some(s) = held.iter().find(|s| s.writes)
        {
            let _ = rustix::io::pwrite(&s.fd, b"x", 0);
        }
        let closed = if seen.contains(ReadFlags::CLOSE_WRITE) {
            held.iter().position(|s| s.writes)
        } else if seen.contains(ReadFlags::CLOSE_NOWRITE) {
            held.iter().position(|s| !s.writes)
        } else {
            None
        };
        if let Some(at) = closed {
            held.remove(at);
            self.count -= 1;
        }
        if held.is_empty() || seen.contains(ReadFlags::IGNORED) {
            self.count -= self.held.remove(&wd).map_or(0, |rest| rest.len());
            let _ = inotify::remove_watch(&*self.inotify, wd);
        }
    }
}
