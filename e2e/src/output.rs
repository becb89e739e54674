//! Running a command with a time limit, and judging what it gave.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

/// How a command ended.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The command, for messages.
    pub(crate) what: String,
    /// Its exit code; −1 where a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Output {
    /// Its output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its messages as text.
    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Exit code 0; the output without the white space around it.
    pub(crate) fn good(&self) -> Result<String> {
        self.code(0)
    }

    /// This exit code; the output without the white space around it.
    pub(crate) fn code(&self, code: i32) -> Result<String> {
        ensure!(self.code == code, "exit code {} instead of {code}: {self}", self.code);
        Ok(self.text().trim().to_owned())
    }

    /// Exit code 0 and exactly this output, but for white space around it.
    pub(crate) fn prints(&self, text: &str) -> Result<()> {
        let got = self.good()?;
        ensure!(got == text.trim(), "printed other than {text:?}: {self}");
        Ok(())
    }

    /// This exit code, and a message that contains this.
    pub(crate) fn fails(&self, code: i32, message: &str) -> Result<()> {
        self.code(code)?;
        ensure!(
            self.errors().contains(message) || self.text().contains(message),
            "no message contains {message:?}: {self}"
        );
        Ok(())
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cut = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            match text.char_indices().nth(1500) {
                Some((at, _)) => format!("{}…", &text[..at]),
                None => text,
            }
        };
        let (out, err) = (cut(&self.stdout), cut(&self.stderr));
        write!(f, "{}\n  code {}\n  stdout: {out}\n  stderr: {err}", self.what, self.code)
    }
}

/// Runs a command to its end, or kills it at the deadline, which is an error.
pub(crate) fn run(mut command: Command, input: &[u8], deadline: Instant) -> Result<Output> {
    let what = describe(&command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start {what}"))?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let (status, out, err) = std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // The other side may close early; what it says then is judged, not this.
                let _ = stdin.write_all(input);
            }
        });
        let out = scope.spawn(move || drain(stdout));
        let err = scope.spawn(move || drain(stderr));
        let status = wait(&mut child, deadline);
        if status.is_none() {
            // The whole group: whoever holds the pipes would keep us reading.
            if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.wait();
        }
        (status, out.join().unwrap_or_default(), err.join().unwrap_or_default())
    });
    let code = status.map_or(-2, |s| s.code().unwrap_or(-1));
    let output = Output { what, code, stdout: out, stderr: err };
    if status.is_none() {
        bail!("did not end in time: {output}");
    }
    Ok(output)
}

/// Waits until the deadline.
pub(crate) fn wait(child: &mut Child, deadline: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(4)),
            _ => return None,
        }
    }
}

fn drain(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// The command line, cut where it is long.
pub(crate) fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(|w| w.to_string_lossy().into_owned()).collect();
    line.join(" ").chars().take(300).collect()
}
