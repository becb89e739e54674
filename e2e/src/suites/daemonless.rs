//! `carrack run`, `trace`, `doctor`, `import` without a daemon.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};

pub(super) const TESTS: &[Test] = tests!("daemonless", 60;
    run_without_daemon, run_options, run_exit_codes, trace_program, doctor_report, wrong_usage, static_binary,
);

/// The data root is the daemon's: the store is shared.
fn data(cx: &Cx) -> String {
    cx.bed.path("data").to_string_lossy().into_owned()
}

fn run_without_daemon(cx: &Cx) -> Result<()> {
    let data = data(cx);
    let out = cx
        .carrack(&["run", "--data-root", &data, BASE, "--", "sh", "-c", "cat /etc/debian_version; id -u"])?
        .good()?;
    ensure!(out.starts_with("12.") && out.ends_with("\n0"), "{out}");
    let start = Instant::now();
    cx.carrack(&["run", "--data-root", &data, BASE, "--", "true"])?.good()?;
    ensure!(start.elapsed().as_millis() < 3000, "a start takes {:?}", start.elapsed());
    Ok(())
}

fn run_options(cx: &Cx) -> Result<()> {
    let data = data(cx);
    let directory = cx.directory(&[("f", b"in")])?;
    let volume = format!("{}:/d", directory.display());
    cx.carrack(&[
        "run",
        "--data-root",
        &data,
        "-e",
        "A=b c",
        "-v",
        &volume,
        "-w",
        "/usr",
        "-u",
        "1000:1000",
        BASE,
        "--",
        "sh",
        "-c",
        "echo $A; cat /d/f; echo; pwd; id -u",
    ])?
    .prints("b c\nin\n/usr\n1000")
}

fn run_exit_codes(cx: &Cx) -> Result<()> {
    let data = data(cx);
    cx.carrack(&["run", "--data-root", &data, BASE, "--", "sh", "-c", "exit 33"])?.code(33)?;
    cx.carrack(&["run", "--data-root", &data, BASE, "--", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"])?
        .code(137)?;
    cx.carrack(&["run", "--data-root", &data, BASE, "--", "nosuch"])?
        .fails(127, "executable file not found")?;
    cx.carrack(&["run", "--data-root", &data, BASE, "--", "/etc"])?.code(126)?;
    cx.carrack(&["run", "--pull", "never", "--data-root", &data, "nosuch:1", "--", "true"])?
        .fails(125, "nosuch:1")
}

fn trace_program(cx: &Cx) -> Result<()> {
    let out = cx.carrack(&[
        "trace",
        "--data-root",
        &data(cx),
        BASE,
        "--",
        "cat",
        "/etc/hostname",
        "/no/such/file",
    ])?;
    let text = out.errors() + &out.text();
    ensure!(text.contains("/no/such/file") && text.contains("ENOENT"), "no failing open is shown: {out}");
    ensure!(text.contains("execve"), "no execve is shown: {out}");
    Ok(())
}

fn doctor_report(cx: &Cx) -> Result<()> {
    let text = cx.carrack(&["doctor"])?.text();
    ensure!(text.lines().count() > 3 && text.to_lowercase().contains("seccomp"), "{text}");
    Ok(())
}

fn wrong_usage(cx: &Cx) -> Result<()> {
    ensure!(cx.carrack(&["nosuchverb"])?.code != 0);
    ensure!(cx.carrack(&["import", "--data-root", &data(cx), "/no/such/file.tar", "x:1"])?.code != 0);
    ensure!(cx.carrack(&["--help"])?.good()?.contains("serve"));
    ensure!(!cx.carrack(&["--version"])?.good()?.is_empty());
    Ok(())
}

fn static_binary(cx: &Cx) -> Result<()> {
    let bytes = std::fs::read(cx.bed.path("carrack"))?;
    ensure!(
        !bytes.windows(28).any(|w| w == b"/lib64/ld-linux-x86-64.so.2\0") || is_static(&bytes),
        "it has an interpreter"
    );
    println!("     the binary has {} bytes", bytes.len());
    Ok(())
}

/// No PT_INTERP among the program headers.
fn is_static(bytes: &[u8]) -> bool {
    let word = |at: usize, n: usize| -> usize {
        bytes.get(at..at + n).map_or(0, |b| b.iter().rev().fold(0, |v, x| v << 8 | usize::from(*x)))
    };
    let (table, size, count) = (word(32, 8), word(54, 2), word(56, 2));
    (0..count).all(|i| word(table + i * size, 4) != 3)
}
