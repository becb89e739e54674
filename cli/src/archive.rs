//! Images from archives and into archives.

use crate::api::{Body, Client, Query, Upload};
use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::images::split;
use crate::messages::{self, Show};
use crate::{out, progress};
use indicatif::ProgressBar;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// What is uploaded: a file, or standard input for `-`; its length where that is known.
enum Source {
    File(File, Option<u64>),
    Input,
}

impl Source {
    fn open(path: &Path) -> Result<Source, Failure> {
        if path == Path::new("-") {
            if crate::terminal::is_stdin() {
                return Err(Failure::new("requested to read from standard input, but that is a terminal"));
            }
            return Ok(Source::Input);
        }
        let file = File::open(path).map_err(|e| Failure::doing(path.display(), e))?;
        let meta = file.metadata().map_err(|e| Failure::doing(path.display(), e))?;
        if meta.is_dir() {
            return Err(Failure::doing(path.display(), "it is a directory; an archive is needed"));
        }
        Ok(Source::File(file, meta.is_file().then_some(meta.len())))
    }

    fn length(&self) -> Option<u64> {
        match self {
            Source::File(_, length) => *length,
            Source::Input => None,
        }
    }

    fn upload(self, bar: ProgressBar) -> Result<Body, Failure> {
        let upload = Upload::new(move |out| {
            match self {
                Source::File(file, _) => io::copy(&mut bar.wrap_read(file), out),
                Source::Input => io::copy(&mut bar.wrap_read(io::stdin().lock()), out),
            }?;
            bar.set_message("making it durable");
            Ok(())
        });
        Ok(Body::Upload(upload.map_err(|e| Failure::doing("cannot make a thread", e))?, "application/x-tar"))
    }
}

/// `carrack import`.
pub(crate) fn import(cli: &Cli, args: &args::Import) -> Result<u8, Failure> {
    let mut query = Query::default().text("fromSrc", "-");
    if let Some(name) = &args.reference {
        let (name, tag) = split(name)?;
        query = query.text("repo", &name).option("tag", tag.as_deref());
    }
    for change in &args.change {
        query = query.text("changes", change);
    }
    let query = query.option("message", args.message.as_deref()).option("platform", args.platform.as_deref());
    let source = Source::open(&args.file)?;
    let client = Client::local(cli, None)?;
    let bar = progress::bytes("reading", source.length(), args.quiet);
    let body = source.upload(bar.clone())?;
    let answer = client.stream(hyper::Method::POST, &format!("/images/create{query}"), body);
    bar.finish_and_clear();
    let mut text = String::new();
    answer?.read_to_string(&mut text).map_err(|e| Failure::doing("the import", e))?;
    let id = messages_id(&text)?;
    out::print(format!("{id}\n").as_bytes())
}

/// The id in the messages of an import.
fn messages_id(text: &str) -> Result<String, Failure> {
    for message in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let message = message.map_err(|e| Failure::doing("the import", e))?;
        if let Some(error) = message["error"].as_str() {
            return Err(Failure::new(error));
        }
        if let Some(id) = message["status"].as_str().filter(|s| s.starts_with("sha256:")) {
            return Ok(id.to_owned());
        }
    }
    Err(Failure::new("the import gave no image"))
}

/// `carrack load`.
pub(crate) fn load(cli: &Cli, args: &args::Load) -> Result<u8, Failure> {
    let source = Source::open(args.input.as_deref().unwrap_or(Path::new("-")))?;
    let client = Client::local(cli, None)?;
    let bar = progress::bytes("reading", source.length(), args.quiet);
    let body = source.upload(bar.clone())?;
    let told = client
        .stream(hyper::Method::POST, "/images/load?quiet=1", body)
        .and_then(|answer| messages::follow(answer, Show::Nothing));
    bar.finish_and_clear();
    out::print(told?.text.as_bytes())
}

/// `carrack save`.
pub(crate) fn save(cli: &Cli, args: &args::Save) -> Result<u8, Failure> {
    if args.output.is_none() && crate::terminal::is_stdout() {
        return Err(Failure::new("an archive is not written to a terminal; use -o FILE, or redirect it"));
    }
    // The store itself: an error in the middle is told, where a stream could only be cut off.
    let store = carrack_images::Store::open(&crate::dirs::data_root(cli)?.join("images"))?;
    let bar = progress::bytes("writing", None, args.quiet || args.output.is_none());
    let saved = write_to(args.output.as_deref(), |out| store.save(&args.images, bar.wrap_write(out)));
    bar.finish_and_clear();
    saved.map(|()| 0)
}

/// Has something written to a file, which appears when it is whole, or to standard output.
fn write_to(
    path: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), carrack_images::Error>,
) -> Result<(), Failure> {
    let Some(path) = path else {
        let mut out = io::stdout().lock();
        write(&mut out)?;
        return out.flush().map_err(|e| Failure::doing("standard output", e));
    };
    let failed = |e: io::Error| Failure::doing(path.display(), e);
    if path.exists() && !path.is_file() {
        let mut file = File::options().write(true).open(path).map_err(failed)?;
        return Ok(write(&mut file)?);
    }
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    write(&mut file)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}
