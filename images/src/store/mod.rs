//! The directory that holds all images, and the rules by which it changes.
//!
//! ```text
//! repository        which images there are, and their names: the commit point of every change
//! images/<id>/      config.json as it came, index (merged from the layers; a cache)
//! layers/<diff id>/ see `layer`
//! objects/          bodies by content
//! content/, blobs/  see `content`
//! tmp/<random>/     one directory for each import, load or removal under way
//! lock              held (flock) while repository and what it speaks of change
//! ```
//!
//! Several processes may have a store open. Work that takes long happens in a directory of its own below
//! `tmp`, whose `lease` file is locked by the process at work, so that whoever opens the store can tell the
//! living from the dead and sweep up after these. A commit is: everything in place and durable, then
//! a line added to `repository`. Killed at any instant, a store has every image that was acknowledged.
//!
//! # Locking
//! `lock` is never held while a caller's stream is read or an index is built, nor while files are deleted.

mod changes;
mod content;
mod derive;
mod image;
mod import;
mod ingest;
mod load;
mod lock;
mod remove;
mod repository;
mod save;
mod staging;
mod usage;
mod verify;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Context, Error};
use crate::index::Index;
use crate::limits::Limits;
use crate::reference::{Reference, is_hex};
pub use changes::apply as apply_changes;
pub use content::{Compression, ContentWriter, Descriptor, LayerBlob};
pub use derive::Derivation;
pub use image::{History, Image, ImageConfig, ImageId, RunConfig, platform_fits};
pub use import::ImportOptions;
pub use ingest::{Expected, Ingest, LayerWriter, NewImage, StagedLayer};
pub use load::LoadedImage;
pub use remove::Removed;
use repository::{Cached, Entry, Repository};
pub use usage::{ImageUsage, Usage};
pub use verify::{Damage, Verification, Verified};

/// Least digits of an id that name an image; fewer are too easily a repository's name.
const PREFIX_MIN: usize = 4;

/// Configurations that are kept in memory.
const CONFIGS_MAX: usize = 512;

/// How far an import or load has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// So many bytes of the caller's stream were read (as they came, maybe compressed).
    Reading {
        /// Bytes so far.
        bytes: u64,
    },
    /// A layer is unpacked.
    Layer {
        /// Its digest (`sha256:…`).
        diff_id: String,
        /// Its size in bytes.
        size: u64,
        /// It was there already.
        existed: bool,
    },
    /// Everything was read; it is being made durable.
    Committing,
}

/// An open store. Cheap to clone; all methods may be called from any thread.
#[derive(Clone, Debug)]
pub struct Store {
    root: Arc<Path>,
    objects: Arc<Path>,
    limits: Arc<Limits>,
    cached: Arc<Mutex<Cached>>,
    /// Configurations never change, so they are parsed once.
    configs: Arc<Mutex<HashMap<String, Arc<ImageConfig>>>>,
}

/// What a list shows of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The digest of the configuration.
    pub id: ImageId,
    /// Names with a tag, as people write them (`debian:12`), sorted.
    pub references: Vec<String>,
    /// Names with a digest, as people write them (`debian@sha256:…`), sorted.
    pub digests: Vec<String>,
    /// Sum of the sizes of its layers' files, in bytes.
    pub size: u64,
    /// When it was made, where its configuration says.
    pub created: Option<OffsetDateTime>,
    /// The image that it was made of here; it may be gone.
    pub parent: Option<ImageId>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Keeps an image's files while a container is being made of it or runs. See [`Store::hold`].
#[derive(Debug)]
pub struct Hold {
    _lock: lock::Lock,
}

impl Store {
    /// Opens a store, which is made if it is missing, and sweeps up what dead processes left.
    ///
    /// # Errors
    /// The host's, and [`Error::Corrupt`] for a store of another version.
    pub fn open(root: &Path) -> Result<Store, Error> {
        Store::open_with(root, Limits::default())
    }

    /// The same with other bounds for what comes in.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(root: &Path, limits: Limits) -> Result<Store, Error> {
        use std::os::unix::fs::DirBuilderExt;
        let mut make = std::fs::DirBuilder::new();
        make.recursive(true).mode(0o700);
        for dir in ["images", "layers", "objects", "content", "blobs", "tmp"] {
            let path = root.join(dir);
            make.create(&path).context("creating", &path)?;
        }
        let root = root.canonicalize().context("resolving", root)?;
        let objects = root.join("objects");
        for i in 0..=255u8 {
            let path = objects.join(hex::encode([i]));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(Error::io("creating", &path, e));
                }
                _ => {}
            }
        }
        let store = Store {
            root: root.into(),
            objects: objects.into(),
            limits: Arc::new(limits),
            cached: Arc::default(),
            configs: Arc::default(),
        };
        store.sweep()?;
        Ok(store)
    }

    /// The store's directory, absolute and without symlinks (as the host shows paths of open files).
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that holds the data of regular file `n` of a layer.
    pub fn body_path(&self, layer_hex: &str, n: u64) -> PathBuf {
        self.layer_dir(layer_hex).join("b").join(n.to_string())
    }

    /// Finds an image by name, as users write it: a reference (`debian`, `debian:12`, `debian@sha256:…`), an
    /// id, or the beginning of an id.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`], [`Error::InvalidReference`].
    pub fn resolve(&self, name: &str) -> Result<Image, Error> {
        let repository = self.repository()?;
        let hex = find(&repository, name)?;
        self.image(&repository, &hex)
    }

    /// An image by id alone; also one that was removed by force while a container uses it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn get(&self, id: &ImageId) -> Result<Image, Error> {
        let repository = self.repository()?;
        self.image(&repository, id.hex())
    }

    /// All images, newest first. Dangling ones are among them.
    ///
    /// # Errors
    /// The host's; an image whose configuration is damaged is left out, with a line in the log.
    pub fn list(&self) -> Result<Vec<Image>, Error> {
        let repository = self.repository()?;
        let mut names = repository.names();
        let mut images = Vec::with_capacity(repository.images.len());
        for (hex, entry) in &repository.images {
            match self.image_with(hex, entry, names.remove(hex.as_str()).unwrap_or_default()) {
                Ok(image) => images.push(image),
                Err(e) => tracing::warn!(image = hex, "{e}"),
            }
        }
        images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(images)
    }

    /// What a list shows of all images, newest first, without reading anything of them.
    ///
    /// # Errors
    /// The host's; an image that has to be read and is damaged is left out, with a line in the log.
    pub fn summaries(&self) -> Result<Vec<Summary>, Error> {
        let repository = self.repository()?;
        let mut names = repository.names();
        let mut all = Vec::with_capacity(repository.images.len());
        for (hex, entry) in &repository.images {
            let Some(id) = ImageId::parse(hex) else { continue };
            let known = match &entry.summary {
                Some(known) => known.clone(),
                None => match self.config(hex, &image::image_dir(&self.root, hex)) {
                    Ok(config) => repository::Summary::whole(&config),
                    Err(e) => {
                        tracing::warn!(image = hex, "{e}");
                        continue;
                    }
                },
            };
            let (references, digests) = names.remove(hex.as_str()).unwrap_or_default();
            let created = known.created.as_deref().and_then(|t| OffsetDateTime::parse(t, &Rfc3339).ok());
            let parent = entry.parent.as_deref().and_then(ImageId::parse);
            let size = entry.size;
            all.push(Summary { id, references, digests, size, created, parent, labels: known.labels });
        }
        all.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(all)
    }

    /// The ids of all images, without reading anything of them.
    ///
    /// # Errors
    /// The host's.
    pub fn ids(&self) -> Result<Vec<ImageId>, Error> {
        Ok(self.repository()?.images.keys().filter_map(|hex| ImageId::parse(hex)).collect())
    }

    /// Gives an image a further name. An image that had the name loses it.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such image; [`Error::InvalidReference`].
    pub fn tag(&self, id: &ImageId, reference: &str) -> Result<(), Error> {
        let reference = tag_reference(reference)?;
        self.change(|repository| {
            let entry = repository.images.get(id.hex());
            let entry = entry.ok_or_else(|| Error::NotFound(id.to_string()))?;
            let last_tagged = Some(image::rfc3339(OffsetDateTime::now_utc()));
            repository.put_image(id.hex(), Entry { last_tagged, ..Entry::clone(entry) });
            repository.tag(reference.to_string(), id.hex());
            Ok(())
        })
    }

    /// The path of the image's index, which is built again if it is missing or unusable.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the layers are damaged, else the host's.
    pub fn ensure_index(&self, image: &Image) -> Result<PathBuf, Error> {
        let path = image.index_path();
        if Index::open(&path).is_err() {
            tracing::info!(image = image.id.short(), "building the index again");
            self.rebuild_index(image)?;
        }
        Ok(path)
    }

    /// The image's index, built again if it is missing or unusable.
    ///
    /// # Errors
    /// As [`Store::ensure_index`].
    pub fn open_index(&self, image: &Image) -> Result<Index, Error> {
        match Index::open(&image.index_path()) {
            Ok(index) => Ok(index),
            Err(_) => Index::open(&self.ensure_index(image)?),
        }
    }

    /// Keeps the image's files on the disk for as long as the returned value lives, in whatever process,
    /// whoever removes the image.
    ///
    /// # Errors
    /// [`Error::NotFound`]: it is gone already.
    pub fn hold(&self, id: &ImageId) -> Result<Hold, Error> {
        let _lock = self.lock()?;
        let repository = self.repository()?;
        self.entry(&repository, id.hex())?;
        let path = image::image_dir(&self.root, id.hex()).join("hold");
        match lock::try_shared(&path)? {
            Some(lock) => Ok(Hold { _lock: lock }),
            None => Err(Error::NotFound(id.to_string())),
        }
    }

    fn layer_dir(&self, hex: &str) -> PathBuf {
        self.root.join("layers").join(hex)
    }

    fn lock(&self) -> Result<lock::Lock, Error> {
        lock::exclusive(&self.root.join("lock"))
    }

    fn repository(&self) -> Result<Arc<Repository>, Error> {
        self.cached.lock().read(&self.root)
    }

    /// Changes the repository under the lock; nothing is written if `f` fails.
    fn change<T>(&self, f: impl FnOnce(&mut Repository) -> Result<T, Error>) -> Result<T, Error> {
        let _lock = self.lock()?;
        let mut repository = Repository::clone(&*self.repository()?);
        let result = f(&mut repository)?;
        self.cached.lock().write(&self.root, repository)?;
        Ok(result)
    }

    fn entry<'r>(&self, repository: &'r Repository, hex: &str) -> Result<&'r repository::Entry, Error> {
        let entry = repository.images.get(hex).or_else(|| repository.retained.get(hex));
        entry.map(|e| &**e).ok_or_else(|| Error::NotFound(format!("sha256:{hex}")))
    }

    fn image(&self, repository: &Repository, hex: &str) -> Result<Image, Error> {
        self.image_with(hex, self.entry(repository, hex)?, repository.names_of(hex))
    }

    fn image_with(
        &self,
        hex: &str,
        entry: &repository::Entry,
        (references, digests): (Vec<String>, Vec<String>),
    ) -> Result<Image, Error> {
        let damaged = || Error::Corrupt(format!("{hex:?} is no image id"));
        let id = ImageId::parse(hex).ok_or_else(damaged)?;
        let dir = image::image_dir(&self.root, hex);
        let config = self.config(hex, &dir)?;
        Ok(Image {
            id,
            references,
            digests,
            size: entry.size,
            created: config.created,
            parent: entry.parent.as_deref().and_then(ImageId::parse),
            layers: config.diff_ids.clone(),
            history: config.history.clone(),
            last_tagged: entry.last_tagged.as_deref().and_then(|t| OffsetDateTime::parse(t, &Rfc3339).ok()),
            config,
            manifest: entry.manifest.clone(),
            documents: entry.documents.clone(),
            dir,
        })
    }

    fn config(&self, hex: &str, dir: &Path) -> Result<Arc<ImageConfig>, Error> {
        if let Some(known) = self.configs.lock().get(hex) {
            return Ok(known.clone());
        }
        let config = Arc::new(ImageConfig::parse(&image::read_config(dir, hex)?)?);
        let mut configs = self.configs.lock();
        if configs.len() >= CONFIGS_MAX {
            configs.clear();
        }
        configs.insert(hex.to_owned(), config.clone());
        Ok(config)
    }
}

/// A name that a tag can be given: never a digest.
fn tag_reference(name: &str) -> Result<Reference, Error> {
    let reference = Reference::parse(name)?;
    if reference.digest().is_some() {
        return Err(Error::InvalidReference("refusing to create a tag with a digest reference".into()));
    }
    if reference.familiar_name() == "sha256" {
        let why = "refusing to create an ambiguous tag using digest algorithm as name";
        return Err(Error::InvalidReference(why.into()));
    }
    Ok(reference.with_default_tag())
}

/// The hex id that a user's name stands for.
fn find(repository: &Repository, name: &str) -> Result<String, Error> {
    let missing = || Error::NotFound(name.to_owned());
    let parsed = Reference::parse(name).map(Reference::with_default_tag);
    if let Some(id) = ImageId::parse(name) {
        if repository.images.contains_key(id.hex()) {
            return Ok(id.hex().to_owned());
        }
        // The digest of a manifest, whatever it is called.
        let suffix = format!("@{id}");
        let by_digest = repository.digests.iter().find(|(r, _)| r.ends_with(&suffix));
        return by_digest.map(|(_, hex)| hex.clone()).ok_or_else(missing);
    }
    if let Ok(reference) = &parsed {
        if let Some(digest) = reference.digest() {
            let by_digest = reference.clone().with_digest(digest)?.to_string();
            let hex = repository.digests.get(&by_digest).cloned();
            // Docker also takes an image's own id behind its repository's name.
            let id = ImageId::parse(digest).filter(|id| {
                let of = format!("{}:", reference.name());
                repository.tags.iter().any(|(r, h)| h == id.hex() && r.starts_with(&of))
            });
            return hex.or_else(|| id.map(|id| id.hex().to_owned())).ok_or_else(missing);
        }
        if let Some(hex) = repository.tags.get(&reference.to_string()) {
            return Ok(hex.clone());
        }
    }
    let prefix = name.strip_prefix("sha256:").unwrap_or(name);
    if prefix.len() >= PREFIX_MIN && is_hex(prefix, prefix.len()) {
        let range = repository.images.range(prefix.to_owned()..);
        let mut fits = range.take_while(|(hex, _)| hex.starts_with(prefix)).map(|(hex, _)| hex);
        match (fits.next(), fits.next()) {
            (Some(hex), None) => return Ok(hex.clone()),
            (Some(_), Some(_)) => return Err(Error::Ambiguous(name.to_owned())),
            _ => {}
        }
    }
    parsed.map_or_else(Err, |_| Err(missing()))
}

#[cfg(test)]
mod tests;
