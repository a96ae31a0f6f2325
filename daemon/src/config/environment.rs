//! `LEVADA_*` variables.

use super::{
    key::{KeyDef, Kind, Table},
    suggest::nearest,
};

/// Variables of the command line's own, with the key each one means.
const SHORT: [(&str, &str); 4] = [
    ("LEVADA_DATA_DIR", "node.data.dir"),
    ("LEVADA_KAFKA_LISTEN", "broker.listeners"),
    ("LEVADA_REST_LISTEN", "worker.listeners"),
    ("LEVADA_PLUGIN_PATH", "worker.plugin.path"),
];

/// What one variable means.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A full key.
    Key(String),
    /// Not for us.
    Other,
    /// Meant for us, but no key is called so; with the nearest variable.
    Unknown(Option<String>),
}

/// Looks up one variable's name.
pub fn meaning(variable: &str, keys: &[KeyDef]) -> Meaning {
    if let Some((_, key)) = SHORT.iter().find(|(name, _)| *name == variable) {
        return Meaning::Key((*key).to_owned());
    }
    let Some(table) = Table::ALL.into_iter().find(|table| variable.starts_with(&variable_prefix(*table))) else {
        return Meaning::Other;
    };
    let of_table = || keys.iter().filter(move |key| key.table == table);
    if let Some(key) = of_table().find(|key| key.kind != Kind::Prefix && variable_of(key) == variable) {
        return Meaning::Key(key.full_name());
    }
    let below = of_table().filter(|key| key.kind == Kind::Prefix).find_map(|key| {
        let rest = variable.strip_prefix(&variable_of(key)).filter(|rest| !rest.is_empty())?;
        Some(format!("{}{}", key.full_name(), rest.to_ascii_lowercase().replace('_', ".")))
    });
    match below {
        Some(key) => Meaning::Key(key),
        None if of_a_container_platform(variable) => Meaning::Other,
        None => {
            let names: Vec<String> = of_table().map(variable_of).collect();
            Meaning::Unknown(nearest(variable, names.iter().map(String::as_str)).map(str::to_owned))
        }
    }
}

fn variable_prefix(table: Table) -> String {
    format!("LEVADA_{}_", table.name().to_ascii_uppercase())
}

fn variable_of(key: &KeyDef) -> String {
    let name = key.name.to_ascii_uppercase().replace(['.', '-'], "_");
    format!("{}{name}", variable_prefix(key.table))
}

/// Kubernetes sets such variables for every service, and one may well be called `levada-broker`.
fn of_a_container_platform(variable: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| variable.ends_with(end))
        || variable.contains("_SERVICE_PORT_")
        || (variable.contains("_PORT_") && variable.contains("_TCP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::own_keys;

    #[test]
    fn variables_name_keys_by_table() {
        let keys = own_keys();
        let key = |name: &str| meaning(name, &keys);
        assert_eq!(
            key("LEVADA_WORKER_OFFSET_FLUSH_INTERVAL_MS"),
            Meaning::Key("worker.offset.flush.interval.ms".into())
        );
        assert_eq!(key("LEVADA_WORKER_KEY_CONVERTER"), Meaning::Key("worker.key.converter".into()));
        assert_eq!(
            key("LEVADA_WORKER_KEY_CONVERTER_SCHEMAS_ENABLE"),
            Meaning::Key("worker.key.converter.schemas.enable".into())
        );
        assert_eq!(key("LEVADA_DATA_DIR"), Meaning::Key("node.data.dir".into()));
        assert_eq!(key("PATH"), Meaning::Other);
        assert_eq!(key("LEVADA_WORKER_PORT_8083_TCP_ADDR"), Meaning::Other);
        assert_eq!(
            key("LEVADA_WORKER_OFSET_FLUSH_INTERVAL_MS"),
            Meaning::Unknown(Some("LEVADA_WORKER_OFFSET_FLUSH_INTERVAL_MS".into()))
        );
    }
}
