//! Pull, push and what else asks a registry.

use drydock_images::{Digest, Image, Named};
use drydock_registry::pull::LayerState;
use drydock_registry::push::{PushError, PushState, push};
use drydock_registry::{
    Credentials, Found, Platform, PullError, PullEvent, RegistryError, Wanted, pull, repository,
};
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
    /// `None` for what runs best here.
    pub platform: Option<Platform>,
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
    #[error("'{0}' is a reserved name")]
    Reserved(String),
    #[error("An image does not exist locally with the tag: {0}")]
    NoImage(String),
    #[error("tag does not exist: {0}")]
    NoTag(String),
    #[error("no tags to push for {0}")]
    NoTags(String),
    #[error("cannot push a digest reference")]
    Digest,
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl From<TransferError> for ApiError {
    fn from(error: TransferError) -> Self {
        let registry = match &error {
            TransferError::Pull(PullError::Registry(inner) | PullError::ConfigBlob(inner))
            | TransferError::Push(PushError::Registry(inner))
            | TransferError::Registry(inner) => Some(inner),
            _ => None,
        };
        let status = match (registry, &error) {
            (Some(inner), _) => inner.status(),
            (None, TransferError::Reserved(_)) => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // A registry's error carries its cause in its own text, and so does what only says what there is not.
        let text = match (registry, &error) {
            (Some(_), _) | (None, TransferError::Pull(PullError::LayerCount { .. })) => error.to_string(),
            (None, _) => chain(&error),
        };
        Self::new(status, text)
    }
}

impl ImageService {
    /// *Pull*, with the lines that the CLI shows.
    pub async fn pull(&self, request: &PullRequest, progress: &Progress) -> Result<(), TransferError> {
        let name = &request.name;
        if name.familiar_name() == "scratch" {
            return Err(TransferError::Reserved("scratch".to_owned()));
        }
        let mut is_new = false;
        let mut image = None;
        if name.tag().is_some() || name.digest().is_some() {
            let pulled = self.pull_one(request, progress).await?;
            (is_new, image) = (pulled.is_new, Some(pulled.image));
        } else {
            let tags = self.client().tags(name, request.credentials.as_ref()).await;
            for tag in tags.map_err(|error| repository::pull_error(error, name))? {
                let Ok(tagged) = name.with_tag(&tag) else { continue };
                let one = PullRequest { name: tagged, ..request.clone() };
                is_new |= self.pull_one(&one, progress).await?.is_new;
            }
        }
        let familiar = name.familiar();
        progress.say(&if is_new {
            format!("Status: Downloaded newer image for {familiar}")
        } else {
            format!("Status: Image is up to date for {familiar}")
        });
        self.publish("pull", &familiar, &name.familiar_name());
        if let (Some(image), Some(wanted)) = (image, &request.platform)
            && let Some(warning) = other_platform(&familiar, &image, wanted)
        {
            progress.say(&format!("WARNING: {warning}"));
        }
        Ok(())
    }

    async fn pull_one(
        &self,
        request: &PullRequest,
        progress: &Progress,
    ) -> Result<drydock_registry::Pulled, TransferError> {
        let name = &request.name;
        let label = match (name.digest(), name.tag()) {
            (Some(_), _) => name.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let hear = |event: PullEvent<'_>| match event {
            PullEvent::Found => progress.head(&label, &format!("Pulling from {}", name.path())),
            PullEvent::Layer(digest, state) => show(progress, short(digest), state),
        };
        let wanted =
            Wanted { name, platform: request.platform.as_ref(), credentials: request.credentials.as_ref() };
        let pulled = pull(&self.client(), &self.store, wanted, &hear).await?;
        progress.say(&format!("Digest: {}", pulled.digest));
        Ok(pulled)
    }

    /// *Push* of one tag, or, of a name without one, of all its tags.
    pub async fn push(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
        progress: &Progress,
    ) -> Result<(), TransferError> {
        self.client().check(name).await?;
        progress.say(&format!("The push refers to repository [{}]", name.name()));
        let mut known = self.store.references().map_err(LookupError::Index)?;
        known.retain(|(other, _)| other.name() == name.name());
        if known.is_empty() {
            return Err(TransferError::NoImage(name.familiar_name()));
        }
        if name.digest().is_some() {
            return Err(TransferError::Digest);
        }
        let names: Vec<Named> = match name.tag() {
            Some(_) if known.iter().any(|(other, _)| other == name) => vec![name.clone()],
            Some(_) => return Err(TransferError::NoTag(name.familiar())),
            None => known.into_iter().map(|(other, _)| other).filter(|other| other.tag().is_some()).collect(),
        };
        if names.is_empty() {
            return Err(TransferError::NoTags(name.familiar_name()));
        }
        for one in &names {
            self.push_one(one, credentials, progress).await?;
        }
        self.publish("push", &name.familiar(), &name.familiar_name());
        Ok(())
    }

    async fn push_one(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
        progress: &Progress,
    ) -> Result<(), TransferError> {
        let tag = name.tag().unwrap_or("latest");
        let image = self.store.resolve(name).map_err(LookupError::Index)?;
        let image = image.ok_or_else(|| TransferError::NoTag(name.familiar()))?;
        let hear = |digest: &Digest, state: PushState| {
            let id = short(digest);
            match state {
                PushState::Preparing => progress.at(id, "Preparing"),
                PushState::Waiting => progress.at(id, "Waiting"),
                PushState::Pushing { current, total } => progress.bar(id, "Pushing", current, total),
                PushState::Retrying { seconds } => progress.at(id, &retrying(seconds)),
                PushState::AlreadyExists => progress.at(id, "Layer already exists"),
                PushState::Mounted { from } => progress.at(id, &format!("Mounted from {from}")),
                PushState::Pushed => progress.at(id, "Pushed"),
            }
        };
        let pushed = push(&self.client(), &self.store, &image, name, credentials, &hear).await?;
        let by_digest = name.with_digest(pushed.digest.clone());
        self.store.tag(&by_digest, &image.id).map_err(LookupError::Index)?;
        progress.say(&format!("{tag}: digest: {} size: {}", pushed.digest, pushed.size));
        progress.aux(json!({"Tag": tag, "Digest": pushed.digest, "Size": pushed.size}));
        Ok(())
    }

    /// `GET /distribution/{name}/json`: what the registry says of a name.
    pub async fn distribution(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
    ) -> Result<serde_json::Value, TransferError> {
        let (source, manifest) = self.client().manifest(name, credentials, repository::NOWHERE).await?;
        if matches!(manifest.content, drydock_registry::manifest::Content::Outdated) {
            return Err(RegistryError::Schema1(name.to_string()).into());
        }
        let mut platforms: Vec<Platform> = manifest.platforms();
        if let Some(config) = manifest.config()
            && let Ok(config) = self.client().small_blob(&source, &config.digest, config.size).await
        {
            let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
            let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
            let platform = Platform {
                os: text("os"),
                architecture: text("architecture"),
                variant: config["variant"].as_str().map(str::to_owned),
            };
            platforms.extend(Some(platform).filter(|one| !one.os.is_empty() || !one.architecture.is_empty()));
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

    /// `docker login`: answers the identity token that the registry gave, if any.
    pub async fn login(&self, credentials: &Credentials) -> Result<String, TransferError> {
        Ok(self.client().login(credentials).await?)
    }

    /// `docker search`.
    pub async fn search(
        &self,
        term: &str,
        limit: i64,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>, TransferError> {
        Ok(self.client().search(term, limit, credentials).await?)
    }
}

/// What moby says of an image that is there, but for another platform.
pub(super) fn other_platform(name: &str, image: &Image, wanted: &Platform) -> Option<String> {
    let raw = image.json();
    let text = |key: &str| raw[key].as_str().unwrap_or_default().to_owned();
    let own = Platform {
        os: text("os"),
        architecture: text("architecture"),
        variant: raw["variant"].as_str().filter(|variant| !variant.is_empty()).map(str::to_owned),
    };
    (!wanted.accepts(&own)).then(|| {
        format!(
            "image with reference {name} was found but its platform ({own}) does not match the specified platform ({wanted})"
        )
    })
}

fn retrying(seconds: u64) -> String {
    format!("Retrying in {seconds} second{}", if seconds == 1 { "" } else { "s" })
}

fn show(progress: &Progress, id: &str, state: LayerState) {
    match state {
        LayerState::AlreadyExists => progress.at(id, "Already exists"),
        LayerState::PullingFsLayer => progress.at(id, "Pulling fs layer"),
        LayerState::Waiting => progress.at(id, "Waiting"),
        LayerState::Downloading { current, total } => progress.bar(id, "Downloading", current, total),
        LayerState::Retrying { seconds } => progress.at(id, &retrying(seconds)),
        LayerState::VerifyingChecksum => progress.at(id, "Verifying Checksum"),
        LayerState::DownloadComplete => progress.at(id, "Download complete"),
        LayerState::Extracting { current, total } => progress.bar(id, "Extracting", current, total),
        LayerState::PullComplete => progress.at(id, "Pull complete"),
    }
}
