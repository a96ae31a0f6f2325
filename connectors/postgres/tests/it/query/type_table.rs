//! Types: schemas and values as the Java connectors make them on PostgreSQL.

use super::world::row;
use crate::server::Server;
use levada_connector_api::{Schema, SchemaType, testkit::Offsets};
use serde_json::{Value as Json, json};

/// Column, type, SQL value, kind, schema's name, and JSON. Without a kind the column is left out.
type Case = (&'static str, &'static str, &'static str, Option<SchemaType>, &'static str, Json);

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
const DATE: &str = "org.apache.kafka.connect.data.Date";
const TIME: &str = "org.apache.kafka.connect.data.Time";
const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

fn table() -> Vec<Case> {
    use SchemaType::{Boolean, Bytes, Float32, Float64, Int8, Int16, Int32, Int64, String};
    let some = Some;
    vec![
        ("b", "boolean", "true", some(Boolean), "", json!(true)),
        ("bit1", "bit(1)", "B'1'", some(Boolean), "", json!(true)),
        ("bit8", "bit(8)", "B'10000001'", some(Int8), "", json!(-127)),
        ("bits", "bit(10)", "B'1000000001'", some(Bytes), "", json!("\\x31303030303030303031")),
        ("vb", "varbit(5)", "B'101'", None, "", json!("101")),
        ("i2", "smallint", "-5", some(Int16), "", json!(-5)),
        ("i4", "integer", "2147483647", some(Int32), "", json!(2_147_483_647)),
        ("i8", "bigint", "-9223372036854775808", some(Int64), "", json!(i64::MIN)),
        ("o", "oid", "4294967295", some(Int64), "", json!(4_294_967_295_i64)),
        ("r", "real", "1.5", some(Float32), "", json!(1.5)),
        ("dp", "double precision", "'NaN'", some(Float64), "", json!("NaN")),
        ("di", "double precision", "'-Infinity'", some(Float64), "", json!("-inf")),
        ("num", "numeric(10,2)", "12.34", some(Bytes), DECIMAL, json!("\\x04d2")),
        ("whole", "numeric", "-1500", some(Bytes), DECIMAL, json!("\\xfa24")),
        ("m", "money", "'-1234.56'", some(Float64), "", json!(-1234.56)),
        ("c", "char(5)", "'ab'", some(String), "", json!("ab   ")),
        ("vc", "varchar(9)", "' a '", some(String), "", json!(" a ")),
        ("t", "text", "E'tab\\tand \\\\ and ü\\n'", some(String), "", json!("tab\tand \\ and ü\n")),
        ("ch", "\"char\"", "'x'", some(String), "", json!("x")),
        ("na", "name", "'Ñ'", some(String), "", json!("Ñ")),
        ("by", "bytea", "'\\x00ff5c'", some(Bytes), "", json!("\\x00ff5c")),
        ("j", "json", "'{\"a\":  1}'", some(String), "", json!("{\"a\":  1}")),
        ("jb", "jsonb", "'{\"a\": 1}'", some(String), "", json!("{\"a\": 1}")),
        ("x", "xml", "'<a/>'", some(String), "", json!("<a/>")),
        (
            "u",
            "uuid",
            "'76019d1a-ad2e-4b22-96e9-1a6d6543c818'",
            some(String),
            "",
            json!("76019d1a-ad2e-4b22-96e9-1a6d6543c818"),
        ),
        ("mood", "mood", "'it''s fine'", some(String), "", json!("it's fine")),
        ("d", "price", "5.5", some(Bytes), DECIMAL, json!("\\x0226")),
        ("da", "date", "'2024-02-29'", some(Int32), DATE, json!(19_782)),
        ("bc", "date", "'0044-03-15 BC'", some(Int32), DATE, json!(-735_160)),
        ("dinf", "date", "'infinity'", some(Int32), DATE, json!(i32::MAX)),
        ("ti3", "time(3)", "'10:34:56.789'", some(Int32), TIME, json!(38_096_789)),
        ("ti", "time", "'24:00:00'", some(Int32), TIME, json!(86_400_000)),
        ("tz", "timetz", "'00:34:56+02'", some(Int32), TIME, json!(81_296_000)),
        ("ts", "timestamp", "'2024-02-29 10:34:56.123456'", some(Int64), TIMESTAMP, json!(1_709_202_896_123_i64)),
        ("tsbc", "timestamp", "'0044-03-15 BC'", some(Int64), TIMESTAMP, json!(-63_517_824_000_000_i64)),
        ("inf", "timestamp", "'infinity'", some(Int64), TIMESTAMP, json!(9_223_372_036_825_200_i64)),
        ("tstz", "timestamptz", "'2024-02-29 12:34:56.1+02'", some(Int64), TIMESTAMP, json!(1_709_202_896_100_i64)),
        ("ip", "inet", "'10.0.0.1/8'", None, "", json!("10.0.0.1/8")),
        ("ci", "cidr", "'10.0.0.0/8'", None, "", json!("10.0.0.0/8")),
        ("mac", "macaddr", "'08:00:2b:01:02:03'", None, "", json!("08:00:2b:01:02:03")),
        ("rng", "int4range", "'[1,5)'", None, "", json!("[1,5)")),
        ("iv", "interval", "'1 day 04:05:06'", None, "", json!("1 day 04:05:06")),
        ("p", "point", "'(1,2)'", None, "", json!("(1,2)")),
        ("ai", "int[]", "'{1,NULL,3}'", None, "", json!("{1,NULL,3}")),
        ("at", "text[]", "ARRAY['a,b','q\"']", None, "", json!("{\"a,b\",\"q\\\"\"}")),
        ("tsv", "tsvector", "'a b'", None, "", json!("'a' 'b'")),
        ("ct", "citext", "'CaSe'", None, "", json!("CaSe")),
        ("comp", "pair", "'(1,a)'", None, "", json!("(1,a)")),
    ]
}

fn prepare(server: &Server) {
    server.sql(
        "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'it''s fine'); CREATE DOMAIN price AS numeric(8,2);
         CREATE TYPE pair AS (a int, b text)",
    );
    let columns: Vec<_> = table().iter().map(|case| format!("{} {}", case.0, case.1)).collect();
    let values: Vec<_> = table().iter().map(|case| case.2.to_owned()).collect();
    server.sql(&format!("CREATE TABLE t (id int PRIMARY KEY, {})", columns.join(", ")));
    server.sql(&format!("INSERT INTO t VALUES (1, {}); INSERT INTO t (id) VALUES (2)", values.join(", ")));
}

const KEYS: [(&str, &str); 3] =
    [("mode", "incrementing"), ("table.whitelist", "t"), ("incrementing.column.name", "id")];

#[test]
fn every_type_has_its_form_or_is_told_to_be_left_out() {
    let server = Server::start();
    prepare(&server);
    let mut run = server.query(&KEYS, &Offsets::default());
    let records = run.take(2).unwrap();
    let (values, nulls) = (row(&records[0]), row(&records[1]));
    let schema = records[0].value_schema.as_ref().unwrap();
    let field = |name: &str| schema.fields.iter().find(|field| field.name == name).map(|field| &*field.schema);
    assert!(!field("id").unwrap().optional);
    let mut left_out = Vec::new();
    for (name, kind, _, expected, logical, value) in table() {
        let Some(expected) = expected else {
            assert!(field(name).is_none(), "{kind}");
            left_out.push(name);
            continue;
        };
        let schema: &Schema = field(name).unwrap_or_else(|| panic!("{kind} is missing"));
        assert_eq!((schema.kind, schema.name.as_deref().unwrap_or_default()), (expected, logical), "{kind}");
        assert!(schema.optional, "{kind}");
        assert_eq!(values[name], value, "{kind}");
        assert_eq!(nulls[name], Json::Null, "{kind}");
    }
    let decimal = field("num").unwrap();
    assert_eq!(decimal.parameters["scale"], "2");
    assert_eq!(decimal.parameters["connect.decimal.precision"], "10");
    let told = run.context.warnings().join("\n");
    assert!(left_out.iter().all(|name| told.contains(&format!("{name} ("))), "{told}");
    run.stop();
    let all = [KEYS[0], KEYS[1], KEYS[2], ("other.types.mapping", "string")];
    let mut run = server.query(&all, &Offsets::default());
    let values = row(&run.take(2).unwrap()[0]);
    for (name, kind, _, expected, _, value) in table() {
        assert!(expected.is_some() || values[name] == value, "{kind}: {}", values[name]);
    }
    run.stop();
}

#[test]
fn numerics_follow_their_mapping() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE t (id int PRIMARY KEY, n2 numeric(2), n9 numeric(9,0), n18 numeric(18), n19 numeric(19), f numeric(6,2),
           ff numeric(30,2), neg numeric(3,-2), free numeric);
         INSERT INTO t VALUES (1, 99, 999999999, 1e17, 1e18, 12.34, 12.34, 99900, 5)",
    );
    let schema_of = |keys: &[(&str, &str)]| {
        let all: Vec<_> = KEYS.iter().chain(keys).copied().collect();
        let mut run = server.query(&all, &Offsets::default());
        let record = run.take(1).unwrap().remove(0);
        run.stop();
        let kind = |field: &levada_connector_api::Field| format!("{}:{:?}", field.name, field.schema.kind);
        record.value_schema.unwrap().fields.iter().skip(1).map(kind).collect::<Vec<_>>().join(" ")
    };
    let none = "n2:Bytes n9:Bytes n18:Bytes n19:Bytes f:Bytes ff:Bytes neg:Bytes free:Bytes";
    let whole = "n2:Int8 n9:Int32 n18:Int64 n19:Bytes f:Bytes ff:Bytes neg:Int32 free:Bytes";
    assert_eq!(schema_of(&[]), none);
    assert_eq!(schema_of(&[("numeric.precision.mapping", "true")]), whole);
    assert_eq!(schema_of(&[("numeric.mapping", "precision_only")]), whole);
    let fits = "n2:Int8 n9:Int32 n18:Int64 n19:Bytes f:Float64 ff:Bytes neg:Int32 free:Bytes";
    assert_eq!(schema_of(&[("numeric.mapping", "best_fit")]), fits);
    let eager = "n2:Int8 n9:Int32 n18:Int64 n19:Bytes f:Float64 ff:Float64 neg:Int32 free:String";
    let keys = [("numeric.mapping", "best_fit_eager_double"), ("numeric.unbound.mapping", "string")];
    assert_eq!(schema_of(&keys), eager);
    server.sql("UPDATE t SET free = 1.5");
    let mut run = server.query(&KEYS, &Offsets::default());
    let error = run.take_error();
    assert_eq!(error.kind, levada_connector_api::ErrorKind::Data);
    assert!(error.message.contains("column free") && error.message.contains("numeric.unbound.mapping"), "{error}");
    run.stop();
}

#[test]
fn timestamps_follow_their_granularity() {
    let server = Server::start();
    server.sql("CREATE TABLE t (id int PRIMARY KEY, at timestamp, tz timestamptz)");
    server.sql("INSERT INTO t VALUES (1, '2024-02-29 10:34:56.123456', '2024-02-29 10:34:56.123456+00')");
    for (granularity, zone, at, tz) in [
        ("connect_logical", "UTC", json!(1_709_202_896_123_i64), json!(1_709_202_896_123_i64)),
        ("micros_long", "UTC", json!(1_709_202_896_123_456_i64), json!(1_709_202_896_123_456_i64)),
        ("nanos_long", "UTC", json!(1_709_202_896_123_456_000_i64), json!(1_709_202_896_123_456_000_i64)),
        ("micros_string", "UTC", json!("1709202896123456"), json!("1709202896123456")),
        ("nanos_string", "Asia/Kolkata", json!("1709183096123456000"), json!("1709202896123456000")),
        (
            "micros_iso_datetime_string",
            "Asia/Kolkata",
            json!("2024-02-29T10:34:56.123456"),
            json!("2024-02-29T16:04:56.123456"),
        ),
        (
            "nanos_iso_datetime_string",
            "UTC",
            json!("2024-02-29T10:34:56.123456000"),
            json!("2024-02-29T10:34:56.123456000"),
        ),
    ] {
        for mode in ["bulk", "timestamp"] {
            let keys = [
                ("mode", mode),
                ("table.whitelist", "t"),
                ("timestamp.column.name", "tz"),
                ("validate.non.null", "false"),
                ("timestamp.granularity", granularity),
                ("db.timezone", zone),
            ];
            let mut run = server.query(&keys, &Offsets::default());
            let record = run.take(1).unwrap().remove(0);
            assert_eq!(row(&record), json!({"id": 1, "at": at, "tz": tz}), "{granularity} {zone} {mode}");
            run.stop();
        }
    }
}
