//! The brand: code in a guest's own address space that answers look-ups in the unchanged part of its image, and questions
//! for the process's own identity, without a system call.
//!
//! The supervisor maps it into a process that makes many such calls, with the image's index and a page of *marks*, and turns
//! the `mov eax, NR` before a `syscall` instruction into a jump to a *site*, which calls [`entry`]. What the brand cannot
//! answer for certain it leaves to the `syscall` instruction, which is where it was and does what it did.
//!
//! It runs with the guest's authority and knows nothing that the guest may not know. It must not change anything that a
//! `syscall` instruction would not: no register but rax, rcx and r11, nothing within the red zone, no thread-local
//! storage, no variables. It may be interrupted by a signal at any instruction, be entered again from the handler, and be
//! left for ever by longjmp(3).
//!
//! # Why the answers are right
//! The index never changes. The supervisor marks an inode *before* it changes anything about it, and a mark is never taken
//! back. So a walk that has met no mark has seen the tree as it was at some moment of the call.
//!
//! Permissions: only what everybody may do is answered here (search permission for all three classes on every directory
//! passed), so it does not matter who the caller is.
//!
//! Bad pointers: memory of the caller is only touched after the kernel has been asked whether it may be (see [`probe_read`]
//! and [`probe_write`]), so that EFAULT stays EFAULT and does not become SIGSEGV.

#![no_std]
#![no_main]

#[allow(dead_code, unreachable_pub)]
mod abi;

use abi::*;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

const EINVAL: i64 = -22;
const ENOENT: i64 = -2;
const ENOTDIR: i64 = -20;

const S_IFMT: u32 = 0o170000;
const S_IFDIR: u32 = 0o040000;
const S_IFREG: u32 = 0o100000;
const S_IFLNK: u32 = 0o120000;

const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_EACCESS: u64 = 0x200;
const AT_NO_AUTOMOUNT: u64 = 0x800;
const AT_STATX_SYNC_TYPE: u64 = 0x6000;

const SYS_RT_SIGPROCMASK: u64 = 14;
const PAGE: u64 = 4096;
const PATH_MAX: u64 = 4096;
const NAME_MAX: u64 = 255;

/// Directories below the root that a walk remembers the way up through.
const DEPTH: usize = 24;
/// Symbolic links within symbolic links that are followed here.
const LINKS: usize = 4;

/// "The supervisor shall answer": no result of a call.
const MISS: i64 = i64::MIN;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

// Called by a site, with the call's registers, 128 bytes and a return address below the caller's stack pointer. Returns
// with the carry flag clear and the result in rax, or with the carry flag set and the call's number in eax.
global_asm!(
    ".pushsection .entry, \"ax\", @progbits",
    "push rbp",
    "mov rbp, rsp",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push rax",
    "sub rsp, 32",
    "movups [rsp], xmm0",
    "movups [rsp + 16], xmm1",
    "and rsp, -16",
    "mov r9, r8",
    "mov r8, r10",
    "mov rcx, rdx",
    "mov rdx, rsi",
    "mov rsi, rdi",
    "mov edi, eax",
    "cld",
    "call {answer}",
    "lea rsp, [rbp - 104]",
    "movups xmm0, [rsp]",
    "movups xmm1, [rsp + 16]",
    "add rsp, 32",
    "pop r9",
    "pop r11",
    "pop r10",
    "mov rcx, {miss}",
    "cmp rax, rcx",
    "jne 2f",
    "mov eax, r9d",
    "pop r9",
    "pop r8",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "pop rbp",
    "stc",
    "ret",
    "2: pop r9",
    "pop r8",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "pop rbp",
    "clc",
    "ret",
    ".popsection",
    answer = sym answer,
    miss = const MISS,
);

/// The context of this region, which begins with it.
fn context() -> &'static Context {
    let at: *const Context;
    // SAFETY: an address is computed.
    unsafe { asm!("lea {}, [rip + brand_context]", out(reg) at, options(pure, nomem, nostack, preserves_flags)) };
    // SAFETY: the supervisor has written the context before it made the first site; it is never written again.
    unsafe { &*at }
}

/// With the call's number and its first five arguments.
extern "C" fn answer(nr: u32, a: u64, b: u64, c: u64, d: u64, e: u64) -> i64 {
    let context = context();
    // SAFETY: the marks stay mapped as long as the brand.
    if unsafe { AtomicU32::from_ptr((context.marks + MARKS_OFF) as *mut u32) }.load(Ordering::Acquire) != 0 {
        return MISS;
    }
    let result = match nr {
        SYS_STAT => stat(context, a, b, 0),
        SYS_LSTAT => stat(context, a, b, AT_SYMLINK_NOFOLLOW),
        SYS_NEWFSTATAT => stat(context, b, c, d),
        SYS_STATX => statx(context, b, c, d, e),
        SYS_READLINK => readlink(context, a, b, c),
        SYS_READLINKAT => readlink(context, b, c, d),
        SYS_ACCESS => access(context, a, b, 0),
        SYS_FACCESSAT => access(context, b, c, 0),
        SYS_FACCESSAT2 => access(context, b, c, d),
        SYS_GETPID | SYS_GETUID | SYS_GETGID | SYS_GETEUID | SYS_GETEGID => identity(context, nr),
        _ => Err(Miss),
    };
    match result {
        Ok(value) => value,
        Err(Miss) => MISS,
    }
}

/// The supervisor has to answer.
struct Miss;

type Answer = Result<i64, Miss>;

/// What a path leads to.
enum Found {
    Inode(u32),
    Error(i64),
}

fn rt_sigprocmask(how: u64, set: u64, old: u64) -> i64 {
    let result;
    // SAFETY: with these arguments the call at most writes eight bytes to `old`, which the caller of the program's own
    // system call has asked to be written to.
    unsafe {
        asm!("syscall", inlateout("rax") SYS_RT_SIGPROCMASK as i64 => result, in("rdi") how, in("rsi") set, in("rdx") old,
            in("r10") 8u64, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Whether the page of `at` can be read: a change of the signal mask in a way that does not exist reads the new mask first.
fn probe_read(at: u64) -> Result<(), Miss> {
    const NO_SUCH_WAY: u64 = 99;
    if rt_sigprocmask(NO_SUCH_WAY, at & !7, 0) == EINVAL { Ok(()) } else { Err(Miss) }
}

/// Whether the eight bytes at `at` can be written; they are.
fn probe_write(at: u64) -> Result<(), Miss> {
    if rt_sigprocmask(0, 0, at) == 0 { Ok(()) } else { Err(Miss) }
}

fn byte(at: u64) -> u8 {
    // SAFETY: the page was probed, or belongs to the index.
    unsafe { core::ptr::read_volatile(at as *const u8) }
}

/// The end of the string at `path`: the address of its NUL.
fn end_of_path(path: u64) -> Result<u64, Miss> {
    probe_read(path)?;
    let mut at = path;
    while at < path + PATH_MAX {
        if at != path && at % PAGE == 0 {
            probe_read(at)?;
        }
        if byte(at) == 0 {
            return Ok(at);
        }
        at += 1;
    }
    Err(Miss)
}

impl Context {
    fn inode(&self, ino: u32) -> &Inode {
        // SAFETY: the supervisor has validated the index; numbers in it are numbers of inodes.
        unsafe { &*((self.inodes as *const Inode).wrapping_add(ino as usize - 1)) }
    }

    fn marks(&self, ino: u32) -> u8 {
        let at = (self.marks + MARKS_FIRST + u64::from(ino)) as *mut u8;
        // SAFETY: there is a byte for every inode of the index.
        unsafe { AtomicU8::from_ptr(at) }.load(Ordering::Acquire)
    }

    /// The inode that `dir` has by the name at `name..end`.
    fn lookup(&self, dir: &Inode, name: u64, end: u64) -> Option<u32> {
        let (mut low, mut high) = (dir.first, dir.first + dir.count);
        while low < high {
            let middle = low + (high - low) / 2;
            // SAFETY: `first` and `count` of a directory are within the entries.
            let entry = unsafe { &*((self.dirents as *const Dirent).wrapping_add(middle as usize)) };
            match compare(self.strings + u64::from(entry.name), u64::from(entry.name_len), name, end - name) {
                Order::Less => low = middle + 1,
                Order::Equal => return Some(entry.ino),
                Order::Greater => high = middle,
            }
        }
        None
    }

    /// path_lookupat() of an absolute path.
    fn walk(&self, path: u64, follow: bool) -> Result<Found, Miss> {
        let end = end_of_path(path)?;
        if byte(path) != b'/' {
            return Err(Miss);
        }
        // The way down to where we are, the root left out, and what is left of the links' paths we came from.
        let mut way = [0u32; DEPTH];
        let mut depth = 0;
        let mut rest = [(0u64, 0u64); LINKS];
        let mut links = 0;
        let mut followed = 0;
        let (mut at, mut end) = (path, end);
        let mut here = 1u32;
        loop {
            while at < end && byte(at) == b'/' {
                at += 1;
            }
            if at == end {
                if links == 0 {
                    return if self.marks(here) & BARRED == 0 { Ok(Found::Inode(here)) } else { Err(Miss) };
                }
                // Something follows the link, and be it a slash.
                if self.inode(here).mode & S_IFMT != S_IFDIR {
                    return Ok(Found::Error(ENOTDIR));
                }
                links -= 1;
                (at, end) = *rest.get(links).ok_or(Miss)?;
                continue;
            }
            let name = at;
            while at < end && byte(at) != b'/' {
                at += 1;
            }
            let len = at - name;
            let dir = self.inode(here);
            if dir.mode & S_IFMT != S_IFDIR {
                return Ok(Found::Error(ENOTDIR));
            }
            if dir.mode & 0o111 != 0o111 || len > NAME_MAX || self.marks(here) & BARRED != 0 {
                return Err(Miss);
            }
            if len == 1 && byte(name) == b'.' {
                continue;
            }
            if len == 2 && byte(name) == b'.' && byte(name + 1) == b'.' {
                depth = if depth == 0 { 0 } else { depth - 1 };
                here = match depth {
                    0 => 1,
                    _ => *way.get(depth - 1).ok_or(Miss)?,
                };
                continue;
            }
            let Some(ino) = self.lookup(dir, name, at) else {
                return if self.marks(here) == 0 { Ok(Found::Error(ENOENT)) } else { Err(Miss) };
            };
            if self.marks(ino) & BARRED != 0 {
                return Err(Miss);
            }
            let inode = self.inode(ino);
            let is_last = at == end && links == 0;
            if inode.mode & S_IFMT == S_IFLNK && (follow || !is_last) {
                // protected_symlinks looks at who owns a link in a sticky directory.
                let is_sticky = dir.mode & 0o1002 == 0o1002;
                followed += 1;
                if is_sticky || followed > 8 {
                    return Err(Miss);
                }
                if at < end {
                    *rest.get_mut(links).ok_or(Miss)? = (at, end);
                    links += 1;
                }
                at = self.strings + u64::from(inode.first);
                end = at + u64::from(inode.count);
                if byte(at) == b'/' {
                    (here, depth) = (1, 0);
                }
                continue;
            }
            *way.get_mut(depth).ok_or(Miss)? = ino;
            depth += 1;
            here = ino;
            if at < end && inode.mode & S_IFMT != S_IFDIR {
                return Ok(Found::Error(ENOTDIR));
            }
        }
    }
}

enum Order {
    Less,
    Equal,
    Greater,
}

/// The order of two strings of bytes.
fn compare(a: u64, a_len: u64, b: u64, b_len: u64) -> Order {
    let both = if a_len < b_len { a_len } else { b_len };
    let mut i = 0;
    while i < both {
        let (x, y) = (byte(a + i), byte(b + i));
        if x != y {
            return if x < y { Order::Less } else { Order::Greater };
        }
        i += 1;
    }
    if a_len == b_len {
        Order::Equal
    } else if a_len < b_len {
        Order::Less
    } else {
        Order::Greater
    }
}

fn put(at: u64, value: u64) {
    // SAFETY: callers have probed the whole of what they write to.
    unsafe { core::ptr::write_unaligned(at as *mut u64, value) };
}

/// Size and blocks as stat(2) tells them.
fn extent(inode: &Inode) -> (u64, u64) {
    match inode.mode & S_IFMT {
        S_IFDIR => (4096, 8),
        S_IFREG => (inode.size, inode.size.div_ceil(4096) * 8),
        _ => (inode.size, 0),
    }
}

/// Makes sure that all of `len` bytes at `at`, at most a page, can be written.
fn probe_buffer(at: u64, len: u64) -> Result<(), Miss> {
    probe_write(at)?;
    if (at + len - 1) / PAGE != at / PAGE { probe_write(at + len - 8) } else { Ok(()) }
}

/// getpid(2), getuid(2) and its like.
fn identity(context: &Context, nr: u32) -> Answer {
    if context.identity == 0 {
        return Err(Miss);
    }
    // SAFETY: a page that was mapped with the rest of the region; the supervisor writes to it while this runs, so it is read
    // word by word as it is now.
    let word = |offset: usize| {
        unsafe { AtomicU32::from_ptr((context.identity + offset as u64) as *mut u32) }.load(Ordering::Acquire)
    };
    if word(offset_of!(Identity, is_valid)) == 0 {
        return Err(Miss);
    }
    Ok(i64::from(word(match nr {
        SYS_GETPID => offset_of!(Identity, pid),
        SYS_GETUID => offset_of!(Identity, uid),
        SYS_GETGID => offset_of!(Identity, gid),
        SYS_GETEUID => offset_of!(Identity, euid),
        _ => offset_of!(Identity, egid),
    })))
}

/// What both kinds of stat begin with: the inode is there, all about it is as in the image, and `size` bytes at `buffer` can
/// be written.
fn attributes(context: &Context, path: u64, flags: u64, buffer: u64, size: u64) -> Result<Found, Miss> {
    let found = context.walk(path, flags & AT_SYMLINK_NOFOLLOW == 0)?;
    if let Found::Inode(ino) = found {
        if context.marks(ino) != 0 {
            return Err(Miss);
        }
        probe_buffer(buffer, size)?;
    }
    Ok(found)
}

/// Writes `words`, and zeros up to `size` bytes.
fn put_all(buffer: u64, words: &[u64], size: u64) {
    let mut i = 0;
    while i < size / 8 {
        put(buffer + 8 * i, words.get(i as usize).copied().unwrap_or(0));
        i += 1;
    }
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn stat(context: &Context, path: u64, buffer: u64, flags: u64) -> Answer {
    const SIZE: u64 = 144;
    let flags = flags & 0xffff_ffff;
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0 {
        return Err(Miss);
    }
    let ino = match attributes(context, path, flags, buffer, SIZE)? {
        Found::Error(e) => return Ok(e),
        Found::Inode(ino) => ino,
    };
    let inode = context.inode(ino);
    let (size, blocks) = extent(inode);
    let (sec, nsec) = (inode.mtime_sec as u64, u64::from(inode.mtime_nsec));
    let words = [
        context.dev,
        u64::from(ino),
        u64::from(inode.nlink),
        pair(inode.mode, inode.uid),
        u64::from(inode.gid),
        inode.rdev,
        size,
        4096,
        blocks,
        sec,
        nsec,
        sec,
        nsec,
        sec,
        nsec,
    ];
    put_all(buffer, &words, SIZE);
    Ok(0)
}

/// The numbers of a device as statx(2) tells them: major, then minor.
fn device(rdev: u64) -> u64 {
    let major = (rdev >> 8) & 0xfff | (rdev >> 32) & !0xfff;
    let minor = rdev & 0xff | (rdev >> 12) & !0xff;
    pair(major as u32, minor as u32)
}

fn statx(context: &Context, path: u64, flags: u64, mask: u64, buffer: u64) -> Answer {
    const SIZE: u64 = 256;
    const RESERVED: u64 = 0x8000_0000;
    /// STATX_BASIC_STATS and STATX_MNT_ID: an image knows no time of birth.
    const ANSWERED: u32 = 0x7ff | 0x1000;
    const ATTR_MOUNT_ROOT: u64 = 0x2000;
    let flags = flags & 0xffff_ffff;
    if mask & RESERVED != 0
        || flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE
        || flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE) != 0
    {
        return Err(Miss);
    }
    let ino = match attributes(context, path, flags, buffer, SIZE)? {
        Found::Error(e) => return Ok(e),
        Found::Inode(ino) => ino,
    };
    let inode = context.inode(ino);
    let (size, blocks) = extent(inode);
    let (sec, nsec) = (inode.mtime_sec as u64, u64::from(inode.mtime_nsec));
    let words = [
        pair(ANSWERED, 4096),
        if ino == 1 { ATTR_MOUNT_ROOT } else { 0 },
        pair(inode.nlink, inode.uid),
        pair(inode.gid, inode.mode & 0xffff),
        u64::from(ino),
        size,
        blocks,
        ATTR_MOUNT_ROOT,
        sec,
        nsec,
        0,
        0,
        sec,
        nsec,
        sec,
        nsec,
        device(inode.rdev),
        device(context.dev),
        context.mnt_id,
    ];
    put_all(buffer, &words, SIZE);
    Ok(0)
}

fn readlink(context: &Context, path: u64, buffer: u64, size: u64) -> Answer {
    // bufsiz is an int.
    let size = i64::from(size as i32);
    if size <= 0 {
        return Err(Miss);
    }
    let ino = match context.walk(path, false)? {
        Found::Error(e) => return Ok(e),
        Found::Inode(ino) => ino,
    };
    let inode = context.inode(ino);
    if inode.mode & S_IFMT != S_IFLNK {
        return Ok(EINVAL);
    }
    let len = if i64::from(inode.count) < size { u64::from(inode.count) } else { size as u64 };
    if size < 8 || len > PAGE {
        return Err(Miss);
    }
    probe_read(buffer)?;
    probe_read(buffer + 7)?;
    // The probe writes eight bytes; what the target does not cover is put back.
    // SAFETY: just probed.
    let before = unsafe { core::ptr::read_unaligned(buffer as *const u64) };
    probe_write(buffer)?;
    put(buffer, before);
    if len > 8 && (buffer + len - 1) / PAGE != buffer / PAGE {
        probe_write(buffer + len - 8)?;
    }
    let target = context.strings + u64::from(inode.first);
    let mut i = 0;
    while i < len {
        // SAFETY: probed.
        unsafe { core::ptr::write_volatile((buffer + i) as *mut u8, byte(target + i)) };
        i += 1;
    }
    Ok(len as i64)
}

fn access(context: &Context, path: u64, mode: u64, flags: u64) -> Answer {
    const R_OK_X_OK: u32 = 5;
    let mode = mode as u32;
    if mode & !R_OK_X_OK != 0 || flags & 0xffff_ffff & !AT_EACCESS != 0 {
        return Err(Miss);
    }
    let ino = match context.walk(path, true)? {
        Found::Error(e) => return Ok(e),
        Found::Inode(ino) => ino,
    };
    let wanted = mode | mode << 3 | mode << 6;
    if context.inode(ino).mode & wanted != wanted { Err(Miss) } else { Ok(0) }
}

// What the compiler calls for what is written as loops and copies.

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8 {
    // SAFETY: as for memset(3).
    unsafe {
        asm!("rep stosb", inout("rdi") to => _, inout("rcx") len => _, in("al") value as u8, options(nostack, preserves_flags));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: as for memcpy(3).
    unsafe {
        asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") len => _, options(nostack, preserves_flags));
    }
    to
}
