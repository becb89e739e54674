//! `cargo xtask test` and its parts.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::{cargo, images, packages};

/// A named step that may fail.
type Step = (&'static str, fn() -> Result<bool>);

/// Everything; prints a line for each step at the end.
pub(crate) fn test() -> Result<bool> {
    packages::ensure(packages::ALL)?;
    let steps: &[Step] = &[
        ("formatting", || cargo::passes(cargo::cargo(&["fmt", "--all", "--check"]))),
        ("lints", || {
            cargo::passes(cargo::cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ]))
        }),
        ("unit tests", || cargo::passes(cargo::cargo(&["test", "--workspace", "--quiet"]))),
        ("conformance", || conformance(&[])),
        ("end-to-end", || e2e(&[])),
        // Each once, unoptimised and without a measurement.
        ("benches run", || criterion(&["test", "--quiet", "--package", "carrack-benches", "--benches"], &[])),
    ];
    let mut summary = Vec::new();
    for (name, step) in steps {
        println!("xtask: {name}");
        let start = Instant::now();
        let result = step();
        let verdict = match &result {
            Ok(true) => "ok".to_owned(),
            Ok(false) => "FAILED".to_owned(),
            Err(error) => format!("FAILED: {error:#}"),
        };
        summary.push((
            matches!(result, Ok(true)),
            format!("{name:<12} {:>5.0} s  {verdict}", start.elapsed().as_secs_f64()),
        ));
    }
    println!("\nxtask test:");
    for (_, line) in &summary {
        println!("  {line}");
    }
    Ok(summary.iter().all(|(good, _)| *good))
}

/// Runs a crate's binary of the workspace.
fn run(package: &str, args: &[String], more: &[String]) -> Result<bool> {
    let mut command: Command = cargo::cargo(&["run", "--quiet", "--package", package, "--"]);
    command.args(args).args(more);
    cargo::passes(command)
}

fn words(pairs: &[(&str, &PathBuf)]) -> Vec<String> {
    pairs.iter().flat_map(|(flag, path)| [(*flag).to_owned(), path.to_string_lossy().into_owned()]).collect()
}

pub(crate) fn conformance(args: &[String]) -> Result<bool> {
    packages::ensure(packages::CONFORMANCE)?;
    let mut all = vec!["run".to_owned()];
    all.extend(args.iter().cloned());
    if !args.iter().any(|a| a == "--native-only" || a == "--carrack") {
        all.extend(words(&[("--carrack", &cargo::carrack()?)]));
    }
    run("carrack-conformance", &all, &[])
}

pub(crate) fn e2e(args: &[String]) -> Result<bool> {
    packages::ensure(packages::ALL)?;
    let carrack = cargo::carrack()?;
    let programs = images::programs()?;
    let (base, tools, python) = (images::base()?, images::tools()?, images::python()?);
    let all = words(&[
        ("--carrack", &carrack),
        ("--base", &base),
        ("--programs", &programs),
        ("--tools", &tools),
        ("--python", &python),
    ]);
    run("carrack-e2e", &all, args)
}

/// `cargo xtask bench`: the side-by-side program, or the criterion benches.
pub(crate) fn bench(args: &[String]) -> Result<bool> {
    packages::ensure(packages::CONFORMANCE)?;
    if let Some((first, rest)) = args.split_first()
        && first == "criterion"
    {
        return criterion(&["bench", "--package", "carrack-benches", "--benches", "--"], rest);
    }
    println!(
        "xtask: all figures side by side; `cargo xtask bench criterion [FILTER]` follows single calls over time"
    );
    let all = words(&[("--carrack", &cargo::carrack()?), ("--base", &images::programs()?)]);
    run("carrack-benches", &all, args)
}

/// The criterion benches, which are told what to measure by the environment.
fn criterion(command: &[&str], args: &[String]) -> Result<bool> {
    let mut command: Command = cargo::cargo(command);
    command.env("CARRACK", cargo::carrack()?).env("CARRACK_BENCH_BASE", images::base()?).args(args);
    cargo::passes(command)
}

pub(crate) fn docs() -> Result<bool> {
    let pages = cargo::root().join("target/man").to_string_lossy().into_owned();
    if !run("carrack-cli", &["man".to_owned(), pages.clone()], &[])? {
        return Ok(false);
    }
    println!("xtask: the manual pages are in {pages}");
    let mut command = Command::new("mdbook");
    command.arg("build").current_dir(cargo::root().join("docs"));
    if !packages::present("mdbook") {
        println!(
            "xtask: the book is plain Markdown in docs/src; to build it: cargo install mdbook && cargo xtask docs"
        );
        return Ok(true);
    }
    cargo::passes(command)
}
