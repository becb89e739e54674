//! What comes with an image besides its layers: manifests, indexes, attestations. It is kept byte by byte.

use super::{Archive, Descriptor, OciIndex, OciManifest};
use crate::store::{Descriptor as Kept, Ingest};
use crate::{Error, NewImage};

/// Annotation of an attestation: the digest of the manifest that it is about.
const SUBJECT: &str = "vnd.docker.reference.digest";

impl Archive {
    /// The digests of the documents that belong to the image with this manifest: `way`, which are the indexes that
    /// lead to it and itself, and the attestations in them and in `index.json`.
    pub(super) fn attached(&self, manifest: &str, way: &[String]) -> Vec<Vec<u8>> {
        let mut documents: Vec<Vec<u8>> = Vec::new();
        let mut add = |bytes: &Vec<u8>| {
            if !documents.contains(bytes) {
                documents.push(bytes.clone());
            }
        };
        for digest in way {
            self.blob(digest).iter().for_each(|bytes| add(bytes));
        }
        let top = self.file(b"index.json");
        let indexes = way.iter().filter_map(|digest| self.blob(digest).ok()).chain(top);
        for bytes in indexes {
            let index = serde_json::from_slice::<OciIndex>(bytes);
            let about = |d: &&Descriptor| d.is_attestation() && d.annotation(SUBJECT) == Some(manifest);
            let list = index.ok().and_then(|i| i.manifests).unwrap_or_default();
            let mut found = false;
            for digest in list.iter().filter(about).map(|d| &d.digest) {
                let Ok(attestation) = self.blob(digest) else { continue };
                found = true;
                add(attestation);
                let Ok(parts) = serde_json::from_slice::<OciManifest>(attestation) else { continue };
                for part in parts.config.iter().chain(parts.layers.iter().flatten()) {
                    self.blob(&part.digest).iter().for_each(|bytes| add(bytes));
                }
            }
            if found {
                // It has the descriptors.
                add(bytes);
            }
        }
        documents
    }
}

impl Ingest {
    /// Keeps documents for an image.
    pub(super) fn attach(&self, image: &mut NewImage, documents: &[Vec<u8>]) -> Result<(), Error> {
        for bytes in documents {
            image.documents.push(self.document(&media_type(bytes), bytes)?);
        }
        Ok(())
    }
}

/// What a document says that it is.
fn media_type(bytes: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_default();
    json["mediaType"].as_str().unwrap_or("application/json").to_owned()
}

/// The kept document with this digest.
pub(super) fn kept(image: &NewImage, digest: &str) -> Option<Kept> {
    image.documents.iter().find(|d| d.digest == digest).cloned()
}
