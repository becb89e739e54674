//! Containers as inspect and list show them.

use super::Engine;
use super::clock;
use super::filters::Filters;
use super::life::State;
use super::record::{Container, Kind, MountPoint, Record};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use time::OffsetDateTime;

fn seconds_since(text: &str, now: OffsetDateTime) -> i64 {
    clock::parse_rfc3339(text).map_or(0, |t| (now - t).whole_seconds())
}

/// The words of `docker ps`.
pub fn status(record: &Record, health: Option<&str>, now: OffsetDateTime) -> String {
    match record.state {
        State::Created => "Created".into(),
        State::Removing => "Removal In Progress".into(),
        State::Dead => "Dead".into(),
        State::Exited => {
            format!(
                "Exited ({}) {} ago",
                record.exit_code,
                clock::human(seconds_since(&record.finished_at, now))
            )
        }
        State::Restarting => format!(
            "Restarting ({}) {} ago",
            record.exit_code,
            clock::human(seconds_since(&record.finished_at, now))
        ),
        State::Paused => format!("Up {} (Paused)", clock::human(seconds_since(&record.started_at, now))),
        State::Running => {
            let up = format!("Up {}", clock::human(seconds_since(&record.started_at, now)));
            match health {
                Some("starting") => format!("{up} (health: starting)"),
                Some(h) => format!("{up} ({h})"),
                None => up,
            }
        }
    }
}

fn mounts(record: &Record) -> Vec<Value> {
    record.mounts.iter().filter(|m| m.listed).map(mount).collect()
}

fn mount(m: &MountPoint) -> Value {
    let mut o = json!({
        "Type": m.kind.name(), "Source": m.source.to_string_lossy(), "Destination": m.destination,
        "Mode": m.mode, "RW": m.rw, "Propagation": m.propagation,
    });
    if m.kind == Kind::Volume {
        o["Name"] = json!(m.name);
        o["Driver"] = json!("local");
    }
    o
}

/// `Path` and the arguments as one line; arguments with a space are quoted.
fn command_line(args: &[String]) -> String {
    let quoted = args
        .iter()
        .enumerate()
        .map(|(i, a)| if i > 0 && a.contains(' ') { format!("'{a}'") } else { a.clone() });
    quoted.collect::<Vec<_>>().join(" ")
}

impl Engine {
    fn endpoint(&self, record: &Record, network: &str, request: Option<&Value>, full: bool) -> Value {
        let id = self.networks.find(network).map(|n| n.id).unwrap_or_default();
        let given = |key: &str| request.and_then(|r| r.get(key)).cloned().unwrap_or(Value::Null);
        let mut o = json!({
            "IPAMConfig": given("IPAMConfig"), "Links": given("Links"), "Aliases": given("Aliases"),
            "MacAddress": "", "DriverOpts": given("DriverOpts"), "GwPriority": 0,
            "NetworkID": if record.state == State::Created { String::new() } else { id },
            "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
            "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": null,
        });
        if !full {
            for key in ["Aliases", "DNSNames", "Links", "DriverOpts", "IPAMConfig"] {
                o[key] = Value::Null;
            }
        }
        o
    }

    fn endpoints(&self, record: &Record, full: bool) -> Value {
        let mode = record.host_view().network_mode;
        let mut networks = Map::new();
        for (name, request) in &record.endpoints {
            let name = if name == "default" { "bridge" } else { name };
            networks.insert(name.to_string(), self.endpoint(record, name, Some(request), full));
        }
        if networks.is_empty() && !mode.starts_with("container:") {
            networks.insert(mode.clone(), self.endpoint(record, &mode, None, full));
        }
        Value::Object(networks)
    }

    fn state_json(&self, c: &Container, record: &Record) -> Value {
        let state = record.state;
        let mut o = json!({
            "Status": state.name(),
            "Running": state.is_up(),
            "Paused": state == State::Paused,
            "Restarting": state == State::Restarting,
            "OOMKilled": record.oom_killed,
            "Dead": state == State::Dead,
            "Pid": record.pid,
            "ExitCode": record.exit_code,
            "Error": record.error,
            "StartedAt": clock::or_zero(&record.started_at),
            "FinishedAt": clock::or_zero(&record.finished_at),
        });
        if let Some(health) = c.health.lock().as_ref() {
            let log: Vec<Value> = health
                .log
                .iter()
                .map(|p| json!({ "Start": p.start, "End": p.end, "ExitCode": p.exit_code, "Output": p.output }))
                .collect();
            o["Health"] = json!({ "Status": health.status, "FailingStreak": health.streak, "Log": log });
        }
        o
    }

    /// `GET /containers/X/json`.
    pub fn inspect(&self, c: &Container, size: bool) -> Value {
        let record = c.record.read().clone();
        let execs = self.exec_ids(c);
        let file = |name: &str| c.dir.join(name).to_string_lossy().into_owned();
        let has_log = record.host_view().log_config.r#type != "none";
        let mut o = json!({
            "Id": record.id, "Created": record.created,
            "Path": record.args.first(), "Args": record.args.get(1..).unwrap_or_default(),
            "State": self.state_json(c, &record),
            "Image": record.image_id,
            "ResolvConfPath": file("resolv.conf"), "HostnamePath": file("hostname"), "HostsPath": file("hosts"),
            "LogPath": if has_log { c.log_path().to_string_lossy().into_owned() } else { String::new() },
            "Name": format!("/{}", record.name), "RestartCount": record.restart_count,
            "Driver": "carrack", "Platform": "linux",
            "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": "",
            "ExecIDs": if execs.is_empty() { Value::Null } else { json!(execs) },
            "HostConfig": record.host,
            "GraphDriver": { "Name": "carrack", "Data": { "DeltaDir": file("delta") } },
            "Mounts": mounts(&record),
            "Config": record.config,
            "NetworkSettings": {
                "Bridge": "", "SandboxID": "", "SandboxKey": "", "Ports": {}, "HairpinMode": false,
                "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0,
                "SecondaryIPAddresses": null, "SecondaryIPv6Addresses": null,
                "EndpointID": "", "Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
                "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "MacAddress": "",
                "Networks": self.endpoints(&record, true),
            },
        });
        if size {
            self.add_sizes(&mut o, &record, c);
        }
        o
    }

    fn add_sizes(&self, o: &mut Value, record: &Record, c: &Container) {
        let rw = self.written(c);
        let image = self.images.get(&record.image_id).map_or(0, |i| i.size);
        o["SizeRw"] = json!(rw);
        o["SizeRootFs"] = json!(rw + image);
    }

    /// One entry of `GET /containers/json`.
    pub fn summary(&self, c: &Container, size: bool) -> Value {
        let record = c.record.read().clone();
        let health = c.health.lock().as_ref().map(|h| h.status);
        // The name that was typed, unless it points elsewhere by now.
        let image = match self.images.resolve(&record.image) {
            Ok(i) if i.id == record.image_id => record.image.clone(),
            _ if record.image_id.is_empty() => record.image.clone(),
            _ => record.image_id.clone(),
        };
        let mut o = json!({
            "Id": record.id, "Names": [format!("/{}", record.name)],
            "Image": image, "ImageID": record.image_id,
            "Command": command_line(&record.args), "Created": record.created_unix(),
            "Ports": [], "Labels": record.labels(),
            "State": record.state.name(), "Status": status(&record, health, clock::now()),
            "HostConfig": { "NetworkMode": record.host_view().network_mode },
            "NetworkSettings": { "Networks": self.endpoints(&record, false) },
            "Mounts": mounts(&record),
        });
        if size {
            self.add_sizes(&mut o, &record, c);
        }
        o
    }

    /// The containers of `GET /containers/json`, newest first.
    pub fn select(
        &self,
        all: bool,
        limit: Option<usize>,
        filters: &Filters,
    ) -> super::error::Result<Vec<Arc<Container>>> {
        for status in filters.get("status") {
            if State::from_name(status).is_none() {
                return Err(super::error::Error::invalid(format!(
                    "invalid filter 'status={status}': use one of created, running, paused, restarting, removing, exited, dead"
                )));
            }
        }
        let all = all || limit.is_some() || filters.has("status") || filters.has("exited");
        let everything = self.all();
        let position = |reference: &str| -> super::error::Result<usize> {
            let c = self.find(reference)?;
            Ok(everything.iter().position(|o| o.id == c.id).unwrap_or(0))
        };
        // Newest first: "before X" is what comes after X in the list.
        let mut range = 0..everything.len();
        for reference in filters.get("before") {
            range.start = range.start.max(position(reference)? + 1);
        }
        for reference in filters.get("since") {
            range.end = range.end.min(position(reference)?);
        }
        let ancestors = if filters.has("ancestor") {
            Some(self.images.descendants(filters.get("ancestor"))?)
        } else {
            None
        };
        let mut chosen = Vec::new();
        for c in everything.iter().take(range.end).skip(range.start) {
            let record = c.record.read();
            if !(all || record.state.is_up()) || !self.matches(c, &record, filters, ancestors.as_ref()) {
                continue;
            }
            drop(record);
            chosen.push(c.clone());
            if limit.is_some_and(|l| chosen.len() >= l) {
                break;
            }
        }
        Ok(chosen)
    }

    fn matches(
        &self,
        c: &Container,
        record: &Record,
        filters: &Filters,
        ancestors: Option<&HashSet<String>>,
    ) -> bool {
        let slashed = format!("/{}", record.name);
        let networks = || {
            let mode = record.host_view().network_mode;
            record.endpoints.keys().cloned().chain([mode]).collect::<Vec<_>>()
        };
        filters.matches("name", &[&record.name, &slashed])
            && filters.any("id", |v| record.id.starts_with(v) || filters.matches("id", &[&record.id]))
            && filters.labels(&record.labels())
            && filters.any("status", |v| v == record.state.name())
            && filters.any("health", |v| v == c.health.lock().as_ref().map_or("none", |h| h.status))
            && filters.any("exited", |v| {
                record.state == State::Exited && v.parse::<i32>().is_ok_and(|code| code == record.exit_code)
            })
            && ancestors.is_none_or(|ids| ids.contains(&record.image_id))
            && filters.any("volume", |v| {
                record.mounts.iter().any(|m| m.name == v || m.destination == v || m.source.as_os_str() == v)
            })
            && filters.any("network", |v| {
                networks().iter().any(|n| {
                    n == v || self.networks.find(n).is_ok_and(|net| net.id.starts_with(v) && !v.is_empty())
                })
            })
            && filters.any("expose", |v| has_port(record.config_view().exposed_ports.keys(), v))
            && filters.any("publish", |v| has_port(record.host_view().port_bindings.keys(), v))
            && filters.any("isolation", |v| v == "default")
            && filters.any("is-task", |v| !matches!(v, "1" | "true"))
    }
}

fn has_port<'a>(mut ports: impl Iterator<Item = &'a String>, wanted: &str) -> bool {
    let (range, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    let (Ok(low), Ok(high)) = (low.parse::<u16>(), high.parse::<u16>()) else { return false };
    ports.any(|p| {
        let (number, kind) = p.split_once('/').unwrap_or((p, "tcp"));
        kind == protocol && number.parse::<u16>().is_ok_and(|n| (low..=high).contains(&n))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_quote_what_has_spaces() {
        let args = ["sh", "-c", "echo hi"].map(String::from);
        assert_eq!(command_line(&args), "sh -c 'echo hi'");
    }
}
