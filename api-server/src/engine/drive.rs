//! The driver of a run: follows the supervisor's events; when init has ended it records that, tells everybody, and
//! applies the restart policy or the automatic removal.

use super::Engine;
use super::clock;
use super::life::State;
use super::record::{Container, Record};
use super::supervisor::{Conversation, Supervisor, read_line};
use carrack_emu::control::{self, Event, Request as Ask, Status};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// A run at least this long makes the next restart by policy quick again.
const STEADY: time::Duration = time::Duration::seconds(10);
const MAX_BACKOFF_MS: u64 = 60_000;

/// What became of a container whose supervisor no longer talks.
enum PostMortem {
    Ended(control::State),
    Alive(Conversation),
}

impl Engine {
    /// The driver of one run: follows the supervisor's events until init has ended.
    pub(super) fn drive(
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
    pub(super) async fn exited(self: &Arc<Self>, c: &Arc<Container>, end: control::State) {
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
}

/// The state of a container whose supervisor died with it.
pub(super) fn killed() -> control::State {
    control::State { status: Status::Exited, exit_code: 137, ..control::State::default() }
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

fn is_alive(pid: i32) -> bool {
    rustix::process::Pid::from_raw(pid)
        .is_some_and(|pid| pid.as_raw_nonzero().get() > 0 && rustix::process::test_kill_process(pid).is_ok())
}
