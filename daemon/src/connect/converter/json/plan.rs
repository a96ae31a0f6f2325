//! What is written of structs of one schema, made ready once: the names of the fields as they stand in JSON, and how a value
//! is found to fit. Without a plan most of the time goes into escaping the same names and asking the same schemas.

use super::{
    super::ConvertError,
    write::{Style, fits, text},
};
use levada_connector_api::{Schema, SchemaType, Struct, Value, schema::logical};
use parking_lot::Mutex;
use std::sync::Arc;

/// A struct and its JSON.
type Written = (Arc<Struct>, Box<[u8]>);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Plan {
    schema: Arc<Schema>,
    style: Style,
    fields: Box<[Field]>,
    /// A struct that several records share, such as the `source` block of a snapshot's rows, and its JSON. The reference keeps it
    /// from being changed.
    shared: Mutex<Option<Written>>,
}

#[derive(Debug)]
struct Field {
    /// The comma before it, its name in quotes, the colon.
    name: Box<[u8]>,
    schema: Arc<Schema>,
    /// Whether a null is written as null.
    nullable: bool,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// A value of this type is written as it is.
    Plain(SchemaType),
    Struct(Arc<Plan>),
    /// It is looked at as it comes.
    Other,
}

impl Plan {
    /// Of a struct schema; `None` for others.
    pub(super) fn of(schema: &Arc<Schema>, style: Style) -> Option<Arc<Self>> {
        (schema.kind == SchemaType::Struct).then(|| Arc::new(Self::new(schema, style)))
    }

    fn new(schema: &Arc<Schema>, style: Style) -> Self {
        let field = |(index, field): (usize, &levada_connector_api::Field)| {
            let mut name = if index > 0 { vec![b','] } else { Vec::new() };
            text(&field.name, &mut name);
            name.push(b':');
            let replaced = style.replace_null_with_default && field.schema.default.is_some();
            Field {
                name: name.into(),
                nullable: field.schema.optional && !replaced,
                form: Form::of(&field.schema, style),
                schema: Arc::clone(&field.schema),
            }
        };
        let fields = schema.fields.iter().enumerate().map(field).collect();
        Self { schema: Arc::clone(schema), style, fields, shared: Mutex::default() }
    }

    /// Whether it is the plan of this very schema.
    pub(super) fn is_of(&self, schema: &Arc<Schema>) -> bool {
        Arc::ptr_eq(&self.schema, schema)
    }

    /// Appends a struct.
    pub(super) fn write(&self, value: &Struct, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        if !self.is_of(&value.schema) {
            return self.style.structure(value, out);
        }
        out.push(b'{');
        for (field, value) in self.fields.iter().zip(&value.values) {
            out.extend_from_slice(&field.name);
            match (&field.form, value) {
                (_, Value::Null) if field.nullable => out.extend_from_slice(b"null"),
                (Form::Plain(kind), value) if fits(*kind, value) => self.style.schemaless(value, out)?,
                (Form::Struct(plan), Value::Struct(value)) => plan.nested(value, out)?,
                (_, value) => self.style.value(value, Some(&field.schema), out)?,
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn nested(&self, value: &Arc<Struct>, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        if Arc::strong_count(value) == 1 {
            return self.write(value, out);
        }
        // Another task that writes the same block at this moment is not waited for.
        let Some(mut shared) = self.shared.try_lock() else { return self.write(value, out) };
        if let Some((_, bytes)) = shared.as_ref().filter(|(known, _)| Arc::ptr_eq(known, value)) {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        let start = out.len();
        self.write(value, out)?;
        *shared = Some((Arc::clone(value), out.get(start..).unwrap_or_default().into()));
        Ok(())
    }
}

impl Form {
    fn of(schema: &Arc<Schema>, style: Style) -> Self {
        match schema.kind {
            SchemaType::Struct => Self::Struct(Arc::new(Plan::new(schema, style))),
            SchemaType::Array | SchemaType::Map => Self::Other,
            _ if schema.name.as_deref() == Some(logical::DECIMAL) => Self::Other,
            kind => Self::Plain(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::Bytes;

    const STYLE: Style = Style { decimal_format: super::super::DecimalFormat::Base64, replace_null_with_default: true };

    fn schema() -> Arc<Schema> {
        let mut decimal = Schema::new(SchemaType::Bytes).named(logical::DECIMAL).optional();
        decimal.parameters.insert("scale".to_owned(), "2".to_owned());
        let mut defaulted = Schema::new(SchemaType::Int32).optional();
        defaulted.default = Some(Value::Int32(7));
        let block = Schema::structure([("a\"b", Arc::new(Schema::new(SchemaType::String)))]).optional();
        Arc::new(Schema::structure([
            ("text", Arc::new(Schema::new(SchemaType::String))),
            ("number", Arc::new(Schema::new(SchemaType::Int64).optional())),
            ("decimal", Arc::new(decimal)),
            ("defaulted", Arc::new(defaulted)),
            ("block", Arc::new(block)),
            ("list", Arc::new(Schema::array(Arc::new(Schema::new(SchemaType::Int8))))),
        ]))
    }

    fn value(schema: &Arc<Schema>, block: Value, text: Value) -> Struct {
        let decimal = Value::Bytes(Bytes::from_static(&[1, 2]));
        let list = Value::Array(vec![Value::Int8(1), Value::Int8(-2)]);
        Struct { schema: Arc::clone(schema), values: vec![text, Value::Null, decimal, Value::Null, block, list] }
    }

    fn both(plan: &Plan, value: &Struct) -> Result<String, String> {
        let (mut planned, mut plain) = (Vec::new(), Vec::new());
        let by_plan = plan.write(value, &mut planned).map_err(|error| error.to_string());
        let by_style = STYLE.structure(value, &mut plain).map_err(|error| error.to_string());
        assert_eq!((&by_plan, &planned), (&by_style, &plain));
        by_plan.map(|()| String::from_utf8(planned).unwrap())
    }

    #[test]
    fn a_plan_writes_what_is_written_without() {
        let schema = schema();
        let plan = Plan::of(&schema, STYLE).unwrap();
        let block = |text: &str| {
            let schema = Arc::clone(&schema.fields[4].schema);
            Value::Struct(Arc::new(Struct { schema, values: vec![Value::string(text)] }))
        };
        let written = both(&plan, &value(&schema, block("x"), Value::string("t"))).unwrap();
        let expected =
            r#"{"text":"t","number":null,"decimal":"AQI=","defaulted":7,"block":{"a\"b":"x"},"list":[1,-2]}"#;
        assert_eq!(written, expected);
        both(&plan, &value(&schema, Value::Null, Value::string("t"))).unwrap();
        assert!(both(&plan, &value(&schema, Value::Null, Value::Null)).is_err());
        assert!(both(&plan, &value(&schema, Value::Null, Value::Int8(1))).is_err());
        assert!(both(&plan, &value(&schema, Value::Int8(1), Value::string("t"))).is_err());
        // A block that is equal but of a schema of its own.
        let other = Arc::new((*schema.fields[4].schema).clone());
        let strange = Value::Struct(Arc::new(Struct { schema: other, values: vec![Value::string("y")] }));
        both(&plan, &value(&schema, strange, Value::string("t"))).unwrap();
    }

    #[test]
    fn a_shared_block_is_written_anew_when_it_is_another() {
        let schema = schema();
        let plan = Plan::of(&schema, STYLE).unwrap();
        let block = |text: &str| {
            Arc::new(Struct { schema: Arc::clone(&schema.fields[4].schema), values: vec![Value::string(text)] })
        };
        let mut shared = block("one");
        for _ in 0..3 {
            let written = both(&plan, &value(&schema, Value::Struct(Arc::clone(&shared)), Value::string("t"))).unwrap();
            assert!(written.contains("\"one\""));
        }
        // Who changes it gets a copy, as the plan holds it too.
        Arc::make_mut(&mut shared).values[0] = Value::string("two");
        let written = both(&plan, &value(&schema, Value::Struct(Arc::clone(&shared)), Value::string("t"))).unwrap();
        assert!(written.contains("\"two\""));
    }
}
