//! The surroundings of the tests: a daemon that runs as an ordinary user in a directory of its own, and its end.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::output::{self, Output};
use crate::{Args, Test, lock};

/// The minimal Debian.
pub(crate) const BASE: &str = "debian:12";
/// Debian with everything that the program tests use.
pub(crate) const PROGRAMS: &str = "debian:programs";

/// A daemon and its directory.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) args: Args,
    directory: tempfile::TempDir,
    /// The uid and gid of the daemon: one that nobody else uses, where the tests run as root.
    ids: (u32, u32),
    daemon: Mutex<Option<Child>>,
    canary: Vec<String>,
}

impl Bed {
    /// Makes the directory and starts the daemon.
    pub(crate) fn start(args: &Args, name: &str) -> Result<Bed> {
        let prefix = format!("carrack-e2e.{name}.");
        let mut directory = tempfile::Builder::new().prefix(&prefix).tempdir_in("/tmp")?;
        directory.disable_cleanup(args.keep);
        let ids = if is_root() {
            // Every bed has a user of its own, so that each sees and ends only its own processes.
            static BEDS: AtomicU32 = AtomicU32::new(0);
            let id = 20_000 + (std::process::id() * 8 + BEDS.fetch_add(1, Ordering::Relaxed)) % 40_000;
            (id, id)
        } else {
            (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
        };
        let mut bed =
            Bed { args: args.clone(), directory, ids, daemon: Mutex::new(None), canary: Vec::new() };
        let root = bed.path("");
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
        fs::copy(&args.carrack, bed.path("carrack"))
            .with_context(|| format!("cannot copy {}", args.carrack.display()))?;
        fs::set_permissions(bed.path("carrack"), fs::Permissions::from_mode(0o755))?;
        for name in ["home", "data", "run", "client", "canary", "shared"] {
            fs::create_dir(bed.path(name))?;
            bed.give(&bed.path(name))?;
        }
        for name in ["one", "two"] {
            fs::write(bed.path("canary").join(name), name)?;
            bed.give(&bed.path("canary").join(name))?;
        }
        if let Some(tools) = &args.tools {
            // Copied to where the daemon's user can reach them.
            let mut copy = Command::new("cp");
            copy.arg("-rL").arg(tools).arg(bed.path("tools"));
            output::run(copy, b"", Instant::now() + Duration::from_secs(60))?.good()?;
        }
        bed.canary = listing(&bed.path("canary"))?;
        bed.start_daemon()?;
        Ok(bed)
    }

    /// A path below the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Gives a path to the daemon's user.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        if is_root() {
            chown(path, Some(self.ids.0), Some(self.ids.1))?;
        }
        Ok(())
    }

    /// The directory of tools, where the daemon's user can reach it.
    pub(crate) fn tools(&self) -> Result<PathBuf> {
        ensure!(self.args.tools.is_some(), "needs --tools");
        Ok(self.path("tools"))
    }

    /// The daemon's address.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("carrack.sock")
    }

    /// A command of the binary under test, as the ordinary user.
    pub(crate) fn carrack(&self) -> Command {
        let mut command = Command::new("setpriv");
        if is_root() {
            let (uid, gid) = (self.ids.0.to_string(), self.ids.1.to_string());
            command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups", "--bounding-set", "-all"]);
            command.args(["--inh-caps", "-all"]);
        }
        command.arg("--no-new-privs").arg(self.path("carrack"));
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.path("home"));
        command.env("XDG_RUNTIME_DIR", self.path("run")).current_dir(self.path("home"));
        command
    }

    /// A command of the docker client.
    pub(crate) fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("client")).env("DOCKER_CONFIG", self.path("client"));
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display())).env("TERM", "xterm");
        command
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub(crate) fn start_daemon(&self) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("serve.log"))?;
        let before = fs::metadata(self.path("serve.log"))?.len();
        let mut command = self.carrack();
        command.arg("serve").arg("--host").arg(format!("unix://{}", self.socket().display()));
        command.arg("--data-root").arg(self.path("data"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        // The socket is made in the directory itself, which belongs to us.
        self.give(&self.path(""))?;
        let mut child = command.spawn().context("cannot start carrack serve")?;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let text = String::from_utf8_lossy(&fs::read(self.path("serve.log"))?).into_owned();
            let text = text.get(usize::try_from(before)?..).unwrap_or_default();
            if text.contains("export DOCKER_HOST=") {
                break;
            }
            if let Some(status) = child.try_wait()? {
                bail!("carrack serve ended ({status}):\n{text}");
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                bail!("carrack serve is not ready after 20 s:\n{text}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        *lock(&self.daemon) = Some(child);
        Ok(())
    }

    /// Kills the daemon, and only it, with SIGKILL.
    pub(crate) fn kill_daemon(&self) -> Result<()> {
        if let Some(mut child) = lock(&self.daemon).take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Runs the docker client with a limit that suits set-up.
    fn set_up(&self, args: &[&str]) -> Result<()> {
        let mut command = self.docker();
        command.args(args);
        output::run(command, b"", Instant::now() + Duration::from_secs(300))?.good()?;
        Ok(())
    }

    pub(crate) fn import_base(&self) -> Result<()> {
        self.set_up(&["import", &self.args.base.to_string_lossy(), BASE])
    }

    pub(crate) fn import_programs(&self) -> Result<()> {
        match &self.args.programs {
            Some(tar) => self.set_up(&["import", &tar.to_string_lossy(), PROGRAMS]),
            None => Ok(()),
        }
    }

    /// Ends the daemon and says what it left behind: containers' processes, a changed canary.
    pub(crate) fn finish(&self) -> Result<()> {
        let mut problems = Vec::new();
        self.remove_containers();
        if let Some(mut child) = lock(&self.daemon).take() {
            if let Some(status) = child.try_wait()? {
                problems.push(format!("the daemon had ended: {status}"));
            }
            if let Some(pid) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            if output::wait(&mut child, Instant::now() + Duration::from_secs(15)).is_none() {
                problems.push("the daemon did not end on SIGTERM".to_owned());
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        let left = self.processes();
        if !left.is_empty() {
            problems.push(format!("processes are left: {left:?}"));
            self.kill_processes();
        }
        if listing(&self.path("canary"))? != self.canary {
            problems.push("the canary directory has changed".to_owned());
        }
        let log = String::from_utf8_lossy(&fs::read(self.path("serve.log"))?).into_owned();
        if log.contains("panicked at") {
            let line = log.lines().find(|l| l.contains("panicked at")).unwrap_or_default();
            problems.push(format!("the daemon panicked: {line}"));
        }
        ensure!(problems.is_empty(), "{}\nlog: {}", problems.join("; "), tail(&log, 15));
        Ok(())
    }

    /// Removes what failed tests left: containers outlive the daemon.
    fn remove_containers(&self) {
        let limit = || Instant::now() + Duration::from_secs(30);
        let mut list = self.docker();
        list.args(["ps", "-aq"]);
        let Ok(list) = output::run(list, b"", limit()) else { return };
        for id in list.text().split_whitespace() {
            let mut remove = self.docker();
            remove.args(["rm", "-f", "-v", id]);
            let _ = output::run(remove, b"", limit());
        }
    }

    /// The daemon's user's processes, where that user is ours alone: pid and command.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        if !is_root() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
            if entry.metadata().is_ok_and(|m| m.uid() == self.ids.0)
                && fs::read_to_string(entry.path().join("stat")).is_ok_and(|s| !s.contains(") Z "))
            {
                let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                found.push((pid, comm.trim().to_owned()));
            }
        }
        found
    }

    fn kill_processes(&self) {
        for (pid, _) in self.processes() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.kill_daemon();
        self.kill_processes();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Names, types, modes, owners, sizes and contents below a directory.
fn listing(directory: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let text = if meta.is_file() { fs::read_to_string(entry.path())? } else { String::new() };
        lines.push(format!(
            "{:?} {:o} {} {} {} {} {text}",
            entry.file_name(),
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.len(),
            meta.mtime()
        ));
    }
    lines.sort();
    Ok(lines)
}

/// What a test is given.
#[derive(Debug)]
pub(crate) struct Cx<'a> {
    pub(crate) bed: &'a Bed,
    name: &'static str,
    pub(crate) deadline: Instant,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(bed: &'a Bed, test: &Test, limit: Duration) -> Cx<'a> {
        Cx { bed, name: test.name, deadline: Instant::now() + limit }
    }

    /// A container or image name that is this test's own.
    pub(crate) fn own(&self, name: &str) -> String {
        format!("{}-{name}", self.name.replace('_', "-"))
    }

    /// Runs the docker client.
    pub(crate) fn docker(&self, args: &[&str]) -> Result<Output> {
        self.docker_with(args, b"")
    }

    /// Runs the docker client with this on its standard input.
    pub(crate) fn docker_with(&self, args: &[&str], input: &[u8]) -> Result<Output> {
        let mut command = self.bed.docker();
        command.args(args);
        output::run(command, input, self.deadline)
    }

    /// `docker run --rm IMAGE ARGS`.
    pub(crate) fn run(&self, image: &str, args: &[&str]) -> Result<Output> {
        let mut all = vec!["run", "--rm", image];
        all.extend(args);
        self.docker(&all)
    }

    /// `docker run --rm IMAGE sh -c SCRIPT`.
    pub(crate) fn sh(&self, image: &str, script: &str) -> Result<Output> {
        self.run(image, &["sh", "-c", script])
    }

    /// The binary under test with these arguments.
    pub(crate) fn carrack(&self, args: &[&str]) -> Result<Output> {
        let mut command = self.bed.carrack();
        command.args(args);
        output::run(command, b"", self.deadline)
    }

    /// A directory that guests may be given, with these files.
    pub(crate) fn directory(&self, files: &[(&str, &[u8])]) -> Result<PathBuf> {
        let directory = self.bed.path("shared").join(self.name);
        fs::create_dir_all(&directory)?;
        self.bed.give(&directory)?;
        for (name, bytes) in files {
            let path = directory.join(name);
            fs::write(&path, bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            self.bed.give(&path)?;
        }
        Ok(directory)
    }

    /// Repeats a check until it holds or the time is over.
    pub(crate) fn until(&self, what: &str, mut check: impl FnMut() -> Result<bool>) -> Result<()> {
        while !check()? {
            ensure!(Instant::now() < self.deadline, "never happened: {what}");
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    /// Removes the containers of this test.
    pub(crate) fn clean_up(&self) {
        let mut command = self.bed.docker();
        command.args(["ps", "-a", "--format", "{{.Names}}"]);
        let limit = Instant::now() + Duration::from_secs(20);
        let Ok(list) = output::run(command, b"", limit) else { return };
        let prefix = self.own("");
        for name in list.text().lines().filter(|n| n.starts_with(&prefix)) {
            let mut command = self.bed.docker();
            command.args(["rm", "-f", "-v", name]);
            let _ = output::run(command, b"", Instant::now() + Duration::from_secs(20));
        }
    }
}
