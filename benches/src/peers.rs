//! The legs: how each peer is told to run the measuring program on the same root file system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{Figures, keep};

/// The uid of everything that needs no privilege, where we are root.
const ORDINARY: u32 = 12345;
pub(crate) const IMAGE: &str = "bench:latest";
/// Measurements of a start; the least counts.
const STARTS: u32 = 5;

/// Who runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Native,
    Carrack,
    Proot,
    Bwrap,
    Runc,
    Runsc,
}

impl Peer {
    /// In the order of the table.
    pub const ALL: &[Peer] =
        &[Peer::Native, Peer::Carrack, Peer::Runsc, Peer::Runc, Peer::Bwrap, Peer::Proot];

    /// Its name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Native => "native",
            Peer::Carrack => "carrack",
            Peer::Proot => "proot",
            Peer::Bwrap => "bwrap",
            Peer::Runc => "runc",
            Peer::Runsc => "runsc",
        }
    }
}

/// Files of the benches, in a directory of their own.
#[derive(Debug)]
pub struct Scene {
    directory: tempfile::TempDir,
    base: PathBuf,
}

/// The carrack to measure and the tar of a root file system, as `cargo xtask bench` names them.
pub const CARRACK: &str = "CARRACK";
/// See [`CARRACK`].
pub const BASE: &str = "CARRACK_BENCH_BASE";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Scene {
    /// A scene for this binary and this tar.
    ///
    /// # Errors
    /// Where a directory cannot be made or the measuring program not be compiled.
    pub fn new(carrack: &Path, base: &Path) -> Result<Scene> {
        let directory = tempfile::Builder::new().prefix("carrack-bench.").tempdir_in("/tmp")?;
        let scene = Scene { directory, base: base.to_owned() };
        fs::set_permissions(scene.path(""), fs::Permissions::from_mode(0o755))?;
        for name in ["work", "data", "home", "share"] {
            fs::create_dir(scene.path(name))?;
            if is_root() {
                chown(scene.path(name), Some(ORDINARY), Some(ORDINARY))?;
            }
        }
        fs::copy(carrack, scene.path("carrack"))
            .with_context(|| format!("cannot copy {}", carrack.display()))?;
        fs::set_permissions(scene.path("carrack"), fs::Permissions::from_mode(0o755))?;
        scene.compile()?;
        Ok(scene)
    }

    /// The scene that the environment describes, with Carrack's image imported; nothing where it describes none.
    ///
    /// # Errors
    /// As [`Scene::new`] and [`Scene::import`].
    pub fn of_environment() -> Result<Option<Scene>> {
        let [carrack, base] = [CARRACK, BASE].map(|name| std::env::var_os(name).map(PathBuf::from));
        let (Some(carrack), Some(base)) = (carrack, base) else {
            println!(
                "{CARRACK} and {BASE} are not set: these benches run through `cargo xtask bench criterion`"
            );
            return Ok(None);
        };
        let scene = Scene::new(&carrack, &base)?;
        scene.import()?;
        Ok(Some(scene))
    }

    /// Compiles the measuring program.
    fn compile(&self) -> Result<()> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/bench.c");
        let program = self.path("bench");
        let status =
            Command::new("gcc").args(["-O2", "-static", "-w", "-o"]).arg(&program).arg(source).status()?;
        if !status.success() {
            bail!("gcc: {status}");
        }
        Ok(fs::set_permissions(program, fs::Permissions::from_mode(0o755))?)
    }

    /// A path below the directory; the measuring program is `bench`, seen by guests as `/bench/bench`.
    pub fn path(&self, name: &str) -> PathBuf {
        if name == "bench" {
            return self.directory.path().join("share/bench");
        }
        self.directory.path().join(name)
    }

    pub(crate) fn ordinary(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        if is_root() {
            let id = ORDINARY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--bounding-set", "-all"]);
            command.args(["--inh-caps", "-all"]);
        }
        command.arg("--no-new-privs").arg(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command.env("HOME", self.path("home")).current_dir(self.path("home"));
        command
    }

    /// Makes what the peer needs.
    ///
    /// # Errors
    /// Why it cannot take part.
    pub fn prepare(&self, peer: Peer) -> Result<()> {
        if peer != Peer::Native && peer != Peer::Carrack && !installed(peer.name()) {
            bail!("not installed");
        }
        self.unpack()?;
        match peer {
            Peer::Carrack => self.import()?,
            Peer::Runc | Peer::Runsc => {
                if !is_root() {
                    bail!("needs root");
                }
                self.bundle()?;
            }
            _ => {}
        }
        if peer != Peer::Native {
            succeed(self.command(peer, &["bench", "true"])?).context("cannot run a program")?;
        }
        Ok(())
    }

    /// Unpacks the root file system, which the peers work on and which is searched natively.
    fn unpack(&self) -> Result<()> {
        if !self.path("root").exists() {
            // Unpacked by the ordinary user's rights where we have no others: its files then all belong to it.
            fs::create_dir(self.path("root"))?;
            let status = Command::new("tar")
                .args(["--exclude=./dev/*", "-C"])
                .arg(self.path("root"))
                .arg("-xf")
                .arg(&self.base)
                .status()?;
            if !status.success() {
                bail!("tar: {status}");
            }
            fs::create_dir_all(self.path("root/bench"))?;
            fs::set_permissions(self.path("root/tmp"), fs::Permissions::from_mode(0o1777))?;
        }
        Ok(())
    }

    /// Makes Carrack's image of it.
    ///
    /// # Errors
    /// What `carrack import` says.
    pub fn import(&self) -> Result<()> {
        // The tar may be in a directory that the ordinary user cannot enter.
        let copy = self.path("base.tar");
        fs::hard_link(&self.base, &copy).or_else(|_| fs::copy(&self.base, &copy).map(|_| ()))?;
        let mut import = self.ordinary(&self.path("carrack"));
        import.arg("import").arg("--data-root").arg(self.path("data")).arg(&copy).arg(IMAGE);
        succeed(import)
    }

    /// An OCI bundle for runc and runsc.
    fn bundle(&self) -> Result<()> {
        let bundle = self.path("bundle");
        if bundle.exists() {
            return Ok(());
        }
        fs::create_dir(&bundle)?;
        let mut spec = Command::new("runc");
        if !installed("runc") {
            spec = Command::new("runsc");
        }
        spec.arg("spec").current_dir(&bundle);
        succeed(spec)?;
        let text = fs::read_to_string(bundle.join("config.json"))?;
        let mut config: serde_json::Value = serde_json::from_str(&text)?;
        config["root"] = serde_json::json!({"path": self.path("root"), "readonly": false});
        config["process"]["terminal"] = false.into();
        config["process"]["env"] =
            serde_json::json!(["PATH=/usr/local/bin:/usr/bin:/bin", "BENCH_DIR=/tmp", "BENCH_ROOT=/"]);
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.push(serde_json::json!({"destination": "/bench", "type": "bind", "source": self.path("share"), "options": ["bind"]}));
        }
        Ok(fs::write(bundle.join("config.template"), serde_json::to_string(&config)?)?)
    }

    /// A command that runs a program of the root file system, or `bench`, under the peer.
    pub fn command(&self, peer: Peer, words: &[&str]) -> Result<Command> {
        let (first, rest) = words.split_first().context("no program")?;
        let guest = if *first == "bench" { "/bench/bench" } else { first };
        let root = self.path("root");
        let mut command = match peer {
            Peer::Native => {
                let program = if *first == "bench" { self.path("bench") } else { PathBuf::from(first) };
                let mut command = self.ordinary(&program);
                command.env("BENCH_DIR", self.path("work")).env("BENCH_ROOT", &root);
                command
            }
            Peer::Carrack => {
                let mut command = self.ordinary(&self.path("carrack"));
                command.arg("run").arg("--data-root").arg(self.path("data"));
                command.arg("-v").arg(format!("{}:/bench", self.path("share").display()));
                command.args(["-i", "-e", "BENCH_DIR=/tmp", "-e", "BENCH_ROOT=/", IMAGE, "--", guest]);
                command
            }
            Peer::Proot => {
                let mut command = Command::new("proot");
                command.arg("-r").arg(&root).args(["-b", "/proc", "-b", "/dev", "-w", "/tmp", "-b"]);
                command.arg(format!("{}:/bench", self.path("share").display())).arg(guest);
                command.env("BENCH_DIR", "/tmp").env("BENCH_ROOT", "/").env("PROOT_NO_SECCOMP", "0");
                command.env_remove("PROOT_NO_SECCOMP").env("PROOT_TMP_DIR", "/tmp");
                command
            }
            Peer::Bwrap => {
                let mut command = Command::new("bwrap");
                command.arg("--bind").arg(&root).args(["/", "--proc", "/proc", "--dev", "/dev", "--bind"]);
                command.arg(self.path("share")).args([
                    "/bench",
                    "--unshare-pid",
                    "--setenv",
                    "BENCH_DIR",
                    "/tmp",
                ]);
                command.args(["--setenv", "BENCH_ROOT", "/", guest]);
                command
            }
            Peer::Runc | Peer::Runsc => {
                let bundle = self.path("bundle");
                let mut config: serde_json::Value =
                    serde_json::from_str(&fs::read_to_string(bundle.join("config.template"))?)?;
                let mut args = vec![guest];
                args.extend(rest);
                config["process"]["args"] = serde_json::json!(args);
                fs::write(bundle.join("config.json"), serde_json::to_string(&config)?)?;
                let mut command = Command::new(peer.name());
                if peer == Peer::Runsc {
                    command.args(["--ignore-cgroups", "--network=none"]);
                }
                let id = format!("bench-{}-{:?}", std::process::id(), Instant::now().elapsed().as_nanos());
                command.arg("run").arg("-b").arg(&bundle).arg(id);
                command.stdin(Stdio::null());
                return Ok(command);
            }
        };
        command.args(rest).stdin(Stdio::null());
        Ok(command)
    }

    /// What it takes to start and end a static program.
    pub fn starts(&self, peer: Peer, figures: &mut Figures, order: &mut Vec<String>) -> Result<()> {
        for _ in 0..STARTS {
            let mut command = self.command(peer, &["bench", "true"])?;
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let start = Instant::now();
            let good = command.status()?.success();
            let value = good.then_some(start.elapsed().as_secs_f64() * 1e9);
            keep(figures, order, "start of a static true", value);
        }
        Ok(())
    }

    /// Proportional memory in KiB of an idle container, the sleeping program included.
    pub fn idle_memory(&self, peer: Peer) -> Result<Option<f64>> {
        let mut command = self.command(peer, &["/bin/sleep", "20"])?;
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(1500));
        let sum: u64 = descendants(child.id()).iter().map(|pid| proportional(*pid)).sum();
        child.kill()?;
        child.wait()?;
        Ok((sum > 0).then_some(sum as f64))
    }
}

/// A process and everything below it.
fn descendants(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if let Some(parent) = after.split(' ').nth(1).and_then(|p| p.parse::<u32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        at += 1;
    }
    found
}

fn proportional(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Whether a program is in the path.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|d| d.join(program).is_file())
}

pub(crate) fn succeed(mut command: Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
