//! The JSON Schema of a configuration, for editors, forms and completion.
//!
//! Connect posts numbers and booleans as JSON texts just as often as bare, so both are allowed.

use super::{Check, ConfigDef, ConfigField, Key, Type};
use serde_json::{Map, Value as Json, json};

impl ConfigDef {
    /// A draft 2020-12 schema. Unknown keys are allowed, as Connect allows them.
    pub fn json_schema(&self, title: &str) -> Json {
        let (families, keys): (Vec<_>, Vec<_>) = self.keys.iter().partition(|key| key.is_family());
        let properties: Map<_, _> = keys.iter().map(|key| (key.name.clone(), key.json_schema())).collect();
        let patterns: Map<_, _> = families.iter().map(|key| (key.pattern(), key.json_schema())).collect();
        let required: Vec<_> = self.keys.iter().filter(|key| key.required).map(|key| &key.name).collect();
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": title,
            "type": "object",
            "properties": properties,
            "patternProperties": patterns,
            "required": required,
            "additionalProperties": true,
        })
    }
}

impl Key {
    fn json_schema(&self) -> Json {
        let mut schema = self.kind.json_schema();
        schema.insert("title".into(), json!(self.display_name));
        schema.insert("description".into(), json!(self.documentation));
        if let Some(default) = self.default.as_deref().filter(|_| !self.is_secret()) {
            schema.insert("default".into(), self.kind.json_value(default));
        }
        self.check.json_schema(self.kind, &mut schema);
        schema.insert("x-importance".into(), json!(self.importance.name()));
        if let Some(group) = &self.group {
            schema.insert("x-group".into(), json!(group));
            schema.insert("x-order".into(), json!(self.order_in_group));
        }
        Json::Object(schema)
    }
}

impl Type {
    fn json_schema(self) -> Map<String, Json> {
        let schema = match self {
            Self::Boolean => json!({"type": ["boolean", "string"],
                "pattern": "^\\s*([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])\\s*$"}),
            Self::Short | Self::Int | Self::Long => {
                json!({"type": ["integer", "string"], "pattern": "^\\s*[+-]?[0-9]+\\s*$"})
            }
            Self::Double => json!({"type": ["number", "string"]}),
            Self::Password => json!({"type": "string", "format": "password", "writeOnly": true}),
            Self::String | Self::Class | Self::List => json!({"type": "string"}),
        };
        match schema {
            Json::Object(map) => map,
            _ => Map::new(),
        }
    }

    fn json_value(self, text: &str) -> Json {
        let typed = match self {
            Self::Boolean => bool::read(Some(text)).map(|value| json!(value)).ok(),
            Self::Short | Self::Int | Self::Long => i64::read(Some(text)).map(|value| json!(value)).ok(),
            Self::Double => f64::read(Some(text)).map(|value| json!(value)).ok(),
            _ => None,
        };
        typed.unwrap_or_else(|| json!(text))
    }
}

impl Check {
    fn json_schema(&self, kind: Type, schema: &mut Map<String, Json>) {
        match self {
            Self::Any | Self::Custom(_) => {}
            Self::NonEmpty => {
                schema.insert("minLength".into(), json!(1));
            }
            Self::Range { min, max } => {
                for (name, bound) in [("minimum", min), ("maximum", max)] {
                    if let Some(bound) = bound {
                        schema.insert(name.into(), json!(bound));
                    }
                }
            }
            Self::OneOf(_) if kind == Type::List => {}
            Self::OneOf(names) => {
                schema.insert("enum".into(), json!(names));
            }
            Self::All(checks) => checks.iter().for_each(|check| check.json_schema(kind, schema)),
        }
    }
}
