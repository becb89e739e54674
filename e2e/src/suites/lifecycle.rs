//! Containers from create to rm: every verb, and what survives the daemon.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Bed, Cx};

pub(super) const TESTS: &[Test] = tests!("lifecycle", 120;
    daemon_killed, create_start_wait, stop_and_restart, stop_ignored_signal, kill_signals, rename_container, list_containers,
    inspect_fields, logs_options, logs_follow, exec_basics, exec_exit_codes, exec_standard_input, exec_many, attach_to_running,
    attach_three_times, start_attach_interactive, top_container, copy_in_and_out, copy_before_start, copy_special,
    names_and_prefixes, wait_removed, pause_container, prune_containers, volumes_from_image, changes_persist,
    auto_remove_failed_start, stats_once, export_container,
);

fn id_of(cx: &Cx, name: &str) -> Result<String> {
    cx.docker(&["inspect", "-f", "{{.Id}}", name])?.good()
}

fn sleeper(cx: &Cx, name: &str) -> Result<String> {
    let name = cx.own(name);
    cx.docker(&["run", "-d", "--name", &name, BASE, "sleep", "1000"])?.good()?;
    Ok(name)
}

fn field(cx: &Cx, name: &str, field: &str) -> Result<String> {
    cx.docker(&["inspect", "-f", &format!("{{{{{field}}}}}"), name])?.good()
}

fn create_start_wait(cx: &Cx) -> Result<()> {
    let name = cx.own("c");
    cx.docker(&["create", "--name", &name, BASE, "sh", "-c", "echo hello; exit 7"])?.good()?;
    ensure!(field(cx, &name, ".State.Status")? == "created");
    cx.docker(&["start", &name])?.prints(&name)?;
    cx.docker(&["wait", &name])?.prints("7")?;
    ensure!(field(cx, &name, ".State.Status")? == "exited");
    ensure!(field(cx, &name, ".State.ExitCode")? == "7");
    // Again, and attached this time.
    cx.docker(&["start", "-a", &name])?.code(7)?;
    cx.docker(&["logs", &name])?.prints("hello\nhello")?;
    cx.docker(&["rm", &name])?.prints(&name)?;
    cx.docker(&["start", &name])?.fails(1, "No such container")
}

fn stop_and_restart(cx: &Cx) -> Result<()> {
    let name = cx.own("s");
    let script = "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.05; done";
    cx.docker(&["run", "-d", "--name", &name, BASE, "sh", "-c", script])?.good()?;
    cx.until("it is up", || Ok(cx.docker(&["logs", &name])?.text().contains("up")))?;
    cx.docker(&["stop", &name])?.prints(&name)?;
    ensure!(field(cx, &name, ".State.ExitCode")? == "9");
    cx.docker(&["stop", &name])?.prints(&name)?;
    cx.docker(&["restart", &name])?.prints(&name)?;
    ensure!(field(cx, &name, ".State.Running")? == "true");
    cx.docker(&["logs", &name])?.good()?;
    cx.docker(&["rm", "-f", &name])?.good()?;
    Ok(())
}

fn stop_ignored_signal(cx: &Cx) -> Result<()> {
    let name = cx.own("s");
    cx.docker(&[
        "run",
        "-d",
        "--name",
        &name,
        BASE,
        "sh",
        "-c",
        "trap '' TERM; while :; do sleep 0.1; done",
    ])?
    .good()?;
    let start = Instant::now();
    cx.docker(&["stop", "-t", "1", &name])?.good()?;
    ensure!(start.elapsed() > Duration::from_millis(900), "stop did not wait");
    ensure!(field(cx, &name, ".State.ExitCode")? == "137");
    Ok(())
}

fn kill_signals(cx: &Cx) -> Result<()> {
    let name = cx.own("k");
    let script = "trap 'echo usr1' USR1; trap 'echo hup; exit 3' HUP; echo up; while :; do sleep 0.05; done";
    cx.docker(&["run", "-d", "--name", &name, BASE, "sh", "-c", script])?.good()?;
    cx.until("it is up", || Ok(cx.docker(&["logs", &name])?.text().contains("up")))?;
    cx.docker(&["kill", "-s", "USR1", &name])?.good()?;
    cx.until("the signal arrives", || Ok(cx.docker(&["logs", &name])?.text().contains("usr1")))?;
    cx.docker(&["kill", "-s", "NOSUCH", &name])?.fails(1, "invalid signal: NOSUCH")?;
    cx.docker(&["kill", "-s", "1", &name])?.good()?;
    cx.docker(&["wait", &name])?.prints("3")?;
    cx.docker(&["kill", &name])?.fails(1, "is not running")
}

fn rename_container(cx: &Cx) -> Result<()> {
    let (a, b) = (sleeper(cx, "a")?, cx.own("b"));
    cx.docker(&["rename", &a, &b])?.good()?;
    ensure!(field(cx, &b, ".Name")? == format!("/{b}"));
    cx.docker(&["inspect", &a])?.fails(1, "No such object")?;
    let c = sleeper(cx, "c")?;
    cx.docker(&["rename", &c, &b])?.fails(1, "is already in use by container")?;
    cx.docker(&["rename", &c, "_bad"])?.code(1)?;
    Ok(())
}

fn list_containers(cx: &Cx) -> Result<()> {
    let (up, down) = (sleeper(cx, "up")?, cx.own("down"));
    cx.docker(&["run", "--name", &down, "-l", "k=v", BASE, "sh", "-c", "exit 4"])?.code(4)?;
    let names = |args: &[&str]| -> Result<Vec<String>> {
        let mut all = vec!["ps", "--format", "{{.Names}}"];
        all.extend(args);
        Ok(cx.docker(&all)?.good()?.lines().map(str::to_owned).collect())
    };
    let running = names(&[])?;
    ensure!(running.contains(&up) && !running.contains(&down), "{running:?}");
    ensure!(names(&["-a"])?.contains(&down), "an ended container is not listed with -a");
    ensure!(names(&["-a", "--filter", "label=k=v"])? == std::slice::from_ref(&down));
    ensure!(names(&["-a", "--filter", &format!("name=^/{down}$")])? == std::slice::from_ref(&down));
    ensure!(
        names(&["--filter", "exited=4", "--filter", &format!("name={down}")])? == std::slice::from_ref(&down)
    );
    let line = cx
        .docker(&[
            "ps",
            "-a",
            "--filter",
            &format!("name={down}"),
            "--format",
            "{{.Image}}|{{.Command}}|{{.Status}}",
        ])?
        .good()?;
    ensure!(line.starts_with("debian:12|\"sh -c 'exit 4'\"|Exited (4) "), "{line}");
    let line = cx.docker(&["ps", "--filter", &format!("name={up}"), "--format", "{{.Status}}"])?.good()?;
    ensure!(line.starts_with("Up "), "{line}");
    cx.docker(&["ps", "--filter", "nosuch=1"])?.fails(1, "invalid filter 'nosuch'")
}

fn inspect_fields(cx: &Cx) -> Result<()> {
    let name = sleeper(cx, "i")?;
    let text = cx.docker(&["inspect", &name])?.good()?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let c = value.get(0).context("an empty list")?;
    let get = |path: &str| c.pointer(path).cloned().unwrap_or_default();
    ensure!(get("/Path") == "sleep" && get("/Args/0") == "1000", "{c}");
    ensure!(get("/State/Running") == true && get("/State/Pid").as_i64().unwrap_or(0) > 1, "{c}");
    ensure!(get("/Config/Image") == BASE && get("/Config/Labels").is_object(), "{c}");
    ensure!(get("/HostConfig/RestartPolicy/Name") == "no", "{c}");
    ensure!(get("/Image").as_str().unwrap_or_default().starts_with("sha256:"), "{c}");
    ensure!(get("/State/StartedAt").as_str().unwrap_or_default().ends_with('Z'), "{c}");
    cx.docker(&["inspect", "no-such-thing"])?.fails(1, "No such object: no-such-thing")
}

fn logs_options(cx: &Cx) -> Result<()> {
    let name = cx.own("l");
    cx.docker(&[
        "run",
        "--name",
        &name,
        BASE,
        "sh",
        "-c",
        "for i in 1 2 3 4 5; do echo line $i; done; printf end",
    ])?
    .good()?;
    cx.docker(&["logs", "--tail", "2", &name])?.prints("line 5\nend")?;
    cx.docker(&["logs", "--tail", "0", &name])?.prints("")?;
    let out = cx.docker(&["logs", "-t", "-n", "1", &name])?.good()?;
    let stamp = out.split(' ').next().unwrap_or_default();
    ensure!(
        stamp.len() == 30 && stamp.ends_with('Z') && stamp.as_bytes()[19] == b'.',
        "not nine digits: {out}"
    );
    cx.docker(&["logs", "--since", "2999-01-01T00:00:00", &name])?.prints("")?;
    cx.docker(&["logs", "--since", "1h", "--tail", "1", &name])?.prints("end")?;
    cx.docker(&["logs", "no-such"])?.fails(1, "No such container: no-such")?;
    // A long line is one line.
    let long = cx.own("long");
    cx.docker(&["run", "--name", &long, BASE, "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo"])?
        .good()?;
    ensure!(cx.docker(&["logs", &long])?.stdout.len() == 100_001, "a long line came in pieces");
    Ok(())
}

fn logs_follow(cx: &Cx) -> Result<()> {
    let name = cx.own("f");
    cx.docker(&[
        "run",
        "-d",
        "--name",
        &name,
        BASE,
        "sh",
        "-c",
        "for i in 1 2 3 4 5; do echo $i; sleep 0.2; done",
    ])?
    .good()?;
    cx.docker(&["logs", "-f", &name])?.prints("1\n2\n3\n4\n5")?;
    let (name, begin) = (cx.own("g"), Instant::now());
    cx.docker(&["run", "-d", "--name", &name, BASE, "sh", "-c", "echo first; sleep 1; echo second"])?
        .good()?;
    cx.until("the first line", || Ok(cx.docker(&["logs", &name])?.text().contains("first")))?;
    let out = cx.docker(&["logs", "--tail", "0", "-f", &name])?.good()?;
    ensure!(out == "second", "{out} after {:?}", begin.elapsed());
    Ok(())
}

fn exec_basics(cx: &Cx) -> Result<()> {
    let name = sleeper(cx, "e")?;
    cx.docker(&["exec", &name, "echo", "hi"])?.prints("hi")?;
    cx.docker(&[
        "exec",
        "-e",
        "X=y",
        "-w",
        "/usr",
        "-u",
        "nobody",
        &name,
        "sh",
        "-c",
        "echo $X; pwd; id -un",
    ])?
    .prints("y\n/usr\nnobody")?;
    cx.docker(&["exec", "-d", &name, "sh", "-c", "echo made > /made"])?.good()?;
    cx.until("the detached command ends", || Ok(cx.docker(&["exec", &name, "cat", "/made"])?.code == 0))?;
    let out = cx.docker(&["exec", &name, "sh", "-c", "echo o; echo e >&2"])?;
    ensure!(out.stdout == b"o\n" && out.stderr == b"e\n", "{out}");
    cx.docker(&["exec", &name, "cat", "/proc/1/comm"])?.prints("sleep")?;
    cx.docker(&["exec", "no-such", "true"])?.fails(1, "No such container: no-such")?;
    cx.docker(&["stop", "-t", "0", &name])?.good()?;
    cx.docker(&["exec", &name, "true"])?.fails(1, "is not running")
}

fn exec_exit_codes(cx: &Cx) -> Result<()> {
    let name = sleeper(cx, "e")?;
    for code in [0, 1, 77, 255] {
        cx.docker(&["exec", &name, "sh", "-c", &format!("exit {code}")])?.code(code)?;
    }
    cx.docker(&["exec", &name, "nosuch"])?.fails(127, "executable file not found in $PATH")?;
    cx.docker(&["exec", &name, "/etc"])?.code(126)?;
    cx.docker(&["exec", &name, "sh", "-c", "kill -9 $$"])?.code(137)?;
    Ok(())
}

fn exec_standard_input(cx: &Cx) -> Result<()> {
    let name = sleeper(cx, "e")?;
    cx.docker_with(&["exec", "-i", &name, "cat"], b"through exec\n")?.prints("through exec")?;
    let big = vec![b'x'; 3_000_000];
    cx.docker_with(&["exec", "-i", &name, "wc", "-c"], &big)?.prints("3000000")
}

fn exec_many(cx: &Cx) -> Result<()> {
    let name = sleeper(cx, "e")?;
    for i in 0..40 {
        let text = i.to_string();
        cx.docker(&["exec", &name, "sh", "-c", &format!("echo {text}; exit {}", i % 8)])?
            .code(i % 8)
            .and_then(|out| {
                ensure!(out == text, "the output of exec {i} was lost: {out:?}");
                Ok(())
            })?;
    }
    Ok(())
}

fn attach_to_running(cx: &Cx) -> Result<()> {
    let name = cx.own("a");
    cx.docker(&["run", "-di", "--name", &name, BASE, "sh", "-c", "read line; echo got $line; exit 6"])?
        .good()?;
    let out = cx.docker_with(&["attach", &name], b"typed\n")?;
    ensure!(out.code(6)? == "got typed", "{out}");
    Ok(())
}

fn attach_three_times(cx: &Cx) -> Result<()> {
    let name = cx.own("a");
    cx.docker(&["create", "-i", "--name", &name, BASE, "sh"])?.good()?;
    for i in 1..=3 {
        let script = format!("echo run {i}; exit {i}\n");
        let out = cx.docker_with(&["start", "-ai", &name], script.as_bytes())?;
        ensure!(out.code(i)? == format!("run {i}"), "{out}");
    }
    Ok(())
}

fn start_attach_interactive(cx: &Cx) -> Result<()> {
    let name = cx.own("a");
    cx.docker(&["create", "-i", "--name", &name, BASE, "cat"])?.good()?;
    cx.docker_with(&["start", "-ai", &name], b"echo\n")?.prints("echo")
}

fn top_container(cx: &Cx) -> Result<()> {
    let name = sleeper(cx, "t")?;
    let text = cx.docker(&["top", &name])?.good()?;
    ensure!(text.lines().next().unwrap_or_default().contains("PID"), "{text}");
    ensure!(text.lines().count() == 2 && text.contains("sleep 1000"), "{text}");
    cx.docker(&["top", &name, "-o", "pid,comm"])?.good()?;
    Ok(())
}

fn copy_in_and_out(cx: &Cx) -> Result<()> {
    let name = sleeper(cx, "c")?;
    let directory = cx.directory(&[("f", b"copied"), ("exec", b"#!/bin/sh\necho ran\n")])?;
    std::fs::create_dir_all(directory.join("d/sub"))?;
    std::fs::write(directory.join("d/sub/x"), "deep")?;
    let host = directory.to_string_lossy().into_owned();
    cx.docker(&["cp", &format!("{host}/f"), &format!("{name}:/root/g")])?.good()?;
    cx.docker(&["exec", &name, "cat", "/root/g"])?.prints("copied")?;
    cx.docker(&["cp", &format!("{host}/exec"), &format!("{name}:/usr/local/bin/")])?.good()?;
    cx.docker(&["exec", &name, "exec"])?.prints("ran")?;
    cx.docker(&["cp", &format!("{host}/d"), &format!("{name}:/opt")])?.good()?;
    cx.docker(&["exec", &name, "cat", "/opt/d/sub/x"])?.prints("deep")?;
    cx.docker(&["cp", &format!("{host}/d/."), &format!("{name}:/srv")])?.good()?;
    cx.docker(&["exec", &name, "cat", "/srv/sub/x"])?.prints("deep")?;
    cx.docker(&[
        "exec",
        &name,
        "sh",
        "-c",
        "mkdir /out; echo one > /out/1; ln -s 1 /out/l; chmod 640 /out/1",
    ])?
    .good()?;
    cx.docker(&["cp", &format!("{name}:/out"), &format!("{host}/got")])?.good()?;
    ensure!(std::fs::read(directory.join("got/1"))? == b"one\n");
    ensure!(std::fs::read_link(directory.join("got/l"))?.as_os_str() == "1");
    let out = cx.docker(&["cp", &format!("{name}:/etc/hostname"), "-"])?;
    out.good()?;
    ensure!(out.stdout.starts_with(b"hostname\0"), "not an archive of the file");
    cx.docker(&["cp", &format!("{name}:/no/such"), &host])?
        .fails(1, "Could not find the file /no/such in container")?;
    cx.docker(&["cp", &format!("{host}/f"), &format!("{name}:/no/such/")])?.code(1)?;
    Ok(())
}

fn copy_before_start(cx: &Cx) -> Result<()> {
    let name = cx.own("c");
    let directory = cx.directory(&[("script", b"echo from the copy; exit 2\n")])?;
    cx.docker(&["create", "--name", &name, BASE, "sh", "/script"])?.good()?;
    cx.docker(&["cp", &format!("{}/script", directory.display()), &format!("{name}:/script")])?.good()?;
    cx.docker(&["start", "-a", &name])?.code(2)?;
    cx.docker(&["cp", &format!("{name}:/script"), &format!("{}/back", directory.display())])?.good()?;
    ensure!(std::fs::read(directory.join("back"))? == std::fs::read(directory.join("script"))?);
    Ok(())
}

fn copy_special(cx: &Cx) -> Result<()> {
    let name = sleeper(cx, "c")?;
    let directory = cx.directory(&[])?;
    cx.docker(&["exec", &name, "sh", "-c", "cd /srv; echo s > suid; chown 12:34 suid; chmod 4755 suid; mkdir sticky; chmod 1777 sticky; ln -s /etc/passwd abs; ln -s ../../../../etc up; mkfifo p"])?.good()?;
    let out = cx.docker(&["cp", &format!("{name}:/srv/."), "-"])?;
    out.good()?;
    cx.docker_with(
        &[
            "exec",
            "-i",
            &name,
            "sh",
            "-c",
            "mkdir /b; tar -C /b -xpf - && cd /b && stat -c '%n %a %u' suid sticky p && readlink abs up",
        ],
        &out.stdout,
    )?
    .prints("suid 4755 12\nsticky 1777 0\np 644 0\n/etc/passwd\n../../../../etc")?;
    // Through a link that points out of the container's root: still inside.
    cx.docker(&["cp", &format!("{name}:/srv/up/os-release"), &directory.to_string_lossy()])?.good().ok();
    let archive = crate::tarball::Tarball::new().file("../../escape", 0o644, b"x")?.finish()?;
    cx.docker_with(&["cp", "-", &format!("{name}:/srv")], &archive)?;
    ensure!(!cx.bed.path("escape").exists() && !cx.bed.path("../escape").exists(), "an archive escaped");
    Ok(())
}

fn names_and_prefixes(cx: &Cx) -> Result<()> {
    let name = sleeper(cx, "n")?;
    let id = id_of(cx, &name)?;
    for key in [&id[..], &id[..12], &id[..20], &format!("/{name}"), &name] {
        ensure!(id_of(cx, key)? == id, "{key} is not the container");
    }
    // A name that looks like the prefix of another container's id wins.
    cx.docker(&["run", "-d", "--name", &id[..6], BASE, "sleep", "1000"])?.good()?;
    let other = id_of(cx, &id[..6])?;
    let removed = cx.docker(&["rm", "-f", &id[..6]])?;
    ensure!(other != id, "the id prefix won over the name");
    removed.good()?;
    cx.docker(&["create", "--name", "x", BASE])?.fails(1, "Invalid container name (x)")?;
    cx.docker(&["create", "--name", "a/b", BASE])?.fails(1, "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
}

fn wait_removed(cx: &Cx) -> Result<()> {
    let name = cx.own("w");
    cx.docker(&["run", "-d", "--rm", "--name", &name, BASE, "sh", "-c", "sleep 0.5; exit 8"])?.good()?;
    cx.docker(&["wait", &name])?.prints("8")?;
    cx.until("it is removed", || Ok(cx.docker(&["inspect", &name])?.code != 0))
}

fn pause_container(cx: &Cx) -> Result<()> {
    let name = cx.own("p");
    cx.docker(&["run", "-d", "--name", &name, BASE, "sh", "-c", "while :; do echo tick; sleep 0.05; done"])?
        .good()?;
    cx.docker(&["pause", &name])?.prints(&name)?;
    ensure!(field(cx, &name, ".State.Status")? == "paused");
    let before = cx.docker(&["logs", &name])?.stdout.len();
    std::thread::sleep(Duration::from_millis(400));
    ensure!(cx.docker(&["logs", &name])?.stdout.len() == before, "it goes on while paused");
    cx.docker(&["pause", &name])?.fails(1, "is already paused")?;
    cx.docker(&["unpause", &name])?.prints(&name)?;
    cx.until("it goes on", || Ok(cx.docker(&["logs", &name])?.stdout.len() > before))
}

fn prune_containers(cx: &Cx) -> Result<()> {
    let name = cx.own("p");
    cx.docker(&["run", "--name", &name, "-l", "prune=me", BASE, "true"])?.good()?;
    cx.docker(&["container", "prune", "-f", "--filter", "label=prune=me"])?.good()?;
    cx.docker(&["inspect", &name])?.fails(1, "No such object")
}

fn volumes_from_image(cx: &Cx) -> Result<()> {
    let volume = cx.own("v");
    cx.docker(&["volume", "create", &volume])?.prints(&volume)?;
    let mount = format!("{volume}:/data");
    cx.docker(&["run", "--rm", "-v", &mount, BASE, "sh", "-c", "echo kept > /data/f; chown 5:6 /data/f"])?
        .good()?;
    cx.docker(&["run", "--rm", "-v", &mount, BASE, "sh", "-c", "cat /data/f; stat -c %u:%g /data/f"])?
        .prints("kept\n5:6")?;
    cx.docker(&["volume", "rm", &volume])?.prints(&volume)?;
    cx.docker(&["volume", "inspect", &volume])?.fails(1, "no such volume")
}

fn changes_persist(cx: &Cx) -> Result<()> {
    let name = cx.own("c");
    cx.docker(&["create", "--name", &name, BASE, "sh", "-c", "test -e /count || echo 0 > /count; n=$(cat /count); echo $((n+1)) > /count; cat /count; rm -f /etc/motd; ls /etc/motd 2>&1 | grep -c cannot"])?.good()?;
    for i in 1..=3 {
        cx.docker(&["start", "-a", &name])?.prints(&format!("{i}\n1"))?;
    }
    // The image is as it was.
    cx.sh(BASE, "ls /count 2>/dev/null; echo none")?.prints("none")
}

fn auto_remove_failed_start(cx: &Cx) -> Result<()> {
    let name = cx.own("f");
    cx.docker(&["run", "--rm", "--name", &name, BASE, "nosuch"])?.code(127)?;
    cx.until("it is removed", || Ok(cx.docker(&["inspect", &name])?.code != 0))
}

fn stats_once(cx: &Cx) -> Result<()> {
    let name = cx.own("s");
    cx.docker(&["run", "-d", "--name", &name, BASE, "sh", "-c", "while :; do :; done"])?.good()?;
    let start = Instant::now();
    let line = cx
        .docker(&["stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", &name])?
        .good()?;
    ensure!(start.elapsed() < Duration::from_secs(6), "too slow");
    let percent: f64 = line.split('%').next().unwrap_or_default().parse().context(line.clone())?;
    ensure!(percent > 10.0, "a busy loop uses {line}");
    Ok(())
}

fn export_container(cx: &Cx) -> Result<()> {
    let name = cx.own("x");
    cx.docker(&["run", "--name", &name, BASE, "sh", "-c", "echo exported > /exported; rm /etc/issue"])?
        .good()?;
    let out = cx.docker(&["export", &name])?;
    out.good()?;
    let mut archive = tar::Archive::new(out.stdout.as_slice());
    let mut names = Vec::new();
    for entry in archive.entries()? {
        names.push(entry?.path()?.to_string_lossy().into_owned());
    }
    ensure!(names.iter().any(|n| n.trim_start_matches("./") == "exported"), "the new file is missing");
    ensure!(!names.iter().any(|n| n.trim_start_matches("./") == "etc/issue"), "the deleted file is there");
    ensure!(
        names.iter().any(|n| n.trim_start_matches("./") == "usr/bin/env"),
        "the image's files are missing"
    );
    Ok(())
}

fn daemon_killed(cx: &Cx) -> Result<()> {
    let bed = Bed::start(&cx.bed.args, "killed")?;
    bed.import_base()?;
    let test = Test { suite: "", name: "survivor", seconds: 100, programs: false, run: daemon_killed };
    let cx = &Cx::new(&bed, &test, Duration::from_secs(100));
    let (live, dead, ends) = (cx.own("live"), cx.own("dead"), cx.own("ends"));
    let script = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.1; done";
    cx.docker(&["run", "-d", "--name", &live, BASE, "sh", "-c", script])?.good()?;
    cx.docker(&["run", "--name", &dead, BASE, "sh", "-c", "echo said; exit 5"])?.code(5)?;
    cx.docker(&["run", "-d", "--name", &ends, BASE, "sh", "-c", "sleep 1; echo while away; exit 6"])?
        .good()?;
    cx.docker(&["exec", "-d", &live, "sh", "-c", "sleep 2; echo exec went on > /exec"])?.good()?;
    cx.docker(&["create", "--name", "survivor-created", BASE, "echo", "later"])?.good()?;
    bed.kill_daemon()?;
    std::thread::sleep(Duration::from_millis(1500));
    bed.start_daemon()?;
    ensure!(field(cx, &live, ".State.Running")? == "true", "the running container is lost");
    ensure!(field(cx, &dead, ".State.ExitCode")? == "5", "an exit code is lost");
    ensure!(field(cx, &ends, ".State.ExitCode")? == "6", "the exit while the daemon was away is lost");
    cx.docker(&["logs", &dead])?.prints("said")?;
    cx.docker(&["logs", &ends])?.prints("while away")?;
    let first = cx.docker(&["logs", &live])?.good()?;
    ensure!(first.starts_with("tick 1\n"), "the log is cut: {first}");
    let numbers: Vec<u32> = first.lines().filter_map(|l| l.strip_prefix("tick ")?.parse().ok()).collect();
    ensure!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "lines are missing: {numbers:?}");
    cx.until("it goes on", || Ok(cx.docker(&["logs", &live])?.text().lines().count() > numbers.len()))?;
    cx.docker(&["exec", &live, "echo", "hello"])?.prints("hello")?;
    cx.until("the exec went on", || {
        Ok(cx.docker(&["exec", &live, "cat", "/exec"])?.text().trim() == "exec went on")
    })?;
    cx.docker(&["start", "-a", "survivor-created"])?.prints("later")?;
    cx.docker(&["stop", "-t", "0", &live])?.good()?;
    for name in [&live, &dead, &ends] {
        cx.docker(&["rm", name])?.good()?;
    }
    cx.docker(&["rm", "-f", "survivor-created"])?.good()?;
    bed.finish()
}
