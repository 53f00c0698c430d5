//! How many descriptors this process may have. The soft limit is 1,024 almost everywhere, for programs that still call
//! `select`; a server raises it to the hard one. What the ports may take is bounded by it, so that a flood of connections leaves
//! the store, builds and new sandboxes what they need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Each of the two ports takes up to this part of all descriptors.
const PART: u64 = 4;
/// As many connections as a port takes at most, whatever the limit.
const MOST: u64 = 10_000;
/// Below this a browser and an SDK alone would crowd each other out.
const LEAST: u64 = 32;

/// Raises the limit as far as it goes, and says how many connections each port may have.
pub(crate) fn connections_a_port() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays where it is (ulimit -n)");
            limit.current
        }
    };
    share(now)
}

/// A port's share of so many descriptors; no limit is no bound.
fn share(descriptors: Option<u64>) -> usize {
    let share = descriptors.map_or(MOST, |all| (all / PART).clamp(LEAST, MOST));
    usize::try_from(share).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_port_takes_a_quarter_within_bounds() {
        for (descriptors, connections) in [
            (None, 10_000),
            (Some(1 << 20), 10_000),
            (Some(1_024), 256),
            (Some(64), 32),
        ] {
            assert_eq!(share(descriptors), connections, "{descriptors:?}");
        }
    }
}
