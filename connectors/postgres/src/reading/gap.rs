//! Whether slot and server still have everything behind a stored position: pure, so that every case can be tried.

use crate::{catalog::SlotState, config::MismatchStrategy, lsn::Lsn, offset::Position};
use std::fmt::Write;

/// What the server says of itself.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// Its identity, made when it was set up.
    pub system: String,
    /// Its timeline.
    pub timeline: i64,
    /// End of its log.
    pub end: Lsn,
    /// Where the timeline of the stored position ended, when it is another one.
    pub switched: Option<Lsn>,
    /// Name of the publication, when it was made behind the stored position.
    pub republished: Option<String>,
    /// Captured tables, for SQL, that it showed at the stored position and shows no more.
    pub unpublished: Vec<String>,
}

/// What is to be done about a stored position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is missing.
    Continue,
    /// The user said that what lies between is to be left out: go on at this position, or at a new slot.
    LeaveOut(Option<Lsn>, String),
    /// Something is missing. `remake` says whether the slot is of no use.
    Gap {
        /// What, and how it is mended.
        text: String,
        /// Whether a new slot is needed.
        remake: bool,
        /// Whether the position is of another server: nobody can say what is missing.
        foreign: bool,
    },
}

/// Compares a stored position with what is there. `now_micros` tells how long ago it was.
pub fn judge(
    slot_name: &str,
    position: &Position,
    slot: Option<&SlotState>,
    server: &ServerFacts,
    strategy: MismatchStrategy,
    now_micros: i64,
) -> Verdict {
    let stored = Lsn(position.resume().from);
    if let Some(system) = position.system.as_deref().filter(|system| *system != server.system) {
        let text = format!(
            "another server is behind this address: the stored position {stored} is of system {system}, this one is \
             {}. If that is meant, reset the connector's offsets (DELETE /connectors/NAME/offsets) for a new snapshot",
            server.system
        );
        return Verdict::Gap { text, remake: false, foreign: true };
    }
    if stored > server.end {
        let text = format!(
            "the server's log ends at {}, before the stored position {stored}: it was restored or lost its last \
             changes. Reset the connector's offsets for a new snapshot",
            server.end
        );
        return Verdict::Gap { text, remake: true, foreign: false };
    }
    if let Some(switched) = server.switched.filter(|switched| *switched < stored) {
        let text = format!(
            "the server went on at {switched} on timeline {}, before the stored position {stored}: changes between were \
             sent that it does not have, and others in their place would be missed. Reset the connector's offsets for \
             a new snapshot",
            server.timeline
        );
        return Verdict::Gap { text, remake: true, foreign: false };
    }
    let trust = matches!(strategy, MismatchStrategy::TrustSlot | MismatchStrategy::TrustGreaterLsn);
    let missing = |what: String, until: Lsn| format!("{what}: {}", lost(stored, until, position.micros, now_micros));
    let mend = "Set snapshot.mode=when_needed to read the tables anew, or offset.mismatch.strategy=trust_slot to go on \
                without these changes";
    let (text, remake, at) = match slot {
        None => (missing(format!("replication slot {slot_name} is gone"), server.end), true, None),
        Some(slot) if slot.wal_status == "lost" || slot.invalid.is_some() || slot.confirmed.is_none() => {
            let why = reason(slot.invalid.as_deref());
            (missing(format!("replication slot {slot_name} can't be used any more ({why})"), server.end), true, None)
        }
        Some(slot) => match slot.confirmed {
            Some(confirmed) if confirmed > stored => {
                let what =
                    format!("replication slot {slot_name} begins at {confirmed}, behind the stored position {stored}");
                // Before PostgreSQL 18 a slot can't be read where its publication was not there.
                (missing(what, confirmed), server.republished.is_some(), Some(confirmed))
            }
            _ => match (&server.republished, server.unpublished.as_slice()) {
                (Some(name), _) => {
                    let what =
                        format!("publication {name} was dropped or made anew since the stored position {stored}");
                    (missing(what, server.end), true, Some(stored))
                }
                (None, []) => return Verdict::Continue,
                (None, tables) => (missing(taken_out(tables, stored), server.end), false, Some(stored)),
            },
        },
    };
    if trust {
        return Verdict::LeaveOut(at, text);
    }
    Verdict::Gap { text: format!("{text}. {mend}"), remake, foreign: false }
}

/// What of `tables` is missing.
fn taken_out(tables: &[String], stored: Lsn) -> String {
    let mut named = tables.get(..5).unwrap_or(tables).join(", ");
    if tables.len() > 5 {
        let _ = write!(named, " and {} more", tables.len() - 5);
    }
    format!(
        "captured tables were taken out of the publication since the stored position {stored} (leave them out by \
         table.exclude.list where that is meant): {named}"
    )
}

/// Why a slot can't be used any more, by PostgreSQL's word for it where there is one, with the setting to look at.
fn reason(invalid: Option<&str>) -> String {
    match invalid {
        None | Some("wal_removed") => "its log was removed, see max_slot_wal_keep_size".to_owned(),
        Some("idle_timeout") => "it was idle for longer than idle_replication_slot_timeout".to_owned(),
        Some("wal_level_insufficient") => "wal_level was lowered from logical".to_owned(),
        Some("rows_removed") => "rows it needs were removed on the primary, see hot_standby_feedback".to_owned(),
        Some(other) => other.to_owned(),
    }
}

/// The gap in bytes and time.
fn lost(from: Lsn, to: Lsn, micros: i64, now_micros: i64) -> String {
    let bytes = to.0.saturating_sub(from.0);
    let mut text = format!("changes between {from} and {to} are missing ({bytes} bytes of log");
    let seconds = now_micros.saturating_sub(micros) / 1_000_000;
    if micros > 0 && seconds >= 0 {
        let _ = write!(text, ", the last stored one is {seconds} seconds old");
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(confirmed: u64) -> SlotState {
        SlotState {
            plugin: "pgoutput".to_owned(),
            database: "d".to_owned(),
            active_pid: None,
            confirmed: Some(Lsn(confirmed)),
            wal_status: "reserved".to_owned(),
            invalid: None,
            retained: 0,
            behind: 0,
            safe: None,
        }
    }

    fn verdict(
        position: &Position,
        slot: Option<&SlotState>,
        switched: Option<u64>,
        strategy: MismatchStrategy,
    ) -> Verdict {
        judge("s", position, slot, &server(switched), strategy, 9_000_000)
    }

    fn server(switched: Option<u64>) -> ServerFacts {
        let (system, switched) = ("1".to_owned(), switched.map(Lsn));
        ServerFacts { system, timeline: 2, end: Lsn(1000), switched, republished: None, unpublished: Vec::new() }
    }

    #[test]
    fn a_publication_made_anew_is_a_gap_that_needs_a_new_slot() {
        let at = Position { lsn: 500, ..Position::default() };
        let server = ServerFacts { republished: Some("pub".to_owned()), ..server(None) };
        let judged = |confirmed, strategy| judge("s", &at, Some(&slot(confirmed)), &server, strategy, 0);
        for confirmed in [400, 600] {
            let Verdict::Gap { text, remake, .. } = judged(confirmed, MismatchStrategy::NoValidation) else { panic!() };
            assert!(remake && text.contains("when_needed"), "{text}");
        }
        let Verdict::LeaveOut(place, text) = judged(400, MismatchStrategy::TrustSlot) else { panic!() };
        assert_eq!(place, Some(Lsn(500)));
        assert!(text.contains("publication pub was dropped or made anew") && text.contains("500 bytes"), "{text}");
    }

    #[test]
    fn tables_taken_out_of_the_publication_are_a_gap_that_needs_no_new_slot() {
        let at = Position { lsn: 500, ..Position::default() };
        let tables: Vec<_> = (1..=7).map(|number| format!("t{number}")).collect();
        let server = ServerFacts { unpublished: tables, ..server(None) };
        let judged = |strategy| judge("s", &at, Some(&slot(400)), &server, strategy, 0);
        let Verdict::Gap { text, remake, .. } = judged(MismatchStrategy::NoValidation) else { panic!() };
        assert!(!remake && text.contains("t1, t2, t3, t4, t5 and 2 more") && text.contains("when_needed"), "{text}");
        assert!(matches!(judged(MismatchStrategy::TrustSlot), Verdict::LeaveOut(Some(Lsn(500)), _)));
    }

    #[test]
    fn every_gap_is_found() {
        let strict = MismatchStrategy::NoValidation;
        let at = |lsn| Position {
            lsn,
            commit: Some(lsn),
            micros: 2_000_000,
            system: Some("1".to_owned()),
            ..Position::default()
        };
        assert_eq!(verdict(&at(500), Some(&slot(400)), None, strict), Verdict::Continue);
        assert_eq!(verdict(&at(500), Some(&slot(500)), Some(600), strict), Verdict::Continue);
        let is_gap = |verdict: Verdict, words: &[&str]| match verdict {
            Verdict::Gap { text, .. } => words.iter().for_each(|word| assert!(text.contains(word), "{text}")),
            other => panic!("{other:?}"),
        };
        is_gap(verdict(&at(500), None, None, strict), &["is gone", "500 bytes", "7 seconds", "when_needed"]);
        is_gap(verdict(&at(500), Some(&slot(600)), None, strict), &["0/258", "100 bytes"]);
        is_gap(verdict(&at(500), Some(&slot(400)), Some(450), strict), &["timeline 2"]);
        is_gap(verdict(&at(2000), Some(&slot(400)), None, strict), &["ends at"]);
        let lost = SlotState { wal_status: "lost".to_owned(), confirmed: None, ..slot(0) };
        is_gap(verdict(&at(500), Some(&lost), None, strict), &["max_slot_wal_keep_size"]);
        let other = Position { system: Some("2".to_owned()), ..at(500) };
        let foreign = verdict(&other, Some(&slot(400)), None, strict);
        assert!(matches!(foreign, Verdict::Gap { foreign: true, .. }));
        is_gap(foreign, &["another server"]);
    }

    #[test]
    fn only_an_explicit_strategy_leaves_changes_out() {
        let at = Position { lsn: 500, ..Position::default() };
        let trusting = verdict(&at, Some(&slot(600)), None, MismatchStrategy::TrustSlot);
        assert!(matches!(trusting, Verdict::LeaveOut(Some(Lsn(600)), _)));
        assert!(matches!(verdict(&at, None, None, MismatchStrategy::TrustGreaterLsn), Verdict::LeaveOut(None, _)));
        assert!(matches!(verdict(&at, None, None, MismatchStrategy::TrustOffset), Verdict::Gap { .. }));
    }
}
