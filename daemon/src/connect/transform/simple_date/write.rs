//! From a time to a text.

use super::{DAY_MS, MONTHS, Token, WEEKDAYS};
use crate::connect::converter::calendar;
use levada_connector_api::java_text;
use std::fmt::Write as _;

/// Parts of a time, in UTC.
struct Parts {
    year: i64,
    month: u32,
    day: u32,
    day_of_year: i64,
    /// 0 for Monday.
    weekday: i64,
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
}

impl Parts {
    fn of(millis: i64) -> Self {
        let (days, rest) = (millis.div_euclid(DAY_MS), millis.rem_euclid(DAY_MS));
        let (year, month, day) = java_text::civil(days);
        Self {
            year,
            month,
            day,
            day_of_year: days - first_day(year) + 1,
            weekday: (days + 3).rem_euclid(7),
            hour: rest / 3_600_000,
            minute: rest / 60_000 % 60,
            second: rest / 1000 % 60,
            milli: rest % 1000,
        }
    }

    /// Days since the last Sunday, which begins a week in the US.
    fn since_sunday(&self) -> i64 {
        (self.weekday + 1) % 7
    }

    /// The week of the year and the year it belongs to: week 1 is the one with January 1st in it.
    fn week(&self) -> (i64, i64) {
        let first = (first_day(self.year) + 4).rem_euclid(7);
        let week = (self.day_of_year - 1 + first) / 7 + 1;
        let next = first_day(self.year + 1);
        let until_next = next - (first_day(self.year) + self.day_of_year - 1);
        let first_of_next = (next + 4).rem_euclid(7);
        if until_next <= first_of_next { (1, self.year + 1) } else { (week, self.year) }
    }
}

fn first_day(year: i64) -> i64 {
    calendar::days(year, 1, 1).unwrap_or(0)
}

pub(super) fn format(tokens: &[Token], millis: i64) -> String {
    let parts = Parts::of(millis);
    let mut out = String::with_capacity(24);
    for token in tokens {
        match token {
            Token::Text(text) => out.push_str(text),
            Token::Field(letter, count) => field(&parts, *letter, *count, &mut out),
        }
    }
    out
}

fn name(names: &[&str], index: usize, count: usize, out: &mut String) {
    let full = names.get(index).copied().unwrap_or_default();
    out.push_str(if count >= 4 { full } else { full.get(..3).unwrap_or(full) });
}

fn field(parts: &Parts, letter: char, count: usize, out: &mut String) {
    let era_year = if parts.year > 0 { parts.year } else { 1 - parts.year };
    let number = match letter {
        'G' => return out.push_str(if parts.year > 0 { "AD" } else { "BC" }),
        'y' | 'Y' => {
            let year = if letter == 'y' { era_year } else { parts.week().1 };
            if count == 2 { year.rem_euclid(100) } else { year }
        }
        'M' | 'L' if count >= 3 => return name(&MONTHS, parts.month as usize - 1, count, out),
        'M' | 'L' => i64::from(parts.month),
        'w' => parts.week().0,
        'W' => {
            let first = (parts.since_sunday() - i64::from(parts.day) + 1).rem_euclid(7);
            (i64::from(parts.day) - 1 + first) / 7 + 1
        }
        'D' => parts.day_of_year,
        'd' => i64::from(parts.day),
        'F' => i64::from(parts.day - 1) / 7 + 1,
        'E' => return name(&WEEKDAYS, parts.weekday as usize, count, out),
        'u' => parts.weekday + 1,
        'a' => return out.push_str(if parts.hour < 12 { "AM" } else { "PM" }),
        'H' => parts.hour,
        'k' => (parts.hour + 23) % 24 + 1,
        'K' => parts.hour % 12,
        'h' => (parts.hour + 11) % 12 + 1,
        'm' => parts.minute,
        's' => parts.second,
        'S' => parts.milli,
        'z' => return out.push_str(if count >= 4 { "Coordinated Universal Time" } else { "UTC" }),
        'Z' => return out.push_str("+0000"),
        _ => return out.push('Z'),
    };
    // Writing to a String can't fail.
    let _ = write!(out, "{number:0count$}");
}
