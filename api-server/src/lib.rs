//! The Docker Engine API and the container engine behind it.
//!
//! - [`serve`] is the whole daemon: it opens the state, finds the containers of the daemon before it, and answers clients
//!   until it is told to stop. Containers go on without it.
//! - [`Local`] is the part for images alone, without a daemon.
//! - `routes` is the surface (HTTP, versions, streams), `engine` what is behind it. `engine` knows no HTTP; `routes` knows
//!   no supervisor. `error` is the only map from refusals to statuses, `version` has the only comparisons of versions.

#![recursion_limit = "256"]

pub mod engine;
mod error;
mod linger;
mod local;
mod routes;
mod server;
mod version;

pub use local::Local;
pub use routes::detach::Filter as DetachKeys;

use engine::store::Redb;
use engine::{Engine, Settings};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A Unix socket at this path.
    Unix(PathBuf),
}

/// Everything that the daemon must be told. Flags, files and environment are read by the caller.
#[derive(Debug, Clone)]
pub struct Config {
    /// Images, containers and volumes.
    pub data_root: PathBuf,
    /// Sockets and placeholders of containers; best on a tmpfs. Short: a socket's path has 108 bytes.
    pub run_root: PathBuf,
    /// At least one.
    pub hosts: Vec<Host>,
    /// The `carrack` binary, started as `carrack supervise DIR` for each container.
    pub exe: PathBuf,
    /// Mirrors, insecure registries, limits.
    pub registries: carrack_images::registry::Config,
}

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another daemon answers on the socket.
    #[error("another daemon listens on {0}; stop it, or choose another socket with -H")]
    InUse(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on {path}: {source}")]
    Bind { path: PathBuf, source: std::io::Error },
    /// No socket was named.
    #[error("no host to listen on")]
    NoHost,
    /// The state cannot be opened.
    #[error("{0}")]
    State(String),
}

/// Runs the daemon until `shutdown` completes. `on_ready` gets the addresses for `DOCKER_HOST` once clients can connect.
///
/// # Errors
/// Only while starting; afterwards nothing ends it but `shutdown`.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()>,
    on_ready: impl FnOnce(&[String]),
) -> Result<(), Error> {
    if config.hosts.is_empty() {
        return Err(Error::NoHost);
    }
    let state = |e: engine::error::Error| Error::State(e.message);
    engine::make_private_dir(&config.data_root).map_err(state)?;
    let store = Arc::new(Redb::open(&config.data_root.join("state.redb")).map_err(state)?);
    let settings = Settings {
        data_root: config.data_root,
        run_root: config.run_root,
        exe: config.exe,
        registries: config.registries,
    };
    let engine = Engine::open(settings, store).map_err(state)?;
    let mut listeners = Vec::new();
    for host in &config.hosts {
        listeners.push(server::Listener::bind(host).await?);
    }
    engine.adopt().await;
    let addresses: Vec<String> = listeners.iter().map(server::Listener::address).collect();
    on_ready(&addresses);
    server::run(Arc::new(routes::Api::new(engine)), listeners, shutdown).await;
    Ok(())
}
