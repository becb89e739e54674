//! Native calls that a guest thread is made to do while it is stopped: for what only the task itself can do.
//!
//! Used where nothing cheaper exists: an O_PATH descriptor cannot be passed by ADDFD (the kernel's fget refuses it), only by
//! SCM_RIGHTS, and so the thread is made to receive it. About 12 µs a call.

use super::ptrace::{Regs, Stop, Tracee};
use super::sockets;
use crate::err;
use crate::errno::Errno;
use crate::platform::memory::Memory;
use crate::sys::{Door, set_call, stopped_after_call};
use crate::task::{Reissue, Task};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// A thread stopped after its notified call, with all signals blocked.
#[derive(Debug)]
pub(crate) struct Puppet<'t> {
    task: &'t Task,
    tracee: Tracee,
    before: Regs,
    mask: u64,
}

impl<'t> Puppet<'t> {
    /// Stops the caller of `door`'s notification, which is answered by that. EPERM when another guest traces it.
    pub(crate) fn stop(task: &'t Task, door: &dyn Door) -> Result<Puppet<'t>, Errno> {
        door.about_to_block();
        let mut tracee = Tracee::seize(task.tid, false).map_err(|_| err!(EPERM, "the caller is traced"))?;
        tracee.interrupt().map_err(|_| err!(ESRCH))?;
        door.answer_interrupted()?;
        let before = stopped_after_call(&mut tracee).ok_or(err!(ESRCH))?;
        let mask = tracee.signal_mask().map_err(|_| err!(ESRCH))?;
        tracee.set_signal_mask(u64::MAX).map_err(|_| err!(ESRCH))?;
        Ok(Puppet { task, tracee, before, mask })
    }

    /// An address in the thread's stack, below the red zone, with `len` bytes above it that nobody uses.
    pub(crate) fn scratch(&self, len: u64) -> u64 {
        (self.before.rsp.wrapping_sub(128 + len)) & !15
    }

    /// Makes the thread do one call; its result.
    pub(crate) fn call(&mut self, nr: i64, args: [u64; 6]) -> Result<i64, Errno> {
        let nr = nr as u32;
        self.task.expect_reissue(Some(Reissue { nr, args }));
        let call = set_call(self.before, nr, args);
        self.tracee.set_regs(&call).map_err(|_| err!(ESRCH))?;
        self.tracee.step(0).map_err(|_| err!(ESRCH))?;
        let result = loop {
            match self.tracee.wait() {
                Stop::Trap => {
                    let now = self.tracee.regs().map_err(|_| err!(ESRCH))?;
                    if now.rip == self.before.rip {
                        break now.rax as i64;
                    }
                }
                Stop::Gone => return Err(err!(ESRCH)),
                _ => {}
            }
            self.tracee.step(0).map_err(|_| err!(ESRCH))?;
        };
        self.task.expect_reissue(None);
        Ok(result)
    }

    /// Lets the thread make a call, once more or another, by itself.
    pub(crate) fn repeat(self, nr: u32, args: [u64; 6]) -> Result<(), Errno> {
        self.tracee.set_regs(&set_call(self.before, nr, args)).map_err(|_| err!(ESRCH))?;
        self.tracee.set_signal_mask(self.mask).map_err(|_| err!(ESRCH))?;
        self.tracee.detach(0);
        Ok(())
    }

    /// Lets the thread return from its call with `result`.
    pub(crate) fn finish(self, result: i64) -> Result<(), Errno> {
        let mut back = self.before;
        back.rax = result as u64;
        back.orig_rax = u64::MAX;
        self.tracee.set_regs(&back).map_err(|_| err!(ESRCH))?;
        self.tracee.set_signal_mask(self.mask).map_err(|_| err!(ESRCH))?;
        self.tracee.detach(0);
        Ok(())
    }
}

/// Gives the caller a descriptor of any kind at its lowest free number, as the result of its call.
pub(crate) fn give_fd(task: &Task, door: &dyn Door, fd: &OwnedFd, cloexec: bool) -> Result<(), Errno> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|_| err!(ENFILE))?;
    let copy = [fd.try_clone().map_err(|_| err!(ENFILE))?];
    let message = sockets::Message { to: None, body: &[0], control: sockets::Message::rights(&copy) };
    sockets::send(ours.as_fd(), &message, 0).map_err(|_| err!(ENFILE))?;
    let socket = door.add_fd(&theirs, true)?;
    let mut puppet = Puppet::stop(task, door)?;
    // struct msghdr, struct iovec, the byte, the control buffer.
    let at = puppet.scratch(128);
    let words: [u64; 13] = [0, 0, at + 56, 1, at + 80, 24, 0, at + 72, 1, 0, 0, 0, 0];
    let memory = Memory::of(task.tid);
    memory.write_forced(at, bytemuck::cast_slice(&words))?;
    let cloexec_flag = if cloexec { libc::MSG_CMSG_CLOEXEC } else { 0 };
    let got = puppet.call(libc::SYS_recvmsg, [socket as u64, at, cloexec_flag as u64, 0, 0, 0])?;
    let control: [u64; 3] = memory.read_obj(at + 80)?;
    if got < 0 || control[0] != 20 {
        puppet.call(libc::SYS_close, [socket as u64, 0, 0, 0, 0, 0])?;
        return puppet.finish(-i64::from(libc::EMFILE));
    }
    let number = control[2] & 0xffff_ffff;
    let dup_flag = if cloexec { libc::O_CLOEXEC } else { 0 };
    puppet.call(libc::SYS_dup3, [number, socket as u64, dup_flag as u64, 0, 0, 0])?;
    puppet.call(libc::SYS_close, [number, 0, 0, 0, 0, 0])?;
    puppet.finish(i64::from(socket))
}
