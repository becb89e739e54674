//! A container's configuration from the user's and the image's: which value wins, and what follows from them.

use super::error::{Error, Result};
use super::images::Image;
use super::wire::{self, ConfigView, Healthcheck, HostView, Object};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Puts the image's values under the user's, as Docker merges them.
pub(super) fn merge_image(config: &mut Object, view: &mut ConfigView, image: &Image) -> Result<()> {
    let image_config: ConfigView = wire::view(&wire::config_of(&image.config))?;

    let user_entrypoint = view.entrypoint.clone();
    if user_entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if view.cmd.as_ref().is_none_or(Vec::is_empty) {
            view.cmd = image_config.cmd.clone();
        }
        if user_entrypoint.is_none() {
            view.entrypoint = image_config.entrypoint.clone();
        }
    }
    if view.user.is_empty() {
        view.user = image_config.user;
    }
    if view.working_dir.is_empty() {
        view.working_dir = image_config.working_dir;
    }
    if view.stop_signal.is_empty() {
        view.stop_signal = image_config.stop_signal;
    }
    if view.shell.as_ref().is_none_or(Vec::is_empty) {
        view.shell = image_config.shell;
    }
    for entry in image_config.env {
        let key = entry.split('=').next().unwrap_or_default().to_string();
        if !view.env.iter().any(|e| e.split('=').next() == Some(key.as_str())) {
            view.env.push(entry);
        }
    }
    for (port, value) in image_config.exposed_ports {
        view.exposed_ports.entry(port).or_insert(value);
    }
    for (path, value) in image_config.volumes {
        view.volumes.entry(path).or_insert(value);
    }
    for (label, value) in image_config.labels {
        view.labels.entry(label).or_insert(value);
    }
    view.healthcheck = merge_health(view.healthcheck.take(), image_config.healthcheck);

    for (key, value) in [
        ("Cmd", json!(view.cmd)),
        ("Entrypoint", json!(view.entrypoint)),
        ("User", json!(view.user)),
        ("WorkingDir", json!(view.working_dir)),
        ("Env", json!(view.env)),
        ("Labels", json!(view.labels)),
    ] {
        config.insert(key.into(), value);
    }
    let mut set = |key: &str, value: Value, is_set: bool| {
        if is_set {
            config.insert(key.into(), value);
        }
    };
    set("ExposedPorts", json!(view.exposed_ports), !view.exposed_ports.is_empty());
    set("Volumes", json!(view.volumes), !view.volumes.is_empty());
    set("StopSignal", json!(view.stop_signal), !view.stop_signal.is_empty());
    set("Shell", json!(view.shell), view.shell.as_ref().is_some_and(|s| !s.is_empty()));
    set("Healthcheck", json!(view.healthcheck), view.healthcheck.is_some());
    Ok(())
}

fn merge_health(user: Option<Healthcheck>, image: Option<Healthcheck>) -> Option<Healthcheck> {
    match (user, image) {
        (Some(mut user), Some(image)) => {
            if user.test.is_empty() {
                user.test = image.test;
            }
            for (mine, theirs) in [
                (&mut user.interval, image.interval),
                (&mut user.timeout, image.timeout),
                (&mut user.start_period, image.start_period),
                (&mut user.start_interval, image.start_interval),
                (&mut user.retries, image.retries),
            ] {
                if *mine == 0 {
                    *mine = theirs;
                }
            }
            Some(user)
        }
        (user, image) => user.or(image),
    }
}

pub(super) fn command(view: &ConfigView) -> Result<Vec<String>> {
    let mut args = view.entrypoint.clone().unwrap_or_default();
    if args.first().is_some_and(String::is_empty) {
        args.remove(0);
    }
    args.extend(view.cmd.iter().flatten().cloned());
    if args.first().is_none_or(String::is_empty) {
        return Err(Error::invalid("no command specified"));
    }
    Ok(args)
}

/// Docker fills in the swap limit that a memory limit implies.
pub(super) fn fill_limits(host: &mut Object, view: &HostView) {
    if view.memory > 0 && view.memory_swap == 0 {
        host.insert("MemorySwap".into(), json!(view.memory.saturating_mul(2)));
    }
}

/// The environment of the process: PATH, HOSTNAME and TERM below what the configuration says; the last of several
/// values of one name wins; a name without `=` removes it.
pub fn environment(view: &ConfigView) -> Vec<String> {
    let mut base = vec![DEFAULT_PATH.to_string(), format!("HOSTNAME={}", view.hostname)];
    if view.tty {
        base.push("TERM=xterm".into());
    }
    let mut order: Vec<String> = Vec::new();
    let mut values: BTreeMap<String, Option<String>> = BTreeMap::new();
    for entry in base.into_iter().chain(view.env.iter().cloned()) {
        let (key, value) = match entry.split_once('=') {
            Some((k, v)) => (k.to_string(), Some(v.to_string())),
            None => (entry, None),
        };
        if !values.contains_key(&key) {
            order.push(key.clone());
        }
        values.insert(key, value);
    }
    order
        .into_iter()
        .filter_map(|key| values.get(&key).cloned().flatten().map(|value| format!("{key}={value}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(config: Value) -> Image {
        Image { config: config.as_object().unwrap().clone(), ..Image::default() }
    }

    fn merged(user: Value, image_config: Value) -> (Object, ConfigView) {
        let mut config = wire::config_of(user.as_object().unwrap());
        let mut view: ConfigView = wire::view(&config).unwrap();
        merge_image(&mut config, &mut view, &image(image_config)).unwrap();
        (config, view)
    }

    #[test]
    fn entrypoint_and_command_follow_dockers_rule() {
        let img = json!({ "Entrypoint": ["/ep"], "Cmd": ["arg"] });
        let run = |user: Value| command(&merged(user, img.clone()).1).unwrap();
        assert_eq!(run(json!({})), ["/ep", "arg"]);
        assert_eq!(run(json!({ "Cmd": ["x"] })), ["/ep", "x"]);
        assert_eq!(run(json!({ "Entrypoint": ["/mine"], "Cmd": ["x"] })), ["/mine", "x"]);
        assert_eq!(run(json!({ "Entrypoint": ["/mine"] })), ["/mine"]);
        assert_eq!(run(json!({ "Entrypoint": [] })), ["arg"]);
        let (_, view) = merged(json!({ "Entrypoint": [""] }), img.clone());
        assert!(command(&view).is_err(), "the image's command went with its entrypoint");
    }

    #[test]
    fn environment_and_labels_of_the_image_come_second() {
        let (config, view) = merged(
            json!({ "Env": ["A=1", "B"], "Labels": { "x": "mine" } }),
            json!({ "Env": ["A=2", "B=3", "C=4"], "Labels": { "x": "theirs", "y": "1" } }),
        );
        assert_eq!(config["Env"], json!(["A=1", "B", "C=4"]));
        assert_eq!(config["Labels"], json!({ "x": "mine", "y": "1" }));
        let env = environment(&view);
        assert!(env.contains(&"A=1".to_string()) && env.contains(&"C=4".to_string()));
        assert!(!env.iter().any(|e| e.starts_with("B=")), "B without a value is removed");
        assert!(env[0].starts_with("PATH="));
    }
}
