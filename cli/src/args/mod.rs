//! Everything that can be said on the command line.
//!
//! Each verb ends its help with `Examples:`, one example a line and its explanation two blanks behind it. The manual pages
//! take them from there, and a test parses every one.

mod complete;
mod container;
mod image;
mod run;
mod serve;
mod system;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

pub(crate) use container::*;
pub(crate) use image::*;
pub(crate) use run::*;
pub(crate) use serve::*;
pub(crate) use system::*;

/// Docker containers without root, user namespaces, setuid helpers or virtual machines.
///
/// Verbs for images work on the image store itself and need no daemon. `run` and `trace` start a container of their own.
/// Verbs for containers that go on (`run --detach`, `ps`, `exec`, `stop`, …) and `build` ask the daemon, `carrack serve`.
#[derive(Debug, Parser)]
#[command(
    name = "carrack",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  carrack doctor                                    say what this host allows
  carrack import debian.tar debian:12               make an image of a root file system
  carrack run -it debian:12 bash                    run a container without a daemon
  carrack serve                                     answer docker clients on a unix socket
  carrack run -d --name web debian:12 sleep 1h      a container that the daemon keeps
  carrack exec -it web sh                           a shell in it

`carrack help VERB` has more of them for each verb."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Where images and containers are kept [default: ~/.local/share/carrack; /var/lib/carrack for root]
    #[arg(long, global = true, value_name = "DIR", env = "CARRACK_DATA_ROOT", hide_env_values = true)]
    pub(crate) data_root: Option<PathBuf>,

    /// Log what is being done, to standard error
    #[arg(short = 'D', long, global = true)]
    pub(crate) debug: bool,

    /// Least important messages to log
    #[arg(
        short = 'l',
        long,
        global = true,
        value_name = "LEVEL",
        env = "CARRACK_LOG",
        hide_env_values = true
    )]
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

/// Where the daemon is, for the verbs that ask it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Daemon {
    /// The daemon's socket: unix://PATH [default: carrack.sock in the run directory]
    #[arg(short = 'H', long = "host", value_name = "URL", env = "DOCKER_HOST", hide_env_values = true)]
    pub(crate) host: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command in a new container
    Run(Run),
    /// List containers
    Ps(Ps),
    /// Show what a container has printed
    Logs(Logs),
    /// Run a further command in a running container
    Exec(Exec),
    /// Connect the terminal to a running container
    Attach(Attach),
    /// Start containers that have stopped
    Start(Start),
    /// Stop running containers
    Stop(Stop),
    /// Send a signal to running containers
    Kill(Kill),
    /// Remove containers
    Rm(Rm),
    /// Copy files between a container and the host
    Cp(Cp),
    /// List images
    Images(Images),
    /// Fetch an image from a registry
    Pull(Pull),
    /// Send an image to a registry
    Push(Push),
    /// Make an image of a Dockerfile
    Build(Build),
    /// Load images from an archive made by `docker save` or skopeo
    Load(Load),
    /// Write images to an archive that `docker load` reads
    Save(Save),
    /// Make an image of a tar archive of a root file system
    Import(Import),
    /// Give an image a further name
    Tag(Tag),
    /// Remove images or their names
    Rmi(Rmi),
    /// Show how an image was made
    History(History),
    /// Show everything about images and containers
    Inspect(Inspect),
    /// Remove stopped containers and images without a name
    Prune(Prune),
    /// Keep the password of a registry
    Login(Login),
    /// Forget the password of a registry
    Logout(Logout),
    /// Look at the whole installation: disk use, facts, clean-up
    System(System),
    /// Check and clean the image store
    Store(StoreArgs),
    /// Serve the Docker Engine API
    Serve(Serve),
    /// Run a command in a new container and print the system calls that Carrack answers
    Trace(Trace),
    /// Say what this host allows, and what each missing thing costs
    Doctor(Doctor),
    /// Print the completion script of a shell
    Completion(Completion),
    /// Print the manual page, or write the pages of all verbs
    Man(Man),
    /// Print the versions of Carrack, of the host and of the daemon
    Version(Version),
    /// The supervisor of one container (started by the others)
    #[command(hide = true)]
    Supervise(Supervise),
}

impl Command {
    /// Whether the exit code is a container's, so that failures of our own need one apart (125).
    pub(crate) fn gives_containers_code(&self) -> bool {
        matches!(
            self,
            Command::Run(_)
                | Command::Exec(_)
                | Command::Attach(_)
                | Command::Trace(_)
                | Command::Supervise(_)
        )
    }
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

    /// A verb, and the verbs below it, with the words that lead there.
    fn verbs(command: &clap::Command, path: &str, all: &mut Vec<(String, clap::Command)>) {
        for sub in command.get_subcommands().filter(|s| s.get_name() != "help" && !s.is_hide_set()) {
            let name = format!("{path} {}", sub.get_name());
            verbs(sub, &name, all);
            all.push((name, sub.clone()));
        }
    }

    #[test]
    fn every_verb_has_examples_and_each_of_them_parses() {
        let mut all = Vec::new();
        verbs(&Cli::command(), "carrack", &mut all);
        all.push(("carrack".into(), Cli::command()));
        for (name, command) in &all {
            let examples = crate::man::examples(command);
            assert!(!examples.is_empty(), "{name} has no examples");
            let mut own = 0;
            for example in examples {
                for part in commands(&example.line) {
                    if part.first().is_none_or(|w| w != "carrack") {
                        continue;
                    }
                    own += usize::from(format!("{} ", part.join(" ")).starts_with(&format!("{name} ")));
                    if let Err(e) = Cli::try_parse_from(&part) {
                        assert!(!e.use_stderr(), "{name}: {:?} does not parse: {e}", example.line);
                    }
                }
            }
            assert!(own > 0, "{name}: no example is its own");
        }
    }

    /// The commands of a shell line, as far as the examples need it: quotes, pipes, redirections, assignments.
    fn commands(line: &str) -> Vec<Vec<String>> {
        let mut all = vec![Vec::new()];
        let (mut word, mut quote, mut open) = (String::new(), None, false);
        for c in line.chars().chain([' ']) {
            match (quote, c) {
                (Some(q), c) if c == q => quote = None,
                (Some(_), c) => word.push(c),
                (None, '\'' | '"') => (quote, open) = (Some(c), true),
                (None, ' ' | '|' | '>' | '<' | '&' | '(' | ')' | ';') => {
                    if open || !word.is_empty() {
                        all.last_mut().unwrap().push(std::mem::take(&mut word));
                        open = false;
                    }
                    match c {
                        ' ' => {}
                        // What follows a redirection is no argument.
                        '>' | '<' => all.push(vec!["file".into()]),
                        _ => all.push(Vec::new()),
                    }
                }
                (None, c) => word.push(c),
            }
        }
        all
    }
}
