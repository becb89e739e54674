//! `run` and `trace`.

use super::{Daemon, complete};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What `run` and `trace` share.
#[derive(Debug, Args)]
pub(crate) struct Container {
    /// Set an environment variable (NAME=VALUE, or NAME to pass one on)
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Read environment variables from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Mount a directory or file of the host: SOURCE:TARGET[:ro]
    #[arg(short, long = "volume", value_name = "SOURCE:TARGET[:ro]")]
    pub(crate) volumes: Vec<String>,
    /// Mount an empty file system in memory: TARGET[:size=64m,mode=1777,ro]
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    pub(crate) tmpfs: Vec<String>,
    /// Directory to start in
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// User (and group) to run as: name or number, USER[:GROUP]
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<String>,
    /// Additional groups
    #[arg(long, value_name = "GROUP")]
    pub(crate) group_add: Vec<String>,
    /// Pass standard input on
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Network: host or none
    #[arg(long, value_name = "MODE", default_value = "host")]
    pub(crate) network: Network,
    /// Host name inside [default: the host's; the first digits of the container's id with --network none]
    #[arg(long)]
    pub(crate) hostname: Option<String>,
    /// Run this instead of the image's entry point
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,
    /// Most memory, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = crate::options::bytes)]
    pub(crate) memory: Option<u64>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = crate::options::bytes)]
    pub(crate) shm_size: Option<u64>,
    /// Most processes and threads
    #[arg(long, value_name = "N")]
    pub(crate) pids_limit: Option<i64>,
    /// Limit of a resource: NAME=SOFT[:HARD], such as nofile=1024:4096
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = crate::options::ulimit)]
    pub(crate) ulimit: Vec<carrack_emu::control::Ulimit>,
    /// Add a Linux capability
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_add: Vec<String>,
    /// Drop a Linux capability
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_drop: Vec<String>,
    /// All capabilities (of the container's own root; the host gives none)
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Only no-new-privileges is known
    #[arg(long, value_name = "OPTION")]
    pub(crate) security_opt: Vec<String>,
    /// Mount the root file system read-only
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Run a small init as pid 1, which passes signals on and reaps orphans
    #[arg(long)]
    pub(crate) init: bool,

    /// Whether to fetch the image from its registry: missing, always, never
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pub(crate) pull: PullPolicy,
    /// Show no progress of a fetch
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Image: a name, an id, or the beginning of an id
    #[arg(add = complete::images())]
    pub(crate) image: String,
    /// Command and its arguments [default: the image's]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullPolicy {
    Missing,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    Host,
    None,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without a daemon the container is removed when its command ends, and its command is killed when `carrack run` is. With
--detach, --name or --restart the container is the daemon's: it stays until `carrack rm`, unless --rm is given.

Examples:
  carrack run debian:12 -- perl -e 'print 6*7'
  carrack run -it -v $PWD:/work -w /work debian:12 bash
  tar c . | carrack run -i debian:12 tar tv
  carrack run -d --name web -v $PWD:/srv:ro -w /srv python:3 python3 -m http.server 8000

The exit code is the command's; 125 if Carrack failed, 126 if the command cannot be run, 127 if it was not found.")]
pub(crate) struct Run {
    /// Leave the container running and print its id (needs the daemon)
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Name of the container (needs the daemon)
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Start it again when it ends: always, unless-stopped, on-failure[:N] (needs the daemon)
    #[arg(long, value_name = "POLICY", value_parser = crate::options::restart)]
    pub(crate) restart: Option<crate::options::Restart>,
    /// Remove the container when it ends (always done without the daemon)
    #[arg(long)]
    pub(crate) rm: bool,
    /// A label, NAME[=VALUE] (shown by the daemon)
    #[arg(long = "label", value_name = "NAME[=VALUE]")]
    pub(crate) labels: Vec<String>,
    /// Keys that leave the container running and end the session [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    pub(crate) detach_keys: Option<String>,
    /// Kernel version that uname tells, such as 5.10.0; calls introduced later answer ENOSYS (not with the daemon)
    #[arg(long, value_name = "VERSION")]
    pub(crate) kernel_version: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
    #[command(flatten)]
    pub(crate) container: Container,
}

impl Run {
    /// Whether the container is to be one of the daemon's.
    pub(crate) fn needs_daemon(&self) -> bool {
        self.detach || self.name.is_some() || self.restart.is_some()
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack trace debian:12 -- ls /
  carrack trace -o calls.txt debian:12 -- apt-get update")]
pub(crate) struct Trace {
    /// Write to this file instead of standard error
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Kernel version that uname tells, such as 5.10.0; calls introduced later answer ENOSYS
    #[arg(long, value_name = "VERSION")]
    pub(crate) kernel_version: Option<String>,
    #[command(flatten)]
    pub(crate) container: Container,
}
