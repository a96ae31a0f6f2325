//! Precedence and refusals, as tables.

use super::*;

fn keys() -> Vec<KeyDef> {
    let mut keys = own_keys();
    keys.extend(["listeners", "log.segment.bytes", "group.initial.rebalance.delay.ms"].map(|name| KeyDef {
        table: Table::Broker,
        name: name.into(),
        kind: if name == "listeners" { Kind::List } else { Kind::Integer(0, i64::MAX) },
        default: Some(if name == "listeners" { "PLAINTEXT://127.0.0.1:9092" } else { "3000" }.into()),
        doc: "".into(),
    }));
    keys
}

fn resolve(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let inputs = Inputs {
        file: Some(("levada.toml".into(), file.into())),
        environment: environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        flags: flags.iter().map(|(k, v)| ("--set".into(), (*k).into(), (*v).into())).collect(),
    };
    Settings::resolve(&keys(), &inputs)
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "[broker]\nlog.segment.bytes = 1";
    let environment = [("LEVADA_BROKER_LOG_SEGMENT_BYTES", "2")];
    let flags = [("log.segment.bytes", "3")];
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Pairs, Pairs, i64, &str); 4] = [
        ("", &[], &[], 3000, "default"),
        (file, &[], &[], 1, "levada.toml"),
        (file, &environment, &[], 2, "LEVADA_BROKER_LOG_SEGMENT_BYTES"),
        (file, &environment, &flags, 3, "--set"),
    ];
    for (file, environment, flags, value, source) in cases {
        let settings = resolve(file, environment, flags).unwrap();
        assert_eq!(settings.integer(Table::Broker, "log.segment.bytes"), value, "{source}");
        let (.., setting) = settings.iter().find(|(_, name, _)| *name == "log.segment.bytes").unwrap();
        assert_eq!(setting.source.to_string(), source);
    }
}

#[test]
fn a_bare_key_works_where_one_table_has_it() {
    let settings = resolve("group.initial.rebalance.delay.ms = 0", &[], &[]).unwrap();
    assert_eq!(settings.integer(Table::Broker, "group.initial.rebalance.delay.ms"), 0);
    let error = resolve("", &[], &[("listeners", "x")]).unwrap_err();
    assert!(error.to_string().contains("`broker.listeners` or `worker.listeners`"), "{error}");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    let cases = [
        ("broker.log.segmnt.bytes", "`broker.log.segment.bytes`"),
        ("log.segmnt.bytes", "`log.segment.bytes`"),
        ("worker.offset.flush.intervl.ms", "`worker.offset.flush.interval.ms`"),
    ];
    for (written, near) in cases {
        let error = resolve("", &[], &[(written, "1")]).unwrap_err().to_string();
        assert!(error.contains(&format!("did you mean {near}?")), "{error}");
    }
    assert!(resolve("[brokr]\nx = 1", &[], &[]).unwrap_err().to_string().contains("unknown key `brokr.x`"));
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_key_value_and_mend() {
    let error = resolve(
        "[worker]\ntopic.tracking.enable = \"maybe\"",
        &[("LEVADA_WORKER_NONSENSE", "1")],
        &[("offset.flush.interval.ms", "abc")],
    )
    .unwrap_err();
    assert_eq!(error.0.len(), 3, "{error}");
    assert_eq!(error.0[0], "worker.topic.tracking.enable = `maybe` (from levada.toml) must be true or false");
    assert!(error.0[2].starts_with("worker.offset.flush.interval.ms = `abc` (from --set) must be a whole number"));
}

#[test]
fn keys_below_a_prefix_are_kept_and_secrets_are_not_shown() {
    let settings = resolve("", &[], &[("key.converter.schemas.enable", "false")]).unwrap();
    assert_eq!(settings.below(Table::Worker, "key.converter."), [("schemas.enable".to_owned(), "false".to_owned())]);
    assert!(resolve::secret("producer.ssl.key.password"));
}

#[test]
fn an_address_without_protocol_is_completed() {
    let settings = resolve("", &[], &[("worker.listeners", "0.0.0.0:1"), ("broker.listeners", "0.0.0.0:2")]).unwrap();
    assert_eq!(settings.text(Table::Worker, "listeners"), "http://0.0.0.0:1");
    assert_eq!(settings.text(Table::Broker, "listeners"), "PLAINTEXT://0.0.0.0:2");
}
