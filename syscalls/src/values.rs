//! The sets of argument values that the table's predicates name. Numbers are those of x86-64 Linux's own headers.
//!
//! An allow-list grows only by a value that names nothing: no path, process, address, user or device. What is not
//! listed is not refused, it is looked at.

/// ioctl(2) commands that run natively: terminals (tty_ioctl), and the queues and flags of any descriptor.
///
/// Deliberately not here: `TIOCSTI` (types into a terminal), `TIOCGPGRP`, `TIOCSPGRP`, `TIOCGSID` (process ids),
/// `TIOCSETD`, `TIOCCONS`, `TIOCLINUX`, `FIOSETOWN` and its like, `SIOC*` that name interfaces, `FS_IOC_*`.
pub const HARMLESS_IOCTLS: &[u64] = &[
    0x5401,      // TCGETS
    0x5402,      // TCSETS
    0x5403,      // TCSETSW
    0x5404,      // TCSETSF
    0x5405,      // TCGETA
    0x5406,      // TCSETA
    0x5407,      // TCSETAW
    0x5408,      // TCSETAF
    0x5409,      // TCSBRK
    0x540a,      // TCXONC
    0x540b,      // TCFLSH
    0x540c,      // TIOCEXCL
    0x540d,      // TIOCNXCL
    0x540e,      // TIOCSCTTY
    0x5411,      // TIOCOUTQ, SIOCOUTQ
    0x5413,      // TIOCGWINSZ
    0x5414,      // TIOCSWINSZ
    0x5415,      // TIOCMGET
    0x541b,      // FIONREAD, TIOCINQ, SIOCINQ
    0x5420,      // TIOCPKT
    0x5421,      // FIONBIO
    0x5422,      // TIOCNOTTY
    0x5424,      // TIOCGETD
    0x5425,      // TCSBRKP
    0x5427,      // TIOCSBRK
    0x5428,      // TIOCCBRK
    0x5441,      // TIOCGPTPEER
    0x5450,      // FIONCLEX
    0x5451,      // FIOCLEX
    0x5452,      // FIOASYNC
    0x8905,      // SIOCATMARK
    0x8906,      // SIOCGSTAMP
    0x8907,      // SIOCGSTAMPNS
    0x4004_5431, // TIOCSPTLCK
    0x402c_542b, // TCSETS2
    0x402c_542c, // TCSETSW2
    0x402c_542d, // TCSETSF2
    0x8004_5430, // TIOCGPTN
    0x8004_5438, // TIOCGPKT
    0x8004_5439, // TIOCGPTLCK
    0x8004_5440, // TIOCGEXCL
    0x802c_542a, // TCGETS2
];

/// fcntl(2) commands that run natively.
///
/// Deliberately not here: `F_SETOWN`, `F_GETOWN`, their `_EX` and `UIDS` forms (process and user ids), `F_SETLEASE`
/// and `F_NOTIFY` (they watch host inodes), `F_CREATED_QUERY` (the supervisor created the file, not the caller).
pub const HARMLESS_FCNTLS: &[u64] = &[
    0,    // F_DUPFD
    1,    // F_GETFD
    2,    // F_SETFD
    3,    // F_GETFL
    4,    // F_SETFL
    5,    // F_GETLK
    6,    // F_SETLK
    7,    // F_SETLKW
    10,   // F_SETSIG
    11,   // F_GETSIG
    36,   // F_OFD_GETLK
    37,   // F_OFD_SETLK
    38,   // F_OFD_SETLKW
    1025, // F_GETLEASE
    1027, // F_DUPFD_QUERY
    1030, // F_DUPFD_CLOEXEC
    1031, // F_SETPIPE_SZ
    1032, // F_GETPIPE_SZ
    1033, // F_ADD_SEALS
    1034, // F_GET_SEALS
    1035, // F_GET_RW_HINT
    1036, // F_SET_RW_HINT
    1037, // F_GET_FILE_RW_HINT
    1038, // F_SET_FILE_RW_HINT
];

/// prctl(2) options that run natively: they touch the caller alone.
///
/// Deliberately not here: whatever belongs to credentials (`PR_SET_KEEPCAPS`, `PR_CAP_*`, `PR_*_SECUREBITS`,
/// `PR_*_NO_NEW_PRIVS`), to tracing (`PR_*_DUMPABLE`, `PR_SET_PTRACER`), to death and parents (`PR_SET_PDEATHSIG`,
/// `PR_*_CHILD_SUBREAPER`), to entry into the kernel (`PR_*_SECCOMP`, `PR_SET_SYSCALL_USER_DISPATCH`), and what the
/// loader needs for itself (`PR_SET_MM`, `PR_SET_MDWE`).
pub const HARMLESS_PRCTLS: &[u64] = &[
    2,           // PR_GET_PDEATHSIG
    13,          // PR_GET_TIMING
    14,          // PR_SET_TIMING
    15,          // PR_SET_NAME
    16,          // PR_GET_NAME
    25,          // PR_GET_TSC
    26,          // PR_SET_TSC
    29,          // PR_SET_TIMERSLACK
    30,          // PR_GET_TIMERSLACK
    31,          // PR_TASK_PERF_EVENTS_DISABLE
    32,          // PR_TASK_PERF_EVENTS_ENABLE
    33,          // PR_MCE_KILL
    34,          // PR_MCE_KILL_GET
    40,          // PR_GET_TID_ADDRESS
    41,          // PR_SET_THP_DISABLE
    42,          // PR_GET_THP_DISABLE
    52,          // PR_GET_SPECULATION_CTRL
    53,          // PR_SET_SPECULATION_CTRL
    67,          // PR_SET_MEMORY_MERGE
    68,          // PR_GET_MEMORY_MERGE
    77,          // PR_TIMER_CREATE_RESTORE_IDS
    78,          // PR_FUTEX_HASH
    0x4155_5856, // PR_GET_AUXV
    0x5356_4d41, // PR_SET_VMA
];

/// `AF_UNIX`, `AF_INET`, `AF_INET6`.
pub const PLAIN_DOMAINS: &[u64] = &[1, 2, 10];
/// `AF_NETLINK`.
pub const AF_NETLINK: u64 = 16;
/// `NETLINK_ROUTE`.
pub const NETLINK_ROUTE: u64 = 0;
/// The bits of socket(2)'s second argument that are the type.
pub const SOCK_TYPE_MASK: u64 = 0xf;
/// `SOCK_RAW`, `SOCK_PACKET`.
pub const RAW_TYPES: &[u64] = &[3, 10];
/// `MSG_FASTOPEN`: sendto(2) that connects.
pub const MSG_FASTOPEN: u64 = 0x2000_0000;

/// `SOL_SOCKET`.
pub const SOL_SOCKET: u64 = 1;
/// Options at `SOL_SOCKET` that setsockopt(2) must not set natively.
pub const HOST_SET_OPTIONS: &[u64] = &[
    16, // SO_PASSCRED
    25, // SO_BINDTODEVICE
    34, // SO_PASSSEC
    36, // SO_MARK
    62, // SO_BINDTOIFINDEX
    76, // SO_PASSPIDFD
];
/// Options at `SOL_SOCKET` that getsockopt(2) must not tell natively.
pub const HOST_GET_OPTIONS: &[u64] = &[
    17, // SO_PEERCRED
    31, // SO_PEERSEC
    59, // SO_PEERGROUPS
    77, // SO_PEERPIDFD
];

/// `PRIO_PROCESS`, `PRIO_PGRP`; `PRIO_USER` would reach every process of the host's uid.
pub const PRIO_TASKS: &[u64] = &[0, 1];
/// `IOPRIO_WHO_PROCESS`, `IOPRIO_WHO_PGRP`.
pub const IOPRIO_TASKS: &[u64] = &[1, 2];

/// Every flag of unshare(2) but `CLONE_FILES` and `CLONE_SYSVSEM`.
pub const NOT_UNSHARED_NATIVELY: u64 = !(0x400 | 0x4_0000);
