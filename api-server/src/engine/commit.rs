//! `docker commit`: a container's image, and what the container changed of it as one more layer.

use super::Engine;
use super::error::{Error, Result};
use super::files::SyncReader;
use super::images::Image;
use super::life::State;
use super::merge::merge_image;
use super::record::Container;
use super::wire::{self, Object};
use carrack_images::Derivation;
use serde_json::Value;

/// A decoded commit request.
#[derive(Debug)]
pub struct CommitRequest {
    pub reference: Option<String>,
    pub comment: String,
    pub author: String,
    /// Stop the container's processes meanwhile.
    pub pause: bool,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// Fields that override the container's; `None`: the container's are the ones that `changes` change.
    pub config: Option<Object>,
}

/// What an image's `config` object has, of all that a container's has.
const IMAGE_FIELDS: [&str; 13] = [
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
];

impl Engine {
    /// The id of the new image.
    pub async fn commit(&self, c: &Container, request: CommitRequest) -> Result<String> {
        match c.state() {
            State::Dead => {
                return Err(Error::conflict(format!("You cannot commit container {} which is Dead", c.id)));
            }
            State::Removing => {
                return Err(Error::conflict(format!(
                    "You cannot commit container {} which is being removed",
                    c.id
                )));
            }
            _ => {}
        }
        let (own, base, command) = {
            let record = c.record.read();
            let command = record.config_view().cmd.unwrap_or_default().join(" ");
            (record.config.clone(), record.image_id.clone(), command)
        };
        let how = Derivation {
            config: image_config(&own, request.config.as_ref(), &request.changes)?,
            created_by: command,
            comment: request.comment.clone(),
            author: request.author,
            reference: request.reference.clone(),
            created: None,
        };
        let paused = request.pause && c.state() == State::Running && self.pause(c).await.is_ok();
        let made = self.commit_layer(c, base, how).await;
        if paused
            && let Err(e) = self.unpause(c).await
            && c.state() == State::Paused
        {
            tracing::warn!(container = %c.id, error = %e, "a container stays paused after its commit");
        }
        let id = made?;
        let name = request.reference.map(|r| super::images::with_tag(&r)).unwrap_or_default();
        self.container_event(
            c,
            "commit",
            &[("comment", request.comment), ("imageID", id.clone()), ("imageRef", name.clone())],
        );
        self.image_event("create", &id, &id);
        if !name.is_empty() {
            self.image_event("tag", &id, &name);
        }
        Ok(id)
    }

    /// Makes an image of `base` (empty: none) and what the container changed.
    pub async fn commit_layer(&self, c: &Container, base: String, how: Derivation) -> Result<String> {
        let mut tar = SyncReader::new(self.layer(c).await?);
        let images = self.images.clone();
        tokio::task::spawn_blocking(move || images.derive(&base, Some(&mut tar), &how))
            .await
            .unwrap_or_else(|e| Err(Error::internal(format!("the commit was interrupted: {e}"))))
    }
}

/// The new image's `config`: what was given or else the container's, changed by the instructions, over the container's.
fn image_config(own: &Object, given: Option<&Object>, changes: &[String]) -> Result<Object> {
    let mut config = match given {
        Some(given) => wire::config_of(given),
        None => own.clone(),
    };
    carrack_images::apply_changes(&mut config, changes).map_err(|e| Error::invalid(e.to_string()))?;
    let mut view = wire::view(&config)?;
    merge_image(&mut config, &mut view, &Image { config: own.clone(), ..Image::default() })?;
    config.retain(|key, value| {
        let is_empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        IMAGE_FIELDS.contains(&key.as_str()) && !is_empty
    });
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn changes_are_over_the_containers_configuration() {
        let own = object(json!({
            "Hostname": "abc", "Tty": true, "Env": ["A=1", "B=2"], "Cmd": ["sh"], "User": "7",
            "Labels": {"a": "1"}, "ExposedPorts": {"80/tcp": {}},
        }));
        let changes = ["ENV B=3 C=4".to_string(), "LABEL b=2".into(), "EXPOSE 90".into()];
        let got = image_config(&own, None, &changes).unwrap();
        assert_eq!(
            Value::Object(got),
            json!({
                "Env": ["A=1", "B=3", "C=4"], "Cmd": ["sh"], "User": "7", "Labels": {"a": "1", "b": "2"},
                "ExposedPorts": {"80/tcp": {}, "90/tcp": {}},
            })
        );
        let got = image_config(&own, None, &["ENTRYPOINT [\"x\"]".to_string()]).unwrap();
        assert_eq!(got["Entrypoint"], json!(["x"]));
        assert!(!got.contains_key("Cmd"), "an entrypoint has no use for the old command");
        let got = image_config(&own, Some(&object(json!({"Cmd": ["y"], "Env": ["A=9"]}))), &[]).unwrap();
        assert_eq!(
            (&got["Cmd"], &got["Env"], &got["User"]),
            (&json!(["y"]), &json!(["A=9", "B=2"]), &json!("7"))
        );
        assert!(image_config(&own, None, &["RUN ls".to_string()]).is_err());
    }
}
