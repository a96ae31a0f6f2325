//! `interval` from the server's own style: `1 year 2 mons -3 days +04:05:06.789`.

use super::DecodeError;
use levada_connector_api::Str;

/// Microseconds of a month of 30.4375 days, Debezium's average.
const MONTH_MICROS: i64 = 2_629_800_000_000;

/// Digits of a second's fraction that an interval's modifier declares: its lower half, 65535 for none.
pub fn interval_precision(modifier: i32) -> Option<i32> {
    (modifier >= 0 && modifier & 0xffff != 0xffff).then_some(modifier & 0xffff)
}

/// The parts of an interval; each has its own sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Years.
    pub years: i64,
    /// Months.
    pub months: i64,
    /// Days.
    pub days: i64,
    /// Hours.
    pub hours: i64,
    /// Minutes.
    pub minutes: i64,
    /// Microseconds beyond the minutes.
    pub micros: i64,
}

impl Interval {
    /// Reads the text.
    pub fn parse(text: &[u8]) -> Result<Self, DecodeError> {
        let wrong = || DecodeError::new("an interval");
        let text = std::str::from_utf8(text).map_err(|_| wrong())?;
        let mut interval = Self::default();
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            if word.contains(':') {
                interval.clock(word).ok_or_else(wrong)?;
                continue;
            }
            let number: i64 = word.parse().map_err(|_| wrong())?;
            match words.next().map(|unit| unit.trim_end_matches('s')) {
                Some("year") => interval.years = number,
                Some("mon") => interval.months = number,
                Some("day") => interval.days = number,
                _ => return Err(wrong()),
            }
        }
        Ok(interval)
    }

    fn clock(&mut self, word: &str) -> Option<()> {
        let sign = if word.starts_with('-') { -1 } else { 1 };
        let mut parts = word.trim_start_matches(['+', '-']).split(':');
        self.hours = sign * parts.next()?.parse::<i64>().ok()?;
        self.minutes = sign * parts.next()?.parse::<i64>().ok()?;
        let seconds = parts.next()?;
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let micros = format!("{fraction:0<6}").parse::<i64>().ok()?;
        self.micros = sign * (whole.parse::<i64>().ok()? * 1_000_000 + micros);
        Some(())
    }

    /// Microseconds of the text. The infinities (PostgreSQL 17) are the ends of what there is.
    pub fn micros_of(text: &[u8]) -> Result<i64, DecodeError> {
        match text {
            b"infinity" => Ok(i64::MAX),
            b"-infinity" => Ok(i64::MIN),
            text => Ok(Self::parse(text)?.total_micros()),
        }
    }

    /// ISO 8601 of the text. The infinities (PostgreSQL 17) have no such form and stay words.
    pub fn iso_of(text: &[u8]) -> Result<Str, DecodeError> {
        match text {
            b"infinity" => Ok(Str::from_static("infinity")),
            b"-infinity" => Ok(Str::from_static("-infinity")),
            text => Ok(Self::parse(text)?.iso()),
        }
    }

    /// All of it in microseconds.
    pub fn total_micros(self) -> i64 {
        let days = (self.years * 12 + self.months).saturating_mul(MONTH_MICROS);
        let days = days.saturating_add(self.days.saturating_mul(86_400_000_000));
        let clock = (self.hours * 60 + self.minutes).saturating_mul(60_000_000);
        days.saturating_add(clock).saturating_add(self.micros)
    }

    /// `P1Y2M3DT4H5M6.78S`.
    pub fn iso(self) -> Str {
        let Self { years, months, days, hours, minutes, micros } = self;
        let sign = if micros < 0 { "-" } else { "" };
        let mut seconds = format!("{sign}{}", micros.unsigned_abs() / 1_000_000);
        let fraction = format!("{:06}", micros.unsigned_abs() % 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        if !fraction.is_empty() {
            seconds = format!("{seconds}.{fraction}");
        }
        format!("P{years}Y{months}M{days}DT{hours}H{minutes}M{seconds}S").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read() {
        let all = Interval::parse(b"1 year 2 mons 3 days 04:05:06.000007").unwrap();
        assert_eq!(all.total_micros(), 37_091_106_000_007);
        assert_eq!(all.iso(), "P1Y2M3DT4H5M6.000007S");
        let mixed = Interval::parse(b"-1 years +2 mons -00:00:00.5").unwrap();
        assert_eq!((mixed.years, mixed.months, mixed.micros), (-1, 2, -500_000));
        assert_eq!(mixed.iso(), "P-1Y2M0DT0H0M-0.5S");
        assert_eq!(Interval::parse(b"00:00:00").unwrap().iso(), "P0Y0M0DT0H0M0S");
        assert_eq!(Interval::micros_of(b"-infinity").unwrap(), i64::MIN);
        assert_eq!(Interval::iso_of(b"infinity").unwrap(), "infinity");
        assert!(Interval::parse(b"1 eon").is_err() && Interval::parse(b"x").is_err());
    }
}
