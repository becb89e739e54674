//! One 512-byte tar header: v7, ustar, star and GNU forms (tar(5), POSIX pax "ustar Interchange Format").

/// Bytes of a tar block.
pub(crate) const BLOCK: usize = 512;

/// A header block whose checksum was right.
pub(crate) struct Header<'a>(pub(crate) &'a [u8; BLOCK]);

/// Which extension of the v7 header it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl<'a> Header<'a> {
    /// Checks the checksum: the sum of all bytes with the field itself taken as blanks. Some old writers
    /// summed signed bytes.
    pub(crate) fn new(block: &'a [u8; BLOCK]) -> Option<Header<'a>> {
        let wanted = octal(&block[148..156])?;
        let (mut unsigned, mut signed) = (0u64, 0i64);
        for (i, &b) in block.iter().enumerate() {
            let b = if (148..156).contains(&i) { b' ' } else { b };
            unsigned += u64::from(b);
            signed += i64::from(b as i8);
        }
        (wanted == unsigned || i64::try_from(wanted) == Ok(signed)).then_some(Header(block))
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match &self.0[257..265] {
            b"ustar  \0" => Dialect::Gnu,
            magic if magic.starts_with(b"ustar\0") && &self.0[508..512] == b"tar\0" => Dialect::Star,
            magic if magic.starts_with(b"ustar\0") || magic.starts_with(b"ustar ") => Dialect::Ustar,
            _ => Dialect::V7,
        }
    }

    /// The name, with ustar's prefix.
    pub(crate) fn name(&self) -> Vec<u8> {
        let prefix = match self.dialect() {
            Dialect::Ustar => text(&self.0[345..500]),
            Dialect::Star => text(&self.0[345..476]),
            Dialect::V7 | Dialect::Gnu => b"",
        };
        let name = text(&self.0[0..100]);
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, name].join(&b'/')
    }

    pub(crate) fn link(&self) -> &'a [u8] {
        text(&self.0[157..257])
    }

    pub(crate) fn typeflag(&self) -> u8 {
        self.0[156]
    }

    pub(crate) fn mode(&self) -> Option<u64> {
        unsigned(&self.0[100..108])
    }

    pub(crate) fn uid(&self) -> Option<u64> {
        unsigned(&self.0[108..116])
    }

    pub(crate) fn gid(&self) -> Option<u64> {
        unsigned(&self.0[116..124])
    }

    pub(crate) fn size(&self) -> Option<u64> {
        unsigned(&self.0[124..136])
    }

    pub(crate) fn mtime(&self) -> Option<i64> {
        number(&self.0[136..148])
    }

    /// (major, minor); v7 has none.
    pub(crate) fn device(&self) -> Option<(u64, u64)> {
        if self.dialect() == Dialect::V7 {
            return Some((0, 0));
        }
        Some((unsigned(&self.0[329..337])?, unsigned(&self.0[337..345])?))
    }

    /// GNU sparse: (entries in the header, whether blocks with more follow, real size).
    pub(crate) fn gnu_sparse(&self) -> Option<(&'a [u8], bool, u64)> {
        Some((&self.0[386..482], self.0[482] != 0, unsigned(&self.0[483..495])?))
    }
}

/// A field's text up to its first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    &field[..end]
}

/// A numeric field: octal, or GNU's base 256 where the first byte has its high bit set.
pub(crate) fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 == 0 {
        return i64::try_from(octal(field)?).ok();
    }
    // Two's complement over the whole field without the marker bit; bit 6 is the sign.
    let negative = first & 0x40 != 0;
    let mut value: i128 = if negative { i128::from(first | 0x80) - 256 } else { i128::from(first & 0x3f) };
    for &b in rest {
        value = value.checked_mul(256)? + i128::from(b);
    }
    i64::try_from(value).ok()
}

fn unsigned(field: &[u8]) -> Option<u64> {
    u64::try_from(number(field)?).ok()
}

/// Octal digits with blanks or NULs around; an empty field is 0, as all readers take it.
fn octal(field: &[u8]) -> Option<u64> {
    let field = field.trim_ascii_start();
    let start = field.iter().position(|&b| b != 0).unwrap_or(field.len());
    let field = &field[start..];
    let end = field.iter().position(|&b| b == 0 || b == b' ').unwrap_or(field.len());
    let mut value = 0u64;
    for &b in &field[..end] {
        let digit = match b {
            b'0'..=b'7' => u64::from(b - b'0'),
            _ => return None,
        };
        value = value.checked_mul(8)?.checked_add(digit)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(number(b"12x\0"), None);
    }
}
