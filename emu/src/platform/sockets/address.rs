//! Addresses for the host's calls.

use super::MAX_ADDR;
use parking_lot::Mutex;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A `sockaddr` for the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostAddr(Vec<u8>);

/// `sizeof(sun_path)`.
const SUN_PATH: usize = 108;

/// Directories of sockets whose paths do not fit into an address. Kept open for ever, so that a descriptor's number never
/// comes to mean another directory and the addresses stay unique.
static DIRECTORIES: LazyLock<Mutex<HashMap<PathBuf, OwnedFd>>> = LazyLock::new(Mutex::default);
const MAX_DIRECTORIES: usize = 64;

impl HostAddr {
    /// As the guest gave it.
    pub(crate) fn raw(bytes: &[u8]) -> HostAddr {
        HostAddr(bytes.to_vec())
    }

    /// A unix address: `sun_path` is a path, or an abstract name with its leading NUL. `None` when it is too long.
    pub(crate) fn unix(sun_path: &[u8]) -> Option<HostAddr> {
        let nul: &[u8] = if sun_path.first() == Some(&0) { &[] } else { &[0] };
        let whole = [&(libc::AF_UNIX as u16).to_ne_bytes()[..], sun_path, nul].concat();
        (sun_path.len() + nul.len() <= SUN_PATH).then_some(HostAddr(whole))
    }

    /// A path of the host's; a long one by way of a descriptor of its directory. `None` when even that is too long.
    pub(crate) fn path(path: &Path) -> Option<HostAddr> {
        let direct = HostAddr::unix(path.as_os_str().as_bytes());
        if direct.is_some() {
            return direct;
        }
        let (dir, name) = (path.parent()?, path.file_name()?);
        let mut known = DIRECTORIES.lock();
        if !known.contains_key(dir) {
            if known.len() >= MAX_DIRECTORIES {
                return None;
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(CWD, dir, flags, Mode::empty()).ok()?;
            known.insert(dir.to_owned(), fd);
        }
        let fd = known.get(dir)?.as_raw_fd();
        HostAddr::unix(&[format!("/proc/self/fd/{fd}/").as_bytes(), name.as_bytes()].concat())
    }

    pub(super) fn as_raw(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        (self.0.as_ptr().cast(), self.0.len().min(MAX_ADDR) as libc::socklen_t)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_go_by_their_directory() {
        let dir = std::env::temp_dir().join("x".repeat(120)).join("y");
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("sock");
        let addr = HostAddr::path(&path).unwrap();
        assert!(addr.bytes().len() < 50);
        assert_eq!(HostAddr::path(&path), Some(addr.clone()));
        let socket = super::super::socket(libc::AF_UNIX, libc::SOCK_STREAM).unwrap();
        let _ = std::fs::remove_file(&path);
        use rustix::fd::AsFd;
        super::super::bind(socket.as_fd(), &addr).unwrap();
        assert!(path.exists());
        std::fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    }
}
