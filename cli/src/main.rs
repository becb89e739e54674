//! The `carrack` binary: the daemon, containers without a daemon, images, a client of the daemon, and what the host
//! allows.

mod api;
mod archive;
mod args;
mod attach;
mod build;
mod completion;
mod config;
mod container;
mod containers;
mod cp;
mod dirs;
mod doctor;
mod failure;
mod images;
mod init;
mod man;
mod messages;
mod options;
mod out;
mod probe;
mod progress;
mod registry;
mod run;
mod serve;
mod session;
mod signals;
mod storage;
mod system;
mod terminal;

use args::{Cli, Command, StoreCommand, SystemCommand};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(command) = init::command() {
        return ExitCode::from(init::run(&command));
    }
    completion::answer();
    let cli = Cli::parse();
    start_logging(&cli);
    let result = match &cli.command {
        Command::Serve(args) => serve::serve(&cli, args),
        Command::Supervise(args) => container::supervise(args),
        Command::Run(args) => run::run(&cli, args),
        Command::Trace(args) => run::trace(&cli, args),
        Command::Ps(args) => containers::list(args),
        Command::Logs(args) => containers::logs(args),
        Command::Exec(args) => session::exec(args),
        Command::Attach(args) => session::attach(args),
        Command::Start(args) => containers::start(args),
        Command::Stop(args) => containers::stop(args),
        Command::Kill(args) => containers::kill(args),
        Command::Rm(args) => containers::remove(args),
        Command::Cp(args) => cp::copy(args),
        Command::Images(args) => images::list(&cli, args),
        Command::Pull(args) => registry::pull(&cli, args),
        Command::Push(args) => registry::push(&cli, args),
        Command::Build(args) => build::build(args),
        Command::Import(args) => archive::import(&cli, args),
        Command::Load(args) => archive::load(&cli, args),
        Command::Save(args) => archive::save(&cli, args),
        Command::Tag(args) => images::tag(&cli, args),
        Command::Rmi(args) => images::remove(&cli, args),
        Command::History(args) => images::history(&cli, args),
        Command::Inspect(args) => images::inspect(&cli, args),
        Command::Prune(args) => system::prune(&cli, args),
        Command::Login(args) => registry::login(&cli, args),
        Command::Logout(args) => registry::logout(args),
        Command::System(args) => match &args.what {
            SystemCommand::Df(args) => system::df(&cli, args),
            SystemCommand::Prune(args) => system::prune(&cli, args),
            SystemCommand::Info(args) => system::info(&cli, args),
        },
        Command::Store(args) => match &args.what {
            StoreCommand::Verify(args) => storage::verify(&cli, args),
            StoreCommand::Gc(args) => storage::gc(&cli, args),
        },
        Command::Doctor(args) => doctor::doctor(&cli, args),
        Command::Completion(args) => completion::completion(args),
        Command::Man(args) => man::man(args),
        Command::Version(args) => system::version(args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            out::say(&format!("carrack: {failure}"));
            ExitCode::from(failure.code(if cli.command.gives_containers_code() { failure::OURS } else { 1 }))
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
    // A verb that asks the API in its own process reports the refusal itself.
    let is_daemon = matches!(cli.command, Command::Serve(_)) || level >= LevelFilter::DEBUG;
    let filter = if is_daemon { level.to_string() } else { format!("{level},carrack_api_server::error=off") };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(terminal::is_stderr())
        .with_target(level >= LevelFilter::DEBUG)
        .init();
}
