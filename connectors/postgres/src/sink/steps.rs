//! The parts of a batch: its records gathered per table, in the order that matters.

use super::{
    config::InsertMode,
    event::{Change, Placeholder},
    plan::Plan,
    rows::Rows,
    schema::Table,
    write::Writer,
};
use crate::error::Error;
use levada_connector_api::SinkRecord;
use std::{collections::HashMap, sync::Arc};

/// What a record asks for, with its plan.
pub enum Job<'a> {
    /// A row, or its deletion.
    Row(Change<'a>, Arc<Plan>),
    /// An empty table.
    Truncate(Arc<Table>),
}

/// A record that asks for something.
pub struct Planned<'a> {
    /// The record.
    pub record: &'a SinkRecord,
    /// What it asks for.
    pub job: Job<'a>,
}

/// A part of a batch, in order for each table.
pub enum Step {
    /// Rows of a table.
    Rows(Box<Rows>),
    /// A table that is emptied.
    Truncate(Arc<Table>),
}

/// What is the same for all records of a task.
pub struct How<'a> {
    /// How rows are written.
    pub mode: InsertMode,
    /// What stands for values that were not sent.
    pub placeholder: &'a Placeholder,
}

/// A record with its place in the batch.
pub type Place<'a> = (usize, &'a SinkRecord);

/// Gathers records per table, until there are `limit` bytes; gives the count of those that are in.
pub fn steps<'p, 'a: 'p>(
    planned: impl Iterator<Item = &'p (usize, Planned<'a>)> + Clone,
    limit: usize,
    how: &How<'_>,
    bad: &mut Vec<(Place<'a>, String)>,
) -> (Vec<Step>, usize) {
    // Tables only ever grow behind their columns, so the widest view of one serves all its plans.
    let mut widest: HashMap<u32, &Arc<Table>> = HashMap::new();
    for (_, entry) in planned.clone() {
        if let Job::Row(_, plan) = &entry.job {
            let known = widest.entry(plan.table.oid).or_insert(&plan.table);
            if known.columns.len() < plan.table.columns.len() {
                *known = &plan.table;
            }
        }
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut last: HashMap<u32, usize> = HashMap::new();
    let (mut bytes, mut taken_in) = (0, 0);
    for (at, entry) in planned {
        if bytes >= limit {
            break;
        }
        taken_in += 1;
        match &entry.job {
            Job::Truncate(table) => {
                last.insert(table.oid, steps.len());
                steps.push(Step::Truncate(Arc::clone(table)));
            }
            Job::Row(change, plan) => {
                let rows = rows_for(&mut steps, &mut last, &widest, plan, change, how.mode);
                let Some(rows) = rows else { continue };
                let before = rows.bytes();
                let taken = match change {
                    Change::Delete => rows.delete(plan, entry.record),
                    Change::Row(row) => rows.write(plan, entry.record, Some(row), how.placeholder),
                    _ => rows.write(plan, entry.record, None, how.placeholder),
                };
                bytes += rows.bytes() - before;
                if let Err(reason) = taken {
                    bad.push(((*at, entry.record), reason));
                }
            }
        }
    }
    (steps, taken_in)
}

impl Planned<'_> {
    /// Which row it is about: the table, and the texts of its key columns. `None` where rows have no key, or it is none.
    pub fn row_key(&self, placeholder: &Placeholder) -> Option<(u32, Box<[u8]>)> {
        let Job::Row(change, plan) = &self.job else { return None };
        if plan.keys.is_empty() {
            return None;
        }
        let mut rows = Rows::new(Arc::clone(&plan.table), Arc::clone(&plan.keys), InsertMode::Upsert, false);
        let taken = match change {
            Change::Delete => rows.delete(plan, self.record),
            Change::Row(row) => rows.write(plan, self.record, Some(row), placeholder),
            _ => rows.write(plan, self.record, None, placeholder),
        };
        taken.ok().and_then(|()| rows.first_key()).map(|key| (plan.table.oid, key))
    }
}

/// The rows that a change goes to: those of its table that came last, where it may go in behind them.
fn rows_for<'s>(
    steps: &'s mut Vec<Step>,
    last: &mut HashMap<u32, usize>,
    widest: &HashMap<u32, &Arc<Table>>,
    plan: &Plan,
    change: &Change<'_>,
    mode: InsertMode,
) -> Option<&'s mut Rows> {
    let delete = matches!(change, Change::Delete);
    let fitting = last.get(&plan.table.oid).copied();
    let fits = fitting.is_some_and(|at| matches!(steps.get(at), Some(Step::Rows(rows)) if rows.takes(plan, delete)));
    let at = match fitting {
        Some(at) if fits => at,
        _ => {
            let table = widest.get(&plan.table.oid).map_or(&plan.table, |table| *table);
            let rows = Rows::new(Arc::clone(table), Arc::clone(&plan.keys), mode, delete);
            steps.push(Step::Rows(Box::new(rows)));
            last.insert(plan.table.oid, steps.len() - 1);
            steps.len() - 1
        }
    };
    match steps.get_mut(at) {
        Some(Step::Rows(rows)) => Some(rows),
        _ => None,
    }
}

/// Writes the parts, in order.
pub async fn run(mut writer: Writer<'_>, steps: &[Step]) -> Result<(), Error> {
    for step in steps {
        match step {
            Step::Rows(rows) => writer.rows(rows).await?,
            Step::Truncate(table) => {
                let action = format!("table {} can't be emptied", table.name);
                writer.session.run(&action, &format!("TRUNCATE {}", table.sql)).await?;
            }
        }
    }
    Ok(())
}
