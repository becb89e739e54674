//! Opening, and the copy-up that writing to a file of the image needs.

use super::node::{Body, Data};
use super::record::Touched;
use super::{Backing, Tree};
use crate::errno::{Errno, host};
use crate::vfs::{Ino, Kind, OpenRequest, Opened, Timespec};
use crate::{bail, err};
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, SeekFrom};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Flags of the guest's that mean something to the host's open of a body.
const PASSED: i32 = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_TRUNC
    | libc::O_NONBLOCK
    | libc::O_DSYNC
    | libc::O_SYNC
    | libc::O_DIRECT
    | libc::O_NOATIME
    | libc::O_PATH
    | libc::O_LARGEFILE;

impl<B: Backing> Tree<B> {
    pub(super) fn open_inode(&self, ino: Ino, kind: Kind, how: &OpenRequest) -> Result<Opened, Errno> {
        let path_only = how.flags & libc::O_PATH != 0;
        match kind {
            Kind::Regular => self.open_regular(ino, how.flags & PASSED).map(Opened::Fd),
            Kind::Fifo => self.open_fifo(ino, how.flags & PASSED),
            Kind::CharDevice | Kind::BlockDevice if !path_only => {
                let rdev = self.known(ino)?.0.rdev;
                self.devices.open(kind, rdev, how.flags & PASSED, how.tid).map(Opened::Fd)
            }
            Kind::Directory => bail!(EISDIR, "directories are opened as placeholders"),
            Kind::Symlink => bail!(ELOOP, "symlinks are opened as placeholders"),
            _ => bail!(ENXIO),
        }
    }

    /// FIFOs are the host's. Opening one end waits for the other unless told not to.
    fn open_fifo(&self, ino: Ino, flags: i32) -> Result<Opened, Errno> {
        if let Some(node) = self.state.write().nodes.get_mut(&ino) {
            node.opened = true;
        }
        let path = self.backing.fifo(ino)?;
        let flags = (flags & !libc::O_TRUNC) | libc::O_CLOEXEC;
        let waits = flags & (libc::O_PATH | libc::O_NONBLOCK) == 0 && flags & libc::O_ACCMODE != libc::O_RDWR;
        if waits {
            return Ok(Opened::Blocking(path, flags));
        }
        let flags = rustix::fs::OFlags::from_bits_retain(flags as u32);
        rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map(Opened::Fd).map_err(host)
    }

    fn open_regular(&self, ino: Ino, flags: i32) -> Result<OwnedFd, Errno> {
        let path_only = flags & libc::O_PATH != 0;
        let truncate = !path_only && flags & libc::O_TRUNC != 0;
        let write = !path_only && (truncate || flags & libc::O_ACCMODE != libc::O_RDONLY);
        if !write && let Body::Image(body, _) = self.body_of(ino)? {
            // Whose store this is may not be ours to say O_NOATIME about.
            return self.backing.open_image(body, flags & !libc::O_NOATIME);
        }
        self.own_body(ino, truncate.then_some(0))?;
        let fd = self.backing.open(ino, flags)?;
        if write {
            self.written.store(true, Ordering::Relaxed);
        }
        Ok(fd)
    }

    /// For the supervisor's own reading.
    pub(super) fn open_for_reading(&self, ino: Ino) -> Result<OwnedFd, Errno> {
        if self.known(ino)?.0.kind() != Kind::Regular {
            bail!(EACCES);
        }
        self.open_regular(ino, libc::O_RDONLY)
    }

    fn body_of(&self, ino: Ino) -> Result<Body, Errno> {
        let state = self.state.read();
        match state.nodes.get(&ino).map(|n| &n.data) {
            Some(Data::Regular(body)) => Ok(*body),
            Some(_) => bail!(EINVAL),
            None => {
                let i = self.lower.inode(ino).ok_or(err!(ENOENT, "inode has gone"))?;
                Ok(i.body.map_or(Body::Empty, |b| Body::Image(b, i.size)))
            }
        }
    }

    /// Gives an inode a body of its own, and marks it as opened. `keep`: how much of the image's bytes is wanted; all when
    /// `None`. The number stays; times do unless less is kept.
    pub(super) fn own_body(&self, ino: Ino, keep: Option<u64>) -> Result<(), Errno> {
        if let Some(node) = self.state.write().nodes.get_mut(&ino)
            && let Data::Regular(Body::Own) = node.data
        {
            node.opened = true;
            return Ok(());
        }
        let lock = self.copying.lock().entry(ino).or_insert_with(|| Arc::new(Mutex::new(()))).clone();
        let held = lock.lock();
        let result = self.make_body(ino, keep);
        drop(held);
        let mut copying = self.copying.lock();
        if copying.get(&ino).is_some_and(|l| Arc::ptr_eq(l, &lock) && Arc::strong_count(l) == 2) {
            copying.remove(&ino);
        }
        result
    }

    fn make_body(&self, ino: Ino, keep: Option<u64>) -> Result<(), Errno> {
        let body = self.body_of(ino)?;
        let image = match body {
            Body::Own => return Ok(()),
            Body::Image(image, size) => Some((image, size)),
            Body::Empty => None,
        };
        let size = image.map_or(0, |(_, size)| size);
        self.backing.create(ino)?;
        let made = match image {
            Some((image, size)) if keep != Some(0) && size > 0 => {
                self.copy(ino, image, keep.map_or(size, |k| k.min(size)), keep.is_some_and(|k| k < size))
            }
            _ => Ok(()),
        };
        let finish = || {
            made?;
            let attr = self.known(ino)?.0;
            // A file that was made by this very open needs no older times.
            let is_fresh = image.is_none() && attr.btime == Some(attr.mtime) && is_just_now(attr.mtime);
            if keep.is_none_or(|k| k == size && k != 0) && !is_fresh {
                self.backing.set_times(ino, Some(attr.atime), Some(attr.mtime))?;
            }
            let mut state = self.state.write();
            let node = state.node_mut(self.lower(), ino)?;
            node.data = Data::Regular(Body::Own);
            node.opened = true;
            self.commit(&state, &Touched::node(ino))
        };
        if let Err(e) = finish() {
            self.backing.remove(ino);
            return Err(e);
        }
        if self.backing.sink().is_some() {
            self.unsynced.lock().push(ino);
        }
        Ok(())
    }

    /// The image's first `len` bytes into the new body.
    fn copy(&self, ino: Ino, image: super::ImageBody, len: u64, partly: bool) -> Result<(), Errno> {
        let from = self.backing.open_image(image, libc::O_RDONLY)?;
        let to = self.backing.open(ino, libc::O_WRONLY)?;
        if !partly && rustix::fs::ioctl_ficlone(&to, &from).is_ok() {
            return Ok(());
        }
        copy_bytes(&from, &to, len)
    }
}

/// Within what can pass between creating and opening.
fn is_just_now(t: Timespec) -> bool {
    let now = crate::fs::now();
    let nanos =
        (i128::from(now.sec) - i128::from(t.sec)) * 1_000_000_000 + i128::from(now.nsec) - i128::from(t.nsec);
    (0..20_000_000).contains(&nanos)
}

/// Copies data and leaves holes as holes.
fn copy_bytes(from: &OwnedFd, to: &OwnedFd, len: u64) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(from).map_err(host)?;
    let sparse = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < len;
    if !sparse {
        // Room at once, so that ENOSPC comes now and the file is in one piece. Not every file system can.
        let _ = rustix::fs::fallocate(to, FallocateFlags::KEEP_SIZE, 0, len);
        return copy_range(from, to, 0, len);
    }
    rustix::fs::ftruncate(to, len).map_err(host)?;
    let mut at = 0;
    while at < len {
        let data = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(_) => return copy_range(from, to, at, len),
        };
        let hole = rustix::fs::seek(from, SeekFrom::Hole(data)).unwrap_or(len).min(len);
        if hole <= data {
            return Ok(());
        }
        copy_range(from, to, data, hole)?;
        at = hole;
    }
    Ok(())
}

fn copy_range(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> Result<(), Errno> {
    let (mut source, mut target) = (start, start);
    while source < end {
        let want = usize::try_from(end - source).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), want) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::NOSPC) => bail!(ENOSPC),
            Err(rustix::io::Errno::DQUOT) => bail!(EDQUOT),
            Err(_) => return copy_by_hand(from, to, source, end),
        }
    }
    Ok(())
}

fn copy_by_hand(from: &OwnedFd, to: &OwnedFd, mut at: u64, end: u64) -> Result<(), Errno> {
    let mut buf = vec![0; 256 << 10];
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buf.len());
        let n = rustix::io::pread(from, &mut buf[..want], at).map_err(host)?;
        if n == 0 {
            return Ok(());
        }
        let mut done = 0;
        while done < n {
            done += rustix::io::pwrite(to, &buf[done..n], at + done as u64).map_err(host)?;
        }
        at += n as u64;
    }
    Ok(())
}
