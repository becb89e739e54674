//! Making a container: validate, resolve the image, merge its config, reserve the name, make the volumes, write it down.
//!
//! What fails leaves nothing behind: no name, no anonymous volume, no directory.

use super::error::{Error, Result};
use super::images::Image;
use super::life::State;
use super::mounts::{self, Wanted};
use super::names;
use super::record::{Container, Kind, MountPoint, Record};
use super::wire::{self, ConfigView, Healthcheck, HostView, Object};
use super::{Engine, clock, signals};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A decoded create request.
#[derive(Debug)]
pub struct CreateRequest {
    pub name: Option<String>,
    /// `os[/arch[/variant]]`.
    pub platform: Option<String>,
    pub body: Object,
}

/// The new container's id and what did not take effect.
#[derive(Debug)]
pub struct Created {
    pub id: String,
    pub warnings: Vec<String>,
}

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Engine {
    /// `POST /containers/create`.
    pub fn create(self: &Arc<Self>, request: CreateRequest) -> Result<Created> {
        let mut warnings = Vec::new();
        let mut config = wire::config_of(&request.body);
        let empty = Object::new();
        let sub = |key| wire::field(&request.body, key).and_then(Value::as_object).unwrap_or(&empty);
        let mut host = wire::host_of(sub("HostConfig"));
        let endpoints = wire::field(sub("NetworkingConfig"), "EndpointsConfig")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();

        let mut config_view: ConfigView = wire::view(&config)?;
        let host_view: HostView = wire::view(&host)?;
        validate_config(&config_view, &host_view)?;
        validate_host(&host_view, &mut warnings)?;
        let name = request.name.as_deref().filter(|n| !n.is_empty()).map(names::check).transpose()?;

        let image = if config_view.image.is_empty() {
            None
        } else {
            Some(self.images.for_container(&config_view.image, request.platform.as_deref())?)
        };
        if let Some(image) = &image {
            merge_image(&mut config, &mut config_view, image)?;
            if request.platform.is_none() && !image.matches_host() {
                warnings.push(format!(
                    "The requested image's platform ({}) does not match the detected host platform ({}) and no specific platform was requested",
                    image.platform(),
                    super::images::host_platform(),
                ));
            }
        }
        let args = command(&config_view)?;

        let id = names::random_id();
        if config_view.hostname.is_empty() {
            let hostname = if host_view.network_mode == "host" || host_view.uts_mode == "host" {
                host_name()
            } else {
                names::short(&id).to_string()
            };
            config.insert("Hostname".into(), json!(hostname));
        }
        fill_limits(&mut host, &host_view);

        let name = self.reserve_name(name, &id)?;
        let mut made = Vec::new();
        let result = self.create_reserved(
            Parts {
                id: &id,
                name: &name,
                config,
                host,
                config_view: &config_view,
                host_view: &host_view,
                endpoints,
                args,
                image,
            },
            &mut made,
        );
        match result {
            Ok(container) => {
                self.container_event(&container, "create", &[]);
                Ok(Created { id, warnings })
            }
            Err(e) => {
                self.release_name(&name, &id);
                for volume in made {
                    if let Err(e) = self.volumes.remove(&volume) {
                        tracing::warn!(%volume, error = %e, "an anonymous volume stays behind");
                    }
                }
                let _ = std::fs::remove_dir_all(self.container_dir(&id));
                Err(e)
            }
        }
    }

    fn create_reserved(&self, parts: Parts<'_>, made: &mut Vec<String>) -> Result<Arc<Container>> {
        let inherited = self.volumes_from(&parts.host_view.volumes_from)?;
        let wanted = mounts::wanted(parts.host_view, &parts.config_view.volumes, &inherited)?;
        let mounts = wanted
            .into_iter()
            .map(|w| self.make_mount(w, parts.id, made))
            .collect::<Result<Vec<MountPoint>>>()?;
        let dir = self.container_dir(parts.id);
        super::make_private_dir(&dir)?;
        let record = Record {
            id: parts.id.to_string(),
            name: parts.name.to_string(),
            created: clock::rfc3339(clock::now()),
            image: parts.config_view.image.clone(),
            image_id: parts.image.as_ref().map(|i| i.id.clone()).unwrap_or_default(),
            image_index: parts.image.as_ref().and_then(|i| i.index.clone()),
            platform: parts.image.as_ref().map_or_else(super::images::host_platform, Image::platform),
            config: parts.config,
            host: parts.host,
            endpoints: parts.endpoints,
            args: parts.args,
            mounts,
            state: State::Created,
            pid: 0,
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            started_at: String::new(),
            finished_at: String::new(),
            restart_count: 0,
            manually_stopped: false,
        };
        let container = Arc::new(Container::new(record, dir, self.run_dir(parts.id)));
        *container.hold.lock() = parts.image.as_ref().and_then(|i| self.images.hold(&i.id));
        // The supervisor of a stopped container's files (`docker cp` before the first start) reads it too.
        self.write_spec(&container)?;
        self.save(&container)?;
        self.containers.write().insert(parts.id.to_string(), container.clone());
        Ok(container)
    }

    /// Makes what a mount needs: the volume, or the bind's missing source.
    fn make_mount(&self, wanted: Wanted, id: &str, made: &mut Vec<String>) -> Result<MountPoint> {
        let mut point = wanted.point;
        match point.kind {
            Kind::Volume => {
                if point.source.as_os_str().is_empty() {
                    let mut labels = wanted.labels;
                    if point.name.is_empty() {
                        point.name = names::random_id();
                        labels.insert(super::volumes::ANONYMOUS.into(), String::new());
                    }
                    let (volume, is_new) =
                        self.volumes.create(&point.name, &wanted.driver, wanted.options, labels)?;
                    if is_new {
                        if point.anonymous {
                            made.push(point.name.clone());
                        }
                        self.volume_event(&volume, "create", id);
                    }
                    point.source = self.volumes.path(&volume);
                    if !wanted.subpath.is_empty() {
                        point.source.push(&wanted.subpath);
                    }
                }
            }
            Kind::Bind if wanted.create_source && !point.source.exists() => {
                std::fs::create_dir_all(&point.source).map_err(|e| {
                    Error::internal(format!(
                        "error while creating mount source path '{}': {e}",
                        point.source.display()
                    ))
                })?;
            }
            Kind::Bind | Kind::Tmpfs => {}
        }
        Ok(point)
    }

    fn volumes_from(&self, specs: &[String]) -> Result<Vec<MountPoint>> {
        let mut all = Vec::new();
        for spec in specs {
            let (name, mode) = spec.split_once(':').unwrap_or((spec, ""));
            let donor = self.find(name).map_err(|e| Error::invalid(e.message))?;
            let read_only = match mode {
                "" | "rw" | "z" | "Z" => false,
                "ro" => true,
                _ => return Err(Error::invalid(format!("invalid mode: {mode}"))),
            };
            for point in &donor.record.read().mounts {
                if point.listed {
                    all.push(MountPoint { rw: point.rw && !read_only, ..point.clone() });
                }
            }
        }
        Ok(all)
    }
}

struct Parts<'a> {
    id: &'a str,
    name: &'a str,
    config: Object,
    host: Object,
    config_view: &'a ConfigView,
    host_view: &'a HostView,
    endpoints: Object,
    args: Vec<String>,
    image: Option<Image>,
}

/// The host's name, for containers that share its network or its UTS namespace.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn validate_config(config: &ConfigView, host: &HostView) -> Result<()> {
    if config.hostname.len() > 64 {
        return Err(Error::invalid(format!("hostname {:?} is too long (maximum 64 bytes)", config.hostname)));
    }
    if !config.hostname.is_empty() && host.uts_mode == "host" {
        return Err(Error::invalid("conflicting options: hostname and the UTS mode"));
    }
    if let Some(bad) = config.env.iter().find(|e| e.is_empty() || e.starts_with('=')) {
        return Err(Error::invalid(format!("invalid environment variable: {bad}")));
    }
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    if !config.stop_signal.is_empty() {
        signals::parse(&config.stop_signal)?;
    }
    if let Some(check) = &config.healthcheck {
        for (value, name) in [
            (check.interval, "Interval"),
            (check.timeout, "Timeout"),
            (check.start_period, "StartPeriod"),
            (check.start_interval, "StartInterval"),
        ] {
            if value != 0 && value < 1_000_000 {
                return Err(Error::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
            }
        }
        if check.retries < 0 {
            return Err(Error::invalid("Retries in Healthcheck cannot be negative"));
        }
    }
    for port in config.exposed_ports.keys() {
        parse_port(port)?;
    }
    Ok(())
}

fn parse_port(port: &str) -> Result<()> {
    let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let number = |s: &str| s.parse::<u16>().ok();
    let good = match range.split_once('-') {
        Some((a, b)) => matches!((number(a), number(b)), (Some(a), Some(b)) if a <= b),
        None => number(range).is_some(),
    };
    if good && matches!(protocol.to_ascii_lowercase().as_str(), "tcp" | "udp" | "sctp") {
        Ok(())
    } else {
        Err(Error::invalid(format!("invalid port specification: {port:?}")))
    }
}

pub(crate) fn validate_host(host: &HostView, warnings: &mut Vec<String>) -> Result<()> {
    let policy = host.restart_policy.name.as_str();
    match policy {
        "" | "no" | "always" | "unless-stopped" | "on-failure" => {}
        other => {
            return Err(Error::invalid(format!(
                "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            )));
        }
    }
    if host.restart_policy.maximum_retry_count != 0 && policy != "on-failure" {
        return Err(Error::invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    if host.restart_policy.maximum_retry_count < 0 {
        return Err(Error::invalid("invalid restart policy: maximum retry count cannot be negative"));
    }
    if host.auto_remove && !matches!(policy, "" | "no") {
        return Err(Error::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    validate_log(host)?;
    if host.memory != 0 && host.memory < 6 << 20 {
        return Err(Error::invalid("Minimum memory limit allowed is 6MB"));
    }
    if host.memory > 0 && host.memory_swap > 0 && host.memory_swap < host.memory {
        return Err(Error::invalid("Minimum memoryswap limit should be larger than memory limit, see usage"));
    }
    if host.memory == 0 && host.memory_swap > 0 {
        return Err(Error::invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ));
    }
    if host.nano_cpus > 0 && host.cpu_period > 0 {
        return Err(Error::invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set"));
    }
    if host.nano_cpus > 0 && host.cpu_quota > 0 {
        return Err(Error::invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set"));
    }
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get()) as i64;
    if host.nano_cpus < 0 || host.nano_cpus > cpus.saturating_mul(1_000_000_000) {
        return Err(Error::invalid(format!(
            "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        )));
    }
    if host.shm_size < 0 {
        return Err(Error::invalid("SHM size can not be less than 0"));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Error::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(Error::invalid(format!(
            "invalid isolation ({}): linux only supports 'default'",
            host.isolation
        )));
    }
    if !matches!(host.runtime.as_str(), "" | "carrack" | "runc" | "io.containerd.runc.v2") {
        return Err(Error::invalid(format!("unknown or invalid runtime name: {}", host.runtime)));
    }
    validate_modes(host)?;
    for (list, field) in [(&host.cap_add, "CapAdd"), (&host.cap_drop, "CapDrop")] {
        for capability in list {
            if !is_capability(capability) {
                return Err(Error::invalid(format!("invalid {field}: unknown capability: {capability:?}")));
            }
        }
    }
    for option in &host.security_opt {
        let (key, _) = option.split_once(['=', ':']).unwrap_or((option, ""));
        if !matches!(
            key,
            "no-new-privileges" | "seccomp" | "apparmor" | "label" | "systempaths" | "writable-cgroups"
        ) {
            return Err(Error::invalid(format!("invalid --security-opt 2: {option:?}")));
        }
    }
    for extra in &host.extra_hosts {
        let Some((name, address)) = extra.split_once([':', '=']) else {
            return Err(Error::invalid(format!("bad format for add-host: {extra:?}")));
        };
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if name.is_empty() || address.is_empty() {
            return Err(Error::invalid(format!("bad format for add-host: {extra:?}")));
        }
        if address != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err() {
            return Err(Error::invalid(format!("invalid IP address in add-host: {address:?}")));
        }
    }
    for limit in &host.ulimits {
        if limit.hard >= 0 && (limit.soft > limit.hard || limit.soft == -1) {
            return Err(Error::invalid(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                limit.soft, limit.hard
            )));
        }
    }
    if !host.links.is_empty() && host.network_mode == "host" {
        return Err(Error::invalid("conflicting options: host type networking can't be used with links"));
    }
    if host.links.iter().any(|l| !l.is_empty()) {
        warnings.push("Links are not resolved by this daemon yet".into());
    }
    if !host.storage_opt.is_empty() {
        return Err(Error::invalid("--storage-opt is not supported by this storage driver"));
    }
    if !host.port_bindings.is_empty() {
        warnings.push(if host.network_mode == "host" {
            "Published ports are discarded when using host network mode".to_string()
        } else {
            "Containers use the host's network for now: a service is reachable at its own port, published ports have no effect".to_string()
        });
    }
    if host.privileged {
        warnings
            .push("Privileged containers get emulated privileges only; this daemon has none to give".into());
    }
    Ok(())
}

fn validate_modes(host: &HostView) -> Result<()> {
    let donor = |mode: &str| mode.strip_prefix("container:").is_some_and(|id| !id.is_empty());
    if !matches!(host.ipc_mode.as_str(), "" | "private" | "shareable" | "none" | "host")
        && !donor(&host.ipc_mode)
    {
        return Err(Error::invalid(format!("invalid IPC mode: {}", host.ipc_mode)));
    }
    if !matches!(host.pid_mode.as_str(), "" | "host") && !donor(&host.pid_mode) {
        return Err(Error::invalid(format!("invalid PID mode: {}", host.pid_mode)));
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return Err(Error::invalid(format!("invalid UTS mode: {}", host.uts_mode)));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "private" | "host") {
        return Err(Error::invalid(format!("invalid cgroup namespace mode: {}", host.cgroupns_mode)));
    }
    if donor(&host.network_mode) {
        return Err(Error::not_implemented("sharing another container's network is not supported yet"));
    }
    Ok(())
}

fn validate_log(host: &HostView) -> Result<()> {
    let driver = host.log_config.r#type.as_str();
    let known: &[&str] = match driver {
        "" | "json-file" => &[
            "max-size",
            "max-file",
            "compress",
            "labels",
            "labels-regex",
            "env",
            "env-regex",
            "tag",
            "mode",
            "max-buffer-size",
        ],
        "local" => &["max-size", "max-file", "compress", "mode", "max-buffer-size"],
        "none" => return Ok(()),
        other => {
            return Err(Error::invalid(format!("logger: no log driver named '{other}' is registered")));
        }
    };
    for (key, value) in &host.log_config.config {
        if !known.contains(&key.as_str()) {
            return Err(Error::invalid(format!("unknown log opt '{key}' for {driver} log driver")));
        }
        if key == "max-size" && mounts::parse_size(value).is_none() {
            return Err(Error::invalid(format!("invalid size: '{value}'")));
        }
        if key == "max-file" && value.parse::<u32>().ok().filter(|n| *n > 0).is_none() {
            return Err(Error::invalid(format!("invalid value for max-file: '{value}'")));
        }
    }
    Ok(())
}

const CAPABILITIES: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// A capability's name without `CAP_`, in upper case.
pub fn capability_name(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    upper.strip_prefix("CAP_").map(str::to_string).unwrap_or(upper)
}

fn is_capability(text: &str) -> bool {
    let name = capability_name(text);
    name == "ALL" || CAPABILITIES.contains(&name.as_str())
}

/// Puts the image's values under the user's, as Docker merges them.
fn merge_image(config: &mut Object, view: &mut ConfigView, image: &Image) -> Result<()> {
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

fn command(view: &ConfigView) -> Result<Vec<String>> {
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
fn fill_limits(host: &mut Object, view: &HostView) {
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

    #[test]
    fn refusals_have_dockers_words() {
        let text = |host: Value| {
            let view: HostView = wire::view(&wire::host_of(host.as_object().unwrap())).unwrap();
            validate_host(&view, &mut Vec::new()).unwrap_err().message
        };
        assert_eq!(
            text(json!({ "LogConfig": { "Type": "asdf" } })),
            "logger: no log driver named 'asdf' is registered"
        );
        assert!(text(json!({ "RestartPolicy": { "Name": "often" } })).starts_with("invalid restart policy"));
        assert_eq!(
            text(json!({ "AutoRemove": true, "RestartPolicy": { "Name": "always" } })),
            "can't create 'AutoRemove' container with restart policy"
        );
        assert_eq!(text(json!({ "CapAdd": ["FLY"] })), "invalid CapAdd: unknown capability: \"FLY\"");
        assert_eq!(text(json!({ "Memory": 1024 })), "Minimum memory limit allowed is 6MB");
    }
}
