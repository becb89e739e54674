//! A layer in the making: what a step puts on top of an image, and its archive.

use super::context::directory;
use super::tree::{Meta, Node, Tree, components, show};
use crate::engine::error::{Error, Result};
use carrack_images::FileKind;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{Read, Write};
use std::sync::Arc;
use tar::{EntryType, Header};

const LINKS_MAX: usize = 40;
/// What layers mark deletions with, so that no file can be called so (OCI image specification, layer.md).
const WHITEOUT: &[u8] = b".wh.";

/// Names from the root on.
pub(super) type Names = Vec<Vec<u8>>;

#[derive(Debug)]
struct Put {
    meta: Meta,
    /// A directory of the image that stays, with new attributes or as it is.
    merges: bool,
    /// Where a regular file's bytes are.
    from: Option<(Arc<dyn Tree>, Node)>,
}

/// What is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    Nothing,
    Directory,
    Symlink(Vec<u8>),
    Other,
}

/// An image and what is put on it.
#[derive(Debug)]
pub(super) struct Overlay {
    base: Option<Arc<dyn Tree>>,
    /// By path, parents before what is in them.
    puts: BTreeMap<Vec<u8>, Put>,
    /// Time of directories that had to be made.
    now: i64,
}

impl Overlay {
    pub(super) fn new(base: Option<Arc<dyn Tree>>, now: i64) -> Overlay {
        Overlay { base, puts: BTreeMap::new(), now }
    }

    /// What is at a path that goes through no symbolic link.
    pub(super) fn at(&self, names: &[Vec<u8>]) -> Result<At> {
        match self.find(names) {
            (Some(put), _) => Ok(kind(&put.meta)),
            (None, Some((tree, node))) => Ok(kind(&tree.meta(node)?)),
            (None, None) => Ok(At::Nothing),
        }
    }

    /// The new entry, and the image's where it shows through.
    fn find(&self, names: &[Vec<u8>]) -> (Option<&Put>, Option<(&dyn Tree, Node)>) {
        let mut below = self.base.as_deref().map(|tree| (tree, tree.root()));
        let mut path = Vec::new();
        let mut put = None;
        for name in names {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            put = self.puts.get(&path);
            below = match put {
                Some(put) if !put.merges => None,
                _ => below.and_then(|(tree, dir)| tree.lookup(dir, name).map(|node| (tree, node))),
            };
        }
        (put, below)
    }

    /// Where a path leads when symbolic links are followed, the last one too. What does not exist stays as it is written.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<Names> {
        let mut todo: VecDeque<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
        let mut names: Names = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                names.pop();
                continue;
            }
            names.push(name);
            if let At::Symlink(target) = self.at(&names)? {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Error::invalid(format!("{}: too many levels of symbolic links", show(path))));
                }
                if target.starts_with(b"/") {
                    names.clear();
                } else {
                    names.pop();
                }
                for part in components(&target).map(<[u8]>::to_vec).collect::<Vec<_>>().into_iter().rev() {
                    todo.push_front(part);
                }
            }
        }
        Ok(names)
    }

    /// Makes the directory and those above it as far as they are missing; those get `owner`. Says whether it was missing.
    pub(super) fn make_dirs(&mut self, names: &[Vec<u8>], owner: (u32, u32)) -> Result<bool> {
        let mut made = false;
        for depth in 1..=names.len() {
            let (above, is_last) = (&names[..depth], depth == names.len());
            match self.at(above)? {
                At::Directory => {}
                At::Nothing => {
                    made = is_last;
                    let (uid, gid) = if is_last { owner } else { (0, 0) };
                    let meta = Meta { uid, gid, mtime: self.now, ..plain_directory() };
                    self.put(above, Put { meta, merges: false, from: None })?;
                }
                _ => return Err(Error::invalid(format!("{}: not a directory", show(&above.join(&b'/'))))),
            }
        }
        Ok(made)
    }

    /// Gives a directory its attributes; what is there and is none makes way.
    pub(super) fn put_dir(&mut self, names: &[Vec<u8>], meta: Meta) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let merges = match self.find(names) {
            (Some(put), _) if put.meta.kind == FileKind::Directory => put.merges,
            (None, Some((tree, node))) => tree.meta(node)?.kind == FileKind::Directory,
            _ => false,
        };
        self.put(names, Put { meta, merges, from: None })
    }

    /// Puts anything but a directory; what is there makes way.
    pub(super) fn put_file(
        &mut self,
        names: &[Vec<u8>],
        meta: Meta,
        from: Option<(Arc<dyn Tree>, Node)>,
    ) -> Result<()> {
        if names.is_empty() {
            return Err(Error::invalid("a file cannot be in the place of the root directory"));
        }
        let below = [names.join(&b'/').as_slice(), b"/"].concat();
        let gone: Vec<Vec<u8>> = self
            .puts
            .range(below.clone()..)
            .take_while(|(path, _)| path.starts_with(&below))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            self.puts.remove(&path);
        }
        self.put(names, Put { meta, merges: false, from })
    }

    fn put(&mut self, names: &[Vec<u8>], put: Put) -> Result<()> {
        if names.last().is_some_and(|name| name.starts_with(WHITEOUT)) {
            let path = show(&names.join(&b'/'));
            return Err(Error::invalid(format!("{path}: names that begin with .wh. are reserved in layers")));
        }
        self.puts.insert(names.join(&b'/'), put);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// Writes the layer's archive.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<()> {
        let mut tar = tar::Builder::new(out);
        // Names of one and the same file become hard links, as they were.
        let mut written: HashMap<(*const (), Node), &[u8]> = HashMap::new();
        for (path, put) in &self.puts {
            let meta = &put.meta;
            let mut header = Header::new_gnu();
            header.set_mode(meta.mode);
            header.set_uid(meta.uid.into());
            header.set_gid(meta.gid.into());
            header.set_mtime(u64::try_from(meta.mtime).unwrap_or(0));
            header.set_size(0);
            let mut pax: Vec<(String, &[u8])> = meta
                .xattrs
                .iter()
                .filter_map(|(name, value)| {
                    Some((format!("SCHILY.xattr.{}", std::str::from_utf8(name).ok()?), &value[..]))
                })
                .collect();
            let key = put.from.as_ref().map(|(tree, node)| (Arc::as_ptr(tree).cast::<()>(), *node));
            let first = key.and_then(|key| written.get(&key).copied());
            let first = first.filter(|f| self.puts.get(*f).is_some_and(|p| same_attributes(&p.meta, meta)));
            let link = first.unwrap_or(&meta.link);
            if header.set_link_name_literal(link).is_err() {
                pax.push(("linkpath".into(), link));
            }
            if !pax.is_empty() {
                tar.append_pax_extensions(pax.iter().map(|(k, v)| (k.as_str(), *v)))?;
            }
            let name: &std::path::Path = std::path::Path::new(os(path));
            match meta.kind {
                FileKind::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    let name = [path.as_slice(), b"/"].concat();
                    tar.append_data(&mut header, std::path::Path::new(os(&name)), std::io::empty())?;
                }
                FileKind::Symlink => {
                    header.set_entry_type(EntryType::Symlink);
                    tar.append_data(&mut header, name, std::io::empty())?;
                }
                FileKind::Regular if first.is_some() => {
                    header.set_entry_type(EntryType::Link);
                    tar.append_data(&mut header, name, std::io::empty())?;
                }
                FileKind::Regular => {
                    let Some((tree, node)) = &put.from else {
                        return Err(Error::internal("a file without bytes"));
                    };
                    written.extend(key.map(|key| (key, path.as_slice())));
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(meta.size);
                    let bytes = tree.open(*node)?.take(meta.size);
                    tar.append_data(&mut header, name, Exactly { inner: bytes, left: meta.size })?;
                }
                FileKind::Fifo => {
                    header.set_entry_type(EntryType::Fifo);
                    tar.append_data(&mut header, name, std::io::empty())?;
                }
                FileKind::CharDevice | FileKind::BlockDevice => {
                    let is_char = meta.kind == FileKind::CharDevice;
                    header.set_entry_type(if is_char { EntryType::Char } else { EntryType::Block });
                    header.set_device_major(rustix::fs::major(meta.rdev))?;
                    header.set_device_minor(rustix::fs::minor(meta.rdev))?;
                    tar.append_data(&mut header, name, std::io::empty())?;
                }
                // No archive can hold one.
                FileKind::Socket => {}
            }
        }
        tar.finish()?;
        Ok(())
    }
}

fn os(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

fn same_attributes(a: &Meta, b: &Meta) -> bool {
    (a.mode, a.uid, a.gid) == (b.mode, b.uid, b.gid)
}

fn kind(meta: &Meta) -> At {
    match meta.kind {
        FileKind::Directory => At::Directory,
        FileKind::Symlink => At::Symlink(meta.link.clone()),
        _ => At::Other,
    }
}

/// A directory as it is made when nobody says how.
pub(super) fn plain_directory() -> Meta {
    Meta { is_implied: false, ..directory(0o755) }
}

/// A source that ends early would shift everything behind it.
struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "a file became shorter"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}
