//! Writes numbers, texts and values.

use super::{MAX_DEPTH, schemas::Schemas};
use crate::{ConnectorError, Result, Value};

/// A count or length, refused when it does not fit.
pub fn count(out: &mut Vec<u8>, count: usize) -> Result<()> {
    let count = u32::try_from(count).map_err(|_| ConnectorError::data("a record is over 4 GiB"))?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

/// Length and bytes.
pub fn bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    count(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// Runs `body` with the length of what it writes in front.
pub fn with_length(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out)?;
    let length = out.len() - start - 4;
    let length = u32::try_from(length).map_err(|_| ConnectorError::data("a record is over 4 GiB"))?;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    Ok(())
}

/// A tagged value; schemas of structs go into `schemas`.
pub fn value(out: &mut Vec<u8>, schemas: &mut Schemas, value: &Value, depth: u32) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(ConnectorError::data(format!("a value is nested deeper than {MAX_DEPTH} levels")));
    }
    match value {
        Value::Null => out.push(0),
        Value::Boolean(yes) => out.extend_from_slice(&[1, u8::from(*yes)]),
        Value::Int8(number) => tagged(out, 2, number.to_le_bytes()),
        Value::Int16(number) => tagged(out, 3, number.to_le_bytes()),
        Value::Int32(number) => tagged(out, 4, number.to_le_bytes()),
        Value::Int64(number) => tagged(out, 5, number.to_le_bytes()),
        Value::Float32(number) => tagged(out, 6, number.to_le_bytes()),
        Value::Float64(number) => tagged(out, 7, number.to_le_bytes()),
        Value::String(text) => {
            out.push(8);
            bytes(out, text.as_bytes())?;
        }
        Value::Bytes(raw) => {
            out.push(9);
            bytes(out, raw)?;
        }
        Value::Array(items) => {
            out.push(10);
            count(out, items.len())?;
            items.iter().try_for_each(|item| self::value(out, schemas, item, depth + 1))?;
        }
        Value::Map(entries) => {
            out.push(11);
            count(out, entries.len())?;
            for (key, item) in entries {
                self::value(out, schemas, key, depth + 1)?;
                self::value(out, schemas, item, depth + 1)?;
            }
        }
        Value::Struct(structure) => {
            let (given, fields) = (structure.values.len(), structure.schema.fields.len());
            if given != fields {
                return Err(ConnectorError::data(format!("a struct of {fields} fields has {given} values")));
            }
            out.push(12);
            let index = schemas.intern(&structure.schema, 0)?;
            out.extend_from_slice(&index.to_le_bytes());
            structure.values.iter().try_for_each(|item| self::value(out, schemas, item, depth + 1))?;
        }
    }
    Ok(())
}

fn tagged<const N: usize>(out: &mut Vec<u8>, tag: u8, bytes: [u8; N]) {
    out.push(tag);
    out.extend_from_slice(&bytes);
}
