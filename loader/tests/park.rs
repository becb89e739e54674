//! The park trampoline, driven by ptrace in the place of the supervisor.
//!
//! The guest makes a call that no kernel knows; the test moves it into the trampoline, and looks at what the guest sees.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};

use carrack_loader::stub::{After, PARK, PARKED, PRIVATE_SYSCALL, ParkFrame};
use common::map_resident;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

const UNKNOWN: u64 = 5000;
const ARGS: [u64; 6] = [11, 22, 33, 44, 55, 66];

extern "C" fn ignore(_: libc::c_int) {}

/// Makes the unknown call; gives its result if all registers and flags are kept.
fn call() -> i64 {
    let result: i64;
    let (mut di, mut si, mut dx, mut r10, mut r8, mut r9) = (11u64, 22u64, 33u64, 44u64, 55u64, 66u64);
    let (mut before, carry, cx, next): (u64, u64, u64, u64);
    before = 0x1234_5678;
    // SAFETY: whatever the call does, it changes nothing but rax, rcx and r11; the red zone is written to and read, which is
    // allowed as asm! without options makes the compiler keep off it.
    unsafe {
        std::arch::asm!(
            "mov [rsp - 8], {before}",
            "mov [rsp - 128], {before}",
            "stc",
            "syscall",
            "2:",
            "mov r11d, 0",
            "setc r11b",
            "lea {next}, [rip + 2b]",
            "xor {before}, [rsp - 8]",
            "or {before}, 0",
            "jnz 3f",
            "mov {before}, 0x12345678",
            "xor {before}, [rsp - 128]",
            "3:",
            before = inout(reg) before,
            next = out(reg) next,
            inlateout("rax") UNKNOWN => result,
            inlateout("rdi") di, inlateout("rsi") si, inlateout("rdx") dx,
            inlateout("r10") r10, inlateout("r8") r8, inlateout("r9") r9,
            lateout("rcx") cx, lateout("r11") carry,
        );
    }
    if [di, si, dx, r10, r8, r9] == ARGS && before == 0 && carry == 1 && cx == next { result } else { -9999 }
}

/// Starts a guest that makes the call once and ends with `status(result)`.
fn guest(status: fn(i64) -> i32) -> Pid {
    let stub = common::stub_fd();
    // SAFETY: the child makes async-signal-safe calls only.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            map_resident(stub.as_raw_fd());
            // SAFETY: plain structures; a handler that does nothing, without SA_RESTART.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = ignore as *const () as usize;
                libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
            }
            let code = status(call());
            // SAFETY: ends the child.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => {
            assert!(matches!(waitpid(child, None).unwrap(), WaitStatus::Stopped(_, Signal::SIGSTOP)));
            let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL;
            ptrace::setoptions(child, options).unwrap();
            child
        }
    }
}

fn next_call(pid: Pid) -> libc::user_regs_struct {
    ptrace::syscall(pid, None).unwrap();
    let status = waitpid(pid, None).unwrap();
    assert!(matches!(status, WaitStatus::PtraceSyscall(_)), "{status:?}");
    ptrace::getregs(pid).unwrap()
}

/// Runs until the unknown call returns, then moves the guest into the trampoline with the call `native`.
fn park(pid: Pid, after: After, nr: u64, args: [u64; 6]) {
    while next_call(pid).orig_rax != UNKNOWN {}
    let mut regs = next_call(pid);
    let frame =
        ParkFrame { nr: UNKNOWN, args: ARGS, rip: regs.rip - 2, rsp: regs.rsp, eflags: regs.eflags, after };
    let memory = File::options().write(true).open(format!("/proc/{pid}/mem")).unwrap();
    memory.write_all_at(&frame.encode(), frame.address()).unwrap();
    regs.rsp = frame.address();
    (regs.rip, regs.rax, regs.orig_rax) = (PARK, nr, u64::MAX);
    [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = args;
    ptrace::setregs(pid, regs).unwrap();
}

fn end(pid: Pid) -> i32 {
    ptrace::cont(pid, None).unwrap();
    loop {
        match waitpid(pid, None).unwrap() {
            WaitStatus::Exited(_, code) => return code,
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

/// A word that guests forked later share with us.
fn shared_word() -> &'static AtomicU32 {
    // SAFETY: a new mapping, never unmapped, zeroed, large enough and aligned.
    unsafe {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast()
    }
}

fn futex_wait(word: &AtomicU32) -> [u64; 6] {
    [word.as_ptr() as u64, libc::FUTEX_WAIT as u64, 0, 0, 0, 0]
}

#[test]
fn a_woken_thread_makes_its_call_again() {
    let word = shared_word();
    let pid = guest(|result| i32::from(result != 77));
    park(pid, After::Retry, libc::SYS_futex as u64, futex_wait(word));
    assert_eq!(next_call(pid).orig_rax, libc::SYS_futex as u64);
    ptrace::syscall(pid, None).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    word.store(1, Ordering::SeqCst);
    // SAFETY: wakes who waits for a word that lives.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    waitpid(pid, None).unwrap();
    let again = next_call(pid);
    assert_eq!(again.orig_rax, UNKNOWN);
    assert_eq!([again.rdi, again.rsi, again.rdx, again.r10, again.r8, again.r9], ARGS);
    let mut regs = next_call(pid);
    regs.rax = 77;
    ptrace::setregs(pid, regs).unwrap();
    assert_eq!(end(pid), 0);
}

#[test]
fn a_signal_ends_the_wait_with_eintr() {
    let word = shared_word();
    let pid = guest(|result| i32::from(result != -i64::from(libc::EINTR)));
    park(pid, After::Retry, libc::SYS_futex as u64, futex_wait(word));
    next_call(pid);
    ptrace::syscall(pid, None).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    kill(pid, Signal::SIGUSR1).unwrap();
    waitpid(pid, None).unwrap();
    assert_eq!(end(pid), 0);
}

#[test]
fn a_call_that_stands_in_gives_its_own_result() {
    let pid = guest(|result| i32::from(result != -i64::from(libc::EBADF)));
    park(pid, After::Return, libc::SYS_close as u64, [u64::MAX, 0, 0, 0, 0, 0]);
    assert_eq!(end(pid), 0);
    // SAFETY: getppid has no arguments.
    let pid = guest(|result| i32::from(result != unsafe { libc::getppid() }.into()));
    park(pid, After::Return, libc::SYS_getppid as u64, [0; 6]);
    assert_eq!(end(pid), 0);
}

#[test]
fn a_success_is_reported_and_an_error_is_not() {
    let after = After::Notify { cookie: 0x0123_4567_89ab_cdef };
    let pid = guest(|result| i32::from(result != 5));
    park(pid, after, libc::SYS_getppid as u64, [0; 6]);
    let frame = ptrace::getregs(pid).unwrap().rsp;
    next_call(pid);
    next_call(pid);
    let report = next_call(pid);
    assert_eq!(report.orig_rax, PRIVATE_SYSCALL);
    assert_eq!([report.rdi, report.rsi, report.rdx], [PARKED, u64::from(std::process::id()), frame]);
    assert_eq!(report.r10, 0x0123_4567_89ab_cdef);
    let mut regs = next_call(pid);
    regs.rax = 5;
    ptrace::setregs(pid, regs).unwrap();
    assert_eq!(end(pid), 0);

    let pid = guest(|result| i32::from(result != -i64::from(libc::EBADF)));
    park(pid, after, libc::SYS_close as u64, [u64::MAX, 0, 0, 0, 0, 0]);
    assert_eq!(end(pid), 0);
}
