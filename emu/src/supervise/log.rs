//! Init's output on disk, in the format of Docker's `json-file` driver: one JSON object a line.

use crate::control::LogSpec;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Docker splits longer lines; what is not ended by a newline is part of a longer line.
const MAX_LINE: usize = 16 << 10;

/// Appends to `log.json`, rotating to `log.json.1`, `log.json.2`, ….
#[derive(Debug)]
pub(super) struct LogWriter {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: u64,
    max_file: u32,
    /// Lines that have not ended yet: stdout's and stderr's.
    partial: [Vec<u8>; 2],
    /// A failure was reported already (a full disk fails for every line).
    has_failed: bool,
}

impl LogWriter {
    /// `None` where the spec asks for no log.
    pub(super) fn open(container_dir: &Path, spec: &LogSpec) -> io::Result<Option<LogWriter>> {
        if spec.driver != "json-file" && spec.driver != "local" {
            return Ok(None);
        }
        let path = container_dir.join("log.json");
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Some(LogWriter {
            path,
            file,
            size,
            max_size: spec.max_size,
            max_file: spec.max_file.max(1),
            partial: [Vec::new(), Vec::new()],
            has_failed: false,
        }))
    }

    /// Takes what was read from a stream (0: stdout, 1: stderr); complete lines are on disk afterwards.
    pub(super) fn append(&mut self, stream: usize, mut bytes: &[u8]) {
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 4 + 96);
        let time = super::state::now();
        let mut partial = std::mem::take(&mut self.partial[stream]);
        while !bytes.is_empty() {
            let room = MAX_LINE - partial.len();
            let window = &bytes[..bytes.len().min(room)];
            let (take, is_whole) = match window.iter().position(|&b| b == b'\n') {
                Some(n) => (n + 1, true),
                None => (window.len(), window.len() == room),
            };
            partial.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if is_whole {
                encode(&mut out, stream, &partial, &time);
                partial.clear();
            }
        }
        self.partial[stream] = partial;
        self.write(&out);
    }

    /// The stream has ended: a last line without newline is a line.
    pub(super) fn finish(&mut self, stream: usize) {
        let partial = std::mem::take(&mut self.partial[stream]);
        if !partial.is_empty() {
            let mut out = Vec::new();
            encode(&mut out, stream, &partial, &super::state::now());
            self.write(&out);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.max_size > 0 && self.size > 0 && self.size + bytes.len() as u64 > self.max_size {
            match self.rotate() {
                Ok(()) => {}
                Err(e) => tracing::warn!("cannot rotate {}: {e}", self.path.display()),
            }
        }
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.size += bytes.len() as u64;
                self.has_failed = false;
            }
            Err(e) if !self.has_failed => {
                self.has_failed = true;
                tracing::error!("output is lost: cannot write {}: {e}", self.path.display());
            }
            Err(_) => {}
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |n: u32| PathBuf::from(format!("{}.{n}", self.path.display()));
        for n in (1..self.max_file.saturating_sub(1)).rev() {
            match std::fs::rename(numbered(n), numbered(n + 1)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        if self.max_file > 1 {
            std::fs::rename(&self.path, numbered(1))?;
        } else {
            std::fs::remove_file(&self.path)?;
        }
        self.file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn encode(out: &mut Vec<u8>, stream: usize, line: &[u8], time: &str) {
    out.extend_from_slice(b"{\"log\":");
    // Bytes that are no UTF-8 become U+FFFD, as with Docker. Writing to a Vec cannot fail.
    let _ = serde_json::to_writer(&mut *out, &String::from_utf8_lossy(line));
    out.extend_from_slice(b",\"stream\":");
    out.extend_from_slice(if stream == 0 { b"\"stdout\"" } else { b"\"stderr\"" });
    out.extend_from_slice(b",\"time\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(dir: &Path, name: &str) -> Vec<(String, String)> {
        std::fs::read_to_string(dir.join(name))
            .unwrap()
            .lines()
            .map(|l| {
                let v: serde_json::Value = serde_json::from_str(l).unwrap();
                (v["log"].as_str().unwrap().to_owned(), v["stream"].as_str().unwrap().to_owned())
            })
            .collect()
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("carrack-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn lines_are_whole_and_streams_apart() {
        let dir = scratch("lines");
        let mut log = LogWriter::open(&dir, &LogSpec::default()).unwrap().unwrap();
        log.append(0, b"a\nb");
        log.append(1, b"err\n");
        log.append(0, b"c\nlast");
        log.finish(0);
        log.finish(1);
        let got = lines(&dir, "log.json");
        let want = [("a\n", "stdout"), ("err\n", "stderr"), ("bc\n", "stdout"), ("last", "stdout")];
        assert_eq!(got, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_long_line_is_split_at_16_kib() {
        let dir = scratch("long");
        let mut log = LogWriter::open(&dir, &LogSpec::default()).unwrap().unwrap();
        let mut text = vec![b'x'; MAX_LINE + 5];
        text.push(b'\n');
        log.append(0, &text);
        let got = lines(&dir, "log.json");
        assert_eq!(got.iter().map(|l| l.0.len()).collect::<Vec<_>>(), [MAX_LINE, 6]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn rotation_keeps_max_file_files() {
        let dir = scratch("rotate");
        let spec = LogSpec { driver: "json-file".into(), max_size: 200, max_file: 3 };
        let mut log = LogWriter::open(&dir, &spec).unwrap().unwrap();
        for n in 0..20 {
            log.append(0, format!("line {n}\n").as_bytes());
        }
        assert!(
            dir.join("log.json").exists()
                && dir.join("log.json.1").exists()
                && dir.join("log.json.2").exists()
        );
        assert!(!dir.join("log.json.3").exists());
        assert_eq!(lines(&dir, "log.json").last().unwrap().0, "line 19\n");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
