//! From a table through a topic into another: every value of the type table stays what it is, compared in SQL.

use super::world::{Class, consumed};
use crate::server::Server;
use levada_connector_api::{SinkRecord, testkit::Offsets};

/// Column, type, and values: a common one, and one at the edge.
const TYPES: &[(&str, &str, &str, &str)] = &[
    ("b", "boolean", "true", "false"),
    ("bit1", "bit(1)", "B'1'", "B'0'"),
    ("bits", "bit(10)", "B'1000000001'", "B'0000000000'"),
    ("vb", "varbit(70)", "B'101'", "B'1'"),
    ("i2", "smallint", "-5", "32767"),
    ("i4", "integer", "2147483647", "-2147483648"),
    ("i8", "bigint", "-9223372036854775808", "9223372036854775807"),
    ("o", "oid", "4294967295", "0"),
    ("r", "real", "1.1", "'-Infinity'"),
    ("dp", "double precision", "0.1", "'NaN'"),
    ("dx", "double precision", "1e300", "5e-324"),
    ("num", "numeric(10,2)", "12.34", "-99999999.99"),
    ("neg", "numeric(5,-2)", "12300", "-9999900"),
    ("vnum", "numeric", "-1.5", "123456789012345678901234567890123456789012345.678901234567890123456789"),
    ("m", "money", "'1234.56'", "'-0.01'"),
    ("c", "char(5)", "'ab'", "'äöüß'"),
    ("vc", "varchar(9)", "' a '", "''"),
    ("t", "text", "E'tab\\tand \\\\ and ü'", "E'{\"q\",NULL}\\n\\r\\\\N'"),
    ("ch", "\"char\"", "'x'", "'y'"),
    ("na", "name", "'n'", "'Ñ'"),
    ("by", "bytea", "'\\x00ff5c'", "''"),
    ("j", "json", "'{\"a\":  1, \"a\": 2}'", "'[]'"),
    ("jb", "jsonb", "'{\"a\": 1.50}'", "'null'"),
    ("x", "xml", "'<a>&amp;</a>'", "'<a/>'"),
    ("u", "uuid", "'76019d1a-ad2e-4b22-96e9-1a6d6543c818'", "'00000000-0000-0000-0000-000000000000'"),
    ("mood", "mood", "'it''s fine'", "'sad'"),
    ("ip", "inet", "'10.0.0.1/8'", "'::1'"),
    ("ci", "cidr", "'10.0.0.0/8'", "'::/0'"),
    ("mac", "macaddr", "'08:00:2b:01:02:03'", "'00:00:00:00:00:00'"),
    ("rng", "int4range", "'[1,5)'", "'empty'"),
    ("nrng", "numrange", "'(1.5,)'", "'(,)'"),
    ("trng", "tstzrange", "'[2024-02-29 10:00+00,infinity]'", "'empty'"),
    ("drng", "daterange", "'[2024-02-29,2024-03-01)'", "'(,)'"),
    ("iv", "interval", "'1 year 2 months 3 days 04:05:06.000007'", "'-1 year +2 days -00:00:00.5'"),
    ("da", "date", "'2024-02-29'", "'-infinity'"),
    ("bc", "date", "'0044-03-15 BC'", "'5874897-12-31'"),
    ("ti3", "time(3)", "'10:34:56.789'", "'00:00'"),
    ("ti", "time", "'24:00:00'", "'23:59:59.999999'"),
    ("tz", "timetz", "'12:34:56+00'", "'00:00:00.000001+00'"),
    ("ts3", "timestamp(3)", "'2024-02-29 10:34:56.789'", "'infinity'"),
    ("ts", "timestamp", "'2024-02-29 10:34:56.123456'", "'4713-01-01 00:00:00 BC'"),
    ("inf", "timestamp", "'infinity'", "'-infinity'"),
    ("tstz", "timestamptz", "'2024-02-29 10:34:56.1+00'", "'0044-03-15 12:00:00+00 BC'"),
    ("tsx", "timestamptz", "'infinity'", "'12024-02-29 10:34:56+00'"),
    ("p", "point", "'(1,2)'", "'(-0.5,1e300)'"),
    ("ai", "int[]", "'{1,NULL,3}'", "'{}'"),
    ("at", "text[]", "ARRAY['a,b','q\"','NULL',E'\\\\','{}']", "'{NULL,\"\"}'"),
    ("an", "numeric(5,1)[]", "'{1.5}'", "'{-0.1,NULL}'"),
    ("ad", "date[]", "'{2024-02-29}'", "'{0044-03-15 BC}'"),
    ("atz", "timestamptz[]", "'{2024-02-29 10:34:56+00}'", "'{NULL}'"),
    ("au", "uuid[]", "'{76019d1a-ad2e-4b22-96e9-1a6d6543c818}'", "'{}'"),
    ("aj", "jsonb[]", "ARRAY['{\"a\": \"b,c\"}'::jsonb]", "'{}'"),
    ("ab", "bytea[]", "ARRAY['\\x00ff'::bytea]", "'{}'"),
    ("am", "mood[]", "'{sad,\"it''s fine\"}'", "'{NULL}'"),
    ("d", "price", "5.5", "-0.01"),
    ("tsv", "tsvector", "'a b'", "'a:1A'"),
    ("ct", "citext", "'CaSe'", "'x'"),
    ("lt", "ltree", "'a.b'", "''"),
    ("hs", "hstore", "'a=>1, \"b\\\"q\"=>NULL'", "''"),
    ("comp", "pair", "'(1,\"a,\\\"b\")'", "'(,)'"),
    ("circ", "circle", "'<(0,0),1>'", "'<(1.5,-2),0>'"),
];

fn table(name: &str, columns: &[&(&str, &str, &str, &str)]) -> String {
    let columns: Vec<_> = columns.iter().map(|(name, kind, ..)| format!("{name} {kind}")).collect();
    format!("CREATE TABLE {name} (id int PRIMARY KEY, {})", columns.join(", "))
}

fn prepare(server: &Server, columns: &[&(&str, &str, &str, &str)]) {
    server.sql(
        "CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS ltree; CREATE EXTENSION IF NOT EXISTS hstore;
         CREATE TYPE mood AS ENUM ('sad', 'it''s fine'); CREATE DOMAIN price AS numeric(8,2);
         CREATE TYPE pair AS (a int, b text)",
    );
    server.sql(&table("v", columns));
    let values = |pick: fn(&(&str, &'static str, &'static str, &'static str)) -> &'static str| {
        TYPES.iter().filter(|row| columns.iter().any(|kept| kept.0 == row.0)).map(pick).collect::<Vec<_>>().join(", ")
    };
    server.sql(&format!("INSERT INTO v VALUES (1, {}), (2, {})", values(|row| row.2), values(|row| row.3)));
    server.sql("INSERT INTO v (id) VALUES (3)");
}

/// What the source makes of the table.
fn records(server: &Server, modes: &[(&str, &str)], count: usize) -> Vec<SinkRecord> {
    let slot = format!("s{}", server.sql("SELECT count(*) FROM pg_replication_slots"));
    let mut keys =
        vec![("table.include.list", "public.v"), ("slot.name", slot.as_str()), ("include.unknown.datatypes", "true")];
    keys.extend(modes);
    let mut run = server.source(&keys, &Offsets::default());
    let records = run.take(count).unwrap();
    run.stop();
    consumed(records, "t")
}

/// Rows whose text differs, which holds every column's own text.
fn differences(server: &Server) -> String {
    server.sql(
        "SELECT coalesce(string_agg(coalesce(v::text, 'missing') || ' became ' || coalesce(w::text, 'missing'), E'\\n'), '')
         FROM v FULL JOIN w USING (id) WHERE v::text IS DISTINCT FROM w::text",
    )
}

const SINK: [(&str, &str); 4] = [
    ("insert.mode", "upsert"),
    ("primary.key.mode", "record_key"),
    ("collection.name.format", "w"),
    ("schema.evolution", "basic"),
];

fn without(names: &[&str]) -> Vec<&'static (&'static str, &'static str, &'static str, &'static str)> {
    TYPES.iter().filter(|row| !names.contains(&row.0)).collect()
}

#[test]
fn every_value_keeps_what_it_is() {
    let server = Server::start();
    let columns = without(&[]);
    prepare(&server, &columns);
    for modes in [
        &[("interval.handling.mode", "string")][..],
        &[("time.precision.mode", "structured")],
        &[
            ("time.precision.mode", "microseconds"),
            ("interval.handling.mode", "string"),
            ("hstore.handling.mode", "map"),
        ],
        &[
            ("time.precision.mode", "isostring"),
            ("interval.handling.mode", "string"),
            ("decimal.handling.mode", "string"),
        ],
    ] {
        if modes.contains(&("time.precision.mode", "isostring")) {
            // Java's texts have no 24:00.
            server.sql("UPDATE v SET ti = '23:59:59.5' WHERE ti = '24:00'");
        }
        server.sql(&table("w", &columns));
        let mut sink = server.sink(Class::Debezium, &SINK);
        sink.put(&records(&server, modes, 3)).unwrap();
        assert_eq!(differences(&server), "", "{modes:?}");
        assert_eq!(server.sql("SELECT count(*) FROM w"), "3");
        sink.stop();
        server.sql("DROP TABLE w");
    }
}

#[test]
fn large_values_that_did_not_change_stay_what_they_are() {
    let server = Server::start();
    server.sql("CREATE EXTENSION hstore");
    let columns = [
        ("t", "text", "repeat('x', 9000)"),
        ("by", "bytea", "decode(repeat('00ff', 5000), 'hex')"),
        ("jb", "jsonb", "to_jsonb(repeat('j', 9000))"),
        ("vnum", "numeric", "repeat('123456789', 2000)::numeric"),
        ("num", "numeric(1000,2)", "repeat('123456789', 100)::numeric"),
        ("need", "numeric NOT NULL", "repeat('123456789', 2000)::numeric"),
        ("vb", "varbit", "repeat('10', 20000)::varbit"),
        ("ai", "int[]", "array_fill(7, ARRAY[3000])"),
        ("af", "float8[]", "array_fill(1.5::float8, ARRAY[3000])"),
        ("ab", "boolean[]", "array_fill(true, ARRAY[9000])"),
        ("at", "text[]", "array_fill('text'::text, ARRAY[3000])"),
        ("an", "numeric(5,1)[]", "array_fill(1.5::numeric, ARRAY[3000])"),
        ("hs", "hstore", "hstore('k', repeat('h', 9000))"),
    ];
    for name in ["v", "w"] {
        let each: Vec<_> = columns.iter().map(|(name, kind, _)| format!("{name} {kind}")).collect();
        server.sql(&format!("CREATE TABLE {name} (id int PRIMARY KEY, n int, {})", each.join(", ")));
    }
    for (name, ..) in columns {
        server.sql(&format!("ALTER TABLE v ALTER {name} SET STORAGE EXTERNAL"));
    }
    let values: Vec<_> = columns.iter().map(|(.., value)| *value).collect();
    server.sql(&format!("INSERT INTO v SELECT 1, 0, {}", values.join(", ")));
    let mut run = server.source(&[("table.include.list", "public.v")], &Offsets::default());
    let mut records = run.take(1).unwrap();
    server.sql("UPDATE v SET n = 1");
    records.extend(run.take(1).unwrap());
    let mut sink = server.sink(Class::Debezium, &SINK);
    for record in consumed(records, "t") {
        sink.put(&[record]).unwrap();
    }
    assert_eq!(server.sql("SELECT n FROM w"), "1");
    assert_eq!(server.sql("SELECT v::text = w::text FROM v JOIN w USING (id)"), "t");
    run.stop();
    sink.stop();
}

#[test]
fn many_rows_by_copy_keep_what_they_are() {
    let server = Server::start();
    let columns = without(&[]);
    prepare(&server, &columns);
    let names: Vec<_> = columns.iter().map(|row| row.0).collect();
    let names = names.join(", ");
    server.sql(&format!("INSERT INTO v SELECT g, {names} FROM v, generate_series(10, 509) g WHERE v.id = 1 + g % 3"));
    let records = records(&server, &[("interval.handling.mode", "string")], 503);
    for mode in ["insert", "upsert"] {
        server.sql(&table("w", &columns));
        let mut keys = SINK;
        keys[0].1 = mode;
        let mut sink = server.sink(Class::Debezium, &keys);
        sink.put(&records).unwrap();
        assert_eq!(differences(&server), "", "{mode}");
        sink.stop();
        server.sql("DROP TABLE w");
    }
}

#[test]
fn new_tables_have_columns_for_every_type() {
    let server = Server::start();
    // What the schemas do not tell: single bits, money, enums, domains and types without a form; a char's length.
    let columns = without(&["bit1", "m", "hs", "mood", "am", "d", "comp", "circ", "c", "ch", "vb", "na"]);
    prepare(&server, &columns);
    let mut sink = server.sink(Class::Debezium, &SINK);
    sink.put(&records(&server, &[("interval.handling.mode", "string")], 3)).unwrap();
    sink.stop();
    for row in &columns {
        let differing = format!(
            "SELECT count(*) FROM v JOIN w USING (id) WHERE ROW(v.{0})::text IS DISTINCT FROM ROW(w.{0})::text",
            row.0
        );
        assert_eq!(
            server.sql(&differing),
            "0",
            "{} {}",
            row.0,
            server.sql(&format!("SELECT string_agg(w.{}::text, ' ') FROM w", row.0))
        );
    }
    let kinds = server.sql(
        "SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = 'w'::regclass AND attname IN ('id', 'bits', 'num', 'vnum', 'ts3', 'ts', 'tstz', 'ai', 'atz', 'u')",
    );
    assert_eq!(
        kinds,
        "integer bit(10) numeric(10,2) numeric uuid timestamp(3) without time zone timestamp without time zone \
         timestamp with time zone integer[] timestamp with time zone[]"
    );
    assert_eq!(server.sql("SELECT attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = 'w'::regclass"), "id");
}

#[test]
fn instants_follow_the_zone_and_clocks_do_not() {
    use super::world::{int, record};
    use levada_connector_api::{Schema, SchemaType, Value, logical};
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, at timestamp, tz timestamptz, clock timestamp, day date)");
    let named = |kind, name: &str| Schema::new(kind).named(name);
    let row = |id: i32| {
        let millis = Value::Int64(1_709_202_896_789);
        let fields = [
            int("id", id),
            ("at", named(SchemaType::Int64, logical::TIMESTAMP), millis.clone()),
            ("tz", named(SchemaType::Int64, logical::TIMESTAMP), millis.clone()),
            ("clock", named(SchemaType::Int64, "io.debezium.time.Timestamp"), millis),
            ("day", named(SchemaType::Int32, logical::DATE), Value::Int32(19_782)),
        ];
        record(i64::from(id), &[int("id", id)], &fields)
    };
    let all: Vec<_> = (0..1000).map(row).collect();
    for (class, key, mode) in
        [(Class::Confluent, "db.timezone", "insert"), (Class::Debezium, "use.time.zone", "insert")]
    {
        for zone in ["UTC", "America/New_York"] {
            for count in [1, 1000] {
                server.sql("DELETE FROM t");
                let mut sink = server.sink(class, &[("insert.mode", mode), (key, zone)]);
                sink.put(&all[..count]).unwrap();
                sink.stop();
                let hour = if zone == "UTC" { "10" } else { "05" };
                let seen =
                    server.sql("SELECT count(*), min(at), max(tz AT TIME ZONE 'UTC'), max(clock), max(day) FROM t");
                let expected = format!(
                    "{count}|2024-02-29 {hour}:34:56.789|2024-02-29 10:34:56.789|2024-02-29 10:34:56.789|2024-02-29"
                );
                assert_eq!(seen, expected);
            }
        }
    }
}
