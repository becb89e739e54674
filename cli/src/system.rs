//! `carrack system` and `version`: disk use, clean-up, facts.

use crate::api::{Client, Query};
use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::images::{ago, number};
use crate::{dirs, out};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::PathBuf;

/// A kind of thing, as `carrack system df --json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    /// images, containers, volumes or build-cache.
    kind: &'static str,
    total: u64,
    /// In use by a container; of containers, those that run.
    active: u64,
    /// Bytes on the disk.
    size: u64,
    /// Bytes that a prune of this kind would give back.
    reclaimable: u64,
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn sum<'v>(rows: impl IntoIterator<Item = &'v Value>, size: impl Fn(&Value) -> u64) -> u64 {
    rows.into_iter().map(size).fold(0, u64::saturating_add)
}

/// The kinds of a disk usage of the API.
fn kinds(usage: &Value) -> Vec<Kind> {
    let kind = |kind, rows: &[Value], active: &dyn Fn(&Value) -> bool, size: u64, reclaimable: u64| Kind {
        kind,
        total: rows.len() as u64,
        active: rows.iter().filter(|r| active(r)).count() as u64,
        size,
        reclaimable,
    };
    let images = list(usage, "Images");
    let is_used = |i: &Value| number(&i["Containers"]) > 0;
    let layers = number(&usage["LayersSize"]);
    // Layers that an image in use shares with others stay.
    let used = sum(images.iter().filter(|i| is_used(i)), |i| {
        number(&i["Size"]).saturating_sub(number(&i["SharedSize"]))
    })
    .saturating_add(
        images.iter().filter(|i| is_used(i)).map(|i| number(&i["SharedSize"])).max().unwrap_or(0),
    );
    let containers = list(usage, "Containers");
    let runs = |c: &Value| matches!(c["State"].as_str(), Some("running" | "paused" | "restarting"));
    let written = |c: &Value| number(&c["SizeRw"]);
    let volumes = list(usage, "Volumes");
    let refers = |v: &Value| number(&v["UsageData"]["RefCount"]) > 0;
    let size = |v: &Value| number(&v["UsageData"]["Size"]);
    let cache = list(usage, "BuildCache");
    let in_use = |c: &Value| c["InUse"] == true;
    vec![
        kind("images", images, &is_used, layers, layers.saturating_sub(used)),
        kind(
            "containers",
            containers,
            &runs,
            sum(containers, written),
            sum(containers.iter().filter(|c| !runs(c)), written),
        ),
        kind(
            "volumes",
            volumes,
            &refers,
            sum(volumes, size),
            sum(volumes.iter().filter(|v| !refers(v)), size),
        ),
        kind(
            "build-cache",
            cache,
            &in_use,
            sum(cache, |c| number(&c["Size"])),
            sum(cache.iter().filter(|c| !in_use(c) && c["Shared"] != true), |c| number(&c["Size"])),
        ),
    ]
}

/// `carrack system df`.
pub(crate) fn df(cli: &Cli, args: &args::Df) -> Result<u8, Failure> {
    let usage = Client::keeper(cli, &args.daemon)?.get("/system/df")?;
    if args.verbose {
        return df_verbose(&usage, args.json);
    }
    let kinds = kinds(&usage);
    if args.json {
        return out::json_lines(kinds);
    }
    let rows: Vec<Vec<String>> = kinds
        .iter()
        .map(|k| {
            let name = match k.kind {
                "images" => "Images",
                "containers" => "Containers",
                "volumes" => "Volumes",
                _ => "Build cache",
            };
            let share =
                (k.reclaimable * 100).checked_div(k.size).map_or(String::new(), |p| format!(" ({p}%)"));
            vec![
                name.to_owned(),
                k.total.to_string(),
                k.active.to_string(),
                out::size(k.size),
                format!("{}{share}", out::size(k.reclaimable)),
            ]
        })
        .collect();
    out::print(out::table(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"], &rows).as_bytes())
}

fn df_verbose(usage: &Value, as_json: bool) -> Result<u8, Failure> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let images = list(usage, "Images");
    let containers = list(usage, "Containers");
    let volumes = list(usage, "Volumes");
    let container = |c: &Value| text(&c["Names"][0]).trim_start_matches('/').to_owned();
    if as_json {
        let images = images.iter().map(|i| {
            json!({
                "kind": "image", "id": i["Id"], "names": i["RepoTags"], "size": i["Size"],
                "shared": i["SharedSize"], "containers": i["Containers"],
            })
        });
        let containers = containers.iter().map(|c| {
            json!({
                "kind": "container", "id": c["Id"], "name": container(c), "state": c["State"],
                "size": number(&c["SizeRw"]),
            })
        });
        let volumes = volumes.iter().map(|v| {
            let usage = &v["UsageData"];
            json!({ "kind": "volume", "name": v["Name"], "size": usage["Size"], "containers": usage["RefCount"] })
        });
        return out::json_lines(images.chain(containers).chain(volumes));
    }
    let image_rows: Vec<Vec<String>> = images
        .iter()
        .map(|i| {
            let (size, shared) = (number(&i["Size"]), number(&i["SharedSize"]));
            let name = i["RepoTags"][0].as_str().unwrap_or("<none>");
            vec![
                out::plain(name),
                out::short(i["Id"].as_str().unwrap_or_default()).to_owned(),
                ago(&i["Created"]),
                out::size(size),
                out::size(shared),
                out::size(size.saturating_sub(shared)),
                number(&i["Containers"]).to_string(),
            ]
        })
        .collect();
    let container_rows: Vec<Vec<String>> = containers
        .iter()
        .map(|c| {
            vec![
                out::short(c["Id"].as_str().unwrap_or_default()).to_owned(),
                container(c),
                out::plain(&text(&c["Image"])),
                text(&c["Status"]),
                out::size(number(&c["SizeRw"])),
            ]
        })
        .collect();
    let volume_rows: Vec<Vec<String>> = volumes
        .iter()
        .map(|v| {
            let usage = &v["UsageData"];
            vec![text(&v["Name"]), number(&usage["RefCount"]).to_string(), out::size(number(&usage["Size"]))]
        })
        .collect();
    let all = [
        "Images\n",
        &out::table(&["NAME", "IMAGE ID", "CREATED", "SIZE", "SHARED", "UNIQUE", "CONTAINERS"], &image_rows),
        "\nContainers\n",
        &out::table(&["CONTAINER ID", "NAME", "IMAGE", "STATUS", "SIZE"], &container_rows),
        "\nVolumes\n",
        &out::table(&["NAME", "CONTAINERS", "SIZE"], &volume_rows),
    ]
    .concat();
    out::print(all.as_bytes())
}

/// What was removed, as `carrack prune --json` shows it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pruned {
    containers: Vec<String>,
    /// Names that were taken away.
    untagged: Vec<String>,
    images: Vec<String>,
    volumes: Vec<String>,
    build_cache: Vec<String>,
    /// Bytes.
    space_reclaimed: u64,
}

/// `carrack prune` and `carrack system prune`.
pub(crate) fn prune(cli: &Cli, args: &args::Prune) -> Result<u8, Failure> {
    if !args.force && !confirmed(args)? {
        return Err(Failure::new("nothing was removed"));
    }
    let client = Client::keeper(cli, &args.daemon)?;
    let mut pruned = Pruned::default();
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if client.is_daemon() {
        let gone = client.post("/containers/prune", Value::Null)?;
        pruned.containers = strings(&gone["ContainersDeleted"]);
        pruned.space_reclaimed += number(&gone["SpaceReclaimed"]);
        if args.volumes {
            let gone = client.post("/volumes/prune", Value::Null)?;
            pruned.volumes = strings(&gone["VolumesDeleted"]);
            pruned.space_reclaimed += number(&gone["SpaceReclaimed"]);
        }
        let gone =
            client.post(&format!("/build/prune{}", Query::default().flag("all", args.all)), Value::Null)?;
        pruned.build_cache = strings(&gone["CachesDeleted"]);
        pruned.space_reclaimed += number(&gone["SpaceReclaimed"]);
    } else {
        out::say(
            "carrack: no daemon runs, so stopped containers and volumes stay; `carrack serve` starts it",
        );
    }
    let dangling = if args.all { "false" } else { "true" };
    let filters = Query::default().filters(&[("dangling".to_owned(), dangling.to_owned())]);
    let gone = client.post(&format!("/images/prune{filters}"), Value::Null)?;
    for row in list(&gone, "ImagesDeleted") {
        pruned.untagged.extend(row["Untagged"].as_str().map(str::to_owned));
        pruned.images.extend(row["Deleted"].as_str().map(str::to_owned));
    }
    pruned.space_reclaimed += number(&gone["SpaceReclaimed"]);
    if args.json {
        return out::json(&pruned);
    }
    let mut text = String::new();
    let parts = [
        ("Deleted container", &pruned.containers),
        ("Deleted volume", &pruned.volumes),
        ("Deleted build cache", &pruned.build_cache),
        ("Untagged image", &pruned.untagged),
        ("Deleted image", &pruned.images),
    ];
    for (what, names) in parts {
        for name in names {
            text.push_str(&format!("{what}: {name}\n"));
        }
    }
    text.push_str(&format!("Space given back: {}\n", out::size(pruned.space_reclaimed)));
    out::print(text.as_bytes())
}

/// Asks on the terminal.
fn confirmed(args: &args::Prune) -> Result<bool, Failure> {
    if !crate::terminal::is_stdin() {
        return Err(Failure::new("there is no terminal to ask on; say -f to remove without being asked"));
    }
    let images = if args.all { "all images that no container uses" } else { "images without a name" };
    let volumes = if args.volumes { ", volumes without a name that no container uses" } else { "" };
    eprint!("This removes stopped containers, {images}, the build cache{volumes}.\nGo on? [y/N] ");
    // Whoever cannot see the question does not answer it.
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|e| Failure::doing("standard input", e))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What `carrack system info --json` shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    version: &'static str,
    kernel: String,
    architecture: &'static str,
    operating_system: String,
    cpus: u64,
    /// Bytes.
    memory: u64,
    data_root: PathBuf,
    run_directory: PathBuf,
    images: u64,
    daemon: Option<DaemonFacts>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DaemonFacts {
    address: String,
    data_root: String,
    running: u64,
    paused: u64,
    stopped: u64,
}

/// `carrack system info`.
pub(crate) fn info(cli: &Cli, args: &args::Info) -> Result<u8, Failure> {
    let local = Client::local(cli, None)?.get("/info")?;
    let daemon = match Client::connect(&args.daemon) {
        Ok(client) => {
            let info = client.get("/info")?;
            Some(DaemonFacts {
                address: client.address(),
                data_root: info["DockerRootDir"].as_str().unwrap_or_default().to_owned(),
                running: number(&info["ContainersRunning"]),
                paused: number(&info["ContainersPaused"]),
                stopped: number(&info["ContainersStopped"]),
            })
        }
        Err(_) => None,
    };
    let text = |key: &str| local[key].as_str().unwrap_or_default().to_owned();
    let facts = Facts {
        version: env!("CARGO_PKG_VERSION"),
        kernel: text("KernelVersion"),
        architecture: std::env::consts::ARCH,
        operating_system: text("OperatingSystem"),
        cpus: number(&local["NCPU"]),
        memory: number(&local["MemTotal"]),
        data_root: dirs::data_root(cli)?,
        run_directory: dirs::run_root()?,
        images: number(&local["Images"]),
        daemon,
    };
    if args.json {
        return out::json(&facts);
    }
    let daemon = match &facts.daemon {
        Some(d) => format!(
            "{}\ncontainers:        {} running, {} paused, {} stopped",
            d.address, d.running, d.paused, d.stopped
        ),
        None => "does not run (`carrack serve` starts it)".to_owned(),
    };
    let text = format!(
        "version:           {}\nkernel:            {} {}\noperating system:  {}\ncpus, memory:      {}, {}\n\
         data root:         {}\nrun directory:     {}\nimages:            {}\ndaemon:            {daemon}\n",
        facts.version,
        facts.kernel,
        facts.architecture,
        facts.operating_system,
        facts.cpus,
        out::size(facts.memory),
        facts.data_root.display(),
        facts.run_directory.display(),
        facts.images,
    );
    out::print(text.as_bytes())
}

/// `carrack version`.
pub(crate) fn version(args: &args::Version) -> Result<u8, Failure> {
    let host = rustix::system::uname();
    let daemon = Client::connect(&args.daemon).and_then(|client| client.get("/version")).ok();
    let of = |key: &str| daemon.as_ref().and_then(|d| d[key].as_str()).unwrap_or_default().to_owned();
    let build = daemon.as_ref().and_then(|d| {
        let components = d["Components"].as_array()?;
        components.iter().find(|c| c["Name"] == "carrack")?["Version"].as_str().map(str::to_owned)
    });
    if args.json {
        return out::json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "host": {
                "system": host.sysname().to_string_lossy(), "kernel": host.release().to_string_lossy(),
                "architecture": host.machine().to_string_lossy(),
            },
            "daemon": daemon.as_ref().map(|_| json!({
                "version": build, "engineVersion": of("Version"), "apiVersion": of("ApiVersion"),
                "minApiVersion": of("MinAPIVersion"),
            })),
        }));
    }
    let daemon = match &daemon {
        Some(_) => format!(
            "carrack {}, speaks Docker's API {} to {} as engine {}",
            build.as_deref().unwrap_or("(another engine)"),
            of("MinAPIVersion"),
            of("ApiVersion"),
            of("Version")
        ),
        None => "does not run".to_owned(),
    };
    let text = format!(
        "carrack {}\nhost: {} {} {}\ndaemon: {daemon}\n",
        env!("CARGO_PKG_VERSION"),
        host.sysname().to_string_lossy(),
        host.release().to_string_lossy(),
        host.machine().to_string_lossy()
    );
    out::print(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_use_is_summed_by_kind() {
        let usage = json!({
            "LayersSize": 100,
            "Images": [
                { "Size": 60, "SharedSize": 20, "Containers": 1 }, { "Size": 60, "SharedSize": 20, "Containers": 0 },
            ],
            "Containers": [{ "State": "running", "SizeRw": 5 }, { "State": "exited", "SizeRw": 7 }],
            "Volumes": [{ "UsageData": { "Size": 3, "RefCount": 0 } }],
            "BuildCache": null,
        });
        let k = kinds(&usage);
        let of = |i: usize| (k[i].kind, k[i].total, k[i].active, k[i].size, k[i].reclaimable);
        assert_eq!(of(0), ("images", 2, 1, 100, 40));
        assert_eq!(of(1), ("containers", 2, 1, 12, 7));
        assert_eq!(of(2), ("volumes", 1, 0, 3, 3));
        assert_eq!(of(3), ("build-cache", 0, 0, 0, 0));
    }
}
