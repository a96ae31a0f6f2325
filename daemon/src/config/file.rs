//! `levada.toml` as a flat list of keys and texts.

use toml::Value;

/// A key as it stands in the file (`worker.offset.flush.interval.ms`, or bare) with its value as text.
pub type Entry = (String, String);

/// Reads the text of a file. Nested tables, dotted keys and quoted keys mean the same; arrays become lists.
/// The error is one line with its place.
pub fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| describe(text, &error))?;
    let mut entries = Vec::new();
    for (key, value) in table {
        flatten(key, value, &mut entries)?;
    }
    Ok(entries)
}

fn describe(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().lines().next().unwrap_or("no TOML").to_owned();
    let Some(start) = error.span().map(|span| span.start) else { return message };
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {message}")
}

fn flatten(key: String, value: Value, into: &mut Vec<Entry>) -> Result<(), String> {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                flatten(format!("{key}.{name}"), value, into)?;
            }
        }
        Value::Array(items) => {
            let items: Result<Vec<String>, String> = items.into_iter().map(|item| scalar(&key, item)).collect();
            into.push((key, items?.join(",")));
        }
        other => {
            let text = scalar(&key, other)?;
            into.push((key, text));
        }
    }
    Ok(())
}

fn scalar(key: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(yes) => Ok(yes.to_string()),
        Value::Datetime(time) => Ok(time.to_string()),
        Value::Array(_) | Value::Table(_) => {
            Err(format!("`{key}` holds a list of lists or tables; give texts or numbers"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_dotted_and_quoted_keys_mean_the_same() {
        let nested = parse("[worker.offset.flush]\ninterval.ms = 5").unwrap();
        let dotted = parse("[worker]\noffset.flush.interval.ms = 5").unwrap();
        let quoted = parse("[worker]\n\"offset.flush.interval.ms\" = \"5\"").unwrap();
        assert_eq!(nested, [("worker.offset.flush.interval.ms".to_owned(), "5".to_owned())]);
        assert_eq!(nested, dotted);
        assert_eq!(nested, quoted);
    }

    #[test]
    fn arrays_become_lists_and_deeper_ones_are_refused() {
        assert_eq!(parse("p = [\"a\", \"b\"]").unwrap(), [("p".to_owned(), "a,b".to_owned())]);
        assert!(parse("p = [[1]]").unwrap_err().contains("`p`"));
    }

    #[test]
    fn a_broken_file_is_told_in_one_line_with_its_place() {
        let error = parse("[worker]\nx = = 1\n").unwrap_err();
        assert!(error.starts_with("line 2, column"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}
