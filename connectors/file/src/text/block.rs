//! A run of bytes from a file, given out line by line.
//!
//! The bytes are checked to be UTF-8 once, as a whole; each line is then a slice of the shared buffer
//! without a copy and without a second check. Only where that check fails are lines looked at alone.

use super::{Encoding, InvalidText, find_line_end};
use bytes::Bytes;
use levada_connector_api::{ConfigEnum, Str};

/// What is done with a line longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum LongLines {
    /// It becomes several records, each marked with its number.
    Split,
    /// It is cut at the limit and marked; the rest is dropped.
    Truncate,
    /// The task fails.
    Fail,
}

/// How lines are made.
#[derive(Clone, Copy, Debug)]
pub struct LineRules {
    /// Encoding of the file.
    pub encoding: Encoding,
    /// What invalid text becomes.
    pub invalid: InvalidText,
    /// Most bytes of a line, its end not counted.
    pub max_line: usize,
    /// What longer ones become.
    pub long: LongLines,
}

/// What is special about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Piece of that number of a line that was too long.
    Part(u32),
    /// The line was cut at the limit.
    Truncated,
}

/// A line of text.
#[derive(Debug)]
pub struct Line {
    /// Text without the line end.
    pub text: Str,
    /// What is special about it.
    pub mark: Option<Mark>,
}

/// A line that the rules refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than the limit.
    #[error(
        "the line at byte {at} is longer than {limit} bytes (`max.line.bytes`); raise it or set `long.lines` to split or truncate"
    )]
    TooLong {
        /// Where the line starts.
        at: u64,
        /// The limit.
        limit: usize,
    },
    /// Not text of the encoding.
    #[error("the line at byte {at} is no text of the declared `encoding`; correct it or set `invalid.text` to replace")]
    Invalid {
        /// Where the line starts.
        at: u64,
    },
}

/// Bytes that start at the start of a line, or of a piece of one.
pub struct Block {
    raw: Bytes,
    /// The same bytes, when they are UTF-8 as a whole.
    text: Option<Str>,
    /// Position of the first byte in the file.
    base: u64,
    cursor: usize,
    /// Whether the bytes end where a line does, be it only because the file ends there.
    at_end: bool,
    /// Where the next line starts, when these are the first bytes of a line to truncate.
    jump: Option<u64>,
    jumped: bool,
}

impl Block {
    /// Lines. With `at_end` the last one ends where the bytes do; without, it is an over-long one that
    /// goes on behind them, and its last bytes are not given out.
    pub fn of_lines(raw: Bytes, base: u64, rules: &LineRules, at_end: bool) -> Self {
        let text = (rules.encoding == Encoding::Utf8).then(|| Str::from_utf8(raw.clone()).ok()).flatten();
        let mark = rules.encoding.byte_order_mark();
        let cursor = if base == 0 && !mark.is_empty() && raw.starts_with(mark) { mark.len() } else { 0 };
        Self { raw, text, base, cursor, at_end, jump: None, jumped: false }
    }

    /// The start of a line that is over the limit and ends right before `next`.
    pub fn of_truncated(raw: Bytes, base: u64, rules: &LineRules, next: u64) -> Self {
        Self { jump: Some(next), ..Self::of_lines(raw, base, rules, true) }
    }

    /// Position behind the last line given out.
    pub fn position(&self) -> u64 {
        self.base + self.cursor as u64
    }

    /// At most `most` bytes before the position; none where they are not in the block.
    pub fn behind(&self, most: usize) -> &[u8] {
        if self.jumped {
            return &[];
        }
        self.raw.get(self.cursor.saturating_sub(most)..self.cursor).unwrap_or_default()
    }

    /// The next line. `part` is how many pieces of it were given out before; it is kept up to date.
    pub fn next(&mut self, rules: &LineRules, part: &mut u32) -> Result<Option<Line>, LineError> {
        let start = self.cursor;
        if start >= self.raw.len() {
            return Ok(None);
        }
        if let Some(next) = self.jump.take() {
            return self.truncated(rules, start, next).map(Some);
        }
        let (text, next) = match find_line_end(&self.raw, start, rules.encoding.unit(), self.at_end) {
            Some(end) => (end.text, end.next),
            None if self.at_end || self.raw.len() - start > rules.max_line => (self.raw.len(), self.raw.len()),
            None => return Ok(None),
        };
        if text - start > rules.max_line {
            return self.over_long(rules, start, next, part).map(Some);
        }
        let line = self.line(rules, start, text)?;
        self.cursor = next;
        let mark = (*part > 0).then_some(Mark::Part(*part));
        *part = 0;
        Ok(Some(Line { text: line, mark }))
    }

    fn truncated(&mut self, rules: &LineRules, start: usize, next: u64) -> Result<Line, LineError> {
        let end = rules.encoding.boundary(&self.raw, self.raw.len().min(start + rules.max_line));
        let text = self.line(rules, start, end)?;
        // The position is behind bytes that were never in this block.
        self.base = next - self.raw.len() as u64;
        self.cursor = self.raw.len();
        self.jumped = true;
        Ok(Line { text, mark: Some(Mark::Truncated) })
    }

    /// Bytes that were not given out: the rest of a line whose end is not here.
    pub fn rest(&self) -> &[u8] {
        self.raw.get(self.cursor..).unwrap_or_default()
    }

    fn over_long(&mut self, rules: &LineRules, start: usize, next: usize, part: &mut u32) -> Result<Line, LineError> {
        let line = self.raw.get(start..).unwrap_or_default();
        let end = start + rules.encoding.boundary(line, rules.max_line).max(rules.encoding.unit().size());
        match rules.long {
            LongLines::Fail => Err(LineError::TooLong { at: self.position(), limit: rules.max_line }),
            LongLines::Truncate => {
                let text = self.line(rules, start, end)?;
                self.cursor = next;
                Ok(Line { text, mark: Some(Mark::Truncated) })
            }
            LongLines::Split => {
                let text = self.line(rules, start, end)?;
                self.cursor = end;
                let mark = Some(Mark::Part(*part));
                *part += 1;
                Ok(Line { text, mark })
            }
        }
    }

    fn line(&self, rules: &LineRules, start: usize, end: usize) -> Result<Str, LineError> {
        if let Some(line) = self.text.as_ref().and_then(|text| text.slice(start, end)) {
            return Ok(line);
        }
        let at = self.base + start as u64;
        rules.encoding.decode(self.raw.slice(start..end), rules.invalid).ok_or(LineError::Invalid { at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(encoding: Encoding, max_line: usize, long: LongLines) -> LineRules {
        LineRules { encoding, invalid: InvalidText::Replace, max_line, long }
    }

    fn all(block: &mut Block, rules: &LineRules, part: &mut u32) -> Vec<(String, Option<Mark>)> {
        let mut lines = Vec::new();
        while let Some(line) = block.next(rules, part).unwrap() {
            lines.push((line.text.to_string(), line.mark));
        }
        lines
    }

    #[test]
    fn lines_share_the_blocks_memory() {
        let raw = Bytes::from_static("one\ntwo€\n".as_bytes());
        let rules = rules(Encoding::Utf8, 100, LongLines::Fail);
        let mut block = Block::of_lines(raw.clone(), 10, &rules, false);
        let line = block.next(&rules, &mut 0).unwrap().unwrap().text;
        assert_eq!((line.as_str(), line.as_bytes().as_ptr()), ("one", raw.as_ptr()));
        assert_eq!((block.position(), block.behind(2)), (14, b"e\n".as_slice()));
    }

    #[test]
    fn the_byte_order_mark_is_dropped_at_the_start_of_the_file_only() {
        let rules = rules(Encoding::Utf8, 100, LongLines::Fail);
        for (base, expected) in [(0, "a"), (7, "\u{feff}a")] {
            let mut block = Block::of_lines(Bytes::from_static(b"\xef\xbb\xbfa\n"), base, &rules, false);
            assert_eq!(all(&mut block, &rules, &mut 0)[0].0, expected);
            assert_eq!(block.position(), base + 5);
        }
    }

    #[test]
    fn one_bad_line_spoils_no_other() {
        let rules = rules(Encoding::Utf8, 100, LongLines::Fail);
        let mut block = Block::of_lines(Bytes::from_static(b"good\nb\xffd\n\xe2\x82\xac\n"), 0, &rules, false);
        let lines = all(&mut block, &rules, &mut 0);
        assert_eq!(lines.iter().map(|line| line.0.as_str()).collect::<Vec<_>>(), ["good", "b\u{fffd}d", "€"]);
    }

    #[test]
    fn long_lines_follow_the_rule() {
        let raw = Bytes::from_static(b"abcdefgh\nok\n");
        let split = rules(Encoding::Utf8, 3, LongLines::Split);
        let part = |n| Some(Mark::Part(n));
        let lines = all(&mut Block::of_lines(raw.clone(), 0, &split, false), &split, &mut 0);
        let text = |text: &str, mark| (text.to_owned(), mark);
        assert_eq!(lines, [text("abc", part(0)), text("def", part(1)), text("gh", part(2)), text("ok", None)]);
        let cut = rules(Encoding::Utf8, 3, LongLines::Truncate);
        let lines = all(&mut Block::of_lines(raw.clone(), 0, &cut, false), &cut, &mut 0);
        assert_eq!(lines, [text("abc", Some(Mark::Truncated)), text("ok", None)]);
        let fail = rules(Encoding::Utf8, 3, LongLines::Fail);
        let error = Block::of_lines(raw, 5, &fail, false).next(&fail, &mut 0).unwrap_err();
        assert_eq!(error, LineError::TooLong { at: 5, limit: 3 });
    }

    #[test]
    fn a_truncated_line_continues_behind_its_unread_end() {
        let rules = rules(Encoding::Utf8, 4, LongLines::Truncate);
        let mut block = Block::of_truncated(Bytes::from_static("abc€".as_bytes()), 100, &rules, 9000);
        assert_eq!(all(&mut block, &rules, &mut 0), [("abc".to_owned(), Some(Mark::Truncated))]);
        assert_eq!(block.position(), 9000);
    }

    proptest! {
        #[test]
        fn pieces_of_long_lines_join_to_the_line(text in "[a€😀]{0,30}", max in 4usize..20, unended in any::<bool>()) {
            let rules = rules(Encoding::Utf8, max, LongLines::Split);
            let raw = Bytes::from(if unended { text.clone() } else { format!("{text}\n") });
            let mut block = Block::of_lines(raw, 0, &rules, unended);
            let lines = all(&mut block, &rules, &mut 0);
            prop_assert_eq!(lines.iter().map(|line| line.0.as_str()).collect::<String>(), text);
            prop_assert!(lines.iter().all(|line| line.0.len() <= max));
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..60), max in 1usize..20, kind in 0usize..5) {
            let encoding = ["utf-8", "utf-16le", "utf-16be", "latin1", "shift_jis"][kind];
            for long in [LongLines::Split, LongLines::Truncate] {
                let rules = rules(Encoding::named(encoding).unwrap(), max, long);
                let size = bytes.len();
                let mut block = Block::of_lines(Bytes::from(bytes.clone()), 0, &rules, true);
                all(&mut block, &rules, &mut 0);
                prop_assert_eq!(block.position(), size as u64, "everything is given out");
            }
        }
    }
}
