//! The rules of names, filters, removal and disk usage of images.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;

use super::tests;
use crate::Test;
use crate::bed::{BASE, Bed, Cx};
use crate::http::request;
use crate::tarball::{Tarball, docker_archive, oci_archive};

pub(super) const TESTS: &[Test] = tests!("image_rules", 90;
    prune_beside_create, disk_usage, removal_conflicts, list_filters, prune_filters, image_events, inspect_by_version, save_is_stable,
    save_by_name_and_id, load_says_what_it_does, load_compressed, platforms,
);

/// An image of one file, made in no time. Labels and all the rest come by `changes`.
fn small(cx: &Cx, image: &str, text: &str, changes: &[&str]) -> Result<String> {
    let layer = Tarball::new().file("f", 0o644, text.as_bytes())?.finish()?;
    let mut args = vec!["import"];
    for change in changes {
        args.extend(["-c", *change]);
    }
    args.extend(["-", image]);
    cx.docker_with(&args, &layer)?.good()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02x}")).collect()
}

fn json(cx: &Cx, path: &str) -> Result<Value> {
    let response = request(cx, "GET", path, "")?;
    ensure!(response.status == 200, "{path}: {response:?}");
    Ok(serde_json::from_str(&response.text())?)
}

fn ids(cx: &Cx, filters: &[&str]) -> Result<Vec<String>> {
    let mut args = vec!["images", "-q", "--no-trunc"];
    for filter in filters {
        args.extend(["--filter", *filter]);
    }
    let mut ids: Vec<String> = cx.docker(&args)?.good()?.lines().map(str::to_owned).collect();
    // The client prints a line for each name.
    ids.dedup();
    Ok(ids)
}

fn removal_conflicts(cx: &Cx) -> Result<()> {
    let (a, b, name) = (cx.own("a:1"), cx.own("b:1"), cx.own("c"));
    let id = small(cx, &a, "conflicts", &[])?;
    let short = &id[7..19];
    cx.docker(&["tag", &a, &b])?.good()?;
    let many = format!(
        "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    );
    cx.docker(&["rmi", &id])?.fails(1, &many)?;
    cx.docker(&["rmi", &b])?.prints(&format!("Untagged: {b}"))?;
    let container = cx.docker(&["create", "--name", &name, &a, "x"])?.good()?;
    let used = format!(
        "conflict: unable to remove repository reference \"{a}\" (must force) - container {} is using its referenced image {short}",
        &container[..12]
    );
    cx.docker(&["rmi", &a])?.fails(1, &used)?;
    let stopped = format!(
        "conflict: unable to delete {short} (must be forced) - image is being used by stopped container {}",
        &container[..12]
    );
    cx.docker(&["rmi", &id])?.fails(1, &stopped)?;
    cx.docker(&["rmi", "-f", &id])?.good()?;
    // By force it goes from view; the container keeps its files.
    cx.docker(&["inspect", "-f", "{{.Image}}", &name])?.prints(&id)?;
    cx.docker(&["cp", &format!("{name}:/f"), "-"])?.good()?;
    cx.docker(&["rm", &name])?.good()?;
    cx.docker(&["rmi", &id])?.fails(1, "No such image")?;

    let (image, running) = (cx.own("r:1"), cx.own("running"));
    cx.docker(&["run", "--name", &name, BASE, "touch", "/x"])?.good()?;
    let id = cx.docker(&["commit", &name, &image])?.good()?;
    let container = cx.docker(&["run", "-d", "--name", &running, &image, "sleep", "100"])?.good()?;
    let hard = format!(
        "conflict: unable to delete {} (cannot be forced) - image is being used by running container {}",
        &id[7..19],
        &container[..12]
    );
    cx.docker(&["rmi", "-f", &id])?.fails(1, &hard)?;
    // A name goes by force all the same, and only the name.
    cx.docker(&["rmi", "-f", &image])?.prints(&format!("Untagged: {image}"))?;
    cx.docker(&["inspect", "-f", "{{.RepoTags}}", &id])?.prints("[]")?;
    cx.docker(&["rm", "-f", &running])?.good()?;
    cx.docker(&["commit", &name, &image])?.good()?;
    // An image that others were made of.
    let child = cx.own("child:1");
    cx.docker(&["run", "--name", &running, &image, "touch", "/y"])?.good()?;
    cx.docker(&["commit", &running, &child])?.good()?;
    cx.docker(&["rm", &running])?.good()?;
    let parent = cx.docker(&["inspect", "-f", "{{.Id}}", &image])?.good()?;
    cx.docker(&["rmi", "-f", &parent])?.fails(1, "(cannot be forced) - image has dependent child images")?;
    cx.docker(&["rmi", &image])?.prints(&format!("Untagged: {image}"))?;
    ensure!(!ids(cx, &[])?.contains(&parent), "what only stands between a base and a child is not listed");
    ensure!(cx.docker(&["images", "-aq", "--no-trunc"])?.good()?.contains(&parent));
    // The nameless parent stays with --no-prune, and goes without.
    cx.docker(&["tag", &child, &b])?.good()?;
    cx.docker(&["rmi", &child])?.good()?;
    cx.docker(&["rmi", "--no-prune", &b])?.good()?;
    ensure!(ids(cx, &["dangling=true"])?.contains(&parent));
    cx.docker(&["rmi", &parent])?.good()?;
    cx.docker(&["rmi", &id])?.good()?;
    Ok(())
}

fn list_filters(cx: &Cx) -> Result<()> {
    let tags = [cx.own("x:1"), cx.own("y:2"), cx.own("z:3")];
    let mut made = Vec::new();
    for (i, tag) in tags.iter().enumerate() {
        made.push(small(cx, tag, tag, &[&format!("LABEL {}={i}", cx.own("n")), "LABEL all=yes"])?);
        std::thread::sleep(Duration::from_millis(10));
    }
    let label = format!("label={}", cx.own("n"));
    let list = |filters: &[&str]| -> Result<Vec<String>> {
        let mut all = vec![label.as_str()];
        all.extend(filters);
        ids(cx, &all)
    };
    let newest_first = [made[2].clone(), made[1].clone(), made[0].clone()];
    ensure!(list(&[])? == newest_first, "{:?}", list(&[])?);
    ensure!(list(&[&format!("before={}", tags[1])])? == made[..1]);
    ensure!(list(&[&format!("since={}", made[1])])? == made[2..]);
    ensure!(list(&[&format!("{label}=1")])? == made[1..2] && list(&["label=all=no"])?.is_empty());
    ensure!(list(&["until=1h"])?.is_empty() && list(&["until=0s"])?.len() == 3);
    ensure!(list(&["until=2020-01-01"])?.is_empty());
    ensure!(list(&[&format!("reference={}", tags[2])])? == made[2..]);
    let pattern = format!("reference={}", cx.own("[xy]"));
    ensure!(list(&[&pattern])? == [made[1].clone(), made[0].clone()]);
    // Only the names that match are shown.
    let (second, also) = (cx.own("y:also"), cx.own("other:1"));
    cx.docker(&["tag", &tags[1], &second])?.good()?;
    cx.docker(&["tag", &tags[1], &also])?.good()?;
    let reference = format!("reference={}", cx.own("y"));
    let shown =
        cx.docker(&["images", "--filter", &reference, "--format", "{{.Repository}}:{{.Tag}}"])?.good()?;
    ensure!(shown.lines().count() == 2 && !shown.contains("other"), "{shown}");
    // Dangling: no name.
    small(cx, &tags[0], "another", &[])?;
    ensure!(list(&["dangling=true"])? == made[..1] && list(&["dangling=false"])?.len() == 2);
    for (filters, why) in [
        ("{\"dangling\":[\"x\"]}", "invalid filter 'dangling=[x]'"),
        ("{\"nosuch\":[\"x\"]}", "invalid filter 'nosuch'"),
        ("{\"reference\":[\"[\"]}", "syntax error in pattern"),
        ("[]", "invalid filter"),
    ] {
        let response = request(cx, "GET", &format!("/images/json?filters={}", encoded(filters)), "")?;
        ensure!(response.status == 400 && response.text().contains(why), "{filters}: {response:?}");
    }
    let before =
        request(cx, "GET", &format!("/images/json?filters={}", encoded("{\"before\":[\"no:1\"]}")), "")?;
    ensure!(before.status == 404 && before.text().contains("No such image: no:1"), "{before:?}");
    // The older form of a filter, and the fields of older versions.
    let row = json(
        cx,
        &format!(
            "/v1.42/images/json?filters={}",
            encoded(&format!("{{\"label\":{{\"{}=0\":true}}}}", cx.own("n")))
        ),
    )?;
    ensure!(
        row[0]["RepoTags"][0] == "<none>:<none>" && row[0]["Containers"] == -1 && row[0]["SharedSize"] == -1,
        "{row}"
    );
    ensure!(row[0]["VirtualSize"] == row[0]["Size"], "{row}");
    let row = json(
        cx,
        &format!(
            "/images/json?manifests=1&shared-size=1&filters={}",
            encoded(&format!("{{\"label\":[\"{}=0\"]}}", cx.own("n")))
        ),
    )?;
    ensure!(
        row[0]["RepoTags"] == serde_json::json!([]) && row[0]["SharedSize"] == 0 && row[0]["Containers"] == 0,
        "{row}"
    );
    for image in [&made[0], &tags[0], &tags[1], &second, &also, &tags[2]] {
        cx.docker(&["rmi", image])?.good()?;
    }
    Ok(())
}

fn prune_filters(cx: &Cx) -> Result<()> {
    let label = cx.own("prune");
    let of = |n: &str| format!("{label}={n}");
    let (kept, tagged) = (cx.own("kept:1"), cx.own("tagged:1"));
    let nameless = |n: &str| -> Result<String> {
        let id = small(cx, &cx.own("tmp:1"), n, &[&format!("LABEL {}", of(n))])?;
        cx.docker(&["tag", &id, &tagged])?.good()?;
        cx.docker(&["rmi", &cx.own("tmp:1")])?.good()?;
        small(cx, &tagged, "", &[&format!("LABEL {}", of("tagged"))])?;
        Ok(id)
    };
    let (one, two) = (nameless("one")?, nameless("two")?);
    small(cx, &kept, "kept", &[&format!("LABEL {}", of("kept"))])?;
    let prune = |filters: &[&str]| -> Result<String> {
        let mut args = vec!["image", "prune", "-f"];
        for filter in filters {
            args.extend(["--filter", *filter]);
        }
        cx.docker(&args)?.good()
    };
    let own = format!("label={label}");
    ensure!(!prune(&[&own, "until=1h"])?.contains("deleted"), "younger than an hour");
    let out = prune(&[&own, &format!("label!={}", of("two"))])?;
    ensure!(out.contains(&format!("deleted: {one}")) && !out.contains(&two), "{out}");
    ensure!(out.contains("Total reclaimed space: 3B"), "{out}");
    let out = prune(&[&format!("label={}", of("two"))])?;
    ensure!(out.contains(&two), "{out}");
    // With names only if all are asked for.
    let all = ["image", "prune", "-af", "--filter"];
    let name = cx.own("c");
    cx.docker(&["create", "--name", &name, &kept, "x"])?.good()?;
    let mut args = all.to_vec();
    args.push(&own);
    let out = cx.docker(&args)?.good()?;
    ensure!(out.contains(&format!("untagged: {tagged}")) && !out.contains("kept"), "{out}");
    cx.docker(&["rm", &name])?.good()?;
    let out = cx.docker(&args)?.good()?;
    ensure!(out.contains(&format!("untagged: {kept}")), "{out}");
    let bad = request(
        cx,
        "POST",
        &format!("/images/prune?filters={}", encoded("{\"until\":[\"1h\",\"2h\"]}")),
        "",
    )?;
    ensure!(bad.status == 400 && bad.text().contains("more than one until filter specified"), "{bad:?}");
    let none =
        request(cx, "POST", &format!("/images/prune?filters={}", encoded("{\"label\":[\"no.such\"]}")), "")?;
    ensure!(none.text().contains("\"ImagesDeleted\":null"), "{none:?}");
    Ok(())
}

fn image_events(cx: &Cx) -> Result<()> {
    let (image, second) = (cx.own("e:1"), cx.own("e:2"));
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let since = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
    let id = small(cx, &image, "events", &["LABEL k=v"])?;
    cx.docker(&["tag", &image, &second])?.good()?;
    let saved = cx.docker(&["save", &image, &second])?;
    saved.good()?;
    cx.docker(&["rmi", &image])?.good()?;
    cx.docker(&["rmi", &second])?.good()?;
    cx.docker_with(&["load"], &saved.stdout)?.good()?;
    cx.docker(&["rmi", &image])?.good()?;
    cx.docker(&["rmi", &second])?.good()?;
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let until = format!("{}.{:09}", until.as_secs(), until.subsec_nanos());
    let filters = encoded("{\"type\":[\"image\"]}");
    let response = request(cx, "GET", &format!("/events?since={since}&until={until}&filters={filters}"), "")?;
    let mut seen = Vec::new();
    for line in response.text().lines() {
        let event: Value = serde_json::from_str(line)?;
        if event["Actor"]["ID"] == id.as_str() {
            ensure!(event["status"] == event["Action"] && event["id"] == id.as_str(), "{event}");
            let action = event["Action"].as_str().unwrap_or_default().to_owned();
            if action != "delete" {
                ensure!(event["Actor"]["Attributes"]["k"] == "v", "labels are missing: {event}");
            }
            let name = event["Actor"]["Attributes"]["name"].as_str().unwrap_or_default();
            let want = if action == "tag" { second.as_str() } else { id.as_str() };
            ensure!(name == want, "{event}");
            seen.push(action);
        }
    }
    let want = ["import", "tag", "save", "untag", "untag", "delete", "load", "untag", "untag", "delete"];
    ensure!(seen == want, "{seen:?}");
    Ok(())
}

fn inspect_by_version(cx: &Cx) -> Result<()> {
    let image = cx.own("i:1");
    let id = small(cx, &image, "shape", &["CMD [\"x\"]", "LABEL a=b"])?;
    let new = json(cx, &format!("/v1.51/images/{image}/json"))?;
    let keys: Vec<&str> = new.as_object().context("an object")?.keys().map(String::as_str).collect();
    let want = [
        "Architecture",
        "Author",
        "Comment",
        "Config",
        "Created",
        "DockerVersion",
        "GraphDriver",
        "Id",
        "Metadata",
        "Os",
        "Parent",
        "RepoDigests",
        "RepoTags",
        "RootFS",
        "Size",
    ];
    ensure!(keys == want, "{keys:?}");
    ensure!(
        new["Id"] == id.as_str() && new["Size"] == 5 && new["RepoDigests"] == serde_json::json!([]),
        "{new}"
    );
    let config = serde_json::json!({
        "Cmd": ["x"], "Entrypoint": null, "Env": null, "Labels": {"a": "b"}, "OnBuild": null, "User": "",
        "Volumes": null, "WorkingDir": "",
    });
    ensure!(new["Config"] == config, "{new}");
    let old = json(cx, &format!("/v1.43/images/{image}/json"))?;
    ensure!(
        old["VirtualSize"] == 5 && old["Config"]["Hostname"] == "" && old["Config"]["Tty"] == false,
        "{old}"
    );
    let short = json(cx, &format!("/images/{}/json", &id[7..19]))?;
    ensure!(short["Id"] == id.as_str());
    for (path, status, why) in [
        (format!("/images/{image}x/json"), 404, format!("No such image: {image}x")),
        ("/images/UPPER/json".to_owned(), 400, "must be lowercase".to_owned()),
        (format!("/images/{image}/json?platform=x"), 400, "failed to parse platform".to_owned()),
    ] {
        let response = request(cx, "GET", &path, "")?;
        ensure!(response.status == status && response.text().contains(&why), "{path}: {response:?}");
    }
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

/// The regular files of an archive, by name.
fn files(archive: &[u8]) -> Result<std::collections::BTreeMap<String, Vec<u8>>> {
    let mut files = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes)?;
            files.insert(entry.path()?.to_string_lossy().into_owned(), bytes);
        }
    }
    Ok(files)
}

fn save_is_stable(cx: &Cx) -> Result<()> {
    let (a, b) = (cx.own("a:1"), cx.own("b:1"));
    small(cx, &a, "first", &[])?;
    small(cx, &b, "second", &[])?;
    let once = cx.docker(&["save", &a, &b])?;
    once.good()?;
    let twice = cx.docker(&["save", &a, &b])?;
    ensure!(once.stdout == twice.stdout, "the same images, other bytes");
    let files = files(&once.stdout)?;
    for (name, bytes) in &files {
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            ensure!(hex == crate::tarball::digest(bytes), "{name} has another digest");
        }
    }
    let parsed = |name: &str| -> Result<Value> {
        Ok(serde_json::from_slice(files.get(name).with_context(|| format!("no {name}"))?)?)
    };
    let (manifest, index) = (parsed("manifest.json")?, parsed("index.json")?);
    ensure!(parsed("oci-layout")? == serde_json::json!({"imageLayoutVersion": "1.0.0"}));
    let list = manifest.as_array().context("a list")?;
    ensure!(
        list.len() == 2 && list.iter().all(|m| m["Layers"].as_array().is_some_and(|l| l.len() == 1)),
        "{manifest}"
    );
    for (key, item) in list.iter().flat_map(|m| [("Config", &m["Config"]), ("Layers", &m["Layers"][0])]) {
        ensure!(item.as_str().is_some_and(|path| files.contains_key(path)), "{key}: {item} is missing");
    }
    let names: Vec<&Value> = index["manifests"]
        .as_array()
        .context("a list")?
        .iter()
        .map(|d| &d["annotations"]["io.containerd.image.name"])
        .collect();
    ensure!(
        names
            == [
                &Value::from(format!("docker.io/library/{a}")),
                &Value::from(format!("docker.io/library/{b}"))
            ],
        "{index}"
    );
    cx.docker(&["rmi", &a, &b])?.good()?;
    let out = cx.docker_with(&["load"], &once.stdout)?.good()?;
    ensure!(out == format!("Loaded image: {a}\nLoaded image: {b}"), "{out}");
    cx.docker(&["rmi", &a, &b])?.good()?;
    Ok(())
}

fn save_by_name_and_id(cx: &Cx) -> Result<()> {
    let (one, two) = (cx.own("s:1"), cx.own("s:2"));
    let id = small(cx, &one, "saved", &[])?;
    cx.docker(&["tag", &one, &two])?.good()?;
    let whole = cx.docker(&["save", &cx.own("s")])?;
    let manifest: Value = serde_json::from_slice(&files(&whole.stdout)?["manifest.json"])?;
    ensure!(manifest[0]["RepoTags"] == serde_json::json!([one, two]), "{manifest}");
    let by_id = cx.docker(&["save", &id[7..19]])?;
    let manifest: Value = serde_json::from_slice(&files(&by_id.stdout)?["manifest.json"])?;
    ensure!(manifest[0]["RepoTags"].is_null(), "{manifest}");
    cx.docker(&["rmi", &one, &two])?.good()?;
    cx.docker_with(&["load"], &by_id.stdout)?.prints(&format!("Loaded image ID: {id}"))?;
    cx.docker(&["rmi", &id])?.good()?;
    let response = request(cx, "GET", "/images/get?names=nosuch%3A1", "")?;
    ensure!(response.status == 404 && response.text().contains("No such image: nosuch:1"), "{response:?}");
    cx.docker(&["save", "nosuch:1"])?.fails(1, "No such image: nosuch:1")
}

/// What the daemon answers to an archive.
fn load_lines(cx: &Cx, archive: &[u8], query: &str) -> Result<Vec<Value>> {
    use std::io::Write;
    let mut stream = crate::http::connect(cx)?;
    let head = format!(
        "POST /images/load?{query} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        archive.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(archive)?;
    let response = crate::http::read(&mut stream)?;
    ensure!(response.status == 200, "{response:?}");
    response.text().split("\r\n").filter(|l| !l.is_empty()).map(|l| Ok(serde_json::from_str(l)?)).collect()
}

fn load_says_what_it_does(cx: &Cx) -> Result<()> {
    let image = cx.own("l:1");
    let layers = [
        Tarball::new().file("a", 0o644, image.as_bytes())?.finish()?,
        Tarball::new().file("b", 0o644, image.as_bytes())?.finish()?,
    ];
    let archive = docker_archive(&layers, &image, "{\"Cmd\":[\"x\"]}")?;
    let last = serde_json::json!({ "stream": format!("Loaded image: {image}\n") });
    let lines = load_lines(cx, &archive, "quiet=0")?;
    ensure!(lines.len() == 3 && lines[2] == last, "{lines:?}");
    for (line, layer) in lines.iter().zip(&layers) {
        ensure!(
            line["status"] == "Loading layer" && line["id"] == crate::tarball::digest(layer)[..12],
            "{line}"
        );
        ensure!(line["progressDetail"]["current"] == line["progressDetail"]["total"], "{line}");
    }
    ensure!(load_lines(cx, &archive, "quiet=0")? == [last.clone()], "layers that are there need no loading");
    ensure!(load_lines(cx, &archive, "")? == [last], "quiet is the default");
    cx.docker(&["rmi", &image])?.good()?;
    // Failures are told in the stream, and leave nothing.
    for (bytes, why) in [
        (
            Tarball::new().file("x", 0o644, b"")?.finish()?,
            "invalid archive: does not contain a manifest.json",
        ),
        (archive[..archive.len() / 2].to_vec(), "unexpected"),
        (b"\x1f\x8b garbage".to_vec(), ""),
    ] {
        let lines = load_lines(cx, &bytes, "quiet=1")?;
        let error =
            lines.last().map(|l| l["error"].as_str().unwrap_or_default().to_owned()).unwrap_or_default();
        ensure!(!error.is_empty() && error.contains(why), "{lines:?}");
        ensure!(lines.last().is_some_and(|l| l["errorDetail"]["message"] == error.as_str()), "{lines:?}");
    }
    cx.docker(&["inspect", &image])?.code(1)?;
    Ok(())
}

fn load_compressed(cx: &Cx) -> Result<()> {
    let image = cx.own("z:1");
    let layer = Tarball::new().file("f", 0o644, b"compressed")?.finish()?;
    let archive = docker_archive(&[layer], &image, "{\"Cmd\":[\"x\"]}")?;
    let directory = cx.directory(&[("i.tar", &archive)])?;
    for (program, args, suffix) in [("gzip", &["-kf"][..], "gz"), ("zstd", &["-qf"], "zst")] {
        let mut command = std::process::Command::new(program);
        command.args(args).arg("i.tar").current_dir(&directory);
        ensure!(command.status()?.success(), "{program}");
        let file = directory.join(format!("i.tar.{suffix}"));
        cx.docker(&["load", "-i", &file.to_string_lossy()])?.prints(&format!("Loaded image: {image}"))?;
        cx.docker(&["rmi", &image])?.good()?;
        cx.docker_with(&["load", "-q"], &std::fs::read(&file)?)?.prints(&format!("Loaded image: {image}"))?;
        cx.docker(&["rmi", &image])?.good()?;
    }
    Ok(())
}

fn platforms(cx: &Cx) -> Result<()> {
    let image = cx.own("p:1");
    let layer = Tarball::new().file("f", 0o644, b"platform")?.finish()?;
    let archive = oci_archive(&layer, &image, "{\"Cmd\":[\"x\"]}")?;
    let arm = encoded("{\"os\":\"linux\",\"architecture\":\"arm64\"}");
    let amd = encoded("{\"os\":\"linux\",\"architecture\":\"amd64\"}");
    let lines = load_lines(cx, &archive, &format!("platform={arm}"))?;
    ensure!(lines[0]["error"].as_str().is_some_and(|e| e.contains("linux/arm64")), "{lines:?}");
    load_lines(cx, &archive, &format!("platform={amd}"))?;
    for path in ["json", "history", "get"] {
        let status = |platform: &str| -> Result<u16> {
            Ok(request(cx, "GET", &format!("/images/{image}/{path}?platform={platform}"), "")?.status)
        };
        ensure!(status(&amd)? == 200 && status(&arm)? == 404 && status("%7b%7d")? == 400, "{path}");
    }
    cx.docker(&["rmi", &image])?.good()?;
    Ok(())
}

fn disk_usage(cx: &Cx) -> Result<()> {
    let bed = Bed::start(&cx.bed.args, "usage")?;
    let test = Test { suite: "", name: "usage", seconds: 80, programs: false, run: disk_usage };
    let cx = &Cx::new(&bed, &test, Duration::from_secs(80));
    let shared = Tarball::new().file("shared", 0o644, &vec![1; 10_000])?.finish()?;
    let layer = |n: usize| Tarball::new().file("own", 0o755, &vec![2; n])?.finish();
    for (image, own) in [("one:1", layer(300)?), ("two:1", layer(4_000)?)] {
        cx.docker_with(&["load"], &docker_archive(&[shared.clone(), own], image, "{\"Cmd\":[\"x\"]}")?)?
            .good()?;
    }
    small(cx, "single:1", "alone", &[])?;
    cx.docker(&["create", "--name", "c0", "-v", "/data", "-v", "named:/named", "one:1", "x"])?.good()?;
    // 7,000 bytes into the container, 500 and a link into the anonymous volume.
    let file = |name: &str, n: usize| Tarball::new().file(name, 0o644, &vec![3; n]);
    cx.docker_with(&["cp", "-", "c0:/"], &file("written", 7_000)?.finish()?)?.good()?;
    cx.docker_with(&["cp", "-", "c0:/data"], &file("f", 500)?.hard_link("g", "f")?.finish()?)?.good()?;
    let usage = json(cx, "/system/df")?;
    ensure!(usage["LayersSize"] == 14_305, "{usage}");
    let row = |list: &str, key: &str, value: &str| -> Result<Value> {
        let rows = usage[list].as_array().context("a list")?;
        let found = rows.iter().find(|r| r[key].to_string().contains(value));
        Ok(found.with_context(|| format!("no {value} in {usage}"))?.clone())
    };
    for (image, size, shared, containers) in
        [("one:1", 10_300, 10_000, 1), ("two:1", 14_000, 10_000, 0), ("single:1", 5, 0, 0)]
    {
        let i = row("Images", "RepoTags", image)?;
        ensure!(i["Size"] == size && i["SharedSize"] == shared && i["Containers"] == containers, "{i}");
    }
    let c = row("Containers", "Names", "/c0")?;
    ensure!(c["SizeRw"] == 7_000 && c["SizeRootFs"] == 17_300, "{c}");
    let anonymous = row("Volumes", "Labels", "anonymous")?;
    ensure!(anonymous["UsageData"] == serde_json::json!({"Size": 500, "RefCount": 1}), "{anonymous}");
    ensure!(row("Volumes", "Name", "named")?["UsageData"]["RefCount"] == 1);
    ensure!(cx.docker(&["ps", "-as", "--format", "{{.Size}}"])?.good()? == "7kB (virtual 17.3kB)");
    let table = cx.docker(&["system", "df", "-v"])?.good()?;
    let words: Vec<&str> = table.split_whitespace().collect();
    for part in
        [&["14kB", "10kB", "4kB", "0"][..], &["10.3kB", "10kB", "300B", "1"], &["2", "7kB"], &["1", "500B"]]
    {
        ensure!(words.windows(part.len()).any(|w| w == part), "no {part:?} in {table}");
    }
    let only = json(cx, "/system/df?type=volume")?;
    ensure!(only["Images"].is_null() && only["Volumes"].as_array().is_some_and(|v| v.len() == 2), "{only}");
    let bad = request(cx, "GET", "/system/df?type=x", "")?;
    ensure!(bad.status == 400 && bad.text().contains("unknown object type: x"), "{bad:?}");
    // All of it is given back, and told to the byte.
    cx.docker(&["rm", "c0"])?.good()?;
    let out = cx.docker(&["volume", "prune", "-f"])?.good()?;
    ensure!(out.contains("Total reclaimed space: 500B"), "{out}");
    let out = cx.docker(&["system", "prune", "-af", "--volumes"])?.good()?;
    ensure!(out.contains("Total reclaimed space: 14.3kB"), "{out}");
    let usage = json(cx, "/system/df")?;
    ensure!(usage["LayersSize"] == 0 && usage["Images"] == serde_json::json!([]), "{usage}");
    // A creation that was cut off leaves a directory without a record; the next daemon sweeps it.
    cx.docker_with(&["load"], &docker_archive(&[shared], "one:1", "{\"Cmd\":[\"x\"]}")?)?.good()?;
    let id = cx.docker(&["create", "--name", "kept", "one:1"])?.good()?;
    bed.kill_daemon()?;
    let containers = bed.path("data").join("containers");
    let cut_off = containers.join("0123456789abcdef".repeat(4));
    std::fs::create_dir_all(cut_off.join("delta"))?;
    bed.give(&cut_off.join("delta"))?;
    bed.give(&cut_off)?;
    bed.start_daemon()?;
    ensure!(!cut_off.exists() && containers.join(&id).exists(), "not swept");
    cx.docker(&["cp", "kept:/shared", "-"])?.good()?;
    bed.finish()
}

fn prune_beside_create(cx: &Cx) -> Result<()> {
    let bed = Bed::start(&cx.bed.args, "prune")?;
    let test = Test { suite: "", name: "prune", seconds: 80, programs: false, run: prune_beside_create };
    let cx = &Cx::new(&bed, &test, Duration::from_secs(80));
    let layer = Tarball::new().file("f", 0o644, b"there")?.finish()?;
    let archive = docker_archive(&[layer], "busy:1", "{\"Cmd\":[\"x\"]}")?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        let pruner = scope.spawn(|| -> Result<u32> {
            let mut n = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                for path in [
                    "/images/prune?filters=%7b%22dangling%22%3a%5b%22false%22%5d%7d",
                    "/containers/prune?filters=%7b%22label%22%3a%5b%22no%22%5d%7d",
                ] {
                    let response = request(cx, "POST", path, "")?;
                    ensure!(response.status == 200, "{response:?}");
                }
                n += 1;
            }
            Ok(n)
        });
        let work = || -> Result<u32> {
            let mut made = 0;
            for i in 0..60 {
                let lines = load_lines(cx, &archive, "")?;
                ensure!(lines[0]["stream"] == "Loaded image: busy:1\n", "{lines:?}");
                let body = "{\"Image\":\"busy:1\"}";
                let response = request(cx, "POST", &format!("/containers/create?name=c{i}"), body)?;
                // Pruned between the load and the create: then plainly so.
                if response.status == 404 {
                    ensure!(response.text().contains("No such image: busy:1"), "{response:?}");
                    continue;
                }
                ensure!(response.status == 201, "{response:?}");
                made += 1;
                // What was created has its files, whoever prunes.
                let file = request(cx, "GET", &format!("/containers/c{i}/archive?path=/f"), "")?;
                ensure!(file.status == 200 && file.body.windows(5).any(|w| w == b"there"), "{i}: {file:?}");
                if i % 3 != 0 {
                    let gone = request(cx, "DELETE", &format!("/containers/c{i}"), "")?;
                    ensure!(gone.status == 204, "{gone:?}");
                }
            }
            Ok(made)
        };
        let worked = work();
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let pruned = pruner.join().map_err(|_| anyhow::anyhow!("the pruner panicked"))??;
        ensure!(worked? > 0 && pruned > 0, "nothing happened at once");
        Ok(())
    })?;
    bed.finish()
}
