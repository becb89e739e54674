//! Words as text: numbers, names, flags.

use super::Printer;
use crate::arg::{DirFd, FromRaw, Kind};
use crate::{names, names::name_of, nr};

/// A family of constants.
type Names = &'static [(u64, &'static str)];

impl Printer<'_> {
    /// An address, or NULL.
    pub(super) fn address(&mut self, addr: u64) {
        if addr == 0 { self.out.push_str("NULL") } else { self.put(format_args!("{addr:#x}")) }
    }

    /// The name of a value, or the number.
    pub(super) fn named(&mut self, value: u64, names: Names) {
        match name_of(value, names) {
            Some(name) => self.out.push_str(name),
            None if value < 10 => self.put(format_args!("{value}")),
            None => self.put(format_args!("{value:#x}")),
        }
    }

    /// Flags joined by `|`; what has no name in hexadecimal; `0` or its name where there is none.
    pub(super) fn flags(&mut self, word: u64, names: Names) {
        let mut rest = word;
        let mut first = true;
        for &(value, name) in names {
            if value != 0 && rest & value == value {
                self.bar(&mut first);
                self.out.push_str(name);
                rest &= !value;
            }
        }
        if rest != 0 {
            self.bar(&mut first);
            self.put(format_args!("{rest:#x}"));
        }
        if first {
            self.out.push_str(name_of(0, names).unwrap_or("0"));
        }
    }

    /// The bar before every flag but the first.
    fn bar(&mut self, first: &mut bool) {
        if !std::mem::take(first) {
            self.out.push('|');
        }
    }

    /// A field of a few values, then flags.
    fn field_and_flags(&mut self, word: u64, field: u64, values: Names, names: Names) {
        self.named(word & field, values);
        if word & !field != 0 {
            self.out.push('|');
            self.flags(word & !field, names);
        }
    }

    /// A word of the given type.
    pub(super) fn word(&mut self, word: u64, kind: Kind) {
        let int = word as u32 as i32;
        let uint = u64::from(word as u32);
        match kind {
            Kind::DirFd if DirFd::from_raw(word).is_cwd() => self.out.push_str("AT_FDCWD"),
            Kind::Fd | Kind::DirFd | Kind::Int | Kind::Pid | Kind::Tid => self.put(format_args!("{int}")),
            Kind::Uid | Kind::Gid if int == -1 => self.out.push_str("-1"),
            Kind::Uint | Kind::Uid | Kind::Gid => self.put(format_args!("{uint}")),
            Kind::Long | Kind::Off => self.put(format_args!("{}", word as i64)),
            Kind::Ulong if word > u64::from(u32::MAX) => self.put(format_args!("{word:#x}")),
            Kind::Ulong | Kind::Size => self.put(format_args!("{word}")),
            Kind::Mode => self.mode(uint),
            Kind::Dev => {
                let (major, minor) = ((uint >> 8) & 0xfff, (uint & 0xff) | ((uint >> 12) & 0xfff00));
                self.put(format_args!("makedev({major:#x}, {minor:#x})"));
            }
            Kind::Signal => self.signal(uint),
            Kind::OpenFlags => self.open_flags(uint),
            Kind::FdFlags => self.fd_flags(uint),
            Kind::AtFlags if uint == 0x200 && matches!(self.nr, nr::faccessat | nr::faccessat2) => {
                self.out.push_str("AT_EACCESS");
            }
            Kind::AtFlags => self.flags(uint, names::at::NAMES),
            Kind::AccessMode if uint == 0 => self.out.push_str("F_OK"),
            Kind::AccessMode => self.flags(uint, names::access::NAMES),
            Kind::Whence => self.named(uint, names::whence::NAMES),
            Kind::FcntlCmd => self.named(uint, names::fcntl::NAMES),
            Kind::IoctlCmd => self.named(uint, names::ioctl::NAMES),
            Kind::FlockOp => self.flags(uint, names::flock::NAMES),
            Kind::RenameFlags => self.flags(uint, names::rename::NAMES),
            Kind::XattrFlags => self.flags(uint, names::xattr::NAMES),
            Kind::StatxMask => self.flags(uint, names::statx::NAMES),
            Kind::MountFlags => self.flags(word, names::mount::NAMES),
            Kind::UmountFlags => self.flags(uint, names::umount::NAMES),
            Kind::MemfdFlags => self.flags(uint, names::memfd::NAMES),
            Kind::RandomFlags => self.flags(uint, names::random::NAMES),
            Kind::MmapProt => self.flags(word, names::prot::NAMES),
            Kind::MmapFlags => self.field_and_flags(word, 0xf, names::map_type::NAMES, names::map::NAMES),
            Kind::MremapFlags => self.flags(word, names::mremap::NAMES),
            Kind::MsyncFlags => self.flags(uint, names::msync::NAMES),
            Kind::Advice => self.named(uint, names::madvise::NAMES),
            Kind::CloneFlags => self.flags(word, names::clone::NAMES),
            Kind::WaitFlags => self.flags(uint, names::wait::NAMES),
            Kind::FutexOp => self.field_and_flags(uint, 0x7f, names::futex::NAMES, names::futex_flag::NAMES),
            Kind::PrctlOp => self.named(uint, names::prctl::NAMES),
            Kind::PtraceOp => self.named(word, names::ptrace::NAMES),
            Kind::ClockId => self.named(uint, names::clock::NAMES),
            Kind::Resource => self.named(uint, names::rlimit::NAMES),
            Kind::SigHow => self.named(uint, names::sig_how::NAMES),
            Kind::EpollOp => self.named(uint, names::epoll_op::NAMES),
            Kind::Domain => self.named(uint, names::domain::NAMES),
            Kind::SockType => {
                self.named(uint & 0xf, names::sock_type::NAMES);
                if uint & !0xf != 0 {
                    self.out.push('|');
                    self.prefixed_flags(uint & !0xf, "SOCK_");
                }
            }
            Kind::MsgFlags => self.flags(uint, names::msg::NAMES),
            Kind::SockLevel => self.named(uint, names::sock_level::NAMES),
            Kind::SockOpt => self.named(uint, names::sock_opt::NAMES),
            Kind::ShutHow => self.named(uint, names::shutdown::NAMES),
            _ => self.put(format_args!("{word:#x}")),
        }
    }

    /// The mode of a file in octal, its type by name.
    pub(super) fn mode(&mut self, mode: u64) {
        if let Some(name) = name_of(mode & 0o170000, names::file_type::NAMES) {
            self.put(format_args!("{name}|0{:03o}", mode & 0o7777));
        } else if mode == 0 {
            self.out.push_str("000");
        } else {
            self.put(format_args!("0{mode:03o}"));
        }
    }

    pub(super) fn signal(&mut self, signal: u64) {
        match signal {
            32 => self.out.push_str("SIGRTMIN"),
            33..=64 => self.put(format_args!("SIGRT_{}", signal - 32)),
            _ => self.named(signal, names::signal::NAMES),
        }
    }

    pub(super) fn open_flags(&mut self, flags: u64) {
        self.field_and_flags(flags, 3, names::access_mode::NAMES, names::open::NAMES);
    }

    pub(super) fn clone_flags(&mut self, flags: u64) {
        let signal = flags & 0xff;
        if flags & !0xff != 0 {
            self.flags(flags & !0xff, names::clone::NAMES);
            if signal == 0 {
                return;
            }
            self.out.push('|');
        }
        self.signal(signal);
    }

    /// The flags of a call that makes a descriptor, under the names that its man page gives them.
    fn fd_flags(&mut self, flags: u64) {
        let prefix = match self.nr {
            nr::accept4 => "SOCK_",
            nr::eventfd2 => "EFD_",
            nr::epoll_create1 => "EPOLL_",
            nr::timerfd_create => "TFD_",
            nr::signalfd4 => "SFD_",
            nr::inotify_init1 => "IN_",
            _ => "O_",
        };
        self.prefixed_flags(flags, prefix);
    }

    fn prefixed_flags(&mut self, flags: u64, prefix: &str) {
        let known = [
            (names::open::O_CLOEXEC, "CLOEXEC"),
            (names::open::O_NONBLOCK, "NONBLOCK"),
            (
                if prefix == "EFD_" { 1 } else { names::open::O_DIRECT },
                if prefix == "EFD_" { "SEMAPHORE" } else { "DIRECT" },
            ),
        ];
        let mut rest = flags;
        let mut first = true;
        for (value, name) in known {
            if rest & value != 0 {
                self.bar(&mut first);
                self.put(format_args!("{prefix}{name}"));
                rest &= !value;
            }
        }
        if rest != 0 || first {
            self.bar(&mut first);
            if rest == 0 { self.out.push('0') } else { self.put(format_args!("{rest:#x}")) }
        }
    }

    /// Bytes between double quotes, escaped as C does.
    pub(super) fn quote(&mut self, bytes: &[u8], cut: bool) {
        self.out.push('"');
        for (index, &byte) in bytes.iter().enumerate() {
            match byte {
                b'"' | b'\\' => self.put(format_args!("\\{}", char::from(byte))),
                b'\n' => self.out.push_str("\\n"),
                b'\t' => self.out.push_str("\\t"),
                b'\r' => self.out.push_str("\\r"),
                0x0b => self.out.push_str("\\v"),
                0x0c => self.out.push_str("\\f"),
                b' '..=b'~' => self.out.push(char::from(byte)),
                // A digit that follows would be read as part of a short octal number.
                _ if bytes.get(index + 1).is_some_and(u8::is_ascii_digit) => {
                    self.put(format_args!("\\{byte:03o}"))
                }
                _ => self.put(format_args!("\\{byte:o}")),
            }
        }
        self.out.push('"');
        if cut {
            self.out.push_str("...");
        }
    }
}
