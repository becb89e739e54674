//! `carrack-conformance run`: both legs, compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::expectations::{self, Disposition};
use crate::leg::{self, Outcome};
use crate::programs::{self, Program};
use crate::report::{self, Case, Verdict};
use crate::{RunArgs, command, compile};

/// The name of the small image that the runner makes.
const IMAGE: &str = "conformance:latest";

/// Runs everything; true when all is as expected.
pub(crate) fn run(args: &RunArgs) -> Result<bool> {
    let all = programs::all()?;
    let expectations = expectations::read(&all)?;
    let chosen: Vec<&Program> = all
        .iter()
        .filter(|p| args.filter.is_empty() || args.filter.iter().any(|f| p.name.contains(f)))
        .collect();
    if chosen.is_empty() {
        bail!("no program matches");
    }
    let skipped = |p: &Program| expectations.get(&p.name).is_some_and(|e| e.disposition == Disposition::Skip);
    let running: Vec<&Program> = chosen.iter().copied().filter(|p| !skipped(p)).collect();
    let compiled = compile::compile(&all)?;
    let scene = Scene::new(&compiled, &running)?;
    let native = scene.native(&running, "native")?;
    let guest =
        if args.native_only { scene.native(&running, "again")? } else { scene.guest(&running, args)? };
    let mut cases = Vec::new();
    for program in &chosen {
        let entry = expectations.get(&program.name);
        let (mut verdict, mut detail) = if skipped(program) {
            (Verdict::Skipped, entry.map(|e| e.reason.clone()).unwrap_or_default())
        } else {
            judge(program, native.get(&program.name), guest.get(&program.name), args)?
        };
        if let Some(entry) =
            entry.filter(|e| e.disposition == Disposition::ExpectFailure && !args.native_only)
        {
            match verdict {
                Verdict::Fail => (verdict, detail) = (Verdict::ExpectedFailure, entry.reason.clone()),
                Verdict::Pass => verdict = Verdict::UnexpectedPass,
                _ => {}
            }
        }
        cases.push(Case { name: program.name.clone(), subject: program.subject.clone(), verdict, detail });
    }
    report::print(&cases);
    if let Some(path) = &args.json {
        report::write_json(path, &cases)?;
    }
    if let Some(path) = &args.junit {
        report::write_junit(path, &cases)?;
    }
    Ok(cases.iter().all(|c| c.verdict.is_good()))
}

/// Compares the two outcomes of a program.
fn judge(
    program: &Program,
    native: Option<&Outcome>,
    guest: Option<&Outcome>,
    args: &RunArgs,
) -> Result<(Verdict, String)> {
    let expected;
    let native = match native {
        Some(native) => native,
        None if program.guest_only => {
            let path = programs::directory().join("expected").join(format!("{}.txt", program.name));
            let output = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            expected = Outcome { result: "exit:0".to_owned(), output };
            &expected
        }
        None => {
            // Root programs where the runner is not root: no oracle, so only that it comes to an end is judged.
            return Ok(match guest {
                Some(guest) if guest.result == "exit:0" => (Verdict::Pass, String::new()),
                Some(guest) => (
                    Verdict::Fail,
                    format!("+ ended: {}\n{}", guest.result, String::from_utf8_lossy(&guest.output)),
                ),
                None => (Verdict::Skipped, "needs root".to_owned()),
            });
        }
    };
    let Some(guest) = guest else { return Ok((Verdict::Skipped, "only as a guest".to_owned())) };
    Ok(match report::difference(native, guest, args.verbose) {
        None => (Verdict::Pass, String::new()),
        Some(detail) => (Verdict::Fail, detail),
    })
}

/// Directories that both the ordinary user and root can use.
struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new(compiled: &Path, programs: &[&Program]) -> Result<Scene> {
        let directory = tempfile::Builder::new().prefix("carrack-conformance.").tempdir_in("/tmp")?;
        let scene = Scene { directory };
        open_up(scene.path())?;
        let guest = scene.path().join("guest");
        fs::create_dir(&guest)?;
        open_up(&guest)?;
        for name in programs.iter().map(|p| p.name.as_str()).chain(["driver"]) {
            let to = guest.join(name);
            fs::copy(compiled.join(name), &to)?;
            open_up(&to)?;
        }
        for name in ["user", "data"] {
            let path = scene.path().join(name);
            fs::create_dir(&path)?;
            scene.give(&path)?;
        }
        fs::create_dir(scene.path().join("root"))?;
        Ok(scene)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Gives a path to the ordinary user.
    fn give(&self, path: &Path) -> Result<()> {
        if command::is_root() {
            let (uid, gid) = command::ordinary_ids();
            chown(path, Some(uid), Some(gid))?;
        }
        Ok(())
    }

    /// The native leg.
    fn native(&self, programs: &[&Program], name: &str) -> Result<BTreeMap<String, Outcome>> {
        let guest = self.path().join("guest");
        let driver = guest.join("driver");
        let mut outcomes = BTreeMap::new();
        for root in [false, true] {
            if root && !command::is_root() {
                continue;
            }
            let work = self.path().join(if root { "root" } else { "user" }).join(name);
            let mine: Vec<&Program> =
                programs.iter().copied().filter(|p| p.root == root && !p.guest_only).collect();
            outcomes.append(&mut leg::run(&mine, false, |specs| {
                let mut command =
                    if root { command::as_container_root(&driver) } else { command::as_ordinary(&driver) };
                command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
                command.arg(&work).arg(&guest).args(specs);
                Ok(command)
            })?);
        }
        Ok(outcomes)
    }

    /// The guest leg: containers of an ordinary user's `carrack run`.
    fn guest(&self, programs: &[&Program], args: &RunArgs) -> Result<BTreeMap<String, Outcome>> {
        let carrack = self.carrack(args)?;
        let (image, data) = match (&args.image, &args.data_root) {
            (Some(image), Some(data)) => (image.clone(), data.clone()),
            _ => (IMAGE.to_owned(), self.make_image(&carrack)?),
        };
        let volume = format!("{}:/guest", self.path().join("guest").display());
        let (uid, gid) = command::ordinary_ids();
        let mut outcomes = BTreeMap::new();
        for root in [false, true] {
            let mine: Vec<&Program> = programs.iter().copied().filter(|p| p.root == root).collect();
            let user = if root { "0:0".to_owned() } else { format!("{uid}:{gid}") };
            outcomes.append(&mut leg::run(&mine, args.isolate, |specs| {
                let mut command = command::as_ordinary(&carrack);
                command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
                command.env("HOME", self.path().join("user"));
                command.arg("run").arg("--data-root").arg(&data);
                command.args(["-v", &volume, "-w", "/tmp", "-u", &user, &image, "--"]);
                command.args(["/guest/driver", "/tmp/work", "/guest"]).args(specs);
                Ok(command)
            })?);
        }
        Ok(outcomes)
    }

    /// A copy of the binary where the ordinary user can execute it.
    fn carrack(&self, args: &RunArgs) -> Result<PathBuf> {
        let Some(carrack) = &args.carrack else { bail!("which carrack? give --carrack FILE") };
        let copy = self.path().join("carrack");
        fs::copy(carrack, &copy).with_context(|| format!("cannot copy {}", carrack.display()))?;
        open_up(&copy)?;
        Ok(copy)
    }

    /// Imports an image that holds what the programs need: users, a few directories, the C library of the host.
    fn make_image(&self, carrack: &Path) -> Result<PathBuf> {
        let root = self.path().join("image");
        for directory in ["etc", "tmp", "bin", "dev", "proc", "sys", "root", "lib64", "lib/x86_64-linux-gnu"]
        {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        for (name, mode, text) in [
            ("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n"),
            ("etc/group", 0o644, "root:x:0:\n"),
            ("etc/shadow", 0o600, "root:*:1::::::\n"),
        ] {
            fs::write(root.join(name), text)?;
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode))?;
        }
        for library in [
            "/lib64/ld-linux-x86-64.so.2",
            "/lib/x86_64-linux-gnu/libc.so.6",
            // Loaded by pthread_cancel.
            "/lib/x86_64-linux-gnu/libgcc_s.so.1",
        ] {
            let to = root.join(&library[1..]);
            fs::copy(library, &to).with_context(|| format!("cannot copy {library}"))?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
        }
        let tar = self.path().join("image.tar");
        let status = Command::new("tar")
            .args(["--owner=0", "--group=0", "--numeric-owner", "--format=pax", "-C"])
            .arg(&root)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status()?;
        if !status.success() {
            bail!("tar: {status}");
        }
        open_up(&tar)?;
        let data = self.path().join("data");
        let mut import = command::as_ordinary(carrack);
        import.env("HOME", self.path().join("user"));
        let output = import.arg("import").arg("--data-root").arg(&data).arg(&tar).arg(IMAGE).output()?;
        if !output.status.success() {
            bail!("carrack import: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(data)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Programs leave directories that cannot be read; the temporary directory could not be removed with them.
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(self.path()).status();
    }
}

fn open_up(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
