//! `carrack cp`: files into and out of the daemon's containers, by the rules of `docker cp` (those of `cp -a`).

use crate::api::{Body, Client, Query, Upload, encode};
use crate::args;
use crate::failure::Failure;
use crate::out;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side<'a> {
    /// A container and a path in it.
    Container(&'a str, &'a str),
    Host(&'a Path),
    /// A tar archive on a standard stream.
    Stream,
}

impl<'a> Side<'a> {
    /// A name with a colon is a container's unless it begins as a path: `./a:b` is a file.
    fn parse(text: &'a OsStr) -> Side<'a> {
        if text == "-" {
            return Side::Stream;
        }
        match text.to_str().and_then(|t| t.split_once(':')) {
            Some((name, path)) if !name.is_empty() && !name.starts_with(['/', '.']) => {
                Side::Container(name, path)
            }
            _ => Side::Host(Path::new(text)),
        }
    }
}

/// `carrack cp`.
pub(crate) fn copy(args: &args::Cp) -> Result<u8, Failure> {
    let (source, target) = (Side::parse(&args.source), Side::parse(&args.target));
    match (source, target) {
        (Side::Container(..), Side::Container(..)) => Err(Failure::new(
            "copying between containers is not supported; copy to the host first, or through a pipe",
        )),
        (Side::Container(name, path), target) => {
            let client = Client::connect(&args.daemon)?;
            out_of(&client, name, path, &target, args.quiet)
        }
        (source, Side::Container(name, path)) => {
            let client = Client::connect(&args.daemon)?;
            into(&client, &source, name, path, args.quiet)
        }
        _ => Err(Failure::new("one of the two must be in a container: CONTAINER:PATH")),
    }
    .map(|()| 0)
}

/// Whether a path means what is in the directory: it ends in `/.`.
fn means_contents(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes == b"." || bytes.ends_with(b"/.")
}

/// Whether a path can only be a directory's.
fn must_be_directory(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/") || means_contents(path) || path.file_name().is_none()
}

fn out_of(client: &Client, name: &str, path: &str, target: &Side<'_>, quiet: bool) -> Result<(), Failure> {
    // The archive's entries are named after the directory itself, so that one form serves both.
    let whole = match path.strip_suffix("/.") {
        Some("") => "/",
        Some(directory) => directory,
        None => path,
    };
    let query = Query::default().text("path", whole);
    let mut archive = client.stream(
        hyper::Method::GET,
        &format!("/containers/{}/archive{query}", encode(name)),
        Body::None,
    )?;
    let failed = |e: io::Error| Failure::doing("the copy", e);
    let to = match target {
        Side::Stream => {
            if crate::terminal::is_stdout() {
                return Err(Failure::new("an archive is not written to a terminal; redirect it"));
            }
            let mut stdout = io::stdout().lock();
            io::copy(&mut archive, &mut stdout).and_then(|_| stdout.flush()).map_err(failed)?;
            return Ok(());
        }
        Side::Host(to) => *to,
        Side::Container(..) => return Err(Failure::new("copying between containers is not supported")),
    };
    // What is in a directory goes into a directory; one that is missing is made.
    if means_contents(Path::new(path)) || whole == "/" {
        if to.exists() && !to.is_dir() {
            return Err(Failure::new(format!("{} is no directory", to.display())));
        }
        fs::create_dir_all(to).map_err(|e| Failure::doing(to.display(), e))?;
        let count = unpack_contents(archive, to).map_err(failed)?;
        return told(quiet, count, name, path, to);
    }
    if to.is_dir() {
        let count = unpack(archive, to).map_err(failed)?;
        return told(quiet, count, name, path, to);
    }
    let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(Failure::new(format!("there is no directory {}", parent.display())));
    }
    // Beside the target first: it appears whole, under its name.
    let scratch = tempfile::Builder::new()
        .prefix(".carrack-cp")
        .tempdir_in(parent)
        .map_err(|e| Failure::doing(parent.display(), e))?;
    let count = unpack(archive, scratch.path()).map_err(failed)?;
    let copied = fs::read_dir(scratch.path()).map_err(failed)?.next().transpose().map_err(failed)?;
    let copied = copied.ok_or_else(|| Failure::new("the daemon sent an empty archive"))?.path();
    let is_dir = fs::symlink_metadata(&copied).map_err(failed)?.is_dir();
    if (must_be_directory(to) && !is_dir) || (is_dir && to.exists()) {
        return Err(Failure::new(format!("{} is no directory", to.display())));
    }
    // A path that ends with a slash names the directory without it.
    let name_of_it = to.components().collect::<PathBuf>();
    fs::rename(&copied, &name_of_it).map_err(|e| Failure::doing(to.display(), e))?;
    told(quiet, count, name, path, to)
}

fn told(quiet: bool, count: u64, name: &str, path: &str, to: &Path) -> Result<(), Failure> {
    if !quiet {
        let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        out::say(&format!("copied {files} from {name}:{path} to {}", to.display()));
    }
    Ok(())
}

fn reader<R: Read>(archive: R) -> tar::Archive<R> {
    let mut archive = tar::Archive::new(archive);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive
}

/// Unpacks an archive into a directory; how many files it had. Names that lead out of the directory are refused by the
/// library, which also follows no links out of it.
fn unpack(archive: impl Read, to: &Path) -> io::Result<u64> {
    let mut count = 0;
    for entry in reader(archive).entries()? {
        let mut entry = entry?;
        if is_special(&entry) {
            out::say(&format!("carrack: warning: the device {} is left out", entry.path()?.display()));
        } else if !entry.unpack_in(to)? {
            return Err(io::Error::other(format!("a name leads out of the directory: {:?}", entry.path()?)));
        } else {
            count += u64::from(!entry.header().entry_type().is_dir());
        }
    }
    Ok(count)
}

/// An ordinary user makes no devices.
fn is_special<R: Read>(entry: &tar::Entry<'_, R>) -> bool {
    matches!(entry.header().entry_type(), tar::EntryType::Char | tar::EntryType::Block)
}

/// The same without the first component of each name: beside the target first, then each file to its place.
fn unpack_contents(archive: impl Read, to: &Path) -> io::Result<u64> {
    let scratch = tempfile::Builder::new().prefix(".carrack-cp").tempdir_in(to)?;
    let count = unpack(archive, scratch.path())?;
    let top: Vec<_> = fs::read_dir(scratch.path())?.collect::<Result<_, _>>()?;
    match top.as_slice() {
        [one] if one.file_type()?.is_dir() => merge(&one.path(), to)?,
        _ => merge(scratch.path(), to)?,
    }
    Ok(count)
}

/// Moves what is in one directory into another; directories that both have are merged.
fn merge(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let is_dir = entry.file_type()?.is_dir();
        match fs::symlink_metadata(&target) {
            Ok(there) if is_dir && there.is_dir() => merge(&entry.path(), &target)?,
            Ok(there) if is_dir != there.is_dir() => {
                let what = if is_dir { "is no directory" } else { "is a directory" };
                return Err(io::Error::other(format!("{} {what}", target.display())));
            }
            _ => fs::rename(entry.path(), &target)?,
        }
    }
    Ok(())
}

fn into(client: &Client, source: &Side<'_>, name: &str, path: &str, quiet: bool) -> Result<(), Failure> {
    if path.is_empty() {
        return Err(Failure::new(format!("a path in the container is missing: {name}:PATH")));
    }
    // What is refused is best refused before it is sent: a daemon that answers early may not be heard.
    client.get(&format!("/containers/{}/json", encode(name)))?;
    let put = |directory: &str, upload: Upload| {
        let query = Query::default().text("path", directory).flag("noOverwriteDirNonDir", true);
        let url = format!("/containers/{}/archive{query}", encode(name));
        let mut answer =
            client.stream(hyper::Method::PUT, &url, Body::Upload(upload, "application/x-tar"))?;
        answer.read_to_end(&mut Vec::new()).map_err(|e| Failure::doing("the copy", e))?;
        Ok::<(), Failure>(())
    };
    let no_thread = |e: io::Error| Failure::doing("cannot make a thread", e);
    let from = match source {
        Side::Stream => {
            if crate::terminal::is_stdin() {
                return Err(Failure::new("requested to read from standard input, but that is a terminal"));
            }
            if stat(client, name, path)? != Some(true) {
                return Err(Failure::new(format!("there is no directory {name}:{path}")));
            }
            let upload = Upload::new(|out| io::copy(&mut io::stdin().lock(), out).map(drop));
            return put(path, upload.map_err(no_thread)?);
        }
        Side::Host(from) => *from,
        Side::Container(..) => return Err(Failure::new("copying between containers is not supported")),
    };
    let meta = fs::symlink_metadata(from).map_err(|e| Failure::doing(from.display(), e))?;
    // `link/` is what the link leads to, a directory.
    let meta = if must_be_directory(from) {
        fs::metadata(from).map_err(|e| Failure::doing(from.display(), e))?
    } else {
        meta
    };
    if must_be_directory(from) && !meta.is_dir() {
        return Err(Failure::new(format!("{} is no directory", from.display())));
    }
    let is_directory = stat(client, name, path)?;
    let contents = means_contents(from);
    let (directory, base) = match is_directory {
        Some(true) if contents => (path.to_owned(), PathBuf::new()),
        Some(true) => (path.to_owned(), own_name(from)?),
        Some(false) if meta.is_dir() => {
            return Err(Failure::new(format!("{name}:{path} is no directory")));
        }
        None if path.ends_with('/') && !meta.is_dir() => {
            return Err(Failure::new(format!("there is no directory {name}:{path}")));
        }
        // The copy is called as the path says.
        _ => {
            let trimmed = path.trim_end_matches('/');
            let (parent, last) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
            (if parent.is_empty() { "/".to_owned() } else { parent.to_owned() }, PathBuf::from(last))
        }
    };
    let (from, shown) = (from.to_owned(), from.display().to_string());
    let upload = Upload::new(move |out| pack(&from, &base, out)).map_err(no_thread)?;
    put(&directory, upload)?;
    if !quiet {
        out::say(&format!("copied {shown} to {name}:{path}"));
    }
    Ok(())
}

/// The last component of a path, also where it is `.` or ends in `..`.
fn own_name(path: &Path) -> Result<PathBuf, Failure> {
    let last = match path.components().next_back() {
        Some(Component::Normal(name)) => Some(name.to_owned()),
        _ => path.canonicalize().ok().and_then(|p| p.file_name().map(OsStr::to_owned)),
    };
    last.map(PathBuf::from)
        .ok_or_else(|| Failure::new(format!("{} has no name; copy {0}/. instead", path.display())))
}

/// Whether a path of the container is a directory (or leads to one); `None`: there is nothing.
fn stat(client: &Client, name: &str, path: &str) -> Result<Option<bool>, Failure> {
    let query =
        |path: &str| format!("/containers/{}/archive{}", encode(name), Query::default().text("path", path));
    // A directory has something behind its slash, also where a link leads to it.
    let behind = format!("{}/.", path.trim_end_matches('/'));
    // Refused: no directory, or nothing at all.
    if client.stream(hyper::Method::HEAD, &query(&behind), Body::None).is_ok() {
        return Ok(Some(true));
    }
    match client.stream(hyper::Method::HEAD, &query(path), Body::None) {
        Ok(_) => Ok(Some(false)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes a file or directory as an archive in which it is called `base`.
fn pack(from: &Path, base: &Path, out: &mut dyn Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    archive.follow_symlinks(false);
    let meta = if must_be_directory(from) { fs::metadata(from)? } else { fs::symlink_metadata(from)? };
    if meta.is_dir() {
        archive.append_dir_all(base, from)?;
    } else {
        archive.append_path_with_name(from, base)?;
    }
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides() {
        let side = |t: &'static str| Side::parse(OsStr::new(t));
        assert_eq!(side("web:/etc"), Side::Container("web", "/etc"));
        assert_eq!(side("./a:b"), Side::Host(Path::new("./a:b")));
        assert_eq!(side("/a:b"), Side::Host(Path::new("/a:b")));
        assert_eq!(side("plain"), Side::Host(Path::new("plain")));
        assert_eq!(side("-"), Side::Stream);
        let strange = OsStr::from_bytes(b"\xff:x");
        assert_eq!(Side::parse(strange), Side::Host(Path::new(strange)));
        assert!(
            means_contents(Path::new("a/."))
                && means_contents(Path::new("."))
                && !means_contents(Path::new("a"))
        );
        assert!(must_be_directory(Path::new("a/")) && !must_be_directory(Path::new("a")));
    }

    #[test]
    fn archives_go_there_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/file"), b"x").unwrap();
        std::os::unix::fs::symlink("sub/file", from.join("link")).unwrap();
        let mut archive = Vec::new();
        pack(&from, Path::new("called"), &mut archive).unwrap();
        let to = dir.path().join("to");
        fs::create_dir(&to).unwrap();
        assert_eq!(unpack(archive.as_slice(), &to).unwrap(), 2);
        assert_eq!(fs::read_link(to.join("called/link")).unwrap(), Path::new("sub/file"));
        fs::write(to.join("kept"), b"").unwrap();
        fs::create_dir(to.join("sub")).unwrap();
        unpack_contents(archive.as_slice(), &to).unwrap();
        assert_eq!(fs::read(to.join("sub/file")).unwrap(), b"x");
        assert!(to.join("kept").exists());
        assert!(
            fs::read_dir(&to).unwrap().all(|e| !e.unwrap().file_name().to_string_lossy().starts_with('.'))
        );
    }

    #[test]
    fn archives_stay_in_their_directory() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("to");
        fs::create_dir(&to).unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, "out", "..").unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        archive.append_data(&mut header, "out/escaped", &b"x"[..]).unwrap();
        assert!(unpack(archive.into_inner().unwrap().as_slice(), &to).is_err());
        assert!(!dir.path().join("escaped").exists());
    }
}
