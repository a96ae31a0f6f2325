//! Decimal numbers from their text.

use super::DecodeError;
use levada_connector_api::Bytes;

/// Unscaled value, big-endian two's complement as short as it can be, and scale.
pub struct Decimal {
    /// Bytes of Java's `BigInteger`.
    pub unscaled: Bytes,
    /// Digits behind the point.
    pub scale: i32,
}

/// The digits of a number's text: sign, digits without the point, digits behind it.
struct Digits<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

fn digits(text: &[u8]) -> Result<Digits<'_>, DecodeError> {
    let (negative, text) = match text.first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let (whole, fraction) = match memchr::memchr(b'.', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, &[][..]),
    };
    if whole.len() + fraction.len() == 0 || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(DecodeError::new("a number"));
    }
    Ok(Digits { negative, whole, fraction })
}

/// A number with exactly `scale` digits behind the point; further ones of the text are cut off, missing ones are 0. A scale
/// below 0 counts the digits before the point that are left out.
pub fn fixed(text: &[u8], scale: i32) -> Result<Bytes, DecodeError> {
    let mut digits = digits(text)?;
    if scale < 0 {
        let kept = digits.whole.len().saturating_sub(scale.unsigned_abs() as usize);
        digits = Digits { whole: digits.whole.get(..kept).unwrap_or_default(), fraction: &[], ..digits };
    }
    let scale = usize::try_from(scale).unwrap_or(0);
    let fraction = digits.fraction.get(..scale).unwrap_or(digits.fraction);
    Ok(unscaled(digits.negative, digits.whole, fraction, scale - fraction.len()))
}

/// A number without zeros at its end.
pub fn variable(text: &[u8]) -> Result<Decimal, DecodeError> {
    let digits = digits(text)?;
    let kept = digits.fraction.iter().rposition(|digit| *digit != b'0').map_or(0, |at| at + 1);
    let fraction = digits.fraction.get(..kept).unwrap_or_default();
    Ok(Decimal { unscaled: unscaled(digits.negative, digits.whole, fraction, 0), scale: kept as i32 })
}

fn unscaled(negative: bool, whole: &[u8], fraction: &[u8], zeros: usize) -> Bytes {
    let all = whole.iter().chain(fraction).map(|digit| digit - b'0').chain(std::iter::repeat_n(0, zeros));
    if whole.len() + fraction.len() + zeros <= 38 {
        let number = all.fold(0i128, |number, digit| number * 10 + i128::from(digit));
        return minimal(&(if negative { -number } else { number }).to_be_bytes());
    }
    large(negative, all)
}

/// Digits beyond 128 bits: base 2^32 by schoolbook multiplication.
fn large(negative: bool, digits: impl Iterator<Item = u8>) -> Bytes {
    let mut words: Vec<u32> = vec![0];
    let (mut chunk, mut power) = (0u32, 1u32);
    let mut add = |chunk: u32, power: u32| {
        let mut carry = u64::from(chunk);
        for word in &mut words {
            carry += u64::from(*word) * u64::from(power);
            *word = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            words.push(carry as u32);
        }
    };
    for digit in digits {
        chunk = chunk * 10 + u32::from(digit);
        power *= 10;
        if power == 1_000_000_000 {
            add(chunk, power);
            (chunk, power) = (0, 1);
        }
    }
    if power > 1 {
        add(chunk, power);
    }
    words.push(0);
    let mut bytes: Vec<u8> = words.iter().rev().flat_map(|word| word.to_be_bytes()).collect();
    if negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
    }
    minimal(&bytes)
}

/// Two's complement without what only repeats the sign.
fn minimal(bytes: &[u8]) -> Bytes {
    let mut start = 0;
    while let [first, second, ..] = bytes.get(start..).unwrap_or_default() {
        let redundant = (*first == 0 && *second < 0x80) || (*first == 0xff && *second >= 0x80);
        if !redundant {
            break;
        }
        start += 1;
    }
    Bytes::copy_from_slice(bytes.get(start..).unwrap_or_default())
}

/// A plain number with at most so many digits behind the point, half rounded away from zero as Debezium rounds money.
pub fn rounded(plain: &[u8], digits: i32) -> Vec<u8> {
    let digits = usize::try_from(digits).unwrap_or(0);
    let point = plain.iter().position(|byte| *byte == b'.').unwrap_or(plain.len());
    let next = plain.get(point + 1 + digits).copied();
    let mut kept: Vec<u8> = plain.iter().copied().take(point + 1 + digits).collect();
    if next.is_none_or(|next| next < b'5') {
        return kept;
    }
    for byte in kept.iter_mut().rev().filter(|byte| byte.is_ascii_digit()) {
        if *byte < b'9' {
            *byte += 1;
            return kept;
        }
        *byte = b'0';
    }
    let first = kept.iter().position(u8::is_ascii_digit).unwrap_or(0);
    kept.insert(first, b'1');
    kept
}

/// `money` under the C locale: `-$1,234.56`.
pub fn money(text: &[u8]) -> Vec<u8> {
    let parenthesized = text.first() == Some(&b'(');
    let mut plain: Vec<u8> =
        text.iter().copied().filter(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-')).collect();
    if parenthesized {
        plain.insert(0, b'-');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_those_of_java() {
        assert_eq!(fixed(b"12.34", 2).unwrap().as_ref(), [0x04, 0xd2]);
        assert_eq!(fixed(b"-0.01", 2).unwrap().as_ref(), [0xff]);
        assert_eq!(fixed(b"0", 0).unwrap().as_ref(), [0]);
        assert_eq!(fixed(b"128", 0).unwrap().as_ref(), [0, 0x80]);
        assert_eq!(fixed(b"-128", 0).unwrap().as_ref(), [0x80]);
        assert_eq!(fixed(b"1", 2).unwrap().as_ref(), [100]);
        assert_eq!(fixed(b"-12300", -2).unwrap().as_ref(), [0x85]);
        assert_eq!(fixed(b"0", -2).unwrap().as_ref(), [0]);
        let number = variable(b"1000.500").unwrap();
        assert_eq!((number.scale, number.unscaled.as_ref()), (1, [0x27, 0x15].as_slice()));
        assert_eq!(variable(b"100.00").unwrap().scale, 0);
        // 2^128, and its negative.
        let two_128 = b"340282366920938463463374607431768211456";
        let mut expected = vec![1];
        expected.extend([0; 16]);
        assert_eq!(fixed(two_128, 0).unwrap().as_ref(), expected);
        let mut text = vec![b'-'];
        text.extend_from_slice(two_128);
        let mut expected = vec![0xff];
        expected.extend([0; 16]);
        assert_eq!(fixed(&text, 0).unwrap().as_ref(), expected);
        assert!(fixed(b"NaN", 2).is_err() && fixed(b"", 2).is_err() && fixed(b"1e5", 2).is_err());
        assert_eq!(money(b"-$1,234.56"), b"-1234.56");
        let cases: [(&[u8], i32, &[u8]); 6] = [
            (b"-1234.56", 0, b"-1235."),
            (b"1234.56", 1, b"1234.6"),
            (b"1234.54", 1, b"1234.5"),
            (b"-99.95", 1, b"-100.0"),
            (b"1234.56", 4, b"1234.56"),
            (b"7", 0, b"7"),
        ];
        for (given, digits, wanted) in cases {
            assert_eq!(rounded(given, digits), wanted);
        }
        assert_eq!(fixed(&rounded(b"1234.56", 0), 0).unwrap().as_ref(), [0x04, 0xd3]);
    }

    proptest! {
        #[test]
        fn both_ways_to_the_bytes_agree(number in any::<i128>()) {
            let small = number / 1000;
            let text = small.to_string();
            let digits: Vec<u8> = text.trim_start_matches('-').bytes().map(|digit| digit - b'0').collect();
            prop_assert_eq!(large(small < 0, digits.into_iter()), minimal(&small.to_be_bytes()));
        }
    }
}
