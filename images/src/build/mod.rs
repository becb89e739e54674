//! The Dockerfile language: from bytes to stages of instructions, the rules of its variables, and the patterns of
//! `.dockerignore`.
//!
//! ```text
//! bytes ──lines──▶ logical lines ──parse──▶ Dockerfile { meta arguments, stages { steps } }
//!                                               │
//!              Lexer (quotes, escapes, ${…}) ◀──┴──▶ BuildArgs (which ARG is visible where)
//! ```
//!
//! Nothing here reads a file, runs a command or knows where an image comes from: whoever executes the steps does. A Dockerfile
//! is foreign text: whatever it says, parsing ends with a value or an [`ParseError`] that has a line.

mod args;
mod flags;
pub mod glob;
pub mod ignore;
mod instruction;
mod json;
mod lexer;
mod lines;
mod parse;
#[cfg(test)]
mod tests;
mod words;

pub use args::{BuildArgs, Platform};
pub use instruction::{
    CommandLine, Dockerfile, Healthcheck, Heredoc, Instruction, Pair, Run, Stage, Step, Transfer,
};
pub use lexer::{Lexer, Variables};
pub use parse::{parse, parse_trigger};

/// Largest Dockerfile, in bytes.
pub const DOCKERFILE_MAX: u64 = 16 << 20;

/// Why a text is no Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dockerfile parse error on line {line}: {message}")]
pub struct ParseError {
    /// The first line of what is wrong, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// Whether already the lines could not be told apart (a heredoc that does not end, a line that is too long).
    pub is_syntax: bool,
}
