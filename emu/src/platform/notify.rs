//! The second door: seccomp user notifications, received, handed to the dispatcher, answered exactly once.
//!
//! One listener per tree of processes (init's, and one for each process that `exec` adds); its threads take turns. A
//! *receiver* holds a permit and waits in RECV; everybody else is parked on a condition variable, because since Linux 6.6
//! every thread in RECV wakes for every call (measured: 4.5 µs with one, 28 with sixteen). A handler that is about to
//! block gives its permit to a follower first.
//!
//! Wake-ups are synchronous: the caller's CPU runs us at once, and the caller after us (4.5 µs instead of 35 and more). By
//! itself that would gather all guests on one CPU and halve a parallel build: a call that comes while we are busy waits in
//! the queue, its caller's CPU falls idle, and the answer would wake the caller on ours. So a call that was queued is
//! answered asynchronously, which lets the scheduler put its caller back where it was.

use super::inject;
use super::seccomp::{self, Notif, SendError};
use crate::dispatch;
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::sys::{Door, Outcome, SysResult};
use crate::{bail, err};
use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Threads made with the listener; more are made when handlers block, up to `MAX_THREADS`.
const THREADS: usize = 3;
const MAX_THREADS: usize = 512;
/// RECV returns sooner than this only if a call was there already; waking up takes longer.
const QUEUED: Duration = Duration::from_nanos(900);

/// A listener and the threads that serve it.
#[derive(Debug)]
pub(crate) struct Tree {
    kernel: Arc<Kernel>,
    listener: OwnedFd,
    flow: Mutex<Flow>,
    promoted: Condvar,
    /// Notifications that a handler forgot to answer: always 0, or there is a bug.
    pub(crate) forgotten: AtomicU64,
}

#[derive(Debug)]
struct Flow {
    /// Somebody holds the permit.
    is_taken: bool,
    parked: usize,
    threads: usize,
    over: bool,
}

impl Tree {
    /// Serves `listener` until every task under its filter has ended.
    pub(crate) fn serve(kernel: Arc<Kernel>, listener: OwnedFd) -> std::io::Result<Arc<Tree>> {
        let tree = Arc::new(Tree {
            kernel,
            listener,
            flow: Mutex::new(Flow { is_taken: false, parked: 0, threads: 0, over: false }),
            promoted: Condvar::new(),
            forgotten: AtomicU64::new(0),
        });
        // Not there before Linux 6.6; then every wake-up is asynchronous.
        let _ = seccomp::set_sync(tree.listener.as_fd(), true);
        for _ in 0..THREADS {
            tree.spawn()?;
        }
        Ok(tree)
    }

    fn spawn(self: &Arc<Self>) -> std::io::Result<()> {
        self.flow.lock().threads += 1;
        let tree = self.clone();
        let made =
            std::thread::Builder::new().name("notify".into()).stack_size(256 << 10).spawn(move || tree.run());
        if made.is_err() {
            self.flow.lock().threads -= 1;
        }
        made.map(drop)
    }

    fn run(self: Arc<Self>) {
        let mut last_caller = 0;
        while self.take_permit() {
            loop {
                let before = Instant::now();
                match seccomp::receive(self.listener.as_fd()) {
                    Ok(Some(notif)) => {
                        // Whoever was answered just now has not waited.
                        let was_queued = notif.pid != last_caller && before.elapsed() < QUEUED;
                        last_caller = notif.pid;
                        let door = Arc::new(Notification {
                            tree: self.clone(),
                            id: notif.id,
                            tid: notif.pid as i32,
                            has_permit: AtomicBool::new(true),
                            was_queued,
                            is_answered: AtomicBool::new(false),
                        });
                        dispatch::handle(&self.kernel, &notif, &door);
                        let keeps_permit = door.has_permit.load(Ordering::Relaxed);
                        if !keeps_permit {
                            break;
                        }
                    }
                    Ok(None) if self.is_over() => return self.end(),
                    Ok(None) => {}
                    Err(_) => return self.end(),
                }
            }
        }
    }

    /// Waits for the permit to receive; `false`: the tree is over.
    fn take_permit(&self) -> bool {
        let mut flow = self.flow.lock();
        while !flow.over && flow.is_taken {
            flow.parked += 1;
            self.promoted.wait(&mut flow);
            flow.parked -= 1;
        }
        flow.is_taken = true;
        !flow.over
    }

    /// Gives a permit back; a follower, or a new thread, takes it.
    fn give_permit(self: &Arc<Self>) {
        let make_one = {
            let mut flow = self.flow.lock();
            flow.is_taken = false;
            if flow.parked > 0 {
                self.promoted.notify_one();
                false
            } else {
                flow.threads < MAX_THREADS && !flow.over
            }
        };
        if make_one {
            // When the host refuses a thread, calls wait until a blocked handler is done.
            let _ = self.spawn();
        }
    }

    /// Whether no task uses the filter any more.
    fn is_over(&self) -> bool {
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        fds[0].revents().contains(PollFlags::HUP)
    }

    fn end(&self) {
        self.flow.lock().over = true;
        self.promoted.notify_all();
    }
}

/// One notification. Answered once; dropping it unanswered answers ENOSYS and counts.
#[derive(Debug)]
pub(crate) struct Notification {
    tree: Arc<Tree>,
    pub(crate) id: u64,
    tid: i32,
    has_permit: AtomicBool,
    /// It was in the queue when we came to receive it: its caller sleeps on another CPU than ours.
    was_queued: bool,
    is_answered: AtomicBool,
}

impl Notification {
    /// Carries a handler's outcome out.
    pub(crate) fn answer(&self, result: SysResult) {
        if self.was_queued {
            let _ = seccomp::set_sync(self.tree.listener.as_fd(), false);
        }
        self.carry_out(result);
        if self.was_queued {
            let _ = seccomp::set_sync(self.tree.listener.as_fd(), true);
        }
    }

    fn carry_out(&self, result: SysResult) {
        let fd = self.tree.listener.as_fd();
        let sent = match result {
            Ok(Outcome::Answered) => {
                self.is_answered.store(true, Ordering::Relaxed);
                return;
            }
            Ok(Outcome::Value(v)) => seccomp::answer_value(fd, self.id, v),
            Ok(Outcome::Continue) => seccomp::answer_continue(fd, self.id),
            // In two steps, because our own copy has to be closed before the caller goes on: it may close its descriptor
            // at once and expect what the last close brings (a hang-up, a lock released, a program that can be run).
            Ok(Outcome::Fd { fd: new, cloexec }) => {
                match seccomp::add_fd(fd, self.id, &new, cloexec, false) {
                    Ok(n) => {
                        drop(new);
                        seccomp::answer_value(fd, self.id, i64::from(n))
                    }
                    Err(SendError::TableFull) => seccomp::answer_error(fd, self.id, err!(EMFILE)),
                    // An O_PATH descriptor: ADDFD refuses it.
                    Err(SendError::Other(libc::EBADF)) => {
                        let given = self
                            .tree
                            .kernel
                            .tasks
                            .get(self.tid)
                            .ok_or(err!(ESRCH))
                            .and_then(|task| inject::give_fd(&task, self, &new, cloexec));
                        match given {
                            Err(e) if !self.is_answered.load(Ordering::Relaxed) => {
                                seccomp::answer_error(fd, self.id, e)
                            }
                            _ => Ok(()),
                        }
                    }
                    Err(e) => Err(e),
                }
            }
            Err(e) => seccomp::answer_error(fd, self.id, e),
        };
        self.is_answered.store(true, Ordering::Relaxed);
        if let Err(SendError::Other(code)) = sent {
            // Fail closed: the caller may not go on as if the call had been made.
            tracing::warn!(tid = self.tid, code, "the host refused an answer; the task is killed");
            if self.still_there() {
                dispatch::kill(self.tid);
            }
        }
    }

    /// Makes the caller return from the call for a moment (a ptrace stop follows), without a value that matters.
    pub(crate) fn answer_interrupted(&self) -> Result<(), Errno> {
        self.is_answered.store(true, Ordering::Relaxed);
        seccomp::answer_error(self.tree.listener.as_fd(), self.id, err!(EINTR)).map_err(|_| err!(ESRCH))
    }
}

impl Door for Notification {
    fn about_to_block(&self) {
        if self.has_permit.swap(false, Ordering::Relaxed) {
            self.tree.give_permit();
        }
    }

    fn still_there(&self) -> bool {
        seccomp::is_valid(self.tree.listener.as_fd(), self.id)
    }

    fn add_fd(&self, fd: &OwnedFd, cloexec: bool) -> Result<i32, Errno> {
        match seccomp::add_fd(self.tree.listener.as_fd(), self.id, fd, cloexec, false) {
            Ok(n) => Ok(n),
            Err(SendError::TableFull) => bail!(EMFILE),
            Err(_) => bail!(ESRCH, "guest is gone"),
        }
    }

    fn replace_fd(&self, fd: &OwnedFd, at: i32, cloexec: bool) -> Result<(), Errno> {
        match seccomp::replace_fd(self.tree.listener.as_fd(), self.id, fd, at, cloexec) {
            Ok(()) => Ok(()),
            Err(_) => bail!(ESRCH, "guest is gone"),
        }
    }

    fn answer_interrupted(&self) -> Result<(), Errno> {
        Notification::answer_interrupted(self)
    }
}

impl Drop for Notification {
    fn drop(&mut self) {
        if !self.is_answered.load(Ordering::Relaxed) {
            self.tree.forgotten.fetch_add(1, Ordering::Relaxed);
            let _ = seccomp::answer_error(self.tree.listener.as_fd(), self.id, err!(ENOSYS));
        }
    }
}

/// The parts of a notification that the dispatcher looks at.
pub(crate) fn arguments(notif: &Notif) -> (i32, u32, [u64; 6], u64) {
    (notif.pid as i32, notif.nr as u32, notif.args, notif.instruction_pointer)
}
