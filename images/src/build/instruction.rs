//! What a Dockerfile says: stages, and the instructions of each.
//!
//! Words are as they are written, variables and quotes included; the executor expands them when their turn comes, since their
//! values depend on the steps before.

/// A whole Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The escape character: `\`, or a backtick by the directive `# escape=`.
    pub escape: char,
    /// `ARG` before the first `FROM`, with its text.
    pub meta_args: Vec<Step>,
    /// At least one.
    pub stages: Vec<Stage>,
    /// What is allowed, but most likely a mistake.
    pub warnings: Vec<String>,
}

/// From one `FROM` to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it is made of: an image, an earlier stage, `scratch`; not expanded.
    pub base: String,
    /// Its name in lower case.
    pub name: Option<String>,
    /// `--platform`, not expanded.
    pub platform: Option<String>,
    /// The text of `FROM`.
    pub code: String,
    /// Where it stands.
    pub line: usize,
    /// Its instructions.
    pub steps: Vec<Step>,
}

/// One instruction where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its text in one line, as it is shown and, for some, as it is kept.
    pub code: String,
    /// Its first line.
    pub line: usize,
    /// What it says.
    pub instruction: Instruction,
}

/// An instruction other than `FROM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `ADD`
    Add(Transfer),
    /// `ARG NAME[=default]…`
    Arg(Vec<(String, Option<String>)>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(Transfer),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV`
    Env(Vec<Pair>),
    /// `EXPOSE`
    Expose(Vec<String>),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<Pair>),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD` with the instruction as text
    Onbuild(String),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    Stopsignal(String),
    /// `USER`
    User(String),
    /// `VOLUME`
    Volume(Vec<String>),
    /// `WORKDIR`
    Workdir(String),
}

/// `name=value`; neither is expanded, quotes are still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// Both are meant as they are (`--label` of a build).
    pub is_literal: bool,
}

/// A command in one of its two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// A line for the shell.
    Shell(String),
    /// The words of a JSON list.
    Exec(Vec<String>),
}

/// `RUN`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What is run, without the heredocs.
    pub command: CommandLine,
    /// `<<EOF` in the line.
    pub heredocs: Vec<Heredoc>,
    /// `--network`
    pub network: Option<String>,
    /// `--mount`, as it is written.
    pub mounts: Vec<String>,
    /// `--security`
    pub security: Option<String>,
}

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, without quotes.
    pub name: String,
    /// Its lines, with their ends.
    pub content: String,
    /// Whether variables in it are expanded: its name was not quoted.
    pub expand: bool,
    /// `<<-`: tabs at the beginning of lines do not count.
    pub chomp: bool,
}

impl Heredoc {
    /// The lines as they count.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// `ADD` and `COPY`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// What is copied, in order; heredocs are not among them.
    pub sources: Vec<String>,
    /// Files whose text stands in the Dockerfile.
    pub heredocs: Vec<Heredoc>,
    /// Where to.
    pub destination: String,
    /// `--from` (COPY)
    pub from: Option<String>,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents` (COPY)
    pub parents: bool,
    /// `--exclude`, several
    pub exclude: Vec<String>,
    /// `--checksum` (ADD)
    pub checksum: Option<String>,
    /// `--unpack` (ADD); missing: local archives are, others are not.
    pub unpack: Option<bool>,
}

/// `HEALTHCHECK`; durations in nanoseconds, 0: not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`
    pub test: Vec<String>,
    /// `--interval`
    pub interval: i64,
    /// `--timeout`
    pub timeout: i64,
    /// `--start-period`
    pub start_period: i64,
    /// `--start-interval`
    pub start_interval: i64,
    /// `--retries`
    pub retries: i64,
}
