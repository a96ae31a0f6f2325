//! Dates and times from the server's ISO text, in every `time.precision.mode`.

use super::{DecodeError, calendar};
use levada_connector_api::Str;

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// A date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Year; the year before 1 is 0.
    pub year: i64,
    /// Month from 1.
    pub month: i64,
    /// Day from 1.
    pub day: i64,
}

/// A time of day, up to 24:00:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Hour.
    pub hour: i64,
    /// Minute.
    pub minute: i64,
    /// Second.
    pub second: i64,
    /// Microseconds of the second.
    pub micros: i64,
}

/// A point in time or beyond all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment<T> {
    /// A value.
    At(T),
    /// `infinity`.
    Infinity,
    /// `-infinity`.
    MinusInfinity,
}

impl Time {
    /// Microseconds since midnight.
    pub fn micros_of_day(self) -> i64 {
        ((self.hour * 60 + self.minute) * 60 + self.second) * 1_000_000 + self.micros
    }
}

impl Date {
    /// Days since 1970-01-01.
    pub fn days(self) -> i64 {
        calendar::days(self.year, self.month, self.day)
    }
}

fn number(text: &[u8]) -> Result<i64, DecodeError> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return Err(DecodeError::new("a date or time"));
    }
    Ok(text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

fn part(text: &[u8], from: usize, to: usize) -> Result<i64, DecodeError> {
    text.get(from..to).ok_or_else(|| DecodeError::new("a date or time")).and_then(number)
}

/// `2024-02-29`, without an era.
fn date_part(text: &[u8], bc: bool) -> Result<Date, DecodeError> {
    let dash = memchr::memchr(b'-', text).ok_or_else(|| DecodeError::new("a date"))?;
    let year = part(text, 0, dash)?;
    let (month, day) = (part(text, dash + 1, dash + 3)?, part(text, dash + 4, dash + 6)?);
    if text.len() != dash + 6 {
        return Err(DecodeError::new("a date"));
    }
    Ok(Date { year: if bc { 1 - year } else { year }, month, day })
}

/// `10:34:56.123456`.
pub fn time(text: &[u8]) -> Result<Time, DecodeError> {
    let mut time = Time { hour: part(text, 0, 2)?, minute: part(text, 3, 5)?, second: part(text, 6, 8)?, micros: 0 };
    if let Some(fraction) = text.get(9..).filter(|fraction| !fraction.is_empty()) {
        let scale = 10i64.pow(6u32.saturating_sub(fraction.len() as u32));
        time.micros = number(fraction.get(..6).unwrap_or(fraction))? * scale;
    }
    Ok(time)
}

fn era(text: &[u8]) -> (&[u8], bool) {
    text.strip_suffix(b" BC").map_or((text, false), |text| (text, true))
}

fn infinite<T>(text: &[u8]) -> Option<Moment<T>> {
    match text {
        b"infinity" => Some(Moment::Infinity),
        b"-infinity" => Some(Moment::MinusInfinity),
        _ => None,
    }
}

/// A `date`.
pub fn date(text: &[u8]) -> Result<Moment<Date>, DecodeError> {
    if let Some(moment) = infinite(text) {
        return Ok(moment);
    }
    let (text, bc) = era(text);
    date_part(text, bc).map(Moment::At)
}

/// A `timestamp`, or a `timestamptz` of a session in UTC.
pub fn timestamp(text: &[u8]) -> Result<Moment<(Date, Time)>, DecodeError> {
    if let Some(moment) = infinite(text) {
        return Ok(moment);
    }
    let (text, bc) = era(text);
    let text = text.strip_suffix(b"+00").unwrap_or(text);
    let space = memchr::memchr(b' ', text).ok_or_else(|| DecodeError::new("a timestamp"))?;
    let (day, clock) = (text.get(..space).unwrap_or_default(), text.get(space + 1..).unwrap_or_default());
    Ok(Moment::At((date_part(day, bc)?, time(clock)?)))
}

/// Microseconds since 1970, as pgjdbc stands for the infinities. The server's last years are beyond 64 bits.
fn micros(moment: Moment<(Date, Time)>) -> i128 {
    match moment {
        Moment::At((date, time)) => i128::from(date.days()) * 86_400_000_000 + i128::from(time.micros_of_day()),
        Moment::Infinity => 9_223_372_036_825_200_000,
        Moment::MinusInfinity => -9_223_372_036_832_400_000,
    }
}

/// `timestamp` as a number. Nanoseconds beyond 64 bits are the type's ends, as in Debezium; microseconds beyond them are an
/// error, as another time would be a lie.
pub fn timestamp_number(text: &[u8], unit: Unit) -> Result<i64, DecodeError> {
    let micros = micros(timestamp(text)?);
    let number = match unit {
        Unit::Millis => micros.div_euclid(1000),
        Unit::Micros => micros,
        Unit::Nanos => (micros * 1000).clamp(i64::MIN.into(), i64::MAX.into()),
    };
    i64::try_from(number).map_err(|_| DecodeError::new("a timestamp within 64 bits of microseconds"))
}

/// Days since 1970; the infinities are the type's ends.
pub fn date_days(text: &[u8]) -> Result<i32, DecodeError> {
    match date(text)? {
        Moment::At(date) => i32::try_from(date.days()).map_err(|_| DecodeError::new("a date within 32 bits of days")),
        Moment::Infinity => Ok(i32::MAX),
        Moment::MinusInfinity => Ok(i32::MIN),
    }
}

fn year_text(year: i64, out: &mut String) {
    use std::fmt::Write;
    // As Java's ISO formatter: at least four digits, a sign when there are more or the year is before 0.
    let _ = match year {
        10_000.. => write!(out, "+{year}"),
        0..10_000 => write!(out, "{year:04}"),
        _ => write!(out, "-{:04}", -year),
    };
}

fn clock_text(time: Time, width: Option<usize>, out: &mut String) {
    use std::fmt::Write;
    let _ = write!(out, "{:02}:{:02}:{:02}", time.hour, time.minute, time.second);
    let digits = format!("{:06}", time.micros);
    match width {
        Some(0) => {}
        Some(width) => {
            let _ = write!(out, ".{}", digits.get(..width.min(6)).unwrap_or(&digits));
        }
        None if time.micros == 0 => {}
        None => {
            let _ = write!(out, ".{}", digits.trim_end_matches('0'));
        }
    }
}

/// `2024-02-29T10:34:56.123456Z`; `width` is the count of digits of the fraction, `None` as few as there are.
pub fn iso_timestamp(date: Date, time: Time, width: Option<usize>) -> Str {
    let mut out = String::with_capacity(28);
    iso_day(date, &mut out);
    out.push('T');
    clock_text(time, width, &mut out);
    out.push('Z');
    out.into()
}

fn iso_day(date: Date, out: &mut String) {
    use std::fmt::Write;
    year_text(date.year, out);
    let _ = write!(out, "-{:02}-{:02}", date.month, date.day);
}

/// `2017-09-15Z`.
pub fn iso_date(date: Date) -> Str {
    let mut out = String::with_capacity(12);
    iso_day(date, &mut out);
    out.push('Z');
    out.into()
}

/// `04:05:11.789Z`.
pub fn iso_time(time: Time) -> Str {
    let mut out = String::with_capacity(16);
    // 24:00 is the next day's 00:00 in Java.
    clock_text(Time { hour: time.hour % 24, ..time }, None, &mut out);
    out.push('Z');
    out.into()
}

/// `timestamptz` as text. The common form differs from the server's in three characters only.
pub fn zoned_timestamp(text: &[u8], width: usize) -> Result<Str, DecodeError> {
    if let Some(common) = common_timestamp(text, width) {
        return Ok(common);
    }
    any_timestamp(text, width)
}

/// `2024-02-29 10:34:56.123+00` as text: most are like that, and taking numbers out and printing them again costs more than
/// all else of a row.
fn common_timestamp(text: &[u8], width: usize) -> Option<Str> {
    const SHAPE: &[u8; 19] = b"0000-00-00 00:00:00";
    let text = text.strip_suffix(b"+00")?;
    let (clock, fraction) = text.split_at_checked(SHAPE.len())?;
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    if !clock.iter().zip(SHAPE).all(fits) {
        return None;
    }
    let digits = match fraction {
        [] => fraction,
        [b'.', digits @ ..] if digits.len() <= 6 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    let own = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    let wanted = if width == 0 { own } else { width.min(6) };
    // With no byte too many, which would have to be given back.
    let mut out = Vec::with_capacity(SHAPE.len() + 1 + if wanted > 0 { wanted + 1 } else { 0 });
    out.extend_from_slice(clock);
    if let Some(space) = out.get_mut(10) {
        *space = b'T';
    }
    if wanted > 0 {
        out.push(b'.');
        out.extend(digits.iter().copied().chain(std::iter::repeat(b'0')).take(wanted));
    }
    out.push(b'Z');
    String::from_utf8(out).ok().map(Str::from)
}

fn any_timestamp(text: &[u8], width: usize) -> Result<Str, DecodeError> {
    match timestamp(text)? {
        Moment::At((date, time)) => Ok(iso_timestamp(date, time, Some(width).filter(|width| *width > 0).or(None))),
        Moment::Infinity => Ok(Str::from_static("infinity")),
        Moment::MinusInfinity => Ok(Str::from_static("-infinity")),
    }
}

/// A `timetz`: its time and its offset from UTC in seconds.
pub fn zoned(text: &[u8]) -> Result<(Time, i64), DecodeError> {
    let wrong = || DecodeError::new("a time with a zone");
    let at = memchr::memchr2(b'+', b'-', text).ok_or_else(wrong)?;
    let clock = time(text.get(..at).unwrap_or_default())?;
    let zone = text.get(at + 1..).unwrap_or_default();
    let mut seconds = 0;
    for (piece, unit) in zone.split(|byte| *byte == b':').zip([3600, 60, 1]) {
        seconds += number(piece)? * unit;
    }
    Ok((clock, if text.get(at) == Some(&b'-') { -seconds } else { seconds }))
}

/// `timetz` as text in UTC.
pub fn zoned_time(text: &[u8]) -> Result<Str, DecodeError> {
    let (clock, offset) = zoned(text)?;
    if clock.hour == 24 && offset == 0 {
        return Ok(Str::from_static("24:00:00Z"));
    }
    let day = 86_400_000_000;
    let micros = (clock.micros_of_day() - offset * 1_000_000).rem_euclid(day);
    let time = Time {
        hour: micros / 3_600_000_000,
        minute: micros / 60_000_000 % 60,
        second: micros / 1_000_000 % 60,
        micros: micros % 1_000_000,
    };
    Ok(iso_time(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_numbers() {
        let micros = |text: &[u8]| timestamp_number(text, Unit::Micros).unwrap();
        assert_eq!(micros(b"1970-01-01 00:00:00"), 0);
        assert_eq!(micros(b"2024-02-29 10:34:56.123456"), 1_709_202_896_123_456);
        assert_eq!(micros(b"2024-02-29 10:34:56.5+00"), 1_709_202_896_500_000);
        assert_eq!(micros(b"0001-01-01 00:00:00 BC"), -62_167_219_200_000_000);
        assert_eq!(micros(b"infinity"), 9_223_372_036_825_200_000);
        assert_eq!(timestamp_number(b"-infinity", Unit::Millis).unwrap(), -9_223_372_036_832_400);
        assert_eq!(timestamp_number(b"1969-12-31 23:59:59.9999", Unit::Millis).unwrap(), -1);
        assert_eq!(timestamp_number(b"infinity", Unit::Nanos).unwrap(), i64::MAX);
        assert!(timestamp_number(b"2024-02-29", Unit::Micros).is_err());
        let last = b"294276-12-31 23:59:59.999999";
        assert!(timestamp_number(last, Unit::Micros).is_err(), "never another time");
        assert_eq!(timestamp_number(last, Unit::Millis).unwrap(), 9_224_318_015_999_999);
        assert_eq!(timestamp_number(last, Unit::Nanos).unwrap(), i64::MAX);
        assert_eq!(micros(b"294247-01-10 04:00:54.775807"), i64::MAX);
        assert!(timestamp_number(b"", Unit::Micros).is_err());
    }

    #[test]
    fn the_common_form_is_written_as_any_other() {
        for text in ["2024-02-29 10:34:56+00", "2024-02-29 10:34:56.1+00", "0001-12-31 23:59:59.000001+00"] {
            for width in 0..=6 {
                let common = common_timestamp(text.as_bytes(), width);
                assert_eq!(common, any_timestamp(text.as_bytes(), width).ok(), "{text} {width}");
                assert!(common.is_some());
            }
        }
        for other in ["12024-02-29 10:34:56+00", "0044-03-15 12:00:00+00 BC", "infinity", "2024-02-29 10:34:56+05:30"] {
            assert_eq!(common_timestamp(other.as_bytes(), 6), None);
        }
    }

    #[test]
    fn texts_are_java_s() {
        assert_eq!(zoned_timestamp(b"2024-02-29 10:34:56.1+00", 6).unwrap(), "2024-02-29T10:34:56.100000Z");
        assert_eq!(zoned_timestamp(b"2024-02-29 10:34:56+00", 3).unwrap(), "2024-02-29T10:34:56.000Z");
        assert_eq!(zoned_timestamp(b"0044-03-15 12:00:00+00 BC", 0).unwrap(), "-0043-03-15T12:00:00Z");
        assert_eq!(zoned_timestamp(b"12024-02-29 10:34:56+00", 0).unwrap(), "+12024-02-29T10:34:56Z");
        assert_eq!(zoned_timestamp(b"-infinity", 6).unwrap(), "-infinity");
        assert_eq!(zoned_time(b"12:34:56+02").unwrap(), "10:34:56Z");
        assert_eq!(zoned_time(b"00:30:00.25+05:30").unwrap(), "19:00:00.25Z");
        assert_eq!(zoned_time(b"24:00:00+00").unwrap(), "24:00:00Z");
    }

    #[test]
    fn dates_are_days() {
        assert_eq!(date_days(b"2024-02-29").unwrap(), 19_782);
        assert_eq!(date_days(b"infinity").unwrap(), i32::MAX);
        assert_eq!(date_days(b"4713-01-01 BC").unwrap(), calendar::days(-4712, 1, 1) as i32);
        assert_eq!(iso_date(Date { year: 2017, month: 9, day: 15 }), "2017-09-15Z");
        assert!(date_days(b"2024-2-29").is_err());
    }
}
