//! `levada doctor`: everything that a check of a connector's configuration finds, errors and what may be unintended.

use super::{
    CliError,
    args::{DoctorArgs, Output},
    config,
};
use crate::{
    connect::validate::RawConfig,
    node::{Doctor, NodeError},
    rest::parse_config,
};
use levada_env::Env;
use serde_json::Value as Json;
use std::{
    fmt::Write as _,
    io::{self, ErrorKind, Write},
};

pub(super) fn run(arguments: &DoctorArgs) -> Result<(), CliError> {
    let settings = config::settings(&arguments.inputs)?;
    let given = config::read(&arguments.file).map_err(|cause| config::unreadable(&arguments.file, &cause))?;
    let given = parse(&given).map_err(|reason| CliError::config(format!("{}: {reason}", arguments.file.display())))?;
    let env = Env::real();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|cause| CliError::environment(format!("the runtime could not be started: {cause}")))?;
    let doctor = runtime.block_on(Doctor::open(&env, &settings)).map_err(node_error)?;
    // Outside of the runtime: connectors may have one of their own.
    let found = doctor.examine(&given).map_err(node_error)?;
    print(&found, arguments.output)?;
    match found["error_count"].as_u64() {
        None | Some(0) => Ok(()),
        Some(count) => Err(CliError::config(format!("{count} errors"))),
    }
}

fn node_error(error: NodeError) -> CliError {
    match error {
        NodeError::Config(text) => CliError::config(text),
        NodeError::Environment(text) => CliError::environment(text),
    }
}

/// A configuration as `PUT /connectors/NAME/config` takes it, or with a name around it as `POST /connectors` does.
fn parse(text: &str) -> Result<RawConfig, String> {
    let value: Json = serde_json::from_str(text).map_err(|cause| format!("this is no JSON: {cause}"))?;
    let (name, config) = match value {
        Json::Object(mut body) if body.get("config").is_some_and(Json::is_object) => {
            (body.remove("name"), body.remove("config").unwrap_or_default())
        }
        other => (None, other),
    };
    let mut config = parse_config(config).map_err(|error| error.message().to_owned())?;
    if let Some(name) = name.as_ref().and_then(Json::as_str) {
        config.entry("name".to_owned()).or_insert_with(|| Some(name.to_owned()));
    }
    Ok(config)
}

fn print(found: &Json, output: Output) -> Result<(), CliError> {
    let mut text = String::new();
    match output {
        Output::Json => text = format!("{found:#}\n"),
        Output::Table => {
            for finding in found["findings"].as_array().into_iter().flatten() {
                let field = |name: &str| finding[name].as_str().unwrap_or("-").to_owned();
                // Writing to a String can't fail.
                let _ = writeln!(text, "{:7}  {}  {}", field("severity"), field("key"), field("message"));
            }
            if text.is_empty() {
                text.push_str("nothing to mend\n");
            }
        }
    }
    // A closed pipe is how `| head` ends.
    match io::stdout().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => Err(CliError::runtime(format!("stdout: {cause}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_configuration_are_read() {
        let bare = parse(r#"{"connector.class": "X", "tasks.max": 1}"#).unwrap();
        assert_eq!(bare["tasks.max"].as_deref(), Some("1"));
        let named = parse(r#"{"name": "n", "config": {"connector.class": "X"}}"#).unwrap();
        assert_eq!((named["name"].as_deref(), named["connector.class"].as_deref()), (Some("n"), Some("X")));
        assert!(parse("[]").is_err() && parse("{").is_err());
    }
}
