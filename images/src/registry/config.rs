//! Which registries there are, and how to reach them: the settings of dockerd's `daemon.json`, and the endpoints that
//! follow from them for a name.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::error::{Error, ErrorKind};
use crate::reference::DEFAULT_DOMAIN;

/// Where the default registry really is.
const HUB: &str = "https://registry-1.docker.io/";
/// By what name the default registry's credentials are kept and its search is asked.
pub const HUB_INDEX: &str = "https://index.docker.io/v1/";

/// Settings for all registries.
#[derive(Clone, Debug)]
pub struct Config {
    /// `registry-mirrors`: URLs that are asked before the default registry, in this order.
    pub mirrors: Vec<Url>,
    /// `insecure-registries`: names (`host` or `host:port`) that may speak plain HTTP or have any certificate.
    pub insecure_hosts: Vec<String>,
    /// `insecure-registries`: the same for addresses. Loopback is always among them, as in Docker.
    pub insecure_networks: Vec<IpNet>,
    /// Directories with a directory for each registry (`host:port`), in it `*.crt` (further authorities) and pairs of
    /// `NAME.cert` and `NAME.key` (who we are). A registry with an authority of its own is always verified.
    pub certificates: Vec<PathBuf>,
    /// `max-concurrent-downloads`: layers of one pull at a time.
    pub downloads: usize,
    /// `max-concurrent-uploads`: layers of one push at a time.
    pub uploads: usize,
    /// `max-download-attempts`: how often what may pass is tried.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles.
    pub backoff: Duration,
    /// How long nothing may come from the other side.
    pub patience: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            mirrors: Vec::new(),
            insecure_hosts: Vec::new(),
            insecure_networks: Vec::new(),
            certificates: Vec::new(),
            downloads: 3,
            uploads: 5,
            attempts: 5,
            backoff: Duration::from_secs(1),
            patience: Duration::from_secs(60),
        }
    }
}

/// One way to reach a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Ends with a slash; `v2/` follows.
    pub(super) base: Url,
    /// Not the registry itself: whatever goes wrong with it, the next endpoint is asked.
    pub(super) mirror: bool,
    /// Any certificate will do, and redirects may lead to plain HTTP.
    pub(super) insecure: bool,
}

impl Config {
    /// Takes `registry-mirrors` as they are written.
    ///
    /// # Errors
    /// In dockerd's words, for what is no URL of a host.
    pub fn add_mirror(&mut self, text: &str) -> Result<(), Error> {
        let invalid = |why: &str| Error::new(ErrorKind::Invalid, format!("invalid mirror: {why}: {text:?}"));
        let mut url = Url::parse(text).map_err(|_| invalid("it is not a valid URI"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(invalid("unsupported scheme"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(invalid("user, query and fragment are not allowed"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        self.mirrors.push(url);
        Ok(())
    }

    /// Takes `insecure-registries` as they are written: names or networks.
    ///
    /// # Errors
    /// In dockerd's words, for URLs.
    pub fn add_insecure(&mut self, text: &str) -> Result<(), Error> {
        if let Ok(network) = text.parse::<IpNet>() {
            self.insecure_networks.push(network);
            return Ok(());
        }
        if text.is_empty() || text.contains("://") || text.contains('/') {
            let why = format!("insecure registry {text} should not contain '://' or a path");
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        self.insecure_hosts.push(text.to_ascii_lowercase());
        Ok(())
    }

    /// Whether a registry may do without a proper certificate. `host:port`, without scheme.
    pub(super) fn is_insecure(&self, authority: &str) -> bool {
        if self.has_authority(authority) {
            return false;
        }
        let host = host_of(authority);
        let listed = |name: &str| self.insecure_hosts.iter().any(|h| h == &name.to_ascii_lowercase());
        if listed(authority) || listed(host) || is_loopback(host) {
            return true;
        }
        host.parse::<IpAddr>().is_ok_and(|ip| self.insecure_networks.iter().any(|n| n.contains(&ip)))
    }

    /// Directories that may have certificates for this registry.
    pub(super) fn certificates_of(&self, authority: &str) -> impl Iterator<Item = PathBuf> {
        // A name from a reference: letters, digits, dots, colons; never a separator.
        let safe = !authority.contains('/') && !authority.starts_with('.');
        self.certificates.iter().filter(move |_| safe).map(move |d| d.join(authority))
    }

    fn has_authority(&self, authority: &str) -> bool {
        let crt = |dir: PathBuf| {
            std::fs::read_dir(dir).is_ok_and(|mut d| {
                d.any(|e| e.is_ok_and(|e| e.path().extension().is_some_and(|x| x == "crt")))
            })
        };
        self.certificates_of(authority).any(crt)
    }

    /// The ways to a registry, in the order in which they are tried.
    pub(super) fn endpoints(&self, domain: &str, mirrors: bool) -> Result<Vec<Endpoint>, Error> {
        let parse = |text: &str| {
            Url::parse(text)
                .map_err(|e| Error::new(ErrorKind::Invalid, format!("invalid registry endpoint {text}: {e}")))
        };
        let mut all = Vec::new();
        if domain == DEFAULT_DOMAIN {
            for base in self.mirrors.iter().filter(|_| mirrors) {
                let insecure = self.is_insecure(&authority_of(base));
                all.push(Endpoint { base: base.clone(), mirror: true, insecure });
            }
            all.push(Endpoint { base: parse(HUB)?, mirror: false, insecure: false });
            return Ok(all);
        }
        let insecure = self.is_insecure(domain);
        all.push(Endpoint { base: parse(&format!("https://{domain}/"))?, mirror: false, insecure });
        if insecure {
            all.push(Endpoint { base: parse(&format!("http://{domain}/"))?, mirror: false, insecure });
        }
        Ok(all)
    }
}

/// Host and port as they are written in names: without the port that goes without saying.
pub(super) fn authority_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |p| format!("{host}:{p}"))
}

pub(super) fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((v6, _)) => v6,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    }
}

/// 127.0.0.0/8, ::1 and `localhost`.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(config: &Config, domain: &str, mirrors: bool) -> Vec<String> {
        config.endpoints(domain, mirrors).unwrap().iter().map(|e| e.base.to_string()).collect()
    }

    #[test]
    fn ways_to_a_registry() {
        let mut config = Config::default();
        config.add_mirror("http://mirror.example:5000").unwrap();
        config.add_insecure("plain.example").unwrap();
        config.add_insecure("10.0.0.0/8").unwrap();
        assert_eq!(bases(&config, "docker.io", true), ["http://mirror.example:5000/", HUB]);
        assert_eq!(bases(&config, "docker.io", false), [HUB]);
        assert_eq!(bases(&config, "a.example", true), ["https://a.example/"]);
        for insecure in ["plain.example:81", "10.1.2.3", "127.0.0.1:5000", "localhost:5000", "[::1]:5000"] {
            assert_eq!(
                bases(&config, insecure, true),
                [format!("https://{insecure}/"), format!("http://{insecure}/")]
            );
        }
    }

    #[test]
    fn a_registry_with_an_authority_is_verified() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { certificates: vec![dir.path().to_owned()], ..Config::default() };
        assert!(config.is_insecure("127.0.0.1:5000"));
        std::fs::create_dir(dir.path().join("127.0.0.1:5000")).unwrap();
        std::fs::write(dir.path().join("127.0.0.1:5000/ca.crt"), "x").unwrap();
        assert!(!config.is_insecure("127.0.0.1:5000"));
    }

    #[test]
    fn settings_that_are_none() {
        let mut config = Config::default();
        for bad in ["mirror.example", "ftp://x", "http://", "http://x/?a", "http://u@x"] {
            assert!(config.add_mirror(bad).is_err(), "{bad}");
        }
        for bad in ["", "http://x", "x/y"] {
            assert!(config.add_insecure(bad).is_err(), "{bad}");
        }
    }
}
