//! When the rule that comes and goes was there. A client that is told that its change was made knows it from then on, until somebody
//! asks for another; in between a node may have made the change or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Ask, Seen, Told};

/// Writes of which it is certain whether the rule saw them.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// Requests that were sent and answered while it was there.
    pub(super) there: BTreeSet<u64>,
    /// Requests that were sent and answered while it was gone.
    pub(super) gone: BTreeSet<u64>,
}

impl Times {
    pub(super) fn of(seen: &[Seen]) -> Self {
        let mut times = Self::default();
        // What the file says, and what is known to run: a node makes its rules before it answers anybody.
        let (mut wanted, mut known) = (true, Some(true));
        // Changes that were asked since the file says so, and writes that were asked since it is known.
        let (mut changes, mut writes) = (BTreeSet::new(), BTreeMap::new());
        for seen in seen {
            match seen {
                Seen::Asked(op, Ask::Apply(to)) => {
                    if to.has_audit != wanted {
                        wanted = to.has_audit;
                        known = None;
                        changes.clear();
                        writes.clear();
                    }
                    changes.insert(*op);
                }
                Seen::Told(op, Told::Applied) if changes.remove(op) => known = Some(wanted),
                Seen::Asked(op, Ask::Put { .. } | Ask::Add { .. }) => {
                    if let Some(is_there) = known {
                        writes.insert(*op, is_there);
                    }
                }
                // The second one may take effect at any time.
                Seen::Repeated(op) => {
                    writes.remove(op);
                }
                Seen::Told(op, Told::Wrote(..)) => match writes.remove(op) {
                    Some(true) => _ = times.there.insert(*op),
                    Some(false) => _ = times.gone.insert(*op),
                    None => {}
                },
                _ => {}
            }
        }
        times
    }
}
