use super::*;
use crate::Index;
use crate::layer::record::Writer;

fn node(path: &str, kind: FileKind, n: u64) -> Record {
    Record::Node(Box::new(NodeRecord {
        path: path.into(),
        kind,
        mode: 0o700,
        uid: 5,
        gid: 6,
        mtime: Timespec { sec: 9, nsec: 0 },
        n,
        size: 1,
        rdev: 0,
        link: Vec::new(),
        xattrs: Vec::new(),
        object: None,
    }))
}

fn file(path: &str, n: u64) -> Record {
    node(path, FileKind::Regular, n)
}

fn dir(path: &str) -> Record {
    node(path, FileKind::Directory, 999)
}

fn link(path: &str, target: &str) -> Record {
    match node(path, FileKind::Symlink, 998) {
        Record::Node(mut n) => {
            n.link = target.into();
            Record::Node(n)
        }
        other => other,
    }
}

fn hard(path: &str, target: &str) -> Record {
    Record::HardLink { path: path.into(), target: target.into() }
}

fn whiteout(path: &str) -> Record {
    Record::Whiteout { path: path.into() }
}

fn opaque(dir: &str) -> Record {
    Record::Opaque { dir: dir.into() }
}

/// Paths of the merged image: `name=layer.n` for files, `name/` for directories, `name>target` for symlinks.
fn merged(layers: &[&[Record]]) -> Result<Vec<String>, Error> {
    let mut tree = Tree::new(None).unwrap();
    for (i, records) in layers.iter().enumerate() {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file).unwrap();
        records.iter().for_each(|r| writer.add(r).unwrap());
        writer.finish().unwrap();
        tree.apply(i as u32, &mut Reader::new(&file[..])?)?;
    }
    let digests: Vec<String> = (0..layers.len()).map(|i| format!("{i:064x}")).collect();
    let mut bytes = Vec::new();
    crate::index::write(&mut tree, &digests, None, &mut bytes)?;
    let index = Index::from_bytes(&bytes).expect("what is built is sound");
    let mut lines = Vec::new();
    let mut todo = vec![(Index::ROOT, String::new())];
    while let Some((dir, path)) = todo.pop() {
        for i in 0..index.dir_len(dir) {
            let e = index.dir_entry(dir, i).unwrap();
            let inode = index.inode(e.ino).unwrap();
            let name = format!("{path}{}", String::from_utf8_lossy(e.name));
            match (inode.kind(), inode.symlink, inode.body) {
                (FileKind::Directory, ..) => {
                    lines.push(format!("{name}/"));
                    todo.push((e.ino, format!("{name}/")));
                }
                (_, Some(target), _) => lines.push(format!("{name}>{}", String::from_utf8_lossy(target))),
                (_, _, Some(body)) => {
                    assert_eq!(index.by_body(&digests[body.layer as usize], body.n), Some(e.ino));
                    lines.push(format!("{name}={}.{}", body.layer, body.n));
                }
                _ => lines.push(name),
            }
        }
    }
    lines.sort();
    Ok(lines)
}

#[track_caller]
fn check(layers: &[&[Record]], wanted: &str) {
    assert_eq!(merged(layers).unwrap().join(" "), wanted);
}

#[test]
fn one_layer() {
    check(&[&[file("a", 1), dir("d"), file("d/b", 2)]], "a=0.1 d/ d/b=0.2");
    check(&[&[file("x/y/z", 1)]], "x/ x/y/ x/y/z=0.1");
    check(&[&[file("a", 1), file("a", 2)]], "a=0.2");
    check(&[&[file("a", 1), dir("a"), file("a/b", 2)]], "a/ a/b=0.2");
    check(&[&[file("d/a", 1), dir("d")]], "d/ d/a=0.1");
    check(&[&[file("d/a", 1), file("d", 2)]], "d=0.2");
}

#[test]
fn symlinks_in_the_way_are_followed_within_the_root() {
    check(
        &[&[dir("usr/lib"), link("lib", "usr/lib"), file("lib/x", 1)]],
        "lib>usr/lib usr/ usr/lib/ usr/lib/x=0.1",
    );
    check(&[&[link("l", "/etc"), file("l/passwd", 1)]], "etc/ etc/passwd=0.1 l>/etc");
    check(&[&[link("l", "../../.."), file("l/passwd", 1)]], "l>../../.. passwd=0.1");
    check(&[&[dir("a"), link("a/l", "../b"), file("a/l/x", 1)]], "a/ a/l>../b b/ b/x=0.1");
    assert!(merged(&[&[link("a", "b"), link("b", "a"), file("a/x", 1)]]).is_err());
    assert!(merged(&[&[file("a", 1), file("a/x", 2)]]).is_err());
    // A lower layer's symlink is not there when a layer is unpacked by itself, as in Docker.
    check(&[&[link("l", "etc")], &[file("l/x", 1)]], "l/ l/x=1.1");
}

#[test]
fn hard_links() {
    check(&[&[file("a", 1), hard("b", "a"), file("a", 2)]], "a=0.2 b=0.1");
    check(&[&[file("a", 1)], &[hard("b", "a")]], "a=0.1 b=0.1");
    check(&[&[dir("d"), link("l", "d"), file("d/a", 1), hard("b", "l/a")]], "b=0.1 d/ d/a=0.1 l>d");
    check(&[&[link("l", "x"), hard("m", "l")]], "l>x m>x");
    for bad in [hard("b", "a"), hard("b", "d"), hard("b", "d/../../x")] {
        let e = merged(&[&[dir("d"), bad]]).unwrap_err();
        assert!(matches!(e, Error::InvalidTar(_)), "{e}");
    }
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_else() {
    check(&[&[file("a", 1), file("b", 2)], &[whiteout("a")]], "b=0.2");
    check(&[&[file("a", 1)], &[whiteout("a"), file("a", 1)]], "a=1.1");
    check(&[&[file("a", 1)], &[file("a", 1), whiteout("a")]], "a=1.1");
    check(&[&[file("d/a", 1), file("d/b", 2)], &[whiteout("d/a")]], "d/ d/b=0.2");
    check(&[&[file("d/a", 1)], &[whiteout("d")]], "");
    check(&[&[file("d/a", 1)], &[opaque("d"), file("d/n", 1)]], "d/ d/n=1.1");
    check(&[&[file("d/a", 1)], &[file("d/n", 1), opaque("d")]], "d/ d/n=1.1");
    check(&[&[file("a", 1)], &[opaque("")]], "");
    check(&[&[], &[whiteout("nothing")]], "");
    check(&[&[file("d/a", 1)], &[whiteout("d"), file("d/b", 1)]], "d/ d/b=1.1");
}

#[test]
fn directories_merge_and_files_replace() {
    check(&[&[file("d/a", 1)], &[file("d/b", 1)]], "d/ d/a=0.1 d/b=1.1");
    check(&[&[file("d/a", 1)], &[file("d", 1)]], "d=1.1");
    check(&[&[file("d", 1)], &[file("d/a", 1)]], "d/ d/a=1.1");
    check(&[&[link("d", "e"), dir("e")], &[dir("d")]], "d/ e/");
    check(&[&[dir("d")], &[link("d", "e")]], "d>e");
}

#[test]
fn a_layer_that_comes_twice_is_one_layer() {
    let base = [file("a", 1)];
    let mut tree = Tree::new(None).unwrap();
    let mut apply = |layer, records: &[Record]| {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file).unwrap();
        records.iter().for_each(|r| writer.add(r).unwrap());
        writer.finish().unwrap();
        tree.apply(layer, &mut Reader::new(&file[..]).unwrap()).unwrap();
    };
    apply(0, &base);
    apply(1, &[hard("b", "a")]);
    apply(0, &base);
    tree.set_repeated_layers();
    let mut bytes = Vec::new();
    crate::index::write(&mut tree, &["0".repeat(64), "1".repeat(64)], None, &mut bytes).unwrap();
    let index = Index::from_bytes(&bytes).unwrap();
    let a = index.lookup(1, b"a").unwrap();
    assert_eq!(index.lookup(1, b"b"), Some(a));
    assert_eq!(index.inode(a).unwrap().nlink, 2);
}

#[test]
fn attributes_of_directories() {
    let mut tree = Tree::new(None).unwrap();
    let mut apply = |records: &[Record]| {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file).unwrap();
        records.iter().for_each(|r| writer.add(r).unwrap());
        writer.finish().unwrap();
        tree.apply(0, &mut Reader::new(&file[..]).unwrap()).unwrap();
    };
    apply(&[dir("d"), file("implied/x", 1)]);
    apply(&[file("d/new", 1), dir("")]);
    let id = |name: &[u8]| tree.child(tree.root(), name).unwrap();
    // A directory that a layer only passes through keeps what it is.
    assert_eq!((tree.node(id(b"d")).mode & 0o7777, tree.node(id(b"d")).uid), (0o700, 5));
    assert_eq!((tree.node(id(b"implied")).mode & 0o7777, tree.node(id(b"implied")).uid), (0o755, 0));
    // The root's mode is not the archive's to say.
    assert_eq!((tree.node(tree.root()).mode & 0o7777, tree.node(tree.root()).mtime_sec), (0o755, 9));
}

#[test]
fn deep_trees_do_not_recurse() {
    let path = vec!["d"; 2000].join("/");
    assert_eq!(merged(&[&[file(&path, 1)], &[file(&path, 1)]]).unwrap().len(), 2000);
}

/// A tree that is kept in files gives the same index as one in memory, whatever is done to it.
#[test]
fn big_trees_are_the_same_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let first: Vec<Record> = (0..20_000).map(|i| file(&format!("d{}/some name {i}", i % 700), i)).collect();
    let mut second: Vec<Record> = (0..700).step_by(3).map(|i| opaque(&format!("d{i}"))).collect();
    second.extend((0..20_000).step_by(7).map(|i| whiteout(&format!("d{}/some name {i}", i % 700))));
    second.extend((0..20_000).step_by(5).map(|i| file(&format!("d{}/some name {i}", i % 700), i)));
    let index = |scratch: Option<&Path>| {
        let mut tree = Tree::new(scratch).unwrap();
        for (layer, records) in [(0, &first), (1, &second), (0, &first)] {
            let mut file = Vec::new();
            let mut writer = Writer::new(&mut file).unwrap();
            records.iter().for_each(|r| writer.add(r).unwrap());
            writer.finish().unwrap();
            tree.apply(layer, &mut Reader::new(&file[..]).unwrap()).unwrap();
        }
        tree.set_repeated_layers();
        let mut bytes = Vec::new();
        let digests = ["0".repeat(64), "1".repeat(64)];
        crate::index::write(&mut tree, &digests, scratch, &mut bytes).unwrap();
        bytes
    };
    let bytes = index(Some(dir.path()));
    assert!(bytes == index(None));
    let index = Index::from_bytes(&bytes).unwrap();
    assert_eq!(index.dir_len(1), 700);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
