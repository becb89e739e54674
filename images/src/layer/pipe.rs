//! Bytes on their way from one thread to another, so that a download, its decompression and its unpacking go
//! on at once. The memory of a pipe is bounded: a writer that is ahead waits.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes handed over at a time.
const CHUNK: usize = 128 << 10;
/// Chunks under way at most.
const DEPTH: usize = 8;

/// The end that is written to. Dropped without [`Writer::finish`], it makes the reader fail.
#[derive(Debug)]
pub(crate) struct Writer {
    pending: Vec<u8>,
    full: SyncSender<io::Result<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
}

/// The end that is read from. Dropped early, it makes the writer fail with `BrokenPipe`.
pub(crate) struct Reader {
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
    full: Receiver<io::Result<Vec<u8>>>,
    empty: SyncSender<Vec<u8>>,
}

pub(crate) fn pipe() -> (Writer, Reader) {
    let (full, from) = sync_channel(DEPTH);
    let (back, empty) = sync_channel(DEPTH + 2);
    let writer = Writer { pending: Vec::new(), full, empty };
    (writer, Reader { chunk: Vec::new(), at: 0, ended: false, full: from, empty: back })
}

impl Writer {
    /// What was written so far is all; the reader comes to an end.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        // An empty chunk is the end.
        self.send(Ok(Vec::new()))
    }

    /// The reader gets this error once it has read what was written.
    pub(crate) fn fail(self, error: io::Error) {
        // Nobody reads any more: nobody needs to know.
        let _ = self.send(Err(error));
    }

    fn send(&self, item: io::Result<Vec<u8>>) -> io::Result<()> {
        self.full.send(item).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.pending.capacity() == 0 {
            self.pending = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
        }
        let n = buf.len().min(CHUNK.saturating_sub(self.pending.len()));
        self.pending.extend_from_slice(&buf[..n]);
        if self.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.pending) {
            empty if empty.is_empty() => Ok(()),
            chunk => self.send(Ok(chunk)),
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            if self.ended {
                return Ok(0);
            }
            let mut old = std::mem::take(&mut self.chunk);
            self.at = 0;
            if old.capacity() > 0 {
                old.clear();
                let _ = self.empty.try_send(old);
            }
            let given_up = || io::Error::new(io::ErrorKind::ConnectionAborted, "the stream was given up");
            self.chunk = self.full.recv().unwrap_or_else(|_| Err(given_up()))?;
            self.ended = self.chunk.is_empty();
        }
        let n = buf.len().min(self.chunk.len() - self.at);
        buf[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_through_in_order() {
        let data: Vec<u8> = (0..3_000_001u32).map(|i| (i * 7) as u8).collect();
        let (mut writer, mut reader) = pipe();
        let sent = data.clone();
        let thread = std::thread::spawn(move || {
            for part in sent.chunks(70_001) {
                writer.write_all(part).unwrap();
            }
            writer.finish().unwrap();
        });
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        thread.join().unwrap();
        assert!(got == data);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn each_end_learns_that_the_other_gave_up() {
        let (mut writer, mut reader) = pipe();
        writer.write_all(b"some").unwrap();
        writer.flush().unwrap();
        drop(writer);
        let mut got = Vec::new();
        assert_eq!(reader.read_to_end(&mut got).unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(got, b"some");
        let (mut writer, reader) = pipe();
        drop(reader);
        let error = writer.write_all(&vec![0; CHUNK * 2]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
