//! setsockopt(2) and getsockopt(2): the options that tell or name something of the host's.

use super::{Call, Outcome, SysResult, credentials, socket_of};
use crate::errno::{Errno, host};
use crate::platform::sockets;
use crate::sys::OK;
use crate::{bail, err};
use carrack_syscalls::arg::*;
use rustix::fd::AsFd;

const SO_PASSCRED: u32 = 16;
const SO_PEERCRED: u32 = 17;
const SO_BINDTODEVICE: u32 = 25;
const SO_PASSSEC: u32 = 34;
const SO_MARK: u32 = 36;
const SO_PEERGROUPS: u32 = 59;
const SO_BINDTOIFINDEX: u32 = 62;

/// IFNAMSIZ
const MAX_INTERFACE_NAME: usize = 16;

pub(crate) fn setsockopt(cx: &Call, fd: Fd, _: SockLevel, option: SockOpt, at: Ptr, len: Int) -> SysResult {
    match option.0 as u32 {
        // A flag; what memory holds when the kernel reads it is the caller's own affair.
        SO_PASSCRED => {
            let (_, kind) = socket_of(cx, fd)?;
            if kind.is_unix() {
                cx.kernel.net.set_passes_credentials();
            }
            Ok(Outcome::Continue)
        }
        SO_PASSSEC => Ok(Outcome::Continue),
        SO_BINDTODEVICE | SO_BINDTOIFINDEX => {
            let (socket, _) = socket_of(cx, fd)?;
            let len = usize::try_from(len.0).map_err(|_| err!(EINVAL))?.min(MAX_INTERFACE_NAME);
            let value = cx.memory().read_vec(at.0.0, len)?;
            sockets::set_option(socket.as_fd(), libc::SOL_SOCKET, option.0, &value).map_err(host)?;
            OK
        }
        SO_MARK => bail!(EPERM),
        // A descriptor of a process would be one of the supervisor's where it sends.
        _ => bail!(ENOPROTOOPT),
    }
}

pub(crate) fn getsockopt(
    cx: &Call,
    fd: Fd,
    _: SockLevel,
    option: SockOpt,
    to: Ptr,
    len: SocklenPtr,
) -> SysResult {
    let (socket, _) = socket_of(cx, fd)?;
    let room: i32 = cx.memory().read_obj(len.0.0)?;
    let room = usize::try_from(room).map_err(|_| err!(EINVAL))?;
    let answer = |bytes: &[u8]| -> Result<(), Errno> {
        let n = bytes.len().min(room);
        cx.memory().write(to.0.0, &bytes[..n])?;
        cx.memory().write_obj(len.0.0, &(n as i32))
    };
    match option.0 as u32 {
        SO_PEERCRED => match credentials::peer(cx, socket.as_fd())? {
            Some(who) => answer(bytemuck::bytes_of(&who))?,
            None => answer(bytemuck::cast_slice(&[0, u32::MAX, u32::MAX]))?,
        },
        SO_PEERGROUPS => {
            let groups = credentials::peer_groups(cx, socket.as_fd())?;
            let bytes: &[u8] = bytemuck::cast_slice(&groups);
            if room < bytes.len() {
                cx.memory().write_obj(len.0.0, &(bytes.len() as i32))?;
                bail!(ERANGE);
            }
            answer(bytes)?;
        }
        _ => bail!(ENOPROTOOPT),
    }
    OK
}
