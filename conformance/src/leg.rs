//! One leg of the comparison: the driver runs a list of programs, and its frames are read back.
//!
//! A frame is `@@ NAME RESULT BYTES\n`, the bytes, `\n`. Programs after one that took the driver down with it (a container
//! that ended, a hang) are run again by a new driver.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::programs::Program;

/// How a program ended and what it printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// `exit:N`, `signal:N`, `timeout`, or what the runner says of a driver that did not come to an end.
    pub(crate) result: String,
    pub(crate) output: Vec<u8>,
}

/// Time beyond a program's own limit that a leg may be silent: starting a container, a loaded machine.
const SLACK: Duration = Duration::from_secs(30);

/// Runs all programs of a leg. `command` makes the command that runs the driver with the given program arguments.
pub(crate) fn run(
    programs: &[&Program],
    isolate: bool,
    mut command: impl FnMut(&[String]) -> Result<Command>,
) -> Result<BTreeMap<String, Outcome>> {
    let mut outcomes = BTreeMap::new();
    let mut left: &[&Program] = programs;
    while !left.is_empty() {
        let batch = if isolate { &left[..1] } else { left };
        let specs: Vec<String> =
            batch.iter().map(|p| format!("{}:{}", p.name, p.timeout.as_secs())).collect();
        let (frames, complaint) = drive(batch, command(&specs)?)?;
        let done = frames.len();
        for (program, outcome) in batch.iter().zip(frames) {
            outcomes.insert(program.name.clone(), outcome);
        }
        left = &left[done..];
        if done < batch.len() {
            let outcome = Outcome { result: "lost".to_owned(), output: complaint };
            outcomes.insert(left[0].name.clone(), outcome);
            left = &left[1..];
        }
    }
    Ok(outcomes)
}

/// Runs one driver; returns the frames it gave and, for the case that some are missing, what it said on stderr.
fn drive(batch: &[&Program], mut command: Command) -> Result<(Vec<Outcome>, Vec<u8>)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        anyhow::bail!("no pipes");
    };
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        while let Some(frame) = read_frame(&mut reader) {
            if sender.send(frame).is_err() {
                return;
            }
        }
    });
    let complaints = std::thread::spawn(move || {
        let mut text = Vec::new();
        // The text only explains a failure that is already known.
        let _ = stderr.read_to_end(&mut text);
        text
    });
    let mut outcomes = Vec::new();
    let mut silent = false;
    for program in batch {
        match receiver.recv_timeout(program.timeout + SLACK) {
            Ok((name, outcome)) if name == program.name => outcomes.push(outcome),
            Ok((name, _)) => anyhow::bail!("a frame of {name} instead of {}", program.name),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                silent = true;
                break;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    if outcomes.len() == batch.len() {
        // The driver has nothing left to do; give it a moment to end by itself.
        for _ in 0..200 {
            if child.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        // Fails when the group is gone, which is what we want.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait()?;
    drop(receiver);
    let _ = reader.join();
    let mut complaint = complaints.join().unwrap_or_default();
    let why =
        if silent { "nothing came for too long".to_owned() } else { format!("the driver ended: {status}") };
    complaint.extend_from_slice(why.as_bytes());
    complaint.push(b'\n');
    Ok((outcomes, complaint))
}

/// The next frame; what stands between frames is ignored.
fn read_frame(reader: &mut impl BufRead) -> Option<(String, Outcome)> {
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&line);
        let Some(head) = text.trim_end().strip_prefix("@@ ") else { continue };
        let mut words = head.split(' ');
        let (name, result) = (words.next()?.to_owned(), words.next()?.to_owned());
        let bytes: usize = words.next()?.parse().ok()?;
        let mut output = vec![0; bytes.min(1 << 20)];
        reader.read_exact(&mut output).ok()?;
        return Some((name, Outcome { result, output }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_whatever_they_hold() {
        let mut text: &[u8] = b"noise\n@@ a exit:0 4\n@@ x\n@@ b signal:9 0\n\n";
        let (name, outcome) = read_frame(&mut text).unwrap();
        assert_eq!((name.as_str(), outcome.output.as_slice()), ("a", b"@@ x".as_slice()));
        let (name, outcome) = read_frame(&mut text).unwrap();
        assert_eq!((name.as_str(), outcome.result.as_str()), ("b", "signal:9"));
        assert!(read_frame(&mut text).is_none());
    }
}
