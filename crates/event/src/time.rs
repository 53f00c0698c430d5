//! Reads RFC 3339 times. Strict, and by hand: the general date libraries accept much that RFC 3339 does not (week dates,
//! zones in brackets, a missing offset), and an event's time has one spelling.

use aloft_base::Timestamp;

/// Reads an RFC 3339 time, such as `2026-01-31T12:34:56.789Z` or `2026-01-31T13:34:56+01:00`. What is finer than a
/// millisecond is cut. A leap second (`:60`) is read as the second after it. `None` if it is not such a time, or lies
/// before 1970.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let (year, month, day) = (number(bytes, 0, 4)?, number(bytes, 5, 2)?, number(bytes, 8, 2)?);
    let (hour, minute, second) = (
        number(bytes, 11, 2)?,
        number(bytes, 14, 2)?,
        number(bytes, 17, 2)?,
    );
    let is_at = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|b| allowed.contains(b));
    let is_shaped =
        is_at(4, b"-") && is_at(7, b"-") && is_at(10, b"Tt ") && is_at(13, b":") && is_at(16, b":");
    let is_in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !is_shaped || !is_in_range {
        return None;
    }
    let (millis, rest) = fraction(bytes.get(19..)?)?;
    let offset_minutes = offset(rest)?;
    let minutes = (days_since_epoch(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    u64::try_from((minutes * 60 + second) * 1_000 + millis)
        .ok()
        .map(Timestamp::from_millis)
}

/// `count` digits at `at`.
fn number(bytes: &[u8], at: usize, count: usize) -> Option<i64> {
    bytes
        .get(at..at.checked_add(count)?)?
        .iter()
        .try_fold(0i64, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
        })
}

/// An optional fraction of a second, as milliseconds, and what follows it.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = bytes.split_first() else {
        return Some((0, bytes));
    };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (fraction, rest) = digits.split_at_checked(count)?;
    let millis = fraction
        .iter()
        .chain(b"000")
        .take(3)
        .fold(0i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    (count > 0).then_some((millis, rest))
}

/// `Z` or `±hh:mm`, in minutes.
fn offset(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes {
        b"Z" | b"z" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hour, minute) = (number(bytes, 1, 2)?, number(bytes, 4, 2)?);
    let is_valid = bytes.len() == 6 && bytes.get(3) == Some(&b':') && hour <= 23 && minute <= 59;
    is_valid.then_some(sign * (hour * 60 + minute))
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00.123Z", 951_782_400_123),
            ("2000-02-29t01:00:00.1239+01:00", 951_782_400_123),
            ("2000-02-28 23:30:00.1-00:30", 951_782_400_100),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ] {
            assert_eq!(parse_time(text).map(Timestamp::as_millis), Some(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026",
            "2026-01-31",
            "2026-01-31T12:34:56",
            "2026-01-31T12:34Z",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:34:56.Z",
            "2026-01-31T12:34:56+1:00",
            "2026-01-31T12:34:56+01:00x",
            "2026-01-31T12:34:56Zx",
            "2026-01-31T12:34:56ZZ",
            "1969-12-31T23:59:59Z",
            "+026-01-31T12:34:56Z",
            "２026-01-31T12:34:56Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_a_timestamp_prints_reads_back(millis in 0u64..253_402_300_800_000) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(parse_time(&time.to_string()), Some(time));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.+ -]{0,40}|\\PC{0,30}") {
            let _ = parse_time(&text);
        }
    }
}
