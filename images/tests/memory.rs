//! An image of a million files is imported, loaded and opened in 64 MiB of memory.
//!
//! The test runs itself as the process that is measured: `CARRACK_MEMORY_STORE` names the store. With
//! `CARRACK_MEMORY_FILES=1` the entries are files with data, each its own, which takes minutes.
#![expect(clippy::unwrap_used, reason = "all of this is a test")]

use std::io::{self, Read};
use std::path::Path;
use std::process::Command;

use carrack_images::{ImportOptions, Store};

const STORE: &str = "CARRACK_MEMORY_STORE";
const ENTRIES: u64 = 1_000_000;
const MOST: u64 = 64 << 10;

/// An archive that is made as it is read.
struct Archive {
    next: u64,
    files: bool,
    block: Vec<u8>,
    at: usize,
}

impl Archive {
    fn more(&mut self) {
        self.block.clear();
        self.at = 0;
        let i = self.next;
        self.next += 1;
        if i == ENTRIES {
            self.block.resize(1024, 0);
        }
        if i >= ENTRIES {
            return;
        }
        let mut header = tar::Header::new_gnu();
        let data = format!("the data of file {i}");
        header.set_path(format!("usr/share/some/directory-{}/file-number-{i}", i / 1009)).unwrap();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000 + i);
        if self.files {
            header.set_size(data.len() as u64);
        } else {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name(format!("../directory-{}/somewhere-{i}", i % 31)).unwrap();
            header.set_size(0);
        }
        header.set_cksum();
        self.block.extend_from_slice(header.as_bytes());
        if self.files {
            self.block.extend_from_slice(data.as_bytes());
            self.block.resize(1024, 0);
        }
    }
}

impl Read for Archive {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            self.more();
        }
        let n = buf.len().min(self.block.len() - self.at);
        buf[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// KiB, from /proc/self/status.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn measured(root: &Path) {
    let store = Store::open(root).unwrap();
    if store.list().unwrap().is_empty() {
        let files = std::env::var_os("CARRACK_MEMORY_FILES").is_some();
        let archive = Archive { next: 0, files, block: Vec::new(), at: 0 };
        let options = ImportOptions { reference: Some("big".into()), ..ImportOptions::default() };
        let start = std::time::Instant::now();
        store.import(archive, &options, &mut |_| {}).unwrap();
        println!("import {:?}", start.elapsed());
    } else {
        let start = std::time::Instant::now();
        let image = store.resolve("big").unwrap();
        let index = store.open_index(&image).unwrap();
        assert!(index.max_ino() > ENTRIES);
        println!("open {:?}", start.elapsed());
    }
    println!("peak {}", peak());
}

#[test]
fn a_million_files_need_little_memory() {
    if let Some(root) = std::env::var_os(STORE) {
        measured(Path::new(&root));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for what in ["import", "open"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_million_files_need_little_memory", "--nocapture"])
            .env(STORE, dir.path().join("store"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        println!("{text}");
        let peak: u64 = text.lines().find_map(|l| l.strip_prefix("peak ")).unwrap().parse().unwrap();
        assert!(peak <= MOST, "{what} took {peak} KiB");
    }
}
