//! Programs that the commands need, and the Debian packages that have them.

use std::process::Command;

use anyhow::{Result, bail};

use crate::cargo;

/// A program or file, and the package that brings it. Where there are several packages, the first that installs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    program: &'static str,
    packages: &'static [&'static str],
}

const fn need(program: &'static str, packages: &'static [&'static str]) -> Need {
    Need { program, packages }
}

/// For conformance.
pub(crate) const CONFORMANCE: &[Need] =
    &[need("gcc", &["gcc"]), need("/usr/include/stdio.h", &["libc6-dev"]), need("setpriv", &["util-linux"])];

/// For the demo.
pub(crate) const DEMO: &[Need] = &[
    need("debootstrap", &["debootstrap"]),
    need("docker", &["docker-cli", "docker.io"]),
    need("setpriv", &["util-linux"]),
];

/// For everything.
pub(crate) const ALL: &[Need] = &[
    need("gcc", &["gcc"]),
    need("/usr/include/stdio.h", &["libc6-dev"]),
    need("make", &["make"]),
    need("debootstrap", &["debootstrap"]),
    need("docker", &["docker-cli", "docker.io"]),
    need("setpriv", &["util-linux"]),
    need("script", &["bsdutils", "util-linux"]),
    need("musl-gcc", &["musl-tools"]),
    need("go", &["golang-go"]),
    need("busybox", &["busybox-static"]),
    need("dpkg-deb", &["dpkg"]),
    need("xz", &["xz-utils"]),
    need("zstd", &["zstd"]),
    need("docker-registry", &["docker-registry"]),
    need("skopeo", &["skopeo"]),
    need("umoci", &["umoci"]),
    need("buildah", &["buildah"]),
    need("/usr/bin/python3", &["python3"]),
    need("/usr/share/doc/python3-venv", &["python3-venv"]),
    need("skopeo", &["skopeo"]),
];

/// Installs what is missing; without root, says exactly what that is.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|n| !present(n.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !cargo::is_root() {
        let packages: Vec<&str> = missing.iter().map(|n| n.packages[0]).collect();
        let programs: Vec<&str> = missing.iter().map(|n| n.program).collect();
        bail!(
            "missing: {}\nas root: apt-get install --no-install-recommends {}",
            programs.join(", "),
            packages.join(" ")
        );
    }
    cargo::must(apt(&["update", "-qq"]))?;
    for need in missing {
        let installed = need.packages.iter().any(|package| {
            cargo::passes(apt(&["install", "-qq", "-y", "--no-install-recommends", package])).unwrap_or(false)
        });
        if !installed || !present(need.program) {
            bail!("cannot install {} (tried {})", need.program, need.packages.join(", "));
        }
    }
    Ok(())
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(args).stdout(std::process::Stdio::null());
    command
}

/// Whether a program is in the path, or a file exists.
pub(crate) fn present(program: &str) -> bool {
    if program.starts_with('/') {
        return std::path::Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file())
}
