//! Pulling: from a name to an image of the store.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;

use reqwest::{Method, header};
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use super::claims::{Claim, Owner, State};
use super::download::{Incoming, blob, download, pipe, retrying};
use super::error::{Error, ErrorKind};
use super::inspect::wanted;
use super::manifest::{DEPTH_MAX, Descriptor, Document, Fetched, Image, choose};
use super::platform::Platform;
use super::progress::{Line, Message, Progress};
use super::session::{Attempts, Request, Session};
use super::{Caller, Registries};
use crate::reference::Reference;
use crate::store::{Expected, ImageConfig, ImageId, Ingest, NewImage, StagedLayer, Store};

/// Most tags that are pulled with `--all-tags`.
const TAGS_MAX: usize = 10_000;
/// Largest page of a list of tags, bytes.
const TAGS_PAGE_MAX: u64 = 4 << 20;

/// How to pull.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// Who asks.
    pub caller: Caller,
    /// Which image of an index; by default the one for this host.
    pub platform: Option<Platform>,
    /// Every tag of the repository; the reference has none then.
    pub all_tags: bool,
}

/// An image that was pulled, or was there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Its id.
    pub id: ImageId,
    /// The name by which it was asked for, as people write it.
    pub name: String,
    /// Digest of the manifest or index that the name stands for.
    pub digest: String,
    /// Whether the name stands for another image than before, or something was downloaded.
    pub newer: bool,
}

impl Registries {
    /// Pulls an image into the store; the name then stands for it.
    ///
    /// A pull whose future is dropped stops, and leaves nothing.
    ///
    /// # Errors
    /// In dockerd's words. Nothing was changed then, but for the tags before with [`PullOptions::all_tags`].
    pub async fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        options: &PullOptions,
        progress: &Progress,
    ) -> Result<Vec<Pulled>, Error> {
        let mut ways = self.ways(reference.domain(), true, reference.path(), "pull", &options.caller)?;
        loop {
            let session = ways.next().await?;
            let repository = reference.name();
            let work = Work { registries: self, session: &session, repository, store, options, progress };
            match work.pull(reference).await {
                Ok(pulled) => return Ok(pulled),
                Err(e) => ways.failed(&session, e)?,
            }
        }
    }
}

struct Work<'w> {
    registries: &'w Registries,
    session: &'w Session,
    /// The repository's full name, as the store remembers it.
    repository: String,
    store: &'w Store,
    options: &'w PullOptions,
    progress: &'w Progress,
}

/// What a name stands for.
struct Resolved {
    /// The digest by which it is known: of the index, if there is one.
    digest: String,
    /// The manifest of the image; before it the indexes that lead to it.
    manifests: Vec<Fetched>,
    image: Image,
}

impl Work<'_> {
    async fn pull(&self, reference: &Reference) -> Result<Vec<Pulled>, Error> {
        if !self.options.all_tags {
            return Ok(vec![self.pull_one(&reference.clone().with_default_tag()).await?]);
        }
        let mut pulled = Vec::new();
        for tag in self.tags(reference).await? {
            pulled.push(self.pull_one(&reference.clone().with_tag(&tag)?).await?);
        }
        Ok(pulled)
    }

    async fn pull_one(&self, reference: &Reference) -> Result<Pulled, Error> {
        let resolved = self.resolve(reference).await.map_err(|e| translate(e, reference))?;
        let label = wanted(reference);
        (self.progress)(Message::named(label, format!("Pulling from {}", reference.path())));
        let newer = self.bring(reference, &resolved).await?;
        (self.progress)(Message::line(format!("Digest: {}", resolved.digest)));
        let name = reference.familiar();
        let id = newer.id;
        if let Some(wish) = &self.options.platform {
            self.compare(wish, &id, &name).await?;
        }
        let status = match newer.newer {
            true => format!("Status: Downloaded newer image for {name}"),
            false => format!("Status: Image is up to date for {name}"),
        };
        (self.progress)(Message::line(status));
        Ok(Pulled { id, name, digest: resolved.digest, newer: newer.newer })
    }

    /// An image that is no index is pulled whatever its platform; the user is told.
    async fn compare(&self, wish: &Platform, id: &ImageId, name: &str) -> Result<(), Error> {
        let (store, id) = (self.store.clone(), id.clone());
        let config = blocking(move || Ok(store.get(&id)?.config.clone())).await?;
        let is = Platform {
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
        };
        if !is.os.is_empty() && wish.accepts(&is).is_none() {
            let text = format!(
                "WARNING: image with reference {name} was found but its platform ({is}) does not match the specified platform ({wish})"
            );
            (self.progress)(Message::line(text));
        }
        Ok(())
    }

    /// Fetches manifests until one is an image.
    async fn resolve(&self, reference: &Reference) -> Result<Resolved, Error> {
        let name = reference.familiar();
        let wish = self.options.platform.clone().unwrap_or_else(Platform::host);
        let first = self.session.manifest(wanted(reference), &name).await?;
        let digest = first.digest.clone();
        let mut seen = HashSet::from([digest.clone()]);
        let mut manifests = vec![first];
        loop {
            let Some(last) = manifests.last() else { return Err(Error::content("manifest invalid")) };
            let entries = match &last.document {
                Document::Image(image) => {
                    image.check()?;
                    let image = image.clone();
                    return Ok(Resolved { digest, manifests, image });
                }
                Document::Index(entries) => entries,
            };
            let Some(best) = choose(entries, &wish).into_iter().next().cloned() else {
                let why = format!("no matching manifest for {wish} in the manifest list entries");
                return Err(Error::new(ErrorKind::NotFound, why));
            };
            if !seen.insert(best.digest.clone()) || manifests.len() > DEPTH_MAX {
                return Err(Error::content("manifest invalid: an index that contains itself"));
            }
            let next = self.session.manifest(&best.digest, &name).await?;
            if next.bytes.len() as u64 != best.size {
                let why = format!(
                    "manifest invalid: {} has {} bytes, not {}",
                    best.digest,
                    next.bytes.len(),
                    best.size
                );
                return Err(Error::content(why));
            }
            manifests.push(next);
        }
    }

    /// Brings the image into the store and gives it its name.
    async fn bring(&self, reference: &Reference, resolved: &Resolved) -> Result<Brought, Error> {
        let id = ImageId::parse(&resolved.image.config.digest)
            .ok_or_else(|| Error::content("manifest invalid: a configuration without a digest"))?;
        let (store, by_name, wanted_id) = (self.store.clone(), reference.familiar(), id.clone());
        let known = blocking(move || {
            // Named so already?
            let same = store.resolve(&by_name).is_ok_and(|image| image.id == wanted_id);
            let image = store.get(&wanted_id).ok();
            let config = image.map(|i| i.read_config()).transpose();
            Ok((same, config.unwrap_or_default()))
        });
        let (same, config) = known.await?;
        let store = self.store.clone();
        let ingest = Arc::new(blocking(move || Ok(store.ingest()?)).await?);
        let mut newer = !same;
        // Released after the commit: whoever waits for one of them then finds the layer in the store.
        let mut claims = Vec::new();
        let config = match config {
            Some(config) => config,
            None => {
                let config = blob(self.session, &resolved.image.config).await?;
                newer |= self.layers(&ingest, &config, &resolved.image, &mut claims).await?;
                config
            }
        };
        let image = NewImage {
            tags: match (reference.digest(), reference.tag()) {
                (None, Some(_)) => vec![reference.to_string()],
                _ => Vec::new(),
            },
            digests: vec![reference.clone().with_digest(&resolved.digest)?.to_string()],
            config,
            ..NewImage::default()
        };
        self.commit(ingest, image, resolved).await?;
        drop(claims);
        Ok(Brought { id, newer })
    }

    async fn commit(
        &self,
        ingest: Arc<Ingest>,
        mut image: NewImage,
        resolved: &Resolved,
    ) -> Result<(), Error> {
        let documents: Vec<(String, Vec<u8>)> =
            resolved.manifests.iter().map(|m| (m.media_type.clone(), m.bytes.clone())).collect();
        blocking(move || {
            for (media_type, bytes) in documents {
                let descriptor = ingest.document(&media_type, &bytes)?;
                // The first is what the name stands for; the last one is the image's own.
                image.manifest.get_or_insert_with(|| descriptor.clone());
                image.documents.push(descriptor);
            }
            let ingest = Arc::into_inner(ingest)
                .ok_or_else(|| Error::new(ErrorKind::System, "a layer is still being unpacked"))?;
            ingest.commit(vec![image])?;
            Ok(())
        })
        .await
    }

    /// Brings the layers that are not there; whether anything was downloaded.
    async fn layers(
        &self,
        ingest: &Arc<Ingest>,
        config: &[u8],
        image: &Image,
        claims: &mut Vec<Claim>,
    ) -> Result<bool, Error> {
        let config = ImageConfig::parse(config).map_err(|e| Error::content(e.to_string()))?;
        if config.diff_ids.len() != image.layers.len() {
            return Err(Error::content("layers from manifest don't match image configuration"));
        }
        // One blob may be several layers of an image.
        let mut distinct: Vec<(Descriptor, String)> = Vec::new();
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for (layer, diff_id) in image.layers.iter().zip(&config.diff_ids) {
            match seen.insert(&layer.digest, diff_id) {
                Some(before) if before != diff_id => {
                    return Err(Error::content("layers from manifest don't match image configuration"));
                }
                Some(_) => {}
                None => distinct.push((layer.clone(), diff_id.clone())),
            }
        }
        let missing = self.missing(ingest, distinct).await?;
        if missing.is_empty() {
            return Ok(false);
        }
        let owners = self.registries.claims.claim(missing.iter().map(|(layer, _)| layer.digest.as_str()));
        let slots = Semaphore::new(self.session.config.downloads.max(1));
        let mut works = Vec::new();
        for ((layer, diff_id), owner) in missing.iter().zip(owners) {
            let state = match owner {
                Owner::Own(claim) => {
                    let state = claim.state.clone();
                    claims.push(claim);
                    Ok(state)
                }
                Owner::Other(receiver) => Err(receiver),
            };
            works.push(self.layer(ingest, layer, diff_id, state, &slots));
        }
        futures_util::future::try_join_all(works).await?;
        Ok(true)
    }

    /// Which layers must be downloaded; the others stay for as long as the session.
    async fn missing(
        &self,
        ingest: &Arc<Ingest>,
        layers: Vec<(Descriptor, String)>,
    ) -> Result<Vec<(Descriptor, String)>, Error> {
        let (held, asked) = (ingest.clone(), layers.clone());
        let have = blocking(move || {
            let have = |(layer, diff_id): &(Descriptor, String)| match held.have_blob(&layer.digest)? {
                Some(known) => Ok(known == *diff_id),
                None => held.have_layer(diff_id),
            };
            Ok(asked.iter().map(have).collect::<Result<Vec<bool>, crate::Error>>()?)
        });
        let mut missing = Vec::new();
        for (layer, have) in layers.into_iter().zip(have.await?) {
            let mut line = Line::new(self.progress, &layer.0.digest, None);
            line.state(if have { "Already exists" } else { "Pulling fs layer" });
            if !have {
                missing.push(layer);
            }
        }
        Ok(missing)
    }

    /// Brings one layer, or waits for the pull that does.
    async fn layer(
        &self,
        ingest: &Arc<Ingest>,
        layer: &Descriptor,
        diff_id: &str,
        owner: Result<Arc<watch::Sender<State>>, watch::Receiver<State>>,
        slots: &Semaphore,
    ) -> Result<(), Error> {
        let state = match owner {
            Ok(state) => Some(state),
            Err(mut other) => {
                let mut line = Line::new(self.progress, &layer.digest, None);
                line.state("Waiting");
                while other.changed().await.is_ok() {
                    let (status, current, total) = other.borrow_and_update().clone();
                    match total {
                        0 if status != "Pull complete" => line.state(status),
                        0 => {}
                        _ => line.amount(&status, current, total),
                    }
                }
                let (held, diff_id) = (ingest.clone(), diff_id.to_owned());
                if blocking(move || Ok(held.have_layer(&diff_id)?)).await? {
                    line.state("Pull complete");
                    return Ok(());
                }
                // It failed, or its client went away.
                None
            }
        };
        let mut line = Line::new(self.progress, &layer.digest, state);
        let _slot = match slots.try_acquire() {
            Ok(slot) => slot,
            Err(_) => {
                line.state("Waiting");
                let closed = |_| Error::new(ErrorKind::System, "the pull is over");
                slots.acquire().await.map_err(closed)?
            }
        };
        let mut attempts = Attempts::new(&self.session.config);
        loop {
            match self.fetch(ingest, layer, diff_id, &mut line).await {
                Ok(()) => break,
                Err(e) => attempts.after(e, |wait| retrying(&mut line, wait)).await?,
            }
        }
        line.state("Pull complete");
        Ok(())
    }

    /// Downloads a layer straight into the unpacker, once.
    async fn fetch(
        &self,
        ingest: &Arc<Ingest>,
        layer: &Descriptor,
        diff_id: &str,
        line: &mut Line,
    ) -> Result<(), Error> {
        let expected = Expected {
            diff_id: Some(diff_id.to_owned()),
            digest: Some(layer.digest.clone()),
            size: Some(layer.size),
            media_type: Some(layer.media_type.clone()).filter(|m| !m.is_empty()),
            // A mirror is not where the image lives.
            repository: (!self.session.endpoint.mirror).then(|| self.repository.clone()),
        };
        let (outlet, incoming) = pipe();
        let ingest = ingest.clone();
        let unpacking = spawn_blocking(move || unpack(&ingest, expected, incoming));
        let downloaded = download(self.session, layer, outlet, line).await;
        if downloaded.is_ok() {
            line.amount("Extracting", layer.size, layer.size);
        }
        let unpacked = unpacking.await.map_err(|e| Error::new(ErrorKind::System, e.to_string()))?;
        // Wrong bytes make the unpacker fail too: then the download says why.
        downloaded?;
        unpacked.map(drop).map_err(|e| {
            let kind = Error::from(e);
            kind.context("failed to register layer")
        })
    }

    /// All tags of the repository.
    async fn tags(&self, reference: &Reference) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut url = Some(self.session.repository_url("tags/list")?);
        while let Some(page) = url.take() {
            let response = self.session.send(Request::new(Method::GET, page.clone())).await;
            let response = response.map_err(|e| translate(e, reference))?;
            let link = response.headers().get(header::LINK).and_then(|v| v.to_str().ok()).and_then(next_page);
            let next = link.and_then(|l| page.join(l).ok()).filter(|n| *n != page);
            let bytes = self.session.read(response, TAGS_PAGE_MAX).await?;
            let found: Page = serde_json::from_slice(&bytes)
                .map_err(|e| Error::content(format!("an invalid list of tags: {e}")))?;
            let found = found.tags.unwrap_or_default();
            // An empty page with a successor would never end.
            url = next.filter(|_| !found.is_empty());
            tags.extend(found);
            if tags.len() > TAGS_MAX {
                let why = format!("more than {TAGS_MAX} tags in {}", reference.familiar_name());
                return Err(Error::new(ErrorKind::Unsupported, why));
            }
        }
        Ok(tags)
    }
}

struct Brought {
    id: ImageId,
    newer: bool,
}

/// The target of `<…>; rel="next"` (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    parameters.replace([' ', '"'], "").contains("rel=next").then_some(target)
}

/// Moves pieces into the unpacker; a thread that may block.
fn unpack(ingest: &Ingest, expected: Expected, mut incoming: Incoming) -> Result<StagedLayer, crate::Error> {
    let mut writer = ingest.layer(expected)?;
    while let Some(piece) = incoming.next() {
        if writer.write_all(&piece).is_err() {
            // `finish` says why.
            drop(incoming);
            return writer.finish();
        }
    }
    if incoming.is_complete() {
        return writer.finish();
    }
    // Dropped without its end: what was unpacked is thrown away.
    Err(crate::Error::Mismatch("the download was cut off".into()))
}

/// Runs what blocks on the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.unwrap_or_else(|e| Err(Error::new(ErrorKind::System, e.to_string())))
}

/// The texts by which users know that there is no such image.
fn translate(e: Error, reference: &Reference) -> Error {
    let name = reference.familiar_name();
    if e.is("DENIED") {
        let what =
            format!("pull access denied for {name}, repository does not exist or may require 'docker login'");
        return Error { kind: ErrorKind::NotFound, ..e.context(what) };
    }
    if e.is("MANIFEST_UNKNOWN") {
        return e.context(format_args!("manifest for {} not found", reference.familiar()));
    }
    if e.is("NAME_UNKNOWN") {
        return e.context(format_args!("repository {name} not found"));
    }
    e
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn links_to_the_next_page() {
        assert_eq!(
            next_page("</v2/a/tags/list?last=x&n=2>; rel=\"next\""),
            Some("/v2/a/tags/list?last=x&n=2")
        );
        assert_eq!(next_page("<x>; rel = next"), Some("x"));
        assert_eq!(next_page("<x>; rel=prev"), None);
        assert_eq!(next_page("x; rel=next"), None);
    }
}
