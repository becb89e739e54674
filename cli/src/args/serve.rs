//! `serve` and `supervise`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
The settings file has dockerd's format. Known keys: hosts, data-root, debug, log-level, registry-mirrors,
insecure-registries, max-concurrent-downloads, max-concurrent-uploads, max-download-attempts. Other keys of dockerd are
named in a warning and have no effect; a key that dockerd does not know either is refused.

Examples:
  carrack serve                                     prints the line that makes docker find it
  carrack serve -H unix:///tmp/docker.sock --debug
  carrack serve --config-file ./daemon.json         {\"hosts\": [\"unix:///tmp/docker.sock\"]}
  carrack serve --registry-mirror https://mirror.example.org --insecure-registry localhost:5000")]
pub(crate) struct Serve {
    /// Socket to listen on: unix://PATH. May be given several times [default: carrack.sock in the run directory]
    #[arg(short = 'H', long = "host", value_name = "URL")]
    pub(crate) hosts: Vec<String>,

    /// File of settings, in the format of dockerd's daemon.json
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,

    /// Ask this registry first for images of Docker's registry. May be given several times
    #[arg(long = "registry-mirror", value_name = "URL")]
    pub(crate) registry_mirrors: Vec<String>,

    /// Speak with this registry (HOST[:PORT] or an address range) without TLS, or without checking its certificate.
    /// May be given several times
    #[arg(long = "insecure-registry", value_name = "REGISTRY")]
    pub(crate) insecure_registries: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Supervise {
    /// The container's directory
    pub(crate) container_dir: PathBuf,
    /// Serve the files of a container that does not run
    #[arg(long)]
    pub(crate) files: bool,
}
