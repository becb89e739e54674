use proptest::prelude::*;

use super::*;
use crate::layer::record::{NodeRecord, Reader, Record, Writer};
use crate::layer::tree::Tree;

fn node(path: &str, kind: FileKind, n: u64) -> NodeRecord {
    NodeRecord {
        path: path.into(),
        kind,
        mode: 0o4755,
        uid: 1000,
        gid: 100,
        mtime: Timespec { sec: -1, nsec: 5 },
        n,
        size: 77,
        rdev: 0x103,
        link: if kind == FileKind::Symlink { b"a/f".to_vec() } else { Vec::new() },
        xattrs: Vec::new(),
        object: None,
    }
}

fn sample() -> Vec<u8> {
    let mut f = node("a/f", FileKind::Regular, 2);
    f.xattrs = vec![(b"security.capability".to_vec(), vec![1, 2, 3]), (b"user.e".to_vec(), vec![])];
    let mut records = vec![
        Record::Node(Box::new(node("a", FileKind::Directory, 1))),
        Record::Node(Box::new(f)),
        Record::HardLink { path: b"h".to_vec(), target: b"a/f".to_vec() },
        Record::Node(Box::new(node("l", FileKind::Symlink, 3))),
        Record::Node(Box::new(node("null", FileKind::CharDevice, 4))),
        Record::Node(Box::new(node("b/c/d", FileKind::Fifo, 5))),
    ];
    for i in 0..20 {
        records.push(Record::Node(Box::new(node(&format!("many/{i}"), FileKind::Regular, 10 + i))));
    }
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    records.iter().for_each(|r| writer.add(r).unwrap());
    writer.finish().unwrap();
    let mut tree = Tree::new(None).unwrap();
    tree.apply(0, &mut Reader::new(&file[..]).unwrap()).unwrap();
    let mut bytes = Vec::new();
    write(&mut tree, &["ab".repeat(32)], None, &mut bytes).unwrap();
    bytes
}

fn path_of(index: &Index, ino: u64) -> String {
    match index.alias(ino) {
        None => String::new(),
        Some((dir, name)) => format!("{}/{}", path_of(index, dir), String::from_utf8_lossy(name)),
    }
}

#[test]
fn everything_is_found_again() {
    let index = Index::from_bytes(&sample()).unwrap();
    let a = index.lookup(Index::ROOT, b"a").unwrap();
    let f = index.lookup(a, b"f").unwrap();
    assert_eq!(index.lookup(Index::ROOT, b"h"), Some(f));
    assert_eq!(index.lookup(Index::ROOT, b"nothing"), None);
    assert_eq!(index.lookup(f, b"x"), None);
    assert_eq!(index.lookup(0, b"a"), None);
    assert_eq!(index.lookup(u64::MAX, b"a"), None);
    let inode = index.inode(f).unwrap();
    assert_eq!((inode.mode, inode.uid, inode.gid, inode.nlink), (0o104755, 1000, 100, 2));
    assert_eq!((inode.size, inode.mtime), (77, Timespec { sec: -1, nsec: 5 }));
    assert_eq!(inode.body, Some(Body { layer: 0, n: 2 }));
    assert_eq!(index.by_body(&"ab".repeat(32), 2), Some(f));
    assert_eq!(index.by_body(&"ab".repeat(32), 3), None);
    assert_eq!(index.by_body("x", 2), None);
    assert_eq!(inode.xattr(b"security.capability"), Some(&[1, 2, 3][..]));
    assert_eq!(inode.xattr(b"user.e"), Some(&[][..]));
    assert_eq!(inode.xattr(b"user.f"), None);
    assert_eq!(inode.xattrs().count(), 2);
    let l = index.inode(index.lookup(1, b"l").unwrap()).unwrap();
    assert_eq!((l.symlink, l.size, l.kind()), (Some(&b"a/f"[..]), 3, FileKind::Symlink));
    let null = index.inode(index.lookup(1, b"null").unwrap()).unwrap();
    assert_eq!((null.kind(), null.rdev), (FileKind::CharDevice, 0x103));
    let root = index.inode(Index::ROOT).unwrap();
    // ., .., and the .. of a, b and many.
    assert_eq!((root.nlink, root.kind()), (5, FileKind::Directory));
    let names: Vec<&[u8]> = (0..index.dir_len(1)).map(|i| index.dir_entry(1, i).unwrap().name).collect();
    assert_eq!(names, [&b"a"[..], b"b", b"h", b"l", b"many", b"null"]);
    assert_eq!(index.dir_entry(1, 6), None);
    for ino in 1..=index.max_ino() {
        assert!(index.inode(ino).is_some());
        let path = path_of(&index, ino);
        let found = path.split('/').filter(|c| !c.is_empty());
        assert_eq!(found.fold(1, |dir, name| index.lookup(dir, name.as_bytes()).unwrap()), ino, "{path}");
    }
    assert!(index.inode(index.max_ino() + 1).is_none());
    assert_eq!(index.alias(Index::ROOT), None);
}

#[test]
fn an_empty_image_has_a_root() {
    let mut bytes = Vec::new();
    write(&mut Tree::new(None).unwrap(), &[], None, &mut bytes).unwrap();
    let index = Index::from_bytes(&bytes).unwrap();
    assert_eq!((index.max_ino(), index.dir_len(1)), (1, 0));
}

#[test]
fn every_cut_is_refused() {
    let bytes = sample();
    for len in 0..bytes.len() {
        assert!(matches!(Index::from_bytes(&bytes[..len]), Err(Error::Corrupt(_))), "{len}");
    }
}

#[test]
fn a_file_is_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    std::fs::write(&path, sample()).unwrap();
    let index = Index::open(&path).unwrap();
    assert_eq!(index.max_ino(), Index::from_bytes(&sample()).unwrap().max_ino());
    std::fs::write(&path, b"").unwrap();
    assert!(Index::open(&path).is_err());
    assert!(Index::open(&dir.path().join("none")).is_err());
}

/// Walks over all of an index that was accepted: this must end and not panic.
fn walk(index: &Index) {
    let mut seen = 0;
    let mut todo = vec![Index::ROOT];
    while let Some(dir) = todo.pop() {
        for i in 0..index.dir_len(dir) {
            let e = index.dir_entry(dir, i).unwrap();
            assert_eq!(index.lookup(dir, e.name), Some(e.ino));
            seen += 1;
            assert!(seen < 10_000, "an endless tree");
            if e.kind == FileKind::Directory {
                todo.push(e.ino);
            }
        }
    }
    for ino in 0..=index.max_ino() + 1 {
        if let Some(inode) = index.inode(ino) {
            inode.xattrs().for_each(drop);
            path_of(index, ino);
            if let Some(body) = inode.body {
                assert_eq!(index.by_body(&index.layers()[body.layer as usize], body.n), Some(ino));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn changed_bytes_are_refused_or_harmless(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0), Just(1), Just(255)]), 1..5)
    ) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(index) = Index::from_bytes(&bytes) {
            walk(&index);
        }
    }
}
