//! `maps`, `smaps`, `numa_maps`: the host's text, with names of bodies turned into paths, device and inode numbers into
//! the guest's, and what is mapped for Carrack itself left out.

use super::view::View;
use crate::errno::Errno;
use crate::sys::dev_of;
use carrack_loader::stub::{RESERVED_END, RESIDENT};
use std::collections::HashMap;

/// What a mapped file is called inside.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// As the host says: `[heap]`, a memfd of the guest's.
    AsIs,
    /// A file of the guest's file systems: minor device number, inode, path.
    File(u32, u64, Vec<u8>),
    /// Something of the host's without a name inside.
    Hidden,
    /// A page of the stub's.
    Ours,
}

/// The fields of a line that begins a mapping.
#[derive(Debug, PartialEq, Eq)]
struct Head<'a> {
    /// Address range, permissions, offset.
    start: &'a str,
    dev: (u32, u32),
    ino: u64,
    name: &'a [u8],
}

fn parse_head(line: &[u8]) -> Option<Head<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let first = line.iter().position(|&b| b == b' ')?;
    if !line[..first].contains(&b'-') || !line[0].is_ascii_hexdigit() {
        return None;
    }
    // range perms offset dev inode name
    let mut ends = line.iter().enumerate().filter(|(_, b)| **b == b' ').map(|(at, _)| at);
    let (_, _, offset, dev, ino) = (ends.next()?, ends.next()?, ends.next()?, ends.next()?, ends.next());
    let ino = ino.unwrap_or(line.len());
    let text = |from: usize, to: usize| std::str::from_utf8(line.get(from..to)?).ok();
    let (major, minor) = text(offset + 1, dev)?.split_once(':')?;
    let name = line.get(ino..)?;
    let padding = name.iter().position(|&b| b != b' ').unwrap_or(name.len());
    Some(Head {
        start: text(0, offset)?,
        dev: (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?),
        ino: text(dev + 1, ino)?.parse().ok()?,
        name: &name[padding..],
    })
}

/// Whether a mapping at this address (the text up to a dash or blank) is one of the stub's, which stay mapped.
fn is_ours(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let start = std::str::from_utf8(&text[..digits]).ok().and_then(|t| u64::from_str_radix(t, 16).ok());
    start.is_some_and(|at| (RESIDENT..RESERVED_END).contains(&at))
}

/// Column in which names begin.
const NAME_COLUMN: usize = 73;

fn write_head(out: &mut Vec<u8>, start: &str, dev: (u32, u32), ino: u64, name: &[u8]) {
    let at = out.len();
    out.extend_from_slice(format!("{start} {:02x}:{:02x} {ino} ", dev.0, dev.1).as_bytes());
    if !name.is_empty() {
        let used = out.len() - at;
        out.extend(std::iter::repeat_n(b' ', NAME_COLUMN.saturating_sub(used)));
        // mangle_path() with "\n".
        for &b in name {
            if b == b'\n' { out.extend_from_slice(b"\\012") } else { out.push(b) }
        }
    }
    out.push(b'\n');
}

/// Works for maps, where every line is a mapping, and for smaps, where lines of figures follow each.
fn translate(text: &[u8], mut name_of: impl FnMut(&Head<'_>) -> Name) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut skipping = false;
    for line in text.split_inclusive(|&b| b == b'\n') {
        let Some(head) = parse_head(line) else {
            if !skipping {
                out.extend_from_slice(line);
            }
            continue;
        };
        let name = if is_ours(line) { Name::Ours } else { name_of(&head) };
        skipping = name == Name::Ours;
        match name {
            Name::AsIs => write_head(&mut out, head.start, head.dev, head.ino, head.name),
            Name::File(minor, ino, path) => write_head(&mut out, head.start, (0, minor), ino, &path),
            Name::Hidden => write_head(&mut out, head.start, (0, 0), 0, b""),
            Name::Ours => {}
        }
    }
    out
}

/// Looks names up, each once.
struct Names<'v> {
    view: &'v View<'v>,
    known: HashMap<(Vec<u8>, u64), Name>,
}

impl<'v> Names<'v> {
    fn new(view: &'v View<'v>) -> Names<'v> {
        Names { view, known: HashMap::new() }
    }

    fn of(&mut self, host: &[u8], dev: (u32, u32), ino: u64) -> Name {
        if !host.starts_with(b"/") {
            return Name::AsIs;
        }
        let key = (host.to_vec(), ino);
        if let Some(name) = self.known.get(&key) {
            return name.clone();
        }
        let name = self.look_up(host, libc::makedev(dev.0, dev.1), ino);
        self.known.insert(key, name.clone());
        name
    }

    fn look_up(&self, host: &[u8], dev: u64, ino: u64) -> Name {
        let kernel = &self.view.kernel;
        if kernel.brand.has_mapped(host) {
            return Name::Ours;
        }
        if let Some(path) = kernel.ids.mapped_file(kernel, host, (dev, ino)) {
            let text = self.view.text_of(&path);
            return Name::File(libc::minor(dev_of(path.inode.sb_id())), path.inode.ino(), text);
        }
        let harmless = [&b"/memfd:"[..], b"/dev/", b"/SYSV"];
        if harmless.iter().any(|p| host.starts_with(p)) { Name::AsIs } else { Name::Hidden }
    }
}

/// `maps` and `smaps`.
pub(super) fn maps(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let text = view.host_text()?;
    let mut names = Names::new(view);
    Ok(translate(&text, |head| names.of(head.name, head.dev, head.ino)))
}

/// `numa_maps`: names come after `file=`, with blanks as octal numbers, and without device and inode.
pub(super) fn numa_maps(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let text = view.host_text()?;
    let mut names = Names::new(view);
    Ok(translate_numa(&text, |name| names.of(name, (0, 0), 0)))
}

fn translate_numa(text: &[u8], mut name_of: impl FnMut(&[u8]) -> Name) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&b| b == b'\n').filter(|line| !is_ours(line)) {
        let mut words = Vec::new();
        for word in line.strip_suffix(b"\n").unwrap_or(line).split(|&b| b == b' ') {
            let Some(name) = word.strip_prefix(b"file=") else {
                words.push(word.to_vec());
                continue;
            };
            match name_of(&unescape(name)) {
                Name::AsIs => words.push(word.to_vec()),
                Name::File(_, _, path) => words.push([b"file=", &super::mounts::escape(&path)[..]].concat()),
                Name::Hidden | Name::Ours => {}
            }
        }
        out.extend_from_slice(&words.join(&b' '));
        out.push(b'\n');
    }
    out
}

/// Undoes `\040` and its like.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        if b == b'\\' && after.len() >= 3 && after[..3].iter().all(|d| (b'0'..=b'7').contains(d)) {
            out.push(after[..3].iter().fold(0u8, |n, d| n.wrapping_mul(8).wrapping_add(d - b'0')));
            rest = &after[3..];
        } else {
            out.push(b);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
00010000-00011000 r-xp 00000000 00:01 77                                 /memfd:stub (deleted)\n\
55d0c0a00000-55d0c0a2c000 r--p 00000000 08:01 1234                       /store/layers/ab/b/5\n\
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]\n\
7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n\
7f0000002000-7f0000003000 r--s 00001000 08:01 9                          /home/me/odd name\n";

    fn name_of(head: &Head<'_>) -> Name {
        match head.name {
            n if n.starts_with(b"/memfd:stub") => panic!("told by its address"),
            b"/store/layers/ab/b/5" => Name::File(0x21, 42, b"/usr/bin/cat".to_vec()),
            n if n.starts_with(b"/home") => Name::Hidden,
            _ => Name::AsIs,
        }
    }

    #[test]
    fn names_become_the_guest_s() {
        let want = "\
55d0c0a00000-55d0c0a2c000 r--p 00000000 00:21 42                         /usr/bin/cat\n\
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]\n\
7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n\
7f0000002000-7f0000003000 r--s 00001000 00:00 0 \n";
        assert_eq!(String::from_utf8(translate(MAPS.as_bytes(), name_of)).unwrap(), want);
    }

    #[test]
    fn figures_go_with_their_mapping() {
        let text = "\
00010000-00011000 r-xp 00000000 00:01 77                                 /memfd:stub (deleted)\n\
Size:                  4 kB\n\
VmFlags: rd ex mr mw me\n\
7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n\
Size:                  4 kB\n\
VmFlags: rd wr\n";
        let want = &text[text.find("7f").unwrap()..];
        assert_eq!(String::from_utf8(translate(text.as_bytes(), name_of)).unwrap(), want);
    }

    #[test]
    fn this_process_s_own_text_survives() {
        let text = std::fs::read("/proc/self/maps").unwrap();
        assert_eq!(translate(&text, |_| Name::AsIs), text);
    }

    #[test]
    fn numa_names() {
        let text = b"00010000 default file=/memfd:stub dirty=1\n00020000 default\n55d0c0a00000 default file=/a\\040b mapped=3 N0=3\n7f default anon=1\n";
        let out = translate_numa(text, |n| {
            assert_eq!(n, b"/a b");
            Name::File(0, 1, b"/x y".to_vec())
        });
        assert_eq!(out, b"55d0c0a00000 default file=/x\\040y mapped=3 N0=3\n7f default anon=1\n");
    }
}
