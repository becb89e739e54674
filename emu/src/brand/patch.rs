//! The brand's way into a process: its mappings, and the sites.

use super::{MEMFD_NAME, Published, THRESHOLD};
use crate::err;
use crate::errno::Errno;
use crate::platform::inject::Puppet;
use crate::platform::memory::Memory;
use crate::sys::{Call, Outcome, SysResult};
use crate::task::Process;
use carrack_loader::brand::{self, ANSWERED, BLOB_SIZE, IDENTITY, LOOKED_AT, MAGIC, PATCHED};
use rustix::fd::AsFd;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// Code that was looked at and cannot be changed is remembered, up to this many places.
const REFUSED_MAX: usize = 32;
/// A jump reaches 2 GiB; the region has to be well within that of the code that jumps to it.
const REACH: u64 = 1 << 30;
/// The page with the process's identity.
pub(super) const IDENTITY_SIZE: u64 = 4096;
/// Free room that is left on both sides of the region.
const GUARD: u64 = 1 << 20;

/// What was done to a process's memory. Copied at fork, forgotten at exec.
#[derive(Debug, Default, Clone)]
pub(crate) struct Branded {
    /// Where its region begins.
    region: Option<u64>,
    /// Where the page with its identity is.
    identity: Option<u64>,
    /// How often the identity was told.
    told: u32,
    sites: u64,
    refused: Vec<u64>,
    has_given_up: bool,
}

/// An identity that changes so often is not worth telling.
const TOLD_MAX: u32 = 64;

impl Branded {
    /// What the process was told about itself is about to be no longer so, or no longer so for all who run in its memory.
    /// `tid`: any thread of it that waits for us. False: it goes on with what it was told, because its memory cannot be
    /// written to.
    #[must_use]
    pub(crate) fn forget_identity(&self, tid: i32) -> bool {
        let (Some(region), Some(identity)) = (self.region, self.identity) else { return true };
        let memory = Memory::of(tid);
        // Who has unmapped the region will not look there.
        self.told == 0 || !is_there(memory, region) || memory.write_forced(identity, &[0; 4]).is_ok()
    }
}

/// After a call was handled and before it is answered: makes the next one from the same place need no answer, if that pays.
/// `true`: the call was answered on the way.
pub(crate) fn after_call(call: &Call, result: &SysResult) -> bool {
    let kernel = &call.kernel;
    if !ANSWERED.contains(&call.nr) || kernel.trace.is_some() || !kernel.brand.is_on() {
        return false;
    }
    let process = &call.task.process;
    let calls = process.lookups.fetch_add(1, Ordering::Relaxed);
    if calls < THRESHOLD {
        return false;
    }
    let result = match result {
        Ok(Outcome::Value(v)) => *v,
        Err(e) if (1..4096).contains(&e.code()) => -i64::from(e.code()),
        _ => return false,
    };
    // What children inherit may be about to change.
    process.settle();
    let Some(mut state) = process.branded.try_lock() else { return false };
    let returns_to = call.instruction_pointer;
    if state.has_given_up || state.refused.contains(&returns_to) {
        return false;
    }
    match patch(call, &mut state, result) {
        Ok(was_answered) => was_answered,
        Err(error) => {
            tracing::debug!(tid = call.tid(), ?error, "a process answers no look-ups itself");
            state.has_given_up = true;
            // A process that is gone needs no answer; one that is not waits for it.
            !call.door.still_there()
        }
    }
}

fn patch(call: &Call, state: &mut Branded, result: i64) -> Result<bool, Errno> {
    let returns_to = call.instruction_pointer;
    if IDENTITY.contains(&call.nr) && tell_identity(call, state)? {
        return Ok(false);
    }
    let mut code = [0u8; LOOKED_AT];
    let start = returns_to.checked_sub(LOOKED_AT as u64).ok_or(err!(EFAULT))?;
    let looks_right = call.memory().read(start, &mut code).is_ok() && brand::is_patchable(&code, call.nr);
    let maps = if looks_right { Maps::of(call.task.tgid) } else { None };
    let Some(home) = maps.as_ref().and_then(|m| m.program_text(returns_to - 1)) else {
        if state.refused.len() >= REFUSED_MAX {
            state.has_given_up = true;
        }
        state.refused.push(returns_to);
        return Ok(false);
    };
    let maps = maps.ok_or(err!(EFAULT))?;
    let process = &call.task.process;
    if process.shares_memory() || !has_one_thread(process) {
        // Perhaps later.
        process.lookups.store(0, Ordering::Relaxed);
        return Ok(false);
    }
    let Some(published) = call.kernel.brand.published(&call.kernel) else {
        state.has_given_up = true;
        return Ok(false);
    };
    let syscall = returns_to - 2;
    if let Some(region) = state.region.filter(|&at| is_there(call.memory(), at)) {
        add_site(call, state, region, syscall)?;
        return Ok(false);
    }
    let region =
        maps.room_near(&home, published.region_len()).ok_or(err!(ENOMEM, "no room near the code"))?;
    let index =
        published.index.file().and_then(|f| f.as_fd().try_clone_to_owned().ok()).ok_or(err!(ENFILE))?;
    let blob = call.door.add_fd(&published.blob, true)?;
    // There may have been room for one only; that one is to be closed again too.
    let index = call.door.add_fd(&index, true);
    let mut puppet = Puppet::stop(&call.task, &*call.door)?;
    let mapped = match &index {
        Ok(index) => map(&mut puppet, published, region, blob as u64, *index as u64),
        Err(error) => Err(*error),
    };
    for fd in [blob].into_iter().chain(index) {
        puppet.call(libc::SYS_close, [fd as u64, 0, 0, 0, 0, 0])?;
    }
    // From here on the call counts as answered: it returns whatever becomes of the brand.
    let made = mapped.and_then(|()| {
        let identity = region + published.region_len() - IDENTITY_SIZE;
        write_context(call, published, region, identity)?;
        (state.region, state.identity, state.sites, state.told) = (Some(region), Some(identity), 0, 0);
        add_site(call, state, region, syscall)
    });
    if let Err(error) = made {
        tracing::debug!(tid = call.tid(), ?error, "the brand could not be put into a process");
        state.has_given_up = true;
    }
    puppet.finish(result)?;
    Ok(true)
}

/// Writes down who the process is, where it has a region. True: that is all there was to do, the site is one already.
fn tell_identity(call: &Call, state: &mut Branded) -> Result<bool, Errno> {
    let Some(at) =
        state.identity.filter(|_| state.region.is_some_and(|region| is_there(call.memory(), region)))
    else {
        return Ok(false);
    };
    let process = &call.task.process;
    let mut jump = [0u8; PATCHED];
    let syscall = call.instruction_pointer.wrapping_sub(2);
    let is_site =
        call.memory().read(syscall.wrapping_sub(PATCHED as u64), &mut jump).is_ok() && jump[0] == 0xe9;
    if state.told >= TOLD_MAX || process.shares_memory() || !has_one_thread(process) {
        process.lookups.store(0, Ordering::Relaxed);
        return Ok(is_site);
    }
    state.told += 1;
    let cred = call.cred();
    let pid = call.kernel.tasks.guest_pid(call.task.tgid) as u32;
    let words = [1, pid, cred.uid, cred.euid, cred.gid, cred.egid];
    call.memory().write(at, bytemuck::cast_slice(&words))?;
    Ok(is_site)
}

/// Makes the four mappings, or none.
fn map(puppet: &mut Puppet<'_>, of: &Published, region: u64, blob: u64, index: u64) -> Result<(), Errno> {
    let (private, shared) = (libc::MAP_PRIVATE, libc::MAP_SHARED);
    let read = libc::PROT_READ;
    let marks = region + BLOB_SIZE;
    let index_at = marks + of.marks.len();
    let identity = index_at + of.index_len;
    let (own, none) = (private | libc::MAP_ANONYMOUS, u64::MAX);
    let mappings = [
        (region, BLOB_SIZE, read | libc::PROT_EXEC, private, blob, 0),
        (marks, of.marks.len(), read, shared, blob, BLOB_SIZE),
        (index_at, of.index_len, read, shared, index, 0),
        (identity, IDENTITY_SIZE, read | libc::PROT_WRITE, own, none, 0),
    ];
    for (at, len, prot, kind, fd, offset) in mappings {
        let flags = (kind | libc::MAP_FIXED_NOREPLACE) as u64;
        let got = puppet.call(libc::SYS_mmap, [at, len, prot as u64, flags, fd, offset])?;
        if got as u64 != at {
            // Hosts before 4.17 take the address as a hint; what they gave instead goes too.
            for (gone, len) in [(region, at - region), (got as u64, if got < 0 { 0 } else { len })] {
                if len != 0 {
                    puppet.call(libc::SYS_munmap, [gone, len, 0, 0, 0, 0])?;
                }
            }
            return Err(err!(ENOMEM, "the region cannot be mapped"));
        }
    }
    let advice = libc::MADV_WIPEONFORK as u64;
    if puppet.call(libc::SYS_madvise, [identity, IDENTITY_SIZE, advice, 0, 0, 0])? != 0 {
        puppet.call(libc::SYS_munmap, [region, identity + IDENTITY_SIZE - region, 0, 0, 0, 0])?;
        return Err(err!(EINVAL, "the host cannot wipe a page at fork"));
    }
    Ok(())
}

fn write_context(call: &Call, of: &Published, region: u64, identity: u64) -> Result<(), Errno> {
    let marks = region + BLOB_SIZE;
    let index = marks + of.marks.len();
    let sections = of.index.sections().ok_or(err!(EIO))?;
    // As `brand::Context` has them.
    let words = [
        MAGIC,
        index + sections.inodes,
        index + sections.dirents,
        index + sections.strings,
        marks,
        of.dev,
        u64::from(of.mnt_id),
        identity,
    ];
    const _: () = assert!(size_of::<brand::Context>() == size_of::<[u64; 8]>());
    call.memory().write_forced(region, bytemuck::cast_slice(&words))
}

/// Whether the region is where it was put: a process may unmap what it does not know.
fn is_there(memory: Memory, region: u64) -> bool {
    memory.read_obj::<u64>(region).is_ok_and(|word| word == MAGIC)
}

/// Writes a site, then the jump to it.
fn add_site(call: &Call, state: &mut Branded, region: u64, syscall: u64) -> Result<(), Errno> {
    let (at, code) =
        brand::site(region, state.sites, syscall, call.nr).ok_or(err!(ENOSPC, "no more sites"))?;
    let from = syscall - PATCHED as u64;
    let jump = brand::jump(from, at).ok_or(err!(ERANGE, "the site is too far away"))?;
    state.sites += 1;
    call.memory().write_forced(at, &code)?;
    call.memory().write_forced(from, &jump)
}

/// Whether nobody runs in a process's memory but the thread that waits for us.
fn has_one_thread(process: &Process) -> bool {
    std::fs::read_dir(format!("/proc/{}/task", process.tgid)).is_ok_and(|threads| threads.count() == 1)
}

/// A process's mappings, in order.
struct Maps(Vec<Mapping>);

struct Mapping {
    range: Range<u64>,
    /// `r-xp` of a file.
    is_text: bool,
}

impl Maps {
    fn of(tgid: i32) -> Option<Maps> {
        Some(Maps::parse(&std::fs::read_to_string(format!("/proc/{tgid}/maps")).ok()?))
    }

    fn parse(text: &str) -> Maps {
        let parse = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let hex = |s| u64::from_str_radix(s, 16).ok();
            let range = hex(start)?..hex(end)?;
            let is_readable_text = words.next()? == "r-xp";
            let is_file = words.nth(2)? != "0";
            let is_brand = words.next().is_some_and(|name| name.contains(MEMFD_NAME));
            Some(Mapping { range, is_text: is_readable_text && is_file && !is_brand })
        };
        Maps(text.lines().filter_map(parse).collect())
    }

    /// The mapping of `at`, if that is a program's code that nobody else's writes reach and nobody writes to.
    fn program_text(&self, at: u64) -> Option<Range<u64>> {
        let mapping = self.0.iter().find(|m| m.range.contains(&at))?;
        mapping.is_text.then(|| mapping.range.clone())
    }

    /// The highest free room for `len` bytes below `home`, within reach of it and clear of its neighbours (a stack and a heap
    /// grow).
    fn room_near(&self, home: &Range<u64>, len: u64) -> Option<u64> {
        let lowest = home.end.saturating_sub(REACH).max(1 << 20);
        let mut above = home.start;
        for mapping in self.0.iter().rev().filter(|m| m.range.end <= home.start) {
            if let Some(at) = fits(mapping.range.end.max(lowest), above, len) {
                return Some(at);
            }
            above = mapping.range.start;
        }
        fits(lowest, above, len).or_else(|| self.room_above(home, len))
    }

    /// For programs at low addresses: as far above as a jump reaches, so that the heap has room to grow.
    fn room_above(&self, home: &Range<u64>, len: u64) -> Option<u64> {
        let at = home.end.checked_add(REACH)? & !0xfff;
        let wanted = at.saturating_sub(GUARD)..at.checked_add(len)?.checked_add(GUARD)?;
        let is_free = |m: &Mapping| m.range.end <= wanted.start || m.range.start >= wanted.end;
        self.0.iter().all(is_free).then_some(at)
    }
}

/// Where `len` bytes lie just below `high`, with a guard above and below, in what is free from `low`.
fn fits(low: u64, high: u64, len: u64) -> Option<u64> {
    let at = high.checked_sub(len)?.checked_sub(GUARD)? & !0xfff;
    (at >= low.checked_add(GUARD)?).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
555555554000-555555560000 r-xp 00000000 fe:00 1234 /bin/x
555555570000-555555591000 rw-p 00000000 00:00 0 [heap]
7ffff7a00000-7ffff7a28000 r--p 00000000 fe:00 99 /lib/libc.so.6
7ffff7a28000-7ffff7bbd000 r-xp 00028000 fe:00 99 /lib/libc.so.6
7ffff7bbd000-7ffff7c00000 rwxp 00000000 fe:00 99 /lib/libc.so.6
7ffff7d00000-7ffff7d01000 r-xs 00000000 fe:00 99 /lib/shared
7ffff7e00000-7ffff7e03000 r-xp 00000000 00:01 7 /memfd:carrack-brand (deleted)
7ffff7f00000-7ffff7f01000 r-xp 00000000 00:00 0 [vdso]
7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]
";

    #[test]
    fn only_private_code_of_files_is_changed() {
        let maps = Maps::parse(TEXT);
        assert_eq!(maps.program_text(0x7ffff7a28000), Some(0x7ffff7a28000..0x7ffff7bbd000));
        assert_eq!(maps.program_text(0x555555554010), Some(0x555555554000..0x555555560000));
        for at in [0x7ffff7a00000, 0x7ffff7bbd000, 0x7ffff7d00000, 0x7ffff7e00010, 0x7ffff7f00000, 0x1000] {
            assert_eq!(maps.program_text(at), None, "{at:x}");
        }
    }

    #[test]
    fn the_region_is_near_and_clear_of_neighbours() {
        let maps = Maps::parse(TEXT);
        let home = 0x7ffff7a28000..0x7ffff7bbd000;
        let len = 0x40_0000;
        let at = maps.room_near(&home, len).unwrap();
        assert_eq!(at, 0x7ffff7a00000 - len - GUARD);
        // Below the program there is room too, but the heap of others is not squeezed: nothing between text and heap.
        let at = maps.room_near(&(0x555555554000..0x555555560000), len).unwrap();
        assert!(at + len + GUARD <= 0x555555554000);
        // No room below a program at a low address.
        let maps = Maps::parse("401000-402000 r-xp 00000000 fe:00 1234 /bin/x\n");
        assert_eq!(maps.room_near(&(0x401000..0x402000), len), Some(0x402000 + REACH));
    }
}
