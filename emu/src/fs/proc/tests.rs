use super::*;
use crate::control::Spec;
use crate::task::{Caps, Cred, FsStruct};
use crate::vfs::ids::Ids;
use crate::vfs::{Kind, MountFlags, MountNs, OpenRequest, Opened, caller};
use std::io::Read;
use std::process::{Child, Command, Stdio};

/// A kernel whose init is a child of this process, with proc at `/`.
struct Container {
    fs: Arc<ProcFs>,
    kernel: Arc<Kernel>,
    init: Child,
    _dir: std::path::PathBuf,
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.init.kill();
        let _ = self.init.wait();
        let _ = std::fs::remove_dir_all(&self._dir);
    }
}

fn container(edit: impl FnOnce(&mut Spec)) -> Container {
    let dir = std::env::temp_dir().join(format!("procfs-{}-{:x}", std::process::id(), rand::random::<u64>()));
    std::fs::create_dir_all(&dir).unwrap();
    let text = serde_json::json!({
        "id": "0", "rootfs": { "store": dir, "index": null }, "args": ["x"], "hostname": "box",
        "container_dir": dir, "run_dir": dir,
    });
    let mut spec: Spec = serde_json::from_value(text).unwrap();
    edit(&mut spec);
    let ids = Ids::new(&dir, &dir, &dir);
    let fs = ProcFs::new(ids.new_sb_id());
    ids.register(fs.clone());
    let mounts = MountNs::new(fs.clone(), MountFlags::NOSUID, "proc".into());
    let kernel = Kernel::new(spec, mounts, ids, None).unwrap();
    fs.attach(&kernel);
    let init = Command::new("sleep").arg("1000").stdin(Stdio::piped()).spawn().unwrap();
    // The parent of a vfork goes on before the child's new name and arguments are in place.
    let cmdline = format!("/proc/{}/cmdline", init.id());
    while std::fs::read(&cmdline).unwrap() != b"sleep\x001000\0" {
        std::thread::yield_now();
    }
    let root = kernel.mounts.root();
    let state = FsStruct { cwd: root.clone(), root, umask: 0o27 };
    kernel.tasks.insert_first(init.id() as i32, Cred::root(Caps::CHOWN), state, true).unwrap();
    caller::set(init.id() as i32);
    Container { fs, kernel, init, _dir: dir }
}

impl Container {
    fn at(&self, path: &str) -> Result<InodeRef, Errno> {
        path.split('/')
            .filter(|p| !p.is_empty())
            .try_fold(self.fs.root(), |at, name| at.lookup(name.as_bytes()))
    }

    fn open(&self, path: &str, flags: i32) -> Result<std::fs::File, Errno> {
        match self.at(path)?.open(&OpenRequest { flags, tid: self.init.id() as i32 })? {
            Opened::Fd(fd) => Ok(fd.into()),
            Opened::Blocking(..) => panic!("nothing in proc blocks"),
        }
    }

    fn read(&self, path: &str) -> String {
        let mut text = String::new();
        self.open(path, libc::O_RDONLY).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn names(&self, path: &str) -> Vec<String> {
        let mut names = Vec::new();
        self.at(path)
            .unwrap()
            .readdir(0, &mut |e| {
                names.push(String::from_utf8(e.name).unwrap());
                true
            })
            .unwrap();
        names
    }

    fn link(&self, path: &str) -> String {
        String::from_utf8(self.at(path).unwrap().readlink().unwrap()).unwrap()
    }
}

#[test]
fn init_is_1_and_nobody_else_is_there() {
    let c = container(|_| {});
    let pids: Vec<String> = c.names("/").into_iter().filter(|n| n.parse::<i32>().is_ok()).collect();
    assert_eq!(pids, ["1"]);
    assert!(c.at(&c.init.id().to_string()).is_err(), "not by its host pid");
    assert!(c.at(&std::process::id().to_string()).is_err(), "no process of the host");
    assert!(c.at("01").is_err());
    assert_eq!(c.link("self"), "1");
    assert_eq!(c.link("thread-self"), "1/task/1");
    assert_eq!(c.names("1/task"), ["1"]);
    // Whoever runs the tests may have left more open.
    assert_eq!(c.names("1/fd")[..3], ["0", "1", "2"]);
}

#[test]
fn files_of_a_process_are_the_container_s() {
    let c = container(|_| {});
    let status = c.read("1/status");
    for line in ["Pid:\t1\n", "PPid:\t0\n", "Umask:\t0027\n", "CapEff:\t0000000000000001\n", "NSpid:\t1\n"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    assert!(c.read("1/stat").starts_with("1 (sleep) R 0 "));
    assert_eq!(c.read("1/comm"), "sleep\n");
    assert_eq!(c.read("1/cmdline"), "sleep\x001000\0");
    assert_eq!(c.read("1/task/1/cgroup"), "0::/\n");
    assert_eq!(c.read("1/mounts"), "proc / proc rw,nosuid 0 0\n");
    assert!(c.read("1/mountinfo").starts_with("1 1 0:"));
    assert!(c.link("1/fd/0").starts_with("pipe:["));
    assert_eq!(c.link("1/cwd"), "/");
    assert!(c.read("1/fdinfo/0").starts_with("pos:\t0\n"));
    assert!(!c.read("1/maps").contains("/sleep"), "host paths do not show");
    assert_eq!(c.link("1/ns/pid_for_children"), c.link("1/ns/pid"));
}

#[test]
fn open_files_are_known_again() {
    let c = container(|spec| spec.memory_limit = 1 << 28);
    for path in
        ["meminfo", "uptime", "1/status", "1/statm", "1/task/1/stat", "1/task/1/limits", "sys/vm/swappiness"]
    {
        let file = c.open(path, libc::O_RDONLY).unwrap();
        let st = rustix::fs::fstat(&file).unwrap();
        use std::os::fd::AsRawFd;
        let name = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        let name = name.to_str().unwrap().to_owned();
        let known = if name.starts_with("/memfd:") {
            c.fs.inode_of_host(&HostName::Object { dev: st.st_dev, ino: st.st_ino })
        } else {
            c.fs.inode_of_host(&HostName::Path(name.as_bytes()))
        };
        assert_eq!(known.unwrap_or_else(|| panic!("{path} as {name}")).ino(), c.at(path).unwrap().ino());
    }
}

#[test]
fn every_row_can_be_looked_up_and_found_by_number() {
    let c = container(|_| {});
    let mut todo = vec![c.fs.root()];
    let mut seen = 0;
    while let Some(dir) = todo.pop() {
        let mut names = Vec::new();
        dir.readdir(0, &mut |e| {
            names.push(e);
            true
        })
        .unwrap();
        let mut last = 2;
        for e in names {
            seen += 1;
            assert!(e.next > last, "positions ascend from 3");
            last = e.next;
            let looked_up = dir.lookup(&e.name).and_then(|inode| Ok((inode.attr()?, inode)));
            // Descriptors are this process's own: other tests, beside this one, close theirs.
            let is_descriptor = dir.alias().is_some_and(|(_, name)| name == b"fd" || name == b"fdinfo");
            if is_descriptor && looked_up.as_ref().is_err_and(|e| e.code() == libc::ENOENT) {
                continue;
            }
            let (attr, inode) = looked_up.unwrap();
            assert_eq!((inode.ino(), inode.kind()), (e.ino, e.kind), "{}", String::from_utf8_lossy(&e.name));
            assert_eq!(attr.mode & libc::S_IFMT, e.kind.mode_bits());
            let again = c.fs.inode(e.ino).unwrap();
            assert_eq!((again.ino(), again.kind()), (e.ino, e.kind));
            let (up, name) = again.alias().unwrap();
            assert_eq!((up.ino(), &name), (dir.ino(), &e.name));
            if e.kind == Kind::Directory {
                todo.push(inode);
            }
        }
    }
    assert!(seen > 350, "{seen}");
}

#[test]
fn a_limit_shows_in_meminfo() {
    let c = container(|spec| spec.memory_limit = 256 << 20);
    assert!(c.read("meminfo").starts_with("MemTotal:         262144 kB\n"));
}

#[test]
fn sysctls() {
    let c = container(|spec| spec.sysctls.push(("net.core.somaxconn".into(), "77".into())));
    assert_eq!(c.read("sys/net/core/somaxconn"), "77\n");
    assert_eq!(c.read("sys/kernel/hostname"), "box\n");
    assert_eq!(c.read("sys/kernel/random/boot_id").len(), 37);
    let file = c.open("sys/net/core/somaxconn", libc::O_WRONLY | libc::O_TRUNC).unwrap();
    rustix::io::write(&file, b"88\n").unwrap();
    assert_eq!(c.read("sys/net/core/somaxconn"), "88\n");
    assert!(c.open("version", libc::O_WRONLY).is_err());
}

#[test]
fn a_reaped_process_is_gone_and_a_zombie_is_not() {
    let mut c = container(|_| {});
    let dir = c.at("1").unwrap();
    c.init.kill().unwrap();
    while !c.kernel.tasks.process(c.init.id() as i32).is_none_or(|p| p.is_dead()) {
        std::thread::yield_now();
    }
    let stat = dir.lookup(b"stat").unwrap();
    assert!(stat.attr().is_ok());
    assert!(dir.lookup(b"exe").unwrap().readlink().is_err());
    c.init.wait().unwrap();
    assert!(dir.lookup(b"stat").is_err());
    assert!(stat.attr().is_err());
}
