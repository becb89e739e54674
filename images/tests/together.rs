//! Imports, derivations, removals, pruning, holds and saves at once, by threads of two processes: nobody's image
//! is damaged, and nothing is left behind.
//!
//! The test runs itself as the other process: `CARRACK_TOGETHER_STORE` names the store.
#![expect(clippy::unwrap_used, reason = "all of this is a test")]

mod common;

use std::path::Path;
use std::process::Command;

use carrack_images::{Derivation, Error, Expected, ImageId, ImportOptions, NewImage, Store, Verification};
use rand::Rng;

const STORE: &str = "CARRACK_TOGETHER_STORE";
const THREADS: u64 = 3;
const ROUNDS: u64 = 25;

fn archive(number: u64) -> Vec<u8> {
    common::archive((0..20).map(|i| {
        let data = format!("{} {i} ", if i < 10 { 0 } else { number }).repeat(100);
        (format!("d{number}/{i}"), data.into_bytes())
    }))
}

/// What is not there (any more) is no failure here.
fn lenient<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Err(Error::NotFound(_) | Error::Conflict(_) | Error::Mismatch(_)) => None,
        result => Some(result.unwrap()),
    }
}

fn work(store: &Store, thread: u64) {
    let unused = |_: &ImageId| None;
    for round in 0..ROUNDS {
        let number = rand::rng().random_range(0..4);
        let name = format!("app:{}", rand::rng().random_range(0..4));
        match rand::rng().random_range(0..8) {
            0 | 1 => {
                let options = ImportOptions { reference: Some(name), ..ImportOptions::default() };
                store.import(&archive(number)[..], &options, &mut |_| {}).unwrap();
            }
            2 => {
                let base = lenient(store.resolve(&name)).map(|i| i.id);
                let how = Derivation {
                    reference: Some(format!("derived:{thread}")),
                    comment: format!("{thread} {round}"),
                    ..Derivation::default()
                };
                let layer = archive(10 + number);
                lenient(store.derive(base.as_ref(), Some(&mut &layer[..]), &how, &mut |_| {}));
            }
            3 => drop(lenient(store.remove(&name, round % 2 == 0, &unused))),
            4 => drop(store.prune_unreferenced(&unused).unwrap()),
            5 => {
                let Some(image) = lenient(store.resolve(&name)) else { continue };
                let Some(_hold) = lenient(store.hold(&image.id)) else { continue };
                lenient(store.remove(image.id.as_str(), true, &unused));
                // It is held: all of it is there.
                let index = store.open_index(&image).unwrap();
                for ino in 1..=index.max_ino() {
                    if let Some(body) = index.inode(ino).unwrap().body {
                        let path = store.body_path(&index.layers()[body.layer as usize], body.n);
                        assert!(!std::fs::read(path).unwrap().is_empty());
                    }
                }
            }
            6 => {
                if lenient(store.save(&[&name], std::io::sink())).is_some() {
                    lenient(store.tag(&store.resolve(&name).map_or_else(|_| id(), |i| i.id), "tagged:1"));
                }
            }
            _ => {
                // As a pull does it: what is there stays until the commit.
                let Some(image) = lenient(store.resolve(&name)) else { continue };
                let Ok(config) = std::fs::read(image.config_path()) else { continue };
                let ingest = store.ingest().unwrap();
                let mut all = true;
                for diff_id in &image.layers {
                    all &= ingest.have_layer(diff_id).unwrap();
                }
                let mut writer = ingest.layer(Expected::default()).unwrap();
                std::io::Write::write_all(&mut writer, &archive(20 + number)).unwrap();
                writer.finish().unwrap();
                let document = ingest.document("x", format!("{number}").as_bytes()).unwrap();
                let image = NewImage {
                    config,
                    tags: vec!["pulled:1".into()],
                    documents: vec![document],
                    ..NewImage::default()
                };
                let committed = ingest.commit(vec![image]);
                assert!(committed.is_ok() || !all, "{committed:?}");
            }
        }
    }
}

fn id() -> ImageId {
    ImageId::parse(&"0".repeat(64)).unwrap()
}

fn threads(root: &Path) {
    let store = Store::open(root).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || work(store, thread));
        }
        // Opening sweeps, beside the work of the others.
        for _ in 0..10 {
            Store::open(root).unwrap();
        }
    });
}

fn entries(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

#[test]
fn everything_at_once() {
    if let Some(root) = std::env::var_os(STORE) {
        threads(Path::new(&root));
        return;
    }
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let root = dir.path().join("store");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "everything_at_once", "--nocapture"])
        .env(STORE, &root)
        .spawn()
        .unwrap();
    threads(&root);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let store = Store::open(&root).unwrap();
    let mut damage = Vec::new();
    store
        .verify(&mut |v| {
            if let Verification::Damaged(d) = v {
                damage.push(d);
            }
        })
        .unwrap();
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(entries(&root.join("tmp")), 0);
    for image in store.list().unwrap() {
        lenient(store.remove(image.id.as_str(), true, &|_| None));
    }
    store.prune_unreferenced(&|_| None).unwrap();
    drop(Store::open(&root).unwrap());
    for dir in ["layers", "images", "content", "blobs", "tmp"] {
        assert_eq!(entries(&root.join(dir)), 0, "{dir}");
    }
    let objects = std::fs::read_dir(root.join("objects")).unwrap();
    assert_eq!(objects.map(|d| entries(&d.unwrap().path())).sum::<usize>(), 0);
}
