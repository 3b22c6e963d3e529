//! What a repository has: its manifests and its tags.

use drydock_images::{Digest, Named};
use http::{Method, header};
use reqwest::RequestBuilder;

use crate::answer::{Faults, Refusal};
use crate::auth::Credentials;
use crate::client::{Attempts, Client, Source, refused};
use crate::dial::unreachable;
use crate::error::RegistryError;
use crate::manifest::{ACCEPTED, Content, Manifest, select};
use crate::platform::Platform;

/// Gives the bytes of a manifest that is here already, and its media type.
pub type Local<'a> = &'a (dyn Fn(&Digest) -> Option<(Vec<u8>, String)> + Send + Sync);

/// Nothing is here.
pub const NOWHERE: Local<'static> = &|_| None;

/// A manifest is no larger than this (the distribution specification asks for 4 MiB at least).
const LARGEST: usize = 16 << 20;

impl Client {
    /// The manifest that `name` means, as it is; also tells who had it.
    pub async fn manifest(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
        local: Local<'_>,
    ) -> Result<(Source, Manifest), RegistryError> {
        let mut attempts = Attempts::default();
        for source in self.sources(name, credentials, "pull").await? {
            if !attempts.may_ask(&source) {
                continue;
            }
            match self.manifest_from(&source, name, local).await {
                Ok(manifest) => return Ok((source, manifest)),
                Err(error) => attempts.failed(&source, error)?,
            }
        }
        Err(attempts.end(name))
    }

    /// The manifest of the image in an index that runs best on `platform`; a manifest of an image is its own.
    pub(crate) async fn image_manifest(
        &self,
        source: &Source,
        name: &Named,
        manifest: Manifest,
        platform: Option<&Platform>,
        local: Local<'_>,
    ) -> Result<Manifest, RegistryError> {
        let here = Platform::best_here();
        let wanted = platform.unwrap_or(&here);
        let no_platform =
            || RegistryError::NoPlatform { platform: platform.cloned().unwrap_or_else(Platform::here) };
        let mut index = manifest;
        // An index may name an index; one that names itself would go on for ever.
        for _ in 0..4 {
            let Content::Index(entries) = &index.content else { return Ok(index) };
            let chosen = select(entries, wanted).first().map(|one| one.digest.clone());
            let chosen = name.with_digest(chosen.ok_or_else(no_platform)?);
            index = self.manifest_from(source, &chosen, local).await?;
        }
        Err(no_platform())
    }

    pub(crate) async fn manifest_from(
        &self,
        source: &Source,
        name: &Named,
        local: Local<'_>,
    ) -> Result<Manifest, RegistryError> {
        let accept = |request: RequestBuilder| request.header(header::ACCEPT, ACCEPTED.join(", "));
        let mut wanted = name.digest().cloned();
        if wanted.is_none() {
            // A look costs nothing where pulls are counted, and says whether there is anything to pull.
            let url = source.url(&format!("manifests/{}", name.tag().unwrap_or("latest")));
            let response = self.send(source, Method::HEAD, &url, accept).await?;
            let digest =
                response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
            wanted = digest.and_then(|digest| digest.parse().ok()).filter(|_| response.status().is_success());
        }
        if let Some((bytes, kind)) = wanted.as_ref().and_then(local)
            && let Ok(manifest) = Manifest::parse(bytes, Some(&kind))
        {
            return Ok(manifest);
        }
        let reference = match &wanted {
            Some(digest) => digest.to_string(),
            None => name.tag().unwrap_or("latest").to_owned(),
        };
        let url = source.url(&format!("manifests/{reference}"));
        let mut response = self.send(source, Method::GET, &url, accept).await?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| kind.split(';').next().unwrap_or(kind).trim().to_owned());
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(&mut response, &url).await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST {
                return Err(RegistryError::MediaType(kind.unwrap_or_default()));
            }
        }
        if let Some(expected) = wanted.filter(|expected| Digest::of(&bytes) != *expected) {
            return Err(RegistryError::Manifest(expected));
        }
        Manifest::parse(bytes, kind.as_deref()).map_err(|source| RegistryError::Parse { url, source })
    }

    /// All tags of a repository, from all pages of the list.
    pub async fn tags(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<String>, RegistryError> {
        let mut attempts = Attempts::default();
        for source in self.sources(name, credentials, "pull").await? {
            if !attempts.may_ask(&source) {
                continue;
            }
            match self.tags_from(&source).await {
                Ok(tags) => return Ok(tags),
                Err(error) => attempts.failed(&source, error)?,
            }
        }
        Err(attempts.end(name))
    }

    async fn tags_from(&self, source: &Source) -> Result<Vec<String>, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut url = Some(source.url("tags/list"));
        while let Some(page) = url {
            let (answer, next): (Answer, _) = self.page(source, &page).await?;
            tags.extend(answer.tags.unwrap_or_default());
            url = next;
        }
        Ok(tags)
    }

    /// One page of a list, and where the next one is.
    pub(crate) async fn page<T: serde::de::DeserializeOwned>(
        &self,
        source: &Source,
        url: &str,
    ) -> Result<(T, Option<String>), RegistryError> {
        let response = self.send(source, Method::GET, url, |request| request).await?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let link = response.headers().get(header::LINK).and_then(|link| link.to_str().ok());
        let next = link.and_then(|link| {
            let place = link.split_once('<')?.1.split_once('>')?.0;
            response.url().join(place).ok()
        });
        // Never to another host, and never round in circles.
        let next = next.filter(|next| next.host_str() == response.url().host_str() && next.as_str() != url);
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes,
            Err(error) => return Err(unreachable(Method::GET, url, error).await),
        };
        let answer = serde_json::from_slice(&bytes)
            .map_err(|source| RegistryError::Parse { url: url.to_owned(), source })?;
        Ok((answer, next.map(String::from)))
    }
}

/// What moby makes of a refusal when a pull ends with it.
pub fn pull_error(error: RegistryError, name: &Named) -> RegistryError {
    let RegistryError::Refused(Refusal::Faults(faults)) = error else { return error };
    let faults = Faults { first: faults.first, more: Vec::new() };
    match (faults.first.code, &faults.first.message) {
        ("DENIED", Some(_)) => RegistryError::Denied { repository: name.familiar_name(), faults },
        ("MANIFEST_UNKNOWN", Some(_)) => {
            RegistryError::ManifestUnknown { reference: name.familiar(), faults }
        }
        ("NAME_UNKNOWN", Some(_)) => RegistryError::NameUnknown { repository: name.familiar_name(), faults },
        _ => RegistryError::Refused(Refusal::Faults(faults)),
    }
}
