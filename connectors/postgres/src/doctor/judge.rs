//! What is wrong with what was found: pure, so that every case can be tried.

use super::{
    Facts, Finding, TableFacts,
    Weight::{Advice, Error, Passing, Warning},
};
use crate::{
    catalog::TableId,
    config::{PublicationMode, SnapshotMode, SourceConfig},
    filter::Patterns,
    naming::Naming,
    net::identifier,
};
use std::collections::BTreeMap;

/// Names of tables that one text lists.
const MOST_NAMES: usize = 20;

/// Everything that is not as it should be.
pub fn judge(config: &SourceConfig, facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    server(config, facts, &mut findings);
    slot(config, facts, &mut findings);
    reading(config, facts, &mut findings);
    publication(config, facts, &mut findings);
    signals(config, facts, &mut findings);
    identities(config, facts, &mut findings);
    keys_of_events(config, facts, &mut findings);
    shared_topics(config, facts, &mut findings);
    log(config, facts, &mut findings);
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, key: &'static str, weight: super::Weight, text: String) {
        self.0.push(Finding { key, weight, text });
    }
}

fn server(config: &SourceConfig, facts: &Facts, findings: &mut Findings) {
    if facts.version < 100_000 {
        let text = format!("the server's version {} is too old; PostgreSQL 10 is needed", facts.version);
        findings.add("database.hostname", Error, text);
    }
    if facts.standby && facts.version < 160_000 {
        let text = "it is a standby, which decodes its log since PostgreSQL 16 only; name the primary".to_owned();
        findings.add("database.hostname", Error, text);
    }
    if config.streaming.slot_failover && facts.version < 170_000 {
        let text = "slots follow to a standby since PostgreSQL 17 only, so it has no effect on this server; behind a \
                    failover the slot is gone, see snapshot.mode=when_needed";
        findings.add("slot.failover", Warning, text.to_owned());
    }
    if facts.wal_level != "logical" {
        let text = format!(
            "wal_level is {}; run as superuser: ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
            facts.wal_level
        );
        findings.add("plugin.name", Error, text);
    }
    if !facts.replication {
        let role = &facts.role;
        let text =
            format!("role {role} may not replicate; run as superuser: ALTER ROLE {} REPLICATION;", identifier(role));
        findings.add("database.user", Error, text);
    }
}

fn slot(config: &SourceConfig, facts: &Facts, findings: &mut Findings) {
    let (name, room) = (&config.streaming.slot_name, &facts.room);
    if let Some(slot) = &facts.slot {
        if slot.plugin != "pgoutput" {
            let text = format!(
                "replication slot {name} is of the plug-in \"{}\", not pgoutput; choose another name, or drop it when \
                 nobody uses it: SELECT pg_drop_replication_slot('{name}');",
                slot.plugin
            );
            findings.add("slot.name", Error, text);
        }
        if slot.database != config.connection.dbname {
            let text = format!(
                "replication slot {name} is of database {}; slots are of one server: choose another name",
                slot.database
            );
            findings.add("slot.name", Error, text);
        }
    } else if room.slots >= room.most_slots {
        let idle = match facts.idle_slots.as_slice() {
            [] => String::new(),
            names => format!("drop one that is not used any more ({}), or ", names.join(", ")),
        };
        let text = format!(
            "all of max_replication_slots={} are in use; {idle}run as superuser: ALTER SYSTEM SET \
             max_replication_slots = {}; then restart the server",
            room.most_slots,
            room.most_slots + 5
        );
        findings.add("slot.name", Passing, text);
    }
    let streams = facts.slot.as_ref().is_some_and(|slot| slot.active_pid.is_some());
    if room.senders >= room.most_senders && !streams {
        let text = format!(
            "all of max_wal_senders={} are in use, see pg_stat_replication; run as superuser: ALTER SYSTEM SET \
             max_wal_senders = {}; then restart the server",
            room.most_senders,
            room.most_senders + 5
        );
        findings.add("database.user", Passing, text);
    }
}

/// Whether the role may read what a snapshot reads.
fn reading(config: &SourceConfig, facts: &Facts, findings: &mut Findings) {
    use SnapshotMode::{ConfigurationBased, Custom, Never, NoData};
    let reads = match config.snapshot.mode {
        NoData | Never | Custom => false,
        ConfigurationBased => config.snapshot.based_data,
        _ => true,
    };
    let included = config.snapshot.includes();
    let asked = |table: &&TableFacts| included(&table.id.to_string());
    let hidden: Vec<_> =
        facts.tables.iter().filter(|table| !table.readable).filter(asked).map(|table| &table.id).collect();
    if !reads || hidden.is_empty() {
        return;
    }
    let mut schemas: Vec<_> = hidden.iter().map(|id| identifier(&id.schema)).collect();
    schemas.dedup();
    let role = identifier(&facts.role);
    let text = format!(
        "role {} may not read {} captured tables; run as their owner: GRANT USAGE ON SCHEMA {} TO {role}; GRANT SELECT \
         ON {} TO {role};",
        facts.role,
        hidden.len(),
        schemas.join(", "),
        names(&hidden)
    );
    findings.add("database.user", Error, text);
}

fn publication(config: &SourceConfig, facts: &Facts, findings: &mut Findings) {
    let streaming = &config.streaming;
    let (shown, name) = (&streaming.publication_name, identifier(&streaming.publication_name));
    let all: Vec<_> = facts.tables.iter().map(|table| &table.id).collect();
    let list = if all.is_empty() { "...".to_owned() } else { names(&all) };
    let missing: Vec<_> = all.iter().copied().filter(|id| !facts.published.contains(id)).collect();
    let signals = config.snapshot.source_table();
    let others = |id: &&TableId| !all.contains(id) && signals.as_ref() != Some(*id);
    let others: Vec<_> = facts.published.iter().filter(others).collect();
    match (streaming.publication_mode, facts.publication) {
        (PublicationMode::Filtered, _) if all.is_empty() => {
            let text = "no table is chosen by the include and exclude lists, so there is nothing to publish";
            findings.add("table.include.list", Error, text.to_owned());
        }
        (PublicationMode::Disabled, None) => {
            let text = format!(
                "publication {shown} does not exist and publication.autocreate.mode is disabled; run: CREATE \
                 PUBLICATION {name} FOR TABLE {list};"
            );
            findings.add("publication.name", Error, text);
        }
        (_, None) if facts.standby => {
            let text = format!(
                "publication {shown} does not exist; run on the primary: CREATE PUBLICATION {name} FOR TABLE {list};"
            );
            findings.add("publication.name", Error, text);
        }
        (PublicationMode::AllTables, None) if !facts.superuser => {
            let text = format!(
                "only a superuser may publish all tables; set publication.autocreate.mode to filtered, or run as \
                 superuser: CREATE PUBLICATION {name} FOR ALL TABLES;"
            );
            findings.add("publication.autocreate.mode", Error, text);
        }
        (PublicationMode::Filtered | PublicationMode::NoTables, None) => {
            if !facts.may_create {
                let text = format!(
                    "role {role} may not make publications; run as the database's owner: GRANT CREATE ON DATABASE {} TO \
                     {};",
                    identifier(&config.connection.dbname),
                    identifier(&facts.role),
                    role = facts.role
                );
                findings.add("publication.autocreate.mode", Error, text);
            }
            if streaming.publication_mode == PublicationMode::Filtered {
                foreign(facts, &all, &format!("CREATE PUBLICATION {name} FOR TABLE {list};"), findings);
            }
        }
        (PublicationMode::Filtered, Some(false)) if !missing.is_empty() || !others.is_empty() => {
            let mend = format!("ALTER PUBLICATION {name} SET TABLE {list};");
            if facts.owns_publication {
                foreign(facts, &missing, &mend, findings);
                strangers(shown, &others, findings);
            } else {
                let text = format!(
                    "publication {shown} is another role's, lacks {} captured tables and has {} others; run as its owner: {mend} or \
                     give this connector a publication.name of its own",
                    missing.len(),
                    others.len()
                );
                findings.add("publication.name", Error, text);
            }
        }
        (PublicationMode::AllTables | PublicationMode::Disabled | PublicationMode::NoTables, Some(false))
            if !missing.is_empty() =>
        {
            let text = format!(
                "changes of {} captured tables are not in publication {shown} and will not come; run: ALTER PUBLICATION \
                 {name} ADD TABLE {};",
                missing.len(),
                names(&missing)
            );
            findings.add("publication.name", Warning, text);
        }
        _ => {}
    }
}

/// Tables that another connector may read, and that this one's start takes away.
fn strangers(publication: &str, tables: &[&TableId], findings: &mut Findings) {
    if tables.is_empty() {
        return;
    }
    let text = format!(
        "publication {publication} has {} tables that are not captured ({}) and will be taken out of it: another connector that \
         reads them would miss their changes; give this one a publication.name of its own",
        tables.len(),
        names(tables)
    );
    findings.add("publication.name", Warning, text);
}

/// The table that signals are written into.
fn signals(config: &SourceConfig, facts: &Facts, findings: &mut Findings) {
    let Some(table) = &facts.missing_signals else { return };
    // Only then the publication is made of it.
    let needed = config.streaming.publication_mode == PublicationMode::Filtered && facts.publication != Some(true);
    let text = format!(
        "there is no table {table}; run: CREATE TABLE {} (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data \
         varchar(2048));",
        table.quoted()
    );
    findings.add("signal.data.collection", if needed { Error } else { Warning }, text);
}

/// Tables that only their owners may publish.
fn foreign(facts: &Facts, tables: &[&TableId], mend: &str, findings: &mut Findings) {
    let owned = |id: &TableId| facts.tables.iter().any(|table| table.id == *id && table.owned);
    let foreign: Vec<_> = tables.iter().copied().filter(|id| !owned(id)).collect();
    if facts.superuser || foreign.is_empty() {
        return;
    }
    let text = format!(
        "role {} does not own {} captured tables ({}), and only owners publish; let a superuser run: {mend} and set \
         publication.autocreate.mode to disabled",
        facts.role,
        foreign.len(),
        names(&foreign)
    );
    findings.add("publication.autocreate.mode", Error, text);
}

/// Tables whose updates and deletions the server will refuse to its users.
fn identities(config: &SourceConfig, facts: &Facts, findings: &mut Findings) {
    let set = config.streaming.replica_identity.iter().flatten().filter_map(|entry| entry.rsplit_once(':'));
    let set = Patterns::new(&set.map(|(table, _)| table).collect::<Vec<_>>());
    let lacks = |table: &&TableFacts| {
        (table.identity == b'n' || table.identity == b'd' && !table.keyed) && !set.matches(&table.id.to_string())
    };
    let lacking: Vec<_> = facts.tables.iter().filter(lacks).map(|table| &table.id).collect();
    if lacking.is_empty() {
        return;
    }
    let sql: Vec<_> = lacking
        .iter()
        .take(MOST_NAMES)
        .map(|id| format!("ALTER TABLE {} REPLICA IDENTITY FULL;", id.quoted()))
        .collect();
    let text = format!(
        "{} captured tables have neither a primary key nor another replica identity, so that the server refuses UPDATE and \
         DELETE on them while they are published; run as their owner: {}",
        lacking.len(),
        sql.join(" ")
    );
    findings.add("replica.identity.autoset.values", Warning, text);
}

/// Keys that would be null, so that nobody could tell the rows of a compacted topic apart.
fn keys_of_events(config: &SourceConfig, facts: &Facts, findings: &mut Findings) {
    let entries = config.capture.message_key_columns.as_deref().unwrap_or_default();
    for (table, column) in facts.missing_keys.iter().take(MOST_NAMES) {
        // A pattern may mean tables that it does not fit: they have their own keys.
        let named = entries.split(';').any(|entry| entry.trim().starts_with(&format!("{table}:")));
        let (weight, then) = if named {
            (Error, "name its columns as they are, names have a case")
        } else {
            (Warning, "its events have the table's own key")
        };
        let text = format!("table {table} has no column \"{column}\"; {then}");
        findings.add("message.key.columns", weight, text);
    }
}

/// Tables whose names differ in what no topic's name may have, or behind its longest length.
fn shared_topics(config: &SourceConfig, facts: &Facts, findings: &mut Findings) {
    let naming = Naming::new(&config.capture, &config.events);
    let mut topics = BTreeMap::<_, Vec<_>>::new();
    for TableFacts { id, .. } in &facts.tables {
        topics.entry(naming.table(&id.schema, &id.name)).or_default().push(id);
    }
    for (topic, tables) in topics.into_iter().filter(|(_, tables)| tables.len() > 1).take(MOST_NAMES) {
        findings.add("topic.prefix", Warning, shared_topic(&topic, &tables));
    }
}

/// What is told of tables that share a topic.
pub fn shared_topic(topic: &str, tables: &[&TableId]) -> String {
    format!(
        "the tables {} share the topic {topic}, where rows of one can't be told from those of another by their keys; leave \
         all but one out by table.exclude.list and capture the others by another connector with its own topic.prefix, \
         slot.name and publication.name",
        names(tables)
    )
}

/// What may fill the server's disk.
fn log(config: &SourceConfig, facts: &Facts, findings: &mut Findings) {
    let own = &config.streaming.slot_name;
    let left: Vec<_> = facts.idle_slots.iter().filter(|name| *name != own).map(String::as_str).collect();
    if !left.is_empty() {
        let sql: Vec<_> = left.iter().map(|name| format!("SELECT pg_drop_replication_slot('{name}');")).collect();
        let text = format!(
            "replication slots that nobody reads from ({}) keep the server's log without end; where they are not used any \
             more, run: {}",
            left.join(", "),
            sql.join(" ")
        );
        findings.add("slot.name", Advice, text);
    }
    if facts.endless_log && config.streaming.retained_max == 0 {
        let text = "nothing limits what a slot keeps of the server's log while this connector is stopped; set \
                    slot.retained.max.bytes for the time that it runs, or run as superuser: ALTER SYSTEM SET \
                    max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();";
        findings.add("slot.retained.max.bytes", Advice, text.to_owned());
    }
}

/// Names for SQL, not more than can be read.
fn names(tables: &[&TableId]) -> String {
    let mut names: Vec<_> = tables.iter().take(MOST_NAMES).map(|id| id.quoted()).collect();
    if tables.len() > MOST_NAMES {
        names.push("...".to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::facts::SlotFacts;
    use super::*;
    use levada_connector_api::{Config, ConnectorConfig};

    fn config(pairs: &[(&str, &str)]) -> SourceConfig {
        let given =
            [("topic.prefix", "p"), ("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "d")];
        let all = given.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        SourceConfig::parse(&all.collect::<Config>()).unwrap()
    }

    fn sound() -> Facts {
        let id = TableId { schema: "public".to_owned(), name: "T".to_owned() };
        Facts {
            version: 150_004,
            wal_level: "logical".to_owned(),
            standby: false,
            role: "u".to_owned(),
            superuser: false,
            replication: true,
            may_create: true,
            room: SlotFacts { slots: 1, most_slots: 10, senders: 1, most_senders: 10 },
            slot: None,
            publication: None,
            owns_publication: false,
            published: Vec::new(),
            missing_signals: None,
            idle_slots: Vec::new(),
            endless_log: false,
            tables: vec![TableFacts { id, readable: true, owned: true, identity: b'd', keyed: true }],
            missing_keys: Vec::new(),
        }
    }

    fn keys(findings: &[Finding]) -> Vec<(&str, super::super::Weight)> {
        findings.iter().map(|finding| (finding.key, finding.weight)).collect()
    }

    #[test]
    fn nothing_is_said_where_everything_is_right() {
        let filtered = [("publication.autocreate.mode", "filtered")];
        assert_eq!(judge(&config(&filtered), &sound()), []);
    }

    #[test]
    fn everything_is_found_at_once() {
        let mut facts = Facts {
            wal_level: "replica".to_owned(),
            replication: false,
            may_create: false,
            room: SlotFacts { slots: 10, most_slots: 10, senders: 10, most_senders: 10 },
            idle_slots: vec!["old".to_owned()],
            ..sound()
        };
        (facts.tables[0].readable, facts.tables[0].owned, facts.tables[0].keyed) = (false, false, false);
        let findings = judge(&config(&[("publication.autocreate.mode", "filtered")]), &facts);
        let expected = [
            ("plugin.name", Error),
            ("database.user", Error),
            ("slot.name", Passing),
            ("database.user", Passing),
            ("database.user", Error),
            ("publication.autocreate.mode", Error),
            ("publication.autocreate.mode", Error),
            ("replica.identity.autoset.values", Warning),
            ("slot.name", Advice),
        ];
        assert_eq!(keys(&findings), expected);
        for (index, sql) in [
            (0, "ALTER SYSTEM SET wal_level"),
            (1, "ALTER ROLE \"u\" REPLICATION"),
            (2, "(old)"),
            (4, "GRANT SELECT ON \"public\".\"T\" TO \"u\";"),
            (5, "GRANT CREATE ON DATABASE \"d\""),
            (6, "FOR TABLE \"public\".\"T\";"),
            (8, "pg_drop_replication_slot('old')"),
            (7, "ALTER TABLE \"public\".\"T\" REPLICA IDENTITY FULL;"),
        ] {
            assert!(findings[index].text.contains(sql), "{}", findings[index].text);
        }
    }

    #[test]
    fn keys_without_columns_and_a_failover_that_the_server_lacks_are_found() {
        let facts = Facts { missing_keys: vec![(sound().tables[0].id.clone(), "nocol".to_owned())], ..sound() };
        for (entries, weight) in [("public.T:nocol", Error), ("public.*:nocol", Warning)] {
            let keys_of = ("message.key.columns", entries);
            let set = config(&[("publication.autocreate.mode", "filtered"), ("slot.failover", "true"), keys_of]);
            let findings = judge(&set, &facts);
            assert_eq!(keys(&findings), [("slot.failover", Warning), ("message.key.columns", weight)]);
            assert!(findings[1].text.contains("public.T") && findings[1].text.contains("nocol"), "{findings:?}");
            assert_eq!(judge(&set, &Facts { version: 170_000, ..sound() }), []);
        }
    }

    #[test]
    fn tables_that_share_a_topic_are_told_together() {
        let mut facts = sound();
        for name in ["таблица", "тарелка", "a b", "a_b", "other"] {
            let mut table = facts.tables[0].clone();
            name.clone_into(&mut table.id.name);
            facts.tables.push(table);
        }
        let findings = judge(&config(&[("publication.autocreate.mode", "filtered")]), &facts);
        assert_eq!(keys(&findings), [("topic.prefix", Warning); 2]);
        for (finding, names) in findings.iter().zip([["таблица", "тарелка"], ["a b", "a_b"]]) {
            assert!(names.iter().all(|name| finding.text.contains(&format!("\"{name}\""))), "{findings:?}");
        }
    }

    #[test]
    fn a_publication_is_judged_by_its_mode() {
        let by = |mode, facts: &Facts| {
            let findings = judge(&config(&[("publication.autocreate.mode", mode)]), facts);
            keys(&findings).into_iter().map(|(key, weight)| (key.to_owned(), weight)).collect::<Vec<_>>()
        };
        let one = |key: &str, weight| vec![(key.to_owned(), weight)];
        assert_eq!(by("all_tables", &sound()), one("publication.autocreate.mode", Error));
        assert_eq!(by("all_tables", &Facts { superuser: true, ..sound() }), []);
        assert_eq!(by("disabled", &sound()), one("publication.name", Error));
        assert_eq!(by("no_tables", &sound()), []);
        let there = Facts { publication: Some(false), ..sound() };
        assert_eq!(by("disabled", &there), one("publication.name", Warning));
        assert_eq!(by("filtered", &there), one("publication.name", Error));
        assert_eq!(by("filtered", &Facts { owns_publication: true, ..there.clone() }), []);
        assert_eq!(by("filtered", &Facts { tables: Vec::new(), ..there }), one("table.include.list", Error));
    }

    #[test]
    fn a_running_connector_s_own_slot_and_sender_count_for_it() {
        let slot = crate::catalog::SlotState {
            plugin: "pgoutput".to_owned(),
            database: "d".to_owned(),
            active_pid: Some(5),
            confirmed: None,
            wal_status: "reserved".to_owned(),
            invalid: None,
            retained: 0,
            behind: 0,
            safe: None,
        };
        let room = SlotFacts { slots: 10, most_slots: 10, senders: 10, most_senders: 10 };
        let facts = Facts { slot: Some(slot), room, publication: Some(true), ..sound() };
        assert_eq!(judge(&config(&[]), &facts), []);
    }
}
