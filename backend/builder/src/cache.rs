//! Whether a step was made before: from the same image, by a container with the same configuration.

use std::sync::Arc;

use crate::host::{Host, HostError, Image, Output, Platform, Pull};
use crate::image::{Config, History, ImageFile};

/// The cache as one stage sees it. The first miss ends it: what follows would be made of something else.
pub struct Cache<'a> {
    host: &'a dyn Host,
    /// `--cache-from`: only what leads to one of these counts, and their own history counts too.
    sources: Option<Vec<Arc<Image>>>,
    is_over: bool,
}

impl<'a> Cache<'a> {
    pub fn new(host: &'a dyn Host, no_cache: bool, from: &[String], output: &dyn Output) -> Self {
        let find = |name: &String| host.image(name, Pull::Never, None, output).ok();
        let sources = (!from.is_empty()).then(|| from.iter().filter_map(find).collect());
        Self { host, sources, is_over: no_cache }
    }

    /// The image that the step made before.
    pub fn probe(
        &mut self,
        parent: Option<&Arc<Image>>,
        config: &Config,
        platform: &Platform,
    ) -> Result<Option<Arc<Image>>, HostError> {
        if self.is_over {
            return Ok(None);
        }
        let local = self.local(parent, config, platform)?;
        let found = match self.sources.take() {
            None => local,
            Some(sources) => {
                let leads_there =
                    |image: &Arc<Image>| sources.iter().any(|source| self.is_ancestor(&image.id, &source.id));
                let (found, sources) = match local.filter(leads_there) {
                    Some(local) => (Some(local), sources),
                    None => self.restore(sources, parent, config)?,
                };
                self.sources = Some(sources);
                found
            }
        };
        self.is_over = found.is_none();
        Ok(found)
    }

    /// The newest that was made here.
    fn local(
        &self,
        parent: Option<&Arc<Image>>,
        config: &Config,
        platform: &Platform,
    ) -> Result<Option<Arc<Image>>, HostError> {
        let children = self.host.children(parent.map(|image| image.id.as_str()))?;
        let same = children.into_iter().filter(|image| {
            let made = image.file.container_config.as_ref();
            image.file.os == platform.os
                && image.file.architecture == platform.architecture
                && made.is_some_and(|made| made.made_the_same(config))
        });
        Ok(same.max_by(|one, other| one.file.created.cmp(&other.file.created)))
    }

    fn is_ancestor(&self, id: &str, of: &str) -> bool {
        let mut current = of.to_owned();
        while let Some(parent) = self.host.parent(&current) {
            if parent == id {
                return true;
            }
            current = parent;
        }
        false
    }

    /// Looks into the history of images that came from elsewhere, and makes the step's image again from it.
    #[allow(clippy::type_complexity, reason = "the image and the sources that are left")]
    fn restore(
        &self,
        sources: Vec<Arc<Image>>,
        parent: Option<&Arc<Image>>,
        config: &Config,
    ) -> Result<(Option<Arc<Image>>, Vec<Arc<Image>>), HostError> {
        let empty = ImageFile::default();
        let below = parent.map_or(&empty, |image| &image.file);
        let place = below.history.len();
        let created_by = config.cmd.as_deref().unwrap_or_default().join(" ");
        let fits = |source: &&Arc<Image>| {
            let is_over = source.file.history.len() > place
                && source.file.history.starts_with(&below.history)
                && source.file.rootfs.diff_ids.starts_with(&below.rootfs.diff_ids);
            is_over && source.file.history[place].created_by == created_by
        };
        let Some(source) = sources.iter().find(fits).cloned() else { return Ok((None, sources)) };
        if source.file.history.len() == place + 1 {
            return Ok((Some(source), sources));
        }
        let restored = restored(&source.file, below, config);
        let image = self.host.add_image(&restored, parent.map(|image| image.id.as_str()))?;
        // No jumping to another source halfway.
        Ok((Some(image), vec![source]))
    }
}

/// One more step of `source` over `below`.
fn restored(source: &ImageFile, below: &ImageFile, config: &Config) -> ImageFile {
    let place = below.history.len();
    let step: &History = &source.history[place];
    let mut rootfs = below.rootfs.clone();
    if !step.empty_layer {
        let layer = source.history[..place].iter().filter(|entry| !entry.empty_layer).count();
        rootfs.diff_ids.extend(source.rootfs.diff_ids.get(layer).cloned());
    }
    ImageFile {
        architecture: source.architecture.clone(),
        variant: source.variant.clone(),
        os: source.os.clone(),
        author: source.author.clone(),
        created: step.created.clone(),
        config: config.clone(),
        container_config: Some(config.clone()),
        history: source.history[..=place].to_vec(),
        rootfs,
        ..ImageFile::default()
    }
}
