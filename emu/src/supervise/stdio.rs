//! Standard streams of init and of execs: pipes, or a terminal of the host.

use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};
use std::io;
use std::sync::Arc;

/// The supervisor's ends. With a terminal, all that is there is its master.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// To the process's standard input.
    pub(super) input: Option<Arc<OwnedFd>>,
    /// From standard output and standard error.
    pub(super) output: [Option<Arc<OwnedFd>>; 2],
    /// The master, for changes of the window's size.
    pub(super) terminal: Option<Arc<OwnedFd>>,
}

/// Which of the three streams somebody may be interested in; the others are `/dev/null`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) input: bool,
    pub(super) output: bool,
    pub(super) error: bool,
}

/// Makes pipes; the second result is the process's ends.
pub(super) fn pipes(wanted: Wanted) -> io::Result<(Streams, [OwnedFd; 3])> {
    let null = |write: bool| {
        let mode = if write { OFlags::WRONLY } else { OFlags::RDONLY };
        rustix::fs::open("/dev/null", mode | OFlags::CLOEXEC, rustix::fs::Mode::empty())
    };
    let (input, guest_in) = if wanted.input {
        let (r, w) = pipe_with(PipeFlags::CLOEXEC)?;
        set_nonblocking(&w)?;
        (Some(Arc::new(w)), r)
    } else {
        (None, null(false)?)
    };
    let output = |is_wanted: bool| -> io::Result<(Option<Arc<OwnedFd>>, OwnedFd)> {
        if !is_wanted {
            return Ok((None, null(true)?));
        }
        let (r, w) = pipe_with(PipeFlags::CLOEXEC)?;
        set_nonblocking(&r)?;
        Ok((Some(Arc::new(r)), w))
    };
    let (out, guest_out) = output(wanted.output)?;
    let (err, guest_err) = output(wanted.error)?;
    Ok((Streams { input, output: [out, err], terminal: None }, [guest_in, guest_out, guest_err]))
}

/// Makes a terminal; `size` is rows and columns.
pub(super) fn terminal(size: Option<(u16, u16)>) -> io::Result<(Streams, [OwnedFd; 3])> {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::unlockpt(&master)?;
    if let Some((rows, cols)) = size {
        resize(&master, rows, cols)?;
    }
    let slave_flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    // By the master rather than by name: the host's /dev/pts may be another instance than the one that is mounted there.
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, slave_flags)?;
    set_nonblocking(&master)?;
    let slaves = [slave.try_clone()?, slave.try_clone()?, slave];
    let master = Arc::new(master);
    let streams =
        Streams { input: Some(master.clone()), output: [Some(master.clone()), None], terminal: Some(master) };
    Ok((streams, slaves))
}

/// TIOCSWINSZ; the foreground process group gets SIGWINCH. A size of 0×0 (no terminal at the other end) is ignored.
pub(super) fn resize(master: &OwnedFd, rows: u16, cols: u16) -> io::Result<()> {
    if rows == 0 || cols == 0 {
        return Ok(());
    }
    Ok(tcsetwinsize(master, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 })?)
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?)
}
