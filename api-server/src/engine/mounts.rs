//! `Binds`, `Mounts`, `Tmpfs` and `Volumes` of a create request, checked and turned into mount points.
//!
//! Pure: nothing is made here. A volume's source is filled in by the caller.

use super::error::{Error, Result};
use super::record::{Kind, MountPoint};
use super::wire::{HostView, MountRequest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A mount point, and what must be made for it.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub point: MountPoint,
    pub labels: BTreeMap<String, String>,
    pub driver: String,
    pub options: BTreeMap<String, String>,
    /// Make a missing bind source, as `Binds` does and `Mounts` does not.
    pub create_source: bool,
    pub subpath: String,
}

impl Wanted {
    fn new(kind: Kind, destination: &str) -> Wanted {
        Wanted {
            point: MountPoint {
                kind,
                name: String::new(),
                source: PathBuf::new(),
                destination: clean(destination),
                mode: String::new(),
                rw: true,
                propagation: String::new(),
                copy_up: false,
                anonymous: false,
                tmpfs_size: 0,
                tmpfs_mode: None,
                listed: true,
            },
            labels: BTreeMap::new(),
            driver: "local".into(),
            options: BTreeMap::new(),
            create_source: false,
            subpath: String::new(),
        }
    }
}

/// `path` without empty, `.` and `..` components; absolute.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            p => parts.push(p),
        }
    }
    format!("/{}", parts.join("/"))
}

/// All mounts of the request but those of `VolumesFrom`, in the order Docker lets them win.
pub fn wanted(
    host: &HostView,
    volumes: &BTreeMap<String, serde_json::Value>,
    inherited: &[MountPoint],
) -> Result<Vec<Wanted>> {
    let mut all: Vec<Wanted> = Vec::new();
    let add = |all: &mut Vec<Wanted>, w: Wanted| {
        if all.iter().any(|o| o.point.destination == w.point.destination) {
            return Err(Error::invalid(format!("Duplicate mount point: {}", w.point.destination)));
        }
        all.push(w);
        Ok(())
    };
    for spec in &host.binds {
        add(&mut all, parse_bind(spec, &host.volume_driver)?)?;
    }
    for request in &host.mounts {
        add(
            &mut all,
            parse_mount(request)
                .map_err(|e| e.context(format!("invalid mount config for type {:?}", request.r#type)))?,
        )?;
    }
    for (path, options) in &host.tmpfs {
        add(&mut all, parse_tmpfs(path, options)?)?;
    }
    for point in inherited {
        if !all.iter().any(|w| w.point.destination == point.destination) {
            all.push(Wanted {
                point: MountPoint { copy_up: false, anonymous: false, ..point.clone() },
                ..Wanted::new(point.kind, "/")
            });
        }
    }
    for path in volumes.keys() {
        // The CLI puts `-v src:dst` into Binds only, but old clients repeat it here; what is mounted wins.
        let destination = clean(path.split(':').next_back().unwrap_or(path));
        if !path.starts_with('/') || destination == "/" {
            return Err(Error::invalid(format!(
                "invalid volume specification: '{path}': destination can't be '/'"
            )));
        }
        if all.iter().any(|w| w.point.destination == destination) {
            continue;
        }
        let mut w = Wanted::new(Kind::Volume, &destination);
        w.point.copy_up = true;
        w.point.anonymous = true;
        w.point.propagation = String::new();
        if !host.volume_driver.is_empty() {
            w.driver = host.volume_driver.clone();
        }
        all.push(w);
    }
    // A mount inside of another one must come after it.
    all.sort_by_key(|w| w.point.destination.matches('/').count());
    Ok(all)
}

fn parse_bind(spec: &str, driver: &str) -> Result<Wanted> {
    let bad = || Error::invalid(format!("invalid volume specification: '{spec}'"));
    let parts: Vec<&str> = spec.split(':').collect();
    let (source, destination, mode) = match parts.as_slice() {
        [destination] => ("", *destination, ""),
        [source, destination] => (*source, *destination, ""),
        [source, destination, mode] => (*source, *destination, *mode),
        _ => return Err(bad()),
    };
    if !destination.starts_with('/') {
        return Err(Error::invalid(format!(
            "invalid volume specification: '{spec}': invalid mount config for type \"{}\": invalid mount path: '{destination}' mount path must be absolute",
            if source.starts_with('/') { "bind" } else { "volume" }
        )));
    }
    if clean(destination) == "/" {
        return Err(Error::invalid(format!(
            "invalid volume specification: '{spec}': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        )));
    }
    let kind = if source.starts_with('/') { Kind::Bind } else { Kind::Volume };
    let mut w = Wanted::new(kind, destination);
    w.point.mode = mode.to_string();
    w.point.copy_up = kind == Kind::Volume;
    let mut seen = [false; 5];
    for word in mode.split(',').filter(|_| !mode.is_empty()) {
        let group = match word {
            "ro" | "rw" => {
                w.point.rw = word == "rw";
                0
            }
            "z" | "Z" => 1,
            "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" if kind == Kind::Bind => {
                w.point.propagation = word.to_string();
                2
            }
            "nocopy" | "copy" if kind == Kind::Volume => {
                w.point.copy_up = word == "copy";
                3
            }
            "consistent" | "cached" | "delegated" => 4,
            _ => return Err(Error::invalid(format!("invalid mode: {mode}"))),
        };
        if std::mem::replace(&mut seen[group], true) {
            return Err(Error::invalid(format!("invalid mode: {mode}")));
        }
    }
    match kind {
        Kind::Bind => {
            w.point.source = PathBuf::from(clean(source));
            w.create_source = true;
            if w.point.propagation.is_empty() {
                w.point.propagation = "rprivate".into();
            }
        }
        _ => {
            w.point.name = source.to_string();
            w.point.anonymous = source.is_empty();
            if mode.is_empty() {
                w.point.mode = "z".into();
            }
            if !driver.is_empty() {
                w.driver = driver.to_string();
            }
        }
    }
    Ok(w)
}

fn parse_mount(request: &MountRequest) -> Result<Wanted> {
    let invalid = |m: &str| Err(Error::invalid(m.to_string()));
    let kind = match request.r#type.as_str() {
        "bind" => Kind::Bind,
        "volume" => Kind::Volume,
        "tmpfs" => Kind::Tmpfs,
        _ => return invalid("mount type unknown"),
    };
    if request.target.is_empty() {
        return invalid("field Target must not be empty");
    }
    if !request.target.starts_with('/') {
        return Err(Error::invalid(format!(
            "invalid mount path: '{}' mount path must be absolute",
            request.target
        )));
    }
    if clean(&request.target) == "/" {
        return invalid("invalid specification: destination can't be '/'");
    }
    for (given, name, own) in [
        (request.bind_options.is_some(), "BindOptions", Kind::Bind),
        (request.volume_options.is_some(), "VolumeOptions", Kind::Volume),
        (request.tmpfs_options.is_some(), "TmpfsOptions", Kind::Tmpfs),
    ] {
        if given && own != kind {
            return Err(Error::invalid(format!(
                "{name} must not be specified on mount type {:?}",
                request.r#type
            )));
        }
    }
    let mut w = Wanted::new(kind, &request.target);
    w.point.rw = !request.read_only;
    match kind {
        Kind::Bind => {
            if request.source.is_empty() {
                return invalid("field Source must not be empty");
            }
            if !request.source.starts_with('/') {
                return Err(Error::invalid(format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    request.source
                )));
            }
            let options = request.bind_options.clone().unwrap_or_default();
            w.point.source = PathBuf::from(clean(&request.source));
            w.create_source = options.create_mountpoint;
            w.point.propagation =
                if options.propagation.is_empty() { "rprivate".into() } else { options.propagation };
            if !w.create_source && !Path::new(&w.point.source).exists() {
                return Err(Error::invalid(format!("bind source path does not exist: {}", request.source)));
            }
        }
        Kind::Volume => {
            let options = request.volume_options.clone().unwrap_or_default();
            w.point.name = request.source.clone();
            w.point.anonymous = request.source.is_empty();
            w.point.copy_up = !options.no_copy;
            w.point.mode = "z".into();
            w.labels = options.labels;
            if !options.driver_config.name.is_empty() {
                w.driver = options.driver_config.name;
            }
            w.options = options.driver_config.options;
            if !options.subpath.is_empty() {
                if w.point.anonymous {
                    return invalid("must not set Subpath when using anonymous volumes");
                }
                if options.subpath.starts_with('/') || options.subpath.split('/').any(|p| p == "..") {
                    return invalid("subpath must be a relative path within the volume");
                }
                w.subpath = options.subpath;
            }
        }
        Kind::Tmpfs => {
            if !request.source.is_empty() {
                return invalid("field Source must not be specified");
            }
            let options = request.tmpfs_options.clone().unwrap_or_default();
            w.point.tmpfs_size = u64::try_from(options.size_bytes).unwrap_or(0);
            w.point.tmpfs_mode = (options.mode != 0).then_some(options.mode & 0o7777);
        }
    }
    Ok(w)
}

fn parse_tmpfs(path: &str, options: &str) -> Result<Wanted> {
    if !path.starts_with('/') || clean(path) == "/" {
        return Err(Error::invalid(format!("invalid mount path: '{path}' mount path must be absolute")));
    }
    let mut w = Wanted::new(Kind::Tmpfs, path);
    w.point.listed = false;
    w.point.mode = options.to_string();
    for option in options.split(',').filter(|o| !o.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let bad = || Error::invalid(format!("invalid tmpfs option [{option:?}]"));
        match key {
            "size" => w.point.tmpfs_size = parse_size(value).ok_or_else(bad)?,
            "mode" => w.point.tmpfs_mode = Some(u32::from_str_radix(value, 8).map_err(|_| bad())? & 0o7777),
            "ro" => w.point.rw = false,
            "rw" | "exec" | "noexec" | "suid" | "nosuid" | "dev" | "nodev" | "sync" | "async" | "atime"
            | "noatime" | "relatime" | "norelatime" | "uid" | "gid" | "nr_inodes" | "nr_blocks"
            | "defaults" | "rprivate" | "private" | "strictatime" | "diratime" | "nodiratime" | "mpol" => {}
            _ => return Err(bad()),
        }
    }
    Ok(w)
}

/// `64m`, `1g`, `4096`.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim_end_matches(['b', 'B', 'i']).to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1u64 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(binds: &[&str]) -> HostView {
        HostView { binds: binds.iter().map(|s| s.to_string()).collect(), ..HostView::default() }
    }

    #[test]
    fn binds() {
        let all =
            wanted(&host(&["/src/:/dst:ro", "data:/var/lib/x", "/a/b:/dst/inner"]), &BTreeMap::new(), &[])
                .unwrap();
        assert_eq!(all[0].point.destination, "/dst");
        assert!(!all[0].point.rw);
        assert_eq!(all[0].point.source, PathBuf::from("/src"));
        assert_eq!(all[1].point.destination, "/dst/inner", "after the mount it lies in");
        assert_eq!(all[2].point.name, "data");
        assert!(all[2].point.copy_up);
    }

    #[test]
    fn refusals() {
        let text = |b: &[&str]| wanted(&host(b), &BTreeMap::new(), &[]).unwrap_err().message;
        assert_eq!(text(&["/a:/b:xx"]), "invalid mode: xx");
        assert_eq!(text(&["/a:/b:ro,rw"]), "invalid mode: ro,rw");
        assert!(text(&["/a:/"]).contains("destination can't be '/'"));
        assert_eq!(text(&["/a:/x", "/b:/x/"]), "Duplicate mount point: /x");
        assert_eq!(text(&["a:b:c:d"]), "invalid volume specification: 'a:b:c:d'");
    }

    #[test]
    fn a_mount_says_which_type_was_wrong() {
        let mount = MountRequest { r#type: "volume".into(), target: "rel".into(), ..Default::default() };
        let view = HostView { mounts: vec![mount], ..HostView::default() };
        let message = wanted(&view, &BTreeMap::new(), &[]).unwrap_err().message;
        assert_eq!(
            message,
            "invalid mount config for type \"volume\": invalid mount path: 'rel' mount path must be absolute"
        );
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64m"), Some(64 << 20));
        assert_eq!(parse_size("1GiB"), Some(1 << 30));
        assert_eq!(parse_size("x"), None);
    }
}
