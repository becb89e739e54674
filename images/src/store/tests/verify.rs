//! Bit rot is found, and what the store says of its size is right.

use super::*;
use crate::{Verification, Verified};

fn verify(store: &Store) -> (Verified, Vec<String>) {
    let mut damage = Vec::new();
    let mut last = (0, 0);
    let verified = store.verify(&mut |v| match v {
        Verification::Damaged(d) => damage.push(format!("{}: {} {}", d.what, d.why, d.repaired)),
        Verification::Progress { done, total } => last = (done, total),
    });
    let verified = verified.unwrap();
    assert_eq!((last.0, damage.len() as u64), (verified.bytes, verified.damaged));
    (verified, damage)
}

#[test]
fn bit_rot_is_found() {
    let f = fixture();
    let base = tar(&[file("a", "some text"), file("b", vec![1; 3000]), dir("d")]);
    let id = f.import(&base, "base:1").unwrap();
    let top = tar(&[file("a", "other text")]);
    f.store.derive(Some(&id), Some(&mut &top[..]), &Derivation::default(), &mut |_| {}).unwrap();
    let ingest = f.store.ingest().unwrap();
    let manifest = ingest.document("x", b"{}").unwrap();
    let config = std::fs::read(f.store.resolve("base:1").unwrap().config_path()).unwrap();
    let documents = vec![manifest.clone()];
    ingest.commit(vec![crate::NewImage { config, documents, ..Default::default() }]).unwrap();
    let (good, damage) = verify(&f.store);
    assert!(damage.is_empty(), "{damage:?}");
    let bytes = (base.len() + top.len()) as u64;
    assert_eq!(good, Verified { images: 2, layers: 2, documents: 1, bytes, damaged: 0 });

    let image = f.store.resolve("base:1").unwrap();
    let layer = image.layer_hexes().next().unwrap().to_owned();
    let body = f.store.body_path(&layer, 2);
    let with = |path: &Path, bytes: &[u8], wanted: &str| {
        let old = std::fs::read(path).unwrap();
        std::fs::write(path, bytes).unwrap();
        let (verified, damage) = verify(&f.store);
        assert!(verified.damaged > 0 && damage[0].contains(wanted), "{damage:?}, not {wanted}");
        std::fs::write(path, old).unwrap();
    };
    with(&body, &[2; 3000], "its bytes have changed");
    with(&body, &[1; 3001], "3001 bytes instead of 3000");
    with(&body, &[1; 2999], "2999 bytes instead of 3000");
    with(&f.store.layer_dir(&layer).join("split"), b"no", "layer sha256:");
    with(&f.store.layer_dir(&layer).join("meta"), b"no", "layer sha256:");
    with(&f.store.layer_dir(&layer).join("layer.json"), b"no", "layer sha256:");
    with(&image.config_path(), b"{}", "configuration does not have its digest");
    with(&f.store.content_path(manifest.digest.strip_prefix("sha256:").unwrap()), b"[]", "document sha256:");
    assert!(verify(&f.store).1.is_empty());
    // An index is made again.
    std::fs::write(image.index_path(), b"no").unwrap();
    let (verified, damage) = verify(&f.store);
    assert!(verified.damaged == 1 && damage[0].ends_with("true"), "{damage:?}");
    assert!(verify(&f.store).1.is_empty());
    // What is damaged is not linked to any more, so that it can come again.
    std::fs::write(&body, [2; 3000]).unwrap();
    assert!(!verify(&f.store).1.is_empty());
    f.import(&tar(&[file("again", vec![1; 3000])]), "again:1").unwrap();
    assert_eq!(f.read(&f.index("again:1"), "again"), vec![1; 3000]);
    std::fs::remove_file(&body).unwrap();
    assert!(verify(&f.store).1[0].contains("file /b of layer"));
    std::fs::remove_dir_all(f.store.layer_dir(&layer)).unwrap();
    assert!(verify(&f.store).1[0].contains("it is missing"));
    assert_eq!(std::fs::read_dir(f.store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn sizes_are_right_to_the_byte() {
    let f = fixture();
    let id = f.import(&tar(&[file("a", vec![1; 1000]), file("b", vec![2; 24])]), "base:1").unwrap();
    let mut ids = Vec::new();
    for i in 0..3u8 {
        let top = tar(&[file("c", vec![i; 100 + usize::from(i)])]);
        let how = Derivation::default();
        ids.push(f.store.derive(Some(&id), Some(&mut &top[..]), &how, &mut |_| {}).unwrap());
    }
    f.import(&tar(&[file("x", vec![3; 7])]), "alone:1").unwrap();
    let usage = f.store.usage().unwrap();
    assert_eq!(usage.layers_size, 1024 + 100 + 101 + 102 + 7);
    let of = |id: &ImageId| usage.images.iter().find(|u| u.id == *id).map(|u| (u.size, u.shared, u.unique));
    assert_eq!(of(&id), Some((1024, 1024, 0)));
    for (i, id) in (0u64..).zip(&ids) {
        assert_eq!(of(id), Some((1124 + i, 1024, 100 + i)));
        assert_eq!(f.store.get(id).unwrap().size, 1124 + i);
    }
    assert_eq!(of(&f.store.resolve("alone:1").unwrap().id), Some((7, 0, 7)));
}

#[test]
fn a_base_that_many_images_have_is_there_once() {
    let f = fixture();
    let base: Vec<Item> = (0..300).map(|i| file(format!("f{i}"), format!("{i} ").repeat(50))).collect();
    let id = f.import(&tar(&base), "base:1").unwrap();
    let size = f.store.usage().unwrap().layers_size;
    let files = |f: &Fixture| f.files().keys().filter(|p| p.to_str().unwrap().contains("/b/")).count();
    let before = files(&f);
    for i in 0..100 {
        let own = format!("own {i:03}");
        let mut layer = &tar(&[file("own", own)])[..];
        f.store.derive(Some(&id), Some(&mut layer), &Derivation::default(), &mut |_| {}).unwrap();
    }
    assert_eq!(files(&f), before + 100);
    let usage = f.store.usage().unwrap();
    assert_eq!(usage.layers_size, size + 100 * 7);
    assert!(usage.images.iter().all(|u| u.shared == size && u.unique <= 7), "{usage:?}");
}

/// Ten thousand images whose files are not there: lists and names read none of them, and a change writes little.
#[test]
fn many_images_are_listed_from_the_journal_alone() {
    let f = fixture();
    let hex = |i: u64| format!("{i:064x}");
    let made = f.store.change(|repository| {
        for i in 0..10_000 {
            let summary = super::super::repository::Summary {
                created: Some(format!("2024-01-01T00:{:02}:{:02}Z", i / 60 % 60, i % 60)),
                labels: BTreeMap::from([("number".to_owned(), i.to_string())]),
            };
            let layers = (0..8).map(|l| hex(i / 100 + l)).collect();
            let entry = Entry { size: i, layers, summary: Some(summary), ..Entry::default() };
            repository.put_image(&hex(i), entry);
            repository.tag(format!("docker.io/library/app:{i}"), &hex(i));
        }
        Ok(())
    });
    made.unwrap();
    let start = std::time::Instant::now();
    let opened = Store { cached: Default::default(), ..f.store.clone() };
    let all = opened.summaries().unwrap();
    println!("read and listed in {:?}", start.elapsed());
    let start = std::time::Instant::now();
    assert_eq!(opened.summaries().unwrap(), all);
    println!("listed in {:?}", start.elapsed());
    assert_eq!(all.len(), 10_000);
    let one = all.iter().find(|s| s.id.hex() == hex(4321)).unwrap();
    assert_eq!((one.references.as_slice(), one.size), (&["app:4321".to_owned()][..], 4321));
    assert_eq!(one.labels["number"], "4321");
    let journal = f.store.root().join("repository");
    let before = std::fs::metadata(&journal).unwrap().len();
    let start = std::time::Instant::now();
    f.store.tag(&one.id, "another:1").unwrap();
    println!("tagged in {:?}", start.elapsed());
    assert!(std::fs::metadata(&journal).unwrap().len() - before < 2000);
}
