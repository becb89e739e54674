//! What the tests of file systems share.

use crate::errno::Errno;
use crate::fs::delta::{DeltaFs, ImageBodies};
use crate::fs::tree::{ImageBody, Lower, LowerInode};
use crate::vfs::{CreateKind, Ino, InodeRef, Kind, OpenRequest, Opened, SbId, SuperBlock, Timespec};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, removed at the end.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static N: AtomicU32 = AtomicU32::new(0);
        let n = N.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("carrack-fs-{}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        for sub in ["p", "s", "delta"] {
            std::fs::create_dir_all(path.join(sub)).unwrap();
        }
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A small image: a [`Lower`] and its body files.
#[derive(Debug, Default)]
pub(crate) struct Image {
    inodes: Vec<ImageInode>,
}

#[derive(Debug)]
struct ImageInode {
    info: LowerInode,
    target: Option<Vec<u8>>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    entries: Vec<(Vec<u8>, Ino)>,
    alias: Option<(Ino, Vec<u8>)>,
}

/// What an image has at a path.
#[derive(Debug, Clone)]
pub(crate) enum Thing {
    Dir,
    File(&'static str),
    Symlink(&'static str),
    /// A further name of the file at this path.
    Link(&'static str),
}

/// Made at this time, all of it.
pub(crate) const IMAGE_TIME: Timespec = Timespec { sec: 1_000_000, nsec: 5 };

impl Image {
    /// From paths (parents first); bodies are written into `dir`, named by number.
    pub(crate) fn new(things: &[(&str, Thing)], dir: &Path) -> Image {
        std::fs::create_dir_all(dir).unwrap();
        let mut image = Image::default();
        image.add(Kind::Directory, 0o755, None);
        for (path, thing) in things {
            let (up, name) = path.rsplit_once('/').unwrap();
            let up = image.at(up);
            let ino = match thing {
                Thing::Dir => {
                    image.inodes[up as usize - 1].info.nlink += 1;
                    image.add(Kind::Directory, 0o755, None)
                }
                Thing::File(text) => {
                    let ino = image.add(Kind::Regular, 0o644, None);
                    std::fs::write(dir.join(ino.to_string()), text).unwrap();
                    let info = &mut image.inodes[ino as usize - 1].info;
                    info.size = text.len() as u64;
                    info.body = Some(ImageBody { layer: 0, n: ino });
                    ino
                }
                Thing::Symlink(target) => image.add(Kind::Symlink, 0o777, Some(target.as_bytes().to_vec())),
                Thing::Link(other) => {
                    let ino = image.at(other);
                    image.inodes[ino as usize - 1].info.nlink += 1;
                    ino
                }
            };
            image.inodes[ino as usize - 1].alias = Some((up, name.as_bytes().to_vec()));
            let entries = &mut image.inodes[up as usize - 1].entries;
            entries.push((name.as_bytes().to_vec(), ino));
            entries.sort();
        }
        image
    }

    pub(crate) fn with_xattr(mut self, path: &str, name: &str, value: &str) -> Image {
        let ino = self.at(path);
        self.inodes[ino as usize - 1].xattrs.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        self
    }

    fn at(&self, path: &str) -> Ino {
        path.split('/').filter(|n| !n.is_empty()).fold(1, |dir, n| self.lookup(dir, n.as_bytes()).unwrap())
    }

    fn add(&mut self, kind: Kind, mode: u32, target: Option<Vec<u8>>) -> Ino {
        let dir = kind == Kind::Directory;
        let info = LowerInode {
            mode: kind.mode_bits() | mode,
            uid: 0,
            gid: 0,
            nlink: if dir { 2 } else { 1 },
            size: target.as_ref().map_or(if dir { 4096 } else { 0 }, |t| t.len() as u64),
            mtime: IMAGE_TIME,
            rdev: 0,
            body: None,
        };
        self.inodes.push(ImageInode { info, target, xattrs: vec![], entries: vec![], alias: None });
        self.inodes.len() as Ino
    }

    fn get(&self, ino: Ino) -> Option<&ImageInode> {
        self.inodes.get(usize::try_from(ino).ok()?.checked_sub(1)?)
    }
}

impl Lower for Image {
    fn max_ino(&self) -> Ino {
        self.inodes.len() as Ino
    }
    fn inode(&self, ino: Ino) -> Option<LowerInode> {
        self.get(ino).map(|i| i.info)
    }
    fn symlink(&self, ino: Ino) -> Option<Vec<u8>> {
        self.get(ino)?.target.clone()
    }
    fn xattrs(&self, ino: Ino) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.get(ino).map(|i| i.xattrs.clone()).unwrap_or_default()
    }
    fn xattr(&self, ino: Ino, name: &[u8]) -> Option<Vec<u8>> {
        self.xattrs(ino).into_iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
    fn lookup(&self, dir: Ino, name: &[u8]) -> Option<Ino> {
        self.get(dir)?.entries.iter().find(|(n, _)| n == name).map(|(_, ino)| *ino)
    }
    fn dir_len(&self, dir: Ino) -> usize {
        self.get(dir).map_or(0, |i| i.entries.len())
    }
    fn dir_entry(&self, dir: Ino, i: usize) -> Option<(&[u8], Ino, Kind)> {
        let (name, ino) = self.get(dir)?.entries.get(i)?;
        Some((name, *ino, Kind::from_mode(self.get(*ino)?.info.mode)?))
    }
    fn alias(&self, ino: Ino) -> Option<(Ino, Vec<u8>)> {
        self.get(ino)?.alias.clone()
    }
    fn by_body(&self, _: &[u8], n: u64) -> Option<Ino> {
        self.get(n)?.info.body.map(|_| n)
    }
}

/// A temporary container: an image and a writable layer over it, which can be closed and opened again.
pub(crate) struct Container {
    pub(crate) dir: TempDir,
    things: Vec<(&'static str, Thing)>,
    fs: Option<Arc<DeltaFs>>,
}

impl Container {
    pub(crate) fn new(things: &[(&'static str, Thing)]) -> Container {
        let mut c = Container { dir: TempDir::new(), things: things.to_vec(), fs: None };
        c.reopen();
        c
    }

    pub(crate) fn fs(&self) -> &Arc<DeltaFs> {
        self.fs.as_ref().unwrap()
    }

    pub(crate) fn root(&self) -> InodeRef {
        self.fs().root()
    }

    /// An orderly end; waits for the thread that may be in its round.
    pub(crate) fn close(&mut self) {
        let Some(fs) = self.fs.take() else { return };
        let weak = Arc::downgrade(&fs);
        drop(fs);
        for _ in 0..5000 {
            if weak.strong_count() == 0 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("the test holds an inode of it");
    }

    /// An orderly end and a new start.
    pub(crate) fn reopen(&mut self) {
        self.close();
        let bodies = self.dir.path().join("layer");
        let image = Image::new(&self.things, &bodies);
        let image = if self.things.is_empty() { image } else { image.with_xattr("", "user.image", "yes") };
        let dirs = ImageBodies { layer_dirs: vec![bodies] };
        let delta = self.dir.path().join("delta");
        let fs = DeltaFs::open_with(SbId(1), Box::new(image), &dirs, &delta, self.dir.path(), Arc::default());
        self.fs = Some(fs.unwrap());
    }
}

/// The inode at a path below `root`, symlinks not followed.
pub(crate) fn at(root: &InodeRef, path: &str) -> Result<InodeRef, Errno> {
    path.split('/').filter(|n| !n.is_empty()).try_fold(root.clone(), |dir, name| dir.lookup(name.as_bytes()))
}

pub(crate) fn open(inode: &InodeRef, flags: i32) -> Result<File, Errno> {
    match inode.open(&OpenRequest { flags, tid: 0 })? {
        Opened::Fd(fd) => Ok(File::from(fd)),
        Opened::Blocking(path, _) => panic!("{} would block", path.display()),
    }
}

pub(crate) fn write(inode: &InodeRef, flags: i32, text: &str) -> Result<(), Errno> {
    open(inode, libc::O_WRONLY | flags)?.write_all(text.as_bytes()).unwrap();
    Ok(())
}

pub(crate) fn read(inode: &InodeRef) -> String {
    let mut text = String::new();
    open(inode, libc::O_RDONLY).unwrap().read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn names(dir: &InodeRef) -> Vec<String> {
    let mut out = Vec::new();
    dir.readdir(0, &mut |e| {
        out.push(String::from_utf8(e.name).unwrap());
        true
    })
    .unwrap();
    out.sort();
    out
}

pub(crate) fn create(dir: &InodeRef, name: &str, kind: CreateKind) -> Result<InodeRef, Errno> {
    dir.create(name.as_bytes(), kind, 0o644, 0, 0)
}

/// The errno of a failure.
#[track_caller]
pub(crate) fn errno<T>(result: Result<T, Errno>) -> i32 {
    match result {
        Ok(_) => panic!("succeeded"),
        Err(e) => e.code(),
    }
}
