//! Looks at the slot beside the reading, in a session of its own: tells what it keeps on the server, and does what the
//! configuration says when that is too much. Looks at the publication, and for new tables, too. It goes on while the queue is full and during a snapshot.

use super::{
    locks::Locks,
    newcomers::Newcomers,
    published::{Change, Published},
    pump::{Settings, Shared},
    tables,
};
use crate::{
    catalog::{self, Slot, SlotState},
    config::RetainedPolicy,
    error::{Error, Result},
    filter::Filters,
    lsn::Lsn,
    net::{Dialer, Login, Sql},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two tellings.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Looks in a row without an advance, after which a slot counts as one that does not follow.
const STANDSTILL: u32 = 3;
/// Longest wait for the server to let go of a slot whose session has ended.
const LET_GO: Duration = Duration::from_secs(10);

/// What a look leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Alert,
    End,
}

/// Judges what the slot keeps: pure.
#[derive(Debug)]
struct Limit {
    most: i64,
    policy: RetainedPolicy,
    alerted: bool,
    confirmed: Option<Lsn>,
    stood: u32,
}

impl Limit {
    /// A slot that catches up after a long stop keeps too much as well, and is let be while it follows.
    fn look(&mut self, slot: &SlotState) -> Step {
        self.stood = if slot.confirmed == self.confirmed { self.stood + 1 } else { 0 };
        self.confirmed = slot.confirmed;
        if self.most == 0 || slot.retained <= self.most {
            self.alerted = false;
            return Step::Nothing;
        }
        if self.policy != RetainedPolicy::Alert && self.stood >= STANDSTILL {
            return Step::End;
        }
        let new = !self.alerted;
        self.alerted = true;
        if new { Step::Alert } else { Step::Nothing }
    }
}

/// Watches until the slot keeps too much, and then gives the failure of the task; when it does not, it never ends.
pub async fn watch(settings: &Settings, shared: &Shared) -> Error {
    let config = &settings.config.streaming;
    let slot = Slot::new(config);
    let every = config.status_interval.clamp(TELL_EVERY, Duration::from_secs(10));
    let mut limit =
        Limit { most: config.retained_max, policy: config.retained_policy, alerted: false, confirmed: None, stood: 0 };
    let most = u64::try_from(limit.most).ok().filter(|most| *most > 0);
    let (mut session, mut looked) = (None, None::<Instant>);
    let mut tables = Tables {
        newcomers: Newcomers::new(settings),
        filters: Filters::new(&settings.config.capture),
        locks: Locks::default(),
    };
    loop {
        sleep(TELL_EVERY).await;
        if looked.is_none_or(|looked| looked.elapsed() >= every) {
            looked = Some(Instant::now());
            match look(settings, &slot, &mut session).await {
                Ok(state) => {
                    let step = state.as_ref().map_or(Step::Nothing, |state| limit.look(state));
                    let kept = state.as_ref().map_or(0, |state| state.retained);
                    shared.telling.slot(state);
                    let text = format!(
                        "replication slot {} keeps {kept} bytes of log on the server, more than \
                         slot.retained.max.bytes={}",
                        slot.name(),
                        limit.most
                    );
                    match step {
                        Step::Nothing => {}
                        Step::Alert => settings.context.warn(&text),
                        Step::End => return ended(&text, limit.policy),
                    }
                }
                Err(error) => {
                    // The reading tells of a server that is away; a look is tried again.
                    tracing::debug!(%error, "the slot can't be looked at");
                    session = None;
                }
            }
            if let Some((sql, _)) = &session {
                match tables.look(settings, shared, sql).await {
                    Ok(None) => {}
                    Ok(Some(gap)) => return gap,
                    Err(error) => {
                        tracing::debug!(%error, "the publication can't be looked at");
                        session = None;
                    }
                }
            }
        }
        settings.context.set_progress(shared.telling.progress(slot.name(), most));
    }
}

/// What is known of the captured tables.
struct Tables {
    newcomers: Newcomers,
    filters: Filters,
    locks: Locks,
}

impl Tables {
    /// Gives the failure of the task when changes are missing. New tables are added only once it is known that they are
    /// new: one that was taken out of the publication would come back without what changed meanwhile.
    async fn look(&mut self, settings: &Settings, shared: &Shared, sql: &Sql) -> Result<Option<Error>> {
        let config = &settings.config;
        self.locks.look(&*settings.context, sql, &self.filters, config.snapshot.lock_timeout).await?;
        let Some(before) = shared.published() else { return Ok(None) };
        let name = &config.streaming.publication_name;
        let now = Published::look(sql, name, &self.filters).await?;
        for change in now.compare(&before, sql, name, &self.filters).await? {
            match change {
                Change::Dropped(table) => settings.context.warn(&format!("captured table {table} was dropped")),
                Change::Renamed(table, name) => settings.context.warn(&format!(
                    "captured table {table} is {name} now, which table.include.list and its like do not choose: its \
                     changes do not come from then on"
                )),
                Change::Gap(error) => return Ok(Some(error)),
            }
        }
        shared.set_published(now.clone());
        if self.newcomers.follows(&now) {
            let mut captured = catalog::list_tables(sql, config.streaming.via_partition_root).await?;
            captured.retain(|(_, id)| self.filters.table(&id.schema, &id.name));
            self.newcomers.follow(settings, sql, &now, &captured).await?;
        }
        Ok(None)
    }
}

async fn look(settings: &Settings, slot: &Slot, session: &mut Option<(Sql, u32)>) -> Result<Option<SlotState>> {
    if session.is_none() {
        let sql = connect(settings).await?;
        let version = catalog::server_version(&sql).await?;
        *session = Some((sql, version));
    }
    match session {
        Some((sql, version)) => slot.state(sql, *version).await,
        None => Ok(None),
    }
}

async fn connect(settings: &Settings) -> Result<Sql> {
    let config = &settings.config;
    tables::connect(config, &Dialer::new(&config.connection)?, &Login::of(&config.connection)).await
}

fn ended(text: &str, policy: RetainedPolicy) -> Error {
    if policy == RetainedPolicy::Drop {
        return Error::Gap(format!(
            "{text}, and did not follow: it was dropped, as slot.retained.policy says. Set snapshot.mode=when_needed and \
             restart the task to read the tables anew"
        ));
    }
    Error::Gap(format!(
        "{text}, and does not follow: the task stopped, as slot.retained.policy says, and nothing is missing yet. See why \
         the records are not taken, then restart the task; or drop the slot to free the server's disk"
    ))
}

/// What is left to do once the reading has ended: `drop` needs the slot to be nobody's.
pub async fn conclude(settings: &Settings) -> Result<()> {
    let config = &settings.config.streaming;
    if config.retained_policy != RetainedPolicy::Drop {
        return Ok(());
    }
    drop_slot(settings).await
}

/// Drops the slot, by a session of its own: another one may be in the midst of something.
pub async fn drop_slot(settings: &Settings) -> Result<()> {
    let slot = Slot::new(&settings.config.streaming);
    let (sql, since) = (connect(settings).await?, Instant::now());
    loop {
        match slot.drop(&sql).await {
            Err(error) if error.code() == Some("55006") && since.elapsed() < LET_GO => {
                sleep(Duration::from_millis(200)).await;
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(retained: i64, confirmed: u64) -> SlotState {
        SlotState {
            plugin: "pgoutput".to_owned(),
            database: "d".to_owned(),
            active_pid: Some(1),
            confirmed: Some(Lsn(confirmed)),
            wal_status: "reserved".to_owned(),
            invalid: None,
            retained,
            behind: 0,
            safe: None,
        }
    }

    fn limit(most: i64, policy: RetainedPolicy) -> Limit {
        Limit { most, policy, alerted: false, confirmed: None, stood: 0 }
    }

    #[test]
    fn an_alert_comes_once_for_each_crossing() {
        let mut limit = limit(100, RetainedPolicy::Alert);
        let steps: Vec<_> = [50, 101, 200, 100, 101].map(|kept| limit.look(&slot(kept, 1))).into();
        assert_eq!(steps, [Step::Nothing, Step::Alert, Step::Nothing, Step::Nothing, Step::Alert]);
        assert_eq!(super::Limit { most: 0, ..limit }.look(&slot(i64::MAX, 1)), Step::Nothing, "no limit");
    }

    #[test]
    fn a_slot_that_follows_is_let_be() {
        let mut limit = limit(100, RetainedPolicy::Drop);
        assert_eq!(limit.look(&slot(500, 1)), Step::Alert);
        for confirmed in 2..20 {
            assert_eq!(limit.look(&slot(500, confirmed)), Step::Nothing);
        }
        let steps: Vec<_> = (0..STANDSTILL).map(|_| limit.look(&slot(500, 19))).collect();
        assert_eq!(steps, [Step::Nothing, Step::Nothing, Step::End]);
    }
}
