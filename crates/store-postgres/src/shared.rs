//! What all parts of an open store share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aloft_base::{Chance, Clock, Stop, Tasks};
use aloft_store::work::{Now, Work};
use aloft_store::{Error, Lane, Topic, Wake};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::Config;
use crate::connection::{Dial, column, only};
use crate::courier::Queue;
use crate::flights::Flights;
use crate::horizon::Horizon;
use crate::keeper::Keeper;
use crate::lock::Class;
use crate::notify::Notifier;
use crate::number::COMMIT_BITS;
use crate::pool::Pool;
use crate::snapshot::Snapshots;
use crate::statement::Sql;

/// So many fills of lanes may run at a time; a lane's are one after another.
const FILLS: usize = 64;

/// What is counted, since the store was opened.
#[derive(Debug, Default)]
pub struct CommitCounters {
    /// Batches that were committed.
    pub commits: AtomicU64,
    /// Batches that were refused: conflicts, fences and lost tokens.
    pub refusals: AtomicU64,
    /// Keys and values of batches that were committed, in bytes.
    pub bytes: AtomicU64,
    /// Commits whose connection broke before the answer.
    pub lost: AtomicU64,
    /// Those of them that the journal knew: they had happened.
    pub recovered: AtomicU64,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) dial: Arc<Dial>,
    pub(crate) queue: Queue,
    pub(crate) readers: Pool,
    pub(crate) upkeep: Pool,
    pub(crate) snapshots: Snapshots,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    /// Commits under way: waited for at the end.
    pub(crate) commits: Tasks,
    /// Everything that runs until [`stop`](Self::stop).
    pub(crate) background: Tasks,
    pub(crate) stop: Stop,
    pub(crate) wake: Wake,
    pub(crate) flights: Flights,
    pub(crate) counters: CommitCounters,
    pub(crate) horizon: Horizon,
    pub(crate) keeper: Keeper,
    pub(crate) notifier: Notifier,
    pub(crate) class: Class,
    pub(crate) epoch: u64,
    pub(crate) shift: i64,
    /// Acted as stopped: the lease is not renewed.
    pub(crate) paused: AtomicBool,
    pub(crate) fills: Vec<tokio::sync::Mutex<()>>,
    work: Mutex<Work>,
    next: AtomicU64,
    places: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    ended: watch::Sender<Option<Error>>,
}

/// What a store begins with.
pub(crate) struct Beginning {
    pub(crate) config: Config,
    pub(crate) dial: Arc<Dial>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) background: Tasks,
    pub(crate) class: Class,
    pub(crate) epoch: u64,
    pub(crate) shift: i64,
    pub(crate) segment: i32,
    pub(crate) work: Work,
}

impl Shared {
    pub(crate) fn new(from: Beginning) -> Self {
        let pool = |size, statements| Pool::new(from.dial.clone(), from.chance.clone(), size, statements);
        Self {
            queue: Queue::default(),
            readers: pool(from.config.readers, Sql::OF_READERS),
            upkeep: pool(1, Sql::OF_UPKEEP),
            snapshots: Snapshots::new(from.dial.clone(), from.config.snapshots),
            stop: from.background.stop().clone(),
            background: from.background,
            commits: Tasks::new(Stop::new()),
            wake: Wake::new(),
            flights: Flights::default(),
            counters: CommitCounters::default(),
            horizon: Horizon::default(),
            keeper: Keeper::new(from.segment, from.config.segment_bytes),
            notifier: Notifier::new(from.class),
            class: from.class,
            epoch: from.epoch,
            shift: from.shift,
            paused: AtomicBool::new(false),
            fills: (0..FILLS).map(|_| tokio::sync::Mutex::new(())).collect(),
            work: Mutex::new(from.work),
            next: AtomicU64::new((from.epoch << COMMIT_BITS) + 1),
            places: Arc::new(Semaphore::new(crate::commit::QUEUE)),
            kib: Arc::new(Semaphore::new(crate::commit::QUEUE_KIB as usize)),
            ended: watch::channel(None).0,
            config: from.config,
            dial: from.dial,
            clock: from.clock,
            chance: from.chance,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.dial.name()
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            at: self.clock.now(),
            instant: self.clock.instant(),
        }
    }

    pub(crate) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock under which a lane is filled.
    pub(crate) fn fill_lock(&self, lane: Lane) -> Option<&tokio::sync::Mutex<()>> {
        self.fills.get((lane.0 % FILLS as u64) as usize)
    }

    /// The next commit's number: the epoch above, a count below.
    pub(crate) fn draw_number(&self) -> Result<u64, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >> COMMIT_BITS != self.epoch {
            return Err(Error::Unsuitable {
                database: self.name().to_owned(),
                reason: "this start has used up its numbers of commits: start the node again".to_owned(),
            });
        }
        Ok(number)
    }

    /// A number above all that were drawn.
    pub(crate) fn next_number(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Waits for room for a commit of so many KiB.
    pub(crate) async fn room(
        self: &Arc<Self>,
        kib: u32,
    ) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Error> {
        let place = self.places.clone().acquire_owned().await;
        let bytes = self.kib.clone().acquire_many_owned(kib).await;
        place.ok().zip(bytes.ok()).ok_or(Error::Closed)
    }

    /// Tells waiters here, and soon those of other processes.
    pub(crate) fn tell(&self, topic: Topic) {
        self.wake.notify(topic);
        self.notifier.add(topic);
    }

    /// Whether the store takes requests.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.ended.borrow().clone().map_or(Ok(()), Err)
    }

    /// From now on every request is answered so; the first reason stays. Answers that reason.
    pub(crate) fn end(&self, reason: Error) -> Error {
        let mut first = reason.clone();
        self.ended.send_if_modified(|ended| match ended {
            Some(earlier) => {
                first = earlier.clone();
                false
            }
            None => {
                *ended = Some(reason.clone());
                true
            }
        });
        first
    }

    /// Waits until the store has ended; answers why.
    pub(crate) async fn ended(&self) -> Error {
        let mut ended = self.ended.subscribe();
        let reason = ended.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or(Error::Closed)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_asked()
    }

    /// Another epoch was found in the database: nothing more is done here.
    pub(crate) async fn superseded(&self) -> Error {
        let asked = self.readers.query(Sql::Holder, &[], self.config.patience).await;
        let holder = asked.and_then(|rows| column::<String>(only(&rows)?, 0));
        self.end(Error::Superseded {
            database: self.name().to_owned(),
            holder: holder.unwrap_or_else(|_| "somebody who cannot be asked for".to_owned()),
        })
    }
}
