//! Candidates for the completion of names, asked for by the shells' scripts. Whatever fails gives no candidates.

use crate::api::Client;
use crate::dirs;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use std::ffi::OsStr;

/// Names of images.
pub(super) fn images() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(current, image_names()))
}

/// Names of the daemon's containers.
pub(super) fn containers() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(current, container_names()))
}

/// Both.
pub(super) fn anything() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut all = container_names().unwrap_or_default();
        all.extend(image_names().unwrap_or_default());
        candidates(current, Some(all))
    })
}

fn candidates(current: &OsStr, names: Option<Vec<String>>) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let fits = names.unwrap_or_default().into_iter().filter(|n| n.starts_with(current));
    fits.map(CompletionCandidate::new).collect()
}

fn image_names() -> Option<Vec<String>> {
    let root = dirs::default_data_root().ok()?.join("images");
    // A completion makes no store.
    if !root.is_dir() {
        return None;
    }
    let images = carrack_images::Store::open(&root).ok()?.list().ok()?;
    Some(images.into_iter().flat_map(|i| i.references).collect())
}

fn container_names() -> Option<Vec<String>> {
    let client = Client::connect(&super::Daemon { host: std::env::var("DOCKER_HOST").ok() }).ok()?;
    let list = client.get("/containers/json?all=1").ok()?;
    let names = list.as_array()?.iter().filter_map(|c| c["Names"][0].as_str());
    Some(names.map(|n| n.trim_start_matches('/').to_owned()).collect())
}
