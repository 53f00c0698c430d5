//! Conditions and ranges of requests for files (RFC 9110, sections 13 and 14). One range is served; a list of them is
//! answered with the whole file, as the specification allows.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::{HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What a file's version is told by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version<'a> {
    /// With its quotes.
    pub(crate) etag: &'a str,
    pub(crate) modified: SystemTime,
}

/// What part of a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// From the first to the last byte, both within the file.
    Range(u64, u64),
    /// A range of which the file has nothing.
    Unsatisfiable,
}

/// Whether the client has this version already.
pub(crate) fn is_fresh(headers: &HeaderMap, version: Version<'_>) -> bool {
    let mut tags = headers.get_all(IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        // The weak comparison: a proxy that compresses marks the tag as weak.
        return tags
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|tag| {
                let tag = tag.trim();
                tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == version.etag
            });
    }
    date(headers, IF_MODIFIED_SINCE).is_some_and(|since| seconds(version.modified) <= seconds(since))
}

/// The part that is wanted of a file of this size.
pub(crate) fn wanted(headers: &HeaderMap, version: Version<'_>, size: u64) -> Part {
    let is_current = match headers
        .get(IF_RANGE)
        .map(|value| value.to_str().unwrap_or_default())
    {
        None => true,
        Some(tag) if tag.starts_with('"') => tag == version.etag,
        Some(_) => date(headers, IF_RANGE).is_some_and(|date| seconds(date) == seconds(version.modified)),
    };
    let mut ranges = headers.get_all(RANGE).iter();
    match (ranges.next().and_then(|value| value.to_str().ok()), ranges.next()) {
        (Some(range), None) if is_current => parse(range, size).unwrap_or(Part::Whole),
        _ => Part::Whole,
    }
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n`; `None` for anything else, which is then ignored.
fn parse(range: &str, size: u64) -> Option<Part> {
    let number = |text: &str| -> Option<u64> {
        let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let (first, last) = match (first, last) {
        ("", suffix) => match number(suffix)? {
            0 => return Some(Part::Unsatisfiable),
            length => (size.saturating_sub(length), size.checked_sub(1)),
        },
        (first, "") => (number(first)?, size.checked_sub(1)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, size.checked_sub(1).map(|end| last.min(end)))
        }
    };
    Some(match last {
        Some(last) if first <= last => Part::Range(first, last),
        _ => Part::Unsatisfiable,
    })
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// HTTP's dates have whole seconds.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ranges_are_read_as_the_specification_says() {
        for (text, size, expected) in [
            ("bytes=0-3", 10, Some(Part::Range(0, 3))),
            ("bytes=3-", 10, Some(Part::Range(3, 9))),
            ("bytes=-3", 10, Some(Part::Range(7, 9))),
            ("bytes=-30", 10, Some(Part::Range(0, 9))),
            ("bytes=5-99", 10, Some(Part::Range(5, 9))),
            ("bytes=9-9", 10, Some(Part::Range(9, 9))),
            ("bytes=10-", 10, Some(Part::Unsatisfiable)),
            ("bytes=10-11", 10, Some(Part::Unsatisfiable)),
            ("bytes=-0", 10, Some(Part::Unsatisfiable)),
            ("bytes=0-", 0, Some(Part::Unsatisfiable)),
            ("bytes=-1", 0, Some(Part::Unsatisfiable)),
            ("bytes=3-2", 10, None),
            ("bytes=-", 10, None),
            ("bytes=a-b", 10, None),
            ("bytes=0-1,3-4", 10, None),
            ("bytes=+1-2", 10, None),
            ("bytes=1", 10, None),
            ("lines=0-3", 10, None),
            ("bytes=99999999999999999999-", 10, None),
        ] {
            assert_eq!(parse(text, size), expected, "{text} of {size}");
        }
    }

    #[test]
    fn a_condition_on_the_tag_goes_before_one_on_the_date() {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_500);
        let version = Version {
            etag: "\"a\"",
            modified,
        };
        let check = |fields: &[(HeaderName, &str)]| {
            let headers = fields
                .iter()
                .map(|(name, value)| (name.clone(), value.parse().unwrap()))
                .collect();
            is_fresh(&headers, version)
        };
        let (same, before) = (httpdate::fmt_http_date(modified), "Thu, 01 Jan 1970 00:00:01 GMT");
        assert!(!check(&[]));
        assert!(check(&[(IF_NONE_MATCH, "\"a\"")]));
        assert!(check(&[(IF_NONE_MATCH, "\"b\", W/\"a\"")]));
        assert!(check(&[(IF_NONE_MATCH, "*")]));
        assert!(!check(&[(IF_NONE_MATCH, "\"b\"")]));
        assert!(!check(&[(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, &same)]));
        assert!(check(&[(IF_MODIFIED_SINCE, &same)]));
        assert!(!check(&[(IF_MODIFIED_SINCE, before)]));
        assert!(!check(&[(IF_MODIFIED_SINCE, "yesterday")]));
    }
}
