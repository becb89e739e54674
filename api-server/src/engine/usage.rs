//! What images, containers and volumes take of the disk, as Docker counts it: the lengths of files, not their blocks.

use super::Engine;
use super::error::Result;
use super::record::Container;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Sum of the lengths of everything below `path` that is no directory. A file with several names counts once; links are
/// not followed.
pub fn tree_size(path: &Path) -> u64 {
    let mut total = 0u64;
    let mut seen = HashSet::new();
    let mut todo: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(dir) = todo.pop() {
        let Ok(entries) = std::fs::read_dir(dir) else { continue };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(m) if m.is_dir() => todo.push(entry.path()),
                Ok(m) if m.nlink() == 1 || seen.insert((m.dev(), m.ino())) => {
                    total = total.saturating_add(m.len());
                }
                _ => {}
            }
        }
    }
    total
}

impl Engine {
    /// Bytes of the files that the container has written.
    pub fn written(&self, c: &Container) -> u64 {
        tree_size(&c.dir.join("delta/b"))
    }

    /// The images of `GET /system/df`, and the sum of their layers.
    pub fn image_usage(&self) -> Result<(u64, Vec<Value>)> {
        let images = self.images.list()?;
        let shared = self.images.shared_sizes()?;
        let parents: HashSet<&str> = images.iter().map(|i| i.parent.as_str()).collect();
        let users = self.image_users();
        let rows = images
            .iter()
            .filter(|i| i.is_named() || !parents.contains(i.id.as_str()))
            .map(|i| {
                json!({
                    "Id": i.id, "ParentId": i.parent, "RepoTags": i.tags, "RepoDigests": i.digests,
                    "Created": i.created_unix, "Size": i.size,
                    "SharedSize": shared.get(&i.id).copied().unwrap_or(0), "Labels": i.labels(),
                    "Containers": users.get(&i.id).copied().unwrap_or(0),
                })
            })
            .collect();
        Ok((self.images.layers_size(), rows))
    }

    /// The volumes of `GET /system/df`.
    pub fn volume_usage(&self) -> Vec<Value> {
        let volumes = self.volumes.list();
        volumes
            .iter()
            .map(|v| {
                json!({
                    "CreatedAt": v.created, "Driver": "local", "Name": v.name, "Scope": "local",
                    "Labels": v.labels, "Options": v.options,
                    "Mountpoint": self.volumes.path(v).to_string_lossy(),
                    "UsageData": { "Size": self.volumes.size(v), "RefCount": self.volume_users(&v.name).len() },
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_file_count_once() {
        let dir = std::env::temp_dir().join(format!("carrack-usage-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        std::fs::write(dir.join("a/f"), [0; 100]).unwrap();
        std::fs::hard_link(dir.join("a/f"), dir.join("a/b/g")).unwrap();
        std::fs::write(dir.join("h"), [0; 7]).unwrap();
        std::os::unix::fs::symlink("12345", dir.join("l")).unwrap();
        assert_eq!(tree_size(&dir), 112);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
