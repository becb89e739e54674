//! The list of programs that are known to differ.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::programs::Program;

/// What is done with a listed program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Disposition {
    /// Not run at all.
    Skip,
    /// Run; a pass is an error.
    ExpectFailure,
}

/// One entry of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) disposition: Disposition,
    pub(crate) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    program: Vec<Entry>,
}

/// Reads `expectations/carrack.toml`. An entry for a program that does not exist, or without a reason, is an error.
pub(crate) fn read(programs: &[Program]) -> Result<BTreeMap<String, Entry>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("expectations/carrack.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text, programs).with_context(|| path.display().to_string())
}

fn parse(text: &str, programs: &[Program]) -> Result<BTreeMap<String, Entry>> {
    let file: File = toml::from_str(text)?;
    let mut entries = BTreeMap::new();
    for entry in file.program {
        ensure!(programs.iter().any(|p| p.name == entry.name), "no program is called {}", entry.name);
        ensure!(!entry.reason.trim().is_empty(), "{} has no reason", entry.name);
        entries.insert(entry.name.clone(), entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_good() {
        read(&crate::programs::all().unwrap()).unwrap();
    }

    #[test]
    fn unknown_programs_and_empty_reasons_are_refused() {
        let programs = crate::programs::all().unwrap();
        let entry = |name, reason| {
            format!("[[program]]\nname = \"{name}\"\ndisposition = \"skip\"\nreason = \"{reason}\"\n")
        };
        assert!(parse(&entry("no_such_program", "x"), &programs).is_err());
        assert!(parse(&entry("rename", " "), &programs).is_err());
        assert!(parse(&entry("rename", "x"), &programs).is_ok());
    }
}
