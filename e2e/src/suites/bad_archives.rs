//! Archives that are broken or mean harm: the store takes what is sane, and nothing of the host is touched.

use anyhow::{Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};
use crate::tarball::{Tarball, docker_archive};

pub(super) const TESTS: &[Test] = tests!("bad_archives", 90;
    absolute_and_dotdot, symlink_escape, hard_link_escape, devices, ten_gigabyte_hole, duplicate_names, truncated, promised_bytes,
    not_an_archive, broken_manifests, file_over_directory, odd_names, deep_nesting, link_loops, copied_archives,
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
