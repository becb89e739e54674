//! A disk that fills: whatever could not be written is an error, everything that was there stays, the space is
//! given back, and the store works on when there is room again.
//!
//! Without privilege the disk is a limit on the size of files (setrlimit(2), in a process of its own, which is
//! this test again: `CARRACK_FULL_STORE` names the store); where the test may mount, it is a small tmpfs too.
#![expect(clippy::unwrap_used, reason = "all of this is a test")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use carrack_images::{ErrorKind, ImportOptions, Store, Verification};

const STORE: &str = "CARRACK_FULL_STORE";
const LIMIT: &str = "CARRACK_FULL_LIMIT";

fn archive(number: u64, files: u64) -> Vec<u8> {
    let small = |i: u64| (format!("small/{i}"), format!("{number} {i} ").repeat(300).into_bytes());
    let big = (0..200_000).flat_map(|i: u64| (i ^ number).to_le_bytes()).collect();
    common::archive((0..files).map(small).chain([("big".into(), big)]))
}

fn import(store: &Store, number: u64, files: u64) -> Result<(), carrack_images::Error> {
    let options = ImportOptions { reference: Some(format!("app:{number}")), ..ImportOptions::default() };
    store.import(&archive(number, files)[..], &options, &mut |_| {}).map(drop)
}

fn names(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// Opens the store, and checks that it has these images, sound, and nothing else.
fn check(root: &Path, wanted: &[u64]) {
    let store = Store::open(root).unwrap();
    let mut found: Vec<String> = store.list().unwrap().into_iter().flat_map(|i| i.references).collect();
    let mut wanted: Vec<String> = wanted.iter().map(|n| format!("app:{n}")).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    let damage = store.verify(&mut |v| {
        assert!(!matches!(v, Verification::Damaged(_)), "{v:?}");
    });
    assert_eq!(damage.unwrap().layers as usize, wanted.len());
    assert_eq!(names(&root.join("layers")), wanted.len());
    assert_eq!(names(&root.join("images")), wanted.len());
    assert_eq!(names(&root.join("tmp")), 0);
}

#[test]
fn files_that_may_not_grow() {
    if let Ok(root) = std::env::var(STORE) {
        // The signal would end the process before it sees the error; `sh` has set it to be ignored.
        let store = Store::open(Path::new(&root)).unwrap();
        match import(&store, 2, 20) {
            Ok(()) => println!("have"),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::System, "{e}");
                println!("error {e}");
            }
        }
        return;
    }
    let mut refused = 0;
    // In units of 512 bytes: from nothing at all to enough.
    for limit in [0, 1, 2, 4, 8, 12, 16, 64, 1000, 3000, 5000, 100_000] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        import(&Store::open(&root).unwrap(), 1, 20).unwrap();
        let output = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f $CARRACK_FULL_LIMIT; exec \"$0\" \"$@\" 2>&1 | cat"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "files_that_may_not_grow", "--nocapture"])
            .env(STORE, &root)
            .env(LIMIT, limit.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.lines().any(|l| l.ends_with("have")) {
            check(&root, &[1, 2]);
        } else {
            refused += 1;
            assert!(text.contains("error "), "{limit}: {text}");
            check(&root, &[1]);
        }
        // There is room again.
        import(&Store::open(&root).unwrap(), 3, 5).unwrap();
    }
    assert!((6..12).contains(&refused), "{refused}");
}

/// A mounted tmpfs.
struct Small(PathBuf);

impl Small {
    fn mount(path: &Path, kib: u64) -> Option<Small> {
        let size = format!("size={kib}k");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        mount.is_ok_and(|o| o.status.success()).then(|| Small(path.to_owned()))
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.0).unwrap();
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_small_tmpfs() {
    let dir = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for kib in (3600..9000).step_by(450) {
        let Some(disk) = Small::mount(dir.path(), kib) else {
            eprintln!("skipped: no right to mount");
            return;
        };
        let root = dir.path().join("store");
        let store = Store::open(&root).unwrap();
        import(&store, 1, 50).unwrap();
        let free = disk.free();
        match import(&store, 2, 500) {
            Ok(()) => check(&root, &[1, 2]),
            Err(e) => {
                refused += 1;
                assert!(e.to_string().contains("No space left"), "{e}");
                // All but a directory's own block and the journal's garbage.
                assert!(free - disk.free() <= 64 << 10, "{} are lost", free - disk.free());
                check(&root, &[1]);
            }
        }
        store.remove("app:1", false, &|_| None).unwrap();
        import(&store, 3, 5).unwrap();
    }
    assert!(refused > 3, "{refused}");
}
