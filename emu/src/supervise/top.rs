//! `docker top`: the container's processes as `ps -ef` shows them.

use super::procfs::{self, Stat};
use super::signals;
use crate::kernel::Kernel;

const TITLES: [&str; 8] = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];

/// Clock ticks a second (USER_HZ), the same on every x86-64 kernel.
const TICKS: u64 = 100;

/// Titles and rows. Process ids are the host's.
pub(super) fn list(kernel: &Kernel) -> (Vec<String>, Vec<Vec<String>>) {
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec.max(0) as u64;
    let now = time::OffsetDateTime::now_utc();
    let rows =
        signals::processes(kernel).into_iter().filter_map(|pid| row(kernel, pid, uptime, now)).collect();
    (TITLES.map(str::to_owned).to_vec(), rows)
}

fn row(kernel: &Kernel, pid: i32, uptime: u64, now: time::OffsetDateTime) -> Option<Vec<String>> {
    let stat = Stat::read(pid)?;
    if stat.state == b'Z' {
        return None;
    }
    let uid = match kernel.tasks.get(pid).map(|t| t.cred().euid) {
        None | Some(0) => "root".to_owned(),
        Some(uid) => uid.to_string(),
    };
    let age = uptime.saturating_sub(stat.starttime / TICKS);
    let started = now - time::Duration::seconds(age as i64);
    let stime = if age < 24 * 3600 {
        format!("{:02}:{:02}", started.hour(), started.minute())
    } else {
        format!("{}{:02}", &started.month().to_string()[..3], started.day())
    };
    let cpu = (stat.utime + stat.stime) / TICKS;
    let percent = (cpu * 100).checked_div(age).unwrap_or(0).min(99);
    Some(vec![
        uid,
        pid.to_string(),
        stat.ppid.to_string(),
        percent.to_string(),
        stime,
        tty_name(stat.tty_nr),
        format!("{:02}:{:02}:{:02}", cpu / 3600, cpu / 60 % 60, cpu % 60),
        procfs::command_line(pid),
    ])
}

/// `pts/N` of a device number as proc_pid_stat(5) packs it; `?` for none.
fn tty_name(tty_nr: i32) -> String {
    let (major, minor) = ((tty_nr >> 8) & 0xfff, (tty_nr & 0xff) | ((tty_nr >> 12) & 0xfff00));
    if (136..=143).contains(&major) { format!("pts/{}", (major - 136) * 256 + minor) } else { "?".into() }
}
