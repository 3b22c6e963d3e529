//! The node image and the offline library: `images/NAME/Dockerfile` becomes `dist/images`, an OCI layout.
//!
//! A recipe is a Dockerfile that a real `docker build` understands too, of the few instructions in
//! [`recipe`]; `images/NAME/bootstrap`, where there is one, makes the `rootfs.tar` that it adds. No
//! engine is needed: steps run in a chroot with namespaces of their own. An image is made again only when
//! its recipe, a file that it copies, or its parent changed ([`build::key`]).

mod build;
mod layer;
mod layout;
mod recipe;
mod shell;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::places;

/// Where things lie while images are made.
struct Places {
    /// `images/` of the checkout.
    recipes: PathBuf,
    /// Blobs, trees of parents and download caches, outside the checkout.
    cache: PathBuf,
    /// The compiled `images/programs`.
    programs: PathBuf,
}

/// Makes what is missing and lays `dist/images` out. Needs root: files keep their owners and modes.
pub fn build(dist: &Path, cache: &Path) -> Result<()> {
    let places = Places {
        recipes: places::checkout().join("images"),
        cache: cache.join("images"),
        programs: places::release(),
    };
    let mut built = BTreeMap::new();
    let recipes = recipe::all(&places.recipes)?;
    let parents: Vec<String> = recipes.iter().filter_map(|recipe| recipe.parent.clone()).collect();
    for recipe in recipes {
        let image = build::image(&places, &recipe, &built)
            .with_context(|| format!("images/{}/Dockerfile", recipe.name))?;
        built.insert(recipe.name, image);
    }
    layout::write(&dist.join("images"), &places.cache, built.values())?;
    layout::forget(&places.cache, built.iter().map(|(name, image)| (image, parents.contains(name))))
}
