//! The one host file that guests ever execute: the stub, in a sealed memfd, or in a file where memfds may not run.

use carrack_loader::stub::STUB;
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use std::io;
use std::path::Path;

/// The stub, open for reading.
#[derive(Debug)]
pub(crate) struct StubFile {
    pub(crate) file: OwnedFd,
    dev: u64,
    ino: u64,
}

impl StubFile {
    /// In a memfd; `dir` is for hosts whose `vm.memfd_noexec` forbids that.
    pub(crate) fn new(dir: &Path) -> io::Result<StubFile> {
        let file = match memfd() {
            Ok(f) => f,
            Err(_) => plain(dir)?,
        };
        let stat = rustix::fs::fstat(&file)?;
        Ok(StubFile { file, dev: stat.st_dev, ino: stat.st_ino })
    }

    /// Whether `tgid` executes the stub now. The path of /proc names nothing that a guest could replace.
    pub(crate) fn is_running_in(&self, tgid: i32) -> bool {
        rustix::fs::stat(format!("/proc/{tgid}/exe"))
            .is_ok_and(|s| s.st_dev == self.dev && s.st_ino == self.ino)
    }
}

fn memfd() -> rustix::io::Result<OwnedFd> {
    let base = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // MFD_EXEC is known since 6.3, and needed from then on.
    let fd = match rustix::fs::memfd_create("carrack-stub", base | MemfdFlags::EXEC) {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("carrack-stub", base)?,
        other => other?,
    };
    let mut rest = STUB;
    while !rest.is_empty() {
        let n = rustix::io::write(&fd, rest)?;
        rest = &rest[n..];
    }
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o555))?;
    rustix::fs::fcntl_add_seals(
        &fd,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    // A writable description would make exec fail with ETXTBSY.
    use rustix::fd::AsRawFd;
    rustix::fs::open(
        format!("/proc/self/fd/{}", fd.as_raw_fd()),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn plain(dir: &Path) -> io::Result<OwnedFd> {
    let path = dir.join("stub");
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, STUB)?;
    rustix::fs::chmod(&path, Mode::from_raw_mode(0o500))?;
    Ok(rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
