//! A commit, from the batch to the known outcome. It runs in a task of its own, to its end, whether or not its caller waits.
//!
//! When the connection breaks before the answer, nobody knows what the server did. Then the old session is ended (a server
//! that was started anew has none), and only once it is gone is the commit looked up in the journal by its number: found, it
//! happened; not found, it never will, and is sent again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aloft_base::Policy;
use aloft_store::work::{Now, Place};
use aloft_store::{
    Batch, Committed, Error, Lane, MAX_CLAIMS, Operation, Outcome, Position, Token, Topic, Version,
};
use tokio::time::Instant;

use crate::connection::{Session, column, only};
use crate::courier::Job;
use crate::fault::{Fault, unavailable};
use crate::flights::{Answered, Entered};
use crate::number::back;
use crate::pool::BACKOFF;
use crate::request::{self, Decision};
use crate::shared::Shared;
use crate::statement::Sql;

/// The places before the connections: so many commits may be under way. Who finds it full waits.
pub(crate) const QUEUE: usize = 1_024;
/// And so many KiB of batches.
pub(crate) const QUEUE_KIB: u32 = 64 << 10;

/// What the batch holds in the owner's memory while it is under way; given back when it is dropped before it was kept.
struct Held {
    shared: Arc<Shared>,
    number: u64,
    settles: Vec<(Token, Place)>,
    enqueues: Vec<Pending>,
    kept: bool,
}

struct Pending {
    lane: Lane,
    place: Place,
    claimed: Option<(Token, Duration)>,
}

/// Why a batch cannot happen whatever the database says; but its other checks come first.
enum Barred {
    Lost(Token),
    NoRoom,
}

/// See [`aloft_store::Store::commit`].
pub(crate) async fn commit(shared: &Arc<Shared>, batch: Batch) -> Result<Outcome, Error> {
    batch.check()?;
    check_times(&batch)?;
    shared.check()?;
    let kib = u32::try_from(batch.bytes() / 1_024 + 1)
        .unwrap_or(QUEUE_KIB)
        .min(QUEUE_KIB);
    let answered = match shared.flights.enter(batch.id()) {
        Entered::Done(committed) => return Ok(Outcome::Committed(committed)),
        Entered::Joined(answered) => answered,
        Entered::New(sender, answered) => {
            let task = shared.clone();
            shared.commits.start("store-commit", Policy::Alone, async move {
                let id = batch.id();
                let answer = match task.room(kib).await {
                    Ok(_room) => run(&task, batch).await,
                    Err(error) => Err(error),
                };
                task.flights.leave(id, &answer);
                // Whoever asked may be gone; what was committed stays committed.
                sender.send_replace(Some(answer));
                Ok::<(), Error>(())
            });
            answered
        }
    };
    wait(shared, answered).await
}

/// The due time goes into a signed column.
fn check_times(batch: &Batch) -> Result<(), Error> {
    let late = batch.operations().iter().find(
        |operation| matches!(operation, Operation::Enqueue(task) if i64::try_from(task.due.as_millis()).is_err()),
    );
    match late {
        None => Ok(()),
        Some(operation) => Err(Error::InvalidBatch(format!(
            "{operation} is due in more than 292 million years"
        ))),
    }
}

async fn wait(shared: &Shared, mut answered: Answered) -> Result<Outcome, Error> {
    let patience = shared.config.patience;
    let waited = tokio::time::timeout(patience, answered.wait_for(Option::is_some)).await;
    let lost = || Err(Error::Closed);
    match waited {
        Ok(Ok(answer)) => answer.clone().unwrap_or_else(lost),
        Ok(Err(_)) => lost(),
        Err(_) => Err(unavailable(
            shared.name(),
            format!(
                "no answer to a commit came in {} ms; it goes on, and handing over the same batch again tells its outcome",
                patience.as_millis()
            ),
        )),
    }
}

async fn run(shared: &Arc<Shared>, batch: Batch) -> Result<Outcome, Error> {
    shared.check()?;
    let now = shared.now();
    let batch = Arc::new(batch);
    let held = match hold(shared, &batch, now)? {
        Ok(held) => held,
        Err(barred) => {
            let decision = send(shared, &batch, None).await?;
            let outcome = match (refusal(shared, &batch, decision).await?, barred) {
                (Some(refused), _) => refused,
                (None, Barred::Lost(token)) => Outcome::Lost(token),
                (None, Barred::NoRoom) => return Err(Error::TooManyClaims(MAX_CLAIMS)),
            };
            shared.counters.refusals.fetch_add(1, Ordering::Relaxed);
            return Ok(outcome);
        }
    };
    let decision = send(shared, &batch, Some(&held)).await?;
    let Decision::Committed { xid, hidden } = decision else {
        shared.counters.refusals.fetch_add(1, Ordering::Relaxed);
        let refused = refusal(shared, &batch, decision).await?;
        return refused.ok_or_else(|| Error::corrupt("a commit", "it was neither done nor refused"));
    };
    let tokens = held.keep(&batch, xid, hidden);
    shared.counters.commits.fetch_add(1, Ordering::Relaxed);
    shared
        .counters
        .bytes
        .fetch_add(batch.bytes() as u64, Ordering::Relaxed);
    shared.keeper.wrote(&batch);
    Ok(Outcome::Committed(Committed {
        position: Position::new(xid, u64::MAX),
        version: Version::from_u64(xid),
        tokens,
    }))
}

/// Takes in memory what the batch will change there, all of it or nothing.
fn hold(shared: &Arc<Shared>, batch: &Batch, now: Now) -> Result<Result<Held, Barred>, Error> {
    let mut work = shared.work();
    let mut claims = 0;
    for operation in batch.operations() {
        match operation {
            Operation::Settle(token) if !work.holds(token, now) => {
                return Ok(Err(Barred::Lost(token.clone())));
            }
            Operation::Enqueue(task) => {
                work.learn(task.lane, Place::FIRST);
                claims += usize::from(task.claimed.is_some());
            }
            _ => {}
        }
    }
    if claims > 0 && !work.has_room(claims) {
        return Ok(Err(Barred::NoRoom));
    }
    let number = shared.draw_number()?;
    shared.flights.begin(number);
    let mut held = Held {
        shared: shared.clone(),
        number,
        settles: Vec::new(),
        enqueues: Vec::new(),
        kept: false,
    };
    for (operation, index) in batch.operations().iter().zip(0u64..) {
        match operation {
            Operation::Settle(token) => {
                let place = work.begin_settle(token);
                held.settles.extend(place.map(|place| (token.clone(), place)));
            }
            Operation::Enqueue(task) => {
                let place = Place {
                    due: task.due,
                    commit: number,
                    index,
                };
                let (token, _) = work.begin_enqueue(task.lane, place, task.claimed.is_some());
                held.enqueues.push(Pending {
                    lane: task.lane,
                    place,
                    claimed: token.zip(task.claimed),
                });
            }
            _ => {}
        }
    }
    Ok(Ok(held))
}

impl Held {
    /// It is durable: memory and waiters learn of it.
    fn keep(mut self, batch: &Batch, xid: u64, hidden: bool) -> Vec<Token> {
        self.kept = true;
        let now = self.shared.now();
        let mut work = self.shared.work();
        for (token, _) in &self.settles {
            work.end_settle(token);
        }
        let mut tokens = Vec::new();
        for pending in &self.enqueues {
            tokens.extend(pending.claimed.as_ref().map(|(token, _)| token.clone()));
            work.end_enqueue(pending.lane, pending.place, pending.claimed.clone(), now);
        }
        work.forget_idle();
        drop(work);
        for pending in &self.enqueues {
            self.shared.tell(Topic::Lane(pending.lane));
        }
        let mut logs: Vec<Topic> = Vec::new();
        for operation in batch.operations() {
            if let Operation::Append { log, .. } = operation
                && !logs.contains(&Topic::Log(*log))
            {
                logs.push(Topic::Log(*log));
            }
        }
        if hidden {
            self.shared.horizon.wait_for(xid, &logs, now);
        } else {
            logs.into_iter().for_each(|topic| self.shared.tell(topic));
        }
        tokens
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.flights.end(self.number);
        if self.kept {
            return;
        }
        let mut work = self.shared.work();
        for (token, _) in &self.settles {
            work.cancel_settle(token);
        }
        for pending in &self.enqueues {
            work.cancel_enqueue(pending.lane, pending.place, pending.claimed.is_some());
        }
    }
}

/// The refusal that a decision is, if it is one.
async fn refusal(shared: &Shared, batch: &Batch, decision: Decision) -> Result<Option<Outcome>, Error> {
    let refusal = match decision {
        Decision::Committed { .. } => return Ok(None),
        Decision::Fenced(which) => request::fenced(batch, which),
        Decision::Conflict(which) => request::conflict(batch, which),
        Decision::Superseded => return Err(shared.superseded().await),
    };
    refusal.map(Some).ok_or_else(|| {
        Error::corrupt(
            "an answer of the database",
            format!("{decision:?} of a batch that has fewer checks"),
        )
    })
}

/// Has a batch sent until its outcome is known; without `held` only its checks. Gives up only before it was sent, or after it
/// surely failed.
async fn send(shared: &Shared, batch: &Arc<Batch>, held: Option<&Held>) -> Result<Decision, Error> {
    let until = Instant::now() + shared.config.patience;
    let settles: Vec<Place> = held
        .map(|held| held.settles.iter().map(|(_, place)| *place).collect())
        .unwrap_or_default();
    let mut failed = 0;
    loop {
        let (job, answered) = Job::new(batch.clone(), held.map(|held| held.number), settles.clone());
        shared.queue.push(job);
        let answer = tokio::select! {
            answer = answered => answer,
            // Whoever abandons the store takes its couriers with it.
            () = shared.stop.asked() => return Err(Error::Closed),
        };
        let failure = match answer {
            Ok(Ok(decision)) => return Ok(decision),
            Ok(Err(failure)) => failure,
            Err(_) => return Err(Error::Closed),
        };
        if let (Fault::Lost(reason), Some(session), Some(held)) = (&failure.fault, &failure.session, held) {
            shared.counters.lost.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(reason, "a commit's connection broke: its outcome is looked up");
            if let Some(found) = resolve(shared, session, held.number).await? {
                return Ok(found);
            }
        }
        failed += 1;
        let delay = BACKOFF.delay(failed, &*shared.chance);
        if matches!(failure.fault, Fault::Final(_)) || Instant::now() + delay >= until || shared.is_stopped()
        {
            return Err(failure.fault.into_error(shared.name()));
        }
        tokio::time::sleep(delay).await;
    }
}

/// What became of a request whose connection broke; nothing: it did not happen and will not.
async fn resolve(shared: &Shared, session: &Session, number: u64) -> Result<Option<Decision>, Error> {
    let mut failed = 0;
    loop {
        match look_up(shared, session, number).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(fault) => tracing::debug!(?fault, "a commit's outcome cannot be looked up yet"),
        }
        failed += 1;
        let delay = BACKOFF.delay(failed, &*shared.chance);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = shared.stop.asked() => {
                return Err(unavailable(
                    shared.name(),
                    "a commit was under way when its connection broke, and the store ends before its outcome is known",
                ));
            }
        }
    }
}

/// One try; nothing while the old session still lives.
async fn look_up(shared: &Shared, session: &Session, number: u64) -> Result<Option<Option<Decision>>, Fault> {
    let connection = shared.readers.take().await?;
    let of = [&session.pid as crate::connection::Parameter<'_>, &session.started];
    connection.query(Sql::End, &[of[0], of[1], &1_000i64]).await?;
    let rows = connection.query(Sql::IsGone, &of).await?;
    let gone: bool = only(&rows).and_then(|row| column(row, 0)).map_err(Fault::Final)?;
    if !gone {
        return Ok(None);
    }
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let rows = connection.query(Sql::Lookup, &[&number]).await?;
    let Some(row) = rows.first() else {
        return Ok(Some(None));
    };
    let xid = column(row, 0).and_then(back).map_err(Fault::Final)?;
    shared.counters.recovered.fetch_add(1, Ordering::Relaxed);
    Ok(Some(Some(Decision::Committed { xid, hidden: true })))
}
