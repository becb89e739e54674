//! `carrack build`: the context as an archive to the daemon's builder, and its steps as they are done.

use crate::api::{Body, Client, Query, Upload};
use crate::args;
use crate::failure::Failure;
use crate::messages::{self, Show};
use crate::{out, progress, registry};
use carrack_images::build::ignore::{IGNORE_MAX, Ignore};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What the context is called that a Dockerfile from outside of it gets.
const OUTSIDE: &str = ".dockerfile.carrack";
const IGNORE_FILE: &str = ".dockerignore";
/// What tells an archive from a Dockerfile on standard input: this many bytes of it.
const SNIFF: usize = 512;

/// `carrack build`.
pub(crate) fn build(args: &args::Build) -> Result<u8, Failure> {
    let (upload, dockerfile) = context(args)?;
    let client = Client::connect(&args.daemon)?;
    let url = format!("/build{}", query(args, &dockerfile)?);
    let body = Body::Upload(upload, "application/x-tar");
    let answer = client.stream_with(hyper::Method::POST, &url, &registry::authorizations()?, body)?;
    let show = if args.quiet { Show::Nothing } else { Show::Everything };
    let told = messages::follow(answer, show)?;
    let id = told.aux.iter().rev().find_map(|aux| aux["ID"].as_str());
    let id = id.ok_or_else(|| Failure::new("the build ended without an image"))?;
    if let Some(file) = &args.iidfile {
        fs::write(file, id).map_err(|e| Failure::doing(file.display(), e))?;
    }
    if args.quiet { out::print(format!("{id}\n").as_bytes()) } else { Ok(0) }
}

/// `NAME=VALUE` pairs as an object; a name alone has the value that it has here, or none.
fn pairs(list: &[String], from_environment: bool) -> Map<String, Value> {
    list.iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), json!(value)),
            None if from_environment => (pair.clone(), std::env::var(pair).map_or(Value::Null, |v| json!(v))),
            None => (pair.clone(), json!("")),
        })
        .collect()
}

fn query(args: &args::Build, dockerfile: &str) -> Result<Query, Failure> {
    let mut query = Query::default().text("dockerfile", dockerfile).text("version", "1").text("rm", "1");
    for tag in &args.tags {
        // Before the context is sent, not after the last step.
        carrack_images::reference::Reference::parse(tag)?;
        query = query.text("t", tag);
    }
    let object = |query: Query, key: &str, map: Map<String, Value>| {
        if map.is_empty() { query } else { query.text(key, &Value::Object(map).to_string()) }
    };
    query = object(query, "buildargs", pairs(&args.build_args, true));
    query = object(query, "labels", pairs(&args.labels, false));
    if !args.cache_from.is_empty() {
        query = query.text("cachefrom", &json!(args.cache_from).to_string());
    }
    Ok(query
        .option("target", args.target.as_deref())
        .flag("nocache", args.no_cache)
        .flag("pull", args.pull)
        .option("networkmode", args.network.as_deref())
        .option("platform", args.platform.as_deref()))
}

/// The archive of the context, and the path of the Dockerfile in it.
fn context(args: &args::Build) -> Result<(Upload, String), Failure> {
    let no_thread = |e: io::Error| Failure::doing("cannot make a thread", e);
    if args.context == Path::new("-") {
        return from_input(args);
    }
    let root = &args.context;
    if !root.is_dir() {
        let why = if root.exists() { "it is no directory" } else { "there is no such directory" };
        return Err(Failure::doing(root.display(), why));
    }
    let given = args.file.clone().unwrap_or_else(|| root.join("Dockerfile"));
    let text = if given == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map_err(|e| Failure::doing("standard input", e))?;
        Some(text)
    } else {
        None
    };
    let inside = match &text {
        Some(_) => None,
        None => inside(root, &given)?,
    };
    let (name, text) = match inside {
        Some(name) => (name, None),
        None => {
            let text = match text {
                Some(text) => text,
                None => fs::read(&given).map_err(|e| Failure::doing(given.display(), e))?,
            };
            (OUTSIDE.to_owned(), Some(text))
        }
    };
    let ignore = ignore(root, &name)?;
    let root = root.clone();
    let bar = progress::bytes("sending the context", None, args.quiet);
    let dockerfile = name.clone();
    let upload = Upload::new(move |out| {
        let result = pack(
            &root,
            &ignore,
            text.as_deref().map(|text| (dockerfile.as_str(), text)),
            &mut bar.wrap_write(out),
        );
        bar.finish_and_clear();
        result
    });
    Ok((upload.map_err(no_thread)?, name))
}

/// The Dockerfile's path below the context; `None`: it is elsewhere.
fn inside(root: &Path, file: &Path) -> Result<Option<String>, Failure> {
    let failed = |path: &Path, e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Failure::new(format!(
            "there is no {}: write one, or say where it is with -f FILE",
            path.display()
        )),
        _ => Failure::doing(path.display(), e),
    };
    let directory = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::metadata(file).map_err(|e| failed(file, e))?;
    let directory = directory.canonicalize().map_err(|e| failed(file, e))?;
    let root = root.canonicalize().map_err(|e| failed(root, e))?;
    let (Ok(below), Some(name)) = (directory.strip_prefix(&root), file.file_name()) else { return Ok(None) };
    // A name that is no text cannot be said in a query.
    Ok(below.join(name).to_str().map(str::to_owned))
}

/// Standard input: an archive as it is, or a Dockerfile that needs no context.
fn from_input(args: &args::Build) -> Result<(Upload, String), Failure> {
    if crate::terminal::is_stdin() {
        return Err(Failure::new("requested to read from standard input, but that is a terminal"));
    }
    let mut first = Vec::new();
    let mut input = io::stdin();
    io::Read::by_ref(&mut input)
        .take(SNIFF as u64)
        .read_to_end(&mut first)
        .map_err(|e| Failure::doing("standard input", e))?;
    let name = |file: &Option<PathBuf>| match file {
        Some(file) => {
            file.to_str().map(str::to_owned).ok_or_else(|| Failure::new("the Dockerfile's name is no text"))
        }
        None => Ok("Dockerfile".to_owned()),
    };
    let no_thread = |e: io::Error| Failure::doing("cannot make a thread", e);
    if is_archive(&first) {
        let upload = Upload::new(move |out| {
            out.write_all(&first)?;
            io::copy(&mut io::stdin().lock(), out).map(drop)
        });
        return Ok((upload.map_err(no_thread)?, name(&args.file)?));
    }
    input.read_to_end(&mut first).map_err(|e| Failure::doing("standard input", e))?;
    let upload = Upload::new(move |out| {
        let mut archive = tar::Builder::new(out);
        add_text(&mut archive, "Dockerfile", &first)?;
        archive.finish()
    });
    Ok((upload.map_err(no_thread)?, "Dockerfile".to_owned()))
}

/// Tar, or one of the compressions that the daemon takes off; a Dockerfile is text.
fn is_archive(first: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"];
    magics.iter().any(|m| first.starts_with(m)) || first.get(257..262) == Some(b"ustar") || first.contains(&0)
}

fn add_text<W: Write>(archive: &mut tar::Builder<W>, name: &str, text: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, text)
}

/// What the context's `.dockerignore` leaves out. The Dockerfile and the file itself always go along: the builder needs
/// them, and leaves them out of what it copies.
fn ignore(root: &Path, dockerfile: &str) -> Result<Ignore, Failure> {
    let path = root.join(IGNORE_FILE);
    let mut text = String::new();
    match fs::File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Ignore::default()),
        Err(e) => return Err(Failure::doing(path.display(), e)),
        Ok(file) => {
            let read = file.take(IGNORE_MAX).read_to_string(&mut text);
            read.map_err(|e| Failure::doing(path.display(), e))?;
        }
    }
    Ignore::parse(&format!("{text}\n!{IGNORE_FILE}\n!{dockerfile}\n"))
        .map_err(|e| Failure::doing(path.display(), e))
}

/// Writes the context without what is left out, and a Dockerfile that is not in it. Owners become root, as docker's
/// client has it.
fn pack(
    root: &Path,
    ignore: &Ignore,
    dockerfile: Option<(&str, &[u8])>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    archive.follow_symlinks(false);
    pack_directory(&mut archive, root, ignore, Path::new(""))?;
    if let Some((name, text)) = dockerfile {
        add_text(&mut archive, name, text)?;
    }
    archive.finish()
}

fn pack_directory<W: Write>(
    archive: &mut tar::Builder<W>,
    root: &Path,
    ignore: &Ignore,
    below: &Path,
) -> io::Result<()> {
    let mut names = fs::read_dir(root.join(below))?
        .map(|entry| entry.map(|e| e.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    // The same context gives the same archive.
    names.sort();
    for name in names {
        let path = below.join(&name);
        let whole = root.join(&path);
        let meta = fs::symlink_metadata(&whole)?;
        let kind = meta.file_type();
        let is_left_out = ignore.leaves_out(&path.to_string_lossy());
        if is_left_out && !(kind.is_dir() && ignore.has_exceptions()) {
            continue;
        }
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&meta);
        header.set_uid(0);
        header.set_gid(0);
        if kind.is_dir() {
            // One that is left out is made again by what is below it.
            if !is_left_out {
                header.set_size(0);
                archive.append_data(&mut header, &path, io::empty())?;
            }
            pack_directory(archive, root, ignore, &path)?;
        } else if kind.is_symlink() {
            header.set_size(0);
            archive.append_link(&mut header, &path, fs::read_link(&whole)?)?;
        } else if kind.is_file() {
            let file = fs::File::open(&whole)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", whole.display())))?;
            // One that changes meanwhile is sent as long as it was.
            archive.append_data(&mut header, &path, file.chain(io::repeat(0)).take(meta.len()))?;
        }
        // Sockets, pipes and devices are nothing that a build can use.
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn args(line: &str) -> args::Build {
        let words = ["carrack", "build"].into_iter().chain(line.split(' '));
        match args::Cli::try_parse_from(words).unwrap().command {
            args::Command::Build(build) => build,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn options_become_a_query() {
        let q = query(
            &args("-t a:1 -t b --build-arg A=1 --build-arg NO_SUCH_VARIABLE --label l --no-cache ."),
            "D",
        );
        let q = q.unwrap().to_string();
        for part in [
            "dockerfile=D",
            "t=a%3A1&t=b",
            "buildargs=%7B%22A%22%3A%221%22%2C%22NO_SUCH_VARIABLE%22%3Anull%7D",
            "labels=%7B%22l%22%3A%22%22%7D",
            "nocache=1",
        ] {
            assert!(q.contains(part), "{part}: {q}");
        }
        assert!(query(&args("-t UPPER ."), "D").is_err());
    }

    #[test]
    fn a_context_is_packed_with_its_dockerfile() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/Dockerfile"), b"FROM scratch\n").unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join("link")).unwrap();
        assert_eq!(
            inside(dir.path(), &dir.path().join("sub/Dockerfile")).unwrap().as_deref(),
            Some("sub/Dockerfile")
        );
        assert!(inside(dir.path(), &dir.path().join("Dockerfile")).is_err());
        let other = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(inside(dir.path(), other.path()).unwrap(), None);
        fs::write(dir.path().join("sub/left-out"), b"").unwrap();
        fs::write(dir.path().join(IGNORE_FILE), "# none\nsub\n*.txt\n").unwrap();
        let ignore = ignore(dir.path(), "sub/Dockerfile").unwrap();
        let mut archive = Vec::new();
        pack(dir.path(), &ignore, Some((OUTSIDE, b"FROM x")), &mut archive).unwrap();
        assert!(is_archive(&archive) && !is_archive(b"FROM debian:12\n"));
        let mut read = tar::Archive::new(archive.as_slice());
        let names: Vec<String> =
            read.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(names, [IGNORE_FILE, "link", "sub/Dockerfile", OUTSIDE]);
    }
}
