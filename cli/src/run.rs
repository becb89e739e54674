//! `carrack run` and `carrack trace`: a container for the time of one command.

use crate::args::{self, Cli};
use crate::container::Container;
use crate::failure::{Failure, OURS};
use crate::{attach, signals, terminal};
use carrack_emu::control::{Client, ErrorKind, Reply, Request, read_line, write_line};
use rustix::fd::OwnedFd;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// `carrack trace`.
pub(crate) fn trace(cli: &Cli, args: &args::Trace) -> Result<u8, Failure> {
    let to: OwnedFd = match &args.output {
        Some(path) => File::create(path).map_err(|e| Failure::doing(path.display(), e))?.into(),
        None => rustix::io::dup(rustix::stdio::stderr()).map_err(|e| Failure::doing("standard error", e))?,
    };
    let run = &args.container;
    run_container(cli, run, Some(to))
}

/// `carrack run`; the container's exit code. `trace`: where calls are reported to.
pub(crate) fn run(cli: &Cli, args: &args::Run, trace: Option<OwnedFd>) -> Result<u8, Failure> {
    run_container(cli, &args.container, trace)
}

fn run_container(cli: &Cli, args: &args::Container, trace: Option<OwnedFd>) -> Result<u8, Failure> {
    if args.tty && args.interactive && !terminal::is_stdin() {
        return Err(Failure::new(OURS, "the input device is not a TTY"));
    }
    let container = Container::create(cli, args)?;
    let supervisor = container.start_supervisor(trace)?;
    let socket = container.socket();
    let result = drive(&socket, args);
    if result.is_err() {
        // Ended already, most likely.
        let _ = Client::connect(&socket).and_then(|mut c| c.call(&Request::Shutdown));
    }
    supervisor.wait();
    drop(container);
    result
}

/// Attaches, starts, and waits.
fn drive(socket: &Path, args: &args::Container) -> Result<u8, Failure> {
    let mut attached = UnixStream::connect(socket).map_err(|e| Failure::doing("the supervisor", e))?;
    let request = Request::Attach { stdin: args.interactive, stdout: true, stderr: true };
    write_line(&mut attached, &request)?;
    expect_ok(read_line(&mut attached)?)?;
    let mut waiting = UnixStream::connect(socket).map_err(|e| Failure::doing("the supervisor", e))?;
    write_line(&mut waiting, &Request::Wait)?;
    // Raw before the start: the program must not see the line discipline's echo of what was typed early.
    let raw = if args.tty && args.interactive { terminal::Raw::enter() } else { None };
    expect_ok(Client::connect(socket)?.call(&Request::Start)?)?;
    signals::pass_on(socket.to_owned(), args.tty);
    if args.interactive {
        let input = attached.try_clone().map_err(|e| Failure::doing("dup", e))?;
        attach::send_input(input, args.tty).map_err(|e| Failure::doing("cannot make a thread", e))?;
    }
    let streamed = attach::receive_output(&mut attached, args.tty);
    drop(raw);
    streamed.map_err(|e| Failure::doing("output", e))?;
    match read_line(&mut waiting)? {
        Reply::Exited { code } => Ok(u8::try_from(code & 0xff).unwrap_or(OURS)),
        Reply::Error { message, .. } => Err(Failure::new(OURS, message)),
        other => Err(Failure::new(OURS, format!("unexpected reply {other:?}"))),
    }
}

fn expect_ok(reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Ok => Ok(()),
        Reply::Error { kind, message } => Err(Failure::new(
            match kind {
                ErrorKind::CommandNotFound => 127,
                ErrorKind::CommandNotExecutable => 126,
                _ => OURS,
            },
            message,
        )),
        other => Err(Failure::new(OURS, format!("unexpected reply {other:?}"))),
    }
}
