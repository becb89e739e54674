//! Settings from a file in the format of dockerd's `daemon.json`.

use crate::dirs;
use crate::failure::Failure;
use carrack_images::registry;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What of `daemon.json` means something here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) hosts: Vec<String>,
    pub(crate) data_root: Option<PathBuf>,
    pub(crate) debug: Option<bool>,
    pub(crate) log_level: Option<String>,
    pub(crate) registry_mirrors: Vec<String>,
    pub(crate) insecure_registries: Vec<String>,
    max_concurrent_downloads: Option<usize>,
    max_concurrent_uploads: Option<usize>,
    max_download_attempts: Option<u32>,
    /// Settings of dockerd that have no effect here.
    #[serde(skip)]
    pub(crate) ignored: Vec<String>,
}

const KNOWN: [&str; 9] = [
    "hosts",
    "data-root",
    "debug",
    "log-level",
    "registry-mirrors",
    "insecure-registries",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
];

/// dockerd's other settings. A key that is in neither list is refused, as dockerd refuses it: a typo should not pass
/// silently.
const IGNORED: &[&str] = &[
    "allow-direct-routing",
    "allow-nondistributable-artifacts",
    "authorization-plugins",
    "bip",
    "bip6",
    "bridge",
    "bridge-accept-fwmark",
    "builder",
    "cdi-spec-dirs",
    "cgroup-parent",
    "containerd",
    "containerd-namespace",
    "containerd-plugin-namespace",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "default-address-pools",
    "default-cgroupns-mode",
    "default-gateway",
    "default-gateway-v6",
    "default-ipc-mode",
    "default-network-opts",
    "default-runtime",
    "default-shm-size",
    "default-ulimits",
    "dns",
    "dns-opts",
    "dns-search",
    "exec-opts",
    "exec-root",
    "experimental",
    "features",
    "firewall-backend",
    "fixed-cidr",
    "fixed-cidr-v6",
    "group",
    "host-gateway-ip",
    "host-gateway-ips",
    "http-proxy",
    "https-proxy",
    "icc",
    "init",
    "init-path",
    "ip",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "labels",
    "live-restore",
    "log-driver",
    "log-format",
    "log-opts",
    "metrics-addr",
    "min-api-version",
    "mtu",
    "network-control-plane-mtu",
    "network-diagnostic-port",
    "no-new-privileges",
    "no-proxy",
    "node-generic-resources",
    "oom-score-adjust",
    "pidfile",
    "proxies",
    "raw-logs",
    "rootless",
    "runtimes",
    "seccomp-profile",
    "selinux-enabled",
    "shutdown-timeout",
    "storage-driver",
    "storage-opts",
    "swarm-default-advertise-addr",
    "swarm-raft-election-tick",
    "swarm-raft-heartbeat-tick",
    "tls",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tlsverify",
    "userland-proxy",
    "userland-proxy-path",
    "userns-remap",
];

/// Settings for registries from what users write, with the places where certificates are looked for.
pub(crate) fn registries(mirrors: &[String], insecure: &[String]) -> Result<registry::Config, Failure> {
    let mut config = registry::Config { certificates: dirs::certificates(), ..registry::Config::default() };
    for mirror in mirrors {
        config.add_mirror(mirror).map_err(Failure::new)?;
    }
    for name in insecure {
        config.add_insecure(name).map_err(Failure::new)?;
    }
    Ok(config)
}

impl Config {
    /// What it says of registries.
    pub(crate) fn registries(&self) -> Result<registry::Config, Failure> {
        let mut config = registries(&self.registry_mirrors, &self.insecure_registries)?;
        config.downloads = self.max_concurrent_downloads.unwrap_or(config.downloads);
        config.uploads = self.max_concurrent_uploads.unwrap_or(config.uploads);
        config.attempts = self.max_download_attempts.unwrap_or(config.attempts);
        if config.downloads == 0 || config.uploads == 0 || config.attempts == 0 {
            return Err(Failure::new(
                "max-concurrent-downloads, max-concurrent-uploads and max-download-attempts must be at least 1",
            ));
        }
        Ok(config)
    }

    pub(crate) fn read(path: &Path) -> Result<Config, Failure> {
        let text = std::fs::read(path).map_err(|e| Failure::doing(path.display(), e))?;
        Config::parse(&text)
            .map_err(|e| Failure::doing(format!("unable to configure the daemon with {}", path.display()), e))
    }

    fn parse(text: &[u8]) -> Result<Config, String> {
        let object: Map<String, Value> = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let (mut ignored, mut unknown) = (Vec::new(), Vec::new());
        for key in object.keys().filter(|k| !KNOWN.contains(&k.as_str())) {
            let list = if IGNORED.contains(&key.as_str()) { &mut ignored } else { &mut unknown };
            list.push(key.clone());
        }
        if !unknown.is_empty() {
            return Err(format!(
                "the following directives don't match any configuration option: {}",
                unknown.join(", ")
            ));
        }
        let config: Config = serde_json::from_value(Value::Object(object)).map_err(|e| e.to_string())?;
        Ok(Config { ignored, ..config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerds_names() {
        let text =
            br#"{"hosts":["unix:///x"],"data-root":"/d","debug":true,"registry-mirrors":["https://m"]}"#;
        let c = Config::parse(text).unwrap();
        assert_eq!((c.hosts.len(), c.debug, c.registry_mirrors.len()), (1, Some(true), 1));
        assert!(c.ignored.is_empty());
    }

    #[test]
    fn what_has_no_effect_is_named_and_what_is_unknown_refused() {
        let c = Config::parse(br#"{"storage-driver":"overlay2","iptables":false}"#).unwrap();
        assert_eq!(c.ignored, ["iptables", "storage-driver"]);
        let e = Config::parse(br#"{"hots":[]}"#).unwrap_err();
        assert!(e.contains("hots"), "{e}");
        assert!(Config::parse(br#"{"hosts":7}"#).is_err() && Config::parse(b"[]").is_err());
        assert!(Config::parse(b"").is_err());
    }

    #[test]
    fn no_key_is_in_both_lists() {
        assert!(KNOWN.iter().all(|k| !IGNORED.contains(k)));
    }

    #[test]
    fn registries() {
        let settings = |text: &str| Config::parse(text.as_bytes()).unwrap().registries();
        let c = settings(
            r#"{"registry-mirrors":["http://m.example"],"insecure-registries":["a:1","10.0.0.0/8"],"max-concurrent-downloads":7}"#,
        );
        let c = c.unwrap();
        assert_eq!(
            (c.mirrors.len(), c.insecure_hosts.len(), c.insecure_networks.len(), c.downloads),
            (1, 1, 1, 7)
        );
        assert!(settings(r#"{"registry-mirrors":["m.example"]}"#).is_err());
        assert!(settings(r#"{"max-download-attempts":0}"#).is_err());
    }
}
