//! COPY and ADD: what is copied where, with which attributes.

use super::context::Builder;
use super::overlay::{At, Names, Overlay, plain_directory};
use super::tree::{Found, Meta, Node, Tree, components, matching, read_small, resolve, show, sum};
use crate::engine::error::{Error, Result};
use carrack_images::FileKind;
use carrack_images::build::glob;
use carrack_images::build::ignore::Ignore;
use carrack_images::tar::open_archive;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;

/// Largest `/etc/passwd` that names are looked up in.
const PASSWD_MAX: u64 = 4 << 20;

/// One thing to copy.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) tree: Arc<dyn Tree>,
    pub(super) node: Node,
    /// What it is called in the directory that it is copied to.
    pub(super) name: Vec<u8>,
    /// `--parents`: directories that it keeps.
    pub(super) parents: Names,
    /// `--parents`: a directory is copied, and not only what is in it.
    pub(super) keeps_name: bool,
    /// Archives are unpacked.
    pub(super) unpack: bool,
}

/// New permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Octal(u32),
    Symbolic(Vec<Clause>),
}

/// `u+rwX`: who, how, what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    who: u32,
    operator: char,
    what: String,
}

/// A whole copy.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) items: Vec<Item>,
    /// As it is written, expanded; relative to `work_dir`.
    pub(super) destination: String,
    pub(super) work_dir: String,
    /// `None`: root's, or what it was if `preserve`.
    pub(super) owner: Option<(u32, u32)>,
    pub(super) preserve: bool,
    pub(super) mode: Option<Mode>,
    pub(super) exclude: Ignore,
    /// The image below does not matter: no links of it are followed.
    pub(super) is_linked: bool,
    /// Where archives are unpacked.
    pub(super) scratch: PathBuf,
    /// Seconds since the epoch.
    pub(super) now: i64,
}

/// What a source of COPY or ADD stands for in a tree. `is_context`: for the words of an error.
pub(super) fn find(tree: &Arc<dyn Tree>, source: &str, keeps: bool, is_context: bool) -> Result<Vec<Item>> {
    if is_context && leaves_root(source) {
        return Err(Error::invalid(format!("forbidden path outside the build context: {source} ()")));
    }
    // `a/./b/c` keeps `b` only.
    let pivot = source.find("/./").map_or(0, |at| components(&source.as_bytes()[..at]).count());
    let item = |found: Found, node: Node| {
        let name = found.path.last().cloned().unwrap_or_default();
        let above = found.path.len().saturating_sub(1).max(pivot);
        let parents =
            if keeps { found.path.get(pivot..above).unwrap_or_default().to_vec() } else { Vec::new() };
        Item { tree: tree.clone(), node, keeps_name: keeps && !name.is_empty(), name, parents, unpack: false }
    };
    let missing = || match is_context {
        true => Error::invalid(format!(
            "file not found in build context or excluded by .dockerignore: stat {source}: file does not exist"
        )),
        false => Error::invalid(format!("stat {source}: file does not exist")),
    };
    if glob::is_pattern(source) {
        let mut items = Vec::new();
        for found in matching(&**tree, source)? {
            // A link is what it leads to, under its own name.
            if let Some(end) = resolve(&**tree, &found.path.join(&b'/'), true)? {
                items.push(item(found, end.node));
            }
        }
        if items.is_empty() {
            return Err(Error::invalid("no source files were specified"));
        }
        return Ok(items);
    }
    let unescaped = source.replace('\\', "");
    let source = if source.contains('\\') { &unescaped } else { source };
    let end = resolve(&**tree, source.as_bytes(), true)?.ok_or_else(missing)?;
    let written: Names = components(source.as_bytes()).filter(|c| *c != b"..").map(<[u8]>::to_vec).collect();
    Ok(vec![item(Found { path: written, node: end.node }, end.node)])
}

/// Whether a path goes above where it starts, as far as text tells.
fn leaves_root(path: &str) -> bool {
    let mut depth = 0i64;
    components(path.as_bytes()).any(|part| {
        depth += if part == b".." { -1 } else { 1 };
        depth < 0
    })
}

impl Plan {
    /// How the history and the cache know what is copied: the same text, the same files.
    pub(super) fn digest(&self) -> Result<String> {
        let mut sums = Vec::new();
        for item in &self.items {
            let mut hasher = Sha256::new();
            hasher.update(sum(&*item.tree, item.node, &self.exclude)?);
            for name in item.parents.iter().chain([&item.name]) {
                hasher.update((name.len() as u64).to_le_bytes());
                hasher.update(name);
            }
            let kind = match item.tree.meta(item.node)?.kind {
                FileKind::Directory => "dir",
                _ => "file",
            };
            sums.push((kind, hasher.finalize()));
        }
        if let [(kind, sum)] = &sums[..] {
            return Ok(format!("{kind}:{}", hex::encode(sum)));
        }
        let mut hasher = Sha256::new();
        for (kind, sum) in &sums {
            hasher.update(kind);
            hasher.update(sum);
        }
        Ok(format!("multi:{}", hex::encode(hasher.finalize())))
    }

    /// The layer on top of `base`.
    pub(super) fn layer(&self, base: Option<Arc<dyn Tree>>) -> Result<Overlay> {
        let mut overlay = Overlay::new(base.filter(|_| !self.is_linked), self.now);
        let text = &self.destination;
        let path = if text.starts_with('/') { text.clone() } else { format!("{}/{text}", self.work_dir) };
        let mut is_dir = matches!(text.as_str(), "." | "..") || text.ends_with('/') || text.ends_with("/.");
        is_dir |= self.items.iter().any(|i| i.keeps_name);
        for item in &self.items {
            let names = overlay.resolve(path.as_bytes())?;
            self.item(&mut overlay, item, names, is_dir)?;
        }
        Ok(overlay)
    }

    fn item(&self, overlay: &mut Overlay, item: &Item, mut names: Names, is_dir: bool) -> Result<()> {
        let meta = item.tree.meta(item.node)?;
        for parent in &item.parents {
            names.push(parent.clone());
        }
        if meta.kind == FileKind::Directory {
            // With --parents the directory itself is copied, else only what is in it.
            if item.keeps_name {
                names.push(item.name.clone());
            }
            self.make_dirs(overlay, &names)?;
            return self.merge(overlay, &item.tree, item.node, names, false);
        }
        if item.unpack && meta.kind == FileKind::Regular && self.unpack(overlay, item, &names)? {
            return Ok(());
        }
        if !self.exclude.is_empty() && self.exclude.leaves_out(&String::from_utf8_lossy(&item.name)) {
            return Ok(());
        }
        if is_dir || overlay.at(&names)? == At::Directory {
            names.push(item.name.clone());
        }
        if let Some((_, above)) = names.split_last() {
            self.make_dirs_as(overlay, above, (0, 0))?;
        }
        self.put(overlay, &names, meta, &item.tree, item.node, false)
    }

    fn make_dirs(&self, overlay: &mut Overlay, names: &[Vec<u8>]) -> Result<()> {
        self.make_dirs_as(overlay, names, self.owner.unwrap_or((0, 0)))
    }

    fn make_dirs_as(&self, overlay: &mut Overlay, names: &[Vec<u8>], owner: (u32, u32)) -> Result<()> {
        overlay.make_dirs(names, owner).map(drop)
    }

    /// Copies what is in a directory. `archived`: it was unpacked, so owners are its own.
    fn merge(
        &self,
        overlay: &mut Overlay,
        tree: &Arc<dyn Tree>,
        dir: Node,
        names: Names,
        archived: bool,
    ) -> Result<()> {
        let mut stack = vec![(dir, Vec::<u8>::new(), names)];
        while let Some((dir, path, names)) = stack.pop() {
            for (name, node) in tree.entries(dir) {
                let meta = tree.meta(node)?;
                let below = if path.is_empty() { name.clone() } else { [&path, &b"/"[..], &name].concat() };
                let mut target = [names.as_slice(), &[name]].concat();
                let is_out = !archived
                    && !self.exclude.is_empty()
                    && self.exclude.leaves_out(&String::from_utf8_lossy(&below));
                if meta.kind == FileKind::Directory {
                    if is_out && !self.exclude.has_exceptions() {
                        continue;
                    }
                    if meta.is_implied {
                        target = overlay.resolve(&target.join(&b'/'))?;
                        self.make_dirs(overlay, &target)?;
                    } else if !is_out {
                        let meta = self.attributes(meta, archived);
                        overlay.put_dir(&target, meta)?;
                    }
                    stack.push((node, below, target));
                } else if !is_out {
                    if let Some((_, above)) = target.split_last() {
                        self.make_dirs(overlay, above)?;
                    }
                    self.put(overlay, &target, meta, tree, node, archived)?;
                }
            }
        }
        Ok(())
    }

    fn put(
        &self,
        overlay: &mut Overlay,
        names: &[Vec<u8>],
        meta: Meta,
        tree: &Arc<dyn Tree>,
        node: Node,
        archived: bool,
    ) -> Result<()> {
        let from = (meta.kind == FileKind::Regular).then(|| (tree.clone(), node));
        overlay.put_file(names, self.attributes(meta, archived), from)
    }

    fn attributes(&self, mut meta: Meta, archived: bool) -> Meta {
        match self.owner {
            Some((uid, gid)) => (meta.uid, meta.gid) = (uid, gid),
            None if self.preserve || archived => {}
            None => (meta.uid, meta.gid) = (0, 0),
        }
        if let Some(mode) = &self.mode
            && meta.kind != FileKind::Symlink
        {
            meta.mode = mode.apply(meta.mode, meta.kind == FileKind::Directory);
        }
        meta
    }

    /// Unpacks an archive into the directory `names`; `false`: it is none.
    fn unpack(&self, overlay: &mut Overlay, item: &Item, names: &[Vec<u8>]) -> Result<bool> {
        let opened = open_archive(item.tree.open(item.node)?).map_err(|e| Error::invalid(e.to_string()))?;
        let Some(mut archive) = opened else { return Ok(false) };
        let mut builder = Builder::new(&self.scratch)?;
        builder.read(&mut archive).map_err(|e| e.context(show(&item.name)))?;
        let tree: Arc<dyn Tree> = Arc::new(builder.finish());
        self.make_dirs(overlay, names)?;
        self.merge(overlay, &tree, tree.root(), names.to_vec(), true)?;
        Ok(true)
    }
}

impl Mode {
    /// `0644`, or `u=rwX,go=rX` as chmod(1) has it.
    pub(super) fn parse(text: &str) -> Result<Mode> {
        let bad = || {
            Error::invalid(format!(
                "invalid chmod parameter: {text:?}. it should be octal string and between 0 and 07777"
            ))
        };
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o7777);
            return mode.map(Mode::Octal).ok_or_else(bad);
        }
        let mut clauses = Vec::new();
        for clause in text.split(',') {
            let letters = clause.find(['+', '-', '=']).ok_or_else(bad)?;
            let mut who = 0;
            for letter in clause[..letters].chars() {
                who |= match letter {
                    'u' => 0o4700,
                    'g' => 0o2070,
                    'o' => 0o1007,
                    'a' => 0o7777,
                    _ => return Err(bad()),
                };
            }
            let who = if who == 0 { 0o7777 } else { who };
            let mut rest = &clause[letters..];
            while let Some(operator) = rest.chars().next() {
                let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
                let what = &rest[1..end];
                if !what.chars().all(|c| "rwxXst".contains(c)) {
                    return Err(bad());
                }
                clauses.push(Clause { who, operator, what: what.into() });
                rest = &rest[end..];
            }
        }
        Ok(Mode::Symbolic(clauses))
    }

    pub(super) fn apply(&self, old: u32, is_dir: bool) -> u32 {
        let clauses = match self {
            Mode::Octal(mode) => return *mode,
            Mode::Symbolic(clauses) => clauses,
        };
        let mut mode = old;
        for Clause { who, operator, what } in clauses {
            let mut bits = 0;
            for letter in what.chars() {
                bits |= match letter {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    'X' if is_dir || mode & 0o111 != 0 => 0o111,
                    's' => 0o6000,
                    't' => 0o1000,
                    _ => 0,
                };
            }
            bits &= who;
            mode = match operator {
                '+' => mode | bits,
                '-' => mode & !bits,
                _ => mode & !(who & 0o777) | bits,
            };
        }
        mode
    }
}

/// The owner that `--chown` names, looked up in the image.
pub(super) fn owner(text: &str, image: Option<&dyn Tree>) -> Result<(u32, u32)> {
    let (user, group) = match text.split_once(':') {
        Some((_, group)) if group.contains(':') => {
            return Err(Error::invalid(format!("invalid chown string provided: {text}")));
        }
        Some((user, group)) => (user, group),
        // The group of the same name or number.
        None => (text, text),
    };
    if user.is_empty() || group.is_empty() {
        return Err(Error::invalid(format!("invalid chown string provided: {text}")));
    }
    let uid = lookup(user, "/etc/passwd", image)?
        .ok_or_else(|| Error::invalid(format!("can't find uid for user {user}: no such user: {user}")))?;
    let gid = lookup(group, "/etc/group", image)?
        .ok_or_else(|| Error::invalid(format!("can't find gid for group {group}: no such group: {group}")))?;
    Ok((uid, gid))
}

fn lookup(name: &str, file: &str, image: Option<&dyn Tree>) -> Result<Option<u32>> {
    if let Ok(id) = name.parse::<u32>() {
        return Ok((id != u32::MAX).then_some(id));
    }
    let Some(image) = image else { return Ok(None) };
    let Some(text) = read_small(image, file.as_bytes(), PASSWD_MAX)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&text);
    let id = |line: &str| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    Ok(text.lines().find_map(id))
}

/// A layer that has a directory, for WORKDIR; empty if it is there.
pub(super) fn directory(base: Option<Arc<dyn Tree>>, path: &str, now: i64) -> Result<Overlay> {
    let mut overlay = Overlay::new(base, now);
    let names = overlay.resolve(path.as_bytes())?;
    let meta = plain_directory();
    overlay.make_dirs(&names, (meta.uid, meta.gid))?;
    Ok(overlay)
}
