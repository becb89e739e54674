//! `docker commit`: an image of what a container's file system is now.
//!
//! The image has one layer with everything in it. That costs no space (bodies are stored once by content), but it shares no
//! layer with the image that the container was made of.

use super::Engine;
use super::error::{Error, Result};
use super::files::SyncReader;
use super::life::State;
use super::record::Container;
use super::wire::{self, ConfigView, Object};
use carrack_images::ImportOptions;
use serde_json::{Value, json};

/// A decoded commit request.
#[derive(Debug)]
pub struct CommitRequest {
    pub reference: Option<String>,
    pub comment: String,
    /// Stop the container's processes meanwhile.
    pub pause: bool,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// Fields that override the container's.
    pub config: Object,
}

impl Engine {
    /// The id of the new image.
    pub async fn commit(&self, c: &Container, request: CommitRequest) -> Result<String> {
        if matches!(c.state(), State::Dead | State::Removing) {
            return Err(Error::conflict(format!(
                "You cannot commit container {} which is being removed",
                c.id
            )));
        }
        let mut config = c.record.read().config.clone();
        let given = wire::config_of(&request.config);
        for (key, value) in given {
            if wire::field(&request.config, &key).is_some() {
                config.insert(key, value);
            }
        }
        let mut changes = instructions(&wire::view(&config)?);
        changes.extend(request.changes);
        let options = ImportOptions {
            changes,
            message: Some(request.comment.clone()).filter(|m| !m.is_empty()),
            platform: None,
            reference: request.reference.clone(),
            created: None,
        };
        let paused = request.pause && c.state() == State::Running && self.pause(c).await.is_ok();
        let imported = self.import_container(c, options).await;
        if paused && let Err(e) = self.unpause(c).await {
            tracing::warn!(container = %c.id, error = %e, "a container stays paused after its commit");
        }
        let id = imported?;
        let name = request.reference.unwrap_or_default();
        self.container_event(
            c,
            "commit",
            &[("comment", request.comment), ("imageID", id.clone()), ("imageRef", name)],
        );
        Ok(id)
    }

    async fn import_container(&self, c: &Container, options: ImportOptions) -> Result<String> {
        let mut tar = SyncReader::new(self.export(c).await?);
        let images = self.images.clone();
        tokio::task::spawn_blocking(move || images.import(&mut tar, &options))
            .await
            .unwrap_or_else(|e| Err(Error::internal(format!("the commit was interrupted: {e}"))))
    }
}

/// The configuration as Dockerfile instructions.
fn instructions(config: &ConfigView) -> Vec<String> {
    let mut lines = Vec::new();
    let quoted = |text: &str| Value::from(text).to_string();
    for entry in &config.env {
        if let Some((key, value)) = entry.split_once('=') {
            lines.push(format!("ENV {key}={}", quoted(value)));
        }
    }
    for (key, value) in &config.labels {
        lines.push(format!("LABEL {}={}", quoted(key), quoted(value)));
    }
    for (word, list) in [("ENTRYPOINT", &config.entrypoint), ("CMD", &config.cmd)] {
        if let Some(list) = list.as_ref().filter(|l| !l.is_empty()) {
            lines.push(format!("{word} {}", json!(list)));
        }
    }
    for (word, text) in
        [("USER", &config.user), ("WORKDIR", &config.working_dir), ("STOPSIGNAL", &config.stop_signal)]
    {
        if !text.is_empty() {
            lines.push(format!("{word} {text}"));
        }
    }
    lines.extend(config.exposed_ports.keys().map(|p| format!("EXPOSE {p}")));
    if !config.volumes.is_empty() {
        lines.push(format!("VOLUME {}", json!(config.volumes.keys().collect::<Vec<_>>())));
    }
    lines
}
