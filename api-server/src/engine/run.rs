//! What a running container can be asked: pause, resume, size of its window, processes.
//!
//! Each running container has one driver task ([`drive`](super::drive)), so there is one place only where a container
//! ends. Requests act through the supervisor and then wait for what the driver publishes.

use super::Engine;
use super::error::{Error, Result};
use super::life::{self, Answer, Request, State};
use super::record::Container;
use super::supervisor::Supervisor;
use carrack_emu::control::{Reply, Request as Ask};
use std::sync::Arc;

impl Engine {
    pub(super) fn allow(container: &Container, request: Request) -> Result<State> {
        match life::decide(container.state(), request) {
            Answer::Next(next) => Ok(next),
            Answer::Repeated => Err(Error::not_modified()),
            Answer::Denied(reason) => Err(reason.error(&container.id, &container.name())),
        }
    }

    /// The supervisor of a running container.
    pub(crate) fn live_supervisor(&self, c: &Container) -> Result<Arc<Supervisor>> {
        c.supervisor
            .lock()
            .clone()
            .filter(|s| !s.is_finished())
            .ok_or_else(|| life::Reason::NotRunning.error(&c.id, &c.name()))
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

    pub(super) fn network_event(&self, c: &Container, action: &str) {
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
}

pub(crate) fn unexpected(reply: &Reply) -> Error {
    Error::internal(format!("the container's supervisor gave an answer to another question: {reply:?}"))
}
