//! Attaching to init's streams, before or after its start.

use super::Engine;
use super::error::Result;
use super::life::Request;
use super::record::{Container, Published};
use super::supervisor::Conversation;
use carrack_emu::control::Request as Ask;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use tokio::sync::watch;

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

impl Engine {
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
}
