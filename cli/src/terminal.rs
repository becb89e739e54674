//! The user's own terminal: its size, and raw mode for the time of a session.

use crate::failure::Failure;
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// Rows and columns of the terminal that standard output (or input) is; `None` when neither is one.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size =
        tcgetwinsize(rustix::stdio::stdout()).or_else(|_| tcgetwinsize(rustix::stdio::stdin())).ok()?;
    Some((size.ws_row, size.ws_col))
}

/// Whether standard input is a terminal.
pub(crate) fn is_stdin() -> bool {
    isatty(rustix::stdio::stdin())
}

/// Whether standard output is a terminal.
pub(crate) fn is_stdout() -> bool {
    isatty(rustix::stdio::stdout())
}

/// Whether standard error is a terminal.
pub(crate) fn is_stderr() -> bool {
    isatty(rustix::stdio::stderr())
}

/// Refuses a terminal for a command whose input comes from elsewhere: it would end with the terminal's first end of line.
pub(crate) fn check(tty: bool, interactive: bool) -> Result<(), Failure> {
    if tty && interactive && !is_stdin() {
        return Err(Failure::new("the input device is not a TTY; leave -t out to pass standard input on"));
    }
    Ok(())
}

/// The terminal does not show what is typed until this is dropped.
pub(crate) struct Quiet {
    before: Termios,
}

impl Quiet {
    /// `None` when standard input is no terminal.
    pub(crate) fn enter() -> Option<Quiet> {
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &quiet).ok()?;
        Some(Quiet { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Raw mode until this is dropped.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// `None` when standard input is no terminal.
    pub(crate) fn enter() -> Option<Raw> {
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}
