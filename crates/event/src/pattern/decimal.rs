//! Exact comparison of JSON numbers. Through `f64`, 2⁵³ + 1 would equal 2⁵³ and an account number match its neighbour; so
//! numbers are compared as the decimals that their shortest text says.

use std::cmp::Ordering;

use serde_json::Number;

/// A decimal: 0.d₁d₂d₃… × 10^point, times the sign. Normalised, so that equal numbers are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    /// Zero has no digits, and is neither.
    is_negative: bool,
    point: i64,
    /// Without zeros at either end.
    digits: Box<[u8]>,
}

impl From<&Number> for Decimal {
    fn from(number: &Number) -> Self {
        let text = number.to_string();
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // Beyond i64 nothing is representable anyway; half of it leaves room for the sum below.
        let exponent = exponent
            .parse::<i64>()
            .unwrap_or(match exponent.starts_with('-') {
                true => i64::MIN / 2,
                false => i64::MAX / 2,
            });
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = all.iter().take_while(|digit| **digit == b'0').count();
        let trailing = all.iter().rev().take_while(|digit| **digit == b'0').count();
        if leading == all.len() {
            return Self {
                is_negative: false,
                point: 0,
                digits: Box::default(),
            };
        }
        let digits = all.get(leading..all.len() - trailing).unwrap_or_default().into();
        let length = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let point = exponent
            .saturating_add(length(whole.len()))
            .saturating_sub(length(leading));
        Self {
            is_negative,
            point,
            digits,
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |decimal: &Self| match (decimal.digits.is_empty(), decimal.is_negative) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => -1,
        };
        let by_size = || (self.point, &self.digits).cmp(&(other.point, &other.digits));
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => by_size(),
            _ => by_size().reverse(),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::from(&serde_json::from_str::<Number>(text).unwrap())
    }

    #[test]
    fn numbers_are_ordered_exactly() {
        let ordered = [
            "-1e300",
            "-9223372036854775808",
            "-9223372036854775807",
            "-10",
            "-1.5",
            "-1",
            "-1e-300",
            "0",
            "1e-300",
            "0.1",
            "0.25",
            "1",
            "9.5",
            "10",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551614",
            "18446744073709551615",
            "1e300",
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(decimal(a).cmp(&decimal(b)), i.cmp(&j), "{a} {b}");
            }
        }
        for (a, b) in [
            ("1", "1.0"),
            ("1", "1e0"),
            ("100", "1e2"),
            ("0", "-0.0"),
            ("3.018e2", "301.8"),
        ] {
            assert_eq!(decimal(a), decimal(b));
        }
    }

    proptest! {
        #[test]
        fn order_is_that_of_integers(a: i64, b: i64) {
            let of = |n: i64| Decimal::from(&Number::from(n));
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
        }

        #[test]
        fn order_is_that_of_floats(a in -1e15f64..1e15, b in -1e15f64..1e15) {
            let of = |n: f64| Decimal::from(&Number::from_f64(n).unwrap());
            prop_assert_eq!(Some(of(a).cmp(&of(b))), a.partial_cmp(&b));
        }
    }
}
