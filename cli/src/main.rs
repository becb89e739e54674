//! The `carrack` binary: the daemon, containers without a daemon, images, and what the host allows.

mod args;
mod attach;
mod config;
mod container;
mod dirs;
mod doctor;
mod failure;
mod images;
mod init;
mod options;
mod probe;
mod run;
mod serve;
mod signals;
mod terminal;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use failure::Failure;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(command) = init::command() {
        return ExitCode::from(init::run(&command));
    }
    let cli = Cli::parse();
    start_logging(&cli);
    let result = match cli.command {
        Command::Serve(ref args) => serve::serve(&cli, args),
        Command::Supervise(ref args) => container::supervise(args),
        Command::Run(ref args) => run::run(&cli, args, None),
        Command::Trace(ref args) => run::trace(&cli, args),
        Command::Import(ref args) => images::import(&cli, args),
        Command::Load(ref args) => images::load(&cli, args),
        Command::Images(ref args) => images::list(&cli, args),
        Command::Rmi(ref args) => images::remove(&cli, args),
        Command::Tag(ref args) => images::tag(&cli, args),
        Command::Doctor(ref args) => doctor::doctor(&cli, args),
        Command::Completion { shell } => completion(shell),
        Command::Man => man(),
        Command::Version => version(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("carrack: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Messages go to standard error: warnings, or what `--log-level`, `--debug` and CARRACK_LOG ask for.
fn start_logging(cli: &Cli) {
    use tracing::level_filters::LevelFilter;
    let level = match (cli.debug, &cli.log_level) {
        (true, _) => LevelFilter::DEBUG,
        (false, Some(level)) => (*level).into(),
        (false, None) => match &cli.command {
            Command::Serve(args) => serve::log_level(args),
            _ => LevelFilter::WARN,
        },
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(rustix::termios::isatty(rustix::stdio::stderr()))
        .with_target(level >= LevelFilter::DEBUG)
        .init();
}

fn completion(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "carrack", &mut text);
    print(&text)
}

fn man() -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(|e| Failure::new(125, e))?;
    print(&text)
}

fn version() -> Result<u8, Failure> {
    let host = rustix::system::uname();
    let text = format!(
        "carrack {}\nhost: {} {} {}\n",
        env!("CARGO_PKG_VERSION"),
        host.sysname().to_string_lossy(),
        host.release().to_string_lossy(),
        host.machine().to_string_lossy()
    );
    print(text.as_bytes())
}

/// Writes to standard output; a reader that has left is no failure.
fn print(bytes: &[u8]) -> Result<u8, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(125, e)),
        _ => Ok(0),
    }
}
