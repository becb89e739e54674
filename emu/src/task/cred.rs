//! Credentials of a task, credentials(7) and capabilities(7). They live here alone; the host never sees them.

use bitflags::bitflags;

bitflags! {
    /// Capability set, one bit per capability of `linux/capability.h`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Caps: u64 {
        const CHOWN = 1 << 0;
        const DAC_OVERRIDE = 1 << 1;
        const DAC_READ_SEARCH = 1 << 2;
        const FOWNER = 1 << 3;
        const FSETID = 1 << 4;
        const KILL = 1 << 5;
        const SETGID = 1 << 6;
        const SETUID = 1 << 7;
        const SETPCAP = 1 << 8;
        const LINUX_IMMUTABLE = 1 << 9;
        const NET_BIND_SERVICE = 1 << 10;
        const NET_BROADCAST = 1 << 11;
        const NET_ADMIN = 1 << 12;
        const NET_RAW = 1 << 13;
        const IPC_LOCK = 1 << 14;
        const IPC_OWNER = 1 << 15;
        const SYS_MODULE = 1 << 16;
        const SYS_RAWIO = 1 << 17;
        const SYS_CHROOT = 1 << 18;
        const SYS_PTRACE = 1 << 19;
        const SYS_PACCT = 1 << 20;
        const SYS_ADMIN = 1 << 21;
        const SYS_BOOT = 1 << 22;
        const SYS_NICE = 1 << 23;
        const SYS_RESOURCE = 1 << 24;
        const SYS_TIME = 1 << 25;
        const SYS_TTY_CONFIG = 1 << 26;
        const MKNOD = 1 << 27;
        const LEASE = 1 << 28;
        const AUDIT_WRITE = 1 << 29;
        const AUDIT_CONTROL = 1 << 30;
        const SETFCAP = 1 << 31;
        const MAC_OVERRIDE = 1 << 32;
        const MAC_ADMIN = 1 << 33;
        const SYSLOG = 1 << 34;
        const WAKE_ALARM = 1 << 35;
        const BLOCK_SUSPEND = 1 << 36;
        const AUDIT_READ = 1 << 37;
        const PERFMON = 1 << 38;
        const BPF = 1 << 39;
        const CHECKPOINT_RESTORE = 1 << 40;
    }
}

/// What Docker gives a container's root without `--cap-add`.
pub const DOCKER_DEFAULT: Caps = Caps::CHOWN
    .union(Caps::DAC_OVERRIDE)
    .union(Caps::FSETID)
    .union(Caps::FOWNER)
    .union(Caps::MKNOD)
    .union(Caps::NET_RAW)
    .union(Caps::SETGID)
    .union(Caps::SETUID)
    .union(Caps::SETFCAP)
    .union(Caps::SETPCAP)
    .union(Caps::NET_BIND_SERVICE)
    .union(Caps::SYS_CHROOT)
    .union(Caps::KILL)
    .union(Caps::AUDIT_WRITE);

/// Linux's `struct cred`, without what only a real kernel needs. Replaced whole on change (tasks hold `Arc<Cred>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cred {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    /// Supplementary groups, as setgroups(2) gave them.
    pub groups: Vec<u32>,
    pub inheritable: Caps,
    pub permitted: Caps,
    pub effective: Caps,
    pub bounding: Caps,
    pub ambient: Caps,
    pub securebits: u32,
    pub no_new_privs: bool,
}

impl Cred {
    /// Root of a container with the given capabilities.
    pub fn root(caps: Caps) -> Cred {
        Cred {
            uid: 0,
            euid: 0,
            suid: 0,
            fsuid: 0,
            gid: 0,
            egid: 0,
            sgid: 0,
            fsgid: 0,
            groups: vec![0],
            inheritable: Caps::empty(),
            permitted: caps,
            effective: caps,
            bounding: caps,
            ambient: Caps::empty(),
            securebits: 0,
            no_new_privs: false,
        }
    }

    /// A user without capabilities. `bounding` stays what the container allows.
    pub fn user(uid: u32, gid: u32, groups: Vec<u32>, bounding: Caps) -> Cred {
        Cred {
            uid,
            euid: uid,
            suid: uid,
            fsuid: uid,
            gid,
            egid: gid,
            sgid: gid,
            fsgid: gid,
            groups,
            permitted: Caps::empty(),
            effective: Caps::empty(),
            ..Cred::root(bounding)
        }
    }

    /// capable(): whether the effective set has `cap`.
    pub fn capable(&self, cap: Caps) -> bool {
        self.effective.contains(cap)
    }

    /// in_group_p(): whether the file system group or a supplementary group is `gid`.
    pub fn in_group(&self, gid: u32) -> bool {
        self.fsgid == gid || self.groups.contains(&gid)
    }
}
