//! The text of a call as strace(1) writes it: `openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3`.
//!
//! Arguments are printed by the types of the table. What the call writes is looked up in memory only when it has
//! succeeded; before, and where memory cannot be read, the address is printed. Bytes of the guest come out as
//! printable ASCII, whatever they are, and every string and vector is cut, so that a line is bounded.
//!
//! `text` prints words; `structs` prints what is in memory.

mod structs;
mod text;

#[cfg(test)]
mod tests;

use crate::arg::Kind;
use crate::{PRIVATE_NR, Row, errno, names, nr, row};
use std::fmt::Write;

/// The memory of the caller.
pub trait Memory {
    /// Reads from `addr` on; gives the number of bytes read, which is short where the memory ends, or nothing where
    /// not even the first can be read.
    fn read(&self, addr: u64, buf: &mut [u8]) -> Option<usize>;
}

/// No memory at all: every pointer is printed as an address.
#[derive(Clone, Copy, Debug)]
pub struct NoMemory;

impl Memory for NoMemory {
    fn read(&self, _: u64, _: &mut [u8]) -> Option<usize> {
        None
    }
}

/// How much of a string that is no path is printed, in bytes.
const STRING: usize = 32;
/// How much of a path is printed, in bytes.
const PATH: usize = 4096;
/// How many elements of a vector are printed.
const VECTOR: u64 = 16;

/// The line of a call: its name, its arguments and, where it has returned, its result.
pub fn line(nr: u32, args: &[u64; 6], ret: Option<i64>, memory: &dyn Memory) -> String {
    let mut printer = Printer { row: row(nr), nr, args, ret, memory, out: String::new() };
    printer.call();
    let mut out = printer.out;
    if let Some(ret) = ret {
        out.push_str(" = ");
        out.push_str(&result(nr, ret));
    }
    out
}

/// The text of a result: a number, an address, or -1 with the errno's name and meaning.
pub fn result(nr: u32, ret: i64) -> String {
    let failed = (-i64::from(errno::MAX_ERRNO)..0).contains(&ret);
    if failed {
        let number = ret.unsigned_abs() as i32;
        let text = errno::text(number).unwrap_or("Unknown error");
        return match errno::name(number) {
            Some(name) if errno::is_restart(number) => format!("? {name} ({text})"),
            Some(name) => format!("-1 {name} ({text})"),
            None => format!("-1 E{number} ({text})"),
        };
    }
    match nr {
        nr::mmap | nr::brk | nr::mremap | nr::shmat | nr::map_shadow_stack => format!("{ret:#x}"),
        nr::umask => format!("0{ret:o}"),
        _ => ret.to_string(),
    }
}

/// One call on its way to text.
struct Printer<'a> {
    row: Option<&'static Row>,
    nr: u32,
    args: &'a [u64; 6],
    ret: Option<i64>,
    memory: &'a dyn Memory,
    out: String,
}

impl Printer<'_> {
    /// Appends formatted text. A `String` takes everything.
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(text);
    }

    fn arg(&self, index: usize) -> u64 {
        self.args.get(index).copied().unwrap_or(0)
    }

    /// Whether what the call writes is there to be read.
    fn succeeded(&self) -> bool {
        self.ret.is_some_and(|ret| ret >= 0)
    }

    fn call(&mut self) {
        let Some(row) = self.row else {
            match self.nr {
                PRIVATE_NR => self.out.push_str("carrack"),
                nr => self.put(format_args!("syscall_{nr:#x}")),
            }
            let [a, b, c, d, e, f] = *self.args;
            return self.put(format_args!("({a:#x}, {b:#x}, {c:#x}, {d:#x}, {e:#x}, {f:#x})"));
        };
        self.put(format_args!("{}(", row.name));
        for (index, arg) in row.args.iter().take(self.shown(row)).enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            if !self.special(index) {
                self.argument(index, arg.kind);
            }
        }
        self.out.push(')');
    }

    /// How many of the arguments the call looks at.
    fn shown(&self, row: &Row) -> usize {
        let creates = |flags: u64| flags & (names::open::O_CREAT | 0o20000000) != 0;
        match row.nr {
            nr::open if !creates(self.arg(1)) => 2,
            nr::openat if !creates(self.arg(2)) => 3,
            nr::mremap if self.arg(3) & !names::mremap::MREMAP_MAYMOVE == 0 => 4,
            nr::fcntl => match self.arg(1) as u32 {
                1 | 3 | 9 | 11 | 1025 | 1032 | 1034 => 2,
                _ => 3,
            },
            nr::futex => match self.arg(1) & 0x7f {
                names::futex::FUTEX_WAKE | names::futex::FUTEX_UNLOCK_PI | names::futex::FUTEX_TRYLOCK_PI => {
                    3
                }
                names::futex::FUTEX_WAIT | names::futex::FUTEX_LOCK_PI => 4,
                _ => 6,
            },
            nr::prctl | nr::ptrace | nr::keyctl => {
                let last = (1..row.args.len()).rev().find(|&index| self.arg(index) != 0);
                last.map_or(1, |index| index + 1).max(2)
            }
            nr::clone => {
                let tls = self.arg(0) & names::clone::CLONE_SETTLS != 0;
                let child = names::clone::CLONE_CHILD_SETTID | names::clone::CLONE_CHILD_CLEARTID;
                match self.arg(0) & child != 0 {
                    _ if tls => 5,
                    true => 4,
                    false if self.arg(0) & names::clone::CLONE_PARENT_SETTID != 0 => 3,
                    false => 2,
                }
            }
            _ => row.args.len(),
        }
    }

    /// Arguments whose meaning depends on another one. Says whether it printed this one.
    fn special(&mut self, index: usize) -> bool {
        let word = self.arg(index);
        match (self.nr, index) {
            (nr::fcntl, 2) => self.fcntl_argument(word),
            (nr::ioctl, 2) => self.ioctl_argument(word),
            (nr::prctl, 1) if self.arg(0) as u32 == names::prctl::PR_SET_NAME as u32 => self.string(word, 16),
            (nr::setsockopt | nr::getsockopt, 2) if self.arg(1) as u32 != 1 => {
                self.put(format_args!("{}", word as u32))
            }
            (nr::setsockopt, 3) if self.arg(4) as u32 == 4 => self.int_at(word, false),
            (nr::getsockopt, 3) if self.succeeded() && self.word32(self.arg(4)) == Some(4) => {
                self.int_at(word, false)
            }
            (nr::getcwd, 0) if self.succeeded() => self.string(word, PATH),
            (nr::uname, 0) if self.succeeded() => self.uname(word),
            (nr::wait4, 1) if self.ret.is_some_and(|ret| ret > 0) => self.int_at(word, true),
            (nr::wait4, 1) => self.address(word),
            (nr::clone, 0) => self.clone_flags(word),
            (nr::utimes | nr::futimesat, _) if self.kind(index) == Some(Kind::TimevalPtr) => {
                self.pair(word, "tv_usec")
            }
            (nr::openat2, 2) => self.open_how(word),
            _ => return false,
        }
        true
    }

    fn kind(&self, index: usize) -> Option<Kind> {
        self.row?.args.get(index).map(|arg| arg.kind)
    }

    fn argument(&mut self, index: usize, kind: Kind) {
        if kind.is_pointer() { self.pointer(index, kind) } else { self.word(self.arg(index), kind) }
    }

    /// Whether the call writes what this pointer points at, for types that serve both ways.
    fn is_output(&self, index: usize, kind: Kind) -> bool {
        let name = self.row.and_then(|row| row.args.get(index)).map_or("", |arg| arg.name);
        match kind {
            Kind::Out
            | Kind::StatPtr
            | Kind::StatxPtr
            | Kind::StatfsPtr
            | Kind::RusagePtr
            | Kind::IntPtr
            | Kind::FdPairPtr => true,
            Kind::SigsetPtr => name == "oldset" || self.nr == nr::rt_sigpending,
            Kind::SigactionPtr => name == "oldact",
            Kind::TimespecPtr => {
                matches!(name, "rem" | "res" | "interval") || (name == "tp" && self.nr == nr::clock_gettime)
            }
            Kind::TimevalPtr => self.nr == nr::gettimeofday,
            Kind::ItimerspecPtr => name != "new_value",
            Kind::RlimitPtr => name == "old_limit" || self.nr == nr::getrlimit,
            Kind::EpollEventPtr => name == "events",
            Kind::SiginfoPtr => matches!(self.nr, nr::rt_sigtimedwait | nr::waitid),
            Kind::MsghdrPtr => self.nr == nr::recvmsg,
            Kind::IovPtr => matches!(self.nr, nr::readv | nr::preadv | nr::preadv2 | nr::process_vm_readv),
            Kind::SockaddrPtr => {
                matches!(self.nr, nr::accept | nr::accept4 | nr::recvfrom | nr::getsockname | nr::getpeername)
            }
            Kind::SocklenPtr => true,
            _ => false,
        }
    }

    fn pointer(&mut self, index: usize, kind: Kind) {
        let addr = self.arg(index);
        if addr == 0 {
            return self.out.push_str("NULL");
        }
        if self.is_output(index, kind) && !self.succeeded() {
            return self.address(addr);
        }
        let next = self.arg(index + 1);
        match kind {
            Kind::PathPtr => self.string(addr, PATH),
            Kind::StrPtr => self.string(addr, STRING),
            Kind::In | Kind::Out => self.buffer(index, kind),
            Kind::ArgvPtr => self.vector_of_strings(addr, index),
            Kind::IntPtr | Kind::SocklenPtr => self.int_at(addr, false),
            Kind::FdPairPtr => self.fd_pair(addr),
            Kind::OffPtr => self.offset_at(addr),
            Kind::TimespecPtr => self.time(addr, "tv_nsec"),
            Kind::TimevalPtr => self.time(addr, "tv_usec"),
            Kind::TimespecPairPtr => self.pair(addr, "tv_nsec"),
            Kind::ItimerspecPtr => self.itimerspec(addr),
            Kind::StatPtr => self.stat(addr),
            Kind::StatxPtr => self.statx(addr),
            Kind::StatfsPtr => self.statfs(addr),
            Kind::RlimitPtr => self.rlimit(addr),
            Kind::SockaddrPtr => {
                let len = match self.kind(index + 1) {
                    Some(Kind::SocklenPtr) => self.word32(next),
                    _ => Some(next as u32),
                };
                self.sockaddr(addr, len.unwrap_or(0));
            }
            Kind::IovPtr => {
                let limit = if self.is_output(index, kind) { self.ret } else { None };
                self.iovec(addr, next, limit);
            }
            Kind::MsghdrPtr => self.msghdr(addr),
            Kind::PollfdPtr => self.pollfds(addr, next),
            Kind::EpollEventPtr if self.nr == nr::epoll_ctl => self.epoll_events(addr, None),
            Kind::EpollEventPtr => self.epoll_events(addr, self.ret),
            Kind::SigsetPtr => self.sigset_at(addr),
            Kind::SigactionPtr => self.sigaction(addr),
            Kind::SiginfoPtr => self.siginfo(addr),
            _ => self.address(addr),
        }
    }

    /// Bytes whose length is the next argument and, for those that the call writes, its result.
    fn buffer(&mut self, index: usize, kind: Kind) {
        let addr = self.arg(index);
        let next = self.row.and_then(|row| row.args.get(index + 1));
        let len = match next.map(|arg| (arg.kind, arg.name)) {
            Some((Kind::Size, _)) => self.arg(index + 1),
            Some((Kind::Int, "len" | "bufsiz")) => u64::from(self.arg(index + 1) as u32),
            _ => return self.address(addr),
        };
        let len = match kind {
            Kind::Out => len.min(self.ret.unwrap_or(0).max(0).unsigned_abs()),
            _ => len,
        };
        self.bytes(addr, len);
    }
}
