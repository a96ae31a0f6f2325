//! Which columns a record's fields go to: worked out once for each pair of schemas of a topic.

use super::{
    config::Settings,
    encode::Encode,
    event,
    fields::NewColumn,
    naming::{self, TableName},
    schema::{self, NoColumn, Table},
    session::Session,
    wanted::{Source, Wanted, wanted},
};
use crate::error::Error;
use levada_connector_api::{Schema, SinkRecord, Value};
use std::{collections::HashMap, sync::Arc};

/// Plans and pointers kept; beyond it all are made anew (invariant 9).
const MAX_PLANS: usize = 4096;

/// A column that a record fills.
#[derive(Debug)]
pub struct PlanColumn {
    /// Its place in the table.
    pub target: usize,
    /// Where its value comes from.
    pub source: Source,
    /// How it becomes text.
    pub encode: Encode,
    /// What is written for null.
    pub default: Option<Value>,
    /// Whether it is part of the key.
    pub key: bool,
}

/// What is known of records of one topic and one pair of schemas.
#[derive(Debug)]
pub struct Plan {
    /// The table.
    pub table: Arc<Table>,
    /// Columns in order of the fields.
    pub columns: Vec<PlanColumn>,
    /// Places of the key columns in the table.
    pub keys: Arc<[usize]>,
    /// Fields of the row's schema.
    pub width: usize,
}

/// Why there is no plan.
#[derive(Debug)]
pub enum PlanError {
    /// The record does not fit.
    Record(String),
    /// The server refused.
    Server(Error),
}

impl From<Error> for PlanError {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    topic: Arc<str>,
    table: Option<String>,
    /// Addresses of the schemas, which the plan's entry keeps alive.
    key: usize,
    value: usize,
}

struct Entry {
    plan: Arc<Plan>,
    key: Option<Arc<Schema>>,
    value: Option<Arc<Schema>>,
}

/// Plans and tables that are known.
#[derive(Default)]
pub struct Plans {
    entries: HashMap<Identity, Entry>,
    tables: HashMap<TableName, Arc<Table>>,
}

fn address(schema: Option<&Arc<Schema>>) -> usize {
    schema.map_or(0, |schema| Arc::as_ptr(schema) as usize)
}

impl Plans {
    /// Forgets everything: tables may have changed.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.tables.clear();
    }

    /// The plan of a record; makes and grows its table where that is allowed. `None` when its table is missing and only a
    /// deletion asks for it.
    pub async fn plan(
        &mut self,
        session: &Session,
        settings: &Settings,
        record: &SinkRecord,
    ) -> Result<Option<Arc<Plan>>, PlanError> {
        let table = settings.naming.by_record().then(|| settings.naming.text(record)).transpose();
        let identity = Identity {
            topic: Arc::clone(&record.topic),
            table: table.map_err(PlanError::Record)?,
            key: address(record.key_schema.as_ref()),
            value: address(record.value_schema.as_ref()),
        };
        if let Some(entry) = self.entries.get(&identity) {
            return Ok(Some(Arc::clone(&entry.plan)));
        }
        let (key, value) = (record.key_schema.clone(), record.value_schema.clone());
        let same = |known: &Identity, entry: &Entry| {
            known.topic == identity.topic && known.table == identity.table && entry.key == key && entry.value == value
        };
        let known = self.entries.iter().find(|(known, entry)| same(known, entry)).map(|(_, entry)| &entry.plan);
        let plan = match known {
            Some(plan) => Arc::clone(plan),
            None => match self.make(session, settings, record).await? {
                Some(plan) => Arc::new(plan),
                None => return Ok(None),
            },
        };
        if self.entries.len() >= MAX_PLANS {
            self.entries.clear();
        }
        self.entries.insert(identity, Entry { plan: Arc::clone(&plan), key, value });
        Ok(Some(plan))
    }

    /// The table of a record, for a truncation.
    pub async fn table_of(
        &mut self,
        session: &Session,
        settings: &Settings,
        record: &SinkRecord,
    ) -> Result<Option<Arc<Table>>, PlanError> {
        let name = table_name(settings, record).map_err(PlanError::Record)?;
        Ok(self.table(session, &name).await?)
    }

    async fn table(&mut self, session: &Session, name: &TableName) -> Result<Option<Arc<Table>>, Error> {
        if let Some(table) = self.tables.get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        let loaded = schema::load(session, name).await?.map(Arc::new);
        if let Some(table) = &loaded {
            self.tables.insert(name.clone(), Arc::clone(table));
        }
        Ok(loaded)
    }

    async fn make(
        &mut self,
        session: &Session,
        settings: &Settings,
        record: &SinkRecord,
    ) -> Result<Option<Plan>, PlanError> {
        let name = table_name(settings, record).map_err(PlanError::Record)?;
        let wanted = wanted(settings, record).map_err(PlanError::Record)?;
        let mut table = self.table(session, &name).await?;
        if table.is_none() && record.value_schema.is_none() {
            return Ok(None);
        }
        if table.is_none() {
            create(session, settings, &name, &wanted).await?;
            table = self.table(session, &name).await?;
        }
        let gone = || Error::server(format!("table {name} can't be used"), "42P01", "it is not there");
        let mut table = table.ok_or_else(gone)?;
        if let Some(missing) = missing(settings, &table, &wanted).map_err(PlanError::Record)? {
            let extensions = schema::extensions(session).await?;
            let columns = missing.iter().map(|field| new_column(field, settings, &extensions));
            let columns = columns.collect::<Result<Vec<_>, _>>().map_err(PlanError::Record)?;
            if let Some(needed) = columns.iter().find(|column| column.not_null && column.default.is_none()) {
                return Err(PlanError::Record(format!(
                    "table {} has no column {}, and its field is required without a default, so that the rows that are \
                     there could not have it; add the column yourself",
                    table.name, needed.name
                )));
            }
            schema::add_columns(session, &table, &columns).await?;
            // Plans of the same table stay right: columns are only ever added behind the others.
            self.tables.remove(&name);
            table = self.table(session, &name).await?.ok_or_else(gone)?;
        }
        finish(settings, &table, wanted, record).map(Some).map_err(PlanError::Record)
    }
}

fn finish(settings: &Settings, table: &Arc<Table>, wanted: Vec<Wanted>, record: &SinkRecord) -> Result<Plan, String> {
    let mut columns: Vec<PlanColumn> = Vec::with_capacity(wanted.len());
    for field in wanted {
        let target = find(table, &field.name)?;
        let Some(column) = table.columns.get(target) else { continue };
        if column.generated {
            continue;
        }
        if columns.iter().any(|other| other.target == target) {
            return Err(format!("two fields of the record are for column {} of table {}", column.name, table.name));
        }
        let encode = Encode::of(&field.schema, &column.kind, !settings.utc)
            .map_err(|reason| format!("field {} of table {}: {reason}", field.name, table.name))?;
        let default = field.schema.default.clone().filter(|_| settings.replace_null);
        columns.push(PlanColumn { target, source: field.source, encode, default, key: field.key });
    }
    let keys: Arc<[usize]> = columns.iter().filter(|column| column.key).map(|column| column.target).collect();
    if columns.is_empty() {
        return Err(format!("the record has no field for a column of table {}", table.name));
    }
    let width = record.value_schema.as_ref().map_or(0, |schema| event::row_schema(schema).fields.len());
    Ok(Plan { table: Arc::clone(table), columns, keys, width })
}

fn table_name(settings: &Settings, record: &SinkRecord) -> Result<TableName, String> {
    let text = settings.naming.text(record)?;
    naming::parse(&text, settings.fold, &settings.login.database, settings.keys.table)
}

fn find(table: &Table, name: &str) -> Result<usize, String> {
    table.column(name).map_err(|none| match none {
        NoColumn::Missing => format!("table {} has no column {name}; it has {}", table.name, table.column_names()),
        NoColumn::Ambiguous(names) => format!(
            "table {} has no column {name}, and several that differ in case: {}; rename the field to one of them",
            table.name,
            names.join(", ")
        ),
    })
}

fn new_column(
    field: &Wanted,
    settings: &Settings,
    extensions: &super::fields::Extensions,
) -> Result<NewColumn, String> {
    NewColumn::of(&field.name, &field.schema, field.key, settings, extensions)
        .map_err(|reason| format!("field {}: {reason}", field.name))
}

async fn create(session: &Session, settings: &Settings, name: &TableName, wanted: &[Wanted]) -> Result<(), PlanError> {
    if !settings.create {
        let (create, evolve) = (settings.keys.create, settings.keys.evolve);
        let mend = if create == evolve {
            format!("{create}=basic (now none) to have it made and columns added")
        } else {
            format!("{create}=true (now false) to have it made, and {evolve}=true to have columns added")
        };
        return Err(PlanError::Server(Error::Setup(format!("there is no table {name}; make it, or set {mend}"))));
    }
    let extensions = schema::extensions(session).await?;
    let columns = wanted.iter().map(|field| new_column(field, settings, &extensions));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(PlanError::Record)?;
    let keys: Vec<_> = wanted.iter().filter(|field| field.key).map(|field| field.name.clone()).collect();
    Ok(schema::create(session, name, &columns, &keys).await?)
}

/// Fields that the table has no column for, when they may be added.
fn missing<'a>(settings: &Settings, table: &Table, wanted: &'a [Wanted]) -> Result<Option<Vec<&'a Wanted>>, String> {
    let none = |field: &&Wanted| table.column(&field.name) == Err(NoColumn::Missing);
    let missing: Vec<_> = wanted.iter().filter(none).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    if !settings.evolve {
        let names: Vec<_> = missing.iter().map(|field| field.name.as_str()).collect();
        return Err(format!(
            "table {} has no column {}; it has {}. Add what is missing, leave the field out, or set {} to have columns \
             added",
            table.name,
            names.join(", "),
            table.column_names(),
            settings.keys.evolve
        ));
    }
    Ok(Some(missing))
}
