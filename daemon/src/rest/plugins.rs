//! Plugins: what there is, what keys it has, and whether a configuration fits.

use super::{
    RestState, dto,
    error::RestError,
    extract::{Json, Params, Query},
};
use crate::connect::{
    plugin::{Origin, Plugin},
    predicate, transform,
    validate::{self, RawConfig},
};
use axum::{Json as Answer, extract::State};
use levada_connector_api::ConnectorKind;
use serde_json::{Value, json};

type Result<T, E = RestError> = std::result::Result<T, E>;

/// `GET /connector-plugins`.
pub async fn list(State(rest): State<RestState>, query: Query) -> Answer<Value> {
    let connectors = rest.herder.view().registry().plugins().iter();
    let mut all: Vec<Value> = connectors
        .map(|plugin| json!({ "class": plugin.info.class, "type": kind(plugin), "version": plugin.info.version }))
        .collect();
    if !query.flag("connectorsOnly", true) {
        for (class, kind) in rest.converters.list() {
            all.push(json!({ "class": class, "type": kind, "version": env!("CARGO_PKG_VERSION") }));
        }
        let transforms = transform::classes().into_iter().map(|class| (class.name, "transformation"));
        let predicates = predicate::CLASSES.into_iter().map(|class| (class.name, "predicate"));
        for (class, kind) in transforms.chain(predicates) {
            all.push(json!({ "class": class, "type": kind, "version": env!("CARGO_PKG_VERSION") }));
        }
    }
    Answer(json!(all))
}

fn kind(plugin: &Plugin) -> &'static str {
    match plugin.info.kind {
        ConnectorKind::Source => "source",
        ConnectorKind::Sink => "sink",
    }
}

/// `GET /connector-plugins/{plugin}/config`.
pub async fn config(State(rest): State<RestState>, params: Params, query: Query) -> Result<Answer<Value>> {
    let name = params.get(0);
    let asked = query.first("version");
    if let Some(plugin) = rest.herder.view().registry().find(name) {
        has_version(&plugin.info.class, &plugin.info.version, asked)?;
        return Ok(Answer(json!(validate::plugin_definitions(plugin))));
    }
    let converter = rest.converters.converter(name).or_else(|| rest.converters.header_converter(name));
    let transform = || transform::find(name).map(|class| class.config_def());
    let def = converter.or_else(transform).or_else(|| predicate::find(name).map(|class| class.config_def()));
    let def = def.ok_or_else(|| RestError::not_found(format!("Unknown plugin {name}.")))?;
    has_version(name, env!("CARGO_PKG_VERSION"), asked)?;
    Ok(Answer(json!(def.info())))
}

/// Whether the one version there is of a plugin is the one that is asked for (KIP-891): as it is, in brackets, or
/// `latest`.
fn has_version(class: &str, version: &str, asked: Option<&str>) -> Result<()> {
    let exact = |asked: &str| {
        let inner = asked.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(asked);
        asked.is_empty() || asked == "latest" || inner.trim() == version
    };
    if asked.map(str::trim).is_none_or(exact) {
        return Ok(());
    }
    Err(RestError::bad_request(format!(
        "Plugin {class} not found that matches the version range {}, available versions: [{version}]",
        asked.unwrap_or_default()
    )))
}

/// `PUT /connector-plugins/{plugin}/config/validate`.
pub async fn check(State(rest): State<RestState>, params: Params, Json(body): Json) -> Result<Answer<Value>> {
    let config = config_of(&rest, params.get(0), body)?;
    let validation = rest.herder.validate(&config).await?;
    Ok(Answer(validation.info()))
}

/// `PUT /v1/connector-plugins/{plugin}/config/validate`.
pub async fn findings(State(rest): State<RestState>, params: Params, Json(body): Json) -> Result<Answer<Value>> {
    let config = config_of(&rest, params.get(0), body)?;
    Ok(Answer(rest.herder.findings(&config).await?))
}

/// The configuration of a request that is about a plugin.
fn config_of(rest: &RestState, asked: &str, body: Value) -> Result<RawConfig> {
    let config = dto::parse_config(body)?;
    let given = config.get("connector.class").and_then(Option::as_deref).map(str::trim);
    if let Some(given) = given.filter(|given| !means_same(rest, asked, given)) {
        let text = format!("Included connector type {given} does not match request type {asked}");
        return Err(RestError::bad_request(text));
    }
    Ok(config)
}

/// Whether two names mean the same plugin, or at least end alike where one of them is not known.
fn means_same(rest: &RestState, asked: &str, given: &str) -> bool {
    let registry = rest.herder.view().registry();
    match (registry.find(asked), registry.find(given)) {
        (Some(asked), Some(given)) => asked.info.class == given.info.class,
        _ => {
            let short = |name: &str| name.strip_suffix("Connector").unwrap_or(name).to_owned();
            short(given).ends_with(&short(asked))
        }
    }
}

/// `GET /v1/plugins`.
pub async fn origins(State(rest): State<RestState>) -> Answer<Value> {
    let registry = rest.herder.view().registry();
    let plugins: Vec<Value> = registry
        .plugins()
        .iter()
        .map(|plugin| {
            let location = location(&plugin.origin);
            json!({
                "class": plugin.info.class,
                "aliases": plugin.info.aliases,
                "type": kind(plugin),
                "version": plugin.info.version,
                "placement": if location.is_null() { "static" } else { "dylib" },
                "location": location,
            })
        })
        .collect();
    let refused: Vec<Value> = registry
        .refused()
        .iter()
        .map(|file| json!({ "path": file.path.to_string_lossy(), "reason": file.reason }))
        .collect();
    let superseded: Vec<Value> = registry
        .superseded()
        .iter()
        .map(|other| {
            let (location, by) = (location(&other.origin), location(&other.by));
            json!({ "class": other.class, "version": other.version, "location": location, "by": by })
        })
        .collect();
    Answer(json!({ "plugins": plugins, "superseded": superseded, "refused": refused }))
}

/// The library's path; null for what is compiled in.
fn location(origin: &Origin) -> Value {
    match origin {
        Origin::Static => Value::Null,
        Origin::Library(path) => json!(path.to_string_lossy()),
    }
}
