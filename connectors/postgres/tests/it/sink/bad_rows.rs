//! Bad rows cost only themselves; what may work later is tried again.

use super::world::{Class, int, record, row, text, tombstone};
use crate::{
    restart::is_passing,
    server::{Server, other_user},
};
use levada_connector_api::{ErrorKind, Schema, SchemaType, SinkRecord, Value, testkit::SinkRun};
use std::{sync::Arc, time::Duration};

const UPSERT: [(&str, &str); 4] =
    [("insert.mode", "upsert"), ("pk.mode", "record_key"), ("delete.enabled", "true"), ("retry.backoff.ms", "1")];

fn reported(sink: &SinkRun) -> Vec<i64> {
    sink.context.reported().iter().map(|(record, _)| record.offset).collect()
}

fn state(server: &Server) -> String {
    server.sql("SELECT count(*) || ' ' || coalesce(sum(id), 0) FROM t")
}

#[test]
fn bad_rows_are_found_and_the_rest_goes_on() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int PRIMARY KEY CHECK (id <> 13), name varchar(5));
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN IF new.name = 'no' THEN RAISE 'not this one'; END IF; RETURN new; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse();",
    );
    let name = |id: i64| match id {
        7 => "too long",
        900 => "no",
        901 => "z\0",
        _ => "fine",
    };
    let all: Vec<SinkRecord> = (0..1000).map(|id| row(id, id as i32, name(id))).collect();
    for keys in [&[("retry.backoff.ms", "1")][..], &UPSERT] {
        for pieces in [1000, 50] {
            server.sql("DELETE FROM t");
            let mut sink = server.sink(Class::Confluent, keys);
            sink.context.tolerate_errors();
            all.chunks(pieces).for_each(|piece| sink.put(piece).unwrap());
            let mut bad = reported(&sink);
            bad.sort_unstable();
            assert_eq!(bad, [7, 13, 900, 901]);
            let texts = sink.context.reported();
            let of = |offset: i64| texts.iter().find(|(record, _)| record.offset == offset).unwrap().1.clone();
            assert!(of(7).contains("SQLSTATE 22001") && of(7).contains("partition 0, offset 7"), "{}", of(7));
            assert!(of(13).contains("SQLSTATE 23514") && of(13).contains("public.t"), "{}", of(13));
            assert!(of(900).contains("not this one") && of(901).contains("\\u0000"), "{} {}", of(900), of(901));
            assert_eq!(state(&server), format!("996 {}", 499_500 - 7 - 13 - 900 - 901));
            sink.stop();
        }
    }
}

#[test]
fn batches_that_fail_leave_no_staging_tables_behind() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name varchar(5))");
    let mut sink = server.sink(Class::Confluent, &UPSERT);
    sink.context.tolerate_errors();
    for round in 0..8 {
        let name = |id: i32| if round % 2 == 1 && id == 7 { "too long" } else { "fine" };
        let rows: Vec<_> = (0..1000).map(|id| row(i64::from(round * 1000 + id), id, name(id))).collect();
        sink.put(&rows).unwrap();
    }
    assert_eq!(reported(&sink), [1007, 3007, 5007, 7007]);
    assert_eq!(server.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'levada_stage%'"), "1");
    sink.stop();
}

#[test]
fn a_bad_change_leaves_the_other_changes_of_its_key() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name varchar(5))");
    let mut sink = server.sink(Class::Confluent, &UPSERT);
    sink.context.tolerate_errors();
    let batch =
        [row(0, 1, "a"), row(1, 1, "too long"), row(2, 2, "b"), tombstone(3, 2), row(4, 3, "c"), row(5, 3, "too long")];
    sink.put(&batch).unwrap();
    assert_eq!(reported(&sink), [1, 5]);
    assert_eq!(server.sql("SELECT string_agg(id || name, ' ' ORDER BY id) FROM t"), "1a 3c");
    sink.stop();
}

#[test]
fn without_tolerance_the_first_bad_row_ends_the_batch() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name varchar(5))");
    let mut sink = server.sink(Class::Confluent, &UPSERT);
    let error = sink.put(&[row(0, 1, "a"), row(1, 2, "too long"), row(2, 3, "c")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Data);
    assert!(error.message.contains("SQLSTATE 22001") && error.message.contains("offset 1"), "{error}");
    assert_eq!(state(&server), "0 0", "nothing of the batch is kept");
    sink.put(&[row(0, 1, "a")]).unwrap();
    assert_eq!(state(&server), "1 1", "the session is as before");
    sink.stop();
}

#[test]
fn keys_that_only_the_server_takes_for_equal_are_written_in_order() {
    let server = Server::start();
    server.sql("CREATE EXTENSION citext; CREATE TABLE t (key citext PRIMARY KEY, n int)");
    let mut sink = server.sink(Class::Confluent, &UPSERT);
    let change = |offset: i64, key: &str, n: i32| record(offset, &[text("key", key)], &[int("n", n)]);
    sink.put(&[change(0, "a", 1), change(1, "b", 2), change(2, "A", 3)]).unwrap();
    assert_eq!(server.sql("SELECT string_agg(key || n, ' ' ORDER BY key) FROM t"), "a3 b2");
    sink.stop();
}

#[test]
fn checks_at_the_end_find_their_rows() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1);
         CREATE TABLE t (id int PRIMARY KEY, name text, parent int DEFAULT 1 REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    );
    let mut sink = server.sink(Class::Confluent, &UPSERT);
    sink.context.tolerate_errors();
    let child = |offset: i64, parent: i32| record(offset, &[int("id", offset as i32)], &[int("parent", parent)]);
    sink.put(&[child(0, 1), child(1, 5), child(2, 1)]).unwrap();
    assert_eq!(reported(&sink), [1]);
    assert_eq!(state(&server), "2 2");
    sink.stop();
}

#[test]
fn checks_deferred_to_the_end_find_their_rows() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int PRIMARY KEY, name text, parent int);
         ALTER TABLE t ADD FOREIGN KEY (parent) REFERENCES t DEFERRABLE",
    );
    for once in [&[][..], &[("exactly.once.mode", "transaction")]] {
        server.sql("DELETE FROM t");
        let mut keys = [&UPSERT[..], &[("defer.constraints", "true")], once].concat();
        keys.push(("connection.attempts", "1"));
        let mut sink = server.sink(Class::Confluent, &keys);
        let child = |offset: i64, id: i32, parent: i32, name: &str| {
            record(offset, &[int("id", id)], &[text("name", name), int("parent", parent)])
        };
        // The last row refers to itself, most others to one that comes behind them, 40 to one that never comes, and 50
        // is right in its second version only.
        let mut batch: Vec<_> = (0..100).map(|id| child(i64::from(id), id, 99.min(id + 1), "a")).collect();
        batch[39] = child(39, 39, 41, "a");
        batch[40] = child(40, 40, 1000, "a");
        batch[50] = child(50, 50, 1001, "old");
        batch.push(child(100, 50, 51, "new"));
        batch.push(child(101, 101, 40, "b"));
        let error = sink.put(&batch).unwrap_err();
        assert!(error.kind == ErrorKind::Data && error.message.contains("SQLSTATE 23503"), "{error}");
        assert_eq!(state(&server), "0 0", "without tolerance nothing is kept");
        sink.context.tolerate_errors();
        sink.put(&batch).unwrap();
        let mut bad = reported(&sink);
        bad.sort_unstable();
        assert_eq!(bad, [40, 50, 101], "what refers to a bad row is bad too");
        assert_eq!(server.sql("SELECT count(*), count(*) FILTER (WHERE name = 'new') FROM t"), "99|1");
        sink.put(&[child(102, 102, 0, "c")]).unwrap();
        sink.stop();
    }
}

#[test]
fn what_may_work_later_is_tried_again_so_often() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name text)");
    let mut keys = UPSERT.to_vec();
    keys.push(("max.retries", "3"));
    let mut sink = server.sink(Class::Confluent, &keys);
    sink.put(&[row(0, 1, "a")]).unwrap();
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'levada'");
    sink.put(&[row(1, 2, "b")]).unwrap();
    assert_eq!(state(&server), "2 3", "a session that was ended is made anew at once");
    server.sql("ALTER DATABASE d CONNECTION LIMIT 0; CREATE ROLE other LOGIN; GRANT ALL ON t TO other");
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'levada'");
    sink.stop();
    keys.push(("connection.user", "other"));
    keys.push(("connection.attempts", "1"));
    let mut sink = server.sink(Class::Confluent, &keys);
    let batch = [row(2, 3, "c")];
    for _ in 0..3 {
        let error = sink.put(&batch).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    }
    let error = sink.put(&batch).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(error.message.contains("53300") && error.message.contains("max.retries=3"), "{error}");
    assert!(is_passing(&error), "the worker's restart policy tries it again: {error:?}");
    server.psql("postgres", "ALTER DATABASE d CONNECTION LIMIT -1");
    sink.put(&batch).unwrap();
    assert_eq!(state(&server), "3 6");
    sink.stop();
}

#[test]
fn tables_that_change_underneath_are_looked_at_again() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name text)");
    let mut keys = UPSERT.to_vec();
    keys.push(("auto.create", "true"));
    let mut sink = server.sink(Class::Confluent, &keys);
    sink.put(&[row(0, 1, "a")]).unwrap();
    server.sql("ALTER TABLE t ALTER name TYPE varchar(9), ADD COLUMN more int; UPDATE t SET more = 5");
    sink.put(&[row(1, 1, "b")]).unwrap();
    server.sql("DROP TABLE t");
    sink.put(&[row(2, 2, "c")]).unwrap();
    assert_eq!(server.sql("SELECT string_agg(t::text, ' ') FROM t"), "(2,c)");
    server.sql("REVOKE ALL ON t FROM PUBLIC; CREATE ROLE weak LOGIN");
    sink.stop();
    keys.push(("connection.user", "weak"));
    let mut sink = server.sink(Class::Confluent, &keys);
    let error = sink.put(&[row(3, 3, "d")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("42501"), "{error}");
    sink.stop();
}

#[test]
fn tasks_that_write_the_same_rows_wait_for_each_other() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name text)");
    let server = Arc::new(server);
    let writer = |name: &'static str, backwards: bool| {
        let server = Arc::clone(&server);
        std::thread::spawn(move || {
            let mut sink = server.sink(Class::Confluent, &UPSERT);
            for round in 0..20 {
                let mut ids: Vec<i32> = (0..60).collect();
                if backwards {
                    ids.reverse();
                }
                let batch: Vec<_> = ids.iter().map(|id| row(i64::from(round * 100 + id), *id, name)).collect();
                while let Err(error) = sink.put(&batch) {
                    assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            sink.stop();
        })
    };
    for thread in [writer("a", false), writer("b", true)] {
        thread.join().unwrap();
    }
    assert_eq!(state(&server), "60 1770");
    assert_eq!(server.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'd'"), "0");
}

#[test]
fn unavailable_values_leave_their_columns_alone() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name text, big text NOT NULL, bytes bytea)");
    server.sql("INSERT INTO t VALUES (1, 'a', 'large', '\\x01')");
    let mut sink = server.sink(Class::Confluent, &UPSERT);
    sink.context.tolerate_errors();
    let marker = "__debezium_unavailable_value";
    let change = |offset: i64, id: i32, name: &str| {
        let bytes = ("bytes", Schema::new(SchemaType::Bytes), Value::Bytes(marker.into()));
        record(offset, &[int("id", id)], &[int("id", id), text("name", name), text("big", marker), bytes])
    };
    let full = record(1, &[int("id", 2)], &[int("id", 2), text("name", "x"), text("big", "new")]);
    // A row that is not there can't be made without what it needs.
    sink.put(&[change(0, 1, "b"), full, change(2, 2, "y"), change(3, 3, "nobody")]).unwrap();
    assert_eq!(server.sql("SELECT string_agg(t::text, ' ' ORDER BY id) FROM t"), "(1,b,large,\"\\\\x01\") (2,y,new,)");
    assert_eq!(reported(&sink), [3]);
    assert!(sink.context.reported()[0].1.contains("23502"));
    sink.stop();
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let url = format!("jdbc:postgresql://{address}/d?user=postgres&sslmode=disable&socketTimeout=1");
    let mut keys = UPSERT.to_vec();
    keys.extend([("connection.url", url.as_str()), ("connection.attempts", "1"), ("max.retries", "2")]);
    let mut sink = server.sink(Class::Confluent, &keys);
    let error = sink.put(&[row(0, 1, "a")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retriable);
    assert!(error.message.contains("after 1 s"), "{error}");
    sink.stop();
}

#[test]
fn a_row_that_is_locked_is_waited_for_or_tried_again() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'old')");
    let url = format!("jdbc:postgresql://127.0.0.1:{}/d?user=postgres&options=-c%20lock_timeout%3D50", server.port());
    let mut keys = UPSERT.to_vec();
    keys.push(("connection.url", url.as_str()));
    let mut sink = server.sink(Class::Confluent, &keys);
    std::thread::scope(|scope| {
        let server = &server;
        let holder = scope.spawn(|| server.sql("BEGIN; UPDATE t SET name = 'held'; SELECT pg_sleep(2); COMMIT"));
        while server
            .sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(2)%' AND pid <> pg_backend_pid()")
            == "0"
        {}
        let error = sink.put(&[row(0, 1, "new")]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Retriable);
        assert!(error.message.contains("55P03"), "{error}");
        holder.join().unwrap();
    });
    sink.put(&[row(0, 1, "new")]).unwrap();
    assert_eq!(server.sql("SELECT name FROM t"), "new");
    sink.stop();
}

#[test]
fn a_deadlock_is_tried_again() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'old'), (2, 'old')");
    // The sink is the one that waits last and notices.
    let url =
        format!("jdbc:postgresql://127.0.0.1:{}/d?user=postgres&options=-c%20deadlock_timeout%3D50", server.port());
    let mut keys = UPSERT.to_vec();
    keys.push(("connection.url", url.as_str()));
    let mut sink = server.sink(Class::Confluent, &keys);
    // The sink holds row 1 when it comes to row 2, which the other holds; it goes on there once the other waits for row 1.
    server.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.name = 'new' AND NEW.id = 2 THEN
             PERFORM pg_advisory_xact_lock(7);
             WHILE EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 8)
               AND NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted)
             LOOP PERFORM pg_sleep(0.05); END LOOP;
           END IF; RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    std::thread::scope(|scope| {
        let server = &server;
        let other = scope.spawn(|| {
            server.sql(
                "SET deadlock_timeout = '600s'; SELECT pg_advisory_lock(8); BEGIN; UPDATE t SET name = 'other' WHERE id = 2;
                 DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 7)
                   LOOP PERFORM pg_sleep(0.05); END LOOP; END $$;
                 UPDATE t SET name = 'other' WHERE id = 1; COMMIT",
            )
        });
        let held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while server.sql(held) == "0" {}
        // It may take row 1 again before the other wakes up, and then leaves the third try to the runtime.
        while let Err(error) = sink.put(&[row(0, 1, "new"), row(1, 2, "new")]) {
            assert!(error.kind == ErrorKind::Retriable && error.message.contains("40P01"), "{error}");
        }
        other.join().unwrap();
    });
    assert_eq!(server.sql("SELECT string_agg(name, ' ' ORDER BY id) FROM t"), "new new");
    assert!(server.log().contains("deadlock detected"), "there was none");
    sink.stop();
}

#[test]
fn a_full_disk_of_the_server_is_waited_for() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int, name text)");
    let file = server.data().join(server.sql("SELECT pg_relation_filepath('t')"));
    // Where every write finds the disk full.
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    let mut sink = server.sink(Class::Confluent, &[("retry.backoff.ms", "1")]);
    let batch: Vec<_> = (0..100).map(|id| row(id, id as i32, "x")).collect();
    for _ in 0..2 {
        let error = sink.put(&batch).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
        assert!(error.message.contains("No space left on device") && error.message.contains("53100"), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "").unwrap();
    if let Some((uid, gid)) = other_user() {
        std::os::unix::fs::chown(&file, Some(uid), Some(gid)).unwrap();
    }
    // Whoever has the full file open goes on with it.
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'levada'");
    while let Err(error) = sink.put(&batch) {
        assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    }
    assert_eq!(state(&server), "100 4950");
    sink.stop();
}
