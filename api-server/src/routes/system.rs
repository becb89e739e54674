//! `/_ping`, `/version`, `/info`, `/system/df`.

use super::body::ok;
use super::{Call, Route, SERVER_VERSION, blocking, get, head};
use crate::engine::clock;
use crate::engine::error::{Error, Result};
use crate::engine::images::host_architecture;
use crate::engine::{life::State, stats};
use crate::version::{NEWEST, OLDEST};
use axum::body::Body;
use axum::http::{Method, Response, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/_ping", ping),
        head("/_ping", ping),
        get("/version", version),
        get("/info", info),
        get("/system/df", disk_usage),
    ]
}

async fn ping(call: Call) -> Result<Response<Body>> {
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL.as_str(), "no-cache, no-store, must-revalidate"),
        (header::PRAGMA.as_str(), "no-cache"),
        ("builder-version", "1"),
        ("swarm", "inactive"),
    ];
    let body = if call.request.method() == Method::HEAD { "" } else { "OK" };
    Ok((headers, body).into_response())
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

async fn version(_call: Call) -> Result<Response<Body>> {
    let build = env!("CARGO_PKG_VERSION");
    Ok(ok(&json!({
        "Platform": { "Name": format!("Carrack {build}") },
        "Components": [
            { "Name": "Engine", "Version": SERVER_VERSION, "Details": {
                "ApiVersion": NEWEST.to_string(), "MinAPIVersion": OLDEST.to_string(), "Arch": host_architecture(),
                "Os": "linux", "KernelVersion": kernel(), "GitCommit": "", "GoVersion": "", "BuildTime": "",
                "Experimental": "false",
            } },
            { "Name": "carrack", "Version": build, "Details": { "GitCommit": "" } },
        ],
        "Version": SERVER_VERSION, "ApiVersion": NEWEST.to_string(), "MinAPIVersion": OLDEST.to_string(),
        "GitCommit": "", "GoVersion": "", "Os": "linux", "Arch": host_architecture(), "KernelVersion": kernel(),
        "BuildTime": "", "Experimental": false,
    })))
}

/// `PRETTY_NAME` of os-release(5).
fn operating_system() -> (String, String) {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        text.lines()
            .find_map(|l| l.strip_prefix(key)?.strip_prefix('='))
            .map(|v| v.trim_matches('"').to_string())
            .unwrap_or_default()
    };
    (value("PRETTY_NAME"), value("VERSION_ID"))
}

/// Whether the host routes between its networks, ip_forward of ip(7).
fn forwards_ipv4() -> bool {
    std::fs::read("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim_ascii() == b"1")
}

fn swarm() -> Value {
    json!({
        "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
        "RemoteManagers": null,
    })
}

async fn info(call: Call) -> Result<Response<Body>> {
    let engine = call.engine.clone();
    let images = {
        let engine = engine.clone();
        blocking(move || Ok(engine.images.ids()?.len())).await?
    };
    let (mut running, mut paused, mut stopped) = (0, 0, 0);
    let all = engine.all();
    for c in &all {
        match c.state() {
            State::Running | State::Restarting => running += 1,
            State::Paused => paused += 1,
            _ => stopped += 1,
        }
    }
    let (system, system_version) = operating_system();
    let arch = std::env::consts::ARCH;
    let runtime = json!({ "path": engine.settings.exe.to_string_lossy() });
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Ok(ok(&json!({
        "ID": engine.id, "Name": crate::engine::create::host_name(),
        "Containers": all.len(), "ContainersRunning": running, "ContainersPaused": paused,
        "ContainersStopped": stopped, "Images": images,
        "Driver": "carrack", "DriverStatus": [["Layout", "immutable index, delta journal"]],
        "DockerRootDir": engine.settings.data_root.to_string_lossy(),
        "Plugins": {
            "Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": null,
            "Log": ["json-file", "local", "none"],
        },
        "MemoryLimit": true, "SwapLimit": false, "CpuCfsPeriod": false, "CpuCfsQuota": false, "CPUShares": false,
        "CPUSet": false, "PidsLimit": true, "OomKillDisable": false, "IPv4Forwarding": forwards_ipv4(),
        "Debug": false, "NFd": descriptors, "NGoroutines": 0, "NEventsListener": engine.events.listeners(),
        "SystemTime": clock::rfc3339(clock::now()),
        "LoggingDriver": "json-file", "CgroupDriver": "none", "CgroupVersion": "2",
        "KernelVersion": kernel(), "OperatingSystem": system, "OSVersion": system_version, "OSType": "linux",
        "Architecture": arch,
        "NCPU": std::thread::available_parallelism().map_or(1, |n| n.get()), "MemTotal": stats::host_memory(),
        "IndexServerAddress": "",
        "RegistryConfig": { "InsecureRegistryCIDRs": [], "IndexConfigs": {}, "Mirrors": null },
        "GenericResources": null, "HttpProxy": "", "HttpsProxy": "", "NoProxy": "", "Labels": [],
        "ExperimentalBuild": false, "ServerVersion": SERVER_VERSION,
        "Runtimes": { "carrack": runtime, "runc": runtime, "io.containerd.runc.v2": runtime },
        "DefaultRuntime": "carrack", "Swarm": swarm(), "LiveRestoreEnabled": true, "Isolation": "",
        "InitBinary": "", "ContainerdCommit": { "ID": "" }, "RuncCommit": { "ID": "" }, "InitCommit": { "ID": "" },
        "SecurityOptions": ["name=seccomp,profile=builtin"],
        "DefaultAddressPools": [], "Warnings": null, "CDISpecDirs": [],
    })))
}

async fn disk_usage(call: Call) -> Result<Response<Body>> {
    let kinds = call.query.all("type");
    let known = ["container", "image", "volume", "build-cache"];
    if let Some(bad) = kinds.iter().find(|k| !known.contains(&k.as_str())) {
        return Err(Error::invalid(format!("unknown object type: {bad}")));
    }
    let engine = call.engine.clone();
    blocking(move || {
        let wanted = |kind: &str| kinds.is_empty() || kinds.iter().any(|k| k == kind);
        let mut o = json!({ "LayersSize": 0, "Images": null, "Containers": null, "Volumes": null, "BuildCache": null });
        if wanted("image") {
            let (layers, rows) = engine.image_usage()?;
            o["LayersSize"] = json!(layers);
            o["Images"] = json!(rows);
        }
        if wanted("container") {
            let rows: Vec<Value> = engine.all().iter().map(|c| engine.summary(c, true)).collect();
            o["Containers"] = json!(rows);
        }
        if wanted("volume") {
            o["Volumes"] = json!(engine.volume_usage());
        }
        if wanted("build-cache") {
            o["BuildCache"] = json!([]);
        }
        Ok(ok(&o))
    })
    .await
}
