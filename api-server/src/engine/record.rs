//! A container as it is stored, and as it lives in the daemon.

use super::clock;
use super::error::Result;
use super::life::State;
use super::supervisor::Supervisor;
use super::wire::{self, ConfigView, HostView, Object};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use tokio::sync::watch;

/// Everything about a container that outlives the daemon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    /// Without its slash.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// What the user typed.
    pub image: String,
    /// `sha256:…`, or empty for an empty root.
    pub image_id: String,
    pub image_index: Option<PathBuf>,
    /// `linux/amd64` and the like.
    pub platform: String,
    /// The effective `Config`, merged with the image's.
    pub config: Object,
    /// The effective `HostConfig`.
    pub host: Object,
    /// `NetworkingConfig.EndpointsConfig`.
    pub endpoints: Object,
    /// Entrypoint and command, never empty.
    pub args: Vec<String>,
    pub mounts: Vec<MountPoint>,
    pub state: State,
    pub pid: i32,
    pub exit_code: i32,
    pub error: String,
    pub oom_killed: bool,
    pub started_at: String,
    pub finished_at: String,
    pub restart_count: u32,
    /// Stopped by a client: `unless-stopped` leaves it so.
    pub manually_stopped: bool,
}

impl Record {
    pub fn config_view(&self) -> ConfigView {
        wire::view(&self.config).unwrap_or_default()
    }

    pub fn host_view(&self) -> HostView {
        wire::view(&self.host).unwrap_or_default()
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        self.config_view().labels
    }

    pub fn created_unix(&self) -> i64 {
        clock::parse_rfc3339(&self.created).map_or(0, |t| t.unix_timestamp())
    }
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    pub kind: Kind,
    /// Name of the volume.
    #[serde(default)]
    pub name: String,
    /// Host path.
    #[serde(default)]
    pub source: PathBuf,
    pub destination: String,
    /// As the user typed it: `ro,z`.
    #[serde(default)]
    pub mode: String,
    pub rw: bool,
    #[serde(default)]
    pub propagation: String,
    /// Fill an empty volume with what the image has there.
    #[serde(default)]
    pub copy_up: bool,
    /// The volume was made for this container.
    #[serde(default)]
    pub anonymous: bool,
    #[serde(default)]
    pub tmpfs_size: u64,
    #[serde(default)]
    pub tmpfs_mode: Option<u32>,
    /// Whether inspect lists it (`HostConfig.Tmpfs` is not listed).
    #[serde(default = "yes")]
    pub listed: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Bind,
    Volume,
    Tmpfs,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bind => "bind",
            Kind::Volume => "volume",
            Kind::Tmpfs => "tmpfs",
        }
    }
}

/// What those who wait for a container see.
#[derive(Debug, Clone)]
pub struct Published {
    pub state: State,
    pub exit_code: i32,
    /// How often init has ended since the daemon knows the container.
    pub exits: u64,
    /// How often a start was tried, whatever came of it.
    pub attempts: u64,
    /// Set when the container is gone: the error, if its removal failed.
    pub removed: Option<Option<String>>,
}

/// A container in the daemon. Locks: `op` is held across awaits and orders starts, ends and removals; `record` and
/// `supervisor` are held for moments and never across an await.
#[derive(Debug)]
pub struct Container {
    pub id: String,
    /// `spec.json`, `state.json`, `log.json`, `delta/`.
    pub dir: PathBuf,
    /// `control.sock`, `p/`, `s/`.
    pub run_dir: PathBuf,
    pub record: RwLock<Record>,
    pub published: watch::Sender<Published>,
    pub op: tokio::sync::Mutex<()>,
    pub supervisor: Mutex<Option<Arc<Supervisor>>>,
    /// A supervisor that serves the files of a container that does not run.
    pub files: tokio::sync::Mutex<Option<Arc<Supervisor>>>,
    /// Attached clients.
    pub attached: AtomicUsize,
    /// Raised to call off a restart that waits for its time.
    pub restart_epoch: AtomicU64,
    /// A client stopped it: no policy restarts it until the next start.
    pub no_restart: AtomicBool,
    /// In the middle of a restart: its end removes nothing.
    pub keep: AtomicBool,
    /// Delay before the next restart by policy, milliseconds.
    pub backoff_ms: AtomicU64,
    /// Keeps the image's files while the container exists.
    pub hold: Mutex<Option<carrack_images::store::Hold>>,
    pub health: Mutex<Option<Health>>,
    /// Raised when the checks of the present run must end.
    pub health_epoch: AtomicU64,
}

/// The result of health checks since start.
#[derive(Debug, Clone, Default)]
pub struct Health {
    pub status: &'static str,
    pub streak: u32,
    pub log: Vec<Probe>,
}

/// One health check.
#[derive(Debug, Clone)]
pub struct Probe {
    pub start: String,
    pub end: String,
    pub exit_code: i32,
    pub output: String,
}

impl Container {
    pub fn new(record: Record, dir: PathBuf, run_dir: PathBuf) -> Container {
        let published = Published {
            state: record.state,
            exit_code: record.exit_code,
            exits: 0,
            attempts: 0,
            removed: None,
        };
        Container {
            id: record.id.clone(),
            dir,
            run_dir,
            record: RwLock::new(record),
            published: watch::Sender::new(published),
            op: tokio::sync::Mutex::default(),
            supervisor: Mutex::default(),
            files: tokio::sync::Mutex::default(),
            attached: AtomicUsize::new(0),
            restart_epoch: AtomicU64::new(0),
            no_restart: AtomicBool::new(false),
            keep: AtomicBool::new(false),
            backoff_ms: AtomicU64::new(0),
            hold: Mutex::default(),
            health: Mutex::default(),
            health_epoch: AtomicU64::new(0),
        }
    }

    pub fn state(&self) -> State {
        self.record.read().state
    }

    pub fn name(&self) -> String {
        self.record.read().name.clone()
    }

    pub fn socket(&self) -> PathBuf {
        self.run_dir.join("control.sock")
    }

    pub fn log_path(&self) -> PathBuf {
        self.dir.join("log.json")
    }

    pub fn state_path(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    /// What `state.json` says, the word of the last supervisor.
    pub fn last_words(&self) -> Option<carrack_emu::control::State> {
        read_json(&self.state_path()).ok()
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}
