//! Guest memory: bytes in and out of a task's address space, always copied, never referenced.
//!
//! `process_vm_readv` honours page protections as the kernel's own copy_from_user does and needs no descriptor per task.
//! Where a host refuses it, `/proc/TID/mem` serves; that path writes through read-only mappings, which is a deviation
//! `carrack doctor` reports.

use crate::errno::Errno;
use crate::{bail, err};
use nix::errno::Errno as HostErrno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use std::io::{IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;

/// The memory of one host thread's address space.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    tid: i32,
}

impl Memory {
    /// `tid`: a thread that is stopped in a notification or under our trace for as long as this is used.
    pub fn of(tid: i32) -> Memory {
        Memory { tid }
    }

    /// Reads up to `buf.len()` bytes; fewer when memory ends. EFAULT when nothing at all can be read.
    pub fn read_some(&self, addr: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        if buf.is_empty() {
            return Ok(0);
        }
        let Ok(base) = usize::try_from(addr) else { bail!(EFAULT) };
        if base.checked_add(buf.len()).is_none() {
            bail!(EFAULT);
        }
        let len = buf.len();
        let remote = [RemoteIoVec { base, len }];
        match process_vm_readv(Pid::from_raw(self.tid), &mut [IoSliceMut::new(buf)], &remote) {
            Ok(0) => Err(err!(EFAULT)),
            Ok(n) => Ok(n),
            Err(HostErrno::EPERM | HostErrno::ENOSYS) => {
                let mem = std::fs::File::open(format!("/proc/{}/mem", self.tid))
                    .map_err(|_| err!(ESRCH, "guest is gone"))?;
                match mem.read_at(buf, addr) {
                    Ok(n) if n > 0 => Ok(n),
                    _ => Err(err!(EFAULT)),
                }
            }
            Err(HostErrno::ESRCH) => Err(err!(ESRCH, "guest is gone")),
            Err(_) => Err(err!(EFAULT)),
        }
    }

    /// Fills `buf` or gives EFAULT.
    pub fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < buf.len() {
            let at = addr.checked_add(done as u64).ok_or(err!(EFAULT))?;
            done += self.read_some(at, &mut buf[done..])?;
        }
        Ok(())
    }

    /// `len` bytes; the caller bounds `len`.
    pub fn read_vec(&self, addr: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; len];
        self.read(addr, &mut buf)?;
        Ok(buf)
    }

    /// A value of plain bytes.
    pub fn read_obj<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(&self, addr: u64) -> Result<T, Errno> {
        let mut value: T = bytemuck::Zeroable::zeroed();
        self.read(addr, bytemuck::bytes_of_mut(&mut value))?;
        Ok(value)
    }

    /// A NUL-terminated string of at most `max` bytes without the NUL. `None`: no NUL within `max + 1` bytes.
    pub fn read_cstr(&self, addr: u64, max: usize) -> Result<Option<Vec<u8>>, Errno> {
        let mut out: Vec<u8> = Vec::new();
        let mut at = addr;
        let mut chunk = [0u8; PAGE as usize];
        loop {
            // Up to the end of the page, so that a string at the end of a mapping is read whole.
            let room = (PAGE - at % PAGE) as usize;
            let want = room.min(max + 1 - out.len()).min(if out.is_empty() { 256 } else { room });
            let n = self.read_some(at, &mut chunk[..want])?;
            if let Some(nul) = chunk[..n].iter().position(|&b| b == 0) {
                out.extend_from_slice(&chunk[..nul]);
                return Ok(Some(out));
            }
            out.extend_from_slice(&chunk[..n]);
            if out.len() > max {
                return Ok(None);
            }
            at = at.checked_add(n as u64).ok_or(err!(EFAULT))?;
        }
    }

    /// Writes all of `bytes` or gives EFAULT (a prefix may have been written, as with copy_to_user).
    pub fn write(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < bytes.len() {
            let at = addr.checked_add(done as u64).ok_or(err!(EFAULT))?;
            let Ok(base) = usize::try_from(at) else { bail!(EFAULT) };
            let rest = &bytes[done..];
            if base.checked_add(rest.len()).is_none() {
                bail!(EFAULT);
            }
            let remote = [RemoteIoVec { base, len: rest.len() }];
            match process_vm_writev(Pid::from_raw(self.tid), &[IoSlice::new(rest)], &remote) {
                Ok(0) => bail!(EFAULT),
                Ok(n) => done += n,
                Err(HostErrno::EPERM | HostErrno::ENOSYS) => return self.write_forced(at, rest),
                Err(HostErrno::ESRCH) => return Err(err!(ESRCH, "guest is gone")),
                Err(_) => bail!(EFAULT),
            }
        }
        Ok(())
    }

    /// Writes through page protections (private copies of code pages): the stub's plan and stack.
    pub fn write_forced(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        let mem = std::fs::OpenOptions::new()
            .write(true)
            .open(format!("/proc/{}/mem", self.tid))
            .map_err(|_| err!(ESRCH, "guest memory cannot be opened"))?;
        mem.write_all_at(bytes, addr).map_err(|_| err!(EFAULT))
    }

    pub fn write_obj<T: bytemuck::NoUninit>(&self, addr: u64, value: &T) -> Result<(), Errno> {
        self.write(addr, bytemuck::bytes_of(value))
    }
}
