//! DynamoDB's number: a decimal of up to 38 significant digits, 1E-130 to 9.99…E+125, positive, negative or zero.
//!
//! Written here because no crate fits: `rust_decimal` ends at 28 digits; `bigdecimal` has no bounds, so that
//! `1E1000000` + 1 takes as much memory as it likes, and it keeps trailing zeros in its identity; `fastnum` rounds by a
//! context where an exact answer or an error is wanted. What is needed is small: parse, print, compare, add, and a sorted
//! byte form. A coefficient below 10³⁸ fits a `u128` with room for one carry.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::Error;

/// The most significant digits.
const MAX_DIGITS: u32 = 38;
/// The first digit's power of ten, at most.
const MAX_POWER: i32 = 125;
/// The first digit's power of ten, at least.
const MIN_POWER: i32 = -130;

/// An exact decimal number. Equal values are equal bits: the coefficient never ends in a zero digit, and zero is
/// positive with power zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    /// Below 10³⁸.
    digits: u128,
    /// The power of ten of the last digit.
    scale: i16,
}

impl Number {
    /// Zero.
    pub const ZERO: Self = Self {
        negative: false,
        digits: 0,
        scale: 0,
    };

    /// A whole number's size as DynamoDB counts it: a byte per two digits, one for the exponent, one for a minus.
    pub fn size(&self) -> usize {
        if self.digits == 0 {
            return 1;
        }
        let count = count_digits(self.digits) as usize;
        let odd = count % 2 == 1 || self.power() % 2 != 0;
        1 + count.div_ceil(2) + usize::from(!odd) + usize::from(self.negative)
    }

    /// The sum.
    ///
    /// # Errors
    /// When the exact sum has more than 38 digits or lies out of range. DynamoDB says "overflow" to both.
    pub fn plus(self, other: Self) -> Result<Self, Error> {
        if self.digits == 0 {
            return Ok(other);
        }
        if other.digits == 0 {
            return Ok(self);
        }
        // The one with the smaller scale ends in a digit that is not zero, so a sum of at most 38 digits is below 10³⁸,
        // and then both aligned coefficients fit a u128. What does not fit cannot be a sum that we could hold.
        let scale = self.scale.min(other.scale);
        let align = |n: Self| -> Option<u128> {
            let shift = u32::try_from(n.scale.checked_sub(scale)?).ok()?;
            n.digits.checked_mul(10u128.checked_pow(shift)?)
        };
        let (Some(a), Some(b)) = (align(self), align(other)) else {
            return Err(Error::Overflow);
        };
        let (negative, digits) = if self.negative == other.negative {
            (self.negative, a.checked_add(b).ok_or(Error::Overflow)?)
        } else if a >= b {
            (self.negative, a - b)
        } else {
            (other.negative, b - a)
        };
        Self::new(negative, digits, i32::from(scale)).map_err(|error| match error {
            Error::TooPrecise => Error::Overflow,
            other => other,
        })
    }

    /// The difference.
    ///
    /// # Errors
    /// As [`plus`](Self::plus).
    pub fn minus(self, other: Self) -> Result<Self, Error> {
        self.plus(other.negated())
    }

    fn negated(self) -> Self {
        Self {
            negative: !self.negative && self.digits != 0,
            ..self
        }
    }

    /// The number as a `usize`, when it is one.
    pub fn to_usize(self) -> Option<usize> {
        if self.negative {
            return None;
        }
        let factor = 10u128.checked_pow(u32::try_from(self.scale).ok()?)?;
        usize::try_from(self.digits.checked_mul(factor)?).ok()
    }

    /// Appends a form that sorts bytewise as the numbers do, and of which none is another's prefix.
    ///
    /// A sign byte (1, 2 for zero, 3); the first digit's power plus 130; the digits in pairs, each pair plus one; a zero.
    /// For negative numbers all after the sign is inverted.
    pub fn append_sorted(&self, to: &mut Vec<u8>) {
        if self.digits == 0 {
            to.push(2);
            return;
        }
        to.push(if self.negative { 1 } else { 3 });
        let from = to.len();
        to.push(u8::try_from(self.power() - MIN_POWER).unwrap_or(u8::MAX));
        // Left-aligned to 38 digits, so that the first pair holds the first two.
        let mut rest = self.aligned();
        let mut unit = 10u128.pow(MAX_DIGITS - 2);
        while rest > 0 && unit > 0 {
            to.push(u8::try_from(rest / unit).unwrap_or(u8::MAX).saturating_add(1));
            rest %= unit;
            unit /= 100;
        }
        to.push(0);
        if self.negative {
            for byte in to.iter_mut().skip(from) {
                *byte = !*byte;
            }
        }
    }

    /// The stored form: sign and last digit's power, then the coefficient in as few bytes as hold it.
    pub fn to_parts(&self) -> (bool, i16, u128) {
        (self.negative, self.scale, self.digits)
    }

    /// A number of its [parts](Self::to_parts).
    ///
    /// # Errors
    /// When there is no such number.
    pub fn from_parts(negative: bool, scale: i16, digits: u128) -> Result<Self, Error> {
        Self::new(negative, digits, i32::from(scale))
    }

    /// Normalises and checks.
    fn new(negative: bool, mut digits: u128, mut scale: i32) -> Result<Self, Error> {
        if digits == 0 {
            return Ok(Self::ZERO);
        }
        while digits.is_multiple_of(10) {
            digits /= 10;
            scale += 1;
        }
        let count = count_digits(digits);
        let power = scale + i32::try_from(count).unwrap_or(i32::MAX) - 1;
        if power > MAX_POWER {
            return Err(Error::Overflow);
        }
        if power < MIN_POWER {
            return Err(Error::Underflow);
        }
        if count > MAX_DIGITS {
            return Err(Error::TooPrecise);
        }
        let scale = i16::try_from(scale).map_err(|_| Error::Overflow)?;
        Ok(Self {
            negative,
            digits,
            scale,
        })
    }

    /// The first digit's power of ten.
    fn power(&self) -> i32 {
        i32::from(self.scale) + i32::try_from(count_digits(self.digits)).unwrap_or(0) - 1
    }

    /// The coefficient, shifted to 38 digits.
    fn aligned(&self) -> u128 {
        self.digits * 10u128.pow(MAX_DIGITS - count_digits(self.digits).min(MAX_DIGITS))
    }

    /// Sign, power and digits as one thing that compares as the magnitude does.
    fn magnitude(&self) -> (i32, u128) {
        if self.digits == 0 {
            (i32::MIN, 0)
        } else {
            (self.power(), self.aligned())
        }
    }
}

fn count_digits(n: u128) -> u32 {
    n.checked_ilog10().map_or(1, |log| log + 1)
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude().cmp(&other.magnitude()),
            (true, true) => other.magnitude().cmp(&self.magnitude()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

macro_rules! from_whole {
    ($($type:ty),*) => {$(
        impl From<$type> for Number {
            fn from(n: $type) -> Self {
                #[allow(unused_comparisons, reason = "one body for signed and unsigned")]
                let negative = n < 0;
                // At most twenty digits, so it always fits.
                Self::new(negative, i128::from(n).unsigned_abs(), 0).unwrap_or(Self::ZERO)
            }
        }
    )*};
}
from_whole!(u8, u16, u32, i32, u64, i64);

impl FromStr for Number {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::NoNumber);
        }
        let invalid = || Error::NotANumber(text.chars().take(100).collect());
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or_else(invalid)?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let fraction = fraction.trim_end_matches('0');
        // The digits without zeros at either end, and the power of ten of the last one kept.
        let all = whole.bytes().chain(fraction.bytes());
        let count = whole.len() + fraction.len();
        let leading = all.clone().take_while(|b| *b == b'0').count();
        let trailing = if fraction.is_empty() {
            whole.bytes().rev().take_while(|b| *b == b'0').count()
        } else {
            0
        };
        if leading == count {
            return Ok(Self::ZERO);
        }
        let significant = count - leading - trailing;
        let last = exponent
            .saturating_sub(to_i64(fraction.len()))
            .saturating_add(to_i64(trailing));
        let first = last.saturating_add(to_i64(significant - 1));
        if first > i64::from(MAX_POWER) {
            return Err(Error::Overflow);
        }
        if first < i64::from(MIN_POWER) {
            return Err(Error::Underflow);
        }
        if significant > MAX_DIGITS as usize {
            return Err(Error::TooPrecise);
        }
        let digits = all
            .skip(leading)
            .take(significant)
            .fold(0u128, |n, b| n * 10 + u128::from(b - b'0'));
        Self::new(
            negative,
            digits,
            i32::try_from(last).map_err(|_| Error::Overflow)?,
        )
    }
}

fn to_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// An exponent; beyond a billion it stays there, which is out of range in any case.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n = digits.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000_000_000);
    Some(if text.starts_with('-') { -n } else { n })
}

/// As DynamoDB prints it: all digits, no exponent, no zeros that say nothing.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let text = self.digits.to_string();
        if self.scale >= 0 {
            f.write_str(&text)?;
            return (0..self.scale).try_for_each(|_| f.write_str("0"));
        }
        let places = usize::from(self.scale.unsigned_abs());
        match text.len().checked_sub(places) {
            Some(point) if point > 0 => {
                let (whole, fraction) = text.split_at(point);
                write!(f, "{whole}.{fraction}")
            }
            _ => write!(f, "0.{text:0>places$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn n(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn text_is_canonical() {
        for (text, expected) in [
            ("3", "3"),
            ("+3", "3"),
            ("-7.1234", "-7.1234"),
            ("-17e5", "-1700000"),
            (".123", "0.123"),
            ("5.", "5"),
            ("0001.2300", "1.23"),
            ("1e+5", "100000"),
            ("-0", "0"),
            ("0e1000", "0"),
            ("0.00e-99999999999999999999", "0"),
            ("1E-3", "0.001"),
            (
                "31415926535897932384626433832795028841e-37",
                "3.1415926535897932384626433832795028841",
            ),
        ] {
            assert_eq!(n(text).to_string(), expected, "{text}");
        }
        assert_eq!(n("1e125").to_string(), format!("1{}", "0".repeat(125)));
        assert_eq!(n("-1e-130").to_string(), format!("-0.{}1", "0".repeat(129)));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!("".parse::<Number>(), Err(Error::NoNumber));
        for bad in [
            " 1", "1 ", "NaN", "Infinity", "-", ".", "e5", "1e", "1e+", "1.2.3", "--1", "0x1", "1_0", "１",
        ] {
            assert!(
                matches!(bad.parse::<Number>(), Err(Error::NotANumber(_))),
                "{bad}"
            );
        }
        for bad in ["1e126", "11e125", "-1e126", "1e99999999999999999999999"] {
            assert_eq!(bad.parse::<Number>(), Err(Error::Overflow), "{bad}");
        }
        for bad in ["1e-131", "0.9e-130", "1e-99999999999999999999"] {
            assert_eq!(bad.parse::<Number>(), Err(Error::Underflow), "{bad}");
        }
        assert_eq!(
            "3.14159265358979323846264338327950288419".parse::<Number>(),
            Err(Error::TooPrecise)
        );
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let big = n("10000000000000000000000");
        assert_eq!(n("1").plus(big).unwrap().to_string(), "10000000000000000000001");
        assert_eq!(big.minus(n("1")).unwrap().to_string(), "9999999999999999999999");
        assert_eq!(n("0.1").plus(n("0.2")).unwrap(), n("0.3"));
        assert_eq!(n("1e-130").minus(n("1e-130")).unwrap(), Number::ZERO);
        // Thirty-nine digits in between, thirty-eight at the end.
        let a = n("1.0000000000000000000000000000000000001");
        let b = n("0.99999999999999999999999999999999999999");
        assert_eq!(a.minus(b).unwrap(), n("1.1e-37"));
        assert_eq!(n("9e125").plus(n("9e125")), Err(Error::Overflow));
        assert_eq!(n("1e50").plus(n("1")), Err(Error::Overflow));
        assert_eq!(n("1e125").plus(n("1e-130")), Err(Error::Overflow));
    }

    #[test]
    fn sizes_are_dynamodbs() {
        for (text, size) in [
            ("0", 1),
            ("1", 2),
            ("12", 2),
            ("120", 3),
            ("123", 3),
            ("-1", 3),
            ("100", 2),
            ("0.1", 2),
        ] {
            assert_eq!(n(text).size(), size, "{text}");
        }
    }

    prop_compose! {
        fn any_number()(negative: bool, digits in 0u128..10u128.pow(38), keep in 0u32..39, power in -130i32..=125) -> Number {
            let digits = digits / 10u128.pow(keep.min(37));
            let scale = power - i32::try_from(count_digits(digits)).unwrap() + 1;
            Number::new(negative, digits, scale).unwrap()
        }
    }

    proptest! {
        #[test]
        fn text_reads_back(a in any_number()) {
            prop_assert_eq!(a.to_string().parse::<Number>().unwrap(), a);
            let (negative, scale, digits) = a.to_parts();
            prop_assert_eq!(Number::from_parts(negative, scale, digits).unwrap(), a);
        }

        #[test]
        fn bytes_sort_as_numbers_do(a in any_number(), b in any_number(), near: bool) {
            let b = if near { a.plus(b).unwrap_or(b) } else { b };
            let (mut x, mut y) = (Vec::new(), Vec::new());
            a.append_sorted(&mut x);
            b.append_sorted(&mut y);
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert!(a == b || !x.starts_with(&y));
        }

        #[test]
        fn order_follows_the_difference(a in any_number(), b in any_number()) {
            if let Ok(difference) = a.minus(b) {
                prop_assert_eq!(difference.cmp(&Number::ZERO), a.cmp(&b));
                prop_assert_eq!(difference.plus(b).unwrap(), a);
            }
        }
    }
}
