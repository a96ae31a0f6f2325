//! Which definitions become Rust, and in which file each goes.

use anyhow::{Context, Result};

use super::definition::Definition;
use super::names;

/// API keys that Levada serves or will serve.
const API_KEYS: [i16; 50] = [
    0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33,
    34, 35, 36, 37, 42, 43, 44, 45, 46, 47, 55, 57, 60, 61, 65, 66, 68, 69, 74, 75,
];

/// Messages that belong to no API.
const FREE_MESSAGES: [(&str, &[&str]); 2] = [
    ("header", &["RequestHeader", "ResponseHeader"]),
    ("consumer_protocol", &["ConsumerProtocolSubscription", "ConsumerProtocolAssignment"]),
];

/// Prefixes of the record schemas that are wanted.
const SCHEMAS: [&str; 5] = ["LegacyOffsetCommit", "OffsetCommit", "GroupMetadata", "ConsumerGroup", "TransactionLog"];

/// A file to be generated.
pub(super) struct File<'a> {
    pub(super) directory: &'static str,
    pub(super) name: String,
    pub(super) definitions: Vec<&'a Definition>,
}

/// An API: key, name, request, response.
pub(super) struct Api<'a> {
    pub(super) key: i16,
    pub(super) name: &'a str,
    pub(super) request: &'a Definition,
    pub(super) response: &'a Definition,
}

/// The APIs in the order of their keys.
pub(super) fn apis(definitions: &[Definition]) -> Result<Vec<Api<'_>>> {
    let find = |key: i16, kind: &str| {
        definitions
            .iter()
            .find(|d| d.api_key == Some(key) && d.kind == kind)
            .with_context(|| format!("no {kind} with api key {key}"))
    };
    API_KEYS
        .iter()
        .map(|&key| {
            let request = find(key, "request")?;
            let name = request.name.strip_suffix("Request").context("request name")?;
            Ok(Api { key, name, request, response: find(key, "response")? })
        })
        .collect()
}

/// All files.
pub(super) fn files(definitions: &[Definition]) -> Result<Vec<File<'_>>> {
    let by_name =
        |name: &str| definitions.iter().find(|d| d.name == name).with_context(|| format!("no definition {name}"));
    let mut files = Vec::new();
    for api in apis(definitions)? {
        files.push(File {
            directory: "messages",
            name: names::snake(api.name),
            definitions: vec![api.request, api.response],
        });
    }
    for (name, members) in FREE_MESSAGES {
        let members = members.iter().map(|name| by_name(name)).collect::<Result<_>>()?;
        files.push(File { directory: "messages", name: name.into(), definitions: members });
    }
    let keys = definitions.iter().filter(|d| d.kind == "coordinator-key");
    for key in keys.filter(|d| SCHEMAS.iter().any(|prefix| d.name.starts_with(prefix))) {
        let stem = key.name.strip_suffix("Key").context("key name")?;
        let value = by_name(&format!("{stem}Value"))?;
        files.push(File { directory: "schemas", name: names::snake(stem), definitions: vec![key, value] });
    }
    Ok(files)
}
