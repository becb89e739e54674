//! Inodes of the host.

use super::handle::Handle;
use super::sidecar::{Stored, guest_name, host_name};
use super::{HostFs, single};
use crate::errno::{Errno, host};
use crate::fs::delta::timestamps;
use crate::fs::tree::BodyStat;
use crate::vfs::{
    Attr, CreateKind, DirEntry, Ino, Inode, InodeRef, Kind, OpenRequest, Opened, RenameFlags, SbId, SetAttr,
    SetTime, SuperBlock, Timespec, XattrFlags,
};
use crate::{bail, err};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, SeekFrom};
use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

/// Positions of the host are moved up by this: 1 and 2 are taken.
const SHIFT: u64 = 3;

/// Largest extended attribute, and largest list of names.
const XATTR_MAX: usize = 65536;

#[derive(Debug)]
pub(super) struct HostInode {
    pub(super) fs: Arc<HostFs>,
    pub(super) handle: Handle,
    /// Where it was found beneath the root.
    pub(super) rel: Vec<u8>,
    /// A socket that was just made, for bind(2) to put its own into the place: where.
    pub(super) bind_at: Option<PathBuf>,
}

impl HostInode {
    fn child(&self, name: &[u8], handle: Handle) -> Result<InodeRef, Errno> {
        let mut rel = self.rel.clone();
        if !rel.is_empty() {
            rel.push(b'/');
        }
        rel.extend(name);
        self.fs.handle(handle, rel)
    }

    fn directory(&self) -> Result<(), Errno> {
        if self.handle.kind == Kind::Directory { Ok(()) } else { bail!(ENOTDIR) }
    }

    fn stored(&self) -> Result<(rustix::fs::Stat, Stored), Errno> {
        let stat = self.handle.stat()?;
        let stored = self.fs.sidecar.get(&self.handle, &stat, self.fs.owner);
        Ok((stat, stored))
    }

    /// Gives a new file its owner and mode; the file was made with bits that we can live with.
    fn dress(&self, made: &Handle, mode: u32, uid: u32, gid: u32, rdev: u64) -> Result<(), Errno> {
        let permissions = host_bits(made.kind, mode);
        if made.kind != Kind::Symlink {
            rustix::fs::chmod(made.proc_path(), Mode::from_raw_mode(permissions)).map_err(host)?;
        }
        let stat = made.stat()?;
        // The host may have its own ideas of a symlink's mode, or of a group.
        let mode = if made.kind == Kind::Symlink { stat.st_mode } else { mode };
        self.fs.sidecar.set(made, &stat, self.fs.owner, Stored { mode, uid, gid, rdev })
    }

    fn other(&self, inode: &InodeRef) -> Result<Handle, Errno> {
        match inode.as_any().downcast_ref::<HostInode>() {
            Some(other) if other.fs.id == self.fs.id => Ok(other.handle.clone()),
            _ => bail!(EXDEV),
        }
    }

    fn forget_if_gone(&self, victim: &Handle) {
        if victim.stat().is_ok_and(|s| s.st_nlink == 0) || victim.kind == Kind::Directory {
            self.fs.sidecar.forget(victim);
        }
    }
}

/// Permission bits for the host: nothing special, and never less than we ourselves need.
fn host_bits(kind: Kind, mode: u32) -> u32 {
    (mode & 0o777) | if kind == Kind::Directory { 0o700 } else { 0o600 }
}

fn os(name: &[u8]) -> Result<&OsStr, Errno> {
    single(name).map(OsStr::from_bytes)
}

/// A guest's position from the host's and back. Some file systems use the largest for "the end".
fn position_of(host: u64) -> u64 {
    if host < i64::MAX as u64 - SHIFT { host + SHIFT } else { host }
}

fn host_position(pos: u64) -> u64 {
    match pos {
        0..=SHIFT => 0,
        p if p >= i64::MAX as u64 - SHIFT => p,
        p => p - SHIFT,
    }
}

impl Inode for HostInode {
    fn sb(&self) -> Arc<dyn SuperBlock> {
        self.fs.clone()
    }

    fn sb_id(&self) -> SbId {
        self.fs.id
    }

    fn ino(&self) -> Ino {
        self.handle.ino
    }

    fn kind(&self) -> Kind {
        if self.handle.kind != Kind::Regular {
            return self.handle.kind;
        }
        self.stored().ok().and_then(|(_, s)| Kind::from_mode(s.mode)).unwrap_or(Kind::Regular)
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let (stat, stored) = self.stored()?;
        let times = BodyStat::from(stat);
        Ok(Attr {
            ino: self.handle.ino,
            mode: stored.mode,
            nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
            uid: stored.uid,
            gid: stored.gid,
            rdev: stored.rdev,
            size: times.size,
            blocks: times.blocks,
            blksize: u32::try_from(stat.st_blksize).unwrap_or(4096),
            atime: times.atime,
            mtime: times.mtime,
            ctime: times.ctime,
            btime: None,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        self.directory()?;
        self.child(name, self.handle.lookup(name)?)
    }

    fn parent(&self) -> Option<InodeRef> {
        if self.handle.kind != Kind::Directory {
            return None;
        }
        if self.handle.is(&self.fs.root) {
            return Some(self.fs.root());
        }
        // `..` of a removed directory still leads up.
        let rel = self.fs.rel_of(&self.handle).unwrap_or_else(|| self.rel.clone());
        let up = rel.iter().rposition(|&b| b == b'/').map_or(&[][..], |i| &rel[..i]);
        self.fs.handle(self.fs.beneath(up).ok()?, up.to_vec()).ok()
    }

    fn alias(&self) -> Option<(InodeRef, Vec<u8>)> {
        if self.handle.is(&self.fs.root) {
            return None;
        }
        let rel = self.fs.rel_of(&self.handle)?;
        let (up, name) = match rel.iter().rposition(|&b| b == b'/') {
            Some(i) => (&rel[..i], &rel[i + 1..]),
            None => (&[][..], &rel[..]),
        };
        let dir = self.fs.beneath(up).ok()?;
        Some((self.fs.handle(dir, up.to_vec()).ok()?, name.to_vec()))
    }

    fn readdir(&self, pos: u64, emit: &mut dyn FnMut(DirEntry) -> bool) -> Result<(), Errno> {
        self.directory()?;
        let fd = self.handle.reopen(OFlags::RDONLY | OFlags::DIRECTORY)?;
        let start = host_position(pos);
        if start != 0 {
            rustix::fs::seek(&fd, SeekFrom::Start(start)).map_err(host)?;
        }
        let mut buf = vec![MaybeUninit::uninit(); 32 << 10];
        let mut dir = RawDir::new(&fd, &mut buf);
        while let Some(entry) = dir.next() {
            let entry = entry.map_err(host)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.handle.lookup(name).map_or(Kind::Regular, |h| h.kind),
                t => Kind::from_mode(t.as_raw_mode()).unwrap_or(Kind::Regular),
            };
            let next = position_of(entry.next_entry_cookie());
            if !emit(DirEntry { name: name.to_vec(), ino: entry.ino(), kind, next }) {
                break;
            }
        }
        Ok(())
    }

    fn create(
        &self,
        name: &[u8],
        kind: CreateKind,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<InodeRef, Errno> {
        self.directory()?;
        let (at, file) = (&*self.handle.fd, os(name)?);
        let is_socket = kind == CreateKind::Socket;
        let private = Mode::from_raw_mode(0o600);
        let exclusive = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (file_type, rdev, made) = match kind {
            CreateKind::Regular => {
                (libc::S_IFREG, 0, rustix::fs::openat(at, file, exclusive, private).map(drop))
            }
            CreateKind::Directory => {
                (libc::S_IFDIR, 0, rustix::fs::mkdirat(at, file, Mode::from_raw_mode(0o700)))
            }
            CreateKind::Symlink(target) => {
                let target = OsString::from_vec(target);
                (libc::S_IFLNK, 0, rustix::fs::symlinkat(target, at, file))
            }
            CreateKind::Device(kind, rdev) => {
                (kind.mode_bits(), rdev, rustix::fs::openat(at, file, exclusive, private).map(drop))
            }
            CreateKind::Fifo => (libc::S_IFIFO, 0, rustix::fs::mknodat(at, file, FileType::Fifo, private, 0)),
            CreateKind::Socket => {
                (libc::S_IFSOCK, 0, rustix::fs::mknodat(at, file, FileType::Socket, private, 0))
            }
        };
        made.map_err(host)?;
        let made = self.handle.lookup(name)?;
        self.dress(&made, file_type | (mode & 0o7777), uid, gid, rdev)?;
        if is_socket {
            let bind_at = Some(PathBuf::from(self.fs.keep(&self.handle)?).join(file));
            let rel = [&self.rel[..], b"/", name].concat();
            return Ok(Arc::new(HostInode { fs: self.fs.clone(), handle: made, rel, bind_at }));
        }
        self.child(name, made)
    }

    fn tmpfile(&self, mode: u32, uid: u32, gid: u32) -> Result<InodeRef, Errno> {
        self.directory()?;
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&*self.handle.fd, ".", flags, Mode::from_raw_mode(0o600)).map_err(host)?;
        // The descriptor itself serves as handle: an O_PATH one would do no more.
        let made = Handle::new(fd)?;
        self.dress(&made, libc::S_IFREG | (mode & 0o7777), uid, gid, 0)?;
        self.fs.handle(made, self.rel.clone())
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        self.directory()?;
        let (target, file) = (self.other(target)?, os(name)?);
        if target.kind == Kind::Directory {
            bail!(EPERM);
        }
        // The magic link leads to the file itself, even to a symlink.
        let flags = AtFlags::SYMLINK_FOLLOW;
        rustix::fs::linkat(rustix::fs::CWD, target.proc_path(), &*self.handle.fd, file, flags).map_err(host)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.directory()?;
        let victim = self.handle.lookup(name)?;
        if victim.kind == Kind::Directory {
            bail!(EISDIR);
        }
        rustix::fs::unlinkat(&*self.handle.fd, os(name)?, AtFlags::empty()).map_err(host)?;
        self.forget_if_gone(&victim);
        Ok(())
    }

    fn rmdir(&self, name: &[u8]) -> Result<(), Errno> {
        self.directory()?;
        let victim = self.handle.lookup(name)?;
        rustix::fs::unlinkat(&*self.handle.fd, os(name)?, AtFlags::REMOVEDIR).map_err(host)?;
        self.forget_if_gone(&victim);
        self.fs.known.lock().remove(&victim.ino);
        Ok(())
    }

    fn rename(
        &self,
        name: &[u8],
        new_dir: &InodeRef,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        self.directory()?;
        let to = self.other(new_dir)?;
        if flags.contains(RenameFlags::WHITEOUT) {
            bail!(EINVAL, "whiteouts are devices, which the host will not make");
        }
        let victim = to.lookup(new_name).ok();
        let flags = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
        rustix::fs::renameat_with(&*self.handle.fd, os(name)?, &*to.fd, os(new_name)?, flags)
            .map_err(host)?;
        if let Some(victim) = victim {
            self.forget_if_gone(&victim);
        }
        Ok(())
    }

    fn readlink(&self) -> Result<Vec<u8>, Errno> {
        if self.handle.kind != Kind::Symlink {
            bail!(EINVAL);
        }
        Ok(rustix::fs::readlinkat(&*self.handle.fd, "", Vec::new()).map_err(host)?.into_bytes())
    }

    fn setattr(&self, set: &SetAttr) -> Result<(), Errno> {
        if let Some(size) = set.size {
            let fd = self.handle.reopen(OFlags::WRONLY | OFlags::NONBLOCK)?;
            rustix::fs::ftruncate(fd, size).map_err(host)?;
        }
        if set.mode.is_some() || set.uid.is_some() || set.gid.is_some() {
            let (stat, mut want) = self.stored()?;
            if let Some(mode) = set.mode {
                want.mode = (want.mode & libc::S_IFMT) | (mode & 0o7777);
                if stat.st_uid != self.fs.owner.uid && self.fs.owner.uid != 0 {
                    bail!(EPERM, "the file is not ours on the host");
                }
                if self.handle.kind != Kind::Symlink {
                    let bits = Mode::from_raw_mode(host_bits(self.handle.kind, mode));
                    rustix::fs::chmod(self.handle.proc_path(), bits).map_err(host)?;
                }
            }
            want.uid = set.uid.unwrap_or(want.uid);
            want.gid = set.gid.unwrap_or(want.gid);
            self.fs.sidecar.set(&self.handle, &self.handle.stat()?, self.fs.owner, want)?;
        }
        if set.atime.is_some() || set.mtime.is_some() {
            let time = |t: SetTime| match t {
                SetTime::Now => crate::fs::now(),
                SetTime::At(t) => t,
            };
            let times: (Option<Timespec>, Option<Timespec>) = (set.atime.map(time), set.mtime.map(time));
            let times = timestamps(times.0, times.1);
            // An empty path needs 5.8; the magic link does for everything but symlinks.
            rustix::fs::utimensat(&*self.handle.fd, "", &times, AtFlags::EMPTY_PATH)
                .or_else(|_| {
                    rustix::fs::utimensat(rustix::fs::CWD, self.handle.proc_path(), &times, AtFlags::empty())
                })
                .map_err(host)?;
        }
        Ok(())
    }

    fn open(&self, how: &OpenRequest) -> Result<Opened, Errno> {
        let passed = libc::O_ACCMODE
            | libc::O_APPEND
            | libc::O_TRUNC
            | libc::O_NONBLOCK
            | libc::O_DSYNC
            | libc::O_SYNC
            | libc::O_DIRECT
            | libc::O_NOATIME
            | libc::O_PATH
            | libc::O_LARGEFILE;
        let flags = how.flags & passed;
        let path_only = flags & libc::O_PATH != 0;
        match self.kind() {
            Kind::Regular => {}
            Kind::Fifo => {
                let blocks =
                    !path_only && flags & libc::O_NONBLOCK == 0 && flags & libc::O_ACCMODE != libc::O_RDWR;
                if blocks {
                    let flags = (flags & !libc::O_TRUNC) | libc::O_CLOEXEC;
                    return Ok(Opened::Blocking(self.fs.keep(&self.handle)?.into(), flags));
                }
            }
            Kind::Directory => bail!(EISDIR, "directories are opened as placeholders"),
            Kind::Symlink => bail!(ELOOP, "symlinks are opened as placeholders"),
            Kind::CharDevice if self.handle.kind == Kind::CharDevice && !path_only => {
                // A device of the host that was mounted by whoever started the container.
            }
            kind @ (Kind::CharDevice | Kind::BlockDevice)
                if self.handle.kind == Kind::Regular && !path_only =>
            {
                let devices = self.fs.devices.get().ok_or(err!(ENXIO, "no devices here"))?;
                return devices.open(kind, self.attr()?.rdev, flags, how.tid).map(Opened::Fd);
            }
            _ => bail!(ENXIO),
        }
        let open = |flags: i32| self.handle.reopen(OFlags::from_bits_retain(flags as u32));
        match open(flags) {
            Err(e) if e.code() == libc::EPERM && flags & libc::O_NOATIME != 0 => {
                open(flags & !libc::O_NOATIME)
            }
            other => other,
        }
        .map(Opened::Fd)
    }

    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let name = host_name(name).ok_or(err!(ENODATA))?;
        let mut buf = vec![0; XATTR_MAX];
        let n = rustix::fs::getxattr(self.handle.proc_path(), OsStr::from_bytes(&name), &mut buf[..])
            .map_err(host)?;
        buf.truncate(n);
        Ok(buf)
    }

    fn setxattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<(), Errno> {
        let name = host_name(name).ok_or(err!(EPERM))?;
        let flags = rustix::fs::XattrFlags::from_bits_retain(flags.bits());
        rustix::fs::setxattr(self.handle.proc_path(), OsStr::from_bytes(&name), value, flags).map_err(host)
    }

    fn listxattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut buf = vec![0u8; XATTR_MAX];
        let n = match rustix::fs::listxattr(self.handle.proc_path(), &mut buf[..]) {
            Ok(n) => n,
            Err(rustix::io::Errno::OPNOTSUPP) => 0,
            Err(e) => return Err(host(e)),
        };
        Ok(buf[..n].split(|&b| b == 0).filter(|n| !n.is_empty()).filter_map(guest_name).collect())
    }

    fn removexattr(&self, name: &[u8]) -> Result<(), Errno> {
        let name = host_name(name).ok_or(err!(ENODATA))?;
        rustix::fs::removexattr(self.handle.proc_path(), OsStr::from_bytes(&name)).map_err(host)
    }

    fn open_body(&self) -> Result<OwnedFd, Errno> {
        if self.handle.kind != Kind::Regular {
            bail!(EACCES);
        }
        self.handle.reopen(OFlags::RDONLY)
    }

    fn socket_path(&self) -> Option<PathBuf> {
        if self.handle.kind != Kind::Socket {
            return None;
        }
        match &self.bind_at {
            Some(at) => Some(at.clone()),
            None => self.fs.keep(&self.handle).ok().map(PathBuf::from),
        }
    }

    fn fsync(&self) -> Result<(), Errno> {
        if !matches!(self.handle.kind, Kind::Regular | Kind::Directory) {
            return Ok(());
        }
        rustix::fs::fsync(self.handle.reopen(OFlags::RDONLY)?).map_err(host)
    }
}
