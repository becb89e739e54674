//! The sets of argument values that the table's predicates name.
//!
//! An allow-list grows only by a value that names nothing: no path, process, address, user or device. What is not
//! listed is not refused, it is looked at.

use crate::names::{clone, domain, fcntl::*, ioctl::*, prctl::*, sock_opt::*, sock_type};

pub use crate::names::{domain::AF_NETLINK, msg::MSG_FASTOPEN, sock_level::SOL_SOCKET};

/// ioctl(2) commands that run natively: terminals (tty_ioctl), and the queues and flags of any descriptor.
///
/// Deliberately not here: `TIOCSTI` (types into a terminal), `TIOCGPGRP`, `TIOCSPGRP`, `TIOCGSID` (process ids),
/// `TIOCSETD`, `TIOCCONS`, `TIOCLINUX`, `FIOSETOWN` and its like, `SIOC*` that name interfaces, `FS_IOC_*`.
#[rustfmt::skip]
pub const HARMLESS_IOCTLS: &[u64] = &[
    TCGETS, TCSETS, TCSETSW, TCSETSF, TCGETA, TCSETA, TCSETAW, TCSETAF, TCGETS2, TCSETS2, TCSETSW2, TCSETSF2,
    TCSBRK, TCSBRKP, TIOCSBRK, TIOCCBRK, TCXONC, TCFLSH, TIOCGWINSZ, TIOCSWINSZ, TIOCMGET, TIOCGETD,
    TIOCEXCL, TIOCNXCL, TIOCGEXCL, TIOCSCTTY, TIOCNOTTY, TIOCPKT, TIOCGPKT, TIOCGPTN, TIOCSPTLCK, TIOCGPTLCK,
    TIOCGPTPEER, TIOCOUTQ, FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX, SIOCATMARK, SIOCGSTAMP, SIOCGSTAMPNS,
];

/// fcntl(2) commands that run natively.
///
/// Deliberately not here: `F_SETOWN`, `F_GETOWN`, their `_EX` and `UIDS` forms (process and user ids), `F_SETLEASE`
/// and `F_NOTIFY` (they watch host inodes), `F_CREATED_QUERY` (the supervisor created the file, not the caller).
#[rustfmt::skip]
pub const HARMLESS_FCNTLS: &[u64] = &[
    F_DUPFD, F_DUPFD_CLOEXEC, F_DUPFD_QUERY, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW,
    F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETSIG, F_GETSIG, F_GETLEASE, F_SETPIPE_SZ, F_GETPIPE_SZ,
    F_ADD_SEALS, F_GET_SEALS, F_GET_RW_HINT, F_SET_RW_HINT, F_GET_FILE_RW_HINT, F_SET_FILE_RW_HINT,
];

/// prctl(2) options that run natively: they touch the caller alone.
///
/// Deliberately not here: whatever belongs to credentials (`PR_SET_KEEPCAPS`, `PR_CAP_*`, `PR_*_SECUREBITS`,
/// `PR_*_NO_NEW_PRIVS`), to tracing (`PR_*_DUMPABLE`, `PR_SET_PTRACER`), to death and parents (`PR_SET_PDEATHSIG`,
/// `PR_*_CHILD_SUBREAPER`), to entry into the kernel (`PR_*_SECCOMP`, `PR_SET_SYSCALL_USER_DISPATCH`), and what the
/// loader needs for itself (`PR_SET_MM`, `PR_SET_MDWE`).
#[rustfmt::skip]
pub const HARMLESS_PRCTLS: &[u64] = &[
    PR_GET_PDEATHSIG, PR_GET_TIMING, PR_SET_TIMING, PR_SET_NAME, PR_GET_NAME, PR_GET_TSC, PR_SET_TSC,
    PR_SET_TIMERSLACK, PR_GET_TIMERSLACK, PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE,
    PR_MCE_KILL, PR_MCE_KILL_GET, PR_GET_TID_ADDRESS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE,
    PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SET_MEMORY_MERGE, PR_GET_MEMORY_MERGE,
    PR_TIMER_CREATE_RESTORE_IDS, PR_FUTEX_HASH, PR_GET_AUXV, PR_SET_VMA,
];

/// Families whose sockets are the host's until they are bound or connected.
pub const PLAIN_DOMAINS: &[u64] = &[domain::AF_UNIX, domain::AF_INET, domain::AF_INET6];
/// The bits of socket(2)'s second argument that are the type.
pub const SOCK_TYPE_MASK: u64 = 0xf;
/// Types that see other people's packets.
pub const RAW_TYPES: &[u64] = &[sock_type::SOCK_RAW, sock_type::SOCK_PACKET];

/// Options at `SOL_SOCKET` that setsockopt(2) must not set natively.
pub const HOST_SET_OPTIONS: &[u64] =
    &[SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD, SO_BINDTODEVICE, SO_BINDTOIFINDEX, SO_MARK];
/// Options at `SOL_SOCKET` that getsockopt(2) must not tell natively.
pub const HOST_GET_OPTIONS: &[u64] = &[SO_PEERCRED, SO_PEERSEC, SO_PEERGROUPS, SO_PEERPIDFD];

/// `PRIO_PROCESS`, `PRIO_PGRP`; `PRIO_USER` would reach every process of the host's uid.
pub const PRIO_TASKS: &[u64] = &[0, 1];
/// `IOPRIO_WHO_PROCESS`, `IOPRIO_WHO_PGRP`.
pub const IOPRIO_TASKS: &[u64] = &[1, 2];

/// Every flag of unshare(2) but the two that concern descriptors and semaphores.
pub const NOT_UNSHARED_NATIVELY: u64 = !(clone::CLONE_FILES | clone::CLONE_SYSVSEM);
