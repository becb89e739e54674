//! Images as the API shows them, over the image store.

use super::clock;
use super::error::{Error, Kind, Result};
use super::names;
use super::wire::Object;
use carrack_images::reference::Reference;
use carrack_images::{Derivation, ErrorKind, Hold, ImageId, ImportOptions, Index, Progress, Removed, Store};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image, ready to be shown or run.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// `sha256:…` of its configuration.
    pub id: String,
    /// `name:tag`, as people write them.
    pub tags: Vec<String>,
    /// `name@sha256:…`.
    pub digests: Vec<String>,
    pub size: u64,
    /// RFC 3339, or empty.
    pub created: String,
    pub created_unix: i64,
    pub last_tagged: String,
    pub os: String,
    pub architecture: String,
    pub variant: String,
    /// `os/architecture[/variant]`, the host's where the configuration does not say.
    pub platform: String,
    /// `os.version` of the configuration.
    pub os_version: String,
    pub docker_version: String,
    /// Id of the image that it was made of here, or empty.
    pub parent: String,
    pub author: String,
    pub comment: String,
    /// The `config` object of the image's configuration: `Env`, `Cmd`, …
    pub config: Object,
    /// DiffIDs, bottom first.
    pub layers: Vec<String>,
    /// The merged index that a supervisor mounts; only for an image that is about to be run.
    pub index: Option<PathBuf>,
}

impl Image {
    pub fn matches_host(&self) -> bool {
        self.architecture.is_empty() || self.architecture == host_architecture()
    }

    fn of_summary(image: carrack_images::Summary) -> Image {
        let mut config = Object::new();
        if !image.labels.is_empty() {
            config.insert("Labels".into(), json!(image.labels));
        }
        Image {
            id: image.id.to_string(),
            tags: image.references,
            digests: image.digests,
            size: image.size,
            created: image.created.map(clock::rfc3339).unwrap_or_default(),
            created_unix: image.created.map_or(0, |t| t.unix_timestamp()),
            parent: image.parent.map(|p| p.to_string()).unwrap_or_default(),
            config,
            ..Image::default()
        }
    }

    fn of(image: &carrack_images::Image) -> Image {
        let config = &image.config;
        let text = |key: &str| config.raw[key].as_str().unwrap_or_default().to_string();
        Image {
            id: image.id.to_string(),
            tags: image.references.clone(),
            digests: image.digests.clone(),
            size: image.size,
            created: image.created.map(clock::rfc3339).unwrap_or_default(),
            created_unix: image.created.map_or(0, |t| t.unix_timestamp()),
            last_tagged: image.last_tagged.map(clock::rfc3339).unwrap_or_default(),
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
            platform: config.platform(),
            os_version: text("os.version"),
            docker_version: text("docker_version"),
            parent: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            author: config.author.clone(),
            comment: Some(text("comment"))
                .filter(|c| !c.is_empty())
                .or_else(|| image.history.last().map(|h| h.comment.clone()))
                .unwrap_or_default(),
            config: config.raw.get("config").and_then(Value::as_object).cloned().unwrap_or_default(),
            layers: image.layers.clone(),
            index: None,
        }
    }

    /// As the API shows them: null where there are none.
    pub fn labels(&self) -> Value {
        self.config.get("Labels").filter(|l| l.is_object()).cloned().unwrap_or(Value::Null)
    }

    pub fn label_map(&self) -> BTreeMap<String, String> {
        serde_json::from_value(self.labels()).unwrap_or_default()
    }

    /// Whether it has a name, with a tag or a digest.
    pub fn is_named(&self) -> bool {
        !self.tags.is_empty() || !self.digests.is_empty()
    }
}

/// Go's name of this machine's architecture.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub fn host_platform() -> String {
    format!("linux/{}", host_architecture())
}

/// The store of images. Its calls block on the disk; callers on the async runtime use `spawn_blocking` for those that may
/// take long.
#[derive(Debug, Clone)]
pub struct Images {
    store: Arc<Store>,
}

/// A name or an id as the user wrote it, with the tag that Docker adds in its messages.
pub fn with_tag(reference: &str) -> String {
    match Reference::parse(reference) {
        Ok(r) => r.with_default_tag().familiar(),
        Err(_) => reference.to_string(),
    }
}

fn no_such_image(name: &str) -> Error {
    Error::not_found(format!("No such image: {}", with_tag(name)))
}

fn check_platform(image: &Image, reference: &str, platform: &str) -> Result<()> {
    if carrack_images::store::platform_fits(&image.platform, platform) {
        return Ok(());
    }
    Err(Error::not_found(format!(
        "image with reference {reference} was found but does not provide the specified platform ({platform})"
    )))
}

pub(crate) fn refused(e: carrack_images::Error) -> Error {
    let kind = match e.kind() {
        ErrorKind::NotFound => Kind::NotFound,
        ErrorKind::Invalid => Kind::Invalid,
        ErrorKind::Conflict => Kind::Conflict,
        ErrorKind::Unsupported => Kind::NotImplemented,
        ErrorKind::System => Kind::Internal,
    };
    match e {
        carrack_images::Error::NotFound(name) => no_such_image(&name),
        other => Error::new(kind, other.to_string()),
    }
}

impl Images {
    pub fn open(root: &Path) -> Result<Images> {
        Ok(Images { store: Arc::new(Store::open(root).map_err(refused)?) })
    }

    /// The store itself, for who brings images in, takes them out or makes them.
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// All images, newest first, with what lists show: names, size, time, parent and labels. Nothing is read of the
    /// images for that, however many there are.
    pub fn list(&self) -> Result<Vec<Image>> {
        Ok(self.store.summaries().map_err(refused)?.into_iter().map(Image::of_summary).collect())
    }

    pub fn resolve(&self, reference: &str) -> Result<Image> {
        Ok(Image::of(&self.store.resolve(reference).map_err(refused)?))
    }

    /// An image by its full id, also one that lost its names while a container uses it.
    pub fn get(&self, id: &str) -> Option<Image> {
        let id = ImageId::parse(id)?;
        self.store.get(&id).ok().map(|i| Image::of(&i))
    }

    /// The image to run, with its index, checked against the platform that was asked for.
    /// Its files stay while the hold lives.
    pub fn for_container(&self, reference: &str, platform: Option<&str>) -> Result<(Image, Hold)> {
        let found = self.store.resolve(reference).map_err(refused)?;
        let hold = self.store.hold(&found.id).map_err(|_| no_such_image(reference))?;
        let mut image = Image::of(&found);
        check_platform(&image, reference, platform.unwrap_or_default())?;
        image.index = Some(self.store.ensure_index(&found).map_err(refused)?);
        Ok((image, hold))
    }

    /// An image by any name, refused where it is for another platform than the one that was asked for (if one was).
    pub fn on_platform(&self, reference: &str, platform: &str) -> Result<Image> {
        let image = self.resolve(reference)?;
        check_platform(&image, reference, platform)?;
        Ok(image)
    }

    /// The files of an image.
    pub(crate) fn files(&self, id: &str) -> Result<(Arc<Store>, Index)> {
        let id = ImageId::parse(id).ok_or_else(|| no_such_image(id))?;
        let image = self.store.get(&id).map_err(refused)?;
        Ok((self.store.clone(), self.store.open_index(&image).map_err(refused)?))
    }

    /// The ids of all images.
    pub fn ids(&self) -> Result<HashSet<String>> {
        Ok(self.store.ids().map_err(refused)?.iter().map(ToString::to_string).collect())
    }

    /// The ids of these images (those that there are) and of all that were made of them.
    pub fn descendants(&self, references: &[String]) -> Result<HashSet<String>> {
        let mut found: HashSet<String> =
            references.iter().filter_map(|r| self.resolve(r).ok()).map(|i| i.id).collect();
        let all = self.list()?;
        loop {
            let more: Vec<&Image> =
                all.iter().filter(|i| found.contains(&i.parent) && !found.contains(&i.id)).collect();
            if more.is_empty() {
                return Ok(found);
            }
            found.extend(more.into_iter().map(|i| i.id.clone()));
        }
    }

    /// For each image, the bytes of its layers that another one has too.
    pub fn shared_sizes(&self) -> Result<HashMap<String, u64>> {
        let usage = self.store.usage().map_err(refused)?;
        Ok(usage.images.into_iter().map(|i| (i.id.to_string(), i.shared)).collect())
    }

    /// Makes sure that the index of a container's image is there before a start. `None`: the image is gone.
    pub fn ensure_index(&self, id: &str) -> Option<PathBuf> {
        let image = self.store.get(&ImageId::parse(id)?).ok()?;
        self.store.ensure_index(&image).ok()
    }

    /// Newest first, as `docker history` shows it.
    pub fn history(&self, reference: &str) -> Result<Value> {
        let image = self.store.resolve(reference).map_err(refused)?;
        let sizes = self.store.layer_sizes(&image).map_err(refused)?;
        let mut sizes = sizes.into_iter();
        let mut rows: Vec<Value> = image
            .history
            .iter()
            .map(|h| {
                let size = if h.empty_layer { 0 } else { sizes.next().unwrap_or(0) };
                json!({
                    "Id": "<missing>", "Created": h.created.map_or(0, |t| t.unix_timestamp()),
                    "CreatedBy": h.created_by, "Tags": null, "Size": size, "Comment": h.comment,
                })
            })
            .collect();
        // Layers that no history speaks of.
        rows.extend(sizes.map(|size| {
            json!({ "Id": "<missing>", "Created": 0, "CreatedBy": "", "Tags": null, "Size": size, "Comment": "" })
        }));
        rows.reverse();
        // The images that the steps made, as far as they are still here.
        let mut known = Some(image);
        for row in &mut rows {
            let Some(image) = known.take() else { break };
            row["Id"] = json!(image.id.to_string());
            if !image.references.is_empty() {
                row["Tags"] = json!(image.references);
            }
            known = image.parent.and_then(|p| self.store.get(&p).ok());
        }
        Ok(Value::Array(rows))
    }

    /// Gives the image a further name; returns the image's id and the name in its familiar form.
    pub fn tag(&self, reference: &str, repository: &str, tag: &str) -> Result<(String, String)> {
        let image = self.store.resolve(reference).map_err(refused)?;
        let name = join(repository, tag);
        self.store.tag(&image.id, &name).map_err(refused)?;
        Ok((image.id.to_string(), with_tag(&name)))
    }

    /// Removes a name or an image. `user` says which container uses an image, in the store's words.
    pub fn remove(
        &self,
        reference: &str,
        force: bool,
        prune: bool,
        user: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<Removed>> {
        self.store.remove_as(reference, force, prune, &|id| user(id.as_str())).map_err(refused)
    }

    /// Deletes what was removed by force while a container used it.
    pub fn sweep(&self, user: &dyn Fn(&str) -> Option<String>) {
        if let Err(e) = self.store.prune_unreferenced(&|id| user(id.as_str())) {
            tracing::warn!(error = %e, "images that nothing uses stay behind");
        }
    }

    /// Loads an archive, or what of it is for `platform` (if one is asked for); the ids with their names.
    pub fn load(
        &self,
        tar: impl Read,
        platform: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<(String, Vec<String>)>> {
        let loaded = self.store.load_for(tar, platform, progress).map_err(refused)?;
        Ok(loaded.into_iter().map(|i| (i.id.to_string(), i.references)).collect())
    }

    /// Makes an image of a file system archive; its id.
    pub fn import(&self, tar: impl Read, options: &ImportOptions) -> Result<String> {
        self.store.import(tar, options, &mut |_: Progress| {}).map(|id| id.to_string()).map_err(refused)
    }

    /// Makes an image of another (`base` empty: of nothing) and one more layer; its id.
    pub fn derive(&self, base: &str, layer: Option<&mut dyn Read>, how: &Derivation) -> Result<String> {
        let base = match base {
            "" => None,
            id => Some(ImageId::parse(id).ok_or_else(|| Error::not_found(format!("No such image: {id}")))?),
        };
        let made = self.store.derive(base.as_ref(), layer, how, &mut |_: Progress| {});
        made.map(|id| id.to_string()).map_err(refused)
    }

    /// The ids of what [`Images::save`] writes for a name: a repository's name alone stands for all its tags.
    pub fn named(&self, name: &str, platform: &str) -> Result<Vec<String>> {
        let found = self.store.named_ids(name).map_err(refused)?;
        found
            .iter()
            .map(|id| {
                let image = Image::of(&self.store.get(id).map_err(refused)?);
                check_platform(&image, name, platform).map(|()| image.id)
            })
            .collect()
    }

    /// Writes the images as `docker save` does.
    pub fn save(&self, names: &[String], out: impl std::io::Write) -> Result<()> {
        self.store.save(names, out).map_err(refused)
    }

    /// Whether the image was removed by force and lives on for its containers only.
    pub fn is_nameless(&self, id: &str) -> bool {
        !id.is_empty() && self.store.resolve(id).is_err()
    }

    /// Keeps an image's files for a container, whoever removes the image in whatever process.
    pub fn hold(&self, id: &str) -> Option<Hold> {
        self.store.hold(&ImageId::parse(id)?).ok()
    }

    /// Bytes of all layers, each counted once.
    pub fn layers_size(&self) -> u64 {
        self.store.usage().map_or(0, |u| u.layers_size)
    }
}

/// `repository:tag`, or the repository alone.
pub fn join(repository: &str, tag: &str) -> String {
    match tag {
        "" => repository.to_string(),
        t if t.starts_with("sha256:") => format!("{repository}@{t}"),
        t => format!("{repository}:{t}"),
    }
}

/// The words by which the store speaks of a container that uses an image.
pub fn user(running: bool, id: &str) -> String {
    format!("{} container {}", if running { "running" } else { "stopped" }, names::short(id))
}
