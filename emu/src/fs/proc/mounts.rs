//! `mounts`, `mountinfo`, `mountstats`, as seen from the process's root.

use super::view::View;
use crate::errno::Errno;
use crate::sys::dev_of;
use crate::vfs::{InodeRef, MountRef, Path, d_path};

/// Blank, tab, newline and backslash as octal numbers: mangle().
pub(super) fn escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &b in text {
        match b {
            b' ' | b'\t' | b'\n' | b'\\' => out.extend_from_slice(format!("\\{b:03o}").as_bytes()),
            _ => out.push(b),
        }
    }
    out
}

/// The mounts that are below the process's root, with where they are from there.
fn visible(view: &View<'_>) -> Result<Vec<(MountRef, Vec<u8>)>, Errno> {
    let subject = view.subject()?;
    let root = subject.task(&view.kernel).map_or_else(|| view.kernel.mounts.root(), |t| t.fs().root);
    let mut all = Vec::new();
    for mnt in view.kernel.mounts.mounts() {
        let at = d_path(&Path::root_of(&mnt), &root);
        if !at.unreachable && !at.deleted {
            all.push((mnt, escape(&at.path)));
        }
    }
    Ok(all)
}

/// Where in its file system a mount's top is.
fn root_in_sb(top: &InodeRef) -> Vec<u8> {
    let mut names = Vec::new();
    let mut at = top.clone();
    while let Some((dir, name)) = at.alias() {
        names.push(name);
        at = dir;
        if names.len() > 4096 {
            break;
        }
    }
    if names.is_empty() {
        return b"/".to_vec();
    }
    let mut text = Vec::new();
    for name in names.iter().rev() {
        text.push(b'/');
        text.extend_from_slice(name);
    }
    escape(&text)
}

fn sb_options(mnt: &MountRef) -> String {
    let options = mnt.sb.options();
    if options.is_empty() { String::new() } else { format!(",{options}") }
}

fn source(mnt: &MountRef) -> Vec<u8> {
    if mnt.source.is_empty() { b"none".to_vec() } else { escape(mnt.source.as_bytes()) }
}

/// `/proc/PID/mounts`, fstab(5)
pub(super) fn mounts(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let mut out = Vec::new();
    for (mnt, at) in visible(view)? {
        out.extend_from_slice(&source(&mnt));
        out.push(b' ');
        out.extend_from_slice(&at);
        let options = format!(" {} {}{} 0 0\n", mnt.sb.fstype(), mnt.flags().options(), sb_options(&mnt));
        out.extend_from_slice(options.as_bytes());
    }
    Ok(out)
}

/// `/proc/PID/mountinfo`
pub(super) fn mountinfo(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let mut out = Vec::new();
    for (mnt, at) in visible(view)? {
        let parent = mnt.mountpoint.as_ref().map_or(mnt.id, |p| p.mnt.id);
        let dev = dev_of(mnt.sb.id());
        let start = format!("{} {parent} {}:{} ", mnt.id, libc::major(dev), libc::minor(dev));
        out.extend_from_slice(start.as_bytes());
        out.extend_from_slice(&root_in_sb(&mnt.root));
        out.push(b' ');
        out.extend_from_slice(&at);
        out.extend_from_slice(format!(" {} - {} ", mnt.flags().options(), mnt.sb.fstype()).as_bytes());
        out.extend_from_slice(&source(&mnt));
        // Only mounts are made read-only here, never what is mounted.
        out.extend_from_slice(format!(" rw{}\n", sb_options(&mnt)).as_bytes());
    }
    Ok(out)
}

/// `/proc/PID/mountstats`
pub(super) fn mountstats(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let mut out = Vec::new();
    for (mnt, at) in visible(view)? {
        out.extend_from_slice(b"device ");
        out.extend_from_slice(&source(&mnt));
        out.extend_from_slice(b" mounted on ");
        out.extend_from_slice(&at);
        out.extend_from_slice(format!(" with fstype {}\n", mnt.sb.fstype()).as_bytes());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_names_are_numbers() {
        assert_eq!(escape(b"/a b\tc\\d\ne"), b"/a\\040b\\011c\\134d\\012e");
    }
}
