//! Health checks: a task per running container that has one.

use super::Engine;
use super::clock;
use super::life::State;
use super::record::{Container, Health, Probe};
use super::wire::Healthcheck;
use carrack_emu::control::{ExecSpec, Reply, Request as Ask};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::io::AsyncReadExt;

const MAX_OUTPUT: usize = 4096;
const KEEP: usize = 5;

fn nanos(value: i64, default_s: u64) -> Duration {
    if value > 0 { Duration::from_nanos(value.unsigned_abs()) } else { Duration::from_secs(default_s) }
}

/// The command of a check; `None` when there is none.
pub(crate) fn command(check: &Healthcheck, shell: Option<&[String]>) -> Option<Vec<String>> {
    let (kind, rest) = check.test.split_first()?;
    match kind.as_str() {
        "CMD" => Some(rest.to_vec()),
        "CMD-SHELL" => {
            let default = ["/bin/sh".to_string(), "-c".to_string()];
            let mut words = shell.filter(|s| !s.is_empty()).unwrap_or(&default).to_vec();
            words.push(rest.first()?.clone());
            Some(words)
        }
        _ => None,
    }
}

impl Engine {
    /// Begins to look after a container that has just started.
    pub(crate) fn start_health(self: &Arc<Self>, c: &Arc<Container>) {
        let config = c.record.read().config_view();
        let Some(check) = config.healthcheck else { return };
        let Some(args) = command(&check, config.shell.as_deref()) else { return };
        *c.health.lock() = Some(Health { status: "starting", streak: 0, log: Vec::new() });
        let epoch = c.health_epoch.fetch_add(1, SeqCst) + 1;
        let (engine, c) = (self.clone(), c.clone());
        tokio::spawn(async move { engine.check_health(&c, &check, args, epoch).await });
    }

    pub(crate) fn stop_health(&self, c: &Container) {
        c.health_epoch.fetch_add(1, SeqCst);
        if let Some(health) = c.health.lock().as_mut() {
            health.status = "unhealthy";
        }
    }

    async fn check_health(&self, c: &Arc<Container>, check: &Healthcheck, args: Vec<String>, epoch: u64) {
        let interval = nanos(check.interval, 30);
        let timeout = nanos(check.timeout, 30);
        let start_period = nanos(check.start_period, 0);
        let start_interval = nanos(check.start_interval, 5);
        let retries = if check.retries > 0 { u32::try_from(check.retries).unwrap_or(3) } else { 3 };
        let begun = tokio::time::Instant::now();
        loop {
            let in_start = begun.elapsed() < start_period && self.health_status(c) == "starting";
            tokio::time::sleep(if in_start { start_interval } else { interval }).await;
            if c.health_epoch.load(SeqCst) != epoch {
                return;
            }
            if c.state() != State::Running {
                continue;
            }
            let probe = self.probe(c, &args, timeout).await;
            if c.health_epoch.load(SeqCst) != epoch {
                return;
            }
            let in_start = begun.elapsed() < start_period;
            let (before, after) = {
                let mut health = c.health.lock();
                let Some(h) = health.as_mut() else { return };
                let before = h.status;
                if probe.exit_code == 0 {
                    h.streak = 0;
                    h.status = "healthy";
                } else if !(in_start && h.status == "starting") {
                    h.streak += 1;
                    if h.streak >= retries {
                        h.status = "unhealthy";
                    }
                }
                h.log.push(probe);
                if h.log.len() > KEEP {
                    h.log.remove(0);
                }
                (before, h.status)
            };
            if before != after {
                self.container_event(c, &format!("health_status: {after}"), &[]);
            }
        }
    }

    fn health_status(&self, c: &Container) -> &'static str {
        c.health.lock().as_ref().map_or("none", |h| h.status)
    }

    async fn probe(&self, c: &Container, args: &[String], timeout: Duration) -> Probe {
        let start = clock::rfc3339(clock::now());
        let (exit_code, output) = match tokio::time::timeout(timeout, self.run_probe(c, args)).await {
            Ok(Ok(result)) => result,
            Ok(Err(e)) => (-1, e.message),
            Err(_) => (-1, format!("Health check exceeded timeout ({}s)", timeout.as_secs_f64())),
        };
        Probe { start, end: clock::rfc3339(clock::now()), exit_code, output }
    }

    async fn run_probe(&self, c: &Container, args: &[String]) -> super::error::Result<(i32, String)> {
        let spec = ExecSpec { args: args.to_vec(), stdout: true, stderr: true, ..ExecSpec::default() };
        let id = self.exec_create(c, spec, String::new()).await?;
        let (exec, c) = self.exec_claim(&id)?;
        let mut conversation = self.exec_attach(&exec, &c).await?;
        let mut output = Vec::new();
        loop {
            let mut header = [0u8; 8];
            if conversation.read_exact(&mut header).await.is_err() {
                break;
            }
            let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            let mut payload = (&mut conversation).take(u64::from(length));
            let mut chunk = Vec::new();
            payload.read_to_end(&mut chunk).await?;
            let room = MAX_OUTPUT.saturating_sub(output.len());
            if chunk.len() > room && room > 0 {
                output.extend_from_slice(&chunk[..room]);
                output.extend_from_slice(b"...");
            } else if room > 0 {
                output.extend_from_slice(&chunk);
            }
        }
        let code = match self.live_supervisor(&c)?.call(&Ask::ExecWait { id }).await? {
            Reply::Exited { code } => code,
            _ => -1,
        };
        Ok((code, String::from_utf8_lossy(&output).into_owned()))
    }
}
