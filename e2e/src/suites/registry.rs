//! Registries: pull, push and login against a real `docker-registry`, and with a network between that does not behave.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};
use crate::http;
use crate::registry::{
    OCI_INDEX, OCI_MANIFEST, Options, Proxy, Registry, What, digest, gzip, image, stranger,
};
use crate::tarball::Tarball;

pub(super) const TESTS: &[Test] = tests!("registry", 120;
    push_and_pull, messages, by_digest, mounted_from_another_repository, all_tags, password, own_authority, platforms,
    not_there, download_cut, download_corrupted, registry_trouble, upload_cut, two_pulls_at_once, client_goes_away,
    distribution_and_manifest_inspect, zstd_and_foreign_tools, without_a_daemon,
);

/// A layer with a file of this text.
fn layer(text: &str) -> Result<Vec<u8>> {
    Tarball::new().directory("etc/")?.file("etc/f", 0o644, text.as_bytes())?.finish()
}

/// A layer that cannot be compressed.
fn big_layer(seed: u64, bytes: usize) -> Result<Vec<u8>> {
    let mut state = seed;
    let mut data = Vec::with_capacity(bytes);
    while data.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    Tarball::new().file("big", 0o644, &data)?.finish()
}

/// The text of `/etc/f` in an image.
fn text(cx: &Cx, image: &str) -> Result<String> {
    let name = cx.own("text");
    cx.docker(&["create", "--name", &name, image, "x"])?.good()?;
    let out = cx.docker(&["cp", &format!("{name}:/etc/f"), "-"])?;
    cx.docker(&["rm", &name])?.good()?;
    let mut archive = tar::Archive::new(out.stdout.as_slice());
    let mut entry = archive.entries()?.next().context("an empty archive")??;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut entry, &mut text)?;
    Ok(text)
}

/// A pull by the bare API: its status and its messages.
fn pull_by_api(cx: &Cx, name: &str, tag: &str) -> Result<(u16, Vec<Value>)> {
    let path = format!("/v1.47/images/create?fromImage={}&tag={tag}", name.replace('/', "%2F"));
    let response = http::request(cx, "POST", &path, "")?;
    let text = response.text();
    let lines = text.split("\r\n").filter(|l| !l.trim().is_empty());
    let messages = lines.map(|l| serde_json::from_str(l).with_context(|| format!("no JSON: {l:?}")));
    Ok((response.status, messages.collect::<Result<_>>()?))
}

/// Messages of this status, as (id, status).
fn statuses(messages: &[Value]) -> Vec<(String, String)> {
    let text = |m: &Value, key: &str| m[key].as_str().unwrap_or_default().to_owned();
    messages.iter().map(|m| (text(m, "id"), text(m, "status"))).collect()
}

fn push_and_pull(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let name = format!("{}/team/debian:12", registry.address);
    cx.docker(&["tag", BASE, &name])?.good()?;
    let pushed = cx.docker(&["push", &name])?.good()?;
    ensure!(pushed.contains(&format!("The push refers to repository [{}/team/debian]", registry.address)));
    ensure!(pushed.contains(": Pushed") && pushed.contains("12: digest: sha256:"), "{pushed}");
    let digest = cx.docker(&["inspect", "-f", "{{index .RepoDigests 0}}", &name])?.good()?;
    ensure!(digest.contains("@sha256:"), "{digest}");
    // Again: nothing to do.
    ensure!(cx.docker(&["push", &name])?.good()?.contains("Layer already exists"));
    // Another name for the same layers comes without a download.
    cx.docker(&["rmi", &name])?.good()?;
    let pulled = cx.docker(&["pull", &name])?.good()?;
    ensure!(pulled.contains("12: Pulling from team/debian") && pulled.ends_with(&name), "{pulled}");
    ensure!(pulled.contains(&format!("Status: Downloaded newer image for {name}")), "{pulled}");
    let again = cx.docker(&["pull", &name])?.good()?;
    ensure!(again.contains(&format!("Status: Image is up to date for {name}")), "{again}");
    ensure!(cx.run(&name, &["cat", "/etc/debian_version"])?.good()?.starts_with("12."));
    cx.docker(&["rmi", &name])?.good()?;
    // `run` pulls what is missing.
    image(&registry, "team/other", Some("latest"), "amd64", &[layer("run")?])?;
    let missing = cx.docker(&["run", "--rm", &format!("{}/team/other", registry.address)])?;
    ensure!(
        missing.errors().contains("Unable to find image") && missing.errors().contains("Pull complete"),
        "{missing}"
    );
    Ok(())
}

/// The exact messages, which clients draw and parse.
fn messages(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let shared = layer("shared")?;
    let (digest_of_image, _) = image(&registry, "m", Some("1"), "amd64", &[shared.clone(), layer("top")?])?;
    let name = format!("{}/m", registry.address);
    let (status, messages) = pull_by_api(cx, &name, "1")?;
    ensure!(status == 200, "{messages:?}");
    let all = statuses(&messages);
    let has = |id: &str, status: &str| all.iter().any(|(i, s)| i == id && s == status);
    ensure!(all[0] == ("1".to_owned(), "Pulling from m".to_owned()), "{all:?}");
    for l in [&shared, &layer("top")?] {
        let id = &digest(&gzip(l)?)[7..19].to_owned();
        let order = ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"];
        let at = order.map(|s| all.iter().position(|(i, t)| i == id && t == s));
        ensure!(at.iter().all(Option::is_some) && at.is_sorted(), "{id}: {at:?} in {all:?}");
        ensure!(has(id, "Downloading") && has(id, "Extracting"), "{all:?}");
    }
    let amount = messages.iter().find(|m| m["status"] == "Downloading").context("no amount")?;
    ensure!(amount["progressDetail"]["total"].as_u64().is_some_and(|t| t > 0), "{amount}");
    let end: Vec<&str> = all.iter().rev().take(2).map(|(_, s)| s.as_str()).collect();
    ensure!(end[0] == format!("Status: Downloaded newer image for {name}:1"), "{end:?}");
    ensure!(end[1] == format!("Digest: {digest_of_image}"), "{end:?}");
    // A second image with the same layer below.
    image(&registry, "m", Some("2"), "amd64", &[shared.clone(), layer("other")?])?;
    let (_, messages) = pull_by_api(cx, &name, "2")?;
    let id = &digest(&gzip(&shared)?)[7..19];
    ensure!(statuses(&messages).contains(&(id.to_owned(), "Already exists".to_owned())), "{messages:?}");
    // A push ends with a message for programs.
    let pushed = http::request(cx, "POST", &format!("/v1.47/images/{name}/push?tag=1"), "")?.text();
    let last: Value = serde_json::from_str(pushed.trim().rsplit("\r\n").next().unwrap_or_default())?;
    ensure!(last["aux"]["Tag"] == "1" && last["aux"]["Digest"] == json!(digest_of_image), "{pushed}");
    Ok(())
}

fn by_digest(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let (digest, _) = image(&registry, "d", Some("1"), "amd64", &[layer("by digest")?])?;
    let name = format!("{}/d@{digest}", registry.address);
    let out = cx.docker(&["pull", &name])?.good()?;
    ensure!(out.contains(&format!("Digest: {digest}")), "{out}");
    cx.docker(&["inspect", "-f", "{{len .RepoTags}} {{index .RepoDigests 0}}", &name])?
        .prints(&format!("0 {name}"))?;
    ensure!(text(cx, &name)? == "by digest");
    let other = format!("{}/d@sha256:{}", registry.address, "0".repeat(64));
    cx.docker(&["pull", &other])?.fails(1, "manifest unknown: manifest unknown")?;
    cx.docker(&["push", &name])?.fails(1, "cannot push a digest reference")
}

/// Pushed elsewhere in the same registry, nothing is uploaded and the manifest stays the same, byte by byte.
fn mounted_from_another_repository(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let proxy = Proxy::start(&registry.address)?;
    let (digest, size) =
        image(&registry, "a/one", Some("1"), "amd64", &[layer("mounted")?, layer("twice")?])?;
    let (from, to) = (format!("{}/a/one:1", proxy.address), format!("{}/b/two:2", proxy.address));
    cx.docker(&["pull", &from])?.good()?;
    cx.docker(&["tag", &from, &to])?.good()?;
    let pushed = cx.docker(&["push", &to])?.good()?;
    ensure!(pushed.matches("Mounted from a/one").count() == 2, "{pushed}");
    ensure!(pushed.contains(&format!("2: digest: {digest} size: {size}")), "{pushed}");
    ensure!(proxy.requests("PATCH").is_empty(), "{:?}", proxy.requests("PATCH"));
    let kept = registry.request("GET", "/v2/b/two/manifests/2", "", b"")?;
    ensure!(kept.text().contains("org.example.kept") && kept.header("content-type") == Some(OCI_MANIFEST));
    Ok(())
}

fn all_tags(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    for tag in ["1", "2", "3"] {
        image(&registry, "all", Some(tag), "amd64", &[layer(tag)?])?;
    }
    let name = format!("{}/all", registry.address);
    let out = cx.docker(&["pull", "-a", &name])?.good()?;
    ensure!(out.matches("Status: Downloaded newer image").count() == 3, "{out}");
    let to = format!("{}/copy", registry.address);
    for tag in ["1", "2", "3"] {
        ensure!(text(cx, &format!("{name}:{tag}"))? == tag);
        cx.docker(&["tag", &format!("{name}:{tag}"), &format!("{to}:{tag}")])?.good()?;
    }
    let out = cx.docker(&["push", "-a", &to])?.good()?;
    ensure!(out.matches(": digest: sha256:").count() == 3, "{out}");
    let tags = registry.request("GET", "/v2/copy/tags/list", "", b"")?.text();
    ensure!(["1", "2", "3"].iter().all(|t| tags.contains(&format!("\"{t}\""))), "{tags}");
    Ok(())
}

fn password(cx: &Cx) -> Result<()> {
    let registry = Registry::start(&Options { user: Some(("ann", "s3:cret")), ..Options::default() })?;
    let name = format!("{}/secret:1", registry.address);
    cx.docker_with(&["load"], &crate::tarball::docker_archive(&[layer("secret")?], &name, "{}")?)?.good()?;
    cx.docker(&["push", &name])?.fails(1, "no basic auth credentials")?;
    let login = |password: &str| {
        cx.docker_with(&["login", "-u", "ann", "--password-stdin", &registry.address], password.as_bytes())
    };
    login("wrong")?.fails(1, "failed with status: 401 Unauthorized")?;
    ensure!(login("s3:cret")?.good()?.contains("Login Succeeded"));
    cx.docker(&["push", &name])?.good()?;
    cx.docker(&["rmi", &name])?.good()?;
    cx.docker(&["pull", &name])?.good()?;
    ensure!(text(cx, &name)? == "secret");
    cx.docker(&["logout", &registry.address])?.good()?;
    cx.docker(&["rmi", &name])?.good()?;
    cx.docker(&["pull", &name])?.fails(1, "no basic auth credentials")?;
    let wrong = json!({ "username": "ann", "password": "no", "serveraddress": registry.address });
    let answer = http::request(cx, "POST", "/auth", &wrong.to_string())?;
    ensure!(answer.status == 401, "{}", answer.text());
    Ok(())
}

/// On loopback any certificate will do, until somebody says which.
fn own_authority(cx: &Cx) -> Result<()> {
    let registry = Registry::start(&Options { tls: true, ..Options::default() })?;
    let name = format!("{}/tls:1", registry.address);
    cx.docker_with(&["load"], &crate::tarball::docker_archive(&[layer("tls")?], &name, "{}")?)?.good()?;
    cx.docker(&["push", &name])?.good()?;
    registry.trust(cx, &stranger()?)?;
    cx.docker(&["push", &name])?.fails(1, "x509: certificate signed by unknown authority")?;
    registry.trust(cx, registry.authority.as_deref().context("no authority")?)?;
    cx.docker(&["push", &name])?.good()?;
    cx.docker(&["rmi", &name])?.good()?;
    cx.docker(&["pull", &name])?.good()?;
    ensure!(text(cx, &name)? == "tls");
    Ok(())
}

/// Puts an index of an image for two platforms and an attestation; the digest of the index.
fn index(registry: &Registry, repository: &str, tag: &str) -> Result<String> {
    let mut entries = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let (digest, size) = image(registry, repository, None, architecture, &[layer(architecture)?])?;
        entries.push(json!({
            "mediaType": OCI_MANIFEST, "digest": digest, "size": size,
            "platform": { "os": "linux", "architecture": architecture },
        }));
    }
    let (digest, size) = image(registry, repository, None, "unknown", &[layer("attestation")?])?;
    entries.push(json!({
        "mediaType": OCI_MANIFEST, "digest": digest, "size": size,
        "platform": { "os": "unknown", "architecture": "unknown" },
        "annotations": { "vnd.docker.reference.type": "attestation-manifest" },
    }));
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries }).to_string();
    registry.put_manifest(repository, tag, OCI_INDEX, &index)
}

fn platforms(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let digest = index(&registry, "multi", "1")?;
    let name = format!("{}/multi:1", registry.address);
    let out = cx.docker(&["pull", &name])?.good()?;
    ensure!(out.contains(&format!("Digest: {digest}")), "{out}");
    ensure!(text(cx, &name)? == "amd64");
    cx.docker(&["inspect", "-f", "{{.Architecture}} {{index .RepoDigests 0}}", &name])?
        .prints(&format!("amd64 {}/multi@{digest}", registry.address))?;
    cx.docker(&["pull", "--platform", "linux/arm64/v8", &name])?.good()?;
    cx.docker(&["inspect", "-f", "{{.Architecture}}", &name])?.prints("arm64")?;
    let none = cx.docker(&["pull", "--platform", "linux/s390x", &name])?;
    none.fails(1, "no matching manifest for linux/s390x in the manifest list entries")?;
    // One that is no index is pulled all the same.
    image(&registry, "single", Some("1"), "amd64", &[layer("single")?])?;
    let out = cx
        .docker(&["pull", "--platform", "linux/arm64", &format!("{}/single:1", registry.address)])?
        .good()?;
    ensure!(out.contains("does not match the specified platform (linux/arm64)"), "{out}");
    Ok(())
}

fn not_there(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let address = &registry.address;
    image(&registry, "here", Some("1"), "amd64", &[layer("here")?])?;
    cx.docker(&["pull", &format!("{address}/here:2")])?
        .fails(1, &format!("manifest for {address}/here:2 not found: manifest unknown: manifest unknown"))?;
    let (status, answer) = pull_by_api(cx, &format!("{address}/nowhere"), "1")?;
    ensure!(
        status == 404 && answer[0]["message"].as_str().is_some_and(|m| m.contains("not found")),
        "{answer:?}"
    );
    cx.docker(&["push", &format!("{address}/nothing:1")])?
        .fails(1, &format!("An image does not exist locally with the tag: {address}/nothing"))?;
    cx.docker(&["pull", &format!("{address}/here:1")])?.good()?;
    cx.docker(&["push", &format!("{address}/here:9")])?
        .fails(1, &format!("tag does not exist: {address}/here:9"))?;
    let begun = Instant::now();
    cx.docker(&["pull", "127.0.0.1:1/x:1"])?
        .fails(1, "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused")?;
    ensure!(begun.elapsed() < Duration::from_secs(20));
    let bad = http::request(cx, "POST", "/v1.47/images/create?fromImage=UPPER&tag=1", "")?;
    ensure!(bad.status == 400, "{}", bad.text());
    Ok(())
}

/// Bytes of an image's first layer as the registry has them.
fn blob_of(layer: &[u8]) -> Result<(String, usize)> {
    let blob = gzip(layer)?;
    Ok((digest(&blob), blob.len()))
}

/// A download that is cut goes on where it was.
fn download_cut(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let proxy = Proxy::start(&registry.address)?;
    let content = big_layer(1, 3 << 20)?;
    image(&registry, "cut", Some("1"), "amd64", &[content.clone(), layer("whole")?])?;
    let (blob, size) = blob_of(&content)?;
    proxy.fault("GET", &blob, 3, What::Cut(size / 4));
    let name = format!("{}/cut:1", proxy.address);
    cx.docker(&["pull", &name])?.good()?;
    ensure!(text(cx, &name)? == "whole");
    let requests = proxy.requests(&blob);
    ensure!(requests.len() == 4, "{requests:?}");
    ensure!(requests[1..].iter().all(|r| r.contains("range=bytes=")), "{requests:?}");
    Ok(())
}

/// Wrong bytes are fetched anew; where they stay wrong nothing is kept.
fn download_corrupted(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let proxy = Proxy::start(&registry.address)?;
    let content = big_layer(7, 1 << 20)?;
    image(&registry, "bad", Some("1"), "amd64", &[content.clone(), layer("right")?])?;
    let (blob, size) = blob_of(&content)?;
    let name = format!("{}/bad:1", proxy.address);
    proxy.fault("GET", &blob, 100, What::Corrupt(size / 2));
    cx.docker(&["pull", &name])?.fails(1, "filesystem layer verification failed for digest sha256:")?;
    cx.docker(&["image", "inspect", &name])?.fails(1, "No such image")?;
    let tmp = std::fs::read_dir(cx.bed.path("data/images/tmp"))?.count();
    proxy.heal();
    proxy.fault("GET", &blob, 1, What::Corrupt(size / 2));
    cx.docker(&["pull", &name])?.good()?;
    ensure!(text(cx, &name)? == "right");
    // Others may be at work in the same store.
    ensure!(tmp < 8, "{tmp} directories are left");
    // A wrong manifest is no manifest.
    proxy.fault("GET", "/manifests/", 100, What::Corrupt(20));
    let other = cx.docker(&["pull", &name])?;
    ensure!(other.code == 1 && other.errors().contains("manifest"), "{other}");
    Ok(())
}

/// 429 and 5xx pass.
fn registry_trouble(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let proxy = Proxy::start(&registry.address)?;
    image(&registry, "trouble", Some("1"), "amd64", &[layer("patience")?])?;
    let name = format!("{}/trouble:1", proxy.address);
    proxy.fault("GET", "/manifests/", 1, What::Status(429));
    proxy.fault("GET", "/blobs/", 2, What::Status(503));
    proxy.fault("GET", "/blobs/", 1, What::Delay(Duration::from_millis(300)));
    cx.docker(&["pull", &name])?.good()?;
    ensure!(text(cx, &name)? == "patience");
    proxy.heal();
    proxy.fault("GET", "/manifests/", 1, What::Status(404));
    cx.docker(&["pull", &name])?.fails(1, "404")?;
    proxy.fault("HEAD", "/blobs/", 1, What::Status(500));
    proxy.fault("PUT", "/manifests/", 1, What::Status(502));
    cx.docker(&["push", &name])?.good()?;
    Ok(())
}

fn upload_cut(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let proxy = Proxy::start(&registry.address)?;
    let name = format!("{}/up:1", proxy.address);
    let archive = crate::tarball::docker_archive(&[big_layer(11, 3 << 20)?, layer("up")?], &name, "{}")?;
    cx.docker_with(&["load"], &archive)?.good()?;
    proxy.fault("PATCH", "/blobs/uploads/", 2, What::CutRequest(1 << 20));
    cx.docker(&["push", &name])?.good()?;
    let patches = proxy.requests("PATCH");
    ensure!(patches.len() >= 3, "{patches:?}");
    cx.docker(&["rmi", &name])?.good()?;
    cx.docker(&["pull", &name])?.good()?;
    ensure!(text(cx, &name)? == "up");
    Ok(())
}

fn two_pulls_at_once(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let proxy = Proxy::start(&registry.address)?;
    let content = big_layer(13, 1 << 20)?;
    image(&registry, "two", Some("1"), "amd64", &[content.clone(), layer("both")?])?;
    image(&registry, "two", Some("2"), "amd64", &[content.clone(), layer("other")?])?;
    let (blob, _) = blob_of(&content)?;
    proxy.fault("GET", &blob, 9, What::Delay(Duration::from_millis(1500)));
    let names = ["1", "1", "2"].map(|tag| format!("{}/two:{tag}", proxy.address));
    let results = std::thread::scope(|scope| {
        let pulls = names.each_ref().map(|name| scope.spawn(move || cx.docker(&["pull", name])));
        pulls.map(|p| p.join())
    });
    for result in results {
        result.map_err(|_| anyhow::anyhow!("a pull panicked"))??.good()?;
    }
    ensure!(text(cx, &names[0])? == "both" && text(cx, &names[2])? == "other");
    let requests = proxy.requests(&blob);
    ensure!(requests.len() == 1, "{requests:?}");
    Ok(())
}

/// The daemon does not go on for nobody, and leaves nothing.
fn client_goes_away(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let proxy = Proxy::start(&registry.address)?;
    let content = big_layer(17, 1 << 20)?;
    image(&registry, "gone", Some("1"), "amd64", &[content.clone(), layer("gone")?])?;
    let (blob, _) = blob_of(&content)?;
    proxy.fault("GET", &blob, 1, What::Delay(Duration::from_secs(5)));
    let name = format!("{}/gone:1", proxy.address);
    let mut command = cx.bed.docker();
    command.args(["pull", &name]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn()?;
    cx.until("the download begins", || Ok(!proxy.requests(&blob).is_empty()))?;
    child.kill()?;
    child.wait()?;
    // The next one does not wait for it.
    let begun = Instant::now();
    cx.docker(&["pull", &name])?.good()?;
    ensure!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    ensure!(text(cx, &name)? == "gone" && proxy.requests(&blob).len() == 2);
    Ok(())
}

fn distribution_and_manifest_inspect(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let digest = index(&registry, "dist", "1")?;
    let answer =
        http::request(cx, "GET", &format!("/v1.47/distribution/{}/dist:1/json", registry.address), "")?;
    let value: Value = serde_json::from_slice(&answer.body)?;
    ensure!(answer.status == 200 && value["Descriptor"]["digest"] == json!(digest), "{value}");
    ensure!(value["Descriptor"]["mediaType"] == OCI_INDEX, "{value}");
    ensure!(
        value["Platforms"].as_array().is_some_and(|p| p.iter().any(|p| p["architecture"] == "arm64")),
        "{value}"
    );
    image(&registry, "dist", Some("2"), "amd64", &[layer("x")?])?;
    let answer =
        http::request(cx, "GET", &format!("/v1.47/distribution/{}/dist:2/json", registry.address), "")?;
    let value: Value = serde_json::from_slice(&answer.body)?;
    ensure!(value["Platforms"] == json!([{ "architecture": "amd64", "os": "linux" }]), "{value}");
    let none =
        http::request(cx, "GET", &format!("/v1.47/distribution/{}/dist:3/json", registry.address), "")?;
    ensure!(none.status == 404, "{}", none.text());
    // The client asks the registry itself; what we pushed must please it.
    let name = format!("{}/dist:mine", registry.address);
    cx.docker_with(&["load"], &crate::tarball::docker_archive(&[layer("mine")?], &name, "{}")?)?.good()?;
    cx.docker(&["push", &name])?.good()?;
    let out = cx.docker(&["manifest", "inspect", "--insecure", "-v", &name])?.good()?;
    let value: Value = serde_json::from_str(&out)?;
    ensure!(
        value["Descriptor"]["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json",
        "{out}"
    );
    let search = http::request(cx, "GET", &format!("/images/search?term={}/x", registry.address), "")?;
    ensure!(search.status == 500 && search.text().contains("no search"), "{}", search.text());
    Ok(())
}

fn zstd_and_foreign_tools(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let address = &registry.address;
    let mine = format!("{address}/mine:1");
    cx.docker_with(
        &["load"],
        &crate::tarball::docker_archive(&[layer("mine")?, layer("top")?], &mine, "{}")?,
    )?
    .good()?;
    cx.docker(&["push", &mine])?.good()?;
    // skopeo reads what we pushed, and writes it again in its own way.
    let skopeo = |args: &[&str]| {
        let mut command = std::process::Command::new("skopeo");
        command
            .args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(args);
        crate::output::run(command, b"", cx.deadline)?.good()
    };
    let directory = cx.directory(&[])?;
    let layout = format!("oci:{}:x", directory.join("zstd").display());
    let zstd = format!("{address}/zstd:1");
    skopeo(&["--dest-compress-format", "zstd", &format!("docker://{mine}"), &layout])?;
    skopeo(&["--preserve-digests", &layout, &format!("docker://{zstd}")])?;
    let manifest = registry.request("GET", "/v2/zstd/manifests/1", "", b"")?.text();
    ensure!(manifest.contains("tar+zstd"), "{manifest}");
    // The same image, so what is known of it goes first.
    cx.docker(&["rmi", &mine])?.good()?;
    cx.docker(&["pull", &zstd])?.good()?;
    ensure!(text(cx, &zstd)? == "top");
    // The layers have the form in which they came.
    let again = format!("{address}/again:1");
    cx.docker(&["tag", &zstd, &again])?.good()?;
    let out = cx.docker(&["push", &again])?.good()?;
    ensure!(out.contains(&format!("digest: {}", digest(manifest.as_bytes()))), "{out}");
    skopeo(&[&format!("docker://{again}"), &format!("oci:{}:x", directory.join("again").display())])?;
    ensure!(directory.join("again/index.json").exists());
    Ok(())
}

/// The verbs of the binary itself.
fn without_a_daemon(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let (digest, _) = image(&registry, "own", Some("1"), "amd64", &[layer("own")?])?;
    let name = format!("{}/own:1", registry.address);
    let root = cx.bed.path("shared").join("registry-own");
    std::fs::create_dir_all(&root)?;
    cx.bed.give(&root)?;
    let root = root.to_string_lossy().into_owned();
    let out = cx.carrack(&["--data-root", &root, "pull", "-q", &name])?;
    out.good()?;
    let out = cx.carrack(&["--data-root", &root, "push", &name])?;
    ensure!((out.text() + &out.errors()).contains(&digest), "{out}");
    Ok(())
}
