//! `cargo xtask header`: writes `connector.h`.

use anyhow::{Context, Result};

/// Writes the header; a test of `levada-connector-api` holds the committed one to it.
pub fn run() -> Result<()> {
    let path = crate::tidy::workspace_root()?.join("connector-api/connector.h");
    std::fs::write(&path, levada_connector_api::abi::header::render())
        .with_context(|| format!("could not write {}", path.display()))
}
