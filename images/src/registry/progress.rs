//! What a pull or a push tells while it is under way, in the form that docker clients draw.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::claims::State;

/// One message of the stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// The line that it updates: a layer's short id, or the tag; empty: a line of its own.
    pub id: String,
    /// One line.
    pub status: String,
    /// How far the line's work has come: bytes now, and bytes in all (0: unknown).
    pub progress: Option<(u64, u64)>,
    /// For programs: what was pushed.
    pub aux: Option<Value>,
}

impl Message {
    /// A line without an id.
    pub(super) fn line(status: impl Into<String>) -> Message {
        Message { status: status.into(), ..Message::default() }
    }

    /// A line that is named, but has no progress.
    pub(super) fn named(id: &str, status: impl Into<String>) -> Message {
        Message { id: id.to_owned(), status: status.into(), ..Message::default() }
    }

    /// A new state of a layer's line.
    pub(super) fn state(id: &str, status: impl Into<String>) -> Message {
        Message { progress: Some((0, 0)), ..Message::named(id, status) }
    }

    pub(super) fn amount(id: &str, status: &str, current: u64, total: u64) -> Message {
        Message { progress: Some((current, total)), ..Message::named(id, status) }
    }

    pub(super) fn aux(value: Value) -> Message {
        Message { aux: Some(value), progress: Some((0, 0)), ..Message::default() }
    }

    /// The object that the engine's API sends.
    pub fn to_json(&self) -> Value {
        let mut object = json!({});
        if !self.status.is_empty() {
            object["status"] = json!(self.status);
        }
        if let Some((current, total)) = self.progress {
            object["progressDetail"] = json!({});
            if current > 0 {
                object["progressDetail"]["current"] = json!(current);
            }
            if total > 0 {
                object["progressDetail"]["total"] = json!(total);
            }
        }
        if !self.id.is_empty() {
            object["id"] = json!(self.id);
        }
        if let Some(aux) = &self.aux {
            object["aux"] = aux.clone();
        }
        object
    }
}

/// Where messages go. Called from several threads; it should not block for long.
pub type Progress = Arc<dyn Fn(Message) + Send + Sync>;

/// The shortest time between two amounts of the same line.
const STEP: Duration = Duration::from_millis(100);

/// One layer's line, which is not told more often than anybody could read.
#[derive(Clone)]
pub(super) struct Line {
    id: String,
    progress: Progress,
    told: Option<Instant>,
    /// Who else follows this layer.
    state: Option<Arc<watch::Sender<State>>>,
}

impl Line {
    pub(super) fn new(progress: &Progress, digest: &str, state: Option<Arc<watch::Sender<State>>>) -> Line {
        Line { id: short(digest), progress: progress.clone(), told: None, state }
    }

    pub(super) fn state(&mut self, status: impl Into<String>) {
        self.told = None;
        let status = status.into();
        if let Some(state) = &self.state {
            state.send_replace((status.clone(), 0, 0));
        }
        (self.progress)(Message::state(&self.id, status));
    }

    /// Bytes so far; not told if the last were just now, but for the end.
    pub(super) fn amount(&mut self, status: &str, current: u64, total: u64) {
        if self.told.is_none_or(|t| t.elapsed() >= STEP) || (total > 0 && current >= total) {
            self.told = Some(Instant::now());
            if let Some(state) = &self.state {
                state.send_replace((status.to_owned(), current, total));
            }
            (self.progress)(Message::amount(&self.id, status, current, total));
        }
    }
}

/// The first 12 digits of a digest.
pub(super) fn short(digest: &str) -> String {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_the_engine() {
        let text = |m: Message| m.to_json().to_string();
        assert_eq!(
            text(Message::named("latest", "Pulling from a")),
            r#"{"id":"latest","status":"Pulling from a"}"#
        );
        assert_eq!(
            text(Message::state("x", "Waiting")),
            r#"{"id":"x","progressDetail":{},"status":"Waiting"}"#
        );
        assert_eq!(
            text(Message::amount("x", "Downloading", 1, 2)),
            r#"{"id":"x","progressDetail":{"current":1,"total":2},"status":"Downloading"}"#
        );
        assert_eq!(text(Message::aux(json!({"Tag": "t"}))), r#"{"aux":{"Tag":"t"},"progressDetail":{}}"#);
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
    }
}
