//! Patterns as the `reference` filter of images has them: Go's `path.Match`.

/// A piece of a pattern that stands for one character.
#[derive(Debug)]
enum Piece {
    Literal(char),
    AnyOne,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Piece {
    fn matches(&self, c: char) -> bool {
        match self {
            Piece::Literal(l) => *l == c,
            Piece::AnyOne => c != '/',
            Piece::Class { negated, ranges } => {
                c != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

/// A compiled pattern; `None` among the pieces is a `*`, which stops at slashes.
#[derive(Debug)]
pub struct Glob(Vec<Option<Piece>>);

impl Glob {
    /// `None`: the pattern is malformed (an open class, a backslash at the end).
    pub fn parse(pattern: &str) -> Option<Glob> {
        let mut pieces = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '*' => None,
                '?' => Some(Piece::AnyOne),
                '\\' => Some(Piece::Literal(chars.next()?)),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    let one = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| match chars.next()? {
                        '\\' => chars.next(),
                        '-' | ']' => None,
                        c => Some(c),
                    };
                    while chars.next_if_eq(&']').is_none() || ranges.is_empty() {
                        let low = one(&mut chars)?;
                        let high = if chars.next_if_eq(&'-').is_some() { one(&mut chars)? } else { low };
                        ranges.push((low, high));
                    }
                    Some(Piece::Class { negated, ranges })
                }
                c => Some(Piece::Literal(c)),
            });
        }
        Some(Glob(pieces))
    }

    /// Whether the whole text is one of the pattern's.
    pub fn matches(&self, text: &str) -> bool {
        // Iterative, with one place to go back to: no pattern costs more than the product of the lengths.
        let text: Vec<char> = text.chars().collect();
        let (mut p, mut t, mut star) = (0, 0, None);
        loop {
            match (self.0.get(p), text.get(t)) {
                (None, None) => return true,
                (Some(None), _) => {
                    star = Some((p, t));
                    p += 1;
                    continue;
                }
                (Some(Some(piece)), Some(c)) if piece.matches(*c) => {
                    p += 1;
                    t += 1;
                    continue;
                }
                _ => {}
            }
            match star {
                Some((at, from)) if text.get(from).is_some_and(|c| *c != '/') => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_gos() {
        let cases = [
            ("debian", "debian", true),
            ("deb*", "debian", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("*b", "aab", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a*b*c", "axxbyybzc", true),
            ("", "", true),
            ("", "a", false),
            ("a*", "a", true),
            ("[]a]", "]", false),
        ];
        for (pattern, text, want) in cases {
            let got = Glob::parse(pattern).is_some_and(|g| g.matches(text));
            assert_eq!(got, want, "{pattern} {text}");
        }
        for bad in ["[", "[a", "[]", "[a-]", "a\\", "[-a]"] {
            assert!(Glob::parse(bad).is_none(), "{bad}");
        }
        let long = Glob::parse(&"*a".repeat(500)).unwrap();
        assert!(!long.matches(&"a".repeat(499)));
    }
}
