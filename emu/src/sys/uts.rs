//! What the system says of itself: uname, host name, sysinfo, clock adjustment.

use super::{Call, OK, Outcome, SysResult};
use crate::bail;
use crate::task::Caps;
use carrack_syscalls::arg::*;
use std::sync::atomic::Ordering;

/// `struct new_utsname`: six fields of 65 bytes.
const FIELD: usize = 65;

/// Parts of a personality(2).
const PER_MASK: u32 = 0xff;
const PER_LINUX32: u32 = 8;
const UNAME26: u32 = 0x0002_0000;

/// override_release(): 6.1.2-x is 2.6.61-x to programs that know no later number.
fn as_linux_2_6(release: &[u8]) -> Vec<u8> {
    let mut dots = 0;
    let numbers = release.iter().take_while(|c| {
        dots += i32::from(**c == b'.');
        dots < 3 && (c.is_ascii_digit() || **c == b'.')
    });
    let rest = &release[numbers.count()..];
    let minor = release.split(|c| *c == b'.').nth(1).unwrap_or_default();
    let minor = std::str::from_utf8(minor).ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    [format!("2.6.{}", minor.saturating_add(60)).as_bytes(), rest].concat()
}

pub(crate) fn uname(cx: &Call, buf: Out) -> SysResult {
    let host = rustix::system::uname();
    let uts = cx.kernel.uts.read().clone();
    let version = cx.kernel.spec.kernel_version.as_bytes();
    let release = if version.is_empty() { host.release().to_bytes() } else { version };
    let persona = cx.task.process.personality.load(Ordering::Relaxed);
    let old_release = if persona & UNAME26 != 0 { Some(as_linux_2_6(release)) } else { None };
    let release = old_release.as_deref().unwrap_or(release);
    let machine: &[u8] = if persona & PER_MASK == PER_LINUX32 { b"i686" } else { b"x86_64" };
    let domain: &[u8] = if uts.domainname.is_empty() { b"(none)" } else { &uts.domainname };
    let fields: [&[u8]; 6] = [b"Linux", &uts.nodename, release, host.version().to_bytes(), machine, domain];
    let mut out = [0u8; FIELD * 6];
    for (slot, text) in out.chunks_exact_mut(FIELD).zip(fields) {
        let n = text.len().min(FIELD - 1);
        slot[..n].copy_from_slice(&text[..n]);
    }
    cx.memory().write(buf.0.0, &out)?;
    OK
}

fn set_name(cx: &Call, name: In, len: Int) -> Result<Vec<u8>, crate::Errno> {
    if !cx.cred().capable(Caps::SYS_ADMIN) {
        bail!(EPERM);
    }
    if !(0..=64).contains(&len.0) {
        bail!(EINVAL);
    }
    cx.memory().read_vec(name.0.0, len.0 as usize)
}

pub(crate) fn sethostname(cx: &Call, name: In, len: Int) -> SysResult {
    let name = set_name(cx, name, len)?;
    cx.kernel.uts.write().nodename = name;
    OK
}

pub(crate) fn setdomainname(cx: &Call, name: In, len: Int) -> SysResult {
    let name = set_name(cx, name, len)?;
    cx.kernel.uts.write().domainname = name;
    OK
}

/// `struct sysinfo` on x86-64.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Sysinfo {
    uptime: i64,
    loads: [u64; 3],
    totalram: u64,
    freeram: u64,
    sharedram: u64,
    bufferram: u64,
    totalswap: u64,
    freeswap: u64,
    procs: u16,
    pad: u16,
    pad2: u32,
    totalhigh: u64,
    freehigh: u64,
    mem_unit: u32,
    tail: u32,
}

pub(crate) fn sysinfo(cx: &Call, info: Out) -> SysResult {
    let host = rustix::system::sysinfo();
    let unit = u64::from(host.mem_unit).max(1);
    let limit = cx.kernel.spec.memory_limit;
    let cap = |v: u64| if limit == 0 { v * unit } else { (v * unit).min(limit) };
    let out = Sysinfo {
        uptime: host.uptime,
        loads: host.loads,
        totalram: cap(host.totalram),
        freeram: cap(host.freeram),
        sharedram: cap(host.sharedram),
        bufferram: cap(host.bufferram),
        totalswap: host.totalswap * unit,
        freeswap: host.freeswap * unit,
        procs: cx.kernel.tasks.count().min(usize::from(u16::MAX)) as u16,
        pad: 0,
        pad2: 0,
        totalhigh: 0,
        freehigh: 0,
        mem_unit: 1,
        tail: 0,
    };
    cx.memory().write_obj(info.0.0, &out)?;
    OK
}

/// Reading the clock's state is everybody's; setting needs CAP_SYS_TIME, which no container has on a host of ours.
pub(crate) fn adjtimex(cx: &Call, buf: InOut) -> SysResult {
    let modes: u32 = cx.memory().read_obj(buf.0.0)?;
    if modes != 0 {
        bail!(EPERM);
    }
    // The host refuses whatever else the memory may say by then: its process has no CAP_SYS_TIME.
    Ok(Outcome::Continue)
}

pub(crate) fn clock_adjtime(cx: &Call, _clock: ClockId, buf: InOut) -> SysResult {
    adjtimex(cx, buf)
}

#[cfg(test)]
mod tests {
    #[test]
    fn releases_look_like_2_6() {
        assert_eq!(super::as_linux_2_6(b"6.1.2-foo.1"), b"2.6.61-foo.1");
        assert_eq!(super::as_linux_2_6(b"6.18.44"), b"2.6.78");
        assert_eq!(super::as_linux_2_6(b"odd"), b"2.6.60odd");
    }
}
