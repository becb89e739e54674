//! Where things are: the data root and the run directory.

use crate::args::{Cli, Registries};
use crate::failure::Failure;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Longest $XDG_RUNTIME_DIR that is used: with what comes below it, a socket's path has to stay within 108 bytes.
const LONGEST: usize = 64;

/// `--data-root`, else `/var/lib/carrack` for root, else `$XDG_DATA_HOME/carrack`, else `~/.local/share/carrack`.
pub(crate) fn data_root(cli: &Cli) -> Result<PathBuf, Failure> {
    match &cli.data_root {
        Some(root) => std::path::absolute(root).map_err(|e| Failure::doing(root.display(), e)),
        None => default_data_root(),
    }
}

/// The data root where no flag names one.
pub(crate) fn default_data_root() -> Result<PathBuf, Failure> {
    if let Some(root) = absolute_env("CARRACK_DATA_ROOT") {
        return Ok(root);
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/carrack"));
    }
    if let Some(dir) = absolute_env("XDG_DATA_HOME") {
        return Ok(dir.join("carrack"));
    }
    match absolute_env("HOME") {
        Some(home) => Ok(home.join(".local/share/carrack")),
        None => Err(Failure::new("HOME is not set; say where to keep images with --data-root DIR")),
    }
}

/// What the API needs to be told, in a daemon or without one.
pub(crate) fn settings(
    cli: &Cli,
    registries: Option<&Registries>,
) -> Result<carrack_api_server::engine::Settings, Failure> {
    let (mirrors, insecure) = registries.map_or((&[][..], &[][..]), |r| (&r.mirrors[..], &r.insecure[..]));
    Ok(carrack_api_server::engine::Settings {
        data_root: data_root(cli)?,
        run_root: run_root()?,
        exe: std::env::current_exe().map_err(|e| Failure::doing("this program's path", e))?,
        registries: crate::config::registries(mirrors, insecure)?,
    })
}

/// Where certificates of registries are looked for: a directory for each `host:port`, in it `*.crt`, `*.cert` and `*.key`.
pub(crate) fn certificates() -> Vec<PathBuf> {
    let home = absolute_env("XDG_CONFIG_HOME").or_else(|| absolute_env("HOME").map(|h| h.join(".config")));
    let own = home.map(|c| c.join("carrack/certs.d"));
    own.into_iter().chain(["/etc/carrack/certs.d".into(), "/etc/docker/certs.d".into()]).collect()
}

/// For sockets and placeholders, on a tmpfs where there is one: `$XDG_RUNTIME_DIR/carrack`, else `/dev/shm/carrack-UID`,
/// else `/tmp/carrack-UID`. Made with mode 0700; one that somebody else owns is not used.
pub(crate) fn run_root() -> Result<PathBuf, Failure> {
    let uid = rustix::process::geteuid().as_raw();
    let mut candidates = Vec::new();
    if let Some(dir) = absolute_env("XDG_RUNTIME_DIR")
        && dir.as_os_str().len() <= LONGEST
    {
        candidates.push(dir.join("carrack"));
    }
    candidates.push(PathBuf::from(format!("/dev/shm/carrack-{uid}")));
    candidates.push(PathBuf::from(format!("/tmp/carrack-{uid}")));
    let mut why = String::new();
    for dir in candidates {
        match own(&dir, uid) {
            Ok(()) => return Ok(dir),
            Err(e) => why = format!("{}: {e}", dir.display()),
        }
    }
    Err(Failure::new(format!("no directory for sockets: {why}")))
}

/// Where the daemon listens unless it is told otherwise.
pub(crate) fn default_socket() -> Result<PathBuf, Failure> {
    Ok(run_root()?.join("carrack.sock"))
}

/// The path of a `unix://` URL.
pub(crate) fn socket(host: &str) -> Result<PathBuf, Failure> {
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(PathBuf::from(path)),
        None if host.starts_with('/') => Ok(PathBuf::from(host)),
        Some(("tcp" | "http" | "https", _)) => Err(Failure::new(format!(
            "{host}: TCP is not offered: it would give everybody on the network your account; use unix://PATH"
        ))),
        Some(("ssh", _)) => Err(Failure::new(format!(
            "{host}: ssh is not spoken; forward the socket with `ssh -L /tmp/c.sock:REMOTE-SOCKET HOST` and use unix:///tmp/c.sock"
        ))),
        _ => Err(Failure::new(format!("{host:?} is not a unix:// URL with an absolute path"))),
    }
}

fn own(dir: &Path, uid: u32) -> Result<(), String> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e.to_string()),
        _ => {}
    }
    let meta = std::fs::symlink_metadata(dir).map_err(|e| e.to_string())?;
    if !meta.is_dir() || meta.uid() != uid {
        return Err("it belongs to somebody else".into());
    }
    if meta.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn absolute_env(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute())
}
