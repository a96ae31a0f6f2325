//! Numbers and bits.

use super::EncodeError;
use std::{fmt::Write as _, io::Write as _};

/// Longest bytes of a decimal: beyond what the server's `numeric` has digits for.
const MAX_DECIMAL_BYTES: usize = 64 * 1024;
/// Greatest scale of the server's `numeric`, either way.
const MAX_SCALE: i32 = 16_383;

/// A floating-point number, by the shortest digits of its own width.
pub fn float<T: std::fmt::Display + std::fmt::LowerExp>(number: f64, exact: T, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else if number == 0.0 || (1e-5..1e15).contains(&number.abs()) {
        // Writing to memory can't fail.
        let _ = write!(out, "{exact}");
    } else {
        let _ = write!(out, "{exact:e}");
    }
}

/// The name of a number that is none, in the server's words.
pub fn special(text: &str) -> &str {
    match text {
        "NAN" => "NaN",
        "POSITIVE_INFINITY" => "Infinity",
        "NEGATIVE_INFINITY" => "-Infinity",
        text => text,
    }
}

/// Big-endian two's complement with `scale` digits behind the point.
pub fn decimal(bytes: &[u8], scale: i32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if !(-MAX_SCALE..=MAX_SCALE).contains(&scale) || bytes.len() > MAX_DECIMAL_BYTES {
        return Err(EncodeError::new("the decimal has more digits than PostgreSQL keeps"));
    }
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let digits = if bytes.len() <= 16 {
        let mut wide = [if negative { 0xff } else { 0 }; 16];
        for (to, from) in wide.iter_mut().rev().zip(bytes.iter().rev()) {
            *to = *from;
        }
        i128::from_be_bytes(wide).unsigned_abs().to_string()
    } else {
        large(bytes, negative)
    };
    if negative {
        out.push(b'-');
    }
    let scale_digits = scale.unsigned_abs() as usize;
    if scale <= 0 {
        out.extend_from_slice(digits.as_bytes());
        if digits != "0" {
            out.extend(std::iter::repeat_n(b'0', scale_digits));
        }
        return Ok(());
    }
    let whole = digits.len().saturating_sub(scale_digits);
    let (before, after) = digits.split_at(whole);
    out.extend_from_slice(if before.is_empty() { "0" } else { before }.as_bytes());
    out.push(b'.');
    out.extend(std::iter::repeat_n(b'0', scale_digits - after.len()));
    out.extend_from_slice(after.as_bytes());
    Ok(())
}

/// Digits beyond 128 bits: divided by 10^9 until nothing is left.
fn large(bytes: &[u8], negative: bool) -> String {
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
    }
    let padded = std::iter::repeat_n(0, (4 - magnitude.len() % 4) % 4).chain(magnitude).collect::<Vec<u8>>();
    let mut words: Vec<u32> = padded.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect();
    let mut chunks = Vec::new();
    let mut from = 0;
    while let Some(word) = words.get(from) {
        if *word == 0 {
            from += 1;
            continue;
        }
        let mut rest = 0u64;
        for word in words.iter_mut().skip(from) {
            let value = rest << 32 | u64::from(*word);
            *word = (value / 1_000_000_000) as u32;
            rest = value % 1_000_000_000;
        }
        chunks.push(rest);
    }
    let mut text = chunks.pop().unwrap_or(0).to_string();
    for chunk in chunks.iter().rev() {
        // Writing to memory can't fail.
        let _ = write!(text, "{chunk:09}");
    }
    text
}

/// Bits from bytes, the lowest first: `width` of them, or from the highest that is set.
pub fn bits(bytes: &[u8], width: Option<usize>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
    let used = (0..bytes.len() * 8).rev().find(|at| bit(*at)).map_or(0, |at| at + 1);
    let width = width.unwrap_or(used.max(1));
    if used > width {
        return Err(EncodeError::new(format!("it has {used} bits and the column {width}")));
    }
    out.extend((0..width).rev().map(|at| b'0' + u8::from(bit(at))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::written as text, *};
    use proptest::prelude::*;

    #[test]
    fn decimals_keep_every_digit() {
        for (bytes, scale, expected) in [
            (&[0x04, 0xd2][..], 2, "12.34"),
            (&[0xff], 2, "-0.01"),
            (&[0], 0, "0"),
            (&[0], 3, "0.000"),
            (&[0x80], 0, "-128"),
            (&[5], -3, "5000"),
            (&[], 0, "0"),
            (&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1, "34028236692093846346337460743176821145.6"),
        ] {
            assert_eq!(text(|out| decimal(bytes, scale, out)), expected);
        }
        assert!(decimal(&[1], 1 << 20, &mut Vec::new()).is_err());
        assert!(decimal(&vec![1; 1 << 17], 0, &mut Vec::new()).is_err());
    }

    #[test]
    fn floats_come_back() {
        for number in [0.1, -1.5, 1e300, 5e-324, f64::MAX, 123_456_789.125, 1e15, 1e-5] {
            let shown = text(|out| {
                float(number, number, out);
                Ok(())
            });
            assert_eq!(shown.parse::<f64>().unwrap().to_bits(), number.to_bits());
            assert!(shown.len() < 30, "{shown}");
        }
        let shown = |number: f32| {
            text(|out| {
                float(f64::from(number), number, out);
                Ok(())
            })
        };
        assert_eq!(
            (shown(0.1), shown(f32::NEG_INFINITY), shown(-0.0)),
            ("0.1".into(), "-Infinity".into(), "-0".into())
        );
    }

    #[test]
    fn bits_are_read_from_the_lowest() {
        assert_eq!(text(|out| bits(&[1, 2], Some(10), out)), "1000000001");
        assert_eq!(text(|out| bits(&[5], None, out)), "101");
        assert_eq!(text(|out| bits(&[], Some(3), out)), "000");
        assert!(bits(&[8], Some(3), &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn both_ways_to_the_digits_agree(number in any::<i128>()) {
            let bytes = number.to_be_bytes();
            prop_assert_eq!(large(&bytes, number < 0), number.unsigned_abs().to_string());
            prop_assert_eq!(text(|out| decimal(&bytes, 0, out)), number.to_string());
        }
    }
}
