//! Times as the API writes and reads them: RFC 3339, Docker's human durations, Unix seconds with a fraction.

use std::time::Duration;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// What an unset time looks like on the wire; clients compare with it.
pub const ZERO: &str = "0001-01-01T00:00:00Z";

pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// RFC 3339 in UTC with nanoseconds.
pub fn rfc3339(t: OffsetDateTime) -> String {
    t.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap_or_else(|_| ZERO.to_string())
}

pub fn parse_rfc3339(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// The time, or the zero time for an empty text.
pub fn or_zero(text: &str) -> &str {
    if text.is_empty() { ZERO } else { text }
}

/// RFC 3339 with always nine digits of fraction, as `docker logs -t` prints it.
pub fn nine_digits(t: OffsetDateTime) -> String {
    let t = t.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.nanosecond()
    )
}

/// Nanoseconds since the epoch of `seconds[.fraction]`, the only form of `since` and `until` of logs and events.
pub fn parse_unix(text: &str) -> Result<i128, String> {
    let bad = || format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_| bad())?;
    if fraction.len() > 20 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let mut nanos: i128 = 0;
    for i in 0..9 {
        let digit = fraction.as_bytes().get(i).map_or(0, |b| i128::from(b - b'0'));
        nanos = nanos * 10 + digit;
    }
    Ok(i128::from(seconds) * 1_000_000_000 + nanos)
}

/// The moment that an `until` of a prune or an image filter means: Unix seconds, a Go duration before now, or a date.
pub fn parse_until(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    if let Ok(nanos) = parse_unix(text) {
        return OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|e| e.to_string());
    }
    if let Some(before) = parse_go_duration(text) {
        let before = time::Duration::try_from(before).unwrap_or(time::Duration::MAX);
        return now.checked_sub(before).ok_or_else(|| format!("{text:?} is before all time"));
    }
    let candidates =
        [text.to_string(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    candidates
        .iter()
        .find_map(|c| parse_rfc3339(c))
        .ok_or_else(|| format!("failed to parse {text:?} as a time or a duration"))
}

/// `1h30m`, `10s`, `500ms`, … as Go writes durations.
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    let mut total = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..unit_len] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[unit_len..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// `5 minutes`, `About an hour`, …: the words of `docker ps`.
pub fn human(seconds: i64) -> String {
    let s = seconds.max(0);
    let minutes = s / 60;
    let hours = (s + 1800) / 3600;
    match () {
        () if s < 1 => "Less than a second".into(),
        () if s == 1 => "1 second".into(),
        () if s < 60 => format!("{s} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", s / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_times_pad_their_fraction() {
        assert_eq!(parse_unix("1.5").unwrap(), 1_500_000_000);
        assert_eq!(parse_unix("1.000000001").unwrap(), 1_000_000_001);
        assert!(parse_unix("yesterday").is_err());
        assert!(parse_unix("1.123456789012345678901").is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(parse_go_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_go_duration("10"), None);
        assert_eq!(parse_go_duration("10x"), None);
    }

    #[test]
    fn words() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (300, "5 minutes"),
            (3600, "About an hour"),
            (3 * 3600, "3 hours"),
            (48 * 3600, "2 days"),
            (35 * 86400, "5 weeks"),
            (400 * 86400, "13 months"),
            (800 * 86400, "2 years"),
        ];
        for (seconds, words) in cases {
            assert_eq!(human(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn nine_digits_always() {
        let t = parse_rfc3339("2026-01-02T03:04:05.5Z").unwrap();
        assert_eq!(nine_digits(t), "2026-01-02T03:04:05.500000000Z");
    }
}
