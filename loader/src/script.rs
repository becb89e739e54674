//! The first line of a script, read as fs/binfmt_script.c reads it.

use crate::LoadError;

/// How much of a file's head the kernel looks at: the first line must end within.
pub const SCRIPT_HEAD: usize = 256;

/// How many scripts may lead to the program; one more is ELOOP.
pub const MAX_INTERPRETERS: usize = 5;

/// What a line after `#!` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Path of the interpreter. Empty for a file that is `#!` alone, without a line's end: no file has that name (ENOENT).
    pub interp: Vec<u8>,
    /// The rest of the line, one argument, if there is a rest.
    pub arg: Option<Vec<u8>>,
}

impl Script {
    /// The arguments of the interpreter, when `path` was executed with `argv`: argv\[0\] is lost.
    pub fn argv(&self, path: &[u8], argv: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut all = vec![self.interp.clone()];
        all.extend(self.arg.clone());
        all.push(path.to_vec());
        all.extend(argv.iter().skip(1).cloned());
        all
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Parses the head of a file, of which [`SCRIPT_HEAD`] bytes matter. `None` if it is no script.
///
/// # Errors
/// ENOEXEC if it is one, but names no interpreter, or if the interpreter's name may go on after the head. An argument that
/// goes on is cut, as Linux does.
pub fn parse_script(head: &[u8]) -> Result<Option<Script>, LoadError> {
    if !head.starts_with(b"#!") {
        return Ok(None);
    }
    // A shorter file reads as if zeros followed.
    let mut buffer = [0; SCRIPT_HEAD];
    for (to, from) in buffer.iter_mut().zip(head) {
        *to = *from;
    }
    let line = match buffer.iter().position(|byte| *byte == b'\n') {
        Some(end) => buffer.get(2..end),
        None => {
            let rest = &buffer[2..];
            let name = rest.iter().position(|byte| !is_blank(*byte)).ok_or(LoadError::BadScript)?;
            if !rest[name..].iter().any(|byte| is_blank(*byte) || *byte == 0) {
                return Err(LoadError::BadScript);
            }
            buffer.get(2..SCRIPT_HEAD - 1)
        }
    }
    .unwrap_or_default();
    let name = line.iter().position(|byte| !is_blank(*byte)).ok_or(LoadError::BadScript)?;
    let trimmed = line.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
    let line = line.get(name..trimmed).unwrap_or_default();
    let end = line.iter().position(|byte| is_blank(*byte) || *byte == 0).unwrap_or(line.len());
    let (interp, rest) = line.split_at(end);
    let arg = match rest.first() {
        Some(byte) if is_blank(*byte) => {
            let start = rest.iter().position(|byte| !is_blank(*byte)).unwrap_or(rest.len());
            let arg = &rest[start..];
            let end = arg.iter().position(|byte| *byte == 0).unwrap_or(arg.len());
            Some(arg[..end].to_vec())
        }
        _ => None,
    };
    Ok(Some(Script { interp: interp.to_vec(), arg }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &[u8], interp: &[u8], arg: Option<&[u8]>) {
        let script = parse_script(head).unwrap().unwrap();
        assert_eq!((script.interp.as_slice(), script.arg.as_deref()), (interp, arg));
    }

    #[test]
    fn lines() {
        check(b"#!/bin/sh\n", b"/bin/sh", None);
        check(b"#! \t/bin/sh  \t\n", b"/bin/sh", None);
        check(b"#!/bin/sh -e -x \necho", b"/bin/sh", Some(b"-e -x"));
        check(b"#!/bin/sh\t\t-e", b"/bin/sh", Some(b"-e"));
        check(b"#!/bin/sh", b"/bin/sh", None);
        check(b"#!", b"", None);
        check(b"#!/bin/sh\r\n", b"/bin/sh\r", None);
    }

    #[test]
    fn no_scripts() {
        assert_eq!(parse_script(b""), Ok(None));
        assert_eq!(parse_script(b"#"), Ok(None));
        assert_eq!(parse_script(b"\x7fELF"), Ok(None));
    }

    #[test]
    fn no_name() {
        assert_eq!(parse_script(b"#!\n/bin/sh"), Err(LoadError::BadScript));
        assert_eq!(parse_script(b"#!  \t \n"), Err(LoadError::BadScript));
        assert_eq!(parse_script(&[b"#!".as_slice(), &[b' '; 300]].concat()), Err(LoadError::BadScript));
    }

    #[test]
    fn a_long_name_is_an_error_and_a_long_argument_is_cut() {
        let long = [b'a'; 300];
        assert_eq!(parse_script(&[b"#!/".as_slice(), &long].concat()), Err(LoadError::BadScript));
        check(&[b"#!/x ".as_slice(), &long].concat(), b"/x", Some(&long[..SCRIPT_HEAD - 1 - 5]));
        let name = [b'a'; 252];
        check(&[b"#!/".as_slice(), &name, b"\n"].concat(), &[b"/".as_slice(), &name].concat(), None);
    }

    #[test]
    fn arguments_of_the_interpreter() {
        let script = Script { interp: b"/bin/sh".to_vec(), arg: Some(b"-e".to_vec()) };
        let argv = script.argv(b"/x/script", &[b"script".to_vec(), b"1".to_vec()]);
        assert_eq!(argv, [b"/bin/sh".as_slice(), b"-e", b"/x/script", b"1"]);
    }
}
