//! Calling cargo, and where things are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// cargo, in the workspace.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs a command with our own output; whether it succeeded.
pub(crate) fn passes(mut command: Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    Ok(status.success())
}

/// Runs a command that must succeed.
pub(crate) fn must(command: Command) -> Result<()> {
    let what = format!("{command:?}");
    if !passes(command)? {
        bail!("failed: {what}");
    }
    Ok(())
}

/// The binary under test: `$CARRACK` where that is set, else the release build, made now if need be.
pub(crate) fn carrack() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("CARRACK") {
        return Ok(PathBuf::from(binary));
    }
    must(cargo(&["build", "--quiet", "--release", "--package", "carrack-cli"]))?;
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => root().join("target"),
    };
    let binary = target.join("x86_64-unknown-linux-gnu/release/carrack");
    if !binary.exists() {
        bail!("{} was not built", binary.display());
    }
    Ok(binary)
}

/// Whether we may install packages and make root file systems.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
