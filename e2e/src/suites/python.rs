//! Python's libraries for Docker, as programs use them: the scripts are in `e2e/python`.

use std::process::Command;

use anyhow::{Context, Result};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};
use crate::output;

pub(super) const TESTS: &[Test] = tests!("python", 60; containers, images, testcontainers);

const BEGIN: &str = "import docker\nclient = docker.from_env()\n";

/// Runs a script that has a client, the name of an image, and the beginning of names that are the test's own.
fn run(cx: &Cx, script: &str) -> Result<()> {
    let python = cx.bed.args.python.as_ref().context("needs --python")?;
    let names = format!("NAME = {:?}\nIMAGE = {BASE:?}\n", cx.own("py"));
    let mut command = Command::new(python);
    command.arg("-c").arg(format!("{BEGIN}{names}{script}"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", cx.bed.path("client")).env("TESTCONTAINERS_RYUK_DISABLED", "true");
    command.env("DOCKER_HOST", format!("unix://{}", cx.bed.socket().display()));
    output::run(command, b"", cx.deadline)?.good().map(drop)
}

fn containers(cx: &Cx) -> Result<()> {
    run(cx, include_str!("../../python/containers.py"))
}

fn images(cx: &Cx) -> Result<()> {
    run(cx, include_str!("../../python/images.py"))
}

fn testcontainers(cx: &Cx) -> Result<()> {
    run(cx, include_str!("../../python/testcontainers.py"))
}
