//! Images without a daemon.

use crate::args::{self, Cli};
use crate::dirs;
use crate::failure::Failure;
use carrack_images::{ImportOptions, Progress, Removed, Store};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

fn open(cli: &Cli) -> Result<Store, Failure> {
    Ok(Store::open(&dirs::data_root(cli)?.join("images"))?)
}

/// A file, or standard input for `-`; its length where that is known.
fn source(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if path == Path::new("-") {
        if crate::terminal::is_stdin() {
            return Err(Failure::new(125, "requested to read from standard input, but that is a terminal"));
        }
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(path).map_err(|e| Failure::doing(path.display(), e))?;
    let meta = file.metadata().map_err(|e| Failure::doing(path.display(), e))?;
    if meta.is_dir() {
        return Err(Failure::doing(path.display(), "it is a directory"));
    }
    let length = meta.is_file().then_some(meta.len());
    Ok((Box::new(file), length))
}

/// A bar on standard error (hidden where that is no terminal).
fn bar(length: Option<u64>) -> ProgressBar {
    let bar = match length {
        Some(length) => ProgressBar::new(length),
        None => ProgressBar::new_spinner(),
    };
    let template = match length {
        Some(_) => "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
        None => "{spinner} {msg} {bytes} {bytes_per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message("reading");
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn advance(bar: &ProgressBar, progress: &Progress) {
    match progress {
        Progress::Reading { bytes } => bar.set_position(*bytes),
        Progress::Committing => bar.set_message("making it durable"),
        _ => {}
    }
}

/// `carrack import`.
pub(crate) fn import(cli: &Cli, args: &args::Import) -> Result<u8, Failure> {
    let store = open(cli)?;
    let (stream, length) = source(&args.file)?;
    let options = ImportOptions {
        changes: args.change.clone(),
        message: args.message.clone(),
        platform: args.platform.clone(),
        reference: args.reference.clone(),
        created: None,
    };
    let bar = bar(length);
    let id = store.import(stream, &options, &mut |p| advance(&bar, &p));
    bar.finish_and_clear();
    crate::print(format!("{}\n", id?.as_str()).as_bytes())
}

/// `carrack load`.
pub(crate) fn load(cli: &Cli, args: &args::Load) -> Result<u8, Failure> {
    let store = open(cli)?;
    let (stream, length) = source(args.input.as_deref().unwrap_or(Path::new("-")))?;
    let bar = if args.quiet { ProgressBar::hidden() } else { bar(length) };
    let loaded = store.load(stream, &mut |p| advance(&bar, &p));
    bar.finish_and_clear();
    let mut text = String::new();
    for image in loaded? {
        for reference in &image.references {
            text.push_str(&format!("Loaded image: {reference}\n"));
        }
        if image.references.is_empty() {
            text.push_str(&format!("Loaded image ID: {}\n", image.id.as_str()));
        }
    }
    crate::print(text.as_bytes())
}

/// `carrack images`.
pub(crate) fn list(cli: &Cli, args: &args::Images) -> Result<u8, Failure> {
    let store = open(cli)?;
    let mut rows = Vec::new();
    for image in store.list()? {
        let id = if args.no_trunc { image.id.as_str().to_owned() } else { image.id.short().to_owned() };
        let created = image.created.map_or_else(|| "N/A".to_owned(), ago);
        let size = size(image.size);
        if image.references.is_empty() {
            rows.push(["<none>".to_owned(), "<none>".to_owned(), id, created, size]);
            continue;
        }
        for reference in &image.references {
            let (name, tag) = reference.rsplit_once(':').unwrap_or((reference, "latest"));
            rows.push([name.to_owned(), tag.to_owned(), id.clone(), created.clone(), size.clone()]);
        }
    }
    if args.quiet {
        let mut ids: Vec<String> = rows.into_iter().map(|r| r[2].clone() + "\n").collect();
        ids.dedup();
        return crate::print(ids.concat().as_bytes());
    }
    rows.insert(0, ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"].map(str::to_owned));
    let widths: Vec<usize> =
        (0..5).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}")).collect();
        text.push_str(cells.join("   ").trim_end());
        text.push('\n');
    }
    crate::print(text.as_bytes())
}

/// `carrack rmi`. Every name is tried; the first failure is reported at the end.
pub(crate) fn remove(cli: &Cli, args: &args::Rmi) -> Result<u8, Failure> {
    let store = open(cli)?;
    let mut failure = None;
    for name in &args.images {
        // Containers without a daemon hold their image's files by themselves.
        match store.remove(name, args.force, &|_| None) {
            Ok(removed) => {
                let text: String = removed
                    .iter()
                    .map(|r| match r {
                        Removed::Untagged(name) => format!("Untagged: {name}\n"),
                        Removed::Deleted(id) => format!("Deleted: {id}\n"),
                    })
                    .collect();
                crate::print(text.as_bytes())?;
            }
            Err(e) => {
                eprintln!("carrack: {e}");
                failure = Some(e);
            }
        }
    }
    Ok(u8::from(failure.is_some()))
}

/// `carrack tag`.
pub(crate) fn tag(cli: &Cli, args: &args::Tag) -> Result<u8, Failure> {
    let store = open(cli)?;
    let image = store.resolve(&args.source)?;
    store.tag(&image.id, &args.target)?;
    Ok(0)
}

/// A size with three digits, in powers of 1000 as docker prints them.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].iter();
    let mut unit = units.next();
    while value >= 1000.0 {
        let Some(next) = units.next() else { break };
        value /= 1000.0;
        unit = Some(next);
    }
    let unit = unit.copied().unwrap_or("B");
    if unit == "B" || value >= 100.0 {
        format!("{value:.0}{unit}")
    } else if value >= 10.0 {
        format!("{value:.1}{unit}")
    } else {
        format!("{value:.2}{unit}")
    }
}

/// How long ago, in one unit.
fn ago(then: time::OffsetDateTime) -> String {
    let seconds = (time::OffsetDateTime::now_utc() - then).whole_seconds().max(0);
    let (n, unit) = match seconds {
        0..60 => return "Less than a minute ago".into(),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        172_800..1_209_600 => (seconds / 86_400, "day"),
        1_209_600..5_184_000 => (seconds / 604_800, "week"),
        5_184_000..63_072_000 => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{n} {unit}{} ago", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in
            [(0, "0B"), (999, "999B"), (1500, "1.50kB"), (12_345_678, "12.3MB"), (117_000_000, "117MB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
