//! `docker load`: images out of an archive that `docker save` or skopeo wrote.
//!
//! Both forms are read, and archives that are both at once (as docker 25 and later write them):
//!
//! - docker-archive: `manifest.json` names a configuration and layers by path for each image;
//! - OCI image layout: `index.json` leads by digests through `blobs/` to manifests.
//!
//! What leads to the layers may come behind them, so each file is told by its first bytes when it comes by:
//! an archive, compressed or not, in a place where layers are, is unpacked at once as a layer that nobody
//! asked for yet; JSON is kept in memory if it is as small as it should be. At the end layers that no image
//! has are dropped.

mod attached;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::image::platform_fits;
use super::import::host_architecture;
use super::ingest::{Expected, Ingest, NewImage};
use super::staging::{Counted, Meter, copy_into, counted};
use super::{ImageConfig, ImageId, Progress, Store};
use crate::Error;
use crate::compress::{Format, Peek, SNIFF_LEN, buffered, plain, sniff};
use crate::reference::{Reference, is_hex};
use crate::tar::path::{normalise, show};
use crate::tar::{Entry, Kind, Reader};

/// Largest JSON file; manifests of registries end at 4 MiB.
const JSON_MAX: u64 = 8 << 20;
/// All of them together.
const JSON_TOTAL_MAX: u64 = 64 << 20;
/// Most layers of an archive, whoever has them.
const LAYERS_MAX: usize = 20_000;
/// Links followed to a file, and indexes within indexes.
const DEPTH_MAX: usize = 8;

/// An image that came with an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedImage {
    /// Its id.
    pub id: ImageId,
    /// The names it got, as people write them; empty: none.
    pub references: Vec<String>,
}

/// What was found in an archive, by normalised path.
#[derive(Default)]
struct Archive {
    layers: HashMap<Vec<u8>, Layer>,
    files: HashMap<Vec<u8>, Vec<u8>>,
    files_size: u64,
    links: HashMap<Vec<u8>, Vec<u8>>,
}

enum Layer {
    /// Its diff id.
    Good(String),
    /// Why it cannot be used; matters only if an image has it.
    Bad(Error),
}

/// An image as the archive describes it.
struct Described {
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
    tags: Vec<Reference>,
    /// Digest of its OCI manifest.
    manifest: Option<String>,
    /// What is to be kept with it.
    documents: Vec<Vec<u8>>,
    /// The image that it was made of, if that is in the archive too.
    parent: Option<ImageId>,
}

impl Store {
    /// Loads the images of an archive (docker-archive, OCI layout or both; plain, gzip or zstd).
    ///
    /// Names move to the loaded images; images that had them stay, maybe dangling.
    ///
    /// # Errors
    /// [`Error::InvalidArchive`], [`Error::InvalidTar`], [`Error::Unsupported`], else the host's. After an
    /// error nothing of the archive is left.
    pub fn load(
        &self,
        tar: impl Read,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<LoadedImage>, Error> {
        self.load_for(tar, "", progress)
    }

    /// The same for the images that are for `platform` (`os/architecture[/variant]`; empty: any). Of a multi-platform
    /// image the one for this platform, or for the host's, is taken.
    ///
    /// # Errors
    /// As [`Store::load`]; [`Error::InvalidArchive`] where no image is for the platform.
    pub fn load_for(
        &self,
        tar: impl Read,
        platform: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<LoadedImage>, Error> {
        let ingest = self.ingest()?;
        let archive = ingest.read_archive(tar, progress)?;
        let mut images: Vec<NewImage> = Vec::new();
        for image in archive.images(platform)? {
            let (manifest, documents, parent) =
                (image.manifest.clone(), image.documents.clone(), image.parent.clone());
            let Some(mut image) = archive.check(image, platform)? else { continue };
            ingest.attach(&mut image, &documents)?;
            image.manifest = manifest.and_then(|digest| attached::kept(&image, &digest));
            image.parent = parent;
            images.push(image);
        }
        if images.is_empty() && !platform.is_empty() {
            let why = format!("has no image for the requested platform ({platform})");
            return Err(Error::InvalidArchive(why));
        }
        progress(Progress::Committing);
        let mut loaded: Vec<LoadedImage> = Vec::new();
        for image in &images {
            let id = ImageId::of_bytes(&image.config);
            let names = image.tags.iter().map(|t| super::tag_reference(t).map(|t| t.familiar()));
            let names = names.collect::<Result<Vec<_>, _>>()?;
            match loaded.iter_mut().find(|l| l.id == id) {
                Some(known) => known.references.extend(names),
                None => loaded.push(LoadedImage { id, references: names }),
            }
        }
        ingest.commit(images)?;
        Ok(loaded)
    }
}

impl Ingest {
    fn read_archive(&self, stream: impl Read, progress: &mut dyn FnMut(Progress)) -> Result<Archive, Error> {
        let (stream, mut meter): (Counted<_>, Meter) = counted(stream);
        let store = &self.work.store;
        let mut tar = Reader::new(buffered(plain(stream, store.limits.zstd_window_log)?));
        let mut archive = Archive::default();
        while let Some(entry) = tar.next_entry()? {
            let path = normalise(&entry.path)?.join(&b'/');
            meter.report(progress);
            match entry.kind {
                Kind::Regular => {}
                Kind::Symlink => {
                    let dir = path.iter().rposition(|&b| b == b'/').map_or(&b""[..], |cut| &path[..cut]);
                    let target = normalise(&[dir, &entry.link].join(&b'/'))?.join(&b'/');
                    archive.links.insert(path, target);
                    continue;
                }
                Kind::HardLink => {
                    let target = normalise(&entry.link)?.join(&b'/');
                    archive.links.insert(path, target);
                    continue;
                }
                _ => continue,
            }
            if entry.sparse.is_some() {
                return Err(Error::InvalidArchive(format!("{} is a sparse file", show(&path))));
            }
            let digest = blob_digest(&path);
            // That the image really means this layer is checked against its configuration.
            if let Some(known) = known_name(&path, digest)
                && let Some(diff_id) = self.have_blob(&known)?
            {
                let hex = diff_id.strip_prefix("sha256:").unwrap_or_default().to_owned();
                if store.has_layer(&diff_id) {
                    let size = store.layer_info(&hex)?.size;
                    progress(Progress::Layer { diff_id, size, existed: true });
                }
                archive.layers.insert(path, Layer::Good(hex));
                continue;
            }
            let mut data = Peek::new(Data(&mut tar), SNIFF_LEN).map_err(Error::reading)?;
            match sniff(data.head()) {
                Format::Other if may_be_json(data.head()) => {
                    archive.keep_file(&path, &entry, digest, data)?
                }
                Format::Other => {}
                _ if !may_be_layer(&path) => {}
                _ if archive.layers.len() >= LAYERS_MAX => {
                    return Err(Error::InvalidArchive(format!("more than {LAYERS_MAX} layers")));
                }
                Format::Xz | Format::Bzip2 => {
                    let why =
                        format!("{} is compressed with xz or bzip2, which is not supported", show(&path));
                    archive.layers.insert(path, Layer::Bad(Error::Unsupported(why)));
                }
                _ => {
                    let expected =
                        Expected { digest: digest.map(|hex| format!("sha256:{hex}")), ..Expected::default() };
                    let mut writer = self.layer(expected)?;
                    copy_into(&mut data, &mut writer, &mut || meter.report(progress))?;
                    match writer.finish() {
                        Ok(layer) => {
                            let hex = layer.diff_id.strip_prefix("sha256:").unwrap_or_default().to_owned();
                            let existed = store.has_layer(&layer.diff_id);
                            let (diff_id, size) = (layer.diff_id, layer.size);
                            progress(Progress::Layer { diff_id, size, existed });
                            archive.layers.insert(path, Layer::Good(hex));
                        }
                        Err(Error::Mismatch(_)) => return Err(wrong_digest(&path)),
                        // Maybe an artifact of some other kind that nobody asks for.
                        Err(e @ (Error::InvalidTar(_) | Error::Unsupported(_))) => {
                            archive.layers.insert(path, Layer::Bad(e));
                        }
                        Err(e) => return Err(e),
                    }
                }
            }
        }
        Ok(archive)
    }
}

impl Archive {
    fn keep_file(
        &mut self,
        path: &[u8],
        entry: &Entry,
        digest: Option<&str>,
        mut data: impl Read,
    ) -> Result<(), Error> {
        if entry.size > JSON_MAX {
            // Nothing this store could use.
            return Ok(());
        }
        self.files_size += entry.size;
        if self.files_size > JSON_TOTAL_MAX {
            return Err(Error::InvalidArchive("more than 64 MiB of manifests and configurations".into()));
        }
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).map_err(Error::reading)?;
        if digest.is_some_and(|d| d != hex::encode(Sha256::digest(&bytes))) {
            return Err(wrong_digest(path));
        }
        self.files.insert(path.to_vec(), bytes);
        Ok(())
    }

    fn file(&self, path: &[u8]) -> Option<&Vec<u8>> {
        self.follow(path, |p| self.files.get(p))
    }

    fn follow<'a, T>(&'a self, path: &[u8], find: impl Fn(&[u8]) -> Option<&'a T>) -> Option<&'a T> {
        let mut path = path;
        for _ in 0..DEPTH_MAX {
            match find(path) {
                Some(found) => return Some(found),
                None => path = self.links.get(path)?,
            }
        }
        None
    }

    fn blob(&self, digest: &str) -> Result<&Vec<u8>, Error> {
        let missing = || Error::InvalidArchive(format!("blob {digest:?} is missing"));
        self.file(&blob_path(digest).ok_or_else(missing)?).ok_or_else(missing)
    }

    /// The images that the archive describes.
    fn images(&self, platform: &str) -> Result<Vec<Described>, Error> {
        if let Some(json) = self.file(b"manifest.json") {
            return self.docker_images(json);
        }
        if let Some(json) = self.file(b"index.json") {
            return self.oci_images(json, platform);
        }
        Err(Error::InvalidArchive("does not contain a manifest.json".into()))
    }

    fn docker_images(&self, json: &[u8]) -> Result<Vec<Described>, Error> {
        let items: Option<Vec<DockerItem>> = parse("manifest.json", json)?;
        let manifests = self.manifests_by_config();
        let mut images = Vec::new();
        for item in items.unwrap_or_default() {
            let path = normalise(item.config.as_bytes())?.join(&b'/');
            let config = self.file(&path).ok_or_else(|| missing(&item.config))?;
            let tags = item.repo_tags.unwrap_or_default();
            let layers = item.layers.unwrap_or_default();
            let layers = layers.iter().map(|l| Ok(normalise(l.as_bytes())?.join(&b'/')));
            let manifest = manifests.get(&hex::encode(Sha256::digest(config))).cloned();
            let attached = manifest.as_ref().map(|m| self.attached(m, std::slice::from_ref(m)));
            images.push(Described {
                layers: layers.collect::<Result<_, Error>>()?,
                tags: tags.iter().map(|t| super::tag_reference(t)).collect::<Result<_, _>>()?,
                manifest,
                documents: attached.unwrap_or_default(),
                config: config.clone(),
                parent: item.parent.as_deref().and_then(ImageId::parse),
            });
        }
        // A parent says which image to go back to; one that is not here says nothing.
        let ids: HashSet<ImageId> = images.iter().map(|i| ImageId::of_bytes(&i.config)).collect();
        for image in &mut images {
            image.parent = image.parent.take().filter(|p| ids.contains(p));
        }
        Ok(images)
    }

    /// Where an archive is both, the OCI manifest of each configuration.
    fn manifests_by_config(&self) -> HashMap<String, String> {
        let mut manifests = HashMap::new();
        for (path, json) in &self.files {
            let Some(digest) = blob_digest(path) else { continue };
            if let Ok(manifest) = serde_json::from_slice::<OciManifest>(json)
                && let Some(config) = manifest.config
                && manifest.layers.is_some()
            {
                let config = config.digest.strip_prefix("sha256:").unwrap_or_default().to_owned();
                manifests.insert(config, format!("sha256:{digest}"));
            }
        }
        manifests
    }

    fn oci_images(&self, json: &[u8], platform: &str) -> Result<Vec<Described>, Error> {
        let index: OciIndex = parse("index.json", json)?;
        let mut images: Vec<Described> = Vec::new();
        for descriptor in index.manifests.unwrap_or_default() {
            if descriptor.is_attestation() {
                continue;
            }
            let tags = descriptor.names()?;
            let mut way = Vec::new();
            let Some((digest, manifest)) = self.oci_manifest(&descriptor, platform, &mut way)? else {
                continue;
            };
            let config = manifest
                .config
                .ok_or_else(|| Error::InvalidArchive(format!("manifest {digest} has no configuration")))?;
            let layers = manifest.layers.unwrap_or_default();
            let path = |l: &Descriptor| blob_path(&l.digest).ok_or_else(|| missing(&l.digest));
            images.push(Described {
                config: self.blob(&config.digest)?.clone(),
                layers: layers.iter().map(path).collect::<Result<_, _>>()?,
                tags,
                documents: self.attached(&digest, &way),
                manifest: Some(digest),
                parent: None,
            });
        }
        Ok(images)
    }

    /// The image manifest that a descriptor leads to; of an index the one for this host, or else the first
    /// that is in the archive. `None`: an index without any. `way` becomes the digests that lead to it.
    fn oci_manifest(
        &self,
        descriptor: &Descriptor,
        platform: &str,
        way: &mut Vec<String>,
    ) -> Result<Option<(String, OciManifest)>, Error> {
        if way.len() > DEPTH_MAX || way.contains(&descriptor.digest) {
            return Err(Error::InvalidArchive("an index that contains itself".into()));
        }
        way.push(descriptor.digest.clone());
        let json = self.blob(&descriptor.digest)?;
        let manifest: OciManifest = parse(&descriptor.digest, json)?;
        let Some(list) = manifest.manifests else {
            return Ok(Some((descriptor.digest.clone(), manifest)));
        };
        let mut candidates: Vec<&Descriptor> = list.iter().filter(|d| !d.is_attestation()).collect();
        candidates.sort_by_key(|d| (!d.is_for(platform), !d.is_for_host()));
        for candidate in candidates {
            if self.blob(&candidate.digest).is_ok() {
                return self.oci_manifest(candidate, platform, way);
            }
        }
        Ok(None)
    }

    /// Whether an image's parts fit together. `None`: it is for another platform.
    fn check(&self, image: Described, platform: &str) -> Result<Option<NewImage>, Error> {
        let config = ImageConfig::parse(&image.config)?;
        if !platform_fits(&config.platform(), platform) {
            return Ok(None);
        }
        if config.diff_ids.len() != image.layers.len() {
            return Err(Error::InvalidArchive(format!(
                "invalid manifest, layers length mismatch: expected {}, got {}",
                config.diff_ids.len(),
                image.layers.len()
            )));
        }
        for (i, (path, wanted)) in image.layers.iter().zip(&config.diff_ids).enumerate() {
            let hex = match self.follow(path, |p| self.layers.get(p)) {
                Some(Layer::Good(hex)) => hex,
                Some(Layer::Bad(e)) => {
                    return Err(match e {
                        Error::Unsupported(why) => Error::Unsupported(why.clone()),
                        other => Error::InvalidArchive(format!("layer {}: {other}", show(path))),
                    });
                }
                None => return Err(missing(&show(path))),
            };
            if wanted.strip_prefix("sha256:") != Some(hex) {
                return Err(Error::InvalidArchive(format!(
                    "invalid diffID for layer {i}: expected {wanted:?}, got \"sha256:{hex}\""
                )));
            }
        }
        let mut digests = Vec::new();
        if let Some(manifest) = &image.manifest {
            for tag in &image.tags {
                digests.push(tag.clone().with_digest(manifest)?.to_string());
            }
        }
        Ok(Some(NewImage {
            config: image.config,
            tags: image.tags.iter().map(Reference::to_string).collect(),
            digests,
            ..NewImage::default()
        }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerItem {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
    parent: Option<String>,
}

#[derive(Deserialize)]
struct OciIndex {
    manifests: Option<Vec<Descriptor>>,
}

/// A manifest, or an index in its place.
#[derive(Deserialize)]
struct OciManifest {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<PlatformJson>,
}

#[derive(Deserialize)]
struct PlatformJson {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

impl Descriptor {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Provenance and the like, which BuildKit puts beside an image's manifest.
    fn is_attestation(&self) -> bool {
        self.annotation("vnd.docker.reference.type").is_some()
            || self.platform.as_ref().is_some_and(|p| p.os == "unknown")
    }

    fn is_for(&self, platform: &str) -> bool {
        let own = |p: &PlatformJson| match p.variant.as_str() {
            "" => format!("{}/{}", p.os, p.architecture),
            v => format!("{}/{}/{v}", p.os, p.architecture),
        };
        self.platform.as_ref().is_some_and(|p| platform_fits(&own(p), platform))
    }

    fn is_for_host(&self) -> bool {
        self.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == host_architecture())
    }

    /// containerd says the full name; in the specification's own annotation a bare tag belongs to no
    /// repository.
    fn names(&self) -> Result<Vec<Reference>, Error> {
        if let Some(name) = self.annotation("io.containerd.image.name") {
            return Ok(vec![super::tag_reference(name)?]);
        }
        let name = self.annotation("org.opencontainers.image.ref.name").filter(|n| n.contains([':', '/']));
        Ok(name.and_then(|n| super::tag_reference(n).ok()).into_iter().collect())
    }
}

/// The digest that an archive's file is named by: a blob's, or an uncompressed layer's diff id.
fn known_name(path: &[u8], digest: Option<&str>) -> Option<String> {
    let plain = path.strip_suffix(b".tar").and_then(|p| std::str::from_utf8(p).ok());
    digest.or(plain).filter(|hex| is_hex(hex, 64)).map(|hex| format!("sha256:{hex}"))
}

/// All writers call layers blobs or say `.tar` (`layer.tar`, `<digest>.tar.gz`). Without this a root file
/// system given to `docker load` would be searched for layers first.
fn may_be_layer(path: &[u8]) -> bool {
    path.starts_with(b"blobs/") || path.windows(4).any(|w| w == b".tar")
}

fn may_be_json(head: &[u8]) -> bool {
    matches!(head.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// The hex digest that a path in `blobs/sha256/` is named by.
fn blob_digest(path: &[u8]) -> Option<&str> {
    let hex = std::str::from_utf8(path.strip_prefix(b"blobs/sha256/")?).ok()?;
    is_hex(hex, 64).then_some(hex)
}

fn blob_path(digest: &str) -> Option<Vec<u8>> {
    let hex = digest.strip_prefix("sha256:").filter(|h| is_hex(h, 64))?;
    Some(format!("blobs/sha256/{hex}").into_bytes())
}

fn parse<T: for<'de> Deserialize<'de>>(name: &str, json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|e| Error::InvalidArchive(format!("{name}: {e}")))
}

fn missing(what: &str) -> Error {
    Error::InvalidArchive(format!("{what} is missing"))
}

fn wrong_digest(path: &[u8]) -> Error {
    Error::InvalidArchive(format!("{} does not have the digest that it is named by", show(path)))
}

/// The data of an archive's present entry as a stream.
struct Data<'a, R>(&'a mut Reader<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_data(buf).map_err(|e| match e {
            Error::Io { source, .. } => source,
            other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
        })
    }
}
