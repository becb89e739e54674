//! Any bytes are refused as an index, or every walk over them ends.
#![no_main]

use carrack_images::{FileKind, Index};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(index) = Index::from_bytes(data) else { return };
    let mut seen = 0;
    let mut todo = vec![Index::ROOT];
    while let Some(dir) = todo.pop() {
        for i in 0..index.dir_len(dir) {
            let entry = index.dir_entry(dir, i).expect("an entry");
            assert_eq!(index.lookup(dir, entry.name), Some(entry.ino));
            seen += 1;
            assert!(seen <= data.len());
            if entry.kind == FileKind::Directory {
                todo.push(entry.ino);
            }
        }
    }
    for ino in 1..=index.max_ino() {
        let inode = index.inode(ino).expect("a dense inode");
        inode.xattrs().for_each(drop);
        assert_eq!(index.alias(ino).is_none(), ino == Index::ROOT);
        if let Some(body) = inode.body {
            assert_eq!(index.by_body(&index.layers()[body.layer as usize], body.n), Some(ino));
        }
    }
});
