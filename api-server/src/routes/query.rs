//! Query parameters as Docker reads them, and percent-decoding.

use crate::engine::error::{Error, Result};

/// The pairs of a query, decoded, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        let pairs = text
            .split('&')
            .filter(|p| !p.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(key, true), decode(value, true))
            })
            .collect();
        Query { pairs }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    pub(crate) fn all(&self, key: &str) -> Vec<String> {
        self.pairs.iter().filter(|(k, _)| k == key).map(|(_, v)| v.clone()).collect()
    }

    /// Docker's booleans: these words are false, everything else is true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.flag_or(key, false)
    }

    pub(crate) fn flag_or(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, |v| {
            !matches!(v.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
        })
    }

    /// A number; absent or empty is `None`.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>> {
        match self.text(key) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| Error::invalid(format!("strconv.Atoi: parsing {text:?}: invalid syntax"))),
        }
    }
}

/// Percent-decoding; `plus`: a plus is a blank, as in queries. What is no valid escape stays as it is.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[i], digit(i + 1), digit(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
                continue;
            }
            (b'+', _, _) if plus => out.push(b' '),
            (b, _, _) => out.push(b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let q = Query::parse("all=1&name=a%2Fb+c&x&x=2&t=-1&force=False&v=yes");
        assert!(q.flag("all") && !q.flag("force") && q.flag("v") && !q.flag("absent"));
        assert_eq!(q.text("name"), "a/b c");
        assert_eq!(q.all("x"), ["", "2"]);
        assert_eq!(q.number("t").unwrap(), Some(-1));
        assert!(q.number("name").is_err());
        assert_eq!(decode("%zz%4", false), "%zz%4");
    }
}
