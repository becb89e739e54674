//! The one file that says which images there are and what they are called.
//!
//! `repository` is a journal: a line for each change, appended and made durable under the store's lock. That is
//! the commit point of every change: an image directory or a layer that it does not mention is garbage. So a
//! change costs the same however many images there are.
//!
//! ```text
//! carrack-repository 2
//! <16 hex digits of the SHA-256 of what follows> [{"op":"image",…},{"op":"tag",…}]
//! …
//! ```
//!
//! A line is one change, all of it or none: a last line that is incomplete or does not have its digest was
//! never acknowledged; readers stop before it, and the next writer cuts it off. When most of the journal is
//! about the past it is written anew and renamed over the old one.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::content::{Descriptor, sha256_hex};
use super::image::{ImageConfig, rfc3339};
use crate::error::{Context, Error};
use crate::reference::Reference;

const FILE: &str = "repository";
/// What the first line says.
const MAGIC: &str = "carrack-repository 2\n";
/// What version 1 was called.
const OLD: &str = "repository.json";
/// Bytes of a journal that is never written anew.
const SMALL: u64 = 256 << 10;

/// All images and their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Repository {
    /// Images by the hex digits of their id.
    pub(super) images: BTreeMap<String, Arc<Entry>>,
    /// Images that were removed by force while containers use them: kept, but not shown.
    pub(super) retained: BTreeMap<String, Arc<Entry>>,
    /// Full references with a tag, and the hex digits they stand for.
    pub(super) tags: BTreeMap<String, String>,
    /// Full references with a digest, and the hex digits they stand for.
    pub(super) digests: BTreeMap<String, String>,
    /// Changes that are not in the file yet.
    pending: Vec<Op>,
}

/// What is kept of an image besides its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Sum of the layers' sizes in bytes.
    pub(super) size: u64,
    /// The layers' digests in hex, the lowest first.
    pub(super) layers: Vec<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_tagged: Option<String>,
    /// Hex digits of the image that it was made of here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<String>,
    /// The manifest or index by which it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) manifest: Option<Descriptor>,
    /// What it came with; kept as long as it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) documents: Vec<Descriptor>,
    /// What lists show of the configuration; `None`: it has to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<Summary>,
}

/// What lists show of an image's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
}

/// Bytes of labels that are kept here; more are left to the configuration.
const LABELS_MAX: usize = 64 << 10;

impl Summary {
    /// `None`: it is too big to be kept here.
    pub(super) fn of(config: &ImageConfig) -> Option<Summary> {
        let labels = config.config.labels.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
        (labels <= LABELS_MAX).then(|| Summary::whole(config))
    }

    pub(super) fn whole(config: &ImageConfig) -> Summary {
        Summary { created: config.created.map(rfc3339), labels: config.config.labels.clone() }
    }
}

/// A part of a change.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Op {
    Image { id: String, entry: Arc<Entry> },
    Retained { id: String, entry: Arc<Entry> },
    Gone { id: String },
    Tag { name: String, id: String },
    Untag { name: String },
    Digest { name: String, id: String },
    Undigest { name: String },
}

impl Repository {
    /// An image is shown from now on.
    pub(super) fn put_image(&mut self, id: &str, entry: Entry) {
        self.change(Op::Image { id: id.to_owned(), entry: Arc::new(entry) });
    }

    /// An image is not shown any more, but kept.
    pub(super) fn retain(&mut self, id: &str) {
        if let Some(entry) = self.images.get(id).cloned() {
            self.change(Op::Retained { id: id.to_owned(), entry });
        }
    }

    /// An image is gone, shown or not.
    pub(super) fn forget(&mut self, id: &str) {
        self.change(Op::Gone { id: id.to_owned() });
    }

    pub(super) fn tag(&mut self, name: String, id: &str) {
        self.change(Op::Tag { name, id: id.to_owned() });
    }

    pub(super) fn put_digest(&mut self, name: String, id: &str) {
        self.change(Op::Digest { name, id: id.to_owned() });
    }

    /// Takes a name away, with a tag or a digest.
    pub(super) fn untag(&mut self, name: &str) {
        if self.tags.contains_key(name) {
            self.change(Op::Untag { name: name.to_owned() });
        }
        if self.digests.contains_key(name) {
            self.change(Op::Undigest { name: name.to_owned() });
        }
    }

    fn change(&mut self, op: Op) {
        self.apply(op.clone());
        self.pending.push(op);
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Image { id, entry } => {
                self.retained.remove(&id);
                self.images.insert(id, entry);
            }
            Op::Retained { id, entry } => {
                self.images.remove(&id);
                self.retained.insert(id, entry);
            }
            Op::Gone { id } => {
                self.images.remove(&id);
                self.retained.remove(&id);
            }
            Op::Tag { name, id } => drop(self.tags.insert(name, id)),
            Op::Untag { name } => drop(self.tags.remove(&name)),
            Op::Digest { name, id } => drop(self.digests.insert(name, id)),
            Op::Undigest { name } => drop(self.digests.remove(&name)),
        }
    }

    /// Everything as changes to nothing.
    fn snapshot(&self) -> Vec<Op> {
        let image = |(id, entry): (&String, &Arc<Entry>)| Op::Image { id: id.clone(), entry: entry.clone() };
        let retained =
            |(id, entry): (&String, &Arc<Entry>)| Op::Retained { id: id.clone(), entry: entry.clone() };
        let tag = |(name, id): (&String, &String)| Op::Tag { name: name.clone(), id: id.clone() };
        let digest = |(name, id): (&String, &String)| Op::Digest { name: name.clone(), id: id.clone() };
        let named = self.tags.iter().map(tag).chain(self.digests.iter().map(digest));
        self.images.iter().map(image).chain(self.retained.iter().map(retained)).chain(named).collect()
    }

    /// Which images have names, by id: (tags, digests) in familiar form.
    pub(super) fn names(&self) -> BTreeMap<&str, (Vec<String>, Vec<String>)> {
        let mut names: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
        for (reference, hex) in &self.tags {
            names.entry(hex).or_default().0.push(familiar(reference));
        }
        for (reference, hex) in &self.digests {
            names.entry(hex).or_default().1.push(familiar(reference));
        }
        names
    }

    /// The names of one image.
    pub(super) fn names_of(&self, hex: &str) -> (Vec<String>, Vec<String>) {
        let of = |map: &BTreeMap<String, String>| {
            map.iter().filter(|(_, h)| *h == hex).map(|(r, _)| familiar(r)).collect()
        };
        (of(&self.tags), of(&self.digests))
    }

    /// The layers of all images, shown or not.
    pub(super) fn used_layers(&self) -> HashSet<&str> {
        let all = self.images.values().chain(self.retained.values());
        all.flat_map(|e| e.layers.iter().map(String::as_str)).collect()
    }

    /// The documents of all images, in hex.
    pub(super) fn used_content(&self) -> HashSet<&str> {
        let all = self.images.values().chain(self.retained.values());
        let documents = all.flat_map(|e| e.documents.iter().chain(&e.manifest));
        documents.filter_map(|d| sha256_hex(&d.digest)).collect()
    }
}

fn familiar(reference: &str) -> String {
    Reference::parse(reference).map_or_else(|_| reference.to_owned(), |r| r.familiar())
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|d| d.sync_all()).context("syncing", path)
}

/// A change as a line of the journal.
fn line(ops: &[Op]) -> Result<Vec<u8>, Error> {
    let json = serde_json::to_string(ops).map_err(|e| Error::Corrupt(e.to_string()))?;
    Ok(format!("{} {json}\n", digest(json.as_bytes())).into_bytes())
}

fn digest(json: &[u8]) -> String {
    hex::encode(&Sha256::digest(json)[..8])
}

/// The change that a line (without its end) is; `None`: it is none.
fn parse(line: &[u8]) -> Option<Vec<Op>> {
    let (sum, json) = line.split_at_checked(16)?;
    let json = json.strip_prefix(b" ")?;
    (digest(json).as_bytes() == sum).then(|| serde_json::from_slice(json).ok())?
}

/// The journal as far as it was read.
///
/// Holding the file open keeps its inode number from being used again, so that comparing numbers tells for
/// sure whether another process has replaced it.
#[derive(Debug, Default)]
pub(super) struct Cached(Option<Journal>);

#[derive(Debug)]
struct Journal {
    file: File,
    ino: u64,
    /// Bytes that were read and are good.
    len: u64,
    /// Bytes it had when it was written anew.
    fresh: u64,
    repository: Arc<Repository>,
}

impl Cached {
    /// The present contents.
    pub(super) fn read(&mut self, root: &Path) -> Result<Arc<Repository>, Error> {
        let path = root.join(FILE);
        let meta = match std::fs::metadata(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.0 = None;
                return old(root);
            }
            result => result.context("looking at", &path)?,
        };
        match &mut self.0 {
            Some(known) if known.ino == meta.ino() => {
                if meta.len() > known.len {
                    known.read_on(&path)?;
                }
            }
            _ => {
                let file = File::options().read(true).write(true).open(&path).context("opening", &path)?;
                let ino = file.metadata().context("looking at", &path)?.ino();
                let mut head = [0; MAGIC.len()];
                if file.read_exact_at(&mut head, 0).is_err() || head != *MAGIC.as_bytes() {
                    let what = format!("{}: made by another version of Carrack", path.display());
                    return Err(Error::Corrupt(what));
                }
                let len = MAGIC.len() as u64;
                let mut journal = Journal { file, ino, len, fresh: 0, repository: Arc::default() };
                journal.read_on(&path)?;
                journal.fresh = journal.len;
                self.0 = Some(journal);
            }
        }
        Ok(self.0.as_ref().map(|j| j.repository.clone()).unwrap_or_default())
    }

    /// Adds the changes of `repository`, which was made of what [`Cached::read`] said. The caller holds the store's
    /// lock since then.
    pub(super) fn write(&mut self, root: &Path, mut repository: Repository) -> Result<(), Error> {
        let ops = std::mem::take(&mut repository.pending);
        if ops.is_empty() {
            return Ok(());
        }
        let line = line(&ops)?;
        if let Some(journal) = &mut self.0 {
            let len = journal.len + line.len() as u64;
            if len < SMALL.max(journal.fresh.saturating_mul(2)) {
                let path = root.join(FILE);
                if let Err(e) = journal.append(&line) {
                    // Whatever of it is there: the next one to read or write sees the file as it is.
                    self.0 = None;
                    return Err(Error::io("writing", &path, e));
                }
                journal.repository = Arc::new(repository);
                return Ok(());
            }
        }
        self.write_anew(root, repository)
    }

    fn write_anew(&mut self, root: &Path, repository: Repository) -> Result<(), Error> {
        let (path, aside) = (root.join(FILE), root.join("repository.new"));
        let mut text = MAGIC.as_bytes().to_vec();
        // Not one line of megabytes.
        for ops in repository.snapshot().chunks(256) {
            text.extend(line(ops)?);
        }
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&aside);
        let mut file = file.context("creating", &aside)?;
        file.write_all(&text).and_then(|()| file.sync_all()).context("writing", &aside)?;
        std::fs::rename(&aside, &path).context("renaming to", &path)?;
        sync_dir(root)?;
        match std::fs::remove_file(root.join(OLD)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("deleting", &root.join(OLD), e));
            }
            _ => {}
        }
        let ino = file.metadata().context("looking at", &path)?.ino();
        let len = text.len() as u64;
        self.0 = Some(Journal { file, ino, len, fresh: len, repository: Arc::new(repository) });
        Ok(())
    }
}

impl Journal {
    /// Applies the changes that were added since.
    fn read_on(&mut self, path: &Path) -> Result<(), Error> {
        let end = self.file.metadata().context("looking at", path)?.len();
        let mut tail = vec![0; usize::try_from(end.saturating_sub(self.len)).unwrap_or(0)];
        self.file.read_exact_at(&mut tail, self.len).context("reading", path)?;
        let mut rest = &tail[..];
        let mut changes = Vec::new();
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            let (line, next) = (&rest[..end], &rest[end + 1..]);
            match parse(line) {
                Some(ops) => changes.extend(ops),
                None if next.split(|&b| b == b'\n').any(|l| parse(l).is_some()) => {
                    return Err(Error::Corrupt(format!("{}: a line is damaged", path.display())));
                }
                // What was cut off by a loss of power.
                None => break,
            }
            self.len += end as u64 + 1;
            rest = next;
        }
        if !changes.is_empty() {
            let repository = Arc::make_mut(&mut self.repository);
            changes.into_iter().for_each(|op| repository.apply(op));
        }
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        // Behind what is good there may be what was never acknowledged.
        if self.file.metadata()?.len() > self.len {
            self.file.set_len(self.len)?;
        }
        self.file.write_all_at(line, self.len)?;
        if let Err(e) = self.file.sync_data() {
            let _ = self.file.set_len(self.len);
            return Err(e);
        }
        self.len += line.len() as u64;
        Ok(())
    }
}

/// A store of version 1, which kept all in one document; it is replaced at the next change.
fn old(root: &Path) -> Result<Arc<Repository>, Error> {
    #[derive(Deserialize)]
    struct Old {
        version: u32,
        #[serde(default)]
        images: BTreeMap<String, Arc<Entry>>,
        #[serde(default)]
        retained: BTreeMap<String, Arc<Entry>>,
        #[serde(default)]
        tags: BTreeMap<String, String>,
        #[serde(default)]
        digests: BTreeMap<String, String>,
    }
    let path = root.join(OLD);
    let json = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Arc::default()),
        result => result.context("reading", &path)?,
    };
    let bad = |why: String| Error::Corrupt(format!("{}: {why}", path.display()));
    let Old { version, images, retained, tags, digests } =
        serde_json::from_slice(&json).map_err(|e| bad(e.to_string()))?;
    if version != 1 {
        return Err(bad("made by another version of Carrack".into()));
    }
    Ok(Arc::new(Repository { images, retained, tags, digests, pending: Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In memory where that is possible: each change waits for the disk otherwise.
    fn memory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    fn names(cached: &mut Cached, root: &Path) -> Vec<String> {
        cached.read(root).unwrap().tags.keys().cloned().collect()
    }

    fn tag(cached: &mut Cached, root: &Path, name: &str) {
        let mut repository = Repository::clone(&cached.read(root).unwrap());
        repository.tag(name.to_owned(), "id");
        cached.write(root, repository).unwrap();
    }

    #[test]
    fn a_cut_line_was_never_there() {
        let dir = memory();
        let root = dir.path();
        let mut cached = Cached::default();
        tag(&mut cached, root, "a");
        let first = std::fs::read(root.join(FILE)).unwrap();
        tag(&mut cached, root, "b");
        let whole = std::fs::read(root.join(FILE)).unwrap();
        for cut in first.len()..whole.len() {
            for more in [&b""[..], b"\0\0\0\0", b"\n", b"garbage\nmore\n"] {
                let text = [&whole[..cut], more].concat();
                if text.starts_with(&whole) {
                    continue;
                }
                std::fs::write(root.join(FILE), text).unwrap();
                let mut cached = Cached::default();
                assert_eq!(names(&mut cached, root), ["a"], "{cut} {more:?}");
                tag(&mut cached, root, "c");
                assert_eq!(names(&mut Cached::default(), root), ["a", "c"], "{cut} {more:?}");
            }
        }
        // Damage in the middle is no cut.
        let mut damaged = whole.clone();
        damaged[first.len() - 3] ^= 1;
        std::fs::write(root.join(FILE), damaged).unwrap();
        assert!(matches!(Cached::default().read(root), Err(Error::Corrupt(_))));
        for cut in 0..MAGIC.len() {
            std::fs::write(root.join(FILE), &whole[..cut]).unwrap();
            assert!(matches!(Cached::default().read(root), Err(Error::Corrupt(_))));
        }
    }

    #[test]
    fn others_see_each_change_and_a_journal_that_is_written_anew() {
        let dir = memory();
        let root = dir.path();
        let (mut one, mut two) = (Cached::default(), Cached::default());
        let mut sizes = Vec::new();
        for i in 0..1500 {
            let (writer, reader) = if i % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
            let name = format!("{:0>300}", i % 5);
            tag(writer, root, &name);
            assert!(reader.read(root).unwrap().tags.contains_key(&name), "{i}");
            let mut repository = Repository::clone(&writer.read(root).unwrap());
            repository.untag(&name);
            writer.write(root, repository).unwrap();
            assert!(names(reader, root).is_empty());
            sizes.push(std::fs::metadata(root.join(FILE)).unwrap().len());
        }
        assert!(sizes.iter().all(|&s| s <= SMALL));
        assert!(sizes.windows(2).any(|w| w[0] > w[1]), "never written anew");
    }

    #[test]
    fn a_store_of_version_1_is_read_and_replaced() {
        let dir = memory();
        let root = dir.path();
        let json = r#"{"version":1,"images":{"ab":{"size":5,"layers":["cd"]}},"tags":{"x:1":"ab"}}"#;
        std::fs::write(root.join(OLD), json).unwrap();
        let mut cached = Cached::default();
        assert_eq!(cached.read(root).unwrap().images["ab"].size, 5);
        tag(&mut cached, root, "y:1");
        assert!(!root.join(OLD).exists());
        let read = Cached::default().read(root).unwrap();
        assert_eq!((read.images["ab"].size, read.tags.len()), (5, 2));
    }
}
