//! Large values that an update did not change, from a table through a topic into another: the sink leaves them alone, and
//! where it can't, since the row is new by its changed key, the source reads them.

use super::world::{Class, consumed};
use crate::{capture::wait_for_slot, server::Server};
use levada_connector_api::testkit::{Offsets, SourceRun};

const COLUMNS: &str = "id int PRIMARY KEY, n int, t text, b bytea, j jsonb, texts text[], numbers int[]";
const RESELECT: [(&str, &str); 3] = [
    ("post.processors", "again"),
    ("again.type", "io.debezium.processors.reselect.ReselectColumnsPostProcessor"),
    ("again.reselect.null.values", "false"),
];

/// A source of `v`, and `w` as its copy of three rows.
fn prepare(server: &Server, keys: &[(&str, &str)]) -> SourceRun {
    for table in ["v", "w"] {
        server.sql(&format!("CREATE TABLE {table} ({COLUMNS})"));
        for column in ["t", "b", "j", "texts", "numbers"] {
            server.sql(&format!("ALTER TABLE {table} ALTER {column} SET STORAGE EXTERNAL"));
        }
        server.sql(&format!(
            "INSERT INTO {table} SELECT i, 0, repeat('t', 5000), decode(repeat('0a', 5000), 'hex'), to_jsonb(repeat('j', 5000)),
             ARRAY(SELECT 'x' || n FROM generate_series(1, 2000) n), ARRAY(SELECT generate_series(1, 2000)) FROM generate_series(1, 3) i"
        ));
    }
    let given = [("snapshot.mode", "no_data"), ("table.include.list", "public.v")];
    let keys: Vec<_> = given.iter().chain(keys).copied().collect();
    let mut run = server.source(&keys, &Offsets::default());
    wait_for_slot(server, &mut run);
    run
}

fn differences(server: &Server) -> String {
    server.sql(
        "SELECT coalesce(string_agg(coalesce(id::text, '-'), ' ' ORDER BY id), '') FROM v FULL JOIN w USING (id)
         WHERE v::text IS DISTINCT FROM w::text",
    )
}

#[test]
fn an_update_leaves_what_did_not_change_in_every_mode_that_updates() {
    for mode in ["upsert", "update"] {
        let server = Server::start();
        let mut run = prepare(&server, &[]);
        server.sql("UPDATE v SET n = 1; UPDATE v SET t = 'short' WHERE id = 2; UPDATE v SET j = NULL WHERE id = 3");
        let records = run.take(5).unwrap();
        run.stop();
        let keys = [("insert.mode", mode), ("primary.key.mode", "record_key"), ("collection.name.format", "w")];
        let mut sink = server.sink(Class::Debezium, &keys);
        sink.put(&consumed(records, "t")).unwrap();
        assert_eq!(server.sql("SELECT string_agg(n::text, ' ') FROM w"), "1 1 1");
        assert_eq!(differences(&server), "", "{mode}");
        sink.stop();
    }
}

#[test]
fn a_row_with_a_changed_key_is_whole_when_its_values_are_read() {
    for (keys, missing) in [(&[][..], "11"), (&RESELECT[..], "")] {
        let server = Server::start();
        let mut run = prepare(&server, keys);
        server.sql(
            "UPDATE v SET id = 11 WHERE id = 1; UPDATE v SET n = 4 WHERE id = 11; UPDATE v SET n = 5 WHERE id = 2",
        );
        let records = run.take(5).unwrap();
        run.stop();
        let keys = [
            ("insert.mode", "upsert"),
            ("primary.key.mode", "record_key"),
            ("collection.name.format", "w"),
            ("delete.enabled", "true"),
        ];
        let mut sink = server.sink(Class::Debezium, &keys);
        sink.put(&consumed(records, "t")).unwrap();
        assert_eq!(server.sql("SELECT string_agg(id || ' ' || n, ',' ORDER BY id) FROM w"), "2 5,3 0,11 4");
        assert_eq!(differences(&server), missing, "without the values of the large columns");
        sink.stop();
    }
}
