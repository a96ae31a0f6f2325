//! Numbers of any size as Java's `BigInteger` and `BigDecimal` print them.

use std::fmt::Write as _;

/// Bytes beyond which numbers are not made text, since that takes quadratic time (invariant 9): 10,000 digits.
const MOST_BYTES: usize = 4152;

/// The integer behind big-endian two's complement bytes; `None` beyond some 10,000 digits.
pub fn integer(bytes: &[u8]) -> Option<String> {
    if bytes.len() > MOST_BYTES {
        return None;
    }
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    // Limbs of nine decimal digits, least first.
    let mut limbs: Vec<u32> = vec![0];
    for byte in bytes {
        // Of a negative number the magnitude less one is built.
        let mut carry = u64::from(if negative { !byte } else { *byte });
        for limb in &mut limbs {
            let value = u64::from(*limb) * 256 + carry;
            *limb = (value % 1_000_000_000) as u32;
            carry = value / 1_000_000_000;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let mut text = String::new();
    if negative {
        text.push('-');
        add_one(&mut limbs);
    }
    let mut limbs = limbs.iter().rev();
    // Writing to a text can't fail.
    let _ = write!(text, "{}", limbs.next().copied().unwrap_or(0));
    for limb in limbs {
        let _ = write!(text, "{limb:09}");
    }
    Some(text)
}

fn add_one(limbs: &mut Vec<u32>) {
    for limb in &mut *limbs {
        if *limb < 999_999_999 {
            *limb += 1;
            return;
        }
        *limb = 0;
    }
    limbs.push(1);
}

/// The decimal number of unscaled bytes and a scale; `None` as [`integer`].
pub fn decimal(unscaled: &[u8], scale: i32) -> Option<String> {
    let integer = integer(unscaled)?;
    if scale == 0 {
        return Some(integer);
    }
    let (sign, digits) = integer.strip_prefix('-').map_or(("", integer.as_str()), |digits| ("-", digits));
    let exponent = digits.len() as i64 - 1 - i64::from(scale);
    if scale > 0 && exponent >= -6 {
        let scale = scale as usize;
        return Some(if digits.len() > scale {
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        } else {
            format!("{sign}0.{digits:0>scale$}")
        });
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    Some(format!("{sign}{first}{point}{rest}E{exponent:+}"))
}
