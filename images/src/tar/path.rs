//! Names in archives, made harmless: relative to the root, without `.` and `..`.

use super::bad;
use crate::Error;

/// Longest name of one directory entry (NAME_MAX).
pub const NAME_MAX: usize = 255;
/// Longest path, without the terminating NUL (PATH_MAX − 1).
pub const PATH_MAX: usize = 4095;

/// The components of a name in an archive: absolute names are taken relative to the root, and `..` goes up
/// to the root at most, as in a chroot(2). The root itself is the empty list.
///
/// # Errors
/// A name with a NUL byte, a component longer than [`NAME_MAX`], a path longer than [`PATH_MAX`].
pub fn normalise(name: &[u8]) -> Result<Vec<&[u8]>, Error> {
    if name.contains(&0) {
        return Err(bad("a name with a NUL byte"));
    }
    let mut components: Vec<&[u8]> = Vec::new();
    let mut len = 0;
    for component in name.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if let Some(last) = components.pop() {
                    len -= last.len() + 1;
                }
            }
            _ => {
                len += component.len() + 1;
                if component.len() > NAME_MAX || len > PATH_MAX {
                    return Err(bad(format!("file name too long: {}", show(name))));
                }
                components.push(component);
            }
        }
    }
    Ok(components)
}

/// A name as it may be put into a message: printable and not endless.
pub(crate) fn show(name: &[u8]) -> String {
    const MOST: usize = 120;
    let text = name[..name.len().min(MOST)].escape_ascii().to_string();
    if name.len() > MOST { format!("{text}…") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(name: &[u8]) -> Vec<u8> {
        normalise(name).unwrap().join(&b'/')
    }

    #[test]
    fn names_never_leave_the_root() {
        assert_eq!(joined(b"./a//b/./c/"), b"a/b/c");
        assert_eq!(joined(b"/etc/passwd"), b"etc/passwd");
        assert_eq!(joined(b"../../../etc/passwd"), b"etc/passwd");
        assert_eq!(joined(b"a/../../b"), b"b");
        assert_eq!(joined(b"."), b"");
        assert_eq!(joined(b""), b"");
        assert!(normalise(b"a\0b").is_err());
        assert!(normalise(&[b'x'; 256]).is_err());
        assert!(normalise(&b"x/".repeat(2048)).is_err());
        assert!(normalise(&b"x/../".repeat(100_000)).is_ok());
    }

    proptest! {
        #[test]
        fn components_are_plain_names(name in proptest::collection::vec(
            prop_oneof![Just(b'/'), Just(b'.'), Just(b'a'), any::<u8>()], 0..600)
        ) {
            if let Ok(components) = normalise(&name) {
                for c in &components {
                    prop_assert!(!c.is_empty() && *c != b"." && *c != b"..");
                    prop_assert!(c.len() <= NAME_MAX && !c.contains(&b'/') && !c.contains(&0));
                }
                let again = components.join(&b'/');
                prop_assert_eq!(normalise(&again).unwrap(), components);
            }
        }
    }
}
