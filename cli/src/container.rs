//! A container without a daemon: its directories, its spec, its supervisor.

use crate::args::{self, Cli, Network, PullPolicy};
use crate::dirs;
use crate::failure::Failure;
use crate::options;
use crate::out;
use carrack_emu::control::{LogSpec, NetworkMode, Reply, RootfsSpec, Spec};
use carrack_emu::supervise::{self, Mode, Options};
use carrack_images::{Hold, Store};
use rustix::fd::OwnedFd;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Docker's paths that a container must not see, and must not write to.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const SHM_SIZE: u64 = 64 << 20;

/// `carrack supervise DIR`.
pub(crate) fn supervise(args: &args::Supervise) -> Result<u8, Failure> {
    let mode = if args.files { Mode::Files } else { Mode::Run };
    Ok(supervise::supervise(&args.container_dir, mode, Options::default()))
}

/// A container's directories; gone when this is dropped, or when its guardian has ended.
pub(crate) struct Container {
    pub(crate) spec: Spec,
    /// Keeps the image's files.
    _hold: Hold,
}

impl Container {
    /// Makes a container of an image. `kernel`: the version that its `uname` is to tell, or empty.
    pub(crate) fn create(cli: &Cli, args: &args::Container, kernel: &str) -> Result<Container, Failure> {
        let data = dirs::data_root(cli)?;
        let store = Store::open(&data.join("images"))?;
        let image = match (args.pull, store.resolve(&args.image)) {
            (PullPolicy::Always, _) => fetch(&data, args).and_then(|()| Ok(store.resolve(&args.image)?))?,
            (PullPolicy::Missing, Err(carrack_images::Error::NotFound(_))) => {
                out::say(&format!("carrack: {} is not here; fetching it", args.image));
                fetch(&data, args).and_then(|()| Ok(store.resolve(&args.image)?))?
            }
            (_, found) => found?,
        };
        let hold = store.hold(&image.id)?;
        let index = store.ensure_index(&image)?;
        let id = random_id()?;
        let run_dir = dirs::run_root()?.join(&id[..12]);
        let container_dir = data.join("containers").join(&id);
        let config = &image.config.config;
        let rootfs =
            RootfsSpec { store: store.root().to_owned(), index: Some(index), read_only: args.read_only };
        let mut spec = spec(args, config, id, rootfs)?;
        spec.kernel_version = kernel.to_owned();
        make_dir(&container_dir)?;
        spec.container_dir =
            container_dir.canonicalize().map_err(|e| Failure::doing(container_dir.display(), e))?;
        spec.run_dir = run_dir;
        let container = Container { spec, _hold: hold };
        let path = container.spec.container_dir.join("spec.json");
        let text = serde_json::to_vec(&container.spec).map_err(Failure::new)?;
        std::fs::write(&path, text).map_err(|e| Failure::doing(path.display(), e))?;
        Ok(container)
    }

    /// Where its supervisor listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.spec.run_dir.join("control.sock")
    }

    /// Starts its supervisor as a child process, and waits until it listens. `trace`: where it reports calls to.
    ///
    /// Must be called while this process has a single thread: the child goes on without exec, which saves the time of
    /// loading the binary again.
    pub(crate) fn start_supervisor(&self, trace: Option<OwnedFd>) -> Result<Child, Failure> {
        let (out, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| Failure::doing("cannot make a pipe", e))?;
        // SAFETY: this process has a single thread (the caller's contract), so the child may use everything.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(Failure::doing("cannot fork", std::io::Error::last_os_error()));
        }
        if pid == 0 {
            drop(out);
            std::process::exit(self.supervisor(theirs, trace).into());
        }
        drop(theirs);
        let child = Child { pid };
        let mut line = String::new();
        BufReader::new(std::fs::File::from(out))
            .read_line(&mut line)
            .map_err(|e| Failure::doing("the supervisor", e))?;
        match line.trim() {
            "ready" => Ok(child),
            "" => Err(Failure::new("the supervisor died before it was ready")),
            error => Err(match serde_json::from_str::<Reply>(error) {
                Ok(Reply::Error { message, .. }) => Failure::new(message),
                _ => Failure::new(error),
            }),
        }
    }

    /// The child's side of [`start_supervisor`](Container::start_supervisor).
    fn supervisor(&self, out: OwnedFd, trace: Option<OwnedFd>) -> u8 {
        // Without its client this container is nobody's: it ends with it.
        // SAFETY: prctl with a number.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
        // A terminal's ^C is for the client, which passes it on.
        let _ = rustix::process::setsid();
        if let Ok(null) = std::fs::File::open("/dev/null") {
            let _ = rustix::stdio::dup2_stdin(&null);
        }
        let _ = rustix::stdio::dup2_stdout(&out);
        drop(out);
        supervise::supervise(&self.spec.container_dir, Mode::Run, Options { trace, is_temporary: true })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for dir in [&self.spec.run_dir, &self.spec.container_dir] {
            if let Err(e) = std::fs::remove_dir_all(dir)
                && e.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!("cannot remove {}: {e}", dir.display());
            }
        }
    }
}

/// The supervisor's process.
pub(crate) struct Child {
    pid: i32,
}

impl Child {
    /// Waits for its end.
    pub(crate) fn wait(&self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid) {
            while let Err(rustix::io::Errno::INTR) =
                rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
            {}
        }
    }
}

/// What the command line and the image's configuration say together.
fn spec(
    args: &args::Container,
    image: &carrack_images::RunConfig,
    id: String,
    rootfs: RootfsSpec,
) -> Result<Spec, Failure> {
    let mut command = match (&args.entrypoint, &image.entrypoint) {
        (Some(program), _) if program.is_empty() => Vec::new(),
        (Some(program), _) => vec![program.clone()],
        (None, entrypoint) => entrypoint.clone().unwrap_or_default(),
    };
    if args.command.is_empty() && args.entrypoint.is_none() {
        command.extend(image.cmd.clone().unwrap_or_default());
    } else {
        command.extend(args.command.clone());
    }
    if command.is_empty() {
        return Err(Failure::new("no command specified: the image has none, give one after its name"));
    }
    let mut env = image.env.clone();
    for file in &args.env_file {
        env.extend(options::env_file(file)?);
    }
    env.extend(args.env.iter().filter_map(|e| options::env(e)));
    let mut mounts = args.volumes.iter().map(|v| options::volume(v)).collect::<Result<Vec<_>, _>>()?;
    for tmpfs in &args.tmpfs {
        mounts.push(options::tmpfs(tmpfs)?);
    }
    let mut no_new_privileges = false;
    for option in &args.security_opt {
        match option.as_str() {
            "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true" => {
                no_new_privileges = true
            }
            "no-new-privileges:false" | "no-new-privileges=false" => {}
            other => return Err(Failure::new(format!("unknown security option {other:?}"))),
        }
    }
    let hostname = match (&args.hostname, args.network) {
        (Some(name), _) => name.clone(),
        (None, Network::Host) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        (None, Network::None) => id[..12].to_owned(),
    };
    let masked = if args.privileged { Vec::new() } else { MASKED.map(str::to_owned).to_vec() };
    let readonly = if args.privileged { Vec::new() } else { READ_ONLY.map(str::to_owned).to_vec() };
    Ok(Spec {
        id,
        rootfs,
        args: command,
        env,
        cwd: args.workdir.clone().unwrap_or_else(|| image.working_dir.clone()),
        user: args.user.clone().unwrap_or_else(|| image.user.clone()),
        groups_add: args.group_add.clone(),
        hostname,
        domainname: String::new(),
        tty: args.tty,
        open_stdin: args.interactive,
        stdin_once: true,
        console_size: if args.tty { crate::terminal::size() } else { None },
        mounts,
        network: match args.network {
            Network::Host => NetworkMode::Host,
            Network::None => NetworkMode::None,
        },
        log: LogSpec { driver: "none".into(), ..LogSpec::default() },
        privileged: args.privileged,
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        no_new_privileges,
        memory_limit: args.memory.unwrap_or(0),
        pids_limit: args.pids_limit.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        milli_cpus: 0,
        ulimits: args.ulimit.clone(),
        shm_size: args.shm_size.unwrap_or(SHM_SIZE),
        masked_paths: masked,
        readonly_paths: readonly,
        sysctls: Vec::new(),
        init: args.init,
        kernel_version: String::new(),
        container_dir: PathBuf::new(),
        run_dir: PathBuf::new(),
    })
}

/// Fetches the image, in a process of its own: this one must stay without threads until the supervisor is forked.
fn fetch(data: &Path, args: &args::Container) -> Result<(), Failure> {
    let exe = std::env::current_exe().map_err(|e| Failure::doing("this program's path", e))?;
    let aside = rustix::io::dup(rustix::stdio::stderr()).map_err(|e| Failure::doing("standard error", e))?;
    let mut command = std::process::Command::new(exe);
    command.arg("pull").arg("--data-root").arg(data);
    if args.quiet {
        command.arg("--quiet");
    }
    command.arg("--").arg(&args.image).stdin(std::process::Stdio::null()).stdout(aside);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::new(format!("{} cannot be fetched", args.image))),
        Err(e) => Err(Failure::doing("carrack pull", e)),
    }
}

fn make_dir(dir: &Path) -> Result<(), Failure> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| Failure::doing(format!("cannot make {}", dir.display()), e))
}

fn random_id() -> Result<String, Failure> {
    let mut random = [0u8; 32];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Failure::doing("getrandom", e))?;
    Ok(random.iter().map(|b| format!("{b:02x}")).collect())
}
