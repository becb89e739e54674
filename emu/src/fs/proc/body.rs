//! Bodies of generated files: what they say at the moment of opening, in a memfd.
//!
//! Each open has a memfd of its own, handed out read-only. The guest alone keeps it; remembered here is only which file it
//! is of, so that fstat(2) and `/proc/self/fd` can tell. Nobody says when it is closed, so the oldest are forgotten.

use crate::errno::{Errno, host};
use crate::vfs::Ino;
use parking_lot::Mutex;
use rustix::fs::{MemfdFlags, Mode, OFlags};
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

/// As many open files are known by their bodies; of older ones fstat(2) tells what the host says.
const KNOWN: usize = 16_384;
/// As many files can have been written to.
const KEPT: usize = 1024;

/// Host numbers (`st_dev`, `st_ino`) of bodies, and the inodes they are of.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    known: Mutex<Known>,
    kept: Mutex<HashMap<Ino, Arc<OwnedFd>>>,
}

#[derive(Debug, Default)]
struct Known {
    inodes: HashMap<(u64, u64), Ino>,
    order: VecDeque<(u64, u64)>,
}

fn memfd() -> rustix::io::Result<OwnedFd> {
    match rustix::fs::memfd_create("generated", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("generated", MemfdFlags::CLOEXEC),
        other => other,
    }
}

fn filled(text: &[u8]) -> Result<OwnedFd, Errno> {
    let fd = memfd().map_err(host)?;
    let mut rest = text;
    while !rest.is_empty() {
        let n = rustix::io::write(&fd, rest).map_err(host)?;
        rest = &rest[n..];
    }
    Ok(fd)
}

fn reopen(fd: &OwnedFd, flags: i32) -> Result<OwnedFd, Errno> {
    const PASSED: i32 = libc::O_ACCMODE | libc::O_APPEND | libc::O_TRUNC | libc::O_NONBLOCK;
    let flags = OFlags::from_bits_retain((flags & PASSED) as u32) | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty()).map_err(host)
}

impl Bodies {
    /// A descriptor that reads as `text`, known as inode `ino`.
    pub(crate) fn snapshot(&self, ino: Ino, text: &[u8]) -> Result<OwnedFd, Errno> {
        let fd = filled(text)?;
        let out = reopen(&fd, libc::O_RDONLY)?;
        self.remember(ino, &fd)?;
        Ok(out)
    }

    fn remember(&self, ino: Ino, fd: &OwnedFd) -> Result<(), Errno> {
        let stat = rustix::fs::fstat(fd).map_err(host)?;
        let key = (stat.st_dev, stat.st_ino);
        let mut known = self.known.lock();
        if known.inodes.insert(key, ino).is_none() {
            known.order.push_back(key);
        }
        while known.order.len() > KNOWN {
            if let Some(oldest) = known.order.pop_front() {
                known.inodes.remove(&oldest);
            }
        }
        Ok(())
    }

    /// The file whose body the host numbers so.
    pub(crate) fn inode_of(&self, dev: u64, ino: u64) -> Option<Ino> {
        self.known.lock().inodes.get(&(dev, ino)).copied()
    }

    /// A descriptor of a body that stays: what is written to it is read by whoever opens the file later. `text` is what
    /// it holds before the first write. ENOMEM when too many files were written to.
    pub(crate) fn keep(&self, ino: Ino, flags: i32, text: &[u8]) -> Result<OwnedFd, Errno> {
        let mut kept = self.kept.lock();
        let body = match kept.get(&ino) {
            Some(body) => body.clone(),
            None => {
                if kept.len() >= KEPT {
                    return Err(crate::err!(ENOMEM, "too many generated files were written to"));
                }
                let body = Arc::new(filled(text)?);
                self.remember(ino, &body)?;
                kept.insert(ino, body.clone());
                body
            }
        };
        drop(kept);
        reopen(&body, flags)
    }

    /// A read-only descriptor of a body that stays, if there is one and something was written to it.
    pub(crate) fn kept(&self, ino: Ino) -> Option<OwnedFd> {
        let body = self.kept.lock().get(&ino).cloned()?;
        let written = rustix::fs::fstat(&*body).is_ok_and(|s| s.st_size > 0);
        if written { reopen(&body, libc::O_RDONLY).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fd: &OwnedFd) -> Vec<u8> {
        let mut buf = [0; 64];
        let n = rustix::io::pread(fd, &mut buf, 0).unwrap();
        buf[..n].to_vec()
    }

    #[test]
    fn snapshots_are_read_only_and_known() {
        let bodies = Bodies::default();
        let fd = bodies.snapshot(7, b"hello\n").unwrap();
        assert_eq!(text(&fd), b"hello\n");
        assert!(rustix::io::write(&fd, b"x").is_err());
        let st = rustix::fs::fstat(&fd).unwrap();
        assert_eq!(bodies.inode_of(st.st_dev, st.st_ino), Some(7));
    }

    #[test]
    fn what_was_written_is_read_later() {
        let bodies = Bodies::default();
        assert!(bodies.kept(3).is_none());
        let fd = bodies.keep(3, libc::O_WRONLY | libc::O_TRUNC, b"0\n").unwrap();
        assert!(bodies.kept(3).is_none(), "truncated and not written yet");
        rustix::io::write(&fd, b"1\n").unwrap();
        assert_eq!(text(&bodies.kept(3).unwrap()), b"1\n");
        let again = bodies.keep(3, libc::O_RDWR, b"0\n").unwrap();
        assert_eq!(text(&again), b"1\n");
    }
}
