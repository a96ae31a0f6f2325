//! JSON forms of the REST interface, with Connect's keys in Connect's order.

use super::error::RestError;
use crate::connect::{
    herder::{ConnectorDescription, ConnectorStatus, Offsets},
    store::{Status, TargetState},
    validate::RawConfig,
};
use levada_connector_api::Config;
use serde_json::{Map, Value, json};

/// A connector's ConnectorInfo.
pub fn connector(info: &ConnectorDescription) -> Value {
    let tasks: Vec<Value> = (0..info.tasks).map(|task| task_id(&info.name, task)).collect();
    json!({ "name": info.name, "config": info.config, "tasks": tasks, "type": info.kind })
}

/// A task's id.
pub fn task_id(connector: &str, task: usize) -> Value {
    json!({ "connector": connector, "task": task })
}

/// A task with its configuration.
pub fn task(connector: &str, task: usize, config: &Config) -> Value {
    json!({ "id": task_id(connector, task), "config": config })
}

/// A connector's ConnectorStateInfo.
pub fn status(status: &ConnectorStatus) -> Value {
    let tasks: Vec<Value> = status.tasks.iter().map(|(number, task)| task_status(*number, task)).collect();
    json!({
        "name": status.name,
        "connector": state(Map::new(), &status.connector),
        "tasks": tasks,
        "type": status.kind,
    })
}

/// A task's TaskState.
pub fn task_status(number: usize, status: &Status) -> Value {
    let mut map = Map::new();
    map.insert("id".to_owned(), json!(number));
    state(map, status)
}

fn state(mut map: Map<String, Value>, status: &Status) -> Value {
    map.insert("state".to_owned(), json!(status.state.name()));
    map.insert("worker_id".to_owned(), json!(status.worker_id));
    if let Some(version) = &status.version {
        map.insert("version".to_owned(), json!(version));
    }
    if let Some(trace) = &status.trace {
        map.insert("trace".to_owned(), json!(trace));
    }
    Value::Object(map)
}

/// Offsets of a connector.
pub fn offsets(offsets: &Offsets) -> Value {
    let list: Vec<Value> =
        offsets.iter().map(|(partition, offset)| json!({ "partition": partition, "offset": offset })).collect();
    json!({ "offsets": list })
}

/// Reads a request to change offsets.
pub fn parse_offsets(body: Value) -> Result<Offsets, RestError> {
    let mut body = object(body)?;
    if let Some(unknown) = body.keys().find(|key| *key != "offsets") {
        return Err(RestError::bad_request(format!("Unrecognized field \"{unknown}\"; known is \"offsets\"")));
    }
    let Some(Value::Array(list)) = body.remove("offsets") else {
        return Err(RestError::bad_request("Partitions / offsets need to be provided for an offset alter request"));
    };
    let entry = |entry: Value| {
        let mut entry = object(entry)?;
        let Some(Value::Object(partition)) = entry.remove("partition") else {
            return Err(RestError::bad_request("each of \"offsets\" needs a \"partition\" that is an object"));
        };
        match entry.remove("offset") {
            None | Some(Value::Null) => Ok((partition, None)),
            Some(Value::Object(offset)) => Ok((partition, Some(offset))),
            Some(_) => Err(RestError::bad_request("an \"offset\" must be an object, or null to reset it")),
        }
    };
    list.into_iter().map(entry).collect()
}

/// A request to make a connector.
pub struct CreateRequest {
    /// Trimmed name; may be empty, which the validation refuses.
    pub name: String,
    /// Configuration.
    pub config: RawConfig,
    /// State to begin with.
    pub target: Option<TargetState>,
}

/// Reads a request to make a connector.
pub fn parse_create(body: Value) -> Result<CreateRequest, RestError> {
    let mut body = object(body)?;
    if let Some(unknown) = body.keys().find(|key| !["name", "config", "initial_state"].contains(&key.as_str())) {
        let known = "\"name\", \"config\", \"initial_state\"";
        return Err(RestError::bad_request(format!("Unrecognized field \"{unknown}\"; known are {known}")));
    }
    let name = match body.remove("name") {
        None | Some(Value::Null) => String::new(),
        Some(value) => text(value).ok_or_else(|| RestError::bad_request("\"name\" must be a text"))?,
    };
    let config = match body.remove("config") {
        None | Some(Value::Null) => return Err(RestError::bad_request("\"config\" is missing")),
        Some(config) => parse_config(config)?,
    };
    let target = match body.remove("initial_state") {
        None | Some(Value::Null) => None,
        Some(value) => Some(parse_target(&value)?),
    };
    Ok(CreateRequest { name: name.trim().to_owned(), config, target })
}

fn parse_target(value: &Value) -> Result<TargetState, RestError> {
    let known = [("RUNNING", TargetState::Started), ("PAUSED", TargetState::Paused), ("STOPPED", TargetState::Stopped)];
    let asked = value.as_str().unwrap_or_default();
    let found = known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(asked));
    found
        .map(|(_, target)| target)
        .ok_or_else(|| RestError::bad_request(format!("unknown initial_state {value}: use RUNNING, PAUSED or STOPPED")))
}

/// Reads a configuration: numbers and truth values become texts, null stays.
pub fn parse_config(value: Value) -> Result<RawConfig, RestError> {
    let Value::Object(map) = value else {
        return Err(RestError::bad_request("the configuration must be a JSON object"));
    };
    let entry = |(key, value): (String, Value)| match value {
        Value::Null => Ok((key, None)),
        value => match text(value) {
            Some(text) => Ok((key, Some(text))),
            None => Err(RestError::bad_request(format!("the value of \"{key}\" must be a text, number or boolean"))),
        },
    };
    map.into_iter().map(entry).collect()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A JSON object, or the error that it is none.
pub fn object(value: Value) -> Result<Map<String, Value>, RestError> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(RestError::bad_request("the request body must be a JSON object")),
    }
}
