//! Archives for tests, including such as no proper program writes.

use std::io::Write;

/// One header field after the other, then the data; nothing is checked.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: u64,
    pub(crate) device: (u32, u32),
    pub(crate) data: Vec<u8>,
    pub(crate) pax: Vec<(String, Vec<u8>)>,
}

pub(crate) fn item(name: impl AsRef<[u8]>, kind: u8) -> Item {
    Item {
        name: name.as_ref().to_vec(),
        kind,
        link: Vec::new(),
        mode: 0o644,
        owner: (0, 0),
        mtime: 1_000_000_000,
        device: (0, 0),
        data: Vec::new(),
        pax: Vec::new(),
    }
}

pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Item {
    Item { data: data.as_ref().to_vec(), ..item(name, b'0') }
}

pub(crate) fn dir(name: impl AsRef<[u8]>) -> Item {
    Item { mode: 0o755, ..item(name, b'5') }
}

pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
    Item { link: target.as_ref().to_vec(), mode: 0o777, ..item(name, b'2') }
}

pub(crate) fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
    Item { link: target.as_ref().to_vec(), ..item(name, b'1') }
}

/// An archive with its end mark.
pub(crate) fn tar(items: &[Item]) -> Vec<u8> {
    let mut out = Vec::new();
    for i in items {
        let mut pax = i.pax.clone();
        if i.name.len() > 100 {
            pax.push(("path".into(), i.name.clone()));
        }
        if i.link.len() > 100 {
            pax.push(("linkpath".into(), i.link.clone()));
        }
        if !pax.is_empty() {
            let data = pax_records(&pax);
            out.extend(block(&Item { data: data.clone(), ..item("pax", b'x') }));
            put(&mut out, &data);
        }
        out.extend(block(i));
        put(&mut out, &i.data);
    }
    out.extend([0; 1024]);
    out
}

pub(crate) fn pax_records(records: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        let body = key.len() + value.len() + 3;
        let mut len = body + 1;
        while len != body + len.to_string().len() {
            len += 1;
        }
        write!(out, "{len} {key}=").unwrap();
        out.extend(value);
        out.push(b'\n');
    }
    out
}

pub(crate) fn put(out: &mut Vec<u8>, data: &[u8]) {
    out.extend(data);
    out.resize(out.len().next_multiple_of(512), 0);
}

pub(crate) fn block(i: &Item) -> [u8; 512] {
    let mut b = [0; 512];
    let cut = |t: &[u8]| t[..t.len().min(100)].to_vec();
    b[..cut(&i.name).len()].copy_from_slice(&cut(&i.name));
    let mut field = |at: usize, text: String| b[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(100, format!("{:07o}", i.mode));
    field(108, format!("{:07o}", i.owner.0));
    field(116, format!("{:07o}", i.owner.1));
    field(124, format!("{:011o}", i.data.len()));
    field(136, format!("{:011o}", i.mtime));
    field(257, "ustar\x0000".into());
    field(329, format!("{:07o}", i.device.0));
    field(337, format!("{:07o}", i.device.1));
    b[156] = i.kind;
    b[157..157 + cut(&i.link).len()].copy_from_slice(&cut(&i.link));
    seal(&mut b);
    b
}

/// Sets the checksum.
pub(crate) fn seal(b: &mut [u8; 512]) {
    b[148..156].fill(b' ');
    let sum: u32 = b.iter().map(|&x| u32::from(x)).sum();
    b[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
