//! Every file of the container's cgroup: `Documentation/admin-guide/cgroup-v2.rst`.

use super::rows::What;
use crate::errno::Errno;
use crate::fs::proc::table::{Row, file};
use crate::fs::proc::{memory_used, processes, threads};
use crate::kernel::Kernel;
use What::{Make, Text};
use std::fmt::Write;

pub(super) static ROWS: [Row<What>; 42] = [
    file("cgroup.controllers", 0o444, Text("cpuset cpu io memory pids\n")),
    file("cgroup.events", 0o444, Text("populated 1\nfrozen 0\n")),
    file("cgroup.freeze", 0o644, Text("0\n")),
    file("cgroup.max.depth", 0o644, Text("max\n")),
    file("cgroup.max.descendants", 0o644, Text("max\n")),
    file("cgroup.procs", 0o644, Make(procs)),
    file("cgroup.stat", 0o444, Text("nr_descendants 0\nnr_dying_descendants 0\n")),
    file("cgroup.subtree_control", 0o644, Text("\n")),
    file("cgroup.threads", 0o644, Make(thread_ids)),
    file("cgroup.type", 0o644, Text("domain\n")),
    file("cpu.idle", 0o644, Text("0\n")),
    file("cpu.max", 0o644, Make(cpu_max)),
    file("cpu.max.burst", 0o644, Text("0\n")),
    file("cpu.stat", 0o444, Make(cpu_stat)),
    file("cpu.weight", 0o644, Text("100\n")),
    file("cpu.weight.nice", 0o644, Text("0\n")),
    file("cpuset.cpus", 0o644, Text("\n")),
    file("cpuset.cpus.effective", 0o444, Make(cpus)),
    file("cpuset.cpus.partition", 0o644, Text("member\n")),
    file("cpuset.mems", 0o644, Text("\n")),
    file("cpuset.mems.effective", 0o444, Make(mems)),
    file("io.max", 0o644, Text("")),
    file("io.stat", 0o444, Text("")),
    file("io.weight", 0o644, Text("default 100\n")),
    file("memory.current", 0o444, Make(memory_current)),
    file("memory.events", 0o444, Text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n")),
    file("memory.high", 0o644, Text("max\n")),
    file("memory.low", 0o644, Text("0\n")),
    file("memory.max", 0o644, Make(memory_max)),
    file("memory.min", 0o644, Text("0\n")),
    file("memory.numa_stat", 0o444, Text("")),
    file("memory.oom.group", 0o644, Text("0\n")),
    file("memory.peak", 0o444, Make(memory_current)),
    file("memory.stat", 0o444, Make(memory_stat)),
    file("memory.swap.current", 0o444, Text("0\n")),
    file("memory.swap.events", 0o444, Text("high 0\nmax 0\nfail 0\n")),
    file("memory.swap.high", 0o644, Text("max\n")),
    file("memory.swap.max", 0o644, Make(memory_swap_max)),
    file("pids.current", 0o444, Make(pids_current)),
    file("pids.events", 0o444, Text("max 0\n")),
    file("pids.max", 0o644, Make(pids_max)),
    file("pids.peak", 0o444, Make(pids_current)),
];

type Made = Result<Vec<u8>, Errno>;

fn line(value: impl std::fmt::Display) -> Made {
    Ok(format!("{value}\n").into_bytes())
}

fn limit(value: u64) -> Made {
    if value == 0 { line("max") } else { line(value) }
}

fn procs(kernel: &Kernel) -> Made {
    let mut text = String::new();
    for pid in processes(kernel) {
        let _ = writeln!(text, "{}", kernel.tasks.guest_pid(pid));
    }
    Ok(text.into_bytes())
}

fn thread_ids(kernel: &Kernel) -> Made {
    let mut text = String::new();
    for tid in processes(kernel).into_iter().flat_map(threads) {
        let _ = writeln!(text, "{}", kernel.tasks.guest_pid(tid));
    }
    Ok(text.into_bytes())
}

/// Microseconds in each period, and the period.
fn cpu_max(kernel: &Kernel) -> Made {
    match kernel.spec.milli_cpus {
        0 => line("max 100000"),
        milli => line(format_args!("{} 100000", milli.saturating_mul(100))),
    }
}

/// Processes that live, and the children that they waited for.
fn cpu_stat(kernel: &Kernel) -> Made {
    const MICROSECONDS_OF_A_TICK: u64 = 10_000;
    let (mut user, mut system) = (0, 0);
    for pid in processes(kernel) {
        let text = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some(end) = text.iter().rposition(|&b| b == b')') else { continue };
        let rest = String::from_utf8_lossy(&text[end + 1..]).into_owned();
        let ticks: Vec<u64> =
            rest.split_ascii_whitespace().skip(11).take(4).map(|v| v.parse().unwrap_or(0)).collect();
        if let [utime, stime, cutime, cstime] = ticks[..] {
            user += (utime + cutime) * MICROSECONDS_OF_A_TICK;
            system += (stime + cstime) * MICROSECONDS_OF_A_TICK;
        }
    }
    let total = user + system;
    let text = format!(
        "usage_usec {total}\nuser_usec {user}\nsystem_usec {system}\n\
         nr_periods 0\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n"
    );
    Ok(text.into_bytes())
}

/// The host's list, which all containers share.
fn list(path: &str) -> Made {
    Ok(std::fs::read(path).unwrap_or_else(|_| b"0\n".to_vec()))
}

fn cpus(_: &Kernel) -> Made {
    list("/sys/devices/system/cpu/online")
}

fn mems(_: &Kernel) -> Made {
    list("/sys/devices/system/node/online")
}

fn memory_current(kernel: &Kernel) -> Made {
    line(memory_used(kernel))
}

fn memory_max(kernel: &Kernel) -> Made {
    limit(kernel.spec.memory_limit)
}

fn memory_swap_max(kernel: &Kernel) -> Made {
    if kernel.spec.memory_limit == 0 { line("max") } else { line(0) }
}

fn memory_stat(kernel: &Kernel) -> Made {
    let used = memory_used(kernel);
    let mut text = format!("anon {used}\n");
    let zeros = [
        "file",
        "kernel",
        "kernel_stack",
        "pagetables",
        "sock",
        "shmem",
        "file_mapped",
        "file_dirty",
        "file_writeback",
        "swapcached",
        "anon_thp",
        "inactive_anon",
    ];
    for name in zeros {
        let _ = writeln!(text, "{name} 0");
    }
    let _ = writeln!(text, "active_anon {used}");
    for name in [
        "inactive_file",
        "active_file",
        "unevictable",
        "slab_reclaimable",
        "slab_unreclaimable",
        "slab",
        "pgfault",
        "pgmajfault",
    ] {
        let _ = writeln!(text, "{name} 0");
    }
    Ok(text.into_bytes())
}

fn pids_current(kernel: &Kernel) -> Made {
    line(processes(kernel).into_iter().map(|pid| threads(pid).len()).sum::<usize>())
}

fn pids_max(kernel: &Kernel) -> Made {
    limit(kernel.spec.pids_limit)
}
