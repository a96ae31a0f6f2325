//! Days as numbers: proleptic Gregorian.

/// Days since 1970-01-01 of a date; `month` and `day` count from 1, the year before 1 is 0.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_connector_api::java_text::civil;

    #[test]
    fn days_and_dates_are_each_others_reverse() {
        for number in (-2_500_000..3_000_000).step_by(37).chain([-719_163, -719_162, 19_782, 11_016, 11_017]) {
            let (year, month, day) = civil(number);
            assert_eq!(days(year, month.into(), day.into()), number);
            assert!((1..=12).contains(&month) && (1..=31).contains(&day));
        }
    }

    #[test]
    fn days_count_from_1970() {
        for (date, number) in [
            ((1970, 1, 1), 0),
            ((2024, 2, 29), 19_782),
            ((2000, 3, 1), 11_017),
            ((1, 1, 1), -719_162),
            ((0, 12, 31), -719_163),
            ((-4713, 11, 24), -2_440_588),
        ] {
            assert_eq!(days(date.0, date.1, date.2), number);
        }
    }
}
