//! The owner's memory of the work: which tasks are ready, which are claimed, by whom and until when. Only facts (a task was
//! enqueued, a task was settled) are in the ground; this is what vanishes with the process, and then every token with it.
//!
//! A lane keeps a window over its tasks in the order of due time. `scanned` says how far the ground has been read: every
//! unsettled task up to there is known here (in the window, claimed, or pending while its commit is on the way to the disk).
//! While a lane has fewer tasks than a window, `scanned` stands at the end and the ground is never read again, so finished
//! tasks (tombstones, in an LSM tree) are never passed over. For the next start, `floor` remembers durably where the first
//! unsettled task may lie; it is written with every thousandth settlement, so a start passes over few tombstones however many
//! tasks were ever finished.
//!
//! An engine whose ground answers later says what begins and how it ended: a task that is enqueued or settled is pending in
//! between, and a lane that is being read remembers what happened to it meanwhile.
//!
//! Rejected: marking claims in the ground (an update in place for each claim, extension and lapse), and a due-time
//! index in memory alone (unbounded).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aloft_base::Timestamp;

use crate::{Lane, MAX_CLAIMS, Token};

use lane::{Filling, LaneState};

mod lane;

/// How many tasks of a lane are read at once; up to twice as many are kept.
pub const WINDOW: usize = 1_024;
/// After so many settlements in a lane its floor is written.
pub const FLOOR_EVERY: u32 = 1_000;
/// Above so many lanes those without tasks are forgotten.
pub const LANES: usize = 4_096;
/// So many unclean restarts are remembered, which bounds how many attempts they can charge.
pub const RESTARTS: usize = 256;

/// Where a task lies in its lane: by due time, then by the order of enqueueing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When it is due.
    pub due: Timestamp,
    /// The commit that enqueued it, by a number that grows with commits.
    pub commit: u64,
    /// Its number in the commit.
    pub index: u64,
}

impl Place {
    /// Before every task.
    pub const FIRST: Self = Self {
        due: Timestamp::from_millis(0),
        commit: 0,
        index: 0,
    };
    /// After every task.
    pub const LAST: Self = Self {
        due: Timestamp::from_millis(u64::MAX),
        commit: u64::MAX,
        index: u64::MAX,
    };

    /// The place just before; the first has none, and no task lies there.
    pub fn before(self) -> Self {
        match (self.index, self.commit) {
            (0, 0) if self.due == Self::FIRST.due => Self::FIRST,
            (0, 0) => Self {
                due: Timestamp::from_millis(self.due.as_millis() - 1),
                ..Self::LAST
            },
            (0, commit) => Self {
                commit: commit - 1,
                index: u64::MAX,
                ..self
            },
            (index, _) => Self {
                index: index - 1,
                ..self
            },
        }
    }
}

/// An unclean restart: the tasks of commits before `commit` that were due by `at` are charged an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// When the store was opened again.
    pub at: Timestamp,
    /// The last commit before.
    pub commit: u64,
}

/// The moment of an operation, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Wall clock: what is due.
    pub at: Timestamp,
    /// Monotonic: what lapses.
    pub instant: Instant,
}

/// What the owner remembers. Its methods take moments and never wait: an engine keeps it under a plain lock.
#[derive(Debug)]
pub struct Work {
    owner: u64,
    serial: u64,
    restarts: Vec<Restart>,
    lanes: HashMap<Lane, LaneState>,
    claims: HashMap<u64, Held>,
    /// Claims of enqueuers whose commits are on their way to the disk.
    pending_claims: usize,
    /// Tasks in windows whose claims lapsed; they count against the bound of claims, because their count is remembered.
    lapsed: usize,
}

#[derive(Debug)]
struct Held {
    lane: Lane,
    place: Place,
    until: Instant,
    lapses: u32,
    /// A batch that settles it is on its way to the disk.
    settling: bool,
}

/// A task that was picked for a receiver; its body is still to be read.
#[derive(Debug)]
pub struct Picked {
    /// The receiver's right.
    pub token: Token,
    /// Where the task lies.
    pub place: Place,
    /// How often a claim of it lapsed.
    pub lapses: u32,
}

impl Work {
    /// The memory of an owner whose every start has another number, without lanes yet.
    pub fn new(owner: u64, restarts: Vec<Restart>) -> Self {
        Self {
            owner,
            serial: 0,
            restarts,
            lanes: HashMap::new(),
            claims: HashMap::new(),
            pending_claims: 0,
            lapsed: 0,
        }
    }

    /// How many attempts unclean restarts charge to a task.
    pub fn charged(&self, place: Place) -> u32 {
        let charged = self
            .restarts
            .iter()
            .filter(|r| place.due <= r.at && place.commit <= r.commit);
        u32::try_from(charged.count()).unwrap_or(u32::MAX)
    }

    /// Whether the lane is kept.
    pub fn knows(&self, lane: Lane) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// Begins to keep a lane whose first unsettled task lies at `floor` or after.
    pub fn learn(&mut self, lane: Lane, floor: Place) {
        self.lanes.entry(lane).or_insert_with(|| LaneState::new(floor));
    }

    /// Whether a token holds.
    pub fn holds(&self, token: &Token, now: Now) -> bool {
        self.held(token)
            .is_some_and(|held| !held.settling && held.until > now.instant)
    }

    fn held(&self, token: &Token) -> Option<&Held> {
        let (owner, serial) = token.parts();
        let held = self.claims.get(&serial)?;
        (owner == self.owner && held.lane == token.lane()).then_some(held)
    }

    /// Holds a token's task for a batch that settles it: nobody else gets it, and the token no longer holds.
    pub fn begin_settle(&mut self, token: &Token) -> Option<Place> {
        let (_, serial) = token.parts();
        let held = self.claims.get_mut(&serial)?;
        held.settling = true;
        if let Some(lane) = self.lanes.get_mut(&held.lane) {
            lane.lapses.remove(&(held.until, serial));
        }
        Some(held.place)
    }

    /// The task is gone.
    pub fn end_settle(&mut self, token: &Token) {
        let (_, serial) = token.parts();
        if let Some(held) = self.claims.remove(&serial)
            && let Some(lane) = self.lanes.get_mut(&held.lane)
        {
            lane.claimed.remove(&held.place);
            lane.high = lane.high.max(held.place);
            lane.settled += 1;
            if let Some(filling) = &mut lane.filling {
                filling.settled.insert(held.place);
            }
        }
    }

    /// The batch that was to settle the task was refused: the token holds again, if it has not lapsed meanwhile.
    pub fn cancel_settle(&mut self, token: &Token) {
        let (_, serial) = token.parts();
        if let Some(held) = self.claims.get_mut(&serial) {
            held.settling = false;
            if let Some(lane) = self.lanes.get_mut(&held.lane) {
                lane.lapses.insert((held.until, serial));
            }
        }
    }

    /// Whether so many more tasks may be claimed. Claims that lapsed need not be looked for: they count as long as they are
    /// remembered.
    pub fn has_room(&self, claims: usize) -> bool {
        claims <= self.room()
    }

    fn room(&self) -> usize {
        MAX_CLAIMS.saturating_sub(self.claims.len() + self.pending_claims + self.lapsed)
    }

    /// A task is on its way to the disk. Answers the token if it is claimed, and whether its lane's floor must be lowered.
    pub fn begin_enqueue(&mut self, lane: Lane, place: Place, claimed: bool) -> (Option<Token>, bool) {
        let token = claimed.then(|| self.next_token(lane));
        self.pending_claims += usize::from(claimed);
        let Some(state) = self.lanes.get_mut(&lane) else {
            return (token, false);
        };
        state.pending.insert(place);
        let lower = place < state.floor;
        if lower {
            state.floor = place;
        }
        (token, lower)
    }

    /// The task is on the disk.
    pub fn end_enqueue(&mut self, lane: Lane, place: Place, claimed: Option<(Token, Duration)>, now: Now) {
        self.pending_claims -= usize::from(claimed.is_some());
        let Some(state) = self.lanes.get_mut(&lane) else {
            return;
        };
        state.pending.remove(&place);
        match claimed {
            Some((token, time)) => self.claim(&token, place, 0, now.instant + time),
            None if place <= state.scanned => {
                state.window.insert(place, 0);
                state.shrink();
            }
            None => {
                if let Some(filling) = &mut state.filling {
                    filling.enqueued.insert(place);
                }
            }
        }
    }

    /// The batch that was to enqueue the task was refused.
    pub fn cancel_enqueue(&mut self, lane: Lane, place: Place, claimed: bool) {
        self.pending_claims -= usize::from(claimed);
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.pending.remove(&place);
        }
    }

    /// The lanes whose floor is to be written, and where it is.
    pub fn floors(&mut self, lanes: impl Iterator<Item = Lane>) -> Vec<(Lane, Place)> {
        let mut floors = Vec::new();
        for lane in lanes {
            if let Some(state) = self.lanes.get_mut(&lane)
                && state.settled >= FLOOR_EVERY
            {
                floors.push((lane, state.raise_floor()));
            }
        }
        floors
    }

    /// Forgets lanes without tasks when there are many; answers the floors to be written for them.
    pub fn forget_idle(&mut self) -> Vec<(Lane, Place)> {
        let mut floors = Vec::new();
        if self.lanes.len() > LANES {
            self.lanes.retain(|lane, state| {
                let idle = state.lowest() == Place::LAST && state.filling.is_none();
                if idle && state.settled > 0 {
                    floors.push((*lane, state.raise_floor()));
                }
                !idle
            });
        }
        floors
    }

    /// From where a lane must be read before it can give more that is due; `None` if all that is due is known.
    pub fn must_read(&mut self, lane: Lane, now: Now) -> Option<Place> {
        self.sweep(lane, now);
        let state = self.lanes.get(&lane)?;
        let first = state.window.keys().next();
        let known = first.is_some_and(|first| first.due <= now.at || state.scanned.due > now.at);
        (!known && state.scanned < Place::LAST).then_some(state.scanned)
    }

    /// As [`must_read`](Self::must_read), for an engine that reads without holding this memory: from now until
    /// [`fill`](Self::fill) or [`cancel_fill`](Self::cancel_fill) it is remembered what is enqueued and settled, since what is
    /// read may be older. One fill of a lane at a time.
    pub fn begin_fill(&mut self, lane: Lane, now: Now) -> Option<Place> {
        let scanned = self.must_read(lane, now)?;
        self.lanes.get_mut(&lane)?.filling = Some(Filling::default());
        Some(scanned)
    }

    /// The read failed: nothing was learnt.
    pub fn cancel_fill(&mut self, lane: Lane) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.filling = None;
            state.shrink();
        }
    }

    /// Takes what was read: up to a window of places after `scanned`, all there are if `whole`.
    pub fn fill(&mut self, lane: Lane, places: &[Place], whole: bool) {
        let Some(state) = self.lanes.get_mut(&lane) else {
            return;
        };
        let meanwhile = state.filling.take().unwrap_or_default();
        state.scanned = match places.last() {
            _ if whole => Place::LAST,
            Some(last) => *last,
            None => state.scanned,
        };
        let missed = meanwhile.enqueued.range(..=state.scanned);
        for place in places.iter().chain(missed) {
            let known = state.claimed.contains(place) || state.pending.contains(place);
            if !known && !meanwhile.settled.contains(place) {
                state.window.entry(*place).or_insert(0);
            }
        }
        state.shrink();
    }

    /// Claims up to `max` known due tasks, the longest due first.
    pub fn pick(&mut self, lane: Lane, max: usize, visible_for: Duration, now: Now) -> Vec<Picked> {
        self.sweep(lane, now);
        let mut room = self.room();
        let Some(state) = self.lanes.get_mut(&lane) else {
            return Vec::new();
        };
        let due = state.window.iter().take_while(|(place, _)| place.due <= now.at);
        // A task whose claim lapsed is counted already; another needs room.
        let fits = due.filter(|(_, lapses)| {
            let fits = **lapses > 0 || room > 0;
            room -= usize::from(fits && **lapses == 0);
            fits
        });
        let chosen: Vec<(Place, u32)> = fits.take(max).map(|(place, lapses)| (*place, *lapses)).collect();
        let mut picked = Vec::with_capacity(chosen.len());
        for (place, lapses) in chosen {
            if let Some(state) = self.lanes.get_mut(&lane) {
                state.window.remove(&place);
            }
            self.lapsed -= usize::from(lapses > 0);
            let token = self.next_token(lane);
            self.claim(&token, place, lapses, now.instant + visible_for);
            picked.push(Picked { token, place, lapses });
        }
        picked
    }

    /// When the lane may next have something due.
    pub fn next_due(&mut self, lane: Lane, now: Now) -> Option<Timestamp> {
        self.sweep(lane, now);
        let state = self.lanes.get(&lane)?;
        let due = state.window.keys().next().map(|place| place.due);
        let lapse = state.lapses.first().map(|(until, _)| {
            // Rounded up, so that who waits until then finds the claim lapsed.
            now.at + until.saturating_duration_since(now.instant) + Duration::from_millis(1)
        });
        due.into_iter().chain(lapse).min()
    }

    /// Keeps a claim from now for a while.
    pub fn extend(&mut self, token: &Token, visible_for: Duration, now: Now) -> bool {
        if !self.holds(token, now) {
            return false;
        }
        let (_, serial) = token.parts();
        if let Some(held) = self.claims.get_mut(&serial)
            && let Some(lane) = self.lanes.get_mut(&held.lane)
        {
            lane.lapses.remove(&(held.until, serial));
            held.until = now.instant + visible_for;
            lane.lapses.insert((held.until, serial));
        }
        true
    }

    /// Gives a claim back without charging an attempt.
    pub fn release(&mut self, token: &Token, now: Now) -> bool {
        let holds = self.holds(token, now);
        if holds {
            let (_, serial) = token.parts();
            self.give_back(serial, 0);
        }
        holds
    }

    fn next_token(&mut self, lane: Lane) -> Token {
        self.serial += 1;
        Token::new(lane, self.owner, self.serial)
    }

    fn claim(&mut self, token: &Token, place: Place, lapses: u32, until: Instant) {
        let (lane, (_, serial)) = (token.lane(), token.parts());
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.claimed.insert(place);
            state.lapses.insert((until, serial));
        }
        let held = Held {
            lane,
            place,
            until,
            lapses,
            settling: false,
        };
        self.claims.insert(serial, held);
    }

    /// Takes back the claims of a lane that lapsed.
    fn sweep(&mut self, lane: Lane, now: Now) {
        while let Some((until, serial)) = self
            .lanes
            .get(&lane)
            .and_then(|state| state.lapses.first().copied())
        {
            if until > now.instant {
                break;
            }
            self.give_back(serial, 1);
        }
    }

    fn give_back(&mut self, serial: u64, lapses: u32) {
        let Some(held) = self.claims.remove(&serial) else {
            return;
        };
        if let Some(state) = self.lanes.get_mut(&held.lane) {
            let lapses = held.lapses + lapses;
            state.lapses.remove(&(held.until, serial));
            state.claimed.remove(&held.place);
            state.window.insert(held.place, lapses);
            self.lapsed += usize::from(lapses > 0);
        }
    }
}

#[cfg(test)]
mod tests;
