//! More equal files in one archive than an inode can have links.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use carrack_images::{ImportOptions, Store};

/// ext4 ends at 65,000; other file systems have more or none.
const FILES: u64 = 65_200;

#[test]
fn an_inode_out_of_links_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    for i in 0..FILES {
        let mut header = tar::Header::new_ustar();
        header.set_size(4);
        header.set_mode(0o644);
        header.set_mtime(1);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, format!("d{}/{i}", i % 100), &b"same"[..]).unwrap();
    }
    let archive = builder.into_inner().unwrap();
    let options = ImportOptions { reference: Some("many".into()), ..ImportOptions::default() };
    store.import(&archive[..], &options, &mut |_| {}).unwrap();
    let image = store.resolve("many").unwrap();
    let layer = image.layer_hexes().next().unwrap().to_owned();
    let mut inodes: BTreeMap<u64, u64> = BTreeMap::new();
    for n in 1..=FILES {
        let path = store.body_path(&layer, n);
        *inodes.entry(std::fs::metadata(&path).unwrap().ino()).or_default() += 1;
    }
    assert_eq!(std::fs::read(store.body_path(&layer, FILES)).unwrap(), b"same");
    assert!(inodes.len() <= 2, "{inodes:?}");
    // A later import links to the one that has links left.
    store.import(&archive[..1024], &ImportOptions::default(), &mut |_| {}).unwrap();
    store.remove("many", false, &|_| None).unwrap();
}
