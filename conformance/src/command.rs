//! Starting programs as the user that the tests are about: an ordinary one without any privilege.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The uid and gid that stand for "an ordinary user" where the runner is root.
pub(crate) const ORDINARY: u32 = 12345;

/// Capabilities that a container's root has by default; the native leg of root programs has the same.
const CONTAINER_CAPABILITIES: &str = "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,\
                                      +setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write";

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The ids of the ordinary user: our own where we are one.
pub(crate) fn ordinary_ids() -> (u32, u32) {
    if is_root() {
        (ORDINARY, ORDINARY)
    } else {
        (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
    }
}

/// A command that runs as the ordinary user with `no_new_privs` and no capability, in a process group of its own.
pub(crate) fn as_ordinary(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        let id = ORDINARY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--bounding-set", "-all"]);
        command.args(["--inh-caps", "-all"]);
    }
    command.arg("--no-new-privs").arg(program).process_group(0);
    command
}

/// A command that runs as root with a container's capabilities. Only for the native leg of root programs.
pub(crate) fn as_container_root(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--clear-groups", "--inh-caps", "-all", "--bounding-set", CONTAINER_CAPABILITIES]);
    command.arg(program).process_group(0);
    command
}
