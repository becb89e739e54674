//! Untagging and deleting, by the rules of Docker's engine.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::image::image_dir;
use super::repository::{Entry, Repository};
use super::staging::{Staging, names};
use super::{Image, ImageId, Store, find, lock};
use crate::error::{Context, Error};
use crate::reference::Reference;

/// What a removal did, in the order the engine reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone (familiar form).
    Untagged(String),
    /// An image or a layer chain is gone (`sha256:…`).
    Deleted(String),
}

/// Disk use of the store, as `docker system df` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sum of the sizes of all layers, each counted once.
    pub layers_size: u64,
}

/// Who uses an image, as the caller of [`Store::remove`] says it: `running container 0123456789ab` or
/// `stopped container 0123456789ab`.
type InUse<'a> = &'a dyn Fn(&ImageId) -> Option<String>;

impl Store {
    /// Removes a name, or the image with all its names, as `docker rmi` does.
    ///
    /// `in_use` says what uses an image, in the words `running container 0123456789ab` or `stopped container
    /// 0123456789ab`; it is called with the store's lock held and must not call the store. By force a name
    /// goes in any case; the files of an image that is still in use stay until
    /// [`Store::prune_unreferenced`].
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`], [`Error::Conflict`] with the engine's texts.
    pub fn remove(&self, name: &str, force: bool, in_use: InUse<'_>) -> Result<Vec<Removed>, Error> {
        let (removed, trash) = {
            let _lock = self.lock()?;
            let mut repository = Repository::clone(&*self.repository()?);
            let hex = find(&repository, name)?;
            let mut removed = Vec::new();
            let delete = untag(&mut repository, name, &hex, force, in_use, &mut removed)?;
            let entry = if delete { repository.images.remove(&hex) } else { None };
            if let Some(entry) = &entry {
                removed.push(Removed::Deleted(format!("sha256:{hex}")));
                if self.is_needed(&hex, in_use) {
                    repository.retained.insert(hex.clone(), entry.clone());
                } else {
                    removed.extend(unused_chains(&repository, entry));
                }
            }
            repository.write(&self.root)?;
            (removed, self.take_trash(&repository)?)
        };
        self.delete_trash(trash)?;
        Ok(removed)
    }

    /// Deletes the files of images that were removed by force and that nothing uses any more.
    ///
    /// # Errors
    /// The host's.
    pub fn prune_unreferenced(&self, in_use: InUse<'_>) -> Result<Vec<Removed>, Error> {
        let (removed, trash) = {
            let _lock = self.lock()?;
            let mut repository = Repository::clone(&*self.repository()?);
            let mut removed = Vec::new();
            for (hex, entry) in std::mem::take(&mut repository.retained) {
                if self.is_needed(&hex, in_use) {
                    repository.retained.insert(hex, entry);
                } else {
                    removed.push((hex, entry));
                }
            }
            if removed.is_empty() {
                return Ok(Vec::new());
            }
            repository.write(&self.root)?;
            let chains = removed.iter().flat_map(|(_, entry)| unused_chains(&repository, entry)).collect();
            (chains, self.take_trash(&repository)?)
        };
        self.delete_trash(trash)?;
        Ok(removed)
    }

    /// Sizes of what the store has.
    ///
    /// # Errors
    /// The host's.
    pub fn usage(&self) -> Result<Usage, Error> {
        let mut usage = Usage::default();
        for hex in names(&self.root.join("layers"))? {
            if let Ok(info) = self.layer_info(&hex) {
                usage.layers_size = usage.layers_size.saturating_add(info.size);
            }
        }
        Ok(usage)
    }

    /// The size of each layer of an image in bytes, the lowest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`], and the host's.
    pub fn layer_sizes(&self, image: &Image) -> Result<Vec<u64>, Error> {
        image.layer_hexes().map(|hex| Ok(self.layer_info(hex)?.size)).collect()
    }

    fn is_needed(&self, hex: &str, in_use: InUse<'_>) -> bool {
        let hold = image_dir(&self.root, hex).join("hold");
        let held = hold.exists() && !matches!(lock::try_exclusive(&hold), Ok(Some(_)));
        held || ImageId::parse(hex).is_some_and(|id| in_use(&id).is_some())
    }

    /// Moves what no image needs out of the way. Under the lock, after the repository was written.
    fn take_trash(&self, repository: &Repository) -> Result<Option<(Staging, Vec<PathBuf>)>, Error> {
        let mut pinned = Vec::new();
        let tmp = self.root.join("tmp");
        for name in names(&tmp)? {
            pinned.extend(names(&tmp.join(name).join("pins")).unwrap_or_default());
        }
        let used = repository.used_layers();
        let mut garbage = Vec::new();
        let (layers, images) = (self.root.join("layers"), self.root.join("images"));
        for name in names(&layers)? {
            if !used.contains(name.as_str()) && !pinned.contains(&name) {
                garbage.push(layers.join(name));
            }
        }
        for name in names(&images)? {
            if !repository.images.contains_key(&name) && !repository.retained.contains_key(&name) {
                garbage.push(images.join(&name));
                self.configs.lock().remove(&name);
            }
        }
        if garbage.is_empty() {
            return Ok(None);
        }
        let staging = self.staging_locked()?;
        let mut moved = Vec::new();
        for (i, from) in garbage.iter().enumerate() {
            let to = staging.path.join(format!("g-{i}"));
            fs::rename(from, &to).context("renaming", from)?;
            moved.push(to);
        }
        Ok(Some((staging, moved)))
    }

    fn delete_trash(&self, trash: Option<(Staging, Vec<PathBuf>)>) -> Result<(), Error> {
        let Some((staging, moved)) = trash else { return Ok(()) };
        for dir in moved.iter().filter(|d| d.join("meta").exists()) {
            self.delete_layer(dir)?;
        }
        drop(staging);
        Ok(())
    }
}

/// Takes names away; whether the image is to go as well.
fn untag(
    repository: &mut Repository,
    name: &str,
    hex: &str,
    force: bool,
    in_use: InUse<'_>,
    removed: &mut Vec<Removed>,
) -> Result<bool, Error> {
    let id = ImageId::parse(hex).ok_or_else(|| Error::Corrupt(format!("{hex:?} is no image id")))?;
    let user = in_use(&id);
    let running = user.as_deref().is_some_and(|u| u.starts_with("running"));
    let conflict = |hard: bool, why: String| {
        let how = if hard { "cannot be forced" } else { "must be forced" };
        Err(Error::Conflict(format!("conflict: unable to delete {} ({how}) - {why}", id.short())))
    };
    let used_by = |u: &str| format!("image is being used by {u}");
    let repositories = |r: &Repository| -> Vec<String> {
        let of = r.tags.iter().filter(|(_, h)| *h == hex);
        of.filter_map(|(r, _)| Reference::parse(r).ok().map(|r| r.name())).collect()
    };
    let single = |r: &Repository| repositories(r).len() <= 1;

    let Some(reference) = named(repository, name, hex) else {
        // By id: all names go, if they are but one or by force.
        let many = !single(repository);
        match &user {
            Some(u) if running => return conflict(true, used_by(u)),
            _ if many && !force => {
                return conflict(false, "image is referenced in multiple repositories".into());
            }
            Some(u) if !force => return conflict(false, used_by(u)),
            _ => {}
        }
        take_names(repository, hex, removed);
        return Ok(true);
    };
    if !force
        && single(repository)
        && let Some(u) = &user
    {
        let container = u.rsplit(' ').next().unwrap_or(u);
        return Err(Error::Conflict(format!(
            "conflict: unable to remove repository reference \"{name}\" (must force) - container {container} \
             is using its referenced image {}",
            id.short()
        )));
    }
    let full = reference.to_string();
    repository.tags.remove(&full);
    repository.digests.remove(&full);
    removed.push(Removed::Untagged(reference.familiar()));
    // Digests alone do not keep a repository's last image.
    let own = reference.name();
    if !repositories(repository).contains(&own) {
        let prefix = format!("{own}@");
        let gone: Vec<String> = repository
            .digests
            .iter()
            .filter(|(r, h)| *h == hex && r.starts_with(&prefix))
            .map(|(r, _)| r.clone())
            .collect();
        for digest in gone {
            repository.digests.remove(&digest);
            removed.push(Removed::Untagged(Reference::parse(&digest)?.familiar()));
        }
    }
    let (tags, digests) = repository.names_of(hex);
    if !tags.is_empty() || !digests.is_empty() {
        return Ok(false);
    }
    // The last name is gone. What a running container uses stays, dangling; a stopped one only by force.
    Ok(user.is_none() || (force && !running))
}

/// The reference, if the name is one of the image's names and not an id.
fn named(repository: &Repository, name: &str, hex: &str) -> Option<Reference> {
    let reference = Reference::parse(name).ok()?.with_default_tag();
    let reference = match reference.digest() {
        Some(digest) => reference.clone().with_digest(digest).ok()?,
        None => reference,
    };
    let full = reference.to_string();
    let is = |map: &std::collections::BTreeMap<String, String>| map.get(&full).is_some_and(|h| h == hex);
    (is(&repository.tags) || is(&repository.digests)).then_some(reference)
}

fn take_names(repository: &mut Repository, hex: &str, removed: &mut Vec<Removed>) {
    let (tags, digests) = repository.names_of(hex);
    removed.extend(tags.into_iter().chain(digests).map(Removed::Untagged));
    repository.tags.retain(|_, h| h != hex);
    repository.digests.retain(|_, h| h != hex);
}

/// The layer chains that only `entry` had, the highest first, as the engine reports them.
fn unused_chains(repository: &Repository, entry: &Entry) -> Vec<Removed> {
    let mut chains: Vec<(Vec<String>, String)> = Vec::new();
    for (i, layer) in entry.layers.iter().enumerate() {
        let id = match chains.last() {
            None => format!("sha256:{layer}"),
            Some((_, below)) => {
                format!("sha256:{}", hex::encode(Sha256::digest(format!("{below} sha256:{layer}"))))
            }
        };
        chains.push((entry.layers[..=i].to_vec(), id));
    }
    let others = || repository.images.values().chain(repository.retained.values());
    let used = |chain: &[String]| others().any(|e| e.layers.starts_with(chain));
    chains.into_iter().rev().filter(|(c, _)| !used(c)).map(|(_, id)| Removed::Deleted(id)).collect()
}
