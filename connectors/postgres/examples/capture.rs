//! Measures the source alone: a snapshot of a million rows of eight columns, then changes in transactions of a hundred.
//!
//! `cargo run --release -p levada-connector-postgres --example capture [ROWS] [CHANGES]` starts a server of its own and
//! prints rows per second and the reader's CPU time, beside COPY to /dev/null by psql.

mod measure;
#[path = "../tests/it/server.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod server;
#[path = "../tests/it/world.rs"]
mod world;

use levada_connector_api::testkit::{Offsets, SourceRun};
use measure::{cpu, report};
use server::Server;
use std::time::Instant;

const TABLE: &str = "CREATE TABLE bench (id bigserial PRIMARY KEY, name text, n int, price numeric(12,2), at timestamptz, \
                     doc jsonb, ok bool, uid uuid)";
const ROW: &str = "'name ' || i, i, i * 1.25, now(), '{\"a\": 1}', i % 2 = 0, gen_random_uuid()";

fn main() {
    let number =
        |index: usize, default: usize| std::env::args().nth(index).map_or(default, |text| text.parse().unwrap());
    let (rows, changes) = (number(1, 1_000_000), number(2, 300_000));
    let server = Server::with(&["max_wal_size=4GB"]);
    server.sql(TABLE);
    server.sql(&format!(
        "INSERT INTO bench (name, n, price, at, doc, ok, uid) SELECT {ROW} FROM generate_series(1, {rows}) i"
    ));
    server.sql("VACUUM ANALYZE bench");
    let started = Instant::now();
    server.sql("COPY bench TO '/dev/null'");
    report("COPY to /dev/null", rows, started.elapsed(), 0.0);

    let offsets = Offsets::default();
    let mut run = server.source(&[], &offsets);
    take("snapshot", &mut run, rows);
    let sql = format!(
        "DO $$ BEGIN FOR t IN 1..{} LOOP INSERT INTO bench (name, n, price, at, doc, ok, uid) \
         SELECT {ROW} FROM generate_series(1, 100) i; COMMIT; END LOOP; END $$",
        changes / 100
    );
    server.sql(&sql);
    take("streaming", &mut run, changes);
    run.stop();
}

fn take(what: &str, run: &mut SourceRun, count: usize) {
    let (started, before, mut taken) = (Instant::now(), cpu(), 0);
    while taken < count {
        taken += run.poll().unwrap().len();
        run.commit().unwrap();
    }
    report(what, count, started.elapsed(), cpu() - before);
}
