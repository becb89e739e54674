//! What a registry has under a name: `/distribution/{name}/json`.

use serde_json::Value;

use super::download::blob;
use super::error::{Error, ErrorKind};
use super::manifest::{Document, Fetched};
use super::platform::Platform;
use super::session::Session;
use super::{Caller, Registries};
use crate::reference::Reference;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Of the manifest or index.
    pub media_type: String,
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Which platforms it serves, as the registry writes them (objects with `os`, `architecture`, …).
    pub platforms: Vec<Value>,
}

impl Registries {
    /// Asks the registry for the descriptor and the platforms of an image. Nothing is downloaded but manifests.
    ///
    /// # Errors
    /// The registry's.
    pub async fn inspect(&self, reference: &Reference, caller: &Caller) -> Result<Inspected, Error> {
        let reference = reference.clone().with_default_tag();
        let mut ways = self.ways(reference.domain(), true, reference.path(), "pull", caller)?;
        loop {
            let session = ways.next().await?;
            match inspect(&session, &reference).await {
                Ok(inspected) => return Ok(inspected),
                Err(e) => ways.failed(&session, e)?,
            }
        }
    }
}

async fn inspect(session: &Session, reference: &Reference) -> Result<Inspected, Error> {
    let name = reference.familiar();
    let fetched = session.manifest(wanted(reference), &name).await?;
    let platforms = match &fetched.document {
        Document::Index(manifests) => {
            manifests.iter().filter_map(|d| Some(Value::Object(d.platform.as_ref()?.all.clone()))).collect()
        }
        Document::Image(image) if image.check().is_ok() => {
            let config = blob(session, &image.config).await?;
            vec![platform_of(&config)?]
        }
        // An artifact of some other kind runs nowhere.
        Document::Image(_) => Vec::new(),
    };
    let Fetched { digest, media_type, bytes, .. } = fetched;
    Ok(Inspected { media_type, digest, size: bytes.len() as u64, platforms })
}

/// The tag or digest that a reference asks for.
pub(super) fn wanted(reference: &Reference) -> &str {
    reference.digest().or(reference.tag()).unwrap_or(crate::reference::DEFAULT_TAG)
}

fn platform_of(config: &[u8]) -> Result<Value, Error> {
    let platform: Platform = serde_json::from_slice(config)
        .map_err(|e| Error::new(ErrorKind::Registry, format!("invalid image configuration: {e}")))?;
    let mut object = serde_json::json!({ "architecture": platform.architecture, "os": platform.os });
    if !platform.variant.is_empty() {
        object["variant"] = platform.variant.into();
    }
    Ok(object)
}
