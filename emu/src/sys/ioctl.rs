//! ioctl(2): the commands that name something, and those that no list knows.
//!
//! Commands that run natively are in `carrack_syscalls::values`. What is neither there nor here answers ENOTTY, as on a
//! kernel without the driver. Terminals have a file of their own, [`terminal`](super::terminal).

use super::{Call, OK, Outcome, SysResult, terminal};
use crate::control::NetworkMode;
use crate::errno::Errno;
use crate::platform::{fds, host, sockets};
use crate::{bail, err};
use carrack_syscalls::arg::*;
use rustix::fd::AsFd;

const FIGETBSZ: u32 = 2;
const FIOQSIZE: u32 = 0x5460;
const FICLONE: u32 = 0x4004_9409;
const FICLONERANGE: u32 = 0x4020_940d;
const FS_IOC_GETFLAGS: u32 = 0x8008_6601;
const RNDGETENTCNT: u32 = 0x8004_5200;
const TFD_IOC_SET_TICKS: u32 = 0x4008_5400;
const EPIOCSPARAMS: u32 = 0x4008_8a01;
const EPIOCGPARAMS: u32 = 0x8008_8a02;

const FIOSETOWN: u32 = 0x8901;
const SIOCSPGRP: u32 = 0x8902;
const FIOGETOWN: u32 = 0x8903;
const SIOCGPGRP: u32 = 0x8904;

const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFCONF: u32 = 0x8912;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCGIFADDR: u32 = 0x8915;
const SIOCGIFDSTADDR: u32 = 0x8917;
const SIOCGIFBRDADDR: u32 = 0x8919;
const SIOCGIFNETMASK: u32 = 0x891b;
const SIOCGIFMETRIC: u32 = 0x891d;
const SIOCGIFMTU: u32 = 0x8921;
const SIOCGIFHWADDR: u32 = 0x8927;
const SIOCGIFINDEX: u32 = 0x8933;
const SIOCGIFPFLAGS: u32 = 0x8935;
const SIOCGIFCOUNT: u32 = 0x8938;
const SIOCGIFTXQLEN: u32 = 0x8942;
const SIOCETHTOOL: u32 = 0x8946;
const SIOCGARP: u32 = 0x8954;
const SIOCGIFMAP: u32 = 0x8970;

/// Routes, addresses, flags … of interfaces: for who has CAP_NET_ADMIN, which no guest has towards the host.
const NETWORK_SETTERS: [u32; 19] = [
    0x890b, 0x890c, 0x8914, 0x8916, 0x8918, 0x891a, 0x891c, 0x891e, 0x8922, 0x8923, 0x8924, 0x8931, 0x8932,
    0x8934, 0x8936, 0x8943, 0x8953, 0x8955, 0x8971,
];

pub(crate) fn ioctl(cx: &Call, fd: Fd, cmd: IoctlCmd, arg: Ptr) -> SysResult {
    // EBADF comes before everything.
    fds::host_name(cx.tid(), fd.0)?;
    if terminal::has_command(cmd.0) {
        return terminal::ioctl(cx, fd, cmd.0, arg);
    }
    match cmd.0 {
        FIOSETOWN | SIOCSPGRP | FIOGETOWN | SIOCGPGRP => owner(cx, fd, cmd.0, arg),
        // At host level the interfaces are the host's.
        SIOCGIFNAME | SIOCGIFCONF | SIOCGIFFLAGS | SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR
        | SIOCGIFNETMASK | SIOCGIFMETRIC | SIOCGIFMTU | SIOCGIFHWADDR | SIOCGIFINDEX | SIOCGIFPFLAGS
        | SIOCGIFCOUNT | SIOCGIFTXQLEN | SIOCETHTOOL | SIOCGARP | SIOCGIFMAP => {
            match cx.kernel.spec.network {
                NetworkMode::Host => Ok(Outcome::Continue),
                NetworkMode::None => loopback_interface(cx, fd, cmd.0, arg),
            }
        }
        cmd if NETWORK_SETTERS.contains(&cmd) => {
            let socket = cx.duplicate_fd(fd.0)?;
            match sockets::kind(socket.as_fd()) {
                Ok(_) => bail!(EPERM),
                Err(_) => bail!(ENOTTY),
            }
        }
        // Between descriptors that the guest holds, or plain numbers.
        FICLONE | FICLONERANGE | FIOQSIZE | FIGETBSZ | RNDGETENTCNT | TFD_IOC_SET_TICKS | EPIOCSPARAMS
        | EPIOCGPARAMS => Ok(Outcome::Continue),
        FS_IOC_GETFLAGS => {
            cx.memory().write_obj(arg.0.0, &0i32)?;
            OK
        }
        _ => bail!(ENOTTY),
    }
}

/// Who gets SIGIO and SIGURG of a socket.
fn owner(cx: &Call, fd: Fd, cmd: u32, arg: Ptr) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    if sockets::kind(socket.as_fd()).is_err() {
        bail!(ENOTTY);
    }
    if matches!(cmd, FIOSETOWN | SIOCSPGRP) {
        let pid: i32 = cx.memory().read_obj(arg.0.0)?;
        super::fcntl::set_owner(cx, fd, pid)
    } else {
        let pid = super::fcntl::get_owner(cx, fd)?;
        cx.memory().write_obj(arg.0.0, &pid)?;
        OK
    }
}

/// `struct ifreq`: a name and a union of 24 bytes.
const IFREQ: usize = 40;
const NAME: usize = 16;
const LO_INDEX: i32 = 1;
/// IFF_UP | IFF_LOOPBACK | IFF_RUNNING
const LO_FLAGS: i16 = 0x49;
const LO_MTU: i32 = 65536;
const LO_TXQLEN: i32 = 1000;

/// `sockaddr_in` of `ip`.
fn inet(ip: [u8; 4]) -> [u8; 16] {
    let mut addr = [0; 16];
    addr[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    addr[4..8].copy_from_slice(&ip);
    addr
}

/// The only interface of a container without a network.
fn loopback_interface(cx: &Call, fd: Fd, cmd: u32, arg: Ptr) -> SysResult {
    let socket = cx.duplicate_fd(fd.0)?;
    if sockets::kind(socket.as_fd()).is_err() {
        bail!(ENOTTY);
    }
    let memory = cx.memory();
    if cmd == SIOCGIFCONF {
        return interface_list(cx, arg);
    }
    let mut request = [0u8; IFREQ];
    memory.read(arg.0.0, &mut request)?;
    if cmd == SIOCGIFNAME {
        let index = i32::from_ne_bytes([request[16], request[17], request[18], request[19]]);
        if index != LO_INDEX {
            bail!(ENODEV);
        }
        request[..NAME].copy_from_slice(b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        memory.write(arg.0.0, &request)?;
        return OK;
    }
    // An alias (`lo:1`) is the interface too.
    let name = request[..NAME].split(|&b| b == 0 || b == b':').next();
    if name != Some(b"lo") {
        bail!(ENODEV);
    }
    let mut set = |bytes: &[u8]| request[NAME..NAME + bytes.len()].copy_from_slice(bytes);
    match cmd {
        SIOCGIFFLAGS => set(&LO_FLAGS.to_ne_bytes()),
        SIOCGIFADDR | SIOCGIFDSTADDR => set(&inet([127, 0, 0, 1])),
        SIOCGIFBRDADDR => set(&inet([0; 4])),
        SIOCGIFNETMASK => set(&inet([255, 0, 0, 0])),
        SIOCGIFMETRIC | SIOCGIFPFLAGS => set(&0i32.to_ne_bytes()),
        SIOCGIFMTU => set(&LO_MTU.to_ne_bytes()),
        SIOCGIFHWADDR => {
            let mut addr = [0; 16];
            addr[..2].copy_from_slice(&(libc::ARPHRD_LOOPBACK).to_ne_bytes());
            set(&addr);
        }
        SIOCGIFINDEX => set(&LO_INDEX.to_ne_bytes()),
        SIOCGIFTXQLEN => set(&LO_TXQLEN.to_ne_bytes()),
        SIOCGIFMAP => set(&[0; 24]),
        SIOCGARP => bail!(ENXIO),
        SIOCETHTOOL => bail!(EOPNOTSUPP),
        _ => bail!(EINVAL),
    }
    memory.write(arg.0.0, &request)?;
    OK
}

/// SIOCGIFCONF: `struct ifconf` is a length and a pointer, which may be null to ask for the length.
fn interface_list(cx: &Call, arg: Ptr) -> SysResult {
    let [len, at]: [u64; 2] = cx.memory().read_obj(arg.0.0)?;
    let room = i32::try_from(len & 0xffff_ffff).map_err(|_| err!(EINVAL))?;
    let mut entry = [0u8; IFREQ];
    entry[..2].copy_from_slice(b"lo");
    entry[NAME..NAME + 16].copy_from_slice(&inet([127, 0, 0, 1]));
    let used = if at == 0 {
        IFREQ as i32
    } else if room as usize >= IFREQ {
        cx.memory().write(at, &entry)?;
        IFREQ as i32
    } else {
        0
    };
    cx.memory().write_obj(arg.0.0, &used)?;
    OK
}

/// The value of a command that gives an int, made by the supervisor on its duplicate.
pub(super) fn host_int(cx: &Call, fd: i32, cmd: u32) -> Result<i32, Errno> {
    let dup = cx.duplicate_fd(fd)?;
    host::ioctl_get_int(dup.as_fd(), cmd).map_err(crate::errno::host)
}
