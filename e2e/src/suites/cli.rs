//! `carrack` for people without the docker client: every verb, its JSON, its exit codes, and what it says of bad input.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};
use crate::output::{self, Output};
use crate::terminal::Terminal;

pub(super) const TESTS: &[Test] = tests!("cli", 90;
    images_have_verbs, images_go_out_and_in, containers_have_verbs, exec_and_its_codes, run_with_the_daemon,
    files_are_copied, terminals_are_carried, disk_use_and_facts, without_a_daemon, unknown_names, wrong_usage,
    closed_output, no_home, data_root_read_only, arguments_that_are_no_text, pages_and_completion,
    containers_are_left_alone, settings_without_effect,
);

/// The binary under test, with the store and the daemon of the bed.
fn command(cx: &Cx) -> Command {
    let mut command = cx.bed.carrack();
    command.env("CARRACK_DATA_ROOT", cx.bed.path("data"));
    command.env("DOCKER_HOST", format!("unix://{}", cx.bed.socket().display()));
    command
}

fn run(cx: &Cx, mut command: Command, args: &[&str], input: &[u8]) -> Result<Output> {
    command.args(args);
    output::run(command, input, cx.deadline)
}

fn carrack(cx: &Cx, args: &[&str]) -> Result<Output> {
    run(cx, command(cx), args, b"")
}

/// The objects that were printed, one a line.
fn lines(output: &Output) -> Result<Vec<Value>> {
    let text = output.good()?;
    text.lines().map(|l| serde_json::from_str(l).with_context(|| format!("no JSON: {l}"))).collect()
}

/// The one value that was printed.
fn json(output: &Output) -> Result<Value> {
    serde_json::from_str(&output.good()?).with_context(|| format!("no JSON: {output}"))
}

/// The one among the objects whose `key` is or contains `value`.
fn find<'v>(rows: &'v [Value], key: &str, value: &str) -> Result<&'v Value> {
    let fits = |row: &&Value| match &row[key] {
        Value::Array(list) => list.iter().any(|v| v == value),
        other => other == value,
    };
    rows.iter().find(fits).with_context(|| format!("no {key} {value} in {rows:?}"))
}

fn has_keys(value: &Value, keys: &[&str]) -> Result<()> {
    let mut have: Vec<&str> = value.as_object().context("no object")?.keys().map(String::as_str).collect();
    let mut want = keys.to_vec();
    have.sort_unstable();
    want.sort_unstable();
    ensure!(have == want, "keys {have:?} instead of {want:?}");
    Ok(())
}

/// A data root of the test's own, with the base image if that is wanted.
fn own_root(cx: &Cx, with_base: bool) -> Result<(PathBuf, impl Fn() -> Command)> {
    let root = cx.directory(&[])?;
    let (data, run_dir) = (root.join("data"), root.join("r"));
    fs::create_dir_all(&run_dir)?;
    cx.bed.give(&run_dir)?;
    let make = {
        let (data, run_dir, bed) = (data.clone(), run_dir, cx.bed);
        move || {
            let mut command = bed.carrack();
            command.env("CARRACK_DATA_ROOT", &data).env("XDG_RUNTIME_DIR", &run_dir);
            command
        }
    };
    if with_base {
        let tar = cx.bed.args.base.to_string_lossy().into_owned();
        let input = fs::read(&tar)?;
        run(cx, make(), &["import", "-", BASE], &input)?.good()?;
    }
    Ok((data, make))
}

fn images_have_verbs(cx: &Cx) -> Result<()> {
    let name = cx.own("image:1");
    carrack(cx, &["tag", BASE, &name])?.good()?;
    let rows = lines(&carrack(cx, &["images", "--json"])?)?;
    let row = find(&rows, "names", &name)?;
    has_keys(row, &["id", "names", "digests", "created", "size", "labels"])?;
    ensure!(row["size"].as_u64() > Some(1_000_000), "{row}");
    let table = carrack(cx, &["images", &name])?.good()?;
    ensure!(table.starts_with("REPOSITORY") && table.lines().count() == 2, "{table}");
    let id = carrack(cx, &["images", "-q", "--no-trunc", &name])?.good()?;
    ensure!(row["id"] == id.as_str(), "{id}");
    carrack(cx, &["images", "--filter", "dangling=maybe"])?.fails(1, "invalid filter")?;
    let steps = lines(&carrack(cx, &["history", "--json", &name])?)?;
    has_keys(&steps[0], &["id", "names", "created", "createdBy", "comment", "size"])?;
    ensure!(carrack(cx, &["history", &name])?.good()?.starts_with("IMAGE"));
    let seen = json(&carrack(cx, &["inspect", &name])?)?;
    ensure!(seen[0]["Id"] == id.as_str() && seen[0]["RootFS"]["Type"] == "layers", "{seen}");
    let docker: Value = serde_json::from_str(&cx.docker(&["inspect", &name])?.good()?)?;
    ensure!(docker[0]["RootFS"] == seen[0]["RootFS"], "docker sees another image");
    ensure!(carrack(cx, &["rmi", &name])?.good()? == format!("Untagged: {name}"));
    carrack(cx, &["inspect", &name])?.fails(1, "no such container or image")
}

fn images_go_out_and_in(cx: &Cx) -> Result<()> {
    let (dir, name) = (cx.directory(&[])?, cx.own("saved:1"));
    carrack(cx, &["tag", BASE, &name])?.good()?;
    let file = dir.join("a.tar").to_string_lossy().into_owned();
    carrack(cx, &["save", "-o", &file, &name])?.good()?;
    let again = carrack(cx, &["save", &name])?;
    again.good()?;
    ensure!(fs::read(&file)? == again.stdout, "the same image gave other bytes");
    carrack(cx, &["rmi", &name])?.good()?;
    carrack(cx, &["load", "-q", "-i", &file])?.prints(&format!("Loaded image: {name}"))?;
    run(cx, command(cx), &["load"], &again.stdout)?.prints(&format!("Loaded image: {name}"))?;
    carrack(cx, &["rmi", &name])?.good()?;
    let imported = cx.own("imported:1");
    let change = ["-c", "ENV A=1", "-c", "CMD [\"sh\"]", "-m", "by hand"];
    let rootfs = fs::read(&cx.bed.args.base)?;
    let id = run(cx, command(cx), &[&["import", "-q"], &change[..], &["-", &imported]].concat(), &rootfs)?
        .good()?;
    let seen = json(&carrack(cx, &["inspect", &id])?)?;
    ensure!(seen[0]["Config"]["Env"][0] == "A=1" && seen[0]["Comment"] == "by hand", "{seen}");
    carrack(cx, &["rmi", &imported])?.good()?;
    // Nothing of a failure is left.
    fs::write(dir.join("broken.tar"), b"no archive")?;
    let broken = dir.join("broken.tar").to_string_lossy().into_owned();
    ensure!(carrack(cx, &["load", "-i", &broken])?.code == 1);
    ensure!(carrack(cx, &["import", &broken, &imported])?.code == 1);
    carrack(cx, &["save", "-o", &dir.join("no/such").to_string_lossy(), BASE])?.fails(1, "No such file")?;
    carrack(cx, &["save", "-o", &dir.join("c.tar").to_string_lossy(), "nosuch:1"])?
        .fails(1, "no such image")?;
    ensure!(!dir.join("c.tar").exists());
    carrack(cx, &["import", "/", &imported])?.fails(1, "directory")
}

fn containers_have_verbs(cx: &Cx) -> Result<()> {
    let name = cx.own("c");
    let script = "echo out; echo err >&2; trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done";
    let id =
        carrack(cx, &["run", "-d", "--name", &name, "--label", "a=b", BASE, "sh", "-c", script])?.good()?;
    cx.until("it prints", || Ok(carrack(cx, &["logs", &name])?.good()? == "out"))?;
    let rows = lines(&carrack(cx, &["ps", "--json"])?)?;
    let row = find(&rows, "name", &name)?;
    has_keys(
        row,
        &[
            "id", "name", "image", "imageId", "command", "created", "state", "status", "ports", "labels",
            "mounts",
        ],
    )?;
    ensure!(row["id"] == id.as_str() && row["state"] == "running" && row["labels"]["a"] == "b", "{row}");
    ensure!(carrack(cx, &["ps"])?.good()?.starts_with("CONTAINER ID"));
    let filter = format!("name={name}");
    ensure!(carrack(cx, &["ps", "-q", "--no-trunc", "-f", &filter])?.good()? == id);
    let log = carrack(cx, &["logs", &name])?;
    ensure!(log.text() == "out\n" && log.errors() == "err\n", "{log}");
    ensure!(carrack(cx, &["logs", "-t", "--since", "1h", &name])?.good()?.contains("Z out"));
    carrack(cx, &["stop", "-t", "20", &name])?.prints(&name)?;
    ensure!(carrack(cx, &["logs", "-n", "1", &name])?.good()?.ends_with("bye"));
    let seen = json(&carrack(cx, &["inspect", "--json", &name])?)?;
    ensure!(seen["State"]["ExitCode"] == 0 && seen["State"]["Status"] == "exited", "{seen}");
    carrack(cx, &["start", &name])?.prints(&name)?;
    carrack(cx, &["rm", &name])?.fails(1, "container is running")?;
    carrack(cx, &["kill", &name])?.prints(&name)?;
    cx.until("it ends", || {
        Ok(!carrack(cx, &["ps", "-aq", "-f", "status=exited", "-f", &filter])?.good()?.is_empty())
    })?;
    carrack(cx, &["kill", &name])?.fails(1, "is not running")?;
    carrack(cx, &["start", &name])?.good()?;
    carrack(cx, &["rm", "-f", &name])?.prints(&name)?;
    ensure!(carrack(cx, &["ps", "-aq", "-f", &filter])?.good()?.is_empty());
    Ok(())
}

fn exec_and_its_codes(cx: &Cx) -> Result<()> {
    let name = cx.own("c");
    carrack(cx, &["run", "-d", "--name", &name, BASE, "sleep", "1000"])?.good()?;
    carrack(cx, &["exec", &name, "sh", "-c", "exit 33"])?.code(33)?;
    carrack(cx, &["exec", &name, "sh", "-c", "kill -9 $$"])?.code(137)?;
    carrack(cx, &["exec", &name, "nosuch"])?.fails(127, "executable file not found")?;
    carrack(cx, &["exec", &name, "/etc"])?.code(126)?;
    carrack(cx, &["exec", "nosuch", "true"])?.fails(125, "No such container: nosuch")?;
    carrack(
        cx,
        &["exec", "-e", "A=b c", "-w", "/usr", "-u", "1000", &name, "sh", "-c", "echo $A; pwd; id -u"],
    )?
    .prints("b c\n/usr\n1000")?;
    let both = carrack(cx, &["exec", &name, "sh", "-c", "echo o; echo e >&2"])?;
    ensure!(both.text() == "o\n" && both.errors() == "e\n", "{both}");
    let big = vec![b'x'; 3 << 20];
    let back = run(cx, command(cx), &["exec", "-i", &name, "cat"], &big)?;
    ensure!(back.code == 0 && back.stdout == big, "{} bytes came back", back.stdout.len());
    carrack(cx, &["exec", "-d", &name, "touch", "/tmp/made"])?.good()?;
    cx.until("the file is there", || {
        Ok(carrack(cx, &["exec", &name, "ls", "/tmp"])?.good()?.contains("made"))
    })?;
    carrack(cx, &["exec", "-it", &name, "sh"])?.fails(125, "not a TTY")?;
    carrack(cx, &["stop", "-t", "0", &name])?.good()?;
    carrack(cx, &["exec", &name, "true"])?.fails(125, "is not running")
}

fn run_with_the_daemon(cx: &Cx) -> Result<()> {
    let name = cx.own("c");
    let out = carrack(cx, &["run", "--rm", "--name", &name, BASE, "sh", "-c", "echo o; echo e >&2; exit 9"])?;
    ensure!(out.code == 9 && out.text() == "o\n" && out.errors() == "e\n", "{out}");
    let gone = || Ok(carrack(cx, &["ps", "-aq", "-f", &format!("name={name}")])?.good()?.is_empty());
    cx.until("it is removed", gone)?;
    carrack(cx, &["run", "--rm", "--name", &name, BASE, "nosuch"])?.fails(127, "not found")?;
    ensure!(gone()?, "a container that never ran is left");
    let in_and_out = run(cx, command(cx), &["run", "-i", "--rm", "--name", &name, BASE, "cat"], b"typed")?;
    in_and_out.prints("typed")?;
    cx.until("it is removed", gone)?;
    let dir = cx.directory(&[("f", b"in")])?;
    let volume = format!("{}:/d:ro", dir.display());
    let more = [
        "-v",
        &volume,
        "-e",
        "A=1",
        "--tmpfs",
        "/t",
        "-w",
        "/d",
        BASE,
        "sh",
        "-c",
        "cat f; echo $A; touch x",
    ];
    let out = carrack(cx, &[&["run", "--rm", "--name", &name], &more[..]].concat())?;
    ensure!(out.text() == "in1\n" && out.code != 0 && out.errors().contains("Read-only"), "{out}");
    cx.until("it is removed", gone)?;
    carrack(cx, &["run", "-d", "--name", &name, "nosuch:1"])?.fails(125, "No such image: nosuch:1")?;
    let restart = ["--restart", "on-failure:2", BASE, "sh", "-c", "echo again; exit 1"];
    carrack(cx, &[&["run", "-d", "--name", &name], &restart[..]].concat())?.good()?;
    cx.until("it is started three times", || Ok(carrack(cx, &["logs", &name])?.text().lines().count() == 3))?;
    carrack(cx, &["run", "-d", "--name", &name, BASE, "true"])?.fails(125, "already in use")?;
    carrack(cx, &["rm", "-f", &name])?.good()?;
    Ok(())
}

fn files_are_copied(cx: &Cx) -> Result<()> {
    let name = cx.own("c");
    carrack(cx, &["run", "-d", "--name", &name, BASE, "sleep", "1000"])?.good()?;
    let dir = cx.directory(&[("one", b"1"), ("two", b"2")])?;
    let path = |below: &str| dir.join(below).to_string_lossy().into_owned();
    let at = |below: &str| format!("{name}:{below}");
    let ls = |below: &str| carrack(cx, &["exec", &name, "find", below, "-type", "f"])?.good();
    carrack(cx, &["cp", &path("one"), &at("/tmp")])?.good()?;
    carrack(cx, &["cp", &path("one"), &at("/tmp/named")])?.good()?;
    carrack(cx, &["cp", &path("."), &at("/srv")])?.good()?;
    carrack(cx, &["cp", &dir.to_string_lossy(), &at("/opt/new")])?.good()?;
    carrack(cx, &["exec", &name, "cat", "/tmp/one", "/tmp/named", "/srv/two", "/opt/new/two"])?
        .prints("1122")?;
    carrack(cx, &["cp", &path("one"), &at("/no/such/")])?.fails(1, "no directory")?;
    carrack(cx, &["cp", &dir.to_string_lossy(), &at("/etc/passwd")])?.fails(1, "is no directory")?;
    let out = dir.join("out");
    fs::create_dir(&out)?;
    cx.bed.give(&out)?;
    let to = |below: &str| out.join(below).to_string_lossy().into_owned();
    carrack(cx, &["cp", &at("/opt/new"), &to("")])?.good()?;
    carrack(cx, &["cp", &at("/opt/new"), &to("called")])?.good()?;
    carrack(cx, &["cp", &at("/opt/new/."), &to("contents")])?.good()?;
    carrack(cx, &["cp", "-q", &at("/etc/hostname"), &to("h")])?.good()?;
    for file in ["new/two", "called/two", "contents/two"] {
        ensure!(fs::read(out.join(file))? == b"2", "{file}");
    }
    ensure!(!fs::read(out.join("h"))?.is_empty());
    carrack(cx, &["cp", &at("/no/such"), &to("x")])?.fails(1, "Could not find the file")?;
    carrack(cx, &["cp", "nosuch:/x", &to("x")])?.fails(1, "No such container")?;
    carrack(cx, &["cp", &at("/etc"), &to("h")])?.fails(1, "is no directory")?;
    carrack(cx, &["cp", "a", "b"])?.fails(1, "CONTAINER:PATH")?;
    let archive = carrack(cx, &["cp", &at("/opt/new"), "-"])?;
    archive.good()?;
    run(cx, command(cx), &["cp", "-", &at("/var/tmp")], &archive.stdout)?.good()?;
    ensure!(ls("/var/tmp")?.contains("/var/tmp/new/two"), "the archive was not unpacked");
    let left = fs::read_dir(&out)?.flatten().any(|e| e.file_name().to_string_lossy().starts_with('.'));
    ensure!(!left, "something temporary is left");
    Ok(())
}

fn terminals_are_carried(cx: &Cx) -> Result<()> {
    let name = cx.own("c");
    let line = |args: &str| {
        let command = command(cx);
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|w| w.to_string_lossy().into_owned())
            .collect();
        let set = command.get_envs().filter_map(|(k, v)| Some((k, v?)));
        let env: Vec<String> = set.map(|(k, v)| format!("{}={}", k.display(), v.display())).collect();
        format!("env -i TERM=xterm {} {} {args}", env.join(" "), words.join(" "))
    };
    let mut t = Terminal::open(cx, &line(&format!("run -it --name {name} {BASE} bash --norc")))?;
    t.ask("PS1='$ '; echo ready-$((1+1))", "ready-2")?;
    t.ask("stty size", "40 100")?;
    t.send("\x10\x11")?;
    t.expect("detached")?;
    ensure!(t.end()? == 0, "leaving is no failure");
    let mut t = Terminal::open(cx, &line(&format!("exec -it {name} bash --norc")))?;
    t.ask("echo in-$((1+1)); stty size", "in-2")?;
    t.expect("40 100")?;
    t.send("exit 5\n")?;
    ensure!(t.end()? == 5, "the exit code of exec is lost");
    let mut t = Terminal::open(cx, &line(&format!("exec -it --detach-keys ctrl-x {name} cat")))?;
    t.ask("e'c'ho", "e'c'ho\r\ne'c'ho")?;
    t.send("\x18")?;
    t.expect("detached")?;
    ensure!(t.end()? == 0);
    let mut t = Terminal::open(cx, &line(&format!("attach {name}")))?;
    t.ask("echo back-$((1+1))", "back-2")?;
    t.send("exit 4\n")?;
    ensure!(t.end()? == 4, "the exit code of attach is lost");
    carrack(cx, &["attach", &name])?.fails(125, "does not run")?;
    // The terminal is as it was.
    let mut t = Terminal::open(cx, &format!("{}; stty -a", line(&format!("run -it {BASE} true"))))?;
    t.expect(" echo ")?;
    ensure!(t.end()? == 0);
    let mut t = Terminal::open(cx, &line("prune"))?;
    t.ask("n", "nothing was removed")?;
    ensure!(t.end()? == 1);
    Ok(())
}

fn disk_use_and_facts(cx: &Cx) -> Result<()> {
    let rows = lines(&carrack(cx, &["system", "df", "--json"])?)?;
    for kind in ["images", "containers", "volumes", "build-cache"] {
        let row = find(&rows, "kind", kind)?;
        has_keys(row, &["kind", "total", "active", "size", "reclaimable"])?;
    }
    let docker = cx.docker(&["system", "df", "--format", "{{json .}}"])?.good()?;
    ensure!(docker.lines().count() == 4, "{docker}");
    ensure!(find(&rows, "kind", "images")?["size"].as_u64() > Some(1_000_000), "{rows:?}");
    ensure!(carrack(cx, &["system", "df"])?.good()?.starts_with("TYPE"));
    ensure!(carrack(cx, &["system", "df", "-v"])?.good()?.contains(BASE));
    lines(&carrack(cx, &["system", "df", "-v", "--json"])?)?;
    let facts = json(&carrack(cx, &["system", "info", "--json"])?)?;
    ensure!(facts["daemon"]["address"].as_str().is_some_and(|a| a.starts_with("unix://")), "{facts}");
    ensure!(facts["dataRoot"] == cx.bed.path("data").to_string_lossy().as_ref(), "{facts}");
    ensure!(carrack(cx, &["system", "info"])?.good()?.contains("data root:"));
    let version = json(&carrack(cx, &["version", "--json"])?)?;
    ensure!(version["daemon"]["apiVersion"] == "1.51" && version["version"].is_string(), "{version}");
    let gc = json(&carrack(cx, &["store", "gc", "--json"])?)?;
    has_keys(&gc, &["removed", "spaceReclaimed"])?;
    let sound = json(&carrack(cx, &["store", "verify", "-q", "--json"])?)?;
    has_keys(&sound, &["images", "layers", "documents", "bytes", "damages"])?;
    ensure!(sound["damages"] == Value::Array(Vec::new()), "{sound}");
    let report = json(&carrack(cx, &["doctor", "--json"])?)?;
    ensure!(report["usable"] == true, "{report}");
    Ok(())
}

fn without_a_daemon(cx: &Cx) -> Result<()> {
    let (_, own) = own_root(cx, false)?;
    let tell = "carrack serve";
    for args in [
        &["ps"][..],
        &["logs", "x"],
        &["start", "x"],
        &["stop", "x"],
        &["kill", "x"],
        &["rm", "x"],
        &["cp", "x:/a", "b"],
        &["inspect", "--type", "container", "x"],
        &["inspect", "x"],
    ] {
        run(cx, own(), args, b"")?.fails(1, tell)?;
    }
    for args in [
        &["exec", "x", "true"][..],
        &["attach", "x"],
        &["run", "-d", "x", "true"],
        &["run", "--name", "n", "x"],
    ] {
        run(cx, own(), args, b"")?.fails(125, tell)?;
    }
    for host in ["tcp://127.0.0.1:1", "ssh://x", "nonsense", "unix://relative"] {
        let out = run(cx, own(), &["ps", "-H", host], b"")?;
        ensure!(out.code == 1 && out.errors().lines().count() < 4, "{out}");
    }
    // Somebody who is no daemon.
    let socket = cx.directory(&[])?.join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket)?);
    run(cx, own(), &["ps", "-H", &format!("unix://{}", socket.display())], b"")?.fails(1, tell)?;
    // What needs none.
    ensure!(run(cx, own(), &["images", "--json"], b"")?.good()?.is_empty());
    ensure!(run(cx, own(), &["system", "df"], b"")?.good()?.contains("Images"));
    ensure!(run(cx, own(), &["system", "info"], b"")?.good()?.contains("does not run"));
    ensure!(run(cx, own(), &["version"], b"")?.good()?.contains("does not run"));
    run(cx, own(), &["prune", "-f"], b"")?.good()?;
    run(cx, own(), &["store", "gc"], b"")?.good()?;
    Ok(())
}

fn unknown_names(cx: &Cx) -> Result<()> {
    for args in
        [&["rmi", "nosuch:1"][..], &["history", "nosuch:1"], &["tag", "nosuch:1", "x"], &["save", "nosuch:1"]]
    {
        let out = carrack(cx, args)?;
        ensure!(out.code == 1 && out.errors().to_lowercase().contains("no such image: nosuch:1"), "{out}");
        ensure!(out.errors().contains("`carrack images`"), "nothing is said of what to do: {out}");
    }
    for args in [&["logs", "nosuch"][..], &["stop", "nosuch"], &["rm", "nosuch"], &["start", "nosuch"]] {
        let out = carrack(cx, args)?;
        out.fails(1, "No such container: nosuch")?;
        out.fails(1, "`carrack ps -a`")?;
    }
    // Each name is tried, and one failure is a failure.
    let (a, b) = (cx.own("a:1"), cx.own("b:1"));
    carrack(cx, &["tag", BASE, &a])?.good()?;
    carrack(cx, &["tag", BASE, &b])?.good()?;
    let out = carrack(cx, &["rmi", &a, "nosuch:1", &b])?;
    ensure!(out.code == 1 && out.text().lines().count() == 2, "{out}");
    for bad in ["UPPER:1", "a//b", "x:tag with blanks", "-"] {
        ensure!(carrack(cx, &["tag", "--", BASE, bad])?.code == 1, "{bad}");
    }
    Ok(())
}

fn wrong_usage(cx: &Cx) -> Result<()> {
    for args in [
        &["nosuchverb"][..],
        &[],
        &["images", "--nosuch"],
        &["ps", "--filter", "x"],
        &["logs"],
        &["logs", "--since", "yesterday", "x"],
        &["run"],
        &["run", "--memory", "lots", "x"],
        &["run", "--restart", "sometimes", "x"],
        &["exec", "x"],
        &["rm"],
        &["rmi"],
        &["save"],
        &["tag", "one"],
        &["cp", "one"],
        &["system"],
        &["store", "nosuch"],
        &["completion", "csh"],
        &["images", "-q", "--json"],
    ] {
        let out = carrack(cx, args)?;
        ensure!(out.code == 2 && !out.errors().is_empty(), "{out}");
    }
    Ok(())
}

fn closed_output(cx: &Cx) -> Result<()> {
    for args in [
        &["images"][..],
        &["images", "--json"],
        &["--help"],
        &["run", "--help"],
        &["man"],
        &["completion", "bash"],
        &["ps", "-a"],
        &["inspect", BASE],
        &["doctor", "--syscalls"],
        &["version"],
        &["system", "df"],
    ] {
        // A reader that has gone away.
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = command(cx);
        let child = command.args(args).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn()?;
        let out = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(
            !said.contains("panicked") && out.status.code() == Some(0),
            "{args:?}: {} {said}",
            out.status
        );
    }
    // No standard output at all; what a file of the store gets for it must not be written to.
    let mut shell = Command::new("sh");
    let line = command(cx);
    shell.args(["-c", "exec \"$@\" >&- 2>&- <&-", "sh"]).arg(line.get_program()).args(line.get_args());
    for (key, value) in line.get_envs().filter_map(|(k, v)| Some((k, v?))) {
        shell.env(key, value);
    }
    let out = output::run(shell, b"", cx.deadline).map(|o| o.code);
    ensure!(matches!(out, Ok(0..=2)), "{out:?}");
    Ok(())
}

fn no_home(cx: &Cx) -> Result<()> {
    let without = || {
        let mut command = cx.bed.carrack();
        command.env_remove("HOME").env_remove("XDG_DATA_HOME");
        command
    };
    run(cx, without(), &["images"], b"")?.fails(1, "--data-root")?;
    run(cx, without(), &["run", BASE, "true"], b"")?.fails(125, "HOME is not set")?;
    run(cx, without(), &["serve"], b"")?.fails(1, "HOME is not set")?;
    let data = cx.bed.path("data").to_string_lossy().into_owned();
    ensure!(run(cx, without(), &["images", "--data-root", &data], b"")?.good()?.contains("debian"));
    run(cx, without(), &["--help"], b"")?.good()?;
    Ok(())
}

fn data_root_read_only(cx: &Cx) -> Result<()> {
    let (data, own) = own_root(cx, false)?;
    fs::create_dir(&data)?;
    cx.bed.give(&data)?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o500))?;
    for args in [&["images"][..], &["import", "-", "x:1"], &["system", "df"], &["store", "gc"], &["serve"]] {
        let out = run(cx, own(), args, b"")?;
        let said = out.errors();
        ensure!(out.code == 1 && said.contains("ermission denied") && said.contains("data"), "{out}");
    }
    run(cx, own(), &["run", "x:1", "true"], b"")?.fails(125, "ermission denied")?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
    ensure!(fs::read_dir(&data)?.next().is_none(), "something was made");
    Ok(())
}

fn arguments_that_are_no_text(cx: &Cx) -> Result<()> {
    let strange = OsStr::from_bytes(b"\xff\xfe\x80");
    for verb in ["rmi", "logs", "inspect", "history", "run", "exec", "stop", "save", "nosuch", "tag"] {
        let mut command = command(cx);
        command.arg(verb).arg(strange).arg(strange);
        let out = output::run(command, b"", cx.deadline)?;
        ensure!(out.code == 2 && !out.errors().contains("panicked"), "{verb}: {out}");
    }
    // A path may be any bytes.
    let dir = cx.directory(&[])?;
    let file = dir.join(strange);
    fs::copy(&cx.bed.args.base, &file)?;
    cx.bed.give(&file)?;
    let name = cx.own("strange:1");
    let mut import = command(cx);
    import.args(["import", "-q"]).arg(&file).arg(&name);
    output::run(import, b"", cx.deadline)?.good()?;
    carrack(cx, &["rmi", &name])?.good()?;
    let mut copy = command(cx);
    copy.arg("cp").arg(&file).arg("nosuch:/x");
    output::run(copy, b"", cx.deadline)?.fails(1, "No such container")?;
    fs::remove_file(&file)?;
    Ok(())
}

fn pages_and_completion(cx: &Cx) -> Result<()> {
    let dir = cx.directory(&[])?.join("man");
    carrack(cx, &["man", &dir.to_string_lossy()])?.good()?;
    let help = carrack(cx, &["--help"])?.good()?;
    let verbs = help.split("Commands:\n").nth(1).and_then(|t| t.split("\n\n").next()).context("no verbs")?;
    for verb in verbs.lines().filter_map(|l| l.split_whitespace().next()).filter(|v| *v != "help") {
        let page =
            fs::read_to_string(dir.join(format!("carrack-{verb}.1"))).with_context(|| verb.to_owned())?;
        ensure!(page.contains(".SH EXAMPLES") && page.contains(".SH \"EXIT STATUS\""), "{verb}");
        ensure!(carrack(cx, &["help", verb])?.good()?.contains("Examples:"), "{verb}");
    }
    ensure!(carrack(cx, &["man"])?.good()?.contains(".TH carrack 1"));
    for shell in ["bash", "zsh", "fish"] {
        ensure!(carrack(cx, &["completion", shell])?.good()?.contains("CARRACK_COMPLETE"), "{shell}");
    }
    let script = carrack(cx, &["completion", "bash"])?.stdout;
    let mut bash = Command::new("bash");
    bash.arg("-n");
    output::run(bash, &script, cx.deadline)?.good()?;
    // What the scripts ask.
    let ask = |words: &[&str]| {
        let mut command = command(cx);
        let index = (words.len() - 1).to_string();
        command.env("CARRACK_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
        run(cx, command, &[&["--"], words].concat(), b"")?.good()
    };
    ensure!(ask(&["carrack", "rmi", "debian:1"])?.lines().any(|l| l == BASE));
    ensure!(ask(&["carrack", "ima"])?.lines().any(|l| l == "images"));
    let name = cx.own("c");
    carrack(cx, &["run", "-d", "--name", &name, BASE, "sleep", "1000"])?.good()?;
    ensure!(ask(&["carrack", "stop", &name[..4]])?.lines().any(|l| l == name));
    Ok(())
}

/// A daemon of the test's own, ended with SIGTERM when this is dropped.
struct Daemon(Child);

impl Daemon {
    fn start(mut command: Command, args: &[&str], log: &Path) -> Result<Daemon> {
        command.arg("serve").args(args).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(log)?);
        Ok(Daemon(command.spawn()?))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if output::wait(&mut self.0, Instant::now() + std::time::Duration::from_secs(10)).is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A daemon that comes and goes harms no container without a daemon, and image verbs respect the containers of a daemon
/// that does not run.
fn containers_are_left_alone(cx: &Cx) -> Result<()> {
    let (data, own) = own_root(cx, true)?;
    let log = cx.directory(&[])?.join("log");
    let mut alone = own();
    alone.args(["run", BASE, "sh", "-c", "sleep 4; cat /etc/debian_version; echo kept > /f && cat /f"]);
    let alone = alone.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    cx.until("it runs", || {
        Ok(fs::read_dir(data.join("containers"))?.flatten().any(|e| e.path().join("lock").exists()))
    })?;
    {
        let _daemon = Daemon::start(own(), &[], &log)?;
        cx.until("the daemon answers", || Ok(run(cx, own(), &["ps"], b"")?.code == 0))?;
        run(cx, own(), &["run", "-d", "--name", "stays", BASE, "true"], b"")?.good()?;
        cx.until("it ends", || {
            Ok(!run(cx, own(), &["ps", "-aq", "-f", "status=exited"], b"")?.good()?.is_empty())
        })?;
        // Beside the daemon, which knows what is in use.
        run(cx, own(), &["rmi", BASE], b"")?.fails(1, "is using its referenced image")?;
        run(cx, own(), &["images"], b"")?.good()?;
    }
    run(cx, own(), &["rmi", BASE], b"")?.fails(1, "is using its referenced image")?;
    run(cx, own(), &["prune", "-f", "-a"], b"")?.good()?;
    ensure!(run(cx, own(), &["images", "-q"], b"")?.good()?.lines().count() == 1, "an image in use is gone");
    let rows = lines(&run(cx, own(), &["system", "df", "--json"], b"")?)?;
    ensure!(find(&rows, "kind", "containers")?["total"] == 1, "{rows:?}");
    let out = alone.wait_with_output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure!(out.status.success() && text.ends_with("kept\n"), "{out:?}");
    {
        let _daemon = Daemon::start(own(), &[], &log)?;
        cx.until("the daemon answers", || Ok(run(cx, own(), &["ps"], b"")?.code == 0))?;
        run(cx, own(), &["start", "stays"], b"")?.good()?;
        let pruned = || json(&run(cx, own(), &["prune", "-f", "-a", "--json"], b"")?);
        let mut containers = 0;
        cx.until("the container is pruned", || {
            containers += pruned()?["containers"].as_array().map_or(0, Vec::len);
            Ok(containers == 1)
        })?;
        ensure!(
            run(cx, own(), &["images", "-q"], b"")?.good()?.is_empty(),
            "an image that nothing uses is left"
        );
    }
    Ok(())
}

fn settings_without_effect(cx: &Cx) -> Result<()> {
    let (_, own) = own_root(cx, false)?;
    let dir = cx.directory(&[
        ("ignored.json", br#"{"storage-driver":"overlay2","debug":false}"#),
        ("unknown.json", br#"{"hots":["unix:///x"]}"#),
        ("broken.json", b"{"),
    ])?;
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let log = dir.join("log");
    {
        let _daemon = Daemon::start(own(), &["--config-file", &file("ignored.json")], &log)?;
        cx.until("the daemon answers", || Ok(run(cx, own(), &["ps"], b"")?.code == 0))?;
        ensure!(
            fs::read_to_string(&log)?.contains("storage-driver"),
            "the setting was passed over in silence"
        );
    }
    run(cx, own(), &["serve", "--config-file", &file("unknown.json")], b"")?.fails(1, "hots")?;
    run(cx, own(), &["serve", "--config-file", &file("broken.json")], b"")?.fails(1, "broken.json")?;
    run(cx, own(), &["serve", "--config-file", "/no/such/file"], b"")?.fails(1, "/no/such/file")?;
    run(cx, own(), &["serve", "-H", "tcp://127.0.0.1:1"], b"")?.fails(1, "TCP is not offered")
}
