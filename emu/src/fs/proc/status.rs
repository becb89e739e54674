//! `stat`, `status`, `sched`: the host's text with ids, credentials and signs of the supervisor translated.

use super::subject::{guest_group, guest_pid};
use super::view::View;
use crate::err;
use crate::errno::Errno;
use crate::task::Cred;
use std::fmt::Write;

/// What takes the place of the host's values.
#[derive(Debug)]
struct Facts<'a> {
    pid: i32,
    tgid: i32,
    ppid: i32,
    pgrp: i32,
    session: i32,
    tracer: i32,
    umask: u32,
    cred: Option<&'a Cred>,
    /// The letter to show, where the host's tells of the supervisor.
    state: Option<char>,
    /// Filters that are not the guest's own.
    foreign_filters: u32,
}

/// The fields of `/proc/PID/stat`: those up to the name's closing parenthesis, and those after it.
fn split_stat(text: &[u8]) -> Option<(&[u8], Vec<&str>)> {
    let open = text.iter().position(|&b| b == b'(')?;
    let close = text.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    Some((text.get(open..=close)?, rest.split_ascii_whitespace().collect()))
}

fn int(field: Option<&&str>) -> i32 {
    field.and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// A caller is running, though it waits for us meanwhile. A task that waits in a call of the supervisor's sleeps, though
/// the host makes its wait uninterruptible.
fn state_of(view: &View<'_>, tid: i32, host: &str) -> Option<char> {
    if tid == view.reader {
        return Some('R');
    }
    if host != "D" {
        return None;
    }
    let at = std::fs::read(format!("/proc/{tid}/wchan")).ok()?;
    at.windows(7).any(|w| w == b"seccomp").then_some('S')
}

fn word(state: char) -> &'static str {
    match state {
        'R' => "R (running)",
        _ => "S (sleeping)",
    }
}

/// `/proc/PID/stat`
pub(super) fn stat(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let text = view.host_text()?;
    let subject = view.subject()?;
    let kernel = &view.kernel;
    let (_, fields) = split_stat(&text).ok_or(err!(ESRCH))?;
    let facts = Facts {
        pid: kernel.tasks.guest_pid(subject.tid),
        tgid: 0,
        ppid: guest_pid(kernel, int(fields.get(1))),
        pgrp: guest_group(kernel, int(fields.get(2))),
        session: guest_group(kernel, int(fields.get(3))),
        tracer: 0,
        umask: 0,
        cred: None,
        state: state_of(view, subject.tid, fields.first().unwrap_or(&"")),
        foreign_filters: 0,
    };
    let tpgid = guest_group(kernel, int(fields.get(5)));
    translate_stat(&text, &facts, tpgid).ok_or(err!(ESRCH))
}

fn translate_stat(text: &[u8], facts: &Facts<'_>, tpgid: i32) -> Option<Vec<u8>> {
    let (name, mut fields) = split_stat(text)?;
    let state = facts.state.map(String::from);
    let ids = [facts.ppid, facts.pgrp, facts.session].map(|id| id.to_string());
    let tpgid = tpgid.to_string();
    if let Some(state) = &state {
        *fields.first_mut()? = state;
    }
    for (field, id) in fields.get_mut(1..4)?.iter_mut().zip(&ids) {
        *field = id;
    }
    *fields.get_mut(5)? = &tpgid;
    let mut out = format!("{} ", facts.pid).into_bytes();
    out.extend_from_slice(name);
    for field in fields {
        out.push(b' ');
        out.extend_from_slice(field.as_bytes());
    }
    out.push(b'\n');
    Some(out)
}

/// The value of a line of `status`.
fn value<'a>(text: &'a [u8], key: &str) -> Option<&'a str> {
    let line = text
        .split(|&b| b == b'\n')
        .find(|l| l.starts_with(key.as_bytes()) && l.get(key.len()) == Some(&b':'))?;
    std::str::from_utf8(&line[key.len() + 1..]).ok().map(str::trim)
}

/// How many seccomp filters a child of the supervisor has that runs nothing of its own: the outside's, and ours.
fn foreign_filters() -> u32 {
    let own = std::fs::read("/proc/thread-self/status").unwrap_or_default();
    value(&own, "Seccomp_filters").and_then(|v| v.parse::<u32>().ok()).unwrap_or(0) + 1
}

/// `/proc/PID/status`
pub(super) fn status(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let text = view.host_text()?;
    let subject = view.subject()?;
    let kernel = &view.kernel;
    let cred = subject.cred(kernel);
    let id = |key: &str| value(&text, key).and_then(|v| v.parse().ok()).unwrap_or(0);
    let state = value(&text, "State").and_then(|v| v.get(..1)).unwrap_or("");
    let facts = Facts {
        pid: kernel.tasks.guest_pid(subject.tid),
        tgid: kernel.tasks.guest_pid(subject.process.tgid),
        ppid: guest_pid(kernel, id("PPid")),
        pgrp: guest_group(kernel, id("NSpgid")),
        session: guest_group(kernel, id("NSsid")),
        tracer: guest_pid(kernel, id("TracerPid")),
        umask: subject.task(kernel).map_or(0o22, |t| t.fs().umask),
        cred: cred.as_deref(),
        state: state_of(view, subject.tid, state),
        foreign_filters: foreign_filters(),
    };
    Ok(translate_status(&text, &facts))
}

fn translate_status(text: &[u8], facts: &Facts<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let filters = value(text, "Seccomp_filters").and_then(|v| v.parse::<u32>().ok());
    let own_filters = filters.unwrap_or(1).saturating_sub(facts.foreign_filters);
    for line in text.split_inclusive(|&b| b == b'\n') {
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            out.extend_from_slice(line);
            continue;
        };
        let key = std::str::from_utf8(&line[..colon]).unwrap_or("");
        match status_line(key, facts, own_filters) {
            Some(value) => {
                out.extend_from_slice(&line[..=colon]);
                out.push(b'\t');
                out.extend_from_slice(value.as_bytes());
                out.push(b'\n');
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// What stands for the host's value, if anything does.
fn status_line(key: &str, facts: &Facts<'_>, own_filters: u32) -> Option<String> {
    let number = |n: i32| Some(n.to_string());
    match key {
        "Umask" => return Some(format!("{:04o}", facts.umask)),
        "State" => return facts.state.map(|s| word(s).to_owned()),
        "Tgid" | "NStgid" => return number(facts.tgid),
        "Pid" | "NSpid" => return number(facts.pid),
        "PPid" => return number(facts.ppid),
        "NSpgid" => return number(facts.pgrp),
        "NSsid" => return number(facts.session),
        "TracerPid" => return number(facts.tracer),
        "Seccomp" => return Some(if own_filters > 0 { "2" } else { "0" }.to_owned()),
        "Seccomp_filters" => return Some(own_filters.to_string()),
        _ => {}
    }
    let cred = facts.cred?;
    Some(match key {
        "Uid" => format!("{}\t{}\t{}\t{}", cred.uid, cred.euid, cred.suid, cred.fsuid),
        "Gid" => format!("{}\t{}\t{}\t{}", cred.gid, cred.egid, cred.sgid, cred.fsgid),
        "Groups" => {
            let mut text = String::new();
            for gid in &cred.groups {
                let _ = write!(text, "{gid} ");
            }
            if text.is_empty() { " ".to_owned() } else { text }
        }
        "CapInh" => format!("{:016x}", cred.inheritable.bits()),
        "CapPrm" => format!("{:016x}", cred.permitted.bits()),
        "CapEff" => format!("{:016x}", cred.effective.bits()),
        "CapBnd" => format!("{:016x}", cred.bounding.bits()),
        "CapAmb" => format!("{:016x}", cred.ambient.bits()),
        "NoNewPrivs" => u8::from(cred.no_new_privs).to_string(),
        _ => return None,
    })
}

/// `/proc/PID/sched`: its first line names the pid.
pub(super) fn sched(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let text = view.host_text()?;
    let (host, guest) = (view.subject()?.tid, view.kernel.tasks.guest_pid(view.subject()?.tid));
    let from = format!(" ({host}, ");
    let end = text.iter().position(|&b| b == b'\n').unwrap_or(text.len());
    let Some(at) = text[..end].windows(from.len()).rposition(|w| w == from.as_bytes()) else {
        return Ok(text);
    };
    let mut out = text[..at].to_vec();
    out.extend_from_slice(format!(" ({guest}, ").as_bytes());
    out.extend_from_slice(&text[at + from.len()..]);
    Ok(out)
}

/// `/proc/PID/task/TID/children`
pub(super) fn children(view: &View<'_>) -> Result<Vec<u8>, Errno> {
    let subject = view.subject()?;
    let mut text = String::new();
    for child in crate::task::process::children_of(subject.process.tgid, subject.tid) {
        let _ = write!(text, "{} ", view.kernel.tasks.guest_pid(child));
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Caps, Cred};

    fn facts(cred: Option<&Cred>) -> Facts<'_> {
        Facts {
            pid: 1,
            tgid: 1,
            ppid: 0,
            pgrp: 1,
            session: 1,
            tracer: 0,
            umask: 0o27,
            cred,
            state: Some('R'),
            foreign_filters: 1,
        }
    }

    #[test]
    fn stat_of_a_program_with_a_hostile_name() {
        let line = b"4711 (a) D 1 (x) D 900 4711 4711 34816 4711 4194304 1 2 3\n";
        let out = translate_stat(line, &facts(None), 1).unwrap();
        assert_eq!(out, b"1 (a) D 1 (x) R 0 1 1 34816 1 4194304 1 2 3\n");
        assert!(translate_stat(b"4711 (a", &facts(None), 1).is_none());
        assert!(translate_stat(b"4711 (a) R 1", &facts(None), 1).is_none());
    }

    #[test]
    fn status_shows_the_container_s_credentials() {
        let cred = Cred { no_new_privs: true, groups: vec![4, 20], ..Cred::root(Caps::CHOWN) };
        let text = b"Name:\tx\nUmask:\t0022\nState:\tD (disk sleep)\nTgid:\t4711\nPid:\t4711\nPPid:\t900\nTracerPid:\t5\n\
            Uid:\t1000\t1000\t1000\t1000\nGroups:\t1000 \nNSpid:\t4711\nThreads:\t3\nCapEff:\t0000000000000000\n\
            NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\nVmRSS:\t    10 kB\n";
        let out = String::from_utf8(translate_status(text, &facts(Some(&cred)))).unwrap();
        let want = "Name:\tx\nUmask:\t0027\nState:\tR (running)\nTgid:\t1\nPid:\t1\nPPid:\t0\nTracerPid:\t0\n\
            Uid:\t0\t0\t0\t0\nGroups:\t4 20 \nNSpid:\t1\nThreads:\t3\nCapEff:\t0000000000000001\n\
            NoNewPrivs:\t1\nSeccomp:\t0\nSeccomp_filters:\t0\nVmRSS:\t    10 kB\n";
        assert_eq!(out, want);
    }
}
