//! `carrack serve`: the daemon.

use crate::args::{self, Cli};
use crate::config::Config;
use crate::dirs;
use crate::failure::Failure;
use clap::ValueEnum;
use std::io::Write;
use tracing::level_filters::LevelFilter;

/// Serves until it is told to end.
pub(crate) fn serve(cli: &Cli, args: &args::Serve) -> Result<u8, Failure> {
    let mut config = match &args.config_file {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    for key in &config.ignored {
        tracing::warn!("the setting {key:?} of the configuration file has no effect here");
    }
    if !args.hosts.is_empty() && !config.hosts.is_empty() {
        return Err(Failure::new(
            "hosts are specified both as a flag and in the configuration file; use one of the two",
        ));
    }
    config.registry_mirrors.extend(args.registry_mirrors.iter().cloned());
    config.insecure_registries.extend(args.insecure_registries.iter().cloned());
    let registries = config.registries()?;
    let data_root = match (&cli.data_root, config.data_root) {
        (None, Some(root)) => root,
        _ => dirs::data_root(cli)?,
    };
    let run_root = dirs::run_root()?;
    let hosts = if args.hosts.is_empty() { config.hosts } else { args.hosts.clone() };
    let mut sockets = Vec::new();
    for host in &hosts {
        sockets.push(dirs::socket(host)?);
    }
    if sockets.is_empty() {
        sockets.push(run_root.join("carrack.sock"));
    }
    let settings = carrack_api_server::Config {
        data_root,
        run_root,
        hosts: sockets.into_iter().map(carrack_api_server::Host::Unix).collect(),
        exe: std::env::current_exe().map_err(|e| Failure::doing("this program's path", e))?,
        registries,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::doing("cannot start", e))?;
    runtime
        .block_on(async {
            let shutdown = shutdown().map_err(|e| Failure::doing("signals", e))?;
            let served = carrack_api_server::serve(settings, shutdown, announce).await;
            served.map_err(Failure::new)
        })
        .map(|()| 0)
}

/// What the configuration file says of logging; a file that cannot be read is reported when it is used.
pub(crate) fn log_level(args: &args::Serve) -> LevelFilter {
    let config = args.config_file.as_deref().and_then(|path| Config::read(path).ok()).unwrap_or_default();
    match (config.debug, config.log_level) {
        (Some(true), _) => LevelFilter::DEBUG,
        (_, Some(level)) => {
            args::LogLevel::from_str(&level, true).map_or(LevelFilter::INFO, LevelFilter::from)
        }
        _ => LevelFilter::INFO,
    }
}

/// Completes at the first SIGINT or SIGTERM.
fn shutdown() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The line to copy. Standard output may be closed.
fn announce(addresses: &[String]) {
    if let Some(address) = addresses.first() {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "export DOCKER_HOST={address}").and_then(|()| out.flush());
    }
}
