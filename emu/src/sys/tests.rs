//! Path calls against the host's: the same random calls on a tmpfs of the host and on one of ours, by several users.
//!
//! The guest is this process: pointers and descriptors are its own. The host's half runs in a thread that has changed its
//! root into an empty directory, so that absolute paths and `..` mean the same on both sides.

use super::*;
use crate::control::Spec;
use crate::fs::dev::Devices;
use crate::fs::testing::TempDir;
use crate::fs::tmp::{TmpFs, TmpOptions};
use crate::kernel::Kernel;
use crate::task::{Caps, Cred, FsStruct, Task};
use crate::vfs::ids::Ids;
use crate::vfs::{MountFlags, MountNs, SbId, SuperBlock};
use std::ffi::CString;
use std::io::Write as _;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::{Arc, mpsc};

#[derive(Debug)]
struct NoDoor;

impl Door for NoDoor {
    fn about_to_block(&self) {}
    fn still_there(&self) -> bool {
        true
    }
    fn add_fd(&self, fd: &OwnedFd, _cloexec: bool) -> Result<i32, Errno> {
        Ok(fd.try_clone().expect("dup").into_raw_fd())
    }
    fn replace_fd(&self, fd: &OwnedFd, at: i32, _cloexec: bool) -> Result<(), Errno> {
        // SAFETY: dup2 on descriptors of the test's own.
        assert!(unsafe { libc::dup2(fd.as_raw_fd(), at) } == at);
        Ok(())
    }
    fn answer_interrupted(&self) -> Result<(), Errno> {
        Ok(())
    }
}

/// One who makes system calls.
trait Sys {
    fn call(&mut self, nr: libc::c_long, args: [u64; 6]) -> i64;
    fn become_user(&mut self, uid: u32);
}

struct Guest {
    kernel: Arc<Kernel>,
    task: Arc<Task>,
}

impl Guest {
    fn new(dir: &TempDir) -> Guest {
        let path = dir.path().canonicalize().expect("exists");
        let spec: Spec = serde_json::from_value(serde_json::json!({
            "id": "test", "rootfs": {"store": path, "index": null}, "args": ["x"],
            "container_dir": path, "run_dir": path,
        }))
        .expect("a spec");
        let ids = Ids::new(&path, &path, &path);
        let root: Arc<dyn SuperBlock> = TmpFs::new(
            SbId(1),
            &path,
            TmpOptions { size: 1 << 30, mode: 0o755 },
            Arc::new(Devices::default()),
        );
        ids.register(root.clone());
        let mounts = MountNs::new(root, MountFlags::empty(), "tmpfs".into());
        let at = mounts.root();
        let kernel = Kernel::new(spec, mounts, ids, None).expect("a kernel");
        let fs = FsStruct { cwd: at.clone(), root: at, umask: 0o22 };
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let task = kernel.tasks.insert_first(pid, Cred::root(Caps::all()), fs, false).expect("a task");
        Guest { kernel, task }
    }
}

impl Sys for Guest {
    fn call(&mut self, nr: libc::c_long, args: [u64; 6]) -> i64 {
        let handler = crate::dispatch::handler_of(nr as u32).expect("emulated");
        let call = Call {
            kernel: self.kernel.clone(),
            task: self.task.clone(),
            nr: nr as u32,
            args,
            instruction_pointer: 0,
            door: Arc::new(NoDoor),
        };
        match handler(&call) {
            Ok(Outcome::Value(v)) => v,
            Ok(Outcome::Fd { fd, .. }) => i64::from(fd.into_raw_fd()),
            Ok(other) => panic!("{other:?}"),
            Err(e) => -i64::from(e.code()),
        }
    }

    fn become_user(&mut self, uid: u32) {
        // As setfsuid(2) leaves it on the host: real and effective ids stay root's.
        let root = Cred { groups: if uid == 0 { vec![] } else { vec![77] }, ..Cred::root(Caps::all()) };
        let files = Caps::CHOWN
            | Caps::DAC_OVERRIDE
            | Caps::DAC_READ_SEARCH
            | Caps::FOWNER
            | Caps::FSETID
            | Caps::LINUX_IMMUTABLE
            | Caps::MKNOD
            | Caps::MAC_OVERRIDE;
        let effective = if uid == 0 { Caps::all() } else { Caps::all() - files };
        let cred = Cred { fsuid: uid, fsgid: uid, effective, ..root };
        self.task.set_cred(cred);
    }
}

/// This thread of ours on the host.
struct Host;

impl Sys for Host {
    fn call(&mut self, nr: libc::c_long, a: [u64; 6]) -> i64 {
        // SAFETY: pointers are of buffers that live through the call, as for the guest's half.
        let r = unsafe { libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) };
        if r < 0 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { r }
    }

    fn become_user(&mut self, uid: u32) {
        let groups: &[u32] = if uid == 0 { &[] } else { &[77] };
        // SAFETY: changes ids of this thread alone, and calls take no memory but `groups`. The file system ids and what
        // goes with them (the capabilities that files look at) are enough.
        unsafe {
            libc::syscall(libc::SYS_setfsuid, 0);
            libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr());
            libc::syscall(libc::SYS_setfsgid, uid);
            libc::syscall(libc::SYS_setfsuid, uid);
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    User(u32),
    Umask(u32),
    Open(String, i32, u32),
    Mkdir(String, u32),
    Mknod(String, u32, u32),
    Unlink(String, i32),
    Rename(String, String, u32),
    Link(String, String, i32),
    Symlink(String, String),
    Stat(String, i32),
    Readlink(String, i32),
    Access(String, i32, i32),
    Chmod(String, u32),
    Chown(String, u32, u32, i32),
    Utimens(String, [i64; 4], i32),
    Truncate(String, i64),
    Chdir(String),
    Getcwd,
    Setxattr(String, &'static str, usize, i32, bool),
    Getxattr(String, &'static str, usize, bool),
    Listxattr(String, bool),
    Removexattr(String, &'static str, bool),
    /// Opens the first path and does something to the descriptor, which may have lost its name by then.
    OnFd(String, i32, Deed, String),
    /// Everything there is, as root sees it.
    Dump,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Chmod(u32),
    Chown(u32, u32),
    Now,
    Setxattr,
    Getxattr,
    Link,
    Chdir,
    StatAt,
    MkdirAt,
    UnlinkAndLook,
    Getdents,
    Access,
}

fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

const CWD: u64 = libc::AT_FDCWD as i64 as u64;

fn stat_text(sys: &mut dyn Sys, dirfd: u64, path: &str, flags: i32) -> String {
    let path = c(path);
    let mut st = [0u64; 18];
    let r = sys.call(
        libc::SYS_newfstatat,
        [dirfd, path.as_ptr() as u64, st.as_mut_ptr() as u64, flags as u64, 0, 0],
    );
    if r < 0 {
        return format!("{r}");
    }
    let mode = st[3] as u32;
    let is_dir = mode & libc::S_IFMT == libc::S_IFDIR;
    // Sizes of directories are the file system's own affair; times are compared where a call sets them.
    let size = if is_dir { 0 } else { st[6] };
    format!(
        "mode {mode:o} nlink {} uid {} gid {} size {size} rdev {:x}",
        st[2],
        st[3] >> 32,
        st[4] as u32,
        st[5]
    )
}

fn list(sys: &mut dyn Sys, path: &str) -> Vec<String> {
    let text = c(path);
    let fd = sys.call(libc::SYS_openat, [CWD, text.as_ptr() as u64, libc::O_DIRECTORY as u64, 0, 0, 0]);
    assert!(fd >= 0, "{path}: {fd}");
    let mut names = Vec::new();
    loop {
        // Small, so that positions matter.
        let mut buf = [0u64; 48];
        let n = sys.call(libc::SYS_getdents64, [fd as u64, buf.as_mut_ptr() as u64, 384, 0, 0, 0]);
        assert!(n >= 0, "getdents {path}: {n}");
        if n == 0 {
            break;
        }
        let bytes: &[u8] = bytemuck::cast_slice(&buf);
        let mut at = 0;
        while at < n as usize {
            let len = usize::from(u16::from_ne_bytes([bytes[at + 16], bytes[at + 17]]));
            let name = &bytes[at + 19..at + len];
            let name = &name[..name.iter().position(|&b| b == 0).expect("NUL")];
            names.push(format!("{}:{}", String::from_utf8_lossy(name), bytes[at + 18]));
            at += len;
        }
    }
    // SAFETY: closes a descriptor that nobody else has.
    unsafe { libc::close(fd as i32) };
    names.sort();
    names
}

fn dump(sys: &mut dyn Sys, path: &str, out: &mut String) {
    for entry in list(sys, if path.is_empty() { "/" } else { path }) {
        let (name, kind) = entry.rsplit_once(':').expect("made above");
        if name == "." || name == ".." {
            continue;
        }
        let below = format!("{path}/{name}");
        let stat = stat_text(sys, CWD, &below, libc::AT_SYMLINK_NOFOLLOW);
        out.push_str(&format!("{below} {kind} {stat}\n"));
        if kind == "4" && below.len() < 200 {
            dump(sys, &below, out);
        }
    }
}

impl Op {
    fn run(&self, sys: &mut dyn Sys, user: &mut u32) -> String {
        let p = |s: &CString| s.as_ptr() as u64;
        match self {
            Op::User(uid) => {
                *user = *uid;
                sys.become_user(*uid);
                String::new()
            }
            Op::Umask(mask) => format!("{:o}", sys.call(libc::SYS_umask, [u64::from(*mask), 0, 0, 0, 0, 0])),
            Op::Open(path, flags, mode) => {
                // Ours drops setuid when others open for writing, as it cannot see them write.
                let before = stat_text(sys, CWD, path, 0);
                if *user != 0
                    && before.starts_with("mode 10")
                    && !before.starts_with("mode 100")
                    && !before.starts_with("mode 101")
                {
                    return before;
                }
                let path = c(path);
                let args = [CWD, p(&path), *flags as u64, u64::from(*mode), 0, 0];
                let fd = sys.call(libc::SYS_openat, args);
                if fd < 0 {
                    return format!("{fd}");
                }
                let opened = stat_text(sys, fd as u64, "", libc::AT_EMPTY_PATH);
                // SAFETY: a descriptor of the test's own.
                let got = unsafe {
                    // A write by others drops setuid and setgid, which is not seen of a native write.
                    let bytes = if *user == 0 { 3 } else { 0 };
                    let wrote = libc::write(fd as i32, c"abc".as_ptr().cast(), bytes);
                    // Bodies are opened without these, which mean nothing any more.
                    let flags = libc::fcntl(fd as i32, libc::F_GETFL) & !(libc::O_NOFOLLOW | libc::O_TMPFILE);
                    libc::close(fd as i32);
                    format!("wrote {wrote} flags {flags:o}")
                };
                format!("{opened} {got}")
            }
            Op::Mkdir(path, mode) => {
                let path = c(path);
                format!("{}", sys.call(libc::SYS_mkdirat, [CWD, p(&path), u64::from(*mode), 0, 0, 0]))
            }
            Op::Mknod(path, mode, dev) => {
                let path = c(path);
                let args = [CWD, p(&path), u64::from(*mode), u64::from(*dev), 0, 0];
                format!("{}", sys.call(libc::SYS_mknodat, args))
            }
            Op::Unlink(path, flags) => {
                let path = c(path);
                format!("{}", sys.call(libc::SYS_unlinkat, [CWD, p(&path), *flags as u64, 0, 0, 0]))
            }
            Op::Rename(from, to, flags) => {
                let (from, to) = (c(from), c(to));
                let args = [CWD, p(&from), CWD, p(&to), u64::from(*flags), 0];
                format!("{}", sys.call(libc::SYS_renameat2, args))
            }
            Op::Link(from, to, flags) => {
                let (from, to) = (c(from), c(to));
                format!("{}", sys.call(libc::SYS_linkat, [CWD, p(&from), CWD, p(&to), *flags as u64, 0]))
            }
            Op::Symlink(to, at) => {
                let (to, at) = (c(to), c(at));
                format!("{}", sys.call(libc::SYS_symlinkat, [p(&to), CWD, p(&at), 0, 0, 0]))
            }
            Op::Stat(path, flags) => stat_text(sys, CWD, path, *flags),
            Op::Readlink(path, size) => {
                let path = c(path);
                let mut buf = [0u8; 64];
                let r = sys
                    .call(libc::SYS_readlinkat, [CWD, p(&path), buf.as_mut_ptr() as u64, *size as u64, 0, 0]);
                format!("{r} {}", String::from_utf8_lossy(&buf).trim_end_matches('\0'))
            }
            Op::Access(path, mode, flags) => {
                let path = c(path);
                let args = [CWD, p(&path), *mode as u64, *flags as u64, 0, 0];
                format!("{}", sys.call(libc::SYS_faccessat2, args))
            }
            Op::Chmod(path, mode) => {
                let path = c(path);
                format!("{}", sys.call(libc::SYS_fchmodat, [CWD, p(&path), u64::from(*mode), 0, 0, 0]))
            }
            Op::Chown(path, uid, gid, flags) => {
                let path = c(path);
                let args = [CWD, p(&path), u64::from(*uid), u64::from(*gid), *flags as u64, 0];
                format!("{}", sys.call(libc::SYS_fchownat, args))
            }
            Op::Utimens(path, times, flags) => {
                let path = c(path);
                let args = [CWD, p(&path), times.as_ptr() as u64, *flags as u64, 0, 0];
                let r = sys.call(libc::SYS_utimensat, args);
                let mut st = [0u64; 18];
                let args = [CWD, p(&path), st.as_mut_ptr() as u64, *flags as u64, 0, 0];
                let s = sys.call(libc::SYS_newfstatat, args);
                // Walking through a symlink sets its atime on the host, sooner or later.
                let set = r == 0 && s == 0 && times[3] < 1_000_000_000;
                format!("{r} {:?}", if set { &st[11..13] } else { &[] })
            }
            Op::Truncate(path, len) => {
                let path = c(path);
                format!("{}", sys.call(libc::SYS_truncate, [p(&path), *len as u64, 0, 0, 0, 0]))
            }
            Op::Chdir(path) => {
                let path = c(path);
                format!("{}", sys.call(libc::SYS_chdir, [p(&path), 0, 0, 0, 0, 0]))
            }
            Op::Getcwd => {
                let mut buf = [0u8; 256];
                let r = sys.call(libc::SYS_getcwd, [buf.as_mut_ptr() as u64, 256, 0, 0, 0, 0]);
                format!("{r} {}", String::from_utf8_lossy(&buf).trim_end_matches('\0'))
            }
            Op::Setxattr(path, name, len, flags, follow) => {
                let (path, name, value) = (c(path), c(name), vec![b'v'; *len]);
                let nr = if *follow { libc::SYS_setxattr } else { libc::SYS_lsetxattr };
                let args = [p(&path), p(&name), value.as_ptr() as u64, *len as u64, *flags as u64, 0];
                format!("{}", sys.call(nr, args))
            }
            Op::Getxattr(path, name, room, follow) => {
                let (path, name) = (c(path), c(name));
                let mut buf = [0u8; 64];
                let nr = if *follow { libc::SYS_getxattr } else { libc::SYS_lgetxattr };
                let r = sys.call(nr, [p(&path), p(&name), buf.as_mut_ptr() as u64, *room as u64, 0, 0]);
                format!("{r} {}", String::from_utf8_lossy(&buf).trim_end_matches('\0'))
            }
            Op::Listxattr(path, follow) => {
                let path = c(path);
                let mut buf = [0u8; 1024];
                let nr = if *follow { libc::SYS_listxattr } else { libc::SYS_llistxattr };
                let r = sys.call(nr, [p(&path), buf.as_mut_ptr() as u64, 1024, 0, 0, 0]);
                let mut names: Vec<_> = buf.split(|&b| b == 0).filter(|n| !n.is_empty()).collect();
                names.sort_unstable();
                let names: Vec<_> = names.into_iter().map(String::from_utf8_lossy).collect();
                format!("{r} {names:?}")
            }
            Op::Removexattr(path, name, follow) => {
                let (path, name) = (c(path), c(name));
                let nr = if *follow { libc::SYS_removexattr } else { libc::SYS_lremovexattr };
                format!("{}", sys.call(nr, [p(&path), p(&name), 0, 0, 0, 0]))
            }
            Op::OnFd(path, flags, deed, other) => on_fd(sys, path, *flags, *deed, other),
            Op::Dump => {
                sys.become_user(0);
                let mut out = String::new();
                dump(sys, "", &mut out);
                sys.become_user(*user);
                out
            }
        }
    }
}

fn on_fd(sys: &mut dyn Sys, path: &str, flags: i32, deed: Deed, other: &str) -> String {
    let (path, other) = (c(path), c(other));
    let fd =
        sys.call(libc::SYS_openat, [CWD, path.as_ptr() as u64, (flags | libc::O_NONBLOCK) as u64, 0, 0, 0]);
    if fd < 0 {
        return format!("{fd}");
    }
    let (at, name) = (fd as u64, other.as_ptr() as u64);
    let empty = c("");
    let xattr = c("user.fd");
    let mut buf = [0u64; 64];
    let to = buf.as_mut_ptr() as u64;
    let r = match deed {
        Deed::Chmod(mode) => sys.call(libc::SYS_fchmod, [at, u64::from(mode), 0, 0, 0, 0]),
        Deed::Chown(uid, gid) => sys.call(libc::SYS_fchown, [at, u64::from(uid), u64::from(gid), 0, 0, 0]),
        Deed::Now => sys.call(libc::SYS_utimensat, [at, 0, 0, 0, 0, 0]),
        Deed::Setxattr => sys.call(libc::SYS_fsetxattr, [at, xattr.as_ptr() as u64, name, 1, 0, 0]),
        Deed::Getxattr => sys.call(libc::SYS_fgetxattr, [at, xattr.as_ptr() as u64, to, 512, 0, 0]),
        Deed::Link => {
            sys.call(libc::SYS_linkat, [at, empty.as_ptr() as u64, CWD, name, libc::AT_EMPTY_PATH as u64, 0])
        }
        Deed::Chdir => sys.call(libc::SYS_fchdir, [at, 0, 0, 0, 0, 0]),
        Deed::StatAt => sys.call(libc::SYS_newfstatat, [at, name, to, 0, 0, 0]),
        Deed::MkdirAt => sys.call(libc::SYS_mkdirat, [at, name, 0o755, 0, 0, 0]),
        Deed::Getdents => sys.call(libc::SYS_getdents64, [at, to, 23, 0, 0, 0]),
        Deed::Access => {
            let args = [at, empty.as_ptr() as u64, 6, libc::AT_EMPTY_PATH as u64, 0, 0];
            sys.call(libc::SYS_faccessat2, args)
        }
        Deed::UnlinkAndLook => {
            let dir =
                sys.call(libc::SYS_unlinkat, [CWD, path.as_ptr() as u64, libc::AT_REMOVEDIR as u64, 0, 0, 0]);
            let file = sys.call(libc::SYS_unlinkat, [CWD, path.as_ptr() as u64, 0, 0, 0, 0]);
            let dents = sys.call(libc::SYS_getdents64, [at, to, 512, 0, 0, 0]).min(0);
            let made = sys.call(libc::SYS_mkdirat, [at, name, 0o755, 0, 0, 0]);
            let chmod = sys.call(libc::SYS_fchmod, [at, 0o640, 0, 0, 0, 0]);
            dir * 1_000_000_000 + file * 1_000_000 + dents * 1_000_000_000_000 + made * 1000 + chmod
        }
    };
    let now = stat_text(sys, at, "", libc::AT_EMPTY_PATH);
    // SAFETY: closes a descriptor of the test's own.
    unsafe { libc::close(fd as i32) };
    format!("{r} {now}")
}

struct Random(u64);

impl Random {
    fn n(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.n(all.len())]
    }

    fn path(&mut self) -> String {
        let mut path = String::new();
        if self.n(2) == 0 {
            path.push('/');
        }
        for i in 0..1 + self.n(3) {
            if i > 0 {
                path.push_str(if self.n(12) == 0 { "//" } else { "/" });
            }
            match self.n(40) {
                0 => path.push_str(".."),
                1 => path.push('.'),
                2 if self.n(4) == 0 => path.push_str(&"n".repeat(255 + self.n(2))),
                _ => path.push_str(self.of(&["a", "b", "c", "d", "e"])),
            }
        }
        if self.n(12) == 0 {
            path.push('/');
        }
        if self.n(200) == 0 { String::new() } else { path }
    }

    fn op(&mut self) -> Op {
        let mode = self.of(&[
            0o777, 0o755, 0o700, 0o644, 0o600, 0o070, 0o007, 0, 0o4755, 0o2755, 0o2775, 0o1770, 0o2644,
        ]);
        let nofollow = self.of(&[0, 0, libc::AT_SYMLINK_NOFOLLOW]);
        let xattr = self.of(&[
            "user.a",
            "user.a",
            "user.b",
            "trusted.x",
            "security.foo",
            "security.capability",
            "user.",
            "user",
            "bogus.x",
            "system.y",
            "",
        ]);
        let follow = self.n(2) == 0;
        match self.n(46) {
            34..=35 => {
                let len = self.of(&[0, 1, 20]);
                Op::Setxattr(self.path(), xattr, len, self.of(&[0, 0, 1, 2, 3, 4]), follow)
            }
            36 => Op::Getxattr(self.path(), xattr, self.of(&[0, 1, 64]), follow),
            37 => Op::Listxattr(self.path(), follow),
            38 => Op::Removexattr(self.path(), xattr, follow),
            39..=45 => {
                let flags = self.of(&[
                    libc::O_RDONLY,
                    libc::O_RDONLY,
                    libc::O_PATH,
                    libc::O_PATH | libc::O_NOFOLLOW,
                    libc::O_RDWR,
                    libc::O_TMPFILE | libc::O_RDWR,
                    libc::O_TMPFILE | libc::O_RDWR | libc::O_EXCL,
                ]);
                let id = self.of(&[u32::MAX, 0, 1000, 77]);
                let deed = match self.n(12) {
                    0 => Deed::Chmod(mode),
                    1 => Deed::Chown(id, self.of(&[u32::MAX, 0, 1000, 77])),
                    2 => Deed::Now,
                    3 => Deed::Setxattr,
                    4 => Deed::Getxattr,
                    5 => Deed::Link,
                    6 => Deed::Chdir,
                    7 => Deed::StatAt,
                    8 => Deed::MkdirAt,
                    9 => Deed::Getdents,
                    10 => Deed::Access,
                    _ => Deed::UnlinkAndLook,
                };
                Op::OnFd(self.path(), flags, deed, self.path())
            }
            0 => Op::User(self.of(&[0, 0, 1000, 1001])),
            1 => Op::Umask(self.of(&[0, 0o22, 0o77, 0o27])),
            2..=7 => {
                let mut flags = self.of(&[libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR, 3]);
                for bit in [
                    libc::O_CREAT,
                    libc::O_CREAT,
                    libc::O_EXCL,
                    libc::O_TRUNC,
                    libc::O_DIRECTORY,
                    libc::O_NOFOLLOW,
                    libc::O_PATH,
                    libc::O_APPEND,
                    libc::O_NOATIME,
                    libc::O_TMPFILE,
                ] {
                    if self.n(5) == 0 {
                        flags |= bit;
                    }
                }
                Op::Open(self.path(), flags | libc::O_NONBLOCK, mode)
            }
            8..=11 => Op::Mkdir(self.path(), mode),
            12 => {
                let kind =
                    self.of(&[0, libc::S_IFREG, libc::S_IFIFO, libc::S_IFSOCK, libc::S_IFCHR, libc::S_IFDIR]);
                Op::Mknod(self.path(), kind | mode, self.of(&[0, 0x1c8]))
            }
            13..=15 => Op::Unlink(self.path(), self.of(&[0, libc::AT_REMOVEDIR])),
            16..=18 => Op::Rename(self.path(), self.path(), self.of(&[0, 0, 1, 2, 3])),
            19..=20 => Op::Link(self.path(), self.path(), self.of(&[0, 0, libc::AT_SYMLINK_FOLLOW, 1])),
            21..=22 => Op::Symlink(self.path(), self.path()),
            23..=24 => Op::Stat(self.path(), nofollow),
            25 => Op::Readlink(self.path(), self.of(&[64, 64, 2, 0])),
            26 => Op::Access(self.path(), self.n(9) as i32, nofollow | self.of(&[0, libc::AT_EACCESS])),
            27..=28 => Op::Chmod(self.path(), mode),
            29 => {
                let ids = [u32::MAX, 0, 1000, 1001, 77];
                Op::Chown(self.path(), self.of(&ids), self.of(&ids), nofollow)
            }
            30 => {
                let nsec = [0x3fff_ffff, 0x3fff_fffe, 5, 1_000_000_000];
                Op::Utimens(self.path(), [100, self.of(&nsec), 200, self.of(&nsec)], nofollow)
            }
            31 => Op::Truncate(self.path(), self.of(&[0, 10, -1])),
            32 => Op::Chdir(self.path()),
            _ => Op::Getcwd,
        }
    }
}

/// Runs ops in a thread whose root is `root`; `None` when it may not change its root.
fn host_thread(root: std::path::PathBuf) -> Option<(mpsc::Sender<Op>, mpsc::Receiver<String>)> {
    let (ops, todo) = mpsc::channel::<Op>();
    let (done, results) = mpsc::channel();
    std::thread::spawn(move || {
        let root = c(root.to_str().expect("ascii"));
        // SAFETY: gives this thread a root and working directory of its own.
        let ok = unsafe {
            libc::unshare(libc::CLONE_FS) == 0
                && libc::chroot(root.as_ptr()) == 0
                && libc::chdir(c"/".as_ptr()) == 0
        };
        let _ = done.send(ok.to_string());
        let mut user = 0;
        while let Ok(op) = todo.recv() {
            let _ = done.send(op.run(&mut Host, &mut user));
        }
    });
    (results.recv().ok()? == "true").then_some((ops, results))
}

/// Says that nothing was compared, past the test harness, which keeps what passing tests print to itself.
fn not_compared(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: calls at random against the host's: {why}");
}

fn compare(seed: u64, count: usize) {
    // Where the host has no tmpfs for us, or may not change roots, there is nothing to compare with.
    let host_root = std::path::PathBuf::from(format!("/dev/shm/carrack-sys-{}-{seed}", std::process::id()));
    if let Err(error) = std::fs::create_dir(&host_root) {
        return not_compared(&format!("{}: {error}", host_root.display()));
    }
    let Some((ops, results)) = host_thread(host_root.clone()) else {
        let _ = std::fs::remove_dir(&host_root);
        return not_compared("chroot(2) is not allowed here");
    };
    let dir = TempDir::new();
    let mut guest = Guest::new(&dir);
    let mut user = 0;
    let mut random = Random(seed);
    let mut history: Vec<String> = Vec::new();
    for i in 0..count {
        let op = match i {
            0 => Op::Umask(0o22),
            _ if i % 50 == 0 => Op::Dump,
            _ => random.op(),
        };
        let ours = op.run(&mut guest, &mut user);
        ops.send(op.clone()).expect("the host's thread");
        let theirs = results.recv().expect("the host's thread");
        history.push(format!("{op:?} -> {}", if matches!(op, Op::Dump) { "" } else { &theirs }));
        if ours != theirs {
            let from = history.len().saturating_sub(40);
            let _ = std::fs::remove_dir_all(&host_root);
            panic!("call {i} as {user}\n{}\nours   {ours}\ntheirs {theirs}", history[from..].join("\n"));
        }
    }
    let _ = std::fs::remove_dir_all(&host_root);
}

#[test]
fn random_calls_answer_as_the_host_s() {
    for seed in [0x9e37_79b9_7f4a_7c15, 0xdead_beef_cafe, 77, 12345, 999] {
        compare(seed, 4000);
    }
}
