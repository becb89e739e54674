//! Streams into the store: what comes at once, what lies, and what is remembered.

use super::*;
use crate::{Compression, Descriptor, Expected, Ingest, LayerBlob, Limits, NewImage, StagedLayer};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn put(ingest: &Ingest, blob: &[u8], expected: Expected) -> Result<StagedLayer, Error> {
    let mut writer = ingest.layer(expected)?;
    for part in blob.chunks(10_007) {
        if writer.write_all(part).is_err() {
            break;
        }
    }
    writer.finish()
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let ids: Vec<String> = layers.iter().map(|l| digest(l)).collect();
    json!({"os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}).to_string().into_bytes()
}

#[test]
fn layers_come_at_once_and_everything_is_remembered() {
    let f = fixture();
    let layers: Vec<Vec<u8>> = (0..6)
        .map(|i| tar(&[file(format!("own{i}"), format!("{i}").repeat(300_000)), file("same", "same")]))
        .collect();
    let encode = |i: usize, l: &[u8]| match i % 3 {
        0 => gzip(l),
        1 => zstd::encode_all(l, 1).unwrap(),
        _ => l.to_vec(),
    };
    let blobs: Vec<Vec<u8>> = layers.iter().enumerate().map(|(i, l)| encode(i, l)).collect();
    let ingest = f.store.ingest().unwrap();
    std::thread::scope(|s| {
        for (layer, blob) in layers.iter().zip(&blobs) {
            let ingest = &ingest;
            s.spawn(move || {
                let expected = Expected {
                    diff_id: Some(digest(layer)),
                    digest: Some(digest(blob)),
                    size: Some(blob.len() as u64),
                    media_type: None,
                    repository: Some("registry.example/app".into()),
                };
                let staged = put(ingest, blob, expected).unwrap();
                assert_eq!((staged.diff_id, staged.tar_size), (digest(layer), layer.len() as u64));
                assert_eq!((staged.digest, staged.blob_size), (digest(blob), blob.len() as u64));
            });
        }
    });
    // Nothing is to be seen of it yet, but the session knows it.
    assert!(!f.store.has_layer(&digest(&layers[0])));
    assert_eq!(ingest.have_blob(&digest(&blobs[0])).unwrap(), Some(digest(&layers[0])));
    let manifest =
        ingest.document("application/vnd.oci.image.manifest.v1+json", b"{ \"as\": \"it came\" }").unwrap();
    let mut odd = ingest.content("application/x-odd", None, None).unwrap();
    odd.write_all(&[7; 100_000]).unwrap();
    let odd = odd.finish().unwrap();
    let image = NewImage {
        config: config(&layers),
        tags: vec!["registry.example/app:1".into()],
        digests: vec![format!("registry.example/app@{}", manifest.digest)],
        manifest: Some(manifest.clone()),
        documents: vec![manifest.clone(), odd.clone()],
        parent: None,
    };
    let committed = ingest.commit(vec![image]).unwrap();
    let image = f.store.resolve(&format!("registry.example/app@{}", manifest.digest)).unwrap();
    assert_eq!(image.id, committed[0].id);
    assert_eq!(image.digests, [format!("registry.example/app@{}", manifest.digest)]);
    assert_eq!((image.manifest.as_ref(), image.documents.len()), (Some(&manifest), 2));
    assert_eq!(f.store.document(&manifest.digest).unwrap(), b"{ \"as\": \"it came\" }");
    assert_eq!(f.store.document(&odd.digest).unwrap(), vec![7; 100_000]);
    let index = f.index("registry.example/app:1");
    for i in 0..6 {
        assert_eq!(f.read(&index, &format!("own{i}")).len(), 300_000);
        assert_eq!(f.store.layer_by_blob(&digest(&blobs[i])), Some(digest(&layers[i])));
        let known = f.store.layer_blobs(&digest(&layers[i]));
        assert_eq!(known[0].repositories, ["registry.example/app"]);
    }
    let opened = Store::open(f.store.root()).unwrap();
    assert_eq!(opened.layer_by_blob(&digest(&blobs[0])), Some(digest(&layers[0])), "swept at open");
    // It all goes with the image.
    f.store.remove("registry.example/app:1", true, &unused).unwrap();
    assert!(matches!(f.store.document(&manifest.digest), Err(Error::NotFound(_))));
    assert_eq!(f.store.layer_by_blob(&digest(&blobs[0])), None);
    for dir in ["layers", "images", "content", "blobs", "tmp"] {
        assert_eq!(std::fs::read_dir(f.store.root().join(dir)).unwrap().count(), 0, "{dir}");
    }
}

#[test]
fn a_layer_is_compressed_to_the_same_blob_each_time() {
    let f = fixture();
    let layer = tar(&[file("a", "some ".repeat(100_000)), dir("d")]);
    f.import(&layer, "app:1").unwrap();
    let id = digest(&layer);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let blob = f.store.write_blob(&id, compression, &mut one).unwrap();
        assert_eq!(f.store.write_blob(&id, compression, &mut two).unwrap(), blob);
        assert!(one == two && digest(&one) == blob.digest && one.len() as u64 == blob.size);
        assert_eq!(blob.media_type, compression.media_type());
        let g = fixture();
        let ingest = g.store.ingest().unwrap();
        let expected = Expected { diff_id: Some(id.clone()), ..Expected::default() };
        put(&ingest, &one, expected).unwrap();
        for repository in ["a.example/x", "b.example/y", "a.example/x"] {
            let at = LayerBlob { repositories: vec![repository.into()], ..blob.clone() };
            f.store.remember_blob(&id, &at).unwrap();
        }
        assert_eq!(f.store.layer_by_blob(&blob.digest).as_ref(), Some(&id));
    }
    let known = f.store.layer_blobs(&id);
    assert_eq!(known.len(), 3);
    assert!(known.iter().all(|b| b.repositories.len() == 2), "{known:?}");
    let missing = digest(b"nothing");
    assert!(matches!(f.store.remember_blob(&missing, &known[0]), Err(Error::NotFound(_))));
    assert!(matches!(f.store.write_blob("sha256:x", Compression::None, Vec::new()), Err(Error::NotFound(_))));
}

#[test]
fn layers_that_are_not_what_was_announced_are_refused_and_leave_nothing() {
    let f = fixture();
    let before = f.files();
    let layer = tar(&[file("a", vec![5; 200_000])]);
    let (zip, zst) = (gzip(&layer), zstd::encode_all(&layer[..], 1).unwrap());
    let other = digest(b"other");
    let with = |f: &dyn Fn(&mut Expected)| {
        let mut expected = Expected::default();
        f(&mut expected);
        expected
    };
    let cases: Vec<(Vec<u8>, Expected, &str)> = vec![
        (zip.clone(), with(&|e| e.digest = Some(other.clone())), "verification failed for digest"),
        (layer.clone(), with(&|e| e.digest = Some(other.clone())), "verification failed for digest"),
        (zip.clone(), with(&|e| e.diff_id = Some(other.clone())), "don't match image configuration"),
        (zip.clone(), with(&|e| e.size = Some(zip.len() as u64 + 1)), "were announced"),
        (layer.clone(), with(&|e| e.size = Some(100_000)), "end"),
        (zip[..zip.len() - 5].to_vec(), Expected::default(), "unexpected end"),
        (zst[..zst.len() - 5].to_vec(), Expected::default(), "unexpected end"),
        (layer[..100_000].to_vec(), Expected::default(), "unexpected end"),
        ([&zip[..], &[7; 100]].concat(), Expected::default(), "invalid gzip header"),
        ([&zst[..], &[7; 100]].concat(), Expected::default(), "invalid tar archive"),
        (b"\x1f\x8b\x08\0garbage garbage".to_vec(), Expected::default(), "invalid tar archive"),
    ];
    for (blob, expected, wanted) in cases {
        let ingest = f.store.ingest().unwrap();
        let error = put(&ingest, &blob, expected.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(wanted), "{error}, not {wanted}: {expected:?}");
        drop(ingest);
        assert_eq!(f.files(), before, "{wanted}");
    }
    let ingest = f.store.ingest().unwrap();
    let sha512 = Expected { digest: Some(format!("sha512:{}", "0".repeat(128))), ..Expected::default() };
    assert!(matches!(ingest.layer(sha512), Err(Error::Unsupported(_))));
    // Given up in the middle.
    let mut writer = ingest.layer(Expected::default()).unwrap();
    writer.write_all(&layer[..150_000]).unwrap();
    drop(writer);
    let wrong = ingest.content("x", Some(&other), None).unwrap().finish().unwrap_err();
    assert!(matches!(wrong, Error::Mismatch(_)));
    let mut long = ingest.content("x", None, Some(3)).unwrap();
    assert!(long.write_all(b"four").is_err());
    drop(long);
    // An image of what is not there.
    let image = NewImage { config: config(&[layer]), tags: vec!["a".into()], ..NewImage::default() };
    assert!(matches!(ingest.commit(vec![image.clone()]), Err(Error::Mismatch(_))));
    let ingest = f.store.ingest().unwrap();
    let absent = Descriptor { media_type: "x".into(), digest: other, size: 3 };
    let image = NewImage { config: config(&[]), documents: vec![absent], ..image };
    assert!(matches!(ingest.commit(vec![image]), Err(Error::Mismatch(_))));
    assert_eq!(f.files(), before);
}

#[test]
fn bombs_end_at_the_limits() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let limits = Limits {
        layer_bytes: 8 << 20,
        expansion: 20,
        expansion_from: 1 << 20,
        entries: 100,
        layers: 10,
        document_bytes: 1000,
        zstd_window_log: 20,
    };
    let store = Store::open_with(&dir.path().join("store"), limits).unwrap();
    let f = Fixture { dir, store };
    let before = f.files();
    let check = |archive: &[u8], wanted: &str| {
        let error = f.import(archive, "bomb").unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}, not {wanted}");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(f.files(), before, "{wanted}");
    };
    let zeros = tar(&[file("zeros", vec![0; 4 << 20])]);
    check(&gzip(&zeros), "times bigger");
    check(&zstd::encode_all(&zeros[..], 1).unwrap(), "times bigger");
    let mut noise = vec![0u8; 9 << 20];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut noise);
    check(&tar(&[file("noise", &noise)]), "more than 8388608 bytes");
    check(&gzip(&tar(&[file("noise", noise)])), "more than 8388608 bytes");
    check(&tar(&(0..101).map(|i| file(format!("{i}"), "")).collect::<Vec<_>>()), "more than 100 files");
    let name = vec![b'n'; 1 << 20];
    check(
        &tar(&[Item { pax: vec![("path".into(), name)], ..file("x", "") }]),
        "extended header of more than",
    );
    let mut window = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    window.window_log(22).unwrap();
    window.long_distance_matching(true).unwrap();
    let noise = [&tar(&[file("a", "")])[..], &vec![0; 6 << 20]].concat();
    window.write_all(&noise).unwrap();
    check(&window.finish().unwrap(), "too much memory");
    let ingest = f.store.ingest().unwrap();
    assert!(matches!(ingest.document("x", &[0; 1001]), Err(Error::Limit(_))));
    let many = NewImage { config: config(&vec![tar(&[]); 11]), ..NewImage::default() };
    assert!(matches!(ingest.commit(vec![many]), Err(Error::Limit(_))));
    // Up to the limits all is well.
    f.import(&tar(&(0..100).map(|i| file(format!("{i}"), "")).collect::<Vec<_>>()), "good").unwrap();
    f.import(&gzip(&tar(&[file("zeros", vec![0; 1 << 19])])), "good").unwrap();
}

#[test]
fn a_layer_that_is_there_need_not_come_again_and_stays() {
    let f = fixture();
    let layers: Vec<Vec<u8>> = (0..2).map(|i| tar(&[file("a", format!("{i}"))])).collect();
    f.import(&layers[0], "app:1").unwrap();
    let ingest = f.store.ingest().unwrap();
    assert!(ingest.have_layer(&digest(&layers[0])).unwrap());
    assert!(!ingest.have_layer(&digest(&layers[1])).unwrap());
    assert!(!ingest.have_layer("sha256:../../x").unwrap());
    // The image goes meanwhile; the layer does not.
    f.store.remove("app:1", false, &unused).unwrap();
    Store::open(f.store.root()).unwrap();
    put(&ingest, &gzip(&layers[1]), Expected::default()).unwrap();
    let image = NewImage { config: config(&layers), tags: vec!["app:2".into()], ..NewImage::default() };
    ingest.commit(vec![image]).unwrap();
    assert_eq!(f.read(&f.index("app:2"), "a"), b"1");
    let loaded = Store::open(f.store.root()).unwrap();
    assert_eq!(loaded.resolve("app:2").unwrap().layers.len(), 2);
}
