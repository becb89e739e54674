//! `cargo xtask demo`: what a user does, shown command by command.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{cargo, images, packages};

/// The uid that stands for an ordinary user where we are root.
const ORDINARY: u32 = 12345;

pub(crate) fn demo() -> Result<bool> {
    packages::ensure(packages::DEMO)?;
    let built = cargo::carrack()?;
    let base = images::base()?;
    let directory = tempfile::Builder::new().prefix("carrack-demo.").tempdir_in("/tmp")?;
    let place = directory.path();
    fs::set_permissions(place, fs::Permissions::from_mode(0o755))?;
    let carrack = place.join("carrack");
    fs::copy(&built, &carrack)?;
    let size = fs::metadata(&carrack)?.len();
    println!("The binary is static and has {:.1} MB.", size as f64 / 1e6);
    if cargo::is_root() {
        println!(
            "You are root; the daemon is started as uid {ORDINARY}, without any capability, with no_new_privs."
        );
        chown(place, Some(ORDINARY), Some(ORDINARY))?;
    }
    let host = format!("unix://{}/carrack.sock", place.display());
    let mut daemon = Daemon(start(place, &carrack, &host)?);
    let show = |line: &str| -> Result<()> {
        println!("\n$ {line}");
        let start = Instant::now();
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).env("DOCKER_HOST", &host).env("BASE", &base).stdin(Stdio::null());
        let good = cargo::passes(shell)?;
        println!("# {:.2} s", start.elapsed().as_secs_f64());
        if !good {
            bail!("that should have worked");
        }
        Ok(())
    };
    println!("\n$ export DOCKER_HOST={host}");
    show("docker import \"$BASE\" debian:12")?;
    show("docker images")?;
    show("docker run --rm debian:12 cat /etc/os-release")?;
    show(
        "docker run --rm debian:12 sh -c 'id; ps -e 2>/dev/null; uname -n; touch /root/file && ls -l /root'",
    )?;
    show("echo 'through a pipe' | docker run -i --rm debian:12 tr a-z A-Z")?;
    show(
        "docker run -d --name job debian:12 sh -c 'i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done'",
    )?;
    show("sleep 1; docker ps && docker logs --tail 3 job")?;
    show("docker exec job sh -c 'echo from exec > /mark; cat /mark' && docker cp job:/mark - | tar -xOf -")?;
    show("docker stop -t 1 job && docker rm job")?;
    show("docker run --rm debian:12 perl -e 'print \"perl $^V as uid $<\\n\"'")?;
    daemon.stop()?;
    println!("\nThe daemon is stopped. Yours: carrack serve & export DOCKER_HOST=… (it prints the line).");
    Ok(true)
}

fn start(place: &Path, carrack: &Path, host: &str) -> Result<Child> {
    let log = place.join("serve.log");
    let file = fs::File::create(&log)?;
    let mut command = Command::new("setpriv");
    if cargo::is_root() {
        let id = ORDINARY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--bounding-set", "-all"]);
        command.args(["--inh-caps", "-all"]);
    }
    command
        .arg("--no-new-privs")
        .arg(carrack)
        .args(["serve", "--host", host, "--data-root"])
        .arg(place.join("data"));
    command.env("HOME", place).env_remove("XDG_RUNTIME_DIR").current_dir(place);
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    println!("\n$ carrack serve --host {host} --data-root {}/data &", place.display());
    let mut child = command.spawn().context("cannot start carrack serve")?;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let text = fs::read_to_string(&log)?;
        if text.contains("export DOCKER_HOST=") {
            print!("{text}");
            return Ok(child);
        }
        if child.try_wait()?.is_some() || Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the daemon did not start:\n{text}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Stops the daemon, also when the demo fails in between.
#[derive(Debug)]
struct Daemon(Child);

impl Daemon {
    fn stop(&mut self) -> Result<()> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let end = Instant::now() + Duration::from_secs(10);
        while self.0.try_wait()?.is_none() {
            if Instant::now() > end {
                bail!("the daemon did not stop");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
