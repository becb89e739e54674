//! The one thread that moves bytes: standard streams, log, attached clients, exits, waiters, events.
//!
//! It never waits for anything but `poll`. Other threads hand it connections and processes through [`Handle`]; it calls
//! back into the [`Supervisor`] when a process has ended. What a client may rely on:
//!
//! - The reply to `Attach` is sent when the connection is registered: no output of a later `Start` is missed.
//! - Output that a process wrote before it ended is in the log and in the clients' queues before its end is published.
//!   Descendants that keep its pipes open get [`LINGER`] to write more.
//! - The end is published (state, events, answers to `Wait`) before the clients see end of file.

use super::log::LogWriter;
use super::stdio::Streams;
use super::stream::{Client, Wants};
use super::supervisor::Supervisor;
use crate::control::{Event, Reply};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long pipes are read after their process has ended, when somebody else keeps them open.
const LINGER: Duration = Duration::from_secs(2);
/// How long the container's processes may take to die of SIGKILL (uninterruptible sleep on a dead server's files).
const DEATH: Duration = Duration::from_secs(10);
/// An attachment whose input has ended still gets what the process says to that input within this time of having read
/// it. Generous, as a busy host may keep a process waiting; only who waits for our end of file notices.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether the process has read such an attachment's input.
const INPUT_CHECK: Duration = Duration::from_secs(1);
/// How often use of memory is looked at, where it is limited.
const TICK: Duration = Duration::from_millis(100);
/// Standard input is read from clients no faster than the process takes it, bytes.
const INPUT_QUEUE: usize = 64 << 10;
/// Most that is still read from a pipe whose time is over, bytes: all that a pipe can hold by default
/// (`/proc/sys/fs/pipe-max-size`), and an end for one that is written to all the time.
const LAST_READ: usize = 1 << 20;
/// Only the calling thread's own children (`__WNOTHREAD`), so that no other thread's ptrace stop is taken.
const WNOTHREAD: u32 = 0x2000_0000;

/// What other threads ask of the reactor.
pub(super) enum Command {
    /// Attaches to init.
    Attach {
        conn: UnixStream,
        wants: Wants,
    },
    /// A process has been started; `reply` goes to its client first.
    Started(Box<Started>),
    /// Init could not be started; its clients are closed, its waiters told.
    StartFailed {
        code: i32,
    },
    /// Answers when init, or an exec, has ended.
    Wait {
        conn: UnixStream,
        exec: Option<String>,
    },
    Events {
        conn: UnixStream,
    },
    Publish(Event),
    /// Ends everything.
    Shutdown {
        conn: UnixStream,
    },
}

/// A process that was just started.
pub(super) struct Started {
    /// `None`: init.
    pub(super) exec: Option<String>,
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) streams: Streams,
    /// The connection of `ExecAttach`.
    pub(super) client: Option<(UnixStream, Wants)>,
}

/// Hands commands to the reactor.
#[derive(Clone)]
pub(super) struct Handle(Arc<Shared>);

struct Shared {
    queue: Mutex<VecDeque<Command>>,
    wake: OwnedFd,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reactor::Handle")
    }
}

impl Handle {
    pub(super) fn new() -> io::Result<Handle> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Handle(Arc::new(Shared { queue: Mutex::new(VecDeque::new()), wake })))
    }

    pub(super) fn send(&self, command: Command) {
        self.0.queue.lock().push_back(command);
        // A full counter wakes as well.
        let _ = rustix::io::write(&self.0.wake, &1u64.to_ne_bytes());
    }

    pub(super) fn publish(&self, event: Event) {
        self.send(Command::Publish(event));
    }
}

/// Streams of init or of an exec, and who is attached to them.
struct Process {
    exec: Option<String>,
    pid: i32,
    pidfd: Option<OwnedFd>,
    is_tty: bool,
    input: Option<Arc<OwnedFd>>,
    input_queue: VecDeque<u8>,
    /// Close standard input when the queue is empty.
    is_input_ending: bool,
    /// Close standard input when a client ends its side.
    has_stdin_once: bool,
    output: [Option<Arc<OwnedFd>>; 2],
    log: Option<LogWriter>,
    clients: Vec<Client>,
    exited: Option<(i32, Instant)>,
    is_done: bool,
}

/// What a polled descriptor is.
#[derive(Clone, Copy)]
enum Token {
    Wake,
    Children,
    Guardian,
    Exit(usize),
    Output(usize, usize),
    Input(usize),
    Client(usize, usize),
    Listener(usize),
    Leaving(usize),
}

pub(super) struct Reactor {
    supervisor: Arc<Supervisor>,
    handle: Handle,
    /// The first is init.
    processes: Vec<Process>,
    waiters: Vec<(Option<String>, UnixStream)>,
    /// Event streams.
    listeners: Vec<Client>,
    /// Clients of ended processes that have not taken everything yet.
    leaving: Vec<Client>,
    children: Option<nix::sys::signalfd::SignalFd>,
    guardian: Option<OwnedFd>,
    /// Set when init has ended and everybody was told.
    ended: bool,
    /// Init is to be killed as soon as it is there.
    is_ending: bool,
    buf: Vec<u8>,
}

impl Reactor {
    pub(super) fn new(supervisor: Arc<Supervisor>, handle: Handle, log: Option<LogWriter>) -> Reactor {
        let spec = &supervisor.spec;
        let init = Process {
            exec: None,
            pid: 0,
            pidfd: None,
            is_tty: spec.tty,
            input: None,
            input_queue: VecDeque::new(),
            is_input_ending: false,
            has_stdin_once: spec.stdin_once,
            output: [None, None],
            log,
            clients: Vec::new(),
            exited: None,
            is_done: false,
        };
        Reactor {
            supervisor,
            handle,
            processes: vec![init],
            waiters: Vec::new(),
            listeners: Vec::new(),
            leaving: Vec::new(),
            children: None,
            guardian: None,
            ended: false,
            is_ending: false,
            buf: vec![0; 64 << 10],
        }
    }

    /// Takes notice of ended children through `children` (SIGCHLD), and of the guardian's death.
    pub(super) fn watch(
        &mut self,
        children: Option<nix::sys::signalfd::SignalFd>,
        guardian: Option<OwnedFd>,
    ) {
        self.children = children;
        self.guardian = guardian;
    }

    /// Runs until init has ended and everybody attached has been told.
    pub(super) fn run(&mut self) {
        loop {
            let is_flushed = self.listeners.iter().chain(&self.leaving).all(|c| !c.has_queued());
            if self.ended && is_flushed {
                return;
            }
            for (token, events) in self.poll() {
                self.dispatch(token, events);
            }
            self.commands();
            self.settle();
            self.supervisor.tick();
        }
    }

    /// Waits for something to happen.
    fn poll(&self) -> Vec<(Token, PollFlags)> {
        let mut tokens = vec![Token::Wake];
        let mut fds = vec![PollFd::from_borrowed_fd(self.handle.0.wake.as_fd(), PollFlags::IN)];
        let mut timeout: Option<Duration> = None;
        let mut at_most = |d: Duration| timeout = Some(timeout.map_or(d, |t| t.min(d)));
        let mut add = |token: Token, fd, events| {
            tokens.push(token);
            fds.push(PollFd::from_borrowed_fd(fd, events));
        };
        if let Some(children) = &self.children {
            add(Token::Children, children.as_fd(), PollFlags::IN);
        }
        if let Some(guardian) = &self.guardian {
            add(Token::Guardian, guardian.as_fd(), PollFlags::IN);
        }
        if self.supervisor.needs_tick() {
            at_most(TICK);
        }
        for (p, process) in self.processes.iter().enumerate() {
            if let Some(pidfd) = &process.pidfd {
                add(Token::Exit(p), pidfd.as_fd(), PollFlags::IN);
            }
            let is_held_up = process.clients.iter().any(Client::is_full);
            if is_held_up {
                at_most(Duration::from_secs(5));
            }
            for (s, fd) in process.output.iter().enumerate() {
                if let (Some(fd), false) = (fd, is_held_up) {
                    add(Token::Output(p, s), fd.as_fd(), PollFlags::IN);
                }
            }
            if let Some(input) = &process.input
                && (!process.input_queue.is_empty())
            {
                add(Token::Input(p), input.as_fd(), PollFlags::OUT);
            }
            if let (Some((_, at)), false) = (process.exited, process.is_done) {
                at_most(LINGER.saturating_sub(at.elapsed()));
            }
            for (c, client) in process.clients.iter().enumerate() {
                let mut events = PollFlags::empty();
                if client.has_queued() {
                    events |= PollFlags::OUT;
                }
                if let Some(at) = client.end_at {
                    at_most(at.saturating_duration_since(Instant::now()));
                }
                let is_taken = process.input.is_some() && process.input_queue.len() < INPUT_QUEUE;
                if !client.is_input_done && is_taken {
                    events |= PollFlags::IN;
                }
                add(Token::Client(p, c), client.fd(), events);
            }
        }
        let listeners = self.listeners.iter().enumerate().map(|(l, c)| (Token::Listener(l), c));
        let leaving = self.leaving.iter().enumerate().map(|(l, c)| (Token::Leaving(l), c));
        for (token, client) in listeners.chain(leaving) {
            if client.has_queued() {
                at_most(Duration::from_secs(5));
            }
            let events = if client.has_queued() { PollFlags::OUT } else { PollFlags::empty() };
            add(token, client.fd(), events);
        }
        let timeout =
            timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
        // An interrupted poll is an empty one.
        let _ = poll(&mut fds, timeout.as_ref());
        let events: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        tokens.into_iter().zip(events).filter(|(_, e)| !e.is_empty()).collect()
    }

    fn dispatch(&mut self, token: Token, events: PollFlags) {
        match token {
            Token::Wake => {
                let mut counter = [0u8; 8];
                let _ = rustix::io::read(&self.handle.0.wake, &mut counter);
            }
            Token::Children => {
                while let Some(Ok(Some(_))) = self.children.as_mut().map(|c| c.read_signal()) {}
                reap_orphans();
            }
            Token::Guardian => {
                tracing::error!("the guardian was killed: the container ends");
                self.guardian = None;
                self.shut_down();
            }
            Token::Exit(p) => self.reap(p),
            Token::Output(p, s) => self.read_output(p, s),
            Token::Input(p) => self.processes[p].write_input(),
            Token::Client(p, c) => self.processes[p].client_ready(c, events, &mut self.buf),
            Token::Listener(l) => self.listeners[l].ready(events),
            Token::Leaving(l) => self.leaving[l].ready(events),
        }
    }

    /// Reads what a process wrote; end of file closes the stream.
    fn read_output(&mut self, p: usize, stream: usize) {
        let process = &mut self.processes[p];
        let Some(fd) = process.output[stream].clone() else { return };
        match rustix::io::read(&fd, &mut self.buf[..]) {
            Ok(0) => process.end_output(stream),
            Ok(n) => process.emit(stream, &self.buf[..n]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // EIO: nobody has the terminal's other end open any more.
            Err(_) => process.end_output(stream),
        }
    }

    /// Takes the exit status of a process whose pidfd became readable.
    fn reap(&mut self, p: usize) {
        let process = &mut self.processes[p];
        let Some(pidfd) = &process.pidfd else { return };
        let code = match exit_code(pidfd.as_fd()) {
            Some(code) => code,
            None => return,
        };
        process.pidfd = None;
        process.exited = Some((code, Instant::now()));
        if process.exec.is_none() {
            self.end_all();
            // Ending the others may have taken long; what they and init wrote last is still to be read.
            self.processes[p].exited = Some((code, Instant::now()));
        }
    }

    /// Init has ended: so does everything else in the container.
    fn end_all(&mut self) {
        self.supervisor.init_exited();
        let me = std::process::id() as i32;
        let deadline = Instant::now() + DEATH;
        loop {
            let all = super::descendants(me);
            if all.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                tracing::error!("{} processes do not die; the guardian will go on trying", all.len());
                break;
            }
            for pid in all {
                super::signals::send(pid, libc::SIGKILL);
            }
            reap_orphans();
            for process in &mut self.processes {
                if let Some(pidfd) = &process.pidfd
                    && let Some(code) = exit_code(pidfd.as_fd())
                {
                    process.pidfd = None;
                    process.exited = Some((code, Instant::now()));
                }
            }
            // An exec may just have been started: its status is for us to take.
            self.commands();
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    fn commands(&mut self) {
        loop {
            let Some(command) = self.handle.0.queue.lock().pop_front() else { return };
            match command {
                Command::Attach { conn, wants } => self.attach(conn, wants),
                Command::Started(started) => self.started(*started),
                Command::StartFailed { code } => {
                    let init = &mut self.processes[0];
                    init.exited = Some((code, Instant::now()));
                }
                Command::Wait { conn, exec } => self.waiters.push((exec, conn)),
                Command::Events { conn } => {
                    if let Ok(mut client) = Client::new(conn, Wants::default(), false) {
                        client.push(&line(&Reply::Ok));
                        client.push(&line(&Event::State { state: self.supervisor.state.get() }));
                        client.flush();
                        self.listeners.push(client);
                    }
                }
                Command::Publish(event) => {
                    let text = line(&event);
                    for listener in &mut self.listeners {
                        if !listener.is_full() {
                            listener.push(&text);
                            listener.flush();
                        }
                    }
                }
                Command::Shutdown { conn } => {
                    self.waiters.push((None, conn));
                    self.shut_down();
                }
            }
        }
    }

    /// Ends init, or, where there is none, this supervisor.
    fn shut_down(&mut self) {
        if self.processes[0].pidfd.is_some() {
            self.supervisor.kill_init();
        } else if self.processes[0].exited.is_none() && self.supervisor.was_started() {
            // Init runs, or will in a moment; we were only not told yet.
            self.is_ending = true;
        } else if self.processes[0].exited.is_none() {
            self.ended = true;
            self.supervisor.end_files();
            self.answer_waiters(None, &Reply::Ok);
        }
    }

    fn attach(&mut self, conn: UnixStream, wants: Wants) {
        let init = &mut self.processes[0];
        let wants = Wants { stdin: wants.stdin && self.supervisor.spec.open_stdin, ..wants };
        let wants = if init.is_tty {
            Wants { output: [wants.output[0] || wants.output[1], false], ..wants }
        } else {
            wants
        };
        let Ok(mut client) = Client::new(conn, wants, !init.is_tty) else { return };
        client.push(&line(&Reply::Ok));
        client.flush();
        init.clients.push(client);
        if init.is_done {
            init.end_clients(&mut self.leaving);
        }
    }

    fn started(&mut self, started: Started) {
        let Started { exec, pid, pidfd, streams, client } = started;
        let is_tty = streams.terminal.is_some();
        let p = match &exec {
            None => 0,
            Some(_) => {
                self.processes.push(Process {
                    exec,
                    pid: 0,
                    pidfd: None,
                    is_tty,
                    input: None,
                    input_queue: VecDeque::new(),
                    is_input_ending: false,
                    has_stdin_once: true,
                    output: [None, None],
                    log: None,
                    clients: Vec::new(),
                    exited: None,
                    is_done: false,
                });
                self.processes.len() - 1
            }
        };
        let process = &mut self.processes[p];
        process.pid = pid;
        process.pidfd = Some(pidfd);
        process.input = streams.input;
        process.output = streams.output;
        if let Some((conn, wants)) = client
            && let Ok(mut client) = Client::new(conn, wants, !is_tty)
        {
            client.push(&line(&Reply::Ok));
            client.flush();
            process.clients.push(client);
        }
        if p == 0 && self.is_ending {
            super::signals::send(pid, libc::SIGKILL);
        }
    }

    /// Does what follows from all that has happened: forgets who is gone, publishes who has ended.
    fn settle(&mut self) {
        for p in 0..self.processes.len() {
            let process = &mut self.processes[p];
            let is_init = process.exec.is_none();
            process.end_attachments();
            process.clients.retain(|c| !(c.is_gone || is_init && c.is_full() && c.is_stuck()));
            let Some((code, at)) = process.exited else { continue };
            if process.is_done {
                continue;
            }
            let is_open = process.output.iter().any(Option::is_some);
            let is_held_up = process.clients.iter().any(Client::is_full);
            if is_open && (at.elapsed() < LINGER || is_held_up) {
                continue;
            }
            process.drain(&mut self.buf);
            process.finish();
            match process.exec.clone() {
                None => self.finish_init(code),
                Some(id) => {
                    self.supervisor.exec_exited(&id, code);
                    self.handle.publish(Event::ExecDied { id: id.clone(), code });
                    self.answer_waiters(Some(&id), &Reply::Exited { code });
                    self.processes[p].end_clients(&mut self.leaving);
                }
            }
        }
        // Waiters that came late.
        for p in 0..self.processes.len() {
            let process = &self.processes[p];
            if let (Some((code, _)), true) = (process.exited, process.is_done) {
                let exec = process.exec.clone();
                self.answer_waiters(exec.as_deref(), &Reply::Exited { code });
            }
        }
        let mut kept = 0;
        self.processes.retain(|p| {
            kept += 1;
            kept == 1 || !p.is_done || !p.clients.is_empty()
        });
        let supervisor = &self.supervisor;
        self.waiters.retain_mut(|(exec, conn)| {
            // An exec that ended long ago, and is no process here any more.
            let Some(id) = exec else { return true };
            match supervisor.state.exec(id) {
                Some(e) => match e.exit_code {
                    Some(code) if !e.running => {
                        answer(conn, &Reply::Exited { code });
                        false
                    }
                    _ => true,
                },
                None => {
                    answer(conn, &super::exec::no_such_exec(id).into());
                    false
                }
            }
        });
        self.listeners.retain(|l| !l.is_gone && !l.is_stuck());
        self.leaving.retain(|l| !l.is_gone && !l.is_stuck());
    }

    fn finish_init(&mut self, code: i32) {
        // Execs first: whoever sees the container ended finds no running exec in it.
        for p in 1..self.processes.len() {
            let process = &mut self.processes[p];
            if process.is_done {
                continue;
            }
            let code = process.exited.map_or(137, |(c, _)| c);
            process.exited = Some((code, Instant::now()));
            process.drain(&mut self.buf);
            process.finish();
            if let Some(id) = process.exec.clone() {
                self.supervisor.exec_exited(&id, code);
                self.handle.publish(Event::ExecDied { id: id.clone(), code });
                self.answer_waiters(Some(&id), &Reply::Exited { code });
            }
        }
        self.supervisor.finish(code);
        self.answer_waiters(None, &Reply::Exited { code });
        for process in &mut self.processes {
            process.end_clients(&mut self.leaving);
        }
        self.ended = true;
        // The events that were published meanwhile, and requests that came just before the socket was closed.
        self.commands();
        for listener in &mut self.listeners {
            listener.end();
        }
    }

    fn answer_waiters(&mut self, exec: Option<&str>, reply: &Reply) {
        self.waiters.retain_mut(|(of, conn)| {
            let is_his = of.as_deref() == exec;
            if is_his {
                answer(conn, reply);
            }
            !is_his
        });
    }
}

impl Process {
    fn emit(&mut self, stream: usize, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            log.append(stream, bytes);
        }
        for client in &mut self.clients {
            client.output(stream, bytes);
        }
    }

    fn end_output(&mut self, stream: usize) {
        self.output[stream] = None;
        if let Some(log) = &mut self.log {
            log.finish(stream);
        }
    }

    /// Takes what is in the pipes now.
    fn drain(&mut self, buf: &mut [u8]) {
        for stream in 0..2 {
            let mut taken = 0;
            while let Some(fd) = self.output[stream].clone() {
                match rustix::io::read(&fd, &mut *buf) {
                    Ok(n) if n > 0 && taken < LAST_READ => {
                        taken += n;
                        self.emit(stream, &buf[..n]);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    _ => self.end_output(stream),
                }
            }
        }
    }

    /// Ends the attachments whose input has ended and was answered, or was not worth an answer.
    fn end_attachments(&mut self) {
        let now = Instant::now();
        if !self.clients.iter().any(|c| c.end_at.is_some_and(|at| at <= now)) {
            return;
        }
        let is_unread = !self.input_queue.is_empty()
            || self
                .input
                .as_ref()
                .is_some_and(|input| !self.is_tty && rustix::io::ioctl_fionread(input).is_ok_and(|n| n > 0));
        for client in &mut self.clients {
            match client.end_at {
                Some(at) if at > now => {}
                Some(_) if is_unread => {
                    client.is_input_read = false;
                    client.end_at = Some(now + INPUT_CHECK);
                }
                Some(_) if !client.is_input_read => {
                    client.is_input_read = true;
                    client.end_at = Some(now + GRACE);
                }
                Some(_) => client.end(),
                None => {}
            }
        }
    }

    /// The process has ended and its output is complete.
    fn finish(&mut self) {
        for stream in 0..2 {
            if self.output[stream].is_some() {
                self.end_output(stream);
            }
        }
        self.input = None;
        self.input_queue.clear();
        self.is_done = true;
    }

    /// Closes the clients; those that have not taken everything yet are flushed among those `leaving`.
    fn end_clients(&mut self, leaving: &mut Vec<Client>) {
        for mut client in self.clients.drain(..) {
            client.end();
            if !client.is_gone {
                leaving.push(client);
            }
        }
    }

    fn client_ready(&mut self, c: usize, events: PollFlags, buf: &mut [u8]) {
        let can_take = self.input.is_some() && self.input_queue.len() < INPUT_QUEUE;
        let client = &mut self.clients[c];
        if events.contains(PollFlags::OUT) {
            client.flush();
        }
        if events.contains(PollFlags::IN) && !client.is_input_done && can_take {
            match client.read(buf) {
                None => {}
                Some(0) => {
                    client.is_input_done = true;
                    if self.has_stdin_once && !self.is_tty {
                        self.is_input_ending = true;
                    } else {
                        // As in Docker: an attachment whose input ends is over, unless its input was the process's.
                        client.end_at = Some(Instant::now() + INPUT_CHECK);
                    }
                }
                Some(n) => self.input_queue.extend(&buf[..n]),
            }
            self.write_input();
        } else if events.intersects(PollFlags::HUP | PollFlags::ERR) {
            client.is_gone = true;
            if client.wants.stdin && !client.is_input_done && self.has_stdin_once && !self.is_tty {
                self.is_input_ending = true;
                self.write_input();
            }
        }
    }

    fn write_input(&mut self) {
        while let Some(input) = &self.input {
            if self.input_queue.is_empty() {
                if self.is_input_ending {
                    self.input = None;
                }
                return;
            }
            match rustix::io::write(&**input, self.input_queue.as_slices().0) {
                Ok(n) => {
                    self.input_queue.drain(..n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                // EPIPE: the process has closed its input, or ended.
                Err(_) => {
                    self.input = None;
                    self.input_queue.clear();
                }
            }
        }
    }
}

/// Takes the status of an ended child: `None` when it has not ended.
fn exit_code(pidfd: BorrowedFd<'_>) -> Option<i32> {
    match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(Some(status)) => Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => 255,
        }),
        Ok(None) => None,
        // Its tracer, a thread of ours, had to take the status: it was killed.
        Err(_) => Some(128 + libc::SIGKILL),
    }
}

/// Reaps children of this thread that nobody waits for: orphans of execs.
fn reap_orphans() {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::from_bits_retain(WNOTHREAD);
    while let Ok(Some(_)) = waitid(WaitId::All, options) {}
}

/// One line of JSON.
fn line<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Sends a short reply that somebody waits for; if he does not take it, he is gone.
fn answer(conn: &mut UnixStream, reply: &Reply) {
    use std::io::Write;
    let _ = conn.set_nonblocking(true).and_then(|()| conn.write_all(&line(reply)));
}
