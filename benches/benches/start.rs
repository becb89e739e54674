//! Containers: a static program that does nothing, natively, by `carrack run`, and by the docker client and the daemon.

use carrack_benches::daemon::Daemon;
use carrack_benches::measure;
use carrack_benches::peers::{Peer, Scene, installed};

fn main() -> anyhow::Result<()> {
    let Some(scene) = Scene::of_environment()? else { return Ok(()) };
    let mut criterion = measure::criterion();
    let mut group = criterion.benchmark_group("start");
    for (name, peer) in [("native", Peer::Native), ("carrack run", Peer::Carrack)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                measure::runs(times, || scene.command(peer, &["bench", "true"])).expect("ran")
            });
        });
    }
    if installed("docker") {
        let mut daemon = None;
        group.bench_function("docker run --rm", |bencher| {
            let daemon = daemon.get_or_insert_with(|| Daemon::start(&scene).expect("started"));
            bencher.iter_custom(|times| measure::runs(times, || Ok(daemon.run_true())).expect("ran"));
        });
    } else {
        println!("docker is not installed: docker run --rm is left out");
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
