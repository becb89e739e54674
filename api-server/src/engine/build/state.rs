//! A stage under way: its image so far, and what the next instructions change.

use super::config::Config;
use super::image_tree::ImageTree;
use super::pins::Pin;
use super::tree::Tree;
use crate::engine::Engine;
use crate::engine::error::Result;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the steps so far have made.
#[derive(Debug)]
pub(super) struct State {
    /// `None`: nothing yet.
    pub(super) image: Option<Arc<Pin>>,
    pub(super) config: Config,
    /// A CMD of this stage stays when an ENTRYPOINT follows.
    pub(super) is_cmd_set: bool,
    pub(super) author: String,
}

impl State {
    /// What is based on `image` begins with its configuration; and its triggers.
    pub(super) fn begin(engine: &Engine, image: Option<Arc<Pin>>) -> (State, Vec<String>) {
        let base = image.as_ref().and_then(|pin| engine.images.get(pin.id())).map(|i| i.config);
        let (config, triggers) = Config::begin(base.unwrap_or_default());
        (State { image, config, is_cmd_set: false, author: String::new() }, triggers)
    }

    /// What variables in an instruction mean: the environment is stronger than arguments.
    pub(super) fn variables(&self, arguments: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut variables = arguments;
        for entry in self.config.env() {
            if let Some((name, value)) = entry.split_once('=') {
                variables.insert(name.to_owned(), value.to_owned());
            }
        }
        variables
    }
}

/// The files of an image.
pub(super) fn image_tree(engine: &Engine, id: &str) -> Result<Arc<dyn Tree>> {
    let (store, index) = engine.images.files(id)?;
    Ok(Arc::new(ImageTree::new(store, index)))
}

/// A directory relative to another, both absolute in the end.
pub(super) fn join_dir(dir: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { dir };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
