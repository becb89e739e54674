//! Work under way: a directory below `tmp` that is leased to the process at work, the commit that ends it,
//! and the sweep of what the dead left.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::content::{Descriptor, LayerBlob};
use super::image::{Image, ImageConfig, ImageId, image_dir, rfc3339};
use super::ingest::{LayerWriter, Work};
use super::repository::{Entry, Repository, Summary, sync_dir};
use super::{Progress, Store, lock};
use crate::error::{Context, Error};
use crate::layer::bodies::{forget_all_unused, forget_if_unused, open_dir};
use crate::layer::record::{Reader as Records, Record};
use crate::layer::tree::Tree;
use crate::layer::unpack::Unpacked;
use crate::reference::Reference;

/// Bytes of the caller's stream between two reports of progress.
const PROGRESS_STEP: u64 = 512 << 10;

/// A directory of our own below `tmp`. Dropping it deletes it.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) path: PathBuf,
    _lease: lock::Lock,
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(e) = remove_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), "left behind: {e}");
        }
    }
}

impl Staging {
    /// Marks something of the store as needed while this lives. The caller holds the store's lock.
    pub(super) fn pin(&self, name: &str) -> Result<(), Error> {
        let pins = self.path.join("pins");
        fs::create_dir_all(&pins).context("creating", &pins)?;
        let pin = pins.join(name);
        File::create(&pin).context("creating", &pin)?;
        Ok(())
    }
}

/// A layer that is unpacked, but not yet part of the store.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) dir: PathBuf,
    /// Its diff id.
    pub(super) hex: String,
    pub(super) unpacked: Unpacked,
    /// Length of the uncompressed archive.
    pub(super) tar_size: u64,
    /// The compressed blob it came from.
    pub(super) blob: Option<LayerBlob>,
}

/// `layer.json`: what is known of a layer besides its records.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LayerInfo {
    /// Sum of the sizes of the regular files.
    pub(super) size: u64,
    pub(super) inodes: u64,
    /// Length of the uncompressed archive.
    pub(super) tar_size: u64,
}

/// An image about to be committed, whose parts are known to be there.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) id: ImageId,
    pub(super) config: Vec<u8>,
    /// Diff ids in hex, the lowest first; each is staged or pinned.
    pub(super) layers: Vec<String>,
    pub(super) tags: Vec<Reference>,
    pub(super) digests: Vec<Reference>,
    pub(super) manifest: Option<Descriptor>,
    /// Each is staged or pinned.
    pub(super) documents: Vec<Descriptor>,
    /// The image that it was made of here.
    pub(super) parent: Option<ImageId>,
}

impl Checked {
    /// Adds the names and documents of the same image.
    pub(super) fn join(&mut self, same: Checked) {
        self.tags.extend(same.tags);
        self.digests.extend(same.digests);
        self.documents.extend(same.documents);
        self.manifest = self.manifest.take().or(same.manifest);
        self.parent = self.parent.take().or(same.parent);
    }
}

impl Store {
    /// A new directory to work in.
    pub(super) fn staging(&self) -> Result<Staging, Error> {
        // Under the lock, so that nobody sweeps the directory before its lease is taken.
        let _lock = self.lock()?;
        self.staging_locked()
    }

    /// The same for who holds the lock.
    pub(super) fn staging_locked(&self) -> Result<Staging, Error> {
        let path = self.root.join("tmp").join(format!("{:032x}", rand::random::<u128>()));
        fs::create_dir(&path).context("creating", &path)?;
        let lease = lock::try_exclusive(&path.join("lease"))?;
        let lease = lease.ok_or_else(|| Error::Corrupt(format!("{} is taken", path.display())))?;
        Ok(Staging { path, _lease: lease })
    }

    /// Keeps a layer that is in the store from being removed while `staging` lives; `false`: it is not there.
    pub(super) fn pin(&self, staging: &Staging, hex: &str) -> Result<bool, Error> {
        let _lock = self.lock()?;
        if !self.layer_dir(hex).is_dir() {
            return Ok(false);
        }
        staging.pin(hex)?;
        Ok(true)
    }

    pub(super) fn layer_info(&self, hex: &str) -> Result<LayerInfo, Error> {
        let path = self.layer_dir(hex).join("layer.json");
        let json = fs::read(&path).context("reading", &path)?;
        serde_json::from_slice(&json).map_err(|e| Error::Corrupt(format!("{}: {e}", path.display())))
    }

    /// Makes images part of the store: all of them or none.
    pub(super) fn commit(&self, work: &Work, images: &[Checked]) -> Result<(), Error> {
        let (staging, bodies, layers) = (&work.staging, &work.bodies, work.staged.lock());
        let mut entries = Vec::new();
        for (i, image) in images.iter().enumerate() {
            let dir = staging.path.join(format!("i-{i}"));
            fs::create_dir(&dir).context("creating", &dir)?;
            let config = dir.join("config.json");
            fs::write(&config, &image.config).context("writing", &config)?;
            let find = |hex: &str| layers.iter().find(|l| l.hex == hex);
            let place = |hex: &str| find(hex).map_or_else(|| self.layer_dir(hex), |l| l.dir.clone());
            build_index(&image.layers, place, &dir.join("index"))?;
            let mut size = 0u64;
            for hex in &image.layers {
                let layer = match find(hex) {
                    Some(staged) => staged.unpacked.size,
                    None => self.layer_info(hex)?.size,
                };
                size = size.saturating_add(layer);
            }
            let entry = Entry {
                size,
                layers: image.layers.clone(),
                last_tagged: None,
                parent: image.parent.as_ref().map(|p| p.hex().to_owned()),
                manifest: image.manifest.clone(),
                documents: image.documents.clone(),
                summary: Summary::of(&ImageConfig::parse(&image.config)?),
            };
            entries.push((dir, entry));
        }
        for layer in layers.iter() {
            let info = LayerInfo {
                size: layer.unpacked.size,
                inodes: layer.unpacked.inodes,
                tar_size: layer.tar_size,
            };
            let path = layer.dir.join("layer.json");
            let json = serde_json::to_vec(&info).map_err(|e| Error::Corrupt(e.to_string()))?;
            fs::write(&path, json).context("writing", &path)?;
        }
        let needed: HashSet<&String> = images.iter().flat_map(|i| &i.layers).collect();
        let stays = |layer: &Staged| needed.contains(&layer.hex);
        let numbers: HashSet<usize> = layers.iter().filter(|l| stays(l)).map(|l| l.unpacked.number).collect();
        bodies.publish(|number| numbers.contains(&number))?;

        self.change(|repository| {
            for layer in layers.iter().filter(|l| stays(l)) {
                let place = self.layer_dir(&layer.hex);
                if !place.exists() {
                    fs::rename(&layer.dir, &place).context("renaming to", &place)?;
                }
                if let Some(blob) = &layer.blob {
                    self.add_blob(&layer.hex, blob)?;
                }
            }
            for hex in work.contents.lock().iter() {
                let (from, place) = (staging.path.join(format!("c-{hex}")), self.content_path(hex));
                if !place.exists() {
                    fs::rename(&from, &place).context("renaming to", &place)?;
                }
            }
            sync_dir(&self.root.join("layers"))?;
            sync_dir(&self.root.join("content"))?;
            for (image, (dir, entry)) in images.iter().zip(entries) {
                self.place_image(repository, image, &dir, entry)?;
            }
            sync_dir(&self.root.join("images"))
        })
    }

    /// Moves an image's directory into its place and writes its names down. Under the lock.
    fn place_image(
        &self,
        repository: &mut Repository,
        image: &Checked,
        dir: &Path,
        entry: Entry,
    ) -> Result<(), Error> {
        let hex = image.id.hex().to_owned();
        let place = image_dir(&self.root, &hex);
        let known = repository.images.get(&hex).or_else(|| repository.retained.get(&hex));
        let entry = match known.map(|known| Entry::clone(known)) {
            Some(known) => {
                let mut documents = known.documents;
                let fresh = entry.documents.into_iter().filter(|d| !documents.contains(d));
                let fresh: Vec<Descriptor> = fresh.collect();
                documents.extend(fresh);
                let manifest = entry.manifest.or(known.manifest);
                Entry { documents, manifest, parent: known.parent.or(entry.parent), ..known }
            }
            None => {
                if place.exists() {
                    // Somebody was killed between this rename and his commit.
                    let aside = dir.with_extension("old");
                    fs::rename(&place, &aside).context("renaming", &place)?;
                }
                fs::rename(dir, &place).context("renaming to", &place)?;
                entry
            }
        };
        let named = !image.tags.is_empty();
        let last_tagged =
            if named { Some(rfc3339(OffsetDateTime::now_utc())) } else { entry.last_tagged.clone() };
        repository.put_image(&hex, Entry { last_tagged, ..entry });
        for tag in &image.tags {
            repository.tag(tag.to_string(), &hex);
        }
        for digest in &image.digests {
            repository.put_digest(digest.to_string(), &hex);
        }
        Ok(())
    }

    /// Builds the index of an image of the store again.
    pub(super) fn rebuild_index(&self, image: &Image) -> Result<(), Error> {
        let staging = self.staging()?;
        let fresh = staging.path.join("index");
        let layers: Vec<String> = image.layer_hexes().map(str::to_owned).collect();
        build_index(&layers, |hex| self.layer_dir(hex), &fresh)?;
        let file = File::open(&fresh).context("opening", &fresh)?;
        file.sync_all().context("syncing", &fresh)?;
        let place = image.index_path();
        fs::rename(&fresh, &place).context("renaming to", &place)
    }

    /// Deletes what no living process works on and no image needs.
    pub(super) fn sweep(&self) -> Result<(), Error> {
        let mut dead = Vec::new();
        let swept;
        {
            let _lock = self.lock()?;
            let tmp = self.root.join("tmp");
            let mut pinned = Vec::new();
            for name in names(&tmp)? {
                let path = tmp.join(name);
                match lock::try_exclusive(&path.join("lease")) {
                    Ok(Some(lease)) => dead.push(Staging { path, _lease: lease }),
                    Ok(None) => pinned.extend(names(&path.join("pins")).unwrap_or_default()),
                    Err(_) => {
                        let _ = fs::remove_file(&path);
                    }
                }
            }
            let repository = self.repository()?;
            let used_layers = repository.used_layers();
            let layers = self.root.join("layers");
            let mut garbage = Vec::new();
            for name in names(&layers)? {
                if !used_layers.contains(name.as_str()) && !pinned.contains(&name) {
                    garbage.push(layers.join(name));
                }
            }
            let images = self.root.join("images");
            for name in names(&images)? {
                if !repository.images.contains_key(&name) && !repository.retained.contains_key(&name) {
                    garbage.push(images.join(name));
                }
            }
            let (content, used) = (self.root.join("content"), repository.used_content());
            for name in names(&content)? {
                if !used.contains(name.as_str()) && !pinned.contains(&format!("c-{name}")) {
                    garbage.push(content.join(name));
                }
            }
            let blobs = self.root.join("blobs");
            for name in names(&blobs)? {
                let path = blobs.join(name);
                let known = fs::read_to_string(&path).is_ok_and(|hex| used_layers.contains(hex.as_str()));
                if !known {
                    fs::remove_file(&path).context("deleting", &path)?;
                }
            }
            swept = !dead.is_empty() || !garbage.is_empty();
            if !garbage.is_empty() {
                let staging = self.staging_locked()?;
                for (i, from) in garbage.iter().enumerate() {
                    let to = staging.path.join(format!("g-{i}"));
                    fs::rename(from, &to).context("renaming", from)?;
                }
                dead.push(staging);
            }
        }
        drop(dead);
        if swept {
            self.forget_unused_objects()?;
        }
        Ok(())
    }

    /// Deletes a layer's files after they were moved to `dir`, and its objects if they were the last.
    pub(super) fn delete_layer(&self, dir: &Path) -> Result<(), Error> {
        let meta = File::open(dir.join("meta")).ok().map(BufReader::new);
        let records = meta.and_then(|m| Records::new(m).ok());
        let names = records.map(object_names);
        self.forget_blobs(dir);
        remove_tree(dir).context("deleting", dir)?;
        let objects = open_dir(&self.objects)?;
        match names {
            Some(Ok(names)) => names.iter().for_each(|name| forget_if_unused(&objects, name)),
            _ => self.forget_unused_objects()?,
        }
        Ok(())
    }

    fn forget_unused_objects(&self) -> Result<(), Error> {
        forget_all_unused(&self.objects, open_dir(&self.objects)?);
        Ok(())
    }
}

fn object_names<R: Read>(mut records: Records<R>) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    while let Some(record) = records.next()? {
        if let Record::Node(node) = record
            && let Some(object) = node.object
        {
            names.push(object.path());
        }
    }
    Ok(names)
}

/// Merges layers, the lowest first, and writes the index.
pub(super) fn build_index(
    layers: &[String],
    place: impl Fn(&str) -> PathBuf,
    out: &Path,
) -> Result<(), Error> {
    let scratch = out.parent();
    let mut tree = Tree::new(scratch)?;
    let mut distinct: Vec<String> = Vec::new();
    let mut numbers: HashMap<&String, usize> = HashMap::new();
    for hex in layers {
        let number = *numbers.entry(hex).or_insert(distinct.len());
        if number < distinct.len() {
            tree.set_repeated_layers();
        } else {
            distinct.push(hex.clone());
        }
        let path = place(hex).join("meta");
        let meta = File::open(&path).context("opening", &path)?;
        let mut records = Records::new(BufReader::with_capacity(64 << 10, meta))?;
        tree.apply(number as u32, &mut records)?;
    }
    let file = File::create(out).context("creating", out)?;
    let mut file = BufWriter::with_capacity(64 << 10, file);
    crate::index::write(&mut tree, &distinct, scratch, &mut file)?;
    let file = file.into_inner().map_err(|e| Error::io("writing", out, e.into_error()))?;
    drop(file);
    Ok(())
}

/// The names in a directory that are text; others are none of ours.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).context("listing", dir)? {
        if let Ok(name) = entry.context("listing", dir)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// `rm -r`, and nothing is fine too.
pub(super) fn remove_tree(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Copies the caller's stream into a layer, with reports of progress. Errors of the layer itself are left to its
/// `finish`; `Err` is the stream's.
pub(super) fn copy_into(
    stream: &mut dyn Read,
    layer: &mut LayerWriter,
    progress: &mut dyn FnMut(),
) -> Result<(), Error> {
    let mut buf = vec![0; 128 << 10];
    loop {
        match stream.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                if layer.write_all(&buf[..n]).is_err() {
                    return Ok(());
                }
                progress();
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::reading(e)),
        }
    }
}

/// Counts the bytes of the caller's stream, and says when it is time to report.
pub(super) struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

/// The reporting side of [`Counted`].
pub(super) struct Meter {
    count: Rc<Cell<u64>>,
    reported: u64,
}

pub(super) fn counted<R: Read>(inner: R) -> (Counted<R>, Meter) {
    let count = Rc::new(Cell::new(0));
    (Counted { inner, count: count.clone() }, Meter { count, reported: 0 })
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count.set(self.count.get() + n as u64);
        Ok(n)
    }
}

impl Meter {
    pub(super) fn report(&mut self, progress: &mut dyn FnMut(Progress)) {
        let bytes = self.count.get();
        if bytes - self.reported >= PROGRESS_STEP {
            self.reported = bytes;
            progress(Progress::Reading { bytes });
        }
    }
}
