//! The `filters` of list, prune and events requests.
//!
//! Two encodings arrive, `{"label":["a=b"]}` and `{"label":{"a=b":true}}`. Values of one key are alternatives, except
//! labels, which must all match; keys must all match.

use super::error::{Error, Result};
use regex::RegexBuilder;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default)]
pub struct Filters {
    keys: BTreeMap<String, Vec<String>>,
}

impl Filters {
    /// Parses the query parameter; keys other than `known` are refused.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Filters> {
        let text = text.unwrap_or_default();
        if text.is_empty() {
            return Ok(Filters::default());
        }
        let bad = || Error::invalid("invalid filter");
        let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text) else { return Err(bad()) };
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in object {
            if !known.contains(&key.as_str()) {
                return Err(Error::invalid(format!("invalid filter '{key}'")));
            }
            let values: Vec<String> = match value {
                Value::Array(list) => list
                    .into_iter()
                    .map(|v| v.as_str().map(str::to_string).ok_or_else(bad))
                    .collect::<Result<_>>()?,
                Value::Object(map) => map.into_iter().map(|(k, _)| k).collect(),
                Value::Null => Vec::new(),
                _ => return Err(bad()),
            };
            keys.insert(key, values);
        }
        Ok(Filters { keys })
    }

    /// The values of a key; empty when it was not given.
    pub fn get(&self, key: &str) -> &[String] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    pub fn has(&self, key: &str) -> bool {
        !self.get(key).is_empty()
    }

    /// Whether the key is absent, or one of its values satisfies `test`.
    pub fn any(&self, key: &str, test: impl FnMut(&str) -> bool) -> bool {
        let values = self.get(key);
        values.is_empty() || values.iter().map(String::as_str).any(test)
    }

    /// Whether the key is absent, or one of its values is `candidate` or a regular expression that is found in it.
    pub fn matches(&self, key: &str, candidates: &[&str]) -> bool {
        self.any(key, |value| candidates.iter().any(|c| *c == value || found(value, c)))
    }

    /// Whether all `label` filters hold, and no `label!` filter does.
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |filter: &String| match filter.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
            None => labels.contains_key(filter),
        };
        self.get("label").iter().all(holds) && !(self.has("label!") && self.get("label!").iter().all(holds))
    }

    /// A boolean filter; both values, or something else, is an error.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        let values = self.get(key);
        let parse = |v: &String| match v.to_ascii_lowercase().as_str() {
            "1" | "true" | "t" => Some(true),
            "0" | "false" | "f" => Some(false),
            _ => None,
        };
        match values {
            [] => Ok(None),
            [one] if parse(one).is_some() => Ok(parse(one)),
            many => Err(Error::invalid(format!("invalid filter '{key}=[{}]'", many.join(" ")))),
        }
    }

    /// The one `until` of a prune.
    pub fn until(&self) -> Result<Option<time::OffsetDateTime>> {
        match self.get("until") {
            [] => Ok(None),
            [one] => super::clock::parse_until(one, super::clock::now()).map(Some).map_err(Error::invalid),
            _ => Err(Error::invalid("more than one until filter specified")),
        }
    }
}

/// A search; a pattern that is no regular expression, or too large a one, finds nothing.
fn found(pattern: &str, text: &str) -> bool {
    RegexBuilder::new(pattern).size_limit(1 << 20).build().is_ok_and(|r| r.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_mean_the_same() {
        for text in [r#"{"label":["a=b","c"]}"#, r#"{"label":{"a=b":true,"c":true}}"#] {
            let f = Filters::parse(Some(text), &["label"]).unwrap();
            let labels = |pairs: &[(&str, &str)]| {
                pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<BTreeMap<_, _>>()
            };
            assert!(f.labels(&labels(&[("a", "b"), ("c", "x")])));
            assert!(!f.labels(&labels(&[("a", "b")])), "labels are ANDed");
        }
    }

    #[test]
    fn names_are_searched() {
        let f = Filters::parse(Some(r#"{"name":["^/web$"]}"#), &["name"]).unwrap();
        assert!(f.matches("name", &["web", "/web"]));
        assert!(!f.matches("name", &["web2", "/web2"]));
        let f = Filters::parse(Some(r#"{"name":["("]}"#), &["name"]).unwrap();
        assert!(!f.matches("name", &["web"]));
    }

    #[test]
    fn refusals() {
        assert_eq!(Filters::parse(Some("{"), &[]).unwrap_err().message, "invalid filter");
        assert_eq!(Filters::parse(Some(r#"{"x":["1"]}"#), &[]).unwrap_err().message, "invalid filter 'x'");
        let f = Filters::parse(Some(r#"{"dangling":["a","b"]}"#), &["dangling"]).unwrap();
        assert_eq!(f.flag("dangling").unwrap_err().message, "invalid filter 'dangling=[a b]'");
    }
}
