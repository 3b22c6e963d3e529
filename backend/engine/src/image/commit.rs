//! An image made here, of a container's writable layer over the container's image.

use drydock_images::{DiffId, Digest, ImageError, IndexError, LayerError, Named, NewImage, SnapshotError};
use http::StatusCode;
use serde_json::{Value, json};

use super::{ImageService, LookupError};
use crate::error::ApiError;
use crate::wire::ContainerConfig;

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct NewCommit {
    pub container: String,
    /// Id of the container's image.
    pub parent: String,
    pub config: ContainerConfig,
    /// The command, as `docker history` shows it.
    pub created_by: String,
    pub author: String,
    pub comment: String,
    pub name: Option<Named>,
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("open the container's layer")]
    Snapshot(#[source] SnapshotError),
    #[error("make a layer of what the container wrote")]
    Layer(#[source] LayerError),
    #[error("record the image")]
    Image(#[source] ImageError),
    #[error("name the image")]
    Index(#[source] IndexError),
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Lookup(error) => error.into(),
            _ => Self::chain(StatusCode::INTERNAL_SERVER_ERROR, &error),
        }
    }
}

/// A tar archive of nothing but its end: a layer that changes nothing is left out of the image.
const EMPTY_LAYER: [u8; 1024] = [0; 1024];

impl ImageService {
    /// Blocks for the disk. Answers the image's id.
    pub fn commit(&self, new: &NewCommit) -> Result<String, CommitError> {
        let parent = self.store.find(&new.parent).map_err(LookupError::from)?;
        let snapshot = self.store.snapshot(&new.container).map_err(CommitError::Snapshot)?;
        let (diff_id, _) = self.store.commit_layer(&snapshot).map_err(CommitError::Layer)?;
        let config = child(&parent.json(), new, &diff_id).to_string();
        let image = NewImage { config: config.as_bytes(), manifest: None, blobs: Vec::new() };
        let image = self.store.put_image(image).map_err(CommitError::Image)?;
        self.store.set_parent(&image.id, &parent.id).map_err(CommitError::Image)?;
        let id = image.id.to_string();
        self.publish("create", &id, &id);
        if let Some(name) = &new.name {
            self.store.tag(name, &image.id).map_err(CommitError::Index)?;
            self.publish("tag", &id, &name.familiar());
        }
        Ok(image.id.to_string())
    }
}

/// The parent's configuration with one more step of history, and one more layer unless it is empty.
fn child(parent: &Value, new: &NewCommit, diff_id: &DiffId) -> Value {
    let now = time::OffsetDateTime::now_utc();
    let now = now.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    let empty = diff_id.0 == Digest::of(&EMPTY_LAYER);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (mut history, mut layers) = (list(&parent["history"]), list(&parent["rootfs"]["diff_ids"]));
    let mut step = json!({"created": now, "created_by": new.created_by});
    for (key, text) in [("author", &new.author), ("comment", &new.comment)] {
        if !text.is_empty() {
            step[key] = json!(text);
        }
    }
    if empty {
        step["empty_layer"] = json!(true);
    } else {
        layers.push(json!(diff_id));
    }
    history.push(step);
    let mut config = json!({
        "architecture": parent["architecture"],
        "os": parent["os"],
        "created": now,
        "container": new.container,
        "docker_version": crate::api::RELEASE,
        "config": new.config,
        "rootfs": {"type": "layers", "diff_ids": layers},
        "history": history,
    });
    for key in ["variant", "os.version", "os.features"] {
        if let Some(value) = parent.get(key) {
            config[key] = value.clone();
        }
    }
    if !new.author.is_empty() {
        config["author"] = json!(new.author);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> NewCommit {
        NewCommit {
            container: "c".into(),
            parent: "p".into(),
            config: ContainerConfig::default(),
            created_by: "sh -c x".into(),
            author: String::new(),
            comment: "why".into(),
            name: None,
        }
    }

    #[test]
    fn a_layer_is_added_unless_it_changes_nothing() {
        let parent = json!({
            "architecture": "amd64", "os": "linux", "history": [{"created_by": "base"}],
            "rootfs": {"diff_ids": ["sha256:aa"]},
        });
        let changed = child(&parent, &commit(), &DiffId(Digest::of(b"layer")));
        assert_eq!(changed["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        assert_eq!(changed["history"][1]["created_by"], "sh -c x");
        assert_eq!(changed["history"][1]["comment"], "why");
        let same = child(&parent, &commit(), &DiffId(Digest::of(&EMPTY_LAYER)));
        assert_eq!(same["rootfs"]["diff_ids"], parent["rootfs"]["diff_ids"]);
        assert_eq!(same["history"][1]["empty_layer"], true);
    }
}
