//! Root file systems and binaries for the tests, made once and kept in a cache directory.
//!
//! The cache is `$CARRACK_CACHE`, else `$XDG_CACHE_HOME/carrack`, else `~/.cache/carrack`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{cargo, packages};

/// Raised when what is made below changes, so that older caches are not used.
const RECIPE: &str = "3";

/// What the program tests use, beyond the minimal system.
const PROGRAMS: &[&str] = &[
    "perl",
    "python3",
    "python3-venv",
    "gcc",
    "libc6-dev",
    "make",
    "git",
    "sqlite3",
    "gnupg",
    "openssl",
    "curl",
    "ca-certificates",
    "vim",
    "tmux",
    "busybox-static",
    "nodejs",
    "procps",
    "bc",
    "xz-utils",
    "bzip2",
    "less",
    "file",
];

/// Packages that a guest installs from files.
const DEBS: &[&str] = &["less", "ed"];

fn cache() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let directory = variable("CARRACK_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|d| d.join("carrack")))
        .or_else(|| variable("HOME").map(|d| d.join(".cache/carrack")))
        .context("no cache directory: set CARRACK_CACHE")?;
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}

/// Where Debian comes from; without it, from where debootstrap itself would take it.
fn mirror() -> Option<OsString> {
    std::env::var_os("CARRACK_DEBIAN_MIRROR").filter(|v| !v.is_empty())
}

/// A tar of a minimal Debian 12.
pub(crate) fn base() -> Result<PathBuf> {
    let tar = cache()?.join(format!("debian-12-{RECIPE}.tar"));
    if !tar.exists() {
        make(false)?;
    }
    Ok(tar)
}

/// A tar of the same with the programs that the tests use.
pub(crate) fn programs() -> Result<PathBuf> {
    let tar = cache()?.join(format!("debian-12-programs-{RECIPE}.tar"));
    if !tar.exists() || !base_exists()? || !cache()?.join("debs").exists() {
        make(true)?;
    }
    Ok(tar)
}

fn base_exists() -> Result<bool> {
    Ok(cache()?.join(format!("debian-12-{RECIPE}.tar")).exists())
}

/// Makes the root file system; both tars come from one debootstrap.
fn make(with_programs: bool) -> Result<()> {
    packages::ensure(packages::DEMO)?;
    if !cargo::is_root() {
        bail!(
            "a Debian root file system is made with debootstrap, which needs root, once. As root:\n  \
             CARRACK_CACHE={} cargo xtask setup",
            cache()?.display()
        );
    }
    let cache = cache()?;
    let work = tempfile::Builder::new().prefix("root.").tempdir_in(&cache)?;
    let root = work.path().join("root");
    println!("xtask: making a Debian root file system (once; kept in {})", cache.display());
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "bookworm"]).arg(&root).args(mirror());
    quiet(debootstrap)?;
    // An image has no package cache, and the index of a snapshot would only be old.
    clean(&root)?;
    pack(&root, &cache.join(format!("debian-12-{RECIPE}.tar")))?;
    if with_programs {
        println!("xtask: adding the programs of the tests (once)");
        fs::write(root.join("usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n")?;
        cargo::must(command("chmod", &["755"], &root.join("usr/sbin/policy-rc.d")))?;
        if Path::new("/etc/resolv.conf").exists() {
            fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf"))?;
        }
        let inside = |args: &[&str]| {
            let mut chroot = Command::new("chroot");
            chroot.arg(&root).args([
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            ]);
            chroot.args(args);
            chroot
        };
        quiet(inside(&["apt-get", "update"]))?;
        let debs = cache.join("debs");
        fs::create_dir_all(root.join("debs"))?;
        let download = format!("cd /debs && apt-get -o APT::Sandbox::User=root download {}", DEBS.join(" "));
        quiet(inside(&["sh", "-c", &download]))?;
        let _ = fs::remove_dir_all(&debs);
        cargo::must(command("cp", &["-a", &root.join("debs").to_string_lossy()], &debs))?;
        fs::remove_dir_all(root.join("debs"))?;
        let mut install = vec!["apt-get", "install", "-y", "--no-install-recommends"];
        install.extend(PROGRAMS);
        quiet(inside(&install))?;
        clean(&root)?;
        pack(&root, &cache.join(format!("debian-12-programs-{RECIPE}.tar")))?;
    }
    Ok(())
}

/// Removes what an image does not need.
fn clean(root: &Path) -> Result<()> {
    for directory in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        for entry in fs::read_dir(root.join(directory))?.flatten() {
            if entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Packs a root file system, without device nodes: a container has its own `/dev`.
fn pack(root: &Path, tar: &Path) -> Result<()> {
    let part = tar.with_extension("part");
    let mut command = Command::new("tar");
    command.args(["--numeric-owner", "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", "-C"]);
    command.arg(root).arg("-cf").arg(&part).arg(".");
    cargo::must(command)?;
    Ok(fs::rename(&part, tar)?)
}

fn command(program: &str, args: &[&str], path: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(args).arg(path);
    command
}

/// Runs a talkative command; its output is shown only when it fails.
fn quiet(mut command: Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        bail!("failed: {command:?}\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
    }
    Ok(())
}

/// The interpreter of a virtual environment with the clients that the tests use.
pub(crate) fn python() -> Result<PathBuf> {
    let venv = cache()?.join(format!("python-{RECIPE}"));
    let python = venv.join("bin/python");
    if !venv.join("complete").exists() {
        println!("xtask: installing the Python clients of the tests (once)");
        let _ = fs::remove_dir_all(&venv);
        quiet(command("/usr/bin/python3", &["-m", "venv"], &venv))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "-q", "docker==7.2.0", "testcontainers==4.15.0"]);
        quiet(install)?;
        fs::write(venv.join("complete"), "")?;
    }
    Ok(python)
}

/// A directory of static binaries and packages that guests are given.
pub(crate) fn tools() -> Result<PathBuf> {
    let tools = cache()?.join("tools");
    let sources = cargo::root().join("e2e/guest");
    let _ = fs::remove_dir_all(&tools);
    fs::create_dir_all(tools.join("debs"))?;
    let mut musl = Command::new("musl-gcc");
    musl.args(["-static", "-pthread", "-O1", "-o"]).arg(tools.join("musl")).arg(sources.join("musl.c"));
    quiet(musl)?;
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(tools.join("go")).arg(sources.join("main.go")).current_dir(&sources);
    go.env("CGO_ENABLED", "0").env("GO111MODULE", "off").env("GOCACHE", cache()?.join("go-build"));
    quiet(go)?;
    let mut deb = Command::new(sources.join("make-deb.sh"));
    deb.arg(tools.join("debs"));
    quiet(deb)?;
    for entry in fs::read_dir(cache()?.join("debs")).into_iter().flatten().flatten() {
        fs::copy(entry.path(), tools.join("debs").join(entry.file_name()))?;
    }
    cargo::must(command("chmod", &["-R", "a+rX"], &tools))?;
    Ok(tools)
}
