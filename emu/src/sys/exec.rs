//! execve and execveat.
//!
//! # The problem
//!
//! What exec does to a process (threads die, handlers reset, descriptors close, a vfork parent wakes) only the host kernel
//! can do, by an execve of the task's own. Which *file* it executes must not be the guest's to choose: the only host
//! program that ever runs is our stub, which then loads the guest's program by a plan.
//!
//! # The protocol
//!
//! | step | who | failure, and is the caller unharmed? |
//! | --- | --- | --- |
//! | 1 the call is notified; path, argv, envp are copied; the program is found, opened, parsed | us | the errno; unharmed |
//! | 2 the stub's descriptor is put into the guest (lowest free, close-on-exec) | us | EMFILE; unharmed |
//! | 3 SEIZE, INTERRUPT, answer; at the stop: block all signals, set registers to `execveat(fd, "", NULL, NULL, AT_EMPTY_PATH)`, SINGLESTEP | us | EPERM (somebody traces it); unharmed |
//! | 4 that call is notified, and let through because this thread is expected to make it | dispatcher | – |
//! | 5a EVENT_EXEC: /proc/PID/exe must be the stub, else SIGKILL before anything ran; mask restored, detached | host | – |
//! | 5b SIGTRAP at the old place: exec failed; a lack of resources is returned, anything else is an attack: SIGKILL | host | unharmed (descriptor closed, registers and mask restored) |
//! | 6 the stub asks for its plan; the supervisor writes plan and stack | us | SIGKILL, as Linux past the point of no return |
//!
//! SINGLESTEP is what makes success and failure both stop; with CONT a failure would never be reported. `""` lies in guest
//! memory and another thread may change it before the kernel reads it: that is what 5a and 5b are for.

use super::image::{self, Prepared, Program};
use super::reissue::{set_call, stopped_after_call};
use super::{Call, OK, Outcome, SysResult};
use crate::errno::Errno;
use crate::platform::inject::Puppet;
use crate::platform::ptrace::{Regs, Stop, Tracee};
use crate::task::Reissue;
use crate::vfs::anon;
use crate::vfs::ids::OpenFile;
use crate::{bail, err};
use carrack_loader::stub;
use carrack_syscalls::arg::*;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// Programs that a task is about to become, by host thread id: filed by the caller's id, moved to the group's at
/// EVENT_EXEC, taken when the stub asks.
#[derive(Debug, Default)]
pub(crate) struct PendingExecs {
    by_tid: Mutex<HashMap<i32, Box<Prepared>>>,
}

pub(crate) fn execve(cx: &Call, path: PathPtr, argv: ArgvPtr, envp: ArgvPtr) -> SysResult {
    let name = cx.read_path(path.0.0)?;
    let file = Program::File(image::find(cx, &cx.fs().cwd, &name, 0)?);
    image::check(cx, &file)?;
    let (argv, envp) = image::read_vectors(cx, argv.0.0, envp.0.0)?;
    let empty = path.0.0 + name.len() as u64;
    run(cx, file, (name, false), argv, envp, empty)
}

pub(crate) fn execveat(
    cx: &Call,
    dirfd: DirFd,
    path: PathPtr,
    argv: ArgvPtr,
    envp: ArgvPtr,
    flags: AtFlags,
) -> SysResult {
    let flags = flags.0 as i32;
    if flags & !(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) != 0 {
        bail!(EINVAL);
    }
    let name = cx.read_path(path.0.0)?;
    let (file, shown): (Program, Vec<u8>) = if name.is_empty() {
        if flags & libc::AT_EMPTY_PATH == 0 {
            bail!(ENOENT);
        }
        (by_descriptor(cx, dirfd.0)?, format!("/dev/fd/{}", dirfd.0).into_bytes())
    } else if name[0] == b'/' || dirfd.0 == libc::AT_FDCWD {
        (Program::File(image::find(cx, &cx.fs().cwd, &name, flags)?), name.clone())
    } else {
        let shown = [format!("/dev/fd/{}/", dirfd.0).as_bytes(), &name].concat();
        (Program::File(image::find(cx, &cx.start_of(dirfd.0)?, &name, flags)?), shown)
    };
    image::check(cx, &file)?;
    let (argv, envp) = image::read_vectors(cx, argv.0.0, envp.0.0)?;
    let empty = path.0.0 + name.len() as u64;
    run(cx, file, (shown, name.is_empty()), argv, envp, empty)
}

/// fexecve(3): what a descriptor is of.
fn by_descriptor(cx: &Call, fd: i32) -> Result<Program, Errno> {
    if fd == libc::AT_FDCWD {
        return Ok(Program::File(cx.fs().cwd));
    }
    match cx.open_file(fd)? {
        OpenFile::Vfs(path) => Ok(Program::File(path)),
        OpenFile::Anonymous { name } if anon::is_memfd(&name) => {
            Ok(Program::Memfd(cx.duplicate_fd(fd)?, name))
        }
        OpenFile::Anonymous { .. } => bail!(EACCES),
    }
}

/// `name`: AT_EXECFN, and whether it was made up for a descriptor.
fn run(
    cx: &Call,
    file: Program,
    (name, made_up): (Vec<u8>, bool),
    argv: Vec<Vec<u8>>,
    envp: Vec<Vec<u8>>,
    empty: u64,
) -> SysResult {
    let mut prepared = image::prepare(cx, file, name, argv, envp)?;
    if made_up {
        prepared.name_after_file();
    }
    if cx.task.process.shares_files() {
        // The stub's descriptor would stay behind in the table of the others: exec ends the sharing first, as Linux does.
        let mut puppet = Puppet::stop(&cx.task, &*cx.door)?;
        puppet.call(libc::SYS_unshare, [libc::CLONE_FILES as u64, 0, 0, 0, 0, 0])?;
        cx.task.process.has_own_files();
        puppet.repeat(cx.nr, cx.args)?;
        return Ok(Outcome::Answered);
    }
    let fd = image::add_fd(cx, &cx.kernel.stub.file, true)?;
    cx.door.about_to_block();
    let tid = cx.tid();
    let mut tracee = match Tracee::seize(tid, true) {
        Ok(t) => t,
        Err(e) => {
            tracing::warn!(tid, error = %e, "execve of a task that another guest traces is not supported");
            bail!(EPERM, "execve of a traced task is not supported");
        }
    };
    tracee.interrupt().map_err(|_| err!(ESRCH))?;
    let args = [fd as u64, empty, 0, 0, libc::AT_EMPTY_PATH as u64, 0];
    let pending = &cx.kernel.execs.by_tid;
    pending.lock().insert(tid, Box::new(prepared));
    cx.task.expect_reissue(Some(Reissue { nr: libc::SYS_execveat as u32, args }));
    cx.door.answer_interrupted()?;
    let finished = host_exec(cx, &mut tracee, fd, args);
    if finished.is_none() {
        pending.lock().remove(&tid);
        cx.task.expect_reissue(None);
    }
    drop(tracee);
    Ok(Outcome::Answered)
}

/// Steps 3 to 5. `None`: the program was not changed (it is dead, or the call has failed and says so).
fn host_exec(cx: &Call, tracee: &mut Tracee, fd: i32, args: [u64; 6]) -> Option<()> {
    let nr = libc::SYS_execveat as u32;
    let before = stopped_after_call(tracee)?;
    let mask = tracee.signal_mask().ok()?;
    tracee.set_signal_mask(u64::MAX).ok()?;
    let call = set_call(before, nr, args);
    tracee.set_regs(&call).ok()?;
    tracee.step(0).ok()?;
    loop {
        match tracee.wait() {
            Stop::Exec => return became_stub(cx, tracee, mask),
            Stop::Gone => return None,
            Stop::Interrupt | Stop::Syscall => tracee.step(0).ok()?,
            Stop::Signal(sig) => tracee.step(sig).ok()?,
            Stop::Trap => {
                let now = tracee.regs().ok()?;
                if now.rip == call.rip {
                    tracee.step(0).ok()?;
                    continue;
                }
                if now.rip == before.rip && (-516..=-512).contains(&(now.rax as i64)) {
                    // Interrupted before it was received (a stop signal): once more.
                    cx.task.expect_reissue(Some(Reissue { nr, args }));
                    tracee.set_regs(&call).ok()?;
                    tracee.step(0).ok()?;
                    continue;
                }
                failed(cx, tracee, fd, &before, &now, mask);
                return None;
            }
        }
    }
}

/// Step 5a.
fn became_stub(cx: &Call, tracee: &mut Tracee, mask: u64) -> Option<()> {
    let tgid = tracee.tid();
    if !cx.kernel.stub.is_running_in(tgid) {
        tracing::warn!(tgid, "exec of a foreign file was caught; the task is killed");
        crate::dispatch::kill(tgid);
        return None;
    }
    let prepared = cx.kernel.execs.by_tid.lock().remove(&cx.tid())?;
    let process = &cx.task.process;
    process.actions.lock().reset();
    // set_personality_64bit()
    process.personality.fetch_and(!(libc::READ_IMPLIES_EXEC as u32), Ordering::Relaxed);
    *process.exe.write() = prepared.exe.clone();
    process.set_dumpable_after_exec(&prepared.cred);
    process.set_exec_in_progress(true);
    process.has_new_memory();
    cx.kernel.tasks.exec(&cx.task, prepared.cred.clone());
    cx.kernel.execs.by_tid.lock().insert(tgid, prepared);
    tracee.set_signal_mask(mask).ok()?;
    Some(())
}

/// Step 5b: close the stub's descriptor, give the error; or the file was exchanged under us.
fn failed(cx: &Call, tracee: &mut Tracee, fd: i32, before: &Regs, now: &Regs, mask: u64) -> Option<()> {
    const RESOURCES: [i32; 5] = [libc::E2BIG, libc::ENOMEM, libc::EAGAIN, libc::EMFILE, libc::ENFILE];
    let code = -(now.rax as i64);
    let is_resource = now.rip == before.rip && RESOURCES.iter().any(|e| i64::from(*e) == code);
    if !is_resource {
        tracing::warn!(tid = cx.tid(), code, "exec of a foreign file was attempted; the task is killed");
        crate::dispatch::kill(cx.tid());
        return None;
    }
    tracee.set_regs(&set_call(*before, libc::SYS_close as u32, [fd as u64, 0, 0, 0, 0, 0])).ok()?;
    tracee.step(0).ok()?;
    while !matches!(tracee.wait(), Stop::Trap | Stop::Gone) {
        tracee.step(0).ok()?;
    }
    let mut back = *before;
    back.rax = (-code) as u64;
    back.orig_rax = u64::MAX;
    tracee.set_regs(&back).ok()?;
    tracee.set_signal_mask(mask).ok()
}

/// The stub's private call: a plan for a task that has just become the stub. For everybody else the number does not exist.
pub(crate) fn private(cx: &Call) -> SysResult {
    if cx.args[0] == stub::PLAN_FAILED {
        // The stub says so and exits; a guest that says so learns nothing.
        tracing::info!(
            tid = cx.tid(),
            index = cx.args[1],
            result = cx.args[2] as i64,
            "a plan's operation failed"
        );
    }
    if cx.args[0] != stub::REQUEST_PLAN {
        bail!(ENOSYS);
    }
    let prepared = cx.kernel.execs.by_tid.lock().remove(&cx.tid()).ok_or(err!(ENOSYS))?;
    give_plan(cx, &prepared).inspect_err(|e| {
        // Past the point of no return: as Linux ends it. Handlers were reset; should the signal be ignored or blocked, the
        // stub exits.
        tracing::info!(tid = cx.tid(), error = ?e, "a program could not be loaded");
        crate::platform::host::tgkill(cx.task.tgid, cx.tid(), libc::SIGSEGV);
    })?;
    OK
}

fn give_plan(cx: &Call, prepared: &Prepared) -> Result<(), Errno> {
    // The buffer's address is ours to know, not the caller's to say.
    let (sp, mmap_top) = (cx.args[3], cx.args[4]);
    let bytes = prepared.plan(cx, sp, mmap_top)?;
    cx.memory().write_forced(stub::PLAN_BUFFER, &bytes)
}
