//! A point in time with microseconds, as the server has it.

use crate::datatype::{DecodeError, Unit, timestamp_number};
use std::fmt::Write;

/// Microseconds since 1970 in UTC; the infinities are the numbers that pgjdbc gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(i64);

const INFINITY: i64 = 9_223_372_036_825_200_000;
const MINUS_INFINITY: i64 = -9_223_372_036_832_400_000;

impl Instant {
    /// Of the server's text of a `timestamp` in UTC.
    pub fn parse(text: &[u8]) -> Result<Self, DecodeError> {
        timestamp_number(text, Unit::Micros).map(Self)
    }

    /// Of milliseconds, and the nanoseconds of the second where they are known.
    pub fn of_parts(millis: i64, nanos: Option<i64>) -> Self {
        let micros = match nanos {
            Some(nanos) => millis.div_euclid(1000).saturating_mul(1_000_000).saturating_add(nanos / 1000),
            None => millis.saturating_mul(1000),
        };
        Self(micros)
    }

    /// Milliseconds since 1970, as Java's `Timestamp.getTime`.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Nanoseconds of the second, as Java's `Timestamp.getNanos`.
    pub fn nanos_of_second(self) -> i64 {
        self.0.rem_euclid(1_000_000) * 1000
    }

    /// The same point less some time.
    pub fn minus(self, time: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
    }

    /// As the server reads a `timestamp`: `2024-02-29 10:34:56.123456`, in UTC.
    pub fn text(self) -> String {
        if self.0 >= INFINITY {
            return "infinity".to_owned();
        }
        if self.0 <= MINUS_INFINITY {
            return "-infinity".to_owned();
        }
        let (seconds, micros) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let mut text = String::with_capacity(32);
        let shown = if year > 0 { year } else { 1 - year };
        let _ = write!(text, "{shown:04}-{month:02}-{day:02}");
        let _ = write!(text, " {:02}:{:02}:{:02}.{micros:06}", second / 3600, second / 60 % 60, second % 60);
        if year <= 0 {
            text.push_str(" BC");
        }
        text
    }
}

/// Year, month and day of a count of days since 1970, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last of one.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        for text in [
            "1970-01-01 00:00:00.000000",
            "2024-02-29 10:34:56.123456",
            "1969-12-31 23:59:59.999999",
            "0044-03-15 12:00:00.000000 BC",
            "0001-01-01 00:00:00.000000",
            "4713-01-01 00:00:00.000000 BC",
            "12024-02-29 10:34:56.000000",
            "1900-03-01 00:00:00.000000",
            "infinity",
            "-infinity",
        ] {
            let instant = Instant::parse(text.as_bytes()).unwrap();
            assert_eq!(instant.text(), text);
            assert_eq!(Instant::of_parts(instant.millis(), Some(instant.nanos_of_second())).text(), text);
        }
    }

    #[test]
    fn parts_are_those_of_java() {
        let before = Instant::parse(b"1969-12-31 23:59:59.9995").unwrap();
        assert_eq!((before.millis(), before.nanos_of_second()), (-1, 999_500_000));
    }
}
