//! Extended headers (POSIX pax): `LENGTH KEY=VALUE\n` records.

use super::{Segment, bad};
use crate::Error;

/// Prefix of extended attributes, as GNU tar, bsdtar and Docker write them.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What extended headers say about the next entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) linkpath: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: Sparse,
}

/// The three versions of GNU's sparse files in pax headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sparse {
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) real_size: Option<u64>,
    /// Version 0.0 and 0.1: the map itself.
    pub(crate) map: Option<Vec<Segment>>,
    offset: Option<u64>,
}

impl Pax {
    /// Adds the records of one extended header; later ones win.
    pub(crate) fn add(&mut self, mut data: &[u8]) -> Result<(), Error> {
        while !data.is_empty() {
            let space = data
                .iter()
                .take(20)
                .position(|&b| b == b' ')
                .ok_or_else(|| bad("pax record without a length"))?;
            let len = decimal(&data[..space]).ok_or_else(|| bad("pax record with a bad length"))?;
            let len = usize::try_from(len).ok().filter(|&l| l > space + 1 && l <= data.len());
            let len = len.ok_or_else(|| bad("pax record longer than its header"))?;
            let (record, rest) = data.split_at(len);
            data = rest;
            let record =
                record[space + 1..].strip_suffix(b"\n").ok_or_else(|| bad("pax record without an end"))?;
            let eq =
                record.iter().position(|&b| b == b'=').ok_or_else(|| bad("pax record without a value"))?;
            self.set(&record[..eq], &record[eq + 1..])?;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        // An empty value takes an earlier one back.
        let present = !value.is_empty();
        let number = || decimal(value).ok_or_else(|| bad("pax record with a bad number"));
        match key {
            b"path" => self.path = string(value)?,
            b"linkpath" => self.linkpath = string(value)?,
            b"size" => self.size = if present { Some(number()?) } else { None },
            b"uid" => self.uid = if present { Some(number()?) } else { None },
            b"gid" => self.gid = if present { Some(number()?) } else { None },
            b"mtime" => {
                self.mtime = if present {
                    Some(timestamp(value).ok_or_else(|| bad("pax mtime is no number"))?)
                } else {
                    None
                }
            }
            b"GNU.sparse.major" => self.sparse.major = Some(number()?),
            b"GNU.sparse.minor" => self.sparse.minor = Some(number()?),
            b"GNU.sparse.name" => self.sparse.name = string(value)?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = Some(number()?),
            b"GNU.sparse.offset" => self.sparse.offset = Some(number()?),
            b"GNU.sparse.numbytes" => {
                let offset =
                    self.sparse.offset.take().ok_or_else(|| bad("sparse segment without an offset"))?;
                self.sparse.map.get_or_insert_default().push(Segment { offset, len: number()? });
            }
            b"GNU.sparse.map" => self.sparse.map = Some(sparse_map(value)?),
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.retain(|(n, _)| n != name);
                    // Also an empty value is a value here, as Docker takes it.
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn string(value: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    if value.contains(&0) {
        return Err(bad("a name with a NUL byte"));
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

/// Version 0.1's map: `offset,length,offset,length,…`.
fn sparse_map(value: &[u8]) -> Result<Vec<Segment>, Error> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let mut numbers = value.split(|&b| b == b',').map(decimal);
    let mut map = Vec::new();
    while let Some(offset) = numbers.next() {
        match (offset, numbers.next().flatten()) {
            (Some(offset), Some(len)) => map.push(Segment { offset, len }),
            _ => return Err(bad("a sparse map that is no list of pairs")),
        }
    }
    Ok(map)
}

pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0u64, |value, &b| match b {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

/// Seconds with a fraction, as (seconds rounded down, nanoseconds).
fn timestamp(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |&b| b == b'.');
    let sec = i64::try_from(decimal(parts.next()?)?).ok()?;
    let mut nsec = 0u32;
    if let Some(fraction) = parts.next() {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        for i in 0..9 {
            nsec = nsec * 10 + u32::from(fraction.get(i).map_or(0, |b| b - b'0'));
        }
    }
    match (negative, nsec) {
        (false, _) => Some((sec, nsec)),
        (true, 0) => Some((-sec, 0)),
        (true, _) => Some((-sec - 1, 1_000_000_000 - nsec)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_round_down() {
        assert_eq!(timestamp(b"12"), Some((12, 0)));
        assert_eq!(timestamp(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(timestamp(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(timestamp(b"1.1234567891234"), Some((1, 123_456_789)));
        assert_eq!(timestamp(b"1.x"), None);
        assert_eq!(timestamp(b""), None);
    }

    #[test]
    fn records() {
        let mut pax = Pax::default();
        pax.add(b"9 path=a\n26 SCHILY.xattr.user.a=b\n\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a"[..]));
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"b\n".to_vec())]);
        assert!(Pax::default().add(b"99 path=a\n").is_err());
        assert!(Pax::default().add(b"5\n").is_err());
        assert!(Pax::default().add(b"10 path=a\0\n").is_err());
    }
}
