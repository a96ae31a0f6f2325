//! Changes of tables: told in order, across restarts, and what the policies make of them.

use crate::{
    capture::wait_for_slot,
    json::{change, json},
    server::Server,
};
use levada_connector_api::{
    ErrorKind, SourceRecord,
    testkit::{Offsets, SourceRun},
};
use serde_json::{Value as Json, json};

const NO_DATA: (&str, &str) = ("snapshot.mode", "no_data");
const TOLD: (&str, &str) = ("include.schema.changes", "true");

/// Records short: rows as operation and row, changes of tables as table and what happened.
pub fn short(record: &SourceRecord) -> Json {
    if *record.topic != *"p" {
        return change(record);
    }
    let value = json(&record.value);
    let told = &value["tableChanges"][0];
    let effects = told["changes"].as_array().unwrap().iter().map(|effect| {
        let text = |key: &str| effect[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}>{}", text("kind"), text("column"), text("from"), text("to"))
    });
    json!([told["type"], told["id"], effects.collect::<Vec<_>>()])
}

pub fn all(records: &[SourceRecord]) -> Vec<Json> {
    records.iter().map(short).collect()
}

fn stop(mut run: SourceRun) {
    run.commit().unwrap();
    run.stop();
}

#[test]
fn each_change_is_told_before_the_first_row_of_the_new_shape() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(5))");
    let offsets = Offsets::default();
    let mut run = server.source(&[NO_DATA, TOLD], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1, 1, 'x')");
    server.sql("ALTER TABLE t ADD COLUMN c numeric(6,2) NOT NULL DEFAULT 1; INSERT INTO t VALUES (2, 1, 'x')");
    server.sql("ALTER TABLE t RENAME COLUMN a TO z; ALTER TABLE t DROP COLUMN c; INSERT INTO t VALUES (3, 1, 'x')");
    server.sql("ALTER TABLE t ALTER COLUMN b TYPE varchar(9); INSERT INTO t VALUES (4, 1, 'x')");
    server.sql(
        "ALTER TABLE t ALTER COLUMN z SET NOT NULL, ALTER COLUMN z SET DEFAULT 5; INSERT INTO t VALUES (5, 1, 'x')",
    );
    server.sql("ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (6, 1, 'x')");
    server.sql("ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, z); INSERT INTO t VALUES (7, 1, 'x')");
    server.sql("ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (8, 1, 'x')");
    server.sql("INSERT INTO u VALUES (9, 1, 'x')");
    // How many changes are told depends on when the catalog is asked.
    let (mut records, since) = (Vec::new(), std::time::Instant::now());
    let is_last = |record: &SourceRecord| json(&record.key)["id"] == 9;
    while !records.iter().any(is_last) {
        assert!(since.elapsed() < std::time::Duration::from_secs(180), "{} records", records.len());
        records.extend(run.poll().unwrap());
    }
    let told: Vec<_> = records.iter().filter(|record| *record.topic == *"p").map(short).collect();
    let (t, u) = ("\"d\".\"public\".\"t\"", "\"d\".\"public\".\"u\"");
    assert_eq!(told[0], json!(["CREATE", t, []]));
    // The catalog is asked when an announcement is read: what it alone says may be told with an earlier change.
    let effects: Vec<_> = told.iter().flat_map(|told| told[2].as_array().unwrap().clone()).collect();
    assert_eq!(
        effects,
        [
            "COLUMN_ADDED c ->numeric(6,2)",
            "COLUMN_DROPPED c numeric(6,2)>-",
            "COLUMN_RENAMED z a>z",
            "TYPE_CHANGED b varchar(5)>varchar(9)",
            "NULLABILITY_CHANGED z NULL>NOT NULL",
            "DEFAULT_CHANGED z ->5",
            "REPLICA_IDENTITY_CHANGED - DEFAULT>FULL",
            "PRIMARY_KEY_CHANGED - id>id, z",
            "TABLE_RENAMED - public.t>public.u",
        ]
    );
    assert_eq!(told.last().unwrap()[1], u);
    // Each row has the columns of the shape that was told last.
    let mut columns = Vec::new();
    for record in &records {
        let value = json(&record.value);
        if *record.topic == *"p" {
            let table = &value["tableChanges"][0]["table"];
            columns = table["columns"].as_array().unwrap().iter().map(|column| column["name"].clone()).collect();
        } else {
            let row: Vec<_> = value["after"].as_object().unwrap().keys().map(|key| json!(key)).collect();
            assert_eq!(row, columns);
        }
    }
    let added = json(&records[2].value);
    let source = &added["source"];
    assert!(source["lsn"].as_i64().unwrap() > 0 && source["txId"].as_i64().unwrap() > 0, "{source}");
    assert_eq!((&source["schema"], &source["table"]), (&json!("public"), &json!("t")));
    assert_eq!(
        (&added["databaseName"], &added["schemaName"], &added["ddl"]),
        (&json!("d"), &json!("public"), &json!(null))
    );
    let change = &added["tableChanges"][0];
    assert_eq!(change["before"]["columns"].as_array().unwrap().len(), 3);
    assert_eq!(change["table"]["primaryKeyColumnNames"], json!(["id"]));
    let column = &change["table"]["columns"][3];
    for (field, expected) in [
        ("name", json!("c")),
        ("jdbcType", json!(2)),
        ("typeName", json!("numeric")),
        ("typeExpression", json!("numeric(6,2)")),
        ("length", json!(6)),
        ("scale", json!(2)),
        ("position", json!(4)),
        ("attributeNumber", json!(4)),
        ("optional", json!(false)),
        ("defaultValueExpression", json!("1")),
    ] {
        assert_eq!(column[field], expected, "{field}");
    }
    assert_eq!(records[2].partition, Some(0));
    run.stop();
}

#[test]
fn what_changes_while_the_task_is_stopped_is_told_and_nothing_is_told_twice() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1)");
    let offsets = Offsets::default();
    let keys = [TOLD, ("schema.changes.topic", "p")];
    let mut run = server.source(&keys, &offsets);
    let t = "\"d\".\"public\".\"t\"";
    let read = all(&run.take(2).unwrap());
    assert_eq!(read, [json!(["CREATE", t, []]), json!(["r", {"id": 1, "a": 1}])]);
    wait_for_slot(&server, &mut run);
    stop(run);
    assert_eq!(offsets.len(), 2, "the stream's and the table's");
    server.sql("INSERT INTO t VALUES (2, 1)");
    server.sql("ALTER TABLE t RENAME COLUMN a TO b");
    server.sql("INSERT INTO t VALUES (3, 1)");
    server.sql("ALTER TABLE t RENAME COLUMN b TO c");
    server.sql("INSERT INTO t VALUES (4, 1)");
    let expected = [
        json!(["c", {"id": 2, "a": 1}]),
        json!(["ALTER", t, ["COLUMN_RENAMED b a>b"]]),
        json!(["c", {"id": 3, "b": 1}]),
        json!(["ALTER", t, ["COLUMN_RENAMED c b>c"]]),
        json!(["c", {"id": 4, "c": 1}]),
    ];
    let mut run = server.source(&keys, &offsets);
    assert_eq!(all(&run.take(5).unwrap()), expected);
    // Nothing of it was committed: it comes again, all of it.
    run.stop();
    let mut run = server.source(&keys, &offsets);
    assert_eq!(all(&run.take(5).unwrap()), expected);
    stop(run);
    server.sql("INSERT INTO t VALUES (5, 1)");
    let mut run = server.source(&keys, &offsets);
    assert_eq!(all(&run.take(1).unwrap()), [json!(["c", {"id": 5, "c": 1}])]);
    run.stop();
}

#[test]
fn a_shape_that_was_stored_before_its_rows_is_not_told_backwards() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, a int)");
    let offsets = Offsets::default();
    // The slot stays where it is, so that an older offset is none that is missing something.
    let keys = [NO_DATA, TOLD, ("lsn.flush.mode", "manual")];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1, 1)");
    run.take(2).unwrap();
    run.commit().unwrap();
    server.sql("INSERT INTO t VALUES (2, 1)");
    server.sql("ALTER TABLE t ADD COLUMN b int; INSERT INTO t VALUES (3, 1, 1)");
    let stream = json!({"server": "p"});
    let before = offsets.get(stream.as_object().unwrap()).unwrap();
    assert_eq!(run.take(3).unwrap().len(), 3);
    run.commit().unwrap();
    run.stop();
    // A crash between the two commits.
    offsets.set(stream.as_object().unwrap(), before);
    let mut run = server.source(&keys, &offsets);
    let again = all(&run.take(2).unwrap());
    assert_eq!(again, [json!(["c", {"id": 2, "a": 1}]), json!(["c", {"id": 3, "a": 1, "b": 1}])]);
    run.stop();
}

/// The word that accepts the change which a failure tells.
fn accept(text: &str) -> &str {
    text.split("schema.change.accepted=").nth(1).unwrap().split(", or all").next().unwrap()
}

#[test]
fn a_failed_task_goes_on_when_the_change_is_accepted() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, a int)");
    let offsets = Offsets::default();
    let policy = ("schema.change.policy", "fail");
    let mut run = server.source(&[NO_DATA, TOLD, policy], &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1, 1)");
    server.sql("INSERT INTO t VALUES (2, 1); ALTER TABLE t DROP COLUMN a; INSERT INTO t VALUES (3)");
    assert_eq!(run.take(3).unwrap().len(), 3, "the first sight of the table, and what came before the change");
    run.commit().unwrap();
    let error = run.take_error();
    assert_eq!(error.kind, ErrorKind::Config);
    for words in ["public.t", "column a (int4) was dropped", "schema.change.policy=fail"] {
        assert!(error.message.contains(words), "{error}");
    }
    run.stop();
    // A restart alone accepts nothing.
    let mut run = server.source(&[NO_DATA, TOLD, policy], &offsets);
    let again = run.take_error();
    assert_eq!(again.message, error.message);
    run.stop();
    let accepted = ("schema.change.accepted", accept(&error.message));
    let mut run = server.source(&[NO_DATA, TOLD, policy, accepted], &offsets);
    let told = json!(["ALTER", "\"d\".\"public\".\"t\"", ["COLUMN_DROPPED a int4>-"]]);
    assert_eq!(all(&run.take(2).unwrap()), [told, json!(["c", {"id": 3}])]);
    // The next one is another.
    server.sql("ALTER TABLE t ADD COLUMN c int; INSERT INTO t VALUES (4, 1)");
    let error = run.take_error();
    assert!(error.message.contains("column c (int4) was added"), "{error}");
    assert!(accept(&error.message).starts_with(&format!("{},", accepted.1)), "the list grows: {error}");
    run.stop();
}

#[test]
fn a_paused_task_hands_out_nothing_and_lets_harmless_changes_pass() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, a int)");
    let offsets = Offsets::default();
    let keys = [
        NO_DATA,
        ("schema.change.policy", "pause"),
        ("schema.change.policy.breaking.only", "true"),
        ("errors.max.retries", "0"),
    ];
    let mut run = server.source(&keys, &offsets);
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO t VALUES (1, 1)");
    server.sql("ALTER TABLE t ADD COLUMN b int; INSERT INTO t VALUES (2, 1, 1)");
    server.sql("ALTER TABLE t RENAME COLUMN a TO z; INSERT INTO t VALUES (3, 1, 1)");
    assert_eq!(all(&run.take(2).unwrap()), [json!(["c", {"id": 1, "a": 1}]), json!(["c", {"id": 2, "a": 1, "b": 1}])]);
    run.commit().unwrap();
    // Each try says the same, and the task never gives up.
    let first = run.take_error();
    assert_eq!(first.kind, ErrorKind::Retriable, "{first}");
    assert!(first.message.contains("column a was renamed to z"), "{first}");
    assert_eq!(run.take_error().message, first.message);
    assert_eq!(run.take_error().kind, ErrorKind::Retriable);
    run.stop();
    let accepted = ("schema.change.accepted", accept(&first.message));
    let mut run = server.source(&[NO_DATA, keys[1], keys[2], accepted], &offsets);
    assert_eq!(all(&run.take(1).unwrap()), [json!(["c", {"id": 3, "z": 1, "b": 1}])]);
    run.stop();
}
