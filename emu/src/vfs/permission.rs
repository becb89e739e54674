//! Who may do what: Linux's `inode_permission` and the rules around it (path_resolution(7), capabilities(7), inode(7)).
//!
//! All checks are made here, on attributes the guest sees; the host is never asked. The sysctls `fs.protected_symlinks`,
//! `protected_hardlinks`, `protected_regular` and `protected_fifos` are on, as on hosts that run Docker.

use super::{Attr, Inode, InodeRef, Kind};
use crate::bail;
use crate::errno::Errno;
use crate::task::{Caps, Cred};
use bitflags::bitflags;

bitflags! {
    /// What is asked for: Linux's MAY_EXEC, MAY_WRITE, MAY_READ.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Access: u32 {
        const EXEC = 1;
        const WRITE = 2;
        const READ = 4;
    }
}

/// inode_permission() on attributes at hand: EACCES or nothing.
pub fn generic_permission(cred: &Cred, attr: &Attr, mask: Access) -> Result<(), Errno> {
    let want = mask.bits();
    let granted = if attr.uid == cred.fsuid {
        attr.mode >> 6
    } else if cred.in_group(attr.gid) {
        attr.mode >> 3
    } else {
        attr.mode
    };
    if want & !granted & 7 == 0 {
        return Ok(());
    }
    if attr.kind() == Kind::Directory {
        if !mask.contains(Access::WRITE) && cred.capable(Caps::DAC_READ_SEARCH) {
            return Ok(());
        }
        if cred.capable(Caps::DAC_OVERRIDE) {
            return Ok(());
        }
        bail!(EACCES)
    }
    if mask == Access::READ && cred.capable(Caps::DAC_READ_SEARCH) {
        return Ok(());
    }
    if (!mask.contains(Access::EXEC) || attr.mode & 0o111 != 0) && cred.capable(Caps::DAC_OVERRIDE) {
        return Ok(());
    }
    bail!(EACCES)
}

/// inode_permission(): EACCES, EPERM (immutable) or nothing, or what reading the attributes gave.
pub fn inode_permission(cred: &Cred, inode: &dyn Inode, mask: Access) -> Result<(), Errno> {
    if mask.is_empty() {
        return Ok(());
    }
    if mask.contains(Access::WRITE) && inode.is_immutable() {
        bail!(EPERM);
    }
    // Whoever overrides everything needs no attributes, except for executing files, which wants one x bit.
    if cred.capable(Caps::DAC_OVERRIDE) && (!mask.contains(Access::EXEC) || inode.kind() == Kind::Directory) {
        return Ok(());
    }
    generic_permission(cred, &inode.perm()?, mask)
}

/// Whether `dir` may be searched.
pub fn may_search(cred: &Cred, dir: &dyn Inode) -> Result<(), Errno> {
    if cred.effective.intersects(Caps::DAC_OVERRIDE.union(Caps::DAC_READ_SEARCH)) {
        return Ok(());
    }
    generic_permission(cred, &dir.perm()?, Access::EXEC)
}

/// Whether names may be made in `dir`.
pub fn may_create(cred: &Cred, dir: &dyn Inode) -> Result<(), Errno> {
    inode_permission(cred, dir, Access::WRITE | Access::EXEC)
}

/// may_delete(): whether the name of `victim` may be taken from `dir`. EACCES, EPERM (sticky), ENOTDIR, EISDIR, EBUSY.
pub fn may_delete(cred: &Cred, dir: &InodeRef, victim: &InodeRef, want_dir: bool) -> Result<(), Errno> {
    inode_permission(cred, &**dir, Access::WRITE | Access::EXEC)?;
    check_sticky(cred, dir, victim)?;
    let is_dir = victim.kind() == Kind::Directory;
    match (want_dir, is_dir) {
        (true, false) => bail!(ENOTDIR),
        (false, true) => bail!(EISDIR),
        _ => Ok(()),
    }
}

/// In a sticky directory, only the owner of the file, of the directory, or CAP_FOWNER may remove. EPERM.
fn check_sticky(cred: &Cred, dir: &InodeRef, victim: &InodeRef) -> Result<(), Errno> {
    if cred.capable(Caps::FOWNER) {
        return Ok(());
    }
    let d = dir.perm()?;
    if d.mode & libc::S_ISVTX == 0 || d.uid == cred.fsuid || victim.perm()?.uid == cred.fsuid {
        return Ok(());
    }
    bail!(EPERM)
}

/// inode_owner_or_capable(): the owner, or CAP_FOWNER.
pub fn owner_or_capable(cred: &Cred, attr: &Attr) -> bool {
    attr.uid == cred.fsuid || cred.capable(Caps::FOWNER)
}

/// in_group_or_capable(): a member of the group, or CAP_FSETID.
pub fn in_group_or_capable(cred: &Cred, gid: u32) -> bool {
    cred.in_group(gid) || cred.capable(Caps::FSETID)
}

/// may_follow_link(): a last-component symlink in a sticky, world-writable directory is followed only by its owner, or
/// when it belongs to the directory's owner. EACCES.
pub fn may_follow_link(cred: &Cred, dir: &dyn Inode, link: &dyn Inode) -> Result<(), Errno> {
    let l = link.perm()?;
    if l.uid == cred.fsuid {
        return Ok(());
    }
    let d = dir.perm()?;
    let open_to_all = libc::S_ISVTX | libc::S_IWOTH;
    if d.mode & open_to_all != open_to_all || d.uid == l.uid {
        return Ok(());
    }
    bail!(EACCES, "protected_symlinks")
}

/// may_create_in_sticky(): O_CREAT does not open what somebody else put into a sticky, world-writable directory. EACCES.
pub fn may_create_in_sticky(cred: &Cred, dir: &dyn Inode, file: &dyn Inode) -> Result<(), Errno> {
    let d = dir.perm()?;
    if d.mode & libc::S_ISVTX == 0 {
        return Ok(());
    }
    let f = file.perm()?;
    if f.uid == d.uid || f.uid == cred.fsuid || d.mode & libc::S_IWOTH == 0 {
        return Ok(());
    }
    bail!(EACCES, "protected_regular, protected_fifos")
}

/// may_linkat(): hard links only to plain files that one could read and write, or owns. EPERM.
pub fn may_linkat(cred: &Cred, file: &dyn Inode) -> Result<(), Errno> {
    let attr = file.perm()?;
    if owner_or_capable(cred, &attr) {
        return Ok(());
    }
    let setgid_exec = libc::S_ISGID | libc::S_IXGRP;
    let safe = attr.kind() == Kind::Regular
        && attr.mode & libc::S_ISUID == 0
        && attr.mode & setgid_exec != setgid_exec
        && generic_permission(cred, &attr, Access::READ | Access::WRITE).is_ok();
    if safe { Ok(()) } else { bail!(EPERM, "protected_hardlinks") }
}

/// Owner, group and mode of a new file in `dir`: inode_init_owner() after vfs_prepare_mode().
///
/// `mode` is permission bits as the guest gave them; `umask` the caller's. Returns (mode, uid, gid).
pub fn new_owner(cred: &Cred, dir: &Attr, kind: Kind, mode: u32, umask: u32) -> (u32, u32, u32) {
    let mut mode = mode & 0o7777;
    if kind == Kind::Symlink {
        return (0o777, cred.fsuid, if dir.mode & libc::S_ISGID != 0 { dir.gid } else { cred.fsgid });
    }
    if kind == Kind::Directory {
        mode &= 0o1777;
    }
    if dir.mode & libc::S_ISGID == 0 {
        return (mode & !umask, cred.fsuid, cred.fsgid);
    }
    let setgid_exec = libc::S_ISGID | libc::S_IXGRP;
    if kind == Kind::Directory {
        mode = (mode & !umask) | libc::S_ISGID;
        return (mode, cred.fsuid, dir.gid);
    }
    if mode & setgid_exec == setgid_exec && !in_group_or_capable(cred, dir.gid) {
        mode &= !libc::S_ISGID;
    }
    (mode & !umask, cred.fsuid, dir.gid)
}

/// setattr_should_drop_suidgid() for a write or truncation by `cred`: the mode (07777) to set, if any.
pub fn mode_after_write(cred: &Cred, attr: &Attr) -> Option<u32> {
    if attr.kind() != Kind::Regular || cred.capable(Caps::FSETID) {
        return None;
    }
    let mut mode = attr.mode & 0o7777;
    mode &= !libc::S_ISUID;
    if mode & libc::S_ISGID != 0 && (mode & libc::S_IXGRP != 0 || !in_group_or_capable(cred, attr.gid)) {
        mode &= !libc::S_ISGID;
    }
    (mode != attr.mode & 0o7777).then_some(mode)
}

/// The mode (07777) to set along with a change of owner or group, if any: setuid and setgid do not survive it.
pub fn mode_after_chown(cred: &Cred, attr: &Attr) -> Option<u32> {
    if attr.kind() == Kind::Directory {
        return None;
    }
    let mut mode = attr.mode & 0o7777;
    mode &= !libc::S_ISUID;
    if mode & libc::S_ISGID != 0 && (mode & libc::S_IXGRP != 0 || !in_group_or_capable(cred, attr.gid)) {
        mode &= !libc::S_ISGID;
    }
    (mode != attr.mode & 0o7777).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attr(mode: u32, uid: u32, gid: u32) -> Attr {
        Attr { mode, uid, gid, ..Attr::default() }
    }

    fn user(uid: u32, gid: u32) -> Cred {
        Cred::user(uid, gid, vec![50], Caps::empty())
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let file = attr(libc::S_IFREG | 0o047, 5, 50);
        assert!(generic_permission(&user(5, 5), &file, Access::READ).is_err(), "the owner's class is empty");
        assert!(generic_permission(&user(6, 6), &file, Access::READ).is_ok());
        assert!(generic_permission(&user(6, 6), &file, Access::WRITE).is_err(), "the group's class has no w");
        let other = Cred::user(6, 6, vec![], Caps::empty());
        assert!(generic_permission(&other, &file, Access::READ | Access::WRITE | Access::EXEC).is_ok());
    }

    #[test]
    fn override_executes_only_what_somebody_may_execute() {
        let root = Cred::root(Caps::DAC_OVERRIDE);
        assert!(generic_permission(&root, &attr(libc::S_IFREG | 0o600, 9, 9), Access::EXEC).is_err());
        assert!(generic_permission(&root, &attr(libc::S_IFREG | 0o601, 9, 9), Access::EXEC).is_ok());
        assert!(generic_permission(&root, &attr(libc::S_IFDIR, 9, 9), Access::EXEC | Access::WRITE).is_ok());
    }

    #[test]
    fn read_search_reads_but_does_not_write() {
        let c = Cred { effective: Caps::DAC_READ_SEARCH, ..user(1, 1) };
        assert!(generic_permission(&c, &attr(libc::S_IFREG, 9, 9), Access::READ).is_ok());
        assert!(generic_permission(&c, &attr(libc::S_IFREG, 9, 9), Access::READ | Access::WRITE).is_err());
        assert!(generic_permission(&c, &attr(libc::S_IFDIR, 9, 9), Access::READ | Access::EXEC).is_ok());
        assert!(generic_permission(&c, &attr(libc::S_IFDIR, 9, 9), Access::WRITE).is_err());
    }

    #[test]
    fn setgid_directories_hand_down_their_group() {
        let dir = attr(libc::S_IFDIR | 0o2777, 0, 77);
        assert_eq!(new_owner(&user(5, 6), &dir, Kind::Directory, 0o777, 0o22), (0o2755, 5, 77));
        assert_eq!(new_owner(&user(5, 6), &dir, Kind::Regular, 0o2755, 0o22), (0o755, 5, 77));
        assert_eq!(
            new_owner(&user(5, 6), &attr(libc::S_IFDIR | 0o777, 0, 77), Kind::Regular, 0o666, 0o27),
            (0o640, 5, 6)
        );
    }

    #[test]
    fn a_change_of_owner_drops_setuid() {
        assert_eq!(
            mode_after_chown(&Cred::root(Caps::all()), &attr(libc::S_IFREG | 0o6755, 0, 0)),
            Some(0o755)
        );
        assert_eq!(mode_after_chown(&Cred::root(Caps::all()), &attr(libc::S_IFREG | 0o2745, 0, 0)), None);
        assert_eq!(mode_after_chown(&user(1, 1), &attr(libc::S_IFREG | 0o2745, 1, 99)), Some(0o745));
        assert_eq!(mode_after_chown(&user(1, 1), &attr(libc::S_IFDIR | 0o6755, 1, 1)), None);
    }
}
