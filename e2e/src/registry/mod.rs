//! A real registry on loopback, and a proxy before it that does what networks do.

mod content;
mod proxy;
mod server;

pub(crate) use content::{OCI_INDEX, OCI_MANIFEST, digest, gzip, image};
pub(crate) use proxy::{Proxy, What};
pub(crate) use server::{Options, Registry, stranger};
