//! The files of a container, running or not: `docker cp`, `docker diff`, `docker export`.
//!
//! A container that does not run gets a supervisor for its files only, which goes away by itself.

use super::Engine;
use super::error::{Error, Kind, Result};
use super::life::State;
use super::record::Container;
use super::run::unexpected;
use super::supervisor::{Conversation, Supervisor, read_line};
pub use carrack_emu::control::{Change, PathStat};
use carrack_emu::control::{Reply, Request as Ask};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};

impl Engine {
    /// Sends a request about files to whoever serves them.
    async fn ask_files(&self, c: &Container, ask: &Ask) -> Result<(Reply, Conversation)> {
        if matches!(c.state(), State::Removing | State::Dead) {
            return Err(Error::conflict(format!("container {} is marked for removal", c.name())));
        }
        // A supervisor that was started for an attach serves files as well as one of a running container.
        let live = c.supervisor.lock().clone().filter(|s| !s.is_finished() && !s.has_ended());
        if let Some(supervisor) = live {
            match supervisor.open(ask).await {
                Ok(answer) => return refused(answer),
                // It has just ended with its container; one that still lives has a reason to be silent.
                Err(e) if !supervisor.wait_end(std::time::Duration::from_secs(1)).await => return Err(e),
                Err(_) => {}
            }
        }
        let mut files = c.files.lock().await;
        if let Some(supervisor) = files.as_ref()
            && let Ok(answer) = supervisor.open(ask).await
        {
            return refused(answer);
        }
        if let Some(old) = files.take() {
            old.shutdown().await;
        }
        let draining = c.supervisor.lock().clone();
        if let Some(draining) = draining {
            draining.wait_end(std::time::Duration::from_secs(5)).await;
        }
        self.write_spec(c)?;
        let supervisor = Arc::new(Supervisor::spawn(&self.settings.exe, &c.dir, &c.run_dir, true).await?);
        *files = Some(supervisor.clone());
        refused(supervisor.open(ask).await?)
    }

    pub async fn path_stat(&self, c: &Container, path: &str) -> Result<PathStat> {
        match self.ask_files(c, &Ask::ArchiveStat { path: path.to_string() }).await {
            Ok((Reply::PathStat { stat }, _)) => Ok(stat),
            Ok((other, _)) => Err(unexpected(&other)),
            Err(e) => Err(missing(e, c, path)),
        }
    }

    /// A tar stream of `path`.
    pub async fn archive_get(&self, c: &Container, path: &str) -> Result<Conversation> {
        let (_, stream) = self
            .ask_files(c, &Ask::ArchiveGet { path: path.to_string() })
            .await
            .map_err(|e| missing(e, c, path))?;
        self.container_event(c, "archive-path", &[("path", path.to_string())]);
        Ok(stream)
    }

    /// Unpacks the tar stream `from` in the directory `path`.
    pub async fn archive_put(
        &self,
        c: &Container,
        path: &str,
        no_overwrite_dir_non_dir: bool,
        copy_uid_gid: bool,
        from: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<()> {
        let mut from = plain(from).await?;
        let ask = Ask::ArchivePut { path: path.to_string(), no_overwrite_dir_non_dir, copy_uid_gid };
        let (_, mut stream) = self.ask_files(c, &ask).await.map_err(|e| missing(e, c, path))?;
        let copied = tokio::io::copy(&mut from, &mut stream).await;
        // The supervisor may have refused in the middle; its reason is worth more than our broken pipe.
        let _ = stream.shutdown().await;
        match read_line::<Reply>(&mut stream).await? {
            Some(Reply::Error { kind, message }) => {
                return Err(missing(Error::of_supervisor(kind, message), c, path));
            }
            Some(_) => {}
            None => return Err(Error::internal("the container's supervisor went away while it unpacked")),
        }
        copied.map_err(|e| Error::invalid(format!("the archive cannot be read: {e}")))?;
        self.container_event(c, "extract-to-dir", &[("path", path.to_string())]);
        Ok(())
    }

    pub async fn changes(&self, c: &Container) -> Result<Vec<Change>> {
        match self.ask_files(c, &Ask::Changes).await? {
            (Reply::Changes { changes }, _) => Ok(changes),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// What the container changed of its image, as a layer's archive.
    pub async fn layer(&self, c: &Container) -> Result<Conversation> {
        Ok(self.ask_files(c, &Ask::Layer).await?.1)
    }

    /// A tar stream of everything.
    pub async fn export(&self, c: &Container) -> Result<Conversation> {
        if matches!(c.state(), State::Dead | State::Removing) {
            return Err(Error::conflict(format!(
                "You cannot export container {} which is {}",
                c.id,
                match c.state() {
                    State::Dead => "Dead",
                    _ => "being removed",
                }
            )));
        }
        let (_, stream) = self.ask_files(c, &Ask::Export).await?;
        self.container_event(c, "export", &[]);
        Ok(stream)
    }
}

fn refused((reply, stream): (Reply, Conversation)) -> Result<(Reply, Conversation)> {
    match reply {
        Reply::Error { kind, message } => Err(Error::of_supervisor(kind, message)),
        reply => Ok((reply, stream)),
    }
}

fn missing(e: Error, c: &Container, path: &str) -> Error {
    if e.kind == Kind::NotFound {
        Error::not_found(format!("Could not find the file {path} in container {}", c.name()))
    } else {
        e
    }
}

/// The stream without its compression, which is told by its first bytes.
async fn plain(
    mut from: impl AsyncRead + Send + Unpin + 'static,
) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
    let mut head = Vec::new();
    (&mut from).take(6).read_to_end(&mut head).await?;
    let whole = std::io::Cursor::new(head.clone()).chain(from);
    match head.as_slice() {
        [0x1f, 0x8b, ..] => {
            Ok(Box::new(unpacked(whole, |r| Ok(Box::new(flate2::read::MultiGzDecoder::new(r))))))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Ok(Box::new(unpacked(whole, |r| Ok(Box::new(zstd::stream::read::Decoder::new(r)?)))))
        }
        [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Err(Error::not_implemented("archives may be plain, or compressed with gzip or zstd"))
        }
        _ => Ok(Box::new(whole)),
    }
}

type Decoder<R> = fn(SyncReader<R>) -> std::io::Result<Box<dyn std::io::Read>>;

/// What `decoder` makes of the stream, on a thread of its own. A broken stream ends early, and the tar in it with it.
fn unpacked<R: AsyncRead + Send + Unpin + 'static>(from: R, decoder: Decoder<R>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(256 << 10);
    let from = SyncReader::new(from);
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Handle::current();
        let mut to = tokio_writer(runtime, ours);
        let copied = decoder(from).and_then(|mut plain| std::io::copy(&mut plain, &mut to));
        if let Err(e) = copied {
            tracing::debug!(error = %e, "a compressed archive ended early");
        }
    });
    theirs
}

fn tokio_writer(runtime: tokio::runtime::Handle, to: DuplexStream) -> impl std::io::Write {
    struct Writer(tokio::runtime::Handle, DuplexStream);
    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.block_on(self.1.write(bytes))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    Writer(runtime, to)
}

/// Blocks the calling thread on an async reader, for code that reads on a thread of its own (`spawn_blocking`).
#[derive(Debug)]
pub struct SyncReader<R> {
    runtime: tokio::runtime::Handle,
    from: R,
}

impl<R: AsyncRead + Unpin> SyncReader<R> {
    /// To be called on the runtime; to be read off it.
    pub fn new(from: R) -> SyncReader<R> {
        SyncReader { runtime: tokio::runtime::Handle::current(), from }
    }
}

impl<R: AsyncRead + Unpin> std::io::Read for SyncReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.runtime.block_on(self.from.read(buffer))
    }
}

/// Go's `FileMode` of a Linux `st_mode`.
pub fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170000 {
        0o040000 => 1 << 31,
        0o120000 => 1 << 27,
        0o060000 => 1 << 26,
        0o020000 => (1 << 26) | (1 << 21),
        0o010000 => 1 << 25,
        0o140000 => 1 << 24,
        _ => 0,
    };
    let mut bits = kind | (mode & 0o777);
    for (linux, go) in [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)] {
        if mode & linux != 0 {
            bits |= go;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn compression_is_told_by_the_first_bytes() {
        use std::io::Write;
        let text = b"tar ".repeat(100_000);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&text).unwrap();
        let zst = zstd::encode_all(text.as_slice(), 1).unwrap();
        for packed in [gz.finish().unwrap(), zst, text.clone()] {
            let mut out = Vec::new();
            plain(std::io::Cursor::new(packed)).await.unwrap().read_to_end(&mut out).await.unwrap();
            assert_eq!(out, text);
        }
        assert!(plain(&b"BZh9....."[..]).await.is_err());
    }

    #[test]
    fn modes() {
        assert_eq!(go_mode(0o100644), 0o644);
        assert_eq!(go_mode(0o041777), (1 << 31) | (1 << 20) | 0o777);
        assert_eq!(go_mode(0o104755), (1 << 23) | 0o755);
        assert_eq!(go_mode(0o120777), (1 << 27) | 0o777);
        assert_eq!(go_mode(0o020666), (1 << 26) | (1 << 21) | 0o666);
    }
}
