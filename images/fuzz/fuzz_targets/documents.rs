//! Any manifest, index and configuration: an image that is sound, or an error; nothing is left of the latter.
#![no_main]

use carrack_images::{ImageConfig, Limits, Store};
use libfuzzer_sys::fuzz_target;

/// An archive of these files; the parts of the input.
fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        if builder.append_data(&mut header, name, *data).is_err() {
            break;
        }
    }
    builder.into_inner().unwrap_or_default()
}

fuzz_target!(|parts: (bool, &[u8], &[u8], &[u8])| {
    let (docker, first, second, config) = parts;
    let _ = ImageConfig::parse(config);
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else { return };
    let Ok(store) = Store::open_with(dir.path(), Limits::default()) else { return };
    let name = if docker { "manifest.json" } else { "index.json" };
    let blob = format!("blobs/sha256/{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(second)));
    let archive = archive(&[(name, first), (&blob, second), ("config.json", config)]);
    if let Ok(images) = store.load(&archive[..], &mut |_| {}) {
        for image in images {
            store.open_index(&store.get(&image.id).expect("it was loaded")).expect("it was committed");
            store.save(&[image.id.as_str()], std::io::sink()).expect("what is loaded can be saved");
        }
    }
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).expect("the store's").count(), 0);
});
