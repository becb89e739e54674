//! Resource limits without cgroups: rlimits for every process, memory by counting resident pages.

use super::procfs::{self, Stat};
use super::{Failure, signals};
use crate::control::{ErrorKind, Spec, Stats, Ulimit};
use crate::kernel::Kernel;
use parking_lot::Mutex;

/// Nanoseconds of a clock tick (USER_HZ is 100 on x86-64).
const TICK_NS: u64 = 10_000_000;

/// What was seen of the container's use of the machine.
#[derive(Debug, Default)]
pub(super) struct Usage {
    memory_max: Mutex<u64>,
}

/// The rlimits of the container's processes: (RLIMIT_*, soft, hard). Those of whoever started Carrack where the spec has
/// none; the supervisor's own are raised and must not be inherited.
pub(super) fn rlimits(spec: &Spec, original_nofile: (u64, u64)) -> Result<Vec<(i32, u64, u64)>, Failure> {
    let mut limits = vec![(libc::RLIMIT_NOFILE as i32, original_nofile.0, original_nofile.1)];
    for Ulimit { name, soft, hard } in &spec.ulimits {
        let which = by_name(name)
            .ok_or_else(|| Failure::new(ErrorKind::Invalid, format!("invalid ulimit type: {name}")))?;
        let value = |v: i64| if v < 0 { libc::RLIM_INFINITY } else { v as u64 };
        let (mut soft, mut hard) = (value(*soft), value(*hard));
        if soft > hard {
            return Err(Failure::new(
                ErrorKind::Invalid,
                format!("ulimit {name}: soft limit must be less than or equal to hard limit"),
            ));
        }
        // An ordinary user cannot go above its own hard limit; the most that can be had is given.
        let ours = getrlimit(which);
        hard = hard.min(ours.1);
        soft = soft.min(hard);
        limits.retain(|l| l.0 != which);
        limits.push((which, soft, hard));
    }
    Ok(limits)
}

/// Soft and hard limit of this process.
fn getrlimit(which: i32) -> (u64, u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for the kernel to write to; an unknown `which` fails and leaves it alone.
    unsafe { libc::getrlimit(which as libc::__rlimit_resource_t, &raw mut limit) };
    (limit.rlim_cur, limit.rlim_max)
}

/// Raises this process's own limit of descriptors as far as it goes; returns what it was.
pub(super) fn raise_nofile() -> (u64, u64) {
    let was = getrlimit(libc::RLIMIT_NOFILE as i32);
    let limit = libc::rlimit { rlim_cur: was.1, rlim_max: was.1 };
    // SAFETY: `limit` is valid for the kernel to read.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    was
}

fn by_name(name: &str) -> Option<i32> {
    let which = match name {
        "as" => libc::RLIMIT_AS,
        "core" => libc::RLIMIT_CORE,
        "cpu" => libc::RLIMIT_CPU,
        "data" => libc::RLIMIT_DATA,
        "fsize" => libc::RLIMIT_FSIZE,
        "locks" => libc::RLIMIT_LOCKS,
        "memlock" => libc::RLIMIT_MEMLOCK,
        "msgqueue" => libc::RLIMIT_MSGQUEUE,
        "nice" => libc::RLIMIT_NICE,
        "nofile" => libc::RLIMIT_NOFILE,
        "nproc" => libc::RLIMIT_NPROC,
        "rss" => libc::RLIMIT_RSS,
        "rtprio" => libc::RLIMIT_RTPRIO,
        "rttime" => libc::RLIMIT_RTTIME,
        "sigpending" => libc::RLIMIT_SIGPENDING,
        "stack" => libc::RLIMIT_STACK,
        _ => return None,
    };
    Some(which as i32)
}

/// What enforcing the memory limit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enforced {
    Nothing,
    /// This process was killed.
    Killed(i32),
}

/// Kills the biggest process when the container uses more than `limit` bytes; see
/// [`procfs::anonymous_bytes`].
pub(super) fn enforce_memory(kernel: &Kernel, usage: &Usage, limit: u64) -> Enforced {
    let mut total = 0;
    let mut biggest = (0, 0);
    for pid in signals::processes(kernel) {
        let rss = procfs::anonymous_bytes(pid);
        total += rss;
        if rss > biggest.0 {
            biggest = (rss, pid);
        }
    }
    let mut max = usage.memory_max.lock();
    *max = (*max).max(total);
    if total <= limit || biggest.1 == 0 {
        return Enforced::Nothing;
    }
    signals::send(biggest.1, libc::SIGKILL);
    Enforced::Killed(biggest.1)
}

/// User and system time of the children that this process has reaped (execs that ended), nanoseconds.
fn time_of_reaped() -> (u64, u64) {
    // SAFETY: a zeroed rusage is a valid one, and the kernel fills it in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let ns = |t: libc::timeval| (t.tv_sec as u64) * 1_000_000_000 + (t.tv_usec as u64) * 1000;
    (ns(usage.ru_utime), ns(usage.ru_stime))
}

/// Present use.
pub(super) fn stats(kernel: &Kernel, spec: &Spec, usage: &Usage) -> Stats {
    let mut stats =
        Stats { memory_limit_bytes: spec.memory_limit, pids_limit: spec.pids_limit, ..Stats::default() };
    for pid in signals::processes(kernel) {
        let Some(stat) = Stat::read(pid) else { continue };
        stats.cpu_user_ns += (stat.utime + stat.cutime) * TICK_NS;
        stats.cpu_system_ns += (stat.stime + stat.cstime) * TICK_NS;
        stats.memory_bytes += procfs::anonymous_bytes(pid);
        stats.pids += 1;
        let (read, written) = procfs::io_bytes(pid);
        stats.blk_read_bytes += read;
        stats.blk_write_bytes += written;
    }
    let (user, system) = time_of_reaped();
    stats.cpu_user_ns += user;
    stats.cpu_system_ns += system;
    let mut max = usage.memory_max.lock();
    *max = (*max).max(stats.memory_bytes);
    stats.memory_max_bytes = *max;
    stats
}
