//! `exactly.once.mode=transaction`: rows and offsets together, whatever ends when.

use super::world::{Class, connector, partition, record, row};
use crate::server::Server;
use levada_connector_api::{ErrorKind, testkit::GroupOffsets};
use serde_json::json;

const ONCE: [(&str, &str); 3] =
    [("exactly.once.mode", "transaction"), ("retry.backoff.ms", "1"), ("exactly.once.table", "public.\"Offsets\"")];

fn rows(server: &Server) -> String {
    server.sql("SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM t")
}

fn stored(server: &Server) -> String {
    server.sql("SELECT string_agg(topic || partition || ':' || next_offset || '/' || epoch, ' ' ORDER BY partition) FROM \"Offsets\"")
}

#[test]
fn records_that_come_again_are_written_once() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int, name text)");
    let mut group = GroupOffsets::new();
    let mut sink = server.sink_of(Class::Confluent, &ONCE, &group).unwrap();
    sink.put(&[row(0, 0, "a"), row(1, 1, "b")]).unwrap();
    sink.commit(&mut group).unwrap();
    sink.put(&[row(2, 2, "c"), row(3, 3, "d")]).unwrap();
    assert_eq!(stored(&server), "t0:4/1 t1:0/1");
    // The task dies between its transaction and the commit of the group's offsets.
    drop(sink);
    let mut sink = server.sink_of(Class::Confluent, &ONCE, &group).unwrap();
    assert_eq!(sink.context.seeks(), [(partition("t", 0), 4)], "it reads on where the table says");
    sink.put(&[row(2, 2, "c"), row(3, 3, "d"), row(4, 4, "e")]).unwrap();
    assert_eq!(rows(&server), "0 1 2 3 4", "also where the runtime reads from before");
    assert_eq!(stored(&server), "t0:5/2 t1:0/2");
    sink.stop();
}

#[test]
fn the_table_leads_also_where_the_group_has_nothing() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int, name text)");
    let none = GroupOffsets::new();
    let mut sink = server.sink_of(Class::Confluent, &ONCE, &none).unwrap();
    assert!(sink.context.seeks().is_empty(), "nothing is written yet: the group says where to begin");
    sink.put(&[row(0, 0, "a"), row(1, 1, "b")]).unwrap();
    sink.stop();
    let sink = server.sink_of(Class::Confluent, &ONCE, &none).unwrap();
    assert_eq!(sink.context.seeks(), [(partition("t", 0), 2)]);
    sink.stop();
}

#[test]
fn a_connection_that_breaks_in_any_place_doubles_nothing() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int, name text); CREATE TABLE cut (at int); INSERT INTO cut VALUES (0);
         CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN IF new.name = 'cut' AND (SELECT count(*) FROM t) < 0 + (SELECT at FROM cut) THEN
                PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN new; END $$;
         CREATE TRIGGER cut BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION cut();",
    );
    let mut sink = server.sink_of(Class::Confluent, &ONCE, &GroupOffsets::new()).unwrap();
    for round in 0..5 {
        let batch: Vec<_> = (0..40).map(|at| row(round * 40 + at, (round * 40 + at) as i32, "fine")).collect();
        sink.put(&batch).unwrap();
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'levada'");
        // As if the answer to the commit was lost: the same comes again.
        sink.put(&batch).unwrap();
    }
    assert_eq!(server.sql("SELECT count(*), count(DISTINCT id) FROM t"), "200|200");
    server.sql("UPDATE cut SET at = 1000");
    let cut: Vec<_> = (200..210).map(|at| row(at, at as i32, if at == 205 { "cut" } else { "fine" })).collect();
    let mut failures = 0;
    loop {
        match sink.put(&cut) {
            Ok(()) => break,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
                failures += 1;
                assert_eq!(server.sql("SELECT count(*) FROM t"), "200", "all or nothing");
                server.sql("UPDATE cut SET at = 0");
            }
        }
    }
    assert_eq!(failures, 1);
    assert_eq!(server.sql("SELECT count(*), count(DISTINCT id) FROM t"), "210|210");
    assert!(stored(&server).starts_with("t0:210/"), "{}", stored(&server));
    sink.stop();
}

#[test]
fn a_commit_that_is_still_under_way_is_waited_for() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int, name text)");
    let url = format!("jdbc:postgresql://127.0.0.1:{}/d?user=postgres&socketTimeout=2", server.port());
    let mut keys = ONCE.to_vec();
    keys.extend([("connection.url", url.as_str()), ("max.retries", "1000")]);
    let mut sink = server.sink_of(Class::Confluent, &keys, &GroupOffsets::new()).unwrap();
    let waiting = |of: &str| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'levada' AND ";
        while server.sql(&format!("{sql}{of}")) == "0" {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    // A standby that does not exist: a commit waits for it, and others don't see it yet.
    server.psql("d", "ALTER SYSTEM SET synchronous_standby_names = 'none'");
    server.sql("SELECT pg_reload_conf()");
    let batch = [row(0, 0, "a"), row(1, 1, "b")];
    std::thread::scope(|scope| {
        let written = scope.spawn(|| {
            while let Err(error) = sink.put(&batch) {
                assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
            }
        });
        waiting("wait_event = 'SyncRep'");
        let first = server.sql("SELECT min(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
        waiting(&format!("pid <> {first} AND (wait_event_type = 'Lock' OR wait_event = 'SyncRep')"));
        server.psql("d", "ALTER SYSTEM RESET synchronous_standby_names");
        server.sql("SELECT pg_reload_conf()");
        written.join().unwrap();
    });
    assert_eq!(rows(&server), "0 1");
    sink.stop();
}

#[test]
fn a_task_that_was_taken_over_writes_nothing() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int, name text)");
    let mut zombie = server.sink_of(Class::Confluent, &ONCE, &GroupOffsets::new()).unwrap();
    zombie.put(&[row(0, 0, "a")]).unwrap();
    let mut owner = server.sink_of(Class::Confluent, &ONCE, &GroupOffsets::new()).unwrap();
    let error = zombie.put(&[row(1, 1, "b")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(error.message.contains("claimed by another task"), "{error}");
    assert_eq!(rows(&server), "0");
    owner.put(&[row(0, 0, "a"), row(1, 1, "b")]).unwrap();
    assert_eq!(rows(&server), "0 1");
    // What goes away in order is not held against the task.
    let kept = partition("t", 1);
    owner.task.close(&[partition("t", 0)], false).unwrap();
    let mut other = record(0, &[], &[super::world::int("id", 7)]);
    other.partition = 1;
    owner.put(&[other]).unwrap();
    owner.consumed.clear();
    owner.consumed.insert(kept, 3);
    owner.pre_commit().unwrap();
    assert!(stored(&server).contains("t1:3/"), "records that came to nothing count too: {}", stored(&server));
    owner.stop();
    zombie.stop();
}

#[test]
fn bad_rows_move_the_offset_too() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int CHECK (id <> 1), name text)");
    let mut sink = server.sink_of(Class::Confluent, &ONCE, &GroupOffsets::new()).unwrap();
    let batch = [row(0, 0, "a"), row(1, 1, "bad"), row(2, 2, "c"), row(3, 3, "z\0")];
    assert_eq!(sink.put(&batch).unwrap_err().kind, ErrorKind::Data);
    assert_eq!(stored(&server), "t0:0/1 t1:0/1", "nothing moves past a record that nobody took");
    sink.context.tolerate_errors();
    sink.put(&batch).unwrap();
    assert_eq!((rows(&server).as_str(), stored(&server).as_str()), ("0 2", "t0:4/1 t1:0/1"));
    assert_eq!(sink.context.reported().len(), 2);
    sink.stop();
}

#[test]
fn the_offset_does_not_pass_a_bad_row_that_the_queue_has_not() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int CHECK (id <> 1), name text)");
    for bad in [row(1, 1, "refused by the server"), row(1, 3, "refused before\0")] {
        let mut sink = server.sink_of(Class::Confluent, &ONCE, &GroupOffsets::new()).unwrap();
        sink.context.tolerate_errors();
        sink.context.lose_reports(true);
        let error = sink.put(&[row(0, 0, "a"), bad]).unwrap_err();
        assert!(error.message.contains("the dead letter queue refuses"), "{error}");
        assert_eq!(rows(&server), "");
        assert!(stored(&server).starts_with("t0:0/"), "{}", stored(&server));
        // Nor by the offsets of records that came to nothing.
        sink.consumed.insert(partition("t", 0), 2);
        assert!(sink.pre_commit().is_err());
        assert!(stored(&server).starts_with("t0:0/"), "{}", stored(&server));
        sink.context.lose_reports(false);
        sink.pre_commit().unwrap();
        assert!(stored(&server).starts_with("t0:2/"), "{}", stored(&server));
        sink.stop();
        server.sql("DELETE FROM \"Offsets\"");
    }
}

#[test]
fn offsets_are_changed_by_request() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int, name text)");
    let mut group = GroupOffsets::new();
    let mut sink = server.sink_of(Class::Confluent, &ONCE, &group).unwrap();
    sink.put(&[row(0, 0, "a"), row(1, 1, "b")]).unwrap();
    sink.commit(&mut group).unwrap();
    sink.stop();
    let config = server.sink_config(&ONCE);
    let object = |json: serde_json::Value| json.as_object().unwrap().clone();
    let at = |number: i32| object(json!({"kafka_topic": "t", "kafka_partition": number}));
    let changes = [(at(0), Some(object(json!({"kafka_offset": "1"})))), (at(1), None)];
    assert!(connector(Class::Confluent).alter_offsets(&config, &changes).unwrap());
    assert_eq!(stored(&server), "t0:1/2");
    group.insert(partition("t", 0), (1, String::new()));
    let mut sink = server.sink_of(Class::Confluent, &ONCE, &group).unwrap();
    sink.put(&[row(1, 1, "b")]).unwrap();
    assert_eq!(rows(&server), "0 1 1", "what was asked for again is written again");
    sink.stop();
    assert!(connector(Class::Confluent).alter_offsets(&config, &[]).unwrap());
    assert_eq!(stored(&server), "", "a reset forgets partitions that the group does not know");
}

#[test]
fn a_server_that_dies_at_any_time_gets_every_record_once() {
    let mut server = Server::start();
    server.sql("CREATE TABLE t (id int, name text)");
    let mut group = GroupOffsets::new();
    let mut keys = ONCE.to_vec();
    keys.extend([("connection.attempts", "1"), ("max.retries", "1000")]);
    let mut sink = server.sink_of(Class::Confluent, &keys, &group).unwrap();
    for round in 0..3_i64 {
        let batch: Vec<_> = (round * 1000..(round + 1) * 1000).map(|at| row(at, at as i32, "x")).collect();
        // Killed between batches, and below while one is under way.
        server.kill();
        let error = sink.put(&batch).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
        server.launch();
        std::thread::scope(|scope| {
            let killed = scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(40 * round as u64));
                server.kill();
                server.launch();
            });
            while let Err(error) = sink.put(&batch) {
                assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            killed.join().unwrap();
        });
        if round == 1 {
            // The task dies too, before the group has its offsets.
            drop(sink);
            sink = server.sink_of(Class::Confluent, &keys, &group).unwrap();
            sink.put(&batch).unwrap();
        }
        while sink.commit(&mut group).is_err() {}
    }
    sink.stop();
    assert_eq!(server.sql("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM t"), "3000|3000|0|2999");
}
