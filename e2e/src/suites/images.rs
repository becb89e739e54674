//! Images: import, load, tag, list, inspect, history, remove, and a store that survives being killed.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Bed, Cx};
use crate::tarball::{Tarball, docker_archive, oci_archive};

pub(super) const TESTS: &[Test] = tests!("images", 120;
    store_killed, import_with_changes, import_compressed, load_docker_archive, load_oci_layout, layers_and_whiteouts, same_layer_shared,
    tags_and_removal, removal_in_use, inspect_and_history, list_and_filters, dangling_after_retag, ids_and_prefixes,
    image_config_used, special_files, save_and_load_again, wrong_digest, exec_bits_and_owners,
);

/// A root file system with one static program would do; these tests only need files, and `sh` from the base.
fn load(cx: &Cx, archive: &[u8]) -> Result<String> {
    cx.docker_with(&["load"], archive)?.good()
}

/// Files of an image, without running it: `docker create` and `docker cp`.
fn cat(cx: &Cx, image: &str, path: &str) -> Result<Option<Vec<u8>>> {
    let name = cx.own("cat");
    cx.docker(&["create", "--name", &name, image, "x"])?.good()?;
    let out = cx.docker(&["cp", "-L", &format!("{name}:{path}"), "-"])?;
    cx.docker(&["rm", &name])?.good()?;
    if out.code != 0 {
        return Ok(None);
    }
    let mut archive = tar::Archive::new(out.stdout.as_slice());
    let mut entry = archive.entries()?.next().context("an empty archive")??;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut bytes)?;
    Ok(Some(bytes))
}

/// The file is in the image and has these bytes.
fn holds(cx: &Cx, image: &str, path: &str, bytes: &[u8]) -> Result<()> {
    let got = cat(cx, image, path)?;
    ensure!(got.as_deref() == Some(bytes), "{image} {path}: {got:?}");
    Ok(())
}

fn import_with_changes(cx: &Cx) -> Result<()> {
    let image = cx.own("i:1");
    let out = cx.docker(&[
        "import",
        "-c",
        "CMD [\"cat\",\"/etc/debian_version\"]",
        "-c",
        "ENV A=b",
        "-c",
        "WORKDIR /usr",
        "-m",
        "a message",
        &cx.bed.args.base.to_string_lossy(),
        &image,
    ])?;
    ensure!(out.good()?.starts_with("sha256:"), "{out}");
    ensure!(cx.docker(&["run", "--rm", &image])?.good()?.starts_with("12."));
    cx.docker(&["run", "--rm", &image, "sh", "-c", "echo $A; pwd"])?.prints("b\n/usr")?;
    ensure!(cx.docker(&["history", "--format", "{{.Comment}}", &image])?.good()?.contains("a message"));
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn import_compressed(cx: &Cx) -> Result<()> {
    let plain = Tarball::new().directory("etc/")?.file("etc/f", 0o644, b"compressed\n")?.finish()?;
    let directory = cx.directory(&[("t.tar", &plain)])?;
    for (program, args) in [("gzip", &["-k"][..]), ("bzip2", &["-k"]), ("xz", &["-k"]), ("zstd", &["-q"])] {
        let mut command = std::process::Command::new(program);
        command.args(args).arg("t.tar").current_dir(&directory);
        if !command.status().is_ok_and(|s| s.success()) {
            continue;
        }
        let suffix = match program {
            "gzip" => "gz",
            "bzip2" => "bz2",
            "zstd" => "zst",
            other => other,
        };
        let image = cx.own(&format!("{program}:1"));
        let bytes = std::fs::read(directory.join(format!("t.tar.{suffix}")))?;
        let out = cx.docker_with(&["import", "-", &image], &bytes)?;
        if ["bzip2", "xz"].contains(&program) && out.code != 0 {
            ensure!(out.errors().contains(program) && out.errors().contains("not supported"), "{out}");
            continue;
        }
        out.good()?;
        holds(cx, &image, "/etc/f", b"compressed\n")?;
        cx.docker(&["rmi", &image])?.good()?;
    }
    Ok(())
}

fn load_docker_archive(cx: &Cx) -> Result<()> {
    let image = cx.own("d:1");
    let layer = Tarball::new().directory("etc/")?.file("etc/f", 0o644, b"layer\n")?.finish()?;
    let archive = docker_archive(&[layer], &image, "{\"Cmd\":[\"x\"],\"Labels\":{\"k\":\"v\"}}")?;
    let out = load(cx, &archive)?;
    ensure!(out.contains(&format!("Loaded image: {image}")), "{out}");
    holds(cx, &image, "/etc/f", b"layer\n")?;
    cx.docker(&["inspect", "-f", "{{.Config.Labels.k}}", &image])?.prints("v")?;
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn load_oci_layout(cx: &Cx) -> Result<()> {
    let image = cx.own("o:1");
    let layer = Tarball::new().file("f", 0o644, b"oci\n")?.finish()?;
    load(cx, &oci_archive(&layer, &image, "{\"Cmd\":[\"x\"]}")?)?;
    holds(cx, &image, "/f", b"oci\n")?;
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn layers_and_whiteouts(cx: &Cx) -> Result<()> {
    let image = cx.own("w:1");
    let one = Tarball::new()
        .directory("d/")?
        .file("d/kept", 0o644, b"kept")?
        .file("d/deleted", 0o644, b"deleted")?
        .file("changed", 0o644, b"old")?
        .directory("opaque/")?
        .file("opaque/gone", 0o644, b"gone")?
        .directory("replaced/")?
        .file("replaced/x", 0o644, b"x")?
        .finish()?;
    let two = Tarball::new()
        .file("d/.wh.deleted", 0o644, b"")?
        .file("changed", 0o600, b"new")?
        .file("opaque/.wh..wh..opq", 0o644, b"")?
        .file("opaque/here", 0o644, b"here")?
        .file("replaced", 0o644, b"now a file")?
        .finish()?;
    load(cx, &docker_archive(&[one, two], &image, "{\"Cmd\":[\"x\"]}")?)?;
    for (path, want) in [
        ("/d/kept", Some(&b"kept"[..])),
        ("/d/deleted", None),
        ("/changed", Some(b"new")),
        ("/opaque/gone", None),
        ("/opaque/here", Some(b"here")),
        ("/replaced", Some(b"now a file")),
    ] {
        let got = cat(cx, &image, path)?;
        ensure!(got.as_deref() == want, "{path}: {got:?}");
    }
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn same_layer_shared(cx: &Cx) -> Result<()> {
    let layer = Tarball::new().file("f", 0o644, &vec![7; 1 << 20])?.finish()?;
    let (a, b) = (cx.own("a:1"), cx.own("b:1"));
    load(cx, &docker_archive(std::slice::from_ref(&layer), &a, "{\"Cmd\":[\"x\"]}")?)?;
    load(cx, &docker_archive(&[layer], &b, "{\"Cmd\":[\"y\"]}")?)?;
    cx.docker(&["rmi", &a])?.good()?;
    ensure!(cat(cx, &b, "/f")?.is_some_and(|f| f.len() == 1 << 20), "removing one image broke the other");
    cx.docker(&["rmi", &b])?.good()?;
    Ok(())
}

fn small(cx: &Cx, image: &str, text: &str) -> Result<()> {
    let layer = Tarball::new().file("f", 0o644, text.as_bytes())?.finish()?;
    cx.docker_with(&["import", "-", image], &layer)?.good()?;
    Ok(())
}

fn tags_and_removal(cx: &Cx) -> Result<()> {
    let (a, b) = (cx.own("a:1"), cx.own("b"));
    small(cx, &a, "tags")?;
    cx.docker(&["tag", &a, &b])?.good()?;
    let id = cx.docker(&["inspect", "-f", "{{.Id}}", &b])?.good()?;
    ensure!(cx.docker(&["inspect", "-f", "{{.Id}}", &a])?.good()? == id);
    let out = cx.docker(&["rmi", &a])?.good()?;
    ensure!(out == format!("Untagged: {a}"), "{out}");
    holds(cx, &b, "/f", b"tags")?;
    let out = cx.docker(&["rmi", &b])?.good()?;
    ensure!(
        out.contains(&format!("Untagged: {b}:latest")) && out.contains(&format!("Deleted: {id}")),
        "{out}"
    );
    cx.docker(&["rmi", &b])?.fails(1, "No such image")?;
    cx.docker(&["tag", "nosuch:1", "x:1"])?.fails(1, "No such image: nosuch:1")
}

fn removal_in_use(cx: &Cx) -> Result<()> {
    let (image, name) = (cx.own("i:1"), cx.own("c"));
    small(cx, &image, "in use")?;
    cx.docker(&["create", "--name", &name, &image, "x"])?.good()?;
    cx.docker(&["rmi", &image])?.fails(1, "is using its referenced image")?;
    cx.docker(&["rmi", "-f", &image])?.good()?;
    cx.docker(&["cp", &format!("{name}:/f"), "-"])?.good()?;
    cx.docker(&["rm", &name])?.good()?;
    Ok(())
}

fn inspect_and_history(cx: &Cx) -> Result<()> {
    let image = cx.own("i:1");
    let layer = Tarball::new().file("f", 0o644, b"x")?.finish()?;
    load(
        cx,
        &docker_archive(
            std::slice::from_ref(&layer),
            &image,
            "{\"Cmd\":[\"x\"],\"Env\":[\"A=b\"],\"ExposedPorts\":{\"80/tcp\":{}}}",
        )?,
    )?;
    let text = cx.docker(&["inspect", &image])?.good()?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let i = value.get(0).context("an empty list")?;
    ensure!(i["Architecture"] == "amd64" && i["Os"] == "linux" && i["Config"]["Env"][0] == "A=b", "{i}");
    ensure!(i["RootFS"]["Layers"][0] == format!("sha256:{}", crate::tarball::digest(&layer)), "{i}");
    ensure!(i["RepoTags"][0] == image.as_str(), "{i}");
    cx.docker(&["history", &image])?.good()?;
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn list_and_filters(cx: &Cx) -> Result<()> {
    let image = cx.own("l:7");
    small(cx, &image, "list")?;
    let list = cx.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"])?.good()?;
    ensure!(list.lines().any(|l| l == image) && list.lines().any(|l| l == BASE), "{list}");
    let repository = image.trim_end_matches(":7");
    cx.docker(&["images", repository, "--format", "{{.Tag}}"])?.prints("7")?;
    cx.docker(&["images", "--filter", &format!("reference={repository}:*"), "--format", "{{.Tag}}"])?
        .prints("7")?;
    cx.docker(&["images", "no-such-image", "-q"])?.prints("")?;
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn dangling_after_retag(cx: &Cx) -> Result<()> {
    let image = cx.own("d:1");
    small(cx, &image, "first")?;
    let first = cx.docker(&["inspect", "-f", "{{.Id}}", &image])?.good()?;
    small(cx, &image, "second")?;
    let dangling = cx.docker(&["images", "-q", "--no-trunc", "--filter", "dangling=true"])?.good()?;
    ensure!(dangling.lines().any(|l| l == first), "{dangling}");
    cx.docker(&["rmi", &first])?.good()?;
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn ids_and_prefixes(cx: &Cx) -> Result<()> {
    let image = cx.own("p:1");
    small(cx, &image, "prefix")?;
    let id = cx.docker(&["inspect", "-f", "{{.Id}}", &image])?.good()?;
    let hex = id.trim_start_matches("sha256:");
    for key in [&id[..], hex, &hex[..12], &hex[..8]] {
        ensure!(cx.docker(&["inspect", "-f", "{{.Id}}", key])?.good()? == id, "{key}");
    }
    cx.docker(&["rmi", &hex[..12]])?.good()?;
    Ok(())
}

fn image_config_used(cx: &Cx) -> Result<()> {
    let image = cx.own("c:1");
    let changes = [
        "USER 1000:1000",
        "ENV FROM=image",
        "WORKDIR /srv/x",
        "ENTRYPOINT [\"sh\",\"-c\"]",
        "CMD [\"echo $FROM; pwd; id -u\"]",
        "LABEL a=b",
        "STOPSIGNAL SIGINT",
    ];
    let base = cx.bed.args.base.to_string_lossy().into_owned();
    let mut args = vec!["import"];
    for change in &changes {
        args.extend(["-c", *change]);
    }
    args.extend([base.as_str(), image.as_str()]);
    cx.docker(&args)?.good()?;
    cx.docker(&["run", "--rm", &image])?.prints("image\n/srv/x\n1000")?;
    cx.docker(&["run", "--rm", "-e", "FROM=me", "-u", "0", &image, "echo $FROM; id -u"])?.prints("me\n0")?;
    let name = cx.own("sig");
    cx.docker(&["run", "-d", "--name", &name, &image, "trap 'exit 11' INT; while :; do sleep 0.05; done"])?
        .good()?;
    std::thread::sleep(Duration::from_millis(300));
    cx.docker(&["stop", &name])?.good()?;
    cx.docker(&["inspect", "-f", "{{.State.ExitCode}} {{.Config.Labels.a}}", &name])?.prints("11 b")?;
    cx.docker(&["rm", &name])?.good()?;
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn special_files(cx: &Cx) -> Result<()> {
    let script = "find / -xdev -type f -perm -4000 | sort | head -3; stat -c '%a %U:%G' /usr/bin/passwd /tmp /var/mail /etc/shadow; test -e /dev/sda && echo device; echo end";
    cx.sh(BASE, script)?.prints("/usr/bin/chfn\n/usr/bin/chsh\n/usr/bin/gpasswd\n4755 root:root\n1777 root:root\n2775 root:mail\n640 root:shadow\nend")
}

fn save_and_load_again(cx: &Cx) -> Result<()> {
    let image = cx.own("s:1");
    small(cx, &image, "saved")?;
    let id = cx.docker(&["inspect", "-f", "{{.Id}}", &image])?.good()?;
    let out = cx.docker(&["save", &image])?;
    out.good()?;
    cx.docker(&["rmi", &image])?.good()?;
    load(cx, &out.stdout)?;
    ensure!(
        cx.docker(&["inspect", "-f", "{{.Id}}", &image])?.good()? == id,
        "the id changed by save and load"
    );
    holds(cx, &image, "/f", b"saved")?;
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn wrong_digest(cx: &Cx) -> Result<()> {
    let image = cx.own("x:1");
    let layer = Tarball::new().file("f", 0o644, b"right")?.finish()?;
    let mut archive = docker_archive(&[layer], &image, "{\"Cmd\":[\"x\"]}")?;
    if let Some(at) = archive.windows(5).position(|w| w == b"right") {
        archive[at..at + 5].copy_from_slice(b"wrong");
    }
    let out = cx.docker_with(&["load"], &archive)?;
    ensure!(
        out.code != 0 || !out.text().contains("Loaded image"),
        "a layer with another digest was taken: {out}"
    );
    cx.docker(&["inspect", &image])?.code(1)?;
    Ok(())
}

fn exec_bits_and_owners(cx: &Cx) -> Result<()> {
    let out = cx.sh(BASE, "cd /; find etc usr/bin usr/sbin -xdev -printf '%m %U %G %y %p\\n' | sort | sha256sum; find / -xdev ! -uid 0 | wc -l")?.good()?;
    let mut archive = tar::Archive::new(std::fs::File::open(&cx.bed.args.base)?);
    let mut others = 0;
    for entry in archive.entries()? {
        others += u32::from(entry?.header().uid()? != 0);
    }
    let counted: u32 = out.lines().nth(1).and_then(|l| l.trim().parse().ok()).unwrap_or(0);
    ensure!(counted == others, "{counted} files of other users instead of {others}");
    Ok(())
}

fn store_killed(cx: &Cx) -> Result<()> {
    let bed = Bed::start(&cx.bed.args, "store")?;
    let test = Test { suite: "", name: "store", seconds: 100, programs: false, run: store_killed };
    let cx = &Cx::new(&bed, &test, Duration::from_secs(100));
    let mut acknowledged = Vec::new();
    for round in 0u64..6 {
        let image = format!("store:{round}");
        small(cx, &image, &image)?;
        acknowledged.push(image);
        // A load is cut off by SIGKILL, each time at another moment.
        let mut tarball = Tarball::new();
        for i in 0..2000 {
            tarball = tarball.file(&format!("f{i}"), 0o644, format!("{round} {i}").as_bytes())?;
        }
        let archive = docker_archive(&[tarball.finish()?], &format!("cut:{round}"), "{\"Cmd\":[\"x\"]}")?;
        let path = bed.path("cut.tar");
        std::fs::write(&path, archive)?;
        let mut load = bed
            .docker()
            .arg("load")
            .arg("-qi")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(20 + round * 60));
        bed.kill_daemon()?;
        let loaded = load.wait()?.success();
        bed.start_daemon()?;
        if loaded {
            acknowledged.push(format!("cut:{round}"));
        }
        for image in &acknowledged {
            let path = if image.starts_with("cut") { "/f1999" } else { "/f" };
            ensure!(
                cat(cx, image, path)?.is_some(),
                "{image} was acknowledged and is damaged after kill {round}"
            );
        }
    }
    bed.finish()
}
