//! Dates as Java prints them.

use std::io;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year, month (1-12) and day of a count of days since 1970-01-01 in the proleptic Gregorian calendar.
pub fn civil(days: i64) -> (i64, u32, u32) {
    // Days are counted from 0000-03-01 in eras of 400 years, so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u32, day as u32)
}

/// `java.util.Date.toString` in UTC: `Thu Jan 01 00:00:00 UTC 1970`. Before 1582 Java counts by the Julian calendar,
/// which this does not.
pub fn write_date(millis: i64, out: &mut impl io::Write) -> io::Result<()> {
    let (days, seconds) = (millis.div_euclid(DAY_MS), millis.rem_euclid(DAY_MS) / 1000);
    let (year, month, day) = civil(days);
    let weekday = WEEKDAYS.get(days.rem_euclid(7) as usize).unwrap_or(&"");
    let month = MONTHS.get(month as usize - 1).unwrap_or(&"");
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, "{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year:04}")
}
