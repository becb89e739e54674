//! The client's side of an attached container, with a daemon or without: standard input in, frames or raw bytes out.

use carrack_api_server::DetachKeys;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest frame that is believed, bytes; a line of a log is the longest that is sent.
const MAX_FRAME: usize = 16 << 20;

/// Copies standard input to the container in a thread of its own; its end is passed on, except for a terminal's.
///
/// `keys`: those that end the session. They are not passed on; the connection is closed, and the result becomes true.
pub(crate) fn send_input(
    conn: UnixStream,
    has_tty: bool,
    mut keys: Option<DetachKeys>,
) -> io::Result<Arc<AtomicBool>> {
    let detached = Arc::new(AtomicBool::new(false));
    let typed = detached.clone();
    let copy = move || {
        let mut conn = conn;
        let mut buf = vec![0u8; 64 << 10];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut buf) {
                Ok(0) => break,
                Ok(n) => {
                    let (bytes, leaves) = match &mut keys {
                        Some(keys) => keys.pass(&buf[..n]),
                        None => (buf[..n].to_vec(), false),
                    };
                    let sent = conn.write_all(&bytes);
                    if leaves {
                        typed.store(true, Ordering::SeqCst);
                        let _ = conn.shutdown(Shutdown::Both);
                    }
                    if leaves || sent.is_err() {
                        return;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if !has_tty {
            let _ = conn.shutdown(Shutdown::Write);
        }
    };
    std::thread::Builder::new().spawn(copy)?;
    Ok(detached)
}

/// Copies a container's output (or a log, in the same format) until the other side closes the connection. A reader of ours that has gone away does
/// not end the container; its output is dropped.
pub(crate) fn receive_output(conn: &mut impl Read, has_tty: bool) -> io::Result<()> {
    let mut out = Sink { file: io::stdout(), is_gone: false };
    let mut err = Sink { file: io::stderr(), is_gone: false };
    let mut buf = vec![0u8; 64 << 10];
    loop {
        if has_tty {
            match read(conn, &mut buf)? {
                0 => return Ok(()),
                n => out.put(&buf[..n]),
            }
            continue;
        }
        let mut header = [0u8; 8];
        if !read_exact(conn, &mut header)? {
            return Ok(());
        }
        let mut left = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if left > MAX_FRAME || header[0] > 2 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a broken frame came"));
        }
        while left > 0 {
            let want = left.min(buf.len());
            let n = read(conn, &mut buf[..want])?;
            if n == 0 {
                return Ok(());
            }
            left -= n;
            if header[0] == 2 { err.put(&buf[..n]) } else { out.put(&buf[..n]) }
        }
    }
}

/// Where output goes, until that is gone.
struct Sink<W> {
    file: W,
    is_gone: bool,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, bytes: &[u8]) {
        if !self.is_gone && self.file.write_all(bytes).and_then(|()| self.file.flush()).is_err() {
            self.is_gone = true;
        }
    }
}

fn read(conn: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match conn.read(buf) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(0),
            other => return other,
        }
    }
}

/// False at the end of the stream.
fn read_exact(conn: &mut impl Read, buf: &mut [u8]) -> io::Result<bool> {
    let mut done = 0;
    while done < buf.len() {
        match read(conn, &mut buf[done..])? {
            0 => return Ok(false),
            n => done += n,
        }
    }
    Ok(true)
}
