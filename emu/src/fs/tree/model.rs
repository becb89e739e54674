//! Random operations, compared with a model that is too simple to be wrong.

use crate::fs::testing::*;
use crate::fs::tmp::{TmpFs, TmpOptions};
use crate::fs::tree::Lower;
use crate::vfs::{CreateKind, InodeRef, RenameFlags, SbId, SetAttr, SuperBlock, XattrFlags};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A file of the model. Directories have names, others text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    dir: bool,
    mode: u32,
    text: String,
    xattr: Option<u8>,
    nlink: u32,
    names: BTreeMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Model {
    files: Vec<File>,
}

/// Paths are short and of few names, so that they collide.
type P = Vec<&'static str>;

#[derive(Debug, Clone)]
enum Op {
    Create(P, bool),
    Remove(P, bool),
    Link(P, P),
    Rename(P, P, u32),
    Chmod(P, u32),
    Append(P),
    Truncate(P, u8),
    Xattr(P, Option<u8>),
    Reopen,
    Compact,
}

fn things() -> Vec<(&'static str, Thing)> {
    vec![
        ("/a", Thing::Dir),
        ("/a/a", Thing::File("aa")),
        ("/a/b", Thing::Dir),
        ("/a/b/a", Thing::File("aba")),
        ("/b", Thing::File("b")),
        ("/a/b/c", Thing::Link("/b")),
        ("/c", Thing::Dir),
    ]
}

impl Model {
    fn new(things: &[(&'static str, Thing)]) -> Model {
        let mut m = Model { files: vec![File::new(true, "")] };
        for (path, thing) in things {
            let p: P = path.split('/').skip(1).collect();
            let (dir, name) = m.parent(&p).unwrap();
            match thing {
                Thing::Dir => m.add(dir, name, File::new(true, "")),
                Thing::File(text) => m.add(dir, name, File::new(false, text)),
                Thing::Link(to) => {
                    let to: P = to.split('/').skip(1).collect();
                    let id = m.at(&to).unwrap();
                    m.files[id].nlink += 1;
                    m.files[dir].names.insert(name.into(), id);
                }
                Thing::Symlink(_) => unreachable!(),
            }
        }
        m
    }

    fn add(&mut self, dir: usize, name: &str, file: File) {
        if file.dir {
            self.files[dir].nlink += 1;
        }
        let id = self.files.len();
        self.files.push(file);
        self.files[dir].names.insert(name.into(), id);
    }

    fn at(&self, p: &[&str]) -> Result<usize, i32> {
        p.iter().try_fold(0, |at, name| {
            if !self.files[at].dir {
                return Err(libc::ENOTDIR);
            }
            self.files[at].names.get(*name).copied().ok_or(libc::ENOENT)
        })
    }

    fn parent<'a>(&self, p: &[&'a str]) -> Result<(usize, &'a str), i32> {
        let (name, up) = p.split_last().unwrap();
        let dir = self.at(up)?;
        if self.files[dir].dir { Ok((dir, name)) } else { Err(libc::ENOTDIR) }
    }

    fn within(&self, dir: usize, of: usize) -> bool {
        dir == of || self.files[of].names.values().any(|id| self.files[*id].dir && self.within(dir, *id))
    }

    fn drop_name(&mut self, dir: usize, name: &str) {
        let id = self.files[dir].names.remove(name).unwrap();
        if self.files[id].dir {
            self.files[dir].nlink -= 1;
            self.files[id].nlink = 0;
        } else {
            self.files[id].nlink -= 1;
        }
    }

    fn apply(&mut self, op: &Op) -> Result<(), i32> {
        match op {
            Op::Create(p, is_dir) => {
                let (dir, name) = self.parent(p)?;
                if self.files[dir].names.contains_key(name) {
                    return Err(libc::EEXIST);
                }
                self.add(dir, name, File::new(*is_dir, ""));
            }
            Op::Remove(p, is_dir) => {
                let (dir, name) = self.parent(p)?;
                let id = self.at(p)?;
                match (self.files[id].dir, is_dir) {
                    (true, false) => return Err(libc::EISDIR),
                    (false, true) => return Err(libc::ENOTDIR),
                    (true, true) if !self.files[id].names.is_empty() => return Err(libc::ENOTEMPTY),
                    _ => self.drop_name(dir, name),
                }
            }
            Op::Link(from, to) => {
                let id = self.at(from)?;
                let (dir, name) = self.parent(to)?;
                if self.files[dir].names.contains_key(name) {
                    return Err(libc::EEXIST);
                }
                if self.files[id].dir {
                    return Err(libc::EPERM);
                }
                self.files[id].nlink += 1;
                self.files[dir].names.insert(name.into(), id);
            }
            Op::Rename(from, to, flags) => return self.rename(from, to, *flags),
            Op::Chmod(p, mode) => {
                let id = self.at(p)?;
                self.files[id].mode = *mode;
            }
            Op::Append(p) => {
                let id = self.at(p)?;
                if self.files[id].dir {
                    return Err(libc::EISDIR);
                }
                self.files[id].text.push('+');
            }
            Op::Truncate(p, size) => {
                let id = self.at(p)?;
                if self.files[id].dir {
                    return Err(libc::EISDIR);
                }
                let text = &mut self.files[id].text;
                while text.len() < (*size).into() {
                    text.push('\0');
                }
                text.truncate((*size).into());
            }
            Op::Xattr(p, value) => {
                let id = self.at(p)?;
                if value.is_none() && self.files[id].xattr.is_none() {
                    return Err(libc::ENODATA);
                }
                self.files[id].xattr = *value;
            }
            Op::Reopen | Op::Compact => {}
        }
        Ok(())
    }

    fn rename(&mut self, from: &P, to: &P, flags: u32) -> Result<(), i32> {
        let exchange = flags == RenameFlags::EXCHANGE.bits();
        let (dir, name) = self.parent(from)?;
        let (new_dir, new_name) = self.parent(to)?;
        let moved = self.at(from)?;
        let target = self.at(to).ok();
        match target {
            Some(_) if flags == RenameFlags::NOREPLACE.bits() => return Err(libc::EEXIST),
            None if exchange => return Err(libc::ENOENT),
            _ => {}
        }
        if self.files[moved].dir && self.within(new_dir, moved) {
            return Err(libc::EINVAL);
        }
        if let Some(t) = target
            && self.files[t].dir
            && self.within(dir, t)
        {
            return Err(if exchange { libc::EINVAL } else { libc::ENOTEMPTY });
        }
        if target == Some(moved) {
            return Ok(());
        }
        let (is_dir, t_is_dir) = (self.files[moved].dir, target.is_some_and(|t| self.files[t].dir));
        if exchange {
            let t = target.unwrap();
            self.files[dir].names.insert(name.into(), t);
            self.files[new_dir].names.insert(new_name.into(), moved);
            if is_dir != t_is_dir {
                let (gets, loses) = if is_dir { (new_dir, dir) } else { (dir, new_dir) };
                self.files[gets].nlink += 1;
                self.files[loses].nlink -= 1;
            }
            return Ok(());
        }
        if let Some(t) = target {
            match (is_dir, t_is_dir) {
                (true, false) => return Err(libc::ENOTDIR),
                (false, true) => return Err(libc::EISDIR),
                (true, true) if !self.files[t].names.is_empty() => return Err(libc::ENOTEMPTY),
                _ => self.drop_name(new_dir, new_name),
            }
        }
        self.files[dir].names.remove(name);
        self.files[new_dir].names.insert(new_name.into(), moved);
        if is_dir {
            self.files[dir].nlink -= 1;
            self.files[new_dir].nlink += 1;
        }
        Ok(())
    }
}

impl File {
    fn new(dir: bool, text: &str) -> File {
        let (mode, nlink) = if dir { (0o755, 2) } else { (0o644, 1) };
        File { dir, mode, text: text.into(), xattr: None, nlink, names: BTreeMap::new() }
    }
}

fn parent(root: &InodeRef, p: &P) -> Result<(InodeRef, &'static str), i32> {
    let (name, up) = p.split_last().unwrap();
    let dir = at(root, &up.join("/")).map_err(|e| e.code())?;
    // As the walk does before it hands a name to a directory.
    if dir.kind() == crate::vfs::Kind::Directory { Ok((dir, name)) } else { Err(libc::ENOTDIR) }
}

fn apply(root: &InodeRef, op: &Op) -> Result<(), i32> {
    let code = |e: crate::errno::Errno| e.code();
    let find = |p: &P| at(root, &p.join("/")).map_err(code);
    match op {
        Op::Create(p, is_dir) => {
            let (dir, name) = parent(root, p)?;
            let (kind, mode) =
                if *is_dir { (CreateKind::Directory, 0o755) } else { (CreateKind::Regular, 0o644) };
            dir.create(name.as_bytes(), kind, mode, 0, 0).map(drop).map_err(code)
        }
        Op::Remove(p, is_dir) => {
            let (dir, name) = parent(root, p)?;
            if *is_dir { dir.rmdir(name.as_bytes()) } else { dir.unlink(name.as_bytes()) }.map_err(code)
        }
        Op::Link(from, to) => {
            let target = find(from)?;
            let (dir, name) = parent(root, to)?;
            dir.link(name.as_bytes(), &target).map_err(code)
        }
        Op::Rename(from, to, flags) => {
            let ((dir, name), (new_dir, new_name)) = (parent(root, from)?, parent(root, to)?);
            let flags = RenameFlags::from_bits_truncate(*flags);
            dir.rename(name.as_bytes(), &new_dir, new_name.as_bytes(), flags).map_err(code)
        }
        Op::Chmod(p, mode) => {
            find(p)?.setattr(&SetAttr { mode: Some(*mode), ..SetAttr::default() }).map_err(code)
        }
        Op::Append(p) => write(&find(p)?, libc::O_APPEND, "+").map_err(code),
        Op::Truncate(p, size) => {
            find(p)?.setattr(&SetAttr { size: Some((*size).into()), ..SetAttr::default() }).map_err(code)
        }
        Op::Xattr(p, Some(v)) => find(p)?.setxattr(b"user.v", &[*v], XattrFlags::empty()).map_err(code),
        Op::Xattr(p, None) => find(p)?.removexattr(b"user.v").map_err(code),
        Op::Reopen | Op::Compact => Ok(()),
    }
}

/// Everything that can be seen, by path.
fn dump_model(m: &Model, id: usize, path: String, out: &mut Vec<String>) {
    let f = &m.files[id];
    out.push(format!("{path} {} {:o} {} {:?} {:?}", f.dir, f.mode, f.nlink, f.text, f.xattr));
    for (name, id) in &f.names {
        dump_model(m, *id, format!("{path}/{name}"), out);
    }
}

fn dump(inode: &InodeRef, path: String, parent: &InodeRef, out: &mut Vec<String>) {
    let a = inode.attr().unwrap();
    let dir = a.kind() == crate::vfs::Kind::Directory;
    let text = if dir { String::new() } else { read(inode) };
    let xattr = inode.getxattr(b"user.v").ok().map(|v| v[0]);
    if !dir {
        assert_eq!(a.size, text.len() as u64);
    }
    out.push(format!("{path} {dir} {:o} {} {text:?} {xattr:?}", a.mode & 0o7777, a.nlink));
    if !path.is_empty() {
        let (up, name) = inode.alias().unwrap();
        assert_eq!(up.lookup(&name).unwrap().ino(), inode.ino(), "alias of {path}");
    }
    if dir {
        assert_eq!(inode.parent().unwrap().ino(), parent.ino(), "parent of {path}");
        for name in names(inode) {
            dump(&inode.lookup(name.as_bytes()).unwrap(), format!("{path}/{name}"), inode, out);
        }
    }
}

fn check(model: &Model, root: &InodeRef) {
    let (mut want, mut got) = (Vec::new(), Vec::new());
    dump_model(model, 0, String::new(), &mut want);
    dump(root, String::new(), root, &mut got);
    assert_eq!(got, want);
}

fn path() -> impl Strategy<Value = P> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (path(), any::<bool>()).prop_map(|(p, d)| Op::Create(p, d)),
        4 => (path(), any::<bool>()).prop_map(|(p, d)| Op::Remove(p, d)),
        2 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        6 => (path(), path(), 0..3u32).prop_map(|(a, b, f)| Op::Rename(a, b, f)),
        1 => (path(), 0..0o7777u32).prop_map(|(p, m)| Op::Chmod(p, m)),
        2 => path().prop_map(Op::Append),
        1 => (path(), 0..6u8).prop_map(|(p, s)| Op::Truncate(p, s)),
        1 => (path(), any::<Option<u8>>()).prop_map(|(p, v)| Op::Xattr(p, v)),
        1 => Just(Op::Reopen),
        1 => Just(Op::Compact),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn delta_is_as_the_model(ops in prop::collection::vec(op(), 1..60)) {
        let mut c = Container::new(&things());
        let mut model = Model::new(&things());
        for op in &ops {
            match op {
                Op::Reopen => c.reopen(),
                Op::Compact => c.fs().snapshot_now(),
                _ => prop_assert_eq!(apply(&c.root(), op), model.apply(op), "{:?}", op),
            }
            c.fs().sweep();
        }
        check(&model, &c.root());
        c.reopen();
        check(&model, &c.root());
        c.fs().snapshot_now();
        c.reopen();
        check(&model, &c.root());
    }

    #[test]
    fn no_payload_does_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 1..5u8) {
        let dir = TempDir::new();
        let image = Image::new(&things(), dir.path());
        let mut state = super::node::State::default();
        for payload in [bytes.clone(), [&[tag][..], &bytes].concat()] {
            let _ = super::record::apply(&mut state, &image, &payload);
        }
    }

    /// Payloads that are nearly right: real ones with some bytes changed.
    #[test]
    fn damaged_payloads_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let dir = TempDir::new();
        let image = Image::new(&things(), dir.path());
        let mut state = super::node::State::default();
        for ino in 1..=image.max_ino() {
            let _ = state.node_mut(&image, ino);
        }
        let _ = state.put(&image, 1, b"new", Some(3));
        let payloads: Vec<Vec<u8>> = super::record::snapshot(&state, &image).collect();
        for mut payload in payloads {
            for (at, byte) in &changes {
                let at = at.index(payload.len().max(1));
                if let Some(b) = payload.get_mut(at) {
                    *b = *byte;
                }
            }
            let _ = super::record::apply(&mut state, &image, &payload);
        }
        for ino in 0..20 {
            let _ = state.alias_of(&image, ino);
            let _ = state.is_within(&image, ino, 1);
            let _ = state.allocate(&image);
        }
    }

    #[test]
    fn tmp_is_as_the_model(ops in prop::collection::vec(op(), 1..60)) {
        let dir = TempDir::new();
        let fs = TmpFs::new(SbId(2), dir.path(), TmpOptions { size: 0, mode: 0o755 }, Arc::default());
        let mut model = Model::new(&[]);
        for op in &ops {
            prop_assert_eq!(apply(&fs.root(), op), model.apply(op), "{:?}", op);
            fs.sweep();
        }
        check(&model, &fs.root());
    }
}
