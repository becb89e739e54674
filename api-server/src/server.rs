//! Sockets and connections: binding, accepting, HTTP/1.1 with bounded headers, and the end of it all.

use crate::linger::lingering;
use crate::routes::Api;
use crate::{Error, Host};
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// Largest request head, bytes; a longer one is answered with 431.
const MAX_HEAD: usize = 256 << 10;
/// How long requests may go on after the order to stop.
const GRACE: Duration = Duration::from_secs(3);

/// A bound socket; its file goes away with it.
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Listener {
    /// Binds the host; a socket that nobody answers on is replaced.
    pub(crate) async fn bind(host: &Host) -> Result<Listener, Error> {
        let Host::Unix(path) = host;
        let failed = |source| Error::Bind { path: path.clone(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
            if UnixStream::connect(path).await.is_ok() {
                return Err(Error::InUse(path.clone()));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = bind_private(path).map_err(failed)?;
        Ok(Listener { listener, path: path.clone() })
    }

    /// What a client puts into `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }
}

/// Whoever may connect owns the containers, so nobody else may.
fn bind_private(path: &Path) -> std::io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until `shutdown` completes.
pub(crate) async fn run(api: Arc<Api>, listeners: Vec<Listener>, shutdown: impl Future<Output = ()>) {
    let (stop, stopped) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    for listener in listeners {
        tasks.spawn(accept(api.clone(), listener, stopped.clone()));
    }
    pin!(shutdown).await;
    let _ = stop.send(true);
    while tasks.join_next().await.is_some() {}
}

async fn accept(api: Arc<Api>, listener: Listener, mut stopped: watch::Receiver<bool>) {
    let mut connections = tokio::task::JoinSet::new();
    let of_each = stopped.clone();
    let mut stop = pin!(async move { drop(stopped.wait_for(|s| *s).await) });
    loop {
        let accepted = tokio::select! {
            accepted = listener.listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => drop(connections.spawn(connection(api.clone(), stream, of_each.clone()))),
            Err(e) => {
                // Out of descriptors, most likely: those who have some may finish.
                tracing::warn!(error = %e, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finish).await.is_err() {
        tracing::debug!("streams were cut off by the shutdown");
    }
}

async fn connection(api: Arc<Api>, stream: UnixStream, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(api.answer(lingering(request)).await) }
    });
    let connection = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let stop = async move { drop(stopped.wait_for(|s| *s).await) };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = served {
        // Clients that vanish, or that speak no HTTP.
        tracing::debug!(error = %e, "a connection ended early");
    }
}
