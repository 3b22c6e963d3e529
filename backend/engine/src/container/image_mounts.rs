//! `--mount type=image`: another image's files, read-only, at a place of the container.
//!
//! Each is a root file system of its own in the image store, named after the container and its number among the
//! container's image mounts, and lives as long as the container.

use crate::container::mounts::{Kind, MountPoint};
use crate::container::{Container, rootfs};
use crate::engine::Engine;
use crate::image::{LookupError, RootfsError};

#[derive(Debug, thiserror::Error)]
pub enum ImageMountError {
    #[error(transparent)]
    Image(#[from] LookupError),
    #[error("mount image {image}")]
    Rootfs { image: String, source: RootfsError },
    #[error("cannot access path {0}: no such file or directory")]
    Subpath(String),
}

fn name(container: &Container, index: usize) -> String {
    format!("{}-image-{index}", container.id)
}

fn all(points: &mut [MountPoint]) -> impl Iterator<Item = (usize, &mut MountPoint)> {
    let own = |point: &&mut MountPoint| point.kind == Kind::Image && !point.inherited;
    points.iter_mut().filter(own).enumerate()
}

/// Makes them with the container.
pub fn create(
    engine: &Engine,
    container: &Container,
    points: &mut [MountPoint],
) -> Result<(), ImageMountError> {
    for (index, point) in all(points) {
        let image = engine.images.lookup(&point.name)?;
        let at = |source| ImageMountError::Rootfs { image: point.name.clone(), source };
        let name = name(container, index);
        engine.images.create_image_tree(&name, &image).map_err(at)?;
        let root = engine.images.mount_rootfs(&name).map_err(at)?;
        point.source = root.to_string_lossy().into_owned();
    }
    Ok(())
}

/// Mounts them for a run, and finds the part of each that is wanted.
pub fn mount(
    engine: &Engine,
    container: &Container,
    points: &mut [MountPoint],
) -> Result<(), ImageMountError> {
    for (index, point) in all(points) {
        let at = |source| ImageMountError::Rootfs { image: point.name.clone(), source };
        let root = engine.images.mount_rootfs(&name(container, index)).map_err(at)?;
        let place = rootfs::place_inside(&root, &point.subpath);
        let place =
            place.ok_or_else(|| ImageMountError::Subpath(root.join(&point.subpath).display().to_string()))?;
        point.source = place.to_string_lossy().into_owned();
    }
    Ok(())
}

/// Takes them away when the container goes.
pub fn remove(engine: &Engine, container: &Container) {
    let mut points = container.record().mounts.clone();
    for (index, point) in all(&mut points) {
        match engine.images.remove_rootfs(&name(container, index)) {
            Ok(()) | Err(RootfsError::Missing(_)) => {}
            Err(error) => {
                tracing::error!(container.id = %container.id, image.name = point.name, "{}", crate::error::chain(&error));
            }
        }
    }
}
