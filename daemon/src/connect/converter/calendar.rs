//! Dates and times in UTC as ISO text, for headers.

use levada_connector_api::java_text::civil;

const DAY_MS: i64 = 86_400_000;

/// Days since 1970-01-01 of a civil date; `None` when there is no such day.
pub(in crate::connect) fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = year - i64::from(month <= 2);
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let month_index = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * month_index + 2) / 5 + i64::from(day) - 1;
    let total = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    (civil(total) == (year, month, day)).then_some(total)
}

fn clock(millis: i64) -> (i64, i64, i64, i64) {
    let rest = millis.rem_euclid(DAY_MS);
    (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000)
}

/// `2024-02-29`.
pub(in crate::connect) fn date_text(days: i64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `12:00:00.000Z`.
pub(in crate::connect) fn time_text(millis: i64) -> String {
    let (hour, minute, second, milli) = clock(millis);
    format!("{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// `2024-02-29T12:00:00.000Z`.
pub(in crate::connect) fn timestamp_text(millis: i64) -> String {
    format!("{}T{}", date_text(millis.div_euclid(DAY_MS)), time_text(millis))
}

/// Days since the epoch of `2024-02-29`.
pub(in crate::connect) fn parse_date(text: &str) -> Option<i64> {
    let [year, month, day] = parts(text, [4, 2, 2], ['-', '-'])?;
    days(i64::from(year), month, day)
}

/// Milliseconds since midnight of `12:00:00.000Z`.
pub(in crate::connect) fn parse_time(text: &str) -> Option<i64> {
    let (clock, milli) = text.strip_suffix('Z')?.split_once('.')?;
    let [hour, minute, second] = parts(clock, [2, 2, 2], [':', ':'])?;
    if milli.len() != 3 || hour > 23 || minute > 59 || second > 59 || !milli.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(seconds * 1000 + milli.parse::<i64>().ok()?)
}

/// Milliseconds since the epoch of `2024-02-29T12:00:00.000Z`.
pub(in crate::connect) fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    Some(parse_date(date)? * DAY_MS + parse_time(time)?)
}

fn parts(text: &str, widths: [usize; 3], separators: [char; 2]) -> Option<[u32; 3]> {
    let (first, rest) = text.split_once(separators[0])?;
    let (second, third) = rest.split_once(separators[1])?;
    let mut numbers = [0; 3];
    for ((number, part), width) in numbers.iter_mut().zip([first, second, third]).zip(widths) {
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree() {
        for (text, count) in [("1970-01-01", 0), ("2024-02-29", 19_782), ("1969-12-31", -1), ("2000-03-01", 11_017)] {
            assert_eq!(parse_date(text), Some(count));
            assert_eq!(date_text(count), text);
        }
        assert_eq!(parse_date("2023-02-29"), None);
        assert_eq!(parse_date("2023-1-01"), None);
    }

    #[test]
    fn times_and_timestamps_agree() {
        assert_eq!(parse_time("12:00:00.001Z"), Some(43_200_001));
        assert_eq!(parse_time("25:00:00.000Z"), None);
        let text = "2024-02-29T12:34:56.789Z";
        assert_eq!(timestamp_text(parse_timestamp(text).unwrap()), text);
    }
}
