//! Signals: what a row of the signal table asks for, and how far an incremental snapshot has come.

use serde_json::{Value, json};

/// Tables that may wait to be read.
const MOST_WAITING: usize = 10_000;
/// Bytes of their names and conditions: they are in every offset, which is a record of a topic.
const MOST_WAITING_BYTES: usize = 512 << 10;

/// A table of a snapshot that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// Table, `schema.table`.
    pub table: String,
    /// Condition that its rows must meet; for a blocking snapshot it may be a whole query too.
    pub filter: Option<String>,
}

impl Asked {
    fn bytes(&self) -> usize {
        self.table.len() + self.filter.as_ref().map_or(0, String::len)
    }

    /// As a part of an offset.
    pub fn to_json(&self) -> Value {
        json!({ "table": self.table, "filter": self.filter })
    }

    /// Of an offset.
    pub fn from_json(value: &Value) -> Option<Self> {
        let filter = value.get("filter").and_then(Value::as_str).map(str::to_owned);
        Some(Self { table: value.get("table")?.as_str()?.to_owned(), filter })
    }
}

/// The tables that a signal asks for, bounded while they are gathered.
#[derive(Debug)]
pub struct Gathering {
    tables: Vec<Asked>,
    count: usize,
    bytes: usize,
}

impl Gathering {
    /// Beside those that wait already.
    pub fn beside(waiting: &[Asked]) -> Self {
        Self { tables: Vec::new(), count: waiting.len(), bytes: waiting.iter().map(Asked::bytes).sum() }
    }

    /// Adds one; the error says why it has no room.
    pub fn push(&mut self, table: &str, filter: Option<&str>) -> Result<(), String> {
        let asked = Asked { table: table.to_owned(), filter: filter.map(str::to_owned) };
        self.count += 1;
        self.bytes += asked.bytes();
        if self.count > MOST_WAITING || self.bytes > MOST_WAITING_BYTES {
            return Err(format!(
                "more than {MOST_WAITING} tables, or {MOST_WAITING_BYTES} bytes of their names and conditions, would wait to \
                 be read; name fewer data-collections, or ask again when those before are read"
            ));
        }
        self.tables.push(asked);
        Ok(())
    }

    /// Those that were added.
    pub fn tables(self) -> Vec<Asked> {
        self.tables
    }
}

/// How far an incremental snapshot has come; in the offset, so that it goes on after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incremental {
    /// Tables still to be read, the first of them now.
    pub tables: Vec<Asked>,
    /// Key of the last row that was read of the first.
    pub last: Option<Vec<String>>,
    /// Greatest key that it had when its reading began.
    pub most: Option<Vec<String>>,
    /// Whether it waits for `resume-snapshot`.
    pub paused: bool,
    /// Rows that were read of the first, about.
    pub read: u64,
    /// Tables that are read.
    pub done: u64,
}

impl Incremental {
    /// As a part of an offset.
    pub fn to_json(&self) -> Value {
        let tables: Vec<_> = self.tables.iter().map(Asked::to_json).collect();
        json!({
            "tables": tables, "last": self.last, "most": self.most, "paused": self.paused, "read": self.read,
            "done": self.done,
        })
    }

    /// Of an offset.
    pub fn from_json(value: &Value) -> Option<Self> {
        let key = |name: &str| {
            let texts = value.get(name)?.as_array()?;
            texts.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        Some(Self {
            tables: value.get("tables")?.as_array()?.iter().filter_map(Asked::from_json).collect(),
            last: key("last"),
            most: key("most"),
            paused: value.get("paused").and_then(Value::as_bool).unwrap_or(false),
            read: value.get("read").and_then(Value::as_u64).unwrap_or(0),
            done: value.get("done").and_then(Value::as_u64).unwrap_or(0),
        })
    }

    /// Begins anew with the table that is read: what was read of it is worth nothing.
    pub fn restart(&mut self) {
        (self.last, self.most, self.read) = (None, None, 0);
    }

    /// Goes on to the next table.
    pub fn next_table(&mut self) {
        if !self.tables.is_empty() {
            self.tables.remove(0);
        }
        self.restart();
        self.done += 1;
    }
}

/// What a signal asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Read tables, patterns of `schema.table`, while the stream goes on.
    Execute(Vec<Asked>),
    /// Read tables while the stream stands still.
    Block(Vec<Asked>),
    /// Read no more of these; of none, when the list is empty.
    Stop(Vec<String>),
    /// Wait.
    Pause,
    /// Go on.
    Resume,
    /// Tell a text.
    Log(String),
}

impl Signal {
    /// Of a row; `None` for a type that is not known, and an error for one that can't be followed.
    pub fn parse(kind: &str, data: Option<&str>) -> Result<Option<Self>, String> {
        let data: Value = match data.map(str::trim).filter(|data| !data.is_empty()) {
            None => Value::Null,
            Some(data) => serde_json::from_str(data).map_err(|_| "its data is no JSON".to_owned())?,
        };
        let way = data.get("type").and_then(Value::as_str).unwrap_or("incremental");
        let blocks = way.eq_ignore_ascii_case("blocking");
        let names = || -> Vec<String> {
            let names = data.get("data-collections").and_then(Value::as_array).into_iter().flatten();
            names.filter_map(|name| name.as_str().map(|name| name.trim().to_owned())).collect()
        };
        Ok(Some(match kind {
            "execute-snapshot" => {
                if !blocks && !way.eq_ignore_ascii_case("incremental") {
                    return Err(format!("snapshots of type {way} do not exist; use incremental or blocking"));
                }
                if data.get("surrogate-key").is_some_and(|key| !key.is_null()) {
                    return Err("surrogate keys do not exist yet; use message.key.columns".to_owned());
                }
                if names().is_empty() {
                    return Err("it names no data-collections".to_owned());
                }
                if names().len() > MOST_WAITING {
                    return Err(format!("it names more than {MOST_WAITING} data-collections"));
                }
                let filter = |table: &str| {
                    let all = data.get("additional-conditions")?.as_array()?;
                    let own =
                        all.iter().find(|one| one.get("data-collection").and_then(Value::as_str) == Some(table))?;
                    own.get("filter").and_then(Value::as_str).map(str::to_owned)
                };
                let asked = names().into_iter().map(|table| Asked { filter: filter(&table), table }).collect();
                if blocks { Self::Block(asked) } else { Self::Execute(asked) }
            }
            "stop-snapshot" | "pause-snapshot" | "resume-snapshot" if blocks => {
                return Err(
                    "a blocking snapshot ends by itself; only incremental ones are paused or stopped".to_owned()
                );
            }
            "stop-snapshot" => Self::Stop(names()),
            "pause-snapshot" => Self::Pause,
            "resume-snapshot" => Self::Resume,
            "log" => Self::Log(data.get("message").and_then(Value::as_str).unwrap_or_default().to_owned()),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debeziums_signals_are_understood() {
        let data = r#"{"data-collections": ["public.t", "public.u"], "type": "incremental",
            "additional-conditions": [{"data-collection": "public.u", "filter": "id > 5"}]}"#;
        let asked =
            |table: &str, filter: Option<&str>| Asked { table: table.to_owned(), filter: filter.map(str::to_owned) };
        let expected = Signal::Execute(vec![asked("public.t", None), asked("public.u", Some("id > 5"))]);
        assert_eq!(Signal::parse("execute-snapshot", Some(data)).unwrap(), Some(expected));
        assert_eq!(Signal::parse("stop-snapshot", Some("{}")).unwrap(), Some(Signal::Stop(Vec::new())));
        assert_eq!(Signal::parse("anything", None).unwrap(), None);
        let data = r#"{"data-collections": ["public.t"], "type": "BLOCKING"}"#;
        let expected = Signal::Block(vec![asked("public.t", None)]);
        assert_eq!(Signal::parse("execute-snapshot", Some(data)).unwrap(), Some(expected));
        assert!(Signal::parse("stop-snapshot", Some(data)).is_err());
        for data in ["", "x", r#"{"data-collections": ["a.b"], "type": "whole"}"#] {
            assert!(Signal::parse("execute-snapshot", Some(data)).is_err(), "{data}");
        }
    }

    #[test]
    fn no_more_tables_wait_than_an_offset_has_room_for() {
        let mut waiting = Gathering::beside(&[]);
        for number in 0..MOST_WAITING {
            waiting.push(&format!("s.t{number}"), None).unwrap();
        }
        assert!(waiting.push("s.more", None).unwrap_err().contains("10000 tables"));
        let mut more = Gathering::beside(&waiting.tables());
        assert!(more.push("s.more", None).is_err(), "those before count");
        let filter = "x".repeat(MOST_WAITING_BYTES / 2);
        let mut long = Gathering::beside(&[]);
        long.push("a.b", Some(&filter)).unwrap();
        assert!(long.push("a.c", Some(&filter)).is_err());
        let names = vec!["a.b"; MOST_WAITING + 1];
        let data = json!({ "data-collections": names }).to_string();
        assert!(Signal::parse("execute-snapshot", Some(&data)).unwrap_err().contains("10000"));
    }

    #[test]
    fn progress_comes_back_from_an_offset() {
        let progress = Incremental {
            tables: vec![Asked { table: "a.b".to_owned(), filter: Some("x".to_owned()) }],
            last: Some(vec!["1".to_owned()]),
            most: None,
            paused: true,
            read: 7,
            done: 2,
        };
        assert_eq!(Incremental::from_json(&progress.to_json()), Some(progress));
    }
}
