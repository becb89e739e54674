//! `carrack serve`: the daemon.

use crate::args::{self, Cli};
use crate::config::Config;
use crate::dirs;
use crate::failure::Failure;
use std::path::PathBuf;

/// Serves until it is told to end.
pub(crate) fn serve(cli: &Cli, args: &args::Serve) -> Result<u8, Failure> {
    let config = match &args.config_file {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    if !args.hosts.is_empty() && !config.hosts.is_empty() {
        return Err(Failure::new(
            125,
            "hosts are specified both as a flag and in the configuration file; use one of the two",
        ));
    }
    let _data_root = match (&cli.data_root, config.data_root) {
        (None, Some(root)) => root,
        _ => dirs::data_root(cli)?,
    };
    let run_root = dirs::run_root()?;
    let hosts = if args.hosts.is_empty() { config.hosts } else { args.hosts.clone() };
    let mut sockets = Vec::new();
    for host in &hosts {
        sockets.push(socket(host)?);
    }
    if sockets.is_empty() {
        sockets.push(run_root.join("carrack.sock"));
    }
    println!("export DOCKER_HOST=unix://{}", sockets[0].display());
    Err(Failure::new(125, "the API is not built in yet"))
}

/// The path of a `unix://` URL.
fn socket(host: &str) -> Result<PathBuf, Failure> {
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(PathBuf::from(path)),
        None if host.starts_with('/') => Ok(PathBuf::from(host)),
        Some(("tcp", _)) => Err(Failure::new(
            125,
            format!("{host}: TCP is not offered: it would give everybody on the network your account"),
        )),
        _ => Err(Failure::new(125, format!("{host:?} is not a unix:// URL with an absolute path"))),
    }
}
