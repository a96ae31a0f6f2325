//! What validation tells of a sink's server: what no waiting mends is refused, the rest is only told.

use super::world::{Class, connector};
use crate::server::Server;
use levada_connector_api::{Config, config::KeyError};

fn told(class: Class, config: &Config) -> (Vec<KeyError>, Vec<KeyError>) {
    let definition = connector(class).info().config_def;
    (definition.check(config).err().map_or_else(Vec::new, |errors| errors.0), definition.advice(config))
}

fn the_one<'a>(found: &'a [KeyError], key: &str) -> &'a str {
    let [one] = found else { panic!("{found:?}") };
    assert_eq!(one.key, key, "{}", one.message);
    &one.message
}

#[test]
fn a_server_is_asked_for_what_the_sink_needs() {
    let server = Server::start();
    server.sql(
        "CREATE USER reader; CREATE USER locked PASSWORD 'right'; CREATE TABLE t (id int); CREATE SCHEMA s;
         REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    );
    let hba = server.data().join("pg_hba.conf");
    let before = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("host all locked 127.0.0.1/32 scram-sha-256\n{before}")).unwrap();
    server.sql("SELECT pg_reload_conf()");
    let at = |port: u16, database: &str| format!("jdbc:postgresql://127.0.0.1:{port}/{database}");
    let right = at(server.port(), "d");
    let ask = |class, user_key: &str, url: &str, user: &str, more: &[(&str, &str)]| {
        let mut keys = vec![("connection.url", url), (user_key, user)];
        keys.extend(more);
        told(class, &server.sink_config(&keys))
    };
    let user = "connection.user";
    let debezium = "connection.username";
    assert_eq!(ask(Class::Debezium, debezium, &right, "postgres", &[]), (Vec::new(), Vec::new()));
    let (errors, advice) = ask(Class::Debezium, debezium, &right, "locked", &[("connection.password", "wrong")]);
    assert!(the_one(&errors, "connection.password").contains("28P01") && advice.is_empty(), "{errors:?}");
    let (errors, _) = ask(Class::Debezium, debezium, &right, "nobody", &[]);
    assert!(the_one(&errors, debezium).contains("nobody"));
    let (errors, _) = ask(Class::Aiven, user, &right, "nobody", &[]);
    assert!(the_one(&errors, user).contains("nobody"));
    let (errors, _) = ask(Class::Confluent, user, &at(server.port(), "nosuch"), "postgres", &[]);
    assert!(the_one(&errors, "connection.url").contains("nosuch"));
    let (errors, advice) = ask(Class::Confluent, user, &at(1, "d"), "postgres", &[]);
    assert_eq!(errors, [], "a server that is down is waited for");
    assert!(the_one(&advice, "connection.url").contains("127.0.0.1:1"));
    for (table, more, key, text) in [
        ("t", None, "table.name.format", "GRANT SELECT, INSERT"),
        ("none", None, "table.name.format", "there is no table none"),
        ("s.new", Some(("auto.create", "true")), "auto.create", "schema s"),
        ("${topic}", Some(("auto.create", "true")), "auto.create", "schema public"),
    ] {
        let more: Vec<_> = [("table.name.format", table)].into_iter().chain(more).collect();
        let (errors, advice) = ask(Class::Confluent, user, &right, "reader", &more);
        assert_eq!(errors, [], "{table}");
        assert!(the_one(&advice, key).contains(text), "{advice:?}");
    }
}
