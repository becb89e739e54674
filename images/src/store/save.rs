//! `docker save`: images as an archive that is both an OCI image layout and a docker-archive, as docker 25
//! and later write it. The same images give the same bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::content::Digesting;
use super::staging::LayerInfo;
use super::{Image, ImageId, Store};
use crate::error::Error;
use crate::layer::split;
use crate::reference::Reference;
use crate::tar::write;

/// An image to be saved, and the names that go with it.
struct Saved {
    image: Image,
    tags: Vec<Reference>,
}

impl Store {
    /// Writes images as an archive that [`Store::load`] and `docker load` read.
    ///
    /// A name with a tag saves this one; a name without saves all tags of the repository; an id saves the
    /// image without a name.
    ///
    /// # Errors
    /// Names are resolved before anything is written. Later errors leave `out` with half an archive.
    pub fn save<S: AsRef<str>>(&self, names: &[S], out: impl Write) -> Result<(), Error> {
        let mut images: Vec<Saved> = Vec::new();
        for name in names {
            for saved in self.named(name.as_ref())? {
                match images.iter_mut().find(|s| s.image.id == saved.image.id) {
                    Some(known) => {
                        known.tags.extend(saved.tags);
                        known.tags.sort();
                        known.tags.dedup();
                    }
                    None => images.push(saved),
                }
            }
        }
        // Nothing that is written here may go away meanwhile.
        let _holds: Vec<_> = images.iter().map(|s| self.hold(&s.image.id)).collect::<Result<_, _>>()?;
        let mut out = io::BufWriter::with_capacity(128 << 10, out);
        self.write_archive(&images, &mut out)?;
        out.flush().map_err(writing)
    }

    /// Writes the archive of one layer as it was read, uncompressed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the bytes are not what the layer's digest says; they were written by then.
    pub fn write_layer(&self, layer_hex: &str, out: &mut impl Write) -> Result<u64, Error> {
        let mut out = Digesting::new(out);
        split::assemble(&self.layer_dir(layer_hex), &mut out)?;
        let (digest, count) = out.finish();
        if digest != layer_hex {
            return Err(Error::Corrupt(format!("layer {layer_hex} does not have its digest any more")));
        }
        Ok(count)
    }

    /// The images that [`Store::save`] writes for a name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`], [`Error::InvalidReference`].
    pub fn named_ids(&self, name: &str) -> Result<Vec<ImageId>, Error> {
        Ok(self.named(name)?.into_iter().map(|s| s.image.id).collect())
    }

    fn named(&self, name: &str) -> Result<Vec<Saved>, Error> {
        let image = self.resolve(name);
        let Ok(reference) = Reference::parse(name) else {
            return Ok(vec![Saved { image: image?, tags: Vec::new() }]);
        };
        let repository = self.repository()?;
        if reference.digest().is_some() {
            return Ok(vec![Saved { image: image?, tags: Vec::new() }]);
        }
        let mut by_image: BTreeMap<&String, Vec<Reference>> = BTreeMap::new();
        for (full, hex) in &repository.tags {
            let tag = Reference::parse(full)?;
            if tag.name() == reference.name() && (reference.tag().is_none() || tag.tag() == reference.tag()) {
                by_image.entry(hex).or_default().push(tag);
            }
        }
        if by_image.is_empty() {
            return Ok(vec![Saved { image: image?, tags: Vec::new() }]);
        }
        let saved = by_image.into_iter();
        saved.map(|(hex, tags)| Ok(Saved { image: self.image(&repository, hex)?, tags })).collect()
    }

    fn write_archive(&self, images: &[Saved], out: &mut impl Write) -> Result<(), Error> {
        let mut small: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut layers: BTreeMap<String, LayerInfo> = BTreeMap::new();
        let mut attached: BTreeMap<String, u64> = BTreeMap::new();
        let (mut descriptors, mut items, mut attestations) = (Vec::new(), Vec::new(), Vec::new());
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for Saved { image, tags } in images {
            let config = image.read_config()?;
            let (mut described, mut sources) = (Vec::new(), Map::new());
            for hex in image.layer_hexes() {
                let info = self.layer_info(hex)?;
                let layer = json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": format!("sha256:{hex}"),
                    "size": info.tar_size,
                });
                sources.insert(format!("sha256:{hex}"), layer.clone());
                described.push(layer);
                layers.insert(hex.to_owned(), info);
            }
            let came = self.attached(image)?;
            let manifest = match came.manifest {
                Some(manifest) => manifest,
                None => encode(&json!({
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": {
                        "mediaType": "application/vnd.oci.image.config.v1+json",
                        "digest": image.id.as_str(),
                        "size": config.len(),
                    },
                    "layers": described,
                }))?,
            };
            attestations.extend(
                came.attestations.into_iter().filter(|a| !attestations.contains(a)).collect::<Vec<_>>(),
            );
            attached.extend(came.others);
            let digest = hex::encode(Sha256::digest(&manifest));
            let mut platform = json!({ "architecture": image.config.architecture, "os": image.config.os });
            if !image.config.variant.is_empty() {
                platform["variant"] = json!(image.config.variant);
            }
            let descriptor = json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": format!("sha256:{digest}"),
                "size": manifest.len(),
                "platform": platform,
            });
            for tag in tags {
                let mut descriptor = descriptor.clone();
                descriptor["annotations"] = json!({
                    "io.containerd.image.name": tag.to_string(),
                    "org.opencontainers.image.ref.name": tag.tag(),
                });
                descriptors.push(descriptor);
                if let (Some(top), Some(tag_name)) = (image.layer_hexes().last(), tag.tag()) {
                    let of = repositories.entry(tag.familiar_name()).or_default();
                    of.insert(tag_name.to_owned(), top.to_owned());
                }
            }
            if tags.is_empty() {
                descriptors.push(descriptor);
            }
            let tags: Vec<String> = tags.iter().map(Reference::familiar).collect();
            let mut item = json!({
                "Config": format!("blobs/sha256/{}", image.id.hex()),
                "RepoTags": if tags.is_empty() { Value::Null } else { json!(tags) },
                "Layers": image.layer_hexes().map(|h| format!("blobs/sha256/{h}")).collect::<Vec<_>>(),
                "LayerSources": sources,
            });
            if let Some(parent) = &image.parent
                && images.iter().any(|s| s.image.id == *parent)
            {
                item["Parent"] = json!(parent.as_str());
            }
            items.push(item);
            small.insert(image.id.hex().to_owned(), config);
            small.insert(digest, manifest);
        }
        descriptors.extend(attestations);
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": descriptors,
        });
        for dir in ["blobs/", "blobs/sha256/"] {
            out.write_all(&write::header(dir, 0)).map_err(writing)?;
        }
        for (hex, bytes) in &small {
            add(out, &format!("blobs/sha256/{hex}"), bytes)?;
        }
        for (hex, size) in attached.iter().filter(|(hex, _)| !small.contains_key(*hex)) {
            let mut content = self.open_content(&format!("sha256:{hex}"))?;
            out.write_all(&write::header(&format!("blobs/sha256/{hex}"), *size)).map_err(writing)?;
            if io::copy(&mut content, out).map_err(writing)? != *size {
                return Err(Error::Corrupt(format!("document {hex} does not have its size any more")));
            }
            write::pad(out, *size).map_err(writing)?;
        }
        for (hex, info) in &layers {
            out.write_all(&write::header(&format!("blobs/sha256/{hex}"), info.tar_size)).map_err(writing)?;
            if self.write_layer(hex, out)? != info.tar_size {
                return Err(Error::Corrupt(format!("layer {hex} does not have its size any more")));
            }
            write::pad(out, info.tar_size).map_err(writing)?;
        }
        // As Go's encoder ends them.
        let lined = |value: &Value| encode(value).map(|json| [&json[..], b"\n"].concat());
        add(out, "index.json", &encode(&index)?)?;
        add(out, "manifest.json", &lined(&json!(items))?)?;
        add(out, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        if !repositories.is_empty() {
            add(out, "repositories", &lined(&json!(repositories))?)?;
        }
        write::end(out).map_err(writing)
    }

    /// What an image came with, as far as it fits into an archive of uncompressed layers.
    fn attached(&self, image: &Image) -> Result<Attached, Error> {
        let mut attached = Attached::default();
        for document in &image.documents {
            let hex = document.digest.strip_prefix("sha256:").unwrap_or_default().to_owned();
            if document.size > self.limits.document_bytes as u64 {
                attached.others.push((hex, document.size));
                continue;
            }
            let bytes = self.document(&document.digest)?;
            let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if let Some(list) = json["manifests"].as_array() {
                let about = |d: &&Value| d["annotations"]["vnd.docker.reference.type"].is_string();
                attached.attestations.extend(list.iter().filter(about).cloned());
            } else if json["config"]["digest"] == image.id.as_str() {
                // One of compressed layers, which are not here, would lead to nothing.
                let layers = json["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
                let digests = layers.iter().filter_map(|l| l["digest"].as_str());
                if digests.eq(image.layers.iter().map(String::as_str)) {
                    attached.manifest = Some(bytes);
                }
            } else {
                attached.others.push((hex, document.size));
            }
        }
        let has = |d: &Value| {
            let hex = d["digest"].as_str().and_then(|d| d.strip_prefix("sha256:"));
            hex.is_some_and(|hex| attached.others.iter().any(|(other, _)| other == hex))
        };
        attached.attestations.retain(has);
        Ok(attached)
    }
}

/// What an image came with.
#[derive(Default)]
struct Attached {
    /// Its manifest, if it is one of the layers as they are written.
    manifest: Option<Vec<u8>>,
    /// Descriptors of attestations.
    attestations: Vec<Value>,
    /// Digests in hex and sizes of further documents.
    others: Vec<(String, u64)>,
}

fn add(out: &mut impl Write, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let size = bytes.len() as u64;
    out.write_all(&write::header(name, size)).map_err(writing)?;
    out.write_all(bytes).map_err(writing)?;
    write::pad(out, size).map_err(writing)
}

fn encode(value: &serde_json::Value) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|e| Error::Corrupt(e.to_string()))
}

fn writing(source: io::Error) -> Error {
    Error::Io { what: "writing the archive".into(), source }
}
