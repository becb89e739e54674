//! From a description of a process (init's or an exec's) to a running one.

use super::paths::{self, Follow, Found};
use super::rootfs::{INIT, Rootfs};
use super::stdio::{self, Streams, Wanted};
use super::{Failure, capabilities, env, limits, user};
use crate::control::{ErrorKind, ExecSpec, Spec};
use crate::kernel::Kernel;
use crate::platform::launch::{Launch, LaunchError, Launched};
use crate::task::Cred;
use crate::vfs::{Kind, MountNs};

/// umask of a container's first processes, as runc leaves it.
const UMASK: u32 = 0o022;

/// What is to run, with everything that a spec leaves out filled in.
#[derive(Debug)]
pub(super) struct Job {
    program: Vec<u8>,
    args: Vec<Vec<u8>>,
    env: Vec<Vec<u8>>,
    cwd: Found,
    cred: Cred,
    is_init: bool,
    terminal: Option<Option<(u16, u16)>>,
    wanted: Wanted,
}

impl Job {
    /// Init of a container.
    pub(super) fn init(kernel: &Kernel, spec: &Spec, size: Option<(u16, u16)>) -> Result<Job, Failure> {
        let ns = &kernel.mounts;
        let user = user::resolve(ns, &spec.user, &spec.groups_add)?;
        let cred = capabilities::credentials(spec, &user, false)?;
        let env = env::build(spec, &[], spec.tty, &user.home);
        let cwd = working_directory(ns, &spec.cwd)?;
        // Under an init, too, a command that is not there is found out now.
        let mut program = find_program(ns, &cred, &cwd, &env, &spec.args)?;
        let mut args = bytes(&spec.args);
        if spec.init {
            program = INIT.into();
            args.splice(0..0, [INIT.into(), b"--".to_vec()]);
        }
        Ok(Job {
            program,
            args,
            env,
            cwd,
            cred,
            is_init: true,
            terminal: spec.tty.then_some(size),
            wanted: Wanted { input: spec.open_stdin, output: true, error: true },
        })
    }

    /// A process that joins. `is_attached`: somebody wants its streams.
    pub(super) fn exec(
        kernel: &Kernel,
        spec: &Spec,
        exec: &ExecSpec,
        size: Option<(u16, u16)>,
        is_attached: bool,
    ) -> Result<Job, Failure> {
        let ns = &kernel.mounts;
        let user = user::resolve(ns, exec_user(spec, exec), &spec.groups_add)?;
        let cred = capabilities::credentials(spec, &user, exec.privileged)?;
        let env = env::build(spec, &exec.env, exec.tty, &user.home);
        let cwd = working_directory(ns, if exec.cwd.is_empty() { &spec.cwd } else { &exec.cwd })?;
        Ok(Job {
            program: find_program(ns, &cred, &cwd, &env, &exec.args)?,
            args: bytes(&exec.args),
            env,
            cwd,
            cred,
            is_init: false,
            terminal: exec.tty.then_some(size),
            wanted: Wanted {
                input: exec.stdin && is_attached,
                output: exec.stdout && is_attached,
                error: exec.stderr && is_attached,
            },
        })
    }

    /// Starts it; blocks until its program has been loaded or could not be.
    pub(super) fn launch(
        self,
        rootfs: &Rootfs,
        rlimits: Vec<(i32, u64, u64)>,
    ) -> Result<(Launched, Streams), Failure> {
        let made = match self.terminal {
            Some(size) => stdio::terminal(size),
            None => stdio::pipes(self.wanted),
        };
        let (streams, stdio) = made.map_err(|e| Failure::host("cannot make the standard streams", e))?;
        let kernel = &rootfs.kernel;
        if let Some(master) = &streams.terminal
            && let Err(e) = rootfs.adopt_terminal(master, self.cred.fsuid, self.is_init)
        {
            tracing::warn!("the terminal will have no name inside: {e:?}");
        }
        let name = String::from_utf8_lossy(&self.program).into_owned();
        let launch = Launch {
            program: self.program,
            args: self.args,
            env: self.env,
            cwd: self.cwd.path().clone(),
            root: paths::root(&kernel.mounts).path().clone(),
            cred: self.cred,
            umask: UMASK,
            stdio,
            controlling_tty: self.terminal.is_some(),
            rlimits,
            is_init: self.is_init,
        };
        let launched = kernel.launch(launch).map_err(|e| match e {
            LaunchError::NotFound(_, text) => {
                Failure::new(ErrorKind::CommandNotFound, format!("exec {name}: {text}"))
            }
            LaunchError::NotExecutable(_, text) => {
                Failure::new(ErrorKind::CommandNotExecutable, format!("exec {name}: {text}"))
            }
            LaunchError::Host(text) => Failure::new(ErrorKind::Host, text),
        })?;
        Ok((launched, streams))
    }
}

/// Checks what can be checked of an exec before it is started.
pub(super) fn check(kernel: &Kernel, spec: &Spec, exec: &ExecSpec) -> Result<(), Failure> {
    if exec.args.is_empty() {
        return Err(Failure::new(ErrorKind::Invalid, "No exec command specified"));
    }
    user::resolve(&kernel.mounts, exec_user(spec, exec), &[]).map(drop)
}

fn exec_user<'a>(spec: &'a Spec, exec: &'a ExecSpec) -> &'a str {
    if exec.user.is_empty() { &spec.user } else { &exec.user }
}

pub(super) fn no_such_exec(id: &str) -> Failure {
    Failure::new(ErrorKind::NotFound, format!("No such exec instance: {id}"))
}

/// The exit code that stands for a failure to start, as `docker run` reports it.
pub(super) fn exit_code(failure: &Failure) -> i32 {
    match failure.kind {
        ErrorKind::CommandNotFound => 127,
        ErrorKind::CommandNotExecutable => 126,
        _ => 128,
    }
}

/// The limits of all processes of the container.
pub(super) fn rlimits(spec: &Spec, nofile: (u64, u64)) -> Result<Vec<(i32, u64, u64)>, Failure> {
    limits::rlimits(spec, nofile)
}

fn bytes(strings: &[String]) -> Vec<Vec<u8>> {
    strings.iter().map(|s| s.as_bytes().to_vec()).collect()
}

fn working_directory(ns: &MountNs, cwd: &str) -> Result<Found, Failure> {
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    let missing = |text: &str| {
        let text = format!("chdir to cwd ({cwd:?}) set in config.json failed: {text}");
        Failure::new(ErrorKind::CommandNotFound, text)
    };
    let found =
        paths::lookup(ns, None, cwd.as_bytes(), Follow::Yes).map_err(|e| missing(&strerror(e.code())))?;
    if found.path().inode.kind() != Kind::Directory {
        return Err(Failure { kind: ErrorKind::CommandNotExecutable, ..missing("not a directory") });
    }
    Ok(found)
}

/// What a shell would run for `args[0]`, by the rules of Go's `exec.LookPath`, whose texts clients know.
fn find_program(
    ns: &MountNs,
    cred: &Cred,
    cwd: &Found,
    env: &[Vec<u8>],
    args: &[String],
) -> Result<Vec<u8>, Failure> {
    let name = args.first().map(String::as_str).unwrap_or_default();
    let fail = |kind, text: &str| Failure::new(kind, format!("exec: {name:?}: {text}"));
    let try_one = |path: &[u8]| -> Result<(), i32> {
        let found = paths::lookup_from(ns, Some(cred), cwd, path, Follow::Yes).map_err(|e| e.code())?;
        match found.path().inode.kind() {
            Kind::Directory => Err(libc::EISDIR),
            _ => paths::may_execute(cred, found.path()).map_err(|e| e.code()),
        }
    };
    if name.contains('/') {
        return match try_one(name.as_bytes()) {
            Ok(()) => Ok(name.as_bytes().to_vec()),
            Err(libc::EISDIR) => Err(fail(ErrorKind::CommandNotExecutable, "is a directory")),
            Err(libc::EACCES) => Err(fail(ErrorKind::CommandNotExecutable, "permission denied")),
            Err(code) => Err(fail(ErrorKind::CommandNotFound, &format!("stat {name}: {}", strerror(code)))),
        };
    }
    let path = env::get(env, "PATH").unwrap_or_default();
    if !name.is_empty() {
        for dir in path.split(|&b| b == b':') {
            let candidate = match dir {
                b"" => name.as_bytes().to_vec(),
                dir => [dir, b"/", name.as_bytes()].concat(),
            };
            if try_one(&candidate).is_ok() {
                return Ok(candidate);
            }
        }
    }
    Err(fail(ErrorKind::CommandNotFound, "executable file not found in $PATH"))
}

/// The C library's words for an errno, in lower case as Go has them.
pub(super) fn strerror(code: i32) -> String {
    let text = std::io::Error::from_raw_os_error(code).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
