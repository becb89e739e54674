//! What an image is: an id, its configuration, and the names it has.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::content::Descriptor;
use crate::error::{Context, Error};
use crate::reference::is_hex;

/// `sha256:` and the digest of the image's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId(String);

impl ImageId {
    /// Of 64 lower-case hex digits, with `sha256:` before them or not.
    pub fn parse(text: &str) -> Option<ImageId> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        is_hex(hex, 64).then(|| ImageId(format!("sha256:{hex}")))
    }

    /// Of the image that has this configuration.
    pub fn of_bytes(config: &[u8]) -> ImageId {
        ImageId(format!("sha256:{}", hex::encode(Sha256::digest(config))))
    }

    /// With its algorithm: `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The first 12 digits, as people see it.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image of the store, as it was when it was asked for.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of the configuration.
    pub id: ImageId,
    /// The configuration.
    pub config: Arc<ImageConfig>,
    /// Names with a tag, as people write them (`debian:12`), sorted.
    pub references: Vec<String>,
    /// Names with a digest, as people write them (`debian@sha256:…`), sorted.
    pub digests: Vec<String>,
    /// Sum of the sizes of its layers' files, in bytes.
    pub size: u64,
    /// When it was made, where its configuration says.
    pub created: Option<OffsetDateTime>,
    /// The image that it was made of here; it may be gone.
    pub parent: Option<ImageId>,
    /// The layers' digests (`sha256:…`), the lowest first.
    pub layers: Vec<String>,
    /// How it was made, oldest step first.
    pub history: Vec<History>,
    /// When it last got a name here.
    pub last_tagged: Option<OffsetDateTime>,
    /// The manifest or index by which it came, if it was kept: [`crate::Store::document`].
    pub manifest: Option<Descriptor>,
    /// All documents and blobs that it came with.
    pub documents: Vec<Descriptor>,
    pub(crate) dir: PathBuf,
}

/// See [`Image::read_config`].
pub(super) fn read_config(dir: &Path, hex: &str) -> Result<Vec<u8>, Error> {
    let path = dir.join("config.json");
    match std::fs::read(&path) {
        Err(_) if !dir.exists() => Err(Error::NotFound(format!("sha256:{hex}"))),
        result => result.context("reading", &path),
    }
}

impl Image {
    /// The merged index ([`crate::Index`]). It is a cache: call [`crate::Store::ensure_index`] before use.
    pub fn index_path(&self) -> PathBuf {
        self.dir.join("index")
    }

    /// Where the configuration is.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("config.json")
    }

    /// The configuration, byte by byte as it came.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the image was removed since it was looked up, else the host's.
    pub fn read_config(&self) -> Result<Vec<u8>, Error> {
        read_config(&self.dir, self.id.hex())
    }

    /// Whether it has no name at all.
    pub fn is_dangling(&self) -> bool {
        self.references.is_empty() && self.digests.is_empty()
    }

    /// The layers' digests without algorithm, as [`crate::Store::body_path`] takes them.
    pub fn layer_hexes(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|l| l.strip_prefix("sha256:").unwrap_or(l))
    }
}

/// A step of an image's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When, as the configuration says.
    pub created: Option<OffsetDateTime>,
    /// The command that made it.
    pub created_by: String,
    /// Who made it.
    pub author: String,
    /// A remark, such as where it was imported from.
    pub comment: String,
    /// Whether it added no layer.
    pub empty_layer: bool,
}

/// An image configuration (OCI image specification, config.md, and Docker's additions).
#[derive(Clone, Debug)]
pub struct ImageConfig {
    /// All of it, with whatever else is in it.
    pub raw: Value,
    /// GOARCH, such as `amd64`.
    pub architecture: String,
    /// GOOS, such as `linux`.
    pub os: String,
    /// Variant of the architecture, such as `v8`; often empty.
    pub variant: String,
    /// Who made it; often empty.
    pub author: String,
    /// When it was made.
    pub created: Option<OffsetDateTime>,
    /// What a container gets from it.
    pub config: RunConfig,
    /// How it was made, oldest step first.
    pub history: Vec<History>,
    /// The layers (`sha256:…`), the lowest first.
    pub diff_ids: Vec<String>,
}

/// The `config` object: what a container made of the image starts with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunConfig {
    /// `user[:group]`, names or numbers; empty: root.
    pub user: String,
    /// Such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// What is always run.
    pub entrypoint: Option<Vec<String>>,
    /// Its arguments unless others are given, or the command itself.
    pub cmd: Option<Vec<String>>,
    /// Paths that get a volume.
    pub volumes: Vec<String>,
    /// Directory to start in; empty: `/`.
    pub working_dir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Signal that asks the container to end, a name or a number.
    pub stop_signal: Option<String>,
    /// `HEALTHCHECK` as Docker keeps it (`Test`, `Interval`, …).
    pub healthcheck: Option<Value>,
    /// What `RUN` and shell-form commands are given to in a build.
    pub shell: Option<Vec<String>>,
    /// Triggers of a build from this image.
    pub on_build: Vec<String>,
}

/// Whether what is for `own` (`os/architecture[/variant]`) serves who asks for `wanted`, which may leave parts out.
pub fn platform_fits(own: &str, wanted: &str) -> bool {
    let begins = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|r| r.is_empty() || r.starts_with('/'))
    };
    wanted.is_empty() || begins(own, wanted) || begins(wanted, own)
}

impl ImageConfig {
    /// `os/architecture[/variant]`; what the configuration does not say is the host's.
    pub fn platform(&self) -> String {
        let os = if self.os.is_empty() { "linux" } else { &self.os };
        let architecture = match self.architecture.as_str() {
            "" => super::import::host_architecture(),
            given => given,
        };
        match self.variant.as_str() {
            "" => format!("{os}/{architecture}"),
            v => format!("{os}/{architecture}/{v}"),
        }
    }

    /// Parses a configuration. Fields that are missing or null read as empty.
    ///
    /// # Errors
    /// [`Error::InvalidArchive`] for what is no JSON object or has layers that are no SHA-256 digests.
    pub fn parse(json: &[u8]) -> Result<ImageConfig, Error> {
        let invalid = |why: String| Error::InvalidArchive(format!("image configuration: {why}"));
        let raw: Value = serde_json::from_slice(json).map_err(|e| invalid(e.to_string()))?;
        if !raw.is_object() {
            return Err(invalid("not an object".into()));
        }
        let diff_ids = match &raw["rootfs"]["diff_ids"] {
            Value::Null => Vec::new(),
            list => strings(list).ok_or_else(|| invalid("rootfs.diff_ids is no list".into()))?,
        };
        for id in &diff_ids {
            if ImageId::parse(id).is_none_or(|parsed| parsed.as_str() != id) {
                return Err(invalid(format!("{id:?} is no sha256 digest")));
            }
        }
        let history = raw["history"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(ImageConfig {
            architecture: text(&raw["architecture"]),
            os: text(&raw["os"]),
            variant: text(&raw["variant"]),
            author: text(&raw["author"]),
            created: when(&raw["created"]),
            config: RunConfig::of(&raw["config"]),
            history: history.iter().map(History::of).collect(),
            diff_ids,
            raw,
        })
    }
}

impl RunConfig {
    /// Reads a `config` object.
    pub fn of(raw: &Value) -> RunConfig {
        let option = |key: &str| strings(&raw[key]);
        let keys = |key: &str| match &raw[key] {
            Value::Object(map) => map.keys().cloned().collect(),
            other => strings(other).unwrap_or_default(),
        };
        let labels = raw["Labels"].as_object().into_iter().flatten();
        RunConfig {
            user: text(&raw["User"]),
            exposed_ports: keys("ExposedPorts"),
            env: option("Env").unwrap_or_default(),
            entrypoint: option("Entrypoint"),
            cmd: option("Cmd"),
            volumes: keys("Volumes"),
            working_dir: text(&raw["WorkingDir"]),
            labels: labels.map(|(k, v)| (k.clone(), text(v))).collect(),
            stop_signal: raw["StopSignal"].as_str().filter(|s| !s.is_empty()).map(str::to_owned),
            healthcheck: Some(raw["Healthcheck"].clone()).filter(Value::is_object),
            shell: option("Shell"),
            on_build: option("OnBuild").unwrap_or_default(),
        }
    }
}

impl History {
    fn of(raw: &Value) -> History {
        History {
            created: when(&raw["created"]),
            created_by: text(&raw["created_by"]),
            author: text(&raw["author"]),
            comment: text(&raw["comment"]),
            empty_layer: raw["empty_layer"].as_bool().unwrap_or(false),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A list of strings; a single string counts as a list of one, as very old configurations have it.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(list) => Some(list.iter().map(text).collect()),
        Value::String(one) => Some(vec![one.clone()]),
        _ => None,
    }
}

fn when(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()
}

/// A time as configurations write it.
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}

/// Where the files of an image are.
pub(crate) fn image_dir(root: &Path, hex: &str) -> PathBuf {
    root.join("images").join(hex)
}
