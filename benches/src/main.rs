//! `carrack-benches`: what a call, a program and a start cost natively, in Carrack and under whichever peer is installed.
//!
//! All legs run in one invocation on one host, several times in turn, and what is printed are ratios: absolute times of
//! different days or machines say nothing about each other.

mod chart;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use carrack_benches::peers::{Peer, Scene};
use carrack_benches::{Figures, keep};
use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "carrack-benches", about = "Side-by-side figures, as ratios to native")]
struct Args {
    /// The binary under test
    #[arg(long, value_name = "FILE", env = "CARRACK")]
    carrack: PathBuf,
    /// A tar of a root file system with gcc and make
    #[arg(long, value_name = "TAR")]
    base: PathBuf,
    /// Only these peers (native, carrack, proot, bwrap, runc, runsc); native is always measured
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// How often each is measured, in turn; the least counts
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Only the calls, or only the work
    #[arg(long, value_parser = ["all", "calls", "work"], default_value = "all")]
    what: String,
    /// Where the table (Markdown), the drawing (SVG) and the figures (JSON) are written
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carrack-benches: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let scene = Scene::new(&args.carrack, &args.base)?;
    let mut order = Vec::new();
    let mut legs: Vec<(Peer, Figures)> = Vec::new();
    for peer in Peer::ALL {
        let wanted =
            args.only.is_empty() || args.only.iter().any(|o| o == peer.name()) || *peer == Peer::Native;
        if !wanted {
            continue;
        }
        match scene.prepare(*peer) {
            Ok(()) => legs.push((*peer, Figures::new())),
            Err(error) => println!("{} is left out: {error:#}", peer.name()),
        }
    }
    for round in 1..=args.rounds {
        for (peer, figures) in &mut legs {
            println!("round {round}: {}", peer.name());
            let command = scene.command(*peer, &["bench", &args.what])?;
            if let Err(error) = collect(command, figures, &mut order) {
                println!("  {error:#}");
            }
            scene.starts(*peer, figures, &mut order)?;
        }
    }
    for (peer, figures) in &mut legs {
        if let Some(kib) = scene.idle_memory(*peer)? {
            let name = "idle memory, KiB";
            if !order.iter().any(|o| o == name) {
                order.push(name.to_owned());
            }
            figures.insert(name.to_owned(), Some(kib));
        }
    }
    fs::create_dir_all(&args.out)?;
    let text = table::markdown(&order, &legs);
    println!("\n{text}");
    fs::write(args.out.join("table.md"), &text)?;
    fs::write(args.out.join("chart.svg"), chart::svg(&order, &legs))?;
    let json: BTreeMap<&str, &Figures> = legs.iter().map(|(p, f)| (p.name(), f)).collect();
    fs::write(args.out.join("figures.json"), serde_json::to_string_pretty(&json)?)?;
    println!("written to {}", args.out.display());
    Ok(())
}

/// Runs a leg and keeps the least of each measurement.
fn collect(mut command: Command, figures: &mut Figures, order: &mut Vec<String>) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut fields = line.split('\t');
        let (Some(name), Some(value), Some(unit)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let value = value.parse::<f64>().ok().map(|v| if unit == "ms" { v * 1e6 } else { v });
        keep(figures, order, name, value);
    }
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{}: {}", output.status, text.lines().last().unwrap_or_default());
    }
    Ok(())
}
