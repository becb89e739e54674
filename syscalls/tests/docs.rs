//! The generated page of the book is the one in the tree.

use std::path::Path;

#[test]
fn the_page_of_system_calls_is_fresh() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/syscalls.md");
    let fresh = carrack_syscalls::doc::markdown();
    if std::env::var_os("CARRACK_WRITE_DOCS").is_some() {
        std::fs::write(&page, &fresh).unwrap();
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == fresh,
        "docs/src/syscalls.md is stale; write it with CARRACK_WRITE_DOCS=1 cargo test -p carrack-syscalls --test docs"
    );
}
