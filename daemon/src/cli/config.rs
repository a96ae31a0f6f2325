//! `levada config`: every key with its effective value and its origin.

use super::{
    CliError,
    args::{ConfigArgs, Inputs as Flags, Output},
};
use crate::config::{Inputs, Settings, Source, all_keys, secret};
use levada_env::{Disk, OpenOptions, RealDisk};
use serde_json::json;
use std::{
    fmt::Write as _,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// A file of the working directory that is read where no other is named.
const USUAL_FILE: &str = "levada.toml";

/// Larger files are no configuration.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

pub(super) fn run(arguments: &ConfigArgs) -> Result<(), CliError> {
    let settings = settings(&arguments.inputs)?;
    print(&settings, arguments.output, arguments.changed)
}

/// The effective configuration from flags, environment and file.
pub(super) fn settings(flags: &Flags) -> Result<Settings, CliError> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("LEVADA_"))
        .collect();
    let named = flags.config.clone().or_else(|| {
        let variable = environment.iter().find(|(name, _)| name == "LEVADA_CONFIG");
        variable.map(|(_, path)| PathBuf::from(path))
    });
    let file = match &named {
        Some(path) => Some(read(path).map_err(|cause| unreadable(path, &cause))?),
        None => match read(Path::new(USUAL_FILE)) {
            Ok(text) => Some(text),
            Err(cause) if cause.kind() == ErrorKind::NotFound => None,
            Err(cause) => return Err(unreadable(Path::new(USUAL_FILE), &cause)),
        },
    };
    let name = named.map_or_else(|| USUAL_FILE.to_owned(), |path| path.display().to_string());
    let inputs = Inputs { file: file.map(|text| (name, text)), environment, flags: flag_values(flags)? };
    Settings::resolve(&all_keys(), &inputs).map_err(|error| CliError::config(error.to_string()))
}

fn flag_values(flags: &Flags) -> Result<Vec<(String, String, String)>, CliError> {
    let mut values = Vec::new();
    for setting in &flags.set {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| CliError::config(format!("--set {setting} has no value: write --set KEY=VALUE")))?;
        values.push(("--set".to_owned(), key.trim().to_owned(), value.to_owned()));
    }
    // The flags with names of their own come last, so that they win over --set.
    let mut own = |flag: &str, key: &str, value: Option<&String>| {
        values.extend(value.map(|value| (flag.to_owned(), key.to_owned(), value.clone())));
    };
    own("--data-dir", "node.data.dir", flags.data_dir.as_ref());
    own("--kafka-listen", "broker.listeners", flags.kafka_listen.as_ref());
    own("--rest-listen", "worker.listeners", flags.rest_listen.as_ref());
    let plugin_path = (!flags.plugin_path.is_empty()).then(|| flags.plugin_path.join(","));
    own("--plugin-path", "worker.plugin.path", plugin_path.as_ref());
    Ok(values)
}

pub(super) fn unreadable(path: &Path, cause: &io::Error) -> CliError {
    CliError::config(format!("{} could not be read: {cause}", path.display()))
}

pub(super) fn read(path: &Path) -> io::Result<String> {
    let file = RealDisk::new().open(path, OpenOptions::READ)?;
    let length = file.len()?;
    if length > LARGEST_FILE {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is too large to be a configuration"));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Writes the configuration to stdout.
pub(super) fn print(settings: &Settings, output: Output, changed: bool) -> Result<(), CliError> {
    let shown: Vec<_> = settings
        .iter()
        .filter(|(_, _, setting)| !changed || setting.source != Source::Default)
        .map(|(table, name, setting)| {
            let value = if secret(name) && !setting.value.is_empty() { "[hidden]" } else { setting.value.as_str() };
            (format!("{table}.{name}"), value, setting.source.to_string())
        })
        .collect();
    let mut text = String::new();
    match output {
        Output::Json => {
            let all: serde_json::Map<_, _> = shown
                .into_iter()
                .map(|(key, value, source)| (key, json!({ "value": value, "source": source })))
                .collect();
            text = format!("{:#}\n", serde_json::Value::Object(all));
        }
        Output::Table => {
            let widest = |of: fn(&(String, &str, String)) -> usize| shown.iter().map(of).max().unwrap_or_default();
            let keys = widest(|(key, ..)| key.chars().count());
            let values = widest(|(_, value, _)| value.chars().count()).min(60);
            for (key, value, source) in &shown {
                // Writing to a String can't fail.
                let _ = writeln!(text, "{key:keys$}  {value:values$}  {source}");
            }
        }
    }
    // A closed pipe is how `| head` ends.
    match io::stdout().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => Err(CliError::runtime(format!("stdout: {cause}"))),
        _ => Ok(()),
    }
}
