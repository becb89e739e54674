//! Image tools of other makers: they read what we save, and we load what they write.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::tests;
use crate::Test;
use crate::bed::Cx;
use crate::output::{self, Output};
use crate::tarball::{Tarball, docker_archive, tree};

pub(super) const TESTS: &[Test] = tests!("foreign", 60;
    skopeo_keeps_ids, skopeo_compresses, umoci_reads, umoci_writes, buildah_writes,
);

/// An image of two layers with something of everything, and what `docker save` makes of it.
fn saved(cx: &Cx) -> Result<(String, Vec<u8>)> {
    let image = cx.own("i:1");
    let one = Tarball::new()
        .directory("d/")?
        .file("d/kept", 0o640, b"kept")?
        .file("d/gone", 0o644, b"gone")?
        .file("suid", 0o4755, b"suid")?
        .hard_link("second", "suid")?
        .symlink("link", "d/kept")?
        .directory("opaque/")?
        .file("opaque/old", 0o644, b"old")?
        .file("big", 0o600, &(0..300_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>())?
        .finish()?;
    let two = Tarball::new()
        .file("d/.wh.gone", 0o644, b"")?
        .directory("opaque/")?
        .file("opaque/.wh..wh..opq", 0o644, b"")?
        .file("opaque/new", 0o755, b"new")?
        .finish()?;
    let config = "{\"Cmd\":[\"x\"],\"Env\":[\"A=b\"],\"Labels\":{\"k\":\"v\"}}";
    cx.docker_with(&["load"], &docker_archive(&[one, two], &image, config)?)?.good()?;
    let out = cx.docker(&["save", &image])?;
    out.good()?;
    Ok((image, out.stdout))
}

fn field(cx: &Cx, image: &str, format: &str) -> Result<String> {
    cx.docker(&["image", "inspect", "-f", format, image])?.good()
}

/// The image's files, as a container made of it exports them.
fn files(cx: &Cx, image: &str) -> Result<std::collections::BTreeMap<String, String>> {
    let name = cx.own("files");
    cx.docker(&["create", "--name", &name, image, "x"])?.good()?;
    let out = cx.docker(&["export", &name])?;
    cx.docker(&["rm", &name])?.good()?;
    out.good()?;
    tree(&out.stdout)
}

/// A directory of the test's own, and a tool that is run in it with these arguments.
fn tool(cx: &Cx, program: &str, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(args).current_dir(cx.directory(&[])?);
    command.env("TMPDIR", cx.directory(&[])?).env("HOME", cx.directory(&[])?);
    output::run(command, b"", cx.deadline)
}

fn skopeo(cx: &Cx, args: &[&str]) -> Result<()> {
    let mut all = vec!["--insecure-policy", "copy", "-q"];
    all.extend(args);
    tool(cx, "skopeo", &all)?.good().map(drop)
}

fn write(cx: &Cx, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = cx.directory(&[])?.join(name);
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// Packs an OCI layout directory as `docker load` takes it.
fn pack(cx: &Cx, directory: &str) -> Result<Vec<u8>> {
    let out = tool(cx, "tar", &["-C", directory, "-cf", "-", "."])?;
    out.good()?;
    Ok(out.stdout)
}

fn skopeo_keeps_ids(cx: &Cx) -> Result<()> {
    let (image, archive) = saved(cx)?;
    write(cx, "saved.tar", &archive)?;
    let (id, layers, tree) =
        (field(cx, &image, "{{.Id}}")?, field(cx, &image, "{{.RootFS.Layers}}")?, files(cx, &image)?);
    let shown =
        tool(cx, "skopeo", &["--insecure-policy", "inspect", "--config", "docker-archive:saved.tar"])?
            .good()?;
    let shown: Value = serde_json::from_str(&shown)?;
    ensure!(shown["config"]["Env"][0] == "A=b" && shown["config"]["Labels"]["k"] == "v", "{shown}");
    for (from, to) in [("docker-archive", "docker-archive"), ("oci-archive", "oci-archive")] {
        let name = format!("{}:{from}", cx.own("copy"));
        let target = format!("{to}:{from}.tar:{name}");
        skopeo(cx, &[&format!("{from}:saved.tar"), &target])?;
        cx.docker(&["rmi", &image])?.good()?;
        let file = cx.directory(&[])?.join(format!("{from}.tar"));
        cx.docker(&["load", "-i", &file.to_string_lossy()])?.prints(&format!("Loaded image: {name}"))?;
        ensure!(field(cx, &name, "{{.Id}}")? == id, "another id by way of {from}");
        ensure!(field(cx, &name, "{{.RootFS.Layers}}")? == layers, "other layers by way of {from}");
        ensure!(files(cx, &name)? == tree, "another tree by way of {from}");
        // And what we save of that is what we saved before, but for the name.
        let again = cx.docker(&["save", &id])?;
        cx.docker(&["tag", &name, &image])?.good()?;
        cx.docker(&["rmi", &name])?.good()?;
        let named = cx.docker(&["save", &id])?;
        ensure!(again.stdout == named.stdout, "other bytes by way of {from}");
    }
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn skopeo_compresses(cx: &Cx) -> Result<()> {
    let (image, archive) = saved(cx)?;
    write(cx, "saved.tar", &archive)?;
    let (id, tree) = (field(cx, &image, "{{.Id}}")?, files(cx, &image)?);
    cx.docker(&["rmi", &image])?.good()?;
    for format in ["gzip", "zstd"] {
        let name = format!("{}:1", cx.own(format));
        let target = format!("oci:{format}:{name}");
        skopeo(cx, &["--dest-compress", "--dest-compress-format", format, "oci-archive:saved.tar", &target])?;
        cx.docker_with(&["load"], &pack(cx, format)?)?.prints(&format!("Loaded image: {name}"))?;
        // The configuration names the layers as they are without compression.
        ensure!(field(cx, &name, "{{.Id}}")? == id, "another id with {format}");
        ensure!(files(cx, &name)? == tree, "another tree with {format}");
        let digest = field(cx, &name, "{{index .RepoDigests 0}}")?;
        let index: Value =
            serde_json::from_slice(&std::fs::read(cx.directory(&[])?.join(format).join("index.json"))?)?;
        let manifest = index["manifests"][0]["digest"].as_str().context("no digest")?.to_owned();
        ensure!(digest.ends_with(&manifest), "{digest} is not {manifest}");
        cx.docker(&["rmi", &name])?.good()?;
    }
    Ok(())
}

/// Kind and digest of every file below a directory of the host, as far as an ordinary user can tell.
fn below(root: &Path) -> Result<std::collections::BTreeMap<String, String>> {
    let mut found = std::collections::BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            let meta = path.symlink_metadata()?;
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            let text = if meta.is_dir() {
                todo.push(path);
                "Directory".to_owned()
            } else if meta.is_symlink() {
                format!("Symlink {}", std::fs::read_link(&path)?.display())
            } else {
                format!("Regular {}", crate::tarball::digest(&std::fs::read(&path)?))
            };
            found.insert(name, text);
        }
    }
    Ok(found)
}

fn umoci_reads(cx: &Cx) -> Result<()> {
    let (image, archive) = saved(cx)?;
    write(cx, "saved.tar", &archive)?;
    skopeo(cx, &["oci-archive:saved.tar", "oci:layout:1"])?;
    tool(cx, "umoci", &["unpack", "--rootless", "--image", "layout:1", "bundle"])?.good()?;
    let unpacked = below(&cx.directory(&[])?.join("bundle/rootfs"))?;
    let mut ours: std::collections::BTreeMap<String, String> = Default::default();
    for (name, text) in files(cx, &image)? {
        let words: Vec<&str> = text.split(' ').collect();
        let (kind, last) = (words[0], words.last().copied().unwrap_or_default());
        let text = match kind {
            "Directory" => kind.to_owned(),
            "Symlink" => format!("{kind} {}", words[3]),
            kind => format!("{kind} {last}"),
        };
        ours.insert(name, text);
    }
    // Mount points that every container is given.
    ours.retain(|name, _| unpacked.contains_key(name) || !is_given(name));
    ensure!(unpacked == ours, "umoci: {unpacked:#?}\nexport: {ours:#?}");
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

/// What setting up a container makes.
fn is_given(name: &str) -> bool {
    let top = name.split('/').next().unwrap_or_default();
    [".dockerenv", "dev", "etc", "proc", "sys"].contains(&top)
}

fn umoci_writes(cx: &Cx) -> Result<()> {
    let image = cx.own("u:1");
    let run = |args: &[&str]| tool(cx, "umoci", args)?.good();
    run(&["init", "--layout", "layout"])?;
    let tag = format!("layout:{image}");
    // Its tags are names of references alone, so the repository comes with the load.
    let tag = tag.replace(&image, "latest");
    run(&["new", "--image", &tag])?;
    run(&["unpack", "--rootless", "--image", &tag, "bundle"])?;
    let root = cx.directory(&[])?.join("bundle/rootfs");
    std::fs::create_dir(root.join("d"))?;
    std::fs::write(root.join("d/f"), "by umoci")?;
    std::os::unix::fs::symlink("d/f", root.join("l"))?;
    run(&["repack", "--image", &tag, "bundle"])?;
    std::fs::remove_dir_all(cx.directory(&[])?.join("bundle"))?;
    run(&["unpack", "--rootless", "--image", &tag, "bundle"])?;
    std::fs::remove_file(root.join("l"))?;
    std::fs::write(root.join("d/g"), "second layer")?;
    run(&["repack", "--image", &tag, "bundle"])?;
    run(&[
        "config",
        "--image",
        &tag,
        "--config.cmd",
        "x",
        "--config.env",
        "A=umoci",
        "--config.label",
        "k=v",
    ])?;
    let out = cx.docker_with(&["load"], &pack(cx, "layout")?)?.good()?;
    let id = out.strip_prefix("Loaded image ID: ").with_context(|| out.clone())?.to_owned();
    cx.docker(&["tag", &id, &image])?.good()?;
    ensure!(field(cx, &image, "{{.Config.Cmd}} {{.Config.Env}} {{.Config.Labels.k}}")? == "[x] [A=umoci] v");
    ensure!(field(cx, &image, "{{len .RootFS.Layers}}")? == "2");
    let files = files(cx, &image)?;
    ensure!(files.contains_key("d/f") && files.contains_key("d/g") && !files.contains_key("l"), "{files:?}");
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn buildah_writes(cx: &Cx) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        // It needs a user namespace, or root.
        return Ok(());
    }
    let root = cx.directory(&[("f", b"by buildah")])?;
    let storage = (root.join("storage"), root.join("runroot"));
    let buildah = |args: &[&str]| {
        let (graph, run) = (storage.0.to_string_lossy(), storage.1.to_string_lossy());
        let mut all = vec!["--root", &*graph, "--runroot", &*run, "--storage-driver", "vfs"];
        all.extend(args);
        tool(cx, "buildah", &all)?.good()
    };
    std::fs::write(root.join("policy.json"), "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}")?;
    let policy = root.join("policy.json").to_string_lossy().into_owned();
    let container = buildah(&["from", "scratch"])?;
    buildah(&["copy", "--chown", "5:6", &container, "f", "/d/f"])?;
    buildah(&["config", "--cmd", "x", "--env", "A=buildah", "--port", "80", "--author", "me", &container])?;
    for (transport, format) in [("docker-archive", "docker"), ("oci-archive", "oci")] {
        let name = format!("{}:{format}", cx.own("b"));
        let target = format!("{transport}:{format}.tar:{name}");
        buildah(&["commit", "-q", "--signature-policy", &policy, "--format", format, &container, &target])?;
        let file = root.join(format!("{format}.tar"));
        let out = cx.docker(&["load", "-i", &file.to_string_lossy()])?.good()?;
        // It writes names with their host.
        let loaded = out.strip_prefix("Loaded image: ").with_context(|| out.clone())?.to_owned();
        ensure!(loaded.ends_with(&name), "{out}");
        ensure!(field(cx, &loaded, "{{.Config.Env}} {{.Author}}")?.ends_with("A=buildah] me"));
        let tree = files(cx, &loaded)?;
        ensure!(tree.get("d/f").is_some_and(|f| f.contains(" 5:6 ")), "{tree:?}");
        // And back: what we save of it, skopeo takes.
        write(cx, "back.tar", &{
            let out = cx.docker(&["save", &loaded])?;
            out.good()?;
            out.stdout
        })?;
        skopeo(cx, &["docker-archive:back.tar", &format!("dir:back-{format}")])?;
        cx.docker(&["rmi", &loaded])?.good()?;
    }
    buildah(&["rm", &container])?;
    Ok(())
}
