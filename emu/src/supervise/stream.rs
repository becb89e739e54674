//! A client that is attached to a process's standard streams, or that waits for events.

use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// No more output is read from the process while a client has this much before it, bytes.
const HIGH_WATER: usize = 1 << 20;
/// A client of init that takes nothing for this long while its queue is full is dropped: it must not hold up the
/// container for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client asks of a process's streams.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wants {
    pub(super) stdin: bool,
    pub(super) output: [bool; 2],
}

/// One connection. Bytes for it are queued; [`flush`](Client::flush) sends what the connection takes.
#[derive(Debug)]
pub(super) struct Client {
    conn: UnixStream,
    pub(super) wants: Wants,
    is_framed: bool,
    queue: VecDeque<u8>,
    /// The client ended its side of standard input.
    pub(super) is_input_done: bool,
    /// Close when the queue is empty.
    is_ending: bool,
    pub(super) is_gone: bool,
    /// When to close it although the process goes on, or to look whether the process has read what it sent.
    pub(super) end_at: Option<Instant>,
    /// The process has read what it sent: the time until `end_at` is for the answer.
    pub(super) is_input_read: bool,
    /// When the connection last took something, while there was something to take.
    progress: Instant,
}

impl Client {
    pub(super) fn new(conn: UnixStream, wants: Wants, is_framed: bool) -> io::Result<Client> {
        conn.set_nonblocking(true)?;
        Ok(Client {
            conn,
            wants,
            is_framed,
            queue: VecDeque::new(),
            is_input_done: !wants.stdin,
            is_ending: false,
            is_gone: false,
            end_at: None,
            is_input_read: false,
            progress: Instant::now(),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.conn.as_fd()
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= HIGH_WATER
    }

    /// Whether its patience is at an end; see [`PATIENCE`].
    pub(super) fn is_stuck(&self) -> bool {
        self.has_queued() && self.progress.elapsed() > PATIENCE
    }

    /// Output of stream 0 (stdout) or 1 (stderr).
    pub(super) fn output(&mut self, stream: usize, bytes: &[u8]) {
        if self.is_ending || !self.wants.output[stream] {
            return;
        }
        if self.is_framed {
            let mut header = [0u8; 8];
            header[0] = stream as u8 + 1;
            header[4..].copy_from_slice(&(bytes.len() as u32).to_be_bytes());
            self.push(&header);
        }
        self.push(bytes);
        self.flush();
    }

    /// Bytes that are not framed: a reply line, an event.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.queue.is_empty() {
            self.progress = Instant::now();
        }
        self.queue.extend(bytes);
    }

    pub(super) fn flush(&mut self) {
        while !self.queue.is_empty() && !self.is_gone {
            match self.conn.write(self.queue.as_slices().0) {
                Ok(0) => self.is_gone = true,
                Ok(n) => {
                    self.queue.drain(..n);
                    self.progress = Instant::now();
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.is_gone = true,
            }
        }
        if self.is_ending && self.queue.is_empty() {
            self.is_gone = true;
        }
    }

    /// What poll said of a connection on which nothing is read.
    pub(super) fn ready(&mut self, events: PollFlags) {
        self.flush();
        if events.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.is_gone = true;
        }
    }

    /// Reads standard input. `Ok(0)`: the client has ended it; `None`: nothing now.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Option<usize> {
        match self.conn.read(buf) {
            Ok(n) => Some(n),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
            Err(_) => {
                self.is_gone = true;
                Some(0)
            }
        }
    }

    /// Closes the connection when what is queued has been sent.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_dockers() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let wants = Wants { stdin: false, output: [true, true] };
        let mut client = Client::new(ours, wants, true).unwrap();
        client.output(0, b"out");
        client.output(1, b"err!");
        client.end();
        assert!(client.is_gone);
        drop(client);
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x04err!");
    }

    #[test]
    fn a_slow_client_fills_up_and_still_gets_everything() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let wants = Wants { stdin: false, output: [true, false] };
        let mut client = Client::new(ours, wants, false).unwrap();
        let block = vec![7u8; 64 << 10];
        let mut sent = 0;
        while !client.is_full() {
            client.output(0, &block);
            client.output(1, b"not wanted");
            sent += block.len();
        }
        client.end();
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).unwrap();
            got
        });
        while !client.is_gone {
            client.flush();
            std::thread::yield_now();
        }
        drop(client);
        let got = reader.join().unwrap();
        assert_eq!(got.len(), sent);
        assert!(got.iter().all(|&b| b == 7));
    }
}
