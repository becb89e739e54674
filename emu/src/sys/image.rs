//! What a program needs to be loaded: found, checked, parsed; its credentials; its plan and its stack.
//!
//! Corresponds to Linux's `struct linux_binprm`: `fs/exec.c`, `binfmt_elf.c`, `binfmt_script.c`, `security/commoncap.c`.

use super::Call;
use crate::errno::{Errno, host};
use crate::task::{Caps, Cred};
use crate::vfs::permission::{Access, inode_permission};
use crate::vfs::walk::{Lookup, LookupFlags};
use crate::vfs::{InodeRef, Kind, MountFlags, Path, anon};
use crate::{bail, err};
use carrack_loader::{
    ElfImage, KernelStack, LoadInput, LoadPlan, Loadable, MAX_INTERPRETERS, StackImage, StackInput, auxv,
    check_arg_limits, parse_elf_with, parse_interpreter, parse_script,
};
use rustix::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

/// A program about to run.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// For /proc/PID/exe: the ELF file (of a script: its interpreter).
    pub(crate) exe: Option<Path>,
    pub(crate) cred: Cred,
    main: (OwnedFd, Option<ElfImage>),
    interpreter: Option<(OwnedFd, ElfImage)>,
    argv: Vec<Vec<u8>>,
    envp: Vec<Vec<u8>>,
    /// AT_EXECFN: the name as it was given.
    name: Vec<u8>,
    /// The task's name: the last component of `name`, or for a descriptor its file's.
    comm: Vec<u8>,
    secure: bool,
    /// Linux finds out past the point of no return that it cannot load this: the task ends by SIGSEGV.
    is_doomed: bool,
}

/// An argument vector or an environment, without the NULs.
pub(crate) type Strings = Vec<Vec<u8>>;

/// MAX_ARG_STRLEN: one string with its NUL.
const MAX_STRING: usize = 128 << 10;
/// No vector is read further than this, whatever the stack limit says (Linux: 6 MiB, pointers included).
const MAX_TOTAL: usize = 6 << 20;

/// Copies argv and envp.
pub(crate) fn read_vectors(cx: &Call, argv: u64, envp: u64) -> Result<(Strings, Strings), Errno> {
    let mut budget = MAX_TOTAL;
    let argv = read_vector(cx, argv, &mut budget)?;
    let envp = read_vector(cx, envp, &mut budget)?;
    Ok((argv, envp))
}

fn read_vector(cx: &Call, mut at: u64, budget: &mut usize) -> Result<Vec<Vec<u8>>, Errno> {
    let mut out = Vec::new();
    if at == 0 {
        return Ok(out);
    }
    let memory = cx.memory();
    let mut chunk = [0u64; 64];
    // Strings mostly lie one behind the other: read ahead, and use what was read while it fits.
    let mut window: (u64, Vec<u8>) = (0, Vec::new());
    loop {
        let n = memory.read_some(at, bytemuck::cast_slice_mut(&mut chunk))? / 8;
        if n == 0 {
            bail!(EFAULT);
        }
        for &pointer in &chunk[..n] {
            if pointer == 0 {
                return Ok(out);
            }
            let string = match in_window(&window, pointer) {
                Some(s) => s,
                None => {
                    let mut bytes = vec![0u8; 4096 - (pointer % 4096) as usize];
                    let got = memory.read_some(pointer, &mut bytes)?;
                    bytes.truncate(got);
                    window = (pointer, bytes);
                    match in_window(&window, pointer) {
                        Some(s) => s,
                        None => memory.read_cstr(pointer, MAX_STRING - 1)?.ok_or(err!(E2BIG))?,
                    }
                }
            };
            let cost = string.len() + 1 + 8;
            *budget = budget.checked_sub(cost).ok_or(err!(E2BIG))?;
            out.push(string);
        }
        at = at.checked_add(8 * n as u64).ok_or(err!(EFAULT))?;
    }
}

/// The string at `pointer` when all of it was read already.
fn in_window(window: &(u64, Vec<u8>), pointer: u64) -> Option<Vec<u8>> {
    let offset = usize::try_from(pointer.checked_sub(window.0)?).ok()?;
    let rest = window.1.get(offset..)?;
    let nul = rest.iter().position(|&b| b == 0)?;
    Some(rest[..nul].to_vec())
}

/// Finds the file that a name means. `flags`: AT_SYMLINK_NOFOLLOW.
pub(crate) fn find(cx: &Call, start: &Path, name: &[u8], flags: i32) -> Result<Path, Errno> {
    let (fs, cred) = (cx.fs(), cx.cred());
    let lookup = Lookup { mounts: &cx.kernel.mounts, root: &fs.root, cred: &cred };
    let follow =
        if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { LookupFlags::empty() } else { LookupFlags::FOLLOW };
    let path = lookup.path(start, name, follow)?;
    if path.inode.kind() == Kind::Symlink {
        bail!(ELOOP);
    }
    Ok(path)
}

/// What execve was asked to run.
#[derive(Debug)]
pub(crate) enum Program {
    File(Path),
    /// A memfd of the guest's own (fexecve(3)), and the host's text for it.
    Memfd(OwnedFd, Vec<u8>),
}

/// do_open_execat(): what can be said before the vectors are looked at.
pub(crate) fn check(cx: &Call, program: &Program) -> Result<(), Errno> {
    match program {
        Program::File(path) => may_execute(path, &cx.cred()),
        Program::Memfd(fd, _) => {
            // Its owner is whoever holds it.
            let mode = rustix::fs::fstat(fd).map_err(host)?.st_mode;
            let wanted = if cx.cred().capable(Caps::DAC_OVERRIDE) { 0o111 } else { libc::S_IXUSR };
            if mode & wanted == 0 { bail!(EACCES) } else { Ok(()) }
        }
    }
}

/// may_open() for MAY_EXEC, and the body.
fn open_program(program: &Program, cred: &Cred) -> Result<OwnedFd, Errno> {
    match program {
        Program::File(path) => open(path, cred),
        Program::Memfd(fd, _) => {
            // Mapping needs a description of its own that is open for reading; writers make it busy.
            use rustix::fd::AsRawFd;
            use rustix::fs::{Mode, OFlags};
            let how = OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::open(format!("/proc/self/fd/{}", fd.as_raw_fd()), how, Mode::empty())
                .map_err(|_| err!(EACCES))
        }
    }
}

fn may_execute(path: &Path, cred: &Cred) -> Result<(), Errno> {
    if path.inode.kind() != Kind::Regular || path.mnt.flags().contains(MountFlags::NOEXEC) {
        bail!(EACCES);
    }
    inode_permission(cred, &*path.inode, Access::EXEC)
}

fn open(path: &Path, cred: &Cred) -> Result<OwnedFd, Errno> {
    may_execute(path, cred)?;
    let body = path.inode.open_body()?;
    if crate::platform::host::is_open_for_writing(body.as_fd()) {
        bail!(ETXTBSY);
    }
    Ok(body)
}

/// A descriptor that Linux needs none for: where the guest's table is full its soft limit is raised for the moment.
pub(crate) fn add_fd(cx: &Call, fd: &OwnedFd, cloexec: bool) -> Result<i32, Errno> {
    const NOFILE: u32 = libc::RLIMIT_NOFILE;
    let full = match cx.door.add_fd(fd, cloexec) {
        Err(e) if e.code() == libc::EMFILE => e,
        other => return other,
    };
    let tgid = cx.task.tgid;
    let Some((soft, hard)) = crate::platform::host::prlimit_get(tgid, NOFILE) else { return Err(full) };
    if hard <= soft {
        return Err(full);
    }
    crate::platform::host::prlimit_set(tgid, NOFILE, hard.min(soft.saturating_add(8)), hard);
    let added = cx.door.add_fd(fd, cloexec);
    crate::platform::host::prlimit_set(tgid, NOFILE, soft, hard);
    added
}

/// How much of a file is read at first.
const HEAD: usize = 4096;

fn read_at(fd: &OwnedFd, offset: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; len];
    let mut got = 0;
    while got < len {
        match rustix::io::pread(fd, &mut bytes[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(got);
    Some(bytes)
}

fn file_size(fd: &OwnedFd) -> Result<u64, Errno> {
    Ok(rustix::fs::fstat(fd).map_err(|_| err!(EIO))?.st_size as u64)
}

/// Whether the rest of a page would have to be zeroed that the file does not reach: Linux's clear_user() fails there, and the
/// program ends by SIGSEGV before it starts.
fn zeroes_past_end(image: &ElfImage, size: u64) -> bool {
    image.segments.iter().any(|s| {
        let end = s.offset.saturating_add(s.filesz);
        s.memsz > s.filesz && end % 4096 != 0 && end / 4096 * 4096 >= size
    })
}

fn load_errno(e: carrack_loader::LoadError) -> Errno {
    tracing::debug!(error = %e, "not loaded");
    Errno::new(e.errno())
}

/// Step 1 of exec: everything that can fail with the caller unharmed.
pub(crate) fn prepare(
    cx: &Call,
    mut program: Program,
    name: Vec<u8>,
    mut argv: Vec<Vec<u8>>,
    envp: Vec<Vec<u8>>,
) -> Result<Prepared, Errno> {
    let old = cx.cred();
    let mut shown = name.clone();
    let mut level = 0;
    let mut is_doomed = false;
    let (fd, image) = loop {
        let fd = open_program(&program, &old)?;
        let head = read_at(&fd, 0, HEAD).ok_or(err!(EIO))?;
        let Some(line) = parse_script(&head).map_err(load_errno)? else {
            let size = file_size(&fd)?;
            match parse_elf_with(&head, size, |at, len| read_at(&fd, at, len)) {
                Ok(image) if zeroes_past_end(&image, size) => break (fd, None),
                Ok(image) => break (fd, Some(image)),
                Err(e) if e.is_fatal_on_linux() => break (fd, None),
                Err(e) => return Err(load_errno(e)),
            }
        };
        level += 1;
        if level > MAX_INTERPRETERS {
            bail!(ELOOP);
        }
        argv = line.argv(&shown, &argv);
        shown = line.interp;
        if shown.is_empty() {
            // The kernel's own empty path is the working directory.
            bail!(EACCES);
        }
        program = Program::File(find(cx, &cx.fs().cwd, &shown, 0)?);
    };
    check_arg_limits(&argv, &envp, &name, cx.task.process.stack_limit().0).map_err(load_errno)?;
    let interpreter = match image.as_ref().map(|i| &i.interp) {
        None | Some(None) => None,
        Some(Some(path)) => {
            let at = find(cx, &cx.fs().cwd, path, 0)?;
            let fd = open(&at, &old)?;
            let head = read_at(&fd, 0, HEAD).ok_or(err!(EIO))?;
            match parse_interpreter(&head, file_size(&fd)?, |at, len| read_at(&fd, at, len)) {
                Ok(image) => Some((fd, image)),
                Err(e) if e.is_fatal_on_linux() => {
                    is_doomed = true;
                    None
                }
                Err(e) => return Err(load_errno(e)),
            }
        }
    };
    let comm = name.rsplit(|&b| b == b'/').next().unwrap_or(&name).to_vec();
    let exe = match program {
        Program::File(path) => Some(path),
        Program::Memfd(held, name) => Some(anon::place_of(held, name)?),
    };
    let (cred, secure) = credentials(&old, exe.as_ref())?;
    is_doomed |= image.is_none();
    Ok(Prepared { exe, cred, main: (fd, image), interpreter, argv, envp, name, comm, secure, is_doomed })
}

/// VFS_CAP_REVISION_2 and 3 of `security.capability`: (permitted, inheritable, effective bit).
fn file_caps(inode: &InodeRef) -> Option<(Caps, Caps, bool)> {
    let v = inode.getxattr(b"security.capability").ok()?;
    let word = |i: usize| v.get(4 * i..4 * i + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let magic = word(0)?;
    let two = |lo: usize, hi: usize| -> Option<Caps> {
        Some(Caps::from_bits_truncate(u64::from(word(lo)?) | u64::from(word(hi)?) << 32))
    };
    matches!(magic >> 24, 2 | 3).then_some(())?;
    Some((two(1, 3)?, two(2, 4)?, magic & 1 != 0))
}

/// bprm_fill_uid() and cap_bprm_creds_from_file(): the credentials after exec, and whether AT_SECURE is set.
fn credentials(old: &Cred, file: Option<&Path>) -> Result<(Cred, bool), Errno> {
    const NOROOT: u32 = 1;
    const KEEP_CAPS: u32 = 1 << 4;
    let mut new = old.clone();
    let mut caps = None;
    let may_gain = |f: &&Path| !old.no_new_privs && !f.mnt.flags().contains(MountFlags::NOSUID);
    if let Some(file) = file.filter(may_gain) {
        let attr = file.inode.perm()?;
        if attr.mode & libc::S_ISUID != 0 {
            new.euid = attr.uid;
        }
        if attr.mode & (libc::S_ISGID | 0o010) == libc::S_ISGID | 0o010 {
            new.egid = attr.gid;
        }
        caps = file_caps(&file.inode);
    }
    let changes_id = new.euid != old.euid || new.egid != old.egid;
    let (f_permitted, f_inheritable, f_effective) = caps.unwrap_or_default();
    let mut effective_bit = f_effective;
    let mut permitted = (new.inheritable & f_inheritable) | (f_permitted & new.bounding);
    let is_root = new.securebits & NOROOT == 0 && (new.euid == 0 || new.uid == 0);
    if is_root && !(caps.is_some() && new.uid != 0 && new.euid == 0) {
        permitted = new.bounding | new.inheritable;
        effective_bit = new.euid == 0;
    }
    if old.no_new_privs && !(permitted - old.permitted).is_empty() {
        permitted &= old.permitted;
    }
    if changes_id || caps.is_some() {
        new.ambient = Caps::empty();
    }
    new.permitted = permitted | new.ambient;
    new.effective = if effective_bit { new.permitted } else { new.ambient };
    (new.suid, new.fsuid) = (new.euid, new.euid);
    (new.sgid, new.fsgid) = (new.egid, new.egid);
    new.securebits &= !KEEP_CAPS;
    let gains = new.uid != 0 && (effective_bit && !f_permitted.is_empty());
    let secure = new.uid != new.euid || new.gid != new.egid || gains;
    Ok((new, secure))
}

/// `memfd:x`
fn memfd_name(fd: &OwnedFd) -> Option<Vec<u8>> {
    use rustix::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let text = rustix::fs::readlinkat(rustix::fs::CWD, link, Vec::new()).ok()?;
    let name = text.to_bytes().strip_prefix(b"/")?;
    Some(name.strip_suffix(b" (deleted)").unwrap_or(name).to_vec())
}

impl Prepared {
    /// A program given by a descriptor alone lends the task the name of its file (Linux 6.14).
    pub(crate) fn name_after_file(&mut self) {
        let name = match &self.exe {
            Some(path) if path.inode.sb_id() == anon::ANON => memfd_name(&self.main.0),
            Some(path) => path.inode.alias().or_else(|| path.inode.last_alias()).map(|(_, name)| name),
            None => None,
        };
        if let Some(name) = name {
            self.comm = name;
        }
    }

    /// Step 6: puts the files into the guest, writes its stack, and gives the plan's bytes.
    pub(crate) fn plan(&self, cx: &Call, sp: u64, probe: u64) -> Result<Vec<u8>, Errno> {
        let memory = cx.memory();
        let Some(image) = self.main.1.as_ref().filter(|_| !self.is_doomed) else {
            bail!(ENOEXEC, "the program cannot be loaded");
        };
        let program = Loadable { image, fd: add_fd(cx, &self.main.0, false)? };
        let interpreter = match &self.interpreter {
            None => None,
            Some((fd, image)) => Some(Loadable { image, fd: add_fd(cx, fd, false)? }),
        };
        let no_randomize =
            cx.task.process.personality.load(Ordering::Relaxed) & libc::ADDR_NO_RANDOMIZE as u32 != 0;
        let load = LoadPlan::new(&LoadInput {
            program,
            interpreter,
            mmap_top: probe,
            random: rand::random(),
            no_randomize,
        })
        .map_err(load_errno)?;

        // The stub's own stack, as the kernel made it.
        let mut kernels = vec![0u8; 16 << 10];
        let got = memory.read_some(sp, &mut kernels)?;
        let kernels = KernelStack::parse(&kernels[..got], sp).map_err(load_errno)?;
        let mut vector = kernels.auxv;
        let cred = &self.cred;
        load.fill_auxv(&mut vector);
        for (key, value) in [
            (auxv::AT_UID, u64::from(cred.uid)),
            (auxv::AT_EUID, u64::from(cred.euid)),
            (auxv::AT_GID, u64::from(cred.gid)),
            (auxv::AT_EGID, u64::from(cred.egid)),
            (auxv::AT_SECURE, u64::from(self.secure)),
        ] {
            vector.set(key, value);
        }
        let image = StackImage::build(&StackInput {
            argv: &self.argv,
            envp: &self.envp,
            execfn: &self.name,
            auxv: &vector,
            random: rand::random(),
            top: kernels.top,
            gap: if no_randomize { 0 } else { u64::from(rand::random::<u16>()) % 8192 },
        })
        .map_err(load_errno)?;
        memory.write_forced(image.sp, &image.bytes)?;
        load.finish(&image, &self.comm).encode().map_err(load_errno)
    }
}
