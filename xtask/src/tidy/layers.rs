//! Who may use whom: between crates, and between the layers inside the broker and the daemon.

use super::source::SourceFile;
use anyhow::{Context, Result};
use serde_json::Value;
use std::{path::Path, process::Command};

/// Our crates and those of ours each may depend on (dev-dependencies aside).
const CRATES: [(&str, &[&str]); 10] = [
    ("levada-wire", &[]),
    ("levada-env", &[]),
    ("levada-connector-derive", &[]),
    ("levada-connector-api", &["levada-connector-derive"]),
    ("levada-connector-file", &["levada-connector-api"]),
    ("levada-connector-file-plugin", &["levada-connector-api", "levada-connector-file"]),
    ("levada-connector-postgres", &["levada-connector-api"]),
    ("levada-client", &["levada-wire", "levada-env"]),
    ("levada-broker", &["levada-wire", "levada-env", "levada-client"]),
    (
        "levada",
        &[
            "levada-wire",
            "levada-env",
            "levada-client",
            "levada-broker",
            "levada-connector-api",
            "levada-connector-file",
            "levada-connector-postgres",
        ],
    ),
];

/// Layers of the broker, the lowest first; equal rank must not use each other.
const BROKER_LAYERS: [(&str, u8); 7] =
    [("log", 0), ("quorum", 1), ("replica", 2), ("security", 3), ("coordinator", 3), ("api", 4), ("server", 5)];

/// What only `env` may name, by the path it begins with, and what to use instead.
const OS_NAMES: [(&str, &[&str], &str); 2] = [
    (
        "std",
        &["fs", "Instant", "SystemTime", "TcpListener", "TcpStream", "UdpSocket", "UnixStream", "spawn", "Builder"],
        "env's Disk, clock, net and threads",
    ),
    ("tokio", &["fs", "net", "time", "signal"], "env's Disk, net, time and signal"),
];

/// Checks the dependency direction between our crates.
pub fn check_crates(root: &Path) -> Result<Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--locked", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cargo metadata did not run")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else { continue };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let ours = CRATES.iter().any(|(known, _)| *known == used);
            if ours && dependency["kind"].is_null() && !allowed.contains(&used) {
                findings.push(format!("{name} must not depend on {used}"));
            }
        }
    }
    Ok(findings)
}

/// Checks one file's place in its crate's layers, and that it leaves the operating system to `env`.
pub fn check_modules(file: &SourceFile) -> Vec<String> {
    if file.is_test() {
        return Vec::new();
    }
    let path = file.path.to_string_lossy().replace('\\', "/");
    let mut findings = Vec::new();
    for (number, statement) in statements(file) {
        let place = format!("{path}:{number}");
        if let Some(text) = broker_violation(&path, &statement).or_else(|| daemon_violation(&path, &statement)) {
            findings.push(format!("{place}: {text}"));
        }
        if os_rule_applies(&path) {
            findings.extend(os_violation(&statement).map(|text| format!("{place}: {text}")));
        }
    }
    findings
}

/// Code lines, with a `use` that spans several lines folded into one.
fn statements(file: &SourceFile) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in file.code_lines() {
        match statements.last_mut() {
            Some((_, last)) if open => last.push_str(line),
            _ => {
                open = line.starts_with("use ") || line.starts_with("pub use ");
                statements.push((number, line.to_owned()));
            }
        }
        open = open && !line.contains(';');
    }
    statements
}

/// The name in `statement` that only `env` may use, as `std::fs::read` or inside `use std::{fs, io}`.
fn os_violation(statement: &str) -> Option<String> {
    let imports = statement.trim_start_matches("pub ").starts_with("use ");
    OS_NAMES.iter().find_map(|(root, names, instead)| {
        let path = statement.match_indices(&format!("{root}::")).find_map(|(at, _)| {
            let before = statement.get(..at)?.chars().next_back();
            let own = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
            own.then(|| statement.get(at..)).flatten()
        })?;
        let end =
            if imports { path.len() } else { path.find(['(', ' ', ',', ';', '<', '>', '?']).unwrap_or(path.len()) };
        let mut words = path.get(..end)?.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let used = words.find(|word| names.contains(word))?;
        Some(format!("names {root}::..{used}, use {instead}"))
    })
}

/// Whether the rule that only `env` names the operating system holds for this file. Connectors read and
/// write files of the user's; xtask is a development tool.
fn os_rule_applies(path: &str) -> bool {
    let free = ["env/", "xtask/", "connectors/", "bench/", "connector-api/", "tests/", "fuzz/"];
    !free.iter().any(|prefix| path.starts_with(prefix))
}

fn broker_violation(path: &str, line: &str) -> Option<String> {
    let layer = path.strip_prefix("broker-core/src/")?.split(['/', '.']).next()?;
    let rank = |name: &str| BROKER_LAYERS.iter().find(|(known, _)| *known == name).map(|(_, rank)| *rank);
    let own = rank(layer)?;
    let used = BROKER_LAYERS.iter().find(|(name, used)| {
        let uses = line.contains(&format!("crate::{name}::")) || line.contains(&format!("use crate::{name};"));
        uses && *name != layer && *used >= own
    })?;
    Some(format!("{layer} must not use {}: call up through a trait of its own", used.0))
}

fn daemon_violation(path: &str, line: &str) -> Option<String> {
    let inside = path.strip_prefix("daemon/src/")?;
    let forbidden: &[&str] = if inside.starts_with("connect/") {
        &["levada_broker", "crate::rest", "crate::node"]
    } else if inside.starts_with("rest/") {
        &["levada_broker", "levada_client"]
    } else {
        &[]
    };
    let used = forbidden.iter().find(|name| line.contains(**name))?;
    Some(format!("{} must not use {used}", inside.split('/').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check_modules(&SourceFile { path: PathBuf::from(path), text: text.into(), generated: false })
    }

    #[test]
    fn a_lower_layer_must_not_call_up() {
        assert_eq!(findings("broker-core/src/log/segment.rs", "use crate::api::dispatch;").len(), 1);
        assert!(findings("broker-core/src/api/fetch.rs", "use crate::log::Segment;").is_empty());
        assert_eq!(findings("broker-core/src/security/x.rs", "use crate::coordinator::group;").len(), 1);
    }

    #[test]
    fn connect_knows_only_the_bus() {
        assert_eq!(findings("daemon/src/connect/herder.rs", "use levada_broker::Broker;").len(), 1);
        assert!(findings("daemon/src/node.rs", "use levada_broker::Broker;").is_empty());
    }

    #[test]
    fn only_env_names_the_operating_system() {
        assert_eq!(findings("client/src/tcp.rs", "let t = std::time::Instant::now();").len(), 1);
        assert_eq!(findings("client/src/tcp.rs", "use std::{\n    io,\n    time::{Duration, Instant},\n};").len(), 1);
        assert_eq!(findings("client/src/tcp.rs", "use tokio::{net::TcpStream, sync::mpsc};").len(), 1);
        assert!(
            findings("client/src/tcp.rs", "use std::time::Duration;\nlet t = levada_env::Instant::now();").is_empty()
        );
        assert!(findings("client/src/tcp.rs", "let x: std::fmt::Result = fs(y);").is_empty());
        assert!(findings("client/src/tcp.rs", "// std::fs\n#[cfg(test)]\nstd::fs::read()").is_empty());
        assert!(findings("env/src/clock.rs", "std::time::Instant::now()").is_empty());
    }
}
