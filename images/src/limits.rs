//! How much of what others say is believed before work is given up.

/// Bounds for what comes into a store. What goes beyond one is refused with [`crate::Error::Limit`], and the
/// space it took is given back.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Uncompressed bytes of one layer, holes of sparse files not counted.
    pub layer_bytes: u64,
    /// How many times bigger than its blob a layer may be once it has more than [`Limits::expansion_from`] bytes.
    pub expansion: u64,
    /// Uncompressed bytes up to which a layer may be any number of times bigger than its blob.
    pub expansion_from: u64,
    /// Entries of one layer.
    pub entries: u64,
    /// Layers of one image.
    pub layers: usize,
    /// Bytes of one manifest, index or configuration.
    pub document_bytes: usize,
    /// Window that a zstd stream may ask for, as a power of two: this much memory is needed to read it.
    pub zstd_window_log: u32,
}

impl Default for Limits {
    /// What no image that is meant to be used comes near.
    fn default() -> Limits {
        Limits {
            layer_bytes: 1 << 40,
            // deflate cannot do more than 1032, but files of nothing but zeros are no layers either.
            expansion: 400,
            expansion_from: 4 << 30,
            entries: 16 << 20,
            // overlayfs ends at 500, Docker at about 125.
            layers: 4096,
            // Registries take half of that.
            document_bytes: 8 << 20,
            // `zstd -d` takes no more by itself.
            zstd_window_log: 27,
        }
    }
}
