//! What a session asks of the server, and what is left of one that was given up.

use super::world::{Class, row};
use crate::server::Server;
use levada_connector_api::ErrorKind;

fn url(server: &Server, parameters: &str) -> String {
    format!("jdbc:postgresql://127.0.0.1:{}/d?user=postgres&{parameters}", server.port())
}

#[test]
fn a_session_without_its_client_ends_in_time() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int, name text, told text DEFAULT concat_ws(' ', current_setting('lock_timeout'),
           current_setting('idle_in_transaction_session_timeout'), current_setting('statement_timeout'),
           current_setting('client_connection_check_interval')))",
    );
    let cases = [("socketTimeout=20", "15s 20s 40s 10s"), ("options=-c%20lock_timeout=7s", "7s 4min 8min 10s")];
    for (id, (parameters, expected)) in cases.into_iter().enumerate() {
        let mut sink = server.sink(Class::Confluent, &[("connection.url", &url(&server, parameters))]);
        sink.put(&[row(id as i64, id as i32, "x")]).unwrap();
        sink.stop();
        assert_eq!(server.sql(&format!("SELECT told FROM t WHERE id = {id}")), expected);
    }
}

#[test]
fn a_batch_without_an_end_is_cancelled() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int, name text);
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN new; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow();",
    );
    let mut sink = server.sink(Class::Confluent, &[("connection.url", &url(&server, "socketTimeout=2"))]);
    let error = sink.put(&[row(0, 0, "x")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retriable, "{error}");
    while server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != "0" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(server.log().contains("canceling statement due to user request"), "{}", server.log());
    sink.stop();
}

#[test]
fn a_pooler_between_transactions_is_left_no_statement() {
    let server = Server::start();
    server.sql(
        "CREATE FUNCTION prepared() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM pg_prepared_statements';
         CREATE TABLE t (id int, name text, prepared bigint DEFAULT prepared())",
    );
    let mut sink = server.sink(Class::Confluent, &[("connection.url", &url(&server, "prepareThreshold=0"))]);
    // As many as would be copied.
    sink.put(&(0..3000).map(|id| row(id, id as i32, "x")).collect::<Vec<_>>()).unwrap();
    sink.stop();
    assert_eq!(server.sql("SELECT count(*), max(prepared) FROM t"), "3000|0");
}
