//! Path walks: from a string to a place in the tree. Linux's `struct nameidata` and path_resolution(7).
//!
//! [`Lookup`] is who walks and where `/` is; its methods are the two results that callers want: the object itself
//! ([`Lookup::path`]), or the directory and the last name ([`Lookup::parent`]). [`Nd`] is one walk in progress; open(2) alone
//! drives it by hand, because it looks again after each symlink at the end.
//!
//! Which errno comes first is Linux's: search permission before the name's length, before existence, before type.

use super::permission::{may_follow_link, may_search};
use super::{InodeRef, Kind, MountFlags, MountNs, Path, same_inode};
use crate::bail;
use crate::errno::Errno;
use crate::task::Cred;
use bitflags::bitflags;
use std::borrow::Cow;

/// Symlinks followed in one walk before ELOOP.
const MAXSYMLINKS: u32 = 40;
/// Bytes in one component.
pub const NAME_MAX: usize = 255;

bitflags! {
    /// LOOKUP_* of Linux, of which the RESOLVE_* of openat2(2) are part.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct LookupFlags: u32 {
        /// Follow a symlink in the last component.
        const FOLLOW = 1;
        /// The result must be a directory (ENOTDIR).
        const DIRECTORY = 2;
        /// An empty path names the start itself (AT_EMPTY_PATH); else it gives ENOENT.
        const EMPTY = 4;
        const NO_XDEV = 0x10;
        const NO_MAGICLINKS = 0x20;
        const NO_SYMLINKS = 0x40;
        const BENEATH = 0x80;
        const IN_ROOT = 0x100;
    }
}

impl LookupFlags {
    const SCOPED: LookupFlags = LookupFlags::BENEATH.union(LookupFlags::IN_ROOT);
}

/// What kind of name the last component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    Norm,
    /// There is none: the path is empty or only slashes.
    Root,
    Dot,
    DotDot,
}

/// The directory in which a path's last component is, and that component.
#[derive(Debug, Clone)]
pub struct Parent {
    pub dir: Path,
    /// Empty unless `last` is [`Last::Norm`].
    pub name: Vec<u8>,
    pub last: Last,
    /// Slashes followed the last component.
    pub trailing_slash: bool,
}

impl Parent {
    /// What the name stands for now, without what may be mounted on it and without following it. ENOENT,
    /// ENAMETOOLONG.
    pub fn target(&self) -> Result<InodeRef, Errno> {
        lookup_name(&self.dir, &self.name)
    }

    /// [`target`](Self::target) with ENOENT as `None`.
    pub fn target_if_any(&self) -> Result<Option<InodeRef>, Errno> {
        match self.target() {
            Ok(inode) => Ok(Some(inode)),
            Err(e) if e.code() == libc::ENOENT && !absence_is_final(&self.dir.inode) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// Whether a name that is not in `dir` cannot be made there, before anything else is looked at: Linux's proc answers such
/// look-ups with an error, not with a negative dentry.
pub(crate) fn absence_is_final(dir: &InodeRef) -> bool {
    dir.sb().fstype() == "proc"
}

fn lookup_name(dir: &Path, name: &[u8]) -> Result<InodeRef, Errno> {
    if name.len() > NAME_MAX {
        bail!(ENAMETOOLONG);
    }
    dir.inode.lookup(name)
}

/// Who walks, and where its `/` is.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    pub mounts: &'a MountNs,
    pub root: &'a Path,
    pub cred: &'a Cred,
}

impl<'a> Lookup<'a> {
    /// path_lookupat(): what `path` names, `start` being where a relative one begins.
    pub fn path(&self, start: &Path, path: &[u8], flags: LookupFlags) -> Result<Path, Errno> {
        let mut nd = Nd::new(*self, start, path, flags)?;
        nd.link_path_walk()?;
        while let Some(link) = nd.lookup_last()? {
            nd.continue_with(link);
            nd.link_path_walk()?;
        }
        nd.complete()?;
        if nd.flags.contains(LookupFlags::DIRECTORY) && nd.path.inode.kind() != Kind::Directory {
            bail!(ENOTDIR);
        }
        Ok(nd.path)
    }

    /// path_parentat(): the directory of the last component, which is neither looked up nor followed.
    pub fn parent(&self, start: &Path, path: &[u8], flags: LookupFlags) -> Result<Parent, Errno> {
        let mut nd = Nd::new(*self, start, path, flags)?;
        nd.link_path_walk()?;
        nd.complete()?;
        let name = if nd.last == Last::Norm { nd.last_name().to_vec() } else { Vec::new() };
        Ok(Parent { name, last: nd.last, trailing_slash: nd.trailing_slash, dir: nd.path })
    }
}

/// A walk in progress: the text that is left, and how far it came.
#[derive(Debug)]
pub(crate) struct Nd<'a> {
    by: Lookup<'a>,
    /// Where `..` and `/` stop: the caller's root, or the start for scoped walks.
    root: Path,
    pub(crate) flags: LookupFlags,
    pub(crate) path: Path,
    pub(crate) last: Last,
    /// Slashes follow the last component.
    pub(crate) trailing_slash: bool,
    /// The text being walked, and where in it. After [`Nd::link_path_walk`] the last component is `name_at..pos`.
    text: Cow<'a, [u8]>,
    pos: usize,
    name_at: usize,
    /// What is to be walked after the text, when that is the body of a symlink in the middle of a path. Never empty rests.
    outer: Vec<(Cow<'a, [u8]>, usize)>,
    links: u32,
}

impl<'a> Nd<'a> {
    /// path_init(). ENOENT for an empty path, ENOTDIR where a relative path starts at something else than a directory.
    pub(crate) fn new(
        by: Lookup<'a>,
        start: &Path,
        path: &'a [u8],
        flags: LookupFlags,
    ) -> Result<Nd<'a>, Errno> {
        if path.is_empty() && !flags.contains(LookupFlags::EMPTY) {
            bail!(ENOENT);
        }
        let scoped = flags.intersects(LookupFlags::SCOPED);
        let absolute = path.first() == Some(&b'/') && !flags.contains(LookupFlags::IN_ROOT);
        let root = if scoped { start.clone() } else { by.root.clone() };
        let mut nd = Nd {
            by,
            path: if absolute && !scoped { root.clone() } else { start.clone() },
            root,
            flags,
            last: Last::Root,
            trailing_slash: false,
            text: Cow::Borrowed(path),
            pos: 0,
            name_at: 0,
            outer: Vec::new(),
            links: 0,
        };
        if absolute && scoped {
            nd.jump_root()?;
        } else if !absolute && !path.is_empty() && nd.path.inode.kind() != Kind::Directory {
            bail!(ENOTDIR);
        }
        Ok(nd)
    }

    /// The last component's bytes.
    pub(crate) fn last_name(&self) -> &[u8] {
        &self.text[self.name_at..self.pos]
    }

    /// Goes on with the body of a symlink in the last component, which replaces the text.
    pub(crate) fn continue_with(&mut self, link: Vec<u8>) {
        self.text = Cow::Owned(link);
        self.pos = 0;
    }

    /// link_path_walk(): walks all components but the last, which is left in `last`.
    pub(crate) fn link_path_walk(&mut self) -> Result<(), Errno> {
        self.last = Last::Root;
        self.trailing_slash = false;
        self.pos = skip_slashes(&self.text, self.pos);
        self.name_at = self.pos;
        if self.pos == self.text.len() {
            return Ok(());
        }
        loop {
            may_search(self.by.cred, &*self.path.inode)?;
            let start = self.pos;
            let end =
                start + self.text[start..].iter().position(|&b| b == b'/').unwrap_or(self.text.len() - start);
            let after = skip_slashes(&self.text, end);
            let kind = match &self.text[start..end] {
                b"." => Last::Dot,
                b".." => Last::DotDot,
                _ => Last::Norm,
            };
            let exhausted = after == self.text.len();
            if exhausted && self.outer.is_empty() {
                self.last = kind;
                self.trailing_slash = end != after;
                self.name_at = start;
                self.pos = end;
                return Ok(());
            }
            let text = std::mem::take(&mut self.text);
            let link = self.walk_component(&text[start..end], kind, false)?;
            match link {
                Some(link) => {
                    if !exhausted {
                        self.outer.push((text, after));
                    }
                    self.continue_with(link);
                    // Its leading slashes are gone, and it is not empty.
                    continue;
                }
                None if exhausted => {
                    // The end of a symlink's body: what came after the symlink is next.
                    if let Some((text, pos)) = self.outer.pop() {
                        self.text = text;
                        self.pos = pos;
                    }
                }
                None => {
                    self.text = text;
                    self.pos = after;
                }
            }
            if self.path.inode.kind() != Kind::Directory {
                bail!(ENOTDIR);
            }
        }
    }

    /// lookup_last(): takes the last component; the body of a symlink that is to be followed comes back.
    pub(crate) fn lookup_last(&mut self) -> Result<Option<Vec<u8>>, Errno> {
        if self.last == Last::Norm && self.trailing_slash {
            self.flags |= LookupFlags::FOLLOW | LookupFlags::DIRECTORY;
        }
        let text = std::mem::take(&mut self.text);
        let result = self.walk_component(&text[self.name_at..self.pos], self.last, true);
        self.text = text;
        result
    }

    fn walk_component(&mut self, name: &[u8], kind: Last, trailing: bool) -> Result<Option<Vec<u8>>, Errno> {
        if kind != Last::Norm {
            self.handle_dots(kind)?;
            return Ok(None);
        }
        let inode = lookup_name(&self.path, name)?;
        self.step_into(inode, trailing)
    }

    /// handle_dots(): nothing for `.` and for no name, up for `..`.
    pub(crate) fn handle_dots(&mut self, kind: Last) -> Result<(), Errno> {
        if kind != Last::DotDot {
            return Ok(());
        }
        if self.path.same(&self.root) {
            return self.at_root();
        }
        if self.path.is_mount_root() {
            let Some(below) = self.choose_mountpoint() else { return self.at_root() };
            self.path = below;
            if self.flags.contains(LookupFlags::NO_XDEV) {
                bail!(EXDEV);
            }
        }
        let Some(parent) = self.path.inode.parent() else {
            bail!(ENOENT, "the directory has lost its parent")
        };
        let up = Path { mnt: self.path.mnt.clone(), inode: parent };
        self.path = self.follow_mounts(up)?;
        Ok(())
    }

    /// `..` at the top goes nowhere, though something may be mounted there since.
    fn at_root(&mut self) -> Result<(), Errno> {
        if self.flags.contains(LookupFlags::BENEATH) {
            bail!(EXDEV);
        }
        self.path = self.follow_mounts(self.path.clone())?;
        Ok(())
    }

    /// The place on which the walk's mount is mounted, below all that is stacked there; `None` at the walk's root.
    fn choose_mountpoint(&self) -> Option<Path> {
        let mut at = self.path.mnt.mountpoint.clone()?;
        loop {
            if at.same(&self.root) {
                return None;
            }
            if !at.is_mount_root() {
                return Some(at);
            }
            at = at.mnt.mountpoint.clone()?;
        }
    }

    fn follow_mounts(&self, mut path: Path) -> Result<Path, Errno> {
        while let Some(mnt) = self.by.mounts.mounted_on(&path.mnt, &path.inode) {
            if self.flags.contains(LookupFlags::NO_XDEV) {
                bail!(EXDEV);
            }
            path = Path::root_of(&mnt);
        }
        Ok(path)
    }

    /// step_into(): enters what was found, or gives the body of a symlink that is to be followed. `self.path` still is
    /// the directory then.
    pub(crate) fn step_into(&mut self, inode: InodeRef, trailing: bool) -> Result<Option<Vec<u8>>, Errno> {
        let mut at = None;
        if let Some(mnt) = self.by.mounts.mounted_on(&self.path.mnt, &inode) {
            if self.flags.contains(LookupFlags::NO_XDEV) {
                bail!(EXDEV);
            }
            at = Some(self.follow_mounts(Path::root_of(&mnt))?);
        }
        let found = at.as_ref().map_or(&inode, |p| &p.inode);
        if found.kind() != Kind::Symlink || (trailing && !self.flags.contains(LookupFlags::FOLLOW)) {
            match at {
                Some(path) => self.path = path,
                None => self.path.inode = inode,
            }
            return Ok(None);
        }
        let link = at.unwrap_or_else(|| Path { mnt: self.path.mnt.clone(), inode });
        self.pick_link(&link, trailing)
    }

    /// pick_link(): the rest to walk, relative to `self.path`; `None` when the link was all: it led to `/` or is magic.
    fn pick_link(&mut self, link: &Path, trailing: bool) -> Result<Option<Vec<u8>>, Errno> {
        if self.links >= MAXSYMLINKS {
            bail!(ELOOP);
        }
        self.links += 1;
        if trailing {
            may_follow_link(self.by.cred, &*self.path.inode, &*link.inode)?;
        }
        if self.flags.contains(LookupFlags::NO_SYMLINKS) || link.mnt.flags().contains(MountFlags::NOSYMFOLLOW)
        {
            bail!(ELOOP);
        }
        if let Some(there) = link.inode.follow_magic() {
            let there = there?;
            if self.flags.contains(LookupFlags::NO_MAGICLINKS) {
                bail!(ELOOP);
            }
            if self.flags.contains(LookupFlags::NO_XDEV) && self.path.mnt.id != there.mnt.id {
                bail!(EXDEV);
            }
            if self.flags.intersects(LookupFlags::SCOPED) {
                bail!(EXDEV);
            }
            self.path = there;
            return Ok(None);
        }
        let mut body = link.inode.readlink()?;
        if body.is_empty() {
            return Ok(None);
        }
        if body[0] == b'/' {
            self.jump_root()?;
            let rest = skip_slashes(&body, 0);
            body.drain(..rest);
            if body.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(body))
    }

    /// nd_jump_root()
    fn jump_root(&mut self) -> Result<(), Errno> {
        if self.flags.contains(LookupFlags::BENEATH) {
            bail!(EXDEV);
        }
        if self.flags.contains(LookupFlags::NO_XDEV) && self.path.mnt.id != self.root.mnt.id {
            bail!(EXDEV);
        }
        self.path = self.root.clone();
        Ok(())
    }

    /// complete_walk(): a scoped walk has to have ended below its start, whatever was renamed meanwhile. EXDEV.
    pub(crate) fn complete(&self) -> Result<(), Errno> {
        if self.flags.intersects(LookupFlags::SCOPED) && !path_is_under(&self.path, &self.root) {
            bail!(EXDEV);
        }
        Ok(())
    }
}

fn skip_slashes(text: &[u8], from: usize) -> usize {
    text[from..].iter().position(|&b| b != b'/').map_or(text.len(), |n| from + n)
}

/// Whether `path` is `top` or below it, across mounts.
pub fn path_is_under(path: &Path, top: &Path) -> bool {
    let mut at = path.clone();
    loop {
        if at.same(top) {
            return true;
        }
        match up(&at) {
            Some(next) => at = next.0,
            None => return false,
        }
    }
}

/// One step towards the root of everything, across mounts, and the name stepped over (empty for a mount's root).
fn up(at: &Path) -> Option<(Path, Vec<u8>)> {
    if at.is_mount_root() {
        return at.mnt.mountpoint.clone().map(|below| (below, Vec::new()));
    }
    let (dir, name) = at.inode.alias()?;
    Some((Path { mnt: at.mnt.clone(), inode: dir }, name))
}

/// What [`d_path`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DPath {
    /// Absolute, seen from the given root where that is above it, else from the top.
    pub path: Vec<u8>,
    /// The given root is not above: getcwd(2) says `(unreachable)`.
    pub unreachable: bool,
    /// It has no name any more: `/proc/self/fd/N` says ` (deleted)`.
    pub deleted: bool,
}

impl DPath {
    /// As links in `/proc/PID` show it: with ` (deleted)`, without `(unreachable)`.
    pub fn for_proc(mut self) -> Vec<u8> {
        if self.deleted {
            self.path.extend_from_slice(b" (deleted)");
        }
        self.path
    }
}

/// d_path(): the absolute path of a place as seen from `root`.
pub fn d_path(path: &Path, root: &Path) -> DPath {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut at = path.clone();
    let (mut unreachable, mut deleted) = (false, false);
    while !at.same(root) {
        match up(&at) {
            Some((next, name)) => {
                if !name.is_empty() {
                    names.push(name);
                }
                at = next;
            }
            None if at.is_mount_root() => {
                unreachable = true;
                break;
            }
            None => {
                deleted = true;
                let Some((dir, name)) = at.inode.last_alias() else { break };
                names.push(name);
                at = Path { mnt: at.mnt.clone(), inode: dir };
            }
        }
        if names.len() > 4096 {
            break;
        }
    }
    let mut text = Vec::with_capacity(names.iter().map(|n| n.len() + 1).sum::<usize>() + 1);
    for name in names.iter().rev() {
        text.push(b'/');
        text.extend_from_slice(name);
    }
    if text.is_empty() {
        text.push(b'/');
    }
    DPath { path: text, unreachable, deleted }
}

/// Whether `dir` is `top` or below it inside one mount: for renames into oneself.
pub fn dir_is_below(dir: &InodeRef, top: &InodeRef) -> bool {
    let mut at = dir.clone();
    for _ in 0..4096 {
        if same_inode(&at, top) {
            return true;
        }
        match at.parent() {
            Some(next) if !same_inode(&next, &at) => at = next,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests;
