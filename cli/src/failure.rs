//! How a command fails: a text for the user and an exit code.

use std::fmt;

/// Exit code of failures that are ours and not the container's, as `docker run` has it.
pub(crate) const OURS: u8 = 125;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// `None`: the code of the verb's own failures.
    code: Option<u8>,
    /// The daemon's status, where it was the daemon that refused.
    status: Option<u16>,
    message: String,
}

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Failure {
        Failure { code: None, status: None, message: message.to_string() }
    }

    /// With an exit code that means something.
    pub(crate) fn with_code(code: u8, message: impl fmt::Display) -> Failure {
        Failure { code: Some(code), ..Failure::new(message) }
    }

    /// With what was being done.
    pub(crate) fn doing(what: impl fmt::Display, error: impl fmt::Display) -> Failure {
        Failure::new(format!("{what}: {error}"))
    }

    /// A refusal of the daemon, in its words, with what to do next where that is known.
    pub(crate) fn refused(status: u16, message: &str) -> Failure {
        let hint = if message.starts_with("No such container") {
            "\n  `carrack ps -a` lists containers."
        } else if message.contains("No such image") {
            "\n  `carrack images` lists images, `carrack pull` fetches one."
        } else {
            ""
        };
        let code = command_code(message);
        Failure { code, status: Some(status), message: format!("{message}{hint}") }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status == Some(404)
    }

    /// Whether there is no image of that name.
    pub(crate) fn is_about_image(&self) -> bool {
        self.is_not_found() && self.message.starts_with("No such image")
    }

    /// The exit code; `own`: the one of failures that are the verb's own.
    pub(crate) fn code(&self, own: u8) -> u8 {
        self.code.unwrap_or(own)
    }
}

/// The exit code of a command that could not be started, by the words of the refusal, as docker's client tells them.
fn command_code(message: &str) -> Option<u8> {
    let has = |words: &[&str]| words.iter().any(|w| message.contains(w));
    if !has(&["exec failed", "runtime create failed"]) {
        None
    } else if has(&["executable file not found", "no such file or directory"]) {
        Some(127)
    } else if has(&["permission denied", "is a directory", "exec format error", "not a directory"]) {
        Some(126)
    } else {
        None
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<carrack_images::Error> for Failure {
    fn from(e: carrack_images::Error) -> Failure {
        let hint = match &e {
            carrack_images::Error::NotFound(_) => {
                "\n  `carrack images` lists images, `carrack pull` fetches one."
            }
            _ => "",
        };
        Failure::new(format!("{e}{hint}"))
    }
}

impl From<carrack_emu::control::ControlError> for Failure {
    fn from(e: carrack_emu::control::ControlError) -> Failure {
        Failure::new(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_words() {
        let code = |m: &str| Failure::refused(400, m).code(125);
        assert_eq!(code("OCI runtime exec failed: exec failed: x: executable file not found in $PATH"), 127);
        assert_eq!(code("failed to create task: OCI runtime create failed: permission denied: unknown"), 126);
        assert_eq!(code("No such container: permission denied"), 125);
        assert_eq!(Failure::new("x").code(1), 1);
        assert!(Failure::refused(404, "No such container: x").to_string().contains("carrack ps -a"));
    }
}
