//! Descriptors of guests on hosts that refuse pidfd_getfd (Docker's default profile does, without CAP_SYS_PTRACE): the
//! task itself is made to hand a duplicate over.
//!
//! A handler that asks for a descriptor ends with [`WANTED`]. Then the thread is stopped, made to send the descriptor over
//! a pair of sockets, and set to make its call again; the second time the duplicate is there. A handler must therefore ask
//! for all it needs before it does anything that cannot be done twice.
//!
//! # Why this is safe
//!
//! The message lies in the guest's stack, and its header could be changed to name an address while the host's kernel is
//! about to read it. But it goes by a *stream* socket, which takes no address, and with MSG_OOB, a plain value, which every
//! kind of socket that does take one refuses; so it does not help to put another socket into the place either. (Unix
//! stream sockets know MSG_OOB since Linux 5.15. Before, only a process with one thread, whose descriptors nobody shares,
//! can be asked.) What remains to be changed is which of its own descriptors the guest hands over.

use super::inject::Puppet;
use super::memory::Memory;
use super::sockets;
use crate::err;
use crate::sys::{Call, Outcome, SysResult};
use crate::task::Task;
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// Not an errno of Linux: the call is to be made again, see above. Never leaves the supervisor.
pub(crate) const WANTED: i32 = 0x7000_0001;

/// Duplicates that a thread has handed over for a call.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    call: (u32, [u64; 6]),
    wanted: i32,
    fds: Vec<(i32, OwnedFd)>,
}

impl Handed {
    /// The call is over.
    pub(crate) fn clear(&mut self) {
        self.fds.clear();
    }

    /// The duplicate of `fd` for this call; without one, it is what will be handed over next.
    pub(crate) fn get(&mut self, nr: u32, args: [u64; 6], fd: i32) -> Option<OwnedFd> {
        if self.call != (nr, args) {
            *self = Handed { call: (nr, args), ..Handed::default() };
        }
        let held = self.fds.iter().find(|(n, _)| *n == fd).and_then(|(_, held)| held.try_clone().ok());
        if held.is_none() {
            self.wanted = fd;
        }
        held
    }
}

/// Makes the caller hand over what it was asked for, and make its call again.
pub(crate) fn hand_over(cx: &Call) -> SysResult {
    let task = &cx.task;
    let wanted = task.handed.lock().wanted;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|_| err!(ENFILE))?;
    let socket = cx.door.add_fd(&theirs, true)?;
    drop(theirs);
    let mut puppet = Puppet::stop(task, &*cx.door)?;
    // struct msghdr, struct iovec, two bytes (the last one is the urgent one), the control buffer.
    let at = puppet.scratch(128);
    let (level, kind) = (libc::SOL_SOCKET as u64, (libc::SCM_RIGHTS as u64) << 32);
    let fd = u64::from(wanted as u32);
    let words: [u64; 13] = [0, 0, at + 56, 1, at + 80, 24, 0, at + 72, 2, 0, 20, level | kind, fd];
    Memory::of(task.tid).write_forced(at, bytemuck::cast_slice(&words))?;
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    let mut send = |flags: i32| puppet.call(libc::SYS_sendmsg, [socket as u64, at, flags as u64, 0, 0, 0]);
    let mut sent = send(flags | libc::MSG_OOB)?;
    if sent == -i64::from(libc::EOPNOTSUPP) && is_alone(task) {
        sent = send(flags)?;
    }
    puppet.call(libc::SYS_close, [socket as u64, 0, 0, 0, 0, 0])?;
    let got = match sent {
        2 => sockets::receive(ours.as_fd(), &mut [0; 2], libc::MSG_DONTWAIT).ok(),
        _ => None,
    };
    match got.and_then(|mut message| message.fds.pop()) {
        Some(duplicate) => {
            task.handed.lock().fds.push((wanted, duplicate));
            puppet.repeat(cx.nr, cx.args)?;
        }
        None => puppet.finish(-i64::from(libc::EBADF))?,
    }
    Ok(Outcome::Answered)
}

/// Whether nobody but this thread can change its descriptors.
fn is_alone(task: &Task) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", task.tgid)).map_or(usize::MAX, Iterator::count);
    threads == 1 && !task.process.shares_files()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_is_for_one_call() {
        let mut handed = Handed::default();
        assert!(handed.get(1, [0; 6], 5).is_none());
        assert_eq!(handed.wanted, 5);
        let (a, _b) = rustix::pipe::pipe().unwrap();
        handed.fds.push((5, a));
        assert!(handed.get(1, [0; 6], 5).is_some());
        assert!(handed.get(1, [0; 6], 6).is_none());
        assert_eq!(handed.fds.len(), 1);
        assert!(handed.get(1, [1; 6], 5).is_none());
        assert!(handed.fds.is_empty());
    }
}
