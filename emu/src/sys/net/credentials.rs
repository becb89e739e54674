//! Who is at the other end: SO_PEERCRED, SCM_CREDENTIALS.
//!
//! The host's kernel knows guests by the host's uid, and takes the supervisor for the one who connects and who sends where
//! it does so on a guest's behalf. So the truth is carried beside:
//!
//! - a stream socket without a name is given one before it connects, in the abstract namespace, which says who connects
//!   (a *token*). The accepting side sees it as its peer's address. Guests never see such a name, nor can they make one.
//! - of a bound name it is kept who listens at it and who connected from it.
//! - once a socket of the container has SO_PASSCRED, messages that the supervisor sends take a descriptor of an object
//!   along that stands for the sender; it is taken out when the message is received. (A sender's own name would do for
//!   one sender a socket, but a name cannot be taken back, and a guest may want to bind later.)
//!
//! For what guests send natively (write, send), and for socketpairs, the host's pid leads to the task.

use super::Call;
use super::address::own_abstract;
use crate::errno::Errno;
use crate::platform::sockets::{self, HostAddr};
use crate::task::{Caps, Cred};
use crate::{bail, err};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::collections::HashMap;

/// `struct ucred`: pid, uid, gid as the guest knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Ucred {
    pub(super) pid: i32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// `overflowuid`
const NOBODY: u32 = 65534;

impl Ucred {
    /// Nobody that is known inside.
    pub(super) const UNKNOWN: Ucred = Ucred { pid: 0, uid: NOBODY, gid: NOBODY };

    /// cred_to_ucred(): what a listener or a connecting process is to its peer.
    pub(super) fn effective(cx: &Call) -> Ucred {
        let cred = cx.cred();
        Ucred { pid: cx.kernel.tasks.guest_pid(cx.task.tgid), uid: cred.euid, gid: cred.egid }
    }

    /// scm_set_cred(): what a message says of its sender.
    pub(super) fn real(cx: &Call) -> Ucred {
        let cred = cx.cred();
        Ucred { pid: cx.kernel.tasks.guest_pid(cx.task.tgid), uid: cred.uid, gid: cred.gid }
    }

    /// A process of the container by the host's pid; [`UNKNOWN`](Self::UNKNOWN) when it is none.
    fn of_host(cx: &Call, pid: u32, which: impl Fn(&Cred) -> (u32, u32)) -> Ucred {
        let tasks = &cx.kernel.tasks;
        let Ok(pid) = i32::try_from(pid) else { return Ucred::UNKNOWN };
        let known = tasks.any_task_of(pid).or_else(|| {
            tasks.resolve(pid)?;
            tasks.any_task_of(pid)
        });
        let Some(task) = known else { return Ucred::UNKNOWN };
        let (uid, gid) = which(&task.cred());
        Ucred { pid: tasks.guest_pid(pid), uid, gid }
    }

    /// scm_check_creds(): EPERM for a sender who says to be somebody else and may not.
    pub(super) fn check(self, cx: &Call) -> Result<(), Errno> {
        let cred = cx.cred();
        let may_uid = [cred.uid, cred.euid, cred.suid].contains(&self.uid) || cred.capable(Caps::SETUID);
        let may_gid = [cred.gid, cred.egid, cred.sgid].contains(&self.gid) || cred.capable(Caps::SETGID);
        let own = cx.kernel.tasks.guest_pid(cx.task.tgid);
        let may_pid = self.pid == own || cred.capable(Caps::SYS_ADMIN);
        if !(may_pid && may_uid && may_gid) {
            bail!(EPERM);
        }
        if self.pid != own && cx.kernel.tasks.resolve(cx.kernel.tasks.host_pid(self.pid)).is_none() {
            bail!(ESRCH);
        }
        Ok(())
    }
}

fn token_prefix(cx: &Call) -> Vec<u8> {
    own_abstract(cx, 'c', b"")
}

/// Whether a host name is a token of this container.
pub(super) fn is_token(cx: &Call, outside: &[u8]) -> bool {
    outside.starts_with(&token_prefix(cx))
}

/// A name for a socket of the caller's that is about to connect.
pub(super) fn new_token(cx: &Call) -> Option<HostAddr> {
    let Ucred { pid, uid, gid } = Ucred::effective(cx);
    let serial = cx.kernel.net.next_serial();
    HostAddr::unix(&own_abstract(cx, 'c', format!("{pid}.{uid}.{gid}.{serial}").as_bytes()))
}

/// Who a token stands for.
fn parse_token(cx: &Call, outside: &[u8]) -> Option<Ucred> {
    let text = std::str::from_utf8(outside.strip_prefix(&token_prefix(cx)[..])?).ok()?;
    let mut parts = text.split('.');
    Some(Ucred {
        pid: parts.next()?.parse().ok()?,
        uid: parts.next()?.parse().ok()?,
        gid: parts.next()?.parse().ok()?,
    })
}

/// SO_PEERCRED. `None`: nobody, which the kernel says as (0, −1, −1).
pub(super) fn peer(cx: &Call, socket: BorrowedFd<'_>) -> Result<Option<Ucred>, Errno> {
    let [pid, ..] = sockets::peer_credentials(socket).map_err(crate::errno::host)?;
    if pid == 0 {
        return Ok(None);
    }
    let name = sockets::peer(socket).unwrap_or_default();
    if let Some(outside) = super::address::outside_name(&name) {
        if let Some(who) = parse_token(cx, outside) {
            return Ok(Some(who));
        }
        if let Some(who) = cx.kernel.net.get(outside).and_then(|n| n.owner) {
            return Ok(Some(who));
        }
    }
    Ok(Some(Ucred::of_host(cx, pid, |c| (c.euid, c.egid))))
}

/// Supplementary groups of the peer, SO_PEERGROUPS: those it has now. ENODATA when it is not known.
pub(super) fn peer_groups(cx: &Call, socket: BorrowedFd<'_>) -> Result<Vec<u32>, Errno> {
    let who = peer(cx, socket)?.ok_or(err!(ENODATA))?;
    let task = cx.kernel.tasks.any_task_of(cx.kernel.tasks.host_pid(who.pid)).ok_or(err!(ENODATA))?;
    Ok(task.cred().groups.clone())
}

/// SCM_CREDENTIALS of the host as the guest is to see them. `sender`: whom a message of the supervisor's was sent for.
pub(super) fn received(cx: &Call, data: &[u8], sender: Option<Ucred>) -> Vec<u8> {
    let who = match (sender, data.first_chunk::<4>()) {
        (Some(who), _) => who,
        (None, Some(pid)) => match u32::from_ne_bytes(*pid) {
            0 => Ucred::UNKNOWN,
            pid => Ucred::of_host(cx, pid, |c| (c.uid, c.gid)),
        },
        (None, None) => Ucred::UNKNOWN,
    };
    bytemuck::bytes_of(&who).to_vec()
}

/// Objects whose descriptors stand for senders of messages.
#[derive(Debug, Default)]
pub(super) struct Senders {
    objects: HashMap<Ucred, OwnedFd>,
    /// By the object's inode number.
    who: HashMap<u64, Ucred>,
}

const MAX_SENDERS: usize = 512;

impl Senders {
    /// The object that stands for `who`, made when there is none yet.
    pub(super) fn object(&mut self, who: Ucred) -> Option<OwnedFd> {
        if let Some(fd) = self.objects.get(&who) {
            return fd.try_clone().ok();
        }
        if self.objects.len() >= MAX_SENDERS {
            // Messages on their way lose their sender; those are few, and the oldest.
            *self = Senders::default();
        }
        let fd = rustix::fs::memfd_create("carrack-sender", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
        let ino = rustix::fs::fstat(&fd).ok()?.st_ino;
        self.who.insert(ino, who);
        let copy = fd.try_clone().ok();
        self.objects.insert(who, fd);
        copy
    }

    /// Takes the object out of the descriptors of a message: who sent it. `None` for what was sent natively.
    pub(super) fn take(&self, fds: &mut Vec<OwnedFd>) -> Option<Ucred> {
        if self.who.is_empty() {
            return None;
        }
        let mut found = None;
        fds.retain(|fd| match self.of(fd.as_fd()) {
            Some(who) => {
                found = Some(who);
                false
            }
            None => true,
        });
        found
    }

    fn of(&self, fd: BorrowedFd<'_>) -> Option<Ucred> {
        let st = rustix::fs::fstat(fd).ok()?;
        let who = self.who.get(&st.st_ino)?;
        let own = rustix::fs::fstat(self.objects.get(who)?).ok()?;
        (own.st_dev == st.st_dev).then_some(*who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_told_by_their_objects() {
        let mut senders = Senders::default();
        let a = Ucred { pid: 5, uid: 0, gid: 0 };
        let b = Ucred { pid: 6, uid: 1, gid: 1 };
        let (x, y) = (senders.object(a).unwrap(), senders.object(b).unwrap());
        let other = rustix::fs::memfd_create("carrack-sender", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut fds = vec![other, senders.object(a).unwrap()];
        assert_eq!(senders.take(&mut fds), Some(a));
        assert_eq!(fds.len(), 1);
        assert_eq!(senders.take(&mut fds), None);
        assert_eq!(senders.take(&mut vec![y]), Some(b));
        assert_eq!(senders.take(&mut vec![x]), Some(a));
    }
}
