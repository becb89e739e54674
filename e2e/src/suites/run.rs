//! `docker run`: what goes in, what comes out, and the exit codes.

use anyhow::{Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};

pub(super) const TESTS: &[Test] = tests!("run", 60;
    os_release, exit_codes, start_failures, unknown_image, standard_input, large_streams, separate_streams,
    environment, user_and_directory, host_directory, entrypoint, hostname, remove_after, named_conflict,
    killed_by_signal, two_at_once, tty_without_stdin, read_only_root, identity_files, devices, proc_of_init,
    network_host, many_arguments, detached_output, tmpfs_mount, init_reaps, no_stdin_is_empty,
);

fn os_release(cx: &Cx) -> Result<()> {
    let text = cx.run(BASE, &["cat", "/etc/os-release"])?.good()?;
    ensure!(text.contains("PRETTY_NAME=\"Debian GNU/Linux 12"), "{text}");
    Ok(())
}

fn exit_codes(cx: &Cx) -> Result<()> {
    cx.run(BASE, &["true"])?.code(0)?;
    cx.run(BASE, &["false"])?.code(1)?;
    for code in [2, 42, 126, 127, 255] {
        cx.sh(BASE, &format!("exit {code}"))?.code(code)?;
    }
    Ok(())
}

fn start_failures(cx: &Cx) -> Result<()> {
    // A label tells them from what other tests create meanwhile.
    const RUN: [&str; 4] = ["run", "--rm", "--label", "of=start_failures"];
    let run = |more: &[&str]| cx.docker(&[&RUN[..], more].concat());
    run(&[BASE, "nosuch"])?.fails(127, "executable file not found in $PATH")?;
    run(&[BASE, "/no/such"])?.fails(127, "no such file or directory")?;
    run(&[BASE, "/etc"])?.fails(126, "")?;
    run(&[BASE, "/etc/passwd"])?.fails(126, "permission denied")?;
    run(&["--nosuchflag", BASE, "true"])?.code(125)?;
    run(&["-u", "nosuchuser", BASE, "true"])?
        .fails(125, "unable to find user nosuchuser: no matching entries in passwd file")?;
    let left = cx.docker(&["ps", "-aq", "--filter", "label=of=start_failures"])?.good()?;
    ensure!(left.is_empty(), "containers that never started are left: {left}");
    Ok(())
}

fn unknown_image(cx: &Cx) -> Result<()> {
    cx.docker(&["run", "--rm", "--pull=never", "nosuchimage:1", "true"])?
        .fails(125, "No such image: nosuchimage:1")
}

fn standard_input(cx: &Cx) -> Result<()> {
    cx.docker_with(&["run", "-i", "--rm", BASE, "cat"], b"hi\n")?.prints("hi")?;
    cx.docker_with(&["run", "-i", "--rm", BASE, "sh"], b"echo a\necho b; exit 3\n")?.code(3)?;
    cx.docker_with(&["run", "-i", "--rm", BASE, "wc", "-c"], b"")?.prints("0")
}

fn large_streams(cx: &Cx) -> Result<()> {
    let input: Vec<u8> = (0..20_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sum = crate::tarball::digest(&input);
    let text = cx.docker_with(&["run", "-i", "--rm", BASE, "sha256sum"], &input)?.good()?;
    ensure!(text.starts_with(&sum), "the input changed on its way: {text}");
    let out = cx.docker_with(&["run", "-i", "--rm", BASE, "cat"], &input)?;
    out.good()?;
    ensure!(out.stdout == input, "the output changed on its way: {} bytes", out.stdout.len());
    Ok(())
}

fn separate_streams(cx: &Cx) -> Result<()> {
    let out = cx.sh(BASE, "echo out; echo err >&2; printf tail")?;
    ensure!(out.stdout == b"out\ntail" && out.stderr == b"err\n", "{out}");
    Ok(())
}

fn environment(cx: &Cx) -> Result<()> {
    let out =
        cx.docker(&["run", "--rm", "-e", "A=1 2", "-e", "B=", "--env", "C=x=y", BASE, "env"])?.good()?;
    for line in ["A=1 2", "B=", "C=x=y", "HOME=/root"] {
        ensure!(out.lines().any(|l| l == line), "no {line}: {out}");
    }
    ensure!(out.lines().any(|l| l.starts_with("PATH=/usr/local/sbin:")), "no PATH: {out}");
    ensure!(out.lines().any(|l| l.starts_with("HOSTNAME=")), "no HOSTNAME: {out}");
    Ok(())
}

fn user_and_directory(cx: &Cx) -> Result<()> {
    cx.docker(&["run", "--rm", "-u", "1000:2000", BASE, "id"])?.prints("uid=1000 gid=2000 groups=2000")?;
    cx.docker(&["run", "--rm", "-u", "nobody", BASE, "id", "-un"])?.prints("nobody")?;
    cx.docker(&["run", "--rm", "-w", "/usr/share", BASE, "pwd"])?.prints("/usr/share")?;
    cx.docker(&["run", "--rm", "-w", "/made/for/it", BASE, "pwd"])?.prints("/made/for/it")?;
    cx.sh(BASE, "id -u; whoami; touch /f && stat -c '%u %g %a' /f")?.prints("0\nroot\n0 0 644")?;
    cx.docker(&["run", "--rm", "-u", "1000", BASE, "sh", "-c", "touch /f || cat /etc/shadow"])?
        .fails(1, "Permission denied")
}

fn host_directory(cx: &Cx) -> Result<()> {
    let directory = cx.directory(&[("in", b"from the host")])?;
    let host = directory.to_string_lossy().into_owned();
    let volume = format!("{host}:/mnt/d");
    cx.docker(&["run", "--rm", "-v", &volume, BASE, "sh", "-c", "cat /mnt/d/in; echo back > /mnt/d/out; mkdir /mnt/d/sub; ln -s in /mnt/d/l; chown 1:2 /mnt/d/out; stat -c '%u %g' /mnt/d/out"])?
        .prints("from the host1 2")?;
    ensure!(std::fs::read(directory.join("out"))? == b"back\n", "the host does not see the file");
    ensure!(directory.join("sub").is_dir(), "the host does not see the directory");
    let volume = format!("{host}:/mnt/d:ro");
    cx.docker(&["run", "--rm", "-v", &volume, BASE, "sh", "-c", "cat /mnt/d/in; echo x > /mnt/d/no"])?
        .fails(2, "Read-only file system")?;
    // A link on the host side may not lead out of the directory.
    std::os::unix::fs::symlink("/etc/hostname", directory.join("out-link"))?;
    let volume = format!("{host}:/mnt/d");
    cx.docker(&[
        "run",
        "--rm",
        "-v",
        &volume,
        BASE,
        "sh",
        "-c",
        "ls /mnt/d/../..; cat /mnt/d/out-link || echo contained",
    ])?
    .good()?;
    Ok(())
}

fn entrypoint(cx: &Cx) -> Result<()> {
    cx.docker(&["run", "--rm", "--entrypoint", "echo", BASE, "a", "b  c"])?.prints("a b  c")?;
    cx.docker(&["run", "--rm", "--entrypoint", "/bin/sh", BASE, "-c", "echo $0 $1", "x", "y"])?.prints("x y")
}

fn hostname(cx: &Cx) -> Result<()> {
    cx.docker(&["run", "--rm", "-h", "box", BASE, "sh", "-c", "hostname; cat /etc/hostname; uname -n"])?
        .prints("box\nbox\nbox")?;
    let name = cx.own("h");
    let id = cx.docker(&["create", "--name", &name, BASE, "hostname"])?.good()?;
    cx.docker(&["start", "-a", &name])?.prints(&id[..12])
}

fn remove_after(cx: &Cx) -> Result<()> {
    let name = cx.own("gone");
    cx.docker(&["run", "--rm", "--name", &name, BASE, "false"])?.code(1)?;
    cx.docker(&["inspect", &name])?.fails(1, "No such object")
}

fn named_conflict(cx: &Cx) -> Result<()> {
    let name = cx.own("web");
    let id = cx.docker(&["run", "-d", "--name", &name, BASE, "sleep", "100"])?.good()?;
    let message = format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
    );
    cx.docker(&["run", "-d", "--name", &name, BASE, "true"])?.fails(125, &message)?;
    cx.docker(&["rm", &name])?.fails(1, "stop the container before removing or force remove")?;
    cx.docker(&["rm", "-f", &name])?.prints(&name)
}

fn killed_by_signal(cx: &Cx) -> Result<()> {
    // As the first process: a signal without a handler does nothing to it, so a child is killed.
    cx.sh(BASE, "sh -c 'kill -9 $$'")?.code(137)?;
    cx.sh(BASE, "sh -c 'kill -TERM $$'; echo $?")?.prints("143")?;
    let name = cx.own("k");
    cx.docker(&["run", "-d", "--name", &name, BASE, "sleep", "100"])?.good()?;
    cx.docker(&["kill", &name])?.good()?;
    cx.docker(&["wait", &name])?.prints("137")
}

fn two_at_once(cx: &Cx) -> Result<()> {
    let (a, b) = (cx.own("a"), cx.own("b"));
    for name in [&a, &b] {
        cx.docker(&["run", "-d", "--name", name, BASE, "sleep", "100"])?.good()?;
        cx.docker(&["exec", name, "sh", "-c", &format!("echo {name} > /mark")])?.good()?;
    }
    for name in [&a, &b] {
        cx.docker(&["exec", name, "cat", "/mark"])?.prints(name)?;
        let seen = cx
            .docker(&["exec", name, "sh", "-c", "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; done"])?
            .good()?;
        ensure!(seen.matches("sleep 100").count() == 1, "another container's process is seen: {seen}");
    }
    Ok(())
}

fn tty_without_stdin(cx: &Cx) -> Result<()> {
    let out = cx.docker(&["run", "--rm", "-t", BASE, "sh", "-c", "test -t 1 && tty && echo line"])?;
    out.good()?;
    ensure!(out.text().contains("/dev/pts/"), "{out}");
    Ok(())
}

fn read_only_root(cx: &Cx) -> Result<()> {
    cx.docker(&["run", "--rm", "--read-only", BASE, "sh", "-c", "echo x > /f"])?
        .fails(2, "Read-only file system")?;
    cx.docker(&["run", "--rm", "--read-only", BASE, "sh", "-c", "echo x > /dev/shm/f && cat /dev/shm/f"])?
        .prints("x")
}

fn identity_files(cx: &Cx) -> Result<()> {
    let text = cx.docker(&["run", "--rm", "-h", "box", BASE, "cat", "/etc/hosts"])?.good()?;
    ensure!(text.contains("127.0.0.1") && text.contains("localhost"), "{text}");
    ensure!(text.lines().any(|l| l.split_whitespace().any(|w| w == "box")), "{text}");
    cx.run(BASE, &["cat", "/etc/resolv.conf"])?.good()?;
    Ok(())
}

fn devices(cx: &Cx) -> Result<()> {
    let script = "for d in null zero full random urandom tty ptmx; do test -c /dev/$d || echo no $d; done
        for l in fd stdin stdout stderr; do test -L /dev/$l || echo no $l; done
        test -d /dev/pts -a -d /dev/shm -a -d /dev/mqueue || echo no directories
        head -c 5 /dev/zero | od -An -tx1; echo x > /dev/full; dd if=/dev/urandom bs=16 count=1 2>/dev/null | wc -c";
    let out = cx.sh(BASE, script)?;
    ensure!(out.good()? == "00 00 00 00 00\n16", "{out}");
    Ok(())
}

fn proc_of_init(cx: &Cx) -> Result<()> {
    cx.sh(BASE, "echo $$; cat /proc/1/comm; readlink /proc/self/exe; grep -c ^processor /proc/cpuinfo > /dev/null && echo cpu; ls /proc/1/fd | tr '\\n' ' '")?
        .prints("1\nsh\n/usr/bin/readlink\ncpu\n0 1 2")
}

fn network_host(cx: &Cx) -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let server = std::thread::spawn(move || -> Result<String> {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept()?;
        stream.write_all(b"hello\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    });
    let script =
        format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read -r line <&3; echo got $line; echo answer >&3");
    cx.docker(&["run", "--rm", "--network", "host", BASE, "bash", "-c", &script])?.prints("got hello")?;
    match server.join() {
        Ok(text) => ensure!(text?.trim() == "answer", "the answer was lost"),
        Err(_) => anyhow::bail!("the server failed"),
    }
    Ok(())
}

fn many_arguments(cx: &Cx) -> Result<()> {
    let words: Vec<String> = (0..2000).map(|i| format!("word-{i}")).collect();
    let mut args = vec!["run", "--rm", BASE, "sh", "-c", "echo $#; echo ${1999}", "sh"];
    args.extend(words.iter().map(String::as_str));
    cx.docker(&args)?.prints("2000\nword-1998")
}

fn detached_output(cx: &Cx) -> Result<()> {
    let name = cx.own("d");
    let id = cx
        .docker(&["run", "-d", "--name", &name, BASE, "sh", "-c", "echo one; echo two >&2; exit 5"])?
        .good()?;
    ensure!(id.len() == 64 && id.chars().all(|c| c.is_ascii_hexdigit()), "an id of another form: {id}");
    cx.docker(&["wait", &name])?.prints("5")?;
    let out = cx.docker(&["logs", &name])?;
    ensure!(out.stdout == b"one\n" && out.stderr == b"two\n", "{out}");
    Ok(())
}

fn tmpfs_mount(cx: &Cx) -> Result<()> {
    cx.docker(&[
        "run",
        "--rm",
        "--tmpfs",
        "/scratch:size=1m",
        BASE,
        "sh",
        "-c",
        "echo x > /scratch/f; stat -f -c %T /scratch; head -c 2000000 /dev/zero > /scratch/big; sleep 2; true > /scratch/more || echo full",
    ])?
    .prints("tmpfs\nfull")
}

fn init_reaps(cx: &Cx) -> Result<()> {
    cx.docker(&[
        "run",
        "--rm",
        "--init",
        BASE,
        "sh",
        "-c",
        "(sleep 0.1 &) ; sleep 0.3; grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l",
    ])?
    .prints("0")
}

fn no_stdin_is_empty(cx: &Cx) -> Result<()> {
    cx.docker_with(&["run", "--rm", BASE, "cat"], b"not for it")?.prints("")
}
