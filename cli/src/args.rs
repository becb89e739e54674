//! Everything that can be said on the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Docker containers without root, user namespaces, setuid helpers or virtual machines.
#[derive(Debug, Parser)]
#[command(
    name = "carrack",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  carrack serve                                     answer docker clients on a unix socket
  carrack import debian.tar debian:12               make an image of a root file system
  carrack run -it debian:12 -- bash                 run a container without a daemon
  carrack trace debian:12 -- ls /                   show the system calls that Carrack answers
  carrack doctor                                    say what this host allows"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Where images and containers are kept [default: ~/.local/share/carrack; /var/lib/carrack for root]
    #[arg(long, global = true, value_name = "DIR", env = "CARRACK_DATA_ROOT")]
    pub(crate) data_root: Option<PathBuf>,

    /// Log what is being done, to standard error
    #[arg(short = 'D', long, global = true)]
    pub(crate) debug: bool,

    /// Least important messages to log
    #[arg(short = 'l', long, global = true, value_name = "LEVEL", env = "CARRACK_LOG")]
    pub(crate) log_level: Option<LogLevel>,
}

/// dockerd's names.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    #[value(alias = "warning")]
    Warn,
    #[value(alias = "fatal", alias = "panic")]
    Error,
}

impl From<LogLevel> for tracing::level_filters::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::TRACE,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Info => Self::INFO,
            LogLevel::Warn => Self::WARN,
            LogLevel::Error => Self::ERROR,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the Docker Engine API
    Serve(Serve),
    /// Run a command in a new container, without a daemon
    Run(Run),
    /// Run a command in a new container and print the system calls that Carrack answers
    Trace(Trace),
    /// Make an image of a tar archive of a root file system
    Import(Import),
    /// Load images from an archive made by `docker save` or skopeo
    Load(Load),
    /// List images
    Images(Images),
    /// Remove images or their names
    Rmi(Rmi),
    /// Give an image a further name
    Tag(Tag),
    /// Say what this host allows, and what each missing thing costs
    Doctor(Doctor),
    /// Print the completion script of a shell
    Completion { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
    /// Print the versions of Carrack and of the host
    Version,
    /// The supervisor of one container (started by the others)
    #[command(hide = true)]
    Supervise(Supervise),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack serve                                     prints the line that makes docker find it
  carrack serve -H unix:///tmp/docker.sock --debug
  carrack serve --config-file ./daemon.json         dockerd's format: {\"hosts\": [...], \"data-root\": \"...\"}")]
pub(crate) struct Serve {
    /// Socket to listen on: unix://PATH. May be given several times [default: carrack.sock in the run directory]
    #[arg(short = 'H', long = "host", value_name = "URL")]
    pub(crate) hosts: Vec<String>,

    /// File of settings, in the format of dockerd's daemon.json
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Supervise {
    /// The container's directory
    pub(crate) container_dir: PathBuf,
    /// Serve the files of a container that does not run
    #[arg(long)]
    pub(crate) files: bool,
}

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
    /// Remove the container when it ends (always done; accepted for docker's sake)
    #[arg(long)]
    pub(crate) rm: bool,
    /// Name of the container
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Network: host or none
    #[arg(long, value_name = "MODE", default_value = "host")]
    pub(crate) network: Network,
    /// Host name inside [default: the first digits of the container's id]
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
    /// Kernel version that uname tells, such as 5.10.0; calls introduced later answer ENOSYS
    #[arg(long, value_name = "VERSION")]
    pub(crate) kernel_version: Option<String>,

    /// Image: a name, an id, or the beginning of an id
    pub(crate) image: String,
    /// Command and its arguments [default: the image's]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Network {
    Host,
    None,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack run debian:12 -- python3 -c 'print(1)'
  carrack run -it -v $PWD:/work -w /work debian:12 bash
  tar c . | carrack run -i debian:12 tar tv

The exit code is the command's; 125 if Carrack failed, 126 if the command cannot be run, 127 if it was not found.")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) container: Container,
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
    #[command(flatten)]
    pub(crate) container: Container,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack import debian.tar debian:12
  curl -sSL https://example.org/rootfs.tar.gz | carrack import - mine:latest
  carrack import -c 'CMD [\"/bin/bash\"]' -c 'ENV LANG=C.UTF-8' rootfs.tar.zst mine")]
pub(crate) struct Import {
    /// Archive, plain or compressed with gzip or zstd; - for standard input
    pub(crate) file: PathBuf,
    /// Name to give it
    pub(crate) reference: Option<String>,
    /// Dockerfile instruction to apply (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR …)
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub(crate) change: Vec<String>,
    /// Comment for the image's history
    #[arg(short, long)]
    pub(crate) message: Option<String>,
    /// Platform of what is in it, such as linux/amd64
    #[arg(long)]
    pub(crate) platform: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  docker save debian:12 | carrack load
  carrack load -i images.tar")]
pub(crate) struct Load {
    /// Read from this file instead of standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Print only what was loaded
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Images {
    /// Print ids only
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print whole ids
    #[arg(long)]
    pub(crate) no_trunc: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rmi {
    /// Remove even if it has several names or is in use
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Names or ids
    #[arg(required = true)]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Tag {
    /// An image's name or id
    pub(crate) source: String,
    /// The further name
    pub(crate) target: String,
}

#[derive(Debug, Args)]
#[command(after_help = "The exit code is 0 where containers can run, 1 where they cannot.")]
pub(crate) struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the table of system calls instead
    #[arg(long)]
    pub(crate) syscalls: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    fn run(words: &[&str]) -> Container {
        match Cli::try_parse_from(words).unwrap().command {
            Command::Run(run) => run.container,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn the_command_is_taken_as_it_is() {
        let c = run(&["carrack", "run", "-it", "debian:12", "ls", "-l", "--color"]);
        assert_eq!(c.command, ["ls", "-l", "--color"]);
        assert!(c.tty && c.interactive);
        let c = run(&["carrack", "run", "debian:12", "--", "ls", "-l"]);
        assert_eq!(c.command, ["ls", "-l"]);
        let c = run(&["carrack", "run", "debian:12"]);
        assert!(c.command.is_empty());
        let c = run(&[
            "carrack",
            "run",
            "-e",
            "A=1",
            "-e",
            "B",
            "-v",
            "/a:/b:ro",
            "-w/x",
            "d",
            "sh",
            "-c",
            "echo -- $0",
        ]);
        assert_eq!((c.env.len(), c.volumes.len(), c.workdir.as_deref()), (2, 1, Some("/x")));
    }
}
