//! What a library is, told by a child process that loaded it.
//!
//! `levada plugin-scan FILE` (hidden) is the child: loading runs the library's constructors, which may crash, hang
//! or end the process. Its answer is one marked line, since a constructor may print as well.

use levada_connector_api::{
    ConnectorKind,
    abi::host::{Library, load},
};
use serde_json::{Value, json};
use std::path::Path;

/// Stands before the answer.
const MARK: &str = "levada-plugin-scan ";

/// A connector class of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedClass {
    /// Class.
    pub class: String,
    /// `source` or `sink`.
    pub kind: String,
    /// Version.
    pub version: String,
}

/// What the child found: the library's classes, or why it is none.
pub type Report = Result<Vec<ScannedClass>, String>;

/// Loads a library and says what it is, in the form that [`read`] takes. Only for a process that may die of it.
pub fn write(file: &Path) -> String {
    // SAFETY: nothing vouches for the library; that is why this process does nothing else.
    let answer = match unsafe { load(file) } {
        Ok(library) => json!({ "connectors": classes(&library) }),
        Err(error) => json!({ "refused": error.to_string() }),
    };
    // The line before may lack its end.
    format!("\n{MARK}{answer}\n")
}

fn classes(library: &Library) -> Value {
    library
        .connectors
        .iter()
        .map(|connector| {
            let kind = match connector.info.kind {
                ConnectorKind::Source => "source",
                ConnectorKind::Sink => "sink",
            };
            json!({ "class": connector.info.class, "kind": kind, "version": connector.info.version })
        })
        .collect()
}

/// Finds the answer in what a child printed; `None` when there is none.
pub fn read(output: &[u8]) -> Option<Report> {
    let output = String::from_utf8_lossy(output);
    let line = output.lines().rev().find_map(|line| line.strip_prefix(MARK))?;
    let answer: Value = serde_json::from_str(line).ok()?;
    if let Some(reason) = answer["refused"].as_str() {
        return Some(Err(reason.to_owned()));
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let class = |value: &Value| {
        Some(ScannedClass {
            class: text(&value["class"])?,
            kind: text(&value["kind"])?,
            version: text(&value["version"])?,
        })
    };
    answer["connectors"].as_array()?.iter().map(class).collect::<Option<_>>().map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_found_among_what_constructors_print() {
        let answer = json!({ "connectors": [{ "class": "c", "kind": "sink", "version": "1" }] });
        let output = format!("hello{MARK}no\nworld\n{MARK}{answer}\nbye");
        let class = ScannedClass { class: "c".into(), kind: "sink".into(), version: "1".into() };
        assert_eq!(read(output.as_bytes()), Some(Ok(vec![class])));
        assert_eq!(read(b"\nlevada-plugin-scan {\"refused\":\"why\"}\n"), Some(Err("why".into())));
        for nothing in ["", "hello", "levada-plugin-scan {", "levada-plugin-scan {\"connectors\":[{}]}"] {
            assert_eq!(read(nothing.as_bytes()), None, "{nothing}");
        }
    }

    #[test]
    fn a_file_that_is_no_library_is_told() {
        let written = write(Path::new("/dev/null"));
        assert!(matches!(read(written.as_bytes()), Some(Err(reason)) if reason.contains("can't be loaded")));
    }
}
