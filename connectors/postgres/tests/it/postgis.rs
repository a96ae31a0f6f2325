//! PostGIS' types, where the distribution's package of it is installed.

use crate::{json::json, server::Server};
use levada_connector_api::{
    Value,
    testkit::{Offsets, SourceRun},
};
use serde_json::{Value as Json, json};

/// A point of EWKB in hexadecimal digits: little-endian, with or without a reference system.
fn point(srid: Option<u32>, x: f64, y: f64) -> Vec<u8> {
    let mut wkb = vec![1];
    wkb.extend(if srid.is_some() { 0x2000_0001_u32 } else { 1 }.to_le_bytes());
    wkb.extend(srid.iter().flat_map(|srid| srid.to_le_bytes()));
    wkb.extend(x.to_le_bytes().into_iter().chain(y.to_le_bytes()));
    wkb
}

fn next(run: &mut SourceRun) -> Json {
    let records = run.take(1).unwrap();
    let schema = records[0].value_schema.as_ref().unwrap().field("after").unwrap().1.schema.clone();
    for (column, name) in [("a", "io.debezium.data.geometry.Geometry"), ("g", "io.debezium.data.geometry.Geography")] {
        assert_eq!(schema.field(column).unwrap().1.schema.name.as_deref(), Some(name));
    }
    let Value::Struct(_) = &records[0].value else { panic!("{:?}", records[0].value) };
    json(&records[0].value)["after"].clone()
}

#[test]
fn geometries_and_geographies_are_their_binary_form_with_their_reference_system() {
    let server = Server::start();
    let there = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'";
    if server.sql(there) == "0" {
        eprintln!("skipped: PostGIS is not installed for this server (Debian's postgresql-NN-postgis-3)");
        return;
    }
    server.sql("CREATE EXTENSION postgis");
    server.sql(
        "CREATE TABLE t (id int PRIMARY KEY, a geometry, b geometry(Point, 4326), g geography(Point), l geometry);
         INSERT INTO t VALUES (1, 'POINT(1 2)', 'SRID=4326;POINT(3 4)', 'POINT(5 6)', 'LINESTRING EMPTY')",
    );
    let keys = [("publication.autocreate.mode", "filtered"), ("table.include.list", "public.t")];
    let mut run = server.source(&keys, &Offsets::default());
    let read = next(&mut run);
    server.sql("INSERT INTO t SELECT 2, a, b, g, l FROM t");
    let streamed = next(&mut run);
    let bytes = |wkb: Vec<u8>| crate::json::hex(&wkb);
    for row in [read, streamed] {
        assert_eq!(row["a"], json!({"wkb": bytes(point(None, 1.0, 2.0)), "srid": null}));
        assert_eq!(row["b"], json!({"wkb": bytes(point(Some(4326), 3.0, 4.0)), "srid": 4326}));
        assert_eq!(row["g"], json!({"wkb": bytes(point(Some(4326), 5.0, 6.0)), "srid": 4326}));
        assert_eq!(row["l"], json!({"wkb": bytes(vec![1, 2, 0, 0, 0, 0, 0, 0, 0]), "srid": null}));
    }
    run.stop();
}
