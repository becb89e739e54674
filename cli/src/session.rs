//! Sessions with the daemon's containers: `run` through the daemon, `exec`, `attach`.

use crate::api::{BodyReader, Client, Connection, Query};
use crate::args;
use crate::args::{Network, PullPolicy};
use crate::failure::{Failure, OURS};
use crate::signals::{Event, Passed};
use crate::{attach, options, out, registry, signals, terminal};
use carrack_api_server::DetachKeys;
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering;

/// What a session is with.
#[derive(Debug, Clone)]
enum Target {
    Container(String),
    Exec(String),
}

impl Target {
    fn resize(&self, client: &Client, rows: u16, cols: u16) {
        let path = match self {
            Target::Container(id) => format!("/containers/{id}/resize"),
            Target::Exec(id) => format!("/exec/{id}/resize"),
        };
        // One that has just ended needs no size.
        let _ = client.post(&format!("{path}?h={rows}&w={cols}"), Value::Null);
    }
}

/// What a session carries.
#[derive(Debug, Clone)]
struct Streams {
    input: bool,
    tty: bool,
    /// What ends the session of a terminal.
    keys: DetachKeys,
    /// Whether signals are the container's.
    passed: Passed,
}

/// The keys of `--detach-keys`.
fn keys(text: Option<&str>) -> Result<DetachKeys, Failure> {
    DetachKeys::parse(text.unwrap_or_default()).map_err(|e| Failure::new(e.message))
}

/// Carries a session until its streams end; whether it was left by the detach keys. `begun` runs when everything is ready for output to come.
fn converse(
    client: &Client,
    mut connection: Connection,
    target: &Target,
    streams: Streams,
    begun: impl FnOnce() -> Result<(), Failure>,
) -> Result<bool, Failure> {
    // Raw before the start: the program must not see the line discipline's echo of what was typed early.
    let raw = if streams.tty && streams.input { terminal::Raw::enter() } else { None };
    begun()?;
    if streams.tty
        && let Some((rows, cols)) = terminal::size()
    {
        target.resize(client, rows, cols);
    }
    let (daemon, aim) = (client.daemon(), target.clone());
    signals::watch(streams.passed, streams.tty, move |event| {
        let Ok(client) = Client::new(&daemon) else { return };
        match (event, &aim) {
            (Event::Resize(rows, cols), aim) => aim.resize(&client, rows, cols),
            (Event::Signal(signal), Target::Container(id)) => {
                let _ = client.post(&format!("/containers/{id}/kill?signal={}", signal as i32), Value::Null);
            }
            (Event::Signal(_), Target::Exec(_)) => {}
        }
    });
    let mut detached = None;
    if streams.input {
        let input = connection.socket.try_clone().map_err(|e| Failure::doing("dup", e))?;
        let sent = attach::send_input(input, streams.tty, Some(streams.keys).filter(|_| streams.tty));
        detached = Some(sent.map_err(|e| Failure::doing("cannot make a thread", e))?);
    }
    let streamed = attach::receive_output(&mut connection, streams.tty);
    drop(raw);
    if detached.is_some_and(|d| d.load(Ordering::SeqCst)) {
        return Ok(true);
    }
    streamed.map(|()| false).map_err(|e| Failure::doing("output", e))
}

fn text(value: &Value) -> Result<String, Failure> {
    value.as_str().map(str::to_owned).ok_or_else(|| Failure::new("the daemon's answer has no id"))
}

fn exit_code(value: &Value) -> u8 {
    value.as_i64().and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(OURS)
}

/// `carrack run` with `--detach`, `--name` or `--restart`.
pub(crate) fn run(args: &args::Run) -> Result<u8, Failure> {
    if args.kernel_version.is_some() {
        return Err(Failure::new(
            "--kernel-version is not offered by the daemon; leave --detach, --name and --restart out",
        ));
    }
    if !args.detach {
        terminal::check(args.container.tty, args.container.interactive)?;
    }
    let body = creation(args)?;
    let client = Client::connect(&args.daemon)?;
    let path = format!("/containers/create{}", Query::default().option("name", args.name.as_deref()));
    let c = &args.container;
    if c.pull == PullPolicy::Always {
        registry::fetch(&client, &c.image, c.quiet)?;
    }
    let created = match client.post(&path, body.clone()) {
        Err(e) if c.pull == PullPolicy::Missing && e.is_about_image() => {
            out::say(&format!("carrack: {} is not here; fetching it", c.image));
            registry::fetch(&client, &c.image, c.quiet)?;
            client.post(&path, body)?
        }
        created => created?,
    };
    for warning in created["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        out::say(&format!("carrack: warning: {warning}"));
    }
    let id = text(&created["Id"])?;
    let started = if args.detach { start(&client, &id) } else { foreground(&client, &id, args) };
    match started {
        Ok(code) => Ok(code),
        Err(e) => {
            if args.rm {
                // It is of no use, and the daemon removes only what has run.
                let _ = client.delete(&format!("/containers/{id}?force=1&v=1"));
            }
            Err(e)
        }
    }
}

fn start(client: &Client, id: &str) -> Result<u8, Failure> {
    client.post(&format!("/containers/{id}/start"), Value::Null)?;
    out::print(format!("{id}\n").as_bytes())
}

fn foreground(client: &Client, id: &str, args: &args::Run) -> Result<u8, Failure> {
    let c = &args.container;
    let query = Query::default()
        .flag("stream", true)
        .flag("stdout", true)
        .flag("stderr", true)
        .flag("stdin", c.interactive)
        .option("detachKeys", args.detach_keys.as_deref());
    let connection = client.take_over(&format!("/containers/{id}/attach{query}"), Value::Null)?;
    let condition = if args.rm { "removed" } else { "next-exit" };
    let wait = format!("/containers/{id}/wait?condition={condition}");
    let waiting = client.stream(hyper::Method::POST, &wait, crate::api::Body::None)?;
    let keys = keys(args.detach_keys.as_deref())?;
    let streams = Streams { input: c.interactive, tty: c.tty, keys, passed: Passed::Signals };
    let left = converse(client, connection, &Target::Container(id.to_owned()), streams, || {
        client.post(&format!("/containers/{id}/start"), Value::Null).map(drop)
    })?;
    if left {
        out::say(LEFT);
        return Ok(0);
    }
    waited(waiting)
}

const LEFT: &str =
    "\ndetached; the container goes on: `carrack attach` connects again, `carrack stop` ends it";

/// The exit code in the answer of a wait.
fn waited(mut answer: BodyReader) -> Result<u8, Failure> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut answer, &mut text).map_err(|e| Failure::doing("the daemon", e))?;
    let answer: Value = serde_json::from_str(&text).map_err(|e| Failure::doing("the daemon's answer", e))?;
    Ok(exit_code(&answer["StatusCode"]))
}

/// `carrack attach`.
pub(crate) fn attach(args: &args::Attach) -> Result<u8, Failure> {
    let client = Client::connect(&args.daemon)?;
    let seen = client.get(&format!("/containers/{}/json", crate::api::encode(&args.container)))?;
    let id = text(&seen["Id"])?;
    if seen["State"]["Running"] != true {
        return Err(Failure::new(format!(
            "{} does not run; `carrack start {0}` starts it, `carrack logs {0}` shows what it has printed",
            args.container
        )));
    }
    let tty = seen["Config"]["Tty"] == true;
    let input = !args.no_stdin && seen["Config"]["OpenStdin"] == true;
    terminal::check(tty, input)?;
    let query = Query::default()
        .flag("stream", true)
        .flag("stdout", true)
        .flag("stderr", true)
        .flag("stdin", input)
        .option("detachKeys", args.detach_keys.as_deref());
    let keys = keys(args.detach_keys.as_deref())?;
    let streams = Streams { input, tty, keys, passed: Passed::Signals };
    let connection = client.take_over(&format!("/containers/{id}/attach{query}"), Value::Null)?;
    let wait = format!("/containers/{id}/wait");
    let waiting = client.stream(hyper::Method::POST, &wait, crate::api::Body::None)?;
    if converse(&client, connection, &Target::Container(id.clone()), streams, || Ok(()))? {
        out::say(LEFT);
        return Ok(0);
    }
    waited(waiting)
}

/// `carrack exec`.
pub(crate) fn exec(args: &args::Exec) -> Result<u8, Failure> {
    if !args.detach {
        terminal::check(args.tty, args.interactive)?;
    }
    let mut env = Vec::new();
    for file in &args.env_file {
        env.extend(options::env_file(file)?);
    }
    env.extend(args.env.iter().filter_map(|e| options::env(e)));
    let size = if args.tty { terminal::size() } else { None };
    let attached = !args.detach;
    let body = json!({
        "AttachStdin": args.interactive && attached, "AttachStdout": attached, "AttachStderr": attached,
        "Tty": args.tty, "Cmd": args.command, "Env": env, "User": args.user.as_deref().unwrap_or_default(),
        "WorkingDir": args.workdir.as_deref().unwrap_or_default(), "Privileged": args.privileged,
        "DetachKeys": args.detach_keys.as_deref().unwrap_or_default(),
        "ConsoleSize": size.map(|(rows, cols)| [rows, cols]),
    });
    let client = Client::connect(&args.daemon)?;
    let created = client.post(&format!("/containers/{}/exec", crate::api::encode(&args.container)), body)?;
    let id = text(&created["Id"])?;
    let start = format!("/exec/{id}/start");
    if args.detach {
        client.post(&start, json!({ "Detach": true, "Tty": args.tty }))?;
        return Ok(0);
    }
    let connection = client.take_over(&start, json!({ "Detach": false, "Tty": args.tty }))?;
    let keys = keys(args.detach_keys.as_deref())?;
    let streams = Streams { input: args.interactive, tty: args.tty, keys, passed: Passed::Nothing };
    if converse(&client, connection, &Target::Exec(id.clone()), streams, || Ok(()))? {
        out::say("\ndetached; the command goes on");
        return Ok(0);
    }
    let seen = client.get(&format!("/exec/{id}/json"))?;
    Ok(exit_code(&seen["ExitCode"]))
}

/// The body of the request that makes the container.
fn creation(args: &args::Run) -> Result<Value, Failure> {
    let c = &args.container;
    let mut env = Vec::new();
    for file in &c.env_file {
        env.extend(options::env_file(file)?);
    }
    env.extend(c.env.iter().filter_map(|e| options::env(e)));
    let labels: Map<String, Value> = args
        .labels
        .iter()
        .map(|l| l.split_once('=').unwrap_or((l, "")))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let tmpfs: Map<String, Value> = c
        .tmpfs
        .iter()
        .map(|t| t.split_once(':').unwrap_or((t, "")))
        .map(|(target, options)| (target.to_owned(), json!(options)))
        .collect();
    let mut binds = Vec::new();
    for volume in &c.volumes {
        binds.push(bind(volume)?);
    }
    let ulimits: Vec<Value> =
        c.ulimit.iter().map(|u| json!({ "Name": u.name, "Soft": u.soft, "Hard": u.hard })).collect();
    let restart = args.restart.as_ref();
    let entrypoint = c.entrypoint.as_ref().map(|e| vec![e.clone()]);
    let attached = !args.detach;
    Ok(json!({
        "Image": c.image,
        "Cmd": if c.command.is_empty() { Value::Null } else { json!(c.command) },
        "Entrypoint": entrypoint, "Env": env, "Labels": labels,
        "WorkingDir": c.workdir.as_deref().unwrap_or_default(), "User": c.user.as_deref().unwrap_or_default(),
        "Hostname": c.hostname.as_deref().unwrap_or_default(),
        "Tty": c.tty, "OpenStdin": c.interactive, "StdinOnce": c.interactive && attached,
        "AttachStdin": c.interactive && attached, "AttachStdout": attached, "AttachStderr": attached,
        "HostConfig": {
            "Binds": binds, "Tmpfs": tmpfs,
            "NetworkMode": match c.network { Network::Host => "host", Network::None => "none" },
            "Memory": c.memory.unwrap_or(0), "ShmSize": c.shm_size.unwrap_or(0), "PidsLimit": c.pids_limit,
            "Ulimits": ulimits, "CapAdd": c.cap_add, "CapDrop": c.cap_drop, "Privileged": c.privileged,
            "SecurityOpt": c.security_opt, "ReadonlyRootfs": c.read_only, "Init": c.init,
            "GroupAdd": c.group_add, "AutoRemove": args.rm,
            "RestartPolicy": {
                "Name": restart.map_or("no", |r| r.name.as_str()),
                "MaximumRetryCount": restart.map_or(0, |r| r.most),
            },
            "ConsoleSize": terminal::size().filter(|_| c.tty).map(|(rows, cols)| [rows, cols]),
        },
    }))
}

/// A volume as the daemon takes it: with an absolute source, or a volume's name.
fn bind(text: &str) -> Result<String, Failure> {
    let Some((source, rest)) = text.split_once(':') else { return Ok(text.to_owned()) };
    if !source.starts_with('.') {
        return Ok(text.to_owned());
    }
    let source = std::path::absolute(source).map_err(|e| Failure::doing(source, e))?;
    Ok(format!("{}:{rest}", source.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn body(line: &str) -> Value {
        let words = line.split(' ').filter(|w| !w.is_empty());
        match Cli::try_parse_from(["carrack", "run"].into_iter().chain(words)).unwrap().command {
            Command::Run(run) => creation(&run).unwrap(),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn options_become_a_request() {
        let b = body(
            "-d --name x -e A=1 -v /a:/b:ro --tmpfs /t:size=1m --label k=v --label w --restart on-failure:2 -m 64m \
             --ulimit nofile=1:2 --network none -it --entrypoint sh debian:12 -- -c true",
        );
        assert_eq!(b["Image"], "debian:12");
        assert_eq!(b["Cmd"], json!(["-c", "true"]));
        assert_eq!(b["Entrypoint"], json!(["sh"]));
        assert_eq!(b["Labels"], json!({ "k": "v", "w": "" }));
        assert_eq!(
            (&b["Tty"], &b["OpenStdin"], &b["AttachStdin"]),
            (&json!(true), &json!(true), &json!(false))
        );
        let h = &b["HostConfig"];
        assert_eq!(h["Binds"], json!(["/a:/b:ro"]));
        assert_eq!(h["Tmpfs"], json!({ "/t": "size=1m" }));
        assert_eq!(h["RestartPolicy"], json!({ "Name": "on-failure", "MaximumRetryCount": 2 }));
        assert_eq!((h["Memory"].as_u64(), h["NetworkMode"].as_str()), (Some(64 << 20), Some("none")));
        assert_eq!(h["Ulimits"], json!([{ "Name": "nofile", "Soft": 1, "Hard": 2 }]));
        assert_eq!(body("-d debian:12")["Cmd"], Value::Null);
    }

    #[test]
    fn volumes_get_absolute_sources() {
        assert_eq!(bind("name:/x").unwrap(), "name:/x");
        assert_eq!(bind("/a:/x:ro").unwrap(), "/a:/x:ro");
        assert!(bind("./a:/x").unwrap().starts_with('/'));
    }
}
