//! What a new daemon does with the containers of the one before it.

use super::Engine;
use super::drive::killed;
use super::life::State;
use super::record::Container;
use super::store::Bucket;
use super::supervisor::{Conversation, Supervisor, read_line};
use super::volumes;
use carrack_emu::control::{self, Event, Request as Ask, Status};
use std::collections::HashSet;
use std::sync::Arc;

impl Engine {
    /// Deletes directories of containers whose creation was cut off before their record was written. They never ran; those
    /// that have a `spec.json` did, and are somebody else's: of `carrack run`.
    fn sweep_directories(&self) {
        let recorded: HashSet<String> = match self.store.list(Bucket::Containers) {
            Ok(rows) => rows.into_iter().map(|(key, _)| key).collect(),
            Err(e) => return tracing::warn!(error = %e, "nothing is swept up"),
        };
        let root = self.settings.data_root.join("containers");
        for entry in std::fs::read_dir(&root).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(id) = name.to_str().filter(|n| n.len() == 64 && !recorded.contains(*n)) else {
                continue;
            };
            let is_ours =
                id.bytes().all(|b| b.is_ascii_hexdigit()) && !entry.path().join("spec.json").exists();
            if is_ours && entry.file_type().is_ok_and(|t| t.is_dir()) {
                tracing::info!(container = id, "sweeping up after a creation that was cut off");
                if let Err(e) = volumes::remove_tree(&entry.path()) {
                    tracing::warn!(container = id, error = %e, "its directory stays behind");
                }
            }
        }
    }

    /// Finds the containers of the daemon before this one: reconnects to those that run, records the end of those that
    /// ended meanwhile, finishes removals, and applies restart policies.
    pub async fn adopt(self: &Arc<Self>) {
        self.sweep_directories();
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
