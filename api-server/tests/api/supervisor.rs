//! A supervisor for tests: speaks the control protocol, runs the command as a host process. No terminal, no files.

use carrack_emu::control::{
    ErrorKind, Event, ExecSpec, ExecState, Reply, Request, Spec, State, Stats, Status, read_line, write_line,
};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Inner {
    state: State,
    stdin: Option<ChildStdin>,
    stdin_closed: bool,
    early: Vec<u8>,
    attached: Vec<UnixStream>,
    execs: HashMap<String, ExecState>,
}

struct Shared {
    spec: Spec,
    inner: Mutex<Inner>,
    changed: Condvar,
}

fn now() -> String {
    let now = time::OffsetDateTime::now_utc();
    now.format(&time::format_description::well_known::Rfc3339).expect("a time")
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

pub(crate) fn main(dir: PathBuf) {
    let spec: Spec =
        serde_json::from_slice(&std::fs::read(dir.join("spec.json")).expect("spec.json")).expect("a spec");
    let listener = UnixListener::bind(spec.run_dir.join("control.sock")).expect("a socket");
    let shared = Arc::new(Shared { spec, inner: Mutex::default(), changed: Condvar::new() });
    shared.update(|i| i.state.supervisor_pid = std::process::id() as i32);
    println!("ready");
    // Whoever started us reads until the end of our output.
    let _ = rustix::stdio::dup2_stdout(std::fs::File::open("/dev/null").expect("null"));
    for stream in listener.incoming().flatten() {
        let shared = shared.clone();
        std::thread::spawn(move || shared.serve(stream));
    }
}

impl Shared {
    fn update<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock().expect("no panic");
        let result = change(&mut inner);
        inner.state.execs = inner.execs.values().cloned().collect();
        let state = inner.state.clone();
        let path = self.spec.container_dir.join("state.json");
        let temporary = self.spec.container_dir.join("state.json.new");
        std::fs::write(&temporary, serde_json::to_vec(&state).expect("json")).expect("to write");
        std::fs::rename(temporary, path).expect("to rename");
        self.changed.notify_all();
        result
    }

    fn wait<T>(&self, mut until: impl FnMut(&mut Inner) -> Option<T>) -> T {
        let mut inner = self.inner.lock().expect("no panic");
        loop {
            if let Some(result) = until(&mut inner) {
                return result;
            }
            inner = self.changed.wait(inner).expect("no panic");
        }
    }

    fn serve(self: &Arc<Self>, mut stream: UnixStream) {
        let Ok(request) = read_line::<Request>(&mut stream) else { return };
        let reply = match request {
            Request::Start => self.start(),
            Request::State => Reply::State { state: self.wait(|i| Some(i.state.clone())) },
            Request::Events => return self.events(stream),
            Request::Wait => Reply::Exited {
                code: self.wait(|i| (i.state.status == Status::Exited).then_some(i.state.exit_code)),
            },
            Request::Signal { signal, .. } => self.signal(signal),
            Request::Pause => self.set(Status::Paused),
            Request::Resume => self.set(Status::Running),
            Request::Attach { stdin, .. } => return self.attach(stream, stdin),
            Request::Exec { exec } => self.exec(exec),
            Request::ExecAttach { id } => return self.exec_start(&id, Some(stream)),
            Request::ExecStart { id } => {
                let _ = write_line(&mut stream, &Reply::Ok);
                return self.exec_start(&id, None);
            }
            Request::ExecState { id } => match self.wait(|i| Some(i.execs.get(&id).cloned())) {
                Some(state) => Reply::ExecState { state },
                None => Reply::Error { kind: ErrorKind::NotFound, message: id },
            },
            Request::ExecWait { id } => {
                Reply::Exited { code: self.wait(|i| i.execs.get(&id).map_or(Some(-1), |e| e.exit_code)) }
            }
            Request::Top => Reply::Top {
                titles: vec!["UID".into(), "PID".into(), "CMD".into()],
                processes: vec![vec!["root".into(), "1".into(), self.spec.args.join(" ")]],
            },
            Request::Stats => {
                Reply::Stats { stats: Stats { pids: 1, memory_bytes: 4096, ..Stats::default() } }
            }
            Request::Shutdown => {
                let _ = write_line(&mut stream, &Reply::Ok);
                std::process::exit(0);
            }
            _ => Reply::Error { kind: ErrorKind::NotSupported, message: "not in this supervisor".into() },
        };
        let _ = write_line(&mut stream, &reply);
    }

    fn set(&self, status: Status) -> Reply {
        self.update(|i| i.state.status = status);
        Reply::Ok
    }

    fn command(&self, args: &[String], env: &[String]) -> Command {
        let mut command = Command::new(&args[0]);
        command.args(&args[1..]).env_clear();
        command.envs(env.iter().filter_map(|e| e.split_once('=')));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn not_found(args: &[String], e: &std::io::Error) -> Reply {
        let (kind, message) = match e.kind() {
            std::io::ErrorKind::NotFound => (
                ErrorKind::CommandNotFound,
                format!("exec: {:?}: executable file not found in $PATH", args[0]),
            ),
            _ => (ErrorKind::CommandNotExecutable, format!("exec: {:?}: permission denied", args[0])),
        };
        Reply::Error { kind, message }
    }

    fn start(self: &Arc<Self>) -> Reply {
        let mut child = match self.command(&self.spec.args, &self.spec.env).spawn() {
            Ok(child) => child,
            Err(e) => return Self::not_found(&self.spec.args, &e),
        };
        let pumps = [self.pump(1, child.stdout.take()), self.pump(2, child.stderr.take())];
        self.update(|i| {
            i.state.status = Status::Running;
            i.state.pid = child.id() as i32;
            i.state.started_at = now();
            i.stdin = child.stdin.take().filter(|_| self.spec.open_stdin && !i.stdin_closed);
            let early = std::mem::take(&mut i.early);
            if let Some(stdin) = &mut i.stdin {
                let _ = stdin.write_all(&early);
            }
        });
        let shared = self.clone();
        std::thread::spawn(move || shared.reap(child, pumps));
        Reply::Ok
    }

    fn reap(&self, mut child: Child, pumps: [std::thread::JoinHandle<()>; 2]) {
        let status = child.wait().expect("to wait");
        for pump in pumps {
            let _ = pump.join();
        }
        self.update(|i| {
            for stream in i.attached.drain(..) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
            i.state.status = Status::Exited;
            i.state.exit_code = code(status);
            i.state.pid = 0;
            i.state.finished_at = now();
        });
        // Those who listen to events get their line.
        std::thread::sleep(Duration::from_millis(100));
        std::process::exit(0);
    }

    /// Copies one stream of init to the log and to whoever is attached.
    fn pump(
        self: &Arc<Self>,
        stream: u8,
        from: Option<impl Read + Send + 'static>,
    ) -> std::thread::JoinHandle<()> {
        let shared = self.clone();
        let mut from = from.expect("a pipe");
        std::thread::spawn(move || {
            let mut log = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(shared.spec.container_dir.join("log.json"))
                .expect("a log");
            let mut buffer = [0u8; 16384];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                let name = if stream == 1 { "stdout" } else { "stderr" };
                for line in String::from_utf8_lossy(&buffer[..n]).split_inclusive('\n') {
                    let row = serde_json::json!({ "log": line, "stream": name, "time": now() });
                    // In one write: the other stream's lines go to the same file.
                    let _ = log.write_all(format!("{row}\n").as_bytes());
                }
                let frame = frame(stream, &buffer[..n]);
                let mut inner = shared.inner.lock().expect("no panic");
                inner.attached.retain_mut(|s| s.write_all(&frame).is_ok());
            }
        })
    }

    fn attach(&self, mut stream: UnixStream, stdin: bool) {
        let _ = write_line(&mut stream, &Reply::Ok);
        let copy = stream.try_clone().expect("a copy");
        self.update(|i| i.attached.push(copy));
        let mut buffer = [0u8; 4096];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            self.update(|i| match &mut i.stdin {
                _ if !stdin => {}
                Some(pipe) => drop(pipe.write_all(&buffer[..n])),
                None => i.early.extend_from_slice(&buffer[..n]),
            });
        }
        if stdin && self.spec.stdin_once {
            self.update(|i| {
                i.stdin_closed = i.stdin.is_none() && i.early.is_empty();
                i.stdin = None;
            });
        }
    }

    fn signal(&self, signal: i32) -> Reply {
        let pid = self.wait(|i| Some(i.state.pid));
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        match rustix::process::Signal::from_named_raw(signal) {
            Some(signal) => drop(rustix::process::kill_process(pid, signal)),
            None => return Reply::Error { kind: ErrorKind::Invalid, message: "signal".into() },
        }
        Reply::Ok
    }

    fn events(&self, mut stream: UnixStream) {
        let _ = write_line(&mut stream, &Reply::Ok);
        let mut last = None;
        loop {
            let state = self.wait(|i| (last.as_ref() != Some(&i.state)).then(|| i.state.clone()));
            if write_line(&mut stream, &Event::State { state: state.clone() }).is_err() {
                return;
            }
            last = Some(state);
        }
    }

    fn exec(&self, spec: ExecSpec) -> Reply {
        let id = self.update(|i| {
            let id = format!("e{:063x}", i.execs.len() + 1);
            i.execs.insert(id.clone(), ExecState { id: id.clone(), spec, ..ExecState::default() });
            id
        });
        Reply::Exec { id }
    }

    fn exec_start(self: &Arc<Self>, id: &str, stream: Option<UnixStream>) {
        let spec = self.wait(|i| i.execs.get(id).map(|e| e.spec.clone()));
        let mut child = match self.command(&spec.args, &self.spec.env).spawn() {
            Ok(child) => child,
            Err(e) => {
                if let Some(mut stream) = stream {
                    let _ = write_line(&mut stream, &Self::not_found(&spec.args, &e));
                }
                return;
            }
        };
        self.update(|i| {
            if let Some(e) = i.execs.get_mut(id) {
                (e.running, e.pid) = (true, child.id() as i32);
            }
        });
        let mut stdin = child.stdin.take();
        let mut copies = Vec::new();
        let end = stream.as_ref().and_then(|s| s.try_clone().ok());
        if let Some(mut stream) = stream {
            let _ = write_line(&mut stream, &Reply::Ok);
            let out = Arc::new(Mutex::new(stream.try_clone().expect("a copy")));
            copies.push(copy(1, child.stdout.take(), out.clone()));
            copies.push(copy(2, child.stderr.take(), out));
            if spec.stdin {
                std::thread::spawn(move || {
                    let mut stdin = stdin.take().expect("a pipe");
                    let _ = std::io::copy(&mut stream, &mut stdin);
                });
            }
        }
        let status = child.wait().expect("to wait");
        for copy in copies {
            let _ = copy.join();
        }
        self.update(|i| {
            if let Some(e) = i.execs.get_mut(id) {
                (e.running, e.exit_code) = (false, Some(code(status)));
            }
        });
        if let Some(end) = end {
            let _ = end.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn frame(stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn copy(
    stream: u8,
    from: Option<impl Read + Send + 'static>,
    to: Arc<Mutex<UnixStream>>,
) -> std::thread::JoinHandle<()> {
    let mut from = from.expect("a pipe");
    std::thread::spawn(move || {
        let mut buffer = [0u8; 16384];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            let _ = to.lock().expect("no panic").write_all(&frame(stream, &buffer[..n]));
        }
    })
}
