//! Whether the store still holds what it was given: every byte against the digests that name it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::content::sha256_hex;
use super::image::{ImageConfig, image_dir};
use super::repository::Entry;
use super::staging::{Staging, build_index};
use super::{Store, lock};
use crate::error::{Context, Error};
use crate::index::FileKind;
use crate::layer::record::{NodeRecord, Reader as Records, Record};

/// Bytes between two reports of progress.
const STEP: u64 = 16 << 20;

/// What [`Store::verify`] has to say, as it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// How far it has come.
    Progress {
        /// Bytes of layers that were looked at.
        done: u64,
        /// Bytes of all layers.
        total: u64,
    },
    /// Something is not what it should be.
    Damaged(Damage),
}

/// Something in the store that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// `image sha256:…`, `layer sha256:…`, `file … of layer sha256:…` or `document sha256:…`.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// It could be made again from what is sound, and was.
    pub repaired: bool,
}

/// What [`Store::verify`] has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Images.
    pub images: u64,
    /// Layers, each once.
    pub layers: u64,
    /// Manifests and the like.
    pub documents: u64,
    /// Bytes of layers.
    pub bytes: u64,
    /// How much of it is damaged.
    pub damaged: u64,
}

impl Store {
    /// Reads everything, and compares it with the digests it goes by: layers are put together again bit for bit, indexes are built
    /// again and compared. Containers and pulls may go on meanwhile.
    ///
    /// # Errors
    /// The host's, where even looking is impossible; damage is reported, and counted in the result.
    pub fn verify(&self, report: &mut dyn FnMut(Verification)) -> Result<Verified, Error> {
        let staging = self.staging()?;
        let repository = self.repository()?;
        let mut layers: Vec<&str> = repository.used_layers().into_iter().collect();
        layers.sort_unstable();
        let sizes: Vec<u64> = layers.iter().map(|l| self.layer_info(l).map_or(0, |i| i.tar_size)).collect();
        let mut run = Run {
            store: self,
            staging: &staging,
            report,
            verified: Verified::default(),
            total: sizes.iter().sum(),
            bad: Vec::new(),
        };
        for hex in &layers {
            // One that was removed meanwhile is nobody's any more.
            if self.pin(&staging, hex)? {
                run.layer(hex)?;
            } else if self.is_used(hex)? {
                run.damaged(format!("layer sha256:{hex}"), "it is missing", false);
                run.bad.push((*hex).to_owned());
            }
        }
        for (hex, entry) in repository.images.iter().chain(&repository.retained) {
            // Kept while it is looked at, if it is still there.
            let held = lock::try_shared(&image_dir(&self.root, hex).join("hold"));
            match held {
                Ok(Some(_hold)) => run.image(hex, entry)?,
                _ if self.repository()?.images.contains_key(hex) => {
                    run.damaged(format!("image sha256:{hex}"), "its directory is missing", false);
                }
                _ => {}
            }
        }
        let mut documents: Vec<&str> = repository.used_content().into_iter().collect();
        documents.sort_unstable();
        for hex in documents {
            run.document(hex)?;
        }
        let Run { report, verified, total, .. } = run;
        report(Verification::Progress { done: verified.bytes, total });
        Ok(verified)
    }

    fn is_used(&self, layer: &str) -> Result<bool, Error> {
        Ok(self.repository()?.used_layers().contains(layer))
    }
}

struct Run<'a> {
    store: &'a Store,
    staging: &'a Staging,
    report: &'a mut dyn FnMut(Verification),
    verified: Verified,
    total: u64,
    /// Layers that are damaged, in hex.
    bad: Vec<String>,
}

impl Run<'_> {
    fn damaged(&mut self, what: String, why: impl ToString, repaired: bool) {
        self.verified.damaged += 1;
        (self.report)(Verification::Damaged(Damage { what, why: why.to_string(), repaired }));
    }

    fn layer(&mut self, hex: &str) -> Result<(), Error> {
        self.verified.layers += 1;
        let before = self.verified.damaged;
        let name = format!("layer sha256:{hex}");
        let (start, total) = (self.verified.bytes, self.total);
        let mut meter = Meter { report: &mut *self.report, done: start, said: start, total };
        let written = self.store.write_layer(hex, &mut meter);
        self.verified.bytes = meter.done;
        // Sizes have to be looked at in any case: the archive says nothing of what follows a file's bytes.
        let bodies = self.bodies(hex, written.is_err());
        match (written, bodies) {
            (_, Err(e)) => self.damaged(name, e, false),
            (Err(e), Ok(())) if self.verified.damaged == before => self.damaged(name, e, false),
            _ => {}
        }
        if let Err(e) = self.store.layer_info(hex) {
            self.damaged(format!("layer sha256:{hex}"), e, false);
        }
        if self.verified.damaged > before {
            self.bad.push(hex.to_owned());
        }
        Ok(())
    }

    /// Looks at the sizes of a layer's files, and at their bytes too if the layer is known to be damaged.
    fn bodies(&mut self, hex: &str, bytes: bool) -> Result<(), Error> {
        let dir = self.store.layer_dir(hex);
        let path = dir.join("meta");
        let file = File::open(&path).context("opening", &path)?;
        let mut records = Records::new(BufReader::new(file))?;
        while let Some(record) = records.next()? {
            let Record::Node(node) = record else { continue };
            if node.kind != FileKind::Regular {
                continue;
            }
            let path = dir.join("b").join(node.n.to_string());
            if let Err(why) = body(&path, &node, bytes) {
                // So that what comes in later does not link to it.
                if let Some(object) = &node.object {
                    let _ = std::fs::remove_file(self.store.objects.join(object.path()));
                }
                let name = String::from_utf8_lossy(&node.path).into_owned();
                self.damaged(format!("file /{name} of layer sha256:{hex}"), why, false);
            }
        }
        Ok(())
    }

    fn image(&mut self, hex: &str, entry: &Entry) -> Result<(), Error> {
        self.verified.images += 1;
        let name = format!("image sha256:{hex}");
        let dir = image_dir(&self.store.root, hex);
        let config = match std::fs::read(dir.join("config.json")) {
            Ok(config) => config,
            Err(e) => {
                self.damaged(name, format!("its configuration cannot be read: {e}"), false);
                return Ok(());
            }
        };
        if hex::encode(Sha256::digest(&config)) != hex {
            self.damaged(name, "its configuration does not have its digest any more", false);
            return Ok(());
        }
        let layers = ImageConfig::parse(&config)?.diff_ids;
        let same = layers.iter().filter_map(|l| sha256_hex(l)).eq(entry.layers.iter().map(String::as_str));
        if !same {
            self.damaged(name, "its list of layers is not the one of its configuration", false);
            return Ok(());
        }
        if entry.layers.iter().any(|l| self.bad.contains(l)) {
            // Its index cannot be judged; the layers were reported.
            return Ok(());
        }
        let fresh = self.staging.path.join("index");
        build_index(&entry.layers, |layer| self.store.layer_dir(layer), &fresh)?;
        let place = dir.join("index");
        let result = same_bytes(&fresh, &place);
        if let Ok(true) = result {
            return std::fs::remove_file(&fresh).context("deleting", &fresh);
        }
        std::fs::rename(&fresh, &place).context("renaming to", &place)?;
        let why = match result {
            Err(e) => format!("its index cannot be read: {e}"),
            Ok(_) => "its index was not what its layers make".to_owned(),
        };
        self.damaged(name, why, true);
        Ok(())
    }

    fn document(&mut self, hex: &str) -> Result<(), Error> {
        let path = self.store.content_path(hex);
        let digest = File::open(&path).and_then(|file| digest_of(file, u64::MAX));
        let why = match digest {
            Ok(digest) if hex::encode(digest) == hex => None,
            Ok(_) => Some("it does not have its digest any more".to_owned()),
            Err(e) => Some(format!("it cannot be read: {e}")),
        };
        self.verified.documents += 1;
        if let Some(why) = why
            && self.store.repository()?.used_content().contains(hex)
        {
            self.damaged(format!("document sha256:{hex}"), why, false);
        }
        Ok(())
    }
}

/// What is wrong with a body file.
fn body(path: &Path, node: &NodeRecord, bytes: bool) -> Result<(), String> {
    let file = File::open(path).map_err(|e| format!("it cannot be read: {e}"))?;
    let len = file.metadata().map_err(|e| e.to_string())?.len();
    if len != node.size {
        return Err(format!("it has {len} bytes instead of {}", node.size));
    }
    match &node.object {
        // Sparse files are named by their map as well, which only the archive has.
        Some(object) if bytes && !object.sparse => {
            let digest = digest_of(file, node.size).map_err(|e| format!("it cannot be read: {e}"))?;
            if digest == object.sha256 { Ok(()) } else { Err("its bytes have changed".into()) }
        }
        _ => Ok(()),
    }
}

fn digest_of(file: File, most: u64) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut file = file.take(most);
    let mut buf = vec![0; 128 << 10];
    loop {
        match file.read(&mut buf) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(n) => hasher.update(&buf[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let len = a.seek(SeekFrom::End(0))?;
    if len != b.seek(SeekFrom::End(0))? {
        return Ok(false);
    }
    a.rewind()?;
    b.rewind()?;
    let (mut a, mut b) = (BufReader::with_capacity(64 << 10, a), BufReader::with_capacity(64 << 10, b));
    let (mut x, mut y) = (vec![0; 32 << 10], vec![0; 32 << 10]);
    let mut left = len;
    while left > 0 {
        let n = x.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        a.read_exact(&mut x[..n])?;
        b.read_exact(&mut y[..n])?;
        if x[..n] != y[..n] {
            return Ok(false);
        }
        left -= n as u64;
    }
    Ok(true)
}

/// Counts what is written.
struct Meter<'a> {
    report: &'a mut dyn FnMut(Verification),
    done: u64,
    said: u64,
    total: u64,
}

impl io::Write for Meter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.done += buf.len() as u64;
        if self.done - self.said >= STEP {
            self.said = self.done;
            (self.report)(Verification::Progress { done: self.done, total: self.total });
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
