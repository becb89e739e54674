//! Contexts, layers and copies, without a daemon.

use super::context::{Builder, Context};
use super::overlay::{At, Overlay};
use super::state::join_dir;
use super::transfer::{self, Item, Mode, Plan};
use super::tree::{Tree, read_small, resolve, sum};
use crate::engine::error::Result;
use carrack_images::build::ignore::Ignore;
use carrack_images::tar::open_archive;
use std::sync::Arc;
use tar::{EntryType, Header};

/// One entry of an archive: its kind by a letter, its name, mode, owner, and bytes or target.
type Row<'a> = (char, &'a str, u32, u64, &'a str);

fn archive(rows: &[Row<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (kind, name, mode, owner, text) in rows {
        let mut header = Header::new_gnu();
        header.set_entry_type(match kind {
            'd' => EntryType::Directory,
            'l' => EntryType::Symlink,
            'h' => EntryType::Link,
            _ => EntryType::Regular,
        });
        header.set_mode(*mode);
        header.set_uid(*owner);
        header.set_gid(*owner);
        header.set_mtime(1_000_000);
        // Names that `tar` would not write.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let mut bytes = text.as_bytes();
        if matches!(kind, 'l' | 'h') {
            header.set_link_name_literal(text).unwrap();
            bytes = b"";
        }
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn read(bytes: &[u8]) -> Result<Builder> {
    let mut builder = Builder::new(&std::env::temp_dir())?;
    builder.read(&mut open_archive(bytes).unwrap().unwrap())?;
    Ok(builder)
}

fn tree(rows: &[Row<'_>]) -> Arc<dyn Tree> {
    Arc::new(read(&archive(rows)).unwrap().finish())
}

/// Everything in a tree: name, mode, owner, and bytes or target.
fn listing(tree: &dyn Tree) -> Vec<String> {
    let mut lines = Vec::new();
    let mut stack = vec![(String::new(), tree.root())];
    while let Some((path, node)) = stack.pop() {
        let meta = tree.meta(node).unwrap();
        if !path.is_empty() {
            let mut text = String::from_utf8_lossy(&meta.link).into_owned();
            if meta.kind == carrack_images::FileKind::Regular {
                std::io::Read::read_to_string(&mut tree.open(node).unwrap(), &mut text).unwrap();
            }
            lines.push(
                format!("{path} {:o} {}:{} {text}", meta.mode, meta.uid, meta.gid).trim_end().to_owned(),
            );
        }
        for (name, child) in tree.entries(node) {
            stack.push((format!("{path}/{}", String::from_utf8_lossy(&name)), child));
        }
    }
    lines.sort();
    lines
}

fn plan(items: Vec<Item>, destination: &str) -> Plan {
    Plan {
        items,
        destination: destination.into(),
        work_dir: "/w".into(),
        owner: None,
        preserve: false,
        mode: None,
        exclude: Ignore::default(),
        is_linked: false,
        scratch: std::env::temp_dir(),
        now: 7,
    }
}

/// The layer's archive, read again.
fn written(overlay: &Overlay) -> Context {
    let mut bytes = Vec::new();
    overlay.write(&mut bytes).unwrap();
    read(&bytes).unwrap().finish()
}

fn copied(tree: &Arc<dyn Tree>, base: &Arc<dyn Tree>, sources: &[&str], destination: &str) -> Vec<String> {
    let items = sources.iter().flat_map(|s| transfer::find(tree, s, false, true).unwrap()).collect();
    listing(&written(&plan(items, destination).layer(Some(base.clone())).unwrap()))
}

#[test]
fn hostile_archives_are_refused() {
    let refused = |rows: &[Row<'_>]| read(&archive(rows)).unwrap_err().message;
    assert!(refused(&[('f', "../x", 0o644, 0, "")]).contains("outside"));
    assert!(refused(&[('f', "a/../../x", 0o644, 0, "")]).contains("outside"));
    assert!(refused(&[('l', "l", 0o777, 0, "/etc"), ('f', "l/x", 0o644, 0, "")]).contains("no directory"));
    assert!(refused(&[('h', "h", 0o644, 0, "/etc/passwd")]).contains("hard link to nothing"));
    assert!(
        refused(&[('f', "f", 0o644, 0, ""), ('h', "h", 0o644, 0, "../f")]).contains("hard link to nothing")
    );
    assert!(refused(&[('d', "d", 0o755, 0, ""), ('h', "h", 0o644, 0, "d")]).contains("hard link to nothing"));
    let cut = archive(&[('f', "f", 0o644, 0, "some bytes that are missing")]);
    assert!(read(&cut[..520]).is_err());
    // Absolute names are names below the root; the last of several entries counts.
    let tree = tree(&[('f', "/a/b", 0o644, 0, "1"), ('f', "a/b", 0o600, 0, "2"), ('d', "a", 0o700, 0, "")]);
    assert_eq!(listing(&*tree), ["/a 700 0:0", "/a/b 600 0:0 2"]);
}

#[test]
fn paths_are_followed_and_never_leave_the_tree() {
    let tree = tree(&[
        ('f', "d/f", 0o644, 0, "x"),
        ('l', "up", 0o777, 0, "../../../d"),
        ('l', "abs", 0o777, 0, "/d/f"),
        ('l', "out", 0o777, 0, "/etc/passwd"),
        ('l', "loop", 0o777, 0, "loop"),
    ]);
    for path in ["d/f", "up/f", "/abs", "../../d/f", "d/../abs", "./up/./f"] {
        assert_eq!(read_small(&*tree, path.as_bytes(), 10).unwrap().as_deref(), Some(&b"x"[..]), "{path}");
    }
    assert!(resolve(&*tree, b"out", true).unwrap().is_none());
    assert!(resolve(&*tree, b"loop", true).is_err());
    assert!(read_small(&*tree, b"d/f", 0).is_err());
    let bad = |source: &str| transfer::find(&tree, source, false, true).unwrap_err().message;
    assert_eq!(bad("../x"), "forbidden path outside the build context: ../x ()");
    assert_eq!(bad("d/../../x"), "forbidden path outside the build context: d/../../x ()");
    assert!(bad("out").contains("stat out: file does not exist"));
    assert_eq!(bad("*.c"), "no source files were specified");
}

#[test]
fn copies_go_where_docker_puts_them() {
    let base = tree(&[
        ('d', "w", 0o755, 0, ""),
        ('d', "real", 0o750, 5, ""),
        ('f', "real/old", 0o644, 5, "old"),
        ('l', "link", 0o777, 0, "real"),
        ('f', "file", 0o644, 0, "file"),
    ]);
    let context = tree(&[
        ('f', "a", 0o640, 9, "a"),
        ('f', "d/x", 0o644, 9, "x"),
        ('f', "d/sub/y", 0o600, 9, "y"),
        ('l', "d/l", 0o777, 9, "x"),
        ('l', "la", 0o777, 9, "a"),
    ]);
    assert_eq!(copied(&context, &base, &["a"], "/new"), ["/new 640 0:0 a"]);
    assert_eq!(
        copied(&context, &base, &["a"], "new/"),
        ["/w 755 0:0", "/w/new 755 0:0", "/w/new/a 640 0:0 a"]
    );
    assert_eq!(copied(&context, &base, &["a"], "/real"), ["/real 755 0:0", "/real/a 640 0:0 a"]);
    assert_eq!(copied(&context, &base, &["la"], "/link/"), ["/real 755 0:0", "/real/la 640 0:0 a"]);
    assert_eq!(copied(&context, &base, &["a"], "/file"), ["/file 640 0:0 a"]);
    assert_eq!(
        copied(&context, &base, &["d"], "/p/q"),
        [
            "/p 755 0:0",
            "/p/q 755 0:0",
            "/p/q/l 777 0:0 x",
            "/p/q/sub 755 0:0",
            "/p/q/sub/y 600 0:0 y",
            "/p/q/x 644 0:0 x"
        ]
    );
    let items = transfer::find(&context, "a", false, true).unwrap();
    assert!(
        plan(items, "/file/x").layer(Some(base.clone())).unwrap_err().message.contains("not a directory")
    );
    // Owner, mode, exclusion, a base that does not matter.
    let items = transfer::find(&context, "d", false, true).unwrap();
    let plan = Plan {
        owner: Some((3, 4)),
        mode: Some(Mode::parse("u=rwX,go=").unwrap()),
        exclude: Ignore::of(["sub"]).unwrap(),
        is_linked: true,
        ..plan(items, "/link")
    };
    assert_eq!(
        listing(&written(&plan.layer(Some(base)).unwrap())),
        ["/link 755 3:4", "/link/l 777 3:4 x", "/link/x 600 3:4 x"]
    );
}

#[test]
fn parents_are_kept_from_the_pivot_on() {
    let context = tree(&[('f', "a/b/c", 0o644, 0, "c"), ('f', "a/b/d/e", 0o644, 0, "e")]);
    let copied = |source: &str| {
        let items = transfer::find(&context, source, true, true).unwrap();
        let all = listing(&written(&plan(items, "/t/").layer(None).unwrap()));
        all.into_iter().filter(|l| !l.contains(" 755 ")).collect::<Vec<_>>()
    };
    assert_eq!(copied("a/b/c"), ["/t/a/b/c 644 0:0 c"]);
    assert_eq!(copied("a/./b/c"), ["/t/b/c 644 0:0 c"]);
    assert_eq!(copied("a/*/d"), ["/t/a/b/d/e 644 0:0 e"]);
    assert_eq!(copied("**/e"), ["/t/a/b/d/e 644 0:0 e"]);
}

#[test]
fn what_is_replaced_makes_way() {
    let base = tree(&[('f', "d/old", 0o644, 0, "old"), ('f', "f", 0o644, 0, "f")]);
    let mut overlay = Overlay::new(Some(base.clone()), 0);
    let names = |path: &str| path.split('/').map(|p| p.as_bytes().to_vec()).collect::<Vec<_>>();
    let file = base.meta(resolve(&*base, b"f", true).unwrap().unwrap().node).unwrap();
    assert_eq!(overlay.at(&names("d/old")).unwrap(), At::Other);
    overlay.put_file(&names("d"), file.clone(), None).unwrap();
    assert_eq!(overlay.at(&names("d/old")).unwrap(), At::Nothing);
    assert!(overlay.make_dirs(&names("d/x"), (0, 0)).is_err());
    overlay.put_dir(&names("f"), super::overlay::plain_directory()).unwrap();
    overlay.make_dirs(&names("f/x"), (0, 0)).unwrap();
    assert_eq!(overlay.at(&names("f/x")).unwrap(), At::Directory);
    assert!(overlay.put_file(&names(".wh.x"), file, None).is_err());
}

#[test]
fn sums_see_everything_but_times() {
    let of = |rows: &[Row<'_>]| {
        let tree = tree(rows);
        sum(&*tree, tree.root(), &Ignore::default()).unwrap()
    };
    let one = of(&[('f', "a", 0o644, 0, "x")]);
    assert_eq!(one, of(&[('f', "a", 0o644, 0, "x")]));
    for other in [
        ('f', "b", 0o644, 0, "x"),
        ('f', "a", 0o600, 0, "x"),
        ('f', "a", 0o644, 1, "x"),
        ('f', "a", 0o644, 0, "y"),
        ('l', "a", 0o644, 0, "x"),
    ] {
        assert_ne!(one, of(&[other]), "{other:?}");
    }
    let tree = tree(&[('f', "a", 0o644, 0, "x"), ('f', "skip/b", 0o644, 0, "y")]);
    let ignored = sum(&*tree, tree.root(), &Ignore::of(["skip"]).unwrap()).unwrap();
    assert_ne!(ignored, sum(&*tree, tree.root(), &Ignore::default()).unwrap());
}

#[test]
fn ignored_files_go_and_exceptions_stay() {
    let mut builder = read(&archive(&[
        ('f', "a.log", 0o644, 0, ""),
        ('f', "out/keep/x", 0o644, 0, ""),
        ('f', "out/drop/y", 0o644, 0, ""),
        ('f', "src/z.o", 0o644, 0, ""),
    ]))
    .unwrap();
    builder.leave_out(&Ignore::parse("*.log\nout\n!out/keep\n**/*.o\n").unwrap());
    let names: Vec<String> =
        listing(builder.tree()).into_iter().map(|l| l.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["/out", "/out/keep", "/out/keep/x", "/src"]);
}

#[test]
fn modes_owners_and_directories() {
    let mode = |text: &str, old, is_dir| Mode::parse(text).unwrap().apply(old, is_dir);
    assert_eq!(mode("0755", 0o600, false), 0o755);
    assert_eq!(mode("u+x,go-rwx", 0o644, false), 0o700);
    assert_eq!(mode("a=rX", 0o600, true), 0o555);
    assert_eq!(mode("a=rX", 0o600, false), 0o444);
    assert_eq!(mode("+x", 0o644, false), 0o755);
    for bad in ["9", "77777", "u", "z+x", "u+q"] {
        assert!(Mode::parse(bad).is_err(), "{bad}");
    }
    let image = tree(&[
        ('f', "etc/passwd", 0o644, 0, "root:x:0:0::/:\nme:x:12:34::/:\n"),
        ('f', "etc/group", 0o644, 0, "me:x:56:\nstaff:x:7:\n"),
    ]);
    let owner = |text: &str| transfer::owner(text, Some(&*image));
    assert_eq!(owner("me").unwrap(), (12, 56));
    assert_eq!(owner("me:staff").unwrap(), (12, 7));
    assert_eq!(owner("5").unwrap(), (5, 5));
    assert_eq!(owner("5:staff").unwrap(), (5, 7));
    assert!(owner("you").unwrap_err().message.contains("no such user: you"));
    for bad in ["", ":", "a:", "1:2:3"] {
        assert!(owner(bad).is_err(), "{bad}");
    }
    assert_eq!(join_dir("/a/b", "../c"), "/a/c");
    assert_eq!(join_dir("", "x/./y"), "/x/y");
    assert_eq!(join_dir("/a", "/x"), "/x");
}
