//! Quotes, escapes and variables, by the rules of Docker's own small shell.
//!
//! | form | value |
//! | --- | --- |
//! | `$x`, `${x}` | of `x`, empty if it is not set |
//! | `${x:-w}`, `${x-w}` | of `x`, or `w` if it is unset (or empty, with the colon) |
//! | `${x:+w}`, `${x+w}` | `w` if `x` is set (and not empty), else nothing |
//! | `${x:?w}`, `${x?w}` | of `x`; if it is unset (or empty) an error that says `w` |
//! | `${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}` | without the shortest or longest beginning or end that `p` matches |
//! | `${x/p/w}`, `${x//p/w}` | with `w` for the first or for every match of `p` |

use super::glob;
use regex::Regex;
use std::iter::Peekable;
use std::str::Chars;

/// Longest value of one word. Variables can refer to one another, so that short lines could make endless values.
const WORD_MAX: usize = 1 << 20;
/// Deepest nesting of `${…${…}…}`.
const DEPTH_MAX: usize = 64;

/// Where variables come from.
pub type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

/// Expands words.
#[derive(Clone, Copy, Debug)]
pub struct Lexer {
    escape: char,
}

impl Lexer {
    /// With the escape character of the Dockerfile.
    pub fn new(escape: char) -> Lexer {
        Lexer { escape }
    }

    /// The value of a text that stays one word.
    ///
    /// # Errors
    /// A sentence about what is not well-formed, or that a `${x:?…}` asks for.
    pub fn word(&self, text: &str, variables: Variables<'_>) -> Result<String, String> {
        Ok(self.run(text, variables)?.text)
    }

    /// The words of a text, which unquoted values of variables can make more.
    ///
    /// # Errors
    /// As [`Lexer::word`].
    pub fn words(&self, text: &str, variables: Variables<'_>) -> Result<Vec<String>, String> {
        Ok(self.run(text, variables)?.words())
    }

    /// A text of several lines, such as a here-document: quotes are characters like others, variables have their values,
    /// and the escape character counts before `$` and itself.
    ///
    /// # Errors
    /// As [`Lexer::word`].
    pub fn text(&self, text: &str, variables: Variables<'_>) -> Result<String, String> {
        let mut scan = Scan { chars: text.chars().peekable(), escape: self.escape, variables, depth: 0 };
        let mut out = String::new();
        while let Some(c) = scan.chars.next() {
            match c {
                '$' => out.push_str(&scan.dollar()?),
                c if c == self.escape => {
                    let is_escaped = |next: &char| *next == '$' || *next == self.escape;
                    out.push(scan.chars.next_if(is_escaped).unwrap_or(c));
                }
                c => out.push(c),
            }
            if out.len() > WORD_MAX {
                return Err("the value is longer than 1 MiB".into());
            }
        }
        Ok(out)
    }

    fn run(&self, text: &str, variables: Variables<'_>) -> Result<Out, String> {
        let mut scan = Scan { chars: text.chars().peekable(), escape: self.escape, variables, depth: 0 };
        let out = scan.until(None, false);
        out.map_err(|why| format!("failed to process {text:?}: {why}"))
    }
}

/// What comes out: the text, and the same in words.
#[derive(Default)]
struct Out {
    text: String,
    words: Vec<String>,
    word: String,
    in_word: bool,
}

impl Out {
    /// A character that separates words if it is a blank.
    fn bare(&mut self, c: char) {
        self.text.push(c);
        if c.is_whitespace() {
            self.end_word();
        } else {
            self.word.push(c);
            self.in_word = true;
        }
    }

    fn quoted(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
        self.in_word = true;
    }

    fn end_word(&mut self) {
        if std::mem::take(&mut self.in_word) {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn words(mut self) -> Vec<String> {
        self.end_word();
        self.words
    }

    fn check(&self) -> Result<(), String> {
        if self.text.len() > WORD_MAX { Err("the value is longer than 1 MiB".into()) } else { Ok(()) }
    }
}

struct Scan<'t, 'v> {
    chars: Peekable<Chars<'t>>,
    escape: char,
    variables: Variables<'v>,
    depth: usize,
}

impl Scan<'_, '_> {
    /// Reads up to `stop`, or to the end. `raw`: escape characters stay, because a pattern is read.
    fn until(&mut self, stop: Option<char>, raw: bool) -> Result<Out, String> {
        let mut out = Out::default();
        while let Some(c) = self.chars.next() {
            if Some(c) == stop {
                return Ok(out);
            }
            match c {
                '\'' => self.single(&mut out, raw)?,
                '"' => self.double(&mut out, raw)?,
                '$' => self.dollar()?.chars().for_each(|c| out.bare(c)),
                c if c == self.escape => {
                    if raw {
                        out.quoted(c.encode_utf8(&mut [0; 4]));
                    }
                    if let Some(next) = self.chars.next() {
                        out.quoted(next.encode_utf8(&mut [0; 4]));
                    }
                }
                c => out.bare(c),
            }
            out.check()?;
        }
        match stop {
            Some(stop) => Err(format!("unexpected end of statement while looking for matching {stop}")),
            None => Ok(out),
        }
    }

    /// After `'`: everything up to the next one is meant as it is.
    fn single(&mut self, out: &mut Out, raw: bool) -> Result<(), String> {
        let mut text = String::new();
        for c in self.chars.by_ref() {
            if c == '\'' {
                out.quoted(&text);
                return Ok(());
            }
            if raw {
                escape_pattern(&mut text, c);
            } else {
                text.push(c);
            }
        }
        Err("unexpected end of statement while looking for matching single-quote".into())
    }

    /// After `"`: variables have their values, and the escape character counts before `"`, `$` and itself.
    fn double(&mut self, out: &mut Out, raw: bool) -> Result<(), String> {
        let mut text = String::new();
        while let Some(c) = self.chars.next() {
            match c {
                '"' => {
                    out.quoted(&text);
                    return Ok(());
                }
                '$' => text.push_str(&self.dollar()?),
                c if c == self.escape => match self.chars.peek().copied() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => {
                        if raw {
                            text.push('\\');
                        }
                        text.push(next);
                        self.chars.next();
                    }
                    _ => text.push(c),
                },
                c if raw => escape_pattern(&mut text, c),
                c => text.push(c),
            }
            if text.len() > WORD_MAX {
                return Err("the value is longer than 1 MiB".into());
            }
        }
        Err("unexpected end of statement while looking for matching double-quote".into())
    }

    /// After `$`.
    fn dollar(&mut self) -> Result<String, String> {
        if self.chars.peek() != Some(&'{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".into());
            }
            return Ok((self.variables)(&name).unwrap_or_default());
        }
        self.chars.next();
        if self.depth == DEPTH_MAX {
            return Err("substitutions are nested too deeply".into());
        }
        self.depth += 1;
        let value = self.braces();
        self.depth -= 1;
        value
    }

    /// After `${`.
    fn braces(&mut self) -> Result<String, String> {
        match self.chars.peek() {
            None => return Err("syntax error: missing '}'".into()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".into()),
            _ => {}
        }
        let name = self.name();
        let value = (self.variables)(&name);
        let Some(mut operator) = self.chars.next() else { return Err("syntax error: missing '}'".into()) };
        let mut modifier = operator.to_string();
        let colon = operator == ':';
        if colon {
            operator = self.chars.next().ok_or("syntax error: missing '}'")?;
            modifier.push(operator);
        }
        let counts = |v: &String| !(colon && v.is_empty());
        match operator {
            '}' if !colon => Ok(value.unwrap_or_default()),
            '-' => {
                let word = self.argument('}', false)?;
                Ok(value.filter(counts).unwrap_or(word))
            }
            '+' => {
                let word = self.argument('}', false)?;
                Ok(value.filter(counts).map_or(String::new(), |_| word))
            }
            '?' => {
                let word = self.argument('}', false)?;
                let how = if value.is_none() { "unset" } else { "empty" };
                let message = if word.is_empty() { format!("is not allowed to be {how}") } else { word };
                value.filter(counts).ok_or_else(|| format!("{name}: {message}"))
            }
            '#' | '%' if !colon => {
                let is_longest = self.chars.next_if_eq(&operator).is_some();
                let pattern = self.argument('}', true)?;
                without(&value.unwrap_or_default(), &pattern, operator == '#', is_longest)
            }
            '/' if !colon => {
                let is_all = self.chars.next_if_eq(&'/').is_some();
                let pattern = self.argument('/', true)?;
                let with = self.argument('}', false)?;
                replace(&value.unwrap_or_default(), &pattern, &with, is_all)
            }
            _ => Err(format!("unsupported modifier ({modifier}) in substitution")),
        }
    }

    fn argument(&mut self, stop: char, raw: bool) -> Result<String, String> {
        let result = self.until(Some(stop), raw).map(|out| out.text);
        match result {
            Err(_) if self.chars.peek().is_none() && stop == '}' => Err("syntax error: missing '}'".into()),
            Err(_) if self.chars.peek().is_none() && stop == '/' => {
                Err("syntax error: missing '/' in ${}".into())
            }
            result => result,
        }
    }

    /// A name, a number, or one special character; empty: none of these.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.chars.peek().copied() {
            Some(c) if c == '_' || c.is_alphabetic() => {
                while let Some(c) = self.chars.next_if(|c| *c == '_' || c.is_alphanumeric()) {
                    name.push(c);
                }
            }
            Some(c) if c.is_ascii_digit() => {
                while let Some(c) = self.chars.next_if(char::is_ascii_digit) {
                    name.push(c);
                }
            }
            Some(c) if "@*#?-$!".contains(c) => {
                name.push(c);
                self.chars.next();
            }
            _ => {}
        }
        name
    }
}

/// What was quoted matches only itself.
fn escape_pattern(text: &mut String, c: char) {
    if matches!(c, '*' | '?' | '\\') {
        text.push('\\');
    }
    text.push(c);
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|_| "a pattern that is too large".to_owned())
}

fn without(value: &str, pattern: &str, is_prefix: bool, is_longest: bool) -> Result<String, String> {
    if is_prefix {
        let re = compile(&format!("^{}", glob::shell_regex(pattern, is_longest)))?;
        return Ok(re.find(value).map_or(value, |m| &value[m.end()..]).to_owned());
    }
    // The shortest end is the shortest beginning of what is read backwards.
    let backwards = |text: &str| text.chars().rev().collect::<String>();
    let re = compile(&format!("^{}", glob::shell_regex_backwards(pattern, is_longest)))?;
    let reversed = backwards(value);
    Ok(re.find(&reversed).map_or(value.to_owned(), |m| backwards(&reversed[m.end()..])))
}

fn replace(value: &str, pattern: &str, with: &str, is_all: bool) -> Result<String, String> {
    if pattern.is_empty() {
        return Ok(value.to_owned());
    }
    let re = compile(&glob::shell_regex(pattern, true))?;
    let mut out = String::new();
    let mut end = 0;
    for found in re.find_iter(value) {
        out.push_str(&value[end..found.start()]);
        out.push_str(with);
        end = found.end();
        if out.len() > WORD_MAX {
            return Err("the value is longer than 1 MiB".into());
        }
        if !is_all {
            break;
        }
    }
    out.push_str(&value[end..]);
    Ok(out)
}
