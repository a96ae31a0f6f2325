//! Keys of the source: Debezium's names and defaults, declared once per group.
//!
//! A key of Debezium's that is not known here is kept and ignored, as Connect does; one that is known
//! but has no effect yet is told when it is set ([`unsupported`]): as an error where ignoring it would
//! change data, else as a warning at the start of the task.

mod capture;
mod connection;
mod enums;
mod events;
mod reselect;
mod rules;
mod schema_changes;
mod snapshot;
mod stream_params;
mod streaming;
mod values;

pub use capture::CaptureConfig;
pub use connection::{ConnectionConfig, SslMode};
pub use enums::*;
pub use events::EventsConfig;
pub use reselect::Reselect;
pub use rules::unsupported;
pub use schema_changes::SchemaChangesConfig;
pub use snapshot::SnapshotConfig;
pub use stream_params::{server_options, whole_transactions};
pub use streaming::{StreamingConfig, identity};
pub use values::TypesConfig;

use levada_connector_api::ConnectorConfig;

/// Every key of the PostgreSQL source.
#[derive(Clone, Debug, ConnectorConfig)]
#[config(rule = rules::check)]
pub struct SourceConfig {
    /// Where the server is and how it is reached.
    #[config(flatten)]
    pub connection: ConnectionConfig,
    /// Which tables and columns, and in what topics.
    #[config(flatten)]
    pub capture: CaptureConfig,
    /// Slot, publication, acknowledgement.
    #[config(flatten)]
    pub streaming: StreamingConfig,
    /// Snapshots and signals.
    #[config(flatten)]
    pub snapshot: SnapshotConfig,
    /// Changes of tables.
    #[config(flatten)]
    pub schema_changes: SchemaChangesConfig,
    /// How values are represented.
    #[config(flatten)]
    pub types: TypesConfig,
    /// What is sent beside and around changes.
    #[config(flatten)]
    pub events: EventsConfig,
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::Config;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let given = [
            ("topic.prefix", "p"),
            ("database.hostname", "h"),
            ("database.user", "u"),
            ("database.dbname", "d"),
            ("plugin.name", "pgoutput"),
        ];
        given.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn debeziums_own_minimal_config_is_enough() {
        let typed = SourceConfig::parse(&config(&[])).unwrap();
        assert_eq!(typed.streaming.slot_name, "debezium");
        assert_eq!(typed.streaming.publication_name, "dbz_publication");
        assert_eq!(typed.snapshot.mode, SnapshotMode::Initial);
        assert!(typed.events.tombstones_on_delete);
    }

    #[test]
    fn all_errors_are_told_at_once() {
        let errors = SourceConfig::parse(&Config::new()).unwrap_err();
        assert_eq!(errors.0.len(), 4, "{errors}");
        let errors = SourceConfig::parse(&config(&[
            ("slot.name", "Not-A-Slot"),
            ("decimal.handling.mode", "exact"),
            ("table.include.list", "a(b"),
        ]))
        .unwrap_err();
        assert_eq!(errors.0.len(), 3, "{errors}");
        let errors =
            SourceConfig::parse(&config(&[("table.include.list", "a"), ("table.exclude.list", "b")])).unwrap_err();
        assert!(errors.to_string().contains("table.exclude.list"), "{errors}");
    }

    #[test]
    fn values_that_could_only_fail_later_are_refused_at_their_keys() {
        let refused = |pairs: &[(&str, &str)]| {
            let errors = SourceConfig::parse(&config(pairs)).unwrap_err();
            errors.0.into_iter().map(|error| (error.key, error.message)).collect::<Vec<_>>()
        };
        for (key, value) in [
            ("replica.identity.autoset.values", "public.a:FULL,public.tt:XX"),
            ("signal.data.collection", "nodot"),
            ("signal.data.collection", ".t"),
            ("unavailable.value.placeholder", "hex:zz"),
            ("unavailable.value.placeholder", "hex:abc"),
            ("snapshot.select.statement.overrides", "public.tt"),
        ] {
            let errors = refused(&[(key, value)]);
            assert_eq!(errors.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), [key], "{errors:?}");
        }
        let errors = refused(&[("snapshot.select.statement.overrides", "public.tt")]);
        assert!(errors[0].1.contains("snapshot.select.statement.overrides.public.tt"), "{errors:?}");
        for fine in [
            [("replica.identity.autoset.values", "public.a:full, public.b:INDEX My_key")].as_slice(),
            &[("signal.data.collection", "public.signals"), ("unavailable.value.placeholder", "hex:00fF")],
            &[
                ("snapshot.select.statement.overrides", "public.tt"),
                ("snapshot.select.statement.overrides.public.tt", "SELECT * FROM public.tt"),
            ],
        ] {
            SourceConfig::parse(&config(fine)).unwrap();
        }
    }

    #[test]
    fn keys_of_a_form_are_known_and_their_errors_are_told_at_it() {
        let given = config(&[
            ("column.mask.with.5.chars", "public.t.a"),
            ("column.truncate.to.3.chars", "public.t.b"),
            ("column.mask.hash.v2.SHA-256.with.salt.s", "public.t.c"),
            ("snapshot.select.statement.overrides", "public.t"),
            ("snapshot.select.statement.overrides.public.t", "SELECT * FROM public.t"),
        ]);
        assert_eq!(SourceConfig::config_def().unknown_keys(&given, |_| false), []);
        SourceConfig::parse(&given).unwrap();
        for (key, value, family) in [
            ("column.mask.with.x.chars", "public.t.a", "column.mask.with.(d+).chars"),
            ("column.truncate.to.3.chars", "public.t.(", "column.truncate.to.(d+).chars"),
            ("column.mask.hash.MD4.with.salt.s", "public.t.c", "column.mask.hash.([^.]+).with.salt.(.+)"),
            ("column.mask.hash.v2.MD4.with.salt.s", "public.t.c", "column.mask.hash.v2.([^.]+).with.salt.(.+)"),
        ] {
            let errors = SourceConfig::parse(&config(&[(key, value)])).unwrap_err();
            assert_eq!(errors.0.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), [family]);
            assert!(errors.0[0].message.contains(key), "{errors}");
        }
    }

    #[test]
    fn what_would_change_data_is_refused_and_the_rest_is_told() {
        let refused = SourceConfig::parse(&config(&[("converters", "isbn")])).unwrap_err();
        assert!(refused.to_string().contains("converters"), "{refused}");
        assert!(SourceConfig::parse(&config(&[("custom.metric.tags", "a=b")])).is_ok());
        let told = unsupported(&config(&[("custom.metric.tags", "a=b")]));
        assert_eq!(told.len(), 1);
        assert!(!told[0].refused);
        assert!(unsupported(&config(&[("plugin.name", "pgoutput")])).is_empty(), "a default says nothing");
    }
}
