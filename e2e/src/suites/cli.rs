//! `carrack` for people without the docker client: what every verb does, its JSON and its exit codes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};
use crate::elf;
use crate::output::{self, Output};
use crate::registry::{Options, Registry};
use crate::tarball::Tarball;
use crate::terminal::Terminal;

pub(super) const TESTS: &[Test] = tests!("cli", 90;
    images_have_verbs, images_go_out_and_in, containers_have_verbs, exec_and_its_codes, run_with_the_daemon,
    files_are_copied, terminals_are_carried, disk_use_and_facts, registries_are_asked, passwords_are_kept,
    dockerfiles_are_built,
);

/// The binary under test, with the store and the daemon of the bed.
pub(super) fn command(cx: &Cx) -> Command {
    let mut command = cx.bed.carrack();
    command.env("CARRACK_DATA_ROOT", cx.bed.path("data"));
    command.env("DOCKER_HOST", format!("unix://{}", cx.bed.socket().display()));
    command
}

pub(super) fn run(cx: &Cx, mut command: Command, args: &[&str], input: &[u8]) -> Result<Output> {
    command.args(args);
    output::run(command, input, cx.deadline)
}

pub(super) fn carrack(cx: &Cx, args: &[&str]) -> Result<Output> {
    run(cx, command(cx), args, b"")
}

/// The objects that were printed, one a line.
pub(super) fn lines(output: &Output) -> Result<Vec<Value>> {
    let text = output.good()?;
    text.lines().map(|l| serde_json::from_str(l).with_context(|| format!("no JSON: {l}"))).collect()
}

/// The one value that was printed.
pub(super) fn json(output: &Output) -> Result<Value> {
    serde_json::from_str(&output.good()?).with_context(|| format!("no JSON: {output}"))
}

/// The one among the objects whose `key` is or contains `value`.
pub(super) fn find<'v>(rows: &'v [Value], key: &str, value: &str) -> Result<&'v Value> {
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
pub(super) fn own_root(cx: &Cx, with_base: bool) -> Result<(PathBuf, impl Fn() -> Command)> {
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
    carrack(cx, &["run", "-d", "--pull", "never", "--name", &name, "nosuch:1"])?
        .fails(125, "No such image: nosuch:1")?;
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
    run(cx, command(cx), &["cp", "-", &at("/no/such")], &archive.stdout)?
        .fails(1, "there is no directory")?;
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

/// An image whose only program exits with 42; no other has its layer.
fn tiny(cx: &Cx, name: &str) -> Result<()> {
    let program = elf::image(2, &[elf::TEXT], "");
    let tar = Tarball::new().file("exit", 0o755, &program)?.file("name", 0o644, name.as_bytes())?.finish()?;
    run(cx, command(cx), &["import", "-q", "-c", "CMD [\"/exit\"]", "-", name], &tar)?.good()?;
    Ok(())
}

fn registries_are_asked(cx: &Cx) -> Result<()> {
    let registry = Registry::plain()?;
    let name = format!("{}/team/tiny:1", registry.address);
    tiny(cx, &name)?;
    let pushed = carrack(cx, &["push", &name])?.good()?;
    ensure!(pushed.contains("1: digest: sha256:"), "{pushed}");
    carrack(cx, &["rmi", &name])?.good()?;
    let pulled = carrack(cx, &["pull", &name])?.good()?;
    ensure!(pulled.contains("Pull complete") && pulled.ends_with(&name), "{pulled}");
    ensure!(!pulled.contains('\r') && !pulled.contains('\x1b'), "this is no terminal: {pulled:?}");
    carrack(cx, &["pull", "-q", &name])?.prints(&name)?;
    carrack(cx, &["rmi", &name])?.good()?;
    // What is missing is fetched, and nothing of that is on standard output.
    let out = carrack(cx, &["run", &name])?;
    ensure!(out.code == 42 && out.text().is_empty() && out.errors().contains("fetching it"), "{out}");
    carrack(cx, &["rmi", &name])?.good()?;
    let out = carrack(cx, &["run", "--rm", "--name", &cx.own("c"), &name])?;
    ensure!(
        out.code == 42 && out.text().is_empty() && out.errors().contains("Downloaded newer image"),
        "{out}"
    );
    let missing = format!("{}/team/nosuch:1", registry.address);
    carrack(cx, &["pull", &missing])?.fails(1, "not found")?;
    carrack(cx, &["run", &missing])?.fails(125, "cannot be fetched")?;
    carrack(cx, &["push", &missing])?.fails(1, "does not exist")?;
    carrack(cx, &["pull", "--platform", "nonsense/", &name])?.fails(1, "platform")?;
    cx.until("the container is gone", || Ok(carrack(cx, &["rmi", &name])?.code == 0))
}

fn passwords_are_kept(cx: &Cx) -> Result<()> {
    let registry = Registry::start(&Options { user: Some(("ann", "s3:cret")), ..Options::default() })?;
    let address = registry.address.as_str();
    let config = cx.directory(&[])?.join("docker");
    let ask = |args: &[&str], input: &str| {
        let mut command = command(cx);
        command.env("DOCKER_CONFIG", &config);
        run(cx, command, args, input.as_bytes())
    };
    let name = format!("{address}/secret:1");
    tiny(cx, &name)?;
    let refused = ask(&["push", &name], "")?;
    refused.fails(1, "no basic auth credentials")?;
    refused.fails(1, &format!("`carrack login {address}`"))?;
    ask(&["login", "-u", "ann", "--password-stdin", address], "wrong\n")?.fails(1, "401 Unauthorized")?;
    ask(&["login", address], "")?.fails(1, "no terminal")?;
    ask(&["login", "--password-stdin", address], "x")?.fails(1, "--username")?;
    ensure!(!config.join("config.json").exists(), "a wrong password was kept");
    ask(&["login", "-u", "ann", "--password-stdin", address], "s3:cret\n")?.prints("Login Succeeded")?;
    ask(&["push", "-q", &name], "")?.prints(&name)?;
    carrack(cx, &["rmi", &name])?.good()?;
    ask(&["pull", "-q", &name], "")?.prints(&name)?;
    ask(&["logout", address], "")?.good()?;
    ask(&["pull", &name], "")?.fails(1, "no basic auth credentials")?;
    ensure!(ask(&["logout", address], "")?.good()?.starts_with("No password"));
    fs::write(config.join("config.json"), b"{broken")?;
    ask(&["pull", &name], "")?.fails(1, "config.json")?;
    carrack(cx, &["rmi", &name])?.good()?;
    Ok(())
}

fn dockerfiles_are_built(cx: &Cx) -> Result<()> {
    let name = cx.own("image:1");
    let dockerfile = format!(
        "FROM {BASE}\nARG V=1\nCOPY . /d\nRUN echo v$V > /v && ls /d > /list\nCMD [\"cat\", \"/v\", \"/list\"]\n"
    );
    let dir = cx.directory(&[
        ("Dockerfile", dockerfile.as_bytes()),
        ("in", b""),
        ("out", b""),
        (".dockerignore", b"out\nDockerfile\n"),
        ("bad", b"FROM scratch\nBOGUS x\n"),
    ])?;
    let context = dir.to_string_lossy().into_owned();
    let id_file = dir.join("id").to_string_lossy().into_owned();
    let built = carrack(cx, &["build", "-t", &name, "--build-arg", "V=7", "--iidfile", &id_file, &context])?
        .good()?;
    ensure!(built.contains("Step 4/5 : RUN") && built.contains("Successfully built"), "{built}");
    let out = carrack(cx, &["run", &name])?.good()?;
    ensure!(out.starts_with("v7\n") && out.contains("in") && !out.contains("out"), "{out}");
    let id = fs::read_to_string(&id_file)?;
    fs::remove_file(&id_file)?;
    ensure!(carrack(cx, &["images", "-q", "--no-trunc", &name])?.good()? == id, "{id}");
    // The same again is all known; the context may also come as an archive, the Dockerfile alone or from elsewhere.
    let again = carrack(cx, &["build", "-q", "--build-arg", "V=7", &context])?.good()?;
    ensure!(again == id, "{again} is not {id}");
    let alone = format!("FROM {BASE}\nRUN exit 5\n");
    run(cx, command(cx), &["build", "-"], alone.as_bytes())?.fails(5, "returned a non-zero code: 5")?;
    run(cx, command(cx), &["build", "-f", "-", &context], alone.as_bytes())?.code(5)?;
    let bad = dir.join("bad").to_string_lossy().into_owned();
    carrack(cx, &["build", "-f", &bad, &context])?.fails(1, "unknown instruction: BOGUS")?;
    carrack(cx, &["build", "-f", "/no/such", &context])?.fails(1, "there is no /no/such")?;
    carrack(cx, &["build", "/no/such/context"])?.fails(1, "no such directory")?;
    carrack(cx, &["build", "-t", "UPPER", &context])?.fails(1, "lowercase")?;
    run(cx, command(cx), &["build", "-"], b"\0\0\0")?.code(1)?;
    carrack(cx, &["rmi", &name])?.good()?;
    Ok(())
}
