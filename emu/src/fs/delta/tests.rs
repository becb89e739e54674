//! Crashes and what docker diff says.

use crate::control::ChangeKind::{self, Added, Deleted, Modified};
use crate::fs::testing::*;
use crate::vfs::{CreateKind, RenameFlags, SetAttr, SuperBlock};

fn image() -> Vec<(&'static str, Thing)> {
    vec![
        ("/etc", Thing::Dir),
        ("/etc/passwd", Thing::File("root")),
        ("/etc/group", Thing::File("root")),
        ("/usr", Thing::Dir),
        ("/usr/lib", Thing::Dir),
        ("/usr/lib/x", Thing::File("x")),
        ("/usr/share", Thing::Dir),
    ]
}

fn changes(c: &Container) -> Vec<(String, ChangeKind)> {
    c.fs().changes().into_iter().map(|c| (String::from_utf8(c.path).unwrap(), c.kind)).collect()
}

fn list(pairs: &[(&str, ChangeKind)]) -> Vec<(String, ChangeKind)> {
    pairs.iter().map(|(p, k)| ((*p).to_owned(), *k)).collect()
}

#[test]
fn diff_is_dockers() {
    let mut c = Container::new(&image());
    let root = c.root();
    let etc = at(&root, "etc").unwrap();
    write(&at(&etc, "passwd").unwrap(), libc::O_APPEND, "+").unwrap();
    etc.unlink(b"group").unwrap();
    create(&etc, "new", CreateKind::Regular).unwrap();
    let dir = create(&root, "opt", CreateKind::Directory).unwrap();
    create(&dir, "y", CreateKind::Regular).unwrap();
    let want = [
        ("/etc", Modified),
        ("/etc/group", Deleted),
        ("/etc/new", Added),
        ("/etc/passwd", Modified),
        ("/opt", Added),
        ("/opt/y", Added),
    ];
    assert_eq!(changes(&c), list(&want));
    drop((root, etc, dir));
    c.reopen();
    assert_eq!(changes(&c), list(&want));
}

#[test]
fn diff_of_a_moved_directory_and_of_a_deep_change() {
    let c = Container::new(&image());
    let root = c.root();
    root.rename(b"usr", &root, b"moved", RenameFlags::empty()).unwrap();
    let x = at(&root, "moved/lib/x").unwrap();
    x.setattr(&SetAttr { mode: Some(0o600), ..SetAttr::default() }).unwrap();
    let want = [
        ("/moved", Added),
        ("/moved/lib", Added),
        ("/moved/lib/x", Added),
        ("/moved/share", Added),
        ("/usr", Deleted),
    ];
    assert_eq!(changes(&c), list(&want));
    let c = Container::new(&image());
    let x = at(&c.root(), "usr/lib/x").unwrap();
    x.setattr(&SetAttr { mode: Some(0o600), ..SetAttr::default() }).unwrap();
    assert_eq!(changes(&c), list(&[("/usr", Modified), ("/usr/lib", Modified), ("/usr/lib/x", Modified)]));
}

#[test]
fn a_directory_in_the_place_of_another_is_opaque() {
    let c = Container::new(&image());
    let etc = at(&c.root(), "etc").unwrap();
    etc.unlink(b"passwd").unwrap();
    etc.unlink(b"group").unwrap();
    c.root().rmdir(b"etc").unwrap();
    create(&c.root(), "etc", CreateKind::Directory).unwrap();
    let got = c.fs().changes();
    assert_eq!(got.len(), 1);
    assert!(got[0].is_opaque && got[0].path == b"/etc" && got[0].kind == Modified, "{got:?}");
}

#[test]
fn a_file_has_changed_under_all_its_names() {
    let mut things = image();
    things.push(("/usr/share/y", Thing::Link("/usr/lib/x")));
    let c = Container::new(&things);
    write(&at(&c.root(), "usr/lib/x").unwrap(), libc::O_APPEND, "+").unwrap();
    let paths: Vec<String> = changes(&c).into_iter().map(|(p, _)| p).collect();
    assert_eq!(paths, ["/usr", "/usr/lib", "/usr/lib/x", "/usr/share", "/usr/share/y"]);
}

#[test]
fn two_processes_cannot_have_it_open() {
    let c = Container::new(&image());
    let second = super::DeltaFs::open(
        crate::vfs::SbId(1),
        None,
        c.dir.path(),
        &c.dir.path().join("delta"),
        c.dir.path(),
        Default::default(),
    );
    assert_eq!(errno(second), libc::EBUSY);
}

/// Everything below a directory, as text.
fn listing(c: &Container) -> Vec<String> {
    fn walk(dir: &crate::vfs::InodeRef, path: &str, out: &mut Vec<String>) {
        for name in names(dir) {
            let inode = dir.lookup(name.as_bytes()).unwrap();
            let attr = inode.attr().unwrap();
            out.push(format!("{path}/{name} {} {:o} {}", attr.ino, attr.mode, attr.nlink));
            if inode.kind() == crate::vfs::Kind::Directory {
                walk(&inode, &format!("{path}/{name}"), out);
            }
        }
    }
    let mut out = Vec::new();
    walk(&c.root(), "", &mut out);
    out
}

#[test]
fn cut_at_every_byte_it_opens_as_it_was_after_some_operation() {
    let mut c = Container::new(&image());
    let path = c.dir.path().join("delta/journal");
    let mut states = vec![listing(&c)];
    let mut lengths = vec![std::fs::metadata(&path).unwrap().len()];
    let step = |c: &Container, states: &mut Vec<_>, lengths: &mut Vec<u64>| {
        c.fs().sync().unwrap();
        states.push(listing(c));
        lengths.push(std::fs::metadata(&path).unwrap().len());
    };
    let root = c.root();
    create(&root, "f", CreateKind::Regular).unwrap();
    step(&c, &mut states, &mut lengths);
    create(&root, "d", CreateKind::Directory).unwrap();
    step(&c, &mut states, &mut lengths);
    root.rename(b"f", &at(&root, "d").unwrap(), b"g", RenameFlags::empty()).unwrap();
    step(&c, &mut states, &mut lengths);
    root.rename(b"usr", &root, b"d", RenameFlags::EXCHANGE).unwrap();
    step(&c, &mut states, &mut lengths);
    at(&root, "etc").unwrap().unlink(b"group").unwrap();
    step(&c, &mut states, &mut lengths);
    root.link(b"l", &at(&root, "usr/g").unwrap()).unwrap();
    step(&c, &mut states, &mut lengths);
    drop(root);
    let whole = std::fs::read(&path).unwrap();
    for cut in (0..=whole.len()).rev() {
        c.close();
        std::fs::write(&path, &whole[..cut]).unwrap();
        c.reopen();
        let reached = lengths.iter().rposition(|len| *len <= cut as u64).unwrap_or(0);
        assert_eq!(listing(&c), states[reached], "cut at {cut}");
    }
}

#[test]
fn bodies_without_a_record_are_swept_and_missing_ones_do_no_harm() {
    let mut c = Container::new(&image());
    write(&at(&c.root(), "etc/passwd").unwrap(), libc::O_APPEND, "+").unwrap();
    let f = create(&c.root(), "f", CreateKind::Regular).unwrap();
    write(&f, 0, "f").unwrap();
    let b = c.fs().body_dir().to_owned();
    let f = {
        let handle = f;
        handle.ino()
    };
    c.close();
    std::fs::write(b.join("999999"), "stray").unwrap();
    std::fs::write(b.join("junk"), "stray").unwrap();
    std::fs::remove_file(b.join(f.to_string())).unwrap();
    assert_eq!(std::fs::read_dir(&b).unwrap().count(), 3);
    c.reopen();
    assert!(!b.join("999999").exists() && !b.join("junk").exists());
    assert_eq!(read(&at(&c.root(), "f").unwrap()), "");
    assert_eq!(read(&at(&c.root(), "etc/passwd").unwrap()), "root+");
}

#[test]
fn a_snapshot_replaces_a_long_journal() {
    let mut c = Container::new(&image());
    let path = c.dir.path().join("delta/journal");
    for i in 0..40_000u32 {
        let set = SetAttr { mode: Some(i & 0o777), ..SetAttr::default() };
        at(&c.root(), "etc/group").unwrap().setattr(&set).unwrap();
    }
    c.fs().compact().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 4 << 20);
    let set = SetAttr { mode: Some(0o123), ..SetAttr::default() };
    at(&c.root(), "etc/group").unwrap().setattr(&set).unwrap();
    c.reopen();
    assert_eq!(at(&c.root(), "etc/group").unwrap().attr().unwrap().mode & 0o777, 0o123);
}

#[test]
fn a_journal_of_another_version_is_refused() {
    let mut c = Container::new(&image());
    let path = c.dir.path().join("delta/journal");
    c.close();
    std::fs::write(&path, b"CARRACKJ\xff\0\0\0\0\0\0\0").unwrap();
    let second = super::DeltaFs::open(
        crate::vfs::SbId(1),
        None,
        c.dir.path(),
        &c.dir.path().join("delta"),
        c.dir.path(),
        Default::default(),
    );
    assert_eq!(errno(second), libc::EUCLEAN);
}
