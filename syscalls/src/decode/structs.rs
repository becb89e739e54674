//! What is in memory as text: strings, vectors, structures of the x86-64 ABI.
//!
//! Everything is read once, in one piece, to a buffer of ours. What cannot be read is printed as its address.

use super::{Printer, STRING, VECTOR};
use crate::names::{self, name_of};
use std::net::Ipv6Addr;

const PAGE: u64 = 4096;

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    bytes.get(offset..offset + 2).and_then(|word| word.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..offset + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..offset + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

impl Printer<'_> {
    /// Exactly `N` bytes, or nothing.
    fn fetch<const N: usize>(&self, addr: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self.memory.read(addr, &mut bytes) {
            Some(read) if addr != 0 && read >= N => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn word32(&self, addr: u64) -> Option<u32> {
        self.fetch(addr).map(u32::from_le_bytes)
    }

    /// Prints a structure of `N` bytes, or the address where it cannot be read.
    fn structure<const N: usize>(&mut self, addr: u64, print: impl FnOnce(&mut Self, &[u8; N])) {
        match self.fetch(addr) {
            Some(bytes) => print(self, &bytes),
            None => self.address(addr),
        }
    }

    /// A string that ends with a NUL; at most `limit` bytes of it.
    pub(super) fn string(&mut self, addr: u64, limit: usize) {
        let mut bytes: Vec<u8> = Vec::new();
        let mut chunk = [0; 256];
        while bytes.len() <= limit {
            // Not over the end of a page at once: the next one may not be there.
            let Some(here) = addr.checked_add(bytes.len() as u64) else { break };
            let len = ((PAGE - here % PAGE) as usize).min(chunk.len());
            let Some(read) =
                self.memory.read(here, &mut chunk[..len]).filter(|&read| read > 0 && read <= len)
            else {
                break;
            };
            if let Some(end) = chunk[..read].iter().position(|&byte| byte == 0) {
                bytes.extend_from_slice(&chunk[..end]);
                let cut = bytes.len() > limit;
                bytes.truncate(limit);
                return self.quote(&bytes, cut);
            }
            bytes.extend_from_slice(&chunk[..read]);
        }
        if bytes.is_empty() {
            return self.address(addr);
        }
        bytes.truncate(limit);
        self.quote(&bytes, true);
    }

    /// Bytes of a known length.
    pub(super) fn bytes(&mut self, addr: u64, len: u64) {
        let wanted = len.min(STRING as u64) as usize;
        let mut bytes = [0; STRING];
        match self.memory.read(addr, &mut bytes[..wanted]) {
            _ if wanted == 0 => self.out.push_str("\"\""),
            Some(read) if read > 0 && read <= wanted => self.quote(&bytes[..read], (read as u64) < len),
            _ => self.address(addr),
        }
    }

    /// argv in full as far as a vector goes; of the environment only the number of strings.
    pub(super) fn vector_of_strings(&mut self, addr: u64, index: usize) {
        let is_environment =
            self.row.and_then(|row| row.args.get(index)).is_some_and(|arg| arg.name == "envp");
        let limit = if is_environment { 4096 } else { VECTOR };
        let mut count = 0;
        let mark = self.out.len();
        self.out.push('[');
        while count <= limit {
            let pointer = addr.checked_add(8 * count).and_then(|at| self.fetch(at)).map(u64::from_le_bytes);
            match pointer {
                None if count == 0 => {
                    self.out.truncate(mark);
                    return self.address(addr);
                }
                None | Some(0) => break,
                Some(_) if is_environment => {}
                Some(_) if count == limit => self.out.push_str(", ..."),
                Some(pointer) => {
                    if count > 0 {
                        self.out.push_str(", ");
                    }
                    self.string(pointer, STRING * 4);
                }
            }
            count += 1;
        }
        self.out.push(']');
        if is_environment {
            self.out.truncate(mark);
            self.put(format_args!("{addr:#x} /* {count} vars */"));
        }
    }

    /// One int between brackets, as a wait status where it is one.
    pub(super) fn int_at(&mut self, addr: u64, is_status: bool) {
        let Some(value) = self.word32(addr) else { return self.address(addr) };
        match value {
            _ if !is_status => self.put(format_args!("[{}]", value as i32)),
            0xffff => self.out.push_str("[{WIFCONTINUED(s)}]"),
            _ if value & 0x7f == 0 => {
                let code = (value >> 8) & 0xff;
                self.put(format_args!("[{{WIFEXITED(s) && WEXITSTATUS(s) == {code}}}]"));
            }
            _ => {
                let stopped = value & 0xff == 0x7f;
                let (test, get) =
                    if stopped { ("WIFSTOPPED", "WSTOPSIG") } else { ("WIFSIGNALED", "WTERMSIG") };
                self.put(format_args!("[{{{test}(s) && {get}(s) == "));
                self.signal(u64::from(if stopped { (value >> 8) & 0xff } else { value & 0x7f }));
                self.out.push_str("}]");
            }
        }
    }

    pub(super) fn fd_pair(&mut self, addr: u64) {
        self.structure::<8>(addr, |p, b| {
            p.put(format_args!("[{}, {}]", u32_at(b, 0) as i32, u32_at(b, 4) as i32))
        });
    }

    pub(super) fn offset_at(&mut self, addr: u64) {
        self.structure::<8>(addr, |p, b| p.put(format_args!("[{}]", u64_at(b, 0) as i64)));
    }

    fn time_text(&mut self, b: &[u8], fraction: &str) {
        match u64_at(b, 8) {
            0x3fff_ffff if fraction == "tv_nsec" => self.out.push_str("UTIME_NOW"),
            0x3fff_fffe if fraction == "tv_nsec" => self.out.push_str("UTIME_OMIT"),
            part => self.put(format_args!("{{tv_sec={}, {fraction}={}}}", u64_at(b, 0) as i64, part as i64)),
        }
    }

    pub(super) fn time(&mut self, addr: u64, fraction: &str) {
        self.structure::<16>(addr, |p, b| p.time_text(b, fraction));
    }

    pub(super) fn pair(&mut self, addr: u64, fraction: &str) {
        self.structure::<32>(addr, |p, b| {
            p.out.push('[');
            p.time_text(&b[..16], fraction);
            p.out.push_str(", ");
            p.time_text(&b[16..], fraction);
            p.out.push(']');
        });
    }

    pub(super) fn itimerspec(&mut self, addr: u64) {
        self.structure::<32>(addr, |p, b| {
            p.out.push_str("{it_interval=");
            p.time_text(&b[..16], "tv_nsec");
            p.out.push_str(", it_value=");
            p.time_text(&b[16..], "tv_nsec");
            p.out.push('}');
        });
    }

    pub(super) fn stat(&mut self, addr: u64) {
        self.structure::<144>(addr, |p, b| {
            p.out.push_str("{st_mode=");
            p.mode(u32_at(b, 24).into());
            let mode = u32_at(b, 24) & 0o170000;
            if mode == 0o20000 || mode == 0o60000 {
                p.put(format_args!(", st_rdev={:#x}, ...}}", u64_at(b, 40)));
            } else {
                p.put(format_args!(", st_size={}, ...}}", u64_at(b, 48) as i64));
            }
        });
    }

    pub(super) fn statx(&mut self, addr: u64) {
        self.structure::<256>(addr, |p, b| {
            p.out.push_str("{stx_mask=");
            p.flags(u32_at(b, 0).into(), names::statx::NAMES);
            p.out.push_str(", stx_mode=");
            p.mode(u16_at(b, 28).into());
            p.put(format_args!(", stx_size={}, ...}}", u64_at(b, 40)));
        });
    }

    pub(super) fn statfs(&mut self, addr: u64) {
        self.structure::<120>(addr, |p, b| {
            p.put(format_args!(
                "{{f_type={:#x}, f_bsize={}, f_blocks={}, f_bfree={}, ...}}",
                u64_at(b, 0),
                u64_at(b, 8),
                u64_at(b, 16),
                u64_at(b, 24)
            ));
        });
    }

    pub(super) fn uname(&mut self, addr: u64) {
        self.structure::<390>(addr, |p, b| {
            let fields = ["{sysname=", ", nodename=", ", release=", ", version=", ", machine="];
            for (field, text) in fields.iter().zip(b.chunks(65)) {
                p.out.push_str(field);
                p.quote(text.split(|&byte| byte == 0).next().unwrap_or(&[]), false);
            }
            p.out.push_str(", ...}");
        });
    }

    pub(super) fn rlimit(&mut self, addr: u64) {
        self.structure::<16>(addr, |p, b| {
            let mut field = |name: &str, limit: u64| match limit {
                u64::MAX => p.put(format_args!("{name}=RLIM64_INFINITY")),
                limit if limit % 1024 == 0 && limit > 0 => {
                    p.put(format_args!("{name}={}*1024", limit / 1024))
                }
                limit => p.put(format_args!("{name}={limit}")),
            };
            field("{rlim_cur", u64_at(b, 0));
            field(", rlim_max", u64_at(b, 8));
            p.out.push('}');
        });
    }

    pub(super) fn sockaddr(&mut self, addr: u64, len: u32) {
        let mut bytes = [0; 128];
        let len = bytes.len().min(len as usize);
        let read = self.memory.read(addr, &mut bytes[..len]).unwrap_or(0).min(len);
        let b = &bytes[..read];
        if addr == 0 || read < 2 {
            return self.address(addr);
        }
        let family = u64::from(u16_at(b, 0));
        self.out.push_str("{sa_family=");
        self.named(family, names::domain::NAMES);
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        match family {
            names::domain::AF_UNIX if read > 2 => {
                // An abstract name starts with a NUL and has no end but its length.
                let (at, path) = match b[2] {
                    0 => ("@", &b[3..]),
                    _ => ("", b[2..].split(|&byte| byte == 0).next().unwrap_or(&[])),
                };
                self.put(format_args!(", sun_path={at}"));
                self.quote(path, false);
            }
            names::domain::AF_INET if read >= 8 => {
                let [.., a, b, c, d] = bytes[..8] else { return };
                self.put(format_args!(", sin_port=htons({port}), sin_addr=inet_addr(\"{a}.{b}.{c}.{d}\")"));
            }
            names::domain::AF_INET6 if read >= 24 => {
                let ip: [u8; 16] = bytes[8..24].try_into().unwrap_or_default();
                let (ip, flow, scope) = (Ipv6Addr::from(ip), u32_at(b, 4).swap_bytes(), u32_at(b, 24));
                self.put(format_args!(", sin6_port=htons({port}), sin6_flowinfo={flow}, "));
                self.put(format_args!("sin6_addr=\"{ip}\", sin6_scope_id={scope}"));
            }
            names::domain::AF_NETLINK if read >= 12 => {
                self.put(format_args!(", nl_pid={}, nl_groups={:#x}", u32_at(b, 4), u32_at(b, 8)));
            }
            _ if read > 2 => {
                self.out.push_str(", sa_data=");
                self.quote(&b[2..read.min(2 + STRING)], read > 2 + STRING);
            }
            _ => {}
        }
        self.out.push('}');
    }

    /// A vector of `struct iovec`. `written` is how many bytes the call wrote to it, where it did.
    pub(super) fn iovec(&mut self, addr: u64, count: u64, written: Option<i64>) {
        let mut left = written.map(|written| written.max(0).unsigned_abs());
        self.vector::<16>(addr, count, |p, b| {
            let (base, len) = (u64_at(b, 0), u64_at(b, 8));
            let here = left.map_or(len, |left| len.min(left));
            left = left.map(|left| left - here);
            p.out.push_str("{iov_base=");
            p.bytes(base, here);
            p.put(format_args!(", iov_len={len}}}"));
        });
    }

    /// A vector of structures of `N` bytes.
    fn vector<const N: usize>(&mut self, addr: u64, count: u64, mut print: impl FnMut(&mut Self, &[u8; N])) {
        self.out.push('[');
        for index in 0..count {
            if index > 0 {
                self.out.push_str(", ");
            }
            if index == VECTOR {
                self.out.push_str("...");
                break;
            }
            match addr.checked_add(index * N as u64).and_then(|at| self.fetch(at)) {
                Some(bytes) => print(self, &bytes),
                None => {
                    self.out.push_str("...");
                    break;
                }
            }
        }
        self.out.push(']');
    }

    pub(super) fn msghdr(&mut self, addr: u64) {
        let written = if self.nr == crate::nr::recvmsg { self.ret } else { None };
        self.structure::<56>(addr, |p, b| {
            p.out.push_str("{msg_name=");
            p.sockaddr(u64_at(b, 0), u32_at(b, 8));
            p.put(format_args!(", msg_namelen={}, msg_iov=", u32_at(b, 8) as i32));
            p.iovec(u64_at(b, 16), u64_at(b, 24), written);
            p.put(format_args!(
                ", msg_iovlen={}, msg_controllen={}, msg_flags=",
                u64_at(b, 24),
                u64_at(b, 40)
            ));
            p.flags(u32_at(b, 48).into(), names::msg::NAMES);
            p.out.push('}');
        });
    }

    pub(super) fn pollfds(&mut self, addr: u64, count: u64) {
        let returned = self.ret.is_some_and(|ret| ret > 0);
        self.vector::<8>(addr, u64::from(count as u32), |p, b| {
            p.put(format_args!("{{fd={}, events=", u32_at(b, 0) as i32));
            p.flags(u16_at(b, 4).into(), names::poll::NAMES);
            if returned && u16_at(b, 6) != 0 {
                p.out.push_str(", revents=");
                p.flags(u16_at(b, 6).into(), names::poll::NAMES);
            }
            p.out.push('}');
        });
    }

    /// One event, or as many as were returned.
    pub(super) fn epoll_events(&mut self, addr: u64, count: Option<i64>) {
        let event = |p: &mut Self, b: &[u8; 12]| {
            p.out.push_str("{events=");
            p.flags(u32_at(b, 0).into(), names::epoll::NAMES);
            p.put(format_args!(", data={:#x}}}", u64_at(b, 4)));
        };
        match count {
            Some(count) => self.vector::<12>(addr, count.max(0).unsigned_abs(), event),
            None => self.structure::<12>(addr, event),
        }
    }

    fn sigset(&mut self, set: u64) {
        let negated = set.count_ones() > 32;
        let set = if negated { !set } else { set };
        self.out.push_str(if negated { "~[" } else { "[" });
        let mut first = true;
        for signal in (1..=64).filter(|signal| set & (1 << (signal - 1)) != 0) {
            if !std::mem::take(&mut first) {
                self.out.push(' ');
            }
            match name_of(signal, names::signal::NAMES) {
                Some(name) => self.out.push_str(name.trim_start_matches("SIG")),
                None => self.put(format_args!("RT_{}", signal - 32)),
            }
        }
        self.out.push(']');
    }

    pub(super) fn sigset_at(&mut self, addr: u64) {
        self.structure::<8>(addr, |p, b| p.sigset(u64::from_le_bytes(*b)));
    }

    pub(super) fn sigaction(&mut self, addr: u64) {
        self.structure::<32>(addr, |p, b| {
            match u64_at(b, 0) {
                0 => p.out.push_str("{sa_handler=SIG_DFL, sa_mask="),
                1 => p.out.push_str("{sa_handler=SIG_IGN, sa_mask="),
                handler => p.put(format_args!("{{sa_handler={handler:#x}, sa_mask=")),
            }
            p.sigset(u64_at(b, 24));
            p.out.push_str(", sa_flags=");
            p.flags(u64_at(b, 8), names::sigaction::NAMES);
            p.out.push('}');
        });
    }

    pub(super) fn siginfo(&mut self, addr: u64) {
        self.structure::<24>(addr, |p, b| {
            p.out.push_str("{si_signo=");
            p.signal(u32_at(b, 0).into());
            p.put(format_args!(
                ", si_code={}, si_pid={}, si_uid={}, ...}}",
                u32_at(b, 8) as i32,
                u32_at(b, 16) as i32,
                u32_at(b, 20)
            ));
        });
    }

    pub(super) fn open_how(&mut self, addr: u64) {
        self.structure::<24>(addr, |p, b| {
            p.out.push_str("{flags=");
            p.open_flags(u64_at(b, 0));
            p.out.push_str(", mode=");
            p.mode(u64_at(b, 8));
            p.put(format_args!(", resolve={:#x}}}", u64_at(b, 16)));
        });
    }

    pub(super) fn fcntl_argument(&mut self, word: u64) {
        use names::fcntl::*;
        match u64::from(self.arg(1) as u32) {
            F_SETFD => self.flags(word, names::fd::NAMES),
            F_SETFL => self.open_flags(word),
            F_ADD_SEALS => self.flags(word, names::seal::NAMES),
            F_SETSIG => self.signal(word),
            F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => {
                self.structure::<32>(word, |p, b| {
                    p.out.push_str("{l_type=");
                    p.named(u16_at(b, 0).into(), names::lock::NAMES);
                    p.out.push_str(", l_whence=");
                    p.named(u16_at(b, 2).into(), names::whence::NAMES);
                    p.put(format_args!(
                        ", l_start={}, l_len={}}}",
                        u64_at(b, 8) as i64,
                        u64_at(b, 16) as i64
                    ));
                });
            }
            _ => self.put(format_args!("{}", word as i64)),
        }
    }

    pub(super) fn ioctl_argument(&mut self, word: u64) {
        use names::ioctl::*;
        let written = self.succeeded();
        match u64::from(self.arg(1) as u32) {
            TIOCSWINSZ => self.winsize(word),
            TIOCGWINSZ if written => self.winsize(word),
            FIONBIO | FIOASYNC | TIOCSPGRP | TIOCSPTLCK => self.int_at(word, false),
            FIONREAD | TIOCOUTQ | TIOCGPGRP | TIOCGSID | TIOCGPTN if written => self.int_at(word, false),
            TIOCSCTTY | FICLONE => self.put(format_args!("{}", word as i64)),
            _ => self.address(word),
        }
    }

    fn winsize(&mut self, addr: u64) {
        self.structure::<8>(addr, |p, b| {
            p.put(format_args!(
                "{{ws_row={}, ws_col={}, ws_xpixel={}, ws_ypixel={}}}",
                u16_at(b, 0),
                u16_at(b, 2),
                u16_at(b, 4),
                u16_at(b, 6)
            ));
        });
    }
}
