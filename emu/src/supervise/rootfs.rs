//! What a container sees at its root: the image with its writable layer, /proc, /sys, /dev, and the spec's mounts.

use super::paths::{self, Follow, Found};
use super::{Failure, Options, copy_up, exec, user};
use crate::control::{Change, ChangeKind, ErrorKind, MountKind, MountSpec, NetworkMode, Spec};
use crate::errno::Errno;
use crate::fs::delta::{DeltaFs, Difference};
use crate::fs::dev::{Devices, dev_fs};
use crate::fs::devpts::DevPts;
use crate::fs::host::HostFs;
use crate::fs::proc::ProcFs;
use crate::fs::sys::SysFs;
use crate::fs::tmp::{TmpFs, TmpOptions};
use crate::kernel::Kernel;
use crate::trace::Trace;
use crate::vfs::ids::Ids;
use crate::vfs::{CreateKind, InodeRef, Kind, MountFlags, MountNs, OpenRequest, Opened, Path, SuperBlock};
use carrack_images::Index;
use rustix::fd::OwnedFd;
use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

/// Group of terminals, as devpts is mounted in containers.
const TTY_GID: u32 = 5;
const DEFAULT_SHM: u64 = 64 << 20;

/// The container's kernel, and what of its file systems the supervisor works with directly.
#[derive(Debug)]
pub(super) struct Rootfs {
    pub(super) kernel: Arc<Kernel>,
    terminals: Arc<DevPts>,
    delta: Arc<DeltaFs>,
    /// Mounts that the user asked for (volumes, bind mounts), which copies look into.
    pub(super) user_mounts: HashSet<u32>,
}

/// What is needed to mount one thing after another.
struct Builder<'a> {
    spec: &'a Spec,
    ids: Ids,
    ns: MountNs,
    devices: Arc<Devices>,
    user_mounts: HashSet<u32>,
}

/// Builds the kernel with all its mounts.
pub(super) fn build(spec: &Spec, options: Options) -> Result<Rootfs, Failure> {
    let ids = Ids::new(&spec.rootfs.store, &spec.container_dir, &spec.run_dir);
    let devices = Arc::new(Devices::default());
    let index = match &spec.rootfs.index {
        Some(path) => {
            let index = Index::open(path).map_err(|e| Failure::host("the image", e))?;
            Some(Arc::new(index))
        }
        None => None,
    };
    let delta_dir = spec.container_dir.join("delta");
    let delta =
        DeltaFs::open(ids.new_sb_id(), index, &spec.rootfs.store, &delta_dir, &spec.run_dir, devices.clone())
            .map_err(|e| failed("the writable layer", e))?;
    let ns = MountNs::new(delta.clone(), MountFlags::RELATIME, "overlay".into());
    ids.register(delta.clone());
    let mut builder = Builder { spec, ids, ns, devices, user_mounts: HashSet::new() };
    let terminals = builder.standard()?;
    let (proc, sys) = builder.kernel_views()?;
    for mount in &spec.mounts {
        builder.user_mount(mount)?;
    }
    builder.name_files()?;
    builder.init()?;
    builder.working_directory()?;
    if spec.rootfs.read_only {
        *builder.ns.root().mnt.flags.write() |= MountFlags::RDONLY;
    }
    let Builder { ids, ns, devices, user_mounts, .. } = builder;
    let trace = options.trace.map(|fd| Trace::new(Box::new(std::fs::File::from(fd))));
    let kernel = Kernel::new(spec.clone(), ns, ids, trace).map_err(|e| Failure::host("the kernel", e))?;
    proc.attach(&kernel);
    sys.iter().for_each(|s| s.attach(&kernel));
    cover(&kernel, &devices);
    let weak = Arc::downgrade(&kernel);
    devices.set_owner_lookup(move |tid| {
        weak.upgrade().and_then(|k| k.tasks.get(tid)).map_or(0, |task| task.cred().fsuid)
    });
    Ok(Rootfs { kernel, terminals, delta, user_mounts })
}

fn failed(what: &str, e: Errno) -> Failure {
    let why = if e.why().is_empty() { String::new() } else { format!(" ({})", e.why()) };
    Failure::new(ErrorKind::Host, format!("{what}: {}{why}", exec::strerror(e.code())))
}

impl Builder<'_> {
    /// Mounts `root` of a file system at a path, making the mountpoint where it is missing.
    fn mount(
        &mut self,
        sb: Arc<dyn SuperBlock>,
        root: InodeRef,
        at: &str,
        flags: MountFlags,
        source: &str,
    ) -> Result<u32, Failure> {
        let point = self.mountpoint(at, root.kind() == Kind::Directory).map_err(|e| failed(at, e))?;
        self.ids.register(sb.clone());
        let mnt =
            self.ns.attach(sb, root, point.path().clone(), flags | MountFlags::RELATIME, source.to_owned());
        Ok(mnt.id)
    }

    /// The place at which to mount; a directory, or an empty file, is made where there is nothing.
    fn mountpoint(&self, at: &str, is_dir: bool) -> Result<Found, Errno> {
        let ns = &self.ns;
        if is_dir {
            return paths::make_dirs(ns, at.as_bytes(), 0, 0);
        }
        match paths::lookup(ns, None, at.as_bytes(), Follow::Yes) {
            Err(e) if e.code() == libc::ENOENT => {}
            other => return other,
        }
        let (above, name) = at.rsplit_once('/').unwrap_or(("", at));
        let dir = paths::make_dirs(ns, above.as_bytes(), 0, 0)?;
        // A dangling symlink is in the way of nothing: EEXIST tells.
        dir.path().inode.create(name.as_bytes(), CreateKind::Regular, 0o644, 0, 0)?;
        paths::lookup_from(ns, None, &dir, name.as_bytes(), Follow::No)
    }

    fn tmpfs(&self, size: u64, mode: u32) -> Arc<TmpFs> {
        TmpFs::new(self.ids.new_sb_id(), &self.spec.run_dir, TmpOptions { size, mode }, self.devices.clone())
    }

    /// What every container has.
    fn standard(&mut self) -> Result<Arc<DevPts>, Failure> {
        let guarded = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let dev = dev_fs(self.ids.new_sb_id(), &self.spec.run_dir, self.devices.clone())
            .map_err(|e| failed("/dev", e))?;
        let root = dev.root();
        self.mount(dev, root, "/dev", MountFlags::NOSUID, "tmpfs")?;
        let pts = DevPts::new(self.ids.new_sb_id(), &self.devices);
        self.devices.set_terminals(pts.clone());
        self.mount(pts.clone(), pts.root(), "/dev/pts", MountFlags::NOSUID | MountFlags::NOEXEC, "devpts")?;
        let has_own_shm = self.spec.mounts.iter().any(|m| m.target == "/dev/shm");
        if !has_own_shm {
            let size = if self.spec.shm_size == 0 { DEFAULT_SHM } else { self.spec.shm_size };
            let shm = self.tmpfs(size, 0o1777);
            let root = shm.root();
            self.mount(shm, root, "/dev/shm", guarded, "shm")?;
        }
        Ok(pts)
    }

    /// /proc and /sys. They learn later which kernel they show.
    fn kernel_views(&mut self) -> Result<(Arc<ProcFs>, [Arc<SysFs>; 2]), Failure> {
        let guarded = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let read_only = if self.spec.privileged { guarded } else { guarded | MountFlags::RDONLY };
        let proc = ProcFs::new(self.ids.new_sb_id());
        self.mount(proc.clone(), proc.root(), "/proc", guarded, "proc")?;
        let sys = SysFs::new(self.ids.new_sb_id());
        self.mount(sys.clone(), sys.root(), "/sys", read_only, "sysfs")?;
        let cgroup = SysFs::cgroup2(self.ids.new_sb_id());
        self.mount(cgroup.clone(), cgroup.root(), "/sys/fs/cgroup", read_only, "cgroup")?;
        Ok((proc, [sys, cgroup]))
    }

    /// A mount of the spec.
    fn user_mount(&mut self, mount: &MountSpec) -> Result<(), Failure> {
        if !mount.target.starts_with('/') {
            let text = format!("invalid mount target {:?}: it must be an absolute path", mount.target);
            return Err(Failure::new(ErrorKind::Invalid, text));
        }
        let flags = if mount.read_only { MountFlags::RDONLY } else { MountFlags::empty() };
        let id = match mount.kind {
            MountKind::Tmpfs => {
                let fs = self.tmpfs(mount.size, mount.mode.unwrap_or(0o1777));
                let root = fs.root();
                self.mount(fs, root, &mount.target, flags | MountFlags::NOSUID | MountFlags::NODEV, "tmpfs")?
            }
            MountKind::Bind | MountKind::Volume => {
                let shown = mount.source.display().to_string();
                let fs = HostFs::open(self.ids.new_sb_id(), &mount.source).map_err(|e| failed(&shown, e))?;
                fs.set_devices(self.devices.clone());
                let root = fs.root();
                if mount.copy_up && root.kind() == Kind::Directory {
                    self.copy_up(&root, &mount.target)?;
                }
                self.mount(fs, root, &mount.target, flags, &shown)?
            }
        };
        self.user_mounts.insert(id);
        Ok(())
    }

    /// Fills an empty volume with what the image has where it is to be mounted.
    fn copy_up(&self, volume: &InodeRef, at: &str) -> Result<(), Failure> {
        match paths::lookup(&self.ns, None, at.as_bytes(), Follow::Yes) {
            Ok(found) if found.path().inode.kind() == Kind::Directory => {
                copy_up::fill(&found.path().inode, volume)
                    .map_err(|e| failed(&format!("filling the volume of {at}"), e))
            }
            _ => Ok(()),
        }
    }

    /// /etc/hostname, /etc/hosts and /etc/resolv.conf, unless the spec has its own.
    fn name_files(&mut self) -> Result<(), Failure> {
        let fs = self.tmpfs(1 << 20, 0o755);
        let hostname = &self.spec.hostname;
        let host_copy = |path: &str| std::fs::read(path).ok().filter(|t| t.len() < 1 << 20);
        let is_host = self.spec.network == NetworkMode::Host;
        let mut hosts = (if is_host { host_copy("/etc/hosts") } else { None })
            .unwrap_or_else(|| b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_vec());
        let is_known = String::from_utf8_lossy(&hosts).split_ascii_whitespace().any(|word| word == hostname);
        if !hostname.is_empty() && !is_known {
            if !hosts.ends_with(b"\n") {
                hosts.push(b'\n');
            }
            hosts.extend_from_slice(format!("127.0.1.1\t{hostname}\n").as_bytes());
        }
        let resolv = (if is_host { host_copy("/etc/resolv.conf") } else { None }).unwrap_or_default();
        let files =
            [("hostname", format!("{hostname}\n").into_bytes()), ("hosts", hosts), ("resolv.conf", resolv)];
        for (name, text) in files {
            let at = format!("/etc/{name}");
            if self.spec.mounts.iter().any(|m| m.target == at) {
                continue;
            }
            let inode = fs
                .root()
                .create(name.as_bytes(), CreateKind::Regular, 0o644, 0, 0)
                .and_then(|inode| write(&inode, &text).map(|()| inode))
                .map_err(|e| failed(&at, e))?;
            // An image in whose /etc there is something else under this name keeps it.
            if let Err(e) = self.mount(fs.clone(), inode, &at, MountFlags::empty(), "tmpfs") {
                tracing::warn!("cannot provide {at}: {e}");
            }
        }
        Ok(())
    }

    /// The program that is pid 1 under `--init`: this binary.
    fn init(&mut self) -> Result<(), Failure> {
        if !self.spec.init {
            return Ok(());
        }
        let fs = HostFs::open(self.ids.new_sb_id(), "/proc/self/exe".as_ref())
            .map_err(|e| failed("the init program", e))?;
        let root = fs.root();
        self.mount(fs, root, INIT, MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV, "init")
            .map(drop)
    }

    /// The working directory, owned by the user, where it is missing.
    fn working_directory(&self) -> Result<(), Failure> {
        let cwd = &self.spec.cwd;
        if cwd.is_empty() || paths::lookup(&self.ns, None, cwd.as_bytes(), Follow::Yes).is_ok() {
            return Ok(());
        }
        // A user who does not exist is reported when the container is started.
        let (uid, gid) = user::resolve(&self.ns, &self.spec.user, &[]).map_or((0, 0), |u| (u.uid, u.gid));
        paths::make_dirs(&self.ns, cwd.as_bytes(), uid, gid).map(drop).map_err(|e| failed(cwd, e))
    }
}

/// Masked and read-only paths; those that do not exist need nothing.
fn cover(kernel: &Kernel, devices: &Arc<Devices>) {
    let (ns, spec) = (&kernel.mounts, &kernel.spec);
    for path in &spec.readonly_paths {
        let Ok(found) = paths::lookup(ns, None, path.as_bytes(), Follow::No) else { continue };
        let Path { mnt, inode } = found.path().clone();
        let flags = mnt.flags() | MountFlags::RDONLY;
        ns.attach(mnt.sb.clone(), inode, found.path().clone(), flags, mnt.source.clone());
    }
    let null = paths::lookup(ns, None, b"/dev/null", Follow::No);
    for path in &spec.masked_paths {
        let Ok(found) = paths::lookup(ns, None, path.as_bytes(), Follow::No) else { continue };
        if found.path().inode.kind() == Kind::Directory {
            let options = TmpOptions { size: 0, mode: 0o555 };
            let fs = TmpFs::new(kernel.ids.new_sb_id(), &spec.run_dir, options, devices.clone());
            kernel.ids.register(fs.clone());
            ns.attach(fs.clone(), fs.root(), found.path().clone(), MountFlags::RDONLY, "tmpfs".into());
        } else if let Ok(null) = &null {
            let Path { mnt, inode } = null.path().clone();
            ns.attach(mnt.sb.clone(), inode, found.path().clone(), mnt.flags(), "tmpfs".into());
        }
    }
}

fn write(inode: &InodeRef, text: &[u8]) -> Result<(), Errno> {
    match inode.open(&OpenRequest { flags: libc::O_WRONLY, tid: 0 })? {
        Opened::Fd(fd) => std::fs::File::from(fd).write_all(text).map_err(|e| crate::errno::host_io(&e)),
        Opened::Blocking(..) => Err(crate::err!(EIO)),
    }
}

/// Where Docker has its init.
pub(super) const INIT: &str = "/sbin/docker-init";

/// Paths that setting up a container makes; Docker's are in a layer of their own and no change.
const SET_UP: [&str; 14] = [
    INIT,
    "/usr/sbin/docker-init",
    "/dev",
    "/dev/console",
    "/dev/pts",
    "/dev/shm",
    "/proc",
    "/sys",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/mtab",
    "/.dockerenv",
    "/dev/mqueue",
];

impl Rootfs {
    /// Makes a terminal the container's, and, where it is init's, its `/dev/console`.
    pub(super) fn adopt_terminal(&self, master: &OwnedFd, uid: u32, is_console: bool) -> Result<(), Errno> {
        self.terminals.register_master(master, uid, TTY_GID)?;
        if !is_console {
            return Ok(());
        }
        let name = rustix::pty::ptsname(master, Vec::new()).map_err(crate::errno::host)?;
        let number = name.to_bytes().rsplit(|&b| b == b'/').next().unwrap_or_default().to_vec();
        let slave = self.terminals.root().lookup(&number)?;
        let ns = &self.kernel.mounts;
        let dev = paths::lookup(ns, None, b"/dev", Follow::Yes)?;
        // A second start in the same supervisor does not happen, so there is none yet.
        dev.path().inode.create(b"console", CreateKind::Regular, 0o600, 0, 0)?;
        let at = paths::lookup_from(ns, None, &dev, b"console", Follow::No)?;
        ns.attach(
            self.terminals.clone(),
            slave,
            at.path().clone(),
            MountFlags::NOSUID | MountFlags::NOEXEC,
            "devpts".into(),
        );
        Ok(())
    }

    /// Paths that differ from the image.
    pub(super) fn changes(&self) -> Vec<Change> {
        let text = |path: Vec<u8>| String::from_utf8_lossy(&path).into_owned();
        self.differences().into_iter().map(|d| Change { path: text(d.path), kind: d.kind }).collect()
    }

    /// The same with the names as they are.
    pub(super) fn differences(&self) -> Vec<Difference> {
        let mut changes = self.delta.changes();
        let is_set_up = |path: &[u8]| SET_UP.iter().any(|s| s.as_bytes() == path);
        changes.retain(|c| !(c.kind == ChangeKind::Added && is_set_up(&c.path)));
        // A directory that only changed because of those is none either.
        let below: Vec<Vec<u8>> = changes.iter().map(|c| c.path.clone()).collect();
        changes.retain(|c| {
            let prefix = [c.path.as_slice(), b"/"].concat();
            let is_etc = c.path == b"/etc" && c.kind == ChangeKind::Modified;
            !is_etc || below.iter().any(|p| p.starts_with(&prefix))
        });
        changes
    }

    /// Writes out what is still only in memory.
    pub(super) fn close(&self) {
        if let Err(e) = self.delta.flush() {
            tracing::error!("cannot write the container's journal: {e:?}");
        }
    }
}
