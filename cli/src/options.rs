//! Values of options: sizes, limits, times, mounts, environment.

use crate::failure::Failure;
use carrack_emu::control::{MountKind, MountSpec, Ulimit};
use std::path::{Path, PathBuf};

/// A size in bytes: a number with an optional unit b, k, m, g, t (powers of 1024, as docker has them).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(format!("{unit:?} is not a unit; use b, k, m, g or t")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a size"))?;
    let value = number * (1u64 << shift) as f64;
    if value.is_finite() && value < u64::MAX as f64 {
        Ok(value as u64)
    } else {
        Err(format!("{text:?} is too large"))
    }
}

/// `NAME=SOFT[:HARD]`.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, String> {
    let wrong = || format!("{text:?} is not of the form NAME=SOFT[:HARD]");
    let (name, values) = text.split_once('=').ok_or_else(wrong)?;
    let number = |v: &str| match v {
        "unlimited" => Ok(-1),
        v => v.parse::<i64>().map_err(|_| wrong()),
    };
    let (soft, hard) = match values.split_once(':') {
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(values)?, number(values)?),
    };
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// `KEY=VALUE`.
pub(crate) fn filter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_ascii_lowercase(), value.to_owned())),
        _ => Err(format!("{text:?} is not of the form KEY=VALUE")),
    }
}

/// `all`, or a number of lines.
pub(crate) fn tail(text: &str) -> Result<String, String> {
    match text {
        "all" => Ok(text.to_owned()),
        n => {
            n.parse::<u64>().map(|n| n.to_string()).map_err(|_| format!("{text:?} is no number, nor \"all\""))
        }
    }
}

/// When a container is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restart {
    /// `no`, `always`, `unless-stopped` or `on-failure`.
    pub(crate) name: String,
    /// How often at most, for `on-failure`; 0: any number of times.
    pub(crate) most: u32,
}

/// `no`, `always`, `unless-stopped`, `on-failure[:N]`.
pub(crate) fn restart(text: &str) -> Result<Restart, String> {
    let (name, most) = text.split_once(':').unwrap_or((text, ""));
    let wrong = || format!("{text:?} is none of no, always, unless-stopped, on-failure[:N]");
    let most = match (name, most) {
        ("no" | "always" | "unless-stopped" | "on-failure", "") => 0,
        ("on-failure", n) => n.parse().map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    Ok(Restart { name: name.to_owned(), most })
}

/// A moment as the API takes it (seconds since 1970): such a number, a time of RFC 3339, or so long ago (`90s`, `1h30m`).
pub(crate) fn moment(text: &str) -> Result<String, String> {
    use time::format_description::well_known::Rfc3339;
    if text.parse::<f64>().is_ok_and(|n| (0.0..1e12).contains(&n)) {
        return Ok(text.to_owned());
    }
    if let Ok(time) = time::OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(format!("{}.{:09}", time.unix_timestamp(), time.nanosecond()));
    }
    match duration(text) {
        Some(seconds) => {
            Ok((time::OffsetDateTime::now_utc().unix_timestamp().saturating_sub_unsigned(seconds))
                .to_string())
        }
        None => Err(format!("{text:?} is no time: use 2024-05-01T12:00:00Z, seconds since 1970, or 1h30m")),
    }
}

/// Seconds of `1h30m`, `90s`, `2d`.
fn duration(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0)?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(total)
}

/// `SOURCE:TARGET[:OPTIONS]`. A missing source is made as a directory, as docker does.
pub(crate) fn volume(text: &str) -> Result<MountSpec, Failure> {
    let wrong = |why: &str| Failure::new(format!("invalid volume {text:?}: {why}"));
    let mut parts = text.splitn(3, ':');
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        return Err(wrong("it should be SOURCE:TARGET[:ro]"));
    };
    let mut read_only = false;
    for option in parts.next().unwrap_or_default().split(',') {
        match option {
            "" | "rw" | "z" | "Z" | "rprivate" | "private" | "consistent" | "cached" | "delegated" => {}
            "ro" => read_only = true,
            other => return Err(wrong(&format!("unknown option {other:?}"))),
        }
    }
    if !target.starts_with('/') {
        return Err(wrong("the target must be an absolute path"));
    }
    if !source.starts_with('/') && !source.starts_with('.') {
        return Err(wrong(
            "the source must be a path that begins with / or . (named volumes need the daemon)",
        ));
    }
    let source = std::path::absolute(source).map_err(|e| wrong(&e.to_string()))?;
    if !source.exists() {
        std::fs::create_dir_all(&source).map_err(|e| wrong(&e.to_string()))?;
    }
    let source = source.canonicalize().map_err(|e| wrong(&e.to_string()))?;
    Ok(MountSpec {
        kind: MountKind::Bind,
        source,
        target: target.to_owned(),
        read_only,
        size: 0,
        mode: None,
        copy_up: false,
    })
}

/// `TARGET[:size=…,mode=…,ro]`.
pub(crate) fn tmpfs(text: &str) -> Result<MountSpec, Failure> {
    let wrong = |why: String| Failure::new(format!("invalid tmpfs {text:?}: {why}"));
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    if !target.starts_with('/') {
        return Err(wrong("the target must be an absolute path".into()));
    }
    let mut mount = MountSpec {
        kind: MountKind::Tmpfs,
        source: PathBuf::new(),
        target: target.to_owned(),
        read_only: false,
        size: 0,
        mode: None,
        copy_up: false,
    };
    for option in options.split(',') {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", value) => mount.size = bytes(value).map_err(wrong)?,
            ("mode", value) => {
                let mode = u32::from_str_radix(value, 8).map_err(|e| wrong(e.to_string()))?;
                mount.mode = Some(mode & 0o7777);
            }
            ("ro", _) => mount.read_only = true,
            ("" | "rw" | "exec" | "noexec" | "nosuid" | "nodev", _) => {}
            (other, _) => return Err(wrong(format!("unknown option {other:?}"))),
        }
    }
    Ok(mount)
}

/// `NAME=VALUE` as it is; `NAME` with the value it has here, or nothing where it has none.
pub(crate) fn env(text: &str) -> Option<String> {
    if text.contains('=') {
        return Some(text.to_owned());
    }
    std::env::var(text).ok().map(|value| format!("{text}={value}"))
}

/// The variables of a file: one a line; empty lines and lines that begin with `#` are skipped.
pub(crate) fn env_file(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::doing(path.display(), e))?;
    Ok(text
        .lines()
        .map(str::trim_start)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .filter_map(env)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("512m"), Ok(512 << 20));
        assert_eq!(bytes("1.5g"), Ok(3 << 29));
        assert_eq!(bytes("64KiB"), Ok(64 << 10));
        assert_eq!(bytes("7b"), Ok(7));
        assert!(bytes("x").is_err() && bytes("1q").is_err() && bytes("").is_err() && bytes("1e400").is_err());
    }

    #[test]
    fn limits() {
        let limit = |t| ulimit(t).map(|u| (u.name, u.soft, u.hard));
        assert_eq!(limit("nofile=1:2"), Ok(("nofile".into(), 1, 2)));
        assert_eq!(limit("core=unlimited"), Ok(("core".into(), -1, -1)));
        assert!(ulimit("nofile").is_err() && ulimit("nofile=a").is_err());
    }

    #[test]
    fn times() {
        assert_eq!(duration("1h30m"), Some(5400));
        assert_eq!(duration("2d"), Some(172_800));
        for bad in ["", "1", "h", "1x", "99999999999999999999d", "1hm", "1ü"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(moment("1700000000"), Ok("1700000000".into()));
        assert_eq!(moment("1970-01-01T00:01:00Z"), Ok("60.000000000".into()));
        assert!(moment("10m").unwrap().parse::<i64>().unwrap() > 1_700_000_000);
        assert!(moment("yesterday").is_err() && moment("-1").is_err());
    }

    #[test]
    fn policies_and_filters() {
        assert_eq!(restart("on-failure:3"), Ok(Restart { name: "on-failure".into(), most: 3 }));
        assert!(restart("always:3").is_err() && restart("sometimes").is_err());
        assert_eq!(filter("Label=a=b"), Ok(("label".into(), "a=b".into())));
        assert!(filter("label").is_err() && filter("=x").is_err());
        assert!(tail("all").is_ok() && tail("7").is_ok() && tail("-1").is_err());
    }

    #[test]
    fn mounts() {
        assert!(volume("/tmp:/x:ro").unwrap().read_only);
        for bad in ["/tmp", "/tmp:x", "name:/x", "/tmp:/x:wat"] {
            assert!(volume(bad).is_err(), "{bad}");
        }
        let t = tmpfs("/x:size=1m,mode=700").unwrap();
        assert_eq!((t.size, t.mode), (1 << 20, Some(0o700)));
        assert!(tmpfs("x").is_err() && tmpfs("/x:what=1").is_err());
    }
}
