//! Where things are: the data root and the run directory.

use crate::args::Cli;
use crate::failure::Failure;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Longest $XDG_RUNTIME_DIR that is used: with what comes below it, a socket's path has to stay within 108 bytes.
const LONGEST: usize = 64;

/// `--data-root`, else `/var/lib/carrack` for root, else `$XDG_DATA_HOME/carrack`, else `~/.local/share/carrack`.
pub(crate) fn data_root(cli: &Cli) -> Result<PathBuf, Failure> {
    if let Some(root) = &cli.data_root {
        return std::path::absolute(root).map_err(|e| Failure::doing(root.display(), e));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/carrack"));
    }
    if let Some(dir) = absolute_env("XDG_DATA_HOME") {
        return Ok(dir.join("carrack"));
    }
    match absolute_env("HOME") {
        Some(home) => Ok(home.join(".local/share/carrack")),
        None => Err(Failure::new(125, "HOME is not set; say where to keep images with --data-root DIR")),
    }
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
    Err(Failure::new(125, format!("no directory for sockets: {why}")))
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
