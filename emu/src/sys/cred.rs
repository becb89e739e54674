//! Credentials: get*id, set*id, groups, capget, capset. They live in the supervisor alone; credentials(7), capabilities(7).

use super::{Call, OK, SysResult, value};
use crate::errno::Errno;
use crate::task::{Caps, Cred};
use crate::{bail, err};
use carrack_syscalls::arg::*;

const NONE: u32 = u32::MAX;

pub(crate) fn getuid(cx: &Call) -> SysResult {
    value(cx.cred().uid)
}

pub(crate) fn geteuid(cx: &Call) -> SysResult {
    value(cx.cred().euid)
}

pub(crate) fn getgid(cx: &Call) -> SysResult {
    value(cx.cred().gid)
}

pub(crate) fn getegid(cx: &Call) -> SysResult {
    value(cx.cred().egid)
}

fn write3(cx: &Call, to: [IntPtr; 3], ids: [u32; 3]) -> SysResult {
    for (addr, id) in to.into_iter().zip(ids) {
        cx.memory().write_obj(addr.0.0, &id)?;
    }
    OK
}

pub(crate) fn getresuid(cx: &Call, r: IntPtr, e: IntPtr, s: IntPtr) -> SysResult {
    let c = cx.cred();
    write3(cx, [r, e, s], [c.uid, c.euid, c.suid])
}

pub(crate) fn getresgid(cx: &Call, r: IntPtr, e: IntPtr, s: IntPtr) -> SysResult {
    let c = cx.cred();
    write3(cx, [r, e, s], [c.gid, c.egid, c.sgid])
}

/// cap_emulate_setxuid(): capabilities follow the user ids, unless securebits say otherwise.
fn after_uid_change(old: &Cred, new: &mut Cred) {
    const NO_SETUID_FIXUP: u32 = 1 << 2;
    const KEEP_CAPS: u32 = 1 << 4;
    if new.securebits & NO_SETUID_FIXUP != 0 {
        return;
    }
    let had_root = [old.uid, old.euid, old.suid].contains(&0);
    let has_root = [new.uid, new.euid, new.suid].contains(&0);
    if had_root && !has_root {
        if new.securebits & KEEP_CAPS == 0 {
            new.permitted = Caps::empty();
            new.effective = Caps::empty();
        }
        new.ambient = Caps::empty();
    }
    if old.euid == 0 && new.euid != 0 {
        new.effective = Caps::empty();
    }
    if old.euid != 0 && new.euid == 0 {
        new.effective = new.permitted;
    }
}

fn commit_uid(cx: &Call, mut new: Cred) -> SysResult {
    let old = cx.cred();
    new.fsuid = new.euid;
    after_uid_change(&old, &mut new);
    if old.euid != new.euid {
        cx.task.process.dumpable.store(0, std::sync::atomic::Ordering::Relaxed);
    }
    cx.task.set_cred(new);
    OK
}

fn commit_gid(cx: &Call, mut new: Cred) -> SysResult {
    new.fsgid = new.egid;
    cx.task.set_cred(new);
    OK
}

pub(crate) fn setuid(cx: &Call, uid: Uid) -> SysResult {
    let (c, uid) = (cx.cred(), uid.0);
    if uid == NONE {
        bail!(EINVAL);
    }
    let mut new = (*c).clone();
    if c.capable(Caps::SETUID) {
        (new.uid, new.suid) = (uid, uid);
    } else if uid != c.uid && uid != c.suid {
        bail!(EPERM);
    }
    new.euid = uid;
    commit_uid(cx, new)
}

pub(crate) fn setgid(cx: &Call, gid: Gid) -> SysResult {
    let (c, gid) = (cx.cred(), gid.0);
    if gid == NONE {
        bail!(EINVAL);
    }
    let mut new = (*c).clone();
    if c.capable(Caps::SETGID) {
        (new.gid, new.sgid) = (gid, gid);
    } else if gid != c.gid && gid != c.sgid {
        bail!(EPERM);
    }
    new.egid = gid;
    commit_gid(cx, new)
}

pub(crate) fn setreuid(cx: &Call, ruid: Uid, euid: Uid) -> SysResult {
    let (c, r, e) = (cx.cred(), ruid.0, euid.0);
    let capable = c.capable(Caps::SETUID);
    let mut new = (*c).clone();
    if r != NONE {
        if r != c.uid && r != c.euid && !capable {
            bail!(EPERM);
        }
        new.uid = r;
    }
    if e != NONE {
        if ![c.uid, c.euid, c.suid].contains(&e) && !capable {
            bail!(EPERM);
        }
        new.euid = e;
    }
    if r != NONE || (e != NONE && e != c.uid) {
        new.suid = new.euid;
    }
    commit_uid(cx, new)
}

pub(crate) fn setregid(cx: &Call, rgid: Gid, egid: Gid) -> SysResult {
    let (c, r, e) = (cx.cred(), rgid.0, egid.0);
    let capable = c.capable(Caps::SETGID);
    let mut new = (*c).clone();
    if r != NONE {
        if r != c.gid && r != c.egid && !capable {
            bail!(EPERM);
        }
        new.gid = r;
    }
    if e != NONE {
        if ![c.gid, c.egid, c.sgid].contains(&e) && !capable {
            bail!(EPERM);
        }
        new.egid = e;
    }
    if r != NONE || (e != NONE && e != c.gid) {
        new.sgid = new.egid;
    }
    commit_gid(cx, new)
}

pub(crate) fn setresuid(cx: &Call, ruid: Uid, euid: Uid, suid: Uid) -> SysResult {
    let c = cx.cred();
    let have = [c.uid, c.euid, c.suid];
    let want = [ruid.0, euid.0, suid.0];
    if !c.capable(Caps::SETUID) && want.iter().any(|id| *id != NONE && !have.contains(id)) {
        bail!(EPERM);
    }
    let mut new = (*c).clone();
    for (slot, id) in [&mut new.uid, &mut new.euid, &mut new.suid].into_iter().zip(want) {
        if id != NONE {
            *slot = id;
        }
    }
    commit_uid(cx, new)
}

pub(crate) fn setresgid(cx: &Call, rgid: Gid, egid: Gid, sgid: Gid) -> SysResult {
    let c = cx.cred();
    let have = [c.gid, c.egid, c.sgid];
    let want = [rgid.0, egid.0, sgid.0];
    if !c.capable(Caps::SETGID) && want.iter().any(|id| *id != NONE && !have.contains(id)) {
        bail!(EPERM);
    }
    let mut new = (*c).clone();
    for (slot, id) in [&mut new.gid, &mut new.egid, &mut new.sgid].into_iter().zip(want) {
        if id != NONE {
            *slot = id;
        }
    }
    commit_gid(cx, new)
}

pub(crate) fn setfsuid(cx: &Call, uid: Uid) -> SysResult {
    /// Capabilities that go and come with a file system user id of 0.
    const FS_CAPS: Caps = Caps::CHOWN
        .union(Caps::MKNOD)
        .union(Caps::DAC_OVERRIDE)
        .union(Caps::DAC_READ_SEARCH)
        .union(Caps::FOWNER)
        .union(Caps::FSETID)
        .union(Caps::LINUX_IMMUTABLE)
        .union(Caps::MAC_OVERRIDE);
    let c = cx.cred();
    let may = [c.uid, c.euid, c.suid, c.fsuid].contains(&uid.0) || c.capable(Caps::SETUID);
    if uid.0 != NONE && uid.0 != c.fsuid && may {
        let mut new = (*c).clone();
        new.fsuid = uid.0;
        if c.fsuid == 0 {
            new.effective -= FS_CAPS;
        } else if uid.0 == 0 {
            new.effective |= new.permitted & FS_CAPS;
        }
        cx.task.set_cred(new);
    }
    value(c.fsuid)
}

pub(crate) fn setfsgid(cx: &Call, gid: Gid) -> SysResult {
    let c = cx.cred();
    let may = [c.gid, c.egid, c.sgid, c.fsgid].contains(&gid.0) || c.capable(Caps::SETGID);
    if gid.0 != NONE && gid.0 != c.fsgid && may {
        let mut new = (*c).clone();
        new.fsgid = gid.0;
        cx.task.set_cred(new);
    }
    value(c.fsgid)
}

/// NGROUPS_MAX.
const MAX_GROUPS: i32 = 65536;

pub(crate) fn getgroups(cx: &Call, size: Int, list: Out) -> SysResult {
    let c = cx.cred();
    let n = c.groups.len() as i32;
    if size.0 < 0 || (size.0 != 0 && size.0 < n) {
        bail!(EINVAL);
    }
    // Without groups nothing is written, wherever the list is.
    if size.0 != 0 && n != 0 {
        cx.memory().write(list.0.0, bytemuck::cast_slice(&c.groups))?;
    }
    value(n)
}

pub(crate) fn setgroups(cx: &Call, size: Int, list: Ptr) -> SysResult {
    let c = cx.cred();
    if !c.capable(Caps::SETGID) {
        bail!(EPERM);
    }
    if !(0..=MAX_GROUPS).contains(&size.0) {
        bail!(EINVAL);
    }
    let mut groups = vec![0u32; size.0 as usize];
    cx.memory().read(list.0.0, bytemuck::cast_slice_mut(&mut groups))?;
    groups.sort_unstable();
    cx.task.set_cred(Cred { groups, ..(*c).clone() });
    OK
}

const V1: u32 = 0x1998_0330;
const V2: u32 = 0x2007_1026;
const V3: u32 = 0x2008_0522;

/// Number of 32-bit halves that a version has. An unknown version gets the newest written back and EINVAL, or 0 for a probe
/// without data.
fn version(cx: &Call, header: u64) -> Result<(usize, i32), Errno> {
    let [v, pid]: [u32; 2] = cx.memory().read_obj(header)?;
    match v {
        V1 => Ok((1, pid as i32)),
        V2 | V3 => Ok((2, pid as i32)),
        _ => {
            cx.memory().write_obj(header, &V3)?;
            bail!(EINVAL)
        }
    }
}

pub(crate) fn capget(cx: &Call, header: InOut, data: Out) -> SysResult {
    let (halves, pid) = match version(cx, header.0.0) {
        Err(e) if e == err!(EINVAL) && data.0.is_null() => return OK,
        other => other?,
    };
    if pid < 0 {
        bail!(EINVAL);
    }
    let cred = if pid == 0 {
        cx.cred()
    } else {
        let target = cx.kernel.tasks.resolve(cx.kernel.tasks.host_pid(pid)).ok_or(err!(ESRCH))?;
        cx.kernel.tasks.any_task_of(target.tgid).ok_or(err!(ESRCH))?.cred()
    };
    if data.0.is_null() {
        return OK;
    }
    let mut out = Vec::with_capacity(6);
    for half in 0..halves {
        for set in [cred.effective, cred.permitted, cred.inheritable] {
            out.push((set.bits() >> (32 * half)) as u32);
        }
    }
    cx.memory().write(data.0.0, bytemuck::cast_slice(&out))?;
    OK
}

pub(crate) fn capset(cx: &Call, header: InOut, data: Ptr) -> SysResult {
    let (halves, pid) = version(cx, header.0.0)?;
    if pid != 0 && cx.kernel.tasks.host_pid(pid) != cx.tid() {
        bail!(EPERM);
    }
    let mut words = [0u32; 6];
    cx.memory().read(data.0.0, bytemuck::cast_slice_mut(&mut words[..3 * halves]))?;
    let set = |i: usize| Caps::from_bits_truncate(u64::from(words[i]) | u64::from(words[i + 3]) << 32);
    let (effective, permitted, inheritable) = (set(0), set(1), set(2));
    let c = cx.cred();
    let wider = c.inheritable | c.permitted;
    if !c.capable(Caps::SETPCAP) && !wider.contains(inheritable) {
        bail!(EPERM);
    }
    if !(c.inheritable | c.bounding).contains(inheritable)
        || !c.permitted.contains(permitted)
        || !permitted.contains(effective)
    {
        bail!(EPERM);
    }
    let ambient = c.ambient & permitted & inheritable;
    cx.task.set_cred(Cred { effective, permitted, inheritable, ambient, ..(*c).clone() });
    OK
}
