//! Floating-point numbers as Java prints them from its version 19 on.

use std::fmt;

/// A double, as `Double.toString` gives it.
#[derive(Clone, Copy, Debug)]
pub struct Double(pub f64);

/// A float, as `Float.toString` gives it.
#[derive(Clone, Copy, Debug)]
pub struct Float(pub f32);

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.abs();
        let nearest = |digits: usize| Some(format!("{value:.digits$e}")).filter(|text| text.parse() == Ok(value));
        write(f, self.0, &format!("{value:e}"), nearest)
    }
}

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.abs();
        let nearest = |digits: usize| Some(format!("{value:.digits$e}")).filter(|text| text.parse() == Ok(value));
        write(f, self.0.into(), &format!("{value:e}"), nearest)
    }
}

/// Writes a decimal point always, and powers of ten outside of 0.001 to 10,000,000. `shortest` are the shortest digits
/// that mean the number, as Rust writes them (`1.25e-7`); `nearest` gives the number to so many digits behind the first
/// where that means it too, ties to even. Java takes the nearest of the shortest and prefers two digits to one.
fn write(
    f: &mut fmt::Formatter<'_>,
    value: f64,
    shortest: &str,
    nearest: impl FnOnce(usize) -> Option<String>,
) -> fmt::Result {
    if value.is_nan() {
        return f.write_str("NaN");
    }
    if value.is_sign_negative() {
        f.write_str("-")?;
    }
    if value.is_infinite() {
        return f.write_str("Infinity");
    }
    if value == 0.0 {
        return f.write_str("0.0");
    }
    let (mantissa, _) = shortest.split_once('e').unwrap_or((shortest, "0"));
    // One digit and the point, or more digits; those that end in an even one are Java's already.
    let behind = mantissa.len().saturating_sub(2);
    let odd = mantissa.bytes().last().is_some_and(|digit| digit % 2 == 1);
    let better = if behind == 0 || odd { nearest(behind.max(1)) } else { None };
    let (mantissa, exponent) = better.as_deref().unwrap_or(shortest).split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    match exponent {
        0 => write!(f, "{first}.{rest}"),
        1..7 => {
            let rest = if rest == "0" { "" } else { rest };
            let (whole, fraction) = rest.split_at(rest.len().min(exponent as usize));
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            write!(f, "{first}{whole:0<width$}.{fraction}", width = exponent as usize)
        }
        -3..0 => {
            let rest = if rest == "0" { "" } else { rest };
            write!(f, "0.{:0<width$}{first}{rest}", "", width = exponent.unsigned_abs() as usize - 1)
        }
        _ => write!(f, "{first}.{rest}E{exponent}"),
    }
}
