use super::*;
use crate::TABLE;
use proptest::prelude::*;

/// Pieces of memory, each at its address.
struct Pieces(Vec<(u64, Vec<u8>)>);

impl Memory for Pieces {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Option<usize> {
        let (start, bytes) =
            self.0.iter().find(|(start, bytes)| *start <= addr && addr < start + bytes.len() as u64)?;
        let bytes = &bytes[(addr - start) as usize..];
        let len = bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&bytes[..len]);
        Some(len)
    }
}

/// Lays the pieces out at 0x1000, 0x2000 and so on, and prints the call.
fn text(nr: u32, args: &[u64], ret: impl Into<Option<i64>>, pieces: &[&[u8]]) -> String {
    let pieces = (1..).zip(pieces).map(|(page, bytes)| (page * 0x1000, bytes.to_vec())).collect();
    let mut words = [0xdead; 6];
    words[..args.len()].copy_from_slice(args);
    line(nr, &words, ret.into(), &Pieces(pieces))
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

const CWD: u64 = -100_i64 as u64;

#[test]
fn paths_and_flags() {
    assert_eq!(
        text(nr::openat, &[CWD, 0x1000, 0o2000000, 0], 3, &[b"/etc/passwd\0"]),
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3"#
    );
    assert_eq!(
        text(nr::openat, &[0xffff_ff9c, 0x1000, 0o1102, 0o644], -13, &[b"a\n\x01\x002"]),
        r#"openat(AT_FDCWD, "a\n\1", O_RDWR|O_CREAT|O_TRUNC, 0644) = -1 EACCES (Permission denied)"#
    );
    assert_eq!(
        text(nr::newfstatat, &[5, 0x1000, 0x2000, 0x1000], -2, &[b"\0"]),
        r#"newfstatat(5, "", 0x2000, AT_EMPTY_PATH) = -1 ENOENT (No such file or directory)"#
    );
    assert_eq!(
        text(nr::open, &[0x5000, 0o20200001, 0o600], None, &[]),
        "open(0x5000, O_WRONLY|O_TMPFILE, 0600)"
    );
    assert_eq!(text(nr::access, &[0, 5], -14, &[]), "access(NULL, R_OK|X_OK) = -1 EFAULT (Bad address)");
    assert_eq!(
        text(nr::mknod, &[0x1000, 0o20666, 0x103], 0, &[b"null\0"]),
        r#"mknod("null", S_IFCHR|0666, makedev(0x1, 0x3)) = 0"#
    );
}

#[test]
fn buffers_show_what_was_moved() {
    assert_eq!(text(nr::read, &[0, 0x1000, 4096], 3, &[b"abcdef"]), r#"read(0, "abc", 4096) = 3"#);
    assert_eq!(text(nr::read, &[0, 0x1000, 4096], None, &[b"abcdef"]), "read(0, 0x1000, 4096)");
    assert_eq!(text(nr::read, &[0, 0x1000, 4096], 0, &[b"abcdef"]), r#"read(0, "", 4096) = 0"#);
    let long = [b'x'; 100];
    assert_eq!(
        text(nr::write, &[1, 0x1000, 100], 100, &[&long]),
        format!("write(1, \"{}\"..., 100) = 100", "x".repeat(32))
    );
    let iov = words(&[0x1000, 3, 0x1003, 3]);
    assert_eq!(
        text(nr::readv, &[3, 0x2000, 2], 4, &[b"abcdef", &iov]),
        r#"readv(3, [{iov_base="abc", iov_len=3}, {iov_base="d", iov_len=3}], 2) = 4"#
    );
    assert_eq!(
        text(nr::readlink, &[0x1000, 0x2000, 64], 3, &[b"l\0", b"abcdef"]),
        r#"readlink("l", "abc", 64) = 3"#
    );
}

#[test]
fn vectors_of_strings() {
    let argv = words(&[0x2000, 0x2003, 0]);
    assert_eq!(
        text(nr::execve, &[0x3000, 0x1000, 0x1000], 0, &[&argv, b"ls\0-l\0", b"/bin/ls\0"]),
        r#"execve("/bin/ls", ["ls", "-l"], 0x1000 /* 2 vars */) = 0"#
    );
    let endless = words(&[0x2000; 500]);
    let line = text(nr::execve, &[0x2000, 0x1000, 0], None, &[&endless, b"x\0"]);
    assert!(line.ends_with(r#""x", "x", ...], NULL)"#) && line.len() < 200, "{line}");
}

#[test]
fn memory_calls() {
    assert_eq!(
        text(nr::mmap, &[0, 8192, 3, 0x22, u64::MAX, 0], 0x7f00_0000_0000, &[]),
        "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000"
    );
    assert_eq!(text(nr::mprotect, &[0x1000, 4096, 0], 0, &[]), "mprotect(0x1000, 4096, PROT_NONE) = 0");
    assert_eq!(
        text(nr::futex, &[0x1000, 0x81, 1], 1, &[]),
        "futex(0x1000, FUTEX_WAKE|FUTEX_PRIVATE_FLAG, 1) = 1"
    );
}

#[test]
fn processes_and_signals() {
    assert_eq!(
        text(nr::clone, &[0x0120_0011, 0, 0, 0x1000], 7, &[b"\x07\0\0\0"]),
        "clone(CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, NULL, NULL, [7]) = 7"
    );
    assert_eq!(
        text(nr::wait4, &[u64::MAX, 0x1000, 1, 0], 7, &[b"\0\x02\0\0"]),
        "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 2}], WNOHANG, NULL) = 7"
    );
    assert_eq!(
        text(nr::wait4, &[7, 0x1000, 0, 0], 7, &[b"\x0b\0\0\0"]),
        "wait4(7, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV}], 0, NULL) = 7"
    );
    assert_eq!(text(nr::kill, &[1, 15], -3, &[]), "kill(1, SIGTERM) = -1 ESRCH (No such process)");
    let action = words(&[0x40_0000, 0x1400_0000, 0x50_0000, 1 << 16 | 2]);
    assert_eq!(
        text(nr::rt_sigaction, &[2, 0x1000, 0, 8], 0, &[&action]),
        "rt_sigaction(SIGINT, {sa_handler=0x400000, sa_mask=[INT CHLD], sa_flags=SA_RESTORER|SA_RESTART}, NULL, 8) = 0"
    );
    assert_eq!(
        text(nr::rt_sigprocmask, &[2, 0x1000, 0, 8], 0, &[&words(&[u64::MAX])]),
        "rt_sigprocmask(SIG_SETMASK, ~[], NULL, 8) = 0"
    );
    assert_eq!(
        text(nr::rt_sigsuspend, &[0x1000, 8], -514, &[&words(&[0])]),
        "rt_sigsuspend([], 8) = ? ERESTARTNOHAND (To be restarted if no handler)"
    );
}

#[test]
fn sockets() {
    assert_eq!(
        text(nr::socket, &[2, 0o2000001, 0], 3, &[]),
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3"
    );
    assert_eq!(
        text(nr::connect, &[3, 0x1000, 16], -111, &[b"\x02\0\0\x50\x7f\0\0\x01\0\0\0\0\0\0\0\0"]),
        "connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) \
         = -1 ECONNREFUSED (Connection refused)"
    );
    assert_eq!(
        text(nr::bind, &[3, 0x1000, 8], 0, &[b"\x01\0/a/b\0\0"]),
        r#"bind(3, {sa_family=AF_UNIX, sun_path="/a/b"}, 8) = 0"#
    );
    assert_eq!(
        text(nr::bind, &[3, 0x1000, 5], 0, &[b"\x01\0\0xy"]),
        r#"bind(3, {sa_family=AF_UNIX, sun_path=@"xy"}, 5) = 0"#
    );
    assert_eq!(
        text(nr::setsockopt, &[3, 1, 2, 0x1000, 4], 0, &[b"\x01\0\0\0"]),
        "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0"
    );
    assert_eq!(
        text(nr::accept4, &[3, 0, 0, 0o2004000], 4, &[]),
        "accept4(3, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) = 4"
    );
}

#[test]
fn structures_come_after_success_only() {
    let mut stat = vec![0; 144];
    stat[24..28].copy_from_slice(&0o100_644_u32.to_le_bytes());
    stat[48] = 42;
    assert_eq!(
        text(nr::fstat, &[3, 0x1000], 0, &[&stat]),
        "fstat(3, {st_mode=S_IFREG|0644, st_size=42, ...}) = 0"
    );
    assert_eq!(
        text(nr::fstat, &[3, 0x1000], -9, &[&stat]),
        "fstat(3, 0x1000) = -1 EBADF (Bad file descriptor)"
    );
    assert_eq!(
        text(nr::prlimit64, &[0, 7, 0, 0x1000], 0, &[&words(&[1024, u64::MAX])]),
        "prlimit64(0, RLIMIT_NOFILE, NULL, {rlim_cur=1*1024, rlim_max=RLIM64_INFINITY}) = 0"
    );
    assert_eq!(
        text(nr::fcntl, &[3, 6, 0x1000], 0, &[&words(&[1, 0, 10, 0])]),
        "fcntl(3, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=10}) = 0"
    );
    assert_eq!(text(nr::fcntl, &[3, 1], 0, &[]), "fcntl(3, F_GETFD) = 0");
    assert_eq!(
        text(nr::pipe2, &[0x1000, 0o2000000], 0, &[b"\x03\0\0\0\x04\0\0\0"]),
        "pipe2([3, 4], O_CLOEXEC) = 0"
    );
}

#[test]
fn numbers_without_a_row() {
    assert_eq!(
        text(400, &[1, 2, 3, 4, 5, 6], -38, &[]),
        "syscall_0x190(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS (Function not implemented)"
    );
    assert!(text(PRIVATE_NR, &[], 0, &[]).starts_with("carrack(0xdead"));
    assert_eq!(result(nr::getpid, -4000), "-1 E4000 (Unknown error)");
}

/// Memory in which every byte is derived from its address, and some pages are missing.
struct Noise(u64);

impl Memory for Noise {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Option<usize> {
        if (addr ^ self.0) & 0x3000 == 0 {
            return None;
        }
        for (offset, byte) in buf.iter_mut().enumerate() {
            let at = addr.wrapping_add(offset as u64).wrapping_mul(self.0 | 1);
            *byte = (at >> 13) as u8;
        }
        Some(buf.len())
    }
}

proptest! {
    #[test]
    fn any_call_with_any_words_is_one_short_printable_line(
        index in 0..TABLE.len(),
        args in prop::array::uniform6(prop_oneof![any::<u64>(), 0_u64..64, 0x1000_u64..0x8000]),
        ret in prop::option::of(prop_oneof![any::<i64>(), -600_i64..600]),
        seed in any::<u64>(),
    ) {
        let text = line(TABLE[index].nr, &args, ret, &Noise(seed));
        prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        prop_assert!(text.len() < 64 * 1024);
    }
}
