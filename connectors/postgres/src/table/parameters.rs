//! `column.propagate.source.type` and `datatype.propagate.source.type`: a column's database type in its schema.

use crate::datatype::{Kind, TypeRegistry, interval_precision};
use levada_connector_api::Schema;

/// Adds the parameters: type, length, scale and name of the column, as the JDBC driver names them.
pub fn propagate(schema: &mut Schema, types: &TypeRegistry, column: &str, oid: u32, modifier: i32) {
    let Some(info) = types.get(oid) else { return };
    // Length and scale are those of what is beneath arrays and domains.
    let (beneath, modifier) =
        types.root(oid, modifier).map_or((Some(info), modifier), |(root, _, modifier)| match root.kind {
            Kind::Array(element, _) => (types.get(element), modifier),
            _ => (Some(root), modifier),
        });
    let beneath = beneath.map_or("", |info| info.name.as_str());
    let (length, mut scale) = length_and_scale(beneath, modifier);
    let (mut common_length, common_scale) = common(beneath);
    if let (6, Some(digits)) = (common_scale, scale) {
        // The text of a time without some digits of its fraction, or without all and the point.
        common_length -= if digits == 0 { 7 } else { 6 - digits };
    }
    if beneath == "interval" {
        scale = interval_precision(modifier);
    }
    let mut set = |key: &str, value: String| {
        schema.parameters.insert(format!("__debezium.source.column.{key}"), value);
    };
    set("type", info.name.to_ascii_uppercase());
    set("length", length.unwrap_or(common_length).to_string());
    set("scale", scale.unwrap_or(common_scale).to_string());
    set("name", column.to_owned());
}

/// Length and scale where a column declares none.
fn common(name: &str) -> (i32, i32) {
    match name {
        "bool" | "bit" | "char" => (1, 0),
        "int2" => (5, 0),
        "int4" | "oid" => (10, 0),
        "int8" => (19, 0),
        "float4" => (8, 8),
        "float8" => (17, 17),
        "numeric" => (131_089, 0),
        "date" => (13, 0),
        "time" => (15, 6),
        "timetz" => (21, 6),
        "timestamp" => (29, 6),
        "timestamptz" => (35, 6),
        "interval" => (49, 6),
        _ => (i32::MAX, 0),
    }
}

/// Length and scale that a type's modifier declares.
pub fn length_and_scale(name: &str, modifier: i32) -> (Option<i32>, Option<i32>) {
    match (name, modifier) {
        (_, ..0) => (None, None),
        ("numeric", 4..) => {
            let modifier = modifier - 4;
            (Some(modifier >> 16 & 0xffff), Some(((modifier & 0x7ff) ^ 1024) - 1024))
        }
        ("varchar" | "bpchar", 4..) => (Some(modifier - 4), None),
        ("bit" | "varbit", _) => (Some(modifier), None),
        ("time" | "timetz" | "timestamp" | "timestamptz", _) => (None, Some(modifier)),
        _ => (None, None),
    }
}
