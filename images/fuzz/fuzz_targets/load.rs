//! Any bytes are an image archive or an error, and an error leaves nothing in the store.
#![no_main]

use carrack_images::{ImportOptions, Store};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    let loaded = store.load(data, &mut |_| {}).map_or(0, |images| images.len());
    assert_eq!(store.list().expect("a list").len() > 0, loaded > 0);
    if let Ok(id) = store.import(data, &ImportOptions::default(), &mut |_| {}) {
        let image = store.get(&id).expect("the image");
        store.open_index(&image).expect("its index");
        for hex in image.layer_hexes() {
            store.write_layer(hex, &mut std::io::sink()).expect("the same bytes");
        }
    }
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).expect("tmp").count(), 0);
});
