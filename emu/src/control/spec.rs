//! What a container is, as its supervisor reads it from `spec.json` in the container's directory.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A container's description. Written by whoever creates the container, never changed by the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// 64 hexadecimal digits.
    pub id: String,
    pub rootfs: RootfsSpec,
    /// Entrypoint and command, never empty.
    pub args: Vec<String>,
    /// `K=V`. PATH, HOSTNAME, TERM and HOME are added by the supervisor when absent.
    #[serde(default)]
    pub env: Vec<String>,
    /// Made (0755, owned by the user) when it does not exist. Empty means `/`.
    #[serde(default)]
    pub cwd: String,
    /// `user[:group]`, names or numbers, looked up in the image. Empty means root.
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub groups_add: Vec<String>,
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub domainname: String,
    #[serde(default)]
    pub tty: bool,
    /// Keep standard input open for `Attach`; otherwise it is `/dev/null`.
    #[serde(default)]
    pub open_stdin: bool,
    /// Close standard input when the first attached client closes its side.
    #[serde(default)]
    pub stdin_once: bool,
    #[serde(default)]
    pub console_size: Option<(u16, u16)>,
    #[serde(default)]
    pub mounts: Vec<MountSpec>,
    #[serde(default)]
    pub network: NetworkMode,
    #[serde(default)]
    pub log: LogSpec,
    #[serde(default)]
    pub privileged: bool,
    /// Capabilities by name without `CAP_`, beside Docker's default set; `ALL` means all.
    #[serde(default)]
    pub cap_add: Vec<String>,
    #[serde(default)]
    pub cap_drop: Vec<String>,
    #[serde(default)]
    pub no_new_privileges: bool,
    /// Bytes; 0 means no limit.
    #[serde(default)]
    pub memory_limit: u64,
    /// 0 means no limit.
    #[serde(default)]
    pub pids_limit: u64,
    /// Thousandths of a CPU; 0 means no limit.
    #[serde(default)]
    pub milli_cpus: u64,
    #[serde(default)]
    pub ulimits: Vec<Ulimit>,
    #[serde(default)]
    pub shm_size: u64,
    #[serde(default)]
    pub masked_paths: Vec<String>,
    #[serde(default)]
    pub readonly_paths: Vec<String>,
    #[serde(default)]
    pub sysctls: Vec<(String, String)>,
    /// Run a minimal init as pid 1 which reaps orphans (`docker run --init`).
    #[serde(default)]
    pub init: bool,
    /// What `uname` says, e.g. `6.18.0`; empty means the host's.
    #[serde(default)]
    pub kernel_version: String,
    /// This directory: `spec.json`, `state.json`, `log.json`, `delta/` are in it.
    pub container_dir: PathBuf,
    /// Short path for sockets and placeholders: `control.sock`, `p/`, `s/` are in it. On a tmpfs where there is one.
    pub run_dir: PathBuf,
}

/// The image below the container's writable layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootfsSpec {
    /// Root of the image store (`carrack_images::Store`).
    pub store: PathBuf,
    /// The image's merged index; `None` for an empty root.
    pub index: Option<PathBuf>,
    #[serde(default)]
    pub read_only: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MountSpec {
    pub kind: MountKind,
    /// Host path of a bind mount or a volume; unused for tmpfs.
    #[serde(default)]
    pub source: PathBuf,
    /// Absolute path inside.
    pub target: String,
    #[serde(default)]
    pub read_only: bool,
    /// tmpfs: bytes, 0 means half of memory.
    #[serde(default)]
    pub size: u64,
    /// tmpfs: permission bits of its root.
    #[serde(default)]
    pub mode: Option<u32>,
    /// Volume: copy what the image has at `target` into an empty volume first.
    #[serde(default)]
    pub copy_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    Bind,
    Volume,
    Tmpfs,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// The host's network.
    #[default]
    Host,
    /// Loopback only.
    None,
}

/// Where init's output is kept. The format of `json-file` is Docker's: one object a line with `log`, `stream`, `time`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// `json-file` or `none`.
    pub driver: String,
    /// Bytes after which a log file is rotated; 0 means never.
    #[serde(default)]
    pub max_size: u64,
    #[serde(default)]
    pub max_file: u32,
}

impl Default for LogSpec {
    fn default() -> Self {
        LogSpec { driver: "json-file".into(), max_size: 0, max_file: 1 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Docker's name: `nofile`, `nproc`, `core`, …
    pub name: String,
    /// −1 means unlimited.
    pub soft: i64,
    pub hard: i64,
}
