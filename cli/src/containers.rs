//! `ps`, `logs`, and the life of the daemon's containers: `start`, `stop`, `kill`, `rm`.

use crate::api::{Body, Client, Query, encode};
use crate::args;
use crate::failure::Failure;
use crate::images::{ago, each, number, string_map, unix_time};
use crate::{attach, out};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A container as `carrack ps --json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    name: String,
    /// As it was asked for.
    image: String,
    /// `sha256:…`.
    image_id: String,
    command: String,
    created: Option<String>,
    /// created, running, paused, restarting, exited, removing or dead.
    state: String,
    /// The same for people: `Up 3 minutes (healthy)`.
    status: String,
    ports: Vec<Port>,
    labels: BTreeMap<String, String>,
    mounts: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    container: u64,
    host: Option<u64>,
    address: Option<String>,
    protocol: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Row {
    fn of(c: &Value) -> Row {
        let list = |key: &str| c[key].as_array().map(Vec::as_slice).unwrap_or_default();
        Row {
            id: text(&c["Id"]),
            name: text(&c["Names"][0]).trim_start_matches('/').to_owned(),
            image: text(&c["Image"]),
            image_id: text(&c["ImageID"]),
            command: text(&c["Command"]),
            created: unix_time(&c["Created"]).and_then(out::rfc3339),
            state: text(&c["State"]),
            status: text(&c["Status"]),
            ports: list("Ports")
                .iter()
                .map(|p| Port {
                    container: number(&p["PrivatePort"]),
                    host: p["PublicPort"].as_u64(),
                    address: p["IP"].as_str().map(str::to_owned),
                    protocol: text(&p["Type"]),
                })
                .collect(),
            labels: string_map(&c["Labels"]),
            mounts: list("Mounts").iter().map(|m| text(&m["Destination"])).collect(),
        }
    }

    fn ports(&self) -> String {
        let shown = self.ports.iter().map(|p| match (p.host, &p.address) {
            (Some(host), Some(address)) => format!("{address}:{host}->{}/{}", p.container, p.protocol),
            _ => format!("{}/{}", p.container, p.protocol),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// `carrack ps`.
pub(crate) fn list(args: &args::Ps) -> Result<u8, Failure> {
    let last = args.last.map(|n| n.to_string());
    let query = Query::default()
        .flag("all", args.all || args.last.is_some())
        .option("limit", last.as_deref())
        .filters(&args.filter);
    let list = Client::connect(&args.daemon)?.get(&format!("/containers/json{query}"))?;
    let containers = list.as_array().map(Vec::as_slice).unwrap_or_default();
    if args.json {
        return out::json_lines(containers.iter().map(Row::of));
    }
    let id = |row: &Row| if args.no_trunc { row.id.clone() } else { out::short(&row.id).to_owned() };
    if args.quiet {
        let ids: String = containers.iter().map(|c| id(&Row::of(c)) + "\n").collect();
        return out::print(ids.as_bytes());
    }
    let most = if args.no_trunc { usize::MAX } else { 20 };
    let rows: Vec<Vec<String>> = containers
        .iter()
        .map(|c| {
            let row = Row::of(c);
            vec![
                id(&row),
                out::plain(&row.image),
                format!("\"{}\"", out::cut(&row.command, most)),
                ago(&c["Created"]),
                row.status.clone(),
                row.ports(),
                row.name.clone(),
            ]
        })
        .collect();
    let headings = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
    out::print(out::table(&headings, &rows).as_bytes())
}

/// `carrack logs`.
pub(crate) fn logs(args: &args::Logs) -> Result<u8, Failure> {
    let client = Client::connect(&args.daemon)?;
    let name = encode(&args.container);
    let seen = client.get(&format!("/containers/{name}/json"))?;
    let query = Query::default()
        .flag("stdout", true)
        .flag("stderr", true)
        .flag("follow", args.follow)
        .flag("timestamps", args.timestamps)
        .text("tail", &args.tail)
        .option("since", args.since.as_deref())
        .option("until", args.until.as_deref());
    let path = format!("/containers/{}/logs{query}", text(&seen["Id"]));
    let mut log = client.stream(hyper::Method::GET, &path, Body::None)?;
    let tty = seen["Config"]["Tty"] == true;
    attach::receive_output(&mut log, tty).map_err(|e| Failure::doing("the log", e))?;
    Ok(0)
}

/// Posts to each container, and prints the names of those for which it went well.
fn post_each(client: &Client, names: &[String], action: &str) -> Result<u8, Failure> {
    each(names, |name| {
        client.post(&format!("/containers/{}/{action}", encode(name)), Value::Null)?;
        out::print(format!("{name}\n").as_bytes()).map(drop)
    })
}

/// `carrack start`.
pub(crate) fn start(args: &args::Start) -> Result<u8, Failure> {
    post_each(&Client::connect(&args.daemon)?, &args.containers, "start")
}

/// `carrack stop`.
pub(crate) fn stop(args: &args::Stop) -> Result<u8, Failure> {
    let timeout = args.timeout.map(|t| t.to_string());
    let query = Query::default().option("t", timeout.as_deref()).option("signal", args.signal.as_deref());
    post_each(&Client::connect(&args.daemon)?, &args.containers, &format!("stop{query}"))
}

/// `carrack kill`.
pub(crate) fn kill(args: &args::Kill) -> Result<u8, Failure> {
    let query = Query::default().option("signal", args.signal.as_deref());
    post_each(&Client::connect(&args.daemon)?, &args.containers, &format!("kill{query}"))
}

/// `carrack rm`.
pub(crate) fn remove(args: &args::Rm) -> Result<u8, Failure> {
    let client = Client::connect(&args.daemon)?;
    let query = Query::default().flag("force", args.force).flag("v", args.volumes);
    each(&args.containers, |name| {
        client.delete(&format!("/containers/{}{query}", encode(name)))?;
        out::print(format!("{name}\n").as_bytes()).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_have_their_documented_shape() {
        let row = Row::of(&json!({
            "Id": "ab", "Names": ["/web"], "Image": "d:1", "ImageID": "sha256:1", "Command": "sh", "Created": 60,
            "State": "running", "Status": "Up 1 second", "Labels": { "a": "b" },
            "Ports": [{ "PrivatePort": 80, "PublicPort": 8080, "IP": "0.0.0.0", "Type": "tcp" }, { "PrivatePort": 1, "Type": "udp" }],
            "Mounts": [{ "Destination": "/d" }],
        }));
        assert_eq!(
            serde_json::to_value(&row).unwrap(),
            json!({
                "id": "ab", "name": "web", "image": "d:1", "imageId": "sha256:1", "command": "sh",
                "created": "1970-01-01T00:01:00Z", "state": "running", "status": "Up 1 second",
                "ports": [
                    { "container": 80, "host": 8080, "address": "0.0.0.0", "protocol": "tcp" },
                    { "container": 1, "host": null, "address": null, "protocol": "udp" },
                ],
                "labels": { "a": "b" }, "mounts": ["/d"],
            })
        );
        assert_eq!(row.ports(), "0.0.0.0:8080->80/tcp, 1/udp");
    }
}
