//! Removal of a container and of everything that was made for it.

use super::Engine;
use super::error::{Error, Result};
use super::life::{Request, State};
use super::record::Container;
use std::sync::Arc;
use std::time::Duration;

impl Engine {
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
    pub(super) async fn destroy(&self, c: &Container, volumes: bool) -> Result<()> {
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
            self.sweep_images();
        }
        self.container_event(c, "destroy", &[]);
        c.published.send_modify(|p| p.removed = Some(None));
        Ok(())
    }
}
