//! `carrack doctor`: what this host allows, and what each missing thing costs.

use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::{dirs, probe};
use serde::Serialize;

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    /// Not there; containers run nevertheless.
    Missing,
    /// Not there, and containers cannot run without it.
    Fatal,
}

/// One finding.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    /// What was seen.
    pub(crate) detail: String,
    /// What is lost without it.
    pub(crate) cost: &'static str,
}

/// `carrack doctor`.
pub(crate) fn doctor(cli: &Cli, args: &args::Doctor) -> Result<u8, Failure> {
    if args.syscalls {
        return crate::out::print(carrack_syscalls::doc::markdown().as_bytes());
    }
    let data_root = dirs::data_root(cli)?;
    let run_root = dirs::run_root();
    let mut findings = probe::kernel();
    findings.extend(probe::storage(&data_root, run_root.as_deref().ok()));
    findings.extend(probe::limits());
    let is_usable = !findings.iter().any(|f| f.state == State::Fatal);
    let text = if args.json {
        let report = serde_json::json!({
            "usable": is_usable,
            "kernel": rustix::system::uname().release().to_string_lossy(),
            "dataRoot": data_root,
            "findings": findings,
        });
        format!("{report:#}\n")
    } else {
        table(&findings, is_usable)
    };
    crate::out::print(text.as_bytes())?;
    Ok(u8::from(!is_usable))
}

fn table(findings: &[Finding], is_usable: bool) -> String {
    let width = findings.iter().map(|f| f.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for f in findings {
        let mark = match f.state {
            State::Ok => "ok     ",
            State::Missing => "missing",
            State::Fatal => "FATAL  ",
        };
        text.push_str(&format!("{mark}  {:<width$}  {}\n", f.name, f.detail));
        if f.state != State::Ok {
            text.push_str(&format!("         {:<width$}  costs: {}\n", "", f.cost));
        }
    }
    text.push_str(if is_usable {
        "\nContainers can run on this host.\n"
    } else {
        "\nContainers cannot run on this host: see the lines marked FATAL.\n"
    });
    text
}
