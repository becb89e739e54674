//! Bare HTTP to the daemon's socket: for requests that no decent client sends.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bed::Cx;

/// A response, its header lines as they came.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A connection that nothing was sent on.
pub(crate) fn connect(cx: &Cx) -> Result<UnixStream> {
    let stream = UnixStream::connect(cx.bed.socket()).context("cannot connect to the daemon")?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// One request with a JSON body, or none.
pub(crate) fn request(cx: &Cx, method: &str, path: &str, body: &str) -> Result<Response> {
    let mut stream = connect(cx)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    read(&mut stream)
}

/// Reads a response to the end of the connection.
pub(crate) fn read(stream: &mut impl Read) -> Result<Response> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            // A refused request is often answered and reset.
            Err(_) if !bytes.is_empty() => break,
            Err(error) => return Err(error).context("no response"),
        }
    }
    let at = bytes.windows(4).position(|w| w == b"\r\n\r\n").context("no header in the response")?;
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no status line")?;
    let mut body = bytes[at + 4..].to_vec();
    let response = Response { status, head, body: Vec::new() };
    if response.header("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
        body = unchunk(&body);
    }
    Ok(Response { body, ..response })
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(at) = bytes.windows(2).position(|w| w == b"\r\n") {
        let size =
            std::str::from_utf8(&bytes[..at]).ok().and_then(|s| usize::from_str_radix(s.trim(), 16).ok());
        let Some(size @ 1..) = size else { break };
        let Some(chunk) = bytes.get(at + 2..at + 2 + size) else { break };
        out.extend_from_slice(chunk);
        bytes = bytes.get(at + 4 + size..).unwrap_or_default();
    }
    out
}
