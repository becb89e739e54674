//! The guardian: a tiny process above the supervisor that leaves nothing of a container behind.
//!
//! When a supervisor dies, its listener closes and every emulated call of the guests answers ENOSYS; clone is one of
//! them, so nothing can fork any more and a sweep of the tree comes to an end. The guardian is a child subreaper, so that
//! all of that tree becomes its own when the supervisor is gone. The other way round, the supervisor watches the guardian
//! and ends the container when that one is killed.
//!
//! The guardian is a fork of the supervisor before it had threads: it shares its pages and must not touch many.

use crate::control::{State, Status};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Which of the two processes a caller of [`fork`] finds itself in.
pub(super) enum Side {
    Guardian { supervisor: Pid },
    Supervisor,
}

/// Splits the process into guardian and supervisor, both child subreapers.
pub(super) fn fork() -> io::Result<Side> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // SAFETY: the process has a single thread (the caller's contract), so no lock is held by a thread that the child
    // will not have; the child may go on to use the allocator and everything else.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
            Ok(Side::Supervisor)
        }
        pid => match Pid::from_raw(pid) {
            Some(supervisor) => Ok(Side::Guardian { supervisor }),
            None => Err(io::Error::other("fork gave no process id")),
        },
    }
}

/// Waits for the supervisor, then ends what it left running, and removes `leftovers`. The result is the supervisor's exit
/// code. SIGTERM, SIGINT and SIGHUP end the container.
pub(super) fn watch(supervisor: Pid, container_dir: &Path, leftovers: &[PathBuf]) -> u8 {
    // Keep no pipe of the starter's open, nor its terminal.
    // SAFETY: nothing in this process uses a descriptor above 2 any more: what follows opens and closes its own.
    unsafe { libc::close_range(3, u32::MAX, 0) };
    point_at_null(&[0, 1, 2]);
    kill_on_signals(supervisor);
    give_back_program();
    let status = loop {
        match rustix::process::waitpid(Some(supervisor), WaitOptions::empty()) {
            Ok(Some((_, status))) => break Some(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break None,
        }
    };
    sweep();
    for dir in leftovers {
        // There is nobody to tell; an empty directory more is no harm.
        let _ = std::fs::remove_dir_all(dir);
    }
    let code = status.and_then(WaitStatus::exit_status);
    if code != Some(0) {
        mark_dead(container_dir);
    }
    code.and_then(|c| u8::try_from(c).ok()).unwrap_or(137)
}

/// Unmaps the pages of the program that the start has touched: what is still needed comes back from the page cache.
///
/// A guardian waits for as long as its container lives, and uses a few pages of a large program.
fn give_back_program() {
    const PAGE: u64 = 4096;
    extern "C" fn visit(object: *mut libc::dl_phdr_info, _: usize, _: *mut libc::c_void) -> libc::c_int {
        // SAFETY: dl_iterate_phdr(3) passes a valid object, whose headers are as many as it says.
        let (base, headers) = unsafe {
            let object = &*object;
            (object.dlpi_addr, std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)))
        };
        for header in headers {
            // What can be written, or was before it was protected, is not in the file as it is in memory.
            if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
                continue;
            }
            // Whole pages only: a neighbour may have the rest of the first and of the last.
            let start = base.wrapping_add(header.p_vaddr).next_multiple_of(PAGE);
            let end = base.wrapping_add(header.p_vaddr).wrapping_add(header.p_filesz) & !(PAGE - 1);
            if start >= end {
                continue;
            }
            // SAFETY: a private mapping of the program's file that was never written: every page that is dropped is read
            // again with the same bytes. A failure leaves things as they are.
            unsafe { libc::madvise(start as *mut _, (end - start) as usize, libc::MADV_DONTNEED) };
        }
        // The first object is the program; there is no other in a static one.
        1
    }
    // SAFETY: the callback has the required signature and keeps nothing of what it is given.
    unsafe { libc::dl_iterate_phdr(Some(visit), std::ptr::null_mut()) };
}

/// Process id of the supervisor, for the signal handler.
static SUPERVISOR: AtomicI32 = AtomicI32::new(0);

/// Signals that ask the guardian to end kill the supervisor; [`watch`] does the rest.
fn kill_on_signals(supervisor: Pid) {
    extern "C" fn handle(_: libc::c_int) {
        // SAFETY: kill(2) is async-signal-safe; the guardian has not reaped the supervisor while it waits for it.
        unsafe { libc::kill(SUPERVISOR.load(Ordering::Relaxed), libc::SIGKILL) };
    }
    SUPERVISOR.store(supervisor.as_raw_nonzero().get(), Ordering::Relaxed);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: the handler does nothing but kill(2).
        unsafe { libc::signal(signal, handle as *const () as libc::sighandler_t) };
    }
}

/// Makes descriptors refer to `/dev/null`. Best effort: a host without it has closed descriptors instead.
pub(super) fn point_at_null(fds: &[i32]) {
    use std::os::fd::AsRawFd;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").ok();
    for &fd in fds {
        match &null {
            // SAFETY: dup2 onto a standard stream, which nothing owns as an OwnedFd.
            Some(null) if null.as_raw_fd() != fd => unsafe {
                libc::dup2(null.as_raw_fd(), fd);
            },
            Some(_) => {}
            // SAFETY: as above.
            None => unsafe {
                libc::close(fd);
            },
        }
    }
    if let Some(null) = null
        && fds.contains(&null.as_raw_fd())
    {
        // It took the place of one of the closed descriptors, and stays there.
        std::mem::forget(null);
    }
}

/// Kills and reaps descendants until there are none.
fn sweep() {
    let me = rustix::process::getpid();
    loop {
        let all = descendants(me.as_raw_nonzero().get());
        for &pid in &all {
            if let Some(pid) = Pid::from_raw(pid) {
                // ESRCH: it ended by itself.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        let mut is_empty = all.is_empty();
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => is_empty = false,
                Ok(None) => break,
                Err(_) if all.is_empty() => return,
                Err(_) => break,
            }
        }
        if is_empty {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// All processes below `root` (host process ids), each before its children.
///
/// By `/proc/PID/task/TID/children`, or, on kernels built without it, by the parents of all processes.
pub fn descendants(root: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut at = 0;
    let mut next = root;
    let mut have_children_files = false;
    loop {
        if let Ok(tasks) = std::fs::read_dir(format!("/proc/{next}/task")) {
            for task in tasks.flatten() {
                let Ok(text) = std::fs::read_to_string(task.path().join("children")) else { continue };
                have_children_files = true;
                for pid in text.split_ascii_whitespace().filter_map(|w| w.parse::<i32>().ok()) {
                    if seen.insert(pid) {
                        found.push(pid);
                    }
                }
            }
        }
        if at == found.len() {
            break;
        }
        next = found[at];
        at += 1;
    }
    if have_children_files { found } else { descendants_by_parent(root) }
}

fn descendants_by_parent(root: i32) -> Vec<i32> {
    let mut children: std::collections::HashMap<i32, Vec<i32>> = std::collections::HashMap::new();
    if let Ok(all) = std::fs::read_dir("/proc") {
        for entry in all.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
            if let Some(stat) = super::procfs::Stat::read(pid) {
                children.entry(stat.ppid).or_default().push(pid);
            }
        }
    }
    let mut found = Vec::new();
    let mut at = 0;
    let mut next = root;
    loop {
        if let Some(list) = children.remove(&next) {
            found.extend(list);
        }
        if at == found.len() {
            return found;
        }
        next = found[at];
        at += 1;
    }
}

/// A supervisor that died could not write down that its container ended with it.
fn mark_dead(container_dir: &Path) {
    let path = container_dir.join("state.json");
    let Ok(text) = std::fs::read(&path) else { return };
    let Ok(mut state) = serde_json::from_slice::<State>(&text) else { return };
    if state.status == Status::Exited {
        return;
    }
    if state.status == Status::Created {
        state.error = "the supervisor died before the container was started".into();
    } else {
        state.error = "the supervisor died, and the container with it".into();
    }
    state.status = Status::Exited;
    state.exit_code = 137;
    state.pid = 0;
    state.finished_at = super::state::now();
    for exec in &mut state.execs {
        if exec.running {
            exec.running = false;
            exec.exit_code = Some(137);
        }
    }
    // There is nobody left to tell.
    let _ = super::state::write(&path, &state);
}
