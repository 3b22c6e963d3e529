//! All containers by id and by name.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use drydock_images::Driver;

use crate::config::Config;
use crate::container::{Container, Record, links};
use crate::error::ApiError;
use crate::id::Id;
use crate::image::driver::is_of_another;

/// Every container the engine knows.
#[derive(Debug, Default)]
pub struct Containers {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    all: HashMap<Id, Arc<Container>>,
    names: HashMap<String, Id>,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("read {path}")]
    Read { path: PathBuf, source: std::io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("No such container: {0}")]
    NotFound(String),
    #[error("multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove \
     (or rename) that container to be able to reuse that name."
)]
pub struct NameTaken {
    pub name: String,
    pub holder: Id,
}

impl From<FindError> for ApiError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NotFound(_) => Self::not_found(error.to_string()),
            FindError::Ambiguous(_) => Self::invalid(error.to_string()),
        }
    }
}

impl From<NameTaken> for ApiError {
    fn from(error: NameTaken) -> Self {
        Self::conflict(error.to_string())
    }
}

impl Containers {
    /// Reads every record of this storage driver's containers. One that cannot be read is reported and left where it is.
    pub fn load(config: &Config, driver: Driver) -> Result<Self, LoadError> {
        let path = config.data_root.join("containers");
        let at = |source| LoadError::Read { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(at)?;
        let containers = Self::default();
        for entry in std::fs::read_dir(&path).map_err(at)? {
            let file = entry.map_err(at)?.path().join("container.json");
            let Ok(bytes) = std::fs::read(&file) else { continue };
            match serde_json::from_slice::<Record>(&bytes) {
                Ok(record) if is_of_another(config, driver, &record.id) => {
                    tracing::info!(container.id = %record.id, "of another storage driver: not restored");
                }
                Ok(record) => {
                    let mut inner = containers.lock();
                    inner.names.insert(record.name.clone(), record.id.clone());
                    let container = Container::new(record, &config.data_root, &config.exec_root);
                    inner.all.insert(container.id.clone(), Arc::new(container));
                }
                Err(error) => tracing::error!(path = %file.display(), %error, "container record"),
            }
        }
        containers.name_links();
        Ok(containers)
    }

    /// Children of links are also called after their parents; a name that is taken is left to who has it.
    fn name_links(&self) {
        for parent in self.all() {
            let (name, links) = {
                let record = parent.record();
                (record.name.clone(), record.links.clone())
            };
            for (alias, link) in links {
                let _ = self.reserve(&links::full_name(&name, &alias), &link.child);
            }
        }
    }

    /// By full id, then by name, then by a unique prefix of an id.
    pub fn find(&self, reference: &str) -> Result<Arc<Container>, FindError> {
        let inner = self.lock();
        let name = reference.strip_prefix('/').unwrap_or(reference);
        let known = Id::parse(reference).or_else(|| inner.names.get(name).cloned());
        if let Some(container) = known.and_then(|id| inner.all.get(&id)) {
            return Ok(container.clone());
        }
        let mut matching =
            inner.all.values().filter(|container| container.id.as_str().starts_with(reference));
        match (matching.next().filter(|_| !reference.is_empty()), matching.next()) {
            (Some(container), None) => Ok(container.clone()),
            (Some(_), Some(_)) => Err(FindError::Ambiguous(reference.to_owned())),
            (None, _) => Err(FindError::NotFound(reference.to_owned())),
        }
    }

    /// All of them, newest first.
    pub fn all(&self) -> Vec<Arc<Container>> {
        let mut all: Vec<_> = self.lock().all.values().cloned().collect();
        all.sort_by_cached_key(|container| std::cmp::Reverse(container.record().created.clone()));
        all
    }

    /// Holds `name` for `id`. Two creates of one name: the second is told who has it.
    pub fn reserve(&self, name: &str, id: &Id) -> Result<(), NameTaken> {
        let mut inner = self.lock();
        match inner.names.get(name) {
            Some(holder) if holder != id => Err(NameTaken { name: name.to_owned(), holder: holder.clone() }),
            _ => {
                inner.names.insert(name.to_owned(), id.clone());
                Ok(())
            }
        }
    }

    pub fn release(&self, name: &str, id: &Id) {
        let mut inner = self.lock();
        if inner.names.get(name) == Some(id) {
            inner.names.remove(name);
        }
    }

    pub fn insert(&self, container: Arc<Container>) {
        self.lock().all.insert(container.id.clone(), container);
    }

    /// Forgets a container and frees its names, and those that its links gave to others.
    pub fn remove(&self, id: &Id) {
        let mut inner = self.lock();
        let gone = inner.all.remove(id);
        let own = gone.map(|container| format!("{}/", container.record().name));
        let by_link = |name: &String| own.as_ref().is_some_and(|own| name.starts_with(own));
        inner.names.retain(|name, holder| holder != id && !by_link(name));
    }

    /// Every name of every container, its links' among them, in order.
    pub fn names(&self) -> HashMap<Id, Vec<String>> {
        let mut names: HashMap<Id, Vec<String>> = HashMap::new();
        for (name, holder) in &self.lock().names {
            names.entry(holder.clone()).or_default().push(name.clone());
        }
        names.values_mut().for_each(|names| names.sort());
        names
    }

    /// Who is linked to `child`: the parents' names and the aliases.
    pub fn parents(&self, child: &Id) -> Vec<(String, String)> {
        let inner = self.lock();
        let names = inner.names.iter().filter(|(_, holder)| *holder == child);
        names
            .filter_map(|(name, _)| name.split_once('/'))
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect()
    }

    /// A parent has another name: so have its children.
    pub fn rename_links(&self, old: &str, new: &str) {
        let mut inner = self.lock();
        let prefix = format!("{old}/");
        let moved: Vec<_> = inner.names.extract_if(|name, _| name.starts_with(&prefix)).collect();
        for (name, holder) in moved {
            inner.names.insert(links::full_name(new, &name[prefix.len()..]), holder);
        }
    }

    pub fn release_link(&self, name: &str) {
        self.lock().names.remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of the registry panics")
    }
}
