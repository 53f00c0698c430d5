//! One lane in the owner's memory: the window over its tasks, how far the ground was read, and where reading begins next time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::{Place, WINDOW};

/// A lane as its owner remembers it.
#[derive(Debug)]
pub(super) struct LaneState {
    /// Tasks that nobody has claimed, with how often a claim lapsed.
    pub(super) window: BTreeMap<Place, u32>,
    pub(super) claimed: BTreeSet<Place>,
    pub(super) pending: BTreeSet<Place>,
    pub(super) lapses: BTreeSet<(Instant, u64)>,
    pub(super) scanned: Place,
    pub(super) floor: Place,
    /// The highest task that was settled.
    pub(super) high: Place,
    pub(super) settled: u32,
    pub(super) filling: Option<Filling>,
}

/// What happens to a lane while more of it is being read, and may or may not show in what is read.
#[derive(Debug, Default)]
pub(super) struct Filling {
    pub(super) enqueued: BTreeSet<Place>,
    pub(super) settled: BTreeSet<Place>,
}

impl LaneState {
    pub(super) fn new(floor: Place) -> Self {
        Self {
            window: BTreeMap::new(),
            claimed: BTreeSet::new(),
            pending: BTreeSet::new(),
            lapses: BTreeSet::new(),
            // Everything before the floor is settled; the floor itself may not be.
            scanned: floor.before(),
            floor,
            high: floor,
            settled: 0,
            filling: None,
        }
    }

    /// The lowest task that may be unsettled; the end if there is none.
    pub(super) fn lowest(&self) -> Place {
        let known = self
            .window
            .keys()
            .next()
            .into_iter()
            .chain(self.claimed.first())
            .chain(self.pending.first());
        let unread = (self.scanned < Place::LAST).then_some(&self.scanned);
        known.chain(unread).min().copied().unwrap_or(Place::LAST)
    }

    /// Moves the floor to the lowest unsettled task; where there is none, to the highest settled one. (Whoever enqueues
    /// below it lowers it again in the same commit.)
    pub(super) fn raise_floor(&mut self) -> Place {
        self.settled = 0;
        self.floor = match self.lowest() {
            Place::LAST => self.high,
            lowest => lowest,
        };
        self.floor
    }

    /// Keeps the window bounded: the last ones are read again when their turn comes. Those whose claims lapsed stay, because
    /// only memory knows of it.
    pub(super) fn shrink(&mut self) {
        if self.window.len() <= 2 * WINDOW || self.filling.is_some() {
            return;
        }
        let Some(last) = self.window.keys().nth(WINDOW - 1).copied() else {
            return;
        };
        self.window.retain(|place, lapses| *place <= last || *lapses > 0);
        self.scanned = self.scanned.min(last);
    }
}
