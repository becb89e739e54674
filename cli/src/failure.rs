//! How a command fails: a text for the user and an exit code.

use std::fmt;

/// Exit code of failures that are ours and not the container's, as `docker run` has it.
pub(crate) const OURS: u8 = 125;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl fmt::Display) -> Failure {
        Failure { code, message: message.to_string() }
    }

    /// With what was being done.
    pub(crate) fn doing(what: impl fmt::Display, error: impl fmt::Display) -> Failure {
        Failure::new(OURS, format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<carrack_images::Error> for Failure {
    fn from(e: carrack_images::Error) -> Failure {
        Failure::new(OURS, e)
    }
}

impl From<carrack_emu::control::ControlError> for Failure {
    fn from(e: carrack_emu::control::ControlError) -> Failure {
        Failure::new(OURS, e)
    }
}
