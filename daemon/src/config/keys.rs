//! The keys of `[node]` and `[worker]`.

use super::key::{KeyDef, Kind, Table};

const MILLIS: Kind = Kind::Integer(0, i64::MAX);
const PARTITIONS: Kind = Kind::Integer(1, i32::MAX as i64);
const REPLICATION: Kind = Kind::Integer(-1, i16::MAX as i64);

/// Name, kind, default (empty text: none), documentation.
type Row = (&'static str, Kind, &'static str, &'static str);

const NODE: &[Row] = &[
    ("data.dir", Kind::NonEmpty, "./levada-data", "Directory of everything the node keeps."),
    (
        "log.level",
        Kind::OneOf(&["off", "error", "warn", "info", "debug", "trace"]),
        "info",
        "Level of the node's own log.",
    ),
    ("log.format", Kind::OneOf(&["text", "json"]), "text", "Form of the node's own log, written to stderr."),
    ("shutdown.timeout.ms", MILLIS, "30000", "Longest orderly stop; after it the process ends as it is."),
];

const WORKER: &[Row] = &[
    ("listeners", Kind::NonEmpty, "http://127.0.0.1:8083", "Address of the REST API, as http://HOST:PORT."),
    (
        "rest.advertised.host.name",
        Kind::Text,
        "",
        "Host name given out in worker ids and URLs; the listener's when unset.",
    ),
    (
        "rest.advertised.port",
        Kind::Integer(1, 65535),
        "",
        "Port given out in worker ids and URLs; the listener's when unset.",
    ),
    ("rest.advertised.listener", Kind::OneOf(&["http"]), "", "Protocol given out in URLs."),
    (
        "rest.request.timeout.ms",
        Kind::Integer(1, i64::MAX),
        "90000",
        "Longest REST operation; after it the answer is 500.",
    ),
    ("rest.max.request.bytes", Kind::Integer(1024, 16 << 20), "1048576", "Largest REST request body."),
    (
        "rest.max.connections",
        Kind::Integer(1, 1_000_000),
        "1024",
        "Most REST connections at a time; further ones wait.",
    ),
    (
        "response.http.headers.config",
        Kind::Text,
        "",
        "Headers added to REST answers, as `set NAME: VALUE, add NAME: VALUE`.",
    ),
    ("access.control.allow.origin", Kind::Text, "", "Origin that browsers may call the REST API from; empty for none."),
    ("access.control.allow.methods", Kind::Text, "", "Methods that such browsers may use."),
    (
        "bootstrap.servers",
        Kind::Text,
        "",
        "Unset: the broker of this process. An external cluster is not supported yet.",
    ),
    ("group.id", Kind::NonEmpty, "levada-connect", "Name of the worker group."),
    (
        "key.converter",
        Kind::NonEmpty,
        "org.apache.kafka.connect.json.JsonConverter",
        "Converter of record keys where a connector names none.",
    ),
    (
        "value.converter",
        Kind::NonEmpty,
        "org.apache.kafka.connect.json.JsonConverter",
        "Converter of record values where a connector names none.",
    ),
    (
        "header.converter",
        Kind::NonEmpty,
        "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        "Converter of record headers where a connector names none.",
    ),
    ("key.converter.", Kind::Prefix, "", "Settings of the key converter."),
    ("value.converter.", Kind::Prefix, "", "Settings of the value converter."),
    ("header.converter.", Kind::Prefix, "", "Settings of the header converter."),
    (
        "config.storage.topic",
        Kind::NonEmpty,
        "connect-configs",
        "Topic of connector and task configurations; one partition, compacted.",
    ),
    ("config.storage.replication.factor", REPLICATION, "1", "Replication factor of the config topic when it is made."),
    ("offset.storage.topic", Kind::NonEmpty, "connect-offsets", "Topic of source offsets; compacted."),
    ("offset.storage.partitions", PARTITIONS, "25", "Partitions of the offsets topic when it is made."),
    ("offset.storage.replication.factor", REPLICATION, "1", "Replication factor of the offsets topic when it is made."),
    ("status.storage.topic", Kind::NonEmpty, "connect-status", "Topic of connector and task statuses; compacted."),
    ("status.storage.partitions", PARTITIONS, "5", "Partitions of the status topic when it is made."),
    ("status.storage.replication.factor", REPLICATION, "1", "Replication factor of the status topic when it is made."),
    (
        "offset.flush.interval.ms",
        Kind::Integer(1, i64::MAX),
        "60000",
        "Time between commits of source and sink offsets.",
    ),
    (
        "offset.flush.timeout.ms",
        Kind::Integer(1, i64::MAX),
        "5000",
        "Longest wait for a source's records before an offset commit is given up.",
    ),
    ("task.shutdown.graceful.timeout.ms", MILLIS, "5000", "Time all tasks together have to stop."),
    ("plugin.path", Kind::List, "", "Directories with connector libraries."),
    ("plugin.placement", Kind::OneOf(&["static", "dylib"]), "static", "Where connectors of plugin.path run."),
    (
        "plugin.scan.timeout.ms",
        Kind::Integer(1, i64::MAX),
        "10000",
        "Longest look at one library of plugin.path at start.",
    ),
    (
        "plugin.path.hangs",
        Kind::List,
        "",
        "Libraries of plugin.path that are not loaded since they hung; the daemon adds one itself and starts anew.",
    ),
    (
        "plugin.discovery",
        Kind::OneOf(&["only_scan", "service_load", "hybrid_warn", "hybrid_fail"]),
        "hybrid_warn",
        "Accepted for compatibility; JVM plugins are not loaded.",
    ),
    (
        "plugin.call.timeout.ms",
        Kind::Integer(1, i64::MAX),
        "30000",
        "Longest call into a connector before it is given up.",
    ),
    (
        "plugin.abandoned.threads.max",
        Kind::Integer(0, 100_000),
        "64",
        "Threads lost in hanging plugin calls before new tasks are refused.",
    ),
    (
        "task.call.timeout.ms",
        Kind::Integer(1, i64::MAX),
        "300000",
        "Longest single call into a task before the task is failed and its thread left behind.",
    ),
    ("topic.creation.enable", Kind::Boolean, "true", "Whether source connectors may set how their topics are made."),
    ("topic.tracking.enable", Kind::Boolean, "true", "Whether the topics that connectors use are recorded."),
    ("topic.tracking.allow.reset", Kind::Boolean, "true", "Whether that record may be reset."),
    (
        "connector.client.config.override.policy",
        Kind::OneOf(&["All", "None", "Principal"]),
        "All",
        "Which client settings connectors may override.",
    ),
    (
        "exactly.once.source.support",
        Kind::OneOf(&["disabled", "preparing", "enabled"]),
        "disabled",
        "Exactly-once sources; not available yet.",
    ),
    (
        "scheduled.rebalance.max.delay.ms",
        MILLIS,
        "0",
        "Wait before a lost worker's tasks move; without meaning on one node.",
    ),
    ("session.timeout.ms", MILLIS, "10000", "Worker group session; without meaning on one node."),
    ("heartbeat.interval.ms", MILLIS, "3000", "Worker group heartbeat; without meaning on one node."),
    ("rebalance.timeout.ms", MILLIS, "60000", "Worker group rebalance; without meaning on one node."),
    (
        "restart.policy",
        Kind::OneOf(&["retry", "none"]),
        "retry",
        "Whether tasks that failed for a passing cause are restarted by themselves.",
    ),
    (
        "restart.backoff.initial.ms",
        Kind::Integer(1, i64::MAX),
        "5000",
        "Wait before the first such restart; doubles with each further one.",
    ),
    ("restart.backoff.max.ms", Kind::Integer(1, i64::MAX), "300000", "Longest wait before such a restart."),
    (
        "config.providers",
        Kind::List,
        "",
        "Names of the providers that placeholders in connector configurations may use.",
    ),
    ("config.providers.", Kind::Prefix, "", "A provider's class and param.* keys, below its name."),
    ("producer.", Kind::Prefix, "", "Defaults of the connectors' producers."),
    ("consumer.", Kind::Prefix, "", "Defaults of the connectors' consumers."),
    ("admin.", Kind::Prefix, "", "Defaults of the connectors' admin clients."),
];

/// All keys of `[node]` and `[worker]`.
pub fn own_keys() -> Vec<KeyDef> {
    let table = |table, rows: &[Row]| rows.iter().map(|row| definition(table, row)).collect::<Vec<_>>();
    let mut keys = table(Table::Node, NODE);
    keys.extend(table(Table::Worker, WORKER));
    keys
}

fn definition(table: Table, (name, kind, default, doc): &Row) -> KeyDef {
    let default = (!default.is_empty()).then(|| (*default).into());
    KeyDef { table, name: (*name).into(), kind: *kind, default, doc: (*doc).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_key() {
        for key in own_keys() {
            if let Some(default) = &key.default {
                assert_eq!(key.check(default), Ok(()), "{}", key.full_name());
            }
        }
    }
}
