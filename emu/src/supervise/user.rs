//! Who a process runs as: `user[:group]` looked up in the container's own /etc/passwd and /etc/group, as runc does it.

use super::{Failure, paths};
use crate::control::ErrorKind;
use crate::vfs::MountNs;

/// Largest passwd or group file that is read, bytes.
const MAX_FILE: u64 = 16 << 20;
/// Largest id that Docker admits.
const MAX_ID: u64 = 0x7fff_ffff;

/// A resolved user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups, the primary one first.
    pub(super) groups: Vec<u32>,
    pub(super) home: Vec<u8>,
}

/// Resolves `text` (`user`, `user:group`, numbers or names; empty: root) and the additional `groups`.
pub(super) fn resolve(ns: &MountNs, text: &str, groups: &[String]) -> Result<User, Failure> {
    // Absent and unreadable files are as empty ones: numbers still work.
    let passwd = paths::read_file(ns, b"/etc/passwd", MAX_FILE).unwrap_or_default();
    let group = paths::read_file(ns, b"/etc/group", MAX_FILE).unwrap_or_default();
    find(&passwd, &group, text, groups)
}

fn find(passwd: &[u8], group: &[u8], text: &str, groups_add: &[String]) -> Result<User, Failure> {
    let (user, wanted_group) = match text.split_once(':') {
        Some((u, g)) => (u, g),
        None => (text, ""),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = parse_id(user)?;
    let entry = lines(passwd, 7).find(|f| match number {
        // A name that is a number wins over the number it is.
        _ if f[0] == user.as_bytes() => true,
        Some(n) => id(f[2]) == Some(n),
        None => false,
    });
    let (uid, mut gid, home, name) = match (&entry, number) {
        (Some(f), _) => (id(f[2]).unwrap_or(0), id(f[3]).unwrap_or(0), f[5].to_vec(), f[0].to_vec()),
        (None, Some(n)) => (n, 0, b"/".to_vec(), Vec::new()),
        (None, None) => return Err(not_found("user", user, "passwd")),
    };
    let mut extra = Vec::new();
    if wanted_group.is_empty() {
        if !name.is_empty() {
            let is_member = |members: &[u8]| members.split(|&b| b == b',').any(|m| m == name.as_slice());
            extra = lines(group, 4).filter(|f| is_member(f[3])).filter_map(|f| id(f[2])).collect();
        }
    } else {
        gid = group_id(group, wanted_group)?;
    }
    let mut groups = vec![gid];
    let added = groups_add.iter().map(|g| group_id(group, g)).collect::<Result<Vec<_>, _>>()?;
    for g in extra.into_iter().chain(added) {
        if !groups.contains(&g) {
            groups.push(g);
        }
    }
    let home = if home.is_empty() { b"/".to_vec() } else { home };
    Ok(User { uid, gid, groups, home })
}

fn group_id(group: &[u8], wanted: &str) -> Result<u32, Failure> {
    let number = parse_id(wanted)?;
    let entry =
        lines(group, 4).find(|f| f[0] == wanted.as_bytes() || (number.is_some() && id(f[2]) == number));
    match (entry.and_then(|f| id(f[2])), number) {
        (Some(gid), _) | (None, Some(gid)) => Ok(gid),
        (None, None) => Err(not_found("group", wanted, "group")),
    }
}

/// The number that `text` is; `None` when it is a name.
fn parse_id(text: &str) -> Result<Option<u32>, Failure> {
    match text.parse::<i64>() {
        Ok(n) if u64::try_from(n).is_ok_and(|n| n <= MAX_ID) => Ok(u32::try_from(n).ok()),
        Ok(_) => Err(Failure::new(ErrorKind::Invalid, "uids and gids must be in range 0-2147483647")),
        Err(_) => Ok(None),
    }
}

fn not_found(what: &str, name: &str, file: &str) -> Failure {
    Failure::new(
        ErrorKind::Invalid,
        format!("unable to find {what} {name}: no matching entries in {file} file"),
    )
}

fn id(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

/// Lines of at least `least` fields; shorter ones are padded if they have a name and an id.
fn lines(text: &[u8], least: usize) -> impl Iterator<Item = Vec<&[u8]>> {
    text.split(|&b| b == b'\n').filter(|l| !l.is_empty() && l[0] != b'#').filter_map(move |line| {
        let mut fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
        if fields.len() < 3 {
            return None;
        }
        while fields.len() < least {
            fields.push(b"");
        }
        Some(fields)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\n# no\nbad\nweb:x:33:34:w:/var/www:/bin/sh\n1234:x:7:8::/seven:\n";
    const GROUP: &[u8] = b"root:x:0:\nadm:x:4:web,root\nstaff:x:50:web\n";

    fn ok(text: &str, add: &[&str]) -> User {
        find(PASSWD, GROUP, text, &add.iter().map(|s| s.to_string()).collect::<Vec<_>>()).unwrap()
    }

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> User {
        User { uid, gid, groups: groups.to_vec(), home: home.as_bytes().to_vec() }
    }

    #[test]
    fn names_numbers_and_groups() {
        assert_eq!(ok("", &[]), user(0, 0, &[0, 4], "/root"));
        assert_eq!(ok("web", &[]), user(33, 34, &[34, 4, 50], "/var/www"));
        assert_eq!(ok("33", &[]), user(33, 34, &[34, 4, 50], "/var/www"));
        assert_eq!(ok("web:adm", &[]), user(33, 4, &[4], "/var/www"));
        assert_eq!(ok("4711", &[]), user(4711, 0, &[0], "/"));
        assert_eq!(ok("4711:4712", &["staff", "99"]), user(4711, 4712, &[4712, 50, 99], "/"));
        assert_eq!(ok("1234", &[]), user(7, 8, &[8], "/seven"), "a name that looks like a number");
    }

    #[test]
    fn what_is_not_there() {
        let text = |t: &str| find(PASSWD, GROUP, t, &[]).unwrap_err().message;
        assert_eq!(text("nobody"), "unable to find user nobody: no matching entries in passwd file");
        assert_eq!(text("web:nogroup"), "unable to find group nogroup: no matching entries in group file");
        assert_eq!(text("-1"), "uids and gids must be in range 0-2147483647");
        assert_eq!(text("99999999999"), "uids and gids must be in range 0-2147483647");
    }
}
