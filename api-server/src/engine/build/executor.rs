//! Executes one step: a command in a container, or a layer that was put together, and makes the image of it.

use super::overlay::Overlay;
use super::pins::Pin;
use super::{Event, Events, Failure, gone};
use crate::engine::Engine;
use crate::engine::create::CreateRequest;
use crate::engine::error::{Error, Result};
use crate::engine::files::SyncReader;
use crate::engine::record::Container;
use crate::engine::supervisor::Conversation;
use crate::engine::wire::Object;
use carrack_images::Derivation;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::AsyncReadExt;

/// Largest piece of output that is passed on at once.
const PIECE: usize = 32 << 10;
/// How often a new image is made again that somebody pruned before it could be held.
const ATTEMPTS: usize = 5;

/// Runs what blocks on the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(Error::internal(format!("the work was interrupted: {e}"))))
}

/// A command in a container.
#[derive(Debug, Clone)]
pub(super) struct Command {
    /// What the container is made of.
    pub(super) image: Option<Arc<Pin>>,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) user: String,
    pub(super) work_dir: String,
    /// Paths that get a volume, so that what is written there is no part of the image.
    pub(super) volumes: Value,
    pub(super) host: Object,
}

/// A container that goes away with this value, unless it is kept.
#[derive(Debug)]
pub(super) struct Temporary {
    engine: Arc<Engine>,
    container: Option<Arc<Container>>,
}

impl Temporary {
    /// Removes it now.
    pub(super) async fn remove(mut self) -> Result<()> {
        match self.container.take() {
            Some(c) => self.engine.remove(&c, true, true).await,
            None => Ok(()),
        }
    }

    /// It stays, for somebody to look at.
    pub(super) fn keep(mut self) {
        self.container = None;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let Some(c) = self.container.take() else { return };
        let engine = self.engine.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(e) = engine.remove(&c, true, true).await {
                    tracing::warn!(container = %c.id, error = %e, "a build's container stays behind");
                }
            });
        }
    }
}

/// What it takes to execute steps.
#[derive(Debug, Clone)]
pub(super) struct Executor {
    pub(super) engine: Arc<Engine>,
    pub(super) events: Events,
}

impl Executor {
    pub(super) async fn tell(&self, event: Event) -> Result<(), Failure> {
        self.events.send(event).await.map_err(|_| gone())
    }

    /// Runs a command to its end: its container, stopped, and the exit code.
    pub(super) async fn run(&self, command: Command) -> Result<(Arc<Container>, Temporary, i32), Failure> {
        let image = command.image.as_ref().map(|pin| pin.id().to_owned()).unwrap_or_default();
        let body = json!({
            "Image": image, "Cmd": command.args, "Entrypoint": [""], "Env": command.env, "User": command.user,
            "WorkingDir": command.work_dir, "Volumes": command.volumes, "Healthcheck": { "Test": ["NONE"] },
            "AttachStdout": true, "AttachStderr": true, "HostConfig": command.host,
        });
        let Value::Object(body) = body else { return Err(Error::internal("no request").into()) };
        let engine = self.engine.clone();
        let created =
            blocking(move || engine.create(CreateRequest { name: None, platform: None, body })).await?;
        let c = self.engine.find(&created.id)?;
        let temporary = Temporary { engine: self.engine.clone(), container: Some(c.clone()) };
        for warning in created.warnings {
            self.tell(Event::Note(format!(" ---> [Warning] {warning}\n"))).await?;
        }
        self.tell(Event::Running { container: c.id.clone() }).await?;
        let attachment = self.engine.attach(&c, false, true, true).await?;
        let mut published = c.published.subscribe();
        let exits = published.borrow_and_update().exits;
        self.engine.start(&c).await?;
        if let Some(conversation) = attachment.conversation {
            self.pass_output(conversation).await?;
        }
        let ended = published.wait_for(|p| p.exits > exits || p.removed.is_some()).await;
        let code = match ended {
            Ok(p) if p.removed.is_none() => p.exit_code,
            _ => return Err(Error::internal(format!("container {} was removed by somebody", c.id)).into()),
        };
        Ok((c, temporary, code))
    }

    async fn pass_output(&self, mut from: Conversation) -> Result<(), Failure> {
        loop {
            let mut header = [0u8; 8];
            if from.read_exact(&mut header).await.is_err() {
                return Ok(());
            }
            let mut left = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
            while left > 0 {
                let mut bytes = vec![0; left.min(PIECE)];
                if from.read_exact(&mut bytes).await.is_err() {
                    return Ok(());
                }
                left -= bytes.len();
                self.tell(Event::Output { is_error: header[0] == 2, bytes }).await?;
            }
        }
    }

    /// The image of `base` and what a container changed.
    pub(super) async fn commit_container(
        &self,
        base: Option<&Arc<Pin>>,
        c: &Arc<Container>,
        how: Derivation,
    ) -> Result<Arc<Pin>, Failure> {
        for _ in 0..ATTEMPTS {
            let mut layer = SyncReader::new(self.engine.layer(c).await?);
            let (engine, base, how) = (self.engine.clone(), base.cloned(), how.clone());
            let made = blocking(move || derive(&engine, base.as_deref(), Some(&mut layer), &how)).await?;
            if let Some(pin) = made {
                return Ok(pin);
            }
        }
        Err(pruned())
    }

    /// The image of `base` and a layer, or of a changed configuration alone.
    pub(super) async fn commit(
        &self,
        base: Option<&Arc<Pin>>,
        layer: Option<Overlay>,
        how: Derivation,
    ) -> Result<Arc<Pin>, Failure> {
        let (engine, base) = (self.engine.clone(), base.cloned());
        let made = blocking(move || {
            for _ in 0..ATTEMPTS {
                let made = match &layer {
                    Some(overlay) if !overlay.is_empty() => {
                        derive_overlay(&engine, base.as_deref(), overlay, &how)?
                    }
                    _ => derive(&engine, base.as_deref(), None, &how)?,
                };
                if made.is_some() {
                    return Ok(made);
                }
            }
            Ok(None)
        });
        made.await?.ok_or_else(pruned)
    }
}

fn pruned() -> Failure {
    Error::internal("an image of the build was removed while it was made").into()
}

fn derive(
    engine: &Arc<Engine>,
    base: Option<&Pin>,
    layer: Option<&mut dyn Read>,
    how: &Derivation,
) -> Result<Option<Arc<Pin>>> {
    let id = engine.images.derive(base.map_or("", Pin::id), layer, how)?;
    Ok(Pin::new(engine, &id))
}

/// The archive is written while it is read.
fn derive_overlay(
    engine: &Arc<Engine>,
    base: Option<&Pin>,
    overlay: &Overlay,
    how: &Derivation,
) -> Result<Option<Arc<Pin>>> {
    let (reader, writer) = std::io::pipe()?;
    let complete = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let written = scope.spawn(|| {
            let mut writer = std::io::BufWriter::with_capacity(64 << 10, writer);
            overlay.write(&mut writer)?;
            std::io::Write::flush(&mut writer)?;
            complete.store(true, Ordering::SeqCst);
            Ok::<(), Error>(())
        });
        // The pipe's end is dropped with it, so that a writer that is no longer heard ends too.
        let derived = derive(engine, base, Some(&mut Whole { inner: reader, complete: &complete }), how);
        match written.join() {
            // Its reason is worth more than the broken archive that came of it.
            Ok(Err(e)) if derived.is_err() && !e.message.contains("Broken pipe") => Err(e),
            Err(_) => Err(Error::internal("writing a layer died")),
            _ => derived,
        }
    })
}

/// Ends well only where everything was written: half an archive may look like one.
struct Whole<'a, R> {
    inner: R,
    complete: &'a AtomicBool,
}

impl<R: Read> Read for Whole<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if n == 0 && !buffer.is_empty() && !self.complete.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("the layer is not complete"));
        }
        Ok(n)
    }
}
