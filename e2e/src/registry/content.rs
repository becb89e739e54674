//! Small images as registries keep them: blobs and manifests.

use std::io::Write;

use anyhow::Result;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Registry;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// `sha256:…`
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Compressed as most layers are.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Puts an image of these layers (tar archives) into a repository, by its digest alone or under a tag; digest and size
/// of its manifest.
pub(crate) fn image(
    registry: &Registry,
    repository: &str,
    tag: Option<&str>,
    architecture: &str,
    layers: &[Vec<u8>],
) -> Result<(String, usize)> {
    let mut descriptors = Vec::new();
    for layer in layers {
        let blob = gzip(layer)?;
        let digest = registry.put_blob(repository, &blob)?;
        descriptors.push(json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": blob.len(),
        }));
    }
    let diff_ids: Vec<String> = layers.iter().map(|l| digest(l)).collect();
    let config = json!({
        "architecture": architecture, "os": "linux", "config": { "Cmd": ["x"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
    .to_string();
    let config_digest = registry.put_blob(repository, config.as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len(),
        },
        "layers": descriptors,
        "annotations": { "org.example.kept": "as it is" },
    })
    .to_string();
    let own = digest(manifest.as_bytes());
    registry.put_manifest(repository, tag.unwrap_or(&own), OCI_MANIFEST, &manifest)?;
    Ok((own, manifest.len()))
}
