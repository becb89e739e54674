//! Who the user is to a registry, and where the docker client keeps that: `config.json` and credential helpers.
//!
//! The daemon is told credentials with each request and keeps none. The verbs of the command line use
//! [`CredentialFile`], which reads and writes what `docker login` writes.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};

use super::config::HUB_INDEX;
use super::error::{Error, ErrorKind};
use crate::reference::DEFAULT_DOMAIN;

/// What a helper may answer, bytes.
const ANSWER_MAX: u64 = 1 << 20;
/// How long a helper may take: it may ask the user for a password.
const HELPER_TIME: Duration = Duration::from_secs(120);
/// The name under which helpers give a token instead of a password.
const TOKEN_USER: &str = "<token>";

/// Name and password, or a token instead. Empty: nobody in particular.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// A refresh token, which stands for name and password.
    pub identity_token: String,
    /// Sent to the registry as it is.
    pub registry_token: String,
}

impl fmt::Debug for Credentials {
    /// Without the secrets: this gets into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the object that clients send and `config.json` holds: `username` and `password`, or both in `auth`.
    pub fn of(object: &Value) -> Credentials {
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let mut credentials = Credentials {
            username: text("username"),
            password: text("password"),
            identity_token: text("identitytoken"),
            registry_token: text("registrytoken"),
        };
        if credentials.username.is_empty()
            && let Some((user, password)) = decode(&text("auth")).as_deref().and_then(split_auth)
        {
            credentials.username = user;
            credentials.password = password;
        }
        credentials
    }

    /// Reads the header `X-Registry-Auth`. What is malformed counts as nobody, as in dockerd.
    pub fn of_header(text: &str) -> Credentials {
        let object = decode(text).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        object.map_or_else(Credentials::default, |o| Credentials::of(&o))
    }

    /// Reads the header `X-Registry-Config`: credentials by server. What is malformed counts as nobody.
    pub fn of_config_header(text: &str) -> Vec<(String, Credentials)> {
        let object = decode(text).and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
        object.into_iter().flatten().map(|(server, o)| (server, Credentials::of(&o))).collect()
    }

    fn object(&self) -> Value {
        json!({
            "username": self.username, "password": self.password, "identitytoken": self.identity_token,
            "registrytoken": self.registry_token,
        })
    }

    /// The header `X-Registry-Auth`, which [`Credentials::of_header`] reads.
    pub fn to_header(&self) -> String {
        URL_SAFE.encode(self.object().to_string())
    }

    /// The header `X-Registry-Config`, which [`Credentials::of_config_header`] reads.
    pub fn to_config_header(all: &[(String, Credentials)]) -> String {
        let map: Map<String, Value> = all.iter().map(|(server, c)| (server.clone(), c.object())).collect();
        URL_SAFE.encode(Value::Object(map).to_string())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Credentials::default()
    }
}

/// The credentials for a registry (`docker.io`, `host:port`) among those by server.
pub fn for_registry<'c>(all: &'c [(String, Credentials)], domain: &str) -> Option<&'c Credentials> {
    let wanted = server_key(domain);
    all.iter()
        .find(|(s, _)| *s == wanted)
        .or_else(|| all.iter().find(|(s, _)| same_server(s, &wanted)))
        .map(|(_, c)| c)
}

/// Base64 in any of its forms.
fn decode(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.trim();
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, lenient).decode(text).ok()
}

fn split_auth(bytes: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// The key of a registry in `config.json`.
pub fn server_key(server: &str) -> String {
    let bare = bare(server);
    match bare.as_str() {
        "" | DEFAULT_DOMAIN | "index.docker.io" | "registry-1.docker.io" => HUB_INDEX.to_owned(),
        _ => bare,
    }
}

/// Host and port of whatever way a server is written.
fn bare(server: &str) -> String {
    let rest = server.trim().trim_start_matches("https://").trim_start_matches("http://");
    rest.split('/').next().unwrap_or_default().to_owned()
}

fn same_server(a: &str, b: &str) -> bool {
    bare(a).eq_ignore_ascii_case(&bare(b))
}

/// The docker client's `config.json`, with whatever else is in it.
#[derive(Debug)]
pub struct CredentialFile {
    path: PathBuf,
    auths: Map<String, Value>,
    /// Everything else.
    rest: Map<String, Value>,
}

impl CredentialFile {
    /// `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
    pub fn default_path() -> Option<PathBuf> {
        let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let dir = variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|h| h.join(".docker")))?;
        Some(dir.join("config.json"))
    }

    /// Reads the file; one that is missing is empty.
    ///
    /// # Errors
    /// It cannot be read, or is no JSON object.
    pub fn read(path: &Path) -> Result<CredentialFile, Error> {
        let failed = |e: &dyn fmt::Display| Error::new(ErrorKind::System, format!("{}: {e}", path.display()));
        let mut rest: Map<String, Value> = match std::fs::read(path) {
            Ok(bytes) if bytes.is_empty() => Map::new(),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| failed(&e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Map::new(),
            Err(e) => return Err(failed(&e)),
        };
        let auths = match rest.remove("auths") {
            Some(Value::Object(auths)) => auths,
            _ => Map::new(),
        };
        Ok(CredentialFile { path: path.to_owned(), auths, rest })
    }

    /// The helper for a server, if one is configured: `credHelpers` for this one, else `credsStore` for all.
    fn helper(&self, server: &str) -> Option<&str> {
        let own = self.rest.get("credHelpers").and_then(Value::as_object).into_iter().flatten();
        let own = own.filter(|(s, _)| same_server(s, server)).find_map(|(_, name)| name.as_str());
        own.or_else(|| self.rest.get("credsStore").and_then(Value::as_str)).filter(|name| !name.is_empty())
    }

    /// The credentials for a registry; none: empty ones.
    ///
    /// # Errors
    /// A helper that fails.
    pub fn get(&self, server: &str) -> Result<Credentials, Error> {
        let key = server_key(server);
        if let Some(helper) = self.helper(&key) {
            return Ok(helper_get(helper, &key)?.unwrap_or_default());
        }
        let same = || self.auths.iter().find(|(s, _)| same_server(s, &key)).map(|(_, v)| v);
        let found = self.auths.get(&key).or_else(same);
        Ok(found.map_or_else(Credentials::default, Credentials::of))
    }

    /// The registries that something is known of.
    pub fn servers(&self) -> Vec<String> {
        let keys = [Some(&self.auths), self.rest.get("credHelpers").and_then(Value::as_object)];
        let mut all: Vec<String> = keys.into_iter().flatten().flat_map(|o| o.keys().cloned()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Keeps the credentials for a registry, with the helper or in the file (mode 0600).
    ///
    /// # Errors
    /// The helper's or the disk's.
    pub fn put(&mut self, server: &str, credentials: &Credentials) -> Result<(), Error> {
        let key = server_key(server);
        let mut entry = json!({});
        if let Some(helper) = self.helper(&key) {
            let (user, secret) = match credentials.identity_token.as_str() {
                "" => (credentials.username.as_str(), &credentials.password),
                _ => (TOKEN_USER, &credentials.identity_token),
            };
            let input = json!({ "ServerURL": key, "Username": user, "Secret": secret }).to_string();
            run_helper(helper, "store", &input)?;
        } else {
            let pair = format!("{}:{}", credentials.username, credentials.password);
            if credentials.identity_token.is_empty() {
                entry["auth"] = json!(STANDARD.encode(pair));
            } else {
                entry["auth"] = json!(STANDARD.encode(format!("{}:", credentials.username)));
                entry["identitytoken"] = json!(credentials.identity_token);
            }
        }
        self.auths.insert(key, entry);
        self.write()
    }

    /// Forgets the credentials for a registry; whether there were any.
    ///
    /// # Errors
    /// The helper's or the disk's.
    pub fn erase(&mut self, server: &str) -> Result<bool, Error> {
        let key = server_key(server);
        if let Some(helper) = self.helper(&key) {
            run_helper(helper, "erase", &key)?;
        }
        let known: Vec<String> = self.auths.keys().filter(|s| same_server(s, &key)).cloned().collect();
        for server in &known {
            self.auths.remove(server);
        }
        if !known.is_empty() {
            self.write()?;
        }
        Ok(!known.is_empty())
    }

    /// Replaces the file as a whole; links to it stay.
    fn write(&self) -> Result<(), Error> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let failed = |e: std::io::Error| Error::new(ErrorKind::System, format!("{}: {e}", path.display()));
        if let Some(dir) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        }
        let mut root = self.rest.clone();
        root.insert("auths".into(), Value::Object(self.auths.clone()));
        let text = serde_json::to_vec_pretty(&root).map_err(|e| failed(e.into()))?;
        let aside = path.with_extension(format!("json.{:08x}", rand::random::<u32>()));
        let write = || {
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&aside, &path)
        };
        write().map_err(|e| {
            let _ = std::fs::remove_file(&aside);
            failed(e)
        })
    }
}

/// Asks `docker-credential-NAME get`; `None`: it knows nothing of this server.
fn helper_get(helper: &str, server: &str) -> Result<Option<Credentials>, Error> {
    let answer = match run_helper(helper, "get", server) {
        Err(e) if e.message.contains("credentials not found in native keychain") => return Ok(None),
        result => result?,
    };
    let object: Value = serde_json::from_slice(&answer).map_err(|e| {
        Error::new(ErrorKind::System, format!("docker-credential-{helper}: an answer that is no JSON: {e}"))
    })?;
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let (username, secret) = (text("Username"), text("Secret"));
    if username == TOKEN_USER {
        return Ok(Some(Credentials { identity_token: secret, ..Credentials::default() }));
    }
    Ok(Some(Credentials { username, password: secret, ..Credentials::default() }))
}

/// Runs a helper: `input` on its standard input, what it prints comes back.
fn run_helper(helper: &str, verb: &str, input: &str) -> Result<Vec<u8>, Error> {
    let name = format!("docker-credential-{helper}");
    let failed = |why: &dyn fmt::Display| Error::new(ErrorKind::System, format!("{name} {verb}: {why}"));
    if helper.contains('/') {
        return Err(failed(&"not the name of a helper"));
    }
    let mut child = Command::new(&name)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|e| failed(&e))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it says why by its exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut answer = Vec::new();
        let read = stdout.map(|out| out.take(ANSWER_MAX).read_to_end(&mut answer));
        (read.transpose(), answer)
    });
    let deadline = Instant::now() + HELPER_TIME;
    let status = loop {
        match child.try_wait().map_err(|e| failed(&e))? {
            Some(status) => break status,
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(&"it does not end"));
            }
        }
    };
    let (read, answer) = reader.join().map_err(|_| failed(&"its answer cannot be read"))?;
    read.map_err(|e| failed(&e))?;
    if !status.success() {
        // Helpers say on standard output what is wrong.
        let text = String::from_utf8_lossy(&answer);
        return Err(failed(&text.trim()));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    #[test]
    fn headers_in_every_base64() {
        let json = r#"{"username":"u?>","password":"p~~?","serveraddress":"x"}"#;
        for text in [
            STANDARD.encode(json),
            STANDARD_NO_PAD.encode(json),
            URL_SAFE.encode(json),
            URL_SAFE_NO_PAD.encode(json),
        ] {
            let c = Credentials::of_header(&text);
            assert_eq!((c.username.as_str(), c.password.as_str()), ("u?>", "p~~?"), "{text}");
        }
        for nobody in ["", "!!", "e30=", "bnVsbA==", "W10="] {
            assert!(Credentials::of_header(nobody).is_empty(), "{nobody}");
        }
        let auth = json!({ "auth": STANDARD.encode("me:a:b") });
        assert_eq!(Credentials::of(&auth).password, "a:b");
        assert!(!format!("{:?}", Credentials::of(&auth)).contains("a:b"));
    }

    #[test]
    fn what_is_written_is_read() {
        let me = Credentials { username: "ü?>".into(), password: "p~".into(), ..Credentials::default() };
        assert_eq!(Credentials::of_header(&me.to_header()), me);
        let all = [("r.example:5".to_owned(), me)];
        assert_eq!(Credentials::of_config_header(&Credentials::to_config_header(&all)), all);
    }

    #[test]
    fn the_config_header() {
        let text = STANDARD
            .encode(r#"{"https://index.docker.io/v1/":{"username":"hub"},"r.example:5":{"username":"r"}}"#);
        let all = Credentials::of_config_header(&text);
        assert_eq!(for_registry(&all, "docker.io").unwrap().username, "hub");
        assert_eq!(for_registry(&all, "r.example:5").unwrap().username, "r");
        assert!(for_registry(&all, "other").is_none());
    }

    #[test]
    fn the_file_keeps_what_else_is_in_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker/config.json");
        let mut file = CredentialFile::read(&path).unwrap();
        let me = Credentials { username: "me".into(), password: "secret".into(), ..Credentials::default() };
        file.put("https://r.example:5000/v2/", &me).unwrap();
        let mut text: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        text["psFormat"] = json!("x");
        std::fs::write(&path, text.to_string()).unwrap();
        let mut file = CredentialFile::read(&path).unwrap();
        assert_eq!(file.get("r.example:5000").unwrap(), me);
        assert!(file.get("docker.io").unwrap().is_empty());
        file.put("docker.io", &Credentials { identity_token: "t".into(), ..me.clone() }).unwrap();
        assert_eq!(CredentialFile::read(&path).unwrap().get("").unwrap().identity_token, "t");
        assert!(file.erase("r.example:5000").unwrap());
        assert!(!file.erase("r.example:5000").unwrap());
        let text: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(text["psFormat"], "x");
        assert_eq!(text["auths"].as_object().unwrap().len(), 1);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn helpers_that_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"credsStore":"no-such-helper","credHelpers":{"r.example":"../x"}}"#)
            .unwrap();
        let file = CredentialFile::read(&path).unwrap();
        assert!(file.get("a.example").unwrap_err().message.contains("docker-credential-no-such-helper"));
        assert!(file.get("r.example").unwrap_err().message.contains("not the name of a helper"));
        std::fs::write(&path, "[]").unwrap();
        assert!(CredentialFile::read(&path).is_err());
    }
}
