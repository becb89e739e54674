//! Verbs for images.

use super::{Daemon, complete};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack images
  carrack images debian                             those of one repository
  carrack images -q --filter dangling=true          ids of those without a name
  carrack images --json                             one JSON object a line")]
pub(crate) struct Images {
    /// Print ids only
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print whole ids
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Show digests
    #[arg(long)]
    pub(crate) digests: bool,
    /// Only those for which KEY is VALUE: dangling, label, reference, before, since
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = crate::options::filter)]
    pub(crate) filter: Vec<(String, String)>,
    /// Print one JSON object for each image, a line each
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Only images of this name, with or without tag; * and ? stand for what they do in a shell
    #[arg(add = complete::images())]
    pub(crate) name: Option<String>,
}

/// How registries are reached by the verbs that work without a daemon.
#[derive(Debug, Args)]
pub(crate) struct Registries {
    /// Speak with this registry (HOST[:PORT]) without TLS, or without checking its certificate. May be given several
    /// times
    #[arg(long = "insecure-registry", value_name = "REGISTRY")]
    pub(crate) insecure: Vec<String>,
    /// Ask this registry first for images of Docker's registry. May be given several times
    #[arg(long = "registry-mirror", value_name = "URL")]
    pub(crate) mirrors: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack pull debian:12
  carrack pull --platform linux/arm64 debian:12
  carrack pull -q registry.example.org/team/app@sha256:5ad46c1a2ff3ae1a9d3ad3b7cfd3ad1c8f4d3f0e0b9e3a6b3e2c4b1d0a9f8e7d
  carrack pull --insecure-registry localhost:5000 localhost:5000/app")]
pub(crate) struct Pull {
    /// Print only the image's name
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Platform to choose of an image for several, such as linux/amd64 [default: the host's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Option<String>,
    #[command(flatten)]
    pub(crate) registries: Registries,
    /// Name, with a tag or a digest [default tag: latest]
    pub(crate) image: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack tag app registry.example.org/team/app:1
  carrack push registry.example.org/team/app:1
  carrack push --insecure-registry localhost:5000 localhost:5000/app")]
pub(crate) struct Push {
    /// Print only the image's name
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) registries: Registries,
    /// Name, with the registry before it and a tag [default tag: latest]
    #[arg(add = complete::images())]
    pub(crate) image: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack build -t app .
  carrack build -t app -f docker/Dockerfile --build-arg VERSION=2 .
  carrack build --target test --iidfile id.txt ~/src/app
  tar cz . | carrack build -t app -                 the context as an archive")]
pub(crate) struct Build {
    /// Name of the image. May be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    pub(crate) tags: Vec<String>,
    /// The Dockerfile [default: Dockerfile of the directory]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A build argument: NAME=VALUE, or NAME to pass a variable on
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(crate) build_args: Vec<String>,
    /// A label of the image
    #[arg(long = "label", value_name = "NAME[=VALUE]")]
    pub(crate) labels: Vec<String>,
    /// Stop at this stage
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// Do every step again
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Images whose steps may be taken instead of doing them
    #[arg(long, value_name = "IMAGE")]
    pub(crate) cache_from: Vec<String>,
    /// Fetch newer base images
    #[arg(long)]
    pub(crate) pull: bool,
    /// Network of the steps: host or none
    #[arg(long, value_name = "MODE")]
    pub(crate) network: Option<String>,
    /// Platform to build for, such as linux/amd64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Option<String>,
    /// Write the image's id to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,
    /// Print only the image's id
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
    /// The directory of the context, or - for an archive (or a Dockerfile alone) on standard input
    #[arg(value_name = "DIRECTORY")]
    pub(crate) context: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack import debian.tar debian:12
  curl -sSL https://example.org/rootfs.tar.gz | carrack import - mine:latest
  carrack import -c 'CMD [\"/bin/bash\"]' -c 'ENV LANG=C.UTF-8' rootfs.tar.zst mine")]
pub(crate) struct Import {
    /// Archive, plain or compressed with gzip or zstd; - for standard input
    pub(crate) file: PathBuf,
    /// Name to give it
    pub(crate) reference: Option<String>,
    /// Dockerfile instruction to apply (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR …)
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub(crate) change: Vec<String>,
    /// Comment for the image's history
    #[arg(short, long)]
    pub(crate) message: Option<String>,
    /// Platform of what is in it, such as linux/amd64
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  docker save debian:12 | carrack load
  carrack load -i images.tar")]
pub(crate) struct Load {
    /// Read from this file instead of standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Print only what was loaded
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A name with a tag saves that one; a name without saves all tags of the repository; an id saves the image without a name.
The same images give the same bytes.

Examples:
  carrack save -o debian.tar debian:12
  carrack save debian:12 app | zstd > images.tar.zst")]
pub(crate) struct Save {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE", add = complete::images())]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack rmi debian:12
  carrack rmi -f 3f1c0d2a9b7e                       all its names with it")]
pub(crate) struct Rmi {
    /// Remove even if it has several names or a stopped container uses it
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE", add = complete::images())]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack tag debian:12 registry.example.org/base/debian:12")]
pub(crate) struct Tag {
    /// An image's name or id
    #[arg(add = complete::images())]
    pub(crate) source: String,
    /// The further name
    pub(crate) target: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack history debian:12
  carrack history --no-trunc --json debian:12       one JSON object a line")]
pub(crate) struct History {
    /// Print whole ids and commands
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print one JSON object for each step, the newest first, a line each
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// A name or an id
    #[arg(add = complete::images())]
    pub(crate) image: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Prints a JSON array in the format of Docker's Engine API. A name that a container and an image have is the container's.

Examples:
  carrack inspect debian:12
  carrack inspect --type container web
  carrack inspect --json web debian:12              one JSON object a line")]
pub(crate) struct Inspect {
    /// What the names are names of [default: whatever is found]
    #[arg(long = "type", value_name = "KIND")]
    pub(crate) kind: Option<Inspected>,
    /// Print one JSON object for each name, a line each, instead of an array
    #[arg(long)]
    pub(crate) json: bool,
    /// Also count the size of containers' files
    #[arg(short, long)]
    pub(crate) size: bool,
    /// Names or ids
    #[arg(required = true, value_name = "NAME", add = complete::anything())]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Inspected {
    Container,
    Image,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Passwords are kept where docker keeps them: $DOCKER_CONFIG/config.json, else ~/.docker/config.json, or the credential
helper that is named there.

Examples:
  carrack login registry.example.org
  carrack login -u me --password-stdin registry.example.org < password.txt")]
pub(crate) struct Login {
    /// User name
    #[arg(short, long)]
    pub(crate) username: Option<String>,
    /// Password; others can see it in the list of processes, and the shell remembers it
    #[arg(short, long, conflicts_with = "password_stdin")]
    pub(crate) password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) registries: Registries,
    /// The registry [default: Docker's]
    pub(crate) server: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carrack logout registry.example.org")]
pub(crate) struct Logout {
    /// The registry [default: Docker's]
    pub(crate) server: Option<String>,
}
