//! What is kept of an image besides its layers and configuration: documents (manifests, indexes, attestations)
//! and blobs of unknown kinds, byte by byte, and what is known of the compressed forms of layers.
//!
//! ```text
//! content/<sha256>           a document or blob; kept as long as an image has it
//! layers/<diff id>/blobs.json  the blobs that a layer is known as
//! blobs/<sha256>             the diff id of the layer that this blob unpacks to
//! ```
//!
//! Compressed layers themselves are not kept. A push of one that a repository is known to have needs none; for
//! the others [`Store::write_blob`] compresses the archive again, always to the same bytes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Store;
use super::ingest::Work;
use super::staging::Staging;
use crate::error::{Context, Error};
use crate::reference::is_hex;

/// A reference to content by digest (OCI image specification, descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// A blob that unpacks to a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerBlob {
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Such as `application/vnd.oci.image.layer.v1.tar+gzip`.
    #[serde(default)]
    pub media_type: String,
    /// Repositories (`domain/path`) that are known to have had it.
    #[serde(default)]
    pub repositories: Vec<String>,
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, which every registry's client reads.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// The OCI media type of a layer that is compressed so.
    pub fn media_type(self) -> &'static str {
        match self {
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// Takes the bytes of a document or blob. See [`super::Ingest::content`].
#[derive(Debug)]
pub struct ContentWriter {
    work: Arc<Work>,
    media_type: String,
    digest: Option<String>,
    expected: Option<u64>,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    size: u64,
}

impl ContentWriter {
    pub(super) fn new(
        work: Arc<Work>,
        media_type: &str,
        digest: Option<&str>,
        expected: Option<u64>,
    ) -> Result<ContentWriter, Error> {
        if let Some(digest) = digest {
            sha256_hex(digest).ok_or_else(|| Error::Unsupported(format!("unsupported digest {digest:?}")))?;
        }
        let path = work.staging.path.join(format!("w-{:016x}", rand::random::<u64>()));
        let file = File::create_new(&path).context("creating", &path)?;
        Ok(ContentWriter {
            work,
            media_type: media_type.to_owned(),
            digest: digest.map(str::to_owned),
            expected,
            path,
            file,
            hasher: Sha256::new(),
            size: 0,
        })
    }

    /// It is complete: verifies it, and keeps it for an image of the session.
    ///
    /// # Errors
    /// [`Error::Mismatch`], else the host's.
    pub fn finish(self) -> Result<Descriptor, Error> {
        let hex = hex::encode(self.hasher.finalize());
        let digest = format!("sha256:{hex}");
        let wrong_digest = self.digest.as_ref().is_some_and(|d| *d != digest);
        let wrong_size = self.expected.is_some_and(|size| size != self.size);
        if wrong_digest || wrong_size {
            fs::remove_file(&self.path).context("deleting", &self.path)?;
            return Err(Error::Mismatch(match self.digest {
                Some(wanted) if wrong_digest => format!("content has the digest {digest}, not {wanted}"),
                _ => format!("{digest} has {} bytes, not as many as were announced", self.size),
            }));
        }
        let place = self.work.staging.path.join(format!("c-{hex}"));
        fs::rename(&self.path, &place).context("renaming to", &place)?;
        self.work.contents.lock().insert(hex);
        Ok(Descriptor { media_type: self.media_type, digest, size: self.size })
    }
}

impl Write for ContentWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let most = self.expected.unwrap_or(u64::MAX);
        if self.size.saturating_add(buf.len() as u64) > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes than were announced"));
        }
        let n = self.file.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store {
    /// Whether a layer (`sha256:…` of its uncompressed archive) is here. It may go at any time: see
    /// [`super::Ingest::have_layer`].
    pub fn has_layer(&self, diff_id: &str) -> bool {
        sha256_hex(diff_id).is_some_and(|hex| self.layer_dir(hex).is_dir())
    }

    /// The diff id of the layer that a blob is known to unpack to. It may go at any time: see [`super::Ingest::have_blob`].
    pub fn layer_by_blob(&self, digest: &str) -> Option<String> {
        let blob = sha256_hex(digest)?;
        let text = fs::read_to_string(self.root.join("blobs").join(blob)).ok();
        // An uncompressed layer is its own blob.
        let hex = text.as_deref().filter(|hex| is_hex(hex, 64)).unwrap_or(blob);
        let known = hex == blob || self.blobs_of(hex).iter().any(|b| b.digest == digest);
        (known && self.layer_dir(hex).is_dir()).then(|| format!("sha256:{hex}"))
    }

    /// The blobs that a layer is known as, such as the one that it was pulled as.
    pub fn layer_blobs(&self, diff_id: &str) -> Vec<LayerBlob> {
        sha256_hex(diff_id).map(|hex| self.blobs_of(hex)).unwrap_or_default()
    }

    /// Remembers a blob that a layer was pushed as, and where it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such layer; else the host's.
    pub fn remember_blob(&self, diff_id: &str, blob: &LayerBlob) -> Result<(), Error> {
        let missing = || Error::NotFound(diff_id.to_owned());
        let hex = sha256_hex(diff_id).ok_or_else(missing)?;
        let _lock = self.lock()?;
        if !self.layer_dir(hex).is_dir() {
            return Err(missing());
        }
        self.add_blob(hex, blob)
    }

    /// Writes a layer's archive, compressed. The same layer gives the same bytes (with the same version of Carrack).
    ///
    /// # Errors
    /// As [`Store::write_layer`].
    pub fn write_blob(
        &self,
        diff_id: &str,
        compression: Compression,
        out: impl Write,
    ) -> Result<LayerBlob, Error> {
        let hex = sha256_hex(diff_id).ok_or_else(|| Error::NotFound(diff_id.to_owned()))?;
        let ending = |source| Error::Io { what: "writing a layer".into(), source };
        let mut out = Digesting::new(out);
        match compression {
            Compression::None => drop(self.write_layer(hex, &mut out)?),
            Compression::Gzip => {
                let mut gzip = flate2::GzBuilder::new().write(&mut out, flate2::Compression::new(6));
                self.write_layer(hex, &mut gzip)?;
                gzip.finish().map_err(ending)?;
            }
            Compression::Zstd => {
                let mut zstd = zstd::stream::write::Encoder::new(&mut out, 3).map_err(ending)?;
                self.write_layer(hex, &mut zstd)?;
                zstd.finish().map_err(ending)?;
            }
        }
        out.flush().map_err(ending)?;
        let (digest, size) = out.finish();
        let media_type = compression.media_type().to_owned();
        Ok(LayerBlob { digest: format!("sha256:{digest}"), size, media_type, repositories: Vec::new() })
    }

    /// The bytes of a document or blob that an image came with.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Corrupt`] if the bytes are not what the digest says.
    pub fn document(&self, digest: &str) -> Result<Vec<u8>, Error> {
        let missing = || Error::NotFound(digest.to_owned());
        let hex = sha256_hex(digest).ok_or_else(missing)?;
        let path = self.content_path(hex);
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(missing()),
            result => result.context("reading", &path)?,
        };
        if hex::encode(Sha256::digest(&bytes)) != hex {
            return Err(Error::Corrupt(format!("{} does not have its digest any more", path.display())));
        }
        Ok(bytes)
    }

    /// The file of a document or blob that an image came with, for one that is too big for [`Store::document`].
    ///
    /// # Errors
    /// [`Error::NotFound`], else the host's.
    pub fn open_content(&self, digest: &str) -> Result<File, Error> {
        let missing = || Error::NotFound(digest.to_owned());
        let path = self.content_path(sha256_hex(digest).ok_or_else(missing)?);
        match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(missing()),
            result => result.context("opening", &path),
        }
    }

    pub(super) fn content_path(&self, hex: &str) -> PathBuf {
        self.root.join("content").join(hex)
    }

    /// Keeps a document of the store while `staging` lives; `false`: it is not there.
    pub(super) fn pin_content(&self, staging: &Staging, hex: &str) -> Result<bool, Error> {
        let _lock = self.lock()?;
        Ok(self.content_path(hex).is_file() && staging.pin(&format!("c-{hex}")).map(|()| true)?)
    }

    pub(super) fn blobs_of(&self, hex: &str) -> Vec<LayerBlob> {
        read_blobs(&self.layer_dir(hex))
    }

    /// Adds what is known of a blob. Under the lock. Nothing is lost for good if this is: it need not be durable.
    pub(super) fn add_blob(&self, hex: &str, blob: &LayerBlob) -> Result<(), Error> {
        const BLOBS_MAX: usize = 16;
        const REPOSITORIES_MAX: usize = 64;
        let mut blobs = self.blobs_of(hex);
        match blobs.iter_mut().find(|b| b.digest == blob.digest) {
            Some(known) => {
                let fresh = blob.repositories.iter().filter(|r| !known.repositories.contains(r));
                let fresh: Vec<String> = fresh.cloned().collect();
                known.repositories.splice(0..0, fresh);
                known.repositories.truncate(REPOSITORIES_MAX);
            }
            None => {
                blobs.insert(0, blob.clone());
                blobs.truncate(BLOBS_MAX);
            }
        }
        let path = self.layer_dir(hex).join("blobs.json");
        let json = serde_json::to_vec(&blobs).map_err(|e| Error::Corrupt(e.to_string()))?;
        replace(&path, &json)?;
        match sha256_hex(&blob.digest) {
            Some(digest) if digest != hex => replace(&self.root.join("blobs").join(digest), hex.as_bytes()),
            _ => Ok(()),
        }
    }

    /// Forgets the blobs of a layer whose files are in `dir` now.
    pub(super) fn forget_blobs(&self, dir: &Path) {
        for blob in read_blobs(dir) {
            if let Some(hex) = sha256_hex(&blob.digest) {
                let path = self.root.join("blobs").join(hex);
                let here = fs::read_to_string(&path).is_ok_and(|of| self.layer_dir(&of).is_dir());
                if !here {
                    let _ = fs::remove_file(&path);
                }
            }
        }
    }
}

fn read_blobs(dir: &Path) -> Vec<LayerBlob> {
    let json = fs::read(dir.join("blobs.json")).unwrap_or_default();
    serde_json::from_slice(&json).unwrap_or_default()
}

/// Replaces a small file in one step.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let aside = path.with_extension("new");
    fs::write(&aside, bytes).context("writing", &aside)?;
    fs::rename(&aside, path).context("renaming to", path)
}

/// The digits of a `sha256:` digest.
pub(super) fn sha256_hex(digest: &str) -> Option<&str> {
    digest.strip_prefix("sha256:").filter(|hex| is_hex(hex, 64))
}

/// Passes on what is written, counts it and computes its SHA-256.
pub(super) struct Digesting<W> {
    inner: W,
    hasher: Sha256,
    count: u64,
}

impl<W: Write> Digesting<W> {
    pub(super) fn new(inner: W) -> Self {
        Digesting { inner, hasher: Sha256::new(), count: 0 }
    }

    /// The digest in hex, and how many bytes there were.
    pub(super) fn finish(self) -> (String, u64) {
        (hex::encode(self.hasher.finalize()), self.count)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.count += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
