//! Which step was executed already: a child of the same parent, by the same command, with the same configuration.
//!
//! A command's identity is what the history keeps of it; for a copy that is the digest of what was copied, for a RUN its
//! arguments too. So there is nothing to store besides the images, and what is removed with them is no longer found.

use super::config::compact;
use crate::engine::wire::Object;
use carrack_images::{Image, ImageId, Store};
use serde_json::Value;
use std::collections::HashMap;

/// What a step would make.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    /// `None`: made of nothing.
    pub(super) parent: Option<&'a ImageId>,
    pub(super) created_by: &'a str,
    pub(super) config: &'a Object,
}

/// What is known when a build begins.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// By parent; of those without one only what was made here of nothing.
    children: HashMap<Option<String>, Vec<Image>>,
    /// `--cache-from`: only what these are made of counts.
    sources: Option<Vec<Image>>,
}

impl Cache {
    /// `sources`: the images of `--cache-from` that are here.
    pub(super) fn new(images: Vec<Image>, sources: Option<Vec<Image>>) -> Cache {
        let mut children: HashMap<Option<String>, Vec<Image>> = HashMap::new();
        for image in images {
            let parent = image.parent.as_ref().map(|p| p.as_str().to_owned());
            children.entry(parent).or_default().push(image);
        }
        Cache { children, sources }
    }

    /// The newest image that is what the step would make.
    pub(super) fn find(&self, store: &Store, wanted: &Wanted<'_>) -> Option<Image> {
        let config = compact(wanted.config);
        let parent = wanted.parent.and_then(|id| store.get(id).ok());
        let key = wanted.parent.map(|p| p.as_str().to_owned());
        let siblings = self.children.get(&key).map(Vec::as_slice).unwrap_or_default();
        let mut fitting: Vec<&Image> = siblings
            .iter()
            .filter(|image| is_step(image, parent.as_ref(), wanted.created_by) && config_of(image) == config)
            .filter(|image| {
                self.sources.as_ref().is_none_or(|s| s.iter().any(|s| is_made_of(store, s, image)))
            })
            .collect();
        fitting.sort_by_key(|image| std::cmp::Reverse(image.created));
        // It may have been removed since the build began.
        if let Some(found) = fitting.into_iter().find(|image| store.get(&image.id).is_ok()) {
            return Some(found.clone());
        }
        // An image that came from elsewhere has no parents here, but a history. Only its last step is an image.
        let whole = self.sources.iter().flatten().find(|source| {
            is_step(source, parent.as_ref(), wanted.created_by) && config_of(source) == config
        });
        whole.cloned()
    }

    /// The history entry and layer by which an image of `--cache-from` goes on from the parent with this command. `None`: none.
    pub(super) fn restorable(&self, store: &Store, wanted: &Wanted<'_>) -> Option<(Image, usize)> {
        let parent = wanted.parent.and_then(|id| store.get(id).ok());
        let at = parent.as_ref().map_or(0, |p| p.history.len());
        self.sources.iter().flatten().find_map(|source| {
            let step = source.history.get(at)?;
            let fits = step.created_by == wanted.created_by && begins_with(source, parent.as_ref());
            fits.then(|| (source.clone(), at))
        })
    }
}

fn config_of(image: &Image) -> Object {
    image.config.raw.get("config").and_then(Value::as_object).map(compact).unwrap_or_default()
}

/// Whether an image's history and layers begin with the parent's.
fn begins_with(image: &Image, parent: Option<&Image>) -> bool {
    let Some(parent) = parent else { return true };
    let same = |(a, b): (&carrack_images::store::History, &carrack_images::store::History)| {
        a.created_by == b.created_by && a.empty_layer == b.empty_layer && a.comment == b.comment
    };
    image.layers.starts_with(&parent.layers)
        && image.history.len() >= parent.history.len()
        && image.history.iter().zip(&parent.history).all(same)
}

/// Whether an image is its parent and one step by this command.
fn is_step(image: &Image, parent: Option<&Image>, created_by: &str) -> bool {
    let (layers, steps) = parent.map_or((0, 0), |p| (p.layers.len(), p.history.len()));
    image.history.len() == steps + 1
        && image.layers.len() - image.layers.len().min(layers) <= 1
        && image.history.last().is_some_and(|h| h.created_by == created_by)
        && begins_with(image, parent)
}

/// Whether `image` is among what `of` was made of here, or is `of`.
fn is_made_of(store: &Store, of: &Image, image: &Image) -> bool {
    let mut at = of.clone();
    // Each parent has a shorter history, so this ends; who knows what a damaged store says.
    for _ in 0..=of.history.len() {
        if at.id == image.id {
            return true;
        }
        match at.parent.as_ref().and_then(|p| store.get(p).ok()) {
            Some(parent) => at = parent,
            None => return false,
        }
    }
    false
}
