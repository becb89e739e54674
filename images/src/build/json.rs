//! The exec form: a JSON list of strings.

/// Why a text is no exec form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotStrings {
    /// It is no JSON list: it may be meant for the shell.
    NoList,
    /// A list, but not of strings.
    Mixed,
}

/// The strings of a list. What follows the list is ignored, as Docker does.
pub(super) fn strings(text: &str) -> Result<Vec<String>, NotStrings> {
    if !text.trim_start().starts_with('[') {
        return Err(NotStrings::NoList);
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let Some(Ok(serde_json::Value::Array(list))) = values.next() else { return Err(NotStrings::NoList) };
    list.into_iter()
        .map(|value| match value {
            serde_json::Value::String(text) => Ok(text),
            _ => Err(NotStrings::Mixed),
        })
        .collect()
}

impl std::fmt::Display for NotStrings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("when using JSON array syntax, arrays must be comprised of strings only")
    }
}
