//! Removal of what nobody uses: `docker container|image|volume prune`.

use super::Engine;
use super::clock;
use super::error::{Error, Result};
use super::filters::Filters;
use super::life::State;
use super::volumes::ANONYMOUS;
use carrack_images::Removed;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is being pruned at the moment.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    containers: AtomicBool,
    images: AtomicBool,
    volumes: AtomicBool,
}

/// Ends a prune, however it ends.
struct Turn<'a>(&'a AtomicBool);

impl<'a> Turn<'a> {
    fn take(flag: &'a AtomicBool) -> Result<Turn<'a>> {
        if flag.swap(true, Ordering::SeqCst) {
            return Err(Error::conflict("a prune operation is already running"));
        }
        Ok(Turn(flag))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Engine {
    fn tell_pruned(&self, kind: &'static str, space: u64) {
        self.events.send(kind, "prune", "", [("reclaimed".to_string(), space.to_string())].into());
    }

    /// Removes containers that do not run; their ids, and how many bytes they had written.
    pub async fn prune_containers(self: &Arc<Self>, filters: &Filters) -> Result<(Vec<String>, u64)> {
        let until = filters.until()?;
        let _turn = Turn::take(&self.pruning.containers)?;
        let (mut deleted, mut space) = (Vec::new(), 0u64);
        for c in self.all() {
            let chosen = {
                let r = c.record.read();
                matches!(r.state, State::Created | State::Exited | State::Dead)
                    && filters.labels(&r.labels())
                    && until.is_none_or(|u| clock::parse_rfc3339(&r.created).is_some_and(|t| t < u))
            };
            if !chosen {
                continue;
            }
            let size = self.written(&c);
            match self.remove(&c, false, false).await {
                Ok(()) => {
                    space += size;
                    deleted.push(c.id.clone());
                }
                // Started meanwhile, most likely.
                Err(e) => tracing::debug!(container = %c.id, error = %e, "not pruned"),
            }
        }
        self.tell_pruned("container", space);
        Ok((deleted, space))
    }

    /// Removes images that no container uses: those without a tag, or all; what was removed, and the bytes of the layers
    /// that went.
    pub fn prune_images(&self, filters: &Filters) -> Result<(Vec<Removed>, u64)> {
        let dangling_only = filters.flag("dangling")?.unwrap_or(true);
        let until = filters.until()?;
        let _turn = Turn::take(&self.pruning.images)?;
        let before = self.images.layers_size();
        let images = self.images.list()?;
        let parents: HashSet<&str> = images.iter().map(|i| i.parent.as_str()).collect();
        let mut rows = Vec::new();
        for image in &images {
            let is_intermediate = !image.is_named() && parents.contains(image.id.as_str());
            if is_intermediate
                || (dangling_only && !image.tags.is_empty())
                || self.image_user(&image.id).is_some()
                || !filters.labels(&image.label_map())
                || until.is_some_and(|u| image.created_unix > u.unix_timestamp())
            {
                continue;
            }
            // It may have got a name since it was listed, such as the image of a build that is over now.
            let Some(image) = self.images.get(&image.id) else { continue };
            if dangling_only && !image.tags.is_empty() {
                continue;
            }
            let names: Vec<&String> = if image.is_named() {
                image.tags.iter().chain(&image.digests).collect()
            } else {
                vec![&image.id]
            };
            for name in names {
                match self.remove_image(name, false, true) {
                    Ok(more) => rows.extend(more),
                    Err(e) => tracing::debug!(%name, error = %e, "not pruned"),
                }
            }
        }
        self.sweep_images();
        let space = before.saturating_sub(self.images.layers_size());
        self.tell_pruned("image", space);
        Ok((rows, space))
    }

    /// Removes volumes that no container refers to: anonymous ones, or all; their names, and their bytes.
    pub fn prune_volumes(&self, filters: &Filters, all: bool) -> Result<(Vec<String>, u64)> {
        let _turn = Turn::take(&self.pruning.volumes)?;
        let (mut deleted, mut space) = (Vec::new(), 0u64);
        for volume in self.volumes.list() {
            let chosen = (all || volume.labels.contains_key(ANONYMOUS)) && filters.labels(&volume.labels);
            if !chosen || !self.volume_users(&volume.name).is_empty() {
                continue;
            }
            let size = self.volumes.size(&volume);
            match self.volumes.remove(&volume.name) {
                Ok(()) => {
                    self.volume_event(&volume, "destroy", "");
                    space += size;
                    deleted.push(volume.name);
                }
                Err(e) => tracing::warn!(volume = %volume.name, error = %e, "not pruned"),
            }
        }
        self.tell_pruned("volume", space);
        Ok((deleted, space))
    }
}
