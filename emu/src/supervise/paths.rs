//! Path walks that the supervisor makes for itself: to find programs, read passwd, make mountpoints, copy archives.
//!
//! They differ from a guest's walks in that they start at the container's root with an absolute path, remember the
//! names they passed (so that the result has a canonical text), and follow no magic links.

use crate::bail;
use crate::errno::Errno;
use crate::task::Cred;
use crate::vfs::permission::{Access, inode_permission, may_search};
use crate::vfs::{CreateKind, Kind, MountNs, Path};
use std::collections::VecDeque;
use std::io::Read;

/// Linux's MAXSYMLINKS.
const MAX_LINKS: u32 = 40;

/// A place, and the names that lead to it from the root without passing a symlink.
#[derive(Debug, Clone)]
pub(super) struct Found {
    steps: Vec<(Vec<u8>, Path)>,
}

impl Found {
    pub(super) fn path(&self) -> &Path {
        // There is always the root.
        &self.steps[self.steps.len() - 1].1
    }

    /// Absolute text without `.`, `..`, symlinks.
    pub(super) fn text(&self) -> Vec<u8> {
        if self.steps.len() == 1 {
            return b"/".to_vec();
        }
        self.steps[1..].iter().flat_map(|(name, _)| [b"/", name.as_slice()].concat()).collect()
    }

    /// The directory that holds it; `None` for the root.
    pub(super) fn parent(&self) -> Option<Found> {
        (self.steps.len() > 1).then(|| Found { steps: self.steps[..self.steps.len() - 1].to_vec() })
    }
}

/// Whether the last component is followed when it is a symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    Yes,
    No,
}

/// The root of everything, as the container sees it.
pub(super) fn root(ns: &MountNs) -> Found {
    Found { steps: vec![(Vec::new(), ns.topmost(ns.root()))] }
}

/// Finds `path` from the root. `cred`: whose search permission counts (`None`: nobody's is asked).
pub(super) fn lookup(ns: &MountNs, cred: Option<&Cred>, path: &[u8], follow: Follow) -> Result<Found, Errno> {
    lookup_from(ns, cred, &root(ns), path, follow)
}

/// Finds `path`, which is relative to `start` unless it begins with a slash.
pub(super) fn lookup_from(
    ns: &MountNs,
    cred: Option<&Cred>,
    start: &Found,
    path: &[u8],
    follow: Follow,
) -> Result<Found, Errno> {
    let mut found = if path.first() == Some(&b'/') { root(ns) } else { start.clone() };
    let mut rest: VecDeque<Vec<u8>> = components(path).collect();
    let must_be_dir = path.ends_with(b"/") || path.ends_with(b"/.");
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        let here = found.path();
        if here.inode.kind() != Kind::Directory {
            bail!(ENOTDIR);
        }
        if let Some(cred) = cred {
            may_search(cred, &*here.inode)?;
        }
        if name == b".." {
            if found.steps.len() > 1 {
                found.steps.pop();
            }
            continue;
        }
        let child = here.inode.lookup(&name)?;
        if child.kind() == Kind::Symlink && (follow == Follow::Yes || !rest.is_empty() || must_be_dir) {
            links += 1;
            if links > MAX_LINKS {
                bail!(ELOOP);
            }
            let target = child.readlink()?;
            if target.is_empty() {
                bail!(ENOENT);
            }
            if target[0] == b'/' {
                found = root(ns);
            }
            for part in components(&target).collect::<Vec<_>>().into_iter().rev() {
                rest.push_front(part);
            }
            continue;
        }
        let mnt = here.mnt.clone();
        found.steps.push((name, ns.topmost(Path { mnt, inode: child })));
    }
    if must_be_dir && found.path().inode.kind() != Kind::Directory {
        bail!(ENOTDIR);
    }
    Ok(found)
}

/// Makes the directories of `path` that are missing (0755, owned by `uid`:`gid`) and returns the last.
pub(super) fn make_dirs(ns: &MountNs, path: &[u8], uid: u32, gid: u32) -> Result<Found, Errno> {
    let mut found = root(ns);
    for name in components(path) {
        found = match lookup_from(ns, None, &found, &name, Follow::Yes) {
            Ok(next) => next,
            Err(e) if e.code() == libc::ENOENT => {
                let here = found.path();
                if here.mnt.is_read_only() {
                    bail!(EROFS);
                }
                // A dangling symlink is there and leads nowhere: EEXIST, as mkdir would say.
                here.inode.create(&name, CreateKind::Directory, 0o755, uid, gid)?;
                lookup_from(ns, None, &found, &name, Follow::Yes)?
            }
            Err(e) => return Err(e),
        };
        if found.path().inode.kind() != Kind::Directory {
            bail!(ENOTDIR);
        }
    }
    Ok(found)
}

/// The whole of a small regular file. EFBIG when it has more than `limit` bytes.
pub(super) fn read_file(ns: &MountNs, path: &[u8], limit: u64) -> Result<Vec<u8>, Errno> {
    let found = lookup(ns, None, path, Follow::Yes)?;
    if found.path().inode.kind() != Kind::Regular {
        bail!(EISDIR);
    }
    let body = std::fs::File::from(found.path().inode.open_body()?);
    let mut text = Vec::new();
    body.take(limit + 1).read_to_end(&mut text).map_err(|e| crate::errno::host_io(&e))?;
    if text.len() as u64 > limit {
        bail!(EFBIG);
    }
    Ok(text)
}

/// Whether `cred` may execute the file: the mode bits and the mount's noexec. EACCES.
pub(super) fn may_execute(cred: &Cred, path: &Path) -> Result<(), Errno> {
    if path.mnt.flags().contains(crate::vfs::MountFlags::NOEXEC) {
        bail!(EACCES, "noexec");
    }
    inode_permission(cred, &*path.inode, Access::EXEC)
}

fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".").map(<[u8]>::to_vec)
}
