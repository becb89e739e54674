//! Processes and programs.

use carrack_benches::measure;
use carrack_benches::peers::Scene;

const ROWS: &[&str] = &["fork+exit+wait", "fork+exec static", "vfork+exec static", "fork+exec dynamic"];

fn main() -> anyhow::Result<()> {
    let Some(scene) = Scene::of_environment()? else { return Ok(()) };
    let mut criterion = measure::criterion();
    measure::rows(&mut criterion, &scene, "exec", ROWS);
    criterion.final_summary();
    Ok(())
}
