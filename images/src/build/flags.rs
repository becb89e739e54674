//! `--name=value` between an instruction and its arguments.

/// Takes the flags off the beginning; what is left, and the flags without quotes.
pub(super) fn split(text: &str, escape: char) -> Result<(String, Vec<String>), String> {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, after) = word(rest, escape);
        rest = after.trim_start();
        if word == "--" {
            break;
        }
        flags.push(word);
    }
    Ok((rest.to_owned(), flags))
}

/// The first word, its quotes and escapes taken away, and what follows it.
fn word(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, &text[i..]),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(q) if c == q => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, next)| next)),
            _ => word.push(c),
        }
    }
    (word, "")
}

/// The flags of one instruction, which must all be known to it.
pub(super) struct Flags {
    given: Vec<(String, Option<String>)>,
}

impl Flags {
    /// `single` may be said once, `several` more often.
    pub(super) fn of(words: &[String], single: &[&str], several: &[&str]) -> Result<Flags, String> {
        let mut given: Vec<(String, Option<String>)> = Vec::new();
        for word in words {
            let bare = word.strip_prefix("--").unwrap_or(word);
            let (name, value) = match bare.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (bare, None),
            };
            if !single.contains(&name) && !several.contains(&name) {
                return Err(format!("unknown flag: --{name}"));
            }
            if single.contains(&name) && given.iter().any(|(n, _)| n == name) {
                return Err(format!("duplicate flag specified: {name}"));
            }
            given.push((name.to_owned(), value));
        }
        Ok(Flags { given })
    }

    /// The value of a flag that has one.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.given.iter().find(|(n, _)| n == name) {
            None => Ok(None),
            Some((_, Some(value))) => Ok(Some(value.clone())),
            Some((_, None)) => Err(format!("missing a value on flag: {name}")),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let values = self.given.iter().filter(|(n, _)| n == name);
        values.map(|(_, v)| v.clone().ok_or_else(|| format!("missing a value on flag: {name}"))).collect()
    }

    /// A switch: alone it means yes.
    pub(super) fn switch(&self, name: &str) -> Result<Option<bool>, String> {
        match self.given.iter().find(|(n, _)| n == name) {
            None => Ok(None),
            Some((_, None)) => Ok(Some(true)),
            Some((_, Some(value))) => match value.to_ascii_lowercase().as_str() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(format!("expecting boolean value for flag {name}, not: {value}")),
            },
        }
    }
}
