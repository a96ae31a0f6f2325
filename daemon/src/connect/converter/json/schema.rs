//! Schemas as JSON and back.

use super::{
    super::ConvertError,
    read,
    tree::Json,
    write::{Style, text, type_name},
};
use levada_connector_api::{Field, Schema, SchemaType, schema::logical};
use std::{io::Write as _, sync::Arc};

/// Appends a schema; `field` is its name when it is a struct's field. Attributes come in the order
/// that Java writes, and only when set.
pub(super) fn write(schema: &Schema, field: Option<&str>, style: Style, out: &mut Vec<u8>) -> Result<(), ConvertError> {
    let _ = write!(out, "{{\"type\":\"{}\"", type_name(schema.kind));
    match (schema.kind, &schema.key_schema, &schema.value_schema) {
        (SchemaType::Array, _, Some(items)) => {
            out.extend_from_slice(b",\"items\":");
            write(items, None, style, out)?;
        }
        (SchemaType::Map, Some(keys), Some(values)) => {
            out.extend_from_slice(b",\"keys\":");
            write(keys, None, style, out)?;
            out.extend_from_slice(b",\"values\":");
            write(values, None, style, out)?;
        }
        (SchemaType::Struct, ..) => {
            out.extend_from_slice(b",\"fields\":[");
            for (index, field) in schema.fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(&field.schema, Some(&field.name), style, out)?;
            }
            out.push(b']');
        }
        (SchemaType::Array | SchemaType::Map, ..) => {
            return Err(ConvertError::new("an array or map schema does not say what it holds"));
        }
        _ => {}
    }
    let _ = write!(out, ",\"optional\":{}", schema.optional);
    if let Some(name) = &schema.name {
        out.extend_from_slice(b",\"name\":");
        text(name, out);
    }
    if let Some(version) = schema.version {
        let _ = write!(out, ",\"version\":{version}");
    }
    if let Some(doc) = &schema.doc {
        out.extend_from_slice(b",\"doc\":");
        text(doc, out);
    }
    if !schema.parameters.is_empty() {
        out.extend_from_slice(b",\"parameters\":{");
        for (index, (key, value)) in schema.parameters.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            text(key, out);
            out.push(b':');
            text(value, out);
        }
        out.push(b'}');
    }
    if let Some(default) = &schema.default {
        out.extend_from_slice(b",\"default\":");
        style.value(default, Some(schema), out)?;
    }
    if let Some(field) = field {
        out.extend_from_slice(b",\"field\":");
        text(field, out);
    }
    out.push(b'}');
    Ok(())
}

/// Reads a schema; JSON null is no schema.
pub(super) fn read(json: &Json) -> Result<Option<Arc<Schema>>, ConvertError> {
    if *json == Json::Null {
        return Ok(None);
    }
    let name = json
        .get("type")
        .and_then(Json::as_text)
        .ok_or_else(|| ConvertError::new("schema must contain a \"type\" field that is a text"))?;
    let mut schema = Schema::new(kind(name)?);
    let part = |field: &str| {
        let part = json.get(field).map(read).transpose()?.flatten();
        part.ok_or_else(|| ConvertError::new(format!("a schema of type {name} must contain a schema in \"{field}\"")))
    };
    match schema.kind {
        SchemaType::Array => schema.value_schema = Some(part("items")?),
        SchemaType::Map => (schema.key_schema, schema.value_schema) = (Some(part("keys")?), Some(part("values")?)),
        SchemaType::Struct => schema.fields = fields(json)?,
        _ => {}
    }
    schema.optional = matches!(json.get("optional"), Some(Json::Bool(true)));
    schema.name = json.get("name").and_then(Json::as_text).map(|name| name.to_string());
    if let Some(Json::Number(version)) = json.get("version") {
        schema.version = version.parse().ok();
    }
    schema.doc = json.get("doc").and_then(Json::as_text).map(|doc| doc.to_string());
    if let Some(Json::Object(parameters)) = json.get("parameters") {
        for (key, value) in parameters {
            let value = value.as_text().ok_or_else(|| ConvertError::new("schema parameters must be texts"))?;
            schema.parameters.insert(key.to_string(), value.to_string());
        }
    }
    if let Some(default) = json.get("default").filter(|default| **default != Json::Null) {
        let plain = Arc::new(schema.clone());
        schema.default = Some(read::with_schema(default, &plain, false)?);
    }
    if schema.version.is_none()
        && let Some(logical::DECIMAL | logical::DATE | logical::TIME | logical::TIMESTAMP) = schema.name.as_deref()
    {
        schema.version = Some(1);
    }
    Ok(Some(Arc::new(schema)))
}

fn fields(json: &Json) -> Result<Vec<Field>, ConvertError> {
    let Some(Json::Array(fields)) = json.get("fields") else {
        return Err(ConvertError::new("a struct schema must contain an array \"fields\""));
    };
    let field = |json: &Json| {
        let name = json.get("field").and_then(Json::as_text);
        let name =
            name.ok_or_else(|| ConvertError::new("a field of a struct schema must have its name in \"field\""))?;
        let schema = read(json)?.ok_or_else(|| ConvertError::new("a field of a struct schema must have a schema"))?;
        Ok(Field { name: name.to_string(), schema })
    };
    fields.iter().map(field).collect()
}

fn kind(name: &str) -> Result<SchemaType, ConvertError> {
    let all = [
        SchemaType::Int8,
        SchemaType::Int16,
        SchemaType::Int32,
        SchemaType::Int64,
        SchemaType::Float32,
        SchemaType::Float64,
        SchemaType::Boolean,
        SchemaType::String,
        SchemaType::Bytes,
        SchemaType::Array,
        SchemaType::Map,
        SchemaType::Struct,
    ];
    all.into_iter()
        .find(|kind| type_name(*kind) == name)
        .ok_or_else(|| ConvertError::new("unknown schema type in \"type\""))
}
