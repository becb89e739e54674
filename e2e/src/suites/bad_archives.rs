//! Archives that are broken or mean harm: the store takes what is sane, and nothing of the host is touched.

use anyhow::{Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Bed, Cx};
use crate::tarball::{Tarball, docker_archive};

pub(super) const TESTS: &[Test] = tests!("bad_archives", 90;
    absolute_and_dotdot, symlink_escape, hard_link_escape, devices, ten_gigabyte_hole, duplicate_names, truncated, promised_bytes,
    not_an_archive, broken_manifests, file_over_directory, odd_names, deep_nesting, link_loops, copied_archives, refusals_leave_nothing,
);

/// Imports an archive; `None` where it is refused. Either is fine, a crash or an escape is not.
fn import(cx: &Cx, bytes: &[u8]) -> Result<Option<String>> {
    let image = cx.own("bad:1");
    let out = cx.docker_with(&["import", "-", &image], bytes)?;
    if out.code != 0 {
        ensure!(out.errors().contains("rror"), "refused without a word: {out}");
    }
    cx.run(BASE, &["true"])?.good()?;
    Ok((out.code == 0).then_some(image))
}

/// The list of names in the image by `docker export`.
fn names(cx: &Cx, image: &str) -> Result<Vec<String>> {
    let name = cx.own("c");
    cx.docker(&["create", "--name", &name, image, "x"])?.good()?;
    let out = cx.docker(&["cp", &format!("{name}:/"), "-"])?;
    cx.docker(&["rm", &name])?.good()?;
    cx.docker(&["rmi", image])?.good()?;
    let mut names = Vec::new();
    for entry in tar::Archive::new(out.stdout.as_slice()).entries()? {
        names.push(
            entry?.path()?.to_string_lossy().trim_start_matches('/').trim_start_matches("./").to_owned(),
        );
    }
    Ok(names)
}

fn nothing_escaped(cx: &Cx, mark: &str) -> Result<()> {
    for directory in ["", "data", "home", "shared", "canary", "run"] {
        let path = cx.bed.path(directory).join(mark);
        ensure!(!path.exists(), "{} was made", path.display());
    }
    ensure!(
        !std::path::Path::new("/").join(mark).exists() && !std::path::Path::new("/tmp").join(mark).exists()
    );
    Ok(())
}

fn absolute_and_dotdot(cx: &Cx) -> Result<()> {
    let mark = "escaped-by-name";
    let canary = cx.bed.path("canary").join(mark);
    let bytes = Tarball::new()
        .file("good", 0o644, b"x")?
        .file(&format!("/{mark}"), 0o644, b"x")?
        .file(&format!("../../../../../../tmp/{mark}"), 0o644, b"x")?
        .file(&format!("a/../../{mark}"), 0o644, b"x")?
        .file(&canary.to_string_lossy(), 0o644, b"x")?
        .finish()?;
    if let Some(image) = import(cx, &bytes)? {
        names(cx, &image)?;
    }
    nothing_escaped(cx, mark)
}

fn symlink_escape(cx: &Cx) -> Result<()> {
    let mark = "escaped-by-link";
    let canary = cx.bed.path("canary").to_string_lossy().into_owned();
    let bytes = Tarball::new()
        .symlink("out", &canary)?
        .file(&format!("out/{mark}"), 0o644, b"x")?
        .symlink("up", "../../../../../../tmp")?
        .file(&format!("up/{mark}"), 0o644, b"x")?
        .symlink("self", "self")?
        .file("self/x", 0o644, b"x")?
        .finish()?;
    if let Some(image) = import(cx, &bytes)? {
        names(cx, &image)?;
    }
    nothing_escaped(cx, mark)
}

fn hard_link_escape(cx: &Cx) -> Result<()> {
    let bytes = Tarball::new()
        .hard_link("passwd", "/etc/passwd")?
        .hard_link("up", "../../../../etc/passwd")?
        .hard_link("canary", &cx.bed.path("canary/one").to_string_lossy())?
        .hard_link("missing", "no/such/file")?
        .finish()?;
    if let Some(image) = import(cx, &bytes)? {
        let list = names(cx, &image)?;
        ensure!(!list.iter().any(|n| n == "canary"), "a link to a file of the host: {list:?}");
    }
    Ok(())
}

fn devices(cx: &Cx) -> Result<()> {
    let bytes = Tarball::new().directory("dev/")?.device("dev/sda")?.file("f", 0o644, b"x")?.finish()?;
    if let Some(image) = import(cx, &bytes)? {
        ensure!(names(cx, &image)?.iter().any(|n| n == "f"));
    }
    Ok(())
}

fn ten_gigabyte_hole(cx: &Cx) -> Result<()> {
    let bytes = Tarball::new().hole("hole", 10 << 30)?.file("f", 0o644, b"x")?.finish()?;
    let used = |cx: &Cx| -> Result<u64> {
        let mut command = std::process::Command::new("du");
        command.arg("-sk").arg(cx.bed.path("data"));
        let out = crate::output::run(command, b"", cx.deadline)?;
        Ok(out.text().split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0))
    };
    let before = used(cx)?;
    if import(cx, &bytes)?.is_some() {
        let now = used(cx)?;
        cx.docker(&["rmi", &cx.own("bad:1")])?.good()?;
        ensure!(now < before + (1 << 20), "a hole of 10 GiB takes {} KiB", now - before);
    }
    Ok(())
}

fn duplicate_names(cx: &Cx) -> Result<()> {
    let bytes = Tarball::new()
        .file("f", 0o600, b"first")?
        .directory("d/")?
        .file("d/x", 0o644, b"x")?
        .file("f", 0o644, b"second")?
        .directory("d/")?
        .finish()?;
    let image = import(cx, &bytes)?;
    ensure!(image.is_some(), "duplicate names are allowed: the last one counts");
    if let Some(image) = image {
        let mut list = names(cx, &image)?;
        list.retain(|n| n == "f" || n == "d/x");
        list.sort();
        ensure!(list == ["d/x", "f"], "{list:?}");
    }
    Ok(())
}

fn truncated(cx: &Cx) -> Result<()> {
    let whole = Tarball::new().file("a", 0o644, &[1; 3000])?.file("b", 0o644, &[2; 3000])?.finish()?;
    for cut in [100, 513, 2000, 4000, 6000] {
        let out = cx.docker_with(&["import", "-", &cx.own("cut:1")], &whole[..cut])?;
        ensure!(out.code != 0, "an archive cut at {cut} was taken");
    }
    let layer = Tarball::new().file("a", 0o644, &[1; 3000])?.finish()?;
    let archive = docker_archive(&[layer], &cx.own("cut:2"), "{\"Cmd\":[\"x\"]}")?;
    for cut in [600, archive.len() / 2, archive.len() - 3000] {
        let out = cx.docker_with(&["load"], &archive[..cut])?;
        ensure!(out.code != 0 || !out.text().contains("Loaded"), "an archive cut at {cut} was loaded: {out}");
    }
    Ok(())
}

fn promised_bytes(cx: &Cx) -> Result<()> {
    for size in [1 << 20, 1 << 40, u64::MAX >> 2] {
        let Ok(tarball) = Tarball::new().promise("f", size) else { continue };
        let out = cx.docker_with(&["import", "-", &cx.own("p:1")], &tarball.finish()?)?;
        ensure!(out.code != 0, "{size} promised bytes were taken");
    }
    Ok(())
}

fn not_an_archive(cx: &Cx) -> Result<()> {
    for bytes in
        [&b"hello"[..], &[0xff; 10_000], &[0x1f, 0x8b, 8, 0, 1, 2, 3, 4], b"\x28\xb5\x2f\xfd\xff\xff\xff"]
    {
        let out = cx.docker_with(&["load"], bytes)?;
        ensure!(out.code != 0, "{bytes:?} was loaded: {out}");
        let out = cx.docker_with(&["import", "-", &cx.own("n:1")], bytes)?;
        ensure!(out.code != 0, "{bytes:?} was imported: {out}");
    }
    Ok(())
}

fn broken_manifests(cx: &Cx) -> Result<()> {
    for manifest in [
        "{",
        "[]",
        "[{}]",
        "[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]",
        "[{\"Config\":\"c.json\",\"Layers\":[\"../../../etc/passwd\"]}]",
        "[{\"Config\":\"c.json\",\"Layers\":[\"/etc/passwd\"]}]",
        "[{\"Config\":\"c.json\",\"RepoTags\":[\"UPPER:1\"],\"Layers\":[]}]",
        "[{\"Config\":5}]",
    ] {
        let bytes = Tarball::new()
            .file("manifest.json", 0o644, manifest.as_bytes())?
            .file("c.json", 0o644, b"{}")?
            .finish()?;
        let out = cx.docker_with(&["load"], &bytes)?;
        ensure!(!out.text().contains("Loaded image: "), "{manifest} was loaded: {out}");
    }
    let none = Tarball::new().file("x", 0o644, b"x")?.finish()?;
    cx.docker_with(&["load"], &none)?.fails(1, "does not contain a manifest.json")
}

fn file_over_directory(cx: &Cx) -> Result<()> {
    let bytes = Tarball::new()
        .directory("a/")?
        .file("a/b", 0o644, b"x")?
        .file("a", 0o644, b"file")?
        .directory("a/")?
        .file("a/c", 0o644, b"y")?
        .file("f", 0o644, b"x")?
        .file("f/below", 0o644, b"x")?
        .finish()?;
    if let Some(image) = import(cx, &bytes)? {
        names(cx, &image)?;
    }
    Ok(())
}

fn odd_names(cx: &Cx) -> Result<()> {
    let bytes = Tarball::new()
        .file("./dot", 0o644, b"x")?
        .file("a//b", 0o644, b"x")?
        .file("new\nline", 0o644, b"x")?
        .file(&"n".repeat(99), 0o644, b"x")?
        .file(".wh.", 0o644, b"x")?
        .file(".wh...", 0o644, b"")?
        .file(".wh..", 0o644, b"")?
        .file("", 0o644, b"x")?
        .file(".", 0o644, b"x")?
        .finish()?;
    if let Some(image) = import(cx, &bytes)? {
        let list = names(cx, &image)?;
        ensure!(list.iter().any(|n| n == "dot"), "{list:?}");
    }
    Ok(())
}

fn deep_nesting(cx: &Cx) -> Result<()> {
    let mut tarball = Tarball::new();
    let mut path = String::new();
    for _ in 0..48 {
        path.push_str("d/");
        tarball = tarball.directory(&path)?;
    }
    let image = import(cx, &tarball.finish()?)?;
    ensure!(image.is_some(), "48 levels are ordinary");
    if let Some(image) = image {
        names(cx, &image)?;
    }
    Ok(())
}

fn link_loops(cx: &Cx) -> Result<()> {
    let bytes = Tarball::new()
        .hard_link("a", "b")?
        .hard_link("b", "a")?
        .hard_link("c", "c")?
        .symlink("x", "y")?
        .symlink("y", "x")?
        .file("x/z", 0o644, b"x")?
        .finish()?;
    if let Some(image) = import(cx, &bytes)? {
        names(cx, &image)?;
    }
    Ok(())
}

fn copied_archives(cx: &Cx) -> Result<()> {
    let (name, mark) = (cx.own("c"), "escaped-by-copy");
    cx.docker(&["create", "--name", &name, BASE, "true"])?.good()?;
    let canary = cx.bed.path("canary").to_string_lossy().into_owned();
    let bytes = Tarball::new()
        .file(&format!("/{mark}"), 0o644, b"x")?
        .symlink("out", &canary)?
        .file(&format!("out/{mark}"), 0o644, b"x")?
        .file(&format!("../../../{mark}"), 0o644, b"x")?
        .finish()?;
    cx.docker_with(&["cp", "-", &format!("{name}:/srv")], &bytes)?;
    nothing_escaped(cx, mark)?;
    cx.docker(&["start", "-a", &name])?.good()?;
    Ok(())
}

/// Files in the directories of a store, and their bytes together; its locks and what says which images there are do not
/// count.
fn disk(store: &std::path::Path) -> Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    let mut todo = Vec::new();
    for entry in std::fs::read_dir(store)? {
        let entry = entry?;
        if entry.metadata()?.is_dir() {
            todo.push(entry.path());
        }
    }
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if meta.is_dir() {
                todo.push(entry.path());
            } else if name != "lock" && !name.ends_with(".json") {
                (files, bytes) = (files + 1, bytes + meta.len());
            }
        }
    }
    Ok((files, bytes))
}

/// Sends an archive as it is.
fn post(cx: &Cx, path: &str, bytes: &[u8]) -> Result<crate::http::Response> {
    use std::io::Write;
    let mut stream = crate::http::connect(cx)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes())?;
    // A refusal may come before all of it is sent.
    let _ = stream.write_all(bytes);
    crate::http::read(&mut stream)
}

fn refusals_leave_nothing(cx: &Cx) -> Result<()> {
    let bed = Bed::start(&cx.bed.args, "refusals")?;
    let test =
        Test { suite: "", name: "refusals", seconds: 60, programs: false, run: refusals_leave_nothing };
    let cx = &Cx::new(&bed, &test, std::time::Duration::from_secs(60));
    let good = Tarball::new().file("f", 0o644, &[7; 5000])?.finish()?;
    let store = bed.path("data").join("images");
    let packed = |program: &str, bytes: &[u8]| -> Result<Vec<u8>> {
        let out = crate::output::run(std::process::Command::new(program), bytes, cx.deadline)?;
        out.good()?;
        Ok(out.stdout)
    };
    // Noise, so that a cut in the middle is one in the data.
    let mut seed = 1u32;
    let noise: Vec<u8> = (0..200_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .collect();
    let noisy = Tarball::new().file("noise", 0o644, &noise)?.finish()?;
    let (gz, zst) = (packed("gzip", &noisy)?, packed("zstd", &noisy)?);
    let mut broken = gz.clone();
    let middle = broken.len() / 2;
    broken[middle..middle + 64].fill(0);
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("a gzip stream that is cut off", gz[..gz.len() / 2].to_vec()),
        ("a zstd stream that is cut off", zst[..zst.len() / 2].to_vec()),
        ("a gzip stream with a hole", broken),
        (
            "a name of 1 MiB",
            Tarball::new().extended("path", &vec![b'n'; 1 << 20])?.file("x", 0o644, b"")?.finish()?,
        ),
        ("a name of many parts", {
            let deep = "d/".repeat(100_000);
            Tarball::new().extended("path", deep.as_bytes())?.file("x", 0o644, b"")?.finish()?
        }),
        (
            "an extended header of 32 MiB",
            Tarball::new().extended("comment", &vec![b'c'; 32 << 20])?.file("x", 0o644, b"")?.finish()?,
        ),
        ("a negative size", Tarball::new().extended("size", b"-1")?.file("x", 0o644, b"x")?.finish()?),
        (
            "a size of exabytes",
            Tarball::new().extended("size", b"9223372036854775807")?.file("x", 0o644, b"x")?.finish()?,
        ),
        ("a hard link to nowhere", Tarball::new().hard_link("x", "../../../etc/passwd")?.finish()?),
        (
            "an attribute of 1 MiB",
            Tarball::new()
                .extended("SCHILY.xattr.user.x", &vec![b'x'; 1 << 20])?
                .file("x", 0o644, b"")?
                .finish()?,
        ),
    ];
    let before = disk(&store)?;
    for (what, bytes) in &bad {
        let response = post(cx, "/images/create?fromSrc=-&repo=bad&tag=1", bytes)?;
        ensure!(response.status == 400, "{what}: {} {}", response.status, response.text());
        ensure!(response.text().starts_with("{\"message\":\""), "{what}: {}", response.text());
        ensure!(disk(&store)? == before, "{what} left something");
    }
    // The same as layers of an image that says otherwise, and images whose parts do not fit.
    let mut archives: Vec<(String, Vec<u8>)> = Vec::new();
    for (what, bytes) in &bad {
        archives.push((what.to_string(), docker_archive(std::slice::from_ref(bytes), "bad:1", "{}")?));
    }
    let mut more = good.clone();
    more.extend(b"garbage behind the end");
    let mut wrong = docker_archive(std::slice::from_ref(&good), "bad:1", "{}")?;
    if let Some(at) = wrong.windows(8).position(|w| w == [7; 8]) {
        wrong[at] = 8;
    }
    archives.push(("a layer that is another one than the configuration says".into(), wrong));
    let mut blob = crate::tarball::oci_archive(&good, "bad:1", "{}")?;
    if let Some(at) = blob.windows(8).position(|w| w == [7; 8]) {
        blob[at] = 8;
    }
    archives.push(("a blob with another digest than its name".into(), blob));
    for (what, bytes) in &archives {
        let response = post(cx, "/images/load", bytes)?;
        ensure!(
            response.status == 200 && response.text().contains("\"errorDetail\""),
            "{what}: {}",
            response.text()
        );
        ensure!(disk(&store)? == before, "{what} left something");
    }
    // Garbage behind the end of an archive belongs to the layer, and comes back with it.
    let response = post(cx, "/images/load", &docker_archive(&[more.clone()], "odd:1", "{\"Cmd\":[\"x\"]}")?)?;
    if response.text().contains("Loaded image: odd:1") {
        let saved = cx.docker(&["save", "odd:1"])?;
        ensure!(saved.stdout.windows(more.len()).any(|w| w == more), "the layer has changed");
        cx.docker(&["rmi", "odd:1"])?.good()?;
    }
    ensure!(disk(&store)? == before, "space was not given back: {:?} instead of {before:?}", disk(&store)?);
    ensure!(cx.docker(&["images", "-aq"])?.good()?.is_empty());
    bed.finish()
}
