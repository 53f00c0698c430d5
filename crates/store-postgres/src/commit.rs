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
use crate::fault::{Fault, unavailable};
use crate::flights::{Answered, Entered};
use crate::number::back;
use crate::pool::BACKOFF;
use crate::request::{self, Request, Sender};
use crate::shared::Shared;
use crate::statement::Sql;

/// The places before the connections: so many commits may be under way. Who finds it full waits.
pub(crate) const QUEUE: usize = 1_024;
/// And so many KiB of batches.
pub(crate) const QUEUE_KIB: u32 = 64 << 10;

/// What the server answered, or the journal told.
struct Answer {
    status: i64,
    which: i64,
    xid: i64,
    hidden: bool,
}

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
    let sender = Sender {
        class: shared.class,
        epoch: shared.epoch,
        at: now.at,
    };
    let held = match hold(shared, &batch, now)? {
        Ok(held) => held,
        Err(barred) => {
            let request = Request::new(&batch, 0, &[], sender).checks_only();
            let answer = send(shared, &request, 0).await?;
            return match (read(shared, &batch, &answer).await?, barred) {
                (Some(refused), _) => {
                    shared.counters.refusals.fetch_add(1, Ordering::Relaxed);
                    Ok(refused)
                }
                (None, Barred::Lost(token)) => {
                    shared.counters.refusals.fetch_add(1, Ordering::Relaxed);
                    Ok(Outcome::Lost(token))
                }
                (None, Barred::NoRoom) => Err(Error::TooManyClaims(MAX_CLAIMS)),
            };
        }
    };
    let places: Vec<Place> = held.settles.iter().map(|(_, place)| *place).collect();
    let request = Request::new(&batch, held.number, &places, sender);
    let answer = send(shared, &request, held.number).await?;
    if let Some(refused) = read(shared, &batch, &answer).await? {
        shared.counters.refusals.fetch_add(1, Ordering::Relaxed);
        return Ok(refused);
    }
    let xid = back(answer.xid)?;
    let tokens = held.keep(&batch, xid, answer.hidden);
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
    if claims > 0 && !work.has_room(claims, now) {
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

/// The refusal that an answer is, if it is one.
async fn read(shared: &Shared, batch: &Batch, answer: &Answer) -> Result<Option<Outcome>, Error> {
    let refusal = match answer.status {
        0 => return Ok(None),
        1 => request::fenced(batch, answer.which),
        2 => request::conflict(batch, answer.which),
        _ => return Err(shared.superseded().await),
    };
    refusal.map(Some).ok_or_else(|| {
        Error::corrupt(
            "an answer of the database",
            format!("it refuses check {} of a batch that has fewer", answer.which),
        )
    })
}

/// Sends a request until its outcome is known. Gives up only before it was sent, or after it surely failed.
async fn send(shared: &Shared, request: &Request, number: u64) -> Result<Answer, Error> {
    let until = Instant::now() + shared.config.patience;
    let mut failed = 0;
    loop {
        let fault = match shared.writers.take().await {
            Err(fault) => fault,
            Ok(connection) => match connection.query(Sql::Commit, &request.parameters()).await {
                Ok(rows) => return answer(&rows),
                Err(Fault::Lost(reason)) if number > 0 => {
                    shared.counters.lost.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(reason, "a commit's connection broke: its outcome is looked up");
                    if let Some(found) = resolve(shared, &connection.session, number).await? {
                        return Ok(found);
                    }
                    Fault::Lost(reason)
                }
                Err(fault) => fault,
            },
        };
        failed += 1;
        let delay = BACKOFF.delay(failed, &*shared.chance);
        if matches!(fault, Fault::Final(_)) || Instant::now() + delay >= until || shared.is_stopped() {
            return Err(fault.into_error(shared.name()));
        }
        tokio::time::sleep(delay).await;
    }
}

fn answer(rows: &[tokio_postgres::Row]) -> Result<Answer, Error> {
    let numbers: Vec<i64> = column(only(rows)?, 0)?;
    match numbers.as_slice() {
        [status, which, xid, hidden] => Ok(Answer {
            status: *status,
            which: *which,
            xid: *xid,
            hidden: *hidden != 0,
        }),
        other => Err(Error::corrupt(
            "an answer of the database",
            format!("a commit has four numbers, not {other:?}"),
        )),
    }
}

/// What became of a request whose connection broke; nothing: it did not happen and will not.
async fn resolve(shared: &Shared, session: &Session, number: u64) -> Result<Option<Answer>, Error> {
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
async fn look_up(shared: &Shared, session: &Session, number: u64) -> Result<Option<Option<Answer>>, Fault> {
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
    let xid = column(row, 0).map_err(Fault::Final)?;
    shared.counters.recovered.fetch_add(1, Ordering::Relaxed);
    Ok(Some(Some(Answer {
        status: 0,
        which: 0,
        xid,
        hidden: true,
    })))
}
