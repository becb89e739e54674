//! Every file of sysfs.

use crate::errno::Errno;
use crate::fs::proc::table::{Row, dir, file};
use crate::kernel::Kernel;
use What::{Dir, Host, Net, Text};

/// How a file comes about.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// A directory of nothing but its rows.
    Dir,
    /// The host's file, or directory with what [`host`](super::host) lets through.
    Host,
    /// A directory with the network's interfaces.
    Net,
    Text(&'static str),
    Make(fn(&Kernel) -> Result<Vec<u8>, Errno>),
}

/// Linux's top directories are all there; those about devices are empty, since a container has none.
pub(super) static ROWS: [Row<What>; 34] = [
    dir("block", 0o755, Dir),
    dir("bus", 0o755, Dir),
    dir("bus/cpu/devices", 0o755, Dir),
    dir("bus/node/devices", 0o755, Dir),
    dir("bus/pci/devices", 0o755, Dir),
    dir("bus/usb/devices", 0o755, Dir),
    dir("class/block", 0o755, Dir),
    dir("class/mem", 0o755, Dir),
    dir("class/misc", 0o755, Dir),
    dir("class/net", 0o755, Net),
    dir("class/tty", 0o755, Dir),
    dir("dev/block", 0o755, Dir),
    dir("dev/char", 0o755, Dir),
    dir("devices/system/clocksource", 0o755, Host),
    dir("devices/system/cpu", 0o755, Host),
    dir("devices/system/node", 0o755, Host),
    dir("devices/virtual", 0o755, Dir),
    dir("firmware", 0o755, Dir),
    dir("fs/cgroup", 0o755, Dir),
    dir("fs/pstore", 0o750, Dir),
    dir("hypervisor", 0o755, Dir),
    file("kernel/cpu_byteorder", 0o444, Text("little\n")),
    file("kernel/fscaps", 0o444, Text("1\n")),
    dir("kernel/mm", 0o755, Dir),
    dir("kernel/mm/hugepages", 0o755, Host),
    dir("kernel/mm/transparent_hugepage", 0o755, Host),
    file("kernel/profiling", 0o444, Text("0\n")),
    file("kernel/rcu_expedited", 0o444, Text("0\n")),
    file("kernel/rcu_normal", 0o444, Text("0\n")),
    dir("kernel/security", 0o755, Dir),
    file("kernel/uevent_seqnum", 0o444, Text("0\n")),
    dir("module", 0o755, Dir),
    dir("power", 0o755, Dir),
    file("power/state", 0o444, Text("\n")),
];
