//! Builds that their clients can cancel by the id they gave them.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// Builds under way that have an id.
#[derive(Debug, Default)]
pub struct Cancels {
    builds: Mutex<HashMap<String, Arc<Notify>>>,
}

/// Whether a build was told to stop; its id is free again when this goes.
#[derive(Debug)]
pub struct Cancel<'a> {
    of: &'a Cancels,
    id: String,
    notify: Arc<Notify>,
}

impl Cancels {
    /// A build begins. An empty id cannot be cancelled.
    pub fn begin(&self, id: &str) -> Cancel<'_> {
        let notify = Arc::new(Notify::new());
        if !id.is_empty() {
            self.builds.lock().insert(id.to_owned(), notify.clone());
        }
        Cancel { of: self, id: id.to_owned(), notify }
    }

    /// Stops a build; one that is over, or never was, needs nothing.
    pub fn cancel(&self, id: &str) {
        if let Some(notify) = self.builds.lock().get(id) {
            notify.notify_one();
        }
    }
}

impl Cancel<'_> {
    pub async fn cancelled(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        let mut builds = self.of.builds.lock();
        if builds.get(&self.id).is_some_and(|n| Arc::ptr_eq(n, &self.notify)) {
            builds.remove(&self.id);
        }
    }
}
