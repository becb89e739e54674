//! Memory of the container: `/proc/meminfo` and what cgroup files say, under a limit.

use super::subject::all_processes;
use super::view::View;
use crate::errno::Errno;
use crate::kernel::Kernel;
use std::fmt::Write;

const PAGE: u64 = 4096;

/// Bytes of memory that the container's processes use. Pages that processes share as files are not counted.
pub(crate) fn used(kernel: &Kernel) -> u64 {
    let own = |pid: &i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let mut fields = text.split_ascii_whitespace().skip(1).map(|v| v.parse::<u64>().unwrap_or(0));
        let (resident, shared) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
        resident.saturating_sub(shared)
    };
    all_processes(kernel).iter().map(own).sum::<u64>() * PAGE
}

/// `/proc/meminfo`: the host's, unless there is a limit below what the host has.
pub(super) fn meminfo(view: &View<'_>) -> Result<Option<Vec<u8>>, Errno> {
    let limit = view.kernel.spec.memory_limit / 1024;
    if limit == 0 {
        return Ok(None);
    }
    let host = view.host_text()?;
    let host = String::from_utf8_lossy(&host);
    if field(&host, "MemTotal").is_some_and(|total| total <= limit) {
        return Ok(None);
    }
    Ok(Some(limited(&host, limit, used(&view.kernel) / 1024).into_bytes()))
}

fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))?;
    line[key.len() + 1..].split_ascii_whitespace().next()?.parse().ok()
}

/// The host's fields in the host's order, as a machine with `limit` kB would have them.
fn limited(host: &str, limit: u64, used: u64) -> String {
    let used = used.min(limit);
    let free = limit - used;
    let mut out = String::new();
    for line in host.lines() {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let value = rest.split_ascii_whitespace().next().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        let value = match key {
            "MemTotal" => limit,
            "MemFree" | "MemAvailable" => free.min(value),
            "SwapTotal" | "SwapFree" | "SwapCached" | "Buffers" | "Cached" => 0,
            "Active" | "Active(anon)" | "AnonPages" => used,
            "CommitLimit" => limit / 2,
            key if key.starts_with("Vmalloc") || key.starts_with("DirectMap") || key.contains("Huge") => {
                value
            }
            _ => value.min(used),
        };
        let unit = if rest.trim_end().ends_with("kB") { " kB" } else { "" };
        let _ = writeln!(out, "{:<15} {value:>8}{unit}", format!("{key}:"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_the_machine() {
        let host = "MemTotal:       16000000 kB\nMemFree:         9000000 kB\nMemAvailable:   12000000 kB\n\
            Cached:          3000000 kB\nSlab:             500000 kB\nHugePages_Total:       0\n";
        let text = limited(host, 524_288, 100_000);
        let want = "MemTotal:         524288 kB\nMemFree:          424288 kB\nMemAvailable:     424288 kB\n\
            Cached:                0 kB\nSlab:             100000 kB\nHugePages_Total:        0\n";
        assert_eq!(text, want);
        assert_eq!(field(&text, "MemTotal"), Some(524_288));
    }
}
