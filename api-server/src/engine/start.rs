//! Starting a container: its supervisor, then its init.

use super::Engine;
use super::clock;
use super::error::Result;
use super::life::{Request, State};
use super::record::{Container, Record};
use super::start_error::{start_error, start_exit_code};
use super::supervisor::{Conversation, Supervisor, read_line};
use carrack_emu::control::{self, Event, Reply, Request as Ask, Status};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

impl Engine {
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
    pub(super) async fn launch(self: &Arc<Self>, c: &Arc<Container>) -> Result<()> {
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
    pub(super) async fn ensure_supervisor(&self, c: &Container) -> Result<Arc<Supervisor>> {
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
