//! What rows are made of, and what their functions get to see.

use super::ProcFs;
use super::inode::ProcInode;
use super::subject::Subject;
use crate::control::NetworkMode;
use crate::err;
use crate::errno::{Errno, host, host_io};
use crate::kernel::Kernel;
use crate::task::Task;
use crate::vfs::anon::AnonInode;
use crate::vfs::{Path, d_path};
use rustix::fs::{Mode, OFlags};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// No text of the host's that is worked on is longer.
const MAX_TEXT: u64 = 64 << 20;

/// How a file comes about.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// A directory of nothing but its rows.
    Dir,
    /// `/proc/PID/fd`
    Fds,
    /// `/proc/PID/fdinfo`
    FdInfos,
    /// `/proc/PID/task`
    Tasks,
    /// A link with a text that is always the same.
    Target(&'static str),
    Link(fn(&View<'_>) -> Result<Vec<u8>, Errno>),
    /// A link to a place rather than to a path.
    Magic(fn(&View<'_>) -> Result<Path, Errno>),
    /// A namespace: the number that its link shows.
    Ns(u32),
    Text(&'static str),
    Make(fn(&View<'_>) -> Result<Vec<u8>, Errno>),
    /// Made from the host's text.
    Edit(fn(&View<'_>) -> Result<Vec<u8>, Errno>),
    /// Made when the function gives a text, else handed through.
    HostOr(fn(&View<'_>) -> Result<Option<Vec<u8>>, Errno>),
    /// The host's, handed through for reading.
    Host,
    /// The host's, handed through for writing too: it is about the task alone, and the host lets it do no more than to
    /// itself.
    HostRw,
    /// The host's network's, or with no network, this.
    Net(&'static str),
    /// A sysctl: of the container's description, else the host's, else this. Where it may be written, what was written is
    /// shown and does nothing.
    Sysctl(&'static str),
    /// What was written, or this; it does nothing.
    Kept(&'static str),
    /// Opening fails with this number.
    Refused(i32),
}

impl What {
    /// Whether the host's kernel was built with what this needs: the file `path` in its directory `dir`.
    pub(super) fn is_possible(&self, dir: &str, path: &str) -> bool {
        let needs_host = matches!(self, What::Host | What::HostRw | What::HostOr(_) | What::Edit(_));
        // These are a process's, not a thread's.
        let dir = if super::pid::only_of_processes(path) { "/proc/self" } else { dir };
        !needs_host || rustix::fs::lstat(format!("{dir}/{path}")).is_ok()
    }
}

/// One look at one file.
pub(super) struct View<'a> {
    pub(super) fs: &'a ProcFs,
    pub(super) kernel: Arc<Kernel>,
    /// Host thread id of who looks; 0 for the supervisor.
    pub(super) reader: i32,
    /// Path of the row.
    pub(super) path: &'static str,
    pub(super) subject: Option<&'a Subject>,
}

impl View<'_> {
    /// The process that is looked at. ENOENT in rows that are about none.
    pub(super) fn subject(&self) -> Result<&Subject, Errno> {
        self.subject.ok_or(err!(ENOENT))
    }

    /// The host's name for the file of this row.
    pub(super) fn host_path(&self) -> String {
        match self.subject {
            Some(subject) => format!("{}/{}", subject.host_dir(), self.path),
            None => format!("/proc/{}", self.path),
        }
    }

    /// Opens the host's file of this row, with flags of open(2).
    pub(super) fn open_host(&self, flags: i32) -> Result<OwnedFd, Errno> {
        const PASSED: i32 = libc::O_ACCMODE | libc::O_APPEND | libc::O_TRUNC | libc::O_NONBLOCK;
        let flags = OFlags::from_bits_retain((flags & PASSED) as u32) | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::open(self.host_path(), flags, Mode::empty()).map_err(host)
    }

    /// The text of the host's file of this row. ESRCH when the task has gone meanwhile.
    pub(super) fn host_text(&self) -> Result<Vec<u8>, Errno> {
        let file = std::fs::File::from(self.open_host(libc::O_RDONLY)?);
        let mut text = Vec::new();
        file.take(MAX_TEXT).read_to_end(&mut text).map_err(|e| host_io(&e))?;
        Ok(text)
    }

    /// The task that looks.
    pub(super) fn reader(&self) -> Option<Arc<Task>> {
        self.kernel.tasks.get(self.reader)
    }

    /// Where `/` is for who looks.
    pub(super) fn reader_root(&self) -> Path {
        self.reader().map_or_else(|| self.kernel.mounts.root(), |t| t.fs().root)
    }

    /// What a link to a place shows: its path seen from the reader's root, or the name of what is on no path.
    pub(super) fn text_of(&self, place: &Path) -> Vec<u8> {
        let any = place.inode.as_any();
        if let Some(anon) = any.downcast_ref::<AnonInode>() {
            return anon.name().to_vec();
        }
        match any.downcast_ref::<ProcInode>().and_then(ProcInode::namespace) {
            Some(text) => text,
            None => d_path(place, &self.reader_root()).for_proc(),
        }
    }

    pub(super) fn has_network(&self) -> bool {
        self.kernel.spec.network != NetworkMode::None
    }

    /// What uname(2) says: release and version.
    pub(super) fn release_and_version(&self) -> (String, String) {
        let host = rustix::system::uname();
        let release = match self.kernel.spec.kernel_version.as_str() {
            "" => host.release().to_string_lossy().into_owned(),
            set => set.to_owned(),
        };
        (release, host.version().to_string_lossy().into_owned())
    }
}
