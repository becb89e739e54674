//! Verbs for the installation, and about the program itself.

use super::Daemon;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack system df
  carrack system prune -f
  carrack system info --json")]
pub(crate) struct System {
    #[command(subcommand)]
    pub(crate) what: SystemCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SystemCommand {
    /// Show disk use
    Df(Df),
    /// Remove stopped containers and images without a name
    Prune(Prune),
    /// Show where things are and what there is
    Info(Info),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Images are counted without a daemon; containers and volumes are counted where it runs.

Examples:
  carrack system df
  carrack system df -v                              each image, container and volume
  carrack system df --json                          one JSON object a line and kind")]
pub(crate) struct Df {
    /// Show each thing
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print one JSON object for each kind (with -v: each thing), a line each
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Images are removed without a daemon; stopped containers and volumes are removed where it runs.

Examples:
  carrack prune
  carrack prune -f --all                            also images that no container uses
  carrack system prune -f --volumes")]
pub(crate) struct Prune {
    /// Also images with a name that no container uses
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Also volumes that no container uses and that have no name
    #[arg(long)]
    pub(crate) volumes: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Print a JSON object of what was removed
    #[arg(long, requires = "force")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack system info
  carrack system info --json")]
pub(crate) struct Info {
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack store verify
  carrack store gc")]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub(crate) what: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read every file of the store and compare it with its digest
    Verify(Verify),
    /// Give back the space of what nothing refers to any more
    Gc(Gc),
}

#[derive(Debug, Args)]
#[command(after_help = "\
What can be made again of what is sound is made again. The exit code is 0 for a store without damage, 1 where damage
remains.

Examples:
  carrack store verify
  carrack store verify --json")]
pub(crate) struct Verify {
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Safe beside pulls, builds and containers that run.

Examples:
  carrack store gc
  carrack store gc --json")]
pub(crate) struct Gc {
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 0 where containers can run, 1 where they cannot.

Examples:
  carrack doctor
  carrack doctor --json
  carrack doctor --syscalls                         the table of system calls")]
pub(crate) struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the table of system calls instead
    #[arg(long)]
    pub(crate) syscalls: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The scripts ask `carrack` itself, so they also know images and containers.

Examples:
  source <(carrack completion bash)                 in ~/.bashrc
  source <(carrack completion zsh)                  in ~/.zshrc, after compinit
  carrack completion fish > ~/.config/fish/completions/carrack.fish")]
pub(crate) struct Completion {
    /// Which shell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    pub(crate) shell: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack man | man -l -                            read the page of carrack itself
  carrack man ~/.local/share/man/man1               write carrack.1, carrack-run.1, …")]
pub(crate) struct Man {
    /// Write one page for each verb into this directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack version
  carrack version --json")]
pub(crate) struct Version {
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}
