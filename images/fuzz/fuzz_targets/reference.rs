//! What is accepted as an image name is the same again when it is written out.
#![no_main]

use carrack_images::reference::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = Reference::parse(text) {
        assert_eq!(Reference::parse(&reference.to_string()).as_ref().ok(), Some(&reference));
        // A repository named like an id has no familiar form of its own; Docker has the same gap.
        if !reference.familiar_name().bytes().all(|b| b.is_ascii_hexdigit()) {
            assert_eq!(Reference::parse(&reference.familiar()).ok(), Some(reference));
        }
    }
});
