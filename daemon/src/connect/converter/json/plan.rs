//! What is written of structs of one schema, made ready once: the names of the fields as they stand in JSON, and how a value
//! is found to fit. Without a plan most of the time goes into escaping the same names and asking the same schemas.

use super::{
    super::ConvertError,
    write::{Style, fits, text},
};
use levada_connector_api::{Schema, SchemaType, Struct, Value, schema::logical};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// Fields of a plan with those within them; what is nested beyond is looked at as it comes.
const MOST_FIELDS: usize = 4096;
/// Structs within structs of a plan.
const DEEPEST: usize = 32;

/// Longest JSON of a shared struct that is kept, bytes.
const LONGEST_SHARED: usize = 4096;

/// A struct that several records share, such as the `source` block of a snapshot's rows.
#[derive(Debug, Default)]
enum Shared {
    #[default]
    None,
    /// It came once. The reference keeps nothing but its address from being another's.
    Seen(Weak<Struct>),
    /// It came again, and this is its JSON. The reference keeps it from being changed.
    Written(Arc<Struct>, Box<[u8]>),
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Plan {
    schema: Arc<Schema>,
    style: Style,
    fields: Box<[Field]>,
    shared: Mutex<Shared>,
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
    /// Of a struct schema.
    pub(super) fn of(schema: &Arc<Schema>, style: Style) -> Arc<Self> {
        Self::new(schema, style, 0, &mut MOST_FIELDS.saturating_sub(schema.fields.len()))
    }

    fn new(schema: &Arc<Schema>, style: Style, depth: usize, room: &mut usize) -> Arc<Self> {
        let field = |(index, field): (usize, &levada_connector_api::Field)| {
            let mut name = if index > 0 { vec![b','] } else { Vec::new() };
            text(&field.name, &mut name);
            name.push(b':');
            let replaced = style.replace_null_with_default && field.schema.default.is_some();
            Field {
                name: name.into(),
                nullable: field.schema.optional && !replaced,
                form: Form::of(&field.schema, style, depth + 1, room),
                schema: Arc::clone(&field.schema),
            }
        };
        let fields = schema.fields.iter().enumerate().map(field).collect();
        Arc::new(Self { schema: Arc::clone(schema), style, fields, shared: Mutex::default() })
    }

    /// Whether nobody else has its schema any more.
    pub(super) fn is_left_over(&self) -> bool {
        Arc::strong_count(&self.schema) == 1
    }

    /// Appends a struct.
    pub(super) fn write(&self, value: &Struct, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        if !Arc::ptr_eq(&self.schema, &value.schema) {
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
        // Another thread that writes the same block at this moment is not waited for.
        let Some(mut shared) = self.shared.try_lock() else { return self.write(value, out) };
        let again = match &*shared {
            Shared::Written(known, bytes) if Arc::ptr_eq(known, value) => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Shared::Seen(known) => std::ptr::eq(known.as_ptr(), Arc::as_ptr(value)),
            Shared::Written(..) | Shared::None => false,
        };
        let start = out.len();
        self.write(value, out)?;
        let written = out.get(start..).filter(|written| again && written.len() <= LONGEST_SHARED);
        *shared = match written {
            Some(written) => Shared::Written(Arc::clone(value), written.into()),
            None => Shared::Seen(Arc::downgrade(value)),
        };
        Ok(())
    }
}

impl Form {
    fn of(schema: &Arc<Schema>, style: Style, depth: usize, room: &mut usize) -> Self {
        match schema.kind {
            SchemaType::Struct => match room.checked_sub(schema.fields.len() + 1).filter(|_| depth < DEEPEST) {
                Some(left) => {
                    *room = left;
                    Self::Struct(Plan::new(schema, style, depth, room))
                }
                None => Self::Other,
            },
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
        let plan = Plan::of(&schema, STYLE);
        let block = |text: &str| {
            let schema = Arc::clone(&schema.fields[4].schema);
            Value::structure(schema, vec![Value::string(text)])
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
        let strange = Value::structure(other, vec![Value::string("y")]);
        both(&plan, &value(&schema, strange, Value::string("t"))).unwrap();
    }

    #[test]
    fn a_shared_block_is_written_anew_when_it_is_another() {
        let schema = schema();
        let plan = Plan::of(&schema, STYLE);
        let Form::Struct(nested) = &plan.fields[4].form else { panic!() };
        let block = |text: &str| {
            Arc::new(Struct { schema: Arc::clone(&schema.fields[4].schema), values: vec![Value::string(text)] })
        };
        let mut shared = block("one");
        for _ in 0..3 {
            let written = both(&plan, &value(&schema, Value::Struct(Arc::clone(&shared)), Value::string("t"))).unwrap();
            assert!(written.contains("\"one\""));
        }
        assert!(matches!(&*nested.shared.lock(), Shared::Written(..)));
        // Who changes it gets a copy, as the plan holds it too.
        Arc::make_mut(&mut shared).values[0] = Value::string("two");
        let written = both(&plan, &value(&schema, Value::Struct(Arc::clone(&shared)), Value::string("t"))).unwrap();
        assert!(written.contains("\"two\""));
    }

    #[test]
    fn what_is_large_or_comes_once_is_not_kept() {
        let schema = schema();
        let plan = Plan::of(&schema, STYLE);
        let Form::Struct(nested) = &plan.fields[4].form else { panic!() };
        let text = "x".repeat(LONGEST_SHARED);
        let large = Struct { schema: Arc::clone(&schema.fields[4].schema), values: vec![Value::string(text)] };
        let large = Arc::new(large);
        for _ in 0..3 {
            both(&plan, &value(&schema, Value::Struct(Arc::clone(&large)), Value::string("t"))).unwrap();
            assert!(matches!(&*nested.shared.lock(), Shared::Seen(_)));
        }
        assert_eq!(Arc::strong_count(&large), 1);
    }

    #[test]
    fn a_schema_that_refers_to_itself_again_and_again_has_a_plan_of_bounded_size() {
        let mut schema = Arc::new(Schema::new(SchemaType::Struct).optional());
        for _ in 0..40 {
            let two = ["a", "b"].map(|name| (name, Arc::clone(&schema)));
            schema = Arc::new(Schema::structure(two).optional());
        }
        fn fields(plan: &Plan) -> usize {
            let nested = |field: &Field| match &field.form {
                Form::Struct(plan) => 1 + fields(plan),
                _ => 1,
            };
            plan.fields.iter().map(nested).sum()
        }
        let plan = Plan::of(&schema, STYLE);
        assert!(fields(&plan) <= MOST_FIELDS);
        let value = Struct { schema: Arc::clone(&schema), values: vec![Value::Null, Value::Null] };
        assert_eq!(both(&plan, &value).unwrap(), r#"{"a":null,"b":null}"#);
    }
}
