//! Where lines end: at `\n`, `\r\n` or a lone `\r`, in one-byte or two-byte code units.

use memchr::{memchr2, memrchr2};

/// Size and order of a code unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// One byte, line ends as in ASCII (UTF-8, ISO-8859, Shift JIS, ...).
    One,
    /// Two bytes, low one first (UTF-16LE).
    TwoLittle,
    /// Two bytes, high one first (UTF-16BE).
    TwoBig,
}

impl Unit {
    /// Bytes of a code unit.
    pub const fn size(self) -> usize {
        match self {
            Self::One => 1,
            Self::TwoLittle | Self::TwoBig => 2,
        }
    }

    /// The two-byte code unit at `index`.
    pub fn at(self, bytes: &[u8], index: usize) -> Option<u16> {
        let pair: [u8; 2] = bytes.get(index..index + 2)?.try_into().ok()?;
        Some(if self == Self::TwoBig { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    }
}

/// Where a line ends and the next one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineEnd {
    /// End of the line's text, exclusive.
    pub text: usize,
    /// Start of the next line.
    pub next: usize,
}

/// The end of the line that starts at `from`. A `\r` as the last code unit is no line end yet, since
/// a `\n` may follow it, unless nothing will (`at_end`).
pub fn find_line_end(bytes: &[u8], from: usize, unit: Unit, at_end: bool) -> Option<LineEnd> {
    if unit != Unit::One {
        return find_wide(bytes, from, unit, at_end);
    }
    let text = from + memchr2(b'\n', b'\r', bytes.get(from..)?)?;
    if bytes.get(text) == Some(&b'\n') {
        return Some(LineEnd { text, next: text + 1 });
    }
    match bytes.get(text + 1) {
        Some(b'\n') => Some(LineEnd { text, next: text + 2 }),
        Some(_) => Some(LineEnd { text, next: text + 1 }),
        None if at_end => Some(LineEnd { text, next: text + 1 }),
        None => None,
    }
}

fn find_wide(bytes: &[u8], from: usize, unit: Unit, at_end: bool) -> Option<LineEnd> {
    const LF: u16 = 0x0a;
    const CR: u16 = 0x0d;
    let mut text = from;
    loop {
        match unit.at(bytes, text)? {
            LF => return Some(LineEnd { text, next: text + 2 }),
            CR => match unit.at(bytes, text + 2) {
                Some(LF) => return Some(LineEnd { text, next: text + 4 }),
                Some(_) => return Some(LineEnd { text, next: text + 2 }),
                None if at_end => return Some(LineEnd { text, next: text + 2 }),
                None => return None,
            },
            _ => text += 2,
        }
    }
}

/// How many bytes from the start are whole lines.
pub fn last_line_end(bytes: &[u8], unit: Unit) -> usize {
    if unit != Unit::One {
        let mut end = 0;
        while let Some(found) = find_wide(bytes, end, unit, false) {
            end = found.next;
        }
        return end;
    }
    match memrchr2(b'\n', b'\r', bytes) {
        // A `\r` at the very end may be half of a `\r\n`: the line before it is the last whole one.
        Some(last) if last + 1 == bytes.len() && bytes.get(last) == Some(&b'\r') => {
            memrchr2(b'\n', b'\r', bytes.get(..last).unwrap_or_default()).map_or(0, |end| end + 1)
        }
        Some(last) => last + 1,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(bytes: &[u8], unit: Unit, at_end: bool) -> (Vec<&[u8]>, usize) {
        let (mut lines, mut from) = (Vec::new(), 0);
        while let Some(end) = find_line_end(bytes, from, unit, at_end) {
            lines.push(&bytes[from..end.text]);
            from = end.next;
        }
        (lines, from)
    }

    #[test]
    fn knows_all_three_line_ends() {
        let (lines, rest) = split(b"a\nb\r\nc\rd\n\n\r\re", Unit::One, false);
        assert_eq!(lines, [b"a".as_slice(), b"b", b"c", b"d", b"", b"", b""]);
        assert_eq!(rest, 12);
    }

    #[test]
    fn a_last_cr_waits_for_the_next_byte() {
        assert_eq!(split(b"a\r", Unit::One, false), (vec![], 0));
        assert_eq!(split(b"a\r", Unit::One, true), (vec![b"a".as_slice()], 2));
        assert_eq!(last_line_end(b"a\nb\r", Unit::One), 2);
        assert_eq!(last_line_end(b"a\r\r", Unit::One), 2);
        assert_eq!(last_line_end(b"a\r", Unit::One), 0);
    }

    proptest! {
        #[test]
        fn splitting_in_two_reads_is_splitting_in_one(text in "[ab\\r\\n]{0,40}", cut in 0usize..40) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let (mut lines, first) = split(&bytes[..cut], Unit::One, false);
            let (rest, _) = split(&bytes[first..], Unit::One, true);
            lines.extend(rest);
            prop_assert_eq!(lines, split(bytes, Unit::One, true).0);
            prop_assert_eq!(first, last_line_end(&bytes[..cut], Unit::One));
        }

        #[test]
        fn two_byte_units_split_like_one_byte_ones(text in "[ab\\r\\n\u{a0a}\u{d0d}\u{1f600}]{0,40}") {
            // In UTF-16 U+0A0A holds two bytes 0x0a that are no line end.
            let expected: Vec<Vec<u16>> = {
                let bytes = text.as_bytes();
                split(bytes, Unit::One, false).0.iter()
                    .map(|line| String::from_utf8(line.to_vec()).unwrap().encode_utf16().collect()).collect()
            };
            for unit in [Unit::TwoLittle, Unit::TwoBig] {
                let swap = |unit16: u16| if unit == Unit::TwoBig { unit16.to_be_bytes() } else { unit16.to_le_bytes() };
                let wide: Vec<u8> = text.encode_utf16().flat_map(swap).collect();
                let (lines, end) = split(&wide, unit, false);
                let found: Vec<Vec<u16>> = lines.iter()
                    .map(|line| (0..line.len()).step_by(2).map(|i| unit.at(line, i).unwrap()).collect()).collect();
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(end, last_line_end(&wide, unit));
            }
        }
    }
}
