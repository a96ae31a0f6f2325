//! Decimals from text: what [`levada_connector_api::java_text`] prints, read back.

use levada_connector_api::java_text;

/// Digits beyond which text is refused, since the conversion takes quadratic time (invariant 9).
const MAX_DIGITS: usize = 10_000;

/// Big-endian two's complement, as short as can be, of decimal digits with an optional sign.
pub(in crate::connect) fn integer_bytes(text: &str) -> Option<Vec<u8>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Bytes, least first.
    let mut bytes: Vec<u8> = vec![0];
    for digit in digits.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            let value = u32::from(*byte) * 10 + carry;
            *byte = value as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.push(0);
    bytes.reverse();
    if negative {
        negate(&mut bytes);
    }
    while let [first, second, ..] = bytes[..] {
        if (first == 0 && second & 0x80 == 0) || (first == 0xff && second & 0x80 != 0) {
            bytes.remove(0);
        } else {
            break;
        }
    }
    Some(bytes)
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (value, overflow) = (!*byte).overflowing_add(u8::from(carry));
        *byte = value;
        carry = overflow;
    }
}

/// Unscaled bytes and scale of a decimal number's text (`-12.30`, `1e3`).
pub(in crate::connect) fn parse(text: &str) -> Option<(Vec<u8>, i32)> {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let bytes = integer_bytes(&format!("{whole}{fraction}"))?;
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    Some((bytes, scale))
}

/// The same number with another scale; `None` when digits would be lost.
pub(in crate::connect) fn rescale(unscaled: Vec<u8>, from: i32, to: i32) -> Option<Vec<u8>> {
    if from == to {
        return Some(unscaled);
    }
    let digits = java_text::integer(&unscaled)?;
    if to > from {
        let zeros = usize::try_from(i64::from(to) - i64::from(from)).ok().filter(|zeros| *zeros <= MAX_DIGITS)?;
        return integer_bytes(&format!("{digits}{}", "0".repeat(zeros)));
    }
    let drop = usize::try_from(i64::from(from) - i64::from(to)).ok()?;
    if digits == "0" {
        return Some(unscaled);
    }
    let keep = digits.len().checked_sub(drop)?;
    let (kept, dropped) = digits.split_at(keep);
    dropped.bytes().all(|digit| digit == b'0').then(|| integer_bytes(kept))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer_text(bytes: &[u8]) -> String {
        java_text::integer(bytes).unwrap()
    }

    #[test]
    fn integers_survive_both_ways() {
        for text in
            ["0", "1", "-1", "127", "128", "-128", "-129", "123456789012345678901234567890", "-98765432109876543210"]
        {
            assert_eq!(integer_text(&integer_bytes(text).unwrap()), text);
        }
        assert_eq!(integer_bytes("128").unwrap(), [0, 0x80]);
        assert_eq!(integer_bytes("-128").unwrap(), [0x80]);
    }

    #[test]
    fn numbers_parse_and_rescale_without_loss() {
        let (unscaled, scale) = parse("-12.30").unwrap();
        assert_eq!((integer_text(&unscaled).as_str(), scale), ("-1230", 2));
        assert_eq!(integer_text(&rescale(unscaled.clone(), 2, 4).unwrap()), "-123000");
        assert_eq!(integer_text(&rescale(unscaled.clone(), 2, 1).unwrap()), "-123");
        assert_eq!(rescale(unscaled, 2, 0), None);
        assert_eq!(parse("1e3").unwrap().1, -3);
        assert_eq!(parse("1e99999999999"), None);
        assert_eq!(parse("x"), None);
    }
}
