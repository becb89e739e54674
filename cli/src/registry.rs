//! Images from registries and to registries, and who the user is to them.

use crate::api::{Body, Client, Query, encode};
use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::images::split;
use crate::messages::{self, Show};
use crate::{out, terminal};
use carrack_images::reference::Reference;
use carrack_images::registry::{CredentialFile, Credentials, HUB_INDEX, server_key};
use serde_json::json;
use std::io::{self, BufRead, Read, Write};

/// Longest password that is read from standard input, bytes.
const MAX_PASSWORD: u64 = 64 << 10;

fn show(quiet: bool) -> Show {
    if quiet { Show::Nothing } else { Show::Everything }
}

/// The user's file of passwords, where there can be one.
fn file() -> Result<Option<CredentialFile>, Failure> {
    match CredentialFile::default_path() {
        Some(path) => CredentialFile::read(&path).map(Some).map_err(Failure::new),
        None => Ok(None),
    }
}

/// The header that says who the user is to a registry.
fn authorization(domain: &str) -> Result<Vec<(&'static str, String)>, Failure> {
    let credentials = match file()? {
        Some(file) => file.get(domain).map_err(Failure::new)?,
        None => Credentials::default(),
    };
    Ok(if credentials.is_empty() { Vec::new() } else { vec![("X-Registry-Auth", credentials.to_header())] })
}

/// The header that says who the user is to all registries; a build asks those that its Dockerfile names.
pub(crate) fn authorizations() -> Result<Vec<(&'static str, String)>, Failure> {
    let Some(file) = file()? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for server in file.servers() {
        match file.get(&server) {
            Ok(credentials) if credentials.is_empty() => {}
            Ok(credentials) => all.push((server, credentials)),
            // It may be of a registry that the build does not ask.
            Err(e) => out::say(&format!("carrack: warning: no password for {server}: {e}")),
        }
    }
    let header = || ("X-Registry-Config", Credentials::to_config_header(&all));
    Ok(if all.is_empty() { Vec::new() } else { vec![header()] })
}

/// A refusal for want of a password, with what to do about it.
fn with_hint(e: Failure, domain: &str) -> Failure {
    let text = e.to_string();
    let wants_login = ["authentication required", "unauthorized", "denied", "no basic auth credentials"];
    if wants_login.iter().any(|w| text.contains(w)) {
        return Failure::new(format!(
            "{text}\n  `carrack login {domain}` keeps a password for this registry."
        ));
    }
    if text.contains("server gave HTTP response to HTTPS client") {
        return Failure::new(format!(
            "{text}\n  Say --insecure-registry {domain} if it is to be spoken to without TLS."
        ));
    }
    e
}

/// `carrack pull`.
pub(crate) fn pull(cli: &Cli, args: &args::Pull) -> Result<u8, Failure> {
    let reference = Reference::parse(&args.image)?.with_default_tag();
    let client = Client::local(cli, Some(&args.registries))?;
    bring(&client, &reference, args.platform.as_deref(), show(args.quiet))?;
    out::print(format!("{}\n", reference.familiar()).as_bytes())
}

/// Fetches an image for a container that is about to be made, telling of it on standard error.
pub(crate) fn fetch(client: &Client, image: &str, quiet: bool) -> Result<(), Failure> {
    let reference = Reference::parse(image)?.with_default_tag();
    bring(client, &reference, None, if quiet { Show::Nothing } else { Show::Aside })
}

fn bring(client: &Client, reference: &Reference, platform: Option<&str>, show: Show) -> Result<(), Failure> {
    let (name, tag) = split(&reference.to_string())?;
    let query =
        Query::default().text("fromImage", &name).option("tag", tag.as_deref()).option("platform", platform);
    let headers = authorization(reference.domain())?;
    client
        .stream_with(hyper::Method::POST, &format!("/images/create{query}"), &headers, Body::None)
        .and_then(|answer| messages::follow(answer, show))
        .map(drop)
        .map_err(|e| with_hint(e, reference.domain()))
}

/// `carrack push`.
pub(crate) fn push(cli: &Cli, args: &args::Push) -> Result<u8, Failure> {
    let reference = Reference::parse(&args.image)?.with_default_tag();
    let (name, tag) = split(&reference.to_string())?;
    let query = Query::default().option("tag", tag.as_deref());
    let headers = authorization(reference.domain())?;
    let client = Client::local(cli, Some(&args.registries))?;
    let url = format!("/images/{}/push{query}", encode(&name));
    client
        .stream_with(hyper::Method::POST, &url, &headers, Body::None)
        .and_then(|answer| messages::follow(answer, show(args.quiet)))
        .map_err(|e| with_hint(e, reference.domain()))?;
    if args.quiet { out::print(format!("{}\n", reference.familiar()).as_bytes()) } else { Ok(0) }
}

/// How a registry is called where people see it.
fn called(server: &str) -> String {
    match server_key(server) {
        key if key == HUB_INDEX => "Docker's registry".to_owned(),
        key => key,
    }
}

/// `carrack login`.
pub(crate) fn login(cli: &Cli, args: &args::Login) -> Result<u8, Failure> {
    let server = args.server.as_deref().unwrap_or_default();
    let mut file = file()?.ok_or_else(|| {
        Failure::new(
            "HOME is not set, so there is no place to keep a password; set DOCKER_CONFIG to a directory",
        )
    })?;
    let username = match &args.username {
        Some(name) => name.clone(),
        None if args.password_stdin => return Err(Failure::new("--password-stdin needs --username")),
        None => ask(&format!("User name for {}: ", called(server)), true)?,
    };
    let password = match &args.password {
        Some(password) => password.clone(),
        None if args.password_stdin => from_input()?,
        None => ask("Password: ", false)?,
    };
    if username.is_empty() || password.is_empty() {
        return Err(Failure::new("a user name and a password are needed"));
    }
    let mut credentials = Credentials { username, password, ..Credentials::default() };
    let client = Client::local(cli, Some(&args.registries))?;
    let body = json!({
        "username": credentials.username, "password": credentials.password, "serveraddress": server_key(server),
    });
    let answer = client.post("/auth", body)?;
    if let Some(token) = answer["IdentityToken"].as_str().filter(|t| !t.is_empty()) {
        // The token stands for the password, which need not be kept then.
        credentials.identity_token = token.to_owned();
        credentials.password = String::new();
    }
    file.put(server, &credentials).map_err(Failure::new)?;
    out::print(b"Login Succeeded\n")
}

/// `carrack logout`.
pub(crate) fn logout(args: &args::Logout) -> Result<u8, Failure> {
    let server = args.server.as_deref().unwrap_or_default();
    let forgotten = match file()? {
        Some(mut file) => file.erase(server).map_err(Failure::new)?,
        None => false,
    };
    let text = match forgotten {
        true => format!("The password for {} is forgotten\n", called(server)),
        false => format!("No password was kept for {}\n", called(server)),
    };
    out::print(text.as_bytes())
}

/// Asks on the terminal; what is typed is shown or not.
fn ask(question: &str, shown: bool) -> Result<String, Failure> {
    if !terminal::is_stdin() {
        return Err(Failure::new("there is no terminal to ask on; use --username and --password-stdin"));
    }
    let mut err = io::stderr().lock();
    let _ = write!(err, "{question}").and_then(|()| err.flush());
    let quiet = if shown { None } else { terminal::Quiet::enter() };
    let mut answer = String::new();
    let read = io::stdin().lock().take(MAX_PASSWORD).read_line(&mut answer);
    if quiet.is_some() {
        let _ = writeln!(err);
    }
    drop(quiet);
    read.map_err(|e| Failure::doing("standard input", e))?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// The password on standard input; the end of its line is not part of it.
fn from_input() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(MAX_PASSWORD)
        .read_to_string(&mut text)
        .map_err(|e| Failure::doing("standard input", e))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
