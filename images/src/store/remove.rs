//! Untagging and deleting, by the rules of Docker's engine.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::image::image_dir;
use super::repository::{Entry, Repository};
use super::staging::{Staging, names};
use super::{ImageId, Store, find, lock};
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

/// Who uses an image, as the caller of [`Store::remove`] says it: `running container 0123456789ab` or
/// `stopped container 0123456789ab`.
type InUse<'a> = &'a dyn Fn(&ImageId) -> Option<String>;

impl Store {
    /// [`Store::remove_as`], and parents that nothing else needs go too, as `docker rmi` does.
    ///
    /// # Errors
    /// As there.
    pub fn remove(&self, name: &str, force: bool, in_use: InUse<'_>) -> Result<Vec<Removed>, Error> {
        self.remove_as(name, force, true, in_use)
    }

    /// Removes a name, or the image with all its names. `prune`: then also the images that it was made of, as far
    /// as they have no name and nobody uses them.
    ///
    /// `in_use` says what uses an image, in the words `running container 0123456789ab` or `stopped container
    /// 0123456789ab`; it is called with the store's lock held and must not call the store. By force a name
    /// goes in any case; the files of an image that is still in use stay until
    /// [`Store::prune_unreferenced`].
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`], [`Error::Conflict`] with the engine's texts.
    pub fn remove_as(
        &self,
        name: &str,
        force: bool,
        prune: bool,
        in_use: InUse<'_>,
    ) -> Result<Vec<Removed>, Error> {
        let (removed, trash) = {
            let _lock = self.lock()?;
            let mut repository = Repository::clone(&*self.repository()?);
            let hex = find(&repository, name)?;
            let mut removed = Vec::new();
            let mut doomed = untag(&mut repository, name, &hex, force, in_use, &mut removed)?.then_some(hex);
            while let Some(hex) = doomed.take() {
                take_names(&mut repository, &hex, &mut removed);
                let Some(entry) = repository.images.get(&hex).cloned() else { break };
                removed.push(Removed::Deleted(format!("sha256:{hex}")));
                if self.is_needed(&hex, in_use) {
                    repository.retain(&hex);
                } else {
                    repository.forget(&hex);
                    removed.extend(unused_chains(&repository, &entry));
                }
                // A parent without a name, that nothing but the child needed.
                doomed = entry.parent.clone().filter(|parent| {
                    prune
                        && repository.images.contains_key(parent)
                        && references(&repository, parent).is_empty()
                        && conflict(&repository, parent, false, in_use).is_none()
                });
            }
            let trash = self.write_and_take_trash(repository)?;
            (removed, trash)
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
            for (hex, entry) in repository.retained.clone() {
                if !self.is_needed(&hex, in_use) {
                    repository.forget(&hex);
                    removed.push(entry);
                }
            }
            if removed.is_empty() {
                return Ok(Vec::new());
            }
            let chains = removed.iter().flat_map(|entry| unused_chains(&repository, entry)).collect();
            (chains, self.write_and_take_trash(repository)?)
        };
        self.delete_trash(trash)?;
        Ok(removed)
    }

    fn is_needed(&self, hex: &str, in_use: InUse<'_>) -> bool {
        let hold = image_dir(&self.root, hex).join("hold");
        let held = hold.exists() && !matches!(lock::try_exclusive(&hold), Ok(Some(_)));
        held || ImageId::parse(hex).is_some_and(|id| in_use(&id).is_some())
    }

    fn write_and_take_trash(&self, repository: Repository) -> Result<Option<(Staging, Vec<PathBuf>)>, Error> {
        self.cached.lock().write(&self.root, repository)?;
        self.take_trash(&*self.repository()?)
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
        let (content, used) = (self.root.join("content"), repository.used_content());
        for name in names(&content)? {
            if !used.contains(name.as_str()) && !pinned.contains(&format!("c-{name}")) {
                garbage.push(content.join(name));
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

/// Why an image may not be deleted.
struct Obstacle {
    /// No force helps.
    is_hard: bool,
    /// A container is the reason.
    is_used: bool,
    why: String,
}

impl Obstacle {
    fn error(&self, hex: &str) -> Error {
        let how = if self.is_hard { "cannot be forced" } else { "must be forced" };
        let short = hex.get(..12).unwrap_or(hex);
        Error::Conflict(format!("conflict: unable to delete {short} ({how}) - {}", self.why))
    }
}

/// The first reason against deleting an image, in the engine's order. `force`: only those that no force overcomes.
fn conflict(repository: &Repository, hex: &str, force: bool, in_use: InUse<'_>) -> Option<Obstacle> {
    if repository.images.values().any(|e| e.parent.as_deref() == Some(hex)) {
        return Some(Obstacle {
            is_hard: true,
            is_used: false,
            why: "image has dependent child images".into(),
        });
    }
    let user = ImageId::parse(hex).and_then(|id| in_use(&id));
    let used =
        |u: &String, is_hard| Obstacle { is_hard, is_used: true, why: format!("image is being used by {u}") };
    if let Some(u) = user.as_ref().filter(|u| u.starts_with("running")) {
        return Some(used(u, true));
    }
    if force {
        return None;
    }
    if !references(repository, hex).is_empty() {
        let why = "image is referenced in multiple repositories".into();
        return Some(Obstacle { is_hard: false, is_used: false, why });
    }
    user.map(|u| used(&u, false))
}

/// The full names of an image, those with tags first.
fn references(repository: &Repository, hex: &str) -> Vec<Reference> {
    let all = repository.tags.iter().chain(&repository.digests).filter(|(_, h)| *h == hex);
    all.filter_map(|(r, _)| Reference::parse(r).ok()).collect()
}

/// Whether all names are of one repository, with one tag at most.
fn is_single(references: &[Reference]) -> bool {
    let tags = references.iter().filter(|r| r.digest().is_none()).count();
    let mut names = references.iter().map(Reference::name);
    let first = names.next();
    tags <= 1 && names.all(|n| Some(&n) == first.as_ref())
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
    let single = is_single(&references(repository, hex));
    let Some(reference) = named(repository, name, hex) else {
        // By id: all names go, if they are of one repository or by force.
        let mut unnamed = None;
        if single {
            let mut bare = repository.clone();
            take_names(&mut bare, hex, &mut Vec::new());
            unnamed = Some(bare);
        }
        return match conflict(unnamed.as_ref().unwrap_or(repository), hex, force, in_use) {
            Some(obstacle) => Err(obstacle.error(hex)),
            None => Ok(true),
        };
    };
    if !force
        && single
        && let Some(u) = ImageId::parse(hex).and_then(|id| in_use(&id))
    {
        let container = u.rsplit(' ').next().unwrap_or(&u);
        let short = hex.get(..12).unwrap_or(hex);
        return Err(Error::Conflict(format!(
            "conflict: unable to remove repository reference \"{name}\" (must force) - container {container} \
             is using its referenced image {short}"
        )));
    }
    let full = reference.to_string();
    repository.untag(&full);
    removed.push(Removed::Untagged(reference.familiar()));
    // Digests alone do not keep a repository's last image.
    let own = reference.name();
    let left = references(repository, hex);
    if reference.digest().is_none() && !left.iter().any(|r| r.digest().is_none() && r.name() == own) {
        for digest in left.iter().filter(|r| r.name() == own) {
            repository.untag(&digest.to_string());
            removed.push(Removed::Untagged(digest.familiar()));
        }
    }
    if !references(repository, hex).is_empty() {
        return Ok(false);
    }
    // The last name is gone. What a container or a child needs stays, without a word.
    match conflict(repository, hex, force, in_use) {
        None => Ok(true),
        Some(obstacle) if obstacle.is_used || obstacle.is_hard => Ok(false),
        Some(obstacle) => Err(obstacle.error(hex)),
    }
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
    let all = repository.tags.iter().chain(&repository.digests);
    let full: Vec<String> = all.filter(|(_, h)| *h == hex).map(|(name, _)| name.clone()).collect();
    full.iter().for_each(|name| repository.untag(name));
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
