//! The cursor shape: reads one shard of a rule's log, delivers what matches straight from it, and moves the cursor behind
//! what is settled.
//!
//! One commit moves the cursor over everything that was settled by then, and in the same commit what failed joins its key's
//! backlog and what was given up becomes a dead letter. It is made when nothing more is to be done, when half a window is
//! settled, or a second after the first unmoved delivery: so a delivered event costs a share of a commit, and a crash
//! repeats at most a window. Records that no pattern wants move the cursor with the next delivery, or with the 30 s poll: alone they
//! are worth no commit.
//!
//! When it is told to stop it begins nothing more, waits a bounded time for what is in flight, and moves the cursor once more. What
//! is not settled by then is not acknowledged: the next reader delivers it again, with the same event id.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::Stop;
use aloft_delivery::{
    Attempts, Backlogs, DeadLetters, Decision, Ground, Letter, Parked, Range, Reason, RuleId, STORE_BACKOFF,
    Target, attempt_once, beside, caught, decide,
};
use aloft_store::{Batch, LogId, Outcome, Position, Record, Shard};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use crate::cursor::Cursor;
use crate::metrics::Counts;
use crate::rule::{event_of, pack, unreadable};
use crate::window::{Fate, Pending, RECORDS, Window};
use crate::{Error, Rule};

/// The poll that stands behind the wakes.
const POLL: Duration = Duration::from_secs(30);
/// How long a delivered event may wait for its share of a commit while others are in flight.
const LINGER: Duration = Duration::from_secs(1);
/// How many settled records are worth a commit by themselves.
const WORTH: usize = RECORDS / 2;
/// A reader that ran so long before it failed is not failing again and again: the pause begins at its shortest.
const STEADY: Duration = Duration::from_secs(60);
/// After how many starts at one place its events are delivered as tasks: see [`crate::cursor`].
const SUSPECT: u32 = 3;

/// Reads one shard for one rule.
pub(crate) struct Reader {
    pub(crate) ground: Ground,
    pub(crate) rule: Arc<Rule>,
    pub(crate) id: RuleId,
    pub(crate) shard: Shard,
    pub(crate) target: Arc<dyn Target>,
    pub(crate) concurrency: usize,
    pub(crate) drain: Duration,
    pub(crate) counts: Counts,
}

/// Where a reader stands.
struct Standing {
    cursor: Cursor,
    window: Window,
    read_to: Position,
    /// Whether the log may hold more.
    has_more: bool,
    /// Once the start at this place was noted: whether what is read next is suspect, because too many were noted before.
    begun: Option<bool>,
    /// How often in a row reading failed.
    failed: u32,
    /// When the settled prefix is due.
    due: Option<Instant>,
}

impl Reader {
    /// Runs until `stop` is asked for. Failures of the store, and panics, are logged and counted, and it begins anew from the cursor:
    /// what was in flight is delivered again, with the same event id.
    pub(crate) async fn run(self, stop: Stop) {
        let mut failed = 0;
        while !stop.is_asked() {
            let began = Instant::now();
            let ended = caught(self.session(&stop)).await;
            if began.elapsed() >= STEADY {
                failed = 0;
            }
            match ended {
                Ok(Ok(())) => failed = 0,
                Ok(Err(error)) => {
                    failed += 1;
                    tracing::warn!(rule = %self.rule.name, %error, "a rule could not go on reading; trying again");
                }
                Err(panic) => {
                    failed += 1;
                    tracing::error!(rule = %self.rule.name, panic, "the reader of a rule panicked; it begins anew");
                }
            }
            if failed > 0 {
                self.counts.deliveries.restarts.inc();
            }
            if !stop.is_asked() {
                self.ground.pause(failed + 1, &stop).await;
            }
        }
    }

    /// From the cursor until it is told to stop, or somebody else moved the cursor.
    async fn session(&self, stop: &Stop) -> Result<(), Error> {
        let mut waiter = self.ground.store.wake().log(self.log());
        let place = (self.log(), self.shard);
        let cursor = Cursor::load(&*self.ground.store, self.id, &self.rule.name, place).await?;
        let cursor = cursor.ok_or_else(|| Error::NoCursor(self.rule.name.clone()))?;
        let mut at = Standing {
            read_to: cursor.position,
            cursor,
            window: Window::default(),
            has_more: true,
            begun: None,
            failed: 0,
            due: None,
        };
        let mut in_flight = FuturesUnordered::new();
        let mut ended = Vec::new();
        let mut drained_by = None;
        loop {
            beside(&mut in_flight, &mut ended, self.fill(&mut at, stop)).await?;
            self.settle(&mut at, &mut ended);
            while !stop.is_asked()
                && in_flight.len() < self.concurrency
                && let Some((number, pending)) = at.window.next()
            {
                in_flight.push(self.deliver(number, pending));
            }
            if self.is_due(&mut at, in_flight.is_empty(), stop) {
                let moved = beside(&mut in_flight, &mut ended, self.commit(&mut at, stop)).await?;
                self.settle(&mut at, &mut ended);
                if !moved {
                    return Ok(());
                }
                continue;
            }
            if stop.is_asked() {
                let until = *drained_by.get_or_insert_with(|| Instant::now() + self.drain);
                if in_flight.is_empty() || Instant::now() >= until {
                    return Ok(());
                }
            }
            self.show(&at);
            let wait = self.wait(&at, drained_by);
            // Each branch only waits: deliveries live in `in_flight`, wakes are kept by the waiter.
            tokio::select! {
                () = stop.asked(), if drained_by.is_none() => {}
                Some(one) = in_flight.next(), if !in_flight.is_empty() => {
                    ended.push(one);
                    self.settle(&mut at, &mut ended);
                }
                () = waiter.wait(), if !at.has_more && drained_by.is_none() => at.has_more = true,
                () = tokio::time::sleep_until(wait) => {
                    at.has_more = true;
                    at.due = Some(Instant::now());
                }
            }
        }
    }

    fn settle(&self, at: &mut Standing, ended: &mut Vec<(u64, Fate)>) {
        for (number, fate) in ended.drain(..) {
            at.window.settle(number, fate, |pending| self.park(pending));
        }
    }

    fn log(&self) -> LogId {
        self.rule.source.log()
    }

    /// Whether the settled prefix is to be committed now.
    fn is_due(&self, at: &mut Standing, is_idle: bool, stop: &Stop) -> bool {
        let (settled, work) = at.window.settled();
        if settled == 0 {
            at.due = None;
            return false;
        }
        if work > 0 && at.due.is_none() {
            at.due = Some(Instant::now() + LINGER);
        }
        let is_waiting = is_idle && !at.window.has_ready();
        let is_nothing_left = is_waiting && !at.has_more;
        // Large records fill a window before they are many: without room nothing more would ever be settled.
        let is_full = is_waiting && !at.window.has_room();
        let is_over = stop.is_asked() && is_idle;
        settled >= WORTH
            || is_full
            || (work > 0 && is_nothing_left)
            || is_over
            || at.due.is_some_and(|due| due <= Instant::now())
    }

    /// Until when to wait if nothing happens.
    fn wait(&self, at: &Standing, drained_by: Option<Instant>) -> Instant {
        let mut wait = Instant::now() + POLL;
        if at.failed > 0 {
            wait = Instant::now() + STORE_BACKOFF.delay(at.failed, &*self.ground.chance);
        }
        [at.due, drained_by]
            .into_iter()
            .flatten()
            .fold(wait, Instant::min)
    }

    fn show(&self, at: &Standing) {
        let lag = at
            .window
            .oldest()
            .map_or(Duration::ZERO, |oldest| self.ground.clock.now().since(oldest));
        self.counts
            .behind
            .set(i64::try_from(at.window.len()).unwrap_or(i64::MAX));
        self.counts.lag.set(lag.as_secs_f64());
    }

    /// Reads as long as there is something to read and room for it. Fails when the cursor is not where it was: somebody else moved
    /// it, or the answer to this reader's own commit was lost. Then only a new session knows where to go on.
    async fn fill(&self, at: &mut Standing, stop: &Stop) -> Result<(), Error> {
        while at.has_more && at.window.has_room() && !stop.is_asked() {
            match self.read(at).await {
                Ok(()) => at.failed = 0,
                Err(moved @ Error::Contended(_)) => return Err(moved),
                Err(error) => {
                    at.failed += 1;
                    at.has_more = false;
                    tracing::warn!(rule = %self.rule.name, %error, "a rule's log could not be read; trying again");
                }
            }
        }
        Ok(())
    }

    async fn read(&self, at: &mut Standing) -> Result<(), Error> {
        let (records, bytes) = at.window.room();
        let read = self
            .ground
            .store
            .read_log(self.log(), self.shard, at.read_to, records, bytes)
            .await;
        let records = match read {
            Ok(records) => records,
            Err(aloft_store::Error::Trimmed { through, .. }) => {
                self.note_gap(at, through);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if records.is_empty() {
            at.has_more = false;
            return Ok(());
        }
        let is_suspect = self.begin(at).await?;
        let snapshot = self.ground.store.snapshot().await?;
        let backlogs = Backlogs::new(self.id);
        let has_backlogs = backlogs.any(&*snapshot).await?;
        let mut parked = Vec::with_capacity(records.len());
        for record in &records {
            let key = self.rule.line(record);
            parked.push(is_suspect || (has_backlogs && backlogs.has(&*snapshot, key).await?));
        }
        // From here on nothing fails, so that no record is taken in twice.
        for (record, is_parked) in records.into_iter().zip(parked) {
            // What their events hold is known only now; the rest is read again when there is room.
            if !at.window.has_room() {
                break;
            }
            at.read_to = record.position;
            self.admit(&mut at.window, record, is_parked);
        }
        // What follows lies behind the place that was begun too often.
        at.begun = Some(false);
        Ok(())
    }

    /// Notes, before anything is delivered, that a reader starts here. Answers whether too many have before.
    async fn begin(&self, at: &mut Standing) -> Result<bool, Error> {
        if let Some(is_suspect) = at.begun {
            return Ok(is_suspect);
        }
        let (position, starts) = (at.cursor.position, at.cursor.starts.saturating_add(1));
        let batch = at.cursor.put(self.ground.batch(), position, starts);
        let Some(committed) = self.ground.store.commit(batch).await?.committed() else {
            return Err(Error::Contended(self.rule.name.clone()));
        };
        at.cursor.moved(position, starts, committed.version);
        let is_suspect = starts > SUSPECT;
        at.begun = Some(is_suspect);
        if is_suspect {
            tracing::warn!(rule = %self.rule.name, starts, "this place of the log was begun again and again; its events are delivered as tasks");
        }
        Ok(is_suspect)
    }

    fn admit(&self, window: &mut Window, record: Record, is_parked: bool) {
        let now = self.ground.clock.now();
        let event = match event_of(&*self.rule.source, &record) {
            Ok(event) => event,
            Err(why) => {
                tracing::error!(rule = %self.rule.name, position = ?record.position, why, "a record is no event");
                let parcel = pack(&record, self.rule.line(&record), None).failed(
                    Attempts::default(),
                    &unreadable(why),
                    now,
                );
                let letter = Letter::one(self.id, &self.rule.name, Reason::Unreadable, now, parcel);
                return window.push_settled(&record, Fate::Dead(Box::new(letter)));
            }
        };
        if !self.rule.pattern.matches(&event.event) {
            return window.push_settled(&record, Fate::Skipped);
        }
        self.counts.matched.inc();
        if self.rule.policy.is_expired(record.at, now) {
            return window.push_settled(&record, Fate::Expired);
        }
        let pending = Pending {
            line: self.rule.line(&record),
            record,
            event,
        };
        window.push(pending, is_parked, |pending| self.park(pending));
    }

    /// Records that are gone without having been read: they cannot be counted, but are not passed over silently.
    fn note_gap(&self, at: &mut Standing, through: Position) {
        let now = self.ground.clock.now();
        let range = self.range(at.read_to, through, None);
        tracing::error!(rule = %self.rule.name, ?range, "records are gone that the rule had not read");
        let letter = Letter::range(self.id, &self.rule.name, Reason::Expired, now, range);
        at.window.push_gap(through, now, letter);
        at.read_to = through;
    }

    fn range(&self, from: Position, to: Position, events: Option<u64>) -> Range {
        Range {
            log: self.log(),
            shard: self.shard,
            from,
            to,
            events,
        }
    }

    /// What was not tried joins its key's backlog as it is.
    fn park(&self, pending: &Pending) -> Parked {
        Parked {
            parcel: pack(&pending.record, pending.line, Some(&pending.event)),
            due: self.ground.clock.now(),
        }
    }

    async fn deliver(&self, number: u64, pending: Arc<Pending>) -> (u64, Fate) {
        let result = attempt_once(&*self.target, &pending.event, 1).await;
        let (born, now) = (pending.record.at, self.ground.clock.now());
        let failure = result.as_ref().err();
        let decision = decide(
            &self.rule.policy,
            Attempts::default(),
            born,
            failure,
            now,
            &*self.ground.chance,
        );
        let parcel = |attempts| {
            let parcel = pack(&pending.record, pending.line, Some(&pending.event));
            match failure {
                Some(failure) => parcel.failed(attempts, failure, now),
                None => parcel,
            }
        };
        let counts = &self.counts.deliveries;
        let fate = match decision {
            Decision::Done => {
                counts.delivered.inc();
                Fate::Delivered
            }
            Decision::Retry { at, attempts } => {
                counts.failed.inc();
                counts.retries.inc();
                Fate::Parked(Box::new(Parked {
                    parcel: parcel(attempts),
                    due: at,
                }))
            }
            Decision::DeadLetter { reason, attempts } => {
                counts.failed.inc();
                let letter = Letter::one(self.id, &self.rule.name, reason, now, parcel(attempts));
                Fate::Dead(Box::new(letter))
            }
        };
        (number, fate)
    }

    /// Moves the cursor over the settled prefix. Answers `false` when somebody else has moved it.
    async fn commit(&self, at: &mut Standing, stop: &Stop) -> Result<bool, Error> {
        let mut tried = 0;
        loop {
            let outcome = match self.prepare(at).await {
                Ok(None) => return Ok(true),
                Ok(Some((batch, moved))) => self
                    .ground
                    .store
                    .commit(batch)
                    .await
                    .map(|outcome| (outcome, moved))
                    .map_err(Error::from),
                Err(error) => Err(error),
            };
            match outcome {
                Ok((Outcome::Committed(committed), moved)) => {
                    at.cursor.moved(moved.through, 0, committed.version);
                    at.window.forget(moved.slots);
                    at.due = None;
                    for (reason, events) in moved.died {
                        self.counts.deliveries.died(reason, events);
                    }
                    return Ok(true);
                }
                Ok((Outcome::Conflict(key), _)) if key == at.cursor.key => {
                    tracing::info!(rule = %self.rule.name, "somebody else moved the rule's cursor; going on from there");
                    return Ok(false);
                }
                // A backlog changed since it was read: read it again.
                Ok((Outcome::Conflict(_) | Outcome::Fenced(_) | Outcome::Lost(_), _)) => {}
                Err(error) if stop.is_asked() => return Err(error),
                // Should the commit have happened all the same, the next try finds the cursor moved.
                Err(error) => {
                    tried += 1;
                    tracing::warn!(rule = %self.rule.name, %error, "a rule's cursor could not be moved; trying again");
                    self.ground.pause(tried, stop).await;
                }
            }
        }
    }

    /// The batch for the settled prefix, and what it stands for.
    async fn prepare(&self, at: &Standing) -> Result<Option<(Batch, Moved)>, Error> {
        let Some(prefix) = at.window.prefix() else {
            return Ok(None);
        };
        let (now, letters) = (self.ground.clock.now(), self.ground.letters());
        let mut moved = Moved {
            slots: prefix.slots,
            through: prefix.through,
            died: Vec::new(),
        };
        let mut batch = at.cursor.put(self.ground.batch(), prefix.through, 0);
        let mut dead: Vec<Letter> = prefix.dead.into_iter().cloned().collect();
        if !prefix.parked.is_empty() {
            let snapshot = self.ground.store.snapshot().await?;
            let backlogs = Backlogs::new(self.id);
            let (with, overflow) = backlogs
                .park(batch, &*snapshot, &prefix.parked, &*self.ground.chance)
                .await?;
            batch = with;
            let full = |parcel| Letter::one(self.id, &self.rule.name, Reason::BacklogFull, now, parcel);
            dead.extend(overflow.into_iter().map(full));
        }
        if let Some((from, to, events)) = prefix.expired {
            let range = self.range(from, to, Some(events));
            dead.push(Letter::range(
                self.id,
                &self.rule.name,
                Reason::Expired,
                now,
                range,
            ));
        }
        for letter in &dead {
            batch = DeadLetters::put(&letters, batch, letter)?;
            moved.died.push((letter.reason, letter.events()));
        }
        Ok(Some((batch, moved)))
    }
}

/// What a commit puts behind the cursor.
struct Moved {
    slots: usize,
    through: Position,
    died: Vec<(Reason, u64)>,
}
