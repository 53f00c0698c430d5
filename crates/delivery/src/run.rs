//! The task shape: works a rule's lane of retries. A task stands for a key's backlog; each round delivers the backlog's first
//! parcel and commits what the policy decides together with the end of the task:
//!
//! | decision | commit |
//! |---|---|
//! | done | settle, take the parcel out, enqueue the backlog's next |
//! | retry | settle, put the parcel back with its failure, enqueue for later |
//! | dead | settle, take the parcel out, put the dead letter, enqueue the backlog's next |
//!
//! When it is told to stop it claims nothing more, waits a bounded time for what is in flight, and releases the rest. A round
//! of a dead process is not settled, so its claim lapses or is due again at the next start: delivery is at least once.
//! It waits on the lane's wake and the next due time; when nothing waits there is only the 30 s poll.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use aloft_base::{Backoff, Stop, Timestamp};
use aloft_store::{Batch, Claim, Entry, Lease, Outcome, Token};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{MutexGuard, RwLock, RwLockWriteGuard};

use crate::backlog::{Backlogs, Head, Waiting, decode_key};
use crate::caught::caught;
use crate::destination::bounded;
use crate::ground::SHORTEST;
use crate::letter::{Content, Letter};
use crate::target::ATTEMPT_BOUND;
use crate::{
    Buried, DeadLetters, Decision, Error, Ground, KeyHash, Parcel, Policy, Reason, Route, RuleMetrics, decide,
};

/// How long a claim holds: an attempt's bound and some time for the commit.
const CLAIMED: Duration = Duration::from_secs(ATTEMPT_BOUND.as_secs() + 60);
/// The poll that stands behind the wakes.
const POLL: Duration = Duration::from_secs(30);
/// The longest wait for a task that is due by this node's clock and not given out: the store judges by its own clock.
const BEHIND: Duration = Duration::from_secs(1);
/// How often a commit is tried again when the backlog changed meanwhile or the store failed.
const TRIES: u32 = 10;

/// Works the retries of one rule.
pub struct Runner {
    ground: Ground,
    route: Route,
    concurrency: usize,
    drain: Duration,
    metrics: RuleMetrics,
    letters: DeadLetters,
    backlogs: Backlogs,
    ends_idle: bool,
    /// Attempts share it; a suspect has it to itself.
    turn: RwLock<()>,
}

/// A suspect's turn: among the suspects of the node, and alone in its rule.
type Turn<'a> = (MutexGuard<'a, ()>, RwLockWriteGuard<'a, ()>);

/// What a round came to.
enum End {
    /// The backlog is gone: nothing to do.
    Orphan,
    Done(KeyHash),
    Retry {
        head: Head,
        parcel: Parcel,
        at: Timestamp,
    },
    Dead {
        key: KeyHash,
        letter: Letter,
        tried: bool,
    },
}

impl Runner {
    /// A runner that makes at most `concurrency` attempts at a time, and at its end waits at most `drain` for them.
    pub fn new(
        ground: Ground,
        route: Route,
        concurrency: usize,
        drain: Duration,
        metrics: RuleMetrics,
    ) -> Self {
        let (letters, backlogs) = (ground.letters(), Backlogs::new(route.rule));
        Self {
            ground,
            route,
            concurrency: concurrency.max(1),
            drain,
            metrics,
            letters,
            backlogs,
            ends_idle: false,
            turn: RwLock::new(()),
        }
    }

    /// One that ends when nothing has waited for some time: half a minute, up to a whole one.
    #[must_use]
    pub fn ending_idle(self) -> Self {
        Self {
            ends_idle: true,
            ..self
        }
    }

    /// Runs until `stop` is asked for; the runner of a rule that is gone also ends when its lane is empty. Returns whether the lane was
    /// empty then. A panic breaks off what is in flight; then it begins anew.
    pub async fn run(self, stop: Stop) -> bool {
        let mut held = BTreeSet::new();
        for panicked in 1.. {
            match caught(self.work(&stop, &mut held)).await {
                Ok(is_empty) => {
                    if is_empty {
                        self.show(Waiting::default());
                    }
                    return is_empty;
                }
                Err(panic) => {
                    self.metrics.restarts.inc();
                    tracing::error!(rule = %self.route.name, panic, "the retries of a rule panicked; they begin anew");
                    self.ground.pause(panicked, &stop).await;
                }
            }
        }
        false
    }

    /// `held` are the claims that it has: what it finds there is left over from one that panicked.
    async fn work(&self, stop: &Stop, held: &mut BTreeSet<Token>) -> bool {
        while let Some(token) = held.first().cloned() {
            self.release(token.clone()).await;
            held.remove(&token);
        }
        let store = self.ground.store.clone();
        let lane = self.route.rule.lane();
        let mut waiter = store.wake().lane(lane);
        let mut in_flight = FuturesUnordered::new();
        let (mut failed, mut early) = (0, 0);
        let mut surveyed = None;
        let mut busy = self.ground.clock.instant();
        while !stop.is_asked() {
            let free = self.concurrency - in_flight.len();
            let looked = async {
                let claims = if free > 0 {
                    store.receive(lane, free, CLAIMED).await?
                } else {
                    Vec::new()
                };
                let next = if claims.len() < free {
                    store.next_due(lane).await?
                } else {
                    None
                };
                Ok::<_, aloft_store::Error>((claims, next))
            };
            let mut ended = Vec::new();
            let looked = beside(&mut in_flight, &mut ended, async {
                self.survey(&mut surveyed).await;
                let looked = looked.await;
                if let Err(error) = &looked {
                    failed += 1;
                    tracing::warn!(rule = %self.route.name, %error, "the retries of a rule could not be read; trying again");
                    self.ground.pause(failed, stop).await;
                }
                looked
            });
            let looked = looked.await;
            ended.iter().for_each(|token| {
                held.remove(token);
            });
            let Ok((claims, next)) = looked else {
                continue;
            };
            failed = 0;
            let is_full = claims.len() == free;
            let got_nothing = claims.is_empty();
            held.extend(claims.iter().map(|claim| claim.token.clone()));
            in_flight.extend(claims.into_iter().map(|claim| self.round(claim, stop)));
            let is_empty = in_flight.is_empty() && next.is_none();
            let now = self.ground.clock.instant();
            if !is_empty {
                busy = now;
            }
            let has_waited = self.ends_idle && now.saturating_duration_since(busy) >= POLL;
            if is_empty && (self.route.to.is_none() || has_waited) {
                return true;
            }
            let wait = next.map_or(POLL, |at| at.since(self.ground.clock.now()).min(POLL));
            early = if got_nothing && wait < SHORTEST {
                early + 1
            } else {
                0
            };
            let wait = wait.max(patience(early));
            // Each branch only waits: the rounds live in `in_flight`, wakes are kept by the waiter.
            tokio::select! {
                () = stop.asked() => {}
                Some(token) = in_flight.next(), if !in_flight.is_empty() => {
                    held.remove(&token);
                }
                () = waiter.wait(), if !is_full => {}
                () = tokio::time::sleep(wait), if !is_full => {}
            }
        }
        let drained = async {
            while let Some(token) = in_flight.next().await {
                held.remove(&token);
            }
        };
        if tokio::time::timeout(self.drain, drained).await.is_err() {
            tracing::warn!(rule = %self.route.name, left = held.len(), "retries did not end in time; they will be made again");
        }
        drop(in_flight);
        for token in std::mem::take(held) {
            self.release(token).await;
        }
        false
    }

    /// Counts what waits if that was not done of late. Nothing but the metrics depends on it.
    async fn survey(&self, last: &mut Option<Instant>) {
        let now = self.ground.clock.instant();
        if last.is_some_and(|last| now.saturating_duration_since(last) < POLL) {
            return;
        }
        *last = Some(now);
        let waiting = async {
            let snapshot = self.ground.store.snapshot().await?;
            self.backlogs.waiting(&*snapshot).await
        };
        match waiting.await {
            Ok(waiting) => self.show(waiting),
            Err(error) => tracing::debug!(rule = %self.route.name, %error, "what waits could not be counted"),
        }
    }

    fn show(&self, waiting: Waiting) {
        let now = self.ground.clock.now();
        let age = waiting.oldest.map_or(Duration::ZERO, |oldest| now.since(oldest));
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.waiting.set(whole(waiting.events));
        self.metrics.oldest.set(whole(age.as_secs()));
    }

    /// One task from claim to settlement. It never fails: what cannot be settled is due again later.
    async fn round(&self, claim: Claim, stop: &Stop) -> Token {
        match self.attempt(&claim).await {
            // A suspect keeps its turn until it is settled: were the next one to end the node before that, it would be charged to
            // this one.
            Ok((end, turn)) => {
                self.settle(&claim, &end, stop).await;
                drop(turn);
            }
            Err(error) => {
                tracing::warn!(rule = %self.route.name, %error, "a retry could not be made; it will be made again");
                self.ground.pause(1, stop).await;
                self.release(claim.token.clone()).await;
            }
        }
        claim.token
    }

    async fn settle(&self, claim: &Claim, end: &End, stop: &Stop) {
        for tried in 1..=TRIES {
            let outcome = match self.batch_of(claim, end).await {
                Ok(batch) => self.ground.store.commit(batch).await.map_err(Error::from),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(Outcome::Committed(_)) => return self.count(end),
                // The backlog changed since it was read: read it again.
                Ok(Outcome::Conflict(_)) => {}
                Ok(Outcome::Lost(_) | Outcome::Fenced(_)) => {
                    tracing::warn!(rule = %self.route.name, "a retry took longer than its claim; it will be made again");
                    return;
                }
                // Should the commit have happened all the same, the next try finds the token lost.
                Err(error) => {
                    tracing::warn!(rule = %self.route.name, %error, "a retry could not be settled");
                    self.ground.pause(tried, stop).await;
                }
            }
        }
        tracing::warn!(rule = %self.route.name, "a retry could not be settled at all; it will be made again");
        self.release(claim.token.clone()).await;
    }

    /// Gives a claim back. If that fails too, the claim lapses by itself.
    async fn release(&self, token: Token) {
        if let Err(error) = self.ground.store.release(token).await {
            tracing::debug!(rule = %self.route.name, %error, "a claim could not be released");
        }
    }

    async fn attempt(&self, claim: &Claim) -> Result<(End, Option<Turn<'_>>), Error> {
        let Ok(key) = decode_key(&claim.task.body) else {
            tracing::error!(rule = %self.route.name, task = claim.task.id.0, "a retry task cannot be read; it is dropped");
            return Ok((End::Orphan, None));
        };
        let snapshot = self.ground.store.snapshot().await?;
        let Some((head, row)) = self.backlogs.open(&*snapshot, key).await? else {
            return Ok((End::Orphan, None));
        };
        // Strangers' code may run for minutes; no snapshot is held meanwhile.
        drop(snapshot);
        let Some(row) = row else {
            // Left as it is, the key's later events would join a backlog that nobody works on any more.
            tracing::error!(rule = %self.route.name, ?head, "a parcel is missing in its key's backlog; a dead letter without content stands for it, and the next goes on");
            let letter = self.raw(Bytes::new());
            let tried = false;
            return Ok((End::Dead { key, letter, tried }, None));
        };
        let parcel = match Parcel::decode(&row.value) {
            Ok(parcel) => parcel,
            Err(error) => {
                tracing::error!(rule = %self.route.name, %error, "a parcel cannot be read; it goes to the dead letter as it is");
                let letter = self.raw(row.value);
                let tried = false;
                return Ok((End::Dead { key, letter, tried }, None));
            }
        };
        // The store counts every claim that lapsed, and every unclean restart of all that was due, into the task's attempts.
        let charged = claim.task.attempts.saturating_sub(parcel.attempts.tried);
        if charged <= Policy::SUSPECT && !parcel.is_alone && parcel.attempts.crashed == 0 {
            let _shared = self.turn.read().await;
            return Ok((self.deliver(key, head, parcel).await, None));
        }
        // In this order, so that what waits for another rule's suspect does not hold up its own rule.
        let turn = (self.ground.suspects.lock().await, self.turn.write().await);
        // Whoever was before it may have taken long.
        if self.ground.store.extend(&claim.token, CLAIMED).await? == Lease::Lost {
            return Err(Error::Contended("a retry whose claim lapsed"));
        }
        let parcel = self.suspected(&row, parcel).await?;
        Ok((self.deliver(key, head, parcel).await, Some(turn)))
    }

    /// Writes down that a suspect is being tried alone, before it is, and that it was if it was found so.
    async fn suspected(&self, row: &Entry, mut parcel: Parcel) -> Result<Parcel, Error> {
        if parcel.is_alone {
            parcel.attempts.crashed = parcel.attempts.crashed.saturating_add(1);
        }
        parcel.is_alone = true;
        let batch = self.backlogs.note(self.ground.batch(), row, &parcel);
        if self.ground.store.commit(batch).await?.is_committed() {
            return Ok(parcel);
        }
        Err(Error::Contended("a retry that somebody else makes"))
    }

    async fn deliver(&self, key: KeyHash, head: Head, parcel: Parcel) -> End {
        let (born, now) = (parcel.born, self.ground.clock.now());
        let Some(to) = &self.route.to else {
            return self.dead(key, Reason::RuleRemoved, parcel, false);
        };
        let policy = to.policy(&parcel);
        if let Some(reason) = policy.gives_up(parcel.attempts, born, now) {
            return self.dead(key, reason, parcel, false);
        }
        let attempt = parcel.attempts.tried.saturating_add(1);
        let result = bounded(to.deliver(&parcel, attempt)).await;
        let now = self.ground.clock.now();
        let decision = decide(
            &policy,
            parcel.attempts,
            born,
            result.as_ref().err(),
            now,
            &*self.ground.chance,
        );
        match (decision, result) {
            (Decision::Retry { at, attempts }, Err(failure)) => End::Retry {
                head,
                parcel: parcel.failed(attempts, &failure, now),
                at,
            },
            (Decision::DeadLetter { reason, attempts }, Err(failure)) => {
                self.dead(key, reason, parcel.failed(attempts, &failure, now), true)
            }
            (Decision::Done, _) | (_, Ok(())) => End::Done(key),
        }
    }

    fn dead(&self, key: KeyHash, reason: Reason, parcel: Parcel, tried: bool) -> End {
        let now = self.ground.clock.now();
        End::Dead {
            key,
            letter: Letter::one(self.route.rule, &self.route.name, reason, now, parcel),
            tried,
        }
    }

    fn raw(&self, row: Bytes) -> Letter {
        let parcel = Parcel::new("", KeyHash(0), Timestamp::default(), Bytes::new());
        let now = self.ground.clock.now();
        let letter = Letter::one(self.route.rule, &self.route.name, Reason::Unreadable, now, parcel);
        Letter {
            content: Content::Raw(row),
            ..letter
        }
    }

    async fn batch_of(&self, claim: &Claim, end: &End) -> Result<Batch, Error> {
        let batch = self.ground.batch().settle(claim.token.clone());
        let (key, letter) = match end {
            End::Orphan => return Ok(batch),
            End::Retry { head, parcel, at } => {
                return self.backlogs.retry(batch, (head, parcel), (&claim.task, *at));
            }
            End::Done(key) => (*key, None),
            End::Dead { key, letter, .. } => (*key, Some(letter)),
        };
        let batch = match letter {
            Some(letter) => self.bury(batch, letter).await?,
            None => batch,
        };
        let snapshot = self.ground.store.snapshot().await?;
        self.backlogs
            .advance(
                batch,
                &*snapshot,
                key,
                self.ground.clock.now(),
                &*self.ground.chance,
            )
            .await
    }

    async fn bury(&self, batch: Batch, letter: &Letter) -> Result<Batch, Error> {
        let buried = match &self.route.to {
            Some(to) => to.bury(batch, letter).await?,
            None => Buried::Not(batch),
        };
        match buried {
            Buried::Taken(batch) => Ok(batch),
            Buried::Not(batch) => self.letters.put(batch, letter),
        }
    }

    fn count(&self, end: &End) {
        match end {
            End::Orphan => {}
            End::Done(_) => {
                self.metrics.delivered.inc();
            }
            End::Retry { .. } => {
                self.metrics.failed.inc();
                self.metrics.retries.inc();
            }
            End::Dead { letter, tried, .. } => {
                self.metrics.failed.inc_by(u64::from(*tried));
                // Whoever takes it goes on with it.
                if self.route.to.as_ref().is_some_and(|to| to.is_buried(letter)) {
                    tracing::warn!(rule = %self.route.name, reason = %letter.reason, "a delivery was given up; its destination is told");
                    return;
                }
                self.metrics.died(letter.reason, letter.events());
                tracing::warn!(rule = %self.route.name, reason = %letter.reason, "a delivery was given up; `aloft deliveries ls` shows it");
            }
        }
    }
}

/// Does something while what is in flight goes on; how that ended is kept in `ended`. A future that nobody polls does not even
/// notice its deadline, so whoever owns attempts waits for nothing without this.
pub async fn beside<T, F: Future>(
    in_flight: &mut FuturesUnordered<F>,
    ended: &mut Vec<F::Output>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        // Both are safe to cancel: the work is kept, and what is in flight lives in its set.
        tokio::select! {
            biased;
            done = &mut work => return done,
            Some(one) = in_flight.next(), if !in_flight.is_empty() => ended.push(one),
        }
    }
}

/// The shortest wait after `early` looks in a row that came before the store's clock: it doubles, so that a node whose clock goes
/// before the store's does not ask two hundred times a second for as long as the difference is.
fn patience(early: u32) -> Duration {
    let backoff = Backoff {
        base: SHORTEST,
        ceiling: BEHIND,
    };
    backoff.bound(early)
}
