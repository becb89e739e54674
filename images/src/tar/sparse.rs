//! GNU sparse files: where the map of segments is, and whether it makes sense.
//!
//! Old GNU keeps the map in the header and in blocks behind it; pax 0.0 and 0.1 keep it in extended headers;
//! pax 1.0 keeps it as decimal lines before the data.

use std::io::Read;

use super::header::{self, BLOCK, Header};
use super::{Reader, SPECIAL_MAX, Segment, bad, pax};
use crate::Error;

/// Bytes of one (offset, length) pair in a header block.
const PAIR: usize = 24;
/// Most segments of one file; more does not fit into [`SPECIAL_MAX`] bytes of the other forms either.
const SEGMENTS_MAX: usize = SPECIAL_MAX as usize / 8;

impl<R: Read> Reader<R> {
    /// The map of a type `S` entry and the file's real size.
    pub(super) fn old_gnu_map(&mut self, header: &Header<'_>) -> Result<(u64, Vec<Segment>), Error> {
        let (pairs, mut more, real) =
            header.gnu_sparse().ok_or_else(|| bad("a sparse file with a bad real size"))?;
        let mut map = Vec::new();
        let mut last = add_pairs(&mut map, pairs)?;
        while more {
            let mut block = [0; BLOCK];
            self.read_raw(&mut block)?;
            if !last {
                last = add_pairs(&mut map, &block[..21 * PAIR])?;
            }
            more = block[21 * PAIR] != 0;
        }
        Ok((real, map))
    }

    /// The map of a pax sparse file and its real size; `None`: not a sparse file.
    pub(super) fn pax_map(&mut self, sparse: &pax::Sparse) -> Result<Option<(u64, Vec<Segment>)>, Error> {
        let size = || sparse.real_size.ok_or_else(|| bad("a sparse file without its real size"));
        match (sparse.major, sparse.minor) {
            (Some(1), Some(0)) => Ok(Some((size()?, self.map_before_data()?))),
            (None | Some(0), None | Some(0 | 1)) => match &sparse.map {
                Some(map) => Ok(Some((size()?, map.clone()))),
                None => Ok(None),
            },
            _ => Err(bad("a sparse file of an unknown version")),
        }
    }

    /// Version 1.0: lines with the number of segments, then offset and length of each; padded to a block.
    fn map_before_data(&mut self) -> Result<Vec<Segment>, Error> {
        let mut numbers: Vec<u64> = Vec::new();
        let mut line: Vec<u8> = Vec::new();
        let mut wanted = 1;
        let mut read = 0;
        while numbers.len() < wanted {
            if self.left < BLOCK as u64 || read > SPECIAL_MAX {
                return Err(bad("a sparse map that does not end"));
            }
            let mut block = [0; BLOCK];
            self.read_raw(&mut block)?;
            self.left -= BLOCK as u64;
            read += BLOCK as u64;
            for &b in &block {
                if b != b'\n' {
                    line.push(b);
                    continue;
                }
                if numbers.len() == wanted {
                    break;
                }
                let number = pax::decimal(&line).ok_or_else(|| bad("a sparse map with a bad number"))?;
                line.clear();
                numbers.push(number);
                if numbers.len() == 1 {
                    let pairs = usize::try_from(number).ok().filter(|&n| n <= SEGMENTS_MAX);
                    wanted += 2 * pairs.ok_or_else(|| bad("a sparse map with too many segments"))?;
                }
            }
        }
        Ok(numbers[1..].chunks_exact(2).map(|p| Segment { offset: p[0], len: p[1] }).collect())
    }
}

/// Adds pairs up to the first empty one; says whether there was one.
fn add_pairs(map: &mut Vec<Segment>, pairs: &[u8]) -> Result<bool, Error> {
    for pair in pairs.chunks_exact(PAIR) {
        if pair[0] == 0 && pair[12] == 0 {
            return Ok(true);
        }
        let number = |field| {
            let n = header::number(field).and_then(|n| u64::try_from(n).ok());
            n.ok_or_else(|| bad("a sparse map with a bad number"))
        };
        if map.len() >= SEGMENTS_MAX {
            return Err(bad("a sparse map with too many segments"));
        }
        map.push(Segment { offset: number(&pair[..12])?, len: number(&pair[12..])? });
    }
    Ok(false)
}

/// Segments in order, within the file, and together as long as the data.
pub(super) fn check(map: &[Segment], real: u64, stored: u64) -> Result<(), &'static str> {
    let (mut end, mut sum) = (0u64, 0u64);
    for s in map {
        let next = s.offset.checked_add(s.len).ok_or("a sparse segment that overflows")?;
        if s.offset < end || next > real {
            return Err("sparse segments that overlap or leave the file");
        }
        end = next;
        sum += s.len;
    }
    if sum != stored || i64::try_from(real).is_err() {
        return Err("a sparse map that does not fit the data");
    }
    Ok(())
}
