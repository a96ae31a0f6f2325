//! What is known of the captured tables' shapes, and what is done when one differs: `include.schema.changes` and
//! `schema.change.policy`. With neither, nothing is kept.
//!
//! Each shape that was told is stored as an offset of its own (see `shape::Told`), behind the record that told it, so that
//! what changes while the task is stopped is told as well.

use super::{engine::Engine, stream::Streaming};
use crate::{
    catalog::{TableId, TableInfo},
    config::{SchemaPolicy, SourceConfig},
    error::{Error, Result},
    event::{Moment, SchemaChanges, SharedSchemas},
    lsn::Lsn,
    naming::Naming,
    pgoutput::Relation,
    shape::{self, Change, Origin, Shape, Told},
    table::Builder,
};
use levada_connector_api::{SourceOffset, SourceTaskContext};
use std::{collections::HashMap, sync::Arc};

/// Shapes of tables by their numbers, as offsets.
pub type StoredShapes = HashMap<u32, SourceOffset>;

/// Announcements by the tables' numbers, with the catalog's view of that moment.
pub(super) type Unshaped = HashMap<u32, (Relation, Option<TableInfo>)>;

/// What is known of shapes.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: HashMap<u32, Told>,
    /// Those that no chunk has taken along yet.
    fresh: Vec<(u32, SourceOffset)>,
    topic: Option<SchemaChanges>,
    kept: bool,
    /// Whose log is read.
    of: Option<Origin>,
}

impl Shapes {
    /// As the configuration says.
    pub fn new(config: &SourceConfig, naming: &Naming, schemas: &SharedSchemas) -> Self {
        let changes = &config.schema_changes;
        let topic = changes.include.then(|| {
            let topic = changes.topic.as_deref().filter(|topic| !topic.is_empty());
            let topic = Arc::from(topic.unwrap_or(&config.capture.topic_prefix));
            SchemaChanges::new(topic, naming, &schemas.source)
        });
        Self { topic, kept: changes.keeps_shapes(), ..Self::default() }
    }

    /// Takes what is stored of `tables`; what this run of the task has handed on itself is newer.
    pub fn load(
        &mut self,
        context: &dyn SourceTaskContext,
        prefix: &str,
        tables: &[(u32, TableId)],
        handed_on: &StoredShapes,
    ) -> Result<()> {
        if !self.kept {
            return Ok(());
        }
        let partitions: Vec<_> = tables.iter().map(|(oid, _)| shape::partition(prefix, *oid)).collect();
        let stored = context.offsets(&partitions).map_err(|error| Error::Setup(error.to_string()))?;
        let stored = tables.iter().zip(stored).filter_map(|((oid, _), offset)| Some((*oid, offset?)));
        let all = stored.chain(handed_on.iter().map(|(oid, offset)| (*oid, offset.clone())));
        // One that can't be read is as good as none: the table is told anew.
        self.known = all.filter_map(|(oid, offset)| Some((oid, Told::from_offset(&offset).ok()?))).collect();
        Ok(())
    }

    /// Takes the server that is read. `before` is whose log the stored position is of, and with it shapes that do not say
    /// it. Gives whether any was told on another timeline, of which [`Shapes::settle`] has to know where it ended.
    pub fn belong(&mut self, own: Origin, before: Option<&Origin>) -> bool {
        for told in self.known.values_mut() {
            told.of = told.of.take().or_else(|| before.cloned());
        }
        // Numbers of another server's tables mean nothing here: these are told as if they were new.
        self.known.retain(|_, told| told.of.as_ref().is_none_or(|of| of.system == own.system));
        let timelines = self.known.values().filter_map(|told| told.of.as_ref()).map(|of| of.timeline);
        let others = timelines.into_iter().any(|timeline| timeline != own.timeline);
        self.of = Some(own);
        others
    }

    /// Forgets positions that this server's log does not have: behind its end, or behind the end of their timeline. What
    /// differs from such a shape is told anew, and not taken for what was told already.
    pub fn settle(&mut self, end: Lsn, switched: impl Fn(i64) -> Option<Lsn>) {
        let own = self.of.as_ref().map(|of| of.timeline);
        for told in self.known.values_mut() {
            let other = told.of.as_ref().map(|of| of.timeline).filter(|timeline| Some(*timeline) != own);
            let until = other.map_or(end, |timeline| switched(timeline).unwrap_or(Lsn(0)));
            if told.at.0 > until.0 {
                told.at = (0, 0);
            }
        }
    }

    /// Those that go with the next chunk.
    pub fn take_fresh(&mut self) -> Vec<(u32, SourceOffset)> {
        std::mem::take(&mut self.fresh)
    }

    fn keep(&mut self, oid: u32, told: Told) {
        self.fresh.push((oid, told.to_offset()));
        self.known.insert(oid, told);
    }
}

impl Engine {
    /// Keeps an announcement until its first row comes: it has no position of its own.
    pub(super) fn note_shape(&self, streaming: &mut Streaming, relation: Relation, info: Option<TableInfo>) {
        if self.shapes.kept {
            streaming.unshaped.insert(relation.oid, (relation, info));
        }
    }

    /// Compares what was announced with what is known, before the first row of it that was not sent before.
    pub(super) async fn first_row(&mut self, streaming: &mut Streaming, oid: u32, lsn: u64) -> Result<()> {
        let Some((relation, info)) = streaming.unshaped.remove(&oid) else { return Ok(()) };
        let at = (streaming.commit(), lsn);
        let moment = self.moment(streaming, lsn);
        let known = self.shapes.known.get(&oid);
        if known.is_some_and(|known| at < known.at) {
            return Ok(());
        }
        let before = known.map(|known| known.shape.clone());
        let after = shape::shape_of(&relation, info.as_ref(), before.as_ref(), &self.types, self.builder.filters());
        let changes = before.as_ref().map(|before| shape::diff(before, &after)).unwrap_or_default();
        if let Some(text) = self.refused(oid, &after, &changes) {
            // What came before it is handed out.
            self.deliver(streaming).await?;
            let pauses = self.settings.config.schema_changes.policy == SchemaPolicy::Pause;
            return Err(Error::SchemaChange { text, pauses });
        }
        self.tell_shape(oid, before, Told { shape: after, at, of: self.shapes.of.clone() }, &changes, &moment);
        Ok(())
    }

    /// The shape of a table as a snapshot reads it, which has everything up to `moment`.
    pub(super) fn snapshot_shape(&mut self, info: &TableInfo, moment: &Moment, upto: u64) {
        if !self.shapes.kept || self.shapes.known.get(&info.oid).is_some_and(|known| known.at.0 > upto) {
            return;
        }
        let mut relation = Builder::announce(info, self.publication.shows_stored());
        relation.identity = info.replica;
        let identity = if info.replica == b'i' { &info.identity } else { &info.primary };
        for column in &mut relation.columns {
            column.in_identity = info.replica == b'f' || identity.contains(&column.name);
        }
        let before = self.shapes.known.get(&info.oid).map(|known| known.shape.clone());
        let after = shape::shape_of(&relation, Some(info), before.as_ref(), &self.types, self.builder.filters());
        // Rows that are read anew are read as they are: no policy stands before a snapshot.
        let changes = before.as_ref().map(|before| shape::diff(before, &after)).unwrap_or_default();
        let told = Told { shape: after, at: (upto, 0), of: self.shapes.of.clone() };
        self.tell_shape(info.oid, before, told, &changes, moment);
    }

    fn tell_shape(&mut self, oid: u32, before: Option<Shape>, told: Told, changes: &[Change], moment: &Moment) {
        if before.as_ref() == Some(&told.shape) {
            return;
        }
        // Something new is known of it, but nothing has changed.
        let silent = before.is_some() && changes.is_empty();
        if let Some(topic) = self.shapes.topic.as_ref().filter(|_| !silent) {
            self.emitter.schema_change(topic, before.as_ref(), &told.shape, changes, moment, &mut self.batch);
        }
        self.shapes.keep(oid, told);
    }

    /// Why rows of this shape are not handed out, when they are not.
    fn refused(&self, oid: u32, after: &Shape, changes: &[Change]) -> Option<String> {
        let config = &self.settings.config.schema_changes;
        let counts = |change: &&Change| !config.breaking_only || change.breaks();
        let mut counted = changes.iter().filter(counts).peekable();
        if config.policy == SchemaPolicy::Evolve || counted.peek().is_none() {
            return None;
        }
        let print = after.fingerprint(oid);
        if config.accepted.iter().flatten().any(|accepted| accepted.trim() == print) {
            return None;
        }
        let list: Vec<_> = counted.map(ToString::to_string).collect();
        let add = config.accepted.iter().flatten().map(String::as_str).chain([print.as_str()]);
        Some(format!(
            "table {} has changed: {}. None of its rows was handed out since, as schema.change.policy={} says. Accept it by \
             schema.change.accepted={}, or all changes by schema.change.policy=evolve",
            after.table(),
            list.join("; "),
            config.policy.name(),
            add.collect::<Vec<_>>().join(",")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(of: Option<(&str, i64)>, at: u64) -> Told {
        let shape = Shape {
            schema: "s".to_owned(),
            name: "t".to_owned(),
            identity: b'd',
            identity_columns: Vec::new(),
            key: Vec::new(),
            columns: Vec::new(),
        };
        let of = of.map(|(system, timeline)| Origin { system: system.to_owned(), timeline });
        Told { shape, at: (at, 1), of }
    }

    #[test]
    fn what_was_told_elsewhere_is_told_anew() {
        let known = [
            (1, told(Some(("a", 3)), 90)),
            (2, told(Some(("a", 3)), 110)),
            (3, told(Some(("a", 2)), 50)),
            (4, told(Some(("a", 2)), 51)),
            (5, told(Some(("b", 3)), 10)),
            (6, told(None, 40)),
            (7, told(Some(("a", 4)), 10)),
        ];
        let own = Origin { system: "a".to_owned(), timeline: 3 };
        let mut shapes = Shapes { known: known.into(), ..Shapes::default() };
        let before = Origin { system: "a".to_owned(), timeline: 2 };
        assert!(shapes.belong(own.clone(), Some(&before)));
        shapes.settle(Lsn(100), |timeline| (timeline == 2).then_some(Lsn(50)));
        let at = |oid| shapes.known.get(&oid).map(|told: &Told| told.at.0);
        let places: Vec<_> = (1..=7).map(at).collect();
        assert_eq!(places, [Some(90), Some(0), Some(50), Some(0), None, Some(40), Some(0)]);
        let mut shapes = Shapes { known: [(6, told(None, 40))].into(), ..Shapes::default() };
        assert!(!shapes.belong(own, Some(&Origin { system: "b".to_owned(), timeline: 3 })));
        assert!(shapes.known.is_empty(), "it is of the server that the position is of");
    }
}
