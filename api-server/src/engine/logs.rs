//! Reading a container's json-file log: tail, window, follow.
//!
//! The supervisor appends one JSON object a line (`log`, `stream`, `time`) to `log.json`, and renames full files to
//! `log.json.1`, `log.json.2`, … (the highest number is the oldest). Reading needs no supervisor.

use super::clock;
use super::record::{Container, Published};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

const BLOCK: usize = 64 << 10;
/// A line of the file longer than this is no line of a log, bytes.
const MAX_LINE: usize = 4 << 20;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;

/// What of the log is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    pub stdout: bool,
    pub stderr: bool,
    pub follow: bool,
    /// Nanoseconds since the epoch.
    pub since: Option<i128>,
    pub until: Option<i128>,
    pub timestamps: bool,
    pub details: bool,
    /// `None`: all.
    pub tail: Option<u64>,
    /// Without a terminal each piece has Docker's 8-byte header.
    pub framed: bool,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    log: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    time: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// Docker's frame around one piece of a stream.
pub fn frame(stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + payload.len());
    out.extend_from_slice(&[stream, 0, 0, 0]);
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Turns lines of the file into what the client gets.
#[derive(Debug)]
struct Printer<'a> {
    options: &'a Options,
    /// Per stream: the last piece did not end its line.
    open: [bool; 3],
    /// A line after `until` was seen.
    over: bool,
}

impl Printer<'_> {
    fn print(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let Ok(line) = serde_json::from_slice::<Line>(raw) else { return };
        let stream = if line.stream == "stderr" { STDERR } else { STDOUT };
        let time = clock::parse_rfc3339(&line.time);
        if let Some(t) = time.map(|t| t.unix_timestamp_nanos()) {
            if self.options.since.is_some_and(|since| t < since) {
                return;
            }
            if self.options.until.is_some_and(|until| t > until) {
                self.over = true;
                return;
            }
        }
        let wanted = if stream == STDERR { self.options.stderr } else { self.options.stdout };
        if !wanted {
            return;
        }
        let continues = self.open[usize::from(stream)];
        self.open[usize::from(stream)] = !line.log.ends_with('\n');
        let mut text = String::new();
        if !continues {
            if self.options.timestamps
                && let Some(t) = time
            {
                text.push_str(&clock::nine_digits(t));
                text.push(' ');
            }
            if self.options.details {
                let pairs: Vec<String> =
                    line.attrs.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
                text.push_str(&pairs.join(","));
                text.push(' ');
            }
        }
        text.push_str(&line.log);
        if self.options.framed {
            out.extend(frame(stream, text.as_bytes()));
        } else {
            out.extend(text.as_bytes());
        }
    }
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            b' ' => "+".into(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The log's files, oldest first.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for n in 1..1000 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{n}"));
        let old = PathBuf::from(name);
        if !old.exists() {
            break;
        }
        all.push(old);
    }
    all.reverse();
    all.push(path.to_path_buf());
    all
}

/// Where the last `lines` lines of the file begin, and how many it has if they are fewer.
fn tail_offset(file: &mut File, lines: u64) -> io::Result<(u64, u64)> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut position = length;
    let mut found = 0u64;
    let mut block = vec![0u8; BLOCK];
    while position > 0 {
        let from = position.saturating_sub(BLOCK as u64);
        let size = usize::try_from(position - from).unwrap_or(BLOCK);
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block[..size])?;
        for i in (0..size).rev() {
            // The newline at the very end closes the last line; it does not begin another.
            if block[i] == b'\n' && from + i as u64 + 1 < length {
                found += 1;
                if found == lines {
                    return Ok((from + i as u64 + 1, lines));
                }
            }
        }
        position = from;
    }
    Ok((0, if length > 0 { found + 1 } else { 0 }))
}

/// One file being read, with the beginning of a line that is not complete yet.
struct Reader {
    file: File,
    inode: u64,
    pending: Vec<u8>,
}

impl Reader {
    fn open(path: &Path, offset: u64) -> io::Result<Reader> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let inode = file.metadata()?.ino();
        Ok(Reader { file, inode, pending: Vec::new() })
    }

    /// Reads one block's lines; false at the end of the file.
    fn step(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut block = [0u8; BLOCK];
        let n = self.file.read(&mut block)?;
        if n == 0 {
            return Ok(false);
        }
        self.pending.extend_from_slice(&block[..n]);
        let mut start = 0;
        while let Some(end) = self.pending[start..].iter().position(|b| *b == b'\n') {
            each(&self.pending[start..start + end]);
            start += end + 1;
        }
        self.pending.drain(..start);
        if self.pending.len() > MAX_LINE {
            self.pending.clear();
        }
        Ok(true)
    }
}

/// The files that are newer than the one with this inode, oldest first; all of them if it is no longer there.
fn newer(path: &Path, inode: Option<u64>) -> Vec<Reader> {
    let mut readers: Vec<Reader> = Vec::new();
    for file in files(path).into_iter().rev() {
        let Ok(reader) = Reader::open(&file, 0) else { continue };
        if Some(reader.inode) == inode {
            break;
        }
        if readers.iter().all(|r| r.inode != reader.inode) {
            readers.push(reader);
        }
    }
    readers.reverse();
    readers
}

/// Sends the log to `out` until it is complete, the container has ended (when following), or nobody listens.
pub async fn send(
    container: &Container,
    options: Options,
    mut published: watch::Receiver<Published>,
    out: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let path = container.log_path();
    let mut printer = Printer { options: &options, open: [false; 3], over: false };
    let seen = published.borrow_and_update().exits;
    let mut current = None;
    if options.tail != Some(0) {
        let mut chain: Vec<Reader> = Vec::new();
        let mut missing = options.tail;
        for file in files(&path).into_iter().rev() {
            let Ok(mut reader) = Reader::open(&file, 0) else { continue };
            // Renamed meanwhile: it was seen under its newer name.
            if chain.iter().any(|r| r.inode == reader.inode) {
                continue;
            }
            match missing {
                None => {}
                Some(0) => break,
                Some(n) => {
                    let (offset, found) = tail_offset(&mut reader.file, n)?;
                    reader.file.seek(SeekFrom::Start(offset))?;
                    missing = Some(n - found);
                }
            }
            chain.push(reader);
        }
        for mut reader in chain.into_iter().rev() {
            if !pump(&mut reader, &mut printer, &out).await? {
                return Ok(());
            }
            current = Some(reader);
        }
    } else if let Ok(end) = std::fs::metadata(&path).map(|m| m.len()) {
        current = Reader::open(&path, end).ok();
    }
    if !options.follow {
        return Ok(());
    }
    let mut idle = 0u32;
    loop {
        // Looked at before reading: what was written before the end is then read for certain.
        let ended = {
            let p = published.borrow();
            p.exits > seen || p.removed.is_some() || !p.state.is_alive()
        };
        let before = current.as_ref().map(|r| r.pending.len());
        if let Some(reader) = &mut current
            && !pump(reader, &mut printer, &out).await?
        {
            return Ok(());
        }
        let rotated =
            std::fs::metadata(&path).is_ok_and(|m| current.as_ref().is_none_or(|r| r.inode != m.ino()));
        if rotated {
            // A full file is never written again: its rest comes first, then what came after it.
            let inode = current.as_ref().map(|r| r.inode);
            if let Some(reader) = &mut current
                && !pump(reader, &mut printer, &out).await?
            {
                return Ok(());
            }
            for mut reader in newer(&path, inode) {
                if !pump(&mut reader, &mut printer, &out).await? {
                    return Ok(());
                }
                current = Some(reader);
            }
            continue;
        }
        let until_passed = options.until.is_some_and(|u| clock::now().unix_timestamp_nanos() > u);
        if ended || until_passed || printer.over || out.is_closed() {
            return Ok(());
        }
        idle = if before == current.as_ref().map(|r| r.pending.len()) { (idle + 1).min(10) } else { 0 };
        let pause = Duration::from_millis(u64::from(10 + idle * 4));
        tokio::select! {
            _ = tokio::time::sleep(pause) => {}
            _ = published.changed() => {}
            _ = out.closed() => return Ok(()),
        }
    }
}

/// Sends everything up to the end of the file; false when nobody listens any more or the window is over.
async fn pump(
    reader: &mut Reader,
    printer: &mut Printer<'_>,
    out: &mpsc::Sender<Vec<u8>>,
) -> io::Result<bool> {
    loop {
        let mut chunk = Vec::new();
        let more = reader.step(|line| printer.print(line, &mut chunk))?;
        if !chunk.is_empty() && out.send(chunk).await.is_err() {
            return Ok(false);
        }
        if printer.over {
            return Ok(false);
        }
        if !more {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            stdout: true,
            stderr: true,
            follow: false,
            since: None,
            until: None,
            timestamps: false,
            details: false,
            tail: None,
            framed: false,
        }
    }

    fn printed(options: &Options, lines: &[&str]) -> String {
        let mut printer = Printer { options, open: [false; 3], over: false };
        let mut out = Vec::new();
        for line in lines {
            printer.print(line.as_bytes(), &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    const LINES: [&str; 4] = [
        r#"{"log":"one\n","stream":"stdout","time":"2026-01-01T00:00:01.5Z"}"#,
        r#"{"log":"two\n","stream":"stderr","time":"2026-01-01T00:00:02Z"}"#,
        r#"{"log":"par","stream":"stdout","time":"2026-01-01T00:00:03Z"}"#,
        r#"{"log":"tial\n","stream":"stdout","time":"2026-01-01T00:00:04Z"}"#,
    ];

    #[test]
    fn streams_and_pieces() {
        assert_eq!(printed(&options(), &LINES), "one\ntwo\npartial\n");
        assert_eq!(printed(&Options { stderr: false, ..options() }, &LINES), "one\npartial\n");
        let stamped = printed(&Options { timestamps: true, ..options() }, &LINES);
        assert!(stamped.starts_with("2026-01-01T00:00:01.500000000Z one\n"));
        assert!(stamped.ends_with("2026-01-01T00:00:03.000000000Z partial\n"), "one stamp for one line");
    }

    #[test]
    fn windows() {
        let second = |s: i128| 1_767_225_600_000_000_000 + s * 1_000_000_000;
        let o = Options { since: Some(second(2)), until: Some(second(3)), ..options() };
        assert_eq!(printed(&o, &LINES), "two\npar");
    }

    #[test]
    fn frames() {
        let framed = printed(&Options { framed: true, stdout: false, ..options() }, &LINES);
        assert_eq!(framed.as_bytes(), frame(2, b"two\n"));
    }

    #[test]
    fn newer_files_in_order() {
        let dir = std::env::temp_dir().join(format!("carrack-newer-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log.json");
        for name in ["log.json", "log.json.1", "log.json.2"] {
            std::fs::write(dir.join(name), name).unwrap();
        }
        let inode = |name: &str| std::fs::metadata(dir.join(name)).unwrap().ino();
        let inodes = |from: Option<u64>| newer(&path, from).iter().map(|r| r.inode).collect::<Vec<_>>();
        assert_eq!(inodes(Some(inode("log.json"))), [0u64; 0]);
        assert_eq!(inodes(Some(inode("log.json.2"))), [inode("log.json.1"), inode("log.json")]);
        assert_eq!(inodes(None), [inode("log.json.2"), inode("log.json.1"), inode("log.json")]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn tails() {
        let path = std::env::temp_dir().join(format!("carrack-tail-{}", std::process::id()));
        std::fs::write(&path, "a\nb\nc\n").unwrap();
        let mut file = File::open(&path).unwrap();
        assert_eq!(tail_offset(&mut file, 1).unwrap(), (4, 1));
        assert_eq!(tail_offset(&mut file, 2).unwrap(), (2, 2));
        assert_eq!(tail_offset(&mut file, 3).unwrap(), (0, 3));
        assert_eq!(tail_offset(&mut file, 9).unwrap(), (0, 3));
        std::fs::remove_file(&path).unwrap();
    }
}
