//! The container engine: what exists, what happens to it, and what of it outlives the daemon.
//!
//! ```text
//!  routes ──▶ Engine ──▶ Store (records)          one transaction per change of state
//!               │  └───▶ Events (ring, channel)
//!               └──▶ Container ──▶ Supervisor (control.sock)   one process per running container
//!                        └── driver task: follows the supervisor's events, applies exits, restarts, removals
//! ```
//!
//! Invariants:
//! - The engine owns no guest. Killed at any instant, the next daemon finds records in the store and supervisors by their
//!   sockets, and goes on (`adopt`).
//! - Nothing here knows HTTP; nothing outside of `supervisor` speaks the control protocol's framing.
//! - A container's `op` lock orders starts, ends and removals. It is never held while waiting for an init to end.

mod adopt;
pub mod attach;
pub mod build;
pub mod capabilities;
pub mod clock;
pub mod commit;
pub mod create;
pub mod download;
mod drive;
pub mod error;
pub mod events;
pub mod exec;
pub mod files;
pub mod filters;
pub mod glob;
pub mod health;
pub mod images;
pub mod life;
pub mod logs;
pub mod merge;
pub mod mounts;
pub mod names;
pub mod networks;
mod prune;
pub mod record;
pub mod registry;
mod remove;
pub mod run;
pub mod signals;
pub mod spec;
mod start;
mod start_error;
pub mod stats;
mod stop;
pub mod store;
pub mod supervisor;
pub mod update;
pub mod usage;
pub mod validate;
pub mod view;
pub mod volumes;
pub mod wait;
pub mod wire;

use error::{Error, Result};
use events::Events;
use parking_lot::{Mutex, RwLock};
use record::{Container, Record};
use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Bucket, Store};

/// Where the engine keeps things and what it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    pub data_root: PathBuf,
    pub run_root: PathBuf,
    /// The `carrack` binary.
    pub exe: PathBuf,
    /// Mirrors, insecure registries, limits.
    pub registries: carrack_images::registry::Config,
}

#[derive(Debug)]
pub struct Engine {
    pub settings: Settings,
    /// This installation's id.
    pub id: String,
    pub events: Events,
    pub images: images::Images,
    pub registries: carrack_images::registry::Registries,
    pub volumes: volumes::Volumes,
    pub networks: networks::Networks,
    /// Images that builds under way need.
    pub(crate) pins: build::Pins,
    pub build_cancels: build::Cancels,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) containers: RwLock<HashMap<String, Arc<Container>>>,
    /// Name → id. Reserved when a create begins, released when the removal has finished.
    names: Mutex<HashMap<String, String>>,
    pub(crate) execs: Mutex<HashMap<String, exec::Exec>>,
    pruning: prune::Pruning,
}

/// Makes a directory (and its parents) that only this user may enter.
pub(crate) fn make_private_dir(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Error::internal(format!("cannot make {}: {e}", path.display())))
}

impl Engine {
    /// Opens the engine on `store`; containers are known afterwards, but not yet looked after: see [`Engine::adopt`].
    pub fn open(settings: Settings, store: Arc<dyn Store>) -> Result<Arc<Engine>> {
        make_private_dir(&settings.data_root)?;
        make_private_dir(&settings.data_root.join("containers"))?;
        make_private_dir(&settings.run_root)?;
        let id = match store.get(Bucket::Meta, "id")? {
            Some(id) => String::from_utf8_lossy(&id).into_owned(),
            None => {
                let id = names::random_id()[..32].to_string();
                store.put(Bucket::Meta, "id", id.as_bytes())?;
                id
            }
        };
        let engine = Engine {
            id,
            events: Events::default(),
            images: images::Images::open(&settings.data_root.join("images"))?,
            registries: carrack_images::registry::Registries::new(settings.registries.clone()),
            volumes: volumes::Volumes::open(settings.data_root.join("volumes"), store.clone())?,
            networks: networks::Networks::open(store.clone())?,
            containers: RwLock::default(),
            names: Mutex::default(),
            execs: Mutex::default(),
            pins: build::Pins::default(),
            build_cancels: build::Cancels::default(),
            pruning: prune::Pruning::default(),
            store,
            settings,
        };
        for (key, bytes) in engine.store.list(Bucket::Containers)? {
            let record: Record = match serde_json::from_slice(&bytes) {
                Ok(record) => record,
                Err(e) => {
                    tracing::error!(container = %key, error = %e, "a container's record cannot be read; it is left alone");
                    continue;
                }
            };
            engine.names.lock().insert(record.name.clone(), record.id.clone());
            let hold = engine.images.hold(&record.image_id);
            let container = Container::new(record, engine.container_dir(&key), engine.run_dir(&key));
            *container.hold.lock() = hold;
            engine.containers.write().insert(key, Arc::new(container));
        }
        Ok(Arc::new(engine))
    }

    pub fn container_dir(&self, id: &str) -> PathBuf {
        self.settings.data_root.join("containers").join(id)
    }

    pub fn run_dir(&self, id: &str) -> PathBuf {
        self.settings.run_root.join(names::short(id))
    }

    /// Writes the container's record.
    pub(crate) fn save(&self, container: &Container) -> Result<()> {
        let bytes = serde_json::to_vec(&*container.record.read())?;
        self.store.put(Bucket::Containers, &container.id, &bytes)
    }

    /// Changes the record, writes it and publishes the state. A store that fails is logged: what happened to the container
    /// has happened, and the next change writes the whole record again.
    pub(crate) fn change(&self, container: &Container, change: impl FnOnce(&mut Record)) {
        let (state, exit_code) = {
            let mut record = container.record.write();
            change(&mut record);
            (record.state, record.exit_code)
        };
        if let Err(e) = self.save(container) {
            tracing::error!(container = %container.id, error = %e, "a change of state could not be stored");
        }
        container.published.send_modify(|p| {
            p.state = state;
            p.exit_code = exit_code;
        });
    }

    /// All containers, newest first.
    pub fn all(&self) -> Vec<Arc<Container>> {
        let mut all: Vec<_> = self.containers.read().values().cloned().collect();
        all.sort_by(|a, b| b.record.read().created.cmp(&a.record.read().created));
        all
    }

    /// The container with this full id, this name, or (unique) with an id that begins so, in that order.
    pub fn find(&self, reference: &str) -> Result<Arc<Container>> {
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if name.is_empty() {
            return Err(Error::invalid(format!("invalid name or ID supplied: {reference:?}")));
        }
        let containers = self.containers.read();
        if let Some(c) = containers.get(name) {
            return Ok(c.clone());
        }
        if let Some(c) = self.names.lock().get(name).and_then(|id| containers.get(id)) {
            return Ok(c.clone());
        }
        let mut matches = containers.values().filter(|c| c.id.starts_with(name));
        match (matches.next(), matches.next()) {
            (Some(c), None) => Ok(c.clone()),
            (Some(_), Some(_)) => {
                Err(Error::invalid(format!("multiple IDs found with provided prefix: {reference}")))
            }
            _ => Err(Error::not_found(format!("No such container: {reference}"))),
        }
    }

    /// Reserves `name`, or a generated one, for `id`.
    pub(crate) fn reserve_name(&self, name: Option<&str>, id: &str) -> Result<String> {
        let mut names = self.names.lock();
        if let Some(name) = name {
            if let Some(owner) = names.get(name) {
                return Err(Error::conflict(format!(
                    "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
                )));
            }
            names.insert(name.to_string(), id.to_string());
            return Ok(name.to_string());
        }
        let free = (0..6).map(names::generate).find(|n| !names.contains_key(n));
        let name = free.unwrap_or_else(|| names::short(id).to_string());
        names.insert(name.clone(), id.to_string());
        Ok(name)
    }

    pub(crate) fn release_name(&self, name: &str, id: &str) {
        let mut names = self.names.lock();
        if names.get(name).is_some_and(|owner| owner == id) {
            names.remove(name);
        }
    }

    /// `POST /containers/X/rename`.
    pub fn rename(&self, container: &Container, new: &str) -> Result<()> {
        if new.is_empty() {
            return Err(Error::invalid("Neither old nor new names may be empty"));
        }
        let new = names::check(new)?;
        let old = container.name();
        if old == new {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        self.reserve_name(Some(new), &container.id)
            .map_err(|e| e.context("Error when allocating new name"))?;
        self.change(container, |r| r.name = new.to_string());
        self.release_name(&old, &container.id);
        self.container_event(container, "rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }

    /// Tells the world about a container: with its image, name and labels.
    pub(crate) fn container_event(&self, container: &Container, action: &str, extra: &[(&str, String)]) {
        let record = container.record.read();
        let mut attributes = record.labels();
        attributes.insert("image".into(), record.image.clone());
        attributes.insert("name".into(), record.name.clone());
        drop(record);
        attributes.extend(extra.iter().map(|(k, v)| (k.to_string(), v.clone())));
        self.events.send("container", action, &container.id, attributes);
    }

    pub(crate) fn volume_event(&self, volume: &volumes::Volume, action: &str, container: &str) {
        let mut attributes = BTreeMap::from([("driver".to_string(), "local".to_string())]);
        if !container.is_empty() && action != "create" {
            attributes.insert("container".into(), container.into());
        }
        self.events.send("volume", action, &volume.name, attributes);
    }

    /// Tells the world about an image: with its labels, while it is there. `id`: the actor, a name for what comes from or
    /// goes to a registry.
    pub(crate) fn image_event(&self, action: &str, id: &str, name: &str) {
        let labels = self.images.get(id).map(|i| i.label_map()).unwrap_or_default();
        self.labelled_image_event(action, id, name, labels);
    }

    fn labelled_image_event(
        &self,
        action: &str,
        id: &str,
        name: &str,
        mut attributes: BTreeMap<String, String>,
    ) {
        attributes.insert("name".to_string(), name.to_string());
        self.events.send("image", action, id, attributes);
    }

    /// The words for a build or a container that uses the image, a running one first.
    pub fn image_user(&self, id: &str) -> Option<String> {
        if let Some(build) = self.pins.user(id) {
            return Some(build);
        }
        let containers = self.containers.read();
        let mut stopped = None;
        for c in containers.values() {
            let record = c.record.read();
            if record.image_id != id {
                continue;
            }
            if record.state.is_up() {
                return Some(images::user(true, &c.id));
            }
            stopped = Some(images::user(false, &c.id));
        }
        stopped
    }

    /// How many containers use each image.
    pub fn image_users(&self) -> HashMap<String, i64> {
        let mut users = HashMap::new();
        for c in self.containers.read().values() {
            *users.entry(c.record.read().image_id.clone()).or_default() += 1;
        }
        users
    }

    /// Removes a name or an image, and, with `prune`, parents that only it needed.
    pub fn remove_image(&self, name: &str, force: bool, prune: bool) -> Result<Vec<carrack_images::Removed>> {
        use carrack_images::Removed;
        let image = self.images.resolve(name)?;
        let (id, labels) = (image.id.clone(), image.label_map());
        let known = self.images.ids()?;
        let removed = self.images.remove(name, force, prune, &|id| self.image_user(id))?;
        for what in &removed {
            match what {
                // A digest that goes with the last tag of its repository is nobody's event.
                Removed::Untagged(gone) if gone.contains('@') && gone != name => {}
                Removed::Untagged(_) => self.labelled_image_event("untag", &id, &id, labels.clone()),
                // Layers are reported too, but are nobody's event.
                Removed::Deleted(what) if known.contains(what) => self.image_event("delete", what, what),
                Removed::Deleted(_) => {}
            }
        }
        Ok(removed)
    }

    /// Deletes the files of images that were removed by force while a container used them.
    pub(crate) fn sweep_images(&self) {
        self.images.sweep(&|id| self.image_user(id));
    }

    /// Containers that refer to the volume, running or not.
    pub fn volume_users(&self, volume: &str) -> Vec<String> {
        self.all()
            .iter()
            .filter(|c| c.record.read().mounts.iter().any(|m| m.name == volume))
            .map(|c| c.id.clone())
            .collect()
    }
}
