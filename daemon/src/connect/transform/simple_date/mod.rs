//! Java's `SimpleDateFormat` in UTC and English, as far as Connect's transforms use it: all letters of its documentation,
//! quoted text, and the lenient reading of texts that Java is known for.
//!
//! Two things are simpler: dates before 1582 are Gregorian too, and a year of two digits lies between 1950 and 2049.

mod read;
mod write;

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Text that stands for itself.
    Text(String),
    /// A letter with how often it is repeated.
    Field(char, usize),
}

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SimpleDate {
    tokens: Vec<Token>,
}

const LETTERS: &str = "GyYMLwWDdFEuaHkKhmsSzZX";
const DAY_MS: i64 = 86_400_000;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From Monday on.
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl SimpleDate {
    /// Reads a pattern; the error says what is wrong with it.
    pub(super) fn parse_pattern(pattern: &str) -> Result<Self, String> {
        let mut tokens: Vec<Token> = Vec::new();
        let mut chars = pattern.chars().peekable();
        let mut text = String::new();
        while let Some(c) = chars.next() {
            if c == '\'' {
                if chars.next_if_eq(&'\'').is_some() {
                    text.push('\'');
                    continue;
                }
                loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => text.push('\''),
                        Some('\'') => break,
                        Some(c) => text.push(c),
                        None => return Err("Unterminated quote".to_owned()),
                    }
                }
            } else if c.is_ascii_alphabetic() {
                if !LETTERS.contains(c) {
                    return Err(format!("Illegal pattern character '{c}'"));
                }
                if !text.is_empty() {
                    tokens.push(Token::Text(std::mem::take(&mut text)));
                }
                let more = std::iter::from_fn(|| chars.next_if_eq(&c)).count();
                if c == 'X' && more > 2 {
                    return Err("invalid ISO 8601 format: length=".to_owned() + &(more + 1).to_string());
                }
                tokens.push(Token::Field(c, more + 1));
            } else {
                text.push(c);
            }
        }
        if !text.is_empty() {
            tokens.push(Token::Text(text));
        }
        if tokens.iter().any(|token| matches!(token, Token::Field('Y', _))) {
            tracing::warn!(pattern, "Y is the year that a week belongs to; for the year of a date write y");
        }
        Ok(Self { tokens })
    }

    /// The text of a time in milliseconds since the epoch.
    pub(super) fn format(&self, millis: i64) -> String {
        write::format(&self.tokens, millis)
    }

    /// The time that a text begins with; what follows is ignored, as in Java.
    pub(super) fn parse(&self, text: &str) -> Option<i64> {
        read::parse(&self.tokens, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: i64 = 1_709_210_096_789; // 2024-02-29T12:34:56.789Z, a Thursday

    fn format(pattern: &str, millis: i64) -> String {
        SimpleDate::parse_pattern(pattern).unwrap().format(millis)
    }

    fn parse(pattern: &str, text: &str) -> Option<i64> {
        SimpleDate::parse_pattern(pattern).unwrap().parse(text)
    }

    // What Java 17 prints in UTC and English.
    #[test]
    fn times_are_written_as_java_writes_them() {
        for (pattern, expected) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-02-29T12:34:56.789Z"),
            ("yy/M/d h 'o''clock' a", "24/2/29 12 o'clock PM"),
            ("EEE, d MMM yyyy HH:mm:ss Z", "Thu, 29 Feb 2024 12:34:56 +0000"),
            ("EEEE MMMM G z", "Thursday February AD UTC"),
            ("D u w W F K k", "60 4 9 5 5 0 12"),
            ("YYYY-'W'ww", "2024-W09"),
            ("SSSSS''", "00789'"),
        ] {
            assert_eq!(format(pattern, TIME), expected, "{pattern}");
        }
        assert_eq!(format("yyyy-MM-dd HH:mm:ss.SSS", -1), "1969-12-31 23:59:59.999");
        assert_eq!(format("YYYY w", 1_735_603_200_000), "2025 1", "the last days of 2024");
    }

    #[test]
    fn texts_are_read_as_java_reads_them() {
        let day = |text: &str| parse("yyyy-MM-dd", text);
        assert_eq!(day("2024-02-29"), Some(1_709_164_800_000));
        assert_eq!(day("2024-2-29 and more"), Some(1_709_164_800_000));
        assert_eq!(day("2024-02-30"), day("2024-03-01"), "lenient");
        assert_eq!(day("2024-13-01"), day("2025-01-01"));
        assert_eq!(day("2024/02/29"), None);
        assert_eq!(day(""), None);
        assert_eq!(parse("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2024-02-29T12:34:56.789Z"), Some(TIME));
        assert_eq!(parse("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-02-29T14:34:56.789+02:00"), Some(TIME));
        assert_eq!(parse("yyyy-MM-dd HH:mm:ss.SSS Z", "2024-02-29 04:34:56.789 -0800"), Some(TIME));
        assert_eq!(parse("yyyyMMddHHmmssSSS", "20240229123456789"), Some(TIME));
        assert_eq!(parse("d MMM yyyy hh:mm:ss a", "29 february 2024 12:34:56 pm"), Some(1_709_210_096_000));
        assert_eq!(parse("d MMM yyyy hh:mm a", "29 Feb 2024 12:00 AM"), Some(1_709_164_800_000));
        assert_eq!(parse("yy-MM-dd", "24-02-29"), Some(1_709_164_800_000));
        assert_eq!(parse("yyyy DDD", "2024 060"), Some(1_709_164_800_000));
        assert_eq!(parse("EEE z HH", "Thu UTC 01"), Some(3_600_000));
        assert_eq!(parse("HH:mm", "99999999999999999999:00"), None);
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for pattern in ["yyyy-bb", "'open", "XXXX"] {
            assert!(SimpleDate::parse_pattern(pattern).is_err(), "{pattern}");
        }
    }
}
