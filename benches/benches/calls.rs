//! System calls: those that the host's kernel does by itself, and those that the supervisor answers.

use carrack_benches::measure;
use carrack_benches::peers::Scene;

const NATIVE: &[&str] =
    &["read 1 B", "write 1 B", "pread 4096 B", "futex wake", "mmap+touch+munmap", "epoll_wait"];

const NOTIFIED: &[&str] = &[
    "getuid",
    "getpid",
    "stat",
    "stat of nothing",
    "fstat",
    "access",
    "open+close",
    "readlink",
    "getdents of 32 names",
    "getcwd",
    "create+unlink",
    "rename twice",
    "mkdir+rmdir",
    "chmod",
    "getppid+kill 0",
    "socket+bind+close",
];

fn main() -> anyhow::Result<()> {
    let Some(scene) = Scene::of_environment()? else { return Ok(()) };
    let mut criterion = measure::criterion();
    measure::rows(&mut criterion, &scene, "native", NATIVE);
    measure::rows(&mut criterion, &scene, "notified", NOTIFIED);
    criterion.final_summary();
    Ok(())
}
