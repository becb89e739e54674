//! `/proc`: every file that is about no process, and those that take no more than a line to make.

use super::table::{Row, Table, dir, file, link};
use super::view::{View, What};
use super::{meminfo, net, subject, sysctl};
use crate::err;
use crate::errno::Errno;
use What::{Dir, Edit, Host, HostOr, Link, Make, Refused, Target, Text};
use std::sync::OnceLock;

/// Every file of `/proc` itself, except processes and `/proc/sys`. Where it says the host's, it is about the machine, which
/// the container shares.
static ROWS: [Row<What>; 51] = [
    dir("bus", 0o555, Dir),
    file("bus/input/devices", 0o444, Text("")),
    file("bus/input/handlers", 0o444, Text("")),
    file("cmdline", 0o444, Text("BOOT_IMAGE=/boot/vmlinuz root=/dev/root ro quiet\n")),
    file("consoles", 0o444, Text("")),
    file("cpuinfo", 0o444, Host),
    file("crypto", 0o444, Host),
    file("devices", 0o444, Text(DEVICES)),
    file("diskstats", 0o444, Text("")),
    file("dma", 0o444, Text(" 4: cascade\n")),
    dir("driver", 0o555, Dir),
    file("execdomains", 0o444, Text("0-0\tLinux           \t[kernel]\n")),
    file("fb", 0o444, Text("")),
    file("filesystems", 0o444, Text(FILESYSTEMS)),
    dir("fs", 0o555, Dir),
    file("interrupts", 0o444, Edit(head)),
    file("iomem", 0o400, Text("")),
    file("ioports", 0o400, Text("")),
    dir("irq", 0o555, Dir),
    file("kallsyms", 0o444, Text("")),
    file("kmsg", 0o400, Refused(libc::EPERM)),
    file("loadavg", 0o444, Edit(loadavg)),
    file("locks", 0o444, Text("")),
    file("meminfo", 0o444, HostOr(meminfo::meminfo)),
    file("misc", 0o444, Text("")),
    file("modules", 0o444, Text("")),
    link("mounts", Target("self/mounts")),
    link("net", net::LINK),
    file("partitions", 0o444, Text("major minor  #blocks  name\n\n")),
    file("schedstat", 0o444, Host),
    link("self", Link(own)),
    file("softirqs", 0o444, Edit(head)),
    file("stat", 0o444, Host),
    file("swaps", 0o444, Text("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")),
    file("sysrq-trigger", 0o200, Refused(libc::EIO)),
    file("sysvipc/msg", 0o444, Text(MSG_HEAD)),
    file("sysvipc/sem", 0o444, Text(SEM_HEAD)),
    file("sysvipc/shm", 0o444, Text(SHM_HEAD)),
    link("thread-self", Link(own_thread)),
    file("tty/drivers", 0o444, Text(TTY_DRIVERS)),
    dir("tty/driver", 0o500, Dir),
    dir("tty/ldisc", 0o555, Dir),
    file("tty/ldiscs", 0o444, Text("n_tty       0\n")),
    file("uptime", 0o444, Host),
    file("version", 0o444, Make(version)),
    file("vmstat", 0o444, Host),
    file("zoneinfo", 0o444, Host),
    file("buddyinfo", 0o444, Host),
    file("pagetypeinfo", 0o400, Text("")),
    file("slabinfo", 0o400, Text("")),
    file("vmallocinfo", 0o400, Text("")),
];

const DEVICES: &str = "Character devices:\n  1 mem\n  4 tty\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n 10 misc\n\
    128 ptm\n136 pts\n\nBlock devices:\n";
const FILESYSTEMS: &str = "nodev\tsysfs\nnodev\ttmpfs\nnodev\tbdev\nnodev\tproc\nnodev\tcgroup2\nnodev\tdevtmpfs\n\
    nodev\tsockfs\nnodev\tpipefs\nnodev\tramfs\nnodev\tdevpts\nnodev\tmqueue\nnodev\toverlay\n\text4\n";
const TTY_DRIVERS: &str = "/dev/tty             /dev/tty        5       0 system:/dev/tty\n\
    /dev/console         /dev/console    5       1 system:console\n\
    /dev/ptmx            /dev/ptmx       5       2 system\n\
    pty_slave            /dev/pts      136 0-1048575 pty:slave\n\
    pty_master           /dev/ptm      128 0-1048575 pty:master\n";
const SHM_HEAD: &str = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n";
const SEM_HEAD: &str =
    "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n";
const MSG_HEAD: &str = "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n";

/// The rows as a tree.
pub(super) fn table() -> &'static Table<What> {
    static TABLE: OnceLock<Table<What>> = OnceLock::new();
    TABLE.get_or_init(|| Table::new(&[&ROWS, &sysctl::ROWS], |row| row.what.is_possible("/proc", row.path)))
}

/// `/proc/self`. ENOENT where nobody of the container asks.
fn own(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let task = view.reader().ok_or(err!(ENOENT))?;
    Ok(view.kernel.tasks.guest_pid(task.tgid).to_string().into_bytes())
}

/// `/proc/thread-self`
fn own_thread(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let task = view.reader().ok_or(err!(ENOENT))?;
    let tasks = &view.kernel.tasks;
    Ok(format!("{}/task/{}", tasks.guest_pid(task.tgid), tasks.guest_pid(task.tid)).into_bytes())
}

/// The first line of the host's file: columns without rows.
fn head(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let mut text = view.host_text()?;
    let end = text.iter().position(|&b| b == b'\n').map_or(text.len(), |at| at + 1);
    text.truncate(end);
    Ok(text)
}

/// The machine's load; the container's numbers of threads and its newest process.
fn loadavg(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let host = String::from_utf8_lossy(&view.host_text()?).into_owned();
    let loads: Vec<&str> = host.split_ascii_whitespace().take(3).collect();
    let pids = subject::all_processes(&view.kernel);
    let threads: usize = pids.iter().map(|&pid| subject::threads(pid).len()).sum();
    let newest = pids.last().map_or(0, |&pid| view.kernel.tasks.guest_pid(pid));
    Ok(format!("{} 1/{} {newest}\n", loads.join(" "), threads.max(1)).into_bytes())
}

fn version(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let (release, version) = view.release_and_version();
    Ok(format!("Linux version {release} (root@localhost) (gcc, GNU ld) {version}\n").into_bytes())
}
