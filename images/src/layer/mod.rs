//! Layers: an archive unpacked once, as metadata records and body files.
//!
//! ```text
//! layers/<diff id>/meta        records, in the order of the archive (record.rs)
//! layers/<diff id>/split        what it takes to write the archive again (split.rs)
//! layers/<diff id>/layer.json  sizes
//! layers/<diff id>/blobs.json  the compressed blobs this layer is known as
//! layers/<diff id>/b/<n>       the data of regular file number n
//! objects/<2 hex>/<sha256>     the same host file as every b/<n> with these bytes
//! ```
//!
//! A layer is a sequence of changes, not a tree: what it means for names depends on the layers below, and is
//! decided when layers are merged ([`tree`]). Nothing of an archive ever becomes part of a host path.

pub(crate) mod bodies;
pub(crate) mod pipe;
pub(crate) mod record;
pub(crate) mod scratch;
pub(crate) mod split;
pub(crate) mod tree;
pub(crate) mod unpack;
