//! The Engine API below the client: versions, headers, errors, filters, and requests that no client should send.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};
use crate::http::{connect, read, request};

pub(super) const TESTS: &[Test] = tests!("api", 60;
    ping, versions, unknown_routes, malformed_json, huge_header, filters_both_ways, wait_headers_first, vanishing_clients,
    create_errors, system_calls, json_errors, half_open_connections, double_slashes, bytes_after_the_answer,
);

fn ping(cx: &Cx) -> Result<()> {
    let get = request(cx, "GET", "/_ping", "")?;
    ensure!(get.status == 200 && get.text() == "OK", "{get:?}");
    for name in ["Api-Version", "Ostype", "Docker-Experimental", "Server", "Builder-Version"] {
        ensure!(get.header(name).is_some(), "no {name}: {}", get.head);
    }
    ensure!(get.header("ostype") == Some("linux"));
    let head = request(cx, "HEAD", "/_ping", "")?;
    ensure!(head.status == 200 && head.body.is_empty(), "{head:?}");
    ensure!(request(cx, "GET", "/v1.44/_ping", "")?.status == 200);
    Ok(())
}

fn versions(cx: &Cx) -> Result<()> {
    let old = request(cx, "GET", "/v1.12/containers/json", "")?;
    ensure!(
        old.status == 400
            && old.text().contains("client version 1.12 is too old. Minimum supported API version is"),
        "{old:?}"
    );
    ensure!(!old.text().starts_with('{'), "below 1.24 the body is plain text: {}", old.text());
    let new = request(cx, "GET", "/v1.99/containers/json", "")?;
    ensure!(
        new.status == 400
            && new.text().contains("client version 1.99 is too new. Maximum supported API version is"),
        "{new:?}"
    );
    ensure!(new.text().starts_with("{\"message\":"), "{}", new.text());
    ensure!(new.header("api-version").is_some(), "no Api-Version on errors");
    for version in ["1.24", "1.41", "1.44", "1.48"] {
        let response = request(cx, "GET", &format!("/v{version}/version"), "")?;
        ensure!(response.status == 200, "{version}: {response:?}");
    }
    Ok(())
}

fn unknown_routes(cx: &Cx) -> Result<()> {
    for (method, path) in
        [("GET", "/nosuch"), ("GET", "/v1.44/nosuch/x"), ("DELETE", "/version"), ("GET", "/")]
    {
        let response = request(cx, method, path, "")?;
        ensure!(
            response.status == 404 && response.text().contains("page not found"),
            "{method} {path}: {response:?}"
        );
    }
    Ok(())
}

fn malformed_json(cx: &Cx) -> Result<()> {
    for body in
        ["{", "[]", "null", "\"x\"", "{\"Image\":5}", "{\"Image\":\"debian:12\",\"Cmd\":{}}", "\u{0}", ""]
    {
        let response = request(cx, "POST", "/containers/create", body)?;
        ensure!((400..500).contains(&response.status), "{body:?}: {response:?}");
        ensure!(response.text().contains("\"message\":\""), "{body:?}: {}", response.text());
    }
    let deep = "[".repeat(100_000);
    let response = request(cx, "POST", "/containers/create", &deep)?;
    ensure!((400..500).contains(&response.status), "{response:?}");
    cx.run(BASE, &["true"])?.good()?;
    Ok(())
}

fn huge_header(cx: &Cx) -> Result<()> {
    let before = daemon_memory(cx);
    let mut stream = connect(cx)?;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\nX-Big: ")?;
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    if let Ok(response) = read(&mut stream) {
        ensure!((400..500).contains(&response.status), "{response:?}");
    }
    ensure!(daemon_memory(cx) < before + (60 << 10), "the daemon kept the header: {} KiB", daemon_memory(cx));
    ensure!(request(cx, "GET", "/_ping", "")?.status == 200);
    Ok(())
}

/// KiB of resident memory over the daemon's user's processes called carrack.
fn daemon_memory(cx: &Cx) -> u64 {
    let mut sum = 0;
    for (pid, comm) in cx.bed.processes() {
        if comm.starts_with("carrack") {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
            sum += line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

fn filters_both_ways(cx: &Cx) -> Result<()> {
    let name = cx.own("f");
    cx.docker(&["create", "--name", &name, "-l", "e2e.filter=yes", "-l", "two=2", BASE, "true"])?.good()?;
    let list = |filters: &str| -> Result<usize> {
        let encoded: String = filters.bytes().map(|b| format!("%{b:02x}")).collect();
        let response = request(cx, "GET", &format!("/containers/json?all=1&filters={encoded}"), "")?;
        ensure!(response.status == 200, "{filters}: {response:?}");
        let value: serde_json::Value = serde_json::from_str(&response.text())?;
        Ok(value.as_array().map_or(0, Vec::len))
    };
    ensure!(list("{\"label\":[\"e2e.filter=yes\"]}")? == 1);
    ensure!(list("{\"label\":{\"e2e.filter=yes\":true}}")? == 1);
    ensure!(list("{\"label\":[\"e2e.filter=yes\",\"two=2\"]}")? == 1);
    ensure!(list("{\"label\":[\"e2e.filter=yes\",\"two=3\"]}")? == 0);
    ensure!(list(&format!("{{\"name\":[\"^/{name}$\"]}}"))? == 1);
    ensure!(list(&format!("{{\"name\":[\"{name}\"],\"status\":[\"created\"]}}"))? == 1);
    for bad in ["{", "5", "{\"label\":5}"] {
        let encoded: String = bad.bytes().map(|b| format!("%{b:02x}")).collect();
        let response = request(cx, "GET", &format!("/containers/json?filters={encoded}"), "")?;
        ensure!(response.status == 400, "{bad}: {response:?}");
    }
    Ok(())
}

fn wait_headers_first(cx: &Cx) -> Result<()> {
    let name = cx.own("w");
    cx.docker(&["create", "--name", &name, BASE, "sh", "-c", "exit 3"])?.good()?;
    let mut stream = connect(cx)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "POST /containers/{name}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
    )?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    ensure!(&head == b"HTTP/1.1 200", "{:?}", String::from_utf8_lossy(&head));
    cx.docker(&["start", &name])?.good()?;
    let mut text = String::new();
    let end = Instant::now() + Duration::from_secs(5);
    while !text.contains("\"StatusCode\":3") {
        ensure!(Instant::now() < end, "no status: {text}");
        let mut buffer = [0; 1024];
        let n = stream.read(&mut buffer)?;
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    let bad = request(cx, "POST", &format!("/containers/{name}/wait?condition=nosuch"), "")?;
    ensure!(bad.status == 400 && bad.text().contains("invalid condition: \\\"nosuch\\\""), "{bad:?}");
    Ok(())
}

fn vanishing_clients(cx: &Cx) -> Result<()> {
    let name = cx.own("v");
    cx.docker(&["run", "-di", "--name", &name, BASE, "sh", "-c", "while :; do echo spam spam spam; done"])?
        .good()?;
    for path in ["attach?stream=1&stdout=1&stdin=1&logs=1", "logs?follow=1&stdout=1"] {
        for _ in 0..20 {
            let mut stream = connect(cx)?;
            let method = if path.starts_with("attach") { "POST" } else { "GET" };
            write!(
                stream,
                "{method} /containers/{name}/{path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            )?;
            let mut buffer = [0; 512];
            let _ = stream.read(&mut buffer);
            drop(stream);
        }
    }
    cx.docker(&["exec", &name, "echo", "well"])?.prints("well")?;
    cx.docker(&["rm", "-f", &name])?.good()?;
    Ok(())
}

fn create_errors(cx: &Cx) -> Result<()> {
    let create = |body: &str| request(cx, "POST", "/containers/create", body);
    let missing = create("{\"Image\":\"nosuch:1\",\"Cmd\":[\"true\"]}")?;
    ensure!(missing.status == 404 && missing.text().contains("No such image: nosuch:1"), "{missing:?}");
    let bad = request(cx, "POST", "/containers/create?name=-x", &format!("{{\"Image\":\"{BASE}\"}}"))?;
    ensure!(bad.status == 400, "{bad:?}");
    let upper = create("{\"Image\":\"UPPER\",\"Cmd\":[\"true\"]}")?;
    ensure!(upper.status == 400 && upper.text().contains("must be lowercase"), "{upper:?}");
    Ok(())
}

fn system_calls(cx: &Cx) -> Result<()> {
    let info = request(cx, "GET", "/info", "")?;
    let value: serde_json::Value = serde_json::from_str(&info.text())?;
    ensure!(value["OSType"] == "linux" && value["NCPU"].as_u64().unwrap_or(0) > 0, "{value}");
    ensure!(value["MemTotal"].as_u64().unwrap_or(0) > 0, "{value}");
    cx.docker(&["info"])?.good()?;
    let version = cx
        .docker(&["version", "--format", "{{.Server.APIVersion}} {{.Server.Os}} {{.Server.Arch}}"])?
        .good()?;
    ensure!(version.ends_with(" linux amd64"), "{version}");
    Ok(())
}

fn json_errors(cx: &Cx) -> Result<()> {
    for (method, path, status, text) in [
        ("GET", "/containers/nosuch/json", 404, "No such container: nosuch"),
        ("POST", "/containers/nosuch/start", 404, "No such container: nosuch"),
        ("DELETE", "/containers/nosuch", 404, "No such container: nosuch"),
        ("GET", "/images/nosuch/json", 404, "No such image: nosuch:latest"),
        ("GET", "/exec/nosuch/json", 404, "No such exec instance: nosuch"),
        ("GET", "/containers/json?limit=x", 400, ""),
    ] {
        let response = request(cx, method, path, "")?;
        ensure!(response.status == status && response.text().contains(text), "{method} {path}: {response:?}");
        ensure!(response.text().starts_with("{\"message\":"), "{method} {path}: {}", response.text());
    }
    Ok(())
}

fn half_open_connections(cx: &Cx) -> Result<()> {
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(cx)?;
        stream.write_all(b"GET /_pi")?;
        idle.push(stream);
    }
    ensure!(request(cx, "GET", "/_ping", "")?.status == 200);
    drop(idle);
    cx.run(BASE, &["echo", "fine"])?.prints("fine")
}

fn double_slashes(cx: &Cx) -> Result<()> {
    let name = cx.own("s");
    cx.docker(&["create", "--name", &name, BASE, "true"])?.good()?;
    let response = request(cx, "GET", &format!("/containers//{name}/json"), "")?;
    ensure!(response.status == 200, "{response:?}");
    Ok(())
}

/// A client that is still sending when it is answered is neither cut off nor robbed of the answer.
fn bytes_after_the_answer(cx: &Cx) -> Result<()> {
    const PIECES: usize = 64;
    let piece = vec![b'x'; 16 << 10];
    let length = PIECES * piece.len();
    for (path, wanted) in [
        ("/images/load", "\"errorDetail\""),
        ("/containers/nosuch/start", "No such container: nosuch"),
        ("/nosuch", "page not found"),
    ] {
        let mut stream = connect(cx)?;
        let head = format!("POST {path} HTTP/1.1\r\nHost: d\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        for _ in 0..PIECES {
            stream.write_all(&piece).with_context(|| format!("{path}: sending was cut off"))?;
            std::thread::sleep(Duration::from_millis(2));
        }
        // The connection goes on to the next request.
        stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).with_context(|| format!("{path}: no answer"))?;
        ensure!(text.contains(wanted), "{path}: {text}");
        ensure!(text.ends_with("\r\n\r\nOK"), "{path}: {text}");
    }
    Ok(())
}
