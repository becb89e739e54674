//! Compiles the guest programs, again only when a source is newer than the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::programs::{self, Linking, Program};
use crate::table;

/// Compiles the driver and the given programs into `target/conformance` and returns that directory.
pub(crate) fn compile(programs: &[Program]) -> Result<PathBuf> {
    let out = target_directory().join("conformance");
    fs::create_dir_all(&out)?;
    let directory = programs::directory();
    table::write(&out)?;
    let mut headers = vec![out.join("table.h")];
    for entry in fs::read_dir(&directory)? {
        headers.push(entry?.path());
    }
    headers.retain(|h| h.extension().is_some_and(|e| e == "h"));
    let headers = newest(&headers);
    build(&directory.join("driver.c"), &out.join("driver"), Linking::Static, headers)?;
    for program in programs {
        build(&program.source, &out.join(&program.name), program.linking, headers)?;
    }
    Ok(out)
}

fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
    }
}

fn newest(files: &[PathBuf]) -> Option<SystemTime> {
    files.iter().filter_map(|f| fs::metadata(f).ok()?.modified().ok()).max()
}

fn build(source: &Path, program: &Path, linking: Linking, headers: Option<SystemTime>) -> Result<()> {
    let made = newest(&[program.to_owned()]);
    if made.is_some() && made >= newest(&[source.to_owned()]).max(headers) {
        return Ok(());
    }
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-w", "-pthread", "-Werror=implicit-function-declaration"]);
    if let Some(out) = program.parent() {
        gcc.arg("-I").arg(out);
    }
    if linking == Linking::Static {
        gcc.arg("-static");
    }
    let output = gcc.arg("-o").arg(program).arg(source).arg("-lrt").output().context("cannot run gcc")?;
    if !output.status.success() {
        bail!("{} does not compile:\n{}", source.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
