//! Shell completion: the scripts, and the answers to what they ask.

use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::out;
use clap::CommandFactory;
use clap_complete::env::{CompleteEnv, Shells};

/// The variable by which a script says that it wants candidates.
const VARIABLE: &str = "CARRACK_COMPLETE";

/// Answers a shell's script, if it is one that calls; then this does not return.
pub(crate) fn answer() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// `carrack completion`.
pub(crate) fn completion(args: &args::Completion) -> Result<u8, Failure> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&args.shell)
        .ok_or_else(|| Failure::new(format!("no completion for {}", args.shell)))?;
    let mut text = Vec::new();
    shell
        .write_registration(VARIABLE, "carrack", "carrack", "carrack", &mut text)
        .map_err(|e| Failure::doing("the script", e))?;
    out::print(&text)
}
