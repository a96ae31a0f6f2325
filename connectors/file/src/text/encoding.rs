//! What the bytes of a line mean. Encodings are declared, never guessed.

use super::Unit;
use bytes::Bytes;
use levada_connector_api::{ConfigEnum, Str};
use std::borrow::Cow;

/// What is done with bytes that are no text of the declared encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigEnum)]
pub enum InvalidText {
    /// They become U+FFFD.
    Replace,
    /// The task fails.
    Fail,
}

/// A declared encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// ISO-8859-1: each byte is the character of that number.
    Latin1,
    /// Another one whose line ends are those of ASCII.
    Other(&'static encoding_rs::Encoding),
}

impl Encoding {
    /// The encoding of that name, any case.
    pub fn named(name: &str) -> Result<Self, String> {
        match name.trim().to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => return Ok(Self::Utf8),
            "utf-16le" | "utf16le" => return Ok(Self::Utf16Le),
            "utf-16be" | "utf16be" => return Ok(Self::Utf16Be),
            "latin1" | "latin-1" | "iso-8859-1" | "iso8859-1" => return Ok(Self::Latin1),
            "utf-16" | "utf16" => return Err("name the byte order: utf-16le or utf-16be".to_owned()),
            _ => {}
        }
        match encoding_rs::Encoding::for_label_no_replacement(name.trim().as_bytes()) {
            Some(encoding) if encoding.is_ascii_compatible() => Ok(Self::Other(encoding)),
            _ => Err("no encoding of that name; use utf-8, utf-16le, utf-16be, latin1 or a name from \
                      https://encoding.spec.whatwg.org that is a superset of ASCII"
                .to_owned()),
        }
    }

    /// [`Encoding::named`] as a check of a key.
    pub fn check(name: &str) -> Result<(), String> {
        Self::named(name).map(|_| ())
    }

    /// Its code units.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Utf16Le => Unit::TwoLittle,
            Self::Utf16Be => Unit::TwoBig,
            _ => Unit::One,
        }
    }

    /// The byte order mark that a file may start with; it is no part of the text.
    pub const fn byte_order_mark(self) -> &'static [u8] {
        match self {
            Self::Utf8 => b"\xef\xbb\xbf",
            Self::Utf16Le => b"\xff\xfe",
            Self::Utf16Be => b"\xfe\xff",
            Self::Latin1 | Self::Other(_) => b"",
        }
    }

    /// The text of a line; `None` when it is invalid and shall not be repaired. Text that is UTF-8
    /// already is shared, not copied.
    pub fn decode(self, line: Bytes, invalid: InvalidText) -> Option<Str> {
        let repaired = |(text, malformed): (Cow<'_, str>, bool)| match (malformed, invalid) {
            (true, InvalidText::Fail) => None,
            _ => Some(Str::from(text.into_owned())),
        };
        match self {
            Self::Utf8 => {
                Str::from_utf8(line).or_else(|line| repaired((String::from_utf8_lossy(&line), true)).ok_or(())).ok()
            }
            Self::Utf16Le => repaired(encoding_rs::UTF_16LE.decode_without_bom_handling(&line)),
            Self::Utf16Be => repaired(encoding_rs::UTF_16BE.decode_without_bom_handling(&line)),
            _ if line.is_ascii() => Str::from_utf8(line).ok(),
            Self::Latin1 => Some(Str::from(encoding_rs::mem::decode_latin1(&line).into_owned())),
            Self::Other(encoding) => repaired(encoding.decode_without_bom_handling(&line)),
        }
    }

    /// The largest end not above `end` that cuts no character of UTF-8 or UTF-16 in two.
    pub fn boundary(self, bytes: &[u8], end: usize) -> usize {
        match self {
            Self::Utf8 => {
                let continues = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
                (end.saturating_sub(3)..=end).rev().find(|&at| !continues(at)).filter(|&at| at > 0).unwrap_or(end)
            }
            Self::Utf16Le | Self::Utf16Be => {
                let even = end & !1;
                let high_surrogate = |unit: u16| (0xd800..0xdc00).contains(&unit);
                match even.checked_sub(2).and_then(|last| self.unit().at(bytes, last)) {
                    Some(unit) if high_surrogate(unit) && even > 2 => even - 2,
                    _ => even,
                }
            }
            _ => end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_declared_encoding() {
        let cases: [(&str, &[u8], &str); 6] = [
            ("UTF-8", "añ€😀".as_bytes(), "añ€😀"),
            ("utf-16le", &[0x61, 0, 0xac, 0x20], "a€"),
            ("utf-16be", &[0, 0x61, 0x20, 0xac], "a€"),
            ("latin1", &[0x61, 0xf1, 0x80], "añ\u{80}"),
            ("windows-1252", &[0x61, 0xf1, 0x80], "añ€"),
            ("shift_jis", &[0x82, 0xa0], "あ"),
        ];
        for (name, bytes, text) in cases {
            let encoding = Encoding::named(name).unwrap();
            assert_eq!(encoding.decode(Bytes::from_static(bytes), InvalidText::Fail).unwrap(), text, "{name}");
        }
        for name in ["utf-16", "utf-7", "iso-2022-jp", "", "nonsense"] {
            assert!(Encoding::named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn invalid_text_is_repaired_or_refused() {
        let line = Bytes::from_static(b"a\xff\xe2\x82b");
        assert_eq!(Encoding::Utf8.decode(line.clone(), InvalidText::Replace).unwrap(), "a\u{fffd}\u{fffd}b");
        assert!(Encoding::Utf8.decode(line, InvalidText::Fail).is_none());
    }

    #[test]
    fn a_cut_never_halves_a_character() {
        let text = "a€😀";
        for end in 1..=text.len() {
            let cut = Encoding::Utf8.boundary(text.as_bytes(), end);
            assert!(cut > 0 && cut <= end && text.is_char_boundary(cut), "{end} -> {cut}");
        }
        let wide: Vec<u8> = "a😀".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!([2, 3, 4, 5, 6].map(|end| Encoding::Utf16Le.boundary(&wide, end)), [2, 2, 2, 2, 6]);
    }
}
