//! The definition files as they are: JSON with comment lines.

use anyhow::Result;
use serde::Deserialize;

use super::versions::Versions;

/// One message definition.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Definition {
    pub(super) api_key: Option<i16>,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) valid_versions: Versions,
    #[serde(default)]
    pub(super) flexible_versions: Versions,
    #[serde(default)]
    pub(super) fields: Vec<Field>,
    #[serde(default)]
    pub(super) common_structs: Vec<CommonStruct>,
}

/// A struct used in several places of a message.
#[derive(Debug, Deserialize)]
pub(super) struct CommonStruct {
    pub(super) name: String,
    pub(super) versions: Versions,
    pub(super) fields: Vec<Field>,
}

/// One field of a message or struct.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Field {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    versions: Option<Versions>,
    #[serde(default)]
    pub(super) nullable_versions: Versions,
    #[serde(default)]
    pub(super) tagged_versions: Versions,
    pub(super) tag: Option<u32>,
    #[serde(default)]
    pub(super) ignorable: bool,
    #[serde(default)]
    pub(super) default: Option<serde_json::Value>,
    pub(super) flexible_versions: Option<Versions>,
    pub(super) fields: Option<Vec<Field>>,
}

impl Field {
    /// Versions that carry the field; a tagged field may leave them to its tag's versions.
    pub(super) fn versions(&self) -> Versions {
        self.versions.unwrap_or(self.tagged_versions)
    }

    /// The type without the array brackets.
    pub(super) fn element(&self) -> &str {
        self.kind.strip_prefix("[]").unwrap_or(&self.kind)
    }

    /// Whether the field is an array.
    pub(super) fn is_array(&self) -> bool {
        self.kind.starts_with("[]")
    }

    /// The default as text, `None` if the definition leaves it to the type.
    pub(super) fn default_text(&self) -> Option<String> {
        self.default.as_ref().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

/// Reads a definition; comment lines are dropped.
pub(super) fn parse(text: &str) -> Result<Definition> {
    let json: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    Ok(serde_json::from_str(&json)?)
}
