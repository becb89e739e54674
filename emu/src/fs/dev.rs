//! Devices: the file system mounted at `/dev`, and what opening a device node means anywhere.
//!
//! The devices that every container has are the host's own, opened by the supervisor by their well-known host paths; a
//! guest's descriptor is of the real device, so reading and writing is native. A device node with any other number can be
//! made and looked at but not opened (ENXIO), as on a kernel without the driver.
//!
//! # Terminals
//! The supervisor opens terminals with O_NOCTTY, always: a controlling terminal taken at open would be the supervisor's, not
//! the guest's. What Linux does at open for a session leader is done after it, see `sys/terminal.rs`.
//!
//! `/dev/tty` can only be opened by the task whose terminal is meant. So its slave is opened instead, and marked, so that
//! the descriptor is told to be of `/dev/tty` all the same: its F_SETSIG is SIGIO, which means nearly the same as the
//! initial 0 and which nobody sets for a terminal.

use super::devpts::DevPts;
use super::tmp::TmpFs;
use crate::errno::{Errno, host};
use crate::vfs::{CreateKind, Kind, SbId, SuperBlock};
use crate::{bail, err};
use parking_lot::RwLock;
use rustix::fs::{Mode, OFlags};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Node name, major, minor; the host has each at `/dev/<name>`.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Major numbers of Unix98 pseudo-terminal slaves (`Documentation/admin-guide/devices.txt`).
pub(crate) const PTS_MAJOR: u32 = 136;

type OwnerOf = dyn Fn(i32) -> u32 + Send + Sync;

/// Group `tty` of Debian, which devpts is mounted with (`gid=5,mode=620`).
pub(crate) const TTY_GID: u32 = 5;

/// What device numbers mean in a container. Shared by all its file systems.
#[derive(Default)]
pub struct Devices {
    terminals: RwLock<Option<Arc<DevPts>>>,
    owner: OnceLock<Box<OwnerOf>>,
}

impl fmt::Debug for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Devices").field("terminals", &*self.terminals.read()).finish_non_exhaustive()
    }
}

impl Devices {
    /// The terminals that are the container's. Without them no terminal can be opened.
    pub fn set_terminals(&self, pts: Arc<DevPts>) {
        *self.terminals.write() = Some(pts);
    }

    /// How to learn the fsuid of a thread: a new terminal belongs to it. Before this is set, to root.
    pub fn set_owner_lookup(&self, owner: impl Fn(i32) -> u32 + Send + Sync + 'static) {
        let _ = self.owner.set(Box::new(owner));
    }

    /// Opens a device for thread `tid`, with open(2) flags of the guest. ENXIO for devices that are not there.
    pub fn open(&self, kind: Kind, rdev: u64, flags: i32, tid: i32) -> Result<OwnedFd, Errno> {
        if kind != Kind::CharDevice {
            bail!(ENXIO, "no block devices");
        }
        match (libc::major(rdev), libc::minor(rdev)) {
            (5, 0) => self.open_controlling_terminal(flags, tid),
            (5, 2) => self.open_multiplexer(flags, tid),
            (PTS_MAJOR, n) => self.terminals()?.open_slave(n, flags),
            (major, minor) => {
                let known = NODES.iter().find(|n| (n.1, n.2) == (major, minor));
                let (name, ..) = known.ok_or(err!(ENXIO, "no such device"))?;
                open_host(format!("/dev/{name}").as_ref(), flags)
            }
        }
    }

    fn terminals(&self) -> Result<Arc<DevPts>, Errno> {
        self.terminals.read().clone().ok_or(err!(ENXIO, "no terminals"))
    }

    /// `/dev/ptmx`: a new terminal, registered as the container's before anybody can name it.
    fn open_multiplexer(&self, flags: i32, tid: i32) -> Result<OwnedFd, Errno> {
        let terminals = self.terminals()?;
        let master = open_host("/dev/ptmx".as_ref(), flags)?;
        let uid = self.owner.get().map_or(0, |owner| owner(tid));
        terminals.register_master(&master, uid, TTY_GID)?;
        Ok(master)
    }

    /// `/dev/tty`: the caller's own, if it is one of the container's. ENXIO without one.
    fn open_controlling_terminal(&self, flags: i32, tid: i32) -> Result<OwnedFd, Errno> {
        let number = controlling_terminal(tid).ok_or(err!(ENXIO, "no controlling terminal"))?;
        if libc::major(number) != PTS_MAJOR {
            bail!(ENXIO, "controlling terminal is not the container's");
        }
        let fd = self.terminals()?.open_slave(libc::minor(number), flags)?;
        // Without the mark it is but the slave.
        let _ = crate::platform::host::set_signal(fd.as_fd(), libc::SIGIO);
        Ok(fd)
    }
}

/// Whether an open slave was opened as `/dev/tty`.
pub(crate) fn is_dev_tty(slave: &OwnedFd) -> bool {
    crate::platform::host::get_signal(slave.as_fd()) == Ok(libc::SIGIO)
}

/// `tty_nr` of `/proc/TID/stat`: the terminal's device number, in the kernel's own packing of major and minor.
fn controlling_terminal(tid: i32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{tid}/stat")).ok()?;
    parse_tty_nr(&stat)
}

fn parse_tty_nr(stat: &[u8]) -> Option<u64> {
    // The command, in parentheses, may contain anything; the last closing one ends it.
    let end = stat.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    // state ppid pgrp session tty_nr
    let packed: i32 = rest.split_ascii_whitespace().nth(4)?.parse().ok()?;
    if packed == 0 {
        return None;
    }
    let packed = packed as u32;
    let (major, minor) = ((packed & 0xfff00) >> 8, (packed & 0xff) | ((packed >> 12) & 0xfff00));
    Some(libc::makedev(major, minor))
}

fn open_host(path: &Path, flags: i32) -> Result<OwnedFd, Errno> {
    let passed =
        libc::O_ACCMODE | libc::O_NONBLOCK | libc::O_APPEND | libc::O_DIRECT | libc::O_SYNC | libc::O_DSYNC;
    let flags = OFlags::from_bits_retain((flags & passed) as u32) | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(host)
}

/// The host path of a device as the name of a node in `/dev`.
pub(crate) fn node_of_host_path(path: &[u8]) -> Option<&'static str> {
    let name = path.strip_prefix(b"/dev/")?;
    NODES.iter().map(|n| n.0).find(|n| n.as_bytes() == name)
}

/// The file system for `/dev`: Docker's set of nodes and links. Guests may add to it, as to any tmpfs.
pub fn dev_fs(id: SbId, run_dir: &Path, devices: Arc<Devices>) -> Result<Arc<TmpFs>, Errno> {
    let fs = TmpFs::dev(id, run_dir, devices);
    let root = fs.root();
    for (name, major, minor) in NODES {
        let node = CreateKind::Device(Kind::CharDevice, libc::makedev(major, minor));
        let made = root.create(name.as_bytes(), node, 0o666, 0, if name == "tty" { TTY_GID } else { 0 })?;
        fs.backing.add_device(name, made.ino());
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("core", "/proc/kcore"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, target) in links {
        root.create(name.as_bytes(), CreateKind::Symlink(target.into()), 0o777, 0, 0)?;
    }
    for (name, mode) in [("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o1777)] {
        root.create(name.as_bytes(), CreateKind::Directory, mode, 0, 0)?;
    }
    Ok(fs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tty_numbers_are_unpacked_as_the_kernel_packs_them() {
        let stat = b"12 (a) b) S 1 12 12 34816 12 0";
        assert_eq!(parse_tty_nr(stat), Some(libc::makedev(136, 0)));
        // Terminal 300: minor 0x12c.
        let packed = (136 << 8) | 0x2c | (0x100 << 12);
        let stat = format!("12 (x) S 1 12 12 {packed} 12 0");
        assert_eq!(parse_tty_nr(stat.as_bytes()), Some(libc::makedev(136, 300)));
        assert_eq!(parse_tty_nr(b"12 (x) S 1 12 12 0 -1 0"), None);
        assert_eq!(parse_tty_nr(b"garbage"), None);
    }

    #[test]
    fn devices_open_by_number_and_others_do_not_exist() {
        let devices = Devices::default();
        let null = devices.open(Kind::CharDevice, libc::makedev(1, 3), libc::O_RDWR, 0).unwrap();
        assert_eq!(rustix::io::write(&null, b"x").unwrap(), 1);
        let e = devices.open(Kind::CharDevice, libc::makedev(1, 1), libc::O_RDONLY, 0).unwrap_err();
        assert_eq!(e.code(), libc::ENXIO);
        let e = devices.open(Kind::BlockDevice, libc::makedev(8, 0), libc::O_RDONLY, 0).unwrap_err();
        assert_eq!(e.code(), libc::ENXIO);
        let e = devices.open(Kind::CharDevice, libc::makedev(136, 0), libc::O_RDONLY, 0).unwrap_err();
        assert_eq!(e.code(), libc::ENXIO);
    }
}
