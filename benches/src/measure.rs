//! What the criterion benches have in common.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use criterion::Criterion;

use crate::peers::{Peer, Scene};
use crate::serve::Server;

/// Few samples and short ones: the times are told by the measuring program, and a container is started for each.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

/// Measures rows of `guest/bench.c` natively and in Carrack; each row is a group.
///
/// # Panics
/// Where the measuring program does not know the row or ends: a figure of anything else would be worth nothing.
pub fn rows(criterion: &mut Criterion, scene: &Scene, class: &str, rows: &[&str]) {
    for row in rows {
        let mut group = criterion.benchmark_group(format!("{class}/{row}"));
        for peer in [Peer::Native, Peer::Carrack] {
            // One program for all samples, and none where the row is not asked for.
            let mut server = None;
            group.bench_function(peer.name(), |bencher| {
                let server = server.get_or_insert_with(|| Server::start(scene, peer, row).expect("started"));
                bencher.iter_custom(|calls| server.time(calls).expect("measured"));
            });
        }
        group.finish();
    }
}

/// How long it takes to run commands one after the other, from the first start to the last end.
///
/// # Errors
/// Where one fails.
pub fn runs(times: u64, mut command: impl FnMut() -> Result<Command>) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let mut command = command()?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status()?;
        sum += start.elapsed();
        ensure!(status.success(), "{command:?}: {status}");
    }
    Ok(sum)
}
