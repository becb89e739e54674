//! Settings from a file in the format of dockerd's `daemon.json`.

use crate::failure::Failure;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What of `daemon.json` means something here. A setting that is unknown is refused, as dockerd refuses it: a typo
/// should not pass silently.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) hosts: Vec<String>,
    pub(crate) data_root: Option<PathBuf>,
    pub(crate) debug: Option<bool>,
    pub(crate) log_level: Option<String>,
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Config, Failure> {
        let text = std::fs::read(path).map_err(|e| Failure::doing(path.display(), e))?;
        serde_json::from_slice(&text)
            .map_err(|e| Failure::doing(format!("unable to configure the daemon with {}", path.display()), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerds_names() {
        let c: Config =
            serde_json::from_str(r#"{"hosts":["unix:///x"],"data-root":"/d","debug":true}"#).unwrap();
        assert_eq!((c.hosts.len(), c.debug), (1, Some(true)));
        assert!(serde_json::from_str::<Config>(r#"{"hots":[]}"#).is_err());
    }
}
