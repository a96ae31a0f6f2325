//! From a text to a time, leniently: numbers may have any number of digits where a delimiter follows, and a month 13 is
//! January of the next year.

use super::{DAY_MS, MONTHS, Token, WEEKDAYS};
use crate::connect::converter::calendar;

/// Numbers beyond this make no time that anyone has; sums of them can't overflow.
const MOST: i64 = 10_000_000_000;

struct Fields {
    year: i64,
    before_christ: bool,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    half_day: Option<i64>,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    milli: i64,
    offset_minutes: i64,
}

pub(super) fn parse(tokens: &[Token], text: &str) -> Option<i64> {
    let mut fields = Fields {
        year: 1970,
        before_christ: false,
        month: 1,
        day: 1,
        day_of_year: None,
        hour: 0,
        half_day: None,
        afternoon: None,
        minute: 0,
        second: 0,
        milli: 0,
        offset_minutes: 0,
    };
    let mut rest = text;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Text(literal) => rest = rest.strip_prefix(literal.as_str())?,
            Token::Field(letter, count) => {
                rest = rest.trim_start_matches([' ', '\t']);
                // Digits that touch the next number are shared out by the pattern.
                let abuts =
                    matches!(tokens.get(index + 1), Some(Token::Field(next, count)) if is_number(*next, *count));
                rest = fields.read(*letter, *count, abuts, rest)?;
            }
        }
    }
    fields.millis()
}

fn is_number(letter: char, count: usize) -> bool {
    match letter {
        'M' | 'L' => count < 3,
        letter => "yYwWDdFuHkKhmsS".contains(letter),
    }
}

impl Fields {
    fn read<'a>(&mut self, letter: char, count: usize, abuts: bool, text: &'a str) -> Option<&'a str> {
        if !is_number(letter, count) {
            return self.read_name(letter, text);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let digits = if abuts { digits.min(count) } else { digits };
        let (number, rest) = text.split_at_checked(digits)?;
        let value: i64 = number.parse().ok().filter(|value| *value <= MOST)?;
        match letter {
            'y' | 'Y' if count <= 2 && digits == 2 => self.year = if value < 50 { 2000 + value } else { 1900 + value },
            'y' | 'Y' => self.year = value,
            'M' | 'L' => self.month = value,
            'd' => self.day = value,
            'D' => self.day_of_year = Some(value),
            'H' => self.hour = value,
            'k' => self.hour = if value == 24 { 0 } else { value },
            'K' => self.half_day = Some(value),
            'h' => self.half_day = Some(if value == 12 { 0 } else { value }),
            'm' => self.minute = value,
            's' => self.second = value,
            'S' => self.milli = value,
            // A week or weekday beside a date says nothing new.
            _ => {}
        }
        Some(rest)
    }

    fn read_name<'a>(&mut self, letter: char, text: &'a str) -> Option<&'a str> {
        match letter {
            'M' | 'L' => {
                let (index, rest) = named(&MONTHS, text)?;
                self.month = index as i64 + 1;
                Some(rest)
            }
            'E' => named(&WEEKDAYS, text).map(|(_, rest)| rest),
            'G' => {
                let (index, rest) = named(&["AD", "BC"], text)?;
                self.before_christ = index == 1;
                Some(rest)
            }
            'a' => {
                let (index, rest) = named(&["AM", "PM"], text)?;
                self.afternoon = Some(index == 1);
                Some(rest)
            }
            _ => {
                let (minutes, rest) = zone(text)?;
                self.offset_minutes = minutes;
                Some(rest)
            }
        }
    }

    fn millis(&self) -> Option<i64> {
        let year = if self.before_christ { 1 - self.year } else { self.year };
        let months = self.month - 1;
        let (year, month) = (year + months.div_euclid(12), months.rem_euclid(12) + 1);
        let days = match self.day_of_year {
            Some(day) => calendar::days(year, 1, 1)? + day - 1,
            None => calendar::days(year, month as u32, 1)? + self.day - 1,
        };
        let hour = match (self.half_day, self.afternoon) {
            (Some(hour), afternoon) => hour + if afternoon == Some(true) { 12 } else { 0 },
            (None, _) => self.hour,
        };
        let seconds = hour * 3600 + (self.minute - self.offset_minutes) * 60 + self.second;
        days.checked_mul(DAY_MS)?.checked_add(seconds.checked_mul(1000)?)?.checked_add(self.milli)
    }
}

/// The longest of the names, or of their first three letters, that the text begins with, in any case.
fn named<'a>(names: &[&str], text: &'a str) -> Option<(usize, &'a str)> {
    let begins = |name: &str| {
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| text.get(name.len()..))?
    };
    let full = names.iter().enumerate().find_map(|(index, name)| Some((index, begins(name)?)));
    full.or_else(|| names.iter().enumerate().find_map(|(index, name)| Some((index, begins(name.get(..3)?)?))))
}

/// Minutes east of Greenwich: `Z`, `+02`, `+0200`, `+02:00`, `GMT+2:00`, and the abbreviations that Java's users write.
fn zone(text: &str) -> Option<(i64, &str)> {
    const ZONES: [(&str, i64); 12] = [
        ("UTC", 0),
        ("GMT", 0),
        ("Z", 0),
        ("EST", -300),
        ("EDT", -240),
        ("CST", -360),
        ("CDT", -300),
        ("MST", -420),
        ("MDT", -360),
        ("PST", -480),
        ("PDT", -420),
        ("CET", 60),
    ];
    let mut rest = text;
    if let Some((name, minutes)) = ZONES.iter().find(|(name, _)| text.starts_with(name)) {
        rest = text.strip_prefix(name)?;
        if *name != "GMT" || !rest.starts_with(['+', '-']) {
            return Some((*minutes, rest));
        }
    }
    let sign = if rest.starts_with('-') { -1 } else { 1 };
    let rest = rest.strip_prefix(['+', '-'])?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count().min(4);
    let (number, rest) = rest.split_at_checked(digits)?;
    let (hours, minutes, rest) = match digits {
        1 | 2 => match rest.strip_prefix(':').and_then(|rest| rest.split_at_checked(2)) {
            Some((minutes, rest)) if minutes.bytes().all(|byte| byte.is_ascii_digit()) => {
                (number.parse::<i64>().ok()?, minutes.parse::<i64>().ok()?, rest)
            }
            _ => (number.parse().ok()?, 0, rest),
        },
        4 => {
            let number: i64 = number.parse().ok()?;
            (number / 100, number % 100, rest)
        }
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some((sign * (hours * 60 + minutes), rest))
}
