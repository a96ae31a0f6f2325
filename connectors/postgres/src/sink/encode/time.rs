//! Dates and times in the server's ISO form, the years before Christ with their era.

use super::{EncodeError, Unit, checked};
use levada_connector_api::java_text::civil;

const DAY_MICROS: i64 = 86_400_000_000;

fn padded(number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut left = number;
    let mut digits = 0;
    while left > 0 || digits < width {
        out.push(b'0' + (left % 10) as u8);
        left /= 10;
        digits += 1;
    }
    if let Some(written) = out.get_mut(start..) {
        written.reverse();
    }
}

/// The date without its era; true when that is BC.
fn date(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil(days);
    let bc = year <= 0;
    padded(if bc { 1 - year } else { year }.unsigned_abs(), 4, out);
    out.push(b'-');
    padded(month.into(), 2, out);
    out.push(b'-');
    padded(day.into(), 2, out);
    bc
}

fn hours(micros: u64, out: &mut Vec<u8>) {
    padded(micros / 3_600_000_000, 2, out);
    out.push(b':');
    padded(micros / 60_000_000 % 60, 2, out);
    out.push(b':');
    padded(micros / 1_000_000 % 60, 2, out);
    if !micros.is_multiple_of(1_000_000) {
        out.push(b'.');
        padded(micros % 1_000_000, 6, out);
    }
}

fn era(bc: bool, out: &mut Vec<u8>) {
    if bc {
        out.extend_from_slice(b" BC");
    }
}

/// Days since 1970; the ends of 32 bits are the infinities.
pub fn days(days: i64, out: &mut Vec<u8>) {
    match days {
        days if days == i64::from(i32::MAX) => out.extend_from_slice(b"infinity"),
        days if days == i64::from(i32::MIN) => out.extend_from_slice(b"-infinity"),
        days => {
            let bc = date(days.clamp(-4_000_000_000, 4_000_000_000), out);
            era(bc, out);
        }
    }
}

/// A time of day, up to 24:00.
pub fn clock(number: i64, unit: Unit, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let micros = match unit {
        Unit::Millis => number.saturating_mul(1000),
        Unit::Micros => number,
        Unit::Nanos => number / 1000,
    };
    if !(0..=DAY_MICROS).contains(&micros) {
        return Err(EncodeError::new("it is no time of day"));
    }
    hours(micros.unsigned_abs(), out);
    Ok(())
}

/// Time since 1970. The numbers that stand for the infinities are those of the Java driver.
pub fn moment(number: i64, unit: Unit, zoned: bool, out: &mut Vec<u8>) {
    const INFINITY: i64 = 9_223_372_036_825_200_000;
    const MINUS_INFINITY: i64 = -9_223_372_036_832_400_000;
    let (infinite, negative) = match unit {
        Unit::Millis => (number == INFINITY / 1000, number == MINUS_INFINITY / 1000),
        Unit::Micros => (number == INFINITY, number == MINUS_INFINITY),
        Unit::Nanos => (number == i64::MAX, number == i64::MIN),
    };
    if infinite || negative {
        out.extend_from_slice(if negative { b"-infinity" } else { b"infinity" });
        return;
    }
    let (per_day, to_micros): (i64, fn(i64) -> i64) = match unit {
        Unit::Millis => (DAY_MICROS / 1000, |of_day| of_day * 1000),
        Unit::Micros => (DAY_MICROS, |of_day| of_day),
        Unit::Nanos => (DAY_MICROS * 1000, |of_day| of_day / 1000),
    };
    let bc = date(number.div_euclid(per_day), out);
    out.push(b' ');
    hours(to_micros(number.rem_euclid(per_day)).unsigned_abs(), out);
    if zoned {
        out.extend_from_slice(b"+00");
    }
    era(bc, out);
}

/// An interval of microseconds, in hours and less as the source counted them; the ends of what there is are the infinities.
pub fn duration(micros: i64, out: &mut Vec<u8>) {
    if matches!(micros, i64::MIN | i64::MAX) {
        out.extend_from_slice(if micros < 0 { b"-infinity" } else { b"infinity" });
        return;
    }
    if micros < 0 {
        out.push(b'-');
    }
    hours(micros.unsigned_abs(), out);
}

/// A text without the `Z` or offset at its end.
pub fn without_zone(text: &str) -> &str {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    // `10:00:00+02:00`, and never the dashes of a date.
    match text.rfind(['+', '-']) {
        Some(at) if text.get(..at).is_some_and(|before| before.contains(':')) => text.get(..at).unwrap_or(text),
        _ => text,
    }
}

/// ISO 8601 as the server reads it: a year of a sign or before 1 is written its way.
pub fn iso(text: &str, zone: bool, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let shown = if zone { text } else { without_zone(text) };
    let (sign, rest) = match shown.as_bytes().first() {
        Some(b'-') => (-1, shown.get(1..).unwrap_or_default()),
        Some(b'+') => (1, shown.get(1..).unwrap_or_default()),
        _ if shown.starts_with("0000-") => (1, shown),
        _ => return checked(shown, out),
    };
    let Some((year, rest)) = rest.split_once('-') else { return checked(shown, out) };
    let Ok(year) = year.parse::<i64>() else { return checked(shown, out) };
    let (year, bc) = if sign * year <= 0 { (1 - sign * year, true) } else { (year, false) };
    padded(year.unsigned_abs(), 4, out);
    out.push(b'-');
    checked(rest, out)?;
    era(bc, out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_and_moments_are_the_servers() {
        assert_eq!(text(|out| days(19_782, out)), "2024-02-29");
        assert_eq!(text(|out| days(-735_160, out)), "0044-03-15 BC");
        assert_eq!(text(|out| days(i64::from(i32::MAX), out)), "infinity");
        let micros = |number, zoned| text(|out| moment(number, Unit::Micros, zoned, out));
        assert_eq!(micros(1_709_202_896_123_456, false), "2024-02-29 10:34:56.123456");
        assert_eq!(micros(-1, true), "1969-12-31 23:59:59.999999+00");
        assert_eq!(micros(-62_167_219_200_000_000, true), "0001-01-01 00:00:00+00 BC");
        assert_eq!(micros(9_223_372_036_825_200_000, false), "infinity");
        assert_eq!(text(|out| moment(-9_223_372_036_832_400, Unit::Millis, false, out)), "-infinity");
        assert_eq!(text(|out| moment(i64::MIN, Unit::Nanos, false, out)), "-infinity");
        assert_eq!(text(|out| moment(1_500_000_000, Unit::Nanos, false, out)), "1970-01-01 00:00:01.500000");
        assert_eq!(text(|out| days(i64::MAX, out)).len(), 14);
    }

    #[test]
    fn clocks_end_with_the_day() {
        let clock = |number, unit| {
            let mut out = Vec::new();
            clock(number, unit, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(clock(86_400_000_000, Unit::Micros).unwrap(), "24:00:00");
        assert_eq!(clock(38_096_789, Unit::Millis).unwrap(), "10:34:56.789000");
        assert!(clock(-1, Unit::Millis).is_err() && clock(i64::MAX, Unit::Millis).is_err());
        assert_eq!(text(|out| duration(-37_091_106_000_007, out)), "-10303:05:06.000007");
    }

    #[test]
    fn iso_texts_are_made_readable() {
        let iso = |text: &str, zone| {
            let mut out = Vec::new();
            iso(text, zone, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(iso("2024-02-29T10:34:56.1Z", true), "2024-02-29T10:34:56.1Z");
        assert_eq!(iso("2024-02-29T10:34:56.1Z", false), "2024-02-29T10:34:56.1");
        assert_eq!(iso("-0043-03-15T12:00:00Z", true), "0044-03-15T12:00:00Z BC");
        assert_eq!(iso("0000-01-01T00:00:00Z", true), "0001-01-01T00:00:00Z BC");
        assert_eq!(iso("+12024-02-29Z", false), "12024-02-29");
        assert_eq!(iso("2017-09-15Z", false), "2017-09-15");
        assert_eq!(iso("-infinity", true), "-infinity");
        assert_eq!(without_zone("10:00:00.5+02:00"), "10:00:00.5");
        assert_eq!(without_zone("2024-02-29"), "2024-02-29");
    }
}
