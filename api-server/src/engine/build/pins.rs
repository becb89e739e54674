//! Images that a build under way is based on: as if a running container used them.

use crate::engine::Engine;
use crate::engine::names;
use carrack_images::{Hold, ImageId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// How many builds need which image.
#[derive(Debug, Default)]
pub struct Pins {
    counts: Mutex<HashMap<String, usize>>,
}

impl Pins {
    /// The words for a build that uses the image.
    pub fn user(&self, id: &str) -> Option<String> {
        let is_used = self.counts.lock().contains_key(id);
        is_used.then(|| format!("running build of {}", names::short(id.trim_start_matches("sha256:"))))
    }
}

/// An image that stays while this lives.
#[derive(Debug)]
pub(super) struct Pin {
    engine: Arc<Engine>,
    id: ImageId,
    /// Against removal by another process.
    _hold: Hold,
}

impl Pin {
    /// `None`: it is gone already.
    pub(super) fn new(engine: &Arc<Engine>, id: &str) -> Option<Arc<Pin>> {
        let id = ImageId::parse(id)?;
        *engine.pins.counts.lock().entry(id.to_string()).or_default() += 1;
        let give_back = Undo(engine, &id);
        let hold = engine.images.hold(id.as_str())?;
        // Only one that has its place is found by a container.
        engine.images.resolve(id.as_str()).ok()?;
        std::mem::forget(give_back);
        Some(Arc::new(Pin { engine: engine.clone(), id, _hold: hold }))
    }

    pub(super) fn id(&self) -> &str {
        self.id.as_str()
    }

    pub(super) fn image_id(&self) -> &ImageId {
        &self.id
    }
}

struct Undo<'a>(&'a Engine, &'a ImageId);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.pins.counts.lock();
        if let Some(count) = counts.get_mut(self.1.as_str()) {
            *count -= 1;
            if *count == 0 {
                counts.remove(self.1.as_str());
            }
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        drop(Undo(&self.engine, &self.id));
    }
}
