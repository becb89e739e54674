//! The daemon as a whole, spoken to over its socket as clients do it, on top of a supervisor of a hundred lines that runs
//! the container's command as a plain host process.
//!
//! One binary in three roles: the tests, the daemon (a process of its own, so that it can be killed), and the supervisor.

mod client;
mod supervisor;
mod tests;

use std::path::PathBuf;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("supervise") => supervisor::main(PathBuf::from(args.last().expect("a container directory"))),
        Some("--serve") => serve(&args[1], args.get(2)),
        // Listing is all that a test runner asks beside running.
        Some("--list") => {}
        filter => tests::run(filter.filter(|f| !f.starts_with('-'))),
    }
}

/// `--serve ROOT [EXE]`: a daemon below ROOT, until it is killed.
fn serve(root: &str, exe: Option<&String>) {
    let root = PathBuf::from(root);
    let config = carrack_api_server::Config {
        data_root: root.join("data"),
        run_root: root.join("run"),
        hosts: vec![carrack_api_server::Host::Unix(root.join("api.sock"))],
        exe: exe.map_or_else(|| std::env::current_exe().expect("our own path"), PathBuf::from),
        registries: Default::default(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let served = runtime.block_on(carrack_api_server::serve(config, std::future::pending(), |addresses| {
        println!("{}", addresses.join(" "));
    }));
    if let Err(e) = served {
        eprintln!("{e}");
        std::process::exit(1);
    }
}
