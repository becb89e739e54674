//! The two large bodies of `create`: `Config` and `HostConfig`.
//!
//! Clients post what they inspected, and compare what they inspect with what they posted. So both are kept as JSON maps:
//! a template with Docker's defaults, overlaid with what the request said. The engine reads them through the typed views
//! below, which hold only the fields that mean something here.

use super::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub type Object = Map<String, Value>;

/// Paths that a container does not see, and paths that it sees read-only, unless it asks otherwise.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Fields of `Config` that inspect leaves out when they are unset.
const CONFIG_OPTIONAL: &[&str] = &[
    "ExposedPorts",
    "Healthcheck",
    "ArgsEscaped",
    "NetworkDisabled",
    "MacAddress",
    "StopSignal",
    "StopTimeout",
    "Shell",
];
const HOST_OPTIONAL: &[&str] =
    &["Annotations", "StorageOpt", "Tmpfs", "Sysctls", "Mounts", "Init", "KernelMemory"];

pub fn config_template() -> Object {
    object(json!({
        "Hostname": "", "Domainname": "", "User": "",
        "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false,
        "Env": [], "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null,
        "OnBuild": null, "Labels": {},
    }))
}

pub fn host_template() -> Object {
    object(json!({
        "Binds": null, "ContainerIDFile": "", "LogConfig": { "Type": "json-file", "Config": {} },
        "NetworkMode": "bridge", "PortBindings": {},
        "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 }, "AutoRemove": false,
        "VolumeDriver": "", "VolumesFrom": null, "ConsoleSize": [0, 0],
        "CapAdd": null, "CapDrop": null, "CgroupnsMode": "private",
        "Dns": [], "DnsOptions": [], "DnsSearch": [], "ExtraHosts": null, "GroupAdd": null,
        "IpcMode": "private", "Cgroup": "", "Links": null, "OomScoreAdj": 0, "PidMode": "",
        "Privileged": false, "PublishAllPorts": false, "ReadonlyRootfs": false, "SecurityOpt": null,
        "UTSMode": "", "UsernsMode": "", "ShmSize": 67_108_864, "Runtime": "carrack", "Isolation": "",
        "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "",
        "BlkioWeight": 0, "BlkioWeightDevice": [], "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [],
        "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [],
        "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0,
        "CpusetCpus": "", "CpusetMems": "", "Devices": [], "DeviceCgroupRules": null, "DeviceRequests": null,
        "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": null, "OomKillDisable": null,
        "PidsLimit": null, "Ulimits": [], "CpuCount": 0, "CpuPercent": 0,
        "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
        "MaskedPaths": MASKED, "ReadonlyPaths": READONLY,
    }))
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The value of `key`, whatever its case, null being absent.
pub fn field<'a>(map: &'a Object, key: &str) -> Option<&'a Value> {
    map.get(key)
        .or_else(|| map.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v))
        .filter(|v| !v.is_null())
}

fn overlay(mut template: Object, optional: &[&str], request: &Object) -> Object {
    let known: Vec<String> = template.keys().cloned().chain(optional.iter().map(|s| s.to_string())).collect();
    for key in known {
        if let Some(value) = field(request, &key) {
            template.insert(key, value.clone());
        }
    }
    template
}

/// `Config` as inspect will show it before the image is merged in.
pub fn config_of(request: &Object) -> Object {
    overlay(config_template(), CONFIG_OPTIONAL, request)
}

/// `HostConfig` as inspect will show it.
pub fn host_of(request: &Object) -> Object {
    let mut host = overlay(host_template(), HOST_OPTIONAL, request);
    let defaults = host_template();
    let is_empty = |v: &Value| v.as_str() == Some("") || v.as_i64() == Some(0);
    for key in ["ShmSize", "IpcMode", "CgroupnsMode", "Runtime", "NetworkMode"] {
        if host.get(key).is_some_and(is_empty)
            && let Some(default) = defaults.get(key)
        {
            host.insert(key.into(), default.clone());
        }
    }
    if host.get("NetworkMode").and_then(Value::as_str) == Some("default") {
        host.insert("NetworkMode".into(), json!("bridge"));
    }
    if let Some(Value::Object(policy)) = host.get_mut("RestartPolicy") {
        if field(policy, "Name").and_then(Value::as_str).unwrap_or("").is_empty() {
            policy.insert("Name".into(), json!("no"));
        }
        policy.entry("MaximumRetryCount").or_insert(json!(0));
    }
    if let Some(Value::Object(log)) = host.get_mut("LogConfig") {
        if field(log, "Type").and_then(Value::as_str).unwrap_or("").is_empty() {
            log.insert("Type".into(), json!("json-file"));
        }
        if field(log, "Config").is_none() {
            log.insert("Config".into(), json!({}));
        }
    }
    host
}

/// Reads a map through a typed view; a field of the wrong type is the client's fault.
pub fn view<T: DeserializeOwned>(map: &Object) -> Result<T> {
    serde_json::from_value(Value::Object(map.clone()))
        .map_err(|e| Error::invalid(format!("invalid JSON: {e}")))
}

/// Null is absent.
fn lax<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A list of words, or one word; `None` when it was not given.
fn words<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Option::<OneOrMany>::deserialize(d)?.map(|w| match w {
        OneOrMany::One(s) => vec![s],
        OneOrMany::Many(v) => v,
    }))
}

/// `Config` as far as it is interpreted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigView {
    #[serde(deserialize_with = "lax")]
    pub hostname: String,
    #[serde(deserialize_with = "lax")]
    pub domainname: String,
    #[serde(deserialize_with = "lax")]
    pub user: String,
    #[serde(deserialize_with = "lax")]
    pub exposed_ports: BTreeMap<String, Value>,
    #[serde(deserialize_with = "lax")]
    pub tty: bool,
    #[serde(deserialize_with = "lax")]
    pub open_stdin: bool,
    #[serde(deserialize_with = "lax")]
    pub stdin_once: bool,
    #[serde(deserialize_with = "lax")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    #[serde(deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(deserialize_with = "words")]
    pub shell: Option<Vec<String>>,
    pub healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "lax")]
    pub image: String,
    #[serde(deserialize_with = "lax")]
    pub volumes: BTreeMap<String, Value>,
    #[serde(deserialize_with = "lax")]
    pub working_dir: String,
    #[serde(deserialize_with = "lax")]
    pub network_disabled: bool,
    #[serde(deserialize_with = "lax")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "lax")]
    pub stop_signal: String,
    pub stop_timeout: Option<i64>,
}

/// Durations are nanoseconds; 0 means "inherit", then the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    #[serde(deserialize_with = "lax", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    #[serde(deserialize_with = "lax", skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(deserialize_with = "lax", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(deserialize_with = "lax", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(deserialize_with = "lax", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(deserialize_with = "lax", skip_serializing_if = "is_zero")]
    pub retries: i64,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// `HostConfig` as far as it is interpreted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostView {
    #[serde(deserialize_with = "lax")]
    pub binds: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub mounts: Vec<MountRequest>,
    #[serde(deserialize_with = "lax")]
    pub tmpfs: BTreeMap<String, String>,
    #[serde(deserialize_with = "lax")]
    pub volumes_from: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub volume_driver: String,
    #[serde(deserialize_with = "lax")]
    pub log_config: LogConfig,
    #[serde(deserialize_with = "lax")]
    pub network_mode: String,
    #[serde(deserialize_with = "lax")]
    pub port_bindings: BTreeMap<String, Value>,
    #[serde(deserialize_with = "lax")]
    pub publish_all_ports: bool,
    #[serde(deserialize_with = "lax")]
    pub restart_policy: RestartPolicy,
    #[serde(deserialize_with = "lax")]
    pub auto_remove: bool,
    #[serde(deserialize_with = "lax")]
    pub console_size: Vec<u16>,
    #[serde(deserialize_with = "lax")]
    pub cap_add: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub cap_drop: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub dns: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub dns_options: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub dns_search: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub extra_hosts: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub group_add: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub links: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub ipc_mode: String,
    #[serde(deserialize_with = "lax")]
    pub pid_mode: String,
    #[serde(rename = "UTSMode", deserialize_with = "lax")]
    pub uts_mode: String,
    #[serde(deserialize_with = "lax")]
    pub cgroupns_mode: String,
    #[serde(deserialize_with = "lax")]
    pub privileged: bool,
    #[serde(deserialize_with = "lax")]
    pub readonly_rootfs: bool,
    #[serde(deserialize_with = "lax")]
    pub security_opt: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub storage_opt: BTreeMap<String, String>,
    #[serde(deserialize_with = "lax")]
    pub shm_size: i64,
    #[serde(deserialize_with = "lax")]
    pub sysctls: BTreeMap<String, String>,
    #[serde(deserialize_with = "lax")]
    pub runtime: String,
    #[serde(deserialize_with = "lax")]
    pub isolation: String,
    #[serde(deserialize_with = "lax")]
    pub init: bool,
    #[serde(deserialize_with = "lax")]
    pub masked_paths: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub readonly_paths: Vec<String>,
    #[serde(deserialize_with = "lax")]
    pub oom_score_adj: i64,
    #[serde(deserialize_with = "lax")]
    pub memory: i64,
    #[serde(deserialize_with = "lax")]
    pub memory_swap: i64,
    #[serde(deserialize_with = "lax")]
    pub nano_cpus: i64,
    #[serde(deserialize_with = "lax")]
    pub cpu_period: i64,
    #[serde(deserialize_with = "lax")]
    pub cpu_quota: i64,
    #[serde(deserialize_with = "lax")]
    pub pids_limit: i64,
    #[serde(deserialize_with = "lax")]
    pub ulimits: Vec<UlimitRequest>,
    #[serde(deserialize_with = "lax")]
    pub device_requests: Vec<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    #[serde(deserialize_with = "lax")]
    pub r#type: String,
    #[serde(deserialize_with = "lax")]
    pub config: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    #[serde(deserialize_with = "lax")]
    pub name: String,
    #[serde(deserialize_with = "lax")]
    pub maximum_retry_count: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UlimitRequest {
    #[serde(deserialize_with = "lax")]
    pub name: String,
    #[serde(deserialize_with = "lax")]
    pub soft: i64,
    #[serde(deserialize_with = "lax")]
    pub hard: i64,
}

/// One entry of `HostConfig.Mounts`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountRequest {
    #[serde(deserialize_with = "lax")]
    pub r#type: String,
    #[serde(deserialize_with = "lax")]
    pub source: String,
    #[serde(deserialize_with = "lax")]
    pub target: String,
    #[serde(deserialize_with = "lax")]
    pub read_only: bool,
    pub bind_options: Option<BindOptions>,
    pub volume_options: Option<VolumeOptions>,
    pub tmpfs_options: Option<TmpfsOptions>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    #[serde(deserialize_with = "lax")]
    pub propagation: String,
    #[serde(deserialize_with = "lax")]
    pub create_mountpoint: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    #[serde(deserialize_with = "lax")]
    pub no_copy: bool,
    #[serde(deserialize_with = "lax")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "lax")]
    pub driver_config: DriverConfig,
    #[serde(deserialize_with = "lax")]
    pub subpath: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverConfig {
    #[serde(deserialize_with = "lax")]
    pub name: String,
    #[serde(deserialize_with = "lax")]
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    #[serde(deserialize_with = "lax")]
    pub size_bytes: i64,
    #[serde(deserialize_with = "lax")]
    pub mode: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(v: Value) -> Object {
        object(v)
    }

    #[test]
    fn keys_match_in_any_case_and_null_is_absent() {
        let config = config_of(&map(json!({ "image": "a", "CMD": ["x"], "Env": null })));
        let view: ConfigView = view(&config).unwrap();
        assert_eq!(view.image, "a");
        assert_eq!(view.cmd, Some(vec!["x".to_string()]));
        assert!(view.env.is_empty());
    }

    #[test]
    fn a_host_config_comes_back_as_it_was_sent() {
        let sent = host_of(&map(json!({
            "Binds": ["/a:/b:ro"], "Memory": 1 << 30, "Ulimits": [{"Name":"nofile","Soft":1,"Hard":2}],
            "RestartPolicy": {"Name": ""}, "NetworkMode": "default", "MaskedPaths": [],
        })));
        assert_eq!(host_of(&sent), sent, "what was inspected can be posted back");
        assert_eq!(sent["RestartPolicy"]["Name"], "no");
        assert_eq!(sent["NetworkMode"], "bridge");
        assert_eq!(sent["MaskedPaths"], json!([]));
        let v: HostView = view(&sent).unwrap();
        assert_eq!(v.ulimits[0].hard, 2);
    }

    #[test]
    fn a_command_may_be_one_string() {
        let v: ConfigView = view(&config_of(&map(json!({ "Cmd": "ls" })))).unwrap();
        assert_eq!(v.cmd, Some(vec!["ls".to_string()]));
    }
}
