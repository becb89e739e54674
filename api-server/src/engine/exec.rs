//! Processes that join a running container.
//!
//! The supervisor keeps them; the daemon remembers what it needs to answer an inspect after they, or the whole container,
//! have ended.

use super::Engine;
use super::error::{Error, Kind, Result};
use super::life::{self, Answer, Request};
use super::record::Container;
use super::run::unexpected;
use super::supervisor::Conversation;
pub use carrack_emu::control::ExecSpec;
use carrack_emu::control::{ErrorKind, ExecState, Reply, Request as Ask};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an ended exec can still be inspected.
const KEEP: Duration = Duration::from_secs(600);

#[derive(Debug, Clone)]
pub struct Exec {
    pub id: String,
    pub container: String,
    pub spec: ExecSpec,
    pub detach_keys: String,
    pub started: bool,
    pub running: bool,
    pub pid: i32,
    pub exit_code: Option<i32>,
    pub ended: Option<Instant>,
}

impl Exec {
    fn new(id: String, container: &str, spec: ExecSpec) -> Exec {
        Exec {
            id,
            container: container.to_string(),
            spec,
            detach_keys: String::new(),
            started: false,
            running: false,
            pid: 0,
            exit_code: None,
            ended: None,
        }
    }

    fn apply(&mut self, state: &ExecState) {
        self.running = state.running;
        self.pid = state.pid;
        if state.running || state.exit_code.is_some() {
            self.started = true;
        }
        if let Some(code) = state.exit_code {
            self.exit_code = Some(code);
            self.ended.get_or_insert_with(Instant::now);
        }
    }

    fn end(&mut self, code: i32) {
        self.running = false;
        self.exit_code = Some(code);
        self.ended = Some(Instant::now());
    }
}

impl Engine {
    /// `POST /containers/X/exec`.
    pub async fn exec_create(&self, c: &Container, spec: ExecSpec, detach_keys: String) -> Result<String> {
        if spec.args.is_empty() {
            return Err(Error::invalid("No exec command specified"));
        }
        if let Answer::Denied(reason) = life::decide(c.state(), Request::Exec) {
            return Err(reason.error(&c.id, &c.name()));
        }
        let command = spec.args.join(" ");
        let id = match self.live_supervisor(c)?.call(&Ask::Exec { exec: spec.clone() }).await? {
            Reply::Exec { id } => id,
            other => return Err(unexpected(&other)),
        };
        let mut execs = self.execs.lock();
        execs.retain(|_, e| e.ended.is_none_or(|t| t.elapsed() < KEEP));
        execs.insert(id.clone(), Exec { detach_keys, ..Exec::new(id.clone(), &c.id, spec) });
        drop(execs);
        self.container_event(c, &format!("exec_create: {command}"), &[("execID", id.clone())]);
        Ok(id)
    }

    /// The exec and its container, or 404.
    pub fn exec(&self, id: &str) -> Result<(Exec, Arc<Container>)> {
        let missing = || Error::not_found(format!("No such exec instance: {id}"));
        let exec = self.execs.lock().get(id).cloned().ok_or_else(missing)?;
        let container = self.containers.read().get(&exec.container).cloned().ok_or_else(missing)?;
        Ok((exec, container))
    }

    /// Claims the one start that an exec has.
    pub fn exec_claim(&self, id: &str) -> Result<(Exec, Arc<Container>)> {
        let (exec, c) = self.exec(id)?;
        if let Answer::Denied(reason) = life::decide(c.state(), Request::Exec) {
            return Err(reason.error(&c.id, &c.name()));
        }
        let mut execs = self.execs.lock();
        if let Some(e) = execs.get_mut(id) {
            if e.started {
                let what = if e.running { "is already running" } else { "has already run" };
                return Err(Error::conflict(format!("exec command {id} {what}")));
            }
            e.started = true;
        }
        Ok((exec, c))
    }

    /// Starts a claimed exec with its streams; the error is the text for the client's stream.
    pub async fn exec_attach(&self, exec: &Exec, c: &Container) -> Result<Conversation> {
        self.exec_event(exec, c);
        let (reply, conversation) =
            self.live_supervisor(c)?.open(&Ask::ExecAttach { id: exec.id.clone() }).await?;
        self.exec_begun(exec, reply)?;
        Ok(conversation)
    }

    /// Starts a claimed exec without streams.
    pub async fn exec_detached(&self, exec: &Exec, c: &Container) -> Result<()> {
        self.exec_event(exec, c);
        let (reply, _) = self.live_supervisor(c)?.open(&Ask::ExecStart { id: exec.id.clone() }).await?;
        self.exec_begun(exec, reply)
    }

    fn exec_begun(&self, exec: &Exec, reply: Reply) -> Result<()> {
        if let Reply::Error { kind, message } = reply {
            let (code, kind) = match kind {
                ErrorKind::CommandNotFound => (127, Kind::Invalid),
                ErrorKind::CommandNotExecutable => (126, Kind::Invalid),
                ErrorKind::Invalid => (126, Kind::Invalid),
                _ => (128, Kind::Internal),
            };
            if let Some(e) = self.execs.lock().get_mut(&exec.id) {
                e.end(code);
            }
            return Err(Error::new(
                kind,
                format!(
                    "OCI runtime exec failed: exec failed: unable to start container process: {message}: unknown"
                ),
            ));
        }
        if let Some(e) = self.execs.lock().get_mut(&exec.id) {
            e.running = e.exit_code.is_none();
        }
        Ok(())
    }

    /// Told before the start, so that the end can never be told first.
    fn exec_event(&self, exec: &Exec, c: &Container) {
        let command = exec.spec.args.join(" ");
        self.container_event(c, &format!("exec_start: {command}"), &[("execID", exec.id.clone())]);
    }

    /// Waits until the exec has ended, so that its exit code is there before the client sees the end of the stream.
    pub async fn exec_wait(&self, exec: &Exec, c: &Container) {
        if let Ok(supervisor) = self.live_supervisor(c)
            && let Ok(Reply::Exited { code }) = supervisor.call(&Ask::ExecWait { id: exec.id.clone() }).await
        {
            self.exec_died(c, &exec.id, code);
        }
    }

    /// The exec as of now.
    pub async fn exec_inspect(&self, id: &str) -> Result<Exec> {
        let (exec, c) = self.exec(id)?;
        if exec.exit_code.is_some() {
            return Ok(exec);
        }
        if let Ok(supervisor) = self.live_supervisor(&c)
            && let Ok(Reply::ExecState { state }) =
                supervisor.call(&Ask::ExecState { id: id.to_string() }).await
            && let Some(e) = self.execs.lock().get_mut(id)
        {
            let claimed = e.started;
            e.apply(&state);
            e.started |= claimed;
            return Ok(e.clone());
        }
        Ok(exec)
    }

    /// `POST /exec/ID/resize`: waits for the start, as clients resize right away.
    pub async fn exec_resize(&self, id: &str, rows: u16, cols: u16) -> Result<()> {
        self.exec(id)?;
        if rows == 0 && cols == 0 {
            return Ok(());
        }
        for _ in 0..200 {
            let (exec, c) = self.exec(id)?;
            if exec.running {
                let resize = Ask::ExecResize { id: id.to_string(), rows, cols };
                return self.live_supervisor(&c)?.call(&resize).await.map(drop);
            }
            if exec.exit_code.is_some() {
                return Err(Error::invalid("exec process is not started"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::internal("timeout waiting for exec session ready"))
    }

    pub(crate) fn exec_died(&self, c: &Container, id: &str, code: i32) {
        let is_news = match self.execs.lock().get_mut(id) {
            Some(e) if e.exit_code.is_none() => {
                e.end(code);
                true
            }
            _ => false,
        };
        if is_news {
            self.container_event(
                c,
                "exec_die",
                &[("execID", id.to_string()), ("exitCode", code.to_string())],
            );
        }
    }

    /// The container has ended, and every exec with it.
    pub(crate) fn execs_ended(&self, c: &Container) {
        for e in self.execs.lock().values_mut() {
            if e.container == c.id && e.exit_code.is_none() {
                e.end(137);
            }
        }
    }

    /// Execs that an earlier daemon made.
    pub(crate) fn learn_execs(&self, c: &Container, states: &[ExecState]) {
        let mut execs = self.execs.lock();
        for state in states {
            let exec = execs
                .entry(state.id.clone())
                .or_insert_with(|| Exec::new(state.id.clone(), &c.id, state.spec.clone()));
            exec.apply(state);
        }
    }

    /// Ids of the container's execs that run.
    pub fn exec_ids(&self, c: &Container) -> Vec<String> {
        self.execs
            .lock()
            .values()
            .filter(|e| e.container == c.id && e.running)
            .map(|e| e.id.clone())
            .collect()
    }
}
