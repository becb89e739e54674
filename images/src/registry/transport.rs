//! HTTP clients: which certificates count, which proxy is used, and where a connection may lead.
//!
//! - Certificates: the host's authorities and those of the registry's own directory; TLS is rustls with ring, so that the
//!   binary stays static.
//! - Names: resolved here and not by the C library, whose resolver cannot be linked statically. The host's `hosts` and
//!   `resolv.conf` are read for each look-up, so that a daemon follows its host to another network.
//! - Proxies: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; never for loopback.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use hickory_resolver::TokioResolver;
use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::config::{Config, is_loopback};
use super::error::{Error, ErrorKind};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(20);

/// What makes clients different: the authority, the state of its certificates, `insecure` and `outside`.
type Key = (String, Vec<(PathBuf, Option<SystemTime>)>, bool, bool);

/// Makes clients and keeps them, so that connections are used again.
#[derive(Debug, Default)]
pub(super) struct Transports {
    clients: Mutex<HashMap<Key, reqwest::Client>>,
    roots: OnceLock<Arc<RootCertStore>>,
}

impl Transports {
    /// The client for an authority (`host[:port]`).
    ///
    /// `insecure`: any certificate will do. `outside`: names that stand for this machine or its link are refused.
    pub(super) fn client(
        &self,
        config: &Config,
        authority: &str,
        insecure: bool,
        outside: bool,
    ) -> Result<reqwest::Client, Error> {
        let key = (authority.to_owned(), stamp(config, authority), insecure, outside);
        if let Some(client) = self.clients.lock().get(&key) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls(config, authority, insecure)?)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("carrack/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(30))
            .dns_resolver(Arc::new(Names { outside, proxies: proxies() }));
        if is_loopback(super::config::host_of(authority)) {
            builder = builder.no_proxy();
        }
        let failed =
            |e: reqwest::Error| Error::new(ErrorKind::System, format!("cannot make an HTTP client: {e}"));
        let client = builder.build().map_err(failed)?;
        let mut clients = self.clients.lock();
        // Registries are few; whoever names thousands gets no memory of them.
        if clients.len() >= 64 {
            clients.clear();
        }
        Ok(clients.entry(key).or_insert(client).clone())
    }

    /// The host's authorities, read once.
    fn roots(&self) -> Arc<RootCertStore> {
        let read = || {
            let found = rustls_native_certs::load_native_certs();
            for e in &found.errors {
                tracing::debug!("an authority of the host cannot be read: {e}");
            }
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(found.certs);
            Arc::new(roots)
        };
        self.roots.get_or_init(read).clone()
    }

    fn tls(&self, config: &Config, authority: &str, insecure: bool) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::clone(&self.roots());
        let mut identity = None;
        for dir in config.certificates_of(authority) {
            read_directory(&dir, &mut roots, &mut identity)?;
        }
        let failed = |e: rustls::Error| Error::new(ErrorKind::System, format!("TLS: {e}"));
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous();
        let verifier: Arc<dyn ServerCertVerifier> = if insecure || roots.is_empty() {
            // A host without authorities: then nothing can be verified, and nothing is.
            Arc::new(Anybody { provider, refuse: !insecure })
        } else {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|e| Error::new(ErrorKind::System, format!("TLS: {e}")))?
        };
        let builder = builder.with_custom_certificate_verifier(verifier);
        match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(failed),
            None => Ok(builder.with_no_client_auth()),
        }
    }
}

/// The files from which a registry's certificates are read, and when they were changed.
fn stamp(config: &Config, authority: &str) -> Vec<(PathBuf, Option<SystemTime>)> {
    let entries =
        config.certificates_of(authority).filter_map(|d| std::fs::read_dir(d).ok()).flatten().flatten();
    let mut files: Vec<_> =
        entries.map(|e| (e.path(), e.metadata().and_then(|m| m.modified()).ok())).collect();
    files.sort();
    files
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads `*.crt`, and a pair of `*.cert` and `*.key`; a directory that is missing has none.
fn read_directory(
    dir: &Path,
    roots: &mut RootCertStore,
    identity: &mut Option<Identity>,
) -> Result<(), Error> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    let bad = |path: &Path, why: String| Error::new(ErrorKind::System, format!("{}: {why}", path.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        match path.extension().and_then(|x| x.to_str()) {
            Some("crt") => {
                for certificate in
                    CertificateDer::pem_file_iter(&path).map_err(|e| bad(&path, e.to_string()))?
                {
                    let certificate = certificate.map_err(|e| bad(&path, e.to_string()))?;
                    roots.add(certificate).map_err(|e| bad(&path, e.to_string()))?;
                }
            }
            Some("cert") => {
                let chain = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
                let chain = chain.map_err(|e| bad(&path, e.to_string()))?;
                let key = path.with_extension("key");
                if !key.exists() {
                    let why = format!("missing key {} for client certificate", key.display());
                    return Err(bad(&path, why));
                }
                let key = PrivateKeyDer::from_pem_file(&key).map_err(|e| bad(&key, e.to_string()))?;
                *identity = Some((chain, key));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes any certificate, or none where there is nothing to verify with; signatures are verified all the same.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
    refuse: bool,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.refuse {
            return Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Resolves names.
#[derive(Debug)]
struct Names {
    outside: bool,
    /// Who may be on this machine all the same.
    proxies: Vec<String>,
}

/// The hosts of the proxies that the environment names.
fn proxies() -> Vec<String> {
    let names = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let given = names.iter().filter_map(|n| std::env::var(n).ok());
    let hosts = given.filter_map(|text| {
        let url = url::Url::parse(&text).ok().filter(url::Url::has_host);
        let url = url.or_else(|| url::Url::parse(&format!("http://{text}")).ok())?;
        url.host_str().map(str::to_ascii_lowercase)
    });
    hosts.collect()
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let outside = self.outside && !self.proxies.iter().any(|p| p.eq_ignore_ascii_case(name.as_str()));
        Box::pin(async move {
            let host = name.as_str();
            let mut found = look_up(host).await?;
            if outside {
                found.retain(|ip| !is_inside(*ip));
                if found.is_empty() {
                    return Err(format!("lookup {host}: a redirect must not lead to this machine").into());
                }
            }
            Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

async fn look_up(host: &str) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
    // RFC 6761, section 6.3: never asked from a server.
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let failed = |e: &dyn std::fmt::Display| format!("dial tcp: lookup {host}: no such host ({e})");
    let resolver = TokioResolver::builder_tokio().map_err(|e| failed(&e))?.build();
    let found = resolver.lookup_ip(host).await.map_err(|e| failed(&e))?;
    Ok(found.iter().collect())
}

/// Addresses of this machine or of its link, where administration and metadata services listen.
pub(super) fn is_inside(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.octets()[0] == 0
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_and_outside() {
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
        ] {
            assert!(is_inside(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert!(!is_inside(outside.parse().unwrap()), "{outside}");
        }
    }

    #[tokio::test]
    async fn this_host_needs_no_server() {
        assert_eq!(look_up("LocalHost").await.unwrap()[0], Ipv4Addr::LOCALHOST);
    }
}
