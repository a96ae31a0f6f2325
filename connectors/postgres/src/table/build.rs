//! Makes a table's plan from what the server announces, and from the catalog what it does not: keys, defaults, NOT NULL.

use super::{ColumnPlan, KeyPart, KeyPlan, Table, parameters, zero::missing};
use crate::{
    catalog::TableInfo,
    config::TypesConfig,
    datatype::{Codec, Kind, Placeholder, TypeRegistry, default_value},
    filter::Filters,
    mask::{Mask, Masks},
    naming::Naming,
    pgoutput::{Relation, RelationColumn},
};
use levada_connector_api::{Field, Schema, SchemaType, Str, Value};
use std::sync::Arc;

/// Makes tables.
pub struct Builder {
    types_config: TypesConfig,
    placeholder: Placeholder,
    filters: Filters,
    masks: Masks,
    naming: Naming,
    source_schema: Arc<Schema>,
    transaction_schema: Arc<Schema>,
}

/// A column on its way into a plan.
struct Column {
    name: String,
    schema: Schema,
    /// The schema within a key, where it is another.
    key_schema: Option<Schema>,
    plan: ColumnPlan,
}

impl Builder {
    /// With the schemas that all events share.
    pub fn new(
        types_config: TypesConfig,
        filters: Filters,
        masks: Masks,
        naming: Naming,
        source_schema: Arc<Schema>,
        transaction_schema: Arc<Schema>,
    ) -> Self {
        let placeholder = Placeholder::new(&types_config.placeholder);
        Self { types_config, placeholder, filters, masks, naming, source_schema, transaction_schema }
    }

    /// What is captured.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// The announcement that the server would make of a table as the catalog has it, for snapshots. `stored`
    /// says whether stored generated columns are replicated.
    pub fn announce(info: &TableInfo, stored: bool) -> Relation {
        let key = info.key();
        let column = |column: &crate::catalog::CatalogColumn| RelationColumn {
            in_identity: key.contains(&column.name),
            name: column.name.clone(),
            type_oid: column.type_oid,
            modifier: column.modifier,
        };
        Relation {
            oid: info.oid,
            schema: info.id.schema.clone(),
            name: info.id.name.clone(),
            identity: b'd',
            columns: info
                .columns
                .iter()
                .filter(|column| !column.generated || stored && column.stored)
                .map(column)
                .collect(),
        }
    }

    /// The topic of a table.
    pub fn topic(&self, id: &crate::catalog::TableId) -> Arc<str> {
        self.naming.table(&id.schema, &id.name)
    }

    /// The plan of a table. `info` is the catalog's present view of it, which may be newer than the announcement or gone.
    pub fn table(&self, relation: &Relation, info: Option<&TableInfo>, types: &TypeRegistry) -> Table {
        let (schema, name) = (relation.schema.as_str(), relation.name.as_str());
        let topic = self.naming.table(schema, name);
        let keys = self.key_columns(relation, info);
        let mut columns: Vec<_> = relation
            .columns
            .iter()
            .map(|column| self.column(relation, column, info, types, keys.contains(&column.name)))
            .collect();
        let mut value_schema = Schema::new(SchemaType::Struct).named(self.naming.schema(&format!("{topic}.Value")));
        value_schema.optional = true;
        for column in columns.iter().flatten().filter(|column| column.plan.in_value) {
            let mut field = column.schema.clone();
            if let Some(mask) = &column.plan.mask {
                let (parameter, text) = mask.parameter();
                field.parameters.insert(parameter.to_owned(), text);
            }
            let name = self.naming.field(&column.name);
            value_schema.fields.push(Field { name, schema: Arc::new(field) });
        }
        let value_schema = Arc::new(value_schema);
        let key = self.key(&topic, &keys, &mut columns);
        let in_value = |(place, column): (usize, &Option<Column>)| {
            column.as_ref().is_some_and(|column| column.plan.in_value).then_some(place)
        };
        let fields = columns.iter().enumerate().filter_map(in_value).collect();
        let row_keys = [row_key(relation, info, &Self::own_key(relation, info)), row_key(relation, info, &keys)];
        Table {
            id: crate::catalog::TableId { schema: schema.to_owned(), name: name.to_owned() },
            envelope_schema: Arc::new(self.envelope(&topic, &value_schema)),
            schema_name: Str::from(schema),
            name: Str::from(name),
            columns: columns.into_iter().map(|column| column.map(|column| column.plan)).collect(),
            value_schema,
            key,
            names: relation.columns.iter().map(|column| column.name.clone()).collect(),
            key_places: (0..relation.columns.len())
                .filter(|place| relation.columns.get(*place).is_some_and(|column| keys.contains(&column.name)))
                .collect(),
            most: usize::try_from(self.types_config.max_value).ok().filter(|most| *most > 0).unwrap_or(usize::MAX),
            fields,
            row_keys,
            topic,
        }
    }

    /// Names of the key's columns. Where the announcement and the catalog differ about the primary key, as while its
    /// definition changes, the announcement is right: it is of the time of the change.
    fn key_columns(&self, relation: &Relation, info: Option<&TableInfo>) -> Vec<String> {
        let sent = |name: &String| relation.columns.iter().any(|column| column.name == *name);
        if let Some(columns) = self.filters.key_columns(&relation.schema, &relation.name) {
            let columns: Vec<_> = columns.iter().filter(|name| sent(name)).cloned().collect();
            // A start tells of columns that are not there; those that go later leave the table its own key.
            return if columns.is_empty() { Self::own_key(relation, info) } else { columns };
        }
        Self::own_key(relation, info)
    }

    fn own_key(relation: &Relation, info: Option<&TableInfo>) -> Vec<String> {
        let sent = |name: &String| relation.columns.iter().any(|column| column.name == *name);
        let of_catalog = info.map(TableInfo::key).unwrap_or_default();
        let announced = relation.columns.iter().filter(|column| column.in_identity).map(|column| column.name.clone());
        let announced: Vec<_> = announced.collect();
        let differs = announced.len() != of_catalog.len() || !announced.iter().all(|name| of_catalog.contains(name));
        if matches!(relation.identity, b'd' | b'i') && !announced.is_empty() && differs {
            return announced;
        }
        of_catalog.iter().filter(|name| sent(name)).cloned().collect()
    }

    fn column(
        &self,
        relation: &Relation,
        column: &RelationColumn,
        info: Option<&TableInfo>,
        types: &TypeRegistry,
        in_key: bool,
    ) -> Option<Column> {
        let (schema, table) = (relation.schema.as_str(), relation.name.as_str());
        let in_value = self.filters.column(schema, table, &column.name);
        if !in_value && !in_key {
            return None;
        }
        let codec = Codec::of(&self.types_config, types, &self.placeholder, column.type_oid, column.modifier)?;
        let known = info.and_then(|info| info.columns.iter().find(|known| known.name == column.name));
        let mut field = codec.schema.clone();
        field.optional = !known.is_some_and(|known| known.not_null);
        let root = types.root(column.type_oid, column.modifier);
        if let (Some(expression), Some((info, ..))) = (known.and_then(|known| known.default.as_ref()), root) {
            let type_name = if matches!(info.kind, Kind::Enum(_)) { "enum" } else { &info.name };
            let scale = parameters::length_and_scale(&info.name, root.map_or(-1, |(.., modifier)| modifier)).1;
            field.default = default_value(&codec, type_name, scale, expression);
        }
        let mut key_schema = None;
        let type_name = types.get(column.type_oid).map_or("", |info| info.name.as_str());
        if self.filters.propagates(schema, table, &column.name, type_name) {
            // Keys stay without, as upstream.
            key_schema = in_key.then(|| field.clone());
            parameters::propagate(&mut field, types, &column.name, column.type_oid, column.modifier);
        }
        let length = root.and_then(|(info, _, modifier)| parameters::length_and_scale(&info.name, modifier).0);
        let mask = self.masks.of(schema, table, &column.name, length.and_then(|length| usize::try_from(length).ok()));
        let texts = |mask: &Mask| field.kind == SchemaType::String || matches!(mask, Mask::Truncate(_));
        let mask = mask.filter(texts);
        let plan = ColumnPlan {
            missing: missing(&field),
            marked: mask.is_none() && is_telling(&codec.placeholder),
            placeholder: if codec.placeholder.is_null() { missing(&field) } else { codec.placeholder },
            decode: codec.decode,
            extra: in_key && (!in_value || mask.is_some()),
            mask,
            in_value,
        };
        Some(Column { name: column.name.clone(), schema: field, key_schema, plan })
    }

    fn key(&self, topic: &str, names: &[String], columns: &mut [Option<Column>]) -> Option<KeyPlan> {
        let mut schema = Schema::new(SchemaType::Struct).named(self.naming.schema(&format!("{topic}.Key")));
        let mut parts = Vec::new();
        for name in names {
            let (mut value, mut extra) = (0, 0);
            for column in columns.iter().flatten() {
                if column.name == *name {
                    let part = if column.plan.extra { KeyPart::Extra(extra) } else { KeyPart::Value(value) };
                    let field = column.key_schema.as_ref().unwrap_or(&column.schema);
                    let field = Field { name: self.naming.field(name), schema: Arc::new(field.clone()) };
                    schema.fields.push(field);
                    parts.push(part);
                    break;
                }
                value += usize::from(column.plan.in_value);
                extra += usize::from(column.plan.extra);
            }
        }
        (!parts.is_empty()).then(|| KeyPlan { schema: Arc::new(schema), parts })
    }

    fn envelope(&self, topic: &str, row: &Arc<Schema>) -> Schema {
        let number = || Arc::new(Schema::new(SchemaType::Int64).optional());
        let mut schema = Schema::structure([
            ("before", Arc::clone(row)),
            ("after", Arc::clone(row)),
            ("source", Arc::clone(&self.source_schema)),
            ("transaction", Arc::clone(&self.transaction_schema)),
            ("op", Arc::new(Schema::new(SchemaType::String))),
            ("ts_ms", number()),
            ("ts_us", number()),
            ("ts_ns", number()),
        ])
        .named(self.naming.schema(&format!("{topic}.Envelope")));
        schema.version = Some(2);
        schema
    }
}

/// Whether what stands for a value that was not sent can be told from one.
fn is_telling(placeholder: &Value) -> bool {
    match placeholder {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// Places and types of a key's columns; empty when one of them is not there.
fn row_key(relation: &Relation, info: Option<&TableInfo>, key: &[String]) -> Vec<(usize, String)> {
    let part = |name: &String| {
        let place = relation.columns.iter().position(|column| column.name == *name)?;
        let known = info?.columns.iter().find(|column| column.name == *name)?;
        Some((place, known.type_text.clone()))
    };
    key.iter().map(part).collect::<Option<_>>().unwrap_or_default()
}
