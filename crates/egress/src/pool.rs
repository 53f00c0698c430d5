//! Addresses that stand for names inside one sandbox.
//!
//! A name keeps its address while it is in use. The range is bounded; when it is full, the name that was asked for longest ago gives its
//! address away, but only after a time in which nobody may remember it any more ([`KEPT`], against the [`TTL`] that answers bear): a
//! connection must never reach another name than the one it was meant for.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::closed::{SYNTHETIC_V4, SYNTHETIC_V6, within};

/// Names that have an address at once in one sandbox. At most two megabytes.
const NAMES: u32 = 4_096;
/// The first addresses are the sandbox's own.
const FIRST: u32 = 256;
/// How long an answer may be kept by who got it.
pub(crate) const TTL: Duration = Duration::from_secs(60);
/// How long a name keeps its address after it was last asked for or connected to, however full the range is.
const KEPT: Duration = Duration::from_secs(600);

/// The names of one sandbox and their addresses.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    by_name: HashMap<String, u32>,
    by_number: HashMap<u32, (String, Instant)>,
    by_age: BTreeSet<(Instant, u32)>,
}

impl Pool {
    /// The name's number, the same one each time; `None` when all are in use.
    pub(crate) fn number(&mut self, name: &str, now: Instant) -> Option<u32> {
        if let Some(number) = self.by_name.get(name).copied() {
            self.touch(number, now);
            return Some(number);
        }
        let used = u32::try_from(self.by_number.len()).unwrap_or(NAMES);
        let number = if used < NAMES { used } else { self.oldest(now)? };
        self.by_name.insert(name.to_owned(), number);
        self.by_number.insert(number, (name.to_owned(), now));
        self.by_age.insert((now, number));
        Some(number)
    }

    /// Takes the number of the name that was in use longest ago.
    fn oldest(&mut self, now: Instant) -> Option<u32> {
        let (used, number) = *self.by_age.first()?;
        if now.duration_since(used) < KEPT {
            return None;
        }
        self.by_age.remove(&(used, number));
        if let Some((name, _)) = self.by_number.remove(&number) {
            self.by_name.remove(&name);
        }
        Some(number)
    }

    fn touch(&mut self, number: u32, now: Instant) {
        if let Some((_, used)) = self.by_number.get_mut(&number) {
            self.by_age.remove(&(*used, number));
            self.by_age.insert((now, number));
            *used = now;
        }
    }

    /// The name for which an address stands, which is in use again thereby.
    pub(crate) fn name(&mut self, address: IpAddr, now: Instant) -> Option<String> {
        let number = number_of(address)?;
        self.touch(number, now);
        self.by_number.get(&number).map(|(name, _)| name.clone())
    }
}

/// Whether an address is of the ranges that stand for names.
pub(crate) fn is_synthetic(address: IpAddr) -> bool {
    let ((v4, v4_length), (v6, v6_length)) = (SYNTHETIC_V4, SYNTHETIC_V6);
    within(address, v4.into(), v4_length) || within(address, v6.into(), v6_length)
}

pub(crate) fn v4(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(SYNTHETIC_V4.0.to_bits() + FIRST + number)
}

pub(crate) fn v6(number: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(SYNTHETIC_V6.0.to_bits() + u128::from(FIRST + number))
}

fn number_of(address: IpAddr) -> Option<u32> {
    if !is_synthetic(address) {
        return None;
    }
    let offset = match address {
        IpAddr::V4(address) => address.to_bits() - SYNTHETIC_V4.0.to_bits(),
        IpAddr::V6(address) => u32::try_from(address.to_bits() - SYNTHETIC_V6.0.to_bits()).ok()?,
    };
    offset.checked_sub(FIRST).filter(|number| *number < NAMES)
}

#[cfg(test)]
mod tests {
    use aloft_base::{Clock as _, ManualClock, Timestamp};

    use super::*;

    #[test]
    fn a_name_has_one_address_of_each_kind_and_is_found_by_both() {
        let now = ManualClock::new(Timestamp::from_millis(1_000)).instant();
        let mut pool = Pool::default();
        let (a, b) = (
            pool.number("a.example", now).unwrap(),
            pool.number("b.example", now).unwrap(),
        );
        assert_ne!(a, b);
        assert_eq!(pool.number("a.example", now), Some(a));
        for (number, name) in [(a, "a.example"), (b, "b.example")] {
            for address in [IpAddr::V4(v4(number)), IpAddr::V6(v6(number))] {
                assert!(is_synthetic(address));
                assert_eq!(pool.name(address, now).unwrap(), name);
            }
        }
        for stranger in [
            "198.18.0.1",
            "198.19.255.255",
            "8.8.8.8",
            "fd5a:10f7:e9c2::1",
            "fd5a:10f7:e9c2:1::100",
        ] {
            assert_eq!(pool.name(stranger.parse().unwrap(), now), None, "{stranger}");
        }
    }

    #[test]
    fn a_full_range_gives_away_only_what_nobody_remembers() {
        let clock = ManualClock::new(Timestamp::from_millis(1_000));
        let begun = clock.instant();
        let mut pool = Pool::default();
        for number in 0..NAMES {
            assert_eq!(pool.number(&format!("n{number}.example"), begun), Some(number));
        }
        assert_eq!(
            pool.number("one.more", begun + TTL),
            None,
            "all may be remembered"
        );
        let later = begun + KEPT;
        assert_eq!(
            pool.name(v4(0).into(), later).unwrap(),
            "n0.example",
            "in use again"
        );
        assert_eq!(pool.number("one.more", later), Some(1), "the longest unused one");
        assert_eq!(pool.name(v4(1).into(), later).unwrap(), "one.more");
        assert_eq!(pool.by_name.len(), NAMES as usize);
        assert_eq!(pool.by_age.len(), NAMES as usize);
        assert_eq!(
            pool.number("n1.example", later),
            Some(2),
            "asked for anew, it has another"
        );
    }
}
