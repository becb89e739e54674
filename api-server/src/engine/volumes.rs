//! Volumes of the `local` driver: directories under the data root, with a record each.

use super::clock;
use super::error::{Error, Result};
use super::names;
use super::store::{Bucket, Store};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The label of a volume that was made for one container.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub created: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Volumes {
    root: PathBuf,
    store: Arc<dyn Store>,
    all: Mutex<BTreeMap<String, Volume>>,
}

impl Volumes {
    pub fn open(root: PathBuf, store: Arc<dyn Store>) -> Result<Volumes> {
        super::make_private_dir(&root)?;
        let mut all = BTreeMap::new();
        for (name, bytes) in store.list(Bucket::Volumes)? {
            match serde_json::from_slice(&bytes) {
                Ok(volume) => drop(all.insert(name, volume)),
                Err(e) => {
                    tracing::error!(%name, error = %e, "a volume's record cannot be read; it is left alone")
                }
            }
        }
        Ok(Volumes { root, store, all: Mutex::new(all) })
    }

    /// The volume of that name, made if need be; says whether it is new. Options of an existing one are ignored.
    pub fn create(
        &self,
        name: &str,
        driver: &str,
        options: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
    ) -> Result<(Volume, bool)> {
        if !matches!(driver, "" | "local") {
            return Err(Error::not_found(format!(
                "create {name}: error looking up volume plugin {driver}: plugin {driver:?} not found"
            )));
        }
        let name = if name.is_empty() { names::random_id() } else { name.to_string() };
        if name.len() < 2 {
            return Err(Error::invalid(format!(
                "create {name}: volume name is too short, names should be at least two alphanumeric characters"
            )));
        }
        if !names::is_valid(&name) {
            return Err(Error::invalid(format!(
                "create {name}: {name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
            )));
        }
        if let Some(bad) = options.keys().find(|k| !matches!(k.as_str(), "type" | "o" | "device" | "size")) {
            return Err(Error::invalid(format!("create {name}: invalid option: {bad:?}")));
        }
        if !options.is_empty() && bind_device(&options).is_none() {
            return Err(Error::invalid(format!(
                "create {name}: only type=none with o=bind and a device directory is supported"
            )));
        }
        let mut all = self.all.lock();
        if let Some(volume) = all.get(&name) {
            return Ok((volume.clone(), false));
        }
        let volume = Volume { name: name.clone(), created: clock::rfc3339(clock::now()), labels, options };
        std::fs::create_dir_all(self.root.join(&name).join("_data"))?;
        self.store.put(Bucket::Volumes, &name, &serde_json::to_vec(&volume)?)?;
        all.insert(name, volume.clone());
        Ok((volume, true))
    }

    /// Where the volume's content is.
    pub fn path(&self, volume: &Volume) -> PathBuf {
        bind_device(&volume.options).unwrap_or_else(|| self.root.join(&volume.name).join("_data"))
    }

    pub fn get(&self, name: &str) -> Result<Volume> {
        self.all
            .lock()
            .get(name)
            .cloned()
            .ok_or_else(|| Error::not_found(format!("get {name}: no such volume")))
    }

    pub fn list(&self) -> Vec<Volume> {
        self.all.lock().values().cloned().collect()
    }

    /// Removes the volume and its content; whether it is in use is the caller's to know.
    pub fn remove(&self, name: &str) -> Result<()> {
        let mut all = self.all.lock();
        if !all.contains_key(name) {
            return Err(Error::not_found(format!("get {name}: no such volume")));
        }
        // The record goes first: a directory without a record is garbage, a record without a directory is a broken volume.
        self.store.delete(Bucket::Volumes, name)?;
        all.remove(name);
        remove_tree(&self.root.join(name))
    }

    /// Bytes of the volume's files.
    pub fn size(&self, volume: &Volume) -> u64 {
        super::usage::tree_size(&self.path(volume))
    }
}

fn bind_device(options: &BTreeMap<String, String>) -> Option<PathBuf> {
    let is_bind = options.get("o").is_some_and(|o| o.split(',').any(|w| matches!(w, "bind" | "rbind")));
    options.get("device").filter(|d| is_bind && d.starts_with('/')).map(PathBuf::from)
}

/// Removes a directory tree; that it is not there is fine.
pub fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::internal(format!("cannot remove {}: {e}", path.display())))
        }
        _ => Ok(()),
    }
}
