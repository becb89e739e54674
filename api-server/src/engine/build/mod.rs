//! Builds: the steps of a Dockerfile, executed on the engine's own images and containers.
//!
//! ```text
//!  routes::build ──▶ prepare ──▶ Definition ──▶ Solver ──▶ Executor ──▶ containers (RUN), Store::derive (all)
//!        ▲           context,                     │  └──▶ Cache        which step was executed already
//!        │           Dockerfile                   └─────▶ Plan, Overlay what COPY and ADD put where
//!        └──────────────── Event ◀────────────────┘
//! ```
//!
//! Nothing here knows how a client is told: a build says what happens in [`Event`]s. Nothing here knows HTTP either, but for
//! what ADD fetches. The [`Executor`] and the [`Cache`](cache::Cache) know no Dockerfile: they take commands, configurations
//! and trees of files, so that another language of steps can use them.

mod cache;
mod cancel;
mod config;
mod context;
mod event;
mod executor;
mod fetch;
mod image_tree;
mod overlay;
mod pins;
mod prepare;
mod solver;
mod state;
#[cfg(test)]
mod tests;
mod transfer;
mod tree;

pub use cancel::Cancels;
pub use event::Event;
pub use pins::Pins;
pub use prepare::{Definition, Source};

use super::Engine;
use super::error::Error;
use super::wire::Object;
use carrack_images::registry::Credentials;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a client asks of a build, besides the context.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Names for the image.
    pub tags: Vec<String>,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// The stage to end with; empty: the last.
    pub target: String,
    pub build_args: BTreeMap<String, Option<String>>,
    pub labels: BTreeMap<String, String>,
    pub no_cache: bool,
    /// Look for newer base images.
    pub pull: bool,
    /// Containers of steps that succeeded go away.
    pub remove: bool,
    /// Those of steps that failed too.
    pub force_remove: bool,
    /// Names of images whose steps count as executed; `None`: all that are here.
    pub cache_from: Option<Vec<String>>,
    /// `HostConfig` of the containers.
    pub host: Object,
    /// For registries that base images are pulled from, by server.
    pub credentials: Vec<(String, Credentials)>,
    /// `os/architecture[/variant]`, or empty.
    pub platform: String,
}

/// Why a build ended without an image.
#[derive(Debug, Clone)]
pub struct Failure {
    pub error: Error,
    /// Exit code of the command that failed.
    pub code: Option<i32>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, code: None }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Error::from(error).into()
    }
}

/// Where events go. Whoever listens no longer ends the build.
pub type Events = mpsc::Sender<Event>;

pub(crate) fn gone() -> Failure {
    Error::internal("Build cancelled").into()
}

impl Engine {
    /// Executes a build; the image's id. Dropped before its end, it kills and removes what it has under way.
    pub async fn build(
        self: &Arc<Self>,
        options: Options,
        definition: Definition,
        events: Events,
    ) -> Result<String, Failure> {
        let tags = options.tags.clone();
        let image = solver::Solver::new(self.clone(), options, &definition, events.clone())
            .await?
            .solve(definition.file)
            .await?;
        let id = image.id().to_owned();
        events.send(Event::Built { image: id.clone() }).await.map_err(|_| gone())?;
        for tag in tags {
            let (engine, image) = (self.clone(), id.clone());
            let name = executor::blocking(move || {
                let (id, name) = engine.images.tag(&image, &tag, "")?;
                engine.image_event("tag", &id, &name);
                Ok(name)
            })
            .await?;
            events.send(Event::Tagged { name }).await.map_err(|_| gone())?;
        }
        Ok(id)
    }
}
