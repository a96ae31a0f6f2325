//! Names of fields, in the two syntaxes that Connect knows (KIP-821).

use levada_connector_api::{ConfigEnum, Field, Schema, Struct, Value};

/// `field.syntax.version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ConfigEnum)]
pub(super) enum Syntax {
    /// The text is the name.
    #[default]
    #[config(name = "V1")]
    V1,
    /// Dots lead into nested fields; back-ticks quote a name that holds dots.
    #[config(name = "V2")]
    V2,
}

/// A field, maybe a nested one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldPath {
    steps: Vec<String>,
}

impl FieldPath {
    /// Reads a name; the error says what is wrong with it.
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Self, String> {
        if syntax == Syntax::V1 || !text.contains(['.', '`']) {
            return Ok(Self { steps: vec![text.to_owned()] });
        }
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (step, after) = match rest.strip_prefix('`') {
                Some(quoted) => {
                    quoted_step(quoted).ok_or_else(|| format!("Incomplete backtick pair in path: {text}"))?
                }
                None => match rest.split_once('.') {
                    Some((step, after)) => (step.to_owned(), Some(after)),
                    None => (rest.to_owned(), None),
                },
            };
            steps.push(step);
            match after {
                Some(after) => rest = after,
                None => return Ok(Self { steps }),
            }
        }
    }

    /// The field's definition in a struct schema.
    pub(super) fn field<'a>(&self, schema: &'a Schema) -> Option<&'a Field> {
        let (last, parents) = self.steps.split_last()?;
        let mut schema = schema;
        for step in parents {
            schema = &schema.field(step)?.1.schema;
        }
        Some(schema.field(last)?.1)
    }

    /// The field's definition and raw value in a struct; a null on the way gives a null.
    pub(super) fn of_struct<'a>(&self, value: &'a Struct) -> Option<(Option<&'a Field>, &'a Value)> {
        let mut value = value;
        let (last, parents) = self.steps.split_last()?;
        for step in parents {
            let (index, _) = value.schema.field(step)?;
            match value.values.get(index)? {
                Value::Struct(inner) => value = inner,
                Value::Null => return Some((None, &Value::Null)),
                _ => return None,
            }
        }
        let (index, field) = value.schema.field(last)?;
        Some((Some(field), value.values.get(index)?))
    }

    /// The field's value in a map; null when it is not there.
    pub(super) fn of_map<'a>(&self, map: &'a [(Value, Value)]) -> &'a Value {
        let Some((last, parents)) = self.steps.split_last() else { return &Value::Null };
        let mut map = map;
        for step in parents {
            match super::values::entry(map, step) {
                Some(Value::Map(inner)) => map = inner,
                _ => return &Value::Null,
            }
        }
        super::values::entry(map, last).unwrap_or(&Value::Null)
    }
}

/// A name up to the back-tick that ends it (one before a dot or the end; `\`` is a back-tick of the name), and what
/// follows the dot.
fn quoted_step(text: &str) -> Option<(String, Option<&str>)> {
    let mut name = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if chars.peek().is_some_and(|(_, next)| *next == '`') => {
                name.push('`');
                chars.next();
            }
            '`' => {
                let after = text.get(at + 1..)?;
                if after.is_empty() {
                    return Some((name, None));
                }
                if let Some(rest) = after.strip_prefix('.') {
                    return Some((name, Some(rest)));
                }
                name.push('`');
            }
            c => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str, syntax: Syntax) -> Vec<String> {
        FieldPath::parse(text, syntax).unwrap().steps
    }

    #[test]
    fn the_first_syntax_takes_the_text_as_it_is() {
        assert_eq!(steps("a.b", Syntax::V1), ["a.b"]);
    }

    #[test]
    fn the_second_syntax_splits_at_dots_outside_of_back_ticks() {
        assert_eq!(steps("a.b.c", Syntax::V2), ["a", "b", "c"]);
        assert_eq!(steps("`a.b`.c", Syntax::V2), ["a.b", "c"]);
        assert_eq!(steps("a.`b.c`", Syntax::V2), ["a", "b.c"]);
        assert_eq!(steps("`a``b`.c", Syntax::V2), ["a``b", "c"]);
        assert_eq!(steps(r"`a\`.b`.c", Syntax::V2), ["a`.b", "c"]);
        assert!(FieldPath::parse("`a.b", Syntax::V2).is_err());
    }
}
