//! Manifests and indexes: Docker's (image manifest version 2, schema 2) and OCI's, which differ in media types only.
//!
//! They come from the other side, so everything in them is checked before it is used: kind, sizes, digests, how many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{Error, ErrorKind};
use super::platform::Platform;
use crate::reference::is_digest;

/// Largest manifest or index (OCI distribution specification, "Pushing Manifests").
pub(super) const MANIFEST_MAX: u64 = 4 << 20;
/// Largest image configuration.
pub(super) const CONFIG_MAX: u64 = 8 << 20;
/// Most layers of an image: what the store can merge.
pub(super) const LAYERS_MAX: usize = 4096;
/// Indexes within indexes.
pub(super) const DEPTH_MAX: usize = 4;

pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(super) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// What we take, for `Accept`.
pub(super) const ACCEPT: &[&str] = &[
    DOCKER_MANIFEST,
    DOCKER_INDEX,
    OCI_MANIFEST,
    OCI_INDEX,
    // Taken only to be refused with a reason.
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/json",
];

/// A reference to a blob or a manifest by its digest.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<PlatformField>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// A platform as it stands in an index, with `os.version` and whatever else.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct PlatformField {
    #[serde(flatten)]
    pub(super) all: serde_json::Map<String, Value>,
}

impl PlatformField {
    pub(super) fn platform(&self) -> Platform {
        let text = |key: &str| self.all.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Platform { os: text("os"), architecture: text("architecture"), variant: text("variant") }
    }
}

impl Descriptor {
    /// Attestations lie beside the images in an index, for a platform that nothing runs.
    fn is_attestation(&self) -> bool {
        self.annotations.contains_key("vnd.docker.reference.type")
            || self.platform.as_ref().is_some_and(|p| p.platform().os == "unknown")
    }
}

/// A manifest with its bytes.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) digest: String,
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
    pub(super) document: Document,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Document {
    Image(Image),
    Index(Vec<Descriptor>),
}

/// An image manifest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    media_type: String,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<Value>,
}

impl Fetched {
    /// Judges what a registry gave under `content_type`.
    ///
    /// # Errors
    /// Not a manifest, an ambiguous one, or one of the first schema. `name` is the image, for the text.
    pub(super) fn parse(bytes: Vec<u8>, content_type: &str, name: &str) -> Result<Fetched, Error> {
        let content_type = content_type.split(';').next().unwrap_or_default().trim().to_owned();
        let invalid = |why: &str| Error::content(format!("manifest invalid: {why}"));
        if content_type.starts_with("application/vnd.docker.distribution.manifest.v1+") {
            return Err(first_schema(name));
        }
        let raw: Raw = serde_json::from_slice(&bytes).map_err(|e| invalid(&e.to_string()))?;
        if raw.schema_version == 1 || raw.fs_layers.is_some() {
            return Err(first_schema(name));
        }
        // A generic type says nothing; then the document speaks for itself.
        let generic = matches!(
            content_type.as_str(),
            "" | "application/json" | "text/plain" | "application/octet-stream"
        );
        let media_type = if generic { raw.media_type.clone() } else { content_type };
        if !raw.media_type.is_empty() && raw.media_type != media_type {
            return Err(invalid("the document is of another media type than the registry says"));
        }
        // A document that is both could mean one thing here and another elsewhere.
        if raw.manifests.is_some() && (raw.layers.is_some() || raw.config.is_some()) {
            return Err(invalid("both an image and an index"));
        }
        let document = match (media_type.as_str(), raw.manifests, raw.config) {
            (DOCKER_INDEX | OCI_INDEX | "", Some(manifests), None) => {
                check(&manifests)?;
                Document::Index(manifests)
            }
            (DOCKER_MANIFEST | OCI_MANIFEST | "", None, Some(config)) => {
                let layers = raw.layers.unwrap_or_default();
                check(std::slice::from_ref(&config))?;
                check(&layers)?;
                Document::Image(Image { config, layers })
            }
            (DOCKER_INDEX | OCI_INDEX | DOCKER_MANIFEST | OCI_MANIFEST, ..) => {
                return Err(invalid("the document is not of its media type"));
            }
            (other, ..) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("unsupported manifest media type {other:?}"),
                ));
            }
        };
        let media_type = match (media_type, &document) {
            (m, _) if !m.is_empty() => m,
            (_, Document::Image(_)) => OCI_MANIFEST.to_owned(),
            (_, Document::Index(_)) => OCI_INDEX.to_owned(),
        };
        Ok(Fetched { digest: digest_of(&bytes), media_type, bytes, document })
    }
}

/// `sha256:…` of bytes.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn check(descriptors: &[Descriptor]) -> Result<(), Error> {
    for d in descriptors {
        if !is_digest(&d.digest) {
            return Err(Error::content(format!("manifest invalid: {:?} is no digest", d.digest)));
        }
        if !d.digest.starts_with("sha256:") {
            let why = format!("unsupported digest algorithm: {}", d.digest);
            return Err(Error::new(ErrorKind::Unsupported, why));
        }
    }
    Ok(())
}

fn first_schema(name: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the author of {name} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2."
        ),
    )
}

impl Image {
    /// Whether this is an image that can be unpacked.
    ///
    /// # Errors
    /// It is something else (a plugin, a chart), it has too many layers, or layers of an unknown kind.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.config.media_type.as_str() {
            // Some writers leave it out, or say something vague.
            DOCKER_CONFIG | OCI_CONFIG | "" | "application/octet-stream" | "text/html" => {}
            other => {
                let class =
                    if other == "application/vnd.docker.plugin.v1+json" { "plugin" } else { "unknown" };
                let why = format!("Encountered remote {other:?}({class}) when fetching");
                return Err(Error::new(ErrorKind::Invalid, why));
            }
        }
        if self.config.size > CONFIG_MAX {
            return Err(Error::content(format!(
                "manifest invalid: a configuration of {} bytes",
                self.config.size
            )));
        }
        if self.layers.len() > LAYERS_MAX {
            let why = format!("an image of {} layers (at most {LAYERS_MAX})", self.layers.len());
            return Err(Error::new(ErrorKind::Unsupported, why));
        }
        let mut sizes = BTreeMap::new();
        for layer in &self.layers {
            let kind = layer.media_type.as_str();
            let known = kind.starts_with("application/vnd.docker.image.rootfs.")
                || kind.starts_with("application/vnd.oci.image.layer.")
                || matches!(kind, "" | "application/octet-stream");
            if !known || kind.ends_with("+encrypted") {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("unsupported layer media type {kind:?}"),
                ));
            }
            if *sizes.entry(&layer.digest).or_insert(layer.size) != layer.size {
                return Err(Error::content(format!("manifest invalid: {} has two sizes", layer.digest)));
            }
        }
        Ok(())
    }
}

/// The manifests of an index that serve a platform, the best first.
pub(super) fn choose<'d>(manifests: &'d [Descriptor], wanted: &Platform) -> Vec<&'d Descriptor> {
    let images = manifests.iter().filter(|d| !d.is_attestation());
    let mut fits: Vec<(u32, &Descriptor)> =
        images.clone().filter_map(|d| Some((wanted.accepts(&d.platform.as_ref()?.platform())?, d))).collect();
    fits.sort_by_key(|(rank, _)| *rank);
    if fits.is_empty() {
        // An index that says nothing of platforms: whoever is alone in it is meant.
        let mut nameless = images.filter(|d| d.platform.is_none());
        if let (Some(only), None) = (nameless.next(), nameless.next()) {
            return vec![only];
        }
    }
    fits.into_iter().map(|(_, d)| d).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn digest(n: u8) -> String {
        format!("sha256:{}", hex::encode([n; 32]))
    }

    fn image(layers: usize) -> Value {
        let layer = |n: usize| json!({ "mediaType": DOCKER_LAYER, "digest": digest(n as u8), "size": 3 });
        json!({
            "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
            "config": { "mediaType": DOCKER_CONFIG, "digest": digest(0), "size": 2 },
            "layers": (0..layers).map(layer).collect::<Vec<_>>(),
        })
    }

    fn parse(value: &Value, content_type: &str) -> Result<Fetched, Error> {
        Fetched::parse(value.to_string().into_bytes(), content_type, "x")
    }

    #[test]
    fn images_and_indexes() {
        let f =
            parse(&image(2), "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8").unwrap();
        assert!(matches!(&f.document, Document::Image(i) if i.layers.len() == 2 && i.check().is_ok()));
        let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": digest(1), "size": 1 }] });
        assert_eq!(parse(&index, "").unwrap().media_type, OCI_INDEX);
        assert!(matches!(parse(&index, OCI_INDEX).unwrap().document, Document::Index(_)));
    }

    #[test]
    fn what_is_refused() {
        let message = |value: &Value, content_type: &str| parse(value, content_type).unwrap_err().message;
        assert!(
            message(&json!({ "schemaVersion": 1, "fsLayers": [] }), "")
                .contains("schema 1 support has been removed")
        );
        assert!(message(&image(1), OCI_MANIFEST).contains("another media type"));
        let mut both = image(1);
        both["manifests"] = json!([]);
        assert!(message(&both, DOCKER_MANIFEST).contains("both an image and an index"));
        let mut odd = image(1);
        odd["layers"][0]["digest"] = json!("sha256:../../x");
        assert!(message(&odd, DOCKER_MANIFEST).contains("is no digest"));
        odd["layers"][0]["digest"] = json!(format!("sha512:{}", "0".repeat(128)));
        assert!(message(&odd, DOCKER_MANIFEST).contains("unsupported digest algorithm"));
        odd["layers"][0]["digest"] = json!(digest(1));
        odd["layers"][0]["size"] = json!(-1);
        assert!(message(&odd, DOCKER_MANIFEST).contains("manifest invalid"));
        assert!(
            message(&json!({ "schemaVersion": 2 }), "application/x")
                .contains("unsupported manifest media type")
        );
        assert!(message(&json!([]), "").contains("manifest invalid"));
        assert!(Fetched::parse("[".repeat(100_000).into_bytes(), "", "x").is_err());
    }

    #[test]
    fn what_is_no_image() {
        let check = |value: &Value| match parse(value, "").unwrap().document {
            Document::Image(i) => i.check().map_err(|e| e.message),
            Document::Index(_) => Ok(()),
        };
        let mut odd = image(1);
        odd["config"]["mediaType"] = json!("application/vnd.docker.plugin.v1+json");
        assert_eq!(
            check(&odd).unwrap_err(),
            r#"Encountered remote "application/vnd.docker.plugin.v1+json"(plugin) when fetching"#
        );
        let mut odd = image(1);
        odd["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
        assert!(check(&odd).unwrap_err().contains("unsupported layer media type"));
        let mut twice = image(1);
        let layer = twice["layers"][0].clone();
        twice["layers"] = json!([layer, layer]);
        assert!(check(&twice).is_ok());
        twice["layers"][1]["size"] = json!(4);
        assert!(check(&twice).unwrap_err().contains("two sizes"));
        assert!(check(&image(10_000)).unwrap_err().contains("10000 layers"));
    }

    #[test]
    fn which_of_an_index() {
        let entry = |n: u8, os: &str, architecture: &str, variant: &str| json!({ "digest": digest(n), "size": 1, "platform": { "os": os, "architecture": architecture, "variant": variant, "os.version": "1" } });
        let mut list = vec![
            entry(1, "linux", "arm", "v6"),
            entry(2, "linux", "arm", "v7"),
            entry(3, "linux", "amd64", ""),
            entry(4, "unknown", "unknown", ""),
        ];
        list[3]["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
        let list: Vec<Descriptor> = serde_json::from_value(json!(list)).unwrap();
        let best = |p: &str| choose(&list, &Platform::parse(p).unwrap()).first().map(|d| d.digest.clone());
        assert_eq!(best("linux/amd64"), Some(digest(3)));
        assert_eq!(best("linux/arm/v7"), Some(digest(2)));
        assert_eq!(best("linux/arm/v6"), Some(digest(1)));
        assert_eq!(best("linux/arm/v5"), None);
        assert_eq!(best("linux/s390x"), None);
        // What came with an entry goes out with it.
        assert!(serde_json::to_string(&list[0]).unwrap().contains("os.version"));
        let alone: Vec<Descriptor> =
            serde_json::from_value(json!([{ "digest": digest(9), "size": 1 }])).unwrap();
        assert_eq!(choose(&alone, &Platform::host()).len(), 1);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), content_type in "[ -~]{0,40}") {
            let _ = Fetched::parse(bytes, &content_type, "x");
        }

        #[test]
        fn odd_documents(key in "schemaVersion|mediaType|config|layers|manifests|fsLayers", value in "null|0|-1|1e99|\"x\"|\\[\\]|\\{\\}|\\[\\{\\}\\]") {
            let mut document = image(1);
            document[&key] = serde_json::from_str(&value).unwrap();
            let _ = parse(&document, "");
        }
    }
}
