//! Encodes random values straight from the outline, without any of the crate's code: a second reading of the protocol.

use crate::outline::{Field, Message};
use crate::rng::Rng;

/// How values are chosen.
pub trait Choose {
    /// Number of elements of an array `depth` levels deep.
    fn elements(&mut self, depth: usize) -> usize;
    /// Whether a nullable field is null.
    fn null(&mut self) -> bool;
    /// Whether a tagged field is present.
    fn tag(&mut self) -> bool;
    /// Bytes of a number.
    fn number(&mut self, size: usize) -> Vec<u8>;
    /// Bytes of a string or byte field.
    fn text(&mut self) -> Vec<u8>;
}

/// Random small values.
pub struct Random<'a>(pub &'a mut Rng);

impl Choose for Random<'_> {
    fn elements(&mut self, depth: usize) -> usize {
        self.0.below(if depth > 1 { 3 } else { 4 })
    }

    fn null(&mut self) -> bool {
        self.0.below(3) == 0
    }

    fn tag(&mut self) -> bool {
        self.0.below(2) == 0
    }

    fn number(&mut self, size: usize) -> Vec<u8> {
        match self.0.below(4) {
            0 => vec![0; size],
            1 => vec![0xff; size],
            _ => self.0.bytes(size),
        }
    }

    fn text(&mut self) -> Vec<u8> {
        let length = match self.0.below(8) {
            0 => 0,
            1 => 100 + self.0.below(100),
            _ => 1 + self.0.below(12),
        };
        (0..length).map(|_| b"abcdefghijklmnopqrstuvwxyz0123456789"[self.0.below(36)]).collect()
    }
}

/// Encodes a message.
pub fn encode(message: &Message, version: i16, choose: &mut dyn Choose) -> Vec<u8> {
    let mut out = Vec::new();
    body(&message.fields, version, message.flexible.has(version), 0, choose, &mut out);
    out
}

fn body(fields: &[Field], version: i16, flexible: bool, depth: usize, choose: &mut dyn Choose, out: &mut Vec<u8>) {
    for field in fields.iter().filter(|f| f.present(version) && !f.tagged.has(version)) {
        value(field, version, flexible && field.compact, depth, choose, out);
    }
    if !flexible {
        return;
    }
    let mut tagged: Vec<&Field> = fields.iter().filter(|f| f.tagged.has(version)).collect();
    tagged.sort_by_key(|f| f.tag);
    tagged.retain(|_| choose.tag());
    uvarint(tagged.len(), out);
    for field in tagged {
        let content = non_default(field, version, depth, choose);
        uvarint(field.tag as usize, out);
        uvarint(content.len(), out);
        out.extend(content);
    }
}

impl Field {
    fn present(&self, version: i16) -> bool {
        self.versions.has(version)
    }
}

/// A tagged field is only written when it is not its default.
fn non_default(field: &Field, version: i16, depth: usize, choose: &mut dyn Choose) -> Vec<u8> {
    let default = default(field, version);
    loop {
        let mut content = Vec::new();
        value(field, version, true, depth, choose, &mut content);
        // Inside a tagged field, a struct's mark of null is a variable-length 0.
        if field.kind == "struct" && !field.array && content == [0xff] {
            content = vec![0];
        }
        if content != default {
            return content;
        }
    }
}

fn default(field: &Field, version: i16) -> Vec<u8> {
    struct Defaults;
    impl Choose for Defaults {
        fn elements(&mut self, _: usize) -> usize {
            0
        }
        fn null(&mut self) -> bool {
            false
        }
        fn tag(&mut self) -> bool {
            false
        }
        fn number(&mut self, size: usize) -> Vec<u8> {
            vec![0; size]
        }
        fn text(&mut self) -> Vec<u8> {
            Vec::new()
        }
    }
    if let (false, Some(number)) = (field.array, field.default.as_ref().and_then(|d| d.parse::<i64>().ok())) {
        return number.to_be_bytes()[8 - size(&field.kind)..].to_vec();
    }
    let mut out = Vec::new();
    match (field.default.as_deref(), field.kind.as_str(), field.array) {
        (Some("null"), "struct", false) => out.push(0xff),
        (Some("null"), ..) => out.push(0),
        (Some("true"), ..) => out.push(1),
        (None, "struct", false) => {
            if field.nullable.has(version) {
                out.push(1);
            }
            for inner in field.fields.iter().filter(|f| f.present(version)) {
                out.extend(default(inner, version));
            }
            out.push(0);
        }
        _ => value(field, version, true, 9, &mut Defaults, &mut out),
    }
    out
}

fn value(field: &Field, version: i16, compact: bool, depth: usize, choose: &mut dyn Choose, out: &mut Vec<u8>) {
    let null = field.nullable.has(version) && choose.null();
    if field.array {
        let count = choose.elements(depth);
        length((!null).then_some(count), 4, compact, out);
        for _ in 0..if null { 0 } else { count } {
            element(field, version, compact, depth + 1, choose, out);
        }
        return;
    }
    match field.kind.as_str() {
        "string" => sized((!null).then(|| choose.text()), 2, compact, out),
        "bytes" | "records" => sized((!null).then(|| choose.text()), 4, compact, out),
        "struct" if null => out.push(0xff),
        "struct" => {
            if field.nullable.has(version) {
                out.push(1);
            }
            element(field, version, compact, depth + 1, choose, out);
        }
        _ => element(field, version, compact, depth, choose, out),
    }
}

fn element(field: &Field, version: i16, compact: bool, depth: usize, choose: &mut dyn Choose, out: &mut Vec<u8>) {
    match field.kind.as_str() {
        "struct" => body(&field.fields, version, compact, depth, choose, out),
        "string" => sized(Some(choose.text()), 2, compact, out),
        "bool" => out.push(choose.number(1)[0] & 1),
        kind => out.extend(choose.number(size(kind))),
    }
}

fn size(kind: &str) -> usize {
    match kind {
        "bool" | "int8" => 1,
        "int16" | "uint16" => 2,
        "int32" => 4,
        "int64" | "float64" => 8,
        "uuid" => 16,
        other => panic!("no fixed size: {other}"),
    }
}

fn sized(bytes: Option<Vec<u8>>, prefix: usize, compact: bool, out: &mut Vec<u8>) {
    length(bytes.as_ref().map(Vec::len), prefix, compact, out);
    out.extend(bytes.unwrap_or_default());
}

fn length(length: Option<usize>, prefix: usize, compact: bool, out: &mut Vec<u8>) {
    if compact {
        return uvarint(length.map_or(0, |n| n + 1), out);
    }
    let length = length.map_or(-1, |n| n as i64);
    out.extend_from_slice(&length.to_be_bytes()[8 - prefix..]);
}

fn uvarint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
