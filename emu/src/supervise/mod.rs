//! The supervisor process: everything around the kernel personality of one container.
//!
//! ```text
//!  carrack supervise DIR
//!    guardian ── waits for the supervisor; sweeps whatever it leaves behind        (guardian)
//!      └─ supervisor
//!           main thread   the reactor: standard streams, log, attached clients,
//!                         exits of init and of execs, waiters, event streams       (reactor)
//!           8 workers     accept on the control socket, carry out short requests   (server)
//!           kernel        threads that receive and answer system calls             (platform)
//!           └─ init, execs and everything they fork
//! ```
//!
//! All threads are made before init starts: a guest that forks until the user's process limit is reached must not be
//! able to stop the supervisor from answering. The reactor is the main thread because orphans are given to the first
//! thread of a child subreaper, and only that thread may reap them without stealing ptrace stops from others.

mod archive;
mod archive_put;
mod capabilities;
mod copy_up;
mod env;
mod exec;
mod guardian;
mod limits;
mod log;
mod paths;
mod procfs;
mod reactor;
mod rootfs;
mod server;
mod signals;
mod state;
mod stdio;
mod stream;
mod supervisor;
mod top;
mod user;

use crate::control::{ErrorKind, Reply, Spec};
use std::io::Write;
use std::path::Path;

pub use guardian::descendants;

/// What a supervisor is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Run the container.
    Run,
    /// Serve the files of a container that does not run (archives, changes, export); ends when nobody asks any more.
    Files,
}

/// What else a supervisor is told by whoever starts it.
#[derive(Debug, Default)]
pub struct Options {
    /// Print every notified call here (`carrack trace`).
    pub trace: Option<rustix::fd::OwnedFd>,
    /// Remove the container's directories when it has ended.
    pub is_temporary: bool,
}

/// Why a supervisor could not come up, or a request failed: the control protocol's kinds with a text for people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: ErrorKind,
    pub message: String,
}

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into() }
    }

    fn host(what: &str, error: impl std::fmt::Display) -> Failure {
        Failure::new(ErrorKind::Host, format!("{what}: {error}"))
    }
}

impl From<Failure> for Reply {
    fn from(f: Failure) -> Reply {
        Reply::Error { kind: f.kind, message: f.message }
    }
}

/// Reads `spec.json` of a container.
pub fn read_spec(container_dir: &Path) -> Result<Spec, Failure> {
    let path = container_dir.join("spec.json");
    let text = std::fs::read(&path)
        .map_err(|e| Failure::new(ErrorKind::NotFound, format!("cannot read {}: {e}", path.display())))?;
    let spec: Spec = serde_json::from_slice(&text).map_err(|e| {
        Failure::new(ErrorKind::Invalid, format!("{} is not a container's spec: {e}", path.display()))
    })?;
    if spec.args.is_empty() {
        return Err(Failure::new(ErrorKind::Invalid, "no command specified"));
    }
    if spec.id.len() < 12 || !spec.id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Failure::new(ErrorKind::Invalid, format!("{:?} is not a container id", spec.id)));
    }
    Ok(spec)
}

/// Becomes the guardian of a new supervisor for the container in `container_dir`; returns when it has ended.
///
/// Must be called while the process has a single thread. The caller has made the process a session leader. Descriptor 1
/// gets one line, `ready` or an error [`Reply`], and is then closed. The result is the process's exit code: 0 when the
/// container ended, 125 when the supervisor could not come up.
pub fn supervise(container_dir: &Path, mode: Mode, options: Options) -> u8 {
    let spec = match read_spec(container_dir) {
        Ok(spec) => spec,
        Err(failure) => return refuse(failure),
    };
    if mode == Mode::Files {
        return match supervisor::run(spec, mode, options) {
            Ok(()) => 0,
            Err(failure) => refuse(failure),
        };
    }
    match guardian::fork() {
        Err(e) => refuse(Failure::host("cannot fork the supervisor", e)),
        Ok(guardian::Side::Guardian { supervisor }) => {
            let leftovers = match options.is_temporary {
                true => vec![spec.run_dir, spec.container_dir],
                false => Vec::new(),
            };
            guardian::watch(supervisor, container_dir, &leftovers)
        }
        Ok(guardian::Side::Supervisor) => match supervisor::run(spec, mode, options) {
            Ok(()) => 0,
            Err(failure) => refuse(failure),
        },
    }
}

/// Tells the starter why there is no supervisor.
fn refuse(failure: Failure) -> u8 {
    tracing::error!("{failure}");
    if let Ok(mut line) = serde_json::to_vec(&Reply::from(failure)) {
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        // Nobody may be listening any more; the exit code still tells.
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
    125
}
