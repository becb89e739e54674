//! Writes images of a store to standard output: `image-save STORE NAME…`.

use std::path::Path;

use carrack_images::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = args.next().ok_or("usage: image-save STORE NAME…")?;
    let store = Store::open(Path::new(&root))?;
    let names: Vec<String> = args.collect();
    store.save(&names, std::io::stdout().lock())?;
    Ok(())
}
