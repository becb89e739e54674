//! Talking to a container's supervisor: starting one, and one request per connection.

use super::error::{Error, Result};
use carrack_emu::control::{Reply, Request};
use serde::de::DeserializeOwned;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// Longest line accepted from a supervisor, bytes.
const MAX_LINE: u64 = 16 << 20;
/// How long a supervisor may take until it listens.
const READY: Duration = Duration::from_secs(60);

/// The read side keeps what arrived together with the reply line.
pub type Conversation = BufReader<UnixStream>;

/// A supervisor process that serves one container.
#[derive(Debug)]
pub struct Supervisor {
    socket: PathBuf,
    /// Becomes true when the process has ended; `None` for one that an earlier daemon started.
    ended: Option<watch::Receiver<bool>>,
    /// Its init has ended: it only drains what is left.
    finished: AtomicBool,
}

/// Sends `request` to the socket and reads the one line that answers it.
pub async fn ask(socket: &Path, request: &Request) -> Result<(Reply, Conversation)> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|e| Error::internal(format!("the container's supervisor cannot be reached: {e}")))?;
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let reply = read_line(&mut stream).await?.ok_or_else(|| {
        Error::internal("the container's supervisor closed the connection before it answered")
    })?;
    Ok((reply, stream))
}

/// One JSON line; `None` at the end of the stream.
pub async fn read_line<T: DeserializeOwned>(from: &mut Conversation) -> Result<Option<T>> {
    let mut line = Vec::new();
    (&mut *from).take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(|e| {
        Error::internal(format!("the container's supervisor sent something that is not a reply: {e}"))
    })
}

impl Supervisor {
    /// The supervisor that already listens on `socket`.
    pub fn adopt(socket: PathBuf) -> Supervisor {
        Supervisor { socket, ended: None, finished: AtomicBool::new(false) }
    }

    /// Starts `exe supervise [--files] dir` in a session of its own and waits until it listens on `socket`.
    pub async fn spawn(exe: &Path, dir: &Path, run_dir: &Path, files: bool) -> Result<Supervisor> {
        let socket = run_dir.join("control.sock");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(run_dir)?;
        match std::fs::remove_file(&socket) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(dir.join("supervisor.log"))?;
        let mut command = std::process::Command::new(exe);
        command.arg("supervise");
        if files {
            command.arg("--files");
        }
        command.arg(dir).current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // SAFETY: setsid is async-signal-safe and touches no memory of the parent.
        unsafe {
            command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into));
        }
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .map_err(|e| Error::internal(format!("cannot start {} supervise: {e}", exe.display())))?;
        let stdout = child.stdout.take();
        let (tell, ended) = watch::channel(false);
        tokio::spawn(async move {
            // Whatever its status: that it is gone, and reaped, is what counts.
            let _ = child.wait().await;
            let _ = tell.send(true);
        });
        let mut line = Vec::new();
        if let Some(stdout) = stdout {
            let mut stdout = BufReader::new(stdout).take(MAX_LINE);
            match tokio::time::timeout(READY, stdout.read_until(b'\n', &mut line)).await {
                Ok(read) => drop(read?),
                Err(_) => {
                    return Err(Error::internal("the container's supervisor did not get ready in a minute"));
                }
            }
        }
        if line.trim_ascii() == b"ready" {
            return Ok(Supervisor { socket, ended: Some(ended), finished: AtomicBool::new(false) });
        }
        match serde_json::from_slice::<Reply>(&line) {
            Ok(Reply::Error { kind, message }) => Err(Error::of_supervisor(kind, message)),
            _ => Err(Error::internal(format!(
                "the container's supervisor ended before it was ready; see {}",
                dir.join("supervisor.log").display()
            ))),
        }
    }

    /// Sends a request; the conversation carries whatever follows the reply.
    pub async fn open(&self, request: &Request) -> Result<(Reply, Conversation)> {
        ask(&self.socket, request).await
    }

    /// Sends a request whose whole answer is its reply; a refusal becomes an error.
    pub async fn call(&self, request: &Request) -> Result<Reply> {
        match self.open(request).await? {
            (Reply::Error { kind, message }, _) => Err(Error::of_supervisor(kind, message)),
            (reply, _) => Ok(reply),
        }
    }

    /// Sends a request that streams; a refusal becomes an error.
    pub async fn stream(&self, request: &Request) -> Result<Conversation> {
        match self.open(request).await? {
            (Reply::Error { kind, message }, _) => Err(Error::of_supervisor(kind, message)),
            (_, conversation) => Ok(conversation),
        }
    }

    /// Whether the process is known to have ended.
    pub fn has_ended(&self) -> bool {
        self.ended.as_ref().is_some_and(|e| *e.borrow())
    }

    /// Notes that its init has ended.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::SeqCst);
    }

    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::SeqCst)
    }

    /// Waits until the process has ended, at most `limit`. Says whether it has.
    pub async fn wait_end(&self, limit: Duration) -> bool {
        match &self.ended {
            Some(ended) => {
                let mut ended = ended.clone();
                tokio::time::timeout(limit, ended.wait_for(|e| *e)).await.is_ok()
            }
            None => {
                let deadline = tokio::time::Instant::now() + limit;
                while tokio::time::Instant::now() < deadline {
                    if UnixStream::connect(&self.socket).await.is_err() {
                        return true;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                false
            }
        }
    }

    /// Asks it to end, and waits for that.
    pub async fn shutdown(&self) {
        if self.has_ended() {
            return;
        }
        let _ = tokio::time::timeout(Duration::from_secs(2), self.open(&Request::Shutdown)).await;
        if !self.wait_end(Duration::from_secs(10)).await {
            tracing::warn!(socket = %self.socket.display(), "a supervisor does not end");
        }
    }
}
