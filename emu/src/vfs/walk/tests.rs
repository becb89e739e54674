use super::super::testing::World;
use super::*;
use crate::task::Caps;
use crate::vfs::testing::MemFs;
use crate::vfs::{CreateKind, SetAttr, SuperBlock};
use std::path::PathBuf;

const FOLLOW: LookupFlags = LookupFlags::FOLLOW;
const STAY: LookupFlags = LookupFlags::empty();

#[test]
fn forty_links_are_followed_and_no_more() {
    let w = World::new();
    w.file("/l0");
    for i in 1..=41 {
        w.link(&format!("/l{i}"), &format!("l{}", i - 1));
    }
    assert_eq!(w.find(&w.root, "/l40", FOLLOW), Ok("/l0".into()));
    assert_eq!(w.find(&w.root, "/l41", FOLLOW), Err(libc::ELOOP));
    assert_eq!(w.find(&w.root, "/l41", STAY), Ok("/l41".into()));
}

#[test]
fn search_permission_comes_before_existence_and_length() {
    let mut w = World::new();
    w.dir("/shut").setattr(&SetAttr { mode: Some(0o600), ..SetAttr::default() }).expect("chmod");
    w.cred = Cred::user(7, 7, vec![], Caps::empty());
    assert_eq!(w.find(&w.root, "/shut", FOLLOW), Ok("/shut".into()));
    assert_eq!(w.find(&w.root, "/shut/none", FOLLOW), Err(libc::EACCES));
    assert_eq!(w.find(&w.root, "/shut/..", FOLLOW), Err(libc::EACCES));
    let long = format!("/shut/{}", "x".repeat(300));
    assert_eq!(w.find(&w.root, &long, FOLLOW), Err(libc::EACCES));
    assert_eq!(w.find(&w.root, &long[5..], FOLLOW), Err(libc::ENAMETOOLONG));
}

#[test]
fn mounts_are_crossed_down_and_up() {
    let w = World::new();
    w.dir("/mnt");
    w.dir("/mnt/covered");
    for id in [2, 3] {
        let fs = MemFs::new(id);
        fs.root().create(b"sub", CreateKind::Directory, 0o755, 0, 0).expect("create");
        w.ns.attach(fs.clone(), fs.root(), w.at("/mnt"), MountFlags::empty(), "mem".into());
    }
    assert_eq!(w.at("/mnt").inode.sb_id().0, 3);
    assert_eq!(w.find(&w.root, "/mnt/sub/../../mnt/sub", FOLLOW), Ok("/mnt/sub".into()));
    assert_eq!(w.find(&w.root, "/mnt/covered", FOLLOW), Err(libc::ENOENT));
    assert_eq!(w.find(&w.root, "/mnt/sub", FOLLOW | LookupFlags::NO_XDEV), Err(libc::EXDEV));
    assert_eq!(w.find(&w.at("/mnt/sub"), "../..", FOLLOW | LookupFlags::NO_XDEV), Err(libc::EXDEV));
    let top = w.at("/mnt").mnt;
    assert!(w.ns.is_mountpoint(&w.ns.mounts()[1].root));
    w.ns.detach(&top);
    assert_eq!(w.at("/mnt").inode.sb_id().0, 2);
    w.ns.detach(&w.ns.mounts()[1]);
    assert_eq!(w.find(&w.root, "/mnt/covered", FOLLOW), Ok("/mnt/covered".into()));
}

#[test]
fn a_new_root_is_the_end_of_the_way_up() {
    let mut w = World::new();
    w.dir("/jail");
    w.dir("/jail/in");
    w.link("/jail/out", "/../../in");
    let outside = w.root.clone();
    w.root = w.at("/jail");
    assert_eq!(w.find(&w.root, "/../in/../..", FOLLOW), Ok("/".into()));
    assert_eq!(w.find(&w.root, "/out", FOLLOW), Ok("/in".into()));
    let there = w.lookup().path(&outside, b".", FOLLOW).expect("start");
    assert!(d_path(&there, &w.root).unreachable);
}

#[test]
fn names_of_removed_things() {
    let w = World::new();
    w.dir("/d");
    let gone = w.at("/d");
    w.root.inode.unlink(b"d").expect("unlink");
    let text = d_path(&gone, &w.root);
    assert!(text.deleted && !text.unreachable);
}

#[test]
fn links_in_sticky_directories() {
    let mut w = World::new();
    w.dir("/tmp")
        .setattr(&SetAttr { mode: Some(0o1777), uid: Some(1), ..SetAttr::default() })
        .expect("chmod");
    w.file("/target");
    w.link("/tmp/l", "/target");
    w.at("/tmp")
        .inode
        .lookup(b"l")
        .expect("l")
        .setattr(&SetAttr { uid: Some(5), ..SetAttr::default() })
        .expect("chown");
    w.cred = Cred::user(6, 6, vec![], Caps::empty());
    assert_eq!(w.find(&w.root, "/tmp/l", FOLLOW), Err(libc::EACCES));
    assert_eq!(w.find(&w.root, "/tmp/l", STAY), Ok("/tmp/l".into()));
    w.cred = Cred::user(5, 5, vec![], Caps::empty());
    assert_eq!(w.find(&w.root, "/tmp/l", FOLLOW), Ok("/target".into()));
}

#[test]
fn parents() {
    let w = World::new();
    w.dir("/d");
    let parent = |path: &str| {
        let p = w.lookup().parent(&w.root, path.as_bytes(), STAY).expect("parent");
        (String::from_utf8(p.name).expect("ascii"), p.last, p.trailing_slash)
    };
    assert_eq!(parent("/d/new"), ("new".into(), Last::Norm, false));
    assert_eq!(parent("d/new//"), ("new".into(), Last::Norm, true));
    assert_eq!(parent("/d/.."), (String::new(), Last::DotDot, false));
    assert_eq!(parent("d/./"), (String::new(), Last::Dot, true));
    assert_eq!(parent("///"), (String::new(), Last::Root, false));
}

/// A tree on the host and the same in memory.
struct Twins {
    world: World,
    host: PathBuf,
}

impl Drop for Twins {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.host);
    }
}

impl Twins {
    fn new(name: &str) -> Twins {
        let host = std::env::temp_dir().join(format!("carrack-walk-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&host);
        std::fs::create_dir_all(&host).expect("temporary directory");
        let host = host.canonicalize().expect("canonical");
        let t = Twins { world: World::new(), host };
        for dir in ["/a", "/a/b", "/a/b/c", "/d"] {
            t.world.dir(dir);
            std::fs::create_dir(t.on_host(dir)).expect("mkdir");
        }
        for file in ["/f", "/a/f", "/a/b/c/f"] {
            t.world.file(file);
            std::fs::write(t.on_host(file), "").expect("write");
        }
        let links = [
            ("/lf", "f"),
            ("/ld", "a/b"),
            ("/labs", "/a/b/"),
            ("/lroot", "/"),
            ("/lup", ".."),
            ("/ldot", "."),
            ("/lnone", "none"),
            ("/lslash", "f/"),
            ("/loop", "loop"),
            ("/lsl", "//a//f"),
            ("/a/lup", "../d"),
            ("/a/lupup", "../../../f"),
            ("/a/b/llf", "../../lf"),
            ("/a/b/lld", "../../ld/c/"),
            ("/a/b/c/l", "/ld/c/../lld"),
            ("/d/back", "/a/../ldot/ld/.."),
            ("/d/x", "/d/y"),
            ("/d/y", "/d/x"),
        ];
        for (at, to) in links {
            t.world.link(at, to);
            std::os::unix::fs::symlink(to, t.on_host(at)).expect("symlink");
        }
        t
    }

    fn on_host(&self, path: &str) -> PathBuf {
        self.host.join(&path[1..])
    }

    fn ask_host(&self, start: &str, path: &str, flags: LookupFlags) -> Result<String, i32> {
        use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
        let dir = openat2(CWD, self.on_host(start), OFlags::PATH, Mode::empty(), ResolveFlags::empty())
            .expect("start");
        let mut how = OFlags::PATH | OFlags::CLOEXEC;
        how.set(OFlags::NOFOLLOW, !flags.contains(FOLLOW));
        how.set(OFlags::DIRECTORY, flags.contains(LookupFlags::DIRECTORY));
        let mut resolve = ResolveFlags::empty();
        resolve.set(ResolveFlags::IN_ROOT, flags.contains(LookupFlags::IN_ROOT));
        resolve.set(ResolveFlags::BENEATH, flags.contains(LookupFlags::BENEATH));
        resolve.set(ResolveFlags::NO_SYMLINKS, flags.contains(LookupFlags::NO_SYMLINKS));
        // EAGAIN: something was renamed or mounted on the host meanwhile, and `..` could not be judged (openat2(2)).
        let fd = loop {
            match openat2(&dir, path, how, Mode::empty(), resolve) {
                Err(rustix::io::Errno::AGAIN) => {}
                other => break other.map_err(|e| e.raw_os_error())?,
            }
        };
        let name = rustix::fs::readlinkat(
            CWD,
            format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd)),
            vec![],
        );
        let name = name.expect("/proc").into_string().expect("ascii");
        let rest = name.strip_prefix(self.host.to_str().expect("ascii")).expect("below the start");
        Ok(if rest.is_empty() { "/".into() } else { rest.into() })
    }
}

/// Random paths over a small vocabulary, walked by Linux and by us.
#[test]
fn the_host_agrees() {
    let t = Twins::new("agrees");
    let words = [
        "a", "b", "c", "d", "f", "lf", "ld", "labs", "lroot", "lup", "ldot", "lnone", "lslash", "loop",
        "lsl", "lupup", "llf", "lld", "l", "back", "x", "none", "..", ".", "..", "a",
    ];
    let likely = ["a", "b", "c", "d", "..", ".", "ldot", "ld", "lroot", "lup", "f"];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % n as u64) as usize
    };
    let starts = ["/", "/a", "/a/b", "/d"];
    let mut found = 0;
    for _ in 0..40_000 {
        let mut path = String::new();
        if random(4) == 0 {
            path.push_str(["/", "//", "///"][random(3)]);
        }
        for i in 0..1 + random(5) {
            if i > 0 {
                path.push_str(if random(8) == 0 { "//" } else { "/" });
            }
            path.push_str(if random(3) > 0 {
                likely[random(likely.len())]
            } else {
                words[random(words.len())]
            });
        }
        if random(5) == 0 {
            path.push('/');
        }
        let mut flags = if random(2) == 0 { LookupFlags::IN_ROOT } else { LookupFlags::BENEATH };
        flags.set(FOLLOW, random(2) == 0);
        flags.set(LookupFlags::DIRECTORY, random(4) == 0);
        flags.set(LookupFlags::NO_SYMLINKS, random(8) == 0);
        let start = starts[random(starts.len())];
        let ours = t.world.find(&t.world.at(start), &path, flags);
        let theirs = t.ask_host(start, &path, flags);
        assert_eq!(ours, theirs, "{path} from {start} with {flags:?}");
        found += usize::from(ours.is_ok());
    }
    assert!(found > 2000, "too few paths led anywhere: {found}");
}
