//! `.dockerignore`, and `--exclude`: which paths are left out.

use super::glob::{BadPattern, path_regex};
use regex::Regex;

/// Largest file of patterns that is read, in bytes.
pub const IGNORE_MAX: u64 = 4 << 20;

/// Patterns, of which the last that matches decides.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
    /// `!`: what matches is not left out after all.
    is_exception: bool,
}

impl Ignore {
    /// Reads a `.dockerignore`: a pattern a line, `#` begins a comment, `!` an exception.
    ///
    /// # Errors
    /// A pattern that is not well-formed, with its text.
    pub fn parse(text: &str) -> Result<Ignore, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ignore::of(text.lines().filter(|line| !line.starts_with('#')))
    }

    /// Of patterns as they are.
    ///
    /// # Errors
    /// As [`Ignore::parse`].
    pub fn of<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Ignore, String> {
        let mut ignore = Ignore::default();
        for text in patterns {
            let text = text.trim();
            let (is_exception, pattern) = match text.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, text),
            };
            if pattern.is_empty() {
                if is_exception {
                    return Err("illegal exclusion pattern: \"!\"".into());
                }
                continue;
            }
            let bad = |_: BadPattern| format!("illegal exclusion pattern: {text:?}: syntax error in pattern");
            let source = path_regex(&clean(pattern)).map_err(bad)?;
            let regex = Regex::new(&source).map_err(|_| bad(BadPattern))?;
            ignore.patterns.push(Pattern { regex, is_exception });
        }
        Ok(ignore)
    }

    /// Whether there is nothing to leave out.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether something may be below a directory that is left out, so that it has to be looked at.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|p| p.is_exception)
    }

    /// Whether a path (relative, without `.` and `..`) is left out, by itself or with a directory above it.
    pub fn leaves_out(&self, path: &str) -> bool {
        let mut is_out = false;
        for pattern in &self.patterns {
            // It can change nothing.
            if pattern.is_exception != is_out {
                continue;
            }
            let above = path.match_indices('/').map(|(i, _)| &path[..i]);
            if pattern.regex.is_match(path) || above.into_iter().any(|dir| pattern.regex.is_match(dir)) {
                is_out = !pattern.is_exception;
            }
        }
        is_out
    }
}

/// Without leading slashes, `.` and `..`, as far as text tells.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".into() } else { parts.join("/") }
}
