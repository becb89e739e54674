//! The keys that detach a client from a terminal: parsing them, and finding them in what is typed.

use crate::engine::error::{Error, Result};

/// ctrl-p ctrl-q.
const DEFAULT: [u8; 2] = [16, 17];

/// Passes on what is typed, but for the detach keys.
#[derive(Debug, Clone)]
pub struct Filter {
    keys: Vec<u8>,
    matched: usize,
}

impl Filter {
    /// Keys as `ctrl-a,x`; empty: the default.
    ///
    /// # Errors
    /// Keys that are none.
    pub fn parse(text: &str) -> Result<Filter> {
        if text.is_empty() {
            return Ok(Filter { keys: DEFAULT.to_vec(), matched: 0 });
        }
        let keys = text.split(',').map(key).collect::<Option<Vec<u8>>>();
        keys.map(|keys| Filter { keys, matched: 0 })
            .ok_or_else(|| Error::invalid(format!("Invalid detach keys ({text}) provided")))
    }

    /// The bytes to pass on, and whether the sequence is complete. A partial match is held back until the next key.
    pub fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(typed.len());
        for &byte in typed {
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return (out, true);
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(byte == self.keys[0] && self.keys.len() > 1);
            if self.matched == 0 {
                out.push(byte);
            }
        }
        (out, false)
    }
}

fn key(text: &str) -> Option<u8> {
    if let [single] = text.as_bytes() {
        return Some(*single);
    }
    match text.strip_prefix("ctrl-")?.as_bytes() {
        [c @ b'a'..=b'z'] => Some(c - b'a' + 1),
        [b'@'] => Some(0),
        [b'['] => Some(27),
        [b'\\'] => Some(28),
        [b']'] => Some(29),
        [b'^'] => Some(30),
        [b'_'] => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_across_reads() {
        let mut f = Filter::parse("").unwrap();
        assert_eq!(f.pass(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(f.pass(b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(f.pass(b"\x10\x10\x11rest"), (b"\x10".to_vec(), true));
    }

    #[test]
    fn keys() {
        assert_eq!(Filter::parse("ctrl-a,d").unwrap().keys, [1, b'd']);
        assert_eq!(Filter::parse("ctrl-+").unwrap_err().message, "Invalid detach keys (ctrl-+) provided");
        let mut single = Filter::parse("q").unwrap();
        assert_eq!(single.pass(b"aq"), (b"a".to_vec(), true));
    }
}
