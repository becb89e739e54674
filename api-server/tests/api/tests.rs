//! What clients rely on, one function each.

use crate::client::{Daemon, frames, read_chunks};
use serde_json::json;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("run_as_the_cli_does", run_as_the_cli_does),
    ("stdin_half_close", stdin_half_close),
    ("early_stdin_is_kept", early_stdin_is_kept),
    ("a_missing_command", a_missing_command),
    ("auto_remove", auto_remove),
    ("stop_kill_restart", stop_kill_restart),
    ("restart_policies", restart_policies),
    ("exec", exec),
    ("exec_codes_are_there_at_the_end", exec_codes_are_there_at_the_end),
    ("logs", logs),
    ("one_container_many_runs", one_container_many_runs),
    ("the_daemon_dies", the_daemon_dies),
    ("hostile_clients", hostile_clients),
    ("without_upgrade", without_upgrade),
    ("events_tell_the_story", events_tell_the_story),
    ("health_checks", health_checks),
    ("unread_input_is_no_reset", unread_input_is_no_reset),
];

/// Runs the tests whose name contains `filter`.
pub(crate) fn run(filter: Option<&str>) {
    let mut failed = Vec::new();
    let chosen: Vec<&Test> =
        TESTS.iter().filter(|(name, _)| filter.is_none_or(|f| name.contains(f))).collect();
    println!("\nrunning {} tests", chosen.len());
    for (name, test) in &chosen {
        let result = std::panic::catch_unwind(test);
        println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        if result.is_err() {
            failed.push(*name);
        }
    }
    println!("\ntest result: {} passed; {} failed\n", chosen.len() - failed.len(), failed.len());
    if !failed.is_empty() {
        std::process::exit(101);
    }
}

fn sh(script: &str) -> serde_json::Value {
    json!({ "Cmd": ["/bin/sh", "-c", script] })
}

fn run_as_the_cli_does() {
    let d = Daemon::start();
    let id = d.create("web", sh("echo out; echo err >&2; exit 3"));
    let (head, mut streams) =
        d.hijack(&format!("/v1.51/containers/{id}/attach?stream=1&stdout=1&stderr=1"), None);
    assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
    assert!(head.contains("Upgrade: tcp\r\n") && head.contains("Connection: Upgrade\r\n"), "{head}");
    assert!(head.contains("application/vnd.docker.multiplexed-stream"), "{head}");
    // The head of the wait comes before the container was even started.
    let (head, mut wait) = d.stream("POST", &format!("/v1.51/containers/{id}/wait?condition=next-exit"));
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!(d.post(&format!("/v1.51/containers/{id}/start")).status, 204);
    let mut bytes = Vec::new();
    streams.read_to_end(&mut bytes).expect("the streams' end");
    assert_eq!(frames(&bytes), ("out\n".into(), "err\n".into()));
    let body = read_chunks(&mut wait);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).expect("json"), json!({ "StatusCode": 3 }));
    let state = d.state("web");
    assert_eq!((state["Status"].as_str(), state["ExitCode"].as_i64()), (Some("exited"), Some(3)));
    assert_eq!(
        d.post("/containers/web/wait").json(),
        json!({ "StatusCode": 3 }),
        "at once, for one that has ended"
    );
}

fn stdin_half_close() {
    let d = Daemon::start();
    d.create("cat", json!({ "Cmd": ["/bin/cat"], "OpenStdin": true, "StdinOnce": true }));
    let (_, mut streams) = d.hijack("/containers/cat/attach?stream=1&stdin=1&stdout=1", None);
    assert_eq!(d.post("/containers/cat/start").status, 204);
    streams.get_mut().write_all(b"hello").expect("to write");
    streams.get_mut().shutdown(Shutdown::Write).expect("to half-close");
    let mut bytes = Vec::new();
    streams.read_to_end(&mut bytes).expect("the end");
    assert_eq!(frames(&bytes).0, "hello", "output goes on after the client's half is closed");
    d.wait_for("cat", |s| s["Status"] == "exited");
}

fn early_stdin_is_kept() {
    let d = Daemon::start();
    d.create("cat", json!({ "Cmd": ["/bin/head", "-n1"], "OpenStdin": true, "StdinOnce": true }));
    let (_, mut streams) = d.hijack("/containers/cat/attach?stream=1&stdin=1&stdout=1", None);
    streams.get_mut().write_all(b"early\n").expect("to write");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(d.post("/containers/cat/start").status, 204);
    let mut bytes = Vec::new();
    streams.read_to_end(&mut bytes).expect("the end");
    assert_eq!(frames(&bytes).0, "early\n");
}

fn a_missing_command() {
    let d = Daemon::start();
    d.create("no", json!({ "Cmd": ["nosuch"] }));
    let r = d.post("/containers/no/start");
    assert_eq!(r.status, 400);
    assert!(r.message().contains("exec: \"nosuch\": executable file not found in $PATH"), "{}", r.message());
    let state = d.state("no");
    assert_eq!((state["Status"].as_str(), state["ExitCode"].as_i64()), (Some("created"), Some(127)));
    d.create("dir", json!({ "Cmd": ["/etc"] }));
    assert!(d.post("/containers/dir/start").message().contains("permission denied"));
    assert_eq!(d.state("dir")["ExitCode"], 126);
}

fn auto_remove() {
    let d = Daemon::start();
    let body = |cmd: &str| json!({ "Cmd": ["/bin/sh", "-c", cmd], "HostConfig": { "AutoRemove": true } });
    d.create("rm", body("exit 4"));
    let (_, mut wait) = d.stream("POST", "/containers/rm/wait?condition=removed");
    assert_eq!(d.post("/containers/rm/start").status, 204);
    assert!(String::from_utf8_lossy(&read_chunks(&mut wait)).contains("\"StatusCode\":4"));
    assert_eq!(d.ask("GET", "/containers/rm/json", None).status, 404);
    let id = d.create("no", json!({ "Cmd": ["nosuch"], "HostConfig": { "AutoRemove": true } }));
    let (_, mut wait) = d.stream("POST", "/containers/no/wait?condition=removed");
    assert_eq!(d.post("/containers/no/start").status, 400);
    assert!(!read_chunks(&mut wait).is_empty(), "a failed start removes too");
    assert!(
        !d.root.join("data/containers").join(&id).exists() && !d.root.join("run").join(&id[..12]).exists()
    );
}

fn stop_kill_restart() {
    let d = Daemon::start();
    d.create("web", sh("trap 'exit 7' TERM; while :; do sleep 0.05; done"));
    assert_eq!(d.post("/containers/web/start").status, 204);
    assert_eq!(d.post("/containers/web/start").status, 304);
    let r = d.ask("DELETE", "/containers/web", None);
    assert_eq!(r.status, 409);
    assert!(r.message().contains("stop the container before"), "{}", r.message());
    assert_eq!(d.post("/containers/web/stop?t=10").status, 204);
    assert_eq!(d.state("web")["ExitCode"], 7);
    assert_eq!(d.post("/containers/web/stop").status, 304);
    assert_eq!(d.post("/containers/web/restart").status, 204, "a stopped one is started");
    let first = d.state("web")["Pid"].clone();
    assert_eq!(d.post("/containers/web/restart?t=10").status, 204);
    assert_ne!(d.state("web")["Pid"], first);
    assert_eq!(d.post("/containers/web/pause").status, 204);
    assert_eq!(d.post("/containers/web/pause").status, 409);
    assert_eq!(d.state("web")["Status"], "paused");
    assert_eq!(d.post("/containers/web/unpause").status, 204);
    let r = d.post("/containers/web/kill?signal=NOPE");
    assert_eq!((r.status, r.message().as_str()), (400, "cannot kill container: web: invalid signal: NOPE"));
    assert_eq!(d.post("/containers/web/kill").status, 204);
    assert_eq!(d.state("web")["ExitCode"], 137);
    d.create("deaf", sh("trap '' TERM; while :; do sleep 0.05; done"));
    d.post("/containers/deaf/start");
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    assert_eq!(d.post("/containers/deaf/stop?t=1").status, 204);
    assert!((1..5).contains(&begun.elapsed().as_secs()));
    assert_eq!(d.state("deaf")["ExitCode"], 137);
    d.post("/containers/deaf/start");
    assert_eq!(d.ask("DELETE", "/containers/deaf?force=1", None).status, 204);
    assert_eq!(d.ask("GET", "/containers/deaf/json", None).status, 404);
}

fn restart_policies() {
    let d = Daemon::start();
    let policy = json!({ "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 2 } });
    d.create("flaky", json!({ "Cmd": ["/bin/false"], "HostConfig": policy }));
    assert_eq!(d.post("/containers/flaky/start").status, 204);
    d.wait_for("flaky", |s| s["Status"] == "exited");
    assert_eq!(d.get("/containers/flaky/json")["RestartCount"], 2);
    d.create(
        "always",
        json!({ "Cmd": ["/bin/true"], "HostConfig": { "RestartPolicy": { "Name": "always" } } }),
    );
    d.post("/containers/always/start");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(d.post("/containers/always/stop").status, 204);
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(d.state("always")["Status"], "exited", "stopped by hand is stopped");
}

fn exec() {
    let d = Daemon::start();
    d.create("web", sh("exec sleep 60"));
    let r = d.ask("POST", "/containers/web/exec", Some(json!({ "Cmd": ["true"] })));
    assert_eq!(r.status, 409);
    assert!(r.message().ends_with("is not running"));
    d.post("/containers/web/start");
    let new = |cmd: serde_json::Value| {
        let body = json!({ "Cmd": cmd, "AttachStdin": true, "AttachStdout": true, "AttachStderr": true });
        let r = d.ask("POST", "/containers/web/exec", Some(body));
        assert_eq!(r.status, 201, "{}", r.text());
        r.json()["Id"].as_str().expect("an id").to_string()
    };
    let id = new(json!(["/bin/sh", "-c", "cat; echo done >&2; exit 5"]));
    assert_eq!(d.get(&format!("/exec/{id}/json"))["ExitCode"], json!(null));
    let (head, mut streams) = d.hijack(&format!("/exec/{id}/start"), Some(json!({ "Detach": false })));
    assert!(head.starts_with("HTTP/1.1 101 UPGRADED"), "{head}");
    streams.get_mut().write_all(b"typed").expect("to write");
    streams.get_mut().shutdown(Shutdown::Write).expect("to half-close");
    let mut bytes = Vec::new();
    streams.read_to_end(&mut bytes).expect("the end");
    assert_eq!(frames(&bytes), ("typed".into(), "done\n".into()));
    assert_eq!(d.get(&format!("/exec/{id}/json"))["ExitCode"], 5);
    let r = d.ask("POST", &format!("/exec/{id}/start"), Some(json!({})));
    assert_eq!((r.status, r.message()), (409, format!("exec command {id} has already run")));
    let id = new(json!(["nosuch"]));
    let (_, mut streams) = d.hijack(&format!("/exec/{id}/start"), Some(json!({})));
    let mut bytes = Vec::new();
    streams.read_to_end(&mut bytes).expect("the end");
    let text = frames(&bytes).0;
    assert!(text.contains("OCI runtime exec failed") && text.ends_with("\r\n"), "{text}");
    assert!(text.contains("executable file not found in $PATH"), "{text}");
    assert_eq!(d.get(&format!("/exec/{id}/json"))["ExitCode"], 127);
    let id = new(json!(["/bin/true"]));
    assert_eq!(d.ask("POST", &format!("/exec/{id}/start"), Some(json!({ "Detach": true }))).status, 200);
    d.ask("DELETE", "/containers/web?force=1", None);
    assert_eq!(d.ask("GET", &format!("/exec/{id}/json"), None).status, 404);
}

fn exec_codes_are_there_at_the_end() {
    let d = Daemon::start();
    d.create("web", sh("exec sleep 60"));
    d.post("/containers/web/start");
    for i in 0..100 {
        let body =
            json!({ "Cmd": ["/bin/sh", "-c", format!("echo {i}; exit {}", i % 3)], "AttachStdout": true });
        let id =
            d.ask("POST", "/containers/web/exec", Some(body)).json()["Id"].as_str().expect("id").to_string();
        let (_, mut streams) = d.hijack(&format!("/exec/{id}/start"), Some(json!({})));
        let mut bytes = Vec::new();
        streams.read_to_end(&mut bytes).expect("the end");
        assert_eq!(frames(&bytes).0, format!("{i}\n"));
        let e = d.get(&format!("/exec/{id}/json"));
        assert_eq!((e["ExitCode"].as_i64(), e["Running"].as_bool()), (Some(i % 3), Some(false)));
    }
    d.ask("DELETE", "/containers/web?force=1", None);
}

fn logs() {
    let d = Daemon::start();
    d.create("web", sh("echo one; echo two >&2; sleep 0.5; echo three"));
    d.post("/containers/web/start");
    let (head, mut follow) = d.stream("GET", "/containers/web/logs?stdout=1&stderr=1&follow=1");
    assert!(head.contains("application/vnd.docker.multiplexed-stream"), "{head}");
    let (out, err) = frames(&read_chunks(&mut follow));
    assert_eq!((out.as_str(), err.as_str()), ("one\nthree\n", "two\n"));
    let all = |query: &str| {
        let r = d.ask("GET", &format!("/containers/web/logs?{query}"), None);
        assert_eq!(r.status, 200, "{}", r.text());
        frames(&r.body)
    };
    d.wait_for("web", |s| s["Status"] == "exited");
    assert_eq!(all("stdout=1&tail=1").0, "three\n");
    assert_eq!(all("stdout=1&stderr=1&tail=0"), (String::new(), String::new()));
    let stamped = all("stdout=1&timestamps=1&tail=1").0;
    assert_eq!(stamped.len(), "2026-01-01T00:00:00.000000000Z three\n".len(), "{stamped}");
    assert_eq!(all("stdout=1&since=9999999999").0, "");
    assert_eq!(d.ask("GET", "/containers/web/logs", None).status, 400);
}

/// As a CI runner does it: attach, start, write the script, half-close, read to the end; again and again.
fn one_container_many_runs() {
    let d = Daemon::start();
    d.create("job", json!({ "Cmd": ["/bin/sh"], "OpenStdin": true, "StdinOnce": true }));
    for i in 0..3 {
        let (head, mut streams) = d.hijack("/containers/job/attach?stream=1&stdin=1&stdout=1&stderr=1", None);
        assert!(head.contains(" 101 "), "{head}");
        assert_eq!(d.post("/containers/job/start").status, 204);
        writeln!(streams.get_mut(), "echo run {i}; exit {i}").expect("to write");
        streams.get_mut().shutdown(Shutdown::Write).expect("to half-close");
        let mut bytes = Vec::new();
        streams.read_to_end(&mut bytes).expect("the end");
        assert_eq!(frames(&bytes).0, format!("run {i}\n"));
        let state = d.wait_for("job", |s| s["Status"] == "exited");
        assert_eq!(state["ExitCode"], i);
    }
}

fn the_daemon_dies() {
    let mut d = Daemon::start();
    d.create("long", sh("echo before; sleep 2; echo after; sleep 60"));
    d.create("short", sh("sleep 0.5; exit 9"));
    let mut body = sh("sleep 0.5");
    body["HostConfig"] = json!({ "AutoRemove": true });
    d.create("rm", body);
    for name in ["long", "short", "rm"] {
        assert_eq!(d.post(&format!("/containers/{name}/start")).status, 204);
    }
    let exec = json!({ "Cmd": ["/bin/sleep", "60"] });
    let exec =
        d.ask("POST", "/containers/long/exec", Some(exec)).json()["Id"].as_str().expect("id").to_string();
    d.ask("POST", &format!("/exec/{exec}/start"), Some(json!({ "Detach": true })));
    d.get(&format!("/exec/{exec}/json"));
    let pid = d.state("long")["Pid"].clone();
    d.crash(|| std::thread::sleep(Duration::from_millis(1200)));
    let state = d.state("long");
    assert_eq!((state["Status"].as_str(), &state["Pid"]), (Some("running"), &pid));
    let state = d.state("short");
    assert_eq!((state["Status"].as_str(), state["ExitCode"].as_i64()), (Some("exited"), Some(9)));
    assert_eq!(d.ask("GET", "/containers/rm/json", None).status, 404, "removed though the daemon was dead");
    assert_eq!(d.get(&format!("/exec/{exec}/json"))["Running"], true);
    std::thread::sleep(Duration::from_millis(1500));
    let r = d.ask("GET", "/containers/long/logs?stdout=1", None);
    assert_eq!(frames(&r.body).0, "before\nafter\n");
    assert_eq!(d.ask("DELETE", "/containers/long?force=1", None).status, 204);
}

fn hostile_clients() {
    let d = Daemon::start();
    d.create("web", sh("while :; do echo x; sleep 0.01; done"));
    d.post("/containers/web/start");
    // One that vanishes in the middle of an attach.
    for _ in 0..20 {
        let (_, streams) = d.hijack("/containers/web/attach?stream=1&stdout=1", None);
        drop(streams);
    }
    assert_eq!(d.state("web")["Status"], "running");
    // A head without end: refused before it is all read.
    let mut stream = d.connect();
    let _ = stream.write_all(b"GET /info HTTP/1.1\r\nX: ");
    let piece = vec![b'a'; 1 << 20];
    let mut sent = 0;
    while sent < 100 && stream.write_all(&piece).is_ok() {
        sent += 1;
    }
    assert!(sent < 100, "the whole head was taken");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // No JSON, no type, no HTTP.
    let mut stream = d.connect();
    stream.write_all(b"\x16\x03\x01garbage\r\n\r\n").expect("to write");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let r = d.ask("GET", &format!("/containers/{}/json", "a".repeat(9000)), None);
    assert_eq!(r.status, 404);
    let r = d.ask("GET", "/containers/json?filters=%7B%22name%22%3A%5B%22(((((%22%5D%7D", None);
    assert_eq!((r.status, r.json()), (200, json!([])));
    assert_eq!(d.ask("DELETE", "/containers/web?force=1", None).status, 204);
}

fn without_upgrade() {
    let d = Daemon::start();
    d.create("web", sh("exec sleep 60"));
    d.post("/containers/web/start");
    let body = json!({ "Cmd": ["/bin/echo", "hi"], "AttachStdout": true });
    let id = d.ask("POST", "/containers/web/exec", Some(body)).json()["Id"].as_str().expect("id").to_string();
    let r = d.ask("POST", &format!("/exec/{id}/start"), Some(json!({})));
    assert_eq!(r.status, 200);
    assert!(r.head.contains("application/vnd.docker.raw-stream"), "{}", r.head);
    assert!(!r.head.to_ascii_lowercase().contains("chunked"), "{}", r.head);
    assert_eq!(frames(&r.body).0, "hi\n");
    d.ask("DELETE", "/containers/web?force=1", None);
}

fn events_tell_the_story() {
    let d = Daemon::start();
    let mut body = sh("exec sleep 60");
    body["Labels"] = json!({ "project": "x" });
    d.create("web", body);
    d.post("/containers/web/start");
    d.post("/containers/web/stop?t=1");
    d.ask("DELETE", "/containers/web", None);
    let filters = "%7B%22type%22%3A%5B%22container%22%5D%2C%22label%22%3A%5B%22project%3Dx%22%5D%7D";
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now").as_secs() + 1;
    let r = d.ask("GET", &format!("/events?since=1&until={now}&filters={filters}"), None);
    let actions: Vec<String> = r
        .text()
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("json"))
        .inspect(|e| assert_eq!(e["status"], e["Action"], "the legacy fields are there"))
        .map(|e| e["Action"].as_str().expect("an action").to_string())
        .collect();
    assert_eq!(actions, ["create", "start", "kill", "die", "stop", "destroy"]);
}

fn health_checks() {
    let d = Daemon::start();
    let mut body = sh("exec sleep 60");
    let flag = d.root.join("sick");
    body["Healthcheck"] = json!({
        "Test": ["CMD-SHELL", format!("echo probed; test ! -e {}", flag.display())],
        "Interval": 100_000_000, "Retries": 2,
    });
    d.create("web", body);
    d.post("/containers/web/start");
    assert_eq!(d.state("web")["Health"]["Status"], "starting");
    let state = d.wait_for("web", |s| s["Health"]["Status"] == "healthy");
    assert_eq!(state["Health"]["Log"][0]["Output"], "probed\n");
    std::fs::write(&flag, "").expect("to write");
    let state = d.wait_for("web", |s| s["Health"]["Status"] == "unhealthy");
    assert!(state["Health"]["FailingStreak"].as_i64() >= Some(2));
    d.ask("DELETE", "/containers/web?force=1", None);
}

/// `yes | docker run -i … head -1`: the client still writes when the output ends.
fn unread_input_is_no_reset() {
    let d = Daemon::start();
    d.create("head", json!({ "Cmd": ["/usr/bin/head", "-n1"], "OpenStdin": true, "StdinOnce": true }));
    let (_, mut streams) = d.hijack("/containers/head/attach?stream=1&stdin=1&stdout=1", None);
    assert_eq!(d.post("/containers/head/start").status, 204);
    let mut writer = streams.get_ref().try_clone().expect("a copy");
    let writes = std::thread::spawn(move || while writer.write_all(&[b'\n'; 4096]).is_ok() {});
    let mut bytes = Vec::new();
    streams.read_to_end(&mut bytes).expect("the end, and no reset");
    assert_eq!(frames(&bytes).0, "\n");
    drop(streams);
    let _ = writes.join();
}
