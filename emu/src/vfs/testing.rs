//! A file system of nothing but names, for tests of what is above file systems.

use super::*;
use crate::bail;
use crate::errno::Errno;
use crate::task::{Caps, Cred};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

#[derive(Debug)]
pub(crate) struct MemFs {
    id: SbId,
    me: Weak<MemFs>,
    inodes: Mutex<HashMap<Ino, Arc<MemInode>>>,
    next: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct MemInode {
    fs: Weak<MemFs>,
    sb: SbId,
    ino: Ino,
    what: CreateKind,
    attr: Mutex<Attr>,
    names: Mutex<BTreeMap<Vec<u8>, Ino>>,
    /// (parent, name)
    place: Mutex<Option<(Ino, Vec<u8>)>>,
}

impl MemFs {
    pub(crate) fn new(id: u32) -> Arc<MemFs> {
        let fs = Arc::new_cyclic(|me| MemFs {
            id: SbId(id),
            me: me.clone(),
            inodes: Mutex::new(HashMap::new()),
            next: AtomicU64::new(1),
        });
        fs.make(CreateKind::Directory, 0o755, 0, 0, None);
        fs
    }

    fn make(
        &self,
        what: CreateKind,
        mode: u32,
        uid: u32,
        gid: u32,
        place: Option<(Ino, Vec<u8>)>,
    ) -> Arc<MemInode> {
        let ino = self.next.fetch_add(1, Ordering::Relaxed);
        let bits = match &what {
            CreateKind::Directory => libc::S_IFDIR,
            CreateKind::Symlink(_) => libc::S_IFLNK,
            CreateKind::Fifo => libc::S_IFIFO,
            CreateKind::Socket => libc::S_IFSOCK,
            CreateKind::Device(kind, _) => kind.mode_bits(),
            CreateKind::Regular => libc::S_IFREG,
        };
        let attr = Attr { ino, mode: bits | mode, nlink: 1, uid, gid, ..Attr::default() };
        let inode = Arc::new(MemInode {
            fs: self.me.clone(),
            sb: self.id,
            ino,
            what,
            attr: Mutex::new(attr),
            names: Mutex::default(),
            place: Mutex::new(place),
        });
        self.inodes.lock().insert(ino, inode.clone());
        inode
    }
}

impl SuperBlock for MemFs {
    fn id(&self) -> SbId {
        self.id
    }
    fn fstype(&self) -> &'static str {
        "mem"
    }
    fn root(&self) -> InodeRef {
        self.inodes.lock()[&1].clone()
    }
    fn inode(&self, ino: Ino) -> Option<InodeRef> {
        self.inodes.lock().get(&ino).map(|i| i.clone() as InodeRef)
    }
    fn statfs(&self) -> Result<StatFs, Errno> {
        Ok(StatFs::default())
    }
}

impl MemInode {
    fn fs(&self) -> Arc<MemFs> {
        self.fs.upgrade().expect("the file system outlives its inodes")
    }
    fn get(&self, ino: Ino) -> InodeRef {
        self.fs().inode(ino).expect("names lead to inodes")
    }
}

impl Inode for MemInode {
    fn sb(&self) -> Arc<dyn SuperBlock> {
        self.fs()
    }
    fn sb_id(&self) -> SbId {
        self.sb
    }
    fn ino(&self) -> Ino {
        self.ino
    }
    fn kind(&self) -> Kind {
        self.attr.lock().kind()
    }
    fn attr(&self) -> Result<Attr, Errno> {
        Ok(*self.attr.lock())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        if self.kind() != Kind::Directory {
            bail!(ENOTDIR);
        }
        match self.names.lock().get(name) {
            Some(&ino) => Ok(self.get(ino)),
            None => bail!(ENOENT),
        }
    }
    fn parent(&self) -> Option<InodeRef> {
        let up = self.place.lock().as_ref().map_or(self.ino, |(up, _)| *up);
        Some(self.get(up))
    }
    fn alias(&self) -> Option<(InodeRef, Vec<u8>)> {
        let place = self.place.lock().clone();
        place.map(|(up, name)| (self.get(up), name))
    }
    fn create(
        &self,
        name: &[u8],
        kind: CreateKind,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<InodeRef, Errno> {
        let inode = self.fs().make(kind, mode, uid, gid, Some((self.ino, name.to_vec())));
        self.names.lock().insert(name.to_vec(), inode.ino);
        Ok(inode)
    }
    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let Some(ino) = self.names.lock().remove(name) else { bail!(ENOENT) };
        let fs = self.fs();
        if let Some(inode) = fs.inodes.lock().get(&ino) {
            inode.attr.lock().nlink = 0;
            *inode.place.lock() = None;
        }
        Ok(())
    }
    fn setattr(&self, set: &SetAttr) -> Result<(), Errno> {
        let mut attr = self.attr.lock();
        if let Some(mode) = set.mode {
            attr.mode = attr.mode & libc::S_IFMT | mode;
        }
        attr.uid = set.uid.unwrap_or(attr.uid);
        Ok(())
    }
    fn readlink(&self) -> Result<Vec<u8>, Errno> {
        match &self.what {
            CreateKind::Symlink(to) => Ok(to.clone()),
            _ => bail!(EINVAL),
        }
    }
}

/// A namespace of one [`MemFs`], and a walker with all capabilities.
pub(crate) struct World {
    pub(crate) ns: MountNs,
    pub(crate) cred: Cred,
    pub(crate) root: Path,
}

impl World {
    pub(crate) fn new() -> World {
        let fs = MemFs::new(1);
        let ns = MountNs::new(fs, MountFlags::empty(), "mem".into());
        let root = ns.root();
        World { ns, cred: Cred::root(Caps::all()), root }
    }

    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup { mounts: &self.ns, root: &self.root, cred: &self.cred }
    }

    /// Makes something below an existing directory; `path` is absolute.
    pub(crate) fn make(&self, path: &str, what: CreateKind) -> InodeRef {
        let parent = self.lookup().parent(&self.root, path.as_bytes(), LookupFlags::empty()).expect("parent");
        let mode = if what == CreateKind::Regular { 0o644 } else { 0o755 };
        parent.dir.inode.create(&parent.name, what, mode, 0, 0).expect("create")
    }

    pub(crate) fn dir(&self, path: &str) -> InodeRef {
        self.make(path, CreateKind::Directory)
    }

    pub(crate) fn link(&self, path: &str, to: &str) {
        self.make(path, CreateKind::Symlink(to.as_bytes().to_vec()));
    }

    pub(crate) fn file(&self, path: &str) -> InodeRef {
        self.make(path, CreateKind::Regular)
    }

    /// The place's path, or the error.
    pub(crate) fn find(&self, start: &Path, path: &str, flags: LookupFlags) -> Result<String, i32> {
        let found = self.lookup().path(start, path.as_bytes(), flags).map_err(|e| e.code())?;
        Ok(String::from_utf8(d_path(&found, &self.root).path).expect("ascii"))
    }

    pub(crate) fn at(&self, path: &str) -> Path {
        self.lookup().path(&self.root, path.as_bytes(), LookupFlags::FOLLOW).expect("exists")
    }
}
