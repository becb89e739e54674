//! The signal restorer, natively: the resident page in a forked child, handlers that return to it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

use carrack_loader::stub::{RESIDENT, SIGNAL_RESTORER, SIGNAL_RESTORER_LOOSE, signal_restorer};
use common::{in_child, map_resident};
use libc::{c_int, c_void, siginfo_t};

static HITS: AtomicI32 = AtomicI32::new(0);
static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn count(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: SA_SIGINFO: the kernel gives valid pointers.
    let same = unsafe { (*info).si_signo == signal };
    if same && !context.is_null() {
        HITS.fetch_add(1, Ordering::SeqCst);
    }
}

/// Lets whoever reads the pipe go on.
extern "C" fn feed(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    count(signal, info, context);
    // SAFETY: one byte of a static.
    unsafe { libc::write(PIPE.load(Ordering::SeqCst), b"x".as_ptr().cast(), 1) };
}

extern "C" fn leave(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: SA_SIGINFO, and a signal with an address.
    let good = unsafe { signal == libc::SIGSEGV && (*info).si_addr() as usize == 16 };
    // SAFETY: ends the child.
    unsafe { libc::_exit(if good { 0 } else { 9 }) };
}

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// rt_sigaction(2) itself: libc would set its own restorer.
fn install(signal: c_int, handler: Handler, restorer: u64) {
    const SA_RESTORER: u64 = 0x0400_0000;
    let flags = (libc::SA_SIGINFO | libc::SA_RESTART) as u64 | SA_RESTORER;
    let action = [handler as *const () as u64, flags, restorer, 0];
    // SAFETY: a whole kernel_sigaction, as the kernel would be given one by the supervisor.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), 0, 8) };
}

fn alarm_in_ms(ms: i64) {
    let zero = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer =
        libc::itimerval { it_interval: zero, it_value: libc::timeval { tv_sec: 0, tv_usec: ms * 1000 } };
    // SAFETY: plain structures.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

fn pipe() -> [c_int; 2] {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    unsafe { libc::pipe(ends.as_mut_ptr()) };
    PIPE.store(ends[1], Ordering::SeqCst);
    ends
}

/// Reads a byte from an empty pipe while a signal comes: its result, or the negative error number.
fn interrupted_read() -> i64 {
    let ends = pipe();
    alarm_in_ms(20);
    let mut byte = 0u8;
    // SAFETY: one byte.
    let result = unsafe { libc::read(ends[0], (&raw mut byte).cast(), 1) };
    if result < 0 {
        -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    } else {
        result as i64
    }
}

#[test]
fn a_native_call_is_interrupted_as_the_program_asked() {
    let stub = common::stub_fd();
    for restorer in [SIGNAL_RESTORER_LOOSE, signal_restorer()] {
        in_child(|| {
            map_resident(stub.as_raw_fd());
            install(libc::SIGALRM, count, restorer);
            i32::from(interrupted_read() != -i64::from(libc::EINTR) || HITS.load(Ordering::SeqCst) != 1)
        });
    }
}

/// The control: without the restorer the kernel restarts.
#[test]
fn a_handler_with_sa_restart_needs_no_restorer() {
    in_child(|| {
        // SAFETY: a handler of the right type.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = feed as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        }
        i32::from(interrupted_read() != 1 || HITS.load(Ordering::SeqCst) != 1)
    });
}

/// The open of a FIFO stands for a notified call: its number is not in the set.
#[test]
fn other_calls_are_restarted() {
    let stub = common::stub_fd();
    let directory =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fifo-{}", std::process::id()));
    let path = std::ffi::CString::new(directory.as_os_str().as_encoded_bytes()).unwrap();
    let _ = std::fs::remove_file(&directory);
    // SAFETY: a C string.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    for restorer in [SIGNAL_RESTORER_LOOSE, signal_restorer()] {
        in_child(|| {
            map_resident(stub.as_raw_fd());
            install(libc::SIGALRM, count, restorer);
            // SAFETY: the child of the child opens the other end later, then ends.
            unsafe {
                if libc::fork() == 0 {
                    libc::usleep(100_000);
                    libc::open(path.as_ptr(), libc::O_WRONLY);
                    libc::_exit(0);
                }
            }
            alarm_in_ms(20);
            // SAFETY: a C string.
            let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) };
            i32::from(fd < 0 || HITS.load(Ordering::SeqCst) != 1)
        });
    }
    std::fs::remove_file(&directory).unwrap();
}

#[test]
fn a_fault_reaches_its_handler() {
    let stub = common::stub_fd();
    in_child(|| {
        map_resident(stub.as_raw_fd());
        install(libc::SIGSEGV, leave, signal_restorer());
        // SAFETY: not at all, as is meant: the handler ends the child. rax = 0 looks like read, and rip cannot be
        // mistaken as the kernel says that the program itself is at fault.
        unsafe { std::arch::asm!("mov rax, [{0}]", in(reg) 16usize, out("rax") _) };
        8
    });
}

/// A thread that computes and makes calls which never block must not see EINTR, wherever the signal hits it.
#[test]
fn calls_that_do_not_block_are_never_interrupted() {
    if signal_restorer() != SIGNAL_RESTORER {
        return;
    }
    let stub = common::stub_fd();
    in_child(|| {
        map_resident(stub.as_raw_fd());
        install(libc::SIGALRM, count, SIGNAL_RESTORER);
        let every = libc::timeval { tv_sec: 0, tv_usec: 200 };
        let timer = libc::itimerval { it_interval: every, it_value: every };
        let mut bytes = [0u8; 16];
        let mut bad = 0;
        // SAFETY: plain structures and a buffer of 16 bytes; the resident page's own head is what is read.
        unsafe {
            libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
            for _ in 0..300_000 {
                bad += i32::from(libc::pread(stub.as_raw_fd(), bytes.as_mut_ptr().cast(), 16, 0) != 16);
            }
        }
        i32::from(bad != 0 || HITS.load(Ordering::SeqCst) < 5 || bytes[..4] != *b"\x7fELF" || RESIDENT == 0)
    });
}
