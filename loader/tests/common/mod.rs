//! Executes a program by way of the stub, with ptrace in the place of the supervisor.

#![allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::panic)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use carrack_loader::stub::{PLAN_BUFFER, PLAN_FAILED, PRIVATE_SYSCALL, REQUEST_PLAN, STUB};
use carrack_loader::{
    ElfImage, HEAD_SIZE, KernelStack, LoadInput, LoadPlan, Loadable, StackImage, StackInput, auxv,
    parse_elf_with, parse_interpreter,
};
use nix::sys::ptrace;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// How a guest ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// Index and result of the operation that failed.
    pub failed: Option<(u64, i64)>,
}

/// An executable memfd with the stub.
pub fn stub_fd() -> OwnedFd {
    // SAFETY: the name is a C string; the result is checked and owned by nobody else.
    let fd = unsafe {
        let fd = libc::memfd_create(c"stub".as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0, "memfd_create: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    };
    File::from(fd.try_clone().unwrap()).write_all(STUB).unwrap();
    // A file that is open for writing may not be executed: open it anew.
    File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap().into()
}

/// A file and what it is.
pub struct Object {
    pub file: File,
    pub image: ElfImage,
}

impl Object {
    pub fn open(path: &Path, interpreter: bool) -> Object {
        let file = File::open(path).unwrap();
        let size = file.metadata().unwrap().len();
        let mut head = Vec::new();
        (&file).take(HEAD_SIZE as u64).read_to_end(&mut head).unwrap();
        let more = |offset, length| {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
        };
        let image = if interpreter {
            parse_interpreter(&head, size, more).unwrap()
        } else {
            parse_elf_with(&head, size, more).unwrap()
        };
        Object { file, image }
    }
}

#[allow(clippy::zombie_processes)] // waitpid is called for each stop, so also for the end
/// Runs `path` with `argv` and `envp`. `random` is `None` for no address space randomisation.
pub fn run(path: &Path, argv: &[&str], envp: &[&str], random: Option<[u64; 2]>) -> Ended {
    let program = Object::open(path, false);
    let interpreter = program
        .image
        .interp
        .as_ref()
        .map(|interp| Object::open(Path::new(std::str::from_utf8(interp).unwrap()), true));
    let program_fd = program.file.as_raw_fd();
    let interpreter_fd = interpreter.as_ref().map(|object| object.file.as_raw_fd());
    let stub = stub_fd();
    let stub_number = stub.as_raw_fd();
    let mut command = Command::new("stub");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: only async-signal-safe calls.
    unsafe {
        command.pre_exec(move || {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            for fd in [program_fd].into_iter().chain(interpreter_fd) {
                libc::fcntl(fd, libc::F_SETFD, 0);
            }
            libc::syscall(libc::SYS_execveat, stub_number, c"".as_ptr(), 0usize, 0usize, libc::AT_EMPTY_PATH);
            Err(std::io::Error::last_os_error())
        });
    }
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    assert!(matches!(waitpid(pid, None).unwrap(), WaitStatus::Stopped(_, _)));
    ptrace::setoptions(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL)
        .unwrap();
    let mut entering = true;
    let mut answer = false;
    let mut failed = None;
    let mut signal = None;
    let code = loop {
        ptrace::syscall(pid, signal.take()).unwrap();
        match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceSyscall(_) if entering => {
                entering = false;
                let regs = ptrace::getregs(pid).unwrap();
                if regs.orig_rax == PRIVATE_SYSCALL {
                    match regs.rdi {
                        REQUEST_PLAN => {
                            assert_eq!(regs.rsi, PLAN_BUFFER);
                            let objects = (&program.image, interpreter.as_ref().map(|object| &object.image));
                            let fds =
                                (program_fd.as_raw_fd(), interpreter_fd.as_ref().map(AsRawFd::as_raw_fd));
                            write_plan(pid, regs.r10, regs.r8, objects, fds, path, argv, envp, random);
                            answer = true;
                        }
                        PLAN_FAILED => failed = Some((regs.rsi, regs.rdx as i64)),
                        _ => {}
                    }
                }
            }
            WaitStatus::PtraceSyscall(_) => {
                entering = true;
                if std::mem::take(&mut answer) {
                    let mut regs = ptrace::getregs(pid).unwrap();
                    regs.rax = 0;
                    ptrace::setregs(pid, regs).unwrap();
                }
            }
            WaitStatus::Stopped(_, number) => signal = Some(number),
            WaitStatus::Exited(_, code) => break Some(code),
            WaitStatus::Signaled(..) => break None,
            _ => {}
        }
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    Ended { code, stdout, stderr, failed }
}

/// What the supervisor does when the stub asks for its plan.
#[allow(clippy::too_many_arguments)]
fn write_plan(
    pid: Pid,
    sp: u64,
    mmap_top: u64,
    (program, interpreter): (&ElfImage, Option<&ElfImage>),
    (program_fd, interpreter_fd): (i32, Option<i32>),
    path: &Path,
    argv: &[&str],
    envp: &[&str],
    random: Option<[u64; 2]>,
) {
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).unwrap();
    let mut bytes = vec![0; 16384];
    let length = memory.read_at(&mut bytes, sp).unwrap();
    let kernel = KernelStack::parse(&bytes[..length], sp).unwrap();

    let plan = LoadPlan::new(&LoadInput {
        program: Loadable { image: program, fd: program_fd },
        interpreter: interpreter.zip(interpreter_fd).map(|(image, fd)| Loadable { image, fd }),
        mmap_top,
        random: random.unwrap_or_default(),
        no_randomize: random.is_none(),
    })
    .unwrap();

    let mut vector = kernel.auxv;
    plan.fill_auxv(&mut vector);
    for id in [auxv::AT_UID, auxv::AT_EUID, auxv::AT_GID, auxv::AT_EGID] {
        vector.set(id, 1234);
    }
    vector.set(auxv::AT_SECURE, 0);
    let owned =
        |strings: &[&str]| strings.iter().map(|string| string.as_bytes().to_vec()).collect::<Vec<_>>();
    let stack = StackImage::build(&StackInput {
        argv: &owned(argv),
        envp: &owned(envp),
        execfn: path.as_os_str().as_encoded_bytes(),
        auxv: &vector,
        random: kernel.random,
        top: kernel.top,
        gap: random.map_or(0, |random| random[0] % 8192),
    })
    .unwrap();
    memory.write_all_at(&stack.bytes, stack.sp).unwrap();
    let comm = path.file_name().unwrap().as_encoded_bytes();
    memory.write_all_at(&plan.finish(&stack, comm).encode().unwrap(), PLAN_BUFFER).unwrap();
}

/// Maps what a guest has for its whole life: the resident page.
pub fn map_resident(stub: i32) {
    use carrack_loader::stub::RESIDENT;
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a new mapping at a place that is free.
    unsafe {
        libc::mmap(RESIDENT as *mut _, 4096, libc::PROT_READ | libc::PROT_EXEC, flags, stub, 0);
    }
}

/// Runs `body`, which may make async-signal-safe calls only, in a forked child that has to return 0.
#[track_caller]
pub fn in_child(body: impl FnOnce() -> i32) {
    // SAFETY: see above.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let code = body();
            // SAFETY: ends the child without running the parent's destructors.
            unsafe { libc::_exit(code) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
}
