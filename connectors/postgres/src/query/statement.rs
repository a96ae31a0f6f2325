//! The SQL of a reading. Every column goes by its name in quotes and by the alias of what is read, so that no name of the
//! answer can stand for another column.

use super::{config::Mode, fence::Upper, instant::Instant, offset::Position};
use crate::net::{identifier, literal};

/// A column with the time of the last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeColumn {
    /// Name.
    pub name: String,
    /// Whether it is a `timestamptz`.
    pub zoned: bool,
}

/// The columns that tell of new rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The first that is not null counts.
    pub times: Vec<TimeColumn>,
    /// The growing one.
    pub incrementing: Option<String>,
}

/// What is read: `FROM` it.
pub fn of_query(query: &str) -> String {
    // On lines of its own, since it may end with a comment.
    format!("(\n{query}\n)")
}

/// A column of what is read.
pub fn column(name: &str) -> String {
    format!("_q.{}", identifier(name))
}

/// `expression`, a timestamp of `zone`, in UTC.
pub fn to_utc(expression: &str, zone: &str) -> String {
    format!("(({expression}) AT TIME ZONE {}) AT TIME ZONE 'UTC'", literal(zone))
}

/// The time of a row.
pub struct Time<'a> {
    keys: &'a Keys,
    zone: &'a str,
    utc: bool,
}

impl<'a> Time<'a> {
    /// Of these columns; `zone` is that of columns without one.
    pub fn new(keys: &'a Keys, zone: &'a str, utc: bool) -> Self {
        Self { keys, zone, utc }
    }

    fn local(&self) -> bool {
        self.keys.times.iter().all(|time| !time.zoned)
    }

    /// As it is compared: as it stands in the column where that can be, so that an index serves.
    pub fn compared(&self) -> String {
        let local = self.local();
        let one = |time: &TimeColumn| match (time.zoned, local) {
            (false, false) => format!("({} AT TIME ZONE {})", column(&time.name), literal(self.zone)),
            _ => column(&time.name),
        };
        let all: Vec<_> = self.keys.times.iter().map(one).collect();
        if all.len() == 1 { all.concat() } else { format!("COALESCE({})", all.join(", ")) }
    }

    /// As it is stored: a timestamp in UTC.
    pub fn in_utc(&self) -> String {
        match (self.local(), self.utc) {
            (true, true) => self.compared(),
            (true, false) => to_utc(&self.compared(), self.zone),
            (false, _) => format!("({}) AT TIME ZONE 'UTC'", self.compared()),
        }
    }

    /// What [`Self::compared`] is compared with.
    pub fn literal(&self, instant: Instant) -> String {
        let utc = format!("TIMESTAMP '{}'", instant.text());
        match (self.local(), self.utc) {
            (true, true) => utc,
            (true, false) => format!("(({utc} AT TIME ZONE 'UTC') AT TIME ZONE {})", literal(self.zone)),
            (false, _) => format!("({utc} AT TIME ZONE 'UTC')"),
        }
    }
}

/// `WHERE` and `ORDER BY` of what comes behind `position` up to `upper`.
pub fn conditions(mode: Mode, time: &Time<'_>, position: Position, upper: Upper) -> String {
    let incrementing = time.keys.incrementing.as_deref().map(column).unwrap_or_default();
    let mut all = Vec::new();
    match upper {
        Upper::Time(upper) if mode.uses_timestamp() => {
            all.push(format!("{} < {}", time.compared(), time.literal(upper)));
        }
        Upper::Id(upper) if mode == Mode::Incrementing => all.push(format!("{incrementing} <= {upper}")),
        _ => {}
    }
    let order = match mode {
        Mode::Bulk => return String::new(),
        Mode::Incrementing => {
            all.extend(position.incrementing.map(|last| format!("{incrementing} > {last}")));
            incrementing
        }
        Mode::Timestamp => {
            all.extend(position.timestamp.map(|last| format!("{} > {}", time.compared(), time.literal(last))));
            time.compared()
        }
        Mode::TimestampIncrementing => {
            let compared = time.compared();
            if let Some(last) = position.timestamp.map(|last| time.literal(last)) {
                // Said first, since an index serves it.
                all.push(format!("{compared} >= {last}"));
                all.extend(position.incrementing.map(|id| format!("({compared} > {last} OR {incrementing} > {id})")));
            }
            format!("{compared}, {incrementing}")
        }
    };
    let filter = if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) };
    format!("{filter} ORDER BY {order}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(zoned: &[bool]) -> Keys {
        let time = |(index, zoned): (usize, &bool)| TimeColumn { name: format!("t{index}"), zoned: *zoned };
        Keys { times: zoned.iter().enumerate().map(time).collect(), incrementing: Some("I d".to_owned()) }
    }

    fn at(text: &str) -> Instant {
        Instant::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn rows_behind_a_position_are_asked_for() {
        let keys = keys(&[false]);
        let time = Time::new(&keys, "UTC", true);
        let position = Position { timestamp: Some(at("2024-02-29 00:00:00")), incrementing: Some(7) };
        let upper = Upper::Time(at("2024-03-01 00:00:00"));
        assert_eq!(
            conditions(Mode::TimestampIncrementing, &time, position, upper),
            " WHERE _q.\"t0\" < TIMESTAMP '2024-03-01 00:00:00.000000' AND \
             _q.\"t0\" >= TIMESTAMP '2024-02-29 00:00:00.000000' AND \
             (_q.\"t0\" > TIMESTAMP '2024-02-29 00:00:00.000000' OR _q.\"I d\" > 7) ORDER BY _q.\"t0\", _q.\"I d\""
        );
        assert_eq!(
            conditions(Mode::Incrementing, &time, position, Upper::Id(9)),
            " WHERE _q.\"I d\" <= 9 AND _q.\"I d\" > 7 ORDER BY _q.\"I d\""
        );
        assert_eq!(
            conditions(Mode::Incrementing, &time, Position::default(), Upper::Open),
            " ORDER BY _q.\"I d\"",
            "rows below zero are rows too"
        );
        assert_eq!(conditions(Mode::Bulk, &time, Position::default(), Upper::Open), "");
    }

    #[test]
    fn columns_are_compared_as_they_stand_where_that_can_be() {
        let keys_of = [keys(&[false]), keys(&[true]), keys(&[false, true])];
        let zone = |index: usize| Time::new(&keys_of[index], "Europe/Rome", false);
        assert_eq!(zone(0).compared(), "_q.\"t0\"");
        assert!(zone(0).literal(at("2024-02-29 00:00:00")).ends_with("AT TIME ZONE 'Europe/Rome')"));
        assert_eq!(zone(1).compared(), "_q.\"t0\"");
        assert_eq!(zone(2).compared(), "COALESCE((_q.\"t0\" AT TIME ZONE 'Europe/Rome'), _q.\"t1\")");
        assert_eq!(zone(1).in_utc(), "(_q.\"t0\") AT TIME ZONE 'UTC'");
    }
}
