//! `carrack-conformance`: runs the programs of `conformance/guest` natively and as guests and compares what they print and
//! how they end. The native kernel is the oracle: nothing is written down that the host can tell.
//!
//! Exit codes: 0 everything as expected, 1 a difference or an unexpected pass, 2 the runner itself could not work.

mod command;
mod compile;
mod expectations;
mod leg;
mod programs;
mod report;
mod run;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "carrack-conformance", about = "Runs programs natively and as guests and compares them")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run the programs and compare
    Run(RunArgs),
    /// List the programs with their subjects
    List,
}

/// What `run` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Only programs whose name contains this (several: any of them)
    #[arg(long, value_name = "PART")]
    filter: Vec<String>,
    /// Only run natively, twice, and compare the two: for writing programs
    #[arg(long)]
    native_only: bool,
    /// An image of the data root given with --data-root, instead of the small one that the runner makes
    #[arg(long, value_name = "NAME", requires = "data_root")]
    image: Option<String>,
    /// Where that image is
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// The binary under test
    #[arg(long, value_name = "FILE", env = "CARRACK")]
    carrack: Option<PathBuf>,
    /// A container for each program, instead of one for all
    #[arg(long)]
    isolate: bool,
    /// Print the whole output of both sides for each difference
    #[arg(long, short)]
    verbose: bool,
}

fn main() -> ExitCode {
    let result = match Args::parse().what {
        What::Run(args) => run::run(&args),
        What::List => programs::list(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("carrack-conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}
