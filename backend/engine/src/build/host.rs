//! The world as the builder sees it: this engine.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use drydock_builder::host::{
    Download, Draft, Host, HostError, Image, Output, Platform, Pull, Ran, RunError, RunRequest,
};
use drydock_builder::image::{Config, ImageFile};
use drydock_images::{DiffId, ImageId, Named};
use tokio_util::sync::CancellationToken;

use super::download;
use super::options::Request;
use super::output::Lines;
use super::run;
use crate::engine::Engine;
use crate::error::{ApiError, chain};
use crate::image::progress::Progress;
use crate::image::{LookupError, PullRequest};

/// One build's view of the engine.
pub struct EngineHost<'a> {
    pub(super) engine: Arc<Engine>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) request: &'a Request,
    pub(super) cancel: CancellationToken,
    pub(super) lines: &'a Lines,
    platform: Platform,
    /// Images seen by this build, read once.
    read: Mutex<HashMap<ImageId, Arc<Image>>>,
    made: AtomicBool,
}

pub(super) fn failed(error: &dyn std::error::Error) -> HostError {
    HostError::new(chain(error))
}

fn refused(error: impl Into<ApiError>) -> HostError {
    let error = error.into();
    HostError { is_missing: error.status == http::StatusCode::NOT_FOUND, message: error.message }
}

impl<'a> EngineHost<'a> {
    pub fn new(
        engine: Arc<Engine>,
        runtime: tokio::runtime::Handle,
        request: &'a Request,
        cancel: CancellationToken,
        lines: &'a Lines,
    ) -> Self {
        let platform =
            Platform { os: "linux".into(), architecture: architecture().into(), variant: String::new() };
        Self {
            engine,
            runtime,
            request,
            cancel,
            lines,
            platform,
            read: Mutex::default(),
            made: AtomicBool::new(false),
        }
    }

    fn store(&self) -> &drydock_images::Store {
        self.engine.images.store()
    }

    /// Whether images were made that may not be on the disk yet.
    pub fn made_images(&self) -> bool {
        self.made.load(Ordering::Relaxed)
    }

    /// Gives a finished image a name.
    pub fn tag(&self, id: &str, name: &Named) -> Result<(), HostError> {
        let meant = self.store().resolve(name).map_err(|error| failed(&error))?;
        if meant.is_some_and(|image| image.id.to_string() == id) {
            return Ok(());
        }
        self.engine.images.tag(id, name).map_err(refused)
    }

    fn known(&self, stored: &Arc<drydock_images::Image>) -> Result<Arc<Image>, HostError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = read.get(&stored.id) {
            return Ok(image.clone());
        }
        let file: ImageFile = serde_json::from_slice(&stored.raw).map_err(|error| failed(&error))?;
        let image = Arc::new(Image { id: stored.id.to_string(), file });
        read.insert(stored.id.clone(), image.clone());
        Ok(image)
    }

    fn local(&self, name: &str, platform: Option<&Platform>) -> Result<Option<Arc<Image>>, HostError> {
        let stored = match self.store().find(name) {
            Ok(stored) => stored,
            Err(drydock_images::FindError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(refused(LookupError::from(error))),
        };
        let image = self.known(&stored)?;
        let fits = platform.is_none_or(|wanted| {
            wanted.os == image.file.os
                && wanted.architecture == image.file.architecture
                && (wanted.variant.is_empty() || wanted.variant == image.file.variant)
        });
        Ok(fits.then_some(image))
    }

    fn pull(&self, name: &str, platform: Option<&Platform>) -> Result<(), HostError> {
        let named = Named::parse(name).map_err(|error| HostError::new(error.to_string()))?.or_latest();
        let platform = platform.unwrap_or(&self.platform);
        let platform = drydock_registry::Platform {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: Some(platform.variant.clone()).filter(|variant| !variant.is_empty()),
        };
        let credentials = self.credentials(&named);
        let request = PullRequest { name: named, platform: Some(platform), credentials };
        let progress = Progress::new(self.lines.sender());
        let pulled = async {
            tokio::select! {
                pulled = self.engine.images.pull(&request, &progress) => pulled.map_err(refused),
                () = self.cancel.cancelled() => Err(HostError::new("Build cancelled")),
            }
        };
        self.runtime.block_on(pulled)
    }

    fn credentials(&self, name: &Named) -> Option<drydock_registry::Credentials> {
        let domain = name.domain();
        let keys = match domain {
            "docker.io" => vec!["https://index.docker.io/v1/", "docker.io"],
            domain => vec![domain],
        };
        keys.into_iter().find_map(|key| self.request.credentials.get(key)).cloned()
    }
}

/// Docker's word for what this program was compiled for.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

impl Host for EngineHost<'_> {
    fn now(&self) -> String {
        crate::container::record::now()
    }

    fn new_id(&self) -> String {
        crate::id::Id::random().to_string()
    }

    fn version(&self) -> &str {
        crate::api::RELEASE
    }

    fn platform(&self) -> &Platform {
        &self.platform
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn cancel(&self) {
        self.cancel.cancel();
    }

    fn image(
        &self,
        name: &str,
        pull: Pull,
        platform: Option<&Platform>,
        _output: &dyn Output,
    ) -> Result<Arc<Image>, HostError> {
        let missing = || HostError { message: format!("No such image: {name}"), is_missing: true };
        if pull != Pull::Always
            && let Some(image) = self.local(name, platform)?
        {
            return Ok(image);
        }
        if pull == Pull::Never {
            return Err(missing());
        }
        self.pull(name, platform)?;
        self.local(name, None)?.ok_or_else(missing)
    }

    fn children(&self, parent: Option<&str>) -> Result<Vec<Arc<Image>>, HostError> {
        let images = self.store().images().map_err(|error| failed(&error))?;
        let parent = parent.map(|id| id.parse().map(ImageId)).transpose().map_err(|error| failed(&error))?;
        // Of nothing only what was made here: it has no manifest.
        let is_child = |image: &&Arc<drydock_images::Image>| {
            image.parent == parent && (parent.is_some() || image.manifest.is_none())
        };
        let children = images.iter().filter(is_child).map(|image| self.known(image));
        let mut children = children.collect::<Result<Vec<_>, _>>()?;
        children.retain(|image| parent.is_some() || image.file.history.len() == 1);
        Ok(children)
    }

    fn parent(&self, image: &str) -> Option<String> {
        let id = image.parse().map(ImageId).ok()?;
        let image = self.store().image(&id).ok()??;
        image.parent.as_ref().map(ToString::to_string)
    }

    fn add_image(&self, file: &ImageFile, parent: Option<&str>) -> Result<Arc<Image>, HostError> {
        let config = serde_json::to_vec(file).map_err(|error| failed(&error))?;
        let parent = parent.map(|id| id.parse().map(ImageId)).transpose().map_err(|error| failed(&error))?;
        let stored = self.store().put_step(&config, parent.as_ref()).map_err(|error| failed(&error))?;
        self.made.store(true, Ordering::Relaxed);
        self.known(&stored)
    }

    fn draft(&self, layers: &[String]) -> Result<Box<dyn Draft>, HostError> {
        let layers = layers.iter().map(|text| text.parse::<DiffId>()).collect::<Result<Vec<_>, _>>();
        let layers = layers.map_err(|error| failed(&error))?;
        let draft = self.store().draft(&layers).map_err(|error| failed(&error))?;
        Ok(Box::new(LayerDraft { draft }))
    }

    fn draft_over(&self, folder: &Path) -> Result<Box<dyn Draft>, HostError> {
        let draft = self.store().draft_over(folder).map_err(|error| failed(&error))?;
        Ok(Box::new(LayerDraft { draft }))
    }

    fn squash(&self, layers: &[String], base: usize) -> Result<String, HostError> {
        let layers = layers.iter().map(|text| text.parse::<DiffId>()).collect::<Result<Vec<_>, _>>();
        let layers = layers.map_err(|error| failed(&error))?;
        let squashed = self.store().squash(&layers, base).map_err(|error| failed(&error))?;
        Ok(squashed.to_string())
    }

    fn run(&self, run: &RunRequest, output: &dyn Output) -> Result<Ran, RunError> {
        self.runtime.block_on(run::run(self, run, output))
    }

    fn leave_container(&self, image: &str, config: &Config) -> Result<String, HostError> {
        let request = RunRequest {
            image: image.to_owned(),
            config: config.clone(),
            network: None,
            insecure: false,
            mounts: Vec::new(),
            keep_container: true,
        };
        let container = self.runtime.block_on(run::create(self, &request))?;
        Ok(container.id.to_string())
    }

    fn remove_container(&self, id: &str) -> Result<(), HostError> {
        self.runtime.block_on(run::remove(self, id))
    }

    fn download(&self, url: &str, folder: &Path, _output: &dyn Output) -> Result<Download, HostError> {
        let fetched = download::fetch(&self.runtime, url, folder, self.lines, &self.engine.config.proxies)?;
        Ok(download::describe(url, fetched))
    }

    fn cache(&self, id: &str) -> Result<PathBuf, HostError> {
        use sha2::Digest;
        // An id may be any text; a folder's name may not.
        let digest = sha2::Sha256::digest(id.as_bytes());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let path = self.engine.config.data_root.join("builder/cache").join(name);
        std::fs::create_dir_all(&path).map_err(|error| failed(&error))?;
        Ok(path)
    }
}

/// A draft of the image store.
struct LayerDraft {
    draft: drydock_images::Draft,
}

impl Draft for LayerDraft {
    fn root(&self) -> std::os::fd::BorrowedFd<'_> {
        self.draft.root()
    }

    fn path(&self) -> &Path {
        self.draft.path()
    }

    fn keep(self: Box<Self>) -> Result<Option<String>, HostError> {
        let kept = self.draft.keep().map_err(|error| failed(&error))?;
        Ok(kept.map(|diff_id| diff_id.to_string()))
    }
}
