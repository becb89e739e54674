//! Start, stop, end, restart, removal: everything that moves a container from one state to the next.
//!
//! Each running container has one driver task. It follows the supervisor's events; when init has ended it records that,
//! tells everybody, and applies the restart policy or the automatic removal. Requests act through the supervisor and then
//! wait for what the driver publishes, so there is one place only where a container ends.

use super::Engine;
use super::clock;
use super::error::{Error, Kind, Result};
use super::life::{self, Answer, Request, State};
use super::record::{Container, Published, Record};
use super::signals::{self, SIGKILL, SIGTERM};
use super::supervisor::{Conversation, Supervisor, read_line};
use carrack_emu::control::{self, ErrorKind, Event, Reply, Request as Ask, Status};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::sync::watch;

/// How long an init that got SIGKILL may take to be gone.
const KILL_TIME: Duration = Duration::from_secs(10);
/// A run at least this long makes the next restart by policy quick again.
const STEADY: time::Duration = time::Duration::seconds(10);
const MAX_BACKOFF_MS: u64 = 60_000;

/// When `wait` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

/// An attached client's way to the streams of init.
#[derive(Debug)]
pub struct Attachment {
    /// `None` when no supervisor could be started: the following `start` will say why.
    pub conversation: Option<Conversation>,
    pub published: watch::Receiver<Published>,
    pub guard: AttachGuard,
}

/// Counts an attached client; with the last one a supervisor that was never told to start goes away.
#[derive(Debug)]
pub struct AttachGuard {
    engine: Arc<Engine>,
    container: Arc<Container>,
}

impl Drop for AttachGuard {
    fn drop(&mut self) {
        if self.container.attached.fetch_sub(1, SeqCst) != 1 || self.container.state().is_up() {
            return;
        }
        let (engine, container) = (self.engine.clone(), self.container.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { engine.drop_idle_supervisor(&container).await });
        }
    }
}

/// What became of a container whose supervisor no longer talks.
enum PostMortem {
    Ended(control::State),
    Alive(Conversation),
}

impl Engine {
    fn allow(container: &Container, request: Request) -> Result<State> {
        match life::decide(container.state(), request) {
            Answer::Next(next) => Ok(next),
            Answer::Repeated => Err(Error::not_modified()),
            Answer::Denied(reason) => Err(reason.error(&container.id, &container.name())),
        }
    }

    /// `POST /containers/X/start`: returns when init has been executed, or could not be.
    pub async fn start(self: &Arc<Self>, c: &Arc<Container>) -> Result<()> {
        let _op = c.op.lock().await;
        Self::allow(c, Request::Start)?;
        c.restart_epoch.fetch_add(1, SeqCst);
        c.backoff_ms.store(0, SeqCst);
        c.no_restart.store(false, SeqCst);
        {
            let mut record = c.record.write();
            record.restart_count = 0;
            record.manually_stopped = false;
        }
        self.launch(c).await
    }

    /// Starts init. The caller holds `op`.
    async fn launch(self: &Arc<Self>, c: &Arc<Container>) -> Result<()> {
        let result = self.try_launch(c).await;
        if let Err(e) = &result {
            let (code, message) = (start_exit_code(e), e.message.clone());
            self.change(c, |r| {
                r.error = message;
                r.exit_code = code;
                if r.state == State::Restarting {
                    r.state = State::Exited;
                }
            });
            let idle = c.supervisor.lock().take();
            if let Some(supervisor) = idle {
                supervisor.shutdown().await;
            }
        }
        c.published.send_modify(|p| p.attempts += 1);
        if result.is_err() && c.record.read().host_view().auto_remove {
            self.destroy(c, true).await?;
        }
        result
    }

    async fn try_launch(self: &Arc<Self>, c: &Arc<Container>) -> Result<()> {
        self.check_network(&c.record.read())?;
        let mut supervisor = self.ensure_supervisor(c).await?;
        let mut events = match supervisor.stream(&Ask::Events).await {
            Ok(events) => events,
            Err(_) => {
                // One that was started for an attach has died meanwhile; a fresh one gets a chance.
                c.supervisor.lock().take();
                supervisor.shutdown().await;
                supervisor = self.ensure_supervisor(c).await?;
                supervisor.stream(&Ask::Events).await?
            }
        };
        if let (Reply::Error { kind, message }, _) = supervisor.open(&Ask::Start).await? {
            return Err(start_error(kind, message, &c.record.read().args));
        }
        let first = first_state(&mut events).await;
        let seen = first.clone().unwrap_or_default();
        self.change(c, |r| {
            r.state = State::Running;
            r.pid = seen.pid;
            r.exit_code = 0;
            r.error = String::new();
            r.oom_killed = false;
            r.started_at =
                if seen.started_at.is_empty() { clock::rfc3339(clock::now()) } else { seen.started_at };
        });
        self.network_event(c, "connect");
        self.container_event(c, "start", &[]);
        tokio::spawn(self.clone().drive(c.clone(), supervisor, events, first));
        self.start_health(c);
        Ok(())
    }

    /// A network that was named must exist when the container starts.
    fn check_network(&self, record: &Record) -> Result<()> {
        let mode = record.host_view().network_mode;
        match self.networks.find(&mode) {
            Ok(_) => Ok(()),
            Err(e) => Err(e.context("failed to set up container networking")),
        }
    }

    /// The container's supervisor, started if there is none. The caller holds `op`.
    async fn ensure_supervisor(&self, c: &Container) -> Result<Arc<Supervisor>> {
        let old = c.supervisor.lock().take();
        if let Some(old) = old {
            if !old.is_finished() && !old.has_ended() {
                *c.supervisor.lock() = Some(old.clone());
                return Ok(old);
            }
            // It is still handing the last output to slow readers; they have had their time.
            if !old.wait_end(Duration::from_secs(5)).await {
                old.shutdown().await;
            }
        }
        let files = c.files.lock().await.take();
        if let Some(files) = files {
            files.shutdown().await;
        }
        self.write_spec(c)?;
        let new = Arc::new(Supervisor::spawn(&self.settings.exe, &c.dir, &c.run_dir, false).await?);
        *c.supervisor.lock() = Some(new.clone());
        Ok(new)
    }

    /// The supervisor of a running container.
    pub(crate) fn live_supervisor(&self, c: &Container) -> Result<Arc<Supervisor>> {
        c.supervisor
            .lock()
            .clone()
            .filter(|s| !s.is_finished())
            .ok_or_else(|| life::Reason::NotRunning.error(&c.id, &c.name()))
    }

    async fn drop_idle_supervisor(&self, c: &Container) {
        let _op = c.op.lock().await;
        if c.attached.load(SeqCst) > 0 || c.state().is_up() {
            return;
        }
        let idle = c.supervisor.lock().take();
        if let Some(supervisor) = idle {
            supervisor.shutdown().await;
        }
    }

    /// The driver of one run: follows the supervisor's events until init has ended.
    fn drive(
        self: Arc<Self>,
        c: Arc<Container>,
        supervisor: Arc<Supervisor>,
        mut events: Conversation,
        first: Option<control::State>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut end = first.filter(|s| s.status == Status::Exited);
            while end.is_none() {
                match read_line::<Event>(&mut events).await {
                    Ok(Some(Event::State { state })) if state.status == Status::Exited => end = Some(state),
                    Ok(Some(Event::State { state })) => self.observe(&c, &state),
                    Ok(Some(Event::ExecDied { id, code })) => self.exec_died(&c, &id, code),
                    Ok(None) | Err(_) => match self.post_mortem(&c, &supervisor).await {
                        PostMortem::Ended(state) => end = Some(state),
                        PostMortem::Alive(again) => events = again,
                    },
                }
            }
            supervisor.finish();
            self.exited(&c, end.unwrap_or_default()).await;
        })
    }

    /// Takes over what the supervisor says of a living container.
    fn observe(&self, c: &Container, state: &control::State) {
        let next = match state.status {
            Status::Running => State::Running,
            Status::Paused => State::Paused,
            Status::Created | Status::Exited => return,
        };
        let record = c.record.read();
        let same = record.pid == state.pid && record.state == next;
        let alive = record.state.is_alive();
        drop(record);
        if alive && !same {
            self.change(c, |r| {
                r.pid = state.pid;
                r.state = next;
            });
        }
    }

    /// The events stream broke: did init end, did the supervisor die, or is it only us who were cut off?
    async fn post_mortem(&self, c: &Container, supervisor: &Supervisor) -> PostMortem {
        for _ in 0..100 {
            let words = c.last_words().unwrap_or_default();
            if words.status == Status::Exited {
                return PostMortem::Ended(words);
            }
            let gone = supervisor.has_ended() || !is_alive(words.supervisor_pid);
            if gone {
                // Once more: it may have written its last words between our two looks.
                let words = c.last_words().unwrap_or_default();
                if words.status == Status::Exited {
                    return PostMortem::Ended(words);
                }
                break;
            }
            if let Ok(again) = supervisor.stream(&Ask::Events).await {
                return PostMortem::Alive(again);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tracing::warn!(container = %c.id, "the supervisor died, and its container with it");
        PostMortem::Ended(killed())
    }

    /// Init has ended: record, tell, restart or remove.
    async fn exited(self: &Arc<Self>, c: &Arc<Container>, end: control::State) {
        let _op = c.op.lock().await;
        let before = c.record.read().clone();
        if before.state == State::Removing || c.published.borrow().removed.is_some() {
            return;
        }
        let host = before.host_view();
        let restarts = !c.no_restart.load(SeqCst) && restarts(&before, &host, end.exit_code);
        let now = clock::now();
        let finished_at =
            if end.finished_at.is_empty() { clock::rfc3339(now) } else { end.finished_at.clone() };
        self.stop_health(c);
        self.change(c, |r| {
            r.pid = 0;
            r.exit_code = end.exit_code;
            r.oom_killed = end.oom_killed;
            r.finished_at = finished_at;
            r.state = if restarts { State::Restarting } else { State::Exited };
        });
        self.execs_ended(c);
        self.network_event(c, "disconnect");
        if end.oom_killed {
            self.container_event(c, "oom", &[]);
        }
        let ran = clock::parse_rfc3339(&before.started_at).map_or(time::Duration::ZERO, |t| now - t);
        self.container_event(
            c,
            "die",
            &[
                ("exitCode", end.exit_code.to_string()),
                ("execDuration", ran.whole_seconds().max(0).to_string()),
            ],
        );
        c.published.send_modify(|p| p.exits += 1);
        if restarts {
            self.schedule_restart(c, ran);
        } else if host.auto_remove
            && !c.keep.load(SeqCst)
            && let Err(e) = self.destroy(c, true).await
        {
            tracing::error!(container = %c.id, error = %e, "the automatic removal failed");
        }
    }

    fn schedule_restart(self: &Arc<Self>, c: &Arc<Container>, ran: time::Duration) {
        let previous = c.backoff_ms.load(SeqCst);
        let delay = if ran >= STEADY || previous == 0 { 100 } else { (previous * 2).min(MAX_BACKOFF_MS) };
        c.backoff_ms.store(delay, SeqCst);
        let epoch = c.restart_epoch.load(SeqCst);
        let (engine, c) = (self.clone(), c.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            let _op = c.op.lock().await;
            if c.restart_epoch.load(SeqCst) != epoch || c.state() != State::Restarting {
                return;
            }
            c.record.write().restart_count += 1;
            if let Err(e) = engine.launch(&c).await {
                tracing::warn!(container = %c.id, error = %e, "a restart by policy failed");
            }
        });
    }

    /// Sends the signal and says so.
    async fn signal(&self, c: &Container, signal: i32) -> Result<()> {
        let supervisor = self.live_supervisor(c)?;
        supervisor.call(&Ask::Signal { signal, all: false }).await?;
        self.container_event(c, "kill", &[("signal", signal.to_string())]);
        Ok(())
    }

    fn stop_signal(record: &Record) -> i32 {
        signals::parse(&record.config_view().stop_signal).unwrap_or(SIGTERM)
    }

    /// Calls off whatever restart is planned, for good until the next start.
    fn forbid_restart(&self, c: &Container) {
        c.no_restart.store(true, SeqCst);
        c.restart_epoch.fetch_add(1, SeqCst);
        if !c.record.read().manually_stopped {
            self.change(c, |r| r.manually_stopped = true);
        }
    }

    /// `POST /containers/X/stop`. `timeout` in seconds, negative for ever; `signal` overrides the container's.
    pub async fn stop(
        self: &Arc<Self>,
        c: &Arc<Container>,
        signal: Option<i32>,
        timeout: Option<i64>,
    ) -> Result<()> {
        Self::allow(c, Request::Stop)?;
        self.forbid_restart(c);
        if self.cancel_restart(c).await {
            self.container_event(c, "stop", &[]);
            return Ok(());
        }
        let mut published = c.published.subscribe();
        let seen = published.borrow_and_update().exits;
        if !c.state().is_alive() {
            return Ok(());
        }
        let record = c.record.read().clone();
        let signal = signal.unwrap_or_else(|| Self::stop_signal(&record));
        let timeout = timeout.or(record.config_view().stop_timeout).unwrap_or(10);
        match self.signal(c, signal).await {
            Ok(()) => {}
            Err(_) if published.borrow().exits > seen => {}
            Err(e) => tracing::warn!(container = %c.id, error = %e, "the stop signal could not be sent"),
        }
        self.thaw(c).await;
        let ended = published.wait_for(|p| p.exits > seen || p.removed.is_some());
        let in_time = if timeout < 0 {
            ended.await.is_ok()
        } else {
            tokio::time::timeout(Duration::from_secs(timeout.unsigned_abs()), ended).await.is_ok()
        };
        if !in_time {
            self.kill_hard(c, seen).await?;
        }
        self.container_event(c, "stop", &[]);
        Ok(())
    }

    /// A paused container cannot act on a signal.
    async fn thaw(&self, c: &Container) {
        if c.state() == State::Paused
            && let Ok(supervisor) = self.live_supervisor(c)
            && supervisor.call(&Ask::Resume).await.is_ok()
            && c.state() == State::Paused
        {
            self.change(c, |r| r.state = State::Running);
        }
    }

    /// Ends the wait for a restart by policy. Says whether there was one.
    async fn cancel_restart(&self, c: &Container) -> bool {
        if c.state() != State::Restarting {
            return false;
        }
        let _op = c.op.lock().await;
        if c.state() != State::Restarting {
            return false;
        }
        self.change(c, |r| r.state = State::Exited);
        c.published.send_modify(|p| p.exits += 1);
        true
    }

    /// SIGKILL, and if the supervisor does not see to it, SIGKILL for the supervisor.
    async fn kill_hard(&self, c: &Container, seen: u64) -> Result<()> {
        let mut published = c.published.subscribe();
        let sent = tokio::time::timeout(KILL_TIME, self.signal(c, SIGKILL)).await;
        self.thaw(c).await;
        let mut gone = async || {
            tokio::time::timeout(KILL_TIME, published.wait_for(|p| p.exits > seen || p.removed.is_some()))
                .await
                .is_ok()
        };
        if matches!(sent, Ok(Ok(()))) && gone().await {
            return Ok(());
        }
        if published.borrow().exits > seen || published.borrow().removed.is_some() {
            return Ok(());
        }
        kill_supervisor(c);
        let mut gone = async || {
            tokio::time::timeout(KILL_TIME, published.wait_for(|p| p.exits > seen || p.removed.is_some()))
                .await
                .is_ok()
        };
        if gone().await {
            return Ok(());
        }
        Err(Error::internal(format!(
            "cannot stop container: {}: tried to kill container, but did not receive an exit event",
            c.id
        )))
    }

    /// `POST /containers/X/kill`.
    pub async fn kill(self: &Arc<Self>, c: &Arc<Container>, signal: i32) -> Result<()> {
        Self::allow(c, Request::Kill)?;
        let record = c.record.read().clone();
        let own = record.config_view().stop_signal;
        if own.is_empty() || signal == SIGKILL || signal == Self::stop_signal(&record) {
            self.forbid_restart(c);
        } else {
            self.change(c, |r| r.manually_stopped = true);
        }
        if self.cancel_restart(c).await {
            return Ok(());
        }
        let seen = c.published.borrow().exits;
        if signal == SIGKILL {
            return self.kill_hard(c, seen).await;
        }
        self.signal(c, signal).await?;
        if c.no_restart.load(SeqCst) {
            self.thaw(c).await;
        }
        Ok(())
    }

    /// `POST /containers/X/restart`.
    pub async fn restart(
        self: &Arc<Self>,
        c: &Arc<Container>,
        signal: Option<i32>,
        timeout: Option<i64>,
    ) -> Result<()> {
        let name = c.name();
        let failed = |e: Error| Error::internal(format!("Cannot restart container {name}: {}", e.message));
        if c.state().is_up() {
            c.keep.store(true, SeqCst);
            let stopped = self.stop(c, signal, timeout).await;
            match stopped {
                Err(e) if e.kind != Kind::NotModified => {
                    c.keep.store(false, SeqCst);
                    return Err(failed(e));
                }
                _ => {}
            }
        }
        let started = self.start(c).await;
        c.keep.store(false, SeqCst);
        match started {
            Err(e) if e.kind != Kind::NotModified => return Err(failed(e)),
            _ => {}
        }
        self.container_event(c, "restart", &[]);
        Ok(())
    }

    pub async fn pause(&self, c: &Container) -> Result<()> {
        let _op = c.op.lock().await;
        let next = Self::allow(c, Request::Pause)?;
        self.live_supervisor(c)?.call(&Ask::Pause).await?;
        self.change(c, |r| r.state = next);
        self.container_event(c, "pause", &[]);
        Ok(())
    }

    pub async fn unpause(&self, c: &Container) -> Result<()> {
        let _op = c.op.lock().await;
        let next = Self::allow(c, Request::Unpause)?;
        self.live_supervisor(c)?.call(&Ask::Resume).await?;
        self.change(c, |r| r.state = next);
        self.container_event(c, "unpause", &[]);
        Ok(())
    }

    /// `POST /containers/X/resize`.
    pub async fn resize(&self, c: &Container, rows: u16, cols: u16) -> Result<()> {
        Self::allow(c, Request::Resize)?;
        if rows == 0 && cols == 0 {
            return Ok(());
        }
        self.live_supervisor(c)?.call(&Ask::Resize { rows, cols }).await?;
        self.container_event(c, "resize", &[("height", rows.to_string()), ("width", cols.to_string())]);
        Ok(())
    }

    /// The titles and rows of `docker top`.
    pub async fn top(&self, c: &Container) -> Result<(Vec<String>, Vec<Vec<String>>)> {
        Self::allow(c, Request::Top)?;
        match self.live_supervisor(c)?.call(&Ask::Top).await? {
            Reply::Top { titles, processes } => {
                self.container_event(c, "top", &[]);
                Ok((titles, processes))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Attaches to init's streams. Before a start this brings the supervisor up, which keeps what is sent to it.
    pub async fn attach(
        self: &Arc<Self>,
        c: &Arc<Container>,
        stdin: bool,
        stdout: bool,
        stderr: bool,
    ) -> Result<Attachment> {
        Self::allow(c, Request::Attach)?;
        c.attached.fetch_add(1, SeqCst);
        let guard = AttachGuard { engine: self.clone(), container: c.clone() };
        let published = c.published.subscribe();
        let ask = Ask::Attach { stdin, stdout, stderr };
        let conversation = if c.state().is_alive() {
            Some(self.live_supervisor(c)?.stream(&ask).await?)
        } else {
            let _op = c.op.lock().await;
            let attached = match self.ensure_supervisor(c).await {
                Ok(supervisor) => supervisor.stream(&ask).await,
                Err(e) => Err(e),
            };
            attached
                .inspect_err(
                    |e| tracing::warn!(container = %c.id, error = %e, "cannot attach before the start"),
                )
                .ok()
        };
        Ok(Attachment { conversation, published, guard })
    }

    /// Waits as `POST /containers/X/wait` does: the exit code, and the error of a failed removal.
    pub async fn wait(
        mut published: watch::Receiver<Published>,
        condition: Condition,
    ) -> (i32, Option<String>) {
        let (seen, state) = {
            let now = published.borrow_and_update();
            (now.exits, now.state)
        };
        let met = published
            .wait_for(|p| match condition {
                Condition::NotRunning => !state.is_up() || p.exits > seen || p.removed.is_some(),
                Condition::NextExit => p.exits > seen || p.removed.is_some(),
                Condition::Removed => p.removed.is_some(),
            })
            .await
            .map(|p| (p.exit_code, p.removed.clone().flatten()));
        match met {
            Ok((code, error)) if condition == Condition::Removed => (code, error),
            Ok((code, _)) => (code, None),
            Err(_) => (-1, Some("the container is gone".into())),
        }
    }

    /// `DELETE /containers/X`.
    pub async fn remove(self: &Arc<Self>, c: &Arc<Container>, force: bool, volumes: bool) -> Result<()> {
        Self::allow(c, Request::Remove { force })?;
        if c.state().is_up() {
            self.forbid_restart(c);
            if !self.cancel_restart(c).await {
                let seen = c.published.borrow().exits;
                if c.state().is_alive() {
                    self.kill_hard(c, seen).await?;
                }
            }
        }
        let _op = c.op.lock().await;
        if c.published.borrow().removed.as_ref().is_some_and(Option::is_none) {
            return Ok(());
        }
        let auto = c.record.read().host_view().auto_remove;
        self.destroy(c, volumes || auto).await
    }

    /// Removes everything of a container that does not run. The caller holds `op`.
    async fn destroy(&self, c: &Container, volumes: bool) -> Result<()> {
        self.change(c, |r| r.state = State::Removing);
        let supervisor = c.supervisor.lock().take();
        if let Some(supervisor) = supervisor {
            if supervisor.is_finished() {
                supervisor.wait_end(Duration::from_secs(5)).await;
            }
            supervisor.shutdown().await;
        }
        let files = c.files.lock().await.take();
        if let Some(files) = files {
            files.shutdown().await;
        }
        let (dir, run_dir) = (c.dir.clone(), c.run_dir.clone());
        let removed = tokio::task::spawn_blocking(move || {
            super::volumes::remove_tree(&run_dir)?;
            super::volumes::remove_tree(&dir)
        })
        .await
        .unwrap_or_else(|e| Err(Error::internal(e.to_string())))
        .and_then(|()| self.store.delete(super::store::Bucket::Containers, &c.id));
        if let Err(e) = removed {
            let message = e.message.clone();
            self.change(c, |r| {
                r.state = State::Dead;
                r.error = message.clone();
            });
            c.published.send_modify(|p| p.removed = Some(Some(e.message.clone())));
            return Err(e);
        }
        self.execs.lock().retain(|_, e| e.container != c.id);
        self.containers.write().remove(&c.id);
        c.hold.lock().take();
        let record = c.record.read().clone();
        self.release_name(&record.name, &c.id);
        if volumes {
            for mount in record.mounts.iter().filter(|m| m.anonymous) {
                if self.volume_users(&mount.name).is_empty()
                    && let Ok(volume) = self.volumes.get(&mount.name)
                {
                    match self.volumes.remove(&mount.name) {
                        Ok(()) => self.volume_event(&volume, "destroy", ""),
                        Err(e) => {
                            tracing::warn!(volume = %mount.name, error = %e, "an anonymous volume stays behind")
                        }
                    }
                }
            }
        }
        if self.images.is_nameless(&record.image_id) {
            let usage = self.image_usage();
            self.images.sweep(&|id| usage.get(id).cloned());
        }
        self.container_event(c, "destroy", &[]);
        c.published.send_modify(|p| p.removed = Some(None));
        Ok(())
    }

    fn network_event(&self, c: &Container, action: &str) {
        let mode = c.record.read().host_view().network_mode;
        if let Ok(network) = self.networks.find(&mode) {
            let attributes = [
                ("container".to_string(), c.id.clone()),
                ("name".to_string(), network.name.clone()),
                ("type".to_string(), network.driver.clone()),
            ];
            self.events.send("network", action, &network.id, attributes.into());
        }
    }

    /// Finds the containers of the daemon before this one: reconnects to those that run, records the end of those that
    /// ended meanwhile, finishes removals, and applies restart policies.
    pub async fn adopt(self: &Arc<Self>) {
        let mut all = self.all();
        all.reverse();
        for c in all {
            match c.state() {
                State::Removing => {
                    let _op = c.op.lock().await;
                    let auto = c.record.read().host_view().auto_remove;
                    if let Err(e) = self.destroy(&c, auto).await {
                        tracing::error!(container = %c.id, error = %e, "a removal that was begun cannot be finished");
                    }
                    continue;
                }
                State::Dead => continue,
                _ => {}
            }
            let supervisor = Arc::new(Supervisor::adopt(c.socket()));
            match supervisor.stream(&Ask::Events).await {
                Ok(mut events) => {
                    let state = match read_line::<Event>(&mut events).await {
                        Ok(Some(Event::State { state })) => state,
                        _ => c.last_words().unwrap_or_default(),
                    };
                    match state.status {
                        Status::Running | Status::Paused => {
                            self.take_over(&c, supervisor, events, state);
                            continue;
                        }
                        Status::Exited => {
                            supervisor.finish();
                            *c.supervisor.lock() = Some(supervisor);
                            if c.state().is_alive() {
                                self.exited(&c, state).await;
                            }
                        }
                        // Started for an attach; who attached is gone.
                        Status::Created => supervisor.shutdown().await,
                    }
                }
                Err(_) if c.state().is_alive() => {
                    let end = c.last_words().filter(|s| s.status == Status::Exited).unwrap_or_else(killed);
                    self.exited(&c, end).await;
                }
                Err(_) => {}
            }
            self.restart_at_boot(&c).await;
        }
    }

    fn take_over(
        self: &Arc<Self>,
        c: &Arc<Container>,
        supervisor: Arc<Supervisor>,
        events: Conversation,
        state: control::State,
    ) {
        *c.supervisor.lock() = Some(supervisor.clone());
        self.change(c, |r| {
            r.pid = state.pid;
            r.started_at = state.started_at.clone();
            r.state = if state.status == Status::Paused { State::Paused } else { State::Running };
        });
        self.learn_execs(c, &state.execs);
        tracing::info!(container = %c.id, pid = state.pid, "found a running container");
        tokio::spawn(self.clone().drive(c.clone(), supervisor, events, None));
        self.start_health(c);
    }

    async fn restart_at_boot(self: &Arc<Self>, c: &Arc<Container>) {
        let record = c.record.read().clone();
        let policy = record.host_view().restart_policy.name;
        let wanted = match (policy.as_str(), record.state) {
            (_, State::Restarting) => {
                self.change(c, |r| r.state = State::Exited);
                policy != "no"
            }
            ("always", State::Exited) => true,
            ("unless-stopped", State::Exited) => !record.manually_stopped,
            _ => false,
        };
        if wanted && let Err(e) = self.start(c).await {
            tracing::warn!(container = %c.id, error = %e, "a restart by policy failed");
        }
    }
}

/// The state of a container whose supervisor died with it.
fn killed() -> control::State {
    control::State { status: Status::Exited, exit_code: 137, ..control::State::default() }
}

/// Reads events until init runs, or has run already.
async fn first_state(events: &mut Conversation) -> Option<control::State> {
    let read = async {
        loop {
            match read_line::<Event>(events).await {
                Ok(Some(Event::State { state })) if state.status != Status::Created => return Some(state),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(2), read).await.ok().flatten()
}

fn restarts(record: &Record, host: &super::wire::HostView, exit_code: i32) -> bool {
    let policy = &host.restart_policy;
    match policy.name.as_str() {
        "always" => true,
        "unless-stopped" => !record.manually_stopped,
        "on-failure" => {
            exit_code != 0
                && (policy.maximum_retry_count == 0
                    || i64::from(record.restart_count) < policy.maximum_retry_count)
        }
        _ => false,
    }
}

pub(crate) fn unexpected(reply: &Reply) -> Error {
    Error::internal(format!("the container's supervisor gave an answer to another question: {reply:?}"))
}

/// The sentence for a start that failed. Clients take their exit status from its words: "executable file not found" and
/// "no such file or directory" mean 127, "permission denied" and "is a directory" mean 126; so no other failure may
/// contain them.
fn start_error(kind: ErrorKind, message: String, args: &[String]) -> Error {
    let program = args.first().map(String::as_str).unwrap_or_default();
    let (kind, message) = match kind {
        ErrorKind::CommandNotFound => {
            let known = ["executable file not found", "no such file or directory"];
            let message = if known.iter().any(|k| message.contains(k)) {
                message
            } else if program.contains('/') {
                format!("exec: {program:?}: stat {program}: no such file or directory")
            } else {
                format!("exec: {program:?}: executable file not found in $PATH")
            };
            (Kind::Invalid, message)
        }
        ErrorKind::CommandNotExecutable => {
            let message = if message.contains("permission denied") {
                message
            } else if message.contains("is a directory") {
                format!("{message}: permission denied")
            } else {
                format!("exec: {program:?}: {message}: permission denied")
            };
            (Kind::Invalid, message)
        }
        other => {
            let mut message = message;
            for (word, instead) in [
                ("permission denied", "not permitted"),
                ("Permission denied", "not permitted"),
                ("is a directory", "names a directory"),
                ("Is a directory", "names a directory"),
                ("no such file or directory", "not found"),
                ("No such file or directory", "not found"),
                ("executable file not found", "program missing"),
            ] {
                message = message.replace(word, instead);
            }
            (if other == ErrorKind::Invalid { Kind::Invalid } else { Kind::Internal }, message)
        }
    };
    Error::new(
        kind,
        format!(
            "failed to create task for container: OCI runtime create failed: unable to start container process: {message}: unknown"
        ),
    )
}

/// The exit code that Docker records for a start that failed, told by the same words as the client's.
fn start_exit_code(e: &Error) -> i32 {
    let has = |words: &[&str]| words.iter().any(|w| e.message.contains(w));
    if has(&["executable file not found", "no such file or directory", "not a directory"]) {
        127
    } else if has(&["permission denied", "is a directory"]) {
        126
    } else {
        128
    }
}

fn is_alive(pid: i32) -> bool {
    rustix::process::Pid::from_raw(pid)
        .is_some_and(|pid| pid.as_raw_nonzero().get() > 0 && rustix::process::test_kill_process(pid).is_ok())
}

/// Kills the supervisor; its guardian then sweeps the container. Only if the process is what we think it is.
fn kill_supervisor(c: &Container) {
    let Some(state) = c.last_words() else { return };
    let command = std::fs::read(format!("/proc/{}/cmdline", state.supervisor_pid)).unwrap_or_default();
    let is_ours = command.windows(c.id.len()).any(|w| w == c.id.as_bytes());
    if let Some(pid) = rustix::process::Pid::from_raw(state.supervisor_pid).filter(|_| is_ours) {
        tracing::warn!(container = %c.id, "the supervisor does not answer and is killed");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_errors_speak_the_words_that_clients_parse() {
        let args = vec!["nosuch".to_string()];
        let e = start_error(ErrorKind::CommandNotFound, "not found".into(), &args);
        assert!(e.message.contains("OCI runtime create failed"));
        assert!(e.message.contains("exec: \"nosuch\": executable file not found in $PATH"));
        assert_eq!((e.kind, start_exit_code(&e)), (Kind::Invalid, 127));
        let e =
            start_error(ErrorKind::CommandNotExecutable, "it is no program".into(), &["/etc".to_string()]);
        assert_eq!(start_exit_code(&e), 126);
        let e = start_error(ErrorKind::Host, "mmap: Permission denied".into(), &args);
        assert_eq!((e.kind, start_exit_code(&e)), (Kind::Internal, 128));
    }
}
