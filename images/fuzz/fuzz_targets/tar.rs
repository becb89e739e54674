//! Any bytes are an archive or an error, in bounded memory and time.
#![no_main]

use carrack_images::tar::{Reader, path};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(data);
    while let Ok(Some(entry)) = reader.next_entry() {
        if let Ok(components) = path::normalise(&entry.path) {
            assert!(
                components.iter().all(|c| !c.is_empty() && *c != b"." && *c != b".." && !c.contains(&b'/'))
            );
        }
        if let Some(map) = &entry.sparse {
            assert_eq!(map.iter().map(|s| s.len).sum::<u64>(), reader.data_left());
        }
        let mut buf = [0; 4096];
        while reader.data_left() > 0 {
            if reader.read_data(&mut buf).is_err() {
                return;
            }
        }
    }
});
