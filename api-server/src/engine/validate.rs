//! What of a create request is refused, in Docker's words, and what is only warned of.

use super::capabilities::is_capability;
use super::error::{Error, Result};
use super::wire::{ConfigView, HostView};
use super::{mounts, signals};

pub(super) fn validate_config(config: &ConfigView, host: &HostView) -> Result<()> {
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
    if host.nano_cpus > 0 || host.cpu_quota > 0 {
        warnings.push("The limit of CPUs is shown to the container; this daemon cannot enforce it".into());
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

#[cfg(test)]
mod tests {
    use super::super::wire;
    use super::*;
    use serde_json::{Value, json};

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
