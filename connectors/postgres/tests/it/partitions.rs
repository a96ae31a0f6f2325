//! Partitioned tables, and tables that are made while the task runs.

use crate::{
    capture::wait_for_slot,
    ddl::all,
    json::{changes, event},
    server::Server,
};
use levada_connector_api::testkit::{Offsets, SourceRun};
use serde_json::{Value as Json, json};

const NO_DATA: (&str, &str) = ("snapshot.mode", "no_data");
const FILTERED: (&str, &str) = ("publication.autocreate.mode", "filtered");
const TOLD: (&str, &str) = ("include.schema.changes", "true");
const VIA_ROOT: (&str, &str) = ("publish.via.partition.root", "true");

const ROOT: &str = "CREATE TABLE root (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
     CREATE TABLE one PARTITION OF root FOR VALUES FROM (0) TO (100);
     CREATE TABLE two PARTITION OF root FOR VALUES FROM (100) TO (200);";

/// Polls until the publication has a table; nothing is handed out meanwhile.
fn published(server: &Server, run: &mut SourceRun, table: &str) {
    let query = format!("SELECT count(*) FROM pg_publication_tables WHERE tablename = '{table}'");
    let records = run.poll_until(|_| server.sql(&query) == "1");
    assert!(records.is_empty(), "{records:?}");
}

fn tables(run: &mut SourceRun, count: usize) -> Vec<Json> {
    let records = run.take(count).unwrap();
    records.iter().map(|record| json!([event(record)["topic"], event(record)["key"]["id"]])).collect()
}

#[test]
fn without_the_root_each_partition_is_a_table_of_its_own_attached_or_detached() {
    let server = Server::start();
    server.sql(ROOT);
    let mut run = server.source(&[NO_DATA, FILTERED], &Offsets::default());
    wait_for_slot(&server, &mut run);
    server.sql("INSERT INTO root VALUES (1, 1), (101, 1)");
    assert_eq!(tables(&mut run, 2), [json!(["p.public.one", 1]), json!(["p.public.two", 101])]);
    // Its first row comes too: the root is what is published.
    server.sql("CREATE TABLE three PARTITION OF root FOR VALUES FROM (200) TO (300); INSERT INTO root VALUES (201, 1)");
    assert_eq!(tables(&mut run, 1), [json!(["p.public.three", 201])]);
    // A row that moves is deleted here and new there.
    server.sql("UPDATE root SET id = 102 WHERE id = 201");
    let moved = tables(&mut run, 3);
    assert_eq!(moved, [json!(["p.public.three", 201]), json!(["p.public.three", 201]), json!(["p.public.two", 102])]);
    server.sql("ALTER TABLE root DETACH PARTITION one");
    server.sql("INSERT INTO one VALUES (2, 1)");
    server.sql("ALTER TABLE root ATTACH PARTITION one FOR VALUES FROM (0) TO (100)");
    server.sql("INSERT INTO root VALUES (3, 1)");
    assert_eq!(tables(&mut run, 2), [json!(["p.public.one", 2]), json!(["p.public.one", 3])]);
    // So is one that came later, which is listed by itself as well before long.
    let listed = "SELECT count(*) FROM pg_publication_rel WHERE prrelid = 'three'::regclass";
    run.poll_until(|_| server.sql(listed) == "1");
    server.sql("ALTER TABLE root DETACH PARTITION three");
    server.sql("INSERT INTO three VALUES (203, 1)");
    assert_eq!(tables(&mut run, 1), [json!(["p.public.three", 203])]);
    run.stop();
}

#[test]
fn partitions_that_are_not_all_captured_are_published_one_by_one() {
    let server = Server::start();
    server.sql(ROOT);
    let listed = || {
        server.sql(
            "SELECT string_agg(prrelid::regclass::text, ' ' ORDER BY prrelid::regclass::text) FROM pg_publication_rel",
        )
    };
    let offsets = Offsets::default();
    for (keys, expected) in [
        (&[][..], "one root two"),
        (&[("table.exclude.list", "public.two")], "one"),
        (&[("table.include.list", ".*")], "one root two"),
    ] {
        let mut run = server.source(&[&[NO_DATA, FILTERED], keys].concat(), &offsets);
        wait_for_slot(&server, &mut run);
        assert_eq!(listed(), expected, "{keys:?}");
        server.sql("INSERT INTO root SELECT coalesce(max(id) + 1, 0) FROM one");
        assert_eq!(tables(&mut run, 1)[0][0], "p.public.one");
        run.commit().unwrap();
        run.stop();
    }
}

#[test]
fn with_the_root_all_rows_are_the_root_s_and_its_changes_are_told_once() {
    for publication in [FILTERED, ("publication.autocreate.mode", "all_tables")] {
        let server = Server::start();
        server.sql(ROOT);
        let mut run = server.source(&[NO_DATA, publication, VIA_ROOT, TOLD], &Offsets::default());
        wait_for_slot(&server, &mut run);
        server.sql("INSERT INTO root VALUES (1, 1), (101, 1)");
        let root = "\"d\".\"public\".\"root\"";
        let first = [json!(["CREATE", root, []]), json!(["c", {"id": 1, "v": 1}]), json!(["c", {"id": 101, "v": 1}])];
        let records = run.take(3).unwrap();
        assert_eq!(all(&records), first);
        assert!(records[1..].iter().all(|record| *record.topic == *"p.public.root"));
        // Attached with its columns in another order and a hole in their numbers.
        server.sql("CREATE TABLE other (gone int, v int, id int NOT NULL); ALTER TABLE other DROP COLUMN gone");
        // It is published for itself before, and then by its root: nothing is missing.
        published(&server, &mut run, "other");
        run.poll_until(|run| run.context.progress().is_some());
        server.sql("ALTER TABLE root ATTACH PARTITION other FOR VALUES FROM (200) TO (300)");
        server.sql("INSERT INTO root VALUES (201, 2), (2, 2)");
        server.sql("ALTER TABLE root ADD COLUMN w text");
        server.sql("INSERT INTO root VALUES (102, 3, 'x'), (202, 3, 'y')");
        server.sql("UPDATE root SET id = 203 WHERE id = 102");
        let then = [
            json!(["c", {"id": 201, "v": 2}]),
            json!(["c", {"id": 2, "v": 2}]),
            json!(["ALTER", root, ["COLUMN_ADDED w ->text"]]),
            json!(["c", {"id": 102, "v": 3, "w": "x"}]),
            json!(["c", {"id": 202, "v": 3, "w": "y"}]),
            json!(["d", {"id": 102, "v": null, "w": null}]),
            json!(["tombstone", {"id": 102}]),
            json!(["c", {"id": 203, "v": 3, "w": "x"}]),
        ];
        assert_eq!(all(&run.take(8).unwrap()), then, "{publication:?}");
        // A detached one is a table like any other.
        server.sql("ALTER TABLE root DETACH PARTITION two");
        published(&server, &mut run, "two");
        server.sql("INSERT INTO two VALUES (103, 4)");
        let records = run.take(2).unwrap();
        assert_eq!(all(&records)[0], json!(["CREATE", "\"d\".\"public\".\"two\"", []]));
        assert_eq!(*records[1].topic, *"p.public.two");
        run.stop();
    }
}

#[test]
fn a_new_table_is_published_while_the_task_runs_or_the_sql_is_told() {
    let server = Server::start();
    server.sql(
        "CREATE ROLE lowly LOGIN REPLICATION; GRANT CREATE ON DATABASE d TO lowly; GRANT ALL ON SCHEMA public TO lowly;
         CREATE TABLE mine (id int PRIMARY KEY); ALTER TABLE mine OWNER TO lowly; CREATE TABLE left_out (id int PRIMARY KEY)",
    );
    let keys = [NO_DATA, FILTERED, ("database.user", "lowly"), ("table.exclude.list", "public.left.*")];
    let mut run = server.source(&keys, &Offsets::default());
    wait_for_slot(&server, &mut run);
    server.sql("CREATE TABLE left_too (id int PRIMARY KEY); CREATE TABLE later (id int PRIMARY KEY); ALTER TABLE later OWNER TO lowly");
    published(&server, &mut run, "later");
    server.sql("INSERT INTO later VALUES (5); INSERT INTO left_too VALUES (1)");
    assert_eq!(changes(&run.take(1).unwrap()), [json!(["c", {"id": 5}])]);
    let told = |run: &SourceRun, words: &str| run.context.warnings().iter().filter(|text| text.contains(words)).count();
    assert_eq!(told(&run, "table public.later is new and was added"), 1);
    // Somebody else's is told once.
    server.sql("CREATE TABLE foreign_one (id int PRIMARY KEY)");
    run.poll_until(|run| told(run, "ADD TABLE \"public\".\"foreign_one\";") == 1);
    server.sql("CREATE TABLE last (id int PRIMARY KEY); ALTER TABLE last OWNER TO lowly");
    published(&server, &mut run, "last");
    assert_eq!(told(&run, "foreign_one"), 1, "{:?}", run.context.warnings());
    let tables = || server.sql("SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_publication_tables");
    assert_eq!(tables(), "last later mine");
    // Its owner has changed: it is tried again.
    server.sql("ALTER TABLE foreign_one OWNER TO lowly");
    published(&server, &mut run, "foreign_one");
    assert_eq!(tables(), "foreign_one last later mine");
    run.stop();
}
