//! What of the host's sysfs is shown, and by which names.
//!
//! Only what is below the rows that say so, and of that only what describes processors, memory and interfaces: no links to
//! devices and drivers, no knobs of power management. Links lead from processors to their nodes and back.

use super::SysFs;
use super::inode::Node;
use super::rows::What;
use crate::control::NetworkMode;
use crate::errno::Errno;
use crate::{bail, err};
use std::path::PathBuf;

/// Marks inode numbers of host files; the host's own numbers are in the rest.
const MARK: u64 = 1 << 40;

/// Names that are left out everywhere.
const HIDDEN: [&str; 10] = [
    "device",
    "driver",
    "firmware_node",
    "hotplug",
    "microcode",
    "phydev",
    "power",
    "subsystem",
    "uevent",
    "modalias",
];

/// The host's name of a path of ours.
pub(super) fn path(inside: &str) -> PathBuf {
    PathBuf::from("/sys").join(inside)
}

/// Our path of what the host calls so (below `/sys/`): interfaces are shown where the host has links to them.
pub(super) fn path_inside(host: &str) -> String {
    if host.starts_with("devices/")
        && !host.starts_with("devices/system/")
        && let Some(at) = host.find("/net/")
    {
        return format!("class{}", &host[at..]);
    }
    host.to_owned()
}

fn is_numbered(name: &str, what: &str) -> bool {
    name.strip_prefix(what).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a name is shown at all. `is_link`: the host has a link there.
fn is_shown(fs: &SysFs, inside: &str, is_link: bool) -> bool {
    let Some((dir, name)) = inside.rsplit_once('/') else { return false };
    if dir == "class/net" {
        let all = fs.kernel().is_ok_and(|k| k.spec.network != NetworkMode::None);
        return all || name == "lo";
    }
    if HIDDEN.contains(&name) {
        return false;
    }
    if is_link { is_numbered(name, "node") || is_numbered(name, "cpu") } else { !is_numbered(name, "memory") }
}

/// The row below which a path is, if one lets the host's files through.
fn row_above(fs: &SysFs, inside: &str) -> Option<usize> {
    let mut end = inside.len();
    while let Some(slash) = inside[..end].rfind('/') {
        end = slash;
        if let Some(row) = fs.table().find(&inside.as_bytes()[..end]) {
            let what = fs.table().get(row)?.row?.what;
            return matches!(what, What::Host | What::Net).then_some(row);
        }
    }
    None
}

/// The node for a path below a row of the host's. ENOENT.
pub(super) fn node(fs: &SysFs, inside: &str) -> Result<Node, Errno> {
    let gone = || err!(ENOENT);
    let row = row_above(fs, inside).ok_or_else(gone)?;
    let top = fs.table().get(row).ok_or_else(gone)?.path;
    // Every step on the way has to be one that is shown; the last may be a link, the others must not.
    let mut end = top.len();
    loop {
        let rest = &inside[end + 1..];
        let step = rest.find('/').unwrap_or(rest.len());
        if matches!(&rest[..step], "" | "." | "..") {
            bail!(ENOENT);
        }
        end += 1 + step;
        let is_last = end == inside.len();
        let is_interface = &inside[..end - step - 1] == "class/net";
        let host = path(&inside[..end]);
        let st = if is_interface { rustix::fs::stat(&host) } else { rustix::fs::lstat(&host) };
        let st = st.map_err(|_| gone())?;
        let is_link = st.st_mode & libc::S_IFMT == libc::S_IFLNK;
        if !is_shown(fs, &inside[..end], is_link) || (is_link && !is_last) {
            bail!(ENOENT);
        }
        if is_last {
            let ino = st.st_ino | MARK;
            let mut hosts = fs.hosts.lock();
            let known = hosts.entry(ino).or_insert_with(|| inside.into()).clone();
            return Ok(Node::Host(ino, known));
        }
    }
}

/// Names in a directory of the host's, sorted.
pub(super) fn names(fs: &SysFs, inside: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(path(inside)) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|e| {
            let is_link = e.file_type().is_ok_and(|t| t.is_symlink());
            e.file_name().to_str().is_some_and(|name| is_shown(fs, &format!("{inside}/{name}"), is_link))
        })
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_found_by_their_devices_names() {
        assert_eq!(path_inside("devices/virtual/net/lo/mtu"), "class/net/lo/mtu");
        assert_eq!(path_inside("devices/pci0000:00/x/net/eth0/mtu"), "class/net/eth0/mtu");
        assert_eq!(path_inside("devices/system/cpu/online"), "devices/system/cpu/online");
    }
}
