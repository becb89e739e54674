//! The container's state: who may know it, and how it is kept in `state.json`.

use super::reactor::Handle;
use crate::control::{Event, ExecState, State, Status};
use parking_lot::Mutex;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Ended execs can be inspected for this long (Docker's clients look right after the stream ended).
const KEEP_ENDED_EXECS: Duration = Duration::from_secs(300);

/// The one copy of the state; every change goes to `state.json` and to those who listen to events.
#[derive(Debug)]
pub(super) struct StateStore {
    inner: Mutex<Inner>,
    path: PathBuf,
    reactor: Handle,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// When execs ended, by id.
    ended: Vec<(String, Instant)>,
}

impl StateStore {
    pub(super) fn new(container_dir: &Path, reactor: Handle) -> StateStore {
        let state = State { supervisor_pid: std::process::id() as i32, ..State::default() };
        StateStore {
            inner: Mutex::new(Inner { state, ended: Vec::new() }),
            path: container_dir.join("state.json"),
            reactor,
        }
    }

    pub(super) fn get(&self) -> State {
        self.inner.lock().state.clone()
    }

    pub(super) fn status(&self) -> Status {
        self.inner.lock().state.status
    }

    /// Changes the state, writes it down, tells listeners.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut inner = self.inner.lock();
        let result = change(&mut inner.state);
        self.publish(&inner.state);
        result
    }

    /// Changes the state only if `check` finds it fit; the check and the change are one step.
    pub(super) fn transition<E>(&self, change: impl FnOnce(&mut State) -> Result<(), E>) -> Result<(), E> {
        let mut inner = self.inner.lock();
        change(&mut inner.state)?;
        self.publish(&inner.state);
        Ok(())
    }

    fn publish(&self, state: &State) {
        if let Err(e) = write(&self.path, state) {
            tracing::error!("cannot write {}: {e}", self.path.display());
        }
        self.reactor.publish(Event::State { state: state.clone() });
    }

    /// Writes down the present state without telling anybody (at start, when there is nobody).
    pub(super) fn write_first(&self) -> io::Result<()> {
        write(&self.path, &self.inner.lock().state)
    }

    pub(super) fn add_exec(&self, exec: ExecState) {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        let stale: Vec<String> = inner
            .ended
            .iter()
            .filter(|(_, at)| now.duration_since(*at) > KEEP_ENDED_EXECS)
            .map(|(id, _)| id.clone())
            .collect();
        inner.ended.retain(|(id, _)| !stale.contains(id));
        inner.state.execs.retain(|e| !stale.contains(&e.id));
        inner.state.execs.push(exec);
        self.publish(&inner.state);
    }

    pub(super) fn exec(&self, id: &str) -> Option<ExecState> {
        self.inner.lock().state.execs.iter().find(|e| e.id == id).cloned()
    }

    /// Changes one exec; `None` when there is none such.
    pub(super) fn update_exec<R>(&self, id: &str, change: impl FnOnce(&mut ExecState) -> R) -> Option<R> {
        let mut inner = self.inner.lock();
        let exec = inner.state.execs.iter_mut().find(|e| e.id == id)?;
        let result = change(exec);
        if !exec.running && exec.exit_code.is_some() && !inner.ended.iter().any(|(e, _)| e == id) {
            inner.ended.push((id.to_owned(), Instant::now()));
        }
        self.publish(&inner.state);
        Some(result)
    }
}

/// Replaces the file at `path` in one step.
pub(super) fn write(path: &Path, state: &State) -> io::Result<()> {
    let temporary = path.with_extension("json.new");
    let mut file = std::fs::File::create(&temporary)?;
    let mut text = serde_json::to_vec(state)?;
    text.push(b'\n');
    file.write_all(&text)?;
    std::fs::rename(&temporary, path)
}

/// RFC 3339 with nanoseconds, UTC.
pub(super) fn now() -> String {
    rfc3339(time::OffsetDateTime::now_utc())
}

/// RFC 3339 with nine digits of fraction (what Go's RFC3339Nano prints, trailing zeros kept).
pub(super) fn rfc3339(t: time::OffsetDateTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.nanosecond()
    )
}
