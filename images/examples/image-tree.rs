//! Imports an archive into a store (or loads it, if it holds images) and lists the merged tree of an image:
//! `image-tree STORE [ARCHIVE | NAME]`.

use std::io::Write;
use std::path::Path;

use carrack_images::{ImportOptions, Index, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = args.next().ok_or("usage: image-tree STORE [ARCHIVE | NAME]")?;
    let store = Store::open(Path::new(&root))?;
    let mut name = "imported".to_owned();
    match args.next() {
        Some(archive) if Path::new(&archive).is_file() => {
            let start = std::time::Instant::now();
            match store.load(std::fs::File::open(&archive)?, &mut |_| {}) {
                Ok(images) => {
                    eprintln!("{images:?} in {:?}", start.elapsed());
                    let image = images.first().ok_or("an archive of no image")?;
                    name = image.id.to_string();
                }
                Err(carrack_images::Error::InvalidArchive(_)) => {
                    let start = std::time::Instant::now();
                    let options = ImportOptions { reference: Some(name.clone()), ..ImportOptions::default() };
                    let id = store.import(std::fs::File::open(&archive)?, &options, &mut |_| {})?;
                    eprintln!("{id} in {:?}", start.elapsed());
                }
                Err(e) => return Err(e.into()),
            }
        }
        Some(image) => name = image,
        None => {}
    }
    let image = store.resolve(&name)?;
    let index = store.open_index(&image)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut todo = vec![(Index::ROOT, Vec::new())];
    while let Some((dir, path)) = todo.pop() {
        for i in 0..index.dir_len(dir) {
            let Some(entry) = index.dir_entry(dir, i) else { continue };
            let Some(inode) = index.inode(entry.ino) else { continue };
            let name = [&path[..], b"/", entry.name].concat();
            writeln!(
                out,
                "{:>6} {:06o} {:>3} {}:{} {:>10} {}.{:09} {}{}",
                entry.ino,
                inode.mode,
                inode.nlink,
                inode.uid,
                inode.gid,
                inode.size,
                inode.mtime.sec,
                inode.mtime.nsec,
                name.escape_ascii(),
                inode.symlink.map(|t| format!(" -> {}", t.escape_ascii())).unwrap_or_default(),
            )?;
            if index.dir_len(entry.ino) > 0 {
                todo.push((entry.ino, name));
            }
        }
    }
    Ok(())
}
