//! What a container has changed of its image: `docker diff`, and the layer of a `docker commit`.

use super::DeltaFs;
use crate::control::ChangeKind;
use crate::fs::tree::lower::Lower;
use crate::fs::tree::node::{Data, ROOT, State};
use crate::vfs::Ino;
use std::collections::HashSet;

/// One path that is not as in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Absolute.
    pub path: Vec<u8>,
    pub kind: ChangeKind,
    /// A directory that is another one than the image's: of what the image has below it nothing is there.
    pub is_opaque: bool,
}

impl DeltaFs {
    /// Every path that was added, deleted or changed, sorted. A directory in which something changed is changed.
    pub fn changes(&self) -> Vec<Difference> {
        let (state, lower) = self.view();
        let mut walk =
            Walk { lower, state: &state, interesting: interesting(&state, lower), out: Vec::new() };
        walk.in_place(ROOT, &mut Vec::new());
        let mut out = walk.out;
        out.sort_by(|a, b| a.path.cmp(&b.path));
        out
    }
}

/// Inodes that changed and the directories above them.
fn interesting(state: &State, lower: &dyn Lower) -> HashSet<Ino> {
    fn add(set: &mut HashSet<Ino>, state: &State, lower: &dyn Lower, ino: Ino) {
        let mut at = Some(ino);
        while let Some(ino) = at
            && set.insert(ino)
        {
            at = state.alias_of(lower, ino).map(|(dir, _)| dir);
        }
    }
    let mut set = HashSet::new();
    let mut linked = HashSet::new();
    for (ino, node) in &state.nodes {
        if node.meta.nlink == 0 {
            continue;
        }
        add(&mut set, state, lower, *ino);
        let names = lower.inode(*ino).map_or(0, |i| i.nlink);
        if names > 1 && node.dir().is_err() {
            linked.insert(*ino);
        }
    }
    // A changed file has changed under all the names that the image has for it; only one of them is known.
    if !linked.is_empty() {
        for dir in (1..=lower.max_ino()).filter(|d| lower.dir_len(*d) > 0) {
            let mut names = (0..).map_while(|i| lower.dir_entry(dir, i));
            if names.any(|(_, ino, _)| linked.contains(&ino)) {
                add(&mut set, state, lower, dir);
            }
        }
    }
    set
}

struct Walk<'a> {
    lower: &'a dyn Lower,
    state: &'a State,
    interesting: HashSet<Ino>,
    out: Vec<Difference>,
}

impl Walk<'_> {
    fn report(&mut self, path: &[u8], kind: ChangeKind) {
        self.out.push(Difference { path: path.to_vec(), kind, is_opaque: false });
    }

    /// A directory that is where the image has it.
    fn in_place(&mut self, dir: Ino, path: &mut Vec<u8>) {
        let own = self.state.nodes.get(&dir).and_then(|n| n.dir().ok());
        let mut i = 0;
        while let Some((name, image_ino, _)) = self.lower.dir_entry(dir, i) {
            i += 1;
            let entry = own.and_then(|d| d.names.get(name)).map(|e| e.ino);
            self.with(path, name, |walk, path| match entry {
                Some(0) => walk.report(path, ChangeKind::Deleted),
                Some(ino) if ino != image_ino => {
                    let is_opaque = walk.is_dir(ino);
                    walk.out.push(Difference { path: path.clone(), kind: ChangeKind::Modified, is_opaque });
                    walk.all_added(ino, path);
                }
                _ if walk.interesting.contains(&image_ino) => {
                    walk.report(path, ChangeKind::Modified);
                    if walk.is_dir(image_ino) {
                        walk.in_place(image_ino, path);
                    }
                }
                _ => {}
            });
        }
        for (name, ino) in self.own_names(dir) {
            self.with(path, &name, |walk, path| {
                walk.report(path, ChangeKind::Added);
                walk.all_added(ino, path);
            });
        }
    }

    /// Everything below a directory that is new here.
    fn all_added(&mut self, dir: Ino, path: &mut Vec<u8>) {
        if !self.is_dir(dir) {
            return;
        }
        let own = self.state.nodes.get(&dir).and_then(|n| n.dir().ok());
        let mut i = 0;
        while let Some((name, image_ino, _)) = self.lower.dir_entry(dir, i) {
            i += 1;
            let ino = own.and_then(|d| d.names.get(name)).map_or(image_ino, |e| e.ino);
            if ino != 0 {
                self.with(path, name, |walk, path| {
                    walk.report(path, ChangeKind::Added);
                    walk.all_added(ino, path);
                });
            }
        }
        for (name, ino) in self.own_names(dir) {
            self.with(path, &name, |walk, path| {
                walk.report(path, ChangeKind::Added);
                walk.all_added(ino, path);
            });
        }
    }

    /// Names that the image's directory of that number does not have.
    fn own_names(&self, dir: Ino) -> Vec<(Vec<u8>, Ino)> {
        let Some(node) = self.state.nodes.get(&dir) else { return Vec::new() };
        let Data::Directory(d) = &node.data else { return Vec::new() };
        d.order.values().filter_map(|n| Some((n.to_vec(), d.names.get(n)?.ino))).collect()
    }

    fn is_dir(&self, ino: Ino) -> bool {
        self.state.kind(self.lower, ino).is_ok_and(|k| k == crate::vfs::Kind::Directory)
    }

    fn with(&mut self, path: &mut Vec<u8>, name: &[u8], f: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        let len = path.len();
        path.push(b'/');
        path.extend(name);
        f(self, path);
        path.truncate(len);
    }
}
