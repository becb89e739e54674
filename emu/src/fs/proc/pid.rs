//! `/proc/PID`: every file of a process, and those that take no more than a line to make.

use super::table::{Row, Table, dir, file, link};
use super::view::{View, What};
use super::{maps, mounts, net, status};
use crate::err;
use crate::errno::Errno;
use crate::task::FsStruct;
use crate::vfs::Path;
use What::{Edit, FdInfos, Fds, Host, HostRw, Kept, Magic, Make, Ns, Refused, Tasks, Text};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// Every file of `/proc/PID` and `/proc/PID/task/TID`, except the network's. Modes and guards are those of
/// `fs/proc/base.c`.
static ROWS: [Row<What>; 65] = [
    file("arch_status", 0o444, Host),
    file("attr/current", 0o666, Refused(libc::EINVAL)),
    file("attr/exec", 0o666, Refused(libc::EINVAL)),
    file("attr/fscreate", 0o666, Refused(libc::EINVAL)),
    file("attr/keycreate", 0o666, Refused(libc::EINVAL)),
    file("attr/prev", 0o444, Refused(libc::EINVAL)),
    file("attr/sockcreate", 0o666, Refused(libc::EINVAL)),
    file("auxv", 0o400, Host).read(),
    file("cgroup", 0o444, Text("0::/\n")),
    file("children", 0o444, Make(status::children)),
    file("clear_refs", 0o200, HostRw),
    file("cmdline", 0o444, Host),
    file("comm", 0o644, HostRw),
    file("coredump_filter", 0o644, HostRw),
    file("cpuset", 0o444, Text("/\n")),
    link("cwd", Magic(cwd)).read(),
    file("environ", 0o400, Host).read(),
    link("exe", Magic(exe)).read(),
    dir("fd", 0o500, Fds).read(),
    dir("fdinfo", 0o555, FdInfos).read(),
    file("gid_map", 0o644, Text("         0          0 4294967295\n")),
    file("io", 0o400, Edit(host_text)).read(),
    file("limits", 0o444, Host),
    file("loginuid", 0o644, Kept("4294967295")),
    file("maps", 0o444, Edit(maps::maps)).read(),
    file("mem", 0o600, HostRw).attach(),
    file("mountinfo", 0o444, Make(mounts::mountinfo)),
    file("mounts", 0o444, Make(mounts::mounts)),
    file("mountstats", 0o400, Make(mounts::mountstats)),
    dir("ns", 0o511, What::Dir),
    // A container shares its user and time namespaces with the host; the others are its own.
    link("ns/cgroup", Ns(4_026_532_210)).read(),
    link("ns/ipc", Ns(4_026_532_208)).read(),
    link("ns/mnt", Ns(4_026_532_206)).read(),
    link("ns/net", Ns(4_026_532_211)).read(),
    link("ns/pid", Ns(4_026_532_209)).read(),
    link("ns/pid_for_children", Ns(4_026_532_209)).read(),
    link("ns/time", Ns(4_026_531_834)).read(),
    link("ns/time_for_children", Ns(4_026_531_834)).read(),
    link("ns/user", Ns(4_026_531_837)).read(),
    link("ns/uts", Ns(4_026_532_207)).read(),
    file("numa_maps", 0o444, Edit(maps::numa_maps)).read(),
    file("oom_adj", 0o644, HostRw),
    file("oom_score", 0o444, Edit(host_text)),
    file("oom_score_adj", 0o644, HostRw),
    // Physical addresses: the supervisor could see more of them than the guest may.
    file("pagemap", 0o400, Refused(libc::EPERM)),
    file("personality", 0o400, Make(personality)).attach(),
    file("projid_map", 0o644, Text("         0          0 4294967295\n")),
    link("root", Magic(root)).read(),
    file("sched", 0o644, Edit(status::sched)),
    file("schedstat", 0o444, Host),
    file("sessionid", 0o444, Text("4294967295")),
    file("setgroups", 0o644, Text("allow\n")),
    file("smaps", 0o444, Edit(maps::maps)).read(),
    file("smaps_rollup", 0o444, Host).read(),
    file("stack", 0o400, Refused(libc::EPERM)),
    file("stat", 0o444, Edit(status::stat)),
    file("statm", 0o444, Host),
    file("status", 0o444, Edit(status::status)),
    file("syscall", 0o400, Edit(host_text)).attach(),
    dir("task", 0o555, Tasks),
    file("timens_offsets", 0o644, Text("monotonic           0         0\nboottime            0         0\n")),
    file("timers", 0o444, Edit(timers)),
    file("timerslack_ns", 0o666, HostRw),
    file("uid_map", 0o644, Text("         0          0 4294967295\n")),
    file("wchan", 0o444, Edit(wchan)),
];

/// The rows as a tree.
pub(super) fn table() -> &'static Table<What> {
    static TABLE: OnceLock<Table<What>> = OnceLock::new();
    TABLE.get_or_init(|| {
        Table::new(&[&ROWS, &net::ROWS], |row| row.what.is_possible("/proc/thread-self", row.path))
    })
}

/// Rows that threads (`/proc/PID/task/TID`) do not have.
pub(super) fn only_of_processes(path: &str) -> bool {
    matches!(path, "task" | "mountstats" | "timers" | "timerslack_ns" | "coredump_filter" | "timens_offsets")
}

/// What the host says now, read by the supervisor: the host would judge a reader by what it may do to the process.
fn host_text(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    view.host_text()
}

/// Rows that only threads have.
pub(super) fn only_of_threads(path: &str) -> bool {
    path == "children"
}

/// The text of a link in `ns`.
pub(super) fn ns_text(name: &str, number: u32) -> String {
    format!("{}:[{number}]", name.strip_suffix("_for_children").unwrap_or(name))
}

/// The program. ENOENT before there is one, and for zombies.
fn exe(view: &View<'_>) -> Result<Path, Errno> {
    let process = &view.subject()?.process;
    if process.is_dead() {
        return Err(err!(ENOENT));
    }
    process.exe.read().clone().ok_or(err!(ENOENT))
}

/// Where the task is. ENOENT for zombies.
fn fs_of(view: &View<'_>) -> Result<FsStruct, Errno> {
    let subject = view.subject()?;
    if subject.process.is_dead() {
        return Err(err!(ENOENT));
    }
    Ok(subject.task(&view.kernel).ok_or(err!(ENOENT))?.fs())
}

fn cwd(view: &View<'_>) -> Result<Path, Errno> {
    Ok(fs_of(view)?.cwd)
}

fn root(view: &View<'_>) -> Result<Path, Errno> {
    Ok(fs_of(view)?.root)
}

fn personality(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let personality = view.subject()?.process.personality.load(Ordering::Relaxed);
    Ok(format!("{personality:08x}\n").into_bytes())
}

/// The pids that timers notify are left as the host numbers them, except init's.
fn timers(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let text = view.host_text()?;
    let init = view.kernel.tasks.init();
    let text = String::from_utf8_lossy(&text);
    Ok(text
        .replace(&format!("pid.{init}\n"), "pid.1\n")
        .replace(&format!("tid.{init}\n"), "tid.1\n")
        .into_bytes())
}

/// The kernel function in which it waits; a wait for the supervisor tells nothing.
fn wchan(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let text = view.host_text()?;
    let ours = text.windows(7).any(|w| w == b"seccomp");
    Ok(if ours { b"0".to_vec() } else { text })
}
