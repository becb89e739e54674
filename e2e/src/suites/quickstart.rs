//! The commands of the book's first chapter, as they are written there.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::Cx;
use crate::output;

pub(super) const TESTS: &[Test] = tests!("quickstart", 120; every_command);

const CHAPTER: &str = include_str!("../../../docs/src/quickstart.md");

/// The lines after `$ ` in the blocks that are marked as `console`.
fn commands() -> Vec<&'static str> {
    let mut all = Vec::new();
    let mut is_console = false;
    for line in CHAPTER.lines() {
        match line.strip_prefix("```") {
            Some(kind) => is_console = kind == "console",
            None if is_console => all.extend(line.strip_prefix("$ ")),
            None => {}
        }
    }
    all
}

fn every_command(cx: &Cx) -> Result<()> {
    let commands = commands();
    ensure!(commands.len() > 25, "{commands:?}");
    let home = cx.directory(&[])?;
    for name in ["bin", "r"] {
        fs::create_dir_all(home.join(name))?;
        cx.bed.give(&home.join(name))?;
    }
    fs::copy(&cx.bed.args.base, home.join("debian.tar"))?;
    cx.bed.give(&home.join("debian.tar"))?;
    std::os::unix::fs::symlink(cx.bed.path("carrack"), home.join("bin/carrack"))?;
    let mut script = String::from("set -e\n");
    for line in &commands {
        script.push_str(line);
        script.push('\n');
        if line.ends_with('&') {
            // A reader takes longer than the daemon to get to the next line.
            script.push_str("until carrack ps > /dev/null 2>&1; do sleep 0.05; done\n");
        }
    }
    // The user of the bed, in a shell.
    let ours = cx.bed.carrack();
    let mut shell = Command::new(ours.get_program());
    let mut words: Vec<_> = ours.get_args().collect();
    words.pop();
    shell.args(words).args(["bash", "-c", &script]).env_clear().current_dir(&home);
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}", home.join("bin").display())).env("HOME", &home);
    shell.env("XDG_RUNTIME_DIR", home.join("r"));
    let out = output::run(shell, b"", cx.deadline)?;
    let text = out.good()?;
    for shown in ["HELLO", "Hello from a container", "it was 3", "Successfully built", "Loaded image: hello"]
    {
        ensure!(text.contains(shown), "{shown:?} was not shown: {out}");
    }
    fs::remove_dir_all(&home).context("the home is left")
}
