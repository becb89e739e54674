//! devpts: the pseudo-terminals that a container has.
//!
//! They are the host's: slave *n* here is `/dev/pts/n` there, with the same number, so that what the kernel itself says of
//! terminals (ttyname(3), `tty_nr`) is right. Only registered ones exist here. A registration holds an O_PATH descriptor of
//! the slave: it does not keep the terminal open, it is of this one terminal even when the host has given its number to
//! another, and its link count becomes 0 when the terminal has gone.
//!
//! Opening never takes a controlling terminal, see [`dev`](super::dev).

use super::dev::{Devices, PTS_MAJOR, TTY_GID};
use super::now;
use crate::errno::{Errno, host};
use crate::vfs::{
    Attr, DirEntry, HostName, Ino, Inode, InodeRef, Kind, OpenRequest, Opened, SbId, SetAttr, StatFs,
    SuperBlock, Timespec,
};
use crate::{bail, err};
use parking_lot::RwLock;
use rustix::fs::{Mode, OFlags};
use std::any::Any;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Weak};

const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

const ROOT: Ino = 1;
const PTMX: Ino = 2;
/// Slave *n* is inode *n* + 3, as in Linux.
const FIRST: Ino = 3;

/// Readdir position of slave *n* is *n* + this.
const POSITION: u64 = 4;

/// The file system for `/dev/pts`, and the registry of the container's terminals.
#[derive(Debug)]
pub struct DevPts {
    me: Weak<DevPts>,
    id: SbId,
    devices: Weak<Devices>,
    made: Timespec,
    slaves: RwLock<BTreeMap<u32, Slave>>,
}

#[derive(Debug)]
struct Slave {
    handle: Arc<OwnedFd>,
    mode: u32,
    uid: u32,
    gid: u32,
}

impl DevPts {
    /// Without terminals. `devices` opens `ptmx`; give it this with [`Devices::set_terminals`].
    pub fn new(id: SbId, devices: &Arc<Devices>) -> Arc<DevPts> {
        Arc::new_cyclic(|me| DevPts {
            me: me.clone(),
            id,
            devices: Arc::downgrade(devices),
            made: now(),
            slaves: RwLock::new(BTreeMap::new()),
        })
    }

    /// Makes the host's `/dev/pts/<n>` one of the container's. The caller has its master open, so it is what it means.
    pub fn register(&self, n: u32, uid: u32, gid: u32) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let handle = rustix::fs::open(format!("/dev/pts/{n}"), flags, Mode::empty()).map_err(host)?;
        let slave = Slave { handle: Arc::new(handle), mode: 0o620, uid, gid };
        let mut slaves = self.slaves.write();
        slaves.retain(|_, s| s.is_alive());
        slaves.insert(n, slave);
        Ok(())
    }

    /// The same for the terminal of an open master.
    pub fn register_master(&self, master: &OwnedFd, uid: u32, gid: u32) -> Result<(), Errno> {
        let name = rustix::pty::ptsname(master, Vec::new()).map_err(host)?;
        let n = name
            .to_bytes()
            .strip_prefix(b"/dev/pts/")
            .and_then(number)
            .ok_or(err!(EIO, "odd terminal name"))?;
        self.register(n, uid, gid)
    }

    /// Opens a registered slave. EIO when it has gone, as Linux says for a terminal whose other end was closed.
    pub(crate) fn open_slave(&self, n: u32, flags: i32) -> Result<OwnedFd, Errno> {
        let handle = self.slave(n, |s| s.handle.clone()).ok_or(err!(EIO, "no such terminal"))?;
        let flags = OFlags::from_bits_retain((flags & (libc::O_ACCMODE | libc::O_NONBLOCK)) as u32);
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        rustix::fs::open(path, flags | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).map_err(host)
    }

    /// Numbers of the terminals there are, lowest first.
    pub fn numbers(&self) -> Vec<u32> {
        self.slaves.read().iter().filter(|(_, s)| s.is_alive()).map(|(n, _)| *n).collect()
    }

    fn slave<R>(&self, n: u32, f: impl FnOnce(&Slave) -> R) -> Option<R> {
        self.slaves.read().get(&n).filter(|s| s.is_alive()).map(f)
    }

    fn handle(&self, ino: Ino) -> Option<InodeRef> {
        let exists = match ino {
            ROOT | PTMX => true,
            _ => self.slave(slave_number(ino)?, |_| ()).is_some(),
        };
        exists.then_some(())?;
        Some(Arc::new(PtsInode { fs: self.me.upgrade()?, ino }))
    }
}

impl Slave {
    fn is_alive(&self) -> bool {
        rustix::fs::fstat(&*self.handle).is_ok_and(|s| s.st_nlink > 0)
    }
}

/// A decimal number as the kernel writes it: no sign, no leading zeros.
fn number(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let n: u32 = text.parse().ok()?;
    (n.to_string() == text).then_some(n)
}

fn slave_number(ino: Ino) -> Option<u32> {
    u32::try_from(ino.checked_sub(FIRST)?).ok()
}

impl SuperBlock for DevPts {
    fn id(&self) -> SbId {
        self.id
    }

    fn fstype(&self) -> &'static str {
        "devpts"
    }

    fn options(&self) -> String {
        format!("gid={TTY_GID},mode=620,ptmxmode=666")
    }

    fn root(&self) -> InodeRef {
        #[expect(clippy::expect_used, reason = "&self is only ever reached through an Arc")]
        let fs = self.me.upgrade().expect("made inside of an Arc");
        Arc::new(PtsInode { fs, ino: ROOT })
    }

    fn inode(&self, ino: Ino) -> Option<InodeRef> {
        self.handle(ino)
    }

    fn inode_of_host(&self, name: &HostName<'_>) -> Option<InodeRef> {
        let HostName::Path(path) = name else { return None };
        if matches!(*path, b"/dev/ptmx" | b"/dev/pts/ptmx") {
            return self.handle(PTMX);
        }
        let n = number(path.strip_prefix(b"/dev/pts/")?)?;
        self.handle(FIRST + u64::from(n))
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        Ok(StatFs { ftype: DEVPTS_SUPER_MAGIC, bsize: 4096, namelen: 255, ..StatFs::default() })
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

/// The root, `ptmx`, or a slave.
#[derive(Debug)]
struct PtsInode {
    fs: Arc<DevPts>,
    ino: Ino,
}

impl PtsInode {
    fn root(&self) -> Result<(), Errno> {
        if self.ino == ROOT { Ok(()) } else { bail!(ENOTDIR) }
    }
}

impl Inode for PtsInode {
    fn sb(&self) -> Arc<dyn SuperBlock> {
        self.fs.clone()
    }

    fn sb_id(&self) -> SbId {
        self.fs.id
    }

    fn ino(&self) -> Ino {
        self.ino
    }

    fn kind(&self) -> Kind {
        if self.ino == ROOT { Kind::Directory } else { Kind::CharDevice }
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let made = self.fs.made;
        let common = Attr {
            ino: self.ino,
            nlink: 1,
            blksize: 1024,
            atime: made,
            mtime: made,
            ctime: made,
            ..Attr::default()
        };
        let n = match self.ino {
            ROOT => return Ok(Attr { mode: libc::S_IFDIR | 0o755, nlink: 2, ..common }),
            PTMX => return Ok(Attr { mode: libc::S_IFCHR | 0o666, rdev: libc::makedev(5, 2), ..common }),
            ino => slave_number(ino).ok_or(err!(ENOENT))?,
        };
        let slave = |s: &Slave| (s.mode, s.uid, s.gid, rustix::fs::fstat(&*s.handle));
        let (mode, uid, gid, stat) = self.fs.slave(n, slave).ok_or(err!(ENOENT, "the terminal has gone"))?;
        let times = super::tree::BodyStat::from(stat.map_err(host)?);
        Ok(Attr {
            mode: libc::S_IFCHR | mode,
            uid,
            gid,
            rdev: libc::makedev(PTS_MAJOR, n),
            atime: times.atime,
            mtime: times.mtime,
            ctime: times.ctime,
            ..common
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        self.root()?;
        if name.len() > super::NAME_MAX {
            bail!(ENAMETOOLONG);
        }
        let ino = match number(name) {
            Some(n) => FIRST + u64::from(n),
            None if name == b"ptmx" => PTMX,
            None => bail!(ENOENT),
        };
        self.fs.handle(ino).ok_or(err!(ENOENT))
    }

    fn parent(&self) -> Option<InodeRef> {
        (self.ino == ROOT).then(|| self.fs.root())
    }

    fn alias(&self) -> Option<(InodeRef, Vec<u8>)> {
        let name = match self.ino {
            ROOT => return None,
            PTMX => b"ptmx".to_vec(),
            ino => {
                let n = slave_number(ino)?;
                self.fs.slave(n, |_| ())?;
                n.to_string().into_bytes()
            }
        };
        Some((self.fs.root(), name))
    }

    fn readdir(&self, pos: u64, emit: &mut dyn FnMut(DirEntry) -> bool) -> Result<(), Errno> {
        self.root()?;
        let kind = Kind::CharDevice;
        if pos < POSITION && !emit(DirEntry { name: b"ptmx".to_vec(), ino: PTMX, kind, next: POSITION }) {
            return Ok(());
        }
        for n in self.fs.numbers().into_iter().filter(|n| POSITION + u64::from(*n) >= pos) {
            let (name, at) = (n.to_string().into_bytes(), u64::from(n));
            if !emit(DirEntry { name, ino: FIRST + at, kind, next: POSITION + at + 1 }) {
                break;
            }
        }
        Ok(())
    }

    fn setattr(&self, set: &SetAttr) -> Result<(), Errno> {
        let Some(n) = slave_number(self.ino) else { bail!(EPERM) };
        let mut slaves = self.fs.slaves.write();
        let slave = slaves.get_mut(&n).ok_or(err!(ENOENT, "the terminal has gone"))?;
        slave.mode = set.mode.map_or(slave.mode, |m| m & 0o7777);
        slave.uid = set.uid.unwrap_or(slave.uid);
        slave.gid = set.gid.unwrap_or(slave.gid);
        Ok(())
    }

    fn open(&self, how: &OpenRequest) -> Result<Opened, Errno> {
        if how.flags & libc::O_PATH != 0 {
            bail!(ENXIO, "opened as a placeholder");
        }
        match self.ino {
            ROOT => bail!(EISDIR, "directories are opened as placeholders"),
            PTMX => {
                let devices = self.fs.devices.upgrade().ok_or(err!(ENXIO))?;
                devices.open(Kind::CharDevice, libc::makedev(5, 2), how.flags, how.tid).map(Opened::Fd)
            }
            ino => {
                let n = slave_number(ino).ok_or(err!(ENXIO))?;
                self.fs.open_slave(n, how.flags).map(Opened::Fd)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_there_as_long_as_its_master() {
        let devices = Arc::new(Devices::default());
        let fs = DevPts::new(SbId(7), &devices);
        devices.set_terminals(fs.clone());
        let ptmx = fs.root().lookup(b"ptmx").unwrap();
        let how = OpenRequest { flags: libc::O_RDWR, tid: 0 };
        let Opened::Fd(master) = ptmx.open(&how).unwrap() else { panic!("blocking") };
        rustix::pty::unlockpt(&master).unwrap();
        let [n] = fs.numbers()[..] else { panic!("one terminal") };
        let name = n.to_string();
        let slave = fs.root().lookup(name.as_bytes()).unwrap();
        assert_eq!(slave.attr().unwrap().rdev, libc::makedev(136, n));
        let Opened::Fd(open) = slave.open(&how).unwrap() else { panic!("blocking") };
        assert!(rustix::termios::isatty(&open));
        let path = format!("/dev/pts/{n}");
        let found = fs.inode_of_host(&HostName::Path(path.as_bytes())).unwrap();
        assert_eq!(found.ino(), slave.ino());
        drop((open, master));
        assert_eq!(fs.root().lookup(name.as_bytes()).unwrap_err().code(), libc::ENOENT);
        assert!(slave.open(&how).is_err());
    }

    #[test]
    fn terminals_of_others_do_not_exist() {
        let devices = Arc::new(Devices::default());
        let fs = DevPts::new(SbId(7), &devices);
        for name in [&b"0"[..], b"00", b"+1", b"x", b""] {
            assert!(fs.root().lookup(name).is_err());
        }
        assert!(fs.inode_of_host(&HostName::Path(b"/dev/pts/0")).is_none());
    }
}
