//! Archives as nobody should write them, and as `docker save` and image tools do.

use anyhow::Result;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// Builds an archive entry by entry, with names that well-behaved writers refuse.
#[derive(Default)]
pub(crate) struct Tarball {
    builder: Option<Builder<Vec<u8>>>,
}

impl std::fmt::Debug for Tarball {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tarball")
    }
}

impl Tarball {
    pub(crate) fn new() -> Tarball {
        Tarball { builder: Some(Builder::new(Vec::new())) }
    }

    fn entry(
        mut self,
        kind: EntryType,
        name: &str,
        link: &str,
        mode: u32,
        data: &[u8],
        size: u64,
    ) -> Result<Tarball> {
        let mut header = Header::new_gnu();
        put(&mut header.as_old_mut().name, name);
        put(&mut header.as_old_mut().linkname, link);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(size);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(8)?;
            header.set_device_minor(0)?;
        }
        header.set_cksum();
        if let Some(builder) = &mut self.builder {
            builder.append(&header, data)?;
        }
        Ok(self)
    }

    pub(crate) fn file(self, name: &str, mode: u32, data: &[u8]) -> Result<Tarball> {
        self.entry(EntryType::Regular, name, "", mode, data, data.len() as u64)
    }

    pub(crate) fn directory(self, name: &str) -> Result<Tarball> {
        self.entry(EntryType::Directory, name, "", 0o755, b"", 0)
    }

    pub(crate) fn symlink(self, name: &str, to: &str) -> Result<Tarball> {
        self.entry(EntryType::Symlink, name, to, 0o777, b"", 0)
    }

    pub(crate) fn hard_link(self, name: &str, to: &str) -> Result<Tarball> {
        self.entry(EntryType::Link, name, to, 0o644, b"", 0)
    }

    pub(crate) fn device(self, name: &str) -> Result<Tarball> {
        self.entry(EntryType::Block, name, "", 0o666, b"", 0)
    }

    /// A record of an extended header, about the entry that follows.
    pub(crate) fn extended(self, key: &str, value: &[u8]) -> Result<Tarball> {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        let record = [format!("{length} {key}=").as_bytes(), value, b"\n"].concat();
        self.entry(EntryType::XHeader, "PaxHeaders.0/x", "", 0o644, &record, record.len() as u64)
    }

    /// A header that promises more bytes than follow.
    pub(crate) fn promise(self, name: &str, size: u64) -> Result<Tarball> {
        self.entry(EntryType::Regular, name, "", 0o644, b"", size)
    }

    /// A GNU sparse file that is one hole of this size.
    pub(crate) fn hole(mut self, name: &str, size: u64) -> Result<Tarball> {
        let mut header = Header::new_gnu();
        put(&mut header.as_old_mut().name, name);
        header.set_entry_type(EntryType::GNUSparse);
        header.set_mode(0o644);
        header.set_size(0);
        header.set_mtime(1_700_000_000);
        if let Some(gnu) = header.as_gnu_mut() {
            // One empty piece at the end, as GNU tar writes a file that is all hole.
            octal(&mut gnu.sparse[0].offset, size);
            octal(&mut gnu.sparse[0].numbytes, 0);
            octal(&mut gnu.realsize, size);
        }
        header.set_cksum();
        if let Some(builder) = &mut self.builder {
            builder.append(&header, &b""[..])?;
        }
        Ok(self)
    }

    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        match self.builder.take() {
            Some(builder) => Ok(builder.into_inner()?),
            None => Ok(Vec::new()),
        }
    }
}

fn put(field: &mut [u8], text: &str) {
    let n = text.len().min(field.len());
    field[..n].copy_from_slice(&text.as_bytes()[..n]);
}

fn octal(field: &mut [u8], value: u64) {
    let text = format!("{value:0width$o}", width = field.len() - 1);
    if text.len() < field.len() {
        put(field, &text);
    } else {
        // GNU's base-256 form for what does not fit.
        field.fill(0);
        field[0] = 0x80;
        let bytes = value.to_be_bytes();
        let at = field.len() - bytes.len();
        field[at..].copy_from_slice(&bytes);
    }
}

/// A digest as registries write it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An image archive as `docker save` wrote it for years: `manifest.json`, a config, one `layer.tar` per layer.
pub(crate) fn docker_archive(layers: &[Vec<u8>], tag: &str, config: &str) -> Result<Vec<u8>> {
    let ids: Vec<String> = layers.iter().map(|l| format!("\"sha256:{}\"", digest(l))).collect();
    let config = format!(
        "{{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{config},\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}},\"history\":[]}}",
        ids.join(",")
    );
    let name = digest(config.as_bytes());
    let mut tarball = Tarball::new();
    let mut paths = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        let path = format!("layer{i}/layer.tar");
        tarball = tarball.directory(&format!("layer{i}/"))?.file(&path, 0o644, layer)?;
        paths.push(format!("\"{path}\""));
    }
    let manifest =
        format!("[{{\"Config\":\"{name}.json\",\"RepoTags\":[\"{tag}\"],\"Layers\":[{}]}}]", paths.join(","));
    tarball
        .file(&format!("{name}.json"), 0o644, config.as_bytes())?
        .file("manifest.json", 0o644, manifest.as_bytes())?
        .finish()
}

/// An image archive in the OCI layout, without `manifest.json`.
pub(crate) fn oci_archive(layer: &[u8], tag: &str, config: &str) -> Result<Vec<u8>> {
    let diff = digest(layer);
    let config = format!(
        "{{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{config},\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"sha256:{diff}\"]}}}}"
    );
    let config_digest = digest(config.as_bytes());
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:{config_digest}\",\"size\":{}}},\
         \"layers\":[{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"sha256:{diff}\",\"size\":{}}}]}}",
        config.len(),
        layer.len()
    );
    let manifest_digest = digest(manifest.as_bytes());
    let index = format!(
        "{{\"schemaVersion\":2,\"manifests\":[{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"digest\":\"sha256:{manifest_digest}\",\"size\":{},\"annotations\":{{\"io.containerd.image.name\":\"docker.io/library/{tag}\",\
         \"org.opencontainers.image.ref.name\":\"{}\"}}}}]}}",
        manifest.len(),
        tag.rsplit(':').next().unwrap_or(tag)
    );
    Tarball::new()
        .file("oci-layout", 0o644, b"{\"imageLayoutVersion\":\"1.0.0\"}")?
        .file("index.json", 0o644, index.as_bytes())?
        .directory("blobs/")?
        .directory("blobs/sha256/")?
        .file(&format!("blobs/sha256/{diff}"), 0o644, layer)?
        .file(&format!("blobs/sha256/{config_digest}"), 0o644, config.as_bytes())?
        .file(&format!("blobs/sha256/{manifest_digest}"), 0o644, manifest.as_bytes())?
        .finish()
}

/// What an archive says of each path: kind, mode, owner, link, and the digest of its content. A further name of a file is
/// described as the file itself, so that it does not matter which name comes first.
pub(crate) fn tree(archive: &[u8]) -> Result<std::collections::BTreeMap<String, String>> {
    let mut tree = std::collections::BTreeMap::new();
    let clean = |path: &std::path::Path| {
        let text = path.to_string_lossy().into_owned();
        text.trim_start_matches("./").trim_matches('/').to_owned()
    };
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let name = clean(&entry.path()?);
        let link = entry.link_name()?.map(|l| l.into_owned());
        let header = entry.header().clone();
        let described = match (header.entry_type(), link) {
            (EntryType::Link, Some(target)) => tree.get(&clean(&target)).cloned().unwrap_or_default(),
            (kind, link) => {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes)?;
                let link = link.map(|l| l.to_string_lossy().into_owned()).unwrap_or_default();
                format!(
                    "{kind:?} {:o} {}:{} {link} {}",
                    header.mode()?,
                    header.uid()?,
                    header.gid()?,
                    digest(&bytes)
                )
            }
        };
        if !name.is_empty() {
            tree.insert(name, described);
        }
    }
    Ok(tree)
}
