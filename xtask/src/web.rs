//! Written with its room.

use std::path::Path;

pub fn build(_dist: &Path, _cache: &Path) -> anyhow::Result<()> {
    anyhow::bail!("web is not built yet")
}
