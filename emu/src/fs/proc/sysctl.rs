//! `/proc/sys`: sysctls, read-only in a container without `--privileged` because a mount makes it so.

use super::table::{Row, dir, file};
use super::view::{View, What};
use crate::errno::Errno;
use What::{Dir, Host, Make, Sysctl, Text};

/// Every file of `/proc/sys`.
pub(super) static ROWS: [Row<What>; 168] = [
    dir("sys", 0o555, Dir),
    dir("sys/abi", 0o555, Dir),
    dir("sys/debug", 0o555, Dir),
    dir("sys/dev", 0o555, Dir),
    // fs
    file("sys/fs/aio-max-nr", 0o644, Sysctl("65536\n")),
    file("sys/fs/aio-nr", 0o444, Text("0\n")),
    file("sys/fs/dentry-state", 0o444, Text("0\t0\t45\t0\t0\t0\n")),
    file("sys/fs/dir-notify-enable", 0o644, Sysctl("1\n")),
    file("sys/fs/epoll/max_user_watches", 0o644, Sysctl("1000000\n")),
    file("sys/fs/file-max", 0o644, Sysctl("9223372036854775807\n")),
    file("sys/fs/file-nr", 0o444, Host),
    file("sys/fs/inode-nr", 0o444, Text("0\t0\n")),
    file("sys/fs/inode-state", 0o444, Text("0\t0\t0\t0\t0\t0\t0\n")),
    file("sys/fs/inotify/max_queued_events", 0o644, Sysctl("16384\n")),
    file("sys/fs/inotify/max_user_instances", 0o644, Sysctl("128\n")),
    file("sys/fs/inotify/max_user_watches", 0o644, Sysctl("65536\n")),
    file("sys/fs/lease-break-time", 0o644, Sysctl("45\n")),
    file("sys/fs/leases-enable", 0o644, Sysctl("1\n")),
    file("sys/fs/mount-max", 0o644, Sysctl("100000\n")),
    file("sys/fs/mqueue/msg_default", 0o644, Sysctl("10\n")),
    file("sys/fs/mqueue/msg_max", 0o644, Sysctl("10\n")),
    file("sys/fs/mqueue/msgsize_default", 0o644, Sysctl("8192\n")),
    file("sys/fs/mqueue/msgsize_max", 0o644, Sysctl("8192\n")),
    file("sys/fs/mqueue/queues_max", 0o644, Sysctl("256\n")),
    file("sys/fs/nr_open", 0o644, Sysctl("1048576\n")),
    file("sys/fs/overflowgid", 0o644, Text("65534\n")),
    file("sys/fs/overflowuid", 0o644, Text("65534\n")),
    file("sys/fs/pipe-max-size", 0o644, Sysctl("1048576\n")),
    file("sys/fs/pipe-user-pages-hard", 0o644, Sysctl("0\n")),
    file("sys/fs/pipe-user-pages-soft", 0o644, Sysctl("16384\n")),
    // What vfs::permission does, whatever the host does.
    file("sys/fs/protected_fifos", 0o644, Text("1\n")),
    file("sys/fs/protected_hardlinks", 0o644, Text("1\n")),
    file("sys/fs/protected_regular", 0o644, Text("1\n")),
    file("sys/fs/protected_symlinks", 0o644, Text("1\n")),
    file("sys/fs/suid_dumpable", 0o644, Text("0\n")),
    // kernel
    file("sys/kernel/acct", 0o644, Text("4\t2\t30\n")),
    file("sys/kernel/arch", 0o444, Text("x86_64\n")),
    file("sys/kernel/auto_msgmni", 0o644, Text("0\n")),
    file("sys/kernel/cad_pid", 0o600, Text("1\n")),
    file("sys/kernel/cap_last_cap", 0o444, Text("40\n")),
    // The host's may be a path.
    file("sys/kernel/core_pattern", 0o644, Text("core\n")),
    file("sys/kernel/core_pipe_limit", 0o644, Text("0\n")),
    file("sys/kernel/core_uses_pid", 0o644, Text("0\n")),
    file("sys/kernel/ctrl-alt-del", 0o644, Text("0\n")),
    file("sys/kernel/dmesg_restrict", 0o644, Text("1\n")),
    file("sys/kernel/domainname", 0o644, Make(domainname)),
    file("sys/kernel/hostname", 0o644, Make(hostname)),
    file("sys/kernel/hung_task_timeout_secs", 0o644, Sysctl("120\n")),
    file("sys/kernel/io_uring_disabled", 0o644, Text("2\n")),
    file("sys/kernel/kptr_restrict", 0o644, Text("2\n")),
    file("sys/kernel/max_lock_depth", 0o644, Sysctl("1024\n")),
    file("sys/kernel/modules_disabled", 0o644, Text("1\n")),
    file("sys/kernel/msg_next_id", 0o644, Sysctl("-1\n")),
    file("sys/kernel/msgmax", 0o644, Sysctl("8192\n")),
    file("sys/kernel/msgmnb", 0o644, Sysctl("16384\n")),
    file("sys/kernel/msgmni", 0o644, Sysctl("32000\n")),
    file("sys/kernel/ngroups_max", 0o444, Text("65536\n")),
    file("sys/kernel/numa_balancing", 0o644, Sysctl("0\n")),
    file("sys/kernel/osrelease", 0o444, Make(osrelease)),
    file("sys/kernel/ostype", 0o444, Text("Linux\n")),
    file("sys/kernel/overflowgid", 0o644, Text("65534\n")),
    file("sys/kernel/overflowuid", 0o644, Text("65534\n")),
    file("sys/kernel/panic", 0o644, Text("0\n")),
    file("sys/kernel/panic_on_oops", 0o644, Text("0\n")),
    file("sys/kernel/perf_event_max_sample_rate", 0o644, Sysctl("100000\n")),
    file("sys/kernel/perf_event_mlock_kb", 0o644, Sysctl("516\n")),
    // perf_event_open is refused.
    file("sys/kernel/perf_event_paranoid", 0o644, Text("4\n")),
    file("sys/kernel/pid_max", 0o644, Sysctl("4194304\n")),
    file("sys/kernel/printk", 0o644, Text("4\t4\t1\t7\n")),
    file("sys/kernel/pty/max", 0o644, Sysctl("4096\n")),
    file("sys/kernel/pty/nr", 0o444, Text("0\n")),
    file("sys/kernel/pty/reserve", 0o644, Sysctl("1024\n")),
    file("sys/kernel/random/boot_id", 0o444, Make(boot_id)),
    file("sys/kernel/random/entropy_avail", 0o444, Host),
    file("sys/kernel/random/poolsize", 0o444, Sysctl("256\n")),
    file("sys/kernel/random/urandom_min_reseed_secs", 0o644, Text("60\n")),
    file("sys/kernel/random/uuid", 0o444, Host),
    file("sys/kernel/random/write_wakeup_threshold", 0o644, Text("256\n")),
    file("sys/kernel/randomize_va_space", 0o644, Text("2\n")),
    file("sys/kernel/sched_child_runs_first", 0o644, Text("0\n")),
    file("sys/kernel/sched_rr_timeslice_ms", 0o644, Sysctl("100\n")),
    file("sys/kernel/sched_rt_period_us", 0o644, Sysctl("1000000\n")),
    file("sys/kernel/sched_rt_runtime_us", 0o644, Sysctl("950000\n")),
    file(
        "sys/kernel/seccomp/actions_avail",
        0o444,
        Sysctl("kill_process kill_thread trap errno user_notif trace log allow\n"),
    ),
    file(
        "sys/kernel/seccomp/actions_logged",
        0o644,
        Text("kill_process kill_thread trap errno user_notif trace log\n"),
    ),
    file("sys/kernel/sem", 0o644, Sysctl("32000\t1024000000\t500\t32000\n")),
    file("sys/kernel/sem_next_id", 0o644, Sysctl("-1\n")),
    file("sys/kernel/shm_next_id", 0o644, Sysctl("-1\n")),
    file("sys/kernel/shm_rmid_forced", 0o644, Sysctl("0\n")),
    file("sys/kernel/shmall", 0o644, Sysctl("18446744073692774399\n")),
    file("sys/kernel/shmmax", 0o644, Sysctl("18446744073692774399\n")),
    file("sys/kernel/shmmni", 0o644, Sysctl("4096\n")),
    file("sys/kernel/sysrq", 0o644, Text("0\n")),
    file("sys/kernel/tainted", 0o644, Text("0\n")),
    file("sys/kernel/threads-max", 0o644, Sysctl("126000\n")),
    // bpf is refused.
    file("sys/kernel/unprivileged_bpf_disabled", 0o644, Text("2\n")),
    file("sys/kernel/version", 0o444, Make(version)),
    file("sys/kernel/yama/ptrace_scope", 0o644, Sysctl("0\n")),
    // net
    file("sys/net/core/default_qdisc", 0o644, Sysctl("pfifo_fast\n")),
    file("sys/net/core/netdev_max_backlog", 0o644, Sysctl("1000\n")),
    file("sys/net/core/optmem_max", 0o644, Sysctl("131072\n")),
    file("sys/net/core/rmem_default", 0o644, Sysctl("212992\n")),
    file("sys/net/core/rmem_max", 0o644, Sysctl("212992\n")),
    file("sys/net/core/somaxconn", 0o644, Sysctl("4096\n")),
    file("sys/net/core/wmem_default", 0o644, Sysctl("212992\n")),
    file("sys/net/core/wmem_max", 0o644, Sysctl("212992\n")),
    file("sys/net/ipv4/conf/all/forwarding", 0o644, Sysctl("0\n")),
    file("sys/net/ipv4/conf/all/rp_filter", 0o644, Sysctl("0\n")),
    file("sys/net/ipv4/conf/default/forwarding", 0o644, Sysctl("0\n")),
    file("sys/net/ipv4/conf/default/rp_filter", 0o644, Sysctl("0\n")),
    file("sys/net/ipv4/icmp_echo_ignore_all", 0o644, Sysctl("0\n")),
    file("sys/net/ipv4/icmp_echo_ignore_broadcasts", 0o644, Sysctl("1\n")),
    file("sys/net/ipv4/ip_default_ttl", 0o644, Sysctl("64\n")),
    file("sys/net/ipv4/ip_forward", 0o644, Sysctl("0\n")),
    file("sys/net/ipv4/ip_local_port_range", 0o644, Sysctl("32768\t60999\n")),
    file("sys/net/ipv4/ip_local_reserved_ports", 0o644, Sysctl("\n")),
    file("sys/net/ipv4/ip_nonlocal_bind", 0o644, Sysctl("0\n")),
    // Docker's, so that every port and ping are for everybody; what the host allows decides.
    file("sys/net/ipv4/ip_unprivileged_port_start", 0o644, Sysctl("0\n")),
    file("sys/net/ipv4/ping_group_range", 0o644, Sysctl("0\t2147483647\n")),
    file("sys/net/ipv4/tcp_abort_on_overflow", 0o644, Sysctl("0\n")),
    file("sys/net/ipv4/tcp_available_congestion_control", 0o444, Sysctl("reno cubic\n")),
    file("sys/net/ipv4/tcp_allowed_congestion_control", 0o644, Sysctl("reno cubic\n")),
    file("sys/net/ipv4/tcp_congestion_control", 0o644, Sysctl("cubic\n")),
    file("sys/net/ipv4/tcp_ecn", 0o644, Sysctl("2\n")),
    file("sys/net/ipv4/tcp_fastopen", 0o644, Sysctl("1\n")),
    file("sys/net/ipv4/tcp_fin_timeout", 0o644, Sysctl("60\n")),
    file("sys/net/ipv4/tcp_keepalive_intvl", 0o644, Sysctl("75\n")),
    file("sys/net/ipv4/tcp_keepalive_probes", 0o644, Sysctl("9\n")),
    file("sys/net/ipv4/tcp_keepalive_time", 0o644, Sysctl("7200\n")),
    file("sys/net/ipv4/tcp_max_syn_backlog", 0o644, Sysctl("1024\n")),
    file("sys/net/ipv4/tcp_max_tw_buckets", 0o644, Sysctl("65536\n")),
    file("sys/net/ipv4/tcp_mtu_probing", 0o644, Sysctl("0\n")),
    file("sys/net/ipv4/tcp_rmem", 0o644, Sysctl("4096\t131072\t6291456\n")),
    file("sys/net/ipv4/tcp_sack", 0o644, Sysctl("1\n")),
    file("sys/net/ipv4/tcp_slow_start_after_idle", 0o644, Sysctl("1\n")),
    file("sys/net/ipv4/tcp_syn_retries", 0o644, Sysctl("6\n")),
    file("sys/net/ipv4/tcp_synack_retries", 0o644, Sysctl("5\n")),
    file("sys/net/ipv4/tcp_syncookies", 0o644, Sysctl("1\n")),
    file("sys/net/ipv4/tcp_timestamps", 0o644, Sysctl("1\n")),
    file("sys/net/ipv4/tcp_tw_reuse", 0o644, Sysctl("2\n")),
    file("sys/net/ipv4/tcp_window_scaling", 0o644, Sysctl("1\n")),
    file("sys/net/ipv4/tcp_wmem", 0o644, Sysctl("4096\t16384\t4194304\n")),
    file("sys/net/ipv4/udp_rmem_min", 0o644, Sysctl("4096\n")),
    file("sys/net/ipv4/udp_wmem_min", 0o644, Sysctl("4096\n")),
    file("sys/net/ipv6/bindv6only", 0o644, Sysctl("0\n")),
    file("sys/net/ipv6/conf/all/disable_ipv6", 0o644, Sysctl("0\n")),
    file("sys/net/ipv6/conf/all/forwarding", 0o644, Sysctl("0\n")),
    file("sys/net/ipv6/conf/default/disable_ipv6", 0o644, Sysctl("0\n")),
    file("sys/net/ipv6/conf/default/forwarding", 0o644, Sysctl("0\n")),
    file("sys/net/ipv6/conf/lo/disable_ipv6", 0o644, Sysctl("0\n")),
    file("sys/net/unix/max_dgram_qlen", 0o644, Sysctl("512\n")),
    // user
    file("sys/user/max_inotify_instances", 0o644, Sysctl("128\n")),
    file("sys/user/max_inotify_watches", 0o644, Sysctl("65536\n")),
    // No namespace can be made.
    file("sys/user/max_user_namespaces", 0o644, Text("0\n")),
    // vm
    file("sys/vm/dirty_background_ratio", 0o644, Sysctl("10\n")),
    file("sys/vm/dirty_ratio", 0o644, Sysctl("20\n")),
    file("sys/vm/drop_caches", 0o200, Text("")),
    file("sys/vm/legacy_va_layout", 0o644, Text("0\n")),
    file("sys/vm/max_map_count", 0o644, Sysctl("65530\n")),
    file("sys/vm/memfd_noexec", 0o644, Sysctl("0\n")),
    file("sys/vm/min_free_kbytes", 0o644, Sysctl("67584\n")),
    file("sys/vm/mmap_min_addr", 0o644, Sysctl("65536\n")),
    file("sys/vm/nr_hugepages", 0o644, Sysctl("0\n")),
    file("sys/vm/overcommit_memory", 0o644, Sysctl("0\n")),
    file("sys/vm/overcommit_ratio", 0o644, Sysctl("50\n")),
    file("sys/vm/swappiness", 0o644, Sysctl("60\n")),
    file("sys/vm/vfs_cache_pressure", 0o644, Sysctl("100\n")),
    file("sys/vm/zone_reclaim_mode", 0o644, Sysctl("0\n")),
];

fn line(text: &[u8]) -> Vec<u8> {
    [text, b"\n"].concat()
}

fn hostname(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    Ok(line(&view.kernel.uts.read().nodename))
}

fn domainname(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let uts = view.kernel.uts.read();
    Ok(line(if uts.domainname.is_empty() { b"(none)" } else { &uts.domainname }))
}

fn osrelease(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    Ok(line(view.release_and_version().0.as_bytes()))
}

fn version(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    Ok(line(view.release_and_version().1.as_bytes()))
}

fn boot_id(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    Ok(line(view.fs.boot_id.as_bytes()))
}

/// `sys/net/core/somaxconn` is `net.core.somaxconn`; a dot inside a name is written as a slash there.
fn is_called(path: &str, name: &str) -> bool {
    let Some(path) = path.strip_prefix("sys/") else { return false };
    path == name
        || path.len() == name.len()
            && path.bytes().zip(name.bytes()).all(|(p, n)| p == n || (p, n) == (b'/', b'.'))
}

impl View<'_> {
    /// What the container's description says that this sysctl is.
    pub(super) fn sysctl_of_spec(&self) -> Option<Vec<u8>> {
        let set = self.kernel.spec.sysctls.iter().rev().find(|(name, _)| is_called(self.path, name))?;
        Some(line(set.1.trim_end().as_bytes()))
    }

    /// The value that this sysctl starts with.
    pub(super) fn sysctl(&self, default: &str) -> Vec<u8> {
        self.sysctl_of_spec().or_else(|| self.host_text().ok()).unwrap_or_else(|| default.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sysctls() {
        assert!(is_called("sys/net/core/somaxconn", "net.core.somaxconn"));
        assert!(is_called("sys/net/core/somaxconn", "net/core/somaxconn"));
        assert!(!is_called("sys/net/core/somaxconn", "net.core.somaxcon"));
        assert!(!is_called("sys/fs/nr_open", "fs.nr.open"));
    }
}
