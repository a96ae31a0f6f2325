//! What is told of a task: how far its snapshot is, how far the stream lags, what the slot keeps.

use crate::catalog::SlotState;
use levada_connector_api::{Done, Gauge, ItemProgress, Progress};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// What the reading thread notes and the watch tells.
#[derive(Debug, Default)]
pub struct Telling {
    /// Milliseconds between the last handed on change and its handing on.
    lag_ms: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether everything that was asked for is read, and nothing is streamed.
    done: bool,
    snapshot: Option<Snapshot>,
    /// An incremental snapshot, since when its table was told of, and how many rows were read then.
    anew: Option<(Anew, Instant, u64)>,
    slot: Option<SlotState>,
}

/// How far an incremental snapshot is.
#[derive(Debug)]
pub struct Anew {
    /// The table that is read.
    pub table: String,
    /// Its rows.
    pub rows: Done,
    /// All tables that were asked for.
    pub tables: Done,
    /// Whether it is paused.
    pub paused: bool,
}

#[derive(Debug)]
struct Snapshot {
    since: Instant,
    tables: Done,
    /// Rows of all tables: read ones as counted, others by the statistics.
    rows: u64,
    /// Rows of the tables that are read.
    read: u64,
    current: Vec<Current>,
}

/// A table that is read.
#[derive(Debug)]
struct Current {
    name: String,
    /// Rows by the statistics.
    estimate: u64,
    /// Rows that were read.
    rows: Arc<AtomicU64>,
}

impl Telling {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot begins, or goes on behind `done` tables, with the rows that the statistics know of the others.
    pub fn begin_snapshot(&self, done: usize, estimates: &[u64]) {
        let tables = Done { done: done as u64, total: Some((done + estimates.len()) as u64) };
        self.state().snapshot = Some(Snapshot {
            since: Instant::now(),
            tables,
            rows: estimates.iter().sum(),
            read: 0,
            current: Vec::new(),
        });
    }

    /// A table of it begins; its rows are counted by what is given back.
    pub fn begin_table(&self, name: &str, estimate: u64) -> Arc<AtomicU64> {
        let rows = Arc::<AtomicU64>::default();
        if let Some(snapshot) = &mut self.state().snapshot {
            snapshot.current.push(Current { name: name.to_owned(), estimate, rows: Arc::clone(&rows) });
        }
        rows
    }

    /// A table is read.
    pub fn end_table(&self, name: &str) {
        if let Some(snapshot) = &mut self.state().snapshot
            && let Some(place) = snapshot.current.iter().position(|current| current.name == name)
        {
            let table = snapshot.current.remove(place);
            let rows = table.rows.load(Ordering::Relaxed);
            snapshot.tables.done += 1;
            snapshot.read += rows;
            // What is counted takes the place of what was estimated.
            snapshot.rows = snapshot.rows.saturating_sub(table.estimate) + rows;
        }
    }

    /// The snapshot is over.
    pub fn end_snapshot(&self) {
        self.state().snapshot = None;
    }

    /// All that was asked for is read, and nothing follows.
    pub fn done(&self) {
        self.state().done = true;
    }

    /// An incremental snapshot is so far, or there is none.
    pub fn anew(&self, anew: Option<Anew>) {
        let mut state = self.state();
        let before = state.anew.take();
        state.anew = anew.map(|anew| match before {
            Some((before, since, rows)) if before.table == anew.table => (anew, since, rows),
            _ => {
                let rows = anew.rows.done;
                (anew, Instant::now(), rows)
            }
        });
    }

    /// A change was handed on that was committed so long ago; none is waiting when it is zero.
    pub fn lag(&self, age: Duration) {
        self.lag_ms.store(u64::try_from(age.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The slot as it was last seen.
    pub fn slot(&self, slot: Option<SlotState>) {
        self.state().slot = slot;
    }

    /// All of it; `slot` is the slot's name, `limit` how much it may keep, when that is limited.
    pub fn progress(&self, slot: &str, limit: Option<u64>) -> Progress {
        let state = self.state();
        let phase = match &state.snapshot {
            Some(_) => "snapshot",
            None if state.done => "done",
            None => "streaming",
        };
        let mut progress = Progress { phase: phase.to_owned(), ..Progress::default() };
        match &state.snapshot {
            Some(snapshot) => snapshot.tell(&mut progress),
            None if state.done => {}
            None => progress.lag_ms = Some(self.lag_ms.load(Ordering::Relaxed)),
        }
        if let Some((anew, since, before)) = &state.anew {
            anew.tell(*since, *before, &mut progress);
        }
        progress.lag_bytes = state.slot.as_ref().map(|slot| u64::try_from(slot.behind).unwrap_or(0));
        progress.gauges = state.slot.as_ref().map(|state| gauges(slot, state, limit)).unwrap_or_default();
        progress
    }
}

impl Anew {
    fn tell(&self, since: Instant, before: u64, progress: &mut Progress) {
        let phase = if self.paused { "incremental snapshot, paused" } else { "incremental snapshot" };
        phase.clone_into(&mut progress.phase);
        (progress.tables, progress.rows) = (Some(self.tables), Some(self.rows));
        progress.items.push(ItemProgress { name: self.table.clone(), rows: self.rows, finished: false });
        let left = self.rows.total.unwrap_or(0).saturating_sub(self.rows.done);
        let elapsed = since.elapsed().as_millis();
        let eta =
            elapsed.saturating_mul(u128::from(left)).checked_div(u128::from(self.rows.done.saturating_sub(before)));
        progress.eta_ms = eta.filter(|_| !self.paused).and_then(|eta| u64::try_from(eta).ok());
    }
}

impl Snapshot {
    fn tell(&self, progress: &mut Progress) {
        let items = self.current.iter().map(|table| {
            let done = table.rows.load(Ordering::Relaxed);
            let rows = Done { done, total: Some(table.estimate.max(done)) };
            ItemProgress { name: table.name.clone(), rows, finished: false }
        });
        progress.items.extend(items);
        let read = self.read + progress.items.iter().map(|item| item.rows.done).sum::<u64>();
        let total = self.rows.max(read);
        progress.tables = Some(self.tables);
        progress.rows = Some(Done { done: read, total: Some(total) });
        let elapsed = self.since.elapsed().as_millis();
        // Without rows nobody knows how fast it is.
        let eta = elapsed.saturating_mul(u128::from(total - read)).checked_div(u128::from(read));
        progress.eta_ms = eta.and_then(|eta| u64::try_from(eta).ok());
    }
}

fn gauges(name: &str, slot: &SlotState, limit: Option<u64>) -> Vec<Gauge> {
    let label = ("slot".to_owned(), name.to_owned());
    let gauge =
        |name: &str, value: i64| Gauge { name: format!("postgres_slot_{name}"), labels: vec![label.clone()], value };
    let mut gauges = vec![
        gauge("retained_bytes", slot.retained),
        gauge("behind_bytes", slot.behind),
        gauge("active", i64::from(slot.active_pid.is_some())),
    ];
    gauges.extend(slot.safe.map(|safe| gauge("safe_wal_bytes", safe)));
    gauges.extend(limit.map(|limit| gauge("retained_limit_bytes", i64::try_from(limit).unwrap_or(i64::MAX))));
    let mut status = gauge("wal_status", 1);
    let word = if slot.invalid.is_some() { "invalid" } else { &slot.wal_status };
    status.labels.push(("wal_status".to_owned(), word.to_owned()));
    gauges.push(status);
    gauges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_rows_take_the_place_of_estimated_ones() {
        let telling = Telling::default();
        telling.begin_snapshot(1, &[100, 50]);
        telling.begin_table("s.a", 100).store(20, Ordering::Relaxed);
        let told = telling.progress("s", None);
        assert_eq!((told.phase.as_str(), told.tables), ("snapshot", Some(Done { done: 1, total: Some(3) })));
        assert_eq!(told.rows, Some(Done { done: 20, total: Some(150) }));
        assert_eq!(told.items[0].rows, Done { done: 20, total: Some(100) });
        assert!(told.eta_ms.is_some());
        telling.begin_table("s.b", 50).store(1, Ordering::Relaxed);
        telling.end_table("s.a");
        assert_eq!(telling.progress("s", None).rows, Some(Done { done: 21, total: Some(70) }));
        telling.end_snapshot();
        let rows = |done| Done { done, total: Some(100) };
        let anew = |done, paused| Anew { table: "s.a".to_owned(), rows: rows(done), tables: rows(1), paused };
        telling.anew(Some(anew(10, false)));
        assert_eq!(telling.progress("s", None).eta_ms, None, "nobody knows yet how fast it is");
        telling.anew(Some(anew(20, false)));
        let told = telling.progress("s", None);
        assert_eq!((told.phase.as_str(), told.rows), ("incremental snapshot", Some(rows(20))));
        assert!(told.eta_ms.is_some() && told.lag_ms.is_some());
        telling.anew(Some(anew(20, true)));
        let told = telling.progress("s", None);
        assert_eq!((told.phase.as_str(), told.eta_ms), ("incremental snapshot, paused", None));
        telling.anew(None);
        telling.lag(Duration::from_millis(7));
        let told = telling.progress("s", None);
        assert_eq!((told.phase.as_str(), told.lag_ms, told.rows), ("streaming", Some(7), None));
    }
}
