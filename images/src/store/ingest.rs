//! Layers on their way into the store: a session into which they are streamed, any number at once, and the
//! commit that makes images of them.
//!
//! ```no_run
//! # use std::io::Write;
//! # use carrack_images::{Expected, NewImage, Store};
//! # fn pull(store: &Store, layers: &[(String, Vec<u8>)], config: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! let ingest = store.ingest()?;
//! for (digest, blob) in layers {
//!     if ingest.have_blob(digest)?.is_some() {
//!         continue; // it is here, and stays at least as long as `ingest`
//!     }
//!     let expected = Expected { digest: Some(digest.clone()), ..Expected::default() };
//!     let mut writer = ingest.layer(expected)?;
//!     if writer.write_all(blob).is_err() {
//!         // `finish` says why.
//!     }
//!     writer.finish()?;
//! }
//! let image = NewImage { config, tags: vec!["debian:12".into()], ..NewImage::default() };
//! ingest.commit(vec![image])?;
//! # Ok(())
//! # }
//! ```
//!
//! A layer has two threads of its own besides the one that writes to it: one decompresses and hashes, one
//! unpacks. What a session took is given back when the last of [`Ingest`] and its writers is dropped, or, if
//! the process dies, when the store is opened next.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::content::{ContentWriter, Descriptor, LayerBlob, sha256_hex};
use super::image::{Image, ImageConfig, ImageId};
use super::staging::{Checked, Staged, Staging, remove_tree};
use super::{Store, tag_reference};
use crate::compress::{Format, Hashing, Peek, SNIFF_LEN, decoder, sniff};
use crate::error::{Context, Error};
use crate::layer::bodies::Bodies;
use crate::layer::pipe::{self, pipe};
use crate::layer::unpack::{Unpacked, unpack};
use crate::limits::Limits;
use crate::reference::Reference;
use crate::tar;

/// A session of work; see [`Store::ingest`]. May be shared between threads.
#[derive(Debug)]
pub struct Ingest {
    pub(super) work: Arc<Work>,
}

/// What a session has so far. Fields are dropped in this order: see [`Bodies`].
#[derive(Debug)]
pub(super) struct Work {
    pub(super) store: Store,
    pub(super) staging: Staging,
    pub(super) bodies: Bodies,
    pub(super) staged: Mutex<Vec<Staged>>,
    /// Digests in hex of the documents and blobs that were written.
    pub(super) contents: Mutex<HashSet<String>>,
}

/// What the caller knows of a layer before it comes; all of it is verified.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Digest of the uncompressed archive, `sha256:…`.
    pub diff_id: Option<String>,
    /// Digest of the blob as it comes, `sha256:…`.
    pub digest: Option<String>,
    /// Length of the blob in bytes. More are refused as they are written.
    pub size: Option<u64>,
    /// Remembered with the blob, for pushing it again. How it is compressed is told by its first bytes.
    pub media_type: Option<String>,
    /// Where it comes from (`domain/path`): it need not be uploaded there, and may be mounted from there.
    pub repository: Option<String>,
}

/// Takes the bytes of a layer's blob. A `write` that fails means that the layer cannot be had; only
/// [`LayerWriter::finish`] knows why.
#[derive(Debug)]
pub struct LayerWriter {
    work: Arc<Work>,
    expected: Expected,
    running: Option<Running>,
    dir: PathBuf,
    written: u64,
    consumed: Arc<AtomicU64>,
}

/// The threads of a layer, and the way to them.
#[derive(Debug)]
struct Running {
    pipe: pipe::Writer,
    worker: JoinHandle<Result<(Unpacked, Decoded), Error>>,
}

/// A layer that is unpacked; images of the same session may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedLayer {
    /// Digest of the uncompressed archive, `sha256:…`.
    pub diff_id: String,
    /// Digest of the blob as it came; the diff id if it was not compressed.
    pub digest: String,
    /// Bytes of the blob.
    pub blob_size: u64,
    /// Bytes of the uncompressed archive.
    pub tar_size: u64,
    /// Sum of the sizes of the regular files, what Docker calls a layer's size.
    pub size: u64,
}

/// An image to be committed.
#[derive(Clone, Debug, Default)]
pub struct NewImage {
    /// The configuration, byte by byte as it came; its digest becomes the image's id, its `diff_ids` say the layers.
    pub config: Vec<u8>,
    /// Names with a tag (`debian:12`), which move here from other images.
    pub tags: Vec<String>,
    /// Names with a digest (`debian@sha256:…`): `RepoDigests`.
    pub digests: Vec<String>,
    /// The manifest or index by which it came, if it is one of `documents`.
    pub manifest: Option<Descriptor>,
    /// Documents and blobs that are to be kept as long as the image: [`Ingest::document`], [`Ingest::content`].
    pub documents: Vec<Descriptor>,
    /// The image of this store that it was made of.
    pub parent: Option<ImageId>,
}

impl Store {
    /// Begins a session of work.
    ///
    /// # Errors
    /// The host's.
    pub fn ingest(&self) -> Result<Ingest, Error> {
        let work = Work {
            store: self.clone(),
            staging: self.staging()?,
            bodies: Bodies::new(&self.objects)?,
            staged: Mutex::default(),
            contents: Mutex::default(),
        };
        Ok(Ingest { work: Arc::new(work) })
    }
}

impl Ingest {
    /// Whether a layer (`sha256:…` of its uncompressed archive) is in the store already or was unpacked in this session. If so it stays
    /// for as long as this session.
    ///
    /// # Errors
    /// The host's.
    pub fn have_layer(&self, diff_id: &str) -> Result<bool, Error> {
        let Some(hex) = sha256_hex(diff_id) else { return Ok(false) };
        let staged = self.work.staged.lock().iter().any(|l| l.hex == hex);
        Ok(staged || self.work.store.pin(&self.work.staging, hex)?)
    }

    /// The diff id of the layer that a blob is known to unpack to, which stays for as long as this session.
    ///
    /// # Errors
    /// The host's.
    pub fn have_blob(&self, digest: &str) -> Result<Option<String>, Error> {
        let of = |l: &Staged| l.blob.as_ref().is_some_and(|b| b.digest == digest);
        if let Some(layer) = self.work.staged.lock().iter().find(|l| of(l)) {
            return Ok(Some(format!("sha256:{}", layer.hex)));
        }
        match self.work.store.layer_by_blob(digest) {
            Some(diff_id) if self.have_layer(&diff_id)? => Ok(Some(diff_id)),
            _ => Ok(None),
        }
    }

    /// Begins to unpack a layer from its blob (gzip, zstd or plain tar).
    ///
    /// # Errors
    /// The host's, and [`Error::Unsupported`] for digests that are not SHA-256.
    pub fn layer(&self, expected: Expected) -> Result<LayerWriter, Error> {
        for digest in expected.diff_id.iter().chain(&expected.digest) {
            sha256_hex(digest).ok_or_else(|| Error::Unsupported(format!("unsupported digest {digest:?}")))?;
        }
        let dir = self.work.staging.path.join(format!("l-{:016x}", rand::random::<u64>()));
        fs::create_dir(&dir).context("creating", &dir)?;
        let (pipe, input) = pipe();
        let consumed = Arc::new(AtomicU64::new(0));
        let (work, place, counter) = (self.work.clone(), dir.clone(), consumed.clone());
        let worker = std::thread::Builder::new()
            .name("image-unpack".into())
            .spawn(move || {
                let result = unpack_blob(&work, &place, Metered { inner: input, counter });
                if result.is_err()
                    && let Err(e) = remove_tree(&place)
                {
                    tracing::warn!(path = %place.display(), "left behind: {e}");
                }
                result
            })
            .map_err(|source| Error::Io { what: "starting a thread".into(), source })?;
        let running = Some(Running { pipe, worker });
        Ok(LayerWriter { work: self.work.clone(), expected, running, dir, written: 0, consumed })
    }

    /// Keeps a manifest, an index, an attestation or the like, byte by byte, for an image of this session.
    ///
    /// # Errors
    /// The host's, and [`Error::Limit`].
    pub fn document(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, Error> {
        let most = self.work.store.limits.document_bytes;
        if bytes.len() > most {
            return Err(Error::Limit(format!("a manifest of more than {most} bytes")));
        }
        let mut writer = self.content(media_type, None, None)?;
        writer.write_all(bytes).map_err(|source| Error::Io { what: "writing a manifest".into(), source })?;
        writer.finish()
    }

    /// Keeps a blob of any kind, byte by byte, for an image of this session; `digest` and `size` are verified.
    ///
    /// # Errors
    /// The host's, and [`Error::Unsupported`] for digests that are not SHA-256.
    pub fn content(
        &self,
        media_type: &str,
        digest: Option<&str>,
        size: Option<u64>,
    ) -> Result<ContentWriter, Error> {
        ContentWriter::new(self.work.clone(), media_type, digest, size)
    }

    /// Makes everything durable and then visible: all images or none. Layers that no image has are dropped. The
    /// result leaves out what was removed again meanwhile.
    ///
    /// # Errors
    /// [`Error::InvalidArchive`] and [`Error::Mismatch`] for a configuration that is none or names a layer that is not here,
    /// [`Error::Unsupported`] for one of another operating system, [`Error::InvalidReference`], [`Error::Limit`], else the host's.
    pub fn commit(self, images: Vec<NewImage>) -> Result<Vec<Image>, Error> {
        let checked = images.into_iter().map(|image| self.check(image)).collect::<Result<Vec<_>, _>>()?;
        // One image may have been named several times.
        let mut distinct: Vec<Checked> = Vec::new();
        for image in checked {
            match distinct.iter_mut().find(|i| i.id == image.id) {
                Some(known) => known.join(image),
                None => distinct.push(image),
            }
        }
        self.work.store.commit(&self.work, &distinct)?;
        // Somebody may have removed one at once.
        let there = |image: &Checked| match self.work.store.get(&image.id) {
            Err(Error::NotFound(_)) => None,
            result => Some(result),
        };
        distinct.iter().filter_map(there).collect()
    }

    pub(super) fn check(&self, image: NewImage) -> Result<Checked, Error> {
        let config = ImageConfig::parse(&image.config)?;
        if !config.os.is_empty() && config.os != "linux" {
            let why = format!("image operating system {:?} cannot be used on this platform", config.os);
            return Err(Error::Unsupported(why));
        }
        let most = self.work.store.limits.layers;
        if config.diff_ids.len() > most {
            return Err(Error::Limit(format!(
                "an image of {} layers (at most {most})",
                config.diff_ids.len()
            )));
        }
        let mut layers = Vec::with_capacity(config.diff_ids.len());
        let mut known: HashSet<&str> = HashSet::new();
        for diff_id in &config.diff_ids {
            if known.insert(diff_id) && !self.have_layer(diff_id)? {
                return Err(Error::Mismatch(format!("layer {diff_id} is missing")));
            }
            layers.extend(sha256_hex(diff_id).map(str::to_owned));
        }
        for document in image.documents.iter().chain(&image.manifest) {
            if !self.have_content(&document.digest)? {
                return Err(Error::Mismatch(format!("document {} is missing", document.digest)));
            }
        }
        let digests = image.digests.iter().map(|name| {
            let reference = Reference::parse(name)?;
            let digest = reference.digest().map(str::to_owned);
            let bad = || Error::InvalidReference(format!("{name} has no digest"));
            reference.with_digest(&digest.ok_or_else(bad)?)
        });
        Ok(Checked {
            id: ImageId::of_bytes(&image.config),
            layers,
            tags: image.tags.iter().map(|t| tag_reference(t)).collect::<Result<_, _>>()?,
            digests: digests.collect::<Result<_, _>>()?,
            manifest: image.manifest,
            documents: image.documents,
            parent: image.parent,
            config: image.config,
        })
    }

    /// Whether a document was written in this session or is in the store, where it then stays meanwhile.
    pub(super) fn have_content(&self, digest: &str) -> Result<bool, Error> {
        let Some(hex) = sha256_hex(digest) else { return Ok(false) };
        Ok(self.work.contents.lock().contains(hex) || self.work.store.pin_content(&self.work.staging, hex)?)
    }
}

impl LayerWriter {
    /// Bytes of the blob that were decompressed and unpacked so far; what was written is ahead of that.
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Relaxed)
    }

    /// The blob is complete: waits until it is unpacked, and verifies what was expected of it.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for wrong digests and sizes, [`Error::InvalidTar`] for broken or truncated blobs and for what follows
    /// one, [`Error::Limit`], [`Error::Unsupported`], else the host's. The layer's space is given back.
    pub fn finish(mut self) -> Result<StagedLayer, Error> {
        let ended = || Error::Corrupt("a layer that ended before".into());
        let Running { pipe, worker } = self.running.take().ok_or_else(ended)?;
        // Where this fails the worker has given up, and says why.
        let _ = pipe.finish();
        let (unpacked, decoded) =
            worker.join().unwrap_or_else(|_| Err(Error::Corrupt("unpacking a layer died".into())))?;
        let checked = verify(&self.expected, self.written, &decoded);
        if checked.is_err() {
            remove_tree(&self.dir).context("deleting", &self.dir)?;
        }
        checked?;
        let diff_id = format!("sha256:{}", decoded.hex);
        let digest = decoded.blob.clone().unwrap_or_else(|| diff_id.clone());
        let staged = StagedLayer {
            diff_id,
            digest: digest.clone(),
            blob_size: self.written,
            tar_size: decoded.tar_size,
            size: unpacked.size,
        };
        let blob = (decoded.blob.is_some() || self.expected.repository.is_some()).then(|| LayerBlob {
            digest,
            size: self.written,
            media_type: self.expected.media_type.take().unwrap_or_else(|| decoded.format.media_type().into()),
            repositories: self.expected.repository.take().into_iter().collect(),
        });
        let layer =
            Staged { dir: self.dir.clone(), hex: decoded.hex, unpacked, tar_size: decoded.tar_size, blob };
        let mut all = self.work.staged.lock();
        match all.iter_mut().find(|l| l.hex == layer.hex) {
            // The same layer twice at once.
            Some(known) => {
                if known.blob.is_none() {
                    known.blob = layer.blob;
                }
                remove_tree(&layer.dir).context("deleting", &layer.dir)?;
            }
            None => all.push(layer),
        }
        Ok(staged)
    }
}

/// Given up: waits until its threads have left, so that its space is given back.
impl Drop for LayerWriter {
    fn drop(&mut self) {
        if let Some(Running { pipe, worker }) = self.running.take() {
            drop(pipe);
            let _ = worker.join();
        }
    }
}

impl Write for LayerWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Some(size) = self.expected.size
            && self.written.saturating_add(buf.len() as u64) > size
        {
            self.written = self.written.saturating_add(buf.len() as u64);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes than were announced"));
        }
        let Some(running) = &mut self.running else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let n = running.pipe.write(buf)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.running.as_mut().map_or(Ok(()), |r| r.pipe.flush())
    }
}

fn verify(expected: &Expected, written: u64, decoded: &Decoded) -> Result<(), Error> {
    if let Some(size) = expected.size.filter(|&size| size != written) {
        return Err(Error::Mismatch(format!("a layer of {written} bytes where {size} were announced")));
    }
    if let Some(digest) = &expected.digest {
        let plain = format!("sha256:{}", decoded.hex);
        if decoded.blob.as_ref().unwrap_or(&plain) != digest {
            return Err(Error::Mismatch(format!("filesystem layer verification failed for digest {digest}")));
        }
    }
    match expected.diff_id.as_deref().and_then(sha256_hex) {
        Some(hex) if hex != decoded.hex => {
            Err(Error::Mismatch("layers from manifest don't match image configuration".into()))
        }
        _ => Ok(()),
    }
}

/// What the decompressing thread learns of a layer.
#[derive(Debug)]
struct Decoded {
    /// Digest of the plain bytes.
    hex: String,
    tar_size: u64,
    /// Digest of the blob, `sha256:…`, if it was compressed.
    blob: Option<String>,
    format: Format,
}

/// Decompresses on one thread and unpacks on this one.
fn unpack_blob(work: &Work, dir: &Path, input: impl Read + Send) -> Result<(Unpacked, Decoded), Error> {
    let limits = &work.store.limits;
    let (out, plain) = pipe();
    std::thread::scope(|scope| {
        let decoder = std::thread::Builder::new()
            .name("image-decode".into())
            .spawn_scoped(scope, move || decode(input, out, limits))
            .map_err(|source| Error::Io { what: "starting a thread".into(), source })?;
        let unpacked = {
            // The pipe ends with this block, so that the other thread does too.
            let mut tar = tar::Reader::new(plain);
            work.bodies.layer(dir).and_then(|mut bodies| unpack(&mut tar, dir, &mut bodies, limits))
        };
        let decoded =
            decoder.join().unwrap_or_else(|_| Err(Error::Corrupt("decompressing a layer died".into())));
        match (decoded, unpacked) {
            (Err(e), _) | (Ok(_), Err(e)) => Err(e),
            (Ok(Some(decoded)), Ok(unpacked)) => Ok((unpacked, decoded)),
            (Ok(None), Ok(_)) => Err(Error::Corrupt("a layer was not read to its end".into())),
        }
    })
}

/// `None`: nobody reads `out` any more, and knows why.
fn decode(input: impl Read, mut out: pipe::Writer, limits: &Limits) -> Result<Option<Decoded>, Error> {
    let copy = || -> Result<Option<Decoded>, Error> {
        let mut input = Peek::new(input, SNIFF_LEN).map_err(Error::reading)?;
        let format = sniff(input.head());
        let compressed = matches!(format, Format::Gzip | Format::Zstd);
        let consumed = AtomicU64::new(0);
        let input = Metered { inner: input, counter: &consumed };
        let mut blob = Hashing::new(input, compressed);
        let mut plain = Hashing::new(decoder(format, &mut blob, limits.zstd_window_log)?, true);
        let mut buf = vec![0; 128 << 10];
        loop {
            let n = match plain.read(&mut buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(Error::reading)?,
            };
            if n == 0 {
                break;
            }
            let size = plain.count();
            if size > limits.layer_bytes {
                return Err(Error::Limit(format!("a layer of more than {} bytes", limits.layer_bytes)));
            }
            let most = consumed.load(Relaxed).saturating_mul(limits.expansion).max(limits.expansion_from);
            if size > most {
                let why =
                    format!("a layer that is more than {} times bigger than its blob", limits.expansion);
                return Err(Error::Limit(why));
            }
            if let Err(e) = out.write_all(&buf[..n]) {
                return if e.kind() == io::ErrorKind::BrokenPipe { Ok(None) } else { Err(Error::reading(e)) };
            }
        }
        let tar_size = plain.count();
        let hex = plain.digest().map(hex::encode).unwrap_or_default();
        // A decoder may be content before its input ends.
        if io::copy(&mut blob, &mut io::sink()).map_err(Error::reading)? > 0 && compressed {
            return Err(Error::InvalidTar("garbage behind the end of a compressed layer".into()));
        }
        let blob = blob.digest().map(|d| format!("sha256:{}", hex::encode(d)));
        Ok(Some(Decoded { hex, tar_size, blob, format }))
    };
    match copy() {
        Ok(Some(decoded)) => Ok(out.finish().is_ok().then_some(decoded)),
        Ok(None) => Ok(None),
        Err(e) => {
            out.fail(io::Error::other(e.to_string()));
            Err(e)
        }
    }
}

/// Counts what is read, for whoever reports progress.
struct Metered<R, C> {
    inner: R,
    counter: C,
}

impl<R: Read, C: std::ops::Deref<Target = AtomicU64>> Read for Metered<R, C> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.counter.fetch_add(n as u64, Relaxed);
        Ok(n)
    }
}
