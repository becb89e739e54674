//! Dockerfile instructions that change a configuration: `docker import --change`, `docker commit --change`.

use serde_json::{Map, Value, json};

use crate::Error;

/// Applies instructions such as `CMD ["sh"]` or `ENV A=1 B="2 3"` to a `config` object, in order.
///
/// # Errors
/// [`Error::InvalidChange`] with the instruction.
pub fn apply(config: &mut Map<String, Value>, changes: &[String]) -> Result<(), Error> {
    // A command that was there before belonged to the old entrypoint.
    let mut has_command = false;
    for change in changes {
        for line in logical_lines(change) {
            let instruction = line.split_whitespace().next().unwrap_or_default();
            has_command |= instruction.eq_ignore_ascii_case("CMD");
            if instruction.eq_ignore_ascii_case("ENTRYPOINT") && !has_command {
                config.remove("Cmd");
            }
            one(config, &line)
                .map_err(|why| Error::InvalidChange(format!("invalid change {line:?}: {why}")))?;
        }
    }
    Ok(())
}

/// Lines with their continuations joined; comments and empty lines are dropped.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        let line = line.trim();
        if open.is_empty() && (line.is_empty() || line.starts_with('#')) {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(part) => open.push_str(part),
            None => {
                open.push_str(line);
                lines.push(std::mem::take(&mut open));
            }
        }
    }
    if !open.is_empty() {
        lines.push(open);
    }
    lines
}

fn one(config: &mut Map<String, Value>, line: &str) -> Result<(), String> {
    let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (instruction, rest) = (instruction.to_ascii_uppercase(), rest.trim());
    if rest.is_empty() && !matches!(&*instruction, "CMD" | "ENTRYPOINT") {
        return Err(format!("{instruction} needs an argument"));
    }
    match &*instruction {
        "CMD" => drop(config.insert("Cmd".into(), command(rest)?)),
        "ENTRYPOINT" => drop(config.insert("Entrypoint".into(), command(rest)?)),
        "SHELL" => {
            let list = json_strings(rest).filter(|l| !l.is_empty());
            config.insert("Shell".into(), json!(list.ok_or("SHELL needs a JSON list")?));
        }
        "USER" => drop(config.insert("User".into(), json!(rest))),
        "STOPSIGNAL" => drop(config.insert("StopSignal".into(), json!(rest))),
        "WORKDIR" => {
            let old = config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default();
            let dir = clean(if rest.starts_with('/') { "" } else { old }, rest);
            config.insert("WorkingDir".into(), json!(dir));
        }
        "ENV" => {
            for (name, value) in pairs(rest)? {
                set_env(config, &name, &value);
            }
        }
        "LABEL" => {
            for (name, value) in pairs(rest)? {
                object(config, "Labels").insert(name, json!(value));
            }
        }
        "EXPOSE" => {
            for word in words(rest)? {
                for port in ports(&word)? {
                    object(config, "ExposedPorts").insert(port, json!({}));
                }
            }
        }
        "VOLUME" => {
            let paths = json_strings(rest).map_or_else(|| words(rest), Ok)?;
            for path in paths {
                if path.is_empty() {
                    return Err("a volume needs a path".into());
                }
                object(config, "Volumes").insert(path, json!({}));
            }
        }
        "ONBUILD" => {
            let trigger = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            if matches!(&*trigger, "ONBUILD" | "FROM" | "MAINTAINER") {
                return Err(format!("{trigger} is no ONBUILD trigger"));
            }
            let list = config.entry("OnBuild").or_insert_with(|| json!([]));
            match list {
                Value::Array(list) => list.push(json!(rest)),
                other => *other = json!([rest]),
            }
        }
        "HEALTHCHECK" => drop(config.insert("Healthcheck".into(), healthcheck(rest)?)),
        other => return Err(format!("{other} is not a valid change command")),
    }
    Ok(())
}

/// A command in exec form, or in shell form.
fn command(rest: &str) -> Result<Value, String> {
    if rest.is_empty() {
        return Ok(json!([]));
    }
    Ok(json_strings(rest).map_or_else(|| json!(["/bin/sh", "-c", rest]), |list| json!(list)))
}

fn json_strings(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok())?
}

fn object<'c>(config: &'c mut Map<String, Value>, key: &str) -> &'c mut Map<String, Value> {
    let slot = config.entry(key).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    // It was just made one.
    slot.as_object_mut().expect("an object")
}

/// Sets a variable in an `Env` list, in the place of an earlier value.
fn set_env(config: &mut Map<String, Value>, name: &str, value: &str) {
    let text = json!(format!("{name}={value}"));
    let slot = config.entry("Env").or_insert_with(|| json!([]));
    let Value::Array(list) = slot else {
        *slot = json!([text]);
        return;
    };
    let has = |v: &&mut Value| v.as_str().and_then(|v| v.split_once('=')).is_some_and(|(n, _)| n == name);
    match list.iter_mut().find(has) {
        Some(old) => *old = text,
        None => list.push(text),
    }
}

/// `name=value …`, or the old form `name value`.
fn pairs(rest: &str) -> Result<Vec<(String, String)>, String> {
    let words = words(rest)?;
    if words.first().is_some_and(|w| !w.contains('=')) {
        let (name, value) = rest.split_once(char::is_whitespace).ok_or("a name needs a value")?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some(("", _)) | None => Err(format!("{word:?} is no name=value")),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
    };
    words.into_iter().map(pair).collect()
}

/// Words as a Dockerfile has them: quotes and backslashes protect.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

/// `80`, `80/udp`, `8000-8003/tcp`, each as `port/protocol`.
fn ports(word: &str) -> Result<Vec<String>, String> {
    let bad = || format!("{word:?} is no port");
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(&*protocol, "tcp" | "udp" | "sctp") {
        return Err(bad());
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |t: &str| t.parse::<u16>().ok().filter(|&p| p > 0).ok_or_else(bad);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(bad());
    }
    Ok((first..=last).map(|p| format!("{p}/{protocol}")).collect())
}

/// `HEALTHCHECK NONE` or `HEALTHCHECK [--interval=…] CMD …`; times are kept in nanoseconds.
fn healthcheck(rest: &str) -> Result<Value, String> {
    let mut check = Map::new();
    let mut rest = rest;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, more) = flag.split_once(char::is_whitespace).ok_or("a health check needs a command")?;
        rest = more.trim_start();
        let (name, value) = flag.split_once('=').ok_or_else(|| format!("--{flag} needs a value"))?;
        let key = match name {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => {
                let retries: u32 = value.parse().map_err(|_| "retries is a number")?;
                check.insert("Retries".into(), json!(retries));
                continue;
            }
            _ => return Err(format!("unknown flag --{name}")),
        };
        check.insert(key.into(), json!(duration(value).ok_or_else(|| format!("{value:?} is no duration"))?));
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    let test = match &*kind.to_ascii_uppercase() {
        "NONE" if rest.is_empty() => json!(["NONE"]),
        "CMD" if !rest.is_empty() => match json_strings(rest) {
            Some(list) => json!(["CMD"].map(str::to_owned).into_iter().chain(list).collect::<Vec<_>>()),
            None => json!(["CMD-SHELL", rest]),
        },
        _ => return Err("HEALTHCHECK is NONE or CMD and a command".into()),
    };
    check.insert("Test".into(), test);
    Ok(Value::Object(check))
}

/// Go's durations: `1m30s`, `500ms`, `1.5h`; in nanoseconds.
fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0f64;
    if rest == "0" {
        return Some(0);
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "h" => 3600e9,
            "m" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        rest = &rest[unit_end..];
        total += number * unit;
    }
    (!text.is_empty() && total < 9e18).then_some(total as i64)
}

/// `base/path` without `.`, `..` and doubled slashes, absolute.
fn clean(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> Value {
        let mut config = Map::new();
        let changes: Vec<String> = changes.iter().map(|&c| c.to_owned()).collect();
        apply(&mut config, &changes).unwrap();
        Value::Object(config)
    }

    #[test]
    fn instructions() {
        let config = changed(&[
            "CMD [\"sh\", \"-l\"]",
            "entrypoint exec foo $X",
            "ENV A=1 B=\"2 3\" C=x\\ y",
            "ENV A 4 5",
            "LABEL a.b=c 'd e'=f",
            "EXPOSE 80 53/udp 8000-8001",
            "VOLUME /data /more",
            "VOLUME [\"/x y\"]",
            "WORKDIR /a",
            "WORKDIR b/../c",
            "USER 1000:1000",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN x",
            "HEALTHCHECK --interval=1m30s --retries=2 CMD curl x",
        ]);
        assert_eq!(
            config,
            json!({
                "Cmd": ["sh", "-l"],
                "Entrypoint": ["/bin/sh", "-c", "exec foo $X"],
                "Env": ["A=4 5", "B=2 3", "C=x y"],
                "Labels": {"a.b": "c", "d e": "f"},
                "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}},
                "Volumes": {"/data": {}, "/more": {}, "/x y": {}},
                "WorkingDir": "/a/c",
                "User": "1000:1000",
                "StopSignal": "SIGINT",
                "OnBuild": ["RUN x"],
                "Healthcheck": {"Interval": 90_000_000_000i64, "Retries": 2, "Test": ["CMD-SHELL", "curl x"]},
            })
        );
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for bad in [
            "RUN ls",
            "FROM x",
            "ENV",
            "ENV A",
            "EXPOSE x",
            "EXPOSE 0",
            "LABEL 'a",
            "ONBUILD FROM x",
            "SHELL sh",
        ] {
            let changes = [bad.to_owned()];
            let e = apply(&mut Map::new(), &changes).unwrap_err();
            assert!(matches!(e, Error::InvalidChange(_)), "{bad}: {e}");
        }
    }
}
