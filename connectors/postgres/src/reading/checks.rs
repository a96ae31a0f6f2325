//! What is to be done first: decided from the mode, what is stored and what the server has.

use super::{engine::Engine, gap::Verdict};
use crate::{
    catalog::SlotState,
    config::{SnapshotConfig, SnapshotMode},
    doctor::{self, Facts, Weight},
    error::{Error, Result},
    lsn::Lsn,
    offset::Position,
};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// Read the tables.
    Snapshot {
        /// Drop the slot, if there is one, and make it anew.
        remake: bool,
        /// Go on where an interrupted snapshot stopped.
        keep_progress: bool,
        /// Stream afterwards.
        stream: bool,
    },
    /// Stream: from the stored position, or from `begin`, the slot's own when it names none, and tell a text.
    Stream {
        /// Where, when not at the stored position.
        begin: Option<(Option<Lsn>, Option<String>)>,
    },
    /// Everything that was asked for is done.
    Nothing,
}

/// Decides. `again` says that this run of the task has streamed before.
pub fn course(
    config: &SnapshotConfig,
    position: Option<&Position>,
    has_slot: bool,
    verdict: Option<Verdict>,
    again: bool,
) -> Result<Course> {
    use SnapshotMode::{Always, ConfigurationBased, Custom, Initial, InitialOnly, Never, NoData, WhenNeeded};
    let reads = match config.mode {
        Initial | InitialOnly | Always | WhenNeeded => true,
        NoData | Never | Custom => false,
        ConfigurationBased => config.based_data,
    };
    let streams = match config.mode {
        InitialOnly => false,
        ConfigurationBased => config.based_stream,
        _ => true,
    };
    let mends = match config.mode {
        WhenNeeded | Always => true,
        ConfigurationBased => config.based_data_error,
        _ => false,
    };
    let (Some(position), Some(verdict)) = (position, verdict) else {
        return Ok(match (reads, streams) {
            (true, stream) => Course::Snapshot { remake: false, keep_progress: false, stream },
            (false, true) => Course::Stream { begin: Some((None, None)) },
            (false, false) => Course::Nothing,
        });
    };
    if position.in_snapshot() && reads {
        // Nothing of it counts when changes since its beginning are missing: it begins anew, whatever the mode.
        return Ok(match verdict {
            Verdict::Gap { text, foreign: true, .. } if !mends => return Err(Error::Gap(text)),
            // Going on needs the stream, which brings what has changed in the rows that were read.
            Verdict::Continue => Course::Snapshot { remake: false, keep_progress: streams, stream: streams },
            _ => Course::Snapshot { remake: has_slot, keep_progress: false, stream: streams },
        });
    }
    if !(streams || config.mode == ConfigurationBased && mends) {
        return Ok(Course::Nothing);
    }
    match verdict {
        Verdict::Continue if config.mode == Always && !again => {
            Ok(Course::Snapshot { remake: false, keep_progress: false, stream: true })
        }
        Verdict::Continue => Ok(Course::Stream { begin: None }),
        Verdict::LeaveOut(at, text) => {
            let told = format!("{text}; they are left out, as offset.mismatch.strategy says");
            Ok(Course::Stream { begin: Some((at, Some(told))) })
        }
        Verdict::Gap { remake, .. } if mends => {
            Ok(Course::Snapshot { remake: remake && has_slot, keep_progress: false, stream: streams })
        }
        Verdict::Gap { text, .. } => Err(Error::Gap(text)),
    }
}

impl Engine {
    /// Whether everything is set up; what is not is told all at once.
    pub(super) async fn examine(&self, again: bool) -> Result<()> {
        let facts = Facts::ask(&self.sql, &self.settings.config, self.builder.filters()).await?;
        let findings = doctor::judge(&self.settings.config, &facts);
        for finding in findings.iter().filter(|finding| finding.weight == Weight::Warning && !again) {
            self.settings.context.warn(&format!("{}: {}", finding.key, finding.text));
        }
        doctor::failure(&findings)
    }

    /// Tells of a slot that nothing is streamed from, so that nobody ever advances it.
    pub(super) fn tell_unused(&self, is_there: bool) {
        if is_there {
            let name = self.slot.name();
            self.settings.context.warn(&format!(
                "replication slot {name} exists, and nothing is streamed from it with this snapshot.mode: the server keeps \
                 its log for it until the disk is full. Unless somebody else uses it run: SELECT \
                 pg_drop_replication_slot('{name}')"
            ));
        }
    }

    /// Tells the operator's log of the slot.
    pub(super) fn show_slot(&self, slot: &SlotState) {
        tracing::info!(
            slot = self.slot.name(),
            retained_bytes = slot.retained,
            wal_status = slot.wal_status,
            active_pid = slot.active_pid,
            "replication slot"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::{Config, ConnectorConfig};

    fn mode(mode: &str) -> SnapshotConfig {
        SnapshotConfig::parse(&Config::from_iter([("snapshot.mode".to_owned(), mode.to_owned())])).unwrap()
    }

    fn gap() -> Verdict {
        Verdict::Gap { text: "gone".to_owned(), remake: true, foreign: false }
    }

    fn snapshot(remake: bool, keep_progress: bool, stream: bool) -> Course {
        Course::Snapshot { remake, keep_progress, stream }
    }

    #[test]
    fn nothing_stored_means_a_snapshot_where_the_mode_has_one() {
        let first = |name: &str| course(&mode(name), None, false, None, false).unwrap();
        for name in ["initial", "always", "when_needed"] {
            assert_eq!(first(name), snapshot(false, false, true), "{name}");
        }
        assert_eq!(first("initial_only"), snapshot(false, false, false));
        assert_eq!(first("no_data"), Course::Stream { begin: Some((None, None)) });
        assert_eq!(first("configuration_based"), Course::Nothing);
    }

    #[test]
    fn a_stored_position_is_gone_on_with_or_the_gap_is_told() {
        let stored = Position { lsn: 5, snapshot: Some(true), ..Position::default() };
        let then = |name: &str, verdict, again| course(&mode(name), Some(&stored), true, Some(verdict), again);
        assert_eq!(then("initial", Verdict::Continue, false).unwrap(), Course::Stream { begin: None });
        assert_eq!(then("always", Verdict::Continue, false).unwrap(), snapshot(false, false, true));
        assert_eq!(then("always", Verdict::Continue, true).unwrap(), Course::Stream { begin: None });
        assert!(then("initial", gap(), false).is_err());
        assert!(then("no_data", gap(), false).is_err());
        assert_eq!(then("when_needed", gap(), false).unwrap(), snapshot(true, false, true));
        assert_eq!(then("initial_only", Verdict::Continue, false).unwrap(), Course::Nothing);
    }

    #[test]
    fn an_interrupted_snapshot_goes_on_while_the_slot_is_there() {
        let stored = Position { lsn: 5, snapshot: Some(false), ..Position::default() };
        let then = |verdict, slot| course(&mode("initial"), Some(&stored), slot, Some(verdict), false).unwrap();
        assert_eq!(then(Verdict::Continue, true), snapshot(false, true, true));
        let only = course(&mode("initial_only"), Some(&stored), true, Some(Verdict::Continue), false);
        assert_eq!(only.unwrap(), snapshot(false, false, false), "nothing brings what changed since");
        assert_eq!(then(gap(), false), snapshot(false, false, true));
        // By the kind of the gap, whatever its text is.
        let foreign = Verdict::Gap { text: "gone".to_owned(), remake: false, foreign: true };
        let judged = |name: &str| course(&mode(name), Some(&stored), false, Some(foreign.clone()), false);
        assert!(judged("initial").is_err());
        assert_eq!(judged("when_needed").unwrap(), snapshot(false, false, true));
    }
}
