//! From a record to the supervisor's `Spec`, and the files that every container gets: /etc/hosts, /etc/hostname,
//! /etc/resolv.conf and /.dockerenv.

use super::Engine;
use super::capabilities::capability_name;
use super::error::{Error, Result};
use super::merge::environment;
use super::mounts::parse_size;
use super::names;
use super::record::{Container, Kind, MountPoint, Record};
use super::wire::HostView;
use carrack_emu::control::{LogSpec, MountKind, MountSpec, NetworkMode, RootfsSpec, Spec, Ulimit};
use std::path::{Path, PathBuf};

impl Engine {
    /// Writes `spec.json` and the generated files. Done before each start: the host's resolv.conf may have changed.
    pub(crate) fn write_spec(&self, container: &Container) -> Result<()> {
        let record = container.record.read().clone();
        let host = record.host_view();
        write_etc(&record, &host, &container.dir)?;
        let spec = self.spec(&record, &host, container);
        write_atomically(&container.dir.join("spec.json"), &serde_json::to_vec_pretty(&spec)?)
    }

    fn spec(&self, record: &Record, host: &HostView, container: &Container) -> Spec {
        let config = record.config_view();
        let mut mounts: Vec<MountSpec> = [
            ("/etc/resolv.conf", "resolv.conf"),
            ("/etc/hostname", "hostname"),
            ("/etc/hosts", "hosts"),
            ("/.dockerenv", "dockerenv"),
        ]
        .iter()
        .filter(|(target, _)| !record.mounts.iter().any(|m| m.destination == *target))
        .map(|(target, file)| MountSpec {
            kind: MountKind::Bind,
            source: container.dir.join(file),
            target: target.to_string(),
            read_only: false,
            size: 0,
            mode: None,
            copy_up: false,
        })
        .collect();
        mounts.extend(record.mounts.iter().map(mount_spec));
        let console_size = match host.console_size.as_slice() {
            [rows, cols] if *rows > 0 && *cols > 0 => Some((*rows, *cols)),
            _ => None,
        };
        let milli_cpus = if host.nano_cpus > 0 {
            host.nano_cpus / 1_000_000
        } else if host.cpu_quota > 0 {
            let period = if host.cpu_period > 0 { host.cpu_period } else { 100_000 };
            host.cpu_quota.saturating_mul(1000) / period
        } else {
            0
        };
        Spec {
            id: record.id.clone(),
            rootfs: RootfsSpec {
                store: self.settings.data_root.join("images"),
                index: record.image_index.clone(),
                read_only: host.readonly_rootfs,
            },
            args: record.args.clone(),
            env: environment(&config),
            cwd: config.working_dir,
            user: config.user,
            groups_add: host.group_add.clone(),
            hostname: config.hostname,
            domainname: config.domainname,
            tty: config.tty,
            open_stdin: config.open_stdin,
            stdin_once: config.stdin_once,
            console_size,
            mounts,
            network: if host.network_mode == "none" || config.network_disabled {
                NetworkMode::None
            } else {
                NetworkMode::Host
            },
            log: log_spec(host),
            privileged: host.privileged,
            cap_add: host.cap_add.iter().map(|c| capability_name(c)).collect(),
            cap_drop: host.cap_drop.iter().map(|c| capability_name(c)).collect(),
            no_new_privileges: host.security_opt.iter().any(|o| {
                matches!(
                    o.as_str(),
                    "no-new-privileges" | "no-new-privileges=true" | "no-new-privileges:true"
                )
            }),
            memory_limit: u64::try_from(host.memory).unwrap_or(0),
            pids_limit: u64::try_from(host.pids_limit).unwrap_or(0),
            milli_cpus: u64::try_from(milli_cpus).unwrap_or(0),
            ulimits: host
                .ulimits
                .iter()
                .map(|u| Ulimit { name: u.name.clone(), soft: u.soft, hard: u.hard })
                .collect(),
            shm_size: u64::try_from(host.shm_size).unwrap_or(64 << 20),
            masked_paths: if host.privileged { Vec::new() } else { host.masked_paths.clone() },
            readonly_paths: if host.privileged { Vec::new() } else { host.readonly_paths.clone() },
            sysctls: host.sysctls.clone().into_iter().collect(),
            init: host.init,
            kernel_version: String::new(),
            container_dir: container.dir.clone(),
            run_dir: container.run_dir.clone(),
        }
    }
}

fn mount_spec(point: &MountPoint) -> MountSpec {
    MountSpec {
        kind: match point.kind {
            Kind::Bind => MountKind::Bind,
            Kind::Volume => MountKind::Volume,
            Kind::Tmpfs => MountKind::Tmpfs,
        },
        source: point.source.clone(),
        target: point.destination.clone(),
        read_only: !point.rw,
        size: point.tmpfs_size,
        mode: point.tmpfs_mode,
        copy_up: point.copy_up,
    }
}

fn log_spec(host: &HostView) -> LogSpec {
    let options = &host.log_config.config;
    LogSpec {
        // `local` is Docker's private format; what counts is that its logs can be read back.
        driver: if host.log_config.r#type == "none" { "none".into() } else { "json-file".into() },
        max_size: options.get("max-size").and_then(|s| parse_size(s)).unwrap_or(0),
        max_file: options.get("max-file").and_then(|s| s.parse().ok()).unwrap_or(1),
    }
}

fn write_etc(record: &Record, host: &HostView, dir: &Path) -> Result<()> {
    let config = record.config_view();
    write_atomically(&dir.join("hostname"), format!("{}\n", config.hostname).as_bytes())?;
    write_atomically(&dir.join("dockerenv"), b"")?;
    write_atomically(&dir.join("hosts"), hosts(record, host, &config.hostname).as_bytes())?;
    let of_host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    write_atomically(&dir.join("resolv.conf"), resolv_conf(host, &of_host).as_bytes())
}

fn hosts(record: &Record, host: &HostView, hostname: &str) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    if host.network_mode == "host"
        && let Ok(of_host) = std::fs::read_to_string("/etc/hosts")
    {
        text = of_host;
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    for extra in &host.extra_hosts {
        if let Some((name, address)) = extra.split_once([':', '=']) {
            let address = if address == "host-gateway" { "127.0.0.1" } else { address };
            text.push_str(&format!("{address}\t{name}\n"));
        }
    }
    if host.network_mode != "none" && host.network_mode != "host" {
        // Containers share the host's network for now, so their own name is the loopback address.
        text.push_str(&format!("127.0.0.1\t{hostname} {}\n", names::short(&record.id)));
    }
    text
}

fn resolv_conf(host: &HostView, of_host: &str) -> String {
    if host.dns.is_empty() && host.dns_search.is_empty() && host.dns_options.is_empty() {
        return of_host.to_string();
    }
    let keep = |keyword: &str| -> Vec<String> {
        of_host.lines().filter(|l| l.split_whitespace().next() == Some(keyword)).map(str::to_string).collect()
    };
    let mut lines = if host.dns.is_empty() {
        keep("nameserver")
    } else {
        host.dns.iter().map(|d| format!("nameserver {d}")).collect()
    };
    if host.dns_search.is_empty() {
        lines.extend(keep("search"));
    } else if host.dns_search != ["."] {
        lines.push(format!("search {}", host.dns_search.join(" ")));
    }
    if host.dns_options.is_empty() {
        lines.extend(keep("options"));
    } else {
        lines.push(format!("options {}", host.dns_options.join(" ")));
    }
    lines.join("\n") + "\n"
}

/// Replaces the file in one step; a reader sees the old content or the new.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = PathBuf::from(path).into_os_string();
    temporary.push(".new");
    let write = || {
        std::fs::write(&temporary, bytes)?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|e: std::io::Error| Error::internal(format!("cannot write {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_keeps_what_was_not_given() {
        let of_host = "nameserver 10.0.0.1\nsearch a.example\noptions ndots:2\n";
        assert_eq!(resolv_conf(&HostView::default(), of_host), of_host);
        let host = HostView { dns: vec!["9.9.9.9".into()], ..HostView::default() };
        assert_eq!(resolv_conf(&host, of_host), "nameserver 9.9.9.9\nsearch a.example\noptions ndots:2\n");
    }
}
