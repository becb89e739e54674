//! The control protocol between a container's supervisor and those who drive it (the API daemon, the CLI, the OCI verbs).
//!
//! A supervisor listens on a unix stream socket. Each connection carries one request: the client sends one line of JSON
//! ([`Request`]), the supervisor answers one line of JSON ([`Reply`]), and for requests that stream, the connection then
//! carries bytes:
//!
//! | request | after the reply line |
//! | --- | --- |
//! | `Attach`, `ExecAttach` | to the client: output, in Docker's 8-byte frames when the target has no terminal, raw when it has; from the client: standard input, ended by `shutdown(SHUT_WR)` |
//! | `Events` | one line of JSON ([`Event`]) per change of state, until either side closes |
//! | `ArchiveGet`, `Export`, `Layer` | a tar stream, ended by close |
//! | `ArchivePut` | from the client: a tar stream ended by `shutdown(SHUT_WR)`; then one more [`Reply`] line |
//!
//! `Wait` and `ExecWait` delay their reply until the target has ended. Unknown fields are ignored, so that a newer client
//! can talk to an older supervisor.

mod codec;
mod spec;

pub use codec::{Client, ControlError, read_line, write_line};
pub use spec::{LogSpec, MountKind, MountSpec, NetworkMode, RootfsSpec, Spec, Ulimit};

use serde::{Deserialize, Serialize};

/// One request; see the module's table for what follows its reply.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Starts init. Answered when its first program has been loaded, or with why it could not be.
    Start,
    /// The state as of now.
    State,
    /// A stream of state changes, beginning with the present state.
    Events,
    /// Answered when init has ended.
    Wait,
    /// Sends a signal to init (`all`: to every task of the container).
    Signal {
        signal: i32,
        #[serde(default)]
        all: bool,
    },
    /// Stops every task until `Resume`.
    Pause,
    Resume,
    /// Terminal size of init, in character cells.
    Resize {
        rows: u16,
        cols: u16,
    },
    /// Attaches to init's standard streams. May come before `Start`.
    Attach {
        stdin: bool,
        stdout: bool,
        stderr: bool,
    },
    /// Prepares a process in the container; answered with its id ([`Reply::Exec`]).
    Exec {
        exec: ExecSpec,
    },
    /// Starts a prepared process with its streams attached to this connection (all of those that its spec asks for).
    ExecAttach {
        id: String,
    },
    /// Starts a prepared process without streams (output is discarded).
    ExecStart {
        id: String,
    },
    ExecState {
        id: String,
    },
    ExecWait {
        id: String,
    },
    ExecResize {
        id: String,
        rows: u16,
        cols: u16,
    },
    /// The container's tasks, for `docker top`.
    Top,
    Stats,
    /// Paths that differ from the image.
    Changes,
    /// What `path` is (`docker cp`'s `X-Docker-Container-Path-Stat`).
    ArchiveStat {
        path: String,
    },
    ArchiveGet {
        path: String,
    },
    ArchivePut {
        path: String,
        #[serde(default)]
        no_overwrite_dir_non_dir: bool,
        #[serde(default)]
        copy_uid_gid: bool,
    },
    /// The whole file system as a tar stream.
    Export,
    /// What differs from the image, as the tar stream of a layer, with whiteouts.
    Layer,
    /// Ends the supervisor, and init with it (SIGKILL).
    Shutdown,
}

/// The one line that answers a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    Ok,
    Error { kind: ErrorKind, message: String },
    State { state: State },
    Exited { code: i32 },
    Exec { id: String },
    ExecState { state: ExecState },
    Top { titles: Vec<String>, processes: Vec<Vec<String>> },
    Stats { stats: Stats },
    Changes { changes: Vec<Change> },
    PathStat { stat: PathStat },
}

/// Whose fault a refused request is; the API maps each to one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request cannot be right (400).
    Invalid,
    /// The path, exec or process is not there (404).
    NotFound,
    /// Not in this state (409).
    Conflict,
    /// The command of `Start` or `ExecStart` was not found in the container (exit code 127).
    CommandNotFound,
    /// The command was found and cannot be run (exit code 126).
    CommandNotExecutable,
    /// The host refuses something that the supervisor needs (500).
    Host,
    /// Not built (501).
    NotSupported,
    /// A fault of the supervisor (500).
    Internal,
}

/// Where a container is in its life, as its supervisor sees it. Also written to `state.json` in the container's
/// directory at each change, so that it can be read when there is no supervisor any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub status: Status,
    /// The host's process id of init (0 when there is none).
    pub pid: i32,
    /// The host's process id of the supervisor.
    pub supervisor_pid: i32,
    pub exit_code: i32,
    /// Whether the container was ended for want of memory.
    pub oom_killed: bool,
    /// Why `Start` failed, for people.
    #[serde(default)]
    pub error: String,
    /// RFC 3339 with nanoseconds, UTC; empty when it did not happen.
    #[serde(default)]
    pub started_at: String,
    #[serde(default)]
    pub finished_at: String,
    /// Processes made by `Exec`, running or ended.
    #[serde(default)]
    pub execs: Vec<ExecState>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The supervisor is up, init was not started.
    #[default]
    Created,
    Running,
    Paused,
    Exited,
}

/// A process that joins a running container (`docker exec`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    pub args: Vec<String>,
    /// `K=V`, added to (and overriding) the container's environment.
    pub env: Vec<String>,
    /// Empty: the container's working directory.
    pub cwd: String,
    /// `user[:group]`, names or numbers; empty: the container's user.
    pub user: String,
    pub tty: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub privileged: bool,
    /// Initial terminal size: rows, columns.
    pub console_size: Option<(u16, u16)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecState {
    pub id: String,
    pub running: bool,
    /// Host process id, 0 before start.
    pub pid: i32,
    /// `None` until it has ended.
    pub exit_code: Option<i32>,
    pub spec: ExecSpec,
}

/// A line of the `Events` stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    State { state: State },
    ExecDied { id: String, code: i32 },
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// User and system time of the container's tasks since start, nanoseconds.
    pub cpu_user_ns: u64,
    pub cpu_system_ns: u64,
    /// Resident memory, bytes, and its largest value seen.
    pub memory_bytes: u64,
    pub memory_max_bytes: u64,
    pub memory_limit_bytes: u64,
    pub pids: u64,
    pub pids_limit: u64,
    pub blk_read_bytes: u64,
    pub blk_write_bytes: u64,
}

/// One line of `docker diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    pub kind: ChangeKind,
}

/// Numbered as the Engine API numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ChangeKind {
    Modified = 0,
    Added = 1,
    Deleted = 2,
}

/// What `docker cp` needs to know of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    pub name: String,
    pub size: i64,
    /// Full `st_mode` as Linux has it (the API converts it to Go's).
    pub mode: u32,
    /// RFC 3339 with nanoseconds.
    pub mtime: String,
    pub link_target: String,
}
