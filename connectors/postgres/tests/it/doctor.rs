//! What is not set up is told all at once, each with its key and the SQL to run, by validation and by the task.

use crate::{capture::wait_for_slot, server::Server};
use levada_connector_api::{ErrorKind, SourceConnector as _, testkit::Offsets};
use levada_connector_postgres::PostgresSource;

impl Server {
    /// What validation finds: keys and texts.
    fn validate(&self, keys: &[(&str, &str)]) -> Vec<(String, String)> {
        match PostgresSource::default().info().config_def.check(&self.config(keys)) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.0.into_iter().map(|error| (error.key, error.message)).collect(),
        }
    }
}

/// What is no error.
fn advice(server: &Server, keys: &[(&str, &str)]) -> Vec<(String, String)> {
    let advice = PostgresSource::default().info().config_def.advice(&server.config(keys));
    advice.into_iter().map(|found| (found.key, found.message)).collect()
}

#[test]
fn what_is_no_error_is_told_to_who_asks_with_the_sql_to_run() {
    let server = Server::start();
    server.sql("CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE nokey (v int); CREATE PUBLICATION dbz_publication FOR TABLE keyed");
    server.sql("SELECT pg_create_logical_replication_slot('left_over', 'pgoutput')");
    let config = [("publication.autocreate.mode", "disabled")];
    assert_eq!(server.validate(&config), []);
    let found = advice(&server, &config);
    let expected = ["publication.name", "replica.identity.autoset.values", "slot.name", "slot.retained.max.bytes"];
    assert_eq!(keys(&found), expected, "{found:?}");
    for (_, text) in &found {
        let sql =
            ["run: ", "run as their owner: ", "run as superuser: "].into_iter().find_map(|word| text.split_once(word));
        for statement in sql.unwrap().1.split_inclusive(';') {
            server.sql(statement);
        }
    }
    assert_eq!(advice(&server, &config), []);
}

fn keys(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn everything_that_is_missing_is_found_at_once_and_mended_by_the_sql() {
    let server = Server::with(&["max_replication_slots=1", "max_wal_senders=3"]);
    server.sql(
        "CREATE ROLE lowly LOGIN; CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY); CREATE TABLE s.nokey (v int);
         INSERT INTO s.t VALUES (1)",
    );
    server.sql("SELECT pg_create_logical_replication_slot('old', 'pgoutput')");
    let lowly = [("database.user", "lowly"), ("publication.autocreate.mode", "disabled")];
    let found = server.validate(&lowly);
    assert_eq!(keys(&found), ["database.user", "database.user", "slot.name", "publication.name"], "{found:?}");
    // The task tells the same, in one text, with the warnings beside it.
    let offsets = Offsets::default();
    let mut run = server.source(&lowly, &offsets);
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Config);
    for (_, text) in &found {
        assert!(error.message.contains(text), "{text} is not in {error}");
    }
    let warnings = run.context.warnings();
    assert!(
        warnings.iter().any(|text| text.contains("ALTER TABLE \"s\".\"nokey\" REPLICA IDENTITY FULL;")),
        "{warnings:?}"
    );
    run.stop();
    // What the texts say is what helps.
    for (_, text) in &found {
        let sql = text.split_once("run: ").or_else(|| text.split_once("run as superuser: "));
        let sql = sql.or_else(|| text.split_once("run as their owner: ")).unwrap().1;
        if text.contains("max_replication_slots") {
            assert!(text.contains("(old)"), "{text}");
            server.sql("SELECT pg_drop_replication_slot('old')");
        } else {
            server.sql(sql);
        }
    }
    assert_eq!(server.validate(&lowly), []);
    let mut run = server.source(&lowly, &offsets);
    assert_eq!(run.take(1).unwrap().len(), 1);
    // A running connector's own slot and sender are no hindrance.
    assert_eq!(server.validate(&lowly), []);
    run.stop();
}

#[test]
fn settings_and_refused_connections_name_their_keys() {
    let mut server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY)");
    for (key, value, word) in [
        ("database.dbname", "nowhere", "nowhere"),
        ("database.user", "nobody", "nobody"),
        ("database.sslmode", "require", "ssl=on"),
        ("database.hostname", "127.0.0.1:1", "does not answer"),
    ] {
        let found = server.validate(&[(key, value)]);
        assert_eq!(keys(&found), [key], "{found:?}");
        assert!(found[0].1.contains(word), "{found:?}");
    }
    server.stop();
    server.set(&["wal_level=replica"]);
    server.launch();
    let found = server.validate(&[]);
    assert_eq!(keys(&found), ["plugin.name"]);
    assert!(found[0].1.contains("ALTER SYSTEM SET wal_level = 'logical'"), "{found:?}");
}

#[test]
fn no_room_for_a_slot_may_pass_by_itself() {
    let server = Server::with(&["max_replication_slots=1"]);
    server.sql("CREATE TABLE t (id int PRIMARY KEY)");
    server.sql("SELECT pg_create_logical_replication_slot('old', 'pgoutput')");
    let mut run = server.source(&[], &Offsets::default());
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    assert!(error.message.contains("slot.name"), "{error}");
    run.stop();
}

#[test]
fn what_names_no_column_or_no_statement_is_found_at_its_key() {
    let server = Server::start();
    server.sql("CREATE TABLE tt (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)");
    for (key, value, word) in [
        ("message.key.columns", "public.tt:nocol", "public.tt has no column \"nocol\""),
        ("database.initial.statements", "SELEC 1", "syntax error"),
    ] {
        let found = server.validate(&[(key, value)]);
        assert_eq!(keys(&found), [key], "{found:?}");
        assert!(found[0].1.contains(word), "{found:?}");
    }
    assert_eq!(server.validate(&[("message.key.columns", "public.tt:v")]), []);
    // Never a row without a key.
    let mut run = server.source(&[("message.key.columns", "public.tt:nocol")], &Offsets::default());
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.message.contains("message.key.columns"), "{error}");
    run.stop();
}

#[test]
fn a_publication_of_others_and_a_table_of_signals_that_is_not_there_are_told() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE PUBLICATION dbz_publication FOR TABLE b");
    let narrow = [("table.include.list", "public.a"), ("publication.autocreate.mode", "filtered")];
    let found = advice(&server, &narrow);
    let about = found.iter().find(|(key, _)| key == "publication.name").map(|(_, text)| text.as_str());
    assert!(about.is_some_and(|text| text.contains("\"public\".\"b\"") && text.contains("taken out")), "{found:?}");
    server.sql("ALTER PUBLICATION dbz_publication ADD TABLE a");
    let found = advice(&server, &narrow);
    assert!(
        keys(&found).contains(&"publication.name"),
        "nothing is missing, and the other goes all the same: {found:?}"
    );
    let found = server.validate(&[narrow[0], narrow[1], ("signal.data.collection", "public.signals")]);
    assert_eq!(keys(&found), ["signal.data.collection"], "{found:?}");
    server.sql(found[0].1.split_once("run: ").unwrap().1);
    assert_eq!(server.validate(&[narrow[0], narrow[1], ("signal.data.collection", "public.signals")]), []);
    let mut run = server.source(&[narrow[0], narrow[1], ("snapshot.mode", "no_data")], &Offsets::default());
    wait_for_slot(&server, &mut run);
    assert_eq!(server.sql("SELECT string_agg(tablename, ',') FROM pg_publication_tables"), "a", "as it was told");
    run.stop();
    assert!(!keys(&advice(&server, &narrow)).contains(&"publication.name"));
}

#[test]
fn a_table_that_comes_later_and_shares_a_topic_is_told_too() {
    let server = Server::start();
    server.sql("CREATE TABLE \"a b\" (id int PRIMARY KEY); CREATE TABLE \"a c\" (id int PRIMARY KEY); CREATE TABLE a_c (id int PRIMARY KEY)");
    let mut run = server.source(&[("snapshot.mode", "no_data")], &Offsets::default());
    crate::capture::wait_for_slot(&server, &mut run);
    let told = |run: &levada_connector_api::testkit::SourceRun, topic: &str| {
        run.context.warnings().iter().filter(|text| text.contains(&format!("share the topic {topic},"))).count()
    };
    server.sql("CREATE TABLE a_b (id int PRIMARY KEY); INSERT INTO a_b VALUES (1); INSERT INTO \"a c\" VALUES (1)");
    assert_eq!(run.take(2).unwrap().len(), 2);
    assert_eq!((told(&run, "p.public.a_b"), told(&run, "p.public.a_c")), (1, 1), "{:?}", run.context.warnings());
    run.stop();
}
