mod ingest;
mod verify;

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::testing::{Item, dir, file, hard_link, item, symlink, tar};
use crate::{ErrorKind, FileKind};

struct Fixture {
    // Beside the store is a canary that nothing may touch.
    dir: tempfile::TempDir,
    store: Store,
}

fn fixture() -> Fixture {
    // In memory where that is possible: each commit waits for the disk otherwise.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    std::fs::write(dir.path().join("canary"), "alive").unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    Fixture { dir, store }
}

impl Fixture {
    fn import(&self, archive: &[u8], name: &str) -> Result<ImageId, Error> {
        let reference = (!name.is_empty()).then(|| name.to_owned());
        let options = ImportOptions { reference, ..ImportOptions::default() };
        self.store.import(archive, &options, &mut |_| {})
    }

    fn load(&self, archive: &[u8]) -> Result<Vec<LoadedImage>, Error> {
        self.store.load(archive, &mut |_| {})
    }

    fn index(&self, name: &str) -> Index {
        self.store.open_index(&self.store.resolve(name).unwrap()).unwrap()
    }

    /// Every file of the store and beside it, with its size.
    fn files(&self) -> BTreeMap<PathBuf, u64> {
        let mut files = BTreeMap::new();
        let mut todo = vec![self.dir.path().to_owned()];
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let meta = entry.metadata().unwrap();
                if meta.is_dir() {
                    todo.push(entry.path());
                } else if entry.file_name() != "lock" {
                    files.insert(entry.path(), meta.len());
                }
            }
        }
        files
    }

    fn read(&self, index: &Index, path: &str) -> Vec<u8> {
        let ino = at(index, path);
        let body = index.inode(ino).unwrap().body.unwrap();
        std::fs::read(self.store.body_path(&index.layers()[body.layer as usize], body.n)).unwrap()
    }
}

fn at(index: &Index, path: &str) -> u64 {
    try_at(index, path).unwrap_or_else(|| panic!("{path} is not there"))
}

fn try_at(index: &Index, path: &str) -> Option<u64> {
    let names = path.split('/').filter(|c| !c.is_empty());
    names.into_iter().try_fold(1, |dir, name| index.lookup(dir, name.as_bytes()))
}

fn unused(_: &ImageId) -> Option<String> {
    None
}

#[test]
fn an_import_has_everything_the_archive_says() {
    let f = fixture();
    let xattr = ("SCHILY.xattr.security.capability".to_owned(), vec![1, 0, 0, 2]);
    let archive = tar(&[
        dir("./"),
        dir("etc/"),
        Item { owner: (7, 8), mode: 0o4711, pax: vec![xattr], ..file("etc/a", "hello") },
        hard_link("b", "etc/a"),
        symlink("l", "/etc/a"),
        Item { device: (1, 3), mode: 0o666, ..item("dev/null", b'3') },
        item("fifo", b'6'),
        file("empty", ""),
    ]);
    let id = f.import(&archive, "debian:12").unwrap();
    let image = f.store.resolve("debian:12").unwrap();
    assert_eq!(image.id, id);
    assert_eq!(image.references, ["debian:12"]);
    assert_eq!(image.size, 5);
    assert_eq!(image.layers, [format!("sha256:{}", hex::encode(Sha256::digest(&archive)))]);
    assert_eq!(image.history[0].comment, "Imported from -");
    assert_eq!((image.config.os.as_str(), image.config.architecture.is_empty()), ("linux", false));
    assert!(image.created.is_some() && image.last_tagged.is_some());
    let index = f.index("debian:12");
    let a = index.inode(at(&index, "etc/a")).unwrap();
    assert_eq!((a.mode, a.uid, a.gid, a.nlink, a.size), (0o104711, 7, 8, 2, 5));
    assert_eq!(a.xattr(b"security.capability"), Some(&[1, 0, 0, 2][..]));
    assert_eq!(at(&index, "b"), a.ino);
    assert_eq!(f.read(&index, "b"), b"hello");
    assert_eq!(f.read(&index, "empty"), b"");
    assert_eq!(index.inode(at(&index, "l")).unwrap().symlink, Some(&b"/etc/a"[..]));
    let null = index.inode(at(&index, "dev/null")).unwrap();
    assert_eq!((null.mode, null.rdev), (0o020666, 0x103));
    assert_eq!(index.inode(at(&index, "dev")).unwrap().mode, 0o040755);
    assert_eq!(index.inode(at(&index, "fifo")).unwrap().kind(), FileKind::Fifo);
    let body = f.store.body_path(image.layer_hexes().next().unwrap(), a.body.unwrap().n);
    assert!(body.starts_with(f.store.root()));
    assert_eq!(std::fs::metadata(body).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn options_make_the_configuration() {
    let f = fixture();
    let options = ImportOptions {
        changes: vec!["CMD [\"sh\"]".into(), "ENV A=1".into(), "EXPOSE 80".into()],
        message: Some("mine".into()),
        platform: Some("linux/arm64/v8".into()),
        reference: None,
        created: Some(OffsetDateTime::UNIX_EPOCH),
    };
    let empty = tar(&[]);
    let id = f.store.import(&empty[..], &options, &mut |_| {}).unwrap();
    let image = f.store.resolve(id.short()).unwrap();
    assert_eq!(image.config.config.cmd, Some(vec!["sh".to_owned()]));
    assert_eq!(image.config.config.env, ["A=1"]);
    assert_eq!(image.config.config.exposed_ports, ["80/tcp"]);
    assert_eq!((&*image.config.architecture, &*image.config.variant), ("arm64", "v8"));
    assert_eq!(image.history[0].comment, "mine");
    assert!(image.is_dangling());
    // The same again is the same image.
    assert_eq!(f.store.import(&empty[..], &options, &mut |_| {}).unwrap(), id);
    assert_eq!(f.store.list().unwrap().len(), 1);
    for (change, platform) in [("RUN x", None), ("CMD x", Some("a/b/c/d")), ("CMD x", Some("linux/"))] {
        let options = ImportOptions {
            changes: vec![change.into()],
            platform: platform.map(str::to_owned),
            ..ImportOptions::default()
        };
        let error = f.store.import(&empty[..], &options, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[test]
fn compressed_archives_are_the_same_layer() {
    let f = fixture();
    let archive = tar(&[file("a", vec![3; 100_000])]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&archive[..], 1).unwrap();
    f.import(&archive, "a:tar").unwrap();
    f.import(&gzip, "a:gzip").unwrap();
    f.import(&zstd, "a:zstd").unwrap();
    let layers = |name: &str| f.store.resolve(name).unwrap().layers;
    assert_eq!(layers("a:tar"), layers("a:gzip"));
    assert_eq!(layers("a:tar"), layers("a:zstd"));
    assert_eq!(std::fs::read_dir(f.store.root().join("layers")).unwrap().count(), 1);
    for bad in [&gzip[..gzip.len() / 2], &zstd[..zstd.len() / 2], b"\xfd7zXZ\0......", b"BZh91AY&SY"] {
        let error = f.import(bad, "a:bad").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported), "{error}");
    }
}

#[test]
fn hostile_names_stay_inside() {
    let f = fixture();
    let before = f.files();
    let archive = tar(&[
        file("/abs", "1"),
        file("../../../canary", "2"),
        file("a/../../../up", "3"),
        symlink("out", "/../../.."),
        file("out/canary", "4"),
        symlink("etc", f.dir.path().to_str().unwrap()),
        file("etc/canary", "5"),
        hard_link("h", "../../abs"),
        file("dup", "6"),
        file("./dup", "7"),
        file("x/.wh.gone", ""),
        dir("x/.wh..wh..opq"),
        file(".wh..wh.plnk/1.2", "aufs"),
    ]);
    f.import(&archive, "hostile").unwrap();
    let index = f.index("hostile");
    assert_eq!(f.read(&index, "abs"), b"1");
    assert_eq!(f.read(&index, "canary"), b"4");
    assert_eq!(f.read(&index, "up"), b"3");
    assert_eq!(f.read(&index, "dup"), b"7");
    assert_eq!(at(&index, "h"), at(&index, "abs"));
    let beside = f.dir.path().to_str().unwrap();
    assert_eq!(f.read(&index, &format!("{beside}/canary")), b"5");
    assert_eq!(try_at(&index, ".wh..wh.plnk"), None);
    assert_eq!(index.dir_len(at(&index, "x")), 0);
    assert_eq!(std::fs::read(f.dir.path().join("canary")).unwrap(), b"alive");
    let outside = |files: &BTreeMap<PathBuf, u64>| -> Vec<PathBuf> {
        files.keys().filter(|p| !p.starts_with(f.store.root())).cloned().collect()
    };
    assert_eq!(outside(&f.files()), outside(&before));
}

#[test]
fn what_is_no_layer_is_refused_and_leaves_nothing() {
    let f = fixture();
    f.import(&tar(&[file("a", "1")]), "good").unwrap();
    let before = f.files();
    let long = "n".repeat(256);
    let deep = "d/".repeat(2100);
    let good = [file("new1", "new data 1"), file("new2", vec![9; 3 << 20])];
    let bad: Vec<Item> = vec![
        file(&long, ""),
        file(&deep, ""),
        hard_link("h", "nothing"),
        hard_link("h", "../"),
        symlink("l", ""),
        file("new1/below", ""),
        file(".wh.", ""),
        file(".wh...", ""),
        file(".", "the root is no file"),
        Item { device: (1 << 12, 0), ..item("dev", b'3') },
        Item { pax: vec![("uid".into(), b"4294967295".to_vec())], ..file("u", "") },
        Item { pax: vec![("uid".into(), b"-1".to_vec())], ..file("u", "") },
        Item { pax: vec![("path".into(), b"a\0b".to_vec())], ..file("u", "") },
        Item { pax: vec![("SCHILY.xattr.user.x".into(), vec![0; 70_000])], ..file("u", "") },
        Item { pax: vec![(format!("SCHILY.xattr.{long}"), vec![0])], ..file("u", "") },
        item("q", b'?'),
    ];
    for item in bad {
        let mut items = good.to_vec();
        items.push(item.clone());
        let error = f.import(&tar(&items), "bad").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(f.files(), before, "after {error}");
    }
    let archive = tar(&good);
    for cut in [100, 515, 5000, archive.len() - 2000] {
        let error = f.import(&archive[..cut], "bad").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    f.import(b"this is a text, and not an archive", "bad").unwrap_err();
    f.import(&[b'x'; 2000], "bad").unwrap_err();
    assert_eq!(f.files(), before);
    assert!(matches!(f.store.resolve("bad"), Err(Error::NotFound(_))));
}

#[test]
fn holes_take_no_space() {
    let f = fixture();
    let real = 10u64 << 30;
    let pax = vec![
        ("GNU.sparse.size".to_owned(), real.to_string().into_bytes()),
        ("GNU.sparse.map".to_owned(), format!("4096,3,{},1", real - 1).into_bytes()),
    ];
    let zeros = vec![0; 20 << 20];
    let archive = tar(&[
        Item { pax: pax.clone(), ..file("hole", "abcz") },
        Item { pax, ..file("same", "abcz") },
        file("zeros", &zeros),
    ]);
    f.import(&archive, "sparse").unwrap();
    let index = f.index("sparse");
    let meta = |path: &str| {
        let body = index.inode(at(&index, path)).unwrap().body.unwrap();
        std::fs::metadata(f.store.body_path(&index.layers()[0], body.n)).unwrap()
    };
    assert_eq!(index.inode(at(&index, "hole")).unwrap().size, real);
    assert_eq!(meta("hole").len(), real);
    assert!(meta("hole").blocks() * 512 < 1 << 20, "{} blocks", meta("hole").blocks());
    assert_eq!(meta("hole").ino(), meta("same").ino());
    assert_eq!(meta("zeros").len(), zeros.len() as u64);
    assert!(meta("zeros").blocks() * 512 < 1 << 20);
    use std::os::unix::fs::FileExt;
    let body = index.inode(at(&index, "hole")).unwrap().body.unwrap();
    let hole = std::fs::File::open(f.store.body_path(&index.layers()[0], body.n)).unwrap();
    let mut buf = [9; 4];
    hole.read_exact_at(&mut buf, 4095).unwrap();
    assert_eq!(&buf, b"\0abc");
    hole.read_exact_at(&mut buf, real - 4).unwrap();
    assert_eq!(&buf, b"\0\0\0z");
    assert_saves_as(&f, "sparse", &archive);
    // More than most file systems take; then there is an error, and nothing is left.
    let pax = vec![
        ("GNU.sparse.size".to_owned(), (u64::MAX / 2).to_string().into_bytes()),
        ("GNU.sparse.map".to_owned(), b"0,4".to_vec()),
    ];
    let before = f.files();
    if f.import(&tar(&[Item { pax, ..file("huge", "abcz") }]), "huge").is_err() {
        assert_eq!(f.files(), before);
    }
}

#[track_caller]
fn assert_saves_as(f: &Fixture, name: &str, archive: &[u8]) {
    let image = f.store.resolve(name).unwrap();
    let mut layer = Vec::new();
    let hex = image.layer_hexes().next().unwrap().to_owned();
    f.store.write_layer(&hex, &mut layer).unwrap();
    assert!(layer == archive, "the layer's archive is another");
}

#[test]
fn layers_are_written_again_bit_for_bit() {
    let f = fixture();
    let mut archive = tar(&[
        dir("./"),
        file("small", "x"),
        file("big", (0..3_000_000u32).map(|i| (i / 7) as u8).collect::<Vec<_>>()),
        file("d/.wh.gone", "a whiteout with data"),
        file(".wh..wh.aufs", "skipped, with data"),
        file("dup", "1"),
        file("dup", "2"),
        hard_link("h", "dup"),
    ]);
    archive.extend(vec![0; 9000]);
    archive.extend(b"garbage behind the end");
    f.import(&archive, "a").unwrap();
    assert_saves_as(&f, "a", &archive);
}

#[test]
fn equal_bodies_are_one_file() {
    let f = fixture();
    let big = vec![5; 2 << 20];
    f.import(&tar(&[file("a", "same"), file("b", "same"), file("c", &big), file("d", &big)]), "one").unwrap();
    f.import(&tar(&[file("e", "same"), file("f", &big), file("g", "other")]), "two").unwrap();
    let inode = |name: &str, path: &str| {
        let index = f.index(name);
        let body = index.inode(at(&index, path)).unwrap().body.unwrap();
        std::fs::metadata(f.store.body_path(&index.layers()[0], body.n)).unwrap().ino()
    };
    assert_eq!(inode("one", "a"), inode("one", "b"));
    assert_eq!(inode("one", "a"), inode("two", "e"));
    assert_eq!(inode("one", "c"), inode("one", "d"));
    assert_eq!(inode("one", "c"), inode("two", "f"));
    assert_ne!(inode("two", "e"), inode("two", "g"));
    let objects = || f.files().keys().filter(|p| p.starts_with(f.store.root().join("objects"))).count();
    assert_eq!(objects(), 3);
    f.store.remove("two", false, &unused).unwrap();
    assert_eq!(objects(), 2);
    f.store.remove("one", false, &unused).unwrap();
    assert_eq!(objects(), 0);
}

#[test]
fn a_damaged_object_is_not_used_again() {
    let f = fixture();
    f.import(&tar(&[file("a", "precious")]), "one").unwrap();
    let objects = f.store.root().join("objects");
    let damaged = f.files().into_keys().find(|p| p.starts_with(&objects)).unwrap();
    std::fs::File::options().write(true).open(&damaged).unwrap().set_len(3).unwrap();
    f.import(&tar(&[file("b", "precious")]), "two").unwrap();
    assert_eq!(f.read(&f.index("two"), "b"), b"precious");
    assert_eq!(std::fs::read(damaged).unwrap(), b"precious");
}

/// The archive `docker save` (25 and later) would write, with compressed layers.
fn docker_archive(layers: &[Vec<u8>], tags: serde_json::Value, with: &[&str]) -> (Vec<u8>, ImageId) {
    let digest = |b: &[u8]| hex::encode(Sha256::digest(b));
    let diff_ids: Vec<String> = layers.iter().map(|l| format!("sha256:{}", digest(l))).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05.5Z",
        "config": {"Cmd": ["sh"], "Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string();
    let mut blobs = vec![(digest(config.as_bytes()), config.clone().into_bytes())];
    let mut described = Vec::new();
    for layer in layers {
        let blob = match with.contains(&"zstd") {
            true => zstd::encode_all(&layer[..], 1).unwrap(),
            false => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(layer).unwrap();
                gzip.finish().unwrap()
            }
        };
        described.push(json!({"digest": format!("sha256:{}", digest(&blob)), "size": blob.len()}));
        blobs.push((digest(&blob), blob));
    }
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"digest": format!("sha256:{}", digest(config.as_bytes()))},
        "layers": described,
    })
    .to_string();
    let manifest_digest = digest(manifest.as_bytes());
    blobs.push((manifest_digest.clone(), manifest.into_bytes()));
    let mut descriptor = json!({"digest": format!("sha256:{manifest_digest}"),
        "platform": {"os": "linux", "architecture": "amd64"}});
    if with.contains(&"nested") {
        let other = json!({"digest": format!("sha256:{}", "0".repeat(64)),
            "platform": {"os": "linux", "architecture": "s390x"}});
        let index = json!({"manifests": [other, descriptor]}).to_string();
        descriptor = json!({"digest": format!("sha256:{}", digest(index.as_bytes()))});
        blobs.push((digest(index.as_bytes()), index.into_bytes()));
    }
    if let Some(tag) = tags.get(0).and_then(|t| t.as_str()) {
        let name = if with.contains(&"skopeo") {
            "org.opencontainers.image.ref.name"
        } else {
            "io.containerd.image.name"
        };
        descriptor["annotations"] = json!({name: tag});
    }
    let id = digest(config.as_bytes());
    let mut items: Vec<Item> = blobs.iter().map(|(d, b)| file(format!("blobs/sha256/{d}"), b)).collect();
    items.push(file("index.json", json!({"manifests": [descriptor]}).to_string()));
    items.push(file("oci-layout", "{}"));
    if !with.contains(&"oci") {
        let layers: Vec<String> =
            blobs[1..=layers.len()].iter().map(|(d, _)| format!("blobs/sha256/{d}")).collect();
        let item = json!([{"Config": format!("blobs/sha256/{id}"), "RepoTags": tags, "Layers": layers}]);
        items.push(file("manifest.json", item.to_string()));
    }
    (tar(&items), ImageId::parse(&id).unwrap())
}

fn two_layers() -> Vec<Vec<u8>> {
    vec![
        tar(&[file("a", "1"), file("d/b", "2"), file("d/c", "3")]),
        tar(&[file("d/.wh.b", ""), file("a", "changed"), file("new", "n")]),
    ]
}

#[test]
fn archives_of_all_writers_load() {
    for with in [&[][..], &["oci"], &["oci", "nested"], &["oci", "skopeo"], &["zstd"], &["oci", "zstd"]] {
        let f = fixture();
        let (archive, id) = docker_archive(&two_layers(), json!(["app:1"]), with);
        let loaded = f.load(&archive).unwrap();
        assert_eq!(loaded, [LoadedImage { id: id.clone(), references: vec!["app:1".into()] }], "{with:?}");
        let image = f.store.resolve("app:1").unwrap();
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.size, 3 + 8);
        assert_eq!(image.digests.len(), 1, "{with:?}");
        assert_eq!(f.store.resolve(&image.digests[0]).unwrap().id, id);
        let index = f.index("app:1");
        assert_eq!(f.read(&index, "a"), b"changed");
        assert_eq!(try_at(&index, "d/b"), None);
        assert_eq!(f.read(&index, "d/c"), b"3");
        // Again, with the layers there: nothing is read twice, nothing changes.
        let before = f.files();
        let mut existed = 0;
        let mut progress = |p| existed += usize::from(matches!(p, Progress::Layer { existed: true, .. }));
        f.store.load(&archive[..], &mut progress).unwrap();
        assert_eq!(existed, 2, "{with:?}");
        assert_eq!(f.files().len(), before.len());
    }
}

#[test]
fn old_archives_with_links_load() {
    let f = fixture();
    let layers = two_layers();
    let digests: Vec<String> = layers.iter().map(|l| hex::encode(Sha256::digest(l))).collect();
    let config = json!({"os": "linux", "rootfs": {"diff_ids": [
        format!("sha256:{}", digests[0]), format!("sha256:{}", digests[1]), format!("sha256:{}", digests[0])]}});
    let manifest = json!([{"Config": "cfg.json", "RepoTags": null,
        "Layers": ["one/layer.tar", "two/layer.tar", "three/layer.tar"]}]);
    let archive = tar(&[
        dir("one/"),
        file("one/layer.tar", &layers[0]),
        file("one/VERSION", "1.0"),
        file("two/layer.tar", &layers[1]),
        symlink("three/layer.tar", "../one/layer.tar"),
        file("cfg.json", config.to_string()),
        file("manifest.json", manifest.to_string()),
    ]);
    let loaded = f.load(&archive).unwrap();
    assert!(loaded[0].references.is_empty());
    let image = f.store.resolve(loaded[0].id.as_str()).unwrap();
    let index = f.store.open_index(&image).unwrap();
    // The first layer over all again.
    assert_eq!(f.read(&index, "a"), b"1");
    assert_eq!(index.layers().len(), 2);
    let gz = zstd::encode_all(&archive[..], 1).unwrap();
    assert_eq!(f.load(&gz).unwrap(), loaded);
}

#[test]
fn archives_whose_parts_do_not_fit_are_refused() {
    let f = fixture();
    let before = f.files();
    let (good, _) = docker_archive(&two_layers(), json!(["app:1"]), &[]);
    let check = |archive: &[u8], wanted: &str| {
        let error = f.load(archive).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}, not {wanted}");
        assert_eq!(f.files(), before, "{error}");
    };
    check(&tar(&[file("x", "y")]), "invalid archive: does not contain a manifest.json");
    check(&tar(&[]), "does not contain a manifest.json");
    check(&good[..good.len() - 1024 - 700], "unexpected end");
    check(b"no archive at all, whatever else it may be", "invalid tar archive");
    check(&tar(&[file("manifest.json", "{")]), "manifest.json");
    check(&tar(&[file("manifest.json", r#"[{"Config":"../x.json","Layers":[]}]"#)]), "x.json is missing");
    let item = |config: &str, layers: &str| {
        file(
            "manifest.json",
            format!(r#"[{{"Config":"{config}","RepoTags":["Bad Tag"],"Layers":{layers}}}]"#),
        )
    };
    let with_tags = tar(&[item("c", "[]"), file("c", "{}")]);
    check(&with_tags, "invalid reference format");
    let plain = |layers: &str| {
        file("manifest.json", format!(r#"[{{"Config":"c","RepoTags":["a"],"Layers":{layers}}}]"#))
    };
    let layer = tar(&[file("a", "1")]);
    let config = json!({"rootfs": {"diff_ids": [format!("sha256:{}", "1".repeat(64))]}}).to_string();
    check(&tar(&[plain("[]"), file("c", &config)]), "layers length mismatch: expected 1, got 0");
    check(&tar(&[plain("[\"l.tar\"]"), file("c", &config)]), "l.tar is missing");
    check(
        &tar(&[plain("[\"l.tar\"]"), file("c", &config), file("l.tar", &layer)]),
        "invalid diffID for layer 0",
    );
    check(
        &tar(&[plain("[\"l.tar\"]"), file("c", &config), symlink("l.tar", "m"), symlink("m", "l.tar")]),
        "l.tar is missing",
    );
    check(&tar(&[plain("[\"l.tar\"]"), file("c", &config), file("l.tar", b"BZh9....")]), "bzip2");
    check(&tar(&[plain("[]"), file("c", "[1]")]), "not an object");
    check(&tar(&[plain("[]"), file("c", r#"{"rootfs":{"diff_ids":["../../x"]}}"#)]), "no sha256 digest");
    check(&tar(&[plain("[]"), file("c", r#"{"os":"windows"}"#)]), "cannot be used on this platform");
    let wrong = file(format!("blobs/sha256/{}", "0".repeat(64)), "{}");
    check(&tar(&[wrong]), "does not have the digest");
    let wrong = file(format!("blobs/sha256/{}", "0".repeat(64)), &layer);
    check(&tar(&[wrong]), "does not have the digest");
    let digest = "a".repeat(64);
    check(&tar(&[file("index.json", json!({"manifests":[{"digest": digest}]}).to_string())]), "is missing");
    // An index that contains itself cannot be made with true digests; one that says so by a path can not
    // either, as blobs are named by digest only.
}

#[test]
fn what_is_saved_loads_elsewhere_with_the_same_id() {
    let f = fixture();
    let (archive, id) = docker_archive(&two_layers(), json!(["app:1"]), &[]);
    f.load(&archive).unwrap();
    f.store.tag(&id, "app:2").unwrap();
    f.import(&tar(&[file("a", "1")]), "other:x").unwrap();
    let save = |names: &[&str]| {
        let mut out = Vec::new();
        f.store.save(names, &mut out).unwrap();
        out
    };
    let saved = save(&["app", "other:x"]);
    assert!(saved == save(&["app", "other:x"]), "not the same bytes twice");
    let g = fixture();
    let loaded = g.load(&saved).unwrap();
    assert_eq!(loaded.len(), 2);
    assert_eq!(loaded[0], LoadedImage { id: id.clone(), references: vec!["app:1".into(), "app:2".into()] });
    assert_eq!(g.store.resolve("other:x").unwrap().id, f.store.resolve("other:x").unwrap().id);
    let index = |f: &Fixture, name| std::fs::read(f.store.resolve(name).unwrap().index_path()).unwrap();
    assert!(index(&f, "app:1") == index(&g, "app:1"), "the index is another");
    // By id: no names.
    let h = fixture();
    assert!(h.load(&save(&[id.as_str()])).unwrap()[0].references.is_empty());
    assert!(matches!(f.store.save(&["none"], Vec::new()), Err(Error::NotFound(_))));
    // Only one of the tags.
    let k = fixture();
    assert_eq!(k.load(&save(&["app:2"])).unwrap()[0].references, ["app:2"]);
}

#[test]
fn attestations_and_manifests_go_through_untouched() {
    let f = fixture();
    let layer = tar(&[file("a", "1")]);
    let sha = |bytes: &[u8]| format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    let config = json!({"os": "linux", "rootfs": {"diff_ids": [sha(&layer)]}}).to_string();
    let part = |bytes: &[u8]| json!({"mediaType": "x", "digest": sha(bytes), "size": bytes.len()});
    let manifest = json!({"schemaVersion": 2, "config": part(config.as_bytes()), "layers": [part(&layer)]});
    // No proper writer has it so; that is why it is to be seen.
    let manifest = format!("{manifest:#}\n");
    let statement = br#"{"_type": "https://in-toto.io/Statement/v0.1", "odd": true }"#;
    let attestation = json!({"config": part(b"{}"), "layers": [part(statement)], "unknown": 1}).to_string();
    let mut about = part(attestation.as_bytes());
    about["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    about["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": sha(manifest.as_bytes()),
    });
    let index = json!({"manifests": [part(manifest.as_bytes()), about]}).to_string();
    let mut named = part(index.as_bytes());
    named["annotations"] = json!({"io.containerd.image.name": "docker.io/library/app:1"});
    let blob = |bytes: &[u8]| file(format!("blobs/sha256/{}", &sha(bytes)[7..]), bytes);
    let mut items: Vec<Item> =
        [config.as_bytes(), manifest.as_bytes(), attestation.as_bytes(), b"{}", statement, index.as_bytes()]
            .map(blob)
            .to_vec();
    items.push(blob(&layer));
    items.push(file("index.json", json!({"manifests": [named]}).to_string()));
    let mut archive = tar(&items);
    // Twice: what is saved has all of it again.
    for _ in 0..2 {
        let g = fixture();
        g.load(&archive).unwrap();
        let image = g.store.resolve(&format!("app@{}", sha(manifest.as_bytes()))).unwrap();
        assert_eq!(image.manifest.as_ref().map(|m| m.digest.clone()), Some(sha(manifest.as_bytes())));
        for bytes in [manifest.as_bytes(), attestation.as_bytes(), b"{}", statement] {
            assert_eq!(g.store.document(&sha(bytes)).unwrap(), bytes);
        }
        archive.clear();
        g.store.save(&["app:1"], &mut archive).unwrap();
    }
    // A parent that is in the archive is one again.
    let id = f.import(&layer, "base:1").unwrap();
    let how = Derivation { reference: Some("child:1".into()), ..Derivation::default() };
    f.store.derive(Some(&id), None, &how, &mut |_| {}).unwrap();
    for (names, parent) in [(&["base:1", "child:1"][..], Some(id)), (&["child:1"], None)] {
        let mut archive = Vec::new();
        f.store.save(names, &mut archive).unwrap();
        let g = fixture();
        g.load(&archive).unwrap();
        assert_eq!(g.store.resolve("child:1").unwrap().parent, parent);
    }
}

#[test]
fn archives_are_as_docker_25_writes_them() {
    let f = fixture();
    f.import(&tar(&[file("a", "1")]), "app:1").unwrap();
    let image = f.store.resolve("app:1").unwrap();
    let mut archive = Vec::new();
    f.store.save(&["app:1"], &mut archive).unwrap();
    let mut entries = BTreeMap::new();
    for entry in ::tar::Archive::new(&archive[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mut data) = (entry.path().unwrap().display().to_string(), Vec::new());
        std::io::Read::read_to_end(&mut entry, &mut data).unwrap();
        entries.insert(path, data);
    }
    let layer = &image.layers[0];
    let value = |name: &str| serde_json::from_slice::<serde_json::Value>(&entries[name]).unwrap();
    assert_eq!(value("repositories"), json!({"app": {"1": &layer[7..]}}));
    assert_eq!(value("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let size = entries[&format!("blobs/sha256/{}", &layer[7..])].len();
    let source =
        json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": size, "digest": layer});
    let wanted = json!([{
        "Config": format!("blobs/sha256/{}", image.id.hex()),
        "RepoTags": ["app:1"],
        "Layers": [format!("blobs/sha256/{}", &layer[7..])],
        "LayerSources": { layer.as_str(): source },
    }]);
    assert_eq!(value("manifest.json"), wanted);
    let described = value("index.json")["manifests"][0].clone();
    let names = json!({
        "io.containerd.image.name": "docker.io/library/app:1",
        "org.opencontainers.image.ref.name": "1",
    });
    assert_eq!(described["annotations"], names);
    let manifest = value(&format!("blobs/sha256/{}", &described["digest"].as_str().unwrap()[7..]));
    assert_eq!(
        (manifest["config"]["digest"].as_str(), &manifest["layers"][0]),
        (Some(image.id.as_str()), &source)
    );
}

#[test]
fn names_resolve_as_in_docker() {
    let f = fixture();
    let id = f.import(&tar(&[file("a", "1")]), "debian:12").unwrap();
    let other = f.import(&tar(&[file("a", "2")]), "debian").unwrap();
    let resolve = |name: &str| f.store.resolve(name).map(|i| i.id);
    for name in
        ["debian:12", "docker.io/library/debian:12", "library/debian:12", id.as_str(), id.hex(), id.short()]
    {
        assert_eq!(resolve(name).unwrap(), id, "{name}");
    }
    assert_eq!(resolve(&format!("sha256:{}", &id.hex()[..8])).unwrap(), id);
    assert_eq!(resolve("debian").unwrap(), other);
    assert_eq!(resolve(&format!("debian@{id}")).unwrap(), id);
    for name in ["debian:13", "nothing", &id.hex()[..3], &"0".repeat(64), "debian/12", "sha256:zz"] {
        assert!(matches!(resolve(name), Err(Error::NotFound(_))), "{name}: {:?}", resolve(name));
    }
    assert!(matches!(resolve("Debian"), Err(Error::InvalidReference(_))));
    assert!(matches!(resolve(""), Err(Error::InvalidReference(_))));
    // A tag that looks like the beginning of an id wins.
    f.store.tag(&other, &id.hex()[..6]).unwrap();
    assert_eq!(resolve(&id.hex()[..6]).unwrap(), other);
    let names: Vec<ImageId> = f.store.list().unwrap().into_iter().map(|i| i.id).collect();
    assert_eq!(names, [other, id], "newest first");
}

#[test]
fn tags_move_and_leave_dangling_images() {
    let f = fixture();
    let one = f.import(&tar(&[file("a", "1")]), "app:1").unwrap();
    let two = f.import(&tar(&[file("a", "2")]), "app:1").unwrap();
    let by_id = |id: &ImageId| f.store.resolve(id.as_str()).unwrap();
    assert!(by_id(&one).is_dangling());
    assert_eq!(by_id(&two).references, ["app:1"]);
    f.store.tag(&one, "registry.example:5000/x/y:z").unwrap();
    assert_eq!(by_id(&one).references, ["registry.example:5000/x/y:z"]);
    for bad in ["App", "a:b:c", "sha256:abc", &format!("a@{one}")] {
        assert!(matches!(f.store.tag(&one, bad), Err(Error::InvalidReference(_))), "{bad}");
    }
    let missing = ImageId::parse(&"0".repeat(64)).unwrap();
    assert!(matches!(f.store.tag(&missing, "a"), Err(Error::NotFound(_))));
}

#[test]
fn removal_follows_dockers_rules() {
    let f = fixture();
    let empty = f.files();
    let id = f.import(&tar(&[file("a", "1")]), "app:1").unwrap();
    f.store.tag(&id, "app:2").unwrap();
    let short = id.short();
    let error = |r: Result<Vec<Removed>, Error>| r.unwrap_err().to_string();
    assert_eq!(
        error(f.store.remove(id.as_str(), false, &unused)),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        )
    );
    assert_eq!(f.store.remove("app:2", false, &unused).unwrap(), [Removed::Untagged("app:2".into())]);
    let stopped = |_: &ImageId| Some("stopped container 0123456789ab".to_owned());
    let running = |_: &ImageId| Some("running container 0123456789ab".to_owned());
    assert_eq!(
        error(f.store.remove("app:1", false, &stopped)),
        format!(
            "conflict: unable to remove repository reference \"app:1\" (must force) - container 0123456789ab is \
             using its referenced image {short}"
        )
    );
    assert_eq!(
        error(f.store.remove(short, false, &stopped)),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container \
             0123456789ab"
        )
    );
    assert_eq!(
        error(f.store.remove(short, true, &running)),
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container \
             0123456789ab"
        )
    );
    // By force the name of a running container's image goes, and the image stays, dangling.
    assert_eq!(f.store.remove("app:1", true, &running).unwrap(), [Removed::Untagged("app:1".into())]);
    assert!(f.store.resolve(short).unwrap().is_dangling());
    // By force a stopped container's image goes from view, but its files stay.
    let removed = f.store.remove(short, true, &stopped).unwrap();
    assert_eq!(removed, [Removed::Deleted(id.to_string())]);
    assert!(matches!(f.store.resolve(short), Err(Error::NotFound(_))));
    assert!(f.store.list().unwrap().is_empty());
    let kept = f.store.get(&id).unwrap();
    assert_eq!(f.store.open_index(&kept).unwrap().dir_len(1), 1);
    assert!(f.store.prune_unreferenced(&stopped).unwrap().is_empty());
    let layer = kept.layers[0].clone();
    assert_eq!(f.store.prune_unreferenced(&unused).unwrap(), [Removed::Deleted(layer.clone())]);
    assert!(f.store.get(&id).is_err());
    let without_repository = |mut files: BTreeMap<PathBuf, u64>| {
        files.retain(|p, _| !p.ends_with("repository"));
        files
    };
    assert_eq!(without_repository(f.files()), empty);
    // And plainly.
    let id = f.import(&tar(&[file("a", "1")]), "app:1").unwrap();
    let removed = f.store.remove("app:1", false, &unused).unwrap();
    let deleted = |d: &str| Removed::Deleted(d.to_owned());
    assert_eq!(removed, [Removed::Untagged("app:1".into()), deleted(id.as_str()), deleted(&layer)]);
    assert!(matches!(f.store.remove("app:1", false, &unused), Err(Error::NotFound(_))));
}

#[test]
fn shared_layers_stay_as_long_as_one_image_has_them() {
    let f = fixture();
    let layers = two_layers();
    let (both, _) = docker_archive(&layers, json!(["both:1"]), &[]);
    let (base, _) = docker_archive(&layers[..1], json!(["base:1"]), &[]);
    f.load(&both).unwrap();
    f.load(&base).unwrap();
    let removed = f.store.remove("both:1", false, &unused).unwrap();
    assert_eq!(removed.iter().filter(|r| matches!(r, Removed::Deleted(_))).count(), 2, "{removed:?}");
    assert_eq!(f.read(&f.index("base:1"), "a"), b"1");
    assert_eq!(std::fs::read_dir(f.store.root().join("layers")).unwrap().count(), 1);
}

#[test]
fn a_held_image_keeps_its_files() {
    let f = fixture();
    let id = f.import(&tar(&[file("a", "1")]), "app:1").unwrap();
    let image = f.store.resolve("app:1").unwrap();
    let hold = f.store.hold(&id).unwrap();
    f.store.remove("app:1", false, &unused).unwrap();
    assert!(f.store.resolve("app:1").is_err());
    assert_eq!(f.store.open_index(&image).unwrap().dir_len(1), 1);
    assert!(f.store.prune_unreferenced(&unused).unwrap().is_empty());
    drop(hold);
    assert_eq!(f.store.prune_unreferenced(&unused).unwrap().len(), 1);
    assert!(f.store.hold(&id).is_err());
    // Loading it again while it is retained brings it back.
    let id = f.import(&tar(&[file("a", "1")]), "app:1").unwrap();
    let _hold = f.store.hold(&id).unwrap();
    f.store.remove(id.as_str(), false, &unused).unwrap();
    let mut saved = Vec::new();
    assert!(f.store.save(&[id.as_str()], &mut saved).is_err());
}

#[test]
fn a_lost_or_damaged_index_is_built_again() {
    let f = fixture();
    f.load(&docker_archive(&two_layers(), json!(["app:1"]), &[]).0).unwrap();
    let image = f.store.resolve("app:1").unwrap();
    let good = std::fs::read(image.index_path()).unwrap();
    std::fs::remove_file(image.index_path()).unwrap();
    f.store.ensure_index(&image).unwrap();
    assert!(std::fs::read(image.index_path()).unwrap() == good);
    for damage in [&good[..50], b"", &[&good[..40], &[0xff; 200], &good[240..]].concat()] {
        std::fs::write(image.index_path(), damage).unwrap();
        assert!(Index::open(&image.index_path()).is_err());
        f.store.open_index(&image).unwrap();
        assert!(std::fs::read(image.index_path()).unwrap() == good);
    }
}

#[test]
fn two_stores_see_each_others_changes() {
    let f = fixture();
    let second = Store::open(f.store.root()).unwrap();
    assert!(second.list().unwrap().is_empty());
    let id = f.import(&tar(&[file("a", "1")]), "app:1").unwrap();
    assert_eq!(second.resolve("app:1").unwrap().id, id);
    second.remove("app:1", false, &unused).unwrap();
    assert!(f.store.resolve("app:1").is_err());
}

#[test]
fn opening_sweeps_the_dead_and_spares_the_living() {
    let f = fixture();
    let before = f.files();
    let root = f.store.root();
    let tmp = root.join("tmp/deadbeef");
    std::fs::create_dir_all(tmp.join("l-1/b")).unwrap();
    std::fs::write(tmp.join("lease"), "").unwrap();
    std::fs::write(tmp.join("l-1/b/1"), "body").unwrap();
    std::fs::create_dir_all(root.join("objects/aa")).unwrap();
    std::fs::hard_link(tmp.join("l-1/b/1"), root.join("objects/aa/aaaa")).unwrap();
    std::fs::create_dir_all(root.join("layers/0000/b")).unwrap();
    std::fs::create_dir_all(root.join("images/1111")).unwrap();
    std::fs::write(root.join("images/1111/config.json"), "{}").unwrap();
    let living = f.store.staging().unwrap();
    std::fs::create_dir_all(root.join("layers/2222/b")).unwrap();
    assert!(f.store.pin(&living, "2222").unwrap());
    Store::open(root).unwrap();
    assert!(living.path.exists() && !tmp.exists());
    assert!(root.join("layers/2222").exists() && !root.join("layers/0000").exists());
    drop(living);
    Store::open(root).unwrap();
    assert_eq!(f.files(), before);
}

#[test]
fn imports_at_once_share_what_is_equal() {
    let f = fixture();
    let archive = tar(&(0..200).map(|i| file(format!("f{i}"), format!("{}", i % 50))).collect::<Vec<_>>());
    std::thread::scope(|s| {
        for i in 0..4 {
            let (f, archive) = (&f, &archive);
            s.spawn(move || f.import(archive, &format!("app:{i}")).unwrap());
        }
    });
    assert_eq!(f.store.list().unwrap().len(), 4);
    assert_eq!(std::fs::read_dir(f.store.root().join("layers")).unwrap().count(), 1);
    for i in 0..4 {
        assert_eq!(f.read(&f.index(&format!("app:{i}")), "f49"), b"49");
        f.store.remove(&format!("app:{i}"), false, &unused).unwrap();
    }
    assert_eq!(f.files().keys().filter(|p| p.to_str().unwrap().contains("/objects/")).count(), 0);
}

#[test]
fn a_store_of_another_version_is_not_touched() {
    let f = fixture();
    let path = f.store.root().join("repository");
    for text in ["carrack-repository 999\n", "{", ""] {
        std::fs::write(&path, text).unwrap();
        std::fs::create_dir_all(f.store.root().join("layers/0000")).unwrap();
        assert!(matches!(Store::open(f.store.root()), Err(Error::Corrupt(_))), "{text}");
        assert!(f.store.root().join("layers/0000").exists());
    }
}

#[test]
fn summaries_say_what_the_configuration_says() {
    let f = fixture();
    f.import(&tar(&[file("a", "1")]), "app:1").unwrap();
    let options = ImportOptions {
        changes: vec!["LABEL a=b c=d".into(), format!("LABEL long={}", "x".repeat(100_000))],
        created: Some(OffsetDateTime::UNIX_EPOCH),
        ..ImportOptions::default()
    };
    let id = f.store.import(&tar(&[])[..], &options, &mut |_| {}).unwrap();
    let options = ImportOptions { changes: vec!["LABEL a=b".into()], ..options };
    f.store.import(&tar(&[])[..], &options, &mut |_| {}).unwrap();
    let how = Derivation { reference: Some("derived:1".into()), ..Derivation::default() };
    f.store.derive(Some(&id), None, &how, &mut |_| {}).unwrap();
    let (list, short) = (f.store.list().unwrap(), Store::open(f.store.root()).unwrap().summaries().unwrap());
    assert_eq!((list.len(), short.len()), (4, 4));
    for (image, summary) in list.iter().zip(&short) {
        assert_eq!((&image.id, image.size, image.created), (&summary.id, summary.size, summary.created));
        assert_eq!((&image.references, &image.parent), (&summary.references, &summary.parent));
        assert_eq!(image.config.config.labels, summary.labels);
    }
}

#[test]
fn a_derived_image_has_its_bases_layers_and_one_more() {
    let f = fixture();
    let base = f.import(&tar(&[dir("d"), file("d/old", "1"), file("gone", "2")]), "base:1").unwrap();
    let layer = tar(&[dir("d"), file("d/new", "3"), file(".wh.gone", "")]);
    let how = Derivation {
        config: json!({"Cmd": ["x"]}).as_object().cloned().unwrap(),
        created_by: "sh".into(),
        comment: "a remark".into(),
        author: "somebody".into(),
        reference: Some("derived:1".into()),
        created: None,
    };
    let id = f.store.derive(Some(&base), Some(&mut layer.as_slice()), &how, &mut |_| {}).unwrap();
    let (image, below) = (f.store.resolve("derived:1").unwrap(), f.store.resolve("base:1").unwrap());
    assert_eq!(image.id, id);
    assert_eq!(image.layers.len(), 2);
    assert_eq!(image.layers[0], below.layers[0]);
    assert_eq!(image.parent.as_ref(), Some(&base));
    assert_eq!(image.size, 3);
    let last = image.history.last().unwrap();
    assert_eq!((last.created_by.as_str(), last.empty_layer), ("sh", false));
    assert_eq!((image.config.author.as_str(), image.history.len()), ("somebody", 2));
    let index = f.index("derived:1");
    assert!(try_at(&index, "gone").is_none());
    assert_eq!((f.read(&index, "d/old"), f.read(&index, "d/new")), (b"1".to_vec(), b"3".to_vec()));

    // No entry in the archive, or no archive: no layer, but a step of the history.
    for empty in [Some(vec![0u8; 1024]), None] {
        let mut stream = empty.as_deref();
        let layer = stream.as_mut().map(|s| s as &mut dyn std::io::Read);
        let how = Derivation { comment: format!("{}", empty.is_some()), ..Derivation::default() };
        let id = f.store.derive(Some(&id), layer, &how, &mut |_| {}).unwrap();
        let image = f.store.get(&id).unwrap();
        assert_eq!((image.layers.len(), image.history.len()), (2, 3));
        assert!(image.history[2].empty_layer);
    }
    // The base keeps its children alive.
    assert_eq!(f.store.remove("base:1", false, &unused).unwrap(), [Removed::Untagged("base:1".into())]);
    assert_eq!(f.read(&f.index("derived:1"), "d/old"), b"1");
    let nobody = ImageId::parse(&"0".repeat(64));
    let gone = f.store.derive(nobody.as_ref(), None, &Derivation::default(), &mut |_| {});
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn parents_without_a_name_go_with_their_last_child() {
    let f = fixture();
    let child = |base: Option<&ImageId>, tag: &str, n: u32| {
        let how = Derivation {
            comment: n.to_string(),
            reference: (!tag.is_empty()).then(|| tag.to_owned()),
            ..Derivation::default()
        };
        let layer = tar(&[file(format!("f{n}"), "x")]);
        f.store.derive(base, Some(&mut layer.as_slice()), &how, &mut |_| {}).unwrap()
    };
    let base = child(None, "base:1", 0);
    let middle = child(Some(&base), "", 1);
    let top = child(Some(&middle), "top:1", 2);
    let refused = f.store.remove(middle.as_str(), true, &unused).unwrap_err().to_string();
    let short = middle.short();
    assert_eq!(
        refused,
        format!("conflict: unable to delete {short} (cannot be forced) - image has dependent child images")
    );
    // By name only the name goes: the children need the image.
    assert_eq!(f.store.remove("base:1", false, &unused).unwrap(), [Removed::Untagged("base:1".into())]);
    assert_eq!(f.store.ids().unwrap().len(), 3);
    f.store.tag(&base, "base:1").unwrap();
    let kept = f.store.remove_as("top:1", false, false, &unused).unwrap();
    assert!(!kept.contains(&Removed::Deleted(middle.to_string())), "{kept:?}");
    let top_again = child(Some(&middle), "top:1", 2);
    assert_ne!(top, top_again, "made at another time");
    let gone = f.store.remove("top:1", false, &unused).unwrap();
    assert!(gone.contains(&Removed::Deleted(top_again.to_string())), "{gone:?}");
    assert!(gone.contains(&Removed::Deleted(middle.to_string())), "{gone:?}");
    assert_eq!(f.store.ids().unwrap(), [base], "the parent with a name stays");
}
