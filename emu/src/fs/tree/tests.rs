//! Linux's rules for names, on both trees.

use crate::fs::dev::{Devices, dev_fs};
use crate::fs::testing::*;
use crate::fs::tmp::{TmpFs, TmpOptions};
use crate::vfs::{
    CreateKind, HostName, InodeRef, Kind, RenameFlags, SbId, SetAttr, SetTime, SuperBlock, Timespec,
    XattrFlags,
};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

const PLAIN: RenameFlags = RenameFlags::empty();

fn image() -> Vec<(&'static str, Thing)> {
    vec![
        ("/dir", Thing::Dir),
        ("/dir/file", Thing::File("hello")),
        ("/dir/sub", Thing::Dir),
        ("/dir/sub/deep", Thing::File("deep")),
        ("/dir/link", Thing::Symlink("file")),
        ("/empty", Thing::Dir),
        ("/hard", Thing::Link("/dir/file")),
        ("/top", Thing::File("top")),
    ]
}

fn tmp() -> (TempDir, Arc<TmpFs>) {
    let dir = TempDir::new();
    let fs = TmpFs::new(SbId(3), dir.path(), TmpOptions::default(), Arc::default());
    (dir, fs)
}

fn positions(dir: &InodeRef, from: u64) -> Vec<(String, u64)> {
    let mut out = Vec::new();
    dir.readdir(from, &mut |e| {
        out.push((String::from_utf8(e.name).unwrap(), e.next));
        true
    })
    .unwrap();
    out
}

#[test]
fn an_untouched_image_costs_no_node() {
    let c = Container::new(&image());
    let file = at(&c.root(), "dir/file").unwrap();
    assert_eq!(read(&file), "hello");
    let attr = file.attr().unwrap();
    assert_eq!((attr.size, attr.nlink, attr.mtime), (5, 2, IMAGE_TIME));
    assert_eq!(at(&c.root(), "dir").unwrap().attr().unwrap().nlink, 3);
    assert_eq!(names(&at(&c.root(), "dir").unwrap()), ["file", "link", "sub"]);
    assert_eq!(at(&c.root(), "dir/link").unwrap().readlink().unwrap(), b"file");
    assert_eq!(errno(at(&c.root(), "dir/nope")), libc::ENOENT);
    assert_eq!(errno(at(&c.root(), "dir/file/x")), libc::ENOTDIR);
    assert_eq!(errno(c.root().lookup(&[b'x'; 256])), libc::ENAMETOOLONG);
    assert!(c.fs().view().0.nodes.is_empty());
    assert!(c.fs().changes().is_empty());
}

#[test]
fn metadata_does_not_copy_a_body_and_writing_does() {
    let mut c = Container::new(&image());
    let file = at(&c.root(), "dir/file").unwrap();
    let ino = file.ino();
    file.setattr(&SetAttr { mode: Some(0o4755), uid: Some(7), ..SetAttr::default() }).unwrap();
    file.setxattr(b"user.a", b"1", XattrFlags::empty()).unwrap();
    c.root().link(b"third", &file).unwrap();
    let body = c.fs().body_dir().join(ino.to_string());
    assert!(!body.exists());
    assert_eq!(read(&file), "hello");
    assert_eq!(file.attr().unwrap().mtime, IMAGE_TIME);

    write(&file, libc::O_APPEND, " world").unwrap();
    assert!(body.exists());
    assert_eq!(std::fs::metadata(&body).unwrap().mode() & 0o777, 0o600);
    let attr = file.attr().unwrap();
    assert_eq!((attr.ino, attr.size, attr.nlink, attr.uid, attr.mode & 0o7777), (ino, 11, 3, 7, 0o4755));
    assert!(attr.mtime > IMAGE_TIME);
    assert_eq!(read(&at(&c.root(), "hard").unwrap()), "hello world");
    drop(file);
    c.reopen();
    let file = at(&c.root(), "third").unwrap();
    assert_eq!((file.ino(), read(&file).as_str()), (ino, "hello world"));
    assert_eq!(file.getxattr(b"user.a").unwrap(), b"1");
}

#[test]
fn opening_for_writing_keeps_times_and_truncation_copies_nothing() {
    let c = Container::new(&image());
    let file = at(&c.root(), "top").unwrap();
    drop(open(&file, libc::O_RDWR).unwrap());
    assert_eq!(file.attr().unwrap().mtime, IMAGE_TIME);
    let deep = at(&c.root(), "dir/sub/deep").unwrap();
    drop(open(&deep, libc::O_WRONLY | libc::O_TRUNC).unwrap());
    let attr = deep.attr().unwrap();
    assert_eq!(attr.size, 0);
    assert!(attr.mtime > IMAGE_TIME);
    let hello = at(&c.root(), "hard").unwrap();
    hello.setattr(&SetAttr { size: Some(3), ..SetAttr::default() }).unwrap();
    assert_eq!(read(&hello), "hel");
    hello.setattr(&SetAttr { size: Some(5), ..SetAttr::default() }).unwrap();
    assert_eq!(read(&hello), "hel\0\0");
}

#[test]
fn times_that_are_set_stay_until_the_next_write() {
    let c = Container::new(&image());
    let then = Timespec { sec: 77, nsec: 8 };
    let set =
        SetAttr { atime: Some(SetTime::At(then)), mtime: Some(SetTime::At(then)), ..SetAttr::default() };
    for path in ["top", "dir/sub/deep", "dir", "dir/link"] {
        let inode = at(&c.root(), path).unwrap();
        inode.setattr(&set).unwrap();
        let attr = inode.attr().unwrap();
        assert_eq!((attr.atime, attr.mtime), (then, then), "{path}");
        assert!(attr.ctime > IMAGE_TIME);
    }
    let top = at(&c.root(), "top").unwrap();
    let mut f = open(&top, libc::O_RDWR).unwrap();
    assert_eq!(top.attr().unwrap().mtime, then);
    f.write_all(b"x").unwrap();
    assert!(top.attr().unwrap().mtime > then);
    top.setattr(&set).unwrap();
    assert_eq!(top.attr().unwrap().mtime, then);
}

#[test]
fn whiteouts_hide_and_what_comes_after_is_new() {
    let mut c = Container::new(&image());
    let root = c.root();
    let dir = at(&root, "dir").unwrap();
    assert_eq!(errno(root.rmdir(b"dir")), libc::ENOTEMPTY);
    assert_eq!(errno(root.unlink(b"dir")), libc::EISDIR);
    assert_eq!(errno(root.rmdir(b"top")), libc::ENOTDIR);
    dir.unlink(b"file").unwrap();
    dir.unlink(b"link").unwrap();
    at(&dir, "sub").unwrap().unlink(b"deep").unwrap();
    dir.rmdir(b"sub").unwrap();
    assert_eq!(dir.attr().unwrap().nlink, 2);
    root.rmdir(b"dir").unwrap();
    assert_eq!(errno(dir.lookup(b"file")), libc::ENOENT);
    assert_eq!(errno(create(&dir, "x", CreateKind::Regular)), libc::ENOENT);
    assert!(names(&dir).is_empty());
    assert_eq!(dir.attr().unwrap().nlink, 0);
    assert_eq!(at(&root, "hard").unwrap().attr().unwrap().nlink, 1);
    let again = create(&root, "dir", CreateKind::Directory).unwrap();
    assert!(names(&again).is_empty());
    assert_ne!(again.ino(), dir.ino());
    drop((root, dir, again));
    c.reopen();
    assert!(names(&at(&c.root(), "dir").unwrap()).is_empty());
    assert_eq!(names(&c.root()), ["dir", "empty", "hard", "top"]);
}

#[test]
fn rename_follows_linux() {
    let c = Container::new(&image());
    let root = c.root();
    let dir = at(&root, "dir").unwrap();
    let sub = at(&root, "dir/sub").unwrap();
    assert_eq!(errno(root.rename(b"dir", &sub, b"x", PLAIN)), libc::EINVAL);
    assert_eq!(errno(root.rename(b"dir", &dir, b"x", PLAIN)), libc::EINVAL);
    assert_eq!(errno(dir.rename(b"sub", &root, b"dir", PLAIN)), libc::ENOTEMPTY);
    assert_eq!(errno(dir.rename(b"sub", &root, b"dir", RenameFlags::EXCHANGE)), libc::EINVAL);
    assert_eq!(errno(root.rename(b"top", &root, b"dir", PLAIN)), libc::EISDIR);
    assert_eq!(errno(root.rename(b"dir", &root, b"top", PLAIN)), libc::ENOTDIR);
    assert_eq!(errno(root.rename(b"empty", &root, b"dir", PLAIN)), libc::ENOTEMPTY);
    assert_eq!(errno(root.rename(b"top", &root, b"hard", RenameFlags::NOREPLACE)), libc::EEXIST);
    assert_eq!(errno(root.rename(b"top", &root, b"no", RenameFlags::EXCHANGE)), libc::ENOENT);
    let both = RenameFlags::EXCHANGE | RenameFlags::NOREPLACE;
    assert_eq!(errno(root.rename(b"top", &root, b"hard", both)), libc::EINVAL);
    // Two names of one file: nothing happens.
    root.rename(b"hard", &dir, b"file", PLAIN).unwrap();
    assert_eq!(at(&root, "hard").unwrap().attr().unwrap().nlink, 2);

    dir.rename(b"sub", &root, b"empty", PLAIN).unwrap();
    assert_eq!((dir.attr().unwrap().nlink, root.attr().unwrap().nlink), (2, 4));
    assert_eq!(read(&at(&root, "empty/deep").unwrap()), "deep");
    let moved = at(&root, "empty").unwrap();
    assert_eq!(moved.parent().unwrap().ino(), root.ino());
    assert_eq!(moved.alias().unwrap().1, b"empty");

    root.rename(b"empty", &dir, b"file", RenameFlags::EXCHANGE).unwrap();
    assert_eq!((dir.attr().unwrap().nlink, root.attr().unwrap().nlink), (3, 3));
    assert_eq!(read(&at(&root, "dir/file/deep").unwrap()), "deep");
    assert_eq!(read(&at(&root, "empty").unwrap()), "hello");

    root.rename(b"top", &root, b"new", RenameFlags::WHITEOUT).unwrap();
    let attr = at(&root, "top").unwrap().attr().unwrap();
    assert_eq!((attr.kind(), attr.rdev), (Kind::CharDevice, 0));
    assert_eq!(read(&at(&root, "new").unwrap()), "top");
}

#[test]
fn positions_hold_while_names_come_and_go() {
    let c = Container::new(&image());
    let root = c.root();
    for i in 0..5 {
        create(&root, &format!("n{i}"), CreateKind::Regular).unwrap();
    }
    let all = positions(&root, 0);
    assert!(all.iter().all(|(_, next)| *next >= 3));
    let cut = 3;
    let next = all[cut - 1].1;
    let rest: Vec<String> = all[cut..].iter().map(|(n, _)| n.clone()).collect();
    // Removing what was seen, adding, and replacing what was seen and what was not, moves nothing else.
    root.unlink(all[2].0.as_bytes()).unwrap();
    create(&root, "later", CreateKind::Regular).unwrap();
    create(&root, "tmp", CreateKind::Regular).unwrap();
    root.rename(b"tmp", &root, b"n1", PLAIN).unwrap();
    create(&root, "tmp", CreateKind::Regular).unwrap();
    root.rename(b"tmp", &root, b"top", PLAIN).unwrap();
    let mut after: Vec<String> = positions(&root, next).into_iter().map(|(n, _)| n).collect();
    assert_eq!(after.pop().unwrap(), "later");
    assert_eq!(after, rest);
}

#[test]
fn a_directory_larger_than_a_batch_is_read_whole() {
    let (_dir, fs) = tmp();
    let root = fs.root();
    for i in 0..1000 {
        create(&root, &format!("{i:04}"), CreateKind::Regular).unwrap();
    }
    assert_eq!(names(&root).len(), 1000);
    let (mut pos, mut seen) = (0, 0);
    loop {
        let before = seen;
        root.readdir(pos, &mut |e| {
            pos = e.next;
            seen += 1;
            seen % 7 != 0
        })
        .unwrap();
        if seen == before {
            break;
        }
    }
    assert_eq!(seen, 1000);
}

#[test]
fn files_without_a_name_live_as_long_as_they_are_open() {
    for memory in [false, true] {
        let c = Container::new(&image());
        let (_dir, tmp) = tmp();
        let root = if memory { tmp.root() } else { c.root() };
        let sb = root.sb();
        let sweep = || if memory { tmp.sweep() } else { c.fs().sweep() };
        let file = create(&root, "f", CreateKind::Regular).unwrap();
        let mut fd = open(&file, libc::O_RDWR).unwrap();
        let ino = file.ino();
        drop(file);
        root.unlink(b"f").unwrap();
        sweep();
        fd.write_all(b"still").unwrap();
        let again = sb.inode(ino).expect("open on the host");
        assert_eq!((again.attr().unwrap().nlink, read(&again).as_str()), (0, "still"));
        assert!(again.alias().is_none());
        assert_eq!(errno(root.link(b"g", &again)), libc::ENOENT);
        drop(fd);
        sweep();
        assert!(sb.inode(ino).is_some(), "a handle holds it");
        drop(again);
        sweep();
        assert!(sb.inode(ino).is_none());
    }
}

#[test]
fn unlinked_files_give_their_space_back_at_once() {
    let (_dir, fs) = tmp();
    let root = fs.root();
    let before = fs.view().0.nodes.len();
    for _ in 0..100 {
        write(&create(&root, "f", CreateKind::Regular).unwrap(), 0, "x").unwrap();
        root.unlink(b"f").unwrap();
        fs.reclaim();
        assert_eq!(fs.view().0.nodes.len(), before);
    }
}

#[test]
fn tmpfile_can_get_a_name_once() {
    for memory in [false, true] {
        let mut c = Container::new(&image());
        let (_dir, tmp) = tmp();
        let root = if memory { tmp.root() } else { c.root() };
        let file = root.tmpfile(0o600, 1, 2).unwrap();
        write(&file, 0, "body").unwrap();
        assert_eq!(file.attr().unwrap().nlink, 0);
        root.link(b"named", &file).unwrap();
        assert_eq!(at(&root, "named").unwrap().attr().unwrap().nlink, 1);
        root.unlink(b"named").unwrap();
        assert_eq!(errno(root.link(b"again", &file)), libc::ENOENT);
        drop(file);
        if !memory {
            let file = root.tmpfile(0o600, 1, 2).unwrap();
            write(&file, 0, "body").unwrap();
            file.setxattr(b"user.x", b"y", XattrFlags::empty()).unwrap();
            root.link(b"kept", &file).unwrap();
            drop((file, root));
            c.reopen();
            let kept = at(&c.root(), "kept").unwrap();
            assert_eq!(
                (read(&kept).as_str(), kept.getxattr(b"user.x").unwrap().as_slice()),
                ("body", &b"y"[..])
            );
        }
    }
}

#[test]
fn removed_image_files_are_gone_but_tell_of_themselves() {
    let c = Container::new(&image());
    let top = at(&c.root(), "top").unwrap();
    let mut fd = open(&top, libc::O_RDONLY).unwrap();
    c.root().unlink(b"top").unwrap();
    let ino = top.ino();
    drop(top);
    c.fs().sweep();
    let found = c.fs().inode_of_host(&HostName::ImageBody { layer: b"", n: ino }).unwrap();
    assert_eq!(found.attr().unwrap().nlink, 0);
    let mut text = String::new();
    fd.read_to_string(&mut text).unwrap();
    assert_eq!(text, "top");
    assert_eq!(errno(at(&c.root(), "top")), libc::ENOENT);
}

#[test]
fn aliases_follow_names() {
    let c = Container::new(&image());
    let root = c.root();
    let file = at(&root, "hard").unwrap();
    let alias = |i: &InodeRef| i.alias().map(|(dir, name)| (dir.ino(), String::from_utf8(name).unwrap()));
    let dir = at(&root, "dir").unwrap();
    dir.unlink(b"file").unwrap();
    assert_eq!(alias(&file).unwrap(), (root.ino(), "hard".into()));
    root.rename(b"hard", &dir, b"moved", PLAIN).unwrap();
    assert_eq!(alias(&file).unwrap(), (dir.ino(), "moved".into()));
    root.link(b"second", &file).unwrap();
    dir.unlink(b"moved").unwrap();
    assert_eq!(alias(&file).unwrap(), (root.ino(), "second".into()));
    root.unlink(b"second").unwrap();
    assert!(alias(&file).is_none());
    root.rename(b"dir", &at(&root, "empty").unwrap(), b"d", PLAIN).unwrap();
    let deep = at(&root, "empty/d/sub/deep").unwrap();
    let (sub, name) = deep.alias().unwrap();
    assert_eq!(name, b"deep");
    assert_eq!(sub.parent().unwrap().alias().unwrap().1, b"d");
    assert!(root.alias().is_none());
    assert_eq!(root.parent().unwrap().ino(), root.ino());
}

#[test]
fn xattrs_have_linuxs_errors() {
    let c = Container::new(&image());
    let file = at(&c.root(), "top").unwrap();
    assert_eq!(errno(file.getxattr(b"user.a")), libc::ENODATA);
    assert_eq!(errno(file.setxattr(b"user.a", b"", XattrFlags::REPLACE)), libc::ENODATA);
    file.setxattr(b"user.a", b"1", XattrFlags::CREATE).unwrap();
    assert_eq!(errno(file.setxattr(b"user.a", b"2", XattrFlags::CREATE)), libc::EEXIST);
    assert_eq!(errno(file.setxattr(b"user.b", &vec![0; 65537], XattrFlags::empty())), libc::E2BIG);
    assert_eq!(errno(file.setxattr(&[b'n'; 256], b"", XattrFlags::empty())), libc::ERANGE);
    file.removexattr(b"user.a").unwrap();
    assert_eq!(errno(file.removexattr(b"user.a")), libc::ENODATA);
    // The image's own.
    assert_eq!(c.root().listxattr().unwrap(), [b"user.image"]);
    c.root().removexattr(b"user.image").unwrap();
    assert!(c.root().listxattr().unwrap().is_empty());
}

#[test]
fn each_open_of_memory_has_its_own_description_and_identity() {
    let (_dir, fs) = tmp();
    let file = create(&fs.root(), "f", CreateKind::Regular).unwrap();
    write(&file, 0, "abc").unwrap();
    let mut a = open(&file, libc::O_RDONLY).unwrap();
    let mut b = open(&file, libc::O_RDWR).unwrap();
    b.seek(SeekFrom::End(0)).unwrap();
    b.write_all(b"d").unwrap();
    let mut text = String::new();
    a.read_to_string(&mut text).unwrap();
    assert_eq!(text, "abcd");
    assert!(a.write_all(b"no").is_err());
    let host = a.metadata().unwrap();
    let found = fs.inode_of_host(&HostName::Object { dev: host.dev(), ino: host.ino() }).unwrap();
    assert_eq!(found.ino(), file.ino());
    assert_eq!(fs.inode_of_memfd(host.dev(), host.ino() + 1000), None);
}

#[test]
fn a_full_tmpfs_says_so_at_the_next_open() {
    let dir = TempDir::new();
    let options = TmpOptions { size: 1 << 20, mode: 0o755 };
    let fs = TmpFs::new(SbId(3), dir.path(), options, Arc::default());
    let file = create(&fs.root(), "f", CreateKind::Regular).unwrap();
    let mut fd = open(&file, libc::O_WRONLY).unwrap();
    fd.write_all(&vec![1; 2 << 20]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    let other = create(&fs.root(), "g", CreateKind::Regular).unwrap();
    assert_eq!(errno(open(&other, libc::O_WRONLY)), libc::ENOSPC);
    assert_eq!(fs.statfs().unwrap().bfree, 0);
    assert!(open(&file, libc::O_WRONLY | libc::O_TRUNC).is_ok());
    assert!(open(&other, libc::O_WRONLY).is_ok());
}

#[test]
fn fifos_are_the_hosts() {
    for memory in [false, true] {
        let c = Container::new(&image());
        let (_dir, tmp) = tmp();
        let root = if memory { tmp.root() } else { c.root() };
        let fifo = create(&root, "fifo", CreateKind::Fifo).unwrap();
        let how = crate::vfs::OpenRequest { flags: libc::O_RDONLY, tid: 0 };
        assert!(matches!(fifo.open(&how).unwrap(), crate::vfs::Opened::Blocking(..)));
        assert_eq!(errno(open(&fifo, libc::O_WRONLY | libc::O_NONBLOCK)), libc::ENXIO);
        let mut r = open(&fifo, libc::O_RDONLY | libc::O_NONBLOCK).unwrap();
        let mut w = open(&fifo, libc::O_WRONLY | libc::O_NONBLOCK).unwrap();
        w.write_all(b"x").unwrap();
        let mut buf = [0; 4];
        assert_eq!(r.read(&mut buf).unwrap(), 1);
        assert!(rustix::fs::fstat(&r).is_ok() && r.as_raw_fd() >= 0);
    }
}

#[test]
fn dev_has_dockers_nodes_and_takes_more() {
    let dir = TempDir::new();
    let fs = dev_fs(SbId(4), dir.path(), Arc::new(Devices::default())).unwrap();
    let root = fs.root();
    let want =
        ["core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"];
    assert_eq!(names(&root)[..12], want);
    let null = at(&root, "null").unwrap();
    write(&null, 0, "gone").unwrap();
    assert_eq!(fs.inode_of_host(&HostName::Path(b"/dev/null")).unwrap().ino(), null.ino());
    assert!(fs.inode_of_host(&HostName::Path(b"/dev/sda")).is_none());
    create(&at(&root, "shm").unwrap(), "mine", CreateKind::Regular).unwrap();
    let zero = CreateKind::Device(Kind::CharDevice, libc::makedev(1, 5));
    let zero = create(&root, "mine", zero).unwrap();
    let mut buf = [1; 4];
    open(&zero, libc::O_RDONLY).unwrap().read_exact(&mut buf).unwrap();
    assert_eq!(buf, [0; 4]);
}

#[test]
fn two_writers_copy_an_image_file_once() {
    let c = Container::new(&image());
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| write(&at(&c.root(), "top").unwrap(), libc::O_APPEND, "x").unwrap());
        }
    });
    assert_eq!(read(&at(&c.root(), "top").unwrap()), "topxxxxxxxx");
}
