//! What runs as pid 1 of a container started with `--init`: starts the command, passes signals on to it, reaps orphans.
//!
//! The binary is mounted at `/sbin/docker-init` inside, as Docker's is, and knows by that name what it is to do.

use nix::sys::signal::{SigSet, Signal};
use rustix::process::{Pid, WaitOptions};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The last component of the name under which this is pid 1.
const NAME: &str = "docker-init";

/// The command line after `docker-init --`; `None` when this is no init.
pub(crate) fn command() -> Option<Vec<OsString>> {
    let mut args = std::env::args_os();
    let name = args.next()?;
    if std::path::Path::new(&name).file_name()? != NAME {
        return None;
    }
    Some(args.skip_while(|a| a == "--").collect())
}

/// Runs the command; its exit code.
pub(crate) fn run(command: &[OsString]) -> u8 {
    let Some((program, args)) = command.split_first() else {
        eprintln!("{NAME}: no command");
        return 125;
    };
    // Whatever comes from now on waits until it is looked at.
    let all = SigSet::all();
    if let Err(e) = all.thread_block() {
        eprintln!("{NAME}: {e}");
        return 125;
    }
    // A process group of its own, which becomes the terminal's: a ^C is for the command alone.
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    // SAFETY: a system call on a value of the child's own; it is async-signal-safe.
    unsafe { command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?)) };
    let child = match command.spawn() {
        Ok(child) => child,
        Err(e) => {
            eprintln!("{NAME}: {}: {e}", program.display());
            return if e.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        }
    };
    let Some(child) = Pid::from_raw(child.id() as i32) else { return 125 };
    // Not a terminal, or not ours.
    let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), child);
    loop {
        match all.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            Ok(signal) => {
                // The command may be a zombie already: then its SIGCHLD is on its way.
                // SAFETY: kill takes two numbers.
                unsafe { libc::kill(child.as_raw_nonzero().get(), signal as i32) };
            }
            Err(_) => {}
        }
    }
}

/// Reaps all that have ended; the command's exit code if it is among them.
fn reap(command: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == command {
            let value = status.exit_status().or(status.terminating_signal().map(|s| 128 + s)).unwrap_or(255);
            code = u8::try_from(value & 0xff).ok();
        }
    }
    code
}
