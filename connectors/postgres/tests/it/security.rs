//! TLS modes and passwords.

use crate::server::Server;
use levada_connector_api::{ErrorKind, testkit::Offsets};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    process::Command,
};

fn openssl(directory: &std::path::Path, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(directory).output().expect("openssl is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A server that only takes TLS with a password, under a certificate for 127.0.0.1 of an authority of its own.
fn secured(method: &str) -> (Server, String, String) {
    let mut server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    server.sql(&format!("SET password_encryption = '{method}'; CREATE ROLE capture LOGIN SUPERUSER PASSWORD 'pä\"ss'"));
    let data = server.data();
    let authority = ["-x509", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca"];
    let request = ["req", "-newkey", "rsa:2048", "-nodes", "-days", "30"];
    openssl(&data, &[&request[..], &authority[..]].concat());
    openssl(&data, &[&request[..4], &["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=db"]].concat());
    fs::write(data.join("ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        &data,
        &[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            "ext",
            "-out",
            "server.crt",
        ],
    );
    fs::set_permissions(data.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    if let Some((uid, gid)) = crate::server::other_user() {
        for file in ["server.key", "server.crt", "ca.crt"] {
            chown(data.join(file), Some(uid), Some(gid)).unwrap();
        }
    }
    // Those who read what happens here come without TLS, by the name of the superuser.
    fs::write(
        data.join("pg_hba.conf"),
        format!("hostnossl all postgres 127.0.0.1/32 trust\nhostssl all capture 127.0.0.1/32 {method}\nhostssl replication capture 127.0.0.1/32 {method}\n"),
    )
    .unwrap();
    server.stop();
    server.set(&["ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key"]);
    server.launch();
    let own = data.join("ca.crt").to_str().unwrap().to_owned();
    let foreign_dir = tempfile::tempdir().unwrap().keep();
    openssl(&foreign_dir, &[&request[..], &authority[..]].concat());
    (server, own, foreign_dir.join("ca.crt").to_str().unwrap().to_owned())
}

#[test]
fn every_mode_does_what_libpq_s_does() {
    let (server, own, foreign) = secured("scram-sha-256");
    let offsets = Offsets::default();
    let works = |keys: &[(&str, &str)]| {
        let all =
            [&[("database.user", "capture"), ("database.password", "pä\"ss"), ("snapshot.mode", "initial_only")], keys]
                .concat();
        let mut run = server.source(&all, &offsets);
        let records = run.take(1);
        run.stop();
        records.map(drop)
    };
    for mode in ["allow", "prefer", "require"] {
        works(&[("database.sslmode", mode)]).unwrap_or_else(|error| panic!("{mode}: {error}"));
    }
    for mode in ["verify-ca", "verify-full"] {
        works(&[("database.sslmode", mode), ("database.sslrootcert", &own)])
            .unwrap_or_else(|error| panic!("{mode}: {error}"));
        let error = works(&[("database.sslmode", mode), ("database.sslrootcert", &foreign)]).unwrap_err();
        assert!(error.message.contains("TLS failed"), "{error}");
    }
    // The certificate is for 127.0.0.1 only.
    let named = [("database.sslrootcert", own.as_str()), ("database.hostname", "localhost")];
    works(&[&named[..], &[("database.sslmode", "verify-ca")]].concat()).unwrap();
    let error = works(&[&named[..], &[("database.sslmode", "verify-full")]].concat()).unwrap_err();
    assert!(error.message.contains("TLS failed"), "{error}");
    let error = works(&[("database.sslmode", "disable")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    let error = works(&[("database.password", "wrong")]).unwrap_err();
    assert!(error.message.contains("password") && !error.message.contains("wrong"), "{error}");
    // The first host of a list that answers.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    works(&[("database.hostname", &format!("{free},127.0.0.1"))]).unwrap();
}

#[test]
fn older_passwords_work_too() {
    let (server, ..) = secured("md5");
    let offsets = Offsets::default();
    let keys = [("database.user", "capture"), ("database.password", "pä\"ss")];
    let mut run = server.source(&keys, &offsets);
    run.take(1).unwrap();
    server.sql("INSERT INTO t VALUES (2)");
    run.take(1).unwrap();
    run.stop();
}

#[test]
fn a_server_on_this_machine_is_reached_by_its_unix_socket() {
    let mut server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let directory = server.data().to_str().unwrap().to_owned();
    server.stop();
    server.set(&[&format!("unix_socket_directories={directory}")]);
    server.launch();
    // Without TLS whatever the mode says, as with libpq.
    let keys = [("database.hostname", directory.as_str()), ("database.sslmode", "require")];
    let mut run = server.source(&keys, &Offsets::default());
    assert_eq!(run.take(1).unwrap().len(), 1);
    server.sql("INSERT INTO t VALUES (2)");
    assert_eq!(run.take(1).unwrap().len(), 1);
    let by_socket = "SELECT count(*) > 0 FROM pg_stat_replication WHERE client_addr IS NULL AND state = 'streaming'";
    assert_eq!(server.sql(by_socket), "t");
    run.stop();
    let mut run = server.source(&[("database.hostname", "/no/such")], &Offsets::default());
    let error = run.take(1).unwrap_err();
    let socket = format!("/no/such/.s.PGSQL.{}", server.port());
    assert!(error.kind == ErrorKind::Retriable && error.message.contains(&socket), "{error}");
}
