//! What happened: a ring of the last events and a channel for those who listen.

use super::clock;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many past events are replayed at most.
const RING: usize = 256;

/// One event. `attributes` has the labels of a container or image too.
#[derive(Debug, Clone)]
pub struct Event {
    pub kind: &'static str,
    pub action: String,
    pub id: String,
    pub attributes: BTreeMap<String, String>,
    /// Nanoseconds since the epoch.
    pub time: i128,
}

impl Event {
    /// The object on the wire. `legacy`: with the top-level fields that API 1.52 dropped.
    pub fn to_json(&self, legacy: bool) -> Value {
        let mut o = Map::new();
        if legacy && matches!(self.kind, "container" | "image") {
            o.insert("status".into(), json!(self.action));
            o.insert("id".into(), json!(self.id));
            if self.kind == "container"
                && let Some(image) = self.attributes.get("image")
            {
                o.insert("from".into(), json!(image));
            }
        }
        o.insert("Type".into(), json!(self.kind));
        o.insert("Action".into(), json!(self.action));
        o.insert("Actor".into(), json!({ "ID": self.id, "Attributes": self.attributes }));
        o.insert("scope".into(), json!("local"));
        o.insert("time".into(), json!((self.time / 1_000_000_000) as i64));
        o.insert("timeNano".into(), json!(self.time as i64));
        Value::Object(o)
    }
}

/// The hub. Listeners that fall behind by more than the channel's capacity miss events; they never slow the engine.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<VecDeque<Arc<Event>>>,
    sender: broadcast::Sender<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        Events { ring: Mutex::default(), sender: broadcast::channel(1024).0 }
    }
}

impl Events {
    pub fn send(
        &self,
        kind: &'static str,
        action: impl Into<String>,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) {
        let event = Arc::new(Event {
            kind,
            action: action.into(),
            id: id.to_string(),
            attributes,
            time: clock::now().unix_timestamp_nanos(),
        });
        let mut ring = self.ring.lock();
        if ring.len() == RING {
            ring.pop_front();
        }
        ring.push_back(event.clone());
        // Sent under the ring's lock, so that `subscribe` sees each event exactly once. Nobody listening is no error.
        let _ = self.sender.send(event);
    }

    /// The past events and a receiver that continues exactly after them.
    pub fn subscribe(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let ring = self.ring.lock();
        (ring.iter().cloned().collect(), self.sender.subscribe())
    }

    pub fn listeners(&self) -> usize {
        self.sender.receiver_count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_forgets_and_the_channel_continues() {
        let events = Events::default();
        for i in 0..300 {
            events.send("container", "start", &i.to_string(), BTreeMap::new());
        }
        let (past, mut live) = events.subscribe();
        assert_eq!(past.len(), RING);
        assert_eq!(past[0].id, "44");
        events.send("container", "die", "x", BTreeMap::new());
        assert_eq!(live.try_recv().unwrap().id, "x");
    }
}
