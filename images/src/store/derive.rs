//! Images made of other images: `docker commit`, and each step of a build.

use std::io::Read;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::image::rfc3339;
use super::import::Platform;
use super::ingest::NewImage;
use super::{ImageId, Progress, Store, tag_reference};
use crate::Error;

/// Diff id of an archive without entries (two blocks of zeros): the layer of a step that changed no file.
const EMPTY_LAYER: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// What a new image is, besides its layer.
#[derive(Clone, Debug, Default)]
pub struct Derivation {
    /// The whole `config` object of the new image.
    pub config: Map<String, Value>,
    /// The command that made the layer, for the history.
    pub created_by: String,
    /// A remark for the history; may be empty.
    pub comment: String,
    /// Who made it; empty: nobody says.
    pub author: String,
    /// The name it gets, such as `debian:12`.
    pub reference: Option<String>,
    /// When it was made; now if it is missing. Base, layer, these fields and the time determine the id.
    pub created: Option<OffsetDateTime>,
}

impl Store {
    /// Makes an image of `base` (none: an empty one for this host) and one more layer (none: none).
    ///
    /// A layer archive without entries adds no layer either; the history tells of the step in any case.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such base. [`Error::InvalidReference`], [`Error::InvalidTar`], else the host's. After an
    /// error nothing is left.
    pub fn derive(
        &self,
        base: Option<&ImageId>,
        layer: Option<&mut dyn Read>,
        how: &Derivation,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ImageId, Error> {
        how.reference.as_deref().map(tag_reference).transpose()?;
        let (mut document, layers) = match base {
            Some(id) => self.document_of(id)?,
            None => (fresh_document()?, Vec::new()),
        };
        let ingest = self.ingest()?;
        for diff_id in &layers {
            if !ingest.have_layer(diff_id)? {
                let base = base.map(ImageId::to_string).unwrap_or_default();
                return Err(Error::NotFound(base));
            }
        }
        let mut added = None;
        if let Some(tar) = layer {
            let layer = ingest.stage(tar, progress)?;
            if layer.diff_id != EMPTY_LAYER {
                added = Some(layer.diff_id);
            }
        }
        describe(&mut document, how, added.as_deref());
        let json = serde_json::to_vec(&document).map_err(|e| Error::InvalidChange(e.to_string()))?;
        progress(Progress::Committing);
        let image = NewImage {
            config: json,
            tags: how.reference.iter().cloned().collect(),
            parent: base.cloned(),
            ..NewImage::default()
        };
        let id = ImageId::of_bytes(&image.config);
        ingest.commit(vec![image])?;
        Ok(id)
    }

    /// Makes an image of `base` and a layer that is in the store already (`diff_id`; none: none), such as one of another
    /// image with the same base.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such base. [`Error::Mismatch`]: no such layer. Else the host's.
    pub fn derive_known(
        &self,
        base: Option<&ImageId>,
        diff_id: Option<&str>,
        how: &Derivation,
    ) -> Result<ImageId, Error> {
        let mut document = match base {
            Some(id) => self.document_of(id)?.0,
            None => fresh_document()?,
        };
        describe(&mut document, how, diff_id);
        let config = serde_json::to_vec(&document).map_err(|e| Error::InvalidChange(e.to_string()))?;
        let id = ImageId::of_bytes(&config);
        let tags = how.reference.iter().cloned().collect();
        let image = NewImage { config, tags, parent: base.cloned(), ..NewImage::default() };
        self.ingest()?.commit(vec![image])?;
        Ok(id)
    }

    /// The configuration of an image as it came, and its layers.
    fn document_of(&self, id: &ImageId) -> Result<(Map<String, Value>, Vec<String>), Error> {
        let image = self.get(id)?;
        match serde_json::from_slice(&image.read_config()?) {
            Ok(Value::Object(document)) => Ok((document, image.layers)),
            _ => Err(Error::Corrupt(format!("{} is no configuration", image.config_path().display()))),
        }
    }
}

fn fresh_document() -> Result<Map<String, Value>, Error> {
    let platform = Platform::parse(None)?;
    let mut document = Map::new();
    document.insert("architecture".into(), platform.architecture.into());
    document.insert("os".into(), platform.os.into());
    document.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": [] }));
    Ok(document)
}

/// Brings a base's configuration up to date: what is not known here is carried on.
fn describe(document: &mut Map<String, Value>, how: &Derivation, layer: Option<&str>) {
    let created = rfc3339(how.created.unwrap_or_else(OffsetDateTime::now_utc));
    let mut step = Map::new();
    step.insert("created".into(), json!(created));
    for (key, text) in [("author", &how.author), ("created_by", &how.created_by), ("comment", &how.comment)] {
        if !text.is_empty() {
            step.insert(key.into(), json!(text));
        }
    }
    if layer.is_none() {
        step.insert("empty_layer".into(), json!(true));
    }
    list(document, "history").push(Value::Object(step));
    if let Some(diff_id) = layer {
        let rootfs = document.entry("rootfs").or_insert_with(|| json!({ "type": "layers" }));
        if let Value::Object(rootfs) = rootfs {
            list(rootfs, "diff_ids").push(json!(diff_id));
        }
    }
    document.insert("created".into(), json!(created));
    document.insert("config".into(), Value::Object(how.config.clone()));
    // What docker 24 and older wrote about the container that an image was made of.
    for old in ["container", "container_config", "id", "parent", "parent_id"] {
        document.remove(old);
    }
    if !how.author.is_empty() {
        document.insert("author".into(), json!(how.author));
    }
}

fn list<'d>(document: &'d mut Map<String, Value>, key: &str) -> &'d mut Vec<Value> {
    let slot = document.entry(key).or_insert_with(|| json!([]));
    if !slot.is_array() {
        *slot = json!([]);
    }
    // It was just made one.
    slot.as_array_mut().expect("a list")
}
