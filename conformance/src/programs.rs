//! The guest programs and what their first lines say about them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How a program is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linking {
    Static,
    Dynamic,
}

/// One program of `conformance/guest`. Its directives are comment lines at its head: `// subject: …`, `// root`,
/// `// dynamic`, `// guest-only`, `// timeout SECONDS`.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) source: PathBuf,
    pub(crate) subject: String,
    pub(crate) linking: Linking,
    /// Runs as uid 0: natively only where the runner is root.
    pub(crate) root: bool,
    /// Has no native counterpart; its output is compared with `expected/NAME.txt`.
    pub(crate) guest_only: bool,
    pub(crate) timeout: Duration,
}

/// Where the programs are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guest")
}

/// All programs, sorted by name.
pub(crate) fn all() -> Result<Vec<Program>> {
    let directory = directory();
    let mut programs = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|s| s.to_str()) else { continue };
        if path.extension().is_some_and(|e| e == "c") && name != "driver" {
            let text = fs::read_to_string(&path)?;
            programs.push(parse(name, &path, &text)?);
        }
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

fn parse(name: &str, source: &Path, text: &str) -> Result<Program> {
    let mut program = Program {
        name: name.to_owned(),
        source: source.to_owned(),
        subject: String::new(),
        linking: Linking::Static,
        root: false,
        guest_only: false,
        timeout: Duration::from_secs(20),
    };
    for line in text.lines().map_while(|l| l.strip_prefix("// ")) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("subject:", subject) => program.subject = subject.to_owned(),
            ("root", _) => program.root = true,
            ("dynamic", _) => program.linking = Linking::Dynamic,
            ("guest-only", _) => program.guest_only = true,
            ("timeout", seconds) => {
                let seconds = seconds.parse().with_context(|| format!("{name}: timeout {seconds}"))?;
                program.timeout = Duration::from_secs(seconds);
            }
            _ => {}
        }
    }
    ensure!(!program.subject.is_empty(), "{name}: the first line does not say // subject: …");
    Ok(program)
}

/// `carrack-conformance list`.
pub(crate) fn list() -> Result<bool> {
    for program in all()? {
        let who = if program.root { "root" } else { "user" };
        println!("{:<20} {who}  {}", program.name, program.subject);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read() {
        let text = "// subject: a b\n// root\n// timeout 90\n#include \"t.h\"\n// dynamic\n";
        let program = parse("x", Path::new("x.c"), text).unwrap();
        assert_eq!(program.subject, "a b");
        assert!(program.root);
        assert_eq!(program.timeout, Duration::from_secs(90));
        assert_eq!(program.linking, Linking::Static, "a directive below the head does not count");
    }

    #[test]
    fn there_are_enough_programs_and_each_has_a_subject() {
        assert!(all().unwrap().len() >= 60);
    }
}
