//! `docker rmi` and `docker image prune`, in moby's order of steps and with its texts.

use drydock_images::{FindError, ImageId, IndexError, Named, RemoveError};
use drydock_registry::Platform;
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

/// Whether the images that it was made from, and that nobody needs any more, go too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    Keep,
    Prune,
}

/// An image stays.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(
        "conflict: unable to remove repository reference {reference:?} (must force) - container {container} is using its referenced image {image}"
    )]
    Referenced { reference: String, container: String, image: String },
    #[error("conflict: unable to delete {image} ({}) - {reason}", .reason.way_out())]
    Conflict { image: String, reason: Conflict },
    #[error("a prune operation is already running")]
    Pruning,
    #[error("change the image index")]
    Index(#[source] IndexError),
    #[error("remove the image")]
    Remove(#[source] RemoveError),
}

/// Who needs the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error("image has dependent child images")]
    Children,
    #[error("image is being used by running container {0}")]
    Running(String),
    #[error("image is referenced in multiple repositories")]
    Names,
    #[error("image is being used by stopped container {0}")]
    Stopped(String),
}

impl Conflict {
    const fn way_out(&self) -> &'static str {
        match self {
            Self::Children | Self::Running(_) => "cannot be forced",
            Self::Names | Self::Stopped(_) => "must be forced",
        }
    }

    const fn is_use(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Stopped(_))
    }
}

impl From<DeleteError> for ApiError {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Lookup(error) => error.into(),
            DeleteError::Referenced { .. } | DeleteError::Conflict { .. } | DeleteError::Pruning => {
                Self::conflict(error.to_string())
            }
            DeleteError::Index(_) | DeleteError::Remove(_) => {
                Self::chain(StatusCode::INTERNAL_SERVER_ERROR, &error)
            }
        }
    }
}

/// One removal on its way: what it must respect, and what it did.
struct Removal<'a> {
    images: &'a ImageService,
    uses: &'a [Use],
    parents: Parents,
    gone: Vec<Value>,
    freed: u64,
}

impl ImageService {
    /// Takes away the name that `reference` is, or the image that it begins the id of; with the last name the image
    /// goes too. `uses` are all containers.
    pub fn delete(
        &self,
        reference: &str,
        platform: Option<&Platform>,
        force: Force,
        parents: Parents,
        uses: &[Use],
    ) -> Result<Value, DeleteError> {
        self.find_for(reference, platform)?;
        let mut removal = Removal { images: self, uses, parents, gone: Vec::new(), freed: 0 };
        removal.delete(reference, force)?;
        Ok(json!(removal.gone))
    }

    /// Removes what no container needs: images without a tag, or (`dangling=false`) every unused one.
    pub fn prune(&self, filter: &Filter, uses: &[Use]) -> Result<Value, DeleteError> {
        let Ok(_only_one) = self.pruning.try_lock() else { return Err(DeleteError::Pruning) };
        filter.single_until().map_err(LookupError::from)?;
        let bounds = filter.bounds(self)?;
        let only_dangling = filter.flag("dangling").ok().flatten().unwrap_or(true);
        let mut removal = Removal { images: self, uses, parents: Parents::Prune, gone: Vec::new(), freed: 0 };
        for one in self.named_images().map_err(DeleteError::Index)? {
            let is_step = one.is_nameless()
                && !self.store.children(&one.image.id).map_err(DeleteError::Index)?.is_empty();
            if is_step || (only_dangling && !one.tags.is_empty()) {
                continue;
            }
            let Some(one) = filter.ignoring_dangling().apply(one, &bounds) else { continue };
            let names = one.tags.iter().chain(&one.digests).map(Named::familiar);
            let names = if one.is_nameless() { vec![one.image.id.to_string()] } else { names.collect() };
            // One that is in use stays, with its name.
            let _ = names.iter().try_for_each(|name| removal.delete(name, Force::No));
        }
        let Removal { gone, freed, .. } = removal;
        let gone = if gone.is_empty() { Value::Null } else { json!(gone) };
        let reclaimed = std::collections::BTreeMap::from([("reclaimed".to_owned(), freed.to_string())]);
        self.events.publish("image", "prune", "", reclaimed);
        Ok(json!({"ImagesDeleted": gone, "SpaceReclaimed": freed}))
    }
}

impl Removal<'_> {
    fn delete(&mut self, reference: &str, force: Force) -> Result<(), DeleteError> {
        let image = self.images.store.find(reference).map_err(LookupError::from)?;
        let named = self.named(&image.id)?;
        let id = image.id.to_string();
        if is_id(&id, reference) {
            if is_single(&named) {
                self.check(&image.id, force, Names::Ignored)?;
                self.untag_all(&image.id)?;
            }
            return self.remove(&image.id, force, Quiet::No);
        }
        let name = Named::parse(reference).map_err(FindError::from).map_err(LookupError::from)?.or_latest();
        if force == Force::No
            && is_single(&named)
            && let Some(one) = self.uses.iter().find(|one| one.image == id)
        {
            return Err(DeleteError::Referenced {
                reference: reference.to_owned(),
                container: one.container[..12].to_owned(),
                image: short(&image.id.0).to_owned(),
            });
        }
        self.untag(&name, &id)?;
        let left = self.drop_lone_digests(&name, &image.id)?;
        if left > 0 { Ok(()) } else { self.remove(&image.id, force, Quiet::Yes) }
    }

    fn named(&self, id: &ImageId) -> Result<NamedImage, DeleteError> {
        let store = &self.images.store;
        let (tags, digests) = store.names(id).map_err(DeleteError::Index)?;
        let image = store.image(id).map_err(DeleteError::Index)?;
        let image = image.ok_or_else(|| LookupError::NotFound(id.to_string()))?;
        Ok(NamedImage { image, tags, digests })
    }

    /// When a repository's last tag went, its digests go too. Answers how many names are left.
    fn drop_lone_digests(&mut self, name: &Named, id: &ImageId) -> Result<usize, DeleteError> {
        let named = self.named(id)?;
        let mut left = named.tags.len() + named.digests.len();
        if name.digest().is_some() || named.tags.iter().any(|tag| tag.name() == name.name()) {
            return Ok(left);
        }
        for digest in named.digests.iter().filter(|digest| digest.name() == name.name()) {
            // Nobody is told of it by an event, either in moby.
            self.forget(digest)?;
            left -= 1;
        }
        Ok(left)
    }

    /// Removes an image without regard to its names, and then its parents.
    fn remove(&mut self, id: &ImageId, force: Force, quiet: Quiet) -> Result<(), DeleteError> {
        match self.check(id, force, Names::Counted) {
            // The name is gone, which was what was asked for.
            Err(DeleteError::Conflict { reason, .. })
                if quiet == Quiet::Yes && (reason.is_use() || !self.is_dangling(id)?) =>
            {
                return Ok(());
            }
            other => other?,
        }
        let parent = self.named(id)?.image.parent.clone();
        self.untag_all(id)?;
        let removed = self.images.store.remove(id).map_err(DeleteError::Remove)?;
        self.freed += removed.size;
        self.gone.push(json!({ "Deleted": id }));
        self.gone.extend(removed.chains.iter().map(|chain| json!({ "Deleted": chain })));
        self.images.publish("delete", &id.to_string(), &id.to_string());
        match parent {
            Some(parent) if self.parents == Parents::Prune && self.images.is_there(&parent)? => {
                self.remove(&parent, Force::No, Quiet::Yes)
            }
            _ => Ok(()),
        }
    }

    /// Without a name and without images made from it.
    fn is_dangling(&self, id: &ImageId) -> Result<bool, DeleteError> {
        let children = self.images.store.children(id).map_err(DeleteError::Index)?;
        Ok(self.named(id)?.is_nameless() && children.is_empty())
    }

    fn check(&self, id: &ImageId, force: Force, names: Names) -> Result<(), DeleteError> {
        let conflict = |reason| Err(DeleteError::Conflict { image: short(&id.0).to_owned(), reason });
        let text = id.to_string();
        let container = |one: &Use| one.container[..12].to_owned();
        let uses = || self.uses.iter().filter(|one| one.image == text);
        if !self.images.store.children(id).map_err(DeleteError::Index)?.is_empty() {
            return conflict(Conflict::Children);
        }
        if let Some(one) = uses().find(|one| one.is_running) {
            return conflict(Conflict::Running(container(one)));
        }
        if force == Force::Yes {
            return Ok(());
        }
        if names == Names::Counted && !self.named(id)?.is_nameless() {
            return conflict(Conflict::Names);
        }
        uses().next().map_or(Ok(()), |one| conflict(Conflict::Stopped(container(one))))
    }

    fn untag(&mut self, name: &Named, id: &str) -> Result<(), DeleteError> {
        self.forget(name)?;
        self.images.publish("untag", id, id);
        Ok(())
    }

    fn forget(&mut self, name: &Named) -> Result<(), DeleteError> {
        self.images.store.untag(name).map_err(DeleteError::Index)?;
        self.gone.push(json!({ "Untagged": name.familiar() }));
        Ok(())
    }

    fn untag_all(&mut self, id: &ImageId) -> Result<(), DeleteError> {
        let named = self.named(id)?;
        named.tags.iter().chain(&named.digests).try_for_each(|name| self.untag(name, &id.to_string()))
    }
}

impl ImageService {
    fn is_there(&self, id: &ImageId) -> Result<bool, DeleteError> {
        Ok(self.store.image(id).map_err(DeleteError::Index)?.is_some())
    }
}

/// Whether names that an image still has keep it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Counted,
    Ignored,
}

/// Whether a conflict ends the removal without a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quiet {
    No,
    Yes,
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
