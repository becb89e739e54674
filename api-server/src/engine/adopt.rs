//! What a new daemon does with the containers of the one before it.

use super::Engine;
use super::drive::killed;
use super::life::State;
use super::record::Container;
use super::supervisor::{Conversation, Supervisor, read_line};
use carrack_emu::control::{self, Event, Request as Ask, Status};
use std::sync::Arc;

impl Engine {
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
