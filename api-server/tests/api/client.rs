//! A client that speaks HTTP by hand, so that each byte on the wire is the test's.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon in a directory of its own.
pub(crate) struct Daemon {
    pub(crate) root: PathBuf,
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Supervisors that tests leave running end with their containers.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().expect("a message").to_string()
    }
}

impl Daemon {
    pub(crate) fn start() -> Daemon {
        let root = std::env::temp_dir().join(format!("ca-{}-{:x}", std::process::id(), nanos()));
        std::fs::create_dir_all(&root).expect("a directory");
        let child = spawn(&root);
        Daemon { root, child }
    }

    /// `kill -9`, then the next daemon on the same state. `meanwhile` happens in between.
    pub(crate) fn crash(&mut self, meanwhile: impl FnOnce()) {
        self.child.kill().expect("to kill");
        self.child.wait().expect("to wait");
        meanwhile();
        self.child = spawn(&self.root);
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.root.join("api.sock")).expect("the daemon");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        stream
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Response {
        let mut stream = self.connect();
        let body = body.map(|b| b.to_string());
        let extra = body.as_ref().map_or("Content-Length: 0\r\n".to_string(), |b| {
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", b.len())
        });
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{extra}\r\n{}",
            body.unwrap_or_default()
        )
        .expect("to send");
        read_response(&mut BufReader::new(stream))
    }

    pub(crate) fn post(&self, path: &str) -> Response {
        self.ask("POST", path, None)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None).json()
    }

    /// Sends a request that takes the connection over; the stream behind the response's head.
    pub(crate) fn hijack(&self, path: &str, body: Option<Value>) -> (String, BufReader<UnixStream>) {
        let mut stream = self.connect();
        let body = body.map(|b| b.to_string()).unwrap_or_default();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("to send");
        let mut reader = BufReader::new(stream);
        (read_head(&mut reader), reader)
    }

    /// Sends a request and returns once the response's head is there.
    pub(crate) fn stream(&self, method: &str, path: &str) -> (String, BufReader<UnixStream>) {
        let mut stream = self.connect();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        .expect("to send");
        let mut reader = BufReader::new(stream);
        (read_head(&mut reader), reader)
    }

    pub(crate) fn create(&self, name: &str, body: Value) -> String {
        let r = self.ask("POST", &format!("/v1.51/containers/create?name={name}"), Some(body));
        assert_eq!(r.status, 201, "{}", r.text());
        r.json()["Id"].as_str().expect("an id").to_string()
    }

    pub(crate) fn state(&self, name: &str) -> Value {
        self.get(&format!("/containers/{name}/json"))["State"].clone()
    }

    pub(crate) fn wait_for(&self, name: &str, what: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let state = self.state(name);
            if what(&state) {
                return state;
            }
            assert!(Instant::now() < end, "{name} stays {state}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn nanos() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos())
}

fn spawn(root: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("our own path"))
        .arg("--serve")
        .arg(root)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a daemon");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its output");
    BufReader::new(stdout).read_line(&mut line).expect("its address");
    assert!(line.starts_with("unix://"), "the daemon says {line:?}");
    child
}

fn read_head(from: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(from.read_line(&mut head).expect("a head"), 0, "the connection ended in {head:?}");
    }
    head
}

fn read_response(from: &mut impl BufRead) -> Response {
    let head = read_head(from);
    let status = head[9..12].parse().expect("a status");
    let mut body = Vec::new();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = read_chunks(from);
    } else {
        from.read_to_end(&mut body).expect("a body");
    }
    Response { status, head, body }
}

pub(crate) fn read_chunks(from: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        if from.read_line(&mut size).expect("a size") == 0 {
            return body;
        }
        let size = usize::from_str_radix(size.trim(), 16).expect("a hexadecimal size");
        let mut chunk = vec![0; size + 2];
        from.read_exact(&mut chunk).expect("a chunk");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// The payloads of frames, by stream: stdout, stderr.
pub(crate) fn frames(bytes: &[u8]) -> (String, String) {
    let mut out = [Vec::new(), Vec::new()];
    let mut rest = bytes;
    while let [stream, 0, 0, 0, a, b, c, d, more @ ..] = rest {
        let n = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        out[usize::from(*stream) - 1].extend_from_slice(&more[..n]);
        rest = &more[n..];
    }
    assert!(rest.is_empty(), "{rest:?} is no frame");
    let [stdout, stderr] = out.map(|v| String::from_utf8_lossy(&v).into_owned());
    (stdout, stderr)
}
