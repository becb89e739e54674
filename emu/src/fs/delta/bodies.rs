//! The host's side of a container's writable layer: bodies and FIFOs in `delta/b`, image bodies in the store.

use super::journal::Journal;
use crate::errno::{Errno, host, host_io};
use crate::fs::tree::record::Sink;
use crate::fs::tree::{Backing, BodyStat, ImageBody, is_open_elsewhere};
use crate::vfs::{HostName, Ino, SbId, StatFs, Timespec};
use crate::{bail, err};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timestamps};
use rustix::io::Errno as HostErrno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What overlayfs calls itself: programs look for it, and the layers here do what its do.
const OVERLAYFS_SUPER_MAGIC: i64 = 0x794c_7630;

/// Where an image's bodies are.
#[derive(Debug, Default, Clone)]
pub struct ImageBodies {
    /// `<store>/layers/<hex>/b` of each layer of the index, in its order.
    pub layer_dirs: Vec<PathBuf>,
}

#[derive(Debug)]
pub struct DeltaBacking {
    /// `<container>/delta/b`.
    dir: OwnedFd,
    path: PathBuf,
    run_dir: PathBuf,
    id: SbId,
    layers: Vec<OwnedFd>,
    journal: Journal,
}

impl DeltaBacking {
    pub(super) fn new(
        id: SbId,
        path: PathBuf,
        dir: OwnedFd,
        run_dir: &Path,
        image: &ImageBodies,
        journal: Journal,
    ) -> Result<DeltaBacking, Errno> {
        let open = |p: &PathBuf| {
            rustix::fs::open(p, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(
                |e| {
                    tracing::error!(path = %p.display(), error = %e, "image layer cannot be opened");
                    host(e)
                },
            )
        };
        let layers = image.layer_dirs.iter().map(open).collect::<Result<_, _>>()?;
        Ok(DeltaBacking { dir, path, run_dir: run_dir.to_owned(), id, layers, journal })
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Host path of the directory of bodies, without symlinks.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens a name of ours. EIO when it is not there: metadata says it is.
fn open_body(dir: impl AsFd, name: &str, flags: i32) -> Result<OwnedFd, Errno> {
    // No O_NOFOLLOW: the guest would see it in F_GETFL, and nobody but us makes names here.
    let flags = OFlags::from_bits_retain(flags as u32) | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|e| match e {
        HostErrno::NOENT => err!(EIO, "a body is missing"),
        e => host(e),
    })
}

impl Backing for DeltaBacking {
    fn fstype(&self) -> &'static str {
        "overlay"
    }

    fn statfs(&self, _inodes: u64) -> Result<StatFs, Errno> {
        let s = rustix::fs::fstatvfs(&self.dir).map_err(host)?;
        Ok(StatFs {
            ftype: OVERLAYFS_SUPER_MAGIC,
            bsize: s.f_frsize,
            blocks: s.f_blocks,
            bfree: s.f_bfree,
            bavail: s.f_bavail,
            files: s.f_files,
            ffree: s.f_ffree,
            namelen: 255,
        })
    }

    fn create(&self, ino: Ino) -> Result<(), Errno> {
        let name = ino.to_string();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let make = || rustix::fs::openat(&self.dir, &name, flags, Mode::from_raw_mode(0o600));
        let made = match make() {
            // Left over from a life whose record of it was lost.
            Err(HostErrno::EXIST) => {
                self.remove(ino);
                make()
            }
            other => other,
        };
        made.map(drop).map_err(host)
    }

    fn open(&self, ino: Ino, flags: i32) -> Result<OwnedFd, Errno> {
        open_body(&self.dir, &ino.to_string(), flags)
    }

    fn stat(&self, ino: Ino) -> Result<BodyStat, Errno> {
        match rustix::fs::statat(&self.dir, ino.to_string(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(s) => Ok(s.into()),
            Err(HostErrno::NOENT) => bail!(EIO, "a body is missing"),
            Err(e) => Err(host(e)),
        }
    }

    fn set_times(&self, ino: Ino, atime: Option<Timespec>, mtime: Option<Timespec>) -> Result<(), Errno> {
        let times = timestamps(atime, mtime);
        rustix::fs::utimensat(&self.dir, ino.to_string(), &times, AtFlags::SYMLINK_NOFOLLOW).map_err(host)
    }

    fn truncate(&self, ino: Ino, size: u64) -> Result<(), Errno> {
        rustix::fs::ftruncate(self.open(ino, libc::O_WRONLY)?, size).map_err(host)
    }

    fn remove(&self, ino: Ino) {
        let _ = rustix::fs::unlinkat(&self.dir, ino.to_string(), AtFlags::empty());
        let _ = std::fs::remove_file(self.socket(ino));
    }

    fn in_use(&self, ino: Ino) -> bool {
        // Without the body there is nothing to keep.
        self.open(ino, libc::O_RDONLY).is_ok_and(|fd| is_open_elsewhere(&fd))
    }

    fn open_image(&self, body: ImageBody, flags: i32) -> Result<OwnedFd, Errno> {
        let layer = self.layers.get(body.layer as usize).ok_or(err!(EIO, "a layer is missing"))?;
        open_body(layer, &body.n.to_string(), flags)
    }

    fn fifo(&self, ino: Ino) -> Result<PathBuf, Errno> {
        let name = ino.to_string();
        match rustix::fs::mknodat(&self.dir, &name, FileType::Fifo, Mode::from_raw_mode(0o600), 0) {
            Ok(()) | Err(HostErrno::EXIST) => Ok(self.path.join(name)),
            Err(e) => Err(host(e)),
        }
    }

    fn socket(&self, ino: Ino) -> PathBuf {
        socket_path(&self.run_dir, self.id, ino)
    }

    fn inode_of_host(&self, name: &HostName<'_>) -> Option<Ino> {
        match name {
            HostName::DeltaBody(ino) => Some(*ino),
            _ => None,
        }
    }

    fn sink(&self) -> Option<&dyn Sink> {
        Some(&self.journal)
    }

    fn sync_bodies(&self) -> Result<(), Errno> {
        rustix::fs::syncfs(&self.dir).map_err(host)
    }
}

/// `<run dir>/s/<sb>-<ino>`.
pub(crate) fn socket_path(run_dir: &Path, id: SbId, ino: Ino) -> PathBuf {
    run_dir.join("s").join(format!("{}-{ino}", id.0))
}

pub(crate) fn timestamps(atime: Option<Timespec>, mtime: Option<Timespec>) -> Timestamps {
    let omit = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let host = |t: Option<Timespec>| {
        t.map_or(omit, |t| rustix::fs::Timespec { tv_sec: t.sec, tv_nsec: t.nsec.min(999_999_999).into() })
    };
    Timestamps { last_access: host(atime), last_modification: host(mtime) }
}

/// Makes `delta/b`, private to us, and returns it with its path as the host will tell it.
pub(super) fn body_dir(delta: &Path) -> Result<(PathBuf, OwnedFd), Errno> {
    use std::os::unix::fs::DirBuilderExt;
    let path = delta.join("b");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|e| host_io(&e))?;
    let path = path.canonicalize().map_err(|e| host_io(&e))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, Mode::empty()).map_err(host)?;
    Ok((path, fd))
}
