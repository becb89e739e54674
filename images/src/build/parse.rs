//! From logical lines to instructions.

use super::flags::Flags;
use super::instruction::{
    CommandLine, Dockerfile, Healthcheck, Instruction, Pair, Run, Stage, Step, Transfer,
};
use super::json::{self, NotStrings};
use super::lines::{self, Line};
use super::{ParseError, words};

/// Parses a Dockerfile.
///
/// # Errors
/// Where it is none.
pub fn parse(text: &str) -> Result<Dockerfile, ParseError> {
    let lines = lines::split(text)?;
    let escape = lines.escape;
    let mut file = Dockerfile { escape, meta_args: Vec::new(), stages: Vec::new(), warnings: lines.warnings };
    if lines.lines.is_empty() {
        return Err(ParseError { line: 1, message: "file with no instructions".into(), is_syntax: true });
    }
    for line in &lines.lines {
        let error = |message| ParseError { line: line.number, message, is_syntax: false };
        if line.keyword == "FROM" {
            file.stages.push(from(line).map_err(error)?);
            continue;
        }
        let step = step(line, escape).map_err(error)?;
        match (file.stages.last_mut(), &step.instruction) {
            (Some(stage), _) => stage.steps.push(step),
            (None, Instruction::Arg(_)) => file.meta_args.push(step),
            (None, _) => return Err(error("no build stage in current context".into())),
        }
    }
    if file.stages.is_empty() {
        let number = lines.lines.first().map_or(1, |l| l.number);
        let message = "no build stage in current context".into();
        return Err(ParseError { line: number, message, is_syntax: false });
    }
    Ok(file)
}

/// Parses the instruction of an `ONBUILD`.
///
/// # Errors
/// Where it is none, or more than one.
pub fn parse_trigger(text: &str) -> Result<Step, String> {
    let lines = lines::split(text).map_err(|e| e.message)?;
    match &lines.lines[..] {
        [line] => step(line, lines.escape),
        _ => Err("onbuild trigger should be a single expression".into()),
    }
}

fn from(line: &Line) -> Result<Stage, String> {
    let flags = Flags::of(&line.flags, &["platform"], &[])?;
    let parts: Vec<&str> = line.rest.split_whitespace().collect();
    let (base, name) = match parts[..] {
        [base] => (base, None),
        [base, r#as, name] if r#as.eq_ignore_ascii_case("as") => (base, Some(stage_name(name)?)),
        _ => return Err("FROM requires either one or three arguments".into()),
    };
    Ok(Stage {
        base: base.to_owned(),
        name,
        platform: flags.text("platform")?,
        code: line.original.clone(),
        line: line.number,
        steps: Vec::new(),
    })
}

fn stage_name(name: &str) -> Result<String, String> {
    let lower = name.to_lowercase();
    let is_good = lower.starts_with(|c: char| c.is_ascii_lowercase())
        && lower.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    if is_good {
        return Ok(lower);
    }
    Err(format!("invalid name for build stage: {name:?}, name can't start with a number or contain symbols"))
}

fn step(line: &Line, escape: char) -> Result<Step, String> {
    let instruction = instruction(line, escape)?;
    Ok(Step { code: line.original.clone(), line: line.number, instruction })
}

fn instruction(line: &Line, escape: char) -> Result<Instruction, String> {
    let keyword = line.keyword.as_str();
    let needs_one = || format!("{keyword} requires exactly one argument");
    let no_flags = || Flags::of(&line.flags, &[], &[]).map(drop);
    let rest = line.rest.as_str();
    if !matches!(keyword, "ADD" | "COPY" | "RUN" | "HEALTHCHECK" | "ONBUILD") {
        no_flags().or_else(|e| if is_known(keyword) { Err(e) } else { Ok(()) })?;
    }
    Ok(match keyword {
        "ADD" => Instruction::Add(transfer(line, escape)?),
        "COPY" => Instruction::Copy(transfer(line, escape)?),
        "ARG" => Instruction::Arg(arguments(rest, escape)?),
        "CMD" => Instruction::Cmd(command(rest)?),
        "ENTRYPOINT" => Instruction::Entrypoint(command(rest)?),
        "ENV" => Instruction::Env(pairs(line, escape)?),
        "LABEL" => Instruction::Label(pairs(line, escape)?),
        "EXPOSE" => match rest {
            "" => return Err("EXPOSE requires at least one argument".into()),
            rest => Instruction::Expose(rest.split_whitespace().map(str::to_owned).collect()),
        },
        "HEALTHCHECK" => Instruction::Healthcheck(healthcheck(line)?),
        "MAINTAINER" if rest.is_empty() => return Err(needs_one()),
        "MAINTAINER" => Instruction::Maintainer(rest.to_owned()),
        "ONBUILD" => Instruction::Onbuild(onbuild(line)?),
        "RUN" => Instruction::Run(run(line)?),
        "SHELL" => match json::strings(rest) {
            Ok(shell) if shell.is_empty() => return Err("SHELL requires at least one argument".into()),
            Ok(shell) => Instruction::Shell(shell),
            Err(_) if rest.is_empty() => return Err("SHELL requires at least one argument".into()),
            Err(_) => return Err("SHELL requires the arguments to be in JSON form".into()),
        },
        "STOPSIGNAL" | "USER" | "WORKDIR" if rest.is_empty() => return Err(needs_one()),
        "STOPSIGNAL" => Instruction::Stopsignal(rest.to_owned()),
        "USER" => Instruction::User(rest.to_owned()),
        "WORKDIR" => Instruction::Workdir(rest.to_owned()),
        "VOLUME" => {
            let volumes = list(rest)?;
            if volumes.is_empty() {
                return Err("VOLUME requires at least one argument".into());
            }
            if volumes.iter().any(|v| v.trim().is_empty()) {
                return Err("VOLUME specified can not be an empty string".into());
            }
            Instruction::Volume(volumes)
        }
        other => return Err(format!("unknown instruction: {}", shown(other))),
    })
}

fn is_known(keyword: &str) -> bool {
    const KNOWN: [&str; 18] = [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ];
    KNOWN.contains(&keyword)
}

/// A word of the file in a message.
fn shown(word: &str) -> String {
    const MOST: usize = 100;
    if word.chars().count() > MOST {
        word.chars().take(MOST).chain(['…']).collect()
    } else {
        word.to_owned()
    }
}

fn command(rest: &str) -> Result<CommandLine, String> {
    match json::strings(rest) {
        Ok(list) => Ok(CommandLine::Exec(list)),
        Err(NotStrings::NoList) if rest.is_empty() => Ok(CommandLine::Exec(Vec::new())),
        Err(NotStrings::NoList) => Ok(CommandLine::Shell(rest.to_owned())),
        Err(e) => Err(e.to_string()),
    }
}

/// A JSON list, or words between blanks.
fn list(rest: &str) -> Result<Vec<String>, String> {
    match json::strings(rest) {
        Ok(list) => Ok(list),
        Err(NotStrings::NoList) => Ok(rest.split_whitespace().map(str::to_owned).collect()),
        Err(e) => Err(e.to_string()),
    }
}

fn transfer(line: &Line, escape: char) -> Result<Transfer, String> {
    let is_add = line.keyword == "ADD";
    let single: &[&str] = if is_add {
        &["chown", "chmod", "link", "checksum", "keep-git-dir", "unpack"]
    } else {
        &["chown", "chmod", "link", "from", "parents"]
    };
    let flags = Flags::of(&line.flags, single, &["exclude"])?;
    let mut words = list(&line.rest)?;
    if words.len() < 2 {
        return Err(format!(
            "{} requires at least two arguments, but only one was provided. Destination could not be determined",
            line.keyword
        ));
    }
    let destination = words.pop().unwrap_or_default();
    let mut transfer = Transfer {
        destination,
        from: flags.text("from")?,
        chown: flags.text("chown")?,
        chmod: flags.text("chmod")?,
        link: flags.switch("link")?.unwrap_or(false),
        parents: flags.switch("parents")?.unwrap_or(false),
        exclude: flags.texts("exclude")?,
        checksum: flags.text("checksum")?,
        unpack: flags.switch("unpack")?,
        ..Transfer::default()
    };
    if flags.switch("keep-git-dir")? == Some(true) {
        return Err("--keep-git-dir is for git repositories, which are not supported".into());
    }
    for word in words {
        let of_line = lines::heredoc(&word, escape)
            .and_then(|begun| line.heredocs.iter().find(|h| h.name == begun.name));
        match of_line {
            Some(heredoc) => transfer.heredocs.push(heredoc.clone()),
            None => transfer.sources.push(word),
        }
    }
    Ok(transfer)
}

fn arguments(rest: &str, escape: char) -> Result<Vec<(String, Option<String>)>, String> {
    let words = words::split(rest, escape);
    if words.is_empty() {
        return Err("ARG requires at least one argument".into());
    }
    words
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err("ARG names can not be blank".into()),
            Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
            None => Ok((word, None)),
        })
        .collect()
}

fn pairs(line: &Line, escape: char) -> Result<Vec<Pair>, String> {
    let keyword = &line.keyword;
    let words = words::split(&line.rest, escape);
    let pair = |name: &str, value: &str| {
        if name.trim_matches(['"', '\'']).is_empty() {
            return Err(format!("{keyword} names can not be blank"));
        }
        Ok(Pair { name: name.to_owned(), value: value.to_owned(), is_literal: false })
    };
    let Some(first) = words.first() else { return Err(format!("{keyword} requires at least one argument")) };
    if !first.contains('=') {
        // The old form: one name, and the rest of the line.
        let Some((name, value)) = line.rest.split_once(char::is_whitespace) else {
            return Err(format!("{keyword} must have two arguments"));
        };
        return Ok(vec![pair(name, value.trim_start())?]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) => pair(name, value),
            None => Err(format!(
                "Syntax error - can't find = in {:?}. Must be of the form: name=value",
                shown(word)
            )),
        })
        .collect()
}

fn run(line: &Line) -> Result<Run, String> {
    let flags = Flags::of(&line.flags, &["network", "security"], &["mount", "device"])?;
    let network = flags.text("network")?;
    if let Some(mode) = &network
        && !matches!(mode.as_str(), "default" | "none" | "host")
    {
        return Err(format!("invalid network mode: {mode:?}"));
    }
    let security = flags.text("security")?;
    if let Some(mode) = &security
        && mode != "sandbox"
    {
        return Err(format!("security mode {mode:?} is not allowed"));
    }
    if !flags.texts("device")?.is_empty() {
        return Err("--device is not supported".into());
    }
    let command = command(&line.rest)?;
    if matches!(&command, CommandLine::Exec(list) if list.is_empty()) {
        return Err("RUN requires at least one argument".into());
    }
    Ok(Run { command, heredocs: line.heredocs.clone(), network, mounts: flags.texts("mount")?, security })
}

fn onbuild(line: &Line) -> Result<String, String> {
    let text = line.original.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    let trigger = text.split_whitespace().next().unwrap_or_default().to_uppercase();
    match trigger.as_str() {
        "" => return Err("ONBUILD requires at least one argument".into()),
        "ONBUILD" => return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".into()),
        "MAINTAINER" | "FROM" => return Err(format!("{trigger} isn't allowed as an ONBUILD trigger")),
        _ => {}
    }
    let mut text = text.to_owned();
    for heredoc in &line.heredocs {
        text.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
    }
    Ok(text)
}

fn healthcheck(line: &Line) -> Result<Healthcheck, String> {
    let names = ["interval", "timeout", "start-period", "start-interval", "retries"];
    let flags = Flags::of(&line.flags, &names, &[])?;
    let (kind, rest) = line.rest.split_once(char::is_whitespace).unwrap_or((&line.rest, ""));
    let rest = rest.trim_start();
    match kind.to_uppercase().as_str() {
        "" => return Err("HEALTHCHECK requires at least one argument".into()),
        "NONE" if !rest.is_empty() => return Err("HEALTHCHECK NONE takes no arguments".into()),
        "NONE" => return Ok(Healthcheck { test: vec!["NONE".into()], ..Healthcheck::default() }),
        "CMD" => {}
        other => {
            return Err(format!("Unknown type {:?} in HEALTHCHECK (try CMD)", shown(other)));
        }
    }
    let test = match command(rest)? {
        CommandLine::Exec(list) if list.is_empty() => {
            return Err("Missing command after HEALTHCHECK CMD".into());
        }
        CommandLine::Exec(list) => [vec!["CMD".to_owned()], list].concat(),
        CommandLine::Shell(text) => vec!["CMD-SHELL".into(), text],
    };
    let duration = |name: &str| match flags.text(name)? {
        None => Ok(0),
        Some(text) => duration(&text, name),
    };
    let retries = match flags.text("retries")? {
        None => 0,
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n >= 0 => n,
            Ok(n) => return Err(format!("--retries cannot be negative ({n})")),
            Err(_) => return Err(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")),
        },
    };
    Ok(Healthcheck {
        test,
        interval: duration("interval")?,
        timeout: duration("timeout")?,
        start_period: duration("start-period")?,
        start_interval: duration("start-interval")?,
        retries,
    })
}

/// A duration as Go writes it (`1m30s`, `1.5h`, `200ms`), in nanoseconds.
fn duration(text: &str, flag: &str) -> Result<i64, String> {
    let bad = || format!("time: invalid duration {text:?}");
    let mut total = 0f64;
    let mut rest = text;
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(bad()),
        };
        rest = &rest[letters..];
        total += number * unit;
    }
    if total > i64::MAX as f64 {
        return Err(bad());
    }
    let nanoseconds = total as i64;
    if nanoseconds != 0 && nanoseconds < 1_000_000 {
        return Err(format!("Interval {flag:?} cannot be less than 1ms"));
    }
    Ok(nanoseconds)
}
