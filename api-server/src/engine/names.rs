//! Ids and names of containers.

use super::error::{Error, Result};
use rand::Rng;

const ADJECTIVES: &[&str] = &[
    "able", "agile", "amber", "ample", "azure", "bold", "brave", "breezy", "bright", "brisk", "calm",
    "candid", "clever", "cosy", "crisp", "curious", "daring", "deft", "eager", "early", "earnest", "fair",
    "fleet", "fond", "frank", "free", "fresh", "gentle", "glad", "golden", "grand", "hardy", "hearty",
    "honest", "humble", "jolly", "keen", "kind", "lively", "lucid", "lucky", "mellow", "merry", "mild",
    "modest", "neat", "nimble", "noble", "patient", "placid", "plucky", "polite", "proud", "quick", "quiet",
    "rapid", "ready", "robust", "salty", "serene", "sharp", "silent", "sincere", "smart", "smooth", "snug",
    "sober", "spry", "steady", "stout", "sunny", "sure", "swift", "tidy", "tranquil", "trim", "trusty",
    "upbeat", "vivid", "warm", "wise", "witty", "young", "zesty",
];

/// Seafarers, shipwrights, cartographers and those who made computing what it is.
const SURNAMES: &[&str] = &[
    "albuquerque",
    "amundsen",
    "backus",
    "barents",
    "battuta",
    "baudin",
    "beaufort",
    "behaim",
    "bellingshausen",
    "bering",
    "blackwell",
    "bligh",
    "bougainville",
    "bowditch",
    "cabot",
    "cabral",
    "cartier",
    "champlain",
    "chichester",
    "cook",
    "dampier",
    "dias",
    "dijkstra",
    "drake",
    "elcano",
    "engelbart",
    "eriksson",
    "fitzroy",
    "flinders",
    "foyn",
    "frobisher",
    "gama",
    "gray",
    "hadley",
    "hamilton",
    "harrison",
    "henry",
    "hopper",
    "hudson",
    "humboldt",
    "joliet",
    "kernighan",
    "knuth",
    "kotzebue",
    "lamport",
    "lovelace",
    "magellan",
    "marquette",
    "maury",
    "mcclintock",
    "mercator",
    "mitchell",
    "nansen",
    "naddod",
    "noether",
    "ortelius",
    "parry",
    "piccard",
    "pinzon",
    "polo",
    "ritchie",
    "ross",
    "saavedra",
    "slocum",
    "tasman",
    "thompson",
    "torres",
    "torvalds",
    "turing",
    "urdaneta",
    "vancouver",
    "vespucci",
    "vizcaino",
    "waldseemuller",
    "weddell",
    "wilkes",
    "wirth",
    "zheng",
    "zuse",
];

/// `n` random lower-case hexadecimal digits, which never look like a decimal number in their first twelve (short ids are
/// used as host names).
pub fn random_id() -> String {
    loop {
        let mut bytes = [0u8; 32];
        rand::rng().fill(&mut bytes[..]);
        let id = hex::encode(bytes);
        if id.bytes().take(12).any(|b| b.is_ascii_alphabetic()) {
            return id;
        }
    }
}

/// The id's first twelve digits.
pub fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

/// A name to try; from the second attempt on a digit makes it rarer.
pub fn generate(attempt: u32) -> String {
    let mut rng = rand::rng();
    let adjective = ADJECTIVES[rng.random_range(0..ADJECTIVES.len())];
    let surname = SURNAMES[rng.random_range(0..SURNAMES.len())];
    if attempt == 0 {
        format!("{adjective}_{surname}")
    } else {
        format!("{adjective}_{surname}{}", rng.random_range(0..10))
    }
}

/// Whether `name` matches `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, the rule for containers and volumes.
pub fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.len() >= 2
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// The name without its slash, or the refusal.
pub fn check(name: &str) -> Result<&str> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    if is_valid(bare) {
        Ok(bare)
    } else {
        Err(Error::invalid(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        assert_eq!(check("/web").unwrap(), "web");
        assert!(check("a").is_err());
        assert!(check("-x").is_err());
        assert!(check("a/b").is_err());
        for attempt in 0..3 {
            assert!(is_valid(&generate(attempt)));
        }
        assert_eq!(random_id().len(), 64);
    }
}
