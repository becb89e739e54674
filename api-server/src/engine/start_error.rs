//! The words for a start that failed, from which clients take their exit status.

use super::error::{Error, Kind};
use carrack_emu::control::ErrorKind;

/// The sentence for a start that failed. Clients take their exit status from its words: "executable file not found" and
/// "no such file or directory" mean 127, "permission denied" and "is a directory" mean 126; so no other failure may
/// contain them.
pub(super) fn start_error(kind: ErrorKind, message: String, args: &[String]) -> Error {
    let program = args.first().map(String::as_str).unwrap_or_default();
    let (kind, message) = match kind {
        ErrorKind::CommandNotFound => {
            let known = ["executable file not found", "no such file or directory"];
            let message = if known.iter().any(|k| message.contains(k)) {
                message
            } else if program.contains('/') {
                format!("exec: {program:?}: stat {program}: no such file or directory")
            } else {
                format!("exec: {program:?}: executable file not found in $PATH")
            };
            (Kind::Invalid, message)
        }
        ErrorKind::CommandNotExecutable => {
            let message = if message.contains("permission denied") {
                message
            } else if message.contains("is a directory") {
                format!("{message}: permission denied")
            } else {
                format!("exec: {program:?}: {message}: permission denied")
            };
            (Kind::Invalid, message)
        }
        other => {
            let mut message = message;
            for (word, instead) in [
                ("permission denied", "not permitted"),
                ("Permission denied", "not permitted"),
                ("is a directory", "names a directory"),
                ("Is a directory", "names a directory"),
                ("no such file or directory", "not found"),
                ("No such file or directory", "not found"),
                ("executable file not found", "program missing"),
            ] {
                message = message.replace(word, instead);
            }
            (if other == ErrorKind::Invalid { Kind::Invalid } else { Kind::Internal }, message)
        }
    };
    Error::new(
        kind,
        format!(
            "failed to create task for container: OCI runtime create failed: unable to start container process: {message}: unknown"
        ),
    )
}

/// The exit code that Docker records for a start that failed, told by the same words as the client's.
pub(super) fn start_exit_code(e: &Error) -> i32 {
    let has = |words: &[&str]| words.iter().any(|w| e.message.contains(w));
    if has(&["executable file not found", "no such file or directory", "not a directory"]) {
        127
    } else if has(&["permission denied", "is a directory"]) {
        126
    } else {
        128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_errors_speak_the_words_that_clients_parse() {
        let args = vec!["nosuch".to_string()];
        let e = start_error(ErrorKind::CommandNotFound, "not found".into(), &args);
        assert!(e.message.contains("OCI runtime create failed"));
        assert!(e.message.contains("exec: \"nosuch\": executable file not found in $PATH"));
        assert_eq!((e.kind, start_exit_code(&e)), (Kind::Invalid, 127));
        let e =
            start_error(ErrorKind::CommandNotExecutable, "it is no program".into(), &["/etc".to_string()]);
        assert_eq!(start_exit_code(&e), 126);
        let e = start_error(ErrorKind::Host, "mmap: Permission denied".into(), &args);
        assert_eq!((e.kind, start_exit_code(&e)), (Kind::Internal, 128));
    }
}
