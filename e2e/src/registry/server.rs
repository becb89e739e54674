//! Debian's `docker-registry`, on a port and in a directory of its own; gone with the value.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::bed::Cx;
use crate::http::{self, Response};

/// What kind of registry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Speaks TLS, with a certificate of an authority of its own.
    pub(crate) tls: bool,
    /// The only one who may do anything: name and password.
    pub(crate) user: Option<(&'static str, &'static str)>,
}

/// A registry that runs.
#[derive(Debug)]
pub(crate) struct Registry {
    child: Child,
    directory: tempfile::TempDir,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    /// Its authority's certificate.
    pub(crate) authority: Option<String>,
}

impl Registry {
    /// Starts one and waits until it listens.
    pub(crate) fn start(options: &Options) -> Result<Registry> {
        // Somebody else may take the port between our look and its start.
        let mut last = None;
        for _ in 0..5 {
            match Registry::try_start(options) {
                Ok(registry) => return Ok(registry),
                Err(e) => last = Some(e),
            }
        }
        Err(last.context("no registry")?)
    }

    /// A plain one that takes everybody.
    pub(crate) fn plain() -> Result<Registry> {
        Registry::start(&Options::default())
    }

    fn try_start(options: &Options) -> Result<Registry> {
        let directory = tempfile::Builder::new().prefix("carrack-registry.").tempdir_in("/tmp")?;
        let path = |name: &str| directory.path().join(name);
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n",
            path("data").display()
        );
        if let Some((name, password)) = options.user {
            // The cheapest: nobody attacks it.
            fs::write(path("htpasswd"), format!("{name}:{}\n", bcrypt::hash(password, 4)?))?;
            let file = path("htpasswd");
            config += &format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", file.display());
        }
        config += &format!("http:\n  addr: {address}\n");
        let mut authority = None;
        if options.tls {
            authority = Some(certificates(&path("server.pem"), &path("server.key"))?);
            let (certificate, key) = (path("server.pem"), path("server.key"));
            config += &format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display());
        }
        fs::write(path("config.yml"), config)?;
        let log = fs::File::create(path("log"))?;
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(path("config.yml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        command.env("OTEL_TRACES_EXPORTER", "none");
        let child = command.spawn().context("cannot start docker-registry")?;
        let mut registry = Registry { child, directory, address, authority };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&registry.address).is_err() {
            if let Some(status) = registry.child.try_wait()? {
                bail!("docker-registry ended ({status}): {}", registry.log());
            }
            ensure!(Instant::now() < deadline, "docker-registry does not listen: {}", registry.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// What it logged.
    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// One request, without TLS.
    pub(crate) fn request(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<Response> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\nAccept: {OCI}, {INDEX}, {DOCKER}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        http::read(&mut stream)
    }

    /// Puts a blob into a repository; its digest.
    pub(crate) fn put_blob(&self, repository: &str, bytes: &[u8]) -> Result<String> {
        let begun = self.request("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"")?;
        ensure!(begun.status == 202, "an upload cannot begin: {}", begun.text());
        let location = begun.header("location").context("no Location")?;
        let path = location.split_once(&self.address).map_or(location, |(_, path)| path);
        let digest = super::digest(bytes);
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}digest={digest}");
        let done = self.request("PUT", &path, "application/octet-stream", bytes)?;
        ensure!(done.status == 201, "a blob is not taken: {}", done.text());
        Ok(digest)
    }

    /// Puts a manifest or index under a tag or digest; its digest.
    pub(crate) fn put_manifest(&self, repository: &str, tag: &str, kind: &str, body: &str) -> Result<String> {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let done = self.request("PUT", &path, kind, body.as_bytes())?;
        ensure!(done.status == 201, "a manifest is not taken: {}", done.text());
        Ok(super::digest(body.as_bytes()))
    }

    /// Lets the daemon's user trust an authority for this registry.
    pub(crate) fn trust(&self, cx: &Cx, authority: &str) -> Result<()> {
        let directory: PathBuf = cx.bed.path("home/.config/carrack/certs.d").join(&self.address);
        fs::create_dir_all(&directory)?;
        Ok(fs::write(directory.join("ca.crt"), authority)?)
    }
}

const OCI: &str = super::OCI_MANIFEST;
const INDEX: &str = super::OCI_INDEX;
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a certificate for loopback and its key; the authority's certificate comes back.
fn certificates(certificate: &PathBuf, key: &PathBuf) -> Result<String> {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let own = KeyPair::generate()?;
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    let signed = params.signed_by(&own, &authority)?;
    fs::write(certificate, signed.pem())?;
    fs::write(key, own.serialize_pem())?;
    Ok(authority.pem())
}

/// An authority that signed nothing.
pub(crate) fn stranger() -> Result<String> {
    let directory = tempfile::tempdir()?;
    certificates(&directory.path().join("c"), &directory.path().join("k"))
}
