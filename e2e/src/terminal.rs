//! A command on a terminal of its own (by `script` of util-linux), typed at and read like a person would.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bed::Cx;
use crate::{lock, output};

/// A running session.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    stdin: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
    /// What was shown before this was already matched.
    seen: usize,
    deadline: Instant,
}

impl Terminal {
    /// Runs a shell command line on a terminal of 40 rows and 100 columns; `docker` in it is this bed's client.
    pub(crate) fn open(cx: &Cx, line: &str) -> Result<Terminal> {
        let docker = cx.bed.docker();
        let mut command = Command::new("script");
        for (key, value) in docker.get_envs() {
            if let Some(value) = value {
                command.env(key, value);
            }
        }
        command.args(["-qefc", &format!("stty rows 40 cols 100; {line}"), "/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot start script")?;
        let (Some(stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("no pipes")
        };
        let screen = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                lock(&copy).extend_from_slice(&buffer[..n]);
            }
        });
        Ok(Terminal { child, stdin, screen, seen: 0, deadline: cx.deadline })
    }

    /// Types something.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        self.stdin.write_all(text.as_bytes())?;
        Ok(self.stdin.flush()?)
    }

    /// Waits until this is shown, after what was waited for before.
    pub(crate) fn expect(&mut self, text: &str) -> Result<()> {
        loop {
            {
                let screen = lock(&self.screen);
                let rest = &screen[self.seen.min(screen.len())..];
                if let Some(at) = rest.windows(text.len()).position(|w| w == text.as_bytes()) {
                    self.seen += at + text.len();
                    return Ok(());
                }
            }
            if Instant::now() > self.deadline {
                bail!("{text:?} was not shown; the screen: {:?}", self.text());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types a line and waits for an answer.
    pub(crate) fn ask(&mut self, line: &str, answer: &str) -> Result<()> {
        self.send(&format!("{line}\n"))?;
        self.expect(answer)
    }

    /// All that was shown.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.screen)).into_owned()
    }

    /// Waits for the end; the exit code of the command.
    pub(crate) fn end(mut self) -> Result<i32> {
        match output::wait(&mut self.child, self.deadline) {
            Some(status) => Ok(status.code().unwrap_or(-1)),
            None => bail!("the session does not end; the screen: {:?}", self.text()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
