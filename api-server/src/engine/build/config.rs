//! The configuration of the image that a stage makes, as its instructions change it.

use crate::engine::wire::Object;
use carrack_images::build::{CommandLine, Healthcheck};
use serde_json::{Map, Value, json};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image's `config` object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Config(Object);

impl Config {
    /// Begins with a base's configuration; its triggers are taken out, since they are not inherited.
    pub(super) fn begin(base: Object) -> (Config, Vec<String>) {
        let mut config = Config(base);
        let triggers = config.strings("OnBuild");
        config.0.remove("OnBuild");
        // What only a container has.
        for key in ["OpenStdin", "StdinOnce", "Hostname", "Domainname", "Image"] {
            config.0.remove(key);
        }
        if !config.env().iter().any(|e| e.starts_with("PATH=")) {
            let mut env = config.env();
            env.push(DEFAULT_PATH.into());
            config.set("Env", json!(env));
        }
        (config, triggers)
    }

    pub(super) fn object(&self) -> &Object {
        &self.0
    }

    /// The same without what is empty, which means nothing.
    pub(super) fn compact(&self) -> Object {
        compact(&self.0)
    }

    pub(super) fn strings(&self, key: &str) -> Vec<String> {
        let list = self.0.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn env(&self) -> Vec<String> {
        self.strings("Env")
    }

    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.0.insert(key.into(), value);
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        let mut env = self.env();
        let entry = format!("{name}={value}");
        match env.iter_mut().find(|e| e.split('=').next() == Some(name)) {
            Some(old) => *old = entry,
            None => env.push(entry),
        }
        self.set("Env", json!(env));
    }

    /// Adds a key to an object of the configuration, such as a label or a port.
    pub(super) fn insert(&mut self, key: &str, name: &str, value: Value) {
        let slot = self.0.entry(key).or_insert_with(|| json!({}));
        if !slot.is_object() {
            *slot = json!({});
        }
        if let Value::Object(map) = slot {
            map.insert(name.into(), value);
        }
    }

    pub(super) fn push(&mut self, key: &str, text: &str) {
        let mut list = self.strings(key);
        list.push(text.into());
        self.set(key, json!(list));
    }

    /// What commands in shell form are given to.
    pub(super) fn shell(&self) -> Vec<String> {
        let shell = self.strings("Shell");
        if shell.is_empty() { vec!["/bin/sh".into(), "-c".into()] } else { shell }
    }

    /// The words of a command.
    pub(super) fn command(&self, line: &CommandLine) -> Vec<String> {
        match line {
            CommandLine::Exec(words) => words.clone(),
            CommandLine::Shell(text) => [self.shell(), vec![text.clone()]].concat(),
        }
    }

    /// How the history tells of a step that executes nothing.
    pub(super) fn comment(&self, text: &str) -> String {
        format!("{} #(nop) {text}", self.shell().join(" "))
    }

    pub(super) fn set_healthcheck(&mut self, check: &Healthcheck) {
        let mut object = Map::new();
        object.insert("Test".into(), json!(check.test));
        for (key, value) in [
            ("Interval", check.interval),
            ("Timeout", check.timeout),
            ("StartPeriod", check.start_period),
            ("StartInterval", check.start_interval),
            ("Retries", check.retries),
        ] {
            if value != 0 {
                object.insert(key.into(), json!(value));
            }
        }
        self.set("Healthcheck", Value::Object(object));
    }
}

/// A `config` object without what is empty.
pub(super) fn compact(config: &Object) -> Object {
    let means_something = |value: &Value| match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Number(_) => true,
    };
    config.iter().filter(|(_, v)| means_something(v)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// A list as Go prints it with `%q`.
pub(super) fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|w| Value::from(w.as_str()).to_string()).collect();
    format!("[{}]", words.join(" "))
}

/// A port of EXPOSE as the configuration has it: `8080` is `8080/tcp`; ranges are expanded.
pub(super) fn ports(word: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    // `host:container`: the host's part says nothing here.
    let range = range.rsplit(':').next().unwrap_or(range);
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("invalid containerPort: {word}"));
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(range)?, number(range)?),
    };
    if last < first {
        return Err(format!("invalid containerPort: {word}"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_gives_its_configuration_but_not_its_triggers() {
        let base = json!({ "Env": ["A=1"], "OnBuild": ["RUN x"], "Hostname": "h", "Cmd": ["sh"] });
        let (mut config, triggers) = Config::begin(base.as_object().unwrap().clone());
        assert_eq!(triggers, ["RUN x"]);
        assert_eq!(config.env(), ["A=1", DEFAULT_PATH]);
        config.set_env("A", "2");
        config.set_env("B", "");
        assert_eq!(config.env(), ["A=2", DEFAULT_PATH, "B="]);
        assert!(!config.object().contains_key("Hostname") && !config.object().contains_key("OnBuild"));
        assert_eq!(config.comment(" ENV A=2"), "/bin/sh -c #(nop)  ENV A=2");
        assert_eq!(config.command(&CommandLine::Shell("a b".into())), ["/bin/sh", "-c", "a b"]);
    }

    #[test]
    fn ports_are_expanded() {
        assert_eq!(ports("80").unwrap(), ["80/tcp"]);
        assert_eq!(ports("80-82/UDP").unwrap(), ["80/udp", "81/udp", "82/udp"]);
        for bad in ["x", "80/foo", "82-80", "70000", ""] {
            assert!(ports(bad).is_err(), "{bad}");
        }
        assert_eq!(quoted(&["a".into(), "b \"c".into()]), "[\"a\" \"b \\\"c\"]");
    }
}
