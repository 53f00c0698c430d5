//! Couriers: each has a connection and takes commits to the server, as many at once as wait and have no lock in common. There is no
//! artificial delay: a lone commit goes at once, and under load groups grow by themselves, as they do before the embedded
//! engine's committer. A group is one transaction: one round trip, one transaction id, one wait for the disk, and statements over
//! sets instead of many over single rows. Under 64 clients a put costs the server 51 µs of its
//! processors so; pipelined one by one it cost 131.
//!
//! A commit whose locks are held by one under way waits here and not at the server, where its whole group would wait with it; and
//! nothing that came later with a lock of it goes before it.
//!
//! The queue is bounded by those who fill it ([`crate::commit::QUEUE`]).

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aloft_store::work::Place;
use aloft_store::{Batch, Error};
use tokio::sync::{Notify, oneshot};

use crate::connection::{Connection, Session, column, only};
use crate::fault::Fault;
use crate::lock;
use crate::pool::BACKOFF;
use crate::request::{Decision, Request, Sender};
use crate::shared::Shared;
use crate::statement::Sql;

/// The most batches of a group.
const GROUP: usize = 64;
/// A group ends when it has so many bytes.
const GROUP_BYTES: usize = 1 << 20;
/// How many waiting commits are looked at for a group.
const LOOK: usize = 256;

/// Why a commit has no decision.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// The session that it was sent in; none: it was not sent.
    pub(crate) session: Option<Session>,
}

/// A commit to be sent.
pub(crate) struct Job {
    batch: Arc<Batch>,
    /// The owner's number for it; without one only its checks are asked for.
    number: Option<u64>,
    settles: Vec<Place>,
    locks: Option<Vec<i32>>,
    answer: oneshot::Sender<Result<Decision, Failure>>,
}

impl Job {
    pub(crate) fn new(
        batch: Arc<Batch>,
        number: Option<u64>,
        settles: Vec<Place>,
    ) -> (Self, oneshot::Receiver<Result<Decision, Failure>>) {
        let (answer, answered) = oneshot::channel();
        let locks = lock::of(&batch);
        (
            Self {
                batch,
                number,
                settles,
                locks,
                answer,
            },
            answered,
        )
    }

    /// Whether it goes in a request of its own.
    fn is_alone(&self) -> bool {
        self.locks.is_none() || self.number.is_none()
    }
}

/// Commits that wait for a courier.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// The locks of what is under way.
    held: HashSet<i32>,
}

impl Queue {
    pub(crate) fn push(&self, job: Job) {
        self.waiting().jobs.push_back(job);
        self.news.notify_one();
    }

    /// The next group, when there is one that need not wait for another.
    fn take(&self) -> Vec<Job> {
        let mut waiting = self.waiting();
        let Waiting { jobs, held } = &mut *waiting;
        let mut group: Vec<Job> = Vec::new();
        let (mut left, mut bytes, mut locks) = (VecDeque::new(), 0, 0);
        let mut blocked: HashSet<i32> = HashSet::new();
        while left.len() + group.len() < LOOK
            && group.len() < GROUP
            && bytes < GROUP_BYTES
            && let Some(job) = jobs.pop_front()
        {
            let own = job.locks.as_deref().unwrap_or_default();
            let free = !own
                .iter()
                .any(|lock| held.contains(lock) || blocked.contains(lock));
            let fits = group.is_empty() || (!job.is_alone() && locks + own.len() <= lock::MOST);
            if free && fits {
                held.extend(own);
                // Within a group too: two batches of one need different versions.
                locks += own.len();
                bytes += job.batch.bytes();
                let alone = job.is_alone();
                group.push(job);
                if alone {
                    break;
                }
            } else {
                blocked.extend(own);
                left.push_back(job);
            }
        }
        while let Some(job) = left.pop_back() {
            jobs.push_front(job);
        }
        let more = !jobs.is_empty() && !group.is_empty();
        drop(waiting);
        if more {
            self.news.notify_one();
        }
        group
    }

    /// A group is done: whoever waited for its locks may go.
    fn release(&self, group: &[Job]) {
        let mut waiting = self.waiting();
        for lock in group.iter().filter_map(|job| job.locks.as_ref()).flatten() {
            waiting.held.remove(lock);
        }
        let more = !waiting.jobs.is_empty();
        drop(waiting);
        if more {
            self.news.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes commits to the server until the store ends.
pub(crate) async fn run(shared: &Shared) -> Result<(), Error> {
    let mut connection: Option<Connection> = None;
    let mut failed = 0;
    loop {
        let group = loop {
            let group = shared.queue.take();
            if !group.is_empty() {
                break group;
            }
            tokio::select! {
                () = shared.queue.news.notified() => {}
                () = shared.stop.asked() => return Ok(()),
            }
        };
        let open = connection.take().filter(Connection::is_open);
        let connected = match open {
            Some(open) => Ok(open),
            None => {
                if failed > 0 {
                    tokio::time::sleep(BACKOFF.delay(failed, &*shared.chance)).await;
                }
                shared.dial.connect(Sql::OF_WRITERS).await
            }
        };
        let answers = match connected {
            Ok(open) => {
                failed = 0;
                let answers = send(shared, &open, &group).await;
                connection = Some(open);
                answers
            }
            Err(fault) => {
                failed += 1;
                Err(Failure { fault, session: None })
            }
        };
        shared.queue.release(&group);
        answer(group, answers);
    }
}

async fn send(shared: &Shared, connection: &Connection, group: &[Job]) -> Result<Vec<Decision>, Failure> {
    let fail = |fault| Failure {
        fault,
        session: Some(connection.session.clone()),
    };
    let sender = Sender {
        class: shared.class,
        epoch: shared.epoch,
        at: shared.clock.now(),
    };
    let locks: Option<Vec<&Vec<i32>>> = group.iter().map(|job| job.locks.as_ref()).collect();
    let locks = locks.map(|locks| {
        let mut all: Vec<i32> = locks.into_iter().flatten().copied().collect();
        all.sort_unstable();
        all
    });
    let checks_only = group.iter().all(|job| job.number.is_none());
    let mut request = Request::new(sender, locks, checks_only);
    for job in group {
        request.add(&job.batch, job.number.unwrap_or(0), &job.settles);
    }
    let rows = connection
        .query(Sql::Commit, &request.parameters())
        .await
        .map_err(fail)?;
    let read = only(&rows).and_then(|row| request.decisions(&column::<Vec<i64>>(row, 0)?));
    read.map_err(|error| fail(Fault::Final(error)))
}

/// Whoever asked may be gone; what was committed stays committed.
fn answer(group: Vec<Job>, answers: Result<Vec<Decision>, Failure>) {
    match answers {
        Ok(decisions) => {
            for (job, decision) in group.into_iter().zip(decisions) {
                let _ = job.answer.send(Ok(decision));
            }
        }
        Err(failure) => {
            for job in group {
                let _ = job.answer.send(Err(failure.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aloft_store::{BatchId, Key};

    use super::*;

    fn job(number: u64, keys: &[&str]) -> Job {
        let batch = keys
            .iter()
            .fold(Batch::new(BatchId(number.into())), |batch, key| {
                batch.put(Key::new(key.as_bytes().to_vec()).unwrap(), "")
            });
        Job::new(Arc::new(batch), Some(number), Vec::new()).0
    }

    fn numbers(group: &[Job]) -> Vec<u64> {
        group.iter().filter_map(|job| job.number).collect()
    }

    #[test]
    fn a_group_has_no_lock_twice_and_nobody_overtakes() {
        let queue = Queue::default();
        for (number, keys) in [&["a"][..], &["b"], &["a", "c"], &["c"], &["d"]]
            .into_iter()
            .enumerate()
        {
            queue.push(job(number as u64, keys));
        }
        let first = queue.take();
        assert_eq!(numbers(&first), [0, 1, 4], "2 waits for 0, and 3 for 2");
        assert_eq!(
            numbers(&queue.take()),
            [0; 0],
            "what is under way holds its locks"
        );
        queue.release(&first);
        let second = queue.take();
        assert_eq!(numbers(&second), [2]);
        queue.release(&second);
        assert_eq!(numbers(&queue.take()), [3]);
    }

    #[test]
    fn a_group_is_bounded_and_large_batches_go_alone() {
        let queue = Queue::default();
        let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let large: Vec<&str> = many.iter().map(String::as_str).collect();
        queue.push(job(0, &["x"]));
        queue.push(job(1, &large));
        for number in 2..80 {
            queue.push(job(number, &[&format!("k{number}")]));
        }
        let first = queue.take();
        assert!(
            first.len() == GROUP && !numbers(&first).contains(&1),
            "{:?}",
            numbers(&first)
        );
        assert_eq!(numbers(&queue.take()), [1]);
        assert_eq!(queue.take().len(), 79 - GROUP);
    }
}
