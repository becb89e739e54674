//! Files out of the container: `docker cp` from it, `docker export`, `docker commit`.
//!
//! Everything goes through the container's own mounts, never through host paths made of guest names.

use super::Failure;
use super::paths::{self, Follow, Found};
use super::supervisor::Supervisor;
use crate::control::{ChangeKind, ErrorKind, PathStat};
use crate::errno::Errno;
use crate::vfs::{Attr, DirEntry, Ino, InodeRef, Kind, MountNs, Path, SbId};
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use tar::{EntryType, Header};

/// Deepest directory that is archived; deeper ones are left out. Linux itself bounds paths at 4096 bytes.
const MAX_DEPTH: usize = 2048;

/// Translates an errno of a look-up for `path` into what Docker's clients know.
pub(super) fn cannot_find(s: &Supervisor, path: &str, e: Errno) -> Failure {
    match e.code() {
        libc::ENOENT => {
            let text = format!("Could not find the file {path} in container {}", s.spec.id);
            Failure::new(ErrorKind::NotFound, text)
        }
        code => Failure::new(ErrorKind::Invalid, format!("{path}: {}", super::exec::strerror(code))),
    }
}

/// What `docker cp` asks first: type, size, and where a symlink leads.
pub(super) fn stat(s: &Supervisor, path: &str) -> Result<PathStat, Failure> {
    let ns = &s.kernel.mounts;
    let found = paths::lookup(ns, None, path.as_bytes(), Follow::No).map_err(|e| cannot_find(s, path, e))?;
    let attr = found.path().inode.attr().map_err(|e| cannot_find(s, path, e))?;
    let link_target = match attr.kind() {
        Kind::Symlink => link_target(ns, &found).map_err(|e| cannot_find(s, path, e))?,
        _ => Vec::new(),
    };
    let mtime = time::OffsetDateTime::from_unix_timestamp(attr.mtime.sec)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
        + time::Duration::nanoseconds(attr.mtime.nsec.into());
    Ok(PathStat {
        name: base_name(path),
        size: attr.size as i64,
        mode: attr.mode,
        mtime: super::state::rfc3339(mtime),
        link_target: String::from_utf8_lossy(&link_target).into_owned(),
    })
}

/// The absolute path that a symlink leads to; for a dangling one, as far as text alone tells.
fn link_target(ns: &MountNs, link: &Found) -> Result<Vec<u8>, Errno> {
    if let Ok(end) = paths::lookup(ns, None, &link.text(), Follow::Yes) {
        return Ok(end.text());
    }
    let target = link.path().inode.readlink()?;
    let base = match target.first() {
        Some(b'/') => Vec::new(),
        _ => link.parent().map(|p| p.text()).unwrap_or_default(),
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in base.split(|&b| b == b'/').chain(target.split(|&b| b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok([b"/", parts.join(&b"/"[..]).as_slice()].concat())
}

/// Go's `filepath.Base` of the path made absolute.
fn base_name(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some("") | None => "/".into(),
        Some(name) => name.into(),
    }
}

/// Something to be archived.
#[derive(Debug)]
pub(super) struct Source<'a> {
    ns: &'a MountNs,
    top: Path,
    /// Name of the top entry; what is below is prefixed with it.
    name: Vec<u8>,
    /// Leave the top entry itself out.
    is_headless: bool,
    /// Mounts that are followed into, by number.
    crosses: HashSet<u32>,
}

/// `docker cp` from the container: a file, or a directory with all below it under its own name.
pub(super) fn open<'a>(s: &'a Supervisor, path: &str) -> Result<Source<'a>, Failure> {
    let ns = &s.kernel.mounts;
    let found = paths::lookup(ns, None, path.as_bytes(), Follow::No).map_err(|e| cannot_find(s, path, e))?;
    Ok(Source {
        ns,
        top: found.path().clone(),
        name: base_name(path).into_bytes(),
        is_headless: false,
        crosses: s.rootfs.user_mounts.clone(),
    })
}

/// `docker export`: the root file system without anything mounted on it.
pub(super) fn whole(s: &Supervisor) -> Source<'_> {
    Source {
        ns: &s.kernel.mounts,
        top: s.kernel.mounts.root(),
        name: Vec::new(),
        is_headless: true,
        crosses: HashSet::new(),
    }
}

/// What the container changed of its image, as the archive of a layer (OCI image specification, layer.md): what is gone
/// is a whiteout, and a directory in the place of another one is opaque.
pub(super) fn write_layer(s: &Supervisor, to: &mut impl Write) -> io::Result<()> {
    let source = whole(s);
    let mut out = io::BufWriter::with_capacity(64 << 10, to);
    let mut links = HashMap::new();
    for change in s.rootfs.differences() {
        let name = change.path.strip_prefix(b"/").unwrap_or(&change.path);
        let (dir, base) = match name.iter().rposition(|&b| b == b'/') {
            Some(cut) => (&name[..=cut], &name[cut + 1..]),
            None => (&b""[..], name),
        };
        if change.kind == ChangeKind::Deleted {
            empty_file(&mut out, &[dir, b".wh.", base].concat())?;
            continue;
        }
        // Without mounts: what is mounted there is no part of the image. What is gone since the list was made is left out.
        let mut inode = source.top.inode.clone();
        let found = name.split(|&b| b == b'/').all(|part| match inode.lookup(part) {
            Ok(next) => {
                inode = next;
                true
            }
            Err(_) => false,
        });
        let Some(attr) = found.then(|| inode.attr().ok()).flatten() else { continue };
        source.entry(&mut out, &inode, &attr, name, &mut links)?;
        if change.is_opaque && attr.kind() == Kind::Directory {
            empty_file(&mut out, &[name, b"/.wh..wh..opq"].concat())?;
        }
    }
    out.write_all(&[0; 1024])?;
    out.flush()
}

/// A mark of a layer: a file without content.
fn empty_file(out: &mut impl Write, name: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    let mut pax = Vec::new();
    put_name(&mut header.as_ustar_mut().map(|h| &mut h.name[..]), name, "path", &mut pax);
    extended_header(out, &pax)?;
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// The records of an extended header before the entry that they are about; none: nothing.
fn extended_header(out: &mut impl Write, pax: &[u8]) -> io::Result<()> {
    if pax.is_empty() {
        return Ok(());
    }
    let mut extended = Header::new_ustar();
    extended.set_entry_type(EntryType::XHeader);
    put_name(&mut extended.as_ustar_mut().map(|h| &mut h.name[..]), b"PaxHeaders.0/x", "", &mut Vec::new());
    extended.set_size(pax.len() as u64);
    extended.set_mode(0o644);
    extended.set_cksum();
    out.write_all(extended.as_bytes())?;
    out.write_all(pax)?;
    pad(out, pax.len() as u64)
}

impl Source<'_> {
    /// Writes the archive.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut out = io::BufWriter::with_capacity(64 << 10, to);
        let mut links = HashMap::new();
        // Directories whose entries are still to be written: depth first, in the order of their entries.
        let mut stack: Vec<(Path, Vec<u8>, usize)> = Vec::new();
        let top_attr = self.top.inode.attr().map_err(io_error)?;
        if !self.is_headless {
            self.entry(&mut out, &self.top.inode, &top_attr, &self.name, &mut links)?;
        }
        if top_attr.kind() == Kind::Directory {
            stack.push((self.top.clone(), self.name.clone(), 0));
        }
        while let Some((dir, name, depth)) = stack.pop() {
            let mut below = Vec::new();
            for entry in read_dir(&dir.inode) {
                // Removed meanwhile.
                let Ok(inode) = dir.inode.lookup(&entry.name) else { continue };
                let path = self.cross(Path { mnt: dir.mnt.clone(), inode });
                let Ok(attr) = path.inode.attr() else { continue };
                let full = match name.as_slice() {
                    b"" => entry.name.clone(),
                    b"/" => [b"/", entry.name.as_slice()].concat(),
                    name => [name, b"/", entry.name.as_slice()].concat(),
                };
                self.entry(&mut out, &path.inode, &attr, &full, &mut links)?;
                if attr.kind() == Kind::Directory && depth < MAX_DEPTH {
                    below.push((path, full, depth + 1));
                }
            }
            stack.extend(below.into_iter().rev());
        }
        out.write_all(&[0; 1024])?;
        out.flush()
    }

    /// What the archive shows at a place on which something may be mounted.
    fn cross(&self, path: Path) -> Path {
        match self.ns.mounted_on(&path.mnt, &path.inode) {
            Some(mnt) if self.crosses.contains(&mnt.id) => self.cross(Path::root_of(&mnt)),
            _ => path,
        }
    }

    fn entry(
        &self,
        out: &mut impl Write,
        inode: &InodeRef,
        attr: &Attr,
        name: &[u8],
        links: &mut HashMap<(SbId, Ino), Vec<u8>>,
    ) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_mode(attr.mode & 0o7777);
        header.set_uid(attr.uid.into());
        header.set_gid(attr.gid.into());
        header.set_mtime(attr.mtime.sec.max(0) as u64);
        header.set_size(0);
        let mut name = name.to_vec();
        let mut link = Vec::new();
        let mut body = None;
        match attr.kind() {
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                if !name.ends_with(b"/") {
                    name.push(b'/');
                }
            }
            Kind::Symlink => {
                header.set_entry_type(EntryType::Symlink);
                link = inode.readlink().map_err(io_error)?;
            }
            Kind::Regular => {
                let known = (attr.nlink > 1).then(|| links.get(&(inode.sb_id(), attr.ino))).flatten();
                if let Some(first) = known {
                    header.set_entry_type(EntryType::Link);
                    link = first.clone();
                } else {
                    if attr.nlink > 1 {
                        links.insert((inode.sb_id(), attr.ino), name.clone());
                    }
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(attr.size);
                    body = Some(std::fs::File::from(inode.open_body().map_err(io_error)?));
                }
            }
            Kind::Fifo => header.set_entry_type(EntryType::Fifo),
            kind @ (Kind::CharDevice | Kind::BlockDevice) => {
                let is_char = kind == Kind::CharDevice;
                header.set_entry_type(if is_char { EntryType::Char } else { EntryType::Block });
                header.set_device_major(libc::major(attr.rdev))?;
                header.set_device_minor(libc::minor(attr.rdev))?;
            }
            // There is no entry type for sockets; Docker leaves them out.
            Kind::Socket => return Ok(()),
        }
        let mut pax = Vec::new();
        put_name(&mut header.as_ustar_mut().map(|h| &mut h.name[..]), &name, "path", &mut pax);
        put_name(&mut header.as_ustar_mut().map(|h| &mut h.linkname[..]), &link, "linkpath", &mut pax);
        if attr.size > 0o77_777_777_777 && body.is_some() {
            pax_record(&mut pax, "size", attr.size.to_string().as_bytes());
        }
        for (key, id) in [("uid", attr.uid), ("gid", attr.gid)] {
            if id > 0o7_777_777 {
                pax_record(&mut pax, key, id.to_string().as_bytes());
            }
        }
        if let Ok(value) = inode.getxattr(b"security.capability") {
            pax_record(&mut pax, "SCHILY.xattr.security.capability", &value);
        }
        extended_header(out, &pax)?;
        header.set_cksum();
        out.write_all(header.as_bytes())?;
        if let Some(body) = body {
            // Exactly what the header says, whatever the file does meanwhile.
            let copied = io::copy(&mut body.take(attr.size), out)?;
            io::copy(&mut io::repeat(0).take(attr.size - copied), out)?;
            pad(out, attr.size)?;
        }
        Ok(())
    }
}

/// Puts a name into its field of the header, and, where it does not fit, whole into an extended header.
fn put_name(field: &mut Option<&mut [u8]>, name: &[u8], key: &str, pax: &mut Vec<u8>) {
    if let Some(field) = field {
        let n = name.len().min(field.len());
        field[..n].copy_from_slice(&name[..n]);
        if name.len() > field.len() {
            pax_record(pax, key, name);
        }
    }
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn pax_record(pax: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    pax.extend_from_slice(format!("{length} {key}=").as_bytes());
    pax.extend_from_slice(value);
    pax.push(b'\n');
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let rest = (512 - size % 512) % 512;
    out.write_all(&[0u8; 512][..rest as usize])
}

fn read_dir(dir: &InodeRef) -> Vec<DirEntry> {
    let mut entries = Vec::new();
    // A directory that cannot be read is archived as an empty one.
    let _ = dir.readdir(0, &mut |entry| {
        if entry.name != b"." && entry.name != b".." {
            entries.push(entry);
        }
        true
    });
    entries
}

fn io_error(e: Errno) -> io::Error {
    io::Error::from_raw_os_error(e.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_names_are_gos() {
        for (path, base) in
            [("/", "/"), ("", "/"), ("/a", "a"), ("/a/", "a"), ("a/b", "b"), ("/a/.", "."), ("//", "/")]
        {
            assert_eq!(base_name(path), base, "{path:?}");
        }
    }

    #[test]
    fn pax_lengths_count_themselves() {
        let mut pax = Vec::new();
        pax_record(&mut pax, "path", &[b'x'; 88]);
        assert!(pax.starts_with(b"97 path=x"));
        assert_eq!(pax.len(), 97);
        let mut pax = Vec::new();
        pax_record(&mut pax, "path", &[b'x'; 91]);
        assert!(pax.starts_with(b"101 path=x"));
        assert_eq!(pax.len(), 101);
    }
}
