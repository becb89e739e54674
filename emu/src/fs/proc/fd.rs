//! `/proc/PID/fd` and `fdinfo`.
//!
//! A link to a file of ours leads to its inode, a link to anything else to a place outside of the tree
//! ([`Ids::place_of`](crate::vfs::ids::Ids::place_of)), through which it can be opened again.

use super::inode::ProcInode;
use super::node::{Node, TaskNode};
use super::subject::guest_pid;
use super::view::{View, What};
use crate::err;
use crate::errno::Errno;
use crate::vfs::ids::OpenFile;
use crate::vfs::{Kind, Path};

/// The host's link of a descriptor.
fn host_link(node: &TaskNode) -> String {
    format!("{}/fd/{}", node.subject.host_dir(), node.fd.unwrap_or(-1))
}

/// Whether names in this directory, or this name, are links rather than files of fdinfo.
pub(super) fn kind_of_name(node: &TaskNode) -> Kind {
    let is_fd = node.entry().ok().and_then(|e| e.row).is_some_and(|row| matches!(row.what, What::Fds));
    if is_fd { Kind::Symlink } else { Kind::Regular }
}

/// Whether this is a link of `/proc/PID/fd`.
pub(super) fn is_link(inode: &ProcInode) -> bool {
    matches!(&inode.node, Node::Task(n) if n.fd.is_some() && kind_of_name(n) == Kind::Symlink)
}

/// Type and permission bits of a name. ENOENT when there is no such descriptor.
pub(super) fn mode(node: &TaskNode) -> Result<u32, Errno> {
    if node.fd.is_none() {
        return Ok(libc::S_IFREG | 0o444);
    }
    let st = rustix::fs::lstat(host_link(node)).map_err(|_| err!(ENOENT))?;
    Ok(match kind_of_name(node) {
        // r for reading, w for writing, x always: as the host's link has it.
        Kind::Symlink => st.st_mode,
        _ => libc::S_IFREG | 0o444,
    })
}

fn open_file(view: &View<'_>, node: &TaskNode) -> Result<OpenFile, Errno> {
    let fd = node.fd.unwrap_or(-1);
    view.kernel.ids.open_file(&view.kernel, node.subject.tid, fd).map_err(|_| err!(ENOENT))
}

/// Names that a descriptor of the host may show as they are: those of objects without a path, and terminals.
fn is_harmless(name: &[u8]) -> bool {
    !name.starts_with(b"/") || [&b"/memfd:"[..], b"/dev/", b"/proc/"].iter().any(|p| name.starts_with(p))
}

pub(super) fn readlink(view: &View<'_>, node: &TaskNode) -> Result<Vec<u8>, Errno> {
    match open_file(view, node)? {
        OpenFile::Vfs(path) => Ok(view.text_of(&path)),
        OpenFile::Anonymous { name } if is_harmless(&name) => Ok(name),
        OpenFile::Anonymous { .. } => Ok(b"(unreachable)".to_vec()),
    }
}

pub(super) fn follow(view: &View<'_>, node: &TaskNode) -> Result<Path, Errno> {
    let fd = node.fd.unwrap_or(-1);
    view.kernel.ids.place_of(&view.kernel, node.subject.tid, fd).map_err(|_| err!(ENOENT))
}

/// `/proc/PID/fdinfo/N`
pub(super) fn info(view: &View<'_>, node: &TaskNode) -> Result<Vec<u8>, Errno> {
    let fd = node.fd.unwrap_or(-1);
    let path = format!("{}/fdinfo/{fd}", node.subject.host_dir());
    let text = std::fs::read(path).map_err(|_| err!(ENOENT))?;
    let place = match open_file(view, node)? {
        OpenFile::Vfs(path) => Some((path.mnt.id, path.inode.ino())),
        OpenFile::Anonymous { .. } => None,
    };
    Ok(translate_info(&text, place, |pid| guest_pid(&view.kernel, pid)))
}

/// Mount and inode numbers and pids become the guest's. Locks are left out: they name files by the host's numbers.
fn translate_info(text: &[u8], place: Option<(u32, u64)>, pid: impl Fn(i32) -> i32) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&b| b == b'\n') {
        let key = line.split(|&b| b == b':').next().unwrap_or(line);
        let value = || std::str::from_utf8(&line[key.len() + 1..]).unwrap_or("").trim();
        let replaced = match (key, place) {
            (b"lock", _) => continue,
            (b"mnt_id", Some((mnt, _))) => format!("mnt_id:\t{mnt}\n"),
            (b"ino", Some((_, ino))) => format!("ino:\t{ino}\n"),
            (b"Pid" | b"NSpid", _) => {
                let host = value().split_ascii_whitespace().next().and_then(|v| v.parse().ok()).unwrap_or(-1);
                format!("{}:\t{}\n", String::from_utf8_lossy(key), pid(host))
            }
            _ => {
                out.extend_from_slice(line);
                continue;
            }
        };
        out.extend_from_slice(replaced.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_says_the_guest_s_numbers() {
        let text = b"pos:\t5\nflags:\t02100002\nmnt_id:\t99\nino:\t12345\nlock:\t1: POSIX  ADVISORY  WRITE 7 08:01:2 0 EOF\n";
        let out = translate_info(text, Some((3, 42)), |p| p);
        assert_eq!(out, b"pos:\t5\nflags:\t02100002\nmnt_id:\t3\nino:\t42\n");
        let out = translate_info(b"pos:\t0\nmnt_id:\t15\nPid:\t777\nNSpid:\t777\n", None, |p| p - 776);
        assert_eq!(out, b"pos:\t0\nmnt_id:\t15\nPid:\t1\nNSpid:\t1\n");
    }

    #[test]
    fn host_paths_are_not_harmless() {
        assert!(is_harmless(b"pipe:[7]"));
        assert!(is_harmless(b"/memfd:x (deleted)"));
        assert!(!is_harmless(b"/home/me/secret"));
    }
}
