//! What the host's /proc says of a process. Everything here may be gone by the time it is used.

/// The fields of `/proc/PID/stat` that are needed, proc_pid_stat(5).
#[derive(Debug, Clone, Default)]
pub(super) struct Stat {
    pub(super) state: u8,
    pub(super) ppid: i32,
    pub(super) tty_nr: i32,
    /// Clock ticks.
    pub(super) utime: u64,
    pub(super) stime: u64,
    /// Of waited-for children, clock ticks.
    pub(super) cutime: u64,
    pub(super) cstime: u64,
    /// Clock ticks after boot.
    pub(super) starttime: u64,
}

impl Stat {
    pub(super) fn read(pid: i32) -> Option<Stat> {
        Stat::parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in parentheses may hold anything, so fields are counted from the last `)`.
    fn parse(text: &[u8]) -> Option<Stat> {
        let close = text.iter().rposition(|&b| b == b')')?;
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let f: Vec<&str> = rest.split_ascii_whitespace().collect();
        let num = |i: usize| f.get(i).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        let int = |i: usize| f.get(i).and_then(|v| v.parse::<i32>().ok()).unwrap_or(0);
        Some(Stat {
            state: *f.first()?.as_bytes().first()?,
            ppid: int(1),
            tty_nr: int(4),
            utime: num(11),
            stime: num(12),
            cutime: num(13),
            cstime: num(14),
            starttime: num(19),
        })
    }
}

/// Resident pages that no file backs, bytes: what a cgroup would charge to the container beside caches. Pages that a
/// fork left shared count for each process.
pub(super) fn anonymous_bytes(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let mut fields = text.split_ascii_whitespace().map(|f| f.parse::<u64>().unwrap_or(0));
    let (_, resident, shared) = (fields.next(), fields.next().unwrap_or(0), fields.next().unwrap_or(0));
    resident.saturating_sub(shared).saturating_mul(4096)
}

/// A hexadecimal signal mask of `/proc/PID/status` (`SigCgt`, `SigIgn`, …): bit n−1 is signal n.
pub(super) fn signal_mask(pid: i32, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines()
        .find_map(|l| l.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|v| u64::from_str_radix(v.trim(), 16).ok())
}

/// `/proc/PID/cmdline` with blanks for NULs; the name in brackets when there is none.
pub(super) fn command_line(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&raw).trim_end_matches('\0').replace('\0', " ");
    if !text.is_empty() {
        return text;
    }
    let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("[{}]", String::from_utf8_lossy(&comm).trim_end())
}

/// Bytes that storage was asked for: (read, written). Zero where the host does not say.
pub(super) fn io_bytes(pid: i32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find_map(|l| l.strip_prefix(name))
            .and_then(|v| v.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    (field("read_bytes:"), field("write_bytes:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_program_with_a_hostile_name() {
        let line = b"7 (a) R 1 (x) S 3 7 7 34816 7 4194304 1 2 3 4 50 60 7 8 20 0 1 0 999 1000 42 18446744073709551615";
        let s = Stat::parse(line).expect("parses");
        assert_eq!((s.state, s.ppid, s.tty_nr), (b'S', 3, 34816));
        assert_eq!((s.utime, s.stime, s.starttime), (50, 60, 999));
    }

    #[test]
    fn stat_that_is_cut_off() {
        assert!(Stat::parse(b"7 (a").is_none());
        assert!(Stat::parse(b"7 (a)").is_none());
        assert!(Stat::parse(b"").is_none());
    }
}
