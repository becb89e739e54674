//! `cargo xtask`: what the README's commands and `.ci/run` call. Every command does its own set-up: packages through apt-get
//! where root is there, images into a cache directory, the release binary by cargo.

mod cargo;
mod demo;
mod images;
mod packages;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Builds, shows and tests Carrack")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Build, make an image, start the daemon, run containers through the docker client, stop
    Demo,
    /// Everything that must pass: formatting, lints, unit tests, conformance, end-to-end tests
    Test,
    /// Guest programs natively and as guests, compared (arguments go to the runner)
    Conformance { args: Vec<String> },
    /// End-to-end tests with the docker client (arguments go to the runner)
    E2e { args: Vec<String> },
    /// The side-by-side table; with `criterion`, the benches of single calls (arguments go to the program)
    Bench { args: Vec<String> },
    /// Write the manual pages and build the book
    Docs,
    /// Only the set-up: packages and images
    Setup,
}

fn main() -> ExitCode {
    let mut words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // What follows one of these commands belongs to the program that it starts.
    if words.get(1).is_some_and(|w| w == "conformance" || w == "e2e" || w == "bench") && words.len() > 2 {
        words.insert(2, "--".into());
    }
    match run(Args::parse_from(words).what) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(what: What) -> Result<bool> {
    match what {
        What::Demo => demo::demo(),
        What::Test => test::test(),
        What::Conformance { args } => test::conformance(&args),
        What::E2e { args } => test::e2e(&args),
        What::Bench { args } => test::bench(&args),
        What::Docs => test::docs(),
        What::Setup => {
            packages::ensure(packages::ALL)?;
            images::programs()?;
            images::tools()?;
            Ok(true)
        }
    }
}
