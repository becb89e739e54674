//! `carrack` as its users call it, with an image of two tiny programs: one that exits with 7, one that waits for ever.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A static program of the given instructions.
fn program(code: &[u8]) -> Vec<u8> {
    let mut elf = vec![0u8; 120];
    elf[..20].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0]);
    let base = 0x40_0000u64;
    let size = (120 + code.len()) as u64;
    let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
    put(20, &1u32.to_le_bytes()); // e_version
    put(24, &(base + 120).to_le_bytes()); // e_entry
    put(32, &64u64.to_le_bytes()); // e_phoff
    put(52, &64u16.to_le_bytes()); // e_ehsize
    put(54, &56u16.to_le_bytes()); // e_phentsize
    put(56, &1u16.to_le_bytes()); // e_phnum
    put(64, &1u32.to_le_bytes()); // PT_LOAD
    put(68, &5u32.to_le_bytes()); // readable, executable
    put(80, &base.to_le_bytes());
    put(88, &base.to_le_bytes());
    put(96, &size.to_le_bytes());
    put(104, &size.to_le_bytes());
    put(112, &0x1000u64.to_le_bytes());
    elf.extend_from_slice(code);
    elf
}

struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    /// A data root with the image `tiny:1`.
    fn new() -> Bed {
        let bed = Bed { dir: tempfile::Builder::new().prefix("ck").tempdir().unwrap() };
        std::fs::create_dir(bed.path("run")).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        // mov edi, 7; mov eax, 60 (exit); syscall
        let exit = program(&[0xbf, 7, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
        // mov eax, 34 (pause); syscall; jmp back
        let wait = program(&[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]);
        for (name, mode, body) in [
            ("exit7", 0o755, &exit),
            ("wait", 0o755, &wait),
            ("plain", 0o644, &exit),
            ("junk", 0o755, &b"\0junk".to_vec()),
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_size(body.len() as u64);
            header.set_mode(mode);
            tar.append_data(&mut header, format!("bin/{name}"), body.as_slice()).unwrap();
        }
        std::fs::write(bed.path("tiny.tar"), tar.into_inner().unwrap()).unwrap();
        let file = bed.path("tiny.tar");
        let out = bed.carrack(&["import", file.to_str().unwrap(), "tiny:1"]);
        assert!(out.status.success(), "{out:?}");
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carrack"));
        command
            .args(args)
            .env("CARRACK_DATA_ROOT", self.path("data"))
            .env("XDG_RUNTIME_DIR", self.path("run"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn carrack(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The exit code of `carrack run tiny:1 …`, and what it said.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let out = self.carrack(&[&["run"], args].concat());
        (out.status.code().unwrap_or(-1), String::from_utf8_lossy(&out.stderr).into_owned())
    }

    /// A container that waits for ever; its init's and supervisor's process ids.
    fn waiting(&self) -> (Child, i32, i32) {
        let child = self.command(&["run", "tiny:1", "wait"]).spawn().unwrap();
        let state = eventually(|| {
            let containers = std::fs::read_dir(self.path("data/containers")).ok()?;
            let dir = containers.flatten().next()?.path();
            let text = std::fs::read(dir.join("state.json")).ok()?;
            let state: serde_json::Value = serde_json::from_slice(&text).ok()?;
            (state["status"] == "running").then_some(state)
        });
        let pid = |key: &str| i32::try_from(state[key].as_i64().unwrap()).unwrap();
        (child, pid("pid"), pid("supervisor_pid"))
    }

    /// Nothing is left of any container.
    fn is_clean(&self) -> Option<()> {
        let is_empty = |dir: &Path| match std::fs::read_dir(dir) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => true,
        };
        (is_empty(&self.path("data/containers")) && is_empty(&self.path("run/carrack"))).then_some(())
    }
}

/// Waits until there is something.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Ended, or a zombie that nobody has reaped yet.
fn is_gone(pid: i32) -> Option<()> {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Err(_) => Some(()),
        Ok(stat) => stat.rsplit(") ").next().unwrap().starts_with('Z').then_some(()),
    }
}

#[test]
fn exit_codes() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["tiny:1", "exit7"]), (7, String::new()));
    assert_eq!(bed.run(&["tiny:1", "--", "/bin/exit7"]).0, 7);
    let (code, text) = bed.run(&["tiny:1", "nosuch"]);
    assert!(code == 127 && text.contains("executable file not found in $PATH"), "{code} {text}");
    let (code, text) = bed.run(&["tiny:1", "/bin"]);
    assert!(code == 126 && text.contains("is a directory"), "{code} {text}");
    let (code, text) = bed.run(&["tiny:1", "/bin/plain"]);
    assert!(code == 126 && text.contains("permission denied"), "{code} {text}");
    let (code, text) = bed.run(&["tiny:1", "/bin/junk"]);
    assert!(code == 126 && text.contains("exec format error"), "{code} {text}");
    let (code, text) = bed.run(&["--pull", "never", "nosuch:1", "x"]);
    assert!(code == 125 && text.contains("nosuch:1"), "{code} {text}");
    let (code, text) = bed.run(&["tiny:1"]);
    assert!(code == 125 && text.contains("no command specified"), "{code} {text}");
    let (code, text) = bed.run(&["-u", "nobody", "tiny:1", "exit7"]);
    assert!(code == 125 && text.contains("unable to find user nobody"), "{code} {text}");
    eventually(|| bed.is_clean());
}

#[test]
fn signals_reach_init_by_the_rules_of_pid_1() {
    let bed = Bed::new();
    let (mut child, pid, _) = bed.waiting();
    // It has no handler for SIGTERM, so it ignores it; nothing stops SIGKILL.
    kill(child.id() as i32, rustix::process::Signal::TERM);
    std::thread::sleep(Duration::from_millis(100));
    assert!(is_gone(pid).is_none());
    kill(pid, rustix::process::Signal::KILL);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    eventually(|| bed.is_clean());
}

#[test]
fn nothing_outlives_the_client() {
    let bed = Bed::new();
    let (mut child, pid, supervisor) = bed.waiting();
    child.kill().unwrap();
    child.wait().unwrap();
    eventually(|| is_gone(pid));
    eventually(|| is_gone(supervisor));
    eventually(|| bed.is_clean());
}

#[test]
fn nothing_outlives_the_supervisor() {
    let bed = Bed::new();
    let (mut child, pid, supervisor) = bed.waiting();
    kill(supervisor, rustix::process::Signal::KILL);
    eventually(|| is_gone(pid));
    let code = child.wait().unwrap().code();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(code, Some(125), "{text}");
    eventually(|| bed.is_clean());
}

#[test]
fn nothing_outlives_the_guardian() {
    let bed = Bed::new();
    let (mut child, pid, supervisor) = bed.waiting();
    let stat = std::fs::read_to_string(format!("/proc/{supervisor}/stat")).unwrap();
    let guardian = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    kill(guardian, rustix::process::Signal::KILL);
    eventually(|| is_gone(pid));
    eventually(|| is_gone(supervisor));
    child.wait().unwrap();
    eventually(|| bed.is_clean());
}

#[test]
fn images_are_listed_tagged_and_removed() {
    let bed = Bed::new();
    let text = |args: &[&str]| {
        let out = bed.carrack(args);
        assert!(out.status.success(), "{args:?} {out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(text(&["images", "-q"]).lines().count(), 1);
    text(&["tag", "tiny:1", "other:2"]);
    let list = text(&["images"]);
    assert!(
        list.starts_with("REPOSITORY") && list.contains("\ntiny ") && list.contains("\nother "),
        "{list}"
    );
    assert!(text(&["rmi", "other:2"]).starts_with("Untagged: other:2"));
    assert!(text(&["rmi", "tiny:1"]).contains("Deleted: sha256:"));
    let out = bed.carrack(&["rmi", "tiny:1"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("tiny:1"));
}

#[test]
fn bad_input_is_refused_with_a_reason() {
    let bed = Bed::new();
    for (args, words) in [
        (&["import", "/nosuch/file.tar"][..], "/nosuch/file.tar"),
        (&["import", "/"], "directory"),
        (&["run", "-v", "/tmp", "tiny:1", "exit7"], "invalid volume"),
        (&["run", "--memory", "lots", "tiny:1", "exit7"], "is not a unit"),
        (&["run", "--security-opt", "seccomp=unconfined", "tiny:1", "exit7"], "unknown security option"),
        (&["run", "-it", "tiny:1", "exit7"], "not a TTY"),
        (&["supervise", "/nosuch"], "spec.json"),
        (&["serve", "-H", "tcp://0.0.0.0:2375"], "TCP is not offered"),
    ] {
        let out = bed.carrack(args);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn a_broken_spec_is_refused() {
    let bed = Bed::new();
    let dir = bed.path("c");
    std::fs::create_dir(&dir).unwrap();
    for text in [
        "",
        "{",
        "[]",
        r#"{"id":"x"}"#,
        r#"{"id":"../../x","args":["a"],"rootfs":{"store":"/"},"container_dir":"/","run_dir":"/"}"#,
    ] {
        std::fs::write(dir.join("spec.json"), text).unwrap();
        let out = bed.carrack(&["supervise", dir.to_str().unwrap()]);
        assert_eq!(out.status.code(), Some(125));
        let reply: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(reply["reply"], "error", "{text}");
    }
}

#[test]
fn doctor_speaks_json() {
    let bed = Bed::new();
    let out = bed.carrack(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["usable"].as_bool(), Some(out.status.success()));
    assert!(report["findings"].as_array().unwrap().len() > 15);
    assert!(String::from_utf8_lossy(&bed.carrack(&["doctor", "--syscalls"]).stdout).contains("openat"));
}
