//! A JSON parser whose texts are slices of the input, with numbers kept as written.
//!
//! Numbers stay text because a Decimal must not pass through a double, and because `1.0` and `1`
//! mean different types to Connect. Depth and size are bounded (invariant 9).

use crate::connect::converter::ConvertError;
use bytes::Bytes;
use levada_connector_api::Str;

/// Nesting beyond which a document is refused, as in the Java parser.
const MAX_DEPTH: usize = 1000;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As written.
    Number(Str),
    Text(Str),
    Array(Vec<Json>),
    /// In order; of a name that comes twice the last value counts.
    Object(Vec<(Str, Json)>),
}

impl Json {
    /// Parses the value at the start of `input`; `None` when there is nothing but white space. What
    /// follows the value is ignored, as in Java.
    pub(super) fn parse(input: &Bytes) -> Result<Option<Self>, ConvertError> {
        let Ok(text) = Str::from_utf8(input.clone()) else {
            return Err(ConvertError::new("the bytes are no JSON: they are not UTF-8"));
        };
        let mut parser = Parser { text, input, at: 0 };
        parser.white_space();
        if parser.at == input.len() {
            return Ok(None);
        }
        parser
            .value(0)
            .map(Some)
            .ok_or_else(|| ConvertError::new(format!("the bytes are no JSON: error at byte {}", parser.at)))
    }

    /// Parses the value at the start of `input`, and gives what is behind it.
    pub(super) fn parse_first(input: &Bytes) -> Option<(Self, Bytes)> {
        let mut parser = Parser { text: Str::from_utf8(input.clone()).ok()?, input, at: 0 };
        parser.white_space();
        let value = parser.value(0)?;
        Some((value, input.slice(parser.at..)))
    }

    /// Value of that name in an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The same value with texts of its own.
    pub(super) fn detached(&self) -> Self {
        let own = |text: &Str| Str::from(text.as_str());
        match self {
            Self::Null => Self::Null,
            Self::Bool(value) => Self::Bool(*value),
            Self::Number(text) => Self::Number(own(text)),
            Self::Text(text) => Self::Text(own(text)),
            Self::Array(items) => Self::Array(items.iter().map(Self::detached).collect()),
            Self::Object(entries) => {
                Self::Object(entries.iter().map(|(name, value)| (own(name), value.detached())).collect())
            }
        }
    }

    /// Text, if it is one.
    pub(super) fn as_text(&self) -> Option<&Str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

struct Parser<'a> {
    text: Str,
    input: &'a Bytes,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn white_space(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        let end = self.at + word.len();
        let found = self.input.get(self.at..end)? == word.as_bytes();
        found.then(|| self.at = end)?;
        Some(value)
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.text().map(Json::Text),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.take(b'{')?;
        let mut entries = Vec::new();
        self.white_space();
        if self.take(b'}').is_some() {
            return Some(Json::Object(entries));
        }
        loop {
            self.white_space();
            let name = self.text()?;
            self.white_space();
            self.take(b':')?;
            self.white_space();
            entries.push((name, self.value(depth + 1)?));
            self.white_space();
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Json::Object(entries));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        self.take(b'[')?;
        let mut items = Vec::new();
        self.white_space();
        if self.take(b']').is_some() {
            return Some(Json::Array(items));
        }
        loop {
            self.white_space();
            items.push(self.value(depth + 1)?);
            self.white_space();
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Json::Array(items));
            }
        }
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        let _ = self.take(b'-');
        self.digits()?;
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.peek().is_some_and(|byte| matches!(byte, b'e' | b'E')) {
            self.at += 1;
            if self.peek().is_some_and(|byte| matches!(byte, b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(Json::Number(self.text.slice(start, self.at)?))
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn text(&mut self) -> Option<Str> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => {
                    let text = self.text.slice(start, self.at)?;
                    self.at += 1;
                    return Some(text);
                }
                b'\\' => return self.escaped(start),
                byte if byte < 0x20 => return None,
                _ => self.at += 1,
            }
        }
    }

    /// A text with escapes, which has to be copied. `start` is its first byte.
    fn escaped(&mut self, start: usize) -> Option<Str> {
        let mut text = self.input.get(start..self.at)?.to_vec();
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Str::from_utf8(Bytes::from(text)).ok(),
                b'\\' => {
                    let c = self.escape()?;
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                byte if byte < 0x20 => return None,
                byte => text.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                let code = match unit {
                    0xd800..0xdc00 if self.input.get(self.at..self.at + 2) == Some(b"\\u") => {
                        self.at += 2;
                        let low = self.unit()?;
                        if (0xdc00..0xe000).contains(&low) {
                            0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                        } else {
                            0xfffd
                        }
                    }
                    unit => unit,
                };
                // Half a pair says nothing in UTF-8.
                char::from_u32(code).unwrap_or('\u{fffd}')
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.input.get(self.at..self.at + 4)?;
        let text = std::str::from_utf8(digits).ok()?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(text, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Json>, ConvertError> {
        Json::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let json =
            parse(r#" {"a":[1,-2.50,1e3,true,false,null],"b":"x\"\u00e9\ud83d\ude00\n","a2":{}} "#).unwrap().unwrap();
        let Some(Json::Array(items)) = json.get("a") else { panic!() };
        assert_eq!(items[1], Json::Number("-2.50".into()));
        assert_eq!(json.get("b"), Some(&Json::Text("x\"é😀\n".into())));
        assert_eq!(json.get("a2"), Some(&Json::Object(vec![])));
        assert_eq!(parse("  ").unwrap(), None);
    }

    #[test]
    fn a_name_that_comes_twice_has_its_last_value() {
        let json = parse(r#"{"a":1,"a":2}"#).unwrap().unwrap();
        assert_eq!(json.get("a"), Some(&Json::Number("2".into())));
    }

    #[test]
    fn broken_documents_are_refused() {
        for text in ["{", "[1,]", "\"a", "tru", "{\"a\" 1}", "-", "1.", "\"\\x\"", "\"\\u12g4\"", "\"\u{1}\"", "nul"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(Json::parse(&Bytes::from_static(b"\"\xff\"")).is_err());
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse(&"[".repeat(1_000_000)).is_err());
        let deep = format!("{}{}", "[".repeat(900), "]".repeat(900));
        assert!(parse(&deep).is_ok());
    }
}
