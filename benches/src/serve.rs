//! A measuring program that stays: it is told how often to call, and tells how long that took by its own clock.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::peers::{Peer, Scene};

/// `bench serve NAME`, running under a peer. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// Starts the program for the measurement of that name (a row of `calls` in `guest/bench.c`).
    ///
    /// # Errors
    /// Where it cannot be started; a name that it does not know shows at the first [`Server::time`].
    pub fn start(scene: &Scene, peer: Peer, name: &str) -> Result<Server> {
        let mut command = scene.command(peer, &["bench", "serve", name])?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let asks = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("no pipe")?);
        Ok(Server { child, asks, answers })
    }

    /// How long so many calls take.
    ///
    /// # Errors
    /// Where the program has ended.
    pub fn time(&mut self, calls: u64) -> Result<Duration> {
        writeln!(self.asks.as_mut().context("no pipe")?, "{calls}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let nanoseconds = line.trim().parse().context("the measuring program has ended")?;
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is the end of the program.
        self.asks = None;
        let _ = self.child.wait();
    }
}
