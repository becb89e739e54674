//! What the store takes, as `docker system df` counts it: a file is as big as it says, a layer as its files
//! together, and what several images have is there once.

use std::collections::HashMap;

use super::staging::names;
use super::{Image, ImageId, Store};
use crate::Error;

/// Disk use of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sum of the sizes of all layers in bytes, each counted once.
    pub layers_size: u64,
    /// Each image, removed ones that containers still use included, by id.
    pub images: Vec<ImageUsage>,
}

/// Disk use of an image. `size` is `shared` and `unique` together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUsage {
    /// The image.
    pub id: ImageId,
    /// Sum of the sizes of its layers in bytes.
    pub size: u64,
    /// Those that other images have too.
    pub shared: u64,
    /// Those that only this one has.
    pub unique: u64,
}

impl Store {
    /// Sizes of what the store has.
    ///
    /// # Errors
    /// The host's.
    pub fn usage(&self) -> Result<Usage, Error> {
        let mut sizes: HashMap<String, u64> = HashMap::new();
        for hex in names(&self.root.join("layers"))? {
            // One that goes away meanwhile takes nothing.
            if let Ok(info) = self.layer_info(&hex) {
                sizes.insert(hex, info.size);
            }
        }
        let layers_size = sizes.values().fold(0, |sum: u64, size| sum.saturating_add(*size));
        let repository = self.repository()?;
        let all = || repository.images.iter().chain(&repository.retained);
        // Of how many images a layer is.
        let mut users: HashMap<&str, (usize, &str)> = HashMap::new();
        for (hex, entry) in all() {
            for layer in &entry.layers {
                let (count, last) = users.entry(layer).or_insert((0, ""));
                if *last != hex {
                    (*count, *last) = (*count + 1, hex);
                }
            }
        }
        let mut images = Vec::with_capacity(repository.images.len());
        for (hex, entry) in all() {
            let Some(id) = ImageId::parse(hex) else { continue };
            let mut usage = ImageUsage { id, size: 0, shared: 0, unique: 0 };
            for layer in &entry.layers {
                let size = sizes.get(layer).copied().unwrap_or(0);
                let shared = users.get(layer.as_str()).is_some_and(|(count, _)| *count > 1);
                let part = if shared { &mut usage.shared } else { &mut usage.unique };
                *part = part.saturating_add(size);
                usage.size = usage.size.saturating_add(size);
            }
            images.push(usage);
        }
        Ok(Usage { layers_size, images })
    }

    /// The size of each layer of an image in bytes, the lowest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`], and the host's.
    pub fn layer_sizes(&self, image: &Image) -> Result<Vec<u64>, Error> {
        image.layer_hexes().map(|hex| Ok(self.layer_info(hex)?.size)).collect()
    }
}
