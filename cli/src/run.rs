//! `carrack run` and `carrack trace`: a container for the time of one command.

use crate::args::{self, Cli};
use crate::container::Container;
use crate::failure::{Failure, OURS};
use crate::signals::{Event, Passed};
use crate::{attach, session, signals, terminal};
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
    run_container(cli, &args.container, args.kernel_version.as_deref(), Some(to))
}

/// `carrack run`; the container's exit code.
pub(crate) fn run(cli: &Cli, args: &args::Run) -> Result<u8, Failure> {
    if args.needs_daemon() {
        return session::run(args);
    }
    run_container(cli, &args.container, args.kernel_version.as_deref(), None)
}

/// `trace`: where calls are reported to.
fn run_container(
    cli: &Cli,
    args: &args::Container,
    kernel: Option<&str>,
    trace: Option<OwnedFd>,
) -> Result<u8, Failure> {
    terminal::check(args.tty, args.interactive)?;
    let container = Container::create(cli, args, kernel.unwrap_or_default())?;
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
    // A signal that comes before there is a container to pass it on to is passed on afterwards.
    let held = signals::hold(Passed::Signals, args.tty);
    expect_ok(Client::connect(socket)?.call(&Request::Start)?)?;
    let path = socket.to_owned();
    signals::listen(held, move |event| {
        let request = match event {
            Event::Resize(rows, cols) => Request::Resize { rows, cols },
            Event::Signal(signal) => Request::Signal { signal: signal as i32, all: false },
        };
        // A container that has just ended needs no signal.
        let _ = Client::connect(&path).and_then(|mut c| c.call(&request));
    });
    if args.interactive {
        let input = attached.try_clone().map_err(|e| Failure::doing("dup", e))?;
        // There is nothing to leave: the container ends with its client.
        attach::send_input(input, args.tty, None).map_err(|e| Failure::doing("cannot make a thread", e))?;
    }
    let streamed = attach::receive_output(&mut attached, args.tty);
    drop(raw);
    streamed.map_err(|e| Failure::doing("output", e))?;
    match read_line(&mut waiting)? {
        Reply::Exited { code } => Ok(u8::try_from(code & 0xff).unwrap_or(OURS)),
        Reply::Error { message, .. } => Err(Failure::new(message)),
        other => Err(Failure::new(format!("unexpected reply {other:?}"))),
    }
}

fn expect_ok(reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Ok => Ok(()),
        Reply::Error { kind: ErrorKind::CommandNotFound, message } => Err(Failure::with_code(127, message)),
        Reply::Error { kind: ErrorKind::CommandNotExecutable, message } => {
            Err(Failure::with_code(126, message))
        }
        Reply::Error { message, .. } => Err(Failure::new(message)),
        other => Err(Failure::new(format!("unexpected reply {other:?}"))),
    }
}
