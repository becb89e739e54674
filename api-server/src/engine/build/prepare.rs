//! What comes before the first step: the context is read, the Dockerfile found and parsed.
//!
//! Whatever is wrong here is refused before the client has been told anything.

use super::Options;
use super::context::Builder;
use super::executor::blocking;
use super::fetch;
use super::tree::{Tree, read_small};
use crate::engine::error::{Error, Result};
use crate::engine::{Engine, make_private_dir};
use carrack_images::build::ignore::{IGNORE_MAX, Ignore};
use carrack_images::build::{DOCKERFILE_MAX, Dockerfile, parse};
use carrack_images::reference::Reference;
use carrack_images::tar::open_archive;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the context comes from.
pub enum Source {
    /// A tar stream.
    Stream(Box<dyn Read + Send>),
    /// A tar archive or a Dockerfile at a URL.
    Url(String),
}

impl Source {
    /// The build will not be: what the client sends is taken, so that it comes to read the answer.
    pub fn refuse(self) {
        if let Source::Stream(stream) = self {
            tokio::task::spawn_blocking(move || drop(ReadOut(stream)));
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Stream(_) => "Stream",
            Source::Url(_) => "Url",
        })
    }
}

/// A build that can begin.
#[derive(Debug)]
pub struct Definition {
    pub(super) file: Dockerfile,
    pub(super) context: Arc<dyn Tree>,
    /// For what is fetched and unpacked.
    pub(super) scratch: PathBuf,
}

impl Engine {
    /// Reads the context and the Dockerfile in it.
    pub async fn prepare_build(self: &Arc<Self>, options: &Options, source: Source) -> Result<Definition> {
        if let Err(e) = check_tags(&options.tags) {
            source.refuse();
            return Err(e);
        }
        let scratch = self.settings.data_root.join("tmp");
        make_private_dir(&scratch)?;
        let builder = Builder::new(&scratch)?;
        let builder = match source {
            Source::Stream(stream) => blocking(move || read_stream(builder, stream)).await?,
            Source::Url(url) if is_git(&url) => {
                return Err(Error::not_implemented(format!(
                    "git repositories as build contexts are not supported: clone {url} and build the directory"
                )));
            }
            Source::Url(url) => {
                let fetched = fetch::fetch(&url, &scratch, None).await?;
                blocking(move || read_fetched(builder, fetched)).await?
            }
        };
        let (name, target) = (options.dockerfile.clone(), options.target.clone());
        let labels = options.labels.clone();
        blocking(move || {
            let (builder, text) = dockerfile(builder, &name)?;
            let mut file = parse(&text).map_err(|e| {
                let e = if e.is_syntax { format!("failed to parse {name}: {e}") } else { e.to_string() };
                Error::invalid(e)
            })?;
            cut(&mut file, &target)?;
            for (key, value) in &labels {
                label(&mut file, key, value);
            }
            Ok(Definition { file, context: Arc::new(builder.finish()), scratch })
        })
        .await
    }
}

fn check_tags(tags: &[String]) -> Result<()> {
    for tag in tags {
        let reference = Reference::parse(tag).map_err(|e| Error::invalid(e.to_string()))?;
        if reference.digest().is_some() {
            return Err(Error::invalid("build tag cannot contain a digest"));
        }
    }
    Ok(())
}

fn is_git(url: &str) -> bool {
    let path = url.split('#').next().unwrap_or(url);
    url.starts_with("git://")
        || url.starts_with("git@")
        || url.starts_with("github.com/")
        || path.ends_with(".git")
}

fn read_stream(mut builder: Builder, stream: Box<dyn Read + Send>) -> Result<Builder> {
    let mut stream = ReadOut(stream);
    match open_archive(&mut stream).map_err(|e| Error::invalid(e.to_string()))? {
        Some(mut tar) => builder.read(&mut tar)?,
        None => return Err(Error::invalid("the build context is not a tar archive")),
    }
    Ok(builder)
}

/// A client that still sends when the answer comes may never read it, so some more is taken than is needed.
struct ReadOut(Box<dyn Read + Send>);

impl Read for ReadOut {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Drop for ReadOut {
    fn drop(&mut self) {
        const MOST: u64 = 16 << 20;
        // The client may have gone; nobody needs these bytes.
        let _ = std::io::copy(&mut (&mut self.0).take(MOST), &mut std::io::sink());
    }
}

/// An archive is the context; anything else is a Dockerfile without one.
fn read_fetched(mut builder: Builder, fetched: fetch::Fetched) -> Result<Builder> {
    let open = || fetched.tree.open(fetched.node);
    match open_archive(open()?).map_err(|e| Error::invalid(e.to_string()))? {
        Some(mut tar) => builder.read(&mut tar)?,
        None => drop(builder.file(b"Dockerfile", 0o600, 0, &mut open()?)?),
    }
    Ok(builder)
}

/// The Dockerfile's text; what `.dockerignore` leaves out is no longer in the context.
fn dockerfile(mut builder: Builder, name: &str) -> Result<(Builder, String)> {
    let path = name.trim_start_matches("./");
    let read = |path: &str, most| read_small(builder.tree(), path.as_bytes(), most);
    let bytes = match read(path, DOCKERFILE_MAX)? {
        Some(bytes) => bytes,
        // As on file systems where case does not count.
        None if path == "Dockerfile" => read("dockerfile", DOCKERFILE_MAX)?
            .ok_or_else(|| Error::invalid(format!("Cannot locate specified Dockerfile: {name}")))?,
        None => return Err(Error::invalid(format!("Cannot locate specified Dockerfile: {name}"))),
    };
    if bytes.is_empty() {
        return Err(Error::invalid(format!("the Dockerfile ({name}) cannot be empty")));
    }
    let of_file = read(&format!("{path}.dockerignore"), IGNORE_MAX)?;
    let patterns = match of_file {
        Some(bytes) => Some(bytes),
        None => read(".dockerignore", IGNORE_MAX)?,
    };
    if let Some(patterns) = patterns {
        let ignore = Ignore::parse(&String::from_utf8_lossy(&patterns)).map_err(Error::invalid)?;
        builder.leave_out(&ignore);
    }
    Ok((builder, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Leaves out the stages after the target.
fn cut(file: &mut Dockerfile, target: &str) -> Result<()> {
    if target.is_empty() {
        return Ok(());
    }
    let lower = target.to_lowercase();
    let named = file.stages.iter().rposition(|s| s.name.as_deref() == Some(&lower));
    let numbered = target.parse::<usize>().ok().filter(|n| *n < file.stages.len());
    match named.or(numbered) {
        Some(last) => file.stages.truncate(last + 1),
        None => return Err(Error::invalid(format!("target stage {target:?} could not be found"))),
    }
    Ok(())
}

/// `--label` is a last step.
fn label(file: &mut Dockerfile, name: &str, value: &str) {
    use carrack_images::build::{Instruction, Pair, Step};
    let Some(stage) = file.stages.last_mut() else { return };
    let pair = Pair { name: name.into(), value: value.into(), is_literal: true };
    let instruction = Instruction::Label(vec![pair]);
    stage.steps.push(Step { code: format!("LABEL {name}={value}"), line: 0, instruction });
}
