//! Logical lines of a Dockerfile: directives, comments, continuations, here-documents.

use super::instruction::Heredoc;
use super::json;
use super::lexer::Lexer;
use super::{ParseError, flags};

/// Longest line, as Docker has it.
const LINE_MAX: usize = 65535;

/// One instruction's text, taken apart as far as all instructions have it in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// In upper case.
    pub(super) keyword: String,
    /// `--x=y` before the rest.
    pub(super) flags: Vec<String>,
    /// What follows.
    pub(super) rest: String,
    /// All of it, continued lines joined.
    pub(super) original: String,
    pub(super) number: usize,
    pub(super) heredocs: Vec<Heredoc>,
}

/// The lines of a file, its escape character, and warnings.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    pub(super) escape: char,
    pub(super) warnings: Vec<String>,
}

fn error(line: usize, message: impl Into<String>) -> ParseError {
    ParseError { line, message: message.into(), is_syntax: true }
}

/// A physical line without its end, and its number.
struct Physical<'t> {
    text: std::str::SplitInclusive<'t, char>,
    number: usize,
}

impl<'t> Physical<'t> {
    /// With its end.
    fn next(&mut self) -> Result<Option<&'t str>, ParseError> {
        let Some(line) = self.text.next() else { return Ok(None) };
        self.number += 1;
        if line.len() > LINE_MAX {
            let message = format!("dockerfile line greater than maximum allowed size of {LINE_MAX}");
            return Err(error(self.number, message));
        }
        if line.contains('\0') {
            return Err(error(self.number, "a NUL character, which no instruction can have"));
        }
        Ok(Some(line))
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}')
}

fn is_comment(line: &str) -> bool {
    line.trim_start_matches(is_blank).starts_with('#')
}

/// Takes a file apart.
pub(super) fn split(text: &str) -> Result<Lines, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = directives(text)?;
    let mut physical = Physical { text: text.split_inclusive('\n'), number: 0 };
    let mut out = Lines { lines: Vec::new(), escape, warnings: Vec::new() };
    while let Some(first) = physical.next()? {
        if is_comment(first) {
            continue;
        }
        let number = physical.number;
        let (part, mut ended) =
            continuation(first.trim_end_matches(['\r', '\n']).trim_start_matches(is_blank), escape);
        let mut original = part.to_owned();
        if ended && original.is_empty() {
            continue;
        }
        let mut has_empty = false;
        while !ended {
            let Some(next) = physical.next()? else { break };
            let next = next.trim_end_matches(['\r', '\n']);
            if is_comment(next) {
                continue;
            }
            if next.trim_start_matches(is_blank).is_empty() {
                has_empty = true;
                continue;
            }
            let (part, end) = continuation(next, escape);
            original.push_str(part);
            ended = end;
        }
        if has_empty {
            out.warnings.push(format!("Empty continuation line found in: {original}"));
        }
        let mut line = line(&original, number, escape).map_err(|message| error(number, message))?;
        if may_have_heredoc(&line) {
            for mut heredoc in heredocs(&original, escape) {
                read_heredoc(&mut physical, &mut heredoc, number)?;
                line.heredocs.push(heredoc);
            }
        }
        out.lines.push(line);
    }
    Ok(out)
}

/// Takes one instruction apart that is already on one line.
pub(super) fn line(original: &str, number: usize, escape: char) -> Result<Line, String> {
    let trimmed = original.trim();
    let (keyword, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
    let (rest, flags) = flags::split(rest.trim_start(), escape)?;
    Ok(Line {
        keyword: keyword.to_uppercase(),
        flags,
        rest: rest.trim().to_owned(),
        original: trimmed.to_owned(),
        number,
        heredocs: Vec::new(),
    })
}

/// The line without its continuation mark, and whether it ends here.
fn continuation(line: &str, escape: char) -> (&str, bool) {
    let Some(before) = line.trim_end_matches([' ', '\t']).strip_suffix(escape) else { return (line, true) };
    // An escaped escape character is none.
    if before.ends_with(escape) { (line, true) } else { (before, false) }
}

/// `# escape=` before anything else decides how the rest is read.
fn directives(text: &str) -> Result<char, ParseError> {
    let mut seen: Vec<String> = Vec::new();
    let mut escape = '\\';
    for (i, line) in text.lines().enumerate() {
        let Some(comment) = line.trim().strip_prefix('#') else { break };
        let Some((name, value)) = comment.split_once('=') else { break };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) || value.is_empty() {
            break;
        }
        if !matches!(&*name, "escape" | "syntax" | "check") {
            break;
        }
        if seen.contains(&name) {
            return Err(error(i + 1, format!("only one {name} parser directive can be used")));
        }
        if name == "escape" {
            escape = match value {
                "\\" => '\\',
                "`" => '`',
                other => {
                    return Err(error(
                        i + 1,
                        format!("invalid escape token '{other}' does not match ` or \\"),
                    ));
                }
            };
        }
        seen.push(name);
    }
    Ok(escape)
}

fn may_have_heredoc(line: &Line) -> bool {
    let mut keyword = line.keyword.clone();
    let mut rest = line.rest.as_str();
    if keyword == "ONBUILD" {
        let (trigger, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        keyword = trigger.to_uppercase();
        rest = after.trim_start();
    }
    matches!(&*keyword, "ADD" | "COPY" | "RUN") && rest.contains("<<") && json::strings(rest).is_err()
}

/// The heredocs that a line begins.
fn heredocs(line: &str, escape: char) -> Vec<Heredoc> {
    raw_words(line, escape).into_iter().filter_map(|word| heredoc(&word, escape)).collect()
}

/// `[digits]<<[-]NAME`, NAME maybe quoted.
pub(super) fn heredoc(word: &str, escape: char) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let name = Lexer::new(escape).word(rest, &|_| None).ok()?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    Some(Heredoc { expand: name == rest, name, content: String::new(), chomp })
}

/// Words with their quotes.
fn raw_words(line: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(q) if c == q => quote = None,
            _ => {}
        }
        word.push(c);
        if c == escape
            && quote != Some('\'')
            && let Some(next) = chars.next()
        {
            word.push(next);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn read_heredoc(physical: &mut Physical<'_>, heredoc: &mut Heredoc, number: usize) -> Result<(), ParseError> {
    while let Some(line) = physical.next()? {
        let bare = line.trim_end_matches(['\r', '\n']);
        let bare = if heredoc.chomp { bare.trim_start_matches('\t') } else { bare };
        if bare == heredoc.name {
            return Ok(());
        }
        heredoc.content.push_str(line);
    }
    Err(error(number, "unterminated heredoc"))
}
