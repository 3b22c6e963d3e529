//! `docker rmi` and `docker image prune`.

use drydock_images::{ImageId, IndexError, Named, RemoveError};
use http::StatusCode;
use serde_json::{Value, json};

use super::describe::NamedImage;
use super::filter::Filter;
use super::progress::short;
use super::{ImageService, LookupError};
use crate::error::ApiError;

/// A container that was made from an image, as far as removing the image cares.
#[derive(Clone, Debug)]
pub struct Use {
    pub container: String,
    pub image: String,
    pub is_running: bool,
}

/// Whether conflicts that may be overridden are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// An image stays; the texts are moby's.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(
        "conflict: unable to remove repository reference {reference:?} (must force) - container {container} is using its referenced image {image}"
    )]
    Referenced { reference: String, container: String, image: String },
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is referenced in multiple repositories"
    )]
    SeveralNames { image: String },
    #[error(
        "conflict: unable to delete {image} (cannot be forced) - image is being used by running container {container}"
    )]
    Running { image: String, container: String },
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is being used by stopped container {container}"
    )]
    Stopped { image: String, container: String },
    #[error("change the image index")]
    Index(#[source] IndexError),
    #[error("remove the image")]
    Remove(#[source] RemoveError),
}

impl From<DeleteError> for ApiError {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Lookup(error) => error.into(),
            DeleteError::Referenced { .. }
            | DeleteError::SeveralNames { .. }
            | DeleteError::Running { .. }
            | DeleteError::Stopped { .. } => Self::conflict(error.to_string()),
            DeleteError::Index(_) | DeleteError::Remove(_) => {
                Self::chain(StatusCode::INTERNAL_SERVER_ERROR, &error)
            }
        }
    }
}

impl ImageService {
    /// Takes away the name that `reference` is, or the image that it begins the id of; with the last name the image
    /// goes too. `uses` are all containers.
    pub fn delete(&self, reference: &str, force: Force, uses: &[Use]) -> Result<Value, DeleteError> {
        let image = self.store.find(reference).map_err(LookupError::from)?;
        let (tags, digests) = self.store.names(&image.id).map_err(DeleteError::Index)?;
        let named = NamedImage { image, tags, digests };
        let id = named.image.id.to_string();
        let uses: Vec<&Use> = uses.iter().filter(|one| one.image == id).collect();
        let mut gone = Vec::new();
        if is_id(&id, reference) {
            if !is_single(&named) && force == Force::No {
                return Err(DeleteError::SeveralNames { image: short(&named.image.id.0).to_owned() });
            }
            may_delete(&named.image.id, force, &uses)?;
            self.untag_all(&named, &mut gone)?;
        } else {
            let name = Named::parse(reference)
                .map_err(drydock_images::FindError::from)
                .map_err(LookupError::from)?;
            let name = name.or_latest();
            let is_last = is_single(&named);
            if is_last
                && force == Force::No
                && let Some(one) = uses.first()
            {
                return Err(DeleteError::Referenced {
                    reference: name.familiar(),
                    container: one.container[..12].to_owned(),
                    image: short(&named.image.id.0).to_owned(),
                });
            }
            if is_last {
                may_delete(&named.image.id, force, &uses)?;
                self.untag_all(&named, &mut gone)?;
            } else {
                self.untag(&name, &id, &mut gone)?;
                return Ok(json!(gone));
            }
        }
        self.remove(&named.image.id, &mut gone)?;
        Ok(json!(gone))
    }

    /// Removes what no container needs: images without a tag, or (`dangling=false`) every unused one.
    pub fn prune(&self, filter: &Filter, uses: &[Use]) -> Result<Value, DeleteError> {
        let bounds = filter.bounds(self)?;
        let only_dangling = filter.flag("dangling").ok().flatten().unwrap_or(true);
        let mut gone = Vec::new();
        let mut freed = 0;
        for one in self.named_images().map_err(DeleteError::Index)? {
            let id = one.image.id.to_string();
            let is_needed =
                uses.iter().any(|used| used.image == id) || (only_dangling && !one.tags.is_empty());
            let Some(one) = filter.ignoring_dangling().apply(one, &bounds).filter(|_| !is_needed) else {
                continue;
            };
            self.untag_all(&one, &mut gone)?;
            freed += self.remove(&one.image.id, &mut gone)?;
        }
        Ok(
            json!({"ImagesDeleted": if gone.is_empty() { Value::Null } else { json!(gone) }, "SpaceReclaimed": freed}),
        )
    }

    fn untag(&self, name: &Named, id: &str, gone: &mut Vec<Value>) -> Result<(), DeleteError> {
        self.store.untag(name).map_err(DeleteError::Index)?;
        gone.push(json!({ "Untagged": name.familiar() }));
        self.publish("untag", id, id);
        Ok(())
    }

    fn untag_all(&self, named: &NamedImage, gone: &mut Vec<Value>) -> Result<(), DeleteError> {
        let id = named.image.id.to_string();
        named.tags.iter().chain(&named.digests).try_for_each(|name| self.untag(name, &id, gone))
    }

    fn remove(&self, id: &ImageId, gone: &mut Vec<Value>) -> Result<u64, DeleteError> {
        let removed = self.store.remove(id).map_err(DeleteError::Remove)?;
        gone.push(json!({ "Deleted": id }));
        gone.extend(removed.layers.iter().map(|layer| json!({ "Deleted": layer })));
        self.publish("delete", &id.to_string(), &id.to_string());
        Ok(removed.size)
    }
}

/// Whether a reference is the image's id or the beginning of it.
fn is_id(id: &str, reference: &str) -> bool {
    id.starts_with(reference) || id["sha256:".len()..].starts_with(reference)
}

/// One tag, with or without digests of the same repository; or digests alone of one repository.
fn is_single(named: &NamedImage) -> bool {
    let mut repositories: Vec<String> = named.tags.iter().chain(&named.digests).map(Named::name).collect();
    repositories.sort();
    repositories.dedup();
    named.tags.len() <= 1 && repositories.len() <= 1
}

fn may_delete(id: &ImageId, force: Force, uses: &[&Use]) -> Result<(), DeleteError> {
    let image = short(&id.0).to_owned();
    let name = |one: &Use| one.container[..12].to_owned();
    if let Some(one) = uses.iter().find(|one| one.is_running) {
        return Err(DeleteError::Running { image, container: name(one) });
    }
    match uses.first() {
        Some(one) if force == Force::No => Err(DeleteError::Stopped { image, container: name(one) }),
        _ => Ok(()),
    }
}
