use super::*;
use crate::vfs::{Kind, OpenRequest, Opened};
use std::io::Read;

fn at(fs: &Arc<SysFs>, path: &str) -> Result<InodeRef, Errno> {
    path.split('/').try_fold(fs.root(), |at, name| at.lookup(name.as_bytes()))
}

fn read(inode: &InodeRef) -> String {
    let Opened::Fd(fd) = inode.open(&OpenRequest { flags: libc::O_RDONLY, tid: 0 }).unwrap() else {
        panic!("blocks")
    };
    let mut text = String::new();
    std::fs::File::from(fd).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn everything_listed_is_there_and_found_by_number() {
    let fs = SysFs::new(SbId(7));
    let mut todo = vec![fs.root()];
    let mut seen = 0;
    while let Some(dir) = todo.pop() {
        let mut entries = Vec::new();
        dir.readdir(0, &mut |e| {
            entries.push(e);
            true
        })
        .unwrap();
        for (i, e) in entries.iter().enumerate() {
            seen += 1;
            assert_eq!(e.next, i as u64 + 3);
            let inode = dir.lookup(&e.name).unwrap();
            assert_eq!((inode.ino(), inode.kind()), (e.ino, e.kind));
            assert_eq!(fs.inode(e.ino).unwrap().ino(), e.ino);
            let (up, name) = inode.alias().unwrap();
            assert_eq!((up.ino(), &name), (dir.ino(), &e.name));
            if e.kind == Kind::Directory {
                todo.push(inode);
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn processors_are_the_host_s() {
    let fs = SysFs::new(SbId(7));
    let online = at(&fs, "devices/system/cpu/online").unwrap();
    assert_eq!(read(&online), std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap());
    let known = fs.inode_of_host(&HostName::Path(b"/sys/devices/system/cpu/online")).unwrap();
    assert_eq!(known.ino(), online.ino());
    assert!(online.open(&OpenRequest { flags: libc::O_RDWR, tid: 0 }).is_err());
}

#[test]
fn nothing_else_of_the_host_s_is_there() {
    let fs = SysFs::new(SbId(7));
    for path in [
        "devices/system/memory",
        "devices/system/cpu/uevent",
        "class/net/nosuch",
        "kernel/debug",
        "devices/pci0000:00",
    ] {
        assert!(at(&fs, path).is_err(), "{path}");
    }
    assert!(fs.inode_of_host(&HostName::Path(b"/sys/kernel/notes")).is_none());
    assert!(fs.inode_of_host(&HostName::Path(b"/sys/devices/system/cpu/../memory")).is_none());
}

#[test]
fn a_cgroup_is_flat() {
    let fs = SysFs::cgroup2(SbId(8));
    assert_eq!(read(&at(&fs, "cgroup.type").unwrap()), "domain\n");
    assert!(at(&fs, "memory.max").unwrap().attr().is_ok());
    assert!(fs.inode_of_host(&HostName::Path(b"/sys/devices/system/cpu/online")).is_none());
}
