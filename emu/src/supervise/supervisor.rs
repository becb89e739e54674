//! The supervisor of one container: what its threads share, and how it comes up and ends.

use super::exec::{self, Job};
use super::log::LogWriter;
use super::reactor::{Command, Handle, Reactor, Started};
use super::rootfs::Rootfs;
use super::state::{self, StateStore};
use super::stream::Wants;
use super::{Failure, Mode, Options, guardian, limits, rootfs, server, signals, stdio};
use crate::control::{Client, ErrorKind, ExecSpec, ExecState, Request, Spec, Status};
use crate::kernel::Kernel;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::fs::FlockOperation;
use rustix::process::{PidfdFlags, pidfd_open};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A supervisor of files ends after this long without a connection.
const FILES_IDLE: Duration = Duration::from_secs(2);

/// Shared by the reactor, the workers and, through the kernel, the receivers.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) spec: Spec,
    pub(super) mode: Mode,
    pub(super) kernel: Arc<Kernel>,
    pub(super) rootfs: Rootfs,
    pub(super) state: StateStore,
    pub(super) reactor: Handle,
    pub(super) usage: limits::Usage,
    /// Open files that guests may have: soft, hard.
    nofile: (u64, u64),
    terminals: Mutex<Terminals>,
    is_started: AtomicBool,
    is_ending: AtomicBool,
    was_oom_killed: AtomicBool,
    /// Held while this process may write to the container's directory.
    lock: Mutex<Option<File>>,
    /// Connections being served, and when the last one ended (milliseconds since `born`).
    pub(super) active: AtomicUsize,
    last_use: AtomicI64,
    born: Instant,
}

/// Masters of terminals, and sizes asked for before there was one. Init's key is the empty string.
#[derive(Debug, Default)]
struct Terminals {
    masters: HashMap<String, Arc<OwnedFd>>,
    sizes: HashMap<String, (u16, u16)>,
}

/// Runs a supervisor in this process until its work is done.
pub(super) fn run(spec: Spec, mode: Mode, options: Options) -> Result<(), Failure> {
    let guardian = match mode {
        Mode::Run => rustix::process::getppid().and_then(|p| pidfd_open(p, PidfdFlags::empty()).ok()),
        Mode::Files => None,
    };
    let nofile = limits::raise_nofile();
    let children = watch_children();
    make_run_dir(&spec)?;
    let lock = take_lock(&spec, mode)?;
    let handle = Handle::new().map_err(|e| Failure::host("eventfd", e))?;
    let rootfs = rootfs::build(&spec, options)?;
    let state = StateStore::new(&spec.container_dir, handle.clone());
    let supervisor = Arc::new(Supervisor {
        mode,
        kernel: rootfs.kernel.clone(),
        rootfs,
        state,
        reactor: handle.clone(),
        usage: limits::Usage::default(),
        nofile,
        terminals: Mutex::default(),
        is_started: AtomicBool::new(false),
        is_ending: AtomicBool::new(false),
        was_oom_killed: AtomicBool::new(false),
        lock: Mutex::new(Some(lock)),
        active: AtomicUsize::new(0),
        last_use: AtomicI64::new(0),
        born: Instant::now(),
        spec,
    });
    let dir = &supervisor.spec.container_dir;
    let mut reactor = None;
    if mode == Mode::Run {
        supervisor.state.write_first().map_err(|e| Failure::host("cannot write state.json", e))?;
        let log = LogWriter::open(dir, &supervisor.spec.log)
            .map_err(|e| Failure::host("cannot open the log", e))?;
        let mut r = Reactor::new(supervisor.clone(), handle, log);
        r.watch(children, guardian);
        reactor = Some(r);
    }
    server::listen(&supervisor)?;
    ready();
    match reactor {
        Some(mut reactor) => reactor.run(),
        None => supervisor.wait_until_idle(),
    }
    Ok(())
}

/// Tells the starter that the control socket is there, and lets go of its pipe.
fn ready() {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(b"ready\n").and_then(|()| out.flush());
    guardian::point_at_null(&[0, 1]);
}

/// SIGCHLD becomes readable; ptrace stops of guests send none.
fn watch_children() -> Option<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set.thread_block().ok()?;
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::SA_NOCLDSTOP, SigSet::empty());
    // SAFETY: the default action is no code of ours.
    unsafe { nix::sys::signal::sigaction(Signal::SIGCHLD, &default) }.ok()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).ok()
}

fn make_run_dir(spec: &Spec) -> Result<(), Failure> {
    for sub in ["", "p", "s"] {
        let dir = spec.run_dir.join(sub);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|e| Failure::host(&format!("cannot make {}", dir.display()), e))?;
    }
    Ok(())
}

/// One process at a time works on a container's files. A supervisor of files makes way for one that runs the container.
fn take_lock(spec: &Spec, mode: Mode) -> Result<File, Failure> {
    let path = spec.container_dir.join("lock");
    let fail = |e: &dyn std::fmt::Display| Failure::host(&format!("cannot lock {}", path.display()), e);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| fail(&e))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut has_asked = false;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(e) => return Err(fail(&e)),
        }
        let mut holder = String::new();
        let _ = File::open(&path).and_then(|f| f.take(16).read_to_string(&mut holder));
        if holder.trim() == "run" || mode == Mode::Files {
            return Err(Failure::new(ErrorKind::Conflict, "the container already has a supervisor"));
        }
        if Instant::now() > deadline {
            return Err(Failure::new(ErrorKind::Conflict, "the container's files are in use"));
        }
        if !has_asked {
            has_asked = true;
            if let Ok(mut client) = Client::connect(&spec.run_dir.join("control.sock")) {
                let _ = client.call(&Request::Shutdown);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let text = if mode == Mode::Run { "run\n" } else { "files\n" };
    file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(|e| fail(&e))?;
    Ok(file)
}

impl Supervisor {
    /// Short id, as messages have it.
    fn short_id(&self) -> &str {
        self.spec.id.get(..12).unwrap_or(&self.spec.id)
    }

    /// Starts init. The caller answers its client before it tells the reactor of a failure.
    pub(super) fn start(&self) -> Result<(), Failure> {
        if self.is_started.swap(true, Ordering::AcqRel) {
            return Err(Failure::new(ErrorKind::Conflict, "the container was started already"));
        }
        let size = self.terminals.lock().sizes.get("").copied().or(self.spec.console_size);
        let rlimits = exec::rlimits(&self.spec, self.nofile)?;
        let job = Job::init(&self.kernel, &self.spec, size)?;
        let (launched, streams) = job.launch(&self.rootfs, rlimits)?;
        self.remember_terminal("", &streams);
        self.state.update(|s| {
            s.status = Status::Running;
            s.pid = launched.pid;
            s.started_at = state::now();
        });
        let (pid, pidfd) = (launched.pid, launched.pidfd);
        self.reactor.send(Command::Started(Box::new(Started {
            exec: None,
            pid,
            pidfd,
            streams,
            client: None,
        })));
        Ok(())
    }

    /// Writes down why init could not be started.
    pub(super) fn fail_start(&self, failure: &Failure) {
        let code = exec::exit_code(failure);
        self.state.update(|s| s.error = failure.message.clone());
        self.reactor.send(Command::StartFailed { code });
    }

    fn check_running(&self) -> Result<(), Failure> {
        let conflict = |text: String| Err(Failure::new(ErrorKind::Conflict, text));
        match self.state.status() {
            Status::Running if !self.is_ending.load(Ordering::Acquire) => Ok(()),
            Status::Paused => conflict(format!(
                "Container {} is paused, unpause the container before exec",
                self.short_id()
            )),
            _ => conflict(format!("container {} is not running", self.spec.id)),
        }
    }

    /// Prepares an exec; its id.
    pub(super) fn add_exec(&self, spec: ExecSpec) -> Result<String, Failure> {
        self.check_running()?;
        exec::check(&self.kernel, &self.spec, &spec)?;
        let mut random = [0u8; 32];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Failure::host("getrandom", e))?;
        let id: String = random.iter().map(|b| format!("{b:02x}")).collect();
        self.state.add_exec(ExecState { id: id.clone(), spec, ..ExecState::default() });
        Ok(id)
    }

    /// Starts a prepared exec. With `conn`, its streams go there; on failure the connection comes back.
    pub(super) fn start_exec(
        &self,
        id: &str,
        conn: Option<UnixStream>,
    ) -> Result<(), (Failure, Option<UnixStream>)> {
        let claimed = self.check_running().and_then(|()| {
            self.state
                .update_exec(id, |e| {
                    if e.running {
                        return Err(Failure::new(
                            ErrorKind::Conflict,
                            format!("exec command {id} is already running"),
                        ));
                    }
                    if e.exit_code.is_some() {
                        return Err(Failure::new(
                            ErrorKind::Conflict,
                            format!("exec command {id} has already run"),
                        ));
                    }
                    e.running = true;
                    Ok(e.spec.clone())
                })
                .unwrap_or_else(|| Err(exec::no_such_exec(id)))
        });
        let spec = match claimed {
            Ok(spec) => spec,
            Err(failure) => return Err((failure, conn)),
        };
        let size = self.terminals.lock().sizes.get(id).copied().or(spec.console_size);
        let launched = exec::rlimits(&self.spec, self.nofile).and_then(|rlimits| {
            Job::exec(&self.kernel, &self.spec, &spec, size, conn.is_some())?.launch(&self.rootfs, rlimits)
        });
        let (launched, streams) = match launched {
            Ok(launched) => launched,
            Err(failure) => {
                self.state.update_exec(id, |e| {
                    e.running = false;
                    e.exit_code = Some(exec::exit_code(&failure));
                });
                return Err((failure, conn));
            }
        };
        self.remember_terminal(id, &streams);
        self.state.update_exec(id, |e| e.pid = launched.pid);
        let wants = Wants {
            stdin: spec.stdin,
            output: if spec.tty { [spec.stdout || spec.stderr, false] } else { [spec.stdout, spec.stderr] },
        };
        let (pid, pidfd) = (launched.pid, launched.pidfd);
        let client = conn.map(|c| (c, wants));
        self.reactor.send(Command::Started(Box::new(Started {
            exec: Some(id.to_owned()),
            pid,
            pidfd,
            streams,
            client,
        })));
        Ok(())
    }

    fn remember_terminal(&self, key: &str, streams: &stdio::Streams) {
        if let Some(master) = &streams.terminal {
            let mut terminals = self.terminals.lock();
            // A size that came while the terminal was being made.
            if let Some((rows, cols)) = terminals.sizes.remove(key) {
                let _ = stdio::resize(master, rows, cols);
            }
            terminals.masters.insert(key.to_owned(), master.clone());
        }
    }

    /// Changes a terminal's size, now or as soon as there is one. `key`: empty for init, else the exec's id.
    pub(super) fn resize(&self, key: &str, rows: u16, cols: u16) -> Result<(), Failure> {
        let mut terminals = self.terminals.lock();
        match terminals.masters.get(key) {
            Some(master) => {
                // A terminal that is closing.
                let _ = stdio::resize(master, rows, cols);
            }
            None => {
                if rows != 0 && cols != 0 {
                    terminals.sizes.insert(key.to_owned(), (rows, cols));
                }
            }
        }
        Ok(())
    }

    /// Sends a signal to init (or to everything) by the rules for pid 1 of a pid namespace.
    pub(super) fn signal(&self, signal: i32, all: bool) -> Result<(), Failure> {
        signals::check(signal)?;
        let state = self.state.get();
        if state.pid == 0 || !matches!(state.status, Status::Running | Status::Paused) {
            let text = format!("container {} is not running", self.spec.id);
            return Err(Failure::new(ErrorKind::Conflict, text));
        }
        if signal == 0 {
            return Ok(());
        }
        if all {
            for pid in signals::processes(&self.kernel) {
                if pid != state.pid || signals::reaches_init(pid, signal) {
                    signals::send(pid, signal);
                }
            }
        } else if signals::reaches_init(state.pid, signal) {
            signals::send(state.pid, signal);
        }
        Ok(())
    }

    pub(super) fn pause(&self) -> Result<(), Failure> {
        self.state.transition(|s| match s.status {
            Status::Running => {
                s.status = Status::Paused;
                Ok(())
            }
            Status::Paused => Err(Failure::new(
                ErrorKind::Conflict,
                format!("Container {} is already paused", self.spec.id),
            )),
            _ => Err(Failure::new(ErrorKind::Conflict, format!("Container {} is not running", self.spec.id))),
        })?;
        signals::pause(&self.kernel);
        Ok(())
    }

    pub(super) fn resume(&self) -> Result<(), Failure> {
        if self.state.status() != Status::Paused {
            return Err(Failure::new(
                ErrorKind::Conflict,
                format!("Container {} is not paused", self.spec.id),
            ));
        }
        signals::resume(&self.kernel);
        self.state.transition(|s| {
            if s.status == Status::Paused {
                s.status = Status::Running;
            }
            Ok(())
        })
    }

    /// Whether somebody has asked for the start.
    pub(super) fn was_started(&self) -> bool {
        self.is_started.load(Ordering::Acquire)
    }

    /// SIGKILL for init, if there is one.
    pub(super) fn kill_init(&self) {
        let pid = self.state.get().pid;
        if pid > 0 {
            signals::send(pid, libc::SIGKILL);
        }
    }

    /// Init has ended; everything else is about to be killed.
    pub(super) fn init_exited(&self) {
        self.is_ending.store(true, Ordering::Release);
    }

    pub(super) fn exec_exited(&self, id: &str, code: i32) {
        self.terminals.lock().masters.remove(id);
        self.state.update_exec(id, |e| {
            e.running = false;
            e.exit_code = Some(code);
        });
    }

    /// All of the container has ended: closes the door, makes what it wrote final, and publishes the end.
    pub(super) fn finish(&self, code: i32) {
        let _ = std::fs::remove_file(self.spec.run_dir.join("control.sock"));
        self.rootfs.close();
        *self.lock.lock() = None;
        self.state.update(|s| {
            s.status = Status::Exited;
            s.pid = 0;
            s.exit_code = code;
            s.oom_killed = self.was_oom_killed.load(Ordering::Relaxed);
            s.finished_at = state::now();
        });
    }

    /// Whether [`tick`](Supervisor::tick) wants to be called from time to time.
    pub(super) fn needs_tick(&self) -> bool {
        self.spec.memory_limit > 0 && self.state.status() == Status::Running
    }

    /// What has to be looked at regularly.
    pub(super) fn tick(&self) {
        if !self.needs_tick() {
            return;
        }
        let enforced = limits::enforce_memory(&self.kernel, &self.usage, self.spec.memory_limit);
        if let limits::Enforced::Killed(pid) = enforced {
            tracing::warn!("out of memory: killed process {pid}");
            if pid == self.state.get().pid {
                self.was_oom_killed.store(true, Ordering::Relaxed);
            }
        }
    }

    /// A connection's work has ended.
    pub(super) fn touch(&self) {
        self.last_use.store(self.born.elapsed().as_millis() as i64, Ordering::Release);
    }

    /// The life of a supervisor of files.
    fn wait_until_idle(&self) {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let idle = self.born.elapsed().as_millis() as i64 - self.last_use.load(Ordering::Acquire);
            if self.active.load(Ordering::Acquire) == 0 && idle > FILES_IDLE.as_millis() as i64 {
                self.end_files();
                return;
            }
        }
    }

    /// Makes what was written final and lets go of the container's files.
    pub(super) fn end_files(&self) {
        let _ = std::fs::remove_file(self.spec.run_dir.join("control.sock"));
        self.rootfs.close();
        *self.lock.lock() = None;
    }
}
