//! Which capabilities a process has: Docker's default set, `--cap-add`, `--cap-drop`, `--privileged`.

use super::Failure;
use super::user::User;
use crate::control::{ErrorKind, Spec};
use crate::task::Cred;
use crate::task::cred::{Caps, DOCKER_DEFAULT};

/// The credentials of a process that starts as `user`.
pub(super) fn credentials(spec: &Spec, user: &User, is_privileged: bool) -> Result<Cred, Failure> {
    let caps = if is_privileged || spec.privileged { Caps::all() } else { of_spec(spec)? };
    let mut cred = if user.uid == 0 {
        Cred { groups: user.groups.clone(), ..Cred::root(caps) }
    } else {
        Cred::user(user.uid, user.gid, user.groups.clone(), caps)
    };
    (cred.gid, cred.egid, cred.sgid, cred.fsgid) = (user.gid, user.gid, user.gid, user.gid);
    cred.no_new_privs = spec.no_new_privileges;
    Ok(cred)
}

fn of_spec(spec: &Spec) -> Result<Caps, Failure> {
    let adds_all = spec.cap_add.iter().any(|c| is_all(c));
    let drops_all = spec.cap_drop.iter().any(|c| is_all(c));
    let mut caps = match (adds_all, drops_all) {
        (true, _) => Caps::all(),
        (false, true) => Caps::empty(),
        (false, false) => DOCKER_DEFAULT,
    };
    for name in spec.cap_drop.iter().filter(|c| !is_all(c)) {
        caps.remove(by_name(name)?);
    }
    for name in spec.cap_add.iter().filter(|c| !is_all(c)) {
        caps.insert(by_name(name)?);
    }
    Ok(caps)
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("all")
}

/// A capability by its name, with or without `CAP_`, in any case.
fn by_name(name: &str) -> Result<Caps, Failure> {
    let upper = name.to_ascii_uppercase();
    Caps::from_name(upper.strip_prefix("CAP_").unwrap_or(&upper)).ok_or_else(|| {
        Failure::new(ErrorKind::Invalid, format!("invalid capability: {name:?}: unknown capability"))
    })
}
