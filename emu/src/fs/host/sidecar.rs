//! What the host cannot store of a guest's file: owner, special bits, device number.
//!
//! An unprivileged user cannot give files away, and bits like setuid must not appear on the host. They are kept in one
//! extended attribute of the file, `user.carrack.stat`, as text: `<mode, octal> <uid> <gid> <rdev>`. A file without it is
//! what the host says, its owner translated. Where the host refuses the attribute (symlinks, file systems without), the
//! values are kept in memory and last as long as the container runs.
//!
//! Attributes with other prefixes than `user.` are kept as `user.carrack.x.<name>`.

use super::Owner;
use super::handle::Handle;
use crate::errno::{Errno, host};
use crate::vfs::Kind;
use parking_lot::Mutex;
use rustix::fs::{Stat, XattrFlags};
use std::collections::HashMap;

const STAT: &str = "user.carrack.stat";

/// The attributes that may differ from the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    /// Type and permission bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) rdev: u64,
}

/// Values for which the host has no place.
#[derive(Debug, Default)]
pub(super) struct Sidecar {
    in_memory: Mutex<HashMap<(u64, u64), Stored>>,
}

impl Stored {
    /// As the host has it, with its owner as root.
    pub(super) fn of_host(stat: &Stat, owner: Owner) -> Stored {
        let uid = if stat.st_uid == owner.uid { 0 } else { stat.st_uid };
        let gid = if stat.st_gid == owner.gid { 0 } else { stat.st_gid };
        Stored { mode: stat.st_mode, uid, gid, rdev: stat.st_rdev }
    }

    fn parse(text: &[u8]) -> Option<Stored> {
        let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
        let mode = u32::from_str_radix(words.next()?, 8).ok()?;
        Kind::from_mode(mode)?;
        let (uid, gid, rdev) =
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Stored { mode: mode & (libc::S_IFMT | 0o7777), uid, gid, rdev })
    }

    fn text(&self) -> String {
        format!("{:o} {} {} {}", self.mode, self.uid, self.gid, self.rdev)
    }
}

impl Sidecar {
    pub(super) fn get(&self, handle: &Handle, stat: &Stat, owner: Owner) -> Stored {
        let host = Stored::of_host(stat, owner);
        if let Some(stored) = self.in_memory.lock().get(&(handle.dev, handle.ino)) {
            return *stored;
        }
        // What others own we did not write to; special files and symlinks cannot have one.
        if stat.st_uid != owner.uid || !matches!(handle.kind, Kind::Regular | Kind::Directory) {
            return host;
        }
        let mut buf = [0; 128];
        let Ok(n) = rustix::fs::getxattr(handle.proc_path(), STAT, &mut buf) else { return host };
        let stored = Stored::parse(&buf[..n]);
        // Only an empty regular file can stand for something else, a device.
        let may_stand = |s: &Stored| {
            let kind = Kind::from_mode(s.mode);
            kind == Some(handle.kind)
                || (handle.kind == Kind::Regular
                    && stat.st_size == 0
                    && matches!(kind, Some(Kind::CharDevice | Kind::BlockDevice)))
        };
        stored.filter(may_stand).unwrap_or(host)
    }

    /// Keeps `want`; nothing is kept of what the host itself tells.
    pub(super) fn set(&self, handle: &Handle, stat: &Stat, owner: Owner, want: Stored) -> Result<(), Errno> {
        let key = (handle.dev, handle.ino);
        if want == Stored::of_host(stat, owner) {
            self.in_memory.lock().remove(&key);
            let _ = rustix::fs::removexattr(handle.proc_path(), STAT);
            return Ok(());
        }
        match rustix::fs::setxattr(handle.proc_path(), STAT, want.text().as_bytes(), XattrFlags::empty()) {
            Ok(()) => {
                self.in_memory.lock().remove(&key);
            }
            Err(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => {
                return Err(host(rustix::io::Errno::NOSPC));
            }
            Err(_) => {
                self.in_memory.lock().insert(key, want);
            }
        }
        Ok(())
    }

    /// The file has lost its last name.
    pub(super) fn forget(&self, handle: &Handle) {
        self.in_memory.lock().remove(&(handle.dev, handle.ino));
    }
}

/// Under what name the host keeps a guest's extended attribute; `None`: it is none that a guest may name.
pub(super) fn host_name(name: &[u8]) -> Option<Vec<u8>> {
    if name.starts_with(b"user.carrack.") {
        None
    } else if name.starts_with(b"user.") {
        Some(name.to_vec())
    } else {
        Some([b"user.carrack.x.", name].concat())
    }
}

/// The reverse.
pub(super) fn guest_name(name: &[u8]) -> Option<Vec<u8>> {
    match name.strip_prefix(b"user.carrack.") {
        Some(rest) => rest.strip_prefix(b"x.").map(<[u8]>::to_vec),
        None => name.starts_with(b"user.").then(|| name.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_and_nonsense_does_not() {
        let s = Stored { mode: libc::S_IFREG | 0o4755, uid: 33, gid: 5, rdev: 0 };
        assert_eq!(Stored::parse(s.text().as_bytes()), Some(s));
        for bad in [&b""[..], b"x", b"100644 1 2", b"777 0 0 0", b"100644 -1 0 0", b"\xff"] {
            assert_eq!(Stored::parse(bad), None);
        }
    }

    #[test]
    fn names_cannot_reach_our_own() {
        assert_eq!(host_name(b"user.carrack.stat"), None);
        assert_eq!(guest_name(b"user.carrack.stat"), None);
        for name in [&b"user.a"[..], b"trusted.b", b"security.capability"] {
            assert_eq!(guest_name(&host_name(name).unwrap()).unwrap(), name);
        }
    }
}
