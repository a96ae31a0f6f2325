//! Keys of slot, publication and acknowledgement.

use super::{
    enums::{FlushMode, MismatchStrategy, PublicationMode, RetainedPolicy},
    stream_params::check_stream_params,
};
use levada_connector_api::ConnectorConfig;
use std::time::Duration;

/// Slot, publication, acknowledgement.
#[derive(Clone, Debug, ConnectorConfig)]
#[expect(dead_code, reason = "some keys are known and have no effect")]
pub struct StreamingConfig {
    /// Logical decoding plug-in; `pgoutput` is what is used, whatever is named.
    #[config(key = "plugin.name", default = "decoderbufs", one_of("pgoutput", "decoderbufs"), group = "Streaming")]
    pub plugin: String,
    /// Replication slot, made when it is missing.
    #[config(key = "slot.name", default = "debezium", check = check_slot, group = "Streaming")]
    pub slot_name: String,
    /// Drop the slot when the task stops: for tests only, since changes while it is stopped are then lost.
    #[config(key = "slot.drop.on.stop", default = "false", group = "Streaming")]
    pub slot_drop_on_stop: bool,
    /// Make the slot one that standbys keep (PostgreSQL 17).
    #[config(key = "slot.failover", default = "false", group = "Streaming")]
    pub slot_failover: bool,
    /// Options for the decoding plug-in, as `a=b;c=d`. `streaming=off` makes the server keep large transactions on its own
    /// disk until they commit; other values of `streaming`, and `proto_version`, have no effect. `messages` and `origin` go to the
    /// server.
    #[config(key = "slot.stream.params", importance = "low", check = check_stream_params, group = "Streaming")]
    pub slot_stream_params: Option<String>,
    /// How often to try again while the slot is in use.
    #[config(key = "slot.max.retries", default = "6", min = 0, importance = "low", group = "Streaming")]
    pub slot_max_retries: i32,
    /// Time between these tries.
    #[config(key = "slot.retry.delay.ms", default = "10000", importance = "low", group = "Streaming")]
    pub slot_retry_delay: Duration,
    /// Longest time that making the slot may wait for running transactions.
    #[config(key = "create.slot.command.timeout", default = "90", min = 1, importance = "low", group = "Streaming")]
    pub create_slot_timeout_seconds: i64,
    /// Most bytes of log that the slot may keep on the server; 0 is any number.
    #[config(key = "slot.retained.max.bytes", default = "0", min = 0, group = "Streaming")]
    pub retained_max: i64,
    /// What to do when it keeps more: `alert` tells it; `pause` fails the task and `drop` drops the slot too, both only
    /// once the slot has stopped following.
    #[config(key = "slot.retained.policy", default = "alert", group = "Streaming")]
    pub retained_policy: RetainedPolicy,
    /// Directory of the files that keep large transactions until they commit; without it, where the system has such files.
    #[config(key = "transaction.spill.directory", importance = "low", group = "Streaming")]
    pub spill_directory: Option<String>,
    /// Publication.
    #[config(key = "publication.name", default = "dbz_publication", check = check_publication, group = "Streaming")]
    pub publication_name: String,
    /// What to do about a publication that is missing: `all_tables`, `filtered`, `no_tables`, `disabled`.
    #[config(key = "publication.autocreate.mode", default = "all_tables", group = "Streaming")]
    pub publication_mode: PublicationMode,
    /// Make the publication with `publish_via_partition_root`: changes of partitions appear as the root table's.
    #[config(key = "publish.via.partition.root", default = "false", group = "Streaming")]
    pub via_partition_root: bool,
    /// Replica identities to set at the start: `schema.table:FULL,...`; also DEFAULT, NOTHING, INDEX name.
    #[config(key = "replica.identity.autoset.values", check = check_identities, group = "Streaming")]
    pub replica_identity: Option<Vec<String>>,
    /// When the slot is told what is stored: `connector`, `manual` (never), `connector_and_driver`.
    #[config(key = "lsn.flush.mode", default = "connector", group = "Streaming")]
    pub flush_mode: FlushMode,
    /// The older form of `lsn.flush.mode`: `false` is `manual`.
    #[config(key = "flush.lsn.source", default = "true", importance = "low", group = "Streaming")]
    pub flush_lsn_source: bool,
    /// Has no effect: acknowledging waits for nothing.
    #[config(key = "lsn.flush.timeout.ms", default = "30000", importance = "low", group = "Streaming")]
    pub flush_timeout: Duration,
    /// Has no effect: acknowledging waits for nothing.
    #[config(
        key = "lsn.flush.timeout.action",
        default = "fail",
        one_of("fail", "warn", "ignore"),
        importance = "low",
        group = "Streaming"
    )]
    pub flush_timeout_action: String,
    /// What is right when offset and slot do not fit. With `no_validation` a gap fails the task; `trust_offset` goes on
    /// at the offset, `trust_slot` at the slot, `trust_greater_lsn` at the greater: what lies between is left out.
    #[config(key = "offset.mismatch.strategy", default = "no_validation", group = "Streaming")]
    pub mismatch: MismatchStrategy,
    /// Advance the slot to the offset by SQL at the start. Has no effect: streaming begins at the offset anyhow.
    #[config(key = "slot.seek.to.known.offset.on.start", default = "false", importance = "low", group = "Streaming")]
    pub slot_seek: bool,
    /// Time between two reports of what is stored to the server.
    #[config(key = "status.update.interval.ms", default = "10000", importance = "low", group = "Streaming")]
    pub status_interval: Duration,
    /// Time between two looks at the slot's xmin for `source.xmin`; 0 is never.
    #[config(key = "xmin.fetch.interval.ms", default = "0", importance = "low", group = "Streaming")]
    pub xmin_interval: Duration,
    /// Time between the end of the snapshot and streaming.
    #[config(key = "streaming.delay.ms", default = "0", importance = "low", group = "Streaming")]
    pub streaming_delay: Duration,
    /// Most records of one poll; it also ends at about 256 KiB.
    #[config(key = "max.batch.size", default = "2048", min = 1, group = "Queue")]
    pub max_batch: i32,
    /// Most records between reading and the log; the limit by bytes usually comes first.
    #[config(key = "max.queue.size", default = "8192", min = 1, group = "Queue")]
    pub max_queue: i32,
    /// Most bytes between reading and the log; 0 is 2 MiB.
    #[config(key = "max.queue.size.in.bytes", default = "0", min = 0, group = "Queue")]
    pub max_queue_bytes: i64,
    /// Has no effect: a poll waits for records, not for time.
    #[config(key = "poll.interval.ms", default = "500", importance = "low", group = "Queue")]
    pub poll_interval: Duration,
    /// How often a lost connection is tried again; -1 is without end.
    #[config(key = "errors.max.retries", default = "-1", min = -1, importance = "low", group = "Streaming")]
    pub max_retries: i32,
    /// Has no effect: the worker tries again after 300 ms, then after twice as long each time, up to
    /// `errors.retry.delay.max.ms`, or else 10 s.
    #[config(key = "retriable.restart.connector.wait.ms", default = "10000", importance = "low", group = "Streaming")]
    pub retry_wait: Duration,
}

fn check_identities(list: &str) -> Result<(), String> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).try_for_each(|entry| identity(entry).map(drop))
}

/// An entry of `replica.identity.autoset.values`: the table's pattern, and what stands behind REPLICA IDENTITY in SQL.
pub fn identity(entry: &str) -> Result<(&str, String), String> {
    let wrong = || format!("\"{entry}\" must be schema.table:FULL, DEFAULT, NOTHING or INDEX name");
    let (table, identity) = entry.rsplit_once(':').ok_or_else(wrong)?;
    crate::filter::check_patterns(table)?;
    let identity = identity.trim();
    match identity.split_once(' ') {
        Some((word, index)) if word.eq_ignore_ascii_case("INDEX") => {
            Ok((table, format!("USING INDEX {}", crate::net::identifier(index.trim()))))
        }
        _ => {
            let known = ["FULL", "DEFAULT", "NOTHING"].into_iter().find(|known| known.eq_ignore_ascii_case(identity));
            known.map(|known| (table, known.to_owned())).ok_or_else(wrong)
        }
    }
}

fn check_slot(name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if (1..=63).contains(&name.len()) && name.chars().all(fine) {
        return Ok(());
    }
    Err("it must be 1 to 63 lower-case letters, digits and '_'".to_owned())
}

fn check_publication(name: &str) -> Result<(), String> {
    if (1..=63).contains(&name.len()) {
        return Ok(());
    }
    Err("it must be of 1 to 63 bytes".to_owned())
}
