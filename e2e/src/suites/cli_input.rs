//! What `carrack` says of bad input, and how it behaves where something is missing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::cli::{carrack, command, find, json, lines, own_root, run};
use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};
use crate::output;

pub(super) const TESTS: &[Test] = tests!("cli_input", 90;
    containers_are_left_alone, without_a_daemon, unknown_names, wrong_usage, closed_output, no_home,
    data_root_read_only, arguments_that_are_no_text, pages_and_completion, settings_without_effect,
);

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
