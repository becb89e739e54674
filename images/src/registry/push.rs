//! Pushing: from an image of the store to a name of a registry.
//!
//! An image that was pulled keeps its manifest: where the registry has its layers, or can mount them, the same manifest is
//! pushed, byte by byte. Layers that it does not have are compressed anew, which makes them other blobs and the manifest
//! another one.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::{Method, header};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::error::{Error, ErrorKind};
use super::manifest::{
    DOCKER_CONFIG, DOCKER_INDEX, DOCKER_LAYER, DOCKER_MANIFEST, Descriptor, Document, Fetched, OCI_CONFIG,
    OCI_INDEX, OCI_MANIFEST, digest_of,
};
use super::platform::Platform;
use super::progress::{Line, Message, Progress};
use super::pull::blocking;
use super::session::{Request, Session};
use super::upload::{self, Mounted};
use super::{Caller, Registries};
use crate::reference::Reference;
use crate::store::{self, Image, LayerBlob, NewImage, Store};

/// Blobs of one layer that are looked for.
const CANDIDATES_MAX: usize = 4;

/// How to push.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// Who asks.
    pub caller: Caller,
    /// Every tag that the repository has here; the reference has none then.
    pub all_tags: bool,
    /// The image must be for this platform.
    pub platform: Option<Platform>,
}

/// A tag that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The tag.
    pub tag: String,
    /// Digest of the manifest that the tag now stands for.
    pub digest: String,
    /// Bytes of the manifest.
    pub size: u64,
}

impl Registries {
    /// Pushes one image, or all that the repository has here.
    ///
    /// # Errors
    /// In dockerd's words.
    pub async fn push(
        &self,
        store: &Store,
        reference: &Reference,
        options: &PushOptions,
        progress: &Progress,
    ) -> Result<Vec<Pushed>, Error> {
        progress(Message::line(format!("The push refers to repository [{}]", reference.name())));
        let images = named(store, reference, options).await?;
        let mut ways =
            self.ways(reference.domain(), false, reference.path(), "pull,push", &options.caller)?;
        let session = ways.next().await?;
        let work = Work { session: &session, store, progress, remote: Mutex::default() };
        let mut pushed = Vec::new();
        for (tag, image) in images {
            pushed.push(work.push(&tag, &image).await?);
        }
        Ok(pushed)
    }
}

/// The images that the repository has here under the names that shall be pushed.
async fn named(
    store: &Store,
    reference: &Reference,
    options: &PushOptions,
) -> Result<Vec<(Reference, Image)>, Error> {
    if reference.digest().is_some() {
        return Err(Error::new(ErrorKind::Invalid, "cannot push a digest reference"));
    }
    let (store, repository, wish) = (store.clone(), reference.clone(), options.platform.clone());
    let wanted = match (options.all_tags, reference.tag()) {
        (true, None) => None,
        _ => reference.clone().with_default_tag().tag().map(str::to_owned),
    };
    blocking(move || {
        let mut all = Vec::new();
        for image in store.list()? {
            for name in &image.references {
                let name = Reference::parse(name)?;
                if name.name() == repository.name() {
                    all.push((name, image.clone()));
                }
            }
        }
        let missing = |what: String| Err(Error::new(ErrorKind::NotFound, what));
        if all.is_empty() {
            let name = repository.familiar_name();
            return missing(format!("An image does not exist locally with the tag: {name}"));
        }
        if let Some(tag) = wanted {
            all.retain(|(name, _)| name.tag() == Some(&tag));
            if all.is_empty() {
                return missing(format!("tag does not exist: {}:{tag}", repository.familiar_name()));
            }
        }
        for (name, image) in &all {
            let is = Platform {
                os: image.config.os.clone(),
                architecture: image.config.architecture.clone(),
                variant: image.config.variant.clone(),
            };
            if let Some(wish) = &wish
                && wish.accepts(&is).is_none()
            {
                let name = name.familiar();
                return missing(format!(
                    "image with reference {name} was found but does not provide the specified platform ({wish})"
                ));
            }
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(all)
    })
    .await
}

struct Work<'w> {
    session: &'w Session,
    store: &'w Store,
    progress: &'w Progress,
    /// What the repository is known to have, by diff id: tags that share layers ask once.
    remote: Mutex<HashMap<String, LayerBlob>>,
}

/// A manifest of the first kind that all registries take.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewManifest {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Work<'_> {
    async fn push(&self, name: &Reference, image: &Image) -> Result<Pushed, Error> {
        let tag = name.tag().unwrap_or_default().to_owned();
        let (store, shown) = (self.store.clone(), image.clone());
        let (config, original, sizes) = blocking(move || {
            Ok((shown.read_config()?, original(&store, &shown), store.layer_sizes(&shown)?))
        })
        .await?;
        let mut distinct: Vec<(usize, &str)> = Vec::new();
        for (i, diff_id) in image.layers.iter().enumerate() {
            if !distinct.iter().any(|(_, known)| known == diff_id) {
                distinct.push((i, diff_id));
            }
        }
        // The top layer first, as dockerd shows them.
        distinct.reverse();
        for (_, diff_id) in &distinct {
            Line::new(self.progress, diff_id, None).state("Preparing");
        }
        let homes: Vec<String> =
            image.digests.iter().filter_map(|d| Some(Reference::parse(d).ok()?.name())).collect();
        let slots = Semaphore::new(self.session.config.uploads.max(1));
        let works = distinct.iter().map(|(i, diff_id)| {
            let first = original.as_ref().and_then(|(_, layers)| layers.get(*i));
            self.layer(name, diff_id, first, &homes, sizes.get(*i).copied().unwrap_or(0), &slots)
        });
        let sent = futures_util::future::try_join_all(works).await?;
        let remote: HashMap<&str, LayerBlob> = distinct.iter().map(|(_, d)| *d).zip(sent).collect();
        let blobs: Vec<&LayerBlob> = image.layers.iter().filter_map(|d| remote.get(d.as_str())).collect();
        upload::bytes(self.session, &config).await?;
        let (media_type, bytes) = match &original {
            Some((fetched, layers))
                if layers.len() == blobs.len()
                    && layers.iter().zip(&blobs).all(|(l, b)| l.digest == b.digest) =>
            {
                (fetched.media_type.clone(), fetched.bytes.clone())
            }
            _ => new_manifest(&config, &blobs)?,
        };
        let digest = digest_of(&bytes);
        let size = bytes.len() as u64;
        self.manifest(&tag, &media_type, bytes.clone()).await?;
        (self.progress)(Message::line(format!("{tag}: digest: {digest} size: {size}")));
        self.remember(name, &digest, config, media_type, bytes).await?;
        (self.progress)(Message::aux(json!({ "Tag": tag, "Digest": digest, "Size": size })));
        Ok(Pushed { tag, digest, size })
    }

    async fn manifest(&self, tag: &str, media_type: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let url = self.session.repository_url(&format!("manifests/{tag}"))?;
        let mut request = Request::new(Method::PUT, url).header(header::CONTENT_TYPE, media_type);
        request.body = Bytes::from(bytes);
        self.session.send(request).await.map(drop)
    }

    /// The image has the digest's name now, and its manifest.
    async fn remember(
        &self,
        name: &Reference,
        digest: &str,
        config: Vec<u8>,
        media_type: String,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let (store, digest) = (self.store.clone(), name.clone().with_digest(digest)?.to_string());
        blocking(move || {
            let ingest = store.ingest()?;
            let descriptor = ingest.document(&media_type, &bytes)?;
            let documents = vec![descriptor.clone()];
            let image = NewImage {
                config,
                digests: vec![digest],
                manifest: Some(descriptor),
                documents,
                ..NewImage::default()
            };
            ingest.commit(vec![image])?;
            Ok(())
        })
        .await
    }

    /// Sees to it that the repository has a layer, in whatever form.
    async fn layer(
        &self,
        name: &Reference,
        diff_id: &str,
        original: Option<&Descriptor>,
        homes: &[String],
        size: u64,
        slots: &Semaphore,
    ) -> Result<LayerBlob, Error> {
        let mut line = Line::new(self.progress, diff_id, None);
        let known = self.remote.lock().get(diff_id).cloned();
        if let Some(blob) = known {
            line.state("Layer already exists");
            return Ok(blob);
        }
        let _slot = match slots.try_acquire() {
            Ok(slot) => slot,
            Err(_) => {
                line.state("Waiting");
                let closed = |_| Error::new(ErrorKind::System, "the push is over");
                slots.acquire().await.map_err(closed)?
            }
        };
        let (store, diff) = (self.store.clone(), diff_id.to_owned());
        let mut candidates = blocking(move || Ok(store.layer_blobs(&diff))).await?;
        if let Some(original) = original {
            // The blob that makes the manifest the same.
            let known = candidates.iter().position(|c| c.digest == original.digest);
            let first = known.map(|i| candidates.remove(i)).unwrap_or_else(|| LayerBlob {
                digest: original.digest.clone(),
                size: original.size,
                media_type: original.media_type.clone(),
                repositories: Vec::new(),
            });
            candidates.insert(0, first);
            // Where the image came from, its layers are.
            if let Some(first) = candidates.first_mut() {
                first.repositories.extend(homes.iter().cloned());
                first.repositories.dedup();
            }
        }
        let mut blob = self.send(name, diff_id, candidates, size, &mut line).await?;
        blob.repositories = vec![name.name()];
        let (store, diff, remembered) = (self.store.clone(), diff_id.to_owned(), blob.clone());
        blocking(move || Ok(store.remember_blob(&diff, &remembered)?)).await?;
        self.remote.lock().insert(diff_id.to_owned(), blob.clone());
        Ok(blob)
    }

    async fn send(
        &self,
        name: &Reference,
        diff_id: &str,
        candidates: Vec<LayerBlob>,
        size: u64,
        line: &mut Line,
    ) -> Result<LayerBlob, Error> {
        let prefix = format!("{}/", name.domain());
        let mut begun = None;
        for blob in candidates.iter().take(CANDIDATES_MAX) {
            if upload::exists(self.session, &blob.digest).await? {
                line.state("Layer already exists");
                return Ok(blob.clone());
            }
            let here = blob.repositories.iter().filter_map(|r| r.strip_prefix(&prefix));
            for from in here.filter(|from| *from != name.path()).take(CANDIDATES_MAX) {
                match upload::mount(self.session, &blob.digest, from).await {
                    Ok(Mounted::Yes) => {
                        line.state(format!("Mounted from {from}"));
                        return Ok(blob.clone());
                    }
                    Ok(Mounted::Instead(url)) => begun = Some(url),
                    // Only a way that does not work; uploading says what is wrong.
                    Err(e) => tracing::debug!(from, error = %e, "a layer cannot be mounted"),
                }
            }
        }
        let blob = upload::layer(self.session, self.store, diff_id, begun, size, line).await?;
        line.state("Pushed");
        Ok(blob)
    }
}

/// The manifest that an image came with, if it was kept, and its layers.
fn original(store: &Store, image: &Image) -> Option<(Fetched, Vec<Descriptor>)> {
    let is_index = |d: &&store::Descriptor| d.media_type == DOCKER_INDEX || d.media_type == OCI_INDEX;
    let documents = image.manifest.iter().chain(&image.documents).filter(|d| !is_index(d));
    documents.into_iter().find_map(|d| {
        let bytes = store.document(&d.digest).ok()?;
        let fetched = Fetched::parse(bytes, &d.media_type, "").ok()?;
        match &fetched.document {
            Document::Image(i)
                if i.config.digest == image.id.as_str() && i.layers.len() == image.layers.len() =>
            {
                let layers = i.layers.clone();
                Some((fetched, layers))
            }
            _ => None,
        }
    })
}

/// A manifest of Docker's kind; of OCI's where a layer is of a kind that Docker's has no name for.
fn new_manifest(config: &[u8], blobs: &[&LayerBlob]) -> Result<(String, Vec<u8>), Error> {
    let gzip = |b: &&&LayerBlob| {
        matches!(b.media_type.as_str(), DOCKER_LAYER | "") || b.media_type.ends_with("tar+gzip")
    };
    let docker = blobs.iter().filter(gzip).count() == blobs.len();
    let (media_type, config_type) =
        if docker { (DOCKER_MANIFEST, DOCKER_CONFIG) } else { (OCI_MANIFEST, OCI_CONFIG) };
    let descriptor = |media_type: &str, digest: &str, size: u64| Descriptor {
        media_type: media_type.to_owned(),
        size,
        digest: digest.to_owned(),
        platform: None,
        annotations: Default::default(),
    };
    let layer = |b: &&LayerBlob| {
        let kind = match b.media_type.as_str() {
            _ if docker => DOCKER_LAYER,
            DOCKER_LAYER | "" => "application/vnd.oci.image.layer.v1.tar+gzip",
            other => other,
        };
        descriptor(kind, &b.digest, b.size)
    };
    let manifest = NewManifest {
        schema_version: 2,
        media_type,
        config: descriptor(config_type, &digest_of(config), config.len() as u64),
        layers: blobs.iter().map(layer).collect(),
    };
    let bytes = serde_json::to_vec(&manifest).map_err(|e| Error::new(ErrorKind::System, e.to_string()))?;
    Ok((media_type.to_owned(), bytes))
}
