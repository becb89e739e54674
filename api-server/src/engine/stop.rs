//! Stop, kill, restart on request.
//!
//! These only send signals and wait: that the container has ended is found out by its driver.

use super::Engine;
use super::error::{Error, Kind, Result};
use super::life::{Request, State};
use super::record::{Container, Record};
use super::signals::{self, SIGKILL, SIGTERM};
use carrack_emu::control::Request as Ask;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How long an init that got SIGKILL may take to be gone.
const KILL_TIME: Duration = Duration::from_secs(10);

impl Engine {
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
    pub(super) fn forbid_restart(&self, c: &Container) {
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
    pub(super) async fn cancel_restart(&self, c: &Container) -> bool {
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
    pub(super) async fn kill_hard(&self, c: &Container, seen: u64) -> Result<()> {
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
