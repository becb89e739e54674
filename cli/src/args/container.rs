//! Verbs for the daemon's containers.

use super::{Daemon, complete};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack ps                                        those that run
  carrack ps -a --filter status=exited
  carrack ps -aq                                    ids only
  carrack ps --json                                 one JSON object a line")]
pub(crate) struct Ps {
    /// Also those that do not run
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print ids only
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print whole ids and commands
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// The last N that were made, running or not
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) last: Option<u32>,
    /// Only those for which KEY is VALUE: name, id, label, status, ancestor, exited, volume, network, …
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = crate::options::filter)]
    pub(crate) filter: Vec<(String, String)>,
    /// Print one JSON object for each container, a line each
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack logs web
  carrack logs -f --tail 20 web                     follow, beginning with the last 20 lines
  carrack logs --since 10m -t web                   the last ten minutes, with times")]
pub(crate) struct Logs {
    /// Go on with what is printed from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last N lines, or `all`
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = crate::options::tail)]
    pub(crate) tail: String,
    /// Begin each line with its time
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Only lines since: a time (2024-05-01T12:00:00Z, seconds since 1970) or so long ago (90s, 1h30m)
    #[arg(long, value_name = "TIME", value_parser = crate::options::moment)]
    pub(crate) since: Option<String>,
    /// Only lines until
    #[arg(long, value_name = "TIME", value_parser = crate::options::moment)]
    pub(crate) until: Option<String>,
    /// A container's name or id
    #[arg(add = complete::containers())]
    pub(crate) container: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack exec -it web bash
  carrack exec -u 1000 -w /srv web ls -l
  tar c . | carrack exec -i web tar x -C /srv

The exit code is the command's; 125 if Carrack failed, 126 if the command cannot be run, 127 if it was not found.")]
pub(crate) struct Exec {
    /// Pass standard input on
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Do not wait for its end
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Set an environment variable (NAME=VALUE, or NAME to pass one on)
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Read environment variables from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// User (and group) to run as: name or number, USER[:GROUP]
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<String>,
    /// Directory to start in
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// All capabilities (of the container's own root; the host gives none)
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Keys that leave the command running and end the session [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    pub(crate) detach_keys: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
    /// A container's name or id
    #[arg(add = complete::containers())]
    pub(crate) container: String,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack attach web                                ^P ^Q leaves it running, where it has a terminal
  carrack attach --no-stdin web                     only look

The exit code is the container's, or 0 after the detach keys.")]
pub(crate) struct Attach {
    /// Do not pass standard input on
    #[arg(long)]
    pub(crate) no_stdin: bool,
    /// Keys that end the session [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    pub(crate) detach_keys: Option<String>,
    /// A container's name or id
    #[arg(add = complete::containers())]
    pub(crate) container: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack start web")]
pub(crate) struct Start {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER", add = complete::containers())]
    pub(crate) containers: Vec<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack stop web
  carrack stop -t 60 web database                   kill them after a minute if they go on")]
pub(crate) struct Stop {
    /// Seconds to wait before the container is killed; -1: for ever [default: 10, or the container's own]
    #[arg(short = 't', long = "timeout", alias = "time", value_name = "SECONDS", allow_hyphen_values = true)]
    pub(crate) timeout: Option<i64>,
    /// Signal that asks it to end [default: SIGTERM, or the container's own]
    #[arg(short, long)]
    pub(crate) signal: Option<String>,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER", add = complete::containers())]
    pub(crate) containers: Vec<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack kill web
  carrack kill -s HUP web")]
pub(crate) struct Kill {
    /// Signal, by name or number [default: KILL]
    #[arg(short, long)]
    pub(crate) signal: Option<String>,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER", add = complete::containers())]
    pub(crate) containers: Vec<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack rm web
  carrack rm -f web                                 kill it first if it runs
  carrack rm -v web                                 with its nameless volumes")]
pub(crate) struct Rm {
    /// Kill those that run
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Also remove volumes without a name that it has
    #[arg(short, long)]
    pub(crate) volumes: bool,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER", add = complete::containers())]
    pub(crate) containers: Vec<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A directory that exists gets the source inside it; another path is what the copy is called. SOURCE/. is what is in the
directory SOURCE.

Examples:
  carrack cp web:/var/log/app.log .
  carrack cp ./site/. web:/srv
  carrack cp web:/etc - | tar t                     as a tar archive
  tar c site | carrack cp - web:/srv")]
pub(crate) struct Cp {
    /// Print nothing
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// CONTAINER:PATH, a path of the host, or - for a tar archive on standard input
    pub(crate) source: std::ffi::OsString,
    /// CONTAINER:PATH, a path of the host, or - for a tar archive on standard output
    pub(crate) target: std::ffi::OsString,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}
