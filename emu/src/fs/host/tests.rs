//! A directory of the host, as a guest sees it.

use super::HostFs;
use crate::fs::testing::*;
use crate::vfs::{
    CreateKind, HostName, Kind, RenameFlags, SbId, SetAttr, SetTime, SuperBlock, Timespec, XattrFlags,
};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn mounted() -> (TempDir, std::sync::Arc<HostFs>) {
    let dir = TempDir::new();
    std::fs::create_dir_all(dir.path().join("m/sub")).unwrap();
    std::fs::write(dir.path().join("m/file"), "text").unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", dir.path().join("m/out")).unwrap();
    let fs = HostFs::open(SbId(9), &dir.path().join("m")).unwrap();
    (dir, fs)
}

#[test]
fn files_are_roots_and_symlinks_are_only_read() {
    let (_dir, fs) = mounted();
    let root = fs.root();
    let attr = at(&root, "file").unwrap().attr().unwrap();
    assert_eq!((attr.uid, attr.gid, attr.size), (0, 0, 4));
    let out = at(&root, "out").unwrap();
    assert_eq!((out.kind(), out.readlink().unwrap()), (Kind::Symlink, b"../secret".to_vec()));
    assert_eq!(errno(out.lookup(b"x")), libc::ENOTDIR);
    assert!(open(&out, libc::O_RDONLY).is_err());
    assert_eq!(errno(root.lookup(b"..")), libc::EINVAL);
    assert_eq!(errno(root.lookup(b"../secret")), libc::EINVAL);
    assert_eq!(names(&root), ["file", "out", "sub"]);
}

#[test]
fn owners_and_special_bits_are_kept_beside_the_file() {
    let (dir, fs) = mounted();
    let file = at(&fs.root(), "file").unwrap();
    file.setattr(&SetAttr { uid: Some(33), gid: Some(34), mode: Some(0o6751), ..SetAttr::default() })
        .unwrap();
    let again = HostFs::open(SbId(9), &dir.path().join("m")).unwrap();
    let attr = at(&again.root(), "file").unwrap().attr().unwrap();
    assert_eq!((attr.uid, attr.gid, attr.mode), (33, 34, libc::S_IFREG | 0o6751));
    let host = std::fs::metadata(dir.path().join("m/file")).unwrap();
    assert_eq!(host.mode() & 0o7777, 0o751);
    let file = at(&again.root(), "file").unwrap();
    file.setattr(&SetAttr { mode: Some(0), ..SetAttr::default() }).unwrap();
    assert_eq!(file.attr().unwrap().mode & 0o7777, 0);
    assert_eq!(read(&file), "text");
    assert!(file.listxattr().unwrap().is_empty());
    file.setxattr(b"security.capability", b"x", XattrFlags::empty()).unwrap();
    assert_eq!(file.listxattr().unwrap(), [b"security.capability"]);
    assert_eq!(errno(file.setxattr(b"user.carrack.stat", b"x", XattrFlags::empty())), libc::EPERM);
    // Back to what the host says: nothing is kept.
    file.setattr(&SetAttr { uid: Some(0), gid: Some(0), mode: Some(0o644), ..SetAttr::default() }).unwrap();
    assert_eq!(std::fs::metadata(dir.path().join("m/file")).unwrap().permissions().mode() & 0o7777, 0o644);
}

#[test]
fn everything_can_be_made() {
    let (_dir, fs) = mounted();
    let root = fs.root();
    let f = root.create(b"f", CreateKind::Regular, 0o640, 5, 6).unwrap();
    write(&f, 0, "hello").unwrap();
    let attr = f.attr().unwrap();
    assert_eq!((attr.uid, attr.gid, attr.mode & 0o7777, attr.size), (5, 6, 0o640, 5));
    assert_eq!(errno(create(&root, "f", CreateKind::Regular)), libc::EEXIST);
    let node = create(&root, "null", CreateKind::Device(Kind::CharDevice, libc::makedev(1, 3))).unwrap();
    assert_eq!((node.kind(), node.attr().unwrap().rdev), (Kind::CharDevice, libc::makedev(1, 3)));
    assert_eq!(errno(open(&node, libc::O_WRONLY)), libc::ENXIO);
    fs.set_devices(Default::default());
    write(&node, 0, "gone").unwrap();
    assert_eq!(node.attr().unwrap().size, 0);
    create(&root, "fifo", CreateKind::Fifo).unwrap();
    let link = create(&root, "l", CreateKind::Symlink(b"f".to_vec())).unwrap();
    link.setattr(&SetAttr { uid: Some(12), ..SetAttr::default() }).unwrap();
    assert_eq!(link.attr().unwrap().uid, 12);
    let d = create(&root, "d", CreateKind::Directory).unwrap();
    root.rename(b"f", &d, b"g", RenameFlags::empty()).unwrap();
    assert_eq!(f.alias().unwrap().1, b"g");
    assert_eq!(f.alias().unwrap().0.ino(), d.ino());
    root.link(b"h", &f).unwrap();
    root.link(b"l2", &link).unwrap();
    assert_eq!(f.attr().unwrap().nlink, 2);
    assert_eq!(errno(root.rmdir(b"d")), libc::ENOTEMPTY);
    assert_eq!(errno(root.unlink(b"d")), libc::EISDIR);
    d.unlink(b"g").unwrap();
    root.rmdir(b"d").unwrap();
    let tmp = root.tmpfile(0o600, 0, 0).unwrap();
    write(&tmp, 0, "t").unwrap();
    root.link(b"t", &tmp).unwrap();
    assert_eq!(read(&at(&root, "t").unwrap()), "t");
    let then = Timespec { sec: 5, nsec: 6 };
    for name in ["t", "l", "sub"] {
        let inode = at(&root, name).unwrap();
        inode.setattr(&SetAttr { mtime: Some(SetTime::At(then)), ..SetAttr::default() }).unwrap();
        assert_eq!(inode.attr().unwrap().mtime, then, "{name}");
    }
}

#[test]
fn descriptors_lead_back() {
    let (dir, fs) = mounted();
    let path = dir.path().canonicalize().unwrap().join("m/file");
    let found = fs.inode_of_host(&HostName::Path(path.to_str().unwrap().as_bytes())).unwrap();
    assert_eq!(found.ino(), std::fs::metadata(&path).unwrap().ino());
    let sibling = dir.path().canonicalize().unwrap().join("mm/file");
    assert!(fs.inode_of_host(&HostName::Path(sibling.to_str().unwrap().as_bytes())).is_none());
    let sub = at(&fs.root(), "sub").unwrap().ino();
    assert_eq!(fs.inode(sub).unwrap().parent().unwrap().ino(), fs.root().ino());
    assert!(fs.inode(u64::MAX).is_none());
}

#[test]
fn a_single_file_can_be_mounted() {
    let (dir, _fs) = mounted();
    let fs = HostFs::open(SbId(9), &dir.path().join("secret")).unwrap();
    assert_eq!(read(&fs.root()), "secret");
    assert!(fs.root().alias().is_none());
    let path = dir.path().canonicalize().unwrap().join("secret");
    assert!(fs.inode_of_host(&HostName::Path(path.to_str().unwrap().as_bytes())).is_some());
    write(&fs.root(), libc::O_TRUNC, "new").unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "new");
}

#[test]
fn a_large_directory_is_read_in_pieces() {
    let (dir, fs) = mounted();
    for i in 0..500 {
        std::fs::write(dir.path().join(format!("m/sub/{i}")), "").unwrap();
    }
    let sub = at(&fs.root(), "sub").unwrap();
    let (mut pos, mut seen) = (0, std::collections::BTreeSet::new());
    loop {
        let (before, mut n) = (seen.len(), 0);
        sub.readdir(pos, &mut |e| {
            assert!(e.next >= 3);
            pos = e.next;
            seen.insert(e.name);
            n += 1;
            n < 13
        })
        .unwrap();
        if seen.len() == before {
            break;
        }
    }
    assert_eq!(seen.len(), 500);
}

#[test]
fn sockets_are_reached_by_no_path_that_a_guest_can_bend() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let (dir, fs) = mounted();
    let sub = at(&fs.root(), "sub").unwrap();
    let made = create(&sub, "s", CreateKind::Socket).unwrap();
    let place = made.socket_path().unwrap();
    std::fs::remove_file(&place).unwrap();
    // Meanwhile the directory becomes a link that leads out.
    std::fs::rename(dir.path().join("m/sub"), dir.path().join("m/moved")).unwrap();
    std::os::unix::fs::symlink("..", dir.path().join("m/sub")).unwrap();
    let _listener = UnixListener::bind(&place).unwrap();
    assert!(dir.path().join("m/moved/s").exists() && !dir.path().join("s/s").exists());
    let found = at(&fs.root(), "moved/s").unwrap();
    let path = found.socket_path().unwrap();
    std::fs::rename(dir.path().join("m/moved/s"), dir.path().join("m/moved/t")).unwrap();
    std::os::unix::fs::symlink("/dev/null", dir.path().join("m/moved/s")).unwrap();
    UnixStream::connect(path).unwrap();
}

#[test]
fn a_removed_directory_still_leads_up() {
    let (_dir, fs) = mounted();
    let sub = at(&fs.root(), "sub").unwrap();
    fs.root().rmdir(b"sub").unwrap();
    assert_eq!(sub.parent().unwrap().ino(), fs.root().ino());
    assert!(sub.alias().is_none());
}
