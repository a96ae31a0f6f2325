//! Rows on their way to one table, as texts in one buffer; changes of one key become one.

use super::{
    config::InsertMode,
    encode::MAX_TEXT,
    event::{Placeholder, unsent},
    plan::{Plan, PlanColumn},
    schema::Table,
    wanted::Source,
};
use levada_connector_api::{SinkRecord, Struct, Value};
use std::{collections::HashMap, sync::Arc};

/// Where a column's text is; the two greatest lengths mean null and that the record says nothing of the column.
#[derive(Clone, Copy, Debug)]
struct Cell {
    start: usize,
    len: u32,
}

const NULL: Cell = Cell { start: 0, len: u32::MAX - 1 };
const UNSET: Cell = Cell { start: 0, len: u32::MAX };

/// What a record says of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellText<'a> {
    /// Nothing: the column stays, or gets its default.
    Unset,
    /// Null.
    Null,
    /// This.
    Text(&'a [u8]),
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is written.
    Write,
    /// The row of its key is deleted, then it is written.
    Replace,
    /// The row of its key is deleted.
    Delete,
}

/// Rows of one table and one set of key columns.
#[derive(Debug)]
pub struct Rows {
    /// The table.
    pub table: Arc<Table>,
    /// Places of the key columns.
    pub keys: Arc<[usize]>,
    /// Columns without a zone whose texts have one.
    pub instants: Vec<bool>,
    mode: InsertMode,
    deletes: bool,
    arena: Vec<u8>,
    cells: Vec<Cell>,
    fates: Vec<Fate>,
    index: HashMap<Box<[u8]>, usize>,
    fresh: Vec<(usize, Cell)>,
    key: Vec<u8>,
}

impl Rows {
    /// None yet. `deletes` says that rows of plain inserts are deletions.
    pub fn new(table: Arc<Table>, keys: Arc<[usize]>, mode: InsertMode, deletes: bool) -> Self {
        let instants = vec![false; table.columns.len()];
        Self {
            table,
            keys,
            instants,
            mode,
            deletes,
            arena: Vec::new(),
            cells: Vec::new(),
            fates: Vec::new(),
            index: HashMap::new(),
            fresh: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Whether a change of that plan may go in behind those that are here.
    pub fn takes(&self, plan: &Plan, delete: bool) -> bool {
        self.table.oid == plan.table.oid
            && self.keys == plan.keys
            && (self.mode != InsertMode::Insert || self.deletes == delete)
            && !(delete && self.is_loose() && self.fates.iter().any(|fate| *fate != Fate::Delete))
    }

    /// Whether keys of different texts may be one row: then deletions can't go before what was written before them.
    fn is_loose(&self) -> bool {
        self.keys.iter().any(|key| self.table.columns.get(*key).is_some_and(|column| column.loose))
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.cells.len() * size_of::<Cell>()
    }

    /// Count of rows.
    pub fn len(&self) -> usize {
        self.fates.len()
    }

    /// What becomes of a row.
    pub fn fate(&self, row: usize) -> Fate {
        self.fates.get(row).copied().unwrap_or(Fate::Write)
    }

    /// The text of a cell.
    pub fn cell(&self, row: usize, column: usize) -> CellText<'_> {
        let stride = self.table.columns.len();
        match self.cells.get(row * stride + column) {
            None => CellText::Unset,
            Some(cell) if cell.len == UNSET.len => CellText::Unset,
            Some(cell) if cell.len == NULL.len => CellText::Null,
            Some(cell) => {
                CellText::Text(self.arena.get(cell.start..cell.start + cell.len as usize).unwrap_or_default())
            }
        }
    }

    /// Takes the row of a record.
    pub fn write(
        &mut self,
        plan: &Plan,
        record: &SinkRecord,
        row: Option<&Struct>,
        placeholder: &Placeholder,
    ) -> Result<(), String> {
        if row.is_some_and(|row| row.values.len() != plan.width) {
            return Err("the record has not as many values as its schema has fields".to_owned());
        }
        let before = self.arena.len();
        let all = plan.columns.iter();
        self.encode(all, record, row, Some(placeholder)).and_then(|()| self.take(Fate::Write)).inspect_err(|_| {
            self.arena.truncate(before);
        })
    }

    /// Takes the deletion of the row of a record's key.
    pub fn delete(&mut self, plan: &Plan, record: &SinkRecord) -> Result<(), String> {
        let before = self.arena.len();
        let keys = plan.columns.iter().filter(|column| column.key);
        self.encode(keys, record, None, None).and_then(|()| self.take(Fate::Delete)).inspect_err(|_| {
            self.arena.truncate(before);
        })
    }

    /// Makes the texts of a record, before anything of it is taken.
    fn encode<'a>(
        &mut self,
        columns: impl Iterator<Item = &'a PlanColumn>,
        record: &SinkRecord,
        row: Option<&Struct>,
        placeholder: Option<&Placeholder>,
    ) -> Result<(), String> {
        self.fresh.clear();
        let unsent = unsent(record);
        for column in columns {
            let name = || self.table.columns.get(column.target).map_or("", |column| &column.name);
            let start = self.arena.len();
            let own;
            let value = match &column.source {
                Source::Field(at) if !unsent.is_empty() && !column.key && is_among(&unsent, row, *at) => continue,
                Source::Field(at) => row.and_then(|row| row.values.get(*at)),
                Source::KeyField(at) => match &record.key {
                    Value::Struct(key) => key.values.get(*at),
                    _ => None,
                },
                Source::Key => Some(&record.key),
                Source::Value => Some(&record.value),
                Source::Header(name) => {
                    record.headers.iter().find(|header| *header.key == **name).map(|header| &header.value)
                }
                Source::Topic => {
                    own = Value::string(&**record.original_topic());
                    Some(&own)
                }
                Source::Partition => {
                    own = Value::Int32(record.partition);
                    Some(&own)
                }
                Source::Offset => {
                    own = Value::Int64(record.offset);
                    Some(&own)
                }
            };
            let value = match value.unwrap_or(&Value::Null) {
                Value::Null => column.default.as_ref().unwrap_or(&Value::Null),
                value if !column.key && placeholder.is_some_and(|placeholder| placeholder.is(value)) => continue,
                value => value,
            };
            if value.is_null() {
                if column.key {
                    return Err(format!("key column {} of table {} has no value", name(), self.table.name));
                }
                self.fresh.push((column.target, NULL));
                continue;
            }
            column.encode.write(value, &mut self.arena).map_err(|reason| {
                format!("the value for column {} of table {} can't be written: {reason}", name(), self.table.name)
            })?;
            let len = self.arena.len() - start;
            if len > MAX_TEXT {
                return Err(format!(
                    "the value for column {} of table {} has {len} bytes as text, and PostgreSQL takes {MAX_TEXT}",
                    name(),
                    self.table.name
                ));
            }
            if column.encode.is_instant()
                && self.table.columns.get(column.target).is_some_and(|column| column.kind.is(&["timestamp"]))
                && let Some(instant) = self.instants.get_mut(column.target)
            {
                *instant = true;
            }
            self.fresh.push((column.target, Cell { start, len: len as u32 }));
        }
        Ok(())
    }

    /// Puts what was made in the place of its key, or behind the others.
    fn take(&mut self, fate: Fate) -> Result<(), String> {
        let row = if self.mode == InsertMode::Insert && fate != Fate::Delete { None } else { self.place()? };
        let stride = self.table.columns.len();
        let Some(row) = row else {
            self.cells.extend(std::iter::repeat_n(UNSET, stride));
            self.fates.push(fate);
            self.put(self.fates.len() - 1);
            return Ok(());
        };
        let Some(known) = self.fates.get_mut(row) else { return Ok(()) };
        match (*known, fate) {
            (_, Fate::Delete) => *known = Fate::Delete,
            // What is not there is not updated.
            (Fate::Delete, _) if self.mode == InsertMode::Update => return Ok(()),
            (Fate::Delete, _) => {
                *known = Fate::Replace;
                self.clear(row);
            }
            _ => {}
        }
        self.put(row);
        Ok(())
    }

    fn clear(&mut self, row: usize) {
        let stride = self.table.columns.len();
        if let Some(cells) = self.cells.get_mut(row * stride..(row + 1) * stride) {
            cells.fill(UNSET);
        }
    }

    fn put(&mut self, row: usize) {
        let start = row * self.table.columns.len();
        for (column, cell) in &self.fresh {
            if let Some(place) = self.cells.get_mut(start + column) {
                *place = *cell;
            }
        }
    }

    /// The row that has the key already; else the next is remembered as its.
    fn place(&mut self) -> Result<Option<usize>, String> {
        self.key.clear();
        for column in &*self.keys {
            let cell = self.fresh.iter().find(|(target, _)| target == column).map_or(UNSET, |(_, cell)| *cell);
            if cell.len >= NULL.len {
                return Err(format!("the record has no value for a key column of table {}", self.table.name));
            }
            self.key.extend_from_slice(&cell.len.to_le_bytes());
            self.key.extend_from_slice(self.arena.get(cell.start..cell.start + cell.len as usize).unwrap_or_default());
        }
        if let Some(row) = self.index.get(self.key.as_slice()) {
            return Ok(Some(*row));
        }
        self.index.insert(self.key.as_slice().into(), self.fates.len());
        Ok(None)
    }

    /// The texts of the key columns of the row that came first; of plain inserts there are none.
    pub fn first_key(&self) -> Option<Box<[u8]>> {
        self.index.iter().find(|(_, row)| **row == 0).map(|(key, _)| key.clone())
    }

    /// Rows that are `wanted`, in the order of their keys, so that tasks that write the same rows wait for each other
    /// instead of blocking each other.
    pub fn sorted(&self, wanted: impl Fn(Fate) -> bool) -> Vec<usize> {
        let mut rows: Vec<_> = (0..self.len()).filter(|row| wanted(self.fate(*row))).collect();
        if self.mode != InsertMode::Insert || self.deletes {
            rows.sort_by(|a, b| {
                let texts = |row: usize| {
                    self.keys.iter().map(move |column| match self.cell(row, *column) {
                        CellText::Text(text) => (text.len(), text),
                        _ => (0, &[][..]),
                    })
                };
                texts(*a).cmp(texts(*b))
            });
        }
        rows
    }

    /// Rows by the columns that they set, each group in the order given.
    pub fn groups(&self, rows: &[usize]) -> Vec<(Vec<usize>, Vec<usize>)> {
        let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        let mut places: HashMap<Vec<usize>, usize> = HashMap::new();
        let mut set = Vec::new();
        let mut last: Option<usize> = None;
        for row in rows {
            set.clear();
            set.extend((0..self.table.columns.len()).filter(|column| self.cell(*row, *column) != CellText::Unset));
            let place = match last.filter(|last| groups.get(*last).is_some_and(|(columns, _)| *columns == set)) {
                Some(last) => last,
                None => *places.entry(set.clone()).or_insert_with(|| {
                    groups.push((set.clone(), Vec::new()));
                    groups.len() - 1
                }),
            };
            last = Some(place);
            if let Some((_, rows)) = groups.get_mut(place) {
                rows.push(*row);
            }
        }
        groups
    }
}

/// Whether a field of a row is named there.
fn is_among(names: &[&str], row: Option<&Struct>, field: usize) -> bool {
    let name = row.and_then(|row| row.schema.fields.get(field)).map(|field| field.name.as_str());
    name.is_some_and(|name| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{
        encode::{ColumnType, Encode},
        naming::TableName,
        schema::Column,
    };
    use levada_connector_api::{Headers, Schema, SchemaType, TimestampType};

    fn table() -> Arc<Table> {
        let column = |name: &str| Column {
            name: name.to_owned(),
            kind: ColumnType { name: "text".into(), sql: "text".into(), element: None, modifier: -1, composite: false },
            needed: false,
            generated: false,
            identity: false,
            loose: false,
        };
        let name = TableName { schema: None, name: "t".to_owned() };
        let columns = ["k", "a", "b"].map(column).into();
        Arc::new(Table { oid: 1, name, sql: "t".to_owned(), copies: true, columns })
    }

    fn plan(table: &Arc<Table>) -> Plan {
        let column = |(at, key): (usize, bool)| PlanColumn {
            target: at,
            source: if key { Source::Key } else { Source::Field(at - 1) },
            encode: Encode::Plain,
            default: None,
            key,
        };
        let columns = [(0, true), (1, false), (2, false)].map(column).into();
        Plan { table: Arc::clone(table), columns, keys: Arc::from([0]), width: 2 }
    }

    fn record(key: &str) -> SinkRecord {
        SinkRecord {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            key_schema: None,
            key: Value::string(key),
            value_schema: None,
            value: Value::Null,
            timestamp: 0,
            timestamp_type: TimestampType::CreateTime,
            headers: Headers::new(),
            original_topic: None,
        }
    }

    fn row(a: Value, b: Value) -> Struct {
        let text = Arc::new(Schema::new(SchemaType::String).optional());
        Struct { schema: Arc::new(Schema::structure([("a", Arc::clone(&text)), ("b", text)])), values: vec![a, b] }
    }

    fn shown(rows: &Rows) -> Vec<String> {
        let cell = |row, column| match rows.cell(row, column) {
            CellText::Unset => "-".to_owned(),
            CellText::Null => "null".to_owned(),
            CellText::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        };
        let all = rows.sorted(|_| true);
        all.iter()
            .map(|at| format!("{:?} {} {} {}", rows.fate(*at), cell(*at, 0), cell(*at, 1), cell(*at, 2)))
            .collect()
    }

    fn run(mode: InsertMode, changes: &[(&str, Option<(Value, Value)>)]) -> Rows {
        let table = table();
        let plan = plan(&table);
        let mut rows = Rows::new(table, Arc::from([0]), mode, false);
        for (key, change) in changes {
            match change {
                Some((a, b)) => {
                    let row = row(a.clone(), b.clone());
                    rows.write(&plan, &record(key), Some(&row), &Placeholder::new("?")).unwrap();
                }
                None => rows.delete(&plan, &record(key)).unwrap(),
            }
        }
        rows
    }

    fn set(a: &str, b: &str) -> (Value, Value) {
        (Value::string(a), Value::string(b))
    }

    #[test]
    fn changes_of_a_key_become_one() {
        let changes = [
            ("y", Some(set("1", "2"))),
            ("x", Some(set("3", "4"))),
            ("y", Some(set("5", "?"))),
            ("z", None),
            ("x", None),
        ];
        let rows = run(InsertMode::Upsert, &changes);
        assert_eq!(shown(&rows), ["Delete x 3 4", "Write y 5 2", "Delete z - -"]);
        let groups = rows.groups(&rows.sorted(|fate| fate == Fate::Write));
        assert_eq!(groups, [(vec![0, 1, 2], vec![0])]);
    }

    #[test]
    fn a_row_made_anew_keeps_nothing_of_the_old() {
        let changes = [("x", Some(set("1", "2"))), ("x", None), ("x", Some(set("3", "?")))];
        assert_eq!(shown(&run(InsertMode::Upsert, &changes)), ["Replace x 3 -"]);
        assert_eq!(shown(&run(InsertMode::Update, &changes)), ["Delete x 1 2"]);
    }

    #[test]
    fn inserts_are_kept_apart_and_groups_go_by_columns() {
        let rows = run(
            InsertMode::Insert,
            &[("x", Some(set("1", "?"))), ("x", Some(set("2", "3"))), ("w", Some(set("4", "?")))],
        );
        assert_eq!(shown(&rows), ["Write x 1 -", "Write x 2 3", "Write w 4 -"]);
        assert_eq!(rows.groups(&[0, 1, 2]), [(vec![0, 1], vec![0, 2]), (vec![0, 1, 2], vec![1])]);
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let table = table();
        let plan = plan(&table);
        let mut rows = Rows::new(table, Arc::from([0]), InsertMode::Upsert, false);
        let bad = row(Value::string("fine"), Value::string("a\0b"));
        let error = rows.write(&plan, &record("k"), Some(&bad), &Placeholder::new("?")).unwrap_err();
        assert!(error.contains("column b") && error.contains("\\u0000"), "{error}");
        assert_eq!((rows.len(), rows.bytes()), (0, 0));
        let mut keyless = record("k");
        keyless.key = Value::Null;
        assert!(rows.delete(&plan, &keyless).unwrap_err().contains("key column k"));
    }
}
