//! Pull, push and what else asks a registry.

use drydock_images::{Digest, Named};
use drydock_registry::pull::LayerState;
use drydock_registry::push::{PushError, PushState, push};
use drydock_registry::{Credentials, Platform, PullError, RegistryError, pull};
use http::StatusCode;
use serde_json::json;

use super::progress::{Progress, short};
use super::{ImageService, LookupError};
use crate::error::{ApiError, chain};

/// What `POST /images/create` names.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// With a tag or a digest, or neither for every tag.
    pub name: Named,
    pub platform: Platform,
    pub credentials: Option<Credentials>,
}

/// A pull or a push failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error(transparent)]
    Pull(#[from] PullError),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("An image does not exist locally with the tag: {0}")]
    NoImage(String),
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl From<TransferError> for ApiError {
    fn from(error: TransferError) -> Self {
        let registry = match &error {
            TransferError::Pull(PullError::Registry(inner)) | TransferError::Registry(inner) => Some(inner),
            TransferError::NoImage(_) => return Self::not_found(error.to_string()),
            _ => None,
        };
        let status = match registry {
            Some(
                RegistryError::Denied { .. }
                | RegistryError::ManifestUnknown { .. }
                | RegistryError::NoPlatform { .. },
            ) => StatusCode::NOT_FOUND,
            Some(RegistryError::TooManyRequests(_)) => StatusCode::TOO_MANY_REQUESTS,
            Some(RegistryError::Unauthorized { .. }) => StatusCode::UNAUTHORIZED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // A registry's error carries its cause in its own text.
        let text = registry.map_or_else(|| chain(&error), ToString::to_string);
        Self::new(status, text)
    }
}

impl ImageService {
    /// *Pull*, with the lines that the CLI shows.
    pub async fn pull(&self, request: &PullRequest, progress: &Progress) -> Result<(), TransferError> {
        if request.name.tag().is_some() || request.name.digest().is_some() {
            return self.pull_one(request, progress).await;
        }
        for tag in self.client().tags(&request.name, request.credentials.as_ref()).await? {
            let Ok(name) = request.name.with_tag(&tag) else { continue };
            self.pull_one(&PullRequest { name, ..request.clone() }, progress).await?;
        }
        Ok(())
    }

    async fn pull_one(&self, request: &PullRequest, progress: &Progress) -> Result<(), TransferError> {
        let name = &request.name;
        let label = match (name.digest(), name.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let begun = std::sync::Once::new();
        let begin = || progress.head(&label, &format!("Pulling from {}", name.path()));
        let hear = |digest: &Digest, state: LayerState| {
            begun.call_once(begin);
            show(progress, short(digest), state);
        };
        let credentials = request.credentials.as_ref();
        let pulled = pull(&self.client(), &self.store, name, &request.platform, credentials, &hear).await?;
        begun.call_once(begin);
        progress.say(&format!("Digest: {}", pulled.digest));
        let familiar = name.familiar();
        progress.say(&if pulled.is_new {
            format!("Status: Downloaded newer image for {familiar}")
        } else {
            format!("Status: Image is up to date for {familiar}")
        });
        self.publish("pull", &familiar, &name.familiar_name());
        Ok(())
    }

    /// *Push* of one tag.
    pub async fn push(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
        progress: &Progress,
    ) -> Result<(), TransferError> {
        let tag = name.tag().unwrap_or("latest");
        progress.say(&format!("The push refers to repository [{}]", name.name()));
        let image = self.store.resolve(name).map_err(LookupError::Index)?;
        let image = image.ok_or_else(|| TransferError::NoImage(name.familiar_name()))?;
        let hear = |digest: &Digest, state: PushState| match state {
            PushState::Preparing => progress.at(short(digest), "Preparing"),
            PushState::Pushing { current, total } => progress.bar(short(digest), "Pushing", current, total),
            PushState::AlreadyExists => progress.at(short(digest), "Layer already exists"),
            PushState::Mounted { from } => progress.at(short(digest), &format!("Mounted from {from}")),
            PushState::Pushed => progress.at(short(digest), "Pushed"),
        };
        let pushed = push(&self.client(), &self.store, &image, name, credentials, &hear).await?;
        let by_digest = name.with_digest(pushed.digest.clone());
        self.store.tag(&by_digest, &image.id).map_err(LookupError::Index)?;
        progress.say(&format!("{tag}: digest: {} size: {}", pushed.digest, pushed.size));
        progress.aux(json!({"Tag": tag, "Digest": pushed.digest, "Size": pushed.size}));
        self.publish("push", &name.familiar(), &name.familiar_name());
        Ok(())
    }

    /// `GET /distribution/{name}/json`: what the registry says of a name.
    pub async fn distribution(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
    ) -> Result<serde_json::Value, TransferError> {
        let (source, manifest) = self.client().manifest(name, credentials).await?;
        let mut platforms: Vec<Platform> = manifest.platforms();
        if let Some(config) = manifest.config() {
            let config = self.client().small_blob(&source, &config.digest).await?;
            let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
            let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
            platforms.push(Platform { os: text("os"), architecture: text("architecture"), variant: None });
        }
        let platforms = platforms.iter().map(|one| {
            let mut value = json!({"architecture": one.architecture, "os": one.os});
            if let Some(variant) = &one.variant {
                value["variant"] = json!(variant);
            }
            value
        });
        Ok(json!({
            "Descriptor": {
                "mediaType": manifest.descriptor.media_type,
                "digest": manifest.descriptor.digest,
                "size": manifest.descriptor.size,
            },
            "Platforms": platforms.collect::<Vec<_>>(),
        }))
    }

    /// `docker login`.
    pub async fn login(&self, credentials: &Credentials) -> Result<(), TransferError> {
        let domain = match credentials.server_address.as_str() {
            "" | "https://index.docker.io/v1/" => "registry-1.docker.io",
            address => {
                address.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/')
            }
        };
        Ok(self.client().login(domain, credentials).await?)
    }

    /// `docker search`: repositories of the configured mirrors whose name holds `term`.
    pub async fn search(&self, term: &str) -> Result<Vec<String>, TransferError> {
        let names = self.client().catalog().await?;
        Ok(names.into_iter().filter(|name| name.contains(term)).collect())
    }
}

fn show(progress: &Progress, id: &str, state: LayerState) {
    match state {
        LayerState::AlreadyExists => progress.at(id, "Already exists"),
        LayerState::PullingFsLayer => progress.at(id, "Pulling fs layer"),
        LayerState::Waiting => progress.at(id, "Waiting"),
        LayerState::Downloading { current, total } => progress.bar(id, "Downloading", current, total),
        LayerState::VerifyingChecksum => progress.at(id, "Verifying Checksum"),
        LayerState::DownloadComplete => progress.at(id, "Download complete"),
        LayerState::Extracting { current, total } => progress.bar(id, "Extracting", current, total),
        LayerState::PullComplete => progress.at(id, "Pull complete"),
    }
}
