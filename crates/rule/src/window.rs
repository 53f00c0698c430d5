//! What a reader has read of the log and not yet put behind its cursor: pure, so that order and completeness are tested
//! without a store or a target.
//!
//! Each record read becomes a slot, in log order. Records of one key are handed out one after the other, those of
//! different keys at once. When a key's record is parked, its later ones are parked behind it without being tried. When one is given
//! up, they wait until that is durable: after a crash it would come again, behind them. The cursor may
//! move over the *settled prefix*: the slots from the front whose fate is known. Slots behind a slow one wait in the window,
//! which is bounded, so a reader that is held up stops reading instead of growing.
//!
//! A plain batch (read, deliver all, commit) was rejected: an event that comes while the former one's function runs
//! for seconds would wait for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use aloft_base::Timestamp;
use aloft_call::Event;
use aloft_delivery::{KeyHash, Letter, Parked};
use aloft_event::Data;
use aloft_store::{Position, Record};
use serde_json::Value as Json;

/// How many records a window holds at most.
pub(crate) const RECORDS: usize = 256;
/// How many bytes of records it holds before no more are read. With the failures' messages a window of parked records
/// stays below a batch's 16 MiB.
pub(crate) const BYTES: usize = 8 << 20;
/// How many bytes of memory its events take before no more are read. An item of many small attributes is some forty times as large
/// as its record, so the records' own bytes bound nothing.
pub(crate) const HELD: usize = 32 << 20;

/// An event on its way to the target.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) record: Record,
    /// What it waits behind: see [`crate::Order`].
    pub(crate) line: KeyHash,
    pub(crate) event: Event,
}

impl Pending {
    /// About how many bytes of memory the event takes.
    pub(crate) fn held(&self) -> usize {
        let data = match self.event.event.data() {
            Some(Data::Json(json)) => held_by(json),
            Some(Data::Bytes(bytes)) => bytes.len(),
            None => 0,
        };
        // A change holds the same values once more, with their exact types.
        data * (1 + usize::from(self.event.change.is_some()))
    }
}

/// About how many bytes of memory a JSON value takes. What it nests is bounded where it came in.
fn held_by(json: &Json) -> usize {
    let within = match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(held_by).sum(),
        // Beside the value an entry holds its name, a hash and a place in the index.
        Json::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len() + size_of::<(String, [usize; 2])>() + held_by(value))
            .sum(),
    };
    size_of::<Json>() + within
}

/// What became of a record.
#[derive(Debug)]
pub(crate) enum Fate {
    /// The pattern does not want it.
    Skipped,
    /// The target took it.
    Delivered,
    /// It was too old when it was read; this many are counted in a range.
    Expired,
    /// It joins its key's backlog.
    Parked(Box<Parked>),
    /// It was given up.
    Dead(Box<Letter>),
}

#[derive(Debug)]
struct Slot {
    position: Position,
    bytes: usize,
    /// What its event holds, until its fate is known.
    held: usize,
    key: Option<KeyHash>,
    at: Timestamp,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Arc<Pending>),
    Running,
    Settled(Fate),
}

/// What the window holds of one key.
#[derive(Debug, Default)]
struct Line {
    /// Slots that wait for their turn, by number.
    waiting: VecDeque<u64>,
    /// Whether one is ready or running, or was given up and is not yet forgotten.
    is_busy: bool,
    /// Whether one was parked: then all that follow are.
    is_parked: bool,
    /// How many slots of the key the window holds.
    slots: usize,
}

impl Line {
    /// The one whose turn it is.
    fn next(&mut self) -> Option<u64> {
        let next = self.waiting.pop_front();
        self.is_busy = next.is_some();
        next
    }
}

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The number of the first slot; numbers go up by one.
    first: u64,
    slots: VecDeque<Slot>,
    lines: HashMap<KeyHash, Line>,
    ready: VecDeque<u64>,
    bytes: usize,
    held: usize,
}

/// The settled prefix, to be put behind the cursor in one commit.
#[derive(Debug)]
pub(crate) struct Prefix<'a> {
    /// How many slots.
    pub(crate) slots: usize,
    /// The position of the last.
    pub(crate) through: Position,
    pub(crate) parked: Vec<Parked>,
    pub(crate) dead: Vec<&'a Letter>,
    /// First and last position of what expired, and how many.
    pub(crate) expired: Option<(Position, Position, u64)>,
}

impl Window {
    /// Whether more may be read.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.len() < RECORDS && self.bytes < BYTES && self.held < HELD
    }

    /// How many records and bytes may be read.
    pub(crate) fn room(&self) -> (usize, usize) {
        (
            RECORDS.saturating_sub(self.slots.len()),
            BYTES.saturating_sub(self.bytes),
        )
    }

    /// How many records it holds.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// When its oldest record was written.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.slots.front().map(|slot| slot.at)
    }

    /// Adds a record whose fate is known already.
    pub(crate) fn push_settled(&mut self, record: &Record, fate: Fate) {
        self.slots.push_back(Slot {
            position: record.position,
            bytes: bytes_of(record),
            held: 0,
            key: None,
            at: record.at,
            state: State::Settled(fate),
        });
        self.bytes += bytes_of(record);
    }

    /// Adds a stretch of the log whose records are gone.
    pub(crate) fn push_gap(&mut self, through: Position, at: Timestamp, letter: Letter) {
        let state = State::Settled(Fate::Dead(Box::new(letter)));
        self.slots.push_back(Slot {
            position: through,
            bytes: 0,
            held: 0,
            key: None,
            at,
            state,
        });
    }

    /// Adds a record that the rule wants. `is_parked` says that its key has a backlog in the store; `park` makes the parcel.
    pub(crate) fn push(&mut self, pending: Pending, is_parked: bool, park: impl FnOnce(&Pending) -> Parked) {
        let key = pending.line;
        let number = self.first + self.slots.len() as u64;
        let (position, bytes, at) = (
            pending.record.position,
            bytes_of(&pending.record),
            pending.record.at,
        );
        let line = self.lines.entry(key).or_default();
        line.slots += 1;
        line.is_parked |= is_parked;
        let held = if line.is_parked { 0 } else { pending.held() };
        let state = if line.is_parked {
            State::Settled(Fate::Parked(Box::new(park(&pending))))
        } else {
            if line.is_busy {
                line.waiting.push_back(number);
            } else {
                line.is_busy = true;
                self.ready.push_back(number);
            }
            State::Waiting(Arc::new(pending))
        };
        self.slots.push_back(Slot {
            position,
            bytes,
            held,
            key: Some(key),
            at,
            state,
        });
        self.bytes += bytes;
        self.held += held;
    }

    /// The next record to be delivered, with its number.
    pub(crate) fn next(&mut self) -> Option<(u64, Arc<Pending>)> {
        let number = self.ready.pop_front()?;
        let slot = self.slot(number)?;
        match std::mem::replace(&mut slot.state, State::Running) {
            State::Waiting(pending) => Some((number, pending)),
            other => {
                slot.state = other;
                None
            }
        }
    }

    /// Whether a record waits to be delivered now.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Notes what became of a record that [`next`](Self::next) gave. `park` makes the parcels of what follows a parked one.
    pub(crate) fn settle(&mut self, number: u64, fate: Fate, park: impl Fn(&Pending) -> Parked) {
        let (is_parked, is_dead) = (matches!(fate, Fate::Parked(_)), matches!(fate, Fate::Dead(_)));
        let Some(slot) = self.slot(number) else { return };
        slot.state = State::Settled(fate);
        let (key, mut freed) = (slot.key, std::mem::take(&mut slot.held));
        let Some(line) = key.and_then(|key| self.lines.get_mut(&key)) else {
            return;
        };
        line.is_busy = is_dead;
        if is_parked {
            line.is_parked = true;
            for number in std::mem::take(&mut line.waiting) {
                if let Some(slot) = self.slot(number)
                    && let State::Waiting(pending) = &slot.state
                {
                    let parked = park(pending);
                    slot.state = State::Settled(Fate::Parked(Box::new(parked)));
                    freed += std::mem::take(&mut slot.held);
                }
            }
        } else if !is_dead {
            self.ready.extend(line.next());
        }
        self.held = self.held.saturating_sub(freed);
    }

    /// How many slots are settled from the front, and how many of them are more than skipped.
    pub(crate) fn settled(&self) -> (usize, usize) {
        let settled = self.slots.iter().map_while(|slot| match &slot.state {
            State::Settled(fate) => Some(usize::from(!matches!(fate, Fate::Skipped))),
            State::Waiting(_) | State::Running => None,
        });
        settled.fold((0, 0), |(slots, work), is_work| (slots + 1, work + is_work))
    }

    /// The settled prefix; `None` when the front is not settled.
    pub(crate) fn prefix(&self) -> Option<Prefix<'_>> {
        let mut prefix = Prefix {
            slots: 0,
            through: Position::START,
            parked: Vec::new(),
            dead: Vec::new(),
            expired: None,
        };
        for slot in &self.slots {
            let State::Settled(fate) = &slot.state else { break };
            prefix.slots += 1;
            prefix.through = slot.position;
            match fate {
                Fate::Skipped | Fate::Delivered => {}
                Fate::Expired => {
                    let (from, _, events) = prefix.expired.unwrap_or((slot.position, slot.position, 0));
                    prefix.expired = Some((from, slot.position, events + 1));
                }
                Fate::Parked(parked) => prefix.parked.push((**parked).clone()),
                Fate::Dead(letter) => prefix.dead.push(letter),
            }
        }
        (prefix.slots > 0).then_some(prefix)
    }

    /// Forgets slots from the front, which are behind the cursor now.
    pub(crate) fn forget(&mut self, slots: usize) {
        for slot in self.slots.drain(..slots.min(self.slots.len())) {
            self.first += 1;
            self.bytes = self.bytes.saturating_sub(slot.bytes);
            if let Some(key) = slot.key
                && let Some(line) = self.lines.get_mut(&key)
            {
                line.slots = line.slots.saturating_sub(1);
                if matches!(slot.state, State::Settled(Fate::Dead(_))) {
                    self.ready.extend(line.next());
                }
                if line.slots == 0 {
                    self.lines.remove(&key);
                }
            }
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        self.slots
            .get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

fn bytes_of(record: &Record) -> usize {
    record.key.len() + record.value.len()
}

#[cfg(test)]
mod tests;
