//! `carrack serve` for the benches, and the docker client that talks to it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::peers::{IMAGE, Scene, succeed};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon of the ordinary user's, which ends when this is dropped.
#[derive(Debug)]
pub struct Daemon<'s> {
    scene: &'s Scene,
    child: Child,
}

impl<'s> Daemon<'s> {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// Where it does not.
    pub fn start(scene: &'s Scene) -> Result<Daemon<'s>> {
        let mut serve = scene.ordinary(&scene.path("carrack"));
        serve.arg("serve").arg("--data-root").arg(scene.path("data")).arg("-H").arg(address(scene));
        serve.env("XDG_RUNTIME_DIR", scene.path("home"));
        let child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut daemon = Daemon { scene, child };
        let start = Instant::now();
        while let Err(error) = succeed(daemon.docker(&["version"])) {
            if start.elapsed() > PATIENCE || daemon.child.try_wait()?.is_some() {
                bail!("the daemon does not answer: {error:#}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(daemon)
    }

    /// A command of the docker client.
    pub fn docker(&self, words: &[&str]) -> Command {
        let mut docker = Command::new("docker");
        docker.arg("-H").arg(address(self.scene)).args(words).stdin(Stdio::null());
        docker
    }

    /// `docker run --rm` of the measuring program, told to do nothing.
    pub fn run_true(&self) -> Command {
        let volume = format!("{}:/bench", self.scene.path("share").display());
        self.docker(&["run", "--rm", "-v", &volume, IMAGE, "/bench/bench", "true"])
    }
}

fn address(scene: &Scene) -> String {
    format!("unix://{}", scene.path("work/carrack.sock").display())
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
