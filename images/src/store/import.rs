//! `docker import`: a file system in a tar archive becomes an image of one layer.

use std::io::Read;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::image::rfc3339;
use super::ingest::{Expected, Ingest, NewImage, StagedLayer};
use super::staging::{copy_into, counted};
use super::{ImageId, Progress, Store, changes, tag_reference};
use crate::Error;

/// What an import makes of the archive.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Dockerfile instructions (`CMD …`, `ENV …`) for the image's configuration.
    pub changes: Vec<String>,
    /// The comment in the history; Docker's `Imported from -` if it is missing.
    pub message: Option<String>,
    /// `os/architecture[/variant]` or `os`; the host's if it is missing.
    pub platform: Option<String>,
    /// The name it gets, such as `debian:12`.
    pub reference: Option<String>,
    /// When it was made; now if it is missing. Archive, options and time determine the id.
    pub created: Option<OffsetDateTime>,
}

impl Store {
    /// Makes an image of a tar archive, plain or compressed with gzip or zstd.
    ///
    /// # Errors
    /// Options are judged before the stream is read. After an error nothing of the import is left.
    pub fn import(
        &self,
        tar: impl Read,
        options: &ImportOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ImageId, Error> {
        options.reference.as_deref().map(tag_reference).transpose()?;
        let mut config = Map::new();
        changes::apply(&mut config, &options.changes)?;
        let platform = Platform::parse(options.platform.as_deref())?;

        let ingest = self.ingest()?;
        let layer = ingest.stage(tar, progress)?;
        let created = rfc3339(options.created.unwrap_or_else(OffsetDateTime::now_utc));
        let comment = options.message.as_deref().filter(|m| !m.is_empty()).unwrap_or("Imported from -");
        let mut document = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "config": config,
            "created": created,
            "history": [{ "created": created, "comment": comment }],
            "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
        });
        if let Some(variant) = platform.variant {
            document["variant"] = Value::String(variant);
        }
        let json = serde_json::to_vec(&document).map_err(|e| Error::InvalidChange(e.to_string()))?;
        progress(Progress::Committing);
        let image = NewImage {
            config: json,
            tags: options.reference.iter().cloned().collect(),
            ..NewImage::default()
        };
        let id = ImageId::of_bytes(&image.config);
        ingest.commit(vec![image])?;
        Ok(id)
    }
}

impl Ingest {
    /// Unpacks the one layer that the caller's stream is.
    pub(super) fn stage(
        &self,
        tar: impl Read,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<StagedLayer, Error> {
        let (mut stream, mut meter) = counted(tar);
        let mut writer = self.layer(Expected::default())?;
        copy_into(&mut stream, &mut writer, &mut || meter.report(progress))?;
        let layer = writer.finish()?;
        progress(Progress::Layer {
            diff_id: layer.diff_id.clone(),
            size: layer.size,
            existed: self.work.store.has_layer(&layer.diff_id),
        });
        Ok(layer)
    }
}

/// What an image is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Platform {
    pub(super) os: String,
    pub(super) architecture: String,
    pub(super) variant: Option<String>,
}

impl Platform {
    /// `os/architecture[/variant]`, an architecture alone, or `linux` alone; else the host's.
    pub(super) fn parse(text: Option<&str>) -> Result<Platform, Error> {
        let host = Platform { os: "linux".into(), architecture: host_architecture().into(), variant: None };
        let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(host) };
        let bad = || Error::InvalidPlatform(text.to_owned());
        let word =
            |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        if !parts.iter().all(|p| word(p)) {
            return Err(bad());
        }
        match parts[..] {
            ["linux"] => Ok(host),
            [architecture] => Ok(Platform { architecture: go_architecture(architecture), ..host }),
            [os, architecture] => {
                Ok(Platform { os: os.into(), architecture: go_architecture(architecture), variant: None })
            }
            [os, architecture, variant] => Ok(Platform {
                os: os.into(),
                architecture: go_architecture(architecture),
                variant: Some(variant.into()),
            }),
            _ => Err(bad()),
        }
    }
}

/// The host's architecture in Go's words.
pub(super) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn go_architecture(name: &str) -> String {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}
