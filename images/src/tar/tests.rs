use proptest::prelude::*;

use super::*;
use crate::testing::{self, Item, block, dir, file, item, put, seal, symlink};

fn all(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        while reader.data_left() > 0 {
            let mut buf = [0; 700];
            let n = reader.read_data(&mut buf)?;
            data.extend_from_slice(&buf[..n]);
        }
        entries.push((entry, data));
    }
    Ok(entries)
}

fn one(bytes: &[u8]) -> (Entry, Vec<u8>) {
    let mut entries = all(bytes).unwrap();
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

#[test]
fn kinds_and_fields() {
    let archive = testing::tar(&[
        dir("d/"),
        Item { owner: (1000, 100), mode: 0o4755, ..file("d/f", "hello") },
        symlink("l", "d/f"),
        Item { device: (1, 3), ..item("null", b'3') },
        Item { device: (8, 1), ..item("sda", b'4') },
        item("fifo", b'6'),
        Item { link: b"d/f".to_vec(), ..item("h", b'1') },
    ]);
    let entries = all(&archive).unwrap();
    let kinds: Vec<Kind> = entries.iter().map(|(e, _)| e.kind).collect();
    use Kind::*;
    assert_eq!(kinds, [Directory, Regular, Symlink, CharDevice, BlockDevice, Fifo, HardLink]);
    let (f, data) = &entries[1];
    assert_eq!((f.uid, f.gid, f.mode, f.size), (1000, 100, 0o4755, 5));
    assert_eq!(data, b"hello");
    assert_eq!(entries[3].0.device, (1, 3));
    assert_eq!(entries[6].0.link, b"d/f");
}

#[test]
fn pax_wins_over_the_header() {
    let pax = vec![
        ("path".to_owned(), b"long/name".to_vec()),
        ("uid".to_owned(), b"5000000".to_vec()),
        ("mtime".to_owned(), b"1.5".to_vec()),
        ("SCHILY.xattr.user.k".to_owned(), b"v=\n\0".to_vec()),
    ];
    let (e, _) = one(&testing::tar(&[Item { pax, ..file("short", "") }]));
    assert_eq!((&*e.path, e.uid, e.mtime), (&b"long/name"[..], 5_000_000, (1, 500_000_000)));
    assert_eq!(e.xattrs, [(b"user.k".to_vec(), b"v=\n\0".to_vec())]);
}

#[test]
fn gnu_long_names_and_what_the_tar_crate_writes() {
    let mut builder = ::tar::Builder::new(Vec::new());
    let long = format!("{}/end", "d".repeat(180));
    let mut header = ::tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o600);
    header.set_mtime(7);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, &long, &b"abc"[..]).unwrap();
    let (e, data) = one(&builder.into_inner().unwrap());
    assert_eq!((e.path, data), (long.into_bytes(), b"abc".to_vec()));
}

#[test]
fn what_we_write_is_read_here_and_elsewhere() {
    let mut archive = Vec::new();
    archive.extend(write::header("a/", 0));
    archive.extend(write::header("a/b", 600));
    archive.extend([7; 600]);
    write::pad(&mut archive, 600).unwrap();
    write::end(&mut archive).unwrap();
    let entries = all(&archive).unwrap();
    assert_eq!((entries[0].0.kind, entries[1].1.len()), (Kind::Directory, 600));
    let mut foreign = ::tar::Archive::new(&archive[..]);
    assert_eq!(foreign.entries().unwrap().map(|e| e.unwrap().size()).sum::<u64>(), 600);
    let big = write::header("x", 1 << 40);
    assert_eq!(Header::new(&big).unwrap().size(), Some(1 << 40));
}

/// The four forms of a 1 TiB file with `abc` at 4096 and `z` at the end.
fn sparse_archives() -> Vec<Vec<u8>> {
    let (end, real) = ((1u64 << 40) - 1, 1u64 << 40);
    let records = |pairs: &[(&str, String)]| -> Vec<(String, Vec<u8>)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone().into_bytes())).collect()
    };
    let mut archives = Vec::new();

    let mut old = block(&Item { data: b"abcz".to_vec(), ..item("s", b'S') });
    old[257..265].copy_from_slice(b"ustar  \0");
    old[329..345].fill(0);
    // Base 256: octal would not do.
    let mut field = |at: usize, n: u64| {
        old[at] = 0x80;
        old[at + 4..at + 12].copy_from_slice(&n.to_be_bytes());
    };
    field(386, 4096);
    field(398, 3);
    field(410, end);
    field(422, 1);
    field(483, real);
    seal(&mut old);
    let mut archive = old.to_vec();
    put(&mut archive, b"abcz");
    archives.push(archive);

    let v00 = records(&[
        ("GNU.sparse.size", real.to_string()),
        ("GNU.sparse.numblocks", "2".into()),
        ("GNU.sparse.offset", "4096".into()),
        ("GNU.sparse.numbytes", "3".into()),
        ("GNU.sparse.offset", end.to_string()),
        ("GNU.sparse.numbytes", "1".into()),
    ]);
    archives.push(testing::tar(&[Item { pax: v00, ..file("s", "abcz") }]));

    let v01 = records(&[
        ("GNU.sparse.size", real.to_string()),
        ("GNU.sparse.name", "s".into()),
        ("GNU.sparse.map", format!("4096,3,{end},1")),
    ]);
    archives.push(testing::tar(&[Item { pax: v01, ..file("GNUSparseFile/s", "abcz") }]));

    let v10 = records(&[
        ("GNU.sparse.major", "1".into()),
        ("GNU.sparse.minor", "0".into()),
        ("GNU.sparse.realsize", real.to_string()),
        ("GNU.sparse.name", "s".into()),
    ]);
    let mut data = format!("2\n4096\n3\n{end}\n1\n").into_bytes();
    data.resize(512, 0);
    data.extend(b"abcz");
    archives.push(testing::tar(&[Item { pax: v10, ..file("GNUSparseFile/s", data) }]));
    archives
}

#[test]
fn all_sparse_forms_say_the_same() {
    let end = (1u64 << 40) - 1;
    for (i, archive) in sparse_archives().iter().enumerate() {
        let (e, data) = one(archive);
        assert_eq!((&*e.path, e.size), (&b"s"[..], 1 << 40), "form {i}");
        let map = [Segment { offset: 4096, len: 3 }, Segment { offset: end, len: 1 }];
        assert_eq!(e.sparse.as_deref(), Some(&map[..]), "form {i}");
        assert_eq!(data, b"abcz", "form {i}");
    }
}

#[test]
fn sparse_maps_that_lie_are_refused() {
    for map in ["0,3,2,1", "0,3,1099511627776,1", "0,3", "0,5", "18446744073709551615,4", "0,x", "0,3,9"] {
        let pax = vec![
            ("GNU.sparse.size".to_owned(), b"1099511627776".to_vec()),
            ("GNU.sparse.map".to_owned(), map.into()),
        ];
        let archive = testing::tar(&[Item { pax, ..file("s", "abcz") }]);
        assert!(matches!(all(&archive), Err(Error::InvalidTar(_))), "{map}");
    }
}

#[test]
fn broken_archives_say_so() {
    let good = testing::tar(&[file("f", vec![1; 2000]), dir("d/")]);
    for cut in [1, 511, 513, 1000, 2048, 2600] {
        assert!(matches!(all(&good[..cut]), Err(Error::InvalidTar(_))), "cut at {cut}");
    }
    // A missing end mark is common.
    assert_eq!(all(&good[..good.len() - 1024]).unwrap().len(), 2);
    assert_eq!(all(b"").unwrap().len(), 0);
    let mut flipped = good.clone();
    flipped[3] ^= 1;
    assert!(all(&flipped).unwrap_err().to_string().contains("checksum"));
    assert!(all(b"this is no archive, but long enough to be one").is_err());
    assert!(all(&[b'x'; 4096]).is_err());
    assert!(all(&testing::tar(&[item("x", b'?')])).unwrap_err().to_string().contains("unknown type"));
}

#[test]
fn endless_extended_headers_are_refused() {
    let huge = Item { data: vec![b'a'; 2 << 20], ..item("x", b'L') };
    assert!(all(&testing::tar(&[huge])).unwrap_err().to_string().contains("1 MiB"));
    let many: Vec<Item> = (0..10).map(|_| Item { data: vec![0; 1 << 20], ..item("x", b'V') }).collect();
    assert!(all(&testing::tar(&many)).unwrap_err().to_string().contains("4 MiB"));
    // A size that nothing could hold: no allocation of it.
    let mut lie = block(&item("x", b'x'));
    lie[124..136].copy_from_slice(b"77777777777\0");
    seal(&mut lie);
    assert!(all(&lie).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = all(&bytes);
    }

    #[test]
    fn any_change_of_a_good_archive_is_read_or_refused(
        which in 0usize..5,
        changes in proptest::collection::vec((0usize..4096, any::<u8>()), 1..8),
        reseal in any::<bool>(),
    ) {
        let mut archives = sparse_archives();
        archives.push(testing::tar(&[dir("d/"), file("d/f", "x"), symlink("l", "d")]));
        let mut bytes = archives.swap_remove(which);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
            if reseal {
                let start = at / 512 * 512;
                let block: &mut [u8; 512] = (&mut bytes[start..start + 512]).try_into().unwrap();
                seal(block);
            }
        }
        let _ = all(&bytes);
    }
}
