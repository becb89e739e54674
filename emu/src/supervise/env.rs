//! The environment of init and of execs.

use crate::control::Spec;

/// Docker's, for images that set none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `K=V` strings for a process: defaults, then the container's, then `extra`, later ones replacing earlier ones; HOME
/// last, when nobody set it. An entry without `=` in `extra` removes the variable, as with `docker exec -e`.
pub(super) fn build(spec: &Spec, extra: &[String], has_tty: bool, home: &[u8]) -> Vec<Vec<u8>> {
    let mut env: Vec<String> = vec![format!("PATH={DEFAULT_PATH}"), format!("HOSTNAME={}", spec.hostname)];
    if has_tty {
        env.push("TERM=xterm".into());
    }
    for entry in spec.env.iter().chain(extra) {
        let name = entry.split('=').next().unwrap_or_default();
        let old = env.iter().position(|e| e.split('=').next() == Some(name));
        match (old, entry.contains('=')) {
            (Some(n), true) => env[n] = entry.clone(),
            (Some(n), false) => {
                env.remove(n);
            }
            (None, true) => env.push(entry.clone()),
            (None, false) => {}
        }
    }
    let mut env: Vec<Vec<u8>> = env.into_iter().map(String::into_bytes).collect();
    if !env.iter().any(|e| e.starts_with(b"HOME=")) {
        env.push([b"HOME=", home].concat());
    }
    env
}

/// The value of a variable.
pub(super) fn get<'a>(env: &'a [Vec<u8>], name: &str) -> Option<&'a [u8]> {
    env.iter().find_map(|e| e.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_entries_replace_earlier_ones() {
        let spec: Spec = serde_json::from_str(
            r#"{"id":"x","rootfs":{"store":"/"},"args":["a"],"env":["PATH=/bin","A=1","B=2"],"hostname":"h",
                "container_dir":"/","run_dir":"/"}"#,
        )
        .unwrap();
        let env = build(&spec, &["A=3".into(), "B".into(), "C=4".into()], true, b"/root");
        let want = ["PATH=/bin", "HOSTNAME=h", "TERM=xterm", "A=3", "C=4", "HOME=/root"];
        assert_eq!(env, want.map(|s| s.as_bytes().to_vec()));
        assert_eq!(get(&env, "PATH"), Some(b"/bin".as_slice()));
        assert_eq!(get(&env, "PAT"), None);
    }
}
