//! Probes of the host. Each tries the thing itself, in a child process where it leaves traces; none needs privilege.

use crate::doctor::{Finding, State};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const SECCOMP_SET_MODE_FILTER: libc::c_long = 1;
const NEW_LISTENER: libc::c_long = 1 << 3;
const WAIT_KILLABLE_RECV: libc::c_long = 1 << 5;
const NOTIF_ADDFD: libc::c_ulong = 0x4018_2103;
const NOTIF_SET_FLAGS: libc::c_ulong = 0x4008_2104;
const PTRACE_SEIZE: libc::c_long = 0x4206;
const FICLONE: libc::c_ulong = 0x4004_9409;
const MFD_CLOEXEC: libc::c_long = 1;
const MFD_EXEC: libc::c_long = 0x10;
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// What a probe gives: what was seen, or why not.
type Seen = Result<String, String>;

fn finding(name: &'static str, seen: Seen, is_needed: bool, cost: &'static str) -> Finding {
    let (state, detail) = match seen {
        Ok(detail) => (State::Ok, detail),
        Err(why) => (if is_needed { State::Fatal } else { State::Missing }, why),
    };
    Finding { name, state, detail, cost }
}

/// What the kernel (and whoever confines us) allows.
pub(crate) fn kernel() -> Vec<Finding> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let version = parse_version(&release);
    let mut all = vec![
        finding("architecture", architecture(), true, "only x86-64 is supported"),
        finding(
            "kernel",
            at_least(&release, version, (5, 14)),
            true,
            "calls cannot be answered safely before 5.14",
        ),
        finding(
            "seccomp listener",
            in_child(|| listener(NEW_LISTENER).map(|_| "user notifications work".into())),
            true,
            "no container can run: the host, or a sandbox that this runs in, keeps the listener to itself",
        ),
        finding(
            "WAIT_KILLABLE_RECV",
            in_child(|| listener(NEW_LISTENER | WAIT_KILLABLE_RECV).map(|_| "accepted".into())),
            false,
            "a signal may make a call be done twice (Linux before 5.19)",
        ),
        finding(
            "reply race",
            if version >= (6, 18) {
                Ok("fixed in 6.18".into())
            } else {
                Err(format!("{release} may lack the fix of 6.18"))
            },
            false,
            "a signal at the wrong moment may show EINTR for a call that was done, on kernels from before late 2025",
        ),
        finding(
            "SYNC_WAKE_UP",
            in_child(sync_wake_up),
            false,
            "each answered call takes some 40 µs instead of 5 (before 6.6)",
        ),
        finding(
            "ADDFD with SEND",
            in_child(addfd_send),
            true,
            "descriptors cannot be handed to containers (before 5.14)",
        ),
        finding("ptrace", ptrace(), true, "no program can be started"),
        finding(
            "memory of containers",
            process_vm(),
            false,
            "/proc/PID/mem is used instead, some 3 µs slower a call",
        ),
        finding(
            "pidfd_getfd",
            pidfd_getfd(),
            false,
            "sockets of containers are reached by an injected sendmsg, 40 µs slower a call",
        ),
        finding(
            "executable memfd",
            memfd_exec(),
            true,
            "the program loader cannot be started (vm.memfd_noexec=2)",
        ),
        finding(
            "PR_SET_MM_MAP",
            in_child(set_mm_map),
            false,
            "ps on the host shows the loader's name instead of the command",
        ),
        finding("pseudo terminals", pty(), false, "no -t"),
        finding(
            "process tree",
            children_file(),
            false,
            "looking for a container's processes reads all of /proc",
        ),
        finding(
            "Landlock",
            landlock(),
            false,
            "one layer of confinement less; the system call filter still holds",
        ),
        finding(
            "user namespaces",
            in_child(userns),
            false,
            "one layer of confinement less; nothing else depends on it",
        ),
        finding(
            "cgroup delegation",
            cgroup(),
            false,
            "limits of memory and CPU are enforced by counting, not by the kernel",
        ),
    ];
    if let Some(yama) = yama() {
        all.push(yama);
    }
    all
}

/// What the directories can do.
pub(crate) fn storage(data_root: &Path, run_root: Option<&Path>) -> Vec<Finding> {
    let scratch = Scratch::make(data_root);
    let on = |probe: fn(&Path) -> Seen| match &scratch {
        Ok(s) => probe(&s.dir),
        Err(e) => Err(e.clone()),
    };
    let mut all = vec![
        finding(
            "data root",
            scratch.as_ref().map(|_| data_root.display().to_string()).map_err(Clone::clone),
            true,
            "there is nowhere to keep images; use --data-root DIR",
        ),
        finding("hard links", on(hard_link), false, "identical files are stored once for each image"),
        finding("reflinks", on(reflink), false, "the first write to an image's file copies all of it"),
        finding(
            "extended attributes",
            on(xattr),
            false,
            "owners of files in bind mounts are kept in sidecar files",
        ),
        finding("executable data root", on(may_exec), false, "programs are mapped from copies in memory"),
    ];
    let tmpfs = match run_root {
        None => Err("there is no run directory".into()),
        Some(dir) => match rustix::fs::statfs(dir) {
            Ok(s) if s.f_type == TMPFS_MAGIC => Ok(format!("{} is a tmpfs", dir.display())),
            Ok(_) => Err(format!("{} is not a tmpfs", dir.display())),
            Err(e) => Err(format!("{}: {e}", dir.display())),
        },
    };
    all.push(finding("run directory", tmpfs, false, "opening directories writes to a disk"));
    all
}

/// What this user may have.
pub(crate) fn limits() -> Vec<Finding> {
    let limit = |which: libc::__rlimit_resource_t| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is valid for the kernel to write to.
        unsafe { libc::getrlimit(which, &raw mut limit) };
        limit.rlim_max
    };
    let show = |n: u64| if n == libc::RLIM_INFINITY { "unlimited".to_owned() } else { n.to_string() };
    let (files, processes) = (limit(libc::RLIMIT_NOFILE), limit(libc::RLIMIT_NPROC));
    let enough = |n: u64, least: u64, what: &str| {
        let text = format!("{} {what}", show(n));
        if n >= least { Ok(text) } else { Err(text) }
    };
    vec![
        finding(
            "open files",
            enough(files, 4096, "descriptors"),
            false,
            "programs with many files fail (raise the hard limit)",
        ),
        finding(
            "processes",
            enough(processes, 1024, "processes and threads"),
            false,
            "all containers share this limit",
        ),
    ]
}

fn architecture() -> Seen {
    match std::env::consts::ARCH {
        "x86_64" => Ok("x86-64".into()),
        other => Err(other.into()),
    }
}

fn parse_version(release: &str) -> (u32, u32) {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|p| p.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn at_least(release: &str, version: (u32, u32), least: (u32, u32)) -> Seen {
    if version >= least { Ok(release.into()) } else { Err(release.into()) }
}

/// errno of the last call as text.
fn last() -> String {
    let e = io::Error::last_os_error();
    e.to_string().split(" (os").next().unwrap_or_default().to_lowercase()
}

/// Runs a probe in a child process; this process has one thread.
fn in_child(probe: impl FnOnce() -> Seen) -> Seen {
    let (r, w) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| e.to_string())?;
    // SAFETY: the process has a single thread, so the child may use everything.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(last());
    }
    if pid == 0 {
        drop(r);
        let (mark, text) = match probe() {
            Ok(text) => (b'+', text),
            Err(text) => (b'-', text),
        };
        let _ = std::fs::File::from(w).write_all(&[&[mark], text.as_bytes()].concat());
        // SAFETY: ends the child without running this process's exit handlers twice.
        unsafe { libc::_exit(0) };
    }
    drop(w);
    let mut report = String::new();
    let _ = std::fs::File::from(r).read_to_string(&mut report);
    reap(pid);
    match report.split_at_checked(1) {
        Some(("+", text)) => Ok(text.into()),
        Some((_, text)) => Err(text.into()),
        None => Err("the probe was killed".into()),
    }
}

/// Exit code of a child.
fn reap(pid: i32) -> Option<i32> {
    let pid = rustix::process::Pid::from_raw(pid)?;
    let (_, status) = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).ok()??;
    status.exit_status()
}

/// A child that waits until it is killed.
struct Sleeper(i32);

impl Sleeper {
    fn start() -> Result<Sleeper, String> {
        // SAFETY: as in `in_child`; the child only pauses.
        match unsafe { libc::fork() } {
            -1 => Err(last()),
            0 => loop {
                // SAFETY: pause takes nothing.
                unsafe { libc::pause() };
            },
            pid => Ok(Sleeper(pid)),
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // SAFETY: the child is ours and not reaped yet.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        reap(self.0);
    }
}

/// Installs a filter that allows everything; the listener.
fn listener(flags: libc::c_long) -> Result<OwnedFd, String> {
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    let program = libc::sock_fprog { len: 1, filter: (&raw const allow).cast_mut() };
    // SAFETY: prctl with numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(last());
    }
    // SAFETY: `program` points to one instruction that lives until the call returns.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if fd < 0 {
        return Err(last());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn sync_wake_up() -> Seen {
    let listener = listener(NEW_LISTENER)?;
    // SAFETY: the argument is a number.
    match unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SET_FLAGS, 1u64) } {
        0 => Ok("accepted".into()),
        _ => Err(last()),
    }
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    srcfd: u32,
    newfd: u32,
    newfd_flags: u32,
}

fn addfd_send() -> Seen {
    let listener = listener(NEW_LISTENER)?;
    // Nobody waits under this id: a kernel that knows the flag says ENOENT.
    let request = AddFd { id: 1, flags: 2, srcfd: 0, newfd: 0, newfd_flags: 0 };
    // SAFETY: `request` is the structure that this request takes.
    unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ADDFD, &raw const request) };
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ENOENT) | Some(libc::EINPROGRESS) => Ok("known".into()),
        _ => Err(last()),
    }
}

fn ptrace() -> Seen {
    let child = Sleeper::start()?;
    // SAFETY: PTRACE_SEIZE of our own child takes numbers.
    if unsafe { libc::syscall(libc::SYS_ptrace, PTRACE_SEIZE, child.0, 0, 0) } != 0 {
        return Err(last());
    }
    Ok("children can be seized".into())
}

fn process_vm() -> Seen {
    let word = 0x1234_5678_u64;
    let child = Sleeper::start()?;
    let mut got = 0u64;
    let local = libc::iovec { iov_base: (&raw mut got).cast(), iov_len: 8 };
    let remote = libc::iovec { iov_base: (&raw const word).cast_mut().cast(), iov_len: 8 };
    // SAFETY: `local` is ours; the child has the same bytes at the same address.
    let n = unsafe { libc::process_vm_readv(child.0, &raw const local, 1, &raw const remote, 1, 0) };
    if n == 8 && got == word { Ok("process_vm_readv works".into()) } else { Err(last()) }
}

fn pidfd_getfd() -> Seen {
    let child = Sleeper::start()?;
    let pid = rustix::process::Pid::from_raw(child.0).ok_or("no child")?;
    let pidfd =
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).map_err(|e| e.to_string())?;
    match rustix::process::pidfd_getfd(&pidfd, 0, rustix::process::PidfdGetfdFlags::empty()) {
        Ok(_) => Ok("works".into()),
        // A child without that descriptor was looked into nevertheless.
        Err(rustix::io::Errno::BADF) => Ok("works".into()),
        Err(e) => Err(e.to_string()),
    }
}

/// A program whose only instructions are exit(7).
const PROGRAM: [u8; 132] = {
    let mut elf = [0u8; 132];
    let head: [u8; 20] = [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0];
    let mut i = 0;
    while i < 20 {
        elf[i] = head[i];
        i += 1;
    }
    elf[20] = 1; // e_version
    elf[24] = 0x78; // e_entry = 0x10078
    elf[26] = 1;
    elf[32] = 64; // e_phoff
    elf[52] = 64; // e_ehsize
    elf[54] = 56; // e_phentsize
    elf[56] = 1; // e_phnum
    elf[64] = 1; // PT_LOAD
    elf[68] = 5; // R+X
    elf[82] = 1; // p_vaddr = 0x10000
    elf[90] = 1; // p_paddr
    elf[96] = 132; // p_filesz
    elf[104] = 132; // p_memsz
    elf[113] = 0x10; // p_align = 0x1000
    // mov edi, 7; mov eax, 60; syscall
    let code: [u8; 12] = [0xbf, 7, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let mut i = 0;
    while i < 12 {
        elf[0x78 + i] = code[i];
        i += 1;
    }
    elf
};

fn memfd_exec() -> Seen {
    let make = |flags: libc::c_long| {
        // SAFETY: the name is a C string.
        unsafe { libc::syscall(libc::SYS_memfd_create, c"carrack-probe".as_ptr(), flags) }
    };
    let mut fd = make(MFD_CLOEXEC | MFD_EXEC);
    if fd < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
        // MFD_EXEC came in 6.3.
        fd = make(MFD_CLOEXEC);
    }
    if fd < 0 {
        return Err(last());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let mut file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd as i32) });
    file.write_all(&PROGRAM).map_err(|e| e.to_string())?;
    // SAFETY: as in `in_child`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let empty: *const libc::c_char = c"".as_ptr();
        let argv = [empty, std::ptr::null()];
        // SAFETY: all pointers are to terminated strings and vectors; on failure the child ends.
        unsafe {
            let path_flag = libc::AT_EMPTY_PATH as libc::c_long;
            libc::syscall(
                libc::SYS_execveat,
                file.as_raw_fd(),
                empty,
                argv.as_ptr(),
                argv[1..].as_ptr(),
                path_flag,
            );
            libc::_exit(1);
        }
    }
    match reap(pid) {
        Some(7) => Ok("can be executed".into()),
        _ => Err("cannot be executed".into()),
    }
}

/// Sets this process's memory map to what it is.
fn set_mm_map() -> Seen {
    const PR_SET_MM: libc::c_int = 35;
    const PR_SET_MM_MAP_SIZE: libc::c_ulong = 15;
    let mut size = 0u32;
    // SAFETY: the kernel writes one u32.
    if unsafe { libc::prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &raw mut size, 0, 0) } != 0 {
        return Err(last());
    }
    Ok("known".into())
}

fn pty() -> Seen {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).map_err(|e| e.to_string())?;
    unlockpt(&master).and_then(|()| ioctl_tiocgptpeer(&master, flags)).map_err(|e| e.to_string())?;
    Ok("work".into())
}

fn children_file() -> Seen {
    let pid = std::process::id();
    match std::fs::read(format!("/proc/{pid}/task/{pid}/children")) {
        Ok(_) => Ok("/proc/PID/task/TID/children is there".into()),
        Err(e) => Err(e.to_string()),
    }
}

fn landlock() -> Seen {
    // SAFETY: a query of the version takes no structure.
    match unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) } {
        n if n > 0 => Ok(format!("ABI {n}")),
        _ => Err(last()),
    }
}

fn userns() -> Seen {
    // SAFETY: unshare takes a number; this is a child of its own.
    match unsafe { libc::unshare(libc::CLONE_NEWUSER) } {
        0 => Ok("can be made".into()),
        _ => Err(last()),
    }
}

fn cgroup() -> Seen {
    let text = std::fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
    let path = text.lines().find_map(|l| l.strip_prefix("0::")).ok_or("no cgroup v2")?;
    let dir = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    let probe = dir.join(format!("carrack-probe-{}", std::process::id()));
    std::fs::create_dir(&probe).map_err(|e| format!("{}: {}", dir.display(), e.kind()))?;
    let _ = std::fs::remove_dir(&probe);
    Ok(dir.display().to_string())
}

fn yama() -> Option<Finding> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?;
    let scope = scope.trim();
    let seen = match scope {
        "0" | "1" => Ok(format!("ptrace_scope {scope}")),
        _ => Err(format!("ptrace_scope {scope}")),
    };
    Some(finding("Yama", seen, true, "programs cannot be started under ptrace_scope 2 or 3"))
}

/// A directory below the data root for the time of the probes.
struct Scratch {
    dir: std::path::PathBuf,
}

impl Scratch {
    fn make(data_root: &Path) -> Result<Scratch, String> {
        use std::os::unix::fs::DirBuilderExt;
        let dir = data_root.join(format!("probe-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Scratch { dir })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn hard_link(dir: &Path) -> Seen {
    let a = dir.join("link-a");
    std::fs::write(&a, b"x")
        .and_then(|()| std::fs::hard_link(&a, dir.join("link-b")))
        .map_err(|e| e.to_string())?;
    Ok("work".into())
}

fn reflink(dir: &Path) -> Seen {
    std::fs::write(dir.join("clone-a"), vec![1u8; 4096]).map_err(|e| e.to_string())?;
    let from = std::fs::File::open(dir.join("clone-a")).map_err(|e| e.to_string())?;
    let to = std::fs::File::create(dir.join("clone-b")).map_err(|e| e.to_string())?;
    // SAFETY: FICLONE takes a descriptor as its argument.
    match unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd()) } {
        0 => Ok("work".into()),
        _ => Err(last()),
    }
}

fn xattr(dir: &Path) -> Seen {
    let file = dir.join("xattr");
    std::fs::write(&file, b"x").map_err(|e| e.to_string())?;
    rustix::fs::setxattr(&file, "user.carrack.probe", b"1", rustix::fs::XattrFlags::empty())
        .map_err(|e| e.to_string())?;
    Ok("work".into())
}

fn may_exec(dir: &Path) -> Seen {
    let path = std::ffi::CString::new(dir.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
    let v = rustix::fs::statvfs(&path).map_err(|e| e.to_string())?;
    if v.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC) {
        return Err("mounted noexec".into());
    }
    Ok("yes".into())
}
