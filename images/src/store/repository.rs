//! The one file that says which images there are and what they are called.
//!
//! `repository.json` is replaced as a whole, atomically and durably, under the store's lock. That is the
//! commit point of every change: an image directory or a layer that it does not mention is garbage.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::content::{Descriptor, sha256_hex};
use crate::error::{Context, Error};
use crate::reference::Reference;

const FILE: &str = "repository.json";
const VERSION: u32 = 1;

/// The contents of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Repository {
    version: u32,
    /// Images by the hex digits of their id.
    #[serde(default)]
    pub(super) images: BTreeMap<String, Entry>,
    /// Images that were removed by force while containers use them: kept, but not shown.
    #[serde(default)]
    pub(super) retained: BTreeMap<String, Entry>,
    /// Full references with a tag, and the hex digits they stand for.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// Full references with a digest, and the hex digits they stand for.
    #[serde(default)]
    pub(super) digests: BTreeMap<String, String>,
}

/// What is kept of an image besides its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Default for Repository {
    fn default() -> Self {
        Repository {
            version: VERSION,
            images: BTreeMap::new(),
            retained: BTreeMap::new(),
            tags: BTreeMap::new(),
            digests: BTreeMap::new(),
        }
    }
}

impl Repository {
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

    /// Replaces the file. The caller holds the store's lock.
    pub(super) fn write(&self, root: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec(self).map_err(|e| Error::Corrupt(e.to_string()))?;
        let (path, aside) = (root.join(FILE), root.join("repository.json.new"));
        let mut file = File::create(&aside).context("creating", &aside)?;
        file.write_all(&json).and_then(|()| file.sync_all()).context("writing", &aside)?;
        std::fs::rename(&aside, &path).context("renaming to", &path)?;
        sync_dir(root)
    }
}

fn familiar(reference: &str) -> String {
    Reference::parse(reference).map_or_else(|_| reference.to_owned(), |r| r.familiar())
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|d| d.sync_all()).context("syncing", path)
}

/// The file as last read. Holding the old file open keeps its inode number from being used again, so that
/// comparing numbers tells for sure whether another process has replaced it.
#[derive(Debug, Default)]
pub(super) struct Cached(Option<(File, u64, Arc<Repository>)>);

impl Cached {
    /// The present contents.
    pub(super) fn read(&mut self, root: &Path) -> Result<Arc<Repository>, Error> {
        let path = root.join(FILE);
        let meta = match std::fs::metadata(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.0 = None;
                return Ok(Arc::new(Repository::default()));
            }
            result => result.context("looking at", &path)?,
        };
        if let Some((_, ino, known)) = &self.0
            && *ino == meta.ino()
        {
            return Ok(known.clone());
        }
        let file = File::open(&path).context("opening", &path)?;
        let ino = file.metadata().context("looking at", &path)?.ino();
        let repository: Repository = serde_json::from_reader(std::io::BufReader::new(&file))
            .map_err(|e| Error::Corrupt(format!("{}: {e}", path.display())))?;
        if repository.version != VERSION {
            let what = format!("{}: made by another version of Carrack", path.display());
            return Err(Error::Corrupt(what));
        }
        let repository = Arc::new(repository);
        self.0 = Some((file, ino, repository.clone()));
        Ok(repository)
    }
}
