//! Generated trees as tables: a row for each file, its whole path in it; directories in between follow by themselves.

use crate::vfs::Kind;
use std::collections::HashMap;

/// Who may look at what a row shows of a process, beside its permission bits: ptrace(2), "Ptrace access mode checking".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    Nobody,
    /// PTRACE_MODE_READ_FSCREDS
    Read,
    /// PTRACE_MODE_ATTACH_FSCREDS
    Attach,
}

/// One file: where, with which type and permission bits, and what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<W> {
    pub(crate) path: &'static str,
    pub(crate) mode: u32,
    pub(crate) guard: Guard,
    pub(crate) what: W,
}

impl<W: Copy> Row<W> {
    /// For whom PTRACE_MODE_READ would be granted.
    pub(crate) const fn read(self) -> Row<W> {
        Row { guard: Guard::Read, ..self }
    }

    /// For whom PTRACE_MODE_ATTACH would be granted.
    pub(crate) const fn attach(self) -> Row<W> {
        Row { guard: Guard::Attach, ..self }
    }
}

/// A regular file.
pub(crate) const fn file<W>(path: &'static str, mode: u32, what: W) -> Row<W> {
    Row { path, mode: libc::S_IFREG | mode, guard: Guard::Nobody, what }
}

/// A symlink.
pub(crate) const fn link<W>(path: &'static str, what: W) -> Row<W> {
    Row { path, mode: libc::S_IFLNK | 0o777, guard: Guard::Nobody, what }
}

/// A directory that needs a row: it is otherwise empty, lists what is not in the table, or has a mode of its own.
pub(crate) const fn dir<W>(path: &'static str, mode: u32, what: W) -> Row<W> {
    Row { path, mode: libc::S_IFDIR | mode, guard: Guard::Nobody, what }
}

/// A name of the tree. Its number is its place in [`Table::entries`]; the root's is 0.
#[derive(Debug)]
pub(crate) struct Entry<W: 'static> {
    pub(crate) name: &'static str,
    /// From the root, without a leading slash.
    pub(crate) path: &'static str,
    pub(crate) mode: u32,
    pub(crate) parent: usize,
    pub(crate) children: Vec<usize>,
    /// `None` for directories that only the paths below them tell of.
    pub(crate) row: Option<&'static Row<W>>,
}

impl<W> Entry<W> {
    pub(crate) fn kind(&self) -> Kind {
        Kind::from_mode(self.mode).unwrap_or(Kind::Regular)
    }
}

/// The tree of some rows.
#[derive(Debug)]
pub(crate) struct Table<W: 'static> {
    pub(crate) entries: Vec<Entry<W>>,
    names: HashMap<(usize, &'static [u8]), usize>,
}

impl<W: Copy> Table<W> {
    /// Rows may come in any order; a directory's own row may come after what is in it. Those that `is_there` denies are
    /// left out.
    pub(crate) fn new(groups: &[&'static [Row<W>]], is_there: impl Fn(&Row<W>) -> bool) -> Table<W> {
        let root = Entry {
            name: "",
            path: "",
            mode: libc::S_IFDIR | 0o555,
            parent: 0,
            children: Vec::new(),
            row: None,
        };
        let mut table = Table { entries: vec![root], names: HashMap::new() };
        for row in groups.iter().copied().flatten().filter(|row| is_there(row)) {
            let at = table.make(row.path);
            table.entries[at].mode = row.mode;
            table.entries[at].row = Some(row);
        }
        table
    }

    fn make(&mut self, path: &'static str) -> usize {
        let mut at = 0;
        let mut start = 0;
        for part in path.split('/') {
            let end = start + part.len();
            at = match self.names.get(&(at, part.as_bytes())) {
                Some(&child) => child,
                None => {
                    let new = self.entries.len();
                    let mode = libc::S_IFDIR | 0o555;
                    let (parent, children) = (at, Vec::new());
                    self.entries.push(Entry {
                        name: part,
                        path: &path[..end],
                        mode,
                        parent,
                        children,
                        row: None,
                    });
                    self.entries[at].children.push(new);
                    self.names.insert((at, part.as_bytes()), new);
                    new
                }
            };
            start = end + 1;
        }
        at
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Entry<W>> {
        self.entries.get(at)
    }

    /// A name in a directory.
    pub(crate) fn child(&self, dir: usize, name: &[u8]) -> Option<usize> {
        // The key borrows for as long as the table's names live, a name of a guest's does not: compare by hand.
        let children = &self.entries.get(dir)?.children;
        if children.len() <= 8 {
            return children.iter().copied().find(|&c| self.entries[c].name.as_bytes() == name);
        }
        let key: &(dyn Key + '_) = &(dir, name);
        self.names.get(key).copied()
    }

    /// A whole path.
    pub(crate) fn find(&self, path: &[u8]) -> Option<usize> {
        path.split(|&b| b == b'/').try_fold(0, |at, name| self.child(at, name))
    }

    /// Links of a directory: one for each of its directories, and two.
    pub(crate) fn nlink(&self, at: usize) -> u32 {
        let Some(entry) = self.entries.get(at) else { return 1 };
        if entry.kind() != Kind::Directory {
            return 1;
        }
        let dirs = entry.children.iter().filter(|&&c| self.entries[c].kind() == Kind::Directory).count();
        2 + u32::try_from(dirs).unwrap_or(0)
    }
}

/// Lets a map with `'static` names be asked about names that live shorter.
trait Key {
    fn key(&self) -> (usize, &[u8]);
}

impl Key for (usize, &[u8]) {
    fn key(&self) -> (usize, &[u8]) {
        (self.0, self.1)
    }
}

impl<'a> std::borrow::Borrow<dyn Key + 'a> for (usize, &'static [u8]) {
    fn borrow(&self) -> &(dyn Key + 'a) {
        self
    }
}

impl std::hash::Hash for dyn Key + '_ {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for dyn Key + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for dyn Key + '_ {}

#[cfg(test)]
mod tests {
    use super::*;

    static ROWS: [Row<u8>; 14] = [
        file("gone", 0o444, 0),
        file("a/b/c", 0o444, 1),
        file("a/d", 0o644, 2),
        dir("a/b", 0o500, 3),
        link("l", 4),
        file("m/0", 0o444, 0),
        file("m/1", 0o444, 0),
        file("m/2", 0o444, 0),
        file("m/3", 0o444, 0),
        file("m/4", 0o444, 0),
        file("m/5", 0o444, 0),
        file("m/6", 0o444, 0),
        file("m/7", 0o444, 0),
        file("m/8", 0o444, 0),
    ];

    #[test]
    fn directories_follow_from_paths() {
        let t = Table::new(&[&ROWS], |row| row.path != "gone");
        let b = t.find(b"a/b").unwrap();
        assert_eq!(t.entries[b].mode, libc::S_IFDIR | 0o500);
        let c = t.child(b, b"c").unwrap();
        assert_eq!((t.entries[c].path, t.entries[c].parent), ("a/b/c", b));
        assert_eq!(t.nlink(0), 4);
        assert!(t.find(b"a/x").is_none());
        assert!(t.find(b"gone").is_none());
        assert!(t.find(b"a/d/x").is_none());
        let m = t.find(b"m").unwrap();
        assert_eq!(t.entries[t.child(m, b"8").unwrap()].name, "8");
        assert!(t.child(m, b"9").is_none());
    }
}
