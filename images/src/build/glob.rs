//! Patterns: of shells (`${x#p}`), of COPY's sources (Go's `filepath.Match`), and what `.dockerignore` makes of both.

/// A pattern that is not well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// One piece of a shell's pattern: `*`, `?`, or a character.
enum Piece {
    Any,
    One,
    Char(char),
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => Piece::Char(chars.next().unwrap_or('\\')),
            c => Piece::Char(c),
        });
    }
    pieces
}

fn regex_of(pieces: impl Iterator<Item = Piece>, is_longest: bool) -> String {
    let mut out = String::from("(?s:");
    for piece in pieces {
        match piece {
            Piece::Any if is_longest => out.push_str(".*"),
            Piece::Any => out.push_str(".*?"),
            Piece::One => out.push('.'),
            Piece::Char(c) => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push(')');
    out
}

/// The regular expression of a shell's pattern.
pub(super) fn shell_regex(pattern: &str, is_longest: bool) -> String {
    regex_of(pieces(pattern).into_iter(), is_longest)
}

/// The same for text that is read from its end.
pub(super) fn shell_regex_backwards(pattern: &str, is_longest: bool) -> String {
    regex_of(pieces(pattern).into_iter().rev(), is_longest)
}

/// Whether COPY looks for a pattern instead of a name.
pub fn is_pattern(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// Whether one component of a path matches, as Go's `filepath.Match` has it: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
///
/// # Errors
/// A `[` that does not end, a range of nothing, a `\` at the end.
pub fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let pattern = compile(pattern)?;
    let name: Vec<char> = name.chars().collect();
    // One place to go back to is enough: a later star takes whatever an earlier one could.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(Atom::Any) => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(atom) if atom.fits(name[n]) => {
                p += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        let Some((at, from)) = star else { return Ok(false) };
        star = Some((at, from + 1));
        p = at + 1;
        n = from + 1;
    }
    Ok(pattern[p..].iter().all(|atom| matches!(atom, Atom::Any)))
}

enum Atom {
    Any,
    One,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Atom {
    fn fits(&self, c: char) -> bool {
        match self {
            Atom::Any => false,
            Atom::One => c != '/',
            Atom::Char(own) => *own == c,
            Atom::Class { negated, ranges } => ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != *negated,
        }
    }
}

fn compile(pattern: &str) -> Result<Vec<Atom>, BadPattern> {
    let mut atoms = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        atoms.push(match c {
            '*' => Atom::Any,
            '?' => Atom::One,
            '\\' => Atom::Char(chars.next().ok_or(BadPattern)?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || chars.peek() != Some(&']') {
                    let from = class_char(&mut chars)?;
                    let to = if chars.next_if_eq(&'-').is_some() { class_char(&mut chars)? } else { from };
                    ranges.push((from, to));
                }
                chars.next();
                Atom::Class { negated, ranges }
            }
            c => Atom::Char(c),
        });
    }
    Ok(atoms)
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, BadPattern> {
    match chars.next().ok_or(BadPattern)? {
        '-' | ']' => Err(BadPattern),
        '\\' => chars.next().ok_or(BadPattern),
        c => Ok(c),
    }
}

/// The regular expression of a path's pattern in which `**` stands for any number of directories.
///
/// # Errors
/// A `[` that does not end, a `\` at the end.
pub(super) fn path_regex(pattern: &str) -> Result<String, BadPattern> {
    let mut out = String::from("^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**/` is `**`.
                chars.next_if_eq(&'/');
                out.push_str(if chars.peek().is_none() { ".*" } else { "(.*/)?" });
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '\\' => {
                let next = chars.next().ok_or(BadPattern)?;
                out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
            }
            '[' => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                let mut is_empty = true;
                while is_empty || chars.peek() != Some(&']') {
                    let from = class_char(&mut chars)?;
                    let to = if chars.next_if_eq(&'-').is_some() { class_char(&mut chars)? } else { from };
                    if to < from {
                        return Err(BadPattern);
                    }
                    out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(from), u32::from(to)));
                    is_empty = false;
                }
                chars.next();
                out.push(']');
            }
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push('$');
    Ok(out)
}
