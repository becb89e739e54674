//! A proxy before a registry that cuts connections, waits, changes bytes and answers for itself.
//!
//! One request a connection: what is not faulty is copied as it comes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;

use crate::lock;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// The connection ends after so many bytes of the response's body.
    Cut(usize),
    /// It ends after so many bytes of the request's body.
    CutRequest(usize),
    /// The byte there in the response's body is another one.
    Corrupt(usize),
    /// So long nothing happens before the response.
    Delay(Duration),
    /// This status, and the registry is not asked.
    Status(u16),
}

/// What goes wrong with which requests, and how often.
#[derive(Debug, Clone)]
struct Fault {
    method: &'static str,
    path: String,
    times: usize,
    what: What,
}

/// A proxy that runs; it ends with the value.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    faults: Mutex<Vec<Fault>>,
    requests: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Proxy {
    /// Before this registry.
    pub(crate) fn start(upstream: &str) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let ours = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ours.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = ours.clone();
                // What goes wrong here is what the client under test has to cope with.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Ok(Proxy { address, shared })
    }

    /// From now on, the next `times` requests of this method whose path contains `path` meet this.
    pub(crate) fn fault(&self, method: &'static str, path: &str, times: usize, what: What) {
        lock(&self.shared.faults).push(Fault { method, path: path.to_owned(), times, what });
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Requests so far that contain this: `GET /v2/… range=…`.
    pub(crate) fn requests(&self, part: &str) -> Vec<String> {
        lock(&self.shared.requests).iter().filter(|r| r.contains(part)).cloned().collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // It waits for one more connection.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        let (head, body) = read_head(&mut client)?;
        let line = head.lines().next().unwrap_or_default().to_owned();
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let range =
            head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("range:").map(str::to_owned));
        lock(&self.requests).push(match range {
            Some(range) => format!("{method} {path} range={}", range.trim()),
            None => format!("{method} {path}"),
        });
        let fault = self.take(method, path);
        if let Some(What::Status(status)) = fault {
            let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            client.write_all(answer.as_bytes())?;
            return client.shutdown(Shutdown::Write);
        }
        let mut server = TcpStream::connect(&self.upstream)?;
        server.set_read_timeout(Some(Duration::from_secs(60)))?;
        let kept = head.lines().filter(|l| !l.to_ascii_lowercase().starts_with("connection:"));
        let mut sent: String = kept.flat_map(|l| [l, "\r\n"]).collect();
        sent += "Connection: close\r\n\r\n";
        server.write_all(sent.as_bytes())?;
        server.write_all(&body)?;
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        let limit = match fault {
            Some(What::CutRequest(bytes)) => Some(bytes),
            _ => None,
        };
        std::thread::spawn(move || {
            let copied = match limit {
                Some(bytes) => copy(&from, &to, bytes),
                None => copy(&from, &to, usize::MAX),
            };
            if limit.is_some() {
                let _ = from.shutdown(Shutdown::Both);
            }
            let _ = to.shutdown(if limit.is_some() { Shutdown::Both } else { Shutdown::Write });
            drop(copied);
        });
        let (head, body) = read_head(&mut server)?;
        if let Some(What::Delay(time)) = fault {
            std::thread::sleep(time);
        }
        client.write_all(format!("{head}\r\n\r\n").as_bytes())?;
        match fault {
            Some(What::Cut(bytes)) => {
                client.write_all(&body[..body.len().min(bytes)])?;
                copy(&server, &client, bytes.saturating_sub(body.len()))?;
                client.shutdown(Shutdown::Both)
            }
            Some(What::Corrupt(at)) => {
                let mut all = body;
                server.read_to_end(&mut all)?;
                if let Some(byte) = all.get_mut(at) {
                    *byte ^= 0x55;
                }
                client.write_all(&all)?;
                client.shutdown(Shutdown::Write)
            }
            _ => {
                client.write_all(&body)?;
                copy(&server, &client, usize::MAX)?;
                client.shutdown(Shutdown::Write)
            }
        }
    }

    fn take(&self, method: &str, path: &str) -> Option<What> {
        let mut faults = lock(&self.faults);
        let fits = |f: &&mut Fault| f.times > 0 && f.method == method && path.contains(&f.path);
        let fault = faults.iter_mut().find(fits)?;
        fault.times -= 1;
        Some(fault.what)
    }
}

/// A head without its end, and what came with it.
fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let body = bytes.split_off(at + 4);
            bytes.truncate(at);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            // TLS, which is not spoken here.
            _ if bytes.is_empty() && !buffer[0].is_ascii_uppercase() => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            n => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

/// Copies at most so many bytes.
fn copy(mut from: &TcpStream, mut to: &TcpStream, most: usize) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    let mut left = most;
    while left > 0 {
        let room = buffer.len().min(left);
        match from.read(&mut buffer[..room])? {
            0 => return Ok(()),
            n => {
                to.write_all(&buffer[..n])?;
                left -= n;
            }
        }
    }
    Ok(())
}
