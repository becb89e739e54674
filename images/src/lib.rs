//! OCI content: how images come into the store, how they are kept, and how a container's file system
//! finds its files in them.
//!
//! - [`tar`] reads foreign archives, one entry at a time, in bounded memory.
//! - `layer` turns an archive into an unpacked layer (metadata records and body files) and several layers
//!   into one tree.
//! - [`index`] is that tree on disk: immutable, memory-mapped, read in place.
//! - [`store`] is the directory that holds it all, and the one place where images are named, committed and
//!   removed.
//! - [`build`] is the Dockerfile language.
//! - [`mod@reference`] parses image names the way the docker client's users know them.
//!
//! Nothing here needs privilege: owners, modes, device numbers and extended attributes of a guest are
//! metadata in the index, and no host path is ever built from a name in an archive. Only
//! [`registry`] talks to a network.

pub mod build;
mod compress;
mod error;
pub mod index;
mod layer;
mod limits;
pub mod reference;
pub mod registry;
pub mod store;
pub mod tar;
#[cfg(test)]
mod testing;

pub use error::{Error, ErrorKind};
pub use index::{Body, DirEntry, FileKind, Index, InodeInfo, Timespec};
pub use limits::Limits;
pub use store::{
    Compression, ContentWriter, Damage, Derivation, Descriptor, Expected, Hold, Image, ImageConfig, ImageId,
    ImageUsage, ImportOptions, Ingest, LayerBlob, LayerWriter, LoadedImage, NewImage, Progress, Removed,
    RunConfig, StagedLayer, Store, Summary, Usage, Verification, Verified, apply_changes,
};
