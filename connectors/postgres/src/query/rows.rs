//! One reading of a table: from COPY's lines to batches of records and offsets.

use super::{
    columns::Column,
    config::{Mode, Settings},
    instant::Instant,
    mapping::{self, Field},
    offset::Position,
    statement::{Keys, Time, column},
    tables::Target,
};
use crate::{
    error::{Error, Result},
    table::unescaped,
};
use levada_connector_api::{Bytes, Schema, SchemaType, SourceRecord, Value};
use std::sync::Arc;

/// Bytes of rows that a batch holds, about; one row always fits.
const BATCH_BYTES: usize = 1 << 20;

/// Records, and how far they go.
#[derive(Debug, Default)]
pub struct Batch {
    /// Which of the task's targets.
    pub target: usize,
    /// Records in order.
    pub records: Vec<SourceRecord>,
    /// "Behind so many of the records, this is the position".
    pub checkpoint: Option<(usize, Position)>,
}

/// What an answer's lines hold.
pub struct Plan {
    schema: Arc<Schema>,
    fields: Vec<Field>,
    /// What is asked for, beside the fields, for offsets.
    extra: Vec<String>,
    has_time: bool,
    has_id: bool,
    /// Columns without a form.
    pub left_out: Vec<String>,
}

impl Plan {
    /// Of these columns.
    pub fn new(settings: &Settings, target: &Target, columns: &[Column], keys: &Keys) -> Self {
        let (mut fields, mut left_out) = (Vec::new(), Vec::new());
        for column in columns {
            match mapping::field(settings, column) {
                Some(field) => fields.push(field),
                None => left_out.push(format!("{} ({})", column.name, column.kind.name())),
            }
        }
        let mut schema = Schema::new(SchemaType::Struct);
        schema.name = target.table.as_ref().map(|table| table.name.clone());
        schema.fields = fields
            .iter()
            .map(|field| levada_connector_api::Field { name: field.name.clone(), schema: Arc::clone(&field.schema) })
            .collect();
        let time = Time::new(keys, &settings.zone, settings.utc);
        let (has_time, has_id) = (!keys.times.is_empty(), keys.incrementing.is_some());
        let extra = has_time.then(|| time.in_utc()).into_iter();
        let extra = extra.chain(keys.incrementing.as_deref().map(column)).collect();
        Self { schema: Arc::new(schema), fields, extra, has_time, has_id, left_out }
    }

    /// What stands behind SELECT.
    pub fn list(&self) -> String {
        let all: Vec<_> = self.fields.iter().map(|field| &field.select).chain(&self.extra).cloned().collect();
        all.join(", ")
    }

    /// A line's row and its position.
    fn decode(&self, target: &Target, line: &Bytes) -> Result<(Value, Position)> {
        let mut cells = line.split(|byte| *byte == b'\t');
        let misfit = || Error::Protocol(format!("a row of {target} that does not fit its announcement"));
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let cell = cells.next().ok_or_else(misfit)?;
            let value = match cell {
                b"\\N" => Ok(Value::Null),
                plain if memchr::memchr(b'\\', plain).is_none() => field.convert.convert(plain, line),
                escaped => {
                    let plain = unescaped(escaped);
                    field.convert.convert(&plain, &plain)
                }
            };
            let wrong = |cause| Error::Data(format!("column {} of {target}: {cause}", field.name));
            values.push(value.map_err(wrong)?);
        }
        let mut position = Position::default();
        if self.has_time {
            let cell = cells.next().ok_or_else(misfit)?;
            let wrong = |cause| Error::Data(format!("the timestamp column of {target}: {cause}"));
            position.timestamp = Some(Instant::parse(cell).map_err(wrong)?);
        }
        if self.has_id {
            let cell = cells.next().ok_or_else(misfit)?;
            let number = std::str::from_utf8(cell).ok().and_then(|text| text.parse().ok());
            position.incrementing = Some(number.ok_or_else(no_number)?);
        }
        Ok((Value::structure(Arc::clone(&self.schema), values), position))
    }
}

/// A growing column with something else than a whole number.
pub fn no_number() -> Error {
    Error::Data(
        "incrementing.column.name: the column must hold whole numbers of 64 bits and no null; choose another"
            .to_owned(),
    )
}

/// Gathers rows into batches.
pub struct Gathering<'a> {
    plan: &'a Plan,
    target: &'a Target,
    mode: Mode,
    index: usize,
    most: usize,
    batch: Batch,
    bytes: usize,
    /// Of the last row: it stands only when a row of another follows, or none.
    last: Option<Position>,
}

impl<'a> Gathering<'a> {
    /// Of target `index`.
    pub fn new(plan: &'a Plan, target: &'a Target, settings: &Settings, index: usize) -> Self {
        let batch = Batch { target: index, ..Batch::default() };
        Self { plan, target, mode: settings.mode, index, most: settings.batch_rows, batch, bytes: 0, last: None }
    }

    /// Takes a line; gives the batch before it when that is full.
    pub fn line(&mut self, line: &Bytes) -> Result<Option<Batch>> {
        let (value, position) = self.plan.decode(self.target, line)?;
        // Rows that share a position come whole before it: behind a part of them it would leave out the rest.
        if let Some(last) = self.last.filter(|last| *last != position) {
            self.stand(last);
        }
        // Only now, so that its last row's position goes with it.
        let full = self.batch.records.len() >= self.most || self.bytes >= BATCH_BYTES;
        let batch = full.then(|| self.take());
        self.last = Some(position);
        let mut record = SourceRecord::new(Arc::clone(&self.target.topic), value);
        record.value_schema = Some(Arc::clone(&self.plan.schema));
        self.batch.records.push(record);
        self.bytes += line.len();
        Ok(batch)
    }

    fn stand(&mut self, position: Position) {
        if self.mode != Mode::Bulk {
            self.batch.checkpoint = Some((self.batch.records.len(), position));
        }
    }

    fn take(&mut self) -> Batch {
        self.bytes = 0;
        std::mem::replace(&mut self.batch, Batch { target: self.index, ..Batch::default() })
    }

    /// The rest, when there are no more lines.
    pub fn end(mut self) -> Option<Batch> {
        if let Some(last) = self.last {
            self.stand(last);
        }
        (!self.batch.records.is_empty() || self.batch.checkpoint.is_some()).then(|| self.take())
    }
}
