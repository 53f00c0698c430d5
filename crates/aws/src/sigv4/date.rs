//! When a request was signed: `X-Amz-Date`, else `Date`, in ISO 8601's basic form or, in `Date`, as HTTP writes it (botocore
//! keeps a `Date` that the caller set, and signs that).

use std::time::{Duration, UNIX_EPOCH};

use aloft_base::Timestamp;
use http::HeaderMap;

use super::claim::Claim;
use crate::Error;

/// How far a client's clock may be off.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// The moment at which a request was signed, and as it is written in what is signed.
pub(crate) fn signed_at(headers: &HeaderMap, claim: &Claim<'_>) -> Result<(Timestamp, String), Error> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("").trim());
    let in_query = claim.presigned.as_ref().map(|presigned| presigned.date.as_str());
    let Some(given) = in_query.or_else(|| text("x-amz-date")).or_else(|| text("date")) else {
        return Err(Error::IncompleteSignature(format!(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization={}",
            claim.header
        )));
    };
    let parsed = parse_basic(given).or_else(|| parse_http(given)).ok_or_else(|| {
        Error::IncompleteSignature(format!(
            "Date must be in ISO-8601 'basic format'. Got '{given}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })?;
    Ok((parsed, basic(parsed)))
}

/// Refuses what was signed too long ago or too far ahead: of a request that may come later, what comes too late.
pub(crate) fn check_skew(signed: Timestamp, claim: &Claim<'_>, now: Timestamp) -> Result<(), Error> {
    let minutes = SKEW.as_secs() / 60;
    let expires = claim.presigned.as_ref().map(|presigned| presigned.expires);
    if let Some(expires) = expires.filter(|expires| signed + *expires < now) {
        return Err(Error::InvalidSignature(format!(
            "Signature expired: {} is now earlier than {} (it was signed for {} s)",
            basic(signed + expires),
            basic(now),
            expires.as_secs()
        )));
    }
    if expires.is_none() && signed + SKEW < now {
        return Err(Error::InvalidSignature(format!(
            "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
            basic(signed),
            basic(now - SKEW),
            basic(now)
        )));
    }
    if signed > now + SKEW {
        return Err(Error::InvalidSignature(format!(
            "Signature not yet current: {} is still later than {} ({} + {minutes} min.)",
            basic(signed),
            basic(now + SKEW),
            basic(now)
        )));
    }
    Ok(())
}

/// `20150830T123600Z`.
pub(crate) fn basic(time: Timestamp) -> String {
    let (year, month, day, hour, minute, second, _) = time.civil();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn parse_basic(text: &str) -> Option<Timestamp> {
    if text.len() != 16 || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse::<u64>().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if year < 1970 || month == 0 {
        return None;
    }
    // H. Hinnant, "chrono-Compatible Low-Level Date Algorithms": the inverse of `Timestamp::civil`.
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = (era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy).checked_sub(719_468)?;
    let time = Timestamp::from_millis((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000);
    // A date that does not exist, such as 30 February or 25 o'clock, comes back as another; so do the letters.
    (basic(time) == text).then_some(time)
}

fn parse_http(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text)
        .ok()?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    Some(Timestamp::from_millis(u64::try_from(time.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_back_and_impossible_ones_are_refused() {
        for text in [
            "19700101T000000Z",
            "20000229T235959Z",
            "20150830T123600Z",
            "20240301T000000Z",
            "99991231T235959Z",
        ] {
            assert_eq!(basic(parse_basic(text).unwrap()), text);
        }
        for bad in [
            "",
            "20150830T123600",
            "20150230T000000Z",
            "20151301T000000Z",
            "20150800T000000Z",
            "20150001T000000Z",
            "20150830T240000Z",
            "20150830T126000Z",
            "20150830t123600Z",
            "20150830T123600z",
            "2015083+T123600Z",
            "19691231T235959Z",
            "2015-08-30T12:36Z",
            "２０１５0830",
        ] {
            assert_eq!(parse_basic(bad), None, "{bad}");
        }
        assert_eq!(
            basic(parse_http("Sun, 30 Aug 2015 12:36:00 GMT").unwrap()),
            "20150830T123600Z"
        );
    }
}
