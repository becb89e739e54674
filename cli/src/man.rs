//! Manual pages, made of the definitions of the command line.

use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::out;
use clap::{Command, CommandFactory};
use clap_mangen::roff::{Roff, bold, roman};
use std::path::Path;

/// One line of the examples at the end of a verb's help.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) line: String,
    /// What it does; often empty.
    pub(crate) what: String,
}

/// The examples of a verb's help.
pub(crate) fn examples(command: &Command) -> Vec<Example> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let Some((_, rest)) = text.split_once("Examples:\n") else { return Vec::new() };
    let lines = rest.lines().take_while(|l| l.starts_with("  "));
    let example = |line: &str| {
        let line = line.trim();
        let (line, what) = line.split_once("   ").unwrap_or((line, ""));
        Example { line: line.trim().to_owned(), what: what.trim().to_owned() }
    };
    lines.map(example).collect()
}

/// What the help says beside its examples.
fn remarks(command: &Command) -> String {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let Some((before, rest)) = text.split_once("Examples:\n") else { return text };
    let after: Vec<&str> = rest.lines().skip_while(|l| l.starts_with("  ")).collect();
    format!("{}\n{}", before.trim(), after.join("\n").trim()).trim().to_owned()
}

const ENVIRONMENT: [(&str, &str); 6] = [
    ("CARRACK_DATA_ROOT", "Where images and containers are kept, as --data-root."),
    ("CARRACK_LOG", "Least important messages to log: trace, debug, info, warn, error; as --log-level."),
    ("DOCKER_HOST", "The daemon's socket, as -H: unix://PATH."),
    ("DOCKER_CONFIG", "Directory of config.json, where passwords of registries are kept."),
    ("XDG_DATA_HOME", "The data root is carrack below it, where it is set."),
    ("XDG_RUNTIME_DIR", "The run directory is carrack below it, where it is set."),
];

const FILES: [(&str, &str); 4] = [
    ("~/.local/share/carrack", "Data root: images, containers, volumes. /var/lib/carrack for root."),
    (
        "$XDG_RUNTIME_DIR/carrack",
        "Run directory: sockets. /dev/shm/carrack-UID or /tmp/carrack-UID where there is no such directory.",
    ),
    ("carrack.sock", "In the run directory: where the daemon listens unless it is told otherwise."),
    ("~/.docker/config.json", "Passwords of registries and credential helpers, shared with docker."),
];

fn exit_status(path: &[&str]) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("0", "Success.")];
    match path {
        ["run" | "exec" | "attach" | "trace"] => {
            all[0] = ("0", "The command ended with 0.");
            all.extend([
                (
                    "125",
                    "Carrack failed: no such image or container, no daemon, a host that refuses something.",
                ),
                ("126", "The command is there and cannot be run."),
                ("127", "The command was not found."),
                ("128+N", "Signal N ended the command."),
                ("2", "The command line was wrong; or the command's own."),
                ("other", "The command's own."),
            ]);
        }
        _ => {
            all.extend([
                ("1", "It failed, for one of several names perhaps; the message says why."),
                ("2", "The command line was wrong."),
            ]);
        }
    }
    all
}

/// `carrack man`.
pub(crate) fn man(args: &args::Man) -> Result<u8, Failure> {
    let mut root = Cli::command();
    root.build();
    let Some(directory) = &args.directory else {
        return out::print(&page(&root, &[])?);
    };
    std::fs::create_dir_all(directory).map_err(|e| Failure::doing(directory.display(), e))?;
    write_all(&root, &[], directory)?;
    Ok(0)
}

/// Writes the page of a command and those of the verbs below it.
fn write_all(command: &Command, path: &[&str], directory: &Path) -> Result<(), Failure> {
    let name = title(path);
    let file = directory.join(format!("{name}.1"));
    std::fs::write(&file, page(command, path)?).map_err(|e| Failure::doing(file.display(), e))?;
    for sub in command.get_subcommands().filter(|s| s.get_name() != "help" && !s.is_hide_set()) {
        let below: Vec<&str> = path.iter().copied().chain([sub.get_name()]).collect();
        write_all(sub, &below, directory)?;
    }
    Ok(())
}

/// `carrack-system-df`.
fn title(path: &[&str]) -> String {
    let words: Vec<&str> = ["carrack"].into_iter().chain(path.iter().copied()).collect();
    words.join("-")
}

fn page(command: &Command, path: &[&str]) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    render(command, path, &mut text).map_err(|e| Failure::doing("the manual page", e))?;
    Ok(text)
}

fn render(command: &Command, path: &[&str], out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut shown = command.clone().display_name(title(path));
    // The remarks have a place of their own.
    let (examples, remarks) = (examples(command), remarks(command));
    shown = shown.after_help(None::<&str>).after_long_help(None::<&str>);
    let man = clap_mangen::Man::new(shown)
        .title(title(path))
        .source(format!("carrack {}", env!("CARGO_PKG_VERSION")))
        .manual("Carrack");
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    let mut roff = Roff::new();
    for paragraph in remarks.lines().filter(|l| !l.is_empty()) {
        roff.text([roman(paragraph)]);
    }
    roff.to_writer(out)?;
    man.render_options_section(out)?;
    let subcommands = command.get_subcommands().filter(|s| s.get_name() != "help" && !s.is_hide_set());
    let verbs: Vec<(String, String)> = subcommands
        .map(|s| {
            let below: Vec<&str> = path.iter().copied().chain([s.get_name()]).collect();
            (format!("{}(1)", title(&below)), s.get_about().map(ToString::to_string).unwrap_or_default())
        })
        .collect();
    let pairs =
        |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let sections: [(&str, Vec<(String, String)>); 5] = [
        ("VERBS", verbs),
        ("EXAMPLES", examples.into_iter().map(|e| (e.line, e.what)).collect()),
        ("EXIT STATUS", pairs(&exit_status(path))),
        ("ENVIRONMENT", pairs(&ENVIRONMENT)),
        ("FILES", pairs(&FILES)),
    ];
    let mut roff = Roff::new();
    for (heading, rows) in sections {
        if rows.is_empty() {
            continue;
        }
        roff.control("SH", [heading]);
        for (term, text) in rows {
            roff.control("TP", []);
            roff.text([bold(term)]);
            roff.text([roman(text)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(if path.is_empty() { "docker(1)" } else { "carrack(1), docker(1)" })]);
    roff.to_writer(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_cut_out_of_the_help() {
        let command =
            Command::new("x").after_help("Before.\n\nExamples:\n  a -b c      what it does\n  d\n\nAfter.");
        let all = examples(&command);
        assert_eq!(all[0], Example { line: "a -b c".into(), what: "what it does".into() });
        assert_eq!((all.len(), all[1].line.as_str()), (2, "d"));
        assert_eq!(remarks(&command), "Before.\nAfter.");
    }

    #[test]
    fn every_verb_has_a_page_with_every_section() {
        let dir = tempfile::tempdir().unwrap();
        man(&args::Man { directory: Some(dir.path().to_owned()) }).unwrap();
        let mut pages = 0;
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for section in [
                ".SH NAME",
                ".SH SYNOPSIS",
                ".SH OPTIONS",
                ".SH EXAMPLES",
                ".SH \"EXIT STATUS\"",
                ".SH ENVIRONMENT",
                ".SH FILES",
            ] {
                assert!(text.contains(section), "{} has no {section}:\n{text}", path.display());
            }
            pages += 1;
        }
        assert!(pages > 30, "{pages}");
        assert!(dir.path().join("carrack-system-df.1").exists());
    }
}
