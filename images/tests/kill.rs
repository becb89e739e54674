//! A store is killed again and again while it imports, tags and removes, and opens each time with everything
//! that was acknowledged and nothing half-done.
//!
//! The test runs itself as the process to be killed: `CARRACK_KILL_STORE` names the store, and what was
//! acknowledged is written, line by line, to its standard output.
#![expect(clippy::unwrap_used, reason = "all of this is a test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use carrack_images::{Derivation, ImportOptions, Index, Store, Verification};
use rand::Rng;

const STORE: &str = "CARRACK_KILL_STORE";
const SEED: &str = "CARRACK_KILL_SEED";

/// An archive of its own for each number: some files that all have, some that only this one has.
fn archive(number: u64) -> Vec<u8> {
    let both = |i: u8| {
        let own = format!("{number} {i} ").repeat(200).into_bytes();
        [(format!("all/{i}"), vec![i; 2000]), (format!("own/{i}"), own)]
    };
    let big = number.to_le_bytes().repeat(300_000);
    common::archive((0..40).flat_map(both).chain([("big".into(), big)]))
}

/// Imports, derives, saves, loads and removes until it is killed.
fn victim(root: &str) {
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let store = Store::open(Path::new(root)).unwrap();
    let mut out = std::io::stdout().lock();
    for i in 0.. {
        let number = seed * 1000 + i;
        let name = format!("app:{number}");
        let options = ImportOptions { reference: Some(name.clone()), ..ImportOptions::default() };
        let id = store.import(&archive(number)[..], &options, &mut |_| {}).unwrap();
        writeln!(out, "have {name}").unwrap();
        out.flush().unwrap();
        // And a tag, a further layer, and the same by way of an archive.
        let derived = format!("derived:{number}");
        let how = Derivation { reference: Some(derived.clone()), ..Derivation::default() };
        let top = archive(number + 1_000_000);
        store.derive(Some(&id), Some(&mut &top[..]), &how, &mut |_| {}).unwrap();
        writeln!(out, "have {derived}").unwrap();
        out.flush().unwrap();
        let mut saved = Vec::new();
        store.save(&[&derived], &mut saved).unwrap();
        writeln!(out, "removing {derived}").unwrap();
        out.flush().unwrap();
        store.remove(&derived, true, &|_| None).unwrap();
        store.load(&saved[..], &mut |_| {}).unwrap();
        writeln!(out, "have {derived}").unwrap();
        out.flush().unwrap();
        if i % 3 == 2 {
            let old = format!("app:{}", number - 1);
            writeln!(out, "removing {old}").unwrap();
            out.flush().unwrap();
            store.remove(&old, false, &|_| None).unwrap();
            writeln!(out, "gone {old}").unwrap();
            out.flush().unwrap();
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    if let Ok(root) = std::env::var(STORE) {
        victim(&root);
        return;
    }
    let rounds: u64 = std::env::var("CARRACK_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(25);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    let mut gone: BTreeSet<String> = BTreeSet::new();
    for round in 1..=rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_acknowledged_is_lost", "--nocapture"])
            .env(STORE, &root)
            .env(SEED, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_micros(rand::rng().random_range(5_000..400_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in reader.join().unwrap() {
            match line.split_once(' ') {
                Some(("have", name)) => drop(wanted.insert(name.to_owned())),
                // From here on it may be there or not.
                Some(("removing", name)) => drop(wanted.remove(name)),
                Some(("gone", name)) => drop(gone.insert(name.to_owned())),
                _ => {}
            }
        }
        check(&root, &wanted, &gone);
        // Keep it small.
        if round % 10 == 0 {
            let store = Store::open(&root).unwrap();
            for image in store.list().unwrap() {
                store.remove(image.id.as_str(), true, &|_| None).unwrap();
            }
            wanted.clear();
            assert_eq!(entries(&root.join("layers")), 0, "layers of nobody");
            assert_eq!(entries(&root.join("images")), 0, "images of nobody");
            assert_eq!(entries(&root.join("tmp")), 0, "work of nobody");
            let objects = std::fs::read_dir(root.join("objects")).unwrap();
            assert_eq!(objects.map(|d| entries(&d.unwrap().path())).sum::<usize>(), 0, "objects of nobody");
        }
    }
}

fn entries(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

fn check(root: &Path, wanted: &BTreeSet<String>, gone: &BTreeSet<String>) {
    let store = Store::open(root).unwrap();
    let images = store.list().unwrap();
    let mut layers = BTreeSet::new();
    let mut names = BTreeMap::new();
    for image in &images {
        layers.extend(image.layer_hexes().map(str::to_owned));
        for name in &image.references {
            names.insert(name.clone(), image);
        }
    }
    for name in wanted {
        assert!(names.contains_key(name), "{name} was lost");
    }
    for name in gone {
        assert!(!names.contains_key(name), "{name} came back");
    }
    // Nothing is there that no image has.
    assert_eq!(entries(&root.join("layers")), layers.len());
    assert_eq!(entries(&root.join("images")), images.len());
    assert_eq!(entries(&root.join("tmp")), 0);
    for (name, image) in names {
        let (kind, number) = name.split_once(':').unwrap();
        let number: u64 = number.parse::<u64>().unwrap() + if kind == "derived" { 1_000_000 } else { 0 };
        let index = Index::open(&image.index_path()).unwrap();
        let read = |path: &str| {
            let ino = path.split('/').try_fold(1, |d, n| index.lookup(d, n.as_bytes())).unwrap();
            let body = index.inode(ino).unwrap().body.unwrap();
            std::fs::read(store.body_path(&index.layers()[body.layer as usize], body.n)).unwrap()
        };
        assert_eq!(read("all/39"), vec![39; 2000]);
        assert_eq!(read("own/7"), format!("{number} 7 ").repeat(200).into_bytes());
        assert_eq!(read("big"), number.to_le_bytes().repeat(300_000));
    }
    let verified = store.verify(&mut |v| {
        assert!(!matches!(v, Verification::Damaged(_)), "{v:?}");
    });
    assert_eq!(verified.unwrap().images as usize, images.len());
}
