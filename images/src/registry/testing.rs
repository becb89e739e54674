//! A registry for tests that answers what it is told to, also what no proper one would.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: HashMap<String, String>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// A length other than the body's.
    pub(super) length: Option<usize>,
    /// The body comes so many bytes at a time, with a wait between, and never ends.
    pub(super) drip: Option<(usize, Duration)>,
}

pub(super) fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into(), length: None, drip: None }
}

impl Answer {
    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A server on loopback; it ends with the process.
pub(super) struct Fake {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(super) fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (seen, handler): (_, Arc<Handler>) = (asked.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, handler) = (seen.clone(), handler.clone());
                std::thread::spawn(move || serve(stream, &seen, &*handler));
            }
        });
        Fake { address, asked }
    }

    /// Requests whose path contains this.
    pub(super) fn asked(&self, part: &str) -> Vec<Asked> {
        self.asked.lock().iter().filter(|a| a.path.contains(part)).cloned().collect()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Asked>>, handler: &Handler) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 || (head.is_empty() && !byte[0].is_ascii_uppercase()) {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: HashMap<String, String> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    stream.read_exact(&mut vec![0; length]).ok()?;
    let asked = Asked { method, path, headers };
    seen.lock().push(asked.clone());
    let a = handler(&asked);
    let mut out = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", a.status);
    for (name, value) in &a.headers {
        out += &format!("{name}: {value}\r\n");
    }
    if a.drip.is_none() {
        out += &format!("Content-Length: {}\r\n", a.length.unwrap_or(a.body.len()));
    }
    out += "\r\n";
    stream.write_all(out.as_bytes()).ok()?;
    if asked.method != "HEAD" {
        stream.write_all(&a.body).ok()?;
    }
    while let Some((bytes, wait)) = a.drip {
        stream.write_all(&vec![b' '; bytes]).ok()?;
        std::thread::sleep(wait);
    }
    Some(())
}
