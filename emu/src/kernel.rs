//! The container's kernel: everything that all its tasks share.

use crate::brand::Brand;
use crate::control::Spec;
use crate::platform::launch::{self, Launch, LaunchError, Launched};
use crate::platform::notify::Tree;
use crate::platform::stubfile::StubFile;
use crate::sys::block::Waiters;
use crate::sys::exec::PendingExecs;
use crate::task::{FsStruct, TaskTable};
use crate::trace::Trace;
use crate::vfs::MountNs;
use crate::vfs::ids::Ids;
use carrack_syscalls::SockFilter;
use parking_lot::RwLock;
use std::io;
use std::sync::Arc;

/// One per supervisor.
#[derive(Debug)]
pub struct Kernel {
    pub spec: Spec,
    pub mounts: MountNs,
    pub ids: Ids,
    pub tasks: Arc<TaskTable>,
    pub uts: RwLock<Uts>,
    /// Prints calls as they are made (`carrack trace`).
    pub trace: Option<Trace>,
    pub(crate) stub: StubFile,
    pub(crate) execs: PendingExecs,
    pub(crate) waiters: Arc<Waiters>,
    /// Names and owners of sockets.
    pub(crate) net: crate::sys::NetState,
    /// Where signal handlers without SA_RESTART return to; depends on the processor.
    pub(crate) signal_restorer: u64,
    /// What lets guests answer look-ups themselves.
    pub(crate) brand: Brand,
    filter: Vec<SockFilter>,
}

/// Names of uname(2) that can be set.
#[derive(Debug, Clone, Default)]
pub struct Uts {
    pub nodename: Vec<u8>,
    pub domainname: Vec<u8>,
}

impl Kernel {
    /// A kernel without tasks. Makes the stub and the thread that looks after blocked calls.
    pub fn new(spec: Spec, mounts: MountNs, ids: Ids, trace: Option<Trace>) -> io::Result<Arc<Kernel>> {
        let waiters = Arc::new(Waiters::default());
        waiters.start()?;
        let uts = Uts {
            nodename: spec.hostname.clone().into_bytes(),
            domainname: spec.domainname.clone().into_bytes(),
        };
        let kernel_version = parse_version(&spec.kernel_version);
        Ok(Arc::new(Kernel {
            stub: StubFile::new(&spec.container_dir)?,
            mounts,
            ids,
            tasks: Arc::new(TaskTable::default()),
            uts: RwLock::new(uts),
            trace,
            execs: PendingExecs::default(),
            waiters,
            net: Default::default(),
            brand: Brand::default(),
            signal_restorer: carrack_loader::stub::signal_restorer(),
            filter: carrack_syscalls::bpf::compile(&carrack_syscalls::bpf::FilterOptions { kernel_version }),
            spec,
        }))
    }

    /// Starts a process: init, or one that `exec` adds. Returns when its first program has been loaded.
    pub fn launch(self: &Arc<Self>, what: Launch) -> Result<Launched, LaunchError> {
        let host = |e: io::Error| LaunchError::Host(e.to_string());
        let embryo = launch::fork(&what, &self.filter)?;
        let fs = FsStruct { cwd: what.cwd, root: what.root, umask: what.umask };
        if self.tasks.insert_first(embryo.pid, what.cred, fs, what.is_init).is_none() {
            return Err(LaunchError::Host("the new process ended at once".into()));
        }
        let listener = embryo.listener.try_clone().map_err(host)?;
        Tree::serve(self.clone(), listener).map_err(host)?;
        embryo.go()
    }

    /// Largest number of tasks, 0 for none.
    pub(crate) fn pids_limit(&self) -> u64 {
        self.spec.pids_limit
    }
}

/// `6.1.0-x` as (6, 1).
fn parse_version(text: &str) -> Option<(u16, u16)> {
    let mut parts = text.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
