//! The API without a daemon: for what concerns images only, in the caller's own process.
//!
//! The image store may be worked on by several processes at once, so this needs no daemon and disturbs none. Containers
//! are known from the daemon's records as far as they are needed, and never touched.

use crate::engine::store::{Bucket, Memory, Redb, Store};
use crate::engine::{Engine, Settings, error};
use crate::{Error, routes};
use axum::body::Body;
use axum::http::{Request, Response};
use std::sync::Arc;

/// The API over an image store.
pub struct Local {
    api: routes::Api,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

impl Local {
    /// Opens the store. `with_records`: containers and volumes of a daemon that does not run now are to be known, so that
    /// images that they use are not removed.
    ///
    /// # Errors
    /// The host's; with `with_records` also a daemon that has the records open.
    pub fn open(settings: Settings, with_records: bool) -> Result<Local, Error> {
        let state = |e: error::Error| Error::State(e.message);
        let records = Memory::default();
        let path = settings.data_root.join("state.redb");
        if with_records && path.exists() {
            let file = Redb::open(&path).map_err(state)?;
            for bucket in [Bucket::Containers, Bucket::Volumes] {
                for (key, record) in file.list(bucket).map_err(state)? {
                    records.put(bucket, &key, &record).map_err(state)?;
                }
            }
        }
        let engine = Engine::open(settings, Arc::new(records)).map_err(state)?;
        Ok(Local { api: routes::Api::new(engine) })
    }

    /// Answers a request as the daemon would. Must be called on a tokio runtime.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body_util::BodyExt<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.api.answer(request.map(Body::new)).await
    }
}
