//! `carrack-e2e`: the real docker client against `carrack serve`, which runs as an ordinary user without any privilege.
//!
//! Every test is a function of a suite; a test uses names of its own and is cleaned up after, so that several run at once.
//! At the end nothing may be left: no process, and no change to a canary directory beside the state.
//!
//! Exit codes: 0 all passed, 1 some failed, 2 the tests could not run.

mod bed;
mod elf;
mod http;
mod output;
mod registry;
mod suites;
mod tarball;
mod terminal;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;

use crate::bed::{Bed, Cx};

/// What the tests need.
#[derive(Debug, Clone, Parser)]
#[command(name = "carrack-e2e", about = "End-to-end tests with the docker client")]
pub(crate) struct Args {
    /// The binary under test
    #[arg(long, value_name = "FILE", env = "CARRACK")]
    carrack: PathBuf,
    /// A tar of a minimal Debian root file system
    #[arg(long, value_name = "TAR")]
    base: PathBuf,
    /// The same with the programs that the program tests use; without it they are skipped
    #[arg(long, value_name = "TAR")]
    programs: Option<PathBuf>,
    /// A directory of static binaries and packages for the guests
    #[arg(long, value_name = "DIR")]
    tools: Option<PathBuf>,
    /// The interpreter of a virtual environment with `docker` and `testcontainers`; without it these tests are skipped
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Only tests whose name (suite::test) contains this (several: any of them)
    #[arg(long, value_name = "PART")]
    filter: Vec<String>,
    /// Tests at the same time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// List the tests
    #[arg(long)]
    list: bool,
    /// Leave the directory with state and logs
    #[arg(long)]
    keep: bool,
}

/// One test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    pub(crate) suite: &'static str,
    pub(crate) name: &'static str,
    /// Seconds after which its commands are killed.
    pub(crate) seconds: u64,
    /// Needs the image with programs.
    pub(crate) programs: bool,
    pub(crate) run: fn(&Cx) -> Result<()>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let tests: Vec<Test> = suites::all()
        .into_iter()
        .filter(|t| {
            let name = format!("{}::{}", t.suite, t.name);
            args.filter.is_empty() || args.filter.iter().any(|f| name.contains(f.as_str()))
        })
        .collect();
    if args.list {
        for test in &tests {
            println!("{}::{}", test.suite, test.name);
        }
        return ExitCode::SUCCESS;
    }
    match run(&args, &tests) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("carrack-e2e: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args, tests: &[Test]) -> Result<bool> {
    if tests.is_empty() {
        bail!("no test matches");
    }
    let start = Instant::now();
    let bed = Bed::start(args, "shared")?;
    bed.import_base()?;
    let with_programs = args.programs.is_some() && tests.iter().any(|t| t.programs);
    if with_programs {
        bed.import_programs()?;
    }
    println!("ready after {:.1} s, {} tests", start.elapsed().as_secs_f64(), tests.len());
    let queue = Mutex::new(tests.iter());
    let failures: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let skipped = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().map(|mut q| q.next().copied());
                    let Ok(Some(test)) = next else { return };
                    let name = format!("{}::{}", test.suite, test.name);
                    let lacks_python = test.suite == "python" && args.python.is_none();
                    if (test.programs && !with_programs) || lacks_python {
                        println!("skip {name}");
                        *lock(&skipped) += 1;
                        continue;
                    }
                    let begin = Instant::now();
                    let cx = Cx::new(&bed, &test, Duration::from_secs(test.seconds));
                    let result = std::panic::catch_unwind(AssertUnwindSafe(|| (test.run)(&cx)));
                    cx.clean_up();
                    let seconds = begin.elapsed().as_secs_f64();
                    match result {
                        Ok(Ok(())) => println!("ok   {name} ({seconds:.1} s)"),
                        Ok(Err(error)) => {
                            println!("FAIL {name} ({seconds:.1} s): {error:#}");
                            lock(&failures).push(name);
                        }
                        Err(_) => {
                            println!("FAIL {name} ({seconds:.1} s): panicked");
                            lock(&failures).push(name);
                        }
                    }
                }
            });
        }
    });
    if let Err(error) = bed.finish() {
        println!("FAIL end: {error:#}");
        lock(&failures).push("end".to_owned());
    }
    let failures = lock(&failures);
    let skipped = *lock(&skipped);
    for name in failures.iter() {
        println!("failed: {name}");
    }
    let total = tests.len() + 1 - skipped;
    println!(
        "e2e: {} passed, {} failed, {skipped} skipped in {:.0} s",
        total - failures.len(),
        failures.len(),
        start.elapsed().as_secs_f64()
    );
    Ok(failures.is_empty())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
