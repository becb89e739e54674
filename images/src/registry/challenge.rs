//! `WWW-Authenticate`: how a registry says what credentials it wants (RFC 7235, section 4.1; RFC 6750, section 3).

use std::collections::BTreeMap;

/// One challenge of such a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case: `basic`, `bearer`.
    pub(super) scheme: String,
    /// Parameters by their name in lower case.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Challenge {
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }
}

/// The challenges of one header. What cannot be understood is left out: the header is the other side's.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, behind) = token(rest);
        if word.is_empty() {
            // Nothing that could begin a challenge or a parameter: on to the next comma.
            match rest.find(',') {
                Some(at) => rest = &rest[at + 1..],
                None => return challenges,
            }
            continue;
        }
        let spaced = behind.trim_start_matches([' ', '\t']);
        match spaced.strip_prefix('=') {
            // A parameter of the challenge before; without one, it belongs to nobody.
            Some(value) if !challenges.is_empty() => {
                let (value, behind) = parameter(value.trim_start_matches([' ', '\t']));
                if let Some(last) = challenges.last_mut() {
                    last.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                }
                rest = behind;
            }
            Some(value) => rest = parameter(value).1,
            None => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
                rest = behind;
            }
        }
    }
}

/// The longest token at the beginning, and what follows it.
fn token(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A token or a quoted string, and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, behind) = token(text);
        return (word.to_owned(), behind);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bearer_with_commas_in_its_scope() {
        let all = parse(
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push",error="invalid_token""#,
        );
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].scheme, "bearer");
        assert_eq!(all[0].parameter("scope"), "repository:a/b:pull,push");
        assert_eq!(all[0].parameter("error"), "invalid_token");
        assert_eq!(all[0].parameter("nothing"), "");
    }

    #[test]
    fn several_in_one_header() {
        let all = parse(r#"Basic realm="a \"quoted\" one", Bearer realm=x, service = y,Negotiate"#);
        let schemes: Vec<_> = all.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["basic", "bearer", "negotiate"]);
        assert_eq!(all[0].parameter("realm"), "a \"quoted\" one");
        assert_eq!(all[1].parameter("service"), "y");
    }

    #[test]
    fn rubbish_is_left_out() {
        assert!(parse("").is_empty());
        assert!(parse(",,= =\"").is_empty());
        assert_eq!(parse("\u{e4}, Basic realm=\"open")[0].parameter("realm"), "open");
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            parse(&text);
        }

        #[test]
        fn what_is_written_is_read(values in proptest::collection::btree_map("[a-z]{1,8}", "[ -~]{0,20}", 1..5)) {
            let words: Vec<String> = values
                .iter()
                .map(|(k, v)| format!("{k}=\"{}\"", v.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            let all = parse(&format!("Bearer {}", words.join(",")));
            prop_assert_eq!(&all[0].parameters, &values);
        }
    }
}
