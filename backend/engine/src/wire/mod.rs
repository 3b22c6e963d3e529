//! Shapes of the Engine API where `bollard-stubs` differs from what clients need: fields which moby always
//! writes are plain values here, and `null` reads as the empty value.

mod container_config;
pub mod words;

pub use container_config::{ContainerConfig, Empty};

use serde::{Deserialize, Deserializer};

/// Reads `null` as the type's empty value, as Go does.
pub fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
