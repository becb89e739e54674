//! The control socket: workers that accept a connection, read its request, and carry it out or hand it to the reactor.
//!
//! There are as many workers as there will ever be: threads cannot be made any more when a guest has used up the user's
//! process limit. Whatever waits for long (attached clients, waiters, event streams) is the reactor's.

use super::reactor::Command;
use super::stream::Wants;
use super::supervisor::Supervisor;
use super::{Failure, Mode, archive, archive_put, limits, top};
use crate::control::{ErrorKind, Reply, Request, read_line, write_line};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const WORKERS: usize = 8;
/// Enough for the deepest directories that archives walk.
const STACK: usize = 512 << 10;
/// A client that connects and says nothing is dropped after this long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the control socket and starts the workers.
pub(super) fn listen(supervisor: &Arc<Supervisor>) -> Result<(), Failure> {
    let path = supervisor.spec.run_dir.join("control.sock");
    // The container's lock is ours: what is there was left behind.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)
        .map_err(|e| Failure::host(&format!("cannot listen on {}", path.display()), e))?;
    let listener = Arc::new(listener);
    for n in 0..WORKERS {
        let (supervisor, listener) = (supervisor.clone(), listener.clone());
        std::thread::Builder::new()
            .name(format!("control{n}"))
            .stack_size(STACK)
            .spawn(move || accept(&supervisor, &listener))
            .map_err(|e| Failure::host("cannot make a thread", e))?;
    }
    Ok(())
}

fn accept(supervisor: &Supervisor, listener: &UnixListener) {
    loop {
        match listener.accept() {
            Ok((conn, _)) => {
                supervisor.active.fetch_add(1, Ordering::AcqRel);
                serve(supervisor, conn);
                supervisor.touch();
                supervisor.active.fetch_sub(1, Ordering::AcqRel);
            }
            Err(e) => {
                // Out of descriptors, most likely: it passes.
                tracing::warn!("cannot accept a connection: {e}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn serve(supervisor: &Supervisor, mut conn: UnixStream) {
    let _ = conn.set_read_timeout(Some(REQUEST_TIMEOUT));
    let request = match read_line::<Request>(&mut conn) {
        Ok(request) => request,
        Err(crate::control::ControlError::Closed) => return,
        Err(e) => {
            return say(&mut conn, &Failure::new(ErrorKind::Invalid, format!("bad request: {e}")).into());
        }
    };
    let _ = conn.set_read_timeout(None);
    tracing::debug!("request {request:?}");
    match handle(supervisor, request, &mut conn) {
        Ok(Done::Reply(reply)) => say(&mut conn, &reply),
        Ok(Done::Nothing) => {}
        Ok(Done::Hand(make)) => supervisor.reactor.send(make(conn)),
        Err(failure) => say(&mut conn, &failure.into()),
    }
}

/// What is left to do for a connection.
enum Done {
    Reply(Reply),
    /// Everything was said already.
    Nothing,
    /// The connection becomes the reactor's.
    Hand(Box<dyn FnOnce(UnixStream) -> Command>),
}

fn hand(make: impl FnOnce(UnixStream) -> Command + 'static) -> Done {
    Done::Hand(Box::new(make))
}

/// A client that has gone away is nobody's concern.
fn say(conn: &mut UnixStream, reply: &Reply) {
    let _ = write_line(conn, reply);
}

fn handle(s: &Supervisor, request: Request, conn: &mut UnixStream) -> Result<Done, Failure> {
    if s.mode == Mode::Files {
        return handle_files(s, request, conn);
    }
    let ok = Ok(Done::Reply(Reply::Ok));
    match request {
        Request::Start => match s.start() {
            Ok(()) => ok,
            Err(failure) if failure.kind == ErrorKind::Conflict => Err(failure),
            Err(failure) => {
                say(conn, &failure.clone().into());
                s.fail_start(&failure);
                Ok(Done::Nothing)
            }
        },
        Request::State => Ok(Done::Reply(Reply::State { state: s.state.get() })),
        Request::Events => Ok(hand(|conn| Command::Events { conn })),
        Request::Wait => Ok(hand(|conn| Command::Wait { conn, exec: None })),
        Request::Signal { signal, all } => s.signal(signal, all).and(ok),
        Request::Pause => s.pause().and(ok),
        Request::Resume => s.resume().and(ok),
        Request::Resize { rows, cols } => s.resize("", rows, cols).and(ok),
        Request::Attach { stdin, stdout, stderr } => {
            let wants = Wants { stdin, output: [stdout, stderr] };
            Ok(hand(move |conn| Command::Attach { conn, wants }))
        }
        Request::Exec { exec } => Ok(Done::Reply(Reply::Exec { id: s.add_exec(exec)? })),
        Request::ExecAttach { id } => {
            let theirs = conn.try_clone().map_err(|e| Failure::host("dup", e))?;
            match s.start_exec(&id, Some(theirs)) {
                Ok(()) => Ok(Done::Nothing),
                Err((failure, _)) => Err(failure),
            }
        }
        Request::ExecStart { id } => s.start_exec(&id, None).map_err(|(failure, _)| failure).and(ok),
        Request::ExecState { id } => match s.state.exec(&id) {
            Some(state) => Ok(Done::Reply(Reply::ExecState { state })),
            None => Err(super::exec::no_such_exec(&id)),
        },
        Request::ExecWait { id } => Ok(hand(|conn| Command::Wait { conn, exec: Some(id) })),
        Request::ExecResize { id, rows, cols } => match s.state.exec(&id) {
            Some(_) => s.resize(&id, rows, cols).and(ok),
            None => Err(super::exec::no_such_exec(&id)),
        },
        Request::Top => {
            let (titles, processes) = top::list(&s.kernel);
            Ok(Done::Reply(Reply::Top { titles, processes }))
        }
        Request::Stats => {
            Ok(Done::Reply(Reply::Stats { stats: limits::stats(&s.kernel, &s.spec, &s.usage) }))
        }
        Request::Shutdown => Ok(hand(|conn| Command::Shutdown { conn })),
        files => handle_files(s, files, conn),
    }
}

/// Requests that need no running container.
fn handle_files(s: &Supervisor, request: Request, conn: &mut UnixStream) -> Result<Done, Failure> {
    match request {
        Request::Changes => Ok(Done::Reply(Reply::Changes { changes: s.rootfs.changes() })),
        Request::ArchiveStat { path } => Ok(Done::Reply(Reply::PathStat { stat: archive::stat(s, &path)? })),
        Request::ArchiveGet { path } => {
            let source = archive::open(s, &path)?;
            say(conn, &Reply::Ok);
            finish_stream(source.write(conn));
            Ok(Done::Nothing)
        }
        Request::Export => {
            let source = archive::whole(s);
            say(conn, &Reply::Ok);
            finish_stream(source.write(conn));
            Ok(Done::Nothing)
        }
        Request::Layer => {
            say(conn, &Reply::Ok);
            finish_stream(archive::write_layer(s, conn));
            Ok(Done::Nothing)
        }
        Request::ArchivePut { path, no_overwrite_dir_non_dir, copy_uid_gid } => {
            let target = archive_put::open(s, &path, no_overwrite_dir_non_dir, copy_uid_gid)?;
            say(conn, &Reply::Ok);
            let result = target.extract(conn);
            // What is left of the stream would otherwise make the close a reset, and the reply be lost.
            let _ = conn.set_read_timeout(Some(REQUEST_TIMEOUT));
            let _ = std::io::copy(&mut std::io::Read::take(&mut *conn, 1 << 30), &mut std::io::sink());
            say(conn, &result.map_or_else(Reply::from, |()| Reply::Ok));
            Ok(Done::Nothing)
        }
        Request::Shutdown => {
            s.end_files();
            say(conn, &Reply::Ok);
            std::process::exit(0);
        }
        Request::State => Ok(Done::Reply(Reply::State { state: s.state.get() })),
        _ => Err(Failure::new(ErrorKind::Conflict, format!("container {} is not running", s.spec.id))),
    }
}

/// The reply is out: all that a broken stream can still do is end early.
fn finish_stream(result: std::io::Result<()>) {
    if let Err(e) = result {
        tracing::warn!("an archive stream ended early: {e}");
    }
}
